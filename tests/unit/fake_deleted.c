// SPDX-License-Identifier: Apache-2.0
/* Deleted topics behind a client's test: "gone" can be taken back once, "taken" cannot. */
#include "tests/unit/fake_exchange.h"

#include "protocol/msg_leat_list_deleted_topics.h"
#include "protocol/msg_leat_undelete_topics.h"

static void answer_list(struct exchange *x)
{
    struct leat_list_deleted_topics_response *a = x->a;
    leat_list_deleted_topics_response_init(a);
    a->error_code = x->fault_code;
    a->total = 7;
    a->topics = exchange_take(x, 1, sizeof *a->topics);
    a->topics_count = x->fault_code == 0 && x->b->undeleted == 0;
    leat_list_deleted_topics_response_topic_init(a->topics);
    a->topics->name = STR("gone");
    a->topics->topic_id.b[15] = 9;
    a->topics->partitions = 3;
    a->topics->deleted_ms = 1000;
    a->topics->kept_until_ms = 5000;
}

static void answer_undelete(struct exchange *x)
{
    const struct leat_undelete_topics_request *q = x->q;
    struct leat_undelete_topics_response *a = x->a;
    CHECK(q->topics_count == 1 && (q->topics[0].name.len >= 0) == uuid_is_zero(q->topics[0].topic_id));
    leat_undelete_topics_response_init(a);
    a->responses = exchange_take(x, 1, sizeof *a->responses);
    a->responses_count = 1;
    leat_undelete_topics_response_topic_init(a->responses);
    bool gone = str_equal(q->topics[0].name, STR("gone")) || q->topics[0].topic_id.b[15] == 9;
    a->responses->name = q->topics[0].name;
    a->responses->topic_id = q->topics[0].topic_id;
    a->responses->error_code = x->fault_code;
    if (x->fault_code != 0) return;
    if (str_equal(q->topics[0].name, STR("taken"))) {
        a->responses->error_code = KAFKA_TOPIC_ALREADY_EXISTS;
        a->responses->error_message = STR("There is another one.");
    } else if (!gone || x->b->undeleted > 0) {
        a->responses->error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    } else {
        x->b->undeleted++;
    }
}

bool deleted_act(struct exchange *x)
{
    if (x->h.api_key == API_LEAT_LIST_DELETED_TOPICS) answer_list(x);
    if (x->h.api_key == API_LEAT_UNDELETE_TOPICS) answer_undelete(x);
    return x->h.api_key >= API_KEY_LEAT;
}

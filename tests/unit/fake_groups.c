// SPDX-License-Identifier: Apache-2.0
/* The group coordinator behind a client's test: groups are a table of the test's; each lives at one node, and another
 * node that is asked says so. What a client must never send is CHECKed. */
#include "tests/unit/fake_exchange.h"

#include "base/bytes.h"
#include "protocol/msg_consumer_group_describe.h"
#include "protocol/msg_consumer_protocol_assignment.h"
#include "protocol/msg_delete_groups.h"
#include "protocol/msg_describe_groups.h"
#include "protocol/msg_find_coordinator.h"
#include "protocol/msg_list_groups.h"
#include "protocol/msg_offset_commit.h"
#include "protocol/msg_offset_fetch.h"

static struct fake_group *group_of(const struct exchange *x, struct str name)
{
    for (uint32_t i = 0; i < COUNT_OF(x->b->groups); i++) {
        struct fake_group *g = &x->b->groups[i];
        if (g->name != NULL && str_equal(name, str_of(g->name))) return g;
    }
    return NULL;
}

/* What keeps this node from answering for the group. */
static int16_t coordinator_error(struct exchange *x, const struct fake_group *g)
{
    if (x->fault_code != 0) return x->fault_code;
    if (g != NULL && g->node != x->node) return KAFKA_NOT_COORDINATOR;
    if (x->b->loading == 0) return KAFKA_NONE;
    x->b->loading--;
    return KAFKA_COORDINATOR_LOAD_IN_PROGRESS;
}

static void answer_find(struct exchange *x)
{
    const struct find_coordinator_request *q = x->q;
    struct find_coordinator_response *a = x->a;
    bool list = x->h.api_version >= 4;
    struct str key = list ? q->coordinator_keys[0] : q->key;
    const struct fake_group *g = group_of(x, key);
    CHECK(q->key_type == 0 && (!list || q->coordinator_keys_count == 1));
    find_coordinator_response_init(a);
    a->node_id = g != NULL ? g->node : 0;
    a->host = STR("fake");
    a->port = FAKE_PORT + a->node_id;
    a->error_code = x->fault_code;
    if (!list) return;
    a->coordinators = exchange_take(x, 1, sizeof *a->coordinators);
    a->coordinators_count = 1;
    find_coordinator_response_coordinator_init(a->coordinators);
    a->coordinators->key = key;
    a->coordinators->node_id = a->node_id;
    a->coordinators->host = a->host;
    a->coordinators->port = a->port;
    a->coordinators->error_code = x->fault_code;
}

static void answer_list(struct exchange *x)
{
    struct list_groups_response *a = x->a;
    list_groups_response_init(a);
    a->groups = exchange_take(x, COUNT_OF(x->b->groups), sizeof *a->groups);
    a->error_code = coordinator_error(x, NULL);
    for (uint32_t i = 0; i < COUNT_OF(x->b->groups) && a->error_code == KAFKA_NONE; i++) {
        const struct fake_group *g = &x->b->groups[i];
        if (g->name == NULL || g->node != x->node) continue;
        struct list_groups_response_group *out = &a->groups[a->groups_count++];
        list_groups_response_group_init(out);
        out->group_id = str_of(g->name);
        out->group_type = g->assigned_by_broker ? STR("consumer") : STR("classic");
        out->protocol_type = STR("consumer");
        out->group_state = g->members > 0 ? STR("Stable") : STR("Empty");
    }
}

static void answer_consumer_describe(struct exchange *x)
{
    const struct consumer_group_describe_request *q = x->q;
    struct consumer_group_describe_response *a = x->a;
    consumer_group_describe_response_init(a);
    a->groups = exchange_take(x, 1, sizeof *a->groups);
    a->groups_count = 1;
    CHECK(q->group_ids_count == 1);
    struct consumer_group_describe_response_group *out = a->groups;
    const struct fake_group *g = group_of(x, q->group_ids[0]);
    consumer_group_describe_response_group_init(out);
    out->group_id = q->group_ids[0];
    out->error_code = coordinator_error(x, g);
    if (out->error_code == KAFKA_NONE && (g == NULL || !g->assigned_by_broker))
        out->error_code = KAFKA_GROUP_ID_NOT_FOUND;
    if (out->error_code != KAFKA_NONE) return;
    out->group_state = g->members > 0 ? STR("Stable") : STR("Empty");
    out->assignor_name = STR("uniform");
    out->group_epoch = 7;
    out->members = exchange_take(x, (size_t)g->members, sizeof *out->members);
    out->members_count = g->members;
    for (int32_t i = 0; i < g->members; i++) { /* member i reads partition i */
        struct consumer_group_describe_response_member *m = &out->members[i];
        consumer_group_describe_response_member_init(m);
        m->member_id = i == 0 ? STR("m0") : STR("m1");
        m->client_id = STR("client");
        m->client_host = STR("/10.0.0.1");
        m->assignment.topic_partitions = exchange_take(x, 1, sizeof *m->assignment.topic_partitions);
        m->assignment.topic_partitions_count = 1;
        consumer_group_describe_response_topic_partition_init(m->assignment.topic_partitions);
        m->assignment.topic_partitions->topic_name = STR("t");
        m->assignment.topic_partitions->partitions = exchange_take(x, 1, sizeof(int32_t));
        m->assignment.topic_partitions->partitions[0] = i;
        m->assignment.topic_partitions->partitions_count = 1;
    }
}

/* As a client writes it: version, then the assignment of partitions 2 and 0 of "t". */
static struct bytes assignment(struct exchange *x)
{
    struct consumer_protocol_assignment_topic_partition t;
    struct consumer_protocol_assignment a;
    int32_t partitions[] = {2, 0};
    uint8_t *out = exchange_take(x, 64, 1);
    struct writer w;
    consumer_protocol_assignment_init(&a);
    consumer_protocol_assignment_topic_partition_init(&t);
    t.topic = STR("t");
    t.partitions = partitions;
    t.partitions_count = 2;
    a.assigned_partitions = &t;
    a.assigned_partitions_count = 1;
    out[1] = 1;
    writer_init(&w, out + 2, 62, NULL, 0);
    consumer_protocol_assignment_encode(&w, 1, &a);
    CHECK_OK(writer_finish(&w));
    return (struct bytes){out, 2 + (int32_t)consumer_protocol_assignment_size(1, &a).total};
}

static void answer_describe(struct exchange *x)
{
    const struct describe_groups_request *q = x->q;
    struct describe_groups_response *a = x->a;
    describe_groups_response_init(a);
    CHECK(q->groups_count == 1);
    a->groups = exchange_take(x, 1, sizeof *a->groups);
    a->groups_count = 1;
    struct describe_groups_response_group *out = a->groups;
    const struct fake_group *g = group_of(x, q->groups[0]);
    describe_groups_response_group_init(out);
    out->group_id = q->groups[0];
    out->error_code = coordinator_error(x, g);
    out->group_state = g == NULL ? STR("Dead") : g->members > 0 ? STR("Stable") : STR("Empty");
    out->protocol_type = out->protocol_data = STR_EMPTY;
    if (g == NULL && out->error_code == KAFKA_NONE && x->h.api_version >= 6) out->error_code = KAFKA_GROUP_ID_NOT_FOUND;
    if (g == NULL || out->error_code != KAFKA_NONE) return;
    out->protocol_type = STR("consumer");
    out->protocol_data = STR("range");
    out->members = exchange_take(x, (size_t)g->members, sizeof *out->members);
    out->members_count = g->members;
    for (int32_t i = 0; i < g->members; i++) {
        struct describe_groups_response_member *m = &out->members[i];
        describe_groups_response_member_init(m);
        m->member_id = i == 0 ? STR("b") : STR("a");
        m->group_instance_id = i == 0 ? STR("static") : STR_NULL;
        m->client_id = STR("client");
        m->client_host = STR("/10.0.0.1");
        m->member_metadata = BYTES_EMPTY;
        m->member_assignment = i == 0 ? assignment(x) : (struct bytes){(const uint8_t *)"\0\1\377\377\377", 5};
    }
}

static void answer_offset_fetch(struct exchange *x)
{
    const struct offset_fetch_request *q = x->q;
    struct offset_fetch_response *a = x->a;
    bool list = x->h.api_version >= 8;
    const struct fake_group *g = group_of(x, list ? q->groups[0].group_id : q->group_id);
    CHECK(list ? q->groups_count == 1 && q->groups[0].topics_count == -1 : q->topics_count == -1);
    offset_fetch_response_init(a);
    a->error_code = coordinator_error(x, g);
    struct offset_fetch_response_topic *t = exchange_take(x, 1, sizeof *t);
    struct offset_fetch_response_group *out = exchange_take(x, 1, sizeof *out);
    struct offset_fetch_response_group_topic *gt = exchange_take(x, 1, sizeof *gt);
    offset_fetch_response_topic_init(t);
    offset_fetch_response_group_init(out);
    offset_fetch_response_group_topic_init(gt);
    t->name = gt->name = STR("t");
    t->partitions = exchange_take(x, FAKE_PARTITIONS, sizeof *t->partitions);
    gt->partitions = exchange_take(x, FAKE_PARTITIONS, sizeof *gt->partitions);
    for (int32_t i = FAKE_PARTITIONS - 1; g != NULL && i >= 0; i--) { /* in no order */
        int32_t n = t->partitions_count++;
        gt->partitions_count++;
        offset_fetch_response_partition_init(&t->partitions[n]);
        offset_fetch_response_group_partition_init(&gt->partitions[n]);
        t->partitions[n].partition_index = gt->partitions[n].partition_index = i;
        t->partitions[n].committed_offset = gt->partitions[n].committed_offset = g->committed[i];
        t->partitions[n].metadata = gt->partitions[n].metadata = i == 0 ? STR("note") : STR_EMPTY;
        t->partitions[n].error_code = gt->partitions[n].error_code = x->b->partition_error;
    }
    out->error_code = a->error_code;
    out->topics = gt;
    a->topics = t;
    out->topics_count = a->topics_count = a->error_code == KAFKA_NONE && g != NULL;
    if (!list) return;
    out->group_id = q->groups[0].group_id;
    a->groups = out;
    a->groups_count = 1;
}

static void answer_offset_commit(struct exchange *x)
{
    const struct offset_commit_request *q = x->q;
    struct offset_commit_response *a = x->a;
    struct fake_group *g = group_of(x, q->group_id);
    CHECK(q->generation_id_or_member_epoch == -1 && q->member_id.len == 0 && q->topics_count > 0);
    offset_commit_response_init(a);
    a->topics = exchange_take(x, (size_t)q->topics_count, sizeof *a->topics);
    a->topics_count = q->topics_count;
    int16_t error = coordinator_error(x, g);
    if (error == KAFKA_NONE && g != NULL && g->members > 0) error = KAFKA_UNKNOWN_MEMBER_ID;
    for (int32_t i = 0; i < q->topics_count; i++) {
        struct offset_commit_response_topic *t = &a->topics[i];
        offset_commit_response_topic_init(t);
        t->name = q->topics[i].name;
        t->partitions = exchange_take(x, (size_t)q->topics[i].partitions_count, sizeof *t->partitions);
        t->partitions_count = q->topics[i].partitions_count;
        for (int32_t k = 0; k < t->partitions_count; k++) {
            const struct offset_commit_request_partition *p = &q->topics[i].partitions[k];
            bool known = str_equal(t->name, STR("t")) && p->partition_index < FAKE_PARTITIONS;
            offset_commit_response_partition_init(&t->partitions[k]);
            t->partitions[k].partition_index = p->partition_index;
            t->partitions[k].error_code = error != 0 ? error : known ? KAFKA_NONE : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
            if (t->partitions[k].error_code == KAFKA_NONE && g != NULL)
                g->committed[p->partition_index] = p->committed_offset;
        }
    }
}

static void answer_delete(struct exchange *x)
{
    const struct delete_groups_request *q = x->q;
    struct delete_groups_response *a = x->a;
    CHECK(q->groups_names_count == 1);
    struct fake_group *g = group_of(x, q->groups_names[0]);
    delete_groups_response_init(a);
    a->results = exchange_take(x, 1, sizeof *a->results);
    a->results_count = 1;
    delete_groups_response_group_init(a->results);
    a->results->group_id = q->groups_names[0];
    a->results->error_code = coordinator_error(x, g);
    if (a->results->error_code == KAFKA_NONE && g == NULL) a->results->error_code = KAFKA_GROUP_ID_NOT_FOUND;
    if (a->results->error_code == KAFKA_NONE && g->members > 0) a->results->error_code = KAFKA_NON_EMPTY_GROUP;
    if (a->results->error_code == KAFKA_NONE) g->name = NULL;
}

bool groups_act(struct exchange *x)
{
    switch (x->h.api_key) {
    case API_FIND_COORDINATOR: answer_find(x); return true;
    case API_LIST_GROUPS: answer_list(x); return true;
    case API_CONSUMER_GROUP_DESCRIBE: answer_consumer_describe(x); return true;
    case API_DESCRIBE_GROUPS: answer_describe(x); return true;
    case API_OFFSET_FETCH: answer_offset_fetch(x); return true;
    case API_OFFSET_COMMIT: answer_offset_commit(x); return true;
    case API_DELETE_GROUPS: answer_delete(x); return true;
    default: return false;
    }
}

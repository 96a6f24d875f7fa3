// SPDX-License-Identifier: Apache-2.0
/* Deleted topics, told and taken back (contract: leat.h): requests of Leat's own, in Kafka's form. Other brokers do not
 * serve them: LEAT_UNSUPPORTED.
 *
 * Failure modes: NOT_CONTROLLER: the controller has moved, asked again; a lost answer ends the call, since the topic
 * may be back. The broker's own sentence is part of the error. */
#include "clients/c/metadata.h"
#include "clients/c/result.h"

#include "base/bytes.h"
#include "protocol/msg_leat_list_deleted_topics.h"
#include "protocol/msg_leat_undelete_topics.h"
#include <stdio.h>

#define VERSION_CAP 0
#define LIST_LIMIT  5000 /* what a broker tells at most */

static void deleted_take(struct result *r, const struct leat_list_deleted_topics_response *a,
                         struct leat_deleted_topics *ret)
{
    size_t n = (size_t)MAX(a->topics_count, 0);
    struct leat_deleted_topic *all = result_array(r, n, sizeof *all);
    for (size_t i = 0; i < n && !r->failed; i++) {
        all[i].name = result_text(r, a->topics[i].name);
        memcpy(all[i].id, a->topics[i].topic_id.b, sizeof all[i].id);
        all[i].partitions = a->topics[i].partitions;
        all[i].deleted_ms = a->topics[i].deleted_ms;
        all[i].kept_until_ms = a->topics[i].kept_until_ms;
    }
    if (!r->failed) *ret = (struct leat_deleted_topics){all, n, MAX((size_t)MAX(a->total, 0), n)};
}

static enum leat_code refusal(int16_t error, struct str message, const char *what, struct leat_error *e)
{
    char text[300];
    str_copy(text, sizeof text, message);
    return fail_kafka(e, error, "%s%s%s", what, text[0] ? ": " : "", text);
}

enum leat_code leat_deleted_topics_get(struct leat_client *client, int64_t timeout_ms,
                                       struct leat_deleted_topics **ret_topics, struct leat_error *ret_error)
{
    struct leat_list_deleted_topics_request q;
    struct reply reply;
    struct result *r;
    leat_list_deleted_topics_request_init(&q);
    q.limit = LIST_LIMIT;
    const struct call what = {
        .key = API_LEAT_LIST_DELETED_TOPICS, .version_cap = VERSION_CAP, .message = &q, .target = CALL_CONTROLLER};
    enum leat_code code = call(client, &what, deadline_in(timeout_ms), &reply, ret_error);
    if (code != LEAT_OK) return code;
    const struct leat_list_deleted_topics_response *a = reply.message;
    if (a->error_code != KAFKA_NONE) code = refusal(a->error_code, a->error_message, "deleted topics", ret_error);
    struct leat_deleted_topics *all = code == LEAT_OK ? result_create(client->mem, sizeof *all, &r) : NULL;
    if (all != NULL) deleted_take(r, a, all);
    if (code == LEAT_OK && (all == NULL || r->failed))
        code = fail(ret_error, LEAT_NO_MEMORY, "no memory for the deleted topics");
    reply_free(&reply);
    if (code == LEAT_OK)
        *ret_topics = all;
    else
        result_free(all);
    return code;
}

void leat_deleted_topics_free(struct leat_deleted_topics *topics)
{
    result_free(topics);
}

/* ---- taking one back ---- */

static enum leat_code judge(const struct leat_undelete_topics_response *a,
                            const struct leat_undelete_topics_request_topic *t, const char *what, struct leat_error *e)
{
    bool one = a->responses_count == 1;
    const struct leat_undelete_topics_response_topic *r = one ? &a->responses[0] : NULL;
    bool same = one && (t->name.len >= 0 ? str_equal(r->name, t->name) : uuid_equal(r->topic_id, t->topic_id));
    if (!same) return fail(e, LEAT_PROTOCOL, "%s: the answer is about something else", what);
    return r->error_code == KAFKA_NONE ? LEAT_OK : refusal(r->error_code, r->error_message, what, e);
}

enum leat_code leat_topic_undelete(struct leat_client *client, const char *name, const uint8_t *id, int64_t timeout_ms,
                                   struct leat_error *ret_error)
{
    struct leat_undelete_topics_request q;
    struct leat_undelete_topics_request_topic t;
    struct leat_error own, *e = ret_error;
    struct attempt again;
    char what[TOPIC_BYTES + 40];
    int64_t deadline = deadline_in(timeout_ms);
    if (e == NULL) e = &own;
    if ((name == NULL) == (id == NULL) || (name != NULL && !topic_valid(name)))
        return fail(e, LEAT_INVALID, "'%.300s' is no topic name", name == NULL ? "" : name);
    leat_undelete_topics_request_init(&q);
    leat_undelete_topics_request_topic_init(&t);
    q.topics = &t;
    q.topics_count = 1;
    t.name = str_of(name);
    if (id != NULL) memcpy(t.topic_id.b, id, sizeof t.topic_id.b);
    snprintf(what, sizeof what, name != NULL ? "undeleting topic '%s'" : "undeleting a topic by its id%s",
             name ? name : "");
    const struct call request = {.key = API_LEAT_UNDELETE_TOPICS,
                                 .version_cap = VERSION_CAP,
                                 .message = &q,
                                 .target = CALL_CONTROLLER,
                                 .once = true};
    attempt_init(&again, deadline);
    for (;;) {
        struct reply r;
        enum leat_code code = call(client, &request, deadline, &r, e);
        if (code != LEAT_OK) return code;
        code = judge(r.message, &t, what, e);
        reply_free(&r);
        bool moved = code == LEAT_BROKER && e->kafka_code == KAFKA_NOT_CONTROLLER;
        if (!moved || !attempt_again(&again)) return code;
    }
}

// SPDX-License-Identifier: Apache-2.0
/* Topics made, deleted, grown (contract: leat.h): one request for one topic to the controller.
 *
 * Failure modes: NOT_CONTROLLER: the controller has moved, asked again; a lost answer ends the call, since the change
 * may be made. The broker's own message is part of the error. */
#include "clients/c/metadata.h"

#include "base/bytes.h"
#include "protocol/msg_create_partitions.h"
#include "protocol/msg_create_topics.h"
#include "protocol/msg_delete_topics.h"

#define CREATE_TOPICS_VERSION_CAP     7
#define DELETE_TOPICS_VERSION_CAP     5 /* from 6 on topics may go by id */
#define CREATE_PARTITIONS_VERSION_CAP 3

struct verdict { /* on the one topic of an answer */
    struct str name, message;
    int16_t error;
};

static bool judge_create(const void *answer, struct verdict *ret_verdict)
{
    const struct create_topics_response *a = answer;
    if (a->topics_count != 1) return false;
    *ret_verdict = (struct verdict){a->topics[0].name, a->topics[0].error_message, a->topics[0].error_code};
    return true;
}

static bool judge_delete(const void *answer, struct verdict *ret_verdict)
{
    const struct delete_topics_response *a = answer;
    if (a->responses_count != 1) return false;
    *ret_verdict = (struct verdict){a->responses[0].name, a->responses[0].error_message, a->responses[0].error_code};
    return true;
}

static bool judge_grow(const void *answer, struct verdict *ret_verdict)
{
    const struct create_partitions_response *a = answer;
    if (a->results_count != 1) return false;
    *ret_verdict = (struct verdict){a->results[0].name, a->results[0].error_message, a->results[0].error_code};
    return true;
}

static enum leat_code verdict_code(const struct verdict *v, const char *what, const char *name, struct leat_error *e)
{
    char message[300];
    str_copy(message, sizeof message, v->message);
    if (v->error == KAFKA_NONE) return LEAT_OK;
    return fail_kafka(e, v->error, "%s topic '%s'%s%s", what, name, message[0] ? ": " : "", message);
}

/* judge: false if the answer has not exactly one topic. */
static enum leat_code change(struct leat_client *c, const struct call *q,
                             bool (*judge)(const void *answer, struct verdict *ret_verdict), const char *what,
                             const char *name, int64_t deadline, struct leat_error *e)
{
    struct attempt again;
    attempt_init(&again, deadline);
    for (;;) {
        struct reply r;
        struct verdict v;
        enum leat_code code = call(c, q, deadline, &r, e);
        if (code != LEAT_OK) return code;
        bool one = judge(r.message, &v) && str_equal(v.name, str_of(name));
        code = one ? verdict_code(&v, what, name, e)
                   : fail(e, LEAT_PROTOCOL, "%s topic '%s': the answer is about something else", what, name);
        bool moved = one && v.error == KAFKA_NOT_CONTROLLER;
        reply_free(&r);
        if (!moved || !attempt_again(&again)) return code;
    }
}

static enum leat_code name_check(const char *name, struct leat_error *e)
{
    if (topic_valid(name)) return LEAT_OK;
    return fail(e, LEAT_INVALID, "'%.300s' is no topic name: 1 to 249 of letters, digits, '.', '_', '-'",
                name == NULL ? "" : name);
}

static int32_t patience(int64_t deadline)
{
    return deadline == SOCKET_FOREVER ? 60000 : (int32_t)MIN(MAX(deadline - socket_now_ms(), 1), (int64_t)INT32_MAX);
}

enum leat_code leat_topic_create(struct leat_client *client, const struct leat_new_topic *topic, int64_t timeout_ms,
                                 struct leat_error *ret_error)
{
    struct create_topics_request q;
    struct create_topics_request_topic t;
    int64_t deadline = deadline_in(timeout_ms);
    size_t n = topic->setting_count, bytes = MAX(n, (size_t)1) * sizeof *t.configs;
    enum leat_code code = name_check(topic->name, ret_error);
    if (code != LEAT_OK) return code;
    if (topic->partitions == 0 || topic->partitions < -1 || topic->replication_factor == 0 ||
        topic->replication_factor < -1 || n > INT16_MAX)
        return fail(ret_error, LEAT_INVALID, "topic '%s': at least 1 partition and replica", topic->name);
    create_topics_request_init(&q);
    create_topics_request_topic_init(&t);
    q.topics = &t;
    q.topics_count = 1;
    q.timeout_ms = patience(deadline);
    t.name = str_of(topic->name);
    t.num_partitions = topic->partitions;
    t.replication_factor = topic->replication_factor;
    t.configs = mem_alloc(client->mem, MEM_CONTROL, bytes);
    if (t.configs == NULL) return fail(ret_error, LEAT_NO_MEMORY, "no memory for %zu settings", n);
    t.configs_count = (int32_t)n;
    for (size_t i = 0; i < n; i++) {
        create_topics_request_config_init(&t.configs[i]);
        t.configs[i].name = str_of(topic->settings[i].name);
        t.configs[i].value = str_of(topic->settings[i].value);
    }
    const struct call what = {.key = API_CREATE_TOPICS,
                              .version_cap = CREATE_TOPICS_VERSION_CAP,
                              .message = &q,
                              .target = CALL_CONTROLLER,
                              .once = true};
    code = change(client, &what, judge_create, "creating", topic->name, deadline, ret_error);
    mem_free(client->mem, MEM_CONTROL, t.configs, bytes);
    return code;
}

enum leat_code leat_topic_delete(struct leat_client *client, const char *name, int64_t timeout_ms,
                                 struct leat_error *ret_error)
{
    struct delete_topics_request q;
    struct str names[1] = {str_of(name)};
    int64_t deadline = deadline_in(timeout_ms);
    enum leat_code code = name_check(name, ret_error);
    if (code != LEAT_OK) return code;
    delete_topics_request_init(&q);
    q.topic_names = names;
    q.topic_names_count = 1;
    q.timeout_ms = patience(deadline);
    const struct call what = {.key = API_DELETE_TOPICS,
                              .version_cap = DELETE_TOPICS_VERSION_CAP,
                              .message = &q,
                              .target = CALL_CONTROLLER,
                              .once = true};
    return change(client, &what, judge_delete, "deleting", name, deadline, ret_error);
}

enum leat_code leat_topic_grow(struct leat_client *client, const char *name, int32_t partitions, int64_t timeout_ms,
                               struct leat_error *ret_error)
{
    struct create_partitions_request q;
    struct create_partitions_request_topic t;
    int64_t deadline = deadline_in(timeout_ms);
    enum leat_code code = name_check(name, ret_error);
    if (code == LEAT_OK && partitions < 1)
        code = fail(ret_error, LEAT_INVALID, "topic '%s': at least 1 partition", name);
    if (code != LEAT_OK) return code;
    create_partitions_request_init(&q);
    create_partitions_request_topic_init(&t);
    q.topics = &t;
    q.topics_count = 1;
    q.timeout_ms = patience(deadline);
    t.name = str_of(name);
    t.count = partitions;
    t.assignments_count = -1;
    const struct call what = {.key = API_CREATE_PARTITIONS,
                              .version_cap = CREATE_PARTITIONS_VERSION_CAP,
                              .message = &q,
                              .target = CALL_CONTROLLER,
                              .once = true};
    return change(client, &what, judge_grow, "adding partitions to", name, deadline, ret_error);
}

static bool all_led(const struct topic_view *v, int32_t partitions)
{
    struct address leader;
    int32_t epoch;
    if (topic_view_partitions(v) < partitions) return false;
    for (int32_t i = 0; i < topic_view_partitions(v); i++)
        if (!topic_view_leader(v, i, &leader, &epoch)) return false;
    return true;
}

enum leat_code leat_topic_wait(struct leat_client *client, const char *name, int32_t partitions, int64_t timeout_ms,
                               struct leat_error *ret_error)
{
    struct topic_view v;
    struct attempt again;
    int64_t deadline = deadline_in(timeout_ms);
    enum leat_code code = name_check(name, ret_error);
    if (code != LEAT_OK) return code;
    topic_view_init(&v, client, name);
    attempt_init(&again, deadline);
    for (;;) {
        v.stale = true;
        code = topic_view_refresh(&v, deadline, ret_error);
        if (code == LEAT_OK && all_led(&v, partitions)) break;
        if (code == LEAT_OK)
            code = fail(ret_error, LEAT_TIMED_OUT, "not every partition of topic '%s' has a leader yet", name);
        if ((code != LEAT_NOT_FOUND && !passing(code)) || !attempt_again(&again)) break;
    }
    topic_view_deinit(&v);
    return code;
}

// SPDX-License-Identifier: Apache-2.0
/* State and members of one group (contract: leat.h).
 *
 * Happy path: ConsumerGroupDescribe, which answers about groups that the broker assigns; for all others, and at brokers
 * that do not serve it, DescribeGroups, where a member's assignment is bytes that its client has written.
 * Failure modes: an assignment that does not decode is shown as none: the bytes are a stranger's. */
#include "clients/c/coordinator.h"
#include "clients/c/result.h"

#include "base/bytes.h"
#include "protocol/cursor.h"
#include "protocol/msg_consumer_group_describe.h"
#include "protocol/msg_consumer_protocol_assignment.h"
#include "protocol/msg_describe_groups.h"
#include <stdlib.h>

#define CONSUMER_GROUP_DESCRIBE_VERSION_CAP 1
#define DESCRIBE_GROUPS_VERSION_CAP         6
#define ASSIGNMENT_BYTES_MAX                ((size_t)64 << 20) /* decoded */

static int assigned_order(const void *a, const void *b)
{
    const struct leat_assigned *x = a, *y = b;
    int order = strcmp(x->topic, y->topic);
    return order != 0 ? order : (x->partition > y->partition) - (x->partition < y->partition);
}

static int member_order(const void *a, const void *b)
{
    const struct leat_member *x = a, *y = b;
    return strcmp(x->id, y->id);
}

/* ---- groups that the broker assigns ---- */

static void assignment_take(struct result *r, const struct consumer_group_describe_response_assignment *q,
                            struct leat_member *m)
{
    size_t n = 0, at = 0;
    for (int32_t i = 0; i < q->topic_partitions_count; i++)
        n += (size_t)MAX(q->topic_partitions[i].partitions_count, 0);
    struct leat_assigned *all = result_array(r, n, sizeof *all);
    for (int32_t i = 0; i < q->topic_partitions_count && !r->failed; i++) {
        const char *topic = result_text(r, q->topic_partitions[i].topic_name);
        for (int32_t k = 0; k < q->topic_partitions[i].partitions_count && !r->failed; k++)
            all[at++] = (struct leat_assigned){topic, q->topic_partitions[i].partitions[k]};
    }
    if (r->failed) return;
    qsort(all, n, sizeof *all, assigned_order);
    m->assigned = all;
    m->assigned_count = n;
}

static void consumer_take(struct result *r, const struct consumer_group_describe_response_group *q, int32_t node,
                          struct leat_group_state *s)
{
    size_t n = (size_t)MAX(q->members_count, 0);
    struct leat_member *members = result_array(r, n, sizeof *members);
    s->group = (struct leat_group){.name = result_text(r, q->group_id),
                                   .type = "consumer",
                                   .protocol = "consumer",
                                   .state = result_text(r, q->group_state),
                                   .coordinator = node};
    s->assignor = result_text(r, q->assignor_name);
    s->epoch = q->group_epoch;
    for (size_t i = 0; i < n && !r->failed; i++) {
        members[i].id = result_text(r, q->members[i].member_id);
        members[i].instance_id = result_str(r, q->members[i].instance_id);
        members[i].client_id = result_text(r, q->members[i].client_id);
        members[i].host = result_text(r, q->members[i].client_host);
        assignment_take(r, &q->members[i].assignment, &members[i]);
    }
    if (r->failed) return;
    qsort(members, n, sizeof *members, member_order);
    s->members = members;
    s->member_count = n;
}

static int16_t consumer_error(const void *answer)
{
    const struct consumer_group_describe_response *a = answer;
    return a->groups_count == 1 ? a->groups[0].error_code : KAFKA_NONE;
}

/* ---- groups that a member assigns ---- */

static void classic_assignment_take(struct result *r, struct bytes bytes, struct leat_member *m)
{
    struct consumer_protocol_assignment a;
    struct arena arena;
    struct cursor c;
    if (bytes.len < 2) return;
    cursor_init(&c, bytes.data, (size_t)bytes.len);
    int16_t version = cursor_int16(&c);
    if (version < 0) return;
    version = MIN(version, consumer_protocol_assignment_type.max_version); /* newer ones begin the same way */
    arena_init(&arena, r->mem, MEM_FETCH, ASSIGNMENT_BYTES_MAX);
    if (consumer_protocol_assignment_decode(&c, &arena, version, &a) == STATUS_OK) {
        size_t n = 0, at = 0;
        for (int32_t i = 0; i < a.assigned_partitions_count; i++)
            n += (size_t)MAX(a.assigned_partitions[i].partitions_count, 0);
        struct leat_assigned *all = result_array(r, n, sizeof *all);
        for (int32_t i = 0; i < a.assigned_partitions_count && !r->failed; i++) {
            const char *topic = result_text(r, a.assigned_partitions[i].topic);
            for (int32_t k = 0; k < a.assigned_partitions[i].partitions_count && !r->failed; k++)
                all[at++] = (struct leat_assigned){topic, a.assigned_partitions[i].partitions[k]};
        }
        if (!r->failed) {
            qsort(all, n, sizeof *all, assigned_order);
            m->assigned = all;
            m->assigned_count = n;
        }
    }
    arena_deinit(&arena);
}

static void classic_take(struct result *r, const struct describe_groups_response_group *q, int32_t node,
                         struct leat_group_state *s)
{
    size_t n = (size_t)MAX(q->members_count, 0);
    bool consumers = str_equal(q->protocol_type, STR("consumer"));
    struct leat_member *members = result_array(r, n, sizeof *members);
    s->group = (struct leat_group){.name = result_text(r, q->group_id),
                                   .type = "classic",
                                   .protocol = result_text(r, q->protocol_type),
                                   .state = result_text(r, q->group_state),
                                   .coordinator = node};
    s->assignor = result_text(r, q->protocol_data);
    s->epoch = -1;
    for (size_t i = 0; i < n && !r->failed; i++) {
        members[i].id = result_text(r, q->members[i].member_id);
        members[i].instance_id = result_str(r, q->members[i].group_instance_id);
        members[i].client_id = result_text(r, q->members[i].client_id);
        members[i].host = result_text(r, q->members[i].client_host);
        if (consumers) classic_assignment_take(r, q->members[i].member_assignment, &members[i]);
    }
    if (r->failed) return;
    qsort(members, n, sizeof *members, member_order);
    s->members = members;
    s->member_count = n;
}

static int16_t classic_error(const void *answer)
{
    const struct describe_groups_response *a = answer;
    return a->groups_count == 1 ? a->groups[0].error_code : KAFKA_NONE;
}

/* ---- the call ---- */

static enum leat_code refusal(int16_t error, struct str message, const char *name, struct leat_error *e)
{
    char text[200];
    str_copy(text, sizeof text, message);
    if (error == KAFKA_GROUP_ID_NOT_FOUND) return fail_kafka(e, error, "there is no group '%.100s'", name);
    return fail_kafka(e, error, "group '%.100s'%s%s", name, text[0] ? ": " : "", text);
}

static enum leat_code other(const char *name, struct leat_error *e)
{
    return fail(e, LEAT_PROTOCOL, "group '%.100s': the answer is about something else", name);
}

/* LEAT_NOT_FOUND, LEAT_UNSUPPORTED: perhaps it is a classic group. */
static enum leat_code ask_consumer(struct leat_client *c, const char *name, int64_t deadline, struct reply *ret_reply,
                                   int32_t *ret_node, struct leat_error *e)
{
    struct consumer_group_describe_request q;
    struct str names[1] = {str_of(name)};
    consumer_group_describe_request_init(&q);
    q.group_ids = names;
    q.group_ids_count = 1;
    const struct group_call what = {.group = name,
                                    .key = API_CONSUMER_GROUP_DESCRIBE,
                                    .version_cap = CONSUMER_GROUP_DESCRIBE_VERSION_CAP,
                                    .message = &q,
                                    .error = consumer_error};
    enum leat_code code = coordinator_call(c, &what, deadline, ret_node, ret_reply, e);
    if (code != LEAT_OK) return code;
    const struct consumer_group_describe_response *a = ret_reply->message;
    if (a->groups_count != 1 || !str_equal(a->groups[0].group_id, str_of(name)))
        code = other(name, e);
    else if (a->groups[0].error_code == KAFKA_UNSUPPORTED_VERSION)
        code = fail(e, LEAT_UNSUPPORTED, "group '%.100s': the broker assigns no groups", name);
    else if (a->groups[0].error_code != KAFKA_NONE)
        code = refusal(a->groups[0].error_code, a->groups[0].error_message, name, e);
    if (code != LEAT_OK) reply_free(ret_reply);
    return code;
}

static enum leat_code ask_classic(struct leat_client *c, const char *name, int64_t deadline, struct reply *ret_reply,
                                  int32_t *ret_node, struct leat_error *e)
{
    struct describe_groups_request q;
    struct str names[1] = {str_of(name)};
    describe_groups_request_init(&q);
    q.groups = names;
    q.groups_count = 1;
    const struct group_call what = {.group = name,
                                    .key = API_DESCRIBE_GROUPS,
                                    .version_cap = DESCRIBE_GROUPS_VERSION_CAP,
                                    .message = &q,
                                    .error = classic_error};
    enum leat_code code = coordinator_call(c, &what, deadline, ret_node, ret_reply, e);
    if (code != LEAT_OK) return code;
    const struct describe_groups_response *a = ret_reply->message;
    if (a->groups_count != 1 || !str_equal(a->groups[0].group_id, str_of(name)))
        code = other(name, e);
    else if (a->groups[0].error_code != KAFKA_NONE)
        code = refusal(a->groups[0].error_code, a->groups[0].error_message, name, e);
    else if (str_equal(a->groups[0].group_state, STR("Dead"))) /* how versions below 6 say it */
        code = refusal(KAFKA_GROUP_ID_NOT_FOUND, STR_NULL, name, e);
    if (code != LEAT_OK) reply_free(ret_reply);
    return code;
}

enum leat_code leat_group_get(struct leat_client *client, const char *name, int64_t timeout_ms,
                              struct leat_group_state **ret_state, struct leat_error *ret_error)
{
    struct leat_error own, *e = ret_error;
    struct reply reply;
    struct result *r;
    int32_t node;
    int64_t deadline = deadline_in(timeout_ms);
    if (e == NULL) e = &own;
    enum leat_code code = group_check(name, e);
    if (code != LEAT_OK) return code;
    code = ask_consumer(client, name, deadline, &reply, &node, e);
    bool classic = code == LEAT_NOT_FOUND || code == LEAT_UNSUPPORTED;
    if (classic) code = ask_classic(client, name, deadline, &reply, &node, e);
    if (code != LEAT_OK) return code;
    struct leat_group_state *s = result_create(client->mem, sizeof *s, &r);
    if (s != NULL && classic)
        classic_take(r, ((const struct describe_groups_response *)reply.message)->groups, node, s);
    else if (s != NULL)
        consumer_take(r, ((const struct consumer_group_describe_response *)reply.message)->groups, node, s);
    reply_free(&reply);
    if (s == NULL || r->failed) {
        result_free(s);
        return fail(e, LEAT_NO_MEMORY, "no memory for group '%.100s'", name);
    }
    *ret_state = s;
    return LEAT_OK;
}

void leat_group_state_free(struct leat_group_state *state)
{
    result_free(state);
}

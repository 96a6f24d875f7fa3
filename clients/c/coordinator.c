// SPDX-License-Identifier: Apache-2.0
/* Requests to a group's coordinator (contract: coordinator.h).
 *
 * Happy path: FindCoordinator at any broker -> the request to the broker it names -> the answer.
 * Failure modes: a coordinator that is away, loads its groups or has handed them on: found and asked again after a
 * pause, until the deadline. A change whose answer was lost is not repeated. */
#include "clients/c/coordinator.h"

#include "base/bytes.h"
#include "protocol/msg_find_coordinator.h"

#define FIND_COORDINATOR_VERSION_CAP 6
#define KEY_TYPE_GROUP               0

enum leat_code group_check(const char *group, struct leat_error *e)
{
    if (group == NULL || group[0] == '\0') return fail(e, LEAT_INVALID, "a group needs a name");
    if (strnlen(group, GROUP_BYTES) < GROUP_BYTES) return LEAT_OK;
    return fail(e, LEAT_INVALID, "group '%.40s...': a name of at most %d bytes", group, GROUP_BYTES - 1);
}

bool coordinator_busy(int16_t kafka_code)
{
    return kafka_code == KAFKA_COORDINATOR_LOAD_IN_PROGRESS || kafka_code == KAFKA_COORDINATOR_NOT_AVAILABLE ||
           kafka_code == KAFKA_NOT_COORDINATOR;
}

/* Old versions answer about one key, newer ones about a list of them. */
static enum leat_code found(const struct find_coordinator_response *a, const char *group, struct address *ret_address,
                            struct leat_error *e)
{
    bool list = a->coordinators_count == 1;
    int16_t error = list ? a->coordinators[0].error_code : a->error_code;
    struct str host = list ? a->coordinators[0].host : a->host;
    int32_t port = list ? a->coordinators[0].port : a->port;
    char message[200];
    str_copy(message, sizeof message, list ? a->coordinators[0].error_message : a->error_message);
    if (a->coordinators_count > 1 || (list && !str_equal(a->coordinators[0].key, str_of(group))))
        return fail(e, LEAT_PROTOCOL, "coordinator of group '%.100s': the answer is about something else", group);
    if (error != KAFKA_NONE)
        return fail_kafka(e, error, "coordinator of group '%.100s'%s%s", group, message[0] ? ": " : "", message);
    if (port <= 0 || port > UINT16_MAX || host.len <= 0 || host.len > HOST_MAX)
        return fail(e, LEAT_PROTOCOL, "coordinator of group '%.100s': the broker gives no usable address", group);
    *ret_address = (struct address){.node = list ? a->coordinators[0].node_id : a->node_id, .port = (uint16_t)port};
    str_copy(ret_address->host, sizeof ret_address->host, host);
    return LEAT_OK;
}

static enum leat_code find(struct leat_client *c, const char *group, int64_t deadline, struct address *ret_address,
                           struct leat_error *e)
{
    struct find_coordinator_request q;
    struct str key = str_of(group);
    struct reply r;
    find_coordinator_request_init(&q);
    q.key = key;
    q.key_type = KEY_TYPE_GROUP;
    q.coordinator_keys = &key;
    q.coordinator_keys_count = 1;
    const struct call what = {
        .key = API_FIND_COORDINATOR, .version_cap = FIND_COORDINATOR_VERSION_CAP, .message = &q, .target = CALL_ANY};
    enum leat_code code = call(c, &what, deadline, &r, e);
    if (code != LEAT_OK) return code;
    code = found(r.message, group, ret_address, e);
    reply_free(&r);
    return code;
}

/* One attempt. *ret_again: a later one may do better. */
static enum leat_code once(struct leat_client *c, const struct group_call *q, int64_t deadline, struct address *at,
                           struct reply *r, bool *ret_again, struct leat_error *e)
{
    bool sent = false;
    const struct call what = {.key = q->key,
                              .version_cap = q->version_cap,
                              .message = q->message,
                              .target = CALL_NODE,
                              .node = at,
                              .one_try = true, /* by the next one the coordinator may be another */
                              .ret_sent = &sent};
    enum leat_code code = find(c, q->group, deadline, at, e);
    *ret_again = code == LEAT_BROKER && coordinator_busy(e->kafka_code);
    if (code != LEAT_OK) return code;
    code = call(c, &what, deadline, r, e);
    *ret_again = passing(code) && !(sent && q->once);
    if (passing(code) && sent && q->once)
        return fail(e, LEAT_TIMED_OUT, "the answer was lost, so it may be done or not; look before you repeat it");
    if (code != LEAT_OK) return code;
    int16_t error = q->error(r->message);
    *ret_again = coordinator_busy(error);
    if (!*ret_again) return LEAT_OK;
    reply_free(r);
    return fail_kafka(e, error, "group '%.100s' at its coordinator %s:%u", q->group, at->host, (unsigned)at->port);
}

enum leat_code coordinator_call(struct leat_client *c, const struct group_call *q, int64_t deadline, int32_t *ret_node,
                                struct reply *ret_reply, struct leat_error *e)
{
    struct attempt again;
    struct leat_error own;
    struct address at = {.node = NODE_NONE};
    bool more = false;
    if (e == NULL) e = &own;
    attempt_init(&again, deadline);
    for (;;) {
        enum leat_code code = once(c, q, deadline, &at, ret_reply, &more, e);
        if (code == LEAT_OK) *ret_node = at.node;
        if (code == LEAT_OK || !more || !attempt_again(&again)) return code;
    }
}

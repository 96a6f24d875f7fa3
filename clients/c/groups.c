// SPDX-License-Identifier: Apache-2.0
/* The groups of a cluster, and their end (contract: leat.h).
 *
 * Happy path of a list: Metadata -> ListGroups to each broker, which knows those it coordinates -> one sorted result.
 * Failure modes: a broker that does not answer is named in the result; a coordinator that loads is asked again. */
#include "clients/c/coordinator.h"
#include "clients/c/result.h"

#include "base/bytes.h"
#include "protocol/msg_delete_groups.h"
#include "protocol/msg_list_groups.h"
#include <stdlib.h>

#define LIST_GROUPS_VERSION_CAP   5
#define DELETE_GROUPS_VERSION_CAP 3

/* ---- all groups ---- */

struct told { /* what one broker said */
    struct address at;
    struct reply reply; /* zeroed: nothing */
};

static enum leat_code list_one(struct leat_client *c, struct told *t, int64_t deadline, struct leat_error *e)
{
    struct list_groups_request q;
    struct attempt again;
    list_groups_request_init(&q);
    const struct call what = {.key = API_LIST_GROUPS,
                              .version_cap = LIST_GROUPS_VERSION_CAP,
                              .message = &q,
                              .target = CALL_NODE,
                              .node = &t->at,
                              .one_try = true}; /* a broker that is away must not cost the others their time */
    attempt_init(&again, deadline);
    for (;;) {
        enum leat_code code = call(c, &what, deadline, &t->reply, e);
        if (code != LEAT_OK) return code;
        const struct list_groups_response *a = t->reply.message;
        if (a->error_code == KAFKA_NONE) return LEAT_OK;
        int16_t error = a->error_code;
        reply_free(&t->reply);
        code = fail_kafka(e, error, "groups of broker %d", t->at.node);
        if (!coordinator_busy(error) || !attempt_again(&again)) return code;
    }
}

static int group_order(const void *a, const void *b)
{
    const struct leat_group *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static void groups_take(struct result *r, const struct told *told, uint32_t brokers, struct leat_groups *ret)
{
    size_t n = 0, silent = 0, at = 0, s = 0;
    for (uint32_t i = 0; i < brokers; i++) {
        const struct list_groups_response *a = told[i].reply.message;
        n += a == NULL ? 0 : (size_t)MAX(a->groups_count, 0);
        silent += a == NULL;
    }
    struct leat_group *groups = result_array(r, n, sizeof *groups);
    int32_t *nodes = result_array(r, silent, sizeof *nodes);
    for (uint32_t i = 0; i < brokers && !r->failed; i++) {
        const struct list_groups_response *a = told[i].reply.message;
        if (a == NULL) nodes[s++] = told[i].at.node;
        for (int32_t k = 0; a != NULL && k < a->groups_count && !r->failed; k++)
            groups[at++] = (struct leat_group){.name = result_text(r, a->groups[k].group_id),
                                               .type = result_text(r, a->groups[k].group_type),
                                               .protocol = result_text(r, a->groups[k].protocol_type),
                                               .state = result_text(r, a->groups[k].group_state),
                                               .coordinator = told[i].at.node};
    }
    if (r->failed) return;
    qsort(groups, n, sizeof *groups, group_order);
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) /* one that moved while we asked is told twice */
        if (kept == 0 || strcmp(groups[kept - 1].name, groups[i].name) != 0) groups[kept++] = groups[i];
    *ret = (struct leat_groups){groups, kept, nodes, silent};
}

/* The brokers of the last Metadata answer, copied: a request may bring another one. */
static enum leat_code brokers_ask(struct leat_client *c, struct told *told, uint32_t brokers, int64_t deadline,
                                  struct leat_error *e)
{
    enum leat_code last = LEAT_OK;
    bool one = false;
    for (uint32_t i = 0; i < brokers; i++) {
        enum leat_code code = list_one(c, &told[i], deadline, e);
        one = one || code == LEAT_OK;
        if (code == LEAT_OK) continue;
        last = code;
        if (!passing(code) && !(code == LEAT_BROKER && coordinator_busy(e->kafka_code))) return code;
    }
    return one ? LEAT_OK : last;
}

enum leat_code leat_groups_get(struct leat_client *client, int64_t timeout_ms, struct leat_groups **ret_groups,
                               struct leat_error *ret_error)
{
    static const char *const none[1];
    struct leat_error own, *e = ret_error;
    struct reply r;
    struct result *result;
    int64_t deadline = deadline_in(timeout_ms);
    if (e == NULL) e = &own;
    enum leat_code code = metadata_fetch(client, none, 0, deadline, &r, e);
    if (code != LEAT_OK) return code;
    reply_free(&r);
    uint32_t n = client->known_count;
    struct told *told = mem_zalloc(client->mem, MEM_CONTROL, MAX(n, 1u) * sizeof *told);
    if (told == NULL) return fail(e, LEAT_NO_MEMORY, "no memory to ask %u brokers", n);
    for (uint32_t i = 0; i < n; i++) told[i].at = client->known[i];
    code = n == 0 ? fail(e, LEAT_PROTOCOL, "the cluster has no brokers") : brokers_ask(client, told, n, deadline, e);
    if (code == LEAT_OK) {
        struct leat_groups *groups = result_create(client->mem, sizeof *groups, &result);
        if (groups != NULL) groups_take(result, told, n, groups);
        if (groups == NULL || result->failed) {
            result_free(groups);
            code = fail(e, LEAT_NO_MEMORY, "no memory for the groups");
        } else {
            *ret_groups = groups;
        }
    }
    for (uint32_t i = 0; i < n; i++) reply_free(&told[i].reply);
    mem_free(client->mem, MEM_CONTROL, told, MAX(n, 1u) * sizeof *told);
    return code;
}

void leat_groups_free(struct leat_groups *groups)
{
    result_free(groups);
}

/* ---- the end of one ---- */

static int16_t delete_error(const void *answer)
{
    const struct delete_groups_response *a = answer;
    return a->results_count == 1 ? a->results[0].error_code : KAFKA_NONE;
}

enum leat_code leat_group_delete(struct leat_client *client, const char *name, int64_t timeout_ms,
                                 struct leat_error *ret_error)
{
    struct delete_groups_request q;
    struct str names[1] = {str_of(name)};
    struct reply r;
    int32_t node;
    enum leat_code code = group_check(name, ret_error);
    if (code != LEAT_OK) return code;
    delete_groups_request_init(&q);
    q.groups_names = names;
    q.groups_names_count = 1;
    const struct group_call what = {.group = name,
                                    .key = API_DELETE_GROUPS,
                                    .version_cap = DELETE_GROUPS_VERSION_CAP,
                                    .message = &q,
                                    .error = delete_error,
                                    .once = true};
    code = coordinator_call(client, &what, deadline_in(timeout_ms), &node, &r, ret_error);
    if (code != LEAT_OK) return code;
    const struct delete_groups_response *a = r.message;
    char message[200];
    if (a->results_count != 1 || !str_equal(a->results[0].group_id, str_of(name))) {
        code = fail(ret_error, LEAT_PROTOCOL, "deleting group '%.100s': the answer is about something else", name);
    } else if (a->results[0].error_code != KAFKA_NONE) {
        str_copy(message, sizeof message, a->results[0].error_message);
        code = fail_kafka(ret_error, a->results[0].error_code, "deleting group '%.100s'%s%s", name,
                          message[0] ? ": " : "", message);
    }
    reply_free(&r);
    return code;
}

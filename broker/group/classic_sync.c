// SPDX-License-Identifier: Apache-2.0
/* SyncGroup and LeaveGroup of classic groups, as Apache Kafka 4.4 does them.
 *
 * SyncGroup: members wait until the leader has sent the assignment of all; it is put as a record, and then everybody
 * gets his part. A newer SyncGroup of a member that waits ends the older one with REBALANCE_IN_PROGRESS (it joins
 * again; Kafka never answers it).
 *
 * LeaveGroup: members go one by one, each with its own result; a rebalance follows if one went. An id that was only
 * given out is forgotten without one (Kafka begins one there too, for nothing).
 *
 * Failure modes: an assignment that is too large is UNKNOWN_SERVER_ERROR for all, as a too large record is in Kafka,
 * and the group begins anew. */
#include "base/check.h"
#include "broker/group/classic_impl.h"
#include "protocol/msg_leave_group.h"
#include "protocol/msg_sync_group.h"

/* ---- sync ---- */

static bool differs(struct str said, struct str own)
{
    return said.len >= 0 && own.len >= 0 && !str_equal(said, own);
}

static int16_t check_sync(const struct classic_group *cg, const struct sync_group_request *q,
                          struct classic_member **ret_member)
{
    int16_t error = classic_check_member(cg, q->member_id, q->group_instance_id, ret_member);
    if (error != KAFKA_NONE) return error;
    if (q->generation_id != cg->generation) return KAFKA_ILLEGAL_GENERATION;
    if (differs(q->protocol_type, cg->protocol_type) || differs(q->protocol_name, cg->protocol))
        return KAFKA_INCONSISTENT_GROUP_PROTOCOL;
    return cg->state == CLASSIC_PREPARING ? KAFKA_REBALANCE_IN_PROGRESS : KAFKA_NONE;
}

/* Whom the leader leaves out gets nothing; whom it makes up is passed over. False: too much in all. */
static bool read_assignments(struct classic_group *cg, const struct sync_group_request *q)
{
    size_t bytes = 0;
    list_each (n, &cg->members) container_of(n, struct classic_member, in_list)->given = BYTES_EMPTY;
    for (int32_t i = 0; i < q->assignments_count; i++) {
        struct classic_member *m = classic_find(cg, q->assignments[i].member_id);
        if (m != NULL && !m->pending) m->given = q->assignments[i].assignment;
    }
    list_each (n, &cg->members) bytes += (size_t)MAX(container_of(n, struct classic_member, in_list)->given.len, 0);
    return bytes <= CLASSIC_ASSIGNMENT_BYTES_MAX;
}

static void assign(struct groups *gs, struct group *g, const struct sync_group_request *q)
{
    if (!read_assignments(g->classic, q)) {
        classic_propagate(gs, g, KAFKA_UNKNOWN_SERVER_ERROR);
        classic_prepare(gs, g);
        return;
    }
    classic_put(gs, g, g->classic->generation, true);
    classic_propagate(gs, g, gs->status == STATUS_OK ? KAFKA_NONE : KAFKA_COORDINATOR_NOT_AVAILABLE);
}

void classic_sync(struct groups *gs, struct group *g, struct group_call *c)
{
    struct classic_group *cg = g->classic;
    const struct sync_group_request *q = c->request;
    struct classic_member *m;
    int16_t error = check_sync(cg, q, &m);
    if (error != KAFKA_NONE) {
        call_fail(gs, c, error);
        return;
    }
    classic_set_unsynced(cg, m, false);
    if (cg->unsynced_count == 0) cg->sync_ends = NEVER;
    if (cg->state == CLASSIC_STABLE) {
        classic_answer_sync(gs, g, m, c, KAFKA_NONE);
        return;
    }
    CHECK(cg->state == CLASSIC_COMPLETING);
    if (m->sync_call != NULL) call_fail(gs, m->sync_call, KAFKA_REBALANCE_IN_PROGRESS);
    m->syncing = true;
    call_hold(c, &m->sync_call);
    if (cg->leader == m) assign(gs, g, q);
}

/* ---- leave ---- */

static int16_t leave_one(struct groups *gs, struct classic_group *cg, struct str id, struct str instance,
                         bool *ret_gone)
{
    struct classic_member *m = classic_find(cg, id);
    int16_t error = KAFKA_NONE;
    if (id.len <= 0) { /* an administrator, by the instance's name */
        m = classic_find_static(cg, instance);
        if (m == NULL) return KAFKA_UNKNOWN_MEMBER_ID;
    } else if (m == NULL || !m->pending) {
        error = classic_check_member(cg, id, instance, &m);
    }
    if (error != KAFKA_NONE) return error;
    if (!m->pending) *ret_gone = true;
    classic_end_calls(gs, cg, m, KAFKA_UNKNOWN_MEMBER_ID, STR_EMPTY);
    classic_remove(gs, cg, m);
    return KAFKA_NONE;
}

/* False: no room. Members: NULL group, none is known. */
static bool leave_all(struct groups *gs, struct group *g, struct group_call *c, bool *ret_gone)
{
    const struct leave_group_request *q = c->request;
    struct leave_group_response *a = c->response;
    a->members = call_zalloc(c, (size_t)MAX(q->members_count, 0) * sizeof *a->members);
    if (a->members == NULL) return false;
    for (int32_t i = 0; i < q->members_count; i++) {
        struct leave_group_response_member *r = &a->members[a->members_count++];
        leave_group_response_member_init(r);
        r->member_id = q->members[i].member_id;
        r->group_instance_id = q->members[i].group_instance_id;
        r->error_code = KAFKA_UNKNOWN_MEMBER_ID;
        if (g != NULL) r->error_code = leave_one(gs, g->classic, r->member_id, r->group_instance_id, ret_gone);
    }
    return true;
}

void classic_leave(struct groups *gs, struct group *g, struct group_call *c)
{
    enum { MEMBERS_FROM = 3 };
    const struct leave_group_request *q = c->request;
    struct leave_group_response *a = c->response;
    bool gone = false, room = true;
    if (c->version >= MEMBERS_FROM)
        room = leave_all(gs, g, c, &gone);
    else if (g != NULL)
        a->error_code = leave_one(gs, g->classic, q->member_id, STR_NULL, &gone);
    else
        a->error_code = KAFKA_UNKNOWN_MEMBER_ID;
    if (gone)
        classic_prepare_or_complete(gs, g);
    else if (g != NULL)
        classic_maybe_complete(gs, g);
    if (room)
        call_answer(gs, c);
    else
        call_fail(gs, c, KAFKA_COORDINATOR_NOT_AVAILABLE);
}

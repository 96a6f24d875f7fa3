// SPDX-License-Identifier: Apache-2.0
/* Responses to members of classic groups. What they say is copied to the call, because the group may change before the
 * response is sent.
 *
 * Failure modes: no room for a response ends the call with COORDINATOR_NOT_AVAILABLE; the member comes again and finds
 * the generation unchanged. */
#include "base/check.h"
#include "broker/group/classic_impl.h"
#include "protocol/msg_join_group.h"
#include "protocol/msg_sync_group.h"

#define NULL_PROTOCOL_FROM 7 /* JoinGroup: the protocol's name may be null */

struct str classic_leader_id(const struct classic_group *cg)
{
    return cg->leader != NULL ? cg->leader->id : STR_NULL;
}

static bool fill_members(const struct classic_group *cg, struct group_call *c, struct join_group_response *a)
{
    a->members = call_zalloc(c, cg->member_count * sizeof *a->members);
    if (a->members == NULL) return false;
    list_each (n, &cg->members) {
        const struct classic_member *m = container_of(n, struct classic_member, in_list);
        struct join_group_response_member *r = &a->members[a->members_count++];
        join_group_response_member_init(r);
        if (!call_copy_str(c, m->id, &r->member_id) || !call_copy_str(c, m->instance, &r->group_instance_id) ||
            !call_copy_bytes(c, classic_metadata(m, cg->protocol), &r->metadata))
            return false;
    }
    return true;
}

void classic_answer_join(struct groups *gs, const struct group *g, const struct classic_member *m, struct group_call *c,
                         struct str leader, bool skip_assignment)
{
    const struct classic_group *cg = g->classic;
    struct join_group_response *a = c->response;
    a->error_code = KAFKA_NONE;
    a->generation_id = cg->generation;
    a->skip_assignment = skip_assignment;
    a->members_count = 0;
    bool room = call_copy_str(c, cg->protocol_type, &a->protocol_type) &&
                call_copy_str(c, str_or_empty(cg->protocol), &a->protocol_name) &&
                call_copy_str(c, str_or_empty(leader), &a->leader) && call_copy_str(c, m->id, &a->member_id);
    if (room && str_equal(leader, m->id)) room = fill_members(cg, c, a);
    if (room)
        call_answer(gs, c);
    else
        call_fail(gs, c, KAFKA_COORDINATOR_NOT_AVAILABLE);
}

void classic_refuse_join(struct groups *gs, struct group_call *c, int16_t error, struct str member_id)
{
    struct join_group_response *a = c->response;
    a->error_code = error;
    if (error == KAFKA_FENCED_INSTANCE_ID && c->version >= NULL_PROTOCOL_FROM) a->protocol_name = STR_NULL;
    if (call_copy_str(c, str_or_empty(member_id), &a->member_id))
        call_answer(gs, c);
    else
        call_fail(gs, c, error);
}

void classic_answer_sync(struct groups *gs, const struct group *g, const struct classic_member *m, struct group_call *c,
                         int16_t error)
{
    struct sync_group_response *a = c->response;
    a->error_code = error;
    a->assignment = BYTES_EMPTY;
    bool room = true;
    if (error == KAFKA_NONE)
        room = call_copy_str(c, g->classic->protocol_type, &a->protocol_type) &&
               call_copy_str(c, g->classic->protocol, &a->protocol_name) &&
               call_copy_bytes(c, m->assignment, &a->assignment);
    if (room)
        call_answer(gs, c);
    else
        call_fail(gs, c, KAFKA_COORDINATOR_NOT_AVAILABLE);
}

void classic_end_calls(struct groups *gs, struct classic_group *cg, struct classic_member *m, int16_t error,
                       struct str member_id)
{
    if (m->join_call != NULL) classic_refuse_join(gs, m->join_call, error, member_id);
    if (m->sync_call != NULL) call_fail(gs, m->sync_call, error);
    if (!m->pending) classic_set_joining(cg, m, false);
    m->syncing = false;
}

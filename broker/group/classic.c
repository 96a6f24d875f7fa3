// SPDX-License-Identifier: Apache-2.0
/* Classic groups (classic.h): life, deadlines, heartbeats, and what others ask about one. JoinGroup is classic_join.c,
 * SyncGroup and LeaveGroup classic_sync.c, what follows from them classic_rebalance.c.
 *
 * Deadlines: a heartbeat only moves its member's; the group's stands where it was, and the tick that comes then looks
 * for the next. So a tick is about as frequent as the shortest session, and a heartbeat costs one look-up.
 *
 * Failure modes: no memory sets gs->status. */
#include "broker/group/classic.h"
#include "base/check.h"
#include "broker/group/classic_impl.h"
#include "protocol/msg_describe_groups.h"
#include "protocol/msg_heartbeat.h"

bool classic_create(struct groups *gs, struct group *g)
{
    struct classic_group *cg = mem_zalloc(gs->mem, MEM_CONTROL, sizeof *cg);
    if (cg == NULL) {
        groups_fail(gs, STATUS_NO_MEMORY);
        return false;
    }
    cg->protocol_type = cg->protocol = STR_NULL;
    cg->since_ms = gs->loading ? -1 : gs->wall.v;
    cg->join_ends = cg->sync_ends = NEVER;
    hash_table_init(&cg->by_id, gs->mem, MEM_CONTROL);
    hash_table_init(&cg->by_instance, gs->mem, MEM_CONTROL);
    hash_table_init(&cg->protocol_names, gs->mem, MEM_CONTROL);
    hash_table_init(&cg->topics, gs->mem, MEM_CONTROL);
    list_init(&cg->members);
    list_init(&cg->pending);
    list_init(&cg->all_topics);
    g->classic = cg;
    return true;
}

void classic_destroy(struct groups *gs, struct group *g)
{
    struct classic_group *cg = g->classic;
    list_each (n, &cg->members) classic_remove(gs, cg, container_of(n, struct classic_member, in_list));
    list_each (n, &cg->pending) classic_remove(gs, cg, container_of(n, struct classic_member, in_list));
    classic_forget_topics(gs, cg);
    groups_free_str(gs, cg->protocol);
    groups_free_str(gs, cg->protocol_type);
    hash_table_deinit(&cg->by_id);
    hash_table_deinit(&cg->by_instance);
    hash_table_deinit(&cg->protocol_names);
    hash_table_deinit(&cg->topics);
    mem_free(gs->mem, MEM_CONTROL, cg, sizeof *cg);
    g->classic = NULL;
}

void classic_stop(struct groups *gs, struct group *g)
{
    list_each (n, &g->classic->members) {
        struct classic_member *m = container_of(n, struct classic_member, in_list);
        classic_end_calls(gs, g->classic, m, KAFKA_NOT_COORDINATOR, m->id);
    }
}

void classic_loaded(struct groups *gs, struct group *g)
{
    struct classic_group *cg = g->classic;
    classic_learn_topics(gs, cg);
    list_each (n, &cg->members) classic_session_begin(gs, g, container_of(n, struct classic_member, in_list));
    if (cg->member_count > (uint32_t)MAX(gs->settings->size_max, 0)) classic_prepare(gs, g); /* it was lowered */
}

/* ---- deadlines ---- */

/* Who waits for the others need not send heartbeats; a new member waits NEW_MEMBER_MS, not for ever. */
static bool is_excused(const struct classic_member *m)
{
    return !m->is_new && (m->joining || m->syncing);
}

static void end_sessions(struct groups *gs, struct group *g)
{
    struct classic_group *cg = g->classic;
    uint32_t pending = cg->pending_count, members = cg->member_count;
    list_each (n, &cg->pending) {
        struct classic_member *m = container_of(n, struct classic_member, in_list);
        if (m->session_ends.v <= gs->now.v) classic_remove(gs, cg, m);
    }
    list_each (n, &cg->members) {
        struct classic_member *m = container_of(n, struct classic_member, in_list);
        if (m->session_ends.v > gs->now.v) continue;
        if (is_excused(m)) {
            m->session_ends = NEVER; /* until it is answered */
        } else {
            classic_end_calls(gs, cg, m, KAFKA_UNKNOWN_MEMBER_ID, STR_EMPTY);
            classic_remove(gs, cg, m);
        }
    }
    if (pending != cg->pending_count || members != cg->member_count)
        classic_members_gone(gs, g, members == cg->member_count);
}

static void wake_for(struct group *g, const struct list *members)
{
    list_each (n, members) group_wake_by(g, container_of(n, struct classic_member, in_list)->session_ends);
}

void classic_tick(struct groups *gs, struct group *g)
{
    struct classic_group *cg = g->classic;
    end_sessions(gs, g);
    if (cg->join_ends.v <= gs->now.v) classic_join_timeout(gs, g);
    if (cg->sync_ends.v <= gs->now.v) classic_sync_timeout(gs, g);
    group_wake_by(g, cg->join_ends);
    group_wake_by(g, cg->sync_ends);
    wake_for(g, &cg->members);
    wake_for(g, &cg->pending);
}

/* ---- heartbeats, commits ---- */

static int16_t heartbeat(struct groups *gs, struct group *g, const struct heartbeat_request *q)
{
    const struct classic_group *cg = g->classic;
    struct classic_member *m;
    int16_t error = classic_check_member(cg, q->member_id, q->group_instance_id, &m);
    if (error != KAFKA_NONE) return error;
    if (q->generation_id != cg->generation) return KAFKA_ILLEGAL_GENERATION;
    classic_session_begin(gs, g, m);
    return cg->state == CLASSIC_PREPARING ? KAFKA_REBALANCE_IN_PROGRESS : KAFKA_NONE;
}

void classic_heartbeat(struct groups *gs, struct group *g, struct group_call *c)
{
    struct heartbeat_response *a = c->response;
    a->error_code = heartbeat(gs, g, c->request);
    call_answer(gs, c);
}

int16_t classic_commit_check(struct groups *gs, struct group *g, struct str member_id, struct str instance_id,
                             int32_t generation)
{
    const struct classic_group *cg = g->classic;
    struct classic_member *m = NULL;
    if (generation < 0 && cg->state == CLASSIC_EMPTY) return KAFKA_NONE;
    if (generation < 0 && member_id.len <= 0 && instance_id.len < 0) return KAFKA_UNKNOWN_MEMBER_ID;
    int16_t error = classic_check_member(cg, member_id, instance_id, &m);
    if (error != KAFKA_NONE) return error;
    if (generation != cg->generation) return KAFKA_ILLEGAL_GENERATION;
    if (cg->state == CLASSIC_COMPLETING) return KAFKA_REBALANCE_IN_PROGRESS;
    classic_session_begin(gs, g, m);
    return KAFKA_NONE;
}

/* ---- questions ---- */

bool classic_is_empty(const struct group *g)
{
    return g->classic->state == CLASSIC_EMPTY;
}

bool classic_is_simple(const struct group *g)
{
    const struct classic_group *cg = g->classic;
    return cg->state == CLASSIC_EMPTY && cg->protocol_type.len < 0 && cg->pending_count == 0;
}

const char *classic_state(const struct group *g)
{
    switch (g->classic->state) {
    case CLASSIC_EMPTY: return "Empty";
    case CLASSIC_PREPARING: return "PreparingRebalance";
    case CLASSIC_COMPLETING: return "CompletingRebalance";
    case CLASSIC_STABLE: return "Stable";
    }
    CHECK(false);
}

struct str classic_protocol_type(const struct group *g)
{
    return str_or_empty(g->classic->protocol_type);
}

int64_t classic_empty_since_ms(const struct group *g)
{
    return g->classic->state == CLASSIC_EMPTY ? g->classic->since_ms : -1;
}

static bool describe_member(const struct classic_group *cg, const struct classic_member *m, struct group_call *c,
                            struct describe_groups_response_member *r)
{
    bool stable = cg->state == CLASSIC_STABLE;
    describe_groups_response_member_init(r);
    return call_copy_str(c, m->id, &r->member_id) && call_copy_str(c, m->instance, &r->group_instance_id) &&
           call_copy_str(c, m->client_id, &r->client_id) && call_copy_str(c, m->client_host, &r->client_host) &&
           call_copy_bytes(c, stable ? classic_metadata(m, cg->protocol) : BYTES_EMPTY, &r->member_metadata) &&
           call_copy_bytes(c, m->assignment, &r->member_assignment);
}

bool classic_describe(struct groups *gs, const struct group *g, struct group_call *c,
                      struct describe_groups_response_group *ret_group)
{
    const struct classic_group *cg = g->classic;
    struct describe_groups_response_group *r = ret_group;
    const char *state = classic_state(g);
    (void)gs;
    r->group_state = (struct str){state, (int32_t)strlen(state)};
    r->members = call_zalloc(c, cg->member_count * sizeof *r->members);
    if (r->members == NULL || !call_copy_str(c, classic_protocol_type(g), &r->protocol_type)) return false;
    if (cg->state == CLASSIC_STABLE && !call_copy_str(c, cg->protocol, &r->protocol_data)) return false;
    list_each (n, &cg->members) {
        const struct classic_member *m = container_of(n, struct classic_member, in_list);
        if (!describe_member(cg, m, c, &r->members[r->members_count++])) return false;
    }
    return true;
}

// SPDX-License-Identifier: Apache-2.0
/* From one generation of a classic group to the next (classic_impl.h).
 *
 * Path: classic_prepare (a member came, changed, left) -> all have joined, or the rebalance timeout -> complete: the
 * generation counts up, joins are answered, the leader with all members -> SyncGroup of the leader (classic_sync.c)
 * stores the assignment -> Stable. Nobody left: a record of an empty group.
 *
 * Timing: the rebalance timeout is the longest of the members'. A rebalance that begins at Empty waits
 * group.initial.rebalance.delay.ms, and that long again while new members come, in sum up to the rebalance timeout.
 * Members that did not rejoin are removed at the end, but static ones stay until their session ends; who did not send
 * SyncGroup a rebalance timeout later is removed as well.
 *
 * Failure modes: none of its own; a record that cannot be put fails the machine. */
#include "base/check.h"
#include "broker/group/classic_impl.h"

static struct mono_ns after_ms(const struct groups *gs, int64_t ms)
{
    return mono_add(gs->now, ms * NS_PER_MS);
}

static int32_t rebalance_ms(const struct classic_group *cg)
{
    int32_t most = 0;
    list_each (n, &cg->members) most = MAX(most, container_of(n, struct classic_member, in_list)->rebalance_ms);
    return most;
}

static void join_ends_in(struct groups *gs, struct group *g, int32_t ms)
{
    g->classic->join_ends = after_ms(gs, ms);
    group_wake_by(g, g->classic->join_ends);
}

void classic_session_begin(struct groups *gs, struct group *g, struct classic_member *m)
{
    m->session_ends = after_ms(gs, m->session_ms);
    group_wake_by(g, m->session_ends);
}

static void go_to(struct groups *gs, struct classic_group *cg, enum classic_state state)
{
    cg->state = state;
    cg->since_ms = gs->wall.v;
}

static bool all_joined(const struct classic_group *cg)
{
    return cg->joining_count == cg->member_count && cg->pending_count == 0;
}

static void complete_join(struct groups *gs, struct group *g);

/* ---- SyncGroup's end ---- */

static void stop_sync_timer(struct classic_group *cg)
{
    cg->sync_ends = NEVER;
    list_each (n, &cg->members) classic_set_unsynced(cg, container_of(n, struct classic_member, in_list), false);
}

void classic_propagate(struct groups *gs, struct group *g, int16_t error)
{
    list_each (n, &g->classic->members) {
        struct classic_member *m = container_of(n, struct classic_member, in_list);
        if (!m->syncing) continue;
        m->syncing = false;
        if (m->sync_call != NULL) classic_answer_sync(gs, g, m, m->sync_call, error);
        classic_session_begin(gs, g, m); /* it did not count while the member waited */
    }
}

static void drop_assignments(struct groups *gs, struct classic_group *cg)
{
    list_each (n, &cg->members) {
        struct classic_member *m = container_of(n, struct classic_member, in_list);
        groups_free_bytes(gs, m->assignment);
        m->assignment = BYTES_EMPTY;
    }
}

/* ---- begin ---- */

void classic_prepare(struct groups *gs, struct group *g)
{
    struct classic_group *cg = g->classic;
    CHECK(cg->state != CLASSIC_PREPARING);
    if (cg->state == CLASSIC_COMPLETING) {
        drop_assignments(gs, cg);
        classic_propagate(gs, g, KAFKA_REBALANCE_IN_PROGRESS);
    }
    stop_sync_timer(cg);
    cg->first = cg->state == CLASSIC_EMPTY;
    go_to(gs, cg, CLASSIC_PREPARING);
    if (cg->first) {
        cg->more_came = false;
        cg->delay_ms = gs->settings->first_delay_ms;
        cg->left_ms = MAX(rebalance_ms(cg) - cg->delay_ms, 0);
        join_ends_in(gs, g, cg->delay_ms);
    } else if (all_joined(cg)) {
        complete_join(gs, g);
    } else {
        join_ends_in(gs, g, rebalance_ms(cg));
    }
}

void classic_maybe_complete(struct groups *gs, struct group *g)
{
    const struct classic_group *cg = g->classic;
    if (cg->state == CLASSIC_PREPARING && !cg->first && all_joined(cg)) complete_join(gs, g);
}

void classic_prepare_or_complete(struct groups *gs, struct group *g)
{
    if (g->classic->state == CLASSIC_PREPARING)
        classic_maybe_complete(gs, g);
    else
        classic_prepare(gs, g);
}

/* ---- end ---- */

/* The leader, if it has joined, else the first that has. False: nobody has. */
static bool elect_leader(struct classic_group *cg)
{
    if (cg->leader != NULL && cg->leader->joining) return true;
    list_each (n, &cg->members) {
        struct classic_member *m = container_of(n, struct classic_member, in_list);
        if (!m->joining) continue;
        cg->leader = m;
        return true;
    }
    return false;
}

static void begin_generation(struct groups *gs, struct group *g)
{
    struct classic_group *cg = g->classic;
    struct str protocol = classic_elect_protocol(cg);
    if (!str_equal(cg->protocol, protocol)) {
        struct str copy;
        if (!groups_copy_str(gs, protocol, &copy)) return;
        groups_free_str(gs, cg->protocol);
        cg->protocol = copy;
    }
    cg->generation = classic_next_generation(cg);
    classic_learn_topics(gs, cg);
    go_to(gs, cg, CLASSIC_COMPLETING);
    list_each (n, &cg->members) {
        struct classic_member *m = container_of(n, struct classic_member, in_list);
        if (m->join_call != NULL) classic_answer_join(gs, g, m, m->join_call, classic_leader_id(cg), false);
        classic_set_joining(cg, m, false);
        classic_session_begin(gs, g, m);
        m->is_new = false;
        classic_set_unsynced(cg, m, true);
    }
    cg->sync_ends = after_ms(gs, rebalance_ms(cg));
    group_wake_by(g, cg->sync_ends);
}

static void complete_join(struct groups *gs, struct group *g)
{
    struct classic_group *cg = g->classic;
    CHECK(cg->state == CLASSIC_PREPARING);
    cg->join_ends = NEVER;
    cg->first = false;
    list_each (n, &cg->members) {
        struct classic_member *m = container_of(n, struct classic_member, in_list);
        if (!m->joining && m->instance.len < 0) classic_remove(gs, cg, m);
    }
    if (cg->member_count == 0)
        classic_put(gs, g, classic_next_generation(cg), false);
    else if (elect_leader(cg))
        begin_generation(gs, g);
    else
        join_ends_in(gs, g,
                     MAX(rebalance_ms(cg), RETRY_LEAST_MS)); /* static ones only: their sessions end, or they come */
}

/* ---- times ---- */

void classic_join_timeout(struct groups *gs, struct group *g)
{
    struct classic_group *cg = g->classic;
    cg->join_ends = NEVER;
    if (cg->state != CLASSIC_PREPARING) return;
    if (cg->first && cg->more_came && cg->left_ms > 0) {
        int32_t delay_ms = MIN(gs->settings->first_delay_ms, cg->left_ms);
        cg->more_came = false;
        cg->left_ms = MAX(cg->left_ms - cg->delay_ms, 0);
        cg->delay_ms = delay_ms;
        join_ends_in(gs, g, delay_ms);
    } else {
        complete_join(gs, g);
    }
}

void classic_sync_timeout(struct groups *gs, struct group *g)
{
    struct classic_group *cg = g->classic;
    cg->sync_ends = NEVER;
    if (cg->state == CLASSIC_PREPARING || cg->unsynced_count == 0) return;
    list_each (n, &cg->members) {
        struct classic_member *m = container_of(n, struct classic_member, in_list);
        if (m->unsynced) classic_remove(gs, cg, m);
    }
    classic_prepare(gs, g);
}

void classic_members_gone(struct groups *gs, struct group *g, bool only_pending)
{
    struct classic_group *cg = g->classic;
    if (cg->state == CLASSIC_PREPARING) {
        if (all_joined(cg)) complete_join(gs, g);
    } else if (cg->state != CLASSIC_EMPTY && !only_pending) {
        classic_prepare(gs, g);
    }
}

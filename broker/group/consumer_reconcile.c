// SPDX-License-Identifier: Apache-2.0
/* How a member of a consumer group gets from what it has to its target (KIP-848), one step per heartbeat:
 *
 *   STABLE       nothing to do, until the target's epoch is another one
 *   UNREVOKED    told to give partitions up; stays at its epoch until it no longer names one of them as its own
 *   UNRELEASED   at the target's epoch, but some partitions of the target are still with others
 *
 * A partition of the target that another member has, be it as assigned or as to be given up, is not handed out (rule
 * G2). What the member no longer subscribes to is taken at once, without waiting for the next target.
 *
 * Failure modes: no memory fails the machine. */
#include "base/bytes.h"
#include "base/check.h"
#include "broker/group/consumer_impl.h"
#include "protocol/msg_consumer_group_heartbeat.h"

static bool owns_one_of(struct owned_topics o, const struct parts *s)
{
    if (o.count < 0) return true;
    for (int32_t t = 0; t < o.count; t++)
        for (int32_t i = 0; i < o.all[t].partitions_count; i++)
            if (parts_find(s, o.all[t].topic_id, o.all[t].partitions[i]) != NULL) return true;
    return false;
}

bool owned_all_in(struct owned_topics o, const struct parts *s)
{
    if (o.count < 0) return false;
    for (int32_t t = 0; t < o.count; t++)
        for (int32_t i = 0; i < o.all[t].partitions_count; i++)
            if (parts_find(s, o.all[t].topic_id, o.all[t].partitions[i]) == NULL) return false;
    return true;
}

struct step {
    struct groups *gs;
    struct group *g;
    struct arena *a;
    const struct consumer_member *m;
    struct owned_topics owned;
};

static struct member_now as_it_is(const struct consumer_member *m)
{
    return (struct member_now){m->epoch, m->previous_epoch, m->state, m->assigned, m->revoking};
}

/* What is assigned, in two: what may stay, and what is to be given up. keep: NULL, or what it may keep. Topics that it
 * does not subscribe to go in any case. */
static bool split(const struct step *s, const struct parts *keep, struct parts *ret_stay, struct parts *ret_go)
{
    const struct parts *has = &s->m->assigned;
    bool subscribed = false;
    if (!parts_alloc(s->a, has->count, ret_stay) || !parts_alloc(s->a, has->count, ret_go)) return false;
    for (uint32_t i = 0; i < has->count; i++) {
        const struct part_of *p = &has->all[i];
        if (i == 0 || !uuid_equal(p->topic, has->all[i - 1].topic))
            subscribed = member_subscribes(s->gs, s->m, p->topic);
        bool stays = subscribed && (keep == NULL || parts_find(keep, p->topic, p->number) != NULL);
        struct parts *to = stays ? ret_stay : ret_go;
        to->all[to->count++] = *p;
    }
    return true;
}

static bool join_sets(struct arena *a, const struct parts *x, const struct parts *y, struct parts *ret_both)
{
    if (!parts_alloc(a, x->count + y->count, ret_both)) return false;
    for (uint32_t i = 0; i < x->count; i++) ret_both->all[ret_both->count++] = x->all[i];
    for (uint32_t i = 0; i < y->count; i++) ret_both->all[ret_both->count++] = y->all[i];
    parts_sort(ret_both);
    return true;
}

/* Of the target what it does not have and nobody else has; *ret_waits: somebody else has some. */
static bool free_ones(const struct step *s, struct parts *ret_new, bool *ret_waits)
{
    const struct consumer_group *k = s->g->consumer;
    const struct parts *target = &s->m->target;
    bool subscribed = false;
    *ret_waits = false;
    if (!parts_alloc(s->a, target->count, ret_new)) return false;
    for (uint32_t i = 0; i < target->count; i++) {
        const struct part_of *p = &target->all[i];
        if (i == 0 || !uuid_equal(p->topic, target->all[i - 1].topic))
            subscribed = member_subscribes(s->gs, s->m, p->topic);
        if (!subscribed || parts_find(&s->m->assigned, p->topic, p->number) != NULL) continue;
        const struct consumer_member *owner = consumer_owner(k, p->topic, p->number);
        if (owner != NULL && owner != s->m)
            *ret_waits = true;
        else
            ret_new->all[ret_new->count++] = (struct part_of){p->topic, p->number, k->assignment_epoch};
    }
    return true;
}

/* Towards the target. */
static bool advance(const struct step *s, struct member_now *n)
{
    struct parts stay, go, new;
    bool waits;
    if (!split(s, &s->m->target, &stay, &go)) return false;
    n->previous_epoch = s->m->epoch;
    if (go.count > 0 && owns_one_of(s->owned, &go)) {
        n->state = MEMBER_UNREVOKED;
        n->assigned = stay;
        n->revoking = go;
        return true;
    }
    if (!free_ones(s, &new, &waits)) return false;
    n->state = waits ? MEMBER_UNRELEASED : MEMBER_STABLE;
    n->epoch = s->g->consumer->assignment_epoch;
    n->revoking = (struct parts){NULL, 0};
    return join_sets(s->a, &stay, &new, &n->assigned);
}

/* Only what it does not subscribe to any more goes. */
static bool shrink(const struct step *s, struct member_now *n)
{
    struct parts stay, go, revoking;
    if (!split(s, NULL, &stay, &go)) return false;
    if (go.count == 0) return true;
    if (!join_sets(s->a, &s->m->revoking, &go, &revoking)) return false;
    n->previous_epoch = s->m->epoch;
    n->assigned = stay;
    if (!owns_one_of(s->owned, &revoking)) return true;
    n->state = MEMBER_UNREVOKED;
    n->revoking = revoking;
    return true;
}

static bool next(const struct step *s, bool subscription_changed, struct member_now *n)
{
    const struct consumer_member *m = s->m;
    bool waits_for_client = m->state == MEMBER_UNREVOKED && owns_one_of(s->owned, &m->revoking);
    bool there = m->state == MEMBER_STABLE && m->epoch == s->g->consumer->assignment_epoch;
    if (!waits_for_client && !there) return advance(s, n);
    return subscription_changed ? shrink(s, n) : true;
}

static void set_rebalance_timeout(struct groups *gs, struct group *g, struct consumer_member *m)
{
    if (m->classic != NULL) return; /* its time to join again counts instead */
    m->rebalance = NEVER;
    if (m->state != MEMBER_UNREVOKED) return;
    m->rebalance = mono_add(gs->now, m->rebalance_ms * NS_PER_MS);
    m->rebalance_epoch = m->epoch;
    group_wake_by(g, m->rebalance);
}

bool consumer_reconcile(struct groups *gs, struct group *g, struct arena *a, struct consumer_member *m,
                        bool subscription_changed, struct owned_topics owned)
{
    struct step s = {gs, g, a, m, owned};
    struct member_now n = as_it_is(m);
    if (gs->status != STATUS_OK) return false;
    if (!next(&s, subscription_changed, &n)) {
        groups_fail(gs, STATUS_NO_MEMORY);
        return false;
    }
    bool other = !parts_equal(&n.assigned, &m->assigned);
    if (!other && n.epoch == m->epoch && n.previous_epoch == m->previous_epoch && n.state == m->state &&
        parts_equal(&n.revoking, &m->revoking))
        return false;
    put_current(gs, g, a, m->id, &n);
    if (gs->status == STATUS_OK) set_rebalance_timeout(gs, g, m);
    return other;
}

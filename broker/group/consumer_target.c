// SPDX-License-Identifier: Apache-2.0
/* The target of a consumer group: who shall have which partition (consumer_impl.h).
 *
 * Path: the topics that exist become indexes, subscriptions become lists of members per topic, the targets so far
 * become owners -> an assignor (assign.h) -> a record for each member whose target is another one now, then the epoch.
 *
 * Not more often than each consumer_assignment_ms: heartbeats in between go on with the last target.
 *
 * Failure modes: no memory fails the machine. */
#include "base/bytes.h"
#include "base/check.h"
#include "broker/group/assign.h"
#include "broker/group/consumer_impl.h"
#include "replication/image.h"
#include <stdlib.h>

static const char *const assignor_names[ASSIGNORS] = {"uniform", "range"};

const char *assignor_name(enum assignor a)
{
    return assignor_names[a];
}

enum assignor assignor_find(struct str name)
{
    enum assignor a = ASSIGNOR_UNIFORM;
    while (a < ASSIGNORS && !(name.len == (int32_t)strlen(assignor_names[a]) &&
                              memcmp(name.data, assignor_names[a], (size_t)name.len) == 0))
        a++;
    return a;
}

enum assignor consumer_assignor(const struct consumer_group *k)
{
    return k->assignors[ASSIGNOR_RANGE] > k->assignors[ASSIGNOR_UNIFORM] ? ASSIGNOR_RANGE : ASSIGNOR_UNIFORM;
}

struct target { /* the work of one assignment; all in the step's arena */
    struct groups *gs;
    struct group *g;
    struct arena *a;
    struct consumer_member **members; /* in the order that "range" uses */
    struct assign_topic *topics;
    struct assignment x;
};

/* Static members by instance first, then the others by id: a static member that comes back keeps its place. */
static int by_place(const void *x, const void *y)
{
    const struct consumer_member *a = *(struct consumer_member *const *)x, *b = *(struct consumer_member *const *)y;
    if ((a->instance.len >= 0) != (b->instance.len >= 0)) return a->instance.len >= 0 ? -1 : 1;
    struct str p = a->instance.len >= 0 ? a->instance : a->id, q = b->instance.len >= 0 ? b->instance : b->id;
    int order = memcmp(p.data, q.data, (size_t)MIN(p.len, q.len));
    return order != 0 ? order : (p.len > q.len) - (p.len < q.len);
}

static bool take_members(struct target *t)
{
    struct consumer_group *k = t->g->consumer;
    t->members = arena_alloc(t->a, k->member_count * sizeof t->members[0]);
    if (t->members == NULL) return false;
    list_each (n, &k->all) t->members[t->x.member_count++] = container_of(n, struct consumer_member, in_all);
    qsort(t->members, t->x.member_count, sizeof t->members[0], by_place);
    return true;
}

static bool take_topics(struct target *t)
{
    uint32_t n = 0;
    const struct topic_count *all = consumer_topics(t->gs, t->g->consumer, t->a, &n);
    t->topics = arena_zalloc(t->a, n * sizeof t->topics[0]);
    if (all == NULL || t->topics == NULL) return false;
    for (uint32_t i = 0; i < n; i++) {
        t->topics[i] =
            (struct assign_topic){.id = all[i].id, .first = t->x.partition_count, .count = all[i].partitions};
        t->x.partition_count += all[i].partitions;
    }
    t->x.topics = t->topics;
    t->x.topic_count = n;
    return true;
}

/* topic_count: not among them. */
static uint32_t index_of(const struct target *t, struct uuid id)
{
    uint32_t low = 0, high = t->x.topic_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = memcmp(t->topics[middle].id.b, id.b, sizeof id.b);
        if (order == 0) return middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return t->x.topic_count;
}

static bool index_lists(struct target *t)
{
    list_each (n, &t->g->consumer->all_lists) {
        struct name_list *l = container_of(n, struct name_list, in_all_lists);
        l->topics = arena_alloc(t->a, l->count * sizeof l->topics[0]);
        l->topic_count = 0;
        if (l->topics == NULL) return false;
        for (uint32_t i = 0; i < l->count; i++) {
            const struct image_topic *topic = topic_index_by_name(t->gs->topics, l->names[i]);
            if (topic != NULL) l->topics[l->topic_count++] = index_of(t, topic->id);
        }
    }
    return true;
}

/* Calls back for each topic of the member; one that it subscribes to by name and expression comes once, since `last`
 * holds the member that came last for a topic. */
static void each_topic(struct target *t, uint32_t member, uint32_t *last,
                       void (*take)(struct target *, uint32_t topic, uint32_t member))
{
    const struct consumer_member *m = t->members[member];
    const struct name_list *lists[2] = {m->names, m->regex != NULL ? m->regex->topics : NULL};
    for (uint32_t i = 0; i < COUNT_OF(lists); i++) {
        for (uint32_t j = 0; lists[i] != NULL && j < lists[i]->topic_count; j++) {
            uint32_t topic = lists[i]->topics[j];
            if (last[topic] == member) continue;
            last[topic] = member;
            take(t, topic, member);
        }
    }
}

static void count_member(struct target *t, uint32_t topic, uint32_t member)
{
    (void)member;
    t->topics[topic].member_count++;
}

static void add_member(struct target *t, uint32_t topic, uint32_t member)
{
    struct assign_topic *to = &t->topics[topic];
    ((uint32_t *)(uintptr_t)to->members)[to->member_count++] = member;
}

static bool take_subscriptions(struct target *t)
{
    size_t total = 0;
    uint32_t *last = arena_alloc(t->a, t->x.topic_count * sizeof *last);
    if (last == NULL || !index_lists(t)) return false;
    memset(last, 0xff, t->x.topic_count * sizeof *last);
    for (uint32_t m = 0; m < t->x.member_count; m++) each_topic(t, m, last, count_member);
    for (uint32_t i = 0; i < t->x.topic_count; i++) total += t->topics[i].member_count;
    uint32_t *members = arena_alloc(t->a, total * sizeof *members);
    if (members == NULL) return false;
    for (uint32_t i = 0; i < t->x.topic_count; i++) {
        t->topics[i].members = members;
        members += t->topics[i].member_count;
        t->topics[i].member_count = 0;
    }
    memset(last, 0xff, t->x.topic_count * sizeof *last);
    for (uint32_t m = 0; m < t->x.member_count; m++) each_topic(t, m, last, add_member);
    return true;
}

static bool take_owners(struct target *t)
{
    uint32_t *owner = arena_alloc(t->a, t->x.partition_count * sizeof *owner);
    if (owner == NULL) return false;
    memset(owner, 0xff, t->x.partition_count * sizeof *owner); /* ASSIGN_NONE */
    for (uint32_t m = 0; m < t->x.member_count; m++) {
        const struct parts *s = &t->members[m]->target;
        uint32_t topic = t->x.topic_count;
        for (uint32_t i = 0; i < s->count; i++) {
            const struct part_of *p = &s->all[i];
            if (i == 0 || !uuid_equal(p->topic, s->all[i - 1].topic)) topic = index_of(t, p->topic);
            if (topic == t->x.topic_count || (uint32_t)p->number >= t->topics[topic].count) continue;
            uint32_t *o = &owner[t->topics[topic].first + (uint32_t)p->number];
            if (*o == ASSIGN_NONE) *o = m;
        }
    }
    t->x.owner = owner;
    return true;
}

static bool put_targets(struct target *t)
{
    struct parts *new = arena_zalloc(t->a, t->x.member_count * sizeof *new);
    uint32_t *counts = arena_zalloc(t->a, t->x.member_count * sizeof *counts);
    if (new == NULL || counts == NULL) return false;
    for (uint32_t p = 0; p < t->x.partition_count; p++)
        if (t->x.owner[p] != ASSIGN_NONE) counts[t->x.owner[p]]++;
    for (uint32_t m = 0; m < t->x.member_count; m++)
        if (!parts_alloc(t->a, counts[m], &new[m])) return false;
    for (uint32_t i = 0; i < t->x.topic_count; i++) {
        for (uint32_t n = 0; n < t->topics[i].count; n++) {
            uint32_t m = t->x.owner[t->topics[i].first + n];
            if (m != ASSIGN_NONE) new[m].all[new[m].count++] = (struct part_of){t->topics[i].id, (int32_t)n, 0};
        }
    }
    for (uint32_t m = 0; m < t->x.member_count; m++) {
        const struct consumer_member *member = t->members[m];
        if (!member->has_target || !parts_equal(&member->target, &new[m]))
            put_target(t->gs, t->g, t->a, member->id, &new[m]);
    }
    return true;
}

static bool assign(struct target *t)
{
    if (!take_members(t) || !take_topics(t) || !take_subscriptions(t) || !take_owners(t)) return false;
    if (consumer_assignor(t->g->consumer) == ASSIGNOR_RANGE)
        assign_range(&t->x);
    else if (assign_uniform(t->a, &t->x) != STATUS_OK)
        return false;
    return put_targets(t);
}

static bool interval_passed(const struct groups *gs, const struct consumer_group *k)
{
    int64_t since = gs->wall.v - k->assignment_ms;
    return k->assignment_ms == 0 || since < 0 || since >= gs->settings->consumer_assignment_ms;
}

void consumer_assign(struct groups *gs, struct group *g, struct arena *a)
{
    struct consumer_group *k = g->consumer;
    struct target t = {.gs = gs, .g = g, .a = a};
    if (k->assignment_epoch >= k->epoch || !interval_passed(gs, k) || gs->status != STATUS_OK) return;
    if (assign(&t))
        put_assignment_epoch(gs, g, k->epoch, gs->wall.v);
    else
        groups_fail(gs, STATUS_NO_MEMORY);
}

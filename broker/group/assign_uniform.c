// SPDX-License-Identifier: Apache-2.0
/* The uniform assignor (assign.h).
 *
 * All subscribe to all: each member has a quota (total / members, the first remainder members one more, those before
 * others who have as much already); what is above it is taken, what is free goes to those below.
 *
 * Subscriptions differ: free partitions go to the least loaded subscriber, topics with the fewest subscribers first.
 * Then rounds over all partitions move one from a member to the least loaded subscriber of its topic if that has at
 * least two less. Each move makes the sum of the squares of the loads smaller, so the rounds end; a budget bounds the
 * time of odd inputs, which then are less even than they could be.
 *
 * Failure modes: no memory. */
#include "base/bytes.h"
#include "base/check.h"
#include "broker/group/assign.h"
#include <stdlib.h>

#define MOVE_BUDGET 20000000u /* steps of all rounds: about 100 ms */

/* ---- all subscribe to all ---- */

static bool all_to_all(const struct assignment *x)
{
    for (uint32_t t = 0; t < x->topic_count; t++)
        if (x->topics[t].member_count != x->member_count) return false;
    return true;
}

/* quota: how many each shall have. has: how many each has. */
static void set_quotas(const struct assignment *x, const uint32_t *has, uint32_t *quota)
{
    uint32_t each = x->partition_count / x->member_count, more = x->partition_count % x->member_count;
    for (uint32_t m = 0; m < x->member_count; m++) {
        quota[m] = each;
        if (has[m] <= each || more == 0) continue;
        quota[m]++;
        more--;
    }
    for (uint32_t m = 0; m < x->member_count && more > 0; m++) {
        if (quota[m] > each) continue;
        quota[m]++;
        more--;
    }
}

static enum status assign_alike(struct arena *a, struct assignment *x)
{
    uint32_t *has = arena_zalloc(a, x->member_count * sizeof *has);
    uint32_t *quota = arena_alloc(a, x->member_count * sizeof *quota);
    if (has == NULL || quota == NULL) return STATUS_NO_MEMORY;
    for (uint32_t p = 0; p < x->partition_count; p++)
        if (x->owner[p] != ASSIGN_NONE) has[x->owner[p]]++;
    set_quotas(x, has, quota);
    memset(has, 0, x->member_count * sizeof *has);
    for (uint32_t p = 0; p < x->partition_count; p++) {
        uint32_t m = x->owner[p];
        if (m == ASSIGN_NONE) continue;
        if (has[m] == quota[m])
            x->owner[p] = ASSIGN_NONE;
        else
            has[m]++;
    }
    uint32_t next = 0;
    for (uint32_t p = 0; p < x->partition_count; p++) {
        if (x->owner[p] != ASSIGN_NONE) continue;
        while (has[next] == quota[next]) next++;
        x->owner[p] = next;
        has[next]++;
    }
    return STATUS_OK;
}

/* ---- subscriptions differ ---- */

/* A binary heap of the members of one topic, the least loaded first; of equals the one with the lower index. */
struct least {
    const uint32_t *load; /* by member */
    uint32_t *at;         /* by member: its place in `heap` */
    uint32_t *heap;
    uint32_t count;
};

static bool before(const struct least *h, uint32_t x, uint32_t y)
{
    return h->load[x] < h->load[y] || (h->load[x] == h->load[y] && x < y);
}

static void put_at(struct least *h, uint32_t place, uint32_t member)
{
    h->heap[place] = member;
    h->at[member] = place;
}

static void sink(struct least *h, uint32_t place)
{
    uint32_t member = h->heap[place];
    for (;;) {
        uint32_t child = 2 * place + 1;
        if (child >= h->count) break;
        if (child + 1 < h->count && before(h, h->heap[child + 1], h->heap[child])) child++;
        if (!before(h, h->heap[child], member)) break;
        put_at(h, place, h->heap[child]);
        place = child;
    }
    put_at(h, place, member);
}

static void rise(struct least *h, uint32_t place)
{
    uint32_t member = h->heap[place];
    while (place > 0 && before(h, member, h->heap[(place - 1) / 2])) {
        put_at(h, place, h->heap[(place - 1) / 2]);
        place = (place - 1) / 2;
    }
    put_at(h, place, member);
}

static void heap_of(struct least *h, const struct assign_topic *t)
{
    h->count = t->member_count;
    for (uint32_t i = 0; i < t->member_count; i++) put_at(h, i, t->members[i]);
    for (uint32_t i = h->count / 2; i-- > 0;) sink(h, i);
}

struct unlike { /* the work of one assignment with subscriptions that differ */
    struct assignment *x;
    struct least heap;
    uint32_t *load;
    const struct assign_topic **topics; /* the fewest members first */
    uint64_t steps;
};

static bool subscribes(const struct assign_topic *t, uint32_t member)
{
    uint32_t low = 0, high = t->member_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (t->members[middle] == member) return true;
        if (t->members[middle] < member)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

static void count_loads(struct unlike *u)
{
    for (uint32_t i = 0; i < u->x->topic_count; i++) {
        const struct assign_topic *t = &u->x->topics[i];
        for (uint32_t p = t->first; p < t->first + t->count; p++) {
            uint32_t *owner = &u->x->owner[p];
            if (*owner != ASSIGN_NONE && !subscribes(t, *owner)) *owner = ASSIGN_NONE;
            if (*owner != ASSIGN_NONE) u->load[*owner]++;
        }
    }
}

static void give_free(struct unlike *u, const struct assign_topic *t)
{
    bool built = false;
    for (uint32_t p = t->first; p < t->first + t->count; p++) {
        if (u->x->owner[p] != ASSIGN_NONE) continue;
        if (!built) heap_of(&u->heap, t);
        built = true;
        uint32_t m = u->heap.heap[0];
        u->x->owner[p] = m;
        u->load[m]++;
        sink(&u->heap, 0);
    }
}

static bool level(struct unlike *u, const struct assign_topic *t)
{
    bool moved = false;
    u->steps += t->member_count + t->count;
    heap_of(&u->heap, t);
    for (uint32_t p = t->first + t->count; p-- > t->first;) { /* the first ones stay */
        uint32_t from = u->x->owner[p], to = u->heap.heap[0];
        if (u->load[from] < u->load[to] + 2) continue;
        u->x->owner[p] = to;
        u->load[to]++;
        sink(&u->heap, u->heap.at[to]);
        u->load[from]--;
        rise(&u->heap, u->heap.at[from]);
        moved = true;
    }
    return moved;
}

static int by_members(const void *x, const void *y)
{
    const struct assign_topic *a = *(const struct assign_topic *const *)x, *b = *(const struct assign_topic *const *)y;
    if (a->member_count != b->member_count) return a->member_count < b->member_count ? -1 : 1;
    return memcmp(a->id.b, b->id.b, sizeof a->id.b);
}

static enum status assign_unlike(struct arena *a, struct assignment *x)
{
    struct unlike u = {.x = x};
    u.load = arena_zalloc(a, x->member_count * sizeof *u.load);
    u.topics = arena_alloc(a, x->topic_count * sizeof *u.topics);
    u.heap.load = u.load;
    u.heap.at = arena_zalloc(a, x->member_count * sizeof *u.heap.at);
    u.heap.heap = arena_alloc(a, x->member_count * sizeof *u.heap.heap);
    if (u.load == NULL || u.topics == NULL || u.heap.at == NULL || u.heap.heap == NULL) return STATUS_NO_MEMORY;
    for (uint32_t t = 0; t < x->topic_count; t++) u.topics[t] = &x->topics[t];
    qsort(u.topics, x->topic_count, sizeof u.topics[0], by_members);
    count_loads(&u);
    uint32_t from = 0;
    while (from < x->topic_count && u.topics[from]->member_count == 0) from++;
    for (uint32_t t = from; t < x->topic_count; t++) give_free(&u, u.topics[t]);
    for (bool moved = true; moved && u.steps < MOVE_BUDGET;) {
        moved = false;
        for (uint32_t t = from; t < x->topic_count; t++)
            if (level(&u, u.topics[t])) moved = true;
    }
    return STATUS_OK;
}

enum status assign_uniform(struct arena *a, struct assignment *x)
{
    if (x->member_count == 0) {
        for (uint32_t p = 0; p < x->partition_count; p++) x->owner[p] = ASSIGN_NONE;
        return STATUS_OK;
    }
    return all_to_all(x) ? assign_alike(a, x) : assign_unlike(a, x);
}

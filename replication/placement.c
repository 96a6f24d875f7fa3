// SPDX-License-Identifier: Apache-2.0
/* Placement of replicas (controller.h). Brokers stand in a ring in which neighbours are of different racks as far as
 * that goes: racks in turn, in each rack its brokers in order of id. Partition p is led by the broker at a random start
 * + p; its followers are sought from there on, each in a rack that has the fewest; each round through the ring seeks
 * from one further, so that the load of a dead leader is spread. Live brokers come first: a fenced one is only taken
 * when there are not enough, and never leads. */
#include "base/bytes.h"
#include "base/check.h"
#include "replication/controller.h"
#include <stdio.h>

#define BROKERS_MAX 4096u

struct ring {
    int32_t ids[BROKERS_MAX];
    uint32_t racks[BROKERS_MAX]; /* place of the rack's first broker in the list: its number */
    uint32_t count;
};

static bool usable(const struct image_broker *b, bool live)
{
    return (!b->fenced && !b->shutting_down) == live;
}

static bool rack_before(const struct image_brokers *l, uint32_t at, bool live)
{
    for (uint32_t i = 0; i < at; i++)
        if (usable(l->brokers[i], live) && str_equal(l->brokers[i]->rack, l->brokers[at]->rack)) return true;
    return false;
}

/* The n-th (from 0) broker of the rack of broker `at`; NULL: it has fewer. */
static const struct image_broker *nth_of_rack(const struct image_brokers *l, uint32_t at, bool live, uint32_t n)
{
    for (uint32_t i = at; i < l->count; i++)
        if (usable(l->brokers[i], live) && str_equal(l->brokers[i]->rack, l->brokers[at]->rack) && n-- == 0)
            return l->brokers[i];
    return NULL;
}

/* Round k takes the k-th broker of each rack. */
static void fill(const struct image_brokers *l, bool live, struct ring *ring)
{
    for (uint32_t k = 0, taken = 1; taken > 0; k++) {
        taken = 0;
        for (uint32_t i = 0; i < l->count && ring->count < BROKERS_MAX; i++) {
            if (!usable(l->brokers[i], live) || rack_before(l, i, live)) continue;
            const struct image_broker *b = nth_of_rack(l, i, live, k);
            if (b == NULL) continue;
            ring->racks[ring->count] = i;
            ring->ids[ring->count++] = b->id;
            taken++;
        }
    }
}

/* Replicas behind the leader at ids[0]: each time the next broker of the ring, from `from` on, whose rack has the
 * fewest replicas of this partition: no rack has two before every rack has one. */
static void follow(const struct ring *live, uint32_t leader, uint32_t from, uint32_t count, int32_t *ids)
{
    uint32_t taken[REPLICAS_MAX] = {leader}; /* places in the ring */
    for (uint32_t r = 1; r < count; r++) {
        uint32_t best = UINT32_MAX, best_uses = UINT32_MAX;
        for (uint32_t i = 0; i < live->count && best_uses > 0; i++) {
            uint32_t at = (from + i) % live->count, uses = 0;
            bool free = true;
            for (uint32_t k = 0; k < r; k++) {
                free = free && taken[k] != at;
                uses += live->racks[taken[k]] == live->racks[at];
            }
            if (!free || uses >= best_uses) continue;
            best = at;
            best_uses = uses;
        }
        CHECK(best != UINT32_MAX);
        taken[r] = best;
        ids[r] = live->ids[best];
    }
}

bool placement_choose(const struct image_brokers *b, struct prng *random, uint32_t partitions, uint32_t replicas,
                      int32_t *ret_ids, char ret_text[256])
{
    struct ring live = {.count = 0}, fenced = {.count = 0};
    fill(b, true, &live);
    fill(b, false, &fenced);
    uint32_t known = live.count + fenced.count;
    CHECK(replicas > 0 && replicas <= REPLICAS_MAX);
    if (live.count == 0 || known < replicas) {
        char why[160] = "All brokers are currently fenced.";
        if (live.count > 0)
            snprintf(why, sizeof why,
                     "The target replication factor of %u cannot be reached because only %u broker(s) are registered.",
                     replicas, known);
        snprintf(ret_text, 256, "Unable to replicate the partition %u time(s): %s", replicas, why);
        return false;
    }
    uint32_t start = (uint32_t)prng_below(random, live.count), shift = (uint32_t)prng_below(random, live.count);
    for (uint32_t p = 0; p < partitions; p++) {
        uint32_t leader = (start + p) % live.count, alive = MIN(replicas, live.count);
        uint32_t step = live.count > 1 ? 1 + (shift + p / live.count) % (live.count - 1) : 0;
        int32_t *ids = ret_ids + (size_t)p * replicas;
        ids[0] = live.ids[leader];
        follow(&live, leader, leader + step, alive, ids);
        for (uint32_t r = alive; r < replicas; r++) ids[r] = fenced.ids[(p + r - alive) % fenced.count];
    }
    return true;
}

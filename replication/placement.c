// SPDX-License-Identifier: Apache-2.0
/* Placement of replicas (controller.h). Brokers stand in a ring in which neighbours are of different racks as far as
 * that goes: racks in turn, in each rack its brokers in order of id. Partition p begins at a random start + p, and
 * takes the next replicas from there; each round through the ring shifts the followers by one, so that the load of a
 * dead leader is spread. Live brokers come first: a fenced one is only taken when there are not enough, and never
 * leads. */
#include "base/bytes.h"
#include "replication/controller.h"
#include <stdio.h>

#define BROKERS_MAX 4096u

struct ring {
    int32_t ids[BROKERS_MAX];
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
            ring->ids[ring->count++] = b->id;
            taken++;
        }
    }
}

bool placement_choose(const struct image_brokers *b, struct prng *random, uint32_t partitions, uint32_t replicas,
                      int32_t *ret_ids, char ret_text[256])
{
    struct ring live = {.count = 0}, fenced = {.count = 0};
    fill(b, true, &live);
    fill(b, false, &fenced);
    uint32_t known = live.count + fenced.count;
    if (live.count == 0 || known < replicas) {
        snprintf(ret_text, 256,
                 "Unable to replicate the partition %u time(s): The target replication factor of %u cannot be reached "
                 "because only %u broker(s) are registered%s.",
                 replicas, replicas, known, live.count == 0 ? ", none of them alive" : "");
        return false;
    }
    uint32_t start = (uint32_t)prng_below(random, live.count);
    uint32_t shift = live.count > 1 ? (uint32_t)prng_below(random, live.count - 1) : 0;
    for (uint32_t p = 0; p < partitions; p++) {
        uint32_t first = (start + p) % live.count;
        uint32_t step = live.count > 1 ? 1 + (shift + p / live.count) % (live.count - 1) : 0;
        int32_t *ids = ret_ids + (size_t)p * replicas;
        ids[0] = live.ids[first];
        for (uint32_t r = 1; r < replicas; r++) {
            bool is_live = r < live.count;
            /* followers: the ring without the leader, begun at `step` behind it */
            uint32_t k = is_live ? (first + 1 + (step - 1 + r - 1) % (live.count - 1)) % live.count : 0;
            ids[r] = is_live ? live.ids[k] : fenced.ids[(p + r - live.count) % fenced.count];
        }
    }
    return true;
}

// SPDX-License-Identifier: Apache-2.0
/* What producer_state.c (the rules) and producer_state_format.c (the bytes) share. */
#pragma once
#include "base/check.h"
#include "storage/producer_state.h"
#include "storage/producer_table.h"
#include <assert.h>

struct pending {
    int64_t producer_id;
    struct kept_batch batch;
    uint32_t back; /* so many places before lies the producer's pending batch before this one; 0: none */
    int16_t epoch;
};

struct producers {
    struct producer_table table;
    struct pending *ring;
    struct producer *spare; /* for the next append: with a window */
    uint32_t first, pending_count, capacity;
    uint32_t number;          /* of the first pending one */
    uint32_t committed_count; /* producers with batches in the committed part */
    uint64_t kept_count;      /* their batches */
    int64_t committed;        /* end of the newest folded batch: nothing below is ever cut */
    int64_t oldest_ms;        /* no producer's newest committed batch is older */
    /* since the last record: ids that left the committed part, ascending in runs; more than fit: all is written next */
    int64_t *removed;
    uint32_t removed_count, removed_capacity;
    bool whole;
};

#define PRODUCERS_REMOVED_MAX (1u << 16)

struct producers *producers_of(struct producer_state *s); /* made when there are none; NULL: no memory */
void producers_removed_clear(struct producer_state *s);

static_assert(sizeof(struct pending) == 40, "memory per pending batch, as promised");

static inline int64_t kept_last_offset(const struct kept_batch *b)
{
    return b->base_offset + b->span;
}

/* Sequences count to 2^31 - 1 and go on at 0; after a marker too. */
static inline int32_t kept_last_sequence(const struct kept_batch *b)
{
    if (b->first_sequence < 0) return NO_SEQUENCE;
    return (int32_t)(((uint32_t)b->first_sequence + b->span) & INT32_MAX);
}

static inline bool offsets_sane(int64_t base, int64_t last)
{
    return base >= 0 && last >= base && last < INT64_MAX && last - base <= INT32_MAX;
}

static inline struct pending *pending_at(const struct producers *p, uint32_t i)
{
    CHECK(i < p->pending_count);
    return &p->ring[(p->first + i) % p->capacity];
}

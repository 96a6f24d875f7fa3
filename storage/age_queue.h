// SPDX-License-Identifier: Apache-2.0
/* Queue by age: who has the oldest bytes that only the journal holds. Positions count the journal's bytes since the
 * start; a node stands in the bucket of its position, so that placing costs the same whatever the order. Pure. */
#pragma once
#include "base/list.h"
#include <stdint.h>

#define AGE_BUCKETS 128u

struct age_queue {
    struct list buckets[AGE_BUCKETS]; /* number % AGE_BUCKETS; number: position / bucket_bytes */
    uint64_t bucket_bytes;
    uint64_t oldest; /* number of a bucket; none below holds any */
};

void age_queue_init(struct age_queue *q, uint64_t ring_bytes); /* ring_bytes: the most between oldest and newest */
/* Into the bucket of `pos`, from another one or from none. Older than the oldest bucket: into that; so far ahead that
 * the buckets do not reach, which a ring of that size rules out: the oldest ones are merged. */
void age_queue_place(struct age_queue *q, struct list_node *n, uint64_t pos);
/* The oldest bucket that is not empty and begins at or below `pos`; NULL if there is none. */
struct list *age_queue_first(struct age_queue *q, uint64_t pos);
/* The next one behind `bucket`, likewise. */
struct list *age_queue_next(const struct age_queue *q, const struct list *bucket, uint64_t pos);
/* Would `pos` stand in a later bucket than `upto`? */
static inline bool age_queue_later(const struct age_queue *q, uint64_t pos, uint64_t upto)
{
    return pos / q->bucket_bytes > upto / q->bucket_bytes;
}

// SPDX-License-Identifier: Apache-2.0
/* See age_queue.h. No failure modes: the buckets are part of the struct. */
#include "storage/age_queue.h"

#include "base/bytes.h"

void age_queue_init(struct age_queue *q, uint64_t ring_bytes)
{
    for (uint32_t i = 0; i < AGE_BUCKETS; i++) list_init(&q->buckets[i]);
    q->bucket_bytes = MAX(1u, ring_bytes / (AGE_BUCKETS / 2));
    q->oldest = 0;
}

static struct list *bucket_of(struct age_queue *q, uint64_t number)
{
    return &q->buckets[number % AGE_BUCKETS];
}

/* Up to and with `number` the buckets reach. */
static void reach(struct age_queue *q, uint64_t number)
{
    for (uint32_t i = 0; i < AGE_BUCKETS && q->oldest < number && list_empty(bucket_of(q, q->oldest)); i++) q->oldest++;
    if (list_empty(bucket_of(q, q->oldest)) && q->oldest < number) q->oldest = number; /* all are empty */
    while (number - q->oldest >= AGE_BUCKETS) {
        struct list *from = bucket_of(q, q->oldest), *to = bucket_of(q, q->oldest + 1);
        while (!list_empty(from)) list_push_back(to, list_pop_front(from));
        q->oldest++;
    }
}

void age_queue_place(struct age_queue *q, struct list_node *n, uint64_t pos)
{
    uint64_t number = MAX(pos / q->bucket_bytes, q->oldest);
    if (list_linked(n)) list_remove(n);
    if (number - q->oldest >= AGE_BUCKETS) reach(q, number);
    list_push_back(bucket_of(q, number), n);
}

struct list *age_queue_first(struct age_queue *q, uint64_t pos)
{
    uint64_t last = pos / q->bucket_bytes;
    for (uint32_t i = 0; i < AGE_BUCKETS && q->oldest < last && list_empty(bucket_of(q, q->oldest)); i++) q->oldest++;
    struct list *first = bucket_of(q, q->oldest);
    return q->oldest <= last && !list_empty(first) ? first : NULL;
}

struct list *age_queue_next(const struct age_queue *q, const struct list *bucket, uint64_t pos)
{
    uint64_t last = pos / q->bucket_bytes;
    uint64_t number = q->oldest + ((uint64_t)(bucket - q->buckets) - q->oldest) % AGE_BUCKETS;
    while (++number <= last && number - q->oldest < AGE_BUCKETS) {
        const struct list *b = &q->buckets[number % AGE_BUCKETS];
        if (!list_empty(b)) return (struct list *)(uintptr_t)b;
    }
    return NULL;
}

// SPDX-License-Identifier: Apache-2.0
/* The queue by age: whatever the order of placing, the oldest come first, and none is lost. */
#include "storage/age_queue.h"
#include "base/bytes.h"
#include "base/prng.h"
#include "tests/unit/check_main.h"

#define RING 6400u /* buckets of 100 */

struct item {
    struct list_node in_queue;
    uint64_t pos;
};

static struct age_queue q;

static struct item *first_upto(uint64_t pos)
{
    struct list *bucket = age_queue_first(&q, pos);
    return bucket == NULL ? NULL : container_of(list_first(bucket), struct item, in_queue);
}

static void place(struct item *i, uint64_t pos)
{
    i->pos = pos;
    age_queue_place(&q, &i->in_queue, pos);
}

static void test_order(void)
{
    struct item a = {0}, b = {0}, c = {0};
    age_queue_init(&q, RING);
    ASSERT(first_upto(0) == NULL);
    place(&b, 350);
    place(&a, 120);
    place(&c, 999);
    ASSERT(first_upto(99) == NULL);
    ASSERT(first_upto(100) == &a); /* its bucket begins there */
    place(&a, 420);
    ASSERT(first_upto(349) == &b);
    struct list *bucket = age_queue_next(&q, age_queue_first(&q, 2000), 2000);
    ASSERT(container_of(list_first(bucket), struct item, in_queue) == &a);
    bucket = age_queue_next(&q, bucket, 2000);
    ASSERT(container_of(list_first(bucket), struct item, in_queue) == &c);
    ASSERT(age_queue_next(&q, bucket, 2000) == NULL);
    ASSERT(age_queue_next(&q, age_queue_first(&q, 899), 899) != NULL);
    ASSERT(age_queue_later(&q, 500, 499));
    ASSERT(!age_queue_later(&q, 599, 500));
}

/* What is older than the oldest bucket stands in it; what was left behind by more than the buckets reach is merged. */
static void test_ends(void)
{
    struct item a = {0}, b = {0}, c = {0};
    age_queue_init(&q, RING);
    place(&a, 5000);
    ASSERT(first_upto(5000) == &a);
    place(&b, 10);
    ASSERT(first_upto(5000) == &b || first_upto(5000) == &a);
    place(&c, 5000 + 40 * RING);
    ASSERT(first_upto(5000) == NULL); /* merged upwards: younger than they are, still before c */
    ASSERT(first_upto(4000 + 40 * RING) == &a || first_upto(4000 + 40 * RING) == &b);
    list_remove(&a.in_queue);
    list_remove(&b.in_queue);
    ASSERT(first_upto(4999 + 40 * RING) == NULL);
    ASSERT(first_upto(5000 + 40 * RING) == &c);
    list_remove(&c.in_queue);
    place(&a, 1ull << 60); /* an empty queue goes anywhere at once */
    ASSERT(first_upto(1ull << 60) == &a);
}

/* A moving window like the ring's: the oldest of all stands in the first bucket. */
static void test_window(void)
{
    static struct item items[200];
    struct prng random;
    prng_seed(&random, 3, 1);
    age_queue_init(&q, RING);
    for (uint64_t head = RING, step = 0; step < 20000; step++, head += 3) {
        struct item *i = &items[prng_below(&random, 200)];
        place(i, head - prng_below(&random, RING / 2));
        for (struct item *old; (old = first_upto(head - RING + 200)) != NULL;) { /* as the mover: too old, moved */
            ASSERT(old->pos < head - RING + 300);
            list_remove(&old->in_queue);
        }
        const struct item *oldest = NULL;
        for (int k = 0; k < 200; k++)
            if (list_linked(&items[k].in_queue) && (oldest == NULL || items[k].pos < oldest->pos)) oldest = &items[k];
        const struct list *bucket = age_queue_first(&q, head);
        bool found = false;
        ASSERT(bucket != NULL);
        list_each (n, bucket) found |= n == &oldest->in_queue;
        ASSERT(found);
    }
}

TEST_MAIN("age queue", {"the oldest first", test_order}, {"both ends", test_ends}, {"a moving window", test_window})

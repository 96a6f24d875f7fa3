// SPDX-License-Identifier: Apache-2.0
/* The map of partitions: random adds, removes and look-ups against an array; listings in order. */
#include "base/prng.h"
#include "storage/partition_map.h"
#include "tests/unit/check_main.h"
#include <stdio.h>
#include <stdlib.h>

#define KEYS 400 /* beyond several doublings of the first 64 slots */

struct key {
    struct partition partition;
    char topic[8];
    bool in;
};

static struct key keys[KEYS];

/* 20 topics of 10 numbers; each name twice, under two ids (one deleted and made again). */
static void make_keys(void)
{
    memset(keys, 0, sizeof keys);
    for (int i = 0; i < KEYS; i++) {
        struct partition *p = &keys[i].partition;
        snprintf(keys[i].topic, sizeof keys[i].topic, "t%02d", i / 10 % 20);
        p->topic = keys[i].topic;
        p->number = i % 10;
        p->id.b[0] = (uint8_t)(i / 10 % 20);
        p->id.b[15] = (uint8_t)(i / 200);
    }
}

static int by_name(const struct partition *p, const struct partition *q)
{
    int order = strcmp(p->topic, q->topic);
    if (order == 0) order = p->number - q->number;
    return order != 0 ? order : topic_id_compare(p->id, q->id);
}

static void compare(struct partition_map *map)
{
    uint32_t count = 0;
    for (int i = 0; i < KEYS; i++) {
        struct partition *p = &keys[i].partition;
        ASSERT(partition_map_find(map, p->id, p->number) == (keys[i].in ? p : NULL));
        count += keys[i].in;
    }
    ASSERT_EQ(partition_map_count(map), count);
    struct partition *before = NULL;
    for (uint32_t i = 0; i < count; i++) {
        struct partition *p = partition_map_at(map, i);
        ASSERT(p != NULL && container_of(p, struct key, partition)->in);
        ASSERT(before == NULL || by_name(before, p) < 0); /* strictly: nobody twice */
        before = p;
    }
    ASSERT(partition_map_at(map, count) == NULL);
}

static void random_changes_agree_with_an_array(void)
{
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct mem *m = mem_create(10 << 20);
        struct partition_map *map = partition_map_create(m);
        struct prng prng;
        prng_seed(&prng, seed, 0);
        make_keys();
        for (int step = 0; step < 6000; step++) {
            struct key *k = &keys[prng_below(&prng, KEYS)];
            bool add = prng_chance(&prng, step / 1000 % 2 == 0 ? 3 : 1, 4); /* it grows and shrinks */
            if (add) {
                ASSERT_EQ(partition_map_add(map, &k->partition), k->in ? STATUS_EXISTS : STATUS_OK);
                k->in = true;
            } else if (k->in) {
                partition_map_remove(map, &k->partition);
                k->in = false;
            }
            if (step % 50 < 2) compare(map); /* also right after one change of a sorted map */
        }
        for (uint32_t i = partition_map_count(map); i-- > 0;) { /* as a clean stop does: from the end */
            struct partition *p = partition_map_at(map, i);
            partition_map_remove(map, p);
            container_of(p, struct key, partition)->in = false;
            if (i % 16 == 0) compare(map);
        }
        partition_map_destroy(map);
        mem_destroy(m);
    }
}

static void without_memory_nothing_changes(void)
{
    struct mem *m = mem_create(10 << 20);
    make_keys();
    for (uint64_t nth = 1; nth <= 2; nth++) {
        mem_fail_nth(m, nth);
        ASSERT(partition_map_create(m) == NULL);
    }
    struct partition_map *map = partition_map_create(m);
    for (int i = 0; i < 48; i++) { /* 3/4 of 64: full */
        ASSERT_EQ(partition_map_add(map, &keys[i].partition), STATUS_OK);
        keys[i].in = true;
    }
    mem_fail_nth(m, 1);
    ASSERT_EQ(partition_map_add(map, &keys[48].partition), STATUS_NO_MEMORY);
    mem_fail_nth(m, 1);
    ASSERT(partition_map_at(map, 0) == NULL); /* no room to sort in */
    mem_fail_nth(m, 0);
    compare(map);
    ASSERT_EQ(partition_map_add(map, &keys[48].partition), STATUS_OK);
    keys[48].in = true;
    compare(map);
    for (int i = 0; i < 49; i++) partition_map_remove(map, &keys[i].partition);
    partition_map_destroy(map);
    mem_destroy(m);
}

TEST_MAIN("partition map", {"random changes agree with an array", random_changes_agree_with_an_array},
          {"without memory nothing changes", without_memory_nothing_changes})

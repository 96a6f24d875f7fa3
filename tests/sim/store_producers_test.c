// SPDX-License-Identifier: Apache-2.0
/* Idempotent producers and the checkpoint table: a start finds the state of the moment before, byte for byte, whatever
 * was written as changes, expired, cut or in flight (rules A3, A11); and records stay small. */
#include "base/bytes.h"
#include "base/prng.h"
#include "storage/partition.h"
#include "tests/sim/store_world.h"
#include "tests/unit/check_main.h"
#include <stdlib.h>

#define EXPIRE_MS 400
#define HOUR_MS   (3600 * 1000)
enum { PRODUCERS = 40 };

static struct store_world w;
static struct partition *p;
static struct prng rng;
static int32_t next[PRODUCERS]; /* sequence */

static void begin(uint64_t seed, int64_t checkpoint_ms, int64_t expire_ms)
{
    world_init(&w, seed, NULL);
    prng_seed(&rng, seed, 4);
    memset(next, 0, sizeof next);
    w.config.checkpoint_ms = checkpoint_ms;
    w.config.producer_expire_ms = expire_ms;
    w.config.retention_check_ms = 100;
    ASSERT_EQ(world_boot(&w, 1), STATUS_OK);
    p = world_create(&w, "t", 0);
    ASSERT(p != NULL);
}

static void again(enum sim_kill how)
{
    world_crash(&w, how);
    ASSERT_EQ(world_boot(&w, 1), STATUS_OK);
    p = world_find(&w, "t", 0);
    ASSERT(p != NULL);
}

static enum status append(int64_t id, int32_t sequence, int64_t *ret_offset)
{
    struct world_batch b = {.records = 1,
                            .value_bytes = 50,
                            .has_producer = true,
                            .producer_id = id,
                            .sequence = sequence,
                            .time_ms = WORLD_TIME_MS + sim_now(w.sim) / NS_PER_MS};
    return world_append(&w, p, &b, ret_offset);
}

static uint8_t *state_bytes(size_t *ret_size)
{
    *ret_size = producer_state_encoded_size(&p->producers, PRODUCERS_WHOLE);
    uint8_t *bytes = malloc(*ret_size);
    producer_state_encode(&p->producers, PRODUCERS_WHOLE, bytes);
    return bytes;
}

/* A crash now must give this state back; everything is committed. */
static void expect_same_after(enum sim_kill how)
{
    size_t size, found_size;
    uint8_t *before = state_bytes(&size);
    again(how);
    uint8_t *found = state_bytes(&found_size);
    ASSERT_EQ(found_size, size);
    ASSERT(memcmp(before, found, size) == 0);
    free(before);
    free(found);
}

/* Some producers write, others pause long enough to be forgotten; a forgotten one may begin anywhere. */
static void a3_a_start_finds_the_same_state(void)
{
    unsigned forgotten = 0, most = 0;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        begin(seed, seed % 3 == 0 ? 5 : seed % 3 == 1 ? 60 : HOUR_MS, EXPIRE_MS);
        for (int round = 0; round < 25; round++) {
            uint64_t active = 1 + prng_below(&rng, PRODUCERS);
            for (int i = 0; i < 30; i++) {
                int64_t id = (int64_t)prng_below(&rng, active);
                ASSERT_EQ(append(id, next[id], NULL), STATUS_OK);
                next[id]++;
            }
            uint32_t count = producer_state_count(&p->producers);
            most = MAX(most, count);
            world_pass(&w, (int64_t)prng_below(&rng, 300) * NS_PER_MS);
            forgotten += producer_state_count(&p->producers) < count;
            world_pass(&w, 5 * NS_PER_MS); /* an entry that was put is durable */
            expect_same_after(round % 2 == 0 ? SIM_POWER : SIM_KILL);
        }
        ASSERT_EQ(world_stop(&w), STATUS_OK);
        world_deinit(&w);
    }
    ASSERT(forgotten > 15);
    ASSERT(most > PRODUCERS / 2);
}

/* The clock jumps a year ahead: nobody who writes is forgotten. One record of the future forgets nobody either. */
static void clocks_that_jump_forget_nobody(void)
{
    int64_t offset;
    begin(21, 50, EXPIRE_MS);
    ASSERT_EQ(append(1, 0, NULL), STATUS_OK);
    sim_clock_jump(w.machine, 365ll * 24 * 3600 * 1000);
    world_pass(&w, NS_PER_S);
    ASSERT_EQ(producer_state_count(&p->producers), 1);
    world_deinit(&w);
    begin(22, 50, EXPIRE_MS);
    ASSERT_EQ(append(1, 0, NULL), STATUS_OK);
    struct world_batch future = {.records = 1, .value_bytes = 50, .time_ms = WORLD_TIME_MS + 365ll * 24 * 3600 * 1000};
    ASSERT_EQ(world_append(&w, p, &future, NULL), STATUS_OK);
    world_pass(&w, EXPIRE_MS / 2 * NS_PER_MS);
    ASSERT_EQ(append(1, 0, &offset), STATUS_OK);
    ASSERT_EQ(offset, 0);
    ASSERT_EQ(partition_log_end(p), 2);
    world_deinit(&w);
}

/* 3,000 producers, then one of them writes on: a checkpoint writes little. */
static void a11_a_delta_is_small(void)
{
    struct store_stats before, after;
    begin(23, 20, HOUR_MS);
    for (int64_t id = 0; id < 3000; id++) ASSERT_EQ(append(id, 0, NULL), STATUS_OK);
    world_pass(&w, 50 * NS_PER_MS);
    store_stats(w.stores[0], &before);
    for (int32_t i = 1; i <= 20; i++) {
        ASSERT_EQ(append(7, i, NULL), STATUS_OK);
        world_pass(&w, 25 * NS_PER_MS);
    }
    store_stats(w.stores[0], &after);
    uint64_t checkpoints = after.checkpoints - before.checkpoints;
    ASSERT(checkpoints >= 10);
    ASSERT((after.checkpoint_written_bytes - before.checkpoint_written_bytes) / checkpoints < 10000);
    expect_same_after(SIM_POWER);
    ASSERT_EQ(producer_state_count(&p->producers), 3000);
    world_deinit(&w);
}

/* Re-homed to another journal: its first record there has all, though it stands in a delta. */
static void a11_a_new_home_has_all(void)
{
    begin(24, 30, HOUR_MS);
    ASSERT_EQ(world_stop(&w), STATUS_OK);
    ASSERT_EQ(world_boot(&w, 2), STATUS_OK);
    for (int32_t number = 1; number <= 12; number++) {
        p = world_create(&w, "t", number);
        for (int32_t i = 0; i < 8; i++) ASSERT_EQ(append(i, 0, NULL), STATUS_OK);
    }
    world_pass(&w, 100 * NS_PER_MS);
    for (uint32_t shards = 1; shards <= 3; shards++) {
        world_crash(&w, SIM_KILL);
        ASSERT_EQ(world_boot(&w, shards), STATUS_OK);
        world_crash(&w, SIM_POWER);
        ASSERT_EQ(world_boot(&w, shards), STATUS_OK);
        for (int32_t number = 1; number <= 12; number++) {
            p = world_find(&w, "t", number);
            ASSERT(p != NULL);
            ASSERT_EQ(producer_state_count(&p->producers), 8);
            ASSERT_EQ(append(3, (int32_t)shards, NULL), STATUS_OK);
        }
    }
    world_deinit(&w);
}

TEST_MAIN("producers", {"A3: a start finds the same state", a3_a_start_finds_the_same_state},
          {"C2 clocks that jump forget nobody", clocks_that_jump_forget_nobody},
          {"A11: a delta is small", a11_a_delta_is_small}, {"A11: a new home has all", a11_a_new_home_has_all})

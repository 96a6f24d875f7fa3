// SPDX-License-Identifier: Apache-2.0
/* What a store tells of itself (store_stats) against what was done to it. */
#include "base/histogram.h"
#include "tests/sim/store_world.h"
#include "tests/unit/check_main.h"

#define VALUE_BYTES 30000u

static struct store_stats stats_of(const struct store_world *w)
{
    struct store_stats t;
    store_stats(w->stores[0], &t);
    return t;
}

static void append(struct store_world *w, struct partition *p, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        int64_t offset;
        ASSERT_EQ(
            world_append(w, p, &(struct world_batch){.records = 1, .value_bytes = VALUE_BYTES, .tag = i}, &offset),
            STATUS_OK);
    }
}

static void appends_show_in_journal_cache_and_files(void)
{
    struct store_world w;
    world_init(&w, 7, NULL);
    ASSERT_EQ(world_boot(&w, 1), STATUS_OK);
    struct store_stats t = stats_of(&w);
    ASSERT(t.journal_bytes > 0 && t.partitions == 0 && t.unmoved_bytes == 0 && t.cached_bytes == 0);
    struct partition *p = world_create(&w, "t", 0);
    append(&w, p, 1);
    t = stats_of(&w);
    uint64_t batch = partition_size_bytes(p);
    ASSERT(batch > VALUE_BYTES && batch < VALUE_BYTES + 200);
    ASSERT(t.unmoved_bytes == batch && t.cached_bytes == batch && t.moves == 0 && t.partitions == 1);
    ASSERT(t.journal_groups >= 2 && t.journal_written_bytes > batch); /* the creation, the batch */
    ASSERT_EQ(histogram_count(t.commit_ns), t.journal_groups);
    append(&w, p, 99);
    world_pass(&w, 40ll * NS_PER_S); /* a checkpoint is due after 30 s */
    t = stats_of(&w);
    ASSERT_EQ(partition_size_bytes(p), 100 * batch);
    ASSERT(t.moves > 10 && t.moved_bytes == 100 * batch - t.unmoved_bytes && t.unmoved_bytes < 64 << 10);
    ASSERT(t.cached_bytes >= t.unmoved_bytes && t.cached_bytes <= 100 * batch);
    ASSERT(t.segment_files_open > 0 && t.checkpoints > 0 && t.checkpoint_written_bytes > 0);
    ASSERT(t.journal_used_bytes > 0 && t.journal_used_bytes <= t.journal_bytes);
    ASSERT(t.checkpoint_age_ns >= 0 && t.checkpoint_age_ns < 40ll * NS_PER_S);
    ASSERT(!t.fenced && !t.low_space && t.partitions_damaged == 0);
    ASSERT(atomic_load(&w.disk.free_bytes) > 1 << 20 && atomic_load(&w.disk.free_bytes) < UINT64_MAX);
    ASSERT_EQ(world_log_start(&w, p, 100), STATUS_OK);
    ASSERT(partition_size_bytes(p) < 100 * batch); /* segments below the log start are gone */
    ASSERT_EQ(world_stop(&w), STATUS_OK);
    world_deinit(&w);
}

static void a_failed_flush_shows_as_fenced(void)
{
    struct store_world w;
    world_init(&w, 8, NULL);
    ASSERT_EQ(world_boot(&w, 1), STATUS_OK);
    struct partition *p = world_create(&w, "t", 0);
    append(&w, p, 1);
    ASSERT(!stats_of(&w).fenced);
    sim_fault_add(w.machine, &(struct sim_fault_rule){.fault = SIM_FAULT_EIO, .kinds = 1ull << IO_WRITE, .nth = 1});
    int64_t offset;
    struct world_batch b = {.records = 1, .value_bytes = 10, .tag = 1};
    ASSERT_EQ(world_append(&w, p, &b, &offset), STATUS_FENCED);
    ASSERT(stats_of(&w).fenced);
    world_crash(&w, SIM_KILL);
    world_deinit(&w);
}

TEST_MAIN("store_stats", {"appends show in journal, cache and files", appends_show_in_journal_cache_and_files},
          {"a failed flush shows as fenced", a_failed_flush_shows_as_fenced})

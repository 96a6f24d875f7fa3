// SPDX-License-Identifier: Apache-2.0
/* Stories that crash states and damage at rest have found; each was red once. */
#include "tests/sim/store_world.h"
#include "tests/unit/check_main.h"
#include <stdlib.h>

static void append_some(struct store_world *w, struct partition *p, uint64_t from, uint64_t count)
{
    for (uint64_t i = from; i < from + count; i++) {
        int64_t offset;
        ASSERT_EQ(world_append(w, p, &(struct world_batch){.records = 1, .value_bytes = 100, .tag = i}, &offset),
                  STATUS_OK);
        ASSERT_EQ(offset, (int64_t)i);
    }
}

/* During replay the high watermark stands where the table had it, the log start moves with its entries. */
static void log_start_then_appends(void)
{
    struct store_world w;
    world_init(&w, 3, NULL);
    ASSERT_EQ(world_boot(&w, 1), STATUS_OK);
    struct partition *p = world_create(&w, "t", 0);
    append_some(&w, p, 0, 10);
    ASSERT_EQ(world_log_start(&w, p, 8), STATUS_OK);
    append_some(&w, p, 10, 3);
    world_crash(&w, SIM_POWER);
    ASSERT_EQ(world_boot(&w, 1), STATUS_OK);
    p = world_find(&w, "t", 0);
    ASSERT_EQ(partition_log_start(p), 8);
    ASSERT_EQ(partition_high_watermark(p), 13);
    ASSERT_EQ(partition_status(p), STATUS_OK);
    ASSERT_EQ(world_stop(&w), STATUS_OK);
    world_deinit(&w);
}

/* A power cut in the first start, before leat.directory has its name. */
static void first_start_cut_off(void)
{
    struct store_world w;
    world_init(&w, 5, NULL);
    ASSERT_EQ(sim_file_write(w.machine, "/data/leat.directory.new", 0, "LEAT", 4), STATUS_OK);
    ASSERT_EQ(world_boot(&w, 1), STATUS_OK);
    ASSERT_EQ(world_stop(&w), STATUS_OK);
    world_deinit(&w);
}

/* The moved bytes end `head` bytes into a batch, at the 64 KiB boundary; after a restart the rest is what the table
 * carries. */
static void batch_across_the_moved_end(uint32_t head)
{
    struct store_world w;
    static uint8_t bytes[1 << 17];
    world_init(&w, 6, NULL);
    w.config.checkpoint_ms = 3;
    ASSERT_EQ(world_boot(&w, 1), STATUS_OK);
    struct partition *p = world_create(&w, "t", 0);
    struct world_batch first = {.records = 1, .value_bytes = 65000};
    first.value_bytes += 65536 - head - world_batch_make(&first, bytes, sizeof bytes);
    ASSERT_EQ(world_batch_make(&first, bytes, sizeof bytes), 65536 - head);
    ASSERT_EQ(world_append(&w, p, &first, NULL), STATUS_OK);
    append_some(&w, p, 1, 2);
    world_pass(&w, 200 * NS_PER_MS);
    world_crash(&w, SIM_POWER);
    ASSERT_EQ(world_boot(&w, 1), STATUS_OK);
    struct partition_read *r = calloc(1, sizeof *r);
    for (int64_t offset = 0; offset < 3; offset++) {
        ASSERT_EQ(world_read(&w, world_find(&w, "t", 0), offset, 4096, r), STATUS_OK);
        ASSERT(r->slice_count > 0);
        partition_read_release(r);
    }
    free(r);
    ASSERT_EQ(world_stop(&w), STATUS_OK);
    world_deinit(&w);
}

static void moved_end_in_a_header(void)
{
    for (uint32_t head = 1; head < 70; head++) batch_across_the_moved_end(head);
}

TEST_MAIN("storage findings", {"a log start that moved before the last appends", log_start_then_appends},
          {"a first start that was cut off", first_start_cut_off},
          {"moved bytes that end inside a batch header", moved_end_in_a_header})

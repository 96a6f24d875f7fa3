// SPDX-License-Identifier: Apache-2.0
/* Stories that crash states and damage at rest have found; each was red once. */
#include "base/bytes.h"
#include "tests/sim/store_world.h"
#include "tests/unit/check_main.h"
#include <stdio.h>
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

static void ignore(struct partition_append *op)
{
    ASSERT_EQ(op->status, STATUS_OK);
}

static void append_at_once(struct partition *p, const uint32_t *value_bytes, int count)
{
    static struct partition_append ops[4];
    static uint8_t bytes[1 << 17];
    for (int i = 0; i < count; i++) {
        struct world_batch b = {.records = 1, .value_bytes = value_bytes[i]};
        ops[i] = (struct partition_append){.done = ignore};
        partition_append(p, bytes, world_batch_make(&b, bytes, sizeof bytes), &ops[i]);
    }
}

/* A cut in a file takes the moved end back to its index block; a second one above that, but below what the table calls
 * moved, is a cut in memory then, and carries nothing. A replay must go back as far. */
static void a_cut_in_memory_after_one_in_a_file(void)
{
    struct store_world w;
    world_init(&w, 7, NULL);
    w.config.checkpoint_ms = 1000;
    ASSERT_EQ(world_boot(&w, 1), STATUS_OK);
    struct partition *p = world_create(&w, "t", 0);
    partition_replicated(p, 1);
    append_at_once(p, (uint32_t[]){70000, 18000}, 2); /* batches at 0 and 70,000; moved up to 86,016 */
    world_pass(&w, 1200 * NS_PER_MS);                 /* and a table says so */
    for (uint64_t i = 2; i < 30; i++)                 /* moved far beyond; no table says that */
        ASSERT_EQ(world_append(&w, p, &(struct world_batch){.records = 1, .value_bytes = 3000, .tag = i}, NULL),
                  STATUS_OK);
    world_pass(&w, 10 * NS_PER_MS);
    ASSERT_EQ(world_truncate(&w, p, 6), STATUS_OK); /* above 86,016: back to 65,536 */
    ASSERT_EQ(world_truncate(&w, p, 1), STATUS_OK); /* 70,000 */
    append_some(&w, p, 1, 2);
    world_crash(&w, SIM_POWER);
    ASSERT_EQ(world_boot(&w, 1), STATUS_OK);
    p = world_find(&w, "t", 0);
    ASSERT_EQ(partition_log_end(p), 3);
    partition_replicated(p, 3);
    struct partition_read *r = calloc(1, sizeof *r);
    for (int64_t offset = 0; offset < 3; offset++) {
        ASSERT_EQ(world_read(&w, p, offset, 1, r), STATUS_OK);
        ASSERT(r->bytes > (offset == 0 ? 70000 : 100) && r->bytes < (offset == 0 ? 70100 : 200));
        partition_read_release(r);
    }
    free(r);
    ASSERT_EQ(world_stop(&w), STATUS_OK);
    world_deinit(&w);
}

struct rot {
    struct store_world *w;
    const char *tag;
    bool done;
};

/* Spoils the group of the ring that holds the record with that tag. */
static void rot_tagged(const char *name, bool is_dir, void *arg)
{
    struct rot *rot = arg;
    char path[128];
    uint64_t size;
    if (strncmp(name, "ring-", 5) != 0 || rot->done) return;
    snprintf(path, sizeof path, "/data/journal-000/%s", name);
    ASSERT_EQ(sim_file_size(rot->w->machine, path, &size), STATUS_OK);
    uint8_t *bytes = malloc(size);
    ASSERT_EQ(sim_file_read(rot->w->machine, path, 0, bytes, (uint32_t)size), STATUS_OK);
    uint8_t *at = memmem(bytes, size, rot->tag, strlen(rot->tag));
    if (at != NULL) {
        *at ^= 1;
        ASSERT_EQ(sim_file_write(rot->w->machine, path, (uint64_t)(at - bytes), at, 1), STATUS_OK);
        rot->done = true;
    }
    free(bytes);
}

static void accepted(struct partition_change *op)
{
    ASSERT_EQ(op->status, STATUS_OK);
}

/* The last record of a segment was lost and the loss accepted. From files, too, a read of its offset goes on with the
 * next one. */
static void a_gap_at_the_end_of_a_segment(void)
{
    struct store_world w;
    struct partition_change accept = {.done = accepted};
    world_init(&w, 8, NULL);
    w.config.checkpoint_ms = 3600 * 1000;
    w.config.segment_bytes = 100 << 10;
    ASSERT_EQ(world_boot(&w, 1), STATUS_OK);
    struct partition *p = world_create(&w, "t", 0);
    for (uint64_t i = 0; i < 5; i++)
        ASSERT_EQ(world_append(&w, p, &(struct world_batch){.records = 1, .value_bytes = 30000, .tag = i}, NULL),
                  STATUS_OK);
    world_pass(&w, 100 * NS_PER_MS);
    world_crash(&w, SIM_POWER);
    struct rot rot = {.w = &w, .tag = "0000000000000002:"};
    ASSERT_EQ(sim_file_list(w.machine, "/data/journal-000", rot_tagged, &rot), STATUS_OK);
    ASSERT(rot.done);
    ASSERT_EQ(world_boot(&w, 1), STATUS_OK);
    p = world_find(&w, "t", 0);
    ASSERT_EQ(partition_status(p), STATUS_DAMAGED);
    partition_accept_damage(p, &accept);
    world_pass(&w, 100 * NS_PER_MS);
    struct partition_read *r = calloc(1, sizeof *r);
    for (int i = 0; i < 2; i++) {
        ASSERT_EQ(partition_log_end(p), 5);
        ASSERT_EQ(world_read(&w, p, 2, 1, r), STATUS_OK);
        ASSERT_EQ((int64_t)load_be64(slice_data(r->slices[0])), 3);
        partition_read_release(r);
        ASSERT_EQ(world_stop(&w), STATUS_OK);
        ASSERT_EQ(world_boot(&w, 1), STATUS_OK);
        p = world_find(&w, "t", 0);
    }
    free(r);
    ASSERT_EQ(world_stop(&w), STATUS_OK);
    world_deinit(&w);
}

TEST_MAIN("storage findings", {"a log start that moved before the last appends", log_start_then_appends},
          {"a first start that was cut off", first_start_cut_off},
          {"moved bytes that end inside a batch header", moved_end_in_a_header},
          {"a gap at the end of a segment", a_gap_at_the_end_of_a_segment},
          {"a cut in memory after one in a file", a_cut_in_memory_after_one_in_a_file})

// SPDX-License-Identifier: Apache-2.0
/* The rules of storage as short stories, each named after its rule: first the interleaving that would lose data, then
 * what must come of it. */
#include "protocol/batch.h"
#include "tests/sim/store_world.h"
#include "tests/unit/check_main.h"
#include <stdio.h>
#include <stdlib.h>

static struct store_world w;
static struct partition *p;

static void begin(uint64_t seed, enum sim_names names, bool dsync)
{
    world_init(&w, seed, &(struct sim_machine_config){.names = names, .dsync_cheaper = dsync});
    w.config.checkpoint_ms = 3600 * 1000; /* only when a story asks for it, or the ring is full */
    ASSERT_EQ(world_boot(&w, 1), STATUS_OK);
    p = world_create(&w, "t", 0);
    ASSERT(p != NULL);
}

static void again(enum sim_kill how)
{
    world_crash(&w, how);
    sim_fault_clear(w.machine);
    ASSERT_EQ(world_boot(&w, 1), STATUS_OK);
    p = world_find(&w, "t", 0);
    ASSERT(p != NULL);
}

static enum status append_one(uint64_t tag, uint32_t bytes, int64_t *ret_offset)
{
    return world_append(&w, p, &(struct world_batch){.records = 1, .value_bytes = bytes, .tag = tag}, ret_offset);
}

static void append_some(int64_t count, uint32_t bytes)
{
    for (int64_t i = 0, offset; i < count; i++) {
        uint64_t next = (uint64_t)partition_log_end(p);
        ASSERT_EQ(append_one(next, bytes, &offset), STATUS_OK);
        ASSERT_EQ(offset, (int64_t)next);
    }
}

/* Every record from `from` to the log end, each with its offset as tag in its value. */
static void expect_all(int64_t from)
{
    struct partition_read *r = calloc(1, sizeof *r);
    for (int64_t next = from; next < partition_log_end(p);) {
        enum status status = world_read(&w, p, next, 300 << 10, r);
        ASSERT_EQ(status, STATUS_OK);
        ASSERT(r->slice_count > 0);
        for (uint32_t i = 0; i < r->slice_count; i++) {
            const uint8_t *at = slice_data(r->slices[i]);
            for (uint32_t left = r->slices[i].len; left > 0;) {
                struct batch_info info;
                char tag[17];
                ASSERT_EQ(batch_parse(at, left, &info), STATUS_OK);
                ASSERT(batch_crc_valid(at, &info));
                snprintf(tag, sizeof tag, "%016llx", (unsigned long long)info.base_offset);
                ASSERT(memmem(at, info.size_bytes, tag, 16) != NULL);
                next = batch_next_offset(&info);
                at += info.size_bytes;
                left -= info.size_bytes;
            }
        }
        partition_read_release(r);
    }
    free(r);
}

static void done(void)
{
    ASSERT_EQ(world_stop(&w), STATUS_OK);
    world_deinit(&w);
}

/* A failed flush is not tried again: everything that waits ends with FENCED, and so does what comes later. What was
 * acknowledged before is there after the restart. */
static void a_failed_flush_fences(void)
{
    int64_t offset;
    begin(13, SIM_EXT4_ORDERED, false);
    append_some(5, 500);
    sim_fault_add(w.machine, &(struct sim_fault_rule){
                                 .fault = SIM_FAULT_EIO, .kinds = 1 << IO_DATASYNC, .path = "*/ring-*", .nth = 1});
    ASSERT_EQ(append_one(5, 500, &offset), STATUS_FENCED);
    ASSERT_EQ(append_one(5, 500, &offset), STATUS_FENCED);
    ASSERT_EQ(partition_high_watermark(p), 5);
    again(SIM_POWER);
    ASSERT(partition_log_end(p) == 5 || partition_log_end(p) == 6);
    expect_all(0);
    done();
}

TEST_MAIN("storage scenarios", {"F: a failed flush fences", a_failed_flush_fences})

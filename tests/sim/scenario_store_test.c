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

/* A1: moves and checkpoints all the time, then the power goes. A table may call bytes moved only after a sync that
 * began when their writes were complete; every 3 ms is another place in that flow. */
static void a1_a_checkpoint_is_a_cut(void)
{
    for (uint64_t seed = 1; seed <= 12; seed++) {
        begin(seed, seed % 2 == 0 ? SIM_EXT4_ORDERED : SIM_WEAK_POSIX, false);
        w.config.checkpoint_ms = 1;
        again(SIM_KILL);
        append_some(20 + (int64_t)seed, 20000);
        world_pass(&w, (int64_t)seed * 300 * NS_PER_US);
        int64_t end = partition_log_end(p);
        again(SIM_POWER);
        ASSERT_EQ(partition_log_end(p), end);
        expect_all(0);
        done();
    }
}

/* A1, weak names: the very first records, power cut at once: every name on the way to them must be durable. */
static void a1_names_of_a_first_start(void)
{
    for (uint64_t seed = 1; seed <= 8; seed++) {
        begin(seed, SIM_WEAK_POSIX, seed % 2 == 0);
        append_some(2, 100);
        again(SIM_POWER);
        ASSERT_EQ(partition_log_end(p), 2);
        expect_all(0);
        done();
    }
}

/* A2: the watermark is held, records above it are cut, others take their place; the power goes at several moments
 * behind it. What was cut never comes back, what was acknowledged after the cut stays. Cuts in memory and in files. */
static void a2_truncation_against_the_mover(uint32_t bytes, int64_t count)
{
    for (uint64_t seed = 1; seed <= 6; seed++) {
        int64_t offset;
        begin(seed, SIM_EXT4_ORDERED, false);
        w.config.checkpoint_ms = seed % 2 == 0 ? 1 : 3600 * 1000;
        again(SIM_KILL);
        append_some(3, bytes);
        partition_replicated(p, 3);
        for (int64_t i = 3; i < count; i++) ASSERT_EQ(append_one(0xdead, bytes, &offset), STATUS_OK);
        world_pass(&w, (int64_t)seed * NS_PER_MS);
        ASSERT_EQ(world_truncate(&w, p, 3), STATUS_OK);
        ASSERT_EQ(partition_log_end(p), 3);
        append_some(count / 2, bytes);
        world_pass(&w, (int64_t)seed * 200 * NS_PER_US);
        int64_t end = partition_log_end(p);
        again(seed % 3 == 0 ? SIM_KILL : SIM_POWER);
        ASSERT_EQ(partition_log_end(p), end);
        partition_replicated(p, end);
        expect_all(0);
        done();
    }
}

static void a2_cut_in_memory(void)
{
    a2_truncation_against_the_mover(900, 12);
}

static void a2_cut_in_a_file(void)
{
    a2_truncation_against_the_mover(30000, 24);
}

struct starting {
    struct partition_change op;
    bool done;
};

static void started(struct partition_change *op)
{
    container_of(op, struct starting, op)->done = true;
}

static bool first_done(void *arg)
{
    return ((struct starting *)arg)->done;
}

/* A3: an uncommitted batch of an idempotent producer is stored in a table, then cut; after a restart its retry must be
 * stored anew, not be called a duplicate of what is gone. Its committed predecessor stays one. */
static void a3_derived_state_goes_back(void)
{
    struct world_batch b = {.records = 1, .value_bytes = 500, .has_producer = true, .producer_id = 9};
    int64_t offset;
    begin(4, SIM_EXT4_ORDERED, false);
    w.config.checkpoint_ms = 1;
    again(SIM_KILL);
    b.sequence = 6;
    ASSERT_EQ(world_append(&w, p, &b, &offset), STATUS_OK);
    partition_replicated(p, 1);
    b.sequence = 7;
    ASSERT_EQ(world_append(&w, p, &b, &offset), STATUS_OK);
    ASSERT_EQ(offset, 1);
    world_pass(&w, 200 * NS_PER_MS); /* a table with it */
    ASSERT_EQ(world_truncate(&w, p, 1), STATUS_OK);
    again(SIM_POWER);
    ASSERT_EQ(partition_log_end(p), 1);
    ASSERT_EQ(world_append(&w, p, &b, &offset), STATUS_OK);
    ASSERT_EQ(offset, 1);
    ASSERT_EQ(partition_log_end(p), 2);
    b.sequence = 6;
    ASSERT_EQ(world_append(&w, p, &b, &offset), STATUS_OK);
    ASSERT_EQ(offset, 0);
    ASSERT_EQ(partition_log_end(p), 2);
    done();
}

/* A5: rolled with small segments, crash before any checkpoint, started again with another segment.bytes: the rolls are
 * where they were, no file holds bytes of another one. */
static void a5_rolls_are_in_the_log(void)
{
    begin(5, SIM_EXT4_ORDERED, false);
    append_some(60, 60000);
    w.config.segment_bytes = 300 << 10;
    again(SIM_KILL);
    expect_all(0);
    append_some(20, 60000);
    again(SIM_POWER);
    expect_all(0);
    ASSERT_EQ(partition_log_end(p), 80);
    done();
}

/* A7: killed with writes in flight and started at once, several times: the old process's writes land before the new
 * one has the lock, so what it accepted stays. */
static void a7_the_killed_process_still_writes(void)
{
    begin(7, SIM_EXT4_ORDERED, false);
    uint8_t bytes[4096];
    static struct partition_append lost[8]; /* the process dies before they are answered */
    for (int round = 0; round < 20; round++) {
        append_some(3, 2000);
        for (int i = 0; i < 8; i++) {
            struct world_batch b = {.records = 1, .value_bytes = 3000, .tag = (uint64_t)partition_log_end(p)};
            uint32_t len = world_batch_make(&b, bytes, sizeof bytes);
            partition_append(p, bytes, len, &lost[i]);
        }
        world_pass(&w, 20 * NS_PER_US);
        int64_t end = partition_high_watermark(p);
        again(SIM_KILL);
        ASSERT(partition_log_end(p) >= end);
        int64_t found = partition_log_end(p);
        again(SIM_POWER); /* what was told after the first start was flushed by it */
        ASSERT_EQ(partition_log_end(p), found);
        expect_all(0);
    }
    done();
}

/* A8: a group in the middle rots at rest. A later group says that it was durable: never taken for the end of the log.
 * The partition names the range, refuses appends, serves the rest, until an operator accepts it. */
static void rot(const char *name, bool is_dir, void *arg)
{
    char path[128];
    uint8_t head[4096];
    uint64_t size;
    if (strncmp(name, "ring-", 5) != 0) return;
    snprintf(path, sizeof path, "/data/journal-000/%s", name);
    ASSERT_EQ(sim_file_size(w.machine, path, &size), STATUS_OK);
    for (uint64_t pos = 0, groups = 0; pos < size; pos += 4096) {
        ASSERT_EQ(sim_file_read(w.machine, path, pos, head, sizeof head), STATUS_OK);
        if (memcmp(head, "LEATJRNL", 8) != 0 || ++groups != 4) continue;
        head[300] ^= 1;
        ASSERT_EQ(sim_file_write(w.machine, path, pos, head, sizeof head), STATUS_OK);
        *(bool *)arg = true;
        return;
    }
}

static uint32_t damaged_partitions(void)
{
    struct store_stats t;
    store_stats(w.stores[0], &t);
    return t.partitions_damaged;
}

static void a8_damage_is_not_an_end(void)
{
    bool rotten = false;
    int64_t offset;
    begin(8, SIM_EXT4_ORDERED, false);
    append_some(10, 700); /* one group each, behind that of the creation */
    world_crash(&w, SIM_POWER);
    ASSERT_EQ(sim_file_list(w.machine, "/data/journal-000", rot, &rotten), STATUS_OK);
    ASSERT(rotten);
    again(SIM_POWER);
    ASSERT_EQ(partition_log_end(p), 10);
    ASSERT_EQ(partition_status(p), STATUS_DAMAGED);
    ASSERT_EQ(damaged_partitions(), 1);
    ASSERT_EQ(append_one(10, 700, &offset), STATUS_DAMAGED);
    struct partition_read *r = calloc(1, sizeof *r);
    ASSERT_EQ(world_read(&w, p, 2, 100, r), STATUS_DAMAGED);
    ASSERT_EQ(world_read(&w, p, 5, 100, r), STATUS_OK);
    partition_read_release(r);
    free(r);
    struct starting accept = {.op.done = started};
    partition_accept_damage(p, &accept.op);
    ASSERT(sim_run_while_not(w.sim, first_done, &accept, sim_now(w.sim) + NS_PER_S));
    ASSERT_EQ(accept.op.status, STATUS_OK);
    ASSERT_EQ(damaged_partitions(), 0);
    ASSERT_EQ(append_one(10, 700, &offset), STATUS_OK);
    ASSERT_EQ(offset, 10);
    done();
}

/* D2: a clean stop leaves each segment file at its exact length, readable by others; the next start goes on behind. */
static void d2_a_clean_stop_writes_the_tail(void)
{
    uint64_t size;
    begin(12, SIM_WEAK_POSIX, false);
    append_some(3, 777);
    ASSERT_EQ(world_stop(&w), STATUS_OK);
    ASSERT_EQ(sim_file_size(w.machine, "/data/t-0/00000000000000000000.log", &size), STATUS_OK);
    uint8_t *bytes = calloc(1, size);
    ASSERT_EQ(sim_file_read(w.machine, "/data/t-0/00000000000000000000.log", 0, bytes, (uint32_t)size), STATUS_OK);
    uint64_t at = 0;
    for (int64_t i = 0; i < 3; i++) {
        struct batch_info info;
        ASSERT_EQ(batch_parse(bytes + at, size - at, &info), STATUS_OK);
        ASSERT_EQ(info.base_offset, i);
        at += info.size_bytes;
    }
    ASSERT_EQ(at, size);
    free(bytes);
    again(SIM_POWER);
    append_some(3, 777); /* the block with the tail is written again, the power goes in the middle of it */
    again(SIM_POWER);
    expect_all(0);
    ASSERT_EQ(partition_log_end(p), 6);
    done();
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

TEST_MAIN("storage scenarios", {"A1: a checkpoint is a cut", a1_a_checkpoint_is_a_cut},
          {"A1: names of a first start", a1_names_of_a_first_start},
          {"A2: a cut in memory stays cut", a2_cut_in_memory}, {"A2: a cut in a file stays cut", a2_cut_in_a_file},
          {"A3: derived state goes back with the log", a3_derived_state_goes_back},
          {"A5: rolls are in the log", a5_rolls_are_in_the_log},
          {"A7: the killed process still writes", a7_the_killed_process_still_writes},
          {"A8: damage is not an end", a8_damage_is_not_an_end},
          {"D2: a clean stop writes the tail", d2_a_clean_stop_writes_the_tail},
          {"F: a failed flush fences", a_failed_flush_fences})

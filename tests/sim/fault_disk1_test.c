// SPDX-License-Identifier: Apache-2.0
/* Rows D1 to D13 of the fault catalogue (docs/faults.md): what a disk does, and what must come of it on one machine.
 * Each case is named after its row. Repair from replicas waits for the cluster: here damage is named, never taken for
 * good. */
#include "base/bytes.h"
#include "storage/store_impl.h"
#include "tests/sim/story.h"
#include "tests/unit/check_main.h"
#include <stdio.h>
#include <stdlib.h>

#define MOVE_NS (250 * NS_PER_MS)

static struct story s;
static const struct sim_machine_config weak = {.names = SIM_WEAK_POSIX};

static const struct sim_machine_config *strength(uint64_t seed)
{
    return seed % 2 == 0 ? NULL : &weak;
}

/* Twelve records of 60 KB in segments of three, all in files, nothing needed from the journal. */
static const char first_segment[] = "/data/t-0/00000000000000000000.log";

static void twelve_in_files(uint64_t seed)
{
    story_begin(&s, seed, NULL);
    s.w.config.segment_bytes = 200 << 10;
    story_again(&s, SIM_KILL);
    story_append_some(&s, 12, 60000);
    ASSERT_EQ(world_stop(&s.w), STATUS_OK);
}

/* --- D1: power loss of everything --- */

static void d1_power_loss(void)
{
    for (uint64_t seed = 1; seed <= 6; seed++) {
        memset(&s, 0, sizeof s);
        world_init(&s.w, seed, strength(seed));
        ASSERT_EQ(world_boot(&s.w, 2), STATUS_OK);
        int64_t ends[6] = {0};
        for (int32_t i = 0; i < 6; i++) ASSERT(world_create(&s.w, "t", i) != NULL);
        for (int round = 0; round < 3; round++) {
            for (int n = 0; n < 40; n++) {
                int32_t i = n % 6;
                s.p = world_find(&s.w, "t", i);
                story_append_some(&s, 1, n % 7 == 0 ? 60000 : 900);
                ends[i]++;
            }
            world_crash(&s.w, SIM_POWER);
            ASSERT_EQ(world_boot(&s.w, 2), STATUS_OK);
            for (int32_t i = 0; i < 6; i++) {
                s.p = world_find(&s.w, "t", i);
                ASSERT_EQ(partition_log_end(s.p), ends[i]);
                ASSERT_EQ(partition_status(s.p), STATUS_OK); /* no operator is asked */
                story_expect_all(&s, 0);
            }
        }
        story_end(&s);
    }
}

/* --- D3: torn writes --- */

static void d3_torn_write(void)
{
    uint64_t torn = 0, cut = 0;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        story_begin(&s, seed, strength(seed));
        for (int round = 0; round < 4; round++) {
            story_append_some(&s, 3, 900);
            int64_t acked = partition_high_watermark(s.p);
            s.pending_count = 0;
            for (int i = 0; i < 6; i++) story_append_begin(&s, 9000);
            world_pass(&s.w, (int64_t)(seed * 13 % 60) * NS_PER_US);
            acked = MAX(acked, partition_high_watermark(s.p));
            int64_t accepted = partition_log_end(s.p);
            story_again(&s, SIM_POWER);
            ASSERT(partition_log_end(s.p) >= acked);
            ASSERT_EQ(partition_status(s.p), STATUS_OK); /* a torn tail is no damage */
            cut += partition_log_end(s.p) < accepted;
            story_expect_all(&s, 0);
            s.trace_len = 0;
        }
        torn += sim_counters(s.w.sim)->sectors_torn;
        story_end(&s);
    }
    ASSERT(torn > 20);
    ASSERT(cut > 10);
}

/* --- D4: writes between two flushes persist in another order --- */

/* The later of two groups is on the disk, flushed, the earlier one is not: a hole. What lies above it is not revived,
 * not now and not when the hole has been filled by others. */
static void d4_reordered_writes(void)
{
    unsigned holes = 0;
    for (uint64_t seed = 1; seed <= 16; seed++) {
        story_begin(&s, seed, strength(seed));
        story_append_some(&s, 3, 900);
        story_stall(&s, IO_WRITE, "*/ring-*", 0);
        story_append_begin(&s, 900);
        world_pass(&s.w, 100 * NS_PER_US);
        story_append_begin(&s, 900);
        world_pass(&s.w, 10 * NS_PER_MS);
        story_expect(&s, ""); /* the second was written and flushed, and nobody was told */
        story_again(&s, SIM_POWER);
        int64_t end = partition_log_end(s.p);
        ASSERT_EQ(partition_status(s.p), STATUS_OK);
        ASSERT(end == 3 || end == 5);
        holes += end == 3;
        story_append_begin(&s, 900); /* as long as what was there */
        story_again(&s, SIM_POWER);
        ASSERT(partition_log_end(s.p) <= end + 1);
        ASSERT_EQ(partition_status(s.p), STATUS_OK);
        story_expect_all(&s, 0);
        story_end(&s);
    }
    ASSERT(holes > 4);
}

/* --- D5, D7: a bit in a sealed segment --- */

static void d5_bit_in_a_sealed_segment(void)
{
    twelve_in_files(5);
    story_rot(&s, first_segment, 70000);
    for (int life = 0; life < 2; life++) {
        story_again(&s, SIM_POWER);
        ASSERT_EQ(partition_log_end(s.p), 12 + 2 * life); /* never truncated */
        int64_t damaged = story_judge(&s, 0, 12);
        ASSERT(damaged >= 1 && damaged <= 2); /* one block of 64 KiB */
        ASSERT_EQ(story_read(&s, 1), STATUS_DAMAGED);
        story_append_some(&s, 2, 60000);
    }
    story_end(&s);
}

/* There is no good copy anywhere: those reads fail with a clear error, each time, the rest is served. */
static void d7_no_good_copy(void)
{
    struct partition_read *r = calloc(1, sizeof *r);
    twelve_in_files(7);
    for (uint64_t pos = 300; pos < 180000; pos += 65536) story_rot(&s, first_segment, pos);
    story_again(&s, SIM_POWER);
    for (int times = 0; times < 2; times++) {
        ASSERT_EQ(story_judge(&s, 0, 3), 3);
        ASSERT_EQ(story_judge(&s, 3, 12), 0);
    }
    ASSERT_EQ(world_read(&s.w, s.p, 2, 300 << 10, r), STATUS_DAMAGED); /* not the next segment instead */
    free(r);
    story_end(&s);
}

/* --- D6: a bit at the tail, below what was reported durable --- */

static void d6_bit_at_the_tail(void)
{
    static const uint64_t places[] = {0, 12, 40, 64, 130, 180, 700}; /* magic, CRC, sequence, body CRC, entry, batch */
    for (size_t i = 0; i < COUNT_OF(places); i++) {
        story_begin(&s, 6, NULL);
        story_append_some(&s, 5, 700);
        world_pass(&s.w, MOVE_NS); /* the closing block */
        world_crash(&s.w, SIM_POWER);
        story_rot(&s, "/data/journal-000/ring-000000", 5 * 4096 + places[i]);
        story_again(&s, SIM_POWER);
        ASSERT_EQ(partition_status(s.p), STATUS_DAMAGED); /* told apart from a torn tail */
        ASSERT_EQ(s.p->damaged_from, 4);
        ASSERT_EQ(story_judge(&s, 0, 5), 1);
        ASSERT_EQ(story_append(&s, 5, 700), STATUS_DAMAGED);
        story_end(&s);
    }
}

/* --- D8: a segment file cut, empty, gone --- */

static void d8_segment_shorter(void)
{
    static const int64_t lengths[] = {100000, 0, -1};
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        twelve_in_files(8);
        enum status status = lengths[i] < 0 ? sim_file_remove(s.w.machine, first_segment)
                                            : sim_file_truncate(s.w.machine, first_segment, (uint64_t)lengths[i]);
        ASSERT_EQ(status, STATUS_OK);
        story_again(&s, SIM_POWER); /* it starts */
        struct partition *t = s.p, *u = world_create(&s.w, "u", 0);
        ASSERT(u != NULL);
        s.p = u;
        story_append_some(&s, 3, 60000); /* others are not concerned */
        story_expect_all(&s, 0);
        s.p = t;
        ASSERT_EQ(partition_log_end(t), 12);
        ASSERT(story_judge(&s, 0, 12) >= 2);
        ASSERT_EQ(story_judge(&s, 3, 12), 0);
        story_append_some(&s, 3, 60000);
        story_end(&s);
    }
}

/* --- D9, D10: misdirected and lost writes --- */

/* One write of `path` goes wrong and says OK. Whatever is served later is right; where it is not there, that is said:
 * by the read, by the partition, or by a start that is refused with a sentence. Returns whether it was noticed. */
static bool one_bad_write(uint64_t seed, enum sim_fault fault, const char *path)
{
    const char *error;
    story_begin(&s, seed, NULL);
    story_append_some(&s, 2, 60000);
    sim_fault_add(s.w.machine,
                  &(struct sim_fault_rule){.fault = fault, .kinds = 1u << IO_WRITE, .path = path, .nth = 1 + seed % 3});
    story_append_some(&s, 8, 60000);
    world_pass(&s.w, MOVE_NS);
    uint64_t hit = sim_counters(s.w.sim)->faults[fault];
    ASSERT_EQ(hit, 1);
    bool stop = seed % 4 == 0; /* then everything is in the files */
    if (stop) ASSERT_EQ(world_stop(&s.w), STATUS_OK);
    enum status status = story_restart(&s, SIM_POWER, &error);
    if (status != STATUS_OK) {
        ASSERT(strstr(error, "restore") != NULL);
        world_deinit(&s.w);
        return true;
    }
    s.p = world_find(&s.w, "t", 0);
    ASSERT(s.p != NULL);
    bool told = partition_status(s.p) == STATUS_DAMAGED;
    ASSERT(told || partition_log_end(s.p) == 10); /* nothing is gone without a word */
    told |= story_judge(&s, 0, MIN(partition_log_end(s.p), (int64_t)10)) > 0;
    if (partition_status(s.p) == STATUS_OK) story_append_some(&s, 1, 900);
    ASSERT_EQ(world_stop(&s.w), STATUS_OK);
    world_deinit(&s.w);
    return told;
}

static void bad_writes(enum sim_fault fault, unsigned least)
{
    unsigned told = 0;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        told += one_bad_write(seed, fault, "*/ring-*");
        told += one_bad_write(seed, fault, "*.log");
    }
    ASSERT(told >= least);
}

static void d9_misdirected_in_the_file(void)
{
    bad_writes(SIM_FAULT_WRONG_OFFSET, 8);
}

static void d9_misdirected_to_another_file(void)
{
    bad_writes(SIM_FAULT_WRONG_FILE, 8);
}

static void d10_lost_write(void)
{
    bad_writes(SIM_FAULT_LOST, 8);
}

/* --- D11: stale bytes behind the tail --- */

/* The ring has gone round several times: behind the newest group lie whole, once valid groups of a round before. */
static void d11_stale_groups(void)
{
    for (uint64_t seed = 1; seed <= 4; seed++) {
        story_begin(&s, seed, strength(seed));
        for (int round = 0; round < 5; round++) {
            story_append_some(&s, 70 + (int64_t)seed, 60000);
            s.pending_count = 0;
            for (int i = 0; i < 4; i++) story_append_begin(&s, 60000);
            world_pass(&s.w, (int64_t)(seed * 20) * NS_PER_US);
            int64_t acked = partition_high_watermark(s.p), accepted = partition_log_end(s.p);
            story_again(&s, round % 2 == 0 ? SIM_POWER : SIM_KILL);
            ASSERT(partition_log_end(s.p) >= acked && partition_log_end(s.p) <= accepted);
            ASSERT_EQ(partition_status(s.p), STATUS_OK);
            s.trace_len = 0;
        }
        story_expect_all(&s, 0);
        story_end(&s);
    }
}

/* --- D12: fsync fails once, then says OK --- */

/* Whatever sync it is: the disk is fenced in that turn, what waits ends with FENCED, nothing is flushed or told again.
 */
static void d12_fails_once(enum io_kind kind, const char *path)
{
    story_begin(&s, 12, NULL);
    story_append_some(&s, 3, 60000);
    world_pass(&s.w, MOVE_NS);
    if (kind != IO_SYNC_FS) ASSERT_EQ(world_checkpoint(&s.w), STATUS_OK);
    story_append_some(&s, 3, 60000);
    world_pass(&s.w, MOVE_NS);
    story_fail(&s, kind, path, 0);
    STORY_WATCH(&s, "begins sync *");
    if (kind == IO_DATASYNC)
        story_append_begin(&s, 700);
    else
        story_checkpoint_begin(&s);
    world_pass(&s.w, NS_PER_S);
    story_append_begin(&s, 700);
    story_checkpoint_begin(&s);
    world_pass(&s.w, 5 * NS_PER_S);
    ASSERT_EQ(partition_status(s.p), STATUS_FENCED);
    ASSERT_EQ(partition_high_watermark(s.p), 6);
    ASSERT_EQ(sim_counters(s.w.sim)->faults[SIM_FAULT_EIO], 1);
    ASSERT(strstr(s.trace, "ok\n") == NULL && strstr(s.trace, "acknowledged") == NULL);
    const char *failed = kind == IO_DATASYNC  ? "begins sync ring\nappend: the disk is fenced after an I/O error\n"
                         : kind == IO_SYNC_FS ? "begins sync all of control\n"
                                              : "";
    ASSERT(strncmp(s.trace, failed, strlen(failed)) == 0);
    s.trace_len = 0;
    story_again(&s, SIM_KILL);
    ASSERT(partition_log_end(s.p) >= 6);
    story_append_some(&s, 2, 60000);
    story_again(&s, SIM_POWER);
    story_expect_all(&s, 0);
    story_end(&s);
}

static void d12_fsync_of_the_ring(void)
{
    d12_fails_once(IO_DATASYNC, "*/ring-*");
}

static void d12_fsync_of_a_segment(void)
{
    d12_fails_once(IO_SYNC, "*.log");
}

static void d12_fsync_of_the_table(void)
{
    d12_fails_once(IO_SYNC, "*/table-*");
}

static void d12_syncfs(void)
{
    d12_fails_once(IO_SYNC_FS, "*");
}

/* --- D13: a write fails --- */

static void d13_write_fails(void)
{
    static const char *const paths[] = {"*/ring-*", "*.log", "*/table-*"};
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        story_begin(&s, 13, NULL);
        story_append_some(&s, 3, 20000);
        story_fail(&s, IO_WRITE, paths[i], 0);
        story_append_begin(&s, 20000);
        story_append_begin(&s, 60000);
        world_pass(&s.w, NS_PER_S);
        story_checkpoint_begin(&s);
        world_pass(&s.w, NS_PER_S);
        ASSERT_EQ(partition_status(s.p), STATUS_FENCED);
        int64_t end = partition_high_watermark(s.p);
        ASSERT_EQ(story_append(&s, 9, 700), STATUS_FENCED); /* nothing behind it until it is opened anew */
        s.trace_len = 0;
        story_again(&s, SIM_KILL);
        ASSERT(partition_log_end(s.p) >= end);
        story_append_some(&s, 2, 20000);
        story_again(&s, SIM_POWER);
        story_expect_all(&s, 0);
        story_end(&s);
    }
}

TEST_MAIN("disk faults D1 to D13", {"D1 power loss of everything", d1_power_loss}, {"D3 torn write", d3_torn_write},
          {"D4 reordered writes leave a hole", d4_reordered_writes},
          {"D5 a bit in a sealed segment", d5_bit_in_a_sealed_segment}, {"D6 a bit at the tail", d6_bit_at_the_tail},
          {"D7 no good copy is left", d7_no_good_copy}, {"D8 a segment file cut, empty, gone", d8_segment_shorter},
          {"D9 a write misdirected in its file", d9_misdirected_in_the_file},
          {"D9 a write misdirected to another file", d9_misdirected_to_another_file},
          {"D10 a lost write", d10_lost_write}, {"D11 stale groups of a round before", d11_stale_groups},
          {"D12 fsync of the ring fails once", d12_fsync_of_the_ring},
          {"D12 fsync of a segment fails once", d12_fsync_of_a_segment},
          {"D12 fsync of the table fails once", d12_fsync_of_the_table}, {"D12 syncfs fails once", d12_syncfs},
          {"D13 a write fails", d13_write_fails})

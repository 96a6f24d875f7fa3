// SPDX-License-Identifier: Apache-2.0
/* Rows D14 to D32 of the fault catalogue (docs/faults.md), those that one machine without a cluster can meet. Each case
 * is named after its row. */
#include "base/bytes.h"
#include "base/crc32c.h"
#include "protocol/batch.h"
#include "storage/checkpoint.h"
#include "storage/store_impl.h"
#include "tests/sim/story.h"
#include "tests/unit/check_main.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOVE_NS (250 * NS_PER_MS)

static struct story s;

static const struct sim_machine_config *strength(uint64_t seed)
{
    static const struct sim_machine_config weak = {.names = SIM_WEAK_POSIX};
    return seed % 2 == 0 ? NULL : &weak;
}

/* --- D14: short writes before a flush --- */

/* Every write of the ring is cut short: the rest is written before the flush is submitted, the answer comes after. */
static void d14_short_writes(void)
{
    for (uint64_t seed = 1; seed <= 4; seed++) {
        story_begin(&s, seed, strength(seed));
        world_pass(&s.w, MOVE_NS);
        sim_fault_add(s.w.machine, &(struct sim_fault_rule){.fault = SIM_FAULT_SHORT,
                                                            .kinds = 1u << IO_WRITE | 1u << IO_READ,
                                                            .nth = 1,
                                                            .count = UINT64_MAX});
        STORY_WATCH(&s, "begins sync ring", "write ring");
        story_append_begin(&s, 60000);
        world_pass(&s.w, 10 * NS_PER_MS);
        story_expect(&s, "write ring\n" /* several */
                         "begins sync ring\n"
                         "acknowledged 0\n");
        ASSERT(sim_counters(s.w.sim)->faults[SIM_FAULT_SHORT] > 1);
        story_append_some(&s, 9, 60000);
        world_pass(&s.w, MOVE_NS);
        story_expect_all(&s, 0);
        ASSERT_EQ(world_checkpoint(&s.w), STATUS_OK);
        story_again(&s, SIM_POWER);
        ASSERT_EQ(partition_log_end(s.p), 10);
        story_expect_all(&s, 0);
        story_end(&s);
    }
}

/* --- D15: a buffer changed in flight --- */

static void nothing(struct io_op *op)
{
    (void)op;
}

/* The simulator compares every write's bytes at its completion with those at its submission, in every seed and story;
 * here a write is changed in between, to see that it notices. */
static void d15_buffer_changed_in_flight(void)
{
    story_begin(&s, 15, NULL);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        (void)freopen("/dev/null", "w", stderr);
        struct env *e = sim_env(s.w.machine, 0);
        uint8_t *page = aligned_alloc(4096, 4096);
        memset(page, 7, 4096);
        struct io_op op = {.kind = IO_WRITE,
                           .done = nothing,
                           .file = s.w.stores[0]->journal->slots[1].file,
                           .data = page,
                           .len = 4096};
        env_submit(e, &op);
        page[100]++;
        world_pass(&s.w, NS_PER_S);
        _exit(0);
    }
    int status;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    story_end(&s);
}

/* --- D16: a flush submitted beside the write --- */

/* The write takes long: the flush is not submitted before it is complete, or it would not cover it. Several chunks. */
static void d16_no_flush_beside_a_write(void)
{
    story_begin(&s, 16, NULL);
    world_pass(&s.w, MOVE_NS);
    STORY_WATCH(&s, "begins write ring", "write ring", "begins sync ring");
    story_stall(&s, IO_WRITE, "*/ring-*", 5 * NS_PER_MS);
    for (int i = 0; i < 4; i++) story_append_begin(&s, 30000);
    world_pass(&s.w, 15 * NS_PER_MS);
    story_expect(&s, "begins write ring\n"
                     "write ring\n" /* all of them, the slow one last */
                     "begins sync ring\n"
                     "acknowledged 0\n"
                     "acknowledged 1\n"
                     "acknowledged 2\n"
                     "acknowledged 3\n");
    story_end(&s);
}

/* --- D18: no space --- */

/* Each kind of file in turn finds no space: data, index, table, the directory of a partition and its metadata. Nothing
 * is fenced, reads go on; when there is space again everything does. (A growing ring: store_grow_test.) */
static void d18_no_space(void)
{
    static const char *const paths[] = {"*.log", "*.lidx", "*/table-*", "/data/t-0", "*/partition.metadata"};
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        story_begin(&s, 18, NULL);
        s.w.config.segment_bytes = 150 << 10;
        story_again(&s, SIM_KILL);
        sim_fault_add(s.w.machine, &(struct sim_fault_rule){.fault = SIM_FAULT_NO_SPACE,
                                                            .kinds = 1u << IO_WRITE | 1u << IO_ALLOCATE |
                                                                     1u << IO_OPEN | 1u << IO_MKDIR,
                                                            .path = paths[i],
                                                            .nth = 1,
                                                            .count = UINT64_MAX});
        story_append_some(&s, 8, 60000);
        world_pass(&s.w, NS_PER_S);
        (void)world_checkpoint(&s.w);
        world_pass(&s.w, NS_PER_S);
        ASSERT_EQ(partition_status(s.p), STATUS_OK);
        ASSERT(sim_counters(s.w.sim)->faults[SIM_FAULT_NO_SPACE] > 0);
        story_expect_all(&s, 0);
        sim_fault_clear(s.w.machine);
        story_append_some(&s, 1, 60000);
        world_pass(&s.w, 2 * NS_PER_S);
        ASSERT_EQ(world_checkpoint(&s.w), STATUS_OK);
        story_again(&s, SIM_POWER);
        ASSERT_EQ(partition_log_end(s.p), 9);
        story_expect_all(&s, 0);
        story_end(&s);
    }
}

/* Below the reserve produce is refused before the space is gone; reads, log starts, epochs, deletions go on. */
static void d18_below_the_reserve(void)
{
    story_begin(&s, 18, NULL);
    struct partition *u = world_create(&s.w, "u", 0);
    story_append_some(&s, 5, 60000);
    sim_disk_capacity(s.w.machine, sim_disk_used(s.w.machine) + (900 << 10));
    world_pass(&s.w, 2 * NS_PER_S);
    ASSERT_EQ(story_append(&s, 5, 700), STATUS_NO_SPACE);
    story_expect_all(&s, 0);
    ASSERT_EQ(world_log_start(&s.w, s.p, 2), STATUS_OK);
    ASSERT_EQ(world_epoch(&s.w, s.p, 4), STATUS_OK);
    ASSERT_EQ(world_delete(&s.w, u), STATUS_OK);
    ASSERT(world_create(&s.w, "v", 0) == NULL);
    ASSERT_EQ(world_checkpoint(&s.w), STATUS_OK);
    sim_disk_capacity(s.w.machine, 1ull << 40);
    world_pass(&s.w, 2 * NS_PER_S);
    story_append_some(&s, 1, 700);
    story_end(&s);
}

/* --- D19, D20: crashes in the middle of a truncation, of a log start --- */

/* Crashes after `steps` events of it, twice more during the start after that; the answer must not depend on how often
 * the start was tried. */
static void crash_in_the_middle(bool cut, uint64_t steps)
{
    story_begin(&s, 19 + steps, strength(steps));
    s.w.config.segment_bytes = 150 << 10;
    story_again(&s, SIM_KILL);
    story_append_some(&s, 6, 60000);
    partition_replicated(s.p, cut ? 2 : 6);
    world_pass(&s.w, MOVE_NS);
    ASSERT_EQ(world_checkpoint(&s.w), STATUS_OK);
    if (cut)
        story_cut_begin(&s, 3);
    else
        story_log_start_begin(&s, 4);
    for (uint64_t i = 0; i < steps; i++) CHECK(sim_step(s.w.sim));
    bool done = s.change.done && s.change.op.status == STATUS_OK;
    world_crash(&s.w, steps % 3 == 0 ? SIM_KILL : SIM_POWER);
    int64_t end = -1, start = -1;
    for (int life = 0; life < 3; life++) {
        world_boot_begin(&s.w, 1);
        for (uint64_t i = 0; life < 2 && i < 20 + steps * 3 % 60; i++) CHECK(sim_step(s.w.sim));
        if (life < 2) world_crash(&s.w, SIM_POWER);
        if (life < 2) continue;
        world_pass(&s.w, NS_PER_S);
        ASSERT(world_opened(&s.w));
        s.p = world_find(&s.w, "t", 0);
        end = partition_log_end(s.p);
        start = partition_log_start(s.p);
        ASSERT_EQ(partition_status(s.p), STATUS_OK);
        ASSERT(cut ? end == 6 || end == 3 : start == 0 || start == 4);
        if (done) ASSERT(cut ? end == 3 : start == 4);
        partition_replicated(s.p, end);
        story_expect_all(&s, start);
    }
    story_again(&s, SIM_KILL);
    ASSERT_EQ(partition_log_end(s.p), end);
    ASSERT_EQ(partition_log_start(s.p), start); /* it never goes back */
    story_end(&s);
}

static void d19_crash_during_a_truncation(void)
{
    for (uint64_t steps = 1; steps < 60; steps += 3) crash_in_the_middle(true, steps);
}

static void d20_crash_during_a_log_start(void)
{
    for (uint64_t steps = 1; steps < 60; steps += 3) crash_in_the_middle(false, steps);
}

/* --- D21: a crash in the middle of a roll --- */

/* Every second record rolls; the process dies every few events. Old or new, never a mix, and every file that is left is
 * one of the segments that the log has. */
static void d21_crash_during_a_roll(void)
{
    int64_t acked = 0;
    story_begin(&s, 21, strength(1));
    s.w.config.segment_bytes = 150 << 10;
    s.w.config.checkpoint_ms = 5;
    story_again(&s, SIM_KILL);
    for (uint64_t round = 0; round < 60; round++) {
        s.pending_count = 0;
        for (int i = 0; i < 3; i++) story_append_begin(&s, 60000);
        for (uint64_t i = 0; i < 10 + round * 7 % 120; i++) CHECK(sim_step(s.w.sim));
        acked = MAX(acked, partition_high_watermark(s.p));
        story_again(&s, round % 2 == 0 ? SIM_POWER : SIM_KILL);
        ASSERT(partition_log_end(s.p) >= acked);
        ASSERT_EQ(partition_status(s.p), STATUS_OK);
        acked = partition_log_end(s.p);
        s.trace_len = 0;
    }
    story_expect_all(&s, 0);
    ASSERT(s.p->segment_count > 30);
    story_append_some(&s, 3, 60000);
    world_pass(&s.w, MOVE_NS);
    for (uint32_t i = 0; i + 1 < s.p->segment_count; i++) {
        char path[64];
        uint64_t size;
        snprintf(path, sizeof path, "/data/t-0/%020lld.log", (long long)s.p->segments[i].base);
        ASSERT_EQ(sim_file_size(s.w.machine, path, &size), STATUS_OK);
        ASSERT_EQ(size, s.p->segments[i].length);
    }
    story_end(&s);
}

/* --- D22: a clean stop's mark --- */

/* After a clean stop the next process dies anywhere in its start and its first appends: no mark of the stop makes the
 * start after that look away. */
static void d22_no_mark_is_trusted(void)
{
    story_begin(&s, 22, strength(1));
    for (uint64_t steps = 5; steps < 600; steps += 37) {
        story_append_some(&s, 3, 20000);
        int64_t end = partition_log_end(s.p);
        ASSERT_EQ(world_stop(&s.w), STATUS_OK);
        world_boot_begin(&s.w, 1);
        for (uint64_t i = 0; i < steps; i++) {
            if (world_opened(&s.w) && partition_log_end(world_find(&s.w, "t", 0)) == end) {
                s.p = world_find(&s.w, "t", 0);
                s.pending_count = 0;
                story_append_begin(&s, 20000);
            }
            CHECK(sim_step(s.w.sim));
        }
        story_again(&s, steps % 2 == 0 ? SIM_POWER : SIM_KILL);
        ASSERT(partition_log_end(s.p) >= end);
        story_expect_all(&s, 0);
        s.trace_len = 0;
    }
    story_end(&s);
}

/* --- D23: the checkpoint torn or missing --- */

/* A torn rewrite: the table before it is used. A table that is gone or rotten while the journal has gone on: refused
 * with a sentence, for nothing else knows what it held; never a start with less. */
static void d23_checkpoint_torn(void)
{
    const char *error;
    uint8_t zeros[4096] = {0};
    char path[64];
    for (int how = 0; how < 3; how++) {
        story_begin(&s, 23, NULL);
        story_append_some(&s, 6, 60000);
        world_pass(&s.w, MOVE_NS);
        ASSERT_EQ(world_checkpoint(&s.w), STATUS_OK);
        story_append_some(&s, 6, 60000);
        struct table_writer *w = s.w.stores[0]->table;
        if (how == 0) w->number = 0; /* a base in the other file; the power goes while it is written */
        story_stall(&s, IO_WRITE, how == 0 ? "*/table-*" : "nothing", 0);
        story_checkpoint_begin(&s);
        world_pass(&s.w, MOVE_NS);
        uint64_t newest = w->generation;
        world_crash(&s.w, SIM_POWER);
        snprintf(path, sizeof path, "/data/journal-000/table-%u", (unsigned)(newest % 2));
        enum status status = how == 1   ? sim_file_remove(s.w.machine, path)
                             : how == 2 ? sim_file_write(s.w.machine, path, 0, zeros, sizeof zeros)
                                        : STATUS_OK;
        ASSERT_EQ(status, STATUS_OK);
        if (how == 0) {
            story_again(&s, SIM_POWER);
            ASSERT_EQ(partition_log_end(s.p), 12);
            story_expect_all(&s, 0);
            story_end(&s);
            continue;
        }
        ASSERT_EQ(story_restart(&s, SIM_POWER, &error), STATUS_DAMAGED);
        ASSERT(strstr(error, "restore") != NULL && strstr(error, "/data/journal-000") != NULL);
        world_deinit(&s.w);
    }
}

/* --- D24: the index gone or wrong --- */

/* Never a wrong record: the index is made anew, and every record is served (store_index_test has more of it). */
static void d24_index_gone_or_wrong(void)
{
    static const char path[] = "/data/t-0/00000000000000000000.lidx";
    static const uint64_t places[] = {0, 16, 48, 64, 70, 72, 100};
    for (size_t i = 0; i < COUNT_OF(places) + 3; i++) {
        uint8_t zeros[4096] = {0};
        story_begin(&s, 24, NULL);
        s.w.config.segment_bytes = 200 << 10;
        story_again(&s, SIM_KILL);
        story_append_some(&s, 12, 60000);
        ASSERT_EQ(world_stop(&s.w), STATUS_OK);
        if (i < COUNT_OF(places)) story_rot(&s, path, places[i]);
        enum status status = i == COUNT_OF(places)       ? sim_file_remove(s.w.machine, path)
                             : i == COUNT_OF(places) + 1 ? sim_file_truncate(s.w.machine, path, 0)
                             : i == COUNT_OF(places) + 2 ? sim_file_write(s.w.machine, path, 0, zeros, sizeof zeros)
                                                         : STATUS_OK;
        ASSERT_EQ(status, STATUS_OK);
        story_again(&s, SIM_POWER);
        ASSERT_EQ(partition_log_end(s.p), 12);
        ASSERT_EQ(story_judge(&s, 0, 12), 0);
        story_append_some(&s, 1, 60000);
        story_end(&s);
    }
}

/* --- D25: offsets beyond 32 bits --- */

static uint8_t far_batch[4096];
static struct partition_append far;

static void far_done(struct partition_append *op)
{
    story_tell(&s, "appended at %lld", (long long)op->base_offset);
}

/* As compaction leaves it: one record, and offsets for two billion that are gone. */
static void append_far(void)
{
    struct world_batch b = {.records = 1, .value_bytes = 700, .tag = (uint64_t)partition_log_end(s.p)};
    uint32_t len = world_batch_make(&b, far_batch, sizeof far_batch);
    store_be32(far_batch + 23, INT32_MAX - 1);
    store_be32(far_batch + 17, crc32c(0, far_batch + 21, len - 21)); /* from the attributes on */
    far = (struct partition_append){.done = far_done};
    partition_append(s.p, far_batch, len, &far);
    world_pass(&s.w, MOVE_NS);
}

static void d25_offsets_beyond_32_bits(void)
{
    story_begin(&s, 25, NULL);
    story_append_some(&s, 2, 60000);
    for (int i = 0; i < 4; i++) append_far();
    story_expect(&s, "appended at 2\n"
                     "appended at 2147483649\n"
                     "appended at 4294967296\n"
                     "appended at 6442450943\n");
    story_append_some(&s, 4, 60000);
    world_pass(&s.w, MOVE_NS);
    ASSERT_EQ(world_checkpoint(&s.w), STATUS_OK);
    for (int life = 0; life < 2; life++) {
        ASSERT_EQ(partition_log_end(s.p), 8589934590 + 4);
        for (int64_t offset = 8589934590; offset < 8589934594; offset++) ASSERT_EQ(story_read(&s, offset), STATUS_OK);
        ASSERT_EQ(story_read(&s, 4294967296), STATUS_OK);
        ASSERT_EQ(story_read(&s, 1), STATUS_OK);
        ASSERT(s.p->segment_count > 3); /* a segment's offsets fit 32 bits */
        story_again(&s, SIM_POWER);
    }
    ASSERT_EQ(world_log_start(&s.w, s.p, 8589934591), STATUS_OK);
    ASSERT_EQ(story_read(&s, 8589934591), STATUS_OK);
    story_end(&s);
}

/* --- D29: a slow disk --- */

/* A flush that hangs for longer than leat.disk.stall.ms fences the disk: the answer is FENCED (nobody knows), soon;
 * what comes meanwhile is bounded by the ring. */
static void d29_a_flush_of_half_a_minute(void)
{
    story_begin(&s, 29, NULL);
    s.w.config.stall_ms = 10 * 1000;
    story_again(&s, SIM_KILL);
    story_append_some(&s, 3, 700);
    story_stall(&s, IO_DATASYNC, "*/ring-*", 30 * NS_PER_S);
    int64_t begun = sim_now(s.w.sim);
    ASSERT_EQ(story_append(&s, 3, 700), STATUS_FENCED);
    ASSERT(sim_now(s.w.sim) - begun > 9 * NS_PER_S && sim_now(s.w.sim) - begun < 12 * NS_PER_S);
    world_pass(&s.w, 40 * NS_PER_S); /* it comes back: the fence stays */
    ASSERT_EQ(story_append(&s, 3, 700), STATUS_FENCED);
    story_again(&s, SIM_KILL);
    ASSERT(partition_log_end(s.p) >= 3);
    story_expect_all(&s, 0);
    story_end(&s);
}

/* A hundred times the latency: slower, all well. */
static void d29_a_hundred_times_slower(void)
{
    story_begin(&s, 30,
                &(struct sim_machine_config){
                    .read_ns = 1500 * NS_PER_US, .write_ns = 2 * NS_PER_MS, .sync_ns = 15 * NS_PER_MS});
    story_append_some(&s, 30, 60000);
    story_expect_all(&s, 0);
    story_again(&s, SIM_POWER);
    ASSERT_EQ(partition_log_end(s.p), 30);
    story_expect_all(&s, 0);
    story_end(&s);
}

/* --- D30: read-only --- */

static void d30_remounted_read_only(void)
{
    const char *error;
    story_begin(&s, 31, NULL);
    story_append_some(&s, 3, 60000);
    world_pass(&s.w, MOVE_NS);
    sim_disk_read_only(s.w.machine, true);
    ASSERT_EQ(story_append(&s, 3, 700), STATUS_FENCED);
    ASSERT_EQ(partition_status(s.p), STATUS_FENCED);
    ASSERT_EQ(story_restart(&s, SIM_KILL, &error), STATUS_READ_ONLY);
    ASSERT(strstr(error, "/data") != NULL && strstr(error, "read-only") != NULL);
    sim_disk_read_only(s.w.machine, false);
    story_again(&s, SIM_POWER);
    ASSERT_EQ(partition_log_end(s.p), 3);
    story_append_some(&s, 1, 700);
    story_expect_all(&s, 0);
    story_end(&s);
}

/* --- D32: directory entries --- */

static unsigned renames;

static void count_renames(struct sim_watch *w, enum io_kind kind, const char *path, bool begins, enum status status)
{
    (void)w, (void)path;
    renames += kind == IO_RENAME && !begins && status == STATUS_OK;
}

/* Weak names. The very first start is killed a few events behind one of its renames, leat.directory's and the
 * journal's; the next start finds all it needs, acknowledges a record, and the power goes: the name must be durable,
 * whoever made it. */
static void d32_names_of_a_killed_first_start(void)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct sim_watch watch = {.op = count_renames};
        memset(&s, 0, sizeof s);
        world_init(&s.w, seed, strength(1));
        s.w.config.journal_bytes = s.w.config.journal_first_bytes;
        sim_watch(s.w.machine, &watch);
        renames = 0;
        world_boot_begin(&s.w, 1);
        while (renames < 1 + seed % 2) CHECK(sim_step(s.w.sim));
        for (uint64_t i = 0; i < seed / 2 % 3; i++) CHECK(sim_step(s.w.sim));
        sim_watch(s.w.machine, NULL);
        world_crash(&s.w, SIM_KILL);
        ASSERT_EQ(world_boot(&s.w, 1), STATUS_OK);
        s.p = world_create(&s.w, "t", 0);
        story_append_some(&s, 1, 700);
        story_again(&s, SIM_POWER);
        ASSERT_EQ(partition_log_end(s.p), 1);
        world_crash(&s.w, SIM_KILL);
        world_deinit(&s.w);
    }
}

TEST_MAIN("disk faults D14 to D32", {"D14 short writes before a flush", d14_short_writes},
          {"D15 a buffer changed in flight is noticed", d15_buffer_changed_in_flight},
          {"D16 no flush beside a write", d16_no_flush_beside_a_write},
          {"D18 no space for each kind of file", d18_no_space}, {"D18 below the reserve", d18_below_the_reserve},
          {"D19 a crash during a truncation", d19_crash_during_a_truncation},
          {"D20 a crash during a log start", d20_crash_during_a_log_start},
          {"D21 a crash during a roll", d21_crash_during_a_roll},
          {"D22 no mark of a clean stop is trusted", d22_no_mark_is_trusted},
          {"D23 the checkpoint torn or missing", d23_checkpoint_torn},
          {"D24 the index gone or wrong", d24_index_gone_or_wrong},
          {"D25 offsets beyond 32 bits", d25_offsets_beyond_32_bits},
          {"D29 a flush of half a minute", d29_a_flush_of_half_a_minute},
          {"D29 a hundred times slower", d29_a_hundred_times_slower},
          {"D30 remounted read-only", d30_remounted_read_only},
          {"D32 names of a killed first start", d32_names_of_a_killed_first_start})

// SPDX-License-Identifier: Apache-2.0
/* Rules A4 to A7 as stories: first the interleaving that would lose data, then what must come of it. */
#include "tests/sim/story.h"
#include "storage/store_impl.h"
#include "tests/unit/check_main.h"
#include <stdio.h>
#include <stdlib.h>

#define MOVE_NS (250 * NS_PER_MS)

static struct story s;
static const struct sim_machine_config weak = {.names = SIM_WEAK_POSIX};

/* --- A4: one truth after re-homing --- */

/* A partition that two shards keep in journal 1, four in journal 3. */
static int32_t number(void)
{
    for (int32_t n = 0;; n++)
        if (partition_shard(world_topic_id("t"), n, 2) == 1 && partition_shard(world_topic_id("t"), n, 4) == 3)
            return n;
}

static void boot_shards(uint32_t shards)
{
    ASSERT_EQ(world_boot(&s.w, shards), STATUS_OK);
    s.p = world_find(&s.w, "t", number());
    if (s.p == NULL) s.p = world_create(&s.w, "t", number());
    ASSERT(s.p != NULL);
    story_tell(&s, "%u shards: journal %u, home %llu, end %lld", shards, s.p->store->number,
               (unsigned long long)s.p->home, (long long)partition_log_end(s.p));
}

static void a4_begin(void)
{
    memset(&s, 0, sizeof s);
    world_init(&s.w, 4, NULL);
    s.w.config.checkpoint_ms = 3600 * 1000;
    s.w.config.journal_bytes = s.w.config.journal_first_bytes;
    boot_shards(2);
    ASSERT_EQ(s.p->store->number, 1);
}

/* In journal 1 it is cut, gets other records in journal 3, and others again back in journal 1: none that were cut or
 * never appended may win, whichever journal still holds them. */
static void a4_one_truth(void)
{
    a4_begin();
    story_append_some(&s, 5, 700);
    partition_replicated(s.p, 5);
    for (int i = 0; i < 5; i++) ASSERT_EQ(story_append(&s, 0xdead, 700), STATUS_OK);
    for (int round = 0; round < 2; round++) {
        ASSERT_EQ(world_checkpoint_of(&s.w, 1), STATUS_OK); /* the table knows the watermark */
        world_crash(&s.w, SIM_POWER);
        boot_shards(4);
        partition_replicated(s.p, 5 + 4 * round);
        ASSERT_EQ(world_truncate(&s.w, s.p, 5 + 4 * round), STATUS_OK);
        story_append_some(&s, 2, 700);
        partition_replicated(s.p, partition_log_end(s.p));
        story_expect_all(&s, 0);
        world_crash(&s.w, SIM_KILL);
        boot_shards(2);
        partition_replicated(s.p, partition_log_end(s.p));
        story_expect_all(&s, 0);
        story_append_some(&s, 2, 700);
        ASSERT_EQ(story_append(&s, 0xdead, 700), STATUS_OK);
    }
    story_expect(&s, "2 shards: journal 1, home 1, end 0\n"
                     "4 shards: journal 3, home 2, end 10\n"
                     "2 shards: journal 1, home 3, end 7\n"
                     "4 shards: journal 3, home 4, end 10\n"
                     "2 shards: journal 1, home 5, end 11\n");
    story_end(&s);
}

/* The new journal's table is durable before the old one drops the partition: the power goes while the new table is
 * written. */
static void a4_kept_before_it_is_dropped(void)
{
    a4_begin();
    story_append_some(&s, 5, 700);
    world_crash(&s.w, SIM_POWER);
    STORY_WATCH(&s, "sync table 1");
    /* the two before it make the files, one of zeros each */
    sim_fault_add(s.w.machine, &(struct sim_fault_rule){.fault = SIM_FAULT_STALL,
                                                        .kinds = 1u << IO_WRITE,
                                                        .path = "*/journal-003*/table-*",
                                                        .nth = 3,
                                                        .delay_ns = INT64_MAX});
    world_boot_begin(&s.w, 4);
    world_pass(&s.w, 2 * MOVE_NS);
    ASSERT(!world_opened(&s.w));
    ASSERT_EQ(sim_counters(s.w.sim)->faults[SIM_FAULT_STALL], 1); /* the new table is on its way */
    story_expect(&s, "2 shards: journal 1, home 1, end 0\n"
                     "sync table 1\n"); /* it is in this one still */
    world_crash(&s.w, SIM_POWER);
    sim_fault_clear(s.w.machine);
    boot_shards(4);
    ASSERT_EQ(partition_log_end(s.p), 5);
    story_expect_all(&s, 0);
    story_end(&s);
}

/* --- A5: rolls are in the log --- */

static void tell_segments(const char *when)
{
    char text[160];
    snprintf(text, sizeof text, "%s:", when);
    for (uint32_t i = 0; i < s.p->segment_count; i++) {
        size_t n = strlen(text);
        snprintf(text + n, sizeof text - n, " %lld", (long long)s.p->segments[i].base);
    }
    story_tell(&s, "%s", text);
}

/* Rolled with small segments, crash before any checkpoint, started again with another segment.bytes: the rolls are
 * where they were, and so are the files. */
static void a5_rolls_are_in_the_log(void)
{
    story_begin(&s, 5, NULL);
    s.w.config.segment_bytes = 200 << 10;
    story_again(&s, SIM_KILL);
    story_append_some(&s, 14, 60000);
    world_pass(&s.w, MOVE_NS);
    tell_segments("rolled at 200 KiB");
    s.w.config.segment_bytes = 600 << 10;
    story_again(&s, SIM_POWER);
    tell_segments("replayed at 600 KiB");
    story_expect_all(&s, 0);
    story_append_some(&s, 11, 60000);
    tell_segments("and on");
    story_expect(&s, "rolled at 200 KiB: 0 3 6 9 12\n"
                     "replayed at 600 KiB: 0 3 6 9 12\n"
                     "and on: 0 3 6 9 12 22\n");
    ASSERT_EQ(world_stop(&s.w), STATUS_OK);
    ASSERT_STREQ(story_names(&s, "/data/t-0", ".log"),
                 "00000000000000000000.log 00000000000000000003.log 00000000000000000006.log "
                 "00000000000000000009.log 00000000000000000012.log 00000000000000000022.log");
    story_again(&s, SIM_POWER);
    story_expect_all(&s, 0);
    ASSERT_EQ(partition_log_end(s.p), 25);
    story_end(&s);
}

/* A file that neither table nor replay names (a roll whose entry was never durable) is moved away before the first
 * move, whole, never deleted and never read. */
static void a5_a_file_that_nobody_names(void)
{
    static const char stray[] = "what a power cut left of a roll";
    char back[sizeof stray];
    story_begin(&s, 6, NULL);
    story_append_some(&s, 4, 60000);
    world_pass(&s.w, MOVE_NS);
    world_crash(&s.w, SIM_POWER);
    ASSERT_EQ(sim_file_write(s.w.machine, "/data/t-0/00000000000000000002.log", 0, stray, sizeof stray), STATUS_OK);
    STORY_WATCH(&s, "rename *", "write segment");
    story_again(&s, SIM_POWER);
    story_append_some(&s, 4, 60000);
    world_pass(&s.w, MOVE_NS);
    story_expect(&s, "rename segment\n"
                     "write segment\n");
    story_expect_all(&s, 0);
    ASSERT_STREQ(story_names(&s, "/data/t-0", ".log"), "00000000000000000000.log");
    char path[200];
    snprintf(path, sizeof path, "/data/quarantine/%s", story_names(&s, "/data/quarantine", "00000000000000000002.log"));
    ASSERT_EQ(sim_file_read(s.w.machine, path, 0, back, sizeof back), STATUS_OK);
    ASSERT_EQ(memcmp(back, stray, sizeof stray), 0);
    story_end(&s);
}

/* --- A6: delete and re-create under one name --- */

/* Ids whose partition 0 lies on shard 0 and on shard 1 of two. */
static struct topic_id id_on(uint32_t shard)
{
    for (uint8_t n = 1;; n++) {
        struct topic_id id = {{6, n, 1}};
        if (partition_shard(id, 0, 2) == shard) return id;
    }
}

static void a6_begin(struct topic_id x)
{
    memset(&s, 0, sizeof s);
    world_init(&s.w, 6, &weak);
    s.w.config.checkpoint_ms = 3600 * 1000;
    s.w.config.journal_bytes = s.w.config.journal_first_bytes;
    ASSERT_EQ(world_boot(&s.w, 2), STATUS_OK);
    s.p = world_create_as(&s.w, "same", x, 0);
    ASSERT(s.p != NULL);
}

static struct partition *find_on(uint32_t shard)
{
    return store_find(s.w.stores[shard], id_on(shard), 0);
}

/* X (journal 0) is deleted, Y of the same name lies in journal 1 and has bytes in files; the crash makes journal 0
 * replay the deletion once more: the directory is Y's now and stays. */
static void a6_a_replayed_deletion_spares_the_new_topic(void)
{
    a6_begin(id_on(0));
    story_append_some(&s, 3, 60000);
    ASSERT_EQ(world_delete(&s.w, s.p), STATUS_OK);
    s.p = world_create_as(&s.w, "same", id_on(1), 0);
    story_append_some(&s, 4, 60000);
    world_pass(&s.w, MOVE_NS);
    ASSERT_EQ(world_checkpoint_of(&s.w, 1), STATUS_OK);
    ASSERT_EQ(world_checkpoint_of(&s.w, 1), STATUS_OK); /* Y's bytes are in its file only */
    for (int life = 0; life < 2; life++) {
        world_crash(&s.w, life == 0 ? SIM_KILL : SIM_POWER);
        STORY_WATCH(&s, "rename *");
        ASSERT_EQ(world_boot(&s.w, 2), STATUS_OK);
        story_expect(&s, "");
        ASSERT(find_on(0) == NULL);
        s.p = find_on(1);
        ASSERT(s.p != NULL);
        ASSERT_EQ(partition_log_end(s.p), 4);
        story_expect_all(&s, 0);
    }
    story_end(&s);
}

/* The first move of Y finds a directory with Y's name and somebody else's metadata: into quarantine as a whole. */
static void a6_a_foreign_directory_is_not_written_into(void)
{
    uint8_t page[4096] = "LEATPART of somebody else";
    memset(&s, 0, sizeof s);
    story_begin(&s, 7, &weak);
    world_crash(&s.w, SIM_KILL);
    ASSERT_EQ(sim_file_write(s.w.machine, "/data/t-0/partition.metadata", 0, page, sizeof page), STATUS_OK);
    ASSERT_EQ(sim_file_write(s.w.machine, "/data/t-0/00000000000000000000.log", 0, page, sizeof page), STATUS_OK);
    story_again(&s, SIM_POWER);
    STORY_WATCH(&s, "rename *", "make *", "write metadata", "write segment");
    story_append_some(&s, 3, 60000);
    world_pass(&s.w, MOVE_NS);
    story_expect(&s, "make t-0: the file exists already\n"
                     "rename t-0\n"
                     "make t-0\n"
                     "write metadata\n"
                     "write segment\n");
    char path[200];
    snprintf(path, sizeof path, "/data/quarantine/%s", story_names(&s, "/data/quarantine", "t-0"));
    ASSERT_STREQ(story_names(&s, path, ""), "00000000000000000000.log partition.metadata");
    story_again(&s, SIM_POWER);
    story_expect_all(&s, 0);
    story_end(&s);
}

/* What is deleted is whole before it goes: everything moved, files cut, state beside them; then the entry, then the
 * rename, then both parents, and only then a checkpoint may pass the entry. */
static void a6_everything_moves_before_it_goes(void)
{
    uint64_t size, batch_bytes;
    uint8_t *batch = malloc(64 << 10);
    struct world_batch b = {.records = 1, .value_bytes = 9000};
    batch_bytes = world_batch_make(&b, batch, 64 << 10);
    free(batch);
    story_begin(&s, 8, &weak);
    story_append_some(&s, 7, 9000); /* too little to move by itself, and a tail */
    world_pass(&s.w, MOVE_NS);
    STORY_WATCH(&s, "write segment", "truncate segment", "write partition.state", "sync all *", "sync ring",
                "rename t-0", "sync dir *", "write table");
    /* both parents are synced at once: this one is the slower one here */
    sim_fault_add(s.w.machine, &(struct sim_fault_rule){.fault = SIM_FAULT_STALL,
                                                        .kinds = 1u << IO_SYNC_DIR,
                                                        .path = "/data",
                                                        .nth = 1,
                                                        .delay_ns = 20 * NS_PER_MS});
    ASSERT_EQ(world_delete(&s.w, s.p), STATUS_OK);
    sim_fault_clear(s.w.machine);
    story_tell(&s, "deleted");
    ASSERT_EQ(world_checkpoint(&s.w), STATUS_OK);
    ASSERT_EQ(world_checkpoint(&s.w), STATUS_OK);
    story_expect(&s, "write segment\n"
                     "truncate segment\n"
                     "write partition.state\n"
                     "sync all of control\n"
                     "sync ring\n"
                     "rename t-0\n"
                     "sync dir trash\n"
                     "sync dir directory\n"
                     "deleted\n"
                     "sync ring\n" /* the closing block */
                     "sync all of control\n"
                     "write table\n");
    world_crash(&s.w, SIM_POWER);
    ASSERT_EQ(world_boot(&s.w, 1), STATUS_OK);
    ASSERT(world_find(&s.w, "t", 0) == NULL);
    ASSERT_STREQ(story_names(&s, "/data", "t-0"), "");
    char path[300];
    snprintf(path, sizeof path, "/data/trash/%s", story_names(&s, "/data/trash", "t-0"));
    ASSERT_STREQ(story_names(&s, path, ""), "00000000000000000000.log partition.metadata partition.state");
    snprintf(path + strlen(path), 60, "/00000000000000000000.log");
    ASSERT_EQ(sim_file_size(s.w.machine, path, &size), STATUS_OK);
    ASSERT_EQ(size, 7 * batch_bytes);
    story_end(&s);
}

/* --- A7: the killed process still writes --- */

/* kill -9 with writes in flight that land up to half a second later; the next process starts at once. It must wait for
 * them: without that it cuts the torn group, puts its own in that place, and the old write lands on it. */
static void a7_old_writes_land_before_the_lock_is_had(void)
{
    unsigned lingering = 0;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        story_begin(&s, seed, &(struct sim_machine_config){.linger_ns = 500 * NS_PER_MS});
        story_append_some(&s, 3, 2000);
        world_pass(&s.w, MOVE_NS);
        story_append_begin(&s, 30000);
        world_pass(&s.w, 10 * NS_PER_US);
        uint64_t orphans = sim_counters(s.w.sim)->orphan_writes;
        story_again(&s, SIM_KILL);
        int64_t found = partition_log_end(s.p);
        story_append_some(&s, 3, 900);
        world_pass(&s.w, 600 * NS_PER_MS);
        lingering += sim_counters(s.w.sim)->orphan_writes > orphans;
        story_again(&s, SIM_POWER);
        ASSERT_EQ(partition_log_end(s.p), found + 3);
        ASSERT_EQ(partition_status(s.p), STATUS_OK);
        story_expect_all(&s, 0);
        story_end(&s);
    }
    ASSERT(lingering > 5);
}

/* Killed with writes in flight and started at once, several times: what is told after the start was made durable by
 * it, for it may be in the drive's cache only. */
static void a7_what_is_read_back_is_flushed(void)
{
    uint8_t bytes[4096];
    static struct partition_append lost[8]; /* the process dies before they are answered */
    story_begin(&s, 7, NULL);
    for (int round = 0; round < 20; round++) {
        story_append_some(&s, 3, 2000);
        for (int i = 0; i < 8; i++) {
            struct world_batch b = {.records = 1, .value_bytes = 3000, .tag = (uint64_t)partition_log_end(s.p)};
            uint32_t len = world_batch_make(&b, bytes, sizeof bytes);
            partition_append(s.p, bytes, len, &lost[i]);
        }
        sim_nudge(s.w.machine, 0);
        world_pass(&s.w, (10 + 3 * round) * NS_PER_US);
        int64_t end = partition_high_watermark(s.p);
        story_again(&s, SIM_KILL);
        ASSERT(partition_log_end(s.p) >= end);
        int64_t found = partition_log_end(s.p);
        story_again(&s, SIM_POWER); /* what was told after the first start was flushed by it */
        ASSERT_EQ(partition_log_end(s.p), found);
        story_expect_all(&s, 0);
    }
    story_end(&s);
}

/* A flush fails, the process dies, the power stays. What the failed flush had to make durable may be lost on the medium
 * and still be read back from a cache, and the next flush says OK (sim/README). The start may believe none of it: what
 * it relies on is written again. */
static void after_a_failed_flush(enum io_kind kind, const char *path)
{
    unsigned shown = 0;
    for (uint64_t seed = 1; seed <= 32; seed++) {
        story_begin(&s, seed, seed % 2 == 0 ? NULL : &weak);
        story_append_some(&s, 2, 60000);
        world_pass(&s.w, MOVE_NS);
        if (kind != IO_SYNC_FS) ASSERT_EQ(world_checkpoint(&s.w), STATUS_OK);
        story_append_some(&s, 2, 60000);
        world_pass(&s.w, MOVE_NS);
        story_fail(&s, kind, path, 0);
        ASSERT_EQ(kind == IO_DATASYNC ? story_append(&s, 4, 60000) : world_checkpoint(&s.w), STATUS_FENCED);
        int64_t acked = 4;
        for (uint64_t life = 0; life < 3; life++) { /* in one life nothing is done: what was found was told */
            bool works = (seed / 4 + life) % 2 == 0;
            story_again(&s, SIM_KILL);
            ASSERT(partition_log_end(s.p) >= acked);
            shown += partition_log_end(s.p) > acked;
            if (works) {
                story_append_some(&s, 3, 60000);
                world_pass(&s.w, MOVE_NS);
                ASSERT_EQ(world_checkpoint(&s.w), STATUS_OK);
            }
            acked = partition_log_end(s.p);
            story_again(&s, SIM_POWER);
            ASSERT_EQ(partition_log_end(s.p), acked);
            ASSERT_EQ(partition_status(s.p), STATUS_OK);
            story_expect_all(&s, 0);
        }
        story_end(&s);
    }
    ASSERT(kind != IO_DATASYNC || shown > 2);
}

static void a7_failed_flush_of_the_ring(void)
{
    after_a_failed_flush(IO_DATASYNC, "*/ring-*");
}

static void a7_failed_sync_of_the_table(void)
{
    after_a_failed_flush(IO_SYNC, "*/table-*");
}

static void a7_failed_sync_of_a_segment(void)
{
    after_a_failed_flush(IO_SYNC, "*.log");
}

static void a7_failed_sync_of_everything(void)
{
    after_a_failed_flush(IO_SYNC_FS, "*");
}

TEST_MAIN("rules A4 to A7", {"A4 one truth after re-homing", a4_one_truth},
          {"A4 kept in the new table before the old one drops it", a4_kept_before_it_is_dropped},
          {"A5 rolls are in the log", a5_rolls_are_in_the_log},
          {"A5 a file that nobody names goes to quarantine", a5_a_file_that_nobody_names},
          {"A6 a replayed deletion spares the new topic", a6_a_replayed_deletion_spares_the_new_topic},
          {"A6 a foreign directory is not written into", a6_a_foreign_directory_is_not_written_into},
          {"A6 everything moves before it goes", a6_everything_moves_before_it_goes},
          {"A7 old writes land before the lock is had", a7_old_writes_land_before_the_lock_is_had},
          {"A7 what is read back is flushed", a7_what_is_read_back_is_flushed},
          {"A7 a failed flush of the ring is not believed", a7_failed_flush_of_the_ring},
          {"A7 a failed sync of the table is not believed", a7_failed_sync_of_the_table},
          {"A7 a failed sync of a segment is not believed", a7_failed_sync_of_a_segment},
          {"A7 a failed sync of everything is not believed", a7_failed_sync_of_everything})

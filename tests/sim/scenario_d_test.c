// SPDX-License-Identifier: Apache-2.0
/* Rules D1 to D12, those that concern storage, as stories. */
#include "base/bytes.h"
#include "protocol/batch.h"
#include "storage/checkpoint.h"
#include "storage/store_impl.h"
#include "tests/sim/story.h"
#include "tests/unit/check_main.h"
#include <stdlib.h>

#define MOVE_NS (250 * NS_PER_MS)

static struct story s;

/* --- D1: the block checksum of what is not a full block yet --- */

/* The table carries the running checksum of the unfinished 64 KiB block. A bit rots in it: reads say so, and a cut
 * inside the block verifies what is left of it first, or it would make a new, good checksum over rotten bytes. */
static void d1_a_cut_verifies_its_block(void)
{
    static const char path[] = "/data/t-0/00000000000000000000.log";
    uint8_t byte;
    story_begin(&s, 1, NULL);
    story_append_some(&s, 6, 10000);
    partition_replicated(s.p, 6);
    story_append_some(&s, 8, 10000);
    world_pass(&s.w, MOVE_NS);
    ASSERT_EQ(world_checkpoint(&s.w), STATUS_OK);
    ASSERT_EQ(world_checkpoint(&s.w), STATUS_OK);
    world_crash(&s.w, SIM_POWER);
    ASSERT_EQ(sim_file_read(s.w.machine, path, 67000, &byte, 1), STATUS_OK); /* in record 6, which crosses the border */
    byte ^= 1;
    ASSERT_EQ(sim_file_write(s.w.machine, path, 67000, &byte, 1), STATUS_OK);
    story_again(&s, SIM_POWER);
    ASSERT_EQ(partition_status(s.p), STATUS_OK); /* nobody has looked */
    ASSERT_EQ(world_truncate(&s.w, s.p, 7), STATUS_DAMAGED);
    ASSERT_EQ(partition_log_end(s.p), 14);
    partition_replicated(s.p, 14);
    ASSERT_EQ(story_read(&s, 0), STATUS_OK);
    ASSERT_EQ(story_read(&s, 6), STATUS_DAMAGED);
    story_end(&s);
}

/* The counterpart: the checksum goes on behind a cut inside the block, over restarts. */
static void d1_the_checksum_goes_on_behind_a_cut(void)
{
    story_begin(&s, 2, NULL);
    story_append_some(&s, 7, 10000);
    partition_replicated(s.p, 7);
    for (int i = 0; i < 8; i++) ASSERT_EQ(story_append(&s, 0xdead, 10000), STATUS_OK);
    world_pass(&s.w, MOVE_NS);
    ASSERT_EQ(world_checkpoint(&s.w), STATUS_OK);
    ASSERT_EQ(world_truncate(&s.w, s.p, 7), STATUS_OK);
    story_append_some(&s, 14, 10000);
    partition_replicated(s.p, 21);
    world_pass(&s.w, MOVE_NS);
    ASSERT_EQ(world_checkpoint(&s.w), STATUS_OK);
    story_again(&s, SIM_POWER);
    story_expect_all(&s, 0);
    story_end(&s);
}

/* --- D2: a clean stop --- */

/* It leaves each segment file at its exact length, readable by others; the table carries the tail all the same, else
 * the next move would rewrite an acknowledged block, and a power cut in the middle of that would tear it. */
static void d2_a_clean_stop_writes_the_tail(void)
{
    static const char path[] = "/data/t-0/00000000000000000000.log";
    uint64_t size, at = 0;
    story_begin(&s, 12, &(struct sim_machine_config){.names = SIM_WEAK_POSIX});
    story_append_some(&s, 3, 777);
    ASSERT_EQ(world_stop(&s.w), STATUS_OK);
    ASSERT_EQ(sim_file_size(s.w.machine, path, &size), STATUS_OK);
    uint8_t *bytes = calloc(1, size);
    ASSERT_EQ(sim_file_read(s.w.machine, path, 0, bytes, (uint32_t)size), STATUS_OK);
    for (int64_t i = 0; i < 3; i++) {
        struct batch_info info;
        ASSERT_EQ(batch_parse(bytes + at, size - at, &info), STATUS_OK);
        ASSERT_EQ(info.base_offset, i);
        at += info.size_bytes;
    }
    ASSERT_EQ(at, size);
    free(bytes);
    story_again(&s, SIM_POWER);
    story_append_some(&s, 6, 15000);
    story_stall(&s, IO_WRITE, "*.log", 0); /* the block with the tail is written again, the power goes in the middle */
    world_pass(&s.w, MOVE_NS);
    story_again(&s, SIM_POWER);
    ASSERT_EQ(partition_log_end(s.p), 9);
    story_expect_all(&s, 0);
    story_end(&s);
}

/* --- D3: what counts as a witness in the ring --- */

/* Headers that look real lie where the next groups would: one of another journal, as a record may contain it, one of an
 * incarnation before. Both claim that much more was durable; neither is believed: the log ends where it ends. */
static void d3_forged_witnesses(void)
{
    static const char ring[] = "/data/journal-000/ring-000000";
    uint8_t page[4096], head[4096];
    story_begin(&s, 3, NULL);
    story_append_some(&s, 3, 700);
    story_again(&s, SIM_POWER); /* incarnation 2 */
    story_append_some(&s, 3, 700);
    world_crash(&s.w, SIM_POWER);
    uint64_t behind = 0;
    for (uint64_t pos = 0; pos < 1 << 20; pos += sizeof head) {
        ASSERT_EQ(sim_file_read(s.w.machine, ring, pos, head, sizeof head), STATUS_OK);
        if (memcmp(head, "LEATJRNL", 8) == 0) behind = pos + load_le32(head + 56);
    }
    struct group_header h = {.incarnation = 2, .sequence = 500, .durable_upto = 400, .length = 4096};
    for (int i = 0; i < 2; i++) {
        if (i == 1) {
            ASSERT_EQ(sim_file_read(s.w.machine, "/data/journal-000/control", 0, page, sizeof page), STATUS_OK);
            memcpy(h.journal.b, page + 16, sizeof h.journal.b);
            h.incarnation = 1;
        }
        memset(head, 0, sizeof head);
        group_header_encode(head, &h);
        ASSERT_EQ(sim_file_write(s.w.machine, ring, behind + 8192 * (uint64_t)(i + 1), head, sizeof head), STATUS_OK);
        story_again(&s, SIM_POWER);
        ASSERT_EQ(partition_status(s.p), STATUS_OK);
        ASSERT_EQ(partition_log_end(s.p), 6);
        story_expect_all(&s, 0);
        if (i == 0) world_crash(&s.w, SIM_POWER);
    }
    story_end(&s);
}

/* --- D5: the high watermark outlives the process --- */

/* Others have made 8 of 12 records durable. After a lone restart all of them are readable, and a cut below is refused:
 * the watermark stands in the groups behind it, not only in a table. */
static void d5_the_watermark_is_in_table_and_group(void)
{
    story_begin(&s, 5, NULL);
    story_append_some(&s, 3, 700);
    partition_replicated(s.p, 3);
    ASSERT_EQ(world_checkpoint(&s.w), STATUS_OK);
    story_append_some(&s, 7, 700);
    partition_replicated(s.p, 8);
    story_append_some(&s, 2, 700);
    story_again(&s, SIM_POWER);
    ASSERT_EQ(partition_log_end(s.p), 12);
    ASSERT_EQ(partition_high_watermark(s.p), 8);
    story_expect_all(&s, 0);
    ASSERT_EQ(world_truncate(&s.w, s.p, 5), STATUS_INVALID);
    ASSERT_EQ(world_truncate(&s.w, s.p, 8), STATUS_OK);
    partition_replicated(s.p, 8); /* only the watermark moves: the next table has it */
    story_append_some(&s, 2, 700);
    partition_replicated(s.p, 10);
    ASSERT_EQ(world_checkpoint(&s.w), STATUS_OK);
    story_again(&s, SIM_POWER);
    ASSERT_EQ(partition_high_watermark(s.p), 10);
    story_end(&s);
}

/* --- D6: epochs --- */

static void expect_epoch(int32_t asked, int32_t epoch, int64_t end)
{
    int32_t found;
    int64_t found_end;
    partition_epoch_end(s.p, asked, &found, &found_end);
    ASSERT_EQ(found, epoch);
    ASSERT_EQ(found_end, end);
}

/* The noted epoch is apart from the map: it survives the truncation of every record it wrote, and the restart. Epochs
 * of one start merge into the newest; those below the log start fall. */
static void d6_the_noted_epoch_survives(void)
{
    story_begin(&s, 6, NULL);
    ASSERT_EQ(world_epoch(&s.w, s.p, 1), STATUS_OK);
    story_append_some(&s, 3, 700);
    partition_replicated(s.p, 3);
    for (int32_t epoch = 2; epoch <= 4; epoch++) ASSERT_EQ(world_epoch(&s.w, s.p, epoch), STATUS_OK);
    expect_epoch(3, 1, 3); /* 2 and 3 wrote nothing: merged into 4 */
    story_append_some(&s, 2, 700);
    for (int life = 0; life < 2; life++) {
        expect_epoch(4, 4, 5);
        ASSERT_EQ(partition_epoch(s.p), 4);
        if (life == 0) ASSERT_EQ(world_checkpoint(&s.w), STATUS_OK);
        if (life == 0) story_again(&s, SIM_POWER);
    }
    ASSERT_EQ(world_truncate(&s.w, s.p, 3), STATUS_OK);
    for (int life = 0; life < 3; life++) {
        ASSERT_EQ(partition_epoch(s.p), 4);
        expect_epoch(1, 1, 3);
        expect_epoch(4, -1, -1);                              /* none of its records is left: not known in the map */
        ASSERT_EQ(world_epoch(&s.w, s.p, 4), STATUS_INVALID); /* and never begun a second time */
        if (life == 1) ASSERT_EQ(world_checkpoint(&s.w), STATUS_OK);
        story_again(&s, SIM_POWER);
    }
    ASSERT_EQ(world_epoch(&s.w, s.p, 7), STATUS_OK);
    story_append_some(&s, 3, 700);
    partition_replicated(s.p, 6);
    ASSERT_EQ(world_log_start(&s.w, s.p, 4), STATUS_OK);
    story_again(&s, SIM_POWER);
    expect_epoch(1, 1, 4); /* below everything there is: where the first one that is left begins */
    expect_epoch(7, 7, 6);
    story_end(&s);
}

/* --- D7: answers about epochs repeat until both logs agree (KIP-279) --- */

static void append_epoch(struct partition *p, int32_t epoch, int64_t count)
{
    s.p = p;
    ASSERT_EQ(world_epoch(&s.w, p, epoch), STATUS_OK);
    story_append_some(&s, count, 300);
}

static int32_t last_epoch(const struct partition *p)
{
    int32_t epoch;
    int64_t end;
    partition_epoch_end(p, INT32_MAX - 1, &epoch, &end);
    for (int32_t asked = 20; epoch < 0 && asked >= 0; asked--) partition_epoch_end(p, asked, &epoch, &end);
    return epoch;
}

/* Two quick failovers, no common history in the middle: the follower asks for its last epoch, cuts to the smaller end,
 * asks again, until the last epochs are equal. */
static void d7_two_logs_agree(void)
{
    story_begin(&s, 7, NULL);
    struct partition *leader = s.p, *follower = world_create(&s.w, "u", 0);
    append_epoch(leader, 1, 5);
    append_epoch(leader, 4, 3);
    append_epoch(leader, 6, 4);
    partition_replicated(follower, 0);
    append_epoch(follower, 1, 7);
    append_epoch(follower, 2, 2);
    append_epoch(follower, 5, 3);
    for (int asks = 0;; asks++) {
        int32_t mine = last_epoch(follower), theirs, found;
        int64_t their_end, my_end;
        ASSERT(asks < 4);
        partition_epoch_end(leader, mine, &theirs, &their_end);
        partition_epoch_end(follower, theirs, &found, &my_end);
        int64_t cut = MIN(their_end, found == theirs || found >= 0 ? my_end : their_end);
        story_tell(&s, "asked for %d: %d ends at %lld, mine (%d) at %lld", mine, theirs, (long long)their_end, found,
                   (long long)my_end);
        bool agreed = mine == theirs && cut == partition_log_end(follower);
        ASSERT_EQ(world_truncate(&s.w, follower, cut), STATUS_OK);
        if (agreed) break;
    }
    story_expect(&s, "asked for 5: 4 ends at 8, mine (2) at 9\n"
                     "asked for 2: 1 ends at 5, mine (1) at 7\n"
                     "asked for 1: 1 ends at 5, mine (1) at 5\n");
    ASSERT_EQ(partition_log_end(follower), 5);
    story_end(&s);
}

/* --- D8: a replay with less memory than before --- */

/* A journal of 40 MiB of which nothing is in files, and a start whose memory holds half of it: it moves as it goes.
 * `cut`: a suffix was cut while it was in memory, so the entry carries nothing; the start has moved past it. */
static void replay_with_little_memory(uint32_t dead, unsigned lives)
{
    story_begin(&s, 8, NULL);
    s.w.config.journal_bytes = s.w.config.journal_first_bytes = 96 << 20;
    s.w.config.segment_bytes = 12 << 20;
    sim_kill(s.w.machine, SIM_KILL);
    sim_disk_wipe(s.w.machine);
    ASSERT_EQ(world_boot(&s.w, 1), STATUS_OK);
    s.p = world_create(&s.w, "t", 0);
    sim_fault_add(s.w.machine, &(struct sim_fault_rule){.fault = SIM_FAULT_NO_SPACE,
                                                        .kinds = 1u << IO_WRITE | 1u << IO_ALLOCATE,
                                                        .path = "*.log",
                                                        .nth = 1,
                                                        .count = UINT64_MAX});
    story_append_some(&s, 10, 250 << 10);
    partition_replicated(s.p, 10);
    ASSERT_EQ(world_checkpoint(&s.w), STATUS_OK); /* the table knows the watermark */
    for (uint32_t i = 0; i < dead; i++) ASSERT_EQ(story_append(&s, 0xdead, 250 << 10), STATUS_OK);
    if (dead > 0) ASSERT_EQ(world_truncate(&s.w, s.p, 10), STATUS_OK);
    story_append_some(&s, 165 - dead, 250 << 10);
    int64_t end = partition_log_end(s.p);
    sim_memory(s.w.machine, 121ull << 20); /* half of it is the log's, half of that may be pinned */
    for (unsigned life = 0; life < lives; life++) {
        story_again(&s, life % 2 == 0 ? SIM_POWER : SIM_KILL);
        ASSERT_EQ(partition_log_end(s.p), end);
        partition_replicated(s.p, end);
        ASSERT_EQ(partition_high_watermark(s.p), end);
        if (life == 1) ASSERT_EQ(world_checkpoint(&s.w), STATUS_OK);
    }
    for (int64_t i = 0; i < end; i += i < 12 ? 1 : 7) ASSERT_EQ(story_read(&s, i), STATUS_OK);
    story_append_some(&s, 3, 60000);
    story_end(&s);
}

static void d8_moves_as_it_goes(void)
{
    replay_with_little_memory(0, 1);
}

static void d8_a_cut_below_what_was_moved(void)
{
    replay_with_little_memory(140, 4);
}

/* --- D9: the fence word --- */

static struct partition *on_shard(uint32_t shard)
{
    for (int32_t n = 0;; n++)
        if (partition_shard(world_topic_id("t"), n, 2) == shard) return world_create(&s.w, "t", n);
}

static void begin_two_shards(void)
{
    memset(&s, 0, sizeof s);
    world_init(&s.w, 9, NULL);
    s.w.config.checkpoint_ms = 3600 * 1000;
    s.w.config.journal_bytes = s.w.config.journal_first_bytes;
    ASSERT_EQ(world_boot(&s.w, 2), STATUS_OK);
}

/* One shard's flush is on its way and will fail; another's, begun later, comes back well before. The drive may have
 * dropped the second one's bytes with the first failure: its ack waits for every flush that began before. */
static void d9_an_ack_waits_for_earlier_flushes(void)
{
    begin_two_shards();
    struct partition *first = on_shard(0), *second = on_shard(1);
    world_pass(&s.w, MOVE_NS);
    STORY_WATCH(&s, "begins sync ring*", "sync ring*");
    story_fail(&s, IO_DATASYNC, "*/journal-000*/ring-*", 5 * NS_PER_MS);
    s.p = first;
    story_append_begin(&s, 700);
    world_pass(&s.w, NS_PER_MS);
    s.p = second;
    story_append_begin(&s, 700);
    world_pass(&s.w, 20 * NS_PER_MS);
    story_expect(&s, "begins sync ring\n"
                     "begins sync ring 1\n"
                     "sync ring 1\n" /* well, and nobody is told */
                     "sync ring: a disk operation failed\n"
                     "append: the disk is fenced after an I/O error\n");
    ASSERT(s.pending[0].done && s.pending[1].done);
    ASSERT_EQ(partition_status(second), STATUS_FENCED);
    world_crash(&s.w, SIM_POWER);
    world_deinit(&s.w);
}

/* The same for a checkpoint: its group is durable, the files' syncs come back well, and the flush of the next group,
 * which began before them, is failing. What that drops of the files may not be called moved: no table before it has
 * ended. */
static void d9_a_table_waits_for_earlier_flushes(void)
{
    unsigned told = 0;
    for (uint64_t seed = 1; seed <= 16; seed++) {
        story_begin(&s, seed, NULL);
        story_append_some(&s, 3, 60000);
        world_pass(&s.w, MOVE_NS);
        ASSERT_EQ(world_checkpoint(&s.w), STATUS_OK);
        story_append_some(&s, 3, 60000);
        world_pass(&s.w, MOVE_NS);
        STORY_WATCH(&s, "sync segment", "sync ring*", "write table");
        sim_fault_add(s.w.machine, &(struct sim_fault_rule){.fault = SIM_FAULT_EIO,
                                                            .kinds = 1u << IO_DATASYNC,
                                                            .path = "*/ring-*",
                                                            .nth = 2,
                                                            .delay_ns = 50 * NS_PER_MS});
        story_append_begin(&s, 700);
        world_pass(&s.w, 10 * NS_PER_US);
        story_checkpoint_begin(&s);
        world_pass(&s.w, 10 * NS_PER_US);
        story_append_begin(&s, 700);
        world_pass(&s.w, MOVE_NS);
        bool acked = strstr(s.trace, "acknowledged 6") != NULL; /* else the second group's flush began first */
        told += acked;
        if (!acked) s.trace[s.trace_len = 0] = '\0';
        story_expect(&s, !acked ? ""
                                : "sync ring\n"
                                  "acknowledged 6\n"
                                  "sync segment\n"
                                  "sync ring: a disk operation failed\n"
                                  "append: the disk is fenced after an I/O error\n"
                                  "checkpoint: the disk is fenced after an I/O error\n");
        story_again(&s, SIM_KILL);
        int64_t end = partition_log_end(s.p);
        ASSERT(end >= (acked ? 7 : 6));
        story_again(&s, SIM_POWER);
        ASSERT_EQ(partition_log_end(s.p), end);
        story_expect_all(&s, 0);
        story_end(&s);
    }
    ASSERT(told > 5);
}

/* --- D12: a duplicate waits for the leader's disk --- */

/* Its original is durable here and not yet on the others: a repeat with acks=1 is answered like the original was, at
 * once and not when the watermark passes it. */
static void d12_a_duplicate_waits_for_the_disk_only(void)
{
    int64_t offset;
    struct world_batch b = {.records = 1, .value_bytes = 500, .has_producer = true, .producer_id = 9};
    story_begin(&s, 12, NULL);
    partition_replicated(s.p, 0);
    ASSERT_EQ(world_append(&s.w, s.p, &b, &offset), STATUS_OK);
    ASSERT_EQ(partition_high_watermark(s.p), 0);
    int64_t begun = sim_now(s.w.sim);
    ASSERT_EQ(world_append(&s.w, s.p, &b, &offset), STATUS_OK);
    ASSERT(sim_now(s.w.sim) - begun < NS_PER_S);
    ASSERT_EQ(offset, 0);
    ASSERT_EQ(partition_log_end(s.p), 1);
    ASSERT_EQ(partition_high_watermark(s.p), 0);
    story_end(&s);
}

static struct partition_append original, repeat;

static void original_done(struct partition_append *op)
{
    story_tell(&s, "original: %s", status_text(op->status));
}

static void repeat_done(struct partition_append *op)
{
    story_tell(&s, "repeat: %s%s", status_text(op->status), op->duplicate ? ", a duplicate" : "");
}

/* ... but it does wait for the disk: while the original is on its way, success would be a promise of nothing. */
static void d12_a_duplicate_is_not_told_before_its_original(void)
{
    uint8_t bytes[4096];
    struct world_batch b = {.records = 1, .value_bytes = 500, .has_producer = true, .producer_id = 9};
    uint32_t len = world_batch_make(&b, bytes, sizeof bytes);
    story_begin(&s, 13, NULL);
    STORY_WATCH(&s, "sync ring");
    story_stall(&s, IO_WRITE, "*/ring-*", 20 * NS_PER_MS);
    original = (struct partition_append){.done = original_done};
    partition_append(s.p, bytes, len, &original);
    sim_nudge(s.w.machine, 0);
    world_pass(&s.w, NS_PER_MS);
    repeat = (struct partition_append){.done = repeat_done};
    partition_append(s.p, bytes, len, &repeat);
    sim_nudge(s.w.machine, 0);
    world_pass(&s.w, 10 * NS_PER_MS);
    story_tell(&s, "10 ms later");
    world_pass(&s.w, 20 * NS_PER_MS);
    story_expect(&s, "10 ms later\n"
                     "sync ring\n"
                     "original: ok\n"
                     "repeat: ok, a duplicate\n");
    story_end(&s);
}

TEST_MAIN("rules D1 to D12", {"D1 a cut verifies its block", d1_a_cut_verifies_its_block},
          {"D1 the checksum goes on behind a cut", d1_the_checksum_goes_on_behind_a_cut},
          {"D2 a clean stop writes the tail", d2_a_clean_stop_writes_the_tail},
          {"D3 forged witnesses", d3_forged_witnesses},
          {"D5 the watermark is in table and group", d5_the_watermark_is_in_table_and_group},
          {"D6 the noted epoch survives", d6_the_noted_epoch_survives}, {"D7 two logs agree", d7_two_logs_agree},
          {"D9 an ack waits for earlier flushes", d9_an_ack_waits_for_earlier_flushes},
          {"D9 a table waits for earlier flushes", d9_a_table_waits_for_earlier_flushes},
          {"D12 a duplicate waits for the disk only", d12_a_duplicate_waits_for_the_disk_only},

          {"D12 a duplicate is not told before its original", d12_a_duplicate_is_not_told_before_its_original},
          {"D8 a replay moves as it goes", d8_moves_as_it_goes},
          {"D8 a cut below what the replay has moved", d8_a_cut_below_what_was_moved})

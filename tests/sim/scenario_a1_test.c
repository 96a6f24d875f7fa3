// SPDX-License-Identifier: Apache-2.0
/* Rules A1 to A3 as stories: first the interleaving that would lose data, then what must come of it, as a trace. */
#include "tests/sim/story.h"
#include "tests/unit/check_main.h"

#define MOVE_NS (250 * NS_PER_MS) /* a piece that is due has moved by then */

static struct story s;

static const struct sim_machine_config weak = {.names = SIM_WEAK_POSIX};

/* --- A1: a checkpoint is a cut --- */

/* Files are synced before the table that calls their bytes moved, names with them; the table is durable before it is
 * counted on. */
static void a1_files_then_table(void)
{
    story_begin(&s, 1, &weak);
    story_append_some(&s, 2, 60000);
    world_pass(&s.w, MOVE_NS);
    STORY_WATCH(&s, "sync all of control", "sync segment", "write table", "sync table");
    story_checkpoint_begin(&s);
    world_pass(&s.w, MOVE_NS);
    story_expect(&s, "sync all of control\n" /* the directory and its names are new */
                     "write table\n"
                     "sync table\n"
                     "checkpoint: ok\n");
    STORY_WATCH(&s, "write segment", "sync *", "write table");
    story_append_begin(&s, 66000);
    world_pass(&s.w, MOVE_NS);
    story_checkpoint_begin(&s);
    world_pass(&s.w, MOVE_NS);
    story_expect(&s, "sync ring\n"
                     "acknowledged 2\n"
                     "write segment\n"
                     "sync ring\n" /* the closing block */
                     "sync segment\n"
                     "write table\n"
                     "sync table\n"
                     "checkpoint: ok\n");
    story_end(&s);
}

/* The sync of a checkpoint is submitted while a write of a move is in flight, and does not cover it. The next table,
 * which calls those bytes moved, needs a sync of its own. */
static void a1_a_write_in_flight_is_synced_again(void)
{
    for (uint64_t seed = 1; seed <= 8; seed++) {
        story_begin(&s, seed, &weak);
        story_append_some(&s, 2, 60000);
        world_pass(&s.w, MOVE_NS);
        ASSERT_EQ(world_checkpoint(&s.w), STATUS_OK);
        STORY_WATCH(&s, "begins write segment", "write segment", "begins sync segment", "sync segment", "write table");
        story_stall(&s, IO_WRITE, "*.log", 2 * MOVE_NS);
        story_append_some(&s, 1, 70000);
        world_pass(&s.w, 20 * NS_PER_MS);
        story_checkpoint_begin(&s);
        world_pass(&s.w, 2 * MOVE_NS);
        story_checkpoint_begin(&s);
        world_pass(&s.w, MOVE_NS);
        story_expect(&s, "begins write segment\n"
                         "begins sync segment\n"
                         "sync segment\n"
                         "write table\n"
                         "checkpoint: ok\n"
                         "write segment\n"
                         "begins sync segment\n"
                         "sync segment\n"
                         "write table\n"
                         "checkpoint: ok\n");
        story_again(&s, SIM_POWER);
        ASSERT_EQ(partition_log_end(s.p), 3);
        story_expect_all(&s, 0);
        story_end(&s);
    }
}

/* A move ends while the files are synced: the table stands for the moment before, it may not take the new moved end. */
static void a1_a_move_during_the_sync(void)
{
    for (uint64_t seed = 1; seed <= 8; seed++) {
        story_begin(&s, seed, &weak);
        story_append_some(&s, 2, 60000);
        world_pass(&s.w, MOVE_NS);
        ASSERT_EQ(world_checkpoint(&s.w), STATUS_OK);
        story_append_some(&s, 1, 66000);
        world_pass(&s.w, MOVE_NS);
        story_stall(&s, IO_SYNC, "*.log", 2 * MOVE_NS);
        STORY_WATCH(&s, "*segment", "write table");
        story_checkpoint_begin(&s);
        world_pass(&s.w, NS_PER_MS);
        story_append_some(&s, 1, 90000);
        world_pass(&s.w, 2 * MOVE_NS);
        story_expect(&s, "begins sync segment\n"
                         "begins write segment\n"
                         "write segment\n"
                         "sync segment\n"
                         "write table\n"
                         "checkpoint: ok\n");
        story_again(&s, SIM_POWER);
        ASSERT_EQ(partition_log_end(s.p), 4);
        story_expect_all(&s, 0);
        story_end(&s);
    }
}

static enum status append_as(int64_t producer, int32_t sequence, int64_t *ret_offset)
{
    struct world_batch b = {
        .records = 1, .value_bytes = 500, .has_producer = true, .producer_id = producer, .sequence = sequence};
    return world_append(&s.w, s.p, &b, ret_offset);
}

/* The group of (producer 9, sequence 7) is on its way when a checkpoint is taken, and never arrives: no table may know
 * the sequence, or its retry would be called a duplicate of nothing. */
static void a1_no_state_of_a_group_that_is_not_durable(void)
{
    int64_t offset;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        story_begin(&s, seed, &weak);
        ASSERT_EQ(append_as(9, 6, &offset), STATUS_OK);
        ASSERT_EQ(world_checkpoint(&s.w), STATUS_OK);
        world_pass(&s.w, MOVE_NS); /* the closing block */
        STORY_WATCH(&s, "begins write ring", "write ring", "write table");
        story_stall(&s, IO_WRITE, "*/ring-*", 0);
        static struct partition_append lost;
        uint8_t bytes[4096];
        struct world_batch b = {
            .records = 1, .value_bytes = 500, .has_producer = true, .producer_id = 9, .sequence = 7};
        partition_append(s.p, bytes, world_batch_make(&b, bytes, sizeof bytes), &lost);
        story_checkpoint_begin(&s);
        world_pass(&s.w, MOVE_NS);
        story_expect(&s, "begins write ring\n"); /* and no table */
        story_again(&s, SIM_POWER);
        ASSERT_EQ(append_as(9, 7, &offset), STATUS_OK);
        ASSERT_EQ(offset, 1);
        ASSERT_EQ(partition_log_end(s.p), 2);
        story_end(&s);
    }
}

/* Moves and checkpoints all the time, then the power goes, each time a little later in that flow. */
static void a1_power_cuts_all_along(void)
{
    for (uint64_t seed = 1; seed <= 12; seed++) {
        story_begin(&s, seed, seed % 2 == 0 ? NULL : &weak);
        s.w.config.checkpoint_ms = 1;
        story_again(&s, SIM_KILL);
        story_append_some(&s, 20 + (int64_t)seed, 20000);
        world_pass(&s.w, (int64_t)seed * 300 * NS_PER_US);
        int64_t end = partition_log_end(s.p);
        story_again(&s, SIM_POWER);
        ASSERT_EQ(partition_log_end(s.p), end);
        story_expect_all(&s, 0);
        story_end(&s);
    }
}

/* Weak names: the very first records, power cut at once: every name on the way to them must be durable. */
static void a1_names_of_a_first_start(void)
{
    for (uint64_t seed = 1; seed <= 8; seed++) {
        story_begin(&s, seed, &(struct sim_machine_config){.names = SIM_WEAK_POSIX, .dsync_cheaper = seed % 2 == 0});
        story_append_some(&s, 2, 100);
        story_again(&s, SIM_POWER);
        ASSERT_EQ(partition_log_end(s.p), 2);
        story_expect_all(&s, 0);
        story_end(&s);
    }
}

/* --- A2: truncation against the mover --- */

/* Three committed records, then others that the new leader does not have. */
static void begin_with_a_suffix(uint64_t seed, uint32_t bytes, int64_t count)
{
    story_begin(&s, seed, NULL);
    s.w.config.checkpoint_ms = seed % 2 == 0 ? 1 : 3600 * 1000;
    story_again(&s, SIM_KILL);
    story_append_some(&s, 3, bytes);
    partition_replicated(s.p, 3);
    for (int64_t i = 3; i < count; i++) ASSERT_EQ(story_append(&s, 0xdead, bytes), STATUS_OK);
}

/* What was cut never comes back, what was acknowledged after the cut stays. Cuts in memory and in files. */
static void what_is_cut_stays_cut(uint32_t bytes, int64_t count)
{
    for (uint64_t seed = 1; seed <= 6; seed++) {
        begin_with_a_suffix(seed, bytes, count);
        world_pass(&s.w, MOVE_NS + (int64_t)seed * NS_PER_MS); /* what may move has moved */
        ASSERT_EQ(world_truncate(&s.w, s.p, 3), STATUS_OK);
        ASSERT_EQ(partition_log_end(s.p), 3);
        story_append_some(&s, count / 2, bytes);
        world_pass(&s.w, (int64_t)seed * 200 * NS_PER_US);
        int64_t end = partition_log_end(s.p);
        story_again(&s, seed % 3 == 0 ? SIM_KILL : SIM_POWER);
        ASSERT_EQ(partition_log_end(s.p), end);
        partition_replicated(s.p, end);
        story_expect_all(&s, 0);
        story_end(&s);
    }
}

static void a2_cut_in_memory(void)
{
    what_is_cut_stays_cut(900, 12);
}

static void a2_cut_in_a_file(void)
{
    what_is_cut_stays_cut(30000, 16); /* no checkpoint by itself: a quarter of the ring */
}

/* The cut lies in a block whose bytes a table calls moved; new records rewrite it, and the power goes while that write
 * is on its way: torn, it takes the committed bytes before the cut with it, unless the cut's entry carries them. */
static void a2_the_entry_carries_its_block(void)
{
    for (uint64_t seed = 1; seed <= 12; seed++) {
        story_begin(&s, seed, seed % 2 == 0 ? NULL : &weak);
        story_append_some(&s, 3, 5000);
        partition_replicated(s.p, 3);
        for (int i = 0; i < 4; i++) ASSERT_EQ(story_append(&s, 0xdead, 30000), STATUS_OK);
        world_pass(&s.w, MOVE_NS);
        ASSERT_EQ(world_checkpoint(&s.w), STATUS_OK);
        ASSERT_EQ(world_checkpoint(&s.w), STATUS_OK); /* their journal groups are dead */
        ASSERT_EQ(world_truncate(&s.w, s.p, 3), STATUS_OK);
        story_append_some(&s, 2, 30000);
        STORY_WATCH(&s, "begins write segment", "write segment");
        story_stall(&s, IO_WRITE, "*.log", 0); /* the power goes in the middle of it */
        story_append_some(&s, 1, 30000);
        world_pass(&s.w, MOVE_NS);
        story_expect(&s, "begins write segment\n");
        story_again(&s, SIM_POWER);
        ASSERT_EQ(partition_log_end(s.p), 6);
        partition_replicated(s.p, 6);
        story_expect_all(&s, 0);
        story_end(&s);
    }
}

/* A move of the old bytes is in flight: the cut waits for it, or its write would land on the new bytes. */
static void a2_the_cut_waits_for_the_move(void)
{
    begin_with_a_suffix(1, 500, 4);
    STORY_WATCH(&s, "begins write segment", "write segment");
    story_stall(&s, IO_WRITE, "*.log", 20 * NS_PER_MS);
    ASSERT_EQ(story_append(&s, 0xdead, 70000), STATUS_OK);
    world_pass(&s.w, NS_PER_MS);
    story_tell(&s, "to be cut to 3");
    story_cut_begin(&s, 3);
    world_pass(&s.w, MOVE_NS);
    story_expect(&s, "begins write segment\n"
                     "to be cut to 3\n"
                     "write segment\n"
                     "cut: ok\n");
    story_append_some(&s, 4, 30000);
    world_pass(&s.w, MOVE_NS);
    partition_replicated(s.p, 7);
    story_again(&s, SIM_POWER);
    partition_replicated(s.p, 7);
    ASSERT_EQ(partition_log_end(s.p), 7);
    story_expect_all(&s, 0);
    story_end(&s);
}

/* The cut is not durable when the power goes: the old end is back, and so must be all of its segments be. */
static void a2_files_go_when_the_cut_is_durable(void)
{
    for (uint64_t seed = 1; seed <= 4; seed++) {
        story_begin(&s, 2 * seed, NULL);
        s.w.config.segment_bytes = 256 << 10;
        story_again(&s, SIM_KILL);
        story_append_some(&s, 3, 30000);
        partition_replicated(s.p, 3);
        story_append_some(&s, 20, 30000);
        world_pass(&s.w, MOVE_NS);
        ASSERT_EQ(world_checkpoint(&s.w), STATUS_OK);
        ASSERT_EQ(world_checkpoint(&s.w), STATUS_OK); /* the ring is empty: the files are all there is */
        world_pass(&s.w, MOVE_NS);
        STORY_WATCH(&s, "begins write ring", "unlink segment");
        story_stall(&s, IO_WRITE, "*/ring-*", 0);
        story_cut_begin(&s, 3);
        world_pass(&s.w, MOVE_NS);
        story_expect(&s, "begins write ring\n"); /* nothing is unlinked */
        story_again(&s, SIM_POWER);
        int64_t end = partition_log_end(s.p);
        ASSERT(end == 23 || end == 3); /* 3: the write in flight has happened */
        partition_replicated(s.p, end);
        story_expect_all(&s, 0);
        story_end(&s);
    }
}

/* The same for a log start; here the file goes as soon as the entry is durable, and not before. */
static void a2_files_go_when_the_log_start_is_durable(void)
{
    story_begin(&s, 3, NULL);
    s.w.config.segment_bytes = 256 << 10;
    story_again(&s, SIM_KILL);
    story_append_some(&s, 20, 30000);
    world_pass(&s.w, MOVE_NS);
    STORY_WATCH(&s, "begins write ring", "sync ring", "unlink segment");
    story_stall(&s, IO_WRITE, "*/ring-*", 10 * NS_PER_MS);
    story_log_start_begin(&s, 12);
    world_pass(&s.w, MOVE_NS);
    story_expect(&s, "begins write ring\n"
                     "sync ring\n"
                     "log start: ok\n"
                     "unlink segment\n"
                     "begins write ring\n"
                     "sync ring\n");
    story_again(&s, SIM_POWER);
    ASSERT_EQ(partition_log_start(s.p), 12);
    story_expect_all(&s, 12);
    story_end(&s);
}

/* --- A3: derived state goes back with the log --- */

/* An uncommitted batch of an idempotent producer is stored in a table, then cut; after a restart its retry must be
 * stored anew, not be called a duplicate of what is gone. Its committed predecessor stays one. */
static void a3_derived_state_goes_back(void)
{
    int64_t offset;
    story_begin(&s, 4, NULL);
    ASSERT_EQ(append_as(9, 6, &offset), STATUS_OK);
    partition_replicated(s.p, 1);
    ASSERT_EQ(append_as(9, 7, &offset), STATUS_OK);
    ASSERT_EQ(offset, 1);
    ASSERT_EQ(world_checkpoint(&s.w), STATUS_OK); /* a table with it */
    ASSERT_EQ(world_truncate(&s.w, s.p, 1), STATUS_OK);
    story_again(&s, SIM_POWER);
    ASSERT_EQ(partition_log_end(s.p), 1);
    ASSERT_EQ(append_as(9, 7, &offset), STATUS_OK);
    ASSERT_EQ(offset, 1);
    ASSERT_EQ(partition_log_end(s.p), 2);
    ASSERT_EQ(append_as(9, 6, &offset), STATUS_OK);
    ASSERT_EQ(offset, 0);
    ASSERT_EQ(partition_log_end(s.p), 2);
    story_end(&s);
}

/* More than the five batches that a producer's window knows are cut: what was before them must still be known. Each
 * time in another life: from memory, from a table with them, after the table of the cut. */
static void a3_further_back_than_the_window(void)
{
    int64_t offset;
    for (int when = 0; when < 3; when++) {
        story_begin(&s, 5, NULL);
        for (int32_t i = 0; i < 3; i++) ASSERT_EQ(append_as(9, i, &offset), STATUS_OK);
        partition_replicated(s.p, 3);
        for (int32_t i = 3; i < 15; i++) ASSERT_EQ(append_as(9, i, &offset), STATUS_OK);
        if (when > 0) ASSERT_EQ(world_checkpoint(&s.w), STATUS_OK);
        if (when == 1) story_again(&s, SIM_POWER);
        ASSERT_EQ(world_truncate(&s.w, s.p, 3), STATUS_OK);
        if (when == 2) ASSERT_EQ(world_checkpoint(&s.w), STATUS_OK);
        if (when == 2) story_again(&s, SIM_POWER);
        ASSERT_EQ(append_as(9, 2, &offset), STATUS_OK); /* a duplicate */
        ASSERT_EQ(offset, 2);
        ASSERT_EQ(append_as(9, 9, &offset), STATUS_SEQUENCE_GAP);
        for (int32_t i = 3; i < 8; i++) {
            ASSERT_EQ(append_as(9, i, &offset), STATUS_OK);
            ASSERT_EQ(offset, i);
        }
        story_end(&s);
    }
}

TEST_MAIN("rules A1 to A3", {"A1 files, then the table", a1_files_then_table},
          {"A1 a write in flight is synced again", a1_a_write_in_flight_is_synced_again},
          {"A1 a move during the sync is not in the table", a1_a_move_during_the_sync},
          {"A1 no state of a group that is not durable", a1_no_state_of_a_group_that_is_not_durable},
          {"A1 power cuts all along", a1_power_cuts_all_along},
          {"A1 names of a first start", a1_names_of_a_first_start}, {"A2 a cut in memory stays cut", a2_cut_in_memory},
          {"A2 a cut in a file stays cut", a2_cut_in_a_file},
          {"A2 the entry carries its block", a2_the_entry_carries_its_block},
          {"A2 the cut waits for the move in flight", a2_the_cut_waits_for_the_move},
          {"A2 files go when the cut is durable", a2_files_go_when_the_cut_is_durable},
          {"A2 files go when the log start is durable", a2_files_go_when_the_log_start_is_durable},
          {"A3 derived state goes back with the log", a3_derived_state_goes_back},
          {"A3 further back than the window", a3_further_back_than_the_window})

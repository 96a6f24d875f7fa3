// SPDX-License-Identifier: Apache-2.0
/* Rows P1, P2, P4, P10 of the fault catalogue (docs/faults.md): crashes and restarts of one process. Each case is named
 * after its row. */
#include "base/bytes.h"
#include "storage/store_impl.h"
#include "tests/sim/story.h"
#include "tests/unit/check_main.h"

static struct story s;

/* What a process of the next lives must find. */
static void expect_no_less(int64_t acked, int64_t accepted)
{
    ASSERT(partition_log_end(s.p) >= acked);
    ASSERT(partition_log_end(s.p) <= accepted);
    ASSERT_EQ(partition_status(s.p), STATUS_OK);
}

/* --- P1: kill -9 at any moment --- */

/* Appends, moves, rolls, checkpoints, a growing ring; the process dies a few events later each time. */
static void p1_kill_at_any_event(void)
{
    story_begin(&s, 1, NULL);
    s.w.config.segment_bytes = 300 << 10;
    s.w.config.checkpoint_ms = 3;
    s.w.config.journal_bytes = 8 << 20;
    story_again(&s, SIM_KILL);
    int64_t accepted = 0;
    for (uint64_t round = 0; round < 200; round++) {
        s.pending_count = 0;
        for (int i = 0; i < 3; i++) story_append_begin(&s, round % 5 == 0 ? 60000 : 3000);
        accepted = partition_log_end(s.p);
        for (uint64_t i = 0; i < round * 11 % 170; i++) CHECK(sim_step(s.w.sim));
        int64_t acked = partition_high_watermark(s.p);
        story_again(&s, SIM_KILL);
        expect_no_less(acked, accepted);
        if (round % 20 == 0) story_expect_all(&s, 0);
        s.trace_len = 0;
    }
    story_expect_all(&s, 0);
    story_end(&s);
}

/* --- P2: killed again in the recovery --- */

/* Every start but the last is itself killed, each a few events later than the one before: recovery can be entered again
 * at any point, and gives the same. */
static void p2_kill_during_recovery(void)
{
    story_begin(&s, 2, NULL);
    s.w.config.segment_bytes = 300 << 10;
    story_again(&s, SIM_KILL);
    unsigned cut_off = 0;
    for (uint64_t round = 0; round < 12; round++) {
        story_append_some(&s, 12, 30000);
        if (round % 3 == 2) ASSERT_EQ(world_checkpoint(&s.w), STATUS_OK);
        int64_t end = partition_log_end(s.p);
        world_crash(&s.w, round % 2 == 0 ? SIM_KILL : SIM_POWER);
        for (uint64_t steps = 1 + round; steps < 160; steps += 13) {
            world_boot_begin(&s.w, 1);
            for (uint64_t i = 0; i < steps && !world_opened(&s.w); i++) CHECK(sim_step(s.w.sim));
            cut_off += !world_opened(&s.w);
            world_crash(&s.w, steps % 2 == 0 ? SIM_KILL : SIM_POWER);
        }
        story_again(&s, SIM_POWER);
        expect_no_less(end, end);
    }
    ASSERT(cut_off > 60);
    story_expect_all(&s, 0);
    story_end(&s);
}

/* --- P4: a crash between append and answer --- */

static struct partition_append lost;

/* The producer knows nothing and sends again: it is one record, at one offset, whether the first one was there or not.
 */
static void p4_crash_between_append_and_ack(void)
{
    unsigned there = 0, gone = 0;
    uint8_t bytes[4096];
    int64_t offset;
    for (uint64_t steps = 1; steps < 40; steps++) {
        struct world_batch b = {.records = 1, .value_bytes = 500, .has_producer = true, .producer_id = 9};
        story_begin(&s, steps, NULL);
        for (b.sequence = 0; b.sequence < 3; b.sequence++) ASSERT_EQ(world_append(&s.w, s.p, &b, &offset), STATUS_OK);
        uint32_t len = world_batch_make(&b, bytes, sizeof bytes);
        lost = (struct partition_append){0};
        partition_append(s.p, bytes, len, &lost);
        sim_nudge(s.w.machine, 0);
        for (uint64_t i = 0; i < steps % 4; i++) CHECK(sim_step(s.w.sim));
        story_again(&s, steps % 2 == 0 ? SIM_POWER : SIM_KILL);
        bool kept = partition_log_end(s.p) == 4;
        there += kept;
        gone += !kept;
        ASSERT_EQ(world_append(&s.w, s.p, &b, &offset), STATUS_OK);
        ASSERT_EQ(offset, 3);
        ASSERT_EQ(partition_log_end(s.p), 4);
        b.sequence = 4;
        ASSERT_EQ(world_append(&s.w, s.p, &b, &offset), STATUS_OK);
        ASSERT_EQ(offset, 4);
        story_end(&s);
    }
    ASSERT(there > 3 && gone > 3);
}

/* --- P10: producer state in a table, a crash, a truncation below it --- */

static void p10_producer_state_above_a_truncation(void)
{
    int64_t offset;
    struct world_batch b = {.records = 1, .value_bytes = 500, .has_producer = true, .producer_id = 9};
    story_begin(&s, 10, NULL);
    for (b.sequence = 0; b.sequence < 8; b.sequence++) {
        ASSERT_EQ(world_append(&s.w, s.p, &b, &offset), STATUS_OK);
        if (b.sequence == 1) partition_replicated(s.p, 2);
    }
    ASSERT_EQ(world_checkpoint(&s.w), STATUS_OK);
    story_again(&s, SIM_POWER);
    ASSERT_EQ(world_truncate(&s.w, s.p, 4), STATUS_OK);
    story_again(&s, SIM_KILL);
    for (b.sequence = 2; b.sequence < 4; b.sequence++) { /* below the cut: known */
        ASSERT_EQ(world_append(&s.w, s.p, &b, &offset), STATUS_OK);
        ASSERT_EQ(offset, b.sequence);
    }
    b.sequence = 6; /* above: never was */
    ASSERT_EQ(world_append(&s.w, s.p, &b, &offset), STATUS_SEQUENCE_GAP);
    for (b.sequence = 4; b.sequence < 8; b.sequence++) {
        ASSERT_EQ(world_append(&s.w, s.p, &b, &offset), STATUS_OK);
        ASSERT_EQ(offset, b.sequence);
    }
    ASSERT_EQ(partition_log_end(s.p), 8);
    story_end(&s);
}

TEST_MAIN("process faults", {"P1 kill -9 at any event", p1_kill_at_any_event},
          {"P2 kill -9 during recovery", p2_kill_during_recovery},
          {"P4 a crash between append and ack", p4_crash_between_append_and_ack},
          {"P10 producer state above a truncation", p10_producer_state_above_a_truncation})

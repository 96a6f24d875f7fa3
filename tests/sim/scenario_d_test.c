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

TEST_MAIN("rules D1 to D12", {"D8 a replay moves as it goes", d8_moves_as_it_goes},
          {"D8 a cut below what the replay has moved", d8_a_cut_below_what_was_moved})

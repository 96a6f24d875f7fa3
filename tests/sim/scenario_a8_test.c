// SPDX-License-Identifier: Apache-2.0
/* Rules A8 to A11 as stories: first what goes wrong, then what must come of it. */
#include "base/bytes.h"
#include "storage/checkpoint.h"
#include "storage/store_impl.h"
#include "tests/sim/story.h"
#include "tests/unit/check_main.h"
#include <stdio.h>

#define MOVE_NS (250 * NS_PER_MS)

static struct story s;

/* --- A8: a damaged journal block --- */

/* Flips a bit of the n-th group (from 1) of the first ring file, at rest. */
static void rot_group(unsigned n)
{
    static const char path[] = "/data/journal-000/ring-000000";
    uint8_t head[4096];
    for (uint64_t pos = 0;; pos += sizeof head) {
        ASSERT_EQ(sim_file_read(s.w.machine, path, pos, head, sizeof head), STATUS_OK);
        if (memcmp(head, "LEATJRNL", 8) != 0 || --n > 0) continue;
        head[300] ^= 1;
        ASSERT_EQ(sim_file_write(s.w.machine, path, pos, head, sizeof head), STATUS_OK);
        return;
    }
}

static void tell_state(const char *name)
{
    const struct partition *p = world_find(&s.w, name, 0);
    ASSERT(p != NULL);
    if (p->damaged_from == NO_OFFSET)
        story_tell(&s, "%s: sound, end %lld", name, (long long)partition_log_end(p));
    else
        story_tell(&s, "%s: damaged from %lld to %lld, end %lld", name, (long long)p->damaged_from,
                   (long long)p->damaged_to, (long long)partition_log_end(p));
}

static void accepted(struct partition_change *op)
{
    story_tell(&s, "accepted: %s", status_text(op->status));
}

/* A group in the middle rots at rest; a later one says that it was durable: never taken for the end of the log. The
 * partition names the range, refuses appends, serves the rest, until an operator accepts it. */
static void a8_damage_is_not_an_end(void)
{
    story_begin(&s, 8, NULL);
    story_append_some(&s, 10, 700); /* one group each, behind that of the creation */
    world_crash(&s.w, SIM_POWER);
    rot_group(4);
    story_again(&s, SIM_POWER);
    tell_state("t");
    ASSERT_EQ(partition_status(s.p), STATUS_DAMAGED);
    ASSERT_EQ(story_append(&s, 10, 700), STATUS_DAMAGED);
    ASSERT_EQ(story_read(&s, 1), STATUS_OK);
    ASSERT_EQ(story_read(&s, 2), STATUS_DAMAGED);
    ASSERT_EQ(story_read(&s, 3), STATUS_OK);
    struct partition_change accept = {.done = accepted};
    partition_accept_damage(s.p, &accept);
    world_pass(&s.w, MOVE_NS);
    story_append_some(&s, 1, 700);
    story_again(&s, SIM_POWER);
    tell_state("t");
    story_expect(&s, "t: damaged from 2 to 3, end 10\n"
                     "accepted: ok\n"
                     "t: sound, end 11\n");
    ASSERT_EQ(story_read(&s, 1), STATUS_OK);
    story_expect_all(&s, 3);
    story_end(&s);
}

/* The very last group: only the closing block of the idle journal knows that it was durable. */
static void a8_the_last_group(void)
{
    story_begin(&s, 9, NULL);
    story_append_some(&s, 5, 700);
    STORY_WATCH(&s, "write ring");
    world_pass(&s.w, MOVE_NS);
    story_expect(&s, "write ring\n"); /* the closing block */
    world_crash(&s.w, SIM_POWER);
    rot_group(6);
    story_again(&s, SIM_POWER);
    tell_state("t");
    story_expect(&s, "write ring\n" /* the closing block once more (rule A7) */
                     "t: damaged from 4 to 5, end 5\n");
    story_end(&s);
}

/* Two groups are lost, so that nobody names the victims of the first. A partition whose only record was there looks
 * complete and is one batch short: it is damaged until a later entry proves its end. */
static void a8_whose_was_it(void)
{
    story_begin(&s, 10, NULL);
    struct partition *t = s.p, *u = world_create(&s.w, "u", 0), *v = world_create(&s.w, "v", 0);
    s.p = v;
    story_append_some(&s, 1, 700); /* group 4 */
    s.p = u;
    story_append_some(&s, 1, 700); /* 5: lost */
    s.p = t;
    story_append_some(&s, 1, 700); /* 6: lost */
    story_append_some(&s, 1, 700); /* 7: proves t */
    world_crash(&s.w, SIM_POWER);
    rot_group(5);
    rot_group(6);
    story_again(&s, SIM_POWER);
    tell_state("t");
    tell_state("u");
    tell_state("v");
    story_expect(&s, "t: damaged from 0 to 1, end 2\n"
                     "u: damaged from 0 to -1, end 0\n" /* nobody knows to where */
                     "v: damaged from 1 to -1, end 1\n");
    story_end(&s);
}

/* Batch 5 is in group 7, and the moved end stands inside of it: the table counts on the group for its rest. The lost
 * groups are followed by one that the table counts, too, by a later one, or by none. */
static void half_moved(unsigned lost, int64_t later, const char *state)
{
    story_begin(&s, 17, NULL);
    story_append_some(&s, 7, 60000); /* one group each: groups 2 to 8 */
    world_pass(&s.w, MOVE_NS);
    ASSERT_EQ(world_checkpoint(&s.w), STATUS_OK);
    ASSERT_EQ(s.p->moved_pos - LOG_POS_FIRST, 356352); /* batch 5 begins at 300360 */
    story_append_some(&s, later, 700);
    world_pass(&s.w, MOVE_NS);
    int64_t end = partition_log_end(s.p);
    world_crash(&s.w, SIM_POWER);
    for (unsigned i = 0; i < lost; i++) rot_group(7 + i);
    story_again(&s, SIM_POWER);
    tell_state("t");
    story_expect(&s, state);
    ASSERT_EQ(story_judge(&s, 0, 5), 0);
    ASSERT_EQ(story_judge(&s, 5, end), end - 5);
    world_pass(&s.w, MOVE_NS);
    story_again(&s, SIM_POWER); /* the same once more */
    tell_state("t");
    story_expect(&s, state);
    uint64_t checkpoints = s.w.stores[0]->table->checkpoints;
    struct partition_change accept = {.done = accepted};
    partition_accept_damage(s.p, &accept);
    world_pass(&s.w, MOVE_NS);
    story_append_some(&s, 2, 60000); /* moved over the head of batch 5, and no table says so */
    world_pass(&s.w, MOVE_NS);
    ASSERT(s.p->moved_pos - LOG_POS_FIRST >= 356352);
    ASSERT_EQ(s.w.stores[0]->table->checkpoints, checkpoints);
    story_again(&s, SIM_POWER);
    tell_state("t");
    char text[64];
    snprintf(text, sizeof text, "accepted: ok\nt: sound, end %lld\n", (long long)end + 2);
    story_expect(&s, text);
    ASSERT_EQ(story_judge(&s, 0, 5), 0);
    ASSERT_EQ(story_judge(&s, end, end + 2), 0);
    story_end(&s);
}

static void a8_a_batch_that_is_half_moved(void)
{
    half_moved(1, 2, "t: damaged from 5 to 9, end 9\n");
    half_moved(1, 0, "t: damaged from 5 to 7, end 7\n");
    half_moved(2, 2, "t: damaged from 5 to 9, end 9\n");
    half_moved(2, 0, "t: damaged from 5 to 7, end 7\n");
}

/* The lost batch begins at the moved end: where the one before it ends is not known, so it counts as lost, too, until
 * the range is accepted. */
static void a8_a_batch_at_the_moved_end(void)
{
    story_begin(&s, 24, NULL);
    story_append_some(&s, 7, 65464); /* batches of one index block */
    world_pass(&s.w, MOVE_NS);
    story_append_some(&s, 1, 40000); /* too much to be carried, too little to move */
    ASSERT_EQ(world_checkpoint(&s.w), STATUS_OK);
    ASSERT_EQ(s.p->moved_pos - LOG_POS_FIRST, 7 << 16);
    story_append_some(&s, 1, 700);
    world_crash(&s.w, SIM_POWER);
    rot_group(10); /* 9 is the closing block of the idle journal */
    story_again(&s, SIM_POWER);
    tell_state("t");
    ASSERT_EQ(story_judge(&s, 0, 6), 0);
    struct partition_change accept = {.done = accepted};
    partition_accept_damage(s.p, &accept);
    world_pass(&s.w, MOVE_NS);
    story_append_some(&s, 1, 700);
    story_again(&s, SIM_POWER);
    tell_state("t");
    story_expect(&s, "t: damaged from 6 to 9, end 9\n"
                     "accepted: ok\n"
                     "t: sound, end 10\n");
    ASSERT_EQ(story_judge(&s, 0, 7), 0);
    ASSERT_EQ(story_read(&s, 9), STATUS_OK);
    story_end(&s);
}

/* --- A9: the ring and the largest batch --- */

static uint64_t ring_file_min(void)
{
    const struct journal *j = s.w.stores[0]->journal;
    uint64_t least = UINT64_MAX;
    for (uint32_t i = 0; i < j->slot_count; i++) least = MIN(least, j->slots[i].bytes);
    return least;
}

/* However small the ring is asked to be, it takes more than four of the largest batches. */
static void a9_four_largest_batches(void)
{
    story_begin(&s, 16, NULL);
    s.w.config.batch_bytes_max = 900 << 10;
    s.w.config.journal_bytes = s.w.config.journal_first_bytes = 1;
    sim_kill(s.w.machine, SIM_KILL);
    sim_disk_wipe(s.w.machine);
    ASSERT_EQ(world_boot(&s.w, 1), STATUS_OK);
    ASSERT(journal_bytes(s.w.stores[0]->journal) >= 4ull * s.w.config.batch_bytes_max);
    s.p = world_create(&s.w, "t", 0);
    story_append_some(&s, 12, 899 << 10);
    story_again(&s, SIM_POWER);
    ASSERT_EQ(partition_log_end(s.p), 12);
    for (int64_t i = 0; i < 12; i++) ASSERT_EQ(story_read(&s, i), STATUS_OK);
    story_end(&s);
}

/* A commit is group_bytes or one batch, whatever comes at once. */
static void a9_a_commit_is_bounded(void)
{
    uint32_t longest = 0;
    story_begin(&s, 17, NULL);
    const struct journal *j = s.w.stores[0]->journal;
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < STORY_PENDING; i++) story_append_begin(&s, 60000);
        world_pass(&s.w, 20 * NS_PER_MS);
        for (uint64_t q = j->mark_sequence; q < j->next_sequence; q++)
            longest = MAX(longest, journal_mark(j, q)->length);
        s.pending_count = 0;
        s.trace_len = 0;
        world_pass(&s.w, NS_PER_S);
    }
    ASSERT(longest > 60000);
    ASSERT(longest <= s.w.config.group_bytes);
    story_end(&s);
}

/* message.max.bytes is raised above what the ring files can hold: they are replaced, one by one, when they are empty,
 * before a batch of that size is taken; small ones go on meanwhile. */
static void a9_a_raised_limit(void)
{
    story_begin(&s, 18, NULL);
    story_append_some(&s, 30, 60000);
    uint64_t before = ring_file_min();
    s.w.config.batch_bytes_max = 1 << 20;
    STORY_WATCH(&s, "write control", "unlink ring", "sync dir journal-000");
    story_again(&s, SIM_KILL);
    story_append_some(&s, 6, 1020 << 10); /* does not fit an old file */
    ASSERT(before <= 1 << 20);
    story_append_some(&s, 20, 60000);
    world_pass(&s.w, 5 * NS_PER_S);
    story_expect(&s, "write control\n"        /* what was read, and the new incarnation */
                     "sync dir journal-000\n" /* a new file is there */
                     "write control\n"        /* it stands in the place of an old one */
                     "unlink ring\n"          /* which may go now */
                     "sync dir journal-000\n"
                     "write control\n"
                     "unlink ring\n"
                     "...\n");
    ASSERT(ring_file_min() > s.w.config.batch_bytes_max);
    story_again(&s, SIM_POWER);
    ASSERT_EQ(partition_log_end(s.p), 56);
    for (int64_t i = 0; i < 56; i++) ASSERT_EQ(story_read(&s, i), STATUS_OK);
    story_end(&s);
}

static bool new_file_in_order(void *arg)
{
    return s.w.stores[0]->journal->control.next_file > *(uint32_t *)arg;
}

static void expect_every_record(int64_t end)
{
    ASSERT_EQ(partition_log_end(s.p), end);
    for (int64_t i = 0; i < end; i++) ASSERT_EQ(story_read(&s, i), STATUS_OK);
}

/* The power goes between the new file and the old one. While the page that names the new one is on its way the old one
 * is still there; when the page is durable and the old one is not yet gone, nobody misses either. */
static void a9_power_between_the_two_files(void)
{
    story_begin(&s, 23, NULL);
    story_append_some(&s, 24, 60000); /* room is left in the second file, which the head does not leave meanwhile */
    s.w.config.batch_bytes_max = 1 << 20;
    story_again(&s, SIM_KILL);
    story_stall(&s, IO_WRITE, "*/control", 0);
    STORY_WATCH(&s, "begins write control", "unlink ring");
    world_pass(&s.w, NS_PER_S);
    story_append_some(&s, 2, 700); /* a sync: what happened to names by now is durable */
    story_expect(&s, "begins write control\n");
    STORY_WATCH(&s, "unlink ring");
    story_again(&s, SIM_POWER);
    uint32_t next_file = s.w.stores[0]->journal->control.next_file;
    ASSERT(story_until(&s, new_file_in_order, &next_file));
    story_expect(&s, "");
    story_again(&s, SIM_POWER);
    expect_every_record(26);
    story_end(&s);
}

/* The same with crashes at every step of it, and another raise on top. */
static void a9_a_raised_limit_with_crashes(void)
{
    unsigned unfinished = 0;
    story_begin(&s, 19, &(struct sim_machine_config){.names = SIM_WEAK_POSIX});
    story_append_some(&s, 30, 60000);
    for (uint64_t steps = 10; steps < 3000; steps += 61) {
        s.w.config.batch_bytes_max = (600u << 10) + (uint32_t)(steps / 600) * (200u << 10);
        story_again(&s, steps % 2 == 0 ? SIM_POWER : SIM_KILL);
        ASSERT_EQ(partition_status(s.p), STATUS_OK);
        story_append_begin(&s, 60000);
        for (uint64_t i = 0; i < steps; i++) CHECK(sim_step(s.w.sim));
        unfinished += ring_file_min() < s.w.stores[0]->journal->config.least_bytes;
        s.trace_len = 0;
    }
    ASSERT(unfinished > 10);
    story_again(&s, SIM_POWER);
    story_append_some(&s, 4, 1100 << 10);
    world_pass(&s.w, 5 * NS_PER_S);
    for (int i = 0; i < 400 && ring_file_min() < s.w.stores[0]->journal->config.least_bytes; i++)
        story_append_some(&s, 1, 60000);
    ASSERT(ring_file_min() >= s.w.stores[0]->journal->config.least_bytes);
    for (int64_t i = 0; i < partition_log_end(s.p); i++) ASSERT_EQ(story_read(&s, i), STATUS_OK);
    story_end(&s);
}

/* --- A10: a full disk --- */

/* No space for a piece: it stays pinned and is tried again; nothing is fenced. The ring fills up to its last sixteenth;
 * a log start, an epoch, a truncation still find room. When there is space again everything goes on. */
static void a10_a_piece_without_space(void)
{
    int64_t end;
    story_begin(&s, 11, NULL);
    story_append_some(&s, 3, 20000);
    sim_fault_add(s.w.machine, &(struct sim_fault_rule){.fault = SIM_FAULT_NO_SPACE,
                                                        .kinds = 1u << IO_WRITE | 1u << IO_ALLOCATE,
                                                        .path = "*.log",
                                                        .nth = 1,
                                                        .count = UINT64_MAX});
    struct partition_append op;
    for (int n = 0; n < 1000; n++) {
        end = partition_log_end(s.p);
        story_append_begin(&s, 20000);
        world_pass(&s.w, 2 * NS_PER_MS);
        s.pending_count = 0;
        if (s.pending[0].op.status != STATUS_OK) break;
    }
    op = s.pending[0].op;
    ASSERT_EQ(op.status, STATUS_BUSY);
    ASSERT_EQ(end, partition_log_end(s.p));
    ASSERT(end > 60);
    s.trace_len = 0;
    ASSERT_EQ(partition_status(s.p), STATUS_OK);
    ASSERT_EQ(world_log_start(&s.w, s.p, 5), STATUS_OK);
    ASSERT_EQ(world_epoch(&s.w, s.p, 7), STATUS_OK);
    ASSERT_EQ(world_truncate(&s.w, s.p, end), STATUS_OK);
    story_expect_all(&s, 5);
    sim_fault_clear(s.w.machine);
    world_pass(&s.w, 2 * NS_PER_S);
    story_append_some(&s, 100, 20000);
    story_again(&s, SIM_POWER);
    ASSERT_EQ(partition_log_end(s.p), end + 100);
    ASSERT_EQ(partition_log_start(s.p), 5);
    ASSERT_EQ(partition_epoch(s.p), 7);
    story_expect_all(&s, 5);
    story_end(&s);
}

/* Not a byte is free: checkpoints go on, in the space that the table files have, so the ring can be emptied. */
static void a10_table_space_is_there(void)
{
    story_begin(&s, 20, NULL);
    story_append_some(&s, 2, 20000);
    sim_disk_capacity(s.w.machine, sim_disk_used(s.w.machine));
    world_pass(&s.w, 2 * NS_PER_S);
    ASSERT_EQ(story_append(&s, 2, 700), STATUS_NO_SPACE);
    for (int32_t i = 0; i < 40; i++) {
        ASSERT_EQ(world_epoch(&s.w, s.p, i + 1), STATUS_OK);
        ASSERT_EQ(world_checkpoint(&s.w), STATUS_OK);
        if (i == 20) s.w.stores[0]->table->number = 0; /* a base, in the other file */
    }
    story_again(&s, SIM_POWER);
    ASSERT_EQ(partition_epoch(s.p), 40);
    story_expect_all(&s, 0);
    story_end(&s);
}

/* Below the reserve appends are refused before anything is in the way; a topic is deleted; its trash goes at once, not
 * after its hour; appends go on. */
static void a10_the_trash_gives_way(void)
{
    story_begin(&s, 12, NULL);
    struct partition *u = world_create(&s.w, "u", 0), *t = s.p;
    s.p = u;
    story_append_some(&s, 30, 60000);
    s.p = t;
    story_append_some(&s, 2, 700);
    world_pass(&s.w, MOVE_NS);
    sim_disk_capacity(s.w.machine, sim_disk_used(s.w.machine) + (700 << 10));
    world_pass(&s.w, 2 * NS_PER_S);
    story_tell(&s, "append: %s", status_text(story_append(&s, 2, 700)));
    story_tell(&s, "log start: %s", status_text(world_log_start(&s.w, s.p, 1)));
    story_tell(&s, "delete: %s", status_text(world_delete(&s.w, u)));
    world_pass(&s.w, 5 * NS_PER_S);
    ASSERT_EQ(world_epoch(&s.w, s.p, 3), STATUS_OK); /* a file system gives freed space back at its next commit */
    world_pass(&s.w, 3 * NS_PER_S);
    story_tell(&s, "append: %s", status_text(story_append(&s, 2, 700)));
    story_expect(&s, "append: no space left on the disk\n"
                     "log start: ok\n"
                     "delete: ok\n"
                     "append: ok\n");
    story_again(&s, SIM_POWER);
    story_expect_all(&s, 1);
    story_end(&s);
}

/* --- A11: cost and blast radius of the table --- */

/* Base plus deltas: one active partition among many costs its own record, not all of them; the base is rewritten when
 * the deltas outweigh it. */
static void a11_a_delta_costs_what_it_holds(void)
{
    char topic[16];
    story_begin(&s, 13, NULL);
    struct table_writer *w = s.w.stores[0]->table;
    for (int i = 0; i < 200; i++) {
        snprintf(topic, sizeof topic, "idle-%d", i);
        ASSERT(world_create(&s.w, topic, 0) != NULL);
    }
    ASSERT_EQ(world_checkpoint(&s.w), STATUS_OK);
    uint64_t base = w->bytes_written, generation = w->generation;
    ASSERT(base > 200 * 200);
    story_append_some(&s, 1, 700);
    ASSERT_EQ(world_checkpoint(&s.w), STATUS_OK);
    ASSERT_EQ(w->generation, generation);
    ASSERT_EQ(w->bytes_written - base, 4096);
    for (int i = 0; i < 200 && w->generation == generation; i++) {
        story_append_some(&s, 1, 700);
        ASSERT_EQ(world_checkpoint(&s.w), STATUS_OK);
    }
    ASSERT_EQ(w->generation, generation + 1);
    story_again(&s, SIM_POWER);
    story_expect_all(&s, 0);
    story_end(&s);
}

/* The newest base rots. The table before it is whole, and so are the journal groups it needs: their space is given back
 * one checkpoint late. The ring is filled to the brim in between, so that space freed early would be overwritten. */
static void a11_space_is_freed_one_checkpoint_late(void)
{
    char path[64];
    uint8_t zeros[4096] = {0};
    story_begin(&s, 14, NULL);
    s.w.config.journal_bytes = 32 << 20; /* so many files that three of them may fill up between two checkpoints */
    story_again(&s, SIM_KILL);
    world_pass(&s.w, 20 * NS_PER_S);
    struct table_writer *w = s.w.stores[0]->table;
    ASSERT_EQ(s.w.stores[0]->journal->slot_count, 32);
    story_append_some(&s, 12, 60000);
    world_pass(&s.w, MOVE_NS);
    ASSERT_EQ(world_checkpoint(&s.w), STATUS_OK);
    story_append_some(&s, 55, 60000);
    world_pass(&s.w, MOVE_NS);
    w->number = 0; /* the next one is a base, in the other file */
    ASSERT_EQ(world_checkpoint(&s.w), STATUS_OK);
    uint64_t newest = w->generation;
    story_stall(&s, IO_SYNC, "*.log", 0); /* no checkpoint from here on */
    for (int n = 0; n < 800; n++) {
        story_append_begin(&s, 60000);
        world_pass(&s.w, 5 * NS_PER_MS);
        s.pending_count = 0;
        s.trace_len = 0;
        if (s.pending[0].op.status != STATUS_OK) break;
    }
    int64_t end = partition_high_watermark(s.p);
    ASSERT(end > 400);
    ASSERT_EQ(s.pending[0].op.status, STATUS_BUSY);
    ASSERT_EQ(w->generation, newest);
    world_crash(&s.w, SIM_POWER);
    snprintf(path, sizeof path, "/data/journal-000/table-%u", (unsigned)(newest % 2));
    ASSERT_EQ(sim_file_write(s.w.machine, path, 0, zeros, sizeof zeros), STATUS_OK);
    story_again(&s, SIM_POWER);
    ASSERT(partition_log_end(s.p) >= end);
    ASSERT_EQ(partition_status(s.p), STATUS_OK);
    story_expect_all(&s, 0);
    story_end(&s);
}

/* The journal is empty where the table's replay begins: damage, never a start. Nothing is changed by the refusal. */
static void a11_a_gap_is_damage(void)
{
    const char *error;
    uint8_t zeros[4096] = {0};
    uint64_t size;
    story_begin(&s, 15, NULL);
    story_append_some(&s, 3, 15000); /* too little to move, too much to be carried: a replay needs the journal */
    ASSERT_EQ(world_checkpoint(&s.w), STATUS_OK);
    world_crash(&s.w, SIM_POWER);
    ASSERT_EQ(sim_file_size(s.w.machine, "/data/journal-000/ring-000000", &size), STATUS_OK);
    for (uint64_t pos = 0; pos < size; pos += sizeof zeros)
        ASSERT_EQ(sim_file_write(s.w.machine, "/data/journal-000/ring-000000", pos, zeros, sizeof zeros), STATUS_OK);
    for (int i = 0; i < 2; i++) {
        STORY_WATCH(&s, "write *");
        ASSERT_EQ(story_restart(&s, SIM_POWER, &error), STATUS_DAMAGED);
        ASSERT(strstr(error, "the checkpoint table stands for") != NULL);
        ASSERT(strstr(error, "restore this directory") != NULL);
        story_expect(&s, "write table\n"); /* with what was read: its last chunk (rule A7) */
    }
    world_deinit(&s.w);
}

/* The whole journal is gone: it was there for sure once, so that is damage, never a first start. One that is being made
 * when the first start dies is made again. */
static void a11_a_missing_journal_is_damage(void)
{
    const char *error;
    story_begin(&s, 21, NULL);
    story_append_some(&s, 3, 700);
    world_crash(&s.w, SIM_POWER);
    ASSERT_EQ(sim_file_remove(s.w.machine, "/data/journal-000"), STATUS_OK);
    STORY_WATCH(&s, "write *", "make journal*", "rename *");
    ASSERT_EQ(story_restart(&s, SIM_POWER, &error), STATUS_DAMAGED);
    ASSERT(strstr(error, "/data/journal-000 is missing") != NULL);
    story_expect(&s, "");
    world_crash(&s.w, SIM_KILL);
    sim_disk_wipe(s.w.machine);
    for (uint64_t steps = 5; steps < 140; steps += 5) {
        world_boot_begin(&s.w, 1);
        for (uint64_t i = 0; i < steps; i++) CHECK(sim_step(s.w.sim));
        world_crash(&s.w, steps % 2 == 0 ? SIM_KILL : SIM_POWER);
    }
    ASSERT_EQ(world_boot(&s.w, 1), STATUS_OK);
    world_crash(&s.w, SIM_POWER);
    world_deinit(&s.w);
}

TEST_MAIN("rules A8 to A11", {"A8 damage is not an end", a8_damage_is_not_an_end},
          {"A8 the last group of an idle journal", a8_the_last_group}, {"A8 whose was it", a8_whose_was_it},
          {"A8 a batch that is half moved", a8_a_batch_that_is_half_moved},
          {"A8 a batch at the moved end", a8_a_batch_at_the_moved_end},
          {"A9 the ring holds four of the largest batches", a9_four_largest_batches},
          {"A9 a commit is bounded", a9_a_commit_is_bounded}, {"A9 a raised message.max.bytes", a9_a_raised_limit},
          {"A9 power goes between the two files", a9_power_between_the_two_files},
          {"A9 a raised message.max.bytes with crashes", a9_a_raised_limit_with_crashes},
          {"A10 a piece without space", a10_a_piece_without_space},
          {"A10 table space is there before the disk is full", a10_table_space_is_there},
          {"A10 the trash gives way", a10_the_trash_gives_way},
          {"A11 a delta costs what it holds", a11_a_delta_costs_what_it_holds},
          {"A11 space is freed one checkpoint late", a11_space_is_freed_one_checkpoint_late},
          {"A11 a gap is damage", a11_a_gap_is_damage},
          {"A11 a missing journal is damage", a11_a_missing_journal_is_damage})

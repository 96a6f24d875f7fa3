// SPDX-License-Identifier: Apache-2.0
/* Stories of the mover: what it waits for, what it must not wait for, and what it may not do meanwhile. */
#include "protocol/batch.h"
#include "storage/mover.h"
#include "tests/sim/store_world.h"
#include "tests/unit/check_main.h"
#include <stdio.h>
#include <stdlib.h>

#define PARTS 150

static struct store_world w;
static struct partition *parts[PARTS];

static void begin(uint64_t seed)
{
    world_init(&w, seed, &(struct sim_machine_config){.names = SIM_EXT4_ORDERED});
    w.config.checkpoint_ms = 3600 * 1000;
    w.config.batch_bytes_max = 32 << 10;
    w.config.group_bytes = 64 << 10;
    w.config.journal_first_bytes = 4 << 20; /* files of 1 MiB */
    w.config.journal_bytes = 16 << 20;
}

static void boot(int count)
{
    ASSERT_EQ(world_boot(&w, 1), STATUS_OK);
    for (int i = 0; i < count; i++) {
        parts[i] = world_find(&w, "t", i);
        if (parts[i] == NULL) parts[i] = world_create(&w, "t", i);
        ASSERT(parts[i] != NULL);
    }
}

static void append_one(struct partition *p, uint32_t bytes)
{
    int64_t offset, end = partition_log_end(p);
    struct world_batch b = {.records = 1, .value_bytes = bytes, .tag = (uint64_t)end};
    ASSERT_EQ(world_append(&w, p, &b, &offset), STATUS_OK);
    ASSERT_EQ(offset, end);
}

/* Every record carries its offset. */
static void expect_all(struct partition *p, int64_t end)
{
    struct partition_read *r = calloc(1, sizeof *r);
    ASSERT_EQ(partition_log_end(p), end);
    for (int64_t next = 0; next < end; next++) {
        struct batch_info info;
        char tag[17];
        ASSERT_EQ(world_read(&w, p, next, 1, r), STATUS_OK);
        ASSERT_EQ(r->slice_count, 1);
        const uint8_t *at = slice_data(r->slices[0]);
        ASSERT_EQ(batch_parse(at, r->slices[0].len, &info), STATUS_OK);
        ASSERT(batch_crc_valid(at, &info));
        ASSERT_EQ(info.base_offset, next);
        snprintf(tag, sizeof tag, "%016llx", (unsigned long long)next);
        ASSERT(memmem(at, info.size_bytes, tag, 16) != NULL);
        partition_read_release(r);
    }
    free(r);
}

static void done(void)
{
    ASSERT_EQ(world_stop(&w), STATUS_OK);
    world_deinit(&w);
}

/* Many partitions, none of which ever has a piece of the wished size: they move by age, the oldest first, as late as
 * the ring allows, and no append is refused. Each append is a group of two blocks here, one of them payload: 7/16 of
 * the ring hold 24 KiB for each partition. */
static void many_partitions_move_large_pieces(void)
{
    begin(31);
    boot(PARTS);
    for (int i = 0; i < PARTS; i++) append_one(parts[i], 4000);
    world_pass(&w, NS_PER_S); /* the ring grows */
    for (int round = 1; round < 80; round++)
        for (int i = 0; i < PARTS; i++) append_one(parts[i], 4000);
    const struct mover_counters *c = mover_counters(w.stores[0]->mover);
    const struct store_counters *n = &w.stores[0]->count;
    ASSERT(n->moves > PARTS);
    ASSERT(c->aged > c->due);
    ASSERT(n->moved_bytes / n->moves >= 16 << 10);
    ASSERT_EQ(c->prepared, PARTS);
    world_crash(&w, SIM_POWER);
    boot(PARTS);
    for (int i = 0; i < PARTS; i += 10) expect_all(parts[i], 80);
    done();
}

/* One partition that got a few blocks long ago must not hold the ring, one that got less than a block must not either:
 * a table carries it. */
static void what_is_old_does_not_hold_the_ring(void)
{
    begin(32);
    boot(3);
    append_one(parts[1], 9000);
    append_one(parts[2], 500);
    for (int i = 0; i < 2500; i++) append_one(parts[0], 20000);
    ASSERT_EQ(parts[1]->moved_pos, LOG_POS_FIRST + 8192);
    ASSERT_EQ(parts[2]->moved_pos, LOG_POS_FIRST);
    ASSERT(parts[2]->carried_pos > LOG_POS_FIRST + 500);
    world_crash(&w, SIM_POWER);
    boot(3);
    expect_all(parts[1], 1);
    expect_all(parts[2], 1);
    done();
}

/* A directory is made when there is something to move, before it must be moved; none for less than a block. */
static void directories_are_made_ahead(void)
{
    uint64_t size;
    begin(33);
    boot(2);
    append_one(parts[0], 9000);
    append_one(parts[1], 900);
    world_pass(&w, NS_PER_S);
    ASSERT_EQ(mover_counters(w.stores[0]->mover)->prepared, 1);
    ASSERT_EQ(w.stores[0]->count.moves, 0);
    ASSERT_EQ(sim_file_size(w.machine, "/data/t-0/00000000000000000000.log", &size), STATUS_OK);
    ASSERT_EQ(sim_file_size(w.machine, "/data/t-1/partition.metadata", &size), STATUS_NOT_FOUND);
    world_crash(&w, SIM_KILL); /* it stands there, empty, and no table knows of it */
    boot(2);
    expect_all(parts[0], 1);
    ASSERT_EQ(world_stop(&w), STATUS_OK);
    ASSERT_EQ(sim_file_size(w.machine, "/data/t-0/00000000000000000000.log", &size), STATUS_OK);
    ASSERT(size > 9000 && size < 9500); /* what was reserved ahead is cut off */
    world_deinit(&w);
}

/* A2: a cut drops segments; before their names are gone, the log has rolled again at the same offsets. The new files
 * are not the ones that the unlink takes. */
static void a2_no_move_into_a_name_that_is_being_unlinked(void)
{
    begin(34);
    w.config.segment_bytes = 100 << 10;
    w.config.checkpoint_ms = 1;
    boot(1);
    struct partition *p = parts[0];
    for (int i = 0; i < 2; i++) append_one(p, 30000);
    partition_replicated(p, 2);
    for (int i = 2; i < 30; i++) append_one(p, 30000);
    world_pass(&w, NS_PER_S);
    sim_fault_add(w.machine, &(struct sim_fault_rule){.fault = SIM_FAULT_STALL,
                                                      .kinds = 1ull << IO_UNLINK,
                                                      .path = "*/00000000000000000006.log",
                                                      .nth = 1,
                                                      .delay_ns = 2 * NS_PER_S});
    ASSERT_EQ(world_truncate(&w, p, 2), STATUS_OK);
    for (int i = 2; i < 30; i++) append_one(p, 30000);
    world_pass(&w, NS_PER_S); /* time enough to move them, if it were allowed */
    world_pass(&w, 2 * NS_PER_S);
    ASSERT(p->moved_pos > LOG_POS_FIRST + 700000); /* and it goes on */
    partition_replicated(p, 30);
    world_crash(&w, SIM_KILL);
    sim_fault_clear(w.machine);
    boot(1);
    partition_replicated(parts[0], 30);
    expect_all(parts[0], 30);
    done();
}

/* A10: a move that waits for space does not hold the closed files below the log start, whose end gives it that space.
 */
static void a10_files_go_while_a_move_waits_for_space(void)
{
    begin(35);
    w.config.segment_bytes = 100 << 10;
    boot(1);
    struct partition *p = parts[0];
    for (int i = 0; i < 20; i++) append_one(p, 30000);
    world_pass(&w, NS_PER_S);
    ASSERT(p->segment_count > 5);
    sim_fault_add(w.machine, &(struct sim_fault_rule){.fault = SIM_FAULT_NO_SPACE,
                                                      .kinds = 1u << IO_WRITE | 1u << IO_ALLOCATE,
                                                      .path = "*.log",
                                                      .nth = 1,
                                                      .count = UINT64_MAX});
    for (int i = 20; i < 30; i++) append_one(p, 30000);
    world_pass(&w, NS_PER_S);
    ASSERT(p->move != NULL);
    const struct segment moving = *partition_segment_of(p, p->index.segment_base);
    ASSERT_EQ(world_log_start(&w, p, 30), STATUS_OK);
    world_pass(&w, NS_PER_S);
    ASSERT(p->move != NULL); /* it waits still */
    ASSERT_EQ(p->segments[0].base, moving.base);
    uint64_t size;
    ASSERT_EQ(sim_file_size(w.machine, "/data/t-0/00000000000000000000.log", &size), STATUS_NOT_FOUND);
    sim_fault_clear(w.machine);
    append_one(p, 30000);
    world_pass(&w, 5 * NS_PER_S);
    ASSERT_EQ(partition_log_start(p), 30);
    world_crash(&w, SIM_POWER);
    boot(1);
    ASSERT_EQ(partition_log_start(parts[0]), 30);
    ASSERT_EQ(partition_log_end(parts[0]), 31);
    done();
}

TEST_MAIN("store mover", {"many partitions move large pieces", many_partitions_move_large_pieces},
          {"what is old does not hold the ring", what_is_old_does_not_hold_the_ring},
          {"directories are made ahead", directories_are_made_ahead},
          {"A2: no move into a name that is being unlinked", a2_no_move_into_a_name_that_is_being_unlinked},
          {"A10: files go while a move waits for space", a10_files_go_while_a_move_waits_for_space})

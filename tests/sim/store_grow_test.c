// SPDX-License-Identifier: Apache-2.0
/* Stories of ring growth (rule D3): the ring starts small, grows in the background, and a crash at any step of it keeps
 * every acknowledged record. */
#include "tests/sim/store_world.h"
#include "tests/unit/check_main.h"
#include <stdlib.h>

#define VALUE_BYTES 20000

static void begin(struct store_world *w, uint64_t seed, enum sim_names names)
{
    world_init(w, seed, &(struct sim_machine_config){.names = names});
    w->config.journal_first_bytes = 4 << 20;
    w->config.journal_bytes = 12 << 20;
}

static struct partition *append_some(struct store_world *w, struct partition *p, int64_t count)
{
    for (int64_t i = partition_log_end(p), end = i + count; i < end; i++) {
        struct world_batch b = {.records = 1, .value_bytes = VALUE_BYTES, .tag = (uint64_t)i};
        int64_t offset;
        ASSERT_EQ(world_append(w, p, &b, &offset), STATUS_OK);
        ASSERT_EQ(offset, i);
    }
    return p;
}

/* Every batch is the one that was appended there. */
static void expect_all(struct store_world *w, struct partition *p, int64_t end)
{
    uint8_t *want = malloc(64 << 10);
    struct partition_read *r = calloc(1, sizeof *r);
    ASSERT_EQ(partition_log_end(p), end);
    for (int64_t next = 0; next < end; next++) {
        uint32_t len = world_batch_make(
            &(struct world_batch){.records = 1, .value_bytes = VALUE_BYTES, .tag = (uint64_t)next}, want, 64 << 10);
        ASSERT_EQ(world_read(w, p, next, 1, r), STATUS_OK);
        ASSERT_EQ(r->bytes, len);
        ASSERT_EQ(r->slice_count, 1);
        ASSERT(memcmp(slice_data(r->slices[0]) + 16, want + 16, len - 16) == 0); /* behind offset and epoch */
        partition_read_release(r);
    }
    free(r);
    free(want);
}

static uint64_t ring_bytes(struct store_world *w, uint32_t *ret_files)
{
    uint64_t total = 0, size;
    char path[64];
    for (*ret_files = 0; *ret_files < 240; ++*ret_files) {
        snprintf(path, sizeof path, "/data/journal-000/ring-%06u", *ret_files);
        if (sim_file_size(w->machine, path, &size) != STATUS_OK) break;
        total += size;
    }
    return total;
}

/* It grows to what the configuration says, goes round in the grown order, and a restart reads that order back. */
static void grows_while_it_is_used(void)
{
    struct store_world w;
    uint32_t files, first;
    begin(&w, 11, SIM_EXT4_ORDERED);
    ASSERT_EQ(world_boot(&w, 1), STATUS_OK);
    ring_bytes(&w, &first);
    struct partition *p = world_create(&w, "t", 0);
    append_some(&w, p, 900);
    world_pass(&w, NS_PER_S);
    uint64_t bytes = ring_bytes(&w, &files);
    ASSERT(files > first);
    ASSERT(bytes > 11 << 20);
    append_some(&w, p, 900);
    world_crash(&w, SIM_POWER);
    ASSERT_EQ(world_boot(&w, 1), STATUS_OK);
    p = world_find(&w, "t", 0);
    expect_all(&w, p, 1800);
    append_some(&w, p, 700);
    world_crash(&w, SIM_KILL);
    ASSERT_EQ(world_boot(&w, 1), STATUS_OK);
    expect_all(&w, world_find(&w, "t", 0), 2500);
    ASSERT_EQ(world_stop(&w), STATUS_OK);
    ASSERT_EQ(ring_bytes(&w, &files), bytes);
    world_deinit(&w);
}

struct appender { /* appends without waiting for the world: so that the crash may come at any event */
    struct store_world *w;
    struct partition_append op;
    struct partition *p;
    uint8_t *bytes;
    int64_t acked;
    bool busy;
};

static void appended(struct partition_append *op)
{
    struct appender *a = container_of(op, struct appender, op);
    a->busy = false;
    if (op->status != STATUS_OK) return;
    ASSERT_EQ(op->base_offset, a->acked);
    a->acked++;
}

static void append_next(struct appender *a)
{
    if (a->busy) return;
    struct world_batch b = {.records = 1, .value_bytes = VALUE_BYTES, .tag = (uint64_t)partition_log_end(a->p)};
    uint32_t len = world_batch_make(&b, a->bytes, 64 << 10);
    a->busy = true;
    a->op = (struct partition_append){.done = appended};
    partition_append(a->p, a->bytes, len, &a->op);
}

/* Crashes after `steps` events since the start of the growth; appends go on meanwhile. True: growth was over before. */
static bool crash_after(struct appender *a, uint64_t steps, enum sim_kill how)
{
    struct store_world *w = a->w;
    a->busy = false;
    for (uint64_t i = 0; i < steps; i++) {
        append_next(a);
        CHECK(sim_step(w->sim));
    }
    uint32_t files;
    bool grown = ring_bytes(w, &files) > 11 << 20;
    world_crash(w, how);
    return grown;
}

/* Restart after restart, each a few events later into the growth, kill and power cut in turn. */
static void crash_at_every_step(enum sim_names names)
{
    struct store_world w;
    begin(&w, 12, names);
    struct appender a = {.w = &w, .bytes = malloc(64 << 10)};
    ASSERT_EQ(world_boot(&w, 1), STATUS_OK);
    a.p = world_create(&w, "t", 0);
    bool grown = false;
    unsigned crashes = 0;
    for (uint64_t steps = 1; !grown && steps < 4000; steps++, crashes++) {
        grown = crash_after(&a, steps, crashes % 2 == 0 ? SIM_POWER : SIM_KILL);
        ASSERT_EQ(world_boot(&w, 1), STATUS_OK);
        a.p = world_find(&w, "t", 0);
        ASSERT(a.p != NULL);
        ASSERT_EQ(partition_status(a.p), STATUS_OK);
        ASSERT(partition_log_end(a.p) >= a.acked);
        a.acked = partition_log_end(a.p);
        if (crashes % 8 == 0) expect_all(&w, a.p, a.acked);
    }
    ASSERT(grown);
    ASSERT(crashes > 40);
    expect_all(&w, a.p, a.acked);
    append_some(&w, a.p, 600);
    expect_all(&w, a.p, a.acked + 600);
    ASSERT_EQ(world_stop(&w), STATUS_OK);
    free(a.bytes);
    world_deinit(&w);
}

static void crash_with_ordered_names(void)
{
    crash_at_every_step(SIM_EXT4_ORDERED);
}

static void crash_with_weak_names(void)
{
    crash_at_every_step(SIM_WEAK_POSIX);
}

/* No room for a larger ring: the store goes on with what it has, and grows when there is room. */
static void no_space_only_waits(void)
{
    struct store_world w;
    uint32_t files, first;
    begin(&w, 13, SIM_EXT4_ORDERED);
    sim_fault_add(w.machine, &(struct sim_fault_rule){.fault = SIM_FAULT_NO_SPACE,
                                                      .kinds = 1u << IO_WRITE,
                                                      .path = "/data/journal-000/ring-*6",
                                                      .nth = 1,
                                                      .count = UINT64_MAX});
    ASSERT_EQ(world_boot(&w, 1), STATUS_OK);
    ring_bytes(&w, &first);
    struct partition *p = append_some(&w, world_create(&w, "t", 0), 50);
    world_pass(&w, 5 * NS_PER_S);
    ring_bytes(&w, &files);
    ASSERT_EQ(files, 6);
    sim_fault_clear(w.machine);
    world_pass(&w, 15 * NS_PER_S);
    append_some(&w, p, 50);
    ring_bytes(&w, &files);
    ASSERT(files > 7);
    expect_all(&w, p, 100);
    ASSERT_EQ(world_stop(&w), STATUS_OK);
    world_deinit(&w);
}

TEST_MAIN("D3 ring growth", {"grows while it is used", grows_while_it_is_used},
          {"a crash at every step, ordered names", crash_with_ordered_names},
          {"a crash at every step, weak names", crash_with_weak_names},
          {"D18 no space for a growing ring only waits", no_space_only_waits})

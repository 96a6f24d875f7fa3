// SPDX-License-Identifier: Apache-2.0
/* Stories of retention and of topic settings that change while the store runs. */
#include "base/bytes.h"
#include "tests/sim/store_world.h"
#include "tests/unit/check_main.h"
#include <stdio.h>
#include <stdlib.h>

#define CHECK_MS 100

static struct store_world w;
static struct partition *p;

static void begin(uint64_t seed)
{
    world_init(&w, seed, NULL);
    w.config.retention_check_ms = CHECK_MS;
    w.config.segment_bytes = 100 << 10;
    w.config.checkpoint_ms = 50;
    ASSERT_EQ(world_boot(&w, 1), STATUS_OK);
    p = world_create(&w, "t", 0);
    ASSERT(p != NULL);
}

static void again(enum sim_kill how)
{
    world_crash(&w, how);
    ASSERT_EQ(world_boot(&w, 1), STATUS_OK);
    p = world_find(&w, "t", 0);
    ASSERT(p != NULL);
}

static int64_t now_ms(void)
{
    return WORLD_TIME_MS + sim_now(w.sim) / NS_PER_MS;
}

static void append_some(int count, uint32_t bytes, int64_t time_ms)
{
    for (int i = 0; i < count; i++) {
        struct world_batch b = {.records = 1,
                                .value_bytes = bytes,
                                .tag = (uint64_t)partition_log_end(p),
                                .time_ms = time_ms != 0 ? time_ms : now_ms()};
        ASSERT_EQ(world_append(&w, p, &b, NULL), STATUS_OK);
    }
}

static void configure(int64_t retention_bytes, int64_t retention_ms)
{
    struct partition_settings c;
    partition_settings_init(w.stores[0], &c);
    c.retention_bytes = retention_bytes;
    c.retention_ms = retention_ms;
    ASSERT_EQ(partition_configure(p, &c), STATUS_OK);
}

static void pass_a_round(void)
{
    world_pass(&w, 3 * CHECK_MS * NS_PER_MS);
}

/* Every record that is left can be read. */
static void expect_readable(void)
{
    struct partition_read *r = calloc(1, sizeof *r);
    for (int64_t next = partition_log_start(p); next < partition_high_watermark(p); next++) {
        ASSERT_EQ(world_read(&w, p, next, 1, r), STATUS_OK);
        ASSERT_EQ((int64_t)load_be64(slice_data(r->slices[0])), next);
        partition_read_release(r);
    }
    free(r);
}

struct counting {
    unsigned logs;
    uint64_t bytes;
};

static void count_file(const char *name, bool is_dir, void *arg)
{
    struct counting *c = arg;
    char path[300];
    uint64_t size = 0;
    if (strstr(name, ".log") == NULL) return;
    snprintf(path, sizeof path, "/data/t-0/%s", name);
    ASSERT_EQ(sim_file_size(w.machine, path, &size), STATUS_OK);
    c->logs++;
    c->bytes += size;
}

static struct counting files(void)
{
    struct counting c = {0};
    ASSERT_EQ(sim_file_list(w.machine, "/data/t-0", count_file, &c), STATUS_OK);
    return c;
}

static void by_size(void)
{
    begin(1);
    append_some(60, 20000, 0);
    ASSERT_EQ(partition_log_start(p), 0);
    uint64_t size = partition_size_bytes(p);
    ASSERT(size > 1200000);
    configure(300 << 10, -1);
    pass_a_round();
    ASSERT(partition_log_start(p) > 0);
    ASSERT(partition_size_bytes(p) >= 300 << 10 && partition_size_bytes(p) < (300 << 10) + (120 << 10));
    world_pass(&w, NS_PER_S);
    ASSERT(files().bytes < 520 << 10); /* space ahead counts */
    expect_readable();
    int64_t start = partition_log_start(p);
    again(SIM_POWER);
    ASSERT_EQ(partition_log_start(p), start);
    expect_readable();
    ASSERT_EQ(world_stop(&w), STATUS_OK);
    world_deinit(&w);
}

/* All of it expires, the active segment, too: the log is empty, goes on at its end, and no old file is left. */
static void the_active_segment_expires(void)
{
    begin(2);
    append_some(12, 20000, 0);
    configure(-1, 2000);
    pass_a_round();
    ASSERT_EQ(partition_log_start(p), 0);
    world_pass(&w, 2500 * NS_PER_MS);
    ASSERT_EQ(partition_log_start(p), 12);
    ASSERT_EQ(partition_log_end(p), 12);
    ASSERT_EQ(partition_size_bytes(p), 0);
    pass_a_round();
    ASSERT_EQ(files().logs, 0);
    append_some(3, 500, 0);
    expect_readable();
    again(SIM_POWER);
    ASSERT_EQ(partition_log_start(p), 12);
    ASSERT_EQ(partition_log_end(p), 15);
    expect_readable();
    ASSERT_EQ(world_stop(&w), STATUS_OK);
    world_deinit(&w);
}

/* What is young keeps what lies behind it, as the rule says; a record of the future keeps its segment. */
static void by_time_from_the_front_only(void)
{
    begin(3);
    append_some(6, 20000, now_ms());
    int64_t first_end = partition_log_end(p);
    append_some(6, 20000, now_ms() + 3600 * 1000);
    append_some(6, 20000, now_ms());
    configure(-1, 1000);
    world_pass(&w, 2 * NS_PER_S);
    ASSERT(partition_log_start(p) > 0 && partition_log_start(p) <= first_end);
    ASSERT(partition_log_end(p) > partition_log_start(p));
    expect_readable();
    world_deinit(&w);
}

/* Replicas that lag hold it: nothing above the watermark goes; when the watermark moves, the rest does. */
static void not_above_the_high_watermark(void)
{
    begin(4);
    partition_replicated(p, 7);
    append_some(30, 20000, 0);
    configure(0, -1);
    pass_a_round();
    ASSERT(partition_log_start(p) <= 7);
    int64_t held = partition_log_start(p);
    pass_a_round();
    ASSERT_EQ(partition_log_start(p), held);
    partition_replicated(p, 30);
    pass_a_round();
    ASSERT_EQ(partition_log_start(p), 30);
    world_deinit(&w);
}

/* After a start nothing goes before the settings were given, however the store is set up; then they hold at once, and
 * each change of them. */
static void settings_come_from_above(void)
{
    struct partition_settings c;
    begin(5);
    append_some(30, 20000, 0);
    again(SIM_KILL);
    pass_a_round();
    ASSERT_EQ(partition_log_start(p), 0);
    partition_settings_init(w.stores[0], &c);
    ASSERT(c.retention_bytes == -1 && c.retention_ms == -1 && c.deletes && c.segment_bytes == w.config.segment_bytes);
    c.segment_bytes = 30 << 10;
    c.retention_bytes = 200 << 10;
    c.deletes = false;
    c.compacts = true;
    ASSERT_EQ(partition_configure(p, &c), STATUS_OK);
    append_some(10, 20000, 0); /* a segment each, from the next roll on */
    pass_a_round();
    ASSERT_EQ(partition_log_start(p), 0);
    c.deletes = true;
    ASSERT_EQ(partition_configure(p, &c), STATUS_OK);
    pass_a_round();
    ASSERT(partition_log_start(p) > 0);
    ASSERT(partition_size_bytes(p) < (200 << 10) + (100 << 10));
    ASSERT_EQ(partition_settings(p)->segment_bytes, 30 << 10);
    expect_readable();
    world_deinit(&w);
}

static void settings_that_make_no_sense(void)
{
    struct partition_settings good, c;
    begin(6);
    partition_settings_init(w.stores[0], &good);
    for (int i = 0; i < 6; i++) {
        c = good;
        if (i == 0) c.segment_bytes = 0;
        if (i == 1) c.segment_ms = 0;
        if (i == 2) c.retention_bytes = -2;
        if (i == 3) c.retention_ms = -2;
        if (i == 4) c.batch_bytes_max = 0;
        if (i == 5) c.batch_bytes_max = w.config.batch_bytes_max + 1;
        ASSERT_EQ(partition_configure(p, &c), STATUS_INVALID);
    }
    ASSERT_EQ(memcmp(partition_settings(p), &good, sizeof good), 0);
    world_deinit(&w);
}

/* max.message.bytes falls: larger batches are refused, those that are there stay readable, from files too. */
static void smaller_batches_from_now_on(void)
{
    struct partition_settings c;
    begin(7);
    append_some(3, 90000, 0);
    partition_settings_init(w.stores[0], &c);
    c.batch_bytes_max = 1000;
    ASSERT_EQ(partition_configure(p, &c), STATUS_OK);
    struct world_batch b = {.records = 1, .value_bytes = 2000};
    ASSERT_EQ(world_append(&w, p, &b, NULL), STATUS_BATCH_TOO_LARGE);
    append_some(2, 100, 0);
    expect_readable();
    ASSERT_EQ(world_stop(&w), STATUS_OK);
    w.config.batch_bytes_max = 2000;
    ASSERT_EQ(world_boot(&w, 1), STATUS_OK);
    p = world_find(&w, "t", 0);
    expect_readable();
    ASSERT_EQ(world_stop(&w), STATUS_OK);
    world_deinit(&w);
}

/* The process dies at every step of a round that rolls and trims; what a reader was told never comes back. */
static void crash_at_every_step(void)
{
    for (uint32_t steps = 1; steps < 160; steps += 3) {
        begin(100 + steps);
        append_some(12, 20000, 0);
        world_pass(&w, 200 * NS_PER_MS);
        configure(steps % 2 == 0 ? 50 << 10 : -1, steps % 2 == 0 ? -1 : 1);
        for (int64_t end = sim_now(w.sim) + 2 * CHECK_MS * NS_PER_MS; partition_log_start(p) == 0;) {
            ASSERT(sim_now(w.sim) < end);
            sim_step(w.sim);
            if (w.stores[0] == NULL) break;
        }
        for (uint32_t i = 0; i < steps; i++) sim_step(w.sim);
        int64_t start = partition_log_start(p);
        again(steps % 4 < 2 ? SIM_POWER : SIM_KILL);
        ASSERT(partition_log_start(p) >= start);
        ASSERT_EQ(partition_log_end(p), 12);
        expect_readable();
        append_some(2, 20000, 0);
        expect_readable();
        ASSERT_EQ(world_stop(&w), STATUS_OK);
        world_deinit(&w);
    }
}

static unsigned count_trimmed(struct partition **all, int count)
{
    unsigned n = 0;
    for (int i = 0; i < count; i++) n += partition_log_start(all[i]) == 1;
    return n;
}

/* Many partitions: a round takes its time and looks at each once. */
static void rounds_are_spread(void)
{
    enum { PARTITIONS = 60 };
    struct partition *all[PARTITIONS];
    world_init(&w, 8, NULL);
    w.config.retention_check_ms = 6000;
    ASSERT_EQ(world_boot(&w, 1), STATUS_OK);
    for (int32_t i = 0; i < PARTITIONS; i++) {
        p = all[i] = world_create(&w, "many", i);
        append_some(1, 100, 1000);
        configure(-1, 1000);
    }
    unsigned before = count_trimmed(all, PARTITIONS);
    ASSERT(before < PARTITIONS / 3); /* a part of a round went by with the creations */
    for (int tick = 0; tick < 16; tick++) {
        world_pass(&w, 500 * NS_PER_MS);
        unsigned now = count_trimmed(all, PARTITIONS);
        ASSERT(now - before <= 6); /* 5 of 60 are due in half a second of six */
        before = now;
    }
    ASSERT_EQ(before, PARTITIONS);
    world_deinit(&w);
}

/* The wall clock jumps a year ahead: what is younger than retention.ms by any clock stays; by and by time goes on twice
 * as fast. */
static void c2_a_clock_that_jumps_ahead(void)
{
    begin(31);
    append_some(12, 20000, 0);
    configure(-1, 600 * 1000);
    pass_a_round();
    sim_clock_jump(w.machine, 365ll * 24 * 3600 * 1000);
    world_pass(&w, 200 * NS_PER_S);
    ASSERT_EQ(partition_log_start(p), 0);
    expect_readable();
    world_pass(&w, 450 * NS_PER_S);
    ASSERT_EQ(partition_log_start(p), 12);
    ASSERT_EQ(world_stop(&w), STATUS_OK);
    world_deinit(&w);
}

/* It jumps back: nothing goes, nothing breaks, and after the step forward that mends it records go in the end. */
static void c1_a_clock_that_jumps_back(void)
{
    begin(32);
    append_some(12, 20000, 0);
    configure(-1, 600 * 1000);
    pass_a_round();
    sim_clock_jump(w.machine, -3600 * 1000);
    world_pass(&w, 700 * NS_PER_S);
    ASSERT_EQ(partition_log_start(p), 0);
    sim_clock_jump(w.machine, 3600 * 1000);
    world_pass(&w, 2000 * NS_PER_S);
    ASSERT_EQ(partition_log_start(p), 12);
    ASSERT_EQ(world_stop(&w), STATUS_OK);
    world_deinit(&w);
}

TEST_MAIN("retention and settings", {"by size", by_size}, {"the active segment expires", the_active_segment_expires},
          {"by time, from the front only", by_time_from_the_front_only},
          {"not above the high watermark", not_above_the_high_watermark},
          {"settings come from above", settings_come_from_above},
          {"settings that make no sense", settings_that_make_no_sense},
          {"smaller batches from now on", smaller_batches_from_now_on}, {"a crash at every step", crash_at_every_step},
          {"rounds are spread", rounds_are_spread}, {"C1 a clock that jumps back", c1_a_clock_that_jumps_back},
          {"C2 a clock that jumps ahead", c2_a_clock_that_jumps_ahead})

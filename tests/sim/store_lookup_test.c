// SPDX-License-Identifier: Apache-2.0
/* ListOffsets by time over a real store: each answer against a plain walk over what was appended. Times go up and down,
 * batches are compressed, segments roll, some bytes are in files, some in memory; before and after stops and crashes.
 */
#include "base/bytes.h"
#include "base/prng.h"
#include "tests/sim/store_world.h"
#include "tests/unit/check_main.h"
#include <stdio.h>
#include <stdlib.h>

enum { RECORDS_MAX = 20000 };
enum { LATEST = -1, EARLIEST = -2, LARGEST = -3 };

static struct store_world w;
static struct partition *p;
static struct prng rng;
static int64_t times[RECORDS_MAX];
static int32_t epochs[RECORDS_MAX];
static int64_t end;

static void begin(uint64_t seed)
{
    world_init(&w, seed, NULL);
    prng_seed(&rng, seed, 3);
    end = 0;
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

static void append(int64_t time_ms, int64_t step, int32_t records, uint32_t bytes, enum codec codec)
{
    struct world_batch b = {.records = records,
                            .value_bytes = bytes,
                            .tag = (uint64_t)end,
                            .time_ms = time_ms,
                            .time_step = step,
                            .codec = codec};
    int64_t offset;
    ASSERT(end + records < RECORDS_MAX);
    ASSERT_EQ(world_append(&w, p, &b, &offset), STATUS_OK);
    ASSERT_EQ(offset, end);
    for (int32_t i = 0; i < records; i++) {
        epochs[end] = partition_epoch(p);
        times[end++] = time_ms + i * step;
    }
}

/* Times rise in the long run, with jumps back and forth. */
static void append_random(int count, uint32_t bytes_max)
{
    for (int i = 0; i < count; i++) {
        int64_t ms = WORLD_TIME_MS + end * 10 + (int64_t)prng_below(&rng, 400);
        int64_t step = (int64_t)prng_below(&rng, 41) - 20;
        append(ms, step, 1 + (int32_t)prng_below(&rng, 5), 24 + (uint32_t)prng_below(&rng, bytes_max),
               (enum codec)prng_below(&rng, CODEC_COUNT));
    }
}

static int64_t brute(int64_t ms)
{
    int64_t found = -1;
    for (int64_t i = partition_log_start(p); i < partition_high_watermark(p); i++) {
        if (ms == LARGEST ? found >= 0 && times[i] <= times[found] : times[i] < ms) continue;
        found = i;
        if (ms != LARGEST) break;
    }
    return found;
}

static void ask(int64_t ms)
{
    struct partition_lookup k;
    int64_t want = brute(ms);
    ASSERT_EQ(world_lookup(&w, p, ms, &k), STATUS_OK);
    ASSERT_EQ(k.offset, want);
    ASSERT_EQ(k.timestamp_ms, want < 0 ? -1 : times[want]);
    ASSERT_EQ(k.epoch, want < 0 ? -1 : epochs[want]);
}

static void ask_many(int count)
{
    ask(LARGEST);
    ask(0);
    ask(WORLD_TIME_MS + end * 10 + 10000);
    for (int i = 0; i < count; i++) ask(WORLD_TIME_MS + (int64_t)prng_below(&rng, (uint64_t)end * 10 + 500));
}

static void answers_as_a_walk(void)
{
    begin(1);
    w.config.segment_bytes = 300 << 10;
    w.config.checkpoint_ms = 50;
    again(SIM_KILL);
    for (int round = 0; round < 12; round++) {
        append_random(60, 9000);
        ASSERT_EQ(world_epoch(&w, p, partition_epoch(p) + 1), STATUS_OK);
        ask_many(30);
        if (round == 5) ASSERT_EQ(world_log_start(&w, p, end / 2 + 1), STATUS_OK);
        if (round == 8) ASSERT_EQ(world_stop(&w), STATUS_OK);
        if (round == 8) ASSERT_EQ(world_boot(&w, 1), STATUS_OK);
        if (round == 8) p = world_find(&w, "t", 0);
        if (round % 3 == 1) again(round == 7 ? SIM_KILL : SIM_POWER);
        ask_many(30);
    }
    ASSERT_EQ(world_stop(&w), STATUS_OK);
    world_deinit(&w);
}

static void special_times(void)
{
    struct partition_lookup k;
    begin(2);
    ASSERT_EQ(world_lookup(&w, p, LARGEST, &k), STATUS_OK);
    ASSERT(k.offset == -1 && k.timestamp_ms == -1 && k.epoch == -1);
    ASSERT_EQ(world_lookup(&w, p, 5, &k), STATUS_OK);
    ASSERT_EQ(k.offset, -1);
    ASSERT_EQ(world_epoch(&w, p, 4), STATUS_OK);
    append_random(10, 100);
    ASSERT_EQ(world_log_start(&w, p, 3), STATUS_OK);
    ASSERT_EQ(world_lookup(&w, p, LATEST, &k), STATUS_OK);
    ASSERT(k.offset == end && k.timestamp_ms == -1 && k.epoch == 4);
    ASSERT_EQ(world_lookup(&w, p, EARLIEST, &k), STATUS_OK);
    ASSERT(k.offset == 3 && k.timestamp_ms == -1 && k.epoch == 4);
    ASSERT_EQ(world_lookup(&w, p, -4, &k), STATUS_UNSUPPORTED);
    ASSERT_EQ(world_log_start(&w, p, end), STATUS_OK);
    ask(LARGEST);
    ask(0);
    world_deinit(&w);
}

/* Records that carry no time, and batches between them that do. */
static void records_without_time(void)
{
    begin(3);
    for (int i = 0; i < 20; i++) append(i % 5 == 3 ? WORLD_TIME_MS + i : -1, 0, 2, 100, CODEC_NONE);
    ask_many(40);
    world_deinit(&w);
}

/* What is not committed is not found, though its times are the largest. */
static void below_the_high_watermark(void)
{
    begin(4);
    append_random(40, 5000);
    int64_t committed = end;
    partition_replicated(p, committed);
    append_random(40, 5000);
    world_pass(&w, 100 * NS_PER_MS);
    ASSERT_EQ(partition_high_watermark(p), committed);
    ask_many(60);
    ASSERT_EQ(world_truncate(&w, p, committed), STATUS_OK);
    end = committed;
    ask_many(20);
    append_random(30, 5000);
    ask_many(20);
    partition_replicated(p, end);
    ask_many(20);
    world_deinit(&w);
}

/* A segment of several index pages, all of them in the file but for what the builder holds. */
static void over_many_index_pages(void)
{
    begin(5);
    w.config.segment_bytes = 64 << 20;
    w.config.journal_first_bytes = 32 << 20;
    again(SIM_KILL);
    for (int i = 0; i < 900; i++)
        append(WORLD_TIME_MS + end * 10 + (int64_t)prng_below(&rng, 3000), 1, 1 + i % 2, 30000 / (1 + (uint32_t)i % 2),
               CODEC_NONE);
    ask_many(60);
    ASSERT_EQ(world_stop(&w), STATUS_OK);
    ASSERT_EQ(world_boot(&w, 1), STATUS_OK);
    p = world_find(&w, "t", 0);
    ask_many(60);
    ASSERT_EQ(world_log_start(&w, p, end / 2), STATUS_OK);
    ask_many(30);
    world_deinit(&w);
}

struct flying {
    struct partition_lookup op;
    bool done;
};

static void landed(struct partition_lookup *op)
{
    container_of(op, struct flying, op)->done = true;
}

static bool all_landed(void *arg)
{
    struct flying *f = arg;
    for (int i = 0; i < 16; i++)
        if (!f[i].done) return false;
    return true;
}

struct moving {
    struct partition_change op;
    bool done;
};

static void moved(struct partition_change *op)
{
    container_of(op, struct moving, op)->done = true;
}

static void judge_flying(const struct flying *f, int64_t ms, int64_t early)
{
    int64_t late = brute(ms), found = f->op.offset;
    ASSERT_EQ(f->op.status, STATUS_OK);
    ASSERT(found == early || found == late);
    ASSERT(found == -1 || times[found] == f->op.timestamp_ms);
}

/* The log start moves over what is being searched, segments go away: each answer is one that was right at some moment.
 * Reads are slow, so that searches are under way when it happens. */
static void the_log_start_moves_meanwhile(void)
{
    static struct flying f[16];
    static struct moving move;
    begin(6);
    w.config.segment_bytes = 200 << 10;
    again(SIM_KILL);
    append_random(400, 9000);
    ASSERT_EQ(world_stop(&w), STATUS_OK); /* nothing is in memory */
    ASSERT_EQ(world_boot(&w, 1), STATUS_OK);
    p = world_find(&w, "t", 0);
    sim_fault_add(w.machine, &(struct sim_fault_rule){.fault = SIM_FAULT_STALL,
                                                      .kinds = 1 << IO_READ | 1 << IO_OPEN,
                                                      .chance_ppm = 200000,
                                                      .delay_ns = 2 * NS_PER_MS});
    for (int64_t start = 20; start < end; start += 20) {
        int64_t ms[16], early[16];
        for (int i = 0; i < 16; i++) {
            ms[i] = i == 0 ? LARGEST : WORLD_TIME_MS + start * 10 + (int64_t)prng_below(&rng, 600);
            early[i] = brute(ms[i]);
            f[i] = (struct flying){.op.done = landed};
            partition_lookup_time(p, ms[i], &f[i].op);
            if (i == 8) move = (struct moving){.op.done = moved};
            if (i == 8) partition_log_start_move(p, start, &move.op);
        }
        ASSERT(sim_run_while_not(w.sim, all_landed, f, sim_now(w.sim) + 60 * NS_PER_S));
        world_pass(&w, 20 * NS_PER_MS);
        ASSERT(move.done && partition_log_start(p) == start);
        for (int i = 0; i < 16; i++) judge_flying(&f[i], ms[i], early[i]);
    }
    world_deinit(&w);
}

TEST_MAIN("lookup by time", {"answers as a walk over the records", answers_as_a_walk}, {"special times", special_times},
          {"records without time", records_without_time}, {"below the high watermark", below_the_high_watermark},
          {"over many index pages", over_many_index_pages},
          {"the log start moves meanwhile", the_log_start_moves_meanwhile})

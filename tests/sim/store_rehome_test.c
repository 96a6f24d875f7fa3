// SPDX-License-Identifier: Apache-2.0
/* Stories of re-homing (rule A4): the shard count changes from start to start, with appends, truncations and deletions
 * between and crashes at random points of the re-homing. No record is lost, none that was cut or deleted comes back. */
#include "base/bytes.h"
#include "tests/sim/store_world.h"
#include "tests/unit/check_main.h"
#include <stdio.h>
#include <stdlib.h>

#define PARTITIONS  6
#define RECORDS_MAX 4096
#define BATCH_MAX   (64 << 10)

struct story {
    struct store_world w;
    bool made[PARTITIONS];
    int64_t count[PARTITIONS];
    uint64_t tags[PARTITIONS][RECORDS_MAX]; /* by offset */
    uint64_t next_tag;
    unsigned cut_boots, moved_boots;
};

static uint64_t pick(struct story *s, uint64_t n)
{
    return sim_random(s->w.sim) % n;
}

static struct world_batch batch_of(uint64_t tag)
{
    return (struct world_batch){.records = 1, .value_bytes = 500 + (uint32_t)(tag * 7919 % 12000), .tag = tag};
}

/* --- a start that may be cut off --- */

/* True: it was up before the cut. */
static bool boot_and_cut(struct story *s, uint32_t shards, uint64_t steps)
{
    const char *error;
    world_boot_begin(&s->w, shards);
    for (uint64_t i = 0; i < steps && !world_opened(&s->w); i++) CHECK(sim_step(s->w.sim));
    ASSERT_EQ(world_open_status(&s->w, &error), STATUS_OK);
    bool up = world_opened(&s->w);
    world_crash(&s->w, pick(s, 2) == 0 ? SIM_KILL : SIM_POWER);
    return up;
}

/* --- use --- */

static struct partition_delete deletion;
static bool deletion_done;

static void deleted(struct partition_delete *op)
{
    (void)op;
    deletion_done = true;
}

static bool is_deleted(void *arg)
{
    (void)arg;
    return deletion_done;
}

static void delete (struct story *s, int32_t i)
{
    deletion = (struct partition_delete){.done = deleted};
    deletion_done = false;
    partition_delete(world_find(&s->w, "t", i), &deletion);
    ASSERT(sim_run_while_not(s->w.sim, is_deleted, NULL, sim_now(s->w.sim) + 600 * NS_PER_S));
    ASSERT_EQ(deletion.status, STATUS_OK);
    s->made[i] = false;
    s->count[i] = 0;
}

static void append_some(struct story *s, int32_t i, uint64_t n)
{
    struct partition *p = world_find(&s->w, "t", i);
    while (n-- > 0 && s->count[i] < RECORDS_MAX) {
        struct world_batch b = batch_of(s->next_tag);
        int64_t offset;
        ASSERT_EQ(world_append(&s->w, p, &b, &offset), STATUS_OK);
        ASSERT_EQ(offset, s->count[i]);
        s->tags[i][s->count[i]++] = s->next_tag++;
    }
}

static void use(struct story *s)
{
    for (int32_t i = 0; i < PARTITIONS; i++) {
        if (!s->made[i]) {
            if (pick(s, 3) == 0) continue;
            ASSERT(world_create(&s->w, "t", i) != NULL);
            s->made[i] = true;
        }
        struct partition *p = world_find(&s->w, "t", i);
        partition_replicated(p, partition_high_watermark(p)); /* what comes now may be cut */
        append_some(s, i, pick(s, 20));
        if (pick(s, 2) == 0) {
            int64_t hw = partition_high_watermark(p), end = s->count[i];
            int64_t to = hw + (int64_t)pick(s, (uint64_t)(end - hw) + 1);
            ASSERT_EQ(world_truncate(&s->w, p, to), STATUS_OK);
            s->count[i] = to;
            append_some(s, i, pick(s, 8));
        }
        if (pick(s, 12) == 0) delete (s, i);
    }
}

static void expect(struct story *s)
{
    uint8_t *want = malloc(BATCH_MAX);
    struct partition_read *r = calloc(1, sizeof *r);
    for (int32_t i = 0; i < PARTITIONS; i++) {
        struct partition *p = world_find(&s->w, "t", i);
        ASSERT((p != NULL) == s->made[i]);
        if (p == NULL) continue;
        ASSERT_EQ(partition_status(p), STATUS_OK);
        ASSERT_EQ(partition_log_end(p), s->count[i]);
        partition_replicated(p, s->count[i]);
        for (int64_t at = 0; at < s->count[i]; at++) {
            struct world_batch b = batch_of(s->tags[i][at]);
            uint32_t len = world_batch_make(&b, want, BATCH_MAX);
            ASSERT_EQ(world_read(&s->w, p, at, 1, r), STATUS_OK);
            ASSERT_EQ(r->bytes, len);
            ASSERT(memcmp(slice_data(r->slices[0]) + 16, want + 16, len - 16) == 0);
            partition_read_release(r);
        }
    }
    uint32_t total = 0;
    for (uint32_t k = 0; k < s->w.shards; k++)
        for (struct partition *p = store_next(s->w.stores[k], NULL); p != NULL; p = store_next(s->w.stores[k], p))
            total++;
    for (int32_t i = 0; i < PARTITIONS; i++) total -= s->made[i];
    ASSERT_EQ(total, 0); /* nowhere twice */
    free(r);
    free(want);
}

static unsigned journals(struct story *s)
{
    unsigned n = 0;
    uint64_t size;
    for (unsigned i = 0; i < 8; i++) {
        char path[64];
        snprintf(path, sizeof path, "/data/journal-%03u/control", i);
        n += sim_file_size(s->w.machine, path, &size) == STATUS_OK;
    }
    return n;
}

static void begin(struct story *s, uint64_t seed)
{
    memset(s, 0, sizeof *s);
    world_init(&s->w, seed, &(struct sim_machine_config){.names = seed % 3 == 0 ? SIM_WEAK_POSIX : SIM_EXT4_ORDERED});
    s->w.config.segment_bytes = 150 << 10;
    s->w.config.journal_bytes = s->w.config.journal_first_bytes;
    s->next_tag = 1;
}

/* 4 -> 2 -> 4 and others, clean stops and crashes, starts cut off anywhere. */
static void run(struct story *s, uint64_t seed)
{
    static const uint32_t counts[] = {4, 2, 4, 1, 3, 4, 2};
    begin(s, seed);
    for (unsigned round = 0; round < COUNT_OF(counts); round++) {
        uint32_t shards = counts[round];
        for (uint64_t cuts = round == 0 ? 0 : pick(s, 5); cuts > 0; cuts--) {
            uint32_t of_cut = pick(s, 4) == 0 ? 1 + (uint32_t)pick(s, 4) : shards;
            s->moved_boots += boot_and_cut(s, of_cut, 20 + pick(s, 700));
            s->cut_boots++;
        }
        ASSERT_EQ(world_boot(&s->w, shards), STATUS_OK);
        ASSERT_EQ(journals(s), shards);
        expect(s);
        use(s);
        if (pick(s, 3) == 0) {
            ASSERT_EQ(world_stop(&s->w), STATUS_OK);
        } else {
            world_crash(&s->w, pick(s, 2) == 0 ? SIM_KILL : SIM_POWER);
        }
    }
    ASSERT_EQ(world_boot(&s->w, 3), STATUS_OK);
    expect(s);
    ASSERT_EQ(world_stop(&s->w), STATUS_OK);
    world_deinit(&s->w);
}

static void random_points(void)
{
    struct story *s = malloc(sizeof *s);
    unsigned cut = 0, up = 0;
    for (uint64_t seed = 1; seed <= 24; seed++) {
        run(s, seed);
        cut += s->cut_boots;
        up += s->moved_boots;
    }
    ASSERT(cut - up > 60); /* cut off before they were up */
    free(s);
}

/* Every event of one re-homing. */
static void every_step(void)
{
    struct story *s = malloc(sizeof *s);
    bool up = false;
    begin(s, 77);
    ASSERT_EQ(world_boot(&s->w, 4), STATUS_OK);
    use(s);
    use(s);
    world_crash(&s->w, SIM_POWER);
    for (uint64_t steps = 10; !up; steps += 7) {
        up = boot_and_cut(s, 2, steps);
        if (steps % 10 == 0) {
            ASSERT_EQ(world_boot(&s->w, 4), STATUS_OK); /* back, and with other records */
            expect(s);
            use(s);
            world_crash(&s->w, SIM_KILL);
        }
    }
    ASSERT_EQ(world_boot(&s->w, 2), STATUS_OK);
    ASSERT_EQ(journals(s), 2);
    expect(s);
    ASSERT_EQ(world_stop(&s->w), STATUS_OK);
    world_deinit(&s->w);
    free(s);
}

/* What is to be moved finds no space: the start says so instead of waiting for ever; with room it goes on. */
static void on_a_full_disk(void)
{
    struct story *s = calloc(1, sizeof *s);
    const char *error;
    begin(s, 91);
    ASSERT_EQ(world_boot(&s->w, 4), STATUS_OK);
    for (int32_t i = 0; i < PARTITIONS; i++) s->made[i] = world_create(&s->w, "t", i) != NULL;
    for (int32_t i = 0; i < PARTITIONS; i++) append_some(s, i, 5); /* too little to have moved yet */
    world_crash(&s->w, SIM_KILL);
    sim_fault_add(s->w.machine, &(struct sim_fault_rule){.fault = SIM_FAULT_NO_SPACE,
                                                         .kinds = 1ull << IO_WRITE | 1ull << IO_ALLOCATE,
                                                         .path = "*.log",
                                                         .nth = 1,
                                                         .count = UINT64_MAX});
    ASSERT_EQ(world_boot(&s->w, 2), STATUS_NO_SPACE);
    (void)world_open_status(&s->w, &error);
    ASSERT(strstr(error, "make room") != NULL && strstr(error, "as many shards") != NULL);
    world_crash(&s->w, SIM_POWER);
    ASSERT_EQ(world_boot(&s->w, 4), STATUS_OK); /* as many as before */
    expect(s);
    world_crash(&s->w, SIM_POWER);
    sim_fault_clear(s->w.machine);
    ASSERT_EQ(world_boot(&s->w, 2), STATUS_OK);
    ASSERT_EQ(journals(s), 2);
    expect(s);
    ASSERT_EQ(world_stop(&s->w), STATUS_OK);
    world_deinit(&s->w);
    free(s);
}

TEST_MAIN("A4 re-homing", {"4, 2, 4 shards with crashes at random points", random_points},
          {"a crash every few events of one re-homing", every_step}, {"A10 re-homing on a full disk", on_a_full_disk})

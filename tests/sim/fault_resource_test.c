// SPDX-License-Identifier: Apache-2.0
/* Rows R5, R9 and B22 of the fault catalogue (docs/faults.md) for the store: memory that runs out at any allocation,
 * many segments, any bytes at rest. Each case is named after its row. */
#include "base/bytes.h"
#include "base/prng.h"
#include "storage/store_impl.h"
#include "tests/sim/story.h"
#include "tests/unit/check_main.h"
#include <stdio.h>
#include <stdlib.h>

static struct story s;
static struct prng rng;

/* --- R5: each allocation fails once --- */

enum { ALLOCATIONS = 7 };

static bool is_shortage(enum status status)
{
    return status == STATUS_NO_MEMORY || status == STATUS_BUSY;
}

/* Was the failure that was asked for used up? If not it comes to one of these, and is asked for again. */
static bool has_failed(struct mem *m)
{
    for (uint64_t left = 1; left <= ALLOCATIONS; left++) {
        void *p = mem_alloc(m, MEM_LOG, 64);
        if (p == NULL) {
            mem_fail_nth(m, left);
            return false;
        }
        mem_free(m, MEM_LOG, p, 64);
    }
    return true;
}

/* An append, and after it the same append if it was refused: nothing is half done, nothing is lost. The n-th allocation
 * from each of these appends on fails; small and large ones, a roll and a checkpoint among them. */
static void r5_memory_runs_out_anywhere(void)
{
    story_begin(&s, 5, NULL);
    s.w.config.segment_bytes = 200 << 10;
    story_again(&s, SIM_KILL);
    unsigned hit = 0;
    for (uint64_t n = 1; n <= 240; n++) {
        struct mem *m = sim_env(s.w.machine, 0)->mem;
        int64_t end = partition_log_end(s.p);
        mem_fail_nth(m, n % ALLOCATIONS + 1);
        enum status status = story_append(&s, (uint64_t)end, n % 3 == 0 ? 90000 : 700);
        ASSERT(status == STATUS_OK || is_shortage(status));
        hit += has_failed(m);
        if (n % 10 == 0) (void)world_checkpoint(&s.w);
        struct partition_read *r = calloc(1, sizeof *r);
        enum status read = world_read(&s.w, s.p, 0, 1 << 20, r);
        ASSERT(read == STATUS_OK || is_shortage(read));
        if (read == STATUS_OK) partition_read_release(r);
        free(r);
        mem_fail_nth(m, 0);
        if (status != STATUS_OK) {
            ASSERT_EQ(partition_log_end(s.p), end);
            ASSERT_EQ(story_append(&s, (uint64_t)end, 700), STATUS_OK);
        }
        ASSERT_EQ(partition_log_end(s.p), end + 1);
        if (n % 15 == 0) story_again(&s, SIM_POWER);
    }
    ASSERT(hit > 100); /* appends whose allocation failed */
    ASSERT_EQ(partition_log_end(s.p), 240);
    story_expect_all(&s, 0);
    story_end(&s);
}

/* --- R9: a start does not depend on how many segments there are --- */

static struct {
    struct sim_watch watch;
    unsigned ops, of_segments;
} seen;

static void see(struct sim_watch *w, enum io_kind kind, const char *path, bool begins, enum status status)
{
    (void)w, (void)kind, (void)status;
    if (!begins) return;
    seen.ops++;
    seen.of_segments += strstr(path, ".log") != NULL || strstr(path, ".lidx") != NULL;
}

/* Ops of a start with so many segments. */
static unsigned start_ops(uint64_t seed, uint32_t segments)
{
    story_begin(&s, seed, NULL);
    s.w.config.segment_bytes = 100 << 10;
    story_again(&s, SIM_KILL);
    while (s.p->segment_count < segments) story_append_some(&s, 1, 70000);
    ASSERT_EQ(world_checkpoint(&s.w), STATUS_OK);
    ASSERT_EQ(world_checkpoint(&s.w), STATUS_OK);
    world_crash(&s.w, SIM_KILL);
    seen.ops = seen.of_segments = 0;
    seen.watch.op = see;
    sim_watch(s.w.machine, &seen.watch);
    ASSERT_EQ(world_boot(&s.w, 1), STATUS_OK);
    unsigned ops = seen.ops;
    ASSERT(seen.of_segments <= 4); /* the active one's */
    sim_watch(s.w.machine, NULL);
    story_again(&s, SIM_KILL);
    ASSERT(s.p->segment_count >= segments);
    story_expect_all(&s, 0);
    story_end(&s);
    return ops;
}

static void r9_many_segments(void)
{
    unsigned few = start_ops(91, 4), many = start_ops(92, 150);
    ASSERT(many <= few + 20);
}

/* --- B22: any bytes at rest --- */

enum { FILES_MAX = 64 };
static char paths[FILES_MAX][300];
static uint32_t path_count;

static void list_files(const char *name, bool is_dir, void *arg)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", (const char *)arg, name);
    if (is_dir) {
        ASSERT_EQ(sim_file_list(s.w.machine, path, list_files, path), STATUS_OK);
        return;
    }
    ASSERT(path_count < FILES_MAX);
    memcpy(paths[path_count++], path, sizeof path);
}

static void overwrite(void)
{
    char root[] = "/data";
    uint8_t bytes[3000];
    uint64_t size = 0;
    path_count = 0;
    ASSERT_EQ(sim_file_list(s.w.machine, root, list_files, root), STATUS_OK);
    const char *path = paths[prng_below(&rng, path_count)];
    ASSERT_EQ(sim_file_size(s.w.machine, path, &size), STATUS_OK);
    if (size == 0) return;
    uint32_t len = 1 + (uint32_t)prng_below(&rng, sizeof bytes);
    for (uint32_t i = 0; i < len; i++) bytes[i] = (uint8_t)prng_next(&rng);
    ASSERT_EQ(sim_file_write(s.w.machine, path, prng_below(&rng, size), bytes, len), STATUS_OK);
}

struct verdict {
    enum status start, partition;
    int64_t log_start, end, damaged;
};

/* How a start sees it, and what can be read. A refused one has ended by itself. */
static struct verdict judge(void)
{
    enum sim_kill how = sim_running(s.w.machine) ? SIM_KILL : SIM_POWER;
    struct verdict v = {.start = STATUS_OK};
    const char *error = NULL;
    v.start = story_restart(&s, how, &error);
    if (v.start != STATUS_OK) {
        ASSERT(error != NULL && error[0] != '\0');
        return v;
    }
    s.p = world_find(&s.w, "t", 0);
    if (s.p == NULL) return v;
    v.partition = partition_status(s.p);
    v.log_start = partition_log_start(s.p);
    v.end = partition_high_watermark(s.p);
    v.damaged = story_judge(&s, v.log_start, v.end);
    return v;
}

/* A start ends, says what it dropped or refuses with a sentence; the second start says the same. */
static void b22_a_second_recovery_changes_nothing(void)
{
    unsigned refused = 0, damaged = 0;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        prng_seed(&rng, seed, 22);
        story_begin(&s, seed, NULL);
        s.w.config.segment_bytes = 200 << 10;
        story_again(&s, SIM_KILL);
        story_append_some(&s, 12, 30000);
        ASSERT_EQ(world_checkpoint(&s.w), STATUS_OK);
        story_append_some(&s, 6, 30000);
        world_crash(&s.w, seed % 2 == 0 ? SIM_KILL : SIM_POWER);
        overwrite();
        struct verdict first = judge(), second = judge();
        if (memcmp(&first, &second, sizeof first) != 0)
            fprintf(stderr, "seed %llu: start %d %d partition %d %d start %lld %lld end %lld %lld damaged %lld %lld\n",
                    (unsigned long long)seed, first.start, second.start, first.partition, second.partition,
                    (long long)first.log_start, (long long)second.log_start, (long long)first.end,
                    (long long)second.end, (long long)first.damaged, (long long)second.damaged);
        ASSERT_EQ(second.start, first.start);
        ASSERT_EQ(second.partition, first.partition);
        ASSERT_EQ(second.log_start, first.log_start);
        ASSERT_EQ(second.end, first.end);
        ASSERT_EQ(second.damaged, first.damaged);
        refused += first.start != STATUS_OK;
        damaged += first.damaged > 0 || first.partition != STATUS_OK;
        world_deinit(&s.w);
    }
    ASSERT(refused + damaged > 5);
}

TEST_MAIN("resource faults", {"R5 memory runs out anywhere", r5_memory_runs_out_anywhere},
          {"R9 many segments", r9_many_segments},
          {"B22 a second recovery changes nothing", b22_a_second_recovery_changes_nothing})

// SPDX-License-Identifier: Apache-2.0
/* Stories of deletion (rule A6): a topic is deleted and another made under its name, with crashes at every point; what
 * is deleted lies complete in the trash, what is there is never mixed with it. Also A10: the trash gives way. */
#include "tests/sim/store_world.h"
#include "tests/unit/check_main.h"
#include <stdio.h>
#include <stdlib.h>

#define VALUE_BYTES 9000
#define SHARDS      2
#define BATCH_MAX   (64 << 10)

static struct topic_id generation_id(uint32_t generation)
{
    struct topic_id id = {{7, (uint8_t)generation, (uint8_t)(generation >> 8), (uint8_t)(generation * 37), 1}};
    return id;
}

static struct store *owner(struct store_world *w, uint32_t generation)
{
    return w->stores[partition_shard(generation_id(generation), 0, SHARDS)];
}

struct answer {
    bool done;
    enum status status;
};

static bool answered(void *arg)
{
    return ((struct answer *)arg)->done;
}

static struct answer created_answer, deleted_answer;

static void created(struct partition_create *op)
{
    created_answer = (struct answer){.done = true, .status = op->status};
}

static void deleted(struct partition_delete *op)
{
    deleted_answer = (struct answer){.done = true, .status = op->status};
}

static struct partition *create(struct store_world *w, uint32_t generation)
{
    struct partition_create op = {.done = created};
    created_answer.done = false;
    partition_create(owner(w, generation), "same", generation_id(generation), 0, &op);
    ASSERT(sim_run_while_not(w->sim, answered, &created_answer, sim_now(w->sim) + 60 * NS_PER_S));
    return created_answer.status == STATUS_OK ? op.partition : NULL;
}

static struct partition *find(struct store_world *w, uint32_t generation)
{
    return store_find(owner(w, generation), generation_id(generation), 0);
}

static struct partition_delete deletion; /* outlives the process that began it */

static void delete_begin(struct partition *p)
{
    deletion = (struct partition_delete){.done = deleted};
    deleted_answer.done = false;
    partition_delete(p, &deletion);
}

static enum status delete_end(struct store_world *w)
{
    ASSERT(sim_run_while_not(w->sim, answered, &deleted_answer, sim_now(w->sim) + 600 * NS_PER_S));
    return deleted_answer.status;
}

static struct world_batch batch_of(uint32_t generation, int64_t n)
{
    return (struct world_batch){.records = 1, .value_bytes = VALUE_BYTES, .tag = (uint64_t)n + 1000000ull * generation};
}

static void append_some(struct store_world *w, struct partition *p, uint32_t generation, int64_t from, int64_t to)
{
    for (int64_t i = from; i < to; i++) {
        struct world_batch b = batch_of(generation, i);
        int64_t offset;
        ASSERT_EQ(world_append(w, p, &b, &offset), STATUS_OK);
        ASSERT_EQ(offset, i);
    }
}

static void expect_all(struct store_world *w, struct partition *p, uint32_t generation, int64_t end)
{
    uint8_t *want = malloc(BATCH_MAX);
    struct partition_read *r = calloc(1, sizeof *r);
    ASSERT_EQ(partition_log_end(p), end);
    for (int64_t next = 0; next < end; next++) {
        struct world_batch b = batch_of(generation, next);
        uint32_t len = world_batch_make(&b, want, BATCH_MAX);
        ASSERT_EQ(world_read(w, p, next, 1, r), STATUS_OK);
        ASSERT_EQ(r->bytes, len);
        ASSERT(memcmp(slice_data(r->slices[0]) + 16, want + 16, len - 16) == 0);
        partition_read_release(r);
    }
    free(r);
    free(want);
}

struct counting {
    struct sim_machine *machine;
    const char *dir;
    unsigned entries, complete;
};

/* In the trash: metadata, state, and a log of whole batches that ends where the file ends. */
static void count_entry(const char *name, bool is_dir, void *arg)
{
    struct counting *c = arg;
    char path[300];
    uint64_t size, state, batch_bytes;
    uint8_t *batch = malloc(BATCH_MAX);
    struct world_batch b = batch_of(1, 0);
    batch_bytes = world_batch_make(&b, batch, BATCH_MAX);
    free(batch);
    c->entries++;
    snprintf(path, sizeof path, "%s/%s/partition.state", c->dir, name);
    bool whole = is_dir && sim_file_size(c->machine, path, &state) == STATUS_OK && state >= 4096;
    snprintf(path, sizeof path, "%s/%s/%020d.log", c->dir, name, 0);
    whole = whole && sim_file_size(c->machine, path, &size) == STATUS_OK && size % batch_bytes == 0;
    c->complete += whole;
}

static unsigned trash_count(struct store_world *w, unsigned *ret_complete)
{
    struct counting c = {.machine = w->machine, .dir = "/data/trash"};
    ASSERT_EQ(sim_file_list(w->machine, c.dir, count_entry, &c), STATUS_OK);
    *ret_complete = c.complete;
    return c.entries;
}

/* One generation after the other under one name, each deletion cut off a few events later than the one before. */
static void crash_at_every_step(enum sim_names names)
{
    struct store_world w;
    uint32_t gone_early = 0, still_there = 0;
    world_init(&w, 21, &(struct sim_machine_config){.names = names});
    ASSERT_EQ(world_boot(&w, SHARDS), STATUS_OK);
    for (uint32_t g = 1; g <= 90; g++) {
        struct partition *p = create(&w, g);
        ASSERT(p != NULL);
        int64_t end = 1 + g % 23;
        append_some(&w, p, g, 0, end); /* the last ones are still on their way to the segment */
        delete_begin(p);
        for (uint32_t i = 0; i < g * 2 && !deleted_answer.done; i++) CHECK(sim_step(w.sim));
        bool done = deleted_answer.done;
        world_crash(&w, g % 2 == 0 ? SIM_POWER : SIM_KILL);
        ASSERT_EQ(world_boot(&w, SHARDS), STATUS_OK);
        p = find(&w, g);
        ASSERT(!done || p == NULL);
        gone_early += !done && p == NULL;
        still_there += p != NULL;
        if (p != NULL) {
            expect_all(&w, p, g, end);
            delete_begin(p);
            ASSERT_EQ(delete_end(&w), STATUS_OK);
            ASSERT(find(&w, g) == NULL);
        }
        if (g > 1) ASSERT(find(&w, g - 1) == NULL);
        unsigned complete, entries = trash_count(&w, &complete);
        /* weak names: the halves of a rename between two directories are cut apart, the entry is there twice or not */
        ASSERT(names == SIM_WEAK_POSIX ? entries + 3 >= g && entries <= g + 3 : entries == g);
        ASSERT_EQ(complete, entries);
    }
    ASSERT(still_there > 5);
    ASSERT(gone_early > 2);
    ASSERT_EQ(world_stop(&w), STATUS_OK);
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

/* The new topic is used at once, its files are its own, also when the old deletion is replayed. */
static void made_again_under_one_name(void)
{
    struct store_world w;
    world_init(&w, 22, NULL);
    ASSERT_EQ(world_boot(&w, SHARDS), STATUS_OK);
    struct partition *p = create(&w, 1);
    for (uint32_t g = 1; g < 25; g++) {
        append_some(&w, p, g, 0, 20);
        delete_begin(p);
        ASSERT_EQ(delete_end(&w), STATUS_OK);
        p = create(&w, g + 1);
        append_some(&w, p, g + 1, 0, 60); /* enough to move */
        world_crash(&w, g % 2 == 0 ? SIM_POWER : SIM_KILL);
        ASSERT_EQ(world_boot(&w, SHARDS), STATUS_OK);
        ASSERT(find(&w, g) == NULL);
        p = find(&w, g + 1);
        ASSERT(p != NULL);
        expect_all(&w, p, g + 1, 60);
        delete_begin(p);
        ASSERT_EQ(delete_end(&w), STATUS_OK);
        ASSERT(create(&w, g + 1) != NULL); /* the same id once more */
        p = find(&w, g + 1);
        ASSERT_EQ(partition_log_end(p), 0);
    }
    ASSERT_EQ(world_stop(&w), STATUS_OK);
    ASSERT_EQ(world_boot(&w, SHARDS), STATUS_OK);
    world_deinit(&w);
}

/* A clean stop that comes while a deletion runs, and refusals. */
static void refused_and_stopped(void)
{
    struct store_world w;
    world_init(&w, 23, NULL);
    ASSERT_EQ(world_boot(&w, SHARDS), STATUS_OK);
    struct partition *p = create(&w, 1);
    append_some(&w, p, 1, 0, 30);
    delete_begin(p);
    struct world_batch b = batch_of(1, 30);
    ASSERT_EQ(world_append(&w, p, &b, NULL), STATUS_NOT_LEADER);
    ASSERT_EQ(world_stop(&w), STATUS_OK);
    ASSERT(deleted_answer.done);
    ASSERT_EQ(world_boot(&w, SHARDS), STATUS_OK);
    p = find(&w, 1);
    ASSERT((p == NULL) == (deleted_answer.status == STATUS_OK));
    ASSERT_EQ(world_stop(&w), STATUS_OK);
    world_deinit(&w);
}

/* Rule A10: below the reserve it goes at once, oldest first; else after its time. */
static void trash_gives_way(void)
{
    struct store_world w;
    unsigned complete;
    world_init(&w, 24, NULL);
    w.config.undelete_ms = 60 * 1000;
    ASSERT_EQ(world_boot(&w, SHARDS), STATUS_OK);
    for (uint32_t g = 1; g <= 3; g++) {
        struct partition *p = create(&w, g);
        append_some(&w, p, g, 0, 10);
        delete_begin(p);
        ASSERT_EQ(delete_end(&w), STATUS_OK);
        world_pass(&w, 20 * NS_PER_S);
    }
    ASSERT_EQ(trash_count(&w, &complete), 3);
    world_pass(&w, 11 * NS_PER_S);
    ASSERT_EQ(trash_count(&w, &complete), 2); /* the first one's minute is over */
    sim_disk_capacity(w.machine, sim_disk_used(w.machine) + (256 << 10));
    world_pass(&w, 8 * NS_PER_S);
    ASSERT_EQ(trash_count(&w, &complete), 0);
    world_deinit(&w);
}

TEST_MAIN("A6 deletion", {"a crash at every step, ordered names", crash_with_ordered_names},
          {"a crash at every step, weak names", crash_with_weak_names},
          {"made again under one name", made_again_under_one_name}, {"refused, stopped", refused_and_stopped},
          {"A10 the trash gives way", trash_gives_way})

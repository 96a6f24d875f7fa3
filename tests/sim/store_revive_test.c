// SPDX-License-Identifier: Apache-2.0
/* Stories of undelete: what was deleted comes back out of the trash as it was, whenever the power goes; what nobody
 * mentions goes to the quarantine and nowhere else. */
#include "base/bytes.h"
#include "storage/bury.h"
#include "storage/kept_name.h"
#include "storage/store_impl.h"
#include "tests/sim/store_world.h"
#include "tests/unit/check_main.h"
#include <stdio.h>
#include <stdlib.h>

#define VALUE_BYTES 9000
#define BATCH_MAX   (64 << 10)
#define PRODUCER    77

static struct store_world w;

struct answer {
    bool done;
    enum status status;
};

static struct answer revived_answer, deleted_answer, listed_answer;
static struct partition_revive revival; /* these outlive the process that began them */
static struct partition_delete deletion;
static struct store_list listing;

static bool answered(void *arg)
{
    return ((struct answer *)arg)->done;
}

static void revived(struct partition_revive *op)
{
    revived_answer = (struct answer){.done = true, .status = op->status};
}

static void deleted(struct partition_delete *op)
{
    deleted_answer = (struct answer){.done = true, .status = op->status};
}

static void listed(struct store_list *op)
{
    listed_answer = (struct answer){.done = true, .status = op->status};
}

static void wait_for(struct answer *a)
{
    ASSERT(sim_run_while_not(w.sim, answered, a, sim_now(w.sim) + 600 * NS_PER_S));
}

static void revive_begin(void)
{
    revival = (struct partition_revive){.done = revived};
    revived_answer.done = false;
    partition_revive(world_store(&w, "t", 0), "t", world_topic_id("t"), 0, &revival);
}

static enum status revive(void)
{
    revive_begin();
    wait_for(&revived_answer);
    ASSERT((revival.partition != NULL) == (revived_answer.status == STATUS_OK));
    return revived_answer.status;
}

static void delete_begin(enum store_folder to)
{
    deletion = (struct partition_delete){.done = deleted, .to = to};
    deleted_answer.done = false;
    partition_delete(world_find(&w, "t", 0), &deletion);
}

static enum status remove_it(enum store_folder to)
{
    delete_begin(to);
    wait_for(&deleted_answer);
    return deleted_answer.status;
}

/* The one entry of a folder; how many there are. */
static uint32_t list(enum store_folder folder, struct kept *ret_last)
{
    uint32_t count = 0, pos = 0;
    const char *name;
    listing = (struct store_list){.done = listed};
    listed_answer.done = false;
    store_list(w.stores[0], folder, &listing);
    wait_for(&listed_answer);
    ASSERT_EQ(listed_answer.status, STATUS_OK);
    while (store_list_next(&listing, &pos, &name, ret_last)) {
        ASSERT(name[0] != '\0');
        count++;
    }
    store_list_free(w.stores[0], &listing);
    return count;
}

static struct world_batch batch_of(int64_t n)
{
    return (struct world_batch){.records = 1,
                                .value_bytes = VALUE_BYTES,
                                .tag = (uint64_t)n,
                                .has_producer = true,
                                .producer_id = PRODUCER,
                                .sequence = (int32_t)n};
}

static void append_some(int64_t to)
{
    struct partition *p = world_find(&w, "t", 0);
    for (int64_t i = partition_log_end(p); i < to; i++) {
        struct world_batch b = batch_of(i);
        int64_t offset;
        ASSERT_EQ(world_append(&w, p, &b, &offset), STATUS_OK);
        ASSERT_EQ(offset, i);
    }
}

/* The records, and what else a partition knows. */
static void expect_all(int64_t end, int32_t epoch)
{
    static uint8_t want[BATCH_MAX];
    static struct partition_read r;
    struct partition *p = world_find(&w, "t", 0);
    int64_t first;
    ASSERT(p != NULL);
    ASSERT_EQ(partition_log_end(p), end);
    ASSERT_EQ(partition_high_watermark(p), end);
    ASSERT_EQ(partition_epoch(p), epoch);
    if (epoch > 0) ASSERT_EQ(partition_epoch_of(p, 4), 0);
    if (epoch > 0) ASSERT_EQ(partition_epoch_of(p, 5), epoch);
    for (int64_t next = 0; next < end; next++) {
        struct world_batch b = batch_of(next);
        uint32_t len = world_batch_make(&b, want, BATCH_MAX);
        ASSERT_EQ(world_read(&w, p, next, 1, &r), STATUS_OK);
        ASSERT_EQ(r.bytes, len);
        ASSERT(memcmp(slice_data(r.slices[0]) + 16, want + 16, len - 16) == 0);
        partition_read_release(&r);
    }
    struct world_batch last = batch_of(end - 1); /* once more: its producer is remembered */
    ASSERT_EQ(world_append(&w, p, &last, &first), STATUS_OK);
    ASSERT_EQ(first, end - 1);
    ASSERT_EQ(partition_log_end(p), end);
}

static void begin(uint64_t seed, uint32_t shards)
{
    world_init(&w, seed, NULL);
    ASSERT_EQ(world_boot(&w, shards), STATUS_OK);
    ASSERT(world_create(&w, "t", 0) != NULL);
    append_some(5);
    ASSERT_EQ(world_epoch(&w, world_find(&w, "t", 0), 3), STATUS_OK);
}

static void end(void)
{
    ASSERT_EQ(world_stop(&w), STATUS_OK);
    world_deinit(&w);
}

/* Records, offsets, epochs, producers; then it goes on, is deleted again, and comes back again. */
static void comes_back_as_it_was(void)
{
    struct kept k;
    begin(1, 2);
    for (int64_t life = 1; life <= 3; life++) {
        append_some(50 * life);
        ASSERT_EQ(remove_it(STORE_TRASH), STATUS_OK);
        ASSERT(world_find(&w, "t", 0) == NULL);
        ASSERT_EQ(list(STORE_TRASH, &k), 1);
        ASSERT(topic_id_compare(k.id, world_topic_id("t")) == 0);
        ASSERT_EQ(k.number, 0);
        ASSERT(k.since_ms >= WORLD_TIME_MS && k.creation >= (uint64_t)life);
        if (life == 2) ASSERT_EQ(world_stop(&w), STATUS_OK);
        if (life == 2) ASSERT_EQ(world_boot(&w, 2), STATUS_OK);
        ASSERT_EQ(revive(), STATUS_OK);
        ASSERT_EQ(revive(), STATUS_EXISTS);
        expect_all(50 * life, 3);
        ASSERT_EQ(list(STORE_TRASH, &k), 0);
        world_crash(&w, life % 2 == 0 ? SIM_KILL : SIM_POWER);
        ASSERT_EQ(world_boot(&w, 2), STATUS_OK);
        expect_all(50 * life, 3);
    }
    ASSERT_EQ(list(STORE_QUARANTINE, &k), 0);
    end();
}

/* The power goes at every event of a revival: it is there, or the next call brings it back. */
static void crash_at_every_step(void)
{
    uint32_t there = 0, again = 0;
    begin(2, 2);
    append_some(30);
    for (uint32_t steps = 0, overs = 0; overs < 5; steps++) {
        ASSERT_EQ(remove_it(STORE_TRASH), STATUS_OK);
        revive_begin();
        for (uint32_t i = 0; i < steps && !revived_answer.done; i++) CHECK(sim_step(w.sim));
        bool done = revived_answer.done;
        overs += done;
        world_crash(&w, steps % 2 == 0 ? SIM_POWER : SIM_KILL);
        ASSERT_EQ(world_boot(&w, 2), STATUS_OK);
        bool is = world_find(&w, "t", 0) != NULL;
        ASSERT(!done || is);
        there += is && !done;
        again += !is;
        if (!is) ASSERT_EQ(revive(), STATUS_OK);
        expect_all(30, 3);
        if (steps % 8 == 0) world_crash(&w, SIM_POWER);
        if (steps % 8 == 0) ASSERT_EQ(world_boot(&w, 2), STATUS_OK);
        if (steps % 8 == 0) expect_all(30, 3);
    }
    ASSERT(again > 30 && there > 0);
    end();
}

/* Its deletion is still in the journal of its old shard when it lives in another one; the replay leaves it alone. */
static void another_shard_count(void)
{
    static const uint32_t counts[] = {3, 1, 2, 4, 1, 3};
    begin(3, 2);
    append_some(30);
    for (size_t i = 0; i < COUNT_OF(counts); i++) {
        ASSERT_EQ(remove_it(STORE_TRASH), STATUS_OK);
        world_crash(&w, SIM_POWER);
        ASSERT_EQ(world_boot(&w, counts[i]), STATUS_OK);
        ASSERT(world_find(&w, "t", 0) == NULL);
        ASSERT_EQ(revive(), STATUS_OK);
        expect_all(30, 3);
        world_crash(&w, SIM_POWER);
        ASSERT_EQ(world_boot(&w, counts[i]), STATUS_OK);
        expect_all(30, 3);
    }
    end();
}

/* A replay that begins before the deletion, of the table before: what was revived has another creation sequence. */
static void a_replayed_deletion_spares_it(void)
{
    begin(4, 1);
    append_some(30);
    struct sim_disk_image *image;
    ASSERT_EQ(remove_it(STORE_TRASH), STATUS_OK);
    image = sim_disk_snapshot(w.machine);
    ASSERT_EQ(revive(), STATUS_OK);
    uint64_t creation = world_find(&w, "t", 0)->creation;
    world_crash(&w, SIM_POWER);
    sim_disk_restore(w.machine, image); /* deleted again, as of then */
    ASSERT_EQ(world_boot(&w, 1), STATUS_OK);
    ASSERT(world_find(&w, "t", 0) == NULL);
    ASSERT_EQ(revive(), STATUS_OK);
    ASSERT(creation >= 2 && world_find(&w, "t", 0)->creation >= 2);
    expect_all(30, 3);
    sim_disk_image_free(image);
    end();
}

/* Gone for good after its time; held, it stays; another topic has taken the place of its directory meanwhile. */
static void when_it_is_gone(void)
{
    struct kept k;
    begin(5, 1);
    ASSERT_EQ(revive(), STATUS_EXISTS);
    append_some(20);
    ASSERT_EQ(remove_it(STORE_TRASH), STATUS_OK);
    store_trash_hold(w.stores[0]);
    world_pass(&w, (int64_t)w.config.undelete_ms * NS_PER_MS + 60 * NS_PER_S);
    ASSERT_EQ(list(STORE_TRASH, &k), 1);
    ASSERT_EQ(revive(), STATUS_OK);
    expect_all(20, 3);
    ASSERT_EQ(remove_it(STORE_TRASH), STATUS_OK);
    store_trash_release(w.stores[0]);
    world_pass(&w, (int64_t)w.config.undelete_ms * NS_PER_MS + 60 * NS_PER_S);
    ASSERT_EQ(list(STORE_TRASH, &k), 0);
    ASSERT_EQ(revive(), STATUS_NOT_FOUND);
    ASSERT(world_find(&w, "t", 0) == NULL);
    end();
}

/* A directory of that name that is not its own goes to the quarantine, with metadata or without. */
static void something_in_its_place(void)
{
    struct kept k;
    uint8_t page[4096] = {1};
    begin(6, 1);
    append_some(20);
    for (int with_metadata = 0; with_metadata < 2; with_metadata++) {
        ASSERT_EQ(remove_it(STORE_TRASH), STATUS_OK);
        world_crash(&w, SIM_KILL);
        const char *path = with_metadata ? "/data/t-0/partition.metadata" : "/data/t-0/something";
        ASSERT_EQ(sim_file_write(w.machine, path, 0, page, sizeof page), STATUS_OK);
        ASSERT_EQ(world_boot(&w, 1), STATUS_OK);
        ASSERT_EQ(revive(), STATUS_OK);
        expect_all(20, 3);
        ASSERT_EQ(list(STORE_QUARANTINE, &k), 1 + (uint32_t)with_metadata);
    }
    end();
}

static char state_path[300];

static void note_name(const char *name, bool is_dir, void *arg)
{
    (void)is_dir;
    snprintf(state_path, sizeof state_path, "/data/trash/%s/%s", name, (const char *)arg);
}

/* The power goes while the trash is being emptied: what is half gone does not come back, what is whole does. */
static void half_emptied(void)
{
    struct kept k;
    uint32_t back = 0, gone = 0;
    for (uint32_t steps = 0; steps < 60; steps++) {
        begin(400 + steps, 1);
        append_some(20);
        ASSERT_EQ(remove_it(STORE_TRASH), STATUS_OK);
        world_pass(&w, (int64_t)(w.config.undelete_ms - 50) * NS_PER_MS);
        while (trash_idle(w.stores[0]->trash)) CHECK(sim_step(w.sim));
        for (uint32_t i = 0; i < steps; i++) CHECK(sim_step(w.sim));
        world_crash(&w, steps % 2 == 0 ? SIM_POWER : SIM_KILL);
        w.config.undelete_ms *= 10;
        ASSERT_EQ(world_boot(&w, 1), STATUS_OK);
        enum status status = revive();
        ASSERT(status == STATUS_OK || status == STATUS_NOT_FOUND);
        if (status == STATUS_OK) expect_all(20, 3);
        back += status == STATUS_OK;
        gone += status == STATUS_NOT_FOUND && list(STORE_TRASH, &k) > 0;
        end();
    }
    ASSERT(back > 0 && gone > 0);
}

/* A replay that had to move bytes of a partition whose deletion it met later leaves a directory without a state, newer
 * than the whole one, in the trash; or in the partition's place. */
static void a_ghost(void)
{
    struct kept k;
    uint8_t page[4096];
    char dir[300], path[400];
    begin(8, 1);
    append_some(20);
    for (int in_place = 0; in_place < 2; in_place++) {
        ASSERT_EQ(remove_it(STORE_TRASH), STATUS_OK);
        ASSERT_EQ(list(STORE_TRASH, &k), 1 + (uint32_t)in_place);
        world_crash(&w, SIM_KILL);
        ASSERT_EQ(sim_file_list(w.machine, "/data/trash", note_name, "partition.metadata"), STATUS_OK);
        ASSERT_EQ(sim_file_read(w.machine, state_path, 0, page, sizeof page), STATUS_OK);
        k.since_ms += 1000;
        kept_name(dir, "t-0", &k);
        snprintf(path, sizeof path, in_place ? "/data/t-0/partition.metadata" : "/data/trash/%s/partition.metadata",
                 dir);
        ASSERT_EQ(sim_file_write(w.machine, path, 0, page, sizeof page), STATUS_OK);
        ASSERT_EQ(world_boot(&w, 1), STATUS_OK);
        ASSERT_EQ(revive(), STATUS_OK);
        expect_all(20, 3);
    }
    end();
}

/* What cannot be read is said, and taken back when it can be. */
static void damaged_state(void)
{
    uint8_t byte;
    begin(7, 1);
    append_some(20);
    ASSERT_EQ(remove_it(STORE_TRASH), STATUS_OK);
    world_crash(&w, SIM_KILL);
    ASSERT_EQ(sim_file_list(w.machine, "/data/trash", note_name, "partition.state"), STATUS_OK);
    ASSERT_EQ(sim_file_read(w.machine, state_path, 200, &byte, 1), STATUS_OK);
    byte ^= 4;
    ASSERT_EQ(sim_file_write(w.machine, state_path, 200, &byte, 1), STATUS_OK);
    for (int i = 0; i < 2; i++) {
        ASSERT_EQ(world_boot(&w, 1), STATUS_OK);
        ASSERT_EQ(revive(), STATUS_DAMAGED);
        ASSERT(world_find(&w, "t", 0) == NULL);
        ASSERT_EQ(world_stop(&w), STATUS_OK);
    }
    byte ^= 4;
    ASSERT_EQ(sim_file_write(w.machine, "/data/t-0/partition.state", 200, &byte, 1), STATUS_OK);
    ASSERT_EQ(world_boot(&w, 1), STATUS_OK);
    ASSERT_EQ(revive(), STATUS_OK);
    expect_all(20, 3);
    end();
}

/* Cut off anywhere, it is there, or complete in the quarantine; never in the trash, where time would take it. */
static void quarantine_with_crashes(void)
{
    struct kept k;
    uint32_t gone_early = 0;
    for (uint32_t steps = 0, done = 0; done < 2; steps += 5) {
        begin(100 + steps, 2);
        append_some(12);
        delete_begin(STORE_QUARANTINE);
        for (uint32_t i = 0; i < steps && !deleted_answer.done; i++) CHECK(sim_step(w.sim));
        done += deleted_answer.done;
        world_crash(&w, steps % 2 == 0 ? SIM_POWER : SIM_KILL);
        ASSERT_EQ(world_boot(&w, 2), STATUS_OK);
        bool is = world_find(&w, "t", 0) != NULL;
        gone_early += !is && !deleted_answer.done;
        ASSERT_EQ(list(STORE_TRASH, &k), 0);
        ASSERT_EQ(list(STORE_QUARANTINE, &k), is ? 0 : 1);
        if (is) expect_all(12, 3);
        if (!is) ASSERT(topic_id_compare(k.id, world_topic_id("t")) == 0);
        world_pass(&w, (int64_t)w.config.undelete_ms * NS_PER_MS + 60 * NS_PER_S);
        ASSERT_EQ(list(STORE_QUARANTINE, &k), is ? 0 : 1);
        ASSERT_EQ(revive(), is ? STATUS_EXISTS : STATUS_NOT_FOUND);
        end();
    }
    ASSERT(gone_early > 0);
}

/* A failed sync of names: the disk is fenced; the next start brings it back. */
static void failing_io(void)
{
    static const struct {
        enum io_kind kind;
        const char *path;
    } faults[] = {{IO_SYNC_DIR, "/data"},
                  {IO_SYNC_DIR, "/data/t-0"},
                  {IO_WRITE, "*/partition.metadata.new"},
                  {IO_READ, "*/partition.state"},
                  {IO_RENAME, "*"},
                  {IO_LIST, "/data/trash"},
                  {IO_OPEN, "*/partition.state"},
                  {IO_STAT, "*"},
                  {IO_WRITE, "*/table-*"},
                  {IO_READ, "*/partition.metadata"}};
    for (size_t i = 0; i < COUNT_OF(faults); i++) {
        begin(200 + i, 1);
        append_some(20);
        ASSERT_EQ(remove_it(STORE_TRASH), STATUS_OK);
        if (faults[i].kind == IO_READ && i == COUNT_OF(faults) - 1) {
            world_crash(&w, SIM_KILL); /* something to read in its place */
            uint8_t page[4096] = {1};
            ASSERT_EQ(sim_file_write(w.machine, "/data/t-0/partition.metadata", 0, page, sizeof page), STATUS_OK);
            ASSERT_EQ(world_boot(&w, 1), STATUS_OK);
        }
        sim_fault_add(w.machine,
                      &(struct sim_fault_rule){
                          .fault = SIM_FAULT_EIO, .kinds = 1ull << faults[i].kind, .path = faults[i].path, .nth = 1});
        enum status status = revive();
        ASSERT(status == STATUS_IO_ERROR || status == STATUS_FENCED);
        world_crash(&w, SIM_POWER);
        sim_fault_clear(w.machine);
        ASSERT_EQ(world_boot(&w, 1), STATUS_OK);
        if (world_find(&w, "t", 0) == NULL) ASSERT_EQ(revive(), STATUS_OK);
        expect_all(20, 3);
        end();
    }
}

/* The table cannot be written: said after a while; nothing is lost, and nothing waits for ever. */
static void no_space_for_the_table(void)
{
    begin(300, 1);
    append_some(20);
    ASSERT_EQ(remove_it(STORE_TRASH), STATUS_OK);
    sim_fault_add(w.machine, &(struct sim_fault_rule){.fault = SIM_FAULT_NO_SPACE,
                                                      .kinds = 1ull << IO_WRITE | 1ull << IO_ALLOCATE,
                                                      .path = "*/table-*",
                                                      .nth = 1,
                                                      .count = UINT64_MAX});
    ASSERT_EQ(revive(), STATUS_NO_SPACE);
    world_crash(&w, SIM_POWER);
    sim_fault_clear(w.machine);
    ASSERT_EQ(world_boot(&w, 1), STATUS_OK);
    ASSERT(world_find(&w, "t", 0) == NULL);
    ASSERT_EQ(revive(), STATUS_OK);
    expect_all(20, 3);
    end();
}

TEST_MAIN("undelete", {"comes back as it was", comes_back_as_it_was},
          {"a crash at every step of a revival", crash_at_every_step}, {"another shard count", another_shard_count},
          {"a disk rolled back to its deletion", a_replayed_deletion_spares_it}, {"when it is gone", when_it_is_gone},
          {"something in its place", something_in_its_place}, {"half emptied", half_emptied}, {"a ghost", a_ghost},
          {"damaged state", damaged_state}, {"D13 quarantine with crashes", quarantine_with_crashes},
          {"failing I/O", failing_io}, {"no space for the table", no_space_for_the_table})

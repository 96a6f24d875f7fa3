// SPDX-License-Identifier: Apache-2.0
/* The disk of the simulator keeps what was synced and only that. Each rule is tried over many seeds: "always" must hold
 * in each, "may" must be seen in at least one and be missing in at least one. */
#include "sim_world.h"

#define SEEDS 40
#define BLOCK 4096u

struct world {
    struct sim *sim;
    struct sim_machine *m;
    struct env *e;
};

static struct world world_create(uint64_t seed, const struct sim_machine_config *config)
{
    struct world w = {.sim = sim_create(&(struct sim_config){.seed = seed})};
    w.m = sim_machine_create(w.sim, "10.0.0.1", config);
    sim_boot(w.m, 1, idle_start, NULL);
    w.e = sim_env(w.m, 0);
    return w;
}

static void reboot(struct world *w, enum sim_kill how)
{
    sim_kill(w->m, how);
    sim_boot(w->m, 1, idle_start, NULL);
    w->e = sim_env(w->m, 0);
}

static const struct sim_machine_config strengths[] = {{.names = SIM_EXT4_ORDERED}, {.names = SIM_WEAK_POSIX}};

/* A durable file of n blocks of zeros, open. */
static int32_t zeroed_file(struct world *w, const char *path, uint32_t blocks, uint32_t flags)
{
    int32_t f = open_file(w->sim, w->e, path, flags | IO_CREATE);
    ASSERT_EQ(write_bytes(w->sim, w->e, f, 0, 0, blocks * BLOCK, 0), STATUS_OK);
    ASSERT_EQ(file_op(w->sim, w->e, IO_SYNC, f), STATUS_OK);
    ASSERT_EQ(path_op(w->sim, w->e, IO_SYNC_DIR, "/", NULL), STATUS_OK);
    return f;
}

static void synced_bytes_survive(void)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct world w = world_create(seed, &strengths[seed % 2]);
        int32_t f = open_file(w.sim, w.e, "/a", IO_CREATE | IO_DIRECT);
        ASSERT_EQ(write_bytes(w.sim, w.e, f, 0, 7, 4 * BLOCK, 0), STATUS_OK);
        ASSERT_EQ(file_op(w.sim, w.e, IO_DATASYNC, f), STATUS_OK);
        ASSERT_EQ(path_op(w.sim, w.e, IO_SYNC_DIR, "/", NULL), STATUS_OK);
        sim_kill(w.m, SIM_POWER);
        ASSERT_EQ(count_bytes(w.m, "/a", 4 * BLOCK, 7), 4 * BLOCK);
        sim_destroy(w.sim);
    }
}

static void dsync_write_survives_alone(void)
{
    int lost = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct world w = world_create(seed, &strengths[seed % 2]);
        int32_t f = zeroed_file(&w, "/a", 4, IO_DIRECT), g = zeroed_file(&w, "/b", 4, IO_DIRECT);
        ASSERT_EQ(write_bytes(w.sim, w.e, g, 0, 5, BLOCK, 0), STATUS_OK);
        ASSERT_EQ(write_bytes(w.sim, w.e, f, BLOCK, 7, BLOCK, IO_DSYNC), STATUS_OK);
        sim_kill(w.m, SIM_POWER);
        ASSERT_EQ(count_bytes(w.m, "/a", 4 * BLOCK, 7), BLOCK);
        lost += count_bytes(w.m, "/b", 4 * BLOCK, 5) < (int64_t)BLOCK;
        sim_destroy(w.sim);
    }
    ASSERT(lost > 0 && lost < SEEDS);
}

static void unsynced_bytes_are_kept_lost_or_torn(void)
{
    int kept = 0, lost = 0, mixed = 0, torn = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct world w = world_create(seed, &strengths[seed % 2]);
        int32_t f = zeroed_file(&w, "/a", 4, IO_DIRECT);
        ASSERT_EQ(write_bytes(w.sim, w.e, f, 0, 7, 4 * BLOCK, 0), STATUS_OK);
        ASSERT_EQ(count_bytes(w.m, "/a", 4 * BLOCK, 7), 4 * BLOCK); /* the cache has it */
        sim_kill(w.m, SIM_POWER);
        int64_t n = count_bytes(w.m, "/a", 4 * BLOCK, 7);
        ASSERT_EQ(count_bytes(w.m, "/a", 4 * BLOCK, 0) + n, 4 * BLOCK);
        kept += n == 4 * BLOCK;
        lost += n == 0;
        mixed += n > 0 && n < 4 * BLOCK;
        torn += n % 512 != 0;
        sim_destroy(w.sim);
    }
    ASSERT(kept > 0 && lost > 0 && mixed > 0 && torn > 0);
}

/* A flush for one file covers direct writes of others where the medium has room for them already: pre-zeroed journals
 * rely on it; growing and merely reserved files do not get it. */
static void flush_covers_direct_writes_in_place_only(void)
{
    int grown_lost = 0, reserved_lost = 0, cached_lost = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct world w = world_create(seed, &strengths[1]);
        int32_t f = zeroed_file(&w, "/journal", 4, IO_DIRECT), g = zeroed_file(&w, "/grows", 1, IO_DIRECT);
        int32_t c = zeroed_file(&w, "/cached", 4, 0), r = zeroed_file(&w, "/reserved", 1, IO_DIRECT);
        int32_t other = zeroed_file(&w, "/other", 1, 0);
        struct io_op reserve = {.kind = IO_ALLOCATE, .file = r, .pos = 0, .len = 4 * BLOCK};
        ASSERT_EQ(await(w.sim, w.e, &reserve), STATUS_OK);
        ASSERT_EQ(file_op(w.sim, w.e, IO_SYNC, r), STATUS_OK);
        ASSERT_EQ(write_bytes(w.sim, w.e, f, BLOCK, 7, BLOCK, 0), STATUS_OK);
        ASSERT_EQ(write_bytes(w.sim, w.e, g, BLOCK, 7, BLOCK, 0), STATUS_OK);
        ASSERT_EQ(write_bytes(w.sim, w.e, r, BLOCK, 7, BLOCK, 0), STATUS_OK);
        ASSERT_EQ(write_bytes(w.sim, w.e, c, BLOCK, 7, BLOCK, 0), STATUS_OK);
        ASSERT_EQ(file_op(w.sim, w.e, IO_DATASYNC, other), STATUS_OK);
        sim_kill(w.m, SIM_POWER);
        ASSERT_EQ(count_bytes(w.m, "/journal", 4 * BLOCK, 7), BLOCK);
        grown_lost += count_bytes(w.m, "/grows", 2 * BLOCK, 7) < (int64_t)BLOCK;
        reserved_lost += count_bytes(w.m, "/reserved", 4 * BLOCK, 7) < (int64_t)BLOCK;
        cached_lost += count_bytes(w.m, "/cached", 4 * BLOCK, 7) < (int64_t)BLOCK;
        sim_destroy(w.sim);
    }
    ASSERT(grown_lost > 0 && reserved_lost > 0 && cached_lost > 0);
}

/* A sync covers what was complete at its submission, not what completed beside it. */
static void write_in_flight_with_a_sync_is_not_covered(void)
{
    int lost = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct world w = world_create(seed, NULL);
        int32_t f = zeroed_file(&w, "/a", 1, IO_DIRECT);
        uint8_t *p = aligned_alloc(BLOCK, BLOCK);
        memset(p, 7, BLOCK);
        struct io_op op = {.kind = IO_WRITE, .file = f, .data = p, .len = BLOCK, .done = nothing_done};
        env_submit(w.e, &op);
        ASSERT_EQ(file_op(w.sim, w.e, IO_DATASYNC, f), STATUS_OK);
        while (op.in_flight) sim_step(w.sim);
        sim_kill(w.m, SIM_POWER);
        lost += count_bytes(w.m, "/a", BLOCK, 7) < (int64_t)BLOCK;
        free(p);
        sim_destroy(w.sim);
    }
    ASSERT(lost > 0);
}

static void weak_mode_loses_names_without_directory_sync(void)
{
    int lost = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct world w = world_create(seed, &strengths[1]);
        int32_t f = open_file(w.sim, w.e, "/a", IO_CREATE);
        ASSERT_EQ(write_bytes(w.sim, w.e, f, 0, 7, 100, 0), STATUS_OK);
        ASSERT_EQ(file_op(w.sim, w.e, IO_SYNC, f), STATUS_OK);
        sim_kill(w.m, SIM_POWER);
        int64_t n = count_bytes(w.m, "/a", 100, 7);
        ASSERT(n == -1 || n == 100);
        lost += n == -1;
        sim_destroy(w.sim);
    }
    ASSERT(lost > 0 && lost < SEEDS);
}

static void ordered_mode_keeps_names_by_any_later_sync(void)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct world w = world_create(seed, &strengths[0]);
        int32_t other = zeroed_file(&w, "/other", 1, 0);
        int32_t f = open_file(w.sim, w.e, "/a", IO_CREATE);
        ASSERT_EQ(write_bytes(w.sim, w.e, f, 0, 7, 100, 0), STATUS_OK);
        ASSERT_EQ(path_op(w.sim, w.e, IO_RENAME, "/a", "/b"), STATUS_OK);
        ASSERT_EQ(file_op(w.sim, w.e, IO_DATASYNC, other), STATUS_OK);
        sim_kill(w.m, SIM_POWER);
        ASSERT_EQ(count_bytes(w.m, "/b", 100, 7), 100);
        ASSERT_EQ(count_bytes(w.m, "/a", 0, 0), -1);
        sim_destroy(w.sim);
    }
}

/* ext4-ordered: names survive in order, whatever the cut; weak POSIX: any subset. */
static void unsynced_names(enum sim_names names, int *ret_gaps)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct world w = world_create(seed, &strengths[names]);
        uint64_t size;
        bool there[6];
        for (int n = 0; n < 6; n++) {
            char path[] = {'/', (char)('a' + n), 0};
            (void)open_file(w.sim, w.e, path, IO_CREATE);
        }
        sim_kill(w.m, SIM_POWER);
        for (int n = 0; n < 6; n++) {
            char path[] = {'/', (char)('a' + n), 0};
            there[n] = sim_file_size(w.m, path, &size) == STATUS_OK;
            if (n > 0 && there[n] && !there[n - 1]) ++*ret_gaps;
        }
        sim_destroy(w.sim);
    }
}

static void unsynced_names_go_in_order_or_at_random(void)
{
    int gaps = 0;
    unsynced_names(SIM_EXT4_ORDERED, &gaps);
    ASSERT_EQ(gaps, 0);
    unsynced_names(SIM_WEAK_POSIX, &gaps);
    ASSERT(gaps > 0);
}

static void rename_is_atomic_and_unlink_volatile(void)
{
    int old = 0, back = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct world w = world_create(seed, &strengths[seed % 2]);
        (void)zeroed_file(&w, "/a", 1, 0);
        (void)zeroed_file(&w, "/b", 2, 0);
        (void)zeroed_file(&w, "/c", 1, 0);
        ASSERT_EQ(path_op(w.sim, w.e, IO_RENAME, "/a", "/b"), STATUS_OK);
        ASSERT_EQ(path_op(w.sim, w.e, IO_UNLINK, "/c", NULL), STATUS_OK);
        sim_kill(w.m, SIM_POWER);
        uint64_t a = 0, b = 0, c = 0;
        bool has_a = sim_file_size(w.m, "/a", &a) == STATUS_OK;
        ASSERT_EQ(sim_file_size(w.m, "/b", &b), STATUS_OK);
        ASSERT_EQ(b, has_a ? 2 * BLOCK : BLOCK); /* both as before or both as after */
        old += has_a;
        back += sim_file_size(w.m, "/c", &c) == STATUS_OK;
        sim_destroy(w.sim);
    }
    ASSERT(old > 0 && old < SEEDS && back > 0 && back < SEEDS);
}

static void failed_sync_drops_pages_and_the_next_says_ok(void)
{
    int lost = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct world w = world_create(seed, NULL);
        int32_t f = zeroed_file(&w, "/a", 1, 0);
        sim_fault_add(w.m, &(struct sim_fault_rule){.fault = SIM_FAULT_EIO, .kinds = 1 << IO_DATASYNC, .nth = 1});
        ASSERT_EQ(write_bytes(w.sim, w.e, f, 0, 7, BLOCK, 0), STATUS_OK);
        ASSERT_EQ(file_op(w.sim, w.e, IO_DATASYNC, f), STATUS_IO_ERROR);
        ASSERT_EQ(file_op(w.sim, w.e, IO_DATASYNC, f), STATUS_OK);
        sim_kill(w.m, SIM_POWER);
        int64_t n = count_bytes(w.m, "/a", BLOCK, 7);
        ASSERT(n == 0 || n == BLOCK);
        lost += n == 0;
        sim_destroy(w.sim);
    }
    ASSERT(lost > 0 && lost < SEEDS);
}

/* Rule A7: the killed process still writes, and its lock is held until it has. */
static void killed_process_still_writes_and_holds_its_lock(void)
{
    int landed = 0, locked = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct world w = world_create(seed, NULL);
        int32_t f = zeroed_file(&w, "/j", 1, IO_DIRECT);
        ASSERT_EQ(file_op(w.sim, w.e, IO_LOCK, f), STATUS_OK);
        uint8_t *p = aligned_alloc(BLOCK, BLOCK);
        memset(p, 7, BLOCK);
        struct io_op op = {.kind = IO_WRITE, .file = f, .data = p, .len = BLOCK, .done = nothing_done};
        env_submit(w.e, &op);
        reboot(&w, SIM_KILL);
        memset(p, 9, BLOCK); /* its memory is gone: what lands is what was submitted */
        f = open_file(w.sim, w.e, "/j", IO_DIRECT);
        int64_t before = count_bytes(w.m, "/j", BLOCK, 7);
        bool held = file_op(w.sim, w.e, IO_LOCK, f) == STATUS_LOCKED;
        sim_run_until(w.sim, sim_now(w.sim) + 10 * NS_PER_MS);
        int64_t after = count_bytes(w.m, "/j", BLOCK, 7);
        if (held && before == 0) landed += after == BLOCK;
        if (!held) ASSERT_EQ(count_bytes(w.m, "/j", BLOCK, 7), after);
        locked += held;
        if (held) ASSERT_EQ(file_op(w.sim, w.e, IO_LOCK, f), STATUS_OK);
        free(p);
        sim_destroy(w.sim);
    }
    ASSERT(landed > SEEDS / 2 && locked > SEEDS / 2 && locked < SEEDS);
}

static void kill_keeps_what_was_complete(void)
{
    struct world w = world_create(3, &strengths[1]);
    int32_t f = open_file(w.sim, w.e, "/a", IO_CREATE);
    ASSERT_EQ(write_bytes(w.sim, w.e, f, 0, 7, 1000, 0), STATUS_OK);
    reboot(&w, SIM_KILL);
    ASSERT_EQ(count_bytes(w.m, "/a", 1000, 7), 1000);
    sim_destroy(w.sim);
}

static void direct_files_ask_for_4096(void)
{
    struct world w = world_create(4, NULL);
    int32_t f = open_file(w.sim, w.e, "/a", IO_CREATE | IO_DIRECT);
    ASSERT_EQ(write_bytes(w.sim, w.e, f, 512, 1, BLOCK, 0), STATUS_INVALID);
    ASSERT_EQ(write_bytes(w.sim, w.e, f, 0, 1, 512, 0), STATUS_INVALID);
    uint8_t *p = aligned_alloc(BLOCK, 2 * BLOCK);
    struct io_op op = {.kind = IO_READ, .file = f, .data = p + 512, .len = BLOCK};
    ASSERT_EQ(await(w.sim, w.e, &op), STATUS_INVALID);
    ASSERT_EQ(write_bytes(w.sim, w.e, f, 0, 1, BLOCK, 0), STATUS_OK);
    free(p);
    sim_destroy(w.sim);
}

static void space_is_limited_and_comes_back(void)
{
    struct world w = world_create(5, &(struct sim_machine_config){.capacity_bytes = 8 * BLOCK});
    int32_t f = open_file(w.sim, w.e, "/a", IO_CREATE);
    ASSERT_EQ(write_bytes(w.sim, w.e, f, 0, 1, 6 * BLOCK, 0), STATUS_OK);
    ASSERT_EQ(write_bytes(w.sim, w.e, f, 6 * BLOCK, 1, 3 * BLOCK, 0), STATUS_NO_SPACE);
    ASSERT_EQ(write_bytes(w.sim, w.e, f, 0, 2, 6 * BLOCK, 0), STATUS_OK); /* in place */
    struct io_op op = {.kind = IO_SPACE, .path = "/"};
    ASSERT_EQ(await(w.sim, w.e, &op), STATUS_OK);
    ASSERT_EQ(op.result, 2 * BLOCK);
    sim_disk_capacity(w.m, 16 * BLOCK);
    ASSERT_EQ(write_bytes(w.sim, w.e, f, 6 * BLOCK, 1, 3 * BLOCK, 0), STATUS_OK);
    struct io_op cut = {.kind = IO_TRUNCATE, .file = f, .pos = BLOCK};
    ASSERT_EQ(await(w.sim, w.e, &cut), STATUS_OK);
    ASSERT_EQ(sim_disk_used(w.m), BLOCK);
    sim_destroy(w.sim);
}

static void names_behave(void)
{
    struct world w = world_create(6, NULL);
    ASSERT_EQ(path_op(w.sim, w.e, IO_MKDIR, "/d", NULL), STATUS_OK);
    ASSERT_EQ(path_op(w.sim, w.e, IO_MKDIR, "/d", NULL), STATUS_EXISTS);
    int32_t f = open_file(w.sim, w.e, "/d/b", IO_CREATE);
    (void)open_file(w.sim, w.e, "/d/a", IO_CREATE);
    struct io_op again = {.kind = IO_OPEN, .path = "/d/a", .flags = IO_CREATE | IO_EXCL};
    ASSERT_EQ(await(w.sim, w.e, &again), STATUS_EXISTS);
    char names[16];
    struct io_op list = {.kind = IO_LIST, .path = "/d", .data = names, .len = sizeof names};
    ASSERT_EQ(await(w.sim, w.e, &list), STATUS_OK);
    ASSERT_EQ(list.result, 4);
    ASSERT(memcmp(names, "a\0b", 4) == 0);
    list.len = 3;
    ASSERT_EQ(await(w.sim, w.e, &list), STATUS_BUSY);
    ASSERT_EQ(path_op(w.sim, w.e, IO_RMDIR, "/d", NULL), STATUS_EXISTS);
    ASSERT_EQ(path_op(w.sim, w.e, IO_UNLINK, "/d/b", NULL), STATUS_OK);
    ASSERT_EQ(write_bytes(w.sim, w.e, f, 0, 1, 10, 0), STATUS_OK); /* open files outlive their names */
    ASSERT_EQ(path_op(w.sim, w.e, IO_STAT, "/d/b", NULL), STATUS_NOT_FOUND);
    sim_destroy(w.sim);
}

static void disk_is_rolled_back_and_wiped(void)
{
    struct world w = world_create(7, NULL);
    int32_t f = zeroed_file(&w, "/a", 1, 0);
    struct sim_disk_image *old = sim_disk_snapshot(w.m);
    ASSERT_EQ(write_bytes(w.sim, w.e, f, 0, 9, BLOCK, IO_DSYNC), STATUS_OK);
    sim_kill(w.m, SIM_POWER);
    ASSERT_EQ(count_bytes(w.m, "/a", BLOCK, 9), BLOCK);
    sim_disk_restore(w.m, old);
    ASSERT_EQ(count_bytes(w.m, "/a", BLOCK, 0), BLOCK);
    ASSERT_EQ(sim_file_write(w.m, "/x/y/z", 5, "hello", 5), STATUS_OK);
    ASSERT_EQ(sim_file_remove(w.m, "/x"), STATUS_OK);
    ASSERT_EQ(count_bytes(w.m, "/x/y/z", 0, 0), -1);
    sim_disk_wipe(w.m);
    ASSERT_EQ(count_bytes(w.m, "/a", BLOCK, 0), -1);
    ASSERT_EQ(sim_disk_used(w.m), 0);
    sim_disk_image_free(old);
    sim_destroy(w.sim);
}

static void dsync_may_be_a_device_flush(void)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct world w = world_create(seed, &(struct sim_machine_config){.dsync_flushes = true});
        int32_t f = zeroed_file(&w, "/a", 4, IO_DIRECT), g = zeroed_file(&w, "/b", 4, IO_DIRECT);
        ASSERT_EQ(write_bytes(w.sim, w.e, g, 0, 5, BLOCK, 0), STATUS_OK);
        ASSERT_EQ(write_bytes(w.sim, w.e, f, BLOCK, 7, BLOCK, IO_DSYNC), STATUS_OK);
        sim_kill(w.m, SIM_POWER);
        ASSERT_EQ(count_bytes(w.m, "/b", 4 * BLOCK, 5), BLOCK);
        sim_destroy(w.sim);
    }
}

static void syncfs_covers_everything(void)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct world w = world_create(seed, &strengths[1]);
        int32_t f = open_file(w.sim, w.e, "/a", IO_CREATE), g = open_file(w.sim, w.e, "/b", IO_CREATE);
        ASSERT_EQ(write_bytes(w.sim, w.e, g, 0, 5, 100, 0), STATUS_OK);
        ASSERT_EQ(file_op(w.sim, w.e, IO_SYNC_FS, f), STATUS_OK);
        sim_kill(w.m, SIM_POWER);
        ASSERT_EQ(count_bytes(w.m, "/b", 100, 5), 100);
        sim_destroy(w.sim);
    }
}

TEST_MAIN("sim_disk", {"a DSYNC write may be a device flush", dsync_may_be_a_device_flush},
          {"syncfs covers everything", syncfs_covers_everything},
          {"synced bytes survive a power cut", synced_bytes_survive},
          {"a DSYNC write survives, others beside it may not", dsync_write_survives_alone},
          {"unsynced bytes are kept, lost or torn", unsynced_bytes_are_kept_lost_or_torn},
          {"a flush covers direct writes in place only", flush_covers_direct_writes_in_place_only},
          {"a write in flight with a sync is not covered", write_in_flight_with_a_sync_is_not_covered},
          {"weak mode: a name needs its directory's sync", weak_mode_loses_names_without_directory_sync},
          {"ordered mode: any later sync keeps names", ordered_mode_keeps_names_by_any_later_sync},
          {"unsynced names: a prefix, or any subset", unsynced_names_go_in_order_or_at_random},
          {"a rename is atomic, an unlink may come back", rename_is_atomic_and_unlink_volatile},
          {"a failed sync drops pages, the next says ok", failed_sync_drops_pages_and_the_next_says_ok},
          {"a killed process still writes and holds its lock", killed_process_still_writes_and_holds_its_lock},
          {"a kill keeps what was complete", kill_keeps_what_was_complete},
          {"direct files ask for 4096", direct_files_ask_for_4096},
          {"space is limited and comes back", space_is_limited_and_comes_back}, {"names behave", names_behave},
          {"a disk is rolled back and wiped", disk_is_rolled_back_and_wiped})

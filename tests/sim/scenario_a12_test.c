// SPDX-License-Identifier: Apache-2.0
/* Rule A12 and log compaction as stories: what a compacted log must still have, what may be gone, and that no crash in
 * the middle of a round or a swap shows.
 *
 * What was appended is remembered by offset. The judge reads all of the log: each record is one that was appended
 * there, and of each key the last one is there, unless it is a tombstone whose time is over. */
#include "base/bytes.h"
#include "protocol/batch_record.h"
#include "storage/cleaner.h"
#include "storage/store_impl.h"
#include "tests/sim/store_world.h"
#include "tests/unit/check_main.h"
#include <stdio.h>
#include <stdlib.h>

#define CHECK_MS    100
#define RECORDS_MAX 4000
#define KEYS_MAX    4000

struct told {
    uint64_t key;
    bool tombstone;
};

static struct store_world w;
static struct partition *p;
static struct told told[RECORDS_MAX]; /* by offset; acknowledged */
static int64_t told_end;
static struct partition_settings settings;
static uint64_t seed;

static void configure(void)
{
    ASSERT_EQ(partition_configure(p, &settings), STATUS_OK);
}

static void begin(uint64_t with_seed)
{
    seed = with_seed;
    world_init(&w, seed, NULL);
    w.config.clean_check_ms = CHECK_MS;
    w.config.checkpoint_ms = 3600 * 1000; /* a round asks for its own */
    w.config.journal_first_bytes = w.config.journal_bytes = 8 << 20;
    w.config.group_bytes = 128 << 10;
    w.config.batch_bytes_max = 80 << 10;
    ASSERT_EQ(world_boot(&w, 1), STATUS_OK);
    p = world_create(&w, "t", 0);
    ASSERT(p != NULL);
    told_end = 0;
    partition_settings_init(w.stores[0], &settings);
    settings.segment_bytes = 12 << 10;
    settings.deletes = false;
    settings.min_dirty_ratio = 0;
    configure();
    settings.compacts = true; /* from the next configure() on */
}

static void again(enum sim_kill how)
{
    sim_fault_clear(w.machine);
    world_crash(&w, how);
    ASSERT_EQ(world_boot(&w, 1), STATUS_OK);
    p = world_find(&w, "t", 0);
    ASSERT(p != NULL);
    ASSERT_EQ(partition_status(p), STATUS_OK);
}

static void end(void)
{
    ASSERT_EQ(world_stop(&w), STATUS_OK);
    world_deinit(&w);
}

static int64_t now_ms(void)
{
    return WORLD_TIME_MS + sim_now(w.sim) / NS_PER_MS;
}

static enum status append(uint64_t key, int32_t records, uint32_t bytes, bool tombstones)
{
    struct world_batch b = {.records = records,
                            .value_bytes = bytes,
                            .tag = (uint64_t)partition_log_end(p),
                            .time_ms = now_ms(),
                            .keyed = true,
                            .key = key,
                            .tombstones = tombstones};
    int64_t offset;
    b.codec = b.tag / 3 % 10 < CODEC_COUNT ? (enum codec)(b.tag / 3 % 10) : CODEC_NONE;
    enum status status = world_append(&w, p, &b, &offset);
    for (int32_t i = 0; status == STATUS_OK && i < records; i++)
        told[offset + i] = (struct told){.key = key + (unsigned)i, .tombstone = tombstones};
    if (status == STATUS_OK) told_end = offset + records;
    return status;
}

static void update(int count, uint64_t keys, uint32_t bytes)
{
    for (int i = 0; i < count; i++) ASSERT_EQ(append((uint64_t)i * 7 % keys, 1 + i % 2, bytes, false), STATUS_OK);
}

static const struct cleaner_counters *counters(void)
{
    return cleaner_counters(w.stores[0]->cleaner);
}

/* Until all that may be cleaned is. */
static void pass_clean(void)
{
    for (int64_t until = sim_now(w.sim) + 60 * NS_PER_S;
         p->clean_end < partition_active(p)->base || !cleaner_idle(w.stores[0]->cleaner);) {
        ASSERT(sim_now(w.sim) < until);
        world_pass(&w, 10 * NS_PER_MS);
    }
}

/* --- the judge --- */

struct view {
    int64_t records, batches, empty;
    bool there[RECORDS_MAX];
    int64_t first_base; /* of the first batch */
};

static struct view view;

static void see_batch(const uint8_t *at, const struct batch_info *info, struct mem *mem)
{
    struct batch_iter it;
    struct batch_record r;
    ASSERT(batch_crc_valid(at, info));
    ASSERT_EQ(batch_iter_open(&it, at, info, mem, 1 << 20), STATUS_OK);
    while (batch_iter_next(&it, &r)) {
        char key[24], tag[20];
        ASSERT(r.offset < told_end || r.offset < partition_log_end(p));
        const struct told *t = &told[r.offset];
        snprintf(key, sizeof key, "k%llu", (unsigned long long)t->key);
        if (r.offset < told_end) {
            ASSERT(r.key_len == (int32_t)strlen(key) && memcmp(r.key, key, strlen(key)) == 0);
            ASSERT_EQ(r.value_len < 0, t->tombstone);
            snprintf(tag, sizeof tag, "%016llx", (unsigned long long)info->base_offset);
            ASSERT(t->tombstone || memcmp(r.value, tag, 16) == 0);
        }
        view.there[r.offset] = true;
        view.records++;
    }
    ASSERT_EQ(batch_iter_close(&it), STATUS_OK);
    if (view.batches == 0) view.first_base = info->base_offset;
    view.batches++;
    view.empty += info->record_count == 0;
}

static void see_all(void)
{
    struct mem *mem = mem_create(64 << 20);
    struct partition_read *r = calloc(1, sizeof *r);
    memset(&view, 0, sizeof view);
    for (int64_t next = partition_log_start(p); next < partition_high_watermark(p);) {
        int64_t before = next;
        ASSERT_EQ(world_read(&w, p, next, 100 << 10, r), STATUS_OK);
        ASSERT(r->slice_count > 0);
        for (uint32_t i = 0; i < r->slice_count; i++) {
            const uint8_t *at = slice_data(r->slices[i]);
            for (uint32_t left = r->slices[i].len; left > 0;) {
                struct batch_info info;
                ASSERT_EQ(batch_parse(at, left, &info), STATUS_OK);
                ASSERT(batch_last_offset(&info) >= before);
                ASSERT(info.base_offset >= next || next == before);
                see_batch(at, &info, mem);
                next = batch_next_offset(&info);
                at += info.size_bytes;
                left -= info.size_bytes;
            }
        }
        partition_read_release(r);
    }
    free(r);
    mem_destroy(mem);
}

/* The last record of each key is there; a tombstone may be gone if `forgotten`. */
static void judge(bool forgotten)
{
    static bool seen[KEYS_MAX];
    see_all();
    ASSERT(partition_log_end(p) >= told_end);
    memset(seen, 0, sizeof seen);
    for (int64_t i = told_end - 1; i >= partition_log_start(p); i--) {
        if (!seen[told[i].key]) ASSERT(view.there[i] || (told[i].tombstone && forgotten));
        seen[told[i].key] = true;
    }
}

/* Nothing but the segments' files stands in the directory, and nothing had to go to quarantine. */
static char names[4096];

static void add_name(const char *name, bool is_dir, void *arg)
{
    (void)is_dir;
    (void)arg;
    ASSERT(strlen(names) + strlen(name) + 2 < sizeof names);
    strncat(names, name, sizeof names - strlen(names) - 2);
    strncat(names, "\n", 2);
}

static unsigned count_names(const char *dir, const char *part)
{
    unsigned n = 0;
    names[0] = '\0';
    ASSERT_EQ(sim_file_list(w.machine, dir, add_name, NULL), STATUS_OK);
    for (const char *at = names; (at = strstr(at, part)) != NULL; at++) n++;
    return n;
}

static void expect_tidy(void)
{
    world_pass(&w, 50 * NS_PER_MS);
    unsigned files = count_names("/data/t-0", ".log\n");
    ASSERT(files == p->segment_count || files + 1 == p->segment_count); /* of the last one nothing may be moved yet */
    for (uint32_t i = 0; i + 1 < p->segment_count; i++) {
        char name[64];
        const struct segment *s = &p->segments[i];
        if (s->generation > 0)
            snprintf(name, sizeof name, "%020lld.%u.log\n", (long long)s->base, s->generation);
        else
            snprintf(name, sizeof name, "%020lld.log\n", (long long)s->base);
        ASSERT(strstr(names, name) != NULL);
    }
}

/* --- stories --- */

static void the_last_value_of_each_key_stays(void)
{
    begin(1);
    update(400, 20, 700);
    uint64_t before = partition_size_bytes(p);
    configure();
    pass_clean();
    judge(false);
    ASSERT(view.records < 200 && partition_size_bytes(p) < before / 3);
    ASSERT(view.first_base > 0); /* offset 0 is gone, and a read of it gave the next batch */
    expect_tidy();
    int64_t records = view.records, log_end = partition_log_end(p);
    uint64_t after = partition_size_bytes(p);
    for (int how = 0; how < 4; how++) {
        if (how < 2) {
            again(how == 0 ? SIM_KILL : SIM_POWER);
        } else {
            ASSERT_EQ(world_stop(&w), STATUS_OK);
            ASSERT_EQ(world_boot(&w, 1), STATUS_OK);
            p = world_find(&w, "t", 0);
        }
        judge(false);
        ASSERT(view.records == records && partition_log_end(p) == log_end && partition_size_bytes(p) == after);
        world_pass(&w, NS_PER_S); /* nothing is dirty: nothing happens */
        ASSERT_EQ(counters()->swaps, 0);
    }
    configure();
    update(400, 25, 700);
    pass_clean();
    judge(false);
    expect_tidy();
    ASSERT_EQ(count_names("/data/quarantine", "log"), 0);
    end();
}

/* Compaction rewrites what is closed, appends go on, and the reader sees each key's last value at any time. */
static void appends_and_reads_go_on(void)
{
    begin(2);
    settings.min_dirty_ratio = 0.2;
    configure();
    for (int i = 0; i < 40; i++) {
        update(40, 15, 900);
        judge(false);
    }
    ASSERT(counters()->rounds > 3 && counters()->swaps > 3);
    ASSERT_EQ(counters()->failed, 0);
    end();
}

static void tombstones_have_their_time(void)
{
    begin(3);
    settings.delete_retention_ms = 20 * 1000;
    configure();
    update(60, 10, 900);
    for (uint64_t key = 0; key < 5; key++) ASSERT_EQ(append(key, 1, 0, true), STATUS_OK);
    int64_t first = told_end - 5;
    update(100, 30, 900);
    for (uint64_t key = 0; key < 5; key++) ASSERT_EQ(append(key, 1, 0, true), STATUS_OK);
    int64_t second = told_end - 5;
    for (int i = 0; i < 60; i++) ASSERT_EQ(append(100 + (uint64_t)i % 3, 1, 900, false), STATUS_OK);
    pass_clean();
    judge(false);
    for (int i = 0; i < 5; i++) ASSERT(!view.there[first + i] && view.there[second + i]);
    world_pass(&w, 15 * NS_PER_S);
    for (int i = 0; i < 60; i++) ASSERT_EQ(append(100 + (uint64_t)i % 3, 1, 900, false), STATUS_OK);
    pass_clean();
    judge(false);
    for (int i = 0; i < 5; i++) ASSERT(view.there[second + i]);
    again(SIM_POWER);
    configure();
    world_pass(&w, 15 * NS_PER_S); /* the horizon outlived the crash */
    for (int i = 0; i < 60; i++) ASSERT_EQ(append(100 + (uint64_t)i % 3, 1, 900, false), STATUS_OK);
    pass_clean();
    judge(true);
    for (int i = 0; i < 5; i++) ASSERT(!view.there[second + i]);
    end();
}

/* A log of tombstones grows by its horizons: it moves down. */
static void a_log_that_grows_moves_down(void)
{
    begin(4);
    for (uint64_t i = 0; i < 160; i++) ASSERT_EQ(append(i * 20, 20, 0, true), STATUS_OK);
    configure();
    uint64_t before = partition_size_bytes(p);
    pass_clean();
    judge(false);
    ASSERT(partition_size_bytes(p) > before && p->segments[0].start < LOG_POS_FIRST);
    again(SIM_POWER);
    judge(false);
    partition_check(p);
    end();
}

static void producers_keep_their_last_batch(void)
{
    struct world_batch b = {
        .has_producer = true, .producer_id = 900, .records = 2, .value_bytes = 900, .keyed = true, .key = 1};
    int64_t offset, mine;
    begin(5);
    configure();
    ASSERT_EQ(world_append(&w, p, &b, &mine), STATUS_OK);
    for (int i = 0; i < 2; i++) told[mine + i] = (struct told){.key = 1 + (unsigned)i};
    told_end = mine + 2;
    update(200, 10, 900); /* its keys again, many times */
    pass_clean();
    judge(false);
    ASSERT(!view.there[mine] && !view.there[mine + 1]);
    ASSERT(view.first_base == mine && view.empty >= 1);
    ASSERT_EQ(world_append(&w, p, &b, &offset), STATUS_OK); /* a repeat */
    ASSERT_EQ(offset, mine);
    again(SIM_POWER);
    ASSERT_EQ(world_append(&w, p, &b, &offset), STATUS_OK);
    ASSERT_EQ(offset, mine);
    b.sequence = 2;
    ASSERT_EQ(world_append(&w, p, &b, &offset), STATUS_OK);
    for (int i = 0; i < 2; i++) told[offset + i] = (struct told){.key = 1 + (unsigned)i};
    told_end = offset + 2;
    configure();
    update(200, 10, 900);
    pass_clean();
    judge(false);
    ASSERT(view.first_base > mine); /* the newer one is kept now */
    end();
}

static void retention_and_lags(void)
{
    begin(6);
    settings.min_lag_ms = 5000;
    configure();
    update(100, 10, 900);
    world_pass(&w, 2 * NS_PER_S);
    ASSERT_EQ(counters()->swaps, 0); /* too young */
    world_pass(&w, 5 * NS_PER_S);
    ASSERT(counters()->swaps > 0);
    judge(false);
    settings.min_lag_ms = 0;
    settings.min_dirty_ratio = 1;
    configure();
    uint64_t rounds = counters()->rounds;
    update(100, 10, 900);
    world_pass(&w, 2 * NS_PER_S);
    ASSERT_EQ(counters()->rounds, rounds);
    settings.max_lag_ms = 3000;
    configure();
    world_pass(&w, 3 * NS_PER_S);
    ASSERT(counters()->rounds > rounds); /* old enough, whatever the ratio */
    judge(false);
    settings.deletes = true; /* compact, delete: retention takes the front, too */
    settings.retention_ms = 1000;
    w.stores[0]->config.retention_check_ms = 100;
    configure();
    world_pass(&w, 3 * NS_PER_S);
    ASSERT(partition_log_start(p) > 0);
    judge(false);
    again(SIM_POWER);
    judge(false);
    end();
}

static void a_map_that_is_too_small(void)
{
    begin(7);
    w.config.clean_map_bytes = 32 * 64; /* 64 keys */
    world_crash(&w, SIM_KILL);
    ASSERT_EQ(world_boot(&w, 1), STATUS_OK);
    p = world_find(&w, "t", 0);
    struct partition_settings plain = settings; /* settings are not stored */
    plain.compacts = false;
    ASSERT_EQ(partition_configure(p, &plain), STATUS_OK);
    update(400, 300, 700);
    configure();
    pass_clean();
    judge(false);
    ASSERT(counters()->rounds > 4 && counters()->records_gone > 100);
    end();
}

/* What a reader asked for by time is found by what is left. */
static void times_are_found(void)
{
    struct partition_lookup l;
    int64_t middle_ms;
    begin(8);
    configure();
    update(200, 10, 900);
    world_pass(&w, 50 * NS_PER_MS);
    middle_ms = now_ms();
    update(200, 10, 900);
    pass_clean();
    see_all();
    ASSERT_EQ(world_lookup(&w, p, WORLD_TIME_MS, &l), STATUS_OK);
    ASSERT(l.offset >= 0 && view.there[l.offset]);
    for (int64_t i = 0; i < l.offset; i++) ASSERT(!view.there[i]);
    ASSERT_EQ(world_lookup(&w, p, middle_ms, &l), STATUS_OK);
    ASSERT(view.there[l.offset] && l.timestamp_ms >= middle_ms);
    ASSERT_EQ(world_lookup(&w, p, -3, &l), STATUS_OK);
    ASSERT(view.there[l.offset]);
    end();
}

/* Every file of a round is synced before the swap is in the journal, every old one goes after it. */
struct order {
    struct sim_watch watch;
    unsigned synced, unlinked_early;
    bool swap_put;
};

static void ordered(struct sim_watch *watch, enum io_kind kind, const char *path, bool begins, enum status status)
{
    struct order *o = container_of(watch, struct order, watch);
    (void)status;
    o->swap_put |= counters()->swaps > 0 || p->segments[0].generation > 0;
    if (begins) return;
    o->synced += kind == IO_SYNC && strstr(path, ".1.log") != NULL && !o->swap_put;
    o->synced += kind == IO_SYNC && strstr(path, ".1.lidx") != NULL && !o->swap_put;
    o->unlinked_early += kind == IO_UNLINK && counters()->swaps == 0;
}

static void synced_before_the_swap(void)
{
    static struct order order;
    begin(9);
    update(100, 5, 900);
    world_pass(&w, 100 * NS_PER_MS);
    ASSERT_EQ(world_checkpoint(&w), STATUS_OK); /* from here on single files are synced */
    order = (struct order){.watch.op = ordered};
    sim_watch(w.machine, &order.watch);
    configure();
    pass_clean();
    ASSERT_EQ(order.synced, 2);
    ASSERT_EQ(order.unlinked_early, 0);
    judge(false);
    end();
}

/* A start that replays a swap does it again: the table is older than the entry. */
static void a_replayed_swap(void)
{
    for (int power = 0; power < 2; power++) {
        begin(10);
        sim_fault_add(w.machine,
                      &(struct sim_fault_rule){
                          .fault = SIM_FAULT_STALL, .kinds = 1 << IO_UNLINK, .chance_ppm = 1000000, .delay_ns = 0});
        update(100, 5, 900);
        configure();
        while (counters()->swaps == 0) sim_step(w.sim);
        int64_t length = (int64_t)p->segments[0].length;
        again(power ? SIM_POWER : SIM_KILL);
        ASSERT(p->segments[0].generation > 0);
        ASSERT_EQ((int64_t)p->segments[0].length, length);
        judge(false);
        world_pass(&w, 100 * NS_PER_MS);
        configure();
        update(100, 5, 900);
        pass_clean();
        judge(false);
        expect_tidy();
        ASSERT_EQ(count_names("/data/quarantine", "log"), 0); /* the replay unlinked what it replaced */
        end();
    }
}

/* The process dies, or the power goes, at every step of a round. */
static void crash_at_every_step(void)
{
    unsigned before_swap = 0, after_swap = 0;
    for (uint32_t steps = 0; steps < 1200; steps += steps < 60 ? 7 : 113) {
        begin(100 + steps);
        update(90, 6, 900);
        for (uint64_t key = 0; key < 3; key++) ASSERT_EQ(append(key, 1, 0, true), STATUS_OK);
        update(60, 6, 900);
        configure();
        for (int64_t until = sim_now(w.sim) + NS_PER_S; cleaner_idle(w.stores[0]->cleaner);) {
            ASSERT(sim_now(w.sim) < until);
            sim_step(w.sim);
        }
        for (uint32_t i = 0; i < steps; i++) sim_step(w.sim);
        bool swapped = counters()->swaps > 0;
        before_swap += !swapped;
        after_swap += swapped;
        again(steps % 2 == 0 ? SIM_POWER : SIM_KILL);
        judge(false);
        if (swapped) ASSERT(p->segments[0].generation > 0);
        configure();
        update(60, 6, 900);
        pass_clean();
        judge(false);
        again(SIM_POWER);
        judge(false);
        expect_tidy();
        end();
    }
    ASSERT(before_swap > 2 && after_swap > 2);
}

/* The n-th I/O of a round fails. A full disk ends the round, everything else the disk. */
static void the_nth_io_fails(enum sim_fault fault)
{
    unsigned fenced = 0, fine = 0;
    for (uint64_t nth = 1; nth < 60; nth += 5) {
        begin(1000 + nth);
        update(150, 6, 900);
        world_pass(&w, 200 * NS_PER_MS);
        sim_fault_add(w.machine, &(struct sim_fault_rule){.fault = fault, .nth = nth});
        configure();
        world_pass(&w, 2 * NS_PER_S);
        sim_fault_clear(w.machine);
        if (disk_fenced(&w.disk)) {
            fenced++;
        } else {
            fine++;
            judge(false);
        }
        again(nth % 2 == 0 ? SIM_POWER : SIM_KILL);
        judge(false);
        again(SIM_POWER);
        judge(false);
        configure();
        update(60, 6, 900);
        pass_clean();
        judge(false);
        end();
    }
    ASSERT(fine > 2);
    if (fault == SIM_FAULT_EIO) ASSERT(fenced > 2);
    if (fault == SIM_FAULT_SHORT) ASSERT_EQ(fenced, 0);
}

static void a_failed_io(void)
{
    the_nth_io_fails(SIM_FAULT_EIO);
}

static void a_full_disk(void)
{
    the_nth_io_fails(SIM_FAULT_NO_SPACE);
}

static void a_short_io(void)
{
    the_nth_io_fails(SIM_FAULT_SHORT);
}

/* Damage is found on the way and not copied under new checksums. */
static void damage_ends_the_round(void)
{
    uint8_t byte;
    begin(11);
    update(200, 10, 900);
    ASSERT_EQ(world_stop(&w), STATUS_OK);
    ASSERT_EQ(sim_file_read(w.machine, "/data/t-0/00000000000000000000.log", 5000, &byte, 1), STATUS_OK);
    byte ^= 1;
    ASSERT_EQ(sim_file_write(w.machine, "/data/t-0/00000000000000000000.log", 5000, &byte, 1), STATUS_OK);
    ASSERT_EQ(world_boot(&w, 1), STATUS_OK);
    p = world_find(&w, "t", 0);
    configure();
    world_pass(&w, 3 * NS_PER_S);
    ASSERT(counters()->failed == 1 && counters()->swaps == 0); /* and not again at once */
    ASSERT_EQ(p->segments[0].generation, 0);
    end();
}

/* Another number of shards: the compacted log goes to another journal, and goes on there (A4). */
static void a_compacted_log_is_re_homed(void)
{
    begin(12);
    configure();
    update(200, 10, 900);
    pass_clean();
    judge(false);
    for (uint32_t shards = 3; shards > 0; shards--) {
        world_crash(&w, shards % 2 == 0 ? SIM_KILL : SIM_POWER);
        ASSERT_EQ(world_boot(&w, shards), STATUS_OK);
        p = world_find(&w, "t", 0);
        judge(false);
        ASSERT(p->clean_end > 0 && p->segments[0].generation > 0);
        configure();
        update(100, 10, 900);
        judge(false);
    }
    pass_clean();
    judge(false);
    expect_tidy();
    end();
}

static void deletion_and_stop_in_the_middle(void)
{
    for (uint32_t steps = 0; steps < 300; steps += 43) {
        begin(500 + steps);
        update(150, 6, 900);
        configure();
        while (cleaner_idle(w.stores[0]->cleaner)) sim_step(w.sim);
        for (uint32_t i = 0; i < steps; i++) sim_step(w.sim);
        if (steps % 2 == 0) {
            ASSERT_EQ(world_delete(&w, p), STATUS_OK);
            world_pass(&w, NS_PER_S);
            end();
            continue;
        }
        ASSERT_EQ(world_stop(&w), STATUS_OK);
        ASSERT_EQ(world_boot(&w, 1), STATUS_OK);
        p = world_find(&w, "t", 0);
        judge(false);
        end();
    }
}

/* The log start moves while a round is under way: its front goes, the round or the next one goes on. */
static void the_log_start_moves_in_the_middle(void)
{
    for (uint32_t steps = 0; steps < 400; steps += 57) {
        begin(700 + steps);
        update(150, 6, 900);
        configure();
        while (cleaner_idle(w.stores[0]->cleaner)) sim_step(w.sim);
        for (uint32_t i = 0; i < steps; i++) sim_step(w.sim);
        ASSERT_EQ(world_log_start(&w, p, 100), STATUS_OK);
        judge(false);
        update(60, 6, 900);
        world_pass(&w, 15 * NS_PER_S);
        judge(false);
        ASSERT(counters()->rounds > 0);
        again(SIM_POWER);
        judge(false);
        end();
    }
}

TEST_MAIN("rule A12", {"A12 the last value of each key stays", the_last_value_of_each_key_stays},
          {"A12 appends and reads go on", appends_and_reads_go_on},
          {"A12 tombstones have their time", tombstones_have_their_time},
          {"A12 a log that grows moves down", a_log_that_grows_moves_down},
          {"A12 producers keep their last batch", producers_keep_their_last_batch},
          {"A12 retention and lags", retention_and_lags}, {"A12 a map that is too small", a_map_that_is_too_small},
          {"A12 times are found", times_are_found}, {"A12 synced before the swap", synced_before_the_swap},
          {"A12 a replayed swap", a_replayed_swap}, {"A12 a crash at every step", crash_at_every_step},
          {"A12 a failed I/O", a_failed_io}, {"A12 a full disk", a_full_disk}, {"A12 a short I/O", a_short_io},
          {"A12 damage ends the round", damage_ends_the_round},
          {"A12 a compacted log is re-homed", a_compacted_log_is_re_homed},
          {"A12 deletion and stop in the middle", deletion_and_stop_in_the_middle},
          {"A12 the log start moves in the middle", the_log_start_moves_in_the_middle})

// SPDX-License-Identifier: Apache-2.0
/* Fault D24: an index file is deleted, damaged or wrong at rest, or loses pages. Every record is served all the same,
 * the index is made anew, once, and stays. Where the .log is damaged too, that is said and nothing is invented. */
#include "base/bytes.h"
#include "base/log.h"
#include "base/prng.h"
#include "protocol/batch.h"
#include "tests/sim/store_world.h"
#include "tests/unit/check_main.h"
#include <stdio.h>
#include <stdlib.h>

#define PAGE_BYTES BLOCK_BYTES
enum { FILES_MAX = 40 };

static struct store_world w;
static struct partition *p;
static struct prng rng;
static struct log log_of_the_store;
static unsigned rebuilt_lines, damaged_lines;

static void line(void *arg, enum log_level level, const char *text, size_t size)
{
    rebuilt_lines += strstr(text, "segment.index_rebuilt") != NULL;
    damaged_lines += strstr(text, "segment.damaged") != NULL;
}

static void begin(uint64_t seed, uint64_t segment_bytes)
{
    world_init(&w, seed, &(struct sim_machine_config){.names = seed % 2 == 1 ? SIM_WEAK_POSIX : SIM_EXT4_ORDERED});
    prng_seed(&rng, seed, 2);
    log_init(&log_of_the_store, line, NULL, LOG_INFO, 0);
    w.config.log = &log_of_the_store;
    w.config.segment_bytes = segment_bytes;
    w.config.journal_first_bytes = w.config.journal_bytes = 32 << 20;
    w.config.checkpoint_ms = 50;
    ASSERT_EQ(world_boot(&w, 1), STATUS_OK);
    p = world_create(&w, "t", 0);
    ASSERT(p != NULL);
}

static void start(void)
{
    ASSERT_EQ(world_boot(&w, 1), STATUS_OK);
    p = world_find(&w, "t", 0);
    ASSERT(p != NULL);
    rebuilt_lines = damaged_lines = 0;
}

static void append_some(int count, uint32_t bytes)
{
    for (int i = 0; i < count; i++) {
        struct world_batch b = {.records = 1 + i % 3,
                                .value_bytes = bytes / (1 + (uint32_t)i % 3),
                                .tag = (uint64_t)partition_log_end(p),
                                .time_ms = WORLD_TIME_MS + partition_log_end(p),
                                .time_step = 1};
        ASSERT_EQ(world_append(&w, p, &b, NULL), STATUS_OK);
    }
}

/* Every offset, in random order at first, then the whole log; times, too. */
static void expect_all(void)
{
    struct partition_read *r = calloc(1, sizeof *r);
    struct partition_lookup k;
    int64_t start_offset = partition_log_start(p), end = partition_high_watermark(p);
    for (int i = 0; i < 30; i++) {
        int64_t offset = start_offset + (int64_t)prng_below(&rng, (uint64_t)(end - start_offset));
        ASSERT_EQ(world_read(&w, p, offset, 100, r), STATUS_OK);
        ASSERT((int64_t)load_be64(slice_data(r->slices[0])) <= offset);
        partition_read_release(r);
        ASSERT_EQ(world_lookup(&w, p, WORLD_TIME_MS + offset, &k), STATUS_OK);
        ASSERT_EQ(k.offset, offset);
    }
    for (int64_t next = start_offset; next < end;) {
        ASSERT_EQ(world_read(&w, p, next, 200 << 10, r), STATUS_OK);
        for (uint32_t i = 0; i < r->slice_count; i++) {
            const uint8_t *at = slice_data(r->slices[i]);
            for (uint32_t left = r->slices[i].len; left > 0;) {
                struct batch_info info;
                ASSERT_EQ(batch_parse(at, left, &info), STATUS_OK);
                ASSERT(info.base_offset == next && batch_crc_valid(at, &info));
                next = batch_next_offset(&info);
                at += info.size_bytes;
                left -= info.size_bytes;
            }
        }
        partition_read_release(r);
    }
    free(r);
}

/* --- files --- */

static struct {
    char path[FILES_MAX][80];
    uint32_t count;
} files;

static void note_file(const char *name, bool is_dir, void *arg)
{
    if (strstr(name, (const char *)arg) == NULL) return;
    ASSERT(files.count < FILES_MAX);
    snprintf(files.path[files.count++], sizeof files.path[0], "/data/t-0/%.40s", name);
}

static void list(char *suffix)
{
    files.count = 0;
    ASSERT_EQ(sim_file_list(w.machine, "/data/t-0", note_file, suffix), STATUS_OK);
}

static void spoil(const char *path, uint64_t pos, uint32_t len, int value)
{
    uint8_t *bytes = malloc(len);
    memset(bytes, value, len);
    ASSERT_EQ(sim_file_write(w.machine, path, pos, bytes, len), STATUS_OK);
    free(bytes);
}

static void ignore(struct partition_append *op)
{
    ASSERT_EQ(op->status, STATUS_OK);
}

/* --- stories --- */

/* Each segment's index is gone; one line a segment says so; another start finds them sound. */
static void d24_deleted(void)
{
    begin(1, 200 << 10);
    append_some(120, 20000);
    ASSERT_EQ(world_stop(&w), STATUS_OK);
    list(".lidx");
    uint32_t gone = files.count;
    ASSERT(gone >= 8);
    for (uint32_t i = 0; i < gone; i++) ASSERT_EQ(sim_file_remove(w.machine, files.path[i]), STATUS_OK);
    start();
    append_some(8, 20000);
    world_pass(&w, 200 * NS_PER_MS); /* the first checkpoint syncs everything there is */
    expect_all();
    ASSERT_EQ(damaged_lines, 0);
    ASSERT(rebuilt_lines >= MIN(gone - 1, LOG_BURST) && rebuilt_lines <= gone);
    append_some(3, 20000);
    expect_all();
    world_pass(&w, 200 * NS_PER_MS); /* the second what is dirty: they are durable */
    world_crash(&w, SIM_POWER);
    start();
    expect_all();
    ASSERT_EQ(rebuilt_lines, 0);
    ASSERT_EQ(world_stop(&w), STATUS_OK);
    world_deinit(&w);
}

/* One segment of several pages: each page, each kind of damage, alone; the others are left as they are. */
static void d24_each_page_damaged(void)
{
    static const char *const kinds[] = {"flip", "zero", "another page", "cut", "other magic", "all"};
    begin(2, 64 << 20);
    append_some(1150, 30000); /* 34 MB: four pages in the file, some of the fifth in the table */
    ASSERT_EQ(world_stop(&w), STATUS_OK);
    const char *path = "/data/t-0/00000000000000000000.lidx";
    uint64_t size;
    uint8_t page[PAGE_BYTES], *before = malloc(4 * PAGE_BYTES), *after = malloc(4 * PAGE_BYTES);
    ASSERT_EQ(sim_file_size(w.machine, path, &size), STATUS_OK);
    ASSERT_EQ(size, 4 * PAGE_BYTES);
    ASSERT_EQ(sim_file_read(w.machine, path, 0, before, 4 * PAGE_BYTES), STATUS_OK);
    for (uint32_t kind = 0; kind < COUNT_OF(kinds); kind++) {
        for (uint32_t n = 0; n < 4; n++) {
            uint64_t at = n * PAGE_BYTES;
            if (kind == 0) spoil(path, at + 64 + prng_below(&rng, 4000), 1, 0x5a);
            if (kind == 1) spoil(path, at, PAGE_BYTES, 0);
            if (kind == 2)
                ASSERT_EQ(sim_file_write(w.machine, path, at, before + ((n + 1) % 4) * PAGE_BYTES, PAGE_BYTES),
                          STATUS_OK);
            if (kind == 3) ASSERT_EQ(sim_file_truncate(w.machine, path, at + prng_below(&rng, PAGE_BYTES)), STATUS_OK);
            if (kind == 4) {
                memcpy(page, before + at, PAGE_BYTES);
                page[0] ^= 1;
                ASSERT_EQ(sim_file_write(w.machine, path, at, page, PAGE_BYTES), STATUS_OK);
            }
            if (kind == 5) spoil(path, 0, 4 * PAGE_BYTES, 0xff);
            start();
            expect_all();
            ASSERT(rebuilt_lines >= 1 && rebuilt_lines <= (kind == 5 ? 4 : 1));
            ASSERT_EQ(damaged_lines, 0);
            ASSERT_EQ(world_stop(&w), STATUS_OK);
            ASSERT_EQ(sim_file_read(w.machine, path, 0, after, 4 * PAGE_BYTES), STATUS_OK);
            ASSERT_EQ(memcmp(before, after, 4 * PAGE_BYTES), 0);
        }
    }
    free(before);
    free(after);
    world_deinit(&w);
}

/* A batch of 9 MiB: a page in which no batch begins stands beside those that are damaged. */
static void d24_a_page_without_a_batch(void)
{
    begin(3, 64 << 20);
    ASSERT_EQ(world_stop(&w), STATUS_OK);
    w.config.batch_bytes_max = 20 << 20;
    w.config.journal_first_bytes = w.config.journal_bytes = 128 << 20;
    start();
    static uint8_t bytes[18 << 20];
    static struct partition_append op;
    append_some(100, 30000);
    struct world_batch big = {.records = 1, .value_bytes = 17 << 20, .time_ms = WORLD_TIME_MS + partition_log_end(p)};
    op = (struct partition_append){.done = ignore};
    partition_append(p, bytes, world_batch_make(&big, bytes, sizeof bytes), &op);
    world_pass(&w, NS_PER_S);
    ASSERT_EQ(op.status, STATUS_OK);
    append_some(300, 30000);
    ASSERT_EQ(world_stop(&w), STATUS_OK);
    const char *path = "/data/t-0/00000000000000000000.lidx";
    for (uint32_t mask = 1; mask < 8; mask++) {
        for (uint32_t n = 0; n < 3; n++)
            if ((mask & 1u << n) != 0) spoil(path, n * PAGE_BYTES + 100, 1, 0x77);
        start();
        struct partition_read *r = calloc(1, sizeof *r);
        for (int64_t offset = partition_log_end(p) - 1; offset >= 0; offset -= 7) {
            ASSERT_EQ(world_read(&w, p, offset, 100, r), STATUS_OK);
            partition_read_release(r);
        }
        free(r);
        ASSERT_EQ(damaged_lines, 0);
        ASSERT(rebuilt_lines > 0);
        ASSERT_EQ(world_stop(&w), STATUS_OK);
    }
    world_deinit(&w);
}

/* Index and log of one segment are damaged: its bytes up to there are not vouched for, others are served. */
static void d24_with_a_damaged_log(void)
{
    begin(4, 200 << 10);
    append_some(60, 20000);
    ASSERT_EQ(world_stop(&w), STATUS_OK);
    list(".lidx");
    ASSERT(files.count >= 5);
    ASSERT_EQ(sim_file_remove(w.machine, files.path[2]), STATUS_OK);
    list(".log");
    spoil(files.path[2], 70000, 1, 0x33);
    int64_t base = strtoll(files.path[2] + 10, NULL, 10), next = strtoll(files.path[3] + 10, NULL, 10);
    start();
    struct partition_read *r = calloc(1, sizeof *r);
    ASSERT_EQ(world_read(&w, p, base + 1, 100, r), STATUS_DAMAGED);
    ASSERT(damaged_lines > 0);
    ASSERT_EQ(rebuilt_lines, 0);
    ASSERT_EQ(world_read(&w, p, base - 1, 100, r), STATUS_OK);
    partition_read_release(r);
    ASSERT_EQ(world_read(&w, p, next, 100, r), STATUS_OK);
    partition_read_release(r);
    free(r);
    ASSERT_EQ(world_stop(&w), STATUS_OK);
    world_deinit(&w);
}

static uint64_t last_batch_pos(const char *path)
{
    uint64_t size, at = 0;
    uint8_t head[12];
    ASSERT_EQ(sim_file_size(w.machine, path, &size), STATUS_OK);
    for (;;) {
        ASSERT_EQ(sim_file_read(w.machine, path, at, head, sizeof head), STATUS_OK);
        uint64_t next = at + sizeof head + load_be32(head + 8);
        if (next >= size) return at;
        at = next;
    }
}

/* What the batch CRC does not cover and the index did: a leader epoch that is not the one of the epoch map, offsets
 * that reach into the next segment. They are not taken into a new index. */
static void d24_what_can_be_checked_is(void)
{
    for (int what = 0; what < 4; what++) {
        begin(5 + (uint64_t)what, 200 << 10);
        ASSERT_EQ(world_epoch(&w, p, 7), STATUS_OK);
        append_some(60, 20000);
        ASSERT_EQ(world_stop(&w), STATUS_OK);
        list(".lidx");
        ASSERT_EQ(sim_file_remove(w.machine, files.path[2]), STATUS_OK);
        list(".log");
        if (what == 0) spoil(files.path[2], 15, 1, 6); /* leader epoch */
        if (what == 1) spoil(files.path[2], 3, 1, 1);  /* base offset: far ahead */
        if (what == 2) spoil(files.path[2], 7, 1, 0);  /* base offset: before the segment */
        if (what == 3) spoil(files.path[2], last_batch_pos(files.path[2]) + 6, 1, 1); /* in the next segment */
        int64_t base = strtoll(files.path[2] + 10, NULL, 10);
        start();
        struct partition_read *r = calloc(1, sizeof *r);
        ASSERT_EQ(world_read(&w, p, base, 100, r), STATUS_DAMAGED);
        free(r);
        ASSERT_EQ(world_stop(&w), STATUS_OK);
        world_deinit(&w);
    }
}

struct flying {
    struct partition_read op;
    bool done;
};

static void landed(struct partition_read *op)
{
    container_of(op, struct flying, op)->done = true;
}

static bool all_landed(void *arg)
{
    struct flying *f = arg;
    for (int i = 0; i < 24; i++)
        if (!f[i].done) return false;
    return true;
}

/* Many readers at once, while records are cut, segments trimmed, pages written late; then everything is right. */
static void d24_with_cuts_and_trims_meanwhile(void)
{
    static struct flying f[24];
    for (uint64_t seed = 1; seed <= 12; seed++) {
        begin(20 + seed, 300 << 10);
        append_some(60, 20000);
        int64_t committed = partition_log_end(p);
        partition_replicated(p, committed);
        append_some(60, 20000);
        ASSERT_EQ(world_stop(&w), STATUS_OK);
        list(".lidx");
        for (uint32_t i = 0; i < files.count; i++) spoil(files.path[i], 80, 1, 0x44);
        start();
        sim_fault_add(w.machine, &(struct sim_fault_rule){.fault = SIM_FAULT_STALL,
                                                          .kinds = 1 << IO_WRITE | 1 << IO_READ,
                                                          .path = "*.l*",
                                                          .chance_ppm = 300000,
                                                          .delay_ns = 3 * NS_PER_MS});
        for (int i = 0; i < 24; i++) {
            f[i] = (struct flying){.op.done = landed};
            partition_read(p, (int64_t)prng_below(&rng, (uint64_t)committed), 100, &f[i].op);
        }
        world_pass(&w, (int64_t)prng_below(&rng, 2 * NS_PER_MS));
        enum status status = world_truncate(&w, p, committed + 5);
        ASSERT(status == STATUS_OK);
        append_some(10, 20000);
        ASSERT_EQ(world_log_start(&w, p, 20), STATUS_OK);
        ASSERT(sim_run_while_not(w.sim, all_landed, f, sim_now(w.sim) + 60 * NS_PER_S));
        for (int i = 0; i < 24; i++) {
            ASSERT(f[i].op.status == STATUS_OK || f[i].op.status == STATUS_BUSY ||
                   f[i].op.status == STATUS_OFFSET_OUT_OF_RANGE);
            partition_read_release(&f[i].op);
        }
        sim_fault_clear(w.machine);
        partition_replicated(p, partition_log_end(p));
        world_pass(&w, NS_PER_S);
        struct partition_read *r = calloc(1, sizeof *r);
        for (int round = 0; round < 2; round++) {
            for (int64_t offset = partition_log_start(p); offset < partition_log_end(p); offset++) {
                ASSERT_EQ(world_read(&w, p, offset, 100, r), STATUS_OK);
                partition_read_release(r);
            }
            if (round == 1) break;
            ASSERT_EQ(world_stop(&w), STATUS_OK);
            start();
            partition_replicated(p, partition_log_end(p));
        }
        free(r);
        ASSERT_EQ(damaged_lines, 0);
        ASSERT_EQ(world_stop(&w), STATUS_OK);
        world_deinit(&w);
    }
}

/* A page of the old log is still on its way to the disk when the log is cut below it and written anew (A2): the cut
 * waits for it. */
static void d24_a_late_page_of_a_cut_log(void)
{
    struct partition_read *r = calloc(1, sizeof *r);
    static struct flying late;
    begin(50, 64 << 20);
    append_some(300, 30000); /* 9 MB: into the second page */
    int64_t committed = partition_log_end(p);
    partition_replicated(p, committed);
    append_some(320, 30000); /* over the end of the second */
    ASSERT_EQ(world_stop(&w), STATUS_OK);
    spoil("/data/t-0/00000000000000000000.lidx", PAGE_BYTES + 80, 1, 0x44);
    start();
    sim_fault_add(
        w.machine,
        &(struct sim_fault_rule){
            .fault = SIM_FAULT_STALL, .kinds = 1 << IO_WRITE, .path = "*.lidx", .nth = 1, .delay_ns = 5 * NS_PER_S});
    late = (struct flying){.op.done = landed};
    partition_read(p, committed - 1, 100, &late.op);
    world_pass(&w, 50 * NS_PER_MS);
    ASSERT(!late.done);
    ASSERT_EQ(world_truncate(&w, p, committed), STATUS_OK);
    append_some(400, 31000);
    partition_replicated(p, partition_log_end(p));
    world_pass(&w, 10 * NS_PER_S);
    ASSERT(late.done);
    partition_read_release(&late.op);
    ASSERT_EQ(world_stop(&w), STATUS_OK);
    start();
    for (int64_t offset = 0; offset < partition_log_end(p); offset += 3) {
        ASSERT_EQ(world_read(&w, p, offset, 100, r), STATUS_OK);
        partition_read_release(r);
    }
    ASSERT_EQ(damaged_lines + rebuilt_lines, 0);
    free(r);
    ASSERT_EQ(world_stop(&w), STATUS_OK);
    world_deinit(&w);
}

/* The batch that reaches over the end of the page is damaged behind it: the page would vouch for its first part. */
static void d24_damage_behind_the_page(void)
{
    struct partition_read *r = calloc(1, sizeof *r);
    begin(51, 64 << 20);
    append_some(320, 30000);
    ASSERT_EQ(world_stop(&w), STATUS_OK);
    spoil("/data/t-0/00000000000000000000.lidx", 80, 1, 0x44);
    uint64_t page_end = 126 * 65536;
    spoil("/data/t-0/00000000000000000000.log", page_end + 100, 4, 0x21);
    start();
    ASSERT_EQ(world_read(&w, p, 3, 100, r), STATUS_DAMAGED);
    ASSERT(damaged_lines > 0);
    ASSERT_EQ(rebuilt_lines, 0);
    ASSERT_EQ(world_read(&w, p, partition_log_end(p) - 2, 100, r), STATUS_OK); /* by the page behind */
    partition_read_release(r);
    free(r);
    ASSERT_EQ(world_stop(&w), STATUS_OK);
    world_deinit(&w);
}

/* The repair's write fails: the disk is fenced, as after any failed write; a start repairs again. A full disk is no
 * failure: the read is BUSY until there is room. */
static void d24_the_repair_fails(void)
{
    struct partition_read *r = calloc(1, sizeof *r);
    begin(40, 200 << 10);
    append_some(40, 20000);
    ASSERT_EQ(world_stop(&w), STATUS_OK);
    list(".lidx");
    spoil(files.path[1], 80, 1, 0x44);
    int64_t base = strtoll(files.path[1] + 10, NULL, 10);
    start();
    sim_fault_add(w.machine, &(struct sim_fault_rule){
                                 .fault = SIM_FAULT_NO_SPACE, .kinds = 1 << IO_WRITE, .path = "*.lidx", .nth = 1});
    ASSERT_EQ(world_read(&w, p, base, 100, r), STATUS_OK); /* tried again by the read itself */
    partition_read_release(r);
    ASSERT_EQ(world_stop(&w), STATUS_OK);
    spoil(files.path[1], 80, 1, 0x44);
    start();
    sim_fault_add(w.machine,
                  &(struct sim_fault_rule){.fault = SIM_FAULT_EIO, .kinds = 1 << IO_WRITE, .path = "*.lidx", .nth = 1});
    ASSERT_EQ(world_read(&w, p, base, 100, r), STATUS_FENCED);
    ASSERT_EQ(partition_status(p), STATUS_FENCED);
    world_crash(&w, SIM_POWER);
    sim_fault_clear(w.machine);
    start();
    expect_all();
    free(r);
    ASSERT_EQ(world_stop(&w), STATUS_OK);
    world_deinit(&w);
}

TEST_MAIN("D24 index files", {"D24: deleted", d24_deleted}, {"D24: each page damaged", d24_each_page_damaged},
          {"D24: a page without a batch", d24_a_page_without_a_batch},
          {"D24: with a damaged log", d24_with_a_damaged_log},
          {"D24: what can be checked is", d24_what_can_be_checked_is},
          {"D24: with cuts and trims meanwhile", d24_with_cuts_and_trims_meanwhile},
          {"D24: a late page of a cut log", d24_a_late_page_of_a_cut_log},
          {"D24: damage behind the page", d24_damage_behind_the_page}, {"D24: the repair fails", d24_the_repair_fails})

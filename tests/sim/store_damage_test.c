// SPDX-License-Identifier: Apache-2.0
/* The damage matrix: every file of a store x every kind of damage at rest, one cell each in a child process.
 *
 * A cell ends well when the start refuses with a sentence, or when it starts and whatever is not served says so (a
 * damaged partition, a read answered DAMAGED). Broken: wrong bytes as good, records gone without a word, a CHECK, a
 * hang, a clean stop that fails. Two disks: one as kill -9 left it (the ring is needed), one after a clean stop. */
#include "base/bytes.h"
#include "protocol/batch_record.h"
#include "tests/sim/store_world.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RECORDS = 70, FILES_MAX = 64, CELLS_MIN = 300, KILLED_PARTITIONS = 2 };

enum outcome { REFUSED, NAMED, HARMLESS, WRONG_BYTES, SILENT_LOSS, STUCK, CRASHED, OUTCOMES };
static const char *const outcome_names[] = {"refused",     "named", "harmless", "WRONG BYTES",
                                            "SILENT LOSS", "STUCK", "CRASHED"};

struct file {
    char path[256];
    uint64_t size;
};

struct damage {
    const char *name;
    enum { FLIP, ZERO, DUPLICATE, SWAP, CUT, EXTEND, DELETE } kind;
    int64_t at; /* FLIP: byte; negative: from the end. Blocks: number; negative: the middle one, the last one */
};

static struct store_world world;
static struct file files[FILES_MAX];
static uint32_t file_count;
static int64_t ends[KILLED_PARTITIONS];
static uint32_t counts[OUTCOMES];
static char cell[512];

static void must(bool ok, const char *what)
{
    if (ok) return;
    (void)fprintf(stderr, "%s: %s\n", cell, what);
    exit(2);
}

/* --- the disk that is damaged --- */

static void list_dir(const char *dir);

static void list_entry(const char *name, bool is_dir, void *arg)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", (const char *)arg, name);
    if (is_dir) {
        list_dir(path);
        return;
    }
    must(file_count < FILES_MAX, "too many files");
    struct file *f = &files[file_count++];
    snprintf(f->path, sizeof f->path, "%s", path);
    must(sim_file_size(world.machine, path, &f->size) == STATUS_OK, "size");
}

static void list_dir(const char *dir)
{
    char copy[256];
    snprintf(copy, sizeof copy, "%s", dir);
    must(sim_file_list(world.machine, copy, list_entry, copy) == STATUS_OK, "list");
}

static void append(struct partition *p, int64_t tag)
{
    struct world_batch b = {.records = 1, .value_bytes = tag % 5 == 2 ? 20000 : 900, .tag = (uint64_t)tag};
    int64_t offset;
    must(world_append(&world, p, &b, &offset) == STATUS_OK && offset == tag, "append");
}

static void make_disk(bool clean)
{
    world_init(&world, 21, NULL);
    world.config.checkpoint_ms = 5;
    world.config.segment_bytes = 256 << 10;
    must(world_boot(&world, 1) == STATUS_OK, "boot");
    for (int32_t i = 0; i < KILLED_PARTITIONS; i++) {
        struct partition *p = world_create(&world, "t", i);
        for (ends[i] = 0; ends[i] < RECORDS; ends[i]++) {
            append(p, ends[i]);
            if (ends[i] == RECORDS / 2) world_pass(&world, 30 * NS_PER_MS);
        }
    }
    world.config.checkpoint_ms = 1 << 30; /* what follows is in the ring only */
    must(world_stop(&world) == STATUS_OK, "stop");
    if (!clean) {
        must(world_boot(&world, 1) == STATUS_OK, "boot");
        for (int32_t i = 0; i < KILLED_PARTITIONS; i++)
            for (int k = 0; k < 10; k++) append(world_find(&world, "t", i), ends[i]++);
        world_pass(&world, 100 * NS_PER_MS); /* the closing block is there */
        world_crash(&world, SIM_POWER);
    }
    file_count = 0;
    list_dir("/data");
}

/* --- damage --- */

static void block_read(const struct file *f, uint64_t block, uint8_t *out)
{
    uint64_t pos = block * BLOCK_BYTES;
    memset(out, 0, BLOCK_BYTES);
    if (pos < f->size)
        must(sim_file_read(world.machine, f->path, pos, out, (uint32_t)MIN(f->size - pos, (uint64_t)BLOCK_BYTES)) ==
                 STATUS_OK,
             "read");
}

static void block_write(const struct file *f, uint64_t block, const uint8_t *in)
{
    uint64_t pos = block * BLOCK_BYTES;
    if (pos < f->size)
        must(sim_file_write(world.machine, f->path, pos, in, (uint32_t)MIN(f->size - pos, (uint64_t)BLOCK_BYTES)) ==
                 STATUS_OK,
             "write");
}

static void flip(const struct file *f, uint64_t at)
{
    uint8_t byte;
    must(sim_file_read(world.machine, f->path, at, &byte, 1) == STATUS_OK, "read");
    byte ^= 0x10;
    must(sim_file_write(world.machine, f->path, at, &byte, 1) == STATUS_OK, "write");
}

/* False: the file is too short for it. */
static bool apply(const struct file *f, const struct damage *d)
{
    uint8_t a[BLOCK_BYTES], b[BLOCK_BYTES];
    uint64_t blocks = (f->size + BLOCK_BYTES - 1) / BLOCK_BYTES;
    uint64_t block = d->at >= 0 ? (uint64_t)d->at : d->at == -1 ? blocks / 2 : blocks - 1;
    switch (d->kind) {
    case FLIP:
        if (f->size < (uint64_t)(d->at < 0 ? -d->at : d->at + 1)) return false;
        flip(f, d->at < 0 ? f->size - (uint64_t)-d->at : (uint64_t)d->at);
        return true;
    case ZERO:
        if (block >= blocks) return false;
        memset(a, 0, sizeof a);
        block_write(f, block, a);
        return true;
    case DUPLICATE:
    case SWAP:
        if (block + 1 >= blocks) return false;
        block_read(f, block, a);
        block_read(f, block + 1, b);
        block_write(f, block + 1, a);
        if (d->kind == SWAP) block_write(f, block, b);
        return true;
    case CUT:
        if (f->size < (uint64_t)d->at) return false;
        must(sim_file_truncate(world.machine, f->path, f->size - (uint64_t)d->at) == STATUS_OK, "truncate");
        return true;
    case EXTEND:
        memset(a, 0xa5, sizeof a);
        must(sim_file_write(world.machine, f->path, f->size, a, (uint32_t)d->at) == STATUS_OK, "extend");
        return true;
    case DELETE: must(sim_file_remove(world.machine, f->path) == STATUS_OK, "remove"); return true;
    }
    return false;
}

/* --- what a start makes of it --- */

/* Each batch holds one record, whose tag is its offset. Returns the next offset, or -1: wrong bytes. */
static int64_t check_slices(const struct partition_read *r, int64_t next)
{
    struct mem *mem = mem_create(64 << 20);
    for (uint32_t i = 0; i < r->slice_count && next >= 0; i++) {
        const uint8_t *at = slice_data(r->slices[i]);
        for (uint32_t left = r->slices[i].len; left > 0 && next >= 0;) {
            struct batch_info info;
            struct batch_iter it;
            struct batch_record record;
            char tag[17] = {0};
            bool good = batch_parse(at, left, &info) == STATUS_OK && batch_crc_valid(at, &info) &&
                        info.base_offset == next && batch_iter_open(&it, at, &info, mem, 1 << 20) == STATUS_OK;
            if (!good) {
                next = -1;
                break;
            }
            if (batch_iter_next(&it, &record)) memcpy(tag, record.value, 16);
            next = batch_iter_close(&it) == STATUS_OK && strtoll(tag, NULL, 16) == next ? next + 1 : -1;
            at += info.size_bytes;
            left -= info.size_bytes;
        }
    }
    mem_destroy(mem);
    return next;
}

static enum outcome look_at(struct partition *p, int64_t end)
{
    if (p == NULL) return SILENT_LOSS;
    bool damaged = partition_status(p) == STATUS_DAMAGED;
    enum outcome worst = damaged ? NAMED : HARMLESS;
    struct partition_read *r = calloc(1, sizeof *r);
    for (int64_t next = 0; next < end;) {
        enum status status = world_read(&world, p, next, 64 << 10, r);
        if (status == STATUS_OK && r->slice_count > 0) {
            next = check_slices(r, next);
            partition_read_release(r);
            if (next < 0) return WRONG_BYTES;
            continue;
        }
        if (status == STATUS_BUSY) return STUCK;
        if (status == STATUS_OK || status == STATUS_OFFSET_OUT_OF_RANGE) { /* the log ends or begins elsewhere */
            if (!damaged) return SILENT_LOSS;
        }
        worst = NAMED;
        next++;
    }
    free(r);
    return worst;
}

static enum outcome start(void)
{
    if (world_boot(&world, 1) != STATUS_OK) return world.open[0].op.error[0] != '\0' ? REFUSED : SILENT_LOSS;
    enum outcome worst = HARMLESS;
    for (int32_t i = 0; i < KILLED_PARTITIONS; i++) {
        struct partition *p = world_find(&world, "t", i);
        enum outcome o = look_at(p, ends[i]);
        if (o == NAMED && worst == HARMLESS) worst = NAMED;
        if (o > HARMLESS) return o;
        if (partition_status(p) != STATUS_OK) continue;
        if (world_append(&world, p, &(struct world_batch){.records = 1, .value_bytes = 50}, NULL) != STATUS_OK)
            return STUCK;
    }
    return world_stop(&world) == STATUS_OK ? worst : STUCK;
}

static enum outcome run_cell(const struct file *f, const struct damage *d)
{
    fflush(NULL);
    pid_t pid = fork();
    must(pid >= 0, "fork");
    if (pid == 0) {
        (void)alarm(60);
        if (!apply(f, d)) _exit(OUTCOMES);
        _exit((int)start());
    }
    int status;
    must(waitpid(pid, &status, 0) == pid, "waitpid");
    if (WIFSIGNALED(status)) return WTERMSIG(status) == SIGALRM ? STUCK : CRASHED;
    return WEXITSTATUS(status) > OUTCOMES ? CRASHED : (enum outcome)WEXITSTATUS(status);
}

/* --- the matrix --- */

static const struct damage others[] = {
    {"flip in the body", FLIP, 4096 + 200},
    {"flip at 64 KiB", FLIP, 65536 + 300},
    {"flip of the last byte", FLIP, -1},
    {"flip near the end", FLIP, -700},
    {"zero block 0", ZERO, 0},
    {"zero block 1", ZERO, 1},
    {"zero the middle", ZERO, -1},
    {"zero the last", ZERO, -2},
    {"duplicate block 0", DUPLICATE, 0},
    {"duplicate block 2", DUPLICATE, 2},
    {"swap blocks 0, 1", SWAP, 0},
    {"swap blocks 2, 3", SWAP, 2},
    {"cut 1", CUT, 1},
    {"cut 512", CUT, 512},
    {"cut 4096", CUT, 4096},
    {"extend 1", EXTEND, 1},
    {"extend 512", EXTEND, 512},
    {"extend 4096", EXTEND, 4096},
    {"delete", DELETE, 0},
};

static bool try_cell(const char *disk, const struct file *f, const struct damage *d)
{
    snprintf(cell, sizeof cell, "%s, %s, %s %lld", disk, f->path, d->name, (long long)d->at);
    enum outcome o = run_cell(f, d);
    if (o == OUTCOMES) return true;
    counts[o]++;
    bool derived = strstr(f->path, ".lidx") != NULL; /* made anew: nobody notices (D24) */
    bool good = o == HARMLESS || (o < HARMLESS && !derived);
    if (!good) printf("%s: %s\n", cell, outcome_names[o]);
    return good;
}

static bool try_file(const char *disk, const struct file *f)
{
    bool good = true;
    for (int64_t at = 1; at < 128; at += 4) /* a bit of each field */
        good &= try_cell(disk, f, &(struct damage){"flip in the header at", FLIP, at});
    for (size_t i = 0; i < COUNT_OF(others); i++) good &= try_cell(disk, f, &others[i]);
    return good;
}

int main(void)
{
    bool good = true;
    for (int clean = 0; clean < 2; clean++) {
        make_disk(clean);
        for (uint32_t i = 0; i < file_count; i++) good &= try_file(clean ? "clean stop" : "power cut", &files[i]);
        world_deinit(&world);
    }
    uint32_t cells = 0;
    for (int o = 0; o < OUTCOMES; o++) cells += counts[o];
    printf("damage matrix: %u cells:", cells);
    for (int o = 0; o < OUTCOMES; o++) printf(" %u %s%s", counts[o], outcome_names[o], o + 1 < OUTCOMES ? "," : "\n");
    return good && cells >= CELLS_MIN ? 0 : 1;
}

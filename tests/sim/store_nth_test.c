// SPDX-License-Identifier: Apache-2.0
/* The n-th I/O fails, for every n and every kind of failure: a scripted life of a store, one fault in it, a restart.
 *
 * What must hold: no CHECK, no hang; what was acknowledged is there after the restart, byte for byte; a fence is final
 * (after the first FENCED nothing is acknowledged); a short transfer is no failure at all. The start itself may fail
 * while the fault is on (with a sentence), not after it. */
#include "base/bytes.h"
#include "protocol/batch_record.h"
#include "tests/sim/store_world.h"
#include <stdio.h>
#include <stdlib.h>

enum { APPENDS = 60, POINTS_MIN = 2000 };

struct script {
    struct store_world w;
    uint64_t acked[APPENDS * 2]; /* tag + 1 by offset; 0: nobody was told */
    int64_t end, start;
    bool created, fenced;
    uint32_t fences, refused_starts;
};

static struct script script;
static char point[128];

#define MUST(cond)                                                                                                     \
    do {                                                                                                               \
        if (!(cond)) {                                                                                                 \
            (void)fprintf(stderr, "%s: broken: %s (line %d)\n", point, #cond, __LINE__);                               \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

static void note(struct script *s, enum status status)
{
    if (status == STATUS_FENCED) s->fenced = true;
    if (status == STATUS_OK) MUST(!s->fenced);
}

static void append_some(struct script *s, struct partition *p, uint64_t from, uint64_t count)
{
    for (uint64_t tag = from; tag < from + count; tag++) {
        uint32_t bytes = tag % 7 == 3 ? 60000 : 700;
        int64_t offset;
        enum status status =
            world_append(&s->w, p, &(struct world_batch){.records = 1, .value_bytes = bytes, .tag = tag}, &offset);
        note(s, status);
        if (status != STATUS_OK) continue;
        MUST(offset >= s->end && offset < (int64_t)COUNT_OF(s->acked));
        s->acked[offset] = tag + 1;
        s->end = offset + 1;
    }
}

/* Create, append, cut the front off, start an epoch, stop, start again, append. False: the store is not open. */
static bool live(struct script *s)
{
    if (world_boot(&s->w, 1) != STATUS_OK) {
        MUST(s->w.open[0].op.error[0] != '\0');
        s->refused_starts++;
        return false;
    }
    struct partition *p = world_create(&s->w, "t", 0);
    s->created = p != NULL;
    if (p == NULL) return true;
    append_some(s, p, 0, APPENDS / 2);
    world_pass(&s->w, 30 * NS_PER_MS);
    enum status status = world_log_start(&s->w, p, 4);
    note(s, status);
    if (status == STATUS_OK) s->start = 4;
    note(s, world_epoch(&s->w, p, 3));
    append_some(s, p, APPENDS / 2, APPENDS / 4);
    (void)world_stop(&s->w);
    s->fenced = false;
    if (world_boot(&s->w, 1) != STATUS_OK) {
        MUST(s->w.open[0].op.error[0] != '\0');
        s->refused_starts++;
        return false;
    }
    p = world_find(&s->w, "t", 0);
    MUST(p != NULL);
    append_some(s, p, 3 * APPENDS / 4, APPENDS / 4);
    return true;
}

static void check_batch(struct script *s, const uint8_t *at, const struct batch_info *info, struct mem *mem)
{
    struct batch_iter it;
    struct batch_record record;
    char tag[17] = {0};
    MUST(batch_crc_valid(at, info));
    MUST(batch_iter_open(&it, at, info, mem, 1 << 20) == STATUS_OK);
    MUST(batch_iter_next(&it, &record));
    memcpy(tag, record.value, 16);
    uint64_t acked = info->base_offset < s->end ? s->acked[info->base_offset] : 0;
    if (acked != 0) MUST(strtoull(tag, NULL, 16) + 1 == acked);
    MUST(batch_iter_close(&it) == STATUS_OK);
}

/* An unacknowledged batch that is there (indefinite) may only stand behind the acknowledged ones or between them where
 * a FENCED append left it. */
static void check_log(struct script *s, struct partition *p)
{
    struct mem *mem = mem_create(64 << 20);
    struct partition_read *r = calloc(1, sizeof *r);
    int64_t next = partition_log_start(p);
    while (next < partition_high_watermark(p)) {
        MUST(world_read(&s->w, p, next, 200 << 10, r) == STATUS_OK && r->slice_count > 0);
        for (uint32_t i = 0; i < r->slice_count; i++) {
            const uint8_t *at = slice_data(r->slices[i]);
            for (uint32_t left = r->slices[i].len; left > 0;) {
                struct batch_info info;
                MUST(batch_parse(at, left, &info) == STATUS_OK && info.base_offset == next);
                check_batch(s, at, &info, mem);
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

static struct partition *start_again(struct script *s, enum sim_kill how)
{
    const char *error;
    sim_fault_clear(s->w.machine);
    world_crash(&s->w, how);
    (void)world_boot(&s->w, 1);
    enum status status = world_open_status(&s->w, &error);
    if (status != STATUS_OK) (void)fprintf(stderr, "%s: %s\n", point, error);
    MUST(status == STATUS_OK);
    struct partition *p = world_find(&s->w, "t", 0);
    MUST(p != NULL || !s->created);
    if (p != NULL) MUST(partition_status(p) == STATUS_OK && partition_high_watermark(p) >= s->end);
    return p;
}

/* A process that is only killed leaves what a failed flush left in caches; what the next one tells of it must outlive
 * the power (rule A7). */
static void restart(struct script *s, bool power)
{
    struct partition *p;
    if (!power) {
        p = start_again(s, SIM_KILL);
        if (p != NULL) s->end = partition_high_watermark(p);
    }
    p = start_again(s, SIM_POWER);
    if (p != NULL) {
        MUST(partition_log_start(p) >= s->start);
        check_log(s, p);
    }
    MUST(world_stop(&s->w) == STATUS_OK);
}

/* One life with the fault at the n-th I/O (0: none). Returns the I/Os of it. */
static uint64_t try(enum sim_fault fault, uint64_t nth, bool power)
{
    struct script *s = &script;
    uint64_t ops;
    memset(s, 0, sizeof *s);
    world_init(&s->w, 11, NULL);
    s->w.config.checkpoint_ms = 3;
    s->w.config.segment_bytes = 256 << 10;
    s->w.config.group_bytes = 128 << 10;
    s->w.config.batch_bytes_max = 80 << 10;
    s->w.config.journal_first_bytes = 2 << 20;
    s->w.config.journal_bytes = 5 << 19; /* grows by one file */
    s->w.config.piece_bytes = 32 << 10;
    if (nth > 0) sim_fault_add(s->w.machine, &(struct sim_fault_rule){.fault = fault, .nth = nth});
    (void)live(s);
    ops = sim_fault_ops(s->w.machine);
    restart(s, power);
    world_deinit(&s->w);
    return ops;
}

int main(int argc, char **argv)
{
    static const struct {
        enum sim_fault fault;
        const char *name;
    } faults[] = {{SIM_FAULT_EIO, "EIO"},
                  {SIM_FAULT_NO_SPACE, "ENOSPC"},
                  {SIM_FAULT_READ_ONLY, "EROFS"},
                  {SIM_FAULT_SHORT, "short"}};
    uint64_t points = 0, refused = 0;
    uint64_t step = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    snprintf(point, sizeof point, "no fault");
    uint64_t ops = try(SIM_FAULT_NONE, 0, true);
    for (size_t f = 0; f < COUNT_OF(faults); f++) {
        for (uint64_t nth = 1; nth <= ops; nth += step) {
            for (int power = 0; power < 2; power++) {
                snprintf(point, sizeof point, "%s at I/O %llu, then %s", faults[f].name, (unsigned long long)nth,
                         power ? "a power cut" : "kill -9");
                (void)try(faults[f].fault, nth, power);
                refused += script.refused_starts;
                points++;
            }
        }
    }
    printf("nth I/O: %llu points (%llu I/Os, 4 faults, kill and power cut), %llu starts refused with a sentence, 0 "
           "violations\n",
           (unsigned long long)points, (unsigned long long)ops, (unsigned long long)refused);
    return points * step >= POINTS_MIN ? 0 : 1;
}

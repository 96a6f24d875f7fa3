// SPDX-License-Identifier: Apache-2.0
/* The driver's operations: each begins here at random, several are in flight, and each answer is judged as it comes.
 * An answer that a fault explains (FENCED after a failed write, IO_ERROR of a read) is no answer: the model keeps both
 * outcomes open until the next start shows which it was. */
#include "tests/sim/store_driver.h"

#include "base/bytes.h"
#include "protocol/batch_record.h"
#include <stdio.h>
#include <stdlib.h>

#define BATCH_BYTES (96u << 10)

enum driver_kind { DO_APPEND, DO_READ, DO_LOOKUP, DO_EPOCH, DO_CUT, DO_LOG_START };

struct driver_op {
    enum driver_kind kind;
    struct driver *d;
    struct driver_part *part;
    uint64_t id;
    int64_t offset; /* asked for, or accepted at */
    int32_t epoch;
    int64_t time_ms, high_watermark; /* of a lookup: asked for, and where it ends */
    enum status expected;
    union {
        struct partition_append append;
        struct partition_read read;
        struct partition_lookup lookup;
        struct partition_change change;
    };
};

uint64_t driver_pick(struct driver *d, uint64_t n)
{
    return sim_random(d->w.sim) % n;
}

bool driver_chance(struct driver *d, uint32_t percent)
{
    return driver_pick(d, 100) < percent;
}

static void print_name(const char *name, bool is_dir, void *arg)
{
    printf("%s/%s%s\n", (const char *)arg, name, is_dir ? "/" : "");
}

void driver_list(struct driver *d, const char *dir)
{
    if (sim_file_list(d->w.machine, dir, print_name, (void *)(uintptr_t)dir) != STATUS_OK) printf("no %s\n", dir);
}

void driver_broken(struct driver *d, const struct driver_part *part, const char *what)
{
    printf("\nBROKEN seed %llu, %s-%d at %.6f s: %s\nagain: store_seeds --seed %llu --trace\n",
           (unsigned long long)d->seed, part != NULL ? part->topic : "store", part != NULL ? part->number : 0,
           (double)sim_now(d->w.sim) / 1e9, what, (unsigned long long)d->seed);
    exit(1);
}

static struct driver_op *begin(struct driver *d, struct driver_part *part, enum driver_kind kind)
{
    if (d->op_count == DRIVER_OPS) return NULL;
    struct driver_op *op = calloc(1, sizeof *op);
    *op = (struct driver_op){.kind = kind, .d = d, .part = part, .id = ++d->next_id};
    d->ops[d->op_count++] = op;
    return op;
}

static void end(struct driver_op *op)
{
    struct driver *d = op->d;
    for (uint32_t i = 0; i < d->op_count; i++) {
        if (d->ops[i] != op) continue;
        d->ops[i] = d->ops[--d->op_count];
        free(op);
        return;
    }
    CHECK(false);
}

void driver_forget(struct driver *d)
{
    while (d->op_count > 0) free(d->ops[--d->op_count]);
}

static void judge(struct driver_op *op, const char *wrong)
{
    if (wrong != NULL) driver_broken(op->d, op->part, wrong);
}

/* A status that the injected faults, or a full ring, explain. */
static bool excused(const struct driver *d, enum status status)
{
    switch ((int)status) {
    case STATUS_BUSY: return true;
    case STATUS_NOT_LEADER: return d->stopping;
    case STATUS_NO_SPACE: return d->no_space || sim_now(d->w.sim) < d->space_ns;
    case STATUS_FENCED: return d->io_faults;
    case STATUS_IO_ERROR: return d->io_faults || d->read_faults;
    case STATUS_TOO_MANY_FILES: return d->read_faults;
    default: return false;
    }
}

/* --- append --- */

static void appended(struct partition_append *a)
{
    struct driver_op *op = container_of(a, struct driver_op, append);
    struct driver *d = op->d;
    if (a->status == STATUS_OK) {
        if (a->base_offset != op->offset)
            judge(op, model_wrong("acknowledged at %lld, accepted at %lld", (long long)a->base_offset,
                                  (long long)op->offset));
        if (a->duplicate)
            d->totals->duplicates++;
        else
            judge(op, model_ack(&op->part->log, op->id));
        d->totals->acked++;
    } else if (a->status == op->expected) {
        d->totals->refused_sequences++;
    } else if (!excused(d, a->status)) {
        judge(op,
              model_wrong("append answered with %s, expected %s", status_text(a->status), status_text(op->expected)));
    } else {
        d->totals->busy += a->status == STATUS_BUSY;
    }
    driver_look(d);
    end(op);
}

/* Sizes: mostly small, some of several blocks, a few near the limit. */
static uint32_t random_size(struct driver *d)
{
    uint64_t kind = driver_pick(d, 20);
    uint64_t most = d->w.config.batch_bytes_max - 2048;
    if (kind < 12) return (uint32_t)(24 + driver_pick(d, 1500));
    if (kind < 19) return (uint32_t)(24 + driver_pick(d, MIN(20000u, most)));
    return (uint32_t)(24 + driver_pick(d, most));
}

/* Next batch, a repeat of one that is in the log, a gap, an old epoch, a new one. */
static void random_sequence(struct driver *d, struct driver_part *part, struct world_batch *b)
{
    struct driver_producer *x = &part->producers[driver_pick(d, DRIVER_PRODUCERS)];
    uint64_t how = driver_pick(d, 20);
    b->has_producer = true;
    b->producer_id = x->id;
    b->epoch = x->epoch;
    b->sequence = x->next;
    if (how < 6 && part->log.count > 0) {
        uint32_t back = (uint32_t)driver_pick(d, MIN(part->log.count, 24u));
        const struct model_batch *m = &part->log.batches[part->log.count - 1 - back];
        if (m->producer_id < 0) return;
        b->producer_id = m->producer_id;
        b->epoch = m->producer_epoch;
        b->sequence = m->first_sequence;
        b->records = m->records;
    } else if (how == 6) {
        b->sequence += 1 + (int32_t)driver_pick(d, 3);
    } else if (how == 7 && x->epoch > 0) {
        b->epoch--;
    } else if (how == 8) {
        x->epoch++;
        b->epoch = x->epoch;
        b->sequence = x->next = 0;
    }
}

/* They rise in the long run and go back now and then; some batches are compressed. */
static void random_times(struct driver *d, struct world_batch *b)
{
    b->time_ms = WORLD_TIME_MS + sim_now(d->w.sim) / NS_PER_MS + (int64_t)driver_pick(d, 500) - 250;
    b->time_step = (int64_t)driver_pick(d, 21) - 10;
    if (driver_chance(d, 25)) b->codec = (enum codec)driver_pick(d, CODEC_COUNT);
}

static void producers_learn(struct driver_part *part, const struct batch_info *b)
{
    for (int i = 0; i < DRIVER_PRODUCERS; i++) {
        struct driver_producer *x = &part->producers[i];
        if (x->id == b->producer_id && x->epoch == b->producer_epoch) x->next = b->base_sequence + b->record_count;
    }
}

static void do_append(struct driver *d, struct driver_part *part)
{
    struct driver_op *op = begin(d, part, DO_APPEND);
    if (op == NULL) return;
    struct world_batch b = {.records = 1 + (int32_t)driver_pick(d, 4), .tag = op->id};
    if (driver_chance(d, 60)) random_sequence(d, part, &b);
    b.value_bytes = random_size(d) / (uint32_t)b.records;
    random_times(d, &b);
    if (part->log.compacted) {
        b.keyed = true;
        b.key = driver_pick(d, MODEL_KEYS - 4);
        b.tombstones = driver_chance(d, 15);
    }
    uint32_t len = world_batch_make(&b, d->bytes, BATCH_BYTES);
    struct batch_info info;
    CHECK_OK(batch_parse(d->bytes, len, &info));
    op->offset = NO_OFFSET;
    op->expected = model_expect(&part->log, &info, &op->offset);
    op->append.done = appended;
    partition_append(part->p, d->bytes, len, &op->append);
    d->totals->appends++;
    if (op->append.refusal != STATUS_OK) return; /* judged when it is answered */
    if (op->append.duplicate != (op->expected == STATUS_SEQUENCE_DUPLICATE))
        judge(op, model_wrong("%s as a duplicate, expected %s", op->append.duplicate ? "taken" : "not taken",
                              status_text(op->expected)));
    if (op->append.duplicate) return;
    if (op->expected != STATUS_OK)
        judge(op, model_wrong("accepted at %lld, expected %s", (long long)op->append.base_offset,
                              status_text(op->expected)));
    op->offset = part->log.log_end;
    model_accept(&part->log, op->id, &info, d->bytes);
    model_times(&part->log, b.time_ms, b.time_step);
    if (b.keyed) model_keys(&part->log, b.key, b.tombstones);
    if (op->append.base_offset != op->offset)
        judge(op, model_wrong("accepted at %lld, the log ended at %lld", (long long)op->append.base_offset,
                              (long long)op->offset));
    if (info.producer_id >= 0) producers_learn(part, &info);
}

/* --- read --- */

/* The keys are numbers behind a k (store_world.c). */
static void see_keys(const uint8_t *at, uint32_t len, int64_t *seen)
{
    struct batch_info info;
    struct batch_iter it;
    struct batch_record r;
    struct mem *mem = mem_create(64u << 20);
    CHECK_OK(batch_parse(at, len, &info));
    CHECK_OK(batch_iter_open(&it, at, &info, mem, 1u << 20));
    while (batch_iter_next(&it, &r)) {
        char key[8] = {0};
        CHECK(r.key_len >= 2 && r.key_len < (int32_t)sizeof key);
        memcpy(key, r.key, (size_t)r.key_len);
        unsigned long k = strtoul(key + 1, NULL, 10);
        CHECK(k < MODEL_KEYS);
        seen[k] = r.offset;
    }
    CHECK_OK(batch_iter_close(&it));
    mem_destroy(mem);
}

/* seen: of a compacted log, by key; or NULL. */
static const char *compare_slices(const struct driver_part *part, const struct partition_read *r, int64_t *next,
                                  int64_t *seen)
{
    for (uint32_t i = 0; i < r->slice_count; i++) {
        const uint8_t *at = slice_data(r->slices[i]);
        for (uint32_t left = r->slices[i].len, len; left > 0; at += len, left -= len) {
            int64_t before = *next;
            int64_t hw = partition_high_watermark(part->p);
            const char *wrong = part->log.compacted ? model_compare_thinned(&part->log, at, left, hw, next, &len)
                                                    : model_compare(&part->log, at, left, next, &len);
            if (wrong != NULL) return wrong;
            if (*next <= before) return model_wrong("read of %lld: an earlier batch", (long long)before);
            wrong = model_gap(&part->log, before, (int64_t)load_be64(at), hw);
            if (wrong != NULL) return wrong;
            if (seen != NULL) see_keys(at, len, seen);
        }
    }
    return NULL;
}

static void has_read(struct partition_read *r)
{
    struct driver_op *op = container_of(r, struct driver_op, read);
    struct driver *d = op->d;
    int64_t next = op->offset;
    if (r->status == STATUS_OK) {
        judge(op, compare_slices(op->part, r, &next, NULL));
        if (r->slice_count == 0 && op->offset != r->high_watermark)
            judge(op, model_wrong("read of %lld below the watermark: nothing", (long long)op->offset));
        d->totals->reads++;
    } else if (r->status == STATUS_OFFSET_OUT_OF_RANGE) {
        if (op->offset >= partition_log_start(op->part->p)) judge(op, "out of range, but it is in the log");
    } else if (!excused(d, r->status)) {
        judge(op, model_wrong("read of %lld: %s", (long long)op->offset, status_text(r->status)));
    }
    partition_read_release(r);
    end(op);
}

static void do_read(struct driver *d, struct driver_part *part)
{
    int64_t start = partition_log_start(part->p), hw = partition_high_watermark(part->p);
    if (hw < start) driver_broken(d, part, "the watermark is below the log start");
    struct driver_op *op = begin(d, part, DO_READ);
    if (op == NULL) return;
    op->offset = start + (int64_t)driver_pick(d, (uint64_t)(hw - start) + 1);
    op->read.done = has_read;
    partition_read(part->p, op->offset, (uint32_t)(1 + driver_pick(d, 200 << 10)), &op->read);
}

/* --- lookup by time --- */

/* The log start may have moved meanwhile: then what was right at any moment between is right. */
static void looked(struct partition_lookup *k)
{
    struct driver_op *op = container_of(k, struct driver_op, lookup);
    const struct model_log *l = &op->part->log;
    if (k->status == STATUS_OK && l->compacted) {
        judge(op, model_looked(l, op->time_ms, MAX(op->offset, partition_log_start(op->part->p)), op->high_watermark,
                               partition_high_watermark(op->part->p), k->offset, k->timestamp_ms, k->epoch));
        op->d->totals->lookups++;
    } else if (k->status == STATUS_OK) {
        int64_t ms, to = op->high_watermark, now = partition_log_start(op->part->p);
        int32_t epoch;
        int64_t early = model_lookup(l, op->time_ms, op->offset, to, &ms, &epoch);
        if (k->offset != early && now > op->offset) {
            int64_t late = model_lookup(l, op->time_ms, now, to, &ms, &epoch);
            if (k->offset != late && k->offset > early && (late < 0 || k->offset < late))
                late = model_lookup(l, op->time_ms, k->offset, to, &ms, &epoch);
            early = late;
        }
        if (k->offset != early || k->timestamp_ms != ms || k->epoch != epoch)
            judge(op, model_wrong("lookup of %lld among [%lld, %lld): %lld at %lld, epoch %d; expected %lld at %lld, "
                                  "epoch %d",
                                  (long long)op->time_ms, (long long)op->offset, (long long)to, (long long)k->offset,
                                  (long long)k->timestamp_ms, k->epoch, (long long)early, (long long)ms, epoch));
        op->d->totals->lookups++;
    } else if (!excused(op->d, k->status)) {
        judge(op, model_wrong("lookup of %lld: %s", (long long)op->time_ms, status_text(k->status)));
    }
    end(op);
}

static void do_lookup(struct driver *d, struct driver_part *part)
{
    struct driver_op *op = begin(d, part, DO_LOOKUP);
    if (op == NULL) return;
    op->offset = partition_log_start(part->p);
    op->high_watermark = partition_high_watermark(part->p);
    op->time_ms = WORLD_TIME_MS - 300 + (int64_t)driver_pick(d, (uint64_t)(sim_now(d->w.sim) / NS_PER_MS) + 700);
    if (driver_chance(d, 25)) op->time_ms = -3;
    op->lookup.done = looked;
    partition_lookup_time(part->p, op->time_ms, &op->lookup);
}

/* --- changes --- */

static void changed(struct partition_change *c)
{
    struct driver_op *op = container_of(c, struct driver_op, change);
    struct driver_part *part = op->part;
    struct driver *d = op->d;
    bool ok = c->status == STATUS_OK;
    if (!ok && !excused(d, c->status)) judge(op, model_wrong("change %d: %s", op->kind, status_text(c->status)));
    switch (op->kind) {
    case DO_EPOCH:
        if (ok) part->log.epoch_acked = MAX(part->log.epoch_acked, op->epoch);
        if (!ok && c->status == STATUS_BUSY) part->wants_epoch = true;
        d->totals->epochs++;
        break;
    case DO_CUT:
        part->cutting = false;
        if (ok) model_cut(&part->log, op->offset);
        if (c->status != STATUS_FENCED) part->log.cut = NO_OFFSET;
        d->totals->cuts += ok;
        break;
    case DO_LOG_START:
        if (ok) part->log.log_start_seen = MAX(part->log.log_start_seen, op->offset);
        d->totals->log_starts += ok;
        break;
    case DO_APPEND:
    case DO_READ:
    case DO_LOOKUP: break;
    }
    driver_look(d);
    end(op);
}

static void do_epoch(struct driver *d, struct driver_part *part)
{
    struct driver_op *op = begin(d, part, DO_EPOCH);
    if (op == NULL) return;
    op->epoch = part->log.epoch_accepted + 1 + (int32_t)driver_pick(d, 2);
    op->change.done = changed;
    partition_epoch_start(part->p, op->epoch, &op->change);
    if (partition_epoch(part->p) != op->epoch) return; /* refused */
    part->log.epoch_accepted = op->epoch;
    part->wants_epoch = false;
}

static void do_cut(struct driver *d, struct driver_part *part)
{
    int64_t hw = partition_high_watermark(part->p), log_end = part->log.log_end;
    if (hw == log_end) return;
    struct driver_op *op = begin(d, part, DO_CUT);
    if (op == NULL) return;
    op->offset = MAX(hw + (int64_t)driver_pick(d, (uint64_t)(log_end - hw) + 1), part->log.log_start_accepted);
    op->change.done = changed;
    part->cutting = true;
    part->wants_epoch = true;
    part->log.cut = op->offset;
    partition_truncate(part->p, op->offset, &op->change);
}

static void do_log_start(struct driver *d, struct driver_part *part)
{
    int64_t start = part->log.log_start_accepted, hw = partition_high_watermark(part->p);
    struct driver_op *op = begin(d, part, DO_LOG_START);
    if (op == NULL) return;
    op->offset = start + (int64_t)driver_pick(d, (uint64_t)(MAX(hw, start) - start) / 2 + 1);
    op->change.done = changed;
    part->log.log_start_accepted = op->offset;
    partition_log_start_move(part->p, op->offset, &op->change);
}

/* A watermark lies between batches, and others do not allow what is not durable here. */
static void do_replicated(struct driver *d, struct driver_part *part)
{
    if (part->log.count == 0) return;
    const struct model_batch *b = &part->log.batches[driver_pick(d, part->log.count)];
    if (b->acked) partition_replicated(part->p, b->base + b->records);
    driver_look(d);
}

/* --- settings --- */

void driver_configure(struct driver *d, struct driver_part *part)
{
    struct partition_settings s;
    partition_settings_init(world_store(&d->w, part->topic, part->number), &s);
    if (driver_chance(d, 50)) s.segment_bytes = (uint64_t)(32 + driver_pick(d, 512)) << 10;
    if (driver_chance(d, 20)) s.segment_ms = 100;
    if (driver_chance(d, 30)) s.retention_bytes = (int64_t)driver_pick(d, 512 << 10);
    if (driver_chance(d, 20)) s.retention_ms = (int64_t)driver_pick(d, 2000);
    s.deletes = driver_chance(d, 80);
    if (part->log.compacted) {
        s.compacts = driver_chance(d, 85);
        s.segment_bytes = (uint64_t)(4 + driver_pick(d, 60)) << 10;
        s.min_dirty_ratio = (double)driver_pick(d, 60) / 100;
        s.delete_retention_ms = (int64_t)driver_pick(d, 2000);
        if (driver_chance(d, 20)) s.min_lag_ms = (int64_t)driver_pick(d, 500);
        if (driver_chance(d, 20)) s.max_lag_ms = 500 + (int64_t)driver_pick(d, 500);
    }
    if (s.deletes && (s.retention_bytes >= 0 || s.retention_ms >= 0)) part->retains = true;
    CHECK_OK(partition_configure(part->p, &s));
}

void driver_look(struct driver *d)
{
    for (uint32_t i = 0; i < d->part_count; i++) {
        struct driver_part *part = &d->parts[i];
        if (part->p == NULL || !part->made) continue;
        int64_t hw = partition_high_watermark(part->p), start = partition_log_start(part->p);
        if (hw < part->log.high_watermark_seen) driver_broken(d, part, "the high watermark went back");
        if (start < part->log.log_start_seen) driver_broken(d, part, "the log start went back");
        if (start > hw) driver_broken(d, part, "the log start is above the high watermark");
        if (start > part->log.log_start_accepted && !part->retains)
            driver_broken(d, part, "the log start moved, and nobody asked for it");
        d->totals->trims += start > part->log.log_start_accepted;
        part->log.high_watermark_seen = hw;
        part->log.log_start_seen = start;
        part->log.log_start_accepted = MAX(part->log.log_start_accepted, start);
    }
}

void driver_step(struct driver *d)
{
    struct driver_part *part = &d->parts[driver_pick(d, d->part_count)];
    uint64_t what = driver_pick(d, 100);
    if (part->p == NULL || part->cutting) return;
    if (driver_chance(d, 1)) driver_configure(d, part);
    if (part->wants_epoch)
        do_epoch(d, part);
    else if (what < 62)
        do_append(d, part);
    else if (what < 75)
        do_read(d, part);
    else if (what < 80)
        do_lookup(d, part);
    else if (what < 84)
        do_epoch(d, part);
    else if (what < 89)
        do_log_start(d, part);
    else if (part->log.replicated && what < 95)
        do_replicated(d, part);
    else if (part->log.replicated)
        do_cut(d, part);
}

/* --- all of a log --- */

static void verify_epochs(struct driver *d, struct driver_part *part)
{
    for (int32_t epoch = 1; epoch <= part->log.epoch_accepted; epoch++) {
        int64_t want = model_epoch_end(&part->log, epoch), end_offset;
        int32_t found;
        if (want == NO_OFFSET) continue;
        partition_epoch_end(part->p, epoch, &found, &end_offset);
        if (found != epoch || end_offset != want)
            driver_broken(d, part,
                          model_wrong("epoch %d ends at %lld, answered: %d ends at %lld", epoch, (long long)want, found,
                                      (long long)end_offset));
    }
}

void driver_verify(struct driver *d, struct driver_part *part)
{
    struct partition_read *r = calloc(1, sizeof *r);
    int64_t next = partition_log_start(part->p), seen[MODEL_KEYS];
    for (uint32_t i = 0; i < MODEL_KEYS; i++) seen[i] = -1;
    CHECK(partition_high_watermark(part->p) == part->log.log_end);
    for (int tries = 0; next < part->log.log_end;) {
        enum status status = world_read(&d->w, part->p, next, 256 << 10, r);
        if (status == STATUS_BUSY && ++tries < 1000) {
            world_pass(&d->w, NS_PER_MS);
            continue;
        }
        if (status != STATUS_OK)
            driver_broken(d, part,
                          model_wrong("read of %lld after the start: %s", (long long)next, status_text(status)));
        const char *wrong =
            r->slice_count == 0 ? "an empty answer" : compare_slices(part, r, &next, part->log.compacted ? seen : NULL);
        if (wrong != NULL) driver_broken(d, part, wrong);
        partition_read_release(r);
    }
    free(r);
    const char *wrong = part->log.compacted ? model_newest(&part->log, partition_log_start(part->p), seen) : NULL;
    if (wrong != NULL) driver_broken(d, part, wrong);
    verify_epochs(d, part);
}

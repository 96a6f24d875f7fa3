// SPDX-License-Identifier: Apache-2.0
/* The storage engine as the crash tester's workload: on the real env, in the directory that the tester cuts the power
 * of.
 *
 *   store_workload run DIR SEED [fault]          appends, moves log starts, starts epochs, stops cleanly, opens again
 *   store_workload verify DIR MARKSFILE [fault]  exits 1 if a promise does not hold
 *
 * Marks: "made p" partition p exists; "ack p offset records tag" an append; "cut p offset" (asked) and "start p offset"
 * (durable) a log start; "lead p epoch" (asked) and "epoch p epoch" (durable). A batch's bytes follow from its tag,
 * which holds the partition and grows along its log, so a batch that nobody acknowledged is checked as well: each byte
 * below the high watermark is one that was sent, in the order it was sent.
 *
 * verify opens the store, reads every record of every partition, appends one record to each, stops cleanly, and does
 * the same once more: recovery must be repeatable.
 *
 * Faults, in this program's own env_ops: --no-flush (DSYNC and data syncs are left out), --no-segment-sync (no fsync of
 * files and file systems). verify takes them and ignores them. With --named-damage verify accepts that a read says
 * DAMAGED (ext4 without a journal). */
#include "base/env_uring.h"
#include "protocol/batch_record.h"
#include "base/prng.h"
#include "storage/disk.h"
#include "storage/store.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    PARTITIONS = 4,
    APPENDS = 540,
    IN_FLIGHT_MAX = 6,
    VALUE_MAX = 64 << 10,
    BATCH_MAX = VALUE_MAX + 4096,
    ACKS_MAX = 4096,
    READ_BYTES = 512 << 10
};

struct ack {
    int64_t offset;
    uint64_t tag;
};

struct expected { /* of one partition: what the marks promise, or what this process saw acknowledged */
    bool made;
    struct ack *acks;
    uint32_t ack_count;
    int64_t end, start, start_asked;
    int32_t epoch, epoch_asked;
};

struct append {
    struct partition_append op;
    struct work *work;
    uint32_t partition;
    int32_t records;
    uint64_t tag;
    bool busy;
};

struct work {
    struct env *env;
    struct mem *mem; /* for batches */
    struct disk disk;
    struct store_config config;
    struct store *store;
    char dir[512];
    bool marking;
    struct prng random;
    struct partition *partitions[PARTITIONS];
    struct expected expected[PARTITIONS];
    uint64_t next_tag;
    uint32_t in_flight, acked;
    struct append appends[IN_FLIGHT_MAX];
    uint8_t *batch, *value;
};

static _Noreturn void violation(const char *format, ...) __attribute__((format(printf, 1, 2)));

static _Noreturn void violation(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
    fflush(stdout);
    _Exit(1);
}

static void mark(const struct work *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void mark(const struct work *w, const char *format, ...)
{
    if (!w->marking) return;
    va_list args;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    fflush(stdout); /* the mark is out before the next write begins */
}

static void *must_alloc(size_t bytes)
{
    void *p = calloc(1, bytes);
    CHECK(p != NULL);
    return p;
}

static void turn(struct work *w)
{
    env_turn(w->env, mono_add(w->env->ops->mono(w->env), NS_PER_MS));
}

/* --- batches: all bytes follow from the tag --- */

static uint64_t tag_of(uint32_t partition, uint64_t number)
{
    return (uint64_t)partition << 32 | number;
}

/* The batch of that tag, with offset 0. */
static uint32_t batch_make(struct work *w, uint64_t tag, int32_t *ret_records)
{
    struct prng random;
    struct batch_builder b;
    struct batch_options options;
    const uint8_t *data;
    size_t len;
    prng_seed(&random, tag, 7);
    uint32_t bytes = 100u << prng_below(&random, 10); /* 100 B .. 51,200 B, and up to a quarter more */
    bytes += (uint32_t)prng_below(&random, bytes / 4);
    int32_t records = (int32_t)prng_below(&random, 4) + 1;
    for (uint32_t i = 0; i < bytes; i += 8) {
        uint64_t v = prng_next(&random);
        memcpy(w->value + i, &v, 8);
    }
    memcpy(w->value, &tag, sizeof tag);
    batch_options_init(&options);
    batch_builder_init(&b, w->mem, &options);
    for (int32_t i = 0; i < records; i++)
        CHECK_OK(batch_builder_append(&b, 1700000000000 + (int64_t)(tag & 0xffff), NULL, -1, w->value,
                                      i == 0 ? (int32_t)bytes : 8, NULL, 0));
    CHECK_OK(batch_builder_finish(&b, &data, &len));
    CHECK(len <= BATCH_MAX);
    memcpy(w->batch, data, len);
    batch_builder_deinit(&b);
    *ret_records = records;
    return (uint32_t)len;
}

static bool tag_read(struct work *w, const uint8_t *batch, const struct batch_info *info, uint64_t *ret_tag)
{
    struct batch_iter it;
    struct batch_record record;
    bool found = false;
    if (batch_iter_open(&it, batch, info, w->mem, 1 << 26) != STATUS_OK) return false;
    if (batch_iter_next(&it, &record) && record.value_len >= 8) {
        memcpy(ret_tag, record.value, sizeof *ret_tag);
        found = true;
    }
    return batch_iter_close(&it) == STATUS_OK && found;
}

/* --- opening and closing --- */

struct opening {
    struct store_open op;
    bool done;
};

static void opened(struct store_open *op)
{
    container_of(op, struct opening, op)->done = true;
}

static struct topic_id topic_id(void)
{
    return (struct topic_id){{'c', 'r', 'a', 's', 'h'}};
}

static void open_store(struct work *w)
{
    struct opening o = {.op.done = opened};
    disk_init(&w->disk);
    store_open(w->env, &w->disk, &w->config, &o.op);
    while (!o.done) turn(w);
    if (o.op.status != STATUS_OK) violation("the store does not open: %s: %s", status_name(o.op.status), o.op.error);
    w->store = o.op.store;
    for (uint32_t i = 0; i < PARTITIONS; i++) w->partitions[i] = store_find(w->store, topic_id(), (int32_t)i);
}

struct closing {
    struct store_close op;
    bool done;
};

static void closed(struct store_close *op)
{
    container_of(op, struct closing, op)->done = true;
}

static void close_store(struct work *w)
{
    struct closing c = {.op.done = closed};
    store_close(w->store, &c.op);
    while (!c.done) turn(w);
    if (c.op.status != STATUS_OK) violation("the store does not close: %s", status_name(c.op.status));
}

static void set_up(struct work *w, const char *dir)
{
    char error[256];
    snprintf(w->dir, sizeof w->dir, "%s/log", dir);
    if (env_uring_create(&(struct env_uring_config){.memory_bytes = 128 << 20}, &w->env, error) != STATUS_OK)
        violation("%s", error);
    w->mem = mem_create(64 << 20);
    w->batch = must_alloc(BATCH_MAX);
    w->value = must_alloc(VALUE_MAX + 8);
    for (uint32_t i = 0; i < PARTITIONS; i++) w->expected[i].acks = must_alloc(ACKS_MAX * sizeof(struct ack));
    store_config_init(&w->config);
    w->config.dir = w->dir;
    w->config.journal_bytes = 4 << 20;
    w->config.journal_first_bytes = 4 << 20;
    w->config.group_bytes = 256 << 10;
    w->config.batch_bytes_max = 256 << 10;
    w->config.segment_bytes = 512 << 10;
    w->config.reserve_bytes = 1 << 20;
    w->config.checkpoint_ms = 20;
}

static void tear_down(struct work *w)
{
    for (uint32_t i = 0; i < PARTITIONS; i++) free(w->expected[i].acks);
    free(w->batch);
    free(w->value);
    mem_destroy(w->mem);
    env_uring_destroy(w->env);
}

/* --- what run does --- */

static void expect_ack(struct expected *e, int64_t offset, int32_t records, uint64_t tag)
{
    CHECK(e->ack_count < ACKS_MAX);
    e->acks[e->ack_count++] = (struct ack){offset, tag};
    e->end = offset + records;
}

static void appended(struct partition_append *op)
{
    struct append *a = container_of(op, struct append, op);
    struct work *w = a->work;
    a->busy = false;
    w->in_flight--;
    if (op->status == STATUS_BUSY) return; /* the next try has another tag */
    if (op->status != STATUS_OK) violation("append: %s", status_name(op->status));
    expect_ack(&w->expected[a->partition], op->base_offset, a->records, a->tag);
    w->acked++;
    mark(w, "ack %u %lld %d %llu", a->partition, (long long)op->base_offset, a->records, (unsigned long long)a->tag);
}

static void append_begin(struct work *w, uint32_t partition)
{
    struct append *a = w->appends;
    while (a->busy) a++;
    *a = (struct append){.op.done = appended, .work = w, .partition = partition, .busy = true};
    a->tag = tag_of(partition, w->next_tag++);
    uint32_t len = batch_make(w, a->tag, &a->records);
    w->in_flight++;
    partition_append(w->partitions[partition], w->batch, len, &a->op);
}

struct creation {
    struct partition_create op;
    bool done;
};

static void created(struct partition_create *op)
{
    container_of(op, struct creation, op)->done = true;
}

static void create(struct work *w, uint32_t i)
{
    struct creation c = {.op.done = created};
    partition_create(w->store, "crash", topic_id(), (int32_t)i, &c.op);
    while (!c.done) turn(w);
    if (c.op.status != STATUS_OK) violation("partition %u cannot be created: %s", i, status_name(c.op.status));
    w->partitions[i] = c.op.partition;
    w->expected[i].made = true;
    mark(w, "made %u", i);
}

struct change {
    struct partition_change op;
    bool done;
};

static void changed(struct partition_change *op)
{
    container_of(op, struct change, op)->done = true;
}

static void wait_change(struct work *w, struct change *c)
{
    while (!c->done) turn(w);
    if (c->op.status != STATUS_OK) violation("change: %s", status_name(c->op.status));
}

static void move_log_start(struct work *w, uint32_t i)
{
    struct expected *e = &w->expected[i];
    int64_t high = partition_high_watermark(w->partitions[i]);
    int64_t to = e->start + (int64_t)prng_below(&w->random, (uint64_t)(high - e->start) / 2 + 1);
    struct change c = {.op.done = changed};
    mark(w, "cut %u %lld", i, (long long)to);
    partition_log_start_move(w->partitions[i], to, &c.op);
    wait_change(w, &c);
    e->start = e->start_asked = to;
    mark(w, "start %u %lld", i, (long long)to);
}

static void start_epoch(struct work *w, uint32_t i)
{
    int32_t epoch = partition_epoch(w->partitions[i]) + 1;
    struct change c = {.op.done = changed};
    mark(w, "lead %u %d", i, epoch);
    partition_epoch_start(w->partitions[i], epoch, &c.op);
    wait_change(w, &c);
    w->expected[i].epoch = w->expected[i].epoch_asked = epoch;
    mark(w, "epoch %u %d", i, epoch);
}

static void drain(struct work *w)
{
    while (w->in_flight > 0) turn(w);
}

static void check_all(struct work *w);

static void random_step(struct work *w)
{
    uint32_t i = (uint32_t)prng_below(&w->random, PARTITIONS);
    if (w->partitions[i] == NULL)
        create(w, i);
    else if (prng_chance(&w->random, 1, 40))
        move_log_start(w, i);
    else if (prng_chance(&w->random, 1, 40))
        start_epoch(w, i);
    else if (w->in_flight < IN_FLIGHT_MAX)
        append_begin(w, i);
    if (w->in_flight == IN_FLIGHT_MAX || prng_chance(&w->random, 1, 3)) turn(w);
}

static void run(struct work *w, uint64_t seed)
{
    prng_seed(&w->random, seed, 1);
    w->marking = true;
    mark(w, "begin");
    open_store(w);
    mark(w, "open");
    for (uint32_t part = 1; part <= 3; part++) {
        while (w->acked < APPENDS * part / 3) random_step(w);
        drain(w);
        if (part == 3) break;
        close_store(w);
        mark(w, "stopped");
        open_store(w);
        mark(w, "open");
    }
    check_all(w);
    close_store(w);
    mark(w, "stopped");
}

/* --- what verify does --- */

struct reading {
    struct partition_read op;
    bool done;
};

static void has_read(struct partition_read *op)
{
    container_of(op, struct reading, op)->done = true;
}

struct scan {
    struct work *w;
    uint32_t partition, acks_seen;
    int64_t next;
    uint64_t last_tag;
    bool any;
};

/* Acknowledged batches stand where they were acknowledged. Below the first one read the log start has moved on. */
static void check_ack(struct scan *s, const struct batch_info *info, uint64_t tag)
{
    const struct expected *e = &s->w->expected[s->partition];
    while (s->acks_seen < e->ack_count && e->acks[s->acks_seen].offset <= info->base_offset) {
        const struct ack *a = &e->acks[s->acks_seen++];
        bool here = a->offset == info->base_offset;
        if (here ? a->tag != tag : s->any)
            violation("partition %u, offset %lld: another batch than the acknowledged one", s->partition,
                      (long long)a->offset);
    }
}

static void check_batch(struct scan *s, const uint8_t *at, uint32_t left, struct batch_info *ret_info)
{
    struct work *w = s->w;
    uint64_t tag;
    int32_t records;
    if (batch_parse(at, left, ret_info) != STATUS_OK || !tag_read(w, at, ret_info, &tag))
        violation("partition %u, offset %lld: no batch", s->partition, (long long)s->next);
    uint32_t len = batch_make(w, tag, &records);
    batch_assign(w->batch, ret_info->base_offset, ret_info->leader_epoch);
    if (tag >> 32 != s->partition || len != ret_info->size_bytes || memcmp(at, w->batch, len) != 0)
        violation("partition %u, offset %lld: bytes that were not sent", s->partition, (long long)s->next);
    if (s->any && (tag <= s->last_tag || ret_info->base_offset != s->next))
        violation("partition %u, offset %lld: tag %llx after %llx", s->partition, (long long)ret_info->base_offset,
                  (unsigned long long)tag, (unsigned long long)s->last_tag);
    if (s->next < ret_info->base_offset || batch_last_offset(ret_info) < s->next)
        violation("partition %u: asked for offset %lld, got %lld", s->partition, (long long)s->next,
                  (long long)ret_info->base_offset);
    check_ack(s, ret_info, tag);
    s->next = batch_next_offset(ret_info);
    s->last_tag = tag;
    s->any = true;
}

/* --named-damage: ext4 without a journal. Its repair after a power cut takes blocks from files whose bytes were synced
 * long ago; the engine must say DAMAGED then and never hand out other bytes. */
static bool named_damage_is_fine;

static void read_some(struct scan *s, struct reading *r)
{
    struct work *w = s->w;
    *r = (struct reading){.op.done = has_read};
    partition_read(w->partitions[s->partition], s->next, READ_BYTES, &r->op);
    while (!r->done) turn(w);
    if (r->op.status == STATUS_BUSY) return;
    if (r->op.status == STATUS_DAMAGED && named_damage_is_fine) {
        (void)printf("partition %u, offset %lld: DAMAGED, and says so\n", s->partition, (long long)s->next);
        exit(0);
    }
    if (r->op.status != STATUS_OK || r->op.slice_count == 0)
        violation("partition %u, offset %lld: read: %s, %u slices", s->partition, (long long)s->next,
                  status_name(r->op.status), r->op.slice_count);
    for (uint32_t i = 0; i < r->op.slice_count; i++) {
        const uint8_t *at = slice_data(r->op.slices[i]);
        for (uint32_t left = r->op.slices[i].len; left > 0;) {
            struct batch_info info;
            check_batch(s, at, left, &info);
            at += info.size_bytes;
            left -= info.size_bytes;
        }
    }
    partition_read_release(&r->op);
}

static void check_partition(struct work *w, uint32_t i)
{
    const struct expected *e = &w->expected[i];
    struct partition *p = w->partitions[i];
    if (p == NULL) {
        if (e->made) violation("partition %u is not there", i);
        return;
    }
    enum status status = partition_status(p);
    int64_t start = partition_log_start(p), end = partition_high_watermark(p);
    if (status != STATUS_OK) violation("partition %u: %s", i, status_name(status));
    if (end < e->end)
        violation("partition %u: ends at %lld, acknowledged up to %lld", i, (long long)end, (long long)e->end);
    if (start < e->start || start > e->start_asked)
        violation("partition %u: starts at %lld, acknowledged %lld, asked %lld", i, (long long)start,
                  (long long)e->start, (long long)e->start_asked);
    if (partition_epoch(p) < e->epoch || partition_epoch(p) > e->epoch_asked)
        violation("partition %u: epoch %d, acknowledged %d, asked %d", i, partition_epoch(p), e->epoch, e->epoch_asked);
    struct scan s = {.w = w, .partition = i, .next = start};
    struct reading *r = must_alloc(sizeof *r);
    while (s.next < end) read_some(&s, r);
    free(r);
    if (s.acks_seen < e->ack_count && end > start)
        violation("partition %u: acknowledged offset %lld is not there", i, (long long)e->acks[s.acks_seen].offset);
}

static void check_all(struct work *w)
{
    for (uint32_t i = 0; i < PARTITIONS; i++) check_partition(w, i);
}

static void parse_mark(struct work *w, const char *line)
{
    uint32_t p;
    long long n, records;
    unsigned long long tag;
    if (sscanf(line, "ack %u %lld %lld %llu", &p, &n, &records, &tag) == 4) {
        expect_ack(&w->expected[p], n, (int32_t)records, tag);
    } else if (sscanf(line, "made %u", &p) == 1) {
        w->expected[p].made = true;
    } else if (sscanf(line, "cut %u %lld", &p, &n) == 2) {
        w->expected[p].start_asked = n;
    } else if (sscanf(line, "start %u %lld", &p, &n) == 2) {
        w->expected[p].start = n;
    } else if (sscanf(line, "lead %u %lld", &p, &n) == 2) {
        w->expected[p].epoch_asked = (int32_t)n;
    } else if (sscanf(line, "epoch %u %lld", &p, &n) == 2) {
        w->expected[p].epoch = (int32_t)n;
    }
}

static void read_marks(struct work *w, const char *path)
{
    FILE *marks = fopen(path, "r");
    char line[128];
    if (marks == NULL) violation("cannot open the marks");
    while (fgets(line, sizeof line, marks) != NULL) parse_mark(w, line);
    (void)fclose(marks);
}

static void append_each(struct work *w)
{
    for (uint32_t i = 0; i < PARTITIONS; i++) {
        uint32_t before = w->expected[i].ack_count;
        while (w->partitions[i] != NULL && w->expected[i].ack_count == before) {
            append_begin(w, i);
            drain(w);
        }
    }
}

static void verify(struct work *w, const char *marks)
{
    read_marks(w, marks);
    w->next_tag = 1u << 31; /* above all that run gives */
    for (int i = 0; i < 2; i++) {
        open_store(w);
        check_all(w);
        append_each(w);
        close_store(w);
    }
    open_store(w);
    check_all(w);
    close_store(w);
}

/* --- faults --- */

static const struct env_ops *real_ops;
static struct env_ops faulty_ops;
static bool no_flush, no_segment_sync;

static void faulty_submit(struct env *e, struct io_op *op)
{
    if (no_flush && op->kind == IO_WRITE) op->flags &= ~(uint32_t)IO_DSYNC;
    bool left_out =
        (no_flush && op->kind == IO_DATASYNC) || (no_segment_sync && (op->kind == IO_SYNC || op->kind == IO_SYNC_FS));
    if (left_out)
        env_complete(e, op, STATUS_OK, 0, false);
    else
        real_ops->submit(e, op);
}

static const struct env_ops *faults_of(struct work *w, int argc, char **argv)
{
    for (int i = 4; i < argc; i++) {
        no_flush |= strcmp(argv[i], "--no-flush") == 0;
        no_segment_sync |= strcmp(argv[i], "--no-segment-sync") == 0;
        named_damage_is_fine |= strcmp(argv[i], "--named-damage") == 0;
    }
    if (!no_flush && !no_segment_sync) return NULL;
    real_ops = w->env->ops;
    faulty_ops = *real_ops;
    faulty_ops.submit = faulty_submit;
    return &faulty_ops;
}

int main(int argc, char **argv)
{
    static struct work w;
    if (argc < 4) {
        (void)fprintf(stderr, "usage: store_workload run DIR SEED [fault] | store_workload verify DIR MARKSFILE\n");
        return 3;
    }
    bool running = strcmp(argv[1], "run") == 0;
    set_up(&w, argv[2]);
    const struct env_ops *faulty = faults_of(&w, argc, argv);
    if (running && faulty != NULL) w.env->ops = faulty;
    if (running)
        run(&w, strtoull(argv[3], NULL, 10));
    else
        verify(&w, argv[3]);
    if (running && faulty != NULL) w.env->ops = real_ops;
    tear_down(&w);
    return 0;
}

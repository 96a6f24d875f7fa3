// SPDX-License-Identifier: Apache-2.0
/* The load. `outstanding` slots each append, wait until that is durable, and append again, each time to the next
 * partition in turn. The bytes are one of PATTERNS batches, chosen by (partition, offset), so that --verify knows what
 * must stand where without keeping it. Latency runs from the first call of partition_append to its done, refusals for
 * the moment (BUSY) and their pauses included, on the clock of that moment.
 *
 * Failure modes: any status but OK and BUSY ends the run with a sentence. */
#include "tools/bench/load.h"

#include "base/bytes.h"
#include "base/prng.h"
#include "protocol/batch_record.h"
#include "storage/checkpoint.h"
#include "storage/mover.h"
#include <stdio.h>
#include <stdlib.h>

#define PATTERNS     16u
#define RETRY_NS     (2 * NS_PER_MS) /* after BUSY: sooner only takes CPU from the mover */
#define PROGRESS_NS  (20 * NS_PER_MS)
#define CREATES      4096u /* creations in flight */
#define BATCH_EXTRA  (BATCH_HEADER_BYTES + 32)
#define READ_BYTES   (256u << 10)
#define VERIFY_TIMES 4u /* places looked at per partition at most, so that few partitions are read in many places */

struct slot {
    struct load *load;
    struct partition_append op;
    struct list_node in_retry;
    struct partition *partition;
    int64_t begun_ns;
};

struct load {
    struct env *env;
    struct disk disk;
    struct load_config config;
    struct store_config store_config;
    struct store_open open;
    struct store *store;
    int64_t open_ns;
    struct partition **partitions;
    uint32_t next;
    struct slot *slots;
    struct list retry;
    struct timer retry_timer;
    uint8_t *patterns[PATTERNS];
    struct histogram latency;
    struct load_run *run;
    uint64_t started, in_flight;
    bool stopping, done;
    enum status failed;
    enum status closed;
};

static void turn(struct load *l)
{
    env_turn(l->env, mono_add(l->env->now, NS_PER_MS));
}

static bool say(char error[600], const char *what, enum status status)
{
    snprintf(error, 600, "%s: %s", what, status_text(status));
    return false;
}

/* --- batches --- */

/* One record with random bytes; its value is as long as the batch then has size_bytes exactly. */
static bool pattern_make(uint32_t number, uint32_t size_bytes, uint8_t *out)
{
    struct mem *mem = mem_create(64 << 20);
    struct batch_builder b;
    struct batch_options options;
    const uint8_t *data;
    size_t len = 0;
    uint8_t *value = malloc(size_bytes);
    uint32_t value_bytes = size_bytes - BATCH_HEADER_BYTES;
    CHECK(mem != NULL && value != NULL);
    for (uint32_t i = 0; i < size_bytes; i++) value[i] = (uint8_t)((i * 2654435761u + number * 40503u) >> 13);
    batch_options_init(&options);
    batch_builder_init(&b, mem, &options);
    while (len != size_bytes && value_bytes > 0) { /* varints: the head grows with the value, so feel for the length */
        batch_builder_reset(&b, &options);
        CHECK_OK(batch_builder_append(&b, 1700000000000, NULL, -1, value, (int32_t)value_bytes, NULL, 0));
        CHECK_OK(batch_builder_finish(&b, &data, &len));
        if (len > size_bytes)
            value_bytes -= (uint32_t)(len - size_bytes);
        else if (len < size_bytes)
            break; /* between two lengths of a varint: a little smaller is fine */
    }
    memcpy(out, data, len);
    memset(out + len, 0, size_bytes - len);
    batch_builder_deinit(&b);
    mem_destroy(mem);
    free(value);
    return len > 0;
}

static const uint8_t *pattern_for(const struct load *l, const struct partition *p, int64_t offset)
{
    return l->patterns[((uint64_t)offset * 7 + (uint64_t)partition_number(p)) % PATTERNS];
}

static uint32_t pattern_bytes(const uint8_t *batch)
{
    return load_be32(batch + 8) + BATCH_LOG_OVERHEAD;
}

/* --- open, create, close --- */

static void opened(struct store_open *op)
{
    struct load *l = container_of(op, struct load, open);
    l->open_ns = clock_ns() - l->open_ns;
    l->done = true;
}

static struct load *load_new(const struct load_config *c)
{
    struct load *l = calloc(1, sizeof *l);
    CHECK(l != NULL);
    l->config = *c;
    l->partitions = calloc(c->partitions, sizeof(struct partition *));
    l->slots = calloc(c->outstanding, sizeof *l->slots);
    CHECK(l->partitions != NULL && l->slots != NULL);
    for (uint32_t i = 0; i < PATTERNS; i++) {
        l->patterns[i] = malloc(c->size_bytes);
        CHECK(l->patterns[i] != NULL && pattern_make(i, c->size_bytes, l->patterns[i]));
    }
    list_init(&l->retry);
    disk_init(&l->disk);
    return l;
}

bool load_open(const struct load_config *c, struct load **ret_load, char error[600])
{
    struct load *l = load_new(c);
    char why[256];
    struct env_uring_config config = {.dsync_cheaper = c->dsync_cheaper, .memory_bytes = c->memory_bytes};
    if (env_uring_create(&config, &l->env, why) != STATUS_OK) {
        snprintf(error, 600, "%s", why);
        return false;
    }
    store_config_init(&l->store_config);
    l->store_config.dir = c->dir;
    l->store_config.journal_bytes = l->store_config.journal_first_bytes = c->journal_bytes;
    l->open.done = opened;
    l->open_ns = clock_ns();
    store_open(l->env, &l->disk, &l->store_config, &l->open);
    while (!l->done) turn(l);
    l->store = l->open.store;
    *ret_load = l;
    if (l->open.status != STATUS_OK) snprintf(error, 600, "%s", l->open.error);
    return l->open.status == STATUS_OK;
}

int64_t load_open_ns(const struct load *l)
{
    return l->open_ns;
}

static struct topic_id bench_topic(void)
{
    return (struct topic_id){{'b', 'e', 'n', 'c', 'h', 1}};
}

struct creation {
    struct partition_create op;
    struct load *load;
    uint32_t number;
};

static void created(struct partition_create *op)
{
    struct creation *c = container_of(op, struct creation, op);
    struct load *l = c->load;
    l->in_flight--;
    if (op->status != STATUS_OK) {
        l->failed = op->status;
        return;
    }
    l->partitions[c->number] = op->partition;
    if (l->next == l->config.partitions || l->failed != STATUS_OK) return;
    c->number = l->next++;
    l->in_flight++;
    partition_create(l->store, "bench", bench_topic(), (int32_t)c->number, &c->op);
}

bool load_create(struct load *l, char error[600])
{
    uint32_t lanes = MIN(CREATES, l->config.partitions);
    struct creation *c = calloc(lanes, sizeof *c);
    CHECK(c != NULL);
    l->next = lanes;
    l->in_flight = lanes;
    for (uint32_t i = 0; i < lanes; i++) {
        c[i] = (struct creation){.op.done = created, .load = l, .number = i};
        partition_create(l->store, "bench", bench_topic(), (int32_t)i, &c[i].op);
    }
    while (l->in_flight > 0) turn(l);
    free(c);
    l->next = 0;
    return l->failed == STATUS_OK || say(error, "creating partitions", l->failed);
}

bool load_find(struct load *l, char error[600])
{
    for (uint32_t i = 0; i < l->config.partitions; i++) {
        l->partitions[i] = store_find(l->store, bench_topic(), (int32_t)i);
        if (l->partitions[i] != NULL) continue;
        snprintf(error, 600, "partition %u is missing after the restart", i);
        return false;
    }
    return true;
}

struct closing {
    struct store_close op;
    bool done;
};

static void closed(struct store_close *op)
{
    container_of(op, struct closing, op)->done = true;
}

bool load_close(struct load *l, char error[600])
{
    struct closing c = {.op.done = closed};
    store_close(l->store, &c.op);
    while (!c.done) turn(l);
    env_uring_destroy(l->env);
    for (uint32_t i = 0; i < PATTERNS; i++) free(l->patterns[i]);
    free(l->partitions);
    free(l->slots);
    free(l);
    return c.op.status == STATUS_OK || say(error, "clean stop", c.op.status);
}

/* --- appends --- */

static void append_call(struct slot *s)
{
    struct load *l = s->load;
    const uint8_t *batch = pattern_for(l, s->partition, partition_log_end(s->partition));
    partition_append(s->partition, batch, pattern_bytes(batch), &s->op);
}

static void append_next(struct slot *s)
{
    struct load *l = s->load;
    s->partition = l->partitions[l->next];
    l->next = l->next + 1 == l->config.partitions ? 0 : l->next + 1;
    s->begun_ns = clock_ns();
    l->started++;
    l->in_flight++;
    append_call(s);
}

static void retry_fire(struct timer *t)
{
    struct load *l = container_of(t, struct load, retry_timer);
    struct list_node *n;
    struct list now;
    list_init(&now);
    while ((n = list_pop_front(&l->retry)) != NULL) list_push_back(&now, n);
    while ((n = list_pop_front(&now)) != NULL) append_call(container_of(n, struct slot, in_retry));
}

static void appended(struct partition_append *op)
{
    struct slot *s = container_of(op, struct slot, op);
    struct load *l = s->load;
    struct load_run *r = l->run;
    if (op->status == STATUS_BUSY) {
        r->busy++;
        list_push_back(&l->retry, &s->in_retry);
        if (!env_timer_armed(&l->retry_timer)) {
            l->retry_timer.fire = retry_fire;
            env_timer_start(l->env, &l->retry_timer, mono_add(l->env->now, RETRY_NS));
        }
        return;
    }
    l->in_flight--;
    if (op->status != STATUS_OK) {
        l->failed = op->status;
        l->stopping = true;
        return;
    }
    r->appends++;
    histogram_record(&l->latency, (uint64_t)(clock_ns() - s->begun_ns));
    if (r->count > 0 ? l->started >= r->count : l->stopping) return;
    append_next(s);
}

/* Ends at the time or when every slot has ended; what is in flight at the end is waited for and counted. */
static void appends_wait(struct load *l, struct load_run *r)
{
    int64_t limit = r->begin_ns + (int64_t)(r->seconds * 1e9), told = r->begin_ns;
    while (l->in_flight > 0) {
        turn(l);
        int64_t now = clock_ns();
        if (r->count == 0 && now >= limit) l->stopping = true;
        if (now - told < PROGRESS_NS || r->progress == NULL) continue;
        told = now;
        if (!r->progress(r->arg, r->appends)) l->stopping = true;
    }
}

static struct engine engine_now(const struct load *l)
{
    const struct mover_counters *m = mover_counters(l->store->mover);
    const struct table_writer *w = l->store->table;
    return (struct engine){.pieces = l->store->count.moves,
                           .piece_bytes = l->store->count.moved_bytes,
                           .aged = m->aged,
                           .prepared = m->prepared,
                           .checkpoints = w->checkpoints,
                           .table_bytes = w->bytes_written,
                           .flight_most = m->flight_most};
}

static struct engine engine_since(const struct load *l, const struct engine *before)
{
    struct engine x = engine_now(l);
    x.pieces -= before->pieces;
    x.piece_bytes -= before->piece_bytes;
    x.aged -= before->aged;
    x.prepared -= before->prepared;
    x.checkpoints -= before->checkpoints;
    x.table_bytes -= before->table_bytes;
    return x;
}

bool load_appends(struct load *l, const struct machine *m, struct load_run *r, char error[600])
{
    uint64_t commits = l->store->journal->commits;
    struct engine before = engine_now(l);
    histogram_reset(&l->latency);
    l->run = r;
    l->started = r->appends = r->busy = 0;
    l->stopping = false;
    counters_read(m, &r->before);
    r->begin_ns = clock_ns();
    uint64_t lanes = r->count > 0 ? MIN((uint64_t)l->config.outstanding, r->count) : l->config.outstanding;
    for (uint32_t i = 0; i < lanes; i++) {
        l->slots[i] = (struct slot){.load = l, .op.done = appended};
        append_next(&l->slots[i]);
    }
    appends_wait(l, r);
    r->end_ns = clock_ns();
    counters_read(m, &r->after);
    r->commits = l->store->journal->commits - commits;
    r->engine = engine_since(l, &before);
    return l->failed == STATUS_OK || say(error, "append", l->failed);
}

const struct histogram *load_latency(const struct load *l)
{
    return &l->latency;
}

void load_journal(const struct load *l, uint64_t *ret_bytes, uint32_t *ret_fill, uint64_t *ret_live)
{
    const struct journal *j = l->store->journal;
    *ret_bytes = journal_bytes(j);
    *ret_fill = journal_fill(j);
    *ret_live = 0;
    for (uint32_t i = 0; i < j->mark_count; i++) *ret_live += j->marks[(j->mark_first + i) % j->mark_capacity].length;
}

/* --- verify --- */

struct reading {
    struct partition_read op;
    bool done;
};

static void has_read(struct partition_read *op)
{
    container_of(op, struct reading, op)->done = true;
}

/* Whole batches in order from *offset on; everything behind base offset, length and epoch must be the pattern's. */
static bool compare(const struct load *l, struct partition *p, struct slice slice, int64_t *offset, uint64_t *compared)
{
    const uint8_t *at = slice_data(slice);
    for (uint32_t left = slice.len; left > 0;) {
        const uint8_t *want = pattern_for(l, p, *offset);
        uint32_t len = pattern_bytes(want);
        if (left < len || (int64_t)load_be64(at) != *offset || memcmp(at + 8, want + 8, 4) != 0) return false;
        if (memcmp(at + 16, want + 16, len - 16) != 0) return false;
        at += len;
        left -= len;
        ++*offset;
        ++*compared;
    }
    return true;
}

static bool verify_at(struct load *l, struct partition *p, int64_t offset, uint64_t *compared, char error[600])
{
    struct reading *r = calloc(1, sizeof *r);
    CHECK(r != NULL);
    r->op.done = has_read;
    partition_read(p, offset, READ_BYTES, &r->op);
    while (!r->done) turn(l);
    enum status status = r->op.status;
    bool same = status == STATUS_OK && r->op.slice_count > 0;
    for (uint32_t i = 0; same && i < r->op.slice_count; i++) same = compare(l, p, r->op.slices[i], &offset, compared);
    if (status == STATUS_OK) partition_read_release(&r->op);
    free(r);
    if (same) return true;
    snprintf(error, 600, "verify: partition %d differs at offset %lld (%s)", (int)partition_number(p),
             (long long)offset, status_text(status));
    return false;
}

bool load_verify(struct load *l, uint64_t limit, uint64_t *ret_compared, char error[600])
{
    struct prng random;
    *ret_compared = 0;
    prng_seed(&random, 1, 1);
    uint32_t step = (uint32_t)MAX(1u, l->config.partitions / MAX(1u, (uint32_t)MIN(limit, 4096u)));
    for (uint32_t times = 0; times < VERIFY_TIMES; times++)
        for (uint32_t i = 0; i < l->config.partitions && *ret_compared < limit * (times + 1) / VERIFY_TIMES;
             i += step) {
            struct partition *p = l->partitions[i];
            int64_t end = partition_high_watermark(p);
            if (end == 0) continue;
            if (!verify_at(l, p, (int64_t)prng_below(&random, (uint64_t)end), ret_compared, error)) return false;
        }
    return true;
}

// SPDX-License-Identifier: Apache-2.0
/* The flow of a round of compaction:
 *
 *   directory  checked in this run (directory.c), so that the names of new files are free
 *   learn      the dirty part is read; the newest offset of each key goes into the map
 *   group      the next segments that become one; none left: the round is over
 *   read       the next batches of the group; its end: unchanged, or finish
 *   batch      one batch through the rule. A single segment is only looked at until something of it goes; then it is
 *              read again from its beginning, into a new file
 *   write      what is left of the batch, into the new file
 *   finish     its rest; then a checkpoint that syncs it, and whose table calls the old segments moved
 *   swap       the entry is put, memory changes (swap.c)
 *   durable    the old files are unlinked
 *
 * Failure modes: no space or memory, a log that is deleted, cut short in front or damaged, a clean stop: the round
 * ends, its unfinished file is unlinked, the log is as it was. A failed write or sync fences the disk, as everywhere.
 * Crash order: files and names synced before the entry; the entry durable before an unlink (rule A12). */
#include "storage/cleaner.h"

#include "base/bytes.h"
#include "protocol/batch.h"
#include "storage/checkpoint.h"
#include "storage/compact_batch.h"
#include "storage/mover.h"
#include "storage/segment_writer.h"
#include "storage/swap.h"

#define READ_BYTES     (128u << 10)
#define SOON_NS        (10 * NS_PER_MS)
#define BURST_NS       (20 * NS_PER_MS) /* so far the disk may be used ahead of the allowed rate */
#define LOOK_NS        (100 * NS_PER_MS)
#define BUSY_TRIES     200u
#define RETRY_NS       (10 * NS_PER_S)
#define DAMAGED_NS     (600 * NS_PER_S)
#define MAP_SHARE      16u /* of the log memory, at most */
#define MAP_BYTES_EACH 32u /* a key: 24 bytes, three quarters filled */

enum clean_stage {
    CLEAN_DIRECTORY,
    CLEAN_DIRECTORY_READY,
    CLEAN_LEARN,
    CLEAN_LEARNT,
    CLEAN_GROUP,
    CLEAN_READ,
    CLEAN_BATCH,
    CLEAN_WRITE,
    CLEAN_FINISH,
    CLEAN_SWAP,
    CLEAN_DURABLE,
    CLEAN_END
};

struct cleaner {
    struct task task;
    struct store *store;
    struct mono_ns last;
    uint64_t owed;          /* looks x ns that were not made up to `last` */
    struct mono_ns free_at; /* when the bytes so far are paid for */
    struct timer again;
    /* the round */
    struct partition *p;
    struct key_map *map;
    struct compact_round round;
    struct compact_verdict wanted;
    int64_t at;     /* next offset to be read */
    bool full;      /* the map: the round ends at round.upto */
    int64_t group;  /* base of its first segment */
    int64_t end;    /* base of the segment behind it */
    uint32_t count; /* segments */
    bool writing;   /* else: looking */
    struct partition_read read;
    uint32_t slice, slice_at;
    uint32_t tries;
    struct segment_writer writer;
    struct commit_waiter waiter;
    enum status waited, status;
    uint64_t bytes_before;
    uint64_t gone_before; /* records, when the group began: what was only looked at counts once */
    struct cleaner_counters count_of;
};

static const struct flow clean_flow;

struct cleaner *cleaner_create(struct store *s)
{
    struct cleaner *c = mem_zalloc(s->env->mem, MEM_LOG, sizeof *c);
    if (c != NULL) c->store = s;
    return c;
}

void cleaner_destroy(struct cleaner *c)
{
    CHECK(cleaner_idle(c));
    mem_free(c->store->env->mem, MEM_LOG, c, sizeof *c);
}

bool cleaner_idle(const struct cleaner *c)
{
    return c->p == NULL;
}

const struct cleaner_counters *cleaner_counters(const struct cleaner *c)
{
    return &c->count_of;
}

static struct cleaner *cleaner_of(struct task *t)
{
    return container_of(t, struct cleaner, task);
}

static int finish(struct cleaner *c, enum status status)
{
    c->status = status;
    return CLEAN_END;
}

static void again_fire(struct timer *timer)
{
    task_wake(&container_of(timer, struct cleaner, again)->task);
}

static int wait_until(struct cleaner *c, struct mono_ns when, int next)
{
    c->again.fire = again_fire;
    env_timer_start(c->store->env, &c->again, when);
    return STAGE_WAIT(next);
}

static int wait_soon(struct cleaner *c, int next)
{
    return wait_until(c, mono_add(c->store->env->now, SOON_NS), next);
}

/* Somebody waits for the round to end. */
static bool over(const struct cleaner *c)
{
    const struct store *s = c->store;
    return s->closing || store_fenced(s) || s->low_space || c->p->deleting || !c->p->settings.compacts;
}

static uint64_t rate(const struct cleaner *c)
{
    return MAX(c->store->config.clean_bytes_per_s, 1u);
}

/* So many bytes went from or to the disk: they are paid for with time. */
static void spend(struct cleaner *c, uint64_t bytes)
{
    struct mono_ns now = c->store->env->now;
    if (c->free_at.v < now.v) c->free_at = now;
    c->free_at = mono_add(c->free_at, (int64_t)(MIN(bytes, 1ull << 32) * NS_PER_S / rate(c)));
}

static bool must_wait(const struct cleaner *c)
{
    return c->free_at.v > mono_add(c->store->env->now, BURST_NS).v;
}

/* Not later than a stop, a deletion can bear. */
static struct mono_ns next_look(const struct cleaner *c)
{
    struct mono_ns latest = mono_add(c->store->env->now, LOOK_NS);
    return c->free_at.v < latest.v ? c->free_at : latest;
}

/* --- reading --- */

static void has_read(struct partition_read *op)
{
    task_wake(&container_of(op, struct cleaner, read)->task);
}

/* The next batches from c->at on; `self` waits for its turn. */
static int read_on(struct cleaner *c, int self, int next)
{
    if (over(c)) return finish(c, STATUS_CANCELED);
    if (must_wait(c)) return wait_until(c, next_look(c), self);
    c->at = MAX(c->at, c->p->log_start_durable);
    c->slice = c->slice_at = 0;
    c->read.done = has_read;
    partition_read(c->p, c->at, READ_BYTES, &c->read);
    return STAGE_WAIT(next);
}

/* What was read cannot be used. BUSY passes: *ret_next is where to go. */
static bool read_failed(struct cleaner *c, int again, int *ret_next)
{
    enum status status = c->read.status;
    if (status == STATUS_OK) {
        c->tries = 0;
        return false;
    }
    partition_read_release(&c->read);
    bool passes = status == STATUS_BUSY || status == STATUS_OFFSET_OUT_OF_RANGE; /* the log start moved */
    *ret_next = passes && ++c->tries < BUSY_TRIES ? wait_soon(c, again) : finish(c, status);
    return true;
}

/* The next batch of what was read. False: there is none. */
static bool next_batch(struct cleaner *c, const uint8_t **ret_data, struct batch_info *ret_info)
{
    while (c->slice < c->read.slice_count) {
        const struct slice *s = &c->read.slices[c->slice];
        if (c->slice_at < s->len) {
            *ret_data = slice_data(*s) + c->slice_at;
            CHECK_OK(batch_parse(*ret_data, s->len - c->slice_at, ret_info)); /* a read hands out whole batches */
            c->slice_at += ret_info->size_bytes;
            return true;
        }
        c->slice++;
        c->slice_at = 0;
    }
    return false;
}

static void release(struct cleaner *c)
{
    spend(c, c->read.bytes);
    c->count_of.bytes_read += c->read.bytes;
    partition_read_release(&c->read);
}

/* --- directory, learn --- */

static int clean_directory(struct task *t)
{
    struct cleaner *c = cleaner_of(t);
    struct partition *p = c->p;
    struct mover *m = c->store->mover;
    if (!key_map_clear(c->map)) return CLEAN_DIRECTORY;
    if (p->dir_ready) return CLEAN_LEARN;
    if (!mover_moved(m, p) || !mover_has_slot(m) || p->truncating)
        return finish(c, STATUS_BUSY); /* a move will do it */
    mover_copy_tail(m, p, t);
    return STAGE_WAIT(CLEAN_DIRECTORY_READY);
}

static int clean_directory_ready(struct task *t)
{
    struct cleaner *c = cleaner_of(t);
    c->p->allocated = 0; /* the copy cut the file to its length */
    return c->p->dir_ready ? CLEAN_LEARN : finish(c, STATUS_BUSY);
}

static int clean_learn(struct task *t)
{
    struct cleaner *c = cleaner_of(t);
    if (c->at < c->wanted.to && !c->full) return read_on(c, CLEAN_LEARN, CLEAN_LEARNT);
    c->round.now_ms = c->store->env->now_wall.v;
    c->round.delete_retention_ms = c->p->settings.delete_retention_ms;
    c->end = c->p->segments[0].base;
    return CLEAN_GROUP;
}

static int clean_learnt(struct task *t)
{
    struct cleaner *c = cleaner_of(t);
    const uint8_t *data;
    struct batch_info info;
    enum status status = STATUS_OK;
    int next;
    if (read_failed(c, CLEAN_LEARN, &next)) return next;
    int64_t before = c->at;
    while (status == STATUS_OK && !c->full && next_batch(c, &data, &info)) {
        c->at = MIN(batch_next_offset(&info), c->wanted.to);
        if (info.base_offset < c->wanted.to && batch_last_offset(&info) >= c->round.upto)
            status = compact_learn(&c->round, data, &info, &c->full);
    }
    release(c);
    if (status != STATUS_OK) return finish(c, status);
    if (c->at == before && !c->full) c->at = c->wanted.to; /* nothing more is there */
    return CLEAN_LEARN;
}

/* --- group --- */

/* Segments whose base is at or above it are not touched. */
static int64_t round_limit(const struct cleaner *c)
{
    return c->full ? c->round.upto : c->wanted.to;
}

static int begin_writing(struct cleaner *c)
{
    struct partition *p = c->p;
    CHECK(!c->writer.open && p->generation < UINT32_MAX);
    c->writing = true;
    c->at = c->group;
    c->round.records_gone = c->gone_before;
    enum status status = segment_writer_open(&c->writer, p, c->group, ++p->generation, &c->task);
    if (status != STATUS_OK) return finish(c, status);
    return STAGE_WAIT(CLEAN_WRITE);
}

static int clean_group(struct task *t)
{
    struct cleaner *c = cleaner_of(t);
    struct partition *p = c->p;
    int64_t limit = round_limit(c);
    uint32_t i = 0;
    while (i + 1 < p->segment_count && p->segments[i].base < c->end) i++;
    if (over(c)) return finish(c, STATUS_CANCELED);
    if (i + 1 >= p->segment_count || p->segments[i].base >= limit) {
        p->clean_end = MAX(p->clean_end, limit); /* the last swap said so; if it had none a crash costs a look */
        partition_touch(p);
        return finish(c, STATUS_OK);
    }
    c->group = c->at = p->segments[i].base;
    c->count = compact_group(p->segments, p->segment_count, i, limit, p->settings.segment_bytes);
    c->end = p->segments[i + c->count].base;
    if (c->end > p->index.segment_base) return finish(c, STATUS_CANCELED); /* a cut came near */
    c->writing = false;
    c->gone_before = c->round.records_gone;
    return c->count > 1 ? begin_writing(c) : CLEAN_READ;
}

/* Nothing of the group is left: the next segment joins it. False: there is none. */
static bool widen(struct cleaner *c)
{
    struct partition *p = c->p;
    const struct segment *next = partition_segment_of(p, c->end);
    if (next->base != c->end || c->end >= round_limit(c) || next == partition_active(p)) return false;
    c->count++;
    c->end = next[1].base;
    return true;
}

static int clean_read(struct task *t)
{
    struct cleaner *c = cleaner_of(t);
    if (c->at < c->end) return read_on(c, CLEAN_READ, CLEAN_BATCH);
    if (!c->writing) return CLEAN_GROUP;
    if (c->writer.bytes == 0) return widen(c) ? CLEAN_READ : finish(c, STATUS_CANCELED);
    segment_writer_finish(&c->writer);
    return CLEAN_FINISH;
}

static int clean_batch(struct task *t)
{
    struct cleaner *c = cleaner_of(t);
    const uint8_t *data;
    struct batch_info info, left;
    size_t len;
    enum compact_outcome outcome;
    int next;
    if (c->slice == 0 && c->slice_at == 0 && read_failed(c, CLEAN_READ, &next)) return next;
    if (!next_batch(c, &data, &info) || info.base_offset >= c->end) {
        bool progress = c->slice > 0 || c->slice_at > 0;
        if (!progress || c->read.slice_count > c->slice) c->at = c->end; /* the rest is behind the group */
        release(c);
        return CLEAN_READ;
    }
    c->at = batch_next_offset(&info);
    enum status status = compact_batch(&c->round, data, &info, &outcome, &data, &len);
    if (status == STATUS_OK && !c->writing && outcome != COMPACT_WHOLE) {
        release(c);
        return begin_writing(c);
    }
    if (status != STATUS_OK) {
        release(c);
        return finish(c, status);
    }
    if (!c->writing || outcome == COMPACT_GONE) return CLEAN_BATCH;
    CHECK_OK(batch_parse(data, len, &left));
    segment_writer_put(&c->writer, data, &left);
    return CLEAN_WRITE;
}

/* --- write --- */

static int write_failed(struct cleaner *c)
{
    enum status status = c->writer.status;
    bool passes = status == STATUS_NO_SPACE || status == STATUS_TOO_MANY_FILES || status == STATUS_NO_MEMORY;
    if (!passes && !store_fenced(c->store)) {
        STORE_LOG(c->store, LOG_ERROR, "segment.failed", LOG_STR("topic", c->p->topic),
                  LOG_INT("partition", c->p->number), LOG_STR("what", "compaction"), LOG_STATUS("status", status));
        journal_fail(c->store->journal);
    }
    return finish(c, status);
}

static int clean_write(struct task *t)
{
    struct cleaner *c = cleaner_of(t);
    switch (segment_writer_step(&c->writer)) {
    case WRITER_WAITS: return STAGE_WAIT(CLEAN_WRITE);
    case WRITER_FAILED: break;
    case WRITER_DONE: return c->read.slice_count > 0 ? CLEAN_BATCH : CLEAN_READ; /* none: it was just opened */
    }
    partition_read_release(&c->read);
    return write_failed(c);
}

static void told(struct commit_waiter *waiter, enum status status)
{
    struct cleaner *c = container_of(waiter, struct cleaner, waiter);
    c->waited = status;
    task_wake(&c->task);
}

static int clean_finish(struct task *t)
{
    struct cleaner *c = cleaner_of(t);
    switch (segment_writer_step(&c->writer)) {
    case WRITER_WAITS: return STAGE_WAIT(CLEAN_FINISH);
    case WRITER_FAILED: return write_failed(c);
    case WRITER_DONE: break;
    }
    spend(c, c->writer.bytes);
    c->count_of.bytes_written += c->writer.bytes;
    if (over(c)) return finish(c, STATUS_CANCELED);
    c->waited = STATUS_OK;
    c->waiter.durable = told;
    checkpoint_request(c->store->table, &c->waiter);
    return STAGE_WAIT(CLEAN_SWAP);
}

/* --- swap --- */

/* Times of the new segment: of its batches; where one has none, of the segments that it came from. */
static struct swap_payload payload_of(const struct cleaner *c)
{
    const struct segment *s = partition_segment_of(c->p, c->group);
    const struct segment_writer *w = &c->writer;
    struct swap_payload x = {.count = c->count,
                             .generation = w->generation,
                             .end_base = c->end,
                             .newest_ms = w->newest_ms,
                             .oldest_ms = w->oldest_ms,
                             .clean_end = c->end >= round_limit(c) ? round_limit(c) : NO_OFFSET};
    for (uint32_t i = 0; i < c->count && (w->timeless || w->newest_ms < 0); i++) {
        x.newest_ms = MAX(x.newest_ms, s[i].newest_ms);
        if (x.oldest_ms < 0) x.oldest_ms = s[i].oldest_ms;
    }
    return x;
}

/* Retention may have taken segments of the group meanwhile. */
static bool group_there(const struct cleaner *c)
{
    struct partition *p = c->p;
    uint32_t first = (uint32_t)(partition_segment_of(p, c->group) - p->segments);
    return p->segments[first].base == c->group && c->count < p->segment_count - first &&
           p->segments[first + c->count].base == c->end;
}

static int clean_swap(struct task *t)
{
    struct cleaner *c = cleaner_of(t);
    struct partition *p = c->p;
    struct place place;
    if (c->waited != STATUS_OK) return finish(c, c->waited);
    if (over(c) || !group_there(c)) return finish(c, STATUS_CANCELED);
    struct swap_payload x = payload_of(c);
    struct entry e = {.kind = ENTRY_SWAP,
                      .topic = p->id,
                      .partition = p->number,
                      .epoch = p->epoch,
                      .offset = c->group,
                      .aux = c->writer.bytes,
                      .payload_bytes = SWAP_PAYLOAD_BYTES};
    enum status status = partition_swap_prepare(p, c->group, c->writer.bytes, &x);
    if (status == STATUS_OK) {
        status = partition_put(p, &e, p->log_end, p->end_pos, &place);
        if (status != STATUS_OK) partition_stale_forget(p);
    }
    if (status == STATUS_BUSY) return wait_soon(c, CLEAN_SWAP);
    if (status != STATUS_OK) return finish(c, status);
    swap_payload_encode(place.buf->data + place.pos, &x);
    uint64_t before = partition_size_bytes(p);
    partition_swap_do(p, c->group, c->writer.bytes, &x);
    c->count_of.bytes_freed += before - MIN(before, partition_size_bytes(p));
    segment_writer_close(&c->writer, false);
    journal_wait(c->store->journal, &c->waiter);
    return STAGE_WAIT(CLEAN_DURABLE);
}

static int clean_durable(struct task *t)
{
    struct cleaner *c = cleaner_of(t);
    if (c->waited != STATUS_OK) return finish(c, c->waited);
    c->count_of.swaps++;
    partition_stale_unlink(c->p);
    return CLEAN_GROUP;
}

/* --- end --- */

static void report(struct cleaner *c)
{
    const struct partition *p = c->p;
    bool ok = c->status == STATUS_OK;
    c->count_of.rounds += ok;
    c->count_of.failed += !ok;
    c->count_of.records_gone += c->round.records_gone;
    if (ok)
        STORE_LOG(c->store, LOG_INFO, "compaction.done", LOG_STR("topic", p->topic), LOG_INT("partition", p->number),
                  LOG_INT("from", c->wanted.from), LOG_INT("to", p->clean_end), LOG_UINT("keys", key_map_count(c->map)),
                  LOG_UINT("records_gone", c->round.records_gone), LOG_UINT("bytes_before", c->bytes_before),
                  LOG_UINT("bytes_after", partition_size_bytes(p)));
    else if (c->status != STATUS_CANCELED && c->status != STATUS_BUSY && c->status != STATUS_FENCED)
        STORE_LOG(c->store, LOG_WARN, "compaction.given_up", LOG_STR("topic", p->topic),
                  LOG_INT("partition", p->number), LOG_INT("offset", c->at), LOG_STATUS("status", c->status));
}

static bool passing(enum status status)
{
    return status == STATUS_OK || status == STATUS_CANCELED || status == STATUS_BUSY || status == STATUS_NO_SPACE ||
           status == STATUS_NO_MEMORY || status == STATUS_TOO_MANY_FILES;
}

static int clean_end(struct task *t)
{
    struct cleaner *c = cleaner_of(t);
    struct partition *p = c->p;
    report(c);
    segment_writer_close(&c->writer, !store_fenced(c->store));
    compact_round_deinit(&c->round);
    key_map_destroy(c->store->env->mem, c->map);
    c->map = NULL;
    int64_t rest_ns = c->status == STATUS_OK ? 0 : passing(c->status) ? RETRY_NS : DAMAGED_NS;
    p->clean_after = mono_add(c->store->env->now, rest_ns);
    CHECK(p->readers > 0);
    p->readers--;
    c->p = NULL;
    return STAGE_DONE;
}

#define ENDS STAGE_BIT(CLEAN_END)

static const struct stage clean_stages[] = {
    [CLEAN_DIRECTORY] = {"directory", clean_directory,
                         STAGE_BIT(CLEAN_DIRECTORY) | STAGE_BIT(CLEAN_DIRECTORY_READY) | STAGE_BIT(CLEAN_LEARN) | ENDS},
    [CLEAN_DIRECTORY_READY] = {"directory ready", clean_directory_ready, STAGE_BIT(CLEAN_LEARN) | ENDS},
    [CLEAN_LEARN] = {"learn", clean_learn,
                     STAGE_BIT(CLEAN_LEARN) | STAGE_BIT(CLEAN_LEARNT) | STAGE_BIT(CLEAN_GROUP) | ENDS},
    [CLEAN_LEARNT] = {"learnt", clean_learnt, STAGE_BIT(CLEAN_LEARN) | ENDS},
    [CLEAN_GROUP] = {"group", clean_group, STAGE_BIT(CLEAN_READ) | STAGE_BIT(CLEAN_WRITE) | ENDS},
    [CLEAN_READ] = {"read", clean_read,
                    STAGE_BIT(CLEAN_READ) | STAGE_BIT(CLEAN_BATCH) | STAGE_BIT(CLEAN_GROUP) | STAGE_BIT(CLEAN_FINISH) |
                        ENDS},
    [CLEAN_BATCH] = {"batch", clean_batch,
                     STAGE_BIT(CLEAN_BATCH) | STAGE_BIT(CLEAN_READ) | STAGE_BIT(CLEAN_WRITE) | ENDS},
    [CLEAN_WRITE] = {"write", clean_write,
                     STAGE_BIT(CLEAN_WRITE) | STAGE_BIT(CLEAN_BATCH) | STAGE_BIT(CLEAN_READ) | ENDS},
    [CLEAN_FINISH] = {"finish", clean_finish, STAGE_BIT(CLEAN_FINISH) | STAGE_BIT(CLEAN_SWAP) | ENDS},
    [CLEAN_SWAP] = {"swap", clean_swap, STAGE_BIT(CLEAN_SWAP) | STAGE_BIT(CLEAN_DURABLE) | ENDS},
    [CLEAN_DURABLE] = {"durable", clean_durable, STAGE_BIT(CLEAN_GROUP) | ENDS},
    [CLEAN_END] = {"end", clean_end, 0},
};

static const struct flow clean_flow = {"compaction", clean_stages, COUNT_OF(clean_stages)};

/* --- looks --- */

static void begin_round(struct cleaner *c, struct partition *p, const struct compact_verdict *v)
{
    struct store *s = c->store;
    struct mem *m = s->env->mem;
    uint64_t room = MIN(s->config.clean_map_bytes, mem_budget(m, MEM_LOG) / MAP_SHARE) / MAP_BYTES_EACH;
    c->map = key_map_create(m, MIN(room, (uint64_t)(v->to - v->from)), env_random(s->env));
    if (c->map == NULL) return; /* memory is short: another time */
    c->p = p;
    c->wanted = *v;
    c->at = v->from;
    c->full = c->writing = false;
    c->status = STATUS_OK;
    c->tries = 0;
    c->read.slice_count = 0;
    c->bytes_before = partition_size_bytes(p);
    compact_round_init(&c->round, m, c->map, &p->producers, v->from);
    p->readers++;
    task_start(s->env->runner, &c->task, &clean_flow, CLEAN_DIRECTORY);
}

static void look(struct cleaner *c, struct partition *p)
{
    const struct store *s = c->store;
    if (p->deleting || p->truncating || p->damaged_from != NO_OFFSET || p->clean_after.v > s->env->now.v) return;
    struct compact_log l = {.segments = p->segments,
                            .count = p->segment_count,
                            .moving_base = p->index.segment_base,
                            .clean_end = MIN(p->clean_end, p->high_watermark),
                            .log_start = p->log_start_durable,
                            .high_watermark = p->high_watermark};
    struct compact_verdict v = compact_decide(&p->settings, &l, s->env->now_wall.v);
    if (v.wanted) begin_round(c, p, &v);
}

void cleaner_start(struct cleaner *c)
{
    CHECK(c->store->config.clean_check_ms > 0);
    c->last = c->store->env->now;
}

void cleaner_tick(struct cleaner *c)
{
    struct store *s = c->store;
    uint64_t round_ns = (uint64_t)(s->config.clean_check_ms * NS_PER_MS), count = s->compacted_count;
    c->owed += (uint64_t)(s->env->now.v - c->last.v) * count;
    c->last = s->env->now;
    c->owed = MIN(c->owed, round_ns * count); /* every partition once, at most */
    while (c->owed >= round_ns && cleaner_idle(c) && !s->low_space) {
        struct list_node *n = list_pop_front(&s->compacted);
        list_push_back(&s->compacted, n);
        look(c, container_of(n, struct partition, in_compacted));
        c->owed -= round_ns;
    }
}

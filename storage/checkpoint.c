// SPDX-License-Identifier: Apache-2.0
/* The flow of a checkpoint:
 *
 *   snapshot  close the open group: everything in memory is now state as of sequence S; encode it (rule A1)
 *   durable   wait until S is durable: the table never says more than the journal
 *   sync      the files written since the last checkpoint and the directories with new names, or the file system
 *   clear     wait until every flush of this disk that began before these syncs has ended (rule D9: one that fails may
 *             take bytes along that the later ones called well)
 *   allocate  room in the table file, ahead where there is some
 *   write     the chunk
 *   table     sync of the table file; then clear as before
 *   free      journal groups that the checkpoint *before* this one no longer needed are free (one late, rule A11)
 *
 * Failure modes: no space or memory: this checkpoint is given up, everything is touched again, the ring just stays
 * fuller. A failed sync or write of anything else fences the disk: bytes that a table would call moved may be gone.
 * Crash order: files before table, table before journal space. A torn chunk is not found; the one before still has its
 * journal groups. */
#include "storage/checkpoint.h"

#include "base/bytes.h"
#include "base/crc32c.h"
#include "storage/mover.h"
#include "storage/partition_map.h"

#define SYNC_MAX        64u /* more dirty files and directories than that: one sync of the file system */
#define ALLOCATE_BYTES  (1u << 20)
#define DELTA_MIN_BYTES (256u << 10) /* a base is not rewritten for less */
#define RETRY_NS        NS_PER_S

#define CLEAR_NS (50 * NS_PER_US)

enum checkpoint_stage { CP_SNAPSHOT, CP_DURABLE, CP_SYNC, CP_CLEAR, CP_ALLOCATE, CP_WRITE, CP_TABLE, CP_FREE, CP_DONE };

struct table_writer *table_writer_create(struct store *s)
{
    struct mem *m = s->env->mem;
    struct table_writer *w = mem_zalloc(m, MEM_LOG, sizeof *w);
    if (w == NULL) return NULL;
    w->store = s;
    w->files[0] = w->files[1] = -1;
    w->last = s->env->now;
    out_init(&w->chunk, m);
    out_init(&w->drops, m);
    list_init(&w->waiting);
    list_init(&w->telling);
    w->syncs = mem_zalloc(m, MEM_LOG, SYNC_MAX * sizeof *w->syncs);
    w->synced = mem_zalloc(m, MEM_LOG, SYNC_MAX * sizeof(struct file *));
    w->dirs = mem_zalloc(m, MEM_LOG, SYNC_MAX * sizeof *w->dirs);
    if (w->syncs != NULL && w->synced != NULL && w->dirs != NULL) return w;
    table_writer_destroy(w);
    return NULL;
}

void table_writer_destroy(struct table_writer *w)
{
    struct mem *m = w->store->env->mem;
    CHECK(!w->running && list_empty(&w->waiting) && list_empty(&w->telling));
    out_free(&w->chunk);
    out_free(&w->drops);
    mem_free(m, MEM_LOG, w->syncs, SYNC_MAX * sizeof *w->syncs);
    mem_free(m, MEM_LOG, w->synced, SYNC_MAX * sizeof(struct file *));
    mem_free(m, MEM_LOG, w->dirs, SYNC_MAX * sizeof *w->dirs);
    mem_free(m, MEM_LOG, w, sizeof *w);
}

void checkpoint_drop(struct table_writer *w, struct topic_id id, int32_t number, uint64_t home)
{
    table_record_drop(&w->drops, id, number, home);
    w->drop_count++;
}

void checkpoint_request(struct table_writer *w, struct commit_waiter *waiter)
{
    list_push_back(&w->waiting, &waiter->in_commit);
    w->wanted = true;
}

static void tell(struct list *waiters, enum status status)
{
    struct list_node *n;
    while ((n = list_pop_front(waiters)) != NULL) {
        struct commit_waiter *w = container_of(n, struct commit_waiter, in_commit);
        w->durable(w, status);
    }
}

/* --- snapshot --- */

static void snapshot_partition(struct table_writer *w, struct partition *p)
{
    uint64_t carry_end = table_carry_end(p);
    bool whole = w->base || !p->recorded;
    table_record(&w->chunk, p, whole ? PRODUCERS_WHOLE : producer_state_best(&p->producers));
    producer_state_recorded(&p->producers); /* given up, the next chunk is a base */
    p->recorded = true;
    w->header.records++;
    p->carried_pos = carry_end;
    refs_release_below(p, carry_end);
    if (carry_end == p->end_pos) mover_carried(p);
}

static void snapshot_all(struct table_writer *w)
{
    struct partition_map *map = w->store->map;
    struct list_node *n;
    while ((n = list_pop_front(&w->store->touched)) != NULL) continue;
    for (uint32_t i = 0; i < partition_map_count(map); i++) {
        struct partition *p = partition_map_at(map, i);
        if (p == NULL) {
            w->chunk.failed = true;
            return;
        }
        snapshot_partition(w, p);
    }
}

static void snapshot_touched(struct table_writer *w)
{
    struct list_node *n;
    uint8_t *drops = w->drops.len > 0 ? out_take(&w->chunk, w->drops.len) : NULL;
    if (drops != NULL) memcpy(drops, w->drops.data, w->drops.len);
    w->header.records += w->drop_count;
    while ((n = list_pop_front(&w->store->touched)) != NULL)
        snapshot_partition(w, container_of(n, struct partition, in_touched));
}

static void snapshot_header(struct table_writer *w)
{
    struct journal *j = w->store->journal;
    uint64_t payload = w->chunk.len - CHUNK_HEADER_BYTES;
    size_t padded = align_up(w->chunk.len, BLOCK_BYTES);
    size_t pad_bytes = padded - w->chunk.len;
    uint8_t *pad = out_take(&w->chunk, pad_bytes);
    if (pad == NULL) return;
    memset(pad, 0, pad_bytes);
    w->header.journal = j->control.journal;
    w->header.generation = w->base ? w->generation + 1 : w->generation;
    w->header.number = w->base ? 0 : w->number;
    w->header.chain = w->base ? 0 : w->chain;
    w->header.replay_from = MIN(journal_oldest_needed(j), w->header.sequence + 1);
    journal_position(j, w->header.replay_from, &w->header.replay_file, &w->header.replay_pos);
    w->header.payload_bytes = payload;
    w->header.payload_crc = crc32c(0, w->chunk.data + CHUNK_HEADER_BYTES, payload);
    w->header.creations = w->store->creations;
    chunk_header_encode(w->chunk.data, &w->header);
}

static void snapshot_durable(struct commit_waiter *waiter, enum status status)
{
    struct table_writer *w = container_of(waiter, struct table_writer, durable);
    w->durable_status = status;
    task_wake(&w->task);
}

static int cp_snapshot(struct task *t)
{
    struct table_writer *w = container_of(t, struct table_writer, task);
    struct journal *j = w->store->journal;
    w->base = w->number == 0 || w->drops.failed || w->delta_bytes > MAX(w->base_bytes, DELTA_MIN_BYTES);
    w->header = (struct chunk_header){.sequence = journal_seal(j)};
    w->chunk.len = 0;
    w->chunk.failed = out_take(&w->chunk, CHUNK_HEADER_BYTES) == NULL;
    if (w->base)
        snapshot_all(w);
    else
        snapshot_touched(w);
    if (!w->chunk.failed) snapshot_header(w);
    w->drops.len = 0; /* they are in the chunk, or it is a base; if it is given up, the next one is */
    w->drops.failed = false;
    w->drop_count = 0;
    while (!list_empty(&w->waiting)) list_push_back(&w->telling, list_pop_front(&w->waiting));
    w->journal_bytes_at = j->bytes_written;
    w->last = w->store->env->now;
    w->durable.durable = snapshot_durable;
    journal_wait(j, &w->durable);
    return STAGE_WAIT(CP_DURABLE);
}

/* --- sync --- */

static int give_up(struct table_writer *w, enum status status);

static void sync_op(struct table_writer *w, enum io_kind kind, int32_t file, const char *path)
{
    struct io_op *op = &w->syncs[w->sync_count++];
    *op = (struct io_op){.kind = kind, .task = &w->task, .file = file, .path = path};
    env_submit(w->store->env, op);
}

static int cp_durable(struct task *t)
{
    struct table_writer *w = container_of(t, struct table_writer, task);
    struct store *s = w->store;
    if (w->durable_status != STATUS_OK) return give_up(w, w->durable_status);
    if (w->chunk.failed) return give_up(w, STATUS_NO_MEMORY);
    w->sync_count = 0;
    w->ticket = disk_flush_begin(s->disk);
    uint32_t dirs = 0;
    list_each (n, &s->dirty_dirs) dirs++;
    bool all = files_lost_dirty(s->files) || files_dirty_count(s->files) + dirs > SYNC_MAX - 1;
    struct file *f;
    memset(w->synced, 0, SYNC_MAX * sizeof(struct file *));
    while ((f = files_take_dirty(s->files)) != NULL) {
        if (all) {
            files_synced(f);
            continue;
        }
        w->synced[w->sync_count] = f;
        sync_op(w, IO_SYNC, f->handle, NULL);
    }
    struct list_node *n;
    while ((n = list_pop_front(&s->dirty_dirs)) != NULL) {
        if (all) continue;
        struct path *dir = &w->dirs[w->sync_count];
        partition_dir(container_of(n, struct partition, in_dirs), dir);
        sync_op(w, IO_SYNC_DIR, -1, dir->s);
    }
    if (all) sync_op(w, IO_SYNC_FS, s->journal->control_file, NULL);
    if (all) files_lost_dirty_clear(s->files);
    return w->sync_count == 0 ? CP_SYNC : STAGE_WAIT(CP_SYNC);
}

static int cp_sync(struct task *t)
{
    struct table_writer *w = container_of(t, struct table_writer, task);
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < w->sync_count; i++) {
        if (w->syncs[i].status != STATUS_OK) {
            status = w->syncs[i].status;
            STORE_LOG(w->store, LOG_ERROR, "sync.failed", LOG_STATUS("status", status),
                      LOG_STR("path", w->synced[i] != NULL ? w->synced[i]->path.s : w->store->dir.s));
        }
        if (w->synced[i] != NULL) files_synced(w->synced[i]);
    }
    if (status != STATUS_OK) {
        journal_fail(w->store->journal);
        return give_up(w, STATUS_FENCED);
    }
    return CP_CLEAR;
}

static void again_fire(struct timer *timer)
{
    task_wake(&container_of(timer, struct table_writer, again)->task);
}

/* A flush of any shard that began before w->ticket was drawn is still on its way. */
static bool waits_for_flushes(struct table_writer *w)
{
    struct env *e = w->store->env;
    if (store_fenced(w->store) || disk_flush_clear(w->store->disk, UINT32_MAX, e->shard_count, w->ticket)) return false;
    w->again.fire = again_fire;
    env_timer_start(e, &w->again, mono_add(e->now, CLEAR_NS));
    return true;
}

static uint64_t chunk_end(const struct table_writer *w)
{
    return (w->base ? 0 : w->pos) + w->chunk.len;
}

/* With a base, room for its deltas and for the next base in this file too: a full disk can then still be emptied, for
 * checkpoints go on (rule A10). */
static int cp_clear(struct task *t)
{
    struct table_writer *w = container_of(t, struct table_writer, task);
    if (waits_for_flushes(w)) return STAGE_WAIT(CP_CLEAR);
    if (store_fenced(w->store)) return give_up(w, STATUS_FENCED);
    uint64_t generation = w->header.generation;
    uint64_t wish = w->base ? 2 * w->chunk.len + 2ull * DELTA_MIN_BYTES : chunk_end(w);
    uint64_t *allocated = &w->allocated[generation % 2];
    w->op = (struct io_op){.status = STATUS_OK};
    if (wish <= *allocated) return CP_ALLOCATE;
    uint64_t more = align_up(MAX(wish - *allocated, ALLOCATE_BYTES), BLOCK_BYTES);
    w->op = (struct io_op){
        .kind = IO_ALLOCATE, .task = t, .file = w->files[generation % 2], .pos = *allocated, .len = (uint32_t)more};
    *allocated += more;
    env_submit(w->store->env, &w->op);
    return STAGE_WAIT(CP_ALLOCATE);
}

static int cp_allocate(struct task *t)
{
    struct table_writer *w = container_of(t, struct table_writer, task);
    uint64_t file = w->header.generation % 2;
    if (w->op.status == STATUS_NO_SPACE) {
        w->allocated[file] -= w->op.len;
        if (chunk_end(w) > w->allocated[file]) return give_up(w, STATUS_NO_SPACE);
        w->op.status = STATUS_OK; /* it was for later */
    }
    if (w->op.status != STATUS_OK && w->op.status != STATUS_UNSUPPORTED) {
        journal_fail(w->store->journal);
        return give_up(w, STATUS_FENCED);
    }
    transfer_start(w->store->env, &w->write, t, IO_WRITE, w->files[file], w->chunk.data, (uint32_t)w->chunk.len,
                   w->base ? 0 : w->pos, 0);
    return STAGE_WAIT(CP_WRITE);
}

static int cp_write(struct task *t)
{
    struct table_writer *w = container_of(t, struct table_writer, task);
    if (w->write.status == STATUS_NO_SPACE) return give_up(w, STATUS_NO_SPACE);
    if (w->write.status != STATUS_OK) {
        journal_fail(w->store->journal);
        return give_up(w, STATUS_FENCED);
    }
    w->ticket = disk_flush_begin(w->store->disk);
    w->op = (struct io_op){.kind = IO_SYNC, .task = t, .file = w->files[w->header.generation % 2]};
    env_submit(w->store->env, &w->op);
    return STAGE_WAIT(CP_TABLE);
}

static int cp_table(struct task *t)
{
    struct table_writer *w = container_of(t, struct table_writer, task);
    struct store *s = w->store;
    if (w->op.status != STATUS_OK) {
        journal_fail(s->journal);
        return give_up(w, STATUS_FENCED);
    }
    return CP_FREE;
}

static int cp_free(struct task *t)
{
    struct table_writer *w = container_of(t, struct table_writer, task);
    struct store *s = w->store;
    if (waits_for_flushes(w)) return STAGE_WAIT(CP_FREE);
    if (store_fenced(s)) {
        journal_fail(s->journal);
        return give_up(w, STATUS_FENCED);
    }
    if (w->base) {
        w->generation++;
        w->number = 0;
        w->pos = w->delta_bytes = 0;
        w->base_bytes = w->chunk.len;
    } else {
        w->delta_bytes += w->chunk.len;
    }
    w->number++;
    w->pos += w->chunk.len;
    w->chain = w->header.header_crc;
    w->replay_from_before = w->replay_from;
    w->replay_from = w->header.replay_from;
    w->replay_file_before = w->replay_file;
    w->replay_file = w->header.replay_file;
    w->checkpoints++;
    w->chunk_bytes = w->chunk.len;
    w->bytes_written += w->chunk.len;
    journal_free(s->journal, w->replay_from_before);
    tell(&w->telling, STATUS_OK);
    return CP_DONE;
}

/* Everything is as before, only that all must be written again. */
static int give_up(struct table_writer *w, enum status status)
{
    struct partition_map *map = w->store->map;
    w->number = 0; /* the next one is a base: it needs no memory of what was touched */
    if (status != STATUS_FENCED) {
        STORE_LOG(w->store, LOG_WARN, "checkpoint.given_up", LOG_STR("directory", w->store->dir.s),
                  LOG_STATUS("status", status));
        for (uint32_t i = 0; i < partition_map_count(map); i++) {
            struct partition *p = partition_map_at(map, i);
            if (p != NULL) partition_touch(p);
        }
    }
    tell(&w->telling, status);
    return CP_DONE;
}

static int cp_done(struct task *t)
{
    struct table_writer *w = container_of(t, struct table_writer, task);
    w->running = false;
    return STAGE_DONE;
}

static const struct stage cp_stages[] = {
    [CP_SNAPSHOT] = {"snapshot", cp_snapshot, STAGE_BIT(CP_DURABLE)},
    [CP_DURABLE] = {"durable", cp_durable, STAGE_BIT(CP_SYNC) | STAGE_BIT(CP_DONE)},
    [CP_SYNC] = {"sync", cp_sync, STAGE_BIT(CP_CLEAR) | STAGE_BIT(CP_DONE)},
    [CP_CLEAR] = {"clear", cp_clear, STAGE_BIT(CP_CLEAR) | STAGE_BIT(CP_ALLOCATE) | STAGE_BIT(CP_DONE)},
    [CP_ALLOCATE] = {"allocate", cp_allocate, STAGE_BIT(CP_WRITE) | STAGE_BIT(CP_DONE)},
    [CP_WRITE] = {"write", cp_write, STAGE_BIT(CP_TABLE) | STAGE_BIT(CP_DONE)},
    [CP_TABLE] = {"table", cp_table, STAGE_BIT(CP_FREE) | STAGE_BIT(CP_DONE)},
    [CP_FREE] = {"free", cp_free, STAGE_BIT(CP_FREE) | STAGE_BIT(CP_DONE)},
    [CP_DONE] = {"done", cp_done, 0},
};

static const struct flow cp_flow = {"checkpoint", cp_stages, COUNT_OF(cp_stages)};

/* Space is freed one checkpoint late: this one frees what the last one no longer needed, the next one what is no longer
 * needed now. Each costs a sync of all files and a delta, so a good part of the ring must come of it. */
static bool frees_enough(const struct table_writer *w)
{
    struct journal *j = w->store->journal;
    uint64_t from = journal_place_of(j, j->mark_sequence), last = journal_place_of(j, w->replay_from);
    uint64_t now = journal_place_of(j, MAX(w->replay_from, journal_oldest_needed(j)));
    return MAX(last - from, now - last) >= (journal_full(j) ? 1 : journal_bytes(j) / 16);
}

/* As often as mover.c's age_limit counts on, but where a table is a good part of what is written: half as often. */
static bool is_time(const struct table_writer *w)
{
    const struct store *s = w->store;
    struct journal *j = s->journal;
    uint64_t since = j->bytes_written - w->journal_bytes_at, total = journal_bytes(j);
    int64_t age = s->env->now.v - w->last.v;
    if (w->number == 0 && w->checkpoints > 0 && age < RETRY_NS) return false; /* given up a moment ago */
    if (w->wanted) return true;
    if (since > total / 4 || (since > total / 8 && since / 16 > w->chunk_bytes)) return true;
    if (journal_tight(j) && frees_enough(w)) return true;
    return since > 0 && age > s->config.checkpoint_ms * NS_PER_MS;
}

void checkpoint_turn(struct table_writer *w)
{
    if (w->running || w->stopped) return;
    if (w->store->burials > 0) return; /* the table may not pass a delete entry before its rename (rule A6) */
    if (store_fenced(w->store)) {
        tell(&w->waiting, STATUS_FENCED);
        return;
    }
    if (!is_time(w)) return;
    w->running = true;
    w->wanted = false;
    task_start(w->store->env->runner, &w->task, &cp_flow, CP_SNAPSHOT);
}

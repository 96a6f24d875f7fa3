// SPDX-License-Identifier: Apache-2.0
/* The snapshot task: one at a time, beside the disk task.
 *
 *   idle -> begin          ours: the owner is asked to hold its state; a leader's: the bytes are there
 *        -> open, fill     snapshot.new: pieces of data behind the first block, their CRC counted
 *        -> head, sync     the first block says index, term, length, CRC; the whole file is synced
 *        -> name, dir      renamed to its index, the name synced: from here on it counts
 *        -> done           ours: the engine forgets entries (pump). A leader's: the disk task writes RESET, then the
 * engine is told (pump)
 *        -> drop...        the control page moves past segments that two snapshots cover; then they and all snapshots
 *                          before the last two are unlinked
 *
 * Two snapshots and the log behind the older one are kept, so that one damaged file loses nothing.
 * Failure modes: an error of the owner gives this snapshot up; an error of the disk ends the metalog; a file that
 * cannot be unlinked is told once and tried again at the next start. */
#include "replication/metalog_impl.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/crc32c.h"

#define AGAIN_NS (100 * NS_PER_MS)

static_assert(SNAP_BUFFER_BYTES >= 2 * SNAP_PIECE_BYTES && SNAP_BUFFER_BYTES % BLOCK_BYTES == 0, "whole blocks");

enum snap_stage {
    SNAP_IDLE,
    SNAP_BEGIN,
    SNAP_OPENED,
    SNAP_FILL,
    SNAP_WRITTEN,
    SNAP_HEAD,
    SNAP_SYNC,
    SNAP_CLOSE,
    SNAP_NAME,
    SNAP_DIR,
    SNAP_DONE,
    SNAP_INSTALLED,
    SNAP_DROP,
    SNAP_DROP_SEGMENTS,
    SNAP_DROP_SNAPSHOT,
    SNAP_GIVE_UP,
    SNAP_END
};

static struct metalog *of(struct task *t)
{
    return container_of(t, struct metalog, snap.task);
}

void metalog_snapshot_path(const struct metalog *m, struct path *p, uint64_t index)
{
    path_set(p, "%s/snapshot-%020llu", m->dir.s, (unsigned long long)index);
}

void snap_wake(struct metalog *m)
{
    if (!m->snap.idle) return;
    m->snap.idle = false;
    task_wake(&m->snap.task);
}

static int idle(struct metalog *m, int next)
{
    m->snap.idle = true;
    return STAGE_WAIT(next);
}

static int submit(struct metalog *m, struct io_op op, int next)
{
    m->snap.op = op;
    m->snap.op.task = &m->snap.task;
    env_submit(m->env, &m->snap.op);
    return STAGE_WAIT(next);
}

static int broken(struct metalog *m, enum status status, const char *what)
{
    metalog_fail(m, status, "%.150s: %s: %s", m->snap.path.s, what, status_text(status));
    return SNAP_GIVE_UP;
}

/* A leader's snapshot: copied, written by the task. Nothing else is under way (metalog_receive sees to it). */
void snap_install(struct metalog *m, uint64_t index, uint64_t term, const uint8_t *data, size_t size)
{
    struct metalog_snap *s = &m->snap;
    CHECK(s->work == SNAP_NONE && s->data == NULL);
    s->data = mem_alloc(m->mem, MEM_REPLICATION, MAX(size, 1));
    if (s->data == NULL) {
        metalog_fail(m, STATUS_NO_MEMORY, "no memory for a snapshot of %zu bytes: raise leat.memory.bytes", size);
        return;
    }
    if (size > 0) memcpy(s->data, data, size);
    s->room = MAX(size, 1);
    s->size = size;
    s->work = SNAP_INSTALL;
    s->index = index;
    s->term = term;
    snap_wake(m);
}

/* Ours is due, and the owner's state is that of an entry which the log still has. */
static bool wanted(const struct metalog *m)
{
    const struct metalog_snap *s = &m->snap;
    if (!m->started || m->failed != STATUS_OK || quorum_installing(m->quorum) || m->applied <= m->snapshot_index ||
        entry_log_at(&m->entries, m->applied) == NULL)
        return false;
    return s->asked || m->log_since_snapshot >= m->config.snapshot_bytes;
}

static int snap_idle(struct task *t)
{
    struct metalog *m = of(t);
    struct metalog_snap *s = &m->snap;
    if (m->closing != NULL) return SNAP_END;
    if (m->failed != STATUS_OK) return idle(m, SNAP_IDLE);
    if (s->work == SNAP_INSTALL) return SNAP_BEGIN;
    if (m->taken || m->installed || !wanted(m)) return idle(m, SNAP_IDLE);
    if (!m->config.owner->ops->snapshot_begin(m->config.owner)) return idle(m, SNAP_IDLE);
    s->work = SNAP_TAKE;
    s->begun = true;
    s->asked = false;
    s->index = m->applied;
    s->term = entry_log_at(&m->entries, s->index)->term;
    return SNAP_BEGIN;
}

static int snap_begin(struct task *t)
{
    struct metalog *m = of(t);
    struct metalog_snap *s = &m->snap;
    s->fill = s->crc = 0;
    s->pos = 0;
    s->taken = 0;
    s->source_ended = false;
    s->file = -1;
    path_set(&s->path, "%s/snapshot.new", m->dir.s);
    if (s->buffer == NULL) s->buffer = mem_alloc_aligned(m->mem, MEM_REPLICATION, SNAP_BUFFER_BYTES);
    if (s->buffer == NULL) return SNAP_GIVE_UP;
    return submit(m, (struct io_op){.kind = IO_UNLINK, .path = s->path.s}, SNAP_OPENED);
}

static int snap_opened(struct task *t)
{
    struct metalog *m = of(t);
    struct metalog_snap *s = &m->snap;
    if (s->op.kind == IO_UNLINK) { /* a new inode: writes of a killed process may still reach the old one (rule A7) */
        if (s->op.status != STATUS_OK && s->op.status != STATUS_NOT_FOUND)
            return broken(m, s->op.status, "cannot be removed");
        return submit(m, (struct io_op){.kind = IO_OPEN, .path = s->path.s, .flags = IO_CREATE | IO_EXCL | IO_DIRECT},
                      SNAP_OPENED);
    }
    if (s->op.status != STATUS_OK) return broken(m, s->op.status, "cannot be made");
    s->file = (int32_t)s->op.result;
    return SNAP_FILL;
}

/* With peers the bytes are kept for them. */
static bool gather(struct metalog *m, const uint8_t *piece, size_t size)
{
    struct metalog_snap *s = &m->snap;
    if (quorum_solo(m->quorum) || s->work == SNAP_INSTALL) return true;
    if (s->size + size > s->room) {
        size_t room = MAX(s->size + size, s->room * 2);
        uint8_t *grown = mem_realloc(m->mem, MEM_REPLICATION, s->data, s->room, room);
        if (grown == NULL) return false;
        s->data = grown;
        s->room = room;
    }
    memcpy(s->data + s->size, piece, size);
    s->size += size;
    return true;
}

/* The next piece into the buffer; *ret_size 0: the end. */
static enum status pull(struct metalog *m, size_t *ret_size)
{
    struct metalog_snap *s = &m->snap;
    uint8_t *at = s->buffer + s->fill;
    size_t room = SNAP_BUFFER_BYTES - s->fill;
    if (s->work == SNAP_INSTALL) {
        *ret_size = MIN(s->size - s->taken, room);
        memcpy(at, s->data + s->taken, *ret_size);
        s->taken += *ret_size;
        return STATUS_OK;
    }
    enum status status = m->config.owner->ops->snapshot_next(m->config.owner, at, room, ret_size);
    if (status != STATUS_OK) return status;
    CHECK(*ret_size <= room);
    if (!gather(m, at, *ret_size)) return STATUS_NO_MEMORY;
    return s->pos + s->fill + *ret_size > METALOG_SNAPSHOT_MAX ? STATUS_BATCH_TOO_LARGE : STATUS_OK;
}

static int snap_fill(struct task *t)
{
    struct metalog *m = of(t);
    struct metalog_snap *s = &m->snap;
    while (!s->source_ended && SNAP_BUFFER_BYTES - s->fill >= SNAP_PIECE_BYTES) {
        size_t size = 0;
        if (m->failed != STATUS_OK || m->closing != NULL) return SNAP_GIVE_UP;
        enum status status = pull(m, &size);
        if (status != STATUS_OK) {
            METALOG_LOG(m, LOG_WARN, "metalog.snapshot.given_up", LOG_STATUS("status", status));
            return SNAP_GIVE_UP;
        }
        s->crc = crc32c(s->crc, s->buffer + s->fill, size);
        s->fill += (uint32_t)size;
        s->source_ended = size == 0;
    }
    uint32_t whole = s->source_ended ? (uint32_t)align_up(s->fill, BLOCK_BYTES) : s->fill & ~(BLOCK_BYTES - 1);
    if (whole == 0) return SNAP_HEAD;
    if (s->source_ended) memset(s->buffer + s->fill, 0, whole - s->fill);
    transfer_start(m->env, &s->transfer, t, IO_WRITE, s->file, s->buffer, whole, BLOCK_BYTES + s->pos, 0);
    return STAGE_WAIT(SNAP_WRITTEN);
}

static int snap_written(struct task *t)
{
    struct metalog *m = of(t);
    struct metalog_snap *s = &m->snap;
    if (s->transfer.status != STATUS_OK) return broken(m, s->transfer.status, "cannot be written");
    uint32_t moved = MIN(s->transfer.len, s->fill);
    s->pos += moved;
    memmove(s->buffer, s->buffer + moved, s->fill - moved);
    s->fill -= moved;
    return s->source_ended ? SNAP_HEAD : SNAP_FILL;
}

static int snap_head(struct task *t)
{
    struct metalog *m = of(t);
    struct metalog_snap *s = &m->snap;
    CHECK(s->fill == 0 && s->source_ended);
    metalog_snapshot_encode(
        s->buffer, &(struct metalog_snapshot_head){
                       .ident = m->ident, .index = s->index, .term = s->term, .bytes = s->pos, .data_crc = s->crc});
    transfer_start(m->env, &s->transfer, t, IO_WRITE, s->file, s->buffer, BLOCK_BYTES, 0, 0);
    return STAGE_WAIT(SNAP_SYNC);
}

static int snap_sync(struct task *t)
{
    struct metalog *m = of(t);
    if (m->snap.transfer.status != STATUS_OK) return broken(m, m->snap.transfer.status, "cannot be written");
    m->count.syncs++;
    return submit(m, (struct io_op){.kind = IO_SYNC, .file = m->snap.file}, SNAP_CLOSE);
}

static int snap_close(struct task *t)
{
    struct metalog *m = of(t);
    if (m->snap.op.status != STATUS_OK) return broken(m, m->snap.op.status, "cannot be synced");
    int32_t file = m->snap.file;
    m->snap.file = -1;
    return submit(m, (struct io_op){.kind = IO_CLOSE, .file = file}, SNAP_NAME);
}

static int snap_name(struct task *t)
{
    struct metalog *m = of(t);
    struct metalog_snap *s = &m->snap;
    metalog_snapshot_path(m, &s->path2, s->index);
    return submit(m, (struct io_op){.kind = IO_RENAME, .path = s->path.s, .path2 = s->path2.s}, SNAP_DIR);
}

static int snap_dir(struct task *t)
{
    struct metalog *m = of(t);
    if (m->snap.op.status != STATUS_OK) return broken(m, m->snap.op.status, "cannot be named");
    return submit(m, (struct io_op){.kind = IO_SYNC_DIR, .path = m->dir.s}, SNAP_DONE);
}

void snap_keep_data(struct metalog *m)
{
    struct metalog_snap *s = &m->snap;
    mem_free(m->mem, MEM_REPLICATION, m->snapshot_data, m->snapshot_size);
    m->snapshot_data = NULL;
    m->snapshot_size = 0;
    if (quorum_solo(m->quorum) || s->data == NULL) return;
    m->snapshot_data = mem_realloc(m->mem, MEM_REPLICATION, s->data, s->room, MAX(s->size, 1));
    CHECK(m->snapshot_data != NULL); /* not larger than it was */
    m->snapshot_size = MAX(s->size, 1);
    s->data = NULL;
    s->size = s->room = 0;
}

static void end_source(struct metalog *m)
{
    struct metalog_snap *s = &m->snap;
    if (s->begun) m->config.owner->ops->snapshot_end(m->config.owner);
    s->begun = false;
}

static int snap_done(struct task *t)
{
    struct metalog *m = of(t);
    struct metalog_snap *s = &m->snap;
    if (s->op.status != STATUS_OK) return broken(m, s->op.status, "its name cannot be synced");
    end_source(m);
    m->older_snapshot = s->work == SNAP_TAKE ? m->snapshot_index : s->index;
    m->snapshot_index = s->index;
    m->snapshot_term = s->term;
    m->log_since_snapshot = 0;
    if (s->work == SNAP_TAKE) {
        snap_keep_data(m);
        m->taken = true;
        m->count.snapshots++;
    } else {
        struct disk_op *op = disk_push(m, DISK_OP_RESET);
        if (op == NULL) return SNAP_GIVE_UP;
        op->base = s->index;
        op->term = s->term;
        op->install = true;
        m->count.installs++;
    }
    METALOG_LOG(m, LOG_INFO, "metalog.snapshot", LOG_UINT("index", s->index), LOG_UINT("bytes", s->pos),
                LOG_INT("installed", s->work == SNAP_INSTALL));
    metalog_wake(m);
    return s->work == SNAP_TAKE ? SNAP_DROP : SNAP_INSTALLED;
}

/* RESET becomes durable, the pump restores from the bytes and tells the engine; files go with the next snapshot. */
static int snap_installed(struct task *t)
{
    struct metalog *m = of(t);
    bool wait = m->snap.work == SNAP_INSTALL && m->failed == STATUS_OK && m->closing == NULL;
    return wait ? idle(m, SNAP_INSTALLED) : SNAP_GIVE_UP;
}

/* Segments that the older snapshot covers; never the last. Of an installed one the log before it is another history. */
static int snap_drop(struct task *t)
{
    struct metalog *m = of(t);
    struct metalog_snap *s = &m->snap;
    struct metalog_disk *d = &m->disk;
    if (m->failed != STATUS_OK || m->closing != NULL) return SNAP_GIVE_UP;
    if (s->needs_vote == 0) {
        s->drop_count = 0;
        while (s->drop_count + 1 < d->segment_count && d->segments[s->drop_count].last_index <= m->older_snapshot &&
               d->segments[s->drop_count + 1].last_index > 0) /* the first one always has a group */
            s->drop_count++;
        s->drop_from = d->segments[0].number;
        if (s->drop_count == 0) return SNAP_DROP_SNAPSHOT;
        d->control.first_segment = d->segments[s->drop_count].number;
        disk_push_vote(m, quorum_term(m->quorum), d->control.vote);
        s->needs_vote = m->votes_asked;
    }
    if (m->votes_durable < s->needs_vote) return idle(m, SNAP_DROP);
    s->needs_vote = 0;
    for (uint32_t i = 0; i < s->drop_count; i++) m->count.log_bytes -= d->segments[i].bytes;
    memmove(d->segments, d->segments + s->drop_count, (d->segment_count - s->drop_count) * sizeof *d->segments);
    d->segment_count -= s->drop_count;
    s->op.status = STATUS_OK;
    return SNAP_DROP_SEGMENTS;
}

static void tell_left_over(struct metalog *m)
{
    if (m->snap.op.status != STATUS_OK && m->snap.op.status != STATUS_NOT_FOUND)
        METALOG_LOG(m, LOG_WARN, "metalog.file.left", LOG_STR("file", m->snap.path.s),
                    LOG_STATUS("status", m->snap.op.status));
}

static int snap_drop_segments(struct task *t)
{
    struct metalog *m = of(t);
    struct metalog_snap *s = &m->snap;
    tell_left_over(m);
    if (s->drop_count == 0) return SNAP_DROP_SNAPSHOT;
    s->drop_count--;
    metalog_segment_path(m, &s->path, s->drop_from++, "");
    return submit(m, (struct io_op){.kind = IO_UNLINK, .path = s->path.s}, SNAP_DROP_SEGMENTS);
}

static int snap_drop_snapshot(struct task *t)
{
    struct metalog *m = of(t);
    struct metalog_snap *s = &m->snap;
    uint64_t index = s->drop_snapshot;
    s->drop_snapshot = m->older_snapshot; /* goes with the next one */
    if (index == 0 || index == m->older_snapshot || index == m->snapshot_index) return SNAP_GIVE_UP;
    metalog_snapshot_path(m, &s->path, index);
    return submit(m, (struct io_op){.kind = IO_UNLINK, .path = s->path.s}, SNAP_GIVE_UP);
}

/* The end of every piece of work, good or not. */
static int snap_give_up(struct task *t)
{
    struct metalog *m = of(t);
    struct metalog_snap *s = &m->snap;
    end_source(m);
    if (s->file >= 0) {
        int32_t file = s->file;
        s->file = -1;
        return submit(m, (struct io_op){.kind = IO_CLOSE, .file = file}, SNAP_GIVE_UP);
    }
    if (s->work == SNAP_INSTALL && m->failed == STATUS_OK && m->closing == NULL)
        metalog_fail(m, STATUS_NO_MEMORY, "no memory to write a leader's snapshot: raise leat.memory.bytes");
    mem_free(m->mem, MEM_REPLICATION, s->data, s->room);
    mem_free_aligned(m->mem, MEM_REPLICATION, s->buffer, SNAP_BUFFER_BYTES);
    s->data = s->buffer = NULL;
    s->size = s->room = 0;
    s->needs_vote = 0;
    s->work = SNAP_NONE;
    metalog_wake(m);
    return SNAP_IDLE;
}

static int snap_end(struct task *t)
{
    struct metalog *m = of(t);
    metalog_wake(m);
    return STAGE_DONE;
}

#define OR_GIVE_UP STAGE_BIT(SNAP_GIVE_UP)

static const struct stage snap_stages[] = {
    [SNAP_IDLE] = {"idle", snap_idle, STAGE_BIT(SNAP_IDLE) | STAGE_BIT(SNAP_BEGIN) | STAGE_BIT(SNAP_END)},
    [SNAP_BEGIN] = {"begin", snap_begin, STAGE_BIT(SNAP_OPENED) | OR_GIVE_UP},
    [SNAP_OPENED] = {"opened", snap_opened, STAGE_BIT(SNAP_OPENED) | STAGE_BIT(SNAP_FILL) | OR_GIVE_UP},
    [SNAP_FILL] = {"fill", snap_fill, STAGE_BIT(SNAP_WRITTEN) | STAGE_BIT(SNAP_HEAD) | OR_GIVE_UP},
    [SNAP_WRITTEN] = {"written", snap_written, STAGE_BIT(SNAP_FILL) | STAGE_BIT(SNAP_HEAD) | OR_GIVE_UP},
    [SNAP_HEAD] = {"head", snap_head, STAGE_BIT(SNAP_SYNC)},
    [SNAP_SYNC] = {"sync", snap_sync, STAGE_BIT(SNAP_CLOSE) | OR_GIVE_UP},
    [SNAP_CLOSE] = {"close", snap_close, STAGE_BIT(SNAP_NAME) | OR_GIVE_UP},
    [SNAP_NAME] = {"name", snap_name, STAGE_BIT(SNAP_DIR)},
    [SNAP_DIR] = {"directory", snap_dir, STAGE_BIT(SNAP_DONE) | OR_GIVE_UP},
    [SNAP_DONE] = {"done", snap_done, STAGE_BIT(SNAP_DROP) | STAGE_BIT(SNAP_INSTALLED) | OR_GIVE_UP},
    [SNAP_INSTALLED] = {"installed", snap_installed, STAGE_BIT(SNAP_INSTALLED) | OR_GIVE_UP},
    [SNAP_DROP] = {"drop", snap_drop,
                   STAGE_BIT(SNAP_DROP) | STAGE_BIT(SNAP_DROP_SEGMENTS) | STAGE_BIT(SNAP_DROP_SNAPSHOT) | OR_GIVE_UP},
    [SNAP_DROP_SEGMENTS] = {"drop segments", snap_drop_segments,
                            STAGE_BIT(SNAP_DROP_SEGMENTS) | STAGE_BIT(SNAP_DROP_SNAPSHOT)},
    [SNAP_DROP_SNAPSHOT] = {"drop snapshot", snap_drop_snapshot, OR_GIVE_UP},
    [SNAP_GIVE_UP] = {"give up", snap_give_up, OR_GIVE_UP | STAGE_BIT(SNAP_IDLE)},
    [SNAP_END] = {"end", snap_end, 0},
};

static const struct flow snap_flow = {"metalog snapshot", snap_stages, COUNT_OF(snap_stages)};

void snap_task_start(struct metalog *m)
{
    task_start(m->env->runner, &m->snap.task, &snap_flow, SNAP_IDLE);
}

void snap_task_end(struct metalog *m)
{
    snap_wake(m);
}

bool snap_task_ended(const struct metalog *m)
{
    return !task_active(&m->snap.task);
}

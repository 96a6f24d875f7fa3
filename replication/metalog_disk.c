// SPDX-License-Identifier: Apache-2.0
/* The disk task: what the engine wants durable, one write at a time, in the order in which it asked.
 *
 *   next -> vote                 control page written in turn, flushed -> messages that waited for it may leave
 *        -> group                entries that wait are one group -> written, flushed -> the engine is told
 *        -> (roll -> group)      the segment is full: metalog_roll.c
 *
 * One at a time is the crash order: an entry of a term is never on disk before the term is; a group that something
 * stands behind was durable. After a quiet moment an empty group is written as the witness of the last one.
 *
 * Failure modes: any error ends the metalog (nothing is tried again); what waits stays where it is and is dropped at
 * the close. */
#include "replication/metalog_impl.h"

#include "base/bytes.h"
#include "base/check.h"

#define ENTRY_OVERHEAD 24u /* head and padding */

static_assert(GROUP_FILL_BYTES + METALOG_ENTRY_BYTES_MAX + 2 * BLOCK_BYTES <= MGROUP_BYTES_MAX, "a group has an end");

static struct metalog *of(struct task *t)
{
    return container_of(t, struct metalog, disk.task);
}

uint32_t disk_write_flags(const struct metalog *m)
{
    return m->env->dsync_cheaper ? IO_DSYNC : 0;
}

struct metalog_segment *disk_segment(struct metalog *m)
{
    CHECK(m->disk.segment_count > 0);
    return &m->disk.segments[m->disk.segment_count - 1];
}

/* --- the queue --- */

static void wake(struct metalog *m)
{
    if (!m->disk.idle) return;
    m->disk.idle = false;
    task_wake(&m->disk.task);
}

struct disk_op *disk_push(struct metalog *m, enum disk_op_kind kind)
{
    struct disk_op *op = mem_zalloc(m->mem, MEM_REPLICATION, sizeof *op);
    if (op == NULL) {
        metalog_fail(m, STATUS_NO_MEMORY, "no memory to write the metadata log: raise leat.memory.bytes");
        return NULL;
    }
    op->kind = kind;
    list_push_back(&m->disk.queue, &op->in_queue);
    wake(m);
    return op;
}

static void op_free(struct metalog *m, struct disk_op *op)
{
    for (uint32_t i = 0; i < op->count; i++) entry_unref(m->mem, op->entries[i]);
    mem_free(m->mem, MEM_REPLICATION, op->entries, op->room * sizeof(struct log_entry *));
    mem_free(m->mem, MEM_REPLICATION, op, sizeof *op);
}

void disk_push_vote(struct metalog *m, uint64_t term, int32_t vote)
{
    struct disk_op *op = disk_push(m, DISK_OP_VOTE);
    if (op == NULL) return;
    op->serial = ++m->votes_asked;
    op->term = term;
    op->vote = vote;
}

/* The last op, if the entry of that index may be joined to it. */
static struct disk_op *joinable(struct metalog *m, uint64_t index)
{
    struct metalog_disk *d = &m->disk;
    if (list_empty(&d->queue) || (d->busy && d->queue.head.prev == list_first(&d->queue))) return NULL;
    struct disk_op *op = container_of(d->queue.head.prev, struct disk_op, in_queue);
    bool joins = op->kind == DISK_OP_ENTRIES && op->base + op->count == index && op->bytes < GROUP_FILL_BYTES;
    return joins ? op : NULL;
}

static bool op_room(struct metalog *m, struct disk_op *op)
{
    if (op->count < op->room) return true;
    uint32_t room = MAX(op->room * 2, 8);
    size_t size = sizeof(struct log_entry *);
    struct log_entry **grown = mem_realloc(m->mem, MEM_REPLICATION, op->entries, op->room * size, room * size);
    if (grown == NULL) return false;
    op->entries = grown;
    op->room = room;
    return true;
}

/* Entries base.. of the log, which hold until they are written. */
bool disk_push_entries(struct metalog *m, uint64_t base, uint32_t count)
{
    for (uint64_t index = base; index < base + count; index++) {
        struct log_entry *e = entry_log_at(&m->entries, index);
        struct disk_op *op = joinable(m, index);
        CHECK(e != NULL);
        if (op == NULL && (op = disk_push(m, DISK_OP_ENTRIES)) == NULL) return false;
        if (op->count == 0) op->base = index;
        if (!op_room(m, op)) {
            metalog_fail(m, STATUS_NO_MEMORY, "no memory to write the metadata log: raise leat.memory.bytes");
            return false;
        }
        e->refs++;
        op->entries[op->count++] = e;
        op->bytes += e->size + ENTRY_OVERHEAD;
    }
    return true;
}

static struct disk_op *current(struct metalog *m)
{
    CHECK(m->disk.busy);
    return container_of(list_first(&m->disk.queue), struct disk_op, in_queue);
}

static int done(struct metalog *m)
{
    struct disk_op *op = current(m);
    list_remove(&op->in_queue);
    m->disk.busy = false;
    op_free(m, op);
    metalog_wake(m);
    return DISK_NEXT;
}

static int broken(struct metalog *m, enum status status, const char *what)
{
    metalog_fail(m, status, "%.150s: %s: %s", m->dir.s, what, status_text(status));
    return DISK_NEXT;
}

/* --- stages --- */

static int disk_next(struct task *t)
{
    struct metalog *m = of(t);
    struct metalog_disk *d = &m->disk;
    if (m->closing != NULL && (m->failed != STATUS_OK || list_empty(&d->queue))) return DISK_END;
    if (m->failed != STATUS_OK || list_empty(&d->queue)) {
        d->idle = true;
        return STAGE_WAIT(DISK_NEXT);
    }
    d->busy = true;
    struct disk_op *op = current(m);
    if (op->kind != DISK_OP_VOTE) return DISK_GROUP;
    d->control.term = op->term;
    d->control.vote = op->vote;
    return disk_write_control(m, DISK_VOTE_WRITTEN);
}

/* The next page, in the other place. */
int disk_write_control(struct metalog *m, int next)
{
    struct metalog_disk *d = &m->disk;
    d->control.page++;
    metalog_control_encode(d->page, &d->control);
    transfer_start(m->env, &d->transfer, &d->task, IO_WRITE, d->control_file, d->page, BLOCK_BYTES,
                   d->control.page % 2 * BLOCK_BYTES, disk_write_flags(m));
    m->count.writes++;
    return STAGE_WAIT(next);
}

static int sync_file(struct metalog *m, int32_t file, int next)
{
    struct metalog_disk *d = &m->disk;
    d->op = (struct io_op){.kind = IO_DATASYNC, .task = &d->task, .file = file};
    env_submit(m->env, &d->op);
    m->count.syncs++;
    return STAGE_WAIT(next);
}

static int disk_vote_written(struct task *t)
{
    struct metalog *m = of(t);
    if (m->disk.transfer.status != STATUS_OK) return broken(m, m->disk.transfer.status, "the vote cannot be written");
    m->disk.op.status = STATUS_OK;
    if (disk_write_flags(m) & IO_DSYNC) return DISK_VOTE_SYNCED;
    return sync_file(m, m->disk.control_file, DISK_VOTE_SYNCED);
}

static int disk_vote_synced(struct task *t)
{
    struct metalog *m = of(t);
    if (m->disk.op.status != STATUS_OK) return broken(m, m->disk.op.status, "the vote cannot be flushed");
    m->votes_durable = current(m)->serial;
    if (m->snap.needs_vote != 0) snap_wake(m);
    return done(m);
}

static struct metalog_group group_of(struct metalog *m, const struct disk_op *op)
{
    static const enum metalog_group_kind kinds[] = {
        [DISK_OP_ENTRIES] = MGROUP_ENTRIES, [DISK_OP_RESET] = MGROUP_RESET, [DISK_OP_CLOSE] = MGROUP_CLOSE};
    CHECK(op->kind != DISK_OP_VOTE);
    return (struct metalog_group){.ident = m->ident,
                                  .kind = kinds[op->kind],
                                  .incarnation = m->disk.control.incarnation,
                                  .sequence = m->disk.sequence + 1,
                                  .base = op->kind == DISK_OP_CLOSE ? 0 : op->base,
                                  .term = op->kind == DISK_OP_RESET ? op->term : 0,
                                  .chain = m->disk.chain,
                                  .durable = m->disk.sequence};
}

static bool buffer_room(struct metalog *m, uint32_t bytes)
{
    struct metalog_disk *d = &m->disk;
    if (d->buffer_bytes >= bytes) return true;
    uint8_t *buffer = mem_alloc_aligned(m->mem, MEM_REPLICATION, bytes);
    if (buffer == NULL) return false;
    mem_free_aligned(m->mem, MEM_REPLICATION, d->buffer, d->buffer_bytes);
    d->buffer = buffer;
    d->buffer_bytes = bytes;
    return true;
}

static int disk_group(struct task *t)
{
    struct metalog *m = of(t);
    struct metalog_disk *d = &m->disk;
    struct disk_op *op = current(m);
    struct metalog_group g = group_of(m, op);
    const struct log_entry *const *entries = (const struct log_entry *const *)op->entries;
    uint32_t bytes = metalog_group_bytes(entries, op->count);
    if (d->pos + bytes > disk_segment(m)->bytes) {
        d->new_bytes = MAX(align_up(m->config.segment_bytes, BLOCK_BYTES), (uint64_t)bytes);
        return DISK_ROLL;
    }
    if (!buffer_room(m, bytes)) return broken(m, STATUS_NO_MEMORY, "the log cannot be written");
    metalog_group_encode(d->buffer, &g, entries, op->count);
    d->chain = g.crc;
    transfer_start(m->env, &d->transfer, t, IO_WRITE, d->segment_file, d->buffer, g.length, d->pos,
                   disk_write_flags(m));
    d->pos += g.length;
    m->count.writes++;
    m->log_since_snapshot += g.length;
    return STAGE_WAIT(DISK_GROUP_WRITTEN);
}

static int disk_group_written(struct task *t)
{
    struct metalog *m = of(t);
    if (m->disk.transfer.status != STATUS_OK) return broken(m, m->disk.transfer.status, "the log cannot be written");
    m->disk.op.status = STATUS_OK;
    if (disk_write_flags(m) & IO_DSYNC) return DISK_GROUP_SYNCED;
    return sync_file(m, m->disk.segment_file, DISK_GROUP_SYNCED);
}

/* The written entries that the log still has: a later leader may have replaced some. (What is not stored is never
 * dropped: metalog.c, trailing.) */
static void tell_persisted(struct metalog *m, const struct disk_op *op)
{
    uint64_t index = 0;
    for (uint32_t i = 0; i < op->count && entry_log_at(&m->entries, op->base + i) == op->entries[i]; i++)
        index = op->base + i;
    m->count.entries += op->count;
    m->count.entry_bytes += op->bytes - (uint64_t)op->count * ENTRY_OVERHEAD;
    if (index > 0) metalog_stepped(m, quorum_persisted(m->quorum, metalog_now_ms(m), index));
}

static int disk_group_synced(struct task *t)
{
    struct metalog *m = of(t);
    struct metalog_disk *d = &m->disk;
    struct disk_op *op = current(m);
    if (d->op.status != STATUS_OK) return broken(m, d->op.status, "the log cannot be flushed");
    d->sequence++;
    d->open_group = op->kind != DISK_OP_CLOSE;
    if (op->kind == DISK_OP_ENTRIES) {
        struct metalog_segment *s = disk_segment(m);
        s->last_index = MAX(s->last_index, op->base + op->count - 1);
        tell_persisted(m, op);
    }
    if (op->kind == DISK_OP_RESET && op->install) m->installed = true;
    if (d->buffer_bytes > GROUP_FILL_BYTES) { /* a rare huge group does not keep its memory */
        mem_free_aligned(m->mem, MEM_REPLICATION, d->buffer, d->buffer_bytes);
        d->buffer = NULL;
        d->buffer_bytes = 0;
    }
    return done(m);
}

void disk_drop(struct metalog *m)
{
    while (!list_empty(&m->disk.queue))
        op_free(m, container_of(list_pop_front(&m->disk.queue), struct disk_op, in_queue));
}

static int disk_end(struct task *t)
{
    struct metalog *m = of(t);
    int32_t *files[] = {&m->disk.control_file, &m->disk.segment_file, &m->disk.new_file};
    disk_drop(m);
    for (unsigned i = 0; i < COUNT_OF(files); i++) {
        if (*files[i] < 0) continue;
        m->disk.op = (struct io_op){.kind = IO_CLOSE, .task = t, .file = *files[i]};
        *files[i] = -1;
        env_submit(m->env, &m->disk.op);
        return STAGE_WAIT(DISK_END);
    }
    metalog_wake(m);
    return STAGE_DONE;
}

static const struct stage disk_stages[] = {
    [DISK_NEXT] = {"next", disk_next,
                   STAGE_BIT(DISK_NEXT) | STAGE_BIT(DISK_VOTE_WRITTEN) | STAGE_BIT(DISK_GROUP) | STAGE_BIT(DISK_END)},
    [DISK_VOTE_WRITTEN] = {"vote written", disk_vote_written, STAGE_BIT(DISK_NEXT) | STAGE_BIT(DISK_VOTE_SYNCED)},
    [DISK_VOTE_SYNCED] = {"vote synced", disk_vote_synced, STAGE_BIT(DISK_NEXT)},
    [DISK_GROUP] = {"group", disk_group, STAGE_BIT(DISK_NEXT) | STAGE_BIT(DISK_GROUP_WRITTEN) | STAGE_BIT(DISK_ROLL)},
    [DISK_GROUP_WRITTEN] = {"group written", disk_group_written, STAGE_BIT(DISK_NEXT) | STAGE_BIT(DISK_GROUP_SYNCED)},
    [DISK_GROUP_SYNCED] = {"group synced", disk_group_synced, STAGE_BIT(DISK_NEXT)},
    [DISK_ROLL] = {"roll", disk_roll, STAGE_BIT(DISK_ROLL_OPENED) | STAGE_BIT(DISK_NEXT)},
    [DISK_ROLL_OPENED] = {"roll opened", disk_roll_opened, STAGE_BIT(DISK_ROLL_ZERO) | STAGE_BIT(DISK_NEXT)},
    [DISK_ROLL_ZERO] = {"roll zero", disk_roll_zero,
                        STAGE_BIT(DISK_ROLL_ZERO) | STAGE_BIT(DISK_ROLL_SYNCED) | STAGE_BIT(DISK_NEXT)},
    [DISK_ROLL_SYNCED] = {"roll synced", disk_roll_synced, STAGE_BIT(DISK_ROLL_NAMED) | STAGE_BIT(DISK_NEXT)},
    [DISK_ROLL_NAMED] = {"roll named", disk_roll_named, STAGE_BIT(DISK_ROLL_DIR) | STAGE_BIT(DISK_NEXT)},
    [DISK_ROLL_DIR] = {"roll directory", disk_roll_dir, STAGE_BIT(DISK_ROLL_CONTROL) | STAGE_BIT(DISK_NEXT)},
    [DISK_ROLL_CONTROL] = {"roll control", disk_roll_control, STAGE_BIT(DISK_ROLL_NOTED) | STAGE_BIT(DISK_NEXT)},
    [DISK_ROLL_NOTED] = {"roll noted", disk_roll_noted, STAGE_BIT(DISK_ROLL_DONE) | STAGE_BIT(DISK_NEXT)},
    [DISK_ROLL_DONE] = {"roll done", disk_roll_done, STAGE_BIT(DISK_GROUP)},
    [DISK_END] = {"end", disk_end, STAGE_BIT(DISK_END)},
};

static const struct flow disk_flow = {"metalog disk", disk_stages, COUNT_OF(disk_stages)};
static_assert(COUNT_OF(disk_stages) <= STAGE_MAX, "the runner's limit");

void disk_task_start(struct metalog *m)
{
    task_start(m->env->runner, &m->disk.task, &disk_flow, DISK_NEXT);
}

void disk_task_end(struct metalog *m)
{
    wake(m);
}

bool disk_task_ended(const struct metalog *m)
{
    return !task_active(&m->disk.task);
}

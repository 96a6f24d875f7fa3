// SPDX-License-Identifier: Apache-2.0
/* The flow of a deletion (rule A6: nothing of the partition may live in table or journal only when it goes):
 *
 *   move      until everything durable is in segment files; appends and changes are refused from the call on
 *   tail      the rest below 4 KiB is copied, files are cut to their length (the directory is checked or made by it)
 *   state     the table record (epochs, producers, segments, tail) into partition.state beside them
 *   sync      the file system: all of that is durable
 *   alone     no checkpoint runs from here to the end, no read, no unlink
 *   put       the delete entry; durable: the partition is gone
 *   rename    the directory into the trash or the quarantine, by name, topic id, creation sequence and time
 *   names     both parents are synced; only now a checkpoint may pass the entry, and the caller is told
 *
 * Failure modes: no space or memory: tried again until there is; a clean stop that comes before `put` ends the deletion
 * with NOT_LEADER and the partition stays. Fenced: FENCED, the next start decides by what is in the journal.
 * Crash order: the entry durable, then the rename; a replayed entry renames again (bury.c). */
#include "storage/bury.h"

#include "base/bytes.h"
#include "storage/checkpoint.h"
#include "storage/mover.h"
#include "storage/partition_map.h"
#include "storage/unlinker.h"

#define SOON_NS          NS_PER_MS
#define AGAIN_NS         (200 * NS_PER_MS)
#define STATE_MAGIC      0x454154535441454cull /* "LEATSTAE" */
#define STATE_HEAD_BYTES 16u

enum status partition_state_decode(const uint8_t *bytes, size_t len, struct record *ret_record)
{
    size_t pos = 0;
    if (len < STATE_HEAD_BYTES || load_le64(bytes) != STATE_MAGIC) return STATUS_DAMAGED;
    if (load_le32(bytes + 8) != TABLE_VERSION) return STATUS_FORMAT;
    enum status status = table_record_decode(bytes + STATE_HEAD_BYTES, len - STATE_HEAD_BYTES, &pos, ret_record);
    return status == STATUS_FORMAT ? STATUS_DAMAGED : status;
}

enum delete_stage {
    DELETE_MOVE,
    DELETE_TAIL,
    DELETE_STATE,
    DELETE_WRITE,
    DELETE_CLOSE,
    DELETE_CLOSED,
    DELETE_SYNC,
    DELETE_ALONE,
    DELETE_DURABLE,
    DELETE_NAMES,
    DELETE_NAMED,
    DELETE_END
};

struct deletion {
    struct task task;
    struct partition *p;
    struct store *store;
    struct partition_delete *op;
    struct path dir, path;
    struct io_op io, io2;
    struct transfer write;
    struct timer again;
    struct out state;
    struct commit_waiter durable;
    enum status durable_status, status, write_status;
    bool alone; /* counted in store->burials */
};

static_assert(sizeof(struct deletion) <= sizeof(((struct partition_delete *)0)->impl), "a deletion fits its op");

static struct deletion *deletion_of(struct task *t)
{
    return container_of(t, struct deletion, task);
}

static int submit(struct deletion *d, struct io_op op, int next)
{
    d->io = op;
    d->io.task = &d->task;
    env_submit(d->store->env, &d->io);
    return STAGE_WAIT(next);
}

static void again_fire(struct timer *timer)
{
    task_wake(&container_of(timer, struct deletion, again)->task);
}

static int wait_for(struct deletion *d, int64_t ns, int next)
{
    d->again.fire = again_fire;
    env_timer_start(d->store->env, &d->again, mono_add(d->store->env->now, ns));
    return STAGE_WAIT(next);
}

static int finish(struct deletion *d, enum status status)
{
    d->status = status;
    return DELETE_END;
}

static int failed(struct deletion *d, enum status status, const char *what)
{
    STORE_LOG(d->store, LOG_ERROR, "delete.failed", LOG_STR("directory", d->dir.s), LOG_STR("what", what),
              LOG_STATUS("status", status));
    journal_fail(d->store->journal);
    return finish(d, STATUS_FENCED);
}

/* The stop or the fence has come first; *ret_next says where that leads. */
static bool over(struct deletion *d, int *ret_next)
{
    if (!store_fenced(d->store) && !d->store->closing) return false;
    *ret_next = finish(d, store_fenced(d->store) ? STATUS_FENCED : STATUS_NOT_LEADER);
    return true;
}

static int delete_move(struct task *t)
{
    struct deletion *d = deletion_of(t);
    int next;
    if (d->p == NULL || over(d, &next)) return d->p == NULL ? DELETE_END : next;
    bool moved = mover_moved(d->store->mover, d->p);
    if (d->p->truncating || !moved || !mover_has_slot(d->store->mover)) return wait_for(d, SOON_NS, DELETE_MOVE);
    mover_copy_tail(d->store->mover, d->p, t);
    return STAGE_WAIT(DELETE_TAIL);
}

static int delete_tail(struct task *t)
{
    struct deletion *d = deletion_of(t);
    int next;
    if (over(d, &next)) return next;
    struct mem *m = d->store->env->mem;
    out_free(&d->state);
    out_init(&d->state, m);
    uint8_t *head = out_take(&d->state, STATE_HEAD_BYTES);
    if (head != NULL) {
        memset(head, 0, STATE_HEAD_BYTES);
        store_le64(head, STATE_MAGIC);
        store_le32(head + 8, TABLE_VERSION);
    }
    table_record(&d->state, d->p, PRODUCERS_WHOLE);
    size_t pad_bytes = align_up(d->state.len, BLOCK_BYTES) - d->state.len;
    uint8_t *pad = out_take(&d->state, pad_bytes);
    if (pad == NULL) return wait_for(d, AGAIN_NS, DELETE_TAIL);
    memset(pad, 0, pad_bytes);
    partition_dir(d->p, &d->dir);
    path_set(&d->path, "%s/partition.state", d->dir.s);
    return DELETE_STATE;
}

static int delete_state(struct task *t)
{
    struct deletion *d = deletion_of(t);
    return submit(d, (struct io_op){.kind = IO_OPEN, .path = d->path.s, .flags = IO_CREATE | IO_DIRECT}, DELETE_WRITE);
}

static int delete_write(struct task *t)
{
    struct deletion *d = deletion_of(t);
    if (d->io.status == STATUS_NO_SPACE || d->io.status == STATUS_TOO_MANY_FILES)
        return wait_for(d, AGAIN_NS, DELETE_TAIL);
    if (d->io.status != STATUS_OK) return failed(d, d->io.status, "open partition.state");
    transfer_start(d->store->env, &d->write, t, IO_WRITE, (int32_t)d->io.result, d->state.data, (uint32_t)d->state.len,
                   0, 0);
    return STAGE_WAIT(DELETE_CLOSE);
}

static int delete_close(struct task *t)
{
    struct deletion *d = deletion_of(t);
    d->write_status = d->write.status;
    return submit(d, (struct io_op){.kind = IO_CLOSE, .file = (int32_t)d->io.result}, DELETE_CLOSED);
}

static int delete_closed(struct task *t)
{
    struct deletion *d = deletion_of(t);
    if (d->write_status == STATUS_NO_SPACE) return wait_for(d, AGAIN_NS, DELETE_TAIL);
    if (d->write_status != STATUS_OK) return failed(d, d->write_status, "write partition.state");
    return submit(d, (struct io_op){.kind = IO_SYNC_FS, .file = d->store->journal->control_file}, DELETE_SYNC);
}

static int delete_sync(struct task *t)
{
    struct deletion *d = deletion_of(t);
    int next;
    if (d->io.status != STATUS_OK) return failed(d, d->io.status, "sync");
    if (over(d, &next)) return next;
    d->store->burials++;
    d->alone = true;
    return DELETE_ALONE;
}

static void durable(struct commit_waiter *w, enum status status)
{
    struct deletion *d = container_of(w, struct deletion, durable);
    d->durable_status = status;
    task_wake(&d->task);
}

static int delete_alone(struct task *t)
{
    struct deletion *d = deletion_of(t);
    struct store *s = d->store;
    struct partition *p = d->p;
    struct place place;
    int next;
    if (over(d, &next)) return next;
    if (s->table->running || p->readers > 0 || !unlinker_idle(s->unlinker)) return wait_for(d, SOON_NS, DELETE_ALONE);
    struct entry e = {.kind = ENTRY_DELETE,
                      .topic = p->id,
                      .partition = p->number,
                      .epoch = p->epoch,
                      .offset = p->log_end,
                      .aux = p->creation,
                      .payload_bytes = DELETE_PAYLOAD_BYTES};
    if (partition_put(p, &e, p->log_end, p->end_pos, &place) != STATUS_OK) {
        s->burials--; /* a checkpoint may have to make room first */
        d->alone = false;
        return wait_for(d, AGAIN_NS, DELETE_SYNC);
    }
    place.buf->data[place.pos] = (uint8_t)d->op->to;
    d->durable.durable = durable;
    journal_wait(s->journal, &d->durable);
    return STAGE_WAIT(DELETE_DURABLE);
}

static int delete_durable(struct task *t)
{
    struct deletion *d = deletion_of(t);
    struct store *s = d->store;
    char name[NAME_BYTES_MAX];
    if (d->durable_status != STATUS_OK) return finish(d, d->durable_status);
    files_forget_partition(s->files, d->p->id, d->p->number);
    partition_dir_name(name, d->p->topic, d->p->id, d->p->number);
    struct kept k = {.id = d->p->id, .number = d->p->number, .creation = d->p->creation};
    kept_path(s, d->op->to, name, &k, &d->path);
    return submit(d, (struct io_op){.kind = IO_RENAME, .path = d->dir.s, .path2 = d->path.s}, DELETE_NAMES);
}

static int delete_names(struct task *t)
{
    struct deletion *d = deletion_of(t);
    struct store *s = d->store;
    if (d->io.status != STATUS_OK) return failed(d, d->io.status, "rename");
    folder_path(s, d->op->to, &d->path);
    d->io2 = (struct io_op){.kind = IO_SYNC_DIR, .task = t, .path = d->path.s};
    env_submit(s->env, &d->io2);
    return submit(d, (struct io_op){.kind = IO_SYNC_DIR, .path = s->dir.s}, DELETE_NAMED);
}

static int delete_named(struct task *t)
{
    struct deletion *d = deletion_of(t);
    struct partition *p = d->p;
    if (p->readers > 0) return wait_for(d, SOON_NS, DELETE_NAMED); /* begun meanwhile: refused in their first turn */
    if (d->io.status != STATUS_OK || d->io2.status != STATUS_OK)
        return failed(d, d->io.status != STATUS_OK ? d->io.status : d->io2.status, "sync of the names");
    checkpoint_drop(d->store->table, p->id, p->number, p->home);
    partition_map_remove(d->store->map, p);
    partition_free(p);
    d->p = NULL;
    return finish(d, STATUS_OK);
}

static int delete_end(struct task *t)
{
    struct deletion *d = deletion_of(t);
    struct partition_delete *op = d->op;
    out_free(&d->state);
    if (d->alone) d->store->burials--;
    if (d->status == STATUS_NOT_LEADER && d->p != NULL) d->p->deleting = false; /* a clean stop came first */
    d->store->deletions--;
    op->status = d->status;
    op->done(op);
    return STAGE_DONE;
}

#define ENDS STAGE_BIT(DELETE_END)

static const struct stage delete_stages[] = {
    [DELETE_MOVE] = {"move", delete_move, STAGE_BIT(DELETE_MOVE) | STAGE_BIT(DELETE_TAIL) | ENDS},
    [DELETE_TAIL] = {"tail", delete_tail, STAGE_BIT(DELETE_TAIL) | STAGE_BIT(DELETE_STATE) | ENDS},
    [DELETE_STATE] = {"state", delete_state, STAGE_BIT(DELETE_WRITE)},
    [DELETE_WRITE] = {"write", delete_write, STAGE_BIT(DELETE_TAIL) | STAGE_BIT(DELETE_CLOSE) | ENDS},
    [DELETE_CLOSE] = {"close", delete_close, STAGE_BIT(DELETE_CLOSED)},
    [DELETE_CLOSED] = {"closed", delete_closed, STAGE_BIT(DELETE_TAIL) | STAGE_BIT(DELETE_SYNC) | ENDS},
    [DELETE_SYNC] = {"sync", delete_sync, STAGE_BIT(DELETE_ALONE) | ENDS},
    [DELETE_ALONE] = {"alone", delete_alone,
                      STAGE_BIT(DELETE_ALONE) | STAGE_BIT(DELETE_SYNC) | STAGE_BIT(DELETE_DURABLE) | ENDS},
    [DELETE_DURABLE] = {"durable", delete_durable, STAGE_BIT(DELETE_NAMES) | ENDS},
    [DELETE_NAMES] = {"names", delete_names, STAGE_BIT(DELETE_NAMED) | ENDS},
    [DELETE_NAMED] = {"named", delete_named, STAGE_BIT(DELETE_NAMED) | ENDS},
    [DELETE_END] = {"end", delete_end, 0},
};

static const struct flow delete_flow = {"delete", delete_stages, COUNT_OF(delete_stages)};

void partition_delete(struct partition *p, struct partition_delete *op)
{
    struct deletion *d = (struct deletion *)op->impl;
    *d = (struct deletion){.store = p->store, .op = op, .p = p};
    if (p->deleting || p->store->closing) { /* somebody else's, or too late */
        d->p = NULL;
        d->status = STATUS_NOT_LEADER;
    } else {
        p->deleting = true;
        mover_look(p);
    }
    p->store->deletions++;
    task_start(p->store->env->runner, &d->task, &delete_flow, DELETE_MOVE);
}

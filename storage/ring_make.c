// SPDX-License-Identifier: Apache-2.0
/* Makes a journal that is not there, in a directory of another name: the ring's files written with zeros (an fdatasync
 * of a pre-zeroed file is one write and one flush), the two table files (their first space: a full disk can then still
 * be emptied, rule A10), the control file with its first page (REC_NOTE). Everything is synced, then the directory gets
 * its name: a journal directory that exists was once complete, so a file that misses in it is damage, never a reason to
 * begin anew. */
#include "storage/recovery.h"

#include "base/bytes.h"

/* Files in the order of making: ring files, table-0, table-1, control. */
static uint32_t ring_count(const struct recovery *r)
{
    return r->journal->config.files_first;
}

static uint32_t file_count(const struct recovery *r)
{
    return ring_count(r) + 3;
}

int rec_make(struct task *t)
{
    struct recovery *r = container_of(t, struct recovery, task);
    path_set(&r->new_dir, "%s.new", r->dir.s);
    r->ops[0] = (struct io_op){.kind = IO_MKDIR, .task = t, .path = r->new_dir.s};
    r->making = true;
    r->lock_deadline = mono_add(r->store->env->now, RECOVERY_LOCK_WAIT_NS);
    r->made = 0;
    env_submit(r->store->env, &r->ops[0]);
    return STAGE_WAIT(REC_MAKE_OPEN);
}

static int open_next(struct recovery *r)
{
    uint32_t i = r->made;
    if (i < ring_count(r))
        path_set(&r->paths[i], "%s/ring-%06u", r->new_dir.s, i);
    else if (i < ring_count(r) + 2)
        path_set(&r->paths[i], "%s/table-%u", r->new_dir.s, i - ring_count(r));
    else
        path_set(&r->paths[i], "%s/control", r->new_dir.s);
    r->ops[0] =
        (struct io_op){.kind = IO_OPEN, .task = &r->task, .path = r->paths[i].s, .flags = IO_CREATE | IO_DIRECT};
    r->zeroed = 0;
    r->locked = false;
    env_submit(r->store->env, &r->ops[0]);
    return STAGE_WAIT(REC_MAKE_ZERO);
}

int rec_make_open(struct task *t)
{
    struct recovery *r = container_of(t, struct recovery, task);
    enum status status = r->ops[0].status;
    bool made_dir = r->ops[0].kind == IO_MKDIR;
    if (status != STATUS_OK && !(made_dir && status == STATUS_EXISTS))
        return recovery_fail(r, status, "%s: cannot be made: %s", r->dir.s, status_text(status));
    return open_next(r);
}

static uint64_t wanted_bytes(const struct recovery *r)
{
    if (r->made < ring_count(r)) return r->journal->config.file_bytes;
    return r->made == ring_count(r) + 2 ? 2 * BLOCK_BYTES : TABLE_FIRST_BYTES;
}

static void keep_handle(struct recovery *r, int32_t handle)
{
    struct journal *j = r->journal;
    uint32_t i = r->made;
    if (i < ring_count(r)) {
        j->slots[i] = (struct ring_slot){.number = i, .bytes = j->config.file_bytes, .file = handle};
        j->order[i] = i;
        j->slot_count = i + 1;
    } else if (i < ring_count(r) + 2) {
        r->store->table->files[i - ring_count(r)] = handle;
        r->store->table->allocated[i - ring_count(r)] = TABLE_FIRST_BYTES;
    } else {
        j->control_file = handle;
    }
}

int rec_make_zero(struct task *t)
{
    struct recovery *r = container_of(t, struct recovery, task);
    if (r->zeroed == 0) {
        if (r->ops[0].status != STATUS_OK)
            return recovery_fail(r, r->ops[0].status, "%s: cannot be made: %s", r->paths[r->made].s,
                                 status_text(r->ops[0].status));
        if (!r->locked) { /* another process may be making it, too (rule A7) */
            r->ops[2] = (struct io_op){.kind = IO_LOCK, .task = t, .file = (int32_t)r->ops[0].result};
            env_submit(r->store->env, &r->ops[2]);
            return STAGE_WAIT(REC_MAKE_LOCK);
        }
        keep_handle(r, (int32_t)r->ops[0].result);
    } else if (r->read.status != STATUS_OK) {
        return recovery_fail(
            r, r->read.status, "%s: cannot be filled (%llu MiB are needed for the journal): %s", r->paths[r->made].s,
            (unsigned long long)(r->journal->config.file_bytes * ring_count(r) >> 20), status_text(r->read.status));
    }
    int32_t handle = (int32_t)r->ops[0].result;
    uint64_t left = wanted_bytes(r) - r->zeroed;
    if (left == 0) {
        r->ops[1] = (struct io_op){.kind = IO_SYNC, .task = t, .file = handle};
        env_submit(r->store->env, &r->ops[1]);
        return STAGE_WAIT(REC_MAKE_SYNC);
    }
    uint32_t len = (uint32_t)MIN(left, r->window->capacity);
    memset(r->window->data, 0, len);
    transfer_start(r->store->env, &r->read, t, IO_WRITE, handle, r->window->data, len, r->zeroed, 0);
    r->zeroed += len;
    return STAGE_WAIT(REC_MAKE_ZERO);
}

int rec_make_lock(struct task *t)
{
    struct recovery *r = container_of(t, struct recovery, task);
    if (r->ops[2].status != STATUS_OK) return recovery_lock_again(r, r->ops[2].status, REC_MAKE_ZERO);
    r->locked = true;
    return REC_MAKE_ZERO;
}

int rec_make_sync(struct task *t)
{
    struct recovery *r = container_of(t, struct recovery, task);
    if (r->ops[1].status != STATUS_OK)
        return recovery_fail(r, r->ops[1].status, "%s: cannot be synced: %s", r->paths[r->made].s,
                             status_text(r->ops[1].status));
    if (++r->made < file_count(r)) return open_next(r);
    r->ops[0] = (struct io_op){.kind = IO_SYNC_DIR, .task = t, .path = r->new_dir.s};
    env_submit(r->store->env, &r->ops[0]);
    return STAGE_WAIT(REC_MAKE_DIR);
}

int rec_make_dir(struct task *t)
{
    struct recovery *r = container_of(t, struct recovery, task);
    struct journal *j = r->journal;
    if (r->ops[0].status != STATUS_OK)
        return recovery_fail(r, r->ops[0].status, "%s: cannot be synced: %s", r->new_dir.s,
                             status_text(r->ops[0].status));
    j->control = (struct control){.shard = r->store->number, .next_file = j->slot_count, .file_count = j->slot_count};
    for (int i = 0; i < 16; i += 8) store_le64(j->control.journal.b + i, env_random(r->store->env));
    memcpy(j->control.directory.b, r->store->directory.b, sizeof j->control.directory.b);
    for (uint32_t i = 0; i < j->slot_count; i++)
        j->control.files[i] = (struct ring_file){.number = j->slots[i].number, .bytes = j->slots[i].bytes};
    j->next_sequence = j->mark_sequence = r->next = 1;
    return REC_NOTE;
}

int rec_make_rename(struct task *t)
{
    struct recovery *r = container_of(t, struct recovery, task);
    r->ops[0] = (struct io_op){.kind = IO_RENAME, .task = t, .path = r->new_dir.s, .path2 = r->dir.s};
    env_submit(r->store->env, &r->ops[0]);
    return STAGE_WAIT(REC_MAKE_PARENT);
}

int rec_make_parent(struct task *t)
{
    struct recovery *r = container_of(t, struct recovery, task);
    if (r->ops[0].status != STATUS_OK)
        return recovery_fail(r, r->ops[0].status, "%s: cannot be named: %s", r->dir.s, status_text(r->ops[0].status));
    if (r->ops[0].kind == IO_RENAME) {
        r->ops[0] = (struct io_op){.kind = IO_SYNC_DIR, .task = t, .path = r->store->dir.s};
        env_submit(r->store->env, &r->ops[0]);
        return STAGE_WAIT(REC_MAKE_PARENT);
    }
    journal_start(r->journal);
    return REC_DONE;
}

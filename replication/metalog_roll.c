// SPDX-License-Identifier: Apache-2.0
/* The next segment: a new file full of zeros under another name, locked (rule A7: writes of a killed process may still
 * be under way, and its lock ends with them), synced, named, the name synced, then noted in the control page; only then
 * the first group goes into it. So a segment that control names is there and was whole, and one that it does not name
 * holds nothing.
 * Failure modes: any error ends the metalog. */
#include "replication/metalog_impl.h"

#include "base/bytes.h"
#include "base/check.h"

static struct metalog *of(struct task *t)
{
    return container_of(t, struct metalog, disk.task);
}

static int broken(struct metalog *m, enum status status, const char *what)
{
    metalog_fail(m, status, "%.150s: %s: %s", m->disk.path.s, what, status_text(status));
    return DISK_NEXT;
}

static int submit(struct metalog *m, struct io_op op, int next)
{
    m->disk.op = op;
    m->disk.op.task = &m->disk.task;
    env_submit(m->env, &m->disk.op);
    return STAGE_WAIT(next);
}

void metalog_segment_path(const struct metalog *m, struct path *p, uint32_t number, const char *suffix)
{
    path_set(p, "%s/log-%06u%s", m->dir.s, number, suffix);
}

int disk_roll(struct task *t)
{
    struct metalog *m = of(t);
    uint32_t number = disk_segment(m)->number + 1;
    if (m->disk.segment_count == SEGMENTS_MAX || number == UINT32_MAX) {
        metalog_fail(m, STATUS_BUSY, "%.150s: more than %u log files: snapshots do not succeed", m->dir.s,
                     SEGMENTS_MAX);
        return DISK_NEXT;
    }
    metalog_segment_path(m, &m->disk.path, number, ".new");
    metalog_segment_path(m, &m->disk.path2, number, "");
    return submit(m, (struct io_op){.kind = IO_OPEN, .path = m->disk.path.s, .flags = IO_CREATE | IO_EXCL | IO_DIRECT},
                  DISK_ROLL_OPENED);
}

int disk_roll_opened(struct task *t)
{
    struct metalog *m = of(t);
    struct metalog_disk *d = &m->disk;
    if (d->op.status != STATUS_OK) return broken(m, d->op.status, "cannot be made");
    d->new_file = (int32_t)d->op.result;
    d->zeroed = 0;
    mem_free_aligned(m->mem, MEM_REPLICATION, d->buffer, d->buffer_bytes);
    d->buffer_bytes = ZERO_BYTES;
    d->buffer = mem_alloc_aligned(m->mem, MEM_REPLICATION, ZERO_BYTES);
    if (d->buffer == NULL) {
        d->buffer_bytes = 0;
        return broken(m, STATUS_NO_MEMORY, "cannot be filled");
    }
    memset(d->buffer, 0, ZERO_BYTES);
    d->transfer.status = STATUS_OK;
    return submit(m, (struct io_op){.kind = IO_LOCK, .file = d->new_file}, DISK_ROLL_ZERO);
}

int disk_roll_zero(struct task *t)
{
    struct metalog *m = of(t);
    struct metalog_disk *d = &m->disk;
    if (d->op.status != STATUS_OK) return broken(m, d->op.status, "cannot be locked");
    if (d->transfer.status != STATUS_OK) return broken(m, d->transfer.status, "cannot be filled");
    uint32_t len = (uint32_t)MIN(d->new_bytes - d->zeroed, ZERO_BYTES);
    if (len == 0) return submit(m, (struct io_op){.kind = IO_SYNC, .file = d->new_file}, DISK_ROLL_SYNCED);
    transfer_start(m->env, &d->transfer, t, IO_WRITE, d->new_file, d->buffer, len, d->zeroed, 0);
    d->zeroed += len;
    return STAGE_WAIT(DISK_ROLL_ZERO);
}

int disk_roll_synced(struct task *t)
{
    struct metalog *m = of(t);
    if (m->disk.op.status != STATUS_OK) return broken(m, m->disk.op.status, "cannot be synced");
    m->count.syncs++;
    return submit(m, (struct io_op){.kind = IO_RENAME, .path = m->disk.path.s, .path2 = m->disk.path2.s},
                  DISK_ROLL_NAMED);
}

int disk_roll_named(struct task *t)
{
    struct metalog *m = of(t);
    if (m->disk.op.status != STATUS_OK) return broken(m, m->disk.op.status, "cannot be named");
    return submit(m, (struct io_op){.kind = IO_SYNC_DIR, .path = m->dir.s}, DISK_ROLL_DIR);
}

int disk_roll_dir(struct task *t)
{
    struct metalog *m = of(t);
    if (m->disk.op.status != STATUS_OK) return broken(m, m->disk.op.status, "its name cannot be synced");
    m->disk.control.last_segment = disk_segment(m)->number + 1;
    return disk_write_control(m, DISK_ROLL_CONTROL);
}

int disk_roll_control(struct task *t)
{
    struct metalog *m = of(t);
    if (m->disk.transfer.status != STATUS_OK)
        return broken(m, m->disk.transfer.status, "cannot be noted in the control file");
    m->count.syncs++;
    return submit(m, (struct io_op){.kind = IO_DATASYNC, .file = m->disk.control_file}, DISK_ROLL_NOTED);
}

int disk_roll_noted(struct task *t)
{
    struct metalog *m = of(t);
    struct metalog_disk *d = &m->disk;
    if (d->op.status != STATUS_OK) return broken(m, d->op.status, "cannot be noted in the control file");
    return submit(m, (struct io_op){.kind = IO_CLOSE, .file = d->segment_file}, DISK_ROLL_DONE);
}

int disk_roll_done(struct task *t)
{
    struct metalog *m = of(t);
    struct metalog_disk *d = &m->disk;
    d->segments[d->segment_count++] =
        (struct metalog_segment){.number = d->control.last_segment, .bytes = d->new_bytes};
    d->segment_file = d->new_file;
    d->new_file = -1;
    d->pos = 0;
    m->count.log_bytes += d->new_bytes;
    return DISK_GROUP;
}

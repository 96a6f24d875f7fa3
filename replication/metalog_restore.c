// SPDX-License-Identifier: Apache-2.0
/* Snapshots at the start: from the newest file on, the first whose head and data are sound (a damaged one is told, and
 * the log behind the one before it is still there); later, when the start is noted, its bytes to the owner.
 * Failure modes: none is sound: the log decides (metalog_cases.c). The owner cannot read it: the start ends with the
 * owner's status. */
#include "replication/metalog_open.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/crc32c.h"

static struct opening *of(struct task *t)
{
    return container_of(t, struct opening, task);
}

int find_snapshot(struct task *t)
{
    struct opening *o = of(t);
    if (o->file >= 0) { /* of the one before, which is not sound */
        int32_t file = o->file;
        o->file = -1;
        return open_submit(o, (struct io_op){.kind = IO_CLOSE, .file = file}, FIND_HEAD);
    }
    o->head = (struct metalog_snapshot_head){0};
    if (o->snapshot_at == o->snapshot_count) return SCAN_OPEN;
    metalog_snapshot_path(o->m, &o->path, o->snapshots[o->snapshot_at]);
    return open_submit(o, (struct io_op){.kind = IO_OPEN, .path = o->path.s, .flags = IO_DIRECT | IO_READONLY},
                       FIND_HEAD);
}

static int unsound(struct opening *o, enum status status)
{
    METALOG_LOG(o->m, LOG_WARN, "metalog.snapshot.unsound", LOG_STR("file", o->path.s), LOG_STATUS("status", status));
    o->snapshot_at++;
    return FIND_SNAPSHOT;
}

int find_head(struct task *t)
{
    struct opening *o = of(t);
    if (o->io.kind == IO_CLOSE) return FIND_SNAPSHOT;
    if (o->io.status != STATUS_OK)
        return open_fail(o, o->io.status, "%s: cannot be opened: %s", o->path.s, status_text(o->io.status));
    o->file = (int32_t)o->io.result;
    o->data_at = 0;
    o->data_crc = 0;
    return open_read(o, o->file, o->pages, BLOCK_BYTES, 0, FIND_DATA);
}

/* The next piece of data: whole blocks, the last one padded. */
static int read_piece(struct opening *o, int next)
{
    uint64_t left = align_up(o->head.bytes - o->data_at, BLOCK_BYTES);
    uint32_t len = (uint32_t)MIN(left, OPEN_WINDOW_BYTES);
    return open_read(o, o->file, o->window, len, BLOCK_BYTES + o->data_at, next);
}

int find_data(struct task *t)
{
    struct opening *o = of(t);
    uint32_t version;
    if (o->transfer.status != STATUS_OK)
        return open_fail(o, o->transfer.status, "%s: cannot be read: %s", o->path.s, status_text(o->transfer.status));
    if (o->transfer.moved != o->transfer.len) return unsound(o, STATUS_DAMAGED);
    if (o->head.index == 0) {
        enum status status = metalog_snapshot_decode(o->pages, &o->head, &version);
        if (status == STATUS_FORMAT && version > METALOG_FORMAT_VERSION)
            return open_fail(o, status, "%s: written by a newer Leat (format %u)", o->path.s, version);
        if (status != STATUS_OK || !metalog_ident_equal(&o->head.ident, &o->m->ident) ||
            o->head.index != o->snapshots[o->snapshot_at] || o->head.bytes > METALOG_SNAPSHOT_MAX)
            return unsound(o, STATUS_DAMAGED);
    } else {
        uint32_t n = (uint32_t)MIN(o->head.bytes - o->data_at, (uint64_t)o->transfer.len);
        o->data_crc = crc32c(o->data_crc, o->window, n);
        o->data_at += n;
    }
    if (o->data_at < o->head.bytes) return read_piece(o, FIND_DATA);
    if (o->data_crc != o->head.data_crc) return unsound(o, STATUS_DAMAGED);
    int32_t file = o->file;
    o->file = -1;
    return open_submit(o, (struct io_op){.kind = IO_CLOSE, .file = file}, SCAN_OPEN);
}

int restore_open(struct task *t)
{
    struct opening *o = of(t);
    metalog_snapshot_path(o->m, &o->path, o->head.index);
    o->data_at = 0;
    o->data_crc = 0;
    return open_submit(o, (struct io_op){.kind = IO_OPEN, .path = o->path.s, .flags = IO_DIRECT | IO_READONLY},
                       RESTORE_READ);
}

/* With peers the bytes are kept for them. */
static bool keep(struct opening *o, const uint8_t *data, uint32_t size)
{
    struct metalog *m = o->m;
    if (m->config.voter_count == 1) return true;
    if (m->snapshot_data == NULL) {
        m->snapshot_size = MAX(o->head.bytes, 1);
        m->snapshot_data = mem_zalloc(m->mem, MEM_REPLICATION, m->snapshot_size);
        if (m->snapshot_data == NULL) {
            m->snapshot_size = 0;
            return false;
        }
    }
    memcpy(m->snapshot_data + o->data_at, data, size);
    return true;
}

static int restored(struct opening *o)
{
    struct metalog_owner *owner = o->m->config.owner;
    bool whole = o->data_crc == o->head.data_crc;
    o->restoring = false;
    enum status status = owner->ops->restore_end(owner, whole);
    if (!whole) return open_fail(o, STATUS_DAMAGED, "%s: reads differently each time", o->path.s);
    if (status != STATUS_OK)
        return open_fail(o, status, "%s: its state cannot be restored: %s", o->path.s, status_text(status));
    int32_t file = o->file;
    o->file = -1;
    return open_submit(o, (struct io_op){.kind = IO_CLOSE, .file = file}, OPEN_START);
}

int restore_read(struct task *t)
{
    struct opening *o = of(t);
    struct metalog_owner *owner = o->m->config.owner;
    if (!o->restoring) {
        if (o->io.status != STATUS_OK)
            return open_fail(o, o->io.status, "%s: cannot be opened: %s", o->path.s, status_text(o->io.status));
        o->file = (int32_t)o->io.result;
        o->restoring = true;
        owner->ops->restore_begin(owner, o->head.index, o->head.term);
    } else {
        if (o->transfer.status != STATUS_OK || o->transfer.moved != o->transfer.len)
            return open_fail(o, o->transfer.status != STATUS_OK ? o->transfer.status : STATUS_DAMAGED,
                             "%s: cannot be read", o->path.s);
        uint32_t n = (uint32_t)MIN(o->head.bytes - o->data_at, (uint64_t)o->transfer.len);
        if (!keep(o, o->window, n)) return open_fail(o, STATUS_NO_MEMORY, "%s: no memory for it", o->path.s);
        enum status status = owner->ops->restore_next(owner, o->window, n);
        if (status != STATUS_OK)
            return open_fail(o, status, "%s: its state cannot be restored: %s", o->path.s, status_text(status));
        o->data_crc = crc32c(o->data_crc, o->window, n);
        o->data_at += n;
    }
    return o->data_at < o->head.bytes ? read_piece(o, RESTORE_READ) : restored(o);
}

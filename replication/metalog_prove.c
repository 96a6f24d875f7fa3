// SPDX-License-Identifier: Apache-2.0
/* What recovery relies on is put on the medium before anybody hears of it (rule A7). A flush alone does not do that:
 * when one failed in the life before, the drive may have dropped what it had to write, may show it still, and answers
 * the next flush well. So what was read and is not known to have been covered by a good flush is written once more, the
 * same bytes in the same place (a torn write of equal bytes changes nothing), and flushed:
 *
 *   the last group    every one before it was durable before its successor was written; one that stands in a segment
 *                     before the last was durable before that one was made
 *   the control page  that was believed: before a new one is written over the place of its predecessor
 *   names             the directory's, and its own in the log directory
 *
 * Failure modes: any error ends the start with a sentence. */
#include "replication/metalog_open.h"

#include "base/bytes.h"
#include "base/check.h"

enum proof { PROVE_READ, PROVE_GROUP, PROVE_PAGE, PROVE_LOG, PROVE_CONTROL, PROVE_NAMES, PROVE_NAME, PROVE_END };

static int read_again(struct opening *o)
{
    if (o->last_segment != o->m->disk.control.last_segment) return OPEN_PROVE;
    CHECK(o->last_length <= o->window_room); /* it was read through the window */
    return open_read(o, o->m->disk.segment_file, o->window, o->last_length, o->last_pos, OPEN_PROVE);
}

static int write_group(struct opening *o)
{
    struct metalog *m = o->m;
    struct metalog_group g;
    if (o->last_segment != m->disk.control.last_segment) return OPEN_PROVE;
    if (o->transfer.moved != o->last_length || metalog_group_head_decode(o->window, &g) != STATUS_OK ||
        g.crc != m->disk.chain || metalog_group_check(o->window, &g) != STATUS_OK)
        return open_fail(o, STATUS_IO_ERROR,
                         "%s: the last group was read well once and not a second time: the disk fails; replace it",
                         m->dir.s);
    transfer_start(m->env, &o->transfer, &o->task, IO_WRITE, m->disk.segment_file, o->window, o->last_length,
                   o->last_pos, 0);
    return STAGE_WAIT(OPEN_PROVE);
}

static int write_page(struct opening *o)
{
    struct metalog *m = o->m;
    metalog_control_encode(o->pages, &m->disk.control);
    transfer_start(m->env, &o->transfer, &o->task, IO_WRITE, m->disk.control_file, o->pages, BLOCK_BYTES,
                   m->disk.control.page % 2 * BLOCK_BYTES, 0);
    return STAGE_WAIT(OPEN_PROVE);
}

int open_prove(struct task *t)
{
    struct opening *o = container_of(t, struct opening, task);
    struct metalog *m = o->m;
    enum proof step = (enum proof)o->proof++;
    bool transferred = step >= PROVE_GROUP && step <= PROVE_LOG, called = step > PROVE_LOG;
    enum status status = transferred ? o->transfer.status : called ? o->io.status : STATUS_OK;
    if (status != STATUS_OK)
        return open_fail(o, status, "%s: what it holds cannot be made durable: %s", m->dir.s, status_text(status));
    switch (step) {
    case PROVE_READ: o->transfer.status = STATUS_OK; return read_again(o);
    case PROVE_GROUP: return write_group(o);
    case PROVE_PAGE: return write_page(o);
    case PROVE_LOG:
        return open_submit(o, (struct io_op){.kind = IO_DATASYNC, .file = m->disk.segment_file}, OPEN_PROVE);
    case PROVE_CONTROL:
        return open_submit(o, (struct io_op){.kind = IO_DATASYNC, .file = m->disk.control_file}, OPEN_PROVE);
    case PROVE_NAMES: return open_submit(o, (struct io_op){.kind = IO_SYNC_DIR, .path = m->dir.s}, OPEN_PROVE);
    case PROVE_NAME:
        metalog_parent_path(m, &o->path2);
        return open_submit(o, (struct io_op){.kind = IO_SYNC_DIR, .path = o->path2.s}, OPEN_PROVE);
    case PROVE_END:
    default: return OPEN_NOTE;
    }
}

// SPDX-License-Identifier: Apache-2.0
/* What recovery relies on is put on the medium before anybody hears of it (rule A7). A flush alone does not do that:
 * when one failed in the life before, the drive may have dropped what it had to write, may show it still, and answers
 * the next flush well. So what was read back and is not known to have been covered by a good flush is written once
 * more, the same bytes in the same place (a torn write of equal bytes changes nothing), and then flushed:
 *
 *   table    the last chunk; that a chunk stands behind another one proves that one
 *   prove    the groups above the last "durable up to" that a sound group names: three at most; then the control page
 *   proved   one device flush
 *
 * At the end of the scan, before the note; and earlier when memory is short and bytes move during the replay: a move
 * may rewrite blocks that a replayed cut has taken out of a segment, and the cut must be durable then (rule A2).
 *
 * Failure modes: any error ends the start with a sentence. */
#include "storage/recovery.h"

#include "base/bytes.h"
#include "base/crc32c.h"

int recovery_prove_table(struct recovery *r, int next)
{
    r->read2.status = STATUS_OK;
    if (r->last_bytes == 0) return next;
    transfer_start(r->store->env, &r->read2, &r->task, IO_WRITE, r->store->table->files[r->last_file],
                   r->tables[r->last_file]->data + r->last_pos, r->last_bytes, r->last_pos, 0);
    return STAGE_WAIT(next);
}

static int write_control(struct recovery *r)
{
    struct control *c = &r->journal->control;
    control_encode(r->pages, c);
    transfer_start(r->store->env, &r->read2, &r->task, IO_WRITE, r->journal->control_file, r->pages, BLOCK_BYTES,
                   c->page % 2 * BLOCK_BYTES, 0);
    return STAGE_WAIT(REC_PROVED);
}

/* The next group that is not proven: read. Those of a damaged range have no place (length 0). */
int rec_prove(struct task *t)
{
    struct recovery *r = container_of(t, struct recovery, task);
    struct journal *j = r->journal;
    if (r->copy != NULL) {
        buf_unref(&r->copy);
        if (r->read2.status != STATUS_OK)
            return recovery_fail(r, r->read2.status, "%s: cannot write the journal: %s", r->dir.s,
                                 status_text(r->read2.status));
        r->proven++;
    }
    r->proven = MAX(r->proven, j->mark_sequence - 1);
    while (r->proven + 1 < r->next && journal_mark(j, r->proven + 1)->length == 0) r->proven++;
    if (r->proven + 1 >= r->next) return write_control(r);
    const struct mark *m = journal_mark(j, r->proven + 1);
    r->copy = buf_create(r->store->env->mem, MEM_LOG, m->length);
    if (r->copy == NULL)
        return recovery_fail(r, STATUS_NO_MEMORY, "not enough memory to read a journal group of %u bytes", m->length);
    transfer_start(r->store->env, &r->read2, t, IO_READ, j->slots[m->slot].file, r->copy->data, m->length, m->pos, 0);
    return STAGE_WAIT(REC_PROVE_READ);
}

/* The same as a moment ago? Then back it goes. */
int rec_prove_read(struct task *t)
{
    struct recovery *r = container_of(t, struct recovery, task);
    const struct mark *m = journal_mark(r->journal, r->proven + 1);
    const uint8_t *at = r->copy->data;
    struct group_header h;
    enum status status = r->read2.status;
    if (status == STATUS_OK && r->read2.moved != m->length) status = STATUS_IO_ERROR;
    if (status == STATUS_OK) status = group_header_decode(at, &h);
    if (status == STATUS_OK && (h.sequence != r->proven + 1 || h.length != m->length ||
                                crc32c(0, at + GROUP_HEADER_BYTES, h.length - GROUP_HEADER_BYTES) != h.body_crc))
        status = STATUS_IO_ERROR;
    if (status != STATUS_OK)
        return recovery_fail(r, status,
                             "%s: group %llu of the journal was read well once and not a second time: the "
                             "disk fails; replace it",
                             r->dir.s, (unsigned long long)(r->proven + 1));
    transfer_start(r->store->env, &r->read2, t, IO_WRITE, r->journal->slots[m->slot].file, r->copy->data, m->length,
                   m->pos, 0);
    return STAGE_WAIT(REC_PROVE);
}

/* One flush for all of it; r->ops[0] has its status in the next stage. */
int rec_proved(struct task *t)
{
    struct recovery *r = container_of(t, struct recovery, task);
    if (r->read2.status != STATUS_OK)
        return recovery_fail(r, r->read2.status, "%s: cannot write the control page: %s", r->dir.s,
                             status_text(r->read2.status));
    r->ops[0] = (struct io_op){.kind = IO_SYNC, .task = t, .file = r->journal->control_file};
    env_submit(r->store->env, &r->ops[0]);
    return STAGE_WAIT(r->proven_next);
}

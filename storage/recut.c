// SPDX-License-Identifier: Apache-2.0
/* A replay with less memory than the life before has moved bytes that a later entry cuts, and that entry carries
 * nothing: the cut found its bytes in memory then (rule D8). So what a cut on disk reads is read now:
 *
 *   fetch   the block of the cut from the segment file, verified (segment_fetch.c)
 *   found   is it the batch that the entry names? index state and bytes below the cut, as the entry would carry them
 *
 * Failure modes: DAMAGED when the file does not hold what was moved there; no memory. The journal still holds all. */
#include "storage/recut.h"

#include "base/bytes.h"
#include "protocol/batch.h"
#include "storage/change.h"
#include "storage/store_impl.h"

enum recut_stage { RECUT_FETCH, RECUT_FOUND, RECUT_END };

struct recut {
    struct task task, *parent;
    struct passed_cut *cut;
    struct segment_fetch fetch;
    enum status *ret_status;
};

static int finish(struct recut *c, enum status status)
{
    *c->ret_status = status;
    return RECUT_END;
}

static int recut_fetch(struct task *t)
{
    struct recut *c = container_of(t, struct recut, task);
    struct partition *p = c->cut->p;
    segment_fetch_start(&c->fetch, t, p, c->cut->offset, p->moved_pos, 2 * INDEX_BLOCK_BYTES);
    c->fetch.keep_page = true;
    return STAGE_WAIT(RECUT_FOUND);
}

/* The batches from the block's first on lead to one that begins there, with that offset. */
static bool holds(const struct segment_fetch *f, const struct passed_cut *cut)
{
    uint64_t at = f->first_pos, want = cut->end_pos - f->segment.start - f->pos;
    if (f->segment.base != cut->segment_base || cut->end_pos < f->segment.start + f->pos) return false;
    while (at < want && at + BATCH_HEADER_BYTES <= f->bytes) at += 12ull + load_be32(f->buf->data + at + 8);
    if (at != want) return false;
    return at + 8 > f->bytes || (int64_t)load_be64(f->buf->data + at) == cut->offset; /* moved are not even 8 bytes */
}

static int recut_found(struct task *t)
{
    struct recut *c = container_of(t, struct recut, task);
    struct partition *p = c->cut->p;
    struct mem *m = p->store->env->mem;
    struct truncate_payload payload;
    struct index index = {.mem = m};
    if (c->fetch.status != STATUS_OK) return finish(c, c->fetch.status);
    if (!holds(&c->fetch, c->cut)) return finish(c, STATUS_DAMAGED);
    enum status status = partition_cut_payload(p, &c->fetch, c->cut->end_pos, &payload, &index);
    if (status == STATUS_OK) {
        size_t size = TRUNCATE_PAYLOAD_BYTES + payload.index_bytes + (payload.end_pos - payload.carry_pos);
        struct buf *b = buf_create(m, MEM_LOG, size);
        if (b != NULL) {
            partition_cut_encode(b->data, &payload, &index, &c->fetch);
            b->size = size;
        } else {
            status = STATUS_NO_MEMORY;
        }
        c->cut->payload = b;
    }
    index_deinit(&index);
    return finish(c, status == STATUS_BUSY ? STATUS_NO_MEMORY : status);
}

static int recut_end(struct task *t)
{
    struct recut *c = container_of(t, struct recut, task);
    struct mem *m = c->cut->p->store->env->mem;
    struct task *parent = c->parent;
    if (c->fetch.buf != NULL) buf_unref(&c->fetch.buf);
    if (c->fetch.page_copy != NULL) mem_free_aligned(m, MEM_FETCH, c->fetch.page_copy, 2 * BLOCK_BYTES);
    mem_free(m, MEM_LOG, c, sizeof *c);
    if (--parent->pending_ops == 0 && parent->waiting) task_wake(parent);
    return STAGE_DONE;
}

static const struct stage recut_stages[] = {
    [RECUT_FETCH] = {"fetch", recut_fetch, STAGE_BIT(RECUT_FOUND)},
    [RECUT_FOUND] = {"found", recut_found, STAGE_BIT(RECUT_END)},
    [RECUT_END] = {"end", recut_end, 0},
};

static const struct flow recut_flow = {"recut", recut_stages, COUNT_OF(recut_stages)};

bool recut_start(struct passed_cut *cut, struct task *parent, enum status *ret_status)
{
    struct store *s = cut->p->store;
    struct recut *c = mem_zalloc(s->env->mem, MEM_LOG, sizeof *c);
    if (c == NULL) return false;
    c->parent = parent;
    c->cut = cut;
    c->ret_status = ret_status;
    parent->pending_ops++;
    task_start(s->env->runner, &c->task, &recut_flow, RECUT_FETCH);
    return true;
}

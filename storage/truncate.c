// SPDX-License-Identifier: Apache-2.0
/* Truncation (rules A2, A3, 9, 10):
 *
 *   wait     until the move in flight has ended; none begins meanwhile (truncating)
 *   find     the batch that contains the offset: in memory, or by a segment fetch (read back, verified)
 *   put      one entry that carries what a replay needs: the bytes of the cut's index block below it, the index state
 *   durable  only now files above the cut are unlinked
 *
 * Memory is cut with the entry. Failure modes: INVALID for a cut below the high watermark or the log start. */
#include "storage/change.h"

#include "base/bytes.h"
#include "protocol/batch.h"
#include "storage/mover.h"
#include "storage/read.h"
#include "storage/store_impl.h"
#include "storage/unlinker.h"

enum cut_stage { CUT_WAIT, CUT_FIND, CUT_FOUND, CUT_PUT, CUT_DURABLE, CUT_END };

#define DROPPED_MAX 64

struct truncation {
    struct task task;
    struct partition *p;
    struct partition_change *op;
    struct list_node in_truncations;
    struct commit_waiter durable;
    enum status durable_status;
    int64_t offset, end; /* asked for; the batch boundary at or below */
    uint64_t end_pos;
    bool on_disk;
    struct segment_fetch fetch;
    int64_t *dropped; /* bases of segments above the cut */
    uint32_t dropped_count;
};

static int finish(struct truncation *c, enum status status)
{
    c->op->status = status;
    return CUT_END;
}

static int cut_wait(struct task *t)
{
    struct truncation *c = container_of(t, struct truncation, task);
    struct partition *p = c->p;
    if (p->move != NULL || p->repairs > 0) { /* a page of the old log may not land on one of the new (A2) */
        if (!list_linked(&c->in_truncations)) list_push_back(&p->truncations, &c->in_truncations);
        return STAGE_WAIT(CUT_WAIT);
    }
    if (store_fenced(p->store)) return finish(c, STATUS_FENCED);
    if (p->deleting) return finish(c, STATUS_NOT_LEADER);
    if (c->offset < p->high_watermark || c->offset < p->log_start) return finish(c, STATUS_INVALID);
    return CUT_FIND;
}

static int cut_find(struct task *t)
{
    struct truncation *c = container_of(t, struct truncation, task);
    struct partition *p = c->p;
    if (c->offset >= p->log_end) return finish(c, STATUS_OK);
    uint32_t i = refs_find_offset(p, c->offset);
    if (i < p->ref_count && ref_at(p, i)->base_offset <= c->offset && ref_at(p, i)->pos >= p->moved_pos) {
        c->end = ref_at(p, i)->base_offset;
        c->end_pos = ref_at(p, i)->pos;
        return CUT_PUT;
    }
    c->on_disk = true;
    segment_fetch_start(&c->fetch, t, p, c->offset, p->moved_pos, 2 * INDEX_BLOCK_BYTES);
    c->fetch.keep_page = c->fetch.repair.for_cut = true;
    return STAGE_WAIT(CUT_FOUND);
}

static int cut_found(struct task *t)
{
    struct truncation *c = container_of(t, struct truncation, task);
    struct segment_fetch *f = &c->fetch;
    if (f->status != STATUS_OK) return finish(c, f->status);
    int64_t next = NO_OFFSET;
    uint32_t at = f->first_pos;
    while (at + BATCH_HEADER_BYTES <= f->bytes) {
        const uint8_t *b = f->buf->data + at;
        uint64_t size = 12ull + load_be32(b + 8);
        int64_t base = (int64_t)load_be64(b), last = base + (int32_t)load_be32(b + 23);
        if (last >= c->offset) {
            c->end = base;
            c->end_pos = f->segment.start + f->pos + at;
            return CUT_PUT;
        }
        next = last + 1;
        at += (uint32_t)MIN(size, f->bytes - at);
    }
    /* its header reaches over the moved end: all before it were too low, so it is this one */
    if (at >= f->bytes || f->segment.start + f->pos + f->bytes != c->p->moved_pos) return finish(c, STATUS_DAMAGED);
    if (next == NO_OFFSET && at + 8 > f->bytes) return finish(c, STATUS_BUSY); /* not after the next move */
    c->end = at + 8 <= f->bytes ? (int64_t)load_be64(f->buf->data + at) : next;
    c->end_pos = f->segment.start + f->pos + at;
    return CUT_PUT;
}

enum status partition_cut_payload(const struct partition *p, const struct segment_fetch *f, uint64_t end_pos,
                                  struct truncate_payload *ret_payload, struct index *ret_cut)
{
    struct mem *m = p->store->env->mem;
    uint64_t block = (end_pos - f->segment.start) / INDEX_BLOCK_BYTES;
    uint64_t carry_pos = f->segment.start + block * INDEX_BLOCK_BYTES;
    CHECK(carry_pos == f->segment.start + f->pos); /* the batch begins in the fetch's first block */
    index_init(ret_cut, m, p->id, p->number, f->segment.base);
    enum status status = STATUS_OK;
    if (f->is_in_builder) {
        size_t size = index_encoded_size(&p->index);
        uint8_t *copy = mem_alloc(m, MEM_LOG, size);
        if (copy == NULL) return STATUS_BUSY;
        index_encode(&p->index, copy);
        status = index_decode(ret_cut, copy, size);
        mem_free(m, MEM_LOG, copy, size);
    }
    if (status == STATUS_OK) status = index_cut(ret_cut, block, f->is_in_builder ? NULL : f->page_copy);
    *ret_payload = (struct truncate_payload){.end_pos = end_pos,
                                             .carry_pos = carry_pos,
                                             .segment_base = f->segment.base,
                                             .index_bytes = (uint32_t)index_encoded_size(ret_cut),
                                             .fragment_bytes = (uint32_t)MIN(f->first_pos, end_pos - carry_pos)};
    return status;
}

void partition_cut_encode(uint8_t *out, const struct truncate_payload *t, const struct index *cut,
                          const struct segment_fetch *f)
{
    truncate_payload_encode(out, t);
    out += TRUNCATE_PAYLOAD_BYTES;
    if (t->index_bytes > 0) index_encode(cut, out);
    if (t->end_pos > t->carry_pos)
        memcpy(out + t->index_bytes, f->buf->data + (t->carry_pos - f->segment.start - f->pos),
               t->end_pos - t->carry_pos);
}

/* The payload, made before anything changes. */
static enum status payload_of(struct truncation *c, struct truncate_payload *t, struct index *cut)
{
    struct partition *p = c->p;
    if (c->on_disk) return partition_cut_payload(p, &c->fetch, c->end_pos, t, cut);
    *t = (struct truncate_payload){
        .end_pos = c->end_pos, .carry_pos = c->end_pos, .segment_base = partition_segment_at(p, c->end_pos)->base};
    return STATUS_OK;
}

static void note_dropped(struct truncation *c, int64_t segment_base)
{
    struct partition *p = c->p;
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->segment_count; i++) n += p->segments[i].base > segment_base;
    if (n == 0) return;
    c->dropped = mem_alloc(p->store->env->mem, MEM_LOG, n * sizeof *c->dropped);
    if (c->dropped == NULL) return; /* left for the next start's quarantine */
    for (uint32_t i = 0; i < p->segment_count; i++)
        if (p->segments[i].base > segment_base) c->dropped[c->dropped_count++] = p->segments[i].base;
}

static void durable(struct commit_waiter *w, enum status status)
{
    struct truncation *c = container_of(w, struct truncation, durable);
    c->durable_status = status;
    task_wake(&c->task);
}

static int cut_put(struct task *t)
{
    struct truncation *c = container_of(t, struct truncation, task);
    struct partition *p = c->p;
    struct truncate_payload payload;
    struct index cut = {.mem = p->store->env->mem};
    struct place place;
    enum status status = payload_of(c, &payload, &cut);
    uint64_t carried = payload.end_pos - payload.carry_pos;
    struct entry e = {.kind = ENTRY_TRUNCATE,
                      .topic = p->id,
                      .partition = p->number,
                      .epoch = p->epoch,
                      .offset = c->end,
                      .payload_bytes = (uint32_t)(TRUNCATE_PAYLOAD_BYTES + payload.index_bytes + carried)};
    if (status == STATUS_OK) status = partition_put(p, &e, c->end, c->end_pos, &place);
    if (status == STATUS_OK) {
        uint8_t *out = place.buf->data + place.pos;
        partition_cut_encode(out, &payload, &cut, &c->fetch);
        note_dropped(c, payload.segment_base);
        CHECK_OK(partition_cut(p, c->end, &payload, out, place.buf, place.pos, place.sequence, place.entry, true));
        p->durable_pos = MIN(p->durable_pos, p->moved_pos); /* nothing above moves before the cut is durable */
    }
    index_deinit(&cut);
    if (status != STATUS_OK) return finish(c, status);
    c->durable.durable = durable;
    journal_wait(p->store->journal, &c->durable);
    return STAGE_WAIT(CUT_DURABLE);
}

static int cut_durable(struct task *t)
{
    struct truncation *c = container_of(t, struct truncation, task);
    struct partition *p = c->p;
    if (c->durable_status != STATUS_OK) return finish(c, c->durable_status);
    for (uint32_t i = 0; i < c->dropped_count; i++) unlink_segment(p->store->unlinker, p, c->dropped[i]);
    return finish(c, STATUS_OK);
}

static int cut_end(struct task *t)
{
    struct truncation *c = container_of(t, struct truncation, task);
    struct partition *p = c->p;
    struct partition_change *op = c->op;
    struct mem *m = p->store->env->mem;
    if (c->fetch.buf != NULL) buf_unref(&c->fetch.buf);
    if (c->fetch.page_copy != NULL) mem_free_aligned(m, MEM_FETCH, c->fetch.page_copy, 2 * BLOCK_BYTES);
    if (c->dropped != NULL) mem_free(m, MEM_LOG, c->dropped, c->dropped_count * sizeof *c->dropped);
    p->truncating = false;
    mover_look(p);
    p->readers--;
    mem_free(m, MEM_LOG, c, sizeof *c);
    op->done(op);
    return STAGE_DONE;
}

static const struct stage cut_stages[] = {
    [CUT_WAIT] = {"wait", cut_wait, STAGE_BIT(CUT_WAIT) | STAGE_BIT(CUT_FIND) | STAGE_BIT(CUT_END)},
    [CUT_FIND] = {"find", cut_find, STAGE_BIT(CUT_FOUND) | STAGE_BIT(CUT_PUT) | STAGE_BIT(CUT_END)},
    [CUT_FOUND] = {"found", cut_found, STAGE_BIT(CUT_PUT) | STAGE_BIT(CUT_END)},
    [CUT_PUT] = {"put", cut_put, STAGE_BIT(CUT_DURABLE) | STAGE_BIT(CUT_END)},
    [CUT_DURABLE] = {"durable", cut_durable, STAGE_BIT(CUT_END)},
    [CUT_END] = {"end", cut_end, 0},
};

static const struct flow cut_flow = {"truncate", cut_stages, COUNT_OF(cut_stages)};

void partition_truncate(struct partition *p, int64_t offset, struct partition_change *op)
{
    struct truncation *c = mem_zalloc(p->store->env->mem, MEM_LOG, sizeof *c);
    CHECK(c != NULL && !p->truncating); /* one at a time: the replica's stream sees to it */
    c->p = p;
    c->op = op;
    c->offset = offset;
    p->truncating = true;
    p->readers++;
    task_start(p->store->env->runner, &c->task, &cut_flow, CUT_WAIT);
}

static void wake_truncation(struct partition *p)
{
    struct list_node *n = list_pop_front(&p->truncations);
    if (n != NULL) task_wake(&container_of(n, struct truncation, in_truncations)->task);
}

void partition_repair_ended(struct partition *p)
{
    if (p->repairs == 0) wake_truncation(p);
}

void partition_move_ended(struct partition *p)
{
    wake_truncation(p);
    if (p->store->serving && p->log_start_durable > p->segments[0].base) partition_log_start_passed(p);
}

enum status partition_cut(struct partition *p, int64_t end, const struct truncate_payload *t, const uint8_t *payload,
                          struct buf *buf, uint32_t buf_at, uint64_t sequence, uint32_t entry, bool state)
{
    uint32_t carried = (uint32_t)(t->end_pos - t->carry_pos);
    /* at a replay also where the cut found its bytes in a file, unless the replay begins with the carried ones */
    bool in_memory = p->moved_pos <= t->end_pos && p->end_pos >= t->end_pos;
    /* or the table calls more moved than this cut left so: a later cut may go between the two */
    if (state && t->index_bytes > 0 && t->carry_pos < p->moved_pos) in_memory = false;
    if (!in_memory && t->index_bytes == 0) return STATUS_DAMAGED;
    if (in_memory) {
        refs_pop_back_to(p, t->end_pos);
    } else {
        /* the tail cache goes too: a whole batch may reach over the block's start, and fragments come first only */
        refs_clear(p);
        p->moved_pos = MIN(p->moved_pos, t->carry_pos);
        index_reset(&p->index, t->segment_base);
        p->allocated = 0;
        enum status status = index_decode(&p->index, payload + TRUNCATE_PAYLOAD_BYTES, t->index_bytes);
        if (status == STATUS_OK && carried > 0)
            status = partition_carry(p, buf, buf_at + TRUNCATE_PAYLOAD_BYTES + t->index_bytes, t->carry_pos, carried,
                                     t->fragment_bytes, sequence, entry);
        if (status != STATUS_OK) return status;
    }
    p->end_pos = t->end_pos;
    /* below a cut in memory the table goes on carrying: those bytes' groups may be free already */
    p->carried_pos = MIN(p->carried_pos, in_memory ? p->end_pos : p->moved_pos);
    p->durable_pos = MIN(p->durable_pos, p->end_pos);
    partition_touch(p);
    if (!state) return STATUS_OK;
    uint32_t keep = p->segment_count;
    while (keep > 1 && p->segments[keep - 1].base > t->segment_base) keep--;
    if (keep < p->segment_count) partition_segments_drop_after(p, keep);
    p->log_end = end;
    p->durable_end = MIN(p->durable_end, end);
    epoch_map_truncate(&p->epochs, end);
    producer_state_truncate(&p->producers, end);
    return STATUS_OK;
}

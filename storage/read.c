// SPDX-License-Identifier: Apache-2.0
/* Reading whole batches.
 *
 *   begin   one snapshot of (log start, moved end, high watermark); from the tail cache if it has the offset
 *   parse   else after a segment fetch: find the batch, take batches up to the limits; a batch whose end is still in
 * memory is put together from both
 *
 * Failure modes: DAMAGED for a range that is (the rest of the log is served); BUSY from the fetch is tried again a few
 * times. A read keeps the partition alive (readers) and answers in a later turn also from memory. */
#include "storage/read.h"

#include "base/bytes.h"
#include "protocol/batch.h"
#include "storage/store_impl.h"

#define TRIES 8u

enum read_stage { READ_BEGIN, READ_PARSE, READ_END };

struct reading {
    struct task task;
    struct partition *p;
    struct partition_read *op;
    int64_t offset;
    uint32_t max_bytes, want, tries;
    bool fetched;
    struct segment_fetch fetch;
};

static_assert(sizeof(struct reading) <= sizeof(((struct partition_read *)0)->impl), "a read fits its op");

static int finish(struct reading *r, enum status status)
{
    r->op->status = status;
    return READ_END;
}

/* One slice more; adjacent bytes of one buf make one. False: no room. */
static bool add_slice(struct partition_read *op, struct buf *b, uint32_t pos, uint32_t len)
{
    struct slice *last = op->slice_count > 0 ? &op->slices[op->slice_count - 1] : NULL;
    if (last != NULL && last->buf == b && last->pos + last->len == pos) {
        last->len += len;
    } else {
        if (op->slice_count == READ_SLICES_MAX) return false;
        op->slices[op->slice_count++] = (struct slice){.buf = buf_ref(b), .pos = pos, .len = len};
    }
    op->bytes += len;
    return true;
}

static bool wanted(const struct reading *r, int64_t last_offset, uint32_t len)
{
    if (last_offset >= r->op->high_watermark) return false;
    const struct partition *p = r->p; /* one answer never skips what is lost */
    if (p->damaged_from != NO_OFFSET && r->offset < p->damaged_from && last_offset >= p->damaged_from) return false;
    return r->op->bytes == 0 || r->op->bytes + (uint64_t)len <= r->max_bytes;
}

static int from_memory(struct reading *r, uint32_t i)
{
    struct partition *p = r->p;
    for (; i < p->ref_count; i++) {
        const struct ref *ref = ref_at(p, i);
        if (!wanted(r, ref->base_offset + ref->last_delta, ref->len)) break;
        if (!add_slice(r->op, ref->buf, ref->buf_pos, ref->len)) break;
    }
    return finish(r, STATUS_OK);
}

static bool damaged_at(const struct partition *p, int64_t offset)
{
    return p->damaged_from != NO_OFFSET && offset >= p->damaged_from &&
           (p->damaged_to == NO_OFFSET || offset < p->damaged_to);
}

static int read_begin(struct task *t)
{
    struct reading *r = container_of(t, struct reading, task);
    struct partition *p = r->p;
    if (p->deleting) return finish(r, STATUS_NOT_LEADER);
    r->op->high_watermark = p->high_watermark;
    r->op->log_start = p->log_start_durable;
    if (r->offset < p->log_start_durable || r->offset > p->high_watermark) return finish(r, STATUS_OFFSET_OUT_OF_RANGE);
    if (damaged_at(p, r->offset)) return finish(r, STATUS_DAMAGED);
    if (r->offset == p->high_watermark) return finish(r, STATUS_OK);
    uint32_t i = refs_find_offset(p, r->offset);
    if (i < p->ref_count && (ref_at(p, i)->base_offset <= r->offset || (i > 0 && ref_at(p, i - 1)->whole)))
        return from_memory(r, i);
    if (p->moved_pos == p->segments[0].start) return finish(r, STATUS_DAMAGED);
    r->fetched = true;
    segment_fetch_start(&r->fetch, t, p, r->offset, p->moved_pos, r->want);
    return STAGE_WAIT(READ_PARSE);
}

static int again(struct reading *r, uint32_t want)
{
    if (r->fetch.buf != NULL) buf_unref(&r->fetch.buf);
    r->want = want;
    return ++r->tries < TRIES ? READ_BEGIN : finish(r, STATUS_BUSY);
}

/* The batch at `at` reaches beyond the file's part: its rest is in memory, if nothing moved since. */
static int join(struct reading *r, uint32_t at, uint32_t size)
{
    struct segment_fetch *f = &r->fetch;
    struct partition *p = r->p;
    uint32_t head = f->bytes - at;
    uint64_t rest_pos = f->segment.start + f->pos + f->bytes;
    if (rest_pos != p->moved_pos || size < head || p->end_pos - rest_pos < size - head) return again(r, size);
    struct buf *b = buf_create(p->store->env->mem, MEM_FETCH, size);
    if (b == NULL) return finish(r, STATUS_BUSY);
    memcpy(b->data, f->buf->data + at, head);
    refs_copy(p, rest_pos, size - head, b->data + head);
    b->size = size;
    struct batch_info info;
    bool fine = batch_parse(b->data, size, &info) == STATUS_OK && wanted(r, batch_last_offset(&info), size);
    if (fine) fine = add_slice(r->op, b, 0, size);
    buf_unref(&b);
    return finish(r, fine ? STATUS_OK : STATUS_DAMAGED);
}

static bool rest_in_memory(const struct reading *r)
{
    return r->fetch.segment.start + r->fetch.pos + r->fetch.bytes == r->p->moved_pos;
}

/* Size of the batch at `at`, of which `left` bytes were fetched: the moved bytes may end inside its length field. */
static bool size_of(const struct reading *r, uint32_t at, uint32_t left, uint64_t *ret_size)
{
    const struct partition *p = r->p;
    uint8_t head[12];
    uint32_t n = MIN(left, (uint32_t)sizeof head), rest = (uint32_t)sizeof head - n;
    memcpy(head, r->fetch.buf->data + at, n);
    if (rest > 0 && (!rest_in_memory(r) || p->end_pos - p->moved_pos < rest)) return false;
    if (rest > 0) refs_copy(p, p->moved_pos, rest, head + n);
    *ret_size = sizeof head + load_be32(head + 8);
    return true;
}

/* A batch ends in its segment; how large one may be today says nothing of one that is there. */
static uint64_t bytes_to_segment_end(const struct reading *r, uint32_t at)
{
    const struct segment_fetch *f = &r->fetch;
    uint64_t pos = f->segment.start + f->pos + at;
    uint64_t end = f->segment.length == UINT64_MAX ? r->p->end_pos : f->segment.start + f->segment.length;
    return end > pos ? end - pos : 0; /* cut meanwhile */
}

static bool at_segment_end(const struct reading *r)
{
    const struct segment_fetch *f = &r->fetch;
    return f->segment.length != UINT64_MAX && f->pos + f->bytes == f->segment.length;
}

/* Offsets are missing at the end of a segment (lost and accepted, or compacted away): the next batch is the next
 * segment's first. */
static int next_segment(struct reading *r)
{
    const struct segment *s = partition_segment_of(r->p, r->fetch.segment.base);
    if (s->base != r->fetch.segment.base || s->generation != r->fetch.segment.generation || s == partition_active(r->p))
        return again(r, r->want); /* it has changed */
    CHECK(s[1].base > r->offset);
    buf_unref(&r->fetch.buf);
    r->offset = s[1].base;
    return READ_BEGIN;
}

static int read_parse(struct task *t)
{
    struct reading *r = container_of(t, struct reading, task);
    struct segment_fetch *f = &r->fetch;
    if (f->status == STATUS_BUSY) return again(r, r->want);
    if (f->status != STATUS_OK) return finish(r, f->status);
    for (uint32_t at = f->first_pos; at < f->bytes;) {
        struct batch_info info;
        const uint8_t *b = f->buf->data + at;
        uint32_t left = f->bytes - at;
        enum status status = batch_parse(b, left, &info);
        if (status == STATUS_TRUNCATED_INPUT) {
            if (r->op->bytes > 0) break;
            if (f->cut_short) return finish(r, STATUS_DAMAGED);
            uint64_t size;
            if (!size_of(r, at, left, &size)) return again(r, 2 * r->want);
            if (size > BATCH_BYTES_MAX || size > bytes_to_segment_end(r, at)) return finish(r, STATUS_DAMAGED);
            if (rest_in_memory(r)) return join(r, at, (uint32_t)size);
            return again(r, (uint32_t)MAX(size, 2 * (uint64_t)r->want));
        }
        if (status != STATUS_OK) return finish(r, r->op->bytes > 0 ? STATUS_OK : STATUS_DAMAGED);
        if (batch_last_offset(&info) >= r->offset) {
            if (!wanted(r, batch_last_offset(&info), info.size_bytes)) break;
            if (!add_slice(r->op, f->buf, at, info.size_bytes)) break;
        }
        at += info.size_bytes;
    }
    if (r->op->bytes > 0) return finish(r, STATUS_OK);
    if (f->cut_short) return finish(r, STATUS_DAMAGED);
    return at_segment_end(r) ? next_segment(r) : again(r, 2 * r->want); /* it begins behind what was read */
}

static int read_end(struct task *t)
{
    struct reading *r = container_of(t, struct reading, task);
    struct partition_read *op = r->op;
    if (r->fetched && r->fetch.buf != NULL) buf_unref(&r->fetch.buf);
    r->p->readers--;
    op->done(op);
    return STAGE_DONE;
}

static const struct stage read_stages[] = {
    [READ_BEGIN] = {"begin", read_begin, STAGE_BIT(READ_PARSE) | STAGE_BIT(READ_END)},
    [READ_PARSE] = {"parse", read_parse, STAGE_BIT(READ_BEGIN) | STAGE_BIT(READ_END)},
    [READ_END] = {"end", read_end, 0},
};

static const struct flow read_flow = {"read", read_stages, COUNT_OF(read_stages)};

void partition_read(struct partition *p, int64_t offset, uint32_t max_bytes, struct partition_read *op)
{
    struct reading *r = (struct reading *)op->impl;
    *r = (struct reading){.p = p, .op = op, .offset = offset, .max_bytes = max_bytes, .want = MIN(max_bytes, 1u << 20)};
    op->slice_count = 0;
    op->bytes = 0;
    p->readers++;
    task_start(p->store->env->runner, &r->task, &read_flow, READ_BEGIN);
}

void partition_read_release(struct partition_read *op)
{
    for (uint32_t i = 0; i < op->slice_count; i++) buf_unref(&op->slices[i].buf);
    op->slice_count = 0;
    op->bytes = 0;
}

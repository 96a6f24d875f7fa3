// SPDX-License-Identifier: Apache-2.0
/* Producer state as bytes of the checkpoint table; the byte table stands in producer_state.h.
 *
 * Happy path: the size is known without a walk; encode walks the producers in id order, then the pending headers.
 * Failure modes: decode refuses whatever encode never makes, so that decoding and encoding again gives the same bytes;
 * it allocates no more than a small multiple of its input. */
#include "storage/producer_state.h"

#include "base/bytes.h"
#include "storage/producer_state_impl.h"

#define HEAD_BYTES     8u
#define PRODUCER_BYTES 16u
#define BATCH_BYTES    32u
#define PENDING_BYTES  48u

size_t producer_state_encoded_size(const struct producer_state *s)
{
    const struct producers *p = s->p;
    if (p == NULL) return HEAD_BYTES;
    return HEAD_BYTES + p->committed_count * (size_t)PRODUCER_BYTES + p->kept_count * BATCH_BYTES +
           p->pending_count * (size_t)PENDING_BYTES;
}

static uint8_t *encode_producer(const struct producer_slot *slot, uint8_t *at)
{
    const struct producer *x = slot->producer;
    store_le64(at, (uint64_t)slot->id);
    store_le16(at + 8, (uint16_t)x->epoch);
    store_le16(at + 10, x->count);
    store_le32(at + 12, 0);
    at += PRODUCER_BYTES;
    for (uint8_t i = 0; i < x->count; i++, at += BATCH_BYTES) {
        const struct kept_batch *b = &x->kept[i];
        store_le32(at, (uint32_t)b->first_sequence);
        store_le32(at + 4, (uint32_t)kept_last_sequence(b));
        store_le64(at + 8, (uint64_t)b->base_offset);
        store_le64(at + 16, (uint64_t)kept_last_offset(b));
        store_le64(at + 24, (uint64_t)b->max_timestamp_ms);
    }
    return at;
}

static uint8_t *encode_pending(const struct pending *n, uint8_t *at)
{
    store_le64(at, (uint64_t)n->producer_id);
    store_le16(at + 8, (uint16_t)n->epoch);
    store_le16(at + 10, 0);
    store_le32(at + 12, (uint32_t)n->batch.first_sequence);
    store_le32(at + 16, n->batch.span + 1);
    store_le32(at + 20, 0);
    store_le64(at + 24, (uint64_t)n->batch.base_offset);
    store_le64(at + 32, (uint64_t)kept_last_offset(&n->batch));
    store_le64(at + 40, (uint64_t)n->batch.max_timestamp_ms);
    return at + PENDING_BYTES;
}

void producer_state_encode(const struct producer_state *s, uint8_t *out)
{
    const struct producers *p = s->p;
    store_le32(out, p == NULL ? 0 : p->committed_count);
    store_le32(out + 4, p == NULL ? 0 : p->pending_count);
    if (p == NULL) return;
    uint8_t *at = out + HEAD_BYTES;
    for (uint32_t c = 0; c < p->table.chunk_count; c++)
        for (uint32_t i = 0; i < p->table.chunks[c].count; i++)
            if (p->table.chunks[c].slots[i].producer->count > 0) at = encode_producer(&p->table.chunks[c].slots[i], at);
    for (uint32_t i = 0; i < p->pending_count; i++) at = encode_pending(pending_at(p, i), at);
    CHECK((size_t)(at - out) == producer_state_encoded_size(s));
}

/* --- decoding --- */

static bool decode_batch(const uint8_t *at, struct kept_batch *ret_batch)
{
    int64_t base = (int64_t)load_le64(at + 8), last = (int64_t)load_le64(at + 16);
    if (!offsets_sane(base, last)) return false;
    *ret_batch = (struct kept_batch){.base_offset = base,
                                     .max_timestamp_ms = (int64_t)load_le64(at + 24),
                                     .span = (uint32_t)(last - base),
                                     .first_sequence = (int32_t)load_le32(at)};
    return ret_batch->first_sequence >= NO_SEQUENCE && kept_last_sequence(ret_batch) == (int32_t)load_le32(at + 4);
}

static bool decode_kept(const uint8_t *at, struct producer *x)
{
    for (uint8_t i = 0; i < x->count; i++, at += BATCH_BYTES) {
        struct kept_batch *b = &x->kept[i];
        if (!decode_batch(at, b)) return false;
        if (i > 0 && (b->first_sequence < 0 || b->base_offset <= kept_last_offset(b - 1))) return false;
    }
    return true;
}

/* One producer at *at, its id above all before. */
static enum status decode_producer(struct producer_state *s, const uint8_t **at, const uint8_t *end)
{
    struct producers *p = s->p;
    const uint8_t *in = *at;
    struct producer_place place;
    if ((size_t)(end - in) < PRODUCER_BYTES) return STATUS_DAMAGED;
    int64_t id = (int64_t)load_le64(in);
    uint16_t count = load_le16(in + 10);
    size_t bytes = PRODUCER_BYTES + count * (size_t)BATCH_BYTES;
    if (id < 0 || (int16_t)load_le16(in + 8) < 0 || count == 0 || count > PRODUCER_WINDOW || load_le32(in + 12) != 0 ||
        (size_t)(end - in) < bytes)
        return STATUS_DAMAGED;
    if (p->table.count > 0) {
        const struct producer_chunk *last = &p->table.chunks[p->table.chunk_count - 1];
        if (id <= last->slots[last->count - 1].id) return STATUS_DAMAGED;
    }
    CHECK(!producer_table_find(&p->table, id, &place));
    if (!producer_table_reserve(&p->table, s->mem)) return STATUS_NO_MEMORY;
    struct producer *x = producer_create(s->mem, count > 1);
    if (x == NULL) return STATUS_NO_MEMORY;
    x->epoch = (int16_t)load_le16(in + 8);
    x->count = (uint8_t)count;
    producer_table_insert(&p->table, place, id, x);
    if (!decode_kept(in + PRODUCER_BYTES, x)) return STATUS_DAMAGED;
    p->committed = MAX(p->committed, kept_last_offset(&x->kept[count - 1]) + 1);
    p->committed_count++;
    p->kept_count += count;
    *at += bytes;
    return STATUS_OK;
}

static enum status decode_pending(struct producer_state *s, const uint8_t *in)
{
    struct producers *p = s->p;
    struct producer_batch b = {.producer_id = (int64_t)load_le64(in),
                               .epoch = (int16_t)load_le16(in + 8),
                               .first_sequence = (int32_t)load_le32(in + 12),
                               .base_offset = (int64_t)load_le64(in + 24),
                               .last_offset = (int64_t)load_le64(in + 32),
                               .max_timestamp_ms = (int64_t)load_le64(in + 40)};
    int64_t from =
        p->pending_count == 0 ? p->committed : kept_last_offset(&pending_at(p, p->pending_count - 1)->batch) + 1;
    if (b.producer_id < 0 || b.first_sequence < NO_SEQUENCE || !offsets_sane(b.base_offset, b.last_offset) ||
        b.base_offset < from || load_le16(in + 10) != 0 || load_le32(in + 20) != 0 ||
        load_le32(in + 16) != (uint64_t)(b.last_offset - b.base_offset + 1))
        return STATUS_DAMAGED;
    enum status status = producer_state_reserve(s);
    if (status != STATUS_OK) return status;
    uint32_t before = p->pending_count;
    producer_state_append(s, &b);
    return p->pending_count == before + 1 ? STATUS_OK : STATUS_DAMAGED; /* it would not have been kept */
}

enum status producer_state_decode(struct producer_state *s, const uint8_t *in, size_t bytes)
{
    CHECK(s->p == NULL);
    if (bytes < HEAD_BYTES) return STATUS_DAMAGED;
    uint32_t count = load_le32(in), pending = load_le32(in + 4);
    const uint8_t *at = in + HEAD_BYTES, *end = in + bytes;
    if (count == 0 && pending == 0) return at == end ? STATUS_OK : STATUS_DAMAGED;
    s->p = mem_zalloc(s->mem, MEM_LOG, sizeof *s->p);
    if (s->p == NULL) return STATUS_NO_MEMORY;
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++) status = decode_producer(s, &at, end);
    if (status == STATUS_OK && (size_t)(end - at) != pending * (size_t)PENDING_BYTES) status = STATUS_DAMAGED;
    for (uint32_t i = 0; i < pending && status == STATUS_OK; i++, at += PENDING_BYTES) status = decode_pending(s, at);
    if (status != STATUS_OK) producer_state_deinit(s);
    return status;
}

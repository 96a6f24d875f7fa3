// SPDX-License-Identifier: Apache-2.0
/* Producer state as bytes of the checkpoint table; the byte table stands in producer_state.h.
 *
 * Happy path: the size is known without a walk; encode walks the producers in id order, then the pending headers.
 * Failure modes: decode refuses whatever encode never makes, so that decoding and encoding again gives the same bytes;
 * it allocates no more than a small multiple of its input. */
#include "storage/producer_state.h"

#include "base/bytes.h"
#include "storage/producer_state_impl.h"
#include <stdlib.h>

#define HEAD_BYTES     16u
#define REMOVED_BYTES  8u
#define PRODUCER_BYTES 16u
#define BATCH_BYTES    32u
#define PENDING_BYTES  48u

static_assert(REMOVED_BYTES == sizeof(int64_t), "an id");

enum producer_encoding producer_state_best(const struct producer_state *s)
{
    return s->p != NULL && s->p->whole ? PRODUCERS_WHOLE : PRODUCERS_CHANGES;
}

static bool is_written(const struct producer *x, enum producer_encoding how)
{
    return x->count > 0 && (how == PRODUCERS_WHOLE || x->changed);
}

/* Walks the chunks that may hold something to write; ret_count and ret_kept are of that. */
static void count_written(const struct producers *p, enum producer_encoding how, uint32_t *ret_count,
                          uint64_t *ret_kept)
{
    *ret_count = p->committed_count;
    *ret_kept = p->kept_count;
    if (how == PRODUCERS_WHOLE) return;
    *ret_count = 0;
    *ret_kept = 0;
    for (uint32_t c = 0; c < p->table.chunk_count; c++) {
        const struct producer_chunk *k = &p->table.chunks[c];
        for (uint32_t i = 0; k->changed && i < k->count; i++) {
            if (!is_written(k->slots[i].producer, how)) continue;
            ++*ret_count;
            *ret_kept += k->slots[i].producer->count;
        }
    }
}

static uint32_t removed_written(const struct producers *p, enum producer_encoding how)
{
    return how == PRODUCERS_CHANGES ? p->removed_count : 0;
}

size_t producer_state_encoded_size(const struct producer_state *s, enum producer_encoding how)
{
    const struct producers *p = s->p;
    uint32_t count;
    uint64_t kept;
    if (p == NULL) return HEAD_BYTES;
    CHECK(how == PRODUCERS_WHOLE || !p->whole);
    count_written(p, how, &count, &kept);
    return HEAD_BYTES + removed_written(p, how) * (size_t)REMOVED_BYTES + count * (size_t)PRODUCER_BYTES +
           kept * BATCH_BYTES + p->pending_count * (size_t)PENDING_BYTES;
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

static int by_id(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static uint8_t *encode_removed(const struct producers *p, uint8_t *at)
{
    if (p->removed_count == 0) return at;
    qsort(p->removed, p->removed_count, sizeof *p->removed, by_id);
    for (uint32_t i = 0; i < p->removed_count; i++, at += REMOVED_BYTES) store_le64(at, (uint64_t)p->removed[i]);
    return at;
}

void producer_state_encode(const struct producer_state *s, enum producer_encoding how, uint8_t *out)
{
    const struct producers *p = s->p;
    uint32_t count;
    uint64_t kept;
    memset(out, 0, HEAD_BYTES);
    if (p == NULL) return;
    count_written(p, how, &count, &kept);
    store_le32(out, count);
    store_le32(out + 4, p->pending_count);
    store_le32(out + 8, removed_written(p, how));
    uint8_t *at = out + HEAD_BYTES;
    if (how == PRODUCERS_CHANGES) at = encode_removed(p, at);
    for (uint32_t c = 0; c < p->table.chunk_count; c++) {
        const struct producer_chunk *k = &p->table.chunks[c];
        if (how == PRODUCERS_CHANGES && !k->changed) continue;
        for (uint32_t i = 0; i < k->count; i++)
            if (is_written(k->slots[i].producer, how)) at = encode_producer(&k->slots[i], at);
    }
    for (uint32_t i = 0; i < p->pending_count; i++) at = encode_pending(pending_at(p, i), at);
    CHECK((size_t)(at - out) == producer_state_encoded_size(s, how));
}

void producer_state_recorded(struct producer_state *s)
{
    if (s->p == NULL) return;
    producer_table_unchange(&s->p->table);
    producers_removed_clear(s);
    s->p->whole = false;
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

/* The head of one producer; *ret_bytes: all of it. */
static bool decode_head(const uint8_t *in, size_t left, int64_t id_before, size_t *ret_bytes)
{
    if (left < PRODUCER_BYTES) return false;
    uint16_t count = load_le16(in + 10);
    *ret_bytes = PRODUCER_BYTES + count * (size_t)BATCH_BYTES;
    return (int64_t)load_le64(in) > id_before && (int16_t)load_le16(in + 8) >= 0 && count > 0 &&
           count <= PRODUCER_WINDOW && load_le32(in + 12) == 0 && left >= *ret_bytes;
}

static void forget(struct producer_state *s, struct producer_place place)
{
    struct producers *p = s->p;
    const struct producer *x = producer_table_at(&p->table, place)->producer;
    CHECK(!x->pending && x->count > 0);
    p->committed_count--;
    p->kept_count -= x->count;
    producer_table_remove(&p->table, s->mem, place);
}

/* One producer at *at, its id above the one before; takes the place of what is known of it. */
static enum status decode_producer(struct producer_state *s, const uint8_t **at, const uint8_t *end, int64_t *id_before)
{
    struct producers *p = s->p;
    const uint8_t *in = *at;
    struct producer_place place;
    size_t bytes;
    if (!decode_head(in, (size_t)(end - in), *id_before, &bytes)) return STATUS_DAMAGED;
    int64_t id = *id_before = (int64_t)load_le64(in);
    uint8_t count = (uint8_t)load_le16(in + 10);
    if (producer_table_find(&p->table, id, &place)) forget(s, place);
    if (!producer_table_reserve(&p->table, s->mem)) return STATUS_NO_MEMORY;
    struct producer *x = producer_create(s->mem, count > 1);
    if (x == NULL) return STATUS_NO_MEMORY;
    x->epoch = (int16_t)load_le16(in + 8);
    x->count = count;
    CHECK(!producer_table_find(&p->table, id, &place));
    producer_table_insert(&p->table, place, id, x);
    p->committed_count++;
    p->kept_count += count;
    if (!decode_kept(in + PRODUCER_BYTES, x)) return STATUS_DAMAGED;
    p->committed = MAX(p->committed, kept_last_offset(&x->kept[count - 1]) + 1);
    p->oldest_ms = MIN(p->oldest_ms, x->kept[count - 1].max_timestamp_ms);
    *at += bytes;
    return STATUS_OK;
}

/* An id that is not known came and went between two records. */
static enum status decode_removed(struct producer_state *s, const uint8_t **at, uint32_t count, const uint8_t *end)
{
    int64_t before = 0;
    if ((size_t)(end - *at) < count * (size_t)REMOVED_BYTES) return STATUS_DAMAGED;
    for (uint32_t i = 0; i < count; i++, *at += REMOVED_BYTES) {
        struct producer_place place;
        int64_t id = (int64_t)load_le64(*at);
        if (id < before) return STATUS_DAMAGED;
        if (producer_table_find(&s->p->table, id, &place)) forget(s, place);
        before = id;
    }
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

static enum status decode_all(struct producer_state *s, const uint8_t *in, size_t bytes)
{
    uint32_t count = load_le32(in), pending = load_le32(in + 4), removed = load_le32(in + 8);
    const uint8_t *at = in + HEAD_BYTES, *end = in + bytes;
    int64_t id_before = -1;
    enum status status = decode_removed(s, &at, removed, end);
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++) status = decode_producer(s, &at, end, &id_before);
    if (status == STATUS_OK && (size_t)(end - at) != pending * (size_t)PENDING_BYTES) status = STATUS_DAMAGED;
    for (uint32_t i = 0; i < pending && status == STATUS_OK; i++, at += PENDING_BYTES) status = decode_pending(s, at);
    return status;
}

enum status producer_state_decode(struct producer_state *s, const uint8_t *in, size_t bytes)
{
    CHECK(s->p == NULL);
    if (bytes < HEAD_BYTES || load_le32(in + 8) != 0 || load_le32(in + 12) != 0) return STATUS_DAMAGED;
    if (load_le32(in) == 0 && load_le32(in + 4) == 0) return bytes == HEAD_BYTES ? STATUS_OK : STATUS_DAMAGED;
    if (producers_of(s) == NULL) return STATUS_NO_MEMORY;
    enum status status = decode_all(s, in, bytes);
    if (status != STATUS_OK) producer_state_deinit(s);
    return status;
}

enum status producer_state_apply(struct producer_state *s, const uint8_t *in, size_t bytes)
{
    if (bytes < HEAD_BYTES || load_le32(in + 12) != 0) return STATUS_DAMAGED;
    if (s->p != NULL) producer_state_truncate(s, s->p->committed); /* the pending ones are given anew */
    if (s->p == NULL && bytes == HEAD_BYTES)
        return load_le32(in) == 0 && load_le32(in + 4) == 0 ? STATUS_OK : STATUS_DAMAGED;
    if (producers_of(s) == NULL) return STATUS_NO_MEMORY;
    return decode_all(s, in, bytes);
}

// SPDX-License-Identifier: Apache-2.0
/* Committed producers in an array sorted by id, pending headers in a deque in offset order. See producer_state.h.
 *
 * Failure modes: memory is taken in producer_state_reserve only, so append and commit cannot fail; decode bounds all.
 */
#include "storage/producer_state.h"

#include "base/bytes.h"
#include "base/check.h"

#define HEAD_BYTES     8u
#define PRODUCER_BYTES 16u
#define BATCH_BYTES    32u
#define PENDING_BYTES  48u

struct window_batch {
    int64_t base_offset, last_offset, max_timestamp_ms;
    int32_t first_sequence, last_sequence;
};

struct producer {
    int64_t id;
    int16_t epoch;
    uint16_t count;
    struct window_batch batches[PRODUCER_WINDOW]; /* oldest first */
};

struct producers {
    struct producer *list;
    struct producer_batch *pending;
    uint32_t count, capacity, pending_first, pending_count, pending_capacity;
};

void producer_state_init(struct producer_state *s, struct mem *mem)
{
    *s = (struct producer_state){.mem = mem};
}

void producer_state_deinit(struct producer_state *s)
{
    if (s->p == NULL) return;
    mem_free(s->mem, MEM_LOG, s->p->list, s->p->capacity * sizeof *s->p->list);
    mem_free(s->mem, MEM_LOG, s->p->pending, s->p->pending_capacity * sizeof *s->p->pending);
    mem_free(s->mem, MEM_LOG, s->p, sizeof *s->p);
    s->p = NULL;
}

uint32_t producer_state_count(const struct producer_state *s)
{
    return s->p == NULL ? 0 : s->p->count;
}

/* Sequences count to 2^31 - 1 and go on at 0. */
static int32_t sequence_add(int32_t sequence, int32_t n)
{
    return (int32_t)(((uint32_t)sequence + (uint32_t)n) & 0x7fffffffu);
}

static uint32_t lower_bound(const struct producers *p, int64_t id)
{
    uint32_t low = 0, high = p->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (p->list[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct producer_batch *pending_at(const struct producers *p, uint32_t i)
{
    CHECK(i < p->pending_count);
    return &p->pending[(p->pending_first + i) % p->pending_capacity];
}

static struct window_batch window_of(const struct producer_batch *b)
{
    return (struct window_batch){.base_offset = b->base_offset,
                                 .last_offset = b->last_offset,
                                 .max_timestamp_ms = b->max_timestamp_ms,
                                 .first_sequence = b->first_sequence,
                                 .last_sequence = sequence_add(b->first_sequence, b->record_count - 1)};
}

static void producer_add(struct producer *x, const struct producer_batch *b)
{
    if (b->epoch != x->epoch) {
        x->epoch = b->epoch;
        x->count = 0;
    }
    if (x->count == PRODUCER_WINDOW) memmove(x->batches, x->batches + 1, --x->count * sizeof x->batches[0]);
    x->batches[x->count++] = window_of(b);
}

/* The producer as of the log's end: committed, then its pending batches. False: nothing is known. */
static bool current(const struct producers *p, int64_t id, struct producer *ret)
{
    uint32_t i = lower_bound(p, id);
    bool known = i < p->count && p->list[i].id == id;
    *ret = known ? p->list[i] : (struct producer){.id = id};
    for (uint32_t k = 0; k < p->pending_count; k++) {
        const struct producer_batch *b = pending_at(p, k);
        if (b->producer_id != id) continue;
        if (!known) ret->epoch = b->epoch;
        known = true;
        producer_add(ret, b);
    }
    return known;
}

enum status producer_state_check(const struct producer_state *s, const struct producer_batch *b,
                                 struct producer_batch *ret_original)
{
    struct producer x;
    CHECK(b->producer_id >= 0 && b->record_count > 0);
    if (s->p == NULL || !current(s->p, b->producer_id, &x)) return STATUS_OK;
    if (b->epoch < x.epoch) return STATUS_PRODUCER_FENCED;
    if (b->epoch > x.epoch) return b->first_sequence == 0 ? STATUS_OK : STATUS_SEQUENCE_GAP;
    struct window_batch want = window_of(b);
    for (uint16_t i = 0; i < x.count; i++) {
        const struct window_batch *w = &x.batches[i];
        if (w->first_sequence != want.first_sequence || w->last_sequence != want.last_sequence) continue;
        *ret_original = *b;
        ret_original->base_offset = w->base_offset;
        ret_original->last_offset = w->last_offset;
        ret_original->max_timestamp_ms = w->max_timestamp_ms;
        return STATUS_SEQUENCE_DUPLICATE;
    }
    CHECK(x.count > 0);
    int32_t next = sequence_add(x.batches[x.count - 1].last_sequence, 1);
    return b->first_sequence == next ? STATUS_OK : STATUS_SEQUENCE_GAP;
}

static enum status reserve_pending(struct producer_state *s, uint32_t more)
{
    struct producers *p = s->p;
    if (p->pending_count + more <= p->pending_capacity) return STATUS_OK;
    uint32_t capacity = MAX(MAX(4u, 2 * p->pending_capacity), p->pending_count + more);
    struct producer_batch *pending = mem_alloc(s->mem, MEM_LOG, capacity * sizeof *pending);
    if (pending == NULL) return STATUS_NO_MEMORY;
    for (uint32_t i = 0; i < p->pending_count; i++) pending[i] = *pending_at(p, i);
    mem_free(s->mem, MEM_LOG, p->pending, p->pending_capacity * sizeof *pending);
    p->pending = pending;
    p->pending_first = 0;
    p->pending_capacity = capacity;
    return STATUS_OK;
}

static enum status reserve_list(struct producer_state *s, uint32_t want)
{
    struct producers *p = s->p;
    if (want <= p->capacity) return STATUS_OK;
    uint32_t capacity = MAX(MAX(2u, 2 * p->capacity), want);
    struct producer *list = mem_realloc(s->mem, MEM_LOG, p->list, p->capacity * sizeof *list, capacity * sizeof *list);
    if (list == NULL) return STATUS_NO_MEMORY;
    p->list = list;
    p->capacity = capacity;
    return STATUS_OK;
}

static enum status create(struct producer_state *s)
{
    if (s->p == NULL) s->p = mem_zalloc(s->mem, MEM_LOG, sizeof *s->p);
    return s->p == NULL ? STATUS_NO_MEMORY : STATUS_OK;
}

enum status producer_state_reserve(struct producer_state *s)
{
    enum status status = create(s);
    if (status == STATUS_OK) status = reserve_pending(s, 1);
    /* each pending batch may bring a new producer when it is committed */
    if (status == STATUS_OK) status = reserve_list(s, s->p->count + s->p->pending_count + 1);
    return status;
}

void producer_state_append(struct producer_state *s, const struct producer_batch *b)
{
    struct producers *p = s->p;
    CHECK(p != NULL && p->pending_count < p->pending_capacity);
    CHECK(p->pending_count == 0 || pending_at(p, p->pending_count - 1)->last_offset < b->base_offset);
    p->pending_count++;
    *pending_at(p, p->pending_count - 1) = *b;
}

static void fold(struct producers *p, const struct producer_batch *b)
{
    uint32_t i = lower_bound(p, b->producer_id);
    if (i == p->count || p->list[i].id != b->producer_id) {
        CHECK(p->count < p->capacity);
        memmove(p->list + i + 1, p->list + i, (p->count - i) * sizeof *p->list);
        p->list[i] = (struct producer){.id = b->producer_id, .epoch = b->epoch};
        p->count++;
    }
    producer_add(&p->list[i], b);
}

void producer_state_commit(struct producer_state *s, int64_t high_watermark)
{
    struct producers *p = s->p;
    while (p != NULL && p->pending_count > 0 && pending_at(p, 0)->last_offset < high_watermark) {
        fold(p, pending_at(p, 0));
        p->pending_first = (p->pending_first + 1) % p->pending_capacity;
        p->pending_count--;
    }
}

void producer_state_truncate(struct producer_state *s, int64_t end)
{
    struct producers *p = s->p;
    while (p != NULL && p->pending_count > 0 && pending_at(p, p->pending_count - 1)->base_offset >= end)
        p->pending_count--;
}

/* --- encoding --- */

size_t producer_state_encoded_size(const struct producer_state *s)
{
    size_t n = HEAD_BYTES;
    if (s->p == NULL) return n;
    for (uint32_t i = 0; i < s->p->count; i++) n += PRODUCER_BYTES + s->p->list[i].count * (size_t)BATCH_BYTES;
    return n + s->p->pending_count * (size_t)PENDING_BYTES;
}

static uint8_t *encode_producer(const struct producer *x, uint8_t *at)
{
    store_le64(at, (uint64_t)x->id);
    store_le16(at + 8, (uint16_t)x->epoch);
    store_le16(at + 10, x->count);
    store_le32(at + 12, 0);
    at += PRODUCER_BYTES;
    for (uint16_t i = 0; i < x->count; i++, at += BATCH_BYTES) {
        const struct window_batch *w = &x->batches[i];
        store_le32(at, (uint32_t)w->first_sequence);
        store_le32(at + 4, (uint32_t)w->last_sequence);
        store_le64(at + 8, (uint64_t)w->base_offset);
        store_le64(at + 16, (uint64_t)w->last_offset);
        store_le64(at + 24, (uint64_t)w->max_timestamp_ms);
    }
    return at;
}

void producer_state_encode(const struct producer_state *s, uint8_t *out)
{
    const struct producers *p = s->p;
    store_le32(out, p == NULL ? 0 : p->count);
    store_le32(out + 4, p == NULL ? 0 : p->pending_count);
    if (p == NULL) return;
    uint8_t *at = out + HEAD_BYTES;
    for (uint32_t i = 0; i < p->count; i++) at = encode_producer(&p->list[i], at);
    for (uint32_t i = 0; i < p->pending_count; i++, at += PENDING_BYTES) {
        const struct producer_batch *b = pending_at(p, i);
        store_le64(at, (uint64_t)b->producer_id);
        store_le16(at + 8, (uint16_t)b->epoch);
        store_le16(at + 10, 0);
        store_le32(at + 12, (uint32_t)b->first_sequence);
        store_le32(at + 16, (uint32_t)b->record_count);
        store_le32(at + 20, 0);
        store_le64(at + 24, (uint64_t)b->base_offset);
        store_le64(at + 32, (uint64_t)b->last_offset);
        store_le64(at + 40, (uint64_t)b->max_timestamp_ms);
    }
}

static bool decode_producer(struct producer *x, const uint8_t *at, size_t left)
{
    if (left < PRODUCER_BYTES) return false;
    *x = (struct producer){
        .id = (int64_t)load_le64(at), .epoch = (int16_t)load_le16(at + 8), .count = load_le16(at + 10)};
    if (x->id < 0 || x->count == 0 || x->count > PRODUCER_WINDOW ||
        left - PRODUCER_BYTES < x->count * (size_t)BATCH_BYTES)
        return false;
    at += PRODUCER_BYTES;
    for (uint16_t i = 0; i < x->count; i++, at += BATCH_BYTES) {
        x->batches[i] = (struct window_batch){.first_sequence = (int32_t)load_le32(at),
                                              .last_sequence = (int32_t)load_le32(at + 4),
                                              .base_offset = (int64_t)load_le64(at + 8),
                                              .last_offset = (int64_t)load_le64(at + 16),
                                              .max_timestamp_ms = (int64_t)load_le64(at + 24)};
        if (x->batches[i].first_sequence < 0 || x->batches[i].last_sequence < 0) return false;
    }
    return true;
}

static bool decode_pending(struct producer_batch *b, const uint8_t *at)
{
    *b = (struct producer_batch){.producer_id = (int64_t)load_le64(at),
                                 .epoch = (int16_t)load_le16(at + 8),
                                 .first_sequence = (int32_t)load_le32(at + 12),
                                 .record_count = (int32_t)load_le32(at + 16),
                                 .base_offset = (int64_t)load_le64(at + 24),
                                 .last_offset = (int64_t)load_le64(at + 32),
                                 .max_timestamp_ms = (int64_t)load_le64(at + 40)};
    return b->producer_id >= 0 && b->first_sequence >= 0 && b->record_count > 0 && b->base_offset >= 0 &&
           b->last_offset >= b->base_offset;
}

static bool decode_all(struct producers *p, uint32_t count, uint32_t pending, const uint8_t *at, size_t left)
{
    for (uint32_t i = 0; i < count; i++) {
        struct producer *x = &p->list[i];
        if (!decode_producer(x, at, left) || (i > 0 && x->id <= x[-1].id)) return false;
        size_t n = PRODUCER_BYTES + x->count * (size_t)BATCH_BYTES;
        at += n;
        left -= n;
        p->count++;
    }
    if (left != pending * (size_t)PENDING_BYTES) return false;
    for (uint32_t i = 0; i < pending; i++, at += PENDING_BYTES) {
        if (!decode_pending(&p->pending[i], at)) return false;
        if (i > 0 && p->pending[i].base_offset <= p->pending[i - 1].last_offset) return false;
        p->pending_count++;
    }
    return true;
}

enum status producer_state_decode(struct producer_state *s, const uint8_t *in, size_t bytes)
{
    CHECK(s->p == NULL);
    if (bytes < HEAD_BYTES) return STATUS_DAMAGED;
    uint32_t count = load_le32(in), pending = load_le32(in + 4);
    size_t left = bytes - HEAD_BYTES;
    if (count > left / PRODUCER_BYTES || pending > left / PENDING_BYTES) return STATUS_DAMAGED;
    if (count == 0 && pending == 0) return left == 0 ? STATUS_OK : STATUS_DAMAGED;
    enum status status = create(s);
    if (status == STATUS_OK && pending > 0) status = reserve_pending(s, pending);
    if (status == STATUS_OK) status = reserve_list(s, count + pending);
    if (status == STATUS_OK && !decode_all(s->p, count, pending, in + HEAD_BYTES, left)) status = STATUS_DAMAGED;
    if (status != STATUS_OK) producer_state_deinit(s);
    return status;
}

// SPDX-License-Identifier: Apache-2.0
/* Producer state (producer_state.h): a sorted table of producers and a deque of pending headers in offset order.
 *
 * Happy path: reserve -> check -> append: the header joins the deque, linked to the producer's header before it. When
 * the high watermark passes it, commit folds it into the producer's window. So a check looks at the producer's own
 * batches only, however many others are pending.
 * Failure modes: memory is taken in producer_state_reserve only, so append and commit cannot fail (append takes a
 * smaller block where it gets one). */
#include "storage/producer_state.h"

#include "base/bytes.h"
#include "storage/producer_state_impl.h"

void producer_state_init(struct producer_state *s, struct mem *mem)
{
    *s = (struct producer_state){.mem = mem};
}

static void drop_ring(struct producer_state *s)
{
    struct producers *p = s->p;
    CHECK(p->pending_count == 0);
    mem_free(s->mem, MEM_LOG, p->ring, p->capacity * sizeof *p->ring);
    producer_destroy(s->mem, p->spare);
    p->ring = NULL;
    p->spare = NULL;
    p->first = p->capacity = 0;
}

void producer_state_deinit(struct producer_state *s)
{
    if (s->p == NULL) return;
    s->p->pending_count = 0;
    drop_ring(s);
    producers_removed_clear(s);
    producer_table_deinit(&s->p->table, s->mem);
    mem_free(s->mem, MEM_LOG, s->p, sizeof *s->p);
    s->p = NULL;
}

uint32_t producer_state_count(const struct producer_state *s)
{
    return s->p == NULL ? 0 : s->p->committed_count;
}

void producers_removed_clear(struct producer_state *s)
{
    struct producers *p = s->p;
    mem_free(s->mem, MEM_LOG, p->removed, p->removed_capacity * sizeof *p->removed);
    p->removed = NULL;
    p->removed_count = p->removed_capacity = 0;
}

/* --- batches --- */

static int32_t next_sequence(const struct kept_batch *b)
{
    return (int32_t)(((uint32_t)kept_last_sequence(b) + 1) & INT32_MAX);
}

static struct kept_batch kept_of(const struct producer_batch *b)
{
    CHECK(offsets_sane(b->base_offset, b->last_offset));
    return (struct kept_batch){.base_offset = b->base_offset,
                               .max_timestamp_ms = b->max_timestamp_ms,
                               .span = (uint32_t)(b->last_offset - b->base_offset),
                               .first_sequence = MAX(b->first_sequence, NO_SEQUENCE)};
}

/* --- the state as of the log's end --- */

struct view { /* of one producer: newest batch first, all of one epoch; the first `pending` of them are pending */
    int16_t epoch;
    uint8_t count, pending;
    const struct kept_batch *batches[PRODUCER_WINDOW];
};

/* The producer's pending batches of its newest epoch. False: an older epoch lies below them. */
static bool view_pending(const struct producers *p, const struct producer *x, struct view *v)
{
    uint32_t i = x->newest - p->number;
    v->epoch = pending_at(p, i)->epoch;
    while (v->count < PRODUCER_WINDOW) {
        const struct pending *n = pending_at(p, i);
        if (n->epoch != v->epoch) return false;
        v->batches[v->count++] = &n->batch;
        v->pending++;
        if (n->back == 0 || n->back > i) break; /* the one before was folded */
        i -= n->back;
    }
    return true;
}

static struct view view_of(const struct producers *p, const struct producer *x)
{
    struct view v = {.epoch = x->epoch};
    if (x->pending && !view_pending(p, x, &v)) return v;
    if (x->count > 0 && x->epoch == v.epoch)
        for (uint8_t i = x->count; i > 0 && v.count < PRODUCER_WINDOW; i--) v.batches[v.count++] = &x->kept[i - 1];
    CHECK(v.count > 0); /* else the table would have dropped it */
    return v;
}

static enum status duplicate(const struct producer_batch *b, const struct kept_batch *original, bool pending,
                             struct producer_batch *ret_original)
{
    *ret_original = *b;
    ret_original->base_offset = original->base_offset;
    ret_original->last_offset = kept_last_offset(original);
    ret_original->max_timestamp_ms = original->max_timestamp_ms;
    ret_original->pending = pending;
    return STATUS_SEQUENCE_DUPLICATE;
}

enum status producer_state_check(const struct producer_state *s, const struct producer_batch *b,
                                 struct producer_batch *ret_original)
{
    struct kept_batch want = kept_of(b);
    struct producer_place place;
    CHECK(b->producer_id >= 0 && b->record_count <= (int64_t)want.span + 1);
    if (s->p == NULL || !producer_table_find(&s->p->table, b->producer_id, &place)) return STATUS_OK;
    struct view v = view_of(s->p, producer_table_at(&s->p->table, place)->producer);
    if (b->epoch < v.epoch) return STATUS_PRODUCER_FENCED;
    if (want.first_sequence == NO_SEQUENCE) return STATUS_OK;
    if (b->epoch > v.epoch) return want.first_sequence == 0 ? STATUS_OK : STATUS_SEQUENCE_GAP;
    for (uint8_t i = 0; i < v.count; i++)
        if (v.batches[i]->first_sequence == want.first_sequence &&
            kept_last_sequence(v.batches[i]) == kept_last_sequence(&want))
            return duplicate(b, v.batches[i], i < v.pending, ret_original);
    return want.first_sequence == next_sequence(v.batches[0]) ? STATUS_OK : STATUS_SEQUENCE_GAP;
}

/* --- append --- */

static enum status reserve_ring(struct producer_state *s)
{
    struct producers *p = s->p;
    if (p->pending_count < p->capacity) return STATUS_OK;
    uint32_t capacity = MAX(4u, 2 * p->capacity);
    struct pending *ring = mem_alloc(s->mem, MEM_LOG, capacity * sizeof *ring);
    if (ring == NULL) return STATUS_NO_MEMORY;
    for (uint32_t i = 0; i < p->pending_count; i++) ring[i] = *pending_at(p, i);
    mem_free(s->mem, MEM_LOG, p->ring, p->capacity * sizeof *ring);
    p->ring = ring;
    p->first = 0;
    p->capacity = capacity;
    return STATUS_OK;
}

struct producers *producers_of(struct producer_state *s)
{
    if (s->p != NULL) return s->p;
    s->p = mem_zalloc(s->mem, MEM_LOG, sizeof *s->p);
    if (s->p != NULL) s->p->oldest_ms = INT64_MAX;
    return s->p;
}

enum status producer_state_reserve(struct producer_state *s)
{
    if (producers_of(s) == NULL) return STATUS_NO_MEMORY;
    if (s->p->spare == NULL) s->p->spare = producer_create(s->mem, true);
    if (s->p->spare == NULL || !producer_table_reserve(&s->p->table, s->mem)) return STATUS_NO_MEMORY;
    return reserve_ring(s);
}

/* A producer of the wanted size: a small one if memory allows, else the reserved one. */
static struct producer *take(struct producer_state *s, bool window)
{
    struct producer *x = producer_create(s->mem, window);
    if (x != NULL) return x;
    x = s->p->spare;
    CHECK(x != NULL);
    s->p->spare = NULL;
    return x;
}

static struct producer *producer_for_append(struct producer_state *s, int64_t id)
{
    struct producer_place place;
    if (!producer_table_find(&s->p->table, id, &place)) {
        struct producer *x = take(s, false);
        producer_table_insert(&s->p->table, place, id, x);
        return x;
    }
    struct producer_slot *slot = producer_table_at(&s->p->table, place);
    struct producer *old = slot->producer;
    if (old->window) return old;
    struct producer *x = take(s, true);
    *x = (struct producer){.epoch = old->epoch,
                           .count = old->count,
                           .window = true,
                           .pending = old->pending,
                           .changed = old->changed,
                           .newest = old->newest};
    memcpy(x->kept, old->kept, old->count * sizeof x->kept[0]);
    producer_destroy(s->mem, old);
    slot->producer = x;
    return x;
}

/* A marker changes nothing where its epoch is already the producer's: no batch would follow differently. */
static bool changes_nothing(const struct producers *p, const struct producer_batch *b)
{
    struct producer_place place;
    if (b->epoch < 0) return true;
    if (b->first_sequence >= 0 || !producer_table_find(&p->table, b->producer_id, &place)) return false;
    return view_of(p, producer_table_at(&p->table, place)->producer).epoch == b->epoch;
}

void producer_state_append(struct producer_state *s, const struct producer_batch *b)
{
    struct producers *p = s->p;
    CHECK(p != NULL && p->pending_count < p->capacity && b->producer_id >= 0);
    CHECK(b->base_offset >= p->committed);
    CHECK(p->pending_count == 0 || kept_last_offset(&pending_at(p, p->pending_count - 1)->batch) < b->base_offset);
    if (changes_nothing(p, b)) return;
    struct producer *x = producer_for_append(s, b->producer_id);
    uint32_t number = p->number + p->pending_count++;
    *pending_at(p, p->pending_count - 1) = (struct pending){.producer_id = b->producer_id,
                                                            .batch = kept_of(b),
                                                            .back = x->pending ? number - x->newest : 0,
                                                            .epoch = b->epoch};
    x->newest = number;
    x->pending = true;
    CHECK_SLOW(p->pending_count > 64 || p->table.count > 64 || (producer_state_check_invariants(s), true));
}

/* --- commit, truncate --- */

static void fold(struct producers *p, const struct pending *n)
{
    struct producer_place place;
    CHECK(producer_table_find(&p->table, n->producer_id, &place));
    struct producer *x = producer_table_at(&p->table, place)->producer;
    CHECK(x->pending);
    if (x->newest == p->number) x->pending = false;
    p->committed_count += x->count == 0;
    p->kept_count -= x->count;
    if (x->epoch != n->epoch) x->count = 0;
    x->epoch = n->epoch;
    if (x->count == PRODUCER_WINDOW) memmove(x->kept, x->kept + 1, --x->count * sizeof x->kept[0]);
    CHECK(x->count == 0 || x->window);
    x->kept[x->count++] = n->batch;
    p->kept_count += x->count;
    p->oldest_ms = MIN(p->oldest_ms, n->batch.max_timestamp_ms);
    producer_table_change(&p->table, place);
}

void producer_state_commit(struct producer_state *s, int64_t high_watermark)
{
    struct producers *p = s->p;
    if (p == NULL) return;
    while (p->pending_count > 0 && kept_last_offset(&pending_at(p, 0)->batch) < high_watermark) {
        const struct pending *n = pending_at(p, 0);
        fold(p, n);
        p->committed = kept_last_offset(&n->batch) + 1;
        p->first = (p->first + 1) % p->capacity;
        p->number++;
        p->pending_count--;
    }
    if (p->pending_count == 0) drop_ring(s); /* what is idle costs no more than its producers */
}

/* Drops the newest pending header. */
static void unappend(struct producer_state *s)
{
    struct producers *p = s->p;
    struct producer_place place;
    uint32_t i = p->pending_count - 1;
    const struct pending *n = pending_at(p, i);
    CHECK(producer_table_find(&p->table, n->producer_id, &place));
    struct producer *x = producer_table_at(&p->table, place)->producer;
    CHECK(x->pending && x->newest == p->number + i);
    x->pending = n->back != 0 && n->back <= i;
    x->newest -= n->back;
    if (!x->pending && x->count == 0) producer_table_remove(&p->table, s->mem, place);
    p->pending_count--;
}

void producer_state_truncate(struct producer_state *s, int64_t end)
{
    struct producers *p = s->p;
    if (p == NULL) return;
    CHECK(end >= p->committed); /* rule A3: what is committed is never cut */
    while (p->pending_count > 0 && kept_last_offset(&pending_at(p, p->pending_count - 1)->batch) >= end) unappend(s);
    if (p->pending_count == 0) drop_ring(s);
}

/* --- expiry --- */

static bool lives(const struct producer *x, int64_t before_ms)
{
    return x->pending || x->kept[x->count - 1].max_timestamp_ms >= before_ms;
}

/* A walk over all, but only where the oldest one may be due. */
bool producer_state_expires(struct producer_state *s, int64_t before_ms)
{
    struct producers *p = s->p;
    bool any = false;
    if (p == NULL || p->oldest_ms >= before_ms) return false;
    p->oldest_ms = INT64_MAX;
    for (uint32_t c = 0; c < p->table.chunk_count; c++) {
        for (uint32_t i = 0; i < p->table.chunks[c].count; i++) {
            const struct producer *x = p->table.chunks[c].slots[i].producer;
            any |= !lives(x, before_ms);
            if (x->count > 0) p->oldest_ms = MIN(p->oldest_ms, x->kept[x->count - 1].max_timestamp_ms);
        }
    }
    return any;
}

/* No memory for the note, or too many: then the next record has all. */
static void note_removed(struct producer_state *s, int64_t id)
{
    struct producers *p = s->p;
    if (p->whole) return;
    if (p->removed_count == p->removed_capacity) {
        uint32_t capacity = MAX(16u, 2 * p->removed_capacity);
        int64_t *ids = NULL;
        if (capacity <= PRODUCERS_REMOVED_MAX)
            ids = mem_realloc(s->mem, MEM_LOG, p->removed, p->removed_capacity * sizeof *ids, capacity * sizeof *ids);
        if (ids == NULL) {
            p->whole = true;
            producers_removed_clear(s);
            return;
        }
        p->removed = ids;
        p->removed_capacity = capacity;
    }
    p->removed[p->removed_count++] = id;
}

struct expiry {
    struct producer_state *state;
    int64_t before_ms;
};

static bool keep_living(void *arg, const struct producer_slot *slot)
{
    const struct expiry *e = arg;
    if (lives(slot->producer, e->before_ms)) return true;
    note_removed(e->state, slot->id);
    return false;
}

static void count_again(struct producers *p)
{
    p->committed_count = 0;
    p->kept_count = 0;
    for (uint32_t c = 0; c < p->table.chunk_count; c++) {
        for (uint32_t i = 0; i < p->table.chunks[c].count; i++) {
            uint8_t count = p->table.chunks[c].slots[i].producer->count;
            p->committed_count += count > 0;
            p->kept_count += count;
        }
    }
}

void producer_state_remove_expired(struct producer_state *s, int64_t before_ms)
{
    if (s->p == NULL) return;
    producer_table_filter(&s->p->table, s->mem, keep_living, &(struct expiry){s, before_ms});
    count_again(s->p);
    CHECK_SLOW(s->p->table.count > 64 || (producer_state_check_invariants(s), true));
}

bool producer_state_ends_with(const struct producer_state *s, int64_t producer_id, int64_t last_offset)
{
    struct producer_place place;
    if (s->p == NULL || !producer_table_find(&s->p->table, producer_id, &place)) return false;
    const struct producer *x = producer_table_at(&s->p->table, place)->producer;
    return x->count > 0 && kept_last_offset(&x->kept[x->count - 1]) == last_offset;
}

/* --- invariants --- */

static void check_producer(const struct producers *p, const struct producer *x)
{
    CHECK(x->count <= (x->window ? PRODUCER_WINDOW : 1) && (x->count > 0 || x->pending));
    for (uint8_t i = 0; i < x->count; i++) {
        CHECK(kept_last_offset(&x->kept[i]) < p->committed && x->kept[i].first_sequence >= (i == 0 ? NO_SEQUENCE : 0));
        if (i > 0) CHECK(kept_last_offset(&x->kept[i - 1]) < x->kept[i].base_offset);
    }
    if (x->pending) CHECK(x->newest - p->number < p->pending_count);
}

void producer_state_check_invariants(const struct producer_state *s)
{
    const struct producers *p = s->p;
    if (p == NULL) return;
    uint64_t kept = 0, committed = 0;
    CHECK(p->pending_count <= p->capacity && (p->capacity == 0) == (p->ring == NULL));
    CHECK(p->removed_count <= p->removed_capacity && (!p->whole || p->removed_count == 0));
    producer_table_check(&p->table);
    for (uint32_t c = 0; c < p->table.chunk_count; c++) {
        for (uint32_t i = 0; i < p->table.chunks[c].count; i++) {
            const struct producer *x = p->table.chunks[c].slots[i].producer;
            check_producer(p, x);
            kept += x->count;
            committed += x->count > 0;
            if (x->count > 0) CHECK(x->kept[x->count - 1].max_timestamp_ms >= p->oldest_ms);
        }
    }
    CHECK(kept == p->kept_count && committed == p->committed_count);
    for (uint32_t i = 0; i < p->pending_count; i++) {
        const struct pending *n = pending_at(p, i);
        struct producer_place place;
        CHECK(n->batch.base_offset >= (i == 0 ? p->committed : kept_last_offset(&pending_at(p, i - 1)->batch) + 1));
        CHECK(producer_table_find(&p->table, n->producer_id, &place));
        CHECK(producer_table_at(&p->table, place)->producer->pending);
        if (n->back > 0 && n->back <= i) CHECK(pending_at(p, i - n->back)->producer_id == n->producer_id);
    }
}

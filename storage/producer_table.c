// SPDX-License-Identifier: Apache-2.0
/* Sorted chunks of producers (producer_table.h).
 *
 * Happy path: reserve, find, insert. The only chunk grows by doubling; a full one is split in halves, or, when the new
 * id is above all (ids are given in ascending order), a new chunk begins behind it and the old one stays full.
 * Failure modes: memory is taken by reserve only. */
#include "storage/producer_table.h"

#include "base/bytes.h"
#include "base/check.h"
#include <assert.h>

#define CHUNK_SLOTS       128u
#define FIRST_SLOTS       4u
#define CHUNK_MERGE_SLOTS 96u /* neighbours that fit in so many become one: room is left for inserts */

static_assert(sizeof(struct kept_batch) == 24 && sizeof(struct producer) == 8, "memory per producer, as promised");
static_assert(sizeof(struct producer_slot) == 16, "memory per producer, as promised");

static size_t producer_bytes(bool window)
{
    return sizeof(struct producer) + (window ? PRODUCER_WINDOW : 1u) * sizeof(struct kept_batch);
}

struct producer *producer_create(struct mem *mem, bool window)
{
    struct producer *p = mem_zalloc(mem, MEM_LOG, producer_bytes(window));
    if (p != NULL) p->window = window;
    return p;
}

void producer_destroy(struct mem *mem, struct producer *p)
{
    if (p != NULL) mem_free(mem, MEM_LOG, p, producer_bytes(p->window));
}

static void free_slots(struct mem *mem, struct producer_slot *slots, uint32_t capacity)
{
    mem_free(mem, MEM_LOG, slots, capacity * sizeof *slots);
}

void producer_table_deinit(struct producer_table *t, struct mem *mem)
{
    for (uint32_t c = 0; c < t->chunk_count; c++) {
        struct producer_chunk *k = &t->chunks[c];
        for (uint32_t i = 0; i < k->count; i++) producer_destroy(mem, k->slots[i].producer);
        free_slots(mem, k->slots, k->capacity);
    }
    mem_free(mem, MEM_LOG, t->chunks, t->chunk_capacity * sizeof *t->chunks);
    if (t->spare != NULL) free_slots(mem, t->spare, CHUNK_SLOTS);
    *t = (struct producer_table){0};
}

void producer_table_check(const struct producer_table *t)
{
    uint64_t count = 0;
    CHECK(t->chunk_count <= t->chunk_capacity);
    for (uint32_t c = 0; c < t->chunk_count; c++) {
        const struct producer_chunk *k = &t->chunks[c];
        CHECK(k->count <= k->capacity && k->capacity <= CHUNK_SLOTS);
        CHECK(t->chunk_count == 1 || (k->count > 0 && k->capacity == CHUNK_SLOTS));
        CHECK(k->count == 0 || k->first_id == k->slots[0].id);
        for (uint32_t i = 1; i < k->count; i++) CHECK(k->slots[i - 1].id < k->slots[i].id);
        for (uint32_t i = 0; i < k->count; i++) CHECK(k->changed || !k->slots[i].producer->changed);
        if (c > 0) CHECK(k[-1].slots[k[-1].count - 1].id < k->first_id);
        count += k->count;
    }
    CHECK(count == t->count);
}

static bool reserve_directory(struct producer_table *t, struct mem *mem)
{
    if (t->chunk_count < t->chunk_capacity) return true;
    uint32_t capacity = MAX(1u, 2 * t->chunk_capacity);
    struct producer_chunk *chunks =
        mem_realloc(mem, MEM_LOG, t->chunks, t->chunk_capacity * sizeof *chunks, capacity * sizeof *chunks);
    if (chunks == NULL) return false;
    t->chunks = chunks;
    t->chunk_capacity = capacity;
    return true;
}

static bool grow_only_chunk(struct producer_chunk *k, struct mem *mem)
{
    uint32_t capacity = k->capacity == 0 ? FIRST_SLOTS : 2 * k->capacity;
    struct producer_slot *slots =
        mem_realloc(mem, MEM_LOG, k->slots, k->capacity * sizeof *slots, capacity * sizeof *slots);
    if (slots == NULL) return false;
    k->slots = slots;
    k->capacity = capacity;
    return true;
}

bool producer_table_reserve(struct producer_table *t, struct mem *mem)
{
    if (t->chunk_count == 0) {
        if (!reserve_directory(t, mem)) return false;
        struct producer_chunk first = {0};
        if (!grow_only_chunk(&first, mem)) return false;
        t->chunks[t->chunk_count++] = first;
    }
    struct producer_chunk *only = &t->chunks[0];
    if (t->chunk_count == 1 && only->count < only->capacity) return true;
    if (t->chunk_count == 1 && only->capacity < CHUNK_SLOTS) return grow_only_chunk(only, mem);
    if (t->spare == NULL) t->spare = mem_alloc(mem, MEM_LOG, CHUNK_SLOTS * sizeof *t->spare);
    return t->spare != NULL && reserve_directory(t, mem);
}

/* The last chunk that begins at or below `id`; 0 if none does. */
static uint32_t find_chunk(const struct producer_table *t, int64_t id)
{
    uint32_t low = 0, high = t->chunk_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (t->chunks[middle].first_id <= id)
            low = middle + 1;
        else
            high = middle;
    }
    return low == 0 ? 0 : low - 1;
}

bool producer_table_find(const struct producer_table *t, int64_t id, struct producer_place *ret_place)
{
    *ret_place = (struct producer_place){.chunk = t->count == 0 ? 0 : find_chunk(t, id)};
    if (t->count == 0) return false;
    const struct producer_chunk *k = &t->chunks[ret_place->chunk];
    uint32_t low = 0, high = k->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (k->slots[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    ret_place->slot = low;
    return low < k->count && k->slots[low].id == id;
}

struct producer_slot *producer_table_at(const struct producer_table *t, struct producer_place place)
{
    CHECK(place.chunk < t->chunk_count && place.slot < t->chunks[place.chunk].count);
    return &t->chunks[place.chunk].slots[place.slot];
}

/* Makes room at a place in a full chunk; the place moves along. */
static void split(struct producer_table *t, struct producer_place *place)
{
    CHECK(t->spare != NULL && t->chunk_count < t->chunk_capacity);
    bool above_all = place->chunk + 1 == t->chunk_count && place->slot == CHUNK_SLOTS;
    uint32_t keep = above_all ? CHUNK_SLOTS : CHUNK_SLOTS / 2;
    struct producer_chunk *k = &t->chunks[place->chunk];
    memmove(k + 2, k + 1, (t->chunk_count - place->chunk - 1) * sizeof *k);
    k[1] = (struct producer_chunk){
        .slots = t->spare, .count = (uint16_t)(CHUNK_SLOTS - keep), .capacity = CHUNK_SLOTS, .changed = k->changed};
    memcpy(k[1].slots, k->slots + keep, k[1].count * sizeof *k->slots);
    if (k[1].count > 0) k[1].first_id = k[1].slots[0].id;
    k->count = (uint16_t)keep;
    t->spare = NULL;
    t->chunk_count++;
    if (above_all || place->slot > keep) {
        place->chunk++;
        place->slot -= keep;
    }
}

void producer_table_insert(struct producer_table *t, struct producer_place place, int64_t id, struct producer *p)
{
    CHECK(place.chunk < t->chunk_count && p != NULL);
    if (t->chunks[place.chunk].count == CHUNK_SLOTS) split(t, &place);
    struct producer_chunk *k = &t->chunks[place.chunk];
    CHECK(place.slot <= k->count && k->count < k->capacity);
    CHECK(place.slot == k->count || id < k->slots[place.slot].id);
    memmove(k->slots + place.slot + 1, k->slots + place.slot, (k->count - place.slot) * sizeof *k->slots);
    k->slots[place.slot] = (struct producer_slot){.id = id, .producer = p};
    k->first_id = k->slots[0].id;
    k->changed |= p->changed;
    k->count++;
    t->count++;
}

void producer_table_change(struct producer_table *t, struct producer_place place)
{
    producer_table_at(t, place)->producer->changed = true;
    t->chunks[place.chunk].changed = true;
}

void producer_table_unchange(struct producer_table *t)
{
    for (uint32_t c = 0; c < t->chunk_count; c++) {
        struct producer_chunk *k = &t->chunks[c];
        if (!k->changed) continue;
        for (uint32_t i = 0; i < k->count; i++) k->slots[i].producer->changed = false;
        k->changed = false;
    }
}

void producer_table_remove(struct producer_table *t, struct mem *mem, struct producer_place place)
{
    producer_destroy(mem, producer_table_at(t, place)->producer);
    struct producer_chunk *k = &t->chunks[place.chunk];
    k->count--;
    t->count--;
    memmove(k->slots + place.slot, k->slots + place.slot + 1, (k->count - place.slot) * sizeof *k->slots);
    if (k->count > 0) {
        k->first_id = k->slots[0].id;
        return;
    }
    free_slots(mem, k->slots, k->capacity);
    t->chunk_count--;
    memmove(k, k + 1, (t->chunk_count - place.chunk) * sizeof *k);
}

static void filter_chunk(struct producer_chunk *k, struct mem *mem,
                         bool (*keep)(void *arg, const struct producer_slot *slot), void *arg)
{
    uint16_t n = 0;
    for (uint32_t i = 0; i < k->count; i++) {
        if (keep(arg, &k->slots[i]))
            k->slots[n++] = k->slots[i];
        else
            producer_destroy(mem, k->slots[i].producer);
    }
    k->count = n;
    if (n > 0) k->first_id = k->slots[0].id;
}

void producer_table_filter(struct producer_table *t, struct mem *mem,
                           bool (*keep)(void *arg, const struct producer_slot *slot), void *arg)
{
    uint32_t out = 0;
    t->count = 0;
    for (uint32_t c = 0; c < t->chunk_count; c++) {
        struct producer_chunk k = t->chunks[c];
        filter_chunk(&k, mem, keep, arg);
        t->count += k.count;
        struct producer_chunk *last = out > 0 ? &t->chunks[out - 1] : NULL;
        if (last != NULL && last->count + k.count <= CHUNK_MERGE_SLOTS) { /* also when k has become empty */
            memcpy(last->slots + last->count, k.slots, k.count * sizeof *k.slots);
            last->count = (uint16_t)(last->count + k.count);
            last->changed |= k.changed;
            k.count = 0;
        }
        if (k.count == 0)
            free_slots(mem, k.slots, k.capacity);
        else
            t->chunks[out++] = k;
    }
    t->chunk_count = out;
}

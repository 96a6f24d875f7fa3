// SPDX-License-Identifier: Apache-2.0
/* Open addressing with linear probing over {hash, offset}; see key_map.h. Nothing is ever removed. The first slot of a
 * key is its hash scaled to the slots, so that their number need not be a power of two. */
#include "storage/key_map.h"

#include "base/bytes.h"
#include "base/check.h"
#include <xxhash.h>

#define CLEARED_AT_ONCE 16384u

struct slot {
    uint64_t low, high;
    int64_t offset; /* NO_OFFSET: free */
};

struct key_map {
    struct slot *slots;
    uint64_t slot_count, count, capacity, seed;
    uint64_t cleared; /* slots */
};

static_assert(sizeof(struct slot) == KEY_MAP_SLOT_BYTES, "as the header promises");

struct key_map *key_map_create(struct mem *mem, uint64_t keys, uint64_t seed)
{
    struct key_map *m = mem_zalloc(mem, MEM_LOG, sizeof *m);
    if (m == NULL) return NULL;
    m->seed = seed;
    for (uint64_t wish = MIN(MAX(keys, 1u), KEY_MAP_KEYS_MAX), least = MAX(wish / 64, 1u); wish >= least; wish /= 2) {
        m->slot_count = wish + wish / 3 + 1;
        m->capacity = wish;
        m->slots = mem_alloc(mem, MEM_LOG, m->slot_count * sizeof *m->slots);
        if (m->slots != NULL || wish == 1) break;
    }
    if (m->slots == NULL) {
        mem_free(mem, MEM_LOG, m, sizeof *m);
        return NULL;
    }
    return m;
}

bool key_map_clear(struct key_map *m)
{
    uint64_t end = MIN(m->slot_count, m->cleared + CLEARED_AT_ONCE);
    for (; m->cleared < end; m->cleared++) m->slots[m->cleared].offset = NO_OFFSET;
    return m->cleared == m->slot_count;
}

void key_map_destroy(struct mem *mem, struct key_map *m)
{
    if (m == NULL) return;
    mem_free(mem, MEM_LOG, m->slots, m->slot_count * sizeof *m->slots);
    mem_free(mem, MEM_LOG, m, sizeof *m);
}

uint64_t key_map_count(const struct key_map *m)
{
    return m->count;
}

uint64_t key_map_capacity(const struct key_map *m)
{
    return m->capacity;
}

/* The key's slot, or the free one where it belongs: there always is one. */
static struct slot *slot_of(const struct key_map *m, const void *key, size_t len, XXH128_hash_t *ret_hash)
{
    XXH128_hash_t h = XXH3_128bits_withSeed(key, len, m->seed);
    uint64_t i = (uint64_t)((unsigned __int128)h.low64 * m->slot_count >> 64);
    CHECK(m->cleared == m->slot_count && m->count < m->slot_count);
    while (m->slots[i].offset != NO_OFFSET && (m->slots[i].low != h.low64 || m->slots[i].high != h.high64))
        i = i + 1 == m->slot_count ? 0 : i + 1;
    *ret_hash = h;
    return &m->slots[i];
}

bool key_map_put(struct key_map *m, const void *key, size_t len, int64_t offset)
{
    XXH128_hash_t h;
    struct slot *s = slot_of(m, key, len, &h);
    CHECK(offset >= 0 && s->offset < offset);
    if (s->offset == NO_OFFSET) {
        if (m->count == m->capacity) return false;
        m->count++;
        s->low = h.low64;
        s->high = h.high64;
    }
    s->offset = offset;
    return true;
}

int64_t key_map_get(const struct key_map *m, const void *key, size_t len)
{
    XXH128_hash_t h;
    return slot_of(m, key, len, &h)->offset;
}

// SPDX-License-Identifier: Apache-2.0
/* Hash table over the partitions plus a lazily sorted array for listings. The hash order reaches no output. */
#include "storage/partition_map.h"

#include "base/bytes.h"
#include "storage/store_impl.h"
#include <stdlib.h>
#include <xxhash.h>

struct partition_map {
    struct mem *mem;
    struct partition **slots; /* open addressing, linear probing; capacity a power of two, at most 3/4 full */
    struct partition **sorted;
    uint32_t capacity, count, sorted_capacity;
    bool sorted_valid;
};

#define MAP_FIRST_CAPACITY 64u

static uint64_t key_hash(struct topic_id id, int32_t number)
{
    return XXH3_64bits_withSeed(id.b, sizeof id.b, (uint64_t)number);
}

struct partition_map *partition_map_create(struct mem *m)
{
    struct partition_map *map = mem_zalloc(m, MEM_LOG, sizeof *map);
    if (map == NULL) return NULL;
    map->mem = m;
    map->slots = mem_zalloc(m, MEM_LOG, MAP_FIRST_CAPACITY * sizeof(struct partition *));
    map->capacity = MAP_FIRST_CAPACITY;
    if (map->slots != NULL) return map;
    mem_free(m, MEM_LOG, map, sizeof *map);
    return NULL;
}

void partition_map_destroy(struct partition_map *map)
{
    CHECK(map->count == 0);
    mem_free(map->mem, MEM_LOG, map->slots, map->capacity * sizeof(struct partition *));
    mem_free(map->mem, MEM_LOG, map->sorted, map->sorted_capacity * sizeof(struct partition *));
    mem_free(map->mem, MEM_LOG, map, sizeof *map);
}

static bool key_equal(const struct partition *p, struct topic_id id, int32_t number)
{
    return p->number == number && topic_id_compare(p->id, id) == 0;
}

static uint32_t slot_of(const struct partition_map *map, struct topic_id id, int32_t number)
{
    uint32_t i = (uint32_t)key_hash(id, number) & (map->capacity - 1);
    while (map->slots[i] != NULL && !key_equal(map->slots[i], id, number)) i = (i + 1) & (map->capacity - 1);
    return i;
}

static enum status grow(struct partition_map *map)
{
    uint32_t old_capacity = map->capacity;
    struct partition **old = map->slots;
    struct partition **slots = mem_zalloc(map->mem, MEM_LOG, 2 * old_capacity * sizeof(struct partition *));
    if (slots == NULL) return STATUS_NO_MEMORY;
    map->slots = slots;
    map->capacity = 2 * old_capacity;
    for (uint32_t i = 0; i < old_capacity; i++)
        if (old[i] != NULL) slots[slot_of(map, old[i]->id, old[i]->number)] = old[i];
    mem_free(map->mem, MEM_LOG, old, old_capacity * sizeof(struct partition *));
    return STATUS_OK;
}

enum status partition_map_add(struct partition_map *map, struct partition *p)
{
    if (map->count + 1 > map->capacity / 4 * 3 && grow(map) != STATUS_OK) return STATUS_NO_MEMORY;
    uint32_t i = slot_of(map, p->id, p->number);
    if (map->slots[i] != NULL) return STATUS_EXISTS;
    map->slots[i] = p;
    map->count++;
    map->sorted_valid = false;
    return STATUS_OK;
}

void partition_map_remove(struct partition_map *map, struct partition *p)
{
    uint32_t hole = slot_of(map, p->id, p->number);
    CHECK(map->slots[hole] == p);
    map->slots[hole] = NULL;
    map->count--;
    /* a clean stop takes them from the end: a sort for each would cost minutes with 100,000 */
    map->sorted_valid = map->sorted_valid && map->sorted[map->count] == p;
    for (uint32_t i = (hole + 1) & (map->capacity - 1); map->slots[i] != NULL; i = (i + 1) & (map->capacity - 1)) {
        struct partition *moved = map->slots[i];
        map->slots[i] = NULL;
        map->slots[slot_of(map, moved->id, moved->number)] = moved;
    }
}

struct partition *partition_map_find(const struct partition_map *map, struct topic_id id, int32_t number)
{
    return map->slots[slot_of(map, id, number)];
}

uint32_t partition_map_count(const struct partition_map *map)
{
    return map->count;
}

static int by_name(const void *a, const void *b)
{
    const struct partition *p = *(struct partition *const *)a, *q = *(struct partition *const *)b;
    int order = strcmp(p->topic, q->topic);
    if (order == 0) order = (p->number > q->number) - (p->number < q->number);
    return order != 0 ? order : topic_id_compare(p->id, q->id);
}

static bool sort(struct partition_map *map)
{
    if (map->sorted_capacity < map->count) {
        struct partition **sorted = mem_alloc(map->mem, MEM_LOG, map->capacity * sizeof(struct partition *));
        if (sorted == NULL) return false;
        mem_free(map->mem, MEM_LOG, map->sorted, map->sorted_capacity * sizeof(struct partition *));
        map->sorted = sorted;
        map->sorted_capacity = map->capacity;
    }
    uint32_t n = 0;
    for (uint32_t i = 0; i < map->capacity; i++)
        if (map->slots[i] != NULL) map->sorted[n++] = map->slots[i];
    CHECK(n == map->count);
    if (n > 0) qsort(map->sorted, n, sizeof(struct partition *), by_name);
    map->sorted_valid = true;
    return true;
}

struct partition *partition_map_at(struct partition_map *map, uint32_t i)
{
    if (!map->sorted_valid && !sort(map)) return NULL;
    return i < map->count ? map->sorted[i] : NULL;
}

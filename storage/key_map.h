// SPDX-License-Identifier: Apache-2.0
/* The newest offset of each key, in bounded memory: what a round of compaction knows of its dirty part. Pure.
 *
 * Keys are known by their 128-bit XXH3 under the seed of the map: a key is never compared, so two that agree in all 128
 * bits are one. With a seed that no client knows that is as rare as with Kafka's MD5.
 * Memory (class MEM_LOG): 24 bytes per slot, three quarters of them may be used; taken at once. */
#pragma once
#include "base/mem.h"
#include "storage/types.h"

struct key_map;

#define KEY_MAP_SLOT_BYTES 24u
#define KEY_MAP_KEYS_MAX   (1u << 26) /* 2 GiB */

/* Room for at least `keys` keys (at least 1, at most KEY_MAP_KEYS_MAX), if memory allows, else for fewer, down to a
 * 64th of them. NULL: not even that. Call key_map_clear until it is true, before anything else. */
struct key_map *key_map_create(struct mem *mem, uint64_t keys, uint64_t seed);
/* Clears a part of a new map, so that a large one does not hold up its shard; true: it is ready. */
bool key_map_clear(struct key_map *m);
void key_map_destroy(struct mem *mem, struct key_map *m);

uint64_t key_map_count(const struct key_map *m);
uint64_t key_map_capacity(const struct key_map *m); /* keys */
/* False: the key is new and the map is full; nothing changed. Offsets of a key only rise. */
bool key_map_put(struct key_map *m, const void *key, size_t len, int64_t offset);
int64_t key_map_get(const struct key_map *m, const void *key, size_t len); /* NO_OFFSET: not there */

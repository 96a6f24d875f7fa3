// SPDX-License-Identifier: Apache-2.0
/* The partitions of a store by (topic id, number), and in the order of (topic name, number). */
#pragma once
#include "storage/partition.h"

struct partition_map;

struct partition_map *partition_map_create(struct mem *m); /* NULL: no memory */
void partition_map_destroy(struct partition_map *map);     /* the partitions are freed before */
enum status partition_map_add(struct partition_map *map, struct partition *p) MUST_CHECK;
void partition_map_remove(struct partition_map *map, struct partition *p);
struct partition *partition_map_find(const struct partition_map *map, struct topic_id id, int32_t number);
uint32_t partition_map_count(const struct partition_map *map);
/* i-th in the order of (name, number); sorts on first use after a change. */
struct partition *partition_map_at(struct partition_map *map, uint32_t i);

/* A partition without data; not in a map yet. NULL: no memory. */
struct partition *partition_new(struct store *s, const char *topic, struct topic_id id, int32_t number);
void partition_free(struct partition *p);

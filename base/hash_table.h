// SPDX-License-Identifier: Apache-2.0
/* Intrusive hash table: nodes are embedded in what they find, the owner compares keys itself. Chained; doubles when it
 * holds more nodes than buckets. Nothing of ours depends on the order of a chain or of the buckets: what goes to disk,
 * wire or user in some order is kept in a list or sorted besides.
 *
 *   for (struct hash_node *n = hash_table_find(t, h); n != NULL; n = hash_node_next(n))
 *       if (my_key_equal(container_of(n, struct mine, in_table), key)) ... */
#pragma once
#include "base/mem.h"
#include <stdbool.h>

struct hash_node {
    struct hash_node *next;
    uint64_t hash;
};

struct hash_table {
    struct mem *mem;
    struct hash_node **buckets;
    enum mem_class mem_class;
    uint32_t bucket_count, count;
};

void hash_table_init(struct hash_table *t, struct mem *m, enum mem_class c); /* allocates nothing */
void hash_table_deinit(struct hash_table *t);                                /* CHECKs that it is empty */

/* Same hash may be there already. NO_MEMORY only where the table has no buckets at all: a full one that cannot grow
 * becomes slower instead. */
enum status hash_table_insert(struct hash_table *t, struct hash_node *n, uint64_t hash) MUST_CHECK;
void hash_table_remove(struct hash_table *t, struct hash_node *n); /* CHECKs that it is in */

struct hash_node *hash_table_find(const struct hash_table *t, uint64_t hash); /* the first with this hash; NULL */
static inline struct hash_node *hash_node_next(const struct hash_node *n)     /* the next with the same hash; NULL */
{
    const uint64_t hash = n->hash;
    struct hash_node *next = n->next;
    while (next != NULL && next->hash != hash) next = next->next;
    return next;
}

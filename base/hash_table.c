// SPDX-License-Identifier: Apache-2.0
/* Hash table (hash_table.h). Failure modes: no memory at growth leaves longer chains, which is slower and not wrong. */
#include "base/hash_table.h"
#include "base/check.h"
#include <string.h>

#define BUCKETS_FIRST 16u
#define BUCKETS_MAX   (1u << 24)

void hash_table_init(struct hash_table *t, struct mem *m, enum mem_class c)
{
    *t = (struct hash_table){.mem = m, .mem_class = c};
}

void hash_table_deinit(struct hash_table *t)
{
    CHECK(t->count == 0);
    mem_free(t->mem, t->mem_class, t->buckets, t->bucket_count * sizeof t->buckets[0]);
    t->buckets = NULL;
    t->bucket_count = 0;
}

static struct hash_node **bucket(const struct hash_table *t, uint64_t hash)
{
    return &t->buckets[hash & (t->bucket_count - 1)];
}

static enum status grow(struct hash_table *t)
{
    uint32_t old_count = t->bucket_count;
    uint32_t count = old_count == 0 ? BUCKETS_FIRST : old_count * 2;
    struct hash_node **old = t->buckets;
    struct hash_node **new = mem_zalloc(t->mem, t->mem_class, count * sizeof new[0]);
    if (new == NULL) return STATUS_NO_MEMORY;
    t->buckets = new;
    t->bucket_count = count;
    for (uint32_t i = 0; i < old_count; i++) {
        for (struct hash_node *n = old[i], *next; n != NULL; n = next) {
            next = n->next;
            struct hash_node **at = bucket(t, n->hash);
            n->next = *at;
            *at = n;
        }
    }
    mem_free(t->mem, t->mem_class, old, old_count * sizeof old[0]);
    return STATUS_OK;
}

enum status hash_table_insert(struct hash_table *t, struct hash_node *n, uint64_t hash)
{
    bool full = t->count >= t->bucket_count && t->bucket_count < BUCKETS_MAX;
    enum status s = full ? grow(t) : STATUS_OK;
    if (s != STATUS_OK && t->bucket_count == 0) return s;
    struct hash_node **at = bucket(t, hash);
    n->hash = hash;
    n->next = *at;
    *at = n;
    t->count++;
    return STATUS_OK;
}

void hash_table_remove(struct hash_table *t, struct hash_node *n)
{
    CHECK(t->count > 0);
    struct hash_node **at = bucket(t, n->hash);
    while (*at != n) {
        CHECK(*at != NULL);
        at = &(*at)->next;
    }
    *at = n->next;
    n->next = NULL;
    t->count--;
}

struct hash_node *hash_table_find(const struct hash_table *t, uint64_t hash)
{
    if (t->bucket_count == 0) return NULL;
    struct hash_node *n = *bucket(t, hash);
    while (n != NULL && n->hash != hash) n = n->next;
    return n;
}

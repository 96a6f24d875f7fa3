// SPDX-License-Identifier: Apache-2.0
/* Refcounted buffers on shard memory (buf.h). The struct and its bytes are two blocks, so that the bytes fill whole
 * aligned pages. Failure mode: the class has no room for either: NULL, nothing held. */
#include "base/buf.h"
#include "base/check.h"

struct buf *buf_create(struct mem *m, enum mem_class c, size_t capacity)
{
    struct buf *b = mem_alloc(m, c, sizeof *b);
    if (b == NULL) return NULL;
    uint8_t *data = mem_alloc_aligned(m, c, capacity);
    if (data == NULL) {
        mem_free(m, c, b, sizeof *b);
        return NULL;
    }
    *b = (struct buf){.refs = 1, .mem_class = c, .capacity = capacity, .data = data, .mem = m};
    return b;
}

struct buf *buf_ref(struct buf *b)
{
    CHECK(b->refs > 0 && b->refs < UINT32_MAX);
    b->refs++;
    return b;
}

void buf_unref(struct buf **b)
{
    struct buf *old = *b;
    *b = NULL;
    if (old == NULL) return;
    CHECK(old->refs > 0 && old->size <= old->capacity);
    if (--old->refs > 0) return;
    mem_free_aligned(old->mem, old->mem_class, old->data, old->capacity);
    mem_free(old->mem, old->mem_class, old, sizeof *old);
}

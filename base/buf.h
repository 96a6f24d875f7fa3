// SPDX-License-Identifier: Apache-2.0
/* Refcounted block of bytes, immutable once filled: the same bytes go to disk, followers and consumers.
 * Belongs to the shard that created it; ref and unref only there (another shard borrows the bytes while a message it
 * owns is on its way and hands the message back). data is 4 KiB aligned so that O_DIRECT may use it. */
#pragma once
#include "base/mem.h"

struct buf {
    uint32_t refs;
    enum mem_class mem_class;
    size_t capacity; /* bytes at data */
    size_t size;     /* bytes filled, for the owner's use */
    uint8_t *data;
    struct mem *mem;
};

/* NULL when the class has no room. refs = 1, size = 0, bytes not zeroed. */
struct buf *buf_create(struct mem *m, enum mem_class c, size_t capacity);
struct buf *buf_ref(struct buf *b);
void buf_unref(struct buf **b); /* nulls the pointer; frees with the last one */

/* A part of a buf. Holding a slice means holding a ref unless a header says that it borrows. */
struct slice {
    struct buf *buf;
    uint32_t pos, len;
};

static inline uint8_t *slice_data(struct slice s)
{
    return s.buf->data + s.pos;
}

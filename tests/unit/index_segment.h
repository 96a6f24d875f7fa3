// SPDX-License-Identifier: Apache-2.0
/* Segments for the index tests: sound record batches back to back, of given sizes; tests/golden/lidx.py makes the same.
 */
#pragma once
#include "base/bytes.h"
#include "base/crc32c.h"
#include "storage/index_rebuild.h"
#include <stdlib.h>

struct batch_at {
    uint64_t pos;
    uint32_t size;
    int64_t base_offset, max_timestamp_ms;
};

struct segment_image {
    uint8_t *bytes;
    uint64_t len, capacity;
    struct batch_at *batches;
    uint32_t count;
    int64_t base, next_offset;
};

static inline void segment_begin(struct segment_image *s, int64_t base)
{
    *s = (struct segment_image){.base = base, .next_offset = base};
}

static inline void segment_free(struct segment_image *s)
{
    free(s->bytes);
    free(s->batches);
}

/* One batch more: `size` bytes with the header, `records` offsets, contents from `salt`. */
static inline void segment_add(struct segment_image *s, uint32_t size, int32_t records, int64_t max_timestamp_ms,
                               uint32_t salt)
{
    if (s->len + size > s->capacity) {
        s->capacity = 2 * (s->len + size);
        s->bytes = realloc(s->bytes, s->capacity);
    }
    if ((s->count & (s->count - 1)) == 0) s->batches = realloc(s->batches, (2 * s->count + 1) * sizeof *s->batches);
    uint8_t *b = s->bytes + s->len;
    memset(b, 0, BATCH_HEADER_BYTES);
    store_be64(b, (uint64_t)s->next_offset);
    store_be32(b + 8, size - BATCH_LOG_OVERHEAD);
    store_be32(b + 12, 3); /* leader epoch */
    b[16] = BATCH_MAGIC;
    store_be32(b + 23, (uint32_t)records - 1);
    store_be64(b + 27, (uint64_t)max_timestamp_ms);
    store_be64(b + 35, (uint64_t)max_timestamp_ms);
    memset(b + 43, 0xff, 14); /* no producer */
    store_be32(b + 57, (uint32_t)records);
    for (uint32_t j = BATCH_HEADER_BYTES; j < size; j++) b[j] = (uint8_t)(j * 31 + salt);
    store_be32(b + 17, crc32c(0, b + 21, size - 21));
    s->batches[s->count++] = (struct batch_at){
        .pos = s->len, .size = size, .base_offset = s->next_offset, .max_timestamp_ms = max_timestamp_ms};
    s->len += size;
    s->next_offset += records;
}

/* The segment of the golden file two_pages.bin: more than one page, one batch over several blocks. */
static inline void segment_golden(struct segment_image *s)
{
    segment_begin(s, 5000000000);
    for (uint32_t k = 0; s->len < (9u << 20); k++)
        segment_add(s, k == 40 ? 300000 : 61 + k * 7919 % 40000, 1 + (int32_t)(k % 5), 1600000000000 + k * 37 % 1000,
                    k);
}

// SPDX-License-Identifier: Apache-2.0
/* Request arena: many small pieces that live and die together, on shard memory. Embedded in its owner.
 * Chunks double from ARENA_FIRST_BYTES to ARENA_CHUNK_MAX_BYTES; the sum of chunks never passes the cap. A piece larger
 * than the chunk gets one of its own. Pieces are 16-byte aligned and stay valid until reset or deinit. */
#pragma once
#include "base/mem.h"

#define ARENA_FIRST_BYTES     ((size_t)4096)
#define ARENA_CHUNK_MAX_BYTES ((size_t)256 << 10)

struct arena_chunk;

struct arena {
    struct mem *mem;
    enum mem_class mem_class;
    struct arena_chunk *chunks; /* newest first */
    size_t used_bytes;          /* of the newest chunk, its header included */
    size_t held_bytes;          /* sum of all chunks */
    size_t cap_bytes;
};

void arena_init(struct arena *a, struct mem *m, enum mem_class c, size_t cap_bytes); /* allocates nothing */
void arena_deinit(struct arena *a);

/* Not zeroed. size 0 gives a valid pointer to nothing. NULL: cap reached, or the class has no room. */
void *arena_alloc(struct arena *a, size_t size);
void *arena_zalloc(struct arena *a, size_t size);
/* Forgets all pieces; keeps the first chunk, so that the next request of usual size allocates nothing. */
void arena_reset(struct arena *a);

// SPDX-License-Identifier: Apache-2.0
/* Request arena (arena.h): pieces are cut from the newest chunk by moving one mark. Failure mode: NULL, and what was
 * handed out before stays valid. Under AddressSanitizer each piece is poisoned until handed out, with a gap behind it,
 * so overflows from piece to piece are seen. */
#include "base/arena.h"
#include "base/asan.h"
#include "base/bytes.h"
#include "base/check.h"
#include <assert.h>
#include <string.h>

enum { PIECE_ALIGN = 16, GAP = UNDER_ASAN ? 16 : 0 };

struct arena_chunk {
    struct arena_chunk *older;
    size_t size; /* with this header */
};
static_assert(sizeof(struct arena_chunk) % PIECE_ALIGN == 0, "pieces start aligned");

void arena_init(struct arena *a, struct mem *m, enum mem_class c, size_t cap_bytes)
{
    *a = (struct arena){.mem = m, .mem_class = c, .cap_bytes = cap_bytes};
}

static void drop_newest(struct arena *a)
{
    struct arena_chunk *c = a->chunks;
    a->chunks = c->older;
    a->held_bytes -= c->size;
    UNPOISON(c, c->size);
    mem_free(a->mem, a->mem_class, c, c->size);
}

void arena_deinit(struct arena *a)
{
    while (a->chunks != NULL) drop_newest(a);
    a->used_bytes = 0;
}

void arena_reset(struct arena *a)
{
    while (a->chunks != NULL && a->chunks->older != NULL) drop_newest(a);
    /* An odd first chunk, made for one huge piece, is not worth keeping. */
    if (a->chunks != NULL && a->chunks->size > ARENA_CHUNK_MAX_BYTES) drop_newest(a);
    a->used_bytes = a->chunks != NULL ? sizeof(struct arena_chunk) : 0;
    if (a->chunks != NULL) POISON(a->chunks + 1, a->chunks->size - sizeof(struct arena_chunk));
}

static bool add_chunk(struct arena *a, size_t need)
{
    size_t size = a->chunks == NULL ? ARENA_FIRST_BYTES : MIN(a->chunks->size * 2, ARENA_CHUNK_MAX_BYTES);
    size = MAX(size, need + sizeof(struct arena_chunk));
    size_t room = a->cap_bytes - a->held_bytes;
    if (size > room) size = room; /* the last chunk before the cap is what is left */
    if (size < need + sizeof(struct arena_chunk)) return false;
    struct arena_chunk *c = mem_alloc(a->mem, a->mem_class, size);
    if (c == NULL) return false;
    *c = (struct arena_chunk){.older = a->chunks, .size = size};
    a->chunks = c;
    a->held_bytes += size;
    a->used_bytes = sizeof *c;
    POISON(c + 1, size - sizeof *c);
    return true;
}

void *arena_alloc(struct arena *a, size_t size)
{
    if (size > a->cap_bytes) return NULL; /* also keeps the sums below from overflowing */
    size_t need = align_up(size, PIECE_ALIGN) + GAP;
    if ((a->chunks == NULL || a->chunks->size - a->used_bytes < need) && !add_chunk(a, need)) return NULL;
    uint8_t *p = (uint8_t *)a->chunks + a->used_bytes;
    a->used_bytes += need;
    UNPOISON(p, size);
    return p;
}

void *arena_zalloc(struct arena *a, size_t size)
{
    void *p = arena_alloc(a, size);
    return p != NULL ? memset(p, 0, size) : NULL;
}

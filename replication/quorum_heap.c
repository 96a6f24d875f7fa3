// SPDX-License-Identifier: Apache-2.0
/* libraft's heap: the memory of the shard that is in a call (MEM_CONTROL), so that a budget bounds it and a simulated
 * kill drops it. Each block has its size in front. Failure modes: NULL, which the library answers with RAFT_NOMEM. */
#include "replication/quorum_impl.h"

#include "base/bytes.h"
#include "base/check.h"

#define HEAP_HEAD 16u

static _Thread_local struct mem *heap_mem;
static _Thread_local void *heap_watched;

static void *heap_malloc(void *data, size_t size)
{
    (void)data;
    CHECK(heap_mem != NULL);
    uint8_t *p = mem_alloc(heap_mem, MEM_CONTROL, size + HEAP_HEAD);
    if (p == NULL) return NULL;
    store_le64(p, size);
    return p + HEAP_HEAD;
}

static size_t heap_size(const void *p)
{
    return load_le64((const uint8_t *)p - HEAP_HEAD);
}

static void heap_free(void *data, void *p)
{
    (void)data;
    if (p == heap_watched) heap_watched = NULL;
    if (p != NULL) mem_free(heap_mem, MEM_CONTROL, (uint8_t *)p - HEAP_HEAD, heap_size(p) + HEAP_HEAD);
}

static void *heap_calloc(void *data, size_t count, size_t size)
{
    if (size != 0 && count > SIZE_MAX / size) return NULL;
    void *p = heap_malloc(data, count * size);
    return p != NULL ? memset(p, 0, count * size) : NULL;
}

static void *heap_realloc(void *data, void *old, size_t size)
{
    void *p = heap_malloc(data, size);
    if (p == NULL) return NULL;
    if (old != NULL) memcpy(p, old, MIN(size, heap_size(old)));
    heap_free(data, old);
    return p;
}

static void *heap_aligned(void *data, size_t alignment, size_t size)
{
    CHECK(alignment <= HEAP_HEAD);
    return heap_malloc(data, size);
}

static void heap_aligned_free(void *data, size_t alignment, void *p)
{
    (void)alignment;
    heap_free(data, p);
}

void quorum_enter(struct mem *m)
{
    static struct raft_heap heap = {.malloc = heap_malloc,
                                    .free = heap_free,
                                    .calloc = heap_calloc,
                                    .realloc = heap_realloc,
                                    .aligned_alloc = heap_aligned,
                                    .aligned_free = heap_aligned_free};
    heap_mem = m;
    raft_heap_set(&heap);
}

void quorum_heap_watch(void *p)
{
    heap_watched = p;
}

bool quorum_heap_freed(void)
{
    bool freed = heap_watched == NULL;
    heap_watched = NULL;
    return freed;
}

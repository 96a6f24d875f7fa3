// SPDX-License-Identifier: Apache-2.0
/* Shard memory (mem.h).
 *
 * Happy path: a size is rounded up to its size class and charged to the budget of its memory class. Classes below 4 KiB
 * are cut from 64 KiB slabs; larger ones and aligned ones come from the system one by one, linked in a list through a
 * trailer behind the block, so that mem_abandon finds them. Freed blocks wait in a free list of their size class.
 * What is kept free is capped (KEEP_SHARE), so a shard that changes its habits does not hold its budget twice.
 *
 * Separate mode (under AddressSanitizer, or with LEAT_MEM_SEPARATE set in the environment): each block is a malloc of
 * exactly the asked size behind a header, so that overflows and uses after free are seen. Charges are the same in both
 * modes, so a simulation does not depend on the mode.
 *
 * Failure modes: budget used up, fault hook, system out of memory: NULL, nothing changed. */
#include "base/mem.h"
#include "base/asan.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/list.h"
#include <assert.h>
#include <stdlib.h>

enum {
    MIN_BLOCK = 16,
    ALIGN = 4096,
    SLAB_BYTES = 64 << 10,
    SLAB_BLOCK_LIMIT = 4096, /* blocks below it live in slabs */
    POOLED_LIMIT = 1 << 20,  /* blocks above it go straight to the system */
    SIZE_CLASSES = 40,
    KEEP_SHARE = 4, /* at most budget / 4 bytes wait in the free lists of large blocks */
};

/* Shares of the budget in percent. Sum: 5 + 15 + 50 + 15 + 15 = 100. A class never borrows: the control plane and the
 * streams between brokers must go on when producers have filled theirs. */
static const uint8_t share_percent[MEM_CLASSES] = {
    [MEM_CONTROL] = 5, [MEM_REPLICATION] = 15, [MEM_LOG] = 50, [MEM_FETCH] = 15, [MEM_PRODUCE] = 15};

struct free_block {
    struct free_block *next;
};

struct large { /* behind a pooled large block; before a block in separate mode */
    struct list_node in_large;
    void *start;   /* what free() wants */
    uint32_t size; /* separate mode: as asked, capped; mem_class beside it: to catch a free that differs */
    uint32_t mem_class;
};
static_assert(sizeof(struct large) % MIN_BLOCK == 0, "keeps blocks behind a header aligned");

struct mem {
    uint64_t used[MEM_CLASSES], peak[MEM_CLASSES], budget[MEM_CLASSES];
    uint64_t fail_in; /* allocations until one fails; 0: none */
    bool separate;
    struct list large, slabs;
    struct free_block *free[2][SIZE_CLASSES]; /* [aligned] */
    uint64_t kept, keep_limit;                /* bytes in free lists of large blocks */
    uint8_t *slab_at, *slab_end;              /* rest of the newest slab */
};

const char *mem_class_name(enum mem_class c)
{
    static const char *const names[MEM_CLASSES] = {[MEM_CONTROL] = "control",
                                                   [MEM_REPLICATION] = "replication",
                                                   [MEM_LOG] = "log",
                                                   [MEM_FETCH] = "fetch",
                                                   [MEM_PRODUCE] = "produce"};
    CHECK((unsigned)c < MEM_CLASSES);
    return names[c];
}

struct mem *mem_create(uint64_t budget_bytes)
{
    struct mem *m = calloc(1, sizeof *m);
    if (m == NULL) return NULL;
    for (int c = 0; c < MEM_CLASSES; c++) m->budget[c] = budget_bytes / 100 * share_percent[c];
    m->keep_limit = budget_bytes / KEEP_SHARE;
    m->separate = UNDER_ASAN || getenv("LEAT_MEM_SEPARATE") != NULL;
    list_init(&m->large);
    list_init(&m->slabs);
    return m;
}

void mem_abandon(struct mem *m)
{
    list_each (n, &m->large) free(container_of(n, struct large, in_large)->start);
    list_each (n, &m->slabs) free(n);
    free(m);
}

void mem_destroy(struct mem *m)
{
    if (m == NULL) return;
    for (int c = 0; c < MEM_CLASSES; c++) CHECK(m->used[c] == 0);
    mem_abandon(m);
}

/* Size class 2k: 16 << k bytes; 2k + 1: the 1.5-fold of it. 24 is left out: blocks are 16-byte aligned. */
static unsigned size_class(size_t size)
{
    if (size <= MIN_BLOCK) return 0;
    unsigned k = 63 - (unsigned)__builtin_clzll((unsigned long long)(size - 1)) - 4; /* 16 << k < size <= 32 << k */
    return k > 0 && size <= (size_t)24 << k ? 2 * k + 1 : 2 * (k + 1);
}

static size_t class_bytes(unsigned i)
{
    return (size_t)(i % 2 != 0 ? 24 : 16) << (i / 2);
}

/* What a block of that size is charged with. */
static size_t round_size(size_t size, bool aligned)
{
    if (size > POOLED_LIMIT) return align_up(size, ALIGN);
    if (aligned && size < ALIGN) size = ALIGN;
    return class_bytes(size_class(size));
}

static void link_large(struct mem *m, struct large *l, void *start, enum mem_class c, size_t size)
{
    *l = (struct large){.start = start, .size = (uint32_t)size, .mem_class = c};
    list_push_back(&m->large, &l->in_large);
}

static void *separate_alloc(struct mem *m, enum mem_class c, size_t size, bool aligned)
{
    size_t before = aligned ? ALIGN : sizeof(struct large);
    uint8_t *start = NULL;
    if (posix_memalign((void **)&start, aligned ? ALIGN : MIN_BLOCK, before + size) != 0) return NULL;
    link_large(m, (struct large *)(void *)(start + before - sizeof(struct large)), start, c, size);
    return start + before;
}

static void separate_free(enum mem_class c, void *p, size_t size)
{
    struct large *l = (struct large *)p - 1;
    CHECK(l->size == (uint32_t)size && l->mem_class == (uint32_t)c); /* freed as allocated */
    list_remove(&l->in_large);
    free(l->start);
}

static void *slab_alloc(struct mem *m, size_t bytes)
{
    if ((size_t)(m->slab_end - m->slab_at) < bytes) {
        uint8_t *slab = aligned_alloc(MIN_BLOCK, SLAB_BYTES);
        if (slab == NULL) return NULL;
        struct list_node *node = (struct list_node *)(void *)slab;
        *node = (struct list_node){0};
        list_push_back(&m->slabs, node);
        m->slab_at = slab + align_up(sizeof *node, MIN_BLOCK);
        m->slab_end = slab + SLAB_BYTES;
    }
    void *p = m->slab_at;
    m->slab_at += bytes;
    return p;
}

static void *large_alloc(struct mem *m, enum mem_class c, size_t bytes, bool aligned)
{
    uint8_t *start = NULL;
    if (posix_memalign((void **)&start, aligned ? ALIGN : MIN_BLOCK, bytes + sizeof(struct large)) != 0) return NULL;
    link_large(m, (struct large *)(void *)(start + bytes), start, c, bytes);
    return start;
}

static void *pooled_alloc(struct mem *m, enum mem_class c, size_t bytes, bool aligned)
{
    if (bytes > POOLED_LIMIT) return large_alloc(m, c, bytes, aligned);
    struct free_block **list = &m->free[aligned][size_class(bytes)];
    struct free_block *b = *list;
    if (b != NULL) {
        *list = b->next;
        if (bytes >= SLAB_BLOCK_LIMIT) m->kept -= bytes;
        return b;
    }
    return bytes < SLAB_BLOCK_LIMIT ? slab_alloc(m, bytes) : large_alloc(m, c, bytes, aligned);
}

static void pooled_free(struct mem *m, void *p, size_t bytes, bool aligned)
{
    if (bytes >= SLAB_BLOCK_LIMIT && (bytes > POOLED_LIMIT || m->kept + bytes > m->keep_limit)) {
        list_remove(&((struct large *)(void *)((uint8_t *)p + bytes))->in_large);
        free(p);
        return;
    }
    struct free_block *b = p, **list = &m->free[aligned][size_class(bytes)];
    b->next = *list;
    *list = b;
    if (bytes >= SLAB_BLOCK_LIMIT) m->kept += bytes;
}

static void *alloc(struct mem *m, enum mem_class c, size_t size, bool aligned)
{
    CHECK(size > 0 && (unsigned)c < MEM_CLASSES);
    if (m->fail_in > 0 && --m->fail_in == 0) return NULL;
    if (size > m->budget[c]) return NULL; /* also keeps the rounding below from overflowing */
    size_t bytes = round_size(size, aligned);
    if (!mem_has_room(m, c, bytes)) return NULL;
    void *p = m->separate ? separate_alloc(m, c, size, aligned) : pooled_alloc(m, c, bytes, aligned);
    if (p == NULL) return NULL;
    m->used[c] += bytes;
    m->peak[c] = MAX(m->peak[c], m->used[c]);
    return p;
}

static void release(struct mem *m, enum mem_class c, void *p, size_t size, bool aligned)
{
    if (p == NULL) return;
    size_t bytes = round_size(size, aligned);
    CHECK(size > 0 && (unsigned)c < MEM_CLASSES && m->used[c] >= bytes);
    m->used[c] -= bytes;
    if (m->separate)
        separate_free(c, p, size);
    else
        pooled_free(m, p, bytes, aligned);
}

void *mem_alloc(struct mem *m, enum mem_class c, size_t size)
{
    return alloc(m, c, size, false);
}

void *mem_zalloc(struct mem *m, enum mem_class c, size_t size)
{
    void *p = alloc(m, c, size, false);
    return p != NULL ? memset(p, 0, size) : NULL;
}

void *mem_alloc_aligned(struct mem *m, enum mem_class c, size_t size)
{
    return alloc(m, c, size, true);
}

void *mem_realloc(struct mem *m, enum mem_class c, void *old, size_t old_size, size_t size)
{
    CHECK((old == NULL) == (old_size == 0));
    if (old != NULL && !m->separate && size > 0 && round_size(size, false) == round_size(old_size, false)) {
        if (m->fail_in > 0 && --m->fail_in == 0) return NULL;
        return old;
    }
    void *p = alloc(m, c, size, false);
    if (p == NULL || old == NULL) return p;
    memcpy(p, old, MIN(size, old_size));
    release(m, c, old, old_size, false);
    return p;
}

void mem_free(struct mem *m, enum mem_class c, void *p, size_t size)
{
    release(m, c, p, size, false);
}

void mem_free_aligned(struct mem *m, enum mem_class c, void *p, size_t size)
{
    release(m, c, p, size, true);
}

uint64_t mem_used(const struct mem *m, enum mem_class c)
{
    return m->used[c];
}

uint64_t mem_peak(const struct mem *m, enum mem_class c)
{
    return m->peak[c];
}

uint64_t mem_budget(const struct mem *m, enum mem_class c)
{
    return m->budget[c];
}

uint64_t mem_total_for(enum mem_class c, uint64_t bytes)
{
    return (bytes + share_percent[c] - 1) / share_percent[c] * 100;
}

bool mem_has_room(const struct mem *m, enum mem_class c, uint64_t bytes)
{
    return bytes <= m->budget[c] - m->used[c];
}

void mem_fail_nth(struct mem *m, uint64_t n)
{
    m->fail_in = n;
}

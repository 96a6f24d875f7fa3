// SPDX-License-Identifier: Apache-2.0
/* Shard memory: one allocator per shard, budgeted by class, pooled by size. Not thread-safe: it belongs to its shard.
 *
 * The only place (with arena.c and buf.c, which stand on it) where the process's allocator is called. Sizes are rounded
 * up to a size class (powers of two and their 1.5-fold, from 16 bytes; above 1 MiB straight to the system) and freed
 * blocks are kept per size class, so a warmed-up shard allocates without system calls. Memory is touched only when
 * used.
 *
 * Errors: NULL when the class's budget is used up or, in tests, when the fault hook says so. The caller turns that into
 * back-pressure (stop reading from the socket) or STATUS_NO_MEMORY, never into a half-done operation. */
#pragma once
#include "base/status.h"
#include <stddef.h>
#include <stdint.h>

enum mem_class {
    MEM_CONTROL,     /* metadata, configuration, coordinators: served first */
    MEM_REPLICATION, /* streams between brokers */
    MEM_LOG,         /* journal commits, unmoved bytes, tail cache, partition state */
    MEM_FETCH,       /* reads from disk and responses */
    MEM_PRODUCE,     /* request frames */
    MEM_CLASSES
};

struct mem;

const char *mem_class_name(enum mem_class c); /* "log" */

/* budget_bytes: what all classes together may hold; shares in percent of it are fixed in mem.c (a commented sum). */
struct mem *mem_create(uint64_t budget_bytes);
void mem_destroy(struct mem *m); /* CHECKs that everything was freed */
void mem_abandon(struct mem *m); /* frees everything as it is: a simulated process that was killed */

void *mem_alloc(struct mem *m, enum mem_class c, size_t size); /* not zeroed; size > 0 */
void *mem_zalloc(struct mem *m, enum mem_class c, size_t size);
void *mem_alloc_aligned(struct mem *m, enum mem_class c, size_t size); /* 4 KiB aligned, for O_DIRECT */
/* old may be NULL with old_size 0. On NULL the old block stands. */
void *mem_realloc(struct mem *m, enum mem_class c, void *old, size_t old_size, size_t size);
void mem_free(struct mem *m, enum mem_class c, void *p, size_t size); /* size as allocated; p may be NULL */
void mem_free_aligned(struct mem *m, enum mem_class c, void *p, size_t size);

uint64_t mem_used(const struct mem *m, enum mem_class c);
uint64_t mem_peak(const struct mem *m, enum mem_class c); /* the most that was used since mem_create */
uint64_t mem_budget(const struct mem *m, enum mem_class c);
uint64_t mem_total_for(enum mem_class c, uint64_t bytes); /* least budget_bytes of which c may hold so much */
bool mem_has_room(const struct mem *m, enum mem_class c, uint64_t bytes);

/* Tests: the n-th allocation from now on fails (0: none). */
void mem_fail_nth(struct mem *m, uint64_t n);

// SPDX-License-Identifier: Apache-2.0
/* What a swap does to memory (swap.h).
 *
 * Positions: the new segment begins where the first of the old ones did. Where it is too long for that (it was written
 * by another compressor, or tombstones got a horizon), it moves down, and those before it with it: nobody keeps a
 * position of a closed segment. Batches of the replaced segments leave the tail cache: they are at other positions now.
 * Failure modes: everything is checked and allocated before the first change. */
#include "storage/swap.h"

#include "base/bytes.h"
#include "storage/store_impl.h"
#include "storage/unlinker.h"

struct stale { /* files that a swap replaced */
    struct list_node in_stale;
    int64_t base;
    uint32_t generation;
};

static void stale_free(struct partition *p, struct list_node *n)
{
    mem_free(p->store->env->mem, MEM_LOG, container_of(n, struct stale, in_stale), sizeof(struct stale));
}

/* Bytes of the files below segment i. */
static uint64_t bytes_before(const struct partition *p, uint32_t i)
{
    uint64_t bytes = 0;
    for (uint32_t k = 0; k < i; k++) bytes += p->segments[k].length;
    return bytes;
}

static enum status check(struct partition *p, uint32_t first, int64_t base, uint64_t length,
                         const struct swap_payload *w)
{
    if (p->segments[first].base != base || w->count >= p->segment_count - first) return STATUS_DAMAGED;
    const struct segment *next = &p->segments[first + w->count];
    if (next->base != w->end_base || next->start > p->moved_pos || length == 0) return STATUS_DAMAGED;
    if (p->index.segment_base < next->base) return STATUS_DAMAGED;
    return length > next->start || bytes_before(p, first) > next->start - length ? STATUS_NO_SPACE : STATUS_OK;
}

enum status partition_swap_prepare(struct partition *p, int64_t base, uint64_t length, const struct swap_payload *w)
{
    uint32_t first = (uint32_t)(partition_segment_of(p, base) - p->segments);
    enum status status = check(p, first, base, length, w);
    for (uint32_t i = 0; status == STATUS_OK && i < w->count; i++) {
        struct stale *x = mem_zalloc(p->store->env->mem, MEM_LOG, sizeof *x);
        if (x == NULL) {
            for (; i > 0; i--) stale_free(p, list_pop_front(&p->stale));
            return STATUS_NO_MEMORY;
        }
        x->base = p->segments[first + i].base;
        x->generation = p->segments[first + i].generation;
        list_push_front(&p->stale, &x->in_stale);
    }
    return status;
}

/* Segments up to i lie below `limit` and do not overlap. */
static void move_down(struct partition *p, uint32_t i, uint64_t limit)
{
    for (;; i--) {
        struct segment *s = &p->segments[i];
        if (s->start + s->length <= limit) return;
        CHECK(s->length <= limit);
        s->start = limit - s->length;
        limit = s->start;
        if (i == 0) return;
    }
}

void partition_swap_do(struct partition *p, int64_t base, uint64_t length, const struct swap_payload *w)
{
    uint32_t first = (uint32_t)(partition_segment_of(p, base) - p->segments);
    struct segment *s = &p->segments[first];
    CHECK(check(p, first, base, length, w) == STATUS_OK);
    uint64_t limit = s[w->count].start;
    s->length = length;
    s->newest_ms = w->newest_ms;
    s->oldest_ms = w->oldest_ms;
    s->generation = w->generation;
    memmove(s + 1, s + w->count, (p->segment_count - first - w->count) * sizeof *s);
    p->segment_count -= w->count - 1;
    move_down(p, first, limit);
    p->generation = MAX(p->generation, w->generation);
    if (w->clean_end != NO_OFFSET) p->clean_end = MAX(p->clean_end, w->clean_end);
    refs_evict_below(p, limit);
    partition_touch(p);
    CHECK(s->base == base && s[1].base == w->end_base);
}

enum status partition_swap(struct partition *p, int64_t base, uint64_t length, const struct swap_payload *w)
{
    enum status status = partition_swap_prepare(p, base, length, w);
    if (status == STATUS_OK) partition_swap_do(p, base, length, w);
    return status;
}

bool partition_stale_has(const struct partition *p, int64_t base, uint32_t generation)
{
    list_each (n, &p->stale) {
        const struct stale *x = container_of(n, struct stale, in_stale);
        if (x->base == base && x->generation == generation) return true;
    }
    return false;
}

void partition_stale_unlink(struct partition *p)
{
    struct list_node *n;
    while ((n = list_pop_front(&p->stale)) != NULL) {
        const struct stale *x = container_of(n, struct stale, in_stale);
        unlink_generation(p->store->unlinker, p, x->base, x->generation);
        stale_free(p, n);
    }
}

void partition_stale_forget(struct partition *p)
{
    struct list_node *n;
    while ((n = list_pop_front(&p->stale)) != NULL) stale_free(p, n);
}

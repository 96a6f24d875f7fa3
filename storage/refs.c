// SPDX-License-Identifier: Apache-2.0
/* The refs of a partition: which bytes of its log are in memory, in position order. Unmoved bytes are pinned here;
 * moved ones stay as tail cache until their journal group's memory is wanted (refs_evict).
 *
 * A ref "marks" its journal group while a replay would need it: from the append until the bytes are moved or carried by
 * a table. Ownership: a ref holds one reference of its buf. */
#include "storage/partition.h"

#include "base/bytes.h"
#include "storage/store_impl.h"

struct ref *ref_at(const struct partition *p, uint32_t i)
{
    CHECK(i < p->ref_count);
    return &p->refs[(p->ref_first + i) & (p->ref_capacity - 1)];
}

enum status refs_reserve(struct partition *p)
{
    if (p->ref_count < p->ref_capacity) return STATUS_OK;
    struct mem *m = p->store->env->mem;
    uint32_t capacity = MAX(4u, p->ref_capacity * 2); /* a power of two */
    struct ref *refs = mem_alloc(m, MEM_LOG, capacity * sizeof *refs);
    if (refs == NULL) return STATUS_NO_MEMORY;
    for (uint32_t i = 0; i < p->ref_count; i++) refs[i] = *ref_at(p, i);
    mem_free(m, MEM_LOG, p->refs, p->ref_capacity * sizeof *refs);
    p->refs = refs;
    p->ref_first = 0;
    p->ref_capacity = capacity;
    return STATUS_OK;
}

void refs_push(struct partition *p, const struct ref *r)
{
    CHECK(p->ref_count < p->ref_capacity && r->len > 0);
    if (p->ref_count > 0) {
        const struct ref *last = ref_at(p, p->ref_count - 1);
        CHECK(last->pos + last->len == r->pos);
    }
    struct ref *slot = &p->refs[(p->ref_first + p->ref_count) & (p->ref_capacity - 1)];
    *slot = *r;
    buf_ref(slot->buf);
    slot->marked = slot->sequence != 0;
    if (slot->marked) journal_mark_use(p->store->journal, slot->sequence);
    p->store->count.cached_bytes += slot->len;
    p->ref_count++;
}

static void release(struct partition *p, struct ref *r)
{
    if (r->marked) journal_mark_release(p->store->journal, r->sequence);
    r->marked = false;
}

static void pop_front(struct partition *p)
{
    struct ref *r = ref_at(p, 0);
    release(p, r);
    p->store->count.cached_bytes -= r->len;
    buf_unref(&r->buf);
    p->ref_first = (p->ref_first + 1) & (p->ref_capacity - 1);
    p->ref_count--;
    if (p->ref_unmarked > 0) p->ref_unmarked--;
}

static void free_if_empty(struct partition *p)
{
    if (p->ref_count > 0) return;
    mem_free(p->store->env->mem, MEM_LOG, p->refs, p->ref_capacity * sizeof *p->refs);
    p->refs = NULL;
    p->ref_first = p->ref_capacity = 0;
}

void refs_pop_back_to(struct partition *p, uint64_t pos)
{
    while (p->ref_count > 0) {
        struct ref *r = ref_at(p, p->ref_count - 1);
        if (r->pos + r->len <= pos) break;
        if (r->pos < pos) { /* only fragments are cut inside */
            CHECK(!r->whole);
            p->store->count.cached_bytes -= r->pos + r->len - pos;
            r->len = (uint32_t)(pos - r->pos);
            break;
        }
        release(p, r);
        p->store->count.cached_bytes -= r->len;
        buf_unref(&r->buf);
        p->ref_count--;
    }
    p->ref_unmarked = MIN(p->ref_unmarked, p->ref_count);
    free_if_empty(p);
}

void refs_release_below(struct partition *p, uint64_t pos)
{
    for (; p->ref_unmarked < p->ref_count; p->ref_unmarked++) {
        struct ref *r = ref_at(p, p->ref_unmarked);
        if (r->pos + r->len > pos) break;
        release(p, r);
    }
}

void refs_evict(struct partition *p, uint64_t sequence)
{
    while (p->ref_count > 0) {
        struct ref *r = ref_at(p, 0);
        if (r->sequence > sequence || r->pos + r->len > p->moved_pos || r->marked) break;
        pop_front(p);
    }
    free_if_empty(p);
}

void refs_evict_below(struct partition *p, uint64_t pos)
{
    CHECK(pos <= p->moved_pos);
    while (p->ref_count > 0) {
        struct ref *r = ref_at(p, 0);
        if (r->pos + r->len > pos || r->marked) break;
        pop_front(p);
    }
    free_if_empty(p);
}

void refs_clear(struct partition *p)
{
    while (p->ref_count > 0) pop_front(p);
    free_if_empty(p);
}

uint32_t refs_find_pos(const struct partition *p, uint64_t pos)
{
    uint32_t low = 0, high = p->ref_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct ref *r = ref_at(p, middle);
        if (r->pos + r->len <= pos)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < p->ref_count && ref_at(p, low)->pos > pos) return p->ref_count;
    return low;
}

uint32_t refs_find_offset(const struct partition *p, int64_t offset)
{
    uint32_t low = 0, high = p->ref_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct ref *r = ref_at(p, middle);
        if (!r->whole || r->base_offset + r->last_delta < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void refs_copy(const struct partition *p, uint64_t pos, uint64_t len, uint8_t *out)
{
    uint32_t i = refs_find_pos(p, pos);
    while (len > 0) {
        const struct ref *r = ref_at(p, i++);
        CHECK(r->pos <= pos && pos < r->pos + r->len);
        uint64_t skip = pos - r->pos;
        uint64_t n = MIN(len, r->len - skip);
        memcpy(out, r->buf->data + r->buf_pos + skip, n);
        out += n;
        pos += n;
        len -= n;
    }
}

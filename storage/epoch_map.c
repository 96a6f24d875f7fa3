// SPDX-License-Identifier: Apache-2.0
/* Leader-epoch map (epoch_map.h): a sorted array that lies in the struct itself while it has one entry.
 *
 * Happy path: add at the back on a leader change, trim at the front with the log start, truncate at the back when a
 * follower is cut; questions are binary searches.
 * Failure modes: no memory (reserve and add say so, nothing changed); encoded bytes that make no sense are refused.
 *
 * Encoded, per entry:  0 i64 start offset   8 i32 epoch */
#include "storage/epoch_map.h"

#include "base/bytes.h"
#include "base/check.h"
#include <assert.h>

#define FIRST_CAPACITY 4u

static_assert(sizeof(struct epoch_entry) == 16, "as the header promises");
static_assert(sizeof(struct epoch_map) == 40, "as the header promises");

static struct epoch_entry *entries_of(struct epoch_map *m)
{
    return m->many != NULL ? m->many : &m->one;
}

static const struct epoch_entry *entry_at(const struct epoch_map *m, uint32_t i)
{
    CHECK(i < m->count);
    return m->many != NULL ? &m->many[i] : &m->one;
}

void epoch_map_init(struct epoch_map *m, struct mem *mem)
{
    *m = (struct epoch_map){.mem = mem};
}

static void drop_heap(struct epoch_map *m)
{
    mem_free(m->mem, MEM_LOG, m->many, m->capacity * sizeof *m->many);
    m->many = NULL;
    m->capacity = 0;
}

void epoch_map_deinit(struct epoch_map *m)
{
    drop_heap(m);
    m->count = 0;
}

void epoch_map_check(const struct epoch_map *m)
{
    CHECK((m->many == NULL) == (m->capacity == 0));
    CHECK(m->count <= MAX(1u, m->capacity) && m->count <= EPOCH_MAP_MAX);
    for (uint32_t i = 0; i < m->count; i++) {
        const struct epoch_entry *e = entry_at(m, i);
        CHECK(e->epoch >= 0 && e->start >= 0);
        if (i > 0) CHECK(entry_at(m, i - 1)->epoch < e->epoch && entry_at(m, i - 1)->start < e->start);
    }
}

enum status epoch_map_reserve(struct epoch_map *m)
{
    if (m->count < MAX(1u, m->capacity)) return STATUS_OK;
    if (m->count >= EPOCH_MAP_MAX) return STATUS_NO_MEMORY;
    uint32_t capacity = m->capacity == 0 ? FIRST_CAPACITY : 2 * m->capacity;
    struct epoch_entry *many =
        mem_realloc(m->mem, MEM_LOG, m->many, m->capacity * sizeof *many, capacity * sizeof *many);
    if (many == NULL) return STATUS_NO_MEMORY;
    if (m->many == NULL) many[0] = m->one;
    m->many = many;
    m->capacity = capacity;
    return STATUS_OK;
}

enum status epoch_map_add(struct epoch_map *m, int32_t epoch, int64_t start)
{
    if (epoch < 0 || start < 0) return STATUS_INVALID;
    if (m->count > 0) {
        struct epoch_entry *last = &entries_of(m)[m->count - 1];
        if (epoch <= last->epoch || start < last->start) return STATUS_INVALID;
        if (start == last->start) { /* rule D6: the latest one wrote nothing */
            last->epoch = epoch;
            return STATUS_OK;
        }
    }
    enum status status = epoch_map_reserve(m);
    if (status != STATUS_OK) return status;
    entries_of(m)[m->count++] = (struct epoch_entry){.start = start, .epoch = epoch};
    return STATUS_OK;
}

/* Number of entries that start at or below `offset`. */
static uint32_t count_from(const struct epoch_map *m, int64_t offset)
{
    uint32_t low = 0, high = m->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (entry_at(m, middle)->start <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Number of entries with an epoch at or below `epoch`. */
static uint32_t count_epochs(const struct epoch_map *m, int32_t epoch)
{
    uint32_t low = 0, high = m->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (entry_at(m, middle)->epoch <= epoch)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* An idle partition gives its heap back as soon as the one entry in the struct will do. */
static void shrink(struct epoch_map *m)
{
    if (m->many == NULL || m->count > 1) return;
    if (m->count == 1) m->one = m->many[0];
    drop_heap(m);
}

void epoch_map_truncate(struct epoch_map *m, int64_t end)
{
    CHECK(end >= 0);
    m->count = end == 0 ? 0 : count_from(m, end - 1);
    shrink(m);
    CHECK_SLOW((epoch_map_check(m), true));
}

void epoch_map_trim(struct epoch_map *m, int64_t log_start)
{
    uint32_t below = count_from(m, log_start);
    if (below == 0) return;
    struct epoch_entry *entries = entries_of(m);
    entries[below - 1].start = log_start;
    memmove(entries, entries + below - 1, (m->count - below + 1) * sizeof *entries);
    m->count -= below - 1;
    shrink(m);
    CHECK_SLOW((epoch_map_check(m), true));
}

int32_t epoch_map_epoch_of(const struct epoch_map *m, int64_t offset)
{
    uint32_t n = count_from(m, offset);
    return n == 0 ? NO_EPOCH : entry_at(m, n - 1)->epoch;
}

int32_t epoch_map_latest(const struct epoch_map *m)
{
    return m->count == 0 ? NO_EPOCH : entry_at(m, m->count - 1)->epoch;
}

void epoch_map_end_of(const struct epoch_map *m, int32_t epoch, int64_t log_end, int32_t *ret_epoch, int64_t *ret_end)
{
    uint32_t n = count_epochs(m, epoch);
    *ret_epoch = NO_EPOCH;
    *ret_end = -1;
    if (epoch < 0 || epoch > epoch_map_latest(m)) return;
    *ret_epoch = n == 0 ? epoch : entry_at(m, n - 1)->epoch;
    *ret_end = n == m->count ? log_end : entry_at(m, n)->start;
}

size_t epoch_map_encoded_size(const struct epoch_map *m)
{
    return (size_t)m->count * EPOCH_MAP_ENTRY_BYTES;
}

void epoch_map_encode(const struct epoch_map *m, uint8_t *out)
{
    for (uint32_t i = 0; i < m->count; i++, out += EPOCH_MAP_ENTRY_BYTES) {
        store_le64(out, (uint64_t)entry_at(m, i)->start);
        store_le32(out + 8, (uint32_t)entry_at(m, i)->epoch);
    }
}

enum status epoch_map_decode(struct epoch_map *m, const uint8_t *in, size_t len)
{
    CHECK(m->count == 0);
    if (len % EPOCH_MAP_ENTRY_BYTES != 0 || len / EPOCH_MAP_ENTRY_BYTES > EPOCH_MAP_MAX) return STATUS_DAMAGED;
    enum status status = STATUS_OK;
    for (size_t pos = 0; pos < len && status == STATUS_OK; pos += EPOCH_MAP_ENTRY_BYTES) {
        int64_t start = (int64_t)load_le64(in + pos);
        if (m->count > 0 && start == entry_at(m, m->count - 1)->start)
            status = STATUS_DAMAGED; /* would have been merged */
        else
            status = epoch_map_add(m, (int32_t)load_le32(in + pos + 8), start);
    }
    if (status == STATUS_OK) return STATUS_OK;
    epoch_map_deinit(m);
    return status == STATUS_INVALID ? STATUS_DAMAGED : status;
}

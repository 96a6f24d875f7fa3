// SPDX-License-Identifier: Apache-2.0
/* Builder and pages of the segment index; byte tables in index.h.
 *
 * Happy path: index_batch for each batch start, index_feed for the bytes, index_page when a page is full or a segment
 * ends. Failure modes: a decoder bounds every count; a page that fails its checks is never used, the caller rebuilds or
 * refuses. */
#include "storage/index.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "storage/sealed.h"

#define PAGE_MAGIC        0x5844494c5441454cull /* "LEATLIDX" */
#define PAGE_VERSION      1u
#define PAGE_HEADER_BYTES 64u
#define ENTRY_BYTES       32u
#define ENCODED_HEAD      32u

static_assert(sizeof(struct index) == 96, "as the header promises");
static_assert(PAGE_HEADER_BYTES + INDEX_PAGE_ENTRIES * ENTRY_BYTES == BLOCK_BYTES, "a page is one block");

static void block_reset(struct index *x)
{
    x->block =
        (struct index_entry){.first_pos = INDEX_NO_BATCH, .first_offset = x->last_offset, .max_timestamp_ms = -1};
}

void index_init(struct index *x, struct mem *m, struct topic_id topic, int32_t partition, int64_t segment_base)
{
    *x = (struct index){
        .mem = m, .topic = topic, .partition = partition, .segment_base = segment_base, .last_offset = segment_base};
    block_reset(x);
}

void index_deinit(struct index *x)
{
    mem_free(x->mem, MEM_LOG, x->entries, x->capacity * sizeof *x->entries);
    x->entries = NULL;
    x->capacity = 0;
}

void index_reset(struct index *x, int64_t segment_base)
{
    index_deinit(x);
    index_init(x, x->mem, x->topic, x->partition, segment_base);
}

void index_begin_page(struct index *x, uint32_t page, int64_t offset)
{
    CHECK(x->count == 0 && x->block.covered == 0);
    CHECK(page <= INT32_MAX && offset >= x->segment_base);
    x->page = page;
    x->last_offset = offset;
    block_reset(x);
}

static uint64_t first_block(const struct index *x)
{
    return (uint64_t)x->page * INDEX_PAGE_ENTRIES;
}

uint64_t index_fed(const struct index *x)
{
    return (first_block(x) + x->count) * INDEX_BLOCK_BYTES + x->block.covered;
}

void index_batch(struct index *x, uint64_t pos, int64_t base_offset, int64_t max_timestamp_ms)
{
    uint64_t running = first_block(x) + x->count;
    CHECK(pos >= index_fed(x) && pos / INDEX_BLOCK_BYTES == running);
    x->last_offset = base_offset;
    if (x->block.first_pos == INDEX_NO_BATCH) {
        x->block.first_pos = (uint32_t)(pos % INDEX_BLOCK_BYTES);
        x->block.first_offset = base_offset;
    }
    x->block.max_timestamp_ms = MAX(x->block.max_timestamp_ms, max_timestamp_ms);
}

/* Room for so many full blocks of the page. */
static enum status reserve(struct index *x, uint64_t blocks)
{
    if (blocks <= x->capacity) return STATUS_OK;
    uint32_t capacity = MAX(4u, x->capacity);
    while (capacity < blocks) capacity *= 2;
    capacity = MIN(capacity, INDEX_PAGE_ENTRIES);
    struct index_entry *entries =
        mem_realloc(x->mem, MEM_LOG, x->entries, x->capacity * sizeof *entries, capacity * sizeof *entries);
    if (entries == NULL) return STATUS_NO_MEMORY;
    x->entries = entries;
    x->capacity = capacity;
    return STATUS_OK;
}

enum status index_reserve_bytes(struct index *x, uint64_t bytes)
{
    uint64_t becoming =
        (x->block.covered + MIN(bytes, INDEX_PAGE_ENTRIES * (uint64_t)INDEX_BLOCK_BYTES)) / INDEX_BLOCK_BYTES;
    return reserve(x, MIN(x->count + becoming, INDEX_PAGE_ENTRIES));
}

enum status index_reserve(struct index *x)
{
    return reserve(x, INDEX_PAGE_ENTRIES);
}

uint32_t index_feed(struct index *x, const uint8_t *bytes, uint32_t len)
{
    CHECK(!index_page_full(x));
    uint32_t n = MIN(len, INDEX_BLOCK_BYTES - x->block.covered);
    x->block.crc = crc32c(x->block.crc, bytes, n);
    x->block.covered += n;
    if (x->block.covered == INDEX_BLOCK_BYTES) {
        CHECK(x->count < x->capacity);
        x->entries[x->count++] = x->block;
        block_reset(x);
    }
    return n;
}

bool index_page_full(const struct index *x)
{
    return x->count == INDEX_PAGE_ENTRIES;
}

void index_page_taken(struct index *x)
{
    CHECK(index_page_full(x));
    x->page++;
    x->count = 0;
}

static void entry_encode(uint8_t *out, const struct index_entry *e)
{
    store_le32(out, e->crc);
    store_le32(out + 4, e->first_pos);
    store_le64(out + 8, (uint64_t)e->first_offset);
    store_le64(out + 16, (uint64_t)e->max_timestamp_ms);
    store_le32(out + 24, e->covered);
    store_le32(out + 28, 0);
}

static void entry_decode(const uint8_t *in, struct index_entry *ret_entry)
{
    *ret_entry = (struct index_entry){.crc = load_le32(in),
                                      .first_pos = load_le32(in + 4),
                                      .first_offset = (int64_t)load_le64(in + 8),
                                      .max_timestamp_ms = (int64_t)load_le64(in + 16),
                                      .covered = load_le32(in + 24)};
}

/* last: the block need not be full; empty: nor have any bytes. */
static bool entry_sane(const struct index_entry *e, bool last, bool empty)
{
    if (e->covered > INDEX_BLOCK_BYTES || (!last && e->covered != INDEX_BLOCK_BYTES)) return false;
    if (e->covered == 0 && !empty) return false;
    if (e->first_offset < 0 || e->max_timestamp_ms < -1) return false;
    if (e->first_pos == INDEX_NO_BATCH) return e->max_timestamp_ms == -1;
    return e->first_pos < e->covered;
}

/* Bytes of entries in the order of their blocks. */
static bool entries_sane(const uint8_t *in, uint32_t count, bool empty)
{
    int64_t offset = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct index_entry e;
        entry_decode(in + i * ENTRY_BYTES, &e);
        if (!entry_sane(&e, i == count - 1, empty) || e.first_offset < offset) return false;
        if (load_le32(in + i * ENTRY_BYTES + 28) != 0) return false;
        offset = e.first_offset;
    }
    return true;
}

bool index_page(const struct index *x, uint8_t out[BLOCK_BYTES], uint32_t *ret_page)
{
    uint32_t n = x->count;
    if (n == 0 && x->block.covered == 0) return false;
    memset(out, 0, BLOCK_BYTES);
    for (uint32_t i = 0; i < n; i++) entry_encode(out + PAGE_HEADER_BYTES + i * ENTRY_BYTES, &x->entries[i]);
    if (x->block.covered > 0) entry_encode(out + PAGE_HEADER_BYTES + n++ * ENTRY_BYTES, &x->block);
    store_le64(out, PAGE_MAGIC);
    store_le32(out + 8, PAGE_VERSION);
    memcpy(out + 16, x->topic.b, sizeof x->topic.b);
    store_le32(out + 32, (uint32_t)x->partition);
    store_le32(out + 36, x->page);
    store_le64(out + 40, (uint64_t)x->segment_base);
    store_le32(out + 48, n);
    store_le32(out + 12, sealed_crc(out, BLOCK_BYTES));
    *ret_page = x->page;
    return true;
}

/* --- in table and truncation --- */

size_t index_encoded_size(const struct index *x)
{
    return ENCODED_HEAD + (x->count + 1) * (size_t)ENTRY_BYTES;
}

void index_encode(const struct index *x, uint8_t *out)
{
    store_le32(out, x->page);
    store_le32(out + 4, x->count);
    store_le64(out + 8, (uint64_t)x->segment_base);
    store_le64(out + 16, (uint64_t)x->last_offset);
    store_le64(out + 24, 0);
    for (uint32_t i = 0; i < x->count; i++) entry_encode(out + ENCODED_HEAD + i * ENTRY_BYTES, &x->entries[i]);
    entry_encode(out + ENCODED_HEAD + x->count * ENTRY_BYTES, &x->block);
}

enum status index_decode(struct index *x, const uint8_t *in, size_t bytes)
{
    if (bytes < ENCODED_HEAD + ENTRY_BYTES) return STATUS_DAMAGED;
    uint32_t count = load_le32(in + 4);
    int64_t base = (int64_t)load_le64(in + 8), last = (int64_t)load_le64(in + 16);
    /* a full page is carried too: its write may have been in flight */
    if (count > INDEX_PAGE_ENTRIES || bytes != ENCODED_HEAD + (count + 1) * (size_t)ENTRY_BYTES) return STATUS_DAMAGED;
    struct index_entry running;
    entry_decode(in + ENCODED_HEAD + count * ENTRY_BYTES, &running);
    if (load_le32(in) > INT32_MAX || !entries_sane(in + ENCODED_HEAD, count + 1, true) ||
        running.covered == INDEX_BLOCK_BYTES || (running.covered == 0 && running.crc != 0) || base < 0 || last < base ||
        last < running.first_offset || load_le64(in + 24) != 0)
        return STATUS_DAMAGED;
    enum status status = reserve(x, count);
    if (status != STATUS_OK) return status;
    for (uint32_t i = 0; i < count; i++) entry_decode(in + ENCODED_HEAD + i * ENTRY_BYTES, &x->entries[i]);
    x->block = running;
    x->page = load_le32(in);
    x->count = count;
    x->segment_base = base;
    x->last_offset = last;
    return STATUS_OK;
}

/* --- truncation and search --- */

bool index_holds(const struct index *x, uint64_t block)
{
    return block >= first_block(x) && block <= first_block(x) + x->count;
}

enum status index_cut(struct index *x, uint64_t block, const uint8_t *page)
{
    if (page != NULL) {
        enum status status = reserve(x, index_page_count(page));
        if (status != STATUS_OK) return status;
        x->page = load_le32(page + 36);
        x->count = index_page_count(page);
        for (uint32_t i = 0; i < x->count; i++) index_page_entry(page, i, &x->entries[i]);
    }
    CHECK(block >= first_block(x) && block <= first_block(x) + x->count);
    x->count = (uint32_t)(block - first_block(x));
    CHECK(x->count == 0 || x->entries[x->count - 1].covered == INDEX_BLOCK_BYTES);
    x->last_offset = x->count > 0 ? x->entries[x->count - 1].first_offset : x->segment_base;
    block_reset(x);
    return STATUS_OK;
}

bool index_find(const struct index *x, uint64_t block, struct index_entry *ret_entry)
{
    if (!index_holds(x, block)) return false;
    uint64_t i = block - first_block(x);
    if (i == x->count && x->block.covered == 0) return false;
    *ret_entry = i == x->count ? x->block : x->entries[i];
    return true;
}

bool index_find_offset(const struct index *x, int64_t offset, uint64_t *ret_block)
{
    struct index_entry e;
    for (uint64_t i = x->count + 1; i > 0; i--) {
        uint64_t block = first_block(x) + i - 1;
        if (!index_find(x, block, &e) || e.first_pos == INDEX_NO_BATCH || e.first_offset > offset) continue;
        *ret_block = block;
        return true;
    }
    return false;
}

bool index_find_time(const struct index *x, int64_t ms, uint64_t *ret_block)
{
    struct index_entry e;
    for (uint64_t block = first_block(x); index_find(x, block, &e); block++) {
        if (e.first_pos == INDEX_NO_BATCH || e.max_timestamp_ms < ms) continue;
        *ret_block = block;
        return true;
    }
    return false;
}

/* --- pages as bytes --- */

enum status index_page_verify(const uint8_t page[BLOCK_BYTES], struct topic_id topic, int32_t partition,
                              int64_t segment_base, uint32_t number)
{
    if (load_le32(page + 12) != sealed_crc(page, BLOCK_BYTES)) return STATUS_DAMAGED;
    if (load_le64(page) != PAGE_MAGIC || load_le32(page + 8) != PAGE_VERSION) return STATUS_FORMAT;
    uint32_t count = load_le32(page + 48);
    if (memcmp(page + 16, topic.b, sizeof topic.b) != 0 || load_le32(page + 32) != (uint32_t)partition ||
        load_le32(page + 36) != number || load_le64(page + 40) != (uint64_t)segment_base)
        return STATUS_DAMAGED; /* another page than asked for: misdirected, or of the name's owner before */
    if (count == 0 || count > INDEX_PAGE_ENTRIES) return STATUS_DAMAGED;
    return entries_sane(page + PAGE_HEADER_BYTES, count, false) ? STATUS_OK : STATUS_DAMAGED;
}

uint32_t index_page_count(const uint8_t page[BLOCK_BYTES])
{
    return load_le32(page + 48);
}

void index_page_entry(const uint8_t page[BLOCK_BYTES], uint32_t i, struct index_entry *ret_entry)
{
    CHECK(i < INDEX_PAGE_ENTRIES);
    entry_decode(page + PAGE_HEADER_BYTES + i * ENTRY_BYTES, ret_entry);
}

uint32_t index_page_find(const uint8_t page[BLOCK_BYTES], int64_t offset)
{
    for (uint32_t i = index_page_count(page); i > 0; i--) {
        struct index_entry e;
        index_page_entry(page, i - 1, &e);
        if (e.first_pos != INDEX_NO_BATCH && e.first_offset <= offset) return i - 1;
    }
    return UINT32_MAX;
}

uint32_t index_page_find_time(const uint8_t page[BLOCK_BYTES], int64_t ms)
{
    for (uint32_t i = 0; i < index_page_count(page); i++) {
        struct index_entry e;
        index_page_entry(page, i, &e);
        if (e.first_pos != INDEX_NO_BATCH && e.max_timestamp_ms >= ms) return i;
    }
    return UINT32_MAX;
}

// SPDX-License-Identifier: Apache-2.0
/* Segment index from any bytes. First byte: what the rest is.
 *   0  a page, as it is and with its CRC made right: what verify takes, the searches answer within its entries
 *   1  a builder in a checkpoint table: what decode takes, encode gives back, and the builder goes on
 *   2  a segment: its index is the same however it is cut into pieces, and its CRCs are those of the blocks */
#include "base/bytes.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "storage/index_rebuild.h"
#include <stdlib.h>

#define SEGMENT_PAGES 4u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct topic_id topic = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

static void ask_page(const uint8_t *page)
{
    int64_t base = (int64_t)load_le64(page + 40);
    uint32_t number = load_le32(page + 36);
    if (index_page_verify(page, topic, 7, base, number) != STATUS_OK) return;
    uint32_t count = index_page_count(page);
    CHECK(count >= 1 && count <= INDEX_PAGE_ENTRIES);
    for (uint32_t i = 0; i < count; i++) {
        struct index_entry e;
        index_page_entry(page, i, &e);
        CHECK(e.covered >= 1 && e.covered <= INDEX_BLOCK_BYTES && (i == count - 1 || e.covered == INDEX_BLOCK_BYTES));
        if (e.first_pos == INDEX_NO_BATCH) continue;
        uint32_t found = index_page_find(page, e.first_offset);
        CHECK(found != UINT32_MAX && found >= i && found < count);
        CHECK(index_page_find_time(page, e.max_timestamp_ms) <= i);
    }
    CHECK(index_page_verify(page, topic, 8, base, number) == STATUS_DAMAGED);
}

static void try_page(const uint8_t *data, size_t size)
{
    uint8_t page[BLOCK_BYTES] = {0};
    memcpy(page, data, MIN(size, BLOCK_BYTES));
    ask_page(page);
    memcpy(page + 16, topic.b, sizeof topic.b);
    memset(page + 12, 0, 4);
    store_le32(page + 12, crc32c(0, page, BLOCK_BYTES));
    ask_page(page);
}

static void try_builder(struct mem *mem, const uint8_t *data, size_t size)
{
    struct index x;
    index_init(&x, mem, topic, 7, 0);
    if (index_decode(&x, data, size) == STATUS_OK) {
        uint8_t *again = malloc(size), page[BLOCK_BYTES];
        uint32_t number;
        uint64_t fed = index_fed(&x), block;
        CHECK(again != NULL && index_encoded_size(&x) == size);
        index_encode(&x, again);
        CHECK(memcmp(data, again, size) == 0);
        free(again);
        if (index_page(&x, page, &number))
            CHECK(index_page_verify(page, topic, 7, x.segment_base, number) == STATUS_OK);
        (void)index_find_offset(&x, INT64_MAX, &block);
        (void)index_find_time(&x, 0, &block);
        if (index_page_full(&x)) index_page_taken(&x);
        CHECK_OK(index_reserve_bytes(&x, 1));
        index_batch(&x, fed, x.last_offset, 5);
        CHECK(index_feed(&x, (const uint8_t *)"x", 1) == 1 && index_fed(&x) == fed + 1);
    }
    index_deinit(&x);
}

/* Returns the bytes that are in sound batches; -1 when not all are. */
static int64_t rebuild(struct mem *mem, const uint8_t *data, size_t size, size_t piece,
                       uint8_t pages[SEGMENT_PAGES][BLOCK_BYTES], uint32_t *ret_pages)
{
    struct index x;
    struct index_rebuild r;
    size_t taken = 0;
    uint32_t n = 0, number;
    index_init(&x, mem, topic, 7, 0);
    enum status status = index_rebuild_begin(&r, &x, size);
    CHECK_OK(status);
    for (size_t at = 0; at < size && status == STATUS_OK; at += taken) {
        status = index_rebuild_feed(&r, data + at, MIN(size - at, piece), &taken);
        if (!index_page_full(&x)) continue;
        CHECK(n < SEGMENT_PAGES && index_page(&x, pages[n], &number) && number == n);
        n++;
        index_page_taken(&x);
    }
    if (status == STATUS_OK) status = index_rebuild_end(&r);
    if (status == STATUS_OK && n < SEGMENT_PAGES && index_page(&x, pages[n], &number)) n++;
    index_deinit(&x);
    *ret_pages = n;
    return status == STATUS_OK ? (int64_t)size : -1;
}

static void try_segment(struct mem *mem, const uint8_t *data, size_t size)
{
    static uint8_t one[SEGMENT_PAGES][BLOCK_BYTES], two[SEGMENT_PAGES][BLOCK_BYTES];
    uint32_t n1, n2;
    if (size > (16u << 20)) return;
    int64_t whole = rebuild(mem, data, size, size + 1, one, &n1);
    CHECK(rebuild(mem, data, size, 7, two, &n2) == whole);
    if (whole < 0) return;
    for (size_t at = 0; at < size;) { /* nothing damaged was taken */
        struct batch_info info;
        CHECK_OK(batch_parse(data + at, size - at, &info));
        CHECK(batch_crc_valid(data + at, &info));
        at += info.size_bytes;
    }
    CHECK(n1 == n2 && memcmp(one, two, n1 * BLOCK_BYTES) == 0);
    for (uint32_t p = 0; p < n1; p++) {
        CHECK_OK(index_page_verify(one[p], topic, 7, 0, p));
        for (uint32_t i = 0; i < index_page_count(one[p]); i++) {
            size_t from = ((size_t)p * INDEX_PAGE_ENTRIES + i) * INDEX_BLOCK_BYTES;
            struct index_entry e;
            index_page_entry(one[p], i, &e);
            CHECK(from + e.covered <= size && crc32c(0, data + from, e.covered) == e.crc);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    struct mem *mem = mem_create(64 << 20);
    switch (data[0] % 3) {
    case 0: try_page(data + 1, size - 1); break;
    case 1: try_builder(mem, data + 1, size - 1); break;
    default: try_segment(mem, data + 1, size - 1);
    }
    mem_destroy(mem);
    return 0;
}

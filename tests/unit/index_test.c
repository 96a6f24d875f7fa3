// SPDX-License-Identifier: Apache-2.0
/* Segment index: golden pages made by tests/golden/lidx.py; random segments against entries computed from the whole
 * .log at once, also over cuts and checkpoints; damage and rebuild. */
#include "base/check.h"
#include "base/prng.h"
#include "tests/unit/check_main.h"
#include "tests/unit/index_segment.h"
#include <stdio.h>

#define PAGES_MAX 4u
#define PARTITION 7

static const struct topic_id topic = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};
static struct mem *mem;
static struct index x;
static uint8_t pages[PAGES_MAX][BLOCK_BYTES];
static uint32_t page_count;

static void begin(int64_t segment_base)
{
    mem = mem_create(64 << 20);
    index_init(&x, mem, topic, PARTITION, segment_base);
    page_count = 0;
}

static void end(void)
{
    index_deinit(&x);
    mem_destroy(mem);
}

static void take_full_page(void)
{
    uint32_t number;
    if (!index_page_full(&x)) return;
    ASSERT(page_count < PAGES_MAX && index_page(&x, pages[page_count], &number));
    ASSERT_EQ(number, page_count);
    page_count++;
    index_page_taken(&x);
}

static void take_last_page(void)
{
    uint32_t number;
    if (page_count < PAGES_MAX && index_page(&x, pages[page_count], &number)) ASSERT_EQ(number, page_count++);
}

/* As the mover does: to the end of each block, batches told before. */
static void feed(const struct segment_image *s, uint64_t to)
{
    uint64_t at = index_fed(&x);
    uint32_t i = 0;
    while (i < s->count && s->batches[i].pos < at) i++;
    while (at < to) {
        uint64_t stop = MIN(to, (at / INDEX_BLOCK_BYTES + 1) * INDEX_BLOCK_BYTES);
        ASSERT_EQ(index_reserve_bytes(&x, stop - at), STATUS_OK);
        for (; i < s->count && s->batches[i].pos < stop; i++)
            index_batch(&x, s->batches[i].pos, s->batches[i].base_offset, s->batches[i].max_timestamp_ms);
        while (at < stop) {
            at += index_feed(&x, s->bytes + at, (uint32_t)(stop - at));
            take_full_page();
        }
    }
    ASSERT_EQ(index_fed(&x), to);
}

/* --- the model: an entry from the whole .log --- */

static struct index_entry model_entry(const struct segment_image *s, uint64_t block, uint64_t len)
{
    uint64_t from = block * INDEX_BLOCK_BYTES, to = MIN(from + INDEX_BLOCK_BYTES, len);
    struct index_entry e = {.crc = crc32c(0, s->bytes + from, to - from),
                            .first_pos = INDEX_NO_BATCH,
                            .covered = (uint32_t)(to - from),
                            .max_timestamp_ms = -1};
    for (uint32_t i = 0; i < s->count && s->batches[i].pos < to; i++) {
        const struct batch_at *b = &s->batches[i];
        if (b->pos < from || e.first_pos == INDEX_NO_BATCH)
            e.first_offset = b->base_offset; /* covers, or is the first */
        if (b->pos < from) continue;
        if (e.first_pos == INDEX_NO_BATCH) e.first_pos = (uint32_t)(b->pos - from);
        e.max_timestamp_ms = MAX(e.max_timestamp_ms, b->max_timestamp_ms);
    }
    return e;
}

static bool entry_equal(const struct index_entry *a, const struct index_entry *b)
{
    return a->crc == b->crc && a->first_pos == b->first_pos && a->covered == b->covered &&
           a->first_offset == b->first_offset && a->max_timestamp_ms == b->max_timestamp_ms;
}

static uint64_t blocks_of(uint64_t len)
{
    return (len + INDEX_BLOCK_BYTES - 1) / INDEX_BLOCK_BYTES;
}

static void pages_match(const struct segment_image *s, uint64_t len)
{
    ASSERT_EQ(page_count, (blocks_of(len) + INDEX_PAGE_ENTRIES - 1) / INDEX_PAGE_ENTRIES);
    for (uint64_t block = 0; block < blocks_of(len); block++) {
        uint32_t p = (uint32_t)(block / INDEX_PAGE_ENTRIES), i = (uint32_t)(block % INDEX_PAGE_ENTRIES);
        struct index_entry want = model_entry(s, block, len), got;
        if (i == 0) ASSERT_EQ(index_page_verify(pages[p], topic, PARTITION, s->base, p), STATUS_OK);
        ASSERT(i < index_page_count(pages[p]));
        index_page_entry(pages[p], i, &got);
        ASSERT(entry_equal(&got, &want));
    }
}

static void page_finds(const struct segment_image *s, uint32_t p, int64_t offset, int64_t ms)
{
    uint32_t by_offset = UINT32_MAX, by_time = UINT32_MAX;
    uint64_t first = (uint64_t)p * INDEX_PAGE_ENTRIES * INDEX_BLOCK_BYTES;
    for (uint32_t i = 0; i < s->count; i++) { /* the batches themselves */
        if (s->batches[i].pos < first || s->batches[i].pos >= first + INDEX_PAGE_ENTRIES * INDEX_BLOCK_BYTES) continue;
        uint32_t block = (uint32_t)((s->batches[i].pos - first) / INDEX_BLOCK_BYTES);
        bool starts_block = i == 0 || s->batches[i - 1].pos < first + (uint64_t)block * INDEX_BLOCK_BYTES;
        if (starts_block && s->batches[i].base_offset <= offset) by_offset = block;
        if (by_time == UINT32_MAX && s->batches[i].max_timestamp_ms >= ms) by_time = block;
    }
    ASSERT_EQ(index_page_find(pages[p], offset), by_offset);
    ASSERT_EQ(index_page_find_time(pages[p], ms), by_time);
}

static void finds_match(const struct segment_image *s, struct prng *r)
{
    for (int n = 0; n < 40; n++) {
        int64_t offset = s->base - 2 + (int64_t)prng_below(r, (uint64_t)(s->next_offset - s->base) + 4);
        int64_t ms = 995 + (int64_t)prng_below(r, 1010);
        for (uint32_t p = 0; p < page_count; p++) page_finds(s, p, offset, ms);
    }
}

static void segment_random(struct segment_image *s, struct prng *r, uint64_t bytes)
{
    segment_begin(s, (int64_t)prng_below(r, 1ull << 40));
    while (s->len < bytes) {
        uint32_t size = 61 + (uint32_t)prng_below(r, prng_chance(r, 1, 20) ? 200000 : 3000);
        if (prng_chance(r, 1, 10) && s->len % INDEX_BLOCK_BYTES < INDEX_BLOCK_BYTES - 61) /* to a block's very end */
            size = INDEX_BLOCK_BYTES - (uint32_t)(s->len % INDEX_BLOCK_BYTES);
        int64_t ms = 1000 + (int64_t)(s->len / 9500 + prng_below(r, 10)); /* rising, with some disorder */
        segment_add(s, size, 1 + (int32_t)prng_below(r, 9), prng_chance(r, 1, 9) ? -1 : ms, s->count);
    }
}

/* --- tests --- */

static void golden(const char *name, const struct segment_image *s)
{
    char path[4096];
    uint8_t want[PAGES_MAX * BLOCK_BYTES];
    const char *dir = getenv("GOLDEN_LIDX");
    ASSERT(dir != NULL);
    snprintf(path, sizeof path, "%s/%s.bin", dir, name);
    FILE *f = fopen(path, "rb");
    ASSERT(f != NULL);
    size_t n = fread(want, 1, sizeof want, f);
    fclose(f);
    begin(s->base);
    feed(s, s->len);
    take_last_page();
    ASSERT_EQ(n, page_count * BLOCK_BYTES);
    ASSERT(memcmp(pages, want, n) == 0);
    end();
}

static void pages_are_the_golden_ones(void)
{
    struct segment_image s;
    segment_golden(&s);
    golden("two_pages", &s);
    segment_free(&s);
    segment_begin(&s, 0);
    segment_add(&s, 100, 1, -1, 9);
    golden("one_batch", &s);
    segment_free(&s);
}

static void random_segments_match_the_model(void)
{
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct prng r;
        struct segment_image s;
        prng_seed(&r, seed, 1);
        segment_random(&s, &r, prng_below(&r, seed % 3 == 0 ? 9 << 20 : 1 << 20));
        begin(s.base);
        while (index_fed(&x) < s.len) {
            uint64_t to = index_fed(&x) + 4096 * (1 + prng_below(&r, 64));
            feed(&s, MIN(s.len, to));
        }
        take_last_page();
        pages_match(&s, s.len);
        finds_match(&s, &r);
        end();
        segment_free(&s);
    }
}

static void builder_finds_what_it_holds(void)
{
    struct segment_image s;
    struct index_entry got, want;
    uint64_t block, none = 77;
    segment_golden(&s);
    begin(s.base);
    ASSERT(!index_find_offset(&x, INT64_MAX, &none) && !index_find_time(&x, -1, &none));
    feed(&s, s.len);
    ASSERT_EQ(page_count, 1);
    ASSERT(!index_find(&x, INDEX_PAGE_ENTRIES - 1, &got)); /* in a page that was taken */
    for (block = INDEX_PAGE_ENTRIES; block < blocks_of(s.len); block++) {
        want = model_entry(&s, block, s.len);
        ASSERT(index_find(&x, block, &got) && entry_equal(&got, &want));
        bool begins = want.first_pos != INDEX_NO_BATCH; /* the last batch covers the last block from before */
        ASSERT(index_find_offset(&x, want.first_offset, &none) && none == (begins ? block : block - 1));
        ASSERT(!index_find_offset(&x, want.first_offset - 1, &none) || none == block - 1);
    }
    ASSERT(!index_find(&x, block, &got));
    ASSERT(!index_find_offset(&x, s.base, &none));
    ASSERT(index_find_time(&x, 1600000000000, &none) && none == INDEX_PAGE_ENTRIES);
    ASSERT(!index_find_time(&x, 1600000001000, &none));
    end();
    segment_free(&s);
}

/* A batch of more than a page: pages in which none begins. */
static void a_batch_may_cover_pages(void)
{
    struct segment_image s;
    struct index_entry e;
    segment_begin(&s, 10);
    segment_add(&s, 1000, 5, 1, 0);
    segment_add(&s, 18 << 20, 1, 2, 1);
    segment_add(&s, 1000, 5, 3, 2);
    begin(s.base);
    feed(&s, s.len);
    take_last_page();
    pages_match(&s, s.len);
    index_page_entry(pages[1], 0, &e);
    ASSERT(e.first_pos == INDEX_NO_BATCH && e.first_offset == 15);
    ASSERT_EQ(index_page_find(pages[1], INT64_MAX), UINT32_MAX);
    ASSERT_EQ(index_page_find(pages[0], 15), 0);
    end();
    segment_free(&s);
}

/* The builder goes on as what its bytes give; also with a full page whose write may be in flight. */
static void d1_a_checkpoint_carries_the_running_block(void)
{
    struct segment_image s;
    struct prng r;
    uint8_t bytes[8192];
    uint64_t page_bytes = (uint64_t)INDEX_PAGE_ENTRIES * INDEX_BLOCK_BYTES;
    prng_seed(&r, 3, 1);
    segment_random(&s, &r, page_bytes + 300000);
    begin(s.base);
    for (int n = 0; n < 100; n++) {
        uint64_t to = n == 99 ? page_bytes - 1 : index_fed(&x) + prng_below(&r, 100000);
        feed(&s, MIN(to, page_bytes - 1));
        if (n == 99) { /* the last byte of the page, its taking not done */
            ASSERT_EQ(index_reserve_bytes(&x, 1), STATUS_OK);
            ASSERT(index_feed(&x, s.bytes + page_bytes - 1, 1) == 1 && index_page_full(&x));
        }
        size_t size = index_encoded_size(&x);
        struct index copy;
        ASSERT(size <= sizeof bytes);
        index_encode(&x, bytes);
        index_init(&copy, mem, topic, PARTITION, 0);
        ASSERT_EQ(index_decode(&copy, bytes, size), STATUS_OK);
        index_deinit(&x);
        x = copy;
    }
    take_full_page();
    feed(&s, s.len);
    take_last_page();
    pages_match(&s, s.len);
    end();
    segment_free(&s);
}

/* Rule D1: a cut goes back to a block's start; what is fed again, or anew, makes the pages of the log as it is then. */
static void d1_a_cut_begins_its_block_anew(void)
{
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct prng r;
        struct segment_image s, other;
        prng_seed(&r, seed, 2);
        segment_random(&s, &r, 9 << 20);
        begin(s.base);
        feed(&s, s.len);
        uint32_t keep = (uint32_t)prng_below(&r, s.count); /* batches that the cut leaves */
        uint64_t cut = s.batches[keep].pos, block = cut / INDEX_BLOCK_BYTES;
        segment_begin(&other, s.base);
        for (uint32_t i = 0; i < keep; i++) {
            int64_t next = i + 1 < s.count ? s.batches[i + 1].base_offset : s.next_offset;
            segment_add(&other, s.batches[i].size, (int32_t)(next - s.batches[i].base_offset),
                        s.batches[i].max_timestamp_ms, i);
        }
        ASSERT(other.len == cut && memcmp(other.bytes, s.bytes, cut) == 0);
        for (uint32_t i = 0; i < 100; i++) segment_add(&other, 5000, 1, 1500, 999 + i);
        uint32_t page = (uint32_t)(block / INDEX_PAGE_ENTRIES);
        ASSERT_EQ(index_cut(&x, block, index_holds(&x, block) ? NULL : pages[page]), STATUS_OK);
        page_count = page;
        ASSERT_EQ(index_fed(&x), block * INDEX_BLOCK_BYTES);
        feed(&other, other.len);
        take_last_page();
        pages_match(&other, other.len);
        end();
        segment_free(&s);
        segment_free(&other);
    }
}

static void memory_comes_with_the_first_full_block(void)
{
    struct segment_image s;
    segment_begin(&s, 0);
    segment_add(&s, INDEX_BLOCK_BYTES, 1, 1, 1);
    begin(0);
    ASSERT(sizeof x <= 128);
    feed(&s, INDEX_BLOCK_BYTES - 1);
    ASSERT_EQ(mem_used(mem, MEM_LOG), 0);
    mem_fail_nth(mem, 1);
    ASSERT_EQ(index_reserve_bytes(&x, 1), STATUS_NO_MEMORY);
    ASSERT_EQ(index_fed(&x), INDEX_BLOCK_BYTES - 1);
    feed(&s, s.len);
    ASSERT_EQ(mem_used(mem, MEM_LOG), 4 * sizeof(struct index_entry));
    ASSERT_EQ(index_reserve(&x), STATUS_OK);
    ASSERT(mem_used(mem, MEM_LOG) <= 4096);
    index_reset(&x, 99);
    ASSERT(mem_used(mem, MEM_LOG) == 0 && index_fed(&x) == 0);
    end();
    segment_free(&s);
}

static void page_crc_set(uint8_t page[BLOCK_BYTES])
{
    memset(page + 12, 0, 4);
    store_le32(page + 12, crc32c(0, page, BLOCK_BYTES));
}

static void verify_refuses_damage(void)
{
    static const struct {
        uint32_t pos, value;
        enum status status;
    } numbers[] = {
        {0, 1, STATUS_FORMAT},
        {8, 2, STATUS_FORMAT},
        {16, 9, STATUS_DAMAGED},
        {32, 8, STATUS_DAMAGED},
        {36, 1, STATUS_DAMAGED},
        {40, 1, STATUS_DAMAGED},
        {48, 0, STATUS_DAMAGED},
        {48, 127, STATUS_DAMAGED},
        {64 + 4, 65536, STATUS_DAMAGED},
        {64 + 12, 1u << 31, STATUS_DAMAGED},
        {64 + 24, 65535, STATUS_DAMAGED},
        {64 + 28, 1, STATUS_DAMAGED},
        {64 + 32 + 12, 0, STATUS_DAMAGED},
        {64 + 20, 1u << 31, STATUS_DAMAGED},
        {64 + 125 * 32 + 24, 65537, STATUS_DAMAGED},
        {64 + 125 * 32 + 24, 0, STATUS_DAMAGED},
    };
    struct segment_image s;
    segment_golden(&s);
    begin(s.base);
    feed(&s, s.len);
    ASSERT_EQ(index_page_verify(pages[0], topic, PARTITION, s.base, 0), STATUS_OK);
    for (uint32_t bit = 0; bit < 8 * BLOCK_BYTES; bit += 1 + bit % 5) {
        pages[0][bit / 8] ^= (uint8_t)(1u << bit % 8);
        ASSERT_EQ(index_page_verify(pages[0], topic, PARTITION, s.base, 0), STATUS_DAMAGED);
        pages[0][bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        memcpy(pages[1], pages[0], BLOCK_BYTES);
        store_le32(pages[1] + numbers[i].pos, numbers[i].value);
        page_crc_set(pages[1]);
        ASSERT_EQ(index_page_verify(pages[1], topic, PARTITION, s.base, 0), numbers[i].status);
    }
    memcpy(pages[1], pages[0], BLOCK_BYTES); /* a last entry of no bytes */
    store_le32(pages[1] + 64 + 125 * 32 + 4, INDEX_NO_BATCH);
    store_le64(pages[1] + 64 + 125 * 32 + 16, UINT64_MAX);
    page_crc_set(pages[1]);
    ASSERT_EQ(index_page_verify(pages[1], topic, PARTITION, s.base, 0), STATUS_OK);
    store_le32(pages[1] + 64 + 125 * 32 + 24, 0);
    page_crc_set(pages[1]);
    ASSERT_EQ(index_page_verify(pages[1], topic, PARTITION, s.base, 0), STATUS_DAMAGED);
    memset(pages[1], 0, BLOCK_BYTES);
    ASSERT_EQ(index_page_verify(pages[1], topic, PARTITION, s.base, 0), STATUS_DAMAGED);
    end();
    segment_free(&s);
}

static void decode_refuses_what_encode_never_makes(void)
{
    struct segment_image s;
    struct index copy;
    uint8_t good[8192], again[8192];
    segment_golden(&s);
    begin(s.base);
    feed(&s, 200000);
    size_t size = index_encoded_size(&x);
    index_encode(&x, good);
    index_init(&copy, mem, topic, PARTITION, 0);
    for (size_t n = 0; n < size; n++) ASSERT_EQ(index_decode(&copy, good, n), STATUS_DAMAGED);
    ASSERT_EQ(index_decode(&copy, good, size + 1), STATUS_DAMAGED);
    uint32_t refused = 0;
    for (size_t bit = 0; bit < 8 * size; bit++) {
        good[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (index_decode(&copy, good, size) == STATUS_OK) { /* another sound state: a checksum, a number */
            index_encode(&copy, again);
            ASSERT(index_encoded_size(&copy) == size && memcmp(good, again, size) == 0);
        } else {
            refused++;
        }
        good[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    ASSERT(refused > 8 * size / 4);
    index_deinit(&copy);
    mem_fail_nth(mem, 1);
    ASSERT_EQ(index_decode(&copy, good, size), STATUS_NO_MEMORY);
    ASSERT_EQ(index_decode(&copy, good, size), STATUS_OK);
    index_deinit(&copy);
    end();
    segment_free(&s);
}

/* --- rebuild --- */

static enum status rebuild(const struct segment_image *s, uint64_t len, struct prng *r, uint64_t piece_max,
                           uint64_t *ret_pos)
{
    struct index_rebuild b;
    size_t taken = 0;
    enum status status = index_rebuild_begin(&b, &x, len);
    for (uint64_t at = 0; at < len && status == STATUS_OK; at += taken) {
        uint64_t piece = 1 + prng_below(r, piece_max);
        status = index_rebuild_feed(&b, s->bytes + at, MIN(len - at, piece), &taken);
        take_full_page();
    }
    if (status == STATUS_OK) status = index_rebuild_end(&b);
    *ret_pos = b.batch_pos;
    return status;
}

static void rebuild_makes_the_same_pages(void)
{
    static const uint64_t pieces[] = {1, 61, 100, 4096, 70000, 1 << 20, 20 << 20};
    struct segment_image s;
    struct prng r;
    uint64_t pos;
    prng_seed(&r, 1, 1);
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        uint64_t bytes = pieces[i] < 4096 ? 300000 : 9 << 20;
        segment_random(&s, &r, bytes);
        begin(s.base);
        ASSERT_EQ(rebuild(&s, s.len, &r, pieces[i], &pos), STATUS_OK);
        take_last_page();
        pages_match(&s, s.len);
        end();
        segment_free(&s);
    }
}

/* A batch whose header lies across the end of a page. */
static void rebuild_takes_a_page_inside_a_header(void)
{
    uint32_t page_bytes = INDEX_PAGE_ENTRIES * INDEX_BLOCK_BYTES;
    for (uint32_t over = 0; over <= 62; over++) {
        struct segment_image s;
        struct prng r;
        uint64_t pos;
        prng_seed(&r, over, 1);
        segment_begin(&s, 0);
        segment_add(&s, page_bytes - over, 1, 1, 0);
        for (uint32_t i = 0; i < 3; i++) segment_add(&s, 61, 1, 2, 0);
        begin(0);
        ASSERT_EQ(rebuild(&s, s.len, &r, 3 << 20, &pos), STATUS_OK);
        take_last_page();
        pages_match(&s, s.len);
        end();
        segment_free(&s);
    }
}

/* Page k alone, walked to from a batch before it. */
static void rebuild_page(const struct segment_image *s, uint32_t k, const struct batch_at *from, struct prng *r,
                         uint8_t out[BLOCK_BYTES])
{
    struct index_rebuild b;
    size_t taken = 0;
    uint32_t number;
    uint64_t page_end = MIN(s->len, (k + 1) * (uint64_t)INDEX_PAGE_ENTRIES * INDEX_BLOCK_BYTES);
    begin(s->base);
    index_begin_page(&x, k, s->base);
    ASSERT_EQ(index_rebuild_begin_at(&b, &x, s->len, from->pos, from->base_offset), STATUS_OK);
    for (uint64_t at = from->pos; at < page_end && !index_page_full(&x); at += taken) {
        uint64_t piece = 1 + prng_below(r, 1 << 20);
        ASSERT_EQ(index_rebuild_feed(&b, s->bytes + at, MIN(s->len - at, piece), &taken), STATUS_OK);
    }
    ASSERT(index_page(&x, out, &number));
    ASSERT_EQ(number, k);
    end();
}

static void rebuild_makes_a_page_alone(void)
{
    static uint8_t all[4][BLOCK_BYTES], one[BLOCK_BYTES];
    struct segment_image s;
    struct index_rebuild b;
    struct prng r;
    size_t taken;
    uint32_t last = 0;
    uint64_t page_bytes = (uint64_t)INDEX_PAGE_ENTRIES * INDEX_BLOCK_BYTES;
    prng_seed(&r, 6, 1);
    segment_random(&s, &r, 30 << 20);
    begin(s.base);
    ASSERT_EQ(index_rebuild_begin(&b, &x, s.len), STATUS_OK);
    for (uint64_t at = 0; at < s.len; at += taken) {
        ASSERT_EQ(index_rebuild_feed(&b, s.bytes + at, s.len - at, &taken), STATUS_OK);
        if (!index_page_full(&x)) continue;
        ASSERT(index_page(&x, all[last], &last));
        index_page_taken(&x);
        last++;
    }
    ASSERT(index_page(&x, all[last], &last));
    end();
    ASSERT_EQ(last, 3);
    for (uint32_t k = 1; k <= last; k++) {
        for (int n = 0; n < 6; n++) { /* from the batch that reaches into the page, or from further back */
            uint32_t i = 0;
            while (s.batches[i].pos + s.batches[i].size <= k * page_bytes) i++;
            i -= MIN(i, n == 0 ? 0 : (uint32_t)prng_below(&r, 50));
            rebuild_page(&s, k, &s.batches[i], &r, one);
            ASSERT(memcmp(one, all[k], BLOCK_BYTES) == 0);
        }
    }
    segment_free(&s);
}

/* What the batch CRC does not cover, against the epoch map, the epochs before and the next segment. */
static void rebuild_checks_epochs_and_offsets(void)
{
    struct segment_image s;
    struct index_rebuild b;
    struct epoch_map epochs;
    size_t taken;
    static const struct {
        const char *what;
        uint32_t batch_epoch, map_epoch;
        int64_t map_from, end_from_last;
        enum status status;
    } rows[] = {
        {"as the map says", 3, 3, 0, 1, STATUS_OK},
        {"older than the map", 3, 9, INT64_MAX, 1, STATUS_OK},
        {"another than the map's", 3, 4, 0, 1, STATUS_DAMAGED},
        {"falls", 2, 9, INT64_MAX, 1, STATUS_DAMAGED},
        {"rises", 4, 9, INT64_MAX, 1, STATUS_DAMAGED}, /* the next batch falls */
        {"reaches into the next segment", 3, 3, 0, 0, STATUS_DAMAGED},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        segment_begin(&s, 50);
        for (int k = 0; k < 4; k++) segment_add(&s, 100, 2, 7, 0);
        store_be32(s.bytes + s.batches[2].pos + 12, rows[i].batch_epoch);
        begin(s.base);
        epoch_map_init(&epochs, x.mem);
        ASSERT_EQ(epoch_map_add(&epochs, (int32_t)rows[i].map_epoch, rows[i].map_from), STATUS_OK);
        ASSERT_EQ(index_rebuild_begin(&b, &x, s.len), STATUS_OK);
        b.epochs = &epochs;
        b.end_offset = s.next_offset - 1 + rows[i].end_from_last;
        enum status status = index_rebuild_feed(&b, s.bytes, s.len, &taken);
        if (status != rows[i].status) printf("%s: %s\n", rows[i].what, status_name(status));
        ASSERT_EQ(status, rows[i].status);
        epoch_map_deinit(&epochs);
        end();
        segment_free(&s);
    }
}

static void rebuild_refuses_damage(void)
{
    struct segment_image s;
    struct prng r;
    uint64_t pos;
    prng_seed(&r, 5, 1);
    segment_random(&s, &r, 200000);
    for (int n = 0; n < 300; n++) {
        uint32_t i = (uint32_t)prng_below(&r, s.count);
        uint64_t at = s.batches[i].pos + 8 + prng_below(&r, s.batches[i].size - 8);
        if (at - s.batches[i].pos >= 12 && at - s.batches[i].pos < 16) continue; /* leader epoch: nobody covers it */
        uint8_t bit = (uint8_t)(1u << prng_below(&r, 8));
        s.bytes[at] ^= bit;
        begin(s.base);
        ASSERT_EQ(rebuild(&s, s.len, &r, 5000, &pos), STATUS_DAMAGED);
        ASSERT_EQ(pos, s.batches[i].pos);
        end();
        s.bytes[at] ^= bit;
    }
    for (int n = 0; n < 100; n++) { /* cut anywhere but between batches */
        uint64_t len = 1 + prng_below(&r, s.len - 1);
        bool between = false;
        for (uint32_t i = 0; i < s.count; i++) between |= s.batches[i].pos == len;
        begin(s.base);
        ASSERT_EQ(rebuild(&s, len, &r, 5000, &pos), between ? STATUS_OK : STATUS_DAMAGED);
        end();
    }
    store_be64(s.bytes + s.batches[5].pos, (uint64_t)s.batches[4].base_offset); /* offsets that do not ascend */
    begin(s.base);
    ASSERT_EQ(rebuild(&s, s.len, &r, 5000, &pos), STATUS_DAMAGED);
    ASSERT_EQ(pos, s.batches[5].pos);
    end();
    segment_free(&s);
}

TEST_MAIN("index", {"pages are the golden ones", pages_are_the_golden_ones},
          {"random segments match the model", random_segments_match_the_model},
          {"the builder finds what it holds", builder_finds_what_it_holds},
          {"a batch may cover pages", a_batch_may_cover_pages},
          {"D1: a checkpoint carries the running block", d1_a_checkpoint_carries_the_running_block},
          {"D1: a cut begins its block anew", d1_a_cut_begins_its_block_anew},
          {"memory comes with the first full block", memory_comes_with_the_first_full_block},
          {"verify refuses damage", verify_refuses_damage},
          {"decode refuses what encode never makes", decode_refuses_what_encode_never_makes},
          {"rebuild makes the same pages", rebuild_makes_the_same_pages},
          {"rebuild takes a page inside a header", rebuild_takes_a_page_inside_a_header},
          {"rebuild makes a page alone", rebuild_makes_a_page_alone},
          {"rebuild checks epochs and offsets", rebuild_checks_epochs_and_offsets},
          {"rebuild refuses damage", rebuild_refuses_damage})

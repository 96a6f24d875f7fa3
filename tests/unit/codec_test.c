// SPDX-License-Identifier: Apache-2.0
/* Codecs: round trips, the output cap, cut and trailing bytes, declared sizes that lie, memory that runs out. */
#include "base/bytes.h"
#include "base/check.h"
#include "protocol/codec.h"
#include "protocol/xxh32.h"
#include "tests/unit/check_main.h"
#include <lz4frame.h>
#include <snappy-c.h>
#include <stdlib.h>
#include <zstd.h>

#define BUDGET          (256u << 20)
#define CAP             (64u << 20)
#define SIZE_MAX_TESTED (300u << 10)

static const enum codec all[] = {CODEC_NONE, CODEC_GZIP, CODEC_SNAPPY, CODEC_LZ4, CODEC_ZSTD};

/* kind 0: zeros, 1: text-like, 2: noise */
static uint8_t *content(size_t len, int kind)
{
    uint8_t *p = malloc(len + 1);
    uint32_t x = 1;
    for (size_t i = 0; i < len; i++) {
        x = x * 1664525u + 1013904223u;
        p[i] = kind == 0 ? 0 : kind == 1 ? (uint8_t)("leat log "[x >> 29]) : (uint8_t)(x >> 24);
    }
    return p;
}

struct packed {
    uint8_t *data;
    size_t len;
};

static struct packed pack(struct mem *mem, enum codec c, const uint8_t *data, size_t len)
{
    size_t bound = codec_bound(c, len);
    uint8_t *room = malloc(bound + 1);
    struct packed p;
    CHECK_OK(codec_compress(mem, c, data, len, room, bound, &p.len));
    p.data = realloc(room, p.len > 0 ? p.len : 1); /* exact, so that a read beyond it is seen */
    return p;
}

/* Reads all; the bytes made are compared with want where that is not NULL. */
static enum status unpack(struct mem *mem, enum codec c, const void *data, size_t len, uint64_t cap,
                          const uint8_t *want, size_t *ret_len)
{
    struct codec_reader *r;
    enum status s = codec_reader_open(mem, c, data, len, cap, &r);
    if (s != STATUS_OK) return s;
    size_t made = 0;
    for (;;) {
        const uint8_t *window;
        size_t n;
        s = codec_reader_next(r, &window, &n);
        if (s != STATUS_OK || n == 0) break;
        if (want != NULL) ASSERT(memcmp(want + made, window, n) == 0);
        made += n;
    }
    codec_reader_close(r);
    *ret_len = made;
    return s;
}

static void what_goes_in_comes_out(void)
{
    struct mem *mem = mem_create(BUDGET);
    const size_t sizes[] = {0, 1, 13, 1000, 32768, 65535, 65536, 65537, SIZE_MAX_TESTED};
    for (size_t c = 0; c < COUNT_OF(all); c++) {
        for (size_t i = 0; i < COUNT_OF(sizes); i++) {
            for (int kind = 0; kind < 3; kind++) {
                uint8_t *data = content(sizes[i], kind);
                struct packed p = pack(mem, all[c], data, sizes[i]);
                size_t made;
                ASSERT_EQ(unpack(mem, all[c], p.data, p.len, sizes[i], data, &made), STATUS_OK);
                ASSERT_EQ(made, sizes[i]);
                free(p.data);
                free(data);
            }
        }
    }
    mem_destroy(mem);
}

static void B12_cut_or_trailing_bytes_are_refused(void)
{
    struct mem *mem = mem_create(BUDGET);
    uint8_t *data = content(3000, 1);
    for (size_t c = 1; c < COUNT_OF(all); c++) {
        struct packed p = pack(mem, all[c], data, 3000);
        size_t made;
        for (size_t n = 0; n < p.len; n++) {
            uint8_t *cut = malloc(n > 0 ? n : 1);
            memcpy(cut, p.data, n);
            enum status s = unpack(mem, all[c], cut, n, CAP, NULL, &made);
            /* A framed snappy stream has no end mark: it may end after its header (and after a block). */
            ASSERT_EQ(s, all[c] == CODEC_SNAPPY && n == 16 ? STATUS_OK : STATUS_CORRUPT_BATCH);
            free(cut);
        }
        uint8_t *more = calloc(1, p.len + 40);
        memcpy(more, p.data, p.len);
        for (size_t n = 1; n <= 40; n++)
            ASSERT_EQ(unpack(mem, all[c], more, p.len + n, CAP, NULL, &made), STATUS_CORRUPT_BATCH);
        free(more);
        free(p.data);
    }
    free(data);
    mem_destroy(mem);
}

static void B11_output_stops_at_the_cap(void)
{
    struct mem *mem = mem_create(BUDGET);
    size_t len = 16u << 20, made;
    uint8_t *data = content(len, 0);
    for (size_t c = 0; c < COUNT_OF(all); c++) {
        struct packed p = pack(mem, all[c], data, len);
        ASSERT_EQ(unpack(mem, all[c], p.data, p.len, len, NULL, &made), STATUS_OK);
        ASSERT_EQ(unpack(mem, all[c], p.data, p.len, len - 1, NULL, &made), STATUS_BATCH_TOO_LARGE);
        ASSERT_EQ(unpack(mem, all[c], p.data, p.len, 100000, NULL, &made), STATUS_BATCH_TOO_LARGE);
        ASSERT(made <= 100000);
        free(p.data);
    }
    free(data);
    mem_destroy(mem);
}

/* A 16 MiB bomb decodes in less than 1 MiB of memory: the budget (produce: 15 % of it) allows no more. */
static void B11_memory_does_not_grow_with_the_output(void)
{
    struct mem *big = mem_create(BUDGET);
    struct mem *small = mem_create(7u << 20);
    ASSERT(mem_budget(small, MEM_PRODUCE) < (2u << 20));
    size_t len = 16u << 20, made;
    uint8_t *data = content(len, 0);
    const enum codec streaming[] = {CODEC_GZIP, CODEC_SNAPPY, CODEC_LZ4};
    for (size_t c = 0; c < COUNT_OF(streaming); c++) {
        struct packed p = pack(big, streaming[c], data, len);
        ASSERT_EQ(unpack(small, streaming[c], p.data, p.len, CAP, data, &made), STATUS_OK);
        ASSERT_EQ(made, len);
        ASSERT_EQ(mem_used(small, MEM_PRODUCE), 0);
        free(p.data);
    }
    free(data);
    mem_destroy(small);
    mem_destroy(big);
}

static void B11_declared_sizes_are_not_trusted(void)
{
    struct mem *mem = mem_create(7u << 20);
    size_t made;
    /* raw snappy: 4 GiB - 1 declared, one literal byte there; 64 KiB declared, the same */
    const uint8_t snappy_huge[] = {0xff, 0xff, 0xff, 0xff, 0x0f, 0x00, 'x'};
    const uint8_t snappy_large[] = {0x80, 0x80, 0x04, 0x00, 'x'};
    ASSERT_EQ(unpack(mem, CODEC_SNAPPY, snappy_huge, sizeof snappy_huge, UINT64_MAX, NULL, &made),
              STATUS_CORRUPT_BATCH);
    ASSERT_EQ(unpack(mem, CODEC_SNAPPY, snappy_large, sizeof snappy_large, CAP, NULL, &made), STATUS_CORRUPT_BATCH);
    /* framed snappy: a chunk length of 4 GiB - 1 (CVE-2023-34455) and one of 0 */
    uint8_t framed[] = {0x82, 'S', 'N', 'A', 'P',  'P',  'Y',  0,    0, 0, 0,  1,
                        0,    0,   0,   1,   0xff, 0xff, 0xff, 0xff, 1, 0, 'x'};
    ASSERT_EQ(unpack(mem, CODEC_SNAPPY, framed, sizeof framed, CAP, NULL, &made), STATUS_CORRUPT_BATCH);
    store_be32(framed + 16, 0);
    ASSERT_EQ(unpack(mem, CODEC_SNAPPY, framed, sizeof framed, CAP, NULL, &made), STATUS_CORRUPT_BATCH);
    /* above the cap: said before the memory for it is asked for */
    uint8_t *zeros = calloc(1, 4u << 20);
    size_t size = snappy_max_compressed_length(4u << 20);
    char *raw = malloc(size);
    ASSERT_EQ(snappy_compress((char *)zeros, 4u << 20, raw, &size), SNAPPY_OK);
    ASSERT_EQ(unpack(mem, CODEC_SNAPPY, raw, size, 100000, NULL, &made), STATUS_BATCH_TOO_LARGE);
    ASSERT_EQ(unpack(mem, CODEC_SNAPPY, raw, size, CAP, NULL, &made), STATUS_NO_MEMORY);
    free(raw);
    free(zeros);
    store_be32(framed + 16, 3);
    ASSERT_EQ(unpack(mem, CODEC_SNAPPY, framed, sizeof framed, CAP, (const uint8_t *)"x", &made), STATUS_OK);
    /* zstd: one raw block of one byte, in windows of 8 MiB (taken) and 2 GiB (not) */
    struct mem *large = mem_create(BUDGET);
    uint8_t zstd[] = {0x28, 0xb5, 0x2f, 0xfd, 0x00, 13 << 3, 0x09, 0x00, 0x00, 'x'};
    ASSERT_EQ(unpack(large, CODEC_ZSTD, zstd, sizeof zstd, CAP, (const uint8_t *)"x", &made), STATUS_OK);
    ASSERT_EQ(unpack(mem, CODEC_ZSTD, zstd, sizeof zstd, CAP, NULL, &made), STATUS_NO_MEMORY);
    zstd[5] = 14 << 3;
    ASSERT_EQ(unpack(large, CODEC_ZSTD, zstd, sizeof zstd, CAP, NULL, &made), STATUS_CORRUPT_BATCH);
    zstd[5] = 21 << 3;
    ASSERT_EQ(unpack(large, CODEC_ZSTD, zstd, sizeof zstd, CAP, NULL, &made), STATUS_CORRUPT_BATCH);
    mem_destroy(large);
    mem_destroy(mem);
}

static void raw_snappy_is_read(void)
{
    struct mem *mem = mem_create(BUDGET);
    size_t len = 200000, size = snappy_max_compressed_length(len), made;
    uint8_t *data = content(len, 1);
    char *raw = malloc(size);
    ASSERT_EQ(snappy_compress((char *)data, len, raw, &size), SNAPPY_OK);
    ASSERT_EQ(unpack(mem, CODEC_SNAPPY, raw, size, CAP, data, &made), STATUS_OK);
    ASSERT_EQ(made, len);
    ASSERT_EQ(unpack(mem, CODEC_SNAPPY, raw, size, len - 1, NULL, &made), STATUS_BATCH_TOO_LARGE);
    free(raw);
    free(data);
    mem_destroy(mem);
}

static struct packed lz4_reference(const uint8_t *data, size_t len, const LZ4F_preferences_t *prefs)
{
    struct packed p = {.len = LZ4F_compressFrameBound(len, prefs)};
    p.data = malloc(p.len);
    p.len = LZ4F_compressFrame(p.data, p.len, data, len, prefs);
    CHECK(!LZ4F_isError(p.len));
    return p;
}

/* Every kind of frame that liblz4 writes; each bit of checksums, sizes and header counts. */
static void B12_lz4_frames_of_liblz4_with_all_checksums(void)
{
    struct mem *mem = mem_create(BUDGET);
    size_t len = SIZE_MAX_TESTED, made;
    uint8_t *data = content(len, 1);
    for (int id = 4; id <= 7; id++) {
        LZ4F_preferences_t prefs = {.frameInfo = {.blockSizeID = (LZ4F_blockSizeID_t)id,
                                                  .blockMode = LZ4F_blockIndependent,
                                                  .contentChecksumFlag = LZ4F_contentChecksumEnabled,
                                                  .blockChecksumFlag = LZ4F_blockChecksumEnabled,
                                                  .contentSize = len}};
        struct packed p = lz4_reference(data, len, &prefs);
        ASSERT_EQ(unpack(mem, CODEC_LZ4, p.data, p.len, CAP, data, &made), STATUS_OK);
        ASSERT_EQ(made, len);
        free(p.data);
    }
    LZ4F_preferences_t small = {.frameInfo = {.blockMode = LZ4F_blockIndependent,
                                              .contentChecksumFlag = LZ4F_contentChecksumEnabled,
                                              .blockChecksumFlag = LZ4F_blockChecksumEnabled,
                                              .contentSize = 300}};
    struct packed p = lz4_reference(data, 300, &small);
    for (size_t bit = 0; bit < p.len * 8; bit++) {
        p.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        ASSERT_EQ(unpack(mem, CODEC_LZ4, p.data, p.len, CAP, NULL, &made), STATUS_CORRUPT_BATCH);
        p.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    ASSERT_EQ(unpack(mem, CODEC_LZ4, p.data, p.len, CAP, data, &made), STATUS_OK);
    /* What the block checksum cannot see: the content checksum and the content size, each with its header made right.
     */
    store_le32(p.data + p.len - 4, xxh32(data, 299, 0));
    ASSERT_EQ(unpack(mem, CODEC_LZ4, p.data, p.len, CAP, NULL, &made), STATUS_CORRUPT_BATCH);
    store_le32(p.data + p.len - 4, xxh32(data, 300, 0));
    for (uint64_t size = 299; size <= 301; size++) {
        store_le64(p.data + 6, size);
        p.data[14] = (uint8_t)(xxh32(p.data + 4, 10, 0) >> 8);
        ASSERT_EQ(unpack(mem, CODEC_LZ4, p.data, p.len, CAP, NULL, &made),
                  size == 300 ? STATUS_OK : STATUS_CORRUPT_BATCH);
    }
    free(p.data);
    LZ4F_preferences_t linked = {.frameInfo = {.blockMode = LZ4F_blockLinked}};
    p = lz4_reference(data, len, &linked);
    ASSERT_EQ(unpack(mem, CODEC_LZ4, p.data, p.len, CAP, NULL, &made), STATUS_CORRUPT_BATCH);
    free(p.data);
    free(data);
    mem_destroy(mem);
}

static void liblz4_reads_our_frames(void)
{
    struct mem *mem = mem_create(BUDGET);
    size_t len = SIZE_MAX_TESTED;
    uint8_t *data = content(len, 1), *out = malloc(len + 1);
    struct packed p = pack(mem, CODEC_LZ4, data, len);
    LZ4F_dctx *ctx;
    ASSERT(!LZ4F_isError(LZ4F_createDecompressionContext(&ctx, LZ4F_VERSION)));
    size_t made = 0, used = 0, hint = 1;
    while (hint != 0 && used < p.len) {
        size_t n = len + 1 - made, in = p.len - used;
        hint = LZ4F_decompress(ctx, out + made, &n, p.data + used, &in, NULL);
        ASSERT(!LZ4F_isError(hint));
        made += n;
        used += in;
    }
    ASSERT_EQ(hint, 0);
    ASSERT_EQ(made, len);
    ASSERT_EQ(used, p.len);
    ASSERT(memcmp(data, out, len) == 0);
    LZ4F_freeDecompressionContext(ctx);
    free(p.data);
    free(out);
    free(data);
    mem_destroy(mem);
}

static void B12_zstd_checksum_is_verified(void)
{
    struct mem *mem = mem_create(BUDGET);
    size_t made;
    uint8_t *data = content(5000, 1);
    ZSTD_CCtx *ctx = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(ctx, ZSTD_c_checksumFlag, 1);
    uint8_t packed[8000];
    size_t n = ZSTD_compress2(ctx, packed, sizeof packed, data, 5000);
    ZSTD_freeCCtx(ctx);
    ASSERT_EQ(unpack(mem, CODEC_ZSTD, packed, n, CAP, data, &made), STATUS_OK);
    packed[n - 1] ^= 1;
    ASSERT_EQ(unpack(mem, CODEC_ZSTD, packed, n, CAP, NULL, &made), STATUS_CORRUPT_BATCH);
    free(data);
    mem_destroy(mem);
}

static void running_out_of_memory_is_back_pressure_and_leaks_nothing(void)
{
    struct mem *mem = mem_create(BUDGET);
    size_t len = 100000, made;
    uint8_t *data = content(len, 1);
    for (size_t c = 1; c < COUNT_OF(all); c++) {
        struct packed p = pack(mem, all[c], data, len);
        uint64_t n = 1;
        for (;; n++) {
            mem_fail_nth(mem, n);
            enum status s = unpack(mem, all[c], p.data, p.len, CAP, NULL, &made);
            ASSERT_EQ(mem_used(mem, MEM_PRODUCE), 0);
            if (s == STATUS_OK) break;
            ASSERT_EQ(s, STATUS_NO_MEMORY);
        }
        ASSERT(n > 1);
        size_t bound = codec_bound(all[c], len);
        uint8_t *room = malloc(bound);
        for (n = 1;; n++) {
            mem_fail_nth(mem, n);
            enum status s = codec_compress(mem, all[c], data, len, room, bound, &made);
            ASSERT_EQ(mem_used(mem, MEM_PRODUCE), 0);
            if (s == STATUS_OK) break;
            ASSERT_EQ(s, STATUS_NO_MEMORY);
        }
        mem_fail_nth(mem, 0);
        free(room);
        free(p.data);
    }
    free(data);
    mem_destroy(mem);
}

/* Vectors of the XXH32 specification's sanity buffer are long; these two are well known. */
static void xxh32_is_xxh32(void)
{
    ASSERT_EQ(xxh32("", 0, 0), 0x02cc5d05u);
    ASSERT_EQ(xxh32("Nobody inspects the spammish repetition", 39, 0), 0xe2293b2fu);
}

TEST_MAIN("codec", {"what goes in comes out", what_goes_in_comes_out},
          {"B12: cut or trailing bytes are refused", B12_cut_or_trailing_bytes_are_refused},
          {"B11: output stops at the cap", B11_output_stops_at_the_cap},
          {"B11: memory does not grow with the output", B11_memory_does_not_grow_with_the_output},
          {"B11: declared sizes are not trusted", B11_declared_sizes_are_not_trusted},
          {"raw snappy is read", raw_snappy_is_read},
          {"B12: lz4 frames of liblz4 with all checksums", B12_lz4_frames_of_liblz4_with_all_checksums},
          {"liblz4 reads our frames", liblz4_reads_our_frames},
          {"B12: zstd checksum is verified", B12_zstd_checksum_is_verified},
          {"R5 running out of memory is back-pressure", running_out_of_memory_is_back_pressure_and_leaks_nothing},
          {"XXH32 is XXH32", xxh32_is_xxh32})

// SPDX-License-Identifier: Apache-2.0
/* Which record has a time: tables over one batch, and every codec and many batches against a walk with the iterator. */
#include "base/bytes.h"
#include "base/check.h"
#include "base/prng.h"
#include "protocol/batch_record.h"
#include "protocol/batch_time.h"
#include "tests/unit/check_main.h"
#include <stdlib.h>

#define CAP         (1u << 20)
#define RECORDS_MAX 40

static struct mem *mem;
static uint8_t bytes[1 << 16];
static struct batch_info info;

static void make(const int64_t *times, int count, enum codec codec, bool append_time)
{
    struct batch_builder b;
    struct batch_options o;
    const uint8_t *data;
    size_t len;
    batch_options_init(&o);
    o.codec = codec;
    o.base_offset = 100;
    o.log_append_time = append_time;
    o.append_time_ms = 5000;
    batch_builder_init(&b, mem, &o);
    for (int i = 0; i < count; i++)
        CHECK_OK(batch_builder_append(&b, times[i], NULL, -1, "some value of a record", 22, NULL, 0));
    CHECK_OK(batch_builder_finish(&b, &data, &len));
    CHECK(len <= sizeof bytes);
    memcpy(bytes, data, len);
    batch_builder_deinit(&b);
    CHECK_OK(batch_parse(bytes, len, &info));
}

/* The offset found, -1: none. */
static int64_t find(bool largest, int64_t from_ms, int64_t from_offset, int64_t *ret_ms)
{
    struct batch_time_query q = {
        .largest = largest, .from_ms = from_ms, .from_offset = from_offset, .output_cap_bytes = CAP};
    struct batch_time found;
    enum status s = batch_time_find(bytes, &info, &q, mem, &found);
    ASSERT(s == STATUS_OK || s == STATUS_NOT_FOUND);
    ASSERT_EQ(mem_used(mem, MEM_PRODUCE), 0);
    if (s == STATUS_NOT_FOUND) return -1;
    *ret_ms = found.timestamp_ms;
    return found.offset;
}

static void first_at_or_after(void)
{
    static const int64_t times[] = {10, 40, 30, 40, 20};
    static const struct {
        int64_t from_ms, from_offset, offset, ms;
    } rows[] = {
        {0, 0, 100, 10},    {10, 0, 100, 10},   {11, 0, 101, 40},  {40, 0, 101, 40}, {41, 0, -1, 0},
        {11, 102, 102, 30}, {31, 102, 103, 40}, {0, 104, 104, 20}, {21, 104, -1, 0}, {0, 105, -1, 0},
    };
    make(times, 5, CODEC_NONE, false);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t ms = 0;
        ASSERT_EQ(find(false, rows[i].from_ms, rows[i].from_offset, &ms), rows[i].offset);
        ASSERT_EQ(ms, rows[i].ms);
    }
}

static void first_of_the_largest(void)
{
    static const int64_t times[] = {10, 40, 30, 40, 20};
    static const struct {
        int64_t from_ms, from_offset, offset, ms;
    } rows[] = {{0, 0, 101, 40}, {0, 102, 103, 40}, {0, 104, 104, 20}, {40, 0, 101, 40}, {41, 0, -1, 0}};
    make(times, 5, CODEC_ZSTD, false);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t ms = 0;
        ASSERT_EQ(find(true, rows[i].from_ms, rows[i].from_offset, &ms), rows[i].offset);
        ASSERT_EQ(ms, rows[i].ms);
    }
}

static void append_time_is_every_records_time(void)
{
    static const int64_t times[] = {10, 90000, 30};
    int64_t ms = 0;
    make(times, 3, CODEC_LZ4, true);
    ASSERT_EQ(find(false, 5000, 101, &ms), 101);
    ASSERT_EQ(ms, 5000);
    ASSERT_EQ(find(false, 5001, 0, &ms), -1);
    ASSERT_EQ(find(true, 0, 0, &ms), 100);
    ASSERT_EQ(ms, 5000);
}

static void a_batch_without_records_has_none(void)
{
    int64_t ms = 0;
    make(NULL, 0, CODEC_NONE, false);
    ASSERT_EQ(find(false, 0, 0, &ms), -1);
    ASSERT_EQ(find(true, 0, 0, &ms), -1);
}

static void what_cannot_be_read_is_said(void)
{
    static const int64_t times[] = {1, 2, 3};
    struct batch_time_query q = {.from_ms = 0, .output_cap_bytes = 8};
    struct batch_time found = {.offset = 77};
    make(times, 3, CODEC_GZIP, false);
    ASSERT_EQ(batch_time_find(bytes, &info, &q, mem, &found), STATUS_BATCH_TOO_LARGE);
    q.output_cap_bytes = CAP;
    bytes[BATCH_HEADER_BYTES + 12] ^= 0xff;
    q.from_ms = 4; /* it must look at all of them */
    ASSERT(batch_time_find(bytes, &info, &q, mem, &found) != STATUS_OK);
    make(times, 3, CODEC_NONE, false);
    bytes[BATCH_HEADER_BYTES + 3] = 9; /* the first record's offset delta: -5 */
    ASSERT_EQ(batch_time_find(bytes, &info, &q, mem, &found), STATUS_INVALID_RECORD);
    make(times, 3, CODEC_SNAPPY, false);
    mem_fail_nth(mem, 1);
    ASSERT_EQ(batch_time_find(bytes, &info, &q, mem, &found), STATUS_NO_MEMORY);
    mem_fail_nth(mem, 0);
    ASSERT_EQ(found.offset, 77);
    ASSERT_EQ(mem_used(mem, MEM_PRODUCE), 0);
}

/* What a walk with the iterator finds. */
static int64_t brute(bool largest, int64_t from_ms, int64_t from_offset, int64_t *ret_ms)
{
    struct batch_iter it;
    struct batch_record r;
    int64_t found = -1;
    CHECK_OK(batch_iter_open(&it, bytes, &info, mem, CAP));
    while (batch_iter_next(&it, &r)) {
        if (r.offset < from_offset || r.timestamp_ms < from_ms) continue;
        if (found >= 0 && (!largest || r.timestamp_ms <= *ret_ms)) continue;
        found = r.offset;
        *ret_ms = r.timestamp_ms;
    }
    CHECK_OK(batch_iter_close(&it));
    return found;
}

static void as_a_walk_with_the_iterator(void)
{
    struct prng rng;
    int64_t times[RECORDS_MAX];
    prng_seed(&rng, 5, 1);
    for (int round = 0; round < 400; round++) {
        int count = 1 + (int)prng_below(&rng, RECORDS_MAX);
        for (int i = 0; i < count; i++) times[i] = (int64_t)prng_below(&rng, 30) - 1;
        make(times, count, (enum codec)prng_below(&rng, CODEC_COUNT), prng_below(&rng, 8) == 0);
        for (int k = 0; k < 20; k++) {
            int64_t from_ms = (int64_t)prng_below(&rng, 32), from = 95 + (int64_t)prng_below(&rng, 50), a = 0, b = 0;
            bool largest = k % 2 == 0;
            ASSERT_EQ(find(largest, from_ms, from, &a), brute(largest, from_ms, from, &b));
            ASSERT_EQ(a, b);
        }
    }
}

static void with_memory(void (*test)(void))
{
    mem = mem_create(256u << 20);
    test();
    mem_destroy(mem);
}

#define CASE(name)                                                                                                     \
    static void run_##name(void)                                                                                       \
    {                                                                                                                  \
        with_memory(name);                                                                                             \
    }
CASE(first_at_or_after)
CASE(first_of_the_largest)
CASE(append_time_is_every_records_time)
CASE(a_batch_without_records_has_none)
CASE(what_cannot_be_read_is_said)
CASE(as_a_walk_with_the_iterator)

TEST_MAIN("batch time", {"the first record at or after a time", run_first_at_or_after},
          {"the first record with the largest time", run_first_of_the_largest},
          {"append time is every record's time", run_append_time_is_every_records_time},
          {"a batch without records has none", run_a_batch_without_records_has_none},
          {"what cannot be read is said", run_what_cannot_be_read_is_said},
          {"as a walk with the iterator finds it", run_as_a_walk_with_the_iterator})

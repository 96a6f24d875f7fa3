// SPDX-License-Identifier: Apache-2.0
/* The small parts: status table, CRC-32C, PRNG, histogram. */
#include "base/crc32c.h"
#include "base/histogram.h"
#include "base/prng.h"
#include "base/status.h"
#include "tests/unit/check_main.h"
#include <stdlib.h>
#include <string.h>

static void status_rows_are_the_tables(void)
{
    ASSERT_STREQ(status_name(STATUS_NO_SPACE), "NO_SPACE");
    ASSERT_STREQ(status_text(STATUS_OK), "ok");
    ASSERT_EQ(status_kafka_code(STATUS_NO_SPACE), 56);
    ASSERT_EQ(status_kafka_code(STATUS_ADDRESS_IN_USE), -1);
    ASSERT(status_retriable(STATUS_NOT_LEADER) && !status_retriable(STATUS_INVALID_TOPIC));
    for (int s = 0; s < STATUS_COUNT; s++) ASSERT(status_text((enum status)s)[0] != 0);
}

static uint32_t crc_bitwise(uint32_t crc, const uint8_t *p, size_t n)
{
    crc = ~crc;
    for (; n > 0; p++, n--) {
        crc ^= *p;
        for (int i = 0; i < 8; i++) crc = crc & 1 ? crc >> 1 ^ 0x82f63b78u : crc >> 1;
    }
    return ~crc;
}

static void crc_fits_the_definition_at_each_length(void)
{
    ASSERT_EQ(crc32c(0, "123456789", 9), 0xe3069283u);
    ASSERT_EQ(crc32c(7, NULL, 0), 7);
    enum { N = 1100 };
    uint8_t data[N];
    struct prng p;
    prng_seed(&p, 1, 0);
    for (int i = 0; i < N; i++) data[i] = (uint8_t)prng_next(&p);
    for (size_t n = 0; n <= N - 7; n++) ASSERT_EQ(crc32c(0, data + n % 7, n), crc_bitwise(0, data + n % 7, n));
    for (size_t n = 0; n <= N; n++) ASSERT_EQ(crc32c(crc32c(0, data, n), data + n, N - n), crc_bitwise(0, data, N));
}

static void prng_repeats_and_streams_differ(void)
{
    struct prng a, b, c;
    prng_seed(&a, 7, 1);
    prng_seed(&b, 7, 1);
    prng_seed(&c, 7, 2);
    for (int i = 0; i < 100; i++) {
        uint64_t v = prng_next(&a);
        ASSERT_EQ(v, prng_next(&b));
        ASSERT(v != prng_next(&c));
    }
    struct prng known = {{1, 2, 3, 4}}; /* first outputs by the published definition, worked by hand */
    ASSERT_EQ(prng_next(&known), 11520);
    ASSERT_EQ(prng_next(&known), 0);
    ASSERT_EQ(prng_next(&known), 1509978240);
}

static void prng_below_is_even(void)
{
    struct prng p;
    prng_seed(&p, 3, 0);
    unsigned seen[10] = {0}, hits = 0;
    for (int i = 0; i < 100000; i++) {
        uint64_t v = prng_below(&p, 10);
        ASSERT(v < 10);
        seen[v]++;
        hits += prng_chance(&p, 1, 4);
    }
    for (int i = 0; i < 10; i++) ASSERT(seen[i] > 9500 && seen[i] < 10500);
    ASSERT(hits > 24000 && hits < 26000);
    ASSERT(!prng_chance(&p, 0, 5) && prng_chance(&p, 5, 5));
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void histogram_percentiles_are_within_a_sixteenth(void)
{
    enum { N = 10000 };
    static uint64_t values[N];
    struct mem *m = mem_create(1 << 20);
    struct histogram *h = histogram_create(m), *other = histogram_create(m);
    struct prng p;
    prng_seed(&p, 5, 0);
    uint64_t sum = 0;
    for (int i = 0; i < N; i++) {
        values[i] = prng_next(&p) >> (24 + prng_below(&p, 40));
        sum += values[i];
        histogram_record(i % 3 == 0 ? h : other, values[i]);
    }
    histogram_merge(h, other);
    qsort(values, N, sizeof values[0], by_value);
    ASSERT_EQ(histogram_count(h), N);
    ASSERT_EQ(histogram_sum(h), sum);
    ASSERT_EQ(histogram_max(h), values[N - 1]);
    for (int percent = 1; percent <= 100; percent++) {
        uint64_t exact = values[N / 100 * percent - 1], got = histogram_percentile(h, percent);
        ASSERT(got >= exact && got <= exact + exact / 16);
    }
    uint64_t below = 0;
    while (values[below] <= 1023) below++;
    ASSERT_EQ(histogram_count_upto(h, 1023), below);
    histogram_destroy(h);
    histogram_destroy(other);
    mem_destroy(m);
}

static void histogram_edges(void)
{
    struct histogram h = {0};
    ASSERT_EQ(histogram_percentile(&h, 99), 0);
    histogram_record(&h, 0);
    ASSERT_EQ(histogram_percentile(&h, 100), 0);
    histogram_record(&h, UINT64_MAX);
    ASSERT_EQ(histogram_percentile(&h, 100), UINT64_MAX);
    ASSERT_EQ(histogram_percentile(&h, 50), 0);
    histogram_reset(&h);
    ASSERT_EQ(histogram_count(&h), 0);
}

TEST_MAIN("base", {"the status rows are the table's", status_rows_are_the_tables},
          {"crc32c fits its definition at each length", crc_fits_the_definition_at_each_length},
          {"a prng repeats, streams differ", prng_repeats_and_streams_differ},
          {"prng_below is even", prng_below_is_even},
          {"percentiles are within 1/16", histogram_percentiles_are_within_a_sixteenth},
          {"histogram edges", histogram_edges})

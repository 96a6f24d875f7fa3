// SPDX-License-Identifier: Apache-2.0
/* Log lines and metrics output, byte for byte. */
#include "base/log.h"
#include "base/metrics.h"
#include "tests/unit/check_main.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char last[LOG_LINE_MAX + 1];
static int lines;

static void sink(void *arg, enum log_level level, const char *line, size_t size)
{
    (void)arg;
    (void)level;
    ASSERT(size <= LOG_LINE_MAX && line[size - 1] == '\n');
    memcpy(last, line, size);
    last[size] = '\0';
    lines++;
}

static void log_at(struct log *l, int64_t ns, int64_t wall, enum log_level level, const char *event, struct log_field f)
{
    log_write(l, (struct mono_ns){ns}, (struct wall_ms){wall}, level, event, &f, 1);
}

static void lines_are_structured(void)
{
    static struct log l;
    log_init(&l, sink, NULL, LOG_INFO, 3);
    lines = 0;
    log_at(&l, 0, 0, LOG_DEBUG, "x", LOG_INT("a", 1));
    ASSERT_EQ(lines, 0);
    log_at(&l, 0, 951782399999, LOG_INFO, "disk.full", LOG_INT("free", -1));
    ASSERT_STREQ(last, "2000-02-28T23:59:59.999Z INFO disk.full shard=3 free=-1\n");
    log_at(&l, 0, 951868800000, LOG_WARN, "t", LOG_STR("p", "a b\"\n\x01="));
    ASSERT_STREQ(last, "2000-03-01T00:00:00.000Z WARN t shard=3 p=\"a b\\\"\\n\\x01=\"\n");
    log_at(&l, 0, 1709164800000, LOG_ERROR, "t", LOG_STR("p", NULL));
    ASSERT_STREQ(last, "2024-02-29T00:00:00.000Z ERROR t shard=3 p=-\n");
    static char big[3000];
    memset(big, 'x', sizeof big - 1);
    log_at(&l, 0, 0, LOG_INFO, "t", LOG_STR("p", big));
    ASSERT_STREQ(last, "1970-01-01T00:00:00.000Z INFO t shard=3 p=...\n");
}

static void each_event_has_its_rate(void)
{
    static struct log l;
    log_init(&l, sink, NULL, LOG_INFO, 0);
    lines = 0;
    for (int i = 0; i < 25; i++) log_at(&l, i, 0, LOG_INFO, "often", LOG_INT("i", i));
    ASSERT_EQ(lines, LOG_BURST);
    log_at(&l, 30, 0, LOG_INFO, "rare", LOG_INT("i", 1));
    ASSERT_EQ(lines, LOG_BURST + 1);
    log_at(&l, NS_PER_S, 0, LOG_INFO, "often", LOG_INT("i", 25));
    ASSERT_STREQ(last, "1970-01-01T00:00:00.000Z INFO often shard=0 suppressed=15 i=25\n");
    log_at(&l, NS_PER_S, 0, LOG_INFO, "often", LOG_INT("i", 26));
    ASSERT(strstr(last, "suppressed") == NULL);
}

static size_t print(const struct samples *const *sets, size_t count, char *out, size_t capacity)
{
    size_t n = 0;
    ASSERT_EQ(samples_print(sets, count, out, capacity, &n), STATUS_OK);
    ASSERT(n < capacity);
    out[n] = '\0';
    return n;
}

static const struct metric_scale SMALL = {.per_unit = 1e9, .first = 10, .last = 12, .step = 2};

static void shards_are_merged_and_sorted(void)
{
    struct mem *m = mem_create(10 << 20);
    struct metrics *a = metrics_create(m), *b = metrics_create(m);
    struct samples *sa = samples_create(m, MEM_CONTROL), *sb = samples_create(m, MEM_CONTROL);
    const struct samples *both[] = {sa, sb};
    struct metric_label x = {"topic", "x"}, odd = {"topic", "a\"\\\n"};
    metrics_counter(b, "leat_in_total", "bytes in", &x, 1)->value = 5;
    metrics_counter(a, "leat_in_total", "bytes in", &x, 1)->value = 7;
    metrics_counter(a, "leat_in_total", "bytes in", &odd, 1)->value = 1;
    ASSERT_EQ(metrics_counter(a, "leat_in_total", "bytes in", &x, 1)->value, 7); /* the same one */
    metrics_gauge(b, "leat_conns", "connections", NULL, 0)->value = -2;
    histogram_record(metrics_histogram(a, "leat_s", "time", &SMALL, &x, 1), 1000);
    histogram_record(metrics_histogram(b, "leat_s", "time", &SMALL, &x, 1), 3000);
    histogram_record(metrics_histogram(b, "leat_s", "time", &SMALL, &x, 1), 5000000000);
    metrics_sample(a, sa);
    metrics_sample(b, sb);
    ASSERT_EQ(samples_seal(sa), STATUS_OK);
    ASSERT_EQ(samples_seal(sb), STATUS_OK);
    char out[4096];
    size_t n = print(both, 2, out, sizeof out);
    ASSERT_STREQ(out, "# HELP leat_conns connections\n# TYPE leat_conns gauge\nleat_conns -2\n"
                      "# HELP leat_in_total bytes in\n# TYPE leat_in_total counter\n"
                      "leat_in_total{topic=\"a\\\"\\\\\\n\"} 1\nleat_in_total{topic=\"x\"} 12\n"
                      "# HELP leat_s time\n# TYPE leat_s histogram\n"
                      "leat_s_bucket{topic=\"x\",le=\"1.024e-06\"} 1\n"
                      "leat_s_bucket{topic=\"x\",le=\"4.096e-06\"} 2\n"
                      "leat_s_bucket{topic=\"x\",le=\"+Inf\"} 3\n"
                      "leat_s_sum{topic=\"x\"} 5.000004\nleat_s_count{topic=\"x\"} 3\n");
    char full[4096];
    size_t size = 0;
    ASSERT_EQ(samples_print(both, 2, full, n, &size), STATUS_BUSY);
    ASSERT_EQ(samples_print(both, 2, full, n + 1, &size), STATUS_OK);
    ASSERT(size == n && memcmp(full, out, n) == 0);
    mem_fail_nth(m, 2); /* the histogram behind the series */
    ASSERT(metrics_histogram(a, "leat_new", "new", &SMALL, NULL, 0) == NULL);
    metrics_destroy(a);
    metrics_destroy(b);
    samples_destroy(sa);
    samples_destroy(sb);
    mem_destroy(m);
}

/* The count of each bucket line of the text: they grow, and the last is the count. */
static void expect_cumulative(const char *text, unsigned buckets, uint64_t count)
{
    uint64_t before = 0;
    unsigned seen = 0;
    for (const char *at = text; (at = strstr(at, "_bucket{")) != NULL; seen++) {
        at = strchr(at, '}') + 2;
        uint64_t n = strtoull(at, NULL, 10);
        ASSERT(n >= before);
        before = n;
    }
    ASSERT_EQ(seen, buckets);
    ASSERT_EQ(before, count);
}

static void buckets_are_cumulative_and_bounded(void)
{
    static const struct metric latency = {METRIC_HISTOGRAM, "leat_t_seconds", "time", &SCALE_LATENCY};
    struct mem *m = mem_create(10 << 20);
    struct histogram *h = histogram_create(m);
    struct samples *s = samples_create(m, MEM_CONTROL);
    const struct samples *one[] = {s};
    uint64_t v = 1;
    for (int i = 0; i < 1000; i++, v = v * 17 % 99999989933) histogram_record(h, v);
    uint64_t counts[25];
    histogram_counts(h, 12, 36, 1, counts);
    for (unsigned i = 0; i < 25; i++) ASSERT_EQ(counts[i], histogram_count_upto(h, ((uint64_t)1 << (12 + i)) - 1));
    samples_histogram(s, &latency, NULL, 0, h);
    samples_histogram(s, &latency, NULL, 0, h); /* the same series again: added up */
    ASSERT_EQ(samples_seal(s), STATUS_OK);
    char out[8192];
    (void)print(one, 1, out, sizeof out);
    expect_cumulative(out, 26, 2000);
    ASSERT(strstr(out, "leat_t_seconds_bucket{le=\"4.096e-06\"} ") != NULL);
    ASSERT(strstr(out, "leat_t_seconds_bucket{le=\"68.7194767\"} ") != NULL);
    ASSERT(strstr(out, "leat_t_seconds_count 2000\n") != NULL);
    samples_reset(s); /* and it can be filled anew */
    ASSERT_EQ(samples_seal(s), STATUS_OK);
    ASSERT_EQ(print(one, 1, out, sizeof out), 0);
    samples_destroy(s);
    histogram_destroy(h);
    mem_destroy(m);
}

static void numbers_are_exact_or_short(void)
{
    static const struct metric names[] = {{METRIC_GAUGE, "a", "h", NULL},
                                          {METRIC_GAUGE, "b", "h", NULL},
                                          {METRIC_GAUGE, "c", "h", NULL},
                                          {METRIC_COUNTER, "d", "h", NULL},
                                          {METRIC_COUNTER, "e", "h", NULL}};
    static const double values[] = {0.1, -3, 1790000000.125, 9007199254740991, 1e19};
    struct mem *m = mem_create(10 << 20);
    struct samples *s = samples_create(m, MEM_CONTROL);
    const struct samples *one[] = {s};
    for (int i = 4; i >= 0; i--) samples_value(s, &names[i], NULL, 0, values[i]);
    ASSERT_EQ(samples_seal(s), STATUS_OK);
    char out[1024], *at = out;
    (void)print(one, 1, out, sizeof out);
    static const char *const lines_wanted[] = {"\na 0.1\n", "\nb -3\n", "\nc 1790000000.125\n",
                                               "\nd 9007199254740991\n", "\ne 1e+19\n"};
    for (int i = 0; i < 5; i++) {
        at = strstr(at, lines_wanted[i]);
        ASSERT(at != NULL);
    }
    samples_destroy(s);
    mem_destroy(m);
}

/* Every allocation fails once: the set says so when it is sealed, and is whole when filled again. */
static void a_set_without_room_says_so(void)
{
    static const struct metric value = {METRIC_GAUGE, "leat_v", "value", NULL};
    static const struct metric time = {METRIC_HISTOGRAM, "leat_t", "time", &SMALL};
    struct mem *m = mem_create(10 << 20);
    struct histogram *h = histogram_create(m);
    int failed = 0;
    for (uint64_t nth = 1; nth < 20; nth++) {
        struct samples *s = samples_create(m, MEM_CONTROL);
        mem_fail_nth(m, nth);
        for (int i = 0; i < 300; i++) {
            char number[16];
            snprintf(number, sizeof number, "%d", i);
            struct metric_label l = {"n", number};
            samples_value(s, &value, &l, 1, i);
            samples_histogram(s, &time, &l, 1, h);
        }
        mem_fail_nth(m, 0);
        enum status status = samples_seal(s);
        ASSERT(status == STATUS_OK || status == STATUS_NO_MEMORY);
        failed += status == STATUS_NO_MEMORY;
        samples_destroy(s);
    }
    ASSERT(failed > 5 && failed < 19);
    histogram_destroy(h);
    mem_destroy(m);
}

TEST_MAIN("telemetry", {"lines are structured", lines_are_structured},
          {"each event has its rate", each_event_has_its_rate},
          {"shards are merged and sorted", shards_are_merged_and_sorted},
          {"buckets are cumulative and bounded", buckets_are_cumulative_and_bounded},
          {"numbers are exact or short", numbers_are_exact_or_short},
          {"a set without room says so", a_set_without_room_says_so})

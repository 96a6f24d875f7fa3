// SPDX-License-Identifier: Apache-2.0
/* Log lines and metrics output, byte for byte. */
#include "base/log.h"
#include "base/metrics.h"
#include "tests/unit/check_main.h"
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

static void shards_are_merged_and_sorted(void)
{
    struct mem *m = mem_create(10 << 20);
    struct metrics *a = metrics_create(m), *b = metrics_create(m);
    const struct metrics *both[] = {a, b};
    struct metric_label x = {"topic", "x"}, odd = {"topic", "a\"\\\n"};
    metrics_counter(b, "leat_in_total", "bytes in", &x, 1)->value = 5;
    metrics_counter(a, "leat_in_total", "bytes in", &x, 1)->value = 7;
    metrics_counter(a, "leat_in_total", "bytes in", &odd, 1)->value = 1;
    ASSERT_EQ(metrics_counter(a, "leat_in_total", "bytes in", &x, 1)->value, 7); /* the same one */
    metrics_gauge(b, "leat_conns", "connections", NULL, 0)->value = -2;
    histogram_record(metrics_histogram(a, "leat_s", "time", 1e9, &x, 1), 1000);
    histogram_record(metrics_histogram(b, "leat_s", "time", 1e9, &x, 1), 3000);
    char out[4096];
    size_t n = 0;
    ASSERT_EQ(metrics_print(both, 2, out, sizeof out, &n), STATUS_OK);
    out[n] = '\0';
    static const char head[] = "# HELP leat_conns connections\n# TYPE leat_conns gauge\nleat_conns -2\n"
                               "# HELP leat_in_total bytes in\n# TYPE leat_in_total counter\n"
                               "leat_in_total{topic=\"a\\\"\\\\\\n\"} 1\nleat_in_total{topic=\"x\"} 12\n"
                               "# HELP leat_s time\n# TYPE leat_s histogram\n"
                               "leat_s_bucket{topic=\"x\",le=\"1.024e-06\"} 1\n"
                               "leat_s_bucket{topic=\"x\",le=\"4.096e-06\"} 2\n";
    ASSERT(strncmp(out, head, sizeof head - 1) == 0);
    ASSERT(strstr(out, "leat_s_bucket{topic=\"x\",le=\"+Inf\"} 2\nleat_s_sum{topic=\"x\"} ") != NULL);
    static const char tail[] = "\nleat_s_count{topic=\"x\"} 2\n";
    ASSERT_STREQ(out + n - (sizeof tail - 1), tail);
    char full[4096];
    size_t size = 0;
    ASSERT_EQ(metrics_print(both, 2, full, n, &size), STATUS_BUSY);
    ASSERT_EQ(metrics_print(both, 2, full, n + 1, &size), STATUS_OK);
    ASSERT(size == n && memcmp(full, out, n) == 0);
    mem_fail_nth(m, 2); /* the histogram behind the series */
    ASSERT(metrics_histogram(a, "leat_new", "new", 1, NULL, 0) == NULL);
    metrics_destroy(a);
    metrics_destroy(b);
    mem_destroy(m);
}

TEST_MAIN("telemetry", {"lines are structured", lines_are_structured},
          {"each event has its rate", each_event_has_its_rate},
          {"shards are merged and sorted", shards_are_merged_and_sorted})

// SPDX-License-Identifier: Apache-2.0
/* The rule of retention as tables: which segments of a log go, for which settings. */
#include "base/bytes.h"
#include "storage/retention.h"
#include "tests/unit/check_main.h"

#define OPEN UINT64_MAX
#define NOW  100000
enum { SEGMENTS_MAX = 6 };

/* Segments of 100 bytes and 10 offsets each, the newest record of segment i at `newest[i]`; count ends with -2. */
static struct retention_verdict decide(const struct partition_settings *c, const int64_t *newest, int64_t log_start,
                                       int64_t high_watermark)
{
    static struct segment s[SEGMENTS_MAX];
    uint32_t n = 0;
    for (; newest[n] != -2; n++)
        s[n] = (struct segment){.base = n * 10, .start = n * 100ull, .length = 100, .newest_ms = newest[n]};
    s[n - 1].length = OPEN;
    struct retention_log l = {.segments = s,
                              .count = n,
                              .end_pos = n * 100ull,
                              .log_start = log_start,
                              .high_watermark = high_watermark,
                              .log_end = n * 10};
    return retention_decide(c, &l, NOW);
}

static struct partition_settings settings(int64_t bytes, int64_t ms)
{
    return (struct partition_settings){.retention_bytes = bytes, .retention_ms = ms, .deletes = true};
}

static void by_size(void)
{
    static const int64_t newest[] = {1, 2, 3, 4, -2};
    static const struct {
        int64_t retention_bytes, log_start;
        uint32_t segments;
        bool roll;
    } rows[] = {{-1, NO_OFFSET, 0, false}, {400, NO_OFFSET, 0, false}, {301, NO_OFFSET, 0, false},
                {300, 10, 1, false},       {299, 10, 1, false},        {201, 10, 1, false},
                {200, 20, 2, false},       {100, 30, 3, false},        {1, 30, 3, false},
                {0, 40, 4, true}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct partition_settings c = settings(rows[i].retention_bytes, -1);
        struct retention_verdict v = decide(&c, newest, 0, 40);
        ASSERT_EQ(v.log_start, rows[i].log_start);
        ASSERT_EQ(v.segments, rows[i].segments);
        ASSERT_EQ(v.bytes, rows[i].segments * 100);
        ASSERT_EQ(v.roll, rows[i].roll);
    }
}

static void by_time(void)
{
    static const int64_t rising[] = {NOW - 50, NOW - 40, NOW - 30, NOW - 20, -2};
    static const int64_t one_is_young[] = {NOW - 50, NOW + 900, NOW - 40, NOW - 30, -2};
    static const int64_t no_record_yet[] = {NOW - 50, -1, -2};
    static const struct {
        const int64_t *newest;
        int64_t retention_ms, log_start;
        bool roll;
    } rows[] = {{rising, -1, NO_OFFSET, false}, {rising, 50, NO_OFFSET, false}, /* strictly older */
                {rising, 49, 10, false},        {rising, 30, 20, false},        {rising, 20, 30, false},
                {rising, 19, 40, true},         {rising, 0, 40, true},          {one_is_young, 10, 10, false},
                {no_record_yet, 10, 10, false}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct partition_settings c = settings(-1, rows[i].retention_ms);
        int64_t end = rows[i].newest == no_record_yet ? 20 : 40;
        struct retention_verdict v = decide(&c, rows[i].newest, 0, end);
        ASSERT_EQ(v.log_start, rows[i].log_start);
        ASSERT_EQ(v.roll, rows[i].roll);
    }
}

/* Both: by size from the front, then by time from there; never what is younger behind an old one. */
static void by_both(void)
{
    static const int64_t newest[] = {NOW - 1, NOW - 90, NOW - 80, NOW - 1, -2};
    struct partition_settings c = settings(300, 50);
    ASSERT_EQ(decide(&c, newest, 0, 40).log_start, 30);
    c.retention_bytes = 301;
    ASSERT_EQ(decide(&c, newest, 0, 40).log_start, NO_OFFSET);
}

static void never_above_the_high_watermark(void)
{
    static const int64_t newest[] = {1, 2, 3, -2};
    struct partition_settings c = settings(0, 0);
    ASSERT_EQ(decide(&c, newest, 0, 30).log_start, 30);
    ASSERT(!decide(&c, newest, 0, 29).roll);
    ASSERT_EQ(decide(&c, newest, 0, 29).log_start, 20);
    ASSERT_EQ(decide(&c, newest, 0, 10).log_start, 10);
    ASSERT_EQ(decide(&c, newest, 0, 9).log_start, NO_OFFSET);
}

/* Segments below the log start count as gone already, and are no reason to move it. */
static void with_a_log_start(void)
{
    static const int64_t newest[] = {NOW, NOW, NOW, NOW, -2};
    struct partition_settings c = settings(-1, -1);
    ASSERT_EQ(decide(&c, newest, 25, 40).log_start, NO_OFFSET);
    c.retention_bytes = 100;
    ASSERT_EQ(decide(&c, newest, 25, 40).log_start, 30);
    ASSERT_EQ(decide(&c, newest, 35, 40).log_start, NO_OFFSET);
    c.retention_bytes = 300;
    ASSERT_EQ(decide(&c, newest, 15, 40).log_start, NO_OFFSET);
}

static void only_where_the_policy_deletes(void)
{
    static const int64_t newest[] = {1, 2, -2};
    struct partition_settings c = settings(0, 0);
    c.deletes = false;
    c.compacts = true;
    ASSERT_EQ(decide(&c, newest, 0, 20).log_start, NO_OFFSET);
    c.deletes = true;
    ASSERT_EQ(decide(&c, newest, 0, 20).log_start, 20);
}

/* The active segment is empty: it stays, there is no roll after a roll. */
static void an_empty_active_segment_stays(void)
{
    struct segment s[2] = {{.base = 0, .start = 0, .length = 100, .newest_ms = 5},
                           {.base = 10, .start = 100, .length = OPEN, .newest_ms = -1}};
    struct retention_log l = {.segments = s, .count = 2, .end_pos = 100, .high_watermark = 10, .log_end = 10};
    struct partition_settings c = settings(0, 0);
    struct retention_verdict v = retention_decide(&c, &l, NOW);
    ASSERT(v.log_start == 10 && !v.roll && v.segments == 1);
    l.segments = s + 1;
    l.count = 1;
    l.log_start = 10;
    ASSERT_EQ(retention_decide(&c, &l, NOW).log_start, NO_OFFSET);
}

static void c2_a_clock_that_jumps_ahead(void)
{
    static const struct {
        int64_t mono_s, wall_s, want_s;
        bool jumped;
    } steps[] = {
        {10, 1010, 1010, false},                         /* as time goes */
        {20, 1079, 1079, false},                         /* a little ahead: believed */
        {30, 5000, 1099, true},                          /* a jump: twice as fast */
        {40, 5010, 1119, false},  {50, 500, 500, false}, /* back: at once */
        {60, 510, 510, false},    {70, 900, 530, true},
        {270, 1100, 930, false},  {470, 1300, 1300, false}, /* caught up */
        {480, 1310, 1310, false},
    };
    struct retention_clock c;
    retention_clock_init(&c, (struct mono_ns){0}, (struct wall_ms){1000000});
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        bool jumped;
        int64_t ms = retention_clock_read(&c, (struct mono_ns){steps[i].mono_s * NS_PER_S},
                                          (struct wall_ms){steps[i].wall_s * 1000}, &jumped);
        ASSERT_EQ(ms, steps[i].want_s * 1000);
        ASSERT_EQ(jumped, steps[i].jumped);
    }
}

TEST_MAIN("retention", {"by size", by_size}, {"by time", by_time}, {"by both", by_both},
          {"never above the high watermark", never_above_the_high_watermark}, {"with a log start", with_a_log_start},
          {"only where the policy deletes", only_where_the_policy_deletes},
          {"an empty active segment stays", an_empty_active_segment_stays},
          {"C2 a clock that jumps ahead", c2_a_clock_that_jumps_ahead})

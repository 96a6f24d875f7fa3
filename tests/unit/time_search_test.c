// SPDX-License-Identifier: Apache-2.0
/* The search by time against a plain walk, over random logs: segments of granules of batches, times in any order,
 * bounds that are too high, a window that cuts through batches; and a few logs by hand. */
#include "base/bytes.h"
#include "base/check.h"
#include "base/prng.h"
#include "storage/time_search.h"
#include "tests/unit/check_main.h"

enum { RECORDS_MAX = 600, SEGMENTS_MAX = 12 };

struct log {
    int64_t ms[RECORDS_MAX]; /* of each record; its place is its offset */
    int batch[RECORDS_MAX], granule[RECORDS_MAX], segment[RECORDS_MAX];
    int64_t slack[RECORDS_MAX]; /* what a bound is too high, by granule */
    int count;
    struct segment segments[SEGMENTS_MAX];
    uint32_t segment_count;
    unsigned batches_read, passes;
};

static struct log l;

static int64_t max_of(const int *of, int which, int64_t slack)
{
    int64_t ms = -1;
    for (int i = 0; i < l.count; i++)
        if (of[i] == which) ms = MAX(ms, l.ms[i]);
    return ms + slack;
}

/* One record per line of {segment, granule, batch} steps: a record begins a new one where the flag is set. */
static void add(int64_t ms, bool segment, bool granule, bool batch)
{
    int i = l.count++;
    CHECK(i < RECORDS_MAX);
    l.ms[i] = ms;
    l.batch[i] = i == 0 ? 0 : l.batch[i - 1] + (batch || granule || segment);
    l.granule[i] = i == 0 ? 0 : l.granule[i - 1] + (granule || segment);
    l.segment[i] = i == 0 ? 0 : l.segment[i - 1] + segment;
}

static void seal(int64_t segment_slack)
{
    l.segment_count = (uint32_t)l.segment[l.count - 1] + 1;
    CHECK(l.segment_count <= SEGMENTS_MAX);
    for (int i = l.count - 1; i >= 0; i--) {
        struct segment *s = &l.segments[l.segment[i]];
        s->base = i;
        s->newest_ms = max_of(l.segment, l.segment[i], segment_slack);
    }
    for (int i = 0; i < l.count; i++) /* no bound is below a granule's in it */
        l.segments[l.segment[i]].newest_ms =
            MAX(l.segments[l.segment[i]].newest_ms, max_of(l.granule, l.granule[i], l.slack[l.granule[i]]));
}

/* The batch that begins at record i, searched as batch_time_find does. */
static void read_batch(struct time_search *s, int i)
{
    int end = i;
    while (end < l.count && l.batch[end] == l.batch[i]) end++;
    struct batch_info info = {.base_offset = i,
                              .last_offset_delta = end - i - 1,
                              .max_timestamp_ms = max_of(l.batch, l.batch[i], l.slack[l.granule[i]] / 2)};
    struct batch_time_query q;
    if (!time_search_wants(s, &info, &q)) return;
    struct batch_time t = {.offset = -1};
    for (int k = i; k < end; k++) {
        if (k < q.from_offset || l.ms[k] < q.from_ms) continue;
        if (t.offset >= 0 && (!q.largest || l.ms[k] <= t.timestamp_ms)) continue;
        t = (struct batch_time){.offset = k, .timestamp_ms = l.ms[k]};
    }
    l.batches_read++;
    if (t.offset >= 0) time_search_found(s, &t, 3);
}

static void read_range(struct time_search *s, int64_t at, int64_t end)
{
    int i = (int)at;
    while (i > 0 && l.batch[i - 1] == l.batch[i]) i--;
    while (i < end && !time_search_over(s)) {
        read_batch(s, i);
        for (int b = l.batch[i]; i < l.count && l.batch[i] == b;) i++;
    }
    if (!time_search_over(s)) time_search_read(s);
}

/* False: nothing is left in this segment, or the answer is found. */
static bool pass(struct time_search *s, uint32_t segment)
{
    int64_t at, end, segment_end = segment + 1 < l.segment_count ? l.segments[segment + 1].base : INT64_MAX;
    l.passes++;
    time_search_pass(s);
    for (int i = 0; i < l.count && !time_search_pass_over(s); i++) {
        if (l.segment[i] != (int)segment || (i > 0 && l.granule[i - 1] == l.granule[i])) continue;
        struct granule g = {.first_offset = i, .max_ms = max_of(l.granule, l.granule[i], l.slack[l.granule[i]])};
        time_search_granule(s, &g);
    }
    if (!time_search_pick(s, segment_end, &at, &end)) return false;
    read_range(s, at, end);
    return !time_search_over(s);
}

static int64_t search(bool largest, int64_t from_ms, int64_t from, int64_t to, int64_t *ret_ms)
{
    struct time_search s;
    uint32_t segment;
    l.batches_read = l.passes = 0;
    time_search_init(&s, largest, from_ms, from, to, &l.segments[l.segment_count - 1]);
    while (!time_search_over(&s) && time_search_segment(&s, l.segments, l.segment_count, &segment))
        while (pass(&s, segment)) continue;
    if (!s.found) return -1;
    ASSERT_EQ(s.epoch, 3);
    *ret_ms = s.best.timestamp_ms;
    return s.best.offset;
}

/* Records of a batch that reaches over `to` do not count: it is not committed as a whole. */
static int64_t brute(bool largest, int64_t from_ms, int64_t from, int64_t to, int64_t *ret_ms)
{
    int64_t found = -1;
    while (to > from && to < l.count && l.batch[to - 1] == l.batch[to]) to--;
    for (int i = (int)from; i < to; i++) {
        if (l.ms[i] < from_ms || (found >= 0 && (!largest || l.ms[i] <= *ret_ms))) continue;
        found = i;
        *ret_ms = l.ms[i];
    }
    return found;
}

static void random_log(struct prng *rng)
{
    int count = 1 + (int)prng_below(rng, RECORDS_MAX - 1);
    uint64_t disorder = 1 + prng_below(rng, 3) * 40;
    l.count = 0;
    for (int i = 0, segments = 1; i < count; i++) {
        bool segment = segments < SEGMENTS_MAX && prng_below(rng, 60) == 0;
        segments += segment;
        add(i / 3 + (int64_t)prng_below(rng, disorder) - 1, segment, prng_below(rng, 9) == 0, prng_below(rng, 3) == 0);
    }
    for (int i = 0; i < RECORDS_MAX; i++) l.slack[i] = prng_below(rng, 5) == 0 ? (int64_t)prng_below(rng, 40) : 0;
    seal(prng_below(rng, 4) == 0 ? 30 : 0);
}

static void as_a_walk_finds_it(void)
{
    struct prng rng;
    prng_seed(&rng, 11, 1);
    for (int round = 0; round < 1500; round++) {
        random_log(&rng);
        for (int k = 0; k < 12; k++) {
            int64_t from = (int64_t)prng_below(&rng, (uint64_t)l.count + 1), a = -1, b = -1;
            int64_t to = from + (int64_t)prng_below(&rng, (uint64_t)(l.count - from) + 1);
            int64_t ms = k % 3 == 0 ? 0 : (int64_t)prng_below(&rng, (uint64_t)l.count / 3 + 60);
            bool largest = k % 3 == 0;
            if (k % 4 == 0) from = 0, to = l.count;
            ASSERT_EQ(search(largest, ms, from, to, &a), brute(largest, ms, from, to, &b));
            ASSERT_EQ(a, b);
        }
    }
}

/* Times that only rise, exact bounds: one batch is read for either question, however long the log is. */
static void one_batch_where_times_rise(void)
{
    int64_t ms;
    l.count = 0;
    memset(l.slack, 0, sizeof l.slack);
    for (int i = 0; i < 400; i++) add(1000 + i, i % 100 == 0 && i > 0, i % 10 == 0, i % 5 == 0);
    seal(0);
    ASSERT_EQ(search(false, 1234, 0, 400, &ms), 234);
    ASSERT_EQ(ms, 1234);
    ASSERT_EQ(l.batches_read, 1);
    ASSERT_EQ(l.passes, 1);
    ASSERT_EQ(search(true, 0, 0, 400, &ms), 399);
    ASSERT_EQ(l.batches_read, 2);                 /* of one granule */
    ASSERT_EQ(search(true, 0, 0, 395, &ms), 394); /* what is not committed does not count, and costs no more */
    ASSERT_EQ(l.batches_read, 1);
    ASSERT_EQ(search(false, 1400, 0, 400, &ms), -1);
    ASSERT_EQ(l.batches_read, 0);
}

/* Of equal times the first counts, in another segment too; a lookup goes on where only trimmed records fit. */
static void ties_and_trimmed_records(void)
{
    int64_t ms;
    l.count = 0;
    memset(l.slack, 0, sizeof l.slack);
    add(50, false, false, false);
    add(90, false, true, true);
    add(60, false, false, true);
    add(90, true, true, true);
    add(70, true, true, true);
    seal(0);
    ASSERT_EQ(search(true, 0, 0, 5, &ms), 1);
    ASSERT_EQ(search(true, 0, 2, 5, &ms), 3);
    ASSERT_EQ(search(false, 65, 2, 5, &ms), 3);
    ASSERT_EQ(search(false, 65, 4, 5, &ms), 4);
    ASSERT_EQ(search(true, 0, 0, 1, &ms), 0);
    ASSERT_EQ(search(true, 0, 3, 3, &ms), -1);
}

/* The active segment's bound rises while it is searched: the search keeps to the moment of the question. */
static void a_bound_that_rises_meanwhile(void)
{
    struct time_search s;
    uint32_t segment;
    int64_t at, end;
    struct segment two[2] = {{.base = 0, .newest_ms = 100}, {.base = 10, .newest_ms = 90}};
    time_search_init(&s, true, 0, 0, 20, &two[1]);
    ASSERT(time_search_segment(&s, two, 2, &segment) && segment == 0);
    time_search_pass(&s);
    time_search_granule(&s, &(struct granule){.first_offset = 0, .max_ms = 100});
    ASSERT(time_search_pick(&s, 10, &at, &end) && at == 0 && end == 10);
    time_search_read(&s); /* the bound was too high: nothing in it */
    two[1].newest_ms = 500;
    time_search_pass(&s);
    time_search_granule(&s, &(struct granule){.first_offset = 0, .max_ms = 100});
    ASSERT(!time_search_pick(&s, 10, &at, &end));
    ASSERT(time_search_segment(&s, two, 2, &segment) && segment == 1);
    time_search_pass(&s);
    time_search_granule(&s, &(struct granule){.first_offset = 10, .max_ms = 90});
    ASSERT(time_search_pick(&s, INT64_MAX, &at, &end) && at == 10 && end == 20);
    time_search_found(&s, &(struct batch_time){.offset = 12, .timestamp_ms = 80}, 1);
    time_search_read(&s);
    time_search_pass(&s);
    time_search_granule(&s, &(struct granule){.first_offset = 10, .max_ms = 90});
    ASSERT(!time_search_pick(&s, INT64_MAX, &at, &end));
    ASSERT(!time_search_segment(&s, two, 2, &segment));
    ASSERT(s.found && s.best.offset == 12);
}

TEST_MAIN("time search", {"as a walk finds it", as_a_walk_finds_it},
          {"one batch is read where times rise", one_batch_where_times_rise},
          {"ties, and records below the log start", ties_and_trimmed_records},
          {"a bound that rises meanwhile", a_bound_that_rises_meanwhile})

// SPDX-License-Identifier: Apache-2.0
/* The pure parts of the load generator: records, schedule, checker, fetched batches, plan, error of a histogram. */
#include "base/bytes.h"
#include "base/check.h"
#include "base/clock.h"
#include "tests/unit/check_main.h"
#include "tools/bench/fetched.h"
#include "tools/bench/plan.h"
#include "tools/bench/schedule.h"
#include <stdlib.h>

#define RUN  0x1234abcdull
#define SIZE 100u

static uint8_t value[SIZE];

static const uint8_t *value_of(uint32_t stream, uint32_t partition, uint64_t sequence)
{
    static struct patterns p;
    if (p.bytes == NULL) patterns_make(&p, SIZE, PAYLOAD_RANDOM, false);
    struct record_head h = {.run = RUN, .stream = stream, .partition = partition, .sequence = sequence};
    memcpy(value, patterns_value(&p, sequence, &h), SIZE);
    return value;
}

/* ---- records ---- */

static void record_comes_back(void)
{
    struct patterns p;
    struct record_head in = {.run = 7, .stream = 8, .partition = 9, .sequence = 1ull << 40, .intended_ns = -5}, out;
    for (int payload = PAYLOAD_RANDOM; payload <= PAYLOAD_TEXT; payload++)
        for (uint32_t size = RECORD_HEAD_BYTES; size < 300; size += 37) {
            patterns_make(&p, size, (enum payload)payload, payload == PAYLOAD_TEXT);
            for (uint64_t n = 0; n < 3; n++) {
                const uint8_t *v = patterns_value(&p, n, &in);
                ASSERT_EQ(record_head_read(v, size, &out), RECORD_OURS);
                ASSERT(out.run == 7 && out.stream == 8 && out.partition == 9 && out.sequence == 1ull << 40);
                ASSERT_EQ(out.intended_ns, -5);
            }
            patterns_free(&p);
        }
}

static void every_flipped_bit_is_seen(void)
{
    struct record_head h;
    for (uint32_t bit = 0; bit < SIZE * 8; bit++) {
        value_of(1, 2, 3);
        value[bit / 8] ^= (uint8_t)(1u << bit % 8);
        ASSERT_EQ(record_head_read(value, SIZE, &h), bit < 32 ? RECORD_FOREIGN : RECORD_CORRUPT);
    }
    value_of(1, 2, 3);
    ASSERT_EQ(record_head_read(value, SIZE - 1, &h), RECORD_CORRUPT);
    ASSERT_EQ(record_head_read(value, RECORD_HEAD_BYTES - 1, &h), RECORD_FOREIGN);
}

/* ---- schedule ---- */

static void connections_share_the_rate(void)
{
    struct schedule a = {.begin_ns = 1000, .rate = 1000, .connection = 0, .connections = 2}, b = a;
    b.connection = 1;
    ASSERT_EQ(schedule_at_ns(&a, 0), 1000);
    ASSERT_EQ(schedule_at_ns(&b, 0), 1001000);
    ASSERT_EQ(schedule_at_ns(&a, 1), 2001000);
    ASSERT_EQ(schedule_before(&a, 1000), 0u);
    ASSERT_EQ(schedule_before(&a, 1001), 1u);
    ASSERT_EQ(schedule_before(&a, 1000 + 10 * NS_PER_S) + schedule_before(&b, 1000 + 10 * NS_PER_S), 10000u);
}

static void count_and_time_agree(void)
{
    struct schedule s = {.begin_ns = 17, .rate = 333333.3, .connection = 2, .connections = 7};
    for (int64_t limit = 0; limit < 400000; limit += 777) {
        uint64_t n = schedule_before(&s, limit);
        ASSERT(n == 0 || schedule_at_ns(&s, n - 1) < limit);
        ASSERT(schedule_at_ns(&s, n) >= limit);
    }
}

/* ---- checker ---- */

struct step {
    uint32_t stream, partition;
    uint64_t sequence;
};

static struct checker_counts run_steps(const struct step *steps, size_t count, uint64_t written)
{
    struct checker c;
    struct record_head h;
    checker_init(&c, RUN);
    for (size_t i = 0; i < count; i++)
        (void)checker_record(&c, steps[i].partition, (int64_t)i, false,
                             value_of(steps[i].stream, steps[i].stream, steps[i].sequence), SIZE, &h);
    checker_end(&c, 0, written);
    struct checker_counts got = c.counts;
    ASSERT_EQ(checker_good(&got), c.fault[0] == '\0');
    checker_deinit(&c);
    return got;
}

#define STEPS(written, ...)                                                                                            \
    run_steps((const struct step[]){__VA_ARGS__}, sizeof((const struct step[]){__VA_ARGS__}) / sizeof(struct step),    \
              written)

static void in_order_is_good(void)
{
    struct checker_counts c = STEPS(3, {0, 0, 0}, {1, 1, 0}, {0, 0, 1}, {0, 0, 2}, {1, 1, 1});
    ASSERT(checker_good(&c));
    ASSERT_EQ(c.records, 5u);
}

static void a_missing_tail_is_lost(void)
{
    struct checker_counts c = STEPS(5, {0, 0, 0}, {0, 0, 1});
    ASSERT_EQ(c.lost, 3u);
    c = STEPS(4, {1, 1, 0}); /* a stream that never came at all */
    ASSERT_EQ(c.lost, 4u);
}

static void a_hole_is_lost(void)
{
    struct checker_counts c = STEPS(5, {0, 0, 0}, {0, 0, 3}, {0, 0, 4});
    ASSERT(c.lost == 2 && c.doubled == 0 && c.reordered == 0);
    c = STEPS(2, {0, 0, 1}); /* the first one */
    ASSERT_EQ(c.lost, 1u);
}

static void a_late_record_is_reordered_not_lost(void)
{
    struct checker_counts c = STEPS(5, {0, 0, 0}, {0, 0, 4}, {0, 0, 2}, {0, 0, 1}, {0, 0, 3});
    ASSERT(c.lost == 0 && c.reordered == 3 && c.doubled == 0);
    c = STEPS(5, {0, 0, 0}, {0, 0, 4}, {0, 0, 2}, {0, 0, 2}, {0, 0, 3});
    ASSERT(c.lost == 1 && c.reordered == 2 && c.doubled == 1);
}

static void a_second_time_is_doubled(void)
{
    struct checker_counts c = STEPS(3, {0, 0, 0}, {0, 0, 1}, {0, 0, 1}, {0, 0, 0}, {0, 0, 2});
    ASSERT(c.doubled == 2 && c.lost == 0 && c.reordered == 0);
}

static void the_wrong_partition_is_seen(void)
{
    struct checker_counts c = STEPS(2, {0, 0, 0}, {0, 1, 1});
    ASSERT_EQ(c.misplaced, 1u);
}

static void others_records_are_counted(void)
{
    struct checker c;
    struct record_head h;
    checker_init(&c, RUN + 1);
    ASSERT(!checker_record(&c, 0, 0, false, value_of(0, 0, 0), SIZE, &h));
    ASSERT(!checker_record(&c, 0, 1, false, (const uint8_t *)"hello", 5, &h));
    ASSERT(!checker_record(&c, 0, 2, false, NULL, 0, &h));
    ASSERT(c.counts.foreign == 3 && checker_good(&c.counts));
    checker_deinit(&c);
    checker_init(&c, 0); /* the first one says the run */
    ASSERT(checker_record(&c, 0, 0, false, value_of(0, 0, 0), SIZE, &h));
    ASSERT_EQ(c.run, RUN);
    checker_deinit(&c);
}

static void a_trimmed_log_may_begin_anywhere(void)
{
    struct checker c;
    struct record_head h;
    checker_init(&c, RUN);
    ASSERT(checker_record(&c, 0, 700, true, value_of(0, 0, 700), SIZE, &h));
    ASSERT(checker_record(&c, 0, 701, true, value_of(0, 0, 701), SIZE, &h));
    ASSERT(checker_good(&c.counts));
    checker_deinit(&c);
}

/* ---- fetched batches ---- */

#define BATCHES 3u
#define RECORDS 4u

struct bytes_of {
    uint8_t data[8192];
    size_t size, second; /* where the second batch begins */
};

static void fetched_make(struct mem *mem, enum codec codec, struct bytes_of *ret)
{
    struct batch_options o;
    struct batch_builder b;
    uint64_t sequence = 0;
    batch_options_init(&o);
    o.codec = codec;
    batch_builder_init(&b, mem, &o);
    ret->size = 0;
    for (uint32_t i = 0; i < BATCHES; i++) {
        const uint8_t *data;
        size_t size;
        if (i == 1) ret->second = ret->size;
        o.base_offset = (int64_t)sequence;
        batch_builder_reset(&b, &o);
        for (uint32_t k = 0; k < RECORDS; k++, sequence++)
            CHECK_OK(batch_builder_append(&b, 1700000000000, "key", 3, value_of(0, 5, sequence), SIZE, NULL, 0));
        CHECK_OK(batch_builder_finish(&b, &data, &size));
        CHECK(ret->size + size <= sizeof ret->data);
        memcpy(ret->data + ret->size, data, size);
        ret->size += size;
    }
    batch_builder_deinit(&b);
}

static struct checker_counts fetched_counts(struct mem *mem, const struct bytes_of *b, int64_t from)
{
    struct checker c;
    struct fetched f = {.partition = 5, .from = from, .from_middle = from > 0, .mem = mem};
    checker_init(&c, RUN);
    fetched_check(&c, &f, b->data, b->size);
    struct checker_counts got = c.counts;
    checker_deinit(&c);
    return got;
}

static void batches_are_read_in_every_codec(void)
{
    struct mem *mem = mem_create(1ull << 30);
    struct bytes_of b;
    for (int codec = CODEC_NONE; codec < CODEC_COUNT; codec++) {
        int64_t offset = 0;
        uint64_t records;
        fetched_make(mem, (enum codec)codec, &b);
        ASSERT_EQ(fetched_scan(b.data, b.size, &offset, &records), STATUS_OK);
        ASSERT(offset == BATCHES * RECORDS && records == BATCHES * RECORDS);
        struct checker_counts c = fetched_counts(mem, &b, 0);
        ASSERT(checker_good(&c) && c.records == BATCHES * RECORDS);
        c = fetched_counts(mem, &b, 2); /* asked for the middle of a batch */
        ASSERT(checker_good(&c) && c.records == BATCHES * RECORDS - 2);
    }
    mem_destroy(mem);
}

static void a_cut_batch_waits(void)
{
    struct mem *mem = mem_create(1ull << 30);
    struct bytes_of b;
    fetched_make(mem, CODEC_NONE, &b);
    for (size_t cut = 0; cut <= b.size; cut++) {
        int64_t offset = 0;
        uint64_t records;
        ASSERT_EQ(fetched_scan(b.data, cut, &offset, &records), STATUS_OK);
        ASSERT(offset == (int64_t)records && records % RECORDS == 0);
        ASSERT_EQ(records > 0, cut >= b.second);
    }
    mem_destroy(mem);
}

static void planted_corruption_is_found(void)
{
    struct mem *mem = mem_create(1ull << 30);
    struct bytes_of good, bad;
    fetched_make(mem, CODEC_NONE, &good);
    for (size_t at = BATCH_HEADER_BYTES; at < good.second; at++) { /* bytes of the first batch's records */
        bad = good;
        bad.data[at] ^= 0x10;
        struct checker_counts c = fetched_counts(mem, &bad, 0);
        ASSERT_EQ(c.corrupt, 1u);
        ASSERT_EQ(c.records, (BATCHES - 1) * RECORDS);
    }
    bad = good; /* a whole batch twice, a whole batch missing: nothing is corrupt */
    memcpy(bad.data + bad.second, good.data, good.second);
    struct checker_counts c = fetched_counts(mem, &bad, 0);
    ASSERT(c.corrupt == 0 && c.doubled == RECORDS && c.lost == RECORDS && c.misplaced >= 1);
    mem_destroy(mem);
}

/* ---- plan ---- */

static void plan_check(const struct plan_input *in)
{
    struct plan p;
    uint32_t seen = 0, *writers = calloc(in->partitions, sizeof *writers),
             *readers = calloc(in->partitions, sizeof *readers);
    ASSERT(writers != NULL && readers != NULL);
    plan_make(&p, in);
    ASSERT(p.connection_count >= in->connections);
    for (uint32_t i = 0; i < p.connection_count; i++) {
        const struct plan_connection *c = &p.connections[i];
        ASSERT(c->first_stream == seen && c->stream_count > 0 && c->thread < in->threads);
        for (uint32_t k = 0; k < c->stream_count; k++) {
            const struct plan_stream *s = &p.streams[seen++];
            ASSERT(s->connection == i && in->leaders[s->partition] == c->broker);
            ASSERT_EQ(p.thread_of[s->partition], c->thread);
            writers[s->partition]++;
        }
    }
    ASSERT_EQ(seen, p.stream_count);
    for (uint32_t i = 0; i < p.reader_count; i++)
        for (uint32_t k = 0; k < p.readers[i].count; k++) {
            uint32_t partition = p.read_order[p.readers[i].first + k];
            ASSERT(in->leaders[partition] == p.readers[i].broker && p.thread_of[partition] == p.readers[i].thread);
            ASSERT(k == 0 || p.read_order[p.readers[i].first + k - 1] < partition);
            readers[partition]++;
        }
    for (uint32_t i = 0; i < in->partitions; i++) {
        ASSERT(writers[i] > 0 && readers[i] == 1);
        ASSERT(in->connections > in->partitions || in->brokers > 1 || writers[i] == 1);
    }
    plan_free(&p);
    free(writers);
    free(readers);
}

static void everything_is_dealt_once(void)
{
    uint32_t leaders[64];
    for (uint32_t brokers = 1; brokers <= 3; brokers++)
        for (uint32_t partitions = brokers; partitions <= 64; partitions += 9)
            for (uint32_t connections = 1; connections <= 70; connections += 13)
                for (uint32_t threads = 1; threads <= 3; threads++) {
                    for (uint32_t i = 0; i < partitions; i++) leaders[i] = i * 7 % brokers;
                    plan_check(&(struct plan_input){.leaders = leaders,
                                                    .partitions = partitions,
                                                    .brokers = brokers,
                                                    .connections = connections,
                                                    .readers = 1 + connections % 5,
                                                    .threads = threads});
                }
}

static void work_reaches_all_threads(void)
{
    uint32_t leaders[6] = {0}, used[2] = {0};
    struct plan p;
    plan_make(&p, &(struct plan_input){
                      .leaders = leaders, .partitions = 6, .brokers = 1, .connections = 4, .readers = 2, .threads = 2});
    for (uint32_t i = 0; i < p.connection_count; i++) used[p.connections[i].thread]++;
    ASSERT(used[0] == 2 && used[1] == 2);
    plan_free(&p);
}

TEST_MAIN("bench", {"a record comes back as it was written", record_comes_back},
          {"every flipped bit of a record is seen", every_flipped_bit_is_seen},
          {"connections share the rate evenly", connections_share_the_rate},
          {"count and time of the schedule agree", count_and_time_agree}, {"in order is good", in_order_is_good},
          {"a missing tail is lost", a_missing_tail_is_lost}, {"a hole is lost", a_hole_is_lost},
          {"a late record is reordered, not lost", a_late_record_is_reordered_not_lost},
          {"a second time is doubled", a_second_time_is_doubled},
          {"the wrong partition is seen", the_wrong_partition_is_seen},
          {"others' records are counted", others_records_are_counted},
          {"a trimmed log may begin anywhere", a_trimmed_log_may_begin_anywhere},
          {"batches are read in every codec", batches_are_read_in_every_codec},
          {"a cut batch waits for its rest", a_cut_batch_waits},
          {"planted corruption is found", planted_corruption_is_found},
          {"everything is dealt once", everything_is_dealt_once},
          {"work reaches all threads", work_reaches_all_threads})

// SPDX-License-Identifier: Apache-2.0
/* libleat's reader against a scripted cluster: every record once and in order, from and to where it was asked, whatever
 * goes wrong on the way. */
#include "clients/c/leat.h"
#include "base/bytes.h"
#include "base/crc32c.h"
#include "protocol/batch_record.h"
#include "tests/unit/check_main.h"
#include "tests/unit/fake_broker.h"
#include <stdio.h>

#define BATCHES 40 /* per partition, 5 records each, 10 ms apart */
#define T0      1000000

static struct fake_broker broker;
static struct leat_client *client;
static struct leat_reader *reader;
static struct leat_reader_options options;
static struct leat_error error;

struct canned { /* the same batch in each test: built once */
    uint8_t bytes[600];
    size_t size;
};

static struct mem *mem;

static void make_batch(struct canned *c, int32_t partition, int64_t offset, enum codec codec, bool control, int records)
{
    struct batch_options o;
    struct batch_builder b;
    const uint8_t *bytes;
    struct batch_header h = {(const uint8_t *)"name", (const uint8_t *)"value", 4, 5};
    if (mem == NULL) mem = mem_create(1u << 30);
    batch_options_init(&o);
    o.codec = codec;
    o.control = control;
    batch_builder_init(&b, mem, &o);
    for (int i = 0; i < records; i++) {
        char text[32];
        int len = snprintf(text, sizeof text, "%d/%lld", partition, (long long)offset + i);
        CHECK_OK(
            batch_builder_append(&b, T0 + 10 * (offset + i), "key", i % 2 == 0 ? 3 : -1, text, len, &h, i % 3 == 0));
    }
    CHECK_OK(batch_builder_finish(&b, &bytes, &c->size));
    CHECK(c->size <= sizeof c->bytes);
    memcpy(c->bytes, bytes, c->size);
    batch_builder_deinit(&b);
}

static void put_batch(int32_t partition, enum codec codec, bool control, int records)
{
    struct canned c;
    make_batch(&c, partition, broker.partitions[partition].end, codec, control, records);
    fake_broker_put(&broker, partition, c.bytes, c.size);
}

static void begin(void)
{
    static const enum codec codecs[] = {CODEC_NONE, CODEC_LZ4, CODEC_GZIP, CODEC_SNAPPY, CODEC_ZSTD};
    static struct canned canned[FAKE_PARTITIONS][BATCHES];
    struct leat_options o;
    fake_broker_init(&broker);
    for (int32_t p = 0; p < FAKE_PARTITIONS; p++)
        for (int i = 0; i < BATCHES; i++) {
            struct canned *c = &canned[p][i];
            if (c->size == 0) make_batch(c, p, 5 * i, codecs[(size_t)i % COUNT_OF(codecs)], false, 5);
            fake_broker_put(&broker, p, c->bytes, c->size);
        }
    leat_options_init(&o);
    o.brokers = "fake:9092";
    o.request_timeout_ms = 5000;
    ASSERT_EQ(leat_client_create(&o, &client, &error), LEAT_OK);
    leat_reader_options_init(&options);
    options.topic = "t";
    options.to.place = LEAT_TAIL;
    options.fetch_bytes = 2000; /* several answers, each with a cut batch */
}

static void open_reader(void)
{
    ASSERT_EQ(leat_reader_create(client, &options, &reader, &error), LEAT_OK);
}

static void end(void)
{
    leat_reader_destroy(reader);
    leat_client_destroy(client);
    fake_broker_deinit(&broker);
}

static void check_record(const struct leat_record *r, int64_t offset)
{
    char text[32];
    int len = snprintf(text, sizeof text, "%d/%lld", r->partition, (long long)offset);
    ASSERT_EQ(r->offset, offset);
    ASSERT(r->value_len == len && memcmp(r->value, text, (size_t)len) == 0);
    ASSERT_EQ(r->timestamp_ms, T0 + 10 * offset);
    int in_batch = (int)(offset % 5);
    ASSERT_EQ(r->key_len, in_batch % 2 == 0 ? 3 : -1);
    ASSERT_EQ(r->header_count, in_batch % 3 == 0 ? 1 : 0);
    if (r->header_count > 0) ASSERT(memcmp(r->headers[0].name, "name", 4) == 0 && r->headers[0].value_len == 5);
}

/* Reads to the end; each partition gives [from, to). */
static void read_whole(int64_t from, int64_t to, int partitions)
{
    int64_t next[FAKE_PARTITIONS];
    struct leat_record r;
    enum leat_code code;
    int begun = 0, ended = 0;
    for (int i = 0; i < FAKE_PARTITIONS; i++) next[i] = from;
    while ((code = leat_reader_next(reader, 60000, &r, &error)) == LEAT_OK) {
        ASSERT(r.partition >= 0 && r.partition < FAKE_PARTITIONS);
        check_record(&r, next[r.partition]++);
        ASSERT_EQ(leat_reader_position(reader, r.partition), next[r.partition]);
    }
    ASSERT_EQ(code, LEAT_END);
    for (int i = 0; i < FAKE_PARTITIONS; i++) {
        begun += next[i] > from;
        ended += next[i] == to;
    }
    ASSERT_EQ(begun, from < to ? partitions : 0);
    if (from < to) ASSERT_EQ(ended, partitions);
    ASSERT_EQ(leat_reader_next(reader, 1000, &r, &error), LEAT_END); /* and stays so */
}

static void everything_is_read_once(void)
{
    static const int32_t sizes[] = {1, 500, 2000, 8 << 20};
    static const size_t crumbs[] = {0, 1, 13};
    for (size_t i = 0; i < COUNT_OF(sizes); i++)
        for (size_t k = 0; k < COUNT_OF(crumbs); k++) {
            begin();
            options.fetch_bytes = sizes[i];
            fake_net.receive_max = crumbs[k];
            open_reader();
            read_whole(0, BATCHES * 5, FAKE_PARTITIONS);
            end();
        }
}

static void positions_are_where_they_should_be(void)
{
    static const struct {
        struct leat_position from, to;
        int64_t first, last;
    } rows[] = {
        {{LEAT_BEGINNING, 0}, {LEAT_TAIL, 0}, 0, 200},
        {{LEAT_AT_OFFSET, 7}, {LEAT_AT_OFFSET, 13}, 7, 13}, /* both inside a batch */
        {{LEAT_AT_OFFSET, 13}, {LEAT_AT_OFFSET, 7}, 13, 13},
        {{LEAT_TAIL, 3}, {LEAT_TAIL, 0}, 197, 200},
        {{LEAT_TAIL, 1000}, {LEAT_TAIL, 190}, 0, 10},
        {{LEAT_TAIL, 0}, {LEAT_TAIL, 0}, 200, 200},
        {{LEAT_AT_TIME, T0 + 1000}, {LEAT_AT_TIME, T0 + 1500}, 100, 150},
        {{LEAT_AT_TIME, T0 * 2}, {LEAT_TAIL, 0}, 200, 200},
        {{LEAT_AT_OFFSET, 200}, {LEAT_TAIL, 0}, 200, 200},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        begin();
        options.from = rows[i].from;
        options.to = rows[i].to;
        open_reader();
        read_whole(rows[i].first, rows[i].last, FAKE_PARTITIONS);
        end();
    }
}

/* However many partitions there are: a request to each leader for the beginnings, one for the ends. */
static void positions_cost_a_request_per_leader(void)
{
    struct leat_record r;
    begin();
    open_reader();
    ASSERT_EQ(leat_reader_next(reader, 1000, &r, &error), LEAT_OK);
    ASSERT_EQ(broker.requests[API_LIST_OFFSETS], 2 * FAKE_NODES);
    leat_reader_destroy(reader);
    options.from = (struct leat_position){LEAT_AT_TIME, INT64_MAX}; /* nothing is that young: ends once more */
    open_reader();
    ASSERT_EQ(leat_reader_next(reader, 1000, &r, &error), LEAT_END);
    ASSERT_EQ(broker.requests[API_LIST_OFFSETS], 5 * FAKE_NODES);
    end();
}

static void chosen_partitions_only(void)
{
    static const int32_t chosen[] = {2, 0};
    begin();
    options.partitions = chosen;
    options.partition_count = 2;
    open_reader();
    read_whole(0, 200, 2);
    ASSERT_EQ(leat_reader_position(reader, 1), -1);
    end();
}

/* Each partition has its own place: one is read from 7 to 9, one to its end, one has nothing, one is behind its end. */
static void each_partition_from_its_own_offset(void)
{
    static const int32_t partitions[] = {3, 0, 2, 1};
    static const int64_t from[] = {7, 198, 50, 200}, to[] = {9, 200, 50, 200};
    struct leat_record r;
    enum leat_code code;
    int64_t next[FAKE_PARTITIONS] = {198, 200, 50, 7};
    begin();
    options.partitions = partitions;
    options.partition_count = 4;
    options.from_offsets = from;
    options.to_offsets = to;
    open_reader();
    while ((code = leat_reader_next(reader, 60000, &r, &error)) == LEAT_OK) check_record(&r, next[r.partition]++);
    ASSERT_EQ(code, LEAT_END);
    ASSERT(next[0] == 200 && next[1] == 200 && next[2] == 50 && next[3] == 9);
    leat_reader_destroy(reader);
    reader = NULL;
    options.partitions = NULL; /* which partitions would they be of? */
    ASSERT_EQ(leat_reader_create(client, &options, &reader, &error), LEAT_INVALID);
    static const int64_t wrong[] = {0, 0, -1, 0};
    options.partitions = partitions;
    options.from_offsets = wrong;
    ASSERT_EQ(leat_reader_create(client, &options, &reader, &error), LEAT_INVALID);
    ASSERT(strstr(error.text, "partition 2") != NULL);
    end();
}

/* The first record of each partition and nothing more of it, whatever else has come by then. */
static void a_partition_can_be_finished(void)
{
    static const int32_t sizes[] = {1, 2000, 8 << 20};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        struct leat_record r;
        enum leat_code code;
        int seen[FAKE_PARTITIONS] = {0};
        begin();
        options.fetch_bytes = sizes[i];
        options.to.place = LEAT_NO_END;
        open_reader();
        leat_reader_finish(reader, 0); /* not begun: nothing to finish */
        while ((code = leat_reader_next(reader, 60000, &r, &error)) == LEAT_OK) {
            check_record(&r, 0);
            seen[r.partition]++;
            leat_reader_finish(reader, r.partition);
            leat_reader_finish(reader, 99);
        }
        ASSERT_EQ(code, LEAT_END);
        for (int p = 0; p < FAKE_PARTITIONS; p++) ASSERT_EQ(seen[p], 1);
        end();
    }
}

static void faults_lose_and_double_nothing(void)
{
    static const struct {
        enum fake_fault fault;
        int16_t code;
    } faults[] = {
        {FAULT_CLOSE, 0},
        {FAULT_LOSE, 0},
        {FAULT_SILENT, 0},
        {FAULT_CUT, 0},
        {FAULT_MOVE, 0},
        {FAULT_CODE, KAFKA_NOT_LEADER_OR_FOLLOWER},
        {FAULT_CODE, KAFKA_FENCED_LEADER_EPOCH},
        {FAULT_CODE, KAFKA_KAFKA_STORAGE_ERROR},
    };
    static const int16_t keys[] = {API_FETCH, API_LIST_OFFSETS, API_METADATA, API_API_VERSIONS};
    for (size_t f = 0; f < COUNT_OF(faults); f++)
        for (size_t k = 0; k < COUNT_OF(keys); k++)
            for (uint32_t nth = 1; nth <= 4; nth++) {
                begin();
                fake_broker_rule(&broker, keys[k], nth, faults[f].fault, faults[f].code);
                open_reader();
                read_whole(0, 200, FAKE_PARTITIONS);
                end();
            }
}

static void following_waits_and_goes_on(void)
{
    struct leat_record r;
    begin();
    options.from = (struct leat_position){LEAT_TAIL, 0};
    options.to = (struct leat_position){LEAT_NO_END, 0};
    open_reader();
    ASSERT_EQ(leat_reader_next(reader, 3000, &r, &error), LEAT_TIMED_OUT);
    put_batch(1, CODEC_LZ4, false, 5);
    for (int64_t i = 0; i < 5; i++) {
        ASSERT_EQ(leat_reader_next(reader, 3000, &r, &error), LEAT_OK);
        ASSERT_EQ(r.partition, 1);
        check_record(&r, 200 + i);
    }
    ASSERT_EQ(leat_reader_next(reader, 3000, &r, &error), LEAT_TIMED_OUT);
    ASSERT_EQ(leat_reader_next(reader, 0, &r, &error), LEAT_TIMED_OUT);
    for (uint16_t i = 0; i < FAKE_NODES; i++) {
        broker.down[i] = true;
        fake_close_all(FAKE_PORT + i);
    }
    ASSERT_EQ(leat_reader_next(reader, 3000, &r, &error), LEAT_UNREACHABLE);
    put_batch(1, CODEC_NONE, false, 5);
    broker.down[0] = broker.down[1] = broker.down[2] = false;
    ASSERT_EQ(leat_reader_next(reader, 3000, &r, &error), LEAT_OK);
    check_record(&r, 205);
    end();
}

static void an_offset_that_is_gone_is_said_with_what_there_is(void)
{
    struct leat_record r;
    begin();
    broker.partitions[0].log_start = 50;
    options.from = (struct leat_position){LEAT_AT_OFFSET, 7};
    static const int32_t chosen[] = {0};
    options.partitions = chosen;
    options.partition_count = 1;
    open_reader();
    ASSERT_EQ(leat_reader_next(reader, 3000, &r, &error), LEAT_BROKER);
    ASSERT_EQ(error.kafka_code, KAFKA_OFFSET_OUT_OF_RANGE);
    ASSERT(strstr(error.text, "50") != NULL && strstr(error.text, "200") != NULL && strstr(error.text, "t-0") != NULL);
    end();
}

static void control_batches_are_passed_over(void)
{
    struct leat_record r;
    begin();
    put_batch(0, CODEC_NONE, true, 1);
    static const int32_t chosen[] = {0};
    options.partitions = chosen;
    options.partition_count = 1;
    options.from = (struct leat_position){LEAT_AT_OFFSET, 199};
    open_reader();
    ASSERT_EQ(leat_reader_next(reader, 3000, &r, &error), LEAT_OK);
    ASSERT_EQ(r.offset, 199);
    ASSERT_EQ(leat_reader_next(reader, 3000, &r, &error), LEAT_END);
    ASSERT_EQ(leat_reader_position(reader, 0), 201);
    end();
}

/* One batch with a wrong checksum, one whose records do not decode behind a right one: named, passed over, the rest is
 * read. */
static void damage_is_named_and_passed_over(void)
{
    struct leat_record r;
    enum leat_code code;
    int records = 0, damaged = 0;
    begin();
    struct fake_batch *bad = &broker.partitions[0].batches[10]; /* offsets 50 to 54, not compressed */
    bad->bytes[bad->size - 1] ^= 1;
    struct fake_batch *torn = &broker.partitions[0].batches[15];
    torn->bytes[BATCH_HEADER_BYTES] = 0x7f;
    store_be32(torn->bytes + 17, crc32c(0, torn->bytes + 21, torn->size - 21));
    static const int32_t chosen[] = {0};
    options.partitions = chosen;
    options.partition_count = 1;
    open_reader();
    while ((code = leat_reader_next(reader, 3000, &r, &error)) == LEAT_OK || code == LEAT_DAMAGED) {
        if (code == LEAT_OK) {
            records++;
            continue;
        }
        damaged++;
        ASSERT(strstr(error.text, damaged == 1 ? "50 to 54" : "75 to 79") != NULL);
    }
    ASSERT_EQ(code, LEAT_END);
    ASSERT_EQ(records, 190);
    ASSERT_EQ(damaged, 2);
    end();
}

static void bytes_that_are_no_batch_never_loop(void)
{
    struct leat_record r;
    begin();
    broker.partitions[0].batches[0].bytes[16] = 1; /* magic */
    static const int32_t chosen[] = {0};
    options.partitions = chosen;
    options.partition_count = 1;
    open_reader();
    ASSERT_EQ(leat_reader_next(reader, 3000, &r, &error), LEAT_DAMAGED);
    ASSERT_EQ(leat_reader_next(reader, 3000, &r, &error), LEAT_DAMAGED);
    end();
    /* a broker that sends older records than asked for, again and again */
    begin();
    options.partitions = chosen;
    options.partition_count = 1;
    options.from = (struct leat_position){LEAT_AT_OFFSET, 150};
    options.fetch_bytes = 1;
    open_reader();
    for (uint32_t i = 0; i < broker.partitions[0].batch_count; i++) broker.partitions[0].batches[i].next = INT64_MAX;
    ASSERT_EQ(leat_reader_next(reader, 3000, &r, &error), LEAT_PROTOCOL);
    end();
}

static void what_does_not_exist_is_said(void)
{
    static const int32_t chosen[] = {FAKE_PARTITIONS};
    struct leat_record r;
    begin();
    options.topic = "nobody";
    open_reader();
    ASSERT_EQ(leat_reader_next(reader, 3000, &r, &error), LEAT_NOT_FOUND);
    leat_reader_destroy(reader);
    options.topic = "t";
    options.partitions = chosen;
    options.partition_count = 1;
    open_reader();
    ASSERT_EQ(leat_reader_next(reader, 3000, &r, &error), LEAT_NOT_FOUND);
    ASSERT(strstr(error.text, "0 to 3") != NULL);
    end();
}

static void offsets_are_told(void)
{
    static const int32_t all[] = {3, 0, 1, 2}, none[] = {7};
    struct leat_offset o[FAKE_PARTITIONS];
    begin();
    fake_broker_rule(&broker, API_LIST_OFFSETS, 2, FAULT_MOVE, 0);
    open_reader();
    ASSERT_EQ(leat_offsets_get(client, "t", all, 4, (struct leat_position){LEAT_TAIL, 0}, 3000, o, &error), LEAT_OK);
    for (int i = 0; i < 4; i++) ASSERT(o[i].partition == all[i] && o[i].kafka_code == 0 && o[i].offset == 200);
    ASSERT_EQ(leat_offsets_get(client, "t", all, 1, (struct leat_position){LEAT_AT_TIME, T0 * 2}, 3000, o, &error),
              LEAT_OK);
    ASSERT_EQ(o[0].offset, -1);
    ASSERT_EQ(leat_offsets_get(client, "t", none, 1, (struct leat_position){LEAT_TAIL, 0}, 3000, o, &error),
              LEAT_NOT_FOUND);
    ASSERT_EQ(leat_offsets_get(client, "t", all, 1, (struct leat_position){LEAT_TAIL, 5}, 3000, o, &error),
              LEAT_INVALID);
    fake_broker_rule(&broker, API_LIST_OFFSETS, 0, FAULT_CODE, KAFKA_TOPIC_AUTHORIZATION_FAILED);
    ASSERT_EQ(leat_offsets_get(client, "t", all, 1, (struct leat_position){LEAT_TAIL, 0}, 3000, o, &error), LEAT_OK);
    ASSERT_EQ(o[0].kafka_code, KAFKA_TOPIC_AUTHORIZATION_FAILED);
    end();
}

static void memory_goes_back(void)
{
    if (mem != NULL) mem_destroy(mem); /* CHECKs that all of it came back */
    mem = NULL;
}

TEST_MAIN("leat_reader", {"everything is read once", everything_is_read_once},
          {"positions are where they should be", positions_are_where_they_should_be},
          {"positions cost a request per leader", positions_cost_a_request_per_leader},
          {"chosen partitions only", chosen_partitions_only},
          {"each partition from its own offset", each_partition_from_its_own_offset},
          {"a partition can be finished", a_partition_can_be_finished},
          {"faults lose and double nothing", faults_lose_and_double_nothing},
          {"following waits and goes on", following_waits_and_goes_on},
          {"an offset that is gone is said with what there is", an_offset_that_is_gone_is_said_with_what_there_is},
          {"control batches are passed over", control_batches_are_passed_over},
          {"damage is named and passed over", damage_is_named_and_passed_over},
          {"bytes that are no batch never loop", bytes_that_are_no_batch_never_loop},
          {"what does not exist is said", what_does_not_exist_is_said}, {"offsets are told", offsets_are_told},
          {"memory goes back", memory_goes_back})

// SPDX-License-Identifier: Apache-2.0
/* libleat's producer against a scripted cluster: whatever goes wrong on the way, each record is stored once, in order,
 * and what the user is told is true. */
#include "clients/c/producer.h"
#include "protocol/batch_record.h"
#include "tests/unit/check_main.h"
#include "tests/unit/fake_broker.h"
#include <stdio.h>

#define COUNT 400

static struct fake_broker broker;
static struct leat_client *client;
static struct leat_producer *producer;
static struct leat_producer_options options;
static struct leat_error error;

static void begin(void)
{
    fake_broker_init(&broker);
    leat_producer_options_init(&options);
    options.topic = "t";
    options.batch_bytes = 300; /* a few records */
}

static void open_producer(void)
{
    struct leat_options o;
    leat_options_init(&o);
    o.brokers = "fake:9092";
    o.request_timeout_ms = 5000;
    ASSERT_EQ(leat_client_create(&o, &client, &error), LEAT_OK);
    ASSERT_EQ(leat_producer_create(client, &options, &producer, &error), LEAT_OK);
}

static void end(void)
{
    leat_producer_destroy(producer);
    leat_client_destroy(client);
    fake_broker_deinit(&broker);
}

static enum leat_code produce_to(int32_t partition, const char *text)
{
    struct leat_record r;
    leat_record_init(&r);
    r.partition = partition;
    r.value = text;
    r.value_len = (int32_t)strlen(text);
    return leat_produce(producer, &r, 60000, &error);
}

static enum leat_code produce_count(int count)
{
    for (int i = 0; i < count; i++) {
        char text[32];
        snprintf(text, sizeof text, "record %d", i);
        enum leat_code code = produce_to(i % FAKE_PARTITIONS, text);
        if (code != LEAT_OK) return code;
    }
    return leat_producer_flush(producer, 60000, &error);
}

/* Each partition has its records once, in order. */
static void check_stored(int count)
{
    struct mem *mem = mem_create(1u << 30);
    int32_t stored = 0;
    for (int32_t p = 0; p < FAKE_PARTITIONS; p++) {
        int next = p;
        for (uint32_t i = 0; i < broker.partitions[p].batch_count; i++) {
            const struct fake_batch *f = &broker.partitions[p].batches[i];
            struct batch_info info;
            struct batch_iter it;
            struct batch_record r;
            ASSERT_EQ(batch_parse(f->bytes, f->size, &info), STATUS_OK);
            ASSERT(batch_crc_valid(f->bytes, &info));
            ASSERT_EQ(batch_iter_open(&it, f->bytes, &info, mem, 1u << 20), STATUS_OK);
            for (; batch_iter_next(&it, &r); next += FAKE_PARTITIONS, stored++) {
                char text[32];
                int len = snprintf(text, sizeof text, "record %d", next);
                ASSERT(r.value_len == len && memcmp(r.value, text, (size_t)len) == 0);
            }
            ASSERT_EQ(batch_iter_close(&it), STATUS_OK);
        }
    }
    ASSERT_EQ(stored, count);
    mem_destroy(mem);
}

static void check_told(uint64_t records)
{
    struct leat_producer_counts counts;
    leat_producer_counts(producer, &counts);
    ASSERT_EQ(counts.records, records);
    ASSERT_EQ(counts.acked_records, records);
}

static void records_arrive_in_order(void)
{
    static const enum leat_codec codecs[] = {LEAT_NONE, LEAT_GZIP, LEAT_SNAPPY, LEAT_LZ4, LEAT_ZSTD};
    for (size_t i = 0; i < COUNT_OF(codecs); i++) {
        begin();
        options.codec = codecs[i];
        broker.idempotent_needed = true;
        open_producer();
        ASSERT_EQ(produce_count(COUNT), LEAT_OK);
        check_stored(COUNT);
        check_told(COUNT);
        ASSERT_EQ(broker.requests[API_INIT_PRODUCER_ID], 1);
        end();
    }
}

/* Every fault at every one of the first requests: nothing lost, nothing doubled. */
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
        {FAULT_CODE, KAFKA_NOT_ENOUGH_REPLICAS},
        {FAULT_CODE, KAFKA_KAFKA_STORAGE_ERROR},
        {FAULT_CODE, KAFKA_UNKNOWN_TOPIC_OR_PARTITION},
    };
    for (size_t f = 0; f < COUNT_OF(faults); f++) {
        uint32_t duplicates = 0;
        for (uint32_t nth = 1; nth <= 12; nth++) {
            begin();
            fake_broker_rule(&broker, API_PRODUCE, nth, faults[f].fault, faults[f].code);
            fake_broker_rule(&broker, API_PRODUCE, nth + 3, faults[f].fault, faults[f].code);
            open_producer();
            ASSERT_EQ(produce_count(COUNT), LEAT_OK);
            check_stored(COUNT);
            check_told(COUNT);
            duplicates += broker.duplicates;
            end();
        }
        bool done_twice =
            faults[f].fault == FAULT_LOSE || faults[f].fault == FAULT_SILENT || faults[f].fault == FAULT_CUT;
        ASSERT_EQ(duplicates > 0, done_twice); /* the fault did what it is named for */
    }
}

static void faults_of_other_requests_are_ridden_out(void)
{
    static const int16_t keys[] = {API_METADATA, API_API_VERSIONS, API_INIT_PRODUCER_ID};
    static const enum fake_fault faults[] = {FAULT_CLOSE, FAULT_LOSE, FAULT_SILENT, FAULT_CUT};
    for (size_t k = 0; k < COUNT_OF(keys); k++)
        for (size_t f = 0; f < COUNT_OF(faults); f++) {
            begin();
            fake_broker_rule(&broker, keys[k], 1, faults[f], 0);
            open_producer();
            ASSERT_EQ(produce_count(COUNT), LEAT_OK);
            check_stored(COUNT);
            end();
        }
}

/* A retry without a producer id may store twice; that is what idempotent false means. */
static void without_idempotence_a_lost_answer_doubles(void)
{
    begin();
    options.idempotent = false;
    options.acks = 1;
    fake_broker_rule(&broker, API_PRODUCE, 1, FAULT_LOSE, 0);
    open_producer();
    ASSERT_EQ(produce_to(0, "once"), LEAT_OK);
    ASSERT_EQ(leat_producer_flush(producer, 60000, &error), LEAT_OK);
    ASSERT_EQ(broker.partitions[0].batch_count, 2);
    ASSERT_EQ(broker.requests[API_INIT_PRODUCER_ID], 0);
    end();
}

static void acks_0_waits_for_nobody(void)
{
    begin();
    options.idempotent = false;
    options.acks = 0;
    open_producer();
    int64_t begun = fake_net.now_ms;
    ASSERT_EQ(produce_count(COUNT), LEAT_OK);
    check_stored(COUNT);
    check_told(COUNT);
    ASSERT_EQ(fake_net.now_ms, begun);
    end();
}

static void a_refusal_ends_the_producer(void)
{
    begin();
    fake_broker_rule(&broker, API_PRODUCE, 3, FAULT_CODE, KAFKA_MESSAGE_TOO_LARGE);
    open_producer();
    ASSERT_EQ(produce_count(COUNT), LEAT_BROKER);
    ASSERT_EQ(error.kafka_code, KAFKA_MESSAGE_TOO_LARGE);
    ASSERT(strstr(error.text, "MESSAGE_TOO_LARGE") != NULL && strstr(error.text, "t-") != NULL);
    uint32_t sent = broker.requests[API_PRODUCE];
    ASSERT_EQ(produce_to(0, "later"), LEAT_BROKER);
    ASSERT_EQ(leat_producer_flush(producer, 1000, &error), LEAT_BROKER);
    ASSERT_EQ(broker.requests[API_PRODUCE], sent); /* nothing behind the refused batch is sent */
    struct leat_producer_counts counts;
    leat_producer_counts(producer, &counts);
    ASSERT(counts.acked_records < counts.records);
    end();
}

static void a_dead_cluster_ends_the_delivery_in_time(void)
{
    begin();
    options.delivery_timeout_ms = 20000;
    open_producer();
    ASSERT_EQ(produce_to(0, "first"), LEAT_OK);
    ASSERT_EQ(leat_producer_flush(producer, 1000, &error), LEAT_OK);
    for (uint16_t i = 0; i < FAKE_NODES; i++) {
        broker.down[i] = true;
        fake_close_all(FAKE_PORT + i);
    }
    ASSERT_EQ(produce_to(0, "second"), LEAT_OK);
    ASSERT_EQ(leat_producer_flush(producer, 1000, &error), LEAT_UNREACHABLE); /* not yet given up */
    broker.down[0] = broker.down[1] = broker.down[2] = false;
    ASSERT_EQ(leat_producer_flush(producer, 5000, &error), LEAT_OK);
    for (uint16_t i = 0; i < FAKE_NODES; i++) {
        broker.down[i] = true;
        fake_close_all(FAKE_PORT + i);
    }
    ASSERT_EQ(produce_to(0, "third"), LEAT_OK);
    int64_t begun = fake_net.now_ms;
    ASSERT_EQ(leat_producer_flush(producer, LEAT_FOREVER, &error), LEAT_TIMED_OUT);
    ASSERT(!error.retriable && strstr(error.text, "20000 ms") != NULL);
    ASSERT(fake_net.now_ms - begun >= 20000 && fake_net.now_ms - begun < 23000);
    end();
}

static void wrong_records_are_refused_alone(void)
{
    struct leat_record r;
    begin();
    open_producer();
    ASSERT_EQ(produce_to(FAKE_PARTITIONS, "no such partition"), LEAT_INVALID);
    ASSERT_EQ(produce_to(-2, "no such partition"), LEAT_INVALID);
    leat_record_init(&r);
    r.value_len = -2;
    ASSERT_EQ(leat_produce(producer, &r, 1000, &error), LEAT_INVALID);
    leat_record_init(&r);
    struct leat_header nameless = {.name_len = -1};
    r.headers = &nameless;
    r.header_count = 1;
    ASSERT_EQ(leat_produce(producer, &r, 1000, &error), LEAT_INVALID);
    ASSERT_EQ(produce_count(COUNT), LEAT_OK);
    check_stored(COUNT);
    end();
}

static void unknown_topics_are_told_at_once(void)
{
    begin();
    options.topic = "nobody";
    open_producer();
    int64_t begun = fake_net.now_ms;
    ASSERT_EQ(produce_to(0, "x"), LEAT_NOT_FOUND);
    ASSERT(strstr(error.text, "nobody") != NULL);
    ASSERT(fake_net.now_ms - begun < 1000);
    end();
}

static void options_are_checked(void)
{
    struct leat_options o;
    fake_net_reset();
    leat_options_init(&o);
    o.brokers = "fake:9092";
    ASSERT_EQ(leat_client_create(&o, &client, &error), LEAT_OK);
    static const char *const topics[] = {NULL, "", ".", "..", "a b", "a/b", "\xff"};
    for (size_t i = 0; i < COUNT_OF(topics); i++) {
        leat_producer_options_init(&options);
        options.topic = topics[i];
        ASSERT_EQ(leat_producer_create(client, &options, &producer, &error), LEAT_INVALID);
    }
    leat_producer_options_init(&options);
    options.topic = "t";
    options.acks = 1; /* idempotent is the default and needs -1 */
    ASSERT_EQ(leat_producer_create(client, &options, &producer, &error), LEAT_INVALID);
    options.idempotent = false;
    options.acks = 2;
    ASSERT_EQ(leat_producer_create(client, &options, &producer, &error), LEAT_INVALID);
    options.acks = 1;
    options.batch_bytes = 0;
    ASSERT_EQ(leat_producer_create(client, &options, &producer, &error), LEAT_INVALID);
    leat_client_destroy(client);
}

static void records_without_key_spread_and_with_key_stay(void)
{
    begin();
    open_producer();
    for (int i = 0; i < 200; i++) ASSERT_EQ(produce_to(-1, "0123456789"), LEAT_OK);
    ASSERT_EQ(leat_producer_flush(producer, 1000, &error), LEAT_OK);
    for (int i = 0; i < FAKE_PARTITIONS; i++) ASSERT(broker.partitions[i].end > 20);
    int64_t ends[FAKE_PARTITIONS];
    for (int i = 0; i < FAKE_PARTITIONS; i++) ends[i] = broker.partitions[i].end;
    for (int i = 0; i < 50; i++) {
        struct leat_record r;
        leat_record_init(&r);
        r.key = "leat carries water";
        r.key_len = 18;
        ASSERT_EQ(leat_produce(producer, &r, 1000, &error), LEAT_OK);
    }
    ASSERT_EQ(leat_producer_flush(producer, 1000, &error), LEAT_OK);
    int grown = 0;
    for (int i = 0; i < FAKE_PARTITIONS; i++) grown += broker.partitions[i].end != ends[i];
    ASSERT_EQ(grown, 1);
    end();
}

struct told {
    int64_t next[FAKE_PARTITIONS];
    uint32_t records;
};

static void delivered(void *arg, int32_t partition, int64_t base_offset, uint32_t records)
{
    struct told *t = arg;
    ASSERT_EQ(base_offset, t->next[partition]);
    t->next[partition] += records;
    t->records += records;
}

static void deliveries_are_told_with_their_offsets(void)
{
    struct told told = {0};
    begin();
    options.delivered = delivered;
    options.arg = &told;
    open_producer();
    ASSERT_EQ(produce_count(COUNT), LEAT_OK);
    ASSERT_EQ(told.records, COUNT);
    end();
}

/* Batches go out early instead of failing. */
static void little_room_slows_and_loses_nothing(void)
{
    begin();
    options.batch_bytes = 200;
    options.buffer_bytes = 400;
    open_producer();
    ASSERT_EQ(produce_count(COUNT), LEAT_OK);
    check_stored(COUNT);
    end();
}

static void sequences_wrap(void)
{
    begin();
    open_producer();
    ASSERT_EQ(produce_to(0, "record 0"), LEAT_OK);
    ASSERT_EQ(leat_producer_flush(producer, 1000, &error), LEAT_OK);
    broker.partitions[0].batches[0].first_sequence = broker.partitions[0].batches[0].last_sequence = INT32_MAX - 2;
    producer->lanes[0].next_sequence = INT32_MAX - 1;
    for (int i = 0; i < 4; i++) {
        ASSERT_EQ(produce_to(0, "wrapping"), LEAT_OK);
        ASSERT_EQ(leat_producer_flush(producer, 1000, &error), LEAT_OK);
    }
    ASSERT_EQ(broker.partitions[0].batches[3].first_sequence, 0);
    ASSERT_EQ(broker.partitions[0].batches[4].first_sequence, 1);
    end();
}

TEST_MAIN("leat_producer", {"records arrive in order", records_arrive_in_order},
          {"faults lose and double nothing", faults_lose_and_double_nothing},
          {"faults of other requests are ridden out", faults_of_other_requests_are_ridden_out},
          {"without idempotence a lost answer doubles", without_idempotence_a_lost_answer_doubles},
          {"acks 0 waits for nobody", acks_0_waits_for_nobody},
          {"a refusal ends the producer", a_refusal_ends_the_producer},
          {"a dead cluster ends the delivery in time", a_dead_cluster_ends_the_delivery_in_time},
          {"wrong records are refused alone", wrong_records_are_refused_alone},
          {"unknown topics are told at once", unknown_topics_are_told_at_once},
          {"options are checked", options_are_checked},
          {"records without key spread, with key stay", records_without_key_spread_and_with_key_stay},
          {"deliveries are told with their offsets", deliveries_are_told_with_their_offsets},
          {"little room slows and loses nothing", little_room_slows_and_loses_nothing},
          {"sequences wrap", sequences_wrap})

// SPDX-License-Identifier: Apache-2.0
/* libleat's client: addresses, the greeting, who is asked, what an error says; and where keys go. */
#include "clients/c/leat.h"
#include "clients/c/partitioner.h"
#include "tests/unit/check_main.h"
#include "tests/unit/fake_broker.h"
#include <stdio.h>

static struct fake_broker broker;

static struct leat_client *client_of(const char *brokers)
{
    struct leat_options o;
    struct leat_client *c = NULL;
    struct leat_error e;
    leat_options_init(&o);
    o.brokers = brokers;
    enum leat_code code = leat_client_create(&o, &c, &e);
    if (code != LEAT_OK) printf("%s\n", e.text);
    ASSERT_EQ(code, LEAT_OK);
    return c;
}

static void addresses_are_taken_or_refused_with_a_sentence(void)
{
    static const struct {
        const char *brokers;
        uint32_t count; /* 0: refused */
        const char *host;
        uint16_t port;
    } rows[] = {
        {"a", 1, "a", 9092},
        {"a:1", 1, "a", 1},
        {" a:1 , b:65535 ", 2, "a", 1},
        {"[::1]:9093", 1, "::1", 9093},
        {"[::1]", 1, "::1", 9092},
        {"fe80::1", 1, "fe80::1", 9092},
        {"", 0, NULL, 0},
        {NULL, 0, NULL, 0},
        {",", 0, NULL, 0},
        {"a,", 0, NULL, 0},
        {"a:", 0, NULL, 0},
        {"a:0", 0, NULL, 0},
        {"a:65536", 0, NULL, 0},
        {"a:99999999999", 0, NULL, 0},
        {"a:9x", 0, NULL, 0},
        {":9092", 0, NULL, 0},
        {"[::1", 0, NULL, 0},
        {"[::1]x", 0, NULL, 0},
        {"[]:9", 0, NULL, 0},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct leat_options o;
        struct leat_client *c = NULL;
        struct leat_error e = {.code = LEAT_OK};
        leat_options_init(&o);
        o.brokers = rows[i].brokers;
        enum leat_code code = leat_client_create(&o, &c, &e);
        ASSERT_EQ(code, rows[i].count > 0 ? LEAT_OK : LEAT_INVALID);
        if (code != LEAT_OK) {
            ASSERT(e.code == LEAT_INVALID && strlen(e.text) > 10);
            continue;
        }
        ASSERT_EQ(c->bootstrap_count, rows[i].count);
        ASSERT_STREQ(c->bootstrap[0].host, rows[i].host);
        ASSERT_EQ(c->bootstrap[0].port, rows[i].port);
        leat_client_destroy(c);
    }
}

static void host_names_are_bounded(void)
{
    char long_host[400];
    struct leat_options o;
    struct leat_client *c = NULL;
    memset(long_host, 'h', sizeof long_host - 1);
    long_host[sizeof long_host - 1] = '\0';
    leat_options_init(&o);
    o.brokers = long_host;
    ASSERT_EQ(leat_client_create(&o, &c, NULL), LEAT_INVALID);
    o.brokers = long_host + (sizeof long_host - 1 - HOST_MAX);
    ASSERT_EQ(leat_client_create(&o, &c, NULL), LEAT_OK);
    leat_client_destroy(c);
    o.client_id = long_host;
    ASSERT_EQ(leat_client_create(&o, &c, NULL), LEAT_INVALID);
    o.client_id = "x";
    o.memory_bytes = 1;
    ASSERT_EQ(leat_client_create(&o, &c, NULL), LEAT_INVALID);
}

static void the_cluster_is_told(void)
{
    struct leat_cluster *cluster = NULL;
    struct leat_error e;
    const char *names[] = {"t", "nobody"};
    fake_broker_init(&broker);
    fake_net.receive_max = 3; /* answers come in crumbs */
    struct leat_client *c = client_of("fake:9092");
    ASSERT_EQ(leat_cluster_get(c, NULL, 0, 1000, &cluster, &e), LEAT_OK);
    ASSERT_STREQ(cluster->id, "fake");
    ASSERT_EQ(cluster->node_count, FAKE_NODES);
    ASSERT_EQ(cluster->nodes[2].port, FAKE_PORT + 2);
    ASSERT_EQ(cluster->topic_count, 1);
    ASSERT_EQ(cluster->topics[0].partition_count, FAKE_PARTITIONS);
    ASSERT_EQ(cluster->topics[0].partitions[1].leader, 1);
    ASSERT_EQ(cluster->topics[0].partitions[1].isr_count, FAKE_NODES);
    leat_cluster_free(cluster);
    ASSERT_EQ(leat_cluster_get(c, names, 2, 1000, &cluster, &e), LEAT_OK);
    ASSERT_EQ(cluster->topic_count, 2);
    ASSERT_STREQ(cluster->topics[0].name, "nobody"); /* sorted */
    ASSERT_EQ(cluster->topics[0].kafka_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    leat_cluster_free(cluster);
    ASSERT_EQ(leat_cluster_get(c, names, 0, 1000, &cluster, &e), LEAT_OK);
    ASSERT_EQ(cluster->topic_count, 0);
    leat_cluster_free(cluster);
    ASSERT_EQ(fake_net.connects, 1); /* one connection did for all */
    leat_client_destroy(c);
    fake_broker_deinit(&broker);
}

static void the_list_is_walked_until_somebody_answers(void)
{
    struct leat_cluster *cluster = NULL;
    struct leat_error e;
    fake_broker_init(&broker);
    broker.down[0] = true;
    struct leat_client *c = client_of("nowhere,fake:9092,fake:9093");
    ASSERT_EQ(leat_cluster_get(c, NULL, 0, 1000, &cluster, &e), LEAT_OK);
    leat_cluster_free(cluster);
    ASSERT_EQ(fake_net.connects, 3);
    /* the user's list is gone, the brokers learnt from the answer are not */
    broker.down[1] = true;
    fake_close_all(FAKE_PORT + 1);
    ASSERT_EQ(leat_cluster_get(c, NULL, 0, 10000, &cluster, &e), LEAT_OK);
    leat_cluster_free(cluster);
    leat_client_destroy(c);
    fake_broker_deinit(&broker);
}

static void nobody_answers_in_time(void)
{
    struct leat_cluster *cluster = NULL;
    struct leat_error e;
    fake_broker_init(&broker);
    for (int i = 0; i < FAKE_NODES; i++) broker.down[i] = true;
    struct leat_client *c = client_of("fake:9092,fake:9093");
    int64_t begun = fake_net.now_ms;
    ASSERT_EQ(leat_cluster_get(c, NULL, 0, 3000, &cluster, &e), LEAT_UNREACHABLE);
    ASSERT(e.retriable && strstr(e.text, "refused") != NULL && strstr(e.text, "fake:909") != NULL);
    ASSERT(fake_net.now_ms - begun <= 3000);
    ASSERT(fake_net.connects > 4); /* it tried, with pauses */
    ASSERT(fake_net.connects < 100);
    leat_client_destroy(c);
    fake_broker_deinit(&broker);
}

static void a_silent_broker_costs_the_deadline_and_its_connection(void)
{
    struct leat_cluster *cluster = NULL;
    struct leat_error e;
    fake_broker_init(&broker);
    fake_broker_rule(&broker, API_METADATA, 1, FAULT_SILENT, 0);
    struct leat_client *c = client_of("fake:9092");
    ASSERT_EQ(leat_cluster_get(c, NULL, 0, 2000, &cluster, &e), LEAT_TIMED_OUT);
    ASSERT_EQ(leat_cluster_get(c, NULL, 0, 2000, &cluster, &e), LEAT_OK); /* not the late answer of the first */
    leat_cluster_free(cluster);
    ASSERT_EQ(fake_net.connects, 2);
    leat_client_destroy(c);
    fake_broker_deinit(&broker);
}

static void an_old_broker_is_greeted_in_its_version(void)
{
    struct leat_cluster *cluster = NULL;
    struct leat_error e;
    fake_broker_init(&broker);
    broker.old = true;
    broker.version_cap[API_METADATA] = 5;
    struct leat_client *c = client_of("fake:9092");
    ASSERT_EQ(leat_cluster_get(c, NULL, 0, 1000, &cluster, &e), LEAT_OK);
    ASSERT_EQ(broker.requests[API_API_VERSIONS], 2);
    leat_cluster_free(cluster);
    leat_client_destroy(c);
    fake_broker_deinit(&broker);
}

static void what_is_not_served_is_said(void)
{
    struct leat_error e;
    fake_broker_init(&broker);
    struct leat_client *c = client_of("fake:9092");
    ASSERT_EQ(leat_topic_delete(c, "t", 1000, &e), LEAT_UNSUPPORTED);
    ASSERT(strstr(e.text, "DeleteTopics") != NULL && !e.retriable);
    leat_client_destroy(c);
    fake_broker_deinit(&broker);
}

static void deleted_topics_are_told_and_taken_back(void)
{
    struct leat_deleted_topics *d = NULL;
    struct leat_error e;
    const uint8_t id[16] = {[15] = 9}, other[16] = {[15] = 8};
    fake_broker_init(&broker);
    struct leat_client *c = client_of("fake:9092");
    ASSERT_EQ(leat_deleted_topics_get(c, 1000, &d, &e), LEAT_OK);
    ASSERT(d->count == 1 && d->total == 7);
    ASSERT_STREQ(d->topics[0].name, "gone");
    ASSERT(d->topics[0].partitions == 3 && memcmp(d->topics[0].id, id, sizeof id) == 0);
    ASSERT(d->topics[0].deleted_ms == 1000 && d->topics[0].kept_until_ms == 5000);
    leat_deleted_topics_free(d);
    ASSERT_EQ(leat_topic_undelete(c, "taken", NULL, 1000, &e), LEAT_BROKER);
    ASSERT(e.kafka_code == KAFKA_TOPIC_ALREADY_EXISTS && strstr(e.text, "There is another one.") != NULL);
    ASSERT_EQ(leat_topic_undelete(c, NULL, other, 1000, &e), LEAT_NOT_FOUND);
    ASSERT_EQ(leat_topic_undelete(c, NULL, id, 1000, &e), LEAT_OK);
    ASSERT_EQ(leat_topic_undelete(c, "gone", NULL, 1000, &e), LEAT_NOT_FOUND);
    ASSERT_EQ(leat_topic_undelete(c, "a b", NULL, 1000, &e), LEAT_INVALID);
    ASSERT_EQ(leat_topic_undelete(c, "gone", id, 1000, &e), LEAT_INVALID);
    ASSERT_EQ(leat_topic_undelete(c, NULL, NULL, 1000, &e), LEAT_INVALID);
    leat_client_destroy(c);
    fake_broker_deinit(&broker);
}

static void an_undeletion_is_sent_once(void)
{
    struct leat_deleted_topics *d = NULL;
    struct leat_error e;
    fake_broker_init(&broker);
    fake_broker_rule(&broker, API_LEAT_UNDELETE_TOPICS, 1, FAULT_CODE, KAFKA_NOT_CONTROLLER);
    fake_broker_rule(&broker, API_LEAT_UNDELETE_TOPICS, 2, FAULT_LOSE, 0);
    struct leat_client *c = client_of("fake:9092");
    ASSERT_EQ(leat_topic_undelete(c, "gone", NULL, 5000, &e), LEAT_TIMED_OUT);
    ASSERT_EQ(broker.requests[fake_slot(API_LEAT_UNDELETE_TOPICS)], 2); /* refused by the wrong one, then lost */
    ASSERT_EQ(broker.undeleted, 1);
    leat_client_destroy(c);
    fake_broker_deinit(&broker);
    fake_broker_init(&broker); /* a broker that is none of ours */
    broker.version_cap[fake_slot(API_LEAT_LIST_DELETED_TOPICS)] = -1;
    c = client_of("fake:9092");
    ASSERT_EQ(leat_deleted_topics_get(c, 1000, &d, &e), LEAT_UNSUPPORTED);
    ASSERT(strstr(e.text, "does not serve") != NULL);
    leat_client_destroy(c);
    fake_broker_deinit(&broker);
}

static void answers_that_make_no_sense_end_the_call(void)
{
    static const enum fake_fault faults[] = {FAULT_OTHER_ID, FAULT_GARBAGE};
    for (size_t i = 0; i < COUNT_OF(faults); i++) {
        struct leat_cluster *cluster = NULL;
        struct leat_error e;
        fake_broker_init(&broker);
        fake_broker_rule(&broker, API_METADATA, 1, faults[i], 0);
        struct leat_client *c = client_of("fake:9092");
        ASSERT_EQ(leat_cluster_get(c, NULL, 0, 2000, &cluster, &e), LEAT_PROTOCOL);
        ASSERT(strstr(e.text, "fake:9092") != NULL);
        ASSERT_EQ(fake_net.open, 0); /* such a connection is not used again */
        leat_client_destroy(c);
        fake_broker_deinit(&broker);
    }
}

static struct fake_answer http(void *arg, uint16_t port, const uint8_t *frame, size_t size)
{
    struct fake_answer a = {.bytes = (uint8_t *)strdup(arg), .size = strlen(arg), .close = true};
    return a;
}

static void other_protocols_are_recognised(void)
{
    static const struct {
        const char *bytes, *said;
    } rows[] = {{"HTTP/1.1 400 Bad Request\r\n\r\n", "no Kafka broker"}, {"\x15\x03\x01\x01\x02\x02\x28", "TLS"}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct leat_cluster *cluster = NULL;
        struct leat_error e;
        fake_net_reset();
        fake_net.request = http;
        fake_net.arg = (void *)(uintptr_t)rows[i].bytes;
        struct leat_client *c = client_of("fake:80");
        ASSERT_EQ(leat_cluster_get(c, NULL, 0, 2000, &cluster, &e), LEAT_PROTOCOL);
        ASSERT(strstr(e.text, rows[i].said) != NULL);
        leat_client_destroy(c);
        fake_net_reset();
    }
}

/* Hashes by Apache Kafka's org.apache.kafka.common.utils.Utils.murmur2. */
static void keys_go_where_kafka_sends_them(void)
{
    static const struct {
        const char *key;
        uint32_t hash;
        int32_t of_seven;
    } rows[] = {
        {"", 0x106e08d9, 2},
        {"a", 0xa2d0b27c, 5},
        {"ab", 0x12d8262a, 0},
        {"abc", 0x1c94221b, 4},
        {"abcd", 0xb11ab5f4, 5},
        {"leat carries water", 0x2d8d8846, 3},
        {"\u00ff\u00e4\u4e2d", 0x7b3b1d1f, 3},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        ASSERT_EQ(murmur2(rows[i].key, strlen(rows[i].key)), rows[i].hash);
        ASSERT_EQ(partition_of_key(rows[i].key, strlen(rows[i].key), 7), rows[i].of_seven);
    }
}

static void codes_have_names(void)
{
    ASSERT_STREQ(leat_code_name(LEAT_TIMED_OUT), "TIMED_OUT");
    ASSERT_STREQ(leat_code_name((enum leat_code)99), "UNKNOWN");
    ASSERT_STREQ(leat_kafka_error_name(3), "UNKNOWN_TOPIC_OR_PARTITION");
    ASSERT_STREQ(leat_kafka_error_name(-1), "UNKNOWN_SERVER_ERROR");
    ASSERT_STREQ(leat_kafka_error_name(9999), "UNKNOWN");
    ASSERT(leat_kafka_error_retriable(6) && !leat_kafka_error_retriable(10) && !leat_kafka_error_retriable(9999));
}

TEST_MAIN("leat_client",
          {"addresses are taken or refused with a sentence", addresses_are_taken_or_refused_with_a_sentence},
          {"host names are bounded", host_names_are_bounded}, {"the cluster is told", the_cluster_is_told},
          {"the list is walked until somebody answers", the_list_is_walked_until_somebody_answers},
          {"nobody answers in time", nobody_answers_in_time},
          {"a silent broker costs the deadline and its connection",
           a_silent_broker_costs_the_deadline_and_its_connection},
          {"an old broker is greeted in its version", an_old_broker_is_greeted_in_its_version},
          {"what is not served is said", what_is_not_served_is_said},
          {"deleted topics are told and taken back", deleted_topics_are_told_and_taken_back},
          {"an undeletion is sent once", an_undeletion_is_sent_once},
          {"answers that make no sense end the call", answers_that_make_no_sense_end_the_call},
          {"other protocols are recognised", other_protocols_are_recognised},
          {"keys go where Kafka sends them", keys_go_where_kafka_sends_them}, {"codes have names", codes_have_names})

// SPDX-License-Identifier: Apache-2.0
/* Topics made and deleted, producer ids. Failure modes: what the broker refuses, in its words; a coordinator that is
 * still loading is asked again until the time-out. */
#include "base/bytes.h"
#include "protocol/msg_create_topics.h"
#include "protocol/msg_delete_topics.h"
#include "protocol/msg_init_producer_id.h"
#include "tools/bench/machine.h"
#include "tools/bench/target_impl.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CREATE_TOPICS      19
#define DELETE_TOPICS      20
#define INIT_PRODUCER_ID   22
#define ALREADY_EXISTS     36
#define PARTITIONS_DEFAULT 6
#define TIMEOUT_MS         30000
#define PARTITIONS_AT_ONCE 2000u /* Apache Kafka takes no request that makes more than 10,000 records, one each */

static void *zeroed(size_t count, size_t size)
{
    void *p = calloc(MAX(count, 1), size);
    CHECK(p != NULL);
    return p;
}

bool target_refuse(struct asker *a, const char *what, struct str topic, int16_t code, struct str text)
{
    snprintf(a->error, sizeof a->error, "%s %.*s: %s%s%.*s", what, (int)MIN(topic.len, 249), topic.data,
             kafka_error(code), text.len > 0 ? ": " : "", text.len > 0 ? (int)MIN(text.len, 200) : 0,
             text.len > 0 ? text.data : "");
    return false;
}

static bool create_some(struct asker *a, struct create_topics_request_topic *topics, int32_t count)
{
    struct create_topics_request q;
    struct create_topics_response r;
    create_topics_request_init(&q);
    q.topics = topics;
    q.topics_count = count;
    q.timeout_ms = TIMEOUT_MS;
    bool good = ask(a, CREATE_TOPICS, &q, &r);
    for (int32_t i = 0; good && i < r.topics_count; i++) {
        const struct create_topics_response_topic *one = &r.topics[i];
        if (one->error_code != 0 && one->error_code != ALREADY_EXISTS)
            good = target_refuse(a, "making topic", one->name, one->error_code, one->error_message);
    }
    return good;
}

bool target_create(struct target *t, const struct client_options *o, struct asker *a, const bool *missing)
{
    struct create_topics_request_topic *topics = zeroed(t->topic_count, sizeof *topics);
    struct create_topics_request_config configs[BENCH_CONFIGS_MAX];
    uint32_t partitions = o->partitions > 0 ? o->partitions : PARTITIONS_DEFAULT, waiting = 0;
    int32_t count = 0;
    bool good = true;
    for (uint32_t i = 0; i < o->config_count; i++) {
        const char *sign = strchr(o->configs[i], '=');
        create_topics_request_config_init(&configs[i]);
        configs[i].name = (struct str){o->configs[i], (int32_t)(sign - o->configs[i])};
        configs[i].value = str_of(sign + 1);
    }
    for (uint32_t i = 0; good && i < t->topic_count; i++) {
        if (missing[i]) {
            struct create_topics_request_topic *one = &topics[count++];
            create_topics_request_topic_init(one);
            one->name = str_of(t->topics[i]);
            one->num_partitions = (int32_t)partitions;
            one->replication_factor = (int16_t)o->replication;
            if (o->replication < 0 && a->versions[CREATE_TOPICS] < 4) one->replication_factor = 1;
            one->configs = configs;
            one->configs_count = (int32_t)o->config_count;
            waiting += partitions;
        }
        if (count == 0 || (waiting < PARTITIONS_AT_ONCE && i + 1 < t->topic_count)) continue;
        good = create_some(a, topics, count);
        count = 0;
        waiting = 0;
    }
    free(topics);
    return good;
}

bool target_ask_delete(const struct target *t, struct asker *a)
{
    struct delete_topics_request q;
    struct delete_topics_response r;
    struct delete_topics_request_topic *topics = zeroed(t->topic_count, sizeof *topics);
    struct str *names = zeroed(t->topic_count, sizeof *names);
    delete_topics_request_init(&q);
    for (uint32_t i = 0; i < t->topic_count; i++) {
        delete_topics_request_topic_init(&topics[i]);
        topics[i].name = names[i] = str_of(t->topics[i]);
    }
    q.topics = topics; /* one of the two, by version */
    q.topic_names = names;
    q.topics_count = q.topic_names_count = (int32_t)t->topic_count;
    q.timeout_ms = TIMEOUT_MS;
    bool good = ask(a, DELETE_TOPICS, &q, &r);
    for (int32_t i = 0; good && i < r.responses_count; i++)
        if (r.responses[i].error_code != 0)
            good = target_refuse(a, "deleting topic", r.responses[i].name, r.responses[i].error_code, STR_EMPTY);
    free(topics);
    free(names);
    return good;
}

bool target_ask_producer(struct asker *a, double timeout_s, struct target_producer *ret_producer)
{
    struct init_producer_id_request q;
    struct init_producer_id_response r;
    int64_t limit = clock_ns() + (int64_t)(timeout_s * 1e9);
    init_producer_id_request_init(&q);
    q.transactional_id = STR_NULL;
    q.transaction_timeout_ms = INT32_MAX;
    while (ask(a, INIT_PRODUCER_ID, &q, &r)) {
        if (r.error_code == 0) {
            *ret_producer = (struct target_producer){.id = r.producer_id, .epoch = r.producer_epoch};
            return true;
        }
        if (!kafka_error_passes(r.error_code) || clock_ns() > limit) {
            snprintf(a->error, sizeof a->error, "InitProducerId: %s", kafka_error(r.error_code));
            return false;
        }
        usleep(TARGET_AGAIN_US);
    }
    return false;
}

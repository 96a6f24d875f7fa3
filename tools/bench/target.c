// SPDX-License-Identifier: Apache-2.0
/* Finding what the run talks to (target.h).
 *
 *   bootstrap -> versions -> metadata; topics missing: CreateTopics -> metadata until each partition has a leader ->
 *   offsets from each leader until none refuses (a leader that metadata names may need a moment) -> producer ids
 *
 * Failure modes: every answer with an error that does not pass by itself, or that does not pass in the time-out, ends
 * it with a sentence that names topic and error. */
#include "tools/bench/target.h"

#include "base/bytes.h"
#include "protocol/msg_list_offsets.h"
#include "protocol/msg_metadata.h"
#include "tools/bench/machine.h"
#include "tools/bench/target_impl.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LIST_OFFSETS  2
#define METADATA      3
#define CREATE_TOPICS 19
#define UNKNOWN_TOPIC 3
#define NO_LEADER     UINT32_MAX
#define EARLIEST      (-2)
#define LATEST        (-1)

static void *zeroed(size_t count, size_t size)
{
    void *p = calloc(MAX(count, 1), size);
    CHECK(p != NULL);
    return p;
}

/* ---- bootstrap ---- */

static bool bootstrap(struct asker *a, const char *list)
{
    char address[80];
    for (const char *at = list; *at != '\0';) {
        char one[300];
        size_t len = strcspn(at, ",");
        snprintf(one, sizeof one, "%.*s", (int)MIN(len, sizeof one - 1), at);
        if (resolve(one, address, a->error) && ask_connect(a, address)) return true;
        at += len + (at[len] == ',');
    }
    return false;
}

/* ---- metadata ---- */

static bool ask_metadata(struct target *t, struct asker *a, struct metadata_response *ret_response)
{
    struct metadata_request q;
    struct metadata_request_topic *topics = zeroed(t->topic_count, sizeof *topics);
    metadata_request_init(&q);
    for (uint32_t i = 0; i < t->topic_count; i++) {
        metadata_request_topic_init(&topics[i]);
        topics[i].name = str_of(t->topics[i]);
    }
    q.topics = topics;
    q.topics_count = (int32_t)t->topic_count;
    q.allow_auto_topic_creation = false;
    bool good = ask(a, METADATA, &q, ret_response);
    free(topics);
    return good;
}

static const struct metadata_response_topic *topic_in(const struct metadata_response *r, const char *name)
{
    for (int32_t i = 0; i < r->topics_count; i++)
        if (str_equal(r->topics[i].name, str_of(name))) return &r->topics[i];
    return NULL;
}

static bool take_brokers(struct target *t, struct asker *a, const struct metadata_response *r)
{
    free(t->brokers);
    t->brokers = zeroed((size_t)MAX(r->brokers_count, 0), sizeof *t->brokers);
    t->broker_count = 0;
    for (int32_t i = 0; i < r->brokers_count; i++) {
        const struct metadata_response_broker *b = &r->brokers[i];
        struct target_broker *mine = &t->brokers[t->broker_count++];
        char text[300];
        bool six = memchr(b->host.data, ':', (size_t)MAX(b->host.len, 0)) != NULL;
        snprintf(text, sizeof text, six ? "[%.*s]:%d" : "%.*s:%d", (int)MIN(b->host.len, 255), b->host.data, b->port);
        mine->node = b->node_id;
        if (!resolve(text, mine->address, a->error)) return false;
    }
    return true;
}

static uint32_t broker_of(const struct target *t, int32_t node)
{
    for (uint32_t i = 0; i < t->broker_count; i++)
        if (t->brokers[i].node == node) return i;
    return NO_LEADER;
}

/* How many of its partitions have no leader yet. */
static uint32_t take_leaders(struct target *t, uint32_t topic, const struct metadata_response_topic *m)
{
    uint32_t have = 0;
    for (int32_t i = 0; i < m->partitions_count; i++) {
        int32_t number = m->partitions[i].partition_index;
        if (number < 0 || (uint32_t)number >= t->partitions_each) continue;
        uint32_t leader = broker_of(t, m->partitions[i].leader_id);
        t->leaders[topic * t->partitions_each + (uint32_t)number] = leader;
        have += leader != NO_LEADER;
    }
    return t->partitions_each - MIN(have, t->partitions_each);
}

/* The partition count, the same for all topics. */
static bool take_count(struct target *t, const struct client_options *o, struct asker *a,
                       const struct metadata_response_topic *m)
{
    uint32_t has = (uint32_t)MAX(m->partitions_count, 0), want = o->partitions;
    if (t->partitions_each == 0) t->partitions_each = want > 0 ? want : has;
    if (has == t->partitions_each && has > 0) return true;
    snprintf(a->error, sizeof a->error, "topic %.*s has %u partitions, not %u%s", (int)MIN(m->name.len, 249),
             m->name.data, has, t->partitions_each, want > 0 ? " as --partitions says" : " as the others");
    return false;
}

/* ---- topics ---- */

static bool make_missing(struct target *t, const struct client_options *o, struct asker *a)
{
    struct metadata_response r;
    bool *missing = zeroed(t->topic_count, sizeof *missing), any = false;
    const char *first = NULL;
    bool good = ask_metadata(t, a, &r);
    for (uint32_t i = 0; good && i < t->topic_count; i++) {
        const struct metadata_response_topic *m = topic_in(&r, t->topics[i]);
        missing[i] = m == NULL || m->error_code == UNKNOWN_TOPIC;
        if (missing[i] && first == NULL) first = t->topics[i];
        any |= missing[i];
    }
    if (good && any && !client_writes(o)) {
        snprintf(a->error, sizeof a->error, "topic %s is not there: nothing to read", first);
        good = false;
    } else if (good && any && a->versions[CREATE_TOPICS] < 0) {
        snprintf(a->error, sizeof a->error,
                 "topic %s is not there, and the broker does not serve CreateTopics: make it first", first);
        good = false;
    } else if (good && any) {
        good = target_create(t, o, a, missing);
    }
    free(missing);
    return good;
}

/* One look; ret_open: partitions without a leader. */
static bool look(struct target *t, const struct client_options *o, struct asker *a, uint32_t *ret_open)
{
    struct metadata_response r;
    *ret_open = 0;
    if (!ask_metadata(t, a, &r) || !take_brokers(t, a, &r)) return false;
    for (uint32_t i = 0; i < t->topic_count; i++) {
        const struct metadata_response_topic *m = topic_in(&r, t->topics[i]);
        if (m == NULL || kafka_error_passes(m->error_code)) {
            ++*ret_open;
            continue;
        }
        if (m->error_code != 0) return target_refuse(a, "topic", m->name, m->error_code, STR_EMPTY);
        if (!take_count(t, o, a, m)) return false;
        if (t->leaders == NULL) {
            t->partition_count = t->topic_count * t->partitions_each;
            t->leaders = zeroed(t->partition_count, sizeof *t->leaders);
            t->begins = zeroed(t->partition_count, sizeof *t->begins);
            t->ends = zeroed(t->partition_count, sizeof *t->ends);
        }
        *ret_open += take_leaders(t, i, m);
    }
    return true;
}

static bool await_leaders(struct target *t, const struct client_options *o, struct asker *a)
{
    int64_t limit = clock_ns() + (int64_t)(o->timeout_seconds * 1e9);
    uint32_t open = 0;
    while (look(t, o, a, &open)) {
        if (open == 0) return true;
        if (clock_ns() > limit) {
            snprintf(a->error, sizeof a->error, "%u partitions have no leader after %.0f s", open, o->timeout_seconds);
            return false;
        }
        usleep(TARGET_AGAIN_US);
    }
    return false;
}

/* ---- offsets ---- */

static bool take_offsets(struct target *t, struct asker *a, const struct list_offsets_response *r, int64_t *offsets,
                         uint32_t *ret_open)
{
    for (int32_t i = 0; i < r->topics_count; i++) {
        uint32_t topic = 0;
        while (topic < t->topic_count && !str_equal(r->topics[i].name, str_of(t->topics[topic]))) topic++;
        for (int32_t k = 0; topic < t->topic_count && k < r->topics[i].partitions_count; k++) {
            const struct list_offsets_response_partition *p = &r->topics[i].partitions[k];
            if (p->partition_index < 0 || (uint32_t)p->partition_index >= t->partitions_each) continue;
            if (kafka_error_passes(p->error_code))
                ++*ret_open;
            else if (p->error_code != 0)
                return target_refuse(a, "offsets of topic", r->topics[i].name, p->error_code, STR_EMPTY);
            else
                offsets[topic * t->partitions_each + (uint32_t)p->partition_index] = p->offset;
        }
    }
    return true;
}

/* Of all partitions that one broker leads. */
static bool ask_offsets(struct target *t, struct asker *a, uint32_t broker, int64_t timestamp, int64_t *offsets,
                        uint32_t *ret_open)
{
    struct list_offsets_request q;
    struct list_offsets_response r;
    struct list_offsets_request_topic *topics = zeroed(t->topic_count, sizeof *topics);
    struct list_offsets_request_partition *parts = zeroed(t->partition_count, sizeof *parts);
    uint32_t n = 0;
    list_offsets_request_init(&q);
    q.replica_id = -1;
    q.topics = topics;
    for (uint32_t i = 0; i < t->topic_count; i++) {
        struct list_offsets_request_topic *one = &topics[q.topics_count];
        list_offsets_request_topic_init(one);
        one->name = str_of(t->topics[i]);
        one->partitions = parts + n;
        for (uint32_t k = 0; k < t->partitions_each; k++) {
            if (t->leaders[i * t->partitions_each + k] != broker) continue;
            list_offsets_request_partition_init(&parts[n]);
            parts[n].partition_index = (int32_t)k;
            parts[n++].timestamp = timestamp;
            one->partitions_count++;
        }
        q.topics_count += one->partitions_count > 0;
    }
    bool good = n == 0 || (ask(a, LIST_OFFSETS, &q, &r) && take_offsets(t, a, &r, offsets, ret_open));
    free(topics);
    free(parts);
    return good;
}

static bool broker_offsets(struct target *t, const struct client_options *o, struct asker *a, uint32_t broker)
{
    int64_t limit = clock_ns() + (int64_t)(o->timeout_seconds * 1e9);
    if (strcmp(a->channel.address, t->brokers[broker].address) != 0 && !ask_connect(a, t->brokers[broker].address))
        return false;
    for (;;) {
        uint32_t open = 0;
        if (!ask_offsets(t, a, broker, EARLIEST, t->begins, &open) ||
            !ask_offsets(t, a, broker, LATEST, t->ends, &open))
            return false;
        if (open == 0) return true;
        if (clock_ns() > limit) {
            snprintf(a->error, sizeof a->error, "%s: %u partitions are not served after %.0f s", a->channel.address,
                     open, o->timeout_seconds);
            return false;
        }
        usleep(TARGET_AGAIN_US);
    }
}

static bool leads(const struct target *t, uint32_t broker)
{
    for (uint32_t i = 0; i < t->partition_count; i++)
        if (t->leaders[i] == broker) return true;
    return false;
}

/* ---- whole ---- */

static bool find(struct target *t, const struct client_options *o, struct asker *a)
{
    if (!bootstrap(a, o->bootstrap)) return false;
    memcpy(t->versions, a->versions, sizeof t->versions);
    if (!make_missing(t, o, a) || !await_leaders(t, o, a)) return false;
    for (uint32_t i = 0; i < t->broker_count; i++)
        if (leads(t, i) && !broker_offsets(t, o, a, i)) return false;
    return true;
}

static bool with_asker(const struct client_options *o, char error[ASK_ERROR], struct asker **ret_asker)
{
    struct asker *a = zeroed(1, sizeof *a);
    *ret_asker = a;
    if (asker_create(a, o->timeout_seconds)) return true;
    memcpy(error, a->error, ASK_ERROR);
    free(a);
    return false;
}

static bool without_asker(struct asker *a, bool good, char error[ASK_ERROR])
{
    if (!good) memcpy(error, a->error, ASK_ERROR);
    asker_destroy(a);
    free(a);
    return good;
}

bool target_find(struct target *t, const struct client_options *o, char error[ASK_ERROR])
{
    struct asker *a;
    *t = (struct target){.topic_count = o->topics};
    t->topics = zeroed(o->topics, sizeof *t->topics);
    for (uint32_t i = 0; i < o->topics; i++)
        snprintf(t->topics[i], sizeof t->topics[i], o->topics == 1 ? "%.240s" : "%.240s-%u", o->topic, i);
    return with_asker(o, error, &a) && without_asker(a, find(t, o, a), error);
}

bool target_producers(struct target *t, const struct client_options *o, uint32_t count, char error[ASK_ERROR])
{
    struct asker *a;
    t->producers = zeroed(count, sizeof *t->producers);
    for (uint32_t i = 0; i < count; i++) t->producers[i] = (struct target_producer){.id = -1, .epoch = -1};
    if (!o->idempotent) return true;
    if (!with_asker(o, error, &a)) return false;
    bool good = bootstrap(a, o->bootstrap);
    for (uint32_t i = 0; good && i < count; i++) good = target_ask_producer(a, o->timeout_seconds, &t->producers[i]);
    return without_asker(a, good, error);
}

bool target_delete(const struct target *t, const struct client_options *o, char error[ASK_ERROR])
{
    struct asker *a;
    return with_asker(o, error, &a) && without_asker(a, bootstrap(a, o->bootstrap) && target_ask_delete(t, a), error);
}

void target_free(struct target *t)
{
    free(t->brokers);
    free(t->topics);
    free(t->leaders);
    free(t->begins);
    free(t->ends);
    free(t->producers);
    *t = (struct target){0};
}

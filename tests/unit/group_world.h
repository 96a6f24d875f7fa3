// SPDX-License-Identifier: Apache-2.0
/* A machine of groups (broker/group/groups.h) for tests: a clock that the test sets, a log in memory that keeps the
 * newest records of each key, calls with their own memory. One world per process: gw.
 *
 *   world_begin(); call = world_call(API_..., version, group); fill call->..._request; world_send(call);
 *   world_pass(ms) runs the deadlines; world_load() gives a second machine, made from the log; world_restart() uses it.
 */
#pragma once
#include "base/check.h"
#include "base/list.h"
#include "broker/group/groups.h"
#include "protocol/msg_consumer_group_describe.h"
#include "protocol/msg_consumer_group_heartbeat.h"
#include "protocol/msg_describe_groups.h"
#include "protocol/msg_heartbeat.h"
#include "protocol/msg_join_group.h"
#include "protocol/msg_leave_group.h"
#include "protocol/msg_offset_commit.h"
#include "protocol/msg_sync_group.h"
#include "replication/image.h"
#include <stdlib.h>

#define WORLD_RECORDS_MAX 4096
#define WORLD_VERSIONS    3 /* of a key that the log keeps */

struct world_call {
    struct group_call call;
    struct arena arena;
    struct list_node in_calls;
    union {
        struct join_group_request join_request;
        struct sync_group_request sync_request;
        struct heartbeat_request heartbeat_request;
        struct leave_group_request leave_request;
        struct offset_commit_request commit_request;
        struct consumer_group_heartbeat_request consumer_request;
    };
    union {
        struct join_group_response join;
        struct sync_group_response sync;
        struct heartbeat_response heartbeat;
        struct leave_group_response leave;
        struct offset_commit_response commit;
        struct describe_groups_response_group describe;
        struct consumer_group_heartbeat_response consumer;
        struct consumer_group_describe_response_group consumer_describe;
    };
    uint32_t ends; /* how often it was answered or cancelled */
    bool cancelled;
};

struct world_record {
    uint8_t *key, *value; /* value NULL: tombstone */
    int32_t key_len, value_len;
};

struct world {
    struct mem *mem;
    struct group_settings settings;
    struct group_sink sink;
    struct groups gs;
    struct topic_index *topics; /* "t", two partitions */
    struct list calls;
    struct world_record records[WORLD_RECORDS_MAX]; /* in the order in which they were put */
    uint32_t record_count, puts;
    struct mono_ns now;
};
static struct world gw;

static inline bool world_has_key(uint32_t at, struct bytes key)
{
    return gw.records[at].key_len == key.len && memcmp(gw.records[at].key, key.data, (size_t)key.len) == 0;
}

static inline void world_keep(struct bytes key, struct bytes value)
{
    uint32_t versions = 0, oldest = 0;
    for (uint32_t i = gw.record_count; i-- > 0;) {
        if (!world_has_key(i, key)) continue;
        versions++;
        oldest = i;
    }
    if (versions == WORLD_VERSIONS) { /* compaction */
        free(gw.records[oldest].key);
        free(gw.records[oldest].value);
        memmove(&gw.records[oldest], &gw.records[oldest + 1], (gw.record_count - oldest - 1) * sizeof gw.records[0]);
        gw.record_count--;
    }
    CHECK(gw.record_count < WORLD_RECORDS_MAX);
    struct world_record *r = &gw.records[gw.record_count++];
    *r = (struct world_record){.key_len = key.len, .value_len = value.len};
    r->key = malloc((size_t)key.len);
    memcpy(r->key, key.data, (size_t)key.len);
    if (value.len < 0) return;
    r->value = malloc((size_t)value.len);
    memcpy(r->value, value.data, (size_t)value.len);
}

static inline enum status world_put(struct group_sink *s, struct bytes key, struct bytes value)
{
    (void)s;
    gw.puts++;
    world_keep(key, value);
    return STATUS_OK;
}

static inline void world_settle(void)
{
    struct list_node *n;
    while ((n = list_pop_front(&gw.gs.answered)) != NULL) {
        struct world_call *c = container_of(n, struct world_call, call.in_answered);
        CHECK(c->call.answered && c->call.holder == NULL && c->ends == 0);
        /* What it says may not be in the log: the host says this instead. */
        if (gw.gs.status != STATUS_OK) c->call.error = KAFKA_COORDINATOR_NOT_AVAILABLE;
        c->ends++;
    }
    while ((n = list_pop_front(&gw.gs.rearm)) != NULL) {
    }
}

static inline void world_machine(struct groups *gs, uint64_t seed)
{
    groups_init(gs, gw.mem, &gw.settings, gw.topics, &gw.sink, seed);
    gs->now = gw.now;
    gs->wall = (struct wall_ms){1000000 + gw.now.v / NS_PER_MS};
}

static inline void world_begin(void)
{
    gw = (struct world){.mem = mem_create((uint64_t)1 << 30), .sink = {.put = world_put}, .now = {1000}};
    gw.settings = (struct group_settings){.session_min_ms = 6000,
                                          .session_max_ms = 1800000,
                                          .first_delay_ms = 3000,
                                          .size_max = INT32_MAX,
                                          .consumer_session_ms = 45000,
                                          .consumer_session_min_ms = 45000,
                                          .consumer_session_max_ms = 60000,
                                          .consumer_heartbeat_ms = 5000,
                                          .consumer_heartbeat_min_ms = 5000,
                                          .consumer_heartbeat_max_ms = 15000,
                                          .consumer_assignment_ms = 1000,
                                          .consumer_regex_refresh_ms = 600000,
                                          .consumer_size_max = INT32_MAX,
                                          .migration = MIGRATION_BIDIRECTIONAL,
                                          .metadata_max_bytes = 4096,
                                          .retention_ms = 604800000};
    list_init(&gw.calls);
    static const struct image_topic topic = {.name = {"t", 1}, .id = {{1}}, .partition_count = 2};
    gw.topics = topic_index_create(gw.mem);
    CHECK_OK(topic_index_change(gw.topics, NULL, &topic));
    world_machine(&gw.gs, 1);
    groups_loaded(&gw.gs);
}

static inline struct world_call *world_call(enum api_key api, int16_t version, struct str group)
{
    struct world_call *c = calloc(1, sizeof *c);
    CHECK(c != NULL);
    arena_init(&c->arena, gw.mem, MEM_FETCH, (size_t)32 << 20);
    c->call = (struct group_call){.api = api,
                                  .version = version,
                                  .group_id = group,
                                  .client_id = STR("app"),
                                  .client_host = STR("/10.0.0.1"),
                                  .arena = &c->arena,
                                  .request = &c->join_request,
                                  .response = &c->join};
    if (api == API_JOIN_GROUP) join_group_request_init(&c->join_request), join_group_response_init(&c->join);
    if (api == API_SYNC_GROUP) sync_group_request_init(&c->sync_request), sync_group_response_init(&c->sync);
    if (api == API_HEARTBEAT) heartbeat_request_init(&c->heartbeat_request), heartbeat_response_init(&c->heartbeat);
    if (api == API_LEAVE_GROUP) leave_group_request_init(&c->leave_request), leave_group_response_init(&c->leave);
    if (api == API_OFFSET_COMMIT)
        offset_commit_request_init(&c->commit_request), offset_commit_response_init(&c->commit);
    if (api == API_DESCRIBE_GROUPS) describe_groups_response_group_init(&c->describe);
    if (api == API_CONSUMER_GROUP_HEARTBEAT)
        consumer_group_heartbeat_request_init(&c->consumer_request),
            consumer_group_heartbeat_response_init(&c->consumer);
    if (api == API_CONSUMER_GROUP_DESCRIBE) consumer_group_describe_response_group_init(&c->consumer_describe);
    list_push_back(&gw.calls, &c->in_calls);
    return c;
}

static inline void world_send(struct world_call *c)
{
    gw.gs.now = gw.now;
    gw.gs.wall.v = 1000000 + gw.now.v / NS_PER_MS;
    groups_call(&gw.gs, &c->call);
    world_settle();
}

static inline void world_cancel(struct world_call *c)
{
    if (groups_cancel(&gw.gs, &c->call)) {
        c->ends++;
        c->cancelled = true;
    }
}

static inline void world_free(struct world_call *c)
{
    CHECK(c->ends == 1);
    list_remove(&c->in_calls);
    arena_deinit(&c->arena);
    free(c);
}

/* The next deadline of all groups; NULL: none up to `until`. */
static inline struct group *world_next(struct mono_ns until)
{
    struct group *next = NULL;
    list_each (n, &gw.gs.all) {
        struct group *g = container_of(n, struct group, in_all);
        if (g->deadline.v <= until.v && (next == NULL || g->deadline.v < next->deadline.v)) next = g;
    }
    return next;
}

static inline void world_pass(int64_t ms)
{
    struct mono_ns until = mono_add(gw.now, ms * NS_PER_MS);
    struct group *g;
    while ((g = world_next(until)) != NULL) {
        if (g->deadline.v > gw.now.v) gw.now = g->deadline;
        gw.gs.now = gw.now;
        gw.gs.wall.v = 1000000 + gw.now.v / NS_PER_MS;
        groups_tick(&gw.gs, g);
        world_settle();
    }
    gw.now = until;
}

/* A machine made from the log, into *ret; the caller ends it with groups_deinit. */
static inline void world_load(struct groups *ret)
{
    world_machine(ret, 2 + gw.puts);
    for (uint32_t i = 0; i < gw.record_count; i++) {
        const struct world_record *r = &gw.records[i];
        CHECK_OK(groups_apply(ret, (struct bytes){r->key, r->key_len}, (struct bytes){r->value, r->value_len}));
    }
    groups_loaded(ret);
}

static inline void world_stop(void)
{
    groups_stop(&gw.gs);
    world_settle();
    groups_deinit(&gw.gs);
}

static inline void world_restart(void)
{
    world_stop();
    world_load(&gw.gs);
    world_settle();
}

static inline void world_end(void)
{
    world_stop();
    list_each (n, &gw.calls) world_free(container_of(n, struct world_call, in_calls));
    for (uint32_t i = 0; i < gw.record_count; i++) {
        free(gw.records[i].key);
        free(gw.records[i].value);
    }
    topic_index_destroy(gw.topics);
    mem_destroy(gw.mem); /* CHECKs that nothing is left */
}

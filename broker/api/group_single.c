// SPDX-License-Identifier: Apache-2.0
/* The requests that name one group: JoinGroup, SyncGroup, Heartbeat, LeaveGroup, OffsetCommit, OffsetDelete,
 * ConsumerGroupHeartbeat.
 *
 *   ask     read the body; one call to the group's coordinator
 *   answer  it is back: its response, or an error where the response has a place for it
 *
 * They differ in their structs and in what they say of an error: a row of the table each. A join waits at the
 * coordinator for the other members, up to the rebalance timeout. */
#include "broker/api/group_api.h"
#include "broker/conn.h"
#include "broker/shard.h"
#include "protocol/msg_consumer_group_heartbeat.h"
#include "protocol/msg_heartbeat.h"
#include "protocol/msg_join_group.h"
#include "protocol/msg_leave_group.h"
#include "protocol/msg_offset_commit.h"
#include "protocol/msg_offset_delete.h"
#include "protocol/msg_sync_group.h"

enum single_stage { SINGLE_ASK, SINGLE_ANSWER };

struct single {
    enum api_key api;
    size_t query_size, response_size;
    struct str (*init)(const void *query, void *response); /* returns the group */
    bool empty_id; /* a group may have the empty name: Kafka's old consumers commit so */
    /* Makes the response one of that error. False: no memory. */
    bool (*fail)(struct request *r, const void *query, void *response, int16_t error);
    void (*finish)(struct request *r, void *response); /* NULL, or mends what old versions cannot say */
};

#define SINGLE_PLAIN(name)                                                                                             \
    static struct str name##_begin(const void *query, void *response)                                                  \
    {                                                                                                                  \
        name##_response_init(response);                                                                                \
        return ((const struct name##_request *)query)->group_id;                                                       \
    }                                                                                                                  \
    static bool name##_fail(struct request *r, const void *query, void *response, int16_t error)                       \
    {                                                                                                                  \
        (void)r;                                                                                                       \
        name##_begin(query, response);                                                                                 \
        ((struct name##_response *)response)->error_code = error;                                                      \
        return true;                                                                                                   \
    }
SINGLE_PLAIN(sync_group)
SINGLE_PLAIN(heartbeat)
SINGLE_PLAIN(leave_group)
SINGLE_PLAIN(offset_delete)
SINGLE_PLAIN(consumer_group_heartbeat)
#undef SINGLE_PLAIN

static struct str join_group_begin(const void *query, void *response)
{
    join_group_response_init(response);
    return ((const struct join_group_request *)query)->group_id;
}

static bool join_group_fail(struct request *r, const void *query, void *response, int16_t error)
{
    struct join_group_response *a = response;
    (void)r;
    join_group_response_init(a);
    a->error_code = error;
    a->member_id = ((const struct join_group_request *)query)->member_id;
    return true;
}

static void join_group_finish(struct request *r, void *response)
{
    struct join_group_response *a = response;
    if (r->header.api_version < 7 && a->protocol_name.len < 0) a->protocol_name = STR_EMPTY;
}

static struct str offset_commit_begin(const void *query, void *response)
{
    offset_commit_response_init(response);
    return ((const struct offset_commit_request *)query)->group_id;
}

/* The error stands in each partition: the response has no other place. */
static bool offset_commit_fail(struct request *r, const void *query, void *response, int16_t error)
{
    const struct offset_commit_request *q = query;
    struct offset_commit_response *a = response;
    offset_commit_response_init(a);
    a->topics = request_zalloc(r, (size_t)q->topics_count * sizeof *a->topics);
    if (a->topics == NULL) return false;
    a->topics_count = q->topics_count;
    for (int32_t i = 0; i < q->topics_count; i++) {
        const struct offset_commit_request_topic *t = &q->topics[i];
        struct offset_commit_response_topic *b = &a->topics[i];
        offset_commit_response_topic_init(b);
        b->name = t->name;
        b->topic_id = t->topic_id;
        b->partitions = request_zalloc(r, (size_t)t->partitions_count * sizeof *b->partitions);
        if (b->partitions == NULL) return false;
        b->partitions_count = t->partitions_count;
        for (int32_t k = 0; k < t->partitions_count; k++) {
            b->partitions[k].partition_index = t->partitions[k].partition_index;
            b->partitions[k].error_code = error;
        }
    }
    return true;
}

#define SINGLE(key, name, empty, finish)                                                                               \
    {                                                                                                                  \
        key, sizeof(struct name##_request), sizeof(struct name##_response), name##_begin, empty, name##_fail, finish   \
    }
static const struct single singles[] = {
    SINGLE(API_JOIN_GROUP, join_group, false, join_group_finish),
    SINGLE(API_SYNC_GROUP, sync_group, false, NULL),
    SINGLE(API_HEARTBEAT, heartbeat, false, NULL),
    SINGLE(API_LEAVE_GROUP, leave_group, false, NULL),
    SINGLE(API_OFFSET_COMMIT, offset_commit, true, NULL),
    SINGLE(API_OFFSET_DELETE, offset_delete, false, NULL),
    SINGLE(API_CONSUMER_GROUP_HEARTBEAT, consumer_group_heartbeat, false, NULL),
};

static const struct single *single_of(const struct request *r)
{
    size_t i = 0, n = sizeof singles / sizeof singles[0];
    while (i < n && (int16_t)singles[i].api != r->header.api_key) i++;
    CHECK(i < n);
    return &singles[i];
}

static int ask(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    const struct single *s = single_of(r);
    struct group_api *g = group_api_begin(r, s->query_size, s->response_size);
    if (g == NULL) return STAGE_DONE;
    struct str group = s->init(g->query, g->response);
    if (!group_api_calls(r, 1)) return api_no_memory(r);
    if (group.len > 0 || s->empty_id)
        group_api_send(r, 0, group, g->query, g->response);
    else
        g->parts[0].call.error =
            s->api == API_CONSUMER_GROUP_HEARTBEAT ? KAFKA_INVALID_REQUEST : KAFKA_INVALID_GROUP_ID;
    return group_api_wait(r, SINGLE_ANSWER);
}

static int answer(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    const struct single *s = single_of(r);
    struct group_api *g = r->group_api;
    int16_t error = g->parts[0].call.error;
    if (error != KAFKA_NONE && !s->fail(r, g->query, g->response, error))
        conn_fault(r->conn, "no memory for its answer", r->header.api_key, r->header.api_version);
    if (s->finish != NULL) s->finish(r, g->response);
    return group_api_answer(r);
}

static const struct stage stages[] = {
    [SINGLE_ASK] = {"ask", ask, STAGE_BIT(SINGLE_ANSWER)},
    [SINGLE_ANSWER] = {"answer", answer, 0},
};
const struct flow group_single_flow = {"group", stages, 2};

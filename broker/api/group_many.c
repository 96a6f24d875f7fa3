// SPDX-License-Identifier: Apache-2.0
/* The requests that name several groups, or all: DescribeGroups, ConsumerGroupDescribe, DeleteGroups, OffsetFetch,
 * ListGroups.
 *
 *   ask     read the body; a call for each group (ListGroups: for each partition of __consumer_offsets)
 *   answer  all are back: the response
 *
 * Failure modes: an error of one group does not hinder the others; of ListGroups, a coordinator that loads is the error
 * of the whole, as in Apache Kafka, since the list would not be complete. */
#include "broker/api/group_api.h"
#include "broker/conn.h"
#include "broker/shard.h"
#include "protocol/msg_consumer_group_describe.h"
#include "protocol/msg_delete_groups.h"
#include "protocol/msg_describe_groups.h"
#include "protocol/msg_list_groups.h"
#include "protocol/msg_offset_fetch.h"

#define GROUPS_PER_CALL    10000 /* groups that one request may name */
#define FETCH_BATCHED_FROM 8     /* OffsetFetch: several groups from this version on */
#define GROUP_OPERATIONS   328   /* read, delete, describe: what one may do where nobody forbids anything */

enum many_stage { MANY_ASK, MANY_ANSWER };

static bool too_many(struct request *r, int32_t count)
{
    if (count <= GROUPS_PER_CALL) return false;
    request_refuse(r, "more groups than one request may name");
    return true;
}

/* ---- DescribeGroups, ConsumerGroupDescribe, DeleteGroups: names in, a row each ---- */

/* Rows as generic memory: init one, put an error into it. */
#define MANY_ROWS(api, row_type, names, names_count, rows, rows_count)                                                 \
    static int api##_ask(struct task *t)                                                                               \
    {                                                                                                                  \
        struct request *r = container_of(t, struct request, task);                                                     \
        struct group_api *g = group_api_begin(r, sizeof(struct api##_request), sizeof(struct api##_response));         \
        if (g == NULL) return STAGE_DONE;                                                                              \
        const struct api##_request *q = g->query;                                                                      \
        struct api##_response *a = g->response;                                                                        \
        api##_response_init(a);                                                                                        \
        if (too_many(r, q->names_count)) return STAGE_DONE;                                                            \
        a->rows = request_zalloc(r, (size_t)q->names_count * sizeof *a->rows);                                         \
        if (a->rows == NULL || !group_api_calls(r, (uint32_t)q->names_count)) return api_no_memory(r);                 \
        a->rows_count = q->names_count;                                                                                \
        for (int32_t i = 0; i < q->names_count; i++) {                                                                 \
            row_type##_init(&a->rows[i]);                                                                              \
            a->rows[i].group_id = q->names[i];                                                                         \
        }                                                                                                              \
        for (int32_t i = 0; i < q->names_count; i++) group_api_send(r, (uint32_t)i, q->names[i], NULL, &a->rows[i]);   \
        return group_api_wait(r, MANY_ANSWER);                                                                         \
    }                                                                                                                  \
                                                                                                                       \
    static void api##_errors(struct request *r)                                                                        \
    {                                                                                                                  \
        const struct group_api *g = r->group_api;                                                                      \
        const struct api##_request *q = g->query;                                                                      \
        struct api##_response *a = g->response;                                                                        \
        for (uint32_t i = 0; i < g->count; i++) {                                                                      \
            if (g->parts[i].call.error == KAFKA_NONE) continue;                                                        \
            row_type##_init(&a->rows[i]);                                                                              \
            a->rows[i].group_id = q->names[i];                                                                         \
            a->rows[i].error_code = g->parts[i].call.error;                                                            \
        }                                                                                                              \
    }

MANY_ROWS(describe_groups, describe_groups_response_group, groups, groups_count, groups, groups_count)
MANY_ROWS(consumer_group_describe, consumer_group_describe_response_group, group_ids, group_ids_count, groups,
          groups_count)
MANY_ROWS(delete_groups, delete_groups_response_group, groups_names, groups_names_count, results, results_count)
#undef MANY_ROWS

static int describe_groups_answer(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    const struct describe_groups_request *q = r->group_api->query;
    struct describe_groups_response *a = r->group_api->response;
    describe_groups_errors(r);
    for (int32_t i = 0; q->include_authorized_operations && i < a->groups_count; i++)
        if (a->groups[i].error_code == KAFKA_NONE) a->groups[i].authorized_operations = GROUP_OPERATIONS;
    return group_api_answer(r);
}

static int consumer_group_describe_answer(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    const struct consumer_group_describe_request *q = r->group_api->query;
    struct consumer_group_describe_response *a = r->group_api->response;
    consumer_group_describe_errors(r);
    for (int32_t i = 0; q->include_authorized_operations && i < a->groups_count; i++)
        if (a->groups[i].error_code == KAFKA_NONE) a->groups[i].authorized_operations = GROUP_OPERATIONS;
    return group_api_answer(r);
}

static int delete_groups_answer(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    delete_groups_errors(r);
    return group_api_answer(r);
}

/* ---- OffsetFetch ---- */

/* The one group of an older version as the newer ones write it. NULL: no memory. */
static const struct offset_fetch_request_group *lift(struct request *r, const struct offset_fetch_request *q)
{
    struct offset_fetch_request_group *g = request_zalloc(r, sizeof *g);
    if (g == NULL) return NULL;
    offset_fetch_request_group_init(g);
    g->group_id = q->group_id;
    g->topics_count = q->topics_count;
    if (q->topics_count < 0) return g;
    g->topics = request_zalloc(r, (size_t)q->topics_count * sizeof *g->topics);
    if (g->topics == NULL) return NULL;
    for (int32_t i = 0; i < q->topics_count; i++) {
        offset_fetch_request_group_topic_init(&g->topics[i]);
        g->topics[i].name = q->topics[i].name;
        g->topics[i].partition_indexes = q->topics[i].partition_indexes;
        g->topics[i].partition_indexes_count = q->topics[i].partition_indexes_count;
    }
    return g;
}

static bool lower_topic(struct request *r, const struct offset_fetch_response_group_topic *from,
                        struct offset_fetch_response_topic *to)
{
    offset_fetch_response_topic_init(to);
    to->name = from->name;
    to->partitions = request_zalloc(r, (size_t)from->partitions_count * sizeof *to->partitions);
    if (to->partitions == NULL) return false;
    to->partitions_count = from->partitions_count;
    for (int32_t i = 0; i < from->partitions_count; i++)
        to->partitions[i] = (struct offset_fetch_response_partition){
            .partition_index = from->partitions[i].partition_index,
            .committed_offset = from->partitions[i].committed_offset,
            .committed_leader_epoch = from->partitions[i].committed_leader_epoch,
            .metadata = from->partitions[i].metadata,
            .error_code = from->partitions[i].error_code,
        };
    return true;
}

/* And the response back. The first version has no place for the group's error but the partitions. */
static bool lower(struct request *r, const struct offset_fetch_response_group *g, struct offset_fetch_response *a)
{
    a->error_code = g->error_code;
    a->topics = request_zalloc(r, (size_t)g->topics_count * sizeof *a->topics);
    if (a->topics == NULL) return false;
    a->topics_count = g->topics_count;
    for (int32_t i = 0; i < g->topics_count; i++)
        if (!lower_topic(r, &g->topics[i], &a->topics[i])) return false;
    return true;
}

/* A row with the error; before version 8 in each partition too. */
static bool fetch_failed(struct request *r, const struct offset_fetch_request_group *q, int16_t error,
                         struct offset_fetch_response_group *a)
{
    offset_fetch_response_group_init(a);
    a->group_id = q->group_id;
    a->error_code = error;
    if (r->header.api_version >= FETCH_BATCHED_FROM || q->topics_count <= 0) return true;
    a->topics = request_zalloc(r, (size_t)q->topics_count * sizeof *a->topics);
    if (a->topics == NULL) return false;
    a->topics_count = q->topics_count;
    for (int32_t i = 0; i < q->topics_count; i++) {
        const struct offset_fetch_request_group_topic *t = &q->topics[i];
        struct offset_fetch_response_group_topic *b = &a->topics[i];
        offset_fetch_response_group_topic_init(b);
        b->name = t->name;
        b->partitions = request_zalloc(r, (size_t)t->partition_indexes_count * sizeof *b->partitions);
        if (b->partitions == NULL) return false;
        b->partitions_count = t->partition_indexes_count;
        for (int32_t k = 0; k < t->partition_indexes_count; k++) {
            offset_fetch_response_group_partition_init(&b->partitions[k]);
            b->partitions[k].partition_index = t->partition_indexes[k];
            b->partitions[k].committed_offset = -1;
            b->partitions[k].metadata = STR_EMPTY;
            b->partitions[k].error_code = error;
        }
    }
    return true;
}

static int offset_fetch_ask(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    struct group_api *g = group_api_begin(r, sizeof(struct offset_fetch_request), sizeof(struct offset_fetch_response));
    if (g == NULL) return STAGE_DONE;
    const struct offset_fetch_request *q = g->query;
    struct offset_fetch_response *a = g->response;
    bool batched = r->header.api_version >= FETCH_BATCHED_FROM;
    int32_t n = batched ? q->groups_count : 1;
    offset_fetch_response_init(a);
    if (too_many(r, n)) return STAGE_DONE;
    const struct offset_fetch_request_group *asked = batched ? q->groups : lift(r, q);
    a->groups = request_zalloc(r, (size_t)n * sizeof *a->groups);
    if (a->groups == NULL || (asked == NULL && n > 0) || !group_api_calls(r, (uint32_t)n)) return api_no_memory(r);
    a->groups_count = n;
    for (int32_t i = 0; i < n; i++) {
        offset_fetch_response_group_init(&a->groups[i]);
        a->groups[i].group_id = asked[i].group_id;
        group_api_send(r, (uint32_t)i, asked[i].group_id, &asked[i], &a->groups[i]);
    }
    return group_api_wait(r, MANY_ANSWER);
}

static int offset_fetch_answer(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    struct group_api *g = r->group_api;
    struct offset_fetch_response *a = g->response;
    bool ok = true;
    for (uint32_t i = 0; ok && i < g->count; i++)
        if (g->parts[i].call.error != KAFKA_NONE)
            ok = fetch_failed(r, g->parts[i].call.request, g->parts[i].call.error, &a->groups[i]);
    if (ok && r->header.api_version < FETCH_BATCHED_FROM) ok = lower(r, &a->groups[0], a);
    if (!ok) conn_fault(r->conn, "no memory for its answer", r->header.api_key, r->header.api_version);
    return group_api_answer(r);
}

/* ---- ListGroups ---- */

static int list_groups_ask(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    struct group_api *g = group_api_begin(r, sizeof(struct list_groups_request), sizeof(struct list_groups_response));
    if (g == NULL) return STAGE_DONE;
    list_groups_response_init(g->response);
    const struct image_topic *topic = topic_index_by_name(r->shard->topics, STR(GROUP_TOPIC));
    uint32_t n = topic != NULL ? topic->partition_count : 0;
    struct list_groups_response *rows = request_zalloc(r, n * sizeof *rows);
    if (rows == NULL || !group_api_calls(r, n)) return api_no_memory(r);
    for (uint32_t i = 0; i < n; i++) {
        list_groups_response_init(&rows[i]);
        group_api_list(r, i, topic, &rows[i]);
    }
    return group_api_wait(r, MANY_ANSWER);
}

static int list_groups_answer(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    const struct group_api *g = r->group_api;
    struct list_groups_response *a = g->response;
    int32_t n = 0;
    for (uint32_t i = 0; i < g->count; i++) {
        const struct list_groups_response *rows = g->parts[i].call.response;
        if (g->parts[i].call.error != KAFKA_NONE) a->error_code = g->parts[i].call.error;
        n += rows->groups_count;
    }
    if (a->error_code != KAFKA_NONE) return group_api_answer(r);
    a->groups = request_zalloc(r, (size_t)n * sizeof *a->groups);
    if (a->groups == NULL) {
        conn_fault(r->conn, "no memory for its answer", r->header.api_key, r->header.api_version);
        return group_api_answer(r);
    }
    for (uint32_t i = 0; i < g->count; i++) {
        const struct list_groups_response *rows = g->parts[i].call.response;
        for (int32_t k = 0; k < rows->groups_count; k++) a->groups[a->groups_count++] = rows->groups[k];
    }
    return group_api_answer(r);
}

#define MANY_FLOW(api, name)                                                                                           \
    static const struct stage api##_stages[] = {                                                                       \
        [MANY_ASK] = {"ask", api##_ask, STAGE_BIT(MANY_ANSWER)}, [MANY_ANSWER] = {"answer", api##_answer, 0}};         \
    const struct flow api##_flow = {name, api##_stages, 2};
MANY_FLOW(describe_groups, "describe groups")
MANY_FLOW(consumer_group_describe, "consumer group describe")
MANY_FLOW(delete_groups, "delete groups")
MANY_FLOW(offset_fetch, "offset fetch")
MANY_FLOW(list_groups, "list groups")

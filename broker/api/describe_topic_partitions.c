// SPDX-License-Identifier: Apache-2.0
/* DescribeTopicPartitions (KIP-966): partitions in pages, with the eligible leader replicas. One stage.
 *
 * Topics come in the order of their names, all of them or those asked for; the answer holds at most
 * response_partition_limit partitions (and never more than LIMIT_MAX) and ends with a cursor where more are left.
 * Failure modes: a topic that is not there is a row with its error. */
#include "base/bytes.h"
#include "broker/api/api.h"
#include "broker/shard.h"
#include "protocol/msg_describe_topic_partitions.h"
#include <stdlib.h>

#define LIMIT_MAX 2000 /* Kafka's max.request.partition.size.limit */

struct page {
    struct request *request;
    struct describe_topic_partitions_response a;
    uint32_t left; /* partitions that still fit */
    bool full;
};

static int32_t *ids_of(struct ids ids)
{
    return (int32_t *)(uintptr_t)ids.v; /* an encoder does not write */
}

static void fill_partition(const struct image_partition *p, struct describe_topic_partitions_response_partition *a)
{
    describe_topic_partitions_response_partition_init(a);
    a->partition_index = p->number;
    a->error_code = p->leader == NO_LEADER ? KAFKA_LEADER_NOT_AVAILABLE : KAFKA_NONE;
    a->leader_id = p->leader;
    a->leader_epoch = p->leader_epoch;
    a->replica_nodes = ids_of(p->replicas);
    a->replica_nodes_count = (int32_t)p->replicas.count;
    a->isr_nodes = ids_of(p->isr);
    a->isr_nodes_count = (int32_t)p->isr.count;
    a->eligible_leader_replicas = ids_of(p->elr);
    a->eligible_leader_replicas_count = (int32_t)p->elr.count;
    a->last_known_elr = ids_of(p->last_known_elr);
    a->last_known_elr_count = (int32_t)p->last_known_elr.count;
}

static void stop_at(struct page *g, struct str name, int32_t number)
{
    g->full = true;
    g->a.next_cursor_present = true;
    g->a.next_cursor.topic_name = name;
    g->a.next_cursor.partition_index = number;
}

/* Partitions from `first` on. False: no memory. */
static bool add_topic(struct page *g, const struct image_topic *t, uint32_t first)
{
    if (g->left == 0) {
        stop_at(g, t->name, (int32_t)first);
        return true;
    }
    struct describe_topic_partitions_response_topic *row = &g->a.topics[g->a.topics_count++];
    describe_topic_partitions_response_topic_init(row);
    row->name = t->name;
    row->topic_id = t->id;
    row->is_internal = api_topic_is_internal(t->name);
    row->topic_authorized_operations = API_TOPIC_OPERATIONS;
    uint32_t n = MIN(t->partition_count - MIN(first, t->partition_count), g->left);
    row->partitions = request_zalloc(g->request, n * sizeof *row->partitions);
    if (row->partitions == NULL) return false;
    row->partitions_count = (int32_t)n;
    for (uint32_t i = 0; i < n; i++) fill_partition(t->partitions[first + i], &row->partitions[i]);
    g->left -= n;
    if (first + n < t->partition_count) stop_at(g, t->name, (int32_t)(first + n));
    return true;
}

static void add_missing(struct page *g, struct str name)
{
    char why[256];
    struct describe_topic_partitions_response_topic *row = &g->a.topics[g->a.topics_count++];
    describe_topic_partitions_response_topic_init(row);
    row->name = name;
    row->error_code = status_kafka_code(topic_name_check(name, why) ? STATUS_UNKNOWN_PARTITION : STATUS_INVALID_TOPIC);
}

static int compare(struct str a, struct str b)
{
    int order = memcmp(a.data, b.data, (size_t)MIN(a.len, b.len));
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static int by_name(const void *a, const void *b)
{
    return compare(((const struct describe_topic_partitions_request_topic *)a)->name,
                   ((const struct describe_topic_partitions_request_topic *)b)->name);
}

static uint32_t first_of(const struct describe_topic_partitions_request *q, struct str name)
{
    bool here = q->cursor_present && str_equal(q->cursor.topic_name, name);
    return here && q->cursor.partition_index > 0 ? (uint32_t)q->cursor.partition_index : 0;
}

static bool add_asked(struct page *g, const struct describe_topic_partitions_request *q)
{
    const struct topic_index *topics = g->request->shard->topics;
    qsort(q->topics, (size_t)q->topics_count, sizeof *q->topics, by_name);
    for (int32_t i = 0; i < q->topics_count && !g->full; i++) {
        struct str name = q->topics[i].name;
        if (i > 0 && str_equal(name, q->topics[i - 1].name)) continue;
        if (q->cursor_present && compare(name, q->cursor.topic_name) < 0) continue;
        const struct image_topic *t = name.len > 0 ? topic_index_by_name(topics, name) : NULL;
        if (t == NULL)
            add_missing(g, name);
        else if (!add_topic(g, t, first_of(q, name)))
            return false;
    }
    return true;
}

static bool add_all(struct page *g, const struct describe_topic_partitions_request *q)
{
    const struct topic_index *topics = g->request->shard->topics;
    const struct image_topic *t = NULL;
    if (q->cursor_present && q->cursor.topic_name.len > 0) t = topic_index_by_name(topics, q->cursor.topic_name);
    if (t == NULL) t = topic_index_after(topics, q->cursor_present ? q->cursor.topic_name : STR_NULL);
    for (; t != NULL && !g->full; t = topic_index_after(topics, t->name))
        if (!add_topic(g, t, first_of(q, t->name))) return false;
    return true;
}

static int answer(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    const struct describe_topic_partitions_request *q = api_decode(r, sizeof *q);
    if (q == NULL) return STAGE_DONE;
    struct page g = {.request = r, .left = (uint32_t)MIN(MAX(q->response_partition_limit, 1), LIMIT_MAX)};
    describe_topic_partitions_response_init(&g.a);
    size_t rows = q->topics_count > 0 ? (size_t)q->topics_count : (size_t)g.left;
    g.a.topics = request_zalloc(r, rows * sizeof *g.a.topics);
    if (g.a.topics == NULL || !(q->topics_count > 0 ? add_asked(&g, q) : add_all(&g, q))) return api_no_memory(r);
    request_answer(r, &g.a);
    return STAGE_DONE;
}

static const struct stage stages[] = {{"answer", answer, 0}};
const struct flow describe_topic_partitions_flow = {"describe topic partitions", stages, 1};

// SPDX-License-Identifier: Apache-2.0
/* What the cluster looks like, for the user (contract: leat.h): one Metadata answer copied into a result, sorted.
 * Failure modes: no memory for the copy; everything else is that of the request. */
#include "clients/c/metadata.h"
#include "clients/c/result.h"

#include "base/bytes.h"
#include <stdlib.h>

static int node_order(const void *a, const void *b)
{
    const struct leat_node *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

static int partition_order(const void *a, const void *b)
{
    const struct leat_partition *x = a, *y = b;
    return (x->number > y->number) - (x->number < y->number);
}

static int topic_order(const void *a, const void *b)
{
    const struct leat_topic *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static const int32_t *ids(struct result *r, const int32_t *from, int32_t count, size_t *ret_count)
{
    size_t n = (size_t)MAX(count, 0);
    int32_t *to = result_array(r, n, sizeof *to);
    if (to != NULL && n > 0) memcpy(to, from, n * sizeof *to);
    *ret_count = n;
    return to;
}

static void partition_take(struct result *r, const struct metadata_response_partition *q, struct leat_partition *p)
{
    *p = (struct leat_partition){
        .number = q->partition_index,
        .leader = q->leader_id < 0 ? NODE_NONE : q->leader_id,
        .leader_epoch = q->leader_epoch,
        .kafka_code = q->error_code,
    };
    p->replicas = ids(r, q->replica_nodes, q->replica_nodes_count, &p->replica_count);
    p->isr = ids(r, q->isr_nodes, q->isr_nodes_count, &p->isr_count);
    p->offline = ids(r, q->offline_replicas, q->offline_replicas_count, &p->offline_count);
}

static void topic_take(struct result *r, const struct metadata_response_topic *q, struct leat_topic *t)
{
    size_t n = (size_t)MAX(q->partitions_count, 0);
    struct leat_partition *partitions = result_array(r, n, sizeof *partitions);
    const char *name = result_str(r, q->name);
    t->name = name == NULL ? "" : name; /* null: by id only, which we did not ask for */
    memcpy(t->id, q->topic_id.b, sizeof t->id);
    t->internal = q->is_internal;
    t->kafka_code = q->error_code;
    for (size_t i = 0; i < n && !r->failed; i++) partition_take(r, &q->partitions[i], &partitions[i]);
    if (r->failed) return;
    qsort(partitions, n, sizeof *partitions, partition_order);
    t->partitions = partitions;
    t->partition_count = n;
}

static void cluster_take(struct result *r, const struct metadata_response *a, struct leat_cluster *cluster)
{
    size_t node_count = (size_t)MAX(a->brokers_count, 0), topic_count = (size_t)MAX(a->topics_count, 0);
    struct leat_node *nodes = result_array(r, node_count, sizeof *nodes);
    struct leat_topic *topics = result_array(r, topic_count, sizeof *topics);
    cluster->id = a->cluster_id.len < 0 ? NULL : result_str(r, a->cluster_id);
    cluster->controller = a->controller_id;
    for (size_t i = 0; i < node_count && !r->failed; i++) {
        const struct metadata_response_broker *b = &a->brokers[i];
        nodes[i] = (struct leat_node){.id = b->node_id, .port = b->port, .host = result_str(r, b->host)};
        if (!r->failed && b->rack.len >= 0) nodes[i].rack = result_str(r, b->rack);
    }
    for (size_t i = 0; i < topic_count && !r->failed; i++) topic_take(r, &a->topics[i], &topics[i]);
    if (r->failed) return;
    qsort(nodes, node_count, sizeof *nodes, node_order);
    qsort(topics, topic_count, sizeof *topics, topic_order);
    cluster->nodes = nodes;
    cluster->node_count = node_count;
    cluster->topics = topics;
    cluster->topic_count = topic_count;
}

enum leat_code leat_cluster_get(struct leat_client *client, const char *const *topics, size_t topic_count,
                                int64_t timeout_ms, struct leat_cluster **ret_cluster, struct leat_error *ret_error)
{
    struct reply reply;
    struct result *r;
    enum leat_code code = metadata_fetch(client, topics, topic_count, deadline_in(timeout_ms), &reply, ret_error);
    if (code != LEAT_OK) return code;
    struct leat_cluster *cluster = result_create(client->mem, sizeof *cluster, &r);
    if (cluster != NULL) cluster_take(r, reply.message, cluster);
    reply_free(&reply);
    if (cluster == NULL || r->failed) {
        result_free(cluster);
        return fail(ret_error, LEAT_NO_MEMORY, "no memory for what the cluster looks like");
    }
    *ret_cluster = cluster;
    return LEAT_OK;
}

void leat_cluster_free(struct leat_cluster *cluster)
{
    result_free(cluster);
}

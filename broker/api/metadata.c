// SPDX-License-Identifier: Apache-2.0
/* Metadata: this broker, the cluster id, and topics with their leader, which is this broker. One stage.
 * All topics: null list from version 1 on, empty list in version 0. A name or id that is not there is answered with its
 * error; no topic is created by asking. Failure modes: no memory for the answer closes the connection. */
#include "broker/api/api.h"
#include "broker/shard.h"
#include "protocol/msg_metadata.h"

struct answer {
    struct request *request;
    const struct metadata_request *q;
    struct metadata_response a;
    int32_t *self; /* the one replica of everything */
};

static bool fill_partitions(struct answer *m, const struct topic *t, struct metadata_response_topic *ret_topic)
{
    const struct broker *b = m->request->shard->broker;
    struct metadata_response_partition *list = request_zalloc(m->request, (size_t)t->partition_count * sizeof *list);
    if (list == NULL) return false;
    for (int32_t i = 0; i < t->partition_count; i++) {
        metadata_response_partition_init(&list[i]);
        list[i].partition_index = i;
        list[i].leader_id = b->config->node_id;
        list[i].leader_epoch = b->epochs[t->first_slot + (uint32_t)i];
        list[i].replica_nodes = list[i].isr_nodes = m->self;
        list[i].replica_nodes_count = list[i].isr_nodes_count = 1;
    }
    ret_topic->partitions = list;
    ret_topic->partitions_count = t->partition_count;
    return true;
}

static bool fill_topic(struct answer *m, const struct topic *t, struct metadata_response_topic *ret_topic)
{
    metadata_response_topic_init(ret_topic);
    ret_topic->name = topic_str(t);
    ret_topic->topic_id = topic_uuid(t);
    return fill_partitions(m, t, ret_topic);
}

static bool fill_asked(struct answer *m, const struct metadata_request_topic *asked,
                       struct metadata_response_topic *ret_topic)
{
    const struct topics *all = &m->request->shard->broker->config->topics;
    bool by_id = asked->name.len < 0;
    const struct topic *t = by_id ? topics_by_id(all, asked->topic_id) : topics_by_name(all, asked->name);
    if (t != NULL) return fill_topic(m, t, ret_topic);
    metadata_response_topic_init(ret_topic);
    bool valid = by_id || topics_name_valid(asked->name.data, (size_t)asked->name.len);
    enum status s = by_id ? STATUS_UNKNOWN_TOPIC_ID : valid ? STATUS_UNKNOWN_PARTITION : STATUS_INVALID_TOPIC;
    ret_topic->error_code = status_kafka_code(s);
    ret_topic->name = by_id && m->request->header.api_version < 12 ? STR_EMPTY : asked->name;
    ret_topic->topic_id = asked->topic_id;
    return true;
}

static bool fill_topics(struct answer *m)
{
    const struct topics *all = &m->request->shard->broker->config->topics;
    bool everything = m->q->topics_count < 0 || (m->request->header.api_version == 0 && m->q->topics_count == 0);
    int32_t n = everything ? (int32_t)all->count : m->q->topics_count;
    m->a.topics = request_zalloc(m->request, (size_t)n * sizeof *m->a.topics);
    m->a.topics_count = n;
    if (m->a.topics == NULL) return false;
    for (int32_t i = 0; i < n; i++) {
        bool ok = everything ? fill_topic(m, &all->list[i], &m->a.topics[i])
                             : fill_asked(m, &m->q->topics[i], &m->a.topics[i]);
        if (!ok) return false;
    }
    return true;
}

static bool fill(struct answer *m)
{
    const struct broker *b = m->request->shard->broker;
    m->a.brokers = request_zalloc(m->request, sizeof *m->a.brokers);
    m->self = request_zalloc(m->request, sizeof *m->self);
    if (m->a.brokers == NULL || m->self == NULL) return false;
    metadata_response_broker_init(m->a.brokers);
    *m->self = b->config->node_id;
    m->a.brokers->node_id = b->config->node_id;
    m->a.brokers->host = (struct str){b->config->advertised_host, (int32_t)strlen(b->config->advertised_host)};
    m->a.brokers->port = b->config->advertised_port != 0 ? b->config->advertised_port : b->port;
    m->a.brokers_count = 1;
    m->a.cluster_id = (struct str){b->cluster_id, (int32_t)strlen(b->cluster_id)};
    m->a.controller_id = b->config->node_id;
    return fill_topics(m);
}

static int answer(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    struct answer m = {.request = r, .q = api_decode(r, sizeof *m.q)};
    if (m.q == NULL) return STAGE_DONE;
    metadata_response_init(&m.a);
    if (fill(&m))
        request_answer(r, &m.a);
    else
        request_refuse(r, "no memory for its answer");
    return STAGE_DONE;
}

static const struct stage stages[] = {{"answer", answer, 0}};
const struct flow metadata_flow = {"metadata", stages, 1};

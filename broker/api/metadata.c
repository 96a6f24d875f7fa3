// SPDX-License-Identifier: Apache-2.0
/* Metadata: brokers, the cluster id, and topics with their leaders.
 *
 *   begin   read the body; topics that are missing and may be made: ask shard 0 for them
 *   answer  from this shard's index
 *
 * All topics: null list from version 1 on, empty list in version 0. A name or id that is not there is answered with its
 * error. A topic that the request may create (auto.create.topics.enable, and the client does not forbid it) is there
 * when the answer leaves, where Apache Kafka lets the client ask again. Failure modes: no memory for the answer closes
 * the connection. */
#include "broker/api/admin.h"
#include "broker/shard.h"
#include "protocol/msg_metadata.h"

enum metadata_stage { METADATA_BEGIN, METADATA_ANSWER };

struct metadata_ask {
    struct admin admin;
    const struct metadata_request *q;
    struct metadata_response a;
    struct topic_wish *wishes; /* topics to be made */
    struct topic_answer *answers;
    uint32_t wish_count, wish_at; /* answers are asked for in the order of the wishes */
};

static int32_t *ids_of(struct ids ids)
{
    return (int32_t *)(uintptr_t)ids.v; /* an encoder does not write */
}

static void fill_partition(const struct shard *s, const struct image_partition *p,
                           struct metadata_response_partition *ret_partition)
{
    metadata_response_partition_init(ret_partition);
    ret_partition->partition_index = p->number;
    ret_partition->leader_id = p->leader;
    ret_partition->leader_epoch = p->leader_epoch;
    ret_partition->error_code = p->leader == NO_LEADER ? KAFKA_LEADER_NOT_AVAILABLE : KAFKA_NONE;
    ret_partition->replica_nodes = ids_of(p->replicas);
    ret_partition->replica_nodes_count = (int32_t)p->replicas.count;
    ret_partition->isr_nodes = ids_of(p->isr);
    ret_partition->isr_nodes_count = (int32_t)p->isr.count;
    (void)s;
}

static bool fill_topic(struct request *r, const struct metadata_request *q, const struct image_topic *t,
                       struct metadata_response_topic *ret_topic)
{
    struct metadata_response_partition *list = request_zalloc(r, t->partition_count * sizeof *list);
    if (list == NULL) return false;
    metadata_response_topic_init(ret_topic);
    ret_topic->name = t->name;
    ret_topic->topic_id = t->id;
    ret_topic->is_internal = api_topic_is_internal(t->name);
    if (q->include_topic_authorized_operations) ret_topic->topic_authorized_operations = API_TOPIC_OPERATIONS;
    for (uint32_t i = 0; i < t->partition_count; i++) fill_partition(r->shard, t->partitions[i], &list[i]);
    ret_topic->partitions = list;
    ret_topic->partitions_count = (int32_t)t->partition_count;
    return true;
}

/* An id that is not zero counts, whatever the name: Java's admin client sends an empty name with it, others null. */
static bool by_id(const struct metadata_request_topic *asked)
{
    static const struct uuid zero;
    return asked->name.len < 0 || memcmp(&asked->topic_id, &zero, sizeof zero) != 0;
}

/* Why a topic that was asked for is not there. */
static int16_t missing(struct metadata_ask *m, const struct metadata_request_topic *asked)
{
    char why[256];
    if (by_id(asked)) return status_kafka_code(STATUS_UNKNOWN_TOPIC_ID);
    if (!topic_name_check(asked->name, why)) return status_kafka_code(STATUS_INVALID_TOPIC);
    while (m->wish_at < m->wish_count && m->wishes[m->wish_at].name.data != asked->name.data) m->wish_at++;
    int16_t failed = admin_failed(m->admin.request);
    if (m->wish_at < m->wish_count && failed != 0) return failed;
    if (m->wish_at < m->wish_count && m->answers[m->wish_at].error.code != RULE_OK)
        return m->answers[m->wish_at].error.code;
    return status_kafka_code(STATUS_UNKNOWN_PARTITION);
}

static const struct image_topic *find(const struct shard *s, const struct metadata_request_topic *asked)
{
    if (by_id(asked)) return topic_index_by_id(s->topics, asked->topic_id);
    return asked->name.len > 0 ? topic_index_by_name(s->topics, asked->name) : NULL;
}

static bool fill_asked(struct metadata_ask *m, const struct metadata_request_topic *asked,
                       struct metadata_response_topic *ret_topic)
{
    struct request *r = m->admin.request;
    const struct image_topic *t = find(r->shard, asked);
    if (t != NULL) return fill_topic(r, m->q, t, ret_topic);
    metadata_response_topic_init(ret_topic);
    ret_topic->error_code = missing(m, asked);
    ret_topic->name = asked->name;
    if (by_id(asked)) ret_topic->name = r->header.api_version < 12 ? STR_EMPTY : STR_NULL;
    ret_topic->topic_id = asked->topic_id;
    return true;
}

static bool asks_for_all(const struct metadata_ask *m)
{
    return m->q->topics_count < 0 || (m->admin.request->header.api_version == 0 && m->q->topics_count == 0);
}

static bool fill_topics(struct metadata_ask *m)
{
    struct request *r = m->admin.request;
    const struct topic_index *all = r->shard->topics;
    bool everything = asks_for_all(m);
    int32_t n = everything ? (int32_t)topic_index_count(all) : m->q->topics_count;
    m->a.topics = request_zalloc(r, (size_t)n * sizeof *m->a.topics);
    m->a.topics_count = n;
    if (m->a.topics == NULL) return false;
    struct topic_cursor c = topic_index_first(all);
    for (int32_t i = 0; i < n; i++) {
        bool ok = everything ? fill_topic(r, m->q, topic_cursor_next(&c), &m->a.topics[i])
                             : fill_asked(m, &m->q->topics[i], &m->a.topics[i]);
        if (!ok) return false;
    }
    return true;
}

static bool fill_brokers(struct metadata_ask *m)
{
    const struct shard *s = m->admin.request->shard;
    m->a.brokers = request_zalloc(m->admin.request, s->brokers->count * sizeof *m->a.brokers);
    if (m->a.brokers == NULL) return false;
    for (uint32_t i = 0; i < s->brokers->count; i++) {
        const struct image_broker *b = s->brokers->brokers[i];
        if (b->fenced || b->listener_count == 0) continue;
        struct metadata_response_broker *a = &m->a.brokers[m->a.brokers_count++];
        metadata_response_broker_init(a);
        a->node_id = b->id;
        a->host = b->listeners[0].host;
        a->port = b->listeners[0].port;
        a->rack = b->rack;
    }
    return true;
}

static bool fill(struct metadata_ask *m)
{
    const struct broker *b = m->admin.request->shard->broker;
    m->a.cluster_id = (struct str){b->cluster_id, (int32_t)strlen(b->cluster_id)};
    m->a.controller_id = b->config->node_id;
    if (m->q->include_cluster_authorized_operations) m->a.cluster_authorized_operations = API_CLUSTER_OPERATIONS;
    return fill_brokers(m) && fill_topics(m);
}

/* ---- making what is missing ---- */

static bool may_make(const struct metadata_ask *m, const struct metadata_request_topic *asked)
{
    char why[256];
    return !by_id(asked) && find(m->admin.request->shard, asked) == NULL && topic_name_check(asked->name, why) &&
           !api_topic_is_internal(asked->name);
}

/* False: no memory. */
static bool wish(struct metadata_ask *m)
{
    struct request *r = m->admin.request;
    bool allowed =
        r->shard->broker->config->auto_create_topics && (m->q->allow_auto_topic_creation || r->header.api_version < 4);
    uint32_t n = 0;
    if (!allowed || asks_for_all(m)) return true;
    for (int32_t i = 0; i < m->q->topics_count; i++) n += may_make(m, &m->q->topics[i]);
    if (n == 0) return true;
    m->wishes = request_zalloc(r, n * sizeof *m->wishes);
    m->answers = request_zalloc(r, n * sizeof *m->answers);
    if (m->wishes == NULL || m->answers == NULL) return false;
    for (int32_t i = 0; i < m->q->topics_count; i++)
        if (may_make(m, &m->q->topics[i]))
            m->wishes[m->wish_count++] =
                (struct topic_wish){.name = m->q->topics[i].name, .partitions = -1, .replication_factor = -1};
    return true;
}

static enum status plan(struct metadata_call *c, struct metadata_plan *p)
{
    struct metadata_ask *m = container_of(admin_of(c), struct metadata_ask, admin);
    return controller_create_topics(&p->controller, m->wishes, m->wish_count, false, &p->records, m->answers);
}

static int begin(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    const struct metadata_request *q = api_decode(r, sizeof *q);
    struct metadata_ask *m = q != NULL ? admin_begin(r, sizeof *m) : NULL;
    if (m == NULL) return STAGE_DONE;
    m->q = q;
    metadata_response_init(&m->a);
    if (!wish(m)) {
        request_refuse(r, "no memory for its request");
        return STAGE_DONE;
    }
    return m->wish_count > 0 ? admin_send(r, plan, METADATA_ANSWER) : METADATA_ANSWER;
}

static int answer(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    struct metadata_ask *m = container_of(r->admin, struct metadata_ask, admin);
    if (fill(m)) return admin_answer(r, &m->a);
    request_refuse(r, "no memory for its answer");
    return STAGE_DONE;
}

static const struct stage stages[] = {
    [METADATA_BEGIN] = {"begin", begin, STAGE_BIT(METADATA_ANSWER)},
    [METADATA_ANSWER] = {"answer", answer, 0},
};
const struct flow metadata_flow = {"metadata", stages, 2};

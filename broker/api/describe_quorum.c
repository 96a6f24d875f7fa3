// SPDX-License-Identifier: Apache-2.0
/* DescribeQuorum: leader, epoch and voters of the metadata log. Asked of shard 0, which has it.
 *
 *   begin   read the body
 *   answer  shard 0 has told
 *
 * Failure mode: another topic than __cluster_metadata, or another partition than 0, is not known. */
#include "broker/api/admin.h"
#include "broker/shard.h"
#include "protocol/msg_describe_quorum.h"

#define QUORUM_TOPIC "__cluster_metadata"

enum quorum_stage { QUORUM_BEGIN, QUORUM_ANSWER };

struct quorum_ask {
    struct admin admin;
    const struct describe_quorum_request *q;
    struct metadata_quorum quorum;
};

static enum status plan(struct metadata_call *c, struct metadata_plan *p)
{
    struct quorum_ask *x = container_of(admin_of(c), struct quorum_ask, admin);
    x->quorum = metadata_quorum(p->zero);
    return STATUS_OK; /* no record: nothing changes */
}

static int begin(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    const struct describe_quorum_request *q = api_decode(r, sizeof *q);
    struct quorum_ask *x = q != NULL ? admin_begin(r, sizeof *x) : NULL;
    if (x == NULL) return STAGE_DONE;
    x->q = q;
    return admin_send(r, plan, QUORUM_ANSWER);
}

static bool fill_voters(struct request *r, const struct quorum_ask *x, struct describe_quorum_response_partition *a)
{
    const struct metadata_quorum *m = &x->quorum;
    a->current_voters = request_zalloc(r, m->voter_count * sizeof *a->current_voters);
    if (a->current_voters == NULL) return false;
    a->current_voters_count = (int32_t)m->voter_count;
    for (uint32_t i = 0; i < m->voter_count; i++) {
        struct describe_quorum_response_replica_state *v = &a->current_voters[i];
        const struct image_broker *b = image_brokers_find(r->shard->brokers, m->voters[i]);
        describe_quorum_response_replica_state_init(v);
        v->replica_id = m->voters[i];
        v->log_end_offset = m->end;
        v->last_fetch_timestamp = v->last_caught_up_timestamp = r->shard->env->now_wall.v;
        if (b != NULL && b->directories.count > 0) v->replica_directory_id = b->directories.v[0];
    }
    return true;
}

static bool fill_partition(struct request *r, const struct quorum_ask *x, struct str topic, int32_t number,
                           struct describe_quorum_response_partition *a)
{
    describe_quorum_response_partition_init(a);
    a->partition_index = number;
    a->error_message = STR_NULL;
    if (!str_equal(topic, STR(QUORUM_TOPIC)) || number != 0) {
        a->error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
        return true;
    }
    a->leader_id = x->quorum.leader;
    a->leader_epoch = (int32_t)x->quorum.term;
    a->high_watermark = x->quorum.end;
    return fill_voters(r, x, a);
}

static bool fill_nodes(struct request *r, struct describe_quorum_response *a)
{
    const struct image_brokers *all = r->shard->brokers;
    a->nodes = request_zalloc(r, all->count * sizeof *a->nodes);
    if (a->nodes == NULL) return false;
    for (uint32_t i = 0; i < all->count; i++) {
        const struct image_broker *b = all->brokers[i];
        struct describe_quorum_response_node *n = &a->nodes[a->nodes_count++];
        describe_quorum_response_node_init(n);
        n->node_id = b->id;
        n->listeners = request_zalloc(r, b->listener_count * sizeof *n->listeners);
        if (n->listeners == NULL) return false;
        n->listeners_count = (int32_t)b->listener_count;
        for (uint32_t k = 0; k < b->listener_count; k++) {
            describe_quorum_response_listener_init(&n->listeners[k]);
            n->listeners[k].name = b->listeners[k].name;
            n->listeners[k].host = b->listeners[k].host;
            n->listeners[k].port = (uint16_t)b->listeners[k].port;
        }
    }
    return true;
}

static bool fill(struct request *r, const struct quorum_ask *x, struct describe_quorum_response *a)
{
    a->error_code = admin_failed(r);
    a->error_message = STR_NULL;
    if (a->error_code != 0) return true;
    a->topics = request_zalloc(r, (size_t)x->q->topics_count * sizeof *a->topics);
    if (a->topics == NULL) return false;
    a->topics_count = x->q->topics_count;
    for (int32_t i = 0; i < x->q->topics_count; i++) {
        const struct describe_quorum_request_topic *q = &x->q->topics[i];
        struct describe_quorum_response_topic *b = &a->topics[i];
        describe_quorum_response_topic_init(b);
        b->topic_name = q->topic_name;
        b->partitions = request_zalloc(r, (size_t)q->partitions_count * sizeof *b->partitions);
        if (b->partitions == NULL) return false;
        b->partitions_count = q->partitions_count;
        for (int32_t k = 0; k < q->partitions_count; k++)
            if (!fill_partition(r, x, q->topic_name, q->partitions[k].partition_index, &b->partitions[k])) return false;
    }
    return fill_nodes(r, a);
}

static int answer(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    const struct quorum_ask *x = container_of(r->admin, struct quorum_ask, admin);
    struct describe_quorum_response a;
    describe_quorum_response_init(&a);
    return fill(r, x, &a) ? admin_answer(r, &a) : api_no_memory(r);
}

static const struct stage stages[] = {
    [QUORUM_BEGIN] = {"begin", begin, STAGE_BIT(QUORUM_ANSWER)},
    [QUORUM_ANSWER] = {"answer", answer, 0},
};
const struct flow describe_quorum_flow = {"describe quorum", stages, 2};

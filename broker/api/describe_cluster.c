// SPDX-License-Identifier: Apache-2.0
/* DescribeCluster: cluster id, controller, brokers. One stage. Endpoint type 2 asks for controllers, which have no
 * listener of their own here: UNSUPPORTED_ENDPOINT_TYPE, as a broker of Apache Kafka answers on its own listener. */
#include "broker/api/api.h"
#include "broker/shard.h"
#include "protocol/msg_describe_cluster.h"

#define ENDPOINT_BROKERS               1
#define KAFKA_MISMATCHED_ENDPOINT_TYPE 114

static bool fill(struct request *r, const struct describe_cluster_request *q, struct describe_cluster_response *a)
{
    const struct shard *s = r->shard;
    a->cluster_id = (struct str){s->broker->cluster_id, (int32_t)strlen(s->broker->cluster_id)};
    a->controller_id = s->broker->config->node_id;
    a->endpoint_type = ENDPOINT_BROKERS;
    if (q->include_cluster_authorized_operations) a->cluster_authorized_operations = API_CLUSTER_OPERATIONS;
    a->brokers = request_zalloc(r, s->brokers->count * sizeof *a->brokers);
    if (a->brokers == NULL) return false;
    for (uint32_t i = 0; i < s->brokers->count; i++) {
        const struct image_broker *b = s->brokers->brokers[i];
        if (b->listener_count == 0 || (b->fenced && !q->include_fenced_brokers)) continue;
        struct describe_cluster_response_broker *row = &a->brokers[a->brokers_count++];
        describe_cluster_response_broker_init(row);
        row->broker_id = b->id;
        row->host = b->listeners[0].host;
        row->port = b->listeners[0].port;
        row->rack = b->rack;
        row->is_fenced = b->fenced;
    }
    return true;
}

static int answer(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    struct describe_cluster_response a;
    const struct describe_cluster_request *q = api_decode(r, sizeof *q);
    if (q == NULL) return STAGE_DONE;
    describe_cluster_response_init(&a);
    if (q->endpoint_type != ENDPOINT_BROKERS) {
        a.cluster_id = STR_EMPTY;
        a.error_code = KAFKA_MISMATCHED_ENDPOINT_TYPE;
        a.error_message = STR("this listener answers for brokers; ask with endpoint type 1");
    } else if (!fill(r, q, &a)) {
        return api_no_memory(r);
    }
    request_answer(r, &a);
    return STAGE_DONE;
}

static const struct stage stages[] = {{"answer", answer, 0}};
const struct flow describe_cluster_flow = {"describe cluster", stages, 1};

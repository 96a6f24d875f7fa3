// SPDX-License-Identifier: Apache-2.0
/* OffsetForLeaderEpoch: where an epoch ends here, so that a client or follower finds where its log and ours part
 * (KIP-101, KIP-279, KIP-320).
 *
 *   ask     read the body; one part per partition to its shard
 *   answer  all parts are back
 *
 * Failure modes: per partition, the others go on. */
#include "broker/api/api.h"
#include "broker/conn.h"
#include "broker/lane.h"
#include "broker/part.h"
#include "broker/shard.h"
#include "protocol/msg_offset_for_leader_epoch.h"

enum epoch_stage { EPOCH_ASK, EPOCH_ANSWER };

struct epoch_ends {
    const struct offset_for_leader_epoch_request *q;
    struct offset_for_leader_epoch_response a;
};

struct epoch_part {
    struct part part;
    struct request *request;
    struct offset_for_leader_epoch_response_partition *answer;
    struct topic_id id;
    int32_t number, epoch, ret_epoch;
    int64_t ret_end;
    enum status status;
};

static void run(struct part *part)
{
    struct epoch_part *p = container_of(part, struct epoch_part, part);
    struct lane *l = shard_lane(part->at, p->id, p->number);
    p->status = l != NULL ? STATUS_OK : STATUS_UNKNOWN_PARTITION;
    if (l != NULL) partition_epoch_end(l->partition, p->epoch, &p->ret_epoch, &p->ret_end);
    part_return(part);
}

static void back(struct part *part)
{
    struct epoch_part *p = container_of(part, struct epoch_part, part);
    p->answer->error_code = status_kafka_code(p->status);
    if (p->status == STATUS_OK) {
        p->answer->leader_epoch = p->ret_epoch;
        p->answer->end_offset = p->ret_end;
    }
    request_part_back(p->request);
}

static bool ask_partition(struct request *r, struct str name, const struct offset_for_leader_epoch_request_partition *q,
                          struct offset_for_leader_epoch_response_partition *a)
{
    struct shard *s = r->shard;
    const struct image_topic *t = NULL;
    offset_for_leader_epoch_response_partition_init(a);
    a->partition = q->partition;
    enum status status = api_partition(s, false, name, (struct uuid){0}, q->partition, &t);
    if (status == STATUS_OK) status = api_epoch_check(t, q->partition, q->current_leader_epoch);
    a->error_code = status_kafka_code(status);
    if (status != STATUS_OK) return true;
    struct epoch_part *p = request_zalloc(r, sizeof *p);
    if (p == NULL) return false;
    p->part.run = run;
    p->part.back = back;
    p->request = r;
    p->answer = a;
    p->id = image_topic_id(t);
    p->number = q->partition;
    p->epoch = q->leader_epoch;
    r->parts_out++;
    part_send(&p->part, s, shard_of(s, t, q->partition));
    return true;
}

static bool ask_all(struct request *r)
{
    struct epoch_ends *e = r->epoch_ends;
    int32_t n = e->q->topics_count;
    e->a.topics = request_zalloc(r, (size_t)n * sizeof *e->a.topics);
    if (e->a.topics == NULL) return false;
    e->a.topics_count = n;
    for (int32_t i = 0; i < n; i++) {
        const struct offset_for_leader_epoch_request_topic *q = &e->q->topics[i];
        struct offset_for_leader_epoch_response_topic *a = &e->a.topics[i];
        offset_for_leader_epoch_response_topic_init(a);
        a->topic = q->topic;
        a->partitions = request_zalloc(r, (size_t)q->partitions_count * sizeof *a->partitions);
        if (a->partitions == NULL) return false;
        a->partitions_count = q->partitions_count;
        for (int32_t k = 0; k < q->partitions_count; k++)
            if (!ask_partition(r, q->topic, &q->partitions[k], &a->partitions[k])) return false;
    }
    return true;
}

static int ask(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    struct epoch_ends *e = request_zalloc(r, sizeof *e);
    if (e == NULL) return api_no_memory(r);
    r->epoch_ends = e;
    offset_for_leader_epoch_response_init(&e->a);
    e->q = api_decode(r, sizeof *e->q);
    if (e->q == NULL) return STAGE_DONE;
    if (!ask_all(r)) conn_fault(r->conn, "no memory for its request", r->header.api_key, r->header.api_version);
    return r->parts_out > 0 ? STAGE_WAIT(EPOCH_ANSWER) : EPOCH_ANSWER;
}

static int answer(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    if (r->conn->closing)
        request_answer_nothing(r);
    else
        request_answer(r, &r->epoch_ends->a);
    return STAGE_DONE;
}

static const struct stage stages[] = {
    [EPOCH_ASK] = {"ask", ask, STAGE_BIT(EPOCH_ANSWER)},
    [EPOCH_ANSWER] = {"answer", answer, 0},
};
const struct flow offset_for_leader_epoch_flow = {"offset for leader epoch", stages, 2};

// SPDX-License-Identifier: Apache-2.0
/* ListOffsets.
 *
 *   look    read the body; one part per partition to its shard, which asks the store
 *   answer  all parts are back
 *
 * -1 latest (the high watermark; there are no transactions, so the isolation level changes nothing), -2 earliest, -3
 * the record with the largest timestamp, -4 earliest local = earliest, -5 latest tiered, -6 earliest pending
 * upload: there is no tier, offset -1;
 * from 0 on: the first record with that time or a later one. Failure modes: per partition, the others go on. */
#include "broker/api/api.h"
#include "broker/conn.h"
#include "broker/lane.h"
#include "broker/part.h"
#include "broker/shard.h"
#include "protocol/msg_list_offsets.h"

enum look_stage { LOOK, LOOK_ANSWER };
enum {
    TIME_EARLIEST = -2,
    TIME_MAX_TIMESTAMP = -3,
    TIME_EARLIEST_LOCAL = -4,
    TIME_LATEST_TIERED = -5,
    TIME_PENDING_UPLOAD = -6
};

struct list_offsets {
    const struct list_offsets_request *q;
    struct list_offsets_response a;
};

struct look_part {
    struct part part;
    struct partition_lookup op;
    struct request *request;
    struct list_offsets_response_partition *answer;
    int64_t time_ms;
    struct topic_id id;
    int32_t number;
};

static void looked(struct partition_lookup *op)
{
    struct look_part *p = container_of(op, struct look_part, op);
    part_return(&p->part);
}

static void look_run(struct part *part)
{
    struct look_part *p = container_of(part, struct look_part, part);
    struct lane *l = shard_lane(part->at, p->id, p->number);
    p->op.done = looked;
    p->op.status = STATUS_UNKNOWN_PARTITION;
    if (l != NULL)
        partition_lookup_time(l->partition, p->time_ms, &p->op);
    else
        part_return(part);
}

static void look_back(struct part *part)
{
    struct look_part *p = container_of(part, struct look_part, part);
    p->answer->error_code = status_kafka_code(p->op.status);
    if (p->op.status == STATUS_OK) {
        p->answer->offset = p->op.offset;
        p->answer->timestamp = p->time_ms >= 0 || p->time_ms == TIME_MAX_TIMESTAMP ? p->op.timestamp_ms : -1;
        p->answer->leader_epoch = p->op.epoch;
    }
    request_part_back(p->request);
}

static bool look_partition(struct request *r, struct str name, const struct list_offsets_request_partition *q,
                           struct list_offsets_response_partition *a)
{
    struct shard *s = r->shard;
    const struct image_topic *t = NULL;
    list_offsets_response_partition_init(a);
    a->partition_index = q->partition_index;
    enum status status = api_partition(s, false, name, (struct uuid){0}, q->partition_index, &t);
    if (status == STATUS_OK) status = api_epoch_check(t, q->partition_index, q->current_leader_epoch);
    if (status == STATUS_OK && q->timestamp < TIME_PENDING_UPLOAD) status = STATUS_UNSUPPORTED_VERSION;
    a->error_code = status_kafka_code(status);
    if (status != STATUS_OK || q->timestamp == TIME_LATEST_TIERED || q->timestamp == TIME_PENDING_UPLOAD) return true;
    struct look_part *p = request_zalloc(r, sizeof *p);
    if (p == NULL) return false;
    p->part.run = look_run;
    p->part.back = look_back;
    p->request = r;
    p->answer = a;
    p->time_ms = q->timestamp == TIME_EARLIEST_LOCAL ? TIME_EARLIEST : q->timestamp;
    p->id = image_topic_id(t);
    p->number = q->partition_index;
    r->parts_out++;
    part_send(&p->part, s, shard_of(s, t, q->partition_index));
    return true;
}

static bool look_all(struct request *r)
{
    struct list_offsets *l = r->list_offsets;
    int32_t n = l->q->topics_count;
    l->a.topics = request_zalloc(r, (size_t)n * sizeof *l->a.topics);
    if (l->a.topics == NULL) return false;
    l->a.topics_count = n;
    for (int32_t i = 0; i < n; i++) {
        const struct list_offsets_request_topic *q = &l->q->topics[i];
        struct list_offsets_response_topic *a = &l->a.topics[i];
        list_offsets_response_topic_init(a);
        a->name = q->name;
        a->partitions = request_zalloc(r, (size_t)q->partitions_count * sizeof *a->partitions);
        if (a->partitions == NULL) return false;
        a->partitions_count = q->partitions_count;
        for (int32_t k = 0; k < q->partitions_count; k++)
            if (!look_partition(r, q->name, &q->partitions[k], &a->partitions[k])) return false;
    }
    return true;
}

static int look(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    struct list_offsets *l = request_zalloc(r, sizeof *l);
    if (l == NULL) {
        request_refuse(r, "no memory for its request");
        return STAGE_DONE;
    }
    r->list_offsets = l;
    list_offsets_response_init(&l->a);
    l->q = api_decode(r, sizeof *l->q);
    if (l->q == NULL) return STAGE_DONE;
    if (!look_all(r)) conn_fault(r->conn, "no memory for its request", API_LIST_OFFSETS, r->header.api_version);
    return r->parts_out > 0 ? STAGE_WAIT(LOOK_ANSWER) : LOOK_ANSWER;
}

static int look_answer(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    if (r->conn->closing)
        request_answer_nothing(r);
    else
        request_answer(r, &r->list_offsets->a);
    return STAGE_DONE;
}

static const struct stage stages[] = {
    [LOOK] = {"look", look, STAGE_BIT(LOOK_ANSWER)},
    [LOOK_ANSWER] = {"answer", look_answer, 0},
};
const struct flow list_offsets_flow = {"list offsets", stages, 2};

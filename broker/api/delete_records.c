// SPDX-License-Identifier: Apache-2.0
/* DeleteRecords: the log start moves up; offset -1 means all that is committed.
 *
 *   ask     read the body; one part per partition to its shard, which moves the log start durably
 *   answer  all parts are back
 *
 * Failure modes: per partition, the others go on: an offset beyond the high watermark is OFFSET_OUT_OF_RANGE; a topic
 * whose cleanup.policy is compact alone is POLICY_VIOLATION, as in Apache Kafka; an empty one is no obstacle. */
#include "broker/api/api.h"
#include "broker/conn.h"
#include "broker/lane.h"
#include "broker/part.h"
#include "broker/shard.h"
#include "protocol/msg_delete_records.h"

#define HIGH_WATERMARK (-1)

enum records_stage { RECORDS_ASK, RECORDS_ANSWER };

struct delete_records {
    const struct delete_records_request *q;
    struct delete_records_response a;
};

struct records_part {
    struct part part;
    struct partition_change op;
    struct request *request;
    struct delete_records_response_partition *answer;
    struct topic_id id;
    int32_t number;
    int64_t offset, log_start;
    enum status status;
};

static void moved(struct partition_change *op)
{
    struct records_part *p = container_of(op, struct records_part, op);
    const struct lane *l = shard_lane(p->part.at, p->id, p->number);
    p->status = op->status;
    if (l != NULL) p->log_start = partition_log_start(l->partition);
    part_return(&p->part);
}

static void run(struct part *part)
{
    struct records_part *p = container_of(part, struct records_part, part);
    struct lane *l = shard_lane(part->at, p->id, p->number);
    p->status = STATUS_UNKNOWN_PARTITION;
    if (l != NULL) {
        int64_t end = partition_high_watermark(l->partition);
        if (p->offset == HIGH_WATERMARK) p->offset = end;
        p->status = p->offset < 0 || p->offset > end ? STATUS_OFFSET_OUT_OF_RANGE : STATUS_OK;
    }
    if (p->status != STATUS_OK) {
        part_return(part);
        return;
    }
    p->op.done = moved;
    partition_log_start_move(l->partition, p->offset, &p->op);
}

static void back(struct part *part)
{
    struct records_part *p = container_of(part, struct records_part, part);
    p->answer->error_code = status_kafka_code(p->status);
    p->answer->low_watermark = p->status == STATUS_OK ? p->log_start : -1;
    request_part_back(p->request);
}

static bool ask_partition(struct request *r, struct str name, const struct delete_records_request_partition *q,
                          struct delete_records_response_partition *a)
{
    struct shard *s = r->shard;
    const struct image_topic *t = NULL;
    delete_records_response_partition_init(a);
    a->partition_index = q->partition_index;
    a->low_watermark = -1;
    enum status status = api_partition(s, false, name, (struct uuid){0}, q->partition_index, &t);
    a->error_code = status_kafka_code(status);
    if (status != STATUS_OK) return true;
    if (settings_of(&s->settings, t->configs)->cleanup == CLEANUP_COMPACT) {
        a->error_code = KAFKA_POLICY_VIOLATION;
        return true;
    }
    struct records_part *p = request_zalloc(r, sizeof *p);
    if (p == NULL) return false;
    p->part.run = run;
    p->part.back = back;
    p->request = r;
    p->answer = a;
    p->id = image_topic_id(t);
    p->number = q->partition_index;
    p->offset = q->offset;
    r->parts_out++;
    part_send(&p->part, s, shard_of(s, t, q->partition_index));
    return true;
}

static bool ask_all(struct request *r)
{
    struct delete_records *d = r->delete_records;
    int32_t n = d->q->topics_count;
    d->a.topics = request_zalloc(r, (size_t)n * sizeof *d->a.topics);
    if (d->a.topics == NULL) return false;
    d->a.topics_count = n;
    for (int32_t i = 0; i < n; i++) {
        const struct delete_records_request_topic *q = &d->q->topics[i];
        struct delete_records_response_topic *a = &d->a.topics[i];
        delete_records_response_topic_init(a);
        a->name = q->name;
        a->partitions = request_zalloc(r, (size_t)q->partitions_count * sizeof *a->partitions);
        if (a->partitions == NULL) return false;
        a->partitions_count = q->partitions_count;
        for (int32_t k = 0; k < q->partitions_count; k++)
            if (!ask_partition(r, q->name, &q->partitions[k], &a->partitions[k])) return false;
    }
    return true;
}

static int ask(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    struct delete_records *d = request_zalloc(r, sizeof *d);
    if (d == NULL) return api_no_memory(r);
    r->delete_records = d;
    delete_records_response_init(&d->a);
    d->q = api_decode(r, sizeof *d->q);
    if (d->q == NULL) return STAGE_DONE;
    if (!ask_all(r)) conn_fault(r->conn, "no memory for its request", r->header.api_key, r->header.api_version);
    return r->parts_out > 0 ? STAGE_WAIT(RECORDS_ANSWER) : RECORDS_ANSWER;
}

static int answer(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    if (r->conn->closing)
        request_answer_nothing(r);
    else
        request_answer(r, &r->delete_records->a);
    return STAGE_DONE;
}

static const struct stage stages[] = {
    [RECORDS_ASK] = {"ask", ask, STAGE_BIT(RECORDS_ANSWER)},
    [RECORDS_ANSWER] = {"answer", answer, 0},
};
const struct flow delete_records_flow = {"delete records", stages, 2};

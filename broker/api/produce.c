// SPDX-License-Identifier: Apache-2.0
/* Produce.
 *
 *   append  read the body; check each partition's batch (protocol/batch.h) and send it as a part to its shard
 *   answer  all parts are back: every batch is durable or refused; encode
 *
 * Appends happen in the order of requests and of partitions in a request, since the stage runs for one request after
 * the other and parts keep their order. acks=1 and acks=all are the same on one broker: durable, and below the high
 * watermark. acks=0 has no response; a refusal then closes the connection, the only way to tell (as Apache Kafka).
 *
 * Failure modes: a partition is refused alone, the others of the request go on; the error says why, from version 8 on
 * with the record that is wrong. More than one batch per partition is refused (row B13). Once appended, a batch waits
 * for its commit however long that takes: the request's time-out bounds only the repetitions after BUSY. */
#include "broker/api/api.h"
#include "broker/api/produce_part.h"
#include "broker/conn.h"
#include "broker/shard.h"
#include "protocol/batch.h"
#include "protocol/msg_produce.h"

enum produce_stage { PRODUCE_APPEND, PRODUCE_ANSWER };

struct produce {
    const struct produce_request *q;
    struct produce_response a;
    bool failed; /* some partition was refused */
};

static struct str literal(const char *text)
{
    return (struct str){text, (int32_t)strlen(text)};
}

static void refuse(struct produce *p, struct produce_response_partition *a, enum status s, const char *text)
{
    a->error_code = status_kafka_code(s);
    a->base_offset = -1;
    a->error_message = literal(text != NULL ? text : status_text(s));
    p->failed = true;
}

static void refuse_batch(struct request *r, struct produce_response_partition *a, enum status s,
                         const struct batch_fault *fault)
{
    refuse(r->produce, a, s, fault->text);
    if (fault->record_index < 0) return;
    struct produce_response_record_error *e = request_zalloc(r, sizeof *e);
    if (e == NULL) return; /* the error code alone */
    produce_response_record_error_init(e);
    e->batch_index = fault->record_index;
    e->batch_index_error_message = literal(fault->text);
    a->record_errors = e;
    a->record_errors_count = 1;
}

static void part_back(struct part *part)
{
    struct produce_part *p = container_of(part, struct produce_part, part);
    struct request *r = p->request;
    struct produce_response_partition *a = p->answer;
    if (p->status == STATUS_OK) {
        a->base_offset = p->op.base_offset;
        a->log_start_offset = p->op.log_start;
        r->shard->count.batches->value++;
        r->shard->count.batch_bytes->value += p->len;
    } else {
        refuse(r->produce, a, p->status, NULL);
        a->log_append_time_ms = -1;
    }
    request_part_back(r);
}

/* What the leader may write into the batch: its own time, or the true maximum of the producer's. */
static void stamp(struct request *r, const struct topic_settings *set, void *batch, struct batch_info *info,
                  struct produce_response_partition *a)
{
    if (set->timestamp_type == TIMESTAMP_APPEND) {
        a->log_append_time_ms = r->shard->env->now_wall.v;
        batch_set_append_time(batch, info, a->log_append_time_ms);
    } else if (info->record_max_timestamp_ms != info->max_timestamp_ms) {
        batch_set_max_timestamp(batch, info, info->record_max_timestamp_ms);
    }
}

static struct batch_limits limits_of(const struct request *r, const struct topic_settings *set)
{
    struct batch_limits l;
    batch_limits_init(&l, r->shard->env->now_wall.v);
    l.batch_bytes_max = (uint32_t)set->max_message_bytes;
    l.before_max_ms = set->timestamp_before_max_ms;
    l.after_max_ms = set->timestamp_after_max_ms;
    l.check_timestamps = set->timestamp_type == TIMESTAMP_CREATE;
    l.keys_needed = (set->cleanup & CLEANUP_COMPACT) != 0;
    return l;
}

static enum status check_batch(struct request *r, const struct topic_settings *set, const struct records *records,
                               struct produce_response_partition *a, uint32_t *ret_records)
{
    struct batch_limits limits = limits_of(r, set);
    struct batch_info info;
    struct batch_fault fault = {.record_index = -1, .text = "the partition has no record batch"};
    enum status s = STATUS_INVALID_RECORD;
    if (records->len > 0)
        s = batch_validate(records->data, (size_t)records->len, &limits, r->shard->env->mem, &info, &fault);
    if (s == STATUS_OK && batch_is_transactional(&info)) {
        fault.text = "transactions are not available on this broker";
        s = STATUS_INVALID_RECORD;
    }
    if (s == STATUS_OK)
        stamp(r, set, (void *)(uintptr_t)records->data, &info, a);
    else
        refuse_batch(r, a, s, &fault);
    if (s == STATUS_OK) *ret_records = (uint32_t)info.record_count;
    return s;
}

static bool append_partition(struct request *r, const struct produce_request_topic *topic,
                             const struct produce_request_partition *q, struct produce_response_partition *a)
{
    struct produce *p = r->produce;
    struct shard *s = r->shard;
    const struct image_topic *t = NULL;
    produce_response_partition_init(a);
    a->index = q->index;
    if (p->q->acks < -1 || p->q->acks > 1) {
        refuse(p, a, STATUS_INVALID_ACKS, NULL);
        return true;
    }
    enum status status = api_partition(s, r->header.api_version >= 13, topic->name, topic->topic_id, q->index, &t);
    if (status != STATUS_OK) {
        refuse(p, a, status, NULL);
        return true;
    }
    const struct topic_settings *set = settings_of(&s->settings, t->configs);
    uint32_t count = 0;
    if (check_batch(r, set, &q->records, a, &count) != STATUS_OK) return true;
    struct produce_part *part = request_zalloc(r, sizeof *part);
    if (part == NULL) return false;
    part->part.run = produce_part_run;
    part->part.back = part_back;
    part->request = r;
    part->answer = a;
    part->batch = q->records.data;
    part->len = (uint32_t)q->records.len;
    part->records = count;
    part->id = image_topic_id(t);
    part->number = q->index;
    part->deadline = mono_add(s->env->now, (int64_t)p->q->timeout_ms * NS_PER_MS);
    r->parts_out++;
    part_send(&part->part, s, shard_of(s, t, q->index));
    return true;
}

/* False: no memory; what was sent is on its way and will come back. */
static bool append_all(struct request *r)
{
    struct produce *p = r->produce;
    int32_t n = p->q->topic_data_count;
    struct produce_response_topic *topics = request_zalloc(r, (size_t)MAX(n, 0) * sizeof *topics);
    if (topics == NULL) return false;
    p->a.responses = topics;
    p->a.responses_count = MAX(n, 0);
    for (int32_t i = 0; i < n; i++) {
        const struct produce_request_topic *q = &p->q->topic_data[i];
        int32_t count = MAX(q->partition_data_count, 0);
        produce_response_topic_init(&topics[i]);
        topics[i].name = q->name;
        topics[i].topic_id = q->topic_id;
        topics[i].partition_responses = request_zalloc(r, (size_t)count * sizeof *topics[i].partition_responses);
        if (topics[i].partition_responses == NULL) return false;
        topics[i].partition_responses_count = count;
        for (int32_t k = 0; k < count; k++)
            if (!append_partition(r, q, &q->partition_data[k], &topics[i].partition_responses[k])) return false;
    }
    return true;
}

static int produce_append(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    struct produce *p = request_zalloc(r, sizeof *p);
    if (p == NULL) {
        request_refuse(r, "no memory for its request");
        return STAGE_DONE;
    }
    r->produce = p;
    produce_response_init(&p->a);
    p->q = api_decode(r, sizeof *p->q);
    if (p->q == NULL) return STAGE_DONE;
    /* A response with holes must not leave. */
    if (!append_all(r)) conn_fault(r->conn, "no memory for its request", API_PRODUCE, r->header.api_version);
    return r->parts_out > 0 ? STAGE_WAIT(PRODUCE_ANSWER) : PRODUCE_ANSWER;
}

static int produce_answer(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    const struct produce *p = r->produce;
    if (r->conn->closing) {
        request_answer_nothing(r);
    } else if (p->q->acks != 0) {
        request_answer(r, &p->a);
    } else if (p->failed) {
        request_refuse(r, "a batch with acks=0 was refused");
    } else {
        request_answer_nothing(r);
    }
    return STAGE_DONE;
}

static const struct stage stages[] = {
    [PRODUCE_APPEND] = {"append", produce_append, STAGE_BIT(PRODUCE_ANSWER)},
    [PRODUCE_ANSWER] = {"answer", produce_answer, 0},
};
const struct flow produce_flow = {"produce", stages, 2};

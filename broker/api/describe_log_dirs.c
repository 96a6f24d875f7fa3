// SPDX-License-Identifier: Apache-2.0
/* DescribeLogDirs: the log directory, its space, and the size of each partition.
 *
 *   ask     read the body; list the partitions; one part to each shard, which fills in those that it owns
 *   answer  all parts are back
 *
 * Failure modes: partitions that are not there are left out, as in Apache Kafka; a fenced disk is the directory's
 * error KAFKA_STORAGE_ERROR. */
#include "broker/api/api.h"
#include "broker/conn.h"
#include "broker/lane.h"
#include "broker/part.h"
#include "broker/shard.h"
#include "protocol/msg_describe_log_dirs.h"

enum dirs_stage { DIRS_ASK, DIRS_ANSWER };

struct size_row {
    struct topic_id id;
    uint32_t owner;
    struct describe_log_dirs_response_partition *answer;
};

struct size_part { /* to one shard: all rows, of which it fills its own */
    struct part part;
    struct request *request;
};

struct describe_log_dirs {
    const struct describe_log_dirs_request *q;
    struct describe_log_dirs_response a;
    struct describe_log_dirs_response_result dir;
    struct size_row *rows;
    uint32_t row_count;
    uint64_t total_bytes, free_bytes; /* filled by shard 0 */
};

static void run(struct part *part)
{
    struct size_part *p = container_of(part, struct size_part, part);
    struct describe_log_dirs *d = p->request->describe_log_dirs;
    struct shard *s = part->at;
    for (uint32_t i = 0; i < d->row_count; i++) {
        struct size_row *row = &d->rows[i];
        if (row->owner != s->env->shard) continue;
        const struct lane *l = shard_lane(s, row->id, row->answer->partition_index);
        row->answer->partition_size = l != NULL ? (int64_t)partition_size_bytes(l->partition) : 0;
    }
    if (s->env->shard == 0) store_space(s->store, &d->total_bytes, &d->free_bytes);
    part_return(part);
}

static void back(struct part *part)
{
    request_part_back(container_of(part, struct size_part, part)->request);
}

static bool add_topic(struct request *r, const struct image_topic *t, const int32_t *numbers, int32_t count)
{
    struct describe_log_dirs *d = r->describe_log_dirs;
    struct describe_log_dirs_response_topic *row = &d->dir.topics[d->dir.topics_count++];
    int32_t n = numbers != NULL ? count : (int32_t)t->partition_count;
    char *name = request_zalloc(r, (size_t)t->name.len);
    if (name == NULL) return false;
    memcpy(name, t->name.data, (size_t)t->name.len); /* another publication may come before the answer */
    row->name = (struct str){name, t->name.len};
    row->partitions_count = 0;
    row->partitions = request_zalloc(r, (size_t)n * sizeof *row->partitions);
    if (row->partitions == NULL) return false;
    for (int32_t i = 0; i < n; i++) {
        int32_t number = numbers != NULL ? numbers[i] : i;
        if (image_topic_partition(t, number) == NULL) continue;
        struct describe_log_dirs_response_partition *a = &row->partitions[row->partitions_count++];
        describe_log_dirs_response_partition_init(a);
        a->partition_index = number;
        d->rows[d->row_count++] =
            (struct size_row){.id = image_topic_id(t), .owner = shard_of(r->shard, t, number), .answer = a};
    }
    return true;
}

/* How many partitions the answer may have; 0 for a topic that is not there. */
static uint64_t rows_wanted(const struct request *r, const struct describe_log_dirs_request *q)
{
    uint64_t n = 0;
    const struct image_topic *t;
    struct topic_cursor c = topic_index_first(r->shard->topics);
    if (q->topics_count < 0)
        while ((t = topic_cursor_next(&c)) != NULL) n += t->partition_count;
    for (int32_t i = 0; i < q->topics_count; i++) n += (uint64_t)q->topics[i].partitions_count;
    return n;
}

static bool list_topics(struct request *r)
{
    struct describe_log_dirs *d = r->describe_log_dirs;
    const struct describe_log_dirs_request *q = d->q;
    const struct topic_index *all = r->shard->topics;
    const struct image_topic *t;
    size_t topics = q->topics_count < 0 ? topic_index_count(all) : (size_t)q->topics_count;
    d->dir.topics = request_zalloc(r, topics * sizeof *d->dir.topics);
    d->rows = request_zalloc(r, rows_wanted(r, q) * sizeof *d->rows);
    if (d->dir.topics == NULL || d->rows == NULL) return false;
    struct topic_cursor c = topic_index_first(all);
    if (q->topics_count < 0)
        while ((t = topic_cursor_next(&c)) != NULL)
            if (!add_topic(r, t, NULL, 0)) return false;
    for (int32_t i = 0; i < q->topics_count; i++) {
        t = q->topics[i].topic.len > 0 ? topic_index_by_name(all, q->topics[i].topic) : NULL;
        if (t != NULL && !add_topic(r, t, q->topics[i].partitions, q->topics[i].partitions_count)) return false;
    }
    return true;
}

static bool send_parts(struct request *r)
{
    uint32_t shards = r->shard->env->shard_count;
    struct size_part *parts = request_zalloc(r, shards * sizeof *parts);
    if (parts == NULL) return false;
    r->parts_out = shards;
    for (uint32_t i = 0; i < shards; i++) {
        parts[i].request = r;
        parts[i].part.run = run;
        parts[i].part.back = back;
        part_send(&parts[i].part, r->shard, i);
    }
    return true;
}

static int ask(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    struct describe_log_dirs *d = request_zalloc(r, sizeof *d);
    if (d == NULL) return api_no_memory(r);
    r->describe_log_dirs = d;
    describe_log_dirs_response_init(&d->a);
    describe_log_dirs_response_result_init(&d->dir);
    d->q = api_decode(r, sizeof *d->q);
    if (d->q == NULL) return STAGE_DONE;
    if (!list_topics(r) || !send_parts(r)) return api_no_memory(r);
    return r->parts_out > 0 ? STAGE_WAIT(DIRS_ANSWER) : DIRS_ANSWER;
}

static int answer(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    struct describe_log_dirs *d = r->describe_log_dirs;
    const char *dir = r->shard->broker->config->log_dir;
    d->dir.log_dir = (struct str){dir, (int32_t)strlen(dir)};
    d->dir.error_code = disk_fenced(&r->shard->broker->disk) ? status_kafka_code(STATUS_FENCED) : KAFKA_NONE;
    d->dir.total_bytes = (int64_t)d->total_bytes;
    d->dir.usable_bytes = (int64_t)d->free_bytes;
    d->a.results = &d->dir;
    d->a.results_count = 1;
    if (r->conn->closing)
        request_answer_nothing(r);
    else
        request_answer(r, &d->a);
    return STAGE_DONE;
}

static const struct stage stages[] = {
    [DIRS_ASK] = {"ask", ask, STAGE_BIT(DIRS_ANSWER)},
    [DIRS_ANSWER] = {"answer", answer, 0},
};
const struct flow describe_log_dirs_flow = {"describe log dirs", stages, 2};

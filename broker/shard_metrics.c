// SPDX-License-Identifier: Apache-2.0
/* A shard's metrics (shard_metrics.h).
 *
 * Path of a scrape: everything registered is copied; then what others keep is added: latencies of the stages (runner),
 * memory (mem), the store's numbers. Counters and histograms of all shards are added up when printed; gauges that say
 * something about one shard only, because its share can be full while others are empty, carry the label shard.
 * Failure modes: no memory: at start the shard does not start; at a scrape the set is not sealed. */
#include "broker/shard_metrics.h"
#include "broker/dispatch.h"
#include "broker/shard.h"
#include <stdio.h>

#define METRICS_PARTITIONS_MAX 2000u /* of the broker */

/* ---- registered ---- */

static bool api_init(struct metrics *m, struct api_counters *c, const struct api *api)
{
    const struct metric_label l = {"api", api_find(api->key)->name};
    c->requests = metrics_counter(m, "leat_requests_total", "Requests that were answered.", &l, 1);
    c->errors = metrics_counter(m, "leat_request_errors_total", "Error codes in responses.", &l, 1);
    c->seconds = metrics_histogram(m, "leat_request_seconds",
                                   "Time of a request from its last byte received to the last byte of its response "
                                   "sent, waits of a fetch included.",
                                   &SCALE_LATENCY, &l, 1);
    return c->requests != NULL && c->errors != NULL && c->seconds != NULL;
}

static bool count_init(struct metrics *m, struct shard_counters *c)
{
    bool ok = true;
#define COUNTER(field, name, help) ok &= (c->field = metrics_counter(m, name, help, NULL, 0)) != NULL
    COUNTER(accepted, "leat_connections_accepted_total", "Connections accepted.");
    COUNTER(refused, "leat_connections_refused_total", "Connections closed at once: too many.");
    COUNTER(bytes_in, "leat_received_bytes_total", "Bytes received from clients.");
    COUNTER(bytes_out, "leat_sent_bytes_total", "Bytes sent to clients.");
    COUNTER(batches, "leat_produce_batches_total", "Record batches acknowledged.");
    COUNTER(batch_bytes, "leat_produce_bytes_total", "Bytes of record batches acknowledged.");
    COUNTER(fetch_bytes, "leat_fetch_bytes_total", "Bytes of record batches read for clients.");
    COUNTER(protocol_errors, "leat_protocol_errors_total", "Connections closed for what the client sent.");
    COUNTER(append_retries, "leat_append_retries_total", "Appends put off: journal or memory full.");
#undef COUNTER
    c->connections = metrics_gauge(m, "leat_connections", "Open connections.", NULL, 0);
    return ok && c->connections != NULL;
}

bool shard_metrics_init(struct shard *s)
{
    struct mem *m = s->env->mem;
    s->metrics = metrics_create(m);
    s->samples = samples_create(m, MEM_FETCH);
    s->count.apis = mem_zalloc(m, MEM_CONTROL, served_api_count * sizeof *s->count.apis);
    if (s->metrics == NULL || s->samples == NULL || s->count.apis == NULL) return false;
    for (uint32_t i = 0; i < served_api_count; i++)
        if (!api_init(s->metrics, &s->count.apis[i], &served_apis[i])) return false;
    return count_init(s->metrics, &s->count);
}

void shard_metrics_deinit(struct shard *s)
{
    samples_destroy(s->samples);
    metrics_destroy(s->metrics);
    mem_free(s->env->mem, MEM_CONTROL, s->count.apis, served_api_count * sizeof *s->count.apis);
}

static struct api_counters *counters_of(const struct request *r)
{
    size_t row = (size_t)(r->api - served_apis);
    CHECK(row < served_api_count);
    return &r->shard->count.apis[row];
}

void shard_count_request(const struct request *r)
{
    struct api_counters *c = counters_of(r);
    c->requests->value++;
    histogram_record(c->seconds, (uint64_t)(r->shard->env->now.v - r->received.v));
}

void shard_count_errors(const struct request *r, uint32_t codes)
{
    counters_of(r)->errors->value += codes;
}

/* ---- kept by others ---- */

struct gauges { /* of one shard */
    struct samples *samples;
    struct metric_label shard;
};

static const struct metric stage_seconds = {METRIC_HISTOGRAM, "leat_stage_seconds",
                                            "Time in one stage of a flow, its waits included.", &SCALE_STAGE};

static void add_stage(const struct flow *f, int stage, const struct histogram *h, void *samples)
{
    const struct metric_label labels[] = {{"flow", f->name}, {"stage", f->stages[stage].name}};
    samples_histogram(samples, &stage_seconds, labels, 2, h);
}

static void add_memory(const struct gauges *g, const struct mem *m)
{
    static const struct metric budget = {METRIC_GAUGE, "leat_memory_budget_bytes", "Most that the class may use.",
                                         NULL};
    static const struct metric used = {METRIC_GAUGE, "leat_memory_used_bytes", "In use by the class.", NULL};
    static const struct metric peak = {METRIC_GAUGE, "leat_memory_peak_bytes", "Most ever in use by the class.", NULL};
    for (int i = 0; i < MEM_CLASSES; i++) {
        enum mem_class c = (enum mem_class)i;
        const struct metric_label labels[] = {{"class", mem_class_name(c)}, g->shard};
        samples_value(g->samples, &budget, labels, 2, (double)mem_budget(m, c));
        samples_value(g->samples, &used, labels, 2, (double)mem_used(m, c));
        samples_value(g->samples, &peak, labels, 2, (double)mem_peak(m, c));
    }
}

static void add_gauge(const struct gauges *g, const struct metric *m, double value)
{
    samples_value(g->samples, m, &g->shard, 1, value);
}

static void add_sum(const struct gauges *g, const struct metric *m, double value)
{
    samples_value(g->samples, m, NULL, 0, value);
}

static void add_journal(const struct gauges *g, const struct store_stats *t)
{
    static const struct metric bytes = {METRIC_GAUGE, "leat_journal_bytes", "Size of the journal's ring.", NULL};
    static const struct metric used = {METRIC_GAUGE, "leat_journal_used_bytes",
                                       "Of it, not free: needed for a replay until the next checkpoints.", NULL};
    static const struct metric groups = {METRIC_COUNTER, "leat_journal_groups_total",
                                         "Groups (commits) written; each was flushed once.", NULL};
    static const struct metric written = {METRIC_COUNTER, "leat_journal_written_bytes_total",
                                          "Bytes of groups written.", NULL};
    static const struct metric commit = {METRIC_HISTOGRAM, "leat_journal_commit_seconds",
                                         "Time to write and flush a group.", &SCALE_LATENCY};
    add_gauge(g, &bytes, (double)t->journal_bytes);
    add_gauge(g, &used, (double)t->journal_used_bytes);
    add_sum(g, &groups, (double)t->journal_groups);
    add_sum(g, &written, (double)t->journal_written_bytes);
    samples_histogram(g->samples, &commit, NULL, 0, t->commit_ns);
}

static void add_mover(const struct gauges *g, const struct store_stats *t)
{
    static const struct metric moves = {METRIC_COUNTER, "leat_moves_total", "Pieces moved to segment files.", NULL};
    static const struct metric moved = {METRIC_COUNTER, "leat_moved_bytes_total", "Bytes moved to segment files.",
                                        NULL};
    static const struct metric unmoved = {METRIC_GAUGE, "leat_unmoved_bytes",
                                          "Bytes of record batches in journal and memory only.", NULL};
    static const struct metric cached = {METRIC_GAUGE, "leat_cached_bytes",
                                         "Bytes of record batches in memory, unmoved ones included.", NULL};
    static const struct metric files = {METRIC_GAUGE, "leat_segment_files_open", "Open segment and index files.", NULL};
    add_sum(g, &moves, (double)t->moves);
    add_sum(g, &moved, (double)t->moved_bytes);
    add_gauge(g, &unmoved, (double)t->unmoved_bytes);
    add_gauge(g, &cached, (double)t->cached_bytes);
    add_sum(g, &files, (double)t->segment_files_open);
}

static void add_checkpoint(const struct gauges *g, const struct store_stats *t)
{
    static const struct metric count = {METRIC_COUNTER, "leat_checkpoints_total", "Checkpoints completed.", NULL};
    static const struct metric written = {METRIC_COUNTER, "leat_checkpoint_written_bytes_total",
                                          "Bytes written to checkpoint tables.", NULL};
    static const struct metric age = {METRIC_GAUGE, "leat_checkpoint_age_seconds",
                                      "Since the last checkpoint began, or the start; grows while nothing is written.",
                                      NULL};
    static const struct metric partitions = {METRIC_GAUGE, "leat_partitions", "Partitions on this broker.", NULL};
    static const struct metric damaged = {METRIC_GAUGE, "leat_partitions_damaged",
                                          "Of them, with a damaged range that no operator has accepted.", NULL};
    add_sum(g, &count, (double)t->checkpoints);
    add_sum(g, &written, (double)t->checkpoint_written_bytes);
    add_gauge(g, &age, (double)t->checkpoint_age_ns / NS_PER_S);
    add_sum(g, &partitions, t->partitions);
    add_sum(g, &damaged, t->partitions_damaged);
}

/* ---- topics and partitions, if wanted ---- */

static void add_topic(struct samples *s, const char *name, const struct lane_counters *c)
{
    static const struct metric batches = {METRIC_COUNTER, "leat_topic_produce_batches_total", "Record batches stored.",
                                          NULL};
    static const struct metric bytes = {METRIC_COUNTER, "leat_topic_produce_bytes_total", "Their bytes.", NULL};
    static const struct metric records = {METRIC_COUNTER, "leat_topic_produce_records_total", "Their records.", NULL};
    static const struct metric out = {METRIC_COUNTER, "leat_topic_fetch_bytes_total",
                                      "Bytes of record batches read for clients.", NULL};
    const struct metric_label topic = {"topic", name};
    samples_value(s, &batches, &topic, 1, (double)c->batches_in);
    samples_value(s, &bytes, &topic, 1, (double)c->bytes_in);
    samples_value(s, &records, &topic, 1, (double)c->records_in);
    samples_value(s, &out, &topic, 1, (double)c->bytes_out);
}

static void add_counters(struct lane_counters *sum, const struct lane_counters *c)
{
    sum->batches_in += c->batches_in;
    sum->bytes_in += c->bytes_in;
    sum->records_in += c->records_in;
    sum->bytes_out += c->bytes_out;
}

static void add_partition(struct samples *s, const struct partition *p)
{
    static const struct metric start = {METRIC_GAUGE, "leat_partition_log_start_offset", "First offset.", NULL};
    static const struct metric high = {METRIC_GAUGE, "leat_partition_high_watermark", "Consumers read up to it.", NULL};
    static const struct metric end = {METRIC_GAUGE, "leat_partition_log_end_offset", "Next offset.", NULL};
    static const struct metric size = {METRIC_GAUGE, "leat_partition_size_bytes", "Record batches of the log.", NULL};
    char number[16];
    snprintf(number, sizeof number, "%d", partition_number(p));
    const struct metric_label labels[] = {{"topic", partition_topic(p)}, {"partition", number}};
    samples_value(s, &start, labels, 2, (double)partition_log_start(p));
    samples_value(s, &high, labels, 2, (double)partition_high_watermark(p));
    samples_value(s, &end, labels, 2, (double)partition_log_end(p));
    samples_value(s, &size, labels, 2, (double)partition_size_bytes(p));
}

/* Lanes of a topic mostly stand together: one sample for each such run, added up when printed. Bounded, because shard 0
 * prints those of all shards in one turn. */
static void add_lanes(const struct gauges *g, const struct shard *s)
{
    static const struct metric left_out = {METRIC_GAUGE, "leat_metrics_partitions_left_out",
                                           "Partitions without metrics of their own: too many.", NULL};
    uint32_t room = METRICS_PARTITIONS_MAX / s->env->shard_count, left = 0;
    const char *topic = NULL;
    struct lane_counters sum = {0};
    list_each (n, &s->lanes) {
        const struct lane *l = container_of(n, struct lane, in_shard);
        const char *name = partition_topic(l->partition);
        if (topic != NULL && strcmp(topic, name) != 0) {
            add_topic(g->samples, topic, &sum);
            sum = (struct lane_counters){0};
        }
        topic = name;
        add_counters(&sum, &l->count);
        if (left == 0 && room > 0) {
            room--;
            add_partition(g->samples, l->partition);
        } else {
            left++;
        }
    }
    if (topic != NULL) add_topic(g->samples, topic, &sum);
    add_sum(g, &left_out, left);
}

enum status shard_metrics_sample(struct shard *s)
{
    char number[16];
    snprintf(number, sizeof number, "%u", s->env->shard);
    const struct gauges g = {.samples = s->samples, .shard = {"shard", number}};
    samples_reset(s->samples);
    metrics_sample(s->metrics, s->samples);
    runner_histograms(s->env->runner, add_stage, s->samples);
    add_memory(&g, s->env->mem);
    if (s->store != NULL) {
        struct store_stats t;
        store_stats(s->store, &t);
        add_journal(&g, &t);
        add_mover(&g, &t);
        add_checkpoint(&g, &t);
    }
    if (s->broker->config->metrics_topics) add_lanes(&g, s);
    return samples_seal(s->samples);
}

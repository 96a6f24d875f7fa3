// SPDX-License-Identifier: Apache-2.0
/* The JSON of a run (client_report.h): one object; times in ns and s, sizes in bytes; a histogram is its percentiles
 * and the pairs [greatest value, count] of its buckets that hold something. No failure modes; the caller looks at
 * ferror. */
#include "tools/bench/client_report.h"

static void text(const char *s, FILE *out)
{
    fputc('"', out);
    for (; *s != '\0'; s++) {
        if (*s == '"' || *s == '\\') fputc('\\', out);
        fputc((unsigned char)*s < ' ' ? ' ' : *s, out);
    }
    fputc('"', out);
}

static double ratio(double a, double b)
{
    return b > 0 ? a / b : 0;
}

static void number(const char *name, double value, FILE *out)
{
    fprintf(out, "\"%s\": %.9g, ", name, value);
}

static void whole(const char *name, uint64_t value, FILE *out)
{
    fprintf(out, "\"%s\": %llu, ", name, (unsigned long long)value);
}

static void histogram(const char *name, const struct histogram *h, FILE *out)
{
    static const struct {
        const char *name;
        double percent;
    } points[] = {{"p50_ns", 50}, {"p90_ns", 90}, {"p99_ns", 99}, {"p999_ns", 99.9}, {"p9999_ns", 99.99}};
    fprintf(out, "\"%s\": {", name);
    whole("count", histogram_count(h), out);
    whole("mean_ns", histogram_count(h) > 0 ? histogram_sum(h) / histogram_count(h) : 0, out);
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++)
        whole(points[i].name, histogram_percentile(h, points[i].percent), out);
    whole("max_ns", histogram_max(h), out);
    fprintf(out, "\"buckets\": [");
    const char *comma = "";
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        if (h->buckets[i] == 0) continue;
        fprintf(out, "%s[%llu, %llu]", comma, (unsigned long long)histogram_bucket_last(i),
                (unsigned long long)h->buckets[i]);
        comma = ", ";
    }
    fprintf(out, "]}");
}

static void load(const struct client_report *r, FILE *out)
{
    const struct client_options *o = r->options;
    fprintf(out, "\"load\": {");
    whole("partitions", r->target->partition_count, out);
    whole("brokers", r->target->broker_count, out);
    if (client_writes(o)) {
        number("rate", o->rate, out);
        whole("size_bytes", o->size_bytes, out);
        whole("batch_records", o->batch_records, out);
        whole("request_batches", o->request_batches, out);
        whole("keys", o->keys, out);
        whole("connections", r->plan->connection_count, out);
        whole("outstanding", o->outstanding, out);
        fprintf(out, "\"codec\": \"%s\", \"payload\": \"%s\", \"acks\": %d, \"idempotent\": %s, ", codec_name(o->codec),
                o->payload == PAYLOAD_TEXT ? "text" : "random", o->acks, o->idempotent ? "true" : "false");
    }
    whole("readers", client_reads(o) ? r->plan->reader_count : 0, out);
    fprintf(out, "\"threads\": %u}", o->threads);
}

static void probes(const struct client_report *r, FILE *out)
{
    static const char *const when[] = {"before", "after"};
    for (int i = 0; i < 2; i++) {
        const struct client_probe *p = &r->probes[i];
        if (!p->has_rtt) continue;
        fprintf(out, "\"raw_%s\": {", when[i]);
        if (p->has_raw) {
            whole("sync_ns", p->raw.sync_ns, out);
            whole("dsync_ns", p->raw.dsync_ns, out);
            number("bytes_per_s", p->raw.bytes_per_s, out);
        }
        fprintf(out, "\"rtt_ns\": %llu},\n ", (unsigned long long)p->rtt_ns);
    }
    double drift = client_report_drift(r);
    if (drift >= 0)
        fprintf(out, "\"drift_percent\": %.1f, \"drifted\": %s,\n ", drift,
                drift > CLIENT_DRIFT_LIMIT ? "true" : "false");
}

static void processes(const struct client_report *r, FILE *out)
{
    const struct client_options *o = r->options;
    double own = r->after.own.cpu_s - r->before.own.cpu_s;
    fprintf(out, "\"generator\": {");
    number("cpu_s", own, out);
    number("cores", ratio(own, r->seconds), out);
    fprintf(out, "\"client_bound\": %s},\n ", ratio(own, r->seconds) >= CLIENT_BOUND * o->threads ? "true" : "false");
    number("machine_cpu_s", r->after.own.machine_cpu_s - r->before.own.machine_cpu_s, out);
    whole("device_bytes", r->after.own.disk_bytes - r->before.own.disk_bytes, out);
    whole("device_flushes", r->after.own.flushes - r->before.own.flushes, out);
    fprintf(out, "\"brokers\": [");
    for (uint32_t i = 0; i < o->pid_count; i++) {
        bool alive = r->before.alive[i] && r->after.alive[i];
        fprintf(out, "%s{", i == 0 ? "" : ", ");
        if (alive) {
            number("cpu_s", r->after.processes[i].cpu_s - r->before.processes[i].cpu_s, out);
            whole("rss_bytes", r->after.processes[i].rss_bytes, out);
            whole("peak_bytes", r->after.processes[i].peak_bytes, out);
        }
        fprintf(out, "\"pid\": %lld, \"alive\": %s}", (long long)o->pids[i], alive ? "true" : "false");
    }
    fprintf(out, "],\n ");
}

static void checks(const struct checker_counts *c, FILE *out)
{
    fprintf(out, ",\n \"verified\": {");
    whole("records", c->records, out);
    whole("lost", c->lost, out);
    whole("doubled", c->doubled, out);
    whole("reordered", c->reordered, out);
    whole("corrupt", c->corrupt, out);
    whole("misplaced", c->misplaced, out);
    fprintf(out, "\"foreign\": %llu}", (unsigned long long)c->foreign);
}

void client_report_json(const struct client_report *r, FILE *out)
{
    const struct results *x = &r->results;
    const struct client_options *o = r->options;
    fprintf(out, "{\"version\": \"%s\", \"mode\": \"%s\", \"run\": \"%llx\", \"kernel\": ", LEAT_VERSION,
            bench_mode_name(o->mode), (unsigned long long)r->run);
    text(r->machine.kernel, out);
    fprintf(out, ", \"cpu\": ");
    text(r->machine.cpu, out);
    fprintf(out, ", \"cpus\": %ld, \"memory_bytes\": %llu, \"topic\": ", r->machine.cpus,
            (unsigned long long)r->machine.memory_bytes);
    text(o->topic, out);
    fprintf(out, ",\n ");
    load(r, out);
    fprintf(out, ",\n ");
    probes(r, out);
    number("seconds", r->seconds, out);
    whole("acked_records", x->acked, out);
    whole("acked_bytes", x->acked_bytes, out);
    whole("requests", x->requests, out);
    number("acked_per_s", ratio((double)x->acked, r->seconds), out);
    whole("all_acked_records", x->all_acked, out);
    whole("unanswered_records", x->unanswered, out);
    whole("read_records", x->read, out);
    whole("read_bytes", x->read_bytes, out);
    whole("fetches", x->fetches, out);
    number("read_per_s", ratio((double)x->read, r->seconds), out);
    fprintf(out, "\n ");
    processes(r, out);
    histogram("ack", &x->ack, out);
    fprintf(out, ",\n ");
    histogram("e2e", &x->e2e, out);
    fprintf(out, ",\n ");
    histogram("fetch", &x->fetch, out);
    fprintf(out, ",\n ");
    histogram("late", &x->lag, out);
    if (client_reads(o)) checks(&x->checks, out);
    fprintf(out, "}\n");
}

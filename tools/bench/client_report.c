// SPDX-License-Identifier: Apache-2.0
/* The table and the verdict (client_report.h). No failure modes; the caller looks at ferror. */
#include "tools/bench/client_report.h"

#include "base/bytes.h"

#define SHORT_S 0.5 /* CPU is counted in steps of 10 ms: of less time no share is told */

static double ratio(double a, double b)
{
    return b > 0 ? a / b : 0;
}

static double us(uint64_t ns)
{
    return (double)ns / 1e3;
}

static double mib(double bytes)
{
    return bytes / (1 << 20);
}

static double change(double a, double b)
{
    double d = a > 0 ? (b - a) / a * 100 : 0;
    return d < 0 ? -d : d;
}

double client_report_drift(const struct client_report *r)
{
    const struct client_probe *a = &r->probes[0], *b = &r->probes[1];
    if (!a->has_rtt || !b->has_rtt) return -1;
    double drift = change((double)a->rtt_ns, (double)b->rtt_ns);
    if (a->has_raw && b->has_raw) drift = MAX(drift, raw_drift(&a->raw, &b->raw));
    return drift;
}

bool client_report_bound(const struct client_report *r)
{
    double own = r->after.own.cpu_s - r->before.own.cpu_s;
    return r->seconds >= SHORT_S && own >= CLIENT_BOUND * r->seconds * r->options->threads;
}

bool client_report_good(const struct client_report *r, char ret_why[300])
{
    const struct checker_counts *c = &r->results.checks;
    const struct client_options *o = r->options;
    if (!client_reads(o)) return true;
    if (!checker_good(c)) {
        snprintf(ret_why, 300,
                 "what was read is not what was written: %llu lost, %llu doubled, %llu reordered, %llu corrupt, %llu "
                 "misplaced; first: %s",
                 (unsigned long long)c->lost, (unsigned long long)c->doubled, (unsigned long long)c->reordered,
                 (unsigned long long)c->corrupt, (unsigned long long)c->misplaced, r->results.fault);
        return false;
    }
    if (o->mode == BENCH_E2E && c->foreign > 0) {
        snprintf(ret_why, 300, "%llu records of somebody else were read: the topic is not ours alone",
                 (unsigned long long)c->foreign);
        return false;
    }
    if (o->expect > 0 && c->records != o->expect) {
        snprintf(ret_why, 300, "%llu records were read, --expect says %llu", (unsigned long long)c->records,
                 (unsigned long long)o->expect);
        return false;
    }
    return true;
}

/* ---- table ---- */

static void table_load(const struct client_report *r, FILE *out)
{
    const struct client_options *o = r->options;
    const struct target *t = r->target;
    fprintf(out, "%s, run %llx, topic %s%s: %u partitions on %u broker%s\n", bench_mode_name(o->mode),
            (unsigned long long)r->run, o->topic, t->topic_count > 1 ? "-*" : "", t->partition_count, t->broker_count,
            t->broker_count == 1 ? "" : "s");
    if (client_writes(o)) {
        fprintf(out, "load: %u B %s records, %u per batch, %u batch%s per request, codec %s, acks %s%s, %s keys, ",
                o->size_bytes, o->payload == PAYLOAD_TEXT ? "text" : "random", o->batch_records, o->request_batches,
                o->request_batches == 1 ? "" : "es", codec_name(o->codec),
                o->acks < 0    ? "all"
                : o->acks == 0 ? "0"
                               : "1",
                o->idempotent ? ", idempotent" : "", o->keys > 0 ? "with" : "no");
        fprintf(out, "%u connections x %u outstanding, ", r->plan->connection_count, o->outstanding);
        if (o->rate > 0)
            fprintf(out, "open loop %.0f/s\n", o->rate);
        else
            fprintf(out, "closed loop\n");
    }
    if (client_reads(o))
        fprintf(out, "reading: %u connections, %s\n", r->plan->reader_count,
                o->verify ? "every record checked" : "not checked");
}

static void table_probes(const struct client_report *r, FILE *out)
{
    static const char *const when[] = {"before", "after"};
    for (int i = 0; i < 2; i++) {
        const struct client_probe *p = &r->probes[i];
        if (!p->has_rtt) continue;
        fprintf(out, "raw %-6s  loopback round trip p50 %.1f us", when[i], us(p->rtt_ns));
        if (p->has_raw)
            fprintf(out, ", 4 KiB write + flush p50 %.0f us, RWF_DSYNC p50 %.0f us, sequential write %.0f MiB/s",
                    us(p->raw.sync_ns), us(p->raw.dsync_ns), mib(p->raw.bytes_per_s));
        fprintf(out, "\n");
    }
}

static void table_histogram(const char *name, const struct histogram *h, FILE *out)
{
    if (histogram_count(h) == 0) return;
    fprintf(out, "%-22s %10llu %9.0f %9.0f %9.0f %9.0f %9.0f %9.0f %10.0f\n", name,
            (unsigned long long)histogram_count(h), us(histogram_sum(h) / histogram_count(h)),
            us(histogram_percentile(h, 50)), us(histogram_percentile(h, 90)), us(histogram_percentile(h, 99)),
            us(histogram_percentile(h, 99.9)), us(histogram_percentile(h, 99.99)), us(histogram_max(h)));
}

static void table_latency(const struct client_report *r, FILE *out)
{
    const struct client_options *o = r->options;
    fprintf(out, "%-22s %10s %9s %9s %9s %9s %9s %9s %10s\n", "us", "count", "mean", "p50", "p90", "p99", "p99.9",
            "p99.99", "max");
    const char *ack = o->acks == 0 ? "handed to the kernel" : o->rate > 0 ? "intended -> ack" : "send -> ack";
    table_histogram(ack, &r->results.ack, out);
    table_histogram("intended -> receipt", &r->results.e2e, out);
    table_histogram("fetch", &r->results.fetch, out);
    table_histogram("generator was late", &r->results.lag, out);
}

static void table_processes(const struct client_report *r, double gib, FILE *out)
{
    const struct client_options *o = r->options;
    double own = r->after.own.cpu_s - r->before.own.cpu_s;
    for (uint32_t i = 0; i < o->pid_count; i++) {
        const struct process *a = &r->before.processes[i], *b = &r->after.processes[i];
        if (!r->before.alive[i] || !r->after.alive[i]) {
            fprintf(out, "broker pid %lld: there was no such process all the time\n", (long long)o->pids[i]);
            continue;
        }
        double cpu = b->cpu_s - a->cpu_s;
        fprintf(out, "broker pid %lld: %.2f CPU s, %.2f cores, %.2f CPU s per GiB; RSS %.0f MiB, peak %.0f MiB\n",
                (long long)o->pids[i], cpu, ratio(cpu, r->seconds), ratio(cpu, gib), mib((double)b->rss_bytes),
                mib((double)b->peak_bytes));
    }
    fprintf(out, "generator: %.2f CPU s, %.2f of %u cores, %.2f CPU s per GiB; machine: %.2f of %ld cores\n", own,
            ratio(own, r->seconds), o->threads, ratio(own, gib),
            ratio(r->after.own.machine_cpu_s - r->before.own.machine_cpu_s, r->seconds), r->machine.cpus);
}

static void table_warnings(const struct client_report *r, FILE *out)
{
    const struct client_options *o = r->options;
    const struct results *x = &r->results;
    double own = ratio(r->after.own.cpu_s - r->before.own.cpu_s, r->seconds), drift = client_report_drift(r);
    double machine = ratio(r->after.own.machine_cpu_s - r->before.own.machine_cpu_s, r->seconds);
    if (client_report_bound(r))
        fprintf(out, "CLIENT-BOUND: the generator used %.0f %% of its cores: the broker may be faster than this\n",
                own / o->threads * 100);
    if (r->seconds >= SHORT_S && machine >= 0.95 * (double)r->machine.cpus)
        fprintf(out, "MACHINE-BOUND: all cores were busy: generator, broker and others took from each other\n");
    if (o->rate > 0 && client_writes(o) && o->count == 0 && ratio((double)x->acked, r->seconds) < 0.95 * o->rate)
        fprintf(out, "OVERLOADED: %.0f records/s were asked for, %.0f came through; %llu of them never\n", o->rate,
                ratio((double)x->acked, r->seconds), (unsigned long long)x->unanswered);
    if (drift > CLIENT_DRIFT_LIMIT)
        fprintf(out, "DRIFT: the probes before and after differ by %.0f %%: do not quote these figures\n", drift);
}

void client_report_table(const struct client_report *r, FILE *out)
{
    const struct results *x = &r->results;
    const struct client_options *o = r->options;
    const struct checker_counts *c = &x->checks;
    fprintf(out, "%s, %ld x %s, %.1f GiB\n", r->machine.kernel, r->machine.cpus, r->machine.cpu,
            (double)r->machine.memory_bytes / (1 << 30));
    table_load(r, out);
    table_probes(r, out);
    if (client_writes(o))
        fprintf(out, "written: %.0f records/s, %.1f MiB/s, %.0f requests/s (%llu records in %.2f s)\n",
                ratio((double)x->acked, r->seconds), mib(ratio((double)x->acked_bytes, r->seconds)),
                ratio((double)x->requests, r->seconds), (unsigned long long)x->acked, r->seconds);
    if (client_reads(o))
        fprintf(out, "read: %.0f records/s, %.1f MiB/s, %.0f fetches/s (%llu records in %.2f s)\n",
                ratio((double)x->read, r->seconds), mib(ratio((double)x->read_bytes, r->seconds)),
                ratio((double)x->fetches, r->seconds), (unsigned long long)x->read, r->seconds);
    table_latency(r, out);
    table_processes(r, MAX((double)x->acked_bytes, (double)x->read_bytes) / (1 << 30), out);
    if (client_reads(o) && o->verify)
        fprintf(out,
                "verified: %llu records; lost %llu, doubled %llu, reordered %llu, corrupt %llu, misplaced %llu, of "
                "others %llu\n",
                (unsigned long long)c->records, (unsigned long long)c->lost, (unsigned long long)c->doubled,
                (unsigned long long)c->reordered, (unsigned long long)c->corrupt, (unsigned long long)c->misplaced,
                (unsigned long long)c->foreign);
    table_warnings(r, out);
}

// SPDX-License-Identifier: Apache-2.0
/* Prints a report. No failure modes; the caller looks at ferror. */
#include "tools/bench/report.h"

#define DRIFT_LIMIT 10.0 /* percent; above it the disk was not the same before and after */

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

static void table_raw(const struct report *r, FILE *out)
{
    static const char *const when[] = {"before", "after"};
    for (int i = 0; i < 2; i++)
        if (r->has_raw[i])
            fprintf(out,
                    "raw %-6s  4 KiB write + flush p50 %.0f us, RWF_DSYNC p50 %.0f us, sequential write %.0f MiB/s\n",
                    when[i], us(r->raw[i].sync_ns), us(r->raw[i].dsync_ns), mib(r->raw[i].bytes_per_s));
    if (!r->has_raw[0] || !r->has_raw[1]) return;
    double drift = raw_drift(&r->raw[0], &r->raw[1]);
    if (drift > DRIFT_LIMIT)
        fprintf(out, "WARNING: the disk changed by %.0f %% between the two probes: do not quote these figures\n",
                drift);
}

static void table_engine(const struct report *r, FILE *out)
{
    for (uint32_t i = 0; i < r->result_count; i++) {
        const struct result *x = &r->results[i];
        const struct engine *e = &x->engine;
        double pieces = (double)e->pieces;
        fprintf(out,
                "run %u: %.0f KiB per journal group; %llu pieces moved, %.1f KiB each, %.0f %% for their age, at most "
                "%u at once; %llu directories made; %llu checkpoints, %.1f MiB each\n",
                i + 1, ratio((double)x->payload_bytes / 1024, (double)x->commits), (unsigned long long)e->pieces,
                ratio((double)e->piece_bytes / 1024, pieces), 100 * ratio((double)e->aged, pieces), e->flight_most,
                (unsigned long long)e->prepared, (unsigned long long)e->checkpoints,
                ratio(mib((double)e->table_bytes), (double)e->checkpoints));
    }
}

static void table_results(const struct report *r, FILE *out)
{
    fprintf(out, "%10s %8s %6s %10s %8s %8s %8s %9s %7s %7s %6s %6s %8s %6s %7s\n", "partitions", "bytes", "outst.",
            "appends/s", "MiB/s", "p50 us", "p99 us", "max us", "cpu us", "all us", "w/byte", "total", "app/fl.",
            "busy", "rss MiB");
    for (uint32_t i = 0; i < r->result_count; i++) {
        const struct result *x = &r->results[i];
        double n = (double)x->appends;
        fprintf(out, "%10u %8u %6u %10.0f %8.1f %8.0f %8.0f %9.0f %7.2f %7.2f %6.2f %6.2f %8.1f %6llu %7.0f\n",
                x->partitions, x->size_bytes, x->outstanding, ratio(n, x->seconds),
                mib(ratio((double)x->payload_bytes, x->seconds)), us(x->p50_ns), us(x->p99_ns), us(x->max_ns),
                ratio(x->cpu_s * 1e6, n), ratio(x->machine_cpu_s * 1e6, n),
                ratio((double)x->disk_bytes, (double)x->payload_bytes),
                ratio((double)x->all_disk_bytes, (double)x->all_payload_bytes), ratio(n, (double)x->flushes),
                (unsigned long long)x->busy, mib((double)x->rss_bytes));
    }
    fprintf(out, "cpu: of this process per append; all: of the machine per append; w/byte: bytes written to the device "
                 "per appended byte in the run,\ntotal: from the first append to the end of a clean stop; app/fl.: "
                 "appends per device flush. Other writers of the device count too.\n");
    table_engine(r, out);
    for (uint32_t i = 0; i < r->result_count; i++)
        if (r->results[i].verified > 0)
            fprintf(out, "verified: %llu appends of run %u read back as written\n",
                    (unsigned long long)r->results[i].verified, i + 1);
}

void report_table(const struct report *r, FILE *out)
{
    fprintf(out, "%s, %ld x %s, %.1f GiB; %s on %s\n", r->machine.kernel, r->machine.cpus, r->machine.cpu,
            (double)r->machine.memory_bytes / (1 << 30), r->machine.file_system, r->machine.device);
    table_raw(r, out);
    if (r->result_count > 0) table_results(r, out);
    if (r->recovery.ran) {
        const struct recovery_result *x = &r->recovery;
        double gib = (double)x->live_bytes / (1 << 30);
        fprintf(out,
                "recovery after kill -9: %.3f s to open, %.3f s to the first durable append; replayed %.3f GiB of a "
                "%.3f GiB journal (%.2f s per GiB), %llu partitions; open after a clean stop %.3f s\n",
                (double)x->open_ns / 1e9, (double)x->first_append_ns / 1e9, gib, (double)x->journal_bytes / (1 << 30),
                ratio((double)x->open_ns / 1e9, gib), (unsigned long long)x->partitions, (double)x->empty_ns / 1e9);
    }
    if (r->idle.ran)
        fprintf(
            out,
            "idle: %u partitions: RSS %.0f MiB before, %.0f MiB with them, %.0f MiB after a restart (%.3f s to open)\n",
            r->idle.partitions, mib((double)r->idle.before_bytes), mib((double)r->idle.created_bytes),
            mib((double)r->idle.reopened_bytes), (double)r->idle.reopen_ns / 1e9);
}

/* --- JSON; names and kernel strings hold no characters to escape but what json_string does --- */

static void json_string(const char *s, FILE *out)
{
    fputc('"', out);
    for (; *s != '\0'; s++) {
        if (*s == '"' || *s == '\\') fputc('\\', out);
        fputc((unsigned char)*s < ' ' ? ' ' : *s, out);
    }
    fputc('"', out);
}

static void json_result(const struct result *x, FILE *out)
{
    fprintf(out,
            "{\"partitions\": %u, \"size_bytes\": %u, \"outstanding\": %u, \"seconds\": %.6f, \"appends\": %llu, "
            "\"busy\": %llu, \"commits\": %llu, \"verified\": %llu, ",
            x->partitions, x->size_bytes, x->outstanding, x->seconds, (unsigned long long)x->appends,
            (unsigned long long)x->busy, (unsigned long long)x->commits, (unsigned long long)x->verified);
    fprintf(out,
            "\"appends_per_s\": %.1f, \"p50_ns\": %llu, \"p99_ns\": %llu, \"max_ns\": %llu, \"mean_ns\": %llu, "
            "\"cpu_s\": %.6f, \"machine_cpu_s\": %.3f, ",
            ratio((double)x->appends, x->seconds), (unsigned long long)x->p50_ns, (unsigned long long)x->p99_ns,
            (unsigned long long)x->max_ns, (unsigned long long)x->mean_ns, x->cpu_s, x->machine_cpu_s);
    fprintf(out,
            "\"payload_bytes\": %llu, \"device_bytes\": %llu, \"process_bytes\": %llu, \"flushes\": %llu, "
            "\"total_payload_bytes\": %llu, \"total_device_bytes\": %llu, \"total_process_bytes\": %llu, "
            "\"rss_bytes\": %llu, ",
            (unsigned long long)x->payload_bytes, (unsigned long long)x->disk_bytes, (unsigned long long)x->own_bytes,
            (unsigned long long)x->flushes, (unsigned long long)x->all_payload_bytes,
            (unsigned long long)x->all_disk_bytes, (unsigned long long)x->all_own_bytes,
            (unsigned long long)x->rss_bytes);
    const struct engine *e = &x->engine;
    fprintf(out,
            "\"pieces\": %llu, \"piece_bytes\": %llu, \"aged\": %llu, \"prepared\": %llu, \"moves_at_once\": %u, "
            "\"checkpoints\": %llu, \"table_bytes\": %llu}",
            (unsigned long long)e->pieces, (unsigned long long)e->piece_bytes, (unsigned long long)e->aged,
            (unsigned long long)e->prepared, e->flight_most, (unsigned long long)e->checkpoints,
            (unsigned long long)e->table_bytes);
}

static void json_raw(const struct report *r, FILE *out)
{
    static const char *const when[] = {"before", "after"};
    for (int i = 0; i < 2; i++)
        if (r->has_raw[i])
            fprintf(out, "\"raw_%s\": {\"sync_ns\": %llu, \"dsync_ns\": %llu, \"bytes_per_s\": %.0f},\n ", when[i],
                    (unsigned long long)r->raw[i].sync_ns, (unsigned long long)r->raw[i].dsync_ns,
                    r->raw[i].bytes_per_s);
    if (!r->has_raw[0] || !r->has_raw[1]) return;
    double drift = raw_drift(&r->raw[0], &r->raw[1]);
    fprintf(out, "\"drift_percent\": %.1f, \"drifted\": %s,\n ", drift, drift > DRIFT_LIMIT ? "true" : "false");
}

static void json_other(const struct report *r, FILE *out)
{
    const struct recovery_result *x = &r->recovery;
    const struct idle_result *i = &r->idle;
    if (x->ran)
        fprintf(out,
                ",\n \"recovery\": {\"open_ns\": %lld, \"first_append_ns\": %llu, \"clean_open_ns\": %lld, "
                "\"journal_bytes\": %llu, \"replayed_bytes\": %llu, \"partitions\": %llu}",
                (long long)x->open_ns, (unsigned long long)x->first_append_ns, (long long)x->empty_ns,
                (unsigned long long)x->journal_bytes, (unsigned long long)x->live_bytes,
                (unsigned long long)x->partitions);
    if (i->ran)
        fprintf(out,
                ",\n \"idle\": {\"partitions\": %u, \"rss_before\": %llu, \"rss_created\": %llu, "
                "\"rss_reopened\": %llu, \"reopen_ns\": %lld}",
                i->partitions, (unsigned long long)i->before_bytes, (unsigned long long)i->created_bytes,
                (unsigned long long)i->reopened_bytes, (long long)i->reopen_ns);
}

void report_json(const struct report *r, FILE *out)
{
    fprintf(out, "{\"version\": \"%s\", \"kernel\": ", LEAT_VERSION);
    json_string(r->machine.kernel, out);
    fprintf(out, ", \"cpu\": ");
    json_string(r->machine.cpu, out);
    fprintf(out, ", \"cpus\": %ld, \"memory_bytes\": %llu, \"file_system\": ", r->machine.cpus,
            (unsigned long long)r->machine.memory_bytes);
    json_string(r->machine.file_system, out);
    fprintf(out, ",\n ");
    json_raw(r, out);
    fprintf(out, "\"runs\": [");
    for (uint32_t i = 0; i < r->result_count; i++) {
        fprintf(out, i == 0 ? "\n  " : ",\n  ");
        json_result(&r->results[i], out);
    }
    fprintf(out, "]");
    json_other(r, out);
    fprintf(out, "}\n");
}

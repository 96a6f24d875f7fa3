// SPDX-License-Identifier: Apache-2.0
/* produce, consume, e2e.
 *
 *   options -> probes -> target (brokers, topics, offsets) -> plan -> producer ids -> drive -> probes -> table, JSON
 *
 * Failure modes: one sentence on standard error, exit code 1; figures that were measured are still shown when only the
 * verdict over them is bad. */
#include "tools/bench/bench.h"

#include "base/bytes.h"
#include "tools/bench/client_report.h"
#include "tools/bench/loopback.h"
#include "tools/bench/numbers.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/resource.h>

static bool probe(const struct client_options *o, struct client_probe *p, char error[ASK_ERROR])
{
    if (!o->probe) return true;
    if (!loopback_measure(&p->rtt_ns, error)) return false;
    p->has_rtt = true;
    if (o->probe_dir == NULL) return true;
    p->has_raw = raw_measure(o->probe_dir, &p->raw, error);
    return p->has_raw;
}

static uint64_t run_id(const struct client_options *o)
{
    uint64_t id = o->run;
    while (id == 0) CHECK(getrandom(&id, sizeof id, 0) == sizeof id);
    return id;
}

/* Each connection is a descriptor. */
static void allow_files(uint32_t connections)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= connections + 256u) return;
    limit.rlim_cur = MIN(limit.rlim_max, connections + 256u);
    (void)setrlimit(RLIMIT_NOFILE, &limit); /* too few: a connection will say so */
}

static void merge(struct client_report *r, const struct run *run)
{
    struct results *x = &r->results;
    int64_t last = run->from_ns + 1;
    for (uint32_t i = 0; i < run->driver_count; i++) {
        const struct results *d = &run->drivers[i].results;
        histogram_merge(&x->ack, &d->ack);
        histogram_merge(&x->lag, &d->lag);
        histogram_merge(&x->e2e, &d->e2e);
        histogram_merge(&x->fetch, &d->fetch);
        x->acked += d->acked;
        x->acked_bytes += d->acked_bytes;
        x->requests += d->requests;
        x->all_acked += d->all_acked;
        x->read += d->read;
        x->read_bytes += d->read_bytes;
        x->fetches += d->fetches;
        x->all_read += d->all_read;
        x->unanswered += d->unanswered;
        checker_merge(&x->checks, &d->checks);
        if (x->run == 0) x->run = d->run;
        if (x->fault[0] == '\0') memcpy(x->fault, d->fault, sizeof x->fault);
        last = MAX(last, MAX(d->last_ack_ns, d->last_read_ns));
    }
    bool by_time = run->to_ns != INT64_MAX && (run->options->mode != BENCH_CONSUME || run->sampled);
    r->seconds = (double)((by_time ? run->to_ns : last) - run->from_ns) / 1e9;
    r->before = run->before;
    r->after = run->after;
    r->run = run->id != 0 ? run->id : x->run;
}

static void drop(struct run *run)
{
    free(run->drivers);
    free(run->written);
    free(run->offsets);
    free(run->froms);
}

static bool measure(struct client_report *r, struct target *t, struct plan *plan, char error[ASK_ERROR])
{
    const struct client_options *o = r->options;
    struct run run = {.options = o, .target = t, .plan = plan, .machine = &r->machine};
    run.id = client_writes(o) ? run_id(o) : o->run;
    bool good = drive(&run, error);
    merge(r, &run);
    drop(&run);
    return good;
}

static bool whole(struct client_report *r, struct target *t, struct plan *plan, char error[ASK_ERROR])
{
    const struct client_options *o = r->options;
    if (!probe(o, &r->probes[0], error) || !target_find(t, o, error)) return false;
    struct plan_input in = {.leaders = t->leaders,
                            .partitions = t->partition_count,
                            .brokers = t->broker_count,
                            .connections = o->connections,
                            .readers = o->mode == BENCH_CONSUME ? o->connections : o->readers,
                            .threads = o->threads};
    plan_make(plan, &in);
    allow_files(plan->connection_count + plan->reader_count);
    if (client_writes(o) && !target_producers(t, o, plan->connection_count, error)) return false;
    bool good = measure(r, t, plan, error);
    if (o->delete_topics) {
        char why[ASK_ERROR];
        if (!target_delete(t, o, good ? error : why)) good = false;
    }
    return good && probe(o, &r->probes[1], error);
}

static bool report(const struct client_report *r, char error[ASK_ERROR])
{
    const struct client_options *o = r->options;
    bool to_stdout = o->json != NULL && strcmp(o->json, "-") == 0;
    client_report_table(r, to_stdout ? stderr : stdout);
    if (o->json == NULL) return true;
    FILE *f = to_stdout ? stdout : fopen(o->json, "w");
    bool good = f != NULL;
    if (good) {
        client_report_json(r, f);
        good = fflush(f) == 0 && ferror(f) == 0;
    }
    if (!good) snprintf(error, ASK_ERROR, "--json %.200s: %s", o->json, strerror(errno));
    if (f != NULL && !to_stdout) fclose(f);
    return good;
}

int bench_client(int argc, char **argv)
{
    static struct client_report r;
    struct client_options o;
    struct target t = {0};
    struct plan plan = {0};
    char error[ASK_ERROR] = "";
    int code;
    if (!client_options_parse(argc, argv, &o, &code)) return code;
    r.options = &o;
    r.target = &t;
    r.plan = &plan;
    machine_look(o.probe_dir != NULL ? o.probe_dir : ".", &r.machine);
    bool good = whole(&r, &t, &plan, error);
    if (good) good = report(&r, error) && client_report_good(&r, error);
    plan_free(&plan);
    target_free(&t);
    if (!good) fprintf(stderr, "%s: %s\n", bench_name, error);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

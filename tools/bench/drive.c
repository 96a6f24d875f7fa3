// SPDX-License-Identifier: Apache-2.0
/* Threads of a run (drive.h).
 *
 * Each thread: start -> connect everything -> note_ready to the conductor -> (all ready) order_begin -> load, until the
 * producers are through and the readers have caught up -> note_done -> (all done) order_stop -> close everything ->
 * end.
 *
 * Failure modes: drive_fail, from anywhere: note_failed, order_stop to all, the first sentence is the run's. A broker
 * that owes an answer longer than --timeout is found by the watch. A signal is a failure too. When the open loop's
 * backlog does not drain in DRAIN_NS, it is counted and left. */
#include "tools/bench/drive.h"

#include "base/bytes.h"
#include "base/env_uring.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#define DRIVER_MEMORY (16ull << 30) /* a bound, touched when used; options limit what is in flight */
#define ARENA_BYTES   (64u << 20)
#define BEGIN_NS      (20 * NS_PER_MS) /* from the order to the first record, so that every thread has begun */
#define WATCH_NS      (5 * NS_PER_MS)
#define DRAIN_NS      (10 * NS_PER_S)
#define PROGRESS_NS   NS_PER_S

static void maybe_end(struct driver *d);

/* ---- notes to the conductor ---- */

static void stop_all(struct run *r)
{
    struct env *e = r->drivers[0].env;
    if (r->stopping) return;
    r->stopping = true;
    env_timer_stop(e, &r->at_from);
    env_timer_stop(e, &r->at_to);
    env_timer_stop(e, &r->progress);
    for (uint32_t i = 0; i < r->driver_count; i++) env_post(e, i, &r->drivers[i].order_stop);
}

static void on_failed(struct env *e, struct msg *m)
{
    stop_all(container_of(m, struct driver, note_failed)->run);
}

static void sample_take(const struct run *r, struct sample *s)
{
    counters_read(r->machine, &s->own);
    for (uint32_t i = 0; i < r->options->pid_count; i++)
        s->alive[i] = process_read(r->options->pids[i], &s->processes[i]);
}

static void at_from(struct timer *t)
{
    struct run *r = container_of(t, struct run, at_from);
    sample_take(r, &r->before);
}

static void at_to(struct timer *t)
{
    struct run *r = container_of(t, struct run, at_to);
    sample_take(r, &r->after);
    r->sampled = true;
}

static void on_done(struct env *e, struct msg *m)
{
    struct run *r = container_of(m, struct driver, note_done)->run;
    if (++r->done < r->driver_count) return;
    if (!r->sampled) sample_take(r, &r->after);
    stop_all(r);
}

static void progress_fire(struct timer *t)
{
    struct run *r = container_of(t, struct run, progress);
    struct driver *d = &r->drivers[0];
    uint64_t acked = 0, read = 0;
    for (uint32_t i = 0; i < r->driver_count; i++) {
        acked += atomic_load_explicit(&r->drivers[i].seen_acked, memory_order_relaxed);
        read += atomic_load_explicit(&r->drivers[i].seen_read, memory_order_relaxed);
    }
    fprintf(stderr, "\r%4lld s  %llu records acknowledged (%llu/s), %llu read (%llu/s)   ",
            (long long)((d->env->now.v - r->begin_ns) / NS_PER_S), (unsigned long long)acked,
            (unsigned long long)(acked - r->told_acked), (unsigned long long)read,
            (unsigned long long)(read - r->told_read));
    r->told_acked = acked;
    r->told_read = read;
    env_timer_start(d->env, t, mono_add(t->deadline, PROGRESS_NS));
}

static void on_ready(struct env *e, struct msg *m)
{
    struct run *r = container_of(m, struct driver, note_ready)->run;
    const struct client_options *o = r->options;
    if (++r->ready < r->driver_count || r->stopping) return;
    r->begin_ns = clock_ns() + BEGIN_NS;
    r->from_ns = r->begin_ns + (int64_t)(o->warmup_seconds * 1e9);
    r->to_ns = o->count > 0 ? INT64_MAX : r->from_ns + (int64_t)(o->seconds * 1e9);
    r->at_from.fire = at_from;
    r->at_to.fire = at_to;
    r->progress.fire = progress_fire;
    env_timer_start(e, &r->at_from, (struct mono_ns){r->from_ns});
    if (r->to_ns != INT64_MAX) env_timer_start(e, &r->at_to, (struct mono_ns){r->to_ns});
    if (isatty(STDERR_FILENO)) env_timer_start(e, &r->progress, (struct mono_ns){r->begin_ns + PROGRESS_NS});
    for (uint32_t i = 0; i < r->driver_count; i++) env_post(e, i, &r->drivers[i].order_begin);
}

/* ---- a driver ---- */

void drive_fail(struct driver *d, const char *what)
{
    if (d->noted_failed) return;
    d->noted_failed = true;
    snprintf(d->error, sizeof d->error, "%s", what);
    env_post(d->env, 0, &d->note_failed);
}

static void on_signal(struct env *e, int signo)
{
    if (e->user != NULL) drive_fail(e->user, "interrupted");
}

static void begin_fire(struct timer *t)
{
    readers_begin(container_of(t, struct driver, begin));
}

static void on_begin(struct env *e, struct msg *m)
{
    struct driver *d = container_of(m, struct driver, order_begin);
    if (d->phase != DRIVE_READY) return;
    d->phase = DRIVE_RUNNING;
    if (d->run->options->mode == BENCH_CONSUME)
        env_timer_start(e, &d->begin, (struct mono_ns){d->run->begin_ns}); /* not before the measured time */
    else
        readers_begin(d);
    producers_begin(d);
    env_timer_start(e, &d->watch, mono_add(e->now, WATCH_NS));
}

static void on_stop(struct env *e, struct msg *m)
{
    struct driver *d = container_of(m, struct driver, order_stop);
    d->phase = DRIVE_CLOSING;
    env_timer_stop(e, &d->watch);
    env_timer_stop(e, &d->begin);
    producers_close(d);
    readers_close(d);
    maybe_end(d);
}

static void ready(struct driver *d)
{
    d->phase = DRIVE_READY;
    env_post(d->env, 0, &d->note_ready);
}

void drive_opened(struct channel *c, struct driver *d)
{
    if (--d->opening == 0 && d->phase == DRIVE_CONNECTING) ready(d);
}

static void end_checks(struct driver *d)
{
    const struct plan *plan = d->run->plan;
    bool compares = d->run->options->mode == BENCH_E2E && !d->noted_failed;
    for (uint32_t i = 0; compares && i < plan->stream_count; i++)
        if (plan->connections[plan->streams[i].connection].thread == d->number)
            checker_end(&d->checker, i, d->run->written[i]);
    d->results.checks = d->checker.counts;
    d->results.run = d->checker.run;
    memcpy(d->results.fault, d->checker.fault, sizeof d->results.fault);
    checker_deinit(&d->checker);
}

static void maybe_end(struct driver *d)
{
    if (d->phase != DRIVE_CLOSING || d->live > 0) return;
    end_checks(d);
    producers_free(d);
    readers_free(d);
    patterns_free(&d->patterns);
    arena_deinit(&d->arena);
    channels_deinit(&d->channels);
    env_stop(d->env);
}

void drive_closed(struct driver *d)
{
    CHECK(d->live > 0);
    d->live--;
    maybe_end(d);
}

/* ---- the watch ---- */

static bool overdue(struct driver *d, int64_t since_ns, const char *address, const char *what)
{
    char why[DRIVE_ERROR];
    double limit = d->run->options->timeout_seconds;
    if (since_ns == INT64_MAX || (double)(clock_ns() - since_ns) < limit * 1e9) return false;
    snprintf(why, sizeof why, "%s: no answer to %s in %.3g s", address, what, limit);
    drive_fail(d, why);
    return true;
}

/* Producers are through; then reading goes on until it has caught up, its time is over, or nothing comes any more. */
static bool finished(struct driver *d, int64_t now)
{
    const struct run *r = d->run;
    if (r->to_ns != INT64_MAX && now >= r->to_ns + DRAIN_NS) producers_give_up(d);
    if (!producers_finished(d)) {
        d->progressed_ns = now;
        return false;
    }
    if (readers_finished(d)) return true;
    if (r->options->mode == BENCH_CONSUME) return now >= r->to_ns;
    return now - d->progressed_ns >= DRAIN_NS;
}

static void watch_fire(struct timer *t)
{
    struct driver *d = container_of(t, struct driver, watch);
    const char *address = "";
    char why[80];
    if (d->phase == DRIVE_CONNECTING) {
        snprintf(why, sizeof why, "%u connections were not made in %.3g s", d->opening,
                 d->run->options->timeout_seconds);
        drive_fail(d, why);
    }
    if (d->phase != DRIVE_RUNNING) return;
    int64_t since = producers_wait_since_ns(d, &address);
    if (overdue(d, since, address, "Produce")) return;
    since = readers_wait_since_ns(d, &address);
    if (overdue(d, since, address, "Fetch")) return;
    if (finished(d, clock_ns())) {
        d->phase = DRIVE_DONE;
        env_post(d->env, 0, &d->note_done);
        return;
    }
    env_timer_start(d->env, t, mono_add(d->env->now, WATCH_NS));
}

/* ---- threads ---- */

static void start(struct env *e, void *arg)
{
    struct run *r = arg;
    struct driver *d = &r->drivers[e->shard];
    const struct client_options *o = r->options;
    bool varied = o->codec != CODEC_NONE;
    (void)prctl(PR_SET_TIMERSLACK, 1ul); /* records are due to the microsecond */
    d->env = e;
    d->watch.fire = watch_fire;
    d->begin.fire = begin_fire;
    d->note_ready.run = on_ready;
    d->note_done.run = on_done;
    d->note_failed.run = on_failed;
    d->order_begin.run = on_begin;
    d->order_stop.run = on_stop;
    channels_init(&d->channels, e);
    arena_init(&d->arena, e->mem, MEM_FETCH, ARENA_BYTES);
    checker_init(&d->checker, client_writes(o) ? r->id : o->run);
    if (client_writes(o)) patterns_make(&d->patterns, o->size_bytes, o->payload, varied);
    e->user = d;
    env_timer_start(e, &d->watch, mono_add(e->now, (int64_t)(o->timeout_seconds * 1e9)));
    producers_create(d);
    readers_create(d);
    if (d->live == 0) ready(d);
}

static void drivers_init(struct run *r)
{
    for (uint32_t i = 0; i < r->driver_count; i++)
        r->drivers[i] = (struct driver){.run = r, .number = i, .phase = DRIVE_CONNECTING};
}

bool drive(struct run *r, char error[DRIVE_ERROR])
{
    struct env_uring_config config = {.memory_bytes = DRIVER_MEMORY, .on_signal = on_signal};
    char why[256] = "";
    r->driver_count = r->options->threads;
    r->drivers = calloc(r->driver_count, sizeof *r->drivers);
    r->written = calloc(r->plan->stream_count, sizeof *r->written);
    r->offsets = calloc(r->target->partition_count, sizeof *r->offsets);
    r->froms = calloc(r->target->partition_count, sizeof *r->froms);
    CHECK(r->drivers != NULL && r->written != NULL && r->offsets != NULL && r->froms != NULL);
    bool from_begin = r->options->mode == BENCH_CONSUME;
    for (uint32_t i = 0; i < r->target->partition_count; i++)
        r->offsets[i] = from_begin ? r->target->begins[i] : r->target->ends[i];
    drivers_init(r);
    enum status s = env_uring_run_shards(&config, r->driver_count, start, r, why);
    if (isatty(STDERR_FILENO)) fprintf(stderr, "\r%75s\r", "");
    if (s != STATUS_OK) snprintf(error, DRIVE_ERROR, "%s", why);
    for (uint32_t i = 0; i < r->driver_count && s == STATUS_OK; i++) {
        if (r->drivers[i].error[0] == '\0') continue;
        memcpy(error, r->drivers[i].error, DRIVE_ERROR);
        return false;
    }
    return s == STATUS_OK;
}

// SPDX-License-Identifier: Apache-2.0
/* Random seeds of a whole broker with clients.
 *
 *   broker_seeds [--seed S] [--seeds N] [--seconds T] [--limit L] [--calm] [--reuse] [--trace]
 *
 * N seeds from S on (default 1), T simulated seconds each (20), at most L seconds of wall time (0: no limit). Each
 * seed: machine, settings and clients by the seed -> T seconds in which anything may happen (kills, power cuts, failed
 * I/O, a full disk, lost and delayed connections, clock jumps, restarts with another number of shards) -> all is
 * healed, what is open is settled -> everything is read and compared, by the same process and by two later ones. The
 * first seed runs twice: the trace hash must be the same. --calm: without faults.
 * --reuse: topics are made again under names of deleted ones.
 *
 * The first broken promise ends the program with 1 and the command that shows it again. */
#include "tests/sim/broker_clients.h"

#include "base/bytes.h"
#include <signal.h>
#include <time.h>
#include <unistd.h>

#define SETTLE_NS (90 * NS_PER_S)

struct run {
    struct broker_world w;
    struct broker_check check;
    struct clients clients;
    bool calm, reuse, faulty; /* faulty: the disk was told to fail, or is full, since this process began */
    bool full, paused;
    uint32_t window; /* of healthy links; 0: the default */
};

static struct run r; /* larger than a stack should hold */
static char again[96];

static uint64_t roll(uint64_t n)
{
    return broker_world_roll(&r.w, n);
}

/* ---- trouble ---- */

static void heal(void)
{
    struct sim_machine *s = r.w.server, *c = r.w.clients;
    sim_link_set(s, c, &(struct sim_link){.window_bytes = r.window});
    sim_link_set(c, s, &(struct sim_link){.window_bytes = r.window});
    sim_disk_capacity(s, 1ull << 40);
    if (r.paused && sim_running(s)) sim_resume(s);
    r.full = r.paused = false;
}

static void disturb_links(void)
{
    struct sim_link link = {.min_ns = roll(3) == 0 ? (int64_t)roll(200) * NS_PER_MS : 0,
                            .mean_ns = roll(3) == 0 ? (int64_t)roll(100) * NS_PER_MS : 0,
                            .bytes_per_s = roll(5) == 0 ? 20000 + roll(2000000) : 0,
                            .window_bytes = roll(4) == 0 ? 1000 + (uint32_t)roll(60000) : 0,
                            .reset_ppm = roll(3) == 0 ? (uint32_t)roll(30000) : 0,
                            .short_ppm = roll(2) == 0 ? (uint32_t)roll(1000000) : 0,
                            .fragment_ppm = roll(2) == 0 ? (uint32_t)roll(1000000) : 0,
                            .cut = roll(4) == 0};
    r.w.count.cuts += link.cut;
    if (roll(2) == 0) sim_link_set(r.w.server, r.w.clients, &link);
    if (roll(2) == 0) sim_link_set(r.w.clients, r.w.server, &link);
}

static void fail_io(void)
{
    static const enum sim_fault faults[] = {SIM_FAULT_EIO, SIM_FAULT_EIO, SIM_FAULT_NO_SPACE, SIM_FAULT_STALL};
    static const char *const paths[] = {NULL, NULL, "*metalog*", "*journal*", "*topic-*"};
    struct sim_fault_rule rule = {.fault = faults[roll(COUNT_OF(faults))],
                                  .path = paths[roll(COUNT_OF(paths))],
                                  .nth = 1 + roll(60),
                                  .delay_ns = (int64_t)roll(40000) * NS_PER_MS};
    broker_world_say(&r.w, "fault %d from now on at the %llu. operation of %s", rule.fault,
                     (unsigned long long)rule.nth, rule.path != NULL ? rule.path : "any file");
    sim_fault_add(r.w.server, &rule);
    r.faulty = true;
}

static void fill_disk(void)
{
    sim_disk_capacity(r.w.server, sim_disk_used(r.w.server) + roll(4u << 20));
    r.full = r.faulty = true;
}

struct target {
    uint64_t ops;
};

static bool reached(void *arg)
{
    return !sim_running(r.w.server) || sim_fault_ops(r.w.server) >= ((struct target *)arg)->ops;
}

/* Kill or power cut, at once or in the middle of the n-th operation from now. */
static void crash(void)
{
    r.w.count.fences += disk_fenced(&r.w.broker.disk);
    struct target t = {sim_fault_ops(r.w.server) + roll(3) * roll(150)};
    sim_run_while_not(r.w.sim, reached, &t, sim_now(r.w.sim) + NS_PER_S);
    if (sim_running(r.w.server)) broker_world_kill(&r.w, roll(2) == 0 ? SIM_POWER : SIM_KILL);
}

static void after_end(void)
{
    if (r.w.stop_asked) r.w.count.clean_stops++;
    r.w.count.fences += disk_fenced(&r.w.broker.disk);
    BROKER_MUST(&r.w, r.faulty || !r.w.broker.failed, "the broker failed, and nothing was wrong with the disk");
}

static void stop(void)
{
    if (r.paused) sim_resume(r.w.server);
    r.paused = false;
    broker_world_stop(&r.w);
    if (!r.w.stop_asked) return;
    if (roll(4) == 0) { /* killed on the way */
        broker_world_pass(&r.w, (int64_t)roll(300) * NS_PER_MS);
        if (sim_running(r.w.server)) {
            broker_world_kill(&r.w, roll(2) == 0 ? SIM_POWER : SIM_KILL);
            return;
        }
    } else {
        broker_world_wait_end(&r.w, r.faulty);
    }
    after_end();
}

static void something_bad(void)
{
    uint64_t dice = roll(100);
    bool runs = sim_running(r.w.server);
    if (dice < 16) {
        if (runs) crash();
    } else if (dice < 24) {
        if (runs) stop();
    } else if (dice < 37) {
        disturb_links();
    } else if (dice < 54) {
        heal();
    } else if (dice < 61) {
        r.w.count.resets += sim_net_reset(r.w.server, r.w.clients);
    } else if (dice < 78) {
        fail_io();
    } else if (dice < 83) {
        fill_disk();
    } else if (dice < 88) {
        int64_t ms = (int64_t)roll(2) * (int64_t)roll(7200000) - 1800000;
        sim_clock_jump(r.w.server, ms);
        r.w.count.clock_jumps++;
    } else if (dice < 94 && runs && !r.paused) {
        sim_pause(r.w.server);
        r.paused = true;
    } else if (r.paused && runs) {
        sim_resume(r.w.server);
        r.paused = false;
    }
}

/* ---- life ---- */

static void boot(void)
{
    sim_fault_clear(r.w.server);
    if (!r.full) r.faulty = false;
    if (r.faulty && roll(2) == 0) heal();
    r.faulty = r.full;
    r.paused = false;
    broker_world_boot(&r.w, roll(3) == 0 ? 1 + (uint32_t)roll(WORLD_SHARDS) : MAX(r.w.shards, 1u));
    if (!r.calm && roll(6) == 0) fail_io();
}

/* A process that has ended is started again, one with a fenced disk is ended, sooner or later. */
static void tend(bool at_once)
{
    if (!sim_running(r.w.server)) {
        if (r.w.count.boots >
            r.w.count.kills + r.w.count.power_cuts + r.w.count.clean_stops + r.w.count.failed_starts) {
            r.w.count.failed_starts++; /* ended by itself */
            after_end();
        }
        if (at_once || roll(4) == 0) boot();
    } else if (r.faulty && !r.full && (at_once || roll(60) == 0)) {
        if (r.paused) sim_resume(r.w.server);
        r.paused = false;
        crash();
    }
}

static void live(int64_t seconds)
{
    int64_t end = sim_now(r.w.sim) + seconds * NS_PER_S;
    boot();
    while (sim_now(r.w.sim) < end) {
        broker_world_pass(&r.w, (int64_t)(1 + roll(80)) * NS_PER_MS);
        if (!r.calm && roll(14) == 0) something_bad();
        tend(false);
    }
}

static bool settled(void *arg)
{
    (void)arg;
    return clients_quiet(&r.clients);
}

static void restart(bool power)
{
    if (power) {
        broker_world_kill(&r.w, SIM_POWER);
    } else {
        broker_world_stop(&r.w);
        broker_world_wait_end(&r.w, false);
        after_end();
    }
    broker_world_boot(&r.w, 1 + (uint32_t)roll(WORLD_SHARDS));
    BROKER_MUST(&r.w, broker_world_wait_serves(&r.w), "no start after healing");
}

static void settle(void)
{
    heal();
    if (r.faulty && sim_running(r.w.server)) crash();
    sim_fault_clear(r.w.server);
    r.faulty = false;
    if (!sim_running(r.w.server)) broker_world_boot(&r.w, 1 + (uint32_t)roll(WORLD_SHARDS));
    BROKER_MUST(&r.w, broker_world_wait_serves(&r.w), "no start after healing");
    r.clients.draining = true;
    bool came = sim_run_while_not(r.w.sim, settled, NULL, sim_now(r.w.sim) + SETTLE_NS);
    for (uint32_t i = 0; i < r.clients.producer_count && !came; i++)
        printf("%s: open %llu, holding %d, state %d\n", r.clients.producers[i].name,
               (unsigned long long)(r.clients.producers[i].end - r.clients.producers[i].first),
               r.clients.producers[i].holding, (int)r.clients.producers[i].wire.state);
    BROKER_MUST(&r.w, came, "what was open is not settled after healing");
    clients_read_all(&r.clients);
    restart(roll(2) == 0);
    clients_read_all(&r.clients);
    restart(roll(2) == 0);
    clients_read_all(&r.clients);
    broker_world_stop(&r.w);
    broker_world_wait_end(&r.w, false);
    after_end();
}

static uint64_t run_seed(uint64_t seed, int64_t seconds, const struct run *like, bool trace)
{
    static char journal[64], cache[64];
    struct broker_world_config c = {.seed = seed,
                                    .trace = trace,
                                    .machine = {.names = seed % 2 == 0 ? SIM_WEAK_POSIX : SIM_EXT4_ORDERED,
                                                .mem_bytes = (uint64_t)(seed % 5 == 0 ? 64 : 256) << 20,
                                                .dsync_cheaper = seed % 3 == 0,
                                                .sync_ns = seed % 4 == 1 ? 5 * NS_PER_MS : 0},
                                    .options = {"log.retention.ms=-1", "log.segment.bytes=1048576",
                                                "message.max.bytes=262144", "leat.batch.max.bytes=262144",
                                                "log.message.timestamp.after.max.ms=9223372036854775807", journal,
                                                cache}};
    snprintf(again, sizeof again, "\nagain: broker_seeds --seed %llu --trace\n", (unsigned long long)seed);
    snprintf(journal, sizeof journal, "leat.journal.bytes=%um", seed % 4 == 0 ? 64 : 16);
    snprintf(cache, sizeof cache, "leat.cache.bytes=%um", seed % 7 == 0 ? 4 : 64);
    r = (struct run){.calm = like->calm, .reuse = like->reuse};
    broker_world_init(&r.w, &c);
    check_init(&r.check, &r.w);
    clients_start(&r.clients, &r.w, &r.check, 1 + (uint32_t)roll(PRODUCERS_MAX), (uint32_t)roll(CONSUMERS_MAX),
                  1 + (uint32_t)roll(6));
    r.clients.reuse = r.reuse;
    r.window = roll(3) == 0 ? 4096 + (uint32_t)roll(60000) : 0;
    heal();
    live(seconds);
    settle();
    uint64_t hash = sim_trace_hash(r.w.sim);
    clients_stop(&r.clients);
    return hash;
}

static void add_counts(struct broker_counters *all, const struct broker_counters *one)
{
    const uint64_t *from = (const uint64_t *)one;
    uint64_t *to = (uint64_t *)all;
    static_assert(sizeof *all % sizeof(uint64_t) == 0, "counters only");
    for (size_t i = 0; i < sizeof *all / sizeof *to; i++) to[i] += from[i];
}

static void finish(struct broker_counters *all)
{
    for (int i = 0; i < SIM_FAULT_COUNT; i++) r.w.count.faults += sim_counters(r.w.sim)->faults[i];
    add_counts(all, &r.w.count);
    check_deinit(&r.check);
    broker_world_deinit(&r.w);
}

static void report(const struct broker_counters *t, uint64_t seeds, int64_t ns)
{
    printf("%llu seeds, %.0f simulated s: %llu starts, %llu kills, %llu power cuts, %llu clean stops, %llu failed "
           "starts, %llu failed operations, %llu fences, %llu cut links, %llu resets, %llu clock jumps\n",
           (unsigned long long)seeds, (double)ns / 1e9, (unsigned long long)t->boots, (unsigned long long)t->kills,
           (unsigned long long)t->power_cuts, (unsigned long long)t->clean_stops, (unsigned long long)t->failed_starts,
           (unsigned long long)t->faults, (unsigned long long)t->fences, (unsigned long long)t->cuts,
           (unsigned long long)t->resets, (unsigned long long)t->clock_jumps);
    printf(
        "%llu connections, %llu requests, %llu answers, %llu time-outs; %llu batches, %llu records acknowledged, %llu "
        "refused, %llu repeated requests, %llu dropped batches; %llu fetches, %llu records read, %llu sessions lost; "
        "%llu admin operations, %llu without an answer, %llu topics undeleted\n",
        (unsigned long long)t->connections, (unsigned long long)t->calls, (unsigned long long)t->answers,
        (unsigned long long)t->timeouts, (unsigned long long)t->batches, (unsigned long long)t->acked,
        (unsigned long long)t->refused, (unsigned long long)t->resent, (unsigned long long)t->dropped,
        (unsigned long long)t->fetches, (unsigned long long)t->read, (unsigned long long)t->sessions_lost,
        (unsigned long long)t->admin_done, (unsigned long long)t->admin_unknown, (unsigned long long)t->undeleted);
}

static void aborted(int number)
{
    ssize_t n = write(STDOUT_FILENO, again, strlen(again));
    (void)n;
    signal(number, SIG_DFL);
    raise(number);
}

static int64_t monotonic_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec;
}

int main(int argc, char **argv)
{
    uint64_t seed = 1, seeds = 1, done = 0;
    int64_t seconds = 20, limit = 0, simulated = 0, begun = monotonic_s();
    bool trace = false;
    static struct run like;
    struct broker_counters all = {0}, ignored = {0};
    for (int i = 1; i < argc; i++) {
        uint64_t v = i + 1 < argc ? strtoull(argv[i + 1], NULL, 10) : 0;
        if (strcmp(argv[i], "--calm") == 0)
            like.calm = true;
        else if (strcmp(argv[i], "--reuse") == 0)
            like.reuse = true;
        else if (strcmp(argv[i], "--trace") == 0)
            trace = true;
        else if (strcmp(argv[i], "--seed") == 0)
            seed = v, i++;
        else if (strcmp(argv[i], "--seeds") == 0)
            seeds = v, i++;
        else if (strcmp(argv[i], "--seconds") == 0)
            seconds = (int64_t)v, i++;
        else if (strcmp(argv[i], "--limit") == 0)
            limit = (int64_t)v, i++;
        else
            return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGABRT, aborted);
    for (; done < seeds && (limit == 0 || monotonic_s() - begun < limit); done++) {
        uint64_t hash = run_seed(seed + done, seconds, &like, trace);
        simulated += sim_now(r.w.sim);
        finish(&all);
        if (done > 0 || trace) continue;
        bool same = run_seed(seed, seconds, &like, false) == hash;
        finish(&ignored);
        if (same) continue;
        printf("BROKEN: seed %llu: two runs, two histories\n", (unsigned long long)seed);
        return 1;
    }
    report(&all, done, simulated);
    return 0;
}

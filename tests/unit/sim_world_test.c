// SPDX-License-Identifier: Apache-2.0
/* The world of the simulator: the same seed is the same run wherever memory lies, time skips what is idle, clocks drift
 * and jump, shards' messages keep their order, pauses and ends of processes. */
#include "sim_world.h"
#include "base/bytes.h"
#include <time.h>

#define MESSAGES 200u

/* ---- a process that does a bit of everything: writes, syncs, timers, messages between its shards ---- */
struct work { /* per shard, in the process's memory */
    struct env *e;
    struct timer tick;
    struct io_op open, write, sync;
    struct {
        struct msg msg;
        uint32_t number;
    } sent[4];
    uint32_t rounds, posted;
    uint32_t received; /* the next number expected from the left neighbour */
    void *block;
};

struct results {
    uint64_t rounds, messages, out_of_order;
    int64_t period_ns;
};

static struct results results;

static void write_round(struct work *w)
{
    memset(w->block, (int)w->rounds, 4096);
    w->write.pos = env_random(w->e) % 64 * 4096;
    env_submit(w->e, &w->write);
}

static void on_open(struct io_op *op)
{
    struct work *w = container_of(op, struct work, open);
    w->write.file = w->sync.file = (int32_t)op->result;
    env_timer_start(w->e, &w->tick, mono_add(w->e->now, results.period_ns));
}

static void on_write(struct io_op *op)
{
    struct work *w = container_of(op, struct work, write);
    env_submit(w->e, &w->sync);
}

static void on_sync(struct io_op *op)
{
    struct work *w = container_of(op, struct work, sync);
    w->rounds++;
    results.rounds++;
    env_timer_start(w->e, &w->tick, mono_add(w->e->now, results.period_ns));
}

static void on_message(struct env *to, struct msg *m)
{
    struct work *w = to->user;
    uint32_t number;
    memcpy(&number, (char *)m + sizeof *m, sizeof number);
    results.messages++;
    results.out_of_order += number != w->received;
    w->received = number + 1;
}

static void on_tick(struct timer *t)
{
    struct work *w = container_of(t, struct work, tick);
    for (uint32_t slot = 0; slot < COUNT_OF(w->sent); slot++) { /* a burst: they could overtake each other */
        w->sent[slot].msg.run = on_message;
        w->sent[slot].number = w->posted++;
        env_post(w->e, (w->e->shard + 1) % w->e->shard_count, &w->sent[slot].msg);
    }
    write_round(w);
}

static void work_start(struct env *e, void *arg)
{
    (void)arg;
    static const char *const names[] = {"/0", "/1", "/2"};
    struct work *w = mem_zalloc(e->mem, MEM_LOG, sizeof *w);
    e->user = w;
    w->e = e;
    w->block = mem_alloc_aligned(e->mem, MEM_LOG, 4096);
    w->tick.fire = on_tick;
    w->write = (struct io_op){.kind = IO_WRITE, .data = w->block, .len = 4096, .done = on_write};
    w->sync = (struct io_op){.kind = IO_DATASYNC, .done = on_sync};
    w->open = (struct io_op){.kind = IO_OPEN, .path = names[e->shard], .flags = IO_CREATE | IO_DIRECT, .done = on_open};
    env_submit(e, &w->open);
}

static uint64_t run_once(uint64_t seed)
{
    results = (struct results){.period_ns = NS_PER_MS};
    struct sim *s = sim_create(&(struct sim_config){.seed = seed});
    struct sim_machine *m = sim_machine_create(s, "10.0.0.1", NULL);
    sim_fault_add(m, &(struct sim_fault_rule){.fault = SIM_FAULT_FLIP_REST, .chance_ppm = 10000});
    for (int n = 0; n < 6; n++) {
        sim_boot(m, 3, work_start, NULL);
        sim_run_until(s, sim_now(s) + 100 * NS_PER_MS);
        sim_kill(m, n % 2 == 0 ? SIM_KILL : SIM_POWER);
    }
    uint64_t hash = sim_trace_hash(s);
    sim_destroy(s);
    return hash;
}

static void same_seed_same_run(void)
{
    uint64_t first = run_once(1);
    struct results one = results;
    void *holes[64];
    for (int n = 0; n < 64; n++) holes[n] = malloc(100u << (n % 12)); /* other addresses */
    for (int n = 0; n < 64; n += 2) free(holes[n]);
    ASSERT_EQ(run_once(1), first);
    ASSERT_EQ(results.rounds, one.rounds);
    for (int n = 1; n < 64; n += 2) free(holes[n]);
    ASSERT(run_once(2) != first);
    ASSERT(one.rounds > 500);
}

static void messages_keep_their_order(void)
{
    (void)run_once(3);
    ASSERT(results.messages > MESSAGES);
    ASSERT_EQ(results.out_of_order, 0);
}

static void idle_time_is_skipped(void)
{
    results = (struct results){.period_ns = 10 * NS_PER_MS};
    struct sim *s = sim_create(&(struct sim_config){.seed = 1});
    struct sim_machine *m = sim_machine_create(s, "10.0.0.1", NULL);
    sim_boot(m, 3, work_start, NULL);
    clock_t begin = clock();
    sim_run_until(s, 100 * NS_PER_S);
    double cpu_s = (double)(clock() - begin) / CLOCKS_PER_SEC;
    printf("    %.0f simulated seconds per CPU second, %.0f events\n", 100 / cpu_s, (double)sim_counters(s)->events);
    ASSERT(cpu_s < 20); /* a wide net for slow machines under sanitizers; the figure above is the measure */
    ASSERT(results.rounds > 20000);
    sim_destroy(s);
}

static void clocks_drift_and_jump(void)
{
    struct sim *s = sim_create(&(struct sim_config){.seed = 1});
    struct sim_machine *m =
        sim_machine_create(s, "10.0.0.1", &(struct sim_machine_config){.drift_ppm = 1000, .wall_offset_ms = 5000});
    sim_boot(m, 1, idle_start, NULL);
    struct env *e = sim_env(m, 0);
    int64_t mono = e->ops->mono(e).v, begin = sim_now(s);
    ASSERT_EQ(e->ops->wall(e).v, 5000);
    sim_run_until(s, begin + 10 * NS_PER_S);
    ASSERT_EQ(e->ops->mono(e).v - mono, 10 * NS_PER_S + 10 * NS_PER_MS);
    ASSERT_EQ(e->ops->wall(e).v, 5000 + 10010);
    mono = e->ops->mono(e).v;
    sim_clock_jump(m, -3600 * 1000);
    ASSERT_EQ(e->ops->wall(e).v, 5000 + 10010 - 3600 * 1000);
    sim_clock_drift(m, -1000);
    ASSERT_EQ(e->ops->mono(e).v, mono); /* never back */
    sim_run_until(s, begin + 20 * NS_PER_S);
    ASSERT_EQ(e->ops->mono(e).v - mono, 10 * NS_PER_S - 10 * NS_PER_MS);
    sim_destroy(s);
}

/* ---- timers, pauses, ends ---- */
struct probe {
    struct timer timer;
    struct env *e;
    int64_t fired_at; /* the machine's mono */
    struct sim *sim;
    int count;
};

static void on_probe(struct timer *t)
{
    struct probe *p = container_of(t, struct probe, timer);
    p->fired_at = p->e->now.v;
    p->count++;
}

static void probe_start(struct env *e, void *arg)
{
    struct probe *p = arg;
    p->e = e;
    p->timer = (struct timer){.fire = on_probe};
    env_timer_start(e, &p->timer, mono_add(e->now, NS_PER_S));
}

static void timers_follow_the_machines_clock(void)
{
    static const int32_t drifts[] = {-400000, -1, 0, 333, 400000};
    for (size_t n = 0; n < COUNT_OF(drifts); n++) {
        struct sim *s = sim_create(&(struct sim_config){.seed = n});
        struct sim_machine *m = sim_machine_create(s, "10.0.0.1", &(struct sim_machine_config){.drift_ppm = drifts[n]});
        struct probe p = {0};
        sim_boot(m, 1, probe_start, &p);
        sim_run_until(s, 10 * NS_PER_S);
        ASSERT_EQ(p.count, 1);
        ASSERT(p.fired_at >= p.timer.deadline.v && p.fired_at <= p.timer.deadline.v + 10 * NS_PER_US);
        sim_destroy(s);
    }
}

static void paused_machine_takes_no_turns(void)
{
    struct sim *s = sim_create(&(struct sim_config){.seed = 1});
    struct sim_machine *m = sim_machine_create(s, "10.0.0.1", NULL);
    struct probe p = {0};
    sim_boot(m, 1, probe_start, &p);
    sim_run_until(s, NS_PER_MS);
    struct io_op op = {.kind = IO_STAT, .path = "/", .done = nothing_done};
    env_submit(p.e, &op);
    sim_pause(m);
    sim_run_until(s, 5 * NS_PER_S);
    ASSERT_EQ(p.count, 0);
    ASSERT(op.in_flight); /* the disk has answered; nobody was there to hear it */
    sim_resume(m);
    sim_run_until(s, 5 * NS_PER_S + NS_PER_MS);
    ASSERT_EQ(p.count, 1);
    ASSERT(!op.in_flight);
    sim_destroy(s);
}

static void killed_process_runs_no_callback(void)
{
    struct sim *s = sim_create(&(struct sim_config){.seed = 1});
    struct sim_machine *m = sim_machine_create(s, "10.0.0.1", NULL);
    struct probe p = {0};
    sim_boot(m, 1, probe_start, &p);
    sim_run_until(s, NS_PER_MS);
    sim_kill(m, SIM_KILL);
    ASSERT(!sim_running(m));
    sim_run_until(s, 5 * NS_PER_S);
    ASSERT_EQ(p.count, 0);
    sim_destroy(s);
}

static void stop_at_once(struct env *e, void *arg)
{
    (void)arg;
    if (mem_alloc(e->mem, MEM_LOG, 100) != NULL) env_stop(e); /* left behind: abandoned with the process */
}

static void process_ends_when_all_shards_stop(void)
{
    struct sim *s = sim_create(&(struct sim_config){.seed = 1});
    struct sim_machine *m = sim_machine_create(s, "10.0.0.1", NULL);
    sim_boot(m, 4, stop_at_once, NULL);
    ASSERT(sim_running(m));
    sim_run_until(s, NS_PER_S);
    ASSERT(!sim_running(m));
    sim_boot(m, 1, idle_start, NULL);
    sim_destroy(s);
}

static void note_time(void *arg)
{
    struct probe *p = arg;
    p->fired_at = sim_now(p->sim);
}

static bool has_fired(void *arg)
{
    return ((struct probe *)arg)->fired_at != 0;
}

static void scripts_run_at_their_time(void)
{
    struct sim *s = sim_create(&(struct sim_config){.seed = 1});
    struct probe p = {.sim = s}, never = {0};
    sim_at(s, 7 * NS_PER_S, note_time, &p);
    sim_at(s, 90 * NS_PER_S, note_time, &p);
    ASSERT(sim_run_while_not(s, has_fired, &p, 10 * NS_PER_S));
    ASSERT_EQ(p.fired_at, 7 * NS_PER_S);
    ASSERT(!sim_run_while_not(s, has_fired, &never, 20 * NS_PER_S));
    sim_destroy(s);
}

TEST_MAIN("sim_world", {"same seed, same run", same_seed_same_run},
          {"messages keep their order", messages_keep_their_order}, {"idle time is skipped", idle_time_is_skipped},
          {"clocks drift and jump", clocks_drift_and_jump},
          {"timers follow the machine's clock", timers_follow_the_machines_clock},
          {"a paused machine takes no turns", paused_machine_takes_no_turns},
          {"a killed process runs no callback", killed_process_runs_no_callback},
          {"a process ends when all shards stop", process_ends_when_all_shards_stop},
          {"scripts run at their time", scripts_run_at_their_time})

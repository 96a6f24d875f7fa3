// SPDX-License-Identifier: Apache-2.0
/* A simulated machine: life of its process, the shards' turns, messages, clocks; the env_ops that product code sees.
 *
 * Happy path: sim_boot makes one env per shard and schedules its first turn, which runs start. A turn is env_turn with
 * a wait that does not wait; it costs some microseconds, then the shard sleeps until a completion, a message or its
 * earliest timer. Idle shards cost nothing.
 * Death: no callback runs any more; ops in flight become orphans or vanish (io.c, net.c), memory is abandoned. */
#include "base/sim/sim_impl.h"

#define TRACE_RECORDS 1024

struct sim_msg {
    struct sim_event event;
    struct list_node in_machine;
    struct sim_machine *machine;
    uint32_t to;
    struct msg *msg;
};

struct sim_shard *sim_shard_of(struct env *e)
{
    return container_of(e, struct sim_shard, env);
}

/* ---- clocks ---- */
static int64_t drifted(int64_t ns, int32_t ppm)
{
    return ns + ns / 1000000 * ppm + ns % 1000000 * ppm / 1000000;
}

static int64_t machine_mono(const struct sim_machine *m)
{
    return m->mono_base + drifted(m->sim->now - m->mono_since, m->drift_ppm);
}

static int64_t machine_wall_ns(const struct sim_machine *m)
{
    return m->wall_base + drifted(m->sim->now - m->mono_since, m->drift_ppm);
}

/* The first world time at which the machine's clock shows mono. */
static int64_t world_time(const struct sim_machine *m, int64_t mono)
{
    int64_t d = mono - m->mono_base, t = d - d / (1000000 + m->drift_ppm) * m->drift_ppm;
    if (d <= 0) return m->mono_since;
    while (drifted(t, m->drift_ppm) >= d) t--; /* off by a few ns at most: the rest of the division */
    while (drifted(t, m->drift_ppm) < d) t++;
    return m->mono_since + t;
}

static void clock_rebase(struct sim_machine *m)
{
    m->wall_base = machine_wall_ns(m);
    m->mono_base = machine_mono(m);
    m->mono_since = m->sim->now;
}

void sim_clock_jump(struct sim_machine *m, int64_t ms)
{
    m->wall_base += ms * NS_PER_MS;
}

void sim_clock_drift(struct sim_machine *m, int32_t ppm)
{
    CHECK(ppm > -500000 && ppm < 500000);
    clock_rebase(m);
    m->drift_ppm = ppm;
    for (uint32_t k = 0; m->running && k < m->shard_count; k++) sim_wake(&m->shards[k], m->sim->now);
}

/* ---- env_ops ---- */
static bool is_file_kind(enum io_kind k)
{
    return k <= IO_DATASYNC || k >= IO_OPEN;
}

static void op_submit(struct env *e, struct io_op *op)
{
    struct sim_shard *sh = sim_shard_of(e);
    sh->machine->sim->counters.ops++;
    CHECK(op->kind != IO_POLL); /* a library that does its own I/O has no place in a simulated world */
    if (is_file_kind(op->kind))
        sim_io_submit(sh, op);
    else
        sim_net_submit(sh, op);
}

static void op_cancel(struct env *e, struct io_op *op)
{
    if (is_file_kind(op->kind))
        sim_io_cancel(sim_shard_of(e), op);
    else
        sim_net_cancel(sim_shard_of(e), op);
}

static struct mono_ns op_mono(struct env *e)
{
    return (struct mono_ns){machine_mono(sim_shard_of(e)->machine)};
}

static struct wall_ms op_wall(struct env *e)
{
    return (struct wall_ms){machine_wall_ns(sim_shard_of(e)->machine) / NS_PER_MS};
}

static uint64_t op_random(struct env *e)
{
    return prng_next(&sim_shard_of(e)->product);
}

static void msg_run(struct sim *s, struct sim_event *ev)
{
    struct sim_msg *sm = container_of(ev, struct sim_msg, event);
    struct sim_shard *to = &sm->machine->shards[sm->to];
    s->counters.messages++;
    sim_mix(s, (uint64_t)sm->machine->id << 32 | sm->msg->from << 16 | sm->to);
    list_remove(&sm->in_machine);
    if (to->stopped) { /* a shard that ended takes no messages; its process is about to end, too */
        free(sm);
        return;
    }
    env_deliver(&to->env, sm->msg);
    free(sm);
    sim_wake(to, s->now);
}

/* In order per pair; between pairs as late as the seed likes, now and then by 100 us. */
static void op_post(struct env *e, uint32_t shard, struct msg *msg)
{
    struct sim_shard *sh = sim_shard_of(e);
    struct sim *s = sh->machine->sim;
    CHECK(shard < sh->machine->shard_count);
    struct sim_msg *sm = sim_alloc(sizeof *sm);
    *sm = (struct sim_msg){.event.run = msg_run, .machine = sh->machine, .to = shard, .msg = msg};
    int64_t delay = 300 + sim_exp(&s->sched, 1500);
    if (prng_below(&s->sched, 64) == 0) delay += (int64_t)prng_below(&s->sched, 100 * NS_PER_US);
    sh->last_post[shard] = MAX(sh->last_post[shard], s->now + delay);
    list_push_back(&sh->machine->msgs, &sm->in_machine);
    sim_schedule(s, &sm->event, sh->last_post[shard]);
}

static enum status op_listen(struct env *e, const char *host, uint16_t port, bool shared, int32_t *ret_sock,
                             uint16_t *ret_port)
{
    return sim_net_listen(sim_shard_of(e), host, port, shared, ret_sock, ret_port);
}

static void op_wait(struct env *e, struct mono_ns deadline)
{
    (void)e, (void)deadline; /* the world's loop waits for all */
}

static const struct env_ops sim_env_ops = {
    .submit = op_submit,
    .cancel = op_cancel,
    .mono = op_mono,
    .wall = op_wall,
    .random = op_random,
    .post = op_post,
    .listen = op_listen,
    .peer = sim_net_peer,
    .wait = op_wait,
};

/* ---- turns ---- */
void sim_wake(struct sim_shard *sh, int64_t at)
{
    if (sh->stopped || sh->paused || sh->machine->paused) return;
    at = MAX(at, sh->busy_until);
    if (sh->turn.heap_index != 0) {
        if (sh->turn.time <= at) return;
        sim_unschedule(sh->machine->sim, &sh->turn);
    }
    sim_schedule(sh->machine->sim, &sh->turn, at);
}

void sim_complete(struct sim_shard *sh, struct io_op *op, enum status status, int64_t result, bool more)
{
    env_complete(&sh->env, op, status, result, more);
    sim_wake(sh, sh->machine->sim->now);
}

static void sleep_until_due(struct sim_shard *sh)
{
    struct env *e = &sh->env;
    int64_t next = env_next_deadline(e).v;
    if (env_has_work(e))
        sim_wake(sh, sh->busy_until);
    else if (next != INT64_MAX)
        sim_wake(sh, world_time(sh->machine, next));
}

static void process_end(struct sim_machine *m, enum sim_kill how);

static void shard_ended(struct sim_shard *sh)
{
    struct sim_machine *m = sh->machine;
    sh->stopped = true;
    if (m->on_exit != NULL) m->on_exit(&sh->env, m->on_exit_arg);
    for (uint32_t k = 0; k < m->shard_count; k++)
        if (!m->shards[k].stopped) return;
    process_end(m, SIM_KILL);
}

static void turn_run(struct sim *s, struct sim_event *ev)
{
    struct sim_shard *sh = container_of(ev, struct sim_shard, turn);
    struct env *e = &sh->env;
    s->counters.turns++;
    if (!sh->started) {
        sh->started = true;
        e->now = op_mono(e);
        e->now_wall = op_wall(e);
        sh->machine->start(e, sh->machine->start_arg);
    }
    env_turn(e, e->now);
    sim_mix(s, trace_hash(e->trace));
    sim_net_turn_done(sh);
    int64_t span = s->config.turn_max_ns - s->config.turn_min_ns;
    sh->busy_until = s->now + s->config.turn_min_ns + (int64_t)prng_below(&s->sched, (uint64_t)span + 1);
    if (e->stop)
        shard_ended(sh); /* may free sh */
    else
        sleep_until_due(sh);
}

/* ---- process ---- */
static void shard_init(struct sim_machine *m, uint32_t k)
{
    struct sim_shard *sh = &m->shards[k];
    sh->machine = m;
    sh->turn.run = turn_run;
    list_init(&sh->ios);
    list_init(&sh->calls);
    list_init(&sh->nets);
    list_init(&sh->recv_ready);
    sh->last_post = sim_alloc(m->shard_count * sizeof(int64_t));
    prng_seed(&sh->product, prng_next(&m->sim->sched), k);
    struct mem *mem = mem_create(m->config.mem_bytes);
    CHECK(mem != NULL);
    struct env *e = &sh->env;
    struct trace *trace = trace_create(mem, TRACE_RECORDS);
    env_init(e, &sim_env_ops, mem, trace);
    e->runner = runner_create(mem, trace);
    e->shard = k;
    e->shard_count = m->shard_count;
    e->dio_align = SIM_PAGE;
    e->descriptors = m->config.max_files / m->shard_count;
    e->dsync_cheaper = m->config.dsync_cheaper;
}

void sim_boot(struct sim_machine *m, uint32_t shards, sim_start_fn *start, void *arg)
{
    CHECK(!m->running && shards > 0);
    if (!m->powered) { /* the monotonic clock begins anew with the kernel */
        clock_rebase(m);
        m->mono_base = NS_PER_S + (int64_t)prng_below(&m->sim->clock, 60 * NS_PER_S);
    }
    m->running = m->powered = true;
    m->paused = false;
    m->incarnation++;
    m->start = start;
    m->start_arg = arg;
    m->shard_count = shards;
    m->shards = sim_alloc(shards * sizeof(struct sim_shard));
    for (uint32_t k = 0; k < shards; k++) shard_init(m, k);
    for (uint32_t k = 0; k < shards; k++)
        sim_wake(&m->shards[k], m->sim->now + (int64_t)prng_below(&m->sim->sched, 200 * NS_PER_US));
}

void sim_on_exit(struct sim_machine *m, sim_start_fn *fn, void *arg)
{
    m->on_exit = fn;
    m->on_exit_arg = arg;
}

static void process_end(struct sim_machine *m, enum sim_kill how)
{
    struct sim *s = m->sim;
    sim_net_kill(m, how);
    sim_io_kill(m);
    list_each (n, &m->msgs) {
        struct sim_msg *sm = container_of(n, struct sim_msg, in_machine);
        sim_unschedule(s, &sm->event);
        list_remove(n);
        free(sm);
    }
    for (uint32_t k = 0; k < m->shard_count; k++) {
        struct sim_shard *sh = &m->shards[k];
        sim_unschedule(s, &sh->turn);
        mem_abandon(sh->env.mem);
        free(sh->last_post);
    }
    free(m->shards);
    m->shards = NULL;
    m->shard_count = 0;
    m->running = m->paused = false;
}

void sim_kill(struct sim_machine *m, enum sim_kill how)
{
    CHECK(m->running || how == SIM_POWER);
    sim_mix(m->sim, 0xdead0000u + (uint64_t)how);
    if (m->running) process_end(m, how);
    if (how == SIM_KILL) return;
    sim_io_power(m);
    fs_power_cut(&m->fs);
    m->powered = false;
}

bool sim_running(const struct sim_machine *m)
{
    return m->running;
}

struct env *sim_env(struct sim_machine *m, uint32_t shard)
{
    CHECK(m->running && shard < m->shard_count);
    return &m->shards[shard].env;
}

void sim_memory(struct sim_machine *m, uint64_t bytes)
{
    m->config.mem_bytes = bytes;
}

void sim_nudge(struct sim_machine *m, uint32_t shard)
{
    CHECK(m->running && shard < m->shard_count);
    sim_wake(&m->shards[shard], m->sim->now);
}

static void shard_pause(struct sim_shard *sh)
{
    sim_unschedule(sh->machine->sim, &sh->turn);
}

void sim_pause(struct sim_machine *m)
{
    CHECK(m->running);
    m->paused = true;
    for (uint32_t k = 0; k < m->shard_count; k++) shard_pause(&m->shards[k]);
}

void sim_resume(struct sim_machine *m)
{
    CHECK(m->running);
    m->paused = false;
    for (uint32_t k = 0; k < m->shard_count; k++) sim_wake(&m->shards[k], m->sim->now);
}

void sim_pause_shard(struct sim_machine *m, uint32_t shard, bool paused)
{
    CHECK(m->running && shard < m->shard_count);
    m->shards[shard].paused = paused;
    if (paused)
        shard_pause(&m->shards[shard]);
    else
        sim_wake(&m->shards[shard], m->sim->now);
}

/* ---- machines ---- */
static int64_t or_default(int64_t v, int64_t by_default)
{
    return v == 0 ? by_default : v;
}

struct sim_machine *sim_machine_create(struct sim *s, const char *host, const struct sim_machine_config *config)
{
    struct sim_machine *m = sim_alloc(sizeof *m);
    struct sim_machine_config *c = &m->config;
    if (config != NULL) *c = *config;
    if (c->capacity_bytes == 0) c->capacity_bytes = 1ull << 40;
    if (c->max_files == 0) c->max_files = 65536;
    if (c->mem_bytes == 0) c->mem_bytes = 1ull << 30;
    c->read_ns = or_default(c->read_ns, 15 * NS_PER_US);
    c->write_ns = or_default(c->write_ns, 20 * NS_PER_US);
    c->sync_ns = or_default(c->sync_ns, 150 * NS_PER_US);
    c->call_ns = or_default(c->call_ns, 10 * NS_PER_US);
    c->linger_ns = or_default(c->linger_ns, 5 * NS_PER_MS);
    c->wall_offset_ms = or_default(c->wall_offset_ms, 1700000000000);
    m->sim = s;
    m->id = s->machine_count;
    m->host = sim_strdup(host);
    m->drift_ppm = c->drift_ppm;
    m->wall_base = c->wall_offset_ms * NS_PER_MS;
    list_init(&m->orphans);
    list_init(&m->msgs);
    fs_init(&m->fs, s, c);
    s->machines = realloc(s->machines, (s->machine_count + 1) * sizeof(struct sim_machine *));
    CHECK(s->machines != NULL);
    s->machines[s->machine_count++] = m;
    return m;
}

const struct sim_machine_config *sim_machine_config(const struct sim_machine *m)
{
    return &m->config;
}

void sim_machine_end(struct sim_machine *m)
{
    if (m->running) process_end(m, SIM_POWER);
}

void sim_machine_destroy(struct sim_machine *m)
{
    sim_orphans_drop(m);
    fs_deinit(&m->fs);
    free(m->links);
    free(m->host);
    free(m);
}

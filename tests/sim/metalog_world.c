// SPDX-License-Identifier: Apache-2.0
/* See metalog_world.h. */
#include "tests/sim/metalog_world.h"

#include "base/bytes.h"
#include "base/prng.h"
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#define WAIT_NS      (60 * NS_PER_S)
#define FILLER_STEPS 7u

static uint64_t filler_bytes(uint64_t commands)
{
    return commands % FILLER_STEPS * 30000;
}

/* --- owner --- */

static struct metalog_node *node_of(struct metalog_owner *o)
{
    return container_of(o, struct metalog_node, owner);
}

static void note_truth(struct metalog_node *n, uint64_t index, uint64_t term, uint64_t hash)
{
    struct metalog_world *w = n->world;
    if (index >= w->truth_room) {
        w->truth_room = w->truth_room == 0 ? 1024 : w->truth_room * 2;
        w->truth = realloc(w->truth, w->truth_room * sizeof *w->truth);
    }
    if (index > w->truth_count) {
        WORLD_MUST(w, index == w->truth_count + 1, "node %d applies %llu after %llu", n->id, (unsigned long long)index,
                   (unsigned long long)w->truth_count);
        w->truth[index] = (struct truth){term, hash};
        w->truth_count = index;
    }
    WORLD_MUST(w, w->truth[index].term == term && w->truth[index].hash == hash,
               "node %d applies another entry %llu (term %llu, first seen in term %llu)", n->id,
               (unsigned long long)index, (unsigned long long)term, (unsigned long long)w->truth[index].term);
}

static void on_applied(struct metalog_owner *o, uint64_t index, uint64_t term, const void *data, uint32_t size)
{
    struct metalog_node *n = node_of(o);
    uint64_t hash = size > 0 ? XXH3_64bits(data, size) : 1;
    WORLD_MUST(n->world, index == n->index + 1, "node %d: %llu after %llu", n->id, (unsigned long long)index,
               (unsigned long long)n->index);
    note_truth(n, index, term, hash);
    n->index = index;
    n->hash = XXH3_64bits_withSeed(&hash, sizeof hash, n->hash);
    n->commands += size > 0;
    n->applied_calls++;
}

static void on_role(struct metalog_owner *o, enum metalog_role role, int32_t leader, uint64_t term)
{
    struct metalog_node *n = node_of(o);
    struct metalog_world *w = n->world;
    n->role = role;
    n->leader = leader;
    n->term = term;
    if (role != METALOG_LEADER) return;
    WORLD_MUST(w, term < COUNT_OF(w->leaders), "term %llu", (unsigned long long)term);
    WORLD_MUST(w, w->leaders[term] == 0 || w->leaders[term] == n->id + 1, "two leaders in term %llu: %d and %d",
               (unsigned long long)term, w->leaders[term] - 1, n->id);
    w->leaders[term] = n->id + 1;
    w->elections++;
}

static bool on_snapshot_begin(struct metalog_owner *o)
{
    struct metalog_node *n = node_of(o);
    WORLD_MUST(n->world, !n->giving, "two snapshots at once");
    if (n->refuse_snapshots) return false;
    n->giving = true;
    n->snap_at = 0;
    n->snap_index = n->index;
    n->snap_hash = n->hash;
    n->snap_commands = n->commands;
    return true;
}

static enum status on_snapshot_next(struct metalog_owner *o, void *out, size_t capacity, size_t *ret_size)
{
    struct metalog_node *n = node_of(o);
    uint64_t total = sizeof n->in + filler_bytes(n->snap_commands);
    WORLD_MUST(n->world, n->giving && capacity >= 65536, "next without begin");
    if (n->snap_at == 0) {
        store_le64(out, n->snap_index);
        store_le64((uint8_t *)out + 8, n->snap_hash);
        store_le64((uint8_t *)out + 16, n->snap_commands);
        *ret_size = n->snap_at = sizeof n->in;
        return STATUS_OK;
    }
    *ret_size = MIN(MIN(total - n->snap_at, 50000), capacity);
    memset(out, (int)(n->snap_commands & 0xff), *ret_size);
    n->snap_at += *ret_size;
    return STATUS_OK;
}

static void on_snapshot_end(struct metalog_owner *o)
{
    node_of(o)->giving = false;
}

static void on_restore_begin(struct metalog_owner *o, uint64_t index, uint64_t term)
{
    struct metalog_node *n = node_of(o);
    (void)term;
    n->in_at = 0;
    n->in_index = index;
}

static enum status on_restore_next(struct metalog_owner *o, const void *data, size_t size)
{
    struct metalog_node *n = node_of(o);
    const uint8_t *p = data;
    for (size_t i = 0; i < size; i++, n->in_at++)
        if (n->in_at < sizeof n->in)
            n->in[n->in_at] = p[i];
        else if (p[i] != (load_le64(n->in + 16) & 0xff))
            return STATUS_DAMAGED;
    return STATUS_OK;
}

static enum status on_restore_end(struct metalog_owner *o, bool whole)
{
    struct metalog_node *n = node_of(o);
    if (!whole) return STATUS_OK;
    n->index = load_le64(n->in);
    n->hash = load_le64(n->in + 8);
    n->commands = load_le64(n->in + 16);
    n->restores++;
    WORLD_MUST(n->world, n->index == n->in_index && n->in_at == sizeof n->in + filler_bytes(n->commands),
               "node %d: a snapshot of %llu says %llu", n->id, (unsigned long long)n->in_index,
               (unsigned long long)n->index);
    return STATUS_OK;
}

static void on_failed(struct metalog_owner *o, enum status status, const char *why)
{
    struct metalog_node *n = node_of(o);
    WORLD_MUST(n->world, !n->failed && status != STATUS_OK && why[0] != '\0', "failed twice");
    n->failed = true;
    n->failure = status;
    snprintf(n->why, sizeof n->why, "%s", why);
}

/* A call from outside a turn must bring a turn about, as product code's callers would have. */
static void poked(struct io_op *op)
{
    (void)op;
}

static void poke(struct metalog_node *n)
{
    if (io_op_in_flight(&n->poke)) return;
    n->poke = (struct io_op){.kind = IO_STAT, .path = "/data", .done = poked};
    env_submit(sim_env(n->machine, 0), &n->poke);
}

/* --- links --- */

struct parcel {
    struct metalog_world *w;
    uint32_t from, to, from_boots, to_boots, connection;
    size_t size;
    uint8_t bytes[];
};

static void arrive(void *arg)
{
    struct parcel *p = arg;
    struct metalog_world *w = p->w;
    struct metalog_node *n = &w->nodes[p->to];
    bool alive = n->up && n->log != NULL && n->boots == p->to_boots && w->nodes[p->from].boots == p->from_boots &&
                 w->connection[p->from][p->to] == p->connection && !w->cut[p->from][p->to];
    if (alive) {
        enum status status = metalog_receive(n->log, w->nodes[p->from].id, p->bytes, p->size);
        poke(n);
        WORLD_MUST(w, status == STATUS_OK, "node %d refuses a message of %d", n->id, w->nodes[p->from].id);
    } else {
        w->lost++;
    }
    free(p);
}

void mworld_break(struct metalog_world *w, uint32_t from, uint32_t to)
{
    w->connection[from][to]++;
    w->broken_until[from][to] = sim_now(w->sim) + (int64_t)(10 + sim_random(w->sim) % 150) * NS_PER_MS;
}

static void on_send(struct metalog_owner *o, int32_t to, struct buf *message)
{
    struct metalog_node *n = node_of(o);
    struct metalog_world *w = n->world;
    uint32_t from = (uint32_t)(n - w->nodes), t = 0;
    while (w->nodes[t].id != to) t++;
    w->messages++;
    if (sim_random(w->sim) % 1000000 < w->loss_ppm) mworld_break(w, from, t);
    if (w->cut[from][t] || sim_now(w->sim) < w->broken_until[from][t] || !w->nodes[t].up) {
        w->lost++;
        buf_unref(&message);
        return;
    }
    struct parcel *p = malloc(sizeof *p + message->size);
    *p = (struct parcel){.w = w,
                         .from = from,
                         .to = t,
                         .from_boots = n->boots,
                         .to_boots = w->nodes[t].boots,
                         .connection = w->connection[from][t],
                         .size = message->size};
    memcpy(p->bytes, message->data, message->size);
    buf_unref(&message);
    int64_t delay = (int64_t)(100 + sim_random(w->sim) % (sim_random(w->sim) % 50 == 0 ? 100000 : 3000)) * NS_PER_US;
    int64_t at = MAX(sim_now(w->sim) + delay, w->last_arrival[from][t] + 1);
    w->last_arrival[from][t] = at;
    sim_at(w->sim, at, arrive, p);
}

static const struct metalog_owner_ops owner_ops = {.applied = on_applied,
                                                   .role = on_role,
                                                   .snapshot_begin = on_snapshot_begin,
                                                   .snapshot_next = on_snapshot_next,
                                                   .snapshot_end = on_snapshot_end,
                                                   .restore_begin = on_restore_begin,
                                                   .restore_next = on_restore_next,
                                                   .restore_end = on_restore_end,
                                                   .send = on_send,
                                                   .failed = on_failed};

/* --- life --- */

static void to_stderr(void *arg, enum log_level level, const char *line, size_t size)
{
    struct metalog_node *n = arg;
    (void)level;
    (void)fprintf(stderr, "%lld us, node %d: %.*s", (long long)(sim_now(n->world->sim) / NS_PER_US), n->id, (int)size,
                  line);
}

void mworld_init(struct metalog_world *w, uint64_t seed, uint32_t nodes, const struct sim_machine_config *machine)
{
    memset(w, 0, sizeof *w);
    w->sim = sim_create(&(struct sim_config){.seed = seed});
    w->seed = seed;
    list_init(&w->submits);
    w->count = nodes;
    for (uint32_t i = 0; i < nodes; i++) {
        struct metalog_node *n = &w->nodes[i];
        char host[24];
        snprintf(host, sizeof host, "10.0.0.%u", i + 1);
        n->world = w;
        n->id = (int32_t)i * 3;
        n->machine = sim_machine_create(w->sim, host, machine);
        n->owner.ops = &owner_ops;
        CHECK_OK(sim_dir_make(n->machine, "/data"));
        metalog_config_init(&n->config);
        n->config.dir = "/data/" METALOG_NAME;
        n->config.self = n->id;
        n->config.voter_count = nodes;
        for (uint32_t j = 0; j < nodes; j++) n->config.voters[j] = (int32_t)j * 3;
        if (nodes > 1) n->config.cluster = (struct uuid){{7, 7, 7}};
        n->config.owner = &n->owner;
        if (getenv("LEAT_SIM_LOG") != NULL) { /* for a seed that fails */
            log_init(&n->logger, to_stderr, n, LOG_DEBUG, i);
            n->config.log = &n->logger;
        }
        n->config.election_ms = 300;
        n->config.heartbeat_ms = 60;
        n->config.segment_bytes = 64 << 10;
        n->config.snapshot_bytes = 200 << 10;
        n->config.trailing_bytes = 20 << 10;
    }
}

void mworld_deinit(struct metalog_world *w)
{
    for (uint32_t i = 0; i < w->count; i++)
        if (w->nodes[i].up) mworld_kill(w, i, SIM_KILL);
    mworld_pass(w, NS_PER_S); /* parcels arrive nowhere */
    while (!list_empty(&w->submits)) free(container_of(list_pop_front(&w->submits), struct world_submit, in_world));
    sim_destroy(w->sim);
    free(w->truth);
}

static void opened(struct metalog_open *op)
{
    struct metalog_node *n = container_of(op, struct metalog_node, open);
    n->opened = true;
    n->log = op->metalog;
}

static void start(struct env *e, void *arg)
{
    struct metalog_node *n = arg;
    n->open = (struct metalog_open){.done = opened};
    metalog_open(e, &n->config, &n->open);
}

void mworld_start(struct metalog_world *w, uint32_t node)
{
    struct metalog_node *n = &w->nodes[node];
    CHECK(!n->up);
    n->up = true;
    n->boots++;
    n->opened = n->failed = n->closed = n->giving = false;
    n->poke = (struct io_op){0};
    n->log = NULL;
    n->index = n->hash = n->commands = 0;
    n->role = METALOG_FOLLOWER;
    n->leader = -1;
    sim_boot(n->machine, 1, start, n);
}

static bool is_opened(void *arg)
{
    return ((struct metalog_node *)arg)->opened;
}

enum status mworld_boot(struct metalog_world *w, uint32_t node)
{
    struct metalog_node *n = &w->nodes[node];
    mworld_start(w, node);
    WORLD_MUST(w, sim_run_while_not(w->sim, is_opened, n, sim_now(w->sim) + WAIT_NS), "the open hangs");
    if (n->open.status != STATUS_OK) mworld_kill(w, node, SIM_KILL);
    return n->open.status;
}

void mworld_kill(struct metalog_world *w, uint32_t node, enum sim_kill how)
{
    struct metalog_node *n = &w->nodes[node];
    if (n->log != NULL && n->opened) {
        w->installs += metalog_counters(n->log)->installs;
        w->snapshots += metalog_counters(n->log)->snapshots;
    }
    sim_kill(n->machine, how);
    n->up = false;
    n->log = NULL;
}

struct closing {
    struct metalog_close op;
    struct metalog_node *node;
};

static void closed(struct metalog_close *op)
{
    container_of(op, struct closing, op)->node->closed = true;
}

static bool is_closed(void *arg)
{
    return ((struct metalog_node *)arg)->closed;
}

void mworld_stop(struct metalog_world *w, uint32_t node)
{
    struct closing c = {.op.done = closed, .node = &w->nodes[node]};
    metalog_close(c.node->log, &c.op);
    poke(c.node);
    c.node->log = NULL;
    WORLD_MUST(w, sim_run_while_not(w->sim, is_closed, c.node, sim_now(w->sim) + WAIT_NS), "the close hangs");
    mworld_kill(w, node, SIM_KILL);
}

/* --- submits --- */

static void submitted(struct metalog_submit *op)
{
    struct world_submit *s = container_of(op, struct world_submit, op);
    struct metalog_world *w = s->world;
    if (op->status == STATUS_OK) {
        WORLD_MUST(w,
                   op->index <= w->truth_count && w->truth[op->index].hash == s->hash &&
                       w->truth[op->index].term == op->term,
                   "answered with OK at %llu, but another entry was applied there", (unsigned long long)op->index);
        w->acked++;
    } else if (op->status == STATUS_NOT_LEADER || op->status == STATUS_BUSY || op->status == STATUS_BATCH_TOO_LARGE) {
        w->refused++;
    } else {
        w->unknown++;
    }
    if (s->done != NULL) {
        *s->done = true;
        *s->status = op->status;
    }
    list_remove(&s->in_world);
    free(s);
}

static struct world_submit *submit(struct metalog_world *w, uint32_t node, uint64_t tag, uint32_t size)
{
    struct metalog_node *n = &w->nodes[node];
    uint8_t *data = malloc(size + 8);
    struct world_submit *s = calloc(1, sizeof *s);
    for (uint32_t i = 0; i < size + 8; i += 8) store_le64(data + MIN(i, size), tag * 0x9e3779b97f4a7c15ull + i);
    *s = (struct world_submit){.op.done = submitted,
                               .world = w,
                               .hash = size > 0 ? XXH3_64bits(data, size) : 1,
                               .node = node,
                               .boots = n->boots};
    list_push_back(&w->submits, &s->in_world);
    metalog_submit(n->log, data, size, &s->op);
    poke(n);
    free(data);
    return s;
}

void mworld_submit(struct metalog_world *w, uint32_t node, uint64_t tag, uint32_t size)
{
    (void)submit(w, node, tag, size);
}

static bool is_true(void *arg)
{
    return *(bool *)arg;
}

enum status mworld_append(struct metalog_world *w, uint32_t node, uint64_t tag, uint32_t size)
{
    bool done = false;
    enum status status = STATUS_OK;
    struct world_submit *s = submit(w, node, tag, size);
    s->done = &done;
    s->status = &status;
    WORLD_MUST(w, sim_run_while_not(w->sim, is_true, &done, sim_now(w->sim) + WAIT_NS), "a submit hangs");
    return status;
}

void mworld_pass(struct metalog_world *w, int64_t ns)
{
    sim_run_until(w->sim, sim_now(w->sim) + ns);
}

static bool has_leader(void *arg)
{
    struct metalog_world *w = arg;
    for (uint32_t i = 0; i < w->count; i++)
        if (w->nodes[i].up && w->nodes[i].log != NULL && !w->nodes[i].failed && w->nodes[i].role == METALOG_LEADER)
            return true;
    return false;
}

bool mworld_wait_leader(struct metalog_world *w, uint32_t *ret_node)
{
    if (!sim_run_while_not(w->sim, has_leader, w, sim_now(w->sim) + 10 * NS_PER_S)) return false;
    for (uint32_t i = 0; i < w->count; i++)
        if (w->nodes[i].up && w->nodes[i].log != NULL && w->nodes[i].role == METALOG_LEADER) *ret_node = i;
    return true;
}

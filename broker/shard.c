// SPDX-License-Identifier: Apache-2.0
/* Shards and their phases (shard.h).
 *
 * Start:  HTTP, which tells what follows -> OPEN (every shard its store) -> METADATA (shard 0 opens the metadata log;
 *         every shard gets its partitions) -> LISTEN -> SERVE, logged as "broker.ready" by shard 0.
 * Stop (SIGTERM, SIGINT, or a start that failed):
 *         DRAIN (no new connections, requests in flight are answered, connections closed; those whose peers do not
 *         take their answers within DRAIN_NS too) -> CLOSE (stores)
 *         -> HTTP ends -> END.
 * Shard 0 sends each shard the phase and goes on when all have said that theirs is done; so parts of requests can
 * travel as long as any shard has a connection, and no store closes while another shard may still ask it.
 *
 * Failure modes: what a shard cannot do in OPEN or LISTEN is logged with its sentence, all shards stop, and the process
 * ends with a failure. A second signal changes nothing; kill -9 is always safe. */
#include "broker/shard.h"
#include "broker/conn.h"
#include "broker/coordinator/coordinator.h"
#include "broker/http.h"
#include <signal.h>
#include <stdio.h>

#define DRAIN_NS (15 * NS_PER_S)

static void phase_run(struct env *e, struct msg *m);

const char *phase_name(enum phase phase)
{
    static const char *const names[] = {"open", "metadata", "listen", "serve", "drain", "close", "end"};
    return names[phase];
}

/* ---- shard 0: the leader of the phases ---- */

static void phase_begin(struct shard *zero, enum phase phase)
{
    struct broker *b = zero->broker;
    struct env *e = zero->env;
    b->phase = phase;
    b->waiting_for = phase == PHASE_END ? 0 : e->shard_count;
    for (uint32_t i = 0; i < e->shard_count; i++) {
        b->down[i] = (struct control){.msg.run = phase_run, .broker = b, .phase = phase};
        env_post(e, i, &b->down[i].msg);
    }
}

static void log_ready(const struct shard *zero)
{
    const struct broker *b = zero->broker;
    const struct broker_config *c = b->config;
    SHARD_LOG((struct shard *)(uintptr_t)zero, LOG_INFO, "broker.ready", LOG_STR("host", c->host),
              LOG_INT("port", b->port), LOG_STR("advertised", c->advertised_host), LOG_INT("node", c->node_id),
              LOG_STR("cluster", b->cluster_id), LOG_UINT("shards", zero->env->shard_count),
              LOG_UINT("topics", topic_index_count(zero->topics)));
}

static void say_listen_failed(struct shard *s)
{
    const struct broker_config *c = s->broker->config;
    snprintf(s->error, sizeof s->error,
             "listeners: %s:%u: %s; choose another address or port, or stop what listens there", c->host, c->port,
             status_text(s->status));
}

/* Before the registration, which names the port. Nobody is accepted yet. SO_REUSEPORT lets two brokers of one user
 * share a port without a word; the log directory's lock is what stops that. */
static void bind_first(struct shard *zero)
{
    struct broker *b = zero->broker;
    zero->status = listener_open(&zero->listener, zero, b->config->host, b->config->port, &b->port);
    if (zero->status == STATUS_OK) {
        phase_begin(zero, PHASE_METADATA);
        return;
    }
    say_listen_failed(zero);
    SHARD_LOG(zero, LOG_ERROR, "broker.failed", LOG_STR("phase", "listen"), LOG_STR("error", zero->error));
    b->failed = true;
    phase_begin(zero, PHASE_DRAIN);
}

static void http_stopped(struct shard *zero)
{
    zero->http = NULL;
    phase_begin(zero, PHASE_END);
}

static void phase_next(struct shard *zero)
{
    struct broker *b = zero->broker;
    bool stop = b->failed || b->stop_wanted;
    switch (b->phase) {
    case PHASE_OPEN:
        if (stop)
            phase_begin(zero, PHASE_DRAIN);
        else
            bind_first(zero);
        break;
    case PHASE_METADATA: phase_begin(zero, stop ? PHASE_DRAIN : PHASE_LISTEN); break;
    case PHASE_LISTEN:
        if (stop) {
            phase_begin(zero, PHASE_DRAIN);
            break;
        }
        b->phase = PHASE_SERVE;
        log_ready(zero);
        break;
    case PHASE_DRAIN: phase_begin(zero, PHASE_CLOSE); break;
    case PHASE_CLOSE: /* until now it has told how far the stop has come */
        if (zero->http != NULL)
            http_stop(zero->http, http_stopped);
        else
            phase_begin(zero, PHASE_END);
        break;
    case PHASE_SERVE:
    case PHASE_END: CHECK(false);
    }
}

static void phase_ended(struct env *e, struct msg *m)
{
    struct control *c = container_of(m, struct control, msg);
    struct broker *b = c->broker;
    struct shard *zero = e->user, *s = c->shard;
    if (s->status != STATUS_OK) {
        SHARD_LOG(zero, LOG_ERROR, "broker.failed", LOG_STR("phase", phase_name(c->phase)), LOG_STR("error", s->error));
        b->failed = true;
    }
    CHECK(b->waiting_for > 0 && c->phase == b->phase);
    if (--b->waiting_for == 0) phase_next(zero);
}

void shard_signal(struct env *e, int signo)
{
    struct shard *s = e->user;
    if (e->shard != 0 || signo == SIGHUP || s->broker->stop_wanted) return;
    s->broker->stop_wanted = true;
    SHARD_LOG(s, LOG_INFO, "broker.stop", LOG_INT("signal", signo));
    if (s->broker->phase == PHASE_SERVE) phase_begin(s, PHASE_DRAIN); /* else when the phase has ended */
}

/* ---- each shard ---- */

void shard_phase_done(struct shard *s)
{
    s->up.msg = (struct msg){.run = phase_ended};
    env_post(s->env, 0, &s->up.msg);
}

/* Port 0: shard 0's bind has found one by now. */
static void phase_listen(struct shard *s)
{
    const struct broker *b = s->broker;
    uint16_t port;
    if (s->env->shard != 0) s->status = listener_open(&s->listener, s, b->config->host, b->port, &port);
    if (s->status == STATUS_OK)
        listener_start(&s->listener);
    else
        say_listen_failed(s);
    shard_phase_done(s);
}

void shard_drained(struct shard *s)
{
    if (!s->draining || s->conn_count > 0 || listener_open_still(&s->listener)) return;
    s->draining = false;
    env_timer_stop(s->env, &s->drain_timer);
    shard_phase_done(s);
}

static void drain_late(struct timer *t)
{
    struct shard *s = container_of(t, struct shard, drain_timer);
    SHARD_LOG(s, LOG_WARN, "drain.late", LOG_UINT("connections", s->conn_count),
              LOG_STR("effect", "closed with answers that their peers did not take"));
    list_each (n, &s->conns) conn_close(container_of(n, struct conn, in_shard));
}

static void phase_drain(struct shard *s)
{
    s->status = STATUS_OK;
    s->draining = true;
    s->drain_timer.fire = drain_late;
    env_timer_start(s->env, &s->drain_timer, mono_add(s->env->now, DRAIN_NS));
    if (s->env->shard == 0) metadata_drain(s);
    listener_stop(&s->listener);
    list_each (n, &s->conns) conn_drain(container_of(n, struct conn, in_shard));
    shard_drained(s);
}

static void store_closed(struct store_close *op)
{
    struct shard *s = container_of(op, struct shard, close);
    s->store = NULL;
    s->status = op->status;
    if (s->status != STATUS_OK)
        snprintf(s->error, sizeof s->error, "%s: closed without a checkpoint: %s; nothing acknowledged is lost",
                 s->broker->config->log_dir, status_text(s->status));
    shard_phase_done(s);
}

static void close_store(struct shard *s)
{
    for (struct list_node *n; (n = list_first(&s->lanes)) != NULL;) {
        struct lane *l = container_of(n, struct lane, in_shard);
        lane_close(l);
        lane_free(l);
    }
    if (s->store == NULL) {
        shard_phase_done(s);
        return;
    }
    s->close.done = store_closed;
    store_close(s->store, &s->close);
}

static void phase_close(struct shard *s)
{
    if (s->intake != NULL) intake_stop(s->intake);
    if (s->env->shard == 0)
        metadata_close(s, close_store);
    else
        close_store(s);
}

static void phase_metadata(struct shard *s)
{
    if (s->env->shard == 0)
        metadata_open(s);
    else
        shard_phase_done(s); /* publications come as messages; shard 0 ends when all have taken the first one in */
}

static void phase_end(struct shard *s)
{
    struct env *e = s->env;
    env_timer_stop(e, &s->starved_timer);
    env_hook_remove(e, &s->hook);
    if (s->intake != NULL) intake_destroy(s->intake);
    topic_index_destroy(s->topics);
    settings_deinit(&s->settings, e->mem);
    if (s->fetch_sessions.slots != NULL) fetch_sessions_deinit(&s->fetch_sessions);
    shard_metrics_deinit(s);
    mem_free(e->mem, MEM_CONTROL, s, sizeof *s);
    e->user = NULL;
    env_stop(e);
}

static void phase_run(struct env *e, struct msg *m)
{
    const struct control *c = container_of(m, struct control, msg);
    struct shard *s = e->user;
    s->up.phase = c->phase;
    switch (c->phase) {
    case PHASE_OPEN: shard_open(s); break;
    case PHASE_METADATA: phase_metadata(s); break;
    case PHASE_LISTEN: phase_listen(s); break;
    case PHASE_DRAIN: phase_drain(s); break;
    case PHASE_CLOSE: phase_close(s); break;
    case PHASE_END: phase_end(s); break;
    case PHASE_SERVE: CHECK(false);
    }
}

/* The batching pass: each connection to which something happened, once more as long as that makes things happen. */
static void turn(struct turn_hook *h)
{
    struct shard *s = container_of(h, struct shard, hook);
    for (struct list_node *n; (n = list_pop_front(&s->sending)) != NULL;)
        conn_send(container_of(n, struct conn, in_sending));
    coordinators_flush(s);
}

static void starved_fire(struct timer *t)
{
    struct shard *s = container_of(t, struct shard, starved_timer);
    conns_feed(s);
    if (!list_empty(&s->starved)) env_timer_start(s->env, t, mono_add(s->env->now, 5 * NS_PER_MS));
}

static void say_ignored(const struct config_key *k, void *arg)
{
    struct shard *s = arg;
    SHARD_LOG(s, LOG_WARN, "config.ignored", LOG_STR("key", k->name), LOG_STR("why", k->doc));
}

static void lead(struct shard *zero)
{
    SHARD_LOG(zero, LOG_INFO, "broker.start", LOG_STR("version", LEAT_VERSION),
              LOG_STR("directory", zero->broker->config->log_dir), LOG_STR("probe", zero->broker->probe),
              LOG_UINT("connections_max", zero->broker->config->connections_max));
    config_each_ignored(zero->broker->source, say_ignored, zero);
    zero->broker->started = zero->env->now_wall;
    if (http_open(zero, &zero->http, zero->error) == STATUS_OK) {
        phase_begin(zero, PHASE_OPEN);
        return;
    }
    SHARD_LOG(zero, LOG_ERROR, "broker.failed", LOG_STR("phase", "http"), LOG_STR("error", zero->error));
    zero->broker->failed = true;
    phase_begin(zero, PHASE_DRAIN);
}

void shard_start(struct env *e, void *broker)
{
    struct shard *s = mem_zalloc(e->mem, MEM_CONTROL, sizeof *s);
    CHECK(s != NULL); /* the first allocation; leat.memory.bytes has a lower bound */
    s->env = e;
    s->broker = broker;
    s->up = (struct control){.broker = broker, .shard = s};
    log_init(&s->log, s->broker->sink, NULL, LOG_INFO, e->shard);
    CHECK(shard_metrics_init(s));
    list_init(&s->lanes);
    list_init(&s->group_hosts);
    list_init(&s->dirty_coordinators);
    list_init(&s->conns);
    list_init(&s->sending);
    list_init(&s->starved);
    s->listener.sock = -1;
    s->starved_timer.fire = starved_fire;
    s->hook.run = turn;
    env_hook_add(e, &s->hook);
    e->user = s;
    if (e->shard == 0) lead(s);
}

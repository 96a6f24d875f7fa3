// SPDX-License-Identifier: Apache-2.0
/* A round over all shards (scrape.h).
 *
 * Path: scrape_start posts a visit to each shard, itself included, and asks env what the process uses -> each shard
 * fills its samples and posts the visit back -> with the last one, and what the process uses or after a while without
 * it, the samples of the process are filled -> done.
 * Failure modes: a shard without memory says so in its visit. A shard that hangs keeps the round open: the owner looks
 * at the clock. */
#include "broker/scrape.h"
#include "broker/shard_metrics.h"

static void add(struct scrape *c, const struct metric *m, double value)
{
    samples_value(c->own, m, NULL, 0, value);
}

static void add_process(struct scrape *c)
{
    static const struct metric cpu = {METRIC_COUNTER, "leat_process_cpu_seconds_total",
                                      "CPU time of all threads, user and system.", NULL};
    static const struct metric resident = {METRIC_GAUGE, "leat_process_resident_memory_bytes", "Memory in RAM.", NULL};
    static const struct metric size = {METRIC_GAUGE, "leat_process_virtual_memory_bytes",
                                       "Address space, mostly not in RAM.", NULL};
    static const struct metric files = {METRIC_GAUGE, "leat_process_open_fds", "Open descriptors.", NULL};
    static const struct metric files_max = {METRIC_GAUGE, "leat_process_max_fds", "Limit of open descriptors.", NULL};
    add(c, &cpu, (double)c->known.cpu_ns / NS_PER_S);
    add(c, &resident, (double)c->known.resident_bytes);
    add(c, &size, (double)c->known.virtual_bytes);
    add(c, &files, (double)c->known.files_open);
    add(c, &files_max, (double)c->known.files_max);
}

static void add_broker(struct scrape *c)
{
    static const struct metric info = {METRIC_GAUGE, "leat_build_info", "Always 1; the labels say what runs.", NULL};
    static const struct metric start = {METRIC_GAUGE, "leat_process_start_time_seconds",
                                        "When the broker started, since 1970.", NULL};
    static const struct metric ready = {METRIC_GAUGE, "leat_ready", "1 while clients are served.", NULL};
    static const struct metric fenced = {METRIC_GAUGE, "leat_disk_fenced",
                                         "1 after a failed write or flush: nothing is acknowledged any more.", NULL};
    static const struct metric space = {METRIC_GAUGE, "leat_disk_free_bytes",
                                        "Free space of the log directory's file system.", NULL};
    static const struct metric_label version = {"version", LEAT_VERSION};
    const struct broker *b = c->zero->broker;
    uint64_t free_bytes = atomic_load(&b->disk.free_bytes);
    samples_value(c->own, &info, &version, 1, 1);
    add(c, &start, (double)b->started.v / 1000);
    add(c, &ready, b->phase == PHASE_SERVE);
    add(c, &fenced, disk_fenced(&b->disk));
    if (free_bytes != UINT64_MAX) add(c, &space, (double)free_bytes);
}

static void fill_own(struct scrape *c)
{
    samples_reset(c->own);
    add_broker(c);
    if (c->usage_known) add_process(c);
    enum status s = samples_seal(c->own);
    if (s != STATUS_OK) c->visits[0].status = s;
}

static void finish(struct scrape *c)
{
    env_timer_stop(c->zero->env, &c->patience);
    c->running = false;
    if (c->values) fill_own(c);
    c->done(c);
}

static void look(struct scrape *c)
{
    struct env *e = c->zero->env;
    struct mono_ns until = mono_add(c->begun, SCRAPE_USAGE_NS);
    if (!c->running || c->away > 0) return;
    if (c->values && c->usage.in_flight && e->now.v < until.v)
        env_timer_start(e, &c->patience, until);
    else
        finish(c);
}

static void patience_fire(struct timer *t)
{
    look(container_of(t, struct scrape, patience));
}

static void usage_done(struct io_op *op)
{
    struct scrape *c = container_of(op, struct scrape, usage);
    c->usage_known = op->status == STATUS_OK;
    c->known = c->asked;
    look(c);
}

static void come_back(struct env *to, struct msg *m)
{
    struct visit *v = container_of(m, struct visit, msg);
    CHECK(to->shard == 0 && v->away);
    CHECK(v->scrape->away > 0);
    v->away = false;
    v->scrape->away--;
    look(v->scrape);
}

static void visit_run(struct env *at, struct msg *m)
{
    struct visit *v = container_of(m, struct visit, msg);
    struct shard *s = at->user;
    v->status = v->values ? shard_metrics_sample(s) : STATUS_OK;
    v->samples = s->samples;
    v->msg = (struct msg){.run = come_back};
    env_post(at, 0, &v->msg);
}

bool scrape_init(struct scrape *c, struct shard *zero, void (*done)(struct scrape *c))
{
    CHECK(zero->env->shard == 0 && zero->env->shard_count <= BROKER_SHARDS_MAX);
    *c = (struct scrape){.zero = zero, .done = done, .patience.fire = patience_fire};
    c->own = samples_create(zero->env->mem, MEM_FETCH);
    return c->own != NULL;
}

void scrape_deinit(struct scrape *c)
{
    CHECK(scrape_quiet(c));
    samples_destroy(c->own);
}

void scrape_start(struct scrape *c, bool values)
{
    struct env *e = c->zero->env;
    CHECK(!scrape_running(c));
    c->running = true;
    c->values = values;
    c->begun = e->now;
    c->away = e->shard_count;
    for (uint32_t i = 0; i < e->shard_count; i++) {
        c->visits[i] = (struct visit){.msg.run = visit_run, .scrape = c, .away = true, .values = values};
        env_post(e, i, &c->visits[i].msg);
    }
    if (!values || c->usage.in_flight) return;
    c->usage = (struct io_op){.kind = IO_PROCESS, .data = &c->asked, .done = usage_done};
    env_submit(e, &c->usage);
}

bool scrape_running(const struct scrape *c)
{
    return c->running;
}

bool scrape_quiet(const struct scrape *c)
{
    return !c->running && !c->usage.in_flight;
}

uint32_t scrape_missing(const struct scrape *c)
{
    uint32_t i = 0;
    CHECK(c->running && c->away > 0);
    while (!c->visits[i].away) i++;
    return i;
}

enum status scrape_print(const struct scrape *c, char *out, size_t capacity, size_t *ret_size)
{
    const struct samples *sets[BROKER_SHARDS_MAX + 1];
    uint32_t n = c->zero->env->shard_count;
    CHECK(!scrape_running(c) && c->values);
    for (uint32_t i = 0; i < n; i++) {
        if (c->visits[i].status != STATUS_OK) return c->visits[i].status;
        sets[i] = c->visits[i].samples;
    }
    sets[n] = c->own;
    return samples_print(sets, n + 1, out, capacity, ret_size);
}

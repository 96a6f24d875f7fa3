// SPDX-License-Identifier: Apache-2.0
/* See broker_world.h. What main.c does around the shards (configuration, log directory, signals) is done here; all else
 * is the broker's own code. */
#include "tests/sim/broker_world.h"

#include "base/bytes.h"
#include "base/trace.h"
#include <signal.h>
#include <stdarg.h>

#define CONFIG_MEMORY_BYTES ((uint64_t)1 << 30)

static struct broker_world *current; /* for the log's sink, which is told nothing */

/* ---- what is said ---- */

static void sink(void *arg, enum log_level level, const char *line, size_t size)
{
    (void)arg, (void)level;
    struct broker_world *w = current;
    snprintf(w->log[w->log_at++ % WORLD_LOG_LINES], sizeof w->log[0], "%.*s", (int)size, line);
    if (w->trace) printf("%12.6f | %.*s", (double)sim_now(w->sim) / 1e9, (int)size, line);
}

void broker_world_say(struct broker_world *w, const char *format, ...)
{
    va_list args;
    if (!w->trace) return;
    printf("%12.6f ", (double)sim_now(w->sim) / 1e9);
    va_start(args, format);
    (void)vprintf(format, args);
    va_end(args);
    printf("\n");
}

_Noreturn void broker_world_broken(struct broker_world *w, const char *file, int line)
{
    printf("\n%s:%d, seed %llu, at %.6f s of the world; the broker's last lines:\n", file, line,
           (unsigned long long)w->seed, (double)sim_now(w->sim) / 1e9);
    for (uint32_t i = w->log_at > 12 ? w->log_at - 12 : 0; i < w->log_at; i++)
        printf("  %s%s", w->log[i % WORLD_LOG_LINES], strchr(w->log[i % WORLD_LOG_LINES], '\n') != NULL ? "" : "\n");
    printf("again: broker_seeds --seed %llu --trace\n", (unsigned long long)w->seed);
    (void)fflush(stdout);
    exit(1);
}

uint64_t broker_world_roll(struct broker_world *w, uint64_t n)
{
    return sim_random(w->sim) % n;
}

/* ---- life of the world ---- */

static void configure(struct broker_world *w, const char *const *options)
{
    static const char *const always[] = {"listeners=PLAINTEXT://" BROKER_ADDRESS, "log.dirs=/data",
                                         "leat.http.listener=none", "auto.create.topics.enable=false"};
    struct config_error error;
    char sentence[512];
    w->mem = mem_create(CONFIG_MEMORY_BYTES);
    w->source = config_create(w->mem, broker_keys, broker_key_count);
    CHECK(w->source != NULL);
    for (size_t i = 0; i < COUNT_OF(always); i++) CHECK_OK(config_option(w->source, always[i], &error));
    for (; *options != NULL; options++)
        BROKER_MUST(w, config_option(w->source, *options, &error) == STATUS_OK, "%s", error.text);
    BROKER_MUST(w, broker_config_read(w->source, "10.0.0.1", &w->config, sentence) == STATUS_OK, "%s", sentence);
}

void broker_world_init(struct broker_world *w, const struct broker_world_config *c)
{
    *w = (struct broker_world){.seed = c->seed, .trace = c->trace};
    current = w;
    w->sim = sim_create(&(struct sim_config){.seed = c->seed});
    configure(w, c->options);
    w->server = sim_machine_create(w->sim, "10.0.0.1", &c->machine);
    w->clients = sim_machine_create(w->sim, "10.0.0.2", NULL);
    CHECK_OK(sim_dir_make(w->server, "/data"));
}

void broker_world_deinit(struct broker_world *w)
{
    sim_destroy(w->sim);
    config_destroy(w->source);
    mem_destroy(w->mem);
    current = NULL;
}

void broker_world_pass(struct broker_world *w, int64_t ns)
{
    sim_run_until(w->sim, sim_now(w->sim) + ns);
}

/* ---- life of the broker ---- */

static void start(struct env *e, void *arg)
{
    struct broker_world *w = arg;
    shard_start(e, &w->broker);
}

/* A shard has called env_stop: as in env_uring.c, what the loop itself holds goes, and then nothing may be left. */
static void ended(struct env *e, void *arg)
{
    struct broker_world *w = arg;
    BROKER_MUST(w, e->ops_in_flight == 0 && e->timers == NULL && list_empty(&e->hooks) && list_empty(&e->completed),
                "shard %u ends with %u operations, timers or hooks", e->shard, e->ops_in_flight);
    runner_destroy(e->runner);
    trace_destroy(e->trace);
    for (int c = 0; c < MEM_CLASSES; c++)
        BROKER_MUST(w, mem_used(e->mem, c) == 0, "shard %u ends with %llu bytes of class %s", e->shard,
                    (unsigned long long)mem_used(e->mem, c), mem_class_name(c));
    w->stopped = sim_now(w->sim);
}

void broker_world_boot(struct broker_world *w, uint32_t shards)
{
    CHECK(shards > 0 && shards <= WORLD_SHARDS && !sim_running(w->server));
    w->shards = w->config.shards = shards;
    w->broker = (struct broker){.config = &w->config, .source = w->source, .sink = sink, .probe = "simulated"};
    disk_init(&w->broker.disk);
    w->stop_asked = false;
    w->booted = sim_now(w->sim);
    w->count.boots++;
    broker_world_say(w, "boot, %u shards", shards);
    sim_on_exit(w->server, ended, w);
    sim_boot(w->server, shards, start, w);
}

void broker_world_kill(struct broker_world *w, enum sim_kill how)
{
    broker_world_say(w, how == SIM_POWER ? "power cut" : "kill");
    if (how == SIM_POWER)
        w->count.power_cuts++;
    else
        w->count.kills++;
    sim_kill(w->server, how);
}

void broker_world_stop(struct broker_world *w)
{
    broker_world_say(w, "stop");
    if (w->stop_asked || sim_env(w->server, 0)->user == NULL) return;
    w->stop_asked = true;
    shard_signal(sim_env(w->server, 0), SIGTERM);
    sim_nudge(w->server, 0);
}

bool broker_world_serves(const struct broker_world *w)
{
    return sim_running(w->server) && w->broker.phase == PHASE_SERVE;
}

static bool serves_or_ended(void *arg)
{
    const struct broker_world *w = arg;
    return broker_world_serves(w) || !sim_running(w->server);
}

bool broker_world_wait_serves(struct broker_world *w)
{
    bool came = sim_run_while_not(w->sim, serves_or_ended, w, w->booted + START_LIMIT_NS);
    BROKER_MUST(w, came, "the start hangs in phase %s", phase_name(w->broker.phase));
    return broker_world_serves(w);
}

static bool has_ended(void *arg)
{
    const struct broker_world *w = arg;
    return !sim_running(w->server);
}

void broker_world_wait_end(struct broker_world *w, bool stalled)
{
    int64_t limit = STOP_LIMIT_NS + (stalled ? STALL_LIMIT_NS : 0);
    bool came = sim_run_while_not(w->sim, has_ended, w, sim_now(w->sim) + limit);
    BROKER_MUST(w, came, "the stop hangs in phase %s", phase_name(w->broker.phase));
}

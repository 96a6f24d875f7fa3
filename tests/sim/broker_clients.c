// SPDX-License-Identifier: Apache-2.0
/* All clients of a world: beginning, end, the last look at everything (broker_clients.h). */
#include "tests/sim/broker_clients.h"

#include "base/bytes.h"

#define LOOK_NS (60 * NS_PER_S) /* at one partition, at one topic's settings */

static void start(struct env *e, void *arg)
{
    struct clients *c = arg;
    c->env = e;
    client_admin_init(&c->admin, c);
    for (uint32_t i = 0; i < c->producer_count; i++) producer_init(&c->producers[i], c, i);
    for (uint32_t i = 0; i < c->consumer_count; i++) consumer_init(&c->consumers[i], c, i);
}

void clients_start(struct clients *c, struct broker_world *w, struct broker_check *check, uint32_t producers,
                   uint32_t consumers, uint32_t topics_wanted)
{
    CHECK(producers <= PRODUCERS_MAX && consumers < CONSUMERS_MAX); /* one more for clients_read_all */
    *c = (struct clients){.world = w,
                          .check = check,
                          .producer_count = producers,
                          .consumer_count = consumers,
                          .topics_wanted = topics_wanted};
    sim_boot(w->clients, 1, start, c);
}

void clients_stop(struct clients *c)
{
    sim_kill(c->world->clients, SIM_KILL);
    for (uint32_t i = 0; i < c->producer_count; i++) producer_deinit(&c->producers[i]);
    for (uint32_t i = 0; i <= c->consumer_count; i++) consumer_deinit(&c->consumers[i]);
    client_admin_deinit(&c->admin);
}

bool clients_quiet(const struct clients *c)
{
    for (uint32_t i = 0; i < c->producer_count; i++)
        if (!producer_quiet(&c->producers[i])) return false;
    return c->admin.kind == ADMIN_NONE;
}

static bool finished(void *arg)
{
    return ((const struct consumer *)arg)->finished;
}

static void read_whole(struct clients *c, struct consumer *r, struct check_partition *p)
{
    r->parts[0] = (struct read_part){.partition = p, .at = -1, .told = -1};
    r->count = 1;
    r->finished = false;
    env_timer_start(c->env, &r->next, c->env->now);
    sim_nudge(c->world->clients, 0);
    bool came = sim_run_while_not(c->world->sim, finished, r, sim_now(c->world->sim) + LOOK_NS);
    BROKER_MUST(c->world, came, "%s-%d cannot be read to its end: at %lld", p->topic->name, p->number,
                (long long)r->parts[0].at);
    check_whole(c->check, p, r->start, r->parts[0].at);
}

static bool admin_idle(void *arg)
{
    return ((const struct client_admin *)arg)->kind == ADMIN_NONE;
}

static void look(struct clients *c, enum admin_kind kind, struct check_topic *t)
{
    struct client_admin *a = &c->admin;
    CHECK(a->kind == ADMIN_NONE);
    a->kind = kind;
    a->topic = t;
    env_timer_start(c->env, &a->next, c->env->now);
    sim_nudge(c->world->clients, 0);
    bool came = sim_run_while_not(c->world->sim, admin_idle, a, sim_now(c->world->sim) + LOOK_NS);
    BROKER_MUST(c->world, came, "topics and settings cannot be looked at");
}

void clients_read_all(struct clients *c)
{
    struct consumer *r = &c->consumers[c->consumer_count];
    if (r->clients == NULL) consumer_init(r, c, c->consumer_count);
    r->whole = r->finished = true;
    r->sessions = false;
    look(c, ADMIN_LIST, NULL);
    for (uint32_t i = 0; i < c->check->topic_count; i++) {
        struct check_topic *t = c->check->topics[i];
        if (t->fate != TOPIC_THERE) continue;
        look(c, ADMIN_DESCRIBE, t);
        for (int32_t p = 0; p < t->partitions; p++) read_whole(c, r, &t->parts[p]);
    }
}

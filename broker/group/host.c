// SPDX-License-Identifier: Apache-2.0
/* Hosts of groups (host.h).
 *
 * Path: a part arrives -> a step of the machine -> settle: answered calls wait for their records, groups whose deadline
 * has moved get their timer; the same after a timer and after a change of topics.
 *
 * Failure modes: a step that fails (no memory) fails the coordinator; calls that it answered go out with an error,
 * since what they say may not be in the log. */
#include "broker/group/host.h"
#include "broker/conn.h"
#include "broker/lane.h"
#include "broker/shard.h"

#define ANSWER_BYTES_MAX ((size_t)16 << 20) /* of one call */

static void settle(struct group_host *h);

static struct group_host *host_of(struct coordinator *c)
{
    return container_of(c, struct group_host, coordinator);
}

static struct group_host *find(const struct shard *s, struct topic_id id, int32_t number)
{
    const struct lane *l = shard_lane(s, id, number);
    return l != NULL ? l->host : NULL;
}

static void set_clock(struct group_host *h)
{
    h->groups.dynamic = h->shard->settings.dynamic;
    h->groups.now = h->shard->env->now;
    h->groups.wall = h->shard->env->now_wall;
}

/* ---- the coordinator's side ---- */

static enum status put(struct group_sink *s, struct bytes key, struct bytes value)
{
    return coordinator_put(&container_of(s, struct group_host, sink)->coordinator, key, value);
}

static void dropped(struct group_sink *s, struct group *g)
{
    struct group_host *h = container_of(s, struct group_host, sink);
    env_timer_stop(h->shard->env, &g->timer);
}

static enum status apply(struct coordinator *c, struct bytes key, struct bytes value)
{
    return groups_apply(&host_of(c)->groups, key, value);
}

static void expire(struct timer *t)
{
    struct group_host *h = container_of(t, struct group_host, expiry);
    struct env *e = h->shard->env;
    env_timer_start(e, t, mono_add(e->now, h->groups.settings->check_ms * NS_PER_MS));
    if (h->coordinator.state != COORDINATOR_ACTIVE) return;
    set_clock(h);
    groups_expire(&h->groups);
    settle(h);
}

static void loaded(struct coordinator *c)
{
    struct group_host *h = host_of(c);
    set_clock(h);
    groups_loaded(&h->groups);
    settle(h);
}

static void send_home(struct coordinator_waiter *w, enum status status)
{
    struct group_part *p = container_of(w, struct group_part, waiter);
    if (status != STATUS_OK)
        p->call.error = status == STATUS_NOT_LEADER ? KAFKA_NOT_COORDINATOR : KAFKA_COORDINATOR_NOT_AVAILABLE;
    p->host = NULL;
    part_return(&p->part);
}

static void take_answers(struct group_host *h)
{
    for (struct list_node *n; (n = list_pop_front(&h->groups.answered)) != NULL;) {
        struct group_part *p = container_of(n, struct group_part, call.in_answered);
        p->waiter.done = send_home;
        coordinator_wait(&h->coordinator, &p->waiter);
    }
}

static void reset(struct coordinator *c)
{
    struct group_host *h = host_of(c);
    struct env *e = h->shard->env;
    groups_stop(&h->groups);
    take_answers(h);
    groups_deinit(&h->groups);
    groups_init(&h->groups, e->mem, &h->shard->broker->config->groups, h->shard->topics, &h->sink, env_random(e));
}

static const struct coordinator_ops group_ops = {.name = "groups", .apply = apply, .loaded = loaded, .reset = reset};

/* ---- after a step ---- */

static void tick(struct timer *t)
{
    struct group *g = container_of(t, struct group, timer);
    struct group_host *h = container_of(g->groups, struct group_host, groups);
    if (h->coordinator.state != COORDINATOR_ACTIVE) return;
    set_clock(h);
    groups_tick(&h->groups, g);
    settle(h);
}

static void settle(struct group_host *h)
{
    struct groups *gs = &h->groups;
    struct env *e = h->shard->env;
    if (gs->status != STATUS_OK) coordinator_fail(&h->coordinator, gs->status);
    take_answers(h);
    for (struct list_node *n; (n = list_pop_front(&gs->rearm)) != NULL;) {
        struct group *g = container_of(n, struct group, in_rearm);
        env_timer_stop(e, &g->timer);
        g->timer.fire = tick;
        if (g->deadline.v != NEVER.v) env_timer_start(e, &g->timer, g->deadline);
    }
}

/* ---- life ---- */

void group_host_open(struct shard *s, struct lane *l)
{
    struct group_host *h = mem_zalloc(s->env->mem, MEM_CONTROL, sizeof *h);
    if (h == NULL) {
        SHARD_LOG(s, LOG_ERROR, "coordinator.no_memory", LOG_INT("partition", partition_number(l->partition)));
        return;
    }
    h->shard = s;
    h->sink = (struct group_sink){.put = put, .dropped = dropped};
    groups_init(&h->groups, s->env->mem, &s->broker->config->groups, s->topics, &h->sink, env_random(s->env));
    l->host = h;
    list_push_back(&s->group_hosts, &h->in_shard);
    h->expiry.fire = expire;
    env_timer_start(s->env, &h->expiry, mono_add(s->env->now, h->groups.settings->check_ms * NS_PER_MS));
    coordinator_open(&h->coordinator, &group_ops, s, l);
}

static void closed(struct coordinator *c)
{
    struct group_host *h = host_of(c);
    struct shard *s = h->shard;
    groups_deinit(&h->groups);
    list_remove(&h->in_shard);
    mem_free(s->env->mem, MEM_CONTROL, h, sizeof *h);
}

void group_host_close(struct shard *s, struct lane *l)
{
    struct group_host *h = l->host;
    if (h == NULL) return;
    l->host = NULL;
    env_timer_stop(s->env, &h->expiry);
    coordinator_close(&h->coordinator, closed);
}

void group_hosts_topic(struct shard *s, const struct image_topic *old, const struct image_topic *new)
{
    struct str name = new != NULL ? new->name : old->name;
    /* a new setting or leader is nothing to a group */
    if (old != NULL && new != NULL && old->partition_count == new->partition_count) return;
    list_each (n, &s->group_hosts) {
        struct group_host *h = container_of(n, struct group_host, in_shard);
        if (h->coordinator.state != COORDINATOR_ACTIVE) continue;
        set_clock(h);
        groups_topics_changed(&h->groups, name);
        if (new == NULL) groups_topic_gone(&h->groups, name);
        settle(h);
    }
}

/* ---- parts ---- */

static void fail(struct group_part *p, int16_t error)
{
    p->call.error = error;
    part_return(&p->part);
}

static void run(struct part *part)
{
    struct group_part *p = container_of(part, struct group_part, part);
    struct shard *s = part->at;
    struct group_host *h = find(s, p->topic, p->number);
    arena_init(&p->arena, s->env->mem, MEM_CONTROL, ANSWER_BYTES_MAX);
    if (h == NULL) {
        fail(p, KAFKA_NOT_COORDINATOR);
        return;
    }
    if (h->coordinator.state != COORDINATOR_ACTIVE) {
        fail(p, KAFKA_COORDINATOR_LOAD_IN_PROGRESS);
        return;
    }
    p->host = h;
    p->call.arena = &p->arena;
    set_clock(h);
    groups_call(&h->groups, &p->call);
    settle(h);
}

static void back(struct part *part)
{
    request_part_back(container_of(part, struct group_part, part)->request);
}

void group_send_to(struct request *r, struct group_part *p, const struct image_topic *t, int32_t number)
{
    p->request = r;
    p->topic = image_topic_id(t);
    p->number = number;
    p->part.run = run;
    p->part.back = back;
    p->sent = true;
    r->parts_out++;
    part_send(&p->part, r->shard, shard_of(r->shard, t, number));
}

void group_send(struct request *r, struct group_part *p)
{
    const struct image_topic *t = topic_index_by_name(r->shard->topics, STR(GROUP_TOPIC));
    if (t == NULL)
        p->call.error = KAFKA_COORDINATOR_NOT_AVAILABLE;
    else
        group_send_to(r, p, t, group_partition(p->call.group_id, (int32_t)t->partition_count));
}

static void cancel_back(struct env *to, struct msg *m)
{
    struct group_part *p = container_of(m, struct group_part, cancel);
    CHECK(to == p->request->shard->env);
    request_part_back(p->request);
}

/* On the owner. A call that is on its way home, or waits for its records, comes by itself. */
static void cancel_here(struct group_part *p)
{
    struct group_host *h = p->host;
    if (h == NULL || !groups_cancel(&h->groups, &p->call)) return;
    p->host = NULL;
    fail(p, KAFKA_NOT_COORDINATOR);
}

static void cancel_arrives(struct env *to, struct msg *m)
{
    struct group_part *p = container_of(m, struct group_part, cancel);
    cancel_here(p);
    p->cancel.run = cancel_back;
    env_post(to, p->part.home, &p->cancel);
}

void group_cancel(struct group_part *p)
{
    struct request *r = p->request;
    if (!p->sent || p->canceling) return;
    p->canceling = true;
    if (p->part.owner == p->part.home) {
        cancel_here(p);
        return;
    }
    r->parts_out++;
    p->cancel = (struct msg){.run = cancel_arrives};
    env_post(r->shard->env, p->part.owner, &p->cancel);
}

/* ---- the answer's memory ---- */

static void released(struct part *part)
{
    struct request *r = container_of(part, struct group_part, part)->request;
    if (--r->parts_out == 0) request_released(r);
}

static void free_answer(struct part *part)
{
    arena_deinit(&container_of(part, struct group_part, part)->arena);
    part_return(part);
}

void group_release(struct request *r, struct group_part *parts, uint32_t count)
{
    r->parts_out = 1;
    for (uint32_t i = 0; i < count; i++) {
        struct group_part *p = &parts[i];
        if (!p->sent || p->arena.chunks == NULL) continue;
        p->part.run = free_answer;
        p->part.back = released;
        r->parts_out++;
        part_send(&p->part, r->shard, p->part.owner);
    }
    if (--r->parts_out == 0) request_released(r);
}

/* ---- where a group lives ---- */

/* One UTF-16 unit more. */
static uint32_t hash_unit(uint32_t h, uint32_t unit)
{
    return h * 31 + unit;
}

int32_t group_partition(struct str id, int32_t partitions)
{
    const uint8_t *p = (const uint8_t *)id.data, *end = p + id.len;
    uint32_t h = 0;
    while (p < end) { /* malformed UTF-8 counts byte by byte: any rule will do that is always the same */
        uint32_t c = *p++;
        uint32_t more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : c >= 0xc0 ? 1 : 0;
        if (more == 0 || (size_t)(end - p) < more) {
            h = hash_unit(h, c);
            continue;
        }
        c &= 0x3fu >> more;
        for (uint32_t i = 0; i < more; i++) c = c << 6 | (*p++ & 0x3fu);
        if (c >= 0x10000) {
            h = hash_unit(h, 0xd800 + ((c - 0x10000) >> 10));
            c = 0xdc00 + ((c - 0x10000) & 0x3ff);
        }
        h = hash_unit(h, c);
    }
    uint32_t magnitude = h <= INT32_MAX ? h : h == 0x80000000u ? 0 : -h; /* Kafka's abs: of the least value it is 0 */
    return (int32_t)(magnitude % (uint32_t)partitions);
}

// SPDX-License-Identifier: Apache-2.0
/* Consumer groups under random members: some behave, some lose answers, cling to what they have, come back as others,
 * ask for nonsense or fall silent; topics come, grow and go; the coordinator restarts. Seed after seed:
 *
 *   G2      no partition is with two members at once, as the members themselves see it
 *   G1      the epoch of a group and of a member never goes back
 *   once    every call is answered once; all that stands in the log, and in an order that Kafka's replay takes
 *   replay  the log says what the machine knows
 *   goal    when all behave, soon everybody has what it shall have and nothing is left over
 *
 * Some members speak the classic protocol (cooperative: they keep what they have while they join again). The policy
 * allows no downgrade here, so the group stays a consumer group; group_migrate_test has the ways to and fro.
 *
 * A failing seed is printed; GROUP_SEED=n runs that one alone, GROUP_SEEDS=n more of them. */
#include "broker/group/consumer_embedded.h"
#include "protocol/cursor.h"
#include "protocol/msg_consumer_protocol_assignment.h"
#include "protocol/msg_heartbeat.h"
#include "protocol/msg_join_group.h"
#include "protocol/msg_sync_group.h"
#include "tests/unit/consumer_world.h"
#include <stdio.h>
#include <stdlib.h>

#define CLIENTS 7
#define TOPICS  5
#define OPS     200

static const char *const topic_names[TOPICS] = {"ta", "tb", "tc", "x", "xy"};
static const char *const regexes[] = {"t.*", "t[ab]|x", "x", "(t|x)y?", "none"};

struct client {
    bool in, clings; /* clings: never gives up what it has */
    bool classic;    /* speaks the classic protocol */
    bool lost;       /* an answer: it says all again, so that it is told all again */
    uint32_t names;  /* bits: topics that it subscribes to */
    const char *regex;
    char id[24], instance[8];
    int32_t epoch;
    uint32_t has[TOPICS];  /* bits: partitions that it works on */
    uint32_t told[TOPICS]; /* what the last answer said */
};

static struct client clients[CLIENTS];
static uint32_t partitions[TOPICS]; /* 0: the topic is not there */
static struct prng r;
static uint64_t seed, ids;
static int32_t group_epoch;

static bool chance(uint64_t percent)
{
    return prng_chance(&r, percent, 100);
}

static uint64_t below(uint64_t n)
{
    return prng_below(&r, n);
}

/* ---- what must hold ---- */

static struct consumer_member *member_of(const struct client *c)
{
    const struct group *g = world_group();
    if (!c->in || g == NULL || g->type != GROUP_CONSUMER) return NULL;
    struct consumer_member *m = consumer_find(g->consumer, (struct str){c->id, (int32_t)strlen(c->id)});
    return m != NULL && m->epoch != EPOCH_LEAVE_STATIC ? m : NULL;
}

static void check(void)
{
    const struct group *g = world_group();
    uint32_t taken[TOPICS] = {0};
    for (uint32_t i = 0; i < CLIENTS; i++) {
        if (member_of(&clients[i]) == NULL) continue; /* fenced, though it may not know yet */
        for (uint32_t t = 0; t < TOPICS; t++) {
            CHECK((taken[t] & clients[i].has[t]) == 0); /* G2 */
            taken[t] |= clients[i].has[t];
        }
    }
    if (g == NULL || g->type != GROUP_CONSUMER) {
        group_epoch = 0;
        return;
    }
    CHECK(g->consumer->epoch >= group_epoch && g->consumer->assignment_epoch <= g->consumer->epoch);
    group_epoch = g->consumer->epoch;
}

/* ---- a client ---- */

struct words { /* a request with what it points to */
    struct consumer_group_heartbeat_request q;
    struct str names[TOPICS];
    struct consumer_group_heartbeat_request_topic_partition has[TOPICS];
    int32_t numbers[TOPICS][32];
};

static struct str text(const char *s)
{
    return (struct str){s, (int32_t)strlen(s)};
}

static void begin_request(struct words *w, const struct client *c, int32_t epoch)
{
    memset(w, 0, sizeof *w);
    consumer_group_heartbeat_request_init(&w->q);
    w->q.group_id = STR(WORLD_GROUP);
    w->q.member_id = text(c->id);
    w->q.instance_id = c->instance[0] != '\0' ? text(c->instance) : STR_NULL;
    w->q.member_epoch = epoch;
    w->q.subscribed_topic_names_count = w->q.topic_partitions_count = -1;
}

static void say_what_it_has(struct words *w, const uint32_t has[TOPICS])
{
    w->q.topic_partitions = w->has;
    w->q.topic_partitions_count = 0;
    for (uint32_t t = 0; t < TOPICS; t++) {
        if (has[t] == 0) continue;
        struct consumer_group_heartbeat_request_topic_partition *p = &w->has[w->q.topic_partitions_count++];
        *p =
            (struct consumer_group_heartbeat_request_topic_partition){world_topic_id(topic_names[t]), w->numbers[t], 0};
        for (int32_t i = 0; i < 32; i++)
            if (has[t] >> i & 1) w->numbers[t][p->partitions_count++] = i;
    }
}

static void say_subscription(struct words *w, const struct client *c)
{
    w->q.subscribed_topic_names = w->names;
    w->q.subscribed_topic_names_count = 0;
    for (uint32_t t = 0; t < TOPICS; t++)
        if (c->names >> t & 1) w->names[w->q.subscribed_topic_names_count++] = text(topic_names[t]);
    w->q.subscribed_topic_regex = text(c->regex);
}

static void subscribe(struct words *w, struct client *c)
{
    bool by_regex = chance(25);
    c->names = 0;
    for (uint32_t t = 0; t < TOPICS; t++)
        if (chance(by_regex ? 15 : 60)) c->names |= 1u << t;
    c->regex = by_regex ? regexes[below(COUNT_OF(regexes))] : "";
    say_subscription(w, c);
    if (chance(20)) w->q.server_assignor = chance(50) ? STR("range") : STR("uniform");
}

static void forget(struct client *c)
{
    memset(c->has, 0, sizeof c->has);
    memset(c->told, 0, sizeof c->told);
    c->epoch = 0;
}

static void take_answer(struct client *c)
{
    const struct consumer_group_heartbeat_response *a = world_response();
    CHECK(a->member_epoch >= c->epoch); /* G1 */
    c->epoch = a->member_epoch;
    if (!a->assignment_present) return;
    memset(c->told, 0, sizeof c->told);
    for (int32_t i = 0; i < a->assignment.topic_partitions_count; i++) {
        const struct consumer_group_heartbeat_response_topic_partition *p = &a->assignment.topic_partitions[i];
        for (uint32_t t = 0; t < TOPICS; t++) {
            if (!uuid_equal(world_topic_id(topic_names[t]), p->topic_id)) continue;
            for (int32_t j = 0; j < p->partitions_count; j++) c->told[t] |= 1u << p->partitions[j];
        }
    }
    for (uint32_t t = 0; t < TOPICS; t++) c->has[t] |= c->told[t]; /* works on new ones at once */
}

static void give_up(struct client *c)
{
    for (uint32_t t = 0; t < TOPICS; t++) c->has[t] &= c->told[t];
}

static int16_t send(struct client *c, const struct words *w, bool lose)
{
    int16_t error = world_heartbeat(&w->q, 1);
    c->lost = lose;
    if (lose) return KAFKA_NONE;
    if (error == KAFKA_NONE) take_answer(c);
    if (error == KAFKA_FENCED_MEMBER_EPOCH || error == KAFKA_UNKNOWN_MEMBER_ID || error == KAFKA_FENCED_INSTANCE_ID ||
        error == KAFKA_GROUP_ID_NOT_FOUND) {
        c->in = false;
        forget(c);
    }
    return error;
}

static void join(struct client *c)
{
    struct words w;
    if (c->in && c->classic) return;
    c->classic = false;
    bool again = c->in && chance(50); /* under the same id */
    if (c->in && !again) return;
    forget(c);
    if (!again) {
        snprintf(c->id, sizeof c->id, "m%llu", (unsigned long long)++ids);
        c->instance[0] = '\0';
        if (chance(30)) snprintf(c->instance, sizeof c->instance, "i%llu", (unsigned long long)below(3));
        c->clings = chance(10);
    }
    begin_request(&w, c, EPOCH_JOIN);
    subscribe(&w, c);
    say_what_it_has(&w, c->has);
    w.q.rebalance_timeout_ms = (int32_t)(5000 + below(30000));
    int16_t error = send(c, &w, false);
    c->in = error == KAFKA_NONE;
    if (!c->in) forget(c);
}

static void say_all_after_loss(struct words *w, const struct client *c)
{
    if (!c->lost) return;
    say_subscription(w, c);
    say_what_it_has(w, c->has);
    w->q.rebalance_timeout_ms = 20000;
}

static void stay(struct client *c)
{
    struct words w;
    if (!c->in || c->classic) return;
    if (!c->clings && chance(70)) give_up(c);
    begin_request(&w, c, c->epoch);
    say_all_after_loss(&w, c);
    if (chance(60)) say_what_it_has(&w, c->has);
    if (chance(10)) subscribe(&w, c);
    if (chance(10)) w.q.rebalance_timeout_ms = 20000;
    (void)send(c, &w, chance(10));
}

static void leave(struct client *c)
{
    struct words w;
    if (!c->in) return; /* of both kinds: an administrator might remove a classic one so */
    begin_request(&w, c, c->instance[0] != '\0' && chance(60) ? EPOCH_LEAVE_STATIC : EPOCH_LEAVE);
    (void)world_heartbeat(&w.q, 1);
    c->in = false;
    forget(c);
}

/* ---- a client of the classic protocol ---- */

/* What it subscribes to and has, of version 1. */
static struct bytes classic_metadata_of(const struct client *c)
{
    static uint8_t out[1024];
    struct consumer_protocol_subscription_topic_partition has[TOPICS];
    struct consumer_protocol_subscription sub;
    struct words w;
    struct writer writer;
    memset(&w, 0, sizeof w);
    say_subscription(&w, c);
    consumer_protocol_subscription_init(&sub);
    sub.topics = w.names;
    sub.topics_count = w.q.subscribed_topic_names_count;
    sub.owned_partitions = has;
    for (uint32_t t = 0; t < TOPICS; t++) {
        if (c->has[t] == 0) continue;
        struct consumer_protocol_subscription_topic_partition *p = &has[sub.owned_partitions_count++];
        memset(p, 0, sizeof *p);
        p->topic = text(topic_names[t]);
        p->partitions = w.numbers[t];
        for (int32_t i = 0; i < 32; i++)
            if (c->has[t] >> i & 1) w.numbers[t][p->partitions_count++] = i;
    }
    store_be16(out, 1);
    size_t n = consumer_protocol_subscription_size(1, &sub).own;
    writer_init(&writer, out + 2, n, NULL, 0);
    consumer_protocol_subscription_encode(&writer, 1, &sub);
    CHECK_OK(writer_finish(&writer));
    return (struct bytes){out, (int32_t)n + 2};
}

static bool classic_gone(struct client *c, int16_t error)
{
    bool gone =
        error == KAFKA_UNKNOWN_MEMBER_ID || error == KAFKA_FENCED_INSTANCE_ID || error == KAFKA_ILLEGAL_GENERATION;
    if (!gone) return false;
    c->in = false;
    forget(c);
    return true;
}

static void classic_sync(struct client *c)
{
    struct sync_group_request q;
    struct sync_group_response a;
    struct consumer_protocol_assignment v;
    struct cursor cursor;
    sync_group_request_init(&q);
    sync_group_response_init(&a);
    q.group_id = STR(WORLD_GROUP);
    q.member_id = text(c->id);
    q.generation_id = c->epoch;
    int16_t error = world_call(API_SYNC_GROUP, 5, &q, &a);
    if (error == KAFKA_NONE) error = a.error_code;
    if (classic_gone(c, error) || error != KAFKA_NONE) return;
    cursor_init(&cursor, a.assignment.data + 2, (size_t)a.assignment.len - 2);
    CHECK_OK(consumer_protocol_assignment_decode(&cursor, world_arena(), 1, &v));
    memset(c->told, 0, sizeof c->told);
    for (int32_t i = 0; i < v.assigned_partitions_count; i++)
        for (uint32_t t = 0; t < TOPICS; t++)
            for (int32_t j = 0; j < v.assigned_partitions[i].partitions_count; j++)
                if (str_equal(v.assigned_partitions[i].topic, text(topic_names[t])))
                    c->told[t] |= 1u << v.assigned_partitions[i].partitions[j];
    for (uint32_t t = 0; t < TOPICS; t++) c->has[t] |= c->told[t];
}

static void classic_join(struct client *c)
{
    struct join_group_request_protocol p;
    struct join_group_request q;
    struct join_group_response a;
    join_group_request_init(&q);
    join_group_response_init(&a);
    join_group_request_protocol_init(&p);
    p.name = STR("cooperative-sticky");
    p.metadata = classic_metadata_of(c);
    q.group_id = STR(WORLD_GROUP);
    q.member_id = text(c->id);
    q.protocol_type = STR("consumer");
    q.protocols = &p;
    q.protocols_count = 1;
    q.session_timeout_ms = 30000;
    q.rebalance_timeout_ms = 20000;
    int16_t error = world_call(API_JOIN_GROUP, 9, &q, &a);
    if (error == KAFKA_NONE) error = a.error_code;
    c->in = error == KAFKA_NONE;
    if (!c->in) {
        forget(c);
        return;
    }
    CHECK(a.generation_id >= c->epoch); /* G1 */
    c->epoch = a.generation_id;
    classic_sync(c);
}

static void classic_enter(struct client *c)
{
    const struct group *g = world_group();
    struct words w;
    if (c->in || g == NULL || g->type != GROUP_CONSUMER || consumer_is_empty(g)) return; /* else: a classic group */
    memset(c, 0, sizeof *c);
    snprintf(c->id, sizeof c->id, "c%llu", (unsigned long long)++ids);
    c->classic = true;
    memset(&w, 0, sizeof w);
    subscribe(&w, c);
    c->regex = "";
    classic_join(c);
}

static void classic_stay(struct client *c)
{
    struct heartbeat_request q;
    struct heartbeat_response a;
    if (!c->in) return;
    give_up(c);
    heartbeat_request_init(&q);
    heartbeat_response_init(&a);
    q.group_id = STR(WORLD_GROUP);
    q.member_id = text(c->id);
    q.generation_id = c->epoch;
    int16_t error = world_call(API_HEARTBEAT, 4, &q, &a);
    if (error == KAFKA_NONE) error = a.error_code;
    if (!classic_gone(c, error) && error == KAFKA_REBALANCE_IN_PROGRESS) classic_join(c);
}

/* ---- what no client of ours does ---- */

/* What no client of ours sends. Nothing may come of it for the others. */
static void nonsense(struct client *c)
{
    struct words w;
    uint32_t has[TOPICS];
    if (!c->in || c->classic) return;
    begin_request(&w, c, c->epoch + (int32_t)below(5) - 2);
    if (chance(30)) w.q.instance_id = STR("i0");
    if (chance(30)) w.q.member_id = STR("nobody");
    if (chance(20)) w.q.subscribed_topic_regex = STR("(");
    for (uint32_t t = 0; t < TOPICS; t++)
        has[t] = c->has[t] | (uint32_t)below(8); /* claims too much, never too little */
    say_what_it_has(&w, has);
    if (w.q.member_epoch == EPOCH_JOIN || w.q.member_epoch < 0) return; /* those are real requests */
    (void)send(c, &w, true); /* it may have been taken as real: the client does not see the answer */
}

static void silence(struct client *c)
{
    c->in = false; /* its process is gone; the group does not know yet */
    forget(c);
}

/* ---- the world ---- */

static void set_topic(uint32_t t, uint32_t n)
{
    if (n == 0)
        world_topic_gone(topic_names[t]);
    else
        world_topic(topic_names[t], n);
    for (uint32_t i = 0; i < CLIENTS && (n == 0 || partitions[t] == 0); i++)
        clients[i].has[t] = clients[i].told[t] = 0; /* of a topic that is no more */
    partitions[t] = n;
}

static void change_topics(void)
{
    uint32_t t = (uint32_t)below(TOPICS);
    set_topic(t, partitions[t] == 0 ? 1 + (uint32_t)below(6) : chance(30) ? 0 : partitions[t] + (uint32_t)below(4));
    if (partitions[t] > 30) set_topic(t, 0);
}

static void one_op(void)
{
    struct client *c = &clients[below(CLIENTS)];
    uint64_t what = below(100);
    if (what < 12)
        join(c);
    else if (what < 15)
        classic_enter(c);
    else if (what < 70 && c->classic)
        classic_stay(c);
    else if (what < 70)
        stay(c);
    else if (what < 74)
        leave(c);
    else if (what < 76)
        silence(c);
    else if (what < 80)
        nonsense(c);
    else if (what < 84)
        change_topics();
    else if (what < 98)
        world_later((int64_t)below(3000));
    else if (what < 99)
        world_later((int64_t)below(60000));
    else
        world_restart();
    check();
}

/* ---- the goal ---- */

static void round_of_good_members(void)
{
    for (uint32_t i = 0; i < CLIENTS; i++) {
        struct words w;
        struct client *c = &clients[i];
        if (c->classic) classic_stay(c);
        check();
        if (!c->in || c->classic) continue;
        give_up(c);
        begin_request(&w, c, c->epoch);
        say_what_it_has(&w, c->has);
        say_all_after_loss(&w, c);
        (void)send(c, &w, false);
        check();
    }
    world_later(2000);
}

static void check_goal(void)
{
    const struct group *g = world_group();
    uint32_t given[TOPICS] = {0};
    if (g == NULL || g->type != GROUP_CONSUMER || g->consumer->member_count == 0) return;
    CHECK(strcmp(consumer_state(g), "Stable") == 0);
    list_each (n, &g->consumer->all) {
        const struct consumer_member *m = container_of(n, struct consumer_member, in_all);
        CHECK(m->target.count == m->assigned.count && m->revoking.count == 0);
        for (uint32_t i = 0; i < m->target.count; i++)
            CHECK(parts_find(&m->assigned, m->target.all[i].topic, m->target.all[i].number) != NULL);
    }
    for (uint32_t i = 0; i < CLIENTS; i++) {
        if (!clients[i].in) continue;
        const struct consumer_member *m = member_of(&clients[i]);
        uint32_t bits = 0;
        CHECK(m != NULL);
        for (uint32_t t = 0; t < TOPICS; t++) {
            given[t] |= clients[i].has[t];
            bits += (uint32_t)__builtin_popcount(clients[i].has[t]);
        }
        CHECK(bits == m->assigned.count);
    }
    for (uint32_t t = 0; t < TOPICS; t++) {
        bool wanted = false;
        list_each (n, &g->consumer->all)
            wanted |= member_subscribes(&world, container_of(n, struct consumer_member, in_all),
                                        world_topic_id(topic_names[t]));
        CHECK(given[t] == (wanted && partitions[t] > 0 ? (1u << partitions[t]) - 1 : 0));
    }
}

static void run_seed(void)
{
    memset(clients, 0, sizeof clients);
    memset(partitions, 0, sizeof partitions);
    group_epoch = 0;
    ids = 0;
    prng_seed(&r, seed, 848);
    world_begin();
    world_settings.consumer_assignment_ms = chance(50) ? 0 : 1000;
    world_settings.migration = MIGRATION_UPGRADE;
    for (uint32_t t = 0; t < TOPICS; t++)
        if (chance(70)) set_topic(t, 1 + (uint32_t)below(6));
    for (uint32_t i = 0; i < OPS; i++) one_op();
    world_check_replay();
    for (uint32_t i = 0; i < 60; i++) round_of_good_members(); /* long enough for the silent ones to be fenced */
    check_goal();
    world_end();
}

static uint64_t number(const char *name, uint64_t otherwise)
{
    const char *value = getenv(name);
    return value != NULL ? strtoull(value, NULL, 10) : otherwise;
}

static void random_members(void)
{
    uint64_t only = number("GROUP_SEED", 0), last = only != 0 ? only : number("GROUP_SEEDS", 80);
    for (seed = only != 0 ? only : 1; seed <= last; seed++) {
        if (only == 0) fprintf(stderr, "\rseed %llu ", (unsigned long long)seed);
        run_seed();
    }
}

TEST_MAIN("group consumer random", {"random members", random_members})

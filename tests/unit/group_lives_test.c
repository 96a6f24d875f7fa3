// SPDX-License-Identifier: Apache-2.0
/* Random lives of classic groups, from a seed: clients that follow the protocol, forget who they are, say what they
 * should not, lose connections; time, restarts, no memory. After every step (rules G1, G2 of the reliability rules):
 *
 *   generations never fall, and no two members get one assignment of a generation
 *   a commit is taken from a member of this generation only; a refused one puts nothing
 *   every call ends exactly once; each that has not is held by a member
 *   a machine made from the log has the same members, generation and assignments as the live one that is Stable or
 * Empty no deadline is forgotten; all sums are right; in the end, with time, nothing waits */
#include "broker/group/classic_impl.h"
#include "broker/group/offsets.h"
#include "tests/unit/check_main.h"
#include "tests/unit/group_world.h"
#include <stdio.h>

#define CLIENTS 10
#define GROUPS  2
#define STEPS   6000

struct client {
    char id[300], instance[16];
    uint8_t topic; /* that it subscribes to */
    int32_t generation;
    int16_t version;
    bool leads, synced, join_seen;
    struct world_call *join, *sync;
};

static struct {
    struct prng random;
    struct client clients[CLIENTS];
    int32_t generation[GROUPS]; /* the last that was seen */
    uint32_t puts_compared;
    int64_t offset;
    uint64_t joins, syncs, taken, refused, restarts, failures, fenced;
} life;

static uint64_t below(uint64_t n)
{
    return prng_below(&life.random, n);
}

static bool chance(uint64_t percent)
{
    return below(100) < percent;
}

static struct str text(const char *s)
{
    return (struct str){s, (int32_t)strlen(s)};
}

static struct str group_of(const struct client *c)
{
    return (c - life.clients) % GROUPS == 0 ? STR("even") : STR("odd");
}

/* ---- calls: now and then memory runs out ---- */

static void send_call(struct world_call *w)
{
    if (chance(3)) mem_fail_nth(gw.mem, 1 + below(8));
    world_send(w);
    mem_fail_nth(gw.mem, 0);
    if (gw.gs.status == STATUS_OK) return;
    life.failures++;
    world_restart();
}

static struct str own(struct world_call *w, const char *s)
{
    size_t len = strlen(s);
    char *copy = arena_zalloc(&w->arena, len + 1);
    memcpy(copy, s, len);
    return (struct str){copy, (int32_t)len};
}

static struct str instance_of(struct world_call *w, const struct client *c)
{
    return c->instance[0] != '\0' && c->version >= 5 ? own(w, c->instance) : STR_NULL;
}

static void end_call(struct world_call **at)
{
    struct world_call *w = *at;
    if (w == NULL) return;
    if (w->ends == 0) return; /* stays in gw.calls until it ends */
    world_free(w);
    *at = NULL;
}

/* ---- what a client does ---- */

static void join(struct client *c)
{
    struct world_call *w = world_call(API_JOIN_GROUP, c->version, group_of(c));
    struct join_group_request *q = &w->join_request;
    struct join_group_request_protocol *list = arena_zalloc(&w->arena, 2 * sizeof *list);
    list[0].name = chance(50) ? STR("range") : STR("sticky");
    list[1].name = list[0].name.data[0] == 'r' ? STR("sticky") : STR("range");
    const uint8_t subscription[] = {0, 1, 0, 0, 0, 1, 0, 1, (uint8_t)('a' + c->topic), 0xff, 0xff, 0xff, 0xff};
    uint8_t *metadata = arena_zalloc(&w->arena, sizeof subscription);
    memcpy(metadata, subscription, sizeof subscription);
    list[0].metadata = list[1].metadata = (struct bytes){metadata, chance(99) ? (int32_t)sizeof subscription : 7};
    q->session_timeout_ms = chance(1) ? 1 : 6000 + (int32_t)below(20000);
    q->rebalance_timeout_ms = c->version > 0 ? (int32_t)below(40000) : -1;
    q->member_id = own(w, c->id);
    q->group_instance_id = instance_of(w, c);
    q->protocol_type = chance(1) ? STR("connect") : STR("consumer");
    q->protocols = list;
    q->protocols_count = chance(80) ? 2 : 1;
    c->join = w;
    c->synced = c->join_seen = false;
    life.joins++;
    send_call(w);
}

static void take_join(struct client *c)
{
    struct world_call *w = c->join;
    int16_t error = w->call.error != KAFKA_NONE ? w->call.error : w->join.error_code;
    if (w->cancelled) return;
    if (error == KAFKA_NONE || error == KAFKA_MEMBER_ID_REQUIRED)
        snprintf(c->id, sizeof c->id, "%.*s", (int)w->join.member_id.len, w->join.member_id.data);
    if (error == KAFKA_UNKNOWN_MEMBER_ID) c->id[0] = '\0';
    if (error == KAFKA_FENCED_INSTANCE_ID) {
        life.fenced++;
        c->id[0] = '\0';
    }
    if (error != KAFKA_NONE) return;
    CHECK(w->join.generation_id > 0);
    c->generation = w->join.generation_id;
    c->leads = str_equal(w->join.leader, w->join.member_id);
    CHECK(c->leads == (w->join.members_count > 0));
}

static void sync(struct client *c)
{
    struct world_call *w = world_call(API_SYNC_GROUP, 5, group_of(c));
    struct sync_group_request *q = &w->sync_request;
    q->generation_id = chance(98) ? c->generation : c->generation - 1;
    q->member_id = own(w, c->id);
    q->group_instance_id = instance_of(w, c);
    if (c->leads && c->join != NULL && !c->join->join.skip_assignment) {
        const struct join_group_response *a = &c->join->join;
        q->assignments = arena_zalloc(&w->arena, ((size_t)a->members_count + 1) * sizeof *q->assignments);
        for (int32_t i = 0; i < a->members_count; i++) {
            if (chance(3)) continue; /* forgets one */
            struct sync_group_request_assignment *r = &q->assignments[q->assignments_count++];
            char *out = arena_zalloc(&w->arena, 400);
            int n = snprintf(out, 400, "%d/%.*s", c->generation, (int)a->members[i].member_id.len,
                             a->members[i].member_id.data);
            r->member_id = own(w, out + strcspn(out, "/") + 1);
            r->assignment = (struct bytes){(uint8_t *)out, n};
        }
    }
    c->sync = w;
    life.syncs++;
    send_call(w);
}

/* The assignment that c got is one that was made for it (or, for a static member, for its place). */
static void check_assignment(const struct client *c, struct bytes a)
{
    char made[400];
    if (a.len == 0) return;
    CHECK((size_t)a.len < sizeof made);
    memcpy(made, a.data, (size_t)a.len);
    made[a.len] = '\0';
    CHECK(atoi(made) == c->generation);
    const char *id = made + strcspn(made, "/") + 1;
    size_t prefix = strlen(c->instance);
    if (c->instance[0] != '\0' && c->version >= 5)
        CHECK(strncmp(id, c->instance, prefix) == 0 && id[prefix] == '-');
    else
        CHECK(strcmp(id, c->id) == 0);
}

static void take_sync(struct client *c)
{
    struct world_call *w = c->sync;
    int16_t error = w->call.error != KAFKA_NONE ? w->call.error : w->sync.error_code;
    if (w->cancelled) return;
    c->synced = error == KAFKA_NONE;
    if (c->synced && w->sync_request.generation_id == c->generation) check_assignment(c, w->sync.assignment);
    if (error == KAFKA_UNKNOWN_MEMBER_ID || error == KAFKA_FENCED_INSTANCE_ID) c->id[0] = '\0';
}

static void heartbeat(struct client *c)
{
    struct world_call *w = world_call(API_HEARTBEAT, 4, group_of(c));
    w->heartbeat_request.generation_id = c->generation;
    w->heartbeat_request.member_id = own(w, c->id);
    w->heartbeat_request.group_instance_id = instance_of(w, c);
    send_call(w);
    if (w->call.error == KAFKA_UNKNOWN_MEMBER_ID || w->heartbeat.error_code == KAFKA_UNKNOWN_MEMBER_ID) c->id[0] = '\0';
    world_free(w);
}

static void leave(struct client *c)
{
    struct world_call *w = world_call(API_LEAVE_GROUP, 5, group_of(c));
    struct leave_group_request_member m[2];
    leave_group_request_member_init(&m[0]);
    leave_group_request_member_init(&m[1]);
    m[0].member_id = chance(90) ? own(w, c->id) : STR_EMPTY;
    m[0].group_instance_id = instance_of(w, c);
    m[1].group_instance_id = STR("s1");
    w->leave_request.members = m;
    w->leave_request.members_count = chance(90) ? 1 : 2;
    send_call(w);
    world_free(w);
}

static void commit(struct client *c)
{
    struct world_call *w = world_call(API_OFFSET_COMMIT, 8, group_of(c));
    struct offset_commit_request_partition p;
    struct offset_commit_request_topic t;
    offset_commit_request_partition_init(&p);
    offset_commit_request_topic_init(&t);
    p.committed_offset = ++life.offset;
    t.name = STR("t");
    t.partitions = &p;
    t.partitions_count = 1;
    w->commit_request.topics = &t;
    w->commit_request.topics_count = 1;
    w->commit_request.generation_id_or_member_epoch = chance(80) ? c->generation : c->generation - 1;
    w->commit_request.member_id = own(w, c->id);
    w->commit_request.group_instance_id = instance_of(w, c);
    int32_t generation = w->commit_request.generation_id_or_member_epoch;
    const struct group *g = groups_find(&gw.gs, group_of(c));
    const struct classic_member *m = g != NULL ? classic_find(g->classic, text(c->id)) : NULL;
    bool member = m != NULL && !m->pending && generation == g->classic->generation &&
                  g->classic->state != CLASSIC_COMPLETING &&
                  (w->commit_request.group_instance_id.len < 0 || str_equal(m->instance, text(c->instance)));
    bool simple = generation < 0 && (g == NULL || g->classic->state == CLASSIC_EMPTY);
    uint32_t puts = gw.puts;
    uint64_t failures = life.failures;
    send_call(w);
    if (life.failures == failures) {
        bool taken = w->commit.topics[0].partitions[0].error_code == KAFKA_NONE;
        CHECK(taken == (member || simple) && gw.puts == puts + taken);
        const struct offset *o = taken ? offsets_find(groups_find(&gw.gs, group_of(c)), STR("t"), 0) : NULL;
        CHECK(!taken || o->offset == life.offset);
        life.taken += taken;
        life.refused += !taken;
    }
    world_free(w);
}

static void forget(struct client *c)
{
    c->id[0] = '\0';
    c->version = (int16_t)below(10);
    snprintf(c->instance, sizeof c->instance, "s%d", (int)below(4));
    if (chance(60)) c->instance[0] = '\0';
}

/* What the protocol would have it do next. */
static void go_on(struct client *c)
{
    if (c->id[0] == '\0' || c->join == NULL || c->join->join.error_code != KAFKA_NONE)
        join(c);
    else if (!c->synced)
        sync(c);
    else if (chance(70))
        heartbeat(c);
    else if (chance(70))
        commit(c);
    else
        join(c);
}

static void act(struct client *c)
{
    bool waits = (c->join != NULL && c->join->ends == 0) || (c->sync != NULL && c->sync->ends == 0);
    uint64_t what = below(100);
    if (waits && what < 90) return;
    if (waits && what < 95) { /* the connection goes */
        if (c->join != NULL && c->join->ends == 0) world_cancel(c->join);
        if (c->sync != NULL && c->sync->ends == 0) world_cancel(c->sync);
        return;
    }
    if (what < 75)
        go_on(c);
    else if (what < 80)
        commit(c);
    else if (what < 84)
        heartbeat(c);
    else if (what < 87)
        leave(c);
    else if (what < 90)
        forget(c);
    else if (what < 93)
        c->topic = (uint8_t)below(3);
    else if (what < 96)
        sync(c);
    else
        join(c);
}

/* Calls that a newer one of the same client took the place of are not looked at: they must end all the same. */
static void look(struct client *c)
{
    if (c->sync != NULL && c->sync->ends > 0) {
        take_sync(c);
        end_call(&c->sync);
    }
    if (c->join == NULL || c->join->ends == 0 || c->join_seen) return;
    c->join_seen = true;
    take_join(c);
}

static void sweep(void)
{
    list_each (n, &gw.calls) {
        struct world_call *w = container_of(n, struct world_call, in_calls);
        bool used = false;
        for (uint32_t i = 0; i < CLIENTS; i++) used |= life.clients[i].join == w || life.clients[i].sync == w;
        if (!used && w->ends > 0) world_free(w);
    }
}

/* ---- what holds ---- */

static void check_sums(const struct group *g)
{
    const struct classic_group *cg = g->classic;
    uint32_t members = 0, joining = 0, unsynced = 0, pending = 0, statics = 0;
    size_t bytes = 0;
    struct mono_ns first = {MIN(cg->join_ends.v, cg->sync_ends.v)};
    bool leader = cg->leader == NULL;
    list_each (n, &cg->members) {
        const struct classic_member *m = container_of(n, struct classic_member, in_list);
        CHECK(!m->pending && classic_find(cg, m->id) == m);
        CHECK(m->joining || m->join_call == NULL);
        CHECK(m->syncing || m->sync_call == NULL);
        CHECK(m->session_ends.v != NEVER.v || m->joining || m->syncing);
        members++;
        joining += m->joining;
        unsynced += m->unsynced;
        statics += m->instance.len >= 0;
        bytes += m->metadata_bytes;
        leader |= cg->leader == m;
        first.v = MIN(first.v, m->session_ends.v);
    }
    list_each (n, &cg->pending) {
        const struct classic_member *m = container_of(n, struct classic_member, in_list);
        CHECK(m->pending && m->session_ends.v != NEVER.v);
        pending++;
        first.v = MIN(first.v, m->session_ends.v);
    }
    CHECK(members == cg->member_count && joining == cg->joining_count && unsynced == cg->unsynced_count);
    CHECK(pending == cg->pending_count && cg->by_id.count == members + pending && cg->by_instance.count == statics);
    CHECK(bytes == cg->metadata_bytes && leader);
    CHECK(g->deadline.v <= first.v);
    CHECK((members == 0 || cg->leader != NULL) && (cg->state != CLASSIC_EMPTY || members == 0));
    CHECK(cg->state == CLASSIC_EMPTY || members > 0 || cg->state == CLASSIC_PREPARING);
    CHECK(cg->state == CLASSIC_PREPARING || joining == 0);
    CHECK(cg->state != CLASSIC_PREPARING || cg->join_ends.v != NEVER.v);
    CHECK(cg->state != CLASSIC_COMPLETING || cg->sync_ends.v != NEVER.v);
}

static bool same_bytes(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len <= 0 || memcmp(a.data, b.data, (size_t)a.len) == 0);
}

static void check_same(const struct classic_group *a, const struct classic_group *b)
{
    CHECK(a->state == b->state && a->generation == b->generation && a->member_count == b->member_count);
    CHECK(str_equal(a->protocol, b->protocol) && str_equal(a->protocol_type, b->protocol_type));
    CHECK(a->since_ms == b->since_ms && (a->leader == NULL) == (b->leader == NULL));
    CHECK(a->leader == NULL || str_equal(a->leader->id, b->leader->id));
    /* a, the live one, may have had no memory to learn them */
    CHECK(!a->topics_known || (b->topics_known && a->topics.count == b->topics.count));
    const struct list_node *x = a->members.head.next;
    list_each (n, &b->members) {
        const struct classic_member *m = container_of(n, struct classic_member, in_list);
        const struct classic_member *o = container_of(x, const struct classic_member, in_list);
        CHECK(str_equal(m->id, o->id) && str_equal(m->instance, o->instance));
        CHECK(m->session_ms == o->session_ms && m->rebalance_ms == o->rebalance_ms);
        CHECK(same_bytes(m->assignment, o->assignment));
        CHECK(same_bytes(classic_metadata(m, b->protocol), classic_metadata(o, a->protocol)));
        x = x->next;
    }
}

static void check_replay(void)
{
    struct groups copy;
    if (life.puts_compared == gw.puts) return;
    life.puts_compared = gw.puts;
    int32_t size_max = gw.settings.size_max;
    gw.settings.size_max = INT32_MAX; /* else the copy begins a rebalance */
    world_load(&copy);
    gw.settings.size_max = size_max;
    list_each (n, &gw.gs.all) {
        const struct group *g = container_of(n, struct group, in_all);
        if (g->classic->state == CLASSIC_PREPARING || g->classic->state == CLASSIC_COMPLETING) continue;
        const struct group *o = groups_find(&copy, g->id);
        if (o == NULL) {
            CHECK(classic_is_simple(g) || !g->classic->recorded);
            continue;
        }
        if (g->classic->recorded) check_same(g->classic, o->classic);
        for (const char *t = "abcd"; g->classic->recorded && g->classic->topics_known && *t != '\0'; t++)
            CHECK(classic_subscribes(g, (struct str){t, 1}) == classic_subscribes(o, (struct str){t, 1}));
        CHECK(offsets_count(g) == offsets_count(o));
    }
    groups_stop(&copy);
    while (list_pop_front(&copy.rearm) != NULL) {
    }
    groups_deinit(&copy);
}

static void check_all(void)
{
    uint32_t held = 0, open = 0;
    list_each (n, &gw.gs.all) {
        const struct group *g = container_of(n, struct group, in_all);
        int32_t *last = &life.generation[str_equal(g->id, STR("odd"))];
        check_sums(g);
        CHECK(g->classic->generation >= *last);
        *last = g->classic->generation;
        list_each (m, &g->classic->members) {
            const struct classic_member *x = container_of(m, struct classic_member, in_list);
            held += x->join_call != NULL;
            held += x->sync_call != NULL;
        }
    }
    list_each (n, &gw.calls) {
        const struct world_call *w = container_of(n, struct world_call, in_calls);
        CHECK(w->ends <= 1);
        if (w->ends > 0) continue;
        CHECK(w->call.holder != NULL && *w->call.holder == &w->call);
        open++;
    }
    CHECK(held == open);
    check_replay();
}

/* After a restart only what was stored counts. */
static void restart(void)
{
    world_restart();
    life.restarts++;
    for (int i = 0; i < GROUPS; i++) {
        const struct group *g = groups_find(&gw.gs, i == 0 ? STR("even") : STR("odd"));
        life.generation[i] = g != NULL ? g->classic->generation : 0;
    }
}

static void live(uint64_t seed, uint32_t steps)
{
    memset(&life, 0, sizeof life);
    prng_seed(&life.random, seed, 7);
    world_begin();
    for (uint32_t i = 0; i < CLIENTS; i++) {
        forget(&life.clients[i]);
        life.clients[i].generation = -1;
    }
    for (uint32_t i = 0; i < steps; i++) {
        uint64_t what = below(1000), failures = life.failures;
        if (what < 250)
            world_pass((int64_t)below(what < 10 ? 60000 : 1500));
        else if (what < 253)
            restart();
        else if (what < 256)
            gw.settings.size_max = (int32_t)(2 + below(8));
        else
            act(&life.clients[below(CLIENTS)]);
        if (life.failures != failures) restart();
        for (uint32_t c = 0; c < CLIENTS; c++) look(&life.clients[c]);
        sweep();
        check_all();
    }
    gw.settings.size_max = INT32_MAX;
    world_pass(7200000);
    check_all();
    list_each (n, &gw.calls) CHECK(container_of(n, struct world_call, in_calls)->ends == 1);
    list_each (n, &gw.gs.all) CHECK(classic_is_empty(container_of(n, struct group, in_all)));
    if (seed == 1)
        printf("joins %lu syncs %lu commits %lu of %lu restarts %lu failures %lu fenced %lu generations %d %d: ",
               life.joins, life.syncs, life.taken, life.taken + life.refused, life.restarts, life.failures, life.fenced,
               life.generation[0], life.generation[1]);
    world_end();
}

static void random_lives(void)
{
    const char *only = getenv("GROUP_LIVES_SEED"), *count = getenv("GROUP_LIVES_COUNT");
    if (only != NULL) {
        live(strtoull(only, NULL, 10), STEPS);
        return;
    }
    uint64_t lives = count != NULL ? strtoull(count, NULL, 10) : 10;
    for (uint64_t seed = 1; seed <= lives; seed++) live(seed, STEPS);
    ASSERT(life.taken > 0 || lives == 0);
}

TEST_MAIN("group_lives", {"random lives keep the rules", random_lives})

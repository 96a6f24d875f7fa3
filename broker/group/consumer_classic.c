// SPDX-License-Identifier: Apache-2.0
/* Members that speak the classic protocol in a consumer group (group.consumer.migration.policy): JoinGroup, SyncGroup,
 * Heartbeat and LeaveGroup, as far as such a member can tell answered as by a classic group.
 *
 *   JoinGroup    its subscription and what it still has -> epoch, target, its next step -> the generation is its epoch
 *   SyncGroup    what is assigned to it
 *   Heartbeat    REBALANCE_IN_PROGRESS when it has to join again: another epoch, or partitions to give up or to get
 *
 * No call waits. A member that is told to join again, or joined and does not sync, has its rebalance timeout for it.
 *
 * Failure modes: errors of the call; no memory fails the machine. */
#include "base/bytes.h"
#include "base/check.h"
#include "broker/group/consumer_embedded.h"
#include "protocol/msg_consumer_group_heartbeat.h"
#include "protocol/msg_heartbeat.h"
#include "protocol/msg_join_group.h"
#include "protocol/msg_leave_group.h"
#include "protocol/msg_sync_group.h"

#define ID_REQUIRED_FROM 4 /* JoinGroup: a dynamic member without an id is given one and comes again */
#define MEMBERS_FROM     3 /* LeaveGroup */
#define PROTOCOLS_MAX    64
#define PROTOCOL_BYTES   ((size_t)1 << 20) /* of one member, with their metadata: INCONSISTENT_GROUP_PROTOCOL */

struct join { /* one JoinGroup */
    struct groups *gs;
    struct group *g;
    struct group_call *c;
    const struct join_group_request *q;
    struct arena a;
    struct str id;
    struct consumer_protocol_subscription subscription;
    struct classic_side *classic;
};

static void refuse(struct groups *gs, struct group_call *c, int16_t error, struct str member_id)
{
    struct join_group_response *a = c->response;
    a->error_code = error;
    if (call_copy_str(c, member_id.len >= 0 ? member_id : STR_EMPTY, &a->member_id))
        call_answer(gs, c);
    else
        call_fail(gs, c, error);
}

/* ---- what it supports ---- */

static uint32_t supporters(const struct consumer_group *k, struct str protocol)
{
    uint32_t n = 0;
    list_each (node, &k->all) {
        const struct classic_side *s = container_of(node, struct consumer_member, in_all)->classic;
        for (uint32_t i = 0; s != NULL && i < s->count; i++) {
            if (!str_equal(s->protocols[i].name, protocol)) continue;
            n++;
            break;
        }
    }
    return n;
}

/* One of its protocols must be known to all that speak the classic protocol here. */
static bool fits(const struct consumer_group *k, const struct join_group_request *q)
{
    size_t bytes = 0;
    if (!str_equal(q->protocol_type, STR("consumer")) || q->protocols_count > PROTOCOLS_MAX) return false;
    for (int32_t i = 0; i < q->protocols_count; i++)
        bytes += (size_t)MAX(q->protocols[i].name.len, 0) + (size_t)MAX(q->protocols[i].metadata.len, 0);
    if (bytes > PROTOCOL_BYTES) return false;
    for (int32_t i = 0; i < q->protocols_count; i++)
        if (supporters(k, q->protocols[i].name) == k->classic_count) return true;
    return false;
}

static bool take_protocols(struct join *j)
{
    uint32_t n = (uint32_t)j->q->protocols_count;
    j->classic = arena_zalloc(&j->a, sizeof *j->classic + n * sizeof j->classic->protocols[0]);
    if (j->classic == NULL) return false;
    j->classic->session_ms = j->q->session_timeout_ms;
    j->classic->count = n;
    for (uint32_t i = 0; i < n; i++) {
        j->classic->protocols[i].name = j->q->protocols[i].name;
        j->classic->protocols[i].metadata = j->q->protocols[i].metadata;
    }
    return true;
}

static bool same_protocols(const struct classic_side *x, const struct classic_side *y)
{
    bool same = x != NULL && x->count == y->count && x->session_ms == y->session_ms;
    for (uint32_t i = 0; same && i < x->count; i++) {
        struct bytes p = x->protocols[i].metadata, q = y->protocols[i].metadata;
        same = str_equal(x->protocols[i].name, y->protocols[i].name) && p.len == q.len &&
               (p.len <= 0 || memcmp(p.data, q.data, (size_t)p.len) == 0);
    }
    return same;
}

static bool subscription_fits(const struct consumer_protocol_subscription *s)
{
    bool fits_in = s->topics_count <= SUBSCRIBED_TOPICS_MAX && s->rack_id.len <= MEMBER_TEXT_MAX;
    for (int32_t i = 0; fits_in && i < s->topics_count; i++) fits_in = s->topics[i].len <= TOPIC_NAME_MAX;
    return fits_in;
}

/* ---- checks ---- */

static int16_t check_session(const struct join *j)
{
    const struct group_settings *s = j->gs->settings;
    bool fits_in = j->q->session_timeout_ms >= s->session_min_ms && j->q->session_timeout_ms <= s->session_max_ms;
    return fits_in ? KAFKA_NONE : KAFKA_INVALID_SESSION_TIMEOUT;
}

static int16_t check_place(const struct join *j)
{
    const struct consumer_group *k = j->g->consumer;
    bool known = consumer_find(k, j->id) != NULL || consumer_find_instance(k, j->q->group_instance_id) != NULL;
    if (!known && (int64_t)k->member_count >= MIN(j->gs->settings->consumer_size_max, MEMBERS_MAX))
        return KAFKA_GROUP_MAX_SIZE_REACHED;
    if (!groups_have_room(j->gs)) return KAFKA_COORDINATOR_NOT_AVAILABLE;
    return KAFKA_NONE;
}

/* *ret_member NULL: a new one. Of a static member without an id: the one whose place it takes. */
static int16_t identify(const struct join *j, struct consumer_member **ret_member)
{
    const struct consumer_group *k = j->g->consumer;
    bool is_static = j->q->group_instance_id.len >= 0;
    struct consumer_member *m =
        is_static ? consumer_find_instance(k, j->q->group_instance_id) : consumer_find(k, j->id);
    *ret_member = m;
    if (!is_static || j->q->member_id.len <= 0) return KAFKA_NONE;
    if (m == NULL) return KAFKA_UNKNOWN_MEMBER_ID;
    return str_equal(m->id, j->id) ? KAFKA_NONE : KAFKA_FENCED_INSTANCE_ID;
}

static int16_t check(struct join *j, struct consumer_member **ret_member)
{
    const struct join_group_request *q = j->q;
    int16_t error = check_session(j);
    if (error == KAFKA_NONE && j->gs->settings->migration == MIGRATION_DISABLED)
        error = KAFKA_INCONSISTENT_GROUP_PROTOCOL;
    if (error == KAFKA_NONE && (j->id.len > MEMBER_TEXT_MAX || q->group_instance_id.len > MEMBER_TEXT_MAX))
        error = KAFKA_INVALID_REQUEST;
    if (error == KAFKA_NONE) error = check_place(j);
    if (error == KAFKA_NONE && !fits(j->g->consumer, q)) error = KAFKA_INCONSISTENT_GROUP_PROTOCOL;
    if (error != KAFKA_NONE) return error;
    if (q->member_id.len <= 0 && q->group_instance_id.len < 0 && j->c->version >= ID_REQUIRED_FROM)
        return KAFKA_MEMBER_ID_REQUIRED;
    error = identify(j, ret_member);
    if (error != KAFKA_NONE) return error;
    enum embedded e = subscription_read(&j->a, q->protocols[0].metadata, &j->subscription);
    if (e == EMBEDDED_NO_MEMORY) return KAFKA_COORDINATOR_NOT_AVAILABLE;
    return e == EMBEDDED_OK && subscription_fits(&j->subscription) ? KAFKA_NONE : KAFKA_INCONSISTENT_GROUP_PROTOCOL;
}

/* ---- join ---- */

/* Puts the member's record if it says anything new; *ret_other: it subscribes to other topics now. */
static struct consumer_member *subscribe(struct join *j, const struct consumer_member *m, bool *ret_other)
{
    struct consumer_group *k = j->g->consumer;
    const struct consumer_protocol_subscription *s = &j->subscription;
    struct member_text t = {.member_id = j->id, .client_id = j->c->client_id, .client_host = j->c->client_host};
    struct name_list *names = name_list_ref(j->gs, k, s->topics, s->topics_count);
    if (names == NULL) return NULL;
    if (t.client_id.len < 0) t.client_id = STR_EMPTY;
    t.client_id.len = MIN(t.client_id.len, MEMBER_TEXT_MAX);
    t.instance = j->q->group_instance_id.len >= 0 || m == NULL ? j->q->group_instance_id : m->instance;
    t.rack = s->rack_id.len > 0 ? s->rack_id : m != NULL ? m->rack : STR_NULL;
    t.assignor = m != NULL ? m->assignor : STR_NULL;
    t.rebalance_ms = j->q->rebalance_timeout_ms >= 0 ? j->q->rebalance_timeout_ms : j->q->session_timeout_ms;
    t.regex = STR_EMPTY;
    t.names = names->names;
    t.name_count = (int32_t)names->count;
    t.classic = j->classic;
    *ret_other = m == NULL ? names->count > 0 : names != m->names || m->regex != NULL;
    bool changed = m == NULL || *ret_other || t.rebalance_ms != m->rebalance_ms ||
                   !str_equal(t.instance, m->instance) || !str_equal(t.rack, m->rack) ||
                   !str_equal(t.client_id, m->client_id) || !str_equal(t.client_host, m->client_host) ||
                   !same_protocols(m->classic, t.classic);
    if (changed) put_member(j->gs, j->g, &j->a, &t);
    name_list_unref(j->gs, k, names);
    consumer_drop_regexes(j->gs, j->g);
    return j->gs->status == STATUS_OK ? consumer_find(k, j->id) : NULL;
}

static bool fill_answer(struct join *j, const struct consumer_member *m)
{
    struct join_group_response *a = j->c->response;
    a->generation_id = m->epoch;
    a->protocol_type = STR("consumer");
    return call_copy_str(j->c, m->id, &a->member_id) &&
           call_copy_str(j->c, m->classic->protocols[0].name, &a->protocol_name);
}

static void begin_sync(struct join *j, struct consumer_member *m)
{
    m->join = m->rebalance = NEVER;
    m->session = mono_add(j->gs->now, j->q->session_timeout_ms * NS_PER_MS);
    m->sync = mono_add(j->gs->now, MAX(m->rebalance_ms, 0) * NS_PER_MS);
    consumer_wake(j->g, m);
}

static void enter(struct join *j, struct consumer_member *m)
{
    struct groups *gs = j->gs;
    struct owned_topics owned;
    bool other = false, replaces = m != NULL && j->q->member_id.len <= 0;
    /* The last one of the consumer protocol: the group is a classic one again when this member is in. */
    bool downgrade = j->q->group_instance_id.len >= 0 && m != NULL && consumer_may_downgrade(gs, j->g, &m, 1, true);
    if (!subscription_owned(gs, &j->a, &j->subscription, &owned) || !take_protocols(j))
        groups_fail(gs, STATUS_NO_MEMORY);
    if (replaces && gs->status == STATUS_OK) m = put_replaced(gs, j->g, &j->a, m, j->id);
    if (gs->status == STATUS_OK) m = subscribe(j, m, &other);
    if (gs->status != STATUS_OK) return;
    if (other || j->g->consumer->refresh) consumer_refresh(gs, j->g, &j->a, other);
    bool stale = j->g->consumer->assignment_epoch < j->g->consumer->epoch;
    if (!downgrade) consumer_assign(gs, j->g, &j->a);
    if (!downgrade || !stale) consumer_reconcile(gs, j->g, &j->a, m, other, owned);
    if (gs->status != STATUS_OK) return;
    begin_sync(j, m);
    bool room = fill_answer(j, m);
    if (downgrade) consumer_downgrade(gs, j->g, NULL, 0, stale); /* m is gone */
    if (room) consumer_answer(gs, j->c);
}

void consumer_classic_join(struct groups *gs, struct group *g, struct group_call *c)
{
    struct join j = {.gs = gs, .g = g, .c = c, .q = c->request};
    struct consumer_member *m = NULL;
    arena_init(&j.a, gs->mem, MEM_CONTROL, STEP_ARENA_CAP);
    j.id = j.q->member_id.len > 0 ? j.q->member_id : consumer_new_member_id(gs, &j.a);
    int16_t error = j.id.len > 0 ? check(&j, &m) : KAFKA_COORDINATOR_NOT_AVAILABLE;
    if (error == KAFKA_NONE)
        enter(&j, m);
    else
        refuse(gs, c, error, error == KAFKA_MEMBER_ID_REQUIRED ? j.id : j.q->member_id);
    if (!c->answered) call_fail(gs, c, KAFKA_COORDINATOR_NOT_AVAILABLE);
    arena_deinit(&j.a);
}

/* ---- sync, heartbeat ---- */

static int16_t find_member(const struct consumer_group *k, struct str id, struct str instance, int32_t generation,
                           struct consumer_member **ret_member)
{
    struct consumer_member *m = instance.len >= 0 ? consumer_find_instance(k, instance) : consumer_find(k, id);
    *ret_member = m;
    if (m == NULL) return KAFKA_UNKNOWN_MEMBER_ID;
    if (!str_equal(m->id, id)) return KAFKA_FENCED_INSTANCE_ID;
    if (m->classic == NULL) return KAFKA_UNKNOWN_MEMBER_ID;
    return generation == m->epoch ? KAFKA_NONE : KAFKA_ILLEGAL_GENERATION;
}

static void expect_join(struct groups *gs, struct group *g, struct consumer_member *m)
{
    if (m->join.v != NEVER.v) return;
    m->join = mono_add(gs->now, MAX(m->rebalance_ms, 0) * NS_PER_MS);
    group_wake_by(g, m->join);
}

static void begin_session(struct groups *gs, struct group *g, struct consumer_member *m)
{
    m->session = mono_add(gs->now, m->classic->session_ms * NS_PER_MS);
    group_wake_by(g, m->session);
}

static int16_t check_sync(struct groups *gs, struct group *g, const struct sync_group_request *q,
                          struct consumer_member **ret_member)
{
    int16_t error = find_member(g->consumer, q->member_id, q->group_instance_id, q->generation_id, ret_member);
    if (error != KAFKA_NONE) return error;
    struct consumer_member *m = *ret_member;
    if (q->protocol_type.len >= 0 && !str_equal(q->protocol_type, STR("consumer")))
        return KAFKA_INCONSISTENT_GROUP_PROTOCOL;
    if (q->protocol_name.len >= 0 && !str_equal(q->protocol_name, m->classic->protocols[0].name))
        return KAFKA_INCONSISTENT_GROUP_PROTOCOL;
    if (g->consumer->assignment_epoch <= m->epoch || m->state == MEMBER_UNREVOKED) return KAFKA_NONE;
    expect_join(gs, g, m);
    return KAFKA_REBALANCE_IN_PROGRESS;
}

void consumer_classic_sync(struct groups *gs, struct group *g, struct group_call *c)
{
    const struct sync_group_request *q = c->request;
    struct sync_group_response *a = c->response;
    struct consumer_member *m;
    int16_t error = check_sync(gs, g, q, &m);
    if (error != KAFKA_NONE) {
        call_fail(gs, c, error);
        return;
    }
    m->sync = NEVER;
    begin_session(gs, g, m);
    a->protocol_type = q->protocol_type;
    a->protocol_name = q->protocol_name;
    if (assignment_write(gs, c->arena, &m->assigned, m->classic->protocols[0].metadata, &a->assignment))
        call_answer(gs, c);
    else
        call_fail(gs, c, KAFKA_COORDINATOR_NOT_AVAILABLE);
}

/* Somebody still has what it waits for: joining again would not help. */
static bool waits_for_others(const struct consumer_group *k, const struct consumer_member *m)
{
    for (uint32_t i = 0; i < m->target.count; i++) {
        const struct part_of *p = &m->target.all[i];
        if (parts_find(&m->assigned, p->topic, p->number) == NULL && consumer_owner(k, p->topic, p->number) != NULL)
            return true;
    }
    return false;
}

/* Kafka leaves this to heartbeats of the consumer protocol. Where only classic members are left (and the policy wants
 * no classic group), what others left behind would never be given to them. */
static void keep_going(struct groups *gs, struct group *g)
{
    struct arena a;
    const struct consumer_group *k = g->consumer;
    if (!k->refresh && k->epoch <= k->assignment_epoch) return;
    arena_init(&a, gs->mem, MEM_CONTROL, STEP_ARENA_CAP);
    if (k->refresh) consumer_refresh(gs, g, &a, false);
    consumer_assign(gs, g, &a);
    arena_deinit(&a);
}

void consumer_classic_heartbeat(struct groups *gs, struct group *g, struct group_call *c)
{
    const struct heartbeat_request *q = c->request;
    struct heartbeat_response *a = c->response;
    const struct consumer_group *k = g->consumer;
    struct consumer_member *m;
    int16_t error = find_member(k, q->member_id, q->group_instance_id, q->generation_id, &m);
    if (error != KAFKA_NONE) {
        call_fail(gs, c, error);
        return;
    }
    begin_session(gs, g, m);
    keep_going(gs, g);
    if (m->epoch < k->assignment_epoch || m->state == MEMBER_UNREVOKED ||
        (m->state == MEMBER_UNRELEASED && !waits_for_others(k, m))) {
        expect_join(gs, g, m);
        a->error_code = KAFKA_REBALANCE_IN_PROGRESS;
    }
    consumer_answer(gs, c);
}

/* ---- leave ---- */

static int16_t leaving(const struct consumer_group *k, struct str id, struct str instance,
                       struct consumer_member **ret_member)
{
    struct consumer_member *m = instance.len >= 0 ? consumer_find_instance(k, instance) : consumer_find(k, id);
    *ret_member = m;
    if (m == NULL) return KAFKA_UNKNOWN_MEMBER_ID;
    /* An administrator names the instance alone. */
    return instance.len >= 0 && id.len > 0 && !str_equal(m->id, id) ? KAFKA_FENCED_INSTANCE_ID : KAFKA_NONE;
}

static void add(struct consumer_member **members, uint32_t *count, struct consumer_member *m)
{
    for (uint32_t i = 0; i < *count; i++)
        if (members[i] == m) return; /* named twice */
    members[(*count)++] = m;
}

void consumer_classic_leave(struct groups *gs, struct group *g, struct group_call *c)
{
    const struct leave_group_request *q = c->request;
    struct leave_group_response *a = c->response;
    bool many = c->version >= MEMBERS_FROM;
    size_t n = many ? (size_t)MAX(q->members_count, 0) : 1;
    struct consumer_member **gone = call_zalloc(c, n * sizeof *gone), *m;
    uint32_t count = 0;
    if (many) a->members = call_zalloc(c, n * sizeof a->members[0]);
    if (gone == NULL || (many && a->members == NULL)) {
        call_fail(gs, c, KAFKA_COORDINATOR_NOT_AVAILABLE);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        struct str id = many ? q->members[i].member_id : q->member_id;
        struct str instance = many ? q->members[i].group_instance_id : STR_NULL;
        int16_t error = leaving(g->consumer, id, instance, &m);
        if (error == KAFKA_NONE) add(gone, &count, m);
        if (!many) {
            a->error_code = error;
            continue;
        }
        leave_group_response_member_init(&a->members[i]);
        a->members[a->members_count].member_id = id;
        a->members[a->members_count].group_instance_id = instance;
        a->members[a->members_count++].error_code = error;
    }
    consumer_fence(gs, g, gone, count);
    consumer_answer(gs, c);
}

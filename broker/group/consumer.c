// SPDX-License-Identifier: Apache-2.0
/* ConsumerGroupHeartbeat (KIP-848): the one call of a member, and what time does to members.
 *
 *   consumer_check.c         what is wrong with the request, by itself and for this group
 *   leave (-1, -2)           the member goes, or (static) may come back as another process
 *   join (0), stay (> 0)     who it is -> what it subscribes to -> group epoch -> target -> its next step -> response
 *
 * All checks come before the first record: a call that is refused has changed nothing. Records follow in Kafka's order.
 * The response tells the assignment when the member joins, asks with a full request, or has another one now.
 *
 * Time: a member whose session ends, or that does not give up partitions within its rebalance timeout, is fenced: it
 * leaves as if it had said so. Those that are due in one step go with one new group epoch.
 *
 * Failure modes: errors of the call are in its response, with a text; no memory fails the machine. */
#include "broker/group/consumer.h"
#include "base/bytes.h"
#include "base/check.h"
#include "broker/group/classic.h"
#include "broker/group/consumer_impl.h"
#include "broker/group/group_config.h"
#include "protocol/msg_consumer_group_heartbeat.h"

void consumer_answer(struct groups *gs, struct group_call *c)
{
    if (gs->status == STATUS_OK)
        call_answer(gs, c);
    else
        call_fail(gs, c, KAFKA_COORDINATOR_NOT_AVAILABLE);
}

/* ---- members that go ---- */

void consumer_drop_regexes(struct groups *gs, struct group *g)
{
    list_each (n, &g->consumer->all_regexes) {
        const struct regex_use *r = container_of(n, struct regex_use, in_all_regexes);
        if (r->members == 0) put_regex_gone(gs, g, r->text);
    }
}

void consumer_fence(struct groups *gs, struct group *g, struct consumer_member **members, uint32_t count)
{
    struct consumer_group *k = g->consumer;
    struct arena a;
    if (count == 0) return;
    if (consumer_may_downgrade(gs, g, members, count, false)) {
        consumer_downgrade(gs, g, members, count, true);
        return;
    }
    for (uint32_t i = 0; i < count; i++) put_member_gone(gs, g, members[i]);
    consumer_drop_regexes(gs, g);
    arena_init(&a, gs->mem, MEM_CONTROL, STEP_ARENA_CAP);
    consumer_refresh(gs, g, &a, true);
    arena_deinit(&a);
    if (gs->status == STATUS_OK && k->member_count == 0) put_assignment_epoch(gs, g, k->epoch, 0);
}

static void leave_for_now(struct groups *gs, struct group *g, const struct consumer_member *m)
{
    struct member_now n = {EPOCH_LEAVE_STATIC, m->previous_epoch, m->state, {NULL, 0}, {NULL, 0}};
    struct arena a;
    arena_init(&a, gs->mem, MEM_CONTROL, STEP_ARENA_CAP);
    if (parts_alloc(&a, m->assigned.count, &n.assigned)) {
        for (uint32_t i = 0; i < m->assigned.count; i++) {
            n.assigned.all[i] = m->assigned.all[i];
            n.assigned.all[i].epoch = 0; /* whoever comes back may commit from its first epoch on */
        }
        n.assigned.count = m->assigned.count;
        put_current(gs, g, &a, m->id, &n);
    } else {
        groups_fail(gs, STATUS_NO_MEMORY);
    }
    arena_deinit(&a);
}

static void leave(struct groups *gs, struct group *g, struct group_call *c)
{
    const struct consumer_group_heartbeat_request *q = c->request;
    struct consumer_group_heartbeat_response *a = c->response;
    bool is_static = q->instance_id.len >= 0;
    struct consumer_member *m =
        is_static ? consumer_find_instance(g->consumer, q->instance_id) : consumer_find(g->consumer, q->member_id);
    if (m == NULL) {
        consumer_refuse(gs, c, KAFKA_UNKNOWN_MEMBER_ID, "The member is not a member of the group.");
        return;
    }
    if (is_static && !str_equal(m->id, q->member_id)) {
        consumer_refuse(gs, c, KAFKA_FENCED_INSTANCE_ID, "The instance id is used by another member.");
        return;
    }
    a->member_id = q->member_id;
    a->member_epoch = q->member_epoch;
    if (q->member_epoch == EPOCH_LEAVE_STATIC)
        leave_for_now(gs, g, m);
    else
        consumer_fence(gs, g, &m, 1);
    consumer_answer(gs, c);
}

/* ---- what it subscribes to ---- */

struct beat { /* one heartbeat of a member that stays */
    struct groups *gs;
    struct group *g;
    struct group_call *c;
    const struct consumer_group_heartbeat_request *q;
    struct arena a;
    struct consumer_member *m;
    bool names_changed, regex_changed, assigned_changed;
};

/* A list of names as the request has it against one of ours: mostly the same names, in the same order. */
static bool same_names(const struct name_list *l, const struct str *names, int32_t count)
{
    bool same = (uint32_t)count == l->count;
    if (names == l->names) return true;
    for (int32_t i = 0; same && i < count; i++) same = str_equal(names[i], l->names[i]);
    return same;
}

/* Puts the member's record if it says anything new. */
static void subscribe(struct beat *b, struct str member_id)
{
    const struct consumer_group_heartbeat_request *q = b->q;
    const struct consumer_member *m = b->m;
    struct name_list *old_names = m != NULL ? m->names : NULL;
    struct member_text t = {.member_id = member_id, .client_id = b->c->client_id, .client_host = b->c->client_host};
    if (t.client_id.len < 0) t.client_id = STR_EMPTY;
    t.client_id.len = MIN(t.client_id.len, MEMBER_TEXT_MAX);
    t.instance = q->instance_id.len >= 0 || m == NULL ? q->instance_id : m->instance;
    t.rack = q->rack_id.len >= 0 || m == NULL ? q->rack_id : m->rack;
    t.assignor = q->server_assignor.len >= 0 || m == NULL ? q->server_assignor : m->assignor;
    t.rebalance_ms = q->rebalance_timeout_ms != -1 || m == NULL ? q->rebalance_timeout_ms : m->rebalance_ms;
    t.regex = q->subscribed_topic_regex.len >= 0 ? q->subscribed_topic_regex : m != NULL ? member_regex(m) : STR_EMPTY;
    bool names_given = q->subscribed_topic_names_count >= 0;
    t.names = names_given || m == NULL ? q->subscribed_topic_names : m->names->names;
    t.name_count = names_given ? q->subscribed_topic_names_count : m != NULL ? (int32_t)m->names->count : 0;
    struct name_list *names = old_names;
    if (names == NULL || !same_names(names, t.names, t.name_count))
        names = name_list_ref(b->gs, b->g->consumer, t.names, t.name_count);
    else
        names->refs++;
    if (names == NULL) return;
    b->names_changed = m == NULL ? names->count > 0 : names != old_names;
    b->regex_changed = !str_equal(t.regex, m != NULL ? member_regex(m) : STR_EMPTY);
    bool changed = m == NULL || names != old_names || b->regex_changed || m->classic != NULL ||
                   t.rebalance_ms != m->rebalance_ms || !str_equal(t.instance, m->instance) ||
                   !str_equal(t.rack, m->rack) || !str_equal(t.assignor, m->assignor) ||
                   !str_equal(t.client_id, m->client_id) || !str_equal(t.client_host, m->client_host);
    t.names = names->names; /* sorted, as Kafka writes them */
    t.name_count = (int32_t)names->count;
    if (changed) put_member(b->gs, b->g, &b->a, &t);
    name_list_unref(b->gs, b->g->consumer, names);
    b->m = b->gs->status == STATUS_OK ? consumer_find(b->g->consumer, member_id) : NULL;
}

/* One look at the topics at most: for the member's own new expression, else for the first that is due. True: a new
 * epoch is due. */
static bool look_up_regexes(struct beat *b)
{
    struct consumer_group *k = b->g->consumer;
    struct regex_use *r = b->m->regex;
    if (b->regex_changed) {
        consumer_drop_regexes(b->gs, b->g);
        if (r == NULL || r->topics != NULL) return true;
        return regex_look_up(b->gs, b->g, &b->a, r);
    }
    list_each (n, &k->all_regexes) {
        r = container_of(n, struct regex_use, in_all_regexes);
        if (regex_due(b->gs, r)) return regex_look_up(b->gs, b->g, &b->a, r);
    }
    return false;
}

/* ---- the response ---- */

static bool fill_assignment(struct beat *b, struct consumer_group_heartbeat_response *a)
{
    struct part_runs runs;
    if (!parts_runs(b->c->arena, &b->m->assigned, &runs)) return false;
    a->assignment.topic_partitions = call_zalloc(b->c, (size_t)runs.count * sizeof a->assignment.topic_partitions[0]);
    if (a->assignment.topic_partitions == NULL) return false;
    for (int32_t i = 0; i < runs.count; i++) {
        a->assignment.topic_partitions[i].topic_id = runs.all[i].topic;
        a->assignment.topic_partitions[i].partitions = runs.all[i].numbers;
        a->assignment.topic_partitions[i].partitions_count = runs.all[i].count;
    }
    a->assignment.topic_partitions_count = runs.count;
    a->assignment_present = true;
    return true;
}

static void respond(struct beat *b)
{
    struct consumer_group_heartbeat_response *a = b->c->response;
    const struct consumer_group_heartbeat_request *q = b->q;
    bool full = q->rebalance_timeout_ms != -1 && q->topic_partitions_count >= 0 &&
                (q->subscribed_topic_names_count >= 0 || q->subscribed_topic_regex.len >= 0);
    bool tell = q->member_epoch == EPOCH_JOIN || full || b->assigned_changed;
    a->member_epoch = b->m->epoch;
    a->heartbeat_interval_ms = group_heartbeat_ms(b->gs, b->g->id);
    if (!call_copy_str(b->c, b->m->id, &a->member_id) || (tell && !fill_assignment(b, a)))
        call_fail(b->gs, b->c, KAFKA_COORDINATOR_NOT_AVAILABLE);
    else
        consumer_answer(b->gs, b->c);
}

/* ---- join and stay ---- */

static void beat(struct beat *b, struct str member_id)
{
    struct groups *gs = b->gs;
    struct consumer_group *k = b->g->consumer;
    enum assignor asked = consumer_assignor(k);
    subscribe(b, member_id);
    if (b->m == NULL) return;
    bool bump = look_up_regexes(b);
    bump = bump || b->names_changed || asked != consumer_assignor(k);
    if (bump || b->regex_changed || k->refresh) consumer_refresh(gs, b->g, &b->a, bump);
    consumer_assign(gs, b->g, &b->a);
    struct owned_topics owned = {b->q->topic_partitions, b->q->topic_partitions_count};
    b->assigned_changed = consumer_reconcile(gs, b->g, &b->a, b->m, b->names_changed || b->regex_changed, owned);
}

/* Of Kafka's form: a version 4 uuid in base 64. */
struct str consumer_new_member_id(struct groups *gs, struct arena *a)
{
    char *text = arena_alloc(a, UUID_TEXT_SIZE);
    if (text == NULL) return STR_NULL;
    do {
        struct uuid id;
        for (uint32_t i = 0; i < 2; i++) store_be64(id.b + 8 * i, prng_next(&gs->random));
        id.b[6] = (uint8_t)((id.b[6] & 0x0f) | 0x40);
        id.b[8] = (uint8_t)((id.b[8] & 0x3f) | 0x80);
        uuid_text(id, text);
    } while (text[0] == '-');
    return (struct str){text, UUID_TEXT_SIZE - 1};
}

static void stay(struct beat *b)
{
    struct groups *gs = b->gs;
    struct str id = b->q->member_id.len > 0 ? b->q->member_id : consumer_new_member_id(gs, &b->a);
    if (id.len < 0) groups_fail(gs, STATUS_NO_MEMORY);
    bool returns = b->q->member_epoch == EPOCH_JOIN && b->q->instance_id.len >= 0 && b->m != NULL;
    if (returns && gs->status == STATUS_OK) b->m = put_replaced(gs, b->g, &b->a, b->m, id);
    if (gs->status == STATUS_OK) beat(b, id);
    if (gs->status != STATUS_OK) {
        call_fail(gs, b->c, KAFKA_COORDINATOR_NOT_AVAILABLE);
        return;
    }
    b->m->session = mono_add(gs->now, group_session_ms(gs, b->g->id) * NS_PER_MS);
    b->m->join = b->m->sync = NEVER; /* it may have spoken the classic protocol before */
    group_wake_by(b->g, b->m->session);
    respond(b);
}

void consumer_heartbeat(struct groups *gs, struct group *g, struct group_call *c)
{
    const struct consumer_group_heartbeat_request *q = c->request;
    struct beat b = {.gs = gs, .g = g, .c = c, .q = q};
    if (q->member_epoch < 0 && g->type == GROUP_CONSUMER) {
        leave(gs, g, c);
    } else if (consumer_admit(gs, g, c, &b.m)) {
        arena_init(&b.a, gs->mem, MEM_CONTROL, STEP_ARENA_CAP);
        stay(&b);
        arena_deinit(&b.a);
    } else if (!c->answered) {
        call_fail(gs, c, KAFKA_COORDINATOR_NOT_AVAILABLE);
    }
}

/* ---- time ---- */

void consumer_wake(struct group *g, const struct consumer_member *m)
{
    group_wake_by(g, m->session);
    group_wake_by(g, m->rebalance);
    group_wake_by(g, m->join);
    group_wake_by(g, m->sync);
}

static bool is_due(const struct groups *gs, const struct consumer_member *m)
{
    bool rebalance = m->rebalance.v <= gs->now.v && m->state == MEMBER_UNREVOKED && m->epoch == m->rebalance_epoch;
    return rebalance || m->session.v <= gs->now.v || m->join.v <= gs->now.v || m->sync.v <= gs->now.v;
}

void consumer_tick(struct groups *gs, struct group *g)
{
    struct consumer_group *k = g->consumer;
    struct consumer_member **due;
    uint32_t n = 0;
    struct arena a;
    arena_init(&a, gs->mem, MEM_CONTROL, STEP_ARENA_CAP);
    due = arena_alloc(&a, k->member_count * sizeof *due);
    if (due != NULL) {
        list_each (node, &k->all) {
            struct consumer_member *m = container_of(node, struct consumer_member, in_all);
            if (m->rebalance.v <= gs->now.v && !is_due(gs, m)) m->rebalance = NEVER; /* it left that epoch */
            if (is_due(gs, m))
                due[n++] = m;
            else
                consumer_wake(g, m);
        }
        consumer_fence(gs, g, due, n);
    } else {
        groups_fail(gs, STATUS_NO_MEMORY);
    }
    arena_deinit(&a);
}

/* Sessions begin anew: a coordinator that has just come cannot know who was silent. */
void consumer_loaded(struct groups *gs, struct group *g)
{
    list_each (n, &g->consumer->all) {
        struct consumer_member *m = container_of(n, struct consumer_member, in_all);
        m->session = mono_add(gs->now, group_session_ms(gs, g->id) * NS_PER_MS);
        if (m->state == MEMBER_UNREVOKED) {
            m->rebalance = mono_add(gs->now, m->rebalance_ms * NS_PER_MS);
            m->rebalance_epoch = m->epoch;
        }
        consumer_wake(g, m);
    }
}

void consumer_stop(struct groups *gs, struct group *g)
{
    (void)gs;
    (void)g; /* no call ever waits here */
}

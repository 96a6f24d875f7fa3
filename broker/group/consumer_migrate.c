// SPDX-License-Identifier: Apache-2.0
/* Groups that change their kind (consumer.h), as group.consumer.migration.policy allows:
 *
 *   classic, no members        -> consumer   by the first join of the new protocol, always
 *   classic with members       -> consumer   likewise (upgrade): the members stay, as classic ones in a consumer group;
 *                                            calls that wait end with REBALANCE_IN_PROGRESS
 *   consumer, no members       -> classic    by JoinGroup, always
 *   consumer, classic members  -> classic    when the last one of the consumer protocol leaves (downgrade); a new
 *                                            generation begins
 *
 * What the old group was is written down in the step's arena, its tombstones are put, then the records of the new one.
 *
 * Failure modes: a group that may not or cannot change (other protocol, custom assignor, malformed subscription) stays;
 * no memory fails the machine. */
#include "base/bytes.h"
#include "base/check.h"
#include "broker/group/classic_impl.h"
#include "broker/group/consumer_embedded.h"
#include "protocol/msg_record_group_metadata.h"
#include <stdlib.h>

#define GROUP_RECORD_MAX ((size_t)8 << 20) /* what a GroupMetadata record may become: it must fit a batch */

/* ---- upgrade ---- */

struct mover { /* a member on its way from a classic group */
    struct member_text text;
    struct consumer_protocol_subscription subscription;
    struct parts assigned;
    int32_t session_ms;
};

static struct classic_side *keep_protocols(struct arena *a, const struct classic_member *m)
{
    struct classic_side *s = arena_zalloc(a, sizeof *s + m->protocol_count * sizeof s->protocols[0]);
    if (s == NULL) return NULL;
    s->session_ms = m->session_ms;
    s->count = m->protocol_count;
    for (uint32_t i = 0; i < m->protocol_count; i++)
        if (!keep_str(a, m->protocols[i].name->name, &s->protocols[i].name) ||
            !keep_bytes(a, m->protocols[i].metadata, &s->protocols[i].metadata))
            return NULL;
    return s;
}

/* The group's protocol is what a classic member in a consumer group has first; so it is put in front. */
static void put_in_front(struct classic_side *s, struct str protocol)
{
    for (uint32_t i = 1; i < s->count; i++) {
        if (!str_equal(s->protocols[i].name, protocol)) continue;
        struct str name = s->protocols[i].name;
        struct bytes metadata = s->protocols[i].metadata;
        for (uint32_t j = i; j > 0; j--) s->protocols[j] = s->protocols[j - 1];
        s->protocols[0].name = name;
        s->protocols[0].metadata = metadata;
        return;
    }
}

static enum embedded take_mover(struct groups *gs, struct arena *a, const struct classic_group *cg,
                                const struct classic_member *m, struct str protocol, struct mover *v)
{
    struct classic_side *classic = keep_protocols(a, m);
    struct bytes assignment;
    *v = (struct mover){.session_ms = m->session_ms, .text = {.rebalance_ms = m->rebalance_ms, .classic = classic}};
    v->text.rack = v->text.assignor = STR_NULL;
    v->text.regex = STR_EMPTY;
    if (classic == NULL || !keep_str(a, m->id, &v->text.member_id) || !keep_str(a, m->instance, &v->text.instance) ||
        !keep_str(a, m->client_id, &v->text.client_id) || !keep_str(a, m->client_host, &v->text.client_host) ||
        !keep_bytes(a, m->assignment, &assignment))
        return EMBEDDED_NO_MEMORY;
    if (classic->count == 0) return EMBEDDED_MALFORMED;
    put_in_front(classic, protocol);
    enum embedded e = assignment_read(gs, a, assignment, cg->generation, &v->assigned);
    if (e != EMBEDDED_OK) return e;
    e = subscription_read(a, classic->protocols[0].metadata, &v->subscription);
    if (e != EMBEDDED_OK) return e;
    v->text.names = v->subscription.topics;
    v->text.name_count = v->subscription.topics_count;
    if (v->subscription.rack_id.len > 0) v->text.rack = v->subscription.rack_id;
    return EMBEDDED_OK;
}

static bool may_upgrade(const struct groups *gs, const struct classic_group *cg)
{
    const struct group_settings *s = gs->settings;
    return (s->migration == MIGRATION_UPGRADE || s->migration == MIGRATION_BIDIRECTIONAL) &&
           str_equal(cg->protocol_type, STR("consumer")) &&
           (int64_t)cg->member_count < MIN(s->consumer_size_max, MEMBERS_MAX); /* the one that comes needs a place */
}

static int by_name(const void *x, const void *y)
{
    const struct str *p = x, *q = y;
    int order = memcmp(p->data, q->data, (size_t)MIN(p->len, q->len));
    return order != 0 ? order : (p->len > q->len) - (p->len < q->len);
}

/* In Kafka's order: all subscriptions, the epoch, all targets, their epoch, what all have. */
static void put_upgraded(struct groups *gs, struct group *g, struct arena *a, struct mover *movers, uint32_t count,
                         int32_t generation)
{
    for (uint32_t i = 0; i < count; i++) {
        struct member_text *t = &movers[i].text;
        qsort(movers[i].subscription.topics, (size_t)t->name_count, sizeof t->names[0], by_name);
        put_member(gs, g, a, t);
    }
    if (gs->status != STATUS_OK) return;
    put_epoch(gs, g, generation, consumer_metadata_hash(gs, g->consumer, a));
    for (uint32_t i = 0; i < count; i++) put_target(gs, g, a, movers[i].text.member_id, &movers[i].assigned);
    put_assignment_epoch(gs, g, generation, 0);
    for (uint32_t i = 0; i < count; i++) {
        struct member_now n = {generation, generation, MEMBER_STABLE, movers[i].assigned, {NULL, 0}};
        put_current(gs, g, a, movers[i].text.member_id, &n);
    }
    for (uint32_t i = 0; i < count && gs->status == STATUS_OK; i++) {
        struct consumer_member *m = consumer_find(g->consumer, movers[i].text.member_id);
        m->session = mono_add(gs->now, movers[i].session_ms * NS_PER_MS);
        group_wake_by(g, m->session);
    }
}

/* A custom assignor may have given a partition to two members; here that cannot be. */
static enum embedded check_disjoint(struct arena *a, const struct mover *movers, uint32_t count)
{
    struct parts all;
    uint32_t max = 0;
    for (uint32_t i = 0; i < count; i++) max += movers[i].assigned.count;
    if (!parts_alloc(a, max, &all)) return EMBEDDED_NO_MEMORY;
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t j = 0; j < movers[i].assigned.count; j++) all.all[all.count++] = movers[i].assigned.all[j];
    parts_sort(&all);
    return all.count == max ? EMBEDDED_OK : EMBEDDED_CUSTOM;
}

static enum embedded take_movers(struct groups *gs, struct arena *a, const struct classic_group *cg,
                                 struct mover *movers)
{
    struct str protocol = cg->protocol.len >= 0 ? cg->protocol : classic_elect_protocol(cg);
    uint32_t count = 0;
    list_each (n, &cg->members) {
        const struct classic_member *m = container_of(n, struct classic_member, in_list);
        enum embedded e = take_mover(gs, a, cg, m, protocol, &movers[count++]);
        if (e != EMBEDDED_OK) return e;
    }
    return check_disjoint(a, movers, count);
}

static bool upgrade(struct groups *gs, struct group *g, struct arena *a)
{
    const struct classic_group *cg = g->classic;
    struct group_metadata_key k = {.group = g->id};
    int32_t generation = cg->generation;
    uint32_t count = cg->member_count;
    struct mover *movers = arena_zalloc(a, count * sizeof *movers);
    enum embedded e = movers != NULL ? take_movers(gs, a, cg, movers) : EMBEDDED_NO_MEMORY;
    if (e == EMBEDDED_NO_MEMORY) groups_fail(gs, STATUS_NO_MEMORY);
    if (e != EMBEDDED_OK) return false;
    group_put(gs, GROUP_METADATA_RECORD, &k, NULL); /* ends the calls that wait */
    if (gs->status != STATUS_OK || !become_consumer(gs, g)) return false;
    put_upgraded(gs, g, a, movers, count, generation);
    return gs->status == STATUS_OK;
}

bool consumer_from_classic(struct groups *gs, struct group *g)
{
    CHECK(g->type == GROUP_CLASSIC);
    if (!classic_is_empty(g)) {
        struct arena a;
        if (!may_upgrade(gs, g->classic)) return false;
        arena_init(&a, gs->mem, MEM_CONTROL, STEP_ARENA_CAP);
        bool done = upgrade(gs, g, &a);
        arena_deinit(&a);
        return done;
    }
    classic_put_gone(gs, g);
    return gs->status == STATUS_OK && become_consumer(gs, g);
}

/* ---- downgrade ---- */

bool consumer_to_classic(struct groups *gs, struct group *g)
{
    CHECK(g->type == GROUP_CONSUMER && consumer_is_empty(g));
    consumer_put_gone(gs, g);
    return gs->status == STATUS_OK;
}

static bool among(struct consumer_member *const *members, uint32_t count, const struct consumer_member *m)
{
    for (uint32_t i = 0; i < count; i++)
        if (members[i] == m) return true;
    return false;
}

static size_t record_bytes(const struct consumer_group *k)
{
    size_t bytes = 0;
    list_each (n, &k->all) {
        const struct consumer_member *m = container_of(n, struct consumer_member, in_all);
        bytes += (size_t)m->id.len + (size_t)m->client_id.len + (size_t)m->client_host.len + 100 + m->target.count * 4;
        bytes += m->classic != NULL ? m->classic->bytes : 0;
    }
    return bytes;
}

bool consumer_may_downgrade(const struct groups *gs, const struct group *g, struct consumer_member *const *members,
                            uint32_t count, bool replaced)
{
    const struct consumer_group *k = g->consumer;
    enum group_migration policy = gs->settings->migration;
    uint32_t classic = k->classic_count, left = k->member_count - (replaced ? 0 : count);
    for (uint32_t i = 0; i < count; i++) classic -= members[i]->classic != NULL;
    if (replaced && members[0]->classic != NULL) return false;
    if (classic != k->member_count - count || left == 0) return false;
    if (policy != MIGRATION_DOWNGRADE && policy != MIGRATION_BIDIRECTIONAL) return false;
    return (int64_t)left <= gs->settings->size_max && record_bytes(k) <= GROUP_RECORD_MAX;
}

/* The first protocol of the first member that all support; there is one, since all had to fit (consumer_classic.c). */
static struct str shared_protocol(const struct consumer_group *k, struct consumer_member *const *leaving,
                                  uint32_t count)
{
    const struct classic_side *first = NULL;
    list_each (n, &k->all) {
        const struct consumer_member *m = container_of(n, struct consumer_member, in_all);
        if (first == NULL && !among(leaving, count, m)) first = m->classic;
    }
    for (uint32_t i = 0; first != NULL && i < first->count; i++) {
        bool all = true;
        list_each (n, &k->all) {
            const struct consumer_member *m = container_of(n, struct consumer_member, in_all);
            if (!among(leaving, count, m) && classic_side_metadata(m->classic, first->protocols[i].name).len < 0)
                all = false;
        }
        if (all) return first->protocols[i].name;
    }
    return STR_NULL;
}

struct bytes classic_side_metadata(const struct classic_side *s, struct str protocol)
{
    for (uint32_t i = 0; i < s->count; i++)
        if (str_equal(s->protocols[i].name, protocol)) return s->protocols[i].metadata;
    return BYTES_NULL;
}

static bool fill_member(struct groups *gs, struct arena *a, const struct consumer_member *m, struct str protocol,
                        struct group_metadata_value_member *r)
{
    group_metadata_value_member_init(r);
    r->rebalance_timeout = m->rebalance_ms;
    r->session_timeout = m->classic->session_ms;
    struct bytes metadata = classic_side_metadata(m->classic, protocol);
    return keep_str(a, m->id, &r->member_id) && keep_str(a, m->instance, &r->group_instance_id) &&
           keep_str(a, m->client_id, &r->client_id) && keep_str(a, m->client_host, &r->client_host) &&
           keep_bytes(a, metadata, &r->subscription) && assignment_write(gs, a, &m->target, metadata, &r->assignment);
}

static bool fill_group(struct groups *gs, struct group *g, struct arena *a, struct consumer_member *const *leaving,
                       uint32_t count, struct group_metadata_value *v)
{
    const struct consumer_group *k = g->consumer;
    struct str protocol = shared_protocol(k, leaving, count);
    group_metadata_value_init(v);
    v->protocol_type = STR("consumer");
    v->generation = k->epoch;
    v->current_state_timestamp = gs->wall.v;
    v->members = arena_alloc(a, k->member_count * sizeof v->members[0]);
    CHECK(protocol.len >= 0);
    if (v->members == NULL || !keep_str(a, protocol, &v->protocol)) return false;
    list_each (n, &k->all) {
        const struct consumer_member *m = container_of(n, struct consumer_member, in_all);
        if (among(leaving, count, m)) continue;
        if (!fill_member(gs, a, m, protocol, &v->members[v->members_count++])) return false;
    }
    v->leader = v->members[0].member_id;
    return true;
}

void consumer_downgrade(struct groups *gs, struct group *g, struct consumer_member *const *leaving, uint32_t count,
                        bool rebalance)
{
    struct group_metadata_key k = {.group = g->id};
    struct group_metadata_value v;
    struct arena a;
    arena_init(&a, gs->mem, MEM_CONTROL, STEP_ARENA_CAP);
    if (fill_group(gs, g, &a, leaving, count, &v)) {
        consumer_put_gone(gs, g);
        group_put(gs, GROUP_METADATA_RECORD, &k, &v);
        if (gs->status == STATUS_OK && rebalance) classic_prepare(gs, g);
    } else {
        groups_fail(gs, STATUS_NO_MEMORY);
    }
    arena_deinit(&a);
}

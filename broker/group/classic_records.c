// SPDX-License-Identifier: Apache-2.0
/* The GroupMetadata record of a classic group: what is put, and what a record does, in life and at load.
 *
 * A record says everything that survives, so it replaces everything; a member that it names and that is there already
 * (in life all are) keeps what the record does not know: its other protocols, its session, its waiting calls.
 *
 * Failure modes: no memory fails the machine. A record that no coordinator writes (a leader who is no member, two
 * members with one instance id) is taken as far as it makes sense. */
#include "base/check.h"
#include "broker/group/classic_impl.h"
#include "broker/group/consumer.h"
#include "protocol/msg_record_group_metadata.h"

int32_t classic_next_generation(const struct classic_group *cg)
{
    return cg->generation >= 0 && cg->generation < INT32_MAX ? cg->generation + 1 : 1;
}

/* ---- put ---- */

static void fill_member(const struct classic_group *cg, const struct classic_member *m, bool given,
                        struct group_metadata_value_member *r)
{
    group_metadata_value_member_init(r);
    r->member_id = m->id;
    r->group_instance_id = m->instance;
    r->client_id = m->client_id;
    r->client_host = m->client_host;
    r->rebalance_timeout = m->rebalance_ms;
    r->session_timeout = m->session_ms;
    r->subscription = classic_metadata(m, cg->protocol);
    r->assignment = given ? m->given : m->assignment;
}

void classic_put(struct groups *gs, struct group *g, int32_t generation, bool given)
{
    const struct classic_group *cg = g->classic;
    struct group_metadata_key k = {.group = g->id};
    struct group_metadata_value v;
    size_t bytes = cg->member_count * sizeof *v.members;
    group_metadata_value_init(&v);
    v.protocol_type = str_or_empty(cg->protocol_type);
    v.generation = generation;
    v.protocol = cg->member_count > 0 ? cg->protocol : STR_NULL;
    v.leader = classic_leader_id(cg);
    v.current_state_timestamp = gs->wall.v;
    v.members = bytes > 0 ? mem_alloc(gs->mem, MEM_CONTROL, bytes) : NULL;
    if (bytes > 0 && v.members == NULL) {
        groups_fail(gs, STATUS_NO_MEMORY);
        return;
    }
    list_each (n, &cg->members) {
        CHECK(v.members != NULL && (uint32_t)v.members_count < cg->member_count);
        fill_member(cg, container_of(n, struct classic_member, in_list), given, &v.members[v.members_count++]);
    }
    group_put(gs, GROUP_METADATA_RECORD, &k, &v);
    mem_free(gs->mem, MEM_CONTROL, v.members, bytes);
}

void classic_put_gone(struct groups *gs, struct group *g)
{
    struct group_metadata_key k = {.group = g->id};
    if (g->classic->recorded) group_put(gs, GROUP_METADATA_RECORD, &k, NULL);
}

/* ---- apply ---- */

static bool replace_str(struct groups *gs, struct str *at, struct str s)
{
    struct str copy;
    if (str_equal(*at, s)) return true;
    if (!groups_copy_str(gs, s, &copy)) return false;
    groups_free_str(gs, *at);
    *at = copy;
    return true;
}

static bool replace_bytes(struct groups *gs, struct bytes *at, struct bytes b)
{
    struct bytes copy;
    if (b.len == at->len && (b.len <= 0 || memcmp(at->data, b.data, (size_t)b.len) == 0)) return true;
    if (!groups_copy_bytes(gs, b, &copy)) return false;
    groups_free_bytes(gs, *at);
    *at = copy;
    return true;
}

static void remove_member(struct groups *gs, struct classic_group *cg, struct classic_member *m)
{
    classic_end_calls(gs, cg, m, KAFKA_REBALANCE_IN_PROGRESS, m->id);
    classic_remove(gs, cg, m);
}

static void clear(struct groups *gs, struct classic_group *cg)
{
    list_each (n, &cg->members) remove_member(gs, cg, container_of(n, struct classic_member, in_list));
    list_each (n, &cg->pending) classic_remove(gs, cg, container_of(n, struct classic_member, in_list));
    classic_forget_topics(gs, cg);
    groups_free_str(gs, cg->protocol);
    groups_free_str(gs, cg->protocol_type);
    cg->protocol = cg->protocol_type = STR_NULL;
    cg->state = CLASSIC_EMPTY;
    cg->generation = 0;
    cg->since_ms = gs->loading ? -1 : gs->wall.v;
    cg->join_ends = cg->sync_ends = NEVER;
    cg->recorded = false;
}

static bool is_as_recorded(const struct classic_member *m, const struct member_spec *spec)
{
    if (!str_equal(m->instance, spec->instance) || !str_equal(m->client_id, spec->client_id) ||
        !str_equal(m->client_host, spec->client_host) || m->session_ms != spec->session_ms ||
        m->rebalance_ms != spec->rebalance_ms)
        return false;
    for (uint32_t i = 0; i < m->protocol_count; i++)
        if (str_equal(m->protocols[i].name->name, spec->protocols->name)) {
            struct bytes metadata = m->protocols[i].metadata, recorded = spec->protocols->metadata;
            return metadata.len == recorded.len &&
                   (metadata.len <= 0 || memcmp(metadata.data, recorded.data, (size_t)metadata.len) == 0);
        }
    return false;
}

static struct classic_member *make_member(struct groups *gs, struct classic_group *cg, struct str id,
                                          const struct member_spec *spec)
{
    struct str copy;
    struct member_spec own = *spec;
    if (classic_find_static(cg, spec->instance) != NULL) own.instance = STR_NULL;
    if (!groups_copy_str(gs, id, &copy)) return NULL;
    struct classic_member *m = classic_add(gs, cg, copy);
    return m != NULL && classic_admit(gs, cg, m, &own) ? m : NULL;
}

static void apply_member(struct groups *gs, struct group *g, const struct group_metadata_value *v,
                         const struct group_metadata_value_member *r)
{
    struct classic_group *cg = g->classic;
    struct protocol_spec protocol = {str_or_empty(v->protocol), r->subscription};
    struct member_spec spec = {.instance = r->group_instance_id,
                               .client_id = r->client_id,
                               .client_host = r->client_host,
                               .session_ms = r->session_timeout,
                               .rebalance_ms = r->rebalance_timeout >= 0 ? r->rebalance_timeout : r->session_timeout,
                               .protocols = &protocol,
                               .protocol_count = 1};
    struct classic_member *m = classic_find(cg, r->member_id);
    if (m != NULL && !is_as_recorded(m, &spec)) {
        CHECK(gs->loading); /* in life the record was made from the member */
        remove_member(gs, cg, m);
        m = NULL;
    }
    if (m == NULL) {
        m = make_member(gs, cg, r->member_id, &spec);
        if (m == NULL) return;
        if (!gs->loading) classic_session_begin(gs, g, m);
    }
    if (!replace_bytes(gs, &m->assignment, r->assignment)) return;
    list_remove(&m->in_list); /* to the record's order */
    list_push_back(&cg->members, &m->in_list);
}

static void drop_unnamed(struct groups *gs, struct classic_group *cg, const struct group_metadata_value *v)
{
    list_each (n, &cg->members) container_of(n, struct classic_member, in_list)->named = false;
    for (int32_t i = 0; i < v->members_count; i++) {
        struct classic_member *m = classic_find(cg, v->members[i].member_id);
        if (m != NULL) m->named = true;
    }
    list_each (n, &cg->members) {
        struct classic_member *m = container_of(n, struct classic_member, in_list);
        if (!m->named) remove_member(gs, cg, m);
    }
}

/* A consumer group that became a classic one. */
static bool become_classic(struct groups *gs, struct group *g)
{
    if (g->type == GROUP_CLASSIC) return true;
    if (!classic_create(gs, g)) return false;
    consumer_destroy(gs, g);
    g->type = GROUP_CLASSIC;
    return true;
}

void classic_apply(struct groups *gs, struct group *g, const void *key, const void *value)
{
    const struct group_metadata_value *v = value;
    (void)key; /* its group is g */
    if (v == NULL) {
        if (g->type == GROUP_CLASSIC) clear(gs, g->classic);
        return;
    }
    if (!become_classic(gs, g)) return;
    struct classic_group *cg = g->classic;
    drop_unnamed(gs, cg, v);
    for (int32_t i = 0; i < v->members_count; i++) apply_member(gs, g, v, &v->members[i]);
    if (!replace_str(gs, &cg->protocol_type, v->protocol_type.len > 0 ? v->protocol_type : STR_NULL)) return;
    if (!replace_str(gs, &cg->protocol, cg->member_count > 0 ? str_or_empty(v->protocol) : STR_NULL)) return;
    struct classic_member *leader = classic_find(cg, v->leader);
    if (leader != NULL && !leader->pending) cg->leader = leader;
    bool learned = cg->state == CLASSIC_COMPLETING; /* when the generation began */
    cg->generation = v->generation;
    cg->state = cg->member_count > 0 ? CLASSIC_STABLE : CLASSIC_EMPTY;
    cg->since_ms = v->current_state_timestamp;
    cg->recorded = true;
    if (!learned && !gs->loading) classic_learn_topics(gs, cg);
}

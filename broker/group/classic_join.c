// SPDX-License-Identifier: Apache-2.0
/* JoinGroup of classic groups, as Apache Kafka 4.4 does it.
 *
 * Path: checks -> new member: its id first (version 4 on, dynamic: MEMBER_ID_REQUIRED, and it comes again with the id),
 * else let in -> the rebalance begins or goes on -> the call waits; classic_rebalance.c answers it. A member that is
 * known and comes with nothing new is answered at once with the generation that stands; a static one that comes without
 * its id takes its old place under a new id, and the old id is fenced.
 *
 * A newer JoinGroup of a member that still waits in an older one ends that with REBALANCE_IN_PROGRESS: the member keeps
 * its id and comes again, if there is anybody to read it. (Kafka never answers it.)
 *
 * Failure modes: what the client did wrong is its error code; a group that would hold too much is
 * GROUP_MAX_SIZE_REACHED; no memory to spare is COORDINATOR_NOT_AVAILABLE, and the client comes again. */
#include "base/check.h"
#include "broker/group/classic_impl.h"
#include "protocol/msg_join_group.h"

#define ID_REQUIRED_FROM     4 /* a dynamic member comes twice: for its id, and with it */
#define SKIP_ASSIGNMENT_FROM 9 /* a leader may be told that nothing is to be assigned */
#define ID_PREFIX_BYTES      255

struct join { /* one JoinGroup */
    struct groups *gs;
    struct group *g;
    struct classic_group *cg;
    struct group_call *c;
    const struct join_group_request *q;
    struct member_spec spec;
};

/* ---- what it asks for ---- */

/* Each name once: the first stands. False: no room in the arena. */
static bool read_protocols(const struct join_group_request *q, struct group_call *c, struct member_spec *ret_spec)
{
    uint32_t all = (uint32_t)MAX(q->protocols_count, 0), n = 0;
    if (all > CLASSIC_PROTOCOLS_MAX) all = CLASSIC_PROTOCOLS_MAX + 1; /* refused anyway */
    struct protocol_spec *list = call_zalloc(c, all * sizeof *list);
    if (list == NULL) return false;
    for (uint32_t i = 0; i < all; i++) {
        uint32_t same = 0;
        while (same < n && !str_equal(list[same].name, q->protocols[i].name)) same++;
        if (same == n) list[n++] = (struct protocol_spec){q->protocols[i].name, q->protocols[i].metadata};
    }
    ret_spec->protocols = list;
    ret_spec->protocol_count = all > CLASSIC_PROTOCOLS_MAX ? all : n;
    return true;
}

static bool read_spec(const struct join_group_request *q, struct group_call *c, struct member_spec *ret_spec)
{
    *ret_spec = (struct member_spec){
        .instance = q->group_instance_id,
        .client_id = str_or_empty(c->client_id),
        .client_host = str_or_empty(c->client_host),
        .session_ms = q->session_timeout_ms,
        /* version 0 has none: -1 */
        .rebalance_ms = q->rebalance_timeout_ms >= 0 ? q->rebalance_timeout_ms : q->session_timeout_ms,
    };
    return read_protocols(q, c, ret_spec);
}

static void refuse(const struct join *j, int16_t error)
{
    classic_refuse_join(j->gs, j->c, error, j->q->member_id);
}

/* ---- may it come in ---- */

/* group.max.size, counted in Preparing over those that have joined, so that the last to come are left out. */
static bool has_place(const struct join *j, const struct classic_member *m)
{
    const struct classic_group *cg = j->cg;
    uint32_t max = (uint32_t)MAX(j->gs->settings->size_max, 0);
    bool member = m != NULL && !m->pending;
    if (cg->state == CLASSIC_EMPTY) return true;
    if (cg->state == CLASSIC_PREPARING) return (member && m->joining) || cg->joining_count < max;
    return member || cg->member_count < max;
}

/* May the group hold this in place of what m has (NULL: nothing)? Answers the call if not. */
static bool has_memory(const struct join *j, const struct classic_member *m)
{
    size_t bytes = classic_spec_bytes(j->q->member_id, &j->spec);
    size_t others = j->cg->metadata_bytes - (m != NULL ? m->metadata_bytes : 0);
    if (others + bytes > CLASSIC_METADATA_BYTES_MAX) {
        refuse(j, KAFKA_GROUP_MAX_SIZE_REACHED);
        return false;
    }
    bool room =
        m != NULL ? mem_has_room(j->gs->mem, MEM_CONTROL, bytes + CLASSIC_SPARE_BYTES) : groups_have_room(j->gs);
    if (!room) {
        refuse(j, KAFKA_COORDINATOR_NOT_AVAILABLE);
        return false;
    }
    return true;
}

/* ---- the member waits ---- */

static void wait_for_generation(const struct join *j, struct classic_member *m)
{
    struct classic_group *cg = j->cg;
    if (m->join_call != NULL) classic_refuse_join(j->gs, m->join_call, KAFKA_REBALANCE_IN_PROGRESS, m->id);
    classic_set_joining(cg, m, true);
    call_hold(j->c, &m->join_call);
}

static void failed(const struct join *j)
{
    CHECK(j->gs->status != STATUS_OK);
    refuse(j, KAFKA_COORDINATOR_NOT_AVAILABLE);
}

static void let_in(const struct join *j, struct classic_member *m)
{
    struct classic_group *cg = j->cg;
    if (cg->member_count == 0) {
        struct str type;
        if (!groups_copy_str(j->gs, j->q->protocol_type, &type)) {
            failed(j);
            return;
        }
        groups_free_str(j->gs, cg->protocol_type);
        cg->protocol_type = type;
    }
    if (!classic_admit(j->gs, cg, m, &j->spec)) {
        failed(j);
        return;
    }
    m->is_new = true;
    if (cg->state == CLASSIC_PREPARING && cg->first) cg->more_came = true;
    wait_for_generation(j, m);
    m->session_ends = mono_add(j->gs->now, NEW_MEMBER_MS * NS_PER_MS);
    group_wake_by(j->g, m->session_ends);
    classic_prepare_or_complete(j->gs, j->g);
}

static void update_and_wait(const struct join *j, struct classic_member *m)
{
    if (!has_memory(j, m)) return;
    if (!classic_update(j->gs, j->cg, m, &j->spec)) {
        failed(j);
        return;
    }
    wait_for_generation(j, m);
    classic_prepare_or_complete(j->gs, j->g);
}

/* ---- new members ---- */

/* Short enough for a member id, not cut inside a character. */
static struct str id_prefix(struct str s)
{
    if (s.len <= ID_PREFIX_BYTES) return s;
    s.len = ID_PREFIX_BYTES;
    while (s.len > 0 && ((uint8_t)s.data[s.len] & 0xc0) == 0x80) s.len--;
    return s;
}

static struct str new_id(const struct join *j)
{
    return groups_new_member_id(j->gs, id_prefix(j->spec.instance.len >= 0 ? j->spec.instance : j->spec.client_id));
}

static struct classic_member *add_pending(const struct join *j)
{
    struct str id = new_id(j);
    struct classic_member *m = id.data != NULL ? classic_add(j->gs, j->cg, id) : NULL;
    if (m == NULL) failed(j);
    return m;
}

static void give_id(const struct join *j)
{
    if (j->cg->pending_count >= CLASSIC_PENDING_MAX) {
        refuse(j, KAFKA_COORDINATOR_NOT_AVAILABLE);
        return;
    }
    struct classic_member *m = add_pending(j);
    if (m == NULL) return;
    m->session_ms = j->spec.session_ms;
    classic_session_begin(j->gs, j->g, m);
    classic_refuse_join(j->gs, j->c, KAFKA_MEMBER_ID_REQUIRED, m->id);
}

/* The place of a static member goes over to a new id; the generation may stand, and then the log learns the id now. */
static void take_place(const struct join *j, struct classic_member *m)
{
    struct classic_group *cg = j->cg;
    if (!has_memory(j, m)) return;
    struct str id = new_id(j), old_leader;
    if (id.data == NULL || !call_copy_str(j->c, classic_leader_id(cg), &old_leader)) {
        groups_free_str(j->gs, id);
        refuse(j, KAFKA_COORDINATOR_NOT_AVAILABLE);
        return;
    }
    classic_end_calls(j->gs, cg, m, KAFKA_FENCED_INSTANCE_ID, m->id);
    classic_rename(j->gs, cg, m, id);
    m->is_new = false;
    if (!classic_update(j->gs, cg, m, &j->spec)) {
        failed(j);
        return;
    }
    classic_session_begin(j->gs, j->g, m);
    if (cg->state != CLASSIC_STABLE || !str_equal(classic_elect_protocol(cg), cg->protocol)) {
        wait_for_generation(j, m);
        classic_prepare_or_complete(j->gs, j->g);
        return;
    }
    classic_put(j->gs, j->g, cg->generation, false);
    if (j->gs->status != STATUS_OK) {
        failed(j);
        return;
    }
    bool leads = cg->leader == m, told = j->c->version >= SKIP_ASSIGNMENT_FROM;
    classic_answer_join(j->gs, j->g, m, j->c, told ? classic_leader_id(cg) : old_leader, told && leads);
}

static void join_new(const struct join *j)
{
    struct classic_member *known = classic_find_static(j->cg, j->spec.instance);
    if (known != NULL) {
        take_place(j, known);
    } else if (j->spec.instance.len < 0 && j->c->version >= ID_REQUIRED_FROM) {
        give_id(j);
    } else if (has_memory(j, NULL)) {
        struct classic_member *m = add_pending(j);
        if (m != NULL) let_in(j, m);
    }
}

/* ---- known members ---- */

static void join_known(const struct join *j, struct classic_member *m)
{
    const struct classic_group *cg = j->cg;
    bool same = classic_same_protocols(m, &j->spec);
    switch (cg->state) {
    case CLASSIC_PREPARING: update_and_wait(j, m); break;
    case CLASSIC_COMPLETING: /* the same: it has not got the answer, perhaps */
        if (same)
            classic_answer_join(j->gs, j->g, m, j->c, classic_leader_id(cg), false);
        else
            update_and_wait(j, m);
        break;
    case CLASSIC_STABLE: /* a leader comes again to have something assigned anew */
        if (same && cg->leader != m)
            classic_answer_join(j->gs, j->g, m, j->c, classic_leader_id(cg), false);
        else
            update_and_wait(j, m);
        break;
    case CLASSIC_EMPTY: refuse(j, KAFKA_UNKNOWN_MEMBER_ID); break;
    }
}

static void join_by_id(const struct join *j, struct classic_member *m)
{
    if (m != NULL && m->pending) {
        if (j->spec.instance.len >= 0)
            refuse(j, KAFKA_UNKNOWN_SERVER_ERROR); /* an id was never given to a static member this way */
        else if (has_memory(j, NULL))
            let_in(j, m);
        return;
    }
    int16_t error = classic_check_member(j->cg, j->q->member_id, j->spec.instance, &m);
    if (error == KAFKA_NONE)
        join_known(j, m);
    else
        refuse(j, error);
}

void classic_join(struct groups *gs, struct group *g, struct group_call *c)
{
    struct join j = {.gs = gs, .g = g, .cg = g->classic, .c = c, .q = c->request};
    struct classic_member *m = classic_find(j.cg, j.q->member_id);
    if (j.q->session_timeout_ms < gs->settings->session_min_ms ||
        j.q->session_timeout_ms > gs->settings->session_max_ms) {
        refuse(&j, KAFKA_INVALID_SESSION_TIMEOUT);
    } else if (!read_spec(j.q, c, &j.spec)) {
        refuse(&j, KAFKA_COORDINATOR_NOT_AVAILABLE);
    } else if (!has_place(&j, m)) {
        if (m != NULL) {
            classic_end_calls(gs, j.cg, m, KAFKA_GROUP_MAX_SIZE_REACHED, STR_EMPTY);
            classic_remove(gs, j.cg, m);
        }
        classic_refuse_join(gs, c, KAFKA_GROUP_MAX_SIZE_REACHED, STR_EMPTY);
    } else if (!classic_fits(j.cg, j.q->protocol_type, &j.spec)) {
        refuse(&j, KAFKA_INCONSISTENT_GROUP_PROTOCOL);
    } else if (j.q->member_id.len <= 0) {
        join_new(&j);
    } else {
        join_by_id(&j, m);
    }
}

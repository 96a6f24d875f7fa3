// SPDX-License-Identifier: Apache-2.0
/* libraft 0.22.1 by raft_step (quorum.h). One event in, the update out as actions. What the library leaves to its user
 * is done here, in quorum_receive.c (messages) and quorum_heap.c, and nowhere else:
 *
 *   versions     another version has other structs and other owners of memory: refused by the compiler
 *   memory       its heap is the shard's memory (MEM_CONTROL), so that a budget bounds it; what it takes over
 *                (configurations, the first entry's batch) is allocated here for it and freed once
 *   tracing      off: its default formats every message into a static buffer
 *   range        a message below our snapshot is cut at it: it would be refused, and that refusal trips an assertion
 *   change       a change of voters that is not the first entry of a message gets a message of its own: the library
 *                notes the wrong index
 *   voters       entry 1 and nothing else: a log or peer with other bytes there is refused before the library, which
 *                reads them unchecked
 *   persisted    only an index beyond the last one told, and none while a snapshot is being installed
 *   stored       a snapshot that is ahead of the own disk drops no entry whose write is under way
 *   install      refused while one is under way: it would leak
 *   commit       told only when it rises: a follower's falls when a message that ends below it says that more is agreed
 *   old terms    answered here: the library sends bytes of its stack
 *   assertions   the Debian build has none; what a broken peer could trip is checked here
 *
 * Failure modes: NO_MEMORY, DAMAGED: `dead`, every later call says so. */
#include "replication/quorum.h"

#include "replication/quorum_impl.h"

#include "base/bytes.h"
#include "base/check.h"
#include <stdio.h>

#define INSTALL_TIMEOUT_MS 30000u

static_assert((int)RAFT_COMMAND == (int)ENTRY_COMMAND && (int)RAFT_BARRIER == (int)ENTRY_BARRIER &&
                  (int)RAFT_CHANGE == (int)ENTRY_CHANGE,
              "types are stored as the library's");

/* --- ids: the library's are above 0 --- */

raft_id quorum_raft_of(int32_t node)
{
    return (raft_id)((int64_t)node + 1);
}

int32_t quorum_node_of(raft_id id)
{
    return (int32_t)((int64_t)id - 1);
}

int quorum_voter_at(const struct quorum *q, int32_t node)
{
    for (uint32_t i = 0; i < q->config.voter_count; i++)
        if (q->config.voters[i] == node) return (int)i;
    return -1;
}

static int make_configuration(const int32_t *voters, uint32_t count, struct raft_configuration *ret_configuration)
{
    char address[ADDRESS_BYTES];
    int rv = 0;
    raft_configuration_init(ret_configuration);
    for (uint32_t i = 0; rv == 0 && i < count; i++) {
        snprintf(address, sizeof address, "%d", voters[i]);
        rv = raft_configuration_add(ret_configuration, quorum_raft_of(voters[i]), address, RAFT_VOTER);
    }
    if (rv != 0) raft_configuration_close(ret_configuration);
    return rv;
}

enum status quorum_voters_encode(struct mem *m, const int32_t *voters, uint32_t count, uint8_t out[QUORUM_CHANGE_MAX],
                                 uint32_t *ret_size)
{
    struct raft_configuration c;
    struct raft_buffer b;
    CHECK(count > 0 && count <= QUORUM_VOTERS_MAX);
    quorum_enter(m);
    if (make_configuration(voters, count, &c) != 0) return STATUS_NO_MEMORY;
    int rv = raft_configuration_encode(&c, &b);
    raft_configuration_close(&c);
    if (rv != 0) return STATUS_NO_MEMORY;
    CHECK(b.len <= QUORUM_CHANGE_MAX);
    memcpy(out, b.base, b.len);
    *ret_size = (uint32_t)b.len;
    raft_free(b.base);
    return STATUS_OK;
}

/* --- life --- */

struct quorum *quorum_create(struct mem *m, const struct quorum_config *c)
{
    struct quorum *q = mem_zalloc(m, MEM_CONTROL, sizeof *q);
    if (q == NULL) return NULL;
    q->mem = m;
    q->config = *c;
    q->told_leader = -1;
    CHECK(quorum_voter_at(q, c->self) >= 0);
    for (uint32_t i = 0; i < c->voter_count; i++) snprintf(q->addresses[i], ADDRESS_BYTES, "%d", c->voters[i]);
    quorum_enter(m);
    if (quorum_voters_encode(m, c->voters, c->voter_count, q->change, &q->change_size) != STATUS_OK ||
        raft_init(&q->raft, NULL, NULL, quorum_raft_of(c->self), q->addresses[quorum_voter_at(q, c->self)]) != 0) {
        mem_free(m, MEM_CONTROL, q, sizeof *q);
        return NULL;
    }
    q->raft.tracer = NULL;
    raft_set_pre_vote(&q->raft, true);
    raft_seed(&q->raft, c->seed);
    raft_set_election_timeout(&q->raft, c->election_ms);
    raft_set_heartbeat_timeout(&q->raft, c->heartbeat_ms);
    raft_set_install_snapshot_timeout(&q->raft, INSTALL_TIMEOUT_MS);
    raft_set_max_inflight_entries(&q->raft, INFLIGHT_ENTRIES);
    return q;
}

void quorum_destroy(struct quorum *q)
{
    struct mem *m = q->mem;
    quorum_enter(m);
    raft_close(&q->raft, NULL);
    mem_free(m, MEM_CONTROL, q, sizeof *q);
}

/* --- one event --- */

enum status quorum_die(struct quorum *q, int rv)
{
    q->dead = rv == RAFT_NOMEM ? STATUS_NO_MEMORY : STATUS_DAMAGED;
    return q->dead;
}

/* What the update's messages say, as ours. */
static struct quorum_message outgoing(const struct raft_message *m)
{
    struct quorum_message o = {.kind = (enum message_kind)m->type, .peer = quorum_node_of(m->server_id)};
    static_assert((int)RAFT_APPEND_ENTRIES == (int)MESSAGE_APPEND && (int)RAFT_TIMEOUT_NOW == (int)MESSAGE_TIMEOUT_NOW,
                  "kinds are sent as the library's");
    switch (m->type) {
    case RAFT_APPEND_ENTRIES:
        o.term = m->append_entries.term;
        o.append.prev_index = m->append_entries.prev_log_index;
        o.append.prev_term = m->append_entries.prev_log_term;
        o.append.commit = m->append_entries.leader_commit;
        o.append.count = m->append_entries.n_entries;
        break;
    case RAFT_APPEND_ENTRIES_RESULT:
        o.term = m->append_entries_result.term;
        o.append_result.rejected = m->append_entries_result.rejected;
        o.append_result.last_index = m->append_entries_result.rejected > 0
                                         ? MIN(m->append_entries_result.last_log_index, o.append_result.rejected - 1)
                                         : m->append_entries_result.last_log_index;
        break;
    case RAFT_REQUEST_VOTE:
        o.term = m->request_vote.term;
        o.vote.last_index = m->request_vote.last_log_index;
        o.vote.last_term = m->request_vote.last_log_term;
        o.vote.disrupt_leader = m->request_vote.disrupt_leader;
        o.vote.pre_vote = m->request_vote.pre_vote;
        break;
    case RAFT_REQUEST_VOTE_RESULT:
        o.term = m->request_vote_result.term;
        o.vote_result.granted = m->request_vote_result.vote_granted;
        o.vote_result.pre_vote = m->request_vote_result.pre_vote;
        break;
    case RAFT_INSTALL_SNAPSHOT:
        o.term = m->install_snapshot.term;
        o.install.last_index = m->install_snapshot.last_index;
        o.install.last_term = m->install_snapshot.last_term;
        break;
    case RAFT_TIMEOUT_NOW:
        o.term = m->timeout_now.term;
        o.timeout_now.last_index = m->timeout_now.last_log_index;
        o.timeout_now.last_term = m->timeout_now.last_log_term;
        break;
    default: CHECK(false);
    }
    return o;
}

static bool do_append(struct quorum *q, const struct raft_update *u)
{
    struct entry_view views[INFLIGHT_ENTRIES], *v = views;
    size_t bytes = u->entries.n * sizeof *v;
    if (u->entries.n > COUNT_OF(views)) v = mem_alloc(q->mem, MEM_CONTROL, bytes);
    for (unsigned i = 0; v != NULL && i < u->entries.n; i++) {
        const struct raft_entry *e = &u->entries.batch[i];
        bool barrier = e->type == RAFT_BARRIER; /* the library's own barrier has 8 bytes of nothing */
        v[i] = (struct entry_view){e->term, (enum entry_type)e->type, barrier ? 0 : (uint32_t)e->buf.len,
                                   barrier ? NULL : e->buf.base};
    }
    bool good =
        v != NULL && q->config.owner->actions->append(q->config.owner, u->entries.index, v, (uint32_t)u->entries.n);
    if (v != NULL && v != views) mem_free(q->mem, MEM_CONTROL, v, bytes);
    raft_free(u->entries.batch[0].batch);
    return good;
}

static void tell_state(struct quorum *q)
{
    enum quorum_state state = quorum_state(q);
    int32_t leader = quorum_leader(q);
    uint64_t term = quorum_term(q);
    if (state == q->told_state && leader == q->told_leader && term == q->told_term) return;
    q->told_state = state;
    q->told_leader = leader;
    q->told_term = term;
    q->config.owner->actions->state(q->config.owner, state, leader, term);
}

enum status quorum_act(struct quorum *q, const struct raft_update *u)
{
    const struct quorum_actions *a = q->config.owner->actions;
    struct quorum_owner *o = q->config.owner;
    if (u->flags & (RAFT_UPDATE_CURRENT_TERM | RAFT_UPDATE_VOTED_FOR))
        a->vote(o, raft_current_term(&q->raft), quorum_node_of(raft_voted_for(&q->raft)));
    if (u->flags & RAFT_UPDATE_ENTRIES && !do_append(q, u)) return quorum_die(q, RAFT_NOMEM);
    if (u->flags & RAFT_UPDATE_SNAPSHOT)
        a->install(o, u->snapshot.metadata.index, u->snapshot.metadata.term, u->snapshot.chunk.base,
                   u->snapshot.chunk.len);
    if (u->flags & RAFT_UPDATE_MESSAGES)
        for (unsigned i = 0; i < u->messages.n; i++) {
            struct quorum_message m = outgoing(&u->messages.batch[i]);
            a->send(o, &m);
        }
    tell_state(q);
    if (u->flags & RAFT_UPDATE_COMMIT_INDEX && raft_commit_index(&q->raft) > q->told_commit) {
        q->told_commit = raft_commit_index(&q->raft);
        a->commit(o, q->told_commit);
    }
    return STATUS_OK;
}

int quorum_step(struct quorum *q, uint64_t now_ms, struct raft_event *e, struct raft_update *ret_update)
{
    quorum_enter(q->mem);
    e->time = now_ms;
    memset(ret_update, 0, sizeof *ret_update);
    return raft_step(&q->raft, e, ret_update);
}

enum status quorum_step_act(struct quorum *q, uint64_t now_ms, struct raft_event *e)
{
    struct raft_update u;
    if (q->dead != STATUS_OK) return q->dead;
    int rv = quorum_step(q, now_ms, e, &u);
    return rv != 0 ? quorum_die(q, rv) : quorum_act(q, &u);
}

/* A copy that the library takes over. */
bool quorum_our_configuration(struct quorum *q, struct raft_configuration *ret_configuration)
{
    quorum_enter(q->mem);
    return make_configuration(q->config.voters, q->config.voter_count, ret_configuration) == 0;
}

bool quorum_change_ours(const struct quorum *q, uint64_t index, const uint8_t *data, uint32_t size)
{
    return index == 1 && size == q->change_size && memcmp(data, q->change, size) == 0;
}

enum status quorum_start(struct quorum *q, uint64_t now_ms, const struct quorum_start *s)
{
    const struct entry_log *l = q->config.log;
    struct raft_snapshot_metadata metadata = {
        .index = s->snapshot_index, .term = s->snapshot_term, .configuration_index = 1};
    struct raft_event e = {
        .type = RAFT_START,
        .start = {
            .term = s->term, .voted_for = quorum_raft_of(s->vote), .start_index = l->first, .n_entries = l->count}};
    for (uint64_t i = l->first; i <= entry_log_last(l); i++) {
        const struct log_entry *n = entry_log_at(l, i);
        if (n->type == ENTRY_CHANGE && !quorum_change_ours(q, i, n->data, n->size)) return STATUS_FORMAT;
    }
    if (s->snapshot_index > 0) {
        if (!quorum_our_configuration(q, &metadata.configuration)) return quorum_die(q, RAFT_NOMEM);
        e.start.metadata = &metadata;
    }
    quorum_enter(q->mem);
    struct raft_entry *entries = raft_calloc(l->count + 1, sizeof *entries);
    if (entries == NULL) {
        raft_configuration_close(&metadata.configuration);
        return quorum_die(q, RAFT_NOMEM);
    }
    for (uint32_t i = 0; i < l->count; i++) {
        struct log_entry *n = entry_log_at(l, l->first + i);
        entries[i] =
            (struct raft_entry){.term = n->term, .type = (enum raft_entry_type)n->type, .buf = {n->data, n->size}};
    }
    e.start.entries = entries;
    struct raft_update u;
    quorum_heap_watch(entries); /* the library's error path may free it */
    int rv = quorum_step(q, now_ms, &e, &u);
    if (!quorum_heap_freed()) raft_free(entries);
    return rv != 0 ? quorum_die(q, rv) : quorum_act(q, &u);
}

/* --- the other events --- */

enum status quorum_persisted(struct quorum *q, uint64_t now_ms, uint64_t index)
{
    struct raft_event e = {.type = RAFT_PERSISTED_ENTRIES, .persisted_entries = {.index = index}};
    if (q->dead != STATUS_OK) return q->dead;
    if (q->raft.snapshot.installing || index <= q->raft.last_stored) return STATUS_OK;
    CHECK(index <= entry_log_last(q->config.log));
    return quorum_step_act(q, now_ms, &e);
}

enum status quorum_snapshot_taken(struct quorum *q, uint64_t now_ms, uint64_t index, uint32_t trailing)
{
    struct raft_event e = {.type = RAFT_SNAPSHOT,
                           .snapshot = {.metadata = {.index = index, .configuration_index = 1}, .trailing = trailing}};
    const struct log_entry *n = entry_log_at(q->config.log, index);
    if (q->dead != STATUS_OK) return q->dead;
    CHECK(n != NULL && !q->raft.snapshot.installing && index > q->raft.trail.snapshot.index);
    CHECK(index - trailing <= q->raft.last_stored);
    e.snapshot.metadata.term = n->term;
    if (!quorum_our_configuration(q, &e.snapshot.metadata.configuration)) return quorum_die(q, RAFT_NOMEM);
    return quorum_step_act(q, now_ms, &e);
}

enum status quorum_installed(struct quorum *q, uint64_t now_ms, uint64_t index, uint64_t term)
{
    struct raft_event e = {
        .type = RAFT_PERSISTED_SNAPSHOT,
        .persisted_snapshot = {.metadata = {.index = index, .term = term, .configuration_index = 1}, .last = true}};
    if (q->dead != STATUS_OK) return q->dead;
    CHECK(q->raft.snapshot.installing && quorum_state(q) == QUORUM_FOLLOWER);
    if (!quorum_our_configuration(q, &e.persisted_snapshot.metadata.configuration)) return quorum_die(q, RAFT_NOMEM);
    return quorum_step_act(q, now_ms, &e);
}

enum status quorum_timeout(struct quorum *q, uint64_t now_ms)
{
    struct raft_event e = {.type = RAFT_TIMEOUT};
    return quorum_step_act(q, now_ms, &e);
}

enum status quorum_submit(struct quorum *q, uint64_t now_ms, struct entry_view *views, uint32_t count)
{
    struct raft_update u;
    if (q->dead != STATUS_OK) return q->dead;
    CHECK(count > 0);
    if (quorum_state(q) != QUORUM_LEADER) return STATUS_NOT_LEADER;
    size_t bytes = count * sizeof(struct raft_entry);
    struct raft_entry *entries = mem_alloc(q->mem, MEM_CONTROL, bytes);
    quorum_enter(q->mem);
    void *batch = raft_malloc(1);
    struct raft_event e = {.type = RAFT_SUBMIT, .submit = {.entries = entries, .n = count}};
    if (entries == NULL || batch == NULL) {
        raft_free(batch);
        mem_free(q->mem, MEM_CONTROL, entries, bytes);
        return STATUS_BUSY;
    }
    for (uint32_t i = 0; i < count; i++)
        entries[i] = (struct raft_entry){.term = quorum_term(q),
                                         .type = (enum raft_entry_type)views[i].type,
                                         .buf = {(void *)(uintptr_t)views[i].data, views[i].size},
                                         .batch = batch};
    enum status status;
    int rv = quorum_step(q, now_ms, &e, &u);
    if (rv == 0) {
        status = quorum_act(q, &u);
    } else {
        raft_free(batch);
        status =
            rv == RAFT_NOTLEADER ? STATUS_NOT_LEADER : quorum_die(q, rv); /* leader that is handing over: not leader */
    }
    mem_free(q->mem, MEM_CONTROL, entries, bytes);
    return status;
}

enum status quorum_transfer(struct quorum *q, uint64_t now_ms, int32_t to)
{
    struct raft_event e = {.type = RAFT_TRANSFER, .transfer = {.server_id = quorum_raft_of(to)}};
    struct raft_update u;
    if (q->dead != STATUS_OK) return q->dead;
    if (quorum_state(q) != QUORUM_LEADER) return STATUS_NOT_LEADER;
    if (to == q->config.self || (to >= 0 && quorum_voter_at(q, to) < 0) || quorum_solo(q)) return STATUS_INVALID;
    if (raft_transferee(&q->raft) != 0) return STATUS_BUSY;
    int rv = quorum_step(q, now_ms, &e, &u);
    return rv != 0 ? quorum_die(q, rv) : quorum_act(q, &u);
}

/* --- queries --- */

uint64_t quorum_deadline_ms(const struct quorum *q)
{
    return raft_timeout(&q->raft);
}

uint64_t quorum_term(const struct quorum *q)
{
    return raft_current_term(&q->raft);
}

enum quorum_state quorum_state(const struct quorum *q)
{
    switch (raft_state((struct raft *)(uintptr_t)&q->raft)) {
    case RAFT_LEADER: return QUORUM_LEADER;
    case RAFT_CANDIDATE: return QUORUM_CANDIDATE;
    case RAFT_UNAVAILABLE:
    case RAFT_FOLLOWER:
    default: return QUORUM_FOLLOWER;
    }
}

int32_t quorum_leader(const struct quorum *q)
{
    raft_id id = 0;
    const char *address;
    if (quorum_state(q) == QUORUM_LEADER) return q->config.self;
    raft_leader((struct raft *)(uintptr_t)&q->raft, &id, &address);
    return quorum_node_of(id);
}

uint64_t quorum_stored(const struct quorum *q)
{
    return q->raft.last_stored;
}

bool quorum_installing(const struct quorum *q)
{
    return q->raft.snapshot.installing;
}

bool quorum_solo(const struct quorum *q)
{
    return q->config.voter_count == 1;
}

// SPDX-License-Identifier: Apache-2.0
/* libraft 0.22.1 by raft_step (quorum.h). One event in, the update out as actions. What the library leaves to its user
 * is done here, and nowhere else:
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
 *   install      refused while one is under way: it would leak
 *   old terms    answered here: the library sends bytes of its stack
 *   assertions   the Debian build has none; what a broken peer could trip is checked here
 *
 * Failure modes: NO_MEMORY, DAMAGED: `dead`, every later call says so. */
#include "replication/quorum.h"

#include "base/bytes.h"
#include "base/check.h"
#include <raft.h>
#include <stdio.h>

#if RAFT_VERSION_NUMBER < 2201
#error "libraft before 0.22.1 loses committed entries (0.15.0: canonical/raft issue 220); see tools/packages"
#endif
#if RAFT_VERSION_NUMBER >= 2300
#error "libraft 0.23 has other owners of memory: read its notes and adapt this file"
#endif

#define INFLIGHT_ENTRIES   64u
#define INSTALL_TIMEOUT_MS 30000u
#define ADDRESS_BYTES      12

struct quorum {
    struct mem *mem;
    struct quorum_config config;
    struct raft raft;
    char addresses[QUORUM_VOTERS_MAX][ADDRESS_BYTES];
    uint8_t change[QUORUM_CHANGE_MAX]; /* what entry 1 must hold */
    uint32_t change_size;
    int32_t told_leader;
    uint64_t told_term;
    enum quorum_state told_state;
    enum status dead;
};

static_assert((int)RAFT_COMMAND == (int)ENTRY_COMMAND && (int)RAFT_BARRIER == (int)ENTRY_BARRIER &&
                  (int)RAFT_CHANGE == (int)ENTRY_CHANGE,
              "types are stored as the library's");

/* --- the library's heap: the memory of the shard that is in a call --- */

#define HEAP_HEAD 16u

static _Thread_local struct mem *heap_mem;
static _Thread_local void *heap_watched; /* NULL again when the library frees it: its error path of START may */

static void *heap_malloc(void *data, size_t size)
{
    (void)data;
    CHECK(heap_mem != NULL);
    uint8_t *p = mem_alloc(heap_mem, MEM_CONTROL, size + HEAP_HEAD);
    if (p == NULL) return NULL;
    store_le64(p, size);
    return p + HEAP_HEAD;
}

static size_t heap_size(const void *p)
{
    return load_le64((const uint8_t *)p - HEAP_HEAD);
}

static void heap_free(void *data, void *p)
{
    (void)data;
    if (p == heap_watched) heap_watched = NULL;
    if (p != NULL) mem_free(heap_mem, MEM_CONTROL, (uint8_t *)p - HEAP_HEAD, heap_size(p) + HEAP_HEAD);
}

static void *heap_calloc(void *data, size_t count, size_t size)
{
    if (size != 0 && count > SIZE_MAX / size) return NULL;
    void *p = heap_malloc(data, count * size);
    return p != NULL ? memset(p, 0, count * size) : NULL;
}

static void *heap_realloc(void *data, void *old, size_t size)
{
    void *p = heap_malloc(data, size);
    if (p == NULL) return NULL;
    if (old != NULL) memcpy(p, old, MIN(size, heap_size(old)));
    heap_free(data, old);
    return p;
}

static void *heap_aligned(void *data, size_t alignment, size_t size)
{
    CHECK(alignment <= HEAP_HEAD);
    return heap_malloc(data, size);
}

static void heap_aligned_free(void *data, size_t alignment, void *p)
{
    (void)alignment;
    heap_free(data, p);
}

static void enter(struct mem *m)
{
    static struct raft_heap heap = {.malloc = heap_malloc,
                                    .free = heap_free,
                                    .calloc = heap_calloc,
                                    .realloc = heap_realloc,
                                    .aligned_alloc = heap_aligned,
                                    .aligned_free = heap_aligned_free};
    heap_mem = m;
    raft_heap_set(&heap);
}

/* --- ids: the library's are above 0 --- */

static raft_id raft_of(int32_t node)
{
    return (raft_id)((int64_t)node + 1);
}

static int32_t node_of(raft_id id)
{
    return (int32_t)((int64_t)id - 1);
}

static int voter_at(const struct quorum *q, int32_t node)
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
        rv = raft_configuration_add(ret_configuration, raft_of(voters[i]), address, RAFT_VOTER);
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
    enter(m);
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
    CHECK(voter_at(q, c->self) >= 0);
    for (uint32_t i = 0; i < c->voter_count; i++) snprintf(q->addresses[i], ADDRESS_BYTES, "%d", c->voters[i]);
    enter(m);
    if (quorum_voters_encode(m, c->voters, c->voter_count, q->change, &q->change_size) != STATUS_OK ||
        raft_init(&q->raft, NULL, NULL, raft_of(c->self), q->addresses[voter_at(q, c->self)]) != 0) {
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
    enter(m);
    raft_close(&q->raft, NULL);
    mem_free(m, MEM_CONTROL, q, sizeof *q);
}

/* --- one event --- */

static enum status die(struct quorum *q, int rv)
{
    q->dead = rv == RAFT_NOMEM ? STATUS_NO_MEMORY : STATUS_DAMAGED;
    return q->dead;
}

/* What the update's messages say, as ours. */
static struct quorum_message outgoing(const struct raft_message *m)
{
    struct quorum_message o = {.kind = (enum message_kind)m->type, .peer = node_of(m->server_id)};
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

static enum status act(struct quorum *q, const struct raft_update *u)
{
    const struct quorum_actions *a = q->config.owner->actions;
    struct quorum_owner *o = q->config.owner;
    if (u->flags & (RAFT_UPDATE_CURRENT_TERM | RAFT_UPDATE_VOTED_FOR))
        a->vote(o, raft_current_term(&q->raft), node_of(raft_voted_for(&q->raft)));
    if (u->flags & RAFT_UPDATE_ENTRIES && !do_append(q, u)) return die(q, RAFT_NOMEM);
    if (u->flags & RAFT_UPDATE_SNAPSHOT)
        a->install(o, u->snapshot.metadata.index, u->snapshot.metadata.term, u->snapshot.chunk.base,
                   u->snapshot.chunk.len);
    if (u->flags & RAFT_UPDATE_MESSAGES)
        for (unsigned i = 0; i < u->messages.n; i++) {
            struct quorum_message m = outgoing(&u->messages.batch[i]);
            a->send(o, &m);
        }
    tell_state(q);
    if (u->flags & RAFT_UPDATE_COMMIT_INDEX) a->commit(o, raft_commit_index(&q->raft));
    return STATUS_OK;
}

static int step(struct quorum *q, uint64_t now_ms, struct raft_event *e, struct raft_update *ret_update)
{
    enter(q->mem);
    e->time = now_ms;
    memset(ret_update, 0, sizeof *ret_update);
    return raft_step(&q->raft, e, ret_update);
}

static enum status step_act(struct quorum *q, uint64_t now_ms, struct raft_event *e)
{
    struct raft_update u;
    if (q->dead != STATUS_OK) return q->dead;
    int rv = step(q, now_ms, e, &u);
    return rv != 0 ? die(q, rv) : act(q, &u);
}

/* A copy that the library takes over. */
static bool our_configuration(struct quorum *q, struct raft_configuration *ret_configuration)
{
    enter(q->mem);
    return make_configuration(q->config.voters, q->config.voter_count, ret_configuration) == 0;
}

static bool change_ours(const struct quorum *q, uint64_t index, const uint8_t *data, uint32_t size)
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
        .start = {.term = s->term, .voted_for = raft_of(s->vote), .start_index = l->first, .n_entries = l->count}};
    for (uint64_t i = l->first; i <= entry_log_last(l); i++) {
        const struct log_entry *n = entry_log_at(l, i);
        if (n->type == ENTRY_CHANGE && !change_ours(q, i, n->data, n->size)) return STATUS_FORMAT;
    }
    if (s->snapshot_index > 0) {
        if (!our_configuration(q, &metadata.configuration)) return die(q, RAFT_NOMEM);
        e.start.metadata = &metadata;
    }
    enter(q->mem);
    struct raft_entry *entries = raft_calloc(l->count + 1, sizeof *entries);
    if (entries == NULL) {
        raft_configuration_close(&metadata.configuration);
        return die(q, RAFT_NOMEM);
    }
    for (uint32_t i = 0; i < l->count; i++) {
        struct log_entry *n = entry_log_at(l, l->first + i);
        entries[i] =
            (struct raft_entry){.term = n->term, .type = (enum raft_entry_type)n->type, .buf = {n->data, n->size}};
    }
    e.start.entries = entries;
    struct raft_update u;
    heap_watched = entries;
    int rv = step(q, now_ms, &e, &u);
    if (heap_watched != NULL) raft_free(entries);
    heap_watched = NULL;
    return rv != 0 ? die(q, rv) : act(q, &u);
}

/* --- messages --- */

static bool append_sound(const struct quorum *q, const struct quorum_message *m)
{
    uint64_t term = m->append.prev_term;
    if ((m->append.prev_index == 0) != (m->append.prev_term == 0) || m->append.prev_term > m->term) return false;
    if (m->term == quorum_term(q) && quorum_state(q) == QUORUM_LEADER) return false; /* one leader per term */
    for (uint32_t i = 0; i < m->append.count; i++) {
        const struct entry_view *e = &m->append.entries[i];
        if (e->term < MAX(term, 1) || e->term > m->term) return false;
        if (e->type == ENTRY_CHANGE && !change_ours(q, m->append.prev_index + 1 + i, e->data, e->size)) return false;
        term = e->term;
    }
    return true;
}

static bool message_sound(const struct quorum *q, const struct quorum_message *m)
{
    if (voter_at(q, m->peer) < 0 || m->peer == q->config.self || m->term == 0) return false;
    switch (m->kind) {
    case MESSAGE_APPEND: return append_sound(q, m);
    case MESSAGE_INSTALL:
        return m->install.last_index > 0 && m->install.last_term > 0 && m->install.last_term <= m->term &&
               !(m->term == quorum_term(q) && quorum_state(q) == QUORUM_LEADER);
    case MESSAGE_VOTE: return (m->vote.last_index == 0) == (m->vote.last_term == 0) && m->vote.last_term <= m->term;
    case MESSAGE_APPEND_RESULT:
    case MESSAGE_VOTE_RESULT:
    case MESSAGE_TIMEOUT_NOW: return true;
    default: return false;
    }
}

/* Entries [from, from + count) of an append as one event. */
static enum status receive_entries(struct quorum *q, uint64_t now_ms, struct raft_message *rm,
                                   const struct quorum_message *m, uint32_t from, uint32_t count)
{
    struct raft_append_entries *a = &rm->append_entries;
    struct raft_entry few[INFLIGHT_ENTRIES], *entries = few;
    size_t bytes = count * sizeof *entries;
    void *batch = NULL;
    *a = (struct raft_append_entries){.term = m->term,
                                      .prev_log_index = m->append.prev_index + from,
                                      .prev_log_term =
                                          from == 0 ? m->append.prev_term : m->append.entries[from - 1].term,
                                      .leader_commit = m->append.commit,
                                      .n_entries = count};
    if (count > 0) {
        enter(q->mem);
        if (count > COUNT_OF(few)) entries = mem_alloc(q->mem, MEM_CONTROL, bytes);
        batch = raft_malloc(1); /* the library gives it back or frees it; the bytes themselves are borrowed */
        if (entries == NULL || batch == NULL) {
            raft_free(batch);
            if (entries != NULL && entries != few) mem_free(q->mem, MEM_CONTROL, entries, bytes);
            return STATUS_OK; /* as if it had been lost on the way: the leader sends it again */
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct entry_view *v = &m->append.entries[from + i];
        entries[i] = (struct raft_entry){.term = v->term,
                                         .type = (enum raft_entry_type)v->type,
                                         .buf = {(void *)(uintptr_t)v->data, v->size},
                                         .batch = batch};
    }
    a->entries = entries;
    struct raft_event e = {.type = RAFT_RECEIVE, .receive = {.message = rm}};
    enum status status = step_act(q, now_ms, &e);
    if (count > COUNT_OF(few)) mem_free(q->mem, MEM_CONTROL, entries, bytes);
    return status;
}

/* Below our snapshot everything is committed, so equal: skip it, begin at the snapshot. */
static void cut_below_snapshot(struct quorum *q, struct quorum_message *m)
{
    uint64_t snapshot = q->raft.trail.snapshot.index, prev = m->append.prev_index;
    if (prev == 0 && q->config.log->first == 1) return;
    if (prev >= snapshot || entry_log_at(q->config.log, prev) != NULL) return;
    uint64_t skip = MIN(snapshot - prev, (uint64_t)m->append.count);
    m->append.prev_index = snapshot;
    m->append.prev_term = q->raft.trail.snapshot.term;
    m->append.entries += skip;
    m->append.count -= (uint32_t)skip;
}

static enum status receive_append(struct quorum *q, uint64_t now_ms, struct raft_message *rm,
                                  const struct quorum_message *whole)
{
    struct quorum_message m = *whole;
    uint32_t from = 0;
    enum status status = STATUS_OK;
    cut_below_snapshot(q, &m);
    for (uint32_t i = 1; status == STATUS_OK && i < m.append.count; i++) {
        if (m.append.entries[i].type != ENTRY_CHANGE) continue;
        status = receive_entries(q, now_ms, rm, &m, from, i - from);
        from = i;
    }
    return status != STATUS_OK ? status : receive_entries(q, now_ms, rm, &m, from, m.append.count - from);
}

static enum status receive_install(struct quorum *q, uint64_t now_ms, struct raft_message *rm,
                                   const struct quorum_message *m)
{
    struct raft_install_snapshot *s = &rm->install_snapshot;
    struct raft_event e = {.type = RAFT_RECEIVE, .receive = {.message = rm}};
    struct raft_update u;
    if (q->dead != STATUS_OK) return q->dead;
    if (q->raft.snapshot.installing) return STATUS_OK; /* the leader tries again */
    *s = (struct raft_install_snapshot){
        .term = m->term, .last_index = m->install.last_index, .last_term = m->install.last_term, .conf_index = 1};
    if (!our_configuration(q, &s->conf)) return STATUS_OK;
    s->data.base = raft_malloc(1); /* for the library to free; the bytes go round it */
    s->data.len = 1;
    if (s->data.base == NULL) {
        raft_configuration_close(&s->conf);
        return STATUS_OK;
    }
    int rv = step(q, now_ms, &e, &u);
    if (rv != 0) return die(q, rv);
    if (u.flags & RAFT_UPDATE_SNAPSHOT) { /* taken over: ours to free; quorum_installed brings a configuration anew */
        raft_free(u.snapshot.chunk.base);
        raft_configuration_close(&u.snapshot.metadata.configuration);
        u.snapshot.chunk = (struct raft_buffer){(void *)(uintptr_t)m->install.data, m->install.size};
    }
    return act(q, &u);
}

/* An append or snapshot of a leader that is none any more: it learns our term. */
static enum status refuse_old(struct quorum *q, const struct quorum_message *m)
{
    struct quorum_message answer = {.kind = MESSAGE_APPEND_RESULT, .peer = m->peer, .term = quorum_term(q)};
    if (m->kind == MESSAGE_APPEND) answer.append_result.rejected = m->append.prev_index;
    q->config.owner->actions->send(q->config.owner, &answer);
    return STATUS_OK;
}

enum status quorum_receive(struct quorum *q, uint64_t now_ms, const struct quorum_message *m)
{
    if (q->dead != STATUS_OK) return q->dead;
    if (!message_sound(q, m)) return STATUS_INVALID;
    if ((m->kind == MESSAGE_APPEND || m->kind == MESSAGE_INSTALL) && m->term < quorum_term(q)) return refuse_old(q, m);
    struct raft_message rm = {.type = (enum raft_message_type)m->kind,
                              .server_id = raft_of(m->peer),
                              .server_address = q->addresses[voter_at(q, m->peer)]};
    struct raft_event e = {.type = RAFT_RECEIVE, .receive = {.message = &rm}};
    switch (m->kind) {
    case MESSAGE_APPEND: return receive_append(q, now_ms, &rm, m);
    case MESSAGE_INSTALL: return receive_install(q, now_ms, &rm, m);
    case MESSAGE_APPEND_RESULT:
        rm.append_entries_result = (struct raft_append_entries_result){.version = 2,
                                                                       .term = m->term,
                                                                       .rejected = m->append_result.rejected,
                                                                       .last_log_index = m->append_result.last_index};
        break;
    case MESSAGE_VOTE:
        rm.request_vote = (struct raft_request_vote){.version = 2,
                                                     .term = m->term,
                                                     .candidate_id = raft_of(m->peer),
                                                     .last_log_index = m->vote.last_index,
                                                     .last_log_term = m->vote.last_term,
                                                     .disrupt_leader = m->vote.disrupt_leader,
                                                     .pre_vote = m->vote.pre_vote};
        break;
    case MESSAGE_VOTE_RESULT:
        rm.request_vote_result = (struct raft_request_vote_result){
            .version = 2, .term = m->term, .vote_granted = m->vote_result.granted, .pre_vote = m->vote_result.pre_vote};
        break;
    case MESSAGE_TIMEOUT_NOW:
        rm.timeout_now = (struct raft_timeout_now){
            .term = m->term, .last_log_index = m->timeout_now.last_index, .last_log_term = m->timeout_now.last_term};
        break;
    default: CHECK(false);
    }
    return step_act(q, now_ms, &e);
}

/* --- the other events --- */

enum status quorum_persisted(struct quorum *q, uint64_t now_ms, uint64_t index)
{
    struct raft_event e = {.type = RAFT_PERSISTED_ENTRIES, .persisted_entries = {.index = index}};
    if (q->dead != STATUS_OK) return q->dead;
    if (q->raft.snapshot.installing || index <= q->raft.last_stored) return STATUS_OK;
    CHECK(index <= entry_log_last(q->config.log));
    return step_act(q, now_ms, &e);
}

enum status quorum_snapshot_taken(struct quorum *q, uint64_t now_ms, uint64_t index, uint32_t trailing)
{
    struct raft_event e = {.type = RAFT_SNAPSHOT,
                           .snapshot = {.metadata = {.index = index, .configuration_index = 1}, .trailing = trailing}};
    const struct log_entry *n = entry_log_at(q->config.log, index);
    if (q->dead != STATUS_OK) return q->dead;
    CHECK(n != NULL && !q->raft.snapshot.installing && index > q->raft.trail.snapshot.index);
    e.snapshot.metadata.term = n->term;
    if (!our_configuration(q, &e.snapshot.metadata.configuration)) return die(q, RAFT_NOMEM);
    return step_act(q, now_ms, &e);
}

enum status quorum_installed(struct quorum *q, uint64_t now_ms, uint64_t index, uint64_t term)
{
    struct raft_event e = {
        .type = RAFT_PERSISTED_SNAPSHOT,
        .persisted_snapshot = {.metadata = {.index = index, .term = term, .configuration_index = 1}, .last = true}};
    if (q->dead != STATUS_OK) return q->dead;
    CHECK(q->raft.snapshot.installing && quorum_state(q) == QUORUM_FOLLOWER);
    if (!our_configuration(q, &e.persisted_snapshot.metadata.configuration)) return die(q, RAFT_NOMEM);
    return step_act(q, now_ms, &e);
}

enum status quorum_timeout(struct quorum *q, uint64_t now_ms)
{
    struct raft_event e = {.type = RAFT_TIMEOUT};
    return step_act(q, now_ms, &e);
}

enum status quorum_submit(struct quorum *q, uint64_t now_ms, struct entry_view *views, uint32_t count)
{
    struct raft_update u;
    if (q->dead != STATUS_OK) return q->dead;
    CHECK(count > 0);
    if (quorum_state(q) != QUORUM_LEADER) return STATUS_NOT_LEADER;
    size_t bytes = count * sizeof(struct raft_entry);
    struct raft_entry *entries = mem_alloc(q->mem, MEM_CONTROL, bytes);
    enter(q->mem);
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
    int rv = step(q, now_ms, &e, &u);
    if (rv == 0) {
        status = act(q, &u);
    } else {
        raft_free(batch);
        status = rv == RAFT_NOTLEADER ? STATUS_NOT_LEADER : die(q, rv); /* leader that is handing over: not leader */
    }
    mem_free(q->mem, MEM_CONTROL, entries, bytes);
    return status;
}

enum status quorum_transfer(struct quorum *q, uint64_t now_ms, int32_t to)
{
    struct raft_event e = {.type = RAFT_TRANSFER, .transfer = {.server_id = raft_of(to)}};
    struct raft_update u;
    if (q->dead != STATUS_OK) return q->dead;
    if (quorum_state(q) != QUORUM_LEADER) return STATUS_NOT_LEADER;
    if (to == q->config.self || (to >= 0 && voter_at(q, to) < 0) || quorum_solo(q)) return STATUS_INVALID;
    if (raft_transferee(&q->raft) != 0) return STATUS_BUSY;
    int rv = step(q, now_ms, &e, &u);
    return rv != 0 ? die(q, rv) : act(q, &u);
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
    return node_of(id);
}

bool quorum_installing(const struct quorum *q)
{
    return q->raft.snapshot.installing;
}

bool quorum_solo(const struct quorum *q)
{
    return q->config.voter_count == 1;
}

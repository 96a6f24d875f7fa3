// SPDX-License-Identifier: Apache-2.0
/* Messages of peers, with the guards that they need before libraft sees them (quorum.c lists them). A message that no
 * sound peer sends is INVALID and changes nothing; one for which there is no memory is as good as lost. */
#include "replication/quorum_impl.h"

#include "base/bytes.h"
#include "base/check.h"

static bool append_sound(const struct quorum *q, const struct quorum_message *m)
{
    uint64_t term = m->append.prev_term;
    if ((m->append.prev_index == 0) != (m->append.prev_term == 0) || m->append.prev_term > m->term) return false;
    if (m->term == quorum_term(q) && quorum_state(q) == QUORUM_LEADER) return false; /* one leader per term */
    for (uint32_t i = 0; i < m->append.count; i++) {
        const struct entry_view *e = &m->append.entries[i];
        if (e->term < MAX(term, 1) || e->term > m->term) return false;
        if (e->type == ENTRY_CHANGE && !quorum_change_ours(q, m->append.prev_index + 1 + i, e->data, e->size))
            return false;
        term = e->term;
    }
    return true;
}

static bool message_sound(const struct quorum *q, const struct quorum_message *m)
{
    if (quorum_voter_at(q, m->peer) < 0 || m->peer == q->config.self || m->term == 0) return false;
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
        quorum_enter(q->mem);
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
    enum status status = quorum_step_act(q, now_ms, &e);
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
    if (!quorum_our_configuration(q, &s->conf)) return STATUS_OK;
    s->data.base = raft_malloc(1); /* for the library to free; the bytes go round it */
    s->data.len = 1;
    if (s->data.base == NULL) {
        raft_configuration_close(&s->conf);
        return STATUS_OK;
    }
    int rv = quorum_step(q, now_ms, &e, &u);
    if (rv != 0) return quorum_die(q, rv);
    if (u.flags & RAFT_UPDATE_SNAPSHOT) { /* taken over: ours to free; quorum_installed brings a configuration anew */
        raft_free(u.snapshot.chunk.base);
        raft_configuration_close(&u.snapshot.metadata.configuration);
        u.snapshot.chunk = (struct raft_buffer){(void *)(uintptr_t)m->install.data, m->install.size};
    }
    return quorum_act(q, &u);
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
                              .server_id = quorum_raft_of(m->peer),
                              .server_address = q->addresses[quorum_voter_at(q, m->peer)]};
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
                                                     .candidate_id = quorum_raft_of(m->peer),
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
    return quorum_step_act(q, now_ms, &e);
}

// SPDX-License-Identifier: Apache-2.0
/* What the consensus engine asks for, noted for the disk task and the pump. Nothing here calls the owner or the engine:
 * these run inside the engine's step. */
#include "replication/metalog_impl.h"

#include "base/check.h"
#include "replication/metalog_message.h"

static struct metalog *of(struct quorum_owner *o)
{
    return container_of(o, struct metalog, quorum_owner);
}

static void on_vote(struct quorum_owner *o, uint64_t term, int32_t vote)
{
    disk_push_vote(of(o), term, vote);
}

static bool on_append(struct quorum_owner *o, uint64_t first, const struct entry_view *entries, uint32_t count)
{
    struct metalog *m = of(o);
    if (first <= entry_log_last(&m->entries)) {
        CHECK(first > m->applied); /* what was applied is never replaced */
        entry_log_truncate(&m->entries, first);
        m->count.truncations++;
    }
    CHECK(first == entry_log_last(&m->entries) + 1);
    for (uint32_t i = 0; i < count; i++)
        if (entry_log_append(&m->entries, &entries[i]) != STATUS_OK) {
            metalog_fail(m, STATUS_NO_MEMORY, "no memory for the metadata log: raise leat.memory.bytes");
            return false;
        }
    return disk_push_entries(m, first, count);
}

static void on_install(struct quorum_owner *o, uint64_t index, uint64_t term, const uint8_t *data, size_t size)
{
    struct metalog *m = of(o);
    entry_log_reset(&m->entries, index + 1);
    snap_install(m, index, term, data, size);
}

/* Held until the votes told so far are durable. A message that finds no memory is lost, as on a network. */
static void on_send(struct quorum_owner *o, const struct quorum_message *q)
{
    struct metalog *m = of(o);
    struct quorum_message message = *q;
    if (q->kind == MESSAGE_INSTALL) {
        if (m->snapshot_data == NULL || m->snapshot_index != q->install.last_index) return;
        message.install.last_term = m->snapshot_term;
        message.install.data = m->snapshot_data;
        message.install.size = m->snapshot_size;
    }
    struct buf *b = metalog_message_encode(m->mem, &message, m->cluster, &m->entries);
    if (b == NULL) return;
    struct held_message *h = mem_zalloc(m->mem, MEM_REPLICATION, sizeof *h);
    if (h == NULL) {
        buf_unref(&b);
        return;
    }
    h->bytes = b;
    h->to = q->peer;
    h->needs_vote = m->votes_asked;
    list_push_back(&m->held, &h->in_held);
}

static void on_state(struct quorum_owner *o, enum quorum_state state, int32_t leader, uint64_t term)
{
    struct metalog *m = of(o);
    if (state == QUORUM_CANDIDATE) m->count.elections++;
    /* what came before this leadership, its own first entry included, ends here */
    if (state == QUORUM_LEADER) m->ready_index = entry_log_last(&m->entries);
    (void)leader;
    (void)term;
}

static void on_commit(struct quorum_owner *o, uint64_t index)
{
    struct metalog *m = of(o);
    CHECK(index >= m->commit);
    m->commit = index;
}

const struct quorum_actions metalog_quorum_actions = {.vote = on_vote,
                                                      .append = on_append,
                                                      .install = on_install,
                                                      .send = on_send,
                                                      .state = on_state,
                                                      .commit = on_commit};

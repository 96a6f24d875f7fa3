// SPDX-License-Identifier: Apache-2.0
/* Encoding and decoding of messages; the byte tables stand in the header. What a decode lets through may still make no
 * sense: quorum.c looks at the numbers. */
#include "replication/metalog_message.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "replication/metalog_format.h"

#define VERSION    1u
#define HEAD_BYTES 32u

static const uint32_t rest_bytes[] = {
    [MESSAGE_APPEND] = 32,     [MESSAGE_APPEND_RESULT] = 16, [MESSAGE_VOTE] = 24,
    [MESSAGE_VOTE_RESULT] = 8, [MESSAGE_INSTALL] = 24,       [MESSAGE_TIMEOUT_NOW] = 16,
};

static uint64_t entry_bytes(uint32_t size)
{
    return align_up(MENTRY_HEAD_BYTES + (uint64_t)size, 8);
}

static uint64_t tail_bytes(const struct quorum_message *q, const struct entry_log *log)
{
    uint64_t bytes = 0;
    if (q->kind == MESSAGE_INSTALL) return q->install.size;
    if (q->kind != MESSAGE_APPEND) return 0;
    for (uint32_t i = 0; i < q->append.count; i++) {
        const struct log_entry *e = entry_log_at(log, q->append.prev_index + 1 + i);
        CHECK(e != NULL);
        bytes += entry_bytes(e->size);
    }
    return bytes;
}

static void put_entries(uint8_t *at, const struct quorum_message *q, const struct entry_log *log)
{
    for (uint32_t i = 0; i < q->append.count; i++) {
        const struct log_entry *e = entry_log_at(log, q->append.prev_index + 1 + i);
        memset(at, 0, entry_bytes(e->size));
        store_le64(at, e->term);
        at[8] = (uint8_t)e->type;
        store_le32(at + 12, e->size);
        if (e->size > 0) memcpy(at + MENTRY_HEAD_BYTES, e->data, e->size);
        at += entry_bytes(e->size);
    }
}

struct buf *metalog_message_encode(struct mem *m, const struct quorum_message *q, struct uuid cluster,
                                   const struct entry_log *log)
{
    uint64_t tail = tail_bytes(q, log);
    size_t size = HEAD_BYTES + rest_bytes[q->kind] + tail;
    struct buf *b = buf_create(m, MEM_REPLICATION, size);
    if (b == NULL) return NULL;
    uint8_t *p = b->data, *rest = p + HEAD_BYTES;
    memset(p, 0, HEAD_BYTES + rest_bytes[q->kind]);
    p[0] = VERSION;
    p[1] = (uint8_t)q->kind;
    store_le32(p + 4, (uint32_t)q->peer);
    memcpy(p + 8, cluster.b, sizeof cluster.b);
    store_le64(p + 24, q->term);
    switch (q->kind) {
    case MESSAGE_APPEND:
        store_le64(rest, q->append.prev_index);
        store_le64(rest + 8, q->append.prev_term);
        store_le64(rest + 16, q->append.commit);
        store_le32(rest + 24, q->append.count);
        put_entries(rest + 32, q, log);
        break;
    case MESSAGE_APPEND_RESULT:
        store_le64(rest, q->append_result.rejected);
        store_le64(rest + 8, q->append_result.last_index);
        break;
    case MESSAGE_VOTE:
        store_le64(rest, q->vote.last_index);
        store_le64(rest + 8, q->vote.last_term);
        rest[16] = q->vote.disrupt_leader;
        rest[17] = q->vote.pre_vote;
        break;
    case MESSAGE_VOTE_RESULT:
        rest[0] = q->vote_result.granted;
        rest[1] = q->vote_result.pre_vote;
        break;
    case MESSAGE_INSTALL:
        store_le64(rest, q->install.last_index);
        store_le64(rest + 8, q->install.last_term);
        store_le32(rest + 16, crc32c(0, q->install.data, q->install.size));
        if (q->install.size > 0) memcpy(rest + 24, q->install.data, q->install.size);
        break;
    case MESSAGE_TIMEOUT_NOW:
        store_le64(rest, q->timeout_now.last_index);
        store_le64(rest + 8, q->timeout_now.last_term);
        break;
    default: CHECK(false);
    }
    b->size = size;
    return b;
}

static enum status get_entries(const uint8_t *at, size_t size, struct entry_view *entries, uint32_t count)
{
    if (count > MESSAGE_ENTRIES_MAX) return STATUS_INVALID;
    for (uint32_t i = 0; i < count; i++) {
        if (size < MENTRY_HEAD_BYTES) return STATUS_INVALID;
        entries[i] = (struct entry_view){.term = load_le64(at),
                                         .type = (enum entry_type)at[8],
                                         .size = load_le32(at + 12),
                                         .data = at + MENTRY_HEAD_BYTES};
        uint64_t bytes = entry_bytes(entries[i].size);
        if (bytes > size || at[8] < ENTRY_COMMAND || at[8] > ENTRY_CHANGE) return STATUS_INVALID;
        at += bytes;
        size -= bytes;
    }
    return size == 0 ? STATUS_OK : STATUS_INVALID;
}

static enum status get_rest(struct quorum_message *m, const uint8_t *rest, size_t tail, struct entry_view *entries)
{
    switch (m->kind) {
    case MESSAGE_APPEND:
        m->append.prev_index = load_le64(rest);
        m->append.prev_term = load_le64(rest + 8);
        m->append.commit = load_le64(rest + 16);
        m->append.count = load_le32(rest + 24);
        m->append.entries = entries;
        if (m->append.prev_index > INT64_MAX) return STATUS_INVALID;
        return get_entries(rest + 32, tail, entries, m->append.count);
    case MESSAGE_APPEND_RESULT:
        m->append_result.rejected = load_le64(rest);
        m->append_result.last_index = load_le64(rest + 8);
        return m->append_result.last_index > INT64_MAX ? STATUS_INVALID : STATUS_OK;
    case MESSAGE_VOTE:
        m->vote.last_index = load_le64(rest);
        m->vote.last_term = load_le64(rest + 8);
        m->vote.disrupt_leader = rest[16] != 0;
        m->vote.pre_vote = rest[17] != 0;
        return STATUS_OK;
    case MESSAGE_VOTE_RESULT:
        m->vote_result.granted = rest[0] != 0;
        m->vote_result.pre_vote = rest[1] != 0;
        return STATUS_OK;
    case MESSAGE_INSTALL:
        m->install.last_index = load_le64(rest);
        m->install.last_term = load_le64(rest + 8);
        m->install.data = rest + 24;
        m->install.size = tail;
        if (m->install.last_index > INT64_MAX) return STATUS_INVALID;
        return crc32c(0, m->install.data, tail) == load_le32(rest + 16) ? STATUS_OK : STATUS_INVALID;
    case MESSAGE_TIMEOUT_NOW:
        m->timeout_now.last_index = load_le64(rest);
        m->timeout_now.last_term = load_le64(rest + 8);
        return STATUS_OK;
    default: CHECK(false);
    }
}

enum status metalog_message_decode(const void *data, size_t size, int32_t from, int32_t self, struct uuid cluster,
                                   struct entry_view *entries, struct quorum_message *ret_message)
{
    const uint8_t *p = data;
    struct quorum_message m = {.peer = from};
    if (size < HEAD_BYTES) return STATUS_INVALID;
    if (p[0] != VERSION || (int32_t)load_le32(p + 4) != self || memcmp(p + 8, cluster.b, sizeof cluster.b) != 0)
        return STATUS_FORMAT;
    if (p[1] < MESSAGE_APPEND || p[1] > MESSAGE_TIMEOUT_NOW) return STATUS_INVALID;
    m.kind = (enum message_kind)p[1];
    m.term = load_le64(p + 24);
    size_t least = HEAD_BYTES + rest_bytes[m.kind];
    bool has_tail = m.kind == MESSAGE_APPEND || m.kind == MESSAGE_INSTALL;
    if (m.term > INT64_MAX || size < least || (!has_tail && size != least)) return STATUS_INVALID;
    enum status status = get_rest(&m, p + HEAD_BYTES, size - least, entries);
    if (status == STATUS_OK) *ret_message = m;
    return status;
}

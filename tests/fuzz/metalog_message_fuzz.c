// SPDX-License-Identifier: Apache-2.0
/* Messages of a peer from any bytes, also fed to a consensus engine that follows, leads or has a snapshot: nothing may
 * be read outside the bytes, and the engine must live or say that it cannot. The first byte chooses the engine; the
 * message's version, receiver, cluster and CRC are set right, so that the numbers behind them are reached. */
#include "base/bytes.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "base/list.h"
#include "replication/metalog_message.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct engine {
    struct quorum_owner owner;
    struct mem *mem;
    struct entry_log log;
    struct quorum *quorum;
    uint64_t commit, installed, installed_term;
};

static void on_vote(struct quorum_owner *o, uint64_t term, int32_t vote)
{
    CHECK(o != NULL && term > 0 && vote >= -1);
}

static bool on_append(struct quorum_owner *o, uint64_t first, const struct entry_view *entries, uint32_t count)
{
    struct engine *e = container_of(o, struct engine, owner);
    CHECK(first > e->commit);
    if (first <= entry_log_last(&e->log)) entry_log_truncate(&e->log, first);
    CHECK(first == entry_log_last(&e->log) + 1);
    for (uint32_t i = 0; i < count; i++) CHECK_OK(entry_log_append(&e->log, &entries[i]));
    return true;
}

static void on_install(struct quorum_owner *o, uint64_t index, uint64_t term, const uint8_t *data, size_t size)
{
    struct engine *e = container_of(o, struct engine, owner);
    (void)data;
    (void)size;
    entry_log_reset(&e->log, index + 1);
    e->installed = index;
    e->installed_term = term;
}

static void on_send(struct quorum_owner *o, const struct quorum_message *m)
{
    struct engine *e = container_of(o, struct engine, owner);
    struct quorum_message copy = *m;
    if (m->kind == MESSAGE_INSTALL) return;
    struct buf *b = metalog_message_encode(e->mem, &copy, (struct uuid){{5}}, &e->log);
    CHECK(b != NULL);
    buf_unref(&b);
}

static void on_state(struct quorum_owner *o, enum quorum_state state, int32_t leader, uint64_t term)
{
    (void)o;
    CHECK(state <= QUORUM_LEADER && leader >= -1 && term > 0);
}

static void on_commit(struct quorum_owner *o, uint64_t index)
{
    struct engine *e = container_of(o, struct engine, owner);
    CHECK(index >= e->commit);
    e->commit = index;
}

static const struct quorum_actions actions = {on_vote, on_append, on_install, on_send, on_state, on_commit};

/* A follower with five entries; with a snapshot of entry 4 in front; or one that has asked for votes. */
static void engine_start(struct engine *e, struct mem *mem, unsigned kind)
{
    uint8_t change[QUORUM_CHANGE_MAX];
    uint32_t size;
    struct quorum_config c = {
        .self = 1, .voters = {0, 1, 2}, .voter_count = 3, .election_ms = 1000, .heartbeat_ms = 100, .seed = 3};
    *e = (struct engine){.owner.actions = &actions, .mem = mem};
    entry_log_init(&e->log, mem);
    c.log = &e->log;
    c.owner = &e->owner;
    CHECK_OK(quorum_voters_encode(mem, c.voters, 3, change, &size));
    CHECK_OK(entry_log_append(&e->log, &(struct entry_view){1, ENTRY_CHANGE, size, change}));
    for (uint64_t i = 2; i <= 5; i++)
        CHECK_OK(entry_log_append(&e->log, &(struct entry_view){i / 2, ENTRY_COMMAND, 1, (const uint8_t *)"x"}));
    struct quorum_start s = {.term = 3, .vote = -1};
    if (kind == 1) {
        s.snapshot_index = 4;
        s.snapshot_term = 2;
        entry_log_drop_before(&e->log, 5);
        e->commit = 4;
    }
    e->quorum = quorum_create(mem, &c);
    CHECK(e->quorum != NULL);
    CHECK_OK(quorum_start(e->quorum, 1000, &s));
    if (kind == 2) CHECK_OK(quorum_timeout(e->quorum, 9000));
}

static void engine_end(struct engine *e)
{
    quorum_destroy(e->quorum);
    entry_log_deinit(&e->log);
}

static struct entry_view views[MESSAGE_ENTRIES_MAX];

static enum status one(struct engine *e, uint8_t *bytes, size_t size, uint64_t now)
{
    struct quorum_message m;
    if (size >= 32) {
        bytes[0] = 1;
        store_le32(bytes + 4, 1);
        memset(bytes + 8, 0, 16);
        bytes[8] = 5;
        if (bytes[1] == MESSAGE_INSTALL && size >= 56) store_le32(bytes + 48, crc32c(0, bytes + 56, size - 56));
    }
    if (metalog_message_decode(bytes, size, bytes[2] % 3, 1, (struct uuid){{5}}, views, &m) != STATUS_OK)
        return STATUS_OK;
    enum status status = quorum_receive(e->quorum, now, &m);
    if (status != STATUS_OK) return status == STATUS_INVALID ? STATUS_OK : status;
    if (e->installed > 0) {
        status = quorum_installed(e->quorum, now, e->installed, e->installed_term);
        e->commit = MAX(e->commit, e->installed);
        e->installed = 0;
    } else if (entry_log_last(&e->log) >= e->log.first) {
        status = quorum_persisted(e->quorum, now, entry_log_last(&e->log));
    }
    return status;
}

/* Messages one after another: two bytes of length, then the message. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3 || size > 65536) return 0;
    struct mem *mem = mem_create((uint64_t)1 << 30);
    struct engine e;
    engine_start(&e, mem, data[0] % 3);
    enum status status = STATUS_OK;
    uint64_t now = 10000;
    for (size_t at = 1; at + 2 < size && status == STATUS_OK; now += 50) {
        size_t n = MIN((size_t)load_le16(data + at), size - at - 2);
        uint8_t *message = malloc(n + 1);
        CHECK(message != NULL);
        memcpy(message, data + at + 2, n);
        if (n >= 3) status = one(&e, message, n, now);
        free(message);
        at += 2 + n;
    }
    CHECK(status == STATUS_OK || status == STATUS_DAMAGED);
    engine_end(&e);
    mem_destroy(mem);
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
/* The consensus engine behind the metalog: libraft's pure step function with every guard that it needs, and no type of
 * it in this header (quorum_impl.h alone includes raft.h). No I/O, no clock: each call is one event with the
 * current time; what must be done comes out as actions, in this order within one event:
 *   vote -> append -> install -> send... -> state -> commit
 * The owner keeps the order: a message leaves only when every vote told before it is durable; appends are written in
 * their order.
 *
 * Voters are static: entry 1 of the log names them, equal on all. Any call may answer
 *   NO_MEMORY, DAMAGED   the engine is unusable from now on: the owner must stop (DAMAGED: the logs contradict each
 *                        other below what was committed)
 * Actions come inside the calls; they must not call back into this header. */
#pragma once
#include "base/env.h"
#include "replication/entry_log.h"

#define QUORUM_VOTERS_MAX 7u
#define QUORUM_CHANGE_MAX 512u /* bytes of entry 1 */

enum quorum_state { QUORUM_FOLLOWER, QUORUM_CANDIDATE, QUORUM_LEADER };

enum message_kind { /* also on the wire */
                    MESSAGE_APPEND = 1,
                    MESSAGE_APPEND_RESULT = 2,
                    MESSAGE_VOTE = 3,
                    MESSAGE_VOTE_RESULT = 4,
                    MESSAGE_INSTALL = 5,
                    MESSAGE_TIMEOUT_NOW = 6,
};

struct quorum_message { /* borrowed */
    enum message_kind kind;
    int32_t peer; /* to whom, or from whom: node id */
    uint64_t term;
    union {
        struct {
            uint64_t prev_index, prev_term, commit;
            const struct entry_view *entries; /* received */
            uint32_t count;                   /* sent: entries prev_index + 1 ... of the log */
        } append;
        struct {
            uint64_t rejected, last_index;
        } append_result;
        struct {
            uint64_t last_index, last_term;
            bool disrupt_leader, pre_vote;
        } vote;
        struct {
            bool granted, pre_vote;
        } vote_result;
        struct {
            uint64_t last_index, last_term;
            const uint8_t *data; /* received; sent: the owner's snapshot of last_index */
            size_t size;
        } install;
        struct {
            uint64_t last_index, last_term;
        } timeout_now;
    };
};

struct quorum_owner;
struct quorum_actions {
    /* To be durable before the messages that follow. vote: node id, -1: none. */
    void (*vote)(struct quorum_owner *o, uint64_t term, int32_t vote);
    /* Entries from `first` on replace what the log has there. They must be in the log when this returns (else false:
     * the engine gives up with NO_MEMORY) and be written. */
    bool (*append)(struct quorum_owner *o, uint64_t first, const struct entry_view *entries, uint32_t count);
    /* The leader's snapshot replaces everything: log emptied (first = index + 1) when this returns; then write it and
     * call quorum_installed. */
    void (*install)(struct quorum_owner *o, uint64_t index, uint64_t term, const uint8_t *data, size_t size);
    void (*send)(struct quorum_owner *o, const struct quorum_message *m);
    void (*state)(struct quorum_owner *o, enum quorum_state state, int32_t leader, uint64_t term);
    /* Entries up to index are agreed on; some may not be on the own disk yet. */
    void (*commit)(struct quorum_owner *o, uint64_t index);
};
struct quorum_owner { /* embedded */
    const struct quorum_actions *actions;
};

struct quorum_config {
    int32_t self;
    int32_t voters[QUORUM_VOTERS_MAX];
    uint32_t voter_count;
    uint32_t election_ms, heartbeat_ms;
    unsigned seed; /* of the election's random times */
    const struct entry_log *log;
    struct quorum_owner *owner;
};

struct quorum;

/* What entry 1 holds, in the engine's own format. */
enum status quorum_voters_encode(struct mem *m, const int32_t *voters, uint32_t count, uint8_t out[QUORUM_CHANGE_MAX],
                                 uint32_t *ret_size) MUST_CHECK;

struct quorum *quorum_create(struct mem *m, const struct quorum_config *c); /* NULL: no room */
void quorum_destroy(struct quorum *q);

struct quorum_start { /* what recovery found */
    uint64_t term;
    int32_t vote;                           /* -1: none */
    uint64_t snapshot_index, snapshot_term; /* 0: none */
};
/* The log holds the entries. FORMAT: a change of voters that is not ours. */
enum status quorum_start(struct quorum *q, uint64_t now_ms, const struct quorum_start *s) MUST_CHECK;
/* INVALID: not a message that a sound peer sends; nothing was done. */
enum status quorum_receive(struct quorum *q, uint64_t now_ms, const struct quorum_message *m) MUST_CHECK;
/* Entries up to index are on the disk as they stand in the log now. */
enum status quorum_persisted(struct quorum *q, uint64_t now_ms, uint64_t index) MUST_CHECK;
/* A snapshot of our own is on the disk; the log keeps `trailing` entries up to it, what is not stored among them. */
enum status quorum_snapshot_taken(struct quorum *q, uint64_t now_ms, uint64_t index, uint32_t trailing) MUST_CHECK;
enum status quorum_installed(struct quorum *q, uint64_t now_ms, uint64_t index, uint64_t term) MUST_CHECK;
enum status quorum_timeout(struct quorum *q, uint64_t now_ms) MUST_CHECK;
/* Appends entries (their terms are set here). NOT_LEADER. */
enum status quorum_submit(struct quorum *q, uint64_t now_ms, struct entry_view *entries, uint32_t count) MUST_CHECK;
/* to -1: whoever is furthest. NOT_LEADER, INVALID, BUSY. */
enum status quorum_transfer(struct quorum *q, uint64_t now_ms, int32_t to) MUST_CHECK;

uint64_t quorum_deadline_ms(const struct quorum *q); /* when quorum_timeout is due */
uint64_t quorum_term(const struct quorum *q);
enum quorum_state quorum_state(const struct quorum *q);
int32_t quorum_leader(const struct quorum *q);  /* -1: not known */
uint64_t quorum_stored(const struct quorum *q); /* own entries up to here are durable */
bool quorum_installing(const struct quorum *q);
bool quorum_solo(const struct quorum *q); /* one voter */

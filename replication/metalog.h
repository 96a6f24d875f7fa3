// SPDX-License-Identifier: Apache-2.0
/* The metadata log: a replicated log of entries (bytes), agreed on by a quorum of voters (Raft, by the library's pure
 * step interface; no type of it crosses this header), kept in files of its own in `dir`. docs/formats/metalog.md has
 * the bytes, README.md the crash order.
 *
 * Promise: an entry whose submit ended with OK is on disk (flushed) on a majority of the voters and has been applied
 * here; every voter applies the same entries in the same order, each once per start of the owner's state (a restart
 * begins with the last snapshot and applies what follows it anew).
 *
 * One per process, on shard 0. All I/O by env; nothing blocks. Callbacks and done come from the loop, never inside a
 * call into this header (except where said). Whatever fails on the disk stops the metalog for good (`failed`): nothing
 * is tried again, what waits ends with FENCED, and the process must start anew.
 *
 * Life:
 *   metalog_open -> restore_* (if there is a snapshot) -> done(OK) -> role(...), applied(...) ... -> metalog_close
 * With one voter, role(LEADER) follows by itself as soon as all entries have been applied.
 *
 * A controller plans on an image: it must be leader, and it must have applied what it submitted before it plans on it
 * (one batch under way at a time, or plans that do not touch each other). */
#pragma once
#include "base/buf.h"
#include "base/env.h"
#include "protocol/uuid.h"

#define METALOG_VOTERS_MAX      7u
#define METALOG_ENTRY_BYTES_MAX (8u << 20) /* an entry's data */
#define METALOG_SUBMITS_MAX     1024u      /* not yet ended; more are refused with BUSY */
#define METALOG_SNAPSHOT_MAX    (1u << 30) /* bytes of a snapshot */
#define METALOG_MESSAGE_MAX     (METALOG_SNAPSHOT_MAX + (1u << 20))
#define METALOG_NAME            "__metalog" /* of its directory in a log directory; storage leaves it alone */

struct log;
struct metalog;
struct metalog_owner;

enum metalog_role {
    METALOG_FOLLOWER,
    METALOG_CANDIDATE,
    METALOG_LEADER, /* and every entry of earlier terms has been applied here */
};

/* What the owner must do; all on the loop. */
struct metalog_owner_ops {
    /* A committed entry. size 0: a barrier or a change of voters, no record: only the index moves. */
    void (*applied)(struct metalog_owner *o, uint64_t index, uint64_t term, const void *data, uint32_t size);
    /* leader: node id, -1 if not known. Called on each change of the three. */
    void (*role)(struct metalog_owner *o, enum metalog_role role, int32_t leader, uint64_t term);
    /* The state as of the last applied entry, in pieces: begin (false: not now, asked again later), then next until
     * *ret_size is 0 (capacity is at least 64 KiB; not OK: this snapshot is given up), then end (also when given up).
     * Entries are applied meanwhile: next must still give the state as of begin. */
    bool (*snapshot_begin)(struct metalog_owner *o);
    enum status (*snapshot_next)(struct metalog_owner *o, void *out, size_t capacity, size_t *ret_size);
    void (*snapshot_end)(struct metalog_owner *o);
    /* The reverse, at the start and when a leader sends one: pieces in order, then end(true). The state becomes what
     * the bytes say; nothing is applied meanwhile. Not OK: the metalog fails with that status, end(false). */
    void (*restore_begin)(struct metalog_owner *o, uint64_t index, uint64_t term);
    enum status (*restore_next)(struct metalog_owner *o, const void *data, size_t size);
    enum status (*restore_end)(struct metalog_owner *o, bool whole);
    /* A message to another voter: its bytes, to be handed to metalog_receive there. Links are FIFO: what is sent may
     * be lost, never reordered or doubled; after a loss the rest of that connection is lost too. The owner takes the
     * reference. Never called with one voter. */
    void (*send)(struct metalog_owner *o, int32_t to, struct buf *message);
    /* The end: a disk that failed, damage, no memory, a state that this version cannot apply. `why` is one sentence. */
    void (*failed)(struct metalog_owner *o, enum status status, const char *why);
};

struct metalog_owner { /* embedded in the owner, who is found by container_of */
    const struct metalog_owner_ops *ops;
};

struct metalog_config {
    const char *dir; /* made if missing (its parent is there); at most 400 bytes */
    int32_t self;    /* node id */
    int32_t voters[METALOG_VOTERS_MAX];
    uint32_t voter_count;               /* 1, 3, 5 or 7; self is one of them */
    struct uuid cluster;                /* zero: what the files say; at the first start a random one (one voter) */
    uint32_t election_ms, heartbeat_ms; /* defaults 1000, 100 */
    uint64_t snapshot_bytes;            /* a snapshot is taken when the log has grown by this; default 4 MiB */
    uint64_t trailing_bytes;            /* of entries kept before a snapshot for followers; default 4 MiB */
    uint32_t segment_bytes;             /* a log file is closed at this size; default 4 MiB */
    struct metalog_owner *owner;
    struct log *log; /* NULL: silent */
};
void metalog_config_init(struct metalog_config *c); /* the defaults; one voter: node 0 */

/* OK: *metalog is there and works. FORMAT (not ours, newer version, another cluster or other voters), DAMAGED (below
 * what was durable: nothing was changed on disk), LOCKED (another process), INVALID (the config), NO_SPACE, READ_ONLY,
 * IO_ERROR, NO_MEMORY...; error is a sentence that names the file, or what restore said. done comes from the loop. */
struct metalog_open {
    void (*done)(struct metalog_open *op);
    enum status status;
    struct metalog *metalog; /* on OK */
    char error[512];
};
void metalog_open(struct env *e, const struct metalog_config *c, struct metalog_open *op);

/* Appends one entry; `data` is copied during the call. size 0: a barrier (what it waits for: everything before it is
 * applied here, and we are still leader: a linearizable read).
 * OK              applied here at (index, term)
 * NOT_LEADER      refused, or overwritten by a later leader: it is not in the log
 * BUSY            too many under way, or no memory: nothing was done
 * BATCH_TOO_LARGE above METALOG_ENTRY_BYTES_MAX
 * FENCED          the metalog has failed: it may or may not be in the log
 * CANCELED        closed, or another leader's snapshot took its place: the same
 * A submit whose leader has lost its place ends when its outcome is known, which may take as long as there is no
 * leader.
 */
struct metalog_submit {
    void (*done)(struct metalog_submit *op);
    enum status status;
    uint64_t index, term; /* on OK */
    struct list_node in_metalog;
    void *data; /* the metalog's, as is in_metalog */
    uint32_t size;
};
void metalog_submit(struct metalog *m, const void *data, uint32_t size, struct metalog_submit *op);

/* A message as `send` gave it there. Bad bytes: INVALID, nothing changed: close that connection. */
enum status metalog_receive(struct metalog *m, int32_t from, const void *data, size_t size) MUST_CHECK;

/* Asks the leader (us) to hand over; to -1: whoever is furthest. NOT_LEADER; INVALID: not a voter, or us; BUSY: one is
 * under way. OK: begun, `role` tells. */
enum status metalog_transfer(struct metalog *m, int32_t to) MUST_CHECK;
/* Takes a snapshot soon, whatever the log's length. */
void metalog_snapshot(struct metalog *m);

enum metalog_role metalog_role(const struct metalog *m);
int32_t metalog_leader(const struct metalog *m); /* -1: not known */
uint64_t metalog_term(const struct metalog *m);
uint64_t metalog_applied(const struct metalog *m); /* index of the last entry given to `applied` or by restore */
uint64_t metalog_last(const struct metalog *m);    /* index of the last entry in the log, committed or not */
struct uuid metalog_cluster(const struct metalog *m);

struct metalog_counters {
    uint64_t submits, entries, entry_bytes, writes, syncs; /* entries: written to the own log */
    uint64_t snapshots, installs, elections, messages_out, messages_in, truncations;
    uint64_t log_bytes; /* of the files, now */
};
const struct metalog_counters *metalog_counters(const struct metalog *m);

/* Submits that have not ended end with CANCELED; then nothing is called any more, and m is gone at done. A failed one
 * is closed the same way. */
struct metalog_close {
    void (*done)(struct metalog_close *op);
};
void metalog_close(struct metalog *m, struct metalog_close *op);

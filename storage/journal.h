// SPDX-License-Identifier: Apache-2.0
/* Journal: the one file set of a shard and disk that is flushed on the hot path. Entries of all partitions gather in a
 * group (commit); a group is written and flushed as a whole; up to two are in flight; they become durable, and are told
 * so, strictly in sequence.
 *
 * The journal knows nothing of what entries mean. Space: the ring's files in order; a file is used again when it holds
 * no live group; journal_free (after a checkpoint) makes groups dead. Admission happens before an entry is taken, so
 * that an accepted entry always finds its place: journal_admit.
 *
 * Failure: the first failed write or flush fences the disk (disk.h); every waiter from then on gets STATUS_FENCED. */
#pragma once
#include "base/buf.h"
#include "storage/control.h"
#include "storage/disk.h"
#include "storage/path.h"
#include "storage/transfer.h"
#include "storage/waiter.h"

struct partition;
struct store;
struct journal;

#define COMMIT_CHUNKS_MAX 24
#define COMMITS_IN_FLIGHT 2

/* Where a partition's part stands in the group that it touched last; embedded in the partition, starts as zero. */
struct part_cursor {
    uint64_t sequence;
    uint32_t index;
};

/* What one commit did to one partition: where its log ends with it. */
struct commit_part {
    struct partition *partition;
    int64_t end;      /* log end offset */
    uint64_t end_pos; /* the same as log position */
};

struct commit {
    struct list_node in_queue; /* journal->queue, oldest first; the last may be open */
    struct journal *journal;
    struct task task;
    uint64_t sequence;
    struct buf *chunks[COMMIT_CHUNKS_MAX];
    uint32_t chunk_count, entry_count, proof_count, length, header_crc;
    bool open, submitted, durable;
    struct list waiters;
    struct commit_part *parts; /* in order of first touch */
    uint32_t part_count, part_capacity;
    uint32_t slot; /* ring file */
    uint64_t pos;  /* in that file */
    unsigned long ticket;
    struct mono_ns begun;
    struct io_op sync;
    struct timer recheck;                      /* waits for other shards' earlier flushes */
    struct transfer writes[COMMIT_CHUNKS_MAX]; /* last: zeroed one by one, as chunks come */
};

struct journal_config {
    uint64_t file_bytes;  /* of a new ring file */
    uint64_t least_bytes; /* a shorter one cannot hold the largest group: it is replaced (rule A9) */
    uint32_t files_first, files_max;
    uint32_t group_bytes; /* a group is closed at this length; one larger entry makes a larger group */
    uint32_t entry_max;   /* largest entry payload: a record batch */
    int64_t idle_ns;      /* quiet time before the closing block */
};

/* What the owner (store) does with news; called from the loop. */
struct journal_events {
    void (*durable)(struct journal *j, const struct commit *c); /* in sequence, before the waiters of the commit */
    void (*proof)(const struct commit_part *part, struct proof *ret_proof); /* names the partition, its end and HW */
    void (*failed)(struct journal *j);                                      /* once */
};

struct ring_slot {
    uint32_t number;
    uint64_t bytes;
    int32_t file;
    uint32_t live; /* live groups in it */
};

struct mark { /* one live group */
    uint64_t pos;
    uint64_t at; /* bytes of the journal before it, since the start */
    uint32_t slot, length;
    uint32_t unmoved; /* refs of partitions that still need this group at a replay */
};

struct journal {
    struct env *env;
    struct disk *disk;
    const struct journal_events *events;
    struct store *owner; /* for events */
    struct journal_config config;
    struct control control; /* as on disk */
    int32_t control_file;
    struct path dir;
    struct ring_slot slots[RING_FILES_MAX];
    uint32_t order[RING_FILES_MAX]; /* slot numbers in ring order */
    uint32_t slot_count;
    uint32_t head; /* index into order */
    uint64_t head_pos;
    uint64_t ring_bytes; /* of all files; from journal_start on, like ahead */
    uint32_t ahead;      /* files behind the head that hold no live group */
    bool frozen;         /* the order is being changed: do not leave the head file */
    uint64_t next_sequence, durable_sequence;
    uint32_t chain;
    uint64_t placed; /* bytes of groups that have their place in the ring, since the start; replayed ones too */
    struct list queue;
    struct list waiting_now; /* waiters with nothing to wait for: told in the next turn */
    uint32_t in_flight;
    uint32_t last_length; /* of the group closed last */
    bool failed, closing;
    bool witnessed;     /* the last durable group has a later one that says so */
    struct mark *marks; /* deque: marks[(first + i) % capacity] is sequence mark_sequence + i */
    uint32_t mark_first, mark_count, mark_capacity;
    uint64_t mark_sequence;
    uint64_t needed_from; /* no group below is needed for bytes */
    struct proof *proofs; /* of the commit before: they stand in the next one */
    uint32_t proof_count, proof_capacity;
    struct timer idle;
    struct turn_hook hook;
    uint64_t bytes_written, commits; /* metrics; each commit has one flush */
    struct histogram *commit_ns;
};

/* In place; the ring's slots, control page, sequence numbers come from recovery (journal_start). */
enum status journal_init(struct journal *j, struct env *e, struct disk *d, const struct journal_events *events,
                         const struct journal_config *c) MUST_CHECK;
void journal_deinit(struct journal *j);
/* From here on commits are written: recovery has set control, slots, order, head, chain and marks. */
void journal_start(struct journal *j);

/* May an entry with that payload be taken now? OK, BUSY (ring or memory full; control entries may use the last
 * sixteenth of the ring, rule A10), FENCED, BATCH_TOO_LARGE. */
enum status journal_admit(struct journal *j, uint32_t payload_bytes, bool control) MUST_CHECK;

struct place {       /* where a payload lies */
    struct buf *buf; /* borrowed: take a ref to keep it */
    uint32_t pos;
    uint32_t entry; /* number in its group */
    uint64_t sequence;
};
/* Adds an entry to the open group (opening one if needed) and returns where its payload (e->payload_bytes) goes; the
 * caller fills it at once. part: the partition and its log end with this entry; cursor: that partition's. Needs a
 * journal_admit in the same step. NO_MEMORY when the pools are empty: nothing was changed. */
enum status journal_put(struct journal *j, const struct entry *e, const struct commit_part *part,
                        struct part_cursor *cursor, struct place *ret_place) MUST_CHECK;
/* w->durable is called when everything put so far is durable: at once next turn if it is already. */
void journal_wait(struct journal *j, struct commit_waiter *w);
/* Closes the open group now; its sequence, or that of the last group. */
uint64_t journal_seal(struct journal *j);

/* Marks: a ref is a partition's need of a group at replay. */
const struct mark *journal_mark(const struct journal *j, uint64_t sequence); /* of a live group */
void journal_mark_use(struct journal *j, uint64_t sequence);
void journal_mark_release(struct journal *j, uint64_t sequence);
uint64_t journal_oldest_needed(struct journal *j); /* next_sequence if none */
/* Groups below `sequence` are dead. */
void journal_free(struct journal *j, uint64_t sequence);
/* Used part of the ring, in thousandths. */
uint32_t journal_fill(const struct journal *j);
/* Appends are refused soon: what can be moved and freed should be now. */
bool journal_tight(const struct journal *j);
bool journal_full(const struct journal *j); /* they are */
/* journal->placed at the first byte of that group; of the oldest live one, if it is older than that. */
uint64_t journal_place_of(const struct journal *j, uint64_t sequence);
uint64_t journal_bytes(const struct journal *j);
/* Growth: holds the head in its file until journal_insert or journal_replace, if at least half of it is left (unless
 * the next file is to be replaced: the head may not be able to go on) and the open group surely fits; else false and
 * nothing is held. Entries that would need the next file are BUSY meanwhile. */
bool journal_freeze(struct journal *j);
/* The new file, noted in the control page, stands right behind the head; the head may move again. */
void journal_insert(struct journal *j, const struct ring_slot *slot);
/* The file behind the head is dead and too short for the largest group: made in the time of a smaller
 * message.max.bytes. NULL: it is not. */
const struct ring_slot *journal_short_file(const struct journal *j);
/* The new file takes its place; the old one. The head may move again. */
struct ring_slot journal_replace(struct journal *j, const struct ring_slot *slot);
void journal_stalled(struct journal *j, int64_t stall_ns); /* fences when a commit is older than that */
void journal_fail(struct journal *j);
/* Where replay would begin for `sequence`: its group, or where the next one goes. */
void journal_position(const struct journal *j, uint64_t sequence, uint32_t *ret_file, uint64_t *ret_pos);

// SPDX-License-Identifier: Apache-2.0
/* Replay: what one journal entry does to the partitions in memory. No I/O; recovery feeds it group by group. */
#pragma once
#include "storage/store_impl.h"

/* A cut whose entry carries nothing, because its bytes were in memory then, while this replay has moved past it (rule
 * D8); or one that no entry asks for, of a lost batch of which the file holds the head (rule A8): the flow reads the
 * block back (recut.c) and goes on with that entry, or ends the replay once more. */
struct passed_cut {
    struct partition *p;
    int64_t offset; /* base offset of the first batch that is cut */
    uint64_t end_pos;
    int64_t segment_base;
    struct buf *payload; /* what the entry would carry; NULL: not read yet */
};

struct replay {
    struct store *store;
    uint64_t table_sequence; /* the table's state: up to there only bytes are replayed, not state */
    bool lost_unknown;       /* groups were lost and nobody names their partitions: unproved ones are damaged */
    bool after_loss;         /* groups were lost before this one */
    bool broke_off;          /* partitions end below the table's state: a table that knows it comes before anything */
    uint64_t entries, orphans, damaged;
    struct passed_cut cut;
    uint32_t first_entry; /* of the group, when it is gone on with */
};

/* One group (body CRC checked) that lies in b at `at`. after_loss: sequence - 1 was lost, its proofs name the
 * victims. DAMAGED: entries that make no sense; NO_MEMORY; BUSY: replay->cut is wanted; call again when it is there. */
struct group_header;
enum status replay_group(struct replay *r, struct buf *b, uint32_t at, const struct group_header *h,
                         bool after_loss) MUST_CHECK;
/* True if the group holds a truncation: moves in flight must end first (rule A2). */
bool replay_needs_quiet(const uint8_t *group, const struct group_header *h);
/* Groups were lost and nobody names their partitions: every partition is unproved until a later entry proves its end.
 */
void replay_suspect(struct replay *r);
/* After the last group: ends and watermarks; partitions that are still unproved after a loss. BUSY: replay->cut is
 * wanted; call again when it is there. */
enum status replay_finish(struct replay *r) MUST_CHECK;

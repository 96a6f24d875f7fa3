// SPDX-License-Identifier: Apache-2.0
/* Replay: what one journal entry does to the partitions in memory. No I/O; recovery feeds it group by group. */
#pragma once
#include "storage/store_impl.h"

struct replay {
    struct store *store;
    uint64_t table_sequence; /* the table's state: up to there only bytes are replayed, not state */
    bool lost_unknown;       /* groups were lost and nobody names their partitions: unproved ones are damaged */
    bool after_loss;         /* groups were lost before this one */
    uint64_t entries, orphans, damaged;
};

/* One group (body CRC checked) that lies in b at `at`. after_loss: sequence - 1 was lost, its proofs name the
 * victims. DAMAGED: entries that make no sense; NO_MEMORY. */
struct group_header;
enum status replay_group(struct replay *r, struct buf *b, uint32_t at, const struct group_header *h,
                         bool after_loss) MUST_CHECK;
/* True if the group holds a truncation: moves in flight must end first (rule A2). */
bool replay_needs_quiet(const uint8_t *group, const struct group_header *h);
/* Groups were lost and nobody names their partitions: every partition is unproved until a later entry proves its end.
 */
void replay_suspect(struct replay *r);
/* After the last group: ends and watermarks; partitions that are still unproved after a loss. */
void replay_finish(struct replay *r);

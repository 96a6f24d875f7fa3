// SPDX-License-Identifier: Apache-2.0
/* Idempotent producers of one partition: which sequences are in the log (KIP-98, KIP-360; rules I1-I4, A3). Pure.
 *
 * State has two parts: `committed`, as of an offset at or below the high watermark: per producer its epoch and its last
 * five batches; and `pending`, the headers of the batches above it, in offset order. A truncation drops pending ones
 * only, so it never has to undo. Both are a function of the log and of its high watermark, never of a clock.
 *
 * Checks as Apache Kafka 4 makes them, against committed and pending together:
 *   nothing known of the producer   OK, whatever the sequence: its records may have been retained away, its state may
 *                                   have expired (KIP-360; a broker answers UNKNOWN_PRODUCER_ID no more)
 *   lower epoch                     PRODUCER_FENCED
 *   higher epoch                    OK if it begins at 0, else SEQUENCE_GAP
 *   same epoch                      SEQUENCE_DUPLICATE for an exact repeat of one of the last five batches; OK for last
 *                                   sequence + 1, where 0 follows 2^31 - 1; else SEQUENCE_GAP, older repeats too
 * A batch without sequence (a transaction marker) is checked for its epoch only; it counts where it begins an epoch:
 * then 0 must follow. Sequences span what the offsets span, also in batches that compaction has thinned out.
 *
 * Memory (class MEM_LOG): one pointer for a partition without producers; 48 to 64 bytes for a producer with one batch,
 * 144 to 160 for one with more (10^6 of them: 160 MB); 40 for a pending batch, given back when none is left.
 *
 * Two encodings for the checkpoint table (rule A11). `whole` has all; `changes` has what differs from the state of the
 * record before: producers whose committed part changed, ids of those that expired, and the pending batches, which
 * replace the old ones. Little-endian: u32 producers, u32 pending, u32 removed (whole: 0), u32 zero; then per removed
 * one i64 id, ascending; per producer (ascending id) i64 id, i16 epoch, u16 batches, u32 zero, batches x {i32 first,
 * i32 last sequence, i64 base, i64 last offset, i64 timestamp}; then pending x {i64 id, i16 epoch, u16 zero, i32 first
 * sequence, i32 last - base offset + 1, u32 zero, i64 base, i64 last offset, i64 timestamp}. First and last sequence of
 * a batch without: -1. */
#pragma once
#include "base/mem.h"
#include "storage/types.h"

#define NO_SEQUENCE (-1)

struct producer_batch {
    int64_t producer_id, base_offset, last_offset, max_timestamp_ms;
    int32_t first_sequence, record_count; /* at most last - base offset + 1 */
    int16_t epoch;
    bool pending; /* out: above the committed part */
};

struct producers;

struct producer_state {
    struct mem *mem;
    struct producers *p; /* NULL: none seen */
};

void producer_state_init(struct producer_state *s, struct mem *mem);
void producer_state_deinit(struct producer_state *s);
void producer_state_check_invariants(const struct producer_state *s);

/* May this batch be appended now? OK, SEQUENCE_DUPLICATE (*ret_original: the batch that it repeats), SEQUENCE_GAP,
 * PRODUCER_FENCED. Of b's offsets only the difference counts. */
enum status producer_state_check(const struct producer_state *s, const struct producer_batch *b,
                                 struct producer_batch *ret_original) MUST_CHECK;
/* Room for one append, and the commit of all; holds until the next append or commit. NO_MEMORY changes nothing. */
enum status producer_state_reserve(struct producer_state *s) MUST_CHECK;
/* The batch is in the log at its offsets, above all others: it becomes pending. Not checked: a follower and a replay
 * take what the leader took. */
void producer_state_append(struct producer_state *s, const struct producer_batch *b);
/* Folds pending batches that lie below the high watermark; a lower one than before changes nothing. */
void producer_state_commit(struct producer_state *s, int64_t high_watermark);
/* The log ends at `end` now: pending batches that reach there are gone. Never below what was committed. */
void producer_state_truncate(struct producer_state *s, int64_t end);
/* Producers whose newest batch is older than before_ms, and that have none pending, are forgotten. When, is an event of
 * its own that a replay must repeat at the same watermark (ENTRY_EXPIRE): else it would know producers that the log's
 * reader before the crash did not. */
void producer_state_remove_expired(struct producer_state *s, int64_t before_ms);
bool producer_state_expires(struct producer_state *s, int64_t before_ms); /* would it forget any? */
/* Is the batch that ends at `last_offset` the newest committed one of that producer? */
bool producer_state_ends_with(const struct producer_state *s, int64_t producer_id, int64_t last_offset);

enum producer_encoding { PRODUCERS_WHOLE, PRODUCERS_CHANGES };
/* CHANGES, or WHOLE where the changes since the last record are not known any more. */
enum producer_encoding producer_state_best(const struct producer_state *s);
size_t producer_state_encoded_size(const struct producer_state *s, enum producer_encoding how);
void producer_state_encode(const struct producer_state *s, enum producer_encoding how, uint8_t *out);
/* The state is in a record now: changes count from here. */
void producer_state_recorded(struct producer_state *s);
/* WHOLE: into an empty state. DAMAGED: bytes that encode never makes; NO_MEMORY. Stays empty on failure. */
enum status producer_state_decode(struct producer_state *s, const uint8_t *in, size_t bytes) MUST_CHECK;
/* CHANGES: onto the state of the record before. DAMAGED, NO_MEMORY: the state is of no use any more, only to deinit. */
enum status producer_state_apply(struct producer_state *s, const uint8_t *in, size_t bytes) MUST_CHECK;
uint32_t producer_state_count(const struct producer_state *s); /* producers in the committed part */

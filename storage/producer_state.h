// SPDX-License-Identifier: Apache-2.0
/* Idempotent producers of one partition: which sequences are in the log (KIP-98, KIP-360; rules I1-I4, A3). Pure.
 *
 * State has two parts: `committed`, as of the high watermark, and `pending`, the headers of the batches above it. A
 * truncation drops pending ones only, so it never has to undo. Both are a function of the log, never of a clock.
 *
 * Checks as Apache Kafka makes them: nothing known of the producer: any first sequence is taken (its records may have
 * been retained away). A higher epoch must begin at 0. Otherwise the next sequence is last + 1, after 2^31 - 1 comes 0.
 * A repeat of one of the last five batches is a duplicate. Costs: 176 bytes per producer, one pointer for none.
 *
 * Encoding, little-endian: u32 producers, u32 pending, then per producer (ascending id) i64 id, i16 epoch, u16 batches,
 * u32 zero, batches x {i32 first, i32 last sequence, i64 base, i64 last offset, i64 timestamp}; then pending x {i64 id,
 * i16 epoch, u16 zero, i32 first, i32 last sequence, u32 zero, i64 base, i64 last offset, i64 timestamp}. */
#pragma once
#include "base/mem.h"
#include "storage/types.h"

#define PRODUCER_WINDOW 5 /* Kafka's max.in.flight.requests.per.connection with idempotence */

struct producer_batch {
    int64_t producer_id, base_offset, last_offset, max_timestamp_ms;
    int32_t first_sequence, record_count;
    int16_t epoch;
};

struct producers;

struct producer_state {
    struct mem *mem;
    struct producers *p; /* NULL: none seen */
};

void producer_state_init(struct producer_state *s, struct mem *mem);
void producer_state_deinit(struct producer_state *s);
/* May this batch be appended now? OK, SEQUENCE_DUPLICATE (*ret_original: the batch that it repeats), SEQUENCE_GAP,
 * PRODUCER_FENCED. Offsets of b are ignored. */
enum status producer_state_check(const struct producer_state *s, const struct producer_batch *b,
                                 struct producer_batch *ret_original) MUST_CHECK;
enum status producer_state_reserve(struct producer_state *s) MUST_CHECK; /* room for one append and its commit */
void producer_state_append(struct producer_state *s, const struct producer_batch *b); /* becomes pending */
void producer_state_commit(struct producer_state *s, int64_t high_watermark);         /* folds what is below */
void producer_state_truncate(struct producer_state *s, int64_t end); /* pending batches at or above end are gone */
size_t producer_state_encoded_size(const struct producer_state *s);
void producer_state_encode(const struct producer_state *s, uint8_t *out);
enum status producer_state_decode(struct producer_state *s, const uint8_t *in, size_t bytes) MUST_CHECK;
uint32_t producer_state_count(const struct producer_state *s); /* producers in the committed part */

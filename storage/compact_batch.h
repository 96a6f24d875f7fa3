// SPDX-License-Identifier: Apache-2.0
/* One batch in a round of compaction: what it teaches the key map, and what is left of it. Pure.
 *
 * A batch keeps its base offset, last offset delta, leader epoch, producer fields and codec, whatever goes out of it.
 * Where all stays it is not touched at all. */
#pragma once
#include "protocol/batch_record.h"
#include "storage/compact_rules.h"

struct compact_round {
    struct mem *mem;
    struct key_map *map;
    const struct producer_state *producers; /* the committed part counts */
    int64_t upto;                           /* learnt so far; the end of the round once all is */
    int64_t now_ms, delete_retention_ms;
    struct batch_builder builder; /* holds what compact_batch gave last */
    /* of compact_batch, for the log line */
    uint64_t records_kept, records_gone;
};

void compact_round_init(struct compact_round *r, struct mem *mem, struct key_map *map,
                        const struct producer_state *producers, int64_t from);
void compact_round_deinit(struct compact_round *r); /* the map is the caller's */

/* The batch of the dirty part that comes next: its keys from r->upto on. OK: learnt, upto is behind it; *ret_full: the
 * map is full, upto is the first record that is not in it. CORRUPT_BATCH, INVALID_RECORD, BATCH_TOO_LARGE,
 * UNSUPPORTED_CODEC: it cannot be read; NO_MEMORY: try again later. */
enum status compact_learn(struct compact_round *r, const uint8_t *data, const struct batch_info *info,
                          bool *ret_full) MUST_CHECK;

enum compact_outcome { COMPACT_WHOLE, COMPACT_THINNED, COMPACT_GONE };

/* What is left of it. COMPACT_WHOLE: *ret_data is data; THINNED: other bytes, until the next call; GONE: nothing.
 * Errors as above. */
enum status compact_batch(struct compact_round *r, const uint8_t *data, const struct batch_info *info,
                          enum compact_outcome *ret_outcome, const uint8_t **ret_data, size_t *ret_len) MUST_CHECK;

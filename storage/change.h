// SPDX-License-Identifier: Apache-2.0
/* Durable changes of a partition other than appends, as they act on memory: for change.c and for replay. */
#pragma once
#include "storage/read.h"

/* Cuts the log at t->end_pos, where offset `end` would be. payload: the entry's payload (index state and carried
 * bytes), in buf at buf_at, group `sequence`, entry number `entry`. state: epochs, producers, ends are cut too (not
 * when only bytes are replayed). */
enum status partition_cut(struct partition *p, int64_t end, const struct truncate_payload *t, const uint8_t *payload,
                          struct buf *buf, uint32_t buf_at, uint64_t sequence, uint32_t entry, bool state) MUST_CHECK;

/* What the entry of a cut carries whose bytes are in a segment file: `f` has read back, verified, the block in which
 * the batch at log position end_pos begins. cut: a zeroed index but for mem; the state as of that block's start; the
 * caller's. BUSY: no memory. */
enum status partition_cut_payload(const struct partition *p, const struct segment_fetch *f, uint64_t end_pos,
                                  struct truncate_payload *ret_payload, struct index *ret_cut) MUST_CHECK;
/* Header, index state and carried bytes of it, TRUNCATE_PAYLOAD_BYTES + index_bytes + (end_pos - carry_pos). */
void partition_cut_encode(uint8_t *out, const struct truncate_payload *t, const struct index *cut,
                          const struct segment_fetch *f);

/* Replay: the delete entry is in the log: out of map and table; its directory waits for the trash (bury.c). */
enum status partition_deleted(struct partition *p) MUST_CHECK;

/* Segments wholly below the log start leave memory; their files are unlinked by the caller: calls file() for each. */
uint32_t partition_segments_below(const struct partition *p, int64_t log_start);

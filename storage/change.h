// SPDX-License-Identifier: Apache-2.0
/* Durable changes of a partition other than appends, as they act on memory: for change.c and for replay. */
#pragma once
#include "storage/partition.h"

/* Cuts the log at t->end_pos, where offset `end` would be. payload: the entry's payload (index state and carried
 * bytes), in buf at buf_at, group `sequence`, entry number `entry`. state: epochs, producers, ends are cut too (not
 * when only bytes are replayed). */
enum status partition_cut(struct partition *p, int64_t end, const struct truncate_payload *t, const uint8_t *payload,
                          struct buf *buf, uint32_t buf_at, uint64_t sequence, uint32_t entry, bool state) MUST_CHECK;

/* Replay: the delete entry is in the log: out of map and table; its directory waits for the trash (bury.c). */
enum status partition_deleted(struct partition *p) MUST_CHECK;

/* Segments wholly below the log start leave memory; their files are unlinked by the caller: calls file() for each. */
uint32_t partition_segments_below(const struct partition *p, int64_t log_start);

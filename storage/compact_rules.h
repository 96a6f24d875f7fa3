// SPDX-License-Identifier: Apache-2.0
/* The rules of log compaction, as Apache Kafka 4 decides: which log, how far, which segments together, which record
 * stays. Pure; docs/compaction.md tells the whole. */
#pragma once
#include "storage/key_map.h"
#include "storage/partition.h"

struct compact_log {
    const struct segment *segments; /* in order, the last one open */
    uint32_t count;
    int64_t moving_base; /* of the segment that bytes are moved to: those before it are complete in their files */
    int64_t clean_end;   /* where the last round ended */
    int64_t log_start, high_watermark;
};

struct compact_verdict {
    bool wanted;
    int64_t from, to; /* the dirty part; to: the base of the first segment that may not be cleaned now */
    uint64_t clean_bytes, dirty_bytes;
};

/* Is it time for a round? Not while cleanup.policy lacks compact. What may be cleaned: closed segments below the high
 * watermark, up to the first dirty one with a record younger than min.compaction.lag.ms. It is wanted when their dirty
 * share is above min.cleanable.dirty.ratio, or the oldest dirty one is older than max.compaction.lag.ms. */
struct compact_verdict compact_decide(const struct partition_settings *settings, const struct compact_log *l,
                                      int64_t now_ms);

/* How many segments from `first` on become one: as many as fit segment_bytes together, and 32-bit offsets from its
 * base; at least one, none whose base is `to` or above. */
uint32_t compact_group(const struct segment *segments, uint32_t count, uint32_t first, int64_t to,
                       uint64_t segment_bytes);

/* One record of a round. key_len, value_len: -1 is null. */
struct compact_record {
    int64_t offset;
    const void *key;
    int32_t key_len, value_len;
    int64_t delete_horizon_ms; /* of its batch; negative: none */
};

/* upto: the map knows every key of the dirty part below it. */
bool compact_survives(const struct key_map *map, int64_t upto, int64_t now_ms, const struct compact_record *r);

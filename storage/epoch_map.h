// SPDX-License-Identifier: Apache-2.0
/* Leader-epoch map of one partition: which epoch wrote which offsets (KIP-101, KIP-279). Pure; nothing here waits.
 *
 * Entries (epoch, start offset), both strictly ascending: an entry's records are [start, start of the next one), the
 * last one's reach to the log end. An epoch that starts where the latest one started replaces it: that one wrote
 * nothing (rule D6). The epoch a replica has noted is kept apart from this map: it survives truncation, entries do not.
 *
 * Memory: 40 bytes in its owner; the heap (class MEM_LOG) only from the second entry on, 16 bytes each. */
#pragma once
#include "base/mem.h"
#include "base/status.h"
#include <stdbool.h>
#include <stdint.h>

#define EPOCH_MAP_MAX         (1u << 20) /* entries; a bound for decode, out of reach for a living partition */
#define EPOCH_MAP_ENTRY_BYTES 12u        /* encoded */
#define NO_EPOCH              (-1)

struct epoch_entry {
    int64_t start;
    int32_t epoch;
};

struct epoch_map {
    struct mem *mem;
    struct epoch_entry *many; /* NULL while one entry is enough */
    struct epoch_entry one;
    uint32_t count, capacity; /* capacity of many */
};

void epoch_map_init(struct epoch_map *m, struct mem *mem);
void epoch_map_deinit(struct epoch_map *m);
void epoch_map_check(const struct epoch_map *m);

/* Room for one more entry: the next add cannot fail for memory. NO_MEMORY: back-pressure, or EPOCH_MAP_MAX reached. */
enum status MUST_CHECK epoch_map_reserve(struct epoch_map *m);
/* `epoch` begins at offset `start`, the log end. INVALID if it is not above the latest or starts below it. NO_MEMORY.
 */
enum status MUST_CHECK epoch_map_add(struct epoch_map *m, int32_t epoch, int64_t start);

/* The log ends at `end` now: epochs that started there or above fall. */
void epoch_map_truncate(struct epoch_map *m, int64_t end);
/* The log starts at `log_start` now: entries wholly below fall, the one that covers it starts there. */
void epoch_map_trim(struct epoch_map *m, int64_t log_start);

/* Who wrote `offset`, if it is in the log; NO_EPOCH below the first entry. */
int32_t epoch_map_epoch_of(const struct epoch_map *m, int64_t offset);
/* NO_EPOCH when empty. */
int32_t epoch_map_latest(const struct epoch_map *m);

/* OffsetForLeaderEpoch: the largest known epoch <= `epoch` and the offset where it ends. As Apache Kafka answers:
 *   the latest epoch                it, and the log end
 *   older than every entry          the asked epoch, and the first entry's start
 *   newer than the latest, or < 0   NO_EPOCH, -1: not known here */
void epoch_map_end_of(const struct epoch_map *m, int32_t epoch, int64_t log_end, int32_t *ret_epoch, int64_t *ret_end);

/* For the checkpoint table, little-endian: per entry i64 start, i32 epoch; the length tells how many. */
size_t epoch_map_encoded_size(const struct epoch_map *m);
void epoch_map_encode(const struct epoch_map *m, uint8_t *out);
/* Into an empty map. DAMAGED: bytes that encode never makes; NO_MEMORY. The map stays empty on failure. */
enum status MUST_CHECK epoch_map_decode(struct epoch_map *m, const uint8_t *in, size_t len);

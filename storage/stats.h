// SPDX-License-Identifier: Apache-2.0
/* What a store counts while it works, beside what journal and table writer count themselves. Embedded in the store;
 * counted in place. store_stats (store.h) reads it. */
#pragma once
#include <stdint.h>

struct store_counters {
    uint64_t moves, moved_bytes; /* pieces written to segment files, and their bytes */
    uint64_t cached_bytes;       /* of all partitions' refs: unmoved bytes and tail cache */
    uint32_t damaged;            /* partitions with a damaged range that nobody has accepted; valid while serving */
};

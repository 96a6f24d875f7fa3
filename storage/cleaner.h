// SPDX-License-Identifier: Apache-2.0
/* Log compaction of a store: one round at a time over the partitions whose cleanup.policy has compact
 * (store->compacted), each looked at once in clean_check_ms. docs/compaction.md tells what a round does. */
#pragma once
#include "storage/store_impl.h"

struct cleaner;

struct cleaner *cleaner_create(struct store *s); /* NULL: no memory */
void cleaner_destroy(struct cleaner *c);
void cleaner_start(struct cleaner *c); /* the store serves */
void cleaner_tick(struct cleaner *c);  /* several times a second */
bool cleaner_idle(const struct cleaner *c);
/* Since the start. */
struct cleaner_counters {
    uint64_t rounds, swaps, failed;
    uint64_t bytes_read, bytes_written, bytes_freed;
    uint64_t records_gone;
};
const struct cleaner_counters *cleaner_counters(const struct cleaner *c);

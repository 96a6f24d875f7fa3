// SPDX-License-Identifier: Apache-2.0
/* A compaction swap (rule A12): segments of a log are replaced by one file that holds what is left of them. It is a
 * journal entry; memory changes in the step that puts it, and a replay does the same again. */
#pragma once
#include "storage/partition.h"

/* Segments from base `base` on, w->count of them, become one of `length` bytes. OK. DAMAGED: they are not those that
 * the log has, or not complete in their files; NO_SPACE: no log positions are left for it; NO_MEMORY. Nothing changed
 * then. The replaced files are remembered (p->stale). */
enum status partition_swap(struct partition *p, int64_t base, uint64_t length, const struct swap_payload *w) MUST_CHECK;
/* The same in two steps: what may fail, then, in the same turn, what cannot. Between them the entry is put; where that
 * fails: partition_stale_forget. */
enum status partition_swap_prepare(struct partition *p, int64_t base, uint64_t length,
                                   const struct swap_payload *w) MUST_CHECK;
void partition_swap_do(struct partition *p, int64_t base, uint64_t length, const struct swap_payload *w);
/* The entry is durable: the replaced files go. */
void partition_stale_unlink(struct partition *p);
bool partition_stale_has(const struct partition *p, int64_t base, uint32_t generation);
void partition_stale_forget(struct partition *p); /* p goes: its files are somebody else's business */

// SPDX-License-Identifier: Apache-2.0
/* Deleted partitions and their directories (rule A6): delete.c, bury.c, trash.c; taken back: revive.c. */
#pragma once
#include "storage/kept_name.h"
#include "storage/store_impl.h"
#include "storage/table.h"

void folder_path(const struct store *s, enum store_folder folder, struct path *ret_path);
/* Where a directory goes now, in that folder; the time in k is not looked at. */
void kept_path(const struct store *s, enum store_folder folder, const char *dir_name, const struct kept *k,
               struct path *ret_path);

/* partition.state, beside the files of a partition that has gone there: 0 u64 magic "LEATSTAE", 8 u32 version of the
 * table, 12 u32 zero, 16 its table record (table.c), zeros to a multiple of 4 KiB. FORMAT: of another version; DAMAGED.
 * The record points into the bytes. */
enum status partition_state_decode(const uint8_t *bytes, size_t len, struct record *ret_record) MUST_CHECK;

/* Recovery: the directories of partitions whose deletion was replayed (store->graves), each if it still is the deleted
 * one's, go to the trash, durably. One pending op of `parent`; *ret_status is valid when it runs again. */
struct burial;
struct burial *burial_start(struct store *s, struct task *parent);
enum status burial_end(struct burial *b); /* its result; frees it */

struct trash;
struct trash *trash_create(struct store *s); /* NULL: no memory */
void trash_destroy(struct trash *t);
/* Shard 0: what has lain there for undelete_ms goes, and below the space reserve the oldest at once (rule A10). */
void trash_turn(struct trash *t);
bool trash_idle(const struct trash *t);

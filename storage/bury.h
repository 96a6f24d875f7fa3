// SPDX-License-Identifier: Apache-2.0
/* Deleted partitions and their directories (rule A6): delete.c, bury.c, trash.c. */
#pragma once
#include "storage/store_impl.h"

/* The name in the trash: name.id.creation.wall-clock ms; trash_time reads it back, -1 if the name is none of ours. */
void trash_path(struct store *s, const char *name, struct topic_id id, uint64_t creation, struct path *ret_path);
int64_t trash_time(const char *name);

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

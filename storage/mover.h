// SPDX-License-Identifier: Apache-2.0
/* Mover: carries durable bytes from memory to segment files, lazily: pieces of the configured size and more as they
 * come; what becomes too old for the ring at any size (multiples of 4 KiB; the rest is carried by the table). Rules:
 * durable bytes only (A1); one move per partition in flight, a truncation waits for it (A2); no space is not a failed
 * write: the piece stays pinned and is tried again (A10). */
#pragma once
#include "storage/store_impl.h"

#define MOVE_PIECE_BYTES (256u << 10)
#define MOVES_MAX        64

struct mover;

struct mover *mover_create(struct store *s); /* NULL: no memory; its staging memory is taken now */
void mover_destroy(struct mover *m);
bool mover_idle(const struct mover *m);
bool mover_has_work(const struct mover *m); /* something could move in a hurry */

/* Starts what should be moved now; called each turn. */
void mover_turn(struct mover *m);
/* More of p became durable, or what held it up is over: into the queue that it belongs to. */
void mover_look(struct partition *p);
/* A table carries all of p that is not moved: the ring does not wait for it. */
void mover_carried(struct partition *p);
/* Everything durable must move at any size until mover_all_moved. */
void mover_force(struct mover *m, bool on);
bool mover_all_moved(const struct mover *m);
bool mover_moved(const struct mover *m, struct partition *p); /* that one */
/* Clean stop: writes the rest (< 4 KiB) of p as a copy and cuts its file to length; the table still carries it (D2).
 * The task waits for it. */
bool mover_has_slot(const struct mover *m); /* needed for: */
void mover_copy_tail(struct mover *m, struct partition *p, struct task *parent);

/* A move ended for p (or none was in flight): for those that wait (truncation, deletion). */
void partition_move_ended(struct partition *p);

/* Beside those of storage/stats.h. */
struct mover_counters {
    uint64_t aged, due;   /* moves begun, by their reason */
    uint64_t prepared;    /* directories and files made ahead */
    uint32_t flight_most; /* moves at once, at most */
};
const struct mover_counters *mover_counters(const struct mover *m);

/* Path of the partition's directory. */
void partition_dir(const struct partition *p, struct path *ret_path);
struct file_key partition_file_key(const struct partition *p, int64_t base, enum file_kind kind); /* as it is now */
struct file_key partition_generation_key(const struct partition *p, int64_t base, uint32_t generation,
                                         enum file_kind kind);
void partition_dir_dirty(struct partition *p); /* a name in it was made: the checkpoint syncs it */

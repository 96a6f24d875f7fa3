// SPDX-License-Identifier: Apache-2.0
/* Checkpoint: makes moved bytes durable and writes down, as of one durable journal sequence, what a start needs to
 * know, so that the ring can be used again. The table is a base plus deltas (table.h) in two files, table-0 and
 * table-1. */
#pragma once
#include "storage/store_impl.h"
#include "storage/table.h"

struct table_writer {
    struct store *store;
    struct task task;
    int32_t files[2];
    uint64_t allocated[2]; /* bytes reserved on disk */
    uint64_t generation;   /* of the newest base; its file is generation % 2 */
    uint32_t number;       /* of the next chunk in it; 0: a base must be written first */
    uint32_t chain;        /* header CRC of the last chunk */
    uint64_t pos;          /* where the next chunk goes */
    uint64_t base_bytes, delta_bytes;
    uint64_t chunk_bytes;                     /* of the last one */
    uint64_t replay_from, replay_from_before; /* of the last durable chunk and the one before */
    uint32_t replay_file, replay_file_before; /* the ring files in which their replays begin */
    struct out chunk, drops;                  /* being written; drop records for the next one */
    uint32_t drop_count;
    struct chunk_header header;
    bool running, wanted, base, stopped;
    uint64_t journal_bytes_at; /* journal->bytes_written at the last snapshot */
    struct mono_ns last;
    struct commit_waiter durable;
    struct list waiting, telling; /* commit_waiters: those for the next checkpoint, those for the running one */
    struct io_op *syncs;
    struct file **synced;
    uint32_t sync_count;
    struct path *dirs;
    struct io_op op;
    struct transfer write;
    struct timer again;
    unsigned long ticket; /* of the syncs in flight or just ended */
    enum status durable_status;
    uint64_t checkpoints, bytes_written;
};

struct table_writer *table_writer_create(struct store *s);
void table_writer_destroy(struct table_writer *w);

/* Starts a checkpoint if it is time; called each turn. */
void checkpoint_turn(struct table_writer *w);
/* w is told when a checkpoint that began after this call is durable (or FENCED; NO_SPACE: not now). */
void checkpoint_request(struct table_writer *w, struct commit_waiter *waiter);
/* p leaves this journal: the next chunk says so (or is a base without it, when memory runs out). */
void checkpoint_drop(struct table_writer *w, struct topic_id id, int32_t number, uint64_t home);

// SPDX-License-Identifier: Apache-2.0
/* Writes the files of a segment anew: batch after batch into a new .log, its index pages into the .lidx beside it.
 * Embedded in its owner, whose task waits: segment_writer_step is called again after each wait.
 *
 *   open; then per batch: put, step until it is not WRITER_WAITS; then finish, step likewise; then close
 *
 * Memory: 256 KiB and a page (class MEM_LOG), from open to close; the bytes of a batch are borrowed until its step is
 * done. Nothing here is durable: the files are dirty, a checkpoint syncs them and their names. */
#pragma once
#include "storage/files.h"
#include "storage/partition.h"
#include "storage/transfer.h"

enum writer_state { WRITER_DONE, WRITER_WAITS, WRITER_FAILED };

struct segment_writer {
    struct partition *p;
    struct task *task;
    int64_t base;
    uint32_t generation;
    bool open, finishing, page_in_flight, data_in_flight, cut_in_flight, last_page;
    struct file_use log, index_file;
    struct index index;
    uint8_t *staging, *page;
    uint32_t staged;
    uint64_t flushed, bytes; /* of the .log: written; put */
    const uint8_t *source;   /* rest of the batch */
    uint32_t source_left;
    struct transfer io;
    struct io_op cut;
    int64_t newest_ms, oldest_ms; /* of the batches put; -1: none had a time */
    bool timeless;                /* some had none */
    enum status status;           /* of WRITER_FAILED */
};

/* NO_MEMORY changes nothing; else the task has ops pending and the first step tells. */
enum status segment_writer_open(struct segment_writer *w, struct partition *p, int64_t base, uint32_t generation,
                                struct task *t) MUST_CHECK;
struct batch_info;
void segment_writer_put(struct segment_writer *w, const uint8_t *batch, const struct batch_info *info);
void segment_writer_finish(struct segment_writer *w);
/* FAILED: w->status: NO_SPACE, TOO_MANY_FILES or a failed write, which the owner answers for. */
enum writer_state segment_writer_step(struct segment_writer *w);
/* Gives everything back. remove: the files go. */
void segment_writer_close(struct segment_writer *w, bool remove);

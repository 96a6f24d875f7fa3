// SPDX-License-Identifier: Apache-2.0
/* Finding and reading log bytes in segment files: shared by reads, lookups by time and truncation. */
#pragma once
#include "storage/files.h"
#include "storage/index_repair.h"

/* Loads verified blocks of one segment: first the index tells which, then one read brings them. Embedded in its owner;
 * the owner's task waits (fetch counts as one pending op of it).
 *
 * Result on OK: `buf` holds the segment's bytes [pos, pos + bytes), pos at an index block's start, every block checked
 * against its CRC-32C; the batch that contains `offset` begins in the first block. */
struct segment_fetch {
    struct task task;
    struct task *parent;
    struct partition *p;
    int64_t offset; /* wanted */
    uint64_t limit; /* log position: bytes at or above are not read from the file */
    uint32_t want;  /* bytes wanted from the batch on */
    struct segment segment;
    struct file_use log, index;
    struct transfer read;
    uint8_t *page; /* two pages: the one that was found, and the one after it */
    uint32_t page_low, page_high, page_number, pages, next_page; /* pages: in the .lidx file; next_page 0: none */
    uint64_t block;
    struct index_entry *entries; /* of the blocks being read, as they were when the read began */
    uint32_t entry_count, entry_capacity;
    struct repair_use repair; /* of the page that failed its check */
    uint32_t repaired;        /* page + 1 of the last repair: it fails once */
    bool is_in_builder;
    bool cut_short;     /* OUT: a block failed its check; bytes ends before it */
    bool keep_page;     /* set by the owner after the start: it wants page_copy and frees it */
    uint8_t *page_copy; /* the index page that was used; NULL if the builder had the block */
    struct buf *buf;
    uint64_t pos;
    uint32_t bytes;
    uint32_t first_pos; /* in buf: where the first batch begins */
    enum status status;
};

/* An index page that is damaged or missing is made anew first. OUT: STATUS_OK, DAMAGED (a checksum), IO_ERROR, BUSY (no
 * memory, or the index moved on meanwhile: try again). The buf is the owner's. */
void segment_fetch_start(struct segment_fetch *f, struct task *parent, struct partition *p, int64_t offset,
                         uint64_t limit, uint32_t want);

// SPDX-License-Identifier: Apache-2.0
/* The log of one captured run: every block write (with its data), zeroing and flush, and the workload's marks, in the
 * order in which the disk saw them. Lives in shared memory: the FUSE server appends, the driver reads afterwards.
 *
 * Order: a flush covers every entry before it. A mark stands after all that had completed when the workload wrote it
 * and before everything the workload submitted later. */
#pragma once
#include "vdisk.h"
#include <stdint.h>

enum blklog_kind {
    BLKLOG_WRITE, /* size_bytes at offset; data */
    BLKLOG_ZERO,  /* discard or write-zeroes */
    BLKLOG_FLUSH, /* completed */
    BLKLOG_MARK   /* data: one line without its newline */
};

struct blklog_entry {
    uint32_t kind;
    uint32_t size_bytes;
    uint64_t offset;
    uint64_t data; /* position in data[] */
};

#define BLKLOG_ENTRIES_MAX (1u << 20)
#define BLKLOG_DATA_MAX    (3ull << 30)

struct blklog {
    uint64_t count, data_bytes;
    struct blklog_entry *entry; /* BLKLOG_ENTRIES_MAX */
    uint8_t *data;              /* BLKLOG_DATA_MAX */
};

struct blklog *blklog_create(void);
void blklog_append(struct blklog *l, enum blklog_kind kind, uint64_t offset, const void *data, uint32_t size_bytes);
const uint8_t *blklog_data(const struct blklog *l, const struct blklog_entry *e); /* NULL for zeros */

/* One entry applied to a layer of a disk; flushes and marks do nothing. */
void blklog_apply_lower(const struct blklog *l, uint64_t index, struct vdisk *d);

/* File: the disk's lower layer (at the log's start) and the log, in this machine's byte order; for reproducing only. */
void blklog_save(const struct blklog *l, const struct vdisk *base, const char *path);
void blklog_load(const char *path, struct blklog **ret_log, struct vdisk **ret_base);

// SPDX-License-Identifier: Apache-2.0
/* Makes index pages of segment files anew from the .log when a reader finds one damaged or missing (fault D24): one
 * repair of a store at a time, in pieces of 256 KiB, so that memory and the disk's time are bounded; whoever wants the
 * same pages waits in line. */
#pragma once
#include "storage/files.h"
#include "storage/partition.h"

struct repairer;

struct repair_use { /* embedded in a reader that waits */
    struct list_node in_waiting;
    struct task *task;
    struct partition *p;
    int64_t base; /* of the segment */
    uint32_t page;
    bool for_cut; /* the reader is a truncation: others must not repair while one is under way */
    enum status status;
};

struct repairer *repairer_create(struct store *s); /* NULL: no memory */
void repairer_destroy(struct repairer *r);
bool repairer_idle(const struct repairer *r);

/* The page fails its check, or the file ends before it. Counts as one pending op of the task; the task's owner holds
 * the partition (readers). Then u->status: OK: the page was read, or made and written: read it again; DAMAGED: the .log
 * itself is; BUSY: no memory or space, or the segment changes: try again later; NOT_LEADER: the partition goes;
 * IO_ERROR, ... of a read. A failed write fences the disk. */
void index_repair(struct repairer *r, struct repair_use *u, struct task *t, struct partition *p, int64_t base,
                  uint32_t page);
/* Pages of a segment's .lidx file that are written; what lies behind them the index builder holds. */
uint32_t segment_pages_in_file(const struct partition *p, const struct segment *s);

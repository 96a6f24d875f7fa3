// SPDX-License-Identifier: Apache-2.0
/* One partition log as its shard sees it. The API for the layers above is store.h; this is the inside, for storage
 * only.
 *
 * Two coordinates: offsets count records; log positions count bytes since the partition was created. A segment covers
 * [start, start + length) of the log positions; its file holds exactly these bytes. Invariants (partition_check):
 *
 *   first segment's start <= moved_pos <= durable_pos <= end_pos      log_start <= high_watermark <= log_end
 *   moved_pos - its segment's start is a multiple of 4096 (or the segment's end)
 *   refs are contiguous in position, cover at least [moved_pos, end_pos), and end at end_pos
 *   segments ascend and do not overlap; a compacted one may be shorter than what lies between it and the next
 *
 * moved_pos   bytes below are in segment files (complete writes; durable at the next checkpoint)
 * carried_pos bytes below are in the last checkpoint table or in files: the ring need not hold them
 * durable_pos bytes below are in durable journal groups */
#pragma once
#include "storage/epoch_map.h"
#include "storage/index.h"
#include "storage/journal.h"
#include "storage/producer_state.h"
#include "storage/store.h"

struct move;

#define LOG_POS_FIRST (1ull << 40) /* of a new log: compaction may move segments down (swap.c) */

struct segment {
    int64_t base;        /* first offset; the file's name */
    uint64_t start;      /* log position of its first byte */
    uint64_t length;     /* bytes; of the last segment: UINT64_MAX while it is open */
    uint32_t generation; /* of its files; 0: written by the mover, else by that round of compaction */
    /* No batch in it is younger: the largest max timestamp of what was appended, for a batch without time that of its
     * append; -1: nothing yet. Stays where a truncation takes the youngest batch away. */
    int64_t newest_ms;
    int64_t oldest_ms; /* likewise of its first batch; -1: nothing yet */
};

/* Bytes of the log in memory: one batch, or a fragment of one (whole false: the end of a batch whose beginning is in
 * the file: what a checkpoint table or a truncation carried). */
struct ref {
    int64_t base_offset, max_timestamp_ms;
    uint64_t pos;      /* log position of the first byte */
    uint64_t sequence; /* journal group that holds the bytes; 0: none (from a table) */
    struct buf *buf;
    uint32_t buf_pos, len;
    uint32_t entry;     /* its entry's number in the group */
    int32_t last_delta; /* last offset - base offset */
    bool whole;
    bool marked; /* holds a mark of its group */
};

/* Where the replay of a partition's bytes goes on behind what its table record carries. */
struct resume {
    uint64_t sequence; /* entries of earlier groups, and earlier entries of this group, are not replayed */
    uint32_t entry;
    uint64_t end_pos; /* of the table's state: what the replay up to the table's sequence must reach */
    bool met;         /* its first entry was there */
};

struct partition {
    struct list_node in_touched; /* store->touched: the next table delta has it */
    struct list_node in_unmoved; /* store->unmoved: has bytes that are not moved */
    struct list_node in_aged;    /* store->aged: has bytes that only the ring holds */
    struct list_node in_due;     /* store->due: has enough to move, or a segment to close */
    struct list_node in_bare;    /* store->bare: will move something, and has no directory */
    struct list_node in_dirs;    /* store->dirty_dirs: the directory wants a sync */
    struct list_node in_graves;  /* store->graves: its deletion was replayed */
    struct store *store;
    struct partition_user *user;
    char *topic; /* NUL-terminated */
    struct topic_id id;
    int32_t number, epoch;
    uint64_t home, creation;
    int64_t log_start, log_end, high_watermark, replicated; /* replicated: NO_OFFSET, or what others allow */
    uint64_t end_pos, durable_pos, moved_pos, carried_pos;
    int64_t durable_end;       /* offset of durable_pos */
    int64_t log_start_durable; /* what readers see: a log start that a crash cannot take back */
    struct resume resume;      /* during recovery */
    bool broken;               /* during recovery: bytes below the table's state are lost; the rest is not placed */
    bool unproved;             /* during recovery: may have lost entries */
    int64_t damaged_from, damaged_to; /* NO_OFFSET: sound; to may be NO_OFFSET: not known */
    struct segment *segments;
    struct segment first_segment; /* segments points here while one is enough */
    uint32_t segment_count, segment_capacity;
    struct ref *refs; /* deque: refs[(ref_first + i) % ref_capacity] */
    uint32_t ref_first, ref_count, ref_capacity;
    uint32_t ref_unmarked;   /* so many at the front hold no mark any more */
    int64_t segment_time_ms; /* first append time of the active segment, for segment.ms; -1 none */
    struct part_cursor cursor;
    struct epoch_map epochs;
    struct producer_state producers;
    struct index index;      /* of the segment that contains moved_pos, fed up to there */
    uint64_t allocated;      /* space known to be reserved in the file of the index builder's segment */
    bool untrimmed;          /* the active segment's file may be longer than its bytes */
    struct move *move;       /* in flight */
    struct list waiters;     /* partition_waiter */
    uint32_t readers;        /* reads in flight */
    bool dir_ready;          /* directory checked in this run (rule A6) */
    bool held;               /* its directory is not ours: it waits until deletions are replayed everywhere */
    bool recorded;           /* the table has a record of it: the next one may be of changes */
    bool truncating;         /* appends wait: refused as BUSY */
    bool deleting;           /* or not revived yet: refuses everything */
    enum store_folder grave; /* of a replayed deletion: where the directory goes */
    struct list truncations; /* waiting for the move in flight, or for: */
    uint32_t repairs;        /* of index pages under way (index_repair.c) */
    struct partition_settings settings;
    struct list_node in_rounds;    /* upkeep.c */
    bool trimming;                 /* retention moves the log start */
    struct list_node in_compacted; /* store->compacted: cleanup.policy has compact */
    int64_t clean_end;             /* below it the log was compacted */
    uint32_t generation;           /* the last that a round gave to files of this partition */
    struct mono_ns clean_after;    /* after a failure: not before that */
    struct list stale;             /* replaced files, to be unlinked when their swap is durable (swap.c) */
};

void partition_check(const struct partition *p);

struct segment *partition_segment_at(struct partition *p,
                                     uint64_t pos); /* the one that contains (or ends at, if last) */
struct segment *partition_segment_of(struct partition *p, int64_t offset); /* last with base <= offset */
static inline struct segment *partition_active(const struct partition *p)
{
    return &p->segments[p->segment_count - 1];
}
enum status partition_segment_push(struct partition *p, int64_t base, uint64_t start) MUST_CHECK;
void partition_segment_newest(struct partition *p, int64_t max_timestamp_ms); /* a batch joins the active segment */
void partition_segments_drop_after(struct partition *p, uint32_t keep);
void partition_segments_drop_before(struct partition *p, uint32_t count);
uint64_t partition_segment_bytes(const struct partition *p, uint32_t i); /* in files or still in the journal */

/* refs.c */
struct ref *ref_at(const struct partition *p, uint32_t i);
enum status refs_reserve(struct partition *p) MUST_CHECK;   /* room for one more */
void refs_push(struct partition *p, const struct ref *r);   /* takes a ref of r->buf; marks the group */
void refs_pop_back_to(struct partition *p, uint64_t pos);   /* drops what lies at or above pos; cuts a fragment */
void refs_release_below(struct partition *p, uint64_t pos); /* marks of wholly lower refs are given back */
void refs_evict(struct partition *p, uint64_t sequence);    /* moved refs of groups up to there leave the cache */
void refs_evict_below(struct partition *p, uint64_t pos);   /* moved ones that end there or below, too */
void refs_clear(struct partition *p);
uint32_t refs_find_pos(const struct partition *p, uint64_t pos);      /* the ref that contains pos; ref_count if none */
uint32_t refs_find_offset(const struct partition *p, int64_t offset); /* whole ref containing or after offset */
/* Copies [pos, pos + len) out of the refs, which cover it. */
void refs_copy(const struct partition *p, uint64_t pos, uint64_t len, uint8_t *out);

/* For recovery and append: state changes of one entry, in memory only. */
void partition_touch(struct partition *p);       /* the next table delta must have it; the mover's queues too */
void partition_leave_mover(struct partition *p); /* those queues: nothing of it moves any more */
void partition_hw_advance(struct partition *p);  /* after durable_end or replicated moved */
struct batch_info;
void partition_appended(struct partition *p, const struct batch_info *b);
enum status partition_segment_reserve(struct partition *p) MUST_CHECK;
/* Puts the entry that closes the active segment at the log end; room for a segment was reserved and the entry admitted
 * in this step (append.c). */
enum status partition_roll(struct partition *p) MUST_CHECK;
/* Refs over carried bytes of buf (table.c). */
enum status partition_carry(struct partition *p, struct buf *b, uint32_t at, uint64_t pos, uint32_t len,
                            uint32_t fragment, uint64_t sequence, uint32_t entry) MUST_CHECK;
/* Admits and puts one control entry. */
enum status partition_put(struct partition *p, const struct entry *e, int64_t end, uint64_t end_pos,
                          struct place *ret_place) MUST_CHECK;
void partition_log_start_passed(struct partition *p);
void partition_repair_ended(struct partition *p); /* a truncation may wait for it */
/* The page of a partition.metadata (directory.c): is it this partition's? */
bool partition_metadata_ours(const struct partition *p, const uint8_t page[BLOCK_BYTES]);
void partition_metadata_encode(const struct partition *p, uint8_t page[BLOCK_BYTES]);
/* Is it of that topic, id and number, whenever it was made? */
bool partition_metadata_read(const uint8_t page[BLOCK_BYTES], const char *topic, struct topic_id id, int32_t number,
                             uint64_t *ret_creation);

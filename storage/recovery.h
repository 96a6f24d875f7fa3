// SPDX-License-Identifier: Apache-2.0
/* Recovery: from a journal's files on disk to partitions in memory and a journal that takes commits. recovery.c is the
 * flow, ring_make.c makes the files, ring_scan.c reads the ring, recovery_cases.c decides, prove.c writes again what no
 * flush is known to have covered. */
#pragma once
#include "storage/checkpoint.h"
#include "storage/recovery_cases.h"
#include "storage/replay.h"
#include "storage/smallfile.h"

#define SCAN_WINDOW_BYTES (4u << 20)

enum recovery_stage {
    REC_STAT,
    REC_OPEN,
    REC_LOCK,
    REC_LOCKED,
    REC_CONTROL,
    REC_RING,
    REC_RING_LOCK,
    REC_RING_LOCKED,
    REC_TABLE,
    REC_LOAD,
    REC_LOADED,
    REC_WINDOW,
    REC_SCAN,
    REC_QUIET,
    REC_RECUT,
    REC_SEARCH,
    REC_SEARCHED,
    REC_FLUSH,
    REC_PROVE,
    REC_PROVE_READ,
    REC_PROVED,
    REC_NOTE,
    REC_NOTED,
    REC_MAKE,
    REC_MAKE_OPEN,
    REC_MAKE_LOCK,
    REC_MAKE_ZERO,
    REC_MAKE_SYNC,
    REC_MAKE_DIR,
    REC_MAKE_RENAME,
    REC_MAKE_PARENT,
    REC_DONE,
    REC_STAGES
};

struct recovery {
    struct task task;
    struct store *store;
    struct journal *journal;
    struct path dir;
    struct path new_dir; /* while it is being made */
    bool making, locked; /* locked: the file being made */
    void (*done)(struct recovery *r);
    enum status status;
    char error[512];
    struct io_op ops[RING_FILES_MAX + 4];
    struct path *paths; /* RING_FILES_MAX + 4 */
    uint32_t op_count;
    struct mono_ns lock_deadline;
    struct timer again;
    struct transfer read, read2;
    uint8_t *pages; /* two control pages */
    struct buf *tables[2];
    uint64_t table_bytes[2], read_bytes[2];
    /* the scan */
    struct replay replay;
    struct buf *window;
    uint64_t window_pos; /* in the ring file */
    uint32_t window_len;
    uint32_t start_file; /* number of the ring file where replay begins */
    uint32_t at_file;    /* index into journal->order */
    uint64_t at_pos;
    uint32_t next_tries; /* files looked at for the group that is expected */
    uint32_t back_file;  /* where it would be if not in the next file */
    uint64_t back_pos;
    uint64_t next;        /* sequence expected */
    uint64_t incarnation; /* of the last group accepted */
    uint32_t chain;
    bool chained; /* there is a group before to compare with */
    bool after_loss;
    struct group_header group; /* being replayed */
    struct buf *taken;         /* its bytes, while they are */
    enum status recut;
    /* what is on the medium for sure (prove.c) */
    uint64_t proven;                /* groups up to here */
    int proven_next;                /* stage after the proof */
    struct buf *copy;               /* the group being written again */
    uint32_t last_file, last_bytes; /* the last chunk of the table */
    uint64_t last_pos;
    /* the search for witnesses */
    uint32_t search_file, search_left;
    uint64_t search_pos;
    uint32_t search_bytes; /* still to be read */
    uint64_t witness_upto;
    uint64_t resume_sequence; /* lowest later group found */
    uint32_t resume_file;
    uint64_t resume_pos;
    /* making files */
    uint32_t made;
    uint64_t zeroed;
    uint64_t groups, bytes, lost_groups;
};

void recovery_start(struct recovery *r, struct store *s);
int recovery_fail(struct recovery *r, enum status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* recovery.c */
#define RECOVERY_LOCK_WAIT_NS (10 * NS_PER_S)
/* A lock that is held: waits a little and goes on with `stage`; after a while the start fails with a sentence. */
int recovery_lock_again(struct recovery *r, enum status status, int stage);
/* prove.c */
int recovery_prove_table(struct recovery *r, int next);
int rec_prove(struct task *t);
int rec_prove_read(struct task *t);
int rec_proved(struct task *t);
/* ring_scan.c */
int rec_window(struct task *t);
int rec_scan(struct task *t);
int rec_quiet(struct task *t);
int rec_recut(struct task *t);
int rec_search(struct task *t);
int rec_searched(struct task *t);
enum status recovery_load_table(struct recovery *r);
/* ring_make.c */
int rec_make(struct task *t);
int rec_make_open(struct task *t);
int rec_make_zero(struct task *t);
int rec_make_lock(struct task *t);
int rec_make_sync(struct task *t);
int rec_make_dir(struct task *t);
int rec_make_rename(struct task *t);
int rec_make_parent(struct task *t);

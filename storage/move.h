// SPDX-License-Identifier: Apache-2.0
/* One move in flight: mover.c chooses it, move.c carries it out, directory.c prepares the partition's directory. */
#pragma once
#include "storage/mover.h"
#include "storage/smallfile.h"

enum move_stage {
    MOVE_DIR_STAT,
    MOVE_DIR_READ,
    MOVE_DIR_CHECK,
    MOVE_DIR_QUARANTINE,
    MOVE_DIR_MAKE,
    MOVE_DIR_WRITE,
    MOVE_DIR_MADE,
    MOVE_DIR_LIST,
    MOVE_DIR_FOREIGN,
    MOVE_OPEN,
    MOVE_ALLOCATE,
    MOVE_ALLOCATED,
    MOVE_WRITE,
    MOVE_INDEX,
    MOVE_PAGE,
    MOVE_TRIM,
    MOVE_FINISH,
    MOVE_STAGES
};

struct move {
    struct task task;
    struct mover *mover;
    struct list_node in_free;
    struct partition *p;
    struct task *parent; /* mover_copy_tail */
    bool prepares;       /* directory and file only: from == to */
    bool copy;           /* a copy of the tail: moved_pos stays */
    bool gave_up;        /* nothing was moved */
    bool closes;         /* the piece ends its segment */
    bool index_page;     /* a page is being written */
    bool index_written;  /* by this move */
    uint64_t allocating; /* end of the space being reserved, in the segment */
    uint64_t from, to;   /* log positions */
    struct segment segment;
    struct file_use log, index;
    struct transfer write;
    struct io_op op, op2;
    struct timer again; /* no space: tried again */
    uint8_t *page;      /* one block, always there: metadata, index page, a piece of that size */
    uint8_t *staging;   /* the piece */
    uint32_t staging_bytes;
    uint32_t page_number;
    bool dir_looked_at; /* what stands under the directory's name is not ours */
    struct smallfile small;
    struct path dir, path, path2;
    char *names; /* directory listing */
    uint32_t names_bytes, names_len, names_at;
};

extern const struct flow move_flow; /* its first stage: MOVE_OPEN, or one of directory.c's (move_dir_first) */
/* mover.c: the slot is free again. */
void mover_ended(struct move *m);

/* directory.c: stages that make the directory ours and durable; they end in MOVE_OPEN. */
int move_dir_first(const struct move *m);
int move_dir_stat(struct task *t);
int move_dir_read(struct task *t);
int move_dir_check(struct task *t);
int move_dir_quarantine(struct task *t);
int move_dir_make(struct task *t);
int move_dir_write(struct task *t);
int move_dir_made(struct task *t);
int move_dir_list(struct task *t);
int move_dir_foreign(struct task *t);
/* True: a status that may go away (no space, too many files): the stage is run again later. */
bool move_again(struct move *m, enum status status);
int move_failed(struct move *m, enum status status, const char *what);

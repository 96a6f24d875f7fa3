// SPDX-License-Identifier: Apache-2.0
/* What the files of the opening share: one task. Stages by file:
 *   metalog_open.c     control file, its pages, the names in the directory, the end
 *   metalog_make.c     a directory that is not there
 *   metalog_recover.c  the log's segments
 *   metalog_prove.c    what was read is put on the medium
 *   metalog_restore.c  snapshots: which one is sound, and its bytes to the owner */
#pragma once
#include "replication/metalog_impl.h"

#define OPEN_NAMES_BYTES   (256u << 10)
#define OPEN_WINDOW_BYTES  (256u << 10)
#define OPEN_SNAPSHOTS_MAX 64u

enum open_stage {
    OPEN_CONTROL,
    OPEN_CONTROL_OPENED,
    OPEN_DIR_STAT,
    OPEN_LOCKED,
    OPEN_PAGES,
    OPEN_NAMES,
    OPEN_CLEAN,
    MAKE_DIR,
    MAKE_CLEAN,
    MAKE_FILE,
    MAKE_FILL,
    MAKE_SYNC,
    MAKE_CLOSED,
    MAKE_DIR_SYNC,
    MAKE_NAME,
    MAKE_DONE,
    FIND_SNAPSHOT,
    FIND_HEAD,
    FIND_DATA,
    SCAN_OPEN,
    SCAN_LOCK,
    SCAN_PARSE,
    SCAN_WITNESS,
    SCAN_NEXT,
    OPEN_DECIDE,
    OPEN_PROVE,
    OPEN_NOTE,
    OPEN_NOTED,
    RESTORE_OPEN,
    RESTORE_READ,
    OPEN_START,
    OPEN_END
};
static_assert(OPEN_END < STAGE_MAX, "the runner's limit");

struct opening {
    struct task task;
    struct metalog *m;
    struct metalog_open *op;
    enum status status;
    struct io_op io;
    struct transfer transfer;
    struct timer again;
    struct mono_ns lock_deadline;
    struct path path, path2;
    uint8_t *pages; /* two blocks */
    char *names;
    uint32_t names_len, names_at;
    /* make */
    uint32_t made; /* files */
    uint64_t filled;
    int32_t file;
    struct log_entry *first;
    /* snapshots found, falling; the sound one */
    uint64_t snapshots[OPEN_SNAPSHOTS_MAX];
    uint32_t snapshot_count, snapshot_at;
    struct metalog_snapshot_head head;
    uint64_t data_at;
    uint32_t data_crc;
    bool restoring;
    /* scan */
    uint32_t segment; /* number */
    uint64_t file_bytes, pos, window_pos;
    uint32_t window_len, window_room, need;
    uint8_t *window;
    uint64_t expected, witness_at; /* sequence */
    uint32_t chain;
    uint64_t last_incarnation, reset_index;
    /* the last group read: the one that no later group proves */
    uint32_t last_length, last_segment, proof; /* proof: step of OPEN_PROVE */
    uint64_t last_pos;
    bool any_group, anchored, witness, zero, reset_needed, noting;
};

int open_fail(struct opening *o, enum status status, const char *format, ...) __attribute__((format(printf, 3, 4)));
int open_submit(struct opening *o, struct io_op io, int next);
int open_read(struct opening *o, int32_t file, void *data, uint32_t len, uint64_t pos, int next);

void metalog_parent_path(const struct metalog *m, struct path *p);
int make_dir(struct task *t);
int make_clean(struct task *t);
int make_file(struct task *t);
int make_fill(struct task *t);
int make_sync(struct task *t);
int make_closed(struct task *t);
int make_dir_sync(struct task *t);
int make_name(struct task *t);
int make_done(struct task *t);
int find_snapshot(struct task *t);
int find_head(struct task *t);
int find_data(struct task *t);
int scan_open(struct task *t);
int scan_lock(struct task *t);
int scan_parse(struct task *t);
int scan_witness(struct task *t);
int scan_next(struct task *t);
int open_prove(struct task *t);
int restore_open(struct task *t);
int restore_read(struct task *t);
int open_lock_again(struct opening *o, int next); /* waits a little; fails after LOCK_WAIT_NS */

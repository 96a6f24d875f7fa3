// SPDX-License-Identifier: Apache-2.0
/* Open segment files: opened on demand, kept in an LRU of at most files_max, closed by it. A partition without data has
 * no file, an idle one no descriptor. Files written since the last checkpoint are "dirty": the checkpoint syncs them.
 */
#pragma once
#include "base/env.h"
#include "storage/path.h"

struct files;
struct partition;

enum file_kind { FILE_LOG, FILE_INDEX }; /* .log and .lidx */

struct file_key { /* no padding: compared and hashed as bytes */
    struct topic_id topic;
    uint64_t creation;
    int64_t base;
    int32_t partition;
    int32_t kind;
    uint32_t generation, zero;
};

/* <dir>/<20-digit base>.log or .lidx; of a generation that compaction wrote: <base>.<generation>.log. */
void segment_path(struct path *ret_path, const char *dir, const struct file_key *key);

struct file {
    struct list_node in_bucket, in_idle, in_dirty;
    struct file_key key;
    struct path path;
    struct io_op open, sync;
    struct list waiting; /* file_use */
    int32_t handle;      /* -1: not open yet */
    uint32_t uses;
    bool stale; /* removed or renamed: closed with the last use, never found again */
    struct files *files;
};

/* One use of a file by a task; embedded in its owner. */
struct file_use {
    struct list_node in_waiting;
    struct task *task;
    struct file *file;  /* while the use lasts */
    enum status status; /* of the opening; valid when the task runs again */
};

struct files *files_create(struct env *e, uint32_t files_max);
void files_destroy(struct files *f); /* no uses left; closes are done (files_close_all) */

/* Opens the file or finds it open. Counts as one pending op of the task, which waits for it like for an I/O: u->status
 * is OK, or why it could not be opened (NOT_FOUND without create, NO_SPACE, TOO_MANY_FILES, ...). dir: the partition's
 * directory. NO_MEMORY at once changes nothing. */
enum status file_use_begin(struct files *f, struct file_use *u, struct task *t, const char *dir,
                           const struct file_key *key, bool create) MUST_CHECK;
void file_use_end(struct file_use *u);
void file_dirty(struct file *f);
/* The file was unlinked, or its directory renamed: forget it. */
void files_forget(struct files *f, const struct file_key *key);
void files_forget_partition(struct files *f, struct topic_id topic, int32_t partition);

uint32_t files_open_count(const struct files *f);
/* For the checkpoint: takes the dirty list (files stay open until files_synced). */
uint32_t files_dirty_count(const struct files *f);
struct file *files_take_dirty(struct files *f); /* one; NULL when there are none; holds a use */
void files_synced(struct file *f);              /* gives that use back */
/* Starts closing all; the task waits. */
void files_close_all(struct files *f, struct task *t);
void files_sync_all(struct files *f);         /* names were made that only a sync of the file system covers cheaply */
bool files_lost_dirty(const struct files *f); /* ... or a dirty file had to be closed */
void files_lost_dirty_clear(struct files *f);

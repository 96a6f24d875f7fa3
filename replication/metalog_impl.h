// SPDX-License-Identifier: Apache-2.0
/* What metalog*.c share.
 *
 * metalog.c           the API, and the pump: what one turn of the loop does with all that has happened
 * metalog_quorum.c    what the consensus engine asks for
 * metalog_disk.c      the disk task: votes and groups, one write at a time in the order in which they were asked
 * metalog_roll.c      its stages that make the next segment
 * metalog_snapshot.c  the snapshot task: writes one, ours or a leader's, then removes what is no longer needed
 * metalog_open.c      opening: metalog_make.c makes the files, metalog_recover.c and metalog_restore.c read them */
#pragma once
#include "base/list.h"
#include "base/log.h"
#include "replication/entry_log.h"
#include "replication/metalog.h"
#include "replication/metalog_format.h"
#include "replication/quorum.h"
#include "storage/path.h"
#include "storage/transfer.h"

#define METALOG_DIR_MAX      LOG_DIR_MAX
#define SEGMENTS_MAX         1024u
#define SNAP_BUFFER_BYTES    (256u << 10)
#define SNAP_PIECE_BYTES     (64u << 10) /* capacity that the owner is promised */
#define ZERO_BYTES           (256u << 10)
#define CLOSE_MS             200 /* quiet time before the witness is written */
#define LOCK_WAIT_NS         (10 * NS_PER_S)
#define LOCK_AGAIN_NS        (20 * NS_PER_MS)
#define SUBMIT_BATCH_BYTES   (12u << 20)
#define SUBMIT_BATCH_ENTRIES 64u
#define GROUP_FILL_BYTES     (1u << 20) /* waiting entries are joined into one group up to here */

static_assert(METALOG_VOTERS_MAX == QUORUM_VOTERS_MAX, "as many as the engine takes");

struct metalog_segment {
    uint32_t number;
    uint64_t last_index; /* highest index written into it */
    uint64_t bytes;
};

enum disk_op_kind { DISK_OP_VOTE, DISK_OP_ENTRIES, DISK_OP_RESET, DISK_OP_CLOSE };

struct disk_op {
    struct list_node in_queue;
    enum disk_op_kind kind;
    uint64_t serial;            /* VOTE: counts up */
    uint64_t term;              /* VOTE, RESET */
    int32_t vote;               /* VOTE */
    bool install;               /* RESET: of a leader's snapshot, which the pump waits for; else recovery's own */
    uint64_t base;              /* ENTRIES, RESET */
    struct log_entry **entries; /* ENTRIES: counted */
    uint32_t count, room;
    uint64_t bytes;
};

struct metalog_disk {
    struct task task;
    struct list queue; /* of disk_op; the first is at work when `busy` */
    bool idle, busy;
    int32_t control_file, segment_file;
    struct metalog_control control; /* as last written or being written */
    struct metalog_segment segments[SEGMENTS_MAX];
    uint32_t segment_count;
    uint64_t pos;      /* where the next group goes in the last segment */
    uint64_t sequence; /* of the last group written */
    uint32_t chain;
    bool open_group; /* the last group is no witness for anything: one is owed */
    uint8_t *page;   /* one block */
    uint8_t *buffer; /* of the group being written */
    uint32_t buffer_bytes;
    struct io_op op;
    struct transfer transfer;
    struct path path, path2;
    uint64_t zeroed, new_bytes; /* the segment being made */
    int32_t new_file;
};

enum snap_work { SNAP_NONE, SNAP_TAKE, SNAP_INSTALL };

struct metalog_snap {
    struct task task;
    bool idle;
    enum snap_work work;
    uint64_t index, term;
    uint8_t *data;     /* of an install, or gathered while taking when there are peers; else NULL */
    size_t size, room; /* of data */
    size_t taken;      /* of data, written */
    uint8_t *buffer, *page;
    uint32_t fill;
    uint64_t pos; /* bytes of data written to the file */
    uint32_t crc;
    bool source_ended, begun, asked, failed;
    int32_t file;
    struct io_op op;
    struct transfer transfer;
    struct path path, path2;
    uint32_t drop_count; /* segments to unlink, from the front */
    uint64_t drop_snapshot, needs_vote;
    uint32_t drop_from;
};

struct held_message {
    struct list_node in_held;
    struct buf *bytes;
    int32_t to;
    uint64_t needs_vote; /* serial that must be durable */
};

struct metalog {
    struct env *env;
    struct mem *mem;
    struct metalog_config config;
    struct path dir;
    struct metalog_ident ident;
    struct uuid cluster;
    struct quorum_owner quorum_owner;
    struct quorum *quorum;
    struct entry_log entries;
    uint64_t commit, applied;
    uint64_t snapshot_index, snapshot_term, older_snapshot; /* older: the one before; 0: none */
    uint8_t *snapshot_data;                                 /* with peers: the newest snapshot's bytes */
    size_t snapshot_size;
    uint64_t log_since_snapshot; /* bytes of groups written */
    enum metalog_role role;
    int32_t leader;
    uint64_t term, ready_index; /* leader: entries of earlier terms end here */
    struct list waiting;        /* submits that are not in the log */
    struct list pending;        /* submits in the log, by index */
    uint32_t submits;
    struct list held;
    uint64_t votes_asked, votes_durable;
    struct metalog_disk disk;
    struct metalog_snap snap;
    struct timer clock, soon, quiet; /* the engine's time-out, the pump, the witness */
    struct turn_hook hook;
    bool dirty, pumping, started, taken, installed; /* taken, installed: the snapshot task has ended, tell the engine */
    enum status failed;
    bool failed_told;
    char why[256];
    struct metalog_close *closing;
    struct metalog_counters count;
};

#define METALOG_LOG(m, level, event, ...)                                                                              \
    do {                                                                                                               \
        if ((m)->config.log != NULL) LOG((m)->config.log, (m)->env, level, event, __VA_ARGS__);                        \
    } while (0)

static inline uint64_t metalog_now_ms(const struct metalog *m)
{
    return (uint64_t)(m->env->now.v / NS_PER_MS);
}

/* The end: the first one counts. */
void metalog_fail(struct metalog *m, enum status status, const char *format, ...) __attribute__((format(printf, 3, 4)));
void metalog_wake(struct metalog *m);  /* the pump runs in this turn or the next */
void metalog_start(struct metalog *m); /* after a successful open: hook, timers, tasks */
void metalog_free(struct metalog *m);

/* metalog_quorum.c */
extern const struct quorum_actions metalog_quorum_actions;
/* The engine's answer: what is not a refusal is the end. */
enum status metalog_stepped(struct metalog *m, enum status status);

/* metalog_disk.c */
void disk_task_start(struct metalog *m);
void disk_task_end(struct metalog *m); /* when closing */
bool disk_task_ended(const struct metalog *m);
void disk_drop(struct metalog *m); /* what was never written */
/* NULL: no memory (the metalog has failed). */
struct disk_op *disk_push(struct metalog *m, enum disk_op_kind kind);
bool disk_push_entries(struct metalog *m, uint64_t base, uint32_t count);
void disk_push_vote(struct metalog *m, uint64_t term, int32_t vote);
int disk_write_control(struct metalog *m, int next); /* stages of metalog_roll.c use it too */
uint32_t disk_write_flags(const struct metalog *m);
struct metalog_segment *disk_segment(struct metalog *m);

enum disk_stage {
    DISK_NEXT,
    DISK_VOTE_WRITTEN,
    DISK_VOTE_SYNCED,
    DISK_GROUP,
    DISK_GROUP_WRITTEN,
    DISK_GROUP_SYNCED,
    DISK_ROLL,
    DISK_ROLL_OPENED,
    DISK_ROLL_ZERO,
    DISK_ROLL_SYNCED,
    DISK_ROLL_NAMED,
    DISK_ROLL_DIR,
    DISK_ROLL_CONTROL,
    DISK_ROLL_NOTED,
    DISK_ROLL_DONE,
    DISK_END
};
int disk_roll(struct task *t);
int disk_roll_opened(struct task *t);
int disk_roll_zero(struct task *t);
int disk_roll_synced(struct task *t);
int disk_roll_named(struct task *t);
int disk_roll_dir(struct task *t);
int disk_roll_control(struct task *t);
int disk_roll_noted(struct task *t);
int disk_roll_done(struct task *t);

/* metalog_snapshot.c */
void snap_task_start(struct metalog *m);
void snap_wake(struct metalog *m);
void snap_install(struct metalog *m, uint64_t index, uint64_t term, const uint8_t *data, size_t size);
void snap_keep_data(struct metalog *m); /* the snapshot task's bytes become those that peers get */
void snap_task_end(struct metalog *m);
bool snap_task_ended(const struct metalog *m);
void metalog_segment_path(const struct metalog *m, struct path *p, uint32_t number, const char *suffix);
void metalog_snapshot_path(const struct metalog *m, struct path *p, uint64_t index);

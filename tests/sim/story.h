// SPDX-License-Identifier: Apache-2.0
/* A story: one machine, one store, the partition t-0, and a trace of what happened, which the scenario compares with
 * the one in its source. The trace holds the story's own lines (story_tell), the answers to its appends, and the file
 * ops it watches, each as "verb what": "write ring", "sync segment", "rename t-0"; of other journals than the first
 * with its number: "write ring 3". Equal lines in a row are one. */
#pragma once
#include "tests/sim/store_world.h"

#define STORY_PENDING 16
#define STORY_BYTES   4096
#define STORY_GLOBS   12

struct story;
struct story_append { /* an append that nobody waits for */
    struct partition_append op;
    struct story *story;
    bool done;
};

struct story_change { /* the same for a truncation or a log start: "cut: ok", "log start: disk fenced" */
    struct partition_change op;
    struct story *story;
    const char *what;
    bool done;
};

struct story {
    struct store_world w;
    struct partition *p; /* t-0 of this boot */
    struct sim_watch watch;
    const char *watched[STORY_GLOBS + 1];
    char trace[STORY_BYTES];
    size_t trace_len;
    struct story_append pending[STORY_PENDING];
    uint32_t pending_count;
    struct story_change change;
    struct commit_waiter saving; /* a checkpoint that nobody waits for */
};

/* A store with t-0, checkpoints only when asked for (or the ring is full). machine NULL: the simulator's defaults. */
void story_begin(struct story *s, uint64_t seed, const struct sim_machine_config *machine);
void story_again(struct story *s, enum sim_kill how); /* ends the process, clears the faults, starts; t-0 is there */
void story_end(struct story *s);                      /* a clean stop */
/* Another life without a check: for starts that must be refused. The first shard's status and sentence. */
enum status story_restart(struct story *s, enum sim_kill how, const char **ret_error);

enum status story_append(struct story *s, uint64_t tag, uint32_t bytes);
void story_append_some(struct story *s, int64_t count, uint32_t bytes); /* each OK; its offset is its tag */
/* Not awaited; its answer is a line of the trace: "acknowledged 3". */
void story_append_begin(struct story *s, uint32_t bytes);
void story_cut_begin(struct story *s, int64_t offset);
void story_log_start_begin(struct story *s, int64_t offset);
void story_checkpoint_begin(struct story *s); /* "checkpoint: ok" */
bool story_changed(void *story);              /* that change was answered; for story_until */
/* Every record from `from` to the high watermark, each with its offset as tag in its value. */
void story_expect_all(struct story *s, int64_t from);
enum status story_read(struct story *s, int64_t offset); /* one batch; its tag is checked when OK */

/* Reads each offset of [from, end) alone: right, or DAMAGED; never another record in its place, never nothing. How many
 * were DAMAGED. */
int64_t story_judge(struct story *s, int64_t from, int64_t end);
/* At rest: flips a bit of a file. */
void story_rot(struct story *s, const char *path, uint64_t pos);

void story_tell(struct story *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* From now on file ops whose line matches one of these globs are told when they have had their effect, "begins ..."
 * lines when they are submitted. */
#define STORY_WATCH(s, ...) story_watch(s, (const char *const[]){__VA_ARGS__, NULL})
void story_watch(struct story *s, const char *const *globs); /* NULL-terminated; the strings must outlive the story */
/* Lines, each ends with \n; a last line "..." stands for any that follow. The trace is empty afterwards. */
void story_expect(struct story *s, const char *trace);

/* Files: what a directory holds, as one string, sorted: "a b c"; static storage. Only names that contain `part`. */
const char *story_names(struct story *s, const char *dir, const char *part);
/* Stalls or breaks the next op of that kind on paths that match. delay 0: until the process ends. */
void story_stall(struct story *s, enum io_kind kind, const char *path, int64_t delay_ns);
void story_fail(struct story *s, enum io_kind kind, const char *path, int64_t delay_ns); /* EIO */
bool story_until(struct story *s, bool (*pred)(void *arg), void *arg);                   /* a minute at most */

// SPDX-License-Identifier: Apache-2.0
/* Stage runner: a multi-step operation (task) is a struct, an enum of stages and a table {name, function, allowed
 * next}. A stage function does straight-line work and returns the next stage, STAGE_WAIT(next) (go on there when woken)
 * or STAGE_DONE. The runner checks each transition against the table, writes the trace, keeps a latency histogram per
 * stage (time from entering a stage to leaving it, waits included) and finds tasks that are stuck.
 *
 * A stage that returns STAGE_DONE may have freed its task: the runner does not touch it afterwards.
 * Waking a task that does not wait is a bug; I/Os that a task begins wake it when the last of them is complete (env.h).
 */
#pragma once
#include "base/clock.h"
#include "base/list.h"
#include <stdint.h>

struct task;
struct mem;
struct trace;
struct histogram;
typedef int stage_fn(struct task *t);

#define STAGE_DONE       (-1)
#define STAGE_WAIT_BIT   0x100
#define STAGE_WAIT(next) (STAGE_WAIT_BIT | (int)(next))
#define STAGE_MAX        32

struct stage {
    const char *name;
    stage_fn *run;
    uint32_t next; /* bit set of stages that may follow */
};

#define STAGE_BIT(s) (1u << (s))

struct flow { /* one kind of task; static const, lives for ever */
    const char *name;
    const struct stage *stages;
    uint8_t count;
};

struct runner; /* one per shard */

struct task { /* embedded in the operation's struct; found by container_of */
    struct list_node in_ready;
    struct list_node in_all; /* every started task, to find stuck ones */
    const struct flow *flow;
    struct runner *runner;
    struct mono_ns entered; /* when the current stage first ran or was stepped into */
    uint32_t pending_ops;   /* I/Os begun by this task and not yet complete (env.h) */
    uint8_t stage, next;    /* next: where a waiting task goes on; the wait belongs to `stage` */
    bool waiting;
    uint64_t id; /* for the trace; counts up per runner */
};

struct runner *runner_create(struct mem *m, struct trace *trace); /* trace may be NULL */
void runner_destroy(struct runner *r);                            /* CHECKs that no task is left */

/* Queues the task at stage `first`; it runs in the next runner_run. */
void task_start(struct runner *r, struct task *t, const struct flow *f, int first);
/* The wait of a task is over: queue it. CHECKs that it waits. */
void task_wake(struct task *t);
bool task_active(const struct task *t); /* started and not done; t zeroed or once started */

/* Runs ready tasks, at most `budget` stage calls; true if some are left. `now` stamps histograms. */
bool runner_run(struct runner *r, struct mono_ns now, unsigned budget);
bool runner_ready(const struct runner *r);

/* Calls fn for each task whose current stage is older than age_ns. */
void runner_stuck(struct runner *r, struct mono_ns now, int64_t age_ns,
                  void (*fn)(const struct task *t, int64_t age_ns, void *arg), void *arg);
/* Each stage of each flow that ran on this shard, in the order of the flows' first runs. */
void runner_histograms(const struct runner *r,
                       void (*fn)(const struct flow *f, int stage, const struct histogram *h, void *arg), void *arg);
/* NULL if that stage never ran. */
const struct histogram *runner_histogram(const struct runner *r, const struct flow *f, int stage);

// SPDX-License-Identifier: Apache-2.0
/* Stage runner (stage.h).
 *
 * Happy path: task_start and task_wake queue a task; runner_run takes them in order, moves a woken one to the stage it
 * waited for, calls the stage function, checks what it returned against the table and queues, parks or forgets the
 * task. A task is in `all` whenever its stage function does not run: the function may free the task and return
 * STAGE_DONE.
 *
 * Failure modes: a transition that the table does not allow, a wake of a task that does not wait: CHECK. No room for a
 * histogram: that stage goes unmeasured. */
#include "base/stage.h"
#include "base/histogram.h"
#include "base/mem.h"
#include "base/trace.h"
#include "base/bytes.h"

struct flow_stats {
    struct list_node in_flows;
    const struct flow *flow;
    struct histogram *stages[STAGE_MAX];
};

struct runner {
    struct mem *mem;
    struct trace *trace;
    struct list ready, all, flows;
    struct task *running; /* whose stage function runs now */
    struct mono_ns now;   /* of the current or last runner_run: starts and wakes between two runs carry the older */
    uint64_t last_id;
};

struct runner *runner_create(struct mem *m, struct trace *trace)
{
    struct runner *r = mem_zalloc(m, MEM_CONTROL, sizeof *r);
    if (r == NULL) return NULL;
    r->mem = m;
    r->trace = trace;
    list_init(&r->ready);
    list_init(&r->all);
    list_init(&r->flows);
    return r;
}

void runner_destroy(struct runner *r)
{
    if (r == NULL) return;
    CHECK(list_empty(&r->all) && list_empty(&r->ready) && r->running == NULL);
    for (struct list_node *n; (n = list_pop_front(&r->flows)) != NULL;) {
        struct flow_stats *f = container_of(n, struct flow_stats, in_flows);
        for (unsigned s = 0; s < STAGE_MAX; s++) histogram_destroy(f->stages[s]);
        mem_free(r->mem, MEM_CONTROL, f, sizeof *f);
    }
    mem_free(r->mem, MEM_CONTROL, r, sizeof *r);
}

static const struct mono_ns NOT_YET = {INT64_MIN};

static struct flow_stats *find_flow(const struct runner *r, const struct flow *f)
{
    list_each (n, &r->flows) {
        struct flow_stats *stats = container_of(n, struct flow_stats, in_flows);
        if (stats->flow == f) return stats;
    }
    return NULL;
}

static void record(struct runner *r, const struct flow *f, unsigned stage, int64_t spent_ns)
{
    struct flow_stats *stats = find_flow(r, f);
    if (stats == NULL) {
        stats = mem_zalloc(r->mem, MEM_CONTROL, sizeof *stats);
        if (stats == NULL) return;
        stats->flow = f;
        list_push_back(&r->flows, &stats->in_flows);
    }
    struct histogram **h = &stats->stages[stage];
    if (*h == NULL) *h = histogram_create(r->mem);
    if (*h != NULL) histogram_record(*h, (uint64_t)MAX(spent_ns, 0));
}

static void trace_task(struct runner *r, enum trace_kind kind, uint64_t id, const struct flow *f, unsigned stage,
                       uint64_t a, uint64_t b)
{
    trace_add(r->trace, &(struct trace_record){.time = r->now,
                                               .kind = kind,
                                               .task = id,
                                               .name = f->name,
                                               .stage = stage,
                                               .stage_name = f->stages[stage].name,
                                               .a = a,
                                               .b = b});
}

void task_start(struct runner *r, struct task *t, const struct flow *f, int first)
{
    CHECK(!list_linked(&t->in_all) && !list_linked(&t->in_ready));
    CHECK(f->count <= STAGE_MAX && first >= 0 && first < f->count);
    t->flow = f;
    t->runner = r;
    t->entered = NOT_YET; /* r->now may be a whole wait old: the first run stamps it */
    t->pending_ops = 0;
    t->stage = t->next = (uint8_t)first;
    t->waiting = false;
    t->id = ++r->last_id;
    list_push_back(&r->all, &t->in_all);
    list_push_back(&r->ready, &t->in_ready);
    trace_task(r, TRACE_TASK_START, t->id, f, t->stage, 0, 0);
}

void task_wake(struct task *t)
{
    CHECK(task_active(t) && t->waiting);
    t->waiting = false;
    list_push_back(&t->runner->ready, &t->in_ready);
    trace_task(t->runner, TRACE_TASK_WAKE, t->id, t->flow, t->stage, 0, 0);
}

bool task_active(const struct task *t)
{
    return list_linked(&t->in_all) || (t->runner != NULL && t->runner->running == t);
}

static void enter_stage(struct runner *r, struct task *t, unsigned next)
{
    int64_t spent_ns = r->now.v - t->entered.v;
    record(r, t->flow, t->stage, spent_ns);
    trace_task(r, TRACE_STAGE, t->id, t->flow, next, (uint64_t)spent_ns, t->stage);
    t->stage = t->next = (uint8_t)next;
    t->entered = r->now;
}

static void run_stage(struct runner *r, struct task *t)
{
    if (t->entered.v == NOT_YET.v) t->entered = r->now;
    if (t->next != t->stage) enter_stage(r, t, t->next);
    /* Copies: the task may be gone, or started anew, when the function returns STAGE_DONE. */
    const struct flow *f = t->flow;
    unsigned stage = t->stage;
    uint64_t id = t->id;
    int64_t entered_ns = t->entered.v;
    list_remove(&t->in_all);
    r->running = t;
    int ret = f->stages[stage].run(t);
    r->running = NULL;
    if (ret == STAGE_DONE) {
        record(r, f, stage, r->now.v - entered_ns);
        trace_task(r, TRACE_TASK_DONE, id, f, stage, (uint64_t)(r->now.v - entered_ns), 0);
        return;
    }
    bool wait = (ret & STAGE_WAIT_BIT) != 0;
    int next = ret & ~STAGE_WAIT_BIT;
    CHECK(next >= 0 && next < f->count);
    CHECK((f->stages[stage].next & STAGE_BIT(next)) != 0); /* the table allows it */
    list_push_back(&r->all, &t->in_all);
    if (wait) {
        t->waiting = true;
        t->next = (uint8_t)next;
        trace_task(r, TRACE_TASK_WAIT, id, f, stage, t->pending_ops, 0);
        return;
    }
    enter_stage(r, t, (unsigned)next);
    list_push_back(&r->ready, &t->in_ready);
}

bool runner_run(struct runner *r, struct mono_ns now, unsigned budget)
{
    CHECK(r->running == NULL);
    r->now = now;
    for (; budget > 0; budget--) {
        struct list_node *n = list_pop_front(&r->ready);
        if (n == NULL) return false;
        run_stage(r, container_of(n, struct task, in_ready));
    }
    return runner_ready(r);
}

bool runner_ready(const struct runner *r)
{
    return !list_empty(&r->ready);
}

void runner_stuck(struct runner *r, struct mono_ns now, int64_t age_ns,
                  void (*fn)(const struct task *t, int64_t age_ns, void *arg), void *arg)
{
    list_each (n, &r->all) {
        const struct task *t = container_of(n, struct task, in_all);
        if (t->entered.v == NOT_YET.v) continue;
        int64_t age = now.v - t->entered.v;
        if (age > age_ns) fn(t, age, arg);
    }
}

const struct histogram *runner_histogram(const struct runner *r, const struct flow *f, int stage)
{
    CHECK(stage >= 0 && stage < f->count);
    const struct flow_stats *stats = find_flow(r, f);
    return stats != NULL ? stats->stages[stage] : NULL;
}

void runner_histograms(const struct runner *r,
                       void (*fn)(const struct flow *f, int stage, const struct histogram *h, void *arg), void *arg)
{
    list_each (n, &r->flows) {
        const struct flow_stats *stats = container_of(n, struct flow_stats, in_flows);
        for (int s = 0; s < stats->flow->count; s++)
            if (stats->stages[s] != NULL) fn(stats->flow, s, stats->stages[s], arg);
    }
}

// SPDX-License-Identifier: Apache-2.0
/* The half of env that both implementations share: submit checks, completions, timers, messages, the turn.
 *
 * Happy path: env_submit marks the op and gives it to the implementation; the implementation's wait() calls
 * env_complete, which queues the op; the next env_turn takes it from the queue, counts it down at its task or calls
 * done(). The turn runs its steps in the order that env.h promises; each step takes only what was there when the step
 * began and at most its budget, so that no step can starve another; what is left keeps the turn from waiting.
 *
 * Timers stand in a pairing heap inside the timers themselves: arming one allocates nothing and cannot fail. Equal
 * deadlines fire in the order of arming.
 *
 * Failure modes: none of its own. Wrong use (an op submitted twice, a completed op completed again) is a CHECK. */
#include "base/env.h"
#include <string.h>

/* Per turn. A completion or message costs about 1 us to run, so a full turn stays at some milliseconds. */
#define OPS_PER_TURN      4096
#define TIMERS_PER_TURN   4096
#define MESSAGES_PER_TURN 4096
#define STAGES_PER_TURN   4096

void env_init(struct env *e, const struct env_ops *ops, struct mem *mem, struct trace *trace)
{
    e->ops = ops;
    e->mem = mem;
    e->trace = trace;
    list_init(&e->completed);
    list_init(&e->hooks);
    e->inbox_head = e->inbox_tail = NULL;
    e->timers = NULL;
    e->timer_seq = 0;
    e->stop = false;
    e->ops_in_flight = 0;
}

void env_deinit(struct env *e)
{
    CHECK(e->ops_in_flight == 0);
    CHECK(list_empty(&e->completed));
    CHECK(e->inbox_head == NULL);
    e->ops = NULL;
}

/* ---- operations ---- */

static bool multishot(enum io_kind kind)
{
    return kind == IO_ACCEPT || kind == IO_RECV;
}

void env_submit(struct env *e, struct io_op *op)
{
    CHECK(!op->in_flight);
    CHECK(!list_linked(&op->in_env));
    CHECK((op->task != NULL) != (op->done != NULL));
    CHECK(op->kind <= IO_PROCESS);
    CHECK(op->task == NULL || !multishot(op->kind)); /* a task waits for the end of its ops, not for events */
    op->in_flight = true;
    op->more = false;
    op->result = 0;
    e->ops_in_flight++;
    if (op->task != NULL) op->task->pending_ops++;
    e->ops->submit(e, op);
}

void env_cancel(struct env *e, struct io_op *op)
{
    bool over = !op->in_flight || (list_linked(&op->in_env) && !op->more);
    if (!over) e->ops->cancel(e, op);
}

void env_complete(struct env *e, struct io_op *op, enum status status, int64_t result, bool more)
{
    CHECK(op->in_flight);
    CHECK(!list_linked(&op->in_env)); /* an event that was not run yet would be overwritten */
    CHECK(!more || multishot(op->kind));
    op->status = status;
    op->result = result;
    op->more = more;
    list_push_back(&e->completed, &op->in_env);
}

static void run_completion(struct env *e, struct io_op *op)
{
    if (!op->more) {
        op->in_flight = false;
        e->ops_in_flight--;
    }
    struct task *t = op->task;
    if (t == NULL) {
        op->done(op); /* may submit it again or free it */
        return;
    }
    CHECK(t->pending_ops > 0);
    if (--t->pending_ops == 0 && t->waiting) task_wake(t);
}

static void run_completions(struct env *e)
{
    struct list_node *last = e->completed.head.prev;
    if (list_empty(&e->completed)) return;
    for (unsigned i = 0; i < OPS_PER_TURN; i++) {
        struct list_node *n = list_pop_front(&e->completed);
        CHECK(n != NULL); /* `last` is still in: only this loop takes ops out */
        bool was_last = n == last;
        run_completion(e, container_of(n, struct io_op, in_env));
        if (was_last) return;
    }
}

/* ---- timers: a pairing heap; child: first of the children, next: sibling, prev: left sibling or, for a first child,
 * the parent; the root has neither ---- */

static bool fires_before(const struct timer *a, const struct timer *b)
{
    if (a->deadline.v != b->deadline.v) return a->deadline.v < b->deadline.v;
    return a->seq < b->seq;
}

/* Both are roots without siblings; either may be NULL. */
static struct timer *timer_meld(struct timer *a, struct timer *b)
{
    if (a == NULL) return b;
    if (b == NULL) return a;
    if (fires_before(b, a)) {
        struct timer *t = a;
        a = b;
        b = t;
    }
    b->prev = a;
    b->next = a->child;
    if (b->next != NULL) b->next->prev = b;
    a->child = b;
    return a;
}

static struct timer *timer_take_root(struct timer *t)
{
    struct timer *next = t->next;
    t->next = t->prev = NULL;
    return next;
}

/* Melds a list of siblings into one heap: pairs from left to right, then the pairs from right to left. */
static struct timer *timer_meld_siblings(struct timer *first)
{
    struct timer *pairs = NULL; /* stack, linked by next */
    while (first != NULL) {
        struct timer *a = first, *b = timer_take_root(a);
        first = b != NULL ? timer_take_root(b) : NULL;
        struct timer *pair = timer_meld(a, b);
        pair->next = pairs;
        pairs = pair;
    }
    struct timer *root = NULL;
    while (pairs != NULL) {
        struct timer *pair = pairs;
        pairs = timer_take_root(pair);
        root = timer_meld(root, pair);
    }
    return root;
}

void env_timer_start(struct env *e, struct timer *t, struct mono_ns deadline)
{
    CHECK(t->fire != NULL);
    env_timer_stop(e, t);
    t->deadline = deadline;
    t->seq = e->timer_seq++;
    t->child = t->next = t->prev = NULL;
    t->armed = true;
    e->timers = timer_meld(e->timers, t);
}

void env_timer_stop(struct env *e, struct timer *t)
{
    if (!t->armed) return;
    struct timer *children = timer_meld_siblings(t->child);
    if (t == e->timers) {
        e->timers = children;
    } else {
        if (t->prev->child == t)
            t->prev->child = t->next;
        else
            t->prev->next = t->next;
        if (t->next != NULL) t->next->prev = t->prev;
        e->timers = timer_meld(e->timers, children);
    }
    t->child = t->next = t->prev = NULL;
    t->armed = false;
}

bool env_timer_armed(const struct timer *t)
{
    return t->armed;
}

struct mono_ns env_next_deadline(const struct env *e)
{
    return e->timers != NULL ? e->timers->deadline : (struct mono_ns){INT64_MAX};
}

static void run_timers(struct env *e)
{
    uint64_t armed_now = e->timer_seq; /* one that re-arms itself for the past waits for the next turn */
    for (unsigned i = 0; i < TIMERS_PER_TURN; i++) {
        struct timer *t = e->timers;
        if (t == NULL || t->deadline.v > e->now.v || t->seq >= armed_now) return;
        env_timer_stop(e, t);
        t->fire(t);
    }
}

/* ---- messages ---- */

void env_post(struct env *e, uint32_t shard, struct msg *m)
{
    CHECK(shard < e->shard_count);
    CHECK(m->run != NULL);
    m->from = e->shard;
    m->next = NULL;
    if (shard == e->shard)
        env_deliver(e, m);
    else
        e->ops->post(e, shard, m);
}

void env_deliver(struct env *e, struct msg *m)
{
    m->next = NULL;
    if (e->inbox_tail != NULL)
        e->inbox_tail->next = m;
    else
        e->inbox_head = m;
    e->inbox_tail = m;
}

static void run_messages(struct env *e)
{
    struct msg *last = e->inbox_tail;
    if (last == NULL) return;
    for (unsigned i = 0; i < MESSAGES_PER_TURN; i++) {
        struct msg *m = e->inbox_head;
        e->inbox_head = m->next;
        if (e->inbox_head == NULL) e->inbox_tail = NULL;
        m->next = NULL;
        bool was_last = m == last;
        m->run(e, m); /* may free it or send it back */
        if (was_last) return;
    }
}

/* ---- the loop ---- */

void env_hook_add(struct env *e, struct turn_hook *h)
{
    CHECK(h->run != NULL);
    list_push_back(&e->hooks, &h->in_env);
}

void env_hook_remove(struct env *e, struct turn_hook *h)
{
    list_remove(&h->in_env);
}

static void run_hooks(struct env *e)
{
    list_each (it, &e->hooks) {
        struct turn_hook *h = container_of(it, struct turn_hook, in_env);
        h->run(h); /* may remove itself, no other */
    }
}

uint64_t env_random(struct env *e)
{
    return e->ops->random(e);
}

enum status env_listen(struct env *e, const char *host, uint16_t port, bool shared, int32_t *ret_sock,
                       uint16_t *ret_port)
{
    return e->ops->listen(e, host, port, shared, ret_sock, ret_port);
}

void env_peer(struct env *e, int32_t sock, char out[ENV_HOST_SIZE])
{
    memcpy(out, "unknown", sizeof "unknown");
    if (e->ops->peer != NULL) e->ops->peer(e, sock, out);
}

void env_stop(struct env *e)
{
    e->stop = true;
}

bool env_has_work(const struct env *e)
{
    return !list_empty(&e->completed) || e->inbox_head != NULL || runner_ready(e->runner) ||
           env_next_deadline(e).v <= e->now.v;
}

void env_turn(struct env *e, struct mono_ns deadline)
{
    e->now = e->ops->mono(e);
    e->now_wall = e->ops->wall(e);
    run_completions(e);
    run_timers(e);
    run_messages(e);
    bool full = runner_run(e->runner, e->now, STAGES_PER_TURN);
    run_hooks(e);
    /* What the batching pass began is submitted in this turn: one turn more is one more entry into the kernel. The
     * stages may leave work to the pass: nothing but its second run would come to it before the turn sleeps. */
    if (!full && runner_ready(e->runner)) {
        (void)runner_run(e->runner, e->now, STAGES_PER_TURN);
        run_hooks(e);
    }

    struct mono_ns until = env_next_deadline(e);
    if (deadline.v < until.v) until = deadline;
    if (e->stop || env_has_work(e)) until = e->now;
    e->ops->wait(e, until);
}

void env_run(struct env *e)
{
    while (!e->stop) env_turn(e, (struct mono_ns){INT64_MAX});
}

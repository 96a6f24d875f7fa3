// SPDX-License-Identifier: Apache-2.0
/* The half of env that both implementations share, over a fake third one (env_fake.h): completions, tasks, messages,
 * budgets, the turn. Timers: env_timer_test.c. */
#include "tests/unit/env_fake.h"
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- operations ---- */

struct job { /* an op, a message or a task with a number to note */
    struct io_op op, op2, op3;
    struct msg msg;
    struct task task;
    int name;
    bool again;
};

static void job_done(struct io_op *op)
{
    struct job *j = container_of(op, struct job, op);
    ASSERT(!list_linked(&op->in_env));
    ASSERT_EQ(io_op_in_flight(op), op->more);
    note(j->name);
    if (!j->again) return;
    j->again = false;
    env_submit(&w.env, op);
}

static void submit(struct job *j, int name, enum io_kind kind)
{
    j->name = name;
    j->op.kind = kind;
    j->op.done = job_done;
    env_submit(&w.env, &j->op);
    ASSERT(io_op_in_flight(&j->op));
}

static void an_op_completes_once_from_the_loop(void)
{
    struct job j[3] = {0};
    world_open();
    for (int i = 0; i < 3; i++) submit(&j[i], 'a' + i, IO_READ);
    ASSERT_EQ(w.env.ops_in_flight, 3);
    ASSERT(!env_has_work(&w.env));
    env_complete(&w.env, &j[2].op, STATUS_OK, 7, false);
    env_complete(&w.env, &j[0].op, STATUS_IO_ERROR, 0, false);
    expect_log(""); /* queued only */
    ASSERT(env_has_work(&w.env));
    j[2].again = true; /* and done submits it again: that completes at once, for the next turn */
    w.complete_at_once = true;
    turn_at(1001);
    expect_log("ca"); /* in the order of completion */
    ASSERT(j[0].op.status == STATUS_IO_ERROR && !io_op_in_flight(&j[0].op) && io_op_in_flight(&j[2].op));
    ASSERT_EQ(w.env.ops_in_flight, 2);
    ASSERT_EQ(w.waited_until, 1001);
    turn_at(1002);
    expect_log("c");
    env_complete(&w.env, &j[1].op, STATUS_OK, 5, false);
    turn_at(1003);
    turn_at(1004);
    expect_log("b");
    ASSERT(j[1].op.result == 5 && w.env.ops_in_flight == 0 && w.submits == 4);
    world_close();
}

static void a_multishot_op_lives_until_its_last_event(void)
{
    struct job j[2] = {0};
    world_open();
    submit(&j[0], 'r', IO_RECV);
    submit(&j[1], 'w', IO_SEND);
    for (int event = 0; event < 3; event++) {
        env_complete(&w.env, &j[0].op, STATUS_OK, 10 + event, true);
        turn_at(1001);
        ASSERT(j[0].op.result == 10 + event && j[0].op.more && io_op_in_flight(&j[0].op));
        ASSERT_EQ(w.env.ops_in_flight, 2);
    }
    expect_log("rrr");
    env_complete(&w.env, &j[1].op, STATUS_OK, 1, false);
    env_complete(&w.env, &j[0].op, STATUS_CLOSED, 0, false);
    turn_at(1002);
    expect_log("wr");
    ASSERT(!io_op_in_flight(&j[0].op) && w.env.ops_in_flight == 0);
    world_close();
}

static void cancel_reaches_only_what_may_still_end(void)
{
    struct job j[2] = {0};
    world_open();
    env_cancel(&w.env, &j[0].op); /* never submitted */
    ASSERT_EQ(w.cancels, 0);
    submit(&j[0], 'a', IO_ACCEPT);
    submit(&j[1], 'b', IO_READ);
    env_cancel(&w.env, &j[1].op);
    ASSERT_EQ(w.cancels, 1);
    ASSERT(io_op_in_flight(&j[1].op)); /* it still completes */
    env_complete(&w.env, &j[1].op, STATUS_CANCELED, 0, false);
    env_cancel(&w.env, &j[1].op); /* its last event is on its way */
    ASSERT_EQ(w.cancels, 1);
    env_complete(&w.env, &j[0].op, STATUS_OK, 3, true);
    env_cancel(&w.env, &j[0].op); /* more would come */
    ASSERT_EQ(w.cancels, 2);
    turn_at(1001);
    env_complete(&w.env, &j[0].op, STATUS_CANCELED, 0, false);
    turn_at(1002);
    expect_log("baa");
    env_cancel(&w.env, &j[0].op);
    ASSERT_EQ(w.cancels, 2);
    world_close();
}

/* ---- tasks ---- */

enum { TASK_BEGIN, TASK_SPIN, TASK_END };

static void begin_op(struct task *t, struct io_op *op)
{
    *op = (struct io_op){.kind = IO_WRITE, .task = t};
    env_submit(&w.env, op);
}

static int task_begin(struct task *t)
{
    struct job *j = container_of(t, struct job, task);
    begin_op(t, &j->op);
    if (j->again) return TASK_SPIN;
    begin_op(t, &j->op2);
    begin_op(t, &j->op3);
    return STAGE_WAIT(TASK_END);
}

static int task_spin(struct task *t)
{
    note('s');
    return t->pending_ops > 0 ? TASK_SPIN : TASK_END;
}

static int task_end(struct task *t)
{
    note(container_of(t, struct job, task)->name);
    return STAGE_DONE;
}

static const struct stage stages[] = {
    [TASK_BEGIN] = {"begin", task_begin, STAGE_BIT(TASK_SPIN) | STAGE_BIT(TASK_END)},
    [TASK_SPIN] = {"spin", task_spin, STAGE_BIT(TASK_SPIN) | STAGE_BIT(TASK_END)},
    [TASK_END] = {"end", task_end, 0},
};
static const struct flow flow = {"job", stages, 3};

static void a_task_is_woken_by_its_last_op(void)
{
    struct job j = {.name = 'e'};
    world_open();
    task_start(w.env.runner, &j.task, &flow, TASK_BEGIN);
    turn_at(1001);
    ASSERT(j.task.waiting && j.task.pending_ops == 3);
    ASSERT_EQ(w.waited_until, INT64_MAX);
    env_complete(&w.env, &j.op2, STATUS_OK, 0, false);
    env_complete(&w.env, &j.op, STATUS_IO_ERROR, 0, false);
    turn_at(1002);
    ASSERT(j.task.waiting && j.task.pending_ops == 1);
    expect_log("");
    env_complete(&w.env, &j.op3, STATUS_OK, 0, false);
    turn_at(1003);
    expect_log("e"); /* in the same turn */
    ASSERT(!task_active(&j.task) && j.op.status == STATUS_IO_ERROR && w.env.ops_in_flight == 0);
    world_close();
}

static void a_running_task_is_not_woken(void)
{
    struct job j = {.name = 'e', .again = true};
    world_open();
    w.complete_at_once = true;
    task_start(w.env.runner, &j.task, &flow, TASK_BEGIN);
    turn_at(1001); /* it spins while its op is open: only the budget ends the turn */
    ASSERT_EQ(w.events, BUDGET - 1);
    ASSERT_EQ(w.waited_until, 1001);
    w.events = 0;
    turn_at(1002);
    expect_log("se");
    ASSERT(!task_active(&j.task));
    world_close();
}

/* ---- messages ---- */

static void job_run(struct env *to, struct msg *m)
{
    struct job *j = container_of(m, struct job, msg);
    ASSERT(to == &w.env && m->next == NULL);
    note(j->name);
    if (!j->again) return;
    j->again = false;
    env_post(to, to->shard, m);
}

static void messages_run_in_order(void)
{
    struct job j[4] = {0};
    world_open();
    for (int i = 0; i < 4; i++) {
        j[i].name = 'a' + i;
        j[i].msg.run = job_run;
    }
    j[0].again = true;
    env_post(&w.env, 1, &j[0].msg);
    env_deliver(&w.env, &j[1].msg); /* from elsewhere */
    env_post(&w.env, 1, &j[2].msg);
    expect_log("");
    ASSERT(env_has_work(&w.env));
    turn_at(1001);
    expect_log("abc"); /* a posted itself again: next turn */
    ASSERT_EQ(j[0].msg.from, 1);
    ASSERT_EQ(w.waited_until, 1001);
    env_post(&w.env, 1, &j[1].msg);
    turn_at(1002);
    expect_log("ab");
    ASSERT(w.posted == NULL);
    env_post(&w.env, 2, &j[3].msg);
    ASSERT(w.posted == &j[3].msg && w.posted_to == 2 && j[3].msg.from == 1);
    turn_at(1003);
    expect_log(""); /* not here */
    ASSERT(!env_has_work(&w.env));
    world_close();
}

/* ---- budgets ---- */

enum step { STEP_OPS, STEP_TIMERS, STEP_MESSAGES, STEP_TASKS, STEPS };

static void put_work(enum step step, struct job *j, struct alarm *a, int name)
{
    j->name = name;
    j->msg.run = job_run;
    switch (step) {
    case STEP_OPS:
        submit(j, name, IO_READ);
        env_complete(&w.env, &j->op, STATUS_OK, 0, false);
        break;
    case STEP_TIMERS: arm(a, name, 1000); break;
    case STEP_MESSAGES: env_post(&w.env, 1, &j->msg); break;
    case STEP_TASKS: task_start(w.env.runner, &j->task, &flow, TASK_END); break;
    case STEPS: break;
    }
}

/* More than a turn takes: it takes its budget, does not sleep, and the next turn has the rest. Nothing twice. */
static void each_step_has_a_budget(void)
{
    struct job *jobs = calloc(MANY, sizeof *jobs);
    struct alarm *alarms = calloc(MANY, sizeof *alarms);
    for (enum step step = 0; step < STEPS; step++) {
        memset(jobs, 0, MANY * sizeof *jobs);
        memset(alarms, 0, MANY * sizeof *alarms);
        world_open();
        for (int i = 0; i < MANY; i++) put_work(step, &jobs[i], &alarms[i], i);
        turn_at(1001);
        ASSERT_EQ(w.events, BUDGET);
        ASSERT(env_has_work(&w.env));
        ASSERT_EQ(w.waited_until, 1001);
        turn_at(1002);
        ASSERT_EQ(w.events, MANY);
        ASSERT(!env_has_work(&w.env));
        ASSERT_EQ(w.waited_until, INT64_MAX);
        for (int i = 0; i < MANY; i++) ASSERT_EQ(w.log[i], i);
        world_close();
    }
    free(jobs);
    free(alarms);
}

/* ---- the turn ---- */

struct hook {
    struct turn_hook hook;
    int name;
    struct msg *posts;
    struct job *starts[2]; /* by its next run, and the one after */
    bool leaves;
};

static void hook_run(struct turn_hook *h)
{
    struct hook *k = container_of(h, struct hook, hook);
    note(k->name);
    if (k->leaves) env_hook_remove(&w.env, h);
    if (k->posts != NULL) env_post(&w.env, 1, k->posts);
    k->posts = NULL;
    if (k->starts[0] != NULL) task_start(w.env.runner, &k->starts[0]->task, &flow, TASK_END);
    k->starts[0] = k->starts[1];
    k->starts[1] = NULL;
}

static void hook_add(struct hook *k, int name)
{
    k->name = name;
    k->hook.run = hook_run;
    env_hook_add(&w.env, &k->hook);
}

static void hooks_run_once_per_turn_in_order(void)
{
    struct hook k[4] = {0};
    struct job j = {.name = 'm', .msg.run = job_run};
    world_open();
    for (int i = 0; i < 4; i++) hook_add(&k[i], 'a' + i);
    k[1].leaves = k[3].leaves = true; /* one in the middle, one at the end */
    turn_at(1001);
    expect_log("abcd");
    turn_at(1002);
    expect_log("ac");
    k[0].leaves = true;
    k[2].posts = &j.msg; /* work made by a hook keeps the turn from sleeping */
    turn_at(1003);
    expect_log("ac");
    ASSERT_EQ(w.waited_until, 1003);
    k[1].leaves = false;
    hook_add(&k[1], 'b'); /* back, at the end */
    turn_at(1004);
    expect_log("mcb");
    env_hook_remove(&w.env, &k[1].hook);
    k[2].leaves = true;
    turn_at(1005);
    turn_at(1006);
    expect_log("c");
    world_close();
}

/* A journal commit that a hook began is submitted in the same turn, and what its stage left to the hooks is not left
 * until something else wakes the loop. */
static void hooks_run_again_behind_the_stages_they_began(void)
{
    struct hook k[2] = {0};
    struct job first = {.name = 's'}, second = {.name = 't'};
    world_open();
    for (int i = 0; i < 2; i++) hook_add(&k[i], 'a' + i);
    k[1].starts[0] = &first;
    turn_at(1001);
    expect_log("absab");
    ASSERT(w.waits == 1 && w.waited_until == INT64_MAX);
    k[1].starts[0] = &first;
    k[1].starts[1] = &second;
    turn_at(1002); /* the second run begins one, too: once more, but not in this turn */
    expect_log("absab");
    ASSERT_EQ(w.waited_until, 1002);
    turn_at(1003);
    expect_log("tab");
    ASSERT_EQ(w.waited_until, INT64_MAX);
    for (int i = 0; i < 2; i++) env_hook_remove(&w.env, &k[i].hook);
    world_close();
}

static void a_turn_has_one_order_and_one_time(void)
{
    struct job op = {0}, msg = {.name = 'm', .msg.run = job_run}, task = {.name = 's'};
    struct alarm a = {0};
    struct hook k = {0};
    world_open();
    hook_add(&k, 'h');
    task_start(w.env.runner, &task.task, &flow, TASK_END);
    env_post(&w.env, 1, &msg.msg);
    arm(&a, 't', 7 * NS_PER_MS);
    submit(&op, 'c', IO_READ);
    env_complete(&w.env, &op.op, STATUS_OK, 0, false);
    turn_at(7 * NS_PER_MS);
    expect_log("ctmsh");
    ASSERT(w.clock_reads == 1 && w.waits == 1);
    ASSERT(w.env.now.v == 7 * NS_PER_MS && w.env.now_wall.v == 7);
    env_hook_remove(&w.env, &k.hook);
    world_close();
}

static void a_turn_waits_no_longer_than_it_may(void)
{
    struct alarm a = {0};
    struct job j = {.name = 'm', .msg.run = job_run};
    world_open();
    env_turn(&w.env, (struct mono_ns){1500});
    ASSERT_EQ(w.waited_until, 1500);
    arm(&a, 'a', 1400);
    ASSERT(!env_has_work(&w.env));
    env_turn(&w.env, (struct mono_ns){1500});
    ASSERT_EQ(w.waited_until, 1400);
    env_turn(&w.env, (struct mono_ns){1300});
    ASSERT_EQ(w.waited_until, 1300);
    env_post(&w.env, 1, &j.msg);
    task_start(w.env.runner, &j.task, &flow, TASK_END);
    ASSERT(env_has_work(&w.env) && runner_ready(w.env.runner));
    turn_at(1399);
    ASSERT(!env_has_work(&w.env));
    w.env.now.v = 1400;
    ASSERT(env_has_work(&w.env));
    turn_at(1400);
    expect_log("mma");
    ASSERT_EQ(env_random(&w.env), 4);
    int32_t sock = -5;
    uint16_t port = 5;
    ASSERT_EQ(env_listen(&w.env, "::1", 0, true, &sock, &port), STATUS_ADDRESS_IN_USE);
    ASSERT(sock == -5 && port == 5);
    world_close();
}

static struct job stopper;

static void deliver_at_the_third_wait(void)
{
    if (w.waits == 3) env_deliver(&w.env, &stopper.msg);
}

static void stop_run(struct env *to, struct msg *m)
{
    note('m');
    env_stop(to);
}

static void stop_ends_run_after_the_turn(void)
{
    struct hook k = {0};
    world_open();
    stopper = (struct job){.msg.run = stop_run};
    hook_add(&k, 'h');
    w.on_wait = deliver_at_the_third_wait;
    env_run(&w.env);
    expect_log("hhhmh"); /* the turn's hooks still ran */
    ASSERT_EQ(w.waits, 4);
    ASSERT_EQ(w.waited_until, 1000); /* what is queued was submitted, without sleep */
    env_run(&w.env);                 /* stopped is stopped */
    ASSERT_EQ(w.waits, 4);
    env_hook_remove(&w.env, &k.hook);
    world_close();
}

/* ---- wrong use ---- */

static void submit_twice(void)
{
    struct job j = {0};
    submit(&j, 'a', IO_READ);
    submit(&j, 'a', IO_READ);
}

static void submit_without_receiver(void)
{
    struct io_op op = {.kind = IO_READ};
    env_submit(&w.env, &op);
}

static void submit_for_both(void)
{
    struct job j = {0};
    j.op.task = &j.task;
    submit(&j, 'a', IO_READ);
}

static void multishot_for_a_task(void)
{
    struct job j = {0};
    j.op = (struct io_op){.kind = IO_RECV, .task = &j.task};
    env_submit(&w.env, &j.op);
}

static void complete_before_the_last_was_run(void)
{
    struct job j = {0};
    submit(&j, 'a', IO_RECV);
    env_complete(&w.env, &j.op, STATUS_OK, 1, true);
    env_complete(&w.env, &j.op, STATUS_OK, 1, true);
}

static void complete_what_is_over(void)
{
    struct job j = {0};
    submit(&j, 'a', IO_READ);
    env_complete(&w.env, &j.op, STATUS_OK, 1, false);
    turn_at(1001);
    env_complete(&w.env, &j.op, STATUS_OK, 1, false);
}

static void more_of_a_single_op(void)
{
    struct job j = {0};
    submit(&j, 'a', IO_READ);
    env_complete(&w.env, &j.op, STATUS_OK, 1, true);
}

static void post_to_nobody(void)
{
    struct job j = {.msg.run = job_run};
    env_post(&w.env, 3, &j.msg);
}

static void end_with_an_op_in_flight(void)
{
    struct job j = {0};
    submit(&j, 'a', IO_READ);
    env_deinit(&w.env);
}

static void end_with_a_message_left(void)
{
    struct job j = {.msg.run = job_run};
    env_post(&w.env, 1, &j.msg);
    env_deinit(&w.env);
}

static bool aborts(void (*fn)(void))
{
    pid_t child = fork();
    if (child == 0) {
        int null = open("/dev/null", O_WRONLY);
        dup2(null, STDERR_FILENO);
        world_open();
        fn();
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void wrong_use_aborts(void)
{
    ASSERT(aborts(submit_twice));
    ASSERT(aborts(submit_without_receiver));
    ASSERT(aborts(submit_for_both));
    ASSERT(aborts(multishot_for_a_task));
    ASSERT(aborts(complete_before_the_last_was_run));
    ASSERT(aborts(complete_what_is_over));
    ASSERT(aborts(more_of_a_single_op));
    ASSERT(aborts(post_to_nobody));
    ASSERT(aborts(end_with_an_op_in_flight));
    ASSERT(aborts(end_with_a_message_left));
}

TEST_MAIN("env", {"an op completes once, from the loop", an_op_completes_once_from_the_loop},
          {"a multishot op lives until its last event", a_multishot_op_lives_until_its_last_event},
          {"cancel reaches only what may still end", cancel_reaches_only_what_may_still_end},
          {"a task is woken by its last op", a_task_is_woken_by_its_last_op},
          {"a task that runs is not woken", a_running_task_is_not_woken},
          {"messages run in order", messages_run_in_order},
          {"each step has a budget, nothing is lost", each_step_has_a_budget},
          {"hooks run once per turn, in order", hooks_run_once_per_turn_in_order},
          {"hooks run again behind the stages they began", hooks_run_again_behind_the_stages_they_began},
          {"a turn has one order and one time", a_turn_has_one_order_and_one_time},
          {"a turn waits no longer than it may", a_turn_waits_no_longer_than_it_may},
          {"stop ends run after the turn", stop_ends_run_after_the_turn}, {"wrong use aborts", wrong_use_aborts})

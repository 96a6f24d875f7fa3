// SPDX-License-Identifier: Apache-2.0
/* Stage runner and trace. */
#include "base/histogram.h"
#include "base/stage.h"
#include "base/trace.h"
#include "tests/unit/check_main.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum stage_name { BEGIN, FLUSH, REPLY };

struct job {
    struct task task;
    struct mem *mem;
    char *log;
    bool bad;
};

static void note(char *log, char c)
{
    size_t n = strlen(log);
    ASSERT(n < 15); /* each log has 16 bytes */
    log[n] = c;
    log[n + 1] = '\0';
}

static int begin(struct task *t)
{
    struct job *j = container_of(t, struct job, task);
    ASSERT(task_active(t));
    note(j->log, 'b');
    return j->bad ? REPLY : FLUSH; /* REPLY: not in the table */
}

static int flush(struct task *t)
{
    note(container_of(t, struct job, task)->log, 'f');
    return STAGE_WAIT(REPLY);
}

static int reply(struct task *t)
{
    struct job *j = container_of(t, struct job, task);
    note(j->log, 'r');
    mem_free(j->mem, MEM_LOG, j, sizeof *j);
    return STAGE_DONE;
}

static const struct stage stages[] = {[BEGIN] = {"begin", begin, STAGE_BIT(FLUSH)},
                                      [FLUSH] = {"flush", flush, STAGE_BIT(REPLY)},
                                      [REPLY] = {"reply", reply, 0}};
static const struct flow flow = {"job", stages, 3};

static struct job *make_job(struct mem *m, char *log)
{
    struct job *j = mem_zalloc(m, MEM_LOG, sizeof *j);
    j->mem = m;
    j->log = log;
    return j;
}

static void count_stuck(const struct task *t, int64_t age_ns, void *arg)
{
    ASSERT_EQ(t->stage, FLUSH);
    ASSERT_EQ(age_ns, 50);
    ++*(int *)arg;
}

static const struct runner *counted;

static void count_stage(const struct flow *f, int stage, const struct histogram *h, void *arg)
{
    ASSERT(f == &flow && h == runner_histogram(counted, f, stage));
    ++*(int *)arg;
}

static uint64_t run_job(int64_t extra_ns, char *first_line, size_t size)
{
    char log[16] = "";
    struct mem *m = mem_create(10 << 20);
    struct trace *t = trace_create(m, 64);
    struct runner *r = runner_create(m, t);
    struct job *j = make_job(m, log);
    task_start(r, &j->task, &flow, BEGIN);
    ASSERT(runner_ready(r) && task_active(&j->task));
    ASSERT(runner_run(r, (struct mono_ns){100}, 1)); /* the budget is one: FLUSH is left */
    ASSERT_STREQ(log, "b");
    ASSERT(!runner_run(r, (struct mono_ns){150}, 10));
    ASSERT_STREQ(log, "bf");
    ASSERT(j->task.waiting && !runner_ready(r));
    int stuck = 0;
    runner_stuck(r, (struct mono_ns){150}, 50, count_stuck, &stuck);
    ASSERT_EQ(stuck, 0);
    runner_stuck(r, (struct mono_ns){150}, 49, count_stuck, &stuck);
    ASSERT_EQ(stuck, 1);
    task_wake(&j->task);
    runner_run(r, (struct mono_ns){400 + extra_ns}, 10);
    ASSERT_STREQ(log, "bfr");
    ASSERT_EQ(mem_used(m, MEM_LOG), 0);
    /* The wait belongs to the stage that waits. */
    ASSERT_EQ(histogram_max(runner_histogram(r, &flow, FLUSH)), (uint64_t)(300 + extra_ns));
    ASSERT_EQ(histogram_max(runner_histogram(r, &flow, BEGIN)), 0); /* not the time before its first run */
    ASSERT_EQ(histogram_count(runner_histogram(r, &flow, REPLY)), 1);
    int seen = 0;
    counted = r;
    runner_histograms(r, count_stage, &seen);
    ASSERT_EQ(seen, 3);
    ASSERT_EQ(trace_newest(t, 0)->kind, TRACE_TASK_DONE);
    ASSERT_EQ(trace_count(t), 6);
    trace_format(trace_newest(t, 2), first_line, size);
    uint64_t hash = trace_hash(t);
    runner_destroy(r);
    trace_destroy(t);
    mem_destroy(m);
    return hash;
}

static void a_task_walks_its_table(void)
{
    char line[200];
    uint64_t hash = run_job(0, line, sizeof line);
    ASSERT_STREQ(line, "0.000150ms task=1 wake job flush a=0 b=0");
    ASSERT_EQ(run_job(0, line, sizeof line), hash); /* other addresses, same history, same hash */
    ASSERT(run_job(1, line, sizeof line) != hash);
}

static int signal_of(void (*fn)(void), char *ret_text, size_t size)
{
    int fd[2];
    if (pipe(fd) != 0) return -1;
    pid_t child = fork();
    if (child == 0) {
        dup2(fd[1], STDERR_FILENO);
        close(fd[0]);
        fn();
        _exit(0);
    }
    close(fd[1]);
    size_t n = 0;
    for (ssize_t got; n < size - 1 && (got = read(fd[0], ret_text + n, size - 1 - n)) > 0;) n += (size_t)got;
    ret_text[n] = '\0';
    close(fd[0]);
    int status = 0;
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void forbidden_step(void)
{
    char log[16] = "";
    struct mem *m = mem_create(10 << 20);
    struct trace *t = trace_create(m, 4);
    trace_dump_on_check(t);
    trace_event(t, (struct mono_ns){7}, "planted", 1, 2);
    struct runner *r = runner_create(m, t);
    struct job *j = make_job(m, log);
    j->bad = true;
    task_start(r, &j->task, &flow, BEGIN);
    runner_run(r, (struct mono_ns){8}, 10);
}

static void wake_of_a_ready_task(void)
{
    char log[16] = "";
    struct mem *m = mem_create(10 << 20);
    struct runner *r = runner_create(m, NULL);
    struct job *j = make_job(m, log);
    task_start(r, &j->task, &flow, BEGIN);
    task_wake(&j->task);
}

static void bugs_abort_with_the_trace(void)
{
    char text[4096];
    ASSERT_EQ(signal_of(forbidden_step, text, sizeof text), SIGABRT);
    ASSERT(strstr(text, "CHECK failed: ") != NULL && strstr(text, "event planted a=1 b=2") != NULL);
    ASSERT(strstr(text, "start job begin") != NULL);
    ASSERT_EQ(signal_of(wake_of_a_ready_task, text, sizeof text), SIGABRT);
}

static void the_ring_keeps_the_last(void)
{
    struct mem *m = mem_create(10 << 20);
    struct trace *t = trace_create(m, 4);
    ASSERT(trace_newest(t, 0) == NULL);
    for (uint64_t i = 0; i < 6; i++) trace_event(t, (struct mono_ns){(int64_t)i}, "e", i, 0);
    ASSERT(trace_newest(t, 0)->a == 5 && trace_newest(t, 3)->a == 2 && trace_newest(t, 4) == NULL);
    trace_destroy(t);
    mem_destroy(m);
}

static uint64_t hash_of(struct trace_record record)
{
    struct mem *m = mem_create(10 << 20);
    struct trace *t = trace_create(m, 4);
    trace_add(t, &record);
    uint64_t hash = trace_hash(t);
    trace_destroy(t);
    mem_destroy(m);
    return hash;
}

static void the_hash_covers_each_field(void)
{
    struct trace_record base = {.name = "n"}, changed[8];
    for (int i = 0; i < 8; i++) changed[i] = base;
    changed[0].time.v = 1;
    changed[1].task = 1;
    changed[2].a = 1;
    changed[3].b = 1;
    changed[4].name = "m";
    changed[5].stage_name = "n";
    changed[6].kind = TRACE_STAGE;
    changed[7].stage = 1;
    for (int i = 0; i < 8; i++) {
        ASSERT(hash_of(changed[i]) != hash_of(base));
        for (int j = 0; j < i; j++) ASSERT(hash_of(changed[i]) != hash_of(changed[j]));
    }
}

TEST_MAIN("stage", {"the hash covers each field", the_hash_covers_each_field},
          {"a task walks its table", a_task_walks_its_table},
          {"bugs abort and dump the trace", bugs_abort_with_the_trace},
          {"the ring keeps the last records", the_ring_keeps_the_last})

// SPDX-License-Identifier: Apache-2.0
/* Runs, recovery, idle memory.
 *
 *   run      child: open, create, warm up, append, verify, clean stop
 *   recover  child: open, create, append until the journal is full, then kill -9 of the child by us; child: open, one
 *            append, clean stop; child: open after a clean stop
 *   idle     child: open, create, look, clean stop; child: open, look
 *
 * A child writes its result into a shared mapping and exits 0. Failure modes: it leaves a sentence there and exits 1;
 * it dies: that is said. */
#include "tools/bench/modes.h"

#include "base/bytes.h"
#include "tools/bench/load.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define VERIFY_APPENDS  10000
#define FULL_THOUSANDTH 850  /* from there on the engine refuses appends now and then */
#define FILL_SECONDS    10.0 /* a disk that moves as fast as we append never gets that full: then the fullest moment */

struct shared { /* between parent and child */
    struct result result;
    struct recovery_result recovery;
    struct idle_result idle;
    volatile bool full; /* the child wants to be killed */
    char error[600];
};

struct job {
    const struct options *options;
    struct load_config config;
    const struct machine *machine;
    struct shared *shared;
};

static uint64_t memory_for(const struct options *o, const struct machine *m)
{
    return o->memory_bytes > 0 ? o->memory_bytes : m->memory_bytes / 4;
}

static bool on_terminal(void)
{
    return isatty(STDERR_FILENO) == 1;
}

static bool progress(void *arg, uint64_t appends)
{
    const struct load_config *c = arg;
    fprintf(stderr, "\r%u partitions, %u bytes: %llu appends ", c->partitions, c->size_bytes,
            (unsigned long long)appends);
    return true;
}

static void progress_end(void)
{
    if (on_terminal()) fprintf(stderr, "\r%70s\r", "");
}

/* --- children --- */

static bool run_child(struct job *j)
{
    struct shared *s = j->shared;
    const struct options *o = j->options;
    struct result *x = &s->result;
    struct load *l;
    struct load_run warm = {.seconds = o->warmup_seconds}, r = {.seconds = o->seconds, .count = o->count};
    struct counters end;
    if (on_terminal()) r.progress = progress;
    r.arg = &j->config;
    if (!load_open(&j->config, &l, s->error) || !load_create(l, s->error)) return false;
    if (o->count == 0 && warm.seconds > 0 && !load_appends(l, j->machine, &warm, s->error)) return false;
    if (!load_appends(l, j->machine, &r, s->error)) return false;
    const struct histogram *h = load_latency(l);
    *x = (struct result){.partitions = j->config.partitions,
                         .size_bytes = j->config.size_bytes,
                         .outstanding = j->config.outstanding,
                         .seconds = (double)(r.end_ns - r.begin_ns) / 1e9,
                         .appends = r.appends,
                         .busy = r.busy,
                         .commits = r.commits,
                         .engine = r.engine,
                         .p50_ns = histogram_percentile(h, 50),
                         .p99_ns = histogram_percentile(h, 99),
                         .max_ns = histogram_max(h),
                         .mean_ns = histogram_sum(h) / MAX(1u, histogram_count(h)),
                         .cpu_s = r.after.cpu_s - r.before.cpu_s,
                         .machine_cpu_s = r.after.machine_cpu_s - r.before.machine_cpu_s,
                         .payload_bytes = r.appends * j->config.size_bytes,
                         .disk_bytes = r.after.disk_bytes - r.before.disk_bytes,
                         .own_bytes = r.after.own_bytes - r.before.own_bytes,
                         .flushes = r.after.flushes - r.before.flushes,
                         .rss_bytes = r.after.rss_bytes};
    if (o->verify && !load_verify(l, VERIFY_APPENDS, &x->verified, s->error)) return false;
    if (!load_close(l, s->error)) return false;
    counters_read(j->machine, &end);
    const struct counters *begin = warm.appends > 0 ? &warm.before : &r.before;
    x->all_payload_bytes = (warm.appends + r.appends) * j->config.size_bytes;
    x->all_disk_bytes = end.disk_bytes - begin->disk_bytes;
    x->all_own_bytes = end.own_bytes - begin->own_bytes;
    return true;
}

struct filling {
    struct load *load;
    struct shared *shared;
    int64_t limit_ns;
    uint64_t fullest, appends;
};

/* Full enough, or, when the time is over, again nearly as full as it ever was. */
static bool fill_more(void *arg, uint64_t appends)
{
    struct filling *f = arg;
    uint32_t fill;
    uint64_t bytes, live;
    load_journal(f->load, &bytes, &fill, &live);
    f->fullest = MAX(f->fullest, live);
    f->appends = appends;
    bool late = clock_ns() > f->limit_ns;
    if (live * 1000 < bytes * FULL_THOUSANDTH && !(late && live >= f->fullest / 10 * 9)) return true;
    f->shared->recovery.appends = appends;
    f->shared->recovery.live_bytes = live;
    f->shared->full = true;
    return true; /* goes on writing: the kill comes in the middle of it */
}

static bool fill_child(struct job *j)
{
    struct shared *s = j->shared;
    struct filling f = {.shared = s};
    struct load_run r = {.seconds = 10 * FILL_SECONDS, .progress = fill_more, .arg = &f};
    if (!load_open(&j->config, &f.load, s->error) || !load_create(f.load, s->error)) return false;
    f.limit_ns = clock_ns() + (int64_t)(FILL_SECONDS * 1e9);
    if (load_appends(f.load, j->machine, &r, s->error)) snprintf(s->error, sizeof s->error, "the journal never filled");
    return false;
}

static bool reopen_child(struct job *j)
{
    struct shared *s = j->shared;
    struct recovery_result *x = &s->recovery;
    struct load *l;
    uint32_t fill;
    uint64_t live; /* after the replay: not what was replayed */
    struct load_run one = {.count = 1};
    int64_t begin = clock_ns();
    if (!load_open(&j->config, &l, s->error)) return false;
    load_journal(l, &x->journal_bytes, &fill, &live);
    x->open_ns = load_open_ns(l);
    x->partitions = j->config.partitions;
    if (!load_find(l, s->error) || !load_appends(l, j->machine, &one, s->error)) return false;
    x->first_append_ns = (uint64_t)(clock_ns() - begin);
    if (j->options->verify && !load_verify(l, VERIFY_APPENDS, &s->result.verified, s->error)) return false;
    return load_close(l, s->error);
}

static bool clean_open_child(struct job *j)
{
    struct load *l;
    if (!load_open(&j->config, &l, j->shared->error)) return false;
    j->shared->recovery.empty_ns = load_open_ns(l);
    return load_close(l, j->shared->error);
}

static bool idle_child(struct job *j)
{
    struct shared *s = j->shared;
    struct counters c;
    struct load *l;
    if (!load_open(&j->config, &l, s->error)) return false;
    counters_read(j->machine, &c);
    s->idle.before_bytes = c.rss_bytes;
    if (!load_create(l, s->error)) return false;
    counters_read(j->machine, &c);
    s->idle.created_bytes = c.rss_bytes;
    return load_close(l, s->error);
}

static bool idle_again_child(struct job *j)
{
    struct shared *s = j->shared;
    struct counters c;
    struct load *l;
    if (!load_open(&j->config, &l, s->error) || !load_find(l, s->error)) return false;
    counters_read(j->machine, &c);
    s->idle.reopened_bytes = c.rss_bytes;
    s->idle.reopen_ns = load_open_ns(l);
    return load_close(l, s->error);
}

/* --- the parent --- */

static bool wait_child(pid_t pid, struct shared *s, bool killing)
{
    int how;
    if (waitpid(pid, &how, 0) != pid) return false;
    if (killing && WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL) return true;
    if (!killing && WIFEXITED(how) && WEXITSTATUS(how) == 0) return true;
    if (s->error[0] == '\0')
        snprintf(s->error, sizeof s->error, "the process with the engine ended by %s %d",
                 WIFSIGNALED(how) ? "signal" : "exit code", WIFSIGNALED(how) ? WTERMSIG(how) : WEXITSTATUS(how));
    return false;
}

/* killing: end it with SIGKILL once it says `full`. */
static bool in_child(struct job *j, bool (*work)(struct job *j), bool killing)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0) {
        snprintf(j->shared->error, sizeof j->shared->error, "cannot fork");
        return false;
    }
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* an interrupted leat-bench leaves no writer behind */
        _exit(work(j) ? 0 : 1);
    }
    while (killing && !j->shared->full) {
        int how;
        if (waitpid(pid, &how, WNOHANG) == pid) { /* it failed; its sentence stands */
            if (j->shared->error[0] == '\0') snprintf(j->shared->error, sizeof j->shared->error, "the writer died");
            return false;
        }
        usleep(2000);
    }
    if (killing) kill(pid, SIGKILL);
    bool good = wait_child(pid, j->shared, killing);
    progress_end();
    return good;
}

static struct job job_of(const struct options *o, const char *dir, bool dsync_cheaper, const struct machine *m)
{
    struct shared *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (s == MAP_FAILED) abort();
    return (struct job){.options = o,
                        .machine = m,
                        .shared = s,
                        .config = {.dir = dir,
                                   .partitions = o->partitions[0],
                                   .size_bytes = o->sizes[0],
                                   .outstanding = o->outstanding,
                                   .journal_bytes = o->journal_bytes,
                                   .memory_bytes = memory_for(o, m),
                                   .dsync_cheaper = dsync_cheaper}};
}

static bool job_end(struct job *j, bool good, char error[600])
{
    if (!good) memcpy(error, j->shared->error, sizeof j->shared->error);
    munmap(j->shared, sizeof *j->shared);
    return good;
}

bool mode_run(const struct options *o, const char *dir, bool dsync_cheaper, uint32_t partitions, uint32_t size_bytes,
              struct report *r, char error[600])
{
    struct job j = job_of(o, dir, dsync_cheaper, &r->machine);
    j.config.partitions = partitions;
    j.config.size_bytes = size_bytes;
    bool good = in_child(&j, run_child, false);
    if (good) r->results[r->result_count++] = j.shared->result;
    return job_end(&j, good, error);
}

bool mode_recover(const struct options *o, const char *dir, bool dsync_cheaper, struct report *r, char error[600])
{
    struct job j = job_of(o, dir, dsync_cheaper, &r->machine);
    bool good =
        in_child(&j, fill_child, true) && in_child(&j, reopen_child, false) && in_child(&j, clean_open_child, false);
    r->recovery = j.shared->recovery;
    r->recovery.ran = good;
    return job_end(&j, good, error);
}

bool mode_idle(const struct options *o, const char *dir, bool dsync_cheaper, struct report *r, char error[600])
{
    struct job j = job_of(o, dir, dsync_cheaper, &r->machine);
    j.config.partitions = j.shared->idle.partitions = o->idle;
    j.config.outstanding = 1;
    bool good = in_child(&j, idle_child, false) && in_child(&j, idle_again_child, false);
    r->idle = j.shared->idle;
    r->idle.ran = good;
    return job_end(&j, good, error);
}

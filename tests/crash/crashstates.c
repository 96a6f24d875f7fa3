// SPDX-License-Identifier: Apache-2.0
/* Power cuts at block level: runs a workload on a logged disk once, then puts a file system through many states in
 * which a power cut could have left that disk, and asks the workload's verifier about each. Method and limits:
 * README.md.
 *
 * Path: capture (mkfs, mount, W run) -> states_choose -> per worker and state: build the image, mount (the kernel
 * replays its journal), W verify, unmount -> totals; on a violation the log is saved with the command that shows it
 * again. Exit: 0 no violation, 1 violations, 2 the tester itself failed, 77 this machine cannot do it. */
#include "blklog.h"
#include "rig.h"
#include "states.h"
#include "util.h"
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    EXIT_SKIP = 77,
    ARGS_MAX = 64,
    STATES_MAX = 100000,
    JOBS_MAX = 16,
    SHOWN_MAX = 3,       /* violations shown in full */
    SKIPPED_PERCENT = 10 /* more states without a mount than this prove nothing */
};

struct options {
    enum rig_fs fs;
    const char *fs_name, *log_path, *out_dir;
    uint32_t states, jobs;
    uint64_t seed, size_bytes;
    int64_t only; /* --state; -1: all */
    int timeout_ms;
    bool expect_violation;
    char **workload;
    int workload_count;
};

enum verdict { VERDICT_NONE, VERDICT_OK, VERDICT_VIOLATION, VERDICT_SKIPPED };

/* Shared by the driver and its workers. */
struct board {
    _Atomic uint32_t next, shown, skips_shown;
    volatile bool stop;
    uint8_t verdict[STATES_MAX];
};

static struct board *board;
static struct rig rig; /* of this process: the capture's, or a worker's */

static void on_signal(int number)
{
    board->stop = true;
}

static void clean_up(void)
{
    rig_close(&rig);
    rig_leave();
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* W verb DIR last [args]: for `run` the last is the seed, for `verify` the marks file. */
static void workload_argv(const struct options *o, const char *verb, const char *last, char **ret_argv)
{
    int n = 0;
    ret_argv[n++] = o->workload[0];
    ret_argv[n++] = (char *)(uintptr_t)verb;
    ret_argv[n++] = rig.mount_dir;
    ret_argv[n++] = (char *)(uintptr_t)last;
    for (int i = 1; i < o->workload_count; i++) ret_argv[n++] = o->workload[i];
    ret_argv[n] = NULL;
}

static void wait_for_marks(void)
{
    for (int i = 0; !rig.server->marks_done; i++) {
        if (i == 5000) die("the workload ended but something still holds its stdout");
        usleep(1000);
    }
}

static void run_workload(const struct options *o, int mark_fd)
{
    char seed[32], *argv[ARGS_MAX + 5];
    snprintf(seed, sizeof(seed), "%llu", (unsigned long long)o->seed);
    workload_argv(o, "run", seed, argv);
    int pid = rig_spawn(argv, mark_fd, -1);
    close(mark_fd);
    int code = rig_wait(pid, 10 * o->timeout_ms, &board->stop);
    if (board->stop) die("interrupted");
    if (code != 0) die("the workload's run ended with %d", code);
    wait_for_marks();
}

static void sync_dir(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || syncfs(fd) < 0) die_errno("syncing the fresh file system");
    close(fd);
}

static void capture(const struct options *o, struct blklog **ret_log, struct vdisk **ret_base)
{
    int marks[2];
    if (pipe2(marks, O_CLOEXEC) < 0) die_errno("pipe");
    struct vdisk *disk = vdisk_create(o->size_bytes);
    struct blklog *log = blklog_create();
    rig_open(&rig, "capture", o->fs, disk, log, marks[0], marks[1]);
    close(marks[0]);
    rig_mkfs(&rig);
    vdisk_settle(disk); /* the base: a fresh file system */
    rig.server->logging = true;
    if (!rig_mount(&rig)) die_errno("mounting the fresh file system");
    sync_dir(rig.mount_dir);
    run_workload(o, marks[1]);
    rig.server->logging = false;
    rig_close(&rig);
    *ret_log = log;
    *ret_base = disk;
}

static void write_marks(const struct blklog *l, uint32_t point, const char *path)
{
    FILE *f = fopen(path, "w");
    if (!f) die_errno("writing the marks");
    for (uint32_t i = 0; i < point; i++) {
        const struct blklog_entry *e = &l->entry[i];
        if (e->kind == BLKLOG_MARK) fprintf(f, "%.*s\n", (int)e->size_bytes, (const char *)blklog_data(l, e));
    }
    if (fclose(f) != 0) die_errno("writing the marks");
}

/* One write(2) per violation, so that workers do not mix their lines. */
static void show_violation(const struct state *s, uint32_t number, int code, const char *out_path)
{
    if (atomic_fetch_add(&board->shown, 1) >= SHOWN_MAX) return;
    char text[4096];
    int n = snprintf(text, sizeof(text),
                     "violation: state %u, %s, power cut at log entry %u, durable below %u; verify %s %d\n", number,
                     state_kind_name[s->kind], s->point, s->flush, code < 0 ? "hung:" : "said", code);
    int fd = open(out_path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, text + n, sizeof(text) - (size_t)n) : 0;
    if (fd >= 0) close(fd);
    if (write(2, text, (size_t)n + (size_t)(got > 0 ? got : 0)) < 0) die_errno("writing to stderr");
}

static enum verdict verify(const struct options *o, const struct state *s, uint32_t number, const char *name)
{
    char marks[160], out[160], *argv[ARGS_MAX + 5];
    snprintf(out, sizeof(out), "%s/%s.out", rig_scratch(), name);
    snprintf(marks, sizeof(marks), "%s/%s.marks", rig_scratch(), name);
    int fd = open(out, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) die_errno("creating the verifier's output");
    workload_argv(o, "verify", marks, argv);
    int pid = rig_spawn(argv, fd, fd);
    close(fd);
    int code = rig_wait(pid, o->timeout_ms, &board->stop);
    if (board->stop) return VERDICT_NONE;
    if (code == 0) return VERDICT_OK;
    show_violation(s, number, code, out);
    return VERDICT_VIOLATION;
}

/* The file system itself did not survive: not the workload's fault, but to be seen. */
static void show_skipped(const struct state *s, uint32_t number, const char *why)
{
    if (atomic_fetch_add(&board->skips_shown, 1) >= SHOWN_MAX) return;
    fprintf(stderr, "skipped: state %u, %s, power cut at log entry %u: no mount: %s\n", number,
            state_kind_name[s->kind], s->point, why);
}

struct worker {
    const struct options *o;
    const struct blklog *log;
    struct vdisk *disk;
    uint32_t durable; /* log entries that the disk's lower layer holds */
    struct piece *pieces;
    char name[16];
};

static enum verdict worker_try(struct worker *w, const struct state *s, uint32_t number)
{
    char marks[160];
    snprintf(marks, sizeof(marks), "%s/%s.marks", rig_scratch(), w->name);
    write_marks(w->log, s->point, marks);
    for (; w->durable < s->flush; w->durable++) blklog_apply_lower(w->log, w->durable, w->disk);
    state_apply(w->log, w->pieces, state_pieces(w->log, s, w->pieces), w->disk);
    rig_forget_cache(&rig);
    enum verdict v = VERDICT_SKIPPED;
    if (!rig_repair(&rig)) {
        show_skipped(s, number, "e2fsck could not repair it");
    } else if (!rig_mount(&rig)) {
        show_skipped(s, number, strerror(errno));
    } else {
        v = verify(w->o, s, number, w->name);
        rig_unmount(&rig, true);
    }
    rig_forget_cache(&rig); /* before the bytes below go, else late write-back would reach the next state */
    vdisk_discard(w->disk);
    return v;
}

static _Noreturn void worker_run(const struct options *o, uint32_t index, const struct blklog *log,
                                 const struct vdisk *base, const struct state *states, uint32_t count)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    struct worker w = {
        .o = o, .log = log, .disk = vdisk_derive(base), .pieces = reserve(PIECES_MAX * sizeof(*w.pieces))};
    snprintf(w.name, sizeof(w.name), "worker%u", index);
    rig_open(&rig, w.name, o->fs, w.disk, NULL, -1, -1);
    while (!board->stop) {
        uint32_t i = atomic_fetch_add(&board->next, 1);
        if (i >= count) break;
        if (o->only >= 0 && i != o->only) continue;
        board->verdict[i] = (uint8_t)worker_try(&w, &states[i], i);
    }
    rig_close(&rig);
    _exit(0);
}

static void run_workers(const struct options *o, const struct blklog *log, const struct vdisk *base,
                        const struct state *states, uint32_t count)
{
    int pid[JOBS_MAX];
    bool failed = false;
    for (uint32_t i = 0; i < o->jobs; i++) {
        pid[i] = fork();
        if (pid[i] < 0) die_errno("fork");
        if (pid[i] == 0) worker_run(o, i, log, base, states, count);
    }
    for (uint32_t i = 0; i < o->jobs; i++) {
        int status;
        while (waitpid(pid[i], &status, 0) < 0)
            if (errno != EINTR) die_errno("waitpid");
        if (status == 0) continue;
        failed = true;
        board->stop = true; /* the others need not go on */
    }
    if (failed) die("a worker failed");
}

static uint64_t count_kind(const struct blklog *l, enum blklog_kind kind)
{
    uint64_t n = 0;
    for (uint64_t i = 0; i < l->count; i++) n += l->entry[i].kind == kind;
    return n;
}

static void print_reproduction(const struct options *o, const char *program, const struct blklog *log,
                               const struct vdisk *base, uint32_t number)
{
    char path[4096];
    if (o->log_path) {
        snprintf(path, sizeof(path), "%s", o->log_path);
    } else {
        snprintf(path, sizeof(path), "%s/crashstates-%s-%llu.blklog", o->out_dir, o->fs_name,
                 (unsigned long long)o->seed);
        blklog_save(log, base, path);
    }
    printf("reproduce: %s --fs %s --log %s --states %u --seed %llu --state %u --", program, o->fs_name, path, o->states,
           (unsigned long long)o->seed, number);
    for (int i = 0; i < o->workload_count; i++) printf(" %s", o->workload[i]);
    printf("\n");
}

static int report(const struct options *o, const char *program, const struct blklog *log, const struct vdisk *base,
                  const struct state *states, uint32_t count, double took_s)
{
    uint32_t n[4] = {0}, first = count, per_kind[STATE_KINDS] = {0};
    for (uint32_t i = 0; i < count; i++) {
        n[board->verdict[i]]++;
        if (board->verdict[i] != VERDICT_VIOLATION) continue;
        per_kind[states[i].kind]++;
        if (first == count) first = i;
    }
    uint32_t tried = n[VERDICT_OK] + n[VERDICT_VIOLATION] + n[VERDICT_SKIPPED];
    printf("%s: %llu writes, %llu flushes, %llu marks; %.1f s, %.0f states/s\n", o->fs_name,
           (unsigned long long)(count_kind(log, BLKLOG_WRITE) + count_kind(log, BLKLOG_ZERO)),
           (unsigned long long)count_kind(log, BLKLOG_FLUSH), (unsigned long long)count_kind(log, BLKLOG_MARK), took_s,
           tried / (took_s > 0 ? took_s : 1));
    for (uint32_t k = 0; k < STATE_KINDS; k++)
        if (per_kind[k]) printf("violations in states '%s': %u\n", state_kind_name[k], per_kind[k]);
    if (first < count && o->only < 0 && !o->expect_violation) print_reproduction(o, program, log, base, first);
    printf("crash states: %u tried, %u violations, %u skipped\n", tried, n[VERDICT_VIOLATION], n[VERDICT_SKIPPED]);
    if (tried == 0 || n[VERDICT_SKIPPED] * 100 > tried * SKIPPED_PERCENT) {
        printf("too few states could be mounted: this run proves nothing\n");
        return 2;
    }
    return (n[VERDICT_VIOLATION] > 0) == o->expect_violation ? 0 : 1;
}

static int run(const struct options *o, const char *program)
{
    struct blklog *log;
    struct vdisk *base;
    if (o->log_path)
        blklog_load(o->log_path, &log, &base);
    else
        capture(o, &log, &base);
    struct state *states = reserve(o->states * sizeof(*states));
    uint32_t count = states_choose(log, o->seed, o->states, states);
    if (count < o->states) printf("the log has only %u distinct states of the kinds tried\n", count);
    if (o->only >= count) die("there is no state %lld", (long long)o->only);
    fflush(NULL);
    double start = now_s();
    run_workers(o, log, base, states, count);
    if (board->stop) die("interrupted");
    return report(o, program, log, base, states, count, now_s() - start);
}

static _Noreturn void usage(void)
{
    fprintf(stderr,
            "usage: crashstates --fs ext4|ext4-nojournal|xfs [--states N] [--seed S] [--jobs N] [--size-mib N]\n"
            "                   [--timeout-s N] [--out DIR] [--expect-violation] [--log FILE] [--state K]\n"
            "                   -- WORKLOAD [args]\n"
            "WORKLOAD run DIR SEED [args] prints marks; WORKLOAD verify DIR MARKSFILE [args] exits 0 or 1.\n");
    exit(2);
}

static uint64_t number_arg(const char *text, uint64_t max)
{
    char *end;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    if (errno || end == text || *end || *text == '-' || n > max) {
        fprintf(stderr, "crashstates: '%s' is not a number from 0 to %llu\n", text, (unsigned long long)max);
        exit(2);
    }
    return n;
}

static void set_option(struct options *o, int option, const char *arg)
{
    switch (option) {
    case 'f':
        o->fs_name = arg;
        if (!rig_fs_parse(arg, &o->fs)) usage();
        break;
    case 'n': o->states = (uint32_t)number_arg(arg, STATES_MAX); break;
    case 's': o->seed = number_arg(arg, UINT64_MAX); break;
    case 'j': o->jobs = (uint32_t)number_arg(arg, JOBS_MAX); break;
    case 'm': o->size_bytes = number_arg(arg, 1 << 20) << 20; break;
    case 't': o->timeout_ms = (int)number_arg(arg, 3600) * 1000; break;
    case 'k': o->only = (int64_t)number_arg(arg, STATES_MAX); break;
    case 'l': o->log_path = arg; break;
    case 'o': o->out_dir = arg; break;
    case 'x': o->expect_violation = true; break;
    default: usage();
    }
}

static void parse_options(int argc, char **argv, struct options *ret_o)
{
    static const struct option table[] = {
        {"fs", 1, NULL, 'f'},
        {"states", 1, NULL, 'n'},
        {"seed", 1, NULL, 's'},
        {"jobs", 1, NULL, 'j'},
        {"size-mib", 1, NULL, 'm'},
        {"timeout-s", 1, NULL, 't'},
        {"state", 1, NULL, 'k'},
        {"log", 1, NULL, 'l'},
        {"out", 1, NULL, 'o'},
        {"expect-violation", 0, NULL, 'x'},
        {0},
    };
    *ret_o = (struct options){.out_dir = ".", .states = 500, .seed = 1, .jobs = 2, .only = -1, .timeout_ms = 30000};
    int option;
    while ((option = getopt_long(argc, argv, "+", table, NULL)) != -1) set_option(ret_o, option, optarg);
    ret_o->workload = argv + optind;
    ret_o->workload_count = argc - optind;
    if (!ret_o->fs_name || ret_o->workload_count < 1 || ret_o->workload_count > ARGS_MAX) usage();
    if (ret_o->states == 0 || ret_o->jobs == 0) usage();
    if (ret_o->size_bytes == 0) ret_o->size_bytes = rig_fs_size_bytes(ret_o->fs);
    if (ret_o->only >= 0) ret_o->jobs = 1;
}

int main(int argc, char **argv)
{
    struct options o;
    parse_options(argc, argv, &o);
    const char *missing = rig_missing(o.fs);
    if (missing) {
        printf("skipped: crash states on %s: this %s\n", o.fs_name, missing);
        return EXIT_SKIP;
    }
    board = reserve(sizeof(*board));
    rig.loop_fd = -1;
    struct sigaction act = {.sa_handler = on_signal};
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGTERM, &act, NULL);
    sigaction(SIGHUP, &act, NULL);
    die_set_cleanup(clean_up);
    rig_enter();
    int code = run(&o, argv[0]);
    rig_leave();
    return code;
}

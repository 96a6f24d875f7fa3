// SPDX-License-Identifier: Apache-2.0
/* The start-up probe against the real kernel, and what a kernel, sandbox or limit may refuse: a child process takes a
 * seccomp filter or a limit and must get a sentence (or go without), never a crash. */
#include "base/env_uring.h"
#include "base/probe.h"
#include "tests/unit/check_main.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- in a child: exit code 0 is good, 77 cannot be tried here ---- */

#define SKIP 77

static int in_child(int (*body)(void))
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) _exit(body());
    int state = 0;
    ASSERT_EQ(waitpid(pid, &state, 0), pid);
    return WIFEXITED(state) ? WEXITSTATUS(state) : 128;
}

static void expect_child(const char *name, int (*body)(void))
{
    int code = in_child(body);
    if (code == SKIP) printf("SKIPPED %s: not allowed on this machine\n", name);
    if (code != 0 && code != SKIP) printf("child: exit %d\n", code);
    ASSERT(code == 0 || code == SKIP);
}

#define BPF_LOAD(field)     BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define BPF_UNLESS(v, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (v), 0, (skip))
#define BPF_GIVE(v)         BPF_STMT(BPF_RET | BPF_K, (v))

/* From now on system call nr, with that second argument unless it is -1, answers err. */
static int refuse(unsigned nr, int64_t arg1, unsigned err)
{
    struct sock_filter any[] = {BPF_LOAD(nr), BPF_UNLESS(nr, 1), BPF_GIVE(SECCOMP_RET_ERRNO | err),
                                BPF_GIVE(SECCOMP_RET_ALLOW)};
    struct sock_filter one[] = {BPF_LOAD(nr),
                                BPF_UNLESS(nr, 3),
                                BPF_LOAD(args[1]),
                                BPF_UNLESS((unsigned)arg1, 1),
                                BPF_GIVE(SECCOMP_RET_ERRNO | err),
                                BPF_GIVE(SECCOMP_RET_ALLOW)};
    struct sock_fprog program = {.len = arg1 < 0 ? 4 : 6, .filter = arg1 < 0 ? any : one};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -1;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

#define GOOD(cond)                                                                                                     \
    do {                                                                                                               \
        if (!(cond)) return fprintf(stderr, "line %d: %s\n", __LINE__, #cond) > 0 ? 1 : 2;                             \
    } while (0)

/* ---- a healthy machine ---- */

static bool mentions(const char *text, const char *word)
{
    return strstr(text, word) != NULL;
}

static void test_healthy(void)
{
    char dir[] = "probe_test.XXXXXX", error[256] = "", line[512];
    ASSERT(mkdtemp(dir) != NULL);
    struct probe_result p;
    enum status s = probe_run(dir, false, &p, error);
    if (s != STATUS_OK) printf("%s\n", error);
    ASSERT_EQ(s, STATUS_OK);
    ASSERT(p.kernel_major > 6 || (p.kernel_major == 6 && p.kernel_minor >= 1));
    ASSERT(p.rounds >= 3 && p.rounds <= 50);
    ASSERT(p.write_ns > 0 && p.write_sync_ns > 0 && p.write_dsync_ns > 0);
    ASSERT_EQ(p.dsync_cheaper, probe_dsync_cheaper(p.write_sync_ns, p.write_dsync_ns, p.rounds));
    ASSERT(p.dio_align >= 512 || p.dio_offset_align != 0);
    ASSERT(p.dio_align >= p.dio_mem_align && p.dio_align >= p.dio_offset_align);
    ASSERT(p.free_bytes > 0 && p.total_bytes >= p.free_bytes);
    struct rlimit files;
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &files), 0);
    ASSERT_EQ(files.rlim_cur, files.rlim_max);
    ASSERT_EQ(p.nofile, files.rlim_cur);
    probe_line(&p, line, sizeof line);
    printf("%s\n", line);
    ASSERT(mentions(line, p.file_system));
    ASSERT(!mentions(line, "\n"));
    ASSERT_EQ(rmdir(dir), 0); /* empty again */
}

static void test_dsync_needs_proof(void)
{
    ASSERT(probe_dsync_cheaper(1000, 500, 50));
    ASSERT(probe_dsync_cheaper(1000, 1299, PROBE_ROUNDS_TRUSTED)); /* a data sync costs a worker's hop besides */
    ASSERT(!probe_dsync_cheaper(1000, 1300, 50));
    ASSERT(!probe_dsync_cheaper(1000, 1, PROBE_ROUNDS_TRUSTED - 1)); /* a slow disk got too few rounds */
    ASSERT(probe_dsync_cheaper(UINT32_MAX, UINT32_MAX, 50));
}

static void test_leftover_goes(void)
{
    char dir[] = "probe_test.XXXXXX", error[256] = "", path[64];
    ASSERT(mkdtemp(dir) != NULL);
    snprintf(path, sizeof path, "%s/%s", dir, PROBE_FILE);
    int file = open(path, O_CREAT | O_WRONLY, 0600);
    ASSERT(file >= 0);
    close(file);
    struct probe_result p;
    ASSERT_EQ(probe_run(dir, false, &p, error), STATUS_OK);
    ASSERT_EQ(rmdir(dir), 0);
}

/* ---- sentences ---- */

static void test_kernel_versions(void)
{
    static const struct {
        const char *release;
        enum status status;
        const char *word;
    } table[] = {
        {"6.1.0-18-amd64", STATUS_OK, ""},
        {"6.10.3", STATUS_OK, ""},
        {"7.0-rc1", STATUS_OK, ""},
        {"6.0.19", STATUS_UNSUPPORTED, "Linux 6.0.19 is too old: 6.1"},
        {"5.15.0-91-generic", STATUS_UNSUPPORTED, "DEFER_TASKRUN"},
        {"", STATUS_UNSUPPORTED, "no version"},
        {"six", STATUS_UNSUPPORTED, "\"six\""},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct probe_result p = {.kernel_major = 99};
        char error[256] = "";
        ASSERT_EQ(probe_kernel(table[i].release, &p, error), table[i].status);
        ASSERT(mentions(error, table[i].word));
        ASSERT_EQ(p.kernel_major == 99, table[i].status != STATUS_OK); /* untouched on failure */
    }
}

static void test_ring_sentences(void)
{
    static const struct {
        int err, disabled;
        enum status status;
        const char *word;
    } table[] = {
        {ENOSYS, -1, STATUS_UNSUPPORTED, "CONFIG_IO_URING"}, {EPERM, 2, STATUS_UNSUPPORTED, "io_uring_disabled is 2"},
        {EPERM, 1, STATUS_UNSUPPORTED, "io_uring_group"},    {EPERM, 0, STATUS_UNSUPPORTED, "seccomp"},
        {EPERM, -1, STATUS_UNSUPPORTED, "seccomp"},          {EINVAL, 0, STATUS_UNSUPPORTED, "flags"},
        {ENOMEM, 0, STATUS_NO_MEMORY, "memory.max"},         {EMFILE, 0, STATUS_TOO_MANY_FILES, "RLIMIT_NOFILE"},
        {EIO, 0, STATUS_IO_ERROR, "Input/output error"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char error[256] = "";
        ASSERT_EQ(probe_ring_refused(table[i].err, table[i].disabled, error), table[i].status);
        ASSERT(mentions(error, table[i].word));
        ASSERT(strlen(error) < 255); /* whole, not cut */
    }
}

/* ---- the machine refuses ---- */

static int ring_refused(unsigned err, enum status status, const char *word)
{
    if (refuse(SYS_io_uring_setup, -1, err) != 0) return SKIP;
    struct env *e = NULL;
    struct probe_result p;
    char error[256] = "";
    GOOD(probe_run(".", false, &p, error) == status);
    GOOD(mentions(error, word));
    error[0] = 0;
    GOOD(env_uring_create(&(struct env_uring_config){0}, &e, error) == status && e == NULL);
    GOOD(mentions(error, word));
    error[0] = 0;
    GOOD(env_uring_run_shards(&(struct env_uring_config){0}, 2, NULL, NULL, error) == status);
    GOOD(mentions(error, word));
    return 0;
}

static int no_such_call(void)
{
    return ring_refused(ENOSYS, STATUS_UNSUPPORTED, "CONFIG_IO_URING");
}

static int forbidden(void)
{
    return ring_refused(EPERM, STATUS_UNSUPPORTED, probe_ring_disabled() > 0 ? "io_uring_disabled" : "seccomp");
}

static int no_memory(void)
{
    return ring_refused(ENOMEM, STATUS_NO_MEMORY, "memory.max");
}

static void test_ring_refused(void)
{
    expect_child("ENOSYS", no_such_call);
    expect_child("EPERM", forbidden);
    expect_child("ENOMEM", no_memory);
}

static int buffers_refused_child(void)
{
    if (refuse(SYS_io_uring_register, IORING_REGISTER_PBUF_RING, ENOMEM) != 0) return SKIP;
    struct env *e = NULL;
    char error[256] = "";
    GOOD(env_uring_create(&(struct env_uring_config){0}, &e, error) == STATUS_NO_MEMORY);
    GOOD(e == NULL && mentions(error, "receive buffers"));
    return 0;
}

static void test_buffers_refused(void)
{
    expect_child("ENOMEM for the buffer ring", buffers_refused_child);
}

/* ---- going without registered files ---- */

static void no_op_done(struct io_op *op)
{
}

static enum status run(struct env *e, struct io_op *op)
{
    op->done = no_op_done;
    env_submit(e, op);
    for (int i = 0; op->in_flight && i < 10000; i++) env_turn(e, mono_add(e->ops->mono(e), NS_PER_MS));
    return op->in_flight ? STATUS_TIMED_OUT : op->status;
}

static int write_and_read(struct env *e, const char *path)
{
    struct io_op op = {.kind = IO_OPEN, .path = path, .flags = IO_CREATE};
    GOOD(run(e, &op) == STATUS_OK);
    int32_t file = (int32_t)op.result;
    op = (struct io_op){.kind = IO_WRITE, .file = file, .data = "plain", .len = 5, .pos = 0};
    GOOD(run(e, &op) == STATUS_OK && op.result == 5);
    op = (struct io_op){.kind = IO_DATASYNC, .file = file};
    GOOD(run(e, &op) == STATUS_OK);
    char data[8] = "";
    op = (struct io_op){.kind = IO_READ, .file = file, .data = data, .len = 8, .pos = 0};
    GOOD(run(e, &op) == STATUS_OK && op.result == 5 && memcmp(data, "plain", 5) == 0);
    op = (struct io_op){.kind = IO_CLOSE, .file = file};
    GOOD(run(e, &op) == STATUS_OK);
    op = (struct io_op){.kind = IO_UNLINK, .path = path};
    GOOD(run(e, &op) == STATUS_OK);
    return 0;
}

static int plain_files_child(int64_t registration)
{
    if (refuse(SYS_io_uring_register, registration, EINVAL) != 0) return SKIP;
    struct env *e = NULL;
    char error[256] = "";
    GOOD(env_uring_create(&(struct env_uring_config){0}, &e, error) == STATUS_OK);
    int bad = write_and_read(e, "probe_test.plain");
    GOOD(env_uring_counters(e).plain_files == 1);
    env_uring_destroy(e);
    return bad;
}

static int no_table(void)
{
    return plain_files_child(IORING_REGISTER_FILES2);
}

static int no_update(void)
{
    return plain_files_child(IORING_REGISTER_FILES_UPDATE);
}

static void test_plain_files(void)
{
    expect_child("no table of files", no_table);
    expect_child("a table that takes no file", no_update);
}

/* ---- limits and directories ---- */

static int few_descriptors(void)
{
    struct rlimit r = {100, 100};
    struct probe_result p;
    char error[256] = "";
    if (setrlimit(RLIMIT_NOFILE, &r) != 0) return SKIP;
    GOOD(probe_run(".", false, &p, error) == STATUS_TOO_MANY_FILES);
    GOOD(mentions(error, "may open 100 descriptors") && mentions(error, "RLIMIT_NOFILE"));
    return 0;
}

static int soft_descriptors(void)
{
    struct rlimit r;
    struct probe_result p;
    char error[256] = "";
    if (getrlimit(RLIMIT_NOFILE, &r) != 0 || r.rlim_max < 512) return SKIP;
    r.rlim_cur = 64;
    GOOD(setrlimit(RLIMIT_NOFILE, &r) == 0);
    GOOD(probe_run(".", false, &p, error) == STATUS_OK && p.nofile == r.rlim_max);
    return 0;
}

/* An ordinary user with so much locked memory: rings count on newer kernels, on older ones they do not. */
static int with_locked_memory(rlim_t bytes)
{
    struct rlimit r = {bytes, bytes};
    struct probe_result p;
    struct env *e = NULL;
    char error[256] = "", error2[256] = "";
    if (setrlimit(RLIMIT_MEMLOCK, &r) != 0) return SKIP;
    if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) return SKIP;
    enum status s = probe_run("/tmp", false, &p, error);
    GOOD(s == env_uring_create(&(struct env_uring_config){0}, &e, error2));
    if (s == STATUS_OK) {
        env_uring_destroy(e);
        return 0;
    }
    GOOD(bytes == 0 && s == STATUS_NO_MEMORY);
    GOOD(mentions(error, "RLIMIT_MEMLOCK") && mentions(error2, "RLIMIT_MEMLOCK"));
    return 0;
}

static int no_locked_memory(void)
{
    return with_locked_memory(0);
}

static int enough_locked_memory(void)
{
    for (int i = 0; i < 5; i++) { /* what the last one held comes back late */
        int bad = with_locked_memory(256u << 10);
        if (bad != 0) return bad;
    }
    return 0;
}

static void test_limits(void)
{
    expect_child("few descriptors", few_descriptors);
    expect_child("a low soft limit", soft_descriptors);
    expect_child("no locked memory", no_locked_memory);
    expect_child("256 KiB of locked memory", enough_locked_memory);
}

static char foreign[64];

static int unwritable(void)
{
    struct probe_result p;
    char error[256] = "";
    if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) return SKIP;
    GOOD(probe_run(foreign, false, &p, error) == STATUS_PERMISSION);
    GOOD(mentions(error, foreign) && mentions(error, "user that runs the broker"));
    return 0;
}

static int read_only_mount(void)
{
    struct probe_result p;
    char error[256] = "";
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) return SKIP;
    char dir[] = "/tmp/probe_test.XXXXXX";
    if (mkdtemp(dir) == NULL || mount("none", dir, "tmpfs", MS_RDONLY, NULL) != 0) return SKIP;
    GOOD(probe_run(dir, false, &p, error) == STATUS_READ_ONLY);
    GOOD(mentions(error, "mount it writable"));
    GOOD(umount(dir) == 0 && mount("none", dir, "tmpfs", 0, "size=1m") == 0);
    GOOD(probe_run(dir, false, &p, error) == STATUS_NO_SPACE);
    GOOD(mentions(error, "make room"));
    GOOD(umount(dir) == 0 && rmdir(dir) == 0);
    return 0;
}

static void test_directories(void)
{
    struct probe_result p;
    char error[256] = "";
    ASSERT_EQ(probe_run("no/such/directory", false, &p, error), STATUS_NOT_FOUND);
    ASSERT(mentions(error, "data directory no/such/directory") && mentions(error, "create it"));
    ASSERT_EQ(probe_run("/proc/self/exe", false, &p, error), STATUS_NOT_FOUND);
    ASSERT(mentions(error, "is no directory"));
    snprintf(foreign, sizeof foreign, "/tmp/probe_test.XXXXXX");
    ASSERT(mkdtemp(foreign) != NULL);
    ASSERT_EQ(chmod(foreign, 0555), 0);
    expect_child("a directory of somebody else", unwritable);
    ASSERT_EQ(rmdir(foreign), 0);
    expect_child("a read-only file system, a full one", read_only_mount);
}

TEST_MAIN("probe", {"a healthy machine passes, nothing stays behind", test_healthy},
          {"DSYNC is preferred on enough rounds only", test_dsync_needs_proof},
          {"a probe that crashed is cleaned up", test_leftover_goes}, {"old kernels are told so", test_kernel_versions},
          {"why there is no ring, in words", test_ring_sentences},
          {"a ring that is refused is a sentence", test_ring_refused},
          {"buffers that are refused are a sentence", test_buffers_refused},
          {"without registered files all works", test_plain_files},
          {"limits of descriptors and locked memory", test_limits},
          {"directories that cannot be used", test_directories})

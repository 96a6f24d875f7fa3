// SPDX-License-Identifier: Apache-2.0
/* Start-up probe (probe.h).
 *
 * Happy path: kernel version, limits, one ring set up as a shard does and dropped, directory (there, not
 * read-only, enough room), then one file of 1 MiB, unlinked at once, zeroed and synced: its direct I/O alignment, and
 * rounds of write, write + fdatasync, RWF_DSYNC write in turn, so that a disturbance hits all three. Medians are kept.
 *
 * Failure modes: each check ends the probe with one sentence. A slow disk gets fewer rounds (BUDGET_NS). A crash
 * between open and unlink leaves PROBE_FILE, which the next probe removes. */
#include "base/probe.h"
#include "base/clock.h"
#include "base/env_uring_impl.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#define BLOCK      4096u
#define FILE_BYTES (1u << 20)
#define ROUNDS     50u
#define ROUNDS_MIN 3u
#define BUDGET_NS  (80 * NS_PER_MS) /* for the rounds; the rest takes a few ms */
static_assert(ROUNDS * 3 * BLOCK <= FILE_BYTES, "each timed write has a block of its own");

/* ---- kernel and ring ---- */

enum status probe_kernel(const char *release, struct probe_result *ret_probe, char ret_error[256])
{
    unsigned major = 0, minor = 0;
    if (sscanf(release, "%u.%u", &major, &minor) != 2) {
        snprintf(ret_error, 256, "the kernel calls itself \"%.40s\", which is no version; Linux %s or later is needed",
                 release, PROBE_KERNEL_MIN);
        return STATUS_UNSUPPORTED;
    }
    if (major < 6 || (major == 6 && minor < 1)) {
        snprintf(ret_error, 256,
                 "Linux %.40s is too old: %s or later is needed, for io_uring with deferred completions "
                 "(DEFER_TASKRUN); boot a newer kernel",
                 release, PROBE_KERNEL_MIN);
        return STATUS_UNSUPPORTED;
    }
    ret_probe->kernel_major = major;
    ret_probe->kernel_minor = minor;
    return STATUS_OK;
}

int probe_ring_disabled(void)
{
    char text[8] = "";
    int fd = open("/proc/sys/kernel/io_uring_disabled", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -1; /* before 6.6, or no /proc */
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    return n > 0 && text[0] >= '0' && text[0] <= '9' ? text[0] - '0' : -1;
}

enum status probe_ring_refused(int err, int disabled, char ret_error[256])
{
    CHECK(err > 0);
    const char *why = NULL;
    enum status s = STATUS_UNSUPPORTED;
    if (err == ENOSYS) {
        why = "this kernel or sandbox has none; use Linux " PROBE_KERNEL_MIN " or later with CONFIG_IO_URING";
    } else if (err == EPERM && disabled == 2) {
        why = "sysctl kernel.io_uring_disabled is 2; set it to 0";
    } else if (err == EPERM && disabled == 1) {
        why = "sysctl kernel.io_uring_disabled is 1 and we are not in its group; set it to 0, or put our group into "
              "kernel.io_uring_group";
    } else if (err == EPERM || err == EACCES) {
        why =
            "a seccomp profile or security module forbids it; in a container allow io_uring_setup, io_uring_enter and "
            "io_uring_register";
    } else if (err == EINVAL) {
        why = "the kernel does not know our flags; use Linux " PROBE_KERNEL_MIN " or later";
    } else if (err == ENOMEM) {
        why = "raise the limit of locked memory, 256 KiB per shard, for all processes of this user together "
              "(RLIMIT_MEMLOCK: ulimit -l, LimitMEMLOCK=), or of memory (cgroup memory.max)";
        s = STATUS_NO_MEMORY;
    } else if (err == EMFILE || err == ENFILE) {
        why = "too few descriptors; raise RLIMIT_NOFILE (ulimit -n, LimitNOFILE=)";
        s = STATUS_TOO_MANY_FILES;
    } else {
        s = status_from_errno(err);
    }
    snprintf(ret_error, 256, "io_uring cannot be set up: %s%s%s", strerror(err), why != NULL ? ": " : "",
             why != NULL ? why : "");
    return s;
}

/* One of the size that a shard makes: from about 6.14 on rings count as locked memory (seen on 6.18: 170 KiB for one),
 * and the charge of a ring that was closed, be it by a process that died, goes only some ms later. */
static enum status probe_ring(char ret_error[256])
{
    for (int tries = 0;; tries++) {
        struct io_uring_params p = {.flags =
                                        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
                                    .cq_entries = URING_CQ_ENTRIES};
        long ring = syscall(SYS_io_uring_setup, URING_SQ_ENTRIES, &p);
        if (ring >= 0) {
            close((int)ring);
            return STATUS_OK;
        }
        int err = errno;
        if (err != ENOMEM || tries == URING_SETUP_TRIES)
            return probe_ring_refused(err, probe_ring_disabled(), ret_error);
        struct timespec pause = {.tv_nsec = URING_SETUP_PAUSE_NS};
        nanosleep(&pause, NULL);
    }
}

/* ---- limits ---- */

/* Soft to hard; a security module may forbid even that: we go on with what is. */
static rlim_t raise_limit(__rlimit_resource_t which)
{
    struct rlimit limit = {0};
    CHECK(getrlimit(which, &limit) == 0);
    rlim_t soft = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    return setrlimit(which, &limit) == 0 ? limit.rlim_max : soft;
}

static enum status probe_limits(struct probe_result *r, char ret_error[256])
{
    rlim_t files = raise_limit(RLIMIT_NOFILE), locked = raise_limit(RLIMIT_MEMLOCK);
    if (files < PROBE_FILES_MIN) {
        snprintf(ret_error, 256,
                 "the process may open %llu descriptors (RLIMIT_NOFILE) and needs at least %u; raise the hard limit "
                 "(ulimit -n, LimitNOFILE=, limits.conf)",
                 (unsigned long long)files, PROBE_FILES_MIN);
        return STATUS_TOO_MANY_FILES;
    }
    r->nofile = files;
    r->memlock_bytes = locked == RLIM_INFINITY ? UINT64_MAX : locked;
    return STATUS_OK;
}

/* ---- directory ---- */

static enum status dir_failed(const char *dir, int err, const char *what, char ret_error[256])
{
    enum status s = status_from_errno(err);
    const char *advice = s == STATUS_READ_ONLY    ? "; mount it writable"
                         : s == STATUS_PERMISSION ? "; give it to the user that runs the broker"
                         : s == STATUS_NOT_FOUND  ? "; create it or correct the configuration"
                         : s == STATUS_NO_SPACE   ? "; make room"
                                                  : "";
    snprintf(ret_error, 256, "data directory %.100s: %s: %s%s", dir, what, strerror(err), advice);
    return s;
}

static const struct {
    uint32_t magic;
    const char *name;
} file_systems[] = {
    {0xef53, "ext4"},         {0x58465342, "xfs"},  {0x9123683e, "btrfs"}, {0x01021994, "tmpfs"},
    {0x794c7630, "overlay"},  {0x6969, "nfs"},      {0xf2f52010, "f2fs"},  {0x2fc12fc1, "zfs"},
    {0xca451a4e, "bcachefs"}, {0x65735546, "fuse"}, {0xff534d42, "cifs"},  {0x01021997, "9p"},
    {0x5346544e, "ntfs"},
};

static void name_file_system(uint32_t magic, char name[16])
{
    for (size_t i = 0; i < sizeof file_systems / sizeof file_systems[0]; i++) {
        if (file_systems[i].magic != magic) continue;
        snprintf(name, 16, "%s", file_systems[i].name);
        return;
    }
    snprintf(name, 16, "0x%x", magic);
}

static enum status probe_dir(const char *dir, bool in_use, struct probe_result *r, char ret_error[256])
{
    struct statfs fs;
    struct statvfs flags;
    struct stat st;
    if (stat(dir, &st) != 0) return dir_failed(dir, errno, "cannot be looked at", ret_error);
    if (!S_ISDIR(st.st_mode)) return dir_failed(dir, ENOTDIR, "is no directory", ret_error);
    if (statfs(dir, &fs) != 0 || statvfs(dir, &flags) != 0)
        return dir_failed(dir, errno, "its file system cannot be looked at", ret_error);
    name_file_system((uint32_t)fs.f_type, r->file_system);
    r->free_bytes = (uint64_t)flags.f_bavail * flags.f_frsize;
    r->total_bytes = (uint64_t)flags.f_blocks * flags.f_frsize;
    if (flags.f_flag & ST_RDONLY) return dir_failed(dir, EROFS, "cannot be written", ret_error);
    if (in_use || r->free_bytes >= PROBE_SPACE_MIN) return STATUS_OK;
    snprintf(ret_error, 256,
             "data directory %.100s: %llu KiB are free on its file system and %llu KiB are needed; make "
             "room",
             dir, (unsigned long long)r->free_bytes >> 10, PROBE_SPACE_MIN >> 10);
    return STATUS_NO_SPACE;
}

/* Its own open, so that nothing stays behind: the name is gone before the first byte is written. */
static enum status open_file(const char *dir, int *ret_dir, int *ret_file, char ret_error[256])
{
    int d = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (d < 0) return dir_failed(dir, errno, "cannot be opened", ret_error);
    int file = -1;
    for (int tries = 0; tries < 100 && file < 0; tries++) { /* another probe may hold the name for some us */
        (void)unlinkat(d, PROBE_FILE, 0);
        file = openat(d, PROBE_FILE, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (file < 0 && errno != EEXIST) break;
    }
    if (file < 0) {
        enum status s = dir_failed(dir, errno, "no file can be made in it", ret_error);
        close(d);
        return s;
    }
    (void)unlinkat(d, PROBE_FILE, 0);
    *ret_dir = d;
    *ret_file = file;
    return STATUS_OK;
}

static void probe_alignment(int file, struct probe_result *r)
{
    struct statx st = {0};
    r->dio_mem_align = r->dio_offset_align = 0;
    if (statx(file, "", AT_EMPTY_PATH, STATX_DIOALIGN, &st) == 0 && (st.stx_mask & STATX_DIOALIGN) != 0 &&
        st.stx_dio_offset_align != 0) {
        r->dio_mem_align = st.stx_dio_mem_align;
        r->dio_offset_align = st.stx_dio_offset_align;
    }
    r->dio_align = r->dio_mem_align > r->dio_offset_align ? r->dio_mem_align : r->dio_offset_align;
    if (r->dio_align == 0) r->dio_align = 4096;
}

/* ---- the cost of a write ---- */

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * NS_PER_S + t.tv_nsec;
}

enum way { WAY_WRITE, WAY_SYNC, WAY_DSYNC, WAYS };

/* 0, or errno. */
static int timed_write(int file, enum way way, const void *block, off_t pos, uint32_t *ret_ns)
{
    struct iovec iov = {(void *)(uintptr_t)block, BLOCK};
    int64_t begin = now_ns();
    ssize_t n = pwritev2(file, &iov, 1, pos, way == WAY_DSYNC ? RWF_DSYNC : 0);
    if (n >= 0 && n != BLOCK) return EIO;
    if (n < 0 || (way == WAY_SYNC && fdatasync(file) != 0)) return errno;
    int64_t took = now_ns() - begin;
    *ret_ns = took < UINT32_MAX ? (uint32_t)took : UINT32_MAX;
    return 0;
}

static int by_number(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static uint32_t median(uint32_t *values, uint32_t count)
{
    qsort(values, count, sizeof *values, by_number);
    return values[count / 2];
}

/* 0, or errno. */
static int zero_file(int file)
{
    static const uint8_t zeros[64u << 10] __attribute__((aligned(4096)));
    for (off_t pos = 0; pos < FILE_BYTES; pos += (off_t)sizeof zeros) {
        ssize_t n = pwrite(file, zeros, sizeof zeros, pos);
        if (n >= 0 && n != sizeof zeros) return ENOSPC;
        if (n < 0) return errno;
    }
    return fsync(file) == 0 ? 0 : errno;
}

/* On a ring a data sync is a hop to a kernel worker (20-30 us of CPU), which these rounds do not see: it must be
 * clearly cheaper to be chosen. The median of a handful says neither. */
bool probe_dsync_cheaper(uint32_t write_sync_ns, uint32_t write_dsync_ns, uint32_t rounds)
{
    return rounds >= PROBE_ROUNDS_TRUSTED && write_dsync_ns < (uint64_t)write_sync_ns * 13 / 10;
}

/* 0, or errno. */
static int probe_flush(int file, struct probe_result *r)
{
    uint8_t block[BLOCK] __attribute__((aligned(4096)));
    uint32_t ns[WAYS][ROUNDS], round = 0;
    memset(block, 0x5a, sizeof block);
    int err = zero_file(file);
    if (err != 0) return err;
    if (r->dio_offset_align != 0) { /* as the journal does it; refused: through the page cache */
        int flags = fcntl(file, F_GETFL);
        if (flags >= 0) (void)fcntl(file, F_SETFL, flags | O_DIRECT);
    }
    int64_t end = now_ns() + BUDGET_NS;
    for (; round < ROUNDS && (round < ROUNDS_MIN || now_ns() < end); round++) {
        for (enum way way = 0; way < WAYS && err == 0; way++)
            err = timed_write(file, way, block, (off_t)(round * WAYS + way) * BLOCK, &ns[way][round]);
        if (err != 0) return err;
    }
    r->rounds = round;
    r->write_ns = median(ns[WAY_WRITE], round);
    r->write_sync_ns = median(ns[WAY_SYNC], round);
    r->write_dsync_ns = median(ns[WAY_DSYNC], round);
    r->dsync_cheaper = probe_dsync_cheaper(r->write_sync_ns, r->write_dsync_ns, round);
    return 0;
}

static enum status probe_disk(const char *dir, bool in_use, struct probe_result *r, char ret_error[256])
{
    int d = -1, file = -1;
    enum status s = open_file(dir, &d, &file, ret_error);
    r->dio_align = 4096;
    if (s == STATUS_NO_SPACE && in_use) return STATUS_OK;
    if (s != STATUS_OK) return s;
    probe_alignment(file, r);
    if (r->dio_align > 4096) {
        snprintf(ret_error, 256,
                 "data directory %.100s: direct I/O there asks for multiples of %u bytes, more than the 4096 that we "
                 "write in; use another file system or block size",
                 dir, r->dio_align);
        s = STATUS_UNSUPPORTED;
    } else {
        int err = probe_flush(file, r);
        if (err != 0 && !((err == ENOSPC || err == EDQUOT) && in_use))
            s = dir_failed(dir, err, "a test write to it failed", ret_error);
    }
    close(file);
    close(d);
    return s;
}

/* ---- all ---- */

enum status probe_run(const char *dir, bool in_use, struct probe_result *ret_probe, char ret_error[256])
{
    struct probe_result r = {0};
    struct utsname name;
    CHECK(uname(&name) == 0);
    enum status s = probe_kernel(name.release, &r, ret_error);
    if (s == STATUS_OK) s = probe_limits(&r, ret_error); /* first: the ring may need the higher limit */
    if (s == STATUS_OK) s = probe_ring(ret_error);
    if (s == STATUS_OK) s = probe_dir(dir, in_use, &r, ret_error);
    if (s == STATUS_OK) s = probe_disk(dir, in_use, &r, ret_error);
    if (s == STATUS_OK) *ret_probe = r;
    return s;
}

void probe_line(const struct probe_result *p, char *line, size_t size)
{
    char locked[32] = "unlimited", direct[48] = "no direct I/O";
    if (p->memlock_bytes != UINT64_MAX)
        snprintf(locked, sizeof locked, "%llu KiB", (unsigned long long)p->memlock_bytes >> 10);
    if (p->dio_offset_align != 0)
        snprintf(direct, sizeof direct, "direct I/O aligned to %u/%u", p->dio_mem_align, p->dio_offset_align);
    snprintf(line, size,
             "Linux %u.%u, %s, %s, 4 KiB write %u us, + fdatasync %u us, DSYNC %u us (p50 of %u): %s; %llu of %llu MiB "
             "free, %llu descriptors, locked memory %s",
             p->kernel_major, p->kernel_minor, p->file_system, direct, p->write_ns / 1000, p->write_sync_ns / 1000,
             p->write_dsync_ns / 1000, p->rounds, p->dsync_cheaper ? "DSYNC is cheaper" : "fdatasync is cheaper",
             (unsigned long long)p->free_bytes >> 20, (unsigned long long)p->total_bytes >> 20,
             (unsigned long long)p->nofile, locked);
}

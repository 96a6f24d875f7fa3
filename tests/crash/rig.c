// SPDX-License-Identifier: Apache-2.0
/* Machinery of the crash tester; see rig.h.
 *
 * Path: rig_enter -> rig_open (FUSE server, loop device) -> rig_mkfs once, or many times: bytes changed underneath ->
 * rig_forget_cache -> rig_mount -> program -> rig_unmount -> ... -> rig_close -> rig_leave.
 * Failure: what the machine should be able to do ends the run (die); what a crash state may cause (no mount) is
 * returned. */
#include "rig.h"
#include "util.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* FS_IOC_SHUTDOWN of ext4 and XFS; the flag says: do not even write the log. */
#define SHUTDOWN_IOCTL       _IOR('X', 125, uint32_t)
#define SHUTDOWN_NO_LOGFLUSH 2u

static const struct {
    const char *name, *type, *options;
    uint64_t size_bytes;
    const char *mkfs[16]; /* the device is appended */
} kinds[] = {
    [RIG_EXT4] = {"ext4",
                  "ext4",
                  "",
                  128ull << 20,
                  {"mkfs.ext4", "-q", "-F", "-b", "4096", "-J", "size=4", "-m", "0", "-E",
                   "nodiscard,lazy_itable_init=0,lazy_journal_init=0"}},
    [RIG_EXT4_NOJOURNAL] = {"ext4-nojournal",
                            "ext4",
                            "",
                            128ull << 20,
                            {"mkfs.ext4", "-q", "-F", "-b", "4096", "-O", "^has_journal,^metadata_csum,^uninit_bg",
                             "-m", "0", "-E", "nodiscard,lazy_itable_init=0"}},
    /* 300 MiB with a 64 MiB log is the least that mkfs.xfs makes without tricks. nouuid: two workers mount copies. */
    [RIG_XFS] = {"xfs", "xfs", "nouuid", 300ull << 20, {"mkfs.xfs", "-q", "-f", "-K", "-d", "agcount=2"}},
};

static char scratch[64];
static int entered_pid, outer_namespace = -1;

bool rig_fs_parse(const char *name, enum rig_fs *ret_fs)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(kinds[i].name, name) != 0) continue;
        *ret_fs = (enum rig_fs)i;
        return true;
    }
    return false;
}

uint64_t rig_fs_size_bytes(enum rig_fs fs)
{
    return kinds[fs].size_bytes;
}

static bool program_found(const char *name)
{
    char path[128];
    const char *dirs[] = {"/sbin", "/usr/sbin", "/bin", "/usr/bin"};
    for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", dirs[i], name);
        if (access(path, X_OK) == 0) return true;
    }
    return false;
}

const char *rig_missing(enum rig_fs fs)
{
    if (geteuid() != 0) return "needs root (mounts and loop devices)";
    if (access("/dev/fuse", R_OK | W_OK) != 0) return "needs /dev/fuse";
    if (access("/dev/loop-control", R_OK | W_OK) != 0) return "needs /dev/loop-control (loop devices)";
    if (!program_found(kinds[fs].mkfs[0])) return "needs mkfs of the file system (e2fsprogs, xfsprogs)";
    if (fs == RIG_EXT4_NOJOURNAL && !program_found("e2fsck")) return "needs e2fsck (e2fsprogs)";
    pid_t pid = fork(); /* a container's root may lack the right to mount */
    if (pid == 0) _exit(unshare(CLONE_NEWNS) == 0 ? 0 : 1);
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) < 0 || status != 0) return "needs the right to mount (CAP_SYS_ADMIN)";
    return NULL;
}

void rig_enter(void)
{
    char path[256];
    snprintf(path, sizeof(path), "%s:/usr/sbin:/sbin", getenv("PATH") ? getenv("PATH") : "/usr/bin:/bin");
    setenv("PATH", path, 1);
    snprintf(scratch, sizeof(scratch), "/tmp/crashstates.XXXXXX");
    if (!mkdtemp(scratch)) die_errno("creating a directory in /tmp");
    outer_namespace = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
    if (outer_namespace < 0 || unshare(CLONE_NEWNS) < 0) die_errno("entering a mount namespace");
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) die_errno("making mounts private");
    if (mount("leat-crash", scratch, "tmpfs", 0, "mode=0700") < 0) die_errno("mounting tmpfs");
    entered_pid = getpid();
}

void rig_leave(void)
{
    if (entered_pid != getpid()) return;
    entered_pid = 0;
    if (umount2(scratch, MNT_DETACH) < 0) perror("crashstates: unmounting the scratch directory");
    if (rmdir(scratch) < 0) perror("crashstates: removing the scratch directory");
}

const char *rig_scratch(void)
{
    return scratch;
}

static int device_claim(int file, char *ret_device, size_t size)
{
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    if (control < 0) die_errno("opening /dev/loop-control");
    struct loop_config config = {.fd = (uint32_t)file, .block_size = VDISK_SECTOR};
    config.info.lo_flags = LO_FLAGS_DIRECT_IO | LO_FLAGS_AUTOCLEAR;
    for (int tries = 0; tries < 100; tries++) {
        int number = ioctl(control, LOOP_CTL_GET_FREE);
        if (number < 0) die_errno("no free loop device");
        snprintf(ret_device, size, "/dev/loop%d", number);
        int fd = open(ret_device, O_RDWR | O_CLOEXEC);
        if (fd >= 0 && ioctl(fd, LOOP_CONFIGURE, &config) == 0) {
            close(control);
            return fd;
        }
        int error = errno;
        if (fd >= 0) close(fd);
        if (error != EBUSY && error != ENOENT && error != ENXIO) die("%s: %s", ret_device, strerror(error));
        usleep(10000); /* another process was quicker */
    }
    die("no loop device to be had: others take them as fast as we find them");
}

/* Without direct I/O the loop driver's own cache would hide order and flushes. */
static void check_direct_io(int loop_fd, const char *device)
{
    struct loop_info64 info;
    if (ioctl(loop_fd, LOOP_GET_STATUS64, &info) < 0) die_errno("LOOP_GET_STATUS64");
    if (!(info.lo_flags & LO_FLAGS_DIRECT_IO)) die("%s did not switch to direct I/O", device);
}

void rig_open(struct rig *r, const char *name, enum rig_fs fs, struct vdisk *disk, struct blklog *log, int mark_fd,
              int close_fd)
{
    *r = (struct rig){.fs = fs, .disk = disk, .loop_fd = -1};
    snprintf(r->fuse_dir, sizeof(r->fuse_dir), "%s/%s.fuse", scratch, name);
    snprintf(r->mount_dir, sizeof(r->mount_dir), "%s/%s.mnt", scratch, name);
    if (mkdir(r->fuse_dir, 0700) < 0 || mkdir(r->mount_dir, 0700) < 0) die_errno("mkdir");
    r->server = fuse_disk_start(disk, log, r->fuse_dir, outer_namespace, mark_fd, close_fd);
    char image[160];
    snprintf(image, sizeof(image), "%s/disk.img", r->fuse_dir);
    int file = open(image, O_RDWR | O_CLOEXEC);
    if (file < 0) die_errno("opening the FUSE file");
    r->loop_fd = device_claim(file, r->device, sizeof(r->device));
    close(file);
    check_direct_io(r->loop_fd, r->device);
}

void rig_close(struct rig *r)
{
    if (r->mounted) rig_unmount(r, true);
    if (r->loop_fd >= 0) close(r->loop_fd); /* autoclear detaches */
    r->loop_fd = -1;
    if (!r->server) return;
    int tries = 0;
    while (umount2(r->fuse_dir, 0) < 0 && errno == EBUSY && tries++ < 200) usleep(5000); /* the detach is not instant */
    if (tries > 200) umount2(r->fuse_dir, MNT_DETACH);
    fuse_disk_stop(r->server);
    r->server = NULL;
    rmdir(r->fuse_dir);
    rmdir(r->mount_dir);
}

static int run_quiet(char *const argv[])
{
    int null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (null_fd < 0) die_errno("opening /dev/null");
    int code = rig_wait(rig_spawn(argv, null_fd, null_fd), 60000, NULL);
    close(null_fd);
    return code;
}

void rig_mkfs(struct rig *r)
{
    char *argv[20];
    int n = 0;
    for (; kinds[r->fs].mkfs[n]; n++) argv[n] = (char *)(uintptr_t)kinds[r->fs].mkfs[n];
    argv[n++] = r->device;
    argv[n] = NULL;
    int code = rig_wait(rig_spawn(argv, -1, -1), 60000, NULL);
    if (code != 0)
        die("%s on a disk of %llu bytes ended with %d", argv[0], (unsigned long long)r->disk->size_bytes, code);
    rig_forget_cache(r);
}

void rig_forget_cache(struct rig *r)
{
    if (ioctl(r->loop_fd, BLKFLSBUF) < 0) die_errno("BLKFLSBUF");
}

bool rig_repair(struct rig *r)
{
    if (r->fs != RIG_EXT4_NOJOURNAL) return true;
    char *argv[] = {"e2fsck", "-f", "-y", r->device, NULL};
    int code = run_quiet(argv);
    if (code == 4) code = run_quiet(argv); /* errors left: a second pass often mends what the first uncovered */
    return code >= 0 && code < 4;
}

bool rig_mount(struct rig *r)
{
    r->mounted = mount(r->device, r->mount_dir, kinds[r->fs].type, MS_NOATIME, kinds[r->fs].options) == 0;
    return r->mounted;
}

void rig_unmount(struct rig *r, bool discard)
{
    if (discard) { /* nobody will look at these bytes again: save the write-back */
        int fd = open(r->mount_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        uint32_t flags = SHUTDOWN_NO_LOGFLUSH;
        if (fd >= 0) ioctl(fd, SHUTDOWN_IOCTL, &flags);
        if (fd >= 0) close(fd);
    }
    int tries = 0;
    while (umount2(r->mount_dir, 0) < 0) {
        if (errno != EBUSY || tries++ == 1000) die("unmounting %s: %s", r->mount_dir, strerror(errno));
        usleep(2000);
    }
    r->mounted = false;
}

int rig_spawn(char *const argv[], int out_fd, int err_fd)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none;
    sigemptyset(&none);
    posix_spawn_file_actions_init(&actions);
    if (out_fd >= 0) posix_spawn_file_actions_adddup2(&actions, out_fd, 1);
    if (err_fd >= 0) posix_spawn_file_actions_adddup2(&actions, err_fd, 2);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
    pid_t pid;
    int error = posix_spawnp(&pid, argv[0], &actions, &attr, argv, environ);
    if (error) die("starting %s: %s", argv[0], strerror(error));
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attr);
    return pid;
}

int rig_wait(int pid, int timeout_ms, const volatile bool *stop)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd < 0) die_errno("pidfd_open");
    struct pollfd p = {.fd = fd, .events = POLLIN};
    bool ended = false;
    while (!ended && timeout_ms > 0 && !(stop && *stop)) {
        int slice = timeout_ms < 200 ? timeout_ms : 200; /* ms: how late a stop is seen */
        ended = poll(&p, 1, slice) > 0;
        timeout_ms -= slice;
    }
    close(fd);
    if (!ended) kill(pid, SIGKILL);
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR) die_errno("waitpid");
    if (!ended) return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

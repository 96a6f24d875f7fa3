// SPDX-License-Identifier: Apache-2.0
/* The machinery around the memory disk: private mount namespace, loop device, mkfs, mount, child programs.
 *
 * Nothing leaks: mounts live in a namespace of our own and go with its last process, the loop device is detached by the
 * kernel at its last close (autoclear), servers die with their parent. */
#pragma once
#include "fuse_disk.h"
#include <stdbool.h>
#include <stdint.h>

enum rig_fs { RIG_EXT4, RIG_EXT4_NOJOURNAL, RIG_XFS };

bool rig_fs_parse(const char *name, enum rig_fs *ret_fs);
uint64_t rig_fs_size_bytes(enum rig_fs fs); /* default disk size: the smallest that mkfs takes and a store fits in */

/* NULL if root, /dev/fuse, loop devices and the mkfs program are here; else the sentence that says what is missing. */
const char *rig_missing(enum rig_fs fs);

/* Private mount namespace with a tmpfs on a fresh directory, for all rigs of this process and its children. */
void rig_enter(void);
void rig_leave(void);
const char *rig_scratch(void); /* that directory */

struct rig {
    enum rig_fs fs;
    struct vdisk *disk;
    struct fuse_disk *server;
    char fuse_dir[128], mount_dir[128], device[32];
    int loop_fd; /* holds the loop device; -1: none */
    bool mounted;
};

/* Serves `disk` and puts a loop device over it. name: unique among the rigs of one rig_enter. */
void rig_open(struct rig *r, const char *name, enum rig_fs fs, struct vdisk *disk, struct blklog *log, int mark_fd,
              int close_fd);
void rig_close(struct rig *r); /* unmounts what is mounted; may be called on a half-open rig */

void rig_mkfs(struct rig *r);
/* Before a mount of changed bytes: the kernel forgets what it cached of the device. */
void rig_forget_cache(struct rig *r);
/* What an administrator's boot does first; only ext4 without journal needs it. False: not repairable. */
bool rig_repair(struct rig *r);
bool rig_mount(struct rig *r); /* false: the kernel refused (errno) */
void rig_unmount(struct rig *r, bool discard);

/* Runs a program. out_fd, err_fd: its stdout, stderr (-1: inherited). */
int rig_spawn(char *const argv[], int out_fd, int err_fd); /* pid */
/* Exit code; 128 + signal; -1: killed because it ran longer than timeout_ms or because *stop was set. */
int rig_wait(int pid, int timeout_ms, const volatile bool *stop);

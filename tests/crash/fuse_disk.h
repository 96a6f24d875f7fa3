// SPDX-License-Identifier: Apache-2.0
/* A FUSE file system with one file, disk.img, that shows a struct vdisk; optionally it logs what it is asked to do.
 *
 * Served by a process of its own, which dies with its parent: if the driver is killed, the kernel aborts the mount and
 * whoever waits for the disk gets EIO instead of hanging for ever. */
#pragma once
#include "blklog.h"
#include "vdisk.h"
#include <stdbool.h>
#include <sys/types.h>

struct fuse_disk {
    struct vdisk *disk;
    struct blklog *log;       /* NULL: never logs */
    int mark_fd;              /* read end of the pipe the workload prints its marks on; -1: none */
    int pid;                  /* of the server */
    volatile bool logging;    /* set by the driver while no I/O is under way */
    volatile bool marks_done; /* the server saw the end of the mark pipe */
};

/* Mounts at `dir` and starts the server, which then moves to the mount namespace `outer_namespace` (a descriptor):
 * would it be killed as the last process of ours, its exit would unmount what only it can serve, and hang for ever.
 * close_fd (or -1) is closed there. In shared memory; lives as long as we do. */
struct fuse_disk *fuse_disk_start(struct vdisk *disk, struct blklog *log, const char *dir, int outer_namespace,
                                  int mark_fd, int close_fd);
/* After the unmount: waits for the server's end, kills it if it does not come. */
void fuse_disk_stop(struct fuse_disk *f);

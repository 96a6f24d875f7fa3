// SPDX-License-Identifier: Apache-2.0
/* One-page files (4 KiB): read whole, or written (and synced) whole. Counts as one pending op of the task that waits.
 * The name's durability (IO_SYNC_DIR) is the caller's. */
#pragma once
#include "base/env.h"

struct smallfile {
    struct task task;
    struct env *env;
    struct task *parent;
    const char *path;
    uint8_t *page; /* BLOCK_BYTES, 4 KiB aligned; borrowed */
    int32_t handle;
    bool writing, sync;
    struct io_op op;
    enum status status; /* valid when the parent runs again; reading a short file: DAMAGED */
};

void smallfile_read(struct env *e, struct smallfile *f, struct task *parent, const char *path, uint8_t *page);
/* sync: durable when the parent runs again; else the caller sees to it. */
void smallfile_write(struct env *e, struct smallfile *f, struct task *parent, const char *path, uint8_t *page,
                     bool sync);

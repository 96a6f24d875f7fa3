// SPDX-License-Identifier: Apache-2.0
/* A read or write of a file carried through to its end: short results are continued (rule D14: the rest of a short
 * write is done before anybody can submit a flush), errors are never retried. Embedded in its owner; wakes the owner's
 * task like an io_op with a task does. */
#pragma once
#include "base/env.h"

struct transfer {
    struct io_op op;
    struct env *env;
    struct task *task;
    uint8_t *data;
    uint64_t pos;
    uint32_t len;
    uint32_t asked;     /* where the op in flight begins */
    uint32_t moved;     /* bytes done; a read may end below len at the end of the file with STATUS_OK */
    enum status status; /* valid when complete */
};

/* kind: IO_READ or IO_WRITE; len > 0. For IO_DIRECT files data, len and pos are aligned by the caller. */
void transfer_start(struct env *e, struct transfer *t, struct task *task, enum io_kind kind, int32_t file, void *data,
                    uint32_t len, uint64_t pos, uint32_t flags);

// SPDX-License-Identifier: Apache-2.0
/* A small world for tests of the simulator: one seed, machines with an idle process, ops made from outside and awaited.
 */
#pragma once
#include "base/sim/sim.h"
#include "tests/unit/check_main.h"
#include <stdlib.h>
#include <string.h>

static inline void idle_start(struct env *e, void *arg)
{
    (void)e, (void)arg;
}

static inline void nothing_done(struct io_op *op)
{
    (void)op;
}

/* Submits and runs the world until the op is complete. */
static inline enum status await(struct sim *s, struct env *e, struct io_op *op)
{
    op->done = nothing_done;
    env_submit(e, op);
    while (op->in_flight && sim_step(s)) {
    }
    CU_ASSERT_FALSE_FATAL(op->in_flight);
    return op->status;
}

static inline int32_t open_file(struct sim *s, struct env *e, const char *path, uint32_t flags)
{
    struct io_op op = {.kind = IO_OPEN, .path = path, .flags = flags};
    enum status st = await(s, e, &op);
    CU_ASSERT_EQUAL_FATAL(st, STATUS_OK);
    return (int32_t)op.result;
}

static inline enum status file_op(struct sim *s, struct env *e, enum io_kind kind, int32_t file)
{
    return await(s, e, &(struct io_op){.kind = kind, .file = file});
}

static inline enum status path_op(struct sim *s, struct env *e, enum io_kind kind, const char *path, const char *path2)
{
    return await(s, e, &(struct io_op){.kind = kind, .path = path, .path2 = path2});
}

/* Writes len bytes of one value; the memory is 4 KiB aligned. */
static inline enum status write_bytes(struct sim *s, struct env *e, int32_t file, uint64_t pos, uint8_t value,
                                      uint32_t len, uint32_t flags)
{
    void *p = aligned_alloc(4096, (len + 4095) / 4096 * 4096);
    memset(p, value, len);
    struct io_op op = {.kind = IO_WRITE, .file = file, .data = p, .pos = pos, .len = len, .flags = flags};
    enum status st = await(s, e, &op);
    free(p);
    if (st == STATUS_OK && op.result != (int64_t)len) return STATUS_TRUNCATED_INPUT; /* short */
    return st;
}

/* How many of the bytes [0, len) of a file at rest have that value; -1: it is not there or shorter. */
static inline int64_t count_bytes(struct sim_machine *m, const char *path, uint32_t len, uint8_t value)
{
    uint8_t *p = malloc(len);
    int64_t count = 0;
    if (sim_file_read(m, path, 0, p, len) == STATUS_OK)
        for (uint32_t n = 0; n < len; n++) count += p[n] == value;
    else
        count = -1;
    free(p);
    return count;
}

// SPDX-License-Identifier: Apache-2.0
/* One real env in a temporary directory, turned by hand: for the tests of env_uring. */
#pragma once
#include "base/env_uring.h"
#include "tests/unit/check_main.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct env *env;
static char dir[64];

static inline void set_up(const struct env_uring_config *c)
{
    char error[256];
    ASSERT_EQ(env_uring_create(c, &env, error), STATUS_OK);
    snprintf(dir, sizeof dir, "env_uring_test.XXXXXX");
    ASSERT(mkdtemp(dir) != NULL);
}

static inline void tear_down(void)
{
    env_uring_destroy(env);
    char command[96];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    ASSERT_EQ(system(command), 0);
}

static int dones;

static inline void count_done(struct io_op *op)
{
    dones++;
}

static inline struct mono_ns in_ms(int64_t ms)
{
    return mono_add(env->ops->mono(env), ms * NS_PER_MS);
}

/* A turn runs completions first and waits last, so a short wait: the one that we look for may have run already. */
static inline void turn(void)
{
    env_turn(env, in_ms(1));
}

/* Turns until the op has ended; 10 s is for ever. */
static inline void finish(struct io_op *op)
{
    struct mono_ns limit = in_ms(10000);
    while (op->in_flight) {
        turn();
        ASSERT(env->now.v < limit.v);
    }
}

static inline enum status run(struct io_op *op)
{
    op->done = count_done;
    env_submit(env, op);
    finish(op);
    return op->status;
}

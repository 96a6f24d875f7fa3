// SPDX-License-Identifier: Apache-2.0
/* A third implementation of env, for tests of the half that all share: a clock that the test sets, a submit that only
 * remembers, a wait that never sleeps and says how long it would have. One world per process: w. */
#pragma once
#include "base/env.h"
#include "tests/unit/check_main.h"
#include <string.h>

#define BUDGET   4096 /* of each step of a turn: env.c */
#define MANY     (BUDGET + 904)
#define FOR_EVER ((struct mono_ns){INT64_MAX})

struct world {
    struct env env;
    int64_t clock;
    unsigned clock_reads, waits, submits, cancels, events;
    int64_t waited_until;
    bool complete_at_once; /* submit completes the op before it returns */
    struct msg *posted;
    uint32_t posted_to;
    void (*on_wait)(void);
    int log[2 * MANY];
};

static struct world w;

static inline void note(int what)
{
    ASSERT(w.events < 2 * MANY);
    w.log[w.events++] = what;
}

static inline void fake_submit(struct env *e, struct io_op *op)
{
    w.submits++;
    if (w.complete_at_once) env_complete(e, op, STATUS_OK, 0, false);
}

static inline void fake_cancel(struct env *e, struct io_op *op)
{
    w.cancels++;
}

static inline struct mono_ns fake_mono(struct env *e)
{
    w.clock_reads++;
    return (struct mono_ns){w.clock};
}

static inline struct wall_ms fake_wall(struct env *e)
{
    return (struct wall_ms){w.clock / NS_PER_MS};
}

static inline uint64_t fake_random(struct env *e)
{
    return 4;
}

static inline void fake_post(struct env *e, uint32_t shard, struct msg *m)
{
    w.posted = m;
    w.posted_to = shard;
}

static inline enum status fake_listen(struct env *e, const char *host, uint16_t port, bool shared, int32_t *ret_sock,
                                      uint16_t *ret_port)
{
    return STATUS_ADDRESS_IN_USE;
}

static inline void fake_wait(struct env *e, struct mono_ns deadline)
{
    w.waits++;
    w.waited_until = deadline.v;
    if (w.on_wait != NULL) w.on_wait();
}

static const struct env_ops fake_ops = {.submit = fake_submit,
                                        .cancel = fake_cancel,
                                        .mono = fake_mono,
                                        .wall = fake_wall,
                                        .random = fake_random,
                                        .post = fake_post,
                                        .listen = fake_listen,
                                        .wait = fake_wait};

static inline void world_open(void)
{
    w = (struct world){.clock = 1000, .env = {.shard = 1, .shard_count = 3}};
    struct mem *m = mem_create(10 << 20);
    env_init(&w.env, &fake_ops, m, NULL);
    w.env.runner = runner_create(m, NULL);
    w.env.now = (struct mono_ns){w.clock};
}

static inline void world_close(void)
{
    struct mem *m = w.env.mem;
    env_deinit(&w.env);
    runner_destroy(w.env.runner);
    mem_destroy(m);
}

static inline void turn_at(int64_t clock)
{
    w.clock = clock;
    env_turn(&w.env, FOR_EVER);
}

static inline void expect_log(const char *want) /* and forgets it */
{
    char got[64];
    ASSERT(w.events < sizeof got);
    for (unsigned i = 0; i < w.events; i++) got[i] = (char)w.log[i];
    got[w.events] = '\0';
    ASSERT_STREQ(got, want);
    w.events = 0;
}
struct alarm {
    struct timer timer;
    int name;
    struct alarm *stops, *arms; /* what its firing does */
    int64_t arms_at;
};

static inline void alarm_fire(struct timer *t)
{
    struct alarm *a = container_of(t, struct alarm, timer);
    ASSERT(!env_timer_armed(t));
    note(a->name);
    if (a->stops != NULL) env_timer_stop(&w.env, &a->stops->timer);
    if (a->arms != NULL) env_timer_start(&w.env, &a->arms->timer, (struct mono_ns){a->arms_at});
}

static inline void arm(struct alarm *a, int name, int64_t deadline)
{
    a->name = name;
    a->timer.fire = alarm_fire;
    env_timer_start(&w.env, &a->timer, (struct mono_ns){deadline});
}

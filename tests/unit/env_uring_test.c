// SPDX-License-Identifier: Apache-2.0
/* The real env against the real kernel: files in a temporary directory, shards that talk.
 *
 * Mailboxes under the thread sanitizer:
 *   meson setup build-tsan -Db_sanitize=thread -Db_lundef=false && ninja -C build-tsan tests/unit/env_uring_test &&
 *   build-tsan/tests/unit/env_uring_test */
#include "tests/unit/env_uring_world.h"
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *in_dir(const char *name)
{
    static char paths[4][128];
    static unsigned next;
    char *p = paths[next++ % 4];
    snprintf(p, sizeof paths[0], "%s/%s", dir, name);
    return p;
}

static int32_t open_file(const char *name, uint32_t flags)
{
    struct io_op op = {.kind = IO_OPEN, .path = in_dir(name), .flags = flags};
    ASSERT_EQ(run(&op), STATUS_OK);
    return (int32_t)op.result;
}

static void close_file(int32_t file)
{
    struct io_op op = {.kind = IO_CLOSE, .file = file};
    ASSERT_EQ(run(&op), STATUS_OK);
}

static void test_write_and_read(void)
{
    set_up(&(struct env_uring_config){0});
    int32_t file = open_file("a", IO_CREATE | IO_EXCL);
    struct io_op w = {.kind = IO_WRITE, .file = file, .data = "hello, log", .len = 10, .pos = 5, .flags = IO_DSYNC};
    ASSERT_EQ(run(&w), STATUS_OK);
    ASSERT_EQ(w.result, 10);
    struct io_op sync = {.kind = IO_DATASYNC, .file = file};
    ASSERT_EQ(run(&sync), STATUS_OK);
    char data[64];
    struct io_op r = {.kind = IO_READ, .file = file, .data = data, .len = sizeof data, .pos = 5};
    ASSERT_EQ(run(&r), STATUS_OK);
    ASSERT_EQ(r.result, 10); /* short at the end of the file */
    ASSERT(memcmp(data, "hello, log", 10) == 0);
    r.pos = 15;
    ASSERT_EQ(run(&r), STATUS_OK);
    ASSERT_EQ(r.result, 0);
    close_file(file);
    ASSERT_EQ(run(&r), STATUS_INVALID); /* the registered slot is empty too */
    tear_down();
}

static void test_direct(void)
{
    set_up(&(struct env_uring_config){0});
    int32_t file = open_file("d", IO_CREATE | IO_DIRECT);
    void *block = mem_alloc_aligned(env->mem, MEM_LOG, 4096);
    memset(block, 7, 4096);
    struct io_op w = {.kind = IO_WRITE, .file = file, .data = block, .len = 4096};
    ASSERT_EQ(run(&w), STATUS_OK);
    w.pos = 1;
    enum status s = run(&w);
    ASSERT_EQ(s, env_uring_counters(env).direct_refused != 0 ? STATUS_OK : STATUS_INVALID);
    mem_free_aligned(env->mem, MEM_LOG, block, 4096);
    close_file(file);
    tear_down();
}

static void test_names(void)
{
    set_up(&(struct env_uring_config){0});
    struct io_op op = {.kind = IO_MKDIR, .path = in_dir("sub")};
    ASSERT_EQ(run(&op), STATUS_OK);
    ASSERT_EQ(run(&op), STATUS_EXISTS);
    close_file(open_file("b", IO_CREATE));
    close_file(open_file("c", IO_CREATE));
    op = (struct io_op){.kind = IO_OPEN, .path = in_dir("b"), .flags = IO_CREATE | IO_EXCL};
    ASSERT_EQ(run(&op), STATUS_EXISTS);
    op = (struct io_op){.kind = IO_RENAME, .path = in_dir("c"), .path2 = in_dir("a")};
    ASSERT_EQ(run(&op), STATUS_OK);
    char names[64];
    op = (struct io_op){.kind = IO_LIST, .path = dir, .data = names, .len = sizeof names};
    ASSERT_EQ(run(&op), STATUS_OK);
    ASSERT_EQ(op.result, 8);
    ASSERT(memcmp(names, "a\0b\0sub", 8) == 0);
    op.len = 7;
    ASSERT_EQ(run(&op), STATUS_BUSY);
    op = (struct io_op){.kind = IO_STAT, .path = in_dir("sub")};
    ASSERT_EQ(run(&op), STATUS_OK);
    ASSERT(op.is_dir);
    op = (struct io_op){.kind = IO_RMDIR, .path = in_dir("sub")};
    ASSERT_EQ(run(&op), STATUS_OK);
    op = (struct io_op){.kind = IO_STAT, .path = in_dir("sub")};
    ASSERT_EQ(run(&op), STATUS_NOT_FOUND);
    op = (struct io_op){.kind = IO_UNLINK, .path = in_dir("a")};
    ASSERT_EQ(run(&op), STATUS_OK);
    op = (struct io_op){.kind = IO_SYNC_DIR, .path = dir};
    ASSERT_EQ(run(&op), STATUS_OK);
    op = (struct io_op){.kind = IO_SPACE, .path = dir};
    ASSERT_EQ(run(&op), STATUS_OK);
    ASSERT(op.result > 0 && op.total_bytes >= (uint64_t)op.result);
    tear_down();
}

/* Opening a pipe waits for its writer. */
static void test_slow_call(void)
{
    set_up(&(struct env_uring_config){0});
    ASSERT_EQ(mkfifo(in_dir("pipe"), 0600), 0);
    struct io_op slow = {.kind = IO_OPEN, .path = in_dir("pipe"), .flags = IO_READONLY, .done = count_done};
    env_submit(env, &slow);
    struct io_op op = {.kind = IO_STAT, .path = in_dir("pipe")};
    ASSERT_EQ(run(&op), STATUS_OK);
    ASSERT(slow.in_flight);
    int writer = open(in_dir("pipe"), O_WRONLY);
    ASSERT(writer >= 0);
    finish(&slow);
    ASSERT_EQ(slow.status, STATUS_OK);
    close(writer);
    close_file((int32_t)slow.result);
    tear_down();
}

static void test_sizes_and_lock(void)
{
    set_up(&(struct env_uring_config){0});
    int32_t file = open_file("f", IO_CREATE), other = open_file("f", 0);
    struct io_op op = {.kind = IO_ALLOCATE, .file = file, .pos = 0, .len = 8192};
    ASSERT_EQ(run(&op), STATUS_OK);
    op = (struct io_op){.kind = IO_TRUNCATE, .file = file, .pos = 100};
    ASSERT_EQ(run(&op), STATUS_OK);
    op = (struct io_op){.kind = IO_STAT, .path = in_dir("f")};
    ASSERT_EQ(run(&op), STATUS_OK);
    ASSERT_EQ(op.result, 100);
    op = (struct io_op){.kind = IO_SYNC, .file = file};
    ASSERT_EQ(run(&op), STATUS_OK);
    op = (struct io_op){.kind = IO_SYNC_FS, .file = file};
    ASSERT_EQ(run(&op), STATUS_OK);
    op = (struct io_op){.kind = IO_LOCK, .file = file};
    ASSERT_EQ(run(&op), STATUS_OK);
    op.file = other;
    ASSERT_EQ(run(&op), STATUS_LOCKED);
    close_file(file);
    /* The ring may hold the description a little longer than the close (rule A7): so we ask again. */
    struct mono_ns limit = in_ms(5000);
    while (run(&op) != STATUS_OK) ASSERT(env->now.v < limit.v);
    close_file(other);
    tear_down();
}

#define MANY 2000
static struct io_op many[MANY];
static uint32_t many_data[MANY];
static uint8_t seen[MANY];

static void note_done(struct io_op *op)
{
    seen[op - many]++;
    ASSERT_EQ(op->status, STATUS_OK);
    ASSERT_EQ(op->result, 4);
}

/* D17, R5: far more ops than both queues hold. */
static void many_ops(enum io_kind kind, int32_t file)
{
    memset(seen, 0, sizeof seen);
    for (uint32_t i = 0; i < MANY; i++) {
        many[i] = (struct io_op){.kind = kind, .file = file, .data = &many_data[i], .len = 4, .pos = 4 * i};
        many[i].done = note_done;
        env_submit(env, &many[i]);
    }
    for (struct mono_ns limit = in_ms(20000); env->ops_in_flight > 0;) {
        turn();
        ASSERT(env->now.v < limit.v);
    }
    for (uint32_t i = 0; i < MANY; i++) ASSERT_EQ(seen[i], 1);
}

static void test_d17_queues_overflow(void)
{
    set_up(&(struct env_uring_config){.sq_entries = 8, .cq_entries = 16});
    int32_t file = open_file("many", IO_CREATE);
    for (uint32_t i = 0; i < MANY; i++) many_data[i] = i * 2654435761u;
    many_ops(IO_WRITE, file);
    memset(many_data, 0, sizeof many_data);
    many_ops(IO_READ, file);
    for (uint32_t i = 0; i < MANY; i++) ASSERT_EQ(many_data[i], i * 2654435761u);
    ASSERT(env_uring_counters(env).sq_full > 0);
    close_file(file);
    tear_down();
}

static void note_fire(struct timer *t)
{
    dones++;
    env_stop(env); /* this turn does not wait */
}

static void test_timer_ends_the_wait(void)
{
    set_up(&(struct env_uring_config){0});
    struct timer t = {.fire = note_fire};
    struct mono_ns begin = env->ops->mono(env);
    turn(); /* the timer alone ends what follows */
    env_timer_start(env, &t, mono_add(begin, 20 * NS_PER_MS));
    dones = 0;
    while (dones == 0) env_turn(env, (struct mono_ns){INT64_MAX - 1});
    int64_t took = env->now.v - begin.v;
    ASSERT(took >= 20 * NS_PER_MS && took < 2000 * NS_PER_MS);
    tear_down();
}

/* ---- shards ---- */

#define SHARDS  4
#define WINDOW  3000 /* messages a shard has under way; more than a mailbox holds */
#define PER     250000
#define MAX_RUN 4

struct ping {
    struct msg msg;
    uint32_t owner;
    uint64_t number; /* per pair */
};

struct talker {
    struct ping pings[WINDOW];
    uint64_t sent[SHARDS], got[SHARDS];
    uint64_t returned, total;
};

static struct talker talkers[SHARDS];
static atomic_uint finished_shards;
static atomic_uint out_of_order;
static uint32_t shard_count;

static void ping_arrives(struct env *to, struct msg *m);

static void stop_shard(struct env *to, struct msg *m)
{
    env_stop(to);
}

static struct msg stops[SHARDS];

static void send_ping(struct env *e, struct talker *t, struct ping *p)
{
    uint32_t to = (uint32_t)((e->shard + 1 + t->total % (shard_count - 1)) % shard_count);
    p->owner = e->shard;
    p->number = t->sent[to]++;
    p->msg.run = ping_arrives;
    t->total++;
    env_post(e, to, &p->msg);
}

static void ping_returns(struct env *to, struct msg *m)
{
    struct talker *t = &talkers[to->shard];
    t->returned++;
    if (t->total < PER) send_ping(to, t, container_of(m, struct ping, msg));
    if (t->returned < PER || atomic_fetch_add(&finished_shards, 1) + 1 < shard_count) return;
    for (uint32_t i = 0; i < shard_count; i++) {
        stops[i].run = stop_shard;
        env_post(to, i, &stops[i]);
    }
}

static void ping_arrives(struct env *to, struct msg *m)
{
    struct ping *p = container_of(m, struct ping, msg);
    if (p->number != talkers[to->shard].got[p->owner]++) atomic_fetch_add(&out_of_order, 1);
    m->run = ping_returns;
    env_post(to, p->owner, m);
}

static void start_talking(struct env *e, void *arg)
{
    struct talker *t = &talkers[e->shard];
    for (uint32_t i = 0; i < WINDOW; i++) send_ping(e, t, &t->pings[i]);
}

static void talk(uint32_t count)
{
    memset(talkers, 0, sizeof talkers);
    atomic_store(&finished_shards, 0);
    atomic_store(&out_of_order, 0);
    shard_count = count;
    char error[256];
    struct env_uring_config config = {.pin_cpus = true};
    ASSERT_EQ(env_uring_run_shards(&config, count, start_talking, NULL, error), STATUS_OK);
    for (uint32_t i = 0; i < count; i++) ASSERT_EQ(talkers[i].returned, PER);
    ASSERT_EQ(atomic_load(&out_of_order), 0);
}

static void test_two_shards(void)
{
    talk(2);
}

static void test_four_shards(void)
{
    talk(4);
}

/* One message at a time: each is a wake-up of a sleeper; a lost one hangs the test. */
static struct msg ball;
static uint64_t bounces;

static void bounce(struct env *e, struct msg *m)
{
    if (++bounces < 20000) {
        env_post(e, 1 - e->shard, m);
        return;
    }
    for (uint32_t i = 0; i < 2; i++) {
        stops[i].run = stop_shard;
        env_post(e, i, &stops[i]);
    }
}

static void serve_ball(struct env *e, void *arg)
{
    if (e->shard != 0) return;
    ball.run = bounce;
    env_post(e, 1, &ball);
}

static void test_sleepers_wake(void)
{
    char error[256];
    bounces = 0;
    ASSERT_EQ(env_uring_run_shards(&(struct env_uring_config){0}, 2, serve_ball, NULL, error), STATUS_OK);
    ASSERT_EQ(bounces, 20000);
}

static atomic_int got_hup, got_term;

static void on_signal(struct env *e, int signo)
{
    if (signo == SIGHUP && atomic_fetch_add(&got_hup, 1) == 1) kill(getpid(), SIGTERM);
    if (signo != SIGTERM) return;
    atomic_fetch_add(&got_term, 1);
    env_stop(e);
}

static void send_hup(struct env *e, void *arg)
{
    if (e->shard == 0) kill(getpid(), SIGHUP);
}

static void test_signals(void)
{
    char error[256];
    struct env_uring_config config = {.on_signal = on_signal};
    ASSERT_EQ(env_uring_run_shards(&config, 2, send_hup, NULL, error), STATUS_OK);
    ASSERT_EQ(atomic_load(&got_hup), 2);
    ASSERT_EQ(atomic_load(&got_term), 2);
}

TEST_MAIN("env_uring", {"what is written is read back, short at the end", test_write_and_read},
          {"direct files ask for alignment", test_direct}, {"names", test_names},
          {"a slow call does not hold up the others", test_slow_call}, {"sizes and the lock", test_sizes_and_lock},
          {"D17 R5: no op lost, none completed twice when queues overflow", test_d17_queues_overflow},
          {"a timer ends the wait", test_timer_ends_the_wait}, {"2 shards, half a million messages", test_two_shards},
          {"4 shards, a million messages", test_four_shards}, {"no wake-up is lost", test_sleepers_wake},
          {"signals reach every shard", test_signals})

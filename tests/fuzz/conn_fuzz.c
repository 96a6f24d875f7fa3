// SPDX-License-Identifier: Apache-2.0
/* Any bytes as what a client sends, in any cuts, to a whole broker (rows B1 to B20). Two simulated brokers of one seed
 * get the same bytes: one in one piece, the other cut at places that the bytes themselves decide, with short sends and
 * fragmented receives.
 *
 * What must hold after each input: no CHECK, the connection ends, every byte of request and response memory is given
 * back, a new connection is served; and as long as both brokers are in the same state, the two answers are equal: the
 * one cut first may have been closed with more answers told, never with others.
 *
 * The brokers live for WORLD_INPUTS inputs. An input that closes its connection may leave them in different states
 * (what stood before the fault was done in one and dropped in the other); from then on only the rest is looked at, and
 * new ones are made sooner. The first byte is the number of cuts; the rest is the stream. */
#include "base/check.h"
#include "base/config.h"
#include "base/prng.h"
#include "base/sim/sim.h"
#include "broker/conn.h"
#include "broker/shard.h"
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#define SHARDS       2
#define ADDRESS      "10.0.0.1:9092"
#define WORLD_INPUTS 256u
#define APART_INPUTS 64u /* after the two brokers have come apart */
#define SERVED_EVERY 8u  /* inputs: a healthy connection in between */
#define INPUT_MAX    (256u << 10)
#define CUTS_MAX     32u
#define START_NS     (60 * NS_PER_S)
#define TALK_NS      (NS_PER_S / 5) /* for one input, answers included */
#define END_NS       (60 * NS_PER_S)
#define MEMORY_BYTES ((uint64_t)512 << 20)

struct side { /* one broker and its client */
    struct sim *sim;
    struct sim_machine *server, *machine;
    struct mem *mem;
    struct config *source;
    struct broker_config config;
    struct broker broker;
    bool cuts;
    /* the connection */
    struct io_op connect, send, recv, close;
    struct iovec iov;
    int32_t sock;
    bool up, sent, closed, gone;
    uint8_t *answer;
    size_t answer_len, answer_room;
};

static struct side sides[2];
static unsigned inputs, apart; /* since the worlds were made; of them since they came apart */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- the worlds ---- */

static void sink(void *arg, enum log_level level, const char *line, size_t size)
{
    (void)arg, (void)level;
    if (getenv("CONN_FUZZ_LOG") != NULL) fwrite(line, 1, size, stderr);
}

static void configure(struct side *s)
{
    static const char *const options[] = {"listeners=PLAINTEXT://" ADDRESS,  "log.dirs=/data",
                                          "leat.http.listener=none",         "leat.topics=t:4,u:1",
                                          "leat.journal.bytes=33554432",     "leat.batch.max.bytes=131072",
                                          "message.max.bytes=131072",        "socket.request.max.bytes=1048576",
                                          "leat.disk.reserve.bytes=1048576", "num.partitions=2"};
    struct config_error error;
    char sentence[512];
    s->mem = mem_create((uint64_t)1 << 30);
    s->source = config_create(s->mem, broker_keys, broker_key_count);
    CHECK(s->source != NULL);
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        CHECK_OK(config_option(s->source, options[i], &error));
    CHECK_OK(broker_config_read(s->source, "10.0.0.1", &s->config, sentence));
    s->config.shards = SHARDS;
    s->broker = (struct broker){.config = &s->config, .source = s->source, .sink = sink, .probe = ""};
    disk_init(&s->broker.disk);
}

static bool serves(void *arg)
{
    return ((struct side *)arg)->broker.phase == PHASE_SERVE;
}

static void client_start(struct env *e, void *arg)
{
    (void)e, (void)arg;
}

static void world_make(struct side *s, bool cuts)
{
    *s = (struct side){.cuts = cuts, .sock = -1};
    configure(s);
    s->sim = sim_create(&(struct sim_config){.seed = 1});
    s->server = sim_machine_create(s->sim, "10.0.0.1", NULL);
    s->machine = sim_machine_create(s->sim, "10.0.0.2", NULL);
    sim_memory(s->server, MEMORY_BYTES);
    CHECK_OK(sim_dir_make(s->server, "/data"));
    if (cuts) {
        struct sim_link link = sim_link_get(s->machine, s->server);
        link.short_ppm = link.fragment_ppm = 300000;
        sim_link_set(s->machine, s->server, &link);
    }
    sim_boot(s->server, SHARDS, shard_start, &s->broker);
    sim_boot(s->machine, 1, client_start, s);
    CHECK(sim_run_while_not(s->sim, serves, s, START_NS));
    sim_run_until(s->sim, START_NS);
}

static void world_end(struct side *s)
{
    if (s->sim == NULL) return;
    sim_destroy(s->sim);
    config_destroy(s->source);
    mem_destroy(s->mem);
    free(s->answer);
}

static struct shard *shard(const struct side *s, uint32_t i)
{
    return sim_env(s->server, i)->user;
}

/* What later answers depend on. */
static uint64_t state(const struct side *s)
{
    uint64_t h = 0;
    for (uint32_t i = 0; i < SHARDS; i++) {
        const struct shard *x = shard(s, i);
        uint64_t parts[] = {x->answer.index, (uint64_t)x->producer_ids.next, x->fetch_sessions.random,
                            x->count.batches->value};
        h = XXH3_64bits_withSeed(parts, sizeof parts, h);
    }
    return h;
}

/* ---- the client ---- */

static void connected(struct io_op *op)
{
    struct side *s = container_of(op, struct side, connect);
    CHECK(op->status == STATUS_OK);
    s->sock = (int32_t)op->result;
    s->up = true;
}

static void sent(struct io_op *op)
{
    struct side *s = container_of(op, struct side, send);
    s->sent = true;
    if (op->status != STATUS_OK) {
        s->closed = true;
        return;
    }
    s->iov.iov_base = (uint8_t *)s->iov.iov_base + op->result;
    s->iov.iov_len -= (size_t)op->result;
}

static void keep(struct side *s, const void *data, size_t len)
{
    if (s->answer_room - s->answer_len < len) {
        s->answer_room = 2 * (s->answer_len + len);
        s->answer = realloc(s->answer, s->answer_room);
        CHECK(s->answer != NULL);
    }
    memcpy(s->answer + s->answer_len, data, len);
    s->answer_len += len;
}

static void received(struct io_op *op)
{
    struct side *s = container_of(op, struct side, recv);
    if (op->status == STATUS_OK && op->result > 0) keep(s, op->data, (size_t)op->result);
    if (op->more) return;
    if (op->status != STATUS_OK || op->result == 0) {
        s->closed = true;
        return;
    }
    s->recv = (struct io_op){.kind = IO_RECV, .sock = s->sock, .done = received};
    env_submit(sim_env(s->machine, 0), &s->recv);
}

static void closed(struct io_op *op)
{
    container_of(op, struct side, close)->gone = true;
}

static void submit(struct side *s, struct io_op *op)
{
    env_submit(sim_env(s->machine, 0), op);
    sim_nudge(s->machine, 0);
}

static bool is_up(void *arg)
{
    return ((struct side *)arg)->up;
}

static bool is_sent(void *arg)
{
    const struct side *s = arg;
    return s->sent || s->closed;
}

static bool is_idle(void *arg)
{
    const struct side *s = arg;
    return !s->recv.in_flight && !s->send.in_flight;
}

static bool is_gone(void *arg)
{
    const struct side *s = arg;
    return s->gone && shard(s, 0)->conn_count == 0 && shard(s, 1)->conn_count == 0;
}

static void hang_up(struct side *s)
{
    s->close = (struct io_op){.kind = IO_SHUTDOWN, .sock = s->sock, .done = closed};
    submit(s, &s->close);
    CHECK(sim_run_while_not(s->sim, is_gone, s, sim_now(s->sim) + END_NS) || s->gone);
    s->gone = false;
    s->close = (struct io_op){.kind = IO_CLOSE_SOCKET, .sock = s->sock, .done = closed};
    CHECK(sim_run_while_not(s->sim, is_idle, s, sim_now(s->sim) + END_NS));
    submit(s, &s->close);
    CHECK(sim_run_while_not(s->sim, is_gone, s, sim_now(s->sim) + END_NS)); /* the broker has let go, too */
}

/* A connection of shard 0: producer ids and fetch sessions are the home shard's. */
static void dial(struct side *s)
{
    for (;;) {
        s->up = s->sent = s->closed = s->gone = false;
        s->answer_len = 0;
        s->connect = (struct io_op){.kind = IO_CONNECT, .path = ADDRESS, .done = connected};
        submit(s, &s->connect);
        CHECK(sim_run_while_not(s->sim, is_up, s, sim_now(s->sim) + END_NS));
        s->recv = (struct io_op){.kind = IO_RECV, .sock = s->sock, .done = received};
        submit(s, &s->recv);
        sim_run_until(s->sim, sim_now(s->sim) + 2 * NS_PER_MS);
        if (shard(s, 0)->conn_count == 1) return;
        hang_up(s);
    }
}

/* False: the broker has closed, or takes nothing more. */
static bool give(struct side *s, const uint8_t *data, size_t len)
{
    int64_t limit = sim_now(s->sim) + NS_PER_S;
    s->iov = (struct iovec){(void *)(uintptr_t)data, len};
    while (s->iov.iov_len > 0 && !s->closed && sim_now(s->sim) < limit) {
        s->sent = false;
        s->send = (struct io_op){.kind = IO_SEND, .sock = s->sock, .iov = &s->iov, .iov_count = 1, .done = sent};
        submit(s, &s->send);
        if (!sim_run_while_not(s->sim, is_sent, s, limit)) return false;
    }
    return !s->closed;
}

static void talk(struct side *s, const uint8_t *data, size_t len, unsigned cuts)
{
    struct prng random;
    prng_seed(&random, XXH3_64bits(data, len), 0);
    while (cuts > 0 && len > 1) {
        size_t piece = 1 + (size_t)prng_below(&random, MIN(len, 2 * len / cuts + 1));
        if (!give(s, data, piece)) return;
        sim_run_until(s->sim, sim_now(s->sim) + (int64_t)prng_below(&random, NS_PER_MS));
        data += piece;
        len -= piece;
        cuts--;
    }
    if (len > 0) (void)give(s, data, len);
}

/* ---- what must hold ---- */

static void expect_nothing_kept(const struct side *s)
{
    for (uint32_t i = 0; i < SHARDS; i++) {
        const struct shard *x = shard(s, i);
        CHECK(x->conn_count == 0 && list_empty(&x->conns) && list_empty(&x->starved));
        CHECK(mem_used(x->env->mem, MEM_PRODUCE) == 0);
    }
}

static void expect_served(struct side *s)
{
    static const uint8_t ask[] = {0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff}; /* ApiVersions 0, no client id */
    dial(s);
    CHECK(give(s, ask, sizeof ask));
    sim_run_until(s->sim, sim_now(s->sim) + 20 * NS_PER_MS);
    CHECK(!s->closed && s->answer_len > 10 && s->answer[7] == 7 && s->answer[8] == 0 && s->answer[9] == 0);
    hang_up(s);
}

static void expect_equal(const struct side *whole, const struct side *cut)
{
    size_t both = MIN(whole->answer_len, cut->answer_len);
    CHECK(both == 0 || memcmp(whole->answer, cut->answer, both) == 0);
    CHECK(whole->closed == cut->closed);
    CHECK(whole->closed || whole->answer_len == cut->answer_len);
}

static void run(struct side *s, const uint8_t *data, size_t len, unsigned cuts, int64_t end)
{
    dial(s);
    talk(s, data, len, cuts);
    sim_run_until(s->sim, MAX(end, sim_now(s->sim)));
}

static void renew(void)
{
    for (int i = 0; i < 2; i++) {
        world_end(&sides[i]);
        world_make(&sides[i], i == 1);
    }
    CHECK(state(&sides[0]) == state(&sides[1]));
    inputs = apart = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > INPUT_MAX) return 0;
    if (sides[0].sim == NULL || inputs == WORLD_INPUTS || apart == APART_INPUTS) renew();
    int64_t end = MAX(sim_now(sides[0].sim), sim_now(sides[1].sim)) + TALK_NS;
    for (int i = 0; i < 2; i++) run(&sides[i], data + 1, size - 1, i == 1 ? data[0] % CUTS_MAX : 0, end);
    if (apart == 0) expect_equal(&sides[0], &sides[1]);
    for (int i = 0; i < 2; i++) {
        hang_up(&sides[i]);
        expect_nothing_kept(&sides[i]);
        if (inputs % SERVED_EVERY == 0) expect_served(&sides[i]);
    }
    if (apart > 0 || state(&sides[0]) != state(&sides[1])) apart++;
    inputs++;
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
/* Connections (conn.h): life and input; output is conn_send.c.
 *
 * Path: accepted -> multishot recv -> bytes go into the frame being received; its length is checked before anything is
 * allocated (rows B1, B2) -> a complete frame becomes a request, queued -> run_queue starts what may run: consecutive
 * Produce requests overlap, everything else runs alone -> answered -> sent in order (conn_send.c) -> more is read.
 *
 * Whatever changes a connection marks it; the turn hook then looks at each marked one once (conn_send), so nothing here
 * is re-entered from the inside of a request.
 *
 * Failure modes: a fault of the peer closes the connection with a log line, others are not disturbed. A peer that goes
 * away: requests that wait on other shards end there first, their responses are dropped, then the memory is given back.
 * Memory class three quarters full (row R1): reading stops, bytes already received wait in the stash, up to seven
 * eighths; beyond, their connection is closed. So that half-received frames do not hold each other up, one starved
 * connection after the other, the senior, may take all the rest until its frame is whole. After STARVED_MAX_NS without
 * a byte a connection is closed. */
#include "broker/conn.h"
#include "broker/dispatch.h"
#include "broker/shard.h"

#define FRAME_FIRST_BYTES 4096u
#define STARVED_AGAIN_NS  (5 * NS_PER_MS)
#define STARVED_MAX_NS    (30 * NS_PER_S)
#define SENIOR_IDLE_NS    NS_PER_S /* then another one gets its turn */

static void received(struct io_op *op);
static void idle_fire(struct timer *t);

static struct mem *mem_of(const struct conn *c)
{
    return c->shard->env->mem;
}

static void mark(struct conn *c)
{
    if (!list_linked(&c->in_sending)) list_push_back(&c->shard->sending, &c->in_sending);
}

/* Is there room for so much that leaves this share of the class free? */
static bool memory_has(const struct conn *c, uint64_t bytes, uint32_t share)
{
    struct mem *m = mem_of(c);
    return c->shard->senior == c || mem_has_room(m, MEM_PRODUCE, bytes + mem_budget(m, MEM_PRODUCE) / share);
}

/* A quarter of the class is kept for what is under way when reading stops. */
static bool memory_low(const struct conn *c)
{
    return !memory_has(c, 0, 4);
}

static void senior_leave(struct conn *c)
{
    if (c->shard->senior == c) c->shard->senior = NULL;
}

static void starve(struct conn *c)
{
    struct shard *s = c->shard;
    senior_leave(c);
    c->starved = true;
    if (!list_linked(&c->in_starved)) list_push_back(&s->starved, &c->in_starved);
    if (!env_timer_armed(&s->starved_timer))
        env_timer_start(s->env, &s->starved_timer, mono_add(s->env->now, STARVED_AGAIN_NS));
}

/* ---- life ---- */

void conn_open(struct shard *s, int32_t sock)
{
    struct conn *c = mem_zalloc(s->env->mem, MEM_CONTROL, sizeof *c);
    if (c == NULL) { /* the kernel's socket is all there is; it is closed at process end, and the log says so */
        SHARD_LOG(s, LOG_ERROR, "connection.no_memory", LOG_INT("socket", sock));
        return;
    }
    c->shard = s;
    c->sock = sock;
    c->id = ++s->conn_seq;
    c->active = s->env->now;
    c->idle.fire = idle_fire;
    list_init(&c->requests);
    list_push_back(&s->conns, &c->in_shard);
    s->conn_count++;
    s->count.accepted->value++;
    s->count.connections->value++;
    if (s->draining || s->conn_count > s->broker->config->connections_max / s->env->shard_count + 1) {
        s->count.refused->value++;
        if (!s->draining) SHARD_LOG(s, LOG_WARN, "connection.too_many", LOG_UINT("connections", s->conn_count));
        conn_close(c);
        return;
    }
    env_timer_start(s->env, &c->idle, mono_add(c->active, s->broker->config->idle_ms * NS_PER_MS));
    mark(c);
}

void conn_close(struct conn *c)
{
    struct env *e = c->shard->env;
    if (c->closing) return;
    c->closing = true;
    env_timer_stop(e, &c->idle);
    senior_leave(c);
    if (list_linked(&c->in_starved)) list_remove(&c->in_starved);
    if (c->recv.in_flight || c->send.in_flight) {
        c->shutdown = (struct io_op){.kind = IO_SHUTDOWN, .sock = c->sock, .done = conn_io_done};
        env_submit(e, &c->shutdown);
    }
    mark(c);
}

void conn_fault(struct conn *c, const char *why, int16_t api_key, int16_t version)
{
    if (c->closing) return;
    c->shard->count.protocol_errors->value++;
    SHARD_LOG(c->shard, LOG_WARN, "connection.closed", LOG_UINT("connection", c->id), LOG_STR("why", why),
              LOG_INT("api", api_key), LOG_INT("version", version));
    conn_close(c);
}

void conn_io_done(struct io_op *op)
{
    mark(container_of(op, struct conn, shutdown));
}

static void closed(struct io_op *op)
{
    struct conn *c = container_of(op, struct conn, close);
    struct shard *s = c->shard;
    struct mem *m = mem_of(c);
    CHECK(list_empty(&c->requests) && c->releasing == 0);
    if (list_linked(&c->in_sending)) list_remove(&c->in_sending);
    list_remove(&c->in_shard);
    mem_free(m, MEM_PRODUCE, c->frame, c->frame_room);
    mem_free(m, MEM_PRODUCE, c->stash, c->stash_room);
    mem_free(m, MEM_CONTROL, c, sizeof *c);
    s->conn_count--;
    s->count.connections->value--;
    shard_drained(s);
}

/* Of a closing connection: everything that still runs is hurried, what has ended is given back, and when nothing is
 * left the socket is closed. */
void conn_end(struct conn *c)
{
    CHECK(c->closing);
    if (c->send.in_flight) return; /* it borrows the responses */
    list_each (n, &c->requests) {
        struct request *r = container_of(n, struct request, in_conn);
        if (r->state == REQUEST_RUNNING)
            request_hurry(r);
        else
            request_finish(r);
    }
    bool busy = c->recv.in_flight || c->shutdown.in_flight || c->close.in_flight;
    if (busy || !list_empty(&c->requests) || c->releasing > 0 || c->close.done != NULL) return;
    c->close = (struct io_op){.kind = IO_CLOSE_SOCKET, .sock = c->sock, .done = closed};
    env_submit(c->shard->env, &c->close);
}

struct str conn_host(struct conn *c)
{
    if (c->host[0] == '\0') {
        c->host[0] = '/';
        env_peer(c->shard->env, c->sock, c->host + 1);
    }
    return (struct str){c->host, (int32_t)strlen(c->host)};
}

void conn_drain(struct conn *c)
{
    c->eof = true;
    mark(c);
}

/* A connection whose requests wait for us, not for the client, is not idle. */
static void idle_fire(struct timer *t)
{
    struct conn *c = container_of(t, struct conn, idle);
    struct env *e = c->shard->env;
    int64_t idle_ns = c->shard->broker->config->idle_ms * NS_PER_MS;
    if (c->request_count > 0 && !c->send.in_flight) c->active = e->now;
    if (e->now.v - c->active.v >= idle_ns)
        conn_close(c);
    else
        env_timer_start(e, &c->idle, mono_add(c->active, idle_ns));
}

void conn_released(struct conn *c)
{
    mark(c);
}

void conn_answered(struct conn *c)
{
    mark(c);
}

/* ---- requests ---- */

/* Consecutive requests that overlap run together, in order; any other runs when it is the first in the queue. */
static void run_queue(struct conn *c)
{
    bool first = true, overlap = true;
    list_each (n, &c->requests) {
        struct request *r = container_of(n, struct request, in_conn);
        overlap = overlap && r->api->overlaps;
        if (!first && !overlap) return;
        if (r->state == REQUEST_QUEUED) request_run(r);
        first = false;
    }
}

static bool take_request(struct conn *c)
{
    const char *why;
    struct request *r = request_create(c, c->frame, c->frame_size, c->frame_room);
    if (r == NULL) return false;
    senior_leave(c);
    c->frame = NULL;
    c->frame_size = c->frame_have = c->frame_room = c->prefix_have = 0;
    if (!dispatch(r, &why)) {
        conn_fault(c, why, r->header.api_key, r->header.api_version);
        request_finish(r);
    }
    return true;
}

/* ---- frames ---- */

static bool may_begin(const struct conn *c)
{
    return c->request_count < CONN_REQUESTS_MAX && c->request_bytes < CONN_BYTES_MAX;
}

static bool begin_frame(struct conn *c)
{
    uint32_t limit = c->shard->broker->config->request_max_bytes;
    if (frame_size(c->prefix, limit, &c->frame_size) != STATUS_OK) {
        conn_fault(c, "frame length out of range", -1, -1);
        return false;
    }
    if (c->frame_size > mem_budget(mem_of(c), MEM_PRODUCE) / 2) {
        conn_fault(c, "a request larger than leat.memory.bytes allows", -1, -1);
        return false;
    }
    return true;
}

/* Room for `more` bytes: what has arrived, doubled, but never more than the frame. */
static bool grow_frame(struct conn *c, uint32_t more)
{
    if (c->frame_room - c->frame_have >= more) return true;
    uint32_t room = MAX(MAX(c->frame_room * 2, c->frame_have + more), FRAME_FIRST_BYTES);
    room = MIN(room, c->frame_size);
    if (!memory_has(c, room, 8)) return false;
    uint8_t *frame = mem_realloc(mem_of(c), MEM_PRODUCE, c->frame, c->frame_room, room);
    if (frame == NULL) return false;
    c->frame = frame;
    c->frame_room = room;
    return true;
}

/* Takes bytes; returns how many. Less than size: closing, too much in flight, or starved. */
static uint32_t take_bytes(struct conn *c, const uint8_t *data, uint32_t size)
{
    uint32_t at = 0;
    while (!c->closing) {
        if (c->prefix_have < FRAME_PREFIX_BYTES) {
            if (at == size || (c->prefix_have == 0 && !may_begin(c))) break;
            c->prefix[c->prefix_have++] = data[at++];
            if (c->prefix_have == FRAME_PREFIX_BYTES && !begin_frame(c)) break;
            continue;
        }
        uint32_t n = MIN(size - at, c->frame_size - c->frame_have);
        if (!grow_frame(c, n)) {
            starve(c);
            break;
        }
        if (n > 0) memcpy(c->frame + c->frame_have, data + at, n);
        c->frame_have += n;
        at += n;
        if (c->frame_have < c->frame_size) break;
        if (!take_request(c)) {
            starve(c);
            break;
        }
    }
    return at;
}

static void stash(struct conn *c, const uint8_t *data, uint32_t size)
{
    if (size == 0) return;
    if (c->stash_pos > 0) { /* to the front */
        memmove(c->stash, c->stash + c->stash_pos, c->stash_have - c->stash_pos);
        c->stash_have -= c->stash_pos;
        c->stash_pos = 0;
    }
    uint32_t need = c->stash_have + size;
    if (need > c->stash_room) {
        uint32_t room = MAX(need, c->stash_room * 2);
        uint8_t *grown = NULL;
        if (memory_has(c, room, 8)) grown = mem_realloc(mem_of(c), MEM_PRODUCE, c->stash, c->stash_room, room);
        if (grown == NULL) {
            conn_fault(c, "no memory for received bytes", -1, -1);
            return;
        }
        c->stash = grown;
        c->stash_room = room;
    }
    memcpy(c->stash + c->stash_have, data, size);
    c->stash_have = need;
}

static void take_stash(struct conn *c)
{
    if (c->stash_have == 0 || c->closing) return;
    c->stash_pos += take_bytes(c, c->stash + c->stash_pos, c->stash_have - c->stash_pos);
    if (c->stash_pos < c->stash_have) return;
    mem_free(mem_of(c), MEM_PRODUCE, c->stash, c->stash_room);
    c->stash = NULL;
    c->stash_pos = c->stash_have = c->stash_room = 0;
}

static void update_reading(struct conn *c)
{
    struct env *e = c->shard->env;
    bool want = !c->closing && !c->eof && !c->starved && c->stash_have == 0 && may_begin(c);
    if (want && memory_low(c)) {
        starve(c);
        want = false;
    }
    if (want && !c->recv.in_flight) {
        c->recv = (struct io_op){.kind = IO_RECV, .sock = c->sock, .done = received};
        c->canceled = false;
        env_submit(e, &c->recv);
    } else if (!want && c->recv.in_flight && !c->canceled && !c->closing) {
        c->canceled = true;
        env_cancel(e, &c->recv);
    }
}

static void received(struct io_op *op)
{
    struct conn *c = container_of(op, struct conn, recv);
    struct shard *s = c->shard;
    mark(c);
    if (c->closing || op->status == STATUS_CANCELED) return;
    if (op->status != STATUS_OK) {
        conn_close(c);
        return;
    }
    c->active = s->env->now;
    if (op->result == 0) {
        c->eof = true;
        return;
    }
    uint32_t size = (uint32_t)op->result, taken = 0;
    s->count.bytes_in->value += size;
    if (c->stash_have == 0 && !c->starved) taken = take_bytes(c, op->data, size);
    if (!c->closing) stash(c, (const uint8_t *)op->data + taken, size - taken);
    if (!c->closing && memory_low(c)) starve(c);
    if (!c->closing) run_queue(c);
}

static void feed(struct conn *c)
{
    struct shard *s = c->shard;
    if (s->env->now.v - c->active.v > STARVED_MAX_NS) {
        conn_fault(c, "no memory for its request", -1, -1);
        return;
    }
    if (memory_low(c)) {
        if (s->senior != NULL) return;
        s->senior = c;
    }
    list_remove(&c->in_starved);
    c->starved = false;
    mark(c);
}

void conns_feed(struct shard *s)
{
    if (s->senior != NULL && s->env->now.v - s->senior->active.v > SENIOR_IDLE_NS) starve(s->senior);
    list_each (n, &s->starved) feed(container_of(n, struct conn, in_starved));
}

/* The input half of a look at a marked connection: goes on with whatever may go on. */
void conn_take(struct conn *c)
{
    if (!c->starved) take_stash(c);
    if (c->closing) return;
    run_queue(c);
    if (c->eof) {
        list_each (n, &c->requests) {
            struct request *r = container_of(n, struct request, in_conn);
            if (r->state == REQUEST_RUNNING && !r->hurry) request_hurry(r);
        }
        bool stuck = c->stash_have > 0 && !c->starved && !may_begin(c);
        if (list_empty(&c->requests) && c->releasing == 0 && !c->starved && !stuck) conn_close(c);
    }
    update_reading(c);
}

// SPDX-License-Identifier: Apache-2.0
/* See broker_wire.h. Path: wire_call encodes behind what is queued -> one send at a time -> bytes come -> whole frames
 * are matched with the oldest call, decoded, handed on. Failure modes: whatever ends the connection ends it through
 * closing(): receive and send end first, then the socket closes, then down(). */
#include "tests/sim/broker_wire.h"

#include "base/bytes.h"
#include "protocol/frame.h"
#include "tests/sim/broker_world.h"
#include <stdlib.h>

#define FRAME_MAX (64u << 20)
#define OUT_BYTES (512u << 10) /* what is pipelined has room while a send is in flight */

static void received(struct io_op *op);
static void connected(struct io_op *op);
static void send_more(struct wire *w);

void wire_init(struct wire *w, struct broker_world *world, struct env *env, const char *name)
{
    *w = (struct wire){.world = world, .env = env, .name = name, .timeout_ns = 10 * NS_PER_S, .sock = -1};
    w->out_room = OUT_BYTES;
    w->out = malloc(OUT_BYTES);
    CHECK(w->out != NULL);
    arena_init(&w->arena, env->mem, MEM_FETCH, (size_t)64 << 20);
}

void wire_deinit(struct wire *w)
{
    free(w->out);
    free(w->in);
    w->out = w->in = NULL;
}

bool wire_up(const struct wire *w)
{
    return w->state == WIRE_UP;
}

/* ---- life ---- */

static void forget(struct wire *w)
{
    w->call_first = w->call_count = 0;
    w->out_at = w->out_len = w->in_len = 0;
    w->paused = false;
}

void wire_open(struct wire *w)
{
    CHECK(w->state == WIRE_DOWN);
    forget(w);
    w->generation++;
    w->state = WIRE_CONNECTING;
    w->connect = (struct io_op){.kind = IO_CONNECT, .path = BROKER_ADDRESS, .done = connected};
    env_submit(w->env, &w->connect);
}

static void is_down(struct wire *w)
{
    w->state = WIRE_DOWN;
    w->sock = -1;
    w->down(w);
}

static void socket_closed(struct io_op *op)
{
    is_down(container_of(op, struct wire, close));
}

static void close_if_quiet(struct wire *w)
{
    if (w->state != WIRE_CLOSING || w->recv.in_flight || w->send.in_flight || w->shutdown.in_flight) return;
    if (w->close.in_flight) return;
    w->close = (struct io_op){.kind = IO_CLOSE_SOCKET, .sock = w->sock, .done = socket_closed};
    env_submit(w->env, &w->close);
}

static void shut(struct io_op *op)
{
    close_if_quiet(container_of(op, struct wire, shutdown));
}

void wire_close(struct wire *w)
{
    if (w->state == WIRE_CONNECTING) {
        if (w->connect.in_flight) env_cancel(w->env, &w->connect);
        return; /* connected() says down */
    }
    if (w->state != WIRE_UP) return;
    w->state = WIRE_CLOSING;
    env_timer_stop(w->env, &w->watch);
    env_timer_stop(w->env, &w->unpause);
    forget(w);
    w->shutdown = (struct io_op){.kind = IO_SHUTDOWN, .sock = w->sock, .done = shut};
    env_submit(w->env, &w->shutdown);
}

/* One look at the oldest call per tenth of the time-out. */
static void watch(struct timer *t)
{
    struct wire *w = container_of(t, struct wire, watch);
    if (w->call_count > 0 && w->env->now.v - w->calls[w->call_first].since > w->timeout_ns && !w->paused) {
        w->world->count.timeouts++;
        wire_close(w);
        return;
    }
    env_timer_start(w->env, t, mono_add(w->env->now, w->timeout_ns / 10));
}

static void arm(struct wire *w)
{
    if (w->state != WIRE_UP || w->recv.in_flight || w->paused) return;
    w->recv = (struct io_op){.kind = IO_RECV, .sock = w->sock, .done = received};
    env_submit(w->env, &w->recv);
}

static void connected(struct io_op *op)
{
    struct wire *w = container_of(op, struct wire, connect);
    if (op->status != STATUS_OK) {
        is_down(w);
        return;
    }
    w->sock = (int32_t)op->result;
    w->state = WIRE_UP;
    w->world->count.connections++;
    w->watch.fire = watch;
    env_timer_start(w->env, &w->watch, mono_add(w->env->now, w->timeout_ns / 10));
    arm(w);
    w->up(w);
}

/* ---- out ---- */

static void sent(struct io_op *op)
{
    struct wire *w = container_of(op, struct wire, send);
    if (w->state != WIRE_UP) {
        close_if_quiet(w);
        return;
    }
    if (op->status != STATUS_OK) {
        wire_close(w);
        return;
    }
    w->out_at += (size_t)op->result;
    send_more(w);
}

static void send_more(struct wire *w)
{
    if (w->send.in_flight || w->out_at == w->out_len) return;
    w->iov = (struct iovec){w->out + w->out_at, w->out_len - w->out_at};
    w->send = (struct io_op){.kind = IO_SEND, .sock = w->sock, .iov = &w->iov, .iov_count = 1, .done = sent};
    env_submit(w->env, &w->send);
}

/* Bytes in flight stay where they are: the buffer is moved and grown only while no send borrows it. */
static uint8_t *out_room(struct wire *w, size_t size)
{
    if (!w->send.in_flight && w->out_at > 0) {
        memmove(w->out, w->out + w->out_at, w->out_len - w->out_at);
        w->out_len -= w->out_at;
        w->out_at = 0;
    }
    if (w->out_len + size > w->out_room) {
        if (w->send.in_flight) return NULL;
        w->out_room = MAX(w->out_room * 2, w->out_len + size);
        w->out = realloc(w->out, w->out_room);
        CHECK(w->out != NULL);
    }
    return w->out + w->out_len;
}

bool wire_call(struct wire *w, int16_t key, int16_t version, const void *request, uint64_t tag, bool answered)
{
    const struct api_info *api = api_find(key);
    struct writer out;
    CHECK(w->state == WIRE_UP && api != NULL);
    if (w->call_count == WIRE_CALLS_MAX) return false;
    struct request_header h = {.api_key = key,
                               .api_version = version,
                               .correlation_id = w->correlation,
                               .client_id = {w->name, (int32_t)strlen(w->name)},
                               .api = api,
                               .supported = true};
    struct message_size body = api->request->size(version, request), all = frame_request_size(&h, body);
    uint8_t *at = out_room(w, all.total);
    if (at == NULL) return false;
    writer_init(&out, at, all.total, NULL, 0);
    frame_request(&out, &h, body);
    api->request->encode(&out, version, request);
    CHECK_OK(writer_finish(&out));
    CHECK(out.total == all.total);
    w->out_len += all.total;
    w->correlation++;
    w->world->count.calls++;
    if (answered)
        w->calls[(w->call_first + w->call_count++) % WIRE_CALLS_MAX] =
            (struct wire_call){key, version, h.correlation_id, tag, w->env->now.v};
    send_more(w);
    return true;
}

/* ---- in ---- */

static void take_frame(struct wire *w, const uint8_t *data, size_t size)
{
    struct cursor c;
    int32_t correlation = -1;
    BROKER_MUST(w->world, w->call_count > 0, "%s: an answer that nobody asked for", w->name);
    struct wire_call call = w->calls[w->call_first];
    const struct message_type *type = api_find(call.key)->response;
    cursor_init(&c, data, size);
    enum status s = response_header_decode(&c, call.key, call.version, &correlation);
    BROKER_MUST(w->world, s == STATUS_OK && correlation == call.correlation, "%s: %s answered as %d instead of %d",
                w->name, type->name, correlation, call.correlation);
    arena_reset(&w->arena);
    void *response = arena_zalloc(&w->arena, type->struct_size);
    CHECK(response != NULL);
    s = type->decode(&c, &w->arena, call.version, response);
    BROKER_MUST(w->world, s == STATUS_OK && cursor_left(&c) == 0, "%s: %s v%d: %s, %zu bytes left: %s", w->name,
                type->name, call.version, status_text(s), cursor_left(&c), c.what != NULL ? c.what : "");
    w->call_first = (w->call_first + 1) % WIRE_CALLS_MAX;
    w->call_count--;
    w->world->count.answers++;
    w->answer(w, &call, response);
}

static void take_frames(struct wire *w)
{
    size_t at = 0;
    uint64_t generation = w->generation;
    while (w->state == WIRE_UP && w->generation == generation && w->in_len - at >= FRAME_PREFIX_BYTES) {
        uint32_t size = 0;
        enum status s = frame_size_of_response(w->in + at, FRAME_MAX, &size);
        BROKER_MUST(w->world, s == STATUS_OK, "%s: a frame of %u bytes", w->name, load_be32(w->in + at));
        if (w->in_len - at - FRAME_PREFIX_BYTES < size) break;
        take_frame(w, w->in + at + FRAME_PREFIX_BYTES, size);
        at += FRAME_PREFIX_BYTES + size;
    }
    if (w->state != WIRE_UP || at == 0) return;
    memmove(w->in, w->in + at, w->in_len - at);
    w->in_len -= at;
}

static void received(struct io_op *op)
{
    struct wire *w = container_of(op, struct wire, recv);
    if (w->state != WIRE_UP) {
        if (!op->more) close_if_quiet(w);
        return;
    }
    if (op->status == STATUS_CANCELED || (op->status == STATUS_OK && op->result > 0)) {
        size_t n = op->status == STATUS_OK ? (size_t)op->result : 0;
        if (w->in_len + n > w->in_room) {
            w->in_room = MAX(w->in_room * 2, w->in_len + n);
            w->in = realloc(w->in, w->in_room);
            CHECK(w->in != NULL);
        }
        if (n > 0) memcpy(w->in + w->in_len, op->data, n);
        w->in_len += n;
        take_frames(w);
        if (!op->more) arm(w);
        return;
    }
    wire_close(w);
}

static void unpause(struct timer *t)
{
    struct wire *w = container_of(t, struct wire, unpause);
    w->paused = false;
    if (w->call_count > 0) w->calls[w->call_first].since = w->env->now.v;
    arm(w);
}

void wire_pause(struct wire *w, int64_t ns)
{
    if (w->state != WIRE_UP || w->paused) return;
    w->paused = true;
    w->unpause.fire = unpause;
    env_timer_start(w->env, &w->unpause, mono_add(w->env->now, ns));
    if (w->recv.in_flight) env_cancel(w->env, &w->recv);
}

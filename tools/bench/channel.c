// SPDX-License-Identifier: Apache-2.0
/* Connections of the generator (channel.h).
 *
 * Path out: channel_send queues and marks; the hook at the end of the turn makes one send of all that is queued, as far
 * as the iovec list goes; what was sent is ticked off, calls move to `waiting`. Path in: multishot receive, bytes are
 * copied into the frame being received; a whole frame goes to the first call that waits.
 *
 * Failure modes: whatever ends the connection is put into one sentence with the address; a length out of bounds, an
 * answer nobody asked for, or one with another correlation id is a fault of the broker and ends it too. */
#include "tools/bench/channel.h"

#include "base/bytes.h"
#include "tools/bench/machine.h"
#include <stdio.h>
#include <stdlib.h>

#define FRAME_FIRST_BYTES 4096u

static void flush(struct turn_hook *h);

void channels_init(struct channels *set, struct env *e)
{
    *set = (struct channels){.env = e, .hook.run = flush};
    list_init(&set->dirty);
    env_hook_add(e, &set->hook);
}

void channels_deinit(struct channels *set)
{
    CHECK(list_empty(&set->dirty));
    env_hook_remove(set->env, &set->hook);
}

static void mark(struct channel *c)
{
    if (!list_linked(&c->in_dirty)) list_push_back(&c->set->dirty, &c->in_dirty);
}

/* ---- end ---- */

void channel_close(struct channel *c)
{
    if (c->closing) return;
    c->closing = true;
    if (c->connect.in_flight)
        env_cancel(c->set->env, &c->connect);
    else if (c->recv.in_flight || c->send.in_flight)
        c->shutdown.kind = IO_SHUTDOWN;
    mark(c);
}

void channel_fail(struct channel *c, const char *why)
{
    if (c->closing) return;
    snprintf(c->why, sizeof c->why, "%s: %s", c->address, why);
    channel_close(c);
    c->failed(c);
}

static void io_over(struct io_op *op)
{
    mark(container_of(op, struct channel, shutdown));
}

static void is_closed(struct io_op *op)
{
    struct channel *c = container_of(op, struct channel, close);
    if (list_linked(&c->in_dirty)) list_remove(&c->in_dirty);
    free(c->frame);
    c->frame = NULL;
    c->closed(c);
}

/* Of a closing channel, from the hook: one step nearer to the end whenever an operation has ended. */
static void end(struct channel *c)
{
    struct env *e = c->set->env;
    if (c->shutdown.kind == IO_SHUTDOWN && c->shutdown.done == NULL) {
        c->shutdown = (struct io_op){.kind = IO_SHUTDOWN, .sock = c->sock, .done = io_over};
        env_submit(e, &c->shutdown);
    }
    bool busy = c->connect.in_flight || c->recv.in_flight || c->send.in_flight || c->shutdown.in_flight;
    if (busy || c->close.done != NULL) return;
    c->close = (struct io_op){.kind = IO_CLOSE_SOCKET, .sock = c->sock, .done = is_closed};
    if (c->open)
        env_submit(e, &c->close);
    else
        is_closed(&c->close);
}

/* ---- out ---- */

void channel_send(struct channel *c, struct call *call)
{
    CHECK(c->open && call->iov_count > 0);
    if (c->closing) return;
    call->iov_at = 0;
    call->iov_pos = 0;
    call->answered = false;
    call->sent_ns = clock_ns();
    list_push_back(&c->unsent, &call->in_channel);
    mark(c);
}

static uint32_t gather(struct channel *c)
{
    uint32_t n = 0;
    list_each (node, &c->unsent) {
        struct call *call = container_of(node, struct call, in_channel);
        size_t skip = call->iov_pos;
        for (uint32_t i = call->iov_at; i < call->iov_count && n < CHANNEL_IOVS; i++, skip = 0)
            c->iovs[n++] = (struct iovec){(uint8_t *)call->iov[i].iov_base + skip, call->iov[i].iov_len - skip};
        if (n == CHANNEL_IOVS) break;
    }
    return n;
}

static void call_sent(struct channel *c, struct call *call)
{
    list_remove(&call->in_channel);
    if (call->answered || call->no_answer)
        call->over(call);
    else
        list_push_back(&c->waiting, &call->in_channel);
}

static void tick_off(struct channel *c, size_t bytes)
{
    while (bytes > 0) {
        CHECK(!list_empty(&c->unsent));
        struct call *call = container_of(list_first(&c->unsent), struct call, in_channel);
        size_t left = call->iov[call->iov_at].iov_len - call->iov_pos, n = MIN(left, bytes);
        bytes -= n;
        call->iov_pos += n;
        if (n < left) return;
        call->iov_pos = 0;
        if (++call->iov_at == call->iov_count) call_sent(c, call);
    }
}

static void sent(struct io_op *op)
{
    struct channel *c = container_of(op, struct channel, send);
    mark(c);
    if (c->closing) return;
    if (op->status != STATUS_OK) {
        channel_fail(c, status_text(op->status));
        return;
    }
    c->bytes_out += (uint64_t)op->result;
    tick_off(c, (size_t)op->result);
}

static void flush(struct turn_hook *h)
{
    struct channels *set = container_of(h, struct channels, hook);
    struct list_node *node;
    while ((node = list_pop_front(&set->dirty)) != NULL) {
        struct channel *c = container_of(node, struct channel, in_dirty);
        if (c->closing) {
            end(c);
            continue;
        }
        if (c->send.in_flight || list_empty(&c->unsent)) continue;
        uint32_t n = gather(c);
        c->send = (struct io_op){.kind = IO_SEND, .sock = c->sock, .iov = c->iovs, .iov_count = n, .done = sent};
        env_submit(set->env, &c->send);
    }
}

/* ---- in ---- */

void channel_keep(struct channel *c, uint8_t *other, uint32_t other_room, uint8_t **ret_frame, uint32_t *ret_room)
{
    *ret_frame = c->frame;
    *ret_room = c->frame_room;
    c->frame = other;
    c->frame_room = other_room;
}

static void frame_take(struct channel *c)
{
    uint32_t size = c->frame_size;
    c->prefix_have = c->frame_have = c->frame_size = 0;
    struct list_node *node = list_first(&c->waiting);
    bool early = node == NULL; /* the broker was faster than the report of our send */
    if (early) node = list_first(&c->unsent);
    struct call *call = node == NULL ? NULL : container_of(node, struct call, in_channel);
    if (call == NULL || call->no_answer || call->answered) {
        channel_fail(c, "the broker sent a response that nobody asked for");
        return;
    }
    if ((int32_t)load_be32(c->frame) != call->correlation_id) {
        channel_fail(c, "the broker answered another request than the oldest one");
        return;
    }
    call->answered = true;
    if (!early) list_remove(&call->in_channel);
    call->answer(call, c->frame, size);
    if (!early) call->over(call);
}

static bool frame_begin(struct channel *c)
{
    if (frame_size_of_response(c->prefix, CHANNEL_FRAME_MAX, &c->frame_size) == STATUS_OK) return true;
    channel_fail(c, "the broker sent a response of an impossible length; is it a Kafka listener without TLS?");
    return false;
}

static void frame_grow(struct channel *c, uint32_t more)
{
    if (c->frame_room - c->frame_have >= more) return;
    uint32_t room = MIN(MAX(MAX(c->frame_room * 2, c->frame_have + more), FRAME_FIRST_BYTES), c->frame_size);
    c->frame = realloc(c->frame, room);
    CHECK(c->frame != NULL);
    c->frame_room = room;
}

static void bytes_take(struct channel *c, const uint8_t *data, uint32_t size)
{
    c->bytes_in += size;
    while (size > 0 && !c->closing) {
        if (c->prefix_have < FRAME_PREFIX_BYTES) {
            c->prefix[c->prefix_have++] = *data++;
            size--;
            if (c->prefix_have < FRAME_PREFIX_BYTES || frame_begin(c)) continue;
            return;
        }
        uint32_t n = MIN(size, c->frame_size - c->frame_have);
        frame_grow(c, n);
        memcpy(c->frame + c->frame_have, data, n);
        c->frame_have += n;
        data += n;
        size -= n;
        if (c->frame_have == c->frame_size) frame_take(c);
    }
}

static void received(struct io_op *op)
{
    struct channel *c = container_of(op, struct channel, recv);
    mark(c);
    if (c->closing) return;
    if (op->status != STATUS_OK)
        channel_fail(c, status_text(op->status));
    else if (op->result == 0)
        channel_fail(c, "the broker closed the connection");
    else
        bytes_take(c, op->data, (uint32_t)op->result);
}

/* ---- begin ---- */

static void connected(struct io_op *op)
{
    struct channel *c = container_of(op, struct channel, connect);
    mark(c);
    if (op->status == STATUS_OK) {
        c->sock = (int32_t)op->result;
        c->open = true;
    }
    if (c->closing) return;
    if (op->status != STATUS_OK) {
        channel_fail(c, status_text(op->status));
        return;
    }
    c->recv = (struct io_op){.kind = IO_RECV, .sock = c->sock, .done = received};
    env_submit(c->set->env, &c->recv);
    c->opened(c);
}

void channel_open(struct channel *c, struct channels *set)
{
    c->set = set;
    list_init(&c->unsent);
    list_init(&c->waiting);
    c->connect = (struct io_op){.kind = IO_CONNECT, .path = c->address, .done = connected};
    env_submit(set->env, &c->connect);
}

int64_t channel_waits_since_ns(const struct channel *c)
{
    const struct list_node *node = list_first(&c->waiting);
    if (node == NULL) node = list_first(&c->unsent);
    return node == NULL ? INT64_MAX : container_of(node, const struct call, in_channel)->sent_ns;
}

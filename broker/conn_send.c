// SPDX-License-Identifier: Apache-2.0
/* Output of a connection: responses in request order, one send per turn.
 *
 * Path: the turn hook calls conn_send for each marked connection -> the pieces of the leading answered requests become
 * one iovec list -> IO_SEND -> sent bytes are ticked off piece by piece; a request that is sent whole is finished.
 * Failure modes: a short send goes on with the rest; a failed one closes the connection. */
#include "broker/conn.h"
#include "broker/shard.h"

/* Requests at the front that have nothing left to send, the ones without a response among them. */
static void finish_sent(struct conn *c)
{
    while (!list_empty(&c->requests)) {
        struct request *r = container_of(list_first(&c->requests), struct request, in_conn);
        if (r->state != REQUEST_ANSWERED || r->piece_at < r->piece_count) return;
        request_finish(r);
    }
}

static uint32_t gather_request(const struct request *r, struct iovec *iovs, uint32_t room)
{
    uint32_t n = 0;
    size_t skip = r->piece_pos;
    for (uint32_t i = r->piece_at; i < r->piece_count && n < room; i++, skip = 0)
        iovs[n++] = (struct iovec){(void *)(uintptr_t)(r->pieces[i].data + skip), r->pieces[i].len - skip};
    return n;
}

static uint32_t gather(struct conn *c)
{
    uint32_t n = 0;
    list_each (node, &c->requests) {
        const struct request *r = container_of(node, struct request, in_conn);
        if (r->state != REQUEST_ANSWERED || n == CONN_IOVS) break;
        n += gather_request(r, c->iovs + n, CONN_IOVS - n);
    }
    return n;
}

static void tick_off(struct conn *c, size_t bytes)
{
    list_each (node, &c->requests) {
        struct request *r = container_of(node, struct request, in_conn);
        while (r->piece_at < r->piece_count && bytes > 0) {
            size_t left = r->pieces[r->piece_at].len - r->piece_pos;
            size_t n = MIN(left, bytes);
            bytes -= n;
            r->piece_pos += n;
            if (n < left) return;
            r->piece_at++;
            r->piece_pos = 0;
        }
        if (bytes == 0) return;
    }
    CHECK(bytes == 0);
}

static void sent(struct io_op *op)
{
    struct conn *c = container_of(op, struct conn, send);
    struct shard *s = c->shard;
    if (op->status != STATUS_OK) {
        conn_close(c);
    } else {
        c->active = s->env->now;
        s->count.bytes_out->value += (uint64_t)op->result;
        tick_off(c, (size_t)op->result);
    }
    conn_released(c); /* marks it */
}

void conn_send(struct conn *c)
{
    if (!c->closing && !c->send.in_flight) {
        finish_sent(c);
        uint32_t n = gather(c);
        if (n > 0) {
            c->send = (struct io_op){.kind = IO_SEND, .sock = c->sock, .iov = c->iovs, .iov_count = n, .done = sent};
            env_submit(c->shard->env, &c->send);
        }
    }
    if (!c->closing) conn_take(c);
    if (c->closing) conn_end(c);
}

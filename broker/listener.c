// SPDX-License-Identifier: Apache-2.0
/* Listener (listener.h). Path: env_listen, one multishot accept, conn_open per socket. Failure modes: out of
 * descriptors or memory: the accept ends, one log line, a new one after ACCEPT_AGAIN_NS; too many connections: the new
 * one is closed (conn.c). */
#include "broker/listener.h"
#include "broker/conn.h"
#include "broker/shard.h"

#define ACCEPT_AGAIN_NS (100 * NS_PER_MS)

static void closed(struct io_op *op)
{
    struct listener *l = container_of(op, struct listener, close);
    l->sock = -1;
    shard_drained(l->shard);
}

static void close_socket(struct listener *l)
{
    l->close = (struct io_op){.kind = IO_CLOSE_SOCKET, .sock = l->sock, .done = closed};
    env_submit(l->shard->env, &l->close);
}

static void accepted(struct io_op *op)
{
    struct listener *l = container_of(op, struct listener, accept);
    struct shard *s = l->shard;
    if (op->status == STATUS_OK)
        conn_open(s, (int32_t)op->result);
    else if (op->status != STATUS_CANCELED)
        SHARD_LOG(s, LOG_WARN, "accept.failed", LOG_STATUS("status", op->status));
    if (op->more) return;
    if (l->stopping)
        close_socket(l);
    else
        env_timer_start(s->env, &l->again, mono_add(s->env->now, ACCEPT_AGAIN_NS));
}

static void arm(struct listener *l)
{
    l->accept = (struct io_op){.kind = IO_ACCEPT, .sock = l->sock, .done = accepted};
    env_submit(l->shard->env, &l->accept);
}

static void again(struct timer *t)
{
    arm(container_of(t, struct listener, again));
}

enum status listener_open(struct listener *l, struct shard *s, const char *host, uint16_t port, uint16_t *ret_port)
{
    *l = (struct listener){.shard = s, .sock = -1, .again.fire = again};
    int32_t sock;
    enum status status = env_listen(s->env, host, port, true, &sock, ret_port);
    if (status != STATUS_OK) return status;
    l->sock = sock;
    return STATUS_OK;
}

void listener_start(struct listener *l)
{
    arm(l);
}

void listener_stop(struct listener *l)
{
    if (l->sock < 0 || l->stopping) return;
    l->stopping = true;
    env_timer_stop(l->shard->env, &l->again);
    if (l->accept.in_flight)
        env_cancel(l->shard->env, &l->accept);
    else
        close_socket(l);
}

bool listener_open_still(const struct listener *l)
{
    return l->sock >= 0;
}

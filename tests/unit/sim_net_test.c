// SPDX-License-Identifier: Apache-2.0
/* The network of the simulator: bytes arrive in order and complete, in pieces of any size, or the connection says that
 * it is over; partitions hold them; a full window holds the sender. */
#include "sim_world.h"

struct end { /* one side of a connection: sends n bytes counting up, checks what comes */
    struct env *e;
    int32_t sock;
    struct io_op recv, send, shut;
    struct iovec iov;
    uint8_t *out;
    uint64_t out_len, sent, got;
    enum status send_status, recv_status;
    bool wrong, over, send_over;
    uint64_t events;
};

struct net {
    struct sim *sim;
    struct sim_machine *a, *b;
    struct io_op accept, connect;
    struct end client, server;
    int32_t listener;
    uint16_t port;
    char address[32];
};

static void on_recv(struct io_op *op)
{
    struct end *d = container_of(op, struct end, recv);
    d->events++;
    for (int64_t n = 0; n < op->result; n++) d->wrong |= ((uint8_t *)op->data)[n] != (uint8_t)(d->got + (uint64_t)n);
    d->got += (uint64_t)op->result;
    if (op->more) return;
    d->recv_status = op->status;
    d->over = op->status != STATUS_OK || op->result == 0;
    if (!d->over) env_submit(d->e, op); /* a multishot may end at any time */
}

static void send_rest(struct end *d)
{
    d->iov = (struct iovec){d->out + d->sent, d->out_len - d->sent};
    d->send = (struct io_op){.kind = IO_SEND, .sock = d->sock, .iov = &d->iov, .iov_count = 1, .done = d->send.done};
    env_submit(d->e, &d->send);
}

static void on_sent(struct io_op *op)
{
    struct end *d = container_of(op, struct end, send);
    d->send_status = op->status;
    if (op->status == STATUS_OK) d->sent += (uint64_t)op->result;
    d->send_over = op->status != STATUS_OK || d->sent == d->out_len;
    if (!d->send_over) send_rest(d);
}

static void end_begin(struct end *d, struct env *e, int32_t sock)
{
    *d = (struct end){.e = e, .sock = sock};
    d->recv = (struct io_op){.kind = IO_RECV, .sock = sock, .done = on_recv};
    env_submit(e, &d->recv);
}

static void end_send(struct end *d, uint64_t len)
{
    d->out = malloc(len);
    d->out_len = len;
    for (uint64_t n = 0; n < len; n++) d->out[n] = (uint8_t)n;
    d->send.done = on_sent;
    send_rest(d);
}

static void end_free(struct end *d)
{
    free(d->out);
}

static void on_accept(struct io_op *op)
{
    struct net *n = container_of(op, struct net, accept);
    if (op->more && op->status == STATUS_OK) end_begin(&n->server, sim_env(n->b, 0), (int32_t)op->result);
}

static void net_create(struct net *n, uint64_t seed)
{
    *n = (struct net){.sim = sim_create(&(struct sim_config){.seed = seed})};
    n->a = sim_machine_create(n->sim, "10.0.0.1", NULL);
    n->b = sim_machine_create(n->sim, "10.0.0.2", NULL);
    sim_boot(n->a, 1, idle_start, NULL);
    sim_boot(n->b, 1, idle_start, NULL);
    ASSERT_EQ(env_listen(sim_env(n->b, 0), "0.0.0.0", 0, true, &n->listener, &n->port), STATUS_OK);
    n->accept = (struct io_op){.kind = IO_ACCEPT, .sock = n->listener, .done = on_accept};
    env_submit(sim_env(n->b, 0), &n->accept);
    snprintf(n->address, sizeof n->address, "10.0.0.2:%u", n->port);
}

static enum status net_connect(struct net *n)
{
    n->connect = (struct io_op){.kind = IO_CONNECT, .path = n->address};
    enum status st = await(n->sim, sim_env(n->a, 0), &n->connect);
    if (st == STATUS_OK) end_begin(&n->client, sim_env(n->a, 0), (int32_t)n->connect.result);
    return st;
}

static void net_destroy(struct net *n)
{
    sim_destroy(n->sim);
    end_free(&n->client);
    end_free(&n->server);
}

static void run_ms(struct net *n, int64_t ms)
{
    sim_run_until(n->sim, sim_now(n->sim) + ms * NS_PER_MS);
}

static void bytes_arrive_in_order_cut_anywhere(void)
{
    uint64_t odd = 0;
    for (uint64_t seed = 1; seed < 10; seed++) {
        struct net n;
        net_create(&n, seed);
        sim_link_set(n.a, n.b, &(struct sim_link){.short_ppm = 500000, .fragment_ppm = 500000, .window_bytes = 65536});
        ASSERT_EQ(net_connect(&n), STATUS_OK);
        end_send(&n.client, 1000000);
        run_ms(&n, 1000);
        ASSERT(n.client.send_over && n.client.send_status == STATUS_OK);
        ASSERT_EQ(n.server.got, 1000000);
        ASSERT(!n.server.wrong);
        odd += sim_counters(n.sim)->fragments + sim_counters(n.sim)->cut_sends;
        net_destroy(&n);
    }
    ASSERT(odd > 20);
}

static void a_port_is_shared_only_if_all_say_so(void)
{
    struct net n;
    int32_t sock = -5;
    uint16_t port = 5;
    net_create(&n, 4);
    struct env *b = sim_env(n.b, 0), *a = sim_env(n.a, 0);
    ASSERT_EQ(env_listen(b, "0.0.0.0", n.port, false, &sock, &port), STATUS_ADDRESS_IN_USE);
    ASSERT(sock == -5 && port == 5);
    ASSERT_EQ(env_listen(b, "0.0.0.0", n.port, true, &sock, &port), STATUS_OK);
    ASSERT_EQ(env_listen(a, "0.0.0.0", n.port, false, &sock, &port), STATUS_OK); /* another machine */
    ASSERT_EQ(env_listen(a, "0.0.0.0", n.port, true, &sock, &port), STATUS_ADDRESS_IN_USE);
    struct io_op process = {.kind = IO_PROCESS};
    ASSERT_EQ(await(n.sim, a, &process), STATUS_UNSUPPORTED);
    net_destroy(&n);
}

static void nobody_listens_nobody_answers(void)
{
    struct net n;
    net_create(&n, 1);
    snprintf(n.address, sizeof n.address, "10.0.0.2:%u", n.port + 1u);
    ASSERT_EQ(net_connect(&n), STATUS_REFUSED);
    sim_link_cut(n.b, n.a, true);
    int64_t begin = sim_now(n.sim);
    ASSERT_EQ(net_connect(&n), STATUS_TIMED_OUT);
    ASSERT(sim_now(n.sim) - begin > NS_PER_S);
    net_destroy(&n);
}

static void partition_holds_bytes_one_way(void)
{
    struct net n;
    net_create(&n, 2);
    ASSERT_EQ(net_connect(&n), STATUS_OK);
    run_ms(&n, 10);
    sim_link_cut(n.a, n.b, true);
    end_send(&n.client, 1000);
    end_send(&n.server, 1000);
    run_ms(&n, 1000);
    ASSERT_EQ(n.server.got, 0);
    ASSERT_EQ(n.client.got, 1000);
    sim_link_cut(n.a, n.b, false);
    run_ms(&n, 1000);
    ASSERT_EQ(n.server.got, 1000);
    ASSERT(!n.server.wrong);
    net_destroy(&n);
}

static void full_window_holds_the_sender(void)
{
    struct net n;
    net_create(&n, 3);
    ASSERT_EQ(net_connect(&n), STATUS_OK);
    run_ms(&n, 10);
    sim_pause(n.b);
    end_send(&n.client, 1000000);
    run_ms(&n, 1000);
    /* The window, and one event of 64 KiB that waits in the paused process. */
    ASSERT(n.client.sent > 0 && n.client.sent <= (256 + 64) * 1024 && !n.client.send_over);
    sim_resume(n.b);
    run_ms(&n, 1000);
    ASSERT_EQ(n.server.got, 1000000);
    net_destroy(&n);
}

static void reset_ends_both_sides(void)
{
    struct net n;
    net_create(&n, 4);
    ASSERT_EQ(net_connect(&n), STATUS_OK);
    run_ms(&n, 10);
    ASSERT_EQ(sim_net_reset(n.a, n.b), 1);
    run_ms(&n, 10);
    ASSERT(n.client.over && n.client.recv_status == STATUS_CLOSED);
    ASSERT(n.server.over && n.server.recv_status == STATUS_CLOSED);
    end_send(&n.client, 10);
    run_ms(&n, 10);
    ASSERT_EQ(n.client.send_status, STATUS_CLOSED);
    net_destroy(&n);
}

static void shutdown_is_the_end_for_the_peer_after_the_bytes(void)
{
    struct net n;
    net_create(&n, 5);
    ASSERT_EQ(net_connect(&n), STATUS_OK);
    end_send(&n.client, 100000);
    while (!n.client.send_over) sim_step(n.sim);
    n.client.shut = (struct io_op){.kind = IO_SHUTDOWN, .sock = n.client.sock};
    ASSERT_EQ(await(n.sim, n.client.e, &n.client.shut), STATUS_OK);
    run_ms(&n, 100);
    ASSERT(n.client.over && n.client.recv_status == STATUS_OK);
    ASSERT_EQ(n.server.got, 100000);
    ASSERT(n.server.over && n.server.recv_status == STATUS_OK);
    end_send(&n.server, 10); /* goes out, and is answered by a reset */
    run_ms(&n, 100);
    end_free(&n.server);
    n.server.sent = 0;
    end_send(&n.server, 10);
    run_ms(&n, 100);
    ASSERT_EQ(n.server.send_status, STATUS_CLOSED);
    struct io_op close = {.kind = IO_CLOSE_SOCKET, .sock = n.client.sock};
    ASSERT_EQ(await(n.sim, n.client.e, &close), STATUS_OK);
    net_destroy(&n);
}

static void killed_process_closes_power_cut_is_silent(void)
{
    struct net n;
    net_create(&n, 6);
    ASSERT_EQ(net_connect(&n), STATUS_OK);
    run_ms(&n, 10);
    sim_kill(n.b, SIM_KILL);
    run_ms(&n, 10);
    ASSERT(n.client.over);
    net_destroy(&n);

    net_create(&n, 7);
    ASSERT_EQ(net_connect(&n), STATUS_OK);
    run_ms(&n, 10);
    sim_kill(n.b, SIM_POWER);
    run_ms(&n, 10000);
    ASSERT(!n.client.over);
    sim_boot(n.b, 1, idle_start, NULL);
    end_send(&n.client, 10);
    run_ms(&n, 100);
    ASSERT(n.client.over && n.client.recv_status == STATUS_CLOSED);
    net_destroy(&n);
}

static void ops_are_cancelled(void)
{
    struct net n;
    net_create(&n, 8);
    ASSERT_EQ(net_connect(&n), STATUS_OK);
    run_ms(&n, 10);
    env_cancel(n.client.e, &n.client.recv);
    env_cancel(sim_env(n.b, 0), &n.accept);
    run_ms(&n, 10);
    ASSERT_EQ(n.client.recv_status, STATUS_CANCELED);
    ASSERT(!n.client.recv.in_flight && !n.accept.in_flight);
    ASSERT_EQ(n.accept.status, STATUS_CANCELED);
    net_destroy(&n);
}

static void bandwidth_takes_time(void)
{
    struct net n;
    net_create(&n, 9);
    sim_link_set(n.a, n.b, &(struct sim_link){.bytes_per_s = 1000000});
    ASSERT_EQ(net_connect(&n), STATUS_OK);
    end_send(&n.client, 1000000);
    run_ms(&n, 500);
    ASSERT(n.server.got > 100000 && n.server.got < 600000);
    run_ms(&n, 1000);
    ASSERT_EQ(n.server.got, 1000000);
    net_destroy(&n);
}

static void connections_are_lost_by_chance(void)
{
    struct net n;
    net_create(&n, 10);
    sim_link_set(n.a, n.b, &(struct sim_link){.reset_ppm = 1000000});
    ASSERT_EQ(net_connect(&n), STATUS_OK);
    end_send(&n.client, 10);
    run_ms(&n, 100);
    ASSERT_EQ(n.client.send_status, STATUS_CLOSED);
    ASSERT(n.server.over && n.server.recv_status == STATUS_CLOSED);
    net_destroy(&n);
}

TEST_MAIN("sim_net", {"bandwidth takes time", bandwidth_takes_time},
          {"a port is shared only if all say so", a_port_is_shared_only_if_all_say_so},
          {"connections are lost by chance", connections_are_lost_by_chance},
          {"bytes arrive in order, cut anywhere", bytes_arrive_in_order_cut_anywhere},
          {"refused or timed out", nobody_listens_nobody_answers},
          {"a partition holds bytes, one way", partition_holds_bytes_one_way},
          {"a full window holds the sender", full_window_holds_the_sender},
          {"a reset ends both sides", reset_ends_both_sides},
          {"shutdown ends the peer after the bytes", shutdown_is_the_end_for_the_peer_after_the_bytes},
          {"a kill closes, a power cut is silent", killed_process_closes_power_cut_is_silent},
          {"ops are cancelled", ops_are_cancelled})

// SPDX-License-Identifier: Apache-2.0
/* Sockets of the real env on loopback, descriptors of a library, what the process uses. */
#include "tests/unit/env_uring_world.h"
#include <sys/epoll.h>
#include <unistd.h>

static struct io_op accept_op, recv_op;
static int32_t accepted[8];
static int accepted_count;
static uint8_t stream[4 << 20];
static size_t streamed;
static bool peer_closed;

static void on_accept(struct io_op *op)
{
    if (op->status == STATUS_OK) accepted[accepted_count++] = (int32_t)op->result;
}

static void on_recv(struct io_op *op)
{
    if (op->status != STATUS_OK) return;
    if (op->result == 0) {
        peer_closed = true;
        ASSERT(!op->more);
        return;
    }
    ASSERT(streamed + (size_t)op->result <= sizeof stream);
    memcpy(stream + streamed, op->data, (size_t)op->result);
    streamed += (size_t)op->result;
}

static uint16_t listen_and_accept(int32_t *ret_listener)
{
    uint16_t port = 0;
    ASSERT_EQ(env_listen(env, "127.0.0.1", 0, true, ret_listener, &port), STATUS_OK);
    ASSERT(port != 0);
    accepted_count = 0;
    accept_op = (struct io_op){.kind = IO_ACCEPT, .sock = *ret_listener, .done = on_accept};
    env_submit(env, &accept_op);
    return port;
}

static int32_t connect_to(uint16_t port)
{
    char address[32];
    snprintf(address, sizeof address, "127.0.0.1:%u", port);
    struct io_op op = {.kind = IO_CONNECT, .path = address};
    ASSERT_EQ(run(&op), STATUS_OK);
    return (int32_t)op.result;
}

static void send_all(int32_t sock, uint8_t *data, size_t len)
{
    while (len > 0) {
        struct iovec iov[2] = {{data, len / 2}, {data + len / 2, len - len / 2}};
        struct io_op op = {.kind = IO_SEND, .sock = sock, .iov = iov, .iov_count = 2};
        ASSERT_EQ(run(&op), STATUS_OK);
        data += op.result;
        len -= (size_t)op.result;
    }
}

static void close_socket(int32_t sock)
{
    struct io_op op = {.kind = IO_CLOSE_SOCKET, .sock = sock};
    ASSERT_EQ(run(&op), STATUS_OK);
}

static void end_accept(int32_t listener)
{
    env_cancel(env, &accept_op);
    finish(&accept_op);
    ASSERT_EQ(accept_op.status, STATUS_CANCELED);
    close_socket(listener);
}

static void turn_until_accepted(int count)
{
    for (struct mono_ns limit = in_ms(10000); accepted_count < count;) {
        turn();
        ASSERT(env->now.v < limit.v);
    }
}

static void test_sockets(void)
{
    set_up(&(struct env_uring_config){.recv_buffers = 2}); /* so that receives starve and are armed again */
    int32_t listener, client[3];
    uint16_t port = listen_and_accept(&listener);
    for (int i = 0; i < 3; i++) client[i] = connect_to(port);
    turn_until_accepted(3);
    ASSERT(accept_op.in_flight);

    streamed = 0;
    peer_closed = false;
    recv_op = (struct io_op){.kind = IO_RECV, .sock = accepted[0], .done = on_recv};
    env_submit(env, &recv_op);
    static uint8_t sent[4 << 20];
    for (size_t i = 0; i < sizeof sent; i++) sent[i] = (uint8_t)(i * 31 + i / 65536);
    send_all(client[0], sent, sizeof sent);
    struct io_op down = {.kind = IO_SHUTDOWN, .sock = client[0]};
    ASSERT_EQ(run(&down), STATUS_OK);
    finish(&recv_op);
    ASSERT(peer_closed);
    ASSERT_EQ(streamed, sizeof sent);
    ASSERT(memcmp(stream, sent, sizeof sent) == 0);

    uint8_t byte = 1;
    struct iovec iov = {&byte, 1};
    struct io_op late = {.kind = IO_SEND, .sock = client[0], .iov = &iov, .iov_count = 1};
    ASSERT_EQ(run(&late), STATUS_CLOSED); /* and no SIGPIPE */
    for (int i = 0; i < 3; i++) {
        close_socket(client[i]);
        close_socket(accepted[i]);
    }
    end_accept(listener);
    tear_down();
}

/* A library's descriptor: told once, at once if it is readable already, and when asked again as long as it is. */
static void test_poll(void)
{
    set_up(&(struct env_uring_config){0});
    int pipe_fds[2], set = epoll_create1(EPOLL_CLOEXEC);
    ASSERT(set >= 0 && pipe(pipe_fds) == 0);
    struct epoll_event readable = {.events = EPOLLIN};
    ASSERT_EQ(epoll_ctl(set, EPOLL_CTL_ADD, pipe_fds[0], &readable), 0);
    struct io_op poll = {.kind = IO_POLL, .sock = set, .done = count_done};
    env_submit(env, &poll);
    for (int i = 0; i < 3; i++) turn();
    ASSERT(poll.in_flight);
    ASSERT_EQ(write(pipe_fds[1], "xy", 2), 2);
    finish(&poll);
    ASSERT_EQ(poll.status, STATUS_OK);
    ASSERT(!poll.more);
    ASSERT_EQ(run(&poll), STATUS_OK); /* nothing was taken */
    char taken[2];
    ASSERT_EQ(read(pipe_fds[0], taken, 1), 1);
    ASSERT_EQ(run(&poll), STATUS_OK); /* not all was */
    ASSERT_EQ(read(pipe_fds[0], taken, 1), 1);
    env_submit(env, &poll);
    for (int i = 0; i < 3; i++) turn();
    ASSERT(poll.in_flight);
    env_cancel(env, &poll);
    finish(&poll);
    ASSERT_EQ(poll.status, STATUS_CANCELED);
    close(set);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    tear_down();
}

static void test_process(void)
{
    set_up(&(struct env_uring_config){0});
    struct env_process before = {0}, after = {0};
    struct io_op op = {.kind = IO_PROCESS, .data = &before};
    ASSERT_EQ(run(&op), STATUS_OK);
    int fds[2];
    ASSERT_EQ(pipe(fds), 0);
    op.data = &after;
    ASSERT_EQ(run(&op), STATUS_OK);
    ASSERT_EQ(after.files_open, before.files_open + 2);
    ASSERT(after.files_open < after.files_max);
    ASSERT(before.cpu_ns > 0 && after.cpu_ns >= before.cpu_ns);
    ASSERT(after.resident_bytes > 100000 && after.resident_bytes < after.virtual_bytes);
    close(fds[0]);
    close(fds[1]);
    tear_down();
}

static void test_a_port_of_ones_own(void)
{
    set_up(&(struct env_uring_config){0});
    int32_t alone, shared, other = -5;
    uint16_t port = 0, port2 = 0, ignored = 5;
    ASSERT_EQ(env_listen(env, "127.0.0.1", 0, false, &alone, &port), STATUS_OK);
    ASSERT_EQ(env_listen(env, "127.0.0.1", port, false, &other, &ignored), STATUS_ADDRESS_IN_USE);
    ASSERT_EQ(env_listen(env, "127.0.0.1", port, true, &other, &ignored), STATUS_ADDRESS_IN_USE);
    ASSERT_EQ(env_listen(env, "127.0.0.1", 0, true, &shared, &port2), STATUS_OK);
    ASSERT_EQ(env_listen(env, "127.0.0.1", port2, false, &other, &ignored), STATUS_ADDRESS_IN_USE);
    ASSERT(other == -5 && ignored == 5);
    ASSERT_EQ(env_listen(env, "127.0.0.1", port2, true, &other, &ignored), STATUS_OK);
    ASSERT_EQ(ignored, port2);
    close_socket(alone);
    close_socket(shared);
    close_socket(other);
    tear_down();
}

static void test_cancel_and_refusals(void)
{
    set_up(&(struct env_uring_config){0});
    int32_t listener;
    uint16_t port = listen_and_accept(&listener);
    int32_t client = connect_to(port);
    turn_until_accepted(1);
    recv_op = (struct io_op){.kind = IO_RECV, .sock = client, .done = on_recv};
    env_submit(env, &recv_op);
    env_turn(env, in_ms(5));
    ASSERT(recv_op.in_flight);
    env_cancel(env, &recv_op);
    env_cancel(env, &recv_op); /* twice is fine */
    finish(&recv_op);
    ASSERT_EQ(recv_op.status, STATUS_CANCELED);
    env_submit(env, &recv_op);
    env_cancel(env, &recv_op); /* before the kernel has seen it */
    finish(&recv_op);
    ASSERT_EQ(recv_op.status, STATUS_CANCELED);
    close_socket(client);
    close_socket(accepted[0]);
    end_accept(listener);
    char address[32];
    snprintf(address, sizeof address, "127.0.0.1:%u", port);
    struct io_op op = {.kind = IO_CONNECT, .path = address};
    ASSERT_EQ(run(&op), STATUS_REFUSED);
    op.path = "localhost";
    ASSERT_EQ(run(&op), STATUS_INVALID);
    tear_down();
}

TEST_MAIN("env_uring_net", {"4 MiB through loopback with two receive buffers", test_sockets},
          {"a descriptor of a library is polled", test_poll}, {"what the process uses", test_process},
          {"a port of one's own", test_a_port_of_ones_own}, {"cancel, refused connections", test_cancel_and_refusals})

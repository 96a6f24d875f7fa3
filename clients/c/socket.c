// SPDX-License-Identifier: Apache-2.0
/* Non-blocking sockets and poll (contract: socket.h). Each call tries, waits for readiness until the deadline, tries
 * again. Failure modes: a signal only interrupts a wait, which goes on; sending to a closed peer is CLOSED, never
 * SIGPIPE. */
#include "clients/c/socket.h"

#include "base/bytes.h"
#include "base/check.h"
#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define SEND_PIECES 64u
#define WAIT_MAX    64u

static int64_t clock_ms(clockid_t id)
{
    struct timespec t;
    CHECK(clock_gettime(id, &t) == 0);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t socket_now_ms(void)
{
    return clock_ms(CLOCK_MONOTONIC);
}

int64_t socket_wall_ms(void)
{
    return clock_ms(CLOCK_REALTIME);
}

static int wait_ms(int64_t deadline_ms)
{
    if (deadline_ms == SOCKET_FOREVER) return -1;
    int64_t left = deadline_ms - socket_now_ms();
    return left <= 0 ? 0 : (int)MIN(left, (int64_t)INT_MAX);
}

void socket_sleep_until(int64_t ms)
{
    while (socket_now_ms() < ms) (void)poll(NULL, 0, wait_ms(ms));
}

static enum status status_of(int error)
{
    switch (error) {
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EADDRNOTAVAIL: return STATUS_REFUSED;
    case ECONNRESET:
    case EPIPE:
    case ENOTCONN:
    case ECONNABORTED: return STATUS_CLOSED;
    case ETIMEDOUT: return STATUS_TIMED_OUT;
    case EMFILE:
    case ENFILE: return STATUS_TOO_MANY_FILES;
    case ENOMEM:
    case ENOBUFS: return STATUS_NO_MEMORY;
    default: return STATUS_IO_ERROR;
    }
}

/* OK: one of `events` or an error is there. */
static enum status ready(int fd, short events, int64_t deadline_ms)
{
    struct pollfd p = {.fd = fd, .events = events};
    for (;;) {
        int n = poll(&p, 1, wait_ms(deadline_ms));
        if (n > 0) return STATUS_OK;
        if (n < 0 && errno != EINTR) return status_of(errno);
        if (n == 0 && deadline_ms != SOCKET_FOREVER && socket_now_ms() >= deadline_ms) return STATUS_TIMED_OUT;
    }
}

static enum status connect_to(const struct addrinfo *a, int64_t deadline_ms, int *ret_socket)
{
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1, error = 0;
    if (fd < 0) return status_of(errno);
    /* small requests wait for no companion; refused by some odd kernels, and no reason to give up */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    enum status s = STATUS_OK;
    if (connect(fd, a->ai_addr, a->ai_addrlen) != 0) {
        socklen_t len = sizeof error;
        s = errno == EINPROGRESS ? ready(fd, POLLOUT, deadline_ms) : status_of(errno);
        if (s == STATUS_OK && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0) s = status_of(errno);
        if (s == STATUS_OK && error != 0) s = status_of(error);
    }
    if (s == STATUS_OK)
        *ret_socket = fd;
    else
        close(fd);
    return s;
}

enum status socket_connect(const char *host, uint16_t port, int64_t deadline_ms, int *ret_socket)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *all;
    char service[8];
    snprintf(service, sizeof service, "%u", (unsigned)port);
    int error = getaddrinfo(host, service, &hints, &all);
    if (error != 0) return error == EAI_MEMORY ? STATUS_NO_MEMORY : STATUS_NOT_FOUND;
    enum status s = STATUS_NOT_FOUND;
    for (const struct addrinfo *a = all; a != NULL; a = a->ai_next) {
        s = connect_to(a, deadline_ms, ret_socket);
        if (s == STATUS_OK || s == STATUS_TIMED_OUT) break;
    }
    freeaddrinfo(all);
    return s;
}

void socket_close(int socket)
{
    if (socket != SOCKET_NONE) close(socket);
}

/* Pieces from *at on, the first one from byte *skip on; both move on by what was sent. */
static enum status send_some(int fd, const struct piece *pieces, uint32_t count, uint32_t *at, size_t *skip)
{
    struct iovec v[SEND_PIECES];
    uint32_t n = MIN(count - *at, SEND_PIECES);
    for (uint32_t i = 0; i < n; i++)
        v[i] = (struct iovec){.iov_base = (void *)(uintptr_t)pieces[*at + i].data, .iov_len = pieces[*at + i].len};
    v[0].iov_base = (uint8_t *)v[0].iov_base + *skip;
    v[0].iov_len -= *skip;
    ssize_t sent = sendmsg(fd, &(struct msghdr){.msg_iov = v, .msg_iovlen = n}, MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN || errno == EINTR ? STATUS_BUSY : status_of(errno);
    size_t done = *skip + (size_t)sent;
    while (*at < count && done >= pieces[*at].len) done -= pieces[(*at)++].len;
    *skip = done;
    return STATUS_OK;
}

enum status socket_send(int socket, const struct piece *pieces, uint32_t count, int64_t deadline_ms)
{
    uint32_t at = 0;
    size_t skip = 0;
    while (at < count) {
        enum status s = send_some(socket, pieces, count, &at, &skip);
        if (s == STATUS_BUSY) s = ready(socket, POLLOUT, deadline_ms);
        if (s != STATUS_OK) return s;
    }
    return STATUS_OK;
}

enum status socket_receive(int socket, void *data, size_t len, int64_t deadline_ms, size_t *ret_len)
{
    for (;;) {
        ssize_t n = recv(socket, data, len, 0);
        if (n == 0) return STATUS_CLOSED;
        if (n > 0) {
            *ret_len = (size_t)n;
            return STATUS_OK;
        }
        if (errno != EAGAIN && errno != EINTR) return status_of(errno);
        enum status s = ready(socket, POLLIN, deadline_ms);
        if (s != STATUS_OK) return s;
    }
}

bool socket_wait(const int *sockets, uint32_t count, int64_t deadline_ms, uint32_t *ret_index)
{
    struct pollfd p[WAIT_MAX];
    CHECK(count <= WAIT_MAX);
    for (uint32_t i = 0; i < count; i++) p[i] = (struct pollfd){.fd = sockets[i], .events = POLLIN};
    for (;;) {
        int n = poll(p, count, wait_ms(deadline_ms));
        for (uint32_t i = 0; n > 0 && i < count; i++) {
            if (p[i].fd < 0 || p[i].revents == 0) continue;
            *ret_index = i;
            return true;
        }
        if (deadline_ms != SOCKET_FOREVER && socket_now_ms() >= deadline_ms) return false;
    }
}

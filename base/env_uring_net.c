// SPDX-License-Identifier: Apache-2.0
/* Socket calls that do not block for long and need no ring: listen, address text, options; and the table errno ->
 * status, which all of the real env uses. Failure modes: whatever the kernel answers, mapped by the table; a socket
 * that was half set up is closed. */
#include "base/env_uring_impl.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct {
    int err;
    enum status status;
} errno_table[] = {
    {ENOSPC, STATUS_NO_SPACE},
    {EDQUOT, STATUS_NO_SPACE},
    {EROFS, STATUS_READ_ONLY},
    {ENOENT, STATUS_NOT_FOUND},
    {ENOTDIR, STATUS_NOT_FOUND},
    {EEXIST, STATUS_EXISTS},
    {ENOTEMPTY, STATUS_EXISTS},
    {EACCES, STATUS_PERMISSION},
    {EPERM, STATUS_PERMISSION},
    {EWOULDBLOCK, STATUS_BUSY},
    {EBUSY, STATUS_BUSY},
    {ENOBUFS, STATUS_BUSY},
    {EMFILE, STATUS_TOO_MANY_FILES},
    {ENFILE, STATUS_TOO_MANY_FILES},
    {ENOMEM, STATUS_NO_MEMORY},
    {EINVAL, STATUS_INVALID},
    {ENAMETOOLONG, STATUS_INVALID},
    {EISDIR, STATUS_INVALID},
    {EBADF, STATUS_INVALID},
    {EOPNOTSUPP, STATUS_UNSUPPORTED},
    {ENOSYS, STATUS_UNSUPPORTED},
    {ECANCELED, STATUS_CANCELED},
    {ETIMEDOUT, STATUS_TIMED_OUT},
    {ECONNREFUSED, STATUS_REFUSED},
    {EHOSTUNREACH, STATUS_REFUSED},
    {ENETUNREACH, STATUS_REFUSED},
    {ECONNRESET, STATUS_CLOSED},
    {EPIPE, STATUS_CLOSED},
    {ENOTCONN, STATUS_CLOSED},
    {ESHUTDOWN, STATUS_CLOSED},
    {ECONNABORTED, STATUS_CLOSED},
    {EADDRINUSE, STATUS_ADDRESS_IN_USE},
};

enum status status_from_errno(int err)
{
    for (size_t i = 0; i < sizeof errno_table / sizeof errno_table[0]; i++)
        if (errno_table[i].err == err) return errno_table[i].status;
    return STATUS_IO_ERROR;
}

void net_nodelay(int sock)
{
    int on = 1;
    (void)setsockopt(sock, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* fails on a socket that is already dead */
}

static enum status address_of(const char *host, uint16_t port, struct sockaddr_in6 *ret_address, socklen_t *ret_len)
{
    struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (inet_pton(AF_INET, host, &a4.sin_addr) == 1) {
        memset(ret_address, 0, sizeof *ret_address);
        memcpy(ret_address, &a4, sizeof a4); /* the shorter of the two */
        *ret_len = sizeof a4;
        return STATUS_OK;
    }
    if (inet_pton(AF_INET6, host, &a6.sin6_addr) != 1) return STATUS_INVALID;
    *ret_address = a6;
    *ret_len = sizeof a6;
    return STATUS_OK;
}

enum status net_address(const char *text, struct sockaddr_in6 *ret_address, socklen_t *ret_len)
{
    const char *colon = strrchr(text, ':');
    if (colon == NULL) return STATUS_INVALID;
    size_t len = (size_t)(colon - text);
    if (len >= 2 && text[0] == '[' && colon[-1] == ']') {
        text++;
        len -= 2;
    }
    char host[INET6_ADDRSTRLEN];
    char *end;
    long port = strtol(colon + 1, &end, 10);
    if (len >= sizeof host || end == colon + 1 || *end != '\0' || port < 1 || port > 65535) return STATUS_INVALID;
    memcpy(host, text, len);
    host[len] = '\0';
    return address_of(host, (uint16_t)port, ret_address, ret_len);
}

static int bind_and_listen(int sock, const struct sockaddr_in6 *address, socklen_t len, bool shared)
{
    int on = 1;
    if (setsockopt(sock, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) return errno;
    if (shared && setsockopt(sock, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0) return errno;
    if (bind(sock, (const struct sockaddr *)address, len) != 0) return errno;
    return listen(sock, 1024) == 0 ? 0 : errno; /* backlog: a reconnect storm of one shard */
}

enum status net_listen(const char *host, uint16_t port, bool shared, int32_t *ret_sock, uint16_t *ret_port)
{
    struct sockaddr_in6 address;
    socklen_t len = 0;
    enum status s = address_of(host, port, &address, &len);
    if (s != STATUS_OK) return s;
    int sock = socket(address.sin6_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (sock < 0) return status_from_errno(errno);
    int err = bind_and_listen(sock, &address, len, shared);
    if (err == 0 && getsockname(sock, (struct sockaddr *)&address, &len) != 0) err = errno;
    if (err != 0) {
        close(sock);
        return status_from_errno(err);
    }
    *ret_sock = sock;
    *ret_port = ntohs(address.sin6_port); /* at the same place in both families */
    return STATUS_OK;
}

void net_peer(int sock, char out[ENV_HOST_SIZE])
{
    struct sockaddr_storage address;
    socklen_t len = sizeof address;
    char host[INET6_ADDRSTRLEN];
    if (getpeername(sock, (struct sockaddr *)&address, &len) != 0) return;
    bool v6 = address.ss_family == AF_INET6;
    const void *bytes = v6 ? (const void *)&((const struct sockaddr_in6 *)&address)->sin6_addr
                           : (const void *)&((const struct sockaddr_in *)&address)->sin_addr;
    if (inet_ntop(address.ss_family, bytes, host, sizeof host) == NULL) return;
    bool mapped = strncmp(host, "::ffff:", 7) == 0 && strchr(host, '.') != NULL; /* IPv4 at a socket for both */
    memcpy(out, mapped ? host + 7 : host, strlen(mapped ? host + 7 : host) + 1);
}

enum status net_socket(const char *text, int *ret_sock, struct sockaddr_in6 *ret_address)
{
    struct sockaddr_in6 address;
    socklen_t len = 0;
    enum status s = net_address(text, &address, &len);
    if (s != STATUS_OK) return s;
    int sock = socket(address.sin6_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (sock < 0) return status_from_errno(errno);
    net_nodelay(sock);
    *ret_sock = sock;
    *ret_address = address;
    return STATUS_OK;
}

// SPDX-License-Identifier: Apache-2.0
/* A network in memory (contract: fake_socket.h). A wait that nothing can end moves the clock to its deadline. */
#include "tests/unit/fake_socket.h"

#include "base/bytes.h"
#include "base/check.h"
#include <stdlib.h>

struct fake_socket {
    bool open, ended; /* ended: by the peer; what is in `out` can still be read */
    uint16_t port;
    uint8_t *in, *out; /* to the broker, to the client */
    size_t in_len, out_len, out_pos;
};

struct fake_net fake_net;
static struct fake_socket sockets[FAKE_SOCKETS];

static void append(uint8_t **bytes, size_t *len, const void *more, size_t n)
{
    if (n == 0) return;
    *bytes = realloc(*bytes, *len + n);
    CHECK(*bytes != NULL);
    memcpy(*bytes + *len, more, n);
    *len += n;
}

static struct fake_socket *socket_at(int socket)
{
    CHECK(socket >= 0 && socket < FAKE_SOCKETS && sockets[socket].open);
    return &sockets[socket];
}

void fake_net_reset(void)
{
    for (int i = 0; i < FAKE_SOCKETS; i++) CHECK(!sockets[i].open);
    CHECK(fake_net.open == 0);
    fake_net = (struct fake_net){.now_ms = 1000000};
}

void fake_close_all(uint16_t port)
{
    for (int i = 0; i < FAKE_SOCKETS; i++)
        if (sockets[i].open && sockets[i].port == port) sockets[i].ended = true;
}

int64_t socket_now_ms(void)
{
    return fake_net.now_ms;
}

int64_t socket_wall_ms(void)
{
    return 1700000000000 + fake_net.now_ms;
}

void socket_sleep_until(int64_t ms)
{
    CHECK(ms != SOCKET_FOREVER);
    fake_net.now_ms = MAX(fake_net.now_ms, ms);
}

enum status socket_connect(const char *host, uint16_t port, int64_t deadline_ms, int *ret_socket)
{
    fake_net.connects++;
    if (strcmp(host, "nowhere") == 0) return STATUS_NOT_FOUND;
    enum status s = fake_net.connect != NULL ? fake_net.connect(fake_net.arg, port) : STATUS_OK;
    if (s == STATUS_TIMED_OUT) socket_sleep_until(deadline_ms);
    if (s != STATUS_OK) return s;
    for (int i = 0; i < FAKE_SOCKETS; i++) {
        if (sockets[i].open) continue;
        sockets[i] = (struct fake_socket){.open = true, .port = port};
        fake_net.open++;
        *ret_socket = i;
        return STATUS_OK;
    }
    return STATUS_TOO_MANY_FILES;
}

void socket_close(int socket)
{
    if (socket == SOCKET_NONE) return;
    struct fake_socket *s = socket_at(socket);
    free(s->in);
    free(s->out);
    *s = (struct fake_socket){0};
    fake_net.open--;
}

static void serve(struct fake_socket *s)
{
    while (!s->ended && s->in_len >= 4 && s->in_len - 4 >= load_be32(s->in)) {
        size_t size = 4 + (size_t)load_be32(s->in);
        struct fake_answer a = fake_net.request(fake_net.arg, s->port, s->in, size);
        append(&s->out, &s->out_len, a.bytes, a.bytes == NULL ? 0 : a.size);
        free(a.bytes);
        if (a.close) s->ended = true;
        memmove(s->in, s->in + size, s->in_len - size);
        s->in_len -= size;
    }
}

enum status socket_send(int socket, const struct piece *pieces, uint32_t count, int64_t deadline_ms)
{
    struct fake_socket *s = socket_at(socket);
    if (s->ended) return STATUS_CLOSED;
    for (uint32_t i = 0; i < count; i++) append(&s->in, &s->in_len, pieces[i].data, pieces[i].len);
    serve(s);
    return STATUS_OK;
}

enum status socket_receive(int socket, void *data, size_t len, int64_t deadline_ms, size_t *ret_len)
{
    struct fake_socket *s = socket_at(socket);
    size_t n = MIN(len, s->out_len - s->out_pos);
    CHECK(len > 0);
    if (fake_net.receive_max > 0) n = MIN(n, fake_net.receive_max);
    if (n == 0 && s->ended) return STATUS_CLOSED;
    if (n == 0) {
        socket_sleep_until(deadline_ms);
        return STATUS_TIMED_OUT;
    }
    memcpy(data, s->out + s->out_pos, n);
    s->out_pos += n;
    *ret_len = n;
    return STATUS_OK;
}

bool socket_wait(const int *list, uint32_t count, int64_t deadline_ms, uint32_t *ret_index)
{
    for (uint32_t i = 0; i < count; i++) {
        if (list[i] == SOCKET_NONE) continue;
        const struct fake_socket *s = socket_at(list[i]);
        if (!s->ended && s->out_pos == s->out_len) continue;
        *ret_index = i;
        return true;
    }
    socket_sleep_until(deadline_ms);
    return false;
}

// SPDX-License-Identifier: Apache-2.0
/* The loopback probe. Failure modes: a sentence with what the kernel said. */
#include "tools/bench/loopback.h"

#include "tools/bench/machine.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROUNDS  2000
#define WARM_UP 200
#define BYTES   64

static bool whole(int sock, char *bytes, bool out)
{
    for (size_t have = 0; have < BYTES;) {
        ssize_t n =
            out ? send(sock, bytes + have, BYTES - have, MSG_NOSIGNAL) : recv(sock, bytes + have, BYTES - have, 0);
        if (n <= 0) return false;
        have += (size_t)n;
    }
    return true;
}

static void no_delay(int sock)
{
    int on = 1;
    (void)setsockopt(sock, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static void *echo(void *arg)
{
    char bytes[BYTES];
    int listener = *(int *)arg, sock = accept(listener, NULL, NULL);
    if (sock < 0) return NULL;
    no_delay(sock);
    while (whole(sock, bytes, false) && whole(sock, bytes, true)) continue;
    close(sock);
    return NULL;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static bool rounds(int sock, uint64_t *ret_rtt_ns)
{
    static int64_t ns[ROUNDS];
    char bytes[BYTES] = {0};
    no_delay(sock);
    for (int i = -WARM_UP; i < ROUNDS; i++) {
        int64_t begin = clock_ns();
        if (!whole(sock, bytes, true) || !whole(sock, bytes, false)) return false;
        if (i >= 0) ns[i] = clock_ns() - begin;
    }
    qsort(ns, ROUNDS, sizeof *ns, by_value);
    *ret_rtt_ns = (uint64_t)ns[ROUNDS / 2];
    return true;
}

bool loopback_measure(uint64_t *ret_rtt_ns, char ret_error[256])
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    pthread_t thread;
    bool good = false;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
        sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener >= 0 && sock >= 0 && bind(listener, (struct sockaddr *)&a, sizeof a) == 0 &&
        listen(listener, 1) == 0 && getsockname(listener, (struct sockaddr *)&a, &len) == 0 &&
        connect(sock, (struct sockaddr *)&a, len) == 0 && pthread_create(&thread, NULL, echo, &listener) == 0) {
        good = rounds(sock, ret_rtt_ns);
        shutdown(sock, SHUT_RDWR);
        pthread_join(thread, NULL);
    }
    if (!good) snprintf(ret_error, 256, "loopback probe: %s", strerror(errno));
    if (sock >= 0) close(sock);
    if (listener >= 0) close(listener);
    return good;
}

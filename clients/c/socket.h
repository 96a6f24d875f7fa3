// SPDX-License-Identifier: Apache-2.0
/* The library's only way out: TCP and the clock. socket.c is the real one; tests put a scripted broker in its place.
 *
 * Deadlines are on the monotonic clock in ms; SOCKET_FOREVER never comes. A socket is a descriptor, not shared. Errors:
 * TIMED_OUT, REFUSED (nobody listens, no route), NOT_FOUND (no such host), CLOSED (the peer ended it or it broke),
 * TOO_MANY_FILES, NO_MEMORY, IO_ERROR (everything else). */
#pragma once
#include "base/status.h"
#include "protocol/wire.h"

#define SOCKET_FOREVER INT64_MAX
#define SOCKET_NONE    (-1)

int64_t socket_now_ms(void);
int64_t socket_wall_ms(void);
void socket_sleep_until(int64_t ms);

/* Tries the host's addresses in order. Looking the name up is the system's business and keeps no deadline. */
enum status MUST_CHECK socket_connect(const char *host, uint16_t port, int64_t deadline_ms, int *ret_socket);
void socket_close(int socket);

/* All bytes of the pieces, in order. After a failure the connection is of no use any more. */
enum status MUST_CHECK socket_send(int socket, const struct piece *pieces, uint32_t count, int64_t deadline_ms);
/* At least one byte, at most len: what there is. TIMED_OUT: none came, the connection stands. */
enum status MUST_CHECK socket_receive(int socket, void *data, size_t len, int64_t deadline_ms, size_t *ret_len);

/* True when bytes (or the end) of one of the sockets can be read; waits until the deadline for it. SOCKET_NONE entries
 * are passed over. ret_index: the first one. */
bool socket_wait(const int *sockets, uint32_t count, int64_t deadline_ms, uint32_t *ret_index);

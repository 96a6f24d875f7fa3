// SPDX-License-Identifier: Apache-2.0
/* Accepts connections of one shard. All shards listen on the same port (SO_REUSEPORT); the kernel spreads the
 * connections. Above the limit of connections, or without memory, a new one is closed at once. */
#pragma once
#include "base/env.h"

struct shard;

struct listener {
    struct shard *shard;
    struct io_op accept, close;
    struct timer again; /* after a failed accept, e.g. no descriptors */
    int32_t sock;       /* -1: none */
    bool stopping;
};

/* Errors of env_listen. ret_port: where port was 0. */
/* Binds and listens; clients that connect wait until listener_start. */
MUST_CHECK enum status listener_open(struct listener *l, struct shard *s, const char *host, uint16_t port,
                                     uint16_t *ret_port);
void listener_start(struct listener *l);
void listener_stop(struct listener *l); /* ends later; then shard_drained */
bool listener_open_still(const struct listener *l);

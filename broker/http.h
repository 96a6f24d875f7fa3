// SPDX-License-Identifier: Apache-2.0
/* HTTP for operators, on shard 0: /metrics, /healthz, /readyz and an index (http_pages.h). By libmicrohttpd without a
 * thread of its own; only broker/http*.c know of it.
 *
 * What a peer can take from the broker is bounded: HTTP_CONNECTIONS connections, each for one request, HTTP_LIFE_NS of
 * time and HTTP_MEMORY bytes of the library's memory (the C library's allocator, not struct mem); one look at HTTP in
 * HTTP_GAP_NS, one round over the shards in HTTP_ROUND_GAP_NS. Real env only. */
#pragma once
#include "base/env.h"

struct http;
struct shard;

#define HTTP_CONNECTIONS  64
#define HTTP_LIFE_NS      (15 * NS_PER_S)    /* from accept to the last byte sent; Prometheus gives up after 10 s */
#define HTTP_SILENCE_S    10u                /* without a byte, either way */
#define HTTP_MEMORY       ((size_t)16 << 10) /* request line and headers must fit */
#define HTTP_GAP_NS       NS_PER_MS
#define HTTP_ROUND_GAP_NS (10 * NS_PER_MS)
#define HTTP_ROUND_MAX_NS (5 * NS_PER_S) /* a shard that has not turned for so long is told as the reason of a 503 */

/* Listens where the configuration says (not if it says none: *ret_http is NULL then). From then on it runs by itself.
 * ret_error: one sentence that names the key. ADDRESS_IN_USE, PERMISSION, NO_MEMORY, ... */
enum status http_open(struct shard *zero, struct http **ret_http, char ret_error[512]) MUST_CHECK;
/* Ends later, with stopped(zero): connections are closed, h is gone. No shard may have ended before. */
void http_stop(struct http *h, void (*stopped)(struct shard *zero));

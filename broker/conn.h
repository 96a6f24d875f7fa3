// SPDX-License-Identifier: Apache-2.0
/* A connection of a client: frames in, responses out in request order.
 *
 * Memory: about 2 KiB for itself, and frames in MEM_PRODUCE that grow with the bytes that have arrived, so a length
 * that is only claimed costs nothing. Reading stops (back-pressure) while CONN_REQUESTS_MAX requests or
 * CONN_BYTES_MAX bytes of frames are not answered yet, or while MEM_PRODUCE is nearly used up. */
#pragma once
#include "base/env.h"
#include "broker/request.h"

#define CONN_REQUESTS_MAX 64
#define CONN_BYTES_MAX    ((uint64_t)16 << 20) /* one larger request is taken when it is alone */
#define CONN_IOVS         64

struct conn {
    struct list_node in_shard, in_sending, in_starved;
    struct shard *shard;
    uint64_t id; /* counts up per shard; for the log */
    int32_t sock;
    char host[ENV_HOST_SIZE + 1]; /* "/address" of the peer, as Apache Kafka shows it; "": not asked for yet */
    struct io_op recv, send, shutdown, close;
    struct timer idle;
    struct mono_ns active; /* when bytes last came or went */
    /* the frame being received */
    uint8_t prefix[FRAME_PREFIX_BYTES];
    uint32_t prefix_have;
    uint8_t *frame;
    uint32_t frame_size, frame_have, frame_room;
    /* bytes that came while nothing more was taken */
    uint8_t *stash;
    uint32_t stash_pos, stash_have, stash_room;
    /* requests in their order; not yet finished */
    struct list requests;
    uint32_t request_count, releasing;
    uint64_t request_bytes;
    struct iovec iovs[CONN_IOVS];
    bool starved;  /* waits for memory */
    bool canceled; /* the recv was asked to end */
    bool eof;      /* the peer has closed its side: answer what is there, then close */
    bool closing;
};

void conn_open(struct shard *s, int32_t sock); /* takes the socket */
/* At any moment, more than once. Ends later, when its I/O and its requests have ended. */
void conn_close(struct conn *c);
/* A fault of the peer: one log line, then conn_close. */
void conn_fault(struct conn *c, const char *why, int16_t api_key, int16_t version);
/* The peer's address as members of groups are shown with it: "/127.0.0.1". */
struct str conn_host(struct conn *c);
/* Stop: what is in flight is answered, then closed. */
void conn_drain(struct conn *c);
/* Now and then while connections wait for memory. */
void conns_feed(struct shard *s);

/* From request.c */
void conn_answered(struct conn *c);
void conn_released(struct conn *c);
/* From the turn hook, for a marked connection: one send for what is answered, then conn_take or conn_end. */
void conn_send(struct conn *c);

/* Between conn.c and conn_send.c */
void conn_take(struct conn *c);
void conn_end(struct conn *c);
void conn_io_done(struct io_op *shutdown);

// SPDX-License-Identifier: Apache-2.0
/* A simulated client's connection: requests out, answers in. It checks what every client may demand of a connection:
 * exactly one answer per request that has one, in request order, with its correlation id, in whole messages and nothing
 * behind them. A broken promise ends the process with the seed.
 *
 * One at a time: wire_open -> up() -> wire_call ... -> answer() ... -> down(), after any failure, time-out or
 * wire_close; then wire_open again. What was not answered by then is forgotten here; the owner knows what it was. */
#pragma once
#include "base/arena.h"
#include "base/env.h"
#include "protocol/message.h"

#define WIRE_CALLS_MAX 64

struct broker_world;
struct cursor;

struct wire_call {
    int16_t key, version;
    int32_t correlation;
    uint64_t tag; /* the caller's */
    int64_t since;
};

struct wire {
    struct broker_world *world;
    struct env *env;
    const char *name; /* the client id */
    void (*up)(struct wire *w);
    /* response: the API's struct, borrowed. The connection may be closed inside. */
    void (*answer)(struct wire *w, const struct wire_call *call, const void *response);
    void (*down)(struct wire *w);
    int64_t timeout_ns; /* for one answer */
    /* its own */
    enum wire_state { WIRE_DOWN, WIRE_CONNECTING, WIRE_UP, WIRE_CLOSING } state;
    int32_t sock, correlation;
    struct io_op connect, recv, send, shutdown, close;
    struct timer watch, unpause;
    struct wire_call calls[WIRE_CALLS_MAX];
    uint32_t call_first, call_count;
    uint8_t *out, *in;
    size_t out_at, out_len, out_room, in_len, in_room;
    struct iovec iov;
    struct arena arena;
    bool paused;
    uint64_t generation; /* counts wire_open */
};

void wire_init(struct wire *w, struct broker_world *world, struct env *env, const char *name);
void wire_open(struct wire *w);  /* CHECKs WIRE_DOWN */
void wire_close(struct wire *w); /* fine in any state */
bool wire_up(const struct wire *w);
/* Queues a request; false: too many are not answered. answered: false for a produce with acks=0. */
bool wire_call(struct wire *w, int16_t key, int16_t version, const void *request, uint64_t tag, bool answered);
/* A slow reader: takes no bytes for so long. */
void wire_pause(struct wire *w, int64_t ns);
/* Gives back memory, at the end of the world; the env is gone or about to go. */
void wire_deinit(struct wire *w);

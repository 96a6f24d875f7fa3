// SPDX-License-Identifier: Apache-2.0
/* A client's connection to a broker over env: frames out, answers in, in the order of the requests.
 *
 * A call is embedded in its owner, who fills iov and correlation_id and sends it. Then, from the loop: `answer` once
 * when the response's frame is there (its bytes are borrowed until it returns, unless channel_keep took them), and
 * `over` once when the channel does not need the call's memory any more; usually right after `answer`, later when the
 * broker answered before our send was reported. A call without an answer (acks=0) gets `over` only, when it is sent.
 *
 * When the connection fails or is closed, `failed` (if it was not our wish) and later `closed` are called; calls that
 * are not over then never will be: their memory may go after `closed`. No call waits; sends of a turn are gathered. */
#pragma once
#include "base/env.h"
#include "protocol/frame.h"

#define CHANNEL_IOVS      128u
#define CHANNEL_FRAME_MAX (512u << 20) /* of a response; more is refused unread */
#define CHANNEL_WHY       200

struct call {
    struct list_node in_channel;
    const struct iovec *iov; /* the whole frame, not NULL */
    uint32_t iov_count;
    int32_t correlation_id;
    bool no_answer;
    void (*answer)(struct call *call, const uint8_t *frame, uint32_t size); /* behind the length prefix */
    void (*over)(struct call *call);
    /* the channel's own */
    uint32_t iov_at;
    size_t iov_pos;
    int64_t sent_ns;
    bool answered;
};

struct channels { /* of one env: the turn hook that sends */
    struct env *env;
    struct turn_hook hook;
    struct list dirty;
};

struct channel {
    struct channels *set;
    struct list_node in_dirty;
    char address[80]; /* numeric "host:port" */
    int32_t sock;
    struct io_op connect, recv, send, shutdown, close;
    struct list unsent;  /* calls; the first may be sent in part */
    struct list waiting; /* sent, not answered */
    struct iovec iovs[CHANNEL_IOVS];
    uint8_t prefix[FRAME_PREFIX_BYTES];
    uint32_t prefix_have;
    uint8_t *frame;
    uint32_t frame_size, frame_have, frame_room;
    uint64_t bytes_in, bytes_out;
    char why[CHANNEL_WHY];
    bool open, closing;
    void (*opened)(struct channel *c);
    void (*failed)(struct channel *c); /* c->why says it; channel_close has been called */
    void (*closed)(struct channel *c);
};

void channels_init(struct channels *set, struct env *e);
void channels_deinit(struct channels *set);

/* address and the three callbacks are set by the owner before; the rest is zero. */
void channel_open(struct channel *c, struct channels *set);
void channel_send(struct channel *c, struct call *call);
/* Ends the connection; closed is called later, from the loop. Fine to call twice. */
void channel_close(struct channel *c);
/* A fault of the broker, found by the owner: failed is called with this sentence. */
void channel_fail(struct channel *c, const char *why);
/* From `answer` only: the frame's memory becomes the caller's, who hands over another block (or NULL, 0) for it; free()
 * ends either. */
void channel_keep(struct channel *c, uint8_t *other, uint32_t other_room, uint8_t **ret_frame, uint32_t *ret_room);
/* Since when the broker owes an answer; INT64_MAX: it owes none. */
int64_t channel_waits_since_ns(const struct channel *c);

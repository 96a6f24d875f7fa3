// SPDX-License-Identifier: Apache-2.0
/* The producer's inside: lanes (one per partition) and flights (one per broker).
 *
 * A lane has two batches: `open` takes records, `sealed` is on its way. Sealing fixes the bytes, sequence included, so
 * that a batch is sent again exactly as it was. One sealed batch per lane and one flight per broker keep the order and
 * need no more bookkeeping; while a flight is out, the open batches fill. */
#pragma once
#include "clients/c/metadata.h"
#include "protocol/batch_record.h"

enum lane_state {
    LANE_EMPTY, /* sealed holds nothing */
    LANE_READY, /* sealed wants to be sent */
    LANE_SENT,  /* it is in a flight */
};

struct lane {
    int32_t partition;
    enum lane_state state;
    struct batch_builder open, sealed;
    const uint8_t *bytes; /* of sealed */
    size_t size;
    int32_t next_sequence;
    int64_t deadline; /* of sealed, from the first attempt to send it */
    bool tried, sent; /* there was one; it left at least once */
};

struct flight { /* a Produce request to one broker */
    struct list_node in_flights;
    struct address node;
    struct conn *conn;
    struct pending pending;
    int64_t deadline;
    uint32_t lane_count;
    int32_t lanes[]; /* partitions */
};

struct leat_producer {
    struct leat_client *client;
    struct leat_producer_options options;
    struct topic_view view;
    struct conns conns;
    struct list flights;
    struct lane *lanes; /* by partition */
    int32_t lane_count, sticky;
    int64_t producer_id; /* BATCH_NO_PRODUCER: none yet, or not idempotent */
    int16_t producer_epoch;
    uint64_t buffered;            /* bytes in all open and sealed batches */
    int64_t not_before, pause_ms; /* after a failure nothing is sent for a while */
    bool ended;                   /* failed for good: `error` says why */
    struct leat_error error,
        last; /* last: of the newest attempt that failed, code LEAT_OK: none since the last success */
    struct leat_producer_counts counts;
};

/* ---- producer_send.c ---- */

/* One step: sends every ready lane whose broker has no flight, then takes what answers come, waiting for one if there
 * is anything out; with nothing out and something to send it waits for the end of the pause. Transient failures are
 * noted in `last`; what ends the producer is returned. */
enum leat_code MUST_CHECK producer_step(struct leat_producer *p, int64_t deadline, struct leat_error *e);
/* The first half alone, without waiting for anything but connections. */
enum leat_code MUST_CHECK producer_send(struct leat_producer *p, int64_t deadline, struct leat_error *e);
void producer_drop_flights(struct leat_producer *p);

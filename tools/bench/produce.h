// SPDX-License-Identifier: Apache-2.0
/* Inside of the producers: produce.c (the loop) and produce_request.c (what a request holds). */
#pragma once
#include "protocol/batch_record.h"
#include "tools/bench/drive.h"
#include "tools/bench/schedule.h"

#define PRODUCE 0 /* its API key */

struct slot {
    struct call call;
    struct producer *producer;
    struct list_node in_free;
    struct batch_builder *builders;
    uint32_t first_stream, batches; /* streams of the producer, from its first */
    uint64_t first_record;
    uint32_t records;
    uint32_t *batch_records; /* of each batch */
    int64_t begun_ns;
    uint8_t *own;
    size_t own_room;
    struct piece *pieces;
    struct iovec *iov;
};

struct stream {
    uint32_t number, partition;
    uint64_t next; /* sequence of the next record */
};

struct producer {
    struct driver *driver;
    struct channel channel;
    struct schedule schedule;
    struct target_producer id;
    struct stream *streams;
    uint32_t stream_count, next_stream;
    struct slot *slots;
    struct list free;
    uint32_t in_flight;
    uint64_t next_record, quota; /* of this connection */
    struct timer due;
    int32_t correlation;
    bool blocked; /* the next request was due and found no slot: its lateness is not the generator's */
};

static inline const struct client_options *producer_options(const struct producer *p)
{
    return p->driver->run->options;
}

/* How many records the next request has. */
uint64_t request_planned(const struct producer *p);
/* Fills the slot's batches with that many records, advances the streams, encodes; call.iov is the frame then. Errors:
 * of the batch builder. */
enum status request_make(struct producer *p, struct slot *s, uint64_t records) MUST_CHECK;
void slot_create(struct producer *p, struct slot *s);
void slot_free(struct producer *p, struct slot *s);

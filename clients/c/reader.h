// SPDX-License-Identifier: Apache-2.0
/* The reader's inside: slots (one per partition), fetches on their way (one per broker), answers that came.
 *
 *   slot      position -> what the user gets next; fetch_at -> what is asked for next: behind the batches that came
 *   fetches   as soon as an answer is in, the next request of that broker leaves; its answer is there when it is needed
 *   answers   in order of arrival; the first one is being delivered, batch by batch, record by record */
#pragma once
#include "clients/c/metadata.h"
#include "protocol/batch_record.h"
#include "protocol/msg_fetch.h"

struct fetch;

struct slot {
    int32_t partition;
    int64_t position, fetch_at, end;
    int64_t not_before, pause_ms; /* after a failure it is not asked for a while */
    const struct fetch *asked;    /* that is on its way with it; NULL: none */
    bool done;
};

struct fetch { /* a request on its way */
    struct list_node in_fetches;
    struct address node;
    struct conn *conn;
    struct pending pending;
    int64_t deadline;
};

struct answer { /* came; its records wait to be delivered */
    struct list_node in_answers;
    struct reply reply;
};

struct delivery {             /* the place in the first answer */
    int32_t topic, partition; /* indices in the response */
    struct slot *slot;        /* NULL: the partition is not begun */
    const uint8_t *at, *end;  /* its bytes that are not looked at yet */
    bool in_batch;
    struct batch_info info;
    struct batch_iter iter;
};

struct leat_reader {
    struct leat_client *client;
    struct leat_reader_options options;
    struct topic_view view;
    struct conns conns;
    struct list fetches, answers;
    struct slot *slots;
    int32_t slot_count, first; /* first: whose turn it is to stand first in a request */
    bool begun;
    int32_t *partitions;  /* copy of the option; NULL: all */
    int64_t *froms, *tos; /* copies of from_offsets, to_offsets; NULL: none */
    struct delivery now;
    struct arena headers;   /* of the record that the user has */
    struct leat_error last; /* of the newest attempt that failed, LEAT_OK: none since the last success */
};

struct slot *reader_slot(const struct leat_reader *r, int32_t partition); /* NULL: not one of ours */

/* ---- reader_fetch.c ---- */

/* A request to every broker that has something for us and none on its way. Transient failures are noted in `last`. */
enum leat_code MUST_CHECK reader_send(struct leat_reader *r, int64_t deadline, struct leat_error *e);
/* One answer into the queue, if it comes before the deadline; waits for the end of a pause if nothing is on its way. */
enum leat_code MUST_CHECK reader_receive(struct leat_reader *r, int64_t deadline, struct leat_error *e);
void reader_drop(struct leat_reader *r); /* fetches and answers */

/* ---- reader_deliver.c ---- */

/* The next record of the answers that are there. LEAT_END: none. LEAT_DAMAGED: the batch is passed over. */
enum leat_code MUST_CHECK reader_deliver(struct leat_reader *r, struct leat_record *ret_record, struct leat_error *e);
void reader_deliver_stop(struct leat_reader *r);

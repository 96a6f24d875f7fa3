// SPDX-License-Identifier: Apache-2.0
/* The two errands that a fetch has on the shards of its partitions.
 *
 * fetch_read  reads one partition; comes back with slices that the owner holds for it. Slices are given back by sending
 *             the same part again (fetch_read_release).
 * fetch_wait  waits until one of several partitions of one shard has more than at the read; comes back once, by itself
 *             or after fetch_wait_cancel. */
#pragma once
#include "broker/part.h"
#include "broker/request.h"
#include "storage/store.h"

struct fetch_slot;

struct fetch_read { /* MEM_FETCH of the home shard */
    struct part part;
    struct request *request;
    struct fetch_slot *slot;
    struct topic_id id;
    int32_t number;
    int64_t offset;
    int32_t last_epoch;      /* of the batch before offset, as the reader has it; -1: it does not say */
    uint32_t bytes_max;      /* 0: only high watermark and log start */
    int32_t diverging_epoch; /* back: -1, or the epoch up to whose end here (diverging_end) the logs agree */
    int64_t diverging_end;
    struct partition_read op;
    struct piece pieces[READ_SLICES_MAX]; /* the slices' bytes, for the response */
};

void fetch_read_send(struct fetch_read *f, struct shard *home, uint32_t owner, void (*back)(struct part *p));
void fetch_read_release(struct fetch_read *f, struct shard *home, void (*back)(struct part *p));

struct fetch_watch {
    struct partition_waiter waiter;
    struct fetch_wait *wait;
    struct topic_id id;
    int32_t number;
    int64_t offset; /* woken when the high watermark is above it */
};

struct fetch_wait { /* arena of the request */
    struct list_node in_fetch;
    struct part part;
    struct msg cancel; /* to the owner and back */
    struct request *request;
    uint32_t owner;
    struct fetch_watch *watches;
    uint32_t count;
    bool armed;  /* owner's: the part is here and waits */
    bool waking; /* owner's: woken, the others are still to be taken off */
    bool away;   /* home's: the part is not back */
    bool asking; /* home's: the cancel is not back */
};

/* Counts as one of request->parts_out; fetch_wait_ended (fetch.c) when it is over. */
void fetch_wait_ended(struct fetch_wait *w);
void fetch_wait_send(struct fetch_wait *w, struct shard *home);
void fetch_wait_cancel(struct fetch_wait *w, struct shard *home);

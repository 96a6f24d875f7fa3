// SPDX-License-Identifier: Apache-2.0
/* The append of one batch on the partition's shard. Appends of one partition keep the order in which their parts
 * arrive: one that the store refuses with BUSY is tried again every few milliseconds, and those behind it wait. */
#pragma once
#include "broker/part.h"
#include "broker/request.h"
#include "storage/store.h"

struct produce_response_partition;

struct produce_part {
    struct part part;
    struct list_node in_lane;
    struct partition_append op;
    struct request *request;                   /* home's */
    struct produce_response_partition *answer; /* home's; filled when the part is back */
    const void *batch;                         /* in the frame, borrowed */
    uint32_t len, slot;
    struct mono_ns deadline; /* for the repetitions */
    enum status status;
};

void produce_part_run(struct part *p);
/* The lane's timer. */
void lane_retry(struct timer *t);

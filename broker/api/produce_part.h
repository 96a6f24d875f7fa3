// SPDX-License-Identifier: Apache-2.0
/* The append of one batch on the partition's shard (lane.h keeps the order). */
#pragma once
#include "broker/lane.h"
#include "broker/part.h"
#include "broker/request.h"

struct produce_response_partition;

struct produce_part {
    struct part part;
    struct list_node in_lane;
    struct lane *lane; /* owner's; while the append is with the store */
    struct partition_append op;
    struct request *request;                   /* home's */
    struct produce_response_partition *answer; /* home's; filled when the part is back */
    const void *batch;                         /* in the frame, borrowed */
    uint32_t len, records;
    int32_t number;
    struct topic_id id;
    struct mono_ns deadline; /* for the repetitions */
    enum status status;
};

void produce_part_run(struct part *p);

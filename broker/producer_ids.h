// SPDX-License-Identifier: Apache-2.0
/* Producer ids of one shard: blocks from the metadata log, so that no id is given out twice whatever restarts. The next
 * block is asked for when the present one has run out; who asks then waits for it. */
#pragma once
#include "base/list.h"
#include "broker/metadata.h"

struct producer_ids {
    struct shard *shard;
    int64_t next, end;
    struct metadata_call call;
    int64_t first;       /* of the block under way */
    struct list waiting; /* producer_id_wish */
    bool asking;
};

struct producer_id_wish {
    struct list_node in_waiting;
    int64_t id;                               /* on OK */
    enum status status;                       /* else what the metadata says */
    void (*done)(struct producer_id_wish *w); /* inside the call where an id is there */
};

void producer_ids_init(struct producer_ids *p, struct shard *s);
void producer_ids_take(struct producer_ids *p, struct producer_id_wish *w);

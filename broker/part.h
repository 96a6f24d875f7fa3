// SPDX-License-Identifier: Apache-2.0
/* A request part: work for a partition that lives on some shard, perhaps another one. Embedded in the API's own part
 * struct, which belongs to the home shard's memory; while the part travels only the shard that has it may touch it, and
 * the bytes that it points to are borrowed until it is back.
 *
 * Order: parts sent from one shard to another arrive in the order of part_send; parts for the own shard run at once. */
#pragma once
#include "base/env.h"

struct shard;

struct part {
    struct msg msg;
    struct shard *at;             /* where it runs; valid between run and part_return */
    uint32_t home, owner;         /* shards */
    void (*run)(struct part *p);  /* on the owner; ends, then or later, with part_return */
    void (*back)(struct part *p); /* on the home shard */
};

/* run or back may be called inside these calls where home and owner are the same shard. */
void part_send(struct part *p, struct shard *home, uint32_t owner);
void part_return(struct part *p);

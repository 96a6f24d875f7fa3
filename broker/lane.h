// SPDX-License-Identifier: Apache-2.0
/* A lane: what the broker keeps with a partition on its owner shard. Appends of one partition keep the order in which
 * their parts arrive: one that the store refuses with BUSY is tried again every few milliseconds, and those behind it
 * wait.
 *
 * Parts name a partition by (topic id, number) and look it up when they arrive (shard_lane): a topic may have been
 * deleted while they travelled. Life: lane_open when the partition is there; lane_close before it is deleted: not found
 * any more, parts that wait end with UNKNOWN_PARTITION; lane_free when the partition is gone or the store closes, which
 * waits for the last append that the store has. */
#pragma once
#include "base/env.h"
#include "storage/store.h"

struct burial_note;
struct group_host;
struct produce_part;
struct shard;

struct lane_counters {                         /* since the lane was opened; for metrics */
    uint64_t batches_in, bytes_in, records_in; /* stored and acknowledged; duplicates are not stored */
    uint64_t bytes_out;                        /* read for consumers */
};

struct lane;
struct grave { /* a partition that is to leave the store, for a folder of the log directory */
    struct list_node in_graves;
    struct partition *partition;
    struct lane *lane;        /* closed; NULL: it never had one, the grave is an allocation of its own */
    struct burial_note *note; /* its topic is gone (burials.h); NULL: none */
    enum store_folder to;
};

struct lane {
    struct partition_user user;
    struct list_node in_shard; /* open */
    struct grave grave;        /* closed, to be deleted */
    struct partition *partition;
    struct shard *shard;
    struct group_host *host;   /* of a partition of __consumer_offsets (group/host.h) */
    struct list waiting;       /* parts behind one that was refused BUSY, itself at the front */
    struct produce_part *busy; /* refused BUSY, its op not yet complete */
    struct timer retry;
    uint32_t in_store; /* parts whose append is with the store */
    struct lane_counters count;
    bool closed, freed;
};

/* NO_MEMORY. */
MUST_CHECK enum status lane_open(struct shard *s, struct partition *p);
void lane_close(struct lane *l);
void lane_free(struct lane *l); /* closed */

/* NULL: no such partition here (any more). */
struct lane *shard_lane(const struct shard *s, struct topic_id id, int32_t number);

void lane_append(struct lane *l, struct produce_part *p); /* ends with part_return */

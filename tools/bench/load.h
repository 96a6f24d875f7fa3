// SPDX-License-Identifier: Apache-2.0
/* The engine under load: one store on one shard, driven from the same thread. Every call runs the loop until it is
 * done. Failures are a sentence in `error`, and the store is not usable then: end the process. */
#pragma once
#include "base/env_uring.h"
#include "base/histogram.h"
#include "storage/disk.h"
#include "storage/store.h"
#include "tools/bench/machine.h"

struct load;

struct load_config {
    const char *dir; /* the store's own folder */
    uint32_t partitions;
    uint32_t size_bytes; /* of a batch */
    uint32_t outstanding;
    uint64_t journal_bytes, memory_bytes;
    bool dsync_cheaper; /* from the raw probe */
};

struct engine {                                   /* what the engine did besides committing */
    uint64_t pieces, piece_bytes, aged, prepared; /* the mover's (storage/mover.h) */
    uint64_t checkpoints, table_bytes;
    uint32_t flight_most;
};

struct load_run { /* one stretch of appends */
    double seconds;
    uint64_t count; /* 0: by time */
    /* Called about 50 times a second with the appends so far; NULL: not. False ends the run. */
    bool (*progress)(void *arg, uint64_t appends);
    void *arg;
    /* results */
    uint64_t appends, busy; /* durable; refused for the moment and tried again */
    uint64_t commits;       /* journal groups begun */
    struct engine engine;
    int64_t begin_ns, end_ns;
    struct counters before, after;
};

/* Opens (creating what is missing). Allocates; destroy also after a failure is not needed: the process ends. */
bool load_open(const struct load_config *c, struct load **ret_load, char error[600]);
int64_t load_open_ns(const struct load *l); /* what store_open took */
/* Partitions 0 .. count-1 of topic "bench". */
bool load_create(struct load *l, char error[600]);
bool load_find(struct load *l, char error[600]); /* the same partitions, in a store that has them */
bool load_appends(struct load *l, const struct machine *m, struct load_run *r, char error[600]);
const struct histogram *load_latency(const struct load *l); /* ns of each durable append of the last stretch */
/* Reads up to `limit` appends back, spread over all partitions, and compares them; what was compared. */
bool load_verify(struct load *l, uint64_t limit, uint64_t *ret_compared, char error[600]);
/* The journal's size, its used share in thousandths, and the bytes that a replay now would read. */
void load_journal(const struct load *l, uint64_t *ret_bytes, uint32_t *ret_fill, uint64_t *ret_live);
bool load_close(struct load *l, char error[600]); /* clean stop; everything is given back */

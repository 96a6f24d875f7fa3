// SPDX-License-Identifier: Apache-2.0
/* One round over all shards: each one answers, which proves that its loop turns, and fills its samples if values are
 * wanted. Belongs to shard 0; at most one round at a time. What the shards filled stays as it is until the next round
 * begins, so shard 0 may print it meanwhile.
 *
 * What the process uses is asked of env's worker, which may stand behind a slow disk: the round waits SCRAPE_USAGE_NS
 * for it and then shows what it knew before. */
#pragma once
#include "broker/shard.h"

struct scrape;

#define SCRAPE_USAGE_NS (100 * NS_PER_MS)

struct visit { /* to a shard and back */
    struct msg msg;
    struct scrape *scrape;
    struct samples *samples; /* of that shard */
    enum status status;
    bool away, values;
};

struct scrape {
    struct shard *zero;
    void (*done)(struct scrape *c); /* all are back; from the loop */
    struct samples *own;            /* of the process, the disk */
    struct visit visits[BROKER_SHARDS_MAX];
    uint32_t away; /* visits that are not back */
    bool running, values;
    struct mono_ns begun;
    struct io_op usage; /* may outlast its round */
    struct env_process asked, known;
    bool usage_known;
    struct timer patience;
};

/* False: no memory. */
bool scrape_init(struct scrape *c, struct shard *zero, void (*done)(struct scrape *c));
bool scrape_quiet(const struct scrape *c); /* no round, no op: may be deinitialised */
void scrape_deinit(struct scrape *c);

void scrape_start(struct scrape *c, bool values);
bool scrape_running(const struct scrape *c);
/* While a round runs that is older than SCRAPE_USAGE_NS: the first shard that has not answered. */
uint32_t scrape_missing(const struct scrape *c);
/* The last round, which had values, as Prometheus text. BUSY: more room is needed; NO_MEMORY: a shard had none for its
 * samples. */
enum status scrape_print(const struct scrape *c, char *out, size_t capacity, size_t *ret_size) MUST_CHECK;

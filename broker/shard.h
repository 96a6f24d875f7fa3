// SPDX-License-Identifier: Apache-2.0
/* The root object of a shard (env->user), and what the shards of the process share.
 *
 * Life: main -> env_uring_run_shards -> shard_start on each shard. Shard 0 leads all shards through the phases, by one
 * message to each and one back: a phase begins when all shards have ended the one before. */
#pragma once
#include "base/env.h"
#include "base/log.h"
#include "base/metrics.h"
#include "broker/config.h"
#include "broker/listener.h"
#include "storage/disk.h"
#include "storage/store.h"

enum phase {
    PHASE_OPEN,   /* store, partitions, new leader epochs */
    PHASE_LISTEN, /* sockets */
    PHASE_SERVE,
    PHASE_DRAIN, /* no new connections, requests in flight answered, connections closed */
    PHASE_CLOSE, /* stores */
    PHASE_END,
};

struct control { /* shard 0 -> shard (down) and back (up); one of each per shard, never both under way */
    struct msg msg;
    struct broker *broker;
    struct shard *shard; /* up: sender */
    enum phase phase;
};

#define BROKER_SHARDS_MAX 64

struct broker { /* of the process; made by main; constant while shards run, except where said */
    const struct broker_config *config;
    const struct config *source; /* for the keys without meaning, told at start */
    const char *probe;           /* what the start-up probe found */
    log_sink *sink;              /* from any shard's thread */
    struct disk disk;
    int32_t *epochs; /* by slot: leader epoch; written by the owner in PHASE_OPEN, read by all from PHASE_LISTEN on */
    uint16_t port;   /* written by shard 0 before PHASE_LISTEN of the others */
    char cluster_id[23];
    /* shard 0's alone */
    enum phase phase;
    uint32_t waiting_for; /* shards that have not ended the phase */
    bool stop_wanted, failed;
    struct control down[BROKER_SHARDS_MAX];
};

struct lane { /* a partition on its owner shard: appends in arrival order (api/produce_part.c) */
    struct partition *partition;
    struct shard *shard;
    struct list waiting;       /* parts behind one that was refused BUSY, itself at the front */
    struct produce_part *busy; /* refused BUSY, its op not yet complete */
    struct timer retry;
};

struct shard_counters {
    struct metric_counter *accepted, *refused, *requests, *bytes_in, *bytes_out, *batches, *batch_bytes, *fetch_bytes,
        *protocol_errors, *append_retries;
    struct metric_gauge *connections;
};

struct shard {
    struct env *env;
    struct broker *broker;
    struct store *store; /* NULL: not open */
    struct log log;
    struct metrics *metrics;
    struct shard_counters count;
    struct lane **lanes; /* by slot; NULL where another shard owns the partition */
    struct listener listener;
    struct list conns;   /* every connection */
    struct list sending; /* connections that the turn hook looks at */
    struct list starved; /* connections that wait for memory */
    uint32_t conn_count;
    uint64_t conn_seq;
    struct turn_hook hook;
    struct timer starved_timer;
    uint32_t producer_ids; /* given out since the start */
    bool draining;
    /* start and stop */
    struct control up;
    struct starting *starting;
    struct store_close close;
    enum status status; /* of the phase */
    char error[512];
};

#define SHARD_LOG(s, level, event, ...) LOG(&(s)->log, (s)->env, level, event, __VA_ARGS__)

void shard_start(struct env *e, void *broker); /* for env_uring_run_shards */
void shard_signal(struct env *e, int signo);

/* The end of a phase on this shard, with s->status and s->error. */
void shard_phase_done(struct shard *s);
/* The last connection has gone while draining. */
void shard_drained(struct shard *s);

/* The shard of a partition. */
uint32_t shard_of(const struct shard *s, const struct topic *t, int32_t number);

/* shard_open.c: PHASE_OPEN. Ends with shard_phase_done. */
void shard_open(struct shard *s);
void shard_lanes_free(struct shard *s);

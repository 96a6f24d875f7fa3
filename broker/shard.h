// SPDX-License-Identifier: Apache-2.0
/* The root object of a shard (env->user), and what the shards of the process share.
 *
 * Life: main -> env_uring_run_shards -> shard_start on each shard. Shard 0 leads all shards through the phases, by one
 * message to each and one back: a phase begins when all shards have ended the one before. */
#pragma once
#include "base/env.h"
#include "base/log.h"
#include "broker/api/fetch_session.h"
#include "broker/config.h"
#include "broker/intake.h"
#include "broker/listener.h"
#include "broker/metadata.h"
#include "broker/producer_ids.h"
#include "broker/settings.h"
#include "broker/shard_metrics.h"
#include "storage/disk.h"
#include "storage/store.h"

enum phase {
    PHASE_OPEN,     /* stores */
    PHASE_METADATA, /* metadata log, this broker's registration, the partitions of each shard */
    PHASE_LISTEN,   /* sockets */
    PHASE_SERVE,
    PHASE_DRAIN, /* no new connections, requests in flight answered, connections closed */
    PHASE_CLOSE, /* metadata log, stores */
    PHASE_END,
};

const char *phase_name(enum phase phase); /* "serve" */

struct conn;

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
    uint16_t port;                   /* written by shard 0 before PHASE_LISTEN of the others */
    char cluster_id[UUID_TEXT_SIZE]; /* written by shard 0 in PHASE_METADATA */
    struct wall_ms started;          /* by shard 0 at its start */
    /* shard 0's alone */
    enum phase phase;
    uint32_t waiting_for; /* shards that have not ended the phase */
    bool stop_wanted, failed;
    struct control down[BROKER_SHARDS_MAX];
};

struct shard {
    struct env *env;
    struct broker *broker;
    struct store *store; /* NULL: not open */
    struct log log;
    struct metrics *metrics;
    struct shard_counters count;
    struct samples *samples; /* copy of the metrics for shard 0 (scrape.h) */
    /* metadata as this shard has it; written by intake.c only */
    struct topic_index *topics;
    const struct image_brokers *brokers;
    const struct image_features *features;
    struct settings settings;
    struct intake *intake;
    struct intake_answer answer;
    struct list lanes;              /* open ones */
    struct list group_hosts;        /* group/host.h */
    struct list dirty_coordinators; /* coordinators_flush looks at them */
    struct listener listener;
    struct http *http;   /* shard 0's; NULL: none (http.h) */
    struct list conns;   /* every connection */
    struct list sending; /* connections that the turn hook looks at */
    struct list starved; /* connections that wait for memory */
    struct conn *senior; /* of those the one that may take the last of it; NULL: none */
    uint32_t conn_count;
    uint64_t conn_seq;
    struct turn_hook hook;
    struct timer starved_timer, drain_timer;
    struct producer_ids producer_ids;
    struct fetch_sessions fetch_sessions;
    bool draining;
    /* shard 0 */
    struct metadata *metadata;
    struct intake_order orders[BROKER_SHARDS_MAX];
    /* start and stop */
    struct control up;
    struct store_open open;
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
static inline uint32_t shard_of(const struct shard *s, const struct image_topic *t, int32_t number)
{
    return partition_shard(image_topic_id(t), number, s->env->shard_count);
}

/* shard_open.c: PHASE_OPEN; ends with shard_phase_done. */
void shard_open(struct shard *s);
/* Hands a partition what its topic's settings say about storage. */
void partition_settings_apply(struct shard *s, const struct image_topic *t, struct partition *p);

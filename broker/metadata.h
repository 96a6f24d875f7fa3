// SPDX-License-Identifier: Apache-2.0
/* Shard 0's part of the metadata: the metadata log, the image, changes asked for by any shard, and the publication of
 * what was committed to all shards.
 *
 *   a shard   metadata_call_send -> message -> shard 0 queues it
 *   shard 0   one call at a time: plan (pure; on an image that holds everything before) -> records -> metalog
 *             -> applied: image_apply -> publication to every shard -> all have answered -> done at home
 *
 * So whoever asked for a change finds it on every shard when the answer comes. A call that plans no records (a refusal,
 * validate only) ends at once. */
#pragma once
#include "base/arena.h"
#include "base/env.h"
#include "replication/controller.h"
#include "replication/image.h"

struct shard;
struct metadata;
struct metadata_call;

/* What a plan may look at and where it puts its records. */
struct metadata_plan {
    struct controller controller; /* with the image */
    struct record_list records;
    struct arena *arena; /* until the plan returns */
    const struct image *image;
    struct shard *zero;
    int64_t now_ms;
};

struct metadata_call { /* embedded in the caller's; untouched by it between send and done */
    struct msg msg;
    struct list_node in_metadata;
    uint32_t home;
    /* On shard 0, once, or again where a topic's name was not free yet (burials.h): reads what the caller's struct
     * asks, adds records. OK, or why there are none. */
    enum status (*plan)(struct metadata_call *c, struct metadata_plan *p);
    void (*done)(struct metadata_call *c); /* at home */
    enum status status; /* the plan's; NOT_LEADER, FENCED (the metadata log has failed), BUSY (try again) */
};
/* done comes later, never inside the call. */
void metadata_call_send(struct metadata_call *c, struct shard *home);

#define METADATA_VOTERS_MAX 16

struct metadata_quorum { /* of the metadata log */
    int32_t leader;      /* -1: not known */
    uint64_t term;
    int64_t end; /* one above the last entry applied */
    int32_t voters[METADATA_VOTERS_MAX];
    uint32_t voter_count;
};
/* On shard 0. */
struct metadata_quorum metadata_quorum(const struct shard *zero);

/* What every shard gets to see, in order. The old objects are freed when all shards have answered. */
struct publication {
    const struct image_change *changes;
    uint32_t change_count;
    const struct image_brokers *brokers;   /* NULL: not changed; as in image_delta */
    const struct image_settings *settings; /* likewise */
    const struct image_features *features; /* likewise */
    const struct image_deleted *deleted;   /* of the first */
    uint64_t index;
    bool first; /* the whole state at the start: what the store has and metadata does not goes where it belongs */
};

/* Between shard 0 and the others. One of each per shard: there is one publication at a time. */
struct intake_order {
    struct msg msg;
    const struct publication *publication;
};
struct intake_answer {
    struct msg msg;
    uint64_t index;
};

/* On each shard, by intake.c: takes the publication in; then, when the partitions are there: */
void shard_taken_in(struct shard *s, uint64_t index);

/* The shard drains: calls that wait for a name end now. On shard 0. */
void metadata_drain(struct shard *zero);
/* PHASE_METADATA on shard 0; ends with shard_phase_done when every shard has taken the whole state in. */
void metadata_open(struct shard *zero);
/* PHASE_CLOSE on shard 0; then done(zero). No call is under way. */
void metadata_close(struct shard *zero, void (*done)(struct shard *zero));

// SPDX-License-Identifier: Apache-2.0
/* Simulated clients of a broker_world, all on its second machine. Each has one connection (broker_wire.h) and does what
 * a client library would: it pipelines, repeats what it does not know the outcome of, and connects anew after every
 * failure. What it learns it tells broker_check.h, which knows what may be. */
#pragma once
#include "tests/sim/broker_check.h"
#include "tests/sim/broker_wire.h"

#define PRODUCERS_MAX  6
#define CONSUMERS_MAX  4
#define SENDS_MAX      5 /* in flight: the broker knows the last five batches of an idempotent producer */
#define SEND_PARTS_MAX 3
#define READ_PARTS_MAX 12

enum { /* Kafka's codes, as far as somebody has to decide by them */
       ERROR_NONE = 0,
       ERROR_OFFSET_OUT_OF_RANGE = 1,
       ERROR_UNKNOWN_PARTITION = 3,
       ERROR_TIMED_OUT = 7,
       ERROR_TOPIC_EXISTS = 36,
       ERROR_INVALID_PARTITIONS = 37,
       ERROR_NOT_CONTROLLER = 41,
       ERROR_SEQUENCE = 45,
       ERROR_STORAGE = 56,
       ERROR_SESSION_NOT_FOUND = 70,
       ERROR_SESSION_EPOCH = 71,
       ERROR_UNKNOWN_TOPIC_ID = 100,
};

struct clients;

/* ---- producer ---- */
struct send_batch {
    struct check_partition *partition;
    uint32_t stream, n, count;
    int64_t sent_after; /* high watermark known before it was first sent */
    uint8_t *bytes;
    size_t size;
    bool open; /* not answered for good */
};

struct send {
    struct send_batch batches[SEND_PARTS_MAX];
    uint32_t count;
    bool in_flight;
    uint64_t number;
};

struct producer {
    struct clients *clients;
    struct wire wire;
    char name[16];
    int16_t acks;
    bool idempotent, holding; /* holding: something failed; nothing new until all is back and sent again */
    int64_t id;               /* -1: to be asked for */
    int16_t epoch;
    enum codec codec;
    int64_t pace_ns;
    uint32_t streams[CHECK_TOPICS_MAX][CHECK_PARTS_MAX]; /* 0: none yet */
    struct send sends[SENDS_MAX];
    uint64_t first, end; /* of sends, by number */
    uint32_t in_flight;
    struct timer next, again;
    struct batch_builder builder;
};

void producer_init(struct producer *p, struct clients *c, uint32_t number);
void producer_deinit(struct producer *p);
bool producer_quiet(const struct producer *p); /* nothing is open */

/* ---- consumer ---- */
struct read_part {
    struct check_partition *partition;
    int64_t at;   /* next offset; -1: to be asked for */
    int64_t told; /* what the session has; -1: nothing */
    int64_t asked_hw, asked_start;
};

struct consumer {
    struct clients *clients;
    struct wire wire;
    char name[16];
    struct read_part parts[READ_PARTS_MAX];
    uint32_t count;
    struct check_partition *forgotten; /* by the next fetch; at most one at a time */
    int32_t session, session_epoch;
    int64_t asked_start; /* of a ListOffsets under way */
    int16_t version;
    bool busy, failed;   /* failed: an answer had an error, so the next request waits */
    bool sessions, rude; /* sessions: uses them; rude: is about to go away */
    /* one partition from its log start to its high watermark, and nothing else (clients_read_all) */
    bool whole, finished;
    int64_t start;
    struct timer next;
};

void consumer_init(struct consumer *r, struct clients *c, uint32_t number);
void consumer_deinit(struct consumer *r);

/* ---- admin ---- */
enum admin_kind {
    ADMIN_NONE,
    ADMIN_CREATE,
    ADMIN_FIND,
    ADMIN_DELETE,
    ADMIN_UNDELETE,
    ADMIN_LOOK, /* is it back? */
    ADMIN_GROW,
    ADMIN_TRIM,
    ADMIN_ALTER,
    ADMIN_DESCRIBE,
    ADMIN_LIST,
    ADMIN_OFFSETS
};

struct client_admin {
    struct clients *clients;
    struct wire wire;
    enum admin_kind kind;
    struct check_topic *topic;
    int32_t part, config;
    int64_t offset, value, asked_hw, asked_start;
    uint32_t attempts;
    uint32_t names; /* given out */
    bool sent;
    struct timer next;
};

void client_admin_init(struct client_admin *a, struct clients *c);
void client_admin_deinit(struct client_admin *a);
bool client_admin_ask(struct client_admin *a); /* broker_admin_ask.c: sends the request of its operation */

/* ---- all of them ---- */
struct clients {
    struct broker_world *world;
    struct broker_check *check;
    struct env *env;
    struct producer producers[PRODUCERS_MAX];
    struct consumer consumers[CONSUMERS_MAX];
    uint32_t producer_count, consumer_count;
    struct client_admin admin;
    uint32_t topics_wanted;
    bool reuse;    /* names of deleted topics are used again */
    bool draining; /* nothing new is begun, what is open goes on to its end */
};

void clients_start(struct clients *c, struct broker_world *w, struct broker_check *check, uint32_t producers,
                   uint32_t consumers, uint32_t topics_wanted);
void clients_stop(struct clients *c);
bool clients_quiet(const struct clients *c); /* while draining: nothing is open any more */
/* Reads every partition that is there from its log start to its high watermark, by connections of its own, and checks
 * each as a whole; topics and settings too. */
void clients_read_all(struct clients *c);

static inline uint64_t client_roll(const struct clients *c, uint64_t n)
{
    return broker_world_roll(c->world, n);
}

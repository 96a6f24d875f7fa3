// SPDX-License-Identifier: Apache-2.0
/* Coordinator: a state machine that lives on one partition of an internal topic (docs/coordinator.md). Groups are its
 * first user (broker/group/host.h); transactions and queues come to the same code.
 *
 *   LOADING   the log is read from its start to its end, every record handed to ops->apply; then ops->loaded
 *   ACTIVE    steps of the machine put records (coordinator_put); those of a turn of the loop go out as one batch;
 *             who must not be answered before they are durable waits (coordinator_wait)
 *   FAILED    an append failed, or a step had no memory: nobody who waits is answered with success, the machine is
 *             thrown away (ops->reset), and after a moment the log is loaded anew
 *
 * The state of the machine is ahead of the log only between a put and its batch; an answer, also one that only reads,
 * waits for everything that was put before it, so no client sees a state that a crash takes back (rule G3).
 *
 * Embedded in its owner; on the partition's shard; everything comes from the loop. */
#pragma once
#include "base/env.h"
#include "broker/api/produce_part.h"
#include "protocol/batch_record.h"
#include "storage/store.h"

struct coordinator;
struct lane;
struct shard;

struct coordinator_ops {
    const char *name; /* for the log: "groups" */
    /* One record, while loading. INVALID_RECORD: logged and passed over; anything else not OK: FAILED. */
    enum status (*apply)(struct coordinator *c, struct bytes key, struct bytes value);
    void (*loaded)(struct coordinator *c);
    /* Begins anew, empty: before each loading, and at the end. Whoever waits inside the machine is told to try again.
     */
    void (*reset)(struct coordinator *c);
};

enum coordinator_state { COORDINATOR_LOADING, COORDINATOR_ACTIVE, COORDINATOR_FAILED, COORDINATOR_CLOSED };

struct coordinator_waiter {
    struct list_node in_coordinator;
    uint64_t sequence; /* of the last batch that it waits for */
    /* From the loop, or inside coordinator_wait where there is nothing to wait for. OK, or why the records are not
     * known to be durable (they may be all the same). */
    void (*done)(struct coordinator_waiter *w, enum status status);
};

struct coordinator_batch { /* on its way to the log */
    struct produce_part part;
    struct coordinator *coordinator;
    struct batch_builder builder;
    uint64_t sequence;
};

struct coordinator {
    const struct coordinator_ops *ops;
    struct shard *shard;
    struct lane *lane;
    enum coordinator_state state;
    struct list_node in_dirty;      /* has an open batch: closed at the end of the turn */
    struct coordinator_batch *open; /* NULL: none */
    uint64_t sequence;              /* of the open batch, or of the next one */
    uint64_t durable;               /* batches up to this one are */
    struct list waiters;            /* ascending sequence */
    uint32_t in_flight;             /* batches, and the read of loading */
    /* loading */
    struct partition_read read;
    int64_t at, end;
    uint64_t records;
    struct mono_ns load_begun;
    struct timer again;
    void (*closed)(struct coordinator *c); /* set: ending */
};

/* Begins to load. */
void coordinator_open(struct coordinator *c, const struct coordinator_ops *ops, struct shard *s, struct lane *l);
/* The partition goes, or the shard stops: like FAILED, for good. closed(c) comes, then or later, when nothing is in
 * flight any more. */
void coordinator_close(struct coordinator *c, void (*closed)(struct coordinator *c));

/* While ACTIVE. NO_MEMORY, BATCH_TOO_LARGE: the caller must coordinator_fail. value NULL data with len -1: tombstone.
 */
enum status coordinator_put(struct coordinator *c, struct bytes key, struct bytes value) MUST_CHECK;
void coordinator_wait(struct coordinator *c, struct coordinator_waiter *w);
void coordinator_fail(struct coordinator *c, enum status why);

/* From the shard's turn hook: closes the open batches of this turn. */
void coordinators_flush(struct shard *s);

// SPDX-License-Identifier: Apache-2.0
/* A run: threads (one env each) that load a broker at the same time. Driver 0 is also the conductor: it starts all of
 * them at one moment, samples CPU and memory at both ends of the measured time, and stops them.
 *
 *   driver: connecting -> ready -> running -> done -> closing
 *
 * What is shared is constant while the threads run, or belongs, element by element, to the one thread that has that
 * partition or stream; what goes between threads goes by message. */
#pragma once
#include "base/arena.h"
#include "base/histogram.h"
#include "tools/bench/channel.h"
#include "tools/bench/checker.h"
#include "tools/bench/client_options.h"
#include "tools/bench/machine.h"
#include "tools/bench/plan.h"
#include "tools/bench/target.h"
#include <stdatomic.h>

#define DRIVE_ERROR 600

struct producer;
struct reader;
struct driver;

struct sample {
    struct counters own;
    struct process processes[BENCH_PIDS_MAX];
    bool alive[BENCH_PIDS_MAX];
};

struct run {
    const struct client_options *options;
    const struct target *target;
    const struct plan *plan;
    const struct machine *machine;
    uint64_t id;
    struct driver *drivers;
    uint32_t driver_count;
    uint64_t *written; /* by stream: records acknowledged */
    int64_t *offsets;  /* by partition: next to fetch */
    int64_t *froms;    /* by partition: what the last fetch asked for */
    /* set by the conductor before the threads begin */
    int64_t begin_ns;       /* first record due */
    int64_t from_ns, to_ns; /* measured; to: INT64_MAX when the end is not a time */
    /* the conductor's */
    uint32_t ready, done;
    bool stopping, sampled;
    struct sample before, after;
    struct timer at_from, at_to, progress;
    uint64_t told_acked, told_read;
};

struct results {                           /* of a driver; sums over all at the end */
    struct histogram ack;                  /* ns from the intended time to the answer; closed loop: from the send */
    struct histogram lag;                  /* ns by which the generator itself was late */
    struct histogram e2e;                  /* ns from the intended time to the receipt */
    struct histogram fetch;                /* ns from a fetch to its answer */
    uint64_t acked, acked_bytes, requests; /* in the measured time; bytes of values */
    uint64_t all_acked;                    /* in the whole run */
    uint64_t read, read_bytes, fetches;    /* in the measured time; bytes on the wire */
    uint64_t all_read;
    uint64_t unanswered; /* records that were due and not acknowledged when the drain was over */
    int64_t last_ack_ns, last_read_ns;
    struct checker_counts checks;
    uint64_t run; /* whose records were checked */
    char fault[160];
};

enum drive_phase { DRIVE_CONNECTING, DRIVE_READY, DRIVE_RUNNING, DRIVE_DONE, DRIVE_CLOSING };

struct driver {
    struct env *env;
    struct run *run;
    uint32_t number;
    enum drive_phase phase;
    struct channels channels;
    struct producer *producers;
    uint32_t producer_count;
    struct reader *readers;
    uint32_t reader_count;
    uint32_t opening, live; /* channels */
    struct patterns patterns;
    struct arena arena; /* of one response to a produce request */
    struct checker checker;
    struct timer watch, begin;
    int64_t progressed_ns; /* reading */
    uint64_t unread;       /* consume: partitions that have not come to their end */
    struct msg note_ready, note_done, note_failed, order_begin, order_stop;
    bool noted_failed;
    struct results results;
    atomic_ullong seen_acked, seen_read; /* for the progress line */
    char error[DRIVE_ERROR];
};

/* May wait: returns when all threads have ended. False: error says what ended the run. */
bool drive(struct run *r, char error[DRIVE_ERROR]);

/* From producers and readers: the run cannot go on. The first sentence counts. */
void drive_fail(struct driver *d, const char *what);
void drive_opened(struct channel *c, struct driver *d);
void drive_closed(struct driver *d);

/* ---- produce.c ---- */
void producers_create(struct driver *d); /* and begins to connect */
void producers_begin(struct driver *d);
bool producers_finished(const struct driver *d); /* nothing due, nothing in flight */
void producers_give_up(struct driver *d);        /* the drain is over: counts what is due and not acknowledged */
void producers_close(struct driver *d);
void producers_free(struct driver *d);
int64_t producers_wait_since_ns(const struct driver *d, const char **ret_address);

/* ---- consume.c ---- */
void readers_create(struct driver *d);
void readers_begin(struct driver *d);
bool readers_finished(struct driver *d); /* everything that had to be read was */
void readers_close(struct driver *d);
void readers_free(struct driver *d);
int64_t readers_wait_since_ns(const struct driver *d, const char **ret_address);

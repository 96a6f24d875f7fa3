// SPDX-License-Identifier: Apache-2.0
/* Random use of a store on a simulated machine, judged by store_model: operations with several in flight, faults,
 * crashes and restarts. One run is a function of its seed. The judge ends the process on the first broken promise. */
#pragma once
#include "tests/sim/store_model.h"
#include "tests/sim/store_world.h"

#define DRIVER_PARTS     8
#define DRIVER_OPS       48
#define DRIVER_PRODUCERS 3
#define DRIVER_COMPACTS  1000 /* seeds from here on have compacted logs; the bank's bugs know the ones below */

struct driver_producer {
    int64_t id;
    int32_t next;
    int16_t epoch;
};

struct driver_part {
    char topic[8];
    int32_t number;
    struct partition *p; /* of this boot; NULL: not created yet */
    struct model_log log;
    bool made; /* its creation was acknowledged */
    bool creating, cutting;
    bool retains;     /* retention was on in this run: the log start moves by itself */
    bool wants_epoch; /* after a cut or a start: records need a new leader epoch first */
    struct driver_producer producers[DRIVER_PRODUCERS];
};

struct driver_totals {
    uint64_t appends, acked, duplicates, refused_sequences, busy, reads, lookups, cuts, log_starts, trims, epochs;
    uint64_t rounds, swaps; /* of compaction */
    uint64_t kills, power_cuts, clean_stops, fences, failed_starts, checkpoints;
    uint64_t faults, rotten;
    int64_t simulated_ns;
};

struct driver_op;
struct driver {
    struct store_world w;
    uint64_t seed, next_id;
    bool trace;
    uint32_t part_count;
    struct driver_part parts[DRIVER_PARTS];
    struct driver_op *ops[DRIVER_OPS];
    uint32_t op_count;
    bool io_faults; /* a failed write or flush may have been injected: FENCED is no surprise */
    bool read_faults;
    bool no_space;
    int64_t space_ns; /* the store asks for free space once a second: until then it may think that there is none */
    bool stopping;
    uint8_t *bytes;   /* of the batch being made */
    char rotting[64]; /* directory whose index files rot */
    struct driver_totals *totals;
};

/* Runs one seed; its trace hash. */
uint64_t driver_run(uint64_t seed, bool trace, struct driver_totals *totals);

/* driver_ops.c, for driver.c */
uint64_t driver_pick(struct driver *d, uint64_t n); /* uniform below n */
bool driver_chance(struct driver *d, uint32_t percent);
void driver_broken(struct driver *d, const struct driver_part *part, const char *what) __attribute__((noreturn));
void driver_step(struct driver *d);                             /* one random operation */
void driver_forget(struct driver *d);                           /* the process died: its operations never end */
void driver_verify(struct driver *d, struct driver_part *part); /* all of the log, blocking */
void driver_list(struct driver *d, const char *dir);
void driver_configure(struct driver *d, struct driver_part *part); /* random settings */
void driver_look(struct driver *d);                                /* what the engine shows now is remembered */

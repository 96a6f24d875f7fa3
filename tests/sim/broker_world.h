// SPDX-License-Identifier: Apache-2.0
/* A whole broker of one node on a simulated machine (its shards run broker/ unchanged; HTTP is off, since its library
 * does its own I/O), and a second machine for the clients. A broken promise ends the process with the seed. */
#pragma once
#include "base/config.h"
#include "base/sim/sim.h"
#include "broker/shard.h"
#include <stdio.h>
#include <stdlib.h>

#define BROKER_ADDRESS "10.0.0.1:9092"
#define WORLD_SHARDS   4
#define STOP_LIMIT_NS                                                                                                  \
    (25 * NS_PER_S) /* a clean stop: 15 s for peers that do not take their answers, the rest to close */
#define STALL_LIMIT_NS  (60 * NS_PER_S)
#define START_LIMIT_NS  (60 * NS_PER_S)
#define WORLD_LOG_LINES 64

struct broker_world_config {
    uint64_t seed;
    struct sim_machine_config machine;
    const char *options[16]; /* "key=value", as leatd -o; NULL at the end */
    bool trace;              /* prints what happens, and the broker's log */
};

struct broker_counters {
    uint64_t boots, kills, power_cuts, clean_stops, failed_starts, faults, fences, clock_jumps, cuts, resets;
    uint64_t connections, timeouts, calls, answers;
    uint64_t batches, acked, refused, resent, dropped, read, fetches, sessions_lost, admin_done, admin_unknown,
        undeleted;
};

struct broker_world {
    struct sim *sim;
    uint64_t seed;
    bool trace;
    struct sim_machine *server, *clients;
    struct mem *mem; /* of the configuration */
    struct config *source;
    struct broker_config config;
    struct broker broker;
    uint32_t shards;
    bool stop_asked;
    int64_t booted, stopped; /* world time */
    struct broker_counters count;
    char log[WORLD_LOG_LINES][256]; /* the last lines of the broker's log, in turn */
    uint32_t log_at;
};

void broker_world_init(struct broker_world *w, const struct broker_world_config *c);
void broker_world_deinit(struct broker_world *w);
uint64_t broker_world_roll(struct broker_world *w, uint64_t n); /* below n, for the test's own decisions */

void broker_world_boot(struct broker_world *w, uint32_t shards); /* does not wait */
void broker_world_kill(struct broker_world *w, enum sim_kill how);
/* SIGTERM. The end of the process is checked when it comes: no memory, no operation is left. */
void broker_world_stop(struct broker_world *w);
bool broker_world_serves(const struct broker_world *w);
/* Until it serves (false: it failed and its process has ended), until it has ended. Both check their limits. */
bool broker_world_wait_serves(struct broker_world *w);
void broker_world_wait_end(struct broker_world *w, bool stalled); /* stalled: disk operations may last so long, too */
void broker_world_pass(struct broker_world *w, int64_t ns);
void broker_world_say(struct broker_world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
_Noreturn void broker_world_broken(struct broker_world *w, const char *file, int line);

#define BROKER_MUST(w, cond, ...)                                                                                      \
    do {                                                                                                               \
        if (!(cond)) {                                                                                                 \
            (void)printf("BROKEN: " __VA_ARGS__);                                                                      \
            broker_world_broken((w), __FILE__, __LINE__);                                                              \
        }                                                                                                              \
    } while (0)

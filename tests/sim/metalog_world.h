// SPDX-License-Identifier: Apache-2.0
/* Simulated machines that run metalogs, the links between them, and the checkers: what is applied at an index is the
 * same everywhere and for ever, a term has one leader, what was answered with OK is what was applied there. A broken
 * promise ends the process with the seed.
 *
 * The owner's state is a hash over all that was applied; its snapshot is that state and a filler whose length follows
 * from it. Links are FIFO with delays; a loss breaks the connection: what is on it is gone, and for a while all that
 * follows. */
#pragma once
#include "base/log.h"
#include "base/sim/sim.h"
#include "replication/metalog.h"

#define NODES_MAX 5

struct metalog_world;

struct metalog_node {
    struct metalog_world *world;
    struct sim_machine *machine;
    struct metalog_owner owner;
    struct metalog_config config;
    struct metalog_open open;
    struct metalog *log; /* NULL: not open */
    int32_t id;
    uint32_t boots;
    bool up, opened, failed, closed;
    enum status failure;
    char why[256];
    /* the owner's state */
    uint64_t index, hash, commands;
    uint64_t restores, applied_calls;
    /* a snapshot being given or taken */
    uint64_t snap_at, snap_index, snap_hash, snap_commands;
    uint8_t in[24];
    uint64_t in_at, in_index;
    bool giving, refuse_snapshots;
    struct io_op poke;
    struct log logger; /* used when LEAT_SIM_LOG is set */
    enum metalog_role role;
    int32_t leader;
    uint64_t term;
};

struct world_submit { /* malloced, freed when it ends */
    struct metalog_submit op;
    struct metalog_world *world;
    uint64_t hash;
    uint32_t node, boots;
    struct list_node in_world;
    bool *done; /* may be NULL */
    enum status *status;
};

struct truth {
    uint64_t term, hash;
};

struct metalog_world {
    struct sim *sim;
    uint64_t seed;
    uint32_t count;
    struct metalog_node nodes[NODES_MAX];
    struct truth *truth; /* by index */
    uint64_t truth_count, truth_room;
    int32_t leaders[4096]; /* by term: node + 1 */
    int64_t last_arrival[NODES_MAX][NODES_MAX], broken_until[NODES_MAX][NODES_MAX];
    uint32_t connection[NODES_MAX][NODES_MAX]; /* counts up with each break */
    bool cut[NODES_MAX][NODES_MAX];
    uint32_t loss_ppm;
    struct list submits; /* not ended; those of killed processes stay here */
    uint64_t acked, refused, unknown, messages, lost, elections, installs, snapshots;
};

void mworld_init(struct metalog_world *w, uint64_t seed, uint32_t nodes, const struct sim_machine_config *machine);
void mworld_deinit(struct metalog_world *w);

/* Boots and waits for the open; its status. */
enum status mworld_boot(struct metalog_world *w, uint32_t node);
void mworld_start(struct metalog_world *w, uint32_t node); /* does not wait */
void mworld_kill(struct metalog_world *w, uint32_t node, enum sim_kill how);
void mworld_stop(struct metalog_world *w, uint32_t node); /* closes, then ends the process */

/* data of `size` bytes made from `tag`. Not waited for. */
void mworld_submit(struct metalog_world *w, uint32_t node, uint64_t tag, uint32_t size);
/* Blocking. */
enum status mworld_append(struct metalog_world *w, uint32_t node, uint64_t tag, uint32_t size);
void mworld_pass(struct metalog_world *w, int64_t ns);
bool mworld_wait_leader(struct metalog_world *w, uint32_t *ret_node);   /* within ten seconds */
void mworld_break(struct metalog_world *w, uint32_t from, uint32_t to); /* the connection, for a while */

#define WORLD_MUST(w, cond, ...)                                                                                       \
    do {                                                                                                               \
        if (!(cond)) {                                                                                                 \
            (void)fprintf(stderr, "seed %llu, %lld ms, %s:%d: broken: %s: ", (unsigned long long)(w)->seed,            \
                          (long long)(sim_now((w)->sim) / NS_PER_MS), __FILE__, __LINE__, #cond);                      \
            (void)fprintf(stderr, __VA_ARGS__);                                                                        \
            (void)fprintf(stderr, "\n");                                                                               \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

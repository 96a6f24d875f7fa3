// SPDX-License-Identifier: Apache-2.0
/* Random lives of metalogs: metalog_seeds --nodes 3 --seed 1 --seeds 50 --seconds 60
 *
 * Submits of all sizes, snapshots, transfers, kills, power cuts, partitions, broken connections, slow and failing
 * disks. The world checks each step (one leader per term, what is applied is the same everywhere, OK means applied);
 * after each life everything is healed, and then: one leader, everybody applies everything, new entries are accepted. A
 * seed that fails is printed and can be run alone. The hash of the world must be the same when a seed is run twice. */
#include "base/bytes.h"
#include "tests/sim/metalog_world.h"
#include <stdio.h>
#include <stdlib.h>

struct totals {
    uint64_t acked, unknown, refused, elections, crashes, snapshots, installs, failed, messages, lost, transfers;
};

static struct totals totals;
static uint64_t crashes;

static uint64_t roll(struct metalog_world *w, uint64_t n)
{
    return sim_random(w->sim) % n;
}

static struct metalog_node *any(struct metalog_world *w)
{
    return &w->nodes[roll(w, w->count)];
}

static bool works(const struct metalog_node *n)
{
    return n->up && n->log != NULL && n->opened && !n->failed;
}

static uint32_t size_of_entry(struct metalog_world *w)
{
    uint64_t dice = roll(w, 100);
    if (dice < 3) return (uint32_t)roll(w, 200000);
    if (dice < 10) return 0;
    return (uint32_t)roll(w, 900);
}

static void some_submits(struct metalog_world *w)
{
    for (uint64_t i = 1 + roll(w, 6); i > 0; i--) {
        struct metalog_node *n = any(w);
        for (uint32_t k = 0; k < w->count && roll(w, 8) != 0; k++) /* mostly the leader */
            if (works(&w->nodes[k]) && w->nodes[k].role == METALOG_LEADER) n = &w->nodes[k];
        if (works(n)) mworld_submit(w, (uint32_t)(n - w->nodes), sim_random(w->sim), size_of_entry(w));
    }
}

static void crash(struct metalog_world *w, struct metalog_node *n)
{
    crashes++;
    mworld_kill(w, (uint32_t)(n - w->nodes), roll(w, 2) == 0 ? SIM_POWER : SIM_KILL);
}

static void cut_some(struct metalog_world *w)
{
    uint64_t mask = roll(w, 1ull << w->count);
    for (uint32_t i = 0; i < w->count; i++)
        for (uint32_t j = 0; j < w->count; j++) {
            bool cut = ((mask >> i) & 1) != ((mask >> j) & 1) && roll(w, 10) != 0;
            if (cut) w->connection[i][j]++;
            w->cut[i][j] = cut;
        }
}

static void heal(struct metalog_world *w)
{
    memset(w->cut, 0, sizeof w->cut);
}

static void break_a_disk(struct metalog_world *w, struct metalog_node *n)
{
    static const enum sim_fault faults[] = {SIM_FAULT_EIO, SIM_FAULT_NO_SPACE, SIM_FAULT_STALL, SIM_FAULT_SHORT};
    sim_fault_clear(n->machine);
    sim_fault_add(n->machine, &(struct sim_fault_rule){.fault = faults[roll(w, COUNT_OF(faults))],
                                                       .path = "*" METALOG_NAME "*",
                                                       .nth = 1 + roll(w, 30),
                                                       .delay_ns = (int64_t)roll(w, 2000) * NS_PER_MS});
}

static void something_bad(struct metalog_world *w)
{
    struct metalog_node *n = any(w);
    uint64_t dice = roll(w, 100);
    if (dice < 30) {
        if (n->up) crash(w, n);
    } else if (dice < 45) {
        cut_some(w);
    } else if (dice < 60) {
        heal(w);
    } else if (dice < 70) {
        uint32_t from = (uint32_t)roll(w, w->count), to = (uint32_t)roll(w, w->count);
        if (from != to) mworld_break(w, from, to);
    } else if (dice < 78) {
        break_a_disk(w, n);
    } else if (dice < 88) {
        if (works(n)) metalog_snapshot(n->log);
    } else if (dice < 95) {
        if (works(n) && metalog_transfer(n->log, roll(w, 2) == 0 ? -1 : any(w)->id) == STATUS_OK) totals.transfers++;
    } else {
        n->refuse_snapshots = !n->refuse_snapshots;
    }
}

/* Processes that ended or failed start again, after a while. */
static void restart_some(struct metalog_world *w, bool all)
{
    for (uint32_t i = 0; i < w->count; i++) {
        struct metalog_node *n = &w->nodes[i];
        if (n->up && (n->failed || (n->opened && n->log == NULL)) && (all || roll(w, 3) == 0)) {
            totals.failed++;
            sim_fault_clear(n->machine);
            crash(w, n);
        }
        if (!n->up && (all || roll(w, 4) == 0)) {
            if (all) sim_fault_clear(n->machine);
            mworld_start(w, i);
        }
    }
}

static void live(struct metalog_world *w, int64_t seconds)
{
    int64_t end = sim_now(w->sim) + seconds * NS_PER_S;
    for (uint32_t i = 0; i < w->count; i++) mworld_start(w, i);
    while (sim_now(w->sim) < end) {
        mworld_pass(w, (int64_t)(1 + roll(w, 60)) * NS_PER_MS);
        some_submits(w);
        if (roll(w, 6) == 0) something_bad(w);
        restart_some(w, false);
    }
}

static void recover(struct metalog_world *w)
{
    uint32_t leader = 0;
    heal(w);
    w->loss_ppm = 0;
    for (uint32_t i = 0; i < w->count; i++) {
        w->nodes[i].refuse_snapshots = false;
        sim_fault_clear(w->nodes[i].machine);
    }
    for (int i = 0; i < 100; i++) { /* those that stall come back, those that failed start again */
        restart_some(w, true);
        mworld_pass(w, 200 * NS_PER_MS);
    }
    for (uint32_t i = 0; i < w->count; i++)
        WORLD_MUST(w, works(&w->nodes[i]), "node %u does not come back: %s", i, w->nodes[i].open.error);
    WORLD_MUST(w, mworld_wait_leader(w, &leader), "no leader after healing");
    WORLD_MUST(w, mworld_append(w, leader, 1, 100) == STATUS_OK, "the healed quorum takes no entry");
    mworld_pass(w, 5 * NS_PER_S);
    for (uint32_t i = 0; i < w->count; i++)
        WORLD_MUST(w, w->nodes[i].index == w->truth_count && w->nodes[i].hash == w->nodes[leader].hash,
                   "node %u stays at %llu of %llu", i, (unsigned long long)w->nodes[i].index,
                   (unsigned long long)w->truth_count);
    WORLD_MUST(w, w->acked > 20, "hardly anything was agreed on: %llu", (unsigned long long)w->acked);
}

static uint64_t one(uint64_t seed, uint32_t nodes, int64_t seconds)
{
    static struct metalog_world w;
    struct sim_machine_config machine = {.names = seed % 2 == 0 ? SIM_WEAK_POSIX : SIM_EXT4_ORDERED,
                                         .dsync_cheaper = seed % 3 == 0,
                                         .sync_ns = seed % 4 == 1 ? 15 * NS_PER_MS : 0, /* slow disks */
                                         .linger_ns = seed % 5 == 0 ? 100 * NS_PER_MS : 0};
    mworld_init(&w, seed, nodes, &machine);
    w.loss_ppm = seed % 4 == 0 ? 0 : 3000;
    live(&w, seconds);
    recover(&w);
    uint64_t hash = sim_trace_hash(w.sim);
    for (uint32_t i = 0; i < w.count; i++) mworld_stop(&w, i);
    totals.acked += w.acked;
    totals.unknown += w.unknown;
    totals.refused += w.refused;
    totals.elections += w.elections;
    totals.snapshots += w.snapshots;
    totals.installs += w.installs;
    totals.messages += w.messages;
    totals.lost += w.lost;
    mworld_deinit(&w);
    return hash;
}

int main(int argc, char **argv)
{
    uint64_t seed = 1, seeds = 20;
    uint32_t nodes = 3;
    int64_t seconds = 30;
    for (int i = 1; i + 1 < argc; i += 2) {
        uint64_t v = strtoull(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--seed") == 0) seed = v;
        if (strcmp(argv[i], "--seeds") == 0) seeds = v;
        if (strcmp(argv[i], "--nodes") == 0) nodes = (uint32_t)v;
        if (strcmp(argv[i], "--seconds") == 0) seconds = (int64_t)v;
    }
    for (uint64_t s = seed; s < seed + seeds; s++) {
        uint64_t hash = one(s, nodes, seconds);
        if (s == seed && one(s, nodes, seconds) != hash) {
            (void)fprintf(stderr, "seed %llu: two runs, two histories\n", (unsigned long long)s);
            return 1;
        }
    }
    const struct {
        const char *what;
        uint64_t count;
    } lines[] = {{"acked", totals.acked},         {"unknown", totals.unknown}, {"refused", totals.refused},
                 {"elections", totals.elections}, {"crashes", crashes},        {"snapshots", totals.snapshots},
                 {"installed", totals.installs},  {"failed", totals.failed},   {"transfers", totals.transfers},
                 {"messages", totals.messages},   {"lost", totals.lost}};
    printf("%llu seeds, %u nodes:", (unsigned long long)seeds, nodes);
    for (size_t i = 0; i < COUNT_OF(lines); i++) printf(" %llu %s", (unsigned long long)lines[i].count, lines[i].what);
    printf("\n");
    return 0;
}

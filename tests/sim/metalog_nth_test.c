// SPDX-License-Identifier: Apache-2.0
/* The n-th I/O of a metalog fails, for every n and every kind of failure: a scripted life (entries of all sizes, two
 * snapshots, rolls, a stop, a start), one fault in it, a crash, a start without it.
 *
 * What must hold: no CHECK, no hang; what was answered with OK is applied again after the restart, in the same order
 * (the world checks it); after the first FENCED nothing is answered with OK; a short transfer is no failure; a start
 * that is refused says why, and the next one without the fault is not refused. */
#include "tests/sim/metalog_world.h"
#include "base/bytes.h"
#include <stdio.h>
#include <stdlib.h>

enum { POINTS_MIN = 1500 };

static struct metalog_world w;
static char point[128];
static bool fenced;
static uint64_t refused_starts, fences;

#define MUST(cond)                                                                                                     \
    do {                                                                                                               \
        if (!(cond)) {                                                                                                 \
            (void)fprintf(stderr, "%s: broken: %s (line %d)\n", point, #cond, __LINE__);                               \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

static bool boot(void)
{
    if (mworld_boot(&w, 0) == STATUS_OK) return true;
    MUST(w.nodes[0].open.error[0] != '\0');
    refused_starts++;
    return false;
}

static void append(uint64_t from, uint64_t count)
{
    for (uint64_t tag = from; tag < from + count; tag++) {
        enum status status = mworld_append(&w, 0, tag, tag % 11 == 7 ? 70000 : (uint32_t)(tag % 5) * 500);
        if (status == STATUS_OK) MUST(!fenced);
        if (status == STATUS_FENCED) fenced = true;
    }
}

static void live(void)
{
    if (!boot()) return;
    append(0, 40);
    mworld_pass(&w, 400 * NS_PER_MS); /* snapshot, closing group */
    append(40, 30);
    if (w.nodes[0].failed) fences++;
    mworld_stop(&w, 0);
    fenced = false;
    if (!boot()) return;
    append(70, 12);
    metalog_snapshot(w.nodes[0].log);
    append(82, 3);
    mworld_pass(&w, 400 * NS_PER_MS);
    if (w.nodes[0].failed) fences++;
}

static uint64_t acked_commands(void)
{
    return w.truth_count;
}

/* One life with the fault at the n-th I/O (0: none). Returns the I/Os of it. */
static uint64_t try(enum sim_fault fault, uint64_t nth, bool power, bool dsync)
{
    struct sim_machine_config machine = {.dsync_cheaper = dsync};
    mworld_init(&w, 1, 1, &machine);
    w.nodes[0].config.snapshot_bytes = 120 << 10;
    fenced = false;
    if (nth > 0)
        sim_fault_add(w.nodes[0].machine,
                      &(struct sim_fault_rule){.fault = fault, .path = "*" METALOG_NAME "*", .nth = nth});
    live();
    uint64_t ops = sim_fault_ops(w.nodes[0].machine);
    sim_fault_clear(w.nodes[0].machine);
    if (w.nodes[0].up) mworld_kill(&w, 0, power ? SIM_POWER : SIM_KILL);
    uint64_t before = acked_commands();
    if (!power) { /* what a start tells, is on the medium: a failed flush before it has dropped nothing (A7) */
        MUST(mworld_boot(&w, 0) == STATUS_OK);
        uint32_t leader;
        MUST(mworld_wait_leader(&w, &leader));
        before = acked_commands();
        mworld_kill(&w, 0, SIM_POWER);
    }
    enum status status = mworld_boot(&w, 0);
    if (status != STATUS_OK) (void)fprintf(stderr, "%s: %s\n", point, w.nodes[0].open.error);
    MUST(status == STATUS_OK);
    uint32_t leader;
    MUST(mworld_wait_leader(&w, &leader));
    MUST(w.nodes[0].index >= before); /* every entry that anybody saw applied */
    MUST(mworld_append(&w, 0, 999, 100) == STATUS_OK);
    mworld_stop(&w, 0);
    mworld_deinit(&w);
    return ops;
}

int main(int argc, char **argv)
{
    static const struct {
        enum sim_fault fault;
        const char *name;
    } faults[] = {{SIM_FAULT_EIO, "EIO"},
                  {SIM_FAULT_NO_SPACE, "no space"},
                  {SIM_FAULT_READ_ONLY, "read-only"},
                  {SIM_FAULT_TOO_MANY, "too many files"},
                  {SIM_FAULT_SHORT, "short"}};
    uint64_t points = 0, step = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    snprintf(point, sizeof point, "no fault");
    uint64_t ops = try(SIM_FAULT_NONE, 0, false, false);
    MUST(ops > 100);
    uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1, last = argc > 2 ? first : ops + 5;
    for (size_t f = 0; f < COUNT_OF(faults); f++)
        for (uint64_t nth = first; nth <= last; nth += step) {
            snprintf(point, sizeof point, "%s at I/O %llu", faults[f].name, (unsigned long long)nth);
            (void)try(faults[f].fault, nth, nth % 2 == 0, nth % 3 == 0);
            points++;
        }
    printf("%llu I/Os, %llu points, %llu fences, %llu refused starts\n", (unsigned long long)ops,
           (unsigned long long)points, (unsigned long long)fences, (unsigned long long)refused_starts);
    MUST(argc > 2 || (fences > points / 10 && points >= POINTS_MIN / step));
    return 0;
}

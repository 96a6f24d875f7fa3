// SPDX-License-Identifier: Apache-2.0
/* Random seeds of the storage engine against the array model.
 *
 *   store_seeds [--seed S] [--seeds N] [--seconds T] [--trace]
 *
 * N seeds from S on (default 1), at most T seconds of wall time (0: no limit). Every tenth seed is run twice: the trace
 * hash must be the same. The first broken promise ends the program with 1 and the command that shows it again. */
#include "tests/sim/store_driver.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static char again[96];

static void aborted(int number)
{
    ssize_t n = write(STDOUT_FILENO, again, strlen(again));
    (void)n;
    signal(number, SIG_DFL);
    raise(number);
}

static double seconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void report(const struct driver_totals *t, uint64_t seeds, double cpu)
{
    printf("%llu seeds: %llu appends, %llu acknowledged (%llu duplicates), %llu refused by sequence, %llu busy, "
           "%llu reads, %llu lookups, %llu cuts, %llu log starts, %llu trims, %llu epochs, "
           "%llu rounds of compaction, %llu swaps\n",
           (unsigned long long)seeds, (unsigned long long)t->appends, (unsigned long long)t->acked,
           (unsigned long long)t->duplicates, (unsigned long long)t->refused_sequences, (unsigned long long)t->busy,
           (unsigned long long)t->reads, (unsigned long long)t->lookups, (unsigned long long)t->cuts,
           (unsigned long long)t->log_starts, (unsigned long long)t->trims, (unsigned long long)t->epochs,
           (unsigned long long)t->rounds, (unsigned long long)t->swaps);
    printf("%llu kills, %llu power cuts, %llu clean stops, %llu fences, %llu failed starts, %llu faults injected, %llu "
           "index files spoiled; "
           "%.1f simulated s, %.1f per CPU second\n",
           (unsigned long long)t->kills, (unsigned long long)t->power_cuts, (unsigned long long)t->clean_stops,
           (unsigned long long)t->fences, (unsigned long long)t->failed_starts, (unsigned long long)t->faults,
           (unsigned long long)t->rotten, (double)t->simulated_ns / 1e9, (double)t->simulated_ns / 1e9 / cpu);
}

static void run_seed(uint64_t seed, bool trace, struct driver_totals *totals)
{
    snprintf(again, sizeof again, "\nagain: store_seeds --seed %llu --trace\n", (unsigned long long)seed);
    uint64_t hash = driver_run(seed, trace, totals);
    if (seed % 10 != 0) return;
    struct driver_totals ignored = {0};
    if (driver_run(seed, false, &ignored) == hash) return;
    printf("BROKEN seed %llu: two runs differ%s", (unsigned long long)seed, again);
    exit(1);
}

int main(int argc, char **argv)
{
    uint64_t first = 1, count = 1, limit = 0, done = 0;
    bool trace = false;
    struct driver_totals totals = {0};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--trace") == 0) {
            trace = true;
            continue;
        }
        uint64_t *value = strcmp(argv[i], "--seed") == 0      ? &first
                          : strcmp(argv[i], "--seeds") == 0   ? &count
                          : strcmp(argv[i], "--seconds") == 0 ? &limit
                                                              : NULL;
        if (value == NULL || i + 1 == argc) {
            fprintf(stderr, "usage: store_seeds [--seed S] [--seeds N] [--seconds T] [--trace]\n");
            return 2;
        }
        *value = strtoull(argv[++i], NULL, 10);
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGABRT, aborted);
    double begun = seconds(CLOCK_MONOTONIC);
    while (done < count && (limit == 0 || seconds(CLOCK_MONOTONIC) - begun < (double)limit))
        run_seed(first + done++, trace, &totals);
    report(&totals, done, seconds(CLOCK_PROCESS_CPUTIME_ID));
    return 0;
}

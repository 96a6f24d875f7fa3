// SPDX-License-Identifier: Apache-2.0
/* How fast the simulator runs: a store on one shard under light load, ten durable appends of 1 KiB a simulated second
 * for ten simulated minutes. Prints simulated seconds per CPU second. A benchmark, not a test: docs/benchmarks.md. */
#include "tests/sim/store_world.h"
#include <stdio.h>
#include <time.h>

#define SECONDS 600u

int main(void)
{
    struct store_world w;
    int64_t offset;
    world_init(&w, 1, NULL);
    CHECK_OK(world_boot(&w, 1));
    struct partition *p = world_create(&w, "t", 0);
    int64_t from = sim_now(w.sim);
    clock_t begin = clock();
    for (uint64_t i = 0; i < 10u * SECONDS; i++) {
        struct world_batch b = {.records = 1, .value_bytes = 950, .tag = i};
        CHECK_OK(world_append(&w, p, &b, &offset));
        world_pass(&w, NS_PER_S / 10);
    }
    double cpu_s = (double)(clock() - begin) / CLOCKS_PER_SEC, sim_s = (double)(sim_now(w.sim) - from) / 1e9;
    printf("%.0f simulated seconds in %.2f CPU seconds: %.0f per CPU second\n", sim_s, cpu_s, sim_s / cpu_s);
    CHECK_OK(world_stop(&w));
    world_deinit(&w);
    return 0;
}

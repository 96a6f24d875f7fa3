// SPDX-License-Identifier: Apache-2.0
/* Chooses the measurement by its name. Failure: an unknown name is answered with the list, exit code 2. */
#include "tools/bench/bench.h"

#include "tools/bench/numbers.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "Usage: leat-bench MODE [options]; leat-bench MODE --help tells all of them\n"
    "\n"
    "Against any broker that speaks the Kafka protocol (--bootstrap HOST:PORT):\n"
    "  produce    records in; latency from the intended time to the acknowledgement\n"
    "  consume    records out, as fast as they come; verifies what it reads\n"
    "  e2e        both at once; latency from the intended time to the receipt; verifies\n"
    "Leat's storage engine alone, in this process (--dir DIR):\n"
    "  storage    appends, recovery after kill -9, memory of idle partitions\n"
    "\n"
    "Exit code: 0 measured, 1 it could not be measured or what was read is not what was written, 2 wrong usage.\n";

int bench_main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";
    if (strcmp(mode, "storage") == 0) return bench_storage(argc, argv);
    if (strcmp(mode, "produce") == 0 || strcmp(mode, "consume") == 0 || strcmp(mode, "e2e") == 0)
        return bench_client(argc - 1, argv + 1);
    if (strcmp(mode, "--help") == 0 || strcmp(mode, "-h") == 0) {
        fputs(help, stdout);
        return EXIT_SUCCESS;
    }
    fprintf(stderr, "%s: say what to measure: produce, consume, e2e or storage (see --help)\n", bench_name);
    return EXIT_BENCH_USAGE;
}

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
    "Leat's storage engine alone, in this process (--dir DIR):\n"
    "  storage    appends, recovery after kill -9, memory of idle partitions\n"
    "\n"
    "Exit code: 0 measured, 1 it could not be measured or what was read is not what was written, 2 wrong usage.\n";

int bench_main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";
    if (strcmp(mode, "storage") == 0) return bench_storage(argc, argv);
    if (strcmp(mode, "--help") == 0 || strcmp(mode, "-h") == 0) {
        fputs(help, stdout);
        return EXIT_SUCCESS;
    }
    fprintf(stderr, "leat-bench: say what to measure: storage (see --help)\n");
    return EXIT_BENCH_USAGE;
}

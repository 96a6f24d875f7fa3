// SPDX-License-Identifier: Apache-2.0
/* leat-bench as a function: argv[1] names what to measure. Each returns the process's exit code: 0 measured, 1 it could
 * not be measured or what was read is not what was written (a sentence on standard error), 2 wrong usage. They may be
 * called once per process (getopt). */
#pragma once
#include <getopt.h>

int bench_main(int argc, char **argv);
int bench_storage(int argc, char **argv); /* the storage engine alone */
int bench_client(int argc, char **argv);  /* argv[0]: produce, consume or e2e; a broker over the Kafka protocol */

/* Their options, for completion; the last has no name. */
extern const struct option bench_client_longs[], bench_storage_longs[];

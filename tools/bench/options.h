// SPDX-License-Identifier: Apache-2.0
/* What the user asked `leat-bench storage` for. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define BENCH_SIZE_MIN 128u /* a batch header, a record header and a few bytes */
#define BENCH_SIZE_MAX (1u << 20)
#define BENCH_RUNS_MAX 16

struct options {
    const char *dir; /* exists; we work in a folder of our own below it */
    uint32_t partitions[BENCH_RUNS_MAX], partition_runs;
    uint32_t sizes[BENCH_RUNS_MAX], size_runs; /* bytes of a whole record batch */
    uint32_t outstanding;
    double seconds, warmup_seconds;
    uint64_t count;                       /* appends; 0: by time */
    uint64_t journal_bytes, memory_bytes; /* memory 0: a quarter of the machine */
    const char *json;                     /* file; "-": standard output instead of the table; NULL: none */
    bool verify, keep, recover, raw_probe;
    uint32_t idle; /* partitions; 0: not that mode */
};

/* False: a sentence was written to standard error, or the help to standard output; exit with *ret_code. */
bool options_parse(int argc, char **argv, struct options *ret_options, int *ret_code);

// SPDX-License-Identifier: Apache-2.0
/* The figures of one invocation, as a table for people and as JSON for scripts. */
#pragma once
#include "tools/bench/load.h"
#include "tools/bench/options.h"
#include "tools/bench/raw.h"
#include <stdio.h>

struct result { /* of one run */
    uint32_t partitions, size_bytes, outstanding;
    double seconds;
    uint64_t appends, busy, commits, verified;
    struct engine engine;
    uint64_t p50_ns, p99_ns, max_ns, mean_ns;
    double cpu_s, machine_cpu_s;
    uint64_t payload_bytes;
    uint64_t disk_bytes, own_bytes, flushes;                   /* while appending */
    uint64_t all_payload_bytes, all_disk_bytes, all_own_bytes; /* from the first append to the end of the clean stop */
    uint64_t rss_bytes;
};

struct recovery_result {
    bool ran;
    uint64_t journal_bytes, live_bytes, appends, partitions;
    uint64_t first_append_ns;  /* from the start of the open to the first durable append */
    int64_t open_ns, empty_ns; /* the open after the kill; one after a clean stop, for comparison */
};

struct idle_result {
    bool ran;
    uint32_t partitions;
    uint64_t before_bytes, created_bytes, reopened_bytes; /* RSS */
    int64_t reopen_ns;
};

struct report {
    struct machine machine;
    bool has_raw[2];
    struct raw raw[2]; /* before, after */
    struct result results[BENCH_RUNS_MAX * BENCH_RUNS_MAX];
    uint32_t result_count;
    struct recovery_result recovery;
    struct idle_result idle;
};

void report_table(const struct report *r, FILE *out);
void report_json(const struct report *r, FILE *out);

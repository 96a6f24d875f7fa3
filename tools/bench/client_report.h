// SPDX-License-Identifier: Apache-2.0
/* The figures of a run against a broker, as a table for people and as JSON for scripts. */
#pragma once
#include "tools/bench/drive.h"
#include "tools/bench/raw.h"
#include <stdio.h>

#define CLIENT_DRIFT_LIMIT 10.0 /* percent between the probes; above it the machine was not the same */
#define CLIENT_BOUND       0.9  /* of the generator's threads */

struct client_probe {
    bool has_rtt, has_raw;
    uint64_t rtt_ns;
    struct raw raw;
};

struct client_report {
    const struct client_options *options;
    const struct target *target;
    const struct plan *plan;
    struct machine machine;
    struct client_probe probes[2]; /* before, after */
    struct sample before, after;
    struct results results; /* of all threads */
    uint64_t run;
    double seconds; /* measured */
};

/* The verdict over what was read and asked for; false: ret_why is a sentence. */
bool client_report_good(const struct client_report *r, char ret_why[300]);
/* Percent by which the probes differ; -1: not both were made. */
bool client_report_bound(const struct client_report *r); /* the generator was at its limit */
double client_report_drift(const struct client_report *r);
void client_report_table(const struct client_report *r, FILE *out);
void client_report_json(const struct client_report *r, FILE *out);

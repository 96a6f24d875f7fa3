// SPDX-License-Identifier: Apache-2.0
/* Raw probes: what the disk does without us, in the same minute. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct raw {
    uint64_t sync_ns;   /* p50: 4 KiB into pre-zeroed blocks + fdatasync */
    uint64_t dsync_ns;  /* p50: the same with RWF_DSYNC */
    double bytes_per_s; /* 1 MiB pieces, four in flight, O_DIRECT, over a pre-zeroed file, one flush at the end */
};

/* In `dir`; takes about a second and 512 MiB of space, given back. False: ret_error says why. */
bool raw_measure(const char *dir, struct raw *ret_raw, char ret_error[256]);
/* Larger of the relative changes, in percent. */
double raw_drift(const struct raw *before, const struct raw *after);

// SPDX-License-Identifier: Apache-2.0
/* Metrics of one shard: counters, gauges and histograms with labels; several shards' are merged when printed, in the
 * Prometheus text format (version 0.0.4).
 *
 * Registering allocates (MEM_CONTROL) and is for start or partition open; counting is a plain add on the returned
 * struct, which lives as long as the registry. Registering the same name and labels again gives the same struct; the
 * same name with another kind is a CHECK. */
#pragma once
#include "base/histogram.h"

#define METRIC_LABELS_MAX  8
#define METRICS_SHARDS_MAX 256

struct metric_label {
    const char *key, *value; /* copied; value may hold any bytes but NUL */
};

struct metric_counter {
    uint64_t value; /* only grows; merged by sum */
};

struct metric_gauge {
    int64_t value; /* merged by sum */
};

struct metrics;

struct metrics *metrics_create(struct mem *m); /* NULL: no room */
void metrics_destroy(struct metrics *r);       /* NULL is fine */

/* name: leat_produce_bytes_total and the like; name and help are static strings. labels may be NULL with count 0.
 * NULL: no room. */
struct metric_counter *metrics_counter(struct metrics *r, const char *name, const char *help,
                                       const struct metric_label *labels, size_t count);
struct metric_gauge *metrics_gauge(struct metrics *r, const char *name, const char *help,
                                   const struct metric_label *labels, size_t count);
/* per_unit: recorded values per printed unit, e.g. 1e9 for nanoseconds shown as seconds. */
struct histogram *metrics_histogram(struct metrics *r, const char *name, const char *help, double per_unit,
                                    const struct metric_label *labels, size_t count);

/* All series of `count` registries, sorted by name and labels, into out; *ret_size bytes, not NUL-terminated.
 * STATUS_BUSY: capacity is too small; what is in out is then garbage. The registries must not change meanwhile. */
enum status metrics_print(const struct metrics *const *shards, size_t count, char *out, size_t capacity,
                          size_t *ret_size) MUST_CHECK;

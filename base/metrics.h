// SPDX-License-Identifier: Apache-2.0
/* Metrics of one shard: counters, gauges and histograms with labels that code counts in place.
 *
 * Registering allocates (MEM_CONTROL) and is for start or partition open; counting is a plain add on the returned
 * struct, which lives as long as the registry. Registering the same name and labels again gives the same struct; the
 * same name with another kind is a CHECK. Other shards see the values through metrics_sample. */
#pragma once
#include "base/samples.h"

struct metric_counter {
    uint64_t value; /* only grows */
};

struct metric_gauge {
    int64_t value;
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
struct histogram *metrics_histogram(struct metrics *r, const char *name, const char *help,
                                    const struct metric_scale *scale, const struct metric_label *labels, size_t count);

/* Appends the values of now; the samples must not outlive the registry. */
void metrics_sample(const struct metrics *r, struct samples *s);

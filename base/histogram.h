// SPDX-License-Identifier: Apache-2.0
/* Log-linear histogram of unsigned values (latencies in ns, sizes in bytes): 16 buckets per power of two, so a
 * percentile is at most 1/16 too high. Values above 2^42 (73 minutes in ns) count in the last bucket; max and sum are
 * exact. Fixed size (about 5 KiB), no allocation after create. */
#pragma once
#include "base/mem.h"

#define HISTOGRAM_BUCKETS 624

struct histogram {
    struct mem *mem; /* NULL if not made by histogram_create */
    uint64_t count, sum, max;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

struct histogram *histogram_create(struct mem *m); /* MEM_CONTROL; NULL when it has no room */
void histogram_destroy(struct histogram *h);       /* NULL is fine */
void histogram_reset(struct histogram *h);

void histogram_record(struct histogram *h, uint64_t value);
void histogram_merge(struct histogram *into, const struct histogram *from);

uint64_t histogram_count(const struct histogram *h);
uint64_t histogram_sum(const struct histogram *h); /* wraps at 2^64 */
uint64_t histogram_max(const struct histogram *h); /* 0 when empty */
/* Upper bound of the value below which `percent` (0..100) of the values lie; at most max; 0 when empty. */
uint64_t histogram_percentile(const struct histogram *h, double percent);
/* How many values are certainly <= bound: those of the buckets that end at or below it. */
uint64_t histogram_count_upto(const struct histogram *h, uint64_t bound);
/* The same for many bounds in one pass: ret[i] values below 2^(first + i * step), as long as that is <= 2^last. */
void histogram_counts(const struct histogram *h, unsigned first, unsigned last, unsigned step, uint64_t *ret);
uint64_t histogram_bucket_last(unsigned bucket); /* the greatest value that counts there; UINT64_MAX: no bound */

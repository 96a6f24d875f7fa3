// SPDX-License-Identifier: Apache-2.0
/* Log-linear histogram (histogram.h). Values below 16 have a bucket each; above, the four bits after the leading one
 * choose the bucket within their power of two. No failure modes but create's. */
#include "base/histogram.h"
#include "base/bytes.h"
#include "base/check.h"
#include <assert.h>
#include <string.h>

enum { SUB_BITS = 4, SUB = 1 << SUB_BITS, VALUE_BITS = 42 };
static_assert(HISTOGRAM_BUCKETS == (VALUE_BITS - SUB_BITS + 1) * SUB, "one row of SUB per power of two, one below");

static unsigned bucket_of(uint64_t v)
{
    if (v < SUB) return (unsigned)v;
    unsigned shift = 63 - (unsigned)__builtin_clzll(v) - SUB_BITS;
    return MIN((shift + 1) * SUB + (unsigned)((v >> shift) & (SUB - 1)), HISTOGRAM_BUCKETS - 1u);
}

uint64_t histogram_bucket_last(unsigned i)
{
    if (i < SUB) return i;
    if (i == HISTOGRAM_BUCKETS - 1) return UINT64_MAX;
    unsigned shift = i / SUB - 1;
    return ((uint64_t)(SUB + i % SUB + 1) << shift) - 1;
}

struct histogram *histogram_create(struct mem *m)
{
    struct histogram *h = mem_zalloc(m, MEM_CONTROL, sizeof *h);
    if (h != NULL) h->mem = m;
    return h;
}

void histogram_destroy(struct histogram *h)
{
    if (h != NULL) mem_free(h->mem, MEM_CONTROL, h, sizeof *h);
}

void histogram_reset(struct histogram *h)
{
    *h = (struct histogram){.mem = h->mem};
}

void histogram_record(struct histogram *h, uint64_t value)
{
    h->buckets[bucket_of(value)]++;
    h->count++;
    h->sum += value;
    h->max = MAX(h->max, value);
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) into->buckets[i] += from->buckets[i];
    into->count += from->count;
    into->sum += from->sum;
    into->max = MAX(into->max, from->max);
}

uint64_t histogram_count(const struct histogram *h)
{
    return h->count;
}

uint64_t histogram_sum(const struct histogram *h)
{
    return h->sum;
}

uint64_t histogram_max(const struct histogram *h)
{
    return h->max;
}

uint64_t histogram_percentile(const struct histogram *h, double percent)
{
    CHECK(percent >= 0 && percent <= 100);
    double exact = (double)h->count * percent / 100;
    uint64_t want = (uint64_t)exact;
    if ((double)want < exact || want == 0) want++;
    uint64_t seen = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->buckets[i];
        if (seen >= want) return MIN(histogram_bucket_last(i), h->max);
    }
    return h->max;
}

uint64_t histogram_count_upto(const struct histogram *h, uint64_t bound)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS && histogram_bucket_last(i) <= bound; i++) n += h->buckets[i];
    return n;
}

void histogram_counts(const struct histogram *h, unsigned first, unsigned last, unsigned step, uint64_t *ret)
{
    CHECK(first >= SUB_BITS && last < VALUE_BITS && step > 0);
    uint64_t n = 0;
    unsigned i = 0;
    for (unsigned bits = first; bits <= last; bits += step) {
        unsigned end = (bits - SUB_BITS + 1) * SUB; /* the first bucket that holds 2^bits */
        for (; i < end; i++) n += h->buckets[i];
        *ret++ = n;
    }
}

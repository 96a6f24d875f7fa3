// SPDX-License-Identifier: Apache-2.0
/* The values of one moment of one shard, copied so that another shard can print them: counters, gauges and histograms
 * with labels. Several shards' samples of the same name and labels are added up when printed, in the Prometheus text
 * format (version 0.0.4).
 *
 * Belongs to the shard that fills it, memory included; another one may read it (samples_print) between samples_seal and
 * the next samples_reset. Filling never fails in the middle: what found no room is told by samples_seal. */
#pragma once
#include "base/histogram.h"

#define METRIC_LABELS_MAX  8
#define METRICS_SHARDS_MAX 256
#define METRIC_BOUNDS_MAX  40

enum metric_kind {
    METRIC_COUNTER,   /* only grows */
    METRIC_GAUGE,     /* goes up and down */
    METRIC_HISTOGRAM, /* printed as cumulative buckets, sum and count */
};

/* How a histogram is shown: bounds at powers of two from 2^first to 2^last, each 2^step times the one before; per_unit:
 * recorded values per printed unit. */
struct metric_scale {
    double per_unit;
    uint8_t first, last, step;
};
extern const struct metric_scale SCALE_LATENCY; /* ns, shown as seconds: 4 us to 69 s, doubling */
extern const struct metric_scale SCALE_STAGE;   /* the same in steps of four, for the many series of stages */

struct metric { /* static const, or outlives the samples */
    enum metric_kind kind;
    const char *name;                 /* leat_produce_bytes_total: base unit, _total for counters */
    const char *help;                 /* one line, without backslash */
    const struct metric_scale *scale; /* of a histogram */
};

struct metric_label {
    const char *key, *value; /* copied; value may hold any bytes but NUL */
};

/* Labels as text: `a="x",b="y"`, escaped. Their size without the NUL; written if out is not NULL. */
size_t metric_labels_format(const struct metric_label *labels, size_t count, char *out);
bool metric_name_valid(const char *name);

struct samples;

struct samples *samples_create(struct mem *m, enum mem_class c); /* NULL: no room */
void samples_destroy(struct samples *s);                         /* NULL is fine */
void samples_reset(struct samples *s);

/* labels may be NULL with count 0. The same name and labels twice in one set are added up too. */
void samples_value(struct samples *s, const struct metric *m, const struct metric_label *labels, size_t count,
                   double value);
void samples_histogram(struct samples *s, const struct metric *m, const struct metric_label *labels, size_t count,
                       const struct histogram *h);
/* The same with labels as text. */
void samples_value_text(struct samples *s, const struct metric *m, const char *labels, double value);
void samples_histogram_text(struct samples *s, const struct metric *m, const char *labels, const struct histogram *h);

/* The end of the filling; before it nothing is printed. NO_MEMORY: some found no room, the set is incomplete. */
enum status samples_seal(struct samples *s) MUST_CHECK;

/* All series of `count` sealed sets, sorted by name and labels, into out; *ret_size bytes, not NUL-terminated.
 * STATUS_BUSY: capacity is too small; what is in out is then garbage. */
enum status samples_print(const struct samples *const *sets, size_t count, char *out, size_t capacity,
                          size_t *ret_size) MUST_CHECK;

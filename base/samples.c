// SPDX-License-Identifier: Apache-2.0
/* Samples of one moment and their Prometheus writer (samples.h).
 *
 * Path: reset -> values are appended: a row each, labels and bucket counts in one growing block beside -> seal sorts
 * the rows by (name, labels) -> print walks the sealed sets side by side, so equal series meet and are added up. While
 * the set is filled rows know places in the block, not addresses: the block moves when it grows.
 *
 * Failure modes: no room to append: the set is marked and seal says so. No room to print: STATUS_BUSY. */
#include "base/samples.h"
#include "base/bytes.h"
#include "base/check.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct metric_scale SCALE_LATENCY = {.per_unit = 1e9, .first = 12, .last = 36, .step = 1};
const struct metric_scale SCALE_STAGE = {.per_unit = 1e9, .first = 10, .last = 36, .step = 2};

struct distribution { /* a histogram reduced to the bounds of its scale */
    uint64_t count, sum;
    uint64_t upto[METRIC_BOUNDS_MAX];
};

struct sample {
    const struct metric *metric;
    union {
        size_t at;
        const char *text; /* once sealed */
    } labels;
    union {
        double value;
        size_t at;
        const struct distribution *distribution; /* once sealed; only bounds_of(scale) of upto are there */
    } u;
};

struct block { /* grows by doubling */
    uint8_t *data;
    size_t size, capacity;
};

struct samples {
    struct mem *mem;
    enum mem_class mem_class;
    struct block rows, bytes;
    bool failed, sealed;
};

/* ---- names and labels ---- */

bool metric_name_valid(const char *s)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
    if (*s == '\0' || strchr(letters, *s) == NULL) return false;
    for (; *s != '\0'; s++)
        if (strchr(letters, *s) == NULL && (*s < '0' || *s > '9')) return false;
    return true;
}

size_t metric_labels_format(const struct metric_label *labels, size_t count, char *out)
{
    size_t n = 0;
#define PUT(c)                                                                                                         \
    do {                                                                                                               \
        if (out != NULL) out[n] = (c);                                                                                 \
        n++;                                                                                                           \
    } while (0)
    for (size_t i = 0; i < count; i++) {
        if (i > 0) PUT(',');
        for (const char *k = labels[i].key; *k != '\0'; k++) PUT(*k);
        PUT('=');
        PUT('"');
        for (const char *v = labels[i].value; *v != '\0'; v++) {
            if (*v == '\\' || *v == '"' || *v == '\n') PUT('\\');
            PUT(*v == '\n' ? 'n' : *v);
        }
        PUT('"');
    }
#undef PUT
    if (out != NULL) out[n] = '\0';
    return n;
}

/* ---- filling ---- */

struct samples *samples_create(struct mem *m, enum mem_class c)
{
    struct samples *s = mem_zalloc(m, c, sizeof *s);
    if (s == NULL) return NULL;
    s->mem = m;
    s->mem_class = c;
    return s;
}

void samples_destroy(struct samples *s)
{
    if (s == NULL) return;
    mem_free(s->mem, s->mem_class, s->rows.data, s->rows.capacity);
    mem_free(s->mem, s->mem_class, s->bytes.data, s->bytes.capacity);
    mem_free(s->mem, s->mem_class, s, sizeof *s);
}

void samples_reset(struct samples *s)
{
    s->rows.size = s->bytes.size = 0;
    s->failed = s->sealed = false;
}

/* Room at the end of a block; its place in *ret_at. False: none. */
static bool take(struct samples *s, struct block *b, size_t size, size_t *ret_at)
{
    if (b->capacity - b->size < size) {
        size_t capacity = MAX(MAX(b->capacity * 2, b->size + size), 4096);
        uint8_t *data = mem_realloc(s->mem, s->mem_class, b->data, b->capacity, capacity);
        if (data == NULL) return false;
        b->data = data;
        b->capacity = capacity;
    }
    *ret_at = b->size;
    b->size += size;
    return true;
}

/* A new row and its room for labels of that size; NULL: no room. *ret_labels stands until the next take. */
static struct sample *push(struct samples *s, const struct metric *m, size_t labels_size, char **ret_labels)
{
    size_t row, text;
    CHECK(!s->sealed);
    if (s->failed || !take(s, &s->rows, sizeof(struct sample), &row) || !take(s, &s->bytes, labels_size + 1, &text)) {
        s->failed = true;
        return NULL;
    }
    struct sample *new = (struct sample *)(void *)(s->rows.data + row);
    *new = (struct sample){.metric = m, .labels.at = text};
    *ret_labels = (char *)s->bytes.data + text;
    return new;
}

static void check_labels(const struct metric_label *labels, size_t count)
{
    CHECK(count <= METRIC_LABELS_MAX);
    for (size_t i = 0; i < count; i++) CHECK(metric_name_valid(labels[i].key));
}

static unsigned bounds_of(const struct metric_scale *s)
{
    return (unsigned)(s->last - s->first) / s->step + 1;
}

static void fill(struct samples *s, struct sample *to, const struct histogram *h)
{
    const struct metric_scale *scale = to->metric->scale;
    unsigned n = bounds_of(scale);
    CHECK(to->metric->kind == METRIC_HISTOGRAM && n <= METRIC_BOUNDS_MAX);
    size_t at, row = (size_t)((uint8_t *)to - s->rows.data);
    size_t pad = align_up(s->bytes.size, sizeof(uint64_t)) - s->bytes.size;
    if (!take(s, &s->bytes, pad + offsetof(struct distribution, upto) + n * sizeof(uint64_t), &at)) {
        s->failed = true;
        s->rows.size = row;
        return;
    }
    to->u.at = at + pad;
    struct distribution *d = (struct distribution *)(void *)(s->bytes.data + to->u.at);
    d->count = h->count;
    d->sum = h->sum;
    histogram_counts(h, scale->first, scale->last, scale->step, d->upto);
}

static void set_value(struct sample *to, double value)
{
    if (to == NULL) return;
    CHECK(to->metric->kind != METRIC_HISTOGRAM && value - value == 0);
    to->u.value = value;
}

void samples_value(struct samples *s, const struct metric *m, const struct metric_label *labels, size_t count,
                   double value)
{
    char *text;
    check_labels(labels, count);
    struct sample *to = push(s, m, metric_labels_format(labels, count, NULL), &text);
    if (to != NULL) (void)metric_labels_format(labels, count, text);
    set_value(to, value);
}

void samples_value_text(struct samples *s, const struct metric *m, const char *labels, double value)
{
    char *text;
    size_t size = strlen(labels);
    struct sample *to = push(s, m, size, &text);
    if (to != NULL) memcpy(text, labels, size + 1);
    set_value(to, value);
}

void samples_histogram(struct samples *s, const struct metric *m, const struct metric_label *labels, size_t count,
                       const struct histogram *h)
{
    char *text;
    check_labels(labels, count);
    struct sample *to = push(s, m, metric_labels_format(labels, count, NULL), &text);
    if (to == NULL) return;
    (void)metric_labels_format(labels, count, text);
    fill(s, to, h);
}

void samples_histogram_text(struct samples *s, const struct metric *m, const char *labels, const struct histogram *h)
{
    char *text;
    size_t size = strlen(labels);
    struct sample *to = push(s, m, size, &text);
    if (to == NULL) return;
    memcpy(text, labels, size + 1);
    fill(s, to, h);
}

static int compare(const struct sample *a, const struct sample *b)
{
    int by_name = a->metric != b->metric ? strcmp(a->metric->name, b->metric->name) : 0;
    return by_name != 0 ? by_name : strcmp(a->labels.text, b->labels.text);
}

static int compare_rows(const void *a, const void *b)
{
    return compare(a, b);
}

static struct sample *rows(const struct samples *s)
{
    return (struct sample *)(void *)s->rows.data;
}

static size_t row_count(const struct samples *s)
{
    return s->rows.size / sizeof(struct sample);
}

enum status samples_seal(struct samples *s)
{
    CHECK(!s->sealed);
    if (s->failed) return STATUS_NO_MEMORY;
    size_t n = row_count(s);
    for (size_t i = 0; i < n; i++) {
        struct sample *row = &rows(s)[i];
        row->labels.text = (const char *)s->bytes.data + row->labels.at;
        if (row->metric->kind == METRIC_HISTOGRAM)
            row->u.distribution = (const struct distribution *)(const void *)(s->bytes.data + row->u.at);
    }
    if (n > 0) qsort(s->rows.data, n, sizeof(struct sample), compare_rows);
    s->sealed = true;
    return STATUS_OK;
}

/* ---- text ---- */

struct out {
    char *at, *end;
    bool full;
};

__attribute__((format(printf, 2, 3))) static void outf(struct out *o, const char *format, ...)
{
    size_t room = (size_t)(o->end - o->at);
    va_list args;
    va_start(args, format);
    int n = vsnprintf(o->at, room, format, args);
    va_end(args);
    if ((size_t)n >= room) /* vsnprintf wants room for a NUL, too */
        o->full = true;
    else
        o->at += n;
}

struct merged {
    double value;
    struct distribution distribution;
};

static void merge(struct merged *into, const struct sample *s)
{
    if (s->metric->kind != METRIC_HISTOGRAM) {
        into->value += s->u.value;
        return;
    }
    into->distribution.count += s->u.distribution->count;
    into->distribution.sum += s->u.distribution->sum;
    unsigned n = bounds_of(s->metric->scale);
    for (unsigned i = 0; i < n; i++) into->distribution.upto[i] += s->u.distribution->upto[i];
}

static void print_number(struct out *o, double v)
{
    bool small = v > -9007199254740992.0 && v < 9007199254740992.0; /* 2^53: whole numbers are exact up to it */
    if (small && v == (double)(long long)v)
        outf(o, "%lld\n", (long long)v);
    else
        outf(o, "%.15g\n", v);
}

static void print_histogram(struct out *o, const struct sample *s, const struct distribution *d)
{
    const struct metric_scale *scale = s->metric->scale;
    const char *name = s->metric->name, *labels = s->labels.text;
    const char *comma = labels[0] != '\0' ? "," : "", *open = labels[0] != '\0' ? "{" : "";
    const char *close = labels[0] != '\0' ? "}" : "";
    unsigned n = bounds_of(scale);
    for (unsigned i = 0; i < n; i++) {
        double bound = (double)((uint64_t)1 << (scale->first + i * scale->step)) / scale->per_unit;
        outf(o, "%s_bucket{%s%sle=\"%.9g\"} %llu\n", name, labels, comma, bound, (unsigned long long)d->upto[i]);
    }
    outf(o, "%s_bucket{%s%sle=\"+Inf\"} %llu\n", name, labels, comma, (unsigned long long)d->count);
    outf(o, "%s_sum%s%s%s ", name, open, labels, close);
    print_number(o, (double)d->sum / scale->per_unit);
    outf(o, "%s_count%s%s%s %llu\n", name, open, labels, close, (unsigned long long)d->count);
}

static void print_series(struct out *o, const struct sample *s, const char *last_name, const struct merged *m)
{
    static const char *const kinds[] = {
        [METRIC_COUNTER] = "counter", [METRIC_GAUGE] = "gauge", [METRIC_HISTOGRAM] = "histogram"};
    const struct metric *metric = s->metric;
    if (last_name == NULL || strcmp(last_name, metric->name) != 0)
        outf(o, "# HELP %s %s\n# TYPE %s %s\n", metric->name, metric->help, metric->name, kinds[metric->kind]);
    if (metric->kind == METRIC_HISTOGRAM) {
        print_histogram(o, s, &m->distribution);
        return;
    }
    if (s->labels.text[0] != '\0')
        outf(o, "%s{%s} ", metric->name, s->labels.text);
    else
        outf(o, "%s ", metric->name);
    print_number(o, m->value);
}

static const struct sample *sample_at(const struct samples *s, size_t at)
{
    return at < row_count(s) ? &rows(s)[at] : NULL;
}

/* The least series that any set stands at; NULL at the end. */
static const struct sample *least(const struct samples *const *sets, size_t count, const size_t *at)
{
    const struct sample *found = NULL;
    for (size_t i = 0; i < count; i++) {
        const struct sample *s = sample_at(sets[i], at[i]);
        if (s != NULL && (found == NULL || compare(s, found) < 0)) found = s;
    }
    return found;
}

enum status samples_print(const struct samples *const *sets, size_t count, char *out, size_t capacity, size_t *ret_size)
{
    size_t at[METRICS_SHARDS_MAX] = {0};
    struct out o = {.at = out, .end = out + capacity};
    const char *last_name = NULL;
    CHECK(count <= METRICS_SHARDS_MAX);
    for (size_t i = 0; i < count; i++) CHECK(sets[i]->sealed);
    for (const struct sample *s; !o.full && (s = least(sets, count, at)) != NULL;) {
        struct merged m = {0};
        for (size_t i = 0; i < count; i++)
            for (const struct sample *mine; (mine = sample_at(sets[i], at[i])) != NULL && compare(mine, s) == 0;
                 at[i]++) {
                CHECK(mine->metric->kind == s->metric->kind && mine->metric->scale == s->metric->scale);
                merge(&m, mine);
            }
        print_series(&o, s, last_name, &m);
        last_name = s->metric->name;
    }
    if (o.full) return STATUS_BUSY;
    *ret_size = (size_t)(o.at - out);
    return STATUS_OK;
}

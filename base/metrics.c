// SPDX-License-Identifier: Apache-2.0
/* Metrics registry and its Prometheus writer (metrics.h).
 *
 * Each registry keeps its series sorted by (name, labels as text); printing walks all registries side by side, so
 * equal series meet and are merged. Failure modes: no room to register (NULL), no room to print (STATUS_BUSY). */
#include "base/metrics.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/list.h"
#include <stdarg.h>
#include <stdio.h>

enum kind { COUNTER, GAUGE, HISTOGRAM };

struct series {
    struct list_node in_series;
    const char *name, *help;
    enum kind kind;
    double per_unit;
    union {
        struct metric_counter counter;
        struct metric_gauge gauge;
        struct histogram *histogram;
    } value;
    size_t labels_size;
    char labels[]; /* `a="x",b="y"`, NUL-terminated; may be empty */
};

struct metrics {
    struct mem *mem;
    struct list series;
};

struct metrics *metrics_create(struct mem *m)
{
    struct metrics *r = mem_zalloc(m, MEM_CONTROL, sizeof *r);
    if (r == NULL) return NULL;
    r->mem = m;
    list_init(&r->series);
    return r;
}

static void free_series(struct metrics *r, struct series *s)
{
    if (s->kind == HISTOGRAM) histogram_destroy(s->value.histogram);
    mem_free(r->mem, MEM_CONTROL, s, sizeof *s + s->labels_size + 1);
}

void metrics_destroy(struct metrics *r)
{
    if (r == NULL) return;
    for (struct list_node *n; (n = list_pop_front(&r->series)) != NULL;)
        free_series(r, container_of(n, struct series, in_series));
    mem_free(r->mem, MEM_CONTROL, r, sizeof *r);
}

static bool name_ok(const char *s)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
    if (*s == '\0' || strchr(letters, *s) == NULL) return false;
    for (; *s != '\0'; s++)
        if (strchr(letters, *s) == NULL && (*s < '0' || *s > '9')) return false;
    return true;
}

/* Writes the labels, escaped, if out is not NULL; their size without the NUL. */
static size_t format_labels(const struct metric_label *labels, size_t count, char *out)
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

static int compare(const struct series *a, const struct series *b)
{
    int by_name = strcmp(a->name, b->name);
    return by_name != 0 ? by_name : strcmp(a->labels, b->labels);
}

static struct series *make_series(struct metrics *r, const char *name, const char *help, enum kind kind,
                                  const struct metric_label *labels, size_t count)
{
    CHECK(name_ok(name) && count <= METRIC_LABELS_MAX);
    for (size_t i = 0; i < count; i++) CHECK(name_ok(labels[i].key));
    size_t labels_size = format_labels(labels, count, NULL);
    struct series *s = mem_zalloc(r->mem, MEM_CONTROL, sizeof *s + labels_size + 1);
    if (s == NULL) return NULL;
    s->name = name;
    s->help = help;
    s->kind = kind;
    s->labels_size = labels_size;
    format_labels(labels, count, s->labels);
    if (kind != HISTOGRAM) return s;
    s->value.histogram = histogram_create(r->mem);
    if (s->value.histogram != NULL) return s;
    free_series(r, s);
    return NULL;
}

static struct series *add(struct metrics *r, const char *name, const char *help, enum kind kind, double per_unit,
                          const struct metric_label *labels, size_t count)
{
    struct series *s = make_series(r, name, help, kind, labels, count);
    if (s == NULL) return NULL;
    s->per_unit = per_unit;
    struct list_node *after = &r->series.head;
    list_each (n, &r->series) {
        struct series *old = container_of(n, struct series, in_series);
        if (strcmp(old->name, name) == 0) CHECK(old->kind == kind);
        int order = compare(old, s);
        if (order == 0) {
            free_series(r, s);
            return old;
        }
        if (order < 0) after = n;
    }
    list_insert_after(after, &s->in_series);
    return s;
}

struct metric_counter *metrics_counter(struct metrics *r, const char *name, const char *help,
                                       const struct metric_label *labels, size_t count)
{
    struct series *s = add(r, name, help, COUNTER, 1, labels, count);
    return s != NULL ? &s->value.counter : NULL;
}

struct metric_gauge *metrics_gauge(struct metrics *r, const char *name, const char *help,
                                   const struct metric_label *labels, size_t count)
{
    struct series *s = add(r, name, help, GAUGE, 1, labels, count);
    return s != NULL ? &s->value.gauge : NULL;
}

struct histogram *metrics_histogram(struct metrics *r, const char *name, const char *help, double per_unit,
                                    const struct metric_label *labels, size_t count)
{
    CHECK(per_unit > 0);
    struct series *s = add(r, name, help, HISTOGRAM, per_unit, labels, count);
    return s != NULL ? s->value.histogram : NULL;
}

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

static void print_histogram(struct out *o, const struct series *s, const struct histogram *h)
{
    const char *comma = s->labels_size > 0 ? "," : "";
    /* Bounds at powers of 4: from 1 us to 69 s for nanoseconds, from 1 KiB to 64 GiB for bytes. */
    for (unsigned bits = 10; bits <= 36; bits += 2) {
        uint64_t bound = ((uint64_t)1 << bits) - 1;
        outf(o, "%s_bucket{%s%sle=\"%.9g\"} %llu\n", s->name, s->labels, comma, (double)(bound + 1) / s->per_unit,
             (unsigned long long)histogram_count_upto(h, bound));
    }
    outf(o, "%s_bucket{%s%sle=\"+Inf\"} %llu\n", s->name, s->labels, comma, (unsigned long long)h->count);
    const char *open = s->labels_size > 0 ? "{" : "", *close = s->labels_size > 0 ? "}" : "";
    outf(o, "%s_sum%s%s%s %.17g\n", s->name, open, s->labels, close, (double)h->sum / s->per_unit);
    outf(o, "%s_count%s%s%s %llu\n", s->name, open, s->labels, close, (unsigned long long)h->count);
}

struct merged {
    uint64_t counter;
    int64_t gauge;
    struct histogram histogram;
};

static void merge(struct merged *into, const struct series *s)
{
    switch (s->kind) {
    case COUNTER: into->counter += s->value.counter.value; break;
    case GAUGE: into->gauge += s->value.gauge.value; break;
    case HISTOGRAM: histogram_merge(&into->histogram, s->value.histogram); break;
    }
}

static void print_series(struct out *o, const struct series *s, const char *last_name, const struct merged *m)
{
    static const char *const kinds[] = {[COUNTER] = "counter", [GAUGE] = "gauge", [HISTOGRAM] = "histogram"};
    if (last_name == NULL || strcmp(last_name, s->name) != 0)
        outf(o, "# HELP %s %s\n# TYPE %s %s\n", s->name, s->help, s->name, kinds[s->kind]);
    const char *open = s->labels_size > 0 ? "{" : "", *close = s->labels_size > 0 ? "}" : "";
    if (s->kind == COUNTER)
        outf(o, "%s%s%s%s %llu\n", s->name, open, s->labels, close, (unsigned long long)m->counter);
    else if (s->kind == GAUGE)
        outf(o, "%s%s%s%s %lld\n", s->name, open, s->labels, close, (long long)m->gauge);
    else
        print_histogram(o, s, &m->histogram);
}

static const struct series *series_at(const struct metrics *r, const struct list_node *n)
{
    return n != &r->series.head ? container_of((struct list_node *)(uintptr_t)n, struct series, in_series) : NULL;
}

/* The least series that any registry stands at; NULL at the end. */
static const struct series *least(const struct metrics *const *shards, size_t count, const struct list_node *const *at)
{
    const struct series *found = NULL;
    for (size_t i = 0; i < count; i++) {
        const struct series *s = series_at(shards[i], at[i]);
        if (s != NULL && (found == NULL || compare(s, found) < 0)) found = s;
    }
    return found;
}

enum status metrics_print(const struct metrics *const *shards, size_t count, char *out, size_t capacity,
                          size_t *ret_size)
{
    CHECK(count <= METRICS_SHARDS_MAX);
    const struct list_node *at[METRICS_SHARDS_MAX];
    struct out o = {.at = out, .end = out + capacity};
    const char *last_name = NULL;
    for (size_t i = 0; i < count; i++) at[i] = shards[i]->series.head.next;
    for (const struct series *s; !o.full && (s = least(shards, count, at)) != NULL;) {
        struct merged m = {0};
        for (size_t i = 0; i < count; i++) {
            const struct series *mine = series_at(shards[i], at[i]);
            if (mine == NULL || compare(mine, s) != 0) continue;
            CHECK(mine->kind == s->kind);
            merge(&m, mine);
            at[i] = at[i]->next;
        }
        print_series(&o, s, last_name, &m);
        last_name = s->name;
    }
    if (o.full) return STATUS_BUSY;
    *ret_size = (size_t)(o.at - out);
    return STATUS_OK;
}

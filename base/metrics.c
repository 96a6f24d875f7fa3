// SPDX-License-Identifier: Apache-2.0
/* Metrics registry (metrics.h): a list of series in the order of registration. Failure modes: no room to register
 * (NULL). */
#include "base/metrics.h"
#include "base/check.h"
#include "base/list.h"
#include <string.h>

struct series {
    struct list_node in_series;
    struct metric metric;
    union {
        struct metric_counter counter;
        struct metric_gauge gauge;
        struct histogram *histogram;
    } value;
    size_t labels_size;
    char labels[]; /* as text, NUL-terminated; may be empty */
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
    if (s->metric.kind == METRIC_HISTOGRAM) histogram_destroy(s->value.histogram);
    mem_free(r->mem, MEM_CONTROL, s, sizeof *s + s->labels_size + 1);
}

void metrics_destroy(struct metrics *r)
{
    if (r == NULL) return;
    for (struct list_node *n; (n = list_pop_front(&r->series)) != NULL;)
        free_series(r, container_of(n, struct series, in_series));
    mem_free(r->mem, MEM_CONTROL, r, sizeof *r);
}

static struct series *make_series(struct metrics *r, const struct metric *m, const struct metric_label *labels,
                                  size_t count)
{
    CHECK(metric_name_valid(m->name) && strpbrk(m->help, "\\\n") == NULL && count <= METRIC_LABELS_MAX);
    for (size_t i = 0; i < count; i++) CHECK(metric_name_valid(labels[i].key));
    size_t labels_size = metric_labels_format(labels, count, NULL);
    struct series *s = mem_zalloc(r->mem, MEM_CONTROL, sizeof *s + labels_size + 1);
    if (s == NULL) return NULL;
    s->metric = *m;
    s->labels_size = labels_size;
    (void)metric_labels_format(labels, count, s->labels);
    if (m->kind != METRIC_HISTOGRAM) return s;
    s->value.histogram = histogram_create(r->mem);
    if (s->value.histogram != NULL) return s;
    free_series(r, s);
    return NULL;
}

static struct series *add(struct metrics *r, const struct metric *m, const struct metric_label *labels, size_t count)
{
    struct series *s = make_series(r, m, labels, count);
    if (s == NULL) return NULL;
    list_each (n, &r->series) {
        struct series *old = container_of(n, struct series, in_series);
        if (strcmp(old->metric.name, m->name) != 0) continue;
        CHECK(old->metric.kind == m->kind && old->metric.scale == m->scale);
        if (strcmp(old->labels, s->labels) != 0) continue;
        free_series(r, s);
        return old;
    }
    list_push_back(&r->series, &s->in_series);
    return s;
}

struct metric_counter *metrics_counter(struct metrics *r, const char *name, const char *help,
                                       const struct metric_label *labels, size_t count)
{
    struct series *s = add(r, &(struct metric){METRIC_COUNTER, name, help, NULL}, labels, count);
    return s != NULL ? &s->value.counter : NULL;
}

struct metric_gauge *metrics_gauge(struct metrics *r, const char *name, const char *help,
                                   const struct metric_label *labels, size_t count)
{
    struct series *s = add(r, &(struct metric){METRIC_GAUGE, name, help, NULL}, labels, count);
    return s != NULL ? &s->value.gauge : NULL;
}

struct histogram *metrics_histogram(struct metrics *r, const char *name, const char *help,
                                    const struct metric_scale *scale, const struct metric_label *labels, size_t count)
{
    struct series *s = add(r, &(struct metric){METRIC_HISTOGRAM, name, help, scale}, labels, count);
    return s != NULL ? s->value.histogram : NULL;
}

void metrics_sample(const struct metrics *r, struct samples *samples)
{
    list_each (n, &r->series) {
        const struct series *s = container_of(n, struct series, in_series);
        switch (s->metric.kind) {
        case METRIC_COUNTER: samples_value_text(samples, &s->metric, s->labels, (double)s->value.counter.value); break;
        case METRIC_GAUGE: samples_value_text(samples, &s->metric, s->labels, (double)s->value.gauge.value); break;
        case METRIC_HISTOGRAM: samples_histogram_text(samples, &s->metric, s->labels, s->value.histogram); break;
        }
    }
}

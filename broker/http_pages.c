// SPDX-License-Identifier: Apache-2.0
/* Pages (http_pages.h). Path of a metrics answer: a text that nobody reads -> scrape_print, with more room as long as
 * it does not fit -> one ref per answer. Failure modes, each a 503 that says why: no text is free, no memory for it or
 * for a shard's samples, a shard that did not answer. */
#include "broker/http_pages.h"
#include <stdarg.h>
#include <stdio.h>

#define TEXT_FIRST_BYTES ((size_t)128 << 10)

static const char PLAIN[] = "text/plain; charset=utf-8";
static const char METRICS[] = "text/plain; version=0.0.4; charset=utf-8";

static const char *const paths[] = {
    [PAGE_INDEX] = "/", [PAGE_HEALTH] = "/healthz", [PAGE_READY] = "/readyz", [PAGE_METRICS] = "/metrics"};

void pages_init(struct pages *p, struct shard *zero, const struct scrape *scrape)
{
    *p = (struct pages){.zero = zero, .scrape = scrape};
}

void pages_deinit(struct pages *p)
{
    for (int i = 0; i < PAGE_TEXTS; i++) {
        CHECK(p->texts[i].refs == 0);
        mem_free(p->zero->env->mem, MEM_FETCH, p->texts[i].data, p->texts[i].capacity);
    }
}

enum page page_of(const char *path)
{
    for (int i = 0; i < PAGE_UNKNOWN; i++)
        if (strcmp(path, paths[i]) == 0) return (enum page)i;
    return PAGE_UNKNOWN;
}

static bool fenced(const struct pages *p)
{
    return disk_fenced(&p->zero->broker->disk);
}

bool page_needs_round(const struct pages *p, enum page page)
{
    return page == PAGE_METRICS || (page == PAGE_HEALTH && !fenced(p));
}

__attribute__((format(printf, 3, 4))) static void say(struct answer *a, unsigned code, const char *format, ...)
{
    va_list args;
    *a = (struct answer){.code = code, .type = PLAIN};
    va_start(args, format);
    vsnprintf(a->body, sizeof a->body, format, args);
    va_end(args);
}

static void say_fenced(struct answer *a)
{
    say(a, 503, "disk fenced: a write or flush failed, nothing is acknowledged any more\n");
}

static void index_page(struct answer *a)
{
    say(a, 200,
        "leatd %s\n\n"
        "/metrics  for Prometheus\n"
        "/healthz  200 while every shard turns and the disk takes writes\n"
        "/readyz   200 while clients are served\n",
        LEAT_VERSION);
}

static void ready_page(const struct pages *p, struct answer *a)
{
    const struct broker *b = p->zero->broker;
    if (b->phase != PHASE_SERVE)
        say(a, 503, "not ready: %s\n", phase_name(b->phase));
    else if (fenced(p))
        say_fenced(a);
    else
        say(a, 200, "ok\n");
}

static struct text *free_text(struct pages *p)
{
    for (int i = 0; i < PAGE_TEXTS; i++)
        if (p->texts[i].refs == 0) return &p->texts[i];
    return NULL;
}

static enum status print_text(struct pages *p, struct text *t)
{
    enum status s = scrape_print(p->scrape, t->data, t->capacity, &t->size);
    while (s == STATUS_BUSY) {
        size_t capacity = t->capacity == 0 ? TEXT_FIRST_BYTES : t->capacity * 2;
        char *data = mem_realloc(p->zero->env->mem, MEM_FETCH, t->data, t->capacity, capacity);
        if (data == NULL) return STATUS_NO_MEMORY;
        t->data = data;
        t->capacity = capacity;
        s = scrape_print(p->scrape, t->data, t->capacity, &t->size);
    }
    return s;
}

static void metrics_page(struct pages *p, struct text **print, struct answer *a)
{
    struct text *t = *print != NULL ? *print : free_text(p);
    if (t == NULL) {
        say(a, 503, "%d metrics texts are still being sent; try again\n", PAGE_TEXTS);
        return;
    }
    if (*print == NULL && print_text(p, t) != STATUS_OK) {
        say(a, 503, "no memory for the metrics; raise leat.memory.bytes\n");
        return;
    }
    t->refs++;
    *print = t;
    *a = (struct answer){.code = 200, .type = METRICS, .text = t};
}

void page_answer(struct pages *p, enum page page, struct text **print, struct answer *ret_answer)
{
    switch (page) {
    case PAGE_INDEX: index_page(ret_answer); break;
    case PAGE_HEALTH:
        if (fenced(p))
            say_fenced(ret_answer);
        else
            say(ret_answer, 200, "ok\n");
        break;
    case PAGE_READY: ready_page(p, ret_answer); break;
    case PAGE_METRICS: metrics_page(p, print, ret_answer); break;
    case PAGE_UNKNOWN: say(ret_answer, 404, "not found; there are /metrics, /healthz and /readyz\n"); break;
    }
}

void page_answer_late(const struct pages *p, struct answer *ret_answer)
{
    uint32_t shard = scrape_missing(p->scrape);
    int64_t s = (p->zero->env->now.v - p->scrape->begun.v) / NS_PER_S;
    say(ret_answer, 503, "shard %u has not turned for %lld s\n", shard, (long long)s);
}

void page_answer_method(struct answer *ret_answer)
{
    say(ret_answer, 405, "GET and HEAD only\n");
}

void page_answer_stopping(struct answer *ret_answer)
{
    say(ret_answer, 503, "stopping\n");
}

// SPDX-License-Identifier: Apache-2.0
/* What each path of the HTTP listener answers. No HTTP library here.
 *
 *   /         200 what there is
 *   /healthz  200 ok: every shard's loop turns; 503 and the reason: the disk is fenced, a shard hangs
 *   /readyz   200 while clients are served; 503 and the phase while starting or stopping, or fenced
 *   /metrics  200 Prometheus text
 *
 * A metrics text is printed once per round and shared by all who asked; PAGE_TEXTS of them may be on their way to slow
 * readers at a time. Their memory is MEM_FETCH, kept for the next time. */
#pragma once
#include "base/check.h"
#include "broker/scrape.h"

#define PAGE_TEXTS 4

enum page { PAGE_INDEX, PAGE_HEALTH, PAGE_READY, PAGE_METRICS, PAGE_UNKNOWN };

struct text {
    char *data;
    size_t size, capacity;
    uint32_t refs; /* answers that borrow it; 0: free to be printed into */
};

struct pages {
    struct shard *zero;
    const struct scrape *scrape;
    struct text texts[PAGE_TEXTS];
};

struct answer {
    unsigned code;
    const char *type;  /* content type; a literal */
    struct text *text; /* the body, one ref of it; or NULL: */
    char body[256];    /* NUL-terminated */
};

void pages_init(struct pages *p, struct shard *zero, const struct scrape *scrape);
void pages_deinit(struct pages *p); /* CHECKs that no text is borrowed */

enum page page_of(const char *path);
/* Must a round over the shards end first? */
bool page_needs_round(const struct pages *p, enum page page);
/* After a round, if the page needs one. print: the text of that round, which the first of several answers prints (NULL
 * before it) and the others share. */
void page_answer(struct pages *p, enum page page, struct text **print, struct answer *ret_answer);
/* The round did not end in time. */
void page_answer_late(const struct pages *p, struct answer *ret_answer);
void page_answer_method(struct answer *ret_answer); /* neither GET nor HEAD */
void page_answer_stopping(struct answer *ret_answer);

static inline void text_unref(struct text *t)
{
    CHECK(t->refs > 0);
    t->refs--;
}

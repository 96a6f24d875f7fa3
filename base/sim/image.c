// SPDX-License-Identifier: Apache-2.0
/* Sparse copy-on-write file bytes; see image.h. A journal is tens of MiB of zeros before it holds anything, and every
 * file exists twice (cache and medium), so zeros cost a pointer and copies share pages.
 * Failure modes: none of the world; out of memory aborts (test infrastructure). */
#include "base/sim/image.h"

#include "base/check.h"
#include <stdlib.h>
#include <string.h>

struct sim_page {
    uint32_t refs;
    uint8_t bytes[SIM_PAGE];
};

static struct sim_page reserved_page, zero_page; /* marks; their bytes stay zero */

static bool page_is_mark(const struct sim_page *p)
{
    return p == NULL || p == &reserved_page || p == &zero_page;
}

static void page_unref(struct sim_page *p)
{
    if (!page_is_mark(p) && --p->refs == 0) free(p);
}

static struct sim_page *page_create(void)
{
    struct sim_page *p = malloc(sizeof *p);
    CHECK(p != NULL);
    p->refs = 1;
    return p;
}

static void image_grow(struct sim_image *i, uint64_t page_count)
{
    if (page_count <= i->page_capacity) return;
    uint64_t n = i->page_capacity == 0 ? 8 : i->page_capacity;
    while (n < page_count) n *= 2;
    i->pages = realloc(i->pages, n * sizeof(struct sim_page *));
    CHECK(i->pages != NULL);
    memset(i->pages + i->page_capacity, 0, (n - i->page_capacity) * sizeof(struct sim_page *));
    i->page_capacity = n;
}

void sim_image_clear(struct sim_image *i)
{
    for (uint64_t n = 0; n < i->page_capacity; n++) page_unref(i->pages[n]);
    free(i->pages);
    *i = (struct sim_image){0};
}

void sim_image_copy(struct sim_image *to, const struct sim_image *from)
{
    sim_image_clear(to);
    image_grow(to, from->page_capacity);
    for (uint64_t n = 0; n < from->page_capacity; n++) {
        to->pages[n] = from->pages[n];
        if (!page_is_mark(to->pages[n])) to->pages[n]->refs++;
    }
    to->mapped = from->mapped;
    to->size = from->size;
}

void sim_image_read(const struct sim_image *i, uint64_t pos, uint64_t len, void *out)
{
    uint8_t *to = out;
    while (len > 0) {
        uint64_t n = pos / SIM_PAGE, in_page = pos % SIM_PAGE,
                 part = SIM_PAGE - in_page < len ? SIM_PAGE - in_page : len;
        const struct sim_page *p = n < i->page_capacity ? i->pages[n] : NULL;
        if (page_is_mark(p))
            memset(to, 0, part);
        else
            memcpy(to, p->bytes + in_page, part);
        to += part;
        pos += part;
        len -= part;
    }
}

static bool all_zero(const uint8_t *p, uint64_t len)
{
    return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

/* Replaces page n by one that only this image holds, with the old bytes. */
static struct sim_page *page_own(struct sim_image *i, uint64_t n)
{
    struct sim_page *old = i->pages[n];
    if (!page_is_mark(old) && old->refs == 1) return old;
    struct sim_page *p = page_create();
    if (page_is_mark(old))
        memset(p->bytes, 0, SIM_PAGE);
    else
        memcpy(p->bytes, old->bytes, SIM_PAGE);
    page_unref(old);
    i->pages[n] = p;
    return p;
}

void sim_image_write(struct sim_image *i, uint64_t pos, uint64_t len, const void *data, bool grow)
{
    const uint8_t *from = data;
    image_grow(i, (pos + len + SIM_PAGE - 1) / SIM_PAGE);
    if (grow && pos + len > i->size) i->size = pos + len;
    while (len > 0) {
        uint64_t n = pos / SIM_PAGE, in_page = pos % SIM_PAGE,
                 part = SIM_PAGE - in_page < len ? SIM_PAGE - in_page : len;
        if (i->pages[n] == NULL) i->mapped++;
        if (page_is_mark(i->pages[n]) && all_zero(from, part))
            i->pages[n] = &zero_page;
        else
            memcpy(page_own(i, n)->bytes + in_page, from, part);
        from += part;
        pos += part;
        len -= part;
    }
}

void sim_image_reserve(struct sim_image *i, uint64_t pos, uint64_t len)
{
    if (len == 0) return;
    uint64_t end = (pos + len + SIM_PAGE - 1) / SIM_PAGE;
    image_grow(i, end);
    for (uint64_t n = pos / SIM_PAGE; n < end; n++) {
        if (i->pages[n] != NULL) continue;
        i->pages[n] = &reserved_page;
        i->mapped++;
    }
}

void sim_image_resize(struct sim_image *i, uint64_t size)
{
    uint64_t keep = (size + SIM_PAGE - 1) / SIM_PAGE;
    for (uint64_t n = keep; n < i->page_capacity; n++) {
        if (i->pages[n] != NULL) i->mapped--;
        page_unref(i->pages[n]);
        i->pages[n] = NULL;
    }
    if (size % SIM_PAGE != 0 && keep <= i->page_capacity && !page_is_mark(i->pages[keep - 1]))
        memset(page_own(i, keep - 1)->bytes + size % SIM_PAGE, 0, SIM_PAGE - size % SIM_PAGE);
    i->size = size;
}

bool sim_image_written(const struct sim_image *i, uint64_t pos, uint64_t len)
{
    for (uint64_t n = pos / SIM_PAGE; n * SIM_PAGE < pos + len; n++)
        if (n >= i->page_capacity || i->pages[n] == NULL || i->pages[n] == &reserved_page) return false;
    return true;
}

uint64_t sim_image_holes(const struct sim_image *i, uint64_t pos, uint64_t len)
{
    uint64_t holes = 0;
    for (uint64_t n = pos / SIM_PAGE; n * SIM_PAGE < pos + len; n++)
        if (n >= i->page_capacity || i->pages[n] == NULL) holes++;
    return holes;
}

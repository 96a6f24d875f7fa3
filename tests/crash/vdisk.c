// SPDX-License-Identifier: Apache-2.0
/* The memory disk of the crash tester. Path: write -> page owned by the layer, copied from below at first touch -> new
 * bytes. A layer owns at most one page per page of disk, so its pool can never run out. */
#include "vdisk.h"
#include "util.h"
#include <assert.h>
#include <stdbool.h>
#include <string.h>

static const uint8_t zero_page[VDISK_PAGE];

static void layer_init(struct vdisk_layer *l, uint64_t pages)
{
    l->page = reserve(pages * sizeof(*l->page));
    l->pool = reserve(pages * VDISK_PAGE);
    l->touched = reserve(pages * sizeof(*l->touched));
    l->touched_count = 0;
}

struct vdisk *vdisk_create(uint64_t size_bytes)
{
    assert(size_bytes > 0 && size_bytes % VDISK_PAGE == 0);
    struct vdisk *d = reserve(sizeof(*d));
    d->size_bytes = size_bytes;
    layer_init(&d->lower, size_bytes / VDISK_PAGE);
    layer_init(&d->upper, size_bytes / VDISK_PAGE);
    return d;
}

struct vdisk *vdisk_derive(const struct vdisk *from)
{
    struct vdisk *d = vdisk_create(from->size_bytes);
    for (uint64_t i = 0; i < from->size_bytes / VDISK_PAGE; i++) {
        if (from->lower.page[i]) d->lower.page[i] = from->lower.page[i];
    }
    return d;
}

void vdisk_read_page(const struct vdisk *d, uint64_t page, const uint8_t **ret_bytes)
{
    assert(page < d->size_bytes / VDISK_PAGE);
    const uint8_t *p = d->upper.page[page];
    if (!p) p = d->lower.page[page];
    *ret_bytes = p ? p : zero_page;
}

static bool layer_owns(const struct vdisk_layer *l, const uint8_t *page)
{
    return page && page >= l->pool && page < l->pool + l->touched_count * VDISK_PAGE;
}

/* The layer's own, writable copy of a page; `below` are the bytes that show there now. */
static uint8_t *layer_own(struct vdisk_layer *l, uint64_t page, const uint8_t *below, bool whole)
{
    if (layer_owns(l, l->page[page])) return l->page[page];
    uint8_t *own = l->pool + l->touched_count * VDISK_PAGE;
    l->touched[l->touched_count++] = (uint32_t)page;
    if (!whole) memcpy(own, below, VDISK_PAGE);
    l->page[page] = own;
    return own;
}

static void write_layer(struct vdisk *d, struct vdisk_layer *l, uint64_t offset, const uint8_t *bytes, uint64_t size)
{
    assert(offset % VDISK_SECTOR == 0 && size % VDISK_SECTOR == 0);
    assert(offset <= d->size_bytes && size <= d->size_bytes - offset);
    while (size > 0) {
        uint64_t page = offset / VDISK_PAGE, at = offset % VDISK_PAGE;
        uint64_t n = VDISK_PAGE - at < size ? VDISK_PAGE - at : size;
        const uint8_t *below = l == &d->lower ? d->lower.page[page] : NULL;
        if (l == &d->upper) vdisk_read_page(d, page, &below);
        uint8_t *own = layer_own(l, page, below ? below : zero_page, n == VDISK_PAGE);
        if (bytes) {
            memcpy(own + at, bytes, n);
            bytes += n;
        } else {
            memset(own + at, 0, n);
        }
        offset += n;
        size -= n;
    }
}

void vdisk_write(struct vdisk *d, uint64_t offset, const uint8_t *bytes, uint64_t size_bytes)
{
    write_layer(d, &d->upper, offset, bytes, size_bytes);
}

void vdisk_write_lower(struct vdisk *d, uint64_t offset, const uint8_t *bytes, uint64_t size_bytes)
{
    write_layer(d, &d->lower, offset, bytes, size_bytes);
}

void vdisk_settle(struct vdisk *d)
{
    for (uint64_t i = 0; i < d->upper.touched_count; i++) {
        uint64_t page = d->upper.touched[i];
        write_layer(d, &d->lower, page * VDISK_PAGE, d->upper.page[page], VDISK_PAGE);
    }
    vdisk_discard(d);
}

void vdisk_discard(struct vdisk *d)
{
    for (uint64_t i = 0; i < d->upper.touched_count; i++) d->upper.page[d->upper.touched[i]] = NULL;
    d->upper.touched_count = 0;
}

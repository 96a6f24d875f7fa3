// SPDX-License-Identifier: Apache-2.0
/* A disk in memory: two layers of 4 KiB pages, copy on write, in memory shared with the process that serves it.
 *
 * lower: what is durable; advanced from flush to flush. upper: everything since; thrown away in one step. A page that
 * neither has reads as zeros. Not locked: the owner changes it only while no I/O is under way on the served file. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#define VDISK_PAGE   4096u
#define VDISK_SECTOR 512u

struct vdisk_layer {
    uint8_t **page;    /* one per 4 KiB of disk; NULL: not here */
    uint8_t *pool;     /* pages this layer owns; others belong to the layer it was started from */
    uint32_t *touched; /* numbers of the owned pages, in the order of first writing */
    uint64_t touched_count;
};

struct vdisk {
    uint64_t size_bytes;
    struct vdisk_layer lower, upper;
};

struct vdisk *vdisk_create(uint64_t size_bytes); /* multiple of 4 KiB; lives until the process ends */
/* A disk whose lower layer shows the same bytes as from's; from's pages must not change afterwards. */
struct vdisk *vdisk_derive(const struct vdisk *from);

void vdisk_read_page(const struct vdisk *d, uint64_t page, const uint8_t **ret_bytes); /* borrowed */
/* bytes NULL: zeros. offset and size multiples of a sector, inside the disk. */
void vdisk_write(struct vdisk *d, uint64_t offset, const uint8_t *bytes, uint64_t size_bytes);
void vdisk_write_lower(struct vdisk *d, uint64_t offset, const uint8_t *bytes, uint64_t size_bytes);

void vdisk_settle(struct vdisk *d);  /* upper becomes part of lower */
void vdisk_discard(struct vdisk *d); /* upper is gone */

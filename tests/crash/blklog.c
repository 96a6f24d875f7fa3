// SPDX-License-Identifier: Apache-2.0
/* The block log and its file. Path: the FUSE server appends while the workload runs; the driver walks it. Failure: a
 * full log ends the run with a sentence (a shorter workload is the answer), a foreign file is refused.
 *
 * File: "LEATBLK1", u64 disk size, u64 pages, u64 entries, u64 data bytes; pages x (u64 number, 4096 bytes); entries x
 * struct blklog_entry; data. */
#include "blklog.h"
#include "util.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char magic[8] = {'L', 'E', 'A', 'T', 'B', 'L', 'K', '1'};

struct blklog *blklog_create(void)
{
    struct blklog *l = reserve(sizeof(*l));
    l->entry = reserve(BLKLOG_ENTRIES_MAX * sizeof(*l->entry));
    l->data = reserve(BLKLOG_DATA_MAX);
    return l;
}

void blklog_append(struct blklog *l, enum blklog_kind kind, uint64_t offset, const void *data, uint32_t size_bytes)
{
    if (l->count == BLKLOG_ENTRIES_MAX || BLKLOG_DATA_MAX - l->data_bytes < size_bytes)
        die("the block log is full (%llu entries): use a shorter workload", (unsigned long long)l->count);
    l->entry[l->count] = (struct blklog_entry){.kind = kind, .size_bytes = size_bytes, .offset = offset};
    if (data) {
        l->entry[l->count].data = l->data_bytes;
        memcpy(l->data + l->data_bytes, data, size_bytes);
        l->data_bytes += size_bytes;
    }
    l->count++;
}

const uint8_t *blklog_data(const struct blklog *l, const struct blklog_entry *e)
{
    return e->kind == BLKLOG_ZERO ? NULL : l->data + e->data;
}

void blklog_apply_lower(const struct blklog *l, uint64_t index, struct vdisk *d)
{
    const struct blklog_entry *e = &l->entry[index];
    if (e->kind == BLKLOG_WRITE || e->kind == BLKLOG_ZERO)
        vdisk_write_lower(d, e->offset, blklog_data(l, e), e->size_bytes);
}

static void put(FILE *f, const char *path, const void *bytes, uint64_t size)
{
    if (size > 0 && fwrite(bytes, size, 1, f) != 1) die("writing %s: %s", path, strerror(errno));
}

static void get(FILE *f, const char *path, void *ret_bytes, uint64_t size)
{
    if (size > 0 && fread(ret_bytes, size, 1, f) != 1) die("%s: shorter than its head says", path);
}

void blklog_save(const struct blklog *l, const struct vdisk *base, const char *path)
{
    FILE *f = fopen(path, "w");
    if (!f) die("creating %s: %s", path, strerror(errno));
    uint64_t pages = 0, all = base->size_bytes / VDISK_PAGE;
    for (uint64_t i = 0; i < all; i++) pages += base->lower.page[i] != NULL;
    uint64_t head[4] = {base->size_bytes, pages, l->count, l->data_bytes};
    put(f, path, magic, sizeof(magic));
    put(f, path, head, sizeof(head));
    for (uint64_t i = 0; i < all; i++) {
        if (!base->lower.page[i]) continue;
        put(f, path, &i, sizeof(i));
        put(f, path, base->lower.page[i], VDISK_PAGE);
    }
    put(f, path, l->entry, l->count * sizeof(*l->entry));
    put(f, path, l->data, l->data_bytes);
    if (fclose(f) != 0) die("writing %s: %s", path, strerror(errno));
}

void blklog_load(const char *path, struct blklog **ret_log, struct vdisk **ret_base)
{
    FILE *f = fopen(path, "r");
    if (!f) die("opening %s: %s", path, strerror(errno));
    char got[sizeof(magic)];
    uint64_t head[4];
    get(f, path, got, sizeof(got));
    get(f, path, head, sizeof(head));
    if (memcmp(got, magic, sizeof(magic)) != 0 || head[0] % VDISK_PAGE || head[2] > BLKLOG_ENTRIES_MAX ||
        head[3] > BLKLOG_DATA_MAX)
        die("%s is not a block log of crashstates", path);
    struct vdisk *base = vdisk_create(head[0]);
    struct blklog *l = blklog_create();
    for (uint64_t i = 0; i < head[1]; i++) {
        uint64_t page;
        uint8_t bytes[VDISK_PAGE];
        get(f, path, &page, sizeof(page));
        get(f, path, bytes, sizeof(bytes));
        if (page >= head[0] / VDISK_PAGE) die("%s: page %llu is beyond the disk", path, (unsigned long long)page);
        vdisk_write_lower(base, page * VDISK_PAGE, bytes, VDISK_PAGE);
    }
    l->count = head[2];
    l->data_bytes = head[3];
    get(f, path, l->entry, l->count * sizeof(*l->entry));
    get(f, path, l->data, l->data_bytes);
    fclose(f);
    *ret_log = l;
    *ret_base = base;
}

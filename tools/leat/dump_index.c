// SPDX-License-Identifier: Apache-2.0
/* A segment index: pages of entries, one per 64 KiB block of the .log beside it. Each entry's checksum is held against
 * the bytes of that .log, if it is there: this is the check that also covers base offsets and leader epochs.
 *
 * Failure modes: a page that fails its checksum is damage, but a harmless one: the file can be made again. A block that
 * does not fit is damage of one of the two files; the batches' own checksums (dump the .log) tell which. */
#include "tools/leat/dump.h"

#include "base/bytes.h"
#include "base/crc32c.h"
#include "storage/index.h"
#include <stdlib.h>
#include <string.h>

struct identity {
    struct topic_id topic;
    int32_t partition;
    int64_t base;
};

static struct identity identity_of(const uint8_t *page)
{
    struct identity i = {.partition = (int32_t)load_le32(page + 32), .base = (int64_t)load_le64(page + 40)};
    memcpy(i.topic.b, page + 16, sizeof i.topic.b);
    return i;
}

static bool same(const struct identity *a, const struct identity *b)
{
    return topic_id_compare(a->topic, b->topic) == 0 && a->partition == b->partition && a->base == b->base;
}

/* False: the .log is shorter, or its bytes differ. */
static bool block_fits(struct source *log, uint64_t block, const struct index_entry *e)
{
    uint64_t pos = block * INDEX_BLOCK_BYTES;
    if (pos > log->size || e->covered > log->size - pos) return false;
    const uint8_t *p = source_at(log, pos, e->covered);
    return p != NULL && crc32c(0, p, e->covered) == e->crc;
}

static void print_entry(struct dump *d, uint64_t block, const struct index_entry *e)
{
    dump_begin(d, "entry");
    dump_uint(d, "block", block);
    dump_uint(d, "bytes", e->covered);
    if (e->first_pos != INDEX_NO_BATCH) dump_uint(d, "first_batch_at", e->first_pos);
    dump_int(d, "offset", e->first_offset);
    dump_time(d, "max_time", e->max_timestamp_ms);
    dump_end(d);
    d->things--;
}

static void one_page(struct dump *d, struct source *log, const uint8_t *page, uint32_t number, uint64_t *checked)
{
    uint32_t count = index_page_count(page);
    struct index_entry first, last;
    index_page_entry(page, 0, &first);
    index_page_entry(page, count - 1, &last);
    dump_begin(d, "page");
    dump_uint(d, "number", number);
    dump_uint(d, "entries", count);
    dump_int(d, "first", first.first_offset);
    dump_int(d, "last", last.first_offset);
    dump_end(d);
    for (uint32_t i = 0; i < count; i++) {
        struct index_entry e;
        uint64_t block = (uint64_t)number * INDEX_PAGE_ENTRIES + i;
        index_page_entry(page, i, &e);
        if (d->deep) print_entry(d, block, &e);
        if (log == NULL) continue;
        while (!block_fits(log, block, &e) && source_again(log)) continue;
        source_fine(log);
        ++*checked;
        if (!block_fits(log, block, &e))
            dump_damage(d, (uint64_t)number * BLOCK_BYTES, BLOCK_BYTES,
                        "block %llu (offset %lld on) does not fit the .log beside it", (unsigned long long)block,
                        (long long)e.first_offset);
    }
}

/* A sound page with the file's identity, or NULL. */
static const uint8_t *page_at(struct dump *d, uint32_t number, struct identity *id, bool known)
{
    for (;;) {
        const uint8_t *p = source_at(d->source, (uint64_t)number * BLOCK_BYTES, BLOCK_BYTES);
        struct identity here = p == NULL ? *id : identity_of(p);
        bool good = p != NULL && (!known || same(&here, id)) &&
                    index_page_verify(p, here.topic, here.partition, here.base, number) == STATUS_OK;
        if (good) *id = here;
        if (good || !source_again(d->source)) return good ? p : NULL;
    }
}

static bool open_log(const struct dump *d, struct source *ret_log)
{
    size_t len = strlen(d->path);
    char *path = len > 5 && strcmp(d->path + len - 5, ".lidx") == 0 ? strdup(d->path) : NULL;
    if (path == NULL) return false;
    memcpy(path + len - 5, ".log", 5);
    bool there = source_open(ret_log, path);
    free(path);
    return there;
}

void dump_index(struct dump *d)
{
    struct source log;
    struct identity id = {.base = -1};
    bool beside = d->source->fd >= 0 && open_log(d, &log), known = false;
    uint64_t checked = 0;
    if (d->source->size % BLOCK_BYTES != 0)
        dump_damage(d, align_down(d->source->size, BLOCK_BYTES), d->source->size % BLOCK_BYTES, "half a page");
    for (uint32_t n = 0; n < d->source->size / BLOCK_BYTES; n++) {
        const uint8_t *page = page_at(d, n, &id, known);
        source_fine(d->source);
        if (page == NULL) {
            dump_damage(d, (uint64_t)n * BLOCK_BYTES, BLOCK_BYTES, "page %u is not sound; the file can be made anew",
                        n);
            continue;
        }
        known = true;
        one_page(d, beside ? &log : NULL, page, n, &checked);
    }
    if (beside) source_close(&log);
    dump_sum(d);
    if (known) dump_hex(d, "topic_id", id.topic.b, sizeof id.topic.b);
    if (known) dump_int(d, "partition", id.partition);
    if (known) dump_int(d, "base", id.base);
    dump_uint(d, "blocks_checked", checked);
    if (!beside) dump_word(d, "log", "not beside it");
    dump_end(d);
}

// SPDX-License-Identifier: Apache-2.0
/* The flow of a segment fetch:
 *
 *   begin   the builder knows the block, or the .lidx file must be asked
 *   page    binary search over the index pages: each step reads one and looks at its first entry
 *   data    the blocks from the .log, in one read; before it the next page where the blocks go on there
 *   check   each block against the CRC in its entry
 *   repair  an index page that fails its check, or misses: made anew (index_repair.c), then read again
 *
 * Failure modes: a block that fails its check ends with DAMAGED: the bytes are never handed out. A missing .log is
 * DAMAGED too: the partition says that it has these bytes. */
#include "storage/read.h"

#include "base/bytes.h"
#include "base/crc32c.h"
#include "storage/mover.h"
#include "storage/store_impl.h"

enum fetch_stage {
    FETCH_BEGIN,
    FETCH_PAGE,
    FETCH_PAGE_READ,
    FETCH_DATA,
    FETCH_NEXT_PAGE,
    FETCH_CHECK,
    FETCH_REPAIRED,
    FETCH_END
};

static int finish(struct segment_fetch *f, enum status status)
{
    if (f->status == STATUS_OK) f->status = status;
    return FETCH_END;
}

static uint64_t blocks_of(uint64_t bytes)
{
    return (bytes + INDEX_BLOCK_BYTES - 1) / INDEX_BLOCK_BYTES;
}

static int fetch_begin(struct task *t)
{
    struct segment_fetch *f = container_of(t, struct segment_fetch, task);
    struct partition *p = f->p;
    struct path dir;
    f->segment = *partition_segment_of(p, f->offset);
    uint64_t end = MIN(f->limit, f->segment.length == UINT64_MAX ? UINT64_MAX : f->segment.start + f->segment.length);
    if (end <= f->segment.start) return finish(f, STATUS_DAMAGED);
    f->limit = end;
    bool moving = p->index.segment_base == f->segment.base;
    f->is_in_builder = moving && index_find_offset(&p->index, f->offset, &f->block);
    uint64_t pages = (blocks_of(end - f->segment.start) + INDEX_PAGE_ENTRIES - 1) / INDEX_PAGE_ENTRIES;
    if (moving) pages = MIN(pages, p->index.page);
    if (!f->is_in_builder && pages == 0) return finish(f, STATUS_DAMAGED);
    f->page_low = 0;
    f->page_high = f->pages = (uint32_t)pages;
    partition_dir(p, &dir);
    struct file_key log = partition_file_key(p, f->segment.base, FILE_LOG);
    struct file_key index = partition_file_key(p, f->segment.base, FILE_INDEX);
    enum status status = file_use_begin(p->store->files, &f->log, t, dir.s, &log, false);
    if (status == STATUS_OK && !f->is_in_builder)
        status = file_use_begin(p->store->files, &f->index, t, dir.s, &index, false);
    if (status != STATUS_OK) f->status = STATUS_BUSY;
    return t->pending_ops > 0 ? STAGE_WAIT(FETCH_PAGE) : FETCH_PAGE;
}

/* One repair of a page; a second one would find the same. */
static int repair(struct segment_fetch *f, uint32_t page)
{
    if (f->repaired == page + 1) return finish(f, STATUS_DAMAGED);
    f->repaired = page + 1;
    index_repair(f->p->store->repairer, &f->repair, &f->task, f->p, f->segment.base, page);
    return STAGE_WAIT(FETCH_REPAIRED);
}

static int fetch_repaired(struct task *t)
{
    struct segment_fetch *f = container_of(t, struct segment_fetch, task);
    struct path dir;
    if (f->repair.status != STATUS_OK) return finish(f, f->repair.status);
    if (f->index.file != NULL) return f->entry_count > 0 ? FETCH_DATA : FETCH_PAGE;
    partition_dir(f->p, &dir); /* there was none */
    struct file_key index = partition_file_key(f->p, f->segment.base, FILE_INDEX);
    if (file_use_begin(f->p->store->files, &f->index, t, dir.s, &index, false) != STATUS_OK)
        return finish(f, STATUS_BUSY);
    return t->pending_ops > 0 ? STAGE_WAIT(FETCH_PAGE) : FETCH_PAGE;
}

static int fetch_page(struct task *t)
{
    struct segment_fetch *f = container_of(t, struct segment_fetch, task);
    if (f->status != STATUS_OK) return FETCH_END;
    if (f->log.file == NULL) return finish(f, f->log.status == STATUS_NOT_FOUND ? STATUS_DAMAGED : f->log.status);
    if (f->is_in_builder) return FETCH_DATA;
    f->page_number = f->page_low + (f->page_high - f->page_low) / 2;
    if (f->index.file == NULL)
        return f->index.status == STATUS_NOT_FOUND ? repair(f, f->page_number) : finish(f, f->index.status);
    transfer_start(f->p->store->env, &f->read, t, IO_READ, f->index.file->handle, f->page, BLOCK_BYTES,
                   (uint64_t)f->page_number * BLOCK_BYTES, 0);
    return STAGE_WAIT(FETCH_PAGE_READ);
}

static int fetch_page_read(struct task *t)
{
    struct segment_fetch *f = container_of(t, struct segment_fetch, task);
    if (f->read.status != STATUS_OK) return finish(f, f->read.status);
    if (f->read.moved != BLOCK_BYTES ||
        index_page_verify(f->page, f->p->id, f->p->number, f->segment.base, f->page_number) != STATUS_OK)
        return repair(f, f->page_number);
    struct index_entry first;
    index_page_entry(f->page, 0, &first);
    if (first.first_offset <= f->offset)
        f->page_low = f->page_number;
    else
        f->page_high = f->page_number;
    if (f->page_high - f->page_low > 1) return FETCH_PAGE;
    if (f->page_high == f->page_low) { /* even the first batch is above: what was asked for was compacted away */
        CHECK(f->page_number == 0);
        f->block = 0;
        return FETCH_DATA;
    }
    if (f->page_number != f->page_low) return FETCH_PAGE;
    uint32_t i = index_page_find(f->page, f->offset);
    if (i == UINT32_MAX) { /* a batch that began in an earlier page covers all of this one */
        if (f->page_low == 0) return finish(f, STATUS_DAMAGED);
        f->page_high = f->page_low--;
        return FETCH_PAGE;
    }
    f->block = (uint64_t)f->page_number * INDEX_PAGE_ENTRIES + i;
    return FETCH_DATA;
}

static bool page_entry_of(const uint8_t *page, uint32_t number, uint64_t block, struct index_entry *ret_entry)
{
    uint64_t first = (uint64_t)number * INDEX_PAGE_ENTRIES;
    if (block < first || block - first >= index_page_count(page)) return false;
    index_page_entry(page, (uint32_t)(block - first), ret_entry);
    return true;
}

/* What the index says of a block now. */
static bool entry_of(const struct segment_fetch *f, uint64_t block, struct index_entry *ret_entry)
{
    if (f->p->index.segment_base == f->segment.base && index_find(&f->p->index, block, ret_entry)) return true;
    if (f->is_in_builder) return false;
    if (page_entry_of(f->page, f->page_number, block, ret_entry)) return true;
    return f->next_page > 0 && page_entry_of(f->page + BLOCK_BYTES, f->next_page, block, ret_entry);
}

/* The entries from f->block on, as many as are wanted and known, of blocks whose bytes end at or below `end`. */
static void take_entries(struct segment_fetch *f, uint64_t end)
{
    while (f->entry_count < f->entry_capacity) {
        struct index_entry *e = &f->entries[f->entry_count];
        uint64_t b = f->block + f->entry_count;
        if (!entry_of(f, b, e) || e->covered == 0 || b * INDEX_BLOCK_BYTES + e->covered > end) break;
        f->bytes += e->covered;
        f->entry_count++;
        if (e->covered < INDEX_BLOCK_BYTES) break;
    }
}

/* The wanted bytes go on in the blocks of the next page of the .lidx file. */
static bool next_page_wanted(const struct segment_fetch *f, uint64_t end)
{
    uint64_t b = f->block + f->entry_count, page = b / INDEX_PAGE_ENTRIES;
    if (f->is_in_builder || f->entry_count == 0 || f->entry_count == f->entry_capacity) return false;
    if (f->entries[f->entry_count - 1].covered < INDEX_BLOCK_BYTES || b * INDEX_BLOCK_BYTES >= end) return false;
    return page < f->pages && page > MAX(f->page_number, f->next_page);
}

static int fetch_data(struct task *t)
{
    struct segment_fetch *f = container_of(t, struct segment_fetch, task);
    struct mem *m = f->p->store->env->mem;
    uint64_t start = f->block * INDEX_BLOCK_BYTES, end = f->p->moved_pos - f->segment.start;
    if (f->segment.length != UINT64_MAX) end = MIN(end, f->segment.length);
    if (f->entries == NULL) {
        f->entry_capacity = (uint32_t)blocks_of((uint64_t)f->want + INDEX_BLOCK_BYTES);
        f->entries = mem_alloc(m, MEM_FETCH, f->entry_capacity * sizeof *f->entries);
        if (f->entries == NULL) return finish(f, STATUS_BUSY);
    }
    take_entries(f, end);
    if (f->entry_count == 0) return finish(f, f->is_in_builder ? STATUS_BUSY : STATUS_DAMAGED);
    if (next_page_wanted(f, end)) {
        f->next_page = MAX(f->page_number, f->next_page) + 1;
        transfer_start(f->p->store->env, &f->read, t, IO_READ, f->index.file->handle, f->page + BLOCK_BYTES,
                       BLOCK_BYTES, (uint64_t)f->next_page * BLOCK_BYTES, 0);
        return STAGE_WAIT(FETCH_NEXT_PAGE);
    }
    f->limit = f->p->moved_pos;
    f->pos = start;
    f->buf = buf_create(m, MEM_FETCH, align_up(f->bytes, BLOCK_BYTES));
    if (f->buf == NULL) return finish(f, STATUS_BUSY);
    transfer_start(f->p->store->env, &f->read, t, IO_READ, f->log.file->handle, f->buf->data,
                   (uint32_t)align_up(f->bytes, BLOCK_BYTES), start, 0);
    return STAGE_WAIT(FETCH_CHECK);
}

static int fetch_next_page(struct task *t)
{
    struct segment_fetch *f = container_of(t, struct segment_fetch, task);
    if (f->read.status != STATUS_OK) return finish(f, f->read.status);
    if (f->read.moved != BLOCK_BYTES ||
        index_page_verify(f->page + BLOCK_BYTES, f->p->id, f->p->number, f->segment.base, f->next_page) != STATUS_OK) {
        uint32_t page = f->next_page;
        f->next_page = page - 1 > f->page_number ? page - 1 : 0; /* it is wanted again */
        return repair(f, page);
    }
    return FETCH_DATA;
}

static int fetch_check(struct task *t)
{
    struct segment_fetch *f = container_of(t, struct segment_fetch, task);
    if (f->read.status != STATUS_OK) return finish(f, f->read.status);
    uint32_t at = 0;
    for (uint32_t i = 0; i < f->entry_count; i++) {
        const struct index_entry *e = &f->entries[i];
        if (f->read.moved < at + e->covered || crc32c(0, f->buf->data + at, e->covered) != e->crc) {
            STORE_LOG(f->p->store, LOG_ERROR, "segment.damaged", LOG_STR("topic", f->p->topic),
                      LOG_INT("partition", f->p->number), LOG_INT("segment", f->segment.base),
                      LOG_UINT("position", f->pos + at));
            f->cut_short = true;
            break;
        }
        at += e->covered;
    }
    f->bytes = at;
    f->buf->size = at;
    f->first_pos = f->entries[0].first_pos;
    return finish(f, at > 0 && f->first_pos != INDEX_NO_BATCH ? STATUS_OK : STATUS_DAMAGED);
}

static int fetch_end(struct task *t)
{
    struct segment_fetch *f = container_of(t, struct segment_fetch, task);
    struct task *parent = f->parent;
    if (f->log.file != NULL) file_use_end(&f->log);
    if (f->index.file != NULL) file_use_end(&f->index);
    if (f->keep_page && !f->is_in_builder && f->status == STATUS_OK) {
        f->page_copy = f->page;
        f->page = NULL;
    }
    if (f->page != NULL) mem_free_aligned(f->p->store->env->mem, MEM_FETCH, f->page, 2 * BLOCK_BYTES);
    f->page = NULL;
    if (f->entries != NULL)
        mem_free(f->p->store->env->mem, MEM_FETCH, f->entries, f->entry_capacity * sizeof *f->entries);
    f->entries = NULL;
    if (f->status != STATUS_OK && f->buf != NULL) buf_unref(&f->buf);
    CHECK(parent->pending_ops > 0);
    if (--parent->pending_ops == 0 && parent->waiting) task_wake(parent);
    return STAGE_DONE;
}

static const struct stage fetch_stages[] = {
    [FETCH_BEGIN] = {"begin", fetch_begin, STAGE_BIT(FETCH_PAGE) | STAGE_BIT(FETCH_END)},
    [FETCH_PAGE] = {"page", fetch_page,
                    STAGE_BIT(FETCH_PAGE_READ) | STAGE_BIT(FETCH_DATA) | STAGE_BIT(FETCH_REPAIRED) |
                        STAGE_BIT(FETCH_END)},
    [FETCH_PAGE_READ] = {"page read", fetch_page_read,
                         STAGE_BIT(FETCH_PAGE) | STAGE_BIT(FETCH_DATA) | STAGE_BIT(FETCH_REPAIRED) |
                             STAGE_BIT(FETCH_END)},
    [FETCH_DATA] = {"data", fetch_data, STAGE_BIT(FETCH_NEXT_PAGE) | STAGE_BIT(FETCH_CHECK) | STAGE_BIT(FETCH_END)},
    [FETCH_NEXT_PAGE] = {"next page", fetch_next_page,
                         STAGE_BIT(FETCH_DATA) | STAGE_BIT(FETCH_REPAIRED) | STAGE_BIT(FETCH_END)},
    [FETCH_CHECK] = {"check", fetch_check, STAGE_BIT(FETCH_END)},
    [FETCH_REPAIRED] = {"repaired", fetch_repaired,
                        STAGE_BIT(FETCH_PAGE) | STAGE_BIT(FETCH_DATA) | STAGE_BIT(FETCH_END)},
    [FETCH_END] = {"end", fetch_end, 0},
};

static const struct flow fetch_flow = {"segment fetch", fetch_stages, COUNT_OF(fetch_stages)};

void segment_fetch_start(struct segment_fetch *f, struct task *parent, struct partition *p, int64_t offset,
                         uint64_t limit, uint32_t want)
{
    *f = (struct segment_fetch){.parent = parent, .p = p, .offset = offset, .limit = limit, .want = want};
    f->page = mem_alloc_aligned(p->store->env->mem, MEM_FETCH, 2 * BLOCK_BYTES);
    if (f->page == NULL) f->status = STATUS_BUSY;
    parent->pending_ops++;
    task_start(p->store->env->runner, &f->task, &fetch_flow, f->page == NULL ? FETCH_END : FETCH_BEGIN);
}

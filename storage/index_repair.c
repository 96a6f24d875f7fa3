// SPDX-License-Identifier: Apache-2.0
/* The flow of one repair:
 *
 *   next     the next one in line; .log and .lidx are opened, a missing .lidx is made
 *   look     the page itself: sound meanwhile? Then back over the pages before it, to the nearest sound one in which a
 *            batch begins, or to the segment's beginning
 *   read     the next piece of the .log
 *   feed     through index_rebuild.c: batch CRCs, offsets, epochs; full pages are kept until every batch that begins in
 *            them is known to be sound; a batch that reaches over the moved end goes on in memory
 *   write    the pages made so far
 *   end      the reader is told
 *
 * Only bad pages are made anew: what a sound page says of base offsets and epochs is worth more than what the file
 * says. Where the file ends before the page, all that is missing is made, in one go.
 * Failure modes: DAMAGED with one log line where the .log is not sound; no memory or space: BUSY, the next reader tries
 * again. A cut waits for the repair and the repair for none: else an old page could land on a new one.
 * Crash order: none; the index is derived. The pages are dirty like the mover's: the next checkpoint syncs them. */
#include "storage/index_repair.h"

#include "base/bytes.h"
#include "storage/index_rebuild.h"
#include "storage/mover.h"
#include "storage/store_impl.h"

#define PIECE_BYTES     (256u << 10)
#define PAGE_SPAN_BYTES ((uint64_t)INDEX_PAGE_ENTRIES * INDEX_BLOCK_BYTES)
#define WRITE_PAGES     16u  /* so many sound ones are written at once */
#define MADE_PAGES_MAX  512u /* a batch of 2 GiB begins in one page and ends 256 later */

static_assert(BATCH_BYTES_MAX / PAGE_SPAN_BYTES + WRITE_PAGES + 2 < MADE_PAGES_MAX, "a batch of any size is passed");
static_assert(PIECE_BYTES % BLOCK_BYTES == 0, "pieces are read O_DIRECT");

enum repair_stage { REPAIR_NEXT, REPAIR_OPENED, REPAIR_LOOKED, REPAIR_READ, REPAIR_FEED, REPAIR_WRITTEN, REPAIR_END };

struct repairer {
    struct task task;
    struct store *store;
    struct list waiting;
    struct repair_use *use; /* being repaired */
    struct partition *p;
    struct segment segment;
    struct file_use log, index_file;
    struct transfer io;
    uint8_t *piece, *page; /* of one allocation */
    uint8_t *made;         /* pages that are not written yet */
    uint32_t made_capacity, made_count;
    uint32_t first, last; /* pages to make; first: of made[0], too */
    uint32_t looked;
    uint64_t pos; /* in the segment: bytes below were fed */
    struct index index;
    struct index_rebuild rebuild;
    uint32_t pages_written;
    bool broken; /* the walk met damage: what was made before is written, then it is over */
};

static const struct flow repair_flow;

struct repairer *repairer_create(struct store *s)
{
    struct repairer *r = mem_zalloc(s->env->mem, MEM_LOG, sizeof *r);
    if (r == NULL) return NULL;
    r->store = s;
    list_init(&r->waiting);
    return r;
}

void repairer_destroy(struct repairer *r)
{
    CHECK(repairer_idle(r) && r->piece == NULL && r->made == NULL);
    mem_free(r->store->env->mem, MEM_LOG, r, sizeof *r);
}

bool repairer_idle(const struct repairer *r)
{
    return !task_active(&r->task);
}

uint32_t segment_pages_in_file(const struct partition *p, const struct segment *s)
{
    if (p->index.segment_base == s->base) return p->index.page;
    if (p->index.segment_base < s->base) return 0; /* nothing of it was moved */
    CHECK(s->length != UINT64_MAX);
    return (uint32_t)((s->length + PAGE_SPAN_BYTES - 1) / PAGE_SPAN_BYTES);
}

void index_repair(struct repairer *r, struct repair_use *u, struct task *t, struct partition *p, int64_t base,
                  uint32_t page)
{
    CHECK(p->readers > 0);
    bool for_cut = u->for_cut;
    *u = (struct repair_use){.task = t, .p = p, .base = base, .page = page, .for_cut = for_cut};
    t->pending_ops++;
    list_push_back(&r->waiting, &u->in_waiting);
    if (!task_active(&r->task)) task_start(r->store->env->runner, &r->task, &repair_flow, REPAIR_NEXT);
}

static struct repairer *repairer_of(struct task *t)
{
    return container_of(t, struct repairer, task);
}

static int finish(struct repairer *r, enum status status)
{
    r->use->status = status;
    return REPAIR_END;
}

static int damaged(struct repairer *r)
{
    STORE_LOG(r->store, LOG_ERROR, "segment.damaged", LOG_STR("topic", r->p->topic), LOG_INT("partition", r->p->number),
              LOG_INT("segment", r->segment.base), LOG_UINT("position", r->rebuild.batch_pos),
              LOG_STR("effect", "its index cannot be made anew"));
    return finish(r, STATUS_DAMAGED);
}

/* The segment as it is now; a status that ends the repair, or OK. */
static enum status segment_now(struct repairer *r)
{
    struct partition *p = r->p;
    const struct segment *s = partition_segment_of(p, r->use->base);
    if (p->deleting) return STATUS_NOT_LEADER;
    if (r->store->closing || store_fenced(r->store) || s->base != r->use->base) return STATUS_BUSY;
    if (r->log.file != NULL && s->generation != r->segment.generation) return STATUS_BUSY; /* compacted meanwhile */
    r->segment = *s;
    return r->use->page < segment_pages_in_file(p, s) ? STATUS_OK : STATUS_BUSY; /* a cut took it back */
}

/* --- next, look --- */

static bool memory(struct repairer *r)
{
    struct mem *m = r->store->env->mem;
    if (r->piece == NULL) r->piece = mem_alloc_aligned(m, MEM_FETCH, PIECE_BYTES + BLOCK_BYTES);
    if (r->piece == NULL) return false;
    r->page = r->piece + PIECE_BYTES;
    return true;
}

static int repair_next(struct task *t)
{
    struct repairer *r = repairer_of(t);
    struct list_node *n = list_pop_front(&r->waiting);
    struct path dir;
    if (n == NULL) return STAGE_DONE;
    r->use = container_of(n, struct repair_use, in_waiting);
    r->p = r->use->p;
    r->made_count = r->pages_written = 0;
    r->broken = false;
    r->p->repairs++; /* from here on no cut begins */
    if (r->p->truncating && !r->use->for_cut) return finish(r, STATUS_BUSY);
    enum status status = segment_now(r);
    if (status == STATUS_OK && !memory(r)) status = STATUS_BUSY;
    if (status != STATUS_OK) return finish(r, status);
    partition_dir(r->p, &dir);
    struct file_key log = partition_file_key(r->p, r->segment.base, FILE_LOG);
    struct file_key index = partition_file_key(r->p, r->segment.base, FILE_INDEX);
    status = file_use_begin(r->store->files, &r->log, t, dir.s, &log, false);
    if (status == STATUS_OK) status = file_use_begin(r->store->files, &r->index_file, t, dir.s, &index, true);
    r->use->status = status == STATUS_OK ? STATUS_OK : STATUS_BUSY;
    return t->pending_ops > 0 ? STAGE_WAIT(REPAIR_OPENED) : REPAIR_OPENED;
}

static int look(struct repairer *r, uint32_t page)
{
    r->looked = page;
    transfer_start(r->store->env, &r->io, &r->task, IO_READ, r->index_file.file->handle, r->page, BLOCK_BYTES,
                   (uint64_t)page * BLOCK_BYTES, 0);
    return STAGE_WAIT(REPAIR_LOOKED);
}

static int repair_opened(struct task *t)
{
    struct repairer *r = repairer_of(t);
    if (r->use->status != STATUS_OK) return REPAIR_END;
    if (r->log.file == NULL) return finish(r, r->log.status == STATUS_NOT_FOUND ? STATUS_DAMAGED : r->log.status);
    if (r->index_file.file == NULL)
        return finish(r, r->index_file.status == STATUS_NO_SPACE ? STATUS_BUSY : r->index_file.status);
    r->last = r->use->page;
    return look(r, r->use->page);
}

/* The place of the last batch that begins in the page; false: none does. */
static bool last_batch(const struct repairer *r, uint64_t *ret_pos, int64_t *ret_offset)
{
    for (uint32_t i = index_page_count(r->page); i > 0; i--) {
        struct index_entry e;
        index_page_entry(r->page, i - 1, &e);
        if (e.first_pos == INDEX_NO_BATCH) continue;
        *ret_pos = ((uint64_t)r->looked * INDEX_PAGE_ENTRIES + i - 1) * INDEX_BLOCK_BYTES + e.first_pos;
        *ret_offset = e.first_offset;
        return true;
    }
    return false;
}

/* Bytes of the segment as they are in the log now, in the file or behind it in memory. */
static uint64_t segment_bytes(const struct repairer *r)
{
    return r->segment.length != UINT64_MAX ? r->segment.length : r->p->end_pos - r->segment.start;
}

static int walk_from(struct repairer *r, uint32_t first, uint64_t pos, int64_t offset)
{
    struct partition *p = r->p;
    bool active = r->segment.length == UINT64_MAX;
    if (offset < r->segment.base || pos > segment_bytes(r)) return damaged(r);
    r->first = first;
    r->pos = pos;
    index_init(&r->index, r->store->env->mem, p->id, p->number, r->segment.base);
    index_begin_page(&r->index, first, r->segment.base);
    if (index_rebuild_begin_at(&r->rebuild, &r->index, segment_bytes(r), pos, offset) != STATUS_OK)
        return finish(r, STATUS_BUSY);
    r->rebuild.epochs = &p->epochs;
    if (!active) r->rebuild.end_offset = partition_segment_of(p, r->segment.base)[1].base;
    return REPAIR_READ;
}

static int repair_looked(struct task *t)
{
    struct repairer *r = repairer_of(t);
    const struct partition *p = r->p;
    uint64_t pos;
    int64_t offset;
    if (r->io.status != STATUS_OK) return finish(r, r->io.status);
    enum status status = segment_now(r);
    if (status != STATUS_OK) return finish(r, status);
    bool sound = r->io.moved == BLOCK_BYTES &&
                 index_page_verify(r->page, p->id, p->number, r->segment.base, r->looked) == STATUS_OK;
    if (sound && r->looked == r->use->page) return finish(r, STATUS_OK); /* somebody was here before */
    if (r->io.moved < BLOCK_BYTES && r->looked == r->use->page) r->last = segment_pages_in_file(p, &r->segment) - 1;
    if (sound && last_batch(r, &pos, &offset)) return walk_from(r, r->looked + 1, pos, offset);
    if (r->looked == 0) return walk_from(r, 0, 0, r->segment.base);
    return look(r, r->looked - 1);
}

/* --- read, feed --- */

/* How much of the segment is in the file. */
static uint64_t file_bytes(const struct repairer *r)
{
    uint64_t moved = r->p->moved_pos - r->segment.start;
    return r->segment.length != UINT64_MAX ? MIN(moved, r->segment.length) : moved;
}

static int repair_read(struct task *t)
{
    struct repairer *r = repairer_of(t);
    enum status status = segment_now(r);
    if (status != STATUS_OK) return finish(r, status);
    uint64_t from = align_down(r->pos, BLOCK_BYTES), end = file_bytes(r);
    r->io.status = STATUS_OK;
    r->io.moved = 0;
    if (from >= end) return REPAIR_FEED; /* the rest is in memory */
    transfer_start(r->store->env, &r->io, t, IO_READ, r->log.file->handle, r->piece,
                   (uint32_t)align_up(MIN(end - from, PIECE_BYTES), BLOCK_BYTES), from, 0);
    return STAGE_WAIT(REPAIR_FEED);
}

static bool keep_page(struct repairer *r)
{
    struct mem *m = r->store->env->mem;
    uint32_t number;
    if (r->made_count == r->made_capacity) {
        uint32_t capacity = MAX(2 * WRITE_PAGES, 2 * r->made_capacity);
        uint8_t *made =
            capacity <= MADE_PAGES_MAX ? mem_alloc_aligned(m, MEM_FETCH, (size_t)capacity * BLOCK_BYTES) : NULL;
        if (made == NULL) return false;
        if (r->made_count > 0) memcpy(made, r->made, (size_t)r->made_count * BLOCK_BYTES);
        if (r->made != NULL) mem_free_aligned(m, MEM_FETCH, r->made, (size_t)r->made_capacity * BLOCK_BYTES);
        r->made = made;
        r->made_capacity = capacity;
    }
    CHECK(index_page(&r->index, r->made + (size_t)r->made_count * BLOCK_BYTES, &number));
    CHECK(number == r->first + r->made_count);
    r->made_count++;
    return true;
}

/* Made pages in which every batch that begins was walked to its end. */
static uint32_t sound_pages(const struct repairer *r)
{
    uint32_t n = 0;
    while (n < r->made_count && (r->first + n + 1) * PAGE_SPAN_BYTES <= r->rebuild.batch_pos) n++;
    return r->rebuild.batch_pos == r->rebuild.segment_bytes ? r->made_count : n;
}

static bool all_made(const struct repairer *r)
{
    return r->first + sound_pages(r) > r->last;
}

static enum status feed(struct repairer *r, const uint8_t *bytes, uint64_t len)
{
    for (uint64_t at = 0; at < len && !all_made(r);) {
        size_t taken;
        enum status status = index_rebuild_feed(&r->rebuild, bytes + at, len - at, &taken);
        if (status != STATUS_OK) return status;
        at += taken;
        r->pos += taken;
        if (!index_page_full(&r->index)) continue;
        if (r->first + r->made_count <= r->last && !keep_page(r)) return STATUS_BUSY;
        index_page_taken(&r->index);
    }
    return STATUS_OK;
}

/* The batch that reaches over the moved end: its rest, a block at a time. */
static enum status feed_memory(struct repairer *r)
{
    const struct partition *p = r->p;
    uint8_t bytes[BLOCK_BYTES];
    enum status status = STATUS_OK;
    while (status == STATUS_OK && !all_made(r)) {
        uint64_t from = r->segment.start + r->pos, end = r->segment.start + segment_bytes(r);
        uint32_t n = (uint32_t)MIN(end - from, sizeof bytes);
        if (n == 0) break;
        if (from < p->moved_pos) return STATUS_BUSY; /* it moved on: read again */
        refs_copy(p, from, n, bytes);
        status = feed(r, bytes, n);
    }
    return status;
}

static int write_pages(struct repairer *r, uint32_t count)
{
    file_dirty(r->index_file.file);
    partition_dir_dirty(r->p); /* its name may be new */
    transfer_start(r->store->env, &r->io, &r->task, IO_WRITE, r->index_file.file->handle, r->made, count * BLOCK_BYTES,
                   (uint64_t)r->first * BLOCK_BYTES, 0);
    return STAGE_WAIT(REPAIR_WRITTEN);
}

static int repair_feed(struct task *t)
{
    struct repairer *r = repairer_of(t);
    if (r->io.status != STATUS_OK) return finish(r, r->io.status);
    enum status status = segment_now(r);
    if (status != STATUS_OK) return finish(r, status);
    uint32_t skip = (uint32_t)(r->pos % BLOCK_BYTES);
    uint64_t end = MIN(r->io.moved, file_bytes(r) - MIN(file_bytes(r), r->pos - skip));
    uint64_t before = r->pos;
    if (end > skip)
        status = feed(r, r->piece + skip, end - skip);
    else if (r->pos >= file_bytes(r))
        status = feed_memory(r);
    if (status == STATUS_BUSY) return finish(r, status);
    bool whole = r->pos == segment_bytes(r) && status == STATUS_OK && index_rebuild_end(&r->rebuild) == STATUS_OK;
    if (whole && r->first + r->made_count == r->last && !keep_page(r)) return finish(r, STATUS_BUSY); /* its last one */
    uint32_t sound = sound_pages(r);
    r->broken = status != STATUS_OK || (r->pos == before && !all_made(r)); /* or: nothing more, and not all made */
    if (sound >= WRITE_PAGES || (sound > 0 && (all_made(r) || r->broken))) return write_pages(r, sound);
    return r->broken ? damaged(r) : REPAIR_READ;
}

static int repair_written(struct task *t)
{
    struct repairer *r = repairer_of(t);
    uint32_t count = r->io.len / BLOCK_BYTES;
    file_dirty(r->index_file.file); /* again: a checkpoint may have synced it while the write was in flight (A1) */
    if (r->io.status == STATUS_NO_SPACE) return finish(r, STATUS_BUSY);
    if (r->io.status != STATUS_OK) {
        journal_fail(r->store->journal);
        return finish(r, STATUS_FENCED);
    }
    r->pages_written += count;
    r->made_count -= count;
    r->first += count;
    memmove(r->made, r->made + (size_t)count * BLOCK_BYTES, (size_t)r->made_count * BLOCK_BYTES);
    if (r->first > r->use->page && r->broken) return finish(r, STATUS_OK); /* the page that was asked for is there */
    if (r->first > r->last) return finish(r, STATUS_OK);
    return r->broken ? damaged(r) : REPAIR_READ;
}

/* --- end --- */

static void give_back(struct repairer *r)
{
    struct mem *m = r->store->env->mem;
    if (!list_empty(&r->waiting)) return; /* the next one needs it, too */
    if (r->piece != NULL) mem_free_aligned(m, MEM_FETCH, r->piece, PIECE_BYTES + BLOCK_BYTES);
    if (r->made != NULL) mem_free_aligned(m, MEM_FETCH, r->made, (size_t)r->made_capacity * BLOCK_BYTES);
    r->piece = r->page = r->made = NULL;
    r->made_capacity = 0;
}

static int repair_end(struct task *t)
{
    struct repairer *r = repairer_of(t);
    struct repair_use *u = r->use;
    struct task *reader = u->task;
    if (r->pages_written > 0)
        STORE_LOG(r->store, LOG_WARN, "segment.index_rebuilt", LOG_STR("topic", r->p->topic),
                  LOG_INT("partition", r->p->number), LOG_INT("segment", r->segment.base),
                  LOG_UINT("pages", r->pages_written), LOG_STATUS("status", u->status));
    if (r->log.file != NULL) file_use_end(&r->log);
    if (r->index_file.file != NULL) file_use_end(&r->index_file);
    if (r->index.mem != NULL) index_deinit(&r->index);
    CHECK(r->p->repairs > 0 && reader->pending_ops > 0);
    r->p->repairs--;
    partition_repair_ended(r->p);
    r->use = NULL;
    r->p = NULL;
    give_back(r);
    if (--reader->pending_ops == 0 && reader->waiting) task_wake(reader);
    return REPAIR_NEXT;
}

#define ENDS STAGE_BIT(REPAIR_END)

static const struct stage repair_stages[] = {
    [REPAIR_NEXT] = {"next", repair_next, STAGE_BIT(REPAIR_OPENED) | ENDS},
    [REPAIR_OPENED] = {"opened", repair_opened, STAGE_BIT(REPAIR_LOOKED) | ENDS},
    [REPAIR_LOOKED] = {"looked", repair_looked, STAGE_BIT(REPAIR_LOOKED) | STAGE_BIT(REPAIR_READ) | ENDS},
    [REPAIR_READ] = {"read", repair_read, STAGE_BIT(REPAIR_FEED) | ENDS},
    [REPAIR_FEED] = {"feed", repair_feed, STAGE_BIT(REPAIR_READ) | STAGE_BIT(REPAIR_WRITTEN) | ENDS},
    [REPAIR_WRITTEN] = {"written", repair_written, STAGE_BIT(REPAIR_READ) | ENDS},
    [REPAIR_END] = {"end", repair_end, STAGE_BIT(REPAIR_NEXT)},
};

static const struct flow repair_flow = {"index repair", repair_stages, COUNT_OF(repair_stages)};

// SPDX-License-Identifier: Apache-2.0
/* ListOffsets by time. The earliest and the latest offset are known; what must be searched goes by time_search.h:
 *
 *   segment   the next one that may hold the answer; its .lidx is opened
 *   pages     16 index pages at a time
 *   scan      their entries are told to the search; a page that fails its check is made anew first (index_repair.c)
 *   memory    then the entries that the index builder holds, then the batches that are in memory only
 *   pick      the granule that may hold the answer is read, 64 KiB at a time
 *   batches   its batches are searched, record by record; then another pass, or the next segment
 *
 * The question is answered as of its moment: one snapshot of log start and high watermark. Failure modes: a segment
 * that retention took away meanwhile, or a log start that moved: the search begins anew. DAMAGED, IO_ERROR as for a
 * read; BUSY: no memory, or things moved too often. A lookup keeps the partition alive (readers). */
#include "storage/time_search.h"

#include "base/bytes.h"
#include "storage/index_repair.h"
#include "storage/mover.h"
#include "storage/store_impl.h"

#define PAGES_AT_ONCE 16u
#define READ_BYTES    INDEX_BLOCK_BYTES
#define BEGINS_MAX    8u
#define PASSES_MAX    100000u /* bounds that are too high cost a pass each: out of reach for a sound log */

enum look_stage { LOOK_SEGMENT, LOOK_PAGES, LOOK_SCAN, LOOK_REPAIRED, LOOK_MEMORY, LOOK_PICK, LOOK_BATCHES, LOOK_END };
enum { TIME_LATEST = -1, TIME_EARLIEST = -2, TIME_LARGEST = -3 };

struct lookup {
    struct task task;
    struct partition *p;
    struct partition_lookup *op;
    struct time_search search;
    struct segment segment;
    bool fresh;          /* only its base is known yet */
    int64_t segment_end; /* offset */
    struct file_use index;
    struct transfer io;
    uint8_t *pages; /* PAGES_AT_ONCE */
    uint32_t page, page_count;
    int64_t told;       /* first offset of the last granule of this pass */
    uint64_t moved_pos; /* when this segment's granules were told first */
    int64_t at, end;    /* offsets being read */
    uint32_t begins, passes;
    struct repair_use repair;
    uint32_t repaired; /* page + 1 of the last repair in this segment */
    struct partition_read read;
};

static struct lookup *lookup_of(struct task *t)
{
    return container_of(t, struct lookup, task);
}

static int finish(struct lookup *k, enum status status)
{
    k->op->status = status;
    return LOOK_END;
}

static void search_begin(struct lookup *k, int64_t to)
{
    const struct partition *p = k->p;
    bool largest = k->search.largest;
    int64_t from_ms = k->search.from_ms;
    time_search_init(&k->search, largest, from_ms, MIN(p->log_start_durable, to), to, partition_active(p));
}

/* What was looked at is gone. */
static int begin_anew(struct lookup *k)
{
    if (++k->begins == BEGINS_MAX) return finish(k, STATUS_BUSY);
    search_begin(k, k->search.to);
    return LOOK_SEGMENT;
}

/* Notes the segment as it is now; false: retention took it, or compaction put another in its place. */
static bool segment_there(struct lookup *k)
{
    struct partition *p = k->p;
    const struct segment *s = partition_segment_of(p, k->segment.base);
    if (s->base != k->segment.base || (!k->fresh && s->generation != k->segment.generation)) return false;
    k->fresh = false;
    k->segment = *s;
    k->segment_end = s == partition_active(p) ? INT64_MAX : s[1].base;
    return true;
}

static int pass_begin(struct lookup *k)
{
    if (++k->passes > PASSES_MAX) return finish(k, STATUS_BUSY);
    if (k->p->moved_pos != k->moved_pos) time_search_forget_key(&k->search);
    k->moved_pos = k->p->moved_pos;
    k->page = 0;
    k->told = -1;
    time_search_pass(&k->search);
    return LOOK_PAGES;
}

static int look_segment(struct task *t)
{
    struct lookup *k = lookup_of(t);
    struct partition *p = k->p;
    uint32_t i;
    file_use_end(&k->index);
    k->index.status = STATUS_OK;
    k->repaired = 0;
    if (p->deleting) return finish(k, STATUS_NOT_LEADER);
    if (time_search_over(&k->search) || !time_search_segment(&k->search, p->segments, p->segment_count, &i))
        return finish(k, STATUS_OK);
    k->segment.base = p->segments[i].base;
    k->fresh = true;
    CHECK(segment_there(k));
    return pass_begin(k);
}

static int open_index(struct lookup *k)
{
    struct partition *p = k->p;
    struct path dir;
    partition_dir(p, &dir);
    struct file_key key = partition_file_key(p, k->segment.base, FILE_INDEX);
    enum status status = file_use_begin(p->store->files, &k->index, &k->task, dir.s, &key, false);
    if (status != STATUS_OK) return finish(k, STATUS_BUSY);
    return k->task.pending_ops > 0 ? STAGE_WAIT(LOOK_PAGES) : LOOK_PAGES;
}

/* The page that is to be told next. */
static int repair(struct lookup *k)
{
    if (k->repaired == k->page + 1) return finish(k, STATUS_DAMAGED);
    k->repaired = k->page + 1;
    index_repair(k->p->store->repairer, &k->repair, &k->task, k->p, k->segment.base, k->page);
    return STAGE_WAIT(LOOK_REPAIRED);
}

static int look_repaired(struct task *t)
{
    struct lookup *k = lookup_of(t);
    if (k->repair.status != STATUS_OK) return finish(k, k->repair.status);
    k->index.status = STATUS_OK;
    return LOOK_PAGES;
}

static int look_pages(struct task *t)
{
    struct lookup *k = lookup_of(t);
    struct mem *m = k->p->store->env->mem;
    if (!segment_there(k)) return begin_anew(k);
    uint32_t in_file = segment_pages_in_file(k->p, &k->segment);
    if (k->page >= in_file || time_search_pass_over(&k->search)) return LOOK_MEMORY;
    if (k->index.status == STATUS_NOT_FOUND) return repair(k);
    if (k->index.status != STATUS_OK) return finish(k, k->index.status);
    if (k->index.file == NULL) return open_index(k);
    if (k->pages == NULL) k->pages = mem_alloc_aligned(m, MEM_FETCH, PAGES_AT_ONCE * BLOCK_BYTES);
    if (k->pages == NULL) return finish(k, STATUS_BUSY);
    k->page_count = MIN(in_file - k->page, PAGES_AT_ONCE);
    transfer_start(k->p->store->env, &k->io, t, IO_READ, k->index.file->handle, k->pages, k->page_count * BLOCK_BYTES,
                   (uint64_t)k->page * BLOCK_BYTES, 0);
    return STAGE_WAIT(LOOK_SCAN);
}

/* False: the index contradicts itself. */
static bool tell(struct lookup *k, int64_t first_offset, int64_t max_ms)
{
    if (first_offset >= k->search.to) return true; /* of no interest, and a cut may have made it stale */
    if (first_offset <= k->told || first_offset >= k->segment_end) return false;
    k->told = first_offset;
    time_search_granule(&k->search, &(struct granule){.first_offset = first_offset, .max_ms = max_ms});
    return true;
}

static bool tell_entry(struct lookup *k, const struct index_entry *e)
{
    return e->first_pos == INDEX_NO_BATCH || tell(k, e->first_offset, e->max_timestamp_ms);
}

static int look_scan(struct task *t)
{
    struct lookup *k = lookup_of(t);
    const struct partition *p = k->p;
    if (k->io.status != STATUS_OK) return finish(k, k->io.status);
    if (!segment_there(k)) return begin_anew(k);
    for (uint32_t i = 0; i < k->page_count && !time_search_pass_over(&k->search); i++) {
        const uint8_t *page = k->pages + (size_t)i * BLOCK_BYTES;
        if (k->io.moved < (i + 1) * BLOCK_BYTES ||
            index_page_verify(page, p->id, p->number, k->segment.base, k->page) != STATUS_OK)
            return repair(k);
        for (uint32_t n = 0; n < index_page_count(page); n++) {
            struct index_entry e;
            index_page_entry(page, n, &e);
            if (!tell_entry(k, &e)) return finish(k, STATUS_DAMAGED);
        }
        k->page++;
    }
    return LOOK_PAGES;
}

static bool tell_builder(struct lookup *k)
{
    const struct index *x = &k->p->index;
    struct index_entry e;
    if (x->segment_base != k->segment.base) return true;
    for (uint64_t block = (uint64_t)x->page * INDEX_PAGE_ENTRIES; index_find(x, block, &e); block++)
        if (!tell_entry(k, &e)) return false;
    return true;
}

/* A batch that began in moved bytes is told by its block. */
static bool tell_refs(struct lookup *k)
{
    const struct partition *p = k->p;
    uint64_t from = MAX(p->moved_pos, k->segment.start);
    uint64_t end = k->segment_end == INT64_MAX ? UINT64_MAX : k->segment.start + k->segment.length;
    uint32_t i = p->ref_count == 0 ? 0 : refs_find_pos(p, from);
    for (; i < p->ref_count && ref_at(p, i)->pos < end; i++) {
        const struct ref *r = ref_at(p, i);
        if (r->pos < from || !r->whole) continue;
        if (!tell(k, r->base_offset, r->max_timestamp_ms)) return false;
    }
    return true;
}

/* One step: nothing moves between the builder's part and the memory's. */
static int look_memory(struct task *t)
{
    struct lookup *k = lookup_of(t);
    if (!time_search_pass_over(&k->search)) {
        uint32_t in_file = segment_pages_in_file(k->p, &k->segment);
        if (k->page < in_file) return LOOK_PAGES;
        if (k->page > in_file) return pass_begin(k); /* the log was cut: the builder went back */
        if (!tell_builder(k) || !tell_refs(k)) return finish(k, STATUS_DAMAGED);
    }
    if (!time_search_pick(&k->search, k->segment_end, &k->at, &k->end)) return LOOK_SEGMENT;
    return LOOK_PICK;
}

static void has_read(struct partition_read *op)
{
    struct lookup *k = container_of(op, struct lookup, read);
    task_wake(&k->task);
}

static int look_pick(struct task *t)
{
    struct lookup *k = lookup_of(t);
    CHECK(k->at < k->end && k->end <= k->search.to);
    k->read.done = has_read;
    partition_read(k->p, k->at, READ_BYTES, &k->read);
    return STAGE_WAIT(LOOK_BATCHES);
}

static enum status search_slice(struct lookup *k, const uint8_t *at, uint32_t left)
{
    struct mem *m = k->p->store->env->mem;
    while (left > 0 && !time_search_over(&k->search)) {
        struct batch_info info;
        struct batch_time_query query;
        struct batch_time found;
        enum status status = batch_parse(at, left, &info);
        if (status != STATUS_OK) return STATUS_DAMAGED; /* a read hands out whole batches */
        if (time_search_wants(&k->search, &info, &query)) {
            status = batch_time_find(at, &info, &query, m, &found);
            if (status == STATUS_OK) time_search_found(&k->search, &found, info.leader_epoch);
            if (status != STATUS_OK && status != STATUS_NOT_FOUND) return status;
        }
        k->at = batch_next_offset(&info);
        at += info.size_bytes;
        left -= info.size_bytes;
    }
    return STATUS_OK;
}

static int look_batches(struct task *t)
{
    struct lookup *k = lookup_of(t);
    enum status status = k->read.status;
    if (status == STATUS_OFFSET_OUT_OF_RANGE) return begin_anew(k);
    if (status == STATUS_OK && k->read.slice_count == 0)
        status = STATUS_DAMAGED; /* below the watermark there are some */
    for (uint32_t i = 0; i < k->read.slice_count && status == STATUS_OK; i++)
        status = search_slice(k, slice_data(k->read.slices[i]), k->read.slices[i].len);
    partition_read_release(&k->read);
    if (status == STATUS_NO_MEMORY) status = STATUS_BUSY;
    if (status != STATUS_OK) return finish(k, status);
    if (time_search_over(&k->search)) return finish(k, STATUS_OK);
    if (k->at < k->end) return LOOK_PICK;
    time_search_read(&k->search);
    if (!segment_there(k)) return begin_anew(k);
    return pass_begin(k);
}

static int look_end(struct task *t)
{
    struct lookup *k = lookup_of(t);
    struct partition *p = k->p;
    struct partition_lookup *op = k->op;
    struct mem *m = p->store->env->mem;
    file_use_end(&k->index);
    if (op->status == STATUS_OK && k->search.found) {
        op->offset = k->search.best.offset;
        op->timestamp_ms = k->search.best.timestamp_ms;
        op->epoch = k->search.epoch;
    }
    if (k->pages != NULL) mem_free_aligned(m, MEM_FETCH, k->pages, PAGES_AT_ONCE * BLOCK_BYTES);
    mem_free(m, MEM_FETCH, k, sizeof *k);
    CHECK(p->readers > 0);
    p->readers--;
    op->done(op);
    return STAGE_DONE;
}

#define ENDS STAGE_BIT(LOOK_END)

static const struct stage look_stages[] = {
    [LOOK_SEGMENT] = {"segment", look_segment, STAGE_BIT(LOOK_PAGES) | ENDS},
    [LOOK_PAGES] = {"pages", look_pages,
                    STAGE_BIT(LOOK_PAGES) | STAGE_BIT(LOOK_SCAN) | STAGE_BIT(LOOK_REPAIRED) | STAGE_BIT(LOOK_MEMORY) |
                        STAGE_BIT(LOOK_SEGMENT) | ENDS},
    [LOOK_SCAN] = {"scan", look_scan,
                   STAGE_BIT(LOOK_PAGES) | STAGE_BIT(LOOK_REPAIRED) | STAGE_BIT(LOOK_SEGMENT) | ENDS},
    [LOOK_REPAIRED] = {"repaired", look_repaired, STAGE_BIT(LOOK_PAGES) | ENDS},
    [LOOK_MEMORY] = {"memory", look_memory,
                     STAGE_BIT(LOOK_PAGES) | STAGE_BIT(LOOK_PICK) | STAGE_BIT(LOOK_SEGMENT) | ENDS},
    [LOOK_PICK] = {"pick", look_pick, STAGE_BIT(LOOK_BATCHES)},
    [LOOK_BATCHES] = {"batches", look_batches,
                      STAGE_BIT(LOOK_PICK) | STAGE_BIT(LOOK_PAGES) | STAGE_BIT(LOOK_SEGMENT) | ENDS},
    [LOOK_END] = {"end", look_end, 0},
};

static const struct flow look_flow = {"lookup", look_stages, COUNT_OF(look_stages)};

/* --- what needs no search --- */

static void answered(struct commit_waiter *w, enum status status)
{
    struct partition_lookup *op = container_of(w, struct partition_lookup, waiter);
    op->done(op);
}

/* In the next turn. */
static void answer(struct partition *p, struct partition_lookup *op, enum status status)
{
    op->status = status;
    op->waiter = (struct commit_waiter){.durable = answered};
    store_refuse(p->store, &op->waiter);
}

void partition_lookup_time(struct partition *p, int64_t time_ms, struct partition_lookup *op)
{
    op->offset = op->timestamp_ms = op->epoch = -1;
    if (time_ms == TIME_LATEST || time_ms == TIME_EARLIEST) {
        op->offset = time_ms == TIME_LATEST ? p->high_watermark : p->log_start_durable;
        op->epoch = time_ms == TIME_LATEST ? p->epoch : partition_epoch_of(p, op->offset);
        answer(p, op, STATUS_OK);
        return;
    }
    if (time_ms < 0 && time_ms != TIME_LARGEST) {
        answer(p, op, STATUS_UNSUPPORTED);
        return;
    }
    struct lookup *k = mem_zalloc(p->store->env->mem, MEM_FETCH, sizeof *k);
    if (k == NULL) {
        answer(p, op, STATUS_BUSY);
        return;
    }
    k->p = p;
    k->op = op;
    k->search.largest = time_ms == TIME_LARGEST;
    k->search.from_ms = MAX(time_ms, 0);
    search_begin(k, p->high_watermark);
    p->readers++;
    task_start(p->store->env->runner, &k->task, &look_flow, LOOK_SEGMENT);
}

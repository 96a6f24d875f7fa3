// SPDX-License-Identifier: Apache-2.0
/* The flow of one move:
 *
 *   (dir ...)  first move of a partition in this run: its directory is checked or made (directory.c)
 *   open       the segment file and its index file
 *   allocate   space for it and what follows, where there is none
 *   write      the piece, aligned to 4 KiB; padded only where it ends its segment
 *   index      the bytes go through the index builder and moved_pos advances; their journal groups are given back
 *   page       a full index page, or the last one of the segment, is written
 *   trim       end of segment: cut both files to their exact length
 *   finish     a closed segment's successor gets the index builder
 *
 * A preparation goes the same way, as far as `allocate`: directory and file are there before bytes must move.
 *
 * Failure modes: no space or no descriptors: the stage is run again in a while, the bytes stay pinned. Any other error
 * fences the disk. Crash order: nothing here is durable by itself; the next checkpoint syncs the files before a table
 * says that the bytes are moved, and only then is their journal space freed. */
#include "storage/move.h"

#include "base/bytes.h"

#define ALLOCATE_FIRST_BYTES (64ull << 10)
#define ALLOCATE_STEP_BYTES  (16ull << 20)
#define ALLOCATE_WHOLE_BYTES (4ull << 20)
#define AGAIN_NS             (200 * NS_PER_MS)

static void again_fire(struct timer *timer)
{
    struct move *m = container_of(timer, struct move, again);
    task_wake(&m->task);
}

/* Somebody waits for its end who must not wait for space: a clean stop, a truncation (A10). */
static bool move_unwanted(const struct move *m)
{
    return m->p->store->closing || !list_empty(&m->p->truncations);
}

bool move_again(struct move *m, enum status status)
{
    if (status != STATUS_NO_SPACE && status != STATUS_TOO_MANY_FILES && status != STATUS_NO_MEMORY) return false;
    if (store_fenced(m->p->store) || move_unwanted(m)) return false;
    m->again.fire = again_fire;
    env_timer_start(m->p->store->env, &m->again, mono_add(m->p->store->env->now, AGAIN_NS));
    return true;
}

int move_failed(struct move *m, enum status status, const char *what)
{
    struct store *s = m->p->store;
    m->gave_up = true;
    bool passes = status == STATUS_NO_SPACE || status == STATUS_TOO_MANY_FILES || status == STATUS_NO_MEMORY;
    if (passes && move_unwanted(m)) {
        s->unmovable |= s->closing; /* the journal keeps the bytes */
        return MOVE_FINISH;
    }
    STORE_LOG(m->p->store, LOG_ERROR, "segment.failed", LOG_STR("topic", m->p->topic),
              LOG_INT("partition", m->p->number), LOG_STR("what", what), LOG_STATUS("status", status));
    journal_fail(m->p->store->journal);
    return MOVE_FINISH;
}

/* Most pieces end inside an index page: their .lidx is not touched. */
static bool needs_index(const struct move *m)
{
    uint64_t page_bytes = (uint64_t)INDEX_PAGE_ENTRIES * INDEX_BLOCK_BYTES;
    return !m->copy && !m->prepares &&
           (m->closes || index_page_full(&m->p->index) || (m->to - m->segment.start) % page_bytes == 0);
}

static int move_open(struct task *t)
{
    struct move *m = container_of(t, struct move, task);
    struct store *s = m->p->store;
    struct file_key log = partition_file_key(m->p, m->segment.base, FILE_LOG);
    struct file_key index = partition_file_key(m->p, m->segment.base, FILE_INDEX);
    enum status status = STATUS_OK;
    if (m->log.file == NULL) status = file_use_begin(s->files, &m->log, t, m->dir.s, &log, true);
    if (status == STATUS_OK && m->index.file == NULL && needs_index(m))
        m->index.status = status = file_use_begin(s->files, &m->index, t, m->dir.s, &index, true);
    if (status != STATUS_OK && t->pending_ops == 0)
        return move_again(m, status) ? STAGE_WAIT(MOVE_OPEN) : move_failed(m, status, "open");
    return t->pending_ops > 0 ? STAGE_WAIT(MOVE_WRITE) : MOVE_WRITE;
}

/* Space ahead of the bytes, in growing steps: a write that extends its file is carried out by a kernel worker, and few
 * extents stay in the inode, where a power cut on a file system without journal cannot tear their list. A small segment
 * is reserved whole. What is too much is cut off when the segment ends and at a clean stop. */
static int move_allocate(struct task *t)
{
    struct move *m = container_of(t, struct move, task);
    const struct partition_settings *c = &m->p->settings;
    uint64_t from = m->from - m->segment.start, need = from + align_up(m->to - m->from, BLOCK_BYTES);
    uint64_t step = c->segment_bytes <= ALLOCATE_WHOLE_BYTES ? c->segment_bytes : MAX(from, ALLOCATE_FIRST_BYTES);
    uint64_t end = MIN(from + MIN(step, ALLOCATE_STEP_BYTES), m->segment.length);
    end = MAX(align_up(end, BLOCK_BYTES), need);
    m->allocating = end;
    m->op = (struct io_op){
        .kind = IO_ALLOCATE, .task = t, .file = m->log.file->handle, .pos = from, .len = (uint32_t)(end - from)};
    env_submit(m->p->store->env, &m->op);
    return STAGE_WAIT(MOVE_ALLOCATED);
}

static int move_allocated(struct task *t)
{
    struct move *m = container_of(t, struct move, task);
    enum status status = m->op.status;
    m->op.status = STATUS_OK;
    if (status != STATUS_OK && status != STATUS_UNSUPPORTED)
        return move_again(m, status) ? STAGE_WAIT(MOVE_WRITE) : move_failed(m, status, "allocate");
    m->p->allocated = status == STATUS_OK ? m->allocating : UINT64_MAX;
    m->p->untrimmed = true;
    return MOVE_WRITE;
}

static int move_write(struct task *t)
{
    struct move *m = container_of(t, struct move, task);
    struct store *s = m->p->store;
    if (m->log.file == NULL || (m->index.file == NULL && needs_index(m))) {
        enum status status = m->log.file == NULL ? m->log.status : m->index.status;
        return move_again(m, status) ? STAGE_WAIT(MOVE_OPEN) : move_failed(m, status, "open");
    }
    uint64_t len = m->to - m->from, padded = align_up(len, BLOCK_BYTES);
    if (m->prepares) return m->p->allocated == 0 ? MOVE_ALLOCATE : MOVE_FINISH;
    if (len == 0) return MOVE_INDEX;
    if (!m->copy && m->from - m->segment.start + padded > m->p->allocated) return MOVE_ALLOCATE;
    CHECK(padded <= m->staging_bytes);
    refs_copy(m->p, m->from, len, m->staging);
    memset(m->staging + len, 0, padded - len);
    if (m->from == m->segment.start) partition_dir_dirty(m->p);
    file_dirty(m->log.file);
    transfer_start(s->env, &m->write, t, IO_WRITE, m->log.file->handle, m->staging, (uint32_t)padded,
                   m->from - m->segment.start, 0);
    return STAGE_WAIT(MOVE_INDEX);
}

/* Block by block: tells the index builder which batches begin in it, then gives it the bytes. */
static void feed_index(struct move *m)
{
    struct partition *p = m->p;
    uint32_t i = refs_find_pos(p, m->from);
    uint64_t at = m->from;
    while (at < m->to) {
        uint64_t in_segment = at - m->segment.start;
        uint64_t end = MIN(m->to, at + INDEX_BLOCK_BYTES - in_segment % INDEX_BLOCK_BYTES);
        for (; i < p->ref_count && ref_at(p, i)->pos < end; i++) {
            const struct ref *r = ref_at(p, i);
            if (r->whole && r->pos >= at)
                index_batch(&p->index, r->pos - m->segment.start, r->base_offset, r->max_timestamp_ms);
        }
        uint32_t taken = index_feed(&p->index, m->staging + (at - m->from), (uint32_t)(end - at));
        CHECK(taken == end - at);
        at = end;
    }
}

/* The bytes are in the file. Index and moved_pos advance in one step: a table taken at any time shows both or none. */
static void advance(struct move *m)
{
    struct partition *p = m->p;
    feed_index(m);
    file_dirty(
        m->log.file); /* again, in this step: a checkpoint may have synced it while the write was in flight (A1) */
    p->moved_pos = m->to;
    p->store->count.moves += m->to > m->from;
    p->store->count.moved_bytes += m->to - m->from;
    refs_release_below(p, p->moved_pos);
    partition_touch(p);
}

static int move_index(struct task *t)
{
    struct move *m = container_of(t, struct move, task);
    struct partition *p = m->p;
    if (m->to > m->from && m->write.status != STATUS_OK)
        return move_again(m, m->write.status) ? STAGE_WAIT(MOVE_WRITE) : move_failed(m, m->write.status, "write");
    if (m->copy) return MOVE_TRIM;
    enum status status = index_reserve_bytes(&p->index, m->to - m->from);
    if (status != STATUS_OK) return move_again(m, status) ? STAGE_WAIT(MOVE_INDEX) : move_failed(m, status, "index");
    advance(m);
    bool write = index_page_full(&p->index) || m->closes;
    return write && index_page(&p->index, m->page, &m->page_number) ? MOVE_PAGE : MOVE_TRIM;
}

static int move_page(struct task *t)
{
    struct move *m = container_of(t, struct move, task);
    file_dirty(m->index.file);
    partition_dir_dirty(m->p); /* its name may be new */
    m->index_page = m->index_written = true;
    transfer_start(m->p->store->env, &m->write, t, IO_WRITE, m->index.file->handle, m->page, BLOCK_BYTES,
                   (uint64_t)m->page_number * BLOCK_BYTES, 0);
    return STAGE_WAIT(MOVE_TRIM);
}

static int move_trim(struct task *t)
{
    struct move *m = container_of(t, struct move, task);
    struct env *e = m->p->store->env;
    if (m->index_page && m->write.status != STATUS_OK)
        return move_again(m, m->write.status) ? STAGE_WAIT(MOVE_PAGE) : move_failed(m, m->write.status, "index write");
    if (index_page_full(&m->p->index) && m->index_page) index_page_taken(&m->p->index);
    m->index_page = false;
    if (!m->closes && !m->copy) return MOVE_FINISH;
    m->op =
        (struct io_op){.kind = IO_TRUNCATE, .task = t, .file = m->log.file->handle, .pos = m->to - m->segment.start};
    file_dirty(m->log.file);
    env_submit(e, &m->op);
    if (m->copy) return STAGE_WAIT(MOVE_FINISH);
    uint64_t blocks = (m->to - m->segment.start + INDEX_BLOCK_BYTES - 1) / INDEX_BLOCK_BYTES;
    uint64_t pages = (blocks + INDEX_PAGE_ENTRIES - 1) / INDEX_PAGE_ENTRIES;
    m->op2 = (struct io_op){.kind = IO_TRUNCATE, .task = t, .file = m->index.file->handle, .pos = pages * BLOCK_BYTES};
    file_dirty(m->index.file);
    env_submit(e, &m->op2);
    return STAGE_WAIT(MOVE_FINISH);
}

/* The segment is closed on disk: the builder goes on with the next. */
static void settle(struct move *m)
{
    struct partition *p = m->p;
    if (m->closes) {
        struct segment *closed = partition_segment_of(p, m->segment.base);
        CHECK(closed->base == m->segment.base);
        index_reset(&p->index, closed[1].base);
        p->allocated = 0;
    }
    partition_touch(p);
}

static int move_finish(struct task *t)
{
    struct move *m = container_of(t, struct move, task);
    struct partition *p = m->p;
    struct store *s = p->store;
    struct task *parent = m->parent;
    if ((m->op.status != STATUS_OK || m->op2.status != STATUS_OK) && !store_fenced(s)) journal_fail(s->journal);
    m->op.status = m->op2.status = STATUS_OK;
    /* again, as in advance: the page and the cuts */
    if (m->log.file != NULL && !m->prepares) file_dirty(m->log.file);
    if (m->index.file != NULL && (m->index_written || m->closes)) file_dirty(m->index.file);
    m->index_written = false;
    file_use_end(&m->log);
    file_use_end(&m->index);
    if (!store_fenced(s) && !m->copy && !m->prepares && !m->gave_up) settle(m);
    if (m->names != NULL) mem_free(s->env->mem, MEM_LOG, m->names, m->names_bytes);
    m->names = NULL;
    mover_ended(m);
    if (parent != NULL && --parent->pending_ops == 0 && parent->waiting) task_wake(parent);
    partition_move_ended(p);
    mover_look(p);
    return STAGE_DONE;
}

static const struct stage move_stages[MOVE_STAGES] = {
    [MOVE_DIR_STAT] = {"dir stat", move_dir_stat, STAGE_BIT(MOVE_DIR_READ)},
    [MOVE_DIR_READ] = {"dir read", move_dir_read,
                       STAGE_BIT(MOVE_DIR_CHECK) | STAGE_BIT(MOVE_DIR_MAKE) | STAGE_BIT(MOVE_FINISH)},
    [MOVE_DIR_CHECK] = {"dir check", move_dir_check,
                        STAGE_BIT(MOVE_DIR_QUARANTINE) | STAGE_BIT(MOVE_DIR_LIST) | STAGE_BIT(MOVE_FINISH)},
    [MOVE_DIR_QUARANTINE] = {"dir quarantine", move_dir_quarantine, STAGE_BIT(MOVE_DIR_MAKE) | STAGE_BIT(MOVE_FINISH)},
    [MOVE_DIR_MAKE] = {"dir make", move_dir_make,
                       STAGE_BIT(MOVE_DIR_MAKE) | STAGE_BIT(MOVE_DIR_WRITE) | STAGE_BIT(MOVE_FINISH)},
    [MOVE_DIR_WRITE] = {"dir write", move_dir_write,
                        STAGE_BIT(MOVE_DIR_MADE) | STAGE_BIT(MOVE_DIR_MAKE) | STAGE_BIT(MOVE_DIR_QUARANTINE) |
                            STAGE_BIT(MOVE_DIR_STAT) | STAGE_BIT(MOVE_FINISH)},
    [MOVE_DIR_MADE] = {"dir made", move_dir_made,
                       STAGE_BIT(MOVE_OPEN) | STAGE_BIT(MOVE_DIR_WRITE) | STAGE_BIT(MOVE_FINISH)},
    [MOVE_DIR_LIST] = {"dir list", move_dir_list,
                       STAGE_BIT(MOVE_DIR_STAT) | STAGE_BIT(MOVE_DIR_FOREIGN) | STAGE_BIT(MOVE_DIR_LIST) |
                           STAGE_BIT(MOVE_FINISH)},
    [MOVE_DIR_FOREIGN] = {"dir foreign", move_dir_foreign,
                          STAGE_BIT(MOVE_DIR_FOREIGN) | STAGE_BIT(MOVE_DIR_LIST) | STAGE_BIT(MOVE_OPEN) |
                              STAGE_BIT(MOVE_FINISH)},
    [MOVE_OPEN] = {"open", move_open, STAGE_BIT(MOVE_OPEN) | STAGE_BIT(MOVE_WRITE) | STAGE_BIT(MOVE_FINISH)},
    [MOVE_ALLOCATE] = {"allocate", move_allocate, STAGE_BIT(MOVE_ALLOCATED)},
    [MOVE_ALLOCATED] = {"allocated", move_allocated, STAGE_BIT(MOVE_WRITE) | STAGE_BIT(MOVE_FINISH)},
    [MOVE_WRITE] = {"write", move_write,
                    STAGE_BIT(MOVE_ALLOCATE) | STAGE_BIT(MOVE_OPEN) | STAGE_BIT(MOVE_INDEX) | STAGE_BIT(MOVE_FINISH)},
    [MOVE_INDEX] = {"index", move_index,
                    STAGE_BIT(MOVE_WRITE) | STAGE_BIT(MOVE_INDEX) | STAGE_BIT(MOVE_PAGE) | STAGE_BIT(MOVE_TRIM) |
                        STAGE_BIT(MOVE_FINISH)},
    [MOVE_PAGE] = {"page", move_page, STAGE_BIT(MOVE_TRIM)},
    [MOVE_TRIM] = {"trim", move_trim, STAGE_BIT(MOVE_PAGE) | STAGE_BIT(MOVE_FINISH)},
    [MOVE_FINISH] = {"finish", move_finish, 0},
};

const struct flow move_flow = {"move", move_stages, MOVE_STAGES};

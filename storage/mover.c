// SPDX-License-Identifier: Apache-2.0
/* What is moved when, and the slots that moves run in (move.c).
 *
 * Larger pieces cost less, and waiting makes them larger, so bytes wait as long as the ring can hold them:
 *
 *   aged  the partition's oldest byte that only the ring holds is further behind the head than the ring can bear: the
 *         oldest first, at any size, because they alone keep the ring's end from following
 *   due   a piece of the configured size, a segment to close, an index page to write: as they come
 *   bare  a partition with something to move, but without a directory: directory and file are made ahead, a few at a
 *         time, so that many new partitions do not all make theirs when the ring is nearly full
 *
 * Only so many bytes are in flight, for the journal's writes stand in the same queue of the disk.
 *
 * Failure modes: no memory for a piece: some staging is always there, the rest waits. The others are in move.c. */
#include "storage/mover.h"

#include "storage/move.h"
#include "storage/unlinker.h"

#include "base/bytes.h"

#define STAGINGS         4          /* pieces that need no memory from the pools (rule D8: memory is full then) */
#define FLIGHT_BYTES     (4u << 20) /* 2 ms of a disk that writes 2 GB/s */
#define PREPARATIONS_MAX 16u
#define LOOKS_MAX        128u /* partitions whose files are being unlinked, in the way of a turn */

struct mover {
    struct store *store;
    struct list free;
    uint8_t *staging[STAGINGS]; /* those not in use */
    uint32_t staging_count;
    uint32_t active, preparing;
    uint64_t flight_bytes;
    bool force;
    struct mover_counters counters;
    struct move moves[MOVES_MAX];
};

struct mover *mover_create(struct store *s)
{
    struct mem *mem = s->env->mem;
    struct mover *mv = mem_zalloc(mem, MEM_LOG, sizeof *mv);
    if (mv == NULL) return NULL;
    mv->store = s;
    list_init(&mv->free);
    bool good = true;
    for (int i = 0; i < MOVES_MAX; i++) {
        struct move *m = &mv->moves[i];
        m->mover = mv;
        m->page = mem_alloc_aligned(mem, MEM_LOG, BLOCK_BYTES);
        good &= m->page != NULL;
        list_push_back(&mv->free, &m->in_free);
    }
    while (good && mv->staging_count < STAGINGS) {
        mv->staging[mv->staging_count] = mem_alloc_aligned(mem, MEM_LOG, MOVE_PIECE_BYTES);
        good = mv->staging[mv->staging_count] != NULL;
        mv->staging_count += good;
    }
    if (good) return mv;
    mover_destroy(mv);
    return NULL;
}

void mover_destroy(struct mover *mv)
{
    struct mem *mem = mv->store->env->mem;
    CHECK(mv->active == 0);
    while (mv->staging_count > 0) mem_free_aligned(mem, MEM_LOG, mv->staging[--mv->staging_count], MOVE_PIECE_BYTES);
    for (int i = 0; i < MOVES_MAX; i++)
        if (mv->moves[i].page != NULL) mem_free_aligned(mem, MEM_LOG, mv->moves[i].page, BLOCK_BYTES);
    mem_free(mem, MEM_LOG, mv, sizeof *mv);
}

bool mover_idle(const struct mover *mv)
{
    return mv->active == 0;
}

const struct mover_counters *mover_counters(const struct mover *mv)
{
    return &mv->counters;
}

void partition_dir(const struct partition *p, struct path *ret_path)
{
    char name[NAME_BYTES_MAX];
    partition_dir_name(name, p->topic, p->id, p->number);
    path_set(ret_path, "%s/%s", p->store->dir.s, name);
}

void partition_dir_dirty(struct partition *p)
{
    if (!list_linked(&p->in_dirs)) list_push_back(&p->store->dirty_dirs, &p->in_dirs);
}

struct file_key partition_file_key(const struct partition *p, int64_t base, enum file_kind kind)
{
    const struct segment *s = partition_segment_of((struct partition *)(uintptr_t)p, base);
    return partition_generation_key(p, base, s->base == base ? s->generation : 0, kind);
}

struct file_key partition_generation_key(const struct partition *p, int64_t base, uint32_t generation,
                                         enum file_kind kind)
{
    return (struct file_key){.topic = p->id,
                             .creation = p->creation,
                             .base = base,
                             .partition = p->number,
                             .kind = (int32_t)kind,
                             .generation = generation};
}

/* --- what to move --- */

/* The segment that the next moved byte goes to: that of the index builder, also when it is full and only to be closed.
 */
static struct segment *moving_segment(struct partition *p)
{
    struct segment *s = partition_segment_of(p, p->index.segment_base);
    CHECK(s->base == p->index.segment_base && s->start <= p->moved_pos);
    return s;
}

static bool closing_segment(const struct partition *p)
{
    return p->index.segment_base != partition_active(p)->base;
}

static uint64_t movable_bytes(const struct partition *p)
{
    return p->durable_pos - p->moved_pos;
}

static bool is_due(struct partition *p)
{
    if (movable_bytes(p) >= p->store->config.piece_bytes || index_page_full(&p->index)) return true;
    if (closing_segment(p)) {
        const struct segment *s = moving_segment(p);
        return p->durable_pos >= s->start + s->length;
    }
    return p->deleting && movable_bytes(p) >= BLOCK_BYTES;
}

/* A new segment's file may have the name of one that is being unlinked: env promises no order between the two. */
static bool held_up(const struct partition *p)
{
    return p->move != NULL || p->truncating || p->held || unlinker_holds(p->store->unlinker, p);
}

static bool plan(struct partition *p, struct move *m)
{
    struct segment *s = moving_segment(p);
    bool closed = s->length != UINT64_MAX;
    uint64_t limit = MIN(p->durable_pos, p->moved_pos + MOVE_PIECE_BYTES - BLOCK_BYTES);
    uint64_t page_end = s->start + (uint64_t)(p->index.page + 1) * INDEX_PAGE_ENTRIES * INDEX_BLOCK_BYTES;
    limit = MIN(limit, page_end); /* a page becomes full at the end of a piece only */
    if (closed) limit = MIN(limit, s->start + s->length);
    m->closes = closed && limit == s->start + s->length;
    m->from = p->moved_pos;
    m->to = m->closes ? limit : s->start + align_down(limit - s->start, BLOCK_BYTES);
    m->segment = *s;
    if (index_page_full(&p->index)) m->to = m->from; /* its page comes first */
    m->closes &= !index_page_full(&p->index) || m->to == limit;
    return m->closes || m->to > m->from || index_page_full(&p->index);
}

void mover_look(struct partition *p)
{
    struct store *s = p->store;
    if (p->move != NULL || p->truncating || p->held) return;
    if (is_due(p)) {
        if (!list_linked(&p->in_due)) list_push_back(&s->due, &p->in_due);
    } else if (!p->dir_ready && movable_bytes(p) >= BLOCK_BYTES) {
        if (!list_linked(&p->in_bare)) list_push_back(&s->bare, &p->in_bare);
    }
}

void mover_carried(struct partition *p)
{
    if (list_linked(&p->in_aged)) list_remove(&p->in_aged);
}

/* Where the oldest of its bytes that only the ring holds stands; false: there are none. */
static bool ring_place_of(const struct partition *p, uint64_t *ret_place)
{
    uint32_t i = refs_find_pos(p, MAX(p->moved_pos, p->carried_pos));
    if (i == p->ref_count || !ref_at(p, i)->marked) return false;
    *ret_place = journal_place_of(p->store->journal, ref_at(p, i)->sequence);
    return true;
}

/* What the ring can bear. It holds the unmoved bytes, what was appended during the last two intervals between
 * checkpoints (space is freed one checkpoint late, rule A11) and during the newest checkpoint: 7/16, twice 1/8
 * (checkpoint.c), and the rest for the third. When it becomes tight all the same, a quarter; when appends are refused,
 * nothing. Unmoved bytes are pinned in memory, too. */
static uint64_t age_limit(const struct mover *mv)
{
    const struct journal *j = mv->store->journal;
    const struct mem *mem = mv->store->env->mem;
    uint64_t budget = mem_budget(mem, MEM_LOG);
    if (mv->force || journal_full(j) || mem_used(mem, MEM_LOG) > budget / 4 * 3) return 0;
    return MIN(journal_bytes(j) / 16 * (journal_tight(j) ? 4 : 7), budget / 4);
}

/* --- slots --- */

static bool take_staging(struct mover *mv, struct move *m)
{
    uint64_t bytes = align_up(m->to - m->from, BLOCK_BYTES);
    m->staging = m->page;
    m->staging_bytes = BLOCK_BYTES;
    if (bytes <= BLOCK_BYTES) return true;
    m->staging_bytes = MOVE_PIECE_BYTES;
    if (mv->staging_count > 0) {
        m->staging = mv->staging[--mv->staging_count];
        return true;
    }
    m->staging = mem_alloc_aligned(mv->store->env->mem, MEM_LOG, MOVE_PIECE_BYTES);
    return m->staging != NULL;
}

static void give_staging(struct mover *mv, struct move *m)
{
    if (m->staging == m->page) return;
    if (mv->staging_count < STAGINGS)
        mv->staging[mv->staging_count++] = m->staging;
    else
        mem_free_aligned(mv->store->env->mem, MEM_LOG, m->staging, MOVE_PIECE_BYTES);
}

/* m: from mv->free, with from, to, segment and closes set. False: no memory. */
static bool move_start(struct mover *mv, struct move *m, struct partition *p)
{
    if (!take_staging(mv, m)) return false;
    list_remove(&m->in_free);
    m->p = p;
    p->move = m;
    m->op = m->op2 = (struct io_op){0};
    m->gave_up = m->dir_looked_at = false;
    mv->active++;
    mv->preparing += m->prepares;
    mv->flight_bytes += m->to - m->from;
    if (list_linked(&p->in_due)) list_remove(&p->in_due);
    if (list_linked(&p->in_bare)) list_remove(&p->in_bare);
    if (!m->prepares && list_linked(&p->in_aged)) list_remove(&p->in_aged);
    mv->counters.flight_most = MAX(mv->counters.flight_most, mv->active);
    partition_dir(p, &m->dir);
    task_start(mv->store->env->runner, &m->task, &move_flow, p->dir_ready ? MOVE_OPEN : move_dir_first(m));
    return true;
}

void mover_ended(struct move *m)
{
    struct mover *mv = m->mover;
    struct partition *p = m->p;
    mv->counters.prepared += m->prepares;
    mv->active--;
    mv->preparing -= m->prepares;
    mv->flight_bytes -= m->to - m->from;
    give_staging(mv, m);
    m->p = NULL;
    m->parent = NULL;
    p->move = NULL;
    list_push_front(&mv->free, &m->in_free);
    uint64_t place;
    if (p->moved_pos == p->end_pos && list_linked(&p->in_unmoved) && !closing_segment(p)) list_remove(&p->in_unmoved);
    if (ring_place_of(p, &place)) age_queue_place(&mv->store->aged, &p->in_aged, place);
}

static struct move *free_slot(struct mover *mv)
{
    if (list_empty(&mv->free)) return NULL;
    return container_of(list_first(&mv->free), struct move, in_free);
}

/* False: nothing more can begin in this turn. */
static bool begin(struct mover *mv, struct partition *p, uint64_t *count)
{
    struct move *m = free_slot(mv);
    if (m == NULL || mv->flight_bytes >= FLIGHT_BYTES) return false;
    if (!plan(p, m)) return true;
    m->copy = m->prepares = false;
    if (!move_start(mv, m, p)) return false;
    ++*count;
    return true;
}

/* Those of one bucket; false: enough for this turn. Less than a block is carried by the next table. */
static bool begin_bucket(struct mover *mv, struct list *bucket, uint64_t upto)
{
    struct age_queue *q = &mv->store->aged;
    list_each (n, bucket) {
        struct partition *p = container_of(n, struct partition, in_aged);
        uint64_t place;
        if (held_up(p)) continue;
        if (movable_bytes(p) < BLOCK_BYTES && !is_due(p)) {
            if (p->durable_pos == p->end_pos) list_remove(n); /* the next append brings it back */
        } else if (!ring_place_of(p, &place)) {
            list_remove(n); /* carried, or cut */
        } else if (age_queue_later(q, place, upto)) {
            age_queue_place(q, n, place);
        } else if (!begin(mv, p, &mv->counters.aged)) {
            return false;
        }
    }
    return true;
}

static void begin_aged(struct mover *mv)
{
    struct age_queue *q = &mv->store->aged;
    uint64_t placed = mv->store->journal->placed, limit = age_limit(mv);
    if (placed < limit) return;
    uint64_t upto = placed - limit;
    struct list *bucket = age_queue_first(q, upto);
    while (bucket != NULL && begin_bucket(mv, bucket, upto)) bucket = age_queue_next(q, bucket, upto);
}

static void begin_due(struct mover *mv)
{
    unsigned looked = 0;
    list_each (n, &mv->store->due) {
        struct partition *p = container_of(n, struct partition, in_due);
        if (++looked > LOOKS_MAX) return;
        if (p->truncating || p->held || p->move != NULL || !is_due(p))
            list_remove(n); /* its end looks again */
        else if (!held_up(p) && !begin(mv, p, &mv->counters.due))
            return;
    }
}

static void begin_preparations(struct mover *mv)
{
    struct store *s = mv->store;
    struct move *m;
    if (!s->settled || s->closing || mv->force) return;
    while (!list_empty(&s->bare) && mv->preparing < PREPARATIONS_MAX && (m = free_slot(mv)) != NULL) {
        struct partition *p = container_of(list_pop_front(&s->bare), struct partition, in_bare);
        if (held_up(p) || p->dir_ready || !plan(p, m)) continue;
        m->to = m->from;
        m->closes = m->copy = false;
        m->prepares = true;
        (void)move_start(mv, m, p); /* needs no memory */
    }
}

void mover_turn(struct mover *mv)
{
    struct store *s = mv->store;
    if (store_fenced(s) || s->unmovable || s->hold_moves) return;
    begin_aged(mv);
    begin_due(mv);
    begin_preparations(mv);
}

bool mover_has_work(const struct mover *mv)
{
    list_each (n, &mv->store->unmoved) {
        struct partition *p = container_of(n, struct partition, in_unmoved);
        if (!held_up(p) && (movable_bytes(p) >= BLOCK_BYTES || is_due(p))) return true;
    }
    return false;
}

void mover_force(struct mover *mv, bool on)
{
    mv->force = on;
    list_each (n, &mv->store->unmoved) mover_look(container_of(n, struct partition, in_unmoved));
}

bool mover_moved(const struct mover *mv, struct partition *p)
{
    if (p->move != NULL || p->end_pos - p->moved_pos >= BLOCK_BYTES || p->durable_pos < p->end_pos) return false;
    return !closing_segment(p);
}

bool mover_all_moved(const struct mover *mv)
{
    if (mv->active > 0) return false;
    list_each (n, &mv->store->unmoved)
        if (!mover_moved(mv, container_of(n, struct partition, in_unmoved))) return false;
    return true;
}

bool mover_has_slot(const struct mover *mv)
{
    return !list_empty(&mv->free);
}

void mover_copy_tail(struct mover *mv, struct partition *p, struct task *parent)
{
    struct move *m = free_slot(mv);
    CHECK(m != NULL && p->move == NULL && p->end_pos - p->moved_pos < BLOCK_BYTES);
    m->copy = true;
    m->prepares = m->closes = false;
    m->parent = parent;
    m->segment = *moving_segment(p);
    m->from = p->moved_pos;
    m->to = p->end_pos;
    parent->pending_ops++;
    CHECK(move_start(mv, m, p)); /* one block: no memory is asked for */
}

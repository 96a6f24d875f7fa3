// SPDX-License-Identifier: Apache-2.0
/* The store's own loop work: after each turn the mover and the checkpoint get their chance; a tick looks at stalled
 * writes, free space and the cache.
 *
 * Failure modes: journal_fail (any failed write or flush) reaches every waiter by itself; here only the log line. */
#include "storage/store.h"

#include "storage/bury.h"
#include "storage/checkpoint.h"
#include "storage/cleaner.h"
#include "storage/grow.h"
#include "storage/index_repair.h"
#include "storage/mover.h"
#include "storage/partition_map.h"
#include "storage/recovery.h"
#include "storage/unlinker.h"
#include "storage/upkeep.h"

#include "base/bytes.h"

#define TICK_NS        (100 * NS_PER_MS)
#define SPACE_NS       NS_PER_S
#define IDLE_NS        (20 * NS_PER_MS)
#define GROUP_BYTES    (4u << 20)
#define FILE_MIN_BYTES (16u << 20)
#define FILES_MIN      16u

void store_config_init(struct store_config *c)
{
    *c = (struct store_config){
        .journal_bytes = 1ull << 30,
        .journal_first_bytes = 64ull << 20,
        .cache_bytes = 0,
        .batch_bytes_max = (1u << 20) + 12,
        .reserve_bytes = 1ull << 30,
        .segment_bytes = 1ull << 30,
        .segment_ms = 7ll * 24 * 3600 * 1000,
        .stall_ms = 30 * 1000,
        .checkpoint_ms = 30 * 1000,
        .group_bytes = GROUP_BYTES,
        .piece_bytes = 128u << 10,
        .undelete_ms = 3600 * 1000,
        .producer_expire_ms = 24ll * 3600 * 1000,
        .retention_check_ms = 300 * 1000,
        .clean_check_ms = 15 * 1000,
        .clean_map_bytes = 32ull << 20,
        .clean_bytes_per_s = 64ull << 20,
    };
}

/* A ring file holds the largest group: group_bytes or one batch, with header, proofs and padding. Four of them are a
 * ring, so that it is more than four times the largest batch (rule A9). */
static uint64_t ring_file_least(const struct store_config *c)
{
    return align_up((uint64_t)c->group_bytes + c->batch_bytes_max + 64 * (uint64_t)BLOCK_BYTES, BLOCK_BYTES);
}

static void journal_config_of(const struct store_config *c, struct journal_config *ret)
{
    uint64_t least = ring_file_least(c), wish = MIN((uint64_t)FILE_MIN_BYTES, c->journal_first_bytes / 4);
    uint64_t file_bytes = align_up(MAX(least, wish), BLOCK_BYTES);
    *ret = (struct journal_config){
        .file_bytes = file_bytes,
        .least_bytes = least,
        .files_first = (uint32_t)MIN(MAX(4u, c->journal_first_bytes / file_bytes), RING_FILES_MAX),
        .files_max = (uint32_t)MIN(MAX(4u, c->journal_bytes / file_bytes), RING_FILES_MAX),
        .group_bytes = c->group_bytes,
        .entry_max =
            MAX(c->batch_bytes_max, 2u * 65536u + 8192u), /* a truncation carries an index block and its page */
        .idle_ns = IDLE_NS,
    };
}

/* MEM_CONTROL: the window of recovery, lists of names and small things. MEM_LOG: half of it may be taken when a replay
 * goes on; in the other half a group, and the copy that proves one; the pieces of the mover. */
uint64_t store_memory_min(const struct store_config *c)
{
    uint64_t group = MAX((uint64_t)c->group_bytes, (uint64_t)c->batch_bytes_max + 64 * BLOCK_BYTES);
    return MAX(mem_total_for(MEM_CONTROL, SCAN_WINDOW_BYTES + (2u << 20)),
               mem_total_for(MEM_LOG, 4 * group + (8u << 20)));
}

/* --- news from the journal --- */

static void events_durable(struct journal *j, const struct commit *c)
{
    for (uint32_t i = 0; i < c->part_count; i++) {
        struct partition *p = c->parts[i].partition;
        p->durable_pos = MIN(c->parts[i].end_pos, p->end_pos);
        p->durable_end = MIN(c->parts[i].end, p->log_end);
        partition_hw_advance(p);
        mover_look(p);
    }
}

static void events_proof(const struct commit_part *part, struct proof *ret_proof)
{
    const struct partition *p = part->partition;
    *ret_proof =
        (struct proof){.topic = p->id, .partition = p->number, .end = part->end, .high_watermark = p->high_watermark};
}

static void events_failed(struct journal *j)
{
    struct store *s = j->owner;
    STORE_LOG(s, LOG_ERROR, "disk.fenced", LOG_STR("directory", s->dir.s),
              LOG_STR("effect", "nothing is acknowledged any more"));
}

static const struct journal_events store_events = {events_durable, events_proof, events_failed};

/* --- loop --- */

void store_refuse(struct store *s, struct commit_waiter *w)
{
    list_push_back(&s->refused, &w->in_commit);
}

void store_evict(struct store *s, uint64_t sequence)
{
    for (uint32_t i = 0; i < partition_map_count(s->map); i++) {
        struct partition *p = partition_map_at(s->map, i);
        if (p != NULL && p->ref_count > 0) refs_evict(p, sequence);
    }
}

/* The tail cache gives way in eighths of what it holds, oldest groups first. */
static void cache_turn(struct store *s)
{
    struct mem *m = s->env->mem;
    uint64_t limit = mem_budget(m, MEM_LOG) / 8 * 5;
    if (s->config.cache_bytes > 0) limit = MIN(limit, s->config.cache_bytes);
    if (mem_used(m, MEM_LOG) < limit) return;
    uint64_t newest = s->journal->durable_sequence;
    if (s->evicted >= newest) return;
    s->evicted += MAX(1u, (newest - s->evicted) / 8);
    store_evict(s, s->evicted);
}

static void store_turn(struct turn_hook *h)
{
    struct store *s = container_of(h, struct store, hook);
    struct list_node *n;
    uint32_t bound = 4096;
    while (bound-- > 0 && (n = list_pop_front(&s->refused)) != NULL) {
        struct commit_waiter *w = container_of(n, struct commit_waiter, in_commit);
        w->durable(w, STATUS_OK); /* the waiter knows its refusal */
    }
    mover_turn(s->mover);
    if (!s->settled) return;
    cache_turn(s);
    checkpoint_turn(s->table);
    if (!s->serving) return;
    grower_turn(s->grower);
    trash_turn(s->trash);
}

void store_space(const struct store *s, uint64_t *ret_total_bytes, uint64_t *ret_free_bytes)
{
    *ret_total_bytes = s->space_total;
    *ret_free_bytes = s->space_free;
}

static void space_answered(struct io_op *op)
{
    struct store *s = container_of(op, struct store, space);
    if (op->status != STATUS_OK) return;
    s->space_total = op->total_bytes;
    s->space_free = (uint64_t)op->result;
    bool low = (uint64_t)op->result < s->config.reserve_bytes;
    if (low != s->low_space)
        STORE_LOG(s, low ? LOG_WARN : LOG_INFO, low ? "disk.low" : "disk.room", LOG_STR("directory", s->dir.s),
                  LOG_INT("free_bytes", op->result), LOG_UINT("reserve_bytes", s->config.reserve_bytes));
    s->low_space = low;
    atomic_store(&s->disk->free_bytes, (uint64_t)op->result);
}

static void store_tick(struct timer *t)
{
    struct store *s = container_of(t, struct store, tick);
    journal_stalled(s->journal, s->config.stall_ms * NS_PER_MS);
    upkeep_tick(s->upkeep);
    if (!io_op_in_flight(&s->space) && s->env->now.v - s->space_asked.v >= SPACE_NS) {
        s->space_asked = s->env->now;
        s->space = (struct io_op){.kind = IO_SPACE, .path = s->dir.s, .done = space_answered};
        env_submit(s->env, &s->space);
    }
    env_timer_start(s->env, &s->tick, mono_add(s->env->now, TICK_NS));
}

static void count_damaged(struct store *s)
{
    for (uint32_t i = 0; i < partition_map_count(s->map); i++) {
        const struct partition *p = partition_map_at(s->map, i);
        s->count.damaged += p != NULL && p->damaged_from != NO_OFFSET;
    }
}

void store_serve(struct store *s)
{
    s->serving = true;
    upkeep_start(s->upkeep);
    cleaner_start(s->cleaner);
    count_damaged(s);
    s->tick.fire = store_tick;
    s->space_asked = mono_add(s->env->now, -SPACE_NS);
    env_timer_start(s->env, &s->tick, s->env->now);
}

uint64_t store_incarnation(const struct store *s)
{
    return s->journal->control.incarnation;
}

/* --- life --- */

struct store *store_new(struct env *e, struct disk *disk, const struct store_config *c, uint32_t number)
{
    struct mem *m = e->mem;
    struct journal_config jc;
    struct store *s = mem_zalloc(m, MEM_LOG, sizeof *s);
    CHECK(s != NULL && strlen(c->dir) <= LOG_DIR_MAX);
    s->env = e;
    s->disk = disk;
    s->number = number;
    s->config = *c;
    path_set(&s->dir, "%s", c->dir);
    list_init(&s->touched);
    list_init(&s->unmoved);
    list_init(&s->due);
    list_init(&s->bare);
    list_init(&s->dirty_dirs);
    list_init(&s->rounds);
    list_init(&s->compacted);
    list_init(&s->graves);
    list_init(&s->refused);
    s->journal = mem_zalloc(m, MEM_LOG, sizeof *s->journal);
    s->map = partition_map_create(m);
    s->files = files_create(e, c->files_max > 0 ? c->files_max : MAX(FILES_MIN, e->descriptors / 2));
    s->mover = mover_create(s);
    s->unlinker = unlinker_create(s);
    s->grower = grower_create(s);
    s->trash = trash_create(s);
    s->upkeep = upkeep_create(s);
    s->cleaner = cleaner_create(s);
    s->repairer = repairer_create(s);
    s->table = table_writer_create(s);
    journal_config_of(c, &jc);
    CHECK(s->journal != NULL && s->map != NULL && s->files != NULL && s->mover != NULL && s->unlinker != NULL &&
          s->grower != NULL && s->trash != NULL && s->upkeep != NULL && s->cleaner != NULL && s->repairer != NULL &&
          s->table != NULL);
    CHECK_OK(journal_init(s->journal, e, disk, &store_events, &jc));
    s->journal->owner = s;
    age_queue_init(&s->aged, jc.files_max * jc.file_bytes);
    s->hook.run = store_turn;
    env_hook_add(e, &s->hook);
    return s;
}

void store_open(struct env *e, struct disk *disk, const struct store_config *c, struct store_open *op)
{
    opening_start(store_new(e, disk, c, e->shard), op);
}

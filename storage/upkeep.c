// SPDX-License-Identifier: Apache-2.0
/* Rounds over the partitions (store->rounds, the least recently seen one first).
 *
 *   tick     as many partitions as are due
 *   visit    producers that were idle for producer_expire_ms are forgotten, by an entry that a replay repeats;
 *            the rule of retention.c; if segments go: roll if the active one is among them, then move the log start
 *   trimmed  the log start is durable: change.c lets the files go
 *
 * Failure modes: a full journal or no memory: the next round tries again. A damaged partition, and one being cut or
 * deleted, is left alone. Crash order: a log start move like any other (change.c); a roll without it is only a
 * segment that ends early. */
#include "storage/upkeep.h"

#include "base/bytes.h"
#include "storage/cleaner.h"
#include "storage/mover.h"
#include "storage/partition_map.h"
#include "storage/retention.h"

#define TRIMS_MAX 64u /* log starts on their way at once */

struct upkeep {
    struct store *store;
    struct retention_clock clock;
    struct mono_ns last;
    uint64_t owed; /* partition visits x ns that were not made up to `last` */
    uint32_t trims;
};

struct trim {
    struct partition_change op;
    struct upkeep *upkeep;
    struct partition *p;
    int64_t from, to;
    uint32_t segments;
    uint64_t bytes;
};

struct upkeep *upkeep_create(struct store *s)
{
    struct upkeep *u = mem_zalloc(s->env->mem, MEM_LOG, sizeof *u);
    if (u != NULL) u->store = s;
    return u;
}

void upkeep_destroy(struct upkeep *u)
{
    CHECK(u->trims == 0);
    mem_free(u->store->env->mem, MEM_LOG, u, sizeof *u);
}

void upkeep_start(struct upkeep *u)
{
    CHECK(u->store->config.retention_check_ms > 0);
    u->last = u->store->env->now;
    retention_clock_init(&u->clock, u->store->env->now, u->store->env->now_wall);
}

static void trimmed(struct partition_change *op)
{
    struct trim *t = container_of(op, struct trim, op);
    struct upkeep *u = t->upkeep;
    struct partition *p = t->p;
    CHECK(p->trimming && u->trims > 0);
    p->trimming = false;
    u->trims--;
    if (op->status == STATUS_OK)
        STORE_LOG(u->store, LOG_INFO, "retention.trimmed", LOG_STR("topic", p->topic), LOG_INT("partition", p->number),
                  LOG_INT("from", t->from), LOG_INT("to", t->to), LOG_UINT("segments", t->segments),
                  LOG_UINT("bytes", t->bytes));
    mem_free(u->store->env->mem, MEM_LOG, t, sizeof *t);
}

/* All of it is expired: what goes must be closed. */
static bool roll(struct partition *p)
{
    enum status status = partition_segment_reserve(p);
    if (status == STATUS_OK) status = journal_admit(p->store->journal, 0, true);
    if (status == STATUS_OK) status = partition_roll(p);
    if (status != STATUS_OK) return false;
    CHECK(partition_active(p)->base == p->log_end);
    partition_touch(p);
    if (!list_linked(&p->in_unmoved)) list_push_back(&p->store->unmoved, &p->in_unmoved); /* to be closed on disk */
    mover_look(p);
    return true;
}

static void trim(struct upkeep *u, struct partition *p, const struct retention_verdict *v)
{
    struct trim *t = mem_zalloc(u->store->env->mem, MEM_LOG, sizeof *t);
    if (t == NULL) return;
    if (v->roll && !roll(p)) {
        mem_free(u->store->env->mem, MEM_LOG, t, sizeof *t);
        return;
    }
    *t = (struct trim){.op.done = trimmed,
                       .upkeep = u,
                       .p = p,
                       .from = p->log_start,
                       .to = v->log_start,
                       .segments = v->segments,
                       .bytes = v->bytes};
    p->trimming = true;
    u->trims++;
    partition_log_start_move(p, v->log_start, &t->op);
}

/* Idle is told from the log's own newest time where the clock is ahead of it, so that a clock that jumps forgets nobody
 * who writes; and from the clock where a record lies in the future. */
static int64_t newest_ms(const struct partition *p, int64_t now_ms)
{
    int64_t newest = -1;
    for (uint32_t i = 0; i < p->segment_count; i++) newest = MAX(newest, p->segments[i].newest_ms);
    return MIN(newest, now_ms);
}

static void forget_producers(struct upkeep *u, struct partition *p)
{
    struct store *s = u->store;
    int64_t before_ms = newest_ms(p, s->env->now_wall.v) - s->config.producer_expire_ms;
    struct entry e = {.kind = ENTRY_EXPIRE,
                      .topic = p->id,
                      .partition = p->number,
                      .epoch = p->epoch,
                      .offset = p->high_watermark,
                      .aux = (uint64_t)before_ms};
    struct place place;
    if (before_ms <= 0 || !producer_state_expires(&p->producers, before_ms)) return;
    if (partition_put(p, &e, p->log_end, p->end_pos, &place) != STATUS_OK) return;
    producer_state_remove_expired(&p->producers, before_ms);
    partition_touch(p);
}

static int64_t retention_now(struct upkeep *u)
{
    struct store *s = u->store;
    bool jumped;
    int64_t ms = retention_clock_read(&u->clock, s->env->now, s->env->now_wall, &jumped);
    if (jumped)
        STORE_LOG(s, LOG_WARN, "clock.jumped", LOG_INT("ahead_ms", s->env->now_wall.v - ms),
                  LOG_STR("effect", "retention follows at twice the speed of time; a start takes the clock as it is"));
    return ms;
}

static void visit(struct upkeep *u, struct partition *p)
{
    if (p->trimming || p->deleting || p->truncating || p->damaged_from != NO_OFFSET) return;
    forget_producers(u, p);
    struct retention_log l = {.segments = p->segments,
                              .count = p->segment_count,
                              .end_pos = p->end_pos,
                              .log_start = p->log_start,
                              .high_watermark = p->high_watermark,
                              .log_end = p->log_end};
    struct retention_verdict v = retention_decide(&p->settings, &l, retention_now(u));
    if (v.log_start != NO_OFFSET) trim(u, p, &v);
}

void upkeep_tick(struct upkeep *u)
{
    struct store *s = u->store;
    uint64_t round_ns = (uint64_t)(s->config.retention_check_ms * NS_PER_MS);
    uint32_t count = partition_map_count(s->map);
    if (!s->serving || s->closing || store_fenced(s)) return;
    cleaner_tick(s->cleaner);
    u->owed += (uint64_t)(s->env->now.v - u->last.v) * count;
    u->last = s->env->now;
    u->owed = MIN(u->owed, round_ns * count); /* a round at most: the loop may have stood still */
    while (u->owed >= round_ns && u->trims < TRIMS_MAX) {
        struct list_node *n = list_pop_front(&s->rounds);
        CHECK(n != NULL);
        list_push_back(&s->rounds, n);
        visit(u, container_of(n, struct partition, in_rounds));
        u->owed -= round_ns;
    }
}

// SPDX-License-Identifier: Apache-2.0
/* Clean stop:
 *
 *   drain       what was accepted becomes durable; everything durable moves, in pieces of any size
 *   tails       the rests below 4 KiB are written as copies and the files cut to their exact length (rule D2)
 *   checkpoint  table and files durable: the next start replays nothing
 *   files       every descriptor is closed
 *   end         the store is freed
 *
 * On a fenced disk there is nothing to save: only the waiting for what is in flight, and the freeing. */
#include "storage/bury.h"
#include "storage/checkpoint.h"
#include "storage/cleaner.h"
#include "storage/grow.h"
#include "storage/index_repair.h"
#include "storage/mover.h"
#include "storage/partition_map.h"
#include "storage/unlinker.h"
#include "storage/upkeep.h"

#include "base/bytes.h"
#include "base/histogram.h"

#define AGAIN_NS NS_PER_MS

enum close_stage {
    CLOSE_DRAIN,
    CLOSE_TAILS,
    CLOSE_CHECKPOINT,
    CLOSE_SAVED,
    CLOSE_QUIET,
    CLOSE_FILES,
    CLOSE_RING,
    CLOSE_END
};

struct closing {
    struct task task;
    struct store *store;
    struct store_close *op;
    struct store_open *failed; /* instead of op: a start that failed */
    struct timer again;
    struct commit_waiter saved;
    uint32_t next; /* partition whose tail is copied next */
    enum status status;
    struct io_op ops[RING_FILES_MAX + 3];
};

static void again_fire(struct timer *timer)
{
    struct closing *c = container_of(timer, struct closing, again);
    task_wake(&c->task);
}

static int wait_a_little(struct closing *c, int next)
{
    c->again.fire = again_fire;
    env_timer_start(c->store->env, &c->again, mono_add(c->store->env->now, AGAIN_NS));
    return STAGE_WAIT(next);
}

/* No space: no pieces, no checkpoint. The next start replays the journal. */
static int stop_as_it_is(struct closing *c)
{
    STORE_LOG(c->store, LOG_WARN, "stop.disk_full", LOG_STR("directory", c->store->dir.s),
              LOG_STR("effect", "the next start replays the journal"));
    return CLOSE_QUIET;
}

static int close_drain(struct task *t)
{
    struct closing *c = container_of(t, struct closing, task);
    struct store *s = c->store;
    if (store_fenced(s)) return CLOSE_QUIET;
    if (s->unmovable && list_empty(&s->journal->queue)) return stop_as_it_is(c);
    if (s->deletions > 0 || !cleaner_idle(s->cleaner) || !list_empty(&s->journal->queue) || !mover_all_moved(s->mover))
        return wait_a_little(c, CLOSE_DRAIN);
    return CLOSE_TAILS;
}

static int close_tails(struct task *t)
{
    struct closing *c = container_of(t, struct closing, task);
    struct store *s = c->store;
    if (store_fenced(s)) return CLOSE_QUIET;
    if (s->unmovable) return stop_as_it_is(c);
    for (int n = 0; n < MOVES_MAX && c->next < partition_map_count(s->map);) {
        struct partition *p = partition_map_at(s->map, c->next++);
        if (p == NULL || (p->moved_pos == p->end_pos && !p->untrimmed)) continue;
        mover_copy_tail(s->mover, p, t);
        n++;
    }
    return t->pending_ops > 0 ? STAGE_WAIT(CLOSE_TAILS) : CLOSE_CHECKPOINT;
}

static void saved(struct commit_waiter *w, enum status status)
{
    struct closing *c = container_of(w, struct closing, saved);
    c->status = status;
    task_wake(&c->task);
}

static int close_checkpoint(struct task *t)
{
    struct closing *c = container_of(t, struct closing, task);
    c->saved.durable = saved;
    checkpoint_request(c->store->table, &c->saved);
    return STAGE_WAIT(CLOSE_SAVED);
}

static int close_saved(struct task *t)
{
    struct closing *c = container_of(t, struct closing, task);
    if (c->status != STATUS_OK) /* the journal still holds everything */
        STORE_LOG(c->store, LOG_WARN, "stop.without_checkpoint", LOG_STATUS("status", c->status));
    return CLOSE_QUIET;
}

static int close_quiet(struct task *t)
{
    struct closing *c = container_of(t, struct closing, task);
    struct store *s = c->store;
    c->store->table->stopped = !s->table->running && cleaner_idle(s->cleaner); /* it may wait for a checkpoint */
    bool busy = !list_empty(&s->journal->queue) || s->journal->in_flight > 0 || !mover_idle(s->mover) ||
                s->table->running || !unlinker_idle(s->unlinker) || io_op_in_flight(&s->space) ||
                !list_empty(&s->refused) || !list_empty(&s->table->waiting) || s->growing || s->deletions > 0 ||
                !trash_idle(s->trash) || !repairer_idle(s->repairer) || !cleaner_idle(s->cleaner);
    for (uint32_t i = 0; !busy && i < partition_map_count(s->map); i++) busy = partition_map_at(s->map, i)->readers > 0;
    if (busy) return wait_a_little(c, CLOSE_QUIET);
    s->unmovable = true; /* no move begins any more */
    env_timer_stop(s->env, &s->tick);
    env_timer_stop(s->env, &s->journal->idle); /* a closing block now would be in flight when the journal goes */
    files_close_all(s->files, t);
    return t->pending_ops > 0 ? STAGE_WAIT(CLOSE_FILES) : CLOSE_FILES;
}

static int close_files(struct task *t)
{
    struct closing *c = container_of(t, struct closing, task);
    struct journal *j = c->store->journal;
    uint32_t n = 0;
    int32_t handles[RING_FILES_MAX + 3];
    for (uint32_t i = 0; i < j->slot_count; i++) handles[n++] = j->slots[i].file;
    if (j->control_file >= 0) handles[n++] = j->control_file;
    for (int i = 0; i < 2; i++)
        if (c->store->table->files[i] >= 0) handles[n++] = c->store->table->files[i];
    for (uint32_t i = 0; i < n; i++) {
        c->ops[i] = (struct io_op){.kind = IO_CLOSE, .task = t, .file = handles[i]};
        env_submit(c->store->env, &c->ops[i]);
    }
    return n > 0 ? STAGE_WAIT(CLOSE_END) : CLOSE_END;
}

static void store_free(struct store *s)
{
    struct mem *m = s->env->mem;
    env_hook_remove(s->env, &s->hook);
    while (partition_map_count(s->map) > 0) {
        struct partition *p = partition_map_at(s->map, partition_map_count(s->map) - 1);
        partition_map_remove(s->map, p);
        partition_free(p);
    }
    for (struct list_node *n; (n = list_pop_front(&s->graves)) != NULL;) /* a start failed before they were buried */
        partition_free(container_of(n, struct partition, in_graves));
    CHECK(s->count.cached_bytes == 0 && (!s->serving || s->count.damaged == 0)); /* every change was counted */
    table_writer_destroy(s->table);
    mover_destroy(s->mover);
    unlinker_destroy(s->unlinker);
    grower_destroy(s->grower);
    trash_destroy(s->trash);
    upkeep_destroy(s->upkeep);
    cleaner_destroy(s->cleaner);
    repairer_destroy(s->repairer);
    files_destroy(s->files);
    partition_map_destroy(s->map);
    journal_deinit(s->journal);
    mem_free(m, MEM_LOG, s->journal, sizeof *s->journal);
    mem_free(m, MEM_LOG, s, sizeof *s);
}

static int close_end(struct task *t)
{
    struct closing *c = container_of(t, struct closing, task);
    struct store_close *op = c->op;
    struct store_open *failed = c->failed;
    struct env *e = c->store->env;
    if (op != NULL) op->status = store_fenced(c->store) ? STATUS_FENCED : c->status;
    store_free(c->store);
    mem_free(e->mem, MEM_LOG, c, sizeof *c);
    if (failed != NULL)
        failed->done(failed);
    else
        op->done(op);
    return STAGE_DONE;
}

static const struct stage close_stages[] = {
    [CLOSE_DRAIN] = {"drain", close_drain, STAGE_BIT(CLOSE_DRAIN) | STAGE_BIT(CLOSE_TAILS) | STAGE_BIT(CLOSE_QUIET)},
    [CLOSE_TAILS] = {"tails", close_tails,
                     STAGE_BIT(CLOSE_TAILS) | STAGE_BIT(CLOSE_CHECKPOINT) | STAGE_BIT(CLOSE_QUIET)},
    [CLOSE_CHECKPOINT] = {"checkpoint", close_checkpoint, STAGE_BIT(CLOSE_SAVED)},
    [CLOSE_SAVED] = {"saved", close_saved, STAGE_BIT(CLOSE_QUIET)},
    [CLOSE_QUIET] = {"quiet", close_quiet, STAGE_BIT(CLOSE_QUIET) | STAGE_BIT(CLOSE_FILES)},
    [CLOSE_FILES] = {"files", close_files, STAGE_BIT(CLOSE_END)},
    [CLOSE_END] = {"end", close_end, 0},
};

static const struct flow close_flow = {"store close", close_stages, COUNT_OF(close_stages)};

void store_discard(struct store *s, struct store_open *op)
{
    struct closing *c = mem_zalloc(s->env->mem, MEM_LOG, sizeof *c);
    CHECK(c != NULL);
    c->store = s;
    c->failed = op;
    s->closing = true;
    task_start(s->env->runner, &c->task, &close_flow, CLOSE_QUIET);
}

void store_close(struct store *s, struct store_close *op)
{
    struct closing *c = mem_zalloc(s->env->mem, MEM_LOG, sizeof *c);
    CHECK(c != NULL && !s->closing);
    c->store = s;
    c->op = op;
    s->closing = true;
    mover_force(s->mover, true);
    task_start(s->env->runner, &c->task, &close_flow, CLOSE_DRAIN);
}

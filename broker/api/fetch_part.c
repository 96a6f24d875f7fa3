// SPDX-License-Identifier: Apache-2.0
/* Errands of a fetch on other shards (fetch_part.h).
 *
 * Path of a read: send -> partition_read -> back with slices -> (response sent) -> release on the owner -> back.
 * Path of a wait: send -> one partition_waiter each -> the first that wakes takes all others off -> back. A cancel is a
 * message of its own and may cross the part on its way home: then it finds nothing armed; the wait is over when both
 * are back, so neither can come upon a request that is gone.
 * Failure modes: a partition that goes away wakes its waiter; the next read says what is wrong. */
#include "broker/api/fetch_part.h"
#include "broker/lane.h"
#include "broker/shard.h"

static void read_done(struct partition_read *op)
{
    struct fetch_read *f = container_of(op, struct fetch_read, op);
    for (uint32_t i = 0; op->status == STATUS_OK && i < op->slice_count; i++)
        f->pieces[i] = (struct piece){slice_data(op->slices[i]), op->slices[i].len};
    struct lane *l = op->status == STATUS_OK ? shard_lane(f->part.at, f->id, f->number) : NULL;
    if (l != NULL) l->count.bytes_out += op->bytes; /* NULL: closed while it was read */
    part_return(&f->part);
}

/* The reader's log and ours part before its offset (KIP-595's truncation on fetch). False: they do not. */
static bool diverges(struct fetch_read *f, const struct partition *p)
{
    f->diverging_epoch = -1;
    if (f->last_epoch < 0) return false;
    partition_epoch_end(p, f->last_epoch, &f->diverging_epoch, &f->diverging_end);
    bool known = f->diverging_epoch >= 0;
    f->op.status = known ? STATUS_OK : STATUS_OFFSET_OUT_OF_RANGE;
    f->op.high_watermark = partition_high_watermark(p);
    f->op.log_start = partition_log_start(p);
    if (!known || f->diverging_epoch < f->last_epoch || f->diverging_end < f->offset) return true;
    f->diverging_epoch = -1;
    return false;
}

/* No bytes are wanted: the offsets alone. */
static bool looked(struct fetch_read *f, const struct partition *p)
{
    if (f->bytes_max > 0) return false;
    f->op.high_watermark = partition_high_watermark(p);
    f->op.log_start = partition_log_start(p);
    bool inside = f->offset >= f->op.log_start && f->offset <= f->op.high_watermark;
    f->op.status = inside ? STATUS_OK : STATUS_OFFSET_OUT_OF_RANGE;
    return true;
}

static void read_run(struct part *p)
{
    struct fetch_read *f = container_of(p, struct fetch_read, part);
    struct lane *l = shard_lane(p->at, f->id, f->number);
    f->op.done = read_done;
    f->op.slice_count = 0;
    f->op.high_watermark = f->op.log_start = -1; /* not known yet */
    f->op.status = STATUS_UNKNOWN_PARTITION;
    if (l == NULL || diverges(f, l->partition) || looked(f, l->partition))
        part_return(p);
    else
        partition_read(l->partition, f->offset, f->bytes_max, &f->op);
}

static void release_run(struct part *p)
{
    struct fetch_read *f = container_of(p, struct fetch_read, part);
    partition_read_release(&f->op);
    part_return(p);
}

void fetch_read_send(struct fetch_read *f, struct shard *home, uint32_t owner, void (*back)(struct part *p))
{
    f->part.run = read_run;
    f->part.back = back;
    part_send(&f->part, home, owner);
}

void fetch_read_release(struct fetch_read *f, struct shard *home, void (*back)(struct part *p))
{
    f->part.run = release_run;
    f->part.back = back;
    part_send(&f->part, home, f->part.owner);
}

static void disarm(struct fetch_wait *w)
{
    CHECK(w->armed);
    w->armed = false;
    for (uint32_t i = 0; i < w->count; i++)
        if (list_linked(&w->watches[i].waiter.in_partition)) partition_wait_cancel(&w->watches[i].waiter);
    part_return(&w->part);
}

static void disarm_later(struct env *e, struct msg *m)
{
    disarm(container_of(m, struct fetch_wait, part.msg));
}

/* The store is walking its list of waiters, where a second one of ours may be the next (a request may name a partition
 * twice): they are taken off after the walk. */
static void woken(struct partition_waiter *waiter)
{
    struct fetch_wait *w = container_of(waiter, struct fetch_watch, waiter)->wait;
    struct env *e = w->part.at->env;
    if (w->waking) return;
    w->waking = true;
    w->part.msg = (struct msg){.run = disarm_later};
    env_post(e, e->shard, &w->part.msg);
}

static void wait_run(struct part *p)
{
    struct fetch_wait *w = container_of(p, struct fetch_wait, part);
    bool ready = false;
    w->armed = true;
    for (uint32_t i = 0; i < w->count; i++) {
        struct fetch_watch *watch = &w->watches[i];
        struct lane *l = shard_lane(p->at, watch->id, watch->number); /* none: the next read says so */
        watch->waiter = (struct partition_waiter){.offset = watch->offset, .wake = woken};
        ready = ready || l == NULL || partition_high_watermark(l->partition) > watch->offset;
        if (!ready) partition_wait(l->partition, &watch->waiter);
    }
    if (ready) disarm(w);
}

/* Both messages are back: the part counts as back now. */
static void ended(struct fetch_wait *w)
{
    if (!w->away && !w->asking) fetch_wait_ended(w);
}

static void wait_back(struct part *p)
{
    struct fetch_wait *w = container_of(p, struct fetch_wait, part);
    w->away = false;
    ended(w);
}

static void cancel_back(struct env *to, struct msg *m)
{
    struct fetch_wait *w = container_of(m, struct fetch_wait, cancel);
    CHECK(to->shard == w->part.home);
    w->asking = false;
    ended(w);
}

static void cancel_run(struct env *to, struct msg *m)
{
    struct fetch_wait *w = container_of(m, struct fetch_wait, cancel);
    uint32_t home = w->part.home;
    if (w->armed && !w->waking) disarm(w);
    w->cancel.run = cancel_back;
    env_post(to, home, &w->cancel);
}

void fetch_wait_send(struct fetch_wait *w, struct shard *home)
{
    w->part.run = wait_run;
    w->part.back = wait_back;
    w->away = true;
    w->armed = w->waking = w->asking = false;
    w->request->parts_out++;
    part_send(&w->part, home, w->owner);
}

void fetch_wait_cancel(struct fetch_wait *w, struct shard *home)
{
    if (!w->away || w->asking) return;
    w->asking = true;
    w->cancel = (struct msg){.run = cancel_run};
    env_post(home->env, w->owner, &w->cancel);
}

// SPDX-License-Identifier: Apache-2.0
/* Append on the owner shard (produce_part.h).
 *
 * Path: run -> (lane free) partition_append -> done when durable -> part_return.
 * BUSY (journal or memory full): the store says so in op->refusal at once, before the op completes; from then on later
 * parts of the partition wait in the lane. The refused one goes back to the lane's front, and a timer tries again until
 * the request's time-out, after which it is answered REQUEST_TIMED_OUT without having been appended.
 * Failure modes: everything else is the store's answer, handed back as it is. */
#include "broker/api/produce_part.h"
#include "broker/shard.h"

#define RETRY_NS (2 * NS_PER_MS)

static void appended(struct partition_append *op);

static struct lane *lane_of(const struct produce_part *p)
{
    return p->part.at->lanes[p->slot];
}

static void arm_retry(struct lane *l)
{
    struct env *e = l->shard->env;
    if (!env_timer_armed(&l->retry)) env_timer_start(e, &l->retry, mono_add(e->now, RETRY_NS));
}

/* True: accepted or refused for good, done comes later. False: BUSY; done comes too, and says so. */
static bool append(struct produce_part *p)
{
    p->op.done = appended;
    partition_append(lane_of(p)->partition, p->batch, p->len, &p->op);
    return p->op.refusal != STATUS_BUSY;
}

static void finish(struct produce_part *p, enum status status)
{
    p->status = status;
    part_return(&p->part);
}

static void appended(struct partition_append *op)
{
    struct produce_part *p = container_of(op, struct produce_part, op);
    struct lane *l = lane_of(p);
    if (op->status != STATUS_BUSY) {
        finish(p, op->status);
        return;
    }
    l->busy = NULL;
    list_push_front(&l->waiting, &p->in_lane);
    arm_retry(l);
}

static void start(struct lane *l, struct produce_part *p)
{
    CHECK(l->busy == NULL);
    if (append(p)) return;
    l->busy = p;
    l->shard->count.append_retries->value++;
}

void lane_retry(struct timer *t)
{
    struct lane *l = container_of(t, struct lane, retry);
    while (l->busy == NULL && !list_empty(&l->waiting)) {
        struct produce_part *p = container_of(list_pop_front(&l->waiting), struct produce_part, in_lane);
        if (l->shard->env->now.v > p->deadline.v)
            finish(p, STATUS_TIMED_OUT);
        else
            start(l, p);
    }
}

void produce_part_run(struct part *part)
{
    struct produce_part *p = container_of(part, struct produce_part, part);
    struct lane *l = lane_of(p);
    if (l->busy != NULL || !list_empty(&l->waiting))
        list_push_back(&l->waiting, &p->in_lane);
    else
        start(l, p);
}

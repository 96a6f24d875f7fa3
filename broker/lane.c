// SPDX-License-Identifier: Apache-2.0
/* Lanes (lane.h).
 *
 * Path: lane_append -> (nothing waits) partition_append -> done when durable -> part_return.
 * BUSY (journal or memory full): the store says so in op->refusal at once, before the op completes; from then on later
 * parts of the partition wait in the lane. The refused one goes back to the lane's front, and a timer tries again until
 * the request's time-out, after which it is answered REQUEST_TIMED_OUT without having been appended.
 * Failure modes: everything else is the store's answer, handed back as it is. */
#include "broker/lane.h"
#include "broker/api/produce_part.h"
#include "broker/group/host.h"
#include "broker/shard.h"

#define RETRY_NS (2 * NS_PER_MS)

static void lane_retry(struct timer *t);

enum status lane_open(struct shard *s, struct partition *p)
{
    struct lane *l = mem_zalloc(s->env->mem, MEM_CONTROL, sizeof *l);
    if (l == NULL) return STATUS_NO_MEMORY;
    l->partition = p;
    l->shard = s;
    l->retry.fire = lane_retry;
    list_init(&l->waiting);
    partition_set_user(p, &l->user);
    list_push_back(&s->lanes, &l->in_shard);
    if (strcmp(partition_topic(p), GROUP_TOPIC) == 0) group_host_open(s, l);
    return STATUS_OK;
}

struct lane *shard_lane(const struct shard *s, struct topic_id id, int32_t number)
{
    struct partition *p = s->store != NULL ? store_find(s->store, id, number) : NULL;
    struct partition_user *user = p != NULL ? partition_user(p) : NULL;
    struct lane *l = user != NULL ? container_of(user, struct lane, user) : NULL;
    return l != NULL && !l->closed ? l : NULL;
}

static void finish(struct produce_part *p, enum status status)
{
    p->status = status;
    part_return(&p->part);
}

static void free_last(struct lane *l)
{
    if (!l->freed || l->in_store > 0) return;
    CHECK(list_empty(&l->waiting) && l->busy == NULL && !list_linked(&l->grave.in_graves));
    mem_free(l->shard->env->mem, MEM_CONTROL, l, sizeof *l);
}

void lane_close(struct lane *l)
{
    CHECK(!l->closed);
    group_host_close(l->shard, l);
    env_timer_stop(l->shard->env, &l->retry);
    list_remove(&l->in_shard);
    l->closed = true;
    for (struct list_node *n; (n = list_pop_front(&l->waiting)) != NULL;)
        finish(container_of(n, struct produce_part, in_lane), STATUS_UNKNOWN_PARTITION);
}

void lane_free(struct lane *l)
{
    CHECK(l->closed && !l->freed);
    l->freed = true;
    free_last(l);
}

static void arm_retry(struct lane *l)
{
    struct env *e = l->shard->env;
    if (!env_timer_armed(&l->retry)) env_timer_start(e, &l->retry, mono_add(e->now, RETRY_NS));
}

static void count(struct lane *l, const struct produce_part *p)
{
    if (p->op.status != STATUS_OK || p->op.duplicate) return;
    l->count.batches_in++;
    l->count.bytes_in += p->len;
    l->count.records_in += p->records;
}

static void appended(struct partition_append *op)
{
    struct produce_part *p = container_of(op, struct produce_part, op);
    struct lane *l = p->lane;
    l->in_store--;
    count(l, p);
    bool again = op->status == STATUS_BUSY;
    if (again) l->busy = NULL;
    if (again && !l->closed) {
        list_push_front(&l->waiting, &p->in_lane);
        arm_retry(l);
    } else {
        finish(p, again ? STATUS_UNKNOWN_PARTITION : op->status);
    }
    free_last(l);
}

static void start(struct lane *l, struct produce_part *p)
{
    CHECK(l->busy == NULL);
    p->lane = l;
    p->op.done = appended;
    l->in_store++;
    partition_append(l->partition, p->batch, p->len, &p->op);
    if (p->op.refusal != STATUS_BUSY) return; /* accepted or refused for good: done comes */
    l->busy = p;
    l->shard->count.append_retries->value++;
}

static void lane_retry(struct timer *t)
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

void lane_append(struct lane *l, struct produce_part *p)
{
    if (l->busy != NULL || !list_empty(&l->waiting))
        list_push_back(&l->waiting, &p->in_lane);
    else
        start(l, p);
}

// SPDX-License-Identifier: Apache-2.0
/* Coordinators (coordinator.h): state, and the way of records into the log. Loading is coordinator_load.c.
 *
 * Path: coordinator_put -> the open batch of the turn -> coordinators_flush -> lane_append (which repeats what the
 * store is too busy for) -> durable -> whoever waited for it is told, in order.
 *
 * Failure modes: a batch that the log refuses, or whose fate nobody knows, fails the coordinator; it loads what the log
 * really has. A disk that is full or fenced fails it again and again, LOAD_AGAIN_NS apart: clients are told to retry.
 */
#include "broker/coordinator/coordinator.h"
#include "broker/coordinator/coordinator_impl.h"
#include "broker/shard.h"

#define BATCH_BYTES_GOAL ((size_t)256 << 10) /* an open batch of this size is closed before the turn ends */
#define APPEND_TRY_NS    (30 * NS_PER_S)

static struct mem *mem_of(const struct coordinator *c)
{
    return c->shard->env->mem;
}

void coordinator_open(struct coordinator *c, const struct coordinator_ops *ops, struct shard *s, struct lane *l)
{
    *c = (struct coordinator){.ops = ops, .shard = s, .lane = l, .sequence = 1};
    list_init(&c->waiters);
    coordinator_load(c);
}

/* ---- into the log ---- */

static void free_batch(struct coordinator *c, struct coordinator_batch *b)
{
    batch_builder_deinit(&b->builder);
    mem_free(mem_of(c), MEM_CONTROL, b, sizeof *b);
}

static void tell(struct coordinator *c, uint64_t sequence, enum status status)
{
    while (!list_empty(&c->waiters)) {
        struct coordinator_waiter *w = container_of(list_first(&c->waiters), struct coordinator_waiter, in_coordinator);
        if (w->sequence > sequence) return;
        list_remove(&w->in_coordinator);
        w->done(w, status);
    }
}

static void appended(struct part *part)
{
    struct coordinator_batch *b = container_of(part, struct coordinator_batch, part.part);
    struct coordinator *c = b->coordinator;
    enum status status = b->part.status;
    uint64_t sequence = b->sequence;
    free_batch(c, b);
    c->in_flight--;
    if (c->state == COORDINATOR_ACTIVE && status == STATUS_OK) {
        CHECK(sequence == c->durable + 1); /* a partition's appends complete in order */
        c->durable = sequence;
        tell(c, sequence, STATUS_OK);
    } else if (c->state == COORDINATOR_ACTIVE) {
        coordinator_fail(c, status);
    }
    coordinator_idle(c);
}

static void append(struct coordinator *c)
{
    struct coordinator_batch *b = c->open;
    const uint8_t *bytes;
    size_t len;
    c->open = NULL;
    if (list_linked(&c->in_dirty)) list_remove(&c->in_dirty);
    enum status status = batch_builder_finish(&b->builder, &bytes, &len);
    if (status != STATUS_OK) {
        free_batch(c, b);
        coordinator_fail(c, status);
        return;
    }
    b->part.batch = bytes;
    b->part.len = (uint32_t)len;
    b->part.records = (uint32_t)b->builder.count;
    b->part.deadline = mono_add(c->shard->env->now, APPEND_TRY_NS);
    b->part.part.at = c->shard;
    b->part.part.home = b->part.part.owner = c->shard->env->shard;
    b->part.part.back = appended;
    b->sequence = c->sequence++;
    c->in_flight++;
    lane_append(c->lane, &b->part);
}

static struct coordinator_batch *open_batch(struct coordinator *c)
{
    if (c->open != NULL) return c->open;
    struct coordinator_batch *b = mem_zalloc(mem_of(c), MEM_CONTROL, sizeof *b);
    struct batch_options o;
    if (b == NULL) return NULL;
    batch_options_init(&o);
    b->coordinator = c;
    batch_builder_init(&b->builder, mem_of(c), &o);
    c->open = b;
    list_push_back(&c->shard->dirty_coordinators, &c->in_dirty);
    return b;
}

enum status coordinator_put(struct coordinator *c, struct bytes key, struct bytes value)
{
    CHECK(c->state == COORDINATOR_ACTIVE);
    struct coordinator_batch *b = open_batch(c);
    if (b == NULL) return STATUS_NO_MEMORY;
    enum status status =
        batch_builder_append(&b->builder, c->shard->env->now_wall.v, key.data, key.len, value.data, value.len, NULL, 0);
    if (status != STATUS_OK) return status;
    if (batch_builder_bytes(&b->builder) >= BATCH_BYTES_GOAL) append(c);
    return c->state == COORDINATOR_ACTIVE ? STATUS_OK : STATUS_NO_MEMORY;
}

void coordinators_flush(struct shard *s)
{
    for (struct list_node *n; (n = list_first(&s->dirty_coordinators)) != NULL;)
        append(container_of(n, struct coordinator, in_dirty));
}

void coordinator_wait(struct coordinator *c, struct coordinator_waiter *w)
{
    if (c->state != COORDINATOR_ACTIVE) {
        w->done(w, STATUS_NOT_LEADER);
        return;
    }
    w->sequence = c->open != NULL ? c->sequence : c->sequence - 1;
    if (w->sequence <= c->durable)
        w->done(w, STATUS_OK);
    else
        list_push_back(&c->waiters, &w->in_coordinator);
}

/* ---- failure and end ---- */

static void drop_open(struct coordinator *c)
{
    if (c->open == NULL) return;
    if (list_linked(&c->in_dirty)) list_remove(&c->in_dirty);
    free_batch(c, c->open);
    c->open = NULL;
}

void coordinator_fail(struct coordinator *c, enum status why)
{
    if (c->state != COORDINATOR_LOADING && c->state != COORDINATOR_ACTIVE) return;
    SHARD_LOG(c->shard, LOG_WARN, "coordinator.failed", LOG_STR("kind", c->ops->name),
              LOG_INT("partition", partition_number(c->lane->partition)), LOG_STATUS("status", why),
              LOG_STR("effect", "clients retry; loaded anew"));
    c->state = COORDINATOR_FAILED;
    drop_open(c);
    tell(c, UINT64_MAX, why);
    coordinator_load_later(c); /* not from here: the caller may be inside the machine */
}

void coordinator_idle(struct coordinator *c)
{
    if (c->closed == NULL || c->in_flight > 0) return;
    void (*closed)(struct coordinator *) = c->closed;
    c->closed = NULL;
    closed(c);
}

void coordinator_close(struct coordinator *c, void (*closed)(struct coordinator *c))
{
    CHECK(c->closed == NULL && c->state != COORDINATOR_CLOSED);
    c->state = COORDINATOR_CLOSED;
    c->closed = closed;
    env_timer_stop(c->shard->env, &c->again);
    drop_open(c);
    tell(c, UINT64_MAX, STATUS_NOT_LEADER);
    c->ops->reset(c);
    coordinator_idle(c);
}

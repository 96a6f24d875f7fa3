// SPDX-License-Identifier: Apache-2.0
/* Loading of a coordinator (coordinator.h).
 *
 * Path: reset -> reads of READ_BYTES from the log start to where the high watermark stood when loading began, which is
 * all there is: nobody else appends to an internal topic, and what failed batches of ours left behind is either below
 * it by then or was never appended -> every record to the machine -> loaded.
 *
 * Failure modes: a batch that does not parse is damage: the partition is logged and loading ends there, FAILED, tried
 * again later (an operator may accept the damage); a record that means nothing is passed over with a line of log, as in
 * Apache Kafka. No memory, a busy store: again after LOAD_AGAIN_NS. */
#include "broker/coordinator/coordinator.h"
#include "broker/coordinator/coordinator_impl.h"
#include "broker/shard.h"

#define READ_BYTES ((uint32_t)1 << 20)
#define OUTPUT_CAP_BYTES                                                                                               \
    ((uint64_t)64 << 20) /* of one batch, decompressed: ours are never compressed, others' may be */
#define LOAD_AGAIN_NS (500 * NS_PER_MS)

static void read_next(struct coordinator *c);

static void active(struct coordinator *c)
{
    struct env *e = c->shard->env;
    c->state = COORDINATOR_ACTIVE;
    c->durable = c->sequence - 1;
    if (c->records > 0)
        SHARD_LOG(c->shard, LOG_INFO, "coordinator.loaded", LOG_STR("kind", c->ops->name),
                  LOG_INT("partition", partition_number(c->lane->partition)), LOG_UINT("records", c->records),
                  LOG_INT("ms", (e->now.v - c->load_begun.v) / NS_PER_MS));
    c->ops->loaded(c);
}

static enum status apply_batch(struct coordinator *c, const uint8_t *at, const struct batch_info *info)
{
    struct batch_iter it;
    struct batch_record r;
    if (batch_is_control(info)) return STATUS_OK; /* transaction markers */
    enum status s = batch_iter_open(&it, at, info, c->shard->env->mem, OUTPUT_CAP_BYTES);
    if (s != STATUS_OK) return s;
    while (s == STATUS_OK && batch_iter_next(&it, &r)) {
        c->records++;
        s = c->ops->apply(c, (struct bytes){r.key, r.key_len}, (struct bytes){r.value, r.value_len});
        if (s != STATUS_INVALID_RECORD) continue;
        SHARD_LOG(c->shard, LOG_WARN, "coordinator.record", LOG_STR("kind", c->ops->name),
                  LOG_INT("partition", partition_number(c->lane->partition)), LOG_INT("offset", r.offset),
                  LOG_STR("effect", "not understood, passed over"));
        s = STATUS_OK;
    }
    enum status end = batch_iter_close(&it);
    return s != STATUS_OK ? s : end;
}

static enum status apply_slice(struct coordinator *c, const uint8_t *at, uint32_t left)
{
    enum status s = STATUS_OK;
    while (left > 0 && s == STATUS_OK) {
        struct batch_info info;
        if (batch_parse(at, left, &info) != STATUS_OK) return STATUS_DAMAGED; /* a read hands out whole batches */
        s = apply_batch(c, at, &info);
        c->at = batch_next_offset(&info);
        at += info.size_bytes;
        left -= info.size_bytes;
    }
    return s;
}

static void has_read(struct partition_read *op)
{
    struct coordinator *c = container_of(op, struct coordinator, read);
    enum status s = op->status;
    uint32_t n = op->slice_count;
    for (uint32_t i = 0; i < n && s == STATUS_OK && c->state == COORDINATOR_LOADING; i++)
        s = apply_slice(c, slice_data(op->slices[i]), op->slices[i].len);
    partition_read_release(op);
    c->in_flight--;
    if (c->state == COORDINATOR_LOADING) {
        if (s == STATUS_OK && n == 0) s = STATUS_DAMAGED; /* below the watermark there are some */
        if (s != STATUS_OK)
            coordinator_fail(c, s);
        else if (c->at < c->end)
            read_next(c);
        else
            active(c);
    }
    coordinator_idle(c);
}

static void read_next(struct coordinator *c)
{
    c->read.done = has_read;
    c->in_flight++;
    partition_read(c->lane->partition, c->at, READ_BYTES, &c->read);
}

void coordinator_load(struct coordinator *c)
{
    struct partition *p = c->lane->partition;
    c->state = COORDINATOR_LOADING;
    c->ops->reset(c);
    c->records = 0;
    c->load_begun = c->shard->env->now;
    c->at = partition_log_start(p);
    c->end = partition_high_watermark(p);
    if (c->at < c->end)
        read_next(c);
    else
        active(c);
}

/* What is in flight must end first: its fate is part of what is loaded. */
static void load_again(struct timer *t)
{
    struct coordinator *c = container_of(t, struct coordinator, again);
    if (c->in_flight > 0 || partition_high_watermark(c->lane->partition) < partition_log_end(c->lane->partition))
        coordinator_load_later(c);
    else
        coordinator_load(c);
}

void coordinator_load_later(struct coordinator *c)
{
    struct env *e = c->shard->env;
    c->again.fire = load_again;
    env_timer_start(e, &c->again, mono_add(e->now, LOAD_AGAIN_NS));
}

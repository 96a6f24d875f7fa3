// SPDX-License-Identifier: Apache-2.0
/* Append: the produce path inside the shard.
 *
 *   check state and sequence -> admit -> (roll) -> copy into the open journal group, stamp offset and epoch there
 *   -> the bytes are in the log (unacknowledged) -> [journal: durable] -> high watermark, done
 *
 * Everything up to the copy happens in the call, so offsets follow call order, and a refused batch changed nothing.
 * Failure modes: refusals complete in the next turn; a fenced disk ends every waiting append with FENCED (indefinite:
 * the record may be there after a restart). */
#include "storage/store_impl.h"

#include "base/bytes.h"
#include "protocol/batch.h"

static void append_durable(struct commit_waiter *w, enum status status)
{
    struct partition_append *op = container_of(w, struct partition_append, waiter);
    op->status = op->refusal != STATUS_OK ? op->refusal : status;
    op->done(op);
}

static void refuse(struct partition *p, struct partition_append *op, enum status status)
{
    op->refusal = status;
    op->log_start = p->log_start;
    store_refuse(p->store, &op->waiter);
}

enum status partition_status(const struct partition *p)
{
    if (store_fenced(p->store)) return STATUS_FENCED;
    return p->damaged_from != NO_OFFSET ? STATUS_DAMAGED : STATUS_OK;
}

static enum status appendable(const struct partition *p, const struct batch_info *b)
{
    if (p->store->closing || p->deleting) return STATUS_NOT_LEADER;
    enum status status = partition_status(p);
    if (status != STATUS_OK) return status;
    if (p->truncating) return STATUS_BUSY;
    if (b->size_bytes > p->settings.batch_bytes_max) return STATUS_BATCH_TOO_LARGE;
    return p->store->low_space ? STATUS_NO_SPACE : STATUS_OK;
}

/* Kafka's three reasons: size, age, and offsets that no longer fit 32 bits relative to the segment's base. */
static bool wants_roll(const struct partition *p, const struct batch_info *b)
{
    const struct segment *s = partition_active(p);
    const struct partition_settings *c = &p->settings;
    int64_t roll_ms = c->compacts ? MIN(c->segment_ms, c->max_lag_ms) : c->segment_ms;
    uint64_t bytes = p->end_pos - s->start;
    if (bytes == 0) return false;
    if (bytes + b->size_bytes > c->segment_bytes) return true;
    if (p->log_end + b->last_offset_delta - s->base > INT32_MAX) return true;
    return p->segment_time_ms >= 0 && p->store->env->now_wall.v - p->segment_time_ms > roll_ms;
}

static struct commit_part part_of(struct partition *p, int64_t end, uint64_t end_pos)
{
    return (struct commit_part){.partition = p, .end = end, .end_pos = end_pos};
}

/* A roll is an entry of the log, so that replay cuts at the same byte whatever the settings are then (rule A5). */
enum status partition_roll(struct partition *p)
{
    struct segment *s = partition_active(p);
    struct entry e = {.kind = ENTRY_ROLL,
                      .topic = p->id,
                      .partition = p->number,
                      .epoch = p->epoch,
                      .offset = p->log_end,
                      .aux = p->end_pos - s->start};
    struct commit_part part = part_of(p, p->log_end, p->end_pos);
    struct place place;
    enum status status = journal_put(p->store->journal, &e, &part, &p->cursor, &place);
    if (status != STATUS_OK) return status;
    status = partition_segment_push(p, p->log_end, p->end_pos);
    CHECK_OK(status); /* room was reserved before */
    p->segment_time_ms = -1;
    return STATUS_OK;
}

static enum status put_batch(struct partition *p, const void *batch, const struct batch_info *b)
{
    struct entry e = {.kind = ENTRY_APPEND,
                      .topic = p->id,
                      .partition = p->number,
                      .epoch = p->epoch,
                      .offset = p->log_end,
                      .payload_bytes = b->size_bytes};
    struct commit_part part = part_of(p, p->log_end + b->last_offset_delta + 1, p->end_pos + b->size_bytes);
    struct place place;
    enum status status = journal_put(p->store->journal, &e, &part, &p->cursor, &place);
    if (status != STATUS_OK) return status;
    uint8_t *copy = place.buf->data + place.pos;
    memcpy(copy, batch, b->size_bytes);
    batch_assign(copy, p->log_end, p->epoch);
    struct ref r = {.base_offset = p->log_end,
                    .max_timestamp_ms = b->max_timestamp_ms,
                    .pos = p->end_pos,
                    .sequence = place.sequence,
                    .entry = place.entry,
                    .buf = place.buf,
                    .buf_pos = place.pos,
                    .len = b->size_bytes,
                    .last_delta = b->last_offset_delta,
                    .whole = true};
    refs_push(p, &r);
    return STATUS_OK;
}

static struct producer_batch producer_batch_of(const struct partition *p, const struct batch_info *b)
{
    return (struct producer_batch){
        .producer_id = b->producer_id,
        .epoch = b->producer_epoch,
        .first_sequence = b->base_sequence,
        .record_count = b->record_count,
        .base_offset = p->log_end,
        .last_offset = p->log_end + b->last_offset_delta,
        .max_timestamp_ms = b->max_timestamp_ms,
    };
}

/* All that can be refused comes before the first change. */
static enum status append(struct partition *p, const void *batch, const struct batch_info *b)
{
    bool rolls = wants_roll(p, b);
    enum status status = journal_admit(p->store->journal, b->size_bytes + (rolls ? ENTRY_HEADER_BYTES : 0), false);
    if (status == STATUS_OK) status = refs_reserve(p);
    if (status == STATUS_OK && rolls) status = partition_segment_reserve(p);
    if (status == STATUS_OK && b->producer_id >= 0) status = producer_state_reserve(&p->producers);
    if (status == STATUS_OK && rolls) status = partition_roll(p);
    if (status == STATUS_OK) status = put_batch(p, batch, b);
    if (status != STATUS_OK) return status == STATUS_NO_MEMORY ? STATUS_BUSY : status;
    partition_appended(p, b);
    CHECK_SLOW((partition_check(p), true)); /* not in replay: the high watermark follows at its end */
    return STATUS_OK;
}

/* The state after a batch at the log's end; replay does the same. */
void partition_appended(struct partition *p, const struct batch_info *b)
{
    if (b->producer_id >= 0) {
        struct producer_batch header = producer_batch_of(p, b);
        producer_state_append(&p->producers, &header);
    }
    if (p->segment_time_ms < 0) p->segment_time_ms = p->store->env->now_wall.v;
    partition_segment_newest(p, b->max_timestamp_ms);
    p->log_end += b->last_offset_delta + 1;
    p->end_pos += b->size_bytes;
    partition_touch(p);
}

void partition_append(struct partition *p, const void *batch, uint32_t len, struct partition_append *op)
{
    struct batch_info b;
    op->waiter = (struct commit_waiter){.durable = append_durable};
    op->duplicate = false;
    op->base_offset = NO_OFFSET;
    op->log_append_time_ms = -1;
    op->refusal = STATUS_OK;
    op->log_start = p->log_start;
    enum status status = batch_parse(batch, len, &b);
    if (status == STATUS_OK && b.size_bytes != len) status = STATUS_CORRUPT_BATCH;
    if (status == STATUS_OK) status = appendable(p, &b);
    if (status == STATUS_OK && b.producer_id >= 0) {
        struct producer_batch header = producer_batch_of(p, &b), original;
        status = producer_state_check(&p->producers, &header, &original);
        if (status == STATUS_SEQUENCE_DUPLICATE) { /* answered when the original is durable (I2) */
            op->duplicate = true;
            op->base_offset = original.base_offset;
            journal_wait(p->store->journal, &op->waiter);
            return;
        }
    }
    int64_t base = p->log_end;
    if (status == STATUS_OK) status = append(p, batch, &b);
    if (status != STATUS_OK) {
        refuse(p, op, status);
        return;
    }
    op->base_offset = base;
    journal_wait(p->store->journal, &op->waiter);
}

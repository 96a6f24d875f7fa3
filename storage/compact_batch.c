// SPDX-License-Identifier: Apache-2.0
/* One batch of a round (compact_batch.h).
 *
 *   walk      its records, decompressed, against the rule; those that stay are copied into the builder
 *   horizon   a tombstone stays and the batch has no delete horizon yet: once more, with one
 *   finish    the builder compresses and seals; nothing went and no horizon is new: the bytes as they were
 *
 * Failure modes: a batch that cannot be read is left to the caller, who ends the round: what nobody can read must not
 * be copied under new checksums. */
#include "storage/compact_batch.h"

#include "base/check.h"

#define OUTPUT_MAX_BYTES (64u << 20) /* what produce allows of one batch, decompressed */

void compact_round_init(struct compact_round *r, struct mem *mem, struct key_map *map,
                        const struct producer_state *producers, int64_t from)
{
    struct batch_options options;
    batch_options_init(&options);
    *r = (struct compact_round){.mem = mem, .map = map, .producers = producers, .upto = from};
    batch_builder_init(&r->builder, mem, &options);
}

void compact_round_deinit(struct compact_round *r)
{
    batch_builder_deinit(&r->builder);
}

enum status compact_learn(struct compact_round *r, const uint8_t *data, const struct batch_info *info, bool *ret_full)
{
    struct batch_iter it;
    struct batch_record record;
    *ret_full = false;
    CHECK(batch_last_offset(info) >= r->upto);
    if (!batch_is_control(info)) {
        enum status status = batch_iter_open(&it, data, info, r->mem, OUTPUT_MAX_BYTES);
        if (status != STATUS_OK) return status;
        while (!*ret_full && batch_iter_next(&it, &record)) {
            if (record.key_len < 0 || record.offset < r->upto) continue;
            *ret_full = !key_map_put(r->map, record.key, (size_t)record.key_len, record.offset);
            r->upto = record.offset + !*ret_full;
        }
        status = batch_iter_close(&it);
        if (status != STATUS_OK) return status;
    }
    if (!*ret_full) r->upto = batch_next_offset(info);
    return STATUS_OK;
}

struct walk {
    uint32_t kept, gone;
    bool tombstone; /* one stays */
};

static int64_t horizon_of(const struct batch_info *info)
{
    return (info->attributes & BATCH_DELETE_HORIZON) != 0 ? info->base_timestamp_ms : BATCH_NO_TIMESTAMP;
}

/* Into the builder what stays; horizon_ms: of the new batch. */
static enum status thin(struct compact_round *r, const uint8_t *data, const struct batch_info *info, int64_t horizon_ms,
                        struct walk *ret_walk)
{
    struct batch_iter it;
    struct batch_record record;
    struct batch_options options = {.codec = batch_codec(info),
                                    .base_offset = info->base_offset,
                                    .leader_epoch = info->leader_epoch,
                                    .log_append_time = batch_is_log_append_time(info),
                                    .transactional = batch_is_transactional(info),
                                    .append_time_ms = info->max_timestamp_ms,
                                    .producer_id = info->producer_id,
                                    .producer_epoch = info->producer_epoch,
                                    .base_sequence = info->base_sequence,
                                    .thinned = true,
                                    .last_offset_delta = info->last_offset_delta,
                                    .delete_horizon_ms = horizon_ms,
                                    .max_timestamp_ms = info->max_timestamp_ms};
    *ret_walk = (struct walk){0};
    batch_builder_reset(&r->builder, &options);
    enum status status = batch_iter_open(&it, data, info, r->mem, OUTPUT_MAX_BYTES);
    if (status != STATUS_OK) return status;
    while (status == STATUS_OK && batch_iter_next(&it, &record)) {
        struct compact_record c = {.offset = record.offset,
                                   .key = record.key,
                                   .key_len = record.key_len,
                                   .value_len = record.value_len,
                                   .delete_horizon_ms = horizon_of(info)};
        if (!compact_survives(r->map, r->upto, r->now_ms, &c)) {
            ret_walk->gone++;
            continue;
        }
        ret_walk->kept++;
        ret_walk->tombstone |= record.offset < r->upto && record.value_len < 0;
        status = batch_builder_copy(&r->builder, &record, (int32_t)(record.offset - info->base_offset));
    }
    enum status closed = batch_iter_close(&it);
    return status != STATUS_OK ? status : closed;
}

/* The log goes on without it: does anybody need its header? */
static bool header_stays(const struct compact_round *r, const struct batch_info *info)
{
    if (batch_next_offset(info) == r->upto) return true;
    return batch_has_producer(info) &&
           producer_state_ends_with(r->producers, info->producer_id, batch_last_offset(info));
}

static enum status whole(const uint8_t *data, const struct batch_info *info, enum compact_outcome *ret_outcome,
                         const uint8_t **ret_data, size_t *ret_len)
{
    *ret_outcome = COMPACT_WHOLE;
    *ret_data = data;
    *ret_len = info->size_bytes;
    return STATUS_OK;
}

static enum status finish(struct compact_round *r, enum compact_outcome *ret_outcome, const uint8_t **ret_data,
                          size_t *ret_len)
{
    *ret_outcome = COMPACT_THINNED;
    if (r->builder.count == 0) r->builder.options.codec = CODEC_NONE; /* no bytes to decompress */
    return batch_builder_finish(&r->builder, ret_data, ret_len);
}

enum status compact_batch(struct compact_round *r, const uint8_t *data, const struct batch_info *info,
                          enum compact_outcome *ret_outcome, const uint8_t **ret_data, size_t *ret_len)
{
    struct walk w;
    int64_t horizon_ms = horizon_of(info), new_ms;
    if (batch_is_control(info) || info->base_offset >= r->upto)
        return whole(data, info, ret_outcome, ret_data, ret_len);
    enum status status = thin(r, data, info, horizon_ms, &w);
    if (status == STATUS_OK && w.tombstone && horizon_ms < 0 &&
        !__builtin_add_overflow(r->now_ms, r->delete_retention_ms, &new_ms)) {
        status = thin(r, data, info, new_ms, &w);
        /* a time too far from it for a delta: those tombstones stay for good */
        if (status == STATUS_INVALID)
            status = thin(r, data, info, horizon_ms, &w);
        else
            horizon_ms = new_ms;
    }
    if (status != STATUS_OK) return status;
    r->records_kept += w.kept;
    r->records_gone += w.gone;
    if (w.kept == 0 && !header_stays(r, info)) {
        *ret_outcome = COMPACT_GONE;
        *ret_data = NULL;
        *ret_len = 0;
        return STATUS_OK;
    }
    if (w.gone == 0 && horizon_ms == horizon_of(info)) return whole(data, info, ret_outcome, ret_data, ret_len);
    return finish(r, ret_outcome, ret_data, ret_len);
}

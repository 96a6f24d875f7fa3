// SPDX-License-Identifier: Apache-2.0
/* The array model; see store_model.h. Nothing here is clever: producer answers are looked up in the list of batches
 * each time, newest first, so that a mistake in the engine's derived state cannot be repeated here. */
#include "tests/sim/store_model.h"

#include "base/bytes.h"
#include "base/crc32c.h"
#include "protocol/batch_record.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define WINDOW    5  /* batches of a producer that are known: Kafka's figure */
#define FREE_HEAD 16 /* base offset, length, leader epoch: the log's own */

const char *model_wrong(const char *format, ...)
{
    static char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return text;
}

void model_init(struct model_log *l, bool replicated)
{
    *l = (struct model_log){.cut = NO_OFFSET, .replicated = replicated};
}

void model_deinit(struct model_log *l)
{
    free(l->batches);
}

static int32_t last_sequence(const struct model_batch *b)
{
    return (int32_t)(((uint32_t)b->first_sequence + (uint32_t)b->records - 1) & INT32_MAX);
}

enum status model_expect(const struct model_log *l, const struct batch_info *b, int64_t *ret_base)
{
    const struct model_batch *newest = NULL;
    int known = 0;
    if (b->producer_id < 0) return STATUS_OK;
    for (uint32_t i = l->count; i > 0 && known < WINDOW; i--) {
        const struct model_batch *m = &l->batches[i - 1];
        if (m->producer_id != b->producer_id) continue;
        if (newest == NULL) newest = m;
        if (m->producer_epoch != newest->producer_epoch || b->producer_epoch != newest->producer_epoch) break;
        if (m->first_sequence == b->base_sequence && m->records == b->record_count) {
            *ret_base = m->base;
            return STATUS_SEQUENCE_DUPLICATE;
        }
        known++;
    }
    if (newest == NULL) return STATUS_OK;
    if (b->producer_epoch < newest->producer_epoch) return STATUS_PRODUCER_FENCED;
    int32_t next = (int32_t)(((uint32_t)last_sequence(newest) + 1) & INT32_MAX);
    if (b->producer_epoch > newest->producer_epoch) next = 0;
    return b->base_sequence == next ? STATUS_OK : STATUS_SEQUENCE_GAP;
}

void model_accept(struct model_log *l, uint64_t id, const struct batch_info *b, const uint8_t *bytes)
{
    if (l->count == l->capacity) {
        l->capacity = MAX(64u, 2 * l->capacity);
        l->batches = realloc(l->batches, l->capacity * sizeof *l->batches);
        CHECK(l->batches != NULL);
    }
    l->batches[l->count++] = (struct model_batch){.id = id,
                                                  .base = l->log_end,
                                                  .producer_id = b->producer_id,
                                                  .len = b->size_bytes,
                                                  .crc = crc32c(0, bytes + FREE_HEAD, b->size_bytes - FREE_HEAD),
                                                  .records = b->record_count,
                                                  .first_sequence = b->base_sequence,
                                                  .epoch = l->epoch_accepted,
                                                  .producer_epoch = b->producer_epoch};
    l->log_end += b->record_count;
}

void model_times(struct model_log *l, int64_t time_ms, int64_t time_step)
{
    CHECK(l->count > 0);
    l->batches[l->count - 1].time_ms = time_ms;
    l->batches[l->count - 1].time_step = time_step;
}

void model_keys(struct model_log *l, uint64_t key, bool tombstones)
{
    CHECK(l->count > 0 && key + (uint64_t)l->batches[l->count - 1].records <= MODEL_KEYS);
    l->batches[l->count - 1].key = key;
    l->batches[l->count - 1].tombstones = tombstones;
}

int64_t model_lookup(const struct model_log *l, int64_t ms, int64_t from, int64_t to, int64_t *ret_ms,
                     int32_t *ret_epoch)
{
    int64_t found = -1;
    *ret_ms = *ret_epoch = -1;
    for (uint32_t i = 0; i < l->count; i++) {
        const struct model_batch *b = &l->batches[i];
        for (int32_t k = 0; k < b->records; k++) {
            int64_t offset = b->base + k, time_ms = b->time_ms + k * b->time_step;
            if (offset < from || offset >= to || (ms >= 0 && (found >= 0 || time_ms < ms))) continue;
            if (ms < 0 && time_ms <= *ret_ms) continue;
            found = offset;
            *ret_ms = time_ms;
            *ret_epoch = b->epoch;
        }
    }
    return found;
}

const char *model_ack(struct model_log *l, uint64_t id)
{
    for (uint32_t i = 0; i < l->count; i++) {
        struct model_batch *b = &l->batches[i];
        if (b->id == id) {
            b->acked = true;
            return NULL;
        }
        if (!b->acked && b->id < id) return model_wrong("offset %lld is still unanswered", (long long)b->base);
    }
    return l->replicated ? NULL : model_wrong("an append that is not in the log"); /* cut meanwhile */
}

void model_cut(struct model_log *l, int64_t offset)
{
    while (l->count > 0) {
        const struct model_batch *b = &l->batches[l->count - 1];
        if (b->base + b->records <= offset) break;
        l->log_end = b->base;
        l->count--;
    }
}

/* Everything below must have outlived the crash. */
static int64_t promised_end(const struct model_log *l)
{
    int64_t end = l->high_watermark_seen;
    for (uint32_t i = 0; i < l->count; i++) {
        const struct model_batch *b = &l->batches[i];
        bool cuttable = l->cut != NO_OFFSET && b->base + b->records > l->cut;
        if (b->acked && !cuttable) end = MAX(end, b->base + b->records);
    }
    return end;
}

const char *model_restart(struct model_log *l, int64_t log_start, int64_t log_end, int32_t epoch)
{
    int64_t promised = promised_end(l), accepted = l->log_end;
    int32_t epoch_in_log = 0;
    if (log_end < promised)
        return model_wrong("log end %lld, but up to %lld was acknowledged", (long long)log_end, (long long)promised);
    if (log_end > accepted)
        return model_wrong("log end %lld, but only %lld was accepted", (long long)log_end, (long long)accepted);
    model_cut(l, log_end);
    if (l->log_end != log_end) return model_wrong("log end %lld lies inside a batch", (long long)log_end);
    if (log_start < l->log_start_seen || log_start > l->log_start_accepted)
        return model_wrong("log start %lld, seen %lld, asked for %lld", (long long)log_start,
                           (long long)l->log_start_seen, (long long)l->log_start_accepted);
    for (uint32_t i = 0; i < l->count; i++) {
        epoch_in_log = MAX(epoch_in_log, l->batches[i].epoch);
        l->batches[i].acked = true; /* it was read back from the disk: from now on it stays */
    }
    if (epoch < MAX(l->epoch_acked, epoch_in_log) || epoch > l->epoch_accepted)
        return model_wrong("leader epoch %d, acknowledged %d, in the log %d, asked for %d", epoch, l->epoch_acked,
                           epoch_in_log, l->epoch_accepted);
    l->epoch_accepted = l->epoch_acked = epoch;
    l->log_start_accepted = l->log_start_seen = log_start;
    l->cut = NO_OFFSET;
    return NULL;
}

static const struct model_batch *batch_of(const struct model_log *l, int64_t base)
{
    uint32_t low = 0, high = l->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (l->batches[middle].base < base)
            low = middle + 1;
        else
            high = middle;
    }
    return low < l->count && l->batches[low].base == base ? &l->batches[low] : NULL;
}

const char *model_compare(const struct model_log *l, const uint8_t *at, uint32_t left, int64_t *ret_next,
                          uint32_t *ret_len)
{
    struct batch_info info;
    if (batch_parse(at, left, &info) != STATUS_OK) return model_wrong("not a batch");
    const struct model_batch *b = batch_of(l, info.base_offset);
    if (b == NULL) return model_wrong("no batch begins at %lld", (long long)info.base_offset);
    if (b->len != info.size_bytes || b->crc != crc32c(0, at + FREE_HEAD, info.size_bytes - FREE_HEAD))
        return model_wrong("other bytes at %lld", (long long)info.base_offset);
    if ((int32_t)load_be32(at + 12) != b->epoch)
        return model_wrong("leader epoch %d at %lld, not %d", (int32_t)load_be32(at + 12), (long long)b->base,
                           b->epoch);
    *ret_next = b->base + b->records;
    *ret_len = b->len;
    return NULL;
}

int64_t model_epoch_end(const struct model_log *l, int32_t epoch)
{
    for (uint32_t i = l->count; i > 0; i--) {
        const struct model_batch *b = &l->batches[i - 1];
        if (b->epoch == epoch) return b->base + b->records > l->log_start_seen ? b->base + b->records : NO_OFFSET;
    }
    return NO_OFFSET;
}

/* --- compaction --- */

/* The batch that holds `offset`, or the first behind it; count: none. */
static uint32_t at_or_behind(const struct model_log *l, int64_t offset)
{
    uint32_t low = 0, high = l->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (l->batches[middle].base + l->batches[middle].records <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool may_go(const struct model_log *l, uint32_t i, int64_t offset, int64_t high_watermark)
{
    const struct model_batch *b = &l->batches[i];
    uint64_t key = b->key + (uint64_t)(offset - b->base);
    if (b->tombstones) return true;
    for (i++; i < l->count && l->batches[i].base < high_watermark; i++) /* within a batch keys differ */
        if (key >= l->batches[i].key && key < l->batches[i].key + (uint64_t)l->batches[i].records) return true;
    return false;
}

const char *model_gap(const struct model_log *l, int64_t from, int64_t to, int64_t high_watermark)
{
    if (from < to && !l->compacted) return model_wrong("nothing at %lld", (long long)from);
    for (uint32_t i = at_or_behind(l, from); i < l->count && l->batches[i].base < to; i++) {
        const struct model_batch *b = &l->batches[i];
        for (int64_t o = MAX(from, b->base); o < MIN(to, b->base + b->records); o++)
            if (!may_go(l, i, o, high_watermark)) return model_wrong("%lld is gone, the last of its key", (long long)o);
    }
    return NULL;
}

static const char *compare_record(const struct model_batch *b, const struct batch_record *r)
{
    char key[24], value[40];
    int32_t i = (int32_t)(r->offset - b->base);
    int key_len = snprintf(key, sizeof key, "k%llu", (unsigned long long)b->key + (unsigned)i);
    int value_len = snprintf(value, sizeof value, "%016llx:%06d", (unsigned long long)b->id, i);
    bool same = r->key_len == key_len && memcmp(r->key, key, (size_t)key_len) == 0;
    same = same && (b->tombstones ? r->value_len == -1
                                  : r->value_len >= value_len && memcmp(r->value, value, (size_t)value_len) == 0);
    same = same && r->timestamp_ms == b->time_ms + i * b->time_step;
    return same ? NULL : model_wrong("another record at %lld", (long long)r->offset);
}

const char *model_compare_thinned(const struct model_log *l, const uint8_t *at, uint32_t left, int64_t high_watermark,
                                  int64_t *ret_next, uint32_t *ret_len)
{
    struct batch_info info;
    struct batch_iter it;
    struct batch_record r;
    if (batch_parse(at, left, &info) != STATUS_OK) return model_wrong("not a batch");
    const struct model_batch *b = batch_of(l, info.base_offset);
    if (b == NULL) return model_wrong("no batch begins at %lld", (long long)info.base_offset);
    if (!batch_crc_valid(at, &info) || info.last_offset_delta != b->records - 1 || info.leader_epoch != b->epoch)
        return model_wrong("CRC, last offset or epoch at %lld", (long long)b->base);
    if (info.producer_id != b->producer_id ||
        (b->producer_id >= 0 && (info.producer_epoch != b->producer_epoch || info.base_sequence != b->first_sequence)))
        return model_wrong("another producer at %lld", (long long)b->base);
    struct mem *mem = mem_create(64u << 20);
    const char *wrong = NULL;
    int64_t next = b->base;
    CHECK_OK(batch_iter_open(&it, at, &info, mem, 1u << 20));
    while (wrong == NULL && batch_iter_next(&it, &r)) {
        wrong = model_gap(l, next, r.offset, high_watermark);
        if (wrong == NULL) wrong = compare_record(b, &r);
        next = r.offset + 1;
    }
    if (batch_iter_close(&it) != STATUS_OK) wrong = model_wrong("no sound records at %lld", (long long)b->base);
    if (wrong == NULL) wrong = model_gap(l, next, b->base + b->records, high_watermark);
    mem_destroy(mem);
    *ret_next = b->base + b->records;
    *ret_len = info.size_bytes;
    return wrong;
}

const char *model_newest(const struct model_log *l, int64_t log_start, const int64_t seen[MODEL_KEYS])
{
    for (uint64_t key = 0; key < MODEL_KEYS; key++) {
        int64_t newest = -1;
        bool tombstone = false;
        for (uint32_t i = l->count; i > 0 && newest < 0; i--) {
            const struct model_batch *b = &l->batches[i - 1];
            if (key < b->key || key >= b->key + (uint64_t)b->records) continue;
            newest = b->base + (int64_t)(key - b->key);
            tombstone = b->tombstones;
        }
        if (newest < log_start || seen[key] == newest || (tombstone && seen[key] < 0)) continue;
        return model_wrong("key %llu: the last is %lld, found %lld", (unsigned long long)key, (long long)newest,
                           (long long)seen[key]);
    }
    return NULL;
}

const char *model_looked(const struct model_log *l, int64_t ms, int64_t from, int64_t to, int64_t high_watermark,
                         int64_t offset, int64_t found_ms, int32_t epoch)
{
    uint32_t i = offset < 0 ? l->count : at_or_behind(l, offset);
    if (offset >= 0) {
        if (i == l->count || l->batches[i].base > offset)
            return model_wrong("no record was at %lld", (long long)offset);
        const struct model_batch *b = &l->batches[i];
        if (found_ms != b->time_ms + (offset - b->base) * b->time_step || epoch != b->epoch || found_ms < ms)
            return model_wrong("another time or epoch at %lld", (long long)offset);
    }
    for (i = at_or_behind(l, from); i < l->count && l->batches[i].base < to; i++) {
        const struct model_batch *b = &l->batches[i];
        for (int64_t o = MAX(from, b->base); o < MIN(to, b->base + b->records); o++) {
            int64_t t = b->time_ms + (o - b->base) * b->time_step;
            bool better = ms >= 0 ? t >= ms && (offset < 0 || o < offset)
                                  : offset < 0 || t > found_ms || (t == found_ms && o < offset);
            if (better && !may_go(l, i, o, high_watermark))
                return model_wrong("%lld at %lld is a better answer", (long long)o, (long long)t);
        }
    }
    return NULL;
}

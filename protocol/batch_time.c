// SPDX-License-Identifier: Apache-2.0
/* Walks the records of a batch for a time (batch_time.h).
 *
 * Happy path: with LogAppendTime every record has the batch's time; else one record after the other, until the first
 * that fits or, for the largest time, to the end.
 * Failure: the first malformed record, or what the decompressor said, ends the walk. */
#include "protocol/batch_time.h"
#include "base/check.h"
#include "protocol/record_parse.h"

struct time_walk {
    const struct batch_info *info;
    const struct batch_time_query *q;
    struct batch_time found;
    bool any;
};

/* True: no later record can be a better answer. */
static bool consider(struct time_walk *w, int64_t offset, int64_t timestamp_ms)
{
    if (offset < w->q->from_offset || timestamp_ms < w->q->from_ms) return false;
    if (w->any && timestamp_ms <= w->found.timestamp_ms) return false;
    w->found = (struct batch_time){.offset = offset, .timestamp_ms = timestamp_ms};
    w->any = true;
    return !w->q->largest || batch_is_log_append_time(w->info);
}

static enum status walk(struct time_walk *w, struct record_source *s)
{
    const struct batch_info *info = w->info;
    int32_t last_delta = -1;
    for (int32_t i = 0; i < info->record_count; i++) {
        struct record_raw r;
        int64_t timestamp_ms;
        if (!record_parse(s, &r)) return s->status;
        if (r.offset_delta <= last_delta || r.offset_delta > info->last_offset_delta) return STATUS_INVALID_RECORD;
        if (__builtin_add_overflow(info->base_timestamp_ms, r.timestamp_delta, &timestamp_ms))
            return STATUS_INVALID_RECORD;
        last_delta = r.offset_delta;
        if (batch_is_log_append_time(info)) timestamp_ms = info->max_timestamp_ms;
        if (consider(w, info->base_offset + r.offset_delta, timestamp_ms)) return STATUS_OK;
    }
    return STATUS_OK;
}

enum status batch_time_find(const void *data, const struct batch_info *info, const struct batch_time_query *q,
                            struct mem *mem, struct batch_time *ret_found)
{
    CHECK(info->size_bytes >= BATCH_HEADER_BYTES);
    CHECK(info->record_count >= 0);
    const uint8_t *records = (const uint8_t *)data + BATCH_HEADER_BYTES;
    size_t records_bytes = info->size_bytes - BATCH_HEADER_BYTES;
    struct time_walk w = {.info = info, .q = q};
    struct record_source source;
    enum status s;
    if (batch_codec(info) == CODEC_NONE || info->record_count == 0) {
        record_source_init(&source, records, records_bytes, NULL);
        s = walk(&w, &source);
    } else {
        struct codec_reader *reader;
        s = codec_reader_open(mem, batch_codec(info), records, records_bytes, q->output_cap_bytes, &reader);
        if (s != STATUS_OK) return s;
        record_source_init(&source, NULL, 0, reader);
        s = walk(&w, &source);
        codec_reader_close(reader);
    }
    if (s != STATUS_OK) return s;
    if (!w.any) return STATUS_NOT_FOUND;
    CHECK(w.found.offset >= q->from_offset && w.found.offset <= batch_last_offset(info));
    *ret_found = w.found;
    return STATUS_OK;
}

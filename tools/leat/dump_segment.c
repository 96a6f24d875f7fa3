// SPDX-License-Identifier: Apache-2.0
/* A segment: record batches back to back. Beside a running broker, or after a crash, the newest segment of a partition
 * may end inside a batch (moves stop at multiples of 4 KiB, the rest is in the journal or the checkpoint table), and
 * space reserved ahead is zeros: both are notes, not damage.
 *
 * Failure modes: bytes that are no batch, or fail the checksum: the next sound batch is searched byte by byte, and what
 * lies between is told as damage. */
#include "tools/leat/dump.h"

#include "base/bytes.h"
#include "protocol/batch_record.h"
#include "storage/types.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PLAIN_BYTES_MAX (256u << 20)

struct walk {
    uint64_t pos, batches, records;
    int64_t next_offset; /* lowest that may come; -1: none seen */
};

static const char *codec_text(const struct batch_info *info)
{
    return batch_codec(info) < CODEC_COUNT ? codec_name(batch_codec(info)) : "unknown";
}

static void print_batch(struct dump *d, uint64_t pos, const struct batch_info *info)
{
    dump_begin(d, "batch");
    dump_uint(d, "position", pos);
    dump_uint(d, "bytes", info->size_bytes);
    dump_int(d, "offset", info->base_offset);
    dump_int(d, "last", batch_last_offset(info));
    dump_int(d, "records", info->record_count);
    dump_int(d, "epoch", info->leader_epoch);
    dump_word(d, "codec", codec_text(info));
    dump_time(d, "time", info->base_timestamp_ms);
    dump_time(d, "max_time", info->max_timestamp_ms);
    if (batch_is_log_append_time(info)) dump_word(d, "time_type", "LogAppendTime");
    if (batch_has_producer(info)) {
        dump_int(d, "producer", info->producer_id);
        dump_int(d, "producer_epoch", info->producer_epoch);
        dump_int(d, "sequence", info->base_sequence);
    }
    if (batch_is_transactional(info)) dump_word(d, "transactional", "yes");
    if (batch_is_control(info)) dump_word(d, "control", "yes");
    dump_end(d);
}

static void print_record(struct dump *d, const struct batch_record *r)
{
    dump_begin(d, "record");
    dump_int(d, "offset", r->offset);
    dump_time(d, "time", r->timestamp_ms);
    dump_bytes(d, "key", r->key, r->key_len);
    dump_bytes(d, "value", r->value, r->value_len);
    dump_int(d, "headers", r->header_count);
    dump_end(d);
    d->things--; /* the sum counts batches */
}

/* Decodes all records, and prints them if that is wanted: what decodes is sound to its last byte. */
static enum status look_inside(struct dump *d, const uint8_t *bytes, const struct batch_info *info)
{
    struct batch_iter it;
    struct batch_record r;
    enum status s = batch_iter_open(&it, bytes, info, d->mem, PLAIN_BYTES_MAX);
    if (s != STATUS_OK) return s;
    while (batch_iter_next(&it, &r))
        if (d->deep) print_record(d, &r);
    return batch_iter_close(&it);
}

/* A whole batch at pos with a right checksum. */
static enum status batch_at(struct dump *d, uint64_t pos, struct batch_info *ret_info, const uint8_t **ret_bytes)
{
    struct source *s = d->source;
    uint8_t head[BATCH_HEADER_BYTES];
    if (s->size - pos < BATCH_HEADER_BYTES) return STATUS_TRUNCATED_INPUT;
    const uint8_t *p = source_at(s, pos, BATCH_HEADER_BYTES);
    if (p == NULL) return STATUS_IO_ERROR;
    memcpy(head, p, sizeof head);
    uint64_t size = BATCH_LOG_OVERHEAD + (uint64_t)load_be32(head + 8);
    if (head[16] != BATCH_MAGIC || size < BATCH_HEADER_BYTES || size > BATCH_BYTES_MAX) return STATUS_CORRUPT_BATCH;
    if (size > s->size - pos) return STATUS_TRUNCATED_INPUT;
    p = source_at(s, pos, size);
    if (p == NULL) return STATUS_IO_ERROR;
    enum status status = batch_parse(p, size, ret_info);
    if (status == STATUS_OK && !batch_crc_valid(p, ret_info)) status = STATUS_CORRUPT_BATCH;
    if (status == STATUS_OK) *ret_bytes = p;
    return status;
}

/* Where the file's bytes end: at the last one that is not zero, up to the next 4 KiB; at most the file's size. */
static uint64_t data_end(struct dump *d, uint64_t pos)
{
    struct source *s = d->source;
    uint64_t end = pos;
    for (uint64_t at = pos; at < s->size;) {
        uint64_t next = MIN(align_down(at, BLOCK_BYTES) + BLOCK_BYTES, s->size);
        if (!source_zero(s, at, next)) end = next;
        at = next;
    }
    return end;
}

/* In the newest segment, whose last batch was moved up to some multiple of 4 KiB only. end: what its length says. */
static bool on_its_way(struct dump *d, uint64_t pos, uint64_t end, bool plausible)
{
    if (!d->newest) return false;
    uint64_t there = data_end(d, pos);
    return there % BLOCK_BYTES == 0 && (there - pos < BATCH_HEADER_BYTES || (plausible && end > there));
}

/* The next place where a sound batch begins that fits the order; the end of the file if there is none. */
static uint64_t search(struct dump *d, uint64_t pos, int64_t next_offset)
{
    struct source *s = d->source;
    for (uint64_t at = pos; at + BATCH_HEADER_BYTES <= s->size; at++) {
        struct batch_info info;
        const uint8_t *bytes, *p = source_at(s, at, BATCH_HEADER_BYTES);
        if (p == NULL || p[16] != BATCH_MAGIC || (int64_t)load_be64(p) < next_offset) continue;
        if (batch_at(d, at, &info, &bytes) == STATUS_OK) return at;
    }
    return s->size;
}

/* What stands at w->pos is no batch. */
static void no_batch(struct dump *d, struct walk *w, enum status status)
{
    struct source *s = d->source;
    uint64_t size = 0, left = s->size - w->pos;
    const uint8_t *p = left >= BATCH_HEADER_BYTES ? source_at(s, w->pos, BATCH_HEADER_BYTES) : NULL;
    if (p != NULL) size = BATCH_LOG_OVERHEAD + (uint64_t)load_be32(p + 8);
    bool plausible = p != NULL && p[16] == BATCH_MAGIC && size >= BATCH_HEADER_BYTES && size <= BATCH_BYTES_MAX;
    if (on_its_way(d, w->pos, w->pos + size, plausible)) {
        dump_note(d, w->pos, "the file ends inside a batch; the rest is in the journal or the checkpoint table");
        w->pos = s->size;
        return;
    }
    uint64_t next = search(d, w->pos + 1, w->next_offset);
    if (status == STATUS_IO_ERROR)
        dump_damage(d, w->pos, next - w->pos, "cannot be read: %s", strerror(errno));
    else if (status == STATUS_TRUNCATED_INPUT)
        dump_damage(d, w->pos, next - w->pos, "the file ends inside a batch");
    else
        dump_damage(d, w->pos, next - w->pos, "%s", plausible ? "a batch that fails its checksum" : "no record batch");
    w->pos = next;
}

static void one_batch(struct dump *d, struct walk *w, const struct batch_info *info, const uint8_t *bytes)
{
    uint64_t pos = w->pos;
    print_batch(d, pos, info);
    if (info->base_offset < w->next_offset)
        dump_damage(d, pos, info->size_bytes, "offset %lld stands behind %lld", (long long)info->base_offset,
                    (long long)w->next_offset - 1);
    enum status s = look_inside(d, bytes, info);
    if (s != STATUS_OK)
        dump_damage(d, pos, info->size_bytes, "the records of offsets %lld to %lld do not decode: %s",
                    (long long)info->base_offset, (long long)batch_last_offset(info), status_text(s));
    w->pos += info->size_bytes;
    w->next_offset = MAX(w->next_offset, batch_next_offset(info));
    w->batches++;
    w->records += (uint64_t)info->record_count;
}

/* "00000000000000000042.log" -> 42; -1 where the name says nothing. */
static int64_t base_of(const char *path)
{
    const char *name = strrchr(path, '/');
    char *end;
    name = name == NULL ? path : name + 1;
    long long base = strtoll(name, &end, 10);
    return end - name == 20 && base >= 0 ? base : -1;
}

void dump_segment(struct dump *d)
{
    struct source *s = d->source;
    struct walk w = {.next_offset = base_of(d->path)};
    int64_t first = -1;
    while (w.pos < s->size) {
        struct batch_info info;
        const uint8_t *bytes;
        if (source_zero(s, w.pos, MIN(s->size, w.pos + BATCH_HEADER_BYTES)) && source_zero(s, w.pos, s->size)) {
            dump_note(d, w.pos, "%llu bytes reserved and not used", (unsigned long long)(s->size - w.pos));
            break;
        }
        enum status status = batch_at(d, w.pos, &info, &bytes);
        if (status != STATUS_OK) {
            if (!source_again(s)) no_batch(d, &w, status);
            continue;
        }
        source_fine(s);
        if (first < 0) first = info.base_offset;
        one_batch(d, &w, &info, bytes);
        progress_show(&d->progress, "read", w.records, w.pos);
    }
    dump_sum(d);
    dump_uint(d, "batches", w.batches);
    dump_uint(d, "records", w.records);
    dump_int(d, "first", first);
    dump_int(d, "next", first < 0 ? -1 : w.next_offset);
    dump_end(d);
}

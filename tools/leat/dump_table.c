// SPDX-License-Identifier: Apache-2.0
/* A checkpoint table: a base chunk at 0, delta chunks behind it. The chain ends where a chunk is of another generation,
 * number or chain value: what lies behind are remains of an older generation, or a torn write that never counted.
 *
 * Failure modes: a chunk whose payload fails its checksum is damage only if a later chunk of its generation is sound
 * (then it was durable once); a record that fails its own checksum is damage. */
#include "tools/leat/dump.h"

#include "base/bytes.h"
#include "base/crc32c.h"
#include "storage/epoch_map.h"
#include "storage/producer_state.h"
#include "storage/table.h"
#include <string.h>

static uint64_t chunk_bytes(const struct chunk_header *h)
{
    return align_up(CHUNK_HEADER_BYTES + h->payload_bytes, BLOCK_BYTES);
}

static bool header_at(struct dump *d, uint64_t pos, struct chunk_header *ret_header)
{
    if (d->source->size - pos < BLOCK_BYTES) return false;
    const uint8_t *p = source_at(d->source, pos, BLOCK_BYTES);
    return p != NULL && chunk_header_decode(p, ret_header) == STATUS_OK &&
           ret_header->payload_bytes <= d->source->size - pos - CHUNK_HEADER_BYTES;
}

static const uint8_t *payload_at(struct dump *d, uint64_t pos, const struct chunk_header *h)
{
    const uint8_t *p = source_at(d->source, pos, CHUNK_HEADER_BYTES + h->payload_bytes);
    if (p == NULL || crc32c(0, p + CHUNK_HEADER_BYTES, h->payload_bytes) != h->payload_crc) return NULL;
    return p + CHUNK_HEADER_BYTES;
}

static void print_deep(struct dump *d, const struct record_parts *p)
{
    for (uint32_t i = 0; i < p->segment_count; i++) {
        struct segment s;
        table_record_segment(p, i, &s);
        dump_begin(d, "segment");
        dump_int(d, "base", s.base);
        dump_uint(d, "start", s.start);
        if (s.length == UINT64_MAX)
            dump_word(d, "bytes", "open");
        else
            dump_uint(d, "bytes", s.length);
        dump_time(d, "newest", s.newest_ms);
        if (s.generation > 0) dump_uint(d, "generation", s.generation);
        dump_end(d);
        d->things--;
    }
    for (uint32_t i = 0; i + EPOCH_MAP_ENTRY_BYTES <= p->epoch_bytes; i += EPOCH_MAP_ENTRY_BYTES) {
        dump_begin(d, "epoch");
        dump_int(d, "epoch", (int32_t)load_le32(p->epochs + i + 8));
        dump_int(d, "start", (int64_t)load_le64(p->epochs + i));
        dump_end(d);
        d->things--;
    }
}

/* How many producers there are. False: their state does not decode; changes are looked at by their count only. */
static bool producers_of(struct dump *d, const struct record *r, const struct record_parts *p, uint32_t *ret_count)
{
    struct producer_state state;
    if (r->changes) {
        *ret_count = p->producer_bytes < sizeof(uint32_t) ? 0 : load_le32(p->producers);
        return p->producer_bytes >= sizeof(uint32_t);
    }
    producer_state_init(&state, d->mem);
    enum status s = producer_state_decode(&state, p->producers, p->producer_bytes);
    *ret_count = s == STATUS_OK ? producer_state_count(&state) : 0;
    producer_state_deinit(&state);
    return s != STATUS_DAMAGED;
}

static void print_drop(struct dump *d, const struct record *r)
{
    dump_begin(d, "drop");
    dump_hex(d, "topic_id", r->id.b, sizeof r->id.b);
    dump_int(d, "partition", r->number);
    dump_uint(d, "home", r->home);
    dump_end(d);
    d->things--; /* the sum counts chunks */
}

static void print_record(struct dump *d, uint64_t pos, const struct record *r)
{
    struct record_parts p;
    uint32_t producers;
    table_record_parts(r, &p);
    bool sound = producers_of(d, r, &p, &producers);
    dump_begin(d, "partition");
    dump_word(d, "topic", r->topic);
    dump_hex(d, "topic_id", r->id.b, sizeof r->id.b);
    dump_int(d, "partition", r->number);
    dump_uint(d, "home", r->home);
    dump_int(d, "log_start", p.log_start);
    dump_int(d, "log_end", p.log_end);
    dump_int(d, "high_watermark", p.high_watermark);
    dump_int(d, "epoch", p.epoch);
    dump_uint(d, "end", p.end_pos);
    dump_uint(d, "moved", p.moved_pos);
    dump_uint(d, "carried", p.carried_bytes);
    dump_uint(d, "segments", p.segment_count);
    dump_uint(d, r->changes ? "producers_changed" : "producers", producers);
    if (p.damaged_from >= 0) {
        dump_int(d, "damaged_from", p.damaged_from);
        dump_int(d, "damaged_to", p.damaged_to);
    }
    dump_end(d);
    d->things--;
    if (d->deep) print_deep(d, &p);
    if (!sound) dump_damage(d, pos, r->body_bytes, "%s-%d: its producer state makes no sense", r->topic, r->number);
}

static void print_records(struct dump *d, uint64_t pos, const struct chunk_header *h, const uint8_t *payload)
{
    size_t at = 0;
    for (uint32_t i = 0; i < h->records; i++) {
        struct record r;
        uint64_t place = pos + CHUNK_HEADER_BYTES + at;
        enum status s = table_record_decode(payload, h->payload_bytes, &at, &r);
        if (s == STATUS_OK && r.drop) print_drop(d, &r);
        if (s == STATUS_OK && !r.drop) print_record(d, place, &r);
        if (s == STATUS_OK) continue;
        dump_damage(d, place, 0,
                    s == STATUS_FORMAT ? "record %u: nothing can be read from here on"
                                       : "record %u fails its checksum or makes no sense",
                    i);
        if (s == STATUS_FORMAT) return;
    }
}

static void print_chunk(struct dump *d, uint64_t pos, const struct chunk_header *h)
{
    dump_begin(d, h->number == 0 ? "base" : "delta");
    dump_uint(d, "position", pos);
    dump_uint(d, "bytes", CHUNK_HEADER_BYTES + h->payload_bytes);
    dump_uint(d, "generation", h->generation);
    dump_uint(d, "number", h->number);
    dump_uint(d, "records", h->records);
    dump_uint(d, "sequence", h->sequence);
    dump_uint(d, "replay_from", h->replay_from);
    dump_uint(d, "replay_file", h->replay_file);
    dump_uint(d, "replay_position", h->replay_pos);
    dump_uint(d, "creations", h->creations);
    dump_end(d);
}

/* A sound chunk of this generation, or a newer one, behind pos: what failed before it was durable once. */
static bool witnessed(struct dump *d, uint64_t pos, const struct chunk_header *last)
{
    for (; pos + BLOCK_BYTES <= d->source->size; pos += BLOCK_BYTES) {
        struct chunk_header h;
        if (!header_at(d, pos, &h) || h.generation < last->generation) continue;
        if ((h.generation > last->generation || h.number > last->number) && payload_at(d, pos, &h) != NULL) return true;
    }
    return false;
}

/* last NULL: not even a header was sound. Then what lies behind may be of an older table that is being written over. */
static void judge_end(struct dump *d, uint64_t pos, const struct chunk_header *last)
{
    if (pos >= d->source->size) return;
    const uint8_t *p =
        d->source->size - pos < CHUNK_HEADER_BYTES ? NULL : source_at(d->source, pos, CHUNK_HEADER_BYTES);
    uint32_t version = p == NULL ? 0 : chunk_other_version(p);
    if (version != 0)
        dump_damage(d, pos, 0, "format version %u, this tool knows %u", version, TABLE_VERSION);
    else if (last != NULL && witnessed(d, pos, last))
        dump_damage(d, pos, 0, "a chunk is damaged, and a later one of generation %llu is sound",
                    (unsigned long long)last->generation);
    else
        dump_note(d, pos,
                  source_zero(d->source, pos, d->source->size)
                      ? "reserved and not used"
                      : "remains of an older generation, or of a write that never counted");
}

void dump_table(struct dump *d)
{
    struct chunk_header h, last = {0};
    uint64_t pos = 0, chunks = 0;
    while (pos < d->source->size && header_at(d, pos, &h)) {
        bool follows =
            chunks == 0 ? h.number == 0
                        : h.number == last.number + 1 && h.generation == last.generation && h.chain == last.header_crc;
        const uint8_t *payload = follows ? payload_at(d, pos, &h) : NULL;
        if (follows && payload == NULL && source_again(d->source)) continue;
        if (payload == NULL) break;
        source_fine(d->source);
        print_chunk(d, pos, &h);
        print_records(d, pos, &h, payload_at(d, pos, &h));
        last = h;
        chunks++;
        pos += chunk_bytes(&h);
    }
    bool head_only = chunks == 0 && d->source->size >= CHUNK_HEADER_BYTES && header_at(d, 0, &last);
    judge_end(d, pos, chunks > 0 || head_only ? &last : NULL);
    dump_sum(d);
    dump_uint(d, "chunks", chunks);
    if (chunks > 0) dump_uint(d, "generation", last.generation);
    if (chunks > 0) dump_uint(d, "sequence", last.sequence);
    dump_end(d);
}

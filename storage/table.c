// SPDX-License-Identifier: Apache-2.0
/* Encoding and decoding of the checkpoint table. Record body:
 *
 *     0 u8[16] topic id        16 i32 partition           20 u32 flags (1: dropped, 2: producers are changes)
 *    24 u64 home number        (a dropped record ends here)
 *    32 u64 creation           40 i64 log start           48 i64 log end           56 i64 high watermark
 *    64 i64 replicated up to   72 i32 leader epoch
 *    76 u32 fragment bytes: of the carried bytes, those before the first batch that begins in them
 *    80 u64 end position       88 u64 moved position      96 u64 carry end
 *   104 u64 resume sequence   112 u32 resume entry       116 u16 topic name bytes 118 u16 zero
 *   120 i64 damaged from      128 i64 damaged to         136 i64 segment time
 *   144 u32 segments          148 u32 carried bytes      152 u32 epoch map bytes  156 u32 producer bytes
 *   160 u32 index bytes       164 u32 zero               168 u64 log position of the resume entry
 *   176 i64 clean end         184 u32 last generation given                    188 u32 zero
 *   192 name, segments x {i64 base, u64 start, u64 length, i64 newest, i64 oldest, u32 generation, u32 zero}, carried
 *       bytes, epoch map, producers, index
 *
 * Failure modes: a decoder believes no count before it has added it up against the bytes there are. */
#include "storage/table.h"

#include "base/bytes.h"
#include "base/crc32c.h"
#include "protocol/batch.h"
#include "storage/store_impl.h"
#include "storage/sealed.h"

#define BODY_DROP_BYTES  32u
#define BODY_FIXED_BYTES 192u
#define SEGMENT_BYTES    48u
#define FLAG_DROPPED     1u
#define FLAG_CHANGES     2u
#define OUT_FIRST_BYTES  4096u

/* --- chunk header --- */

void chunk_header_encode(uint8_t out[CHUNK_HEADER_BYTES], struct chunk_header *h)
{
    memset(out, 0, CHUNK_HEADER_BYTES);
    store_le64(out, TABLE_MAGIC);
    store_le32(out + 8, TABLE_VERSION);
    memcpy(out + 16, h->journal.b, sizeof h->journal.b);
    store_le64(out + 32, h->generation);
    store_le32(out + 40, h->number);
    store_le32(out + 44, h->records);
    store_le64(out + 48, h->sequence);
    store_le64(out + 56, h->replay_from);
    store_le64(out + 64, h->replay_pos);
    store_le32(out + 72, h->replay_file);
    store_le32(out + 76, h->payload_crc);
    store_le64(out + 80, h->payload_bytes);
    store_le64(out + 88, h->creations);
    store_le32(out + 96, h->chain);
    h->header_crc = sealed_crc(out, CHUNK_HEADER_BYTES);
    store_le32(out + 12, h->header_crc);
}

enum status chunk_header_decode(const uint8_t in[CHUNK_HEADER_BYTES], struct chunk_header *ret_header)
{
    if (load_le64(in) != TABLE_MAGIC || load_le32(in + 8) != TABLE_VERSION) return STATUS_FORMAT;
    if (load_le32(in + 12) != sealed_crc(in, CHUNK_HEADER_BYTES)) return STATUS_DAMAGED;
    struct chunk_header h = {
        .generation = load_le64(in + 32),
        .number = load_le32(in + 40),
        .records = load_le32(in + 44),
        .sequence = load_le64(in + 48),
        .replay_from = load_le64(in + 56),
        .replay_pos = load_le64(in + 64),
        .replay_file = load_le32(in + 72),
        .payload_crc = load_le32(in + 76),
        .payload_bytes = load_le64(in + 80),
        .creations = load_le64(in + 88),
        .chain = load_le32(in + 96),
        .header_crc = load_le32(in + 12),
    };
    memcpy(h.journal.b, in + 16, sizeof h.journal.b);
    if (h.replay_from > h.sequence + 1 || h.payload_bytes > UINT32_MAX) return STATUS_DAMAGED;
    *ret_header = h;
    return STATUS_OK;
}

uint32_t chunk_other_version(const uint8_t in[CHUNK_HEADER_BYTES])
{
    uint32_t version = load_le32(in + 8);
    bool sound = load_le64(in) == TABLE_MAGIC && load_le32(in + 12) == sealed_crc(in, CHUNK_HEADER_BYTES);
    return sound && version != TABLE_VERSION ? version : 0;
}

/* --- growing output --- */

void out_init(struct out *o, struct mem *m)
{
    *o = (struct out){.mem = m};
}

void out_free(struct out *o)
{
    if (o->data != NULL) mem_free_aligned(o->mem, MEM_CONTROL, o->data, o->capacity);
    *o = (struct out){.mem = o->mem};
}

uint8_t *out_take(struct out *o, size_t bytes)
{
    if (o->failed) return NULL;
    if (o->capacity - o->len < bytes) {
        size_t capacity = align_up(MAX(MAX(2 * o->capacity, o->len + bytes), OUT_FIRST_BYTES), BLOCK_BYTES);
        uint8_t *data = mem_alloc_aligned(o->mem, MEM_CONTROL, capacity);
        if (data == NULL) {
            o->failed = true;
            return NULL;
        }
        if (o->len > 0) memcpy(data, o->data, o->len);
        if (o->data != NULL) mem_free_aligned(o->mem, MEM_CONTROL, o->data, o->capacity);
        o->data = data;
        o->capacity = capacity;
    }
    uint8_t *at = o->data + o->len;
    o->len += bytes;
    return at;
}

/* --- record --- */

uint64_t table_carry_end(const struct partition *p)
{
    uint64_t end = MAX(p->carried_pos, p->moved_pos);
    return p->end_pos - p->moved_pos < BLOCK_BYTES ? p->end_pos : end;
}

static uint32_t fragment_bytes(const struct partition *p, uint64_t carry_end)
{
    if (carry_end == p->moved_pos) return 0;
    uint32_t i = refs_find_pos(p, p->moved_pos);
    const struct ref *r = ref_at(p, i);
    if (r->whole && r->pos == p->moved_pos) return 0;
    return (uint32_t)(r->pos + r->len - p->moved_pos);
}

static void record_fixed(uint8_t *b, const struct partition *p, uint64_t carry_end, enum producer_encoding producers)
{
    uint32_t next = carry_end < p->end_pos ? refs_find_pos(p, carry_end) : p->ref_count;
    const struct ref *r = next < p->ref_count ? ref_at(p, next) : NULL;
    memset(b, 0, BODY_FIXED_BYTES);
    memcpy(b, p->id.b, sizeof p->id.b);
    store_le32(b + 16, (uint32_t)p->number);
    store_le32(b + 20, producers == PRODUCERS_CHANGES ? FLAG_CHANGES : 0);
    store_le64(b + 24, p->home);
    store_le64(b + 32, p->creation);
    store_le64(b + 40, (uint64_t)p->log_start);
    store_le64(b + 48, (uint64_t)p->log_end);
    store_le64(b + 56, (uint64_t)p->high_watermark);
    store_le64(b + 64, (uint64_t)p->replicated);
    store_le32(b + 72, (uint32_t)p->epoch);
    store_le32(b + 76, fragment_bytes(p, carry_end));
    store_le64(b + 80, p->end_pos);
    store_le64(b + 88, p->moved_pos);
    store_le64(b + 96, carry_end);
    store_le64(b + 104, r == NULL ? UINT64_MAX : r->sequence);
    store_le32(b + 112, r == NULL ? 0 : r->entry);
    store_le16(b + 116, (uint16_t)strlen(p->topic));
    store_le64(b + 120, (uint64_t)p->damaged_from);
    store_le64(b + 128, (uint64_t)p->damaged_to);
    store_le64(b + 136, (uint64_t)p->segment_time_ms);
    store_le32(b + 144, p->segment_count);
    store_le32(b + 148, (uint32_t)(carry_end - p->moved_pos));
    store_le32(b + 152, (uint32_t)epoch_map_encoded_size(&p->epochs));
    store_le32(b + 156, (uint32_t)producer_state_encoded_size(&p->producers, producers));
    store_le32(b + 160, (uint32_t)index_encoded_size(&p->index));
    store_le64(b + 168, r == NULL ? carry_end : r->pos);
    store_le64(b + 176, (uint64_t)p->clean_end);
    store_le32(b + 184, p->generation);
}

static size_t record_tail_bytes(const uint8_t *b)
{
    return load_le16(b + 116) + (size_t)load_le32(b + 144) * SEGMENT_BYTES + load_le32(b + 148) + load_le32(b + 152) +
           load_le32(b + 156) + load_le32(b + 160);
}

static void record_tail(uint8_t *at, const uint8_t *b, const struct partition *p, enum producer_encoding producers)
{
    memcpy(at, p->topic, load_le16(b + 116));
    at += load_le16(b + 116);
    for (uint32_t i = 0; i < p->segment_count; i++, at += SEGMENT_BYTES) {
        store_le64(at, (uint64_t)p->segments[i].base);
        store_le64(at + 8, p->segments[i].start);
        store_le64(at + 16, p->segments[i].length);
        store_le64(at + 24, (uint64_t)p->segments[i].newest_ms);
        store_le64(at + 32, (uint64_t)p->segments[i].oldest_ms);
        store_le32(at + 40, p->segments[i].generation);
        store_le32(at + 44, 0);
    }
    refs_copy(p, p->moved_pos, load_le32(b + 148), at);
    at += load_le32(b + 148);
    epoch_map_encode(&p->epochs, at);
    at += load_le32(b + 152);
    producer_state_encode(&p->producers, producers, at);
    at += load_le32(b + 156);
    index_encode(&p->index, at);
}

static void record_head(uint8_t *head, size_t body_bytes)
{
    store_le32(head, (uint32_t)body_bytes);
    store_le32(head + 4, crc32c(0, head + RECORD_HEAD_BYTES, body_bytes));
}

void table_record(struct out *o, const struct partition *p, enum producer_encoding producers)
{
    uint8_t fixed[BODY_FIXED_BYTES];
    record_fixed(fixed, p, table_carry_end(p), producers);
    size_t body_bytes = BODY_FIXED_BYTES + record_tail_bytes(fixed);
    uint8_t *head = out_take(o, RECORD_HEAD_BYTES + body_bytes);
    if (head == NULL) return;
    memcpy(head + RECORD_HEAD_BYTES, fixed, BODY_FIXED_BYTES);
    record_tail(head + RECORD_HEAD_BYTES + BODY_FIXED_BYTES, fixed, p, producers);
    record_head(head, body_bytes);
}

void table_record_drop(struct out *o, struct topic_id id, int32_t number, uint64_t home)
{
    uint8_t *head = out_take(o, RECORD_HEAD_BYTES + BODY_DROP_BYTES);
    if (head == NULL) return;
    uint8_t *b = head + RECORD_HEAD_BYTES;
    memcpy(b, id.b, sizeof id.b);
    store_le32(b + 16, (uint32_t)number);
    store_le32(b + 20, FLAG_DROPPED);
    store_le64(b + 24, home);
    record_head(head, BODY_DROP_BYTES);
}

enum status table_record_decode(const uint8_t *payload, size_t bytes, size_t *pos, struct record *ret_record)
{
    memset(ret_record, 0, sizeof *ret_record);
    if (bytes - *pos < RECORD_HEAD_BYTES + BODY_DROP_BYTES) return STATUS_FORMAT;
    const uint8_t *head = payload + *pos, *b = head + RECORD_HEAD_BYTES;
    size_t body_bytes = load_le32(head);
    if (body_bytes < BODY_DROP_BYTES || body_bytes > bytes - *pos - RECORD_HEAD_BYTES) return STATUS_FORMAT;
    *pos += RECORD_HEAD_BYTES + body_bytes;
    memcpy(ret_record->id.b, b, sizeof ret_record->id.b);
    ret_record->number = (int32_t)load_le32(b + 16);
    ret_record->drop = (load_le32(b + 20) & FLAG_DROPPED) != 0;
    ret_record->changes = (load_le32(b + 20) & FLAG_CHANGES) != 0;
    ret_record->home = load_le64(b + 24);
    ret_record->body = b;
    ret_record->body_bytes = body_bytes;
    if (crc32c(0, b, body_bytes) != load_le32(head + 4)) return STATUS_DAMAGED;
    if (ret_record->drop) return STATUS_OK;
    if (body_bytes < BODY_FIXED_BYTES || body_bytes - BODY_FIXED_BYTES != record_tail_bytes(b)) return STATUS_DAMAGED;
    uint16_t name_bytes = load_le16(b + 116);
    if (name_bytes == 0 || name_bytes > TOPIC_NAME_MAX) return STATUS_DAMAGED;
    memcpy(ret_record->topic, b + BODY_FIXED_BYTES, name_bytes);
    return topic_name_valid(ret_record->topic) && ret_record->number >= 0 ? STATUS_OK : STATUS_DAMAGED;
}

static enum status load_segments(struct partition *p, const uint8_t *at, uint32_t count)
{
    uint64_t closed_length = 0; /* of the segment before */
    if (count == 0) return STATUS_DAMAGED;
    for (uint32_t i = 0; i < count; i++, at += SEGMENT_BYTES) {
        int64_t base = (int64_t)load_le64(at);
        uint64_t start = load_le64(at + 8), length = load_le64(at + 16);
        struct segment s = {.newest_ms = (int64_t)load_le64(at + 24),
                            .oldest_ms = (int64_t)load_le64(at + 32),
                            .generation = load_le32(at + 40)};
        if ((length == UINT64_MAX) != (i == count - 1) || base < 0) return STATUS_DAMAGED;
        if (s.newest_ms < -1 || s.oldest_ms < -1 || s.generation > p->generation) return STATUS_DAMAGED;
        if (i == 0) {
            p->first_segment = (struct segment){.base = base, .start = start, .length = UINT64_MAX};
        } else {
            const struct segment *last = partition_active(p);
            if (base < last->base || start < last->start) return STATUS_DAMAGED;
            enum status status = partition_segment_push(p, base, start);
            if (status != STATUS_OK) return status;
            if (closed_length > p->segments[i - 1].length) return STATUS_DAMAGED;
            p->segments[i - 1].length = closed_length; /* a compacted one has a gap behind it */
        }
        closed_length = length;
        struct segment *loaded = partition_active(p);
        loaded->newest_ms = s.newest_ms;
        loaded->oldest_ms = s.oldest_ms;
        loaded->generation = s.generation;
    }
    return STATUS_OK;
}

/* Refs over carried bytes: the rest of a batch that began before them, then whole batches. */
enum status partition_carry(struct partition *p, struct buf *b, uint32_t at, uint64_t pos, uint32_t len,
                            uint32_t fragment, uint64_t sequence, uint32_t entry)
{
    struct ref r = {.pos = pos, .buf = b, .buf_pos = at, .len = fragment, .sequence = sequence, .entry = entry};
    if (fragment > len) return STATUS_DAMAGED;
    for (uint32_t done = 0; done < len; done += r.len) {
        enum status status = refs_reserve(p);
        if (status != STATUS_OK) return status;
        r.pos = pos + done;
        r.buf_pos = at + done;
        if (done > 0 || fragment == 0) {
            struct batch_info info;
            if (batch_parse(b->data + r.buf_pos, len - done, &info) != STATUS_OK) return STATUS_DAMAGED;
            r.whole = true;
            r.len = info.size_bytes;
            r.base_offset = info.base_offset;
            r.last_delta = info.last_offset_delta;
            r.max_timestamp_ms = info.max_timestamp_ms;
        }
        refs_push(p, &r);
    }
    return STATUS_OK;
}

static enum status load_carried(struct partition *p, const uint8_t *bytes, uint32_t len, uint32_t fragment)
{
    if (len == 0) return STATUS_OK;
    struct buf *b = buf_create(p->store->env->mem, MEM_LOG, len);
    if (b == NULL) return STATUS_NO_MEMORY;
    memcpy(b->data, bytes, len);
    b->size = len;
    enum status status = partition_carry(p, b, 0, p->moved_pos, len, fragment, 0, 0);
    buf_unref(&b);
    return status;
}

static bool positions_sane(const struct partition *p, uint64_t carry_end, uint64_t end, uint32_t carried)
{
    return p->segments[0].start <= p->moved_pos && p->moved_pos <= carry_end && carry_end <= end &&
           carry_end - p->moved_pos == carried && p->log_start <= p->high_watermark &&
           p->high_watermark <= p->log_end && partition_active(p)->start <= end;
}

enum status table_record_take(const struct record *rec, struct partition *p)
{
    enum status status = table_record_load(rec, p, &p->resume);
    if (status == STATUS_OK && p->resume.end_pos != p->end_pos) status = STATUS_DAMAGED;
    if (status != STATUS_OK) return status;
    p->resume = (struct resume){0};
    p->durable_pos = p->end_pos;
    p->durable_end = p->log_end;
    p->log_start_durable = p->log_start;
    return STATUS_OK;
}

enum status table_record_load(const struct record *rec, struct partition *p, struct resume *ret_resume)
{
    const uint8_t *b = rec->body, *at = b + BODY_FIXED_BYTES + load_le16(b + 116);
    uint32_t carried = load_le32(b + 148);
    p->clean_end = (int64_t)load_le64(b + 176);
    p->generation = load_le32(b + 184);
    if (p->clean_end < 0) return STATUS_DAMAGED;
    enum status status = load_segments(p, at, load_le32(b + 144));
    if (status != STATUS_OK) return status;
    at += (size_t)load_le32(b + 144) * SEGMENT_BYTES;
    p->home = load_le64(b + 24);
    p->creation = load_le64(b + 32);
    p->log_start = (int64_t)load_le64(b + 40);
    p->log_end = p->durable_end = (int64_t)load_le64(b + 48);
    p->high_watermark = (int64_t)load_le64(b + 56);
    p->replicated = (int64_t)load_le64(b + 64);
    p->epoch = (int32_t)load_le32(b + 72);
    p->moved_pos = load_le64(b + 88);
    p->carried_pos = load_le64(b + 96);
    p->end_pos = load_le64(b + 168);
    p->durable_pos = MAX(p->end_pos, p->moved_pos);
    p->damaged_from = (int64_t)load_le64(b + 120);
    p->damaged_to = (int64_t)load_le64(b + 128);
    p->segment_time_ms = (int64_t)load_le64(b + 136);
    uint64_t end_pos = load_le64(b + 80);
    if (!positions_sane(p, p->carried_pos, end_pos, carried)) return STATUS_DAMAGED;
    if (p->end_pos != p->carried_pos && (carried > 0 || p->end_pos > p->carried_pos)) return STATUS_DAMAGED;
    status = load_carried(p, at, carried, load_le32(b + 76));
    at += carried;
    if (status == STATUS_OK) status = epoch_map_decode(&p->epochs, at, load_le32(b + 152));
    at += load_le32(b + 152);
    if (status == STATUS_OK && rec->changes)
        status = producer_state_apply(&p->producers, at, load_le32(b + 156));
    else if (status == STATUS_OK)
        status = producer_state_decode(&p->producers, at, load_le32(b + 156));
    at += load_le32(b + 156);
    if (status == STATUS_OK) status = index_decode(&p->index, at, load_le32(b + 160));
    if (status != STATUS_OK) return status;
    *ret_resume = (struct resume){.sequence = load_le64(b + 104), .entry = load_le32(b + 112), .end_pos = end_pos};
    return STATUS_OK;
}

void table_record_parts(const struct record *r, struct record_parts *ret_parts)
{
    const uint8_t *b = r->body;
    CHECK(!r->drop && r->body_bytes == BODY_FIXED_BYTES + record_tail_bytes(b));
    struct record_parts p = {
        .log_start = (int64_t)load_le64(b + 40),
        .log_end = (int64_t)load_le64(b + 48),
        .high_watermark = (int64_t)load_le64(b + 56),
        .damaged_from = (int64_t)load_le64(b + 120),
        .damaged_to = (int64_t)load_le64(b + 128),
        .end_pos = load_le64(b + 80),
        .moved_pos = load_le64(b + 88),
        .epoch = (int32_t)load_le32(b + 72),
        .segment_count = load_le32(b + 144),
        .carried_bytes = load_le32(b + 148),
        .epoch_bytes = load_le32(b + 152),
        .producer_bytes = load_le32(b + 156),
        .segments = b + BODY_FIXED_BYTES + load_le16(b + 116),
    };
    p.epochs = p.segments + (size_t)p.segment_count * SEGMENT_BYTES + p.carried_bytes;
    p.producers = p.epochs + p.epoch_bytes;
    *ret_parts = p;
}

void table_record_segment(const struct record_parts *p, uint32_t i, struct segment *ret_segment)
{
    CHECK(i < p->segment_count);
    const uint8_t *at = p->segments + (size_t)i * SEGMENT_BYTES;
    *ret_segment = (struct segment){.base = (int64_t)load_le64(at),
                                    .start = load_le64(at + 8),
                                    .length = load_le64(at + 16),
                                    .newest_ms = (int64_t)load_le64(at + 24),
                                    .oldest_ms = (int64_t)load_le64(at + 32),
                                    .generation = load_le32(at + 40)};
}

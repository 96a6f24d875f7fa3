// SPDX-License-Identifier: Apache-2.0
/* Encoding and decoding of journal groups. The byte tables stand in the header file.
 *
 * Failure modes: a decoder never trusts a length: every count is bounded by the bytes that are there before it is used.
 */
#include "storage/journal_format.h"

#include "base/bytes.h"
#include "base/check.h"
#include "storage/sealed.h"

void group_header_encode(uint8_t out[GROUP_HEADER_BYTES], struct group_header *h)
{
    CHECK(h->length % BLOCK_BYTES == 0 && h->length > 0);
    memset(out, 0, GROUP_HEADER_BYTES);
    store_le64(out, GROUP_MAGIC);
    store_le32(out + 8, GROUP_VERSION);
    memcpy(out + 16, h->journal.b, sizeof h->journal.b);
    store_le64(out + 32, h->incarnation);
    store_le64(out + 40, h->sequence);
    store_le64(out + 48, h->durable_upto);
    store_le32(out + 56, h->length);
    store_le32(out + 60, h->proof_count);
    store_le32(out + 64, h->body_crc);
    store_le32(out + 68, h->chain);
    store_le32(out + 72, h->entry_count);
    store_le64(out + 80, (uint64_t)h->wall_ms);
    h->header_crc = sealed_crc(out, GROUP_HEADER_BYTES);
    store_le32(out + SEALED_CRC_AT, h->header_crc);
}

enum status group_header_decode(const uint8_t in[GROUP_HEADER_BYTES], struct group_header *ret_header)
{
    if (load_le64(in) != GROUP_MAGIC || load_le32(in + 8) != GROUP_VERSION) return STATUS_FORMAT;
    struct group_header h = {
        .incarnation = load_le64(in + 32),
        .sequence = load_le64(in + 40),
        .durable_upto = load_le64(in + 48),
        .length = load_le32(in + 56),
        .proof_count = load_le32(in + 60),
        .body_crc = load_le32(in + 64),
        .chain = load_le32(in + 68),
        .entry_count = load_le32(in + 72),
        .wall_ms = (int64_t)load_le64(in + 80),
        .header_crc = load_le32(in + SEALED_CRC_AT),
    };
    memcpy(h.journal.b, in + 16, sizeof h.journal.b);
    if (sealed_crc(in, GROUP_HEADER_BYTES) != h.header_crc) return STATUS_DAMAGED;
    if (h.length == 0 || h.length % BLOCK_BYTES != 0) return STATUS_DAMAGED;
    uint64_t least =
        GROUP_HEADER_BYTES + (uint64_t)h.proof_count * PROOF_BYTES + (uint64_t)h.entry_count * ENTRY_HEADER_BYTES;
    if (least > h.length || h.durable_upto >= h.sequence) return STATUS_DAMAGED;
    *ret_header = h;
    return STATUS_OK;
}

void entry_header_encode(uint8_t out[ENTRY_HEADER_BYTES], const struct entry *e)
{
    CHECK(e->kind > ENTRY_PAD && e->kind < ENTRY_KIND_COUNT);
    out[0] = e->kind;
    out[1] = e->log;
    store_le16(out + 2, 0);
    store_le32(out + 4, e->payload_bytes);
    memcpy(out + 8, e->topic.b, sizeof e->topic.b);
    store_le32(out + 24, (uint32_t)e->partition);
    store_le32(out + 28, (uint32_t)e->epoch);
    store_le64(out + 32, (uint64_t)e->offset);
    store_le64(out + 40, e->aux);
}

void proof_encode(uint8_t out[PROOF_BYTES], const struct proof *p)
{
    memcpy(out, p->topic.b, sizeof p->topic.b);
    store_le32(out + 16, (uint32_t)p->partition);
    store_le32(out + 20, p->log);
    store_le64(out + 24, (uint64_t)p->end);
    store_le64(out + 32, (uint64_t)p->high_watermark);
}

void proof_decode(const uint8_t in[PROOF_BYTES], struct proof *ret_proof)
{
    memcpy(ret_proof->topic.b, in, sizeof ret_proof->topic.b);
    ret_proof->partition = (int32_t)load_le32(in + 16);
    ret_proof->log = load_le32(in + 20);
    ret_proof->end = (int64_t)load_le64(in + 24);
    ret_proof->high_watermark = (int64_t)load_le64(in + 32);
}

void group_reader_init(struct group_reader *r, const uint8_t *group, const struct group_header *h)
{
    *r = (struct group_reader){
        .data = group,
        .length = h->length,
        .pos = GROUP_HEADER_BYTES + h->proof_count * PROOF_BYTES,
        .proofs_left = h->proof_count,
        .entries_left = h->entry_count,
    };
    CHECK(r->pos <= r->length);
}

void group_reader_proof(const struct group_reader *r, uint32_t i, struct proof *ret_proof)
{
    CHECK(i < r->proofs_left);
    proof_decode(r->data + GROUP_HEADER_BYTES + i * PROOF_BYTES, ret_proof);
}

enum status group_reader_next(struct group_reader *r, struct entry *ret_entry)
{
    while (r->pos < r->length && r->data[r->pos] == ENTRY_PAD) r->pos++;
    if (r->pos == r->length) return r->entries_left == 0 ? STATUS_OFFSET_OUT_OF_RANGE : STATUS_DAMAGED;
    if (r->entries_left == 0 || r->length - r->pos < ENTRY_HEADER_BYTES) return STATUS_DAMAGED;
    const uint8_t *in = r->data + r->pos;
    struct entry e = {
        .kind = in[0],
        .log = in[1],
        .payload_bytes = load_le32(in + 4),
        .partition = (int32_t)load_le32(in + 24),
        .epoch = (int32_t)load_le32(in + 28),
        .offset = (int64_t)load_le64(in + 32),
        .aux = load_le64(in + 40),
        .payload = in + ENTRY_HEADER_BYTES,
    };
    memcpy(e.topic.b, in + 8, sizeof e.topic.b);
    if (e.kind >= ENTRY_KIND_COUNT || e.payload_bytes > r->length - r->pos - ENTRY_HEADER_BYTES) return STATUS_DAMAGED;
    r->pos += ENTRY_HEADER_BYTES + e.payload_bytes;
    r->entries_left--;
    *ret_entry = e;
    return STATUS_OK;
}

void truncate_payload_encode(uint8_t out[TRUNCATE_PAYLOAD_BYTES], const struct truncate_payload *p)
{
    store_le64(out, p->end_pos);
    store_le64(out + 8, p->carry_pos);
    store_le64(out + 16, (uint64_t)p->segment_base);
    store_le32(out + 24, p->index_bytes);
    store_le32(out + 28, p->fragment_bytes);
}

enum status truncate_payload_decode(const uint8_t *in, uint32_t bytes, struct truncate_payload *ret_payload)
{
    if (bytes < TRUNCATE_PAYLOAD_BYTES) return STATUS_DAMAGED;
    struct truncate_payload p = {
        .end_pos = load_le64(in),
        .carry_pos = load_le64(in + 8),
        .segment_base = (int64_t)load_le64(in + 16),
        .index_bytes = load_le32(in + 24),
        .fragment_bytes = load_le32(in + 28),
    };
    if (p.carry_pos > p.end_pos || p.fragment_bytes > p.end_pos - p.carry_pos) return STATUS_DAMAGED;
    uint32_t behind = bytes - TRUNCATE_PAYLOAD_BYTES;
    if (p.index_bytes > behind || p.end_pos - p.carry_pos != behind - p.index_bytes) return STATUS_DAMAGED;
    *ret_payload = p;
    return STATUS_OK;
}

void swap_payload_encode(uint8_t out[SWAP_PAYLOAD_BYTES], const struct swap_payload *p)
{
    CHECK(p->count > 0 && p->generation > 0);
    store_le32(out, p->count);
    store_le32(out + 4, p->generation);
    store_le64(out + 8, (uint64_t)p->end_base);
    store_le64(out + 16, (uint64_t)p->newest_ms);
    store_le64(out + 24, (uint64_t)p->oldest_ms);
    store_le64(out + 32, (uint64_t)p->clean_end);
}

enum status swap_payload_decode(const uint8_t *in, uint32_t bytes, struct swap_payload *ret_payload)
{
    if (bytes != SWAP_PAYLOAD_BYTES) return STATUS_DAMAGED;
    struct swap_payload p = {
        .count = load_le32(in),
        .generation = load_le32(in + 4),
        .end_base = (int64_t)load_le64(in + 8),
        .newest_ms = (int64_t)load_le64(in + 16),
        .oldest_ms = (int64_t)load_le64(in + 24),
        .clean_end = (int64_t)load_le64(in + 32),
    };
    if (p.count == 0 || p.generation == 0 || p.end_base < 1 || p.newest_ms < -1 || p.oldest_ms < -1 ||
        p.clean_end < NO_OFFSET)
        return STATUS_DAMAGED;
    *ret_payload = p;
    return STATUS_OK;
}

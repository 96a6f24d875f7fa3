// SPDX-License-Identifier: Apache-2.0
/* Encoding and decoding of the metalog's files; the byte tables stand in the header. */
#include "replication/metalog_format.h"

#include "base/bytes.h"
#include "base/check.h"
#include "storage/sealed.h"

#define CONTROL_MAGIC  0x4c54434d5441454cull /* "LEATMCTL" */
#define GROUP_MAGIC    0x474f4c4d5441454cull /* "LEATMLOG" */
#define SNAPSHOT_MAGIC 0x504e534d5441454cull /* "LEATMSNP" */

static_assert(MGROUP_HEAD_BYTES % 8 == 0 && MENTRY_HEAD_BYTES % 8 == 0, "entries stand at multiples of 8");
static_assert(84 + 4 * QUORUM_VOTERS_MAX == 112, "the cluster stands behind the voters");
static_assert(MGROUP_BYTES_MAX % BLOCK_BYTES == 0, "a group is whole blocks");

static void put_start(uint8_t *out, uint64_t magic, const struct metalog_ident *i)
{
    store_le64(out, magic);
    store_le32(out + 8, METALOG_FORMAT_VERSION);
    memcpy(out + 16, i->id.b, sizeof i->id.b);
    store_le32(out + 32, (uint32_t)i->node);
}

/* Magic, CRC over `bytes`, version, in this order: a version is only believed where the CRC holds. */
static enum status get_start(const uint8_t *in, uint64_t magic, size_t bytes, struct metalog_ident *ret_ident,
                             uint32_t *ret_version)
{
    *ret_version = 0;
    if (load_le64(in) != magic) return STATUS_FORMAT;
    if (load_le32(in + SEALED_CRC_AT) != sealed_crc(in, bytes)) return STATUS_DAMAGED;
    *ret_version = load_le32(in + 8);
    if (*ret_version != METALOG_FORMAT_VERSION) return STATUS_FORMAT;
    memcpy(ret_ident->id.b, in + 16, sizeof ret_ident->id.b);
    ret_ident->node = (int32_t)load_le32(in + 32);
    return STATUS_OK;
}

void metalog_control_encode(uint8_t out[BLOCK_BYTES], const struct metalog_control *c)
{
    CHECK(c->voter_count >= 1 && c->voter_count <= QUORUM_VOTERS_MAX);
    memset(out, 0, BLOCK_BYTES);
    put_start(out, CONTROL_MAGIC, &c->ident);
    store_le32(out + 36, (uint32_t)c->vote);
    store_le64(out + 40, c->page);
    store_le64(out + 48, c->incarnation);
    store_le64(out + 56, c->term);
    store_le64(out + 64, c->accepted);
    store_le32(out + 72, c->first_segment);
    store_le32(out + 76, c->last_segment);
    store_le32(out + 80, c->voter_count);
    for (uint32_t i = 0; i < c->voter_count; i++) store_le32(out + 84 + 4 * i, (uint32_t)c->voters[i]);
    memcpy(out + 112, c->cluster.b, sizeof c->cluster.b);
    store_le32(out + SEALED_CRC_AT, sealed_crc(out, BLOCK_BYTES));
}

enum status metalog_control_decode(const uint8_t in[BLOCK_BYTES], struct metalog_control *ret_control,
                                   uint32_t *ret_version)
{
    struct metalog_control c = {0};
    enum status status = get_start(in, CONTROL_MAGIC, BLOCK_BYTES, &c.ident, ret_version);
    if (status != STATUS_OK) return status;
    c.vote = (int32_t)load_le32(in + 36);
    c.page = load_le64(in + 40);
    c.incarnation = load_le64(in + 48);
    c.term = load_le64(in + 56);
    c.accepted = load_le64(in + 64);
    c.first_segment = load_le32(in + 72);
    c.last_segment = load_le32(in + 76);
    c.voter_count = load_le32(in + 80);
    if (c.voter_count < 1 || c.voter_count > QUORUM_VOTERS_MAX || c.vote < -1 || c.first_segment > c.last_segment ||
        c.term == 0)
        return STATUS_DAMAGED;
    for (uint32_t i = 0; i < c.voter_count; i++) c.voters[i] = (int32_t)load_le32(in + 84 + 4 * i);
    memcpy(c.cluster.b, in + 112, sizeof c.cluster.b);
    *ret_control = c;
    return STATUS_OK;
}

/* --- groups --- */

static uint32_t entry_bytes(uint32_t size)
{
    return (uint32_t)align_up(MENTRY_HEAD_BYTES + (uint64_t)size, 8);
}

uint32_t metalog_group_bytes(const struct log_entry *const *entries, uint32_t count)
{
    uint64_t bytes = MGROUP_HEAD_BYTES;
    for (uint32_t i = 0; i < count; i++) bytes += entry_bytes(entries[i]->size);
    bytes = align_up(bytes, BLOCK_BYTES);
    CHECK(bytes <= MGROUP_BYTES_MAX);
    return (uint32_t)bytes;
}

static void put_head(uint8_t *out, struct metalog_group *g)
{
    memset(out, 0, MGROUP_HEAD_BYTES);
    put_start(out, GROUP_MAGIC, &g->ident);
    store_le32(out + 36, (uint32_t)g->kind);
    store_le64(out + 40, g->incarnation);
    store_le64(out + 48, g->sequence);
    store_le64(out + 56, g->base);
    store_le64(out + 64, g->term);
    store_le32(out + 72, g->length);
    store_le32(out + 76, g->count);
    store_le32(out + 80, g->body_crc);
    store_le32(out + 84, g->chain);
    store_le64(out + 88, g->durable);
    g->crc = sealed_crc(out, MGROUP_HEAD_BYTES);
    store_le32(out + SEALED_CRC_AT, g->crc);
}

void metalog_group_encode(uint8_t *out, struct metalog_group *g, const struct log_entry *const *entries, uint32_t count)
{
    uint32_t pos = MGROUP_HEAD_BYTES;
    CHECK((count > 0) == (g->kind == MGROUP_ENTRIES));
    g->length = metalog_group_bytes(entries, count);
    g->count = count;
    for (uint32_t i = 0; i < count; i++) {
        const struct log_entry *e = entries[i];
        CHECK(e->index == g->base + i);
        memset(out + pos, 0, entry_bytes(e->size));
        store_le64(out + pos, e->term);
        out[pos + 8] = (uint8_t)e->type;
        store_le32(out + pos + 12, e->size);
        if (e->size > 0) memcpy(out + pos + MENTRY_HEAD_BYTES, e->data, e->size);
        pos += entry_bytes(e->size);
    }
    memset(out + pos, 0, g->length - pos);
    g->body_crc = crc32c(0, out + MGROUP_HEAD_BYTES, g->length - MGROUP_HEAD_BYTES);
    put_head(out, g);
}

enum status metalog_group_head_decode(const uint8_t in[MGROUP_HEAD_BYTES], struct metalog_group *ret_group)
{
    struct metalog_group g = {0};
    uint32_t version, kind = load_le32(in + 36);
    enum status status = get_start(in, GROUP_MAGIC, MGROUP_HEAD_BYTES, &g.ident, &version);
    if (status != STATUS_OK) return status;
    g.incarnation = load_le64(in + 40);
    g.sequence = load_le64(in + 48);
    g.base = load_le64(in + 56);
    g.term = load_le64(in + 64);
    g.length = load_le32(in + 72);
    g.count = load_le32(in + 76);
    g.body_crc = load_le32(in + 80);
    g.chain = load_le32(in + 84);
    g.durable = load_le64(in + 88);
    g.crc = load_le32(in + SEALED_CRC_AT);
    if (kind < MGROUP_ENTRIES || kind > MGROUP_CLOSE) return STATUS_DAMAGED;
    g.kind = (enum metalog_group_kind)kind;
    if (g.length == 0 || g.length % BLOCK_BYTES != 0 || g.length > MGROUP_BYTES_MAX) return STATUS_DAMAGED;
    if ((g.kind == MGROUP_ENTRIES) != (g.count > 0) || g.count > g.length / MENTRY_HEAD_BYTES) return STATUS_DAMAGED;
    if (g.kind != MGROUP_CLOSE && g.base == 0) return STATUS_DAMAGED;
    if (g.base > INT64_MAX || (g.kind == MGROUP_RESET) != (g.term > 0)) return STATUS_DAMAGED;
    *ret_group = g;
    return STATUS_OK;
}

enum status metalog_group_check(const uint8_t *in, const struct metalog_group *g)
{
    uint64_t pos = MGROUP_HEAD_BYTES;
    if (crc32c(0, in + MGROUP_HEAD_BYTES, g->length - MGROUP_HEAD_BYTES) != g->body_crc) return STATUS_DAMAGED;
    for (uint32_t i = 0; i < g->count; i++) {
        if (pos + MENTRY_HEAD_BYTES > g->length) return STATUS_DAMAGED;
        uint8_t type = in[pos + 8];
        uint64_t bytes = align_up(MENTRY_HEAD_BYTES + (uint64_t)load_le32(in + pos + 12), 8);
        if (bytes > g->length - pos || type < ENTRY_COMMAND || type > ENTRY_CHANGE || load_le64(in + pos) == 0)
            return STATUS_DAMAGED;
        pos += bytes;
    }
    return STATUS_OK;
}

void metalog_group_entry(const uint8_t *in, const struct metalog_group *g, uint32_t *pos, struct entry_view *ret_entry)
{
    CHECK(*pos + MENTRY_HEAD_BYTES <= g->length);
    const uint8_t *e = in + *pos;
    *ret_entry = (struct entry_view){
        .term = load_le64(e), .type = (enum entry_type)e[8], .size = load_le32(e + 12), .data = e + MENTRY_HEAD_BYTES};
    *pos += entry_bytes(ret_entry->size);
    CHECK(*pos <= g->length);
}

/* --- snapshots --- */

void metalog_snapshot_encode(uint8_t out[BLOCK_BYTES], const struct metalog_snapshot_head *s)
{
    memset(out, 0, BLOCK_BYTES);
    put_start(out, SNAPSHOT_MAGIC, &s->ident);
    store_le64(out + 40, s->index);
    store_le64(out + 48, s->term);
    store_le64(out + 56, s->bytes);
    store_le32(out + 64, s->data_crc);
    store_le32(out + SEALED_CRC_AT, sealed_crc(out, BLOCK_BYTES));
}

enum status metalog_snapshot_decode(const uint8_t in[BLOCK_BYTES], struct metalog_snapshot_head *ret_head,
                                    uint32_t *ret_version)
{
    struct metalog_snapshot_head s = {0};
    enum status status = get_start(in, SNAPSHOT_MAGIC, BLOCK_BYTES, &s.ident, ret_version);
    if (status != STATUS_OK) return status;
    s.index = load_le64(in + 40);
    s.term = load_le64(in + 48);
    s.bytes = load_le64(in + 56);
    s.data_crc = load_le32(in + 64);
    if (s.index == 0 || s.index > INT64_MAX || s.term == 0) return STATUS_DAMAGED;
    *ret_head = s;
    return STATUS_OK;
}

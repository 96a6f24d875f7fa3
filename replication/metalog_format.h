// SPDX-License-Identifier: Apache-2.0
/* Bytes of the metalog's files: control page, groups of entries, snapshot head. Pure: no I/O. Format version 1, all
 * little-endian; docs/formats/metalog.md tells the same for others. Each page and head has its CRC-32C at byte 12 (that
 * field as 0), a magic and a version before it, log id and node after it, so a file of another log or voter is never
 * taken for ours. The log id is random and told to nobody: a record cannot contain a forged head (rule D3).
 *
 *   control page, 4,096 bytes            group head, 112 bytes                snapshot head, 4,096 bytes
 *     0 u64 magic "LEATMCTL"               0 u64 magic "LEATMLOG"               0 u64 magic "LEATMSNP"
 *     8 u32 version  12 u32 CRC            8 u32 version  12 u32 CRC            8 u32 version  12 u32 CRC
 *    16 u8[16] log id                     16 u8[16] log id                     16 u8[16] log id
 *    32 i32 node     36 i32 vote (-1)     32 i32 node     36 u32 kind          32 i32 node     36 u32 0
 *    40 u64 page number                   40 u64 incarnation                   40 u64 index of the last entry in it
 *    48 u64 incarnation                   48 u64 sequence                      48 u64 its term
 *    56 u64 term                          56 u64 base index                    56 u64 bytes of data
 *    64 u64 accepted sequence             64 u64 term (RESET)                  64 u32 CRC-32C of the data
 *    72 u32 first segment                 72 u32 length, multiple of 4,096     data begins at 4,096
 *    76 u32 last segment                  76 u32 entries
 *    80 u32 voters                        80 u32 CRC-32C of bytes 112..length
 *    84 i32[7] voters                     84 u32 chain: CRC field of the group before
 *   112 u8[16] cluster                    88 u64 durable up to (sequence)  96 ... 0
 *   entry: u64 term, u8 type, u8[3] 0, u32 bytes, the bytes, zeros to a multiple of 8. Its index is base + its place.
 */
#pragma once
#include "base/status.h"
#include "protocol/uuid.h"
#include "replication/entry_log.h"
#include "replication/quorum.h"
#include "storage/types.h"

#define METALOG_FORMAT_VERSION 1u
#define MGROUP_HEAD_BYTES      112u
#define MENTRY_HEAD_BYTES      16u
#define MGROUP_BYTES_MAX       (24u << 20) /* more than the largest entry alone; a longer head is damage */

struct metalog_ident { /* whose file it is */
    struct uuid id;    /* of the log */
    int32_t node;
};

struct metalog_control {
    struct metalog_ident ident;
    struct uuid cluster;
    uint64_t page, incarnation, term;
    int32_t vote;      /* node id, -1: none */
    uint64_t accepted; /* sequence of the last group that the recovery of this incarnation accepted */
    uint32_t first_segment, last_segment;
    uint32_t voter_count;
    int32_t voters[QUORUM_VOTERS_MAX];
};

enum metalog_group_kind {
    MGROUP_ENTRIES = 1, /* from base on; what the log has there and above is replaced */
    MGROUP_RESET = 2,   /* a snapshot of (base, term) was installed: the log is empty, the next entry is base + 1 */
    MGROUP_CLOSE = 3,   /* nothing: a witness for the group before */
};

struct metalog_group {
    struct metalog_ident ident;
    enum metalog_group_kind kind;
    uint64_t incarnation, sequence, base, term, durable;
    uint32_t length, count, body_crc, chain;
    uint32_t crc; /* what the next group's chain must be; set by both directions */
};

struct metalog_snapshot_head {
    struct metalog_ident ident;
    uint64_t index, term, bytes;
    uint32_t data_crc;
};

/* Decoding answers OK; FORMAT: foreign, or of another version (*ret_version says which, 0: not ours at all); DAMAGED.
 */
void metalog_control_encode(uint8_t out[BLOCK_BYTES], const struct metalog_control *c);
enum status metalog_control_decode(const uint8_t in[BLOCK_BYTES], struct metalog_control *ret_control,
                                   uint32_t *ret_version) MUST_CHECK;

/* Bytes of a group with these entries, padding included. */
uint32_t metalog_group_bytes(const struct log_entry *const *entries, uint32_t count);
/* Head, entries, padding; length, body_crc, count and crc are set. */
void metalog_group_encode(uint8_t *out, struct metalog_group *g, const struct log_entry *const *entries,
                          uint32_t count);
enum status metalog_group_head_decode(const uint8_t in[MGROUP_HEAD_BYTES], struct metalog_group *ret_group) MUST_CHECK;
/* The whole group of g->length bytes, head decoded before: its body's CRC and that the entries fill it. */
enum status metalog_group_check(const uint8_t *in, const struct metalog_group *g) MUST_CHECK;
/* Walks a checked group; *pos starts at MGROUP_HEAD_BYTES. */
void metalog_group_entry(const uint8_t *in, const struct metalog_group *g, uint32_t *pos, struct entry_view *ret_entry);

void metalog_snapshot_encode(uint8_t out[BLOCK_BYTES], const struct metalog_snapshot_head *s);
enum status metalog_snapshot_decode(const uint8_t in[BLOCK_BYTES], struct metalog_snapshot_head *ret_head,
                                    uint32_t *ret_version) MUST_CHECK;

static inline bool metalog_ident_equal(const struct metalog_ident *a, const struct metalog_ident *b)
{
    return uuid_equal(a->id, b->id) && a->node == b->node;
}

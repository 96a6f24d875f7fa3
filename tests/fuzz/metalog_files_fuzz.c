// SPDX-License-Identifier: Apache-2.0
/* The metalog's files from any bytes: a control page, a snapshot head, a row of groups. A byte 1 in front has checksums
 * set right first. What is taken, is encoded to the same bytes (pages) or lies inside the input (groups). */
#include "base/bytes.h"
#include "base/check.h"
#include "replication/metalog_format.h"
#include "storage/sealed.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void pages(const uint8_t *page)
{
    uint8_t again[BLOCK_BYTES];
    uint32_t version;
    struct metalog_control c, c2;
    struct metalog_snapshot_head s, s2;
    if (metalog_control_decode(page, &c, &version) == STATUS_OK) {
        metalog_control_encode(again, &c);
        CHECK_OK(metalog_control_decode(again, &c2, &version));
        CHECK(memcmp(&c, &c2, sizeof c) == 0 && c.voter_count <= QUORUM_VOTERS_MAX);
    }
    if (metalog_snapshot_decode(page, &s, &version) == STATUS_OK) {
        metalog_snapshot_encode(again, &s);
        CHECK_OK(metalog_snapshot_decode(again, &s2, &version));
        CHECK(s.index == s2.index && s.term == s2.term && s.bytes == s2.bytes && s.data_crc == s2.data_crc);
    }
}

static void groups(uint8_t *bytes, size_t size, bool mend)
{
    struct metalog_group g;
    for (size_t at = 0; at + BLOCK_BYTES <= size; at += g.length) {
        uint8_t *head = bytes + at;
        if (mend) {
            uint32_t length = load_le32(head + 72);
            if (length >= BLOCK_BYTES && length <= size - at)
                store_le32(head + 80, crc32c(0, head + MGROUP_HEAD_BYTES, length - MGROUP_HEAD_BYTES));
            store_le32(head + SEALED_CRC_AT, sealed_crc(head, MGROUP_HEAD_BYTES));
        }
        if (metalog_group_head_decode(head, &g) != STATUS_OK || g.length > size - at) return;
        if (metalog_group_check(head, &g) != STATUS_OK) return;
        uint32_t pos = MGROUP_HEAD_BYTES;
        uint64_t bytes_seen = 0;
        for (uint32_t i = 0; i < g.count; i++) {
            struct entry_view e;
            metalog_group_entry(head, &g, &pos, &e);
            CHECK(e.data >= head && e.data + e.size <= head + g.length && e.term > 0);
            bytes_seen += e.size;
        }
        CHECK(bytes_seen <= g.length);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > (1 << 20)) return 0;
    size_t room = align_up(size, BLOCK_BYTES);
    uint8_t *bytes = calloc(1, room);
    CHECK(bytes != NULL);
    memcpy(bytes, data + 1, size - 1);
    if (data[0] & 1) store_le32(bytes + SEALED_CRC_AT, sealed_crc(bytes, BLOCK_BYTES));
    pages(bytes);
    groups(bytes, room, data[0] & 1);
    free(bytes);
    return 0;
}

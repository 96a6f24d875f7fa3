// SPDX-License-Identifier: Apache-2.0
/* Bytes of the journal: what is encoded comes back, and no length that a group claims is believed. */
#include "storage/journal_format.h"
#include "base/bytes.h"
#include "base/crc32c.h"
#include "tests/unit/check_main.h"

static struct group_header header(void)
{
    struct group_header h = {.incarnation = 5,
                             .sequence = 1ull << 33,
                             .durable_upto = (1ull << 33) - 2,
                             .length = 2 * BLOCK_BYTES,
                             .proof_count = 1,
                             .body_crc = 0xdeadbeef,
                             .chain = 0x12345678,
                             .entry_count = 2,
                             .wall_ms = -1};
    memset(h.journal.b, 0x9e, sizeof h.journal.b);
    return h;
}

static void a_header_comes_back(void)
{
    struct group_header h = header(), g = {0};
    uint8_t bytes[GROUP_HEADER_BYTES];
    group_header_encode(bytes, &h);
    ASSERT_EQ(group_header_decode(bytes, &g), STATUS_OK);
    ASSERT(memcmp(g.journal.b, h.journal.b, 16) == 0);
    ASSERT(g.incarnation == h.incarnation && g.sequence == h.sequence && g.durable_upto == h.durable_upto);
    ASSERT(g.length == h.length && g.proof_count == 1 && g.entry_count == 2 && g.body_crc == h.body_crc);
    ASSERT(g.chain == h.chain && g.wall_ms == -1 && g.header_crc == h.header_crc);
    for (uint32_t bit = 0; bit < GROUP_HEADER_BYTES * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        ASSERT_EQ(group_header_decode(bytes, &g), bit < 96 ? STATUS_FORMAT : STATUS_DAMAGED);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static void forged_header_lengths_are_refused(void)
{
    static const struct {
        uint32_t at, value;
        enum status status;
    } forged[] = {
        {56, 0, STATUS_DAMAGED},
        {56, BLOCK_BYTES + 1, STATUS_DAMAGED},
        {60, UINT32_MAX, STATUS_DAMAGED},
        {72, UINT32_MAX, STATUS_DAMAGED},
        {60, 200, STATUS_DAMAGED},
        {60, 199, STATUS_OK},
        {72, 168, STATUS_DAMAGED},
        {72, 167, STATUS_OK},
        {40, 0, STATUS_OK},
    };
    for (unsigned i = 0; i < sizeof forged / sizeof forged[0]; i++) {
        struct group_header h = header(), g;
        uint8_t bytes[GROUP_HEADER_BYTES];
        group_header_encode(bytes, &h);
        store_le32(bytes + forged[i].at, forged[i].value);
        if (forged[i].at == 40) store_le64(bytes + 48, (1ull << 33) - 1); /* just below its own sequence */
        store_le32(bytes + 12, 0);
        store_le32(bytes + 12, crc32c(0, bytes, sizeof bytes));
        ASSERT_EQ(group_header_decode(bytes, &g), forged[i].status);
    }
    struct group_header h = header(), g;
    uint8_t bytes[GROUP_HEADER_BYTES];
    h.durable_upto = h.sequence; /* nobody vouches for himself */
    group_header_encode(bytes, &h);
    ASSERT_EQ(group_header_decode(bytes, &g), STATUS_DAMAGED);
}

/* header, one proof, entry of 5 bytes, two pad bytes, entry of 0 bytes, zeros */
#define PROOF_AT  GROUP_HEADER_BYTES
#define ENTRY1_AT (PROOF_AT + PROOF_BYTES)
#define ENTRY2_AT (ENTRY1_AT + ENTRY_HEADER_BYTES + 5 + 2)

static void build_group(uint8_t group[2 * BLOCK_BYTES], struct group_header *ret_header)
{
    struct proof p = {.partition = 6, .log = 1, .end = -9, .high_watermark = 1ll << 50};
    struct entry e = {.kind = ENTRY_APPEND,
                      .log = 1,
                      .payload_bytes = 5,
                      .partition = 70000,
                      .epoch = -1,
                      .offset = INT64_MAX,
                      .aux = UINT64_MAX};
    memset(group, 0, 2 * BLOCK_BYTES);
    memset(p.topic.b, 0x77, 16);
    memset(e.topic.b, 0x88, 16);
    *ret_header = header();
    group_header_encode(group, ret_header);
    proof_encode(group + PROOF_AT, &p);
    entry_header_encode(group + ENTRY1_AT, &e);
    memcpy(group + ENTRY1_AT + ENTRY_HEADER_BYTES, "hello", 5);
    e.kind = ENTRY_DELETE;
    e.payload_bytes = 0;
    entry_header_encode(group + ENTRY2_AT, &e);
}

static void a_group_comes_back(void)
{
    static uint8_t group[2 * BLOCK_BYTES];
    struct group_header h;
    struct group_reader r;
    struct proof p;
    struct entry e = {0};
    build_group(group, &h);
    group_reader_init(&r, group, &h);
    group_reader_proof(&r, 0, &p);
    ASSERT(p.partition == 6 && p.log == 1 && p.end == -9 && p.high_watermark == 1ll << 50 && p.topic.b[15] == 0x77);
    ASSERT_EQ(group_reader_next(&r, &e), STATUS_OK);
    ASSERT(e.kind == ENTRY_APPEND && e.log == 1 && e.payload_bytes == 5 && memcmp(e.payload, "hello", 5) == 0);
    ASSERT(e.partition == 70000 && e.epoch == -1 && e.offset == INT64_MAX && e.aux == UINT64_MAX);
    ASSERT_EQ(e.topic.b[15], 0x88);
    ASSERT_EQ(group_reader_next(&r, &e), STATUS_OK);
    ASSERT(e.kind == ENTRY_DELETE && e.payload_bytes == 0);
    ASSERT_EQ(group_reader_next(&r, &e), STATUS_OFFSET_OUT_OF_RANGE);
}

static enum status walk(const uint8_t *group, const struct group_header *h)
{
    struct group_reader r;
    struct entry e;
    enum status s;
    group_reader_init(&r, group, h);
    while ((s = group_reader_next(&r, &e)) == STATUS_OK) ASSERT(e.payload + e.payload_bytes <= group + h->length);
    return s;
}

static void hostile_entries_are_refused(void)
{
    static uint8_t group[2 * BLOCK_BYTES];
    struct group_header h;
    uint32_t room = 2 * BLOCK_BYTES - ENTRY2_AT - ENTRY_HEADER_BYTES;
    build_group(group, &h);
    ASSERT_EQ(walk(group, &h), STATUS_OFFSET_OUT_OF_RANGE);
    store_le32(group + ENTRY2_AT + 4, room); /* to the last byte */
    ASSERT_EQ(walk(group, &h), STATUS_OFFSET_OUT_OF_RANGE);
    store_le32(group + ENTRY2_AT + 4, room + 1);
    ASSERT_EQ(walk(group, &h), STATUS_DAMAGED);
    store_le32(group + ENTRY2_AT + 4, UINT32_MAX);
    ASSERT_EQ(walk(group, &h), STATUS_DAMAGED);
    build_group(group, &h);
    group[ENTRY2_AT] = ENTRY_KIND_COUNT; /* unknown kind */
    ASSERT_EQ(walk(group, &h), STATUS_DAMAGED);
    group[ENTRY2_AT] = ENTRY_PAD; /* fewer entries than the header says */
    ASSERT_EQ(walk(group, &h), STATUS_DAMAGED);
    build_group(group, &h);
    h.entry_count = 1; /* more than it says */
    ASSERT_EQ(walk(group, &h), STATUS_DAMAGED);
    build_group(group, &h);
    h.entry_count = 3;
    group[2 * BLOCK_BYTES - ENTRY_HEADER_BYTES + 1] = ENTRY_DELETE; /* a header that does not fit any more */
    ASSERT_EQ(walk(group, &h), STATUS_DAMAGED);
}

static void a_cut_comes_back(void)
{
    uint8_t bytes[TRUNCATE_PAYLOAD_BYTES];
    struct truncate_payload p = {.end_pos = (1ull << 40) + 100,
                                 .carry_pos = 1ull << 40,
                                 .segment_base = -4,
                                 .index_bytes = 60,
                                 .fragment_bytes = 30},
                            q = {0};
    truncate_payload_encode(bytes, &p);
    ASSERT_EQ(truncate_payload_decode(bytes, TRUNCATE_PAYLOAD_BYTES + 160, &q), STATUS_OK);
    ASSERT(q.end_pos == p.end_pos && q.carry_pos == p.carry_pos && q.segment_base == -4);
    ASSERT(q.index_bytes == 60 && q.fragment_bytes == 30);
    for (uint32_t n = 0; n < 400; n++)
        ASSERT_EQ(truncate_payload_decode(bytes, n, &q), n == 192 ? STATUS_OK : STATUS_DAMAGED);
}

static void hostile_cuts_are_refused(void)
{
    static const struct {
        struct truncate_payload p;
        uint32_t bytes; /* behind the fixed part */
    } hostile[] = {
        {{.end_pos = 10, .carry_pos = 11}, 0},
        {{.end_pos = 10, .carry_pos = 0, .fragment_bytes = 11}, 10},
        {{.end_pos = 10, .carry_pos = 0, .index_bytes = UINT32_MAX}, 10},
        /* index bytes beyond the payload: the difference must not wrap */
        {{.end_pos = UINT64_MAX, .carry_pos = 0, .index_bytes = 1}, 0},
        {{.end_pos = UINT64_MAX, .carry_pos = UINT32_MAX - 1, .index_bytes = UINT32_MAX}, 0},
    };
    for (unsigned i = 0; i < sizeof hostile / sizeof hostile[0]; i++) {
        uint8_t bytes[TRUNCATE_PAYLOAD_BYTES];
        struct truncate_payload q;
        truncate_payload_encode(bytes, &hostile[i].p);
        ASSERT_EQ(truncate_payload_decode(bytes, TRUNCATE_PAYLOAD_BYTES + hostile[i].bytes, &q), STATUS_DAMAGED);
    }
}

static void a_swap_comes_back(void)
{
    uint8_t bytes[SWAP_PAYLOAD_BYTES];
    struct swap_payload p = {.count = 3,
                             .generation = 7,
                             .end_base = (1ll << 40) + 5,
                             .newest_ms = 1700000000000,
                             .oldest_ms = -1,
                             .clean_end = NO_OFFSET},
                        q = {0};
    swap_payload_encode(bytes, &p);
    ASSERT_EQ(swap_payload_decode(bytes, sizeof bytes, &q), STATUS_OK);
    ASSERT(q.count == 3 && q.generation == 7 && q.end_base == p.end_base && q.newest_ms == p.newest_ms);
    ASSERT(q.oldest_ms == -1 && q.clean_end == NO_OFFSET);
    for (uint32_t n = 0; n < 100; n++)
        ASSERT_EQ(swap_payload_decode(bytes, n, &q), n == sizeof bytes ? STATUS_OK : STATUS_DAMAGED);
    for (uint32_t at = 0; at < sizeof bytes; at += at < 8 ? 4 : 8) { /* zero counts, negative offsets and times */
        uint8_t bad[SWAP_PAYLOAD_BYTES];
        memcpy(bad, bytes, sizeof bad);
        if (at < 8)
            store_le32(bad + at, 0);
        else
            store_le64(bad + at, (uint64_t)-2);
        ASSERT_EQ(swap_payload_decode(bad, sizeof bad, &q), STATUS_DAMAGED);
    }
}

TEST_MAIN("journal format", {"a group header comes back, no flipped bit passes", a_header_comes_back},
          {"forged lengths in a header are refused", forged_header_lengths_are_refused},
          {"a group comes back", a_group_comes_back}, {"hostile entries are refused", hostile_entries_are_refused},
          {"a truncation comes back", a_cut_comes_back}, {"hostile truncations are refused", hostile_cuts_are_refused},
          {"a swap comes back", a_swap_comes_back})

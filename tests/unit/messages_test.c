// SPDX-License-Identifier: Apache-2.0
/* Every generated message at every version it has, with values from the schema's own description (fill.h): it comes
 * back as it was, its size is exact, no cut of it is taken, and counts that lie cost no memory. */
#include "base/bytes.h"
#include "base/check.h"
#include "protocol/cursor.h"
#include "protocol/msg_api_versions.h"
#include "protocol/msg_fetch.h"
#include "protocol/msg_find_coordinator.h"
#include "protocol/msg_metadata.h"
#include "protocol/msg_produce.h"
#include "tests/unit/check_main.h"
#include "tests/unit/fill.h"
#include <stdio.h>
#include <stdlib.h>

#define MIXED_ROUNDS ((uint64_t)4)
#define TEXT_BYTES   (64 << 10)
#define ARENA_CAP    ((size_t)1 << 20)

static struct mem *mem;
static struct arena values, decoded; /* what the filler made; what a decoder made */

static void begin(void)
{
    mem = mem_create(64u << 20);
    arena_init(&values, mem, MEM_PRODUCE, ARENA_CAP);
    arena_init(&decoded, mem, MEM_PRODUCE, ARENA_CAP);
}

static void end(void)
{
    arena_deinit(&values);
    arena_deinit(&decoded);
    mem_destroy(mem);
}

static void *copy_exact(const void *data, size_t len) /* so that ASan sees a read of one byte too many */
{
    void *p = len > 0 ? malloc(len) : NULL;
    CHECK(p != NULL || len == 0);
    if (len > 0) memcpy(p, data, len);
    return p;
}

struct sample {
    const struct message_type *type;
    int16_t version;
    enum fill_mode mode;
    const void *message;
    struct message_size size;
    const uint8_t *bytes;
};

static uint8_t *encode(const struct message_type *t, int16_t v, const void *message, struct message_size *ret_size)
{
    struct message_size size = t->size(v, message);
    uint8_t *bytes = malloc(size.total);
    CHECK(bytes != NULL || size.total == 0);
    struct writer w;
    writer_init(&w, bytes, size.total, NULL, 0);
    t->encode(&w, v, message);
    ASSERT_EQ(writer_finish(&w), STATUS_OK);
    ASSERT_EQ(w.own_used, size.total);
    *ret_size = size;
    return bytes;
}

static enum status decode(const struct message_type *t, int16_t v, const void *bytes, size_t len, void *ret_message)
{
    struct cursor c;
    cursor_init(&c, bytes, len);
    enum status s = t->decode(&c, &decoded, v, ret_message);
    if (s == STATUS_OK) ASSERT_EQ(cursor_left(&c), 0);
    if (s != STATUS_OK && s != STATUS_UNSUPPORTED_VERSION) ASSERT(c.what != NULL && c.failed != NULL);
    return s;
}

static void one_sample(const struct fill_row *row, int16_t v, enum fill_mode mode, uint64_t seed,
                       void (*check)(const struct sample *s))
{
    struct filler f = {.arena = &values, .mode = mode};
    prng_seed(&f.prng, seed, (uint64_t)(uint16_t)v);
    void *message = arena_zalloc(&values, row->type->struct_size);
    row->fill(&f, v, message);
    struct sample s = {.type = row->type, .version = v, .mode = mode, .message = message};
    uint8_t *bytes = encode(s.type, v, message, &s.size);
    s.bytes = bytes;
    check(&s);
    free(bytes);
    arena_reset(&values);
    arena_reset(&decoded);
}

static void each(void (*check)(const struct sample *s))
{
    begin();
    ASSERT_EQ(fill_count, 2 * (api_count + group_record_count) + plain_message_count);
    for (uint32_t i = 0; i < fill_count; i++) {
        const struct message_type *t = fill_table[i].type;
        for (int16_t v = t->min_version; v <= t->max_version; v++) {
            one_sample(&fill_table[i], v, FILL_FULL, i, check);
            one_sample(&fill_table[i], v, FILL_NULL, i, check);
            for (uint64_t r = 0; r < MIXED_ROUNDS; r++)
                one_sample(&fill_table[i], v, FILL_MIXED, i * MIXED_ROUNDS + r, check);
        }
    }
    end();
}

static void same_text(const struct message_type *t, const void *a, const void *b)
{
    static char text_a[TEXT_BYTES], text_b[TEXT_BYTES];
    size_t len = t->print(text_a, sizeof text_a, a);
    ASSERT(len > 0 && len < sizeof text_a);
    (void)t->print(text_b, sizeof text_b, b);
    ASSERT_STREQ(text_a, text_b);
}

static void check_comes_back(const struct sample *s)
{
    void *got = arena_zalloc(&values, s->type->struct_size);
    ASSERT_EQ(decode(s->type, s->version, s->bytes, s->size.total, got), STATUS_OK);
    same_text(s->type, s->message, got);
    struct message_size size;
    uint8_t *again = encode(s->type, s->version, got, &size);
    ASSERT_EQ(size.total, s->size.total);
    ASSERT(size.total == 0 || memcmp(again, s->bytes, size.total) == 0);
    free(again);
}

static void every_message_comes_back_as_it_was(void)
{
    each(check_comes_back);
}

static void check_pieces(const struct sample *s)
{
    uint8_t *own = malloc(s->size.own), *joined = malloc(s->size.total);
    struct piece pieces[64];
    ASSERT(s->size.pieces <= 64);
    struct writer w;
    writer_init(&w, own, s->size.own, pieces, s->size.pieces);
    s->type->encode(&w, s->version, s->message);
    ASSERT_EQ(writer_finish(&w), STATUS_OK);
    ASSERT_EQ(w.own_used, s->size.own);
    ASSERT_EQ(w.piece_count, s->size.pieces);
    size_t at = 0;
    for (uint32_t i = 0; i < w.piece_count; at += pieces[i++].len) {
        ASSERT(pieces[i].len <= s->size.total - at);
        memcpy(joined + at, pieces[i].data, pieces[i].len);
    }
    ASSERT_EQ(at, s->size.total);
    ASSERT(at == 0 || memcmp(joined, s->bytes, at) == 0);
    free(own);
    free(joined);
}

static void pieces_join_to_the_flat_bytes(void)
{
    each(check_pieces);
}

static void check_cuts(const struct sample *s)
{
    size_t size = s->type->struct_size;
    uint8_t *got = malloc(size);
    for (size_t len = 0; len < s->size.total; len++) {
        uint8_t *cut = copy_exact(s->bytes, len);
        memset(got, 0xa5, size);
        enum status status = decode(s->type, s->version, cut, len, got);
        ASSERT(status == STATUS_TRUNCATED_INPUT || status == STATUS_INVALID);
        for (size_t i = 0; i < size; i++) ASSERT_EQ(got[i], 0xa5);
        arena_reset(&decoded);
        free(cut);
    }
    free(got);
}

static void every_cut_is_refused(void)
{
    each(check_cuts);
}

static void check_short_memory(const struct sample *s)
{
    uint8_t *own = malloc(s->size.total);
    for (size_t room = 0; room < s->size.total; room++) {
        struct writer w;
        writer_init(&w, own, room, NULL, 0);
        s->type->encode(&w, s->version, s->message);
        ASSERT_EQ(writer_finish(&w), STATUS_NO_MEMORY);
        ASSERT(w.own_used <= room);
    }
    free(own);
}

static void a_writer_stays_in_its_memory(void)
{
    each(check_short_memory);
}

/* Without tagged fields the last byte of a flexible message is the count of its outermost tag section. */
static void check_unknown_tags(const struct sample *s)
{
    if (s->mode != FILL_NULL || s->version < s->type->flexible_from) return;
    static const uint8_t tags[] = {3, 90, 0, 0xe8, 7, 4, 1, 2, 3, 4, 0xff, 0xff, 0xff, 0xff, 0xf, 1, 0};
    size_t head = s->size.total - 1, len = head + sizeof tags;
    ASSERT_EQ(s->bytes[head], 0);
    uint8_t *bytes = malloc(len);
    memcpy(bytes, s->bytes, head);
    memcpy(bytes + head, tags, sizeof tags);
    void *got = arena_zalloc(&values, s->type->struct_size);
    ASSERT_EQ(decode(s->type, s->version, bytes, len, got), STATUS_OK);
    same_text(s->type, s->message, got);
    free(bytes);
}

static void unknown_tags_are_skipped(void)
{
    each(check_unknown_tags);
}

/* Each place of each message gets the largest counts there are, in both forms. */
static void check_lies(const struct sample *s)
{
    static const uint8_t lies[][5] = {{0x7f, 0xff, 0xff, 0xff, 0xff}, {0xff, 0xff, 0xff, 0xff, 0x07}};
    if (s->mode != FILL_FULL) return;
    void *got = arena_zalloc(&values, s->type->struct_size);
    for (size_t i = 0; i < COUNT_OF(lies); i++) {
        for (size_t at = 0; at + sizeof lies[i] <= s->size.total; at++) {
            uint8_t *bytes = copy_exact(s->bytes, s->size.total);
            memcpy(bytes + at, lies[i], sizeof lies[i]);
            struct cursor c;
            cursor_init(&c, bytes, s->size.total);
            enum status status = s->type->decode(&c, &decoded, s->version, got);
            ASSERT(status == STATUS_OK || status == STATUS_TRUNCATED_INPUT || status == STATUS_INVALID);
            ASSERT(decoded.held_bytes <= 64 * s->size.total + ARENA_FIRST_BYTES);
            arena_reset(&decoded);
            free(bytes);
        }
    }
}

static void lies_anywhere_cost_no_memory(void)
{
    each(check_lies);
}

static void hostile_counts_allocate_nothing(void)
{
    static const struct {
        const struct message_type *type;
        int16_t version;
        uint8_t len;
        uint8_t bytes[24];
        enum status status;
    } rows[] = {
        /* topics: more than the bytes left, exactly one too many, negative, null in v0 */
        {&metadata_request_type, 0, 6, {0x7f, 0xff, 0xff, 0xff, 0, 0}, STATUS_TRUNCATED_INPUT},
        {&metadata_request_type, 0, 9, {0, 0, 0, 3, 0, 0, 0, 0, 0}, STATUS_TRUNCATED_INPUT},
        {&metadata_request_type, 0, 4, {0xff, 0xff, 0xff, 0xfe}, STATUS_INVALID},
        {&metadata_request_type, 0, 4, {0xff, 0xff, 0xff, 0xff}, STATUS_INVALID},
        /* compact: 2^31 - 2 of them, 2^31 - 1, 2^32 - 2, a varint of six bytes */
        {&metadata_request_type, 12, 8, {0xff, 0xff, 0xff, 0xff, 0x07, 0, 0, 0}, STATUS_TRUNCATED_INPUT},
        {&metadata_request_type, 12, 8, {0x80, 0x80, 0x80, 0x80, 0x08, 0, 0, 0}, STATUS_INVALID},
        {&metadata_request_type, 12, 8, {0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0}, STATUS_INVALID},
        {&metadata_request_type, 12, 8, {0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0, 0}, STATUS_INVALID},
        /* a list of strings, a list of structs */
        {&find_coordinator_request_type, 4, 6, {0, 0xff, 0xff, 0xff, 0x7f, 0}, STATUS_TRUNCATED_INPUT},
        {&api_versions_response_type, 0, 6, {0, 0, 0x10, 0, 0, 0}, STATUS_TRUNCATED_INPUT},
        /* tags: 2^28 of them, one larger than the bytes left */
        {&api_versions_request_type, 3, 6, {1, 1, 0xff, 0xff, 0xff, 0x7f}, STATUS_TRUNCATED_INPUT},
        {&api_versions_request_type, 3, 6, {1, 1, 1, 90, 0x7f, 0}, STATUS_TRUNCATED_INPUT},
        /* a string and records longer than the bytes left */
        {&api_versions_request_type, 3, 4, {0x7f, 'a', 1, 0}, STATUS_TRUNCATED_INPUT},
        {&produce_request_type, 3, 8, {0x7f, 0xff, 'a', 0, 0, 0, 0, 0}, STATUS_TRUNCATED_INPUT},
    };
    begin();
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        void *got = arena_zalloc(&values, rows[i].type->struct_size);
        uint8_t *bytes = copy_exact(rows[i].bytes, rows[i].len);
        ASSERT_EQ(decode(rows[i].type, rows[i].version, bytes, rows[i].len, got), rows[i].status);
        ASSERT_EQ(decoded.held_bytes, 0);
        free(bytes);
    }
    end();
}

static void a_request_stays_below_its_arenas_cap(void)
{
    begin();
    size_t names = 40000, len = 4 + 2 * names; /* 40,000 empty topic names: 80 KB that would become 1.3 MB */
    uint8_t *bytes = calloc(1, len);
    store_be32(bytes, (uint32_t)names);
    struct metadata_request got;
    struct cursor c;
    cursor_init(&c, bytes, len);
    ASSERT(names * sizeof *got.topics > ARENA_CAP);
    ASSERT_EQ(metadata_request_decode(&c, &decoded, 0, &got), STATUS_NO_MEMORY);
    ASSERT_STREQ(c.failed, "metadata_request.topics");
    ASSERT(decoded.held_bytes <= ARENA_CAP);
    arena_reset(&decoded);
    store_be32(bytes, 100);
    ASSERT_EQ(decode(&metadata_request_type, 0, bytes, 4 + 200, &got), STATUS_OK);
    ASSERT_EQ(got.topics_count, 100);
    free(bytes);
    end();
}

/* As Kafka's readers: any order, the last double counts, a tag of another version is refused. What Kafka misreads,
 * bytes left over in a known tag, is refused too. */
static void known_tags_are_read_as_kafka_does(void)
{
#define HEAD 0, 0, 1, 0, 0, 0, 0 /* error code, no keys, throttle time */
    static const struct {
        enum status status;
        uint8_t len;
        uint8_t bytes[32];
    } rows[] = {
        {STATUS_OK, 31, {HEAD, 3, 3, 1, 1, 1, 8, 0, 0, 0, 0, 0, 0, 0, 5, 1, 8, 0, 0, 0, 0, 0, 0, 0, 6}},
        {STATUS_INVALID, 12, {HEAD, 1, 3, 2, 1, 1}},
        {STATUS_TRUNCATED_INPUT, 14, {HEAD, 1, 1, 4, 0, 0, 0, 5}},
        {STATUS_TRUNCATED_INPUT, 10, {HEAD, 1, 3, 0}},
    };
#undef HEAD
    begin();
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct api_versions_response got;
        ASSERT_EQ(decode(&api_versions_response_type, 3, rows[i].bytes, rows[i].len, &got), rows[i].status);
        if (i > 0) continue;
        ASSERT_EQ(got.finalized_features_epoch, 6);
        ASSERT(got.zk_migration_ready);
    }
    struct fetch_request fetch, got;
    fetch_request_init(&fetch);
    struct message_size size;
    fetch.replica_state.replica_id = 7; /* tag 1, from version 15 on */
    uint8_t *bytes = encode(&fetch_request_type, 15, &fetch, &size);
    ASSERT_EQ(decode(&fetch_request_type, 15, bytes, size.total, &got), STATUS_OK);
    ASSERT_EQ(got.replica_state.replica_id, 7);
    uint8_t *old = malloc(size.total + 4); /* version 14 has the replica id in front instead */
    store_be32(old, 7);
    memcpy(old + 4, bytes, size.total);
    struct cursor c;
    cursor_init(&c, old, size.total + 4);
    ASSERT_EQ(fetch_request_decode(&c, &decoded, 14, &got), STATUS_INVALID);
    ASSERT_STREQ(c.what, "a tag that this version does not have");
    free(bytes);
    free(old);
    end();
}

static void other_versions_are_refused(void)
{
    begin();
    for (uint32_t i = 0; i < fill_count; i++) {
        const struct message_type *t = fill_table[i].type;
        const int16_t versions[] = {(int16_t)(t->min_version - 1), (int16_t)(t->max_version + 1), INT16_MIN, INT16_MAX};
        void *message = arena_zalloc(&values, t->struct_size);
        for (size_t k = 0; k < COUNT_OF(versions); k++) {
            uint8_t bytes[64] = {0};
            ASSERT_EQ(decode(t, versions[k], bytes, sizeof bytes, message), STATUS_UNSUPPORTED_VERSION);
            struct writer w;
            writer_init(&w, bytes, sizeof bytes, NULL, 0);
            t->encode(&w, versions[k], message);
            ASSERT_EQ(writer_finish(&w), STATUS_UNSUPPORTED_VERSION);
        }
    }
    end();
}

static void what_no_peer_could_read_is_not_written(void)
{
    static char long_name[WIRE_STRING_MAX + 1];
    const struct str keys[] = {STR_NULL, {long_name, WIRE_STRING_MAX + 1}, {"", -2}};
    const size_t room = 2 * (size_t)WIRE_STRING_MAX;
    uint8_t *own = malloc(room);
    for (int16_t v = 0; v <= 4; v += 4) {
        for (size_t i = 0; i < COUNT_OF(keys); i++) {
            struct str key = keys[i];
            struct find_coordinator_request r;
            find_coordinator_request_init(&r);
            r.key = key;
            r.coordinator_keys = &key;
            r.coordinator_keys_count = 1;
            struct writer w;
            writer_init(&w, own, room, NULL, 0);
            find_coordinator_request_encode(&w, v, &r);
            ASSERT_EQ(writer_finish(&w), STATUS_INVALID);
        }
    }
    free(own);
}

/* For metrics: error codes that are not 0, wherever they stand in the message; other numbers are none. */
static void error_codes_are_counted(void)
{
    uint8_t own[256];
    struct writer w;
    struct produce_response_partition partitions[3];
    struct produce_response_topic topic;
    struct produce_response r;
    produce_response_init(&r);
    produce_response_topic_init(&topic);
    for (int i = 0; i < 3; i++) {
        produce_response_partition_init(&partitions[i]);
        partitions[i].index = 7;
    }
    partitions[0].error_code = 6;
    partitions[2].error_code = -1;
    topic.partition_responses = partitions;
    topic.partition_responses_count = 3;
    r.responses = &topic;
    r.responses_count = 1;
    writer_init(&w, own, sizeof own, NULL, 0);
    produce_response_encode(&w, 9, &r);
    ASSERT_EQ(writer_finish(&w), STATUS_OK);
    ASSERT_EQ(w.error_codes, 2);
    partitions[0].error_code = partitions[2].error_code = 0;
    writer_init(&w, own, sizeof own, NULL, 0);
    produce_response_encode(&w, 9, &r);
    ASSERT_EQ(w.error_codes, 0);
}

TEST_MAIN("messages", {"every message comes back as it was", every_message_comes_back_as_it_was},
          {"pieces join to the flat bytes", pieces_join_to_the_flat_bytes},
          {"every cut is refused", every_cut_is_refused},
          {"a writer stays in its memory", a_writer_stays_in_its_memory},
          {"B4 unknown tags are skipped", unknown_tags_are_skipped},
          {"lies anywhere cost no memory", lies_anywhere_cost_no_memory},
          {"B3 hostile counts allocate nothing", hostile_counts_allocate_nothing},
          {"R10 a request stays below its arena's cap", a_request_stays_below_its_arenas_cap},
          {"known tags are read as Kafka does", known_tags_are_read_as_kafka_does},
          {"other versions are refused", other_versions_are_refused},
          {"what no peer could read is not written", what_no_peer_could_read_is_not_written},
          {"error codes are counted", error_codes_are_counted})

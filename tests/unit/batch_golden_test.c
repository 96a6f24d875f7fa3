// SPDX-License-Identifier: Apache-2.0
/* Batches made by Apache Kafka's own classes (tests/golden/README.md): read, validated, listed, rebuilt byte for byte.
 */
#include "tests/golden/batch_list.h"
#include "tests/unit/check_main.h"
#include <string.h>

#define T_MS 1700000000000

static const char *dir(void)
{
    const char *d = getenv("GOLDEN_BATCH");
    CHECK(d != NULL);
    return d;
}

static const struct {
    const char *name;
    enum status status; /* of batch_validate for a client */
} golden[] = {
    {"one", STATUS_OK},
    {"mixed_none", STATUS_OK},
    {"mixed_gzip", STATUS_OK},
    {"mixed_snappy", STATUS_OK},
    {"mixed_lz4", STATUS_OK},
    {"mixed_zstd", STATUS_OK},
    {"large_gzip", STATUS_OK},
    {"large_snappy", STATUS_OK},
    {"large_lz4", STATUS_OK},
    {"large_zstd", STATUS_OK},
    {"idempotent", STATUS_OK},
    {"transactional", STATUS_OK},
    {"append_time", STATUS_INVALID_TIMESTAMP},
    {"append_time_lz4", STATUS_INVALID_TIMESTAMP},
    {"control", STATUS_INVALID_RECORD},
    {"empty", STATUS_INVALID_RECORD},
};

static void every_batch_lists_as_kafka_lists_it(void)
{
    struct mem *mem = mem_create(64u << 20);
    for (size_t i = 0; i < sizeof golden / sizeof golden[0]; i++) {
        char *data, *want, *got = NULL;
        size_t len = file_read(dir(), golden[i].name, ".bin", &data), want_len, got_len;
        want_len = file_read(dir(), golden[i].name, ".txt", &want);
        FILE *f = open_memstream(&got, &got_len);
        ASSERT_EQ(batch_list(f, mem, data, len), STATUS_OK);
        fclose(f);
        ASSERT(want_len > 0);
        ASSERT_STREQ(got, want);
        free(data);
        free(want);
        free(got);
    }
    mem_destroy(mem);
}

static void every_batch_gets_kafkas_verdict(void)
{
    struct mem *mem = mem_create(64u << 20);
    struct batch_limits limits;
    batch_limits_init(&limits, T_MS);
    limits.after_max_ms = 1000000000;
    for (size_t i = 0; i < sizeof golden / sizeof golden[0]; i++) {
        char *data;
        size_t len = file_read(dir(), golden[i].name, ".bin", &data);
        struct batch_info info;
        struct batch_fault fault = {0};
        enum status s = batch_validate(data, len, &limits, mem, &info, &fault);
        if (s != golden[i].status) fprintf(stderr, "%s: %d %s\n", golden[i].name, fault.record_index, fault.text);
        ASSERT_EQ(s, golden[i].status);
        if (s == STATUS_OK) ASSERT_EQ(info.record_max_timestamp_ms, info.max_timestamp_ms);
        free(data);
    }
    mem_destroy(mem);
}

/* Every record of the batch again into our builder. With codec none the bytes must be Kafka's. */
static void rebuild(struct mem *mem, const char *name)
{
    char *data;
    size_t len = file_read(dir(), name, ".bin", &data), made_len;
    struct batch_info info;
    ASSERT_EQ(batch_parse(data, len, &info), STATUS_OK);
    struct batch_options o = {
        .codec = batch_codec(&info),
        .base_offset = info.base_offset,
        .leader_epoch = info.leader_epoch,
        .log_append_time = batch_is_log_append_time(&info),
        .append_time_ms = info.max_timestamp_ms,
        .transactional = batch_is_transactional(&info),
        .control = batch_is_control(&info),
        .producer_id = info.producer_id,
        .producer_epoch = info.producer_epoch,
        .base_sequence = info.base_sequence,
    };
    struct batch_builder b;
    batch_builder_init(&b, mem, &o);
    struct batch_iter it;
    info.attributes &= (uint16_t)~BATCH_LOG_APPEND_TIME; /* the create times are still there */
    ASSERT_EQ(batch_iter_open(&it, data, &info, mem, 1u << 20), STATUS_OK);
    struct batch_record r;
    while (batch_iter_next(&it, &r)) {
        struct batch_header h[8];
        ASSERT(r.header_count <= 8);
        batch_record_headers(&r, h);
        ASSERT_EQ(batch_builder_append(&b, r.timestamp_ms, r.key, r.key_len, r.value, r.value_len, h, r.header_count),
                  STATUS_OK);
    }
    ASSERT_EQ(batch_iter_close(&it), STATUS_OK);
    const uint8_t *made;
    ASSERT_EQ(batch_builder_finish(&b, &made, &made_len), STATUS_OK);
    ASSERT_EQ(made_len, len);
    ASSERT(memcmp(made, data, len) == 0);
    batch_builder_deinit(&b);
    free(data);
}

static void our_builder_makes_kafkas_bytes(void)
{
    struct mem *mem = mem_create(64u << 20);
    const char *names[] = {"one", "mixed_none", "idempotent", "append_time", "control"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) rebuild(mem, names[i]);
    mem_destroy(mem);
}

/* Bits from the CRC field on: never OK. Before it: the batch may stay valid only where the leader's stamps are. */
static void no_flipped_bit_passes(const char *name)
{
    struct mem *mem = mem_create(64u << 20);
    struct batch_limits limits;
    batch_limits_init(&limits, T_MS);
    limits.after_max_ms = 1000000000;
    char *data;
    size_t len = file_read(dir(), name, ".bin", &data);
    for (size_t bit = 0; bit < len * 8; bit++) {
        struct batch_info info;
        struct batch_fault fault;
        size_t byte = bit / 8;
        data[byte] = (char)(data[byte] ^ 1 << bit % 8);
        enum status s = batch_validate(data, len, &limits, mem, &info, &fault);
        bool stamp = byte < 8 || (byte >= 12 && byte < 16);
        ASSERT_EQ(s == STATUS_OK, stamp);
        data[byte] = (char)(data[byte] ^ 1 << bit % 8);
    }
    free(data);
    mem_destroy(mem);
}

static void no_cut_passes(const char *name)
{
    struct mem *mem = mem_create(64u << 20);
    struct batch_limits limits;
    batch_limits_init(&limits, T_MS);
    char *data;
    size_t len = file_read(dir(), name, ".bin", &data);
    for (size_t n = 0; n < len; n++) {
        struct batch_info info;
        struct batch_fault fault;
        char *cut = malloc(n > 0 ? n : 1);
        memcpy(cut, data, n);
        ASSERT_EQ(batch_parse(cut, n, &info), STATUS_TRUNCATED_INPUT);
        ASSERT_EQ(batch_validate(cut, n, &limits, mem, &info, &fault), STATUS_TRUNCATED_INPUT);
        free(cut);
    }
    free(data);
    mem_destroy(mem);
}

static void B7_no_flipped_bit_passes(void)
{
    no_flipped_bit_passes("one");
    no_flipped_bit_passes("transactional");
    no_flipped_bit_passes("mixed_snappy");
}

static void B7_no_cut_passes(void)
{
    no_cut_passes("mixed_none");
    no_cut_passes("mixed_gzip");
}

static bool lists_as(struct mem *mem, const char *data, size_t len, const char *want)
{
    char *got = NULL;
    size_t got_len;
    FILE *f = open_memstream(&got, &got_len);
    enum status s = batch_list(f, mem, data, len);
    fclose(f);
    bool same = s == STATUS_OK && strcmp(got, want) == 0;
    free(got);
    return same;
}

/* The CRC made right again, so that the decoders see the damage: any answer but a crash or a leak. With gzip's own CRC:
 * refused, or the same records (padding bits, another way to say the same). */
static void B12_damage_behind_a_right_crc_is_survived(void)
{
    struct mem *mem = mem_create(64u << 20);
    struct batch_limits limits;
    batch_limits_init(&limits, T_MS);
    limits.after_max_ms = 1000000000;
    const char *names[] = {"mixed_none", "mixed_gzip", "mixed_snappy", "mixed_lz4", "mixed_zstd"};
    const size_t gzip_deflated = BATCH_HEADER_BYTES + 10; /* from here on */
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char *data, *want;
        size_t len = file_read(dir(), names[i], ".bin", &data);
        file_read(dir(), names[i], ".txt", &want);
        for (size_t bit = 21 * 8; bit < MIN(len, (size_t)700) * 8; bit++) {
            struct batch_info info;
            struct batch_fault fault = {.text = NULL};
            data[bit / 8] = (char)(data[bit / 8] ^ 1 << bit % 8);
            store_be32(data + 17, crc32c(0, data + 21, len - 21));
            enum status s = batch_validate(data, len, &limits, mem, &info, &fault);
            if (s != STATUS_OK) ASSERT(fault.text != NULL);
            if (s == STATUS_OK && batch_codec(&info) == CODEC_GZIP && bit / 8 >= gzip_deflated)
                ASSERT(lists_as(mem, data, len, want));
            data[bit / 8] = (char)(data[bit / 8] ^ 1 << bit % 8);
        }
        free(want);
        free(data);
    }
    mem_destroy(mem);
}

TEST_MAIN("batch_golden", {"every batch lists as Kafka lists it", every_batch_lists_as_kafka_lists_it},
          {"every batch gets Kafka's verdict", every_batch_gets_kafkas_verdict},
          {"our builder makes Kafka's bytes", our_builder_makes_kafkas_bytes},
          {"B7: no flipped bit passes", B7_no_flipped_bit_passes}, {"B7: no cut passes", B7_no_cut_passes},
          {"B12: damage behind a right CRC is survived", B12_damage_behind_a_right_crc_is_survived})

// SPDX-License-Identifier: Apache-2.0
/* Record batches: header, stamps, builder and iterator, and a table of everything a broker must refuse. */
#include "base/bytes.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "protocol/batch_record.h"
#include "tests/unit/check_main.h"
#include <stdlib.h>

#define NOW_MS 1700000000000
#define CAP    (1u << 20)

/* A batch that tests may spoil. */
struct sample {
    uint8_t data[4096];
    size_t len;
};

static void sample_seal(struct sample *s) /* length and CRC of what is there now */
{
    store_be32(s->data + 8, (uint32_t)s->len - 12);
    store_be32(s->data + 17, crc32c(0, s->data + 21, s->len - 21));
}

static void sample_init(struct sample *s, struct mem *mem, const struct batch_options *options)
{
    struct batch_builder b;
    struct batch_header h = {(const uint8_t *)"h", (const uint8_t *)"v", 1, 1};
    batch_builder_init(&b, mem, options);
    CHECK_OK(batch_builder_append(&b, NOW_MS, "k", 1, "value 0", 7, NULL, 0));
    CHECK_OK(batch_builder_append(&b, NOW_MS - 10, NULL, -1, "value 1", 7, &h, 1));
    CHECK_OK(batch_builder_append(&b, NOW_MS + 10, "k", 1, NULL, -1, NULL, 0));
    const uint8_t *data;
    CHECK_OK(batch_builder_finish(&b, &data, &s->len));
    CHECK(s->len <= sizeof s->data);
    memcpy(s->data, data, s->len);
    batch_builder_deinit(&b);
}

static void plain_sample_init(struct sample *s, struct mem *mem)
{
    struct batch_options o;
    batch_options_init(&o);
    sample_init(s, mem, &o);
}

/* A batch of one record with these body bytes, compressed by the codec. */
static void record_sample_init(struct sample *s, struct mem *mem, enum codec codec, const uint8_t *record, size_t len)
{
    struct batch_options o;
    batch_options_init(&o);
    struct batch_builder b;
    batch_builder_init(&b, mem, &o);
    CHECK_OK(batch_builder_append(&b, NOW_MS, NULL, -1, NULL, -1, NULL, 0));
    const uint8_t *data;
    CHECK_OK(batch_builder_finish(&b, &data, &s->len));
    memcpy(s->data, data, BATCH_HEADER_BYTES);
    size_t made;
    CHECK_OK(codec_compress(mem, codec, record, len, s->data + BATCH_HEADER_BYTES, sizeof s->data - BATCH_HEADER_BYTES,
                            &made));
    s->len = BATCH_HEADER_BYTES + made;
    s->data[22] = (uint8_t)codec;
    sample_seal(s);
    batch_builder_deinit(&b);
}

static void parse_reads_what_the_builder_wrote(void)
{
    struct mem *mem = mem_create(64u << 20);
    struct batch_options o = {.codec = CODEC_ZSTD,
                              .base_offset = 1234567890123,
                              .leader_epoch = 7,
                              .transactional = true,
                              .producer_id = 4001,
                              .producer_epoch = 3,
                              .base_sequence = 99};
    struct sample s;
    sample_init(&s, mem, &o);
    struct batch_info i;
    ASSERT_EQ(batch_parse(s.data, sizeof s.data, &i), STATUS_OK); /* more bytes may follow */
    ASSERT_EQ(i.size_bytes, s.len);
    ASSERT_EQ(i.base_offset, 1234567890123);
    ASSERT_EQ(i.leader_epoch, 7);
    ASSERT_EQ(i.magic, 2);
    ASSERT_EQ(batch_codec(&i), CODEC_ZSTD);
    ASSERT(batch_is_transactional(&i) && !batch_is_control(&i) && !batch_is_log_append_time(&i));
    ASSERT_EQ(i.last_offset_delta, 2);
    ASSERT_EQ(batch_last_offset(&i), 1234567890125);
    ASSERT_EQ(batch_next_offset(&i), 1234567890126);
    ASSERT_EQ(i.base_timestamp_ms, NOW_MS);
    ASSERT_EQ(i.max_timestamp_ms, NOW_MS + 10);
    ASSERT_EQ(i.producer_id, 4001);
    ASSERT_EQ(i.producer_epoch, 3);
    ASSERT_EQ(i.base_sequence, 99);
    ASSERT_EQ(batch_last_sequence(&i), 101);
    ASSERT_EQ(i.record_count, 3);
    ASSERT(batch_crc_valid(s.data, &i));
    i.base_sequence = INT32_MAX - 1;
    ASSERT_EQ(batch_last_sequence(&i), 0); /* wraps */
    mem_destroy(mem);
}

static void stamps_leave_the_crc_right(void)
{
    struct mem *mem = mem_create(64u << 20);
    struct sample s;
    plain_sample_init(&s, mem);
    batch_assign(s.data, 5000000000, 12);
    struct batch_info i;
    ASSERT_EQ(batch_parse(s.data, s.len, &i), STATUS_OK);
    ASSERT_EQ(i.base_offset, 5000000000);
    ASSERT_EQ(i.leader_epoch, 12);
    ASSERT(batch_crc_valid(s.data, &i));
    batch_set_max_timestamp(s.data, &i, NOW_MS + 99);
    ASSERT_EQ(batch_parse(s.data, s.len, &i), STATUS_OK);
    ASSERT_EQ(i.max_timestamp_ms, NOW_MS + 99);
    ASSERT(batch_crc_valid(s.data, &i));
    batch_set_append_time(s.data, &i, NOW_MS + 7);
    struct batch_info again;
    ASSERT_EQ(batch_parse(s.data, s.len, &again), STATUS_OK);
    ASSERT(batch_crc_valid(s.data, &again));
    ASSERT(batch_is_log_append_time(&again));
    ASSERT_EQ(again.max_timestamp_ms, NOW_MS + 7);
    ASSERT_EQ(again.crc, i.crc);
    struct batch_iter it;
    struct batch_record r;
    ASSERT_EQ(batch_iter_open(&it, s.data, &again, mem, CAP), STATUS_OK);
    for (int n = 0; n < 3; n++) {
        ASSERT(batch_iter_next(&it, &r));
        ASSERT_EQ(r.timestamp_ms, NOW_MS + 7);
        ASSERT_EQ(r.offset, 5000000000 + n);
    }
    ASSERT(!batch_iter_next(&it, &r));
    ASSERT_EQ(batch_iter_close(&it), STATUS_OK);
    mem_destroy(mem);
}

static void every_codec_round_trips(void)
{
    struct mem *mem = mem_create(64u << 20);
    for (enum codec c = CODEC_NONE; c < CODEC_COUNT; c++) {
        struct batch_options o;
        batch_options_init(&o);
        o.codec = c;
        struct sample s;
        sample_init(&s, mem, &o);
        struct batch_limits l;
        batch_limits_init(&l, NOW_MS);
        struct batch_info i;
        struct batch_fault f;
        ASSERT_EQ(batch_validate(s.data, s.len, &l, mem, &i, &f), STATUS_OK);
        struct batch_iter it;
        struct batch_record r;
        struct batch_header h;
        ASSERT_EQ(batch_iter_open(&it, s.data, &i, mem, CAP), STATUS_OK);
        ASSERT(batch_iter_next(&it, &r));
        ASSERT(r.key_len == 1 && r.key[0] == 'k' && r.value_len == 7 && memcmp(r.value, "value 0", 7) == 0);
        ASSERT(batch_iter_next(&it, &r));
        ASSERT(r.key_len == -1 && r.header_count == 1 && r.timestamp_ms == NOW_MS - 10);
        batch_record_headers(&r, &h);
        ASSERT(h.key_len == 1 && h.key[0] == 'h' && h.value_len == 1 && h.value[0] == 'v');
        ASSERT(batch_iter_next(&it, &r));
        ASSERT(r.value_len == -1 && r.offset == 2);
        ASSERT(!batch_iter_next(&it, &r));
        ASSERT_EQ(batch_iter_close(&it), STATUS_OK);
    }
    mem_destroy(mem);
}

/* One field of the header changed, the CRC made right again. */
static const struct spoil {
    const char *row;
    int pos, size;
    uint64_t value;
    enum status status;
} spoils[] = {
    {"nothing", 0, 8, 0, STATUS_OK},
    {"B8 base offset set by the client", 0, 8, 77, STATUS_OK},
    {"B8 base offset negative", 0, 8, UINT64_MAX, STATUS_OK},
    {"B8 leader epoch set by the client", 12, 4, 55, STATUS_OK},
    {"B7 magic 0", 16, 1, 0, STATUS_UNSUPPORTED_FORMAT},
    {"B7 magic 1", 16, 1, 1, STATUS_UNSUPPORTED_FORMAT},
    {"B7 magic 3", 16, 1, 3, STATUS_UNSUPPORTED_FORMAT},
    {"B7 reserved attribute bit 7", 21, 2, 0x80, STATUS_UNSUPPORTED_FORMAT},
    {"B7 reserved attribute bit 15", 21, 2, 0x8000, STATUS_UNSUPPORTED_FORMAT},
    {"B7 codec 5", 21, 2, 5, STATUS_UNSUPPORTED_CODEC},
    {"B7 codec 6", 21, 2, 6, STATUS_UNSUPPORTED_CODEC},
    {"B7 codec 7", 21, 2, 7, STATUS_UNSUPPORTED_CODEC},
    {"B12 codec gzip without gzip bytes", 21, 2, 1, STATUS_CORRUPT_BATCH},
    {"B12 codec snappy without snappy bytes", 21, 2, 2, STATUS_CORRUPT_BATCH},
    {"B12 codec lz4 without lz4 bytes", 21, 2, 3, STATUS_CORRUPT_BATCH},
    {"B12 codec zstd without zstd bytes", 21, 2, 4, STATUS_CORRUPT_BATCH},
    {"client sets LogAppendTime", 21, 2, 0x08, STATUS_INVALID_TIMESTAMP},
    {"B9 transactional without producer id", 21, 2, 0x10, STATUS_INVALID_RECORD},
    {"B9 control batch of a client", 21, 2, 0x20, STATUS_INVALID_RECORD},
    {"client sets a delete horizon", 21, 2, 0x40, STATUS_INVALID_RECORD},
    {"B8 last offset delta too small", 23, 4, 1, STATUS_INVALID_RECORD},
    {"B8 last offset delta too large", 23, 4, 3, STATUS_INVALID_RECORD},
    {"B8 last offset delta negative", 23, 4, 0xffffffff, STATUS_INVALID_RECORD},
    {"timestamp at the end of time", 27, 8, INT64_MAX - 5, STATUS_INVALID_TIMESTAMP},
    {"timestamps an hour and more ahead", 27, 8, NOW_MS + 3600 * 1000 + 1, STATUS_INVALID_TIMESTAMP},
    {"max timestamp wrong: told, not refused", 35, 8, 5, STATUS_OK},
    {"producer id below -1", 43, 8, UINT64_MAX - 1, STATUS_INVALID_RECORD},
    {"producer id without epoch and sequence", 43, 8, 1, STATUS_INVALID_RECORD},
    {"no producer id, epoch 0 (kafkajs)", 51, 2, 0, STATUS_OK},
    {"no producer id, sequence 0 (sarama)", 53, 4, 0, STATUS_OK},
    {"B8 count 0", 57, 4, 0, STATUS_INVALID_RECORD},
    {"B8 count negative", 57, 4, 0xffffffff, STATUS_INVALID_RECORD},
    {"B8 count without records", 57, 4, INT32_MAX, STATUS_INVALID_RECORD},
};

static void field_set(uint8_t *p, int size, uint64_t v)
{
    for (int i = 0; i < size; i++) p[i] = (uint8_t)(v >> 8 * (size - 1 - i));
}

static void B7_B8_B9_header_fields_are_checked(void)
{
    struct mem *mem = mem_create(64u << 20);
    struct batch_limits l;
    batch_limits_init(&l, NOW_MS);
    for (size_t n = 0; n < COUNT_OF(spoils); n++) {
        struct sample s;
        plain_sample_init(&s, mem);
        field_set(s.data + spoils[n].pos, spoils[n].size, spoils[n].value);
        sample_seal(&s);
        struct batch_info i;
        struct batch_fault f = {0};
        enum status status = batch_validate(s.data, s.len, &l, mem, &i, &f);
        if (status != spoils[n].status) fprintf(stderr, "%s: %s\n", spoils[n].row, status_name(status));
        ASSERT_EQ(status, spoils[n].status);
        if (status != STATUS_OK) ASSERT(f.text != NULL && f.record_index >= -1);
        if (status == STATUS_OK) ASSERT_EQ(i.record_max_timestamp_ms, NOW_MS + 10);
    }
    mem_destroy(mem);
}

static void producer_fields_go_together(void)
{
    struct mem *mem = mem_create(64u << 20);
    static const struct {
        int16_t epoch;
        int32_t sequence;
        bool transactional;
        enum status status;
    } rows[] = {
        {0, 0, false, STATUS_OK},
        {0, 0, true, STATUS_OK},
        {INT16_MAX, INT32_MAX, false, STATUS_OK},
        {-1, 0, false, STATUS_INVALID_RECORD},
        {0, -1, false, STATUS_INVALID_RECORD},
        {0, INT32_MIN, true, STATUS_INVALID_RECORD},
    };
    struct batch_limits l;
    batch_limits_init(&l, NOW_MS);
    for (size_t n = 0; n < COUNT_OF(rows); n++) {
        struct batch_options o;
        batch_options_init(&o);
        o.producer_id = 1;
        o.producer_epoch = rows[n].epoch;
        o.base_sequence = rows[n].sequence;
        o.transactional = rows[n].transactional;
        struct sample s;
        sample_init(&s, mem, &o);
        struct batch_info i;
        struct batch_fault f;
        ASSERT_EQ(batch_validate(s.data, s.len, &l, mem, &i, &f), rows[n].status);
    }
    mem_destroy(mem);
}

#define RECORD(...) .bytes = {__VA_ARGS__}, .len = sizeof((uint8_t[]){__VA_ARGS__})
/* length, attributes, timestamp delta, offset delta, key, value, headers; zigzag: -1 is 1, n is 2n */
static const struct bad_record {
    const char *row;
    uint8_t bytes[40];
    size_t len;
    enum status status;
} bad_records[] = {
    {"sound", RECORD(12, 0, 0, 0, 1, 1, 0), STATUS_OK},
    {"sound with everything", RECORD(28, 0, 0, 0, 2, 'k', 2, 'v', 4, 2, 'a', 1, 0, 2, 'b'), STATUS_OK},
    {"padded varint within 5 bytes", RECORD(0x8c, 0x80, 0x80, 0x80, 0, 0, 0, 0, 1, 1, 0), STATUS_OK},
    {"B10 varint of 6 bytes", RECORD(0x8c, 0x80, 0x80, 0x80, 0x80, 0, 0, 0, 0, 1, 1, 0), STATUS_INVALID_RECORD},
    {"B10 varint with bits beyond 32", RECORD(0x8c, 0x80, 0x80, 0x80, 0x10, 0, 0, 0, 1, 1, 0), STATUS_INVALID_RECORD},
    {"B10 varlong of 11 bytes",
     RECORD(32, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0, 0, 1, 1, 0), STATUS_INVALID_RECORD},
    {"B10 record length negative", RECORD(1, 0, 0, 0, 1, 1, 0), STATUS_INVALID_RECORD},
    {"B10 record length one short", RECORD(10, 0, 0, 0, 1, 1, 0), STATUS_INVALID_RECORD},
    {"B10 record length one too long", RECORD(14, 0, 0, 0, 1, 1, 0, 0), STATUS_INVALID_RECORD},
    {"B10 record length beyond the batch", RECORD(0xfe, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 1, 1, 0),
     STATUS_INVALID_RECORD},
    {"B10 key length past the record", RECORD(12, 0, 0, 0, 20, 1, 0), STATUS_INVALID_RECORD},
    {"B10 key length -2", RECORD(12, 0, 0, 0, 3, 1, 0), STATUS_INVALID_RECORD},
    {"B10 value length past the record", RECORD(12, 0, 0, 0, 1, 20, 0), STATUS_INVALID_RECORD},
    {"B10 value length -2", RECORD(12, 0, 0, 0, 1, 3, 0), STATUS_INVALID_RECORD},
    {"B10 header count negative", RECORD(12, 0, 0, 0, 1, 1, 1), STATUS_INVALID_RECORD},
    {"B10 header count 2^31 - 1", RECORD(20, 0, 0, 0, 1, 1, 0xfe, 0xff, 0xff, 0xff, 0x0f), STATUS_INVALID_RECORD},
    {"B10 one header missing", RECORD(16, 0, 0, 0, 1, 1, 4, 0, 0), STATUS_INVALID_RECORD},
    {"header key null", RECORD(16, 0, 0, 0, 1, 1, 2, 1, 1), STATUS_INVALID_RECORD},
    {"header value length -2", RECORD(16, 0, 0, 0, 1, 1, 2, 0, 3), STATUS_INVALID_RECORD},
    {"B10 offset delta 1", RECORD(12, 0, 0, 2, 1, 1, 0), STATUS_INVALID_RECORD},
    {"B10 offset delta -1", RECORD(12, 0, 0, 1, 1, 1, 0), STATUS_INVALID_RECORD},
    {"B12 byte after the last record", RECORD(12, 0, 0, 0, 1, 1, 0, 0), STATUS_INVALID_RECORD},
    {"B8 a second record", RECORD(12, 0, 0, 0, 1, 1, 0, 12, 0, 0, 2, 1, 1, 0), STATUS_INVALID_RECORD},
    {"B12 record cut", RECORD(12, 0, 0, 0, 1, 1), STATUS_INVALID_RECORD},
};

static void B10_records_are_decoded_to_the_byte(void)
{
    struct mem *mem = mem_create(64u << 20);
    struct batch_limits l;
    batch_limits_init(&l, NOW_MS);
    for (size_t n = 0; n < COUNT_OF(bad_records); n++) {
        for (enum codec c = CODEC_NONE; c < CODEC_COUNT; c++) {
            struct sample s;
            record_sample_init(&s, mem, c, bad_records[n].bytes, bad_records[n].len);
            uint8_t *exact = malloc(s.len); /* so that a read beyond it is seen */
            memcpy(exact, s.data, s.len);
            struct batch_info i;
            struct batch_fault f = {.record_index = -2};
            enum status status = batch_validate(exact, s.len, &l, mem, &i, &f);
            if (status != bad_records[n].status) fprintf(stderr, "%s: %s\n", bad_records[n].row, status_name(status));
            ASSERT_EQ(status, bad_records[n].status);
            if (status != STATUS_OK) ASSERT(f.record_index == 0 || f.record_index == -1);
            /* refused at once, not after two thousand million headers that are not there */
            if (strstr(bad_records[n].row, "header count") != NULL)
                ASSERT_STREQ(f.text, "the header count is negative or larger than its record can hold");
            free(exact);
        }
    }
    mem_destroy(mem);
}

static void a_fault_names_its_record(void)
{
    struct mem *mem = mem_create(64u << 20);
    struct sample s;
    plain_sample_init(&s, mem);
    struct batch_limits l;
    batch_limits_init(&l, NOW_MS);
    struct batch_info i;
    struct batch_fault f;
    l.keys_needed = true; /* B10: the record in the middle has none */
    ASSERT_EQ(batch_validate(s.data, s.len, &l, mem, &i, &f), STATUS_INVALID_RECORD);
    ASSERT_EQ(f.record_index, 1);
    ASSERT_STREQ(f.text, "a compacted topic needs keys");
    batch_limits_init(&l, NOW_MS);
    l.after_max_ms = 9; /* the last one is 10 ms ahead, the middle one 10 ms behind */
    ASSERT_EQ(batch_validate(s.data, s.len, &l, mem, &i, &f), STATUS_INVALID_TIMESTAMP);
    ASSERT_EQ(f.record_index, 2);
    l.before_max_ms = 9;
    ASSERT_EQ(batch_validate(s.data, s.len, &l, mem, &i, &f), STATUS_INVALID_TIMESTAMP);
    ASSERT_EQ(f.record_index, 1);
    l.before_max_ms = l.after_max_ms = 10;
    ASSERT_EQ(batch_validate(s.data, s.len, &l, mem, &i, &f), STATUS_OK);
    l.before_max_ms = l.after_max_ms = 0;
    l.check_timestamps = false; /* a topic with LogAppendTime */
    ASSERT_EQ(batch_validate(s.data, s.len, &l, mem, &i, &f), STATUS_OK);
    store_be64(s.data + 27, INT64_MAX - 5); /* the last one's delta is 10 */
    sample_seal(&s);
    ASSERT_EQ(batch_validate(s.data, s.len, &l, mem, &i, &f), STATUS_INVALID_RECORD);
    ASSERT_EQ(f.record_index, 2);
    mem_destroy(mem);
}

static void sizes_are_limited(void)
{
    struct mem *mem = mem_create(64u << 20);
    struct sample s;
    plain_sample_init(&s, mem);
    struct batch_limits l;
    batch_limits_init(&l, NOW_MS);
    struct batch_info i;
    struct batch_fault f;
    l.batch_bytes_max = (uint32_t)s.len;
    ASSERT_EQ(batch_validate(s.data, s.len, &l, mem, &i, &f), STATUS_OK);
    l.batch_bytes_max--;
    ASSERT_EQ(batch_validate(s.data, s.len, &l, mem, &i, &f), STATUS_BATCH_TOO_LARGE);
    batch_limits_init(&l, NOW_MS);
    ASSERT_EQ(batch_validate(s.data, s.len + 1, &l, mem, &i, &f), STATUS_INVALID_RECORD); /* one batch only */
    store_be32(s.data + 8, 48);
    ASSERT_EQ(batch_parse(s.data, s.len, &i), STATUS_CORRUPT_BATCH);
    store_be32(s.data + 8, UINT32_MAX);
    ASSERT_EQ(batch_parse(s.data, s.len, &i), STATUS_CORRUPT_BATCH);
    store_be32(s.data + 8, INT32_MAX - 8192);
    ASSERT_EQ(batch_parse(s.data, s.len, &i), STATUS_TRUNCATED_INPUT);
    mem_destroy(mem);
}

/* B11: one record of 4 MiB of zeros, packed into some KiB. */
static void B11_a_bomb_stops_at_the_cap(void)
{
    struct mem *mem = mem_create(256u << 20);
    uint8_t *zeros = calloc(1, 4u << 20);
    for (enum codec c = CODEC_GZIP; c < CODEC_COUNT; c++) {
        struct batch_options o;
        batch_options_init(&o);
        o.codec = c;
        struct batch_builder b;
        batch_builder_init(&b, mem, &o);
        ASSERT_EQ(batch_builder_append(&b, NOW_MS, NULL, -1, zeros, 4 << 20, NULL, 0), STATUS_OK);
        const uint8_t *data;
        size_t len;
        ASSERT_EQ(batch_builder_finish(&b, &data, &len), STATUS_OK);
        struct batch_limits l;
        batch_limits_init(&l, NOW_MS);
        struct batch_info i;
        struct batch_fault f;
        ASSERT_EQ(batch_validate(data, len, &l, mem, &i, &f), STATUS_OK);
        l.output_cap_bytes = CAP;
        ASSERT_EQ(batch_validate(data, len, &l, mem, &i, &f), STATUS_BATCH_TOO_LARGE);
        struct batch_iter it;
        ASSERT_EQ(batch_iter_open(&it, data, &i, mem, CAP), STATUS_BATCH_TOO_LARGE);
        batch_builder_deinit(&b);
        ASSERT_EQ(mem_used(mem, MEM_PRODUCE), 0);
    }
    free(zeros);
    mem_destroy(mem);
}

static void validation_of_plain_batches_allocates_nothing(void)
{
    struct mem *mem = mem_create(64u << 20);
    struct sample s;
    plain_sample_init(&s, mem);
    struct batch_limits l;
    batch_limits_init(&l, NOW_MS);
    struct batch_info i;
    struct batch_fault f;
    mem_fail_nth(mem, 1);
    ASSERT_EQ(batch_validate(s.data, s.len, &l, mem, &i, &f), STATUS_OK);
    ASSERT(mem_alloc(mem, MEM_PRODUCE, 16) == NULL); /* the hook was still armed */
    mem_destroy(mem);
}

static void a_builder_out_of_memory_stands_as_before(void)
{
    struct mem *mem = mem_create(64u << 20);
    struct batch_options o;
    batch_options_init(&o);
    o.codec = CODEC_LZ4;
    struct batch_builder b;
    batch_builder_init(&b, mem, &o);
    uint8_t value[5000] = {0};
    ASSERT_EQ(batch_builder_append(&b, NOW_MS, "k", 1, "v", 1, NULL, 0), STATUS_OK);
    size_t before = batch_builder_bytes(&b);
    mem_fail_nth(mem, 1);
    ASSERT_EQ(batch_builder_append(&b, NOW_MS, "k", 1, value, sizeof value, NULL, 0), STATUS_NO_MEMORY);
    ASSERT_EQ(batch_builder_bytes(&b), before);
    ASSERT_EQ(batch_builder_append(&b, INT64_MIN, "k", 1, "v", 1, NULL, 0), STATUS_INVALID);
    ASSERT_EQ(batch_builder_append(&b, NOW_MS, "k", 1, value, sizeof value, NULL, 0), STATUS_OK);
    const uint8_t *data;
    size_t len;
    for (uint64_t n = 1; n <= 2; n++) {
        mem_fail_nth(mem, n);
        ASSERT_EQ(batch_builder_finish(&b, &data, &len), STATUS_NO_MEMORY);
    }
    ASSERT_EQ(batch_builder_finish(&b, &data, &len), STATUS_OK);
    struct batch_info i;
    ASSERT_EQ(batch_parse(data, len, &i), STATUS_OK);
    ASSERT_EQ(i.record_count, 2);
    struct batch_iter it;
    for (uint64_t n = 1; n <= 3; n++) {
        mem_fail_nth(mem, n);
        ASSERT_EQ(batch_iter_open(&it, data, &i, mem, CAP), STATUS_NO_MEMORY);
    }
    ASSERT_EQ(batch_iter_open(&it, data, &i, mem, CAP), STATUS_OK);
    ASSERT_EQ(batch_iter_close(&it), STATUS_OK);
    batch_builder_deinit(&b);
    mem_destroy(mem);
}

/* Compaction leaves gaps; the walk takes them, and nothing that goes back or beyond the batch. */
static void an_iterator_wants_rising_offsets(void)
{
    struct mem *mem = mem_create(64u << 20);
    static const struct {
        uint8_t first, second; /* zigzag deltas */
        int32_t last;
        enum status status;
    } rows[] = {
        {0, 2, 1, STATUS_OK},
        {4, 18, 9, STATUS_OK},
        {4, 18, 20, STATUS_OK},
        {4, 18, 8, STATUS_INVALID_RECORD},
        {4, 4, 9, STATUS_INVALID_RECORD},
        {4, 2, 9, STATUS_INVALID_RECORD},
        {1, 2, 9, STATUS_INVALID_RECORD},
    };
    for (size_t n = 0; n < COUNT_OF(rows); n++) {
        const uint8_t records[] = {12, 0, 0, rows[n].first, 1, 1, 0, 12, 0, 0, rows[n].second, 1, 1, 0};
        struct sample s;
        record_sample_init(&s, mem, CODEC_NONE, records, sizeof records);
        store_be32(s.data + 23, (uint32_t)rows[n].last);
        store_be32(s.data + 57, 2);
        struct batch_info i;
        ASSERT_EQ(batch_parse(s.data, s.len, &i), STATUS_OK);
        struct batch_iter it;
        struct batch_record r;
        ASSERT_EQ(batch_iter_open(&it, s.data, &i, mem, CAP), STATUS_OK);
        while (batch_iter_next(&it, &r)) continue;
        ASSERT_EQ(batch_iter_close(&it), rows[n].status);
    }
    mem_destroy(mem);
}

TEST_MAIN("batch", {"parse reads what the builder wrote", parse_reads_what_the_builder_wrote},
          {"stamps leave the CRC right", stamps_leave_the_crc_right},
          {"every codec round trips", every_codec_round_trips},
          {"B7 B8 B9: header fields are checked", B7_B8_B9_header_fields_are_checked},
          {"producer fields go together", producer_fields_go_together},
          {"B10: records are decoded to the byte", B10_records_are_decoded_to_the_byte},
          {"B10: a fault names its record", a_fault_names_its_record}, {"sizes are limited", sizes_are_limited},
          {"B11: a bomb stops at the cap", B11_a_bomb_stops_at_the_cap},
          {"validation of plain batches allocates nothing", validation_of_plain_batches_allocates_nothing},
          {"a builder out of memory stands as before", a_builder_out_of_memory_stands_as_before},
          {"an iterator wants rising offsets", an_iterator_wants_rising_offsets})

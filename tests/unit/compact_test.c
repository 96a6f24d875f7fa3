// SPDX-License-Identifier: Apache-2.0
/* The rules of compaction without files: the key map, which log and how far, one batch; then whole rounds over random
 * logs against a model that is a list of records. */
#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/prng.h"
#include "storage/compact_batch.h"
#include "tests/unit/check_main.h"
#include <stdio.h>
#include <stdlib.h>

#define OPEN UINT64_MAX
#define NOW  1700000000000
#define DAY  (24ll * 3600 * 1000)

static struct mem *mem;

static struct key_map *map_create(uint64_t keys, uint64_t seed)
{
    struct key_map *m = key_map_create(mem, keys, seed);
    while (m != NULL && !key_map_clear(m)) continue;
    return m;
}

/* --- key map --- */

static void map_keeps_the_newest_offset(void)
{
    enum { KEYS = 5000 };
    mem = mem_create(64u << 20);
    struct key_map *m = map_create(KEYS, 7);
    int64_t newest[KEYS];
    char key[16];
    ASSERT(m != NULL && key_map_capacity(m) == KEYS);
    for (int64_t offset = 0; offset < 3 * KEYS; offset++) {
        int64_t k = offset * 7919 % KEYS;
        int n = snprintf(key, sizeof key, "%lld", (long long)k);
        ASSERT(key_map_put(m, key, (size_t)n, offset));
        newest[k] = offset;
    }
    ASSERT_EQ(key_map_count(m), KEYS);
    for (int64_t k = 0; k < KEYS; k++) {
        int n = snprintf(key, sizeof key, "%lld", (long long)k);
        ASSERT_EQ(key_map_get(m, key, (size_t)n), newest[k]);
    }
    ASSERT_EQ(key_map_get(m, "none", 4), NO_OFFSET);
    ASSERT(!key_map_put(m, "none", 4, 1 << 30)); /* full, and unchanged */
    ASSERT_EQ(key_map_get(m, "none", 4), NO_OFFSET);
    ASSERT(key_map_put(m, "17", 2, 1 << 30)); /* a key it has */
    ASSERT_EQ(key_map_get(m, "17", 2), 1 << 30);
    key_map_destroy(mem, m);
    mem_destroy(mem);
}

static void map_takes_what_memory_there_is(void)
{
    mem = mem_create(32u << 20);
    uint64_t budget = mem_budget(mem, MEM_LOG);
    struct key_map *m = map_create(budget / 10, 1); /* 24 bytes each: not all of them */
    ASSERT(m != NULL && key_map_capacity(m) < budget / 10 && key_map_capacity(m) >= budget / 640);
    ASSERT(mem_used(mem, MEM_LOG) <= budget);
    key_map_destroy(mem, m);
    ASSERT(map_create(budget * 64, 1) == NULL);
    m = map_create(0, 1);
    ASSERT(m != NULL && key_map_put(m, "", 0, 0) && !key_map_put(m, "a", 1, 1));
    ASSERT_EQ(key_map_get(m, "", 0), 0);
    key_map_destroy(mem, m);
    mem_destroy(mem);
}

/* --- which log, how far --- */

static struct partition_settings settings(double ratio, int64_t min_lag_ms, int64_t max_lag_ms)
{
    return (struct partition_settings){.compacts = true,
                                       .min_dirty_ratio = ratio,
                                       .min_lag_ms = min_lag_ms,
                                       .max_lag_ms = max_lag_ms,
                                       .delete_retention_ms = DAY};
}

static void when_and_how_far(void)
{
    /* five of 100 bytes and 10 offsets; the last one is open; times: minutes ago */
    static const int64_t ago[] = {50, 40, 30, 20, 10};
    struct segment s[5];
    for (int i = 0; i < 5; i++)
        s[i] = (struct segment){.base = i * 10,
                                .start = (uint64_t)i * 100,
                                .length = i == 4 ? OPEN : 100,
                                .newest_ms = NOW - ago[i] * 60000,
                                .oldest_ms = NOW - ago[i] * 60000 - 5 * 60000};
    static const struct {
        const char *what;
        int64_t clean_end, log_start, high_watermark, moving_base, min_lag_min, max_lag_min;
        double ratio;
        bool wanted;
        int64_t from, to;
    } rows[] = {
        {"all closed ones", 0, 0, 45, 40, 0, -1, 0.5, true, 0, 40},
        {"a share that is not above the ratio", 20, 0, 45, 40, 0, -1, 0.5, false, 20, 40},
        {"one that is", 20, 0, 45, 40, 0, -1, 0.49, true, 20, 40},
        {"ratio 0 wants anything dirty", 30, 0, 45, 40, 0, -1, 0, true, 30, 40},
        {"nothing dirty", 40, 0, 45, 40, 0, -1, 0, false, 40, 40},
        {"not above the watermark", 0, 0, 39, 40, 0, -1, 0.5, true, 0, 30},
        {"not what is being moved", 0, 0, 45, 20, 0, -1, 0.5, true, 0, 20},
        {"nothing complete", 0, 0, 45, 0, 0, -1, 0, false, 0, 0},
        {"not what is young", 0, 0, 45, 40, 35, -1, 0.5, true, 0, 20},
        {"exactly that old is old enough", 0, 0, 45, 40, 30, -1, 0.5, true, 0, 30},
        {"clean ones may be young", 40, 0, 45, 40, 1000, -1, 0, false, 40, 40},
        {"old enough whatever the ratio", 30, 0, 45, 40, 0, 24, 1, true, 30, 40},
        {"not old enough", 30, 0, 45, 40, 0, 25, 1, false, 30, 40},
        {"from the log start", 5, 25, 45, 40, 0, -1, 0.5, false, 25, 40},
        {"the end of a round inside a segment", 25, 0, 45, 40, 0, -1, 0.4, true, 25, 40},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct partition_settings c = settings(rows[i].ratio, rows[i].min_lag_min * 60000,
                                               rows[i].max_lag_min < 0 ? INT64_MAX : rows[i].max_lag_min * 60000);
        struct compact_log l = {.segments = s,
                                .count = 5,
                                .moving_base = rows[i].moving_base,
                                .clean_end = rows[i].clean_end,
                                .log_start = rows[i].log_start,
                                .high_watermark = rows[i].high_watermark};
        struct compact_verdict v = compact_decide(&c, &l, NOW);
        bool right = v.wanted == rows[i].wanted && v.from == rows[i].from && v.to == rows[i].to;
        if (!right)
            (void)fprintf(stderr, "%s: wanted %d, [%lld, %lld)\n", rows[i].what, v.wanted, (long long)v.from,
                          (long long)v.to);
        ASSERT(right);
        c.compacts = false;
        ASSERT(!compact_decide(&c, &l, NOW).wanted);
    }
}

static void groups(void)
{
    static const struct {
        uint64_t length;
        int64_t base;
    } rows[] = {{40, 0}, {40, 10}, {30, 20}, {200, 30}, {10, 40}, {10, 50}, {10, INT32_MAX + 60ll}, {10, 3ll << 32}};
    struct segment s[9];
    for (int i = 0; i < 8; i++) s[i] = (struct segment){.base = rows[i].base, .length = rows[i].length};
    s[8] = (struct segment){.base = 4ll << 32, .length = OPEN};
    ASSERT_EQ(compact_group(s, 9, 0, INT64_MAX, 100), 2);
    ASSERT_EQ(compact_group(s, 9, 0, INT64_MAX, 110), 3);
    ASSERT_EQ(compact_group(s, 9, 0, 20, 1000), 2);
    ASSERT_EQ(compact_group(s, 9, 0, 11, 1000), 2); /* the one that holds the end is in it */
    ASSERT_EQ(compact_group(s, 9, 3, INT64_MAX, 100), 1);
    ASSERT_EQ(compact_group(s, 9, 4, INT64_MAX, 1000), 1); /* two would span more than 2^31 offsets */
    ASSERT_EQ(compact_group(s, 9, 7, INT64_MAX, 1000), 1);
}

/* --- one batch --- */

struct line {                /* of a batch */
    const char *key, *value; /* NULL: null */
    int64_t time_ms;
};

static size_t make(const struct line *lines, int32_t count, int64_t base, enum codec codec, int64_t producer_id,
                   uint8_t *out)
{
    struct batch_builder b;
    struct batch_options o;
    struct batch_header h = {(const uint8_t *)"head", (const uint8_t *)"er", 4, 2};
    const uint8_t *data;
    size_t len;
    batch_options_init(&o);
    o.codec = codec;
    o.base_offset = base;
    o.leader_epoch = 3;
    o.producer_id = producer_id;
    o.producer_epoch = 2;
    o.base_sequence = 40;
    batch_builder_init(&b, mem, &o);
    for (int32_t i = 0; i < count; i++)
        CHECK_OK(batch_builder_append(&b, lines[i].time_ms, lines[i].key,
                                      lines[i].key == NULL ? -1 : (int32_t)strlen(lines[i].key), lines[i].value,
                                      lines[i].value == NULL ? -1 : (int32_t)strlen(lines[i].value), &h, i % 2));
    CHECK_OK(batch_builder_finish(&b, &data, &len));
    memcpy(out, data, len);
    batch_builder_deinit(&b);
    return len;
}

struct bench { /* one round over single batches */
    struct compact_round r;
    struct producer_state producers;
    uint8_t bytes[4096];
    struct batch_info info;
    const uint8_t *out;
    size_t out_len;
    struct batch_info left;
};

static struct bench b;

static void bench_begin(uint64_t keys)
{
    mem = mem_create(64u << 20);
    producer_state_init(&b.producers, mem);
    compact_round_init(&b.r, mem, map_create(keys, 1), &b.producers, 0);
    b.r.now_ms = NOW;
    b.r.delete_retention_ms = DAY;
}

static void bench_end(void)
{
    key_map_destroy(mem, b.r.map);
    compact_round_deinit(&b.r);
    producer_state_deinit(&b.producers);
    mem_destroy(mem);
}

static void learn(const struct line *lines, int32_t count, int64_t base)
{
    bool full;
    size_t len = make(lines, count, base, CODEC_NONE, -1, b.bytes);
    ASSERT_EQ(batch_parse(b.bytes, len, &b.info), STATUS_OK);
    ASSERT_EQ(compact_learn(&b.r, b.bytes, &b.info, &full), STATUS_OK);
    ASSERT(!full);
}

static enum compact_outcome clean(const uint8_t *data, size_t len)
{
    enum compact_outcome outcome;
    ASSERT_EQ(batch_parse(data, len, &b.info), STATUS_OK);
    ASSERT_EQ(compact_batch(&b.r, data, &b.info, &outcome, &b.out, &b.out_len), STATUS_OK);
    if (outcome == COMPACT_GONE) return outcome;
    ASSERT_EQ(batch_parse(b.out, b.out_len, &b.left), STATUS_OK);
    ASSERT(b.left.size_bytes == b.out_len && batch_crc_valid(b.out, &b.left));
    ASSERT(b.left.base_offset == b.info.base_offset && b.left.last_offset_delta == b.info.last_offset_delta);
    ASSERT(b.left.leader_epoch == b.info.leader_epoch && b.left.producer_id == b.info.producer_id);
    ASSERT(b.left.producer_epoch == b.info.producer_epoch && b.left.base_sequence == b.info.base_sequence);
    return outcome;
}

/* "offset:key=value@time ..." of what is left, "-" for null. */
static const char *text(void)
{
    static char out[1024];
    struct batch_iter it;
    struct batch_record r;
    size_t n = 0;
    out[0] = '\0';
    ASSERT_EQ(batch_iter_open(&it, b.out, &b.left, mem, 1 << 20), STATUS_OK);
    while (batch_iter_next(&it, &r)) {
        struct batch_header h = {0};
        if (r.header_count > 0) batch_record_headers(&r, &h);
        n += (size_t)snprintf(out + n, sizeof out - n, "%s%lld:%.*s=%.*s@%lld%.*s", n > 0 ? " " : "",
                              (long long)r.offset, MAX(r.key_len, 0), (const char *)r.key,
                              r.value_len < 0 ? 1 : r.value_len, r.value_len < 0 ? "-" : (const char *)r.value,
                              (long long)(r.timestamp_ms - NOW), h.key_len, h.key == NULL ? "" : (const char *)h.key);
    }
    ASSERT_EQ(batch_iter_close(&it), STATUS_OK);
    return out;
}

static void a_batch_is_thinned(void)
{
    static const struct line old[] = {{"a", "1", NOW - 9}, {"b", "2", NOW - 5}, {NULL, "x", NOW}, {"c", "3", NOW - 7}},
                             new[] = {{"a", "4", NOW}, {"d", "5", NOW}};
    uint8_t bytes[1024];
    for (enum codec c = 0; c < CODEC_COUNT; c++) {
        bench_begin(100);
        learn(old, 4, 10);
        learn(new, 2, 14);
        size_t len = make(old, 4, 10, c, 77, bytes);
        ASSERT_EQ(clean(bytes, len), COMPACT_THINNED);
        ASSERT_STREQ(text(), "11:b=2@-5head 13:c=3@-7head");
        ASSERT_EQ(batch_codec(&b.left), c);
        ASSERT_EQ(b.left.max_timestamp_ms, NOW - 5);
        ASSERT_EQ(b.left.record_count, 2);
        len = b.out_len;
        memcpy(bytes, b.out, len);
        ASSERT_EQ(clean(bytes, len), COMPACT_WHOLE); /* a second time nothing goes */
        ASSERT(b.out == bytes && b.out_len == len);
        ASSERT(b.r.records_gone == 2 && b.r.records_kept == 4);
        bench_end();
    }
}

static void above_the_end_all_stays(void)
{
    static const struct line lines[] = {{"a", "1", NOW}, {"a", "2", NOW}, {NULL, "x", NOW}, {"a", "3", NOW}};
    uint8_t bytes[1024];
    size_t len;
    bench_begin(100);
    learn(lines, 2, 0);
    len = make(lines, 4, 0, CODEC_NONE, -1, bytes); /* the round ends inside it, at 2 */
    ASSERT_EQ(clean(bytes, len), COMPACT_THINNED);
    ASSERT_STREQ(text(), "1:a=2@0head 2:=x@0 3:a=3@0head");
    len = make(lines, 4, 2, CODEC_NONE, -1, bytes);
    ASSERT_EQ(clean(bytes, len), COMPACT_WHOLE);
    bench_end();
}

static void tombstones(void)
{
    static const struct line lines[] = {{"a", "1", NOW - 9}, {"a", NULL, NOW - 5}}, other[] = {{"b", "2", NOW}};
    uint8_t bytes[1024];
    for (enum codec c = 0; c < CODEC_COUNT; c += CODEC_LZ4) {
        bench_begin(100);
        learn(lines, 2, 0);
        learn(other, 1, 2);
        size_t len = make(lines, 2, 0, c, -1, bytes);
        ASSERT_EQ(clean(bytes, len), COMPACT_THINNED);
        ASSERT_STREQ(text(), "1:a=-@-5head");
        ASSERT(b.left.attributes & BATCH_DELETE_HORIZON);
        ASSERT_EQ(b.left.base_timestamp_ms, NOW + DAY);
        ASSERT_EQ(b.left.max_timestamp_ms, NOW - 5);
        len = b.out_len;
        memcpy(bytes, b.out, len);
        b.r.now_ms = NOW + DAY - 1; /* later rounds do not move the horizon */
        ASSERT_EQ(clean(bytes, len), COMPACT_WHOLE);
        b.r.now_ms = NOW + DAY;
        ASSERT_EQ(clean(bytes, len), COMPACT_GONE);
        bench_end();
    }
}

/* Above the end of the round a tombstone's time has not begun. */
static void a_tombstone_above_the_end_has_no_horizon(void)
{
    static const struct line lines[] = {{"a", "1", NOW}, {"b", "1", NOW}, {"b", NULL, NOW}};
    uint8_t bytes[1024];
    bench_begin(100);
    learn(lines, 1, 0);
    size_t len = make(lines, 3, 0, CODEC_NONE, -1, bytes);
    ASSERT_EQ(clean(bytes, len), COMPACT_WHOLE);
    bench_end();
}

static void headers_that_stay(void)
{
    static const struct line old[] = {{"a", "1", NOW - 3}, {"b", "1", NOW - 2}},
                             new[] = {{"a", "2", NOW}, {"b", "2", NOW}};
    uint8_t bytes[1024];
    struct producer_batch p = {.producer_id = 77,
                               .base_offset = 10,
                               .last_offset = 11,
                               .max_timestamp_ms = NOW - 2,
                               .first_sequence = 40,
                               .record_count = 2,
                               .epoch = 2};
    bench_begin(100);
    learn(old, 2, 10);
    learn(new, 2, 12);
    size_t len = make(old, 2, 10, CODEC_ZSTD, 77, bytes);
    ASSERT_EQ(clean(bytes, len), COMPACT_GONE); /* nobody knows that producer any more */
    ASSERT_EQ(producer_state_reserve(&b.producers), STATUS_OK);
    producer_state_append(&b.producers, &p);
    producer_state_commit(&b.producers, 12);
    ASSERT_EQ(clean(bytes, len), COMPACT_THINNED);
    ASSERT_EQ(b.left.record_count, 0);
    ASSERT_EQ(b.out_len, BATCH_HEADER_BYTES);
    ASSERT_EQ(b.left.max_timestamp_ms, NOW - 2);
    ASSERT_EQ(batch_codec(&b.left), CODEC_NONE);
    len = b.out_len;
    memcpy(bytes, b.out, len);
    ASSERT_EQ(clean(bytes, len), COMPACT_WHOLE); /* and again */
    p.base_offset = 12;
    p.last_offset = 13;
    p.first_sequence = 42;
    ASSERT_EQ(producer_state_reserve(&b.producers), STATUS_OK);
    producer_state_append(&b.producers, &p);
    ASSERT_EQ(clean(bytes, len), COMPACT_WHOLE); /* the newer one may be cut off yet */
    producer_state_commit(&b.producers, 14);
    ASSERT_EQ(clean(bytes, len), COMPACT_GONE);
    b.r.upto = 12; /* the last batch of the round */
    ASSERT_EQ(clean(bytes, len), COMPACT_WHOLE);
    bench_end();
}

static void control_batches_stay(void)
{
    uint8_t bytes[1024];
    static const struct line lines[] = {{"\0\0\0\1", "end", NOW}}, newer[] = {{"\0\0\0\1", "end", NOW}};
    bench_begin(100);
    size_t len = make(lines, 1, 0, CODEC_NONE, 77, bytes);
    bytes[22] = BATCH_TRANSACTIONAL | BATCH_CONTROL;
    store_be32(bytes + 17, crc32c(0, bytes + 21, len - 21));
    learn(newer, 1, 1);
    ASSERT_EQ(clean(bytes, len), COMPACT_WHOLE);
    bench_end();
}

static void a_full_map_ends_the_round(void)
{
    static const struct line lines[] = {{"a", "1", NOW}, {"b", "1", NOW}, {"a", "2", NOW}, {"c", "1", NOW}};
    bool full;
    uint8_t bytes[1024];
    bench_begin(2);
    size_t len = make(lines, 4, 0, CODEC_NONE, -1, bytes);
    ASSERT_EQ(batch_parse(bytes, len, &b.info), STATUS_OK);
    ASSERT_EQ(compact_learn(&b.r, bytes, &b.info, &full), STATUS_OK);
    ASSERT(full && b.r.upto == 3);
    ASSERT_EQ(clean(bytes, len), COMPACT_THINNED);
    ASSERT_STREQ(text(), "1:b=1@0head 2:a=2@0 3:c=1@0head");
    bench_end();
}

static void damage_is_not_copied(void)
{
    static const struct line lines[] = {{"a", "1111111111", NOW}, {"a", "2222222222", NOW}};
    bool full;
    uint8_t bytes[1024];
    enum compact_outcome outcome;
    bench_begin(10);
    size_t len = make(lines, 2, 0, CODEC_LZ4, -1, bytes);
    ASSERT_EQ(batch_parse(bytes, len, &b.info), STATUS_OK);
    ASSERT_EQ(compact_learn(&b.r, bytes, &b.info, &full), STATUS_OK);
    bytes[BATCH_HEADER_BYTES + 2] ^= 0x55;
    ASSERT(compact_batch(&b.r, bytes, &b.info, &outcome, &b.out, &b.out_len) != STATUS_OK);
    ASSERT(compact_learn(&(struct compact_round){.mem = mem, .map = b.r.map}, bytes, &b.info, &full) != STATUS_OK);
    bench_end();
}

/* --- rounds over random logs against a list of records --- */

enum { RECORDS_MAX = 600, KEYS = 12 };

struct model_record {
    int key; /* -1: null */
    bool tombstone, there;
    int64_t horizon_ms; /* -1: none */
};

struct log {
    uint8_t *batches[RECORDS_MAX];
    size_t len[RECORDS_MAX];
    uint32_t count;
    struct model_record records[RECORDS_MAX];
    int64_t end;
};

static void log_grow(struct log *l, struct prng *rng)
{
    struct line lines[6];
    char keys[6][16], values[6][8];
    int32_t n = 1 + (int32_t)prng_below(rng, 6);
    for (int32_t i = 0; i < n; i++) {
        struct model_record *m = &l->records[l->end + i];
        *m = (struct model_record){.key = (int)prng_below(rng, KEYS + 1) - 1,
                                   .tombstone = prng_below(rng, 4) == 0,
                                   .there = true,
                                   .horizon_ms = -1};
        snprintf(keys[i], sizeof keys[i], "k%d", m->key);
        snprintf(values[i], sizeof values[i], "%lld", (long long)(l->end + i));
        lines[i] = (struct line){m->key < 0 ? NULL : keys[i], m->tombstone ? NULL : values[i], NOW};
    }
    uint8_t *bytes = malloc(1024);
    l->len[l->count] = make(lines, n, l->end, (enum codec)prng_below(rng, CODEC_COUNT), -1, bytes);
    l->batches[l->count++] = bytes;
    l->end += n;
}

/* What a round must leave: the rule, said on the list. */
static void model_round(struct log *l, int64_t upto, int64_t now_ms)
{
    for (int64_t i = 0; i < upto; i++) {
        struct model_record *m = &l->records[i];
        bool newer = false;
        for (int64_t k = i + 1; k < upto; k++) newer |= l->records[k].key == m->key;
        if (m->key < 0 || newer || (m->tombstone && m->horizon_ms >= 0 && now_ms >= m->horizon_ms)) m->there = false;
    }
}

static void compare_batch(struct log *l, const uint8_t *data, size_t len, int64_t upto)
{
    struct batch_info info;
    struct batch_iter it;
    struct batch_record r;
    char want[16];
    ASSERT_EQ(batch_parse(data, len, &info), STATUS_OK);
    int64_t next = info.base_offset,
            horizon_ms = (info.attributes & BATCH_DELETE_HORIZON) ? info.base_timestamp_ms : -1;
    ASSERT_EQ(batch_iter_open(&it, data, &info, mem, 1 << 20), STATUS_OK);
    while (batch_iter_next(&it, &r)) {
        struct model_record *m = &l->records[r.offset];
        while (next < r.offset) ASSERT(!l->records[next++].there);
        ASSERT(m->there);
        next++;
        ASSERT_EQ(r.timestamp_ms, NOW);
        snprintf(want, sizeof want, "k%d", m->key);
        ASSERT(m->key < 0 ? r.key_len == -1 : strncmp(want, (const char *)r.key, (size_t)r.key_len) == 0);
        snprintf(want, sizeof want, "%lld", (long long)r.offset);
        ASSERT(m->tombstone ? r.value_len == -1 : strncmp(want, (const char *)r.value, (size_t)r.value_len) == 0);
        if (m->tombstone && r.offset < upto) ASSERT(horizon_ms >= 0);
        if (m->horizon_ms >= 0) ASSERT_EQ(m->horizon_ms, horizon_ms);
        m->horizon_ms = horizon_ms;
    }
    ASSERT_EQ(batch_iter_close(&it), STATUS_OK);
    while (next < batch_next_offset(&info)) ASSERT(!l->records[next++].there);
}

static void random_round(struct log *l, struct prng *rng, int64_t *from, int64_t now_ms)
{
    struct compact_round r;
    struct batch_info info;
    bool full = false;
    struct producer_state none;
    uint32_t kept = 0;
    producer_state_init(&none, mem);
    compact_round_init(&r, mem, map_create(1 + prng_below(rng, KEYS + 4), prng_next(rng)), &none, *from);
    r.now_ms = now_ms;
    r.delete_retention_ms = 1000;
    int64_t to = *from + (int64_t)prng_below(rng, (uint64_t)(l->end - *from) + 1); /* rounds end at a segment */
    for (uint32_t i = 0; i < l->count && !full; i++) {
        ASSERT_EQ(batch_parse(l->batches[i], l->len[i], &info), STATUS_OK);
        if (batch_last_offset(&info) < *from || batch_next_offset(&info) > to) continue;
        ASSERT_EQ(compact_learn(&r, l->batches[i], &info, &full), STATUS_OK);
    }
    ASSERT(r.upto >= *from && r.upto <= MAX(to, *from));
    if (full) ASSERT_EQ(key_map_count(r.map), key_map_capacity(r.map));
    /* the clean part was learnt by the rounds before: a list of all below upto is the same */
    model_round(l, r.upto, now_ms);
    for (uint32_t i = 0; i < l->count; i++) {
        enum compact_outcome outcome;
        const uint8_t *data;
        size_t len;
        ASSERT_EQ(batch_parse(l->batches[i], l->len[i], &info), STATUS_OK);
        ASSERT_EQ(compact_batch(&r, l->batches[i], &info, &outcome, &data, &len), STATUS_OK);
        if (outcome == COMPACT_GONE) {
            for (int64_t k = info.base_offset; k < batch_next_offset(&info); k++) ASSERT(!l->records[k].there);
            free(l->batches[i]);
            continue;
        }
        compare_batch(l, data, len, r.upto);
        if (outcome == COMPACT_THINNED) {
            free(l->batches[i]);
            l->batches[i] = malloc(len);
            memcpy(l->batches[i], data, len);
        }
        l->len[kept] = len;
        l->batches[kept++] = l->batches[i];
    }
    l->count = kept;
    *from = r.upto;
    key_map_destroy(mem, r.map);
    compact_round_deinit(&r);
}

static void random_logs_against_the_list(void)
{
    uint32_t gone = 0;
    mem = mem_create(256u << 20);
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct prng rng;
        struct log *l = calloc(1, sizeof *l);
        int64_t from = 0, now_ms = NOW;
        prng_seed(&rng, seed, 1);
        for (int round = 0; round < 8; round++) {
            for (uint64_t n = prng_below(&rng, 12); n > 0; n--) log_grow(l, &rng);
            random_round(l, &rng, &from, now_ms);
            now_ms += (int64_t)prng_below(&rng, 900);
        }
        for (int64_t i = 0; i < l->end; i++) gone += !l->records[i].there;
        for (uint32_t i = 0; i < l->count; i++) free(l->batches[i]);
        free(l);
    }
    ASSERT(gone > 10000);
    mem_destroy(mem);
}

TEST_MAIN("compaction", {"map: keeps the newest offset", map_keeps_the_newest_offset},
          {"map: takes what memory there is", map_takes_what_memory_there_is}, {"when and how far", when_and_how_far},
          {"groups", groups}, {"a batch is thinned", a_batch_is_thinned},
          {"above the end all stays", above_the_end_all_stays}, {"tombstones", tombstones},
          {"a tombstone above the end has no horizon", a_tombstone_above_the_end_has_no_horizon},
          {"headers that stay", headers_that_stay}, {"control batches stay", control_batches_stay},
          {"a full map ends the round", a_full_map_ends_the_round}, {"damage is not copied", damage_is_not_copied},
          {"random logs against the list", random_logs_against_the_list})

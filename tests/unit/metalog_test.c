// SPDX-License-Identifier: Apache-2.0
/* The metalog's pure parts: recovery's case tables, the entry log, messages. And the bytes of its files, pinned by
 * tests/golden/metalog/NAME.bin (GOLDEN_MAKE=1 writes them anew: only with a version bump and docs/formats). */
#include "base/bytes.h"
#include "base/crc32c.h"
#include "replication/metalog_cases.h"
#include "replication/metalog_format.h"
#include "replication/metalog_message.h"
#include "tests/unit/check_main.h"
#include "tests/unit/record_gen.h"
#include <stdio.h>
#include <stdlib.h>

static void tail_cases(void)
{
    static const struct {
        struct tail_facts f;
        enum tail_case want;
    } cases[] = {
        {{.good = true}, TAIL_GROUP},
        {{.good = true, .last = true, .witness = true, .accepted = true}, TAIL_GROUP},
        {{.zero = true}, TAIL_NEXT},                     /* full, or the rest was too small */
        {{.zero = false}, TAIL_NEXT},                    /* what a cut left behind */
        {{.zero = true, .accepted = true}, TAIL_NEXT},   /* it is in the next segment */
        {{.witness = true}, TAIL_DAMAGED},               /* a hole in the middle */
        {{.zero = true, .witness = true}, TAIL_DAMAGED}, /* lost writes read as zeros */
        {{.last = true, .zero = true}, TAIL_END},        /* clean end */
        {{.last = true}, TAIL_CUT},                      /* torn, never acknowledged */
        {{.last = true, .witness = true}, TAIL_DAMAGED}, /* acknowledged: something stands behind it */
        {{.last = true, .zero = true, .witness = true}, TAIL_DAMAGED},
        {{.last = true, .accepted = true}, TAIL_DAMAGED}, /* an earlier start has read it */
        {{.last = true, .zero = true, .accepted = true}, TAIL_DAMAGED},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) ASSERT_EQ(tail_decide(&cases[i].f), cases[i].want);
}

static void log_cases(void)
{
    static const struct {
        struct log_facts f;
        enum log_case want;
    } cases[] = {
        {{.first = 1, .last = 9}, LOG_KEEP},    /* no snapshot yet */
        {{.first = 5, .last = 9}, LOG_DAMAGED}, /* its snapshot is gone */
        {{.first = 1, .last = 0}, LOG_DAMAGED}, /* nothing at all, not even the voters */
        {{.first = 1, .last = 9, .reset_index = 4}, LOG_DAMAGED},
        {{.first = 1, .last = 9, .snapshot_index = 5, .snapshot_term = 2, .term_at_snapshot = 2}, LOG_KEEP},
        {{.first = 6, .last = 9, .snapshot_index = 5, .snapshot_term = 2}, LOG_KEEP},
        {{.first = 6, .last = 5, .snapshot_index = 5, .snapshot_term = 2}, LOG_KEEP},    /* empty behind it */
        {{.first = 7, .last = 9, .snapshot_index = 5, .snapshot_term = 2}, LOG_DAMAGED}, /* entry 6 is nowhere */
        {{.first = 1, .last = 4, .snapshot_index = 5, .snapshot_term = 2}, LOG_RESET},   /* installed, then a crash */
        {{.first = 1, .last = 9, .snapshot_index = 5, .snapshot_term = 2, .term_at_snapshot = 1}, LOG_RESET},
        {{.first = 6, .last = 9, .snapshot_index = 5, .snapshot_term = 2, .reset_index = 5}, LOG_KEEP},
        {{.first = 9, .last = 9, .snapshot_index = 5, .snapshot_term = 2, .reset_index = 8}, LOG_DAMAGED},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) ASSERT_EQ(log_decide(&cases[i].f), cases[i].want);
}

static void entry_log_against_a_model(void)
{
    struct mem *mem = mem_create(256 << 20);
    struct entry_log l;
    struct prng p;
    uint64_t first = 1, last = 0, terms[4096];
    entry_log_init(&l, mem);
    prng_seed(&p, 4, 0);
    for (int i = 0; i < 20000; i++) {
        uint64_t what = prng_below(&p, 100);
        if (what < 90 && last + 1 < COUNT_OF(terms)) {
            terms[last + 1] = prng_next(&p) | 1;
            struct entry_view v = {terms[last + 1], ENTRY_COMMAND, 8, (const uint8_t *)&terms[last + 1]};
            if (what < 5) mem_fail_nth(mem, 1);
            enum status status = entry_log_append(&l, &v);
            mem_fail_nth(mem, 0);
            ASSERT(status == STATUS_OK || what < 5);
            if (status == STATUS_OK) last++;
        } else if (what < 94 && last >= first) {
            last = first + prng_below(&p, last - first + 1) - 1;
            entry_log_truncate(&l, last + 1);
        } else if (what < 98) {
            first += prng_below(&p, last + 2 - first);
            entry_log_drop_before(&l, first);
        } else if (what == 98) {
            first = 1 + prng_below(&p, 50);
            last = first - 1;
            entry_log_reset(&l, first);
        }
        ASSERT(l.first == first && entry_log_last(&l) == last && l.bytes == 8 * (last + 1 - first));
        ASSERT(entry_log_at(&l, first - 1) == NULL && entry_log_at(&l, last + 1) == NULL);
        for (uint64_t n = first; n <= last; n += 1 + (last - first) / 7)
            ASSERT(entry_log_at(&l, n)->index == n && entry_log_at(&l, n)->term == terms[n]);
    }
    entry_log_deinit(&l);
    mem_destroy(mem);
}

/* --- messages --- */

static struct mem *mem;
static struct entry_log entries;
static const struct uuid cluster = {{1, 2, 3, 4}};
static struct entry_view views[MESSAGE_ENTRIES_MAX];

static void messages_come_back_as_they_went(void)
{
    static const uint8_t data[] = "state";
    const struct quorum_message all[] = {
        {.kind = MESSAGE_APPEND,
         .peer = 2,
         .term = 7,
         .append = {.prev_index = 1, .prev_term = 3, .commit = 9, .count = 2}},
        {.kind = MESSAGE_APPEND, .peer = 2, .term = 7, .append = {.prev_index = 3, .prev_term = 3, .commit = 9}},
        {.kind = MESSAGE_APPEND_RESULT, .peer = 2, .term = 8, .append_result = {.rejected = 4, .last_index = 3}},
        {.kind = MESSAGE_VOTE, .peer = 2, .term = 9, .vote = {.last_index = 5, .last_term = 4, .pre_vote = true}},
        {.kind = MESSAGE_VOTE_RESULT, .peer = 2, .term = 9, .vote_result = {.granted = true}},
        {.kind = MESSAGE_INSTALL,
         .peer = 2,
         .term = 9,
         .install = {.last_index = 5, .last_term = 4, .data = data, .size = 5}},
        {.kind = MESSAGE_TIMEOUT_NOW, .peer = 2, .term = 9, .timeout_now = {.last_index = 5, .last_term = 4}},
    };
    mem = mem_create(64 << 20);
    entry_log_init(&entries, mem);
    for (uint64_t i = 1; i <= 3; i++)
        ASSERT_EQ(entry_log_append(&entries, &(struct entry_view){i, ENTRY_COMMAND, (uint32_t)i * 5,
                                                                  (const uint8_t *)"aaaaaaaaaaaaaaaaaaaa"}),
                  STATUS_OK);
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        struct quorum_message back = {0};
        struct buf *b = metalog_message_encode(mem, &all[i], cluster, &entries);
        ASSERT(b != NULL);
        ASSERT_EQ(metalog_message_decode(b->data, b->size, 1, 2, cluster, views, &back), STATUS_OK);
        ASSERT(back.kind == all[i].kind && back.peer == 1 && back.term == all[i].term);
        if (back.kind == MESSAGE_APPEND) {
            ASSERT(back.append.count == all[i].append.count && back.append.commit == 9);
            if (back.append.count > 0) ASSERT(views[0].term == 2 && views[1].size == 15);
        }
        if (back.kind == MESSAGE_INSTALL) ASSERT(back.install.size == 5 && memcmp(back.install.data, data, 5) == 0);
        for (size_t cut = 0; cut < b->size; cut++) /* every cut is refused; so is one byte too many */
            ASSERT(metalog_message_decode(b->data, cut, 1, 2, cluster, views, &back) != STATUS_OK);
        ASSERT_EQ(metalog_message_decode(b->data, b->size, 1, 3, cluster, views, &back), STATUS_FORMAT);
        ASSERT_EQ(metalog_message_decode(b->data, b->size, 1, 2, (struct uuid){{9}}, views, &back), STATUS_FORMAT);
        b->data[0] = 2;
        ASSERT_EQ(metalog_message_decode(b->data, b->size, 1, 2, cluster, views, &back), STATUS_FORMAT);
        buf_unref(&b);
    }
    entry_log_deinit(&entries);
    mem_destroy(mem);
}

/* --- files --- */

static void compare(const char *name, const uint8_t *bytes, size_t len)
{
    char path[512];
    static uint8_t golden[64 << 10];
    const char *dir = getenv("GOLDEN_METALOG");
    ASSERT(dir != NULL && len <= sizeof golden);
    snprintf(path, sizeof path, "%s/%s.bin", dir, name);
    if (getenv("GOLDEN_MAKE") != NULL) {
        FILE *out = fopen(path, "wb");
        ASSERT(out != NULL && fwrite(bytes, 1, len, out) == len && fclose(out) == 0);
    }
    FILE *in = fopen(path, "rb");
    ASSERT(in != NULL);
    ASSERT_EQ(fread(golden, 1, sizeof golden, in), len);
    (void)fclose(in);
    ASSERT_EQ(memcmp(golden, bytes, len), 0);
}

static const struct metalog_ident ident = {{{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}}, 4};

static void golden_control(void)
{
    uint8_t page[BLOCK_BYTES];
    uint32_t version;
    struct metalog_control c = {.ident = ident,
                                .cluster = {{21, 22}},
                                .page = 7,
                                .incarnation = 3,
                                .term = 12,
                                .vote = -1,
                                .accepted = 99,
                                .first_segment = 2,
                                .last_segment = 5,
                                .voter_count = 3,
                                .voters = {1, 4, 9}},
                           back;
    metalog_control_encode(page, &c);
    compare("control", page, sizeof page);
    ASSERT_EQ(metalog_control_decode(page, &back, &version), STATUS_OK);
    ASSERT(memcmp(&c, &back, sizeof c) == 0 && version == 1);
    for (size_t i = 0; i < 128; i++) {
        page[i] ^= 1;
        ASSERT(metalog_control_decode(page, &back, &version) != STATUS_OK);
        page[i] ^= 1;
    }
}

static void golden_group(void)
{
    static uint8_t bytes[2 * BLOCK_BYTES];
    struct log_entry *list[3];
    struct metalog_group g = {.ident = ident,
                              .kind = MGROUP_ENTRIES,
                              .incarnation = 3,
                              .sequence = 41,
                              .base = 17,
                              .chain = 0x1234,
                              .durable = 40},
                         back;
    mem = mem_create(16 << 20);
    for (uint32_t i = 0; i < 3; i++) {
        list[i] = mem_alloc(mem, MEM_REPLICATION, sizeof *list[i] + i * 2500);
        *list[i] = (struct log_entry){
            .index = 17 + i, .term = 2, .type = i == 0 ? ENTRY_BARRIER : ENTRY_COMMAND, .size = i * 2500, .refs = 1};
        memset(list[i]->data, (int)('a' + i), i * 2500);
    }
    ASSERT_EQ(metalog_group_bytes((const struct log_entry *const *)list, 3), 2 * BLOCK_BYTES);
    metalog_group_encode(bytes, &g, (const struct log_entry *const *)list, 3);
    compare("group", bytes, g.length);
    ASSERT_EQ(metalog_group_head_decode(bytes, &back), STATUS_OK);
    ASSERT(memcmp(&g, &back, sizeof g) == 0);
    ASSERT_EQ(metalog_group_check(bytes, &back), STATUS_OK);
    uint32_t pos = MGROUP_HEAD_BYTES;
    for (uint32_t i = 0; i < 3; i++) {
        struct entry_view e;
        metalog_group_entry(bytes, &back, &pos, &e);
        ASSERT(e.term == 2 && e.size == i * 2500 && memcmp(e.data, list[i]->data, e.size) == 0);
        entry_unref(mem, list[i]);
    }
    bytes[8000] ^= 1; /* in the padding: covered too */
    ASSERT_EQ(metalog_group_check(bytes, &back), STATUS_DAMAGED);
    mem_destroy(mem);
}

static void golden_snapshot(void)
{
    uint8_t page[BLOCK_BYTES];
    uint32_t version;
    struct metalog_snapshot_head s = {.ident = ident, .index = 1000, .term = 3, .bytes = 12345, .data_crc = 77}, back;
    metalog_snapshot_encode(page, &s);
    compare("snapshot", page, sizeof page);
    ASSERT_EQ(metalog_snapshot_decode(page, &back, &version), STATUS_OK);
    ASSERT(back.index == 1000 && back.term == 3 && back.bytes == 12345 && back.data_crc == 77);
}

static uint8_t *golden_bytes(const char *name, size_t *ret_size)
{
    char path[512];
    uint8_t *bytes = malloc(64 << 10);
    const char *dir = getenv("GOLDEN_METALOG");
    ASSERT(dir != NULL && bytes != NULL);
    snprintf(path, sizeof path, "%s/%s.bin", dir, name);
    FILE *in = fopen(path, "rb");
    ASSERT(in != NULL);
    *ret_size = fread(bytes, 1, 64 << 10, in);
    (void)fclose(in);
    ASSERT(*ret_size > 0);
    return bytes;
}

/* A random life and a batch of its records, all kinds. */
static void make_golden(struct arena *arena)
{
    struct record_list list, all;
    struct image_delta *deltas[64]; /* kept: records point into old objects */
    unsigned count = 0;
    struct prng p;
    char error[256];
    const void *data;
    size_t size;
    struct image *image = image_create(mem);
    record_list_init(&all, arena);
    prng_seed(&p, 77, 0);
    for (uint64_t index = 1; index < 60; index++) {
        record_list_init(&list, arena);
        record_gen(&p, image, &list, 5);
        if (image_apply(image, index, record_list_batch(&list), &deltas[count], error) != STATUS_OK) continue;
        count++;
        for (uint32_t i = 0; i < list.count; i++) *record_list_add(&all, list.records[i].type) = list.records[i];
    }
    uint8_t *bytes = image_bytes(image, &size);
    compare("image", bytes, size);
    free(bytes);
    ASSERT_EQ(record_batch_encode(record_list_batch(&all), arena, &data, &size), STATUS_OK);
    compare("records", data, size);
    for (unsigned i = 0; i < count; i++) image_delta_release(image, deltas[i]);
    image_destroy(image);
}

/* What the generator made once, every kind of record; read, applied and written again, the bytes are the same. */
static void golden_records_and_image(void)
{
    struct arena arena;
    struct image_delta *d;
    struct record_batch b;
    char error[256];
    const void *data;
    size_t size;
    uint8_t *bytes;
    mem = mem_create((uint64_t)1 << 30);
    arena_init(&arena, mem, MEM_FETCH, 16 << 20);
    struct image *image = image_create(mem);
    if (getenv("GOLDEN_MAKE") != NULL) make_golden(&arena);
    bytes = golden_bytes("image", &size);
    struct image_reader *r = image_reader_create(image);
    ASSERT_EQ(image_reader_feed(r, bytes, size, error), STATUS_OK);
    ASSERT_EQ(image_reader_finish(r, &d, error), STATUS_OK);
    ASSERT(d->change_count > 5 && image_brokers(image)->count > 2 && image_settings(image)->quota_count > 0);
    image_delta_release(image, d);
    free(bytes);
    bytes = image_bytes(image, &size);
    compare("image", bytes, size);
    free(bytes);
    bytes = golden_bytes("records", &size);
    ASSERT_EQ(record_batch_decode(bytes, size, &arena, &b), STATUS_OK);
    unsigned kinds = 0;
    for (uint32_t i = 0; i < b.count; i++) kinds |= 1u << b.records[i].type;
    ASSERT_EQ(kinds | 1u << RECORD_BROKER_EPOCHS, (1u << 14) - 2);
    ASSERT_EQ(record_batch_encode(b, &arena, &data, &size), STATUS_OK);
    compare("records", data, size);
    free(bytes);
    image_destroy(image);
    arena_deinit(&arena);
    mem_destroy(mem);
}

TEST_MAIN("metalog", {"tail cases", tail_cases}, {"log cases", log_cases},
          {"entry log against a model", entry_log_against_a_model},
          {"messages come back as they went", messages_come_back_as_they_went}, {"golden: control", golden_control},
          {"golden: group", golden_group}, {"golden: snapshot", golden_snapshot},
          {"golden: records and image", golden_records_and_image})

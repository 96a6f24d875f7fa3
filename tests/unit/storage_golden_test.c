// SPDX-License-Identifier: Apache-2.0
/* The bytes of storage's formats are pinned: what is encoded equals tests/golden/storage/NAME.bin, and the file reads
 * back as what was encoded. GOLDEN_MAKE=1 writes the files anew: only together with a version bump and docs/formats. */
#include "base/bytes.h"
#include "base/crc32c.h"
#include "storage/control.h"
#include "storage/directory_file.h"
#include "protocol/batch_record.h"
#include "storage/journal_format.h"
#include "storage/partition_map.h"
#include "storage/store_impl.h"
#include "storage/table.h"
#include "tests/unit/check_main.h"
#include <stdio.h>
#include <stdlib.h>

static void compare(const char *name, const uint8_t *bytes, size_t len)
{
    char path[512];
    uint8_t golden[2 * BLOCK_BYTES];
    const char *dir = getenv("GOLDEN_STORAGE");
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

static const struct journal_id id = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

static void directory(void)
{
    uint8_t page[BLOCK_BYTES];
    uint32_t version;
    struct directory_file d = {.id = id, .journals = 3, .made = 2}, back;
    directory_file_encode(page, &d);
    compare("directory", page, sizeof page);
    ASSERT_EQ(directory_file_decode(page, &back, &version), STATUS_OK);
    ASSERT(memcmp(&back.id, &id, sizeof id) == 0 && back.journals == 3);
}

static void control(void)
{
    static struct control c, back;
    uint8_t page[BLOCK_BYTES];
    uint32_t version;
    c = (struct control){.journal = id,
                         .directory = id,
                         .page = 7,
                         .incarnation = 4,
                         .accepted_end = 99,
                         .shard = 2,
                         .next_file = 5,
                         .flags = CONTROL_CLEAN,
                         .file_count = 2,
                         .files = {{3, 1 << 20}, {4, 2 << 20}}};
    control_encode(page, &c);
    compare("control", page, sizeof page);
    ASSERT_EQ(control_decode(page, &back, &version), STATUS_OK);
    ASSERT(back.page == 7 && back.incarnation == 4 && back.accepted_end == 99 && back.shard == 2);
    ASSERT(back.next_file == 5 && back.flags == CONTROL_CLEAN && back.file_count == 2);
    ASSERT(back.files[1].number == 4 && back.files[1].bytes == 2 << 20);
}

/* One proof, a log start and a swap. */
static void group(void)
{
    uint8_t bytes[BLOCK_BYTES] = {0};
    struct proof proof = {.topic = {{9, 8, 7}}, .partition = 1, .end = 40, .high_watermark = 39}, proof_back;
    struct entry e = {.kind = ENTRY_LOG_START, .topic = {{9, 8, 7}}, .partition = 1, .epoch = 6, .offset = 17}, back;
    struct entry w = {.kind = ENTRY_SWAP,
                      .topic = {{9, 8, 7}},
                      .partition = 1,
                      .epoch = 6,
                      .offset = 20,
                      .aux = 5000,
                      .payload_bytes = SWAP_PAYLOAD_BYTES};
    struct swap_payload swap = {.count = 2,
                                .generation = 3,
                                .end_base = 90,
                                .newest_ms = 8,
                                .oldest_ms = 7,
                                .clean_end = 85},
                        swap_back;
    uint8_t *second = bytes + GROUP_HEADER_BYTES + PROOF_BYTES + ENTRY_HEADER_BYTES;
    struct group_header h = {.journal = id,
                             .incarnation = 4,
                             .sequence = 100,
                             .durable_upto = 98,
                             .length = BLOCK_BYTES,
                             .proof_count = 1,
                             .chain = 0xabcdef01,
                             .entry_count = 2,
                             .wall_ms = 1700000000000},
                        header_back;
    struct group_reader r;
    proof_encode(bytes + GROUP_HEADER_BYTES, &proof);
    entry_header_encode(bytes + GROUP_HEADER_BYTES + PROOF_BYTES, &e);
    entry_header_encode(second, &w);
    swap_payload_encode(second + ENTRY_HEADER_BYTES, &swap);
    h.body_crc = crc32c(0, bytes + GROUP_HEADER_BYTES, sizeof bytes - GROUP_HEADER_BYTES);
    group_header_encode(bytes, &h);
    compare("group", bytes, sizeof bytes);
    ASSERT_EQ(group_header_decode(bytes, &header_back), STATUS_OK);
    ASSERT_EQ(memcmp(&header_back, &h, sizeof h), 0);
    group_reader_init(&r, bytes, &header_back);
    group_reader_proof(&r, 0, &proof_back);
    ASSERT(proof_back.end == 40 && proof_back.high_watermark == 39 && proof_back.partition == 1);
    ASSERT_EQ(group_reader_next(&r, &back), STATUS_OK);
    ASSERT(back.kind == ENTRY_LOG_START && back.offset == 17 && back.epoch == 6 && back.partition == 1);
    ASSERT_EQ(group_reader_next(&r, &back), STATUS_OK);
    ASSERT(back.kind == ENTRY_SWAP && back.offset == 20 && back.aux == 5000);
    ASSERT_EQ(swap_payload_decode(back.payload, back.payload_bytes, &swap_back), STATUS_OK);
    ASSERT_EQ(memcmp(&swap_back, &swap, sizeof swap), 0);
    ASSERT_EQ(group_reader_next(&r, &back), STATUS_OFFSET_OUT_OF_RANGE);
}

/* A chunk header and one drop record. */
static void chunk(void)
{
    uint8_t bytes[BLOCK_BYTES] = {0};
    struct mem *mem = mem_create(64 << 20);
    struct out out;
    struct record record;
    struct chunk_header back;
    size_t pos = 0;
    out_init(&out, mem);
    table_record_drop(&out, (struct topic_id){{9, 8, 7}}, 1, 12);
    struct chunk_header h = {.journal = id,
                             .generation = 3,
                             .sequence = 100,
                             .replay_from = 90,
                             .replay_pos = 8192,
                             .payload_bytes = out.len,
                             .creations = 5,
                             .number = 2,
                             .records = 1,
                             .replay_file = 4,
                             .payload_crc = crc32c(0, out.data, out.len),
                             .chain = 0x01020304};
    chunk_header_encode(bytes, &h);
    memcpy(bytes + CHUNK_HEADER_BYTES, out.data, out.len);
    compare("chunk", bytes, sizeof bytes);
    ASSERT_EQ(chunk_header_decode(bytes, &back), STATUS_OK);
    ASSERT_EQ(memcmp(&back, &h, sizeof h), 0);
    ASSERT_EQ(table_record_decode(bytes + CHUNK_HEADER_BYTES, out.len, &pos, &record), STATUS_OK);
    ASSERT(record.drop && record.number == 1 && record.home == 12 && pos == out.len);
    out_free(&out);
    mem_destroy(mem);
}

/* A record of two segments with carried bytes, an epoch, a producer and the running index block. */
static void record_make(struct store *s, const uint8_t *batch, uint32_t len, struct partition **ret_p)
{
    struct partition *p = partition_new(s, "golden", (struct topic_id){{9, 8, 7}}, 3);
    struct buf *b = buf_create(s->env->mem, MEM_LOG, len);
    ASSERT(p != NULL && b != NULL);
    memcpy(b->data, batch, len);
    b->size = len;
    p->home = 2;
    p->creation = 11;
    p->epoch = 5;
    p->first_segment = (struct segment){
        .start = 100, .length = UINT64_MAX, .newest_ms = 1600000000000, .oldest_ms = 1500000000000, .generation = 2};
    p->clean_end = 38;
    p->generation = 4;
    ASSERT_EQ(partition_segment_push(p, 40, 9000), STATUS_OK);
    p->segments[0].length = 8000; /* compacted */
    partition_segment_newest(p, 1700000000000);
    p->log_start = p->log_start_durable = 7;
    p->high_watermark = p->durable_end = p->log_end = 41;
    p->moved_pos = p->carried_pos = p->durable_pos = 9000;
    p->end_pos = 9000 + len;
    p->segment_time_ms = 1700000000001;
    index_reset(&p->index, 40);
    ASSERT_EQ(epoch_map_add(&p->epochs, 5, 30), STATUS_OK);
    ASSERT_EQ(producer_state_reserve(&p->producers), STATUS_OK);
    producer_state_append(&p->producers, &(struct producer_batch){.producer_id = 77,
                                                                  .epoch = 1,
                                                                  .first_sequence = 8,
                                                                  .record_count = 1,
                                                                  .base_offset = 40,
                                                                  .last_offset = 40,
                                                                  .max_timestamp_ms = 1700000000000});
    producer_state_commit(&p->producers, 41);
    ASSERT_EQ(partition_carry(p, b, 0, 9000, len, 0, 0, 0), STATUS_OK);
    buf_unref(&b);
    *ret_p = p;
}

/* Of two producers one has changed and one has expired since the last record. */
static void record_changes(struct partition *p)
{
    struct out out;
    struct producer_batch b = {.producer_id = 78, .record_count = 1, .base_offset = 41, .last_offset = 41};
    b.max_timestamp_ms = 1700000000005;
    ASSERT_EQ(producer_state_reserve(&p->producers), STATUS_OK);
    producer_state_append(&p->producers, &b);
    producer_state_commit(&p->producers, 42);
    producer_state_remove_expired(&p->producers, 1700000000001);
    out_init(&out, p->store->env->mem);
    table_record(&out, p, producer_state_best(&p->producers));
    compare("record_changes", out.data, out.len);
    out_free(&out);
}

static void table(void)
{
    static struct env env;
    static struct store store = {.env = &env};
    struct mem *mem = env.mem = mem_create(64 << 20);
    struct batch_builder builder;
    struct batch_options options;
    const uint8_t *batch;
    size_t len, pos = 0;
    struct out out;
    struct record record;
    struct resume resume;
    struct partition *p;
    list_init(&store.touched);
    list_init(&store.rounds);
    list_init(&store.unmoved);
    batch_options_init(&options);
    options.base_offset = 40;
    options.leader_epoch = 5;
    batch_builder_init(&builder, mem, &options);
    ASSERT_EQ(batch_builder_append(&builder, 1700000000000, "k", 1, "v", 1, NULL, 0), STATUS_OK);
    ASSERT_EQ(batch_builder_finish(&builder, &batch, &len), STATUS_OK);
    record_make(&store, batch, (uint32_t)len, &p);
    out_init(&out, mem);
    table_record(&out, p, PRODUCERS_WHOLE);
    compare("record", out.data, out.len);
    producer_state_recorded(&p->producers);
    record_changes(p);
    partition_free(p);
    ASSERT_EQ(table_record_decode(out.data, out.len, &pos, &record), STATUS_OK);
    p = partition_new(&store, record.topic, record.id, record.number);
    ASSERT_EQ(table_record_load(&record, p, &resume), STATUS_OK);
    ASSERT(p->segment_count == 2 && p->segments[0].newest_ms == 1600000000000);
    ASSERT(p->segments[0].oldest_ms == 1500000000000 && p->segments[0].generation == 2);
    ASSERT(p->segments[0].start == 100 && p->segments[0].length == 8000 && p->clean_end == 38 && p->generation == 4);
    ASSERT(p->segments[1].base == 40 && p->segments[1].newest_ms == 1700000000000);
    ASSERT(p->ref_count == 1 && ref_at(p, 0)->base_offset == 40 && p->epoch == 5 && p->log_start == 7);
    partition_free(p);
    out_free(&out);
    batch_builder_deinit(&builder);
    mem_destroy(mem);
}

TEST_MAIN("storage formats", {"leat.directory", directory}, {"control page", control}, {"journal group", group},
          {"checkpoint chunk", chunk}, {"partition record", table})

// SPDX-License-Identifier: Apache-2.0
/* First stories of a store: what was acknowledged is there after a kill, a power cut, a clean stop. */
#include "base/bytes.h"
#include "protocol/batch_record.h"
#include "storage/sealed.h"
#include "storage/table.h"
#include "tests/sim/store_world.h"
#include "tests/unit/check_main.h"
#include <stdio.h>
#include <stdlib.h>

static void append_some(struct store_world *w, struct partition *p, uint64_t from, uint64_t count, uint32_t bytes)
{
    for (uint64_t i = from; i < from + count; i++) {
        int64_t offset;
        enum status status =
            world_append(w, p, &(struct world_batch){.records = 1, .value_bytes = bytes, .tag = i}, &offset);
        ASSERT_EQ(status, STATUS_OK);
        ASSERT_EQ(offset, (int64_t)i);
    }
}

/* Every record from `from` to `to`, in order, with its tag. */
static void expect_all(struct store_world *w, struct partition *p, int64_t from, int64_t to)
{
    struct mem *mem = mem_create(64 << 20);
    int64_t next = from;
    while (next < to) {
        struct partition_read *r = calloc(1, sizeof *r);
        enum status status = world_read(w, p, next, 300 << 10, r);
        ASSERT_EQ(status, STATUS_OK);
        ASSERT(r->slice_count > 0);
        for (uint32_t i = 0; i < r->slice_count; i++) {
            const uint8_t *at = slice_data(r->slices[i]);
            for (uint32_t left = r->slices[i].len; left > 0;) {
                struct batch_info info;
                struct batch_iter it;
                struct batch_record record;
                ASSERT_EQ(batch_parse(at, left, &info), STATUS_OK);
                ASSERT(batch_crc_valid(at, &info));
                ASSERT_EQ(batch_iter_open(&it, at, &info, mem, 1 << 26), STATUS_OK);
                while (batch_iter_next(&it, &record)) {
                    char tag[17] = {0};
                    memcpy(tag, record.value, 16);
                    if (record.offset < next) continue;
                    ASSERT_EQ(record.offset, next);
                    ASSERT_EQ(strtoll(tag, NULL, 16), next);
                    next++;
                }
                ASSERT_EQ(batch_iter_close(&it), STATUS_OK);
                at += info.size_bytes;
                left -= info.size_bytes;
            }
        }
        partition_read_release(r);
        free(r);
    }
    mem_destroy(mem);
}

static void acknowledged_records_survive(enum sim_kill how, bool clean)
{
    struct store_world w;
    world_init(&w, 1, NULL);
    ASSERT_EQ(world_boot(&w, 1), STATUS_OK);
    struct partition *p = world_create(&w, "t", 0);
    ASSERT(p != NULL);
    append_some(&w, p, 0, 20, 100);
    expect_all(&w, p, 0, 20);
    if (clean) {
        ASSERT_EQ(world_stop(&w), STATUS_OK);
    } else {
        world_crash(&w, how);
    }
    ASSERT_EQ(world_boot(&w, 1), STATUS_OK);
    p = world_find(&w, "t", 0);
    ASSERT(p != NULL);
    ASSERT_EQ(partition_log_end(p), 20);
    expect_all(&w, p, 0, 20);
    append_some(&w, p, 20, 5, 3000);
    expect_all(&w, p, 0, 25);
    world_crash(&w, SIM_POWER);
    ASSERT_EQ(world_boot(&w, 1), STATUS_OK);
    p = world_find(&w, "t", 0);
    expect_all(&w, p, 0, 25);
    ASSERT_EQ(world_stop(&w), STATUS_OK);
    world_deinit(&w);
}

static void after_a_kill(void)
{
    acknowledged_records_survive(SIM_KILL, false);
}

static void after_a_power_cut(void)
{
    acknowledged_records_survive(SIM_POWER, false);
}

static void after_a_clean_stop(void)
{
    acknowledged_records_survive(SIM_KILL, true);
}

/* Enough data that pieces move, segments roll and the ring goes round several times. */
static void the_ring_goes_round(void)
{
    struct store_world w;
    world_init(&w, 2, NULL);
    ASSERT_EQ(world_boot(&w, 1), STATUS_OK);
    struct partition *p = world_create(&w, "t", 0);
    int64_t n = 0;
    for (int round = 0; round < 6; round++) {
        append_some(&w, p, (uint64_t)n, 150, 30000);
        n += 150;
        expect_all(&w, p, 0, n);
        world_crash(&w, round % 2 == 0 ? SIM_POWER : SIM_KILL);
        ASSERT_EQ(world_boot(&w, 1), STATUS_OK);
        p = world_find(&w, "t", 0);
        ASSERT_EQ(partition_log_end(p), n);
        expect_all(&w, p, 0, n);
    }
    ASSERT_EQ(world_stop(&w), STATUS_OK);
    ASSERT_EQ(world_boot(&w, 1), STATUS_OK);
    expect_all(&w, world_find(&w, "t", 0), 0, n);
    world_deinit(&w);
}

/* 126 blocks of 64 KiB make an index page: batches that cross such a border are read by two pages. */
static void an_index_page_ends_inside_a_batch(void)
{
    struct store_world w;
    world_init(&w, 3, NULL);
    w.config.segment_bytes = 64 << 20;
    w.config.journal_first_bytes = 32 << 20;
    ASSERT_EQ(world_boot(&w, 1), STATUS_OK);
    struct partition *p = world_create(&w, "t", 0);
    append_some(&w, p, 0, 700, 30000);
    for (int i = 0; i < 2; i++) { /* the second start has every byte in files only */
        ASSERT_EQ(world_stop(&w), STATUS_OK);
        ASSERT_EQ(world_boot(&w, 1), STATUS_OK);
        p = world_find(&w, "t", 0);
        expect_all(&w, p, 0, 700);
        for (int64_t from = 270; from < 285; from++) expect_all(&w, p, from, from + 1);
    }
    world_deinit(&w);
}

/* A checkpoint table of another version is refused with a sentence; taken for none, the journal would be replayed over
 * what it names. */
static void another_versions_table_is_refused(void)
{
    struct store_world w;
    uint8_t head[CHUNK_HEADER_BYTES];
    unsigned changed = 0;
    world_init(&w, 4, NULL);
    ASSERT_EQ(world_boot(&w, 1), STATUS_OK);
    append_some(&w, world_create(&w, "t", 0), 0, 5, 100);
    ASSERT_EQ(world_stop(&w), STATUS_OK);
    for (int i = 0; i < 2; i++) {
        char path[64];
        struct chunk_header h;
        snprintf(path, sizeof path, "/data/journal-000/table-%d", i);
        if (sim_file_read(w.machine, path, 0, head, sizeof head) != STATUS_OK) continue;
        if (chunk_header_decode(head, &h) != STATUS_OK) continue;
        store_le32(head + 8, TABLE_VERSION - 1);
        store_le32(head + SEALED_CRC_AT, sealed_crc(head, sizeof head));
        ASSERT_EQ(sim_file_write(w.machine, path, 0, head, sizeof head), STATUS_OK);
        changed++;
    }
    ASSERT(changed > 0);
    ASSERT_EQ(world_boot(&w, 1), STATUS_FORMAT);
    ASSERT(strstr(w.open[0].op.error, "the version that wrote it") != NULL);
    world_deinit(&w);
}

TEST_MAIN("store", {"a batch over the border of two index pages is read", an_index_page_ends_inside_a_batch},
          {"acknowledged records survive kill -9", after_a_kill},
          {"acknowledged records survive a power cut", after_a_power_cut},
          {"acknowledged records survive a clean stop", after_a_clean_stop},
          {"the ring goes round, segments roll", the_ring_goes_round},
          {"another version's table is refused", another_versions_table_is_refused})

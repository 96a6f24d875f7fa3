// SPDX-License-Identifier: Apache-2.0
/* Leader-epoch map: Kafka's answers as tables, rule D6, and random lives against a model that keeps the epoch of every
 * single offset. */
#include "base/prng.h"
#include "storage/epoch_map.h"
#include "tests/unit/check_main.h"
#include <stdlib.h>
#include <string.h>

static struct mem *mem;
static struct epoch_map map;

static void begin(void)
{
    mem = mem_create(64 << 20);
    epoch_map_init(&map, mem);
}

static void end(void)
{
    epoch_map_deinit(&map);
    mem_destroy(mem);
}

static void add(int32_t epoch, int64_t start)
{
    ASSERT_EQ(epoch_map_add(&map, epoch, start), STATUS_OK);
    epoch_map_check(&map);
}

static void expect_end(int32_t asked, int64_t log_end, int32_t epoch, int64_t offset)
{
    int32_t got_epoch = 77;
    int64_t got_end = 77;
    epoch_map_end_of(&map, asked, log_end, &got_epoch, &got_end);
    ASSERT_EQ(got_epoch, epoch);
    ASSERT_EQ(got_end, offset);
}

static void end_of_answers_as_kafka(void)
{
    static const struct {
        int32_t asked, epoch;
        int64_t end;
    } cases[] = {
        {-1, -1, -1}, {0, 0, 10}, {1, 1, 10}, /* older than every entry: the asked epoch ends where the first begins */
        {2, 2, 50},   {3, 2, 50},             /* a hole: the one below */
        {4, 4, 70},   {5, 4, 70}, {6, 4, 70}, {7, 7, 90}, /* the latest: the log end */
        {8, -1, -1},                                      /* from the future */
    };
    begin();
    expect_end(0, 0, -1, -1); /* empty: nothing known */
    add(2, 10);
    add(4, 50);
    add(7, 70);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        expect_end(cases[i].asked, 90, cases[i].epoch, cases[i].end);
    ASSERT_EQ(epoch_map_latest(&map), 7);
    ASSERT_EQ(epoch_map_epoch_of(&map, 9), NO_EPOCH);
    ASSERT_EQ(epoch_map_epoch_of(&map, 10), 2);
    ASSERT_EQ(epoch_map_epoch_of(&map, 49), 2);
    ASSERT_EQ(epoch_map_epoch_of(&map, 50), 4);
    ASSERT_EQ(epoch_map_epoch_of(&map, INT64_MAX), 7);
    end();
}

static void d6_equal_starts_merge_and_the_newest_stays(void)
{
    begin();
    add(1, 0);
    add(2, 100);
    add(3, 100);
    add(9, 100);
    ASSERT_EQ(map.count, 2);
    ASSERT_EQ(epoch_map_epoch_of(&map, 100), 9);
    expect_end(1, 200, 1, 100);
    expect_end(3, 200, 1, 100); /* 2 and 3 wrote nothing */
    expect_end(9, 200, 9, 200);
    end();
}

static void add_refuses_what_goes_back(void)
{
    begin();
    add(5, 100);
    ASSERT_EQ(epoch_map_add(&map, 5, 100), STATUS_INVALID);
    ASSERT_EQ(epoch_map_add(&map, 4, 200), STATUS_INVALID);
    ASSERT_EQ(epoch_map_add(&map, 6, 99), STATUS_INVALID);
    ASSERT_EQ(epoch_map_add(&map, -1, 300), STATUS_INVALID);
    ASSERT_EQ(map.count, 1);
    end();
}

static void truncate_and_trim_keep_what_covers(void)
{
    begin();
    for (int32_t i = 0; i < 10; i++) add(i, 10 * i);
    epoch_map_truncate(&map, 91);
    ASSERT_EQ(epoch_map_latest(&map), 9);
    epoch_map_truncate(&map, 90); /* epoch 9 began at 90: it has no record left */
    ASSERT_EQ(epoch_map_latest(&map), 8);
    epoch_map_trim(&map, 35);
    ASSERT_EQ(map.count, 6);
    ASSERT_EQ(epoch_map_epoch_of(&map, 34), NO_EPOCH);
    ASSERT_EQ(epoch_map_epoch_of(&map, 35), 3);
    ASSERT_EQ(epoch_map_epoch_of(&map, 40), 4);
    epoch_map_trim(&map, 40); /* exactly at an entry: the one below falls */
    ASSERT_EQ(epoch_map_epoch_of(&map, 40), 4);
    ASSERT_EQ(map.count, 5);
    epoch_map_trim(&map, 12); /* lower than now: nothing */
    ASSERT_EQ(map.count, 5);
    epoch_map_trim(&map, 89);
    ASSERT_EQ(map.count, 1);
    ASSERT_EQ(mem_used(mem, MEM_LOG), 0); /* one entry needs no heap */
    epoch_map_truncate(&map, 0);
    ASSERT_EQ(epoch_map_latest(&map), NO_EPOCH);
    end();
}

static void first_entry_takes_no_heap_and_no_memory_changes_nothing(void)
{
    begin();
    ASSERT_EQ(epoch_map_reserve(&map), STATUS_OK);
    add(0, 0);
    ASSERT_EQ(mem_used(mem, MEM_LOG), 0);
    mem_fail_nth(mem, 1);
    ASSERT_EQ(epoch_map_reserve(&map), STATUS_NO_MEMORY);
    mem_fail_nth(mem, 1);
    ASSERT_EQ(epoch_map_add(&map, 1, 5), STATUS_NO_MEMORY);
    ASSERT_EQ(epoch_map_latest(&map), 0);
    ASSERT_EQ(epoch_map_reserve(&map), STATUS_OK);
    mem_fail_nth(mem, 1); /* after a reserve nothing is allocated */
    add(1, 5);
    mem_fail_nth(mem, 0);
    end();
}

/* --- model --- */

#define LOG_MAX 400

static struct {
    int32_t wrote[LOG_MAX]; /* epoch of each record */
    int64_t log_start, log_end;
    int32_t fresh; /* epoch that began at the log end and wrote nothing yet, or -1 */
} model;

static bool model_has(int32_t epoch)
{
    for (int64_t o = model.log_start; o < model.log_end; o++)
        if (model.wrote[o] == epoch) return true;
    return epoch >= 0 && epoch == model.fresh;
}

static int64_t model_first_of(int32_t epoch)
{
    for (int64_t o = model.log_start; o < model.log_end; o++)
        if (model.wrote[o] == epoch) return o;
    return model.log_end;
}

static void model_compare(int32_t top)
{
    epoch_map_check(&map);
    for (int64_t o = model.log_start; o < model.log_end; o++) ASSERT_EQ(epoch_map_epoch_of(&map, o), model.wrote[o]);
    int32_t latest = NO_EPOCH;
    for (int32_t e = 0; e <= top; e++)
        if (model_has(e)) latest = e;
    ASSERT_EQ(epoch_map_latest(&map), latest);
    for (int32_t e = 0; e <= top + 1; e++) {
        int32_t floor = e, higher = e + 1;
        while (floor >= 0 && !model_has(floor)) floor--;
        while (higher <= top && !model_has(higher)) higher++;
        if (e > latest)
            expect_end(e, model.log_end, -1, -1);
        else
            expect_end(e, model.log_end, floor < 0 ? e : floor, e == latest ? model.log_end : model_first_of(higher));
    }
}

static void round_trip(void)
{
    uint8_t bytes[LOG_MAX * EPOCH_MAP_ENTRY_BYTES], again[sizeof bytes];
    size_t n = epoch_map_encoded_size(&map);
    struct epoch_map copy;
    epoch_map_encode(&map, bytes);
    epoch_map_init(&copy, mem);
    ASSERT_EQ(epoch_map_decode(&copy, bytes, n), STATUS_OK);
    ASSERT_EQ(epoch_map_encoded_size(&copy), n);
    epoch_map_encode(&copy, again);
    ASSERT(memcmp(bytes, again, n) == 0);
    epoch_map_deinit(&copy);
}

static void random_life(uint64_t seed)
{
    struct prng r;
    prng_seed(&r, seed, 1);
    int32_t top = -1;
    begin();
    memset(&model, 0, sizeof model);
    model.fresh = -1;
    for (int step = 0; step < 120; step++) {
        uint64_t what = prng_below(&r, 10);
        if (what < 3 || top < 0) {
            top += 1 + (int32_t)prng_below(&r, 2);
            add(top, model.log_end);
            model.fresh = top;
        } else if (what < 7) {
            int32_t epoch = epoch_map_latest(&map);
            int64_t n = (int64_t)prng_below(&r, 8);
            for (; epoch >= 0 && n > 0 && model.log_end < LOG_MAX; n--) {
                model.wrote[model.log_end++] = epoch;
                model.fresh = -1;
            }
        } else if (what < 8) {
            model.log_end -= (int64_t)prng_below(&r, (uint64_t)(model.log_end - model.log_start) + 1);
            epoch_map_truncate(&map, model.log_end);
            model.fresh = -1;
        } else {
            int64_t old = model.log_start;
            model.log_start += (int64_t)prng_below(&r, (uint64_t)(model.log_end - old) / 2 + 2);
            if (model.log_start > model.log_end) model.log_start = model.log_end;
            epoch_map_trim(&map, model.log_start);
            if (model.log_start == model.log_end && model.log_end > old && model.fresh < 0)
                model.fresh = model.wrote[model.log_end - 1];
        }
        model_compare(top);
        round_trip();
    }
    end();
}

static void random_lives_match_the_model(void)
{
    for (uint64_t seed = 1; seed <= 150; seed++) random_life(seed);
}

static void decode_refuses_what_encode_never_makes(void)
{
    uint8_t good[3 * EPOCH_MAP_ENTRY_BYTES], bad[sizeof good];
    begin();
    add(1, 0);
    add(2, 10);
    add(5, 20);
    epoch_map_encode(&map, good);
    epoch_map_truncate(&map, 0);
    for (size_t n = 0; n < sizeof good; n++) {
        enum status expected = n % EPOCH_MAP_ENTRY_BYTES == 0 ? STATUS_OK : STATUS_DAMAGED;
        ASSERT_EQ(epoch_map_decode(&map, good, n), expected);
        epoch_map_truncate(&map, 0);
    }
    static const struct {
        size_t pos;
        uint8_t value;
    } flips[] = {{7, 0x80}, {11, 0x80}, {12, 0}, {20, 1}, {24, 10}, {24, 9}, {32, 2}};
    for (size_t i = 0; i < sizeof flips / sizeof flips[0]; i++) {
        memcpy(bad, good, sizeof good);
        bad[flips[i].pos] = flips[i].value;
        ASSERT_EQ(epoch_map_decode(&map, bad, sizeof bad), STATUS_DAMAGED);
        ASSERT(map.count == 0 && mem_used(mem, MEM_LOG) == 0);
    }
    mem_fail_nth(mem, 1);
    ASSERT_EQ(epoch_map_decode(&map, good, sizeof good), STATUS_NO_MEMORY);
    ASSERT_EQ(map.count, 0);
    end();
}

TEST_MAIN("epoch_map", {"end_of answers as Kafka", end_of_answers_as_kafka},
          {"D6: equal starts merge, the newest stays", d6_equal_starts_merge_and_the_newest_stays},
          {"add refuses what goes back", add_refuses_what_goes_back},
          {"truncate and trim keep what covers", truncate_and_trim_keep_what_covers},
          {"first entry takes no heap", first_entry_takes_no_heap_and_no_memory_changes_nothing},
          {"random lives match the model", random_lives_match_the_model},
          {"decode refuses what encode never makes", decode_refuses_what_encode_never_makes})

// SPDX-License-Identifier: Apache-2.0
/* Producer state: Kafka's answers as tables (M6, M7, I1-I4), rule A3, and random lives against a model that keeps every
 * batch of the log and searches it. */
#include "base/bytes.h"
#include "base/prng.h"
#include "storage/producer_state.h"
#include "tests/unit/check_main.h"
#include <stdlib.h>
#include <string.h>

static struct mem *mem;
static struct producer_state state;
static int64_t log_end;

static void begin(void)
{
    mem = mem_create(1ull << 30);
    producer_state_init(&state, mem);
    log_end = 0;
}

static void end(void)
{
    producer_state_check_invariants(&state);
    producer_state_deinit(&state);
    mem_destroy(mem);
}

static struct producer_batch batch(int64_t id, int16_t epoch, int32_t sequence, int32_t count)
{
    return (struct producer_batch){.producer_id = id,
                                   .epoch = epoch,
                                   .first_sequence = sequence,
                                   .record_count = count,
                                   .base_offset = log_end,
                                   .last_offset = log_end + count - 1,
                                   .max_timestamp_ms = 1000 + log_end % (1ll << 60)};
}

static enum status check(int64_t id, int16_t epoch, int32_t sequence, int32_t count)
{
    struct producer_batch b = batch(id, epoch, sequence, count), original;
    return producer_state_check(&state, &b, &original);
}

/* Without a check, as a follower does. */
static int64_t append(int64_t id, int16_t epoch, int32_t sequence, int32_t count)
{
    struct producer_batch b = batch(id, epoch, sequence, count);
    ASSERT_EQ(producer_state_reserve(&state), STATUS_OK);
    producer_state_append(&state, &b);
    log_end = b.last_offset + 1;
    return b.base_offset;
}

static void expect_duplicate(int64_t id, int16_t epoch, int32_t sequence, int32_t count, int64_t base, bool pending)
{
    struct producer_batch b = batch(id, epoch, sequence, count), original = {0};
    ASSERT_EQ(producer_state_check(&state, &b, &original), STATUS_SEQUENCE_DUPLICATE);
    ASSERT_EQ(original.base_offset, base);
    ASSERT_EQ(original.last_offset, base + count - 1);
    ASSERT_EQ(original.max_timestamp_ms, 1000 + base % (1ll << 60));
    ASSERT_EQ(original.pending, pending);
}

static void i1_next_sequence_is_last_plus_one(void)
{
    begin();
    ASSERT_EQ(check(7, 0, 0, 3), STATUS_OK);
    append(7, 0, 0, 3);
    ASSERT_EQ(check(7, 0, 3, 1), STATUS_OK);
    ASSERT_EQ(check(7, 0, 4, 1), STATUS_SEQUENCE_GAP);
    ASSERT_EQ(check(7, 0, 2, 1), STATUS_SEQUENCE_GAP); /* inside a known batch: no exact repeat */
    ASSERT_EQ(check(7, 0, 0, 2), STATUS_SEQUENCE_GAP);
    ASSERT_EQ(check(8, 0, 0, 1), STATUS_OK); /* others are not disturbed */
    producer_state_commit(&state, log_end);
    ASSERT_EQ(check(7, 0, 3, 1), STATUS_OK);
    ASSERT_EQ(check(7, 0, 4, 1), STATUS_SEQUENCE_GAP);
    end();
}

/* Row M6: gap, repeat of an old batch, the sixth back; here over the border between committed and pending. */
static void m6_window_is_the_last_five(void)
{
    for (int64_t committed = 0; committed <= 14; committed += 2) {
        begin();
        for (int32_t i = 0; i < 7; i++) append(5, 1, 2 * i, 2);
        append(6, 0, 0, 1); /* another producer's lies above */
        producer_state_commit(&state, committed);
        for (int32_t i = 2; i < 7; i++) expect_duplicate(5, 1, 2 * i, 2, 2 * i, 2 * i >= committed);
        ASSERT_EQ(check(5, 1, 2, 2), STATUS_SEQUENCE_GAP); /* the sixth back */
        ASSERT_EQ(check(5, 1, 14, 2), STATUS_OK);
        end();
    }
}

static void m6_sequences_wrap_to_zero(void)
{
    begin();
    append(5, 0, INT32_MAX - 1, 2); /* ends at the largest */
    ASSERT_EQ(check(5, 0, 0, 1), STATUS_OK);
    ASSERT_EQ(check(5, 0, 1, 1), STATUS_SEQUENCE_GAP);
    int64_t base = append(5, 0, 0, 4);
    append(5, 0, 4, 1);
    expect_duplicate(5, 0, INT32_MAX - 1, 2, 0, true);
    expect_duplicate(5, 0, 0, 4, base, true);
    append(9, 0, INT32_MAX - 1, 5); /* wraps inside: sequences 2^31 - 2 .. 2 */
    ASSERT_EQ(check(9, 0, 3, 1), STATUS_OK);
    expect_duplicate(9, 0, INT32_MAX - 1, 5, 7, true);
    end();
}

static void i4_epochs(void)
{
    begin();
    append(5, 3, 0, 1);
    for (int32_t i = 0; i < 2; i++) ASSERT_EQ(check(5, 2, i, 1), STATUS_PRODUCER_FENCED);
    ASSERT_EQ(check(5, 4, 1, 1), STATUS_SEQUENCE_GAP);
    ASSERT_EQ(check(5, 4, 0, 1), STATUS_OK);
    append(5, 4, 0, 1);
    ASSERT_EQ(check(5, 3, 0, 1), STATUS_PRODUCER_FENCED); /* even an exact repeat of the old epoch */
    expect_duplicate(5, 4, 0, 1, 1, true);
    producer_state_commit(&state, 1); /* the old epoch is committed, the new one pending */
    expect_duplicate(5, 4, 0, 1, 1, true);
    ASSERT_EQ(check(5, 3, 1, 1), STATUS_PRODUCER_FENCED);
    producer_state_commit(&state, 2);
    expect_duplicate(5, 4, 0, 1, 1, false);
    ASSERT_EQ(check(5, INT16_MAX, 0, 1), STATUS_OK);
    end();
}

/* Row M7 and KIP-360: who is not known may begin anywhere. */
static void m7_unknown_producers_begin_anywhere(void)
{
    begin();
    ASSERT_EQ(check(5, 9, 4711, 1), STATUS_OK);
    append(5, 9, 4711, 1);
    ASSERT_EQ(check(5, 9, 4711, 2), STATUS_SEQUENCE_GAP);
    ASSERT_EQ(check(5, 9, 4712, 2), STATUS_OK);
    producer_state_remove_expired(&state, INT64_MAX); /* pending: stays */
    ASSERT_EQ(check(5, 9, 1, 1), STATUS_SEQUENCE_GAP);
    producer_state_commit(&state, log_end);
    producer_state_remove_expired(&state, 1000);
    ASSERT_EQ(check(5, 9, 1, 1), STATUS_SEQUENCE_GAP);
    producer_state_remove_expired(&state, 1001);
    ASSERT_EQ(producer_state_count(&state), 0);
    ASSERT_EQ(check(5, 0, 1, 1), STATUS_OK);
    end();
}

static void markers_begin_epochs_and_take_no_sequence(void)
{
    begin();
    append(5, 0, 0, 2);
    append(5, 0, NO_SEQUENCE, 1); /* end of a transaction in the same epoch */
    expect_duplicate(5, 0, 0, 2, 0, true);
    ASSERT_EQ(check(5, 0, 2, 1), STATUS_OK);
    ASSERT_EQ(check(5, 1, NO_SEQUENCE, 1), STATUS_OK);
    append(5, 1, NO_SEQUENCE, 1); /* fences the old one */
    for (int committed = 0; committed < 2; committed++) {
        ASSERT_EQ(check(5, 0, 2, 1), STATUS_PRODUCER_FENCED);
        ASSERT_EQ(check(5, 0, NO_SEQUENCE, 1), STATUS_PRODUCER_FENCED);
        ASSERT_EQ(check(5, 1, 2, 1), STATUS_SEQUENCE_GAP);
        ASSERT_EQ(check(5, 1, 0, 1), STATUS_OK);
        producer_state_commit(&state, log_end);
    }
    for (int32_t i = 0; i < 5; i++) append(5, 1, i, 1);
    for (int32_t i = 0; i < 5; i++) expect_duplicate(5, 1, i, 1, 4 + i, true);
    end();
}

/* Rule C3: a batch left without records keeps its offsets and its sequences. */
static void sequences_span_the_offsets_of_thinned_batches(void)
{
    begin();
    struct producer_batch b = batch(5, 0, 0, 10);
    ASSERT_EQ(producer_state_reserve(&state), STATUS_OK);
    b.record_count = 0;
    producer_state_append(&state, &b);
    log_end = 10;
    ASSERT_EQ(check(5, 0, 10, 1), STATUS_OK);
    ASSERT_EQ(check(5, 0, 9, 1), STATUS_SEQUENCE_GAP);
    end();
}

/* Rule A3: F holds uncommitted (pid 9, seq 7) at 105 and is cut to 100: the retry must not be a duplicate. */
static void a3_a_cut_forgets_what_it_took(void)
{
    begin();
    log_end = 90;
    append(9, 0, 2, 5);
    producer_state_commit(&state, 95);
    log_end = 105;
    append(9, 0, 7, 1);
    append(11, 0, 0, 1);
    expect_duplicate(9, 0, 7, 1, 105, true);
    producer_state_truncate(&state, 100);
    log_end = 100;
    ASSERT_EQ(check(9, 0, 7, 1), STATUS_OK);
    expect_duplicate(9, 0, 2, 5, 90, false);
    ASSERT_EQ(check(11, 4, 55, 1), STATUS_OK); /* wholly forgotten */
    append(9, 0, 7, 1);
    producer_state_commit(&state, 101);
    expect_duplicate(9, 0, 7, 1, 100, false);
    end();
}

/* The window that a cut leaves is the one from before, also where pending batches had pushed the oldest out of view. */
static void a3_a_cut_gives_the_old_window_back(void)
{
    begin();
    for (int32_t i = 0; i < 5; i++) append(9, 0, i, 1);
    producer_state_commit(&state, 5);
    for (int32_t i = 5; i < 9; i++) append(9, 0, i, 1);
    append(9, 1, 0, 1);
    ASSERT_EQ(check(9, 0, 4, 1), STATUS_PRODUCER_FENCED);
    producer_state_truncate(&state, 5);
    log_end = 5;
    for (int32_t i = 0; i < 5; i++) expect_duplicate(9, 0, i, 1, i, false);
    ASSERT_EQ(check(9, 0, 5, 1), STATUS_OK);
    end();
}

static void offsets_reach_to_the_end_of_the_range(void)
{
    begin();
    log_end = INT64_MAX - 20; /* row D25 */
    append(9, 0, 0, 10);
    expect_duplicate(9, 0, 0, 10, INT64_MAX - 20, true);
    producer_state_commit(&state, INT64_MAX);
    expect_duplicate(9, 0, 0, 10, INT64_MAX - 20, false);
    end();
}

static void memory_is_as_promised(void)
{
    begin();
    ASSERT_EQ(sizeof state, 2 * sizeof(void *));
    ASSERT_EQ(mem_used(mem, MEM_LOG), 0);
    for (int64_t id = 0; id < 10000; id++) {
        append(id, 0, 0, 1);
        producer_state_commit(&state, log_end);
    }
    ASSERT(mem_used(mem, MEM_LOG) < 10000 * 50);
    for (int64_t id = 0; id < 10000; id++) {
        append((id * 7919) % 10000, 0, 1, 1);
        producer_state_commit(&state, log_end);
    }
    ASSERT(mem_used(mem, MEM_LOG) < 10000 * 160);
    producer_state_remove_expired(&state, INT64_MAX);
    producer_state_recorded(&state); /* till then their ids are kept */
    ASSERT(mem_used(mem, MEM_LOG) < 10000);
    ASSERT_EQ(producer_state_encoded_size(&state, PRODUCERS_WHOLE), 16);
    end();
}

/* In an order that no array likes. */
static void a_million_producers_work(void)
{
    enum { N = 1000000 };
    begin();
    for (int64_t i = 0; i < N; i++) {
        append((i * 700001) % N, 0, 0, 1);
        if (i % 1000 == 999) producer_state_commit(&state, log_end - 500);
    }
    ASSERT_EQ(producer_state_count(&state), N - 500);
    ASSERT(mem_used(mem, MEM_LOG) < N * 72ull);
    for (int64_t i = 0; i < N; i += 997) expect_duplicate((i * 700001) % N, 0, 0, 1, i, i >= N - 500);
    producer_state_check_invariants(&state);
    end();
}

static void no_memory_changes_nothing(void)
{
    begin();
    for (uint64_t n = 1; n < 40; n++) {
        for (int32_t i = 0; i < 20; i++) {
            mem_fail_nth(mem, n);
            enum status status = producer_state_reserve(&state);
            mem_fail_nth(mem, 0);
            producer_state_check_invariants(&state);
            if (status != STATUS_OK) ASSERT_EQ(status, STATUS_NO_MEMORY);
            ASSERT_EQ(producer_state_reserve(&state), STATUS_OK);
            struct producer_batch b = batch((int64_t)n * 100 + i % 10, 0, i / 10, 1);
            mem_fail_nth(mem, 1); /* append may ask, but needs nothing */
            producer_state_append(&state, &b);
            log_end++;
            mem_fail_nth(mem, 1);
            if (i % 7 == 6) producer_state_commit(&state, log_end - 2);
            mem_fail_nth(mem, 0);
        }
    }
    end();
}

/* --- model: the log itself --- */

#define MODEL_MAX 600
#define IDS       6

static struct {
    struct {
        struct producer_batch b;
        bool forgotten;
    } log[MODEL_MAX];
    int count;
    int64_t committed;
} model;

/* The producer's batches of its last epoch, oldest first, without the markers that tell nothing. */
static int model_run(int64_t id, int ret_run[MODEL_MAX])
{
    int n = 0;
    for (int i = 0; i < model.count; i++) {
        const struct producer_batch *b = &model.log[i].b;
        if (b->producer_id != id || model.log[i].forgotten) continue;
        if (n > 0 && model.log[ret_run[n - 1]].b.epoch != b->epoch) n = 0;
        if (n > 0 && b->first_sequence < 0) continue;
        ret_run[n++] = i;
    }
    return n;
}

static int64_t last_of(const struct producer_batch *b)
{
    return b->first_sequence < 0 ? -1 : (b->first_sequence + (b->last_offset - b->base_offset)) % (1ll << 31);
}

static enum status model_check(const struct producer_batch *b, struct producer_batch *ret_original)
{
    static int run[MODEL_MAX];
    int n = model_run(b->producer_id, run);
    if (n == 0) return STATUS_OK;
    const struct producer_batch *newest = &model.log[run[n - 1]].b;
    if (b->epoch < newest->epoch) return STATUS_PRODUCER_FENCED;
    if (b->epoch > newest->epoch) return b->first_sequence == 0 ? STATUS_OK : STATUS_SEQUENCE_GAP;
    for (int i = n - 1; i >= 0 && i >= n - 5; i--) {
        const struct producer_batch *old = &model.log[run[i]].b;
        if (old->first_sequence != b->first_sequence || last_of(old) != last_of(b)) continue;
        *ret_original = *old;
        return STATUS_SEQUENCE_DUPLICATE;
    }
    return b->first_sequence == (last_of(newest) + 1) % (1ll << 31) ? STATUS_OK : STATUS_SEQUENCE_GAP;
}

static void model_compare_one(int64_t id, int16_t epoch, int32_t sequence, int32_t count)
{
    struct producer_batch b = batch(id, epoch, sequence, count), got = {0}, want = {0};
    enum status status = producer_state_check(&state, &b, &got);
    ASSERT_EQ(status, model_check(&b, &want));
    if (status != STATUS_SEQUENCE_DUPLICATE) return;
    ASSERT_EQ(got.base_offset, want.base_offset);
    ASSERT_EQ(got.last_offset, want.last_offset);
    ASSERT_EQ(got.max_timestamp_ms, want.max_timestamp_ms);
    ASSERT_EQ(got.pending, want.last_offset >= model.committed);
}

static void model_compare(struct prng *r)
{
    producer_state_check_invariants(&state);
    for (int64_t id = 0; id < IDS; id++) {
        int seen = 0;
        for (int i = model.count - 1; i >= 0 && seen < 8; i--) { /* repeats and successors of the last few */
            const struct producer_batch *b = &model.log[i].b;
            if (b->producer_id != id) continue;
            seen++;
            int32_t span = (int32_t)(b->last_offset - b->base_offset) + 1, first = MAX(b->first_sequence, 0);
            model_compare_one(id, b->epoch, first, span);
            model_compare_one(id, b->epoch, first, span + 1);
            model_compare_one(id, b->epoch, (int32_t)((last_of(b) + 1) % (1ll << 31)), 1);
        }
        model_compare_one(id, (int16_t)prng_below(r, 4), (int32_t)prng_below(r, 12), 1);
    }
}

static void model_append(struct prng *r)
{
    static int run[MODEL_MAX];
    int64_t id = (int64_t)prng_below(r, IDS);
    int n = model_run(id, run);
    const struct producer_batch *newest = n > 0 ? &model.log[run[n - 1]].b : NULL;
    int16_t epoch = newest != NULL ? newest->epoch : (int16_t)prng_below(r, 3);
    int32_t sequence = newest != NULL ? (int32_t)((last_of(newest) + 1) % (1ll << 31)) : 0;
    uint64_t what = prng_below(r, 20);
    if (what == 0) epoch = (int16_t)(epoch + 1), sequence = 0;
    if (what == 1) sequence = NO_SEQUENCE;
    if (what == 2) sequence = NO_SEQUENCE, epoch = (int16_t)(epoch + 1);
    if (what == 3) sequence = INT32_MAX - (int32_t)prng_below(r, 3); /* what a follower may be told */
    if (what == 4 && epoch > 0) epoch = (int16_t)(epoch - 1);        /* too */
    if (prng_chance(r, 1, 10)) log_end += (int64_t)prng_below(r, 3); /* batches without producer between */
    model.log[model.count++].b = batch(id, epoch, sequence, 1 + (int32_t)prng_below(r, 4));
    append(id, epoch, sequence, (int32_t)(model.log[model.count - 1].b.last_offset - log_end + 1));
}

static void model_commit(struct prng *r)
{
    int64_t to = model.committed + (int64_t)prng_below(r, (uint64_t)(log_end - model.committed) + 1);
    producer_state_commit(&state, to);
    for (int i = 0; i < model.count; i++)
        if (model.log[i].b.last_offset < to) model.committed = MAX(model.committed, model.log[i].b.last_offset + 1);
}

static void model_truncate(struct prng *r)
{
    int i = model.count;
    while (i > 0 && model.log[i - 1].b.base_offset >= model.committed && prng_chance(r, 3, 4)) i--;
    if (i == model.count) return;
    log_end = model.log[i].b.base_offset;
    memset(&model.log[i], 0, (size_t)(model.count - i) * sizeof model.log[0]);
    model.count = i;
    producer_state_truncate(&state, log_end);
}

static void model_expire(struct prng *r)
{
    static int run[MODEL_MAX];
    int64_t before = 1000 + (int64_t)prng_below(r, (uint64_t)log_end + 2);
    for (int64_t id = 0; id < IDS; id++) {
        int n = model_run(id, run);
        if (n == 0) continue;
        const struct producer_batch *newest = &model.log[run[n - 1]].b;
        if (newest->last_offset >= model.committed || newest->max_timestamp_ms >= before) continue;
        for (int i = 0; i < model.count; i++) model.log[i].forgotten |= model.log[i].b.producer_id == id;
    }
    producer_state_remove_expired(&state, before);
}

/* The state goes on as what its bytes give. */
static void round_trip(void)
{
    size_t n = producer_state_encoded_size(&state, PRODUCERS_WHOLE);
    uint8_t *bytes = malloc(n), *again = malloc(n);
    struct producer_state copy;
    producer_state_encode(&state, PRODUCERS_WHOLE, bytes);
    producer_state_init(&copy, mem);
    ASSERT_EQ(producer_state_decode(&copy, bytes, n), STATUS_OK);
    ASSERT_EQ(producer_state_encoded_size(&copy, PRODUCERS_WHOLE), n);
    producer_state_encode(&copy, PRODUCERS_WHOLE, again);
    ASSERT(memcmp(bytes, again, n) == 0);
    producer_state_deinit(&state);
    state = copy;
    free(bytes);
    free(again);
}

static void random_life(uint64_t seed)
{
    struct prng r;
    prng_seed(&r, seed, 1);
    begin();
    memset(&model, 0, sizeof model);
    for (int step = 0; step < 300 && model.count < MODEL_MAX; step++) {
        uint64_t what = prng_below(&r, 40);
        if (what < 26)
            model_append(&r);
        else if (what < 34)
            model_commit(&r);
        else if (what < 36)
            model_truncate(&r);
        else if (what < 37)
            model_expire(&r);
        else
            round_trip();
        model_compare(&r);
    }
    end();
}

static void random_lives_match_the_model(void)
{
    for (uint64_t seed = 1; seed <= 120; seed++) random_life(seed);
}

/* --- records of a checkpoint table --- */

static struct producer_state shadow; /* what a start would know: whole, then changes */
static unsigned changes_written;
static size_t changes_bytes, whole_bytes;

static void expect_equal(const struct producer_state *a, const struct producer_state *b)
{
    size_t n = producer_state_encoded_size(a, PRODUCERS_WHOLE);
    uint8_t *one = malloc(n), *two = malloc(n);
    ASSERT_EQ(producer_state_encoded_size(b, PRODUCERS_WHOLE), n);
    producer_state_encode(a, PRODUCERS_WHOLE, one);
    producer_state_encode(b, PRODUCERS_WHOLE, two);
    ASSERT(memcmp(one, two, n) == 0);
    free(one);
    free(two);
}

static void record(bool whole)
{
    enum producer_encoding how = whole ? PRODUCERS_WHOLE : producer_state_best(&state);
    size_t n = producer_state_encoded_size(&state, how);
    uint8_t *bytes = malloc(n);
    producer_state_encode(&state, how, bytes);
    if (how == PRODUCERS_WHOLE) producer_state_deinit(&shadow);
    changes_written += how == PRODUCERS_CHANGES;
    changes_bytes += how == PRODUCERS_CHANGES ? n : 0;
    whole_bytes += how == PRODUCERS_CHANGES ? producer_state_encoded_size(&state, PRODUCERS_WHOLE) : 0;
    enum status status =
        how == PRODUCERS_WHOLE ? producer_state_decode(&shadow, bytes, n) : producer_state_apply(&shadow, bytes, n);
    ASSERT_EQ(status, STATUS_OK);
    producer_state_recorded(&state);
    producer_state_check_invariants(&shadow);
    expect_equal(&state, &shadow);
    free(bytes);
}

/* Rule A11: a base and what changed since add up to the state, whatever happens between two records. */
static void a11_changes_add_up(void)
{
    for (uint64_t seed = 1; seed <= 150; seed++) {
        struct prng r;
        prng_seed(&r, seed, 7);
        begin();
        producer_state_init(&shadow, mem);
        memset(&model, 0, sizeof model);
        for (int step = 0; step < 300 && model.count < MODEL_MAX; step++) {
            uint64_t what = prng_below(&r, 40);
            if (what < 22)
                model_append(&r);
            else if (what < 29)
                model_commit(&r);
            else if (what < 31)
                model_truncate(&r);
            else if (what < 33)
                model_expire(&r);
            else
                record(what == 33);
        }
        model_compare(&r);
        record(false);
        producer_state_deinit(&shadow);
        end();
    }
    ASSERT(changes_written > 3000);
    ASSERT(changes_bytes < whole_bytes * 3 / 4);
}

/* Many producers, few of them active: a record costs what the active ones do. Expired ones are told by their ids, and
 * where they are too many, or memory for the note is short, all is written. */
static void a11_a_record_costs_what_changed(void)
{
    begin();
    producer_state_init(&shadow, mem);
    for (int64_t id = 0; id < 200000; id++) append(id, 0, 0, 1);
    producer_state_commit(&state, log_end);
    record(true);
    for (int64_t id = 5; id < 200000; id += 20000) append(id, 0, 1, 1);
    producer_state_commit(&state, log_end);
    ASSERT_EQ(producer_state_encoded_size(&state, PRODUCERS_CHANGES), 16 + 10 * (16 + 2 * 32));
    record(false);
    producer_state_remove_expired(&state, 1000 + 1000);
    ASSERT_EQ(producer_state_encoded_size(&state, PRODUCERS_CHANGES), 16 + 999 * 8); /* 5 had a second batch */
    record(false);
    producer_state_remove_expired(&state, 1000 + 100000);
    ASSERT_EQ(producer_state_best(&state), PRODUCERS_WHOLE);
    record(false);
    mem_fail_nth(mem, 1);
    producer_state_remove_expired(&state, 1000 + 100100);
    mem_fail_nth(mem, 0);
    ASSERT_EQ(producer_state_best(&state), PRODUCERS_WHOLE);
    record(false);
    ASSERT_EQ(producer_state_best(&state), PRODUCERS_CHANGES);
    producer_state_deinit(&shadow);
    end();
}

/* Expiry merges the chunks of the table: what has changed in one of them stays changed. */
static void a11_changes_survive_a_merge(void)
{
    begin();
    producer_state_init(&shadow, mem);
    for (int64_t id = 399; id >= 0; id--) append(id, 0, 0, 1);
    producer_state_commit(&state, log_end);
    record(true);
    append(330, 0, 1, 1); /* the lowest ids are the youngest of the others, and unchanged */
    producer_state_commit(&state, log_end);
    producer_state_remove_expired(&state, 1000 + 390);
    ASSERT_EQ(producer_state_count(&state), 11);
    record(false);
    producer_state_deinit(&shadow);
    end();
}

static void expiry_looks_only_where_it_may_find(void)
{
    begin();
    ASSERT(!producer_state_expires(&state, INT64_MAX));
    append(1, 0, 0, 1);                                 /* at 1000 */
    append(2, 0, 0, 1);                                 /* at 1001 */
    ASSERT(!producer_state_expires(&state, INT64_MAX)); /* pending */
    producer_state_commit(&state, log_end);
    ASSERT(!producer_state_expires(&state, 1000));
    ASSERT(producer_state_expires(&state, 1001));
    producer_state_remove_expired(&state, 1001);
    ASSERT_EQ(producer_state_count(&state), 1);
    ASSERT(!producer_state_expires(&state, 1001));
    append(1, 0, 0, 1);
    producer_state_commit(&state, log_end);
    ASSERT(producer_state_expires(&state, 1002));
    end();
}

/* --- bytes --- */
#define HEAD         16
#define SAMPLE_BYTES (HEAD + 2 * 16 + 3 * 32 + 2 * 48)

static void sample(uint8_t bytes[SAMPLE_BYTES])
{
    append(3, 2, 10, 5);
    append(3, 2, 15, 1);
    append(8, 0, NO_SEQUENCE, 1);
    producer_state_commit(&state, log_end);
    append(3, 2, 16, 2);
    append(5, 1, 0, 1);
    ASSERT_EQ(producer_state_encoded_size(&state, PRODUCERS_WHOLE), SAMPLE_BYTES);
    producer_state_encode(&state, PRODUCERS_WHOLE, bytes);
}

static enum status decode_status(const uint8_t *bytes, size_t n)
{
    struct producer_state copy;
    uint8_t *exact = malloc(n + (n == 0)); /* a read of one byte too many is seen */
    memcpy(exact, bytes, n);
    producer_state_init(&copy, mem);
    enum status status = producer_state_decode(&copy, exact, n);
    if (status != STATUS_OK) ASSERT(copy.p == NULL);
    producer_state_check_invariants(&copy);
    producer_state_deinit(&copy);
    free(exact);
    return status;
}

static void decode_refuses_what_encode_never_makes(void)
{
    static const struct {
        const char *what;
        size_t pos;
        uint8_t value;
    } flips[] = {
        {"one producer more", 0, 3},
        {"one producer less", 0, 1},
        {"one pending more", 4, 3},
        {"many", 3, 0x80},
        {"removed in a whole state", 8, 1},
        {"reserved in the head", 12, 1},
        {"negative id", HEAD + 7, 0x80},
        {"ids not ascending", HEAD, 8},
        {"negative epoch", HEAD + 9, 0x80},
        {"no batch", HEAD + 10, 0},
        {"six batches", HEAD + 10, 6},
        {"reserved", HEAD + 12, 1},
        {"last sequence", HEAD + 16 + 4, 15},
        {"negative offset", HEAD + 16 + 15, 0x80},
        {"offsets overlap", HEAD + 16 + 32 + 8, 4},
        {"marker not first", HEAD + 16 + 32 + 3, 0xff},
        {"last below base", HEAD + 16 + 16, 0xff},
        {"pending below committed", HEAD + 32 + 96 + 24, 5},
        {"pending reserved", HEAD + 32 + 96 + 10, 1},
        {"pending count", HEAD + 32 + 96 + 16, 1},
        {"pending epoch", HEAD + 32 + 96 + 9, 0x80},
    };
    uint8_t good[SAMPLE_BYTES], bad[SAMPLE_BYTES + 1] = {0};
    begin();
    sample(good);
    for (size_t n = 0; n < sizeof good; n++) ASSERT_EQ(decode_status(good, n), STATUS_DAMAGED);
    memcpy(bad, good, sizeof good);
    ASSERT_EQ(decode_status(bad, sizeof bad), STATUS_DAMAGED);
    ASSERT_EQ(decode_status(good, sizeof good), STATUS_OK);
    for (size_t i = 0; i < sizeof flips / sizeof flips[0]; i++) {
        memcpy(bad, good, sizeof good);
        bad[flips[i].pos] = flips[i].value;
        ASSERT(bad[flips[i].pos] != good[flips[i].pos]);
        if (decode_status(bad, sizeof good) != STATUS_DAMAGED) printf("accepted: %s\n", flips[i].what);
        ASSERT_EQ(decode_status(bad, sizeof good), STATUS_DAMAGED);
    }
    memcpy(bad, good, sizeof good); /* the second batch of producer 3 at the last offset of the first */
    bad[HEAD + 16 + 32 + 8] = bad[HEAD + 16 + 32 + 16] = 4;
    ASSERT_EQ(decode_status(bad, sizeof good), STATUS_DAMAGED);
    memcpy(bad, good, sizeof good); /* the first pending batch at 5..6, below the committed end 7 */
    bad[HEAD + 128 + 24] = 5;
    bad[HEAD + 128 + 32] = 6;
    ASSERT_EQ(decode_status(bad, sizeof good), STATUS_DAMAGED);
    for (uint64_t n = 1; n < 9; n++) {
        mem_fail_nth(mem, n);
        enum status status = decode_status(good, sizeof good);
        ASSERT(status == STATUS_NO_MEMORY || status == STATUS_OK);
        if (n < 4) ASSERT_EQ(status, STATUS_NO_MEMORY);
    }
    mem_fail_nth(mem, 0);
    end();
}

static enum status apply_status(const uint8_t *bytes, size_t n)
{
    uint8_t sound[SAMPLE_BYTES], *exact = malloc(n + (n == 0));
    struct producer_state copy;
    memcpy(exact, bytes, n);
    producer_state_init(&copy, mem);
    producer_state_encode(&state, PRODUCERS_WHOLE, sound);
    ASSERT_EQ(producer_state_decode(&copy, sound, sizeof sound), STATUS_OK);
    enum status status = producer_state_apply(&copy, exact, n);
    if (status == STATUS_OK) producer_state_check_invariants(&copy);
    producer_state_deinit(&copy);
    free(exact);
    return status;
}

static void apply_refuses_nonsense(void)
{
    uint8_t whole[SAMPLE_BYTES], bytes[HEAD + 16 + 48] = {0};
    begin();
    sample(whole);
    ASSERT_EQ(apply_status(whole, sizeof whole), STATUS_OK); /* all as changes */
    for (size_t n = 0; n < sizeof whole; n++) ASSERT_EQ(apply_status(whole, n), STATUS_DAMAGED);
    ASSERT_EQ(apply_status(bytes, HEAD), STATUS_OK);
    store_le32(bytes + 12, 1);
    ASSERT_EQ(apply_status(bytes, HEAD), STATUS_DAMAGED);
    store_le32(bytes + 12, 0);
    store_le32(bytes + 8, 2); /* two removed: 3, and one that is not known */
    store_le64(bytes + HEAD, 3);
    store_le64(bytes + HEAD + 8, 4);
    ASSERT_EQ(apply_status(bytes, HEAD + 16), STATUS_OK);
    ASSERT_EQ(apply_status(bytes, HEAD + 15), STATUS_DAMAGED);
    store_le64(bytes + HEAD + 8, 2);
    ASSERT_EQ(apply_status(bytes, HEAD + 16), STATUS_DAMAGED); /* not ascending */
    store_le64(bytes + HEAD, (uint64_t)-1);
    ASSERT_EQ(apply_status(bytes, HEAD + 16), STATUS_DAMAGED);
    store_le32(bytes + 8, UINT32_MAX);
    ASSERT_EQ(apply_status(bytes, sizeof bytes), STATUS_DAMAGED);
    end();
}

/* Same log, other ways to get there: the same bytes (rule I3). */
static void i3_state_is_a_function_of_the_log(void)
{
    uint8_t one[4096], two[4096];
    begin();
    for (int32_t i = 0; i < 40; i++) append(i % 7, 0, i / 7, 1);
    producer_state_commit(&state, 30);
    size_t n = producer_state_encoded_size(&state, PRODUCERS_WHOLE);
    ASSERT(n <= sizeof one);
    producer_state_encode(&state, PRODUCERS_WHOLE, one);
    end();
    begin();
    for (int32_t i = 0; i < 20; i++) append(i % 7, 0, i / 7, 1);
    for (int32_t i = 0; i < 9; i++) append(20 - i, 5, 7, 1); /* of another leader: cut */
    producer_state_commit(&state, 11);
    producer_state_truncate(&state, 20);
    log_end = 20;
    for (int32_t i = 20; i < 40; i++) {
        append(i % 7, 0, i / 7, 1);
        producer_state_commit(&state, MIN(30, i));
    }
    ASSERT_EQ(producer_state_encoded_size(&state, PRODUCERS_WHOLE), n);
    producer_state_encode(&state, PRODUCERS_WHOLE, two);
    ASSERT(memcmp(one, two, n) == 0);
    end();
}

TEST_MAIN("producer_state", {"I1: next sequence is last plus one", i1_next_sequence_is_last_plus_one},
          {"M6: the window is the last five", m6_window_is_the_last_five},
          {"M6: sequences wrap to zero", m6_sequences_wrap_to_zero}, {"I4: epochs", i4_epochs},
          {"M7: unknown producers begin anywhere", m7_unknown_producers_begin_anywhere},
          {"markers begin epochs and take no sequence", markers_begin_epochs_and_take_no_sequence},
          {"C3: sequences span the offsets", sequences_span_the_offsets_of_thinned_batches},
          {"A3: a cut forgets what it took", a3_a_cut_forgets_what_it_took},
          {"A3: a cut gives the old window back", a3_a_cut_gives_the_old_window_back},
          {"D25: offsets reach to the end", offsets_reach_to_the_end_of_the_range},
          {"memory is as promised", memory_is_as_promised}, {"R6 a million producers work", a_million_producers_work},
          {"R5 no memory changes nothing", no_memory_changes_nothing},
          {"random lives match the model", random_lives_match_the_model}, {"A11: changes add up", a11_changes_add_up},
          {"A11: a record costs what changed", a11_a_record_costs_what_changed},
          {"A11: changes survive a merge", a11_changes_survive_a_merge},
          {"expiry looks only where it may find", expiry_looks_only_where_it_may_find},
          {"apply refuses nonsense", apply_refuses_nonsense},
          {"decode refuses what encode never makes", decode_refuses_what_encode_never_makes},
          {"I3: state is a function of the log", i3_state_is_a_function_of_the_log})

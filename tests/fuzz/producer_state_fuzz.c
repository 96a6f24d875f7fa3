// SPDX-License-Identifier: Apache-2.0
/* Producer state from any bytes. What decode takes, encode gives back byte for byte, and the state lives on: what is
 * told as a duplicate lies where the state says, a cut and a commit keep the invariants.
 *
 * An input that decode refuses is applied as changes to a small state, which must stay sound if it is taken; and it is
 * run as a list of events, so that the rules see more than sound snapshots. A shadow of the state gets its changes
 * only, and must stay equal. */
#include "base/bytes.h"
#include "base/check.h"
#include "storage/producer_state.h"
#include <stdlib.h>

#define EVENT_BYTES 6u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The same state as its bytes give; returns the bytes' length. */
static size_t round_trip(struct producer_state *s)
{
    size_t n = producer_state_encoded_size(s, PRODUCERS_WHOLE);
    uint8_t *bytes = malloc(n), *again = malloc(n);
    struct producer_state copy;
    CHECK(bytes != NULL && again != NULL);
    producer_state_encode(s, PRODUCERS_WHOLE, bytes);
    producer_state_init(&copy, s->mem);
    CHECK_OK(producer_state_decode(&copy, bytes, n));
    CHECK(producer_state_encoded_size(&copy, PRODUCERS_WHOLE) == n);
    producer_state_encode(&copy, PRODUCERS_WHOLE, again);
    CHECK(memcmp(bytes, again, n) == 0);
    producer_state_deinit(s);
    *s = copy;
    free(bytes);
    free(again);
    return n;
}

static struct producer_state shadow;

/* The changes since the last record reach the shadow. */
static void record(struct producer_state *s)
{
    enum producer_encoding how = producer_state_best(s);
    size_t n = producer_state_encoded_size(s, how), whole = producer_state_encoded_size(s, PRODUCERS_WHOLE);
    uint8_t *bytes = malloc(n), *one = malloc(whole), *two = malloc(whole);
    CHECK(bytes != NULL && one != NULL && two != NULL);
    producer_state_encode(s, how, bytes);
    if (how == PRODUCERS_WHOLE) producer_state_deinit(&shadow);
    if (how == PRODUCERS_WHOLE)
        CHECK_OK(producer_state_decode(&shadow, bytes, n));
    else
        CHECK_OK(producer_state_apply(&shadow, bytes, n));
    producer_state_recorded(s);
    CHECK(producer_state_encoded_size(&shadow, PRODUCERS_WHOLE) == whole);
    producer_state_encode(s, PRODUCERS_WHOLE, one);
    producer_state_encode(&shadow, PRODUCERS_WHOLE, two);
    CHECK(memcmp(one, two, whole) == 0);
    free(bytes);
    free(one);
    free(two);
}

static void apply(struct mem *mem, const uint8_t *data, size_t size)
{
    struct producer_state s;
    producer_state_init(&s, mem);
    for (int64_t i = 0; i < 12; i++) {
        struct producer_batch b = {.producer_id = i % 5, .first_sequence = (int32_t)(i / 5), .record_count = 1};
        b.base_offset = b.last_offset = i;
        CHECK_OK(producer_state_reserve(&s));
        producer_state_append(&s, &b);
        producer_state_commit(&s, i - 2);
    }
    if (producer_state_apply(&s, data, size) == STATUS_OK) {
        producer_state_check_invariants(&s);
        (void)round_trip(&s);
        producer_state_commit(&s, INT64_MAX);
        producer_state_check_invariants(&s);
    }
    producer_state_deinit(&s);
}

/* One event from its bytes: kind, producer, epoch, sequence, count, amount. */
static void event(struct producer_state *s, const uint8_t *e, int64_t *committed, int64_t *end)
{
    struct producer_batch original = {0}, b = {.producer_id = e[1] % 5,
                                               .epoch = (int16_t)(e[2] % 4),
                                               .first_sequence = e[3] == 255 ? NO_SEQUENCE : e[3] % 16,
                                               .record_count = 1 + e[4] % 4,
                                               .base_offset = *end,
                                               .last_offset = *end + e[4] % 4,
                                               .max_timestamp_ms = e[5]};
    enum status status;
    switch (e[0] % 7) {
    case 6: record(s); return;
    case 0:
        *committed += (*end - *committed) * e[5] / 255;
        producer_state_commit(s, *committed);
        return;
    case 1:
        *end -= (*end - *committed) * e[5] / 255;
        producer_state_truncate(s, *end);
        return;
    case 2: producer_state_remove_expired(s, e[5]); return;
    case 3:
        record(s);
        (void)round_trip(s);
        return;
    default: break;
    }
    status = producer_state_check(s, &b, &original);
    if (status == STATUS_SEQUENCE_DUPLICATE)
        CHECK(original.last_offset - original.base_offset == b.last_offset - b.base_offset &&
              original.last_offset < *end);
    if (status != STATUS_OK && e[0] % 7 == 4) return; /* a leader refuses, a follower takes all */
    CHECK_OK(producer_state_reserve(s));
    producer_state_append(s, &b);
    *end = b.last_offset + 1;
    if (b.first_sequence >= 0) {
        b.base_offset += 1000;
        b.last_offset += 1000;
        CHECK(producer_state_check(s, &b, &original) == STATUS_SEQUENCE_DUPLICATE && original.pending);
    }
}

static void run(struct mem *mem, const uint8_t *data, size_t size)
{
    struct producer_state s;
    int64_t committed = 0, end = 0;
    producer_state_init(&s, mem);
    producer_state_init(&shadow, mem);
    for (size_t at = 0; at + EVENT_BYTES <= size && at < 600 * EVENT_BYTES; at += EVENT_BYTES)
        event(&s, data + at, &committed, &end);
    record(&s);
    producer_state_check_invariants(&s);
    producer_state_deinit(&shadow);
    producer_state_deinit(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem *mem = mem_create(256 << 20);
    struct producer_state s;
    producer_state_init(&s, mem);
    if (size <= (1u << 20) && producer_state_decode(&s, data, size) == STATUS_OK) {
        CHECK(producer_state_encoded_size(&s, PRODUCERS_WHOLE) == size);
        uint8_t *again = malloc(size);
        CHECK(again != NULL);
        producer_state_encode(&s, PRODUCERS_WHOLE, again);
        CHECK(memcmp(data, again, size) == 0);
        free(again);
        producer_state_check_invariants(&s);
        producer_state_commit(&s, INT64_MAX);
        producer_state_check_invariants(&s);
        (void)round_trip(&s);
        producer_state_remove_expired(&s, INT64_MAX);
        producer_state_check_invariants(&s);
    } else {
        if (size <= (1u << 20)) apply(mem, data, size);
        run(mem, data, size);
    }
    producer_state_deinit(&s);
    mem_destroy(mem);
    return 0;
}

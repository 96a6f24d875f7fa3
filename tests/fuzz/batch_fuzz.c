// SPDX-License-Identifier: Apache-2.0
/* A record batch of any bytes, as it is and with its CRC made right. What validation takes the iterator must walk, with
 * the same count and largest timestamp, and a search by time must find in it. */
#include "base/bytes.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "protocol/batch_record.h"
#include "protocol/batch_time.h"
#include <stdlib.h>

#define FUZZ_CAP (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(struct mem *mem, const uint8_t *data, const struct batch_info *info, bool valid)
{
    struct batch_iter it;
    enum status s = batch_iter_open(&it, data, info, mem, FUZZ_CAP);
    if (valid) CHECK_OK(s);
    if (s != STATUS_OK) return;
    struct batch_record r;
    struct batch_header headers[64];
    int32_t count = 0;
    int64_t max_ms = BATCH_NO_TIMESTAMP;
    while (batch_iter_next(&it, &r)) {
        if (r.header_count <= 64) batch_record_headers(&r, headers);
        max_ms = MAX(max_ms, r.timestamp_ms);
        count++;
    }
    s = batch_iter_close(&it);
    if (!valid) return;
    CHECK_OK(s);
    CHECK(count == info->record_count);
    CHECK(max_ms == info->record_max_timestamp_ms);
}

static void search(struct mem *mem, const uint8_t *data, const struct batch_info *info, bool valid)
{
    struct batch_time_query q = {.largest = true, .from_ms = INT64_MIN, .output_cap_bytes = FUZZ_CAP};
    struct batch_time largest, first;
    q.from_offset = INT64_MIN;
    enum status s = batch_time_find(data, info, &q, mem, &largest);
    if (valid) CHECK_OK(s);
    if (s != STATUS_OK) return;
    CHECK(!valid || info->record_max_timestamp_ms == BATCH_NO_TIMESTAMP ||
          largest.timestamp_ms == info->record_max_timestamp_ms);
    q.largest = false;
    q.from_ms = largest.timestamp_ms;
    CHECK_OK(batch_time_find(data, info, &q, mem, &first));
    CHECK(first.offset == largest.offset && first.timestamp_ms == largest.timestamp_ms);
}

static void try(struct mem *mem, const uint8_t *data, size_t size)
{
    struct batch_limits limits;
    batch_limits_init(&limits, 1700000000000);
    limits.after_max_ms = INT64_MAX;
    limits.output_cap_bytes = FUZZ_CAP;
    struct batch_info info;
    struct batch_fault fault = {.text = NULL};
    enum status s = batch_validate(data, size, &limits, mem, &info, &fault);
    if (s != STATUS_OK) CHECK(fault.text != NULL);
    bool valid = s == STATUS_OK;
    if (valid || batch_parse(data, size, &info) == STATUS_OK) {
        walk(mem, data, &info, valid);
        search(mem, data, &info, valid);
    }
    CHECK(mem_used(mem, MEM_PRODUCE) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct mem *mem;
    if (mem == NULL) mem = mem_create(512u << 20);
    try(mem, data, size);
    if (size < BATCH_HEADER_BYTES) return 0;
    uint8_t *copy = malloc(size); /* exact, so that a read beyond it is seen */
    CHECK(copy != NULL);
    memcpy(copy, data, size);
    store_be32(copy + 8, (uint32_t)size - BATCH_LOG_OVERHEAD);
    store_be32(copy + 17, crc32c(0, copy + 21, size - 21));
    try(mem, copy, size);
    free(copy);
    return 0;
}

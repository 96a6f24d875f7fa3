// SPDX-License-Identifier: Apache-2.0
/* Any bytes as the records of a partition in a Fetch response, as the load generator reads them. Whatever a broker
 * sends, the scan ends, the offset never goes back, and the checker counts no more records than there can be. */
#include "base/check.h"
#include "tools/bench/fetched.h"
#include <stddef.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem *mem = mem_create(512u << 20);
    CHECK(mem != NULL);
    struct checker c;
    struct fetched f = {.partition = 5, .mem = mem};
    int64_t offset = 0;
    uint64_t records = 0;
    enum status s = fetched_scan(data, size, &offset, &records);
    CHECK(s == STATUS_OK || s == STATUS_CORRUPT_BATCH || s == STATUS_UNSUPPORTED_FORMAT);
    CHECK(offset >= 0);
    checker_init(&c, 0);
    fetched_check(&c, &f, data, size);
    CHECK(c.counts.records + c.counts.foreign <= records || s != STATUS_OK);
    CHECK(checker_good(&c.counts) == (c.fault[0] == '\0'));
    checker_deinit(&c);
    mem_destroy(mem);
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
/* Any bytes as a batch in a round of compaction: it is refused, or what is left of it is a sound batch at the same
 * offsets, of which a second round leaves the same. */
#include "base/check.h"
#include "storage/compact_batch.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void judge(struct compact_round *r, const struct batch_info *info, const uint8_t *data, size_t len)
{
    struct batch_info left;
    enum compact_outcome outcome;
    const uint8_t *again;
    size_t again_len;
    CHECK_OK(batch_parse(data, len, &left));
    CHECK(left.size_bytes == len && batch_crc_valid(data, &left));
    CHECK(left.base_offset == info->base_offset && left.last_offset_delta == info->last_offset_delta);
    CHECK(left.producer_id == info->producer_id && left.base_sequence == info->base_sequence);
    CHECK(left.record_count <= info->record_count);
    uint8_t *copy = malloc(len);
    CHECK(copy != NULL);
    memcpy(copy, data, len);
    CHECK_OK(compact_batch(r, copy, &left, &outcome, &again, &again_len));
    CHECK(outcome == COMPACT_WHOLE && again == copy);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem *mem = mem_create(256u << 20);
    struct producer_state none;
    struct compact_round r;
    struct batch_info info;
    enum compact_outcome outcome;
    const uint8_t *left;
    size_t len;
    bool full;
    struct key_map *map = key_map_create(mem, 16, 1);
    while (!key_map_clear(map)) continue;
    producer_state_init(&none, mem);
    compact_round_init(&r, mem, map, &none, 0);
    r.now_ms = 1700000000000;
    r.delete_retention_ms = 1000;
    if (batch_parse(data, size, &info) == STATUS_OK && info.base_offset >= 0 &&
        compact_learn(&r, data, &info, &full) == STATUS_OK &&
        compact_batch(&r, data, &info, &outcome, &left, &len) == STATUS_OK) {
        if (outcome == COMPACT_WHOLE) CHECK(left == data && len == info.size_bytes);
        if (outcome == COMPACT_THINNED) judge(&r, &info, left, len);
    }
    compact_round_deinit(&r);
    key_map_destroy(mem, map);
    mem_destroy(mem);
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
/* A checkpoint chunk of any bytes: its header, and its payload walked record by record, as it is and with the CRC of
 * the first record made right. What a record decodes to must lie inside the payload. */
#include "base/bytes.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "storage/table.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(const uint8_t *payload, size_t bytes)
{
    struct record r;
    for (size_t pos = 0; pos < bytes;) {
        size_t before = pos;
        enum status s = table_record_decode(payload, bytes, &pos, &r);
        if (s == STATUS_FORMAT) return;
        CHECK(pos > before && pos <= bytes);
        if (s != STATUS_OK) continue;
        CHECK(r.body >= payload && r.body + r.body_bytes <= payload + bytes);
        CHECK(r.drop || (r.number >= 0 && r.topic[0] != '\0'));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct chunk_header h;
    if (size < CHUNK_HEADER_BYTES) return 0;
    if (chunk_header_decode(data, &h) == STATUS_OK) CHECK(h.replay_from <= h.sequence + 1);
    size_t bytes = size - CHUNK_HEADER_BYTES;
    uint8_t *payload = malloc(bytes + (bytes == 0)); /* exact, so that a read beyond it is seen */
    CHECK(payload != NULL);
    memcpy(payload, data + CHUNK_HEADER_BYTES, bytes);
    walk(payload, bytes);
    if (bytes > RECORD_HEAD_BYTES) {
        uint32_t body = load_le32(payload);
        if (body <= bytes - RECORD_HEAD_BYTES) store_le32(payload + 4, crc32c(0, payload + RECORD_HEAD_BYTES, body));
        walk(payload, bytes);
    }
    free(payload);
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
/* A snapshot of the image from any bytes. Checksums would keep a fuzzer out, so a byte 1 in front has them set right
 * first. What is taken is a sound image, and its own bytes give the same image again. */
#include "base/bytes.h"
#include "base/check.h"
#include "replication/image.h"
#include "storage/sealed.h"
#include "tests/unit/record_gen.h"
#include <stdlib.h>

#define HEADER_BYTES       64u
#define FRAME_HEADER_BYTES 16u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void mend(uint8_t *bytes, size_t size)
{
    if (size < HEADER_BYTES) return;
    store_le32(bytes + SEALED_CRC_AT, sealed_crc(bytes, HEADER_BYTES));
    uint32_t number = 0;
    for (size_t at = HEADER_BYTES; at + FRAME_HEADER_BYTES <= size; number++) {
        uint32_t length = load_le32(bytes + at);
        if (length > size - at - FRAME_HEADER_BYTES) return;
        store_le32(bytes + at + 8, number);
        store_le32(bytes + at + 4, 0);
        store_le32(bytes + at + 4, crc32c(0, bytes + at, FRAME_HEADER_BYTES + length));
        at += FRAME_HEADER_BYTES + length;
    }
}

static enum status load(struct image *image, const uint8_t *bytes, size_t size, size_t piece)
{
    char error[256] = "";
    struct image_delta *d;
    struct image_reader *r = image_reader_create(image);
    enum status status = STATUS_OK;
    for (size_t at = 0; status == STATUS_OK && at < size; at += piece)
        status = image_reader_feed(r, bytes + at, MIN(piece, size - at), error);
    if (status == STATUS_OK) status = image_reader_finish(r, &d, error);
    if (status == STATUS_OK) {
        image_delta_release(image, d);
    } else {
        CHECK(error[0] != '\0');
        image_reader_destroy(r);
    }
    image_check(image);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > (1 << 20)) return 0;
    struct mem *mem = mem_create((uint64_t)16 << 30);
    struct image *image = image_create(mem), *copy = image_create(mem);
    uint8_t *bytes = malloc(size - 1);
    CHECK(bytes != NULL);
    memcpy(bytes, data + 1, size - 1);
    if (data[0] & 1) mend(bytes, size - 1);
    if (load(image, bytes, size - 1, 1 + data[0] / 2u * 7u) == STATUS_OK) {
        size_t once, twice;
        uint8_t *a = image_bytes(image, &once);
        CHECK_OK(load(copy, a, once, 5000));
        uint8_t *b = image_bytes(copy, &twice);
        CHECK(once == twice && memcmp(a, b, once) == 0);
        free(a);
        free(b);
    }
    free(bytes);
    image_destroy(image);
    image_destroy(copy);
    mem_destroy(mem);
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
/* A codec's reader on any bytes: never more than the cap, no memory left behind; and what it read can be compressed and
 * read back. */
#pragma once
#include "base/check.h"
#include "protocol/codec.h"
#include <stdlib.h>
#include <string.h>

#define FUZZ_CAP (1u << 20)

static inline enum status fuzz_read(struct mem *mem, enum codec codec, const uint8_t *data, size_t size, uint8_t *out,
                                    size_t *ret_len)
{
    struct codec_reader *r;
    enum status s = codec_reader_open(mem, codec, data, size, FUZZ_CAP, &r);
    if (s != STATUS_OK) return s;
    size_t made = 0, len = 0;
    const uint8_t *window;
    while ((s = codec_reader_next(r, &window, &len)) == STATUS_OK && len > 0) {
        CHECK(len <= FUZZ_CAP - made);
        memcpy(out + made, window, len);
        made += len;
    }
    codec_reader_close(r);
    CHECK(mem_used(mem, MEM_PRODUCE) == 0);
    *ret_len = made;
    return s;
}

static inline int codec_fuzz(enum codec codec, const uint8_t *data, size_t size)
{
    static struct mem *mem;
    static uint8_t out[FUZZ_CAP], again[FUZZ_CAP], packed[FUZZ_CAP * 2];
    if (mem == NULL) mem = mem_create(512u << 20);
    size_t len = 0, packed_len, again_len = 0;
    enum status s = fuzz_read(mem, codec, data, size, out, &len);
    CHECK(s == STATUS_OK || s == STATUS_CORRUPT_BATCH || s == STATUS_BATCH_TOO_LARGE || s == STATUS_NO_MEMORY);
    if (s != STATUS_OK) return 0;
    CHECK_OK(codec_compress(mem, codec, out, len, packed, sizeof packed, &packed_len));
    CHECK_OK(fuzz_read(mem, codec, packed, packed_len, again, &again_len));
    CHECK(again_len == len);
    CHECK(memcmp(out, again, len) == 0);
    return 0;
}

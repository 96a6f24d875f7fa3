// SPDX-License-Identifier: Apache-2.0
/* Writing and reading of record values (record.h). Failure modes: none; what is not ours or not whole is said. */
#include "tools/bench/record.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "base/prng.h"
#include <stdlib.h>

#define CRC_AT       36u
#define FEW_PATTERNS 64u
#define VARIED_BYTES (8u << 20) /* zstd's window at its largest usual level */

static const uint8_t magic[4] = {'L', 'B', 'v', '1'};

void record_head_write(uint8_t *value, const struct record_head *h, uint32_t fill_crc)
{
    memcpy(value, magic, sizeof magic);
    store_be64(value + 4, h->run);
    store_be32(value + 12, h->stream);
    store_be32(value + 16, h->partition);
    store_be64(value + 20, h->sequence);
    store_be64(value + 28, (uint64_t)h->intended_ns);
    store_be32(value + CRC_AT, crc32c(fill_crc, value, CRC_AT));
}

enum record_kind record_head_read(const uint8_t *value, size_t size, struct record_head *ret_head)
{
    if (size < RECORD_HEAD_BYTES || memcmp(value, magic, sizeof magic) != 0) return RECORD_FOREIGN;
    uint32_t crc = crc32c(0, value + RECORD_HEAD_BYTES, size - RECORD_HEAD_BYTES);
    if (crc32c(crc, value, CRC_AT) != load_be32(value + CRC_AT)) return RECORD_CORRUPT;
    *ret_head = (struct record_head){.run = load_be64(value + 4),
                                     .stream = load_be32(value + 12),
                                     .partition = load_be32(value + 16),
                                     .sequence = load_be64(value + 20),
                                     .intended_ns = (int64_t)load_be64(value + 28)};
    return RECORD_OURS;
}

/* ---- filling ---- */

static const char *const words[] = {
    "order",       "created", "updated", "customer", "warning", "request",   "finished", "timeout",    "payment",
    "accepted",    "the",     "of",      "and",      "in",      "with",      "from",     "level=info", "status=200",
    "user_id=",    "region",  "session", "started",  "offset",  "partition", "leader",   "replica",    "page",
    "latency_ms=", "GET",     "POST",    "/api/v1",  "items",   "0",         "1",        "42",         "1024"};

static void fill_text(uint8_t *at, uint32_t size, struct prng *random)
{
    while (size > 0) {
        const char *word = words[prng_below(random, COUNT_OF(words))];
        uint32_t n = MIN((uint32_t)strlen(word), size);
        memcpy(at, word, n);
        at += n;
        size -= n;
        if (size == 0) return;
        *at++ = ' ';
        size--;
    }
}

static void fill_random(uint8_t *at, uint32_t size, struct prng *random)
{
    for (uint32_t i = 0; i < size; i += 8) {
        uint64_t v = prng_next(random);
        memcpy(at + i, &v, MIN(8u, size - i));
    }
}

void patterns_make(struct patterns *p, uint32_t size, enum payload payload, bool varied)
{
    CHECK(size >= RECORD_HEAD_BYTES);
    struct prng random;
    prng_seed(&random, 1, payload);
    p->size = size;
    p->count = varied ? MAX(VARIED_BYTES / size, FEW_PATTERNS) : FEW_PATTERNS;
    p->bytes = calloc(p->count, size);
    p->crcs = calloc(p->count, sizeof *p->crcs);
    CHECK(p->bytes != NULL && p->crcs != NULL);
    for (uint32_t i = 0; i < p->count; i++) {
        uint8_t *fill = p->bytes + (size_t)i * size + RECORD_HEAD_BYTES;
        if (payload == PAYLOAD_TEXT)
            fill_text(fill, size - RECORD_HEAD_BYTES, &random);
        else
            fill_random(fill, size - RECORD_HEAD_BYTES, &random);
        p->crcs[i] = crc32c(0, fill, size - RECORD_HEAD_BYTES);
    }
}

void patterns_free(struct patterns *p)
{
    free(p->bytes);
    free(p->crcs);
    *p = (struct patterns){0};
}

const uint8_t *patterns_value(struct patterns *p, uint64_t number, const struct record_head *h)
{
    uint32_t i = (uint32_t)(number % p->count);
    uint8_t *value = p->bytes + (size_t)i * p->size;
    record_head_write(value, h, p->crcs[i]);
    return value;
}

// SPDX-License-Identifier: Apache-2.0
/* Values for the fields of generated messages (contract: fill.h). Path: the generated fill function of a message asks
 * for one value per field that the version has. Failure modes: none but an arena that is too small, which is a CHECK.
 */
#include "tests/unit/fill.h"
#include "base/check.h"
#include <string.h>

#define BLOB_MAX 40u

static bool by_chance(struct filler *f, uint32_t of)
{
    return f->mode == FILL_NULL || (f->mode == FILL_MIXED && prng_below(&f->prng, of) == 0);
}

bool fill_null(struct filler *f, bool nullable)
{
    return nullable && by_chance(f, 3);
}

bool fill_tagged(struct filler *f)
{
    return !by_chance(f, 2);
}

int32_t fill_count_of(struct filler *f, bool nullable)
{
    if (fill_null(f, nullable)) return -1;
    return by_chance(f, 4) ? 0 : 1 + (int32_t)prng_below(&f->prng, 2);
}

void *fill_array(struct filler *f, int32_t count, size_t element_size)
{
    if (count <= 0) return NULL;
    void *p = arena_zalloc(f->arena, (size_t)count * element_size);
    CHECK(p != NULL);
    return p;
}

/* Every byte in 1 .. 0x7e, the sign by chance: never 0, -1, a minimum or a maximum. */
static int64_t spread(struct filler *f, uint32_t width)
{
    int64_t v = 0;
    for (uint32_t i = 0; i < width; i++) v = v << 8 | (int64_t)(1 + prng_below(&f->prng, 0x7e));
    return prng_below(&f->prng, 2) == 0 ? v : -v - 1;
}

int8_t fill_int8(struct filler *f)
{
    return (int8_t)spread(f, 1);
}

int16_t fill_int16(struct filler *f)
{
    return (int16_t)spread(f, 2);
}

uint16_t fill_uint16(struct filler *f)
{
    return (uint16_t)spread(f, 2);
}

int32_t fill_int32(struct filler *f)
{
    return (int32_t)spread(f, 4);
}

int64_t fill_int64(struct filler *f)
{
    return spread(f, 8);
}

double fill_float64(struct filler *f)
{
    return (double)fill_int32(f) / 256;
}

struct uuid fill_uuid(struct filler *f)
{
    struct uuid v;
    for (size_t i = 0; i < sizeof v.b; i++) v.b[i] = (uint8_t)(1 + prng_below(&f->prng, 255));
    return v;
}

static uint8_t *blob(struct filler *f, int32_t *ret_len)
{
    uint32_t len = 1 + (uint32_t)prng_below(&f->prng, BLOB_MAX);
    uint8_t *p = fill_array(f, (int32_t)len, 1);
    for (uint32_t i = 0; i < len; i++) p[i] = (uint8_t)prng_below(&f->prng, 256);
    *ret_len = (int32_t)len;
    return p;
}

struct str fill_string(struct filler *f, bool nullable)
{
    if (fill_null(f, nullable)) return STR_NULL;
    struct str v;
    v.data = (const char *)blob(f, &v.len);
    return v;
}

struct bytes fill_bytes(struct filler *f, bool nullable)
{
    if (fill_null(f, nullable)) return BYTES_NULL;
    struct bytes v;
    v.data = blob(f, &v.len);
    return v;
}

struct records fill_records(struct filler *f, bool nullable)
{
    if (fill_null(f, nullable)) return (struct records){.len = -1};
    struct records v = {0};
    v.data = blob(f, &v.len);
    return v;
}

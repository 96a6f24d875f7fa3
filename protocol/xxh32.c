// SPDX-License-Identifier: Apache-2.0
/* XXH32: 16-byte stripes into four lanes, the rest by words and bytes at the end. Cannot fail. */
#include "protocol/xxh32.h"
#include "base/bytes.h"

#define STRIPE_BYTES 16
static const uint32_t prime1 = 2654435761u, prime2 = 2246822519u, prime3 = 3266489917u, prime4 = 668265263u,
                      prime5 = 374761393u;

static uint32_t rotate(uint32_t v, unsigned bits)
{
    return v << bits | v >> (32 - bits);
}

static void stripe_add(struct xxh32 *x, const uint8_t *p)
{
    for (unsigned i = 0; i < 4; i++) x->lane[i] = rotate(x->lane[i] + load_le32(p + 4 * i) * prime2, 13) * prime1;
}

void xxh32_init(struct xxh32 *x, uint32_t seed)
{
    *x = (struct xxh32){.seed = seed, .lane = {seed + prime1 + prime2, seed + prime2, seed, seed - prime1}};
}

void xxh32_add(struct xxh32 *x, const void *data, size_t len)
{
    const uint8_t *p = data;
    x->total_bytes += len;
    while (len > 0) {
        if (x->kept_bytes == 0 && len >= STRIPE_BYTES) {
            stripe_add(x, p);
            p += STRIPE_BYTES;
            len -= STRIPE_BYTES;
            continue;
        }
        size_t n = MIN(len, (size_t)STRIPE_BYTES - x->kept_bytes);
        memcpy(x->kept + x->kept_bytes, p, n);
        x->kept_bytes += (uint32_t)n;
        p += n;
        len -= n;
        if (x->kept_bytes == STRIPE_BYTES) {
            stripe_add(x, x->kept);
            x->kept_bytes = 0;
        }
    }
}

uint32_t xxh32_value(const struct xxh32 *x)
{
    uint32_t v = x->seed + prime5;
    if (x->total_bytes >= STRIPE_BYTES)
        v = rotate(x->lane[0], 1) + rotate(x->lane[1], 7) + rotate(x->lane[2], 12) + rotate(x->lane[3], 18);
    v += (uint32_t)x->total_bytes;
    uint32_t i = 0;
    for (; i + 4 <= x->kept_bytes; i += 4) v = rotate(v + load_le32(x->kept + i) * prime3, 17) * prime4;
    for (; i < x->kept_bytes; i++) v = rotate(v + x->kept[i] * prime5, 11) * prime1;
    v = (v ^ v >> 15) * prime2;
    v = (v ^ v >> 13) * prime3;
    return v ^ v >> 16;
}

uint32_t xxh32(const void *data, size_t len, uint32_t seed)
{
    struct xxh32 x;
    xxh32_init(&x, seed);
    xxh32_add(&x, data, len);
    return xxh32_value(&x);
}

// SPDX-License-Identifier: Apache-2.0
/* Fixed-width integers at any address. Disk formats of ours are little-endian (le), Kafka's wire and record batches are
 * big-endian (be). Plus the few alignment helpers that storage needs. */
#pragma once
#include <assert.h>
#include <endian.h>
#include <stdint.h>
#include <string.h>

#define BYTES_DEFINE(bits, order)                                                                                      \
    static inline uint##bits##_t load_##order##bits(const void *p)                                                     \
    {                                                                                                                  \
        uint##bits##_t v;                                                                                              \
        memcpy(&v, p, sizeof v);                                                                                       \
        return order##bits##toh(v);                                                                                    \
    }                                                                                                                  \
    static inline void store_##order##bits(void *p, uint##bits##_t v)                                                  \
    {                                                                                                                  \
        v = hto##order##bits(v);                                                                                       \
        memcpy(p, &v, sizeof v);                                                                                       \
    }
BYTES_DEFINE(16, be)
BYTES_DEFINE(32, be)
BYTES_DEFINE(64, be)
BYTES_DEFINE(16, le)
BYTES_DEFINE(32, le)
BYTES_DEFINE(64, le)
#undef BYTES_DEFINE

/* align: a power of two */
static inline uint64_t align_up(uint64_t v, uint64_t align)
{
    return (v + align - 1) & ~(align - 1);
}

static inline uint64_t align_down(uint64_t v, uint64_t align)
{
    return v & ~(align - 1);
}

#define MIN(a, b)       ((a) < (b) ? (a) : (b))
#define MAX(a, b)       ((a) > (b) ? (a) : (b))
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

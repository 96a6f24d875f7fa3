// SPDX-License-Identifier: Apache-2.0
/* CRC-32C: long inputs by ISA-L (three streams or carry-less multiply, chosen by CPU at run time), short ones by the
 * CPU's instruction at once, as the call and its set-up cost more than they win. No failure modes. */
#include "base/crc32c.h"
#include <isa-l/crc.h>
#include <limits.h>
#include <string.h>
#if defined(__SSE4_2__)
#include <nmmintrin.h>
#endif

enum { SHORT_BYTES = 256, PIECE_BYTES = 1 << 30 }; /* ISA-L takes an int */

#if defined(__SSE4_2__)
static uint32_t crc_short(uint32_t state, const uint8_t *p, size_t n)
{
    uint64_t s = state;
    for (; n >= 8; p += 8, n -= 8) {
        uint64_t v;
        memcpy(&v, p, sizeof v);
        s = _mm_crc32_u64(s, v);
    }
    state = (uint32_t)s;
    for (; n > 0; p++, n--) state = _mm_crc32_u8(state, *p);
    return state;
}
#endif

uint32_t crc32c(uint32_t crc, const void *p, size_t n)
{
    const uint8_t *at = p;
    uint32_t state = ~crc;
#if defined(__SSE4_2__)
    if (n < SHORT_BYTES) return ~crc_short(state, at, n);
#endif
    while (n > 0) {
        size_t piece = n < PIECE_BYTES ? n : PIECE_BYTES;
        /* The library only reads; its prototype lacks the const. */
        state = crc32_iscsi((unsigned char *)(uintptr_t)at, (int)piece, state);
        at += piece;
        n -= piece;
    }
    return ~state;
}

// SPDX-License-Identifier: Apache-2.0
/* MurmurHash2 (contract: partitioner.h): four bytes at a time, little-endian, then the rest, then a final mix. */
#include "clients/c/partitioner.h"

#include "base/bytes.h"
#include "base/check.h"

#define SEED  0x9747b28cu
#define MIX   0x5bd1e995u
#define SHIFT 24

uint32_t murmur2(const void *data, size_t len)
{
    const uint8_t *p = data;
    uint32_t hash = SEED ^ (uint32_t)len;
    for (; len >= 4; p += 4, len -= 4) {
        uint32_t k = load_le32(p) * MIX;
        k = (k ^ k >> SHIFT) * MIX;
        hash = hash * MIX ^ k;
    }
    for (size_t i = len; i > 0; i--) hash ^= (uint32_t)p[i - 1] << (8 * (i - 1));
    if (len > 0) hash *= MIX;
    hash = (hash ^ hash >> 13) * MIX;
    return hash ^ hash >> 15;
}

int32_t partition_of_key(const void *key, size_t len, int32_t partitions)
{
    CHECK(partitions > 0);
    return (int32_t)(murmur2(key, len) & 0x7fffffffu) % partitions;
}

// SPDX-License-Identifier: Apache-2.0
/* XXH32, the checksum of the lz4 frame format; from the public specification, version 0.1.1. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct xxh32 {
    uint32_t seed, lane[4];
    uint64_t total_bytes;
    uint32_t kept_bytes; /* in kept: input that does not fill a stripe yet */
    uint8_t kept[16];
};

void xxh32_init(struct xxh32 *x, uint32_t seed);
void xxh32_add(struct xxh32 *x, const void *data, size_t len);
uint32_t xxh32_value(const struct xxh32 *x); /* of all added so far; adding may go on */

uint32_t xxh32(const void *data, size_t len, uint32_t seed);

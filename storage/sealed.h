// SPDX-License-Identifier: Apache-2.0
/* The checksum that every page and header of ours on disk carries at byte 12: CRC-32C of all its bytes, that field as
 * 0. */
#pragma once
#include "base/crc32c.h"

#define SEALED_CRC_AT 12u

static inline uint32_t sealed_crc(const uint8_t *bytes, size_t size)
{
    static const uint8_t zero[4];
    uint32_t crc = crc32c(crc32c(0, bytes, SEALED_CRC_AT), zero, sizeof zero);
    return crc32c(crc, bytes + SEALED_CRC_AT + sizeof zero, size - SEALED_CRC_AT - sizeof zero);
}

// SPDX-License-Identifier: Apache-2.0
/* CRC-32C (Castagnoli), as record batches and our own formats carry it.
 * crc32c(0, "123456789", 9) == 0xe3069283; crc32c(crc32c(0, a), b) == crc32c(0, a then b). */
#pragma once
#include <stddef.h>
#include <stdint.h>

uint32_t crc32c(uint32_t crc, const void *p, size_t n); /* n 0: crc unchanged, p not read */

// SPDX-License-Identifier: Apache-2.0
/* Which partition a key belongs to. As Apache Kafka's Java producer chooses: MurmurHash2 (Austin Appleby, public
 * domain), 32 bits, seed 0x9747b28c, sign bit cleared, modulo the number of partitions. So records of one key stay
 * together whichever client writes them. Pure. */
#pragma once
#include <stddef.h>
#include <stdint.h>

uint32_t murmur2(const void *data, size_t len);
int32_t partition_of_key(const void *key, size_t len, int32_t partitions);

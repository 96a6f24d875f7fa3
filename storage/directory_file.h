// SPDX-License-Identifier: Apache-2.0
/* leat.directory: the file that makes a directory a log directory of Leat. One page, little-endian, format version 1:
 * 0 u64 magic "LEATDIRY", 8 u32 version, 12 u32 CRC of the page (this field as 0), 16 u8[16] directory id,
 * 32 u32 journals: shards that have one here, or will have, 36 u32 made: journals below that number are there for sure;
 * one that misses is damage. */
#pragma once
#include "storage/journal_format.h"

#define DIRECTORY_MAGIC   0x595249445441454cull /* "LEATDIRY" */
#define DIRECTORY_VERSION 1u

struct directory_file {
    struct journal_id id;
    uint32_t journals, made;
};

void directory_file_encode(uint8_t out[BLOCK_BYTES], const struct directory_file *d);
/* OK; FORMAT (*ret_version: a newer one, or 0 if not ours); DAMAGED. */
enum status directory_file_decode(const uint8_t in[BLOCK_BYTES], struct directory_file *ret_file,
                                  uint32_t *ret_version) MUST_CHECK;

// SPDX-License-Identifier: Apache-2.0
/* The control file of a journal: what must be durable before the ring may be used: identity, the ring's files in order,
 * and the incarnation. Two 4 KiB pages written in turn (page number % 2); the valid one with the higher number counts.
 * Format version 3, little-endian; docs/formats/journal.md.
 *
 *   0 u64 magic "LEATCTRL"   8 u32 format version   12 u32 CRC of the page (this field as 0)
 *  16 u8[16] journal id     32 u64 page number      40 u64 incarnation
 *  48 u64 accepted end: last sequence that recovery accepted when this incarnation began
 *  56 u32 shard the journal was made for            60 u32 file count
 *  64 u8[16] directory id   80 u64 broker epoch noted (0 until there is a cluster)
 *  88 u32 file number to use for the next new file  92 u32 flags: bit 0 clean stop
 * 128 file count x { u32 file number, u32 0, u64 bytes } in ring order */
#pragma once
#include "storage/journal_format.h"

#define CONTROL_MAGIC   0x4c5254435441454cull /* "LEATCTRL" */
#define CONTROL_VERSION 3u                    /* of the journal as a whole: that of its groups, too */
#define RING_FILES_MAX  240u
#define CONTROL_CLEAN   1u

struct ring_file {
    uint32_t number; /* its name: ring-NNNNNN */
    uint64_t bytes;
};

struct control {
    struct journal_id journal, directory;
    uint64_t page, incarnation, accepted_end, broker_epoch;
    uint32_t shard, next_file, flags, file_count;
    struct ring_file files[RING_FILES_MAX];
};

void control_encode(uint8_t out[BLOCK_BYTES], const struct control *c);
/* OK, FORMAT (foreign or newer version: *ret_version says which, 0 if not ours at all), DAMAGED. */
enum status control_decode(const uint8_t in[BLOCK_BYTES], struct control *ret_control,
                           uint32_t *ret_version) MUST_CHECK;

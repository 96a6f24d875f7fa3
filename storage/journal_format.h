// SPDX-License-Identifier: Apache-2.0
/* Bytes of the journal: block groups (one commit each) and the entries in them. Pure: no I/O. Format version 3.
 *
 * All integers little-endian. A group starts on a 4 KiB boundary, is a multiple of 4 KiB long and never crosses two
 * ring files. Layout: header (128 bytes), proofs, entries, zero padding. docs/formats/journal.md tells the same for
 * others.
 *
 *   group header                                entry header (48 bytes)            proof (40 bytes)
 *     0 u64 magic "LEATJRNL"                      0 u8  kind (0: one pad byte)        0 u8[16] topic id
 *     8 u32 format version                        1 u8  log (0 data, 1 state)        16 i32 partition
 *    12 u32 header CRC (this field as 0)          2 u16 flags (0)                    20 u32 log (0 data, 1 state)
 *    16 u8[16] journal id                         4 u32 payload bytes                24 i64 log end
 *    32 u64 incarnation                           8 u8[16] topic id                  32 i64 high watermark
 *    40 u64 sequence                             24 i32 partition
 *    48 u64 durable up to (sequence)             28 i32 leader epoch
 *    56 u32 length, multiple of 4096             32 i64 offset (by kind)
 *    60 u32 proof count                          40 u64 aux (by kind)
 *    64 u32 body CRC: bytes 128..length          48 payload
 *    68 u32 chain: header CRC of the group before
 *    72 u32 entry count
 *    76 u32 reserved 0
 *    80 i64 wall clock, ms
 *    88 u64 reserved 0 ... up to 128
 *
 * Why a header CRC of its own: recovery looks for witnesses in the whole ring and must not read a body to tell a header
 * from data; a record can contain a forged header, hence the random 128-bit journal id (rule D3). Why proofs: each
 * group repeats (partition, end) of the group before, so one damaged group names its victims (rule A8). */
#pragma once
#include "base/status.h"
#include "storage/types.h"
#include <stddef.h>

#define GROUP_MAGIC        0x4c4e524a5441454cull /* "LEATJRNL" */
#define GROUP_VERSION      3u
#define GROUP_HEADER_BYTES 128u
#define PROOF_BYTES        40u
#define ENTRY_HEADER_BYTES 48u

struct journal_id {
    uint8_t b[16];
};

struct group_header {
    struct journal_id journal;
    uint64_t incarnation, sequence, durable_upto;
    uint32_t length, proof_count, body_crc, chain, entry_count;
    int64_t wall_ms;
    uint32_t header_crc; /* what the next group's chain must be */
};

enum entry_kind {
    ENTRY_PAD = 0,
    ENTRY_CREATE = 1,    /* aux: creation sequence; payload: u64 home number, topic name */
    ENTRY_DELETE = 2,    /* aux: creation sequence; payload: u8 enum store_folder, absent: trash */
    ENTRY_APPEND = 3,    /* offset: base offset; payload: one record batch as it goes to the segment */
    ENTRY_TRUNCATE = 4,  /* offset: new end; payload: struct of truncate_payload, then bytes */
    ENTRY_LOG_START = 5, /* offset: new log start */
    ENTRY_EPOCH = 6,     /* epoch starts at offset */
    ENTRY_ROLL = 7,      /* offset: base of the new segment; aux: length of the closed one */
    ENTRY_ACCEPT = 8,    /* an operator accepts the damaged range: offset: from, aux: to */
    ENTRY_EXPIRE = 9,    /* producers older than aux (ms) are forgotten; offset: the high watermark then */
    ENTRY_SWAP = 10,     /* compacted: segments from base `offset` on -> one file of `aux` bytes; payload: the swap */
    ENTRY_KIND_COUNT
};

#define DELETE_PAYLOAD_BYTES 1u

struct entry {
    uint8_t kind, log;
    uint32_t payload_bytes;
    struct topic_id topic;
    int32_t partition, epoch;
    int64_t offset;
    uint64_t aux;
    const uint8_t *payload; /* decode: inside the group */
};

struct proof {
    struct topic_id topic;
    int32_t partition;
    uint32_t log;
    int64_t end, high_watermark;
};

void group_header_encode(uint8_t out[GROUP_HEADER_BYTES], struct group_header *h); /* sets h->header_crc */
/* OK; FORMAT: not a header of a journal (magic, version); DAMAGED: its CRC or lengths are wrong. */
enum status group_header_decode(const uint8_t in[GROUP_HEADER_BYTES], struct group_header *ret_header) MUST_CHECK;

void entry_header_encode(uint8_t out[ENTRY_HEADER_BYTES], const struct entry *e);
void proof_encode(uint8_t out[PROOF_BYTES], const struct proof *p);
void proof_decode(const uint8_t in[PROOF_BYTES], struct proof *ret_proof);

/* Walks a group's body (its body CRC checked before). */
struct group_reader {
    const uint8_t *data; /* the whole group */
    uint32_t length, pos, proofs_left, entries_left;
};
void group_reader_init(struct group_reader *r, const uint8_t *group, const struct group_header *h);
/* The i-th proof, i < h->proof_count. */
void group_reader_proof(const struct group_reader *r, uint32_t i, struct proof *ret_proof);
/* OK, OFFSET_OUT_OF_RANGE at the end (not an error), DAMAGED when the bytes make no sense. */
enum status group_reader_next(struct group_reader *r, struct entry *ret_entry) MUST_CHECK;

/* Payload of ENTRY_TRUNCATE: where the log is cut, and what makes the cut redoable without reading a segment file: the
 * bytes from the start of the cut's 64 KiB index block (rule A2 asks for the 4 KiB block only; with the whole index
 * block its running checksum begins anew), and the state of the index below it. A cut in unmoved bytes carries neither.
 *   0 u64 log position of the new end          8 u64 log position of the carried bytes; they reach to the new end
 *  16 i64 base offset of the segment of both  24 u32 index bytes  28 u32 bytes of the first carried batch's rest: those
 *  before the first batch that begins in the carried bytes
 *  32 index state, then the carried bytes */
#define TRUNCATE_PAYLOAD_BYTES 32u
struct truncate_payload {
    uint64_t end_pos, carry_pos;
    int64_t segment_base;
    uint32_t index_bytes, fragment_bytes;
};
void truncate_payload_encode(uint8_t out[TRUNCATE_PAYLOAD_BYTES], const struct truncate_payload *p);
/* DAMAGED when the lengths do not add up to `bytes`, the payload's length. */
enum status truncate_payload_decode(const uint8_t *in, uint32_t bytes, struct truncate_payload *ret_payload) MUST_CHECK;

/* Payload of ENTRY_SWAP:
 *   0 u32 how many segments go       4 u32 generation of the file that takes their place
 *   8 i64 base of the segment behind them
 *  16 i64 newest time in the file   24 i64 time of its first batch
 *  32 i64 clean end: where the round of compaction ended that this is the last swap of; -1: it goes on */
#define SWAP_PAYLOAD_BYTES 40u
struct swap_payload {
    uint32_t count, generation;
    int64_t end_base, newest_ms, oldest_ms, clean_end;
};
void swap_payload_encode(uint8_t out[SWAP_PAYLOAD_BYTES], const struct swap_payload *p);
/* DAMAGED when `bytes` is another length, or a number is one that no swap has. */
enum status swap_payload_decode(const uint8_t *in, uint32_t bytes, struct swap_payload *ret_payload) MUST_CHECK;

// SPDX-License-Identifier: Apache-2.0
/* Bytes of the checkpoint table: a base chunk (all partitions) and delta chunks (those touched since), appended to one
 * of two files in turn (generation % 2). Pure. Format version 4, little-endian; docs/formats/checkpoint.md.
 *
 *   chunk header (128 bytes; a chunk starts on a 4 KiB boundary)      record
 *     0 u64 magic "LEATTABL"    8 u32 version   12 u32 header CRC       0 u32 body bytes   4 u32 CRC of the body
 *    16 u8[16] journal id      32 u64 generation                       8 body: see table.c
 *    40 u32 chunk number in it (0: base)        44 u32 record count
 *    48 u64 sequence: the table stands for exactly this one (rule A1)
 *    56 u64 replay from (sequence)              64 u64 position of that group in its ring file
 *    72 u32 number of that ring file            76 u32 payload CRC
 *    80 u64 payload bytes                       88 u64 last creation sequence given
 *    96 u32 CRC of the chunk before's header (0 for the base)   100..127 zero
 *
 * A record is found damaged alone: its own CRC is checked, and the others are used (rule A11). */
#pragma once
#include "storage/partition.h"

#define TABLE_MAGIC        0x4c4241545441454cull /* "LEATTABL" */
#define TABLE_VERSION      4u
#define TABLE_FIRST_BYTES  (1u << 20) /* of a new table file: zeros */
#define CHUNK_HEADER_BYTES 128u
#define RECORD_HEAD_BYTES  8u

struct chunk_header {
    struct journal_id journal;
    uint64_t generation, sequence, replay_from, replay_pos, payload_bytes, creations;
    uint32_t number, records, replay_file, payload_crc, chain, header_crc;
};

void chunk_header_encode(uint8_t out[CHUNK_HEADER_BYTES], struct chunk_header *h); /* sets h->header_crc */
/* FORMAT: not a chunk of this version; DAMAGED. */
enum status chunk_header_decode(const uint8_t in[CHUNK_HEADER_BYTES], struct chunk_header *ret_header) MUST_CHECK;
/* The version of a sound header that another version of ours wrote; 0: it is none. */
uint32_t chunk_other_version(const uint8_t in[CHUNK_HEADER_BYTES]);

/* Growing bytes in struct mem; sticky failure when memory runs out. */
struct out {
    struct mem *mem;
    uint8_t *data;
    size_t len, capacity;
    bool failed;
};
void out_init(struct out *o, struct mem *m);
void out_free(struct out *o);
uint8_t *out_take(struct out *o, size_t bytes); /* NULL when failed */

/* How far a record carries the log's bytes: [moved_pos, end), so that the ring need not hold them. */
uint64_t table_carry_end(const struct partition *p);
/* The state of p as it is now. Of its producers all, or what changed since its last record in this file. */
void table_record(struct out *o, const struct partition *p, enum producer_encoding producers);
/* p is not in this journal any more (deleted or re-homed with that home number). */
void table_record_drop(struct out *o, struct topic_id id, int32_t number, uint64_t home);

struct record {         /* decoded head of a record; what follows is in body */
    bool drop, changes; /* changes: of producers only those that differ from the partition's record before */
    struct topic_id id;
    int32_t number;
    uint64_t home;
    char topic[TOPIC_NAME_MAX + 1];
    const uint8_t *body;
    size_t body_bytes;
};
/* The record at *pos of the payload; moves *pos behind it. OK; DAMAGED: this record's CRC or content (*pos moved, the
 * id is filled as far as readable); FORMAT: the payload cannot be walked on. */
enum status table_record_decode(const uint8_t *payload, size_t bytes, size_t *pos,
                                struct record *ret_record) MUST_CHECK;
/* What a record says, for tools; the pointers go into its body. The record is one that table_record_decode took, and
 * no drop. */
struct record_parts {
    int64_t log_start, log_end, high_watermark, damaged_from, damaged_to;
    uint64_t end_pos, moved_pos;
    int32_t epoch;
    uint32_t segment_count, carried_bytes, epoch_bytes, producer_bytes;
    const uint8_t *segments, *epochs, *producers;
};
void table_record_parts(const struct record *r, struct record_parts *ret_parts);
/* Segment i of them; newest_ms as in struct segment. */
void table_record_segment(const struct record_parts *p, uint32_t i, struct segment *ret_segment);

/* Fills a fresh partition of that id from the record: state as of the table, refs for what it carries, end_pos at
 * the end of the carried bytes; ret_resume says where the replay of its bytes goes on. Where rec->changes is set
 * p->producers is the state of the record before. */
enum status table_record_load(const struct record *r, struct partition *p, struct resume *ret_resume) MUST_CHECK;
/* The same for a record that holds all there is, without a journal behind it: p is as durable as the record. DAMAGED
 * where something is missing. */
enum status table_record_take(const struct record *r, struct partition *p) MUST_CHECK;

// SPDX-License-Identifier: Apache-2.0
/* The compression types of record batches: none, gzip, snappy, lz4, zstd.
 *
 * Decompression is a pull reader that gives one window after the other and never more than the caller's cap in all, so
 * that a small hostile input can use up neither memory nor time. Memory: struct mem, class MEM_PRODUCE. What the input
 * declares (sizes, windows, block sizes) is checked against what its bytes can yield, never trusted:
 *   gzip   one member (RFC 1952); 32 KiB window
 *   snappy one raw block, or blocks framed as snappy-java does (8-byte magic, two versions, length-prefixed blocks);
 * one block at a time in memory, at most 22 times its compressed bytes (the format's largest ratio) lz4    one frame of
 * the lz4 frame format 1.6 with independent blocks, at most 4 MiB each, all checksums verified; linked blocks and
 * dictionaries are refused, as Kafka's clients cannot read them zstd   one frame (RFC 8878), window of at most
 * CODEC_ZSTD_WINDOW_MAX Bytes after the end of the frame or member are refused. */
#pragma once
#include "base/mem.h"
#include "base/status.h"

enum codec { CODEC_NONE, CODEC_GZIP, CODEC_SNAPPY, CODEC_LZ4, CODEC_ZSTD, CODEC_COUNT };

#define CODEC_ZSTD_WINDOW_MAX (8u << 20) /* what RFC 8878 asks every decoder to support; levels up to 19 stay below */

const char *codec_name(enum codec c); /* as in Kafka's compression.type: "none", "gzip", ... */

struct codec_reader;

/* data: borrowed until codec_reader_close. STATUS_NO_MEMORY; UNSUPPORTED_CODEC for numbers that are not in the enum. */
enum status MUST_CHECK codec_reader_open(struct mem *mem, enum codec codec, const void *data, size_t len,
                                         uint64_t output_cap_bytes, struct codec_reader **ret_reader);

/* The next window; its bytes stay until the next call. Length 0: the end, and the input was complete and sound to its
 * last byte. CORRUPT_BATCH: not; BATCH_TOO_LARGE: above the cap; NO_MEMORY. After a failure only close. */
enum status MUST_CHECK codec_reader_next(struct codec_reader *r, const uint8_t **ret_data, size_t *ret_len);

void codec_reader_close(struct codec_reader *r); /* r may be NULL */

/* Bytes that codec_compress may need for len bytes of input. */
size_t codec_bound(enum codec codec, size_t len);

/* Compresses all of src into dst (capacity >= codec_bound(codec, len), CHECKed). Work memory from mem: NO_MEMORY.
 * snappy is written framed, as Kafka's Java clients do. */
enum status MUST_CHECK codec_compress(struct mem *mem, enum codec codec, const void *src, size_t len, void *dst,
                                      size_t capacity, size_t *ret_len);

// SPDX-License-Identifier: Apache-2.0
/* The value of a record that the generator sends: a head that says which record it is, then filling.
 *
 *   byte 0   4  "LBv1"
 *        4   8  run: random number of the run that wrote it
 *       12   4  stream: records of one stream have one writer and go to one partition
 *       16   4  partition, counted over all topics of the run
 *       20   8  sequence: 0, 1, 2 ... in its stream
 *       28   8  intended: when it should have been sent, ns of the monotonic clock of that machine
 *       36   4  CRC-32C of the filling, then of bytes 0 to 35; big-endian as all above
 *       40      filling, may be empty
 *
 * The filling comes first in the CRC, so that a writer adds 36 bytes to a sum it has kept. Nothing here waits. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RECORD_HEAD_BYTES 40u

struct record_head {
    uint64_t run;
    uint32_t stream, partition;
    uint64_t sequence;
    int64_t intended_ns;
};

enum record_kind {
    RECORD_OURS,
    RECORD_FOREIGN, /* no value of this layout: shorter than a head or other first bytes */
    RECORD_CORRUPT  /* ours, but the CRC is wrong */
};

/* value: room for at least a head; fill_crc: of the filling behind it. */
void record_head_write(uint8_t *value, const struct record_head *h, uint32_t fill_crc);
/* ret_head is written for RECORD_OURS only. */
enum record_kind record_head_read(const uint8_t *value, size_t size, struct record_head *ret_head);

/* Values with filling, made once and used in turn. */
enum payload { PAYLOAD_RANDOM, PAYLOAD_TEXT }; /* incompressible bytes; words, which lz4 makes 2 to 3 times smaller */

struct patterns {
    uint8_t *bytes; /* count values of size bytes, heads empty */
    uint32_t *crcs; /* of the fillings */
    uint32_t count, size;
};

/* varied: so many that no compression window sees one twice (8 MiB in all); otherwise few that stay in the CPU's
 * cache. The same bytes in each run. */
void patterns_make(struct patterns *p, uint32_t size, enum payload payload, bool varied);
void patterns_free(struct patterns *p);
/* The value number `number`, its head written; valid until the next call. */
const uint8_t *patterns_value(struct patterns *p, uint64_t number, const struct record_head *h);

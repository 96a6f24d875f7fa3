// SPDX-License-Identifier: Apache-2.0
/* Is what was read what was written? The checker sees each record of a run once per read, in the order of its
 * partition, and knows: each stream has one writer, goes to one partition, and counts 0, 1, 2 ... without holes.
 *
 *   lost      a number that never came
 *   doubled   a number that came again
 *   reordered a number that came after a greater one
 *   corrupt   bytes that changed: a CRC that is wrong, a batch that cannot be read
 *   misplaced a stream in a partition that is not its own, or an offset that did not rise
 *   foreign   no record of this run; counted, no fault by itself
 *
 * Pure: no I/O, no clock; memory grows with the streams seen. */
#pragma once
#include "tools/bench/record.h"

#define CHECKER_STREAMS_MAX (1u << 20)
#define CHECKER_GAPS        16u /* missing ranges remembered per stream; a record of a forgotten one counts as doubled */

struct checker_gap {
    uint64_t from, to;
};

struct checker_stream {
    uint64_t next; /* expected */
    uint64_t records;
    struct checker_gap *gaps;
    uint32_t gap_count;
    uint32_t partition;
    bool seen;
};

struct checker_counts {
    uint64_t records, lost, doubled, reordered, corrupt, misplaced, foreign;
};

struct checker {
    uint64_t run;
    bool run_known; /* otherwise the first record that is ours says it */
    struct checker_stream *streams;
    uint32_t stream_count;
    struct checker_counts counts;
    char fault[160]; /* the first one, in words; empty: none */
};

/* run 0: not known. */
void checker_init(struct checker *c, uint64_t run);
void checker_deinit(struct checker *c);

/* One record. from_middle: the partition did not begin at its offset 0 (trimmed, or read from its end), so that a
 * stream's first number may be any. ret_head is written when the answer is true: a record of this run. */
bool checker_record(struct checker *c, uint32_t partition, int64_t offset, bool from_middle, const uint8_t *value,
                    size_t size, struct record_head *ret_head);
/* A batch that is bad as a whole. */
void checker_corrupt(struct checker *c, uint32_t partition, int64_t offset, const char *what);
/* An offset that did not rise. */
void checker_offset(struct checker *c, uint32_t partition, int64_t offset, int64_t before);
/* At the end: `written` records of the stream were acknowledged; those from the expected one on are lost. */
void checker_end(struct checker *c, uint32_t stream, uint64_t written);
bool checker_good(const struct checker_counts *c);
void checker_merge(struct checker_counts *into, const struct checker_counts *from);

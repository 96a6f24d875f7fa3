// SPDX-License-Identifier: Apache-2.0
/* Where a time is in a log: the rules of ListOffsets by timestamp, without I/O. Pure; lookup.c brings what they ask
 * for.
 *
 *   first     the first record in offset order with time >= from_ms
 *   largest   the first record, in offset order, with the largest time of all
 *
 * Only records in [from, to) count: log start and high watermark as of the question. The log is seen as segments of
 * granules: an index block, or one batch in memory. Of a segment and of a granule an upper bound of its times is known
 * without reading it; a bound may be too high (a cut, a batch that reaches out of [from, to)), never too low. So:
 *
 *   while time_search_segment: of that segment, in passes,
 *       each granule in offset order to time_search_granule, until time_search_pass_over;
 *       while time_search_pick: read [at, end), each batch to time_search_wants, its answer to time_search_found;
 *           time_search_read; another pass
 *
 * Both orders of the passes are finite: `first` moves `from` up, `largest` takes segments and granules in the order of
 * (bound descending, offset ascending) and leaves out what cannot beat the best one found. */
#pragma once
#include "protocol/batch_time.h"
#include "storage/partition.h"

struct granule {
    int64_t first_offset; /* it reaches to the next one's */
    int64_t max_ms;       /* no record in it has a larger time */
};

struct time_search {
    bool largest;
    int64_t from_ms, from, to;
    bool found;
    struct batch_time best;
    int32_t epoch; /* leader epoch of its batch */
    /* the segment being looked at */
    int64_t active_base, active_ms; /* the last segment's bound as of the question: it may rise meanwhile */
    int64_t segment_base, segment_ms;
    bool in_segment, segment_over;
    /* the pass */
    bool has_key; /* granules up to (key_ms, key_offset) were read */
    int64_t key_ms, key_offset;
    bool has_last, picked;
    struct granule last, pick; /* last: its end is not known yet */
    int64_t pick_end;
};

void time_search_init(struct time_search *s, bool largest, int64_t from_ms, int64_t from, int64_t to,
                      const struct segment *active);
/* The next segment to look at, by its place in `segments` (count > 0, in offset order). False: the search is over. */
bool time_search_segment(struct time_search *s, const struct segment *segments, uint32_t count, uint32_t *ret_i);
void time_search_pass(struct time_search *s); /* from the segment's beginning */
void time_search_granule(struct time_search *s, const struct granule *g);
bool time_search_pass_over(const struct time_search *s); /* no later granule changes the pick */
/* All granules were told; the segment ends at offset `end`. True: read [*ret_at, *ret_end). False: nothing more here.
 */
bool time_search_pick(struct time_search *s, int64_t end, int64_t *ret_at, int64_t *ret_end);
/* Must this batch be searched? Then *ret_query says for what. */
bool time_search_wants(const struct time_search *s, const struct batch_info *b, struct batch_time_query *ret_query);
void time_search_found(struct time_search *s, const struct batch_time *t, int32_t epoch);
bool time_search_over(const struct time_search *s); /* nothing can beat what was found */
void time_search_read(struct time_search *s);       /* all of the pick was read */
/* Granules became others (bytes were moved): those read may come again. */
void time_search_forget_key(struct time_search *s);

// SPDX-License-Identifier: Apache-2.0
/* Rules of the search by time (time_search.h). Apache Kafka takes the first segment whose largest time is high enough,
 * goes by its time index, and answers "none" if only records below the log start fit there; here the search goes on. */
#include "storage/time_search.h"

#include "base/bytes.h"
#include "base/check.h"

#define OUTPUT_MAX_BYTES (64ull << 20) /* decompressed records of one batch, as produce allows */

void time_search_init(struct time_search *s, bool largest, int64_t from_ms, int64_t from, int64_t to,
                      const struct segment *active)
{
    CHECK(from <= to && from_ms >= 0);
    *s = (struct time_search){.largest = largest,
                              .from_ms = from_ms,
                              .from = from,
                              .to = to,
                              .active_base = active->base,
                              .active_ms = active->newest_ms};
}

/* Could a record with that time, not before that offset, be the answer? */
static bool beats(const struct time_search *s, int64_t ms, int64_t offset)
{
    if (ms < s->from_ms) return false;
    if (!s->found) return true;
    if (!s->largest) return false;
    return ms > s->best.timestamp_ms || (ms == s->best.timestamp_ms && offset < s->best.offset);
}

/* Does (ms, offset) come behind the key: lower, or equal and later? */
static bool behind(int64_t ms, int64_t offset, int64_t key_ms, int64_t key_offset)
{
    return ms < key_ms || (ms == key_ms && offset > key_offset);
}

/* --- segments --- */

static int64_t bound_of(const struct time_search *s, const struct segment *g)
{
    return g->base == s->active_base ? s->active_ms : g->newest_ms;
}

static bool takes(const struct time_search *s, const struct segment *g, int64_t end)
{
    int64_t ms = bound_of(s, g);
    if (g->base >= s->to || end <= s->from || !beats(s, ms, g->base)) return false;
    if (!s->in_segment) return true;
    return s->largest ? behind(ms, g->base, s->segment_ms, s->segment_base) : g->base > s->segment_base;
}

bool time_search_segment(struct time_search *s, const struct segment *segments, uint32_t count, uint32_t *ret_i)
{
    uint32_t best = UINT32_MAX;
    CHECK(count > 0 && s->from <= s->to);
    if (s->from == s->to) return false;
    for (uint32_t i = 0; i < count; i++) {
        int64_t end = i + 1 < count ? segments[i + 1].base : INT64_MAX;
        if (!takes(s, &segments[i], end)) continue;
        if (best != UINT32_MAX && (!s->largest || bound_of(s, &segments[i]) <= bound_of(s, &segments[best]))) continue;
        best = i;
    }
    if (best == UINT32_MAX) return false;
    s->segment_base = segments[best].base;
    s->segment_ms = bound_of(s, &segments[best]);
    s->in_segment = true;
    s->segment_over = s->has_key = false;
    *ret_i = best;
    return true;
}

/* --- granules --- */

void time_search_pass(struct time_search *s)
{
    CHECK(s->in_segment);
    s->picked = s->has_last = false;
}

/* g ends at `end`. */
static void judge(struct time_search *s, const struct granule *g, int64_t end)
{
    CHECK(g->first_offset <= end);
    if (g->first_offset >= s->to || end <= s->from || !beats(s, g->max_ms, g->first_offset)) return;
    if (s->picked && (!s->largest || g->max_ms <= s->pick.max_ms)) return;
    if (s->has_key && !behind(g->max_ms, g->first_offset, s->key_ms, s->key_offset)) return;
    s->picked = true;
    s->pick = *g;
    s->pick_end = end;
}

void time_search_granule(struct time_search *s, const struct granule *g)
{
    if (s->has_last) judge(s, &s->last, g->first_offset);
    s->last = *g;
    s->has_last = true;
}

bool time_search_pass_over(const struct time_search *s)
{
    return s->segment_over || (!s->largest && s->picked);
}

bool time_search_pick(struct time_search *s, int64_t end, int64_t *ret_at, int64_t *ret_end)
{
    if (s->segment_over) return false;
    if (s->has_last && !(s->picked && !s->largest)) judge(s, &s->last, end);
    s->has_last = false;
    if (!s->picked) {
        s->segment_over = true;
        return false;
    }
    *ret_at = MAX(s->pick.first_offset, s->from);
    *ret_end = MIN(s->pick_end, s->to);
    CHECK(*ret_at < *ret_end);
    return true;
}

/* --- batches --- */

bool time_search_wants(const struct time_search *s, const struct batch_info *b, struct batch_time_query *ret_query)
{
    if (batch_last_offset(b) < s->from || batch_last_offset(b) >= s->to) return false; /* reads end there, too */
    if (!beats(s, b->max_timestamp_ms, b->base_offset)) return false;
    *ret_query = (struct batch_time_query){
        .largest = s->largest, .from_ms = s->from_ms, .from_offset = s->from, .output_cap_bytes = OUTPUT_MAX_BYTES};
    return true;
}

void time_search_found(struct time_search *s, const struct batch_time *t, int32_t epoch)
{
    CHECK(t->timestamp_ms >= s->from_ms && t->offset >= s->from && t->offset < s->to);
    if (!beats(s, t->timestamp_ms, t->offset)) return;
    s->found = true;
    s->best = *t;
    s->epoch = epoch;
}

bool time_search_over(const struct time_search *s)
{
    return s->found && !s->largest;
}

void time_search_read(struct time_search *s)
{
    CHECK(s->picked);
    s->picked = false;
    if (s->largest) {
        s->has_key = true;
        s->key_ms = s->pick.max_ms;
        s->key_offset = s->pick.first_offset;
        /* an equal bound that comes later is of later records */
        s->segment_over = s->found && !beats(s, s->pick.max_ms, s->pick_end);
    } else {
        s->from = MAX(s->from, MIN(s->pick_end, s->to));
        s->segment_over = s->from == s->to;
    }
}

void time_search_forget_key(struct time_search *s)
{
    s->has_key = false;
}

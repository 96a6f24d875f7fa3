// SPDX-License-Identifier: Apache-2.0
/* The checker (checker.h). A number greater than the expected one opens a gap, which counts as lost until it is filled;
 * a smaller one fills a gap (reordered) or is doubled. Failure modes: a stream number out of bounds is corrupt. */
#include "tools/bench/checker.h"

#include "base/bytes.h"
#include "base/check.h"
#include <stdio.h>
#include <stdlib.h>

void checker_init(struct checker *c, uint64_t run)
{
    *c = (struct checker){.run = run, .run_known = run != 0};
}

void checker_deinit(struct checker *c)
{
    for (uint32_t i = 0; i < c->stream_count; i++) free(c->streams[i].gaps);
    free(c->streams);
    *c = (struct checker){0};
}

static void fault(struct checker *c, const char *what, uint32_t partition, int64_t offset, const struct record_head *h)
{
    if (c->fault[0] != '\0') return;
    int n = snprintf(c->fault, sizeof c->fault, "%s: partition %u, offset %lld", what, partition, (long long)offset);
    if (h != NULL)
        snprintf(c->fault + n, sizeof c->fault - (size_t)n, ", stream %u, sequence %llu", h->stream,
                 (unsigned long long)h->sequence);
}

static struct checker_stream *stream_of(struct checker *c, uint32_t number)
{
    if (number >= CHECKER_STREAMS_MAX) return NULL;
    if (number >= c->stream_count) {
        uint32_t count = MAX(number + 1, MIN(c->stream_count * 2, CHECKER_STREAMS_MAX));
        c->streams = realloc(c->streams, count * sizeof *c->streams);
        CHECK(c->streams != NULL);
        memset(c->streams + c->stream_count, 0, (count - c->stream_count) * sizeof *c->streams);
        c->stream_count = count;
    }
    return &c->streams[number];
}

static void gap_open(struct checker_stream *s, uint64_t from, uint64_t to)
{
    if (s->gap_count == CHECKER_GAPS) return;
    if (s->gaps == NULL) s->gaps = calloc(CHECKER_GAPS, sizeof *s->gaps);
    CHECK(s->gaps != NULL);
    s->gaps[s->gap_count++] = (struct checker_gap){from, to};
}

/* True: the number was missing and is not any more. */
static bool gap_fill(struct checker_stream *s, uint64_t number)
{
    for (uint32_t i = 0; i < s->gap_count; i++) {
        struct checker_gap *g = &s->gaps[i], old = *g;
        if (number < old.from || number >= old.to) continue;
        g->to = number;
        if (g->from == g->to) *g = s->gaps[--s->gap_count];
        if (number + 1 < old.to) gap_open(s, number + 1, old.to);
        return true;
    }
    return false;
}

static void sequence_check(struct checker *c, struct checker_stream *s, int64_t offset, const struct record_head *h)
{
    if (h->sequence >= s->next) {
        if (h->sequence > s->next) {
            c->counts.lost += h->sequence - s->next;
            gap_open(s, s->next, h->sequence);
            fault(c, "records are missing before", h->partition, offset, h);
        }
        s->next = h->sequence + 1;
    } else if (gap_fill(s, h->sequence)) {
        c->counts.lost--;
        c->counts.reordered++;
        fault(c, "a record came late", h->partition, offset, h);
    } else {
        c->counts.doubled++;
        fault(c, "a record came twice", h->partition, offset, h);
    }
}

void checker_corrupt(struct checker *c, uint32_t partition, int64_t offset, const char *what)
{
    c->counts.corrupt++;
    fault(c, what, partition, offset, NULL);
}

bool checker_record(struct checker *c, uint32_t partition, int64_t offset, bool from_middle, const uint8_t *value,
                    size_t size, struct record_head *ret_head)
{
    struct record_head h;
    enum record_kind kind = record_head_read(value, size, &h);
    struct checker_stream *s = kind == RECORD_OURS ? stream_of(c, h.stream) : NULL;
    if (kind == RECORD_CORRUPT || (kind == RECORD_OURS && s == NULL)) {
        checker_corrupt(c, partition, offset, "a record's bytes changed");
        return false;
    }
    if (kind == RECORD_OURS && !c->run_known) {
        c->run = h.run;
        c->run_known = true;
    }
    if (kind == RECORD_FOREIGN || h.run != c->run) {
        c->counts.foreign++;
        return false;
    }
    if (!s->seen) {
        s->seen = true;
        s->partition = partition;
        if (from_middle) s->next = h.sequence;
    }
    if (h.partition != partition || s->partition != partition) {
        c->counts.misplaced++;
        fault(c, "a record is in the wrong partition", partition, offset, &h);
    }
    c->counts.records++;
    s->records++;
    sequence_check(c, s, offset, &h);
    *ret_head = h;
    return true;
}

void checker_offset(struct checker *c, uint32_t partition, int64_t offset, int64_t before)
{
    c->counts.misplaced++;
    if (c->fault[0] == '\0')
        snprintf(c->fault, sizeof c->fault, "offsets went back: partition %u, %lld after %lld", partition,
                 (long long)offset, (long long)before);
}

void checker_end(struct checker *c, uint32_t stream, uint64_t written)
{
    struct checker_stream *s = stream_of(c, stream);
    CHECK(s != NULL);
    if (s->next >= written) return;
    c->counts.lost += written - s->next;
    if (c->fault[0] == '\0')
        snprintf(c->fault, sizeof c->fault, "records did not come: stream %u, %llu of %llu acknowledged ones", stream,
                 (unsigned long long)(written - s->next), (unsigned long long)written);
}

bool checker_good(const struct checker_counts *c)
{
    return c->lost + c->doubled + c->reordered + c->corrupt + c->misplaced == 0;
}

void checker_merge(struct checker_counts *into, const struct checker_counts *from)
{
    into->records += from->records;
    into->lost += from->lost;
    into->doubled += from->doubled;
    into->reordered += from->reordered;
    into->corrupt += from->corrupt;
    into->misplaced += from->misplaced;
    into->foreign += from->foreign;
}

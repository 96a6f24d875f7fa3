// SPDX-License-Identifier: Apache-2.0
/* Marks: one per live group of the ring, a deque by sequence. A mark counts the partitions whose bytes a replay would
 * need from that group; the ring's space is given back in order, up to the first group that is needed.
 *
 * Failure mode: no memory for one more mark: the group is not opened. */
#include "storage/commit.h"

#include "base/bytes.h"

struct mark *journal_mark_at(const struct journal *j, uint64_t sequence)
{
    CHECK(sequence >= j->mark_sequence && sequence - j->mark_sequence < j->mark_count);
    return &j->marks[(j->mark_first + (sequence - j->mark_sequence)) % j->mark_capacity];
}

const struct mark *journal_mark(const struct journal *j, uint64_t sequence)
{
    return journal_mark_at(j, sequence);
}

/* Recovery calls it too, for each live group. */
enum status journal_mark_push(struct journal *j, uint32_t slot, uint64_t pos, uint32_t length)
{
    if (j->mark_count == j->mark_capacity) {
        uint32_t capacity = MAX(64u, j->mark_capacity * 2);
        struct mark *marks = mem_alloc(j->env->mem, MEM_LOG, capacity * sizeof *marks);
        if (marks == NULL) return STATUS_NO_MEMORY;
        for (uint32_t i = 0; i < j->mark_count; i++) marks[i] = j->marks[(j->mark_first + i) % j->mark_capacity];
        mem_free(j->env->mem, MEM_LOG, j->marks, j->mark_capacity * sizeof *marks);
        j->marks = marks;
        j->mark_capacity = capacity;
        j->mark_first = 0;
    }
    j->marks[(j->mark_first + j->mark_count++) % j->mark_capacity] =
        (struct mark){.slot = slot, .pos = pos, .at = j->placed, .length = length};
    j->placed += length;
    return STATUS_OK;
}

uint64_t journal_place_of(const struct journal *j, uint64_t sequence)
{
    if (sequence >= j->mark_sequence + j->mark_count) return j->placed;
    return journal_mark_at(j, MAX(sequence, j->mark_sequence))->at;
}

void journal_mark_use(struct journal *j, uint64_t sequence)
{
    journal_mark_at(j, sequence)->unmoved++;
}

void journal_mark_release(struct journal *j, uint64_t sequence)
{
    struct mark *m = journal_mark_at(j, sequence);
    CHECK(m->unmoved > 0);
    m->unmoved--;
}

/* Only the newest groups gain marks, so what was passed once stays passed. */
uint64_t journal_oldest_needed(struct journal *j)
{
    uint64_t sequence = MAX(j->needed_from, j->mark_sequence);
    while (sequence < j->mark_sequence + j->mark_count && journal_mark_at(j, sequence)->unmoved == 0) sequence++;
    j->needed_from =
        j->mark_count == 0 ? sequence : MIN(sequence, j->mark_sequence + j->mark_count - 1); /* may be open */
    return sequence;
}

void journal_free(struct journal *j, uint64_t sequence)
{
    CHECK(sequence <= j->durable_sequence + 1);
    while (j->mark_count > 0 && j->mark_sequence < sequence) {
        struct mark *m = &j->marks[j->mark_first];
        CHECK(m->unmoved == 0 && j->slots[m->slot].live > 0);
        j->slots[m->slot].live--;
        j->mark_first = (j->mark_first + 1) % j->mark_capacity;
        j->mark_count--;
        j->mark_sequence++;
    }
    if (j->mark_count == 0) j->mark_sequence = j->next_sequence;
    journal_look_ahead(j);
}

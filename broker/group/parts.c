// SPDX-License-Identifier: Apache-2.0
/* Sets of partitions (parts.h). Failure modes: no memory is the caller's answer. */
#include "broker/group/parts.h"
#include "base/check.h"
#include <stdlib.h>
#include <string.h>

int parts_order(struct uuid a_topic, int32_t a_number, struct uuid b_topic, int32_t b_number)
{
    int order = memcmp(a_topic.b, b_topic.b, sizeof a_topic.b);
    if (order != 0) return order;
    return (a_number > b_number) - (a_number < b_number);
}

const struct part_of *parts_find(const struct parts *s, struct uuid topic, int32_t number)
{
    uint32_t low = 0, high = s->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct part_of *p = &s->all[middle];
        int order = parts_order(p->topic, p->number, topic, number);
        if (order == 0) return p;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

bool parts_equal(const struct parts *a, const struct parts *b)
{
    if (a->count != b->count) return false;
    for (uint32_t i = 0; i < a->count; i++) {
        const struct part_of *x = &a->all[i], *y = &b->all[i];
        if (x->number != y->number || x->epoch != y->epoch || !uuid_equal(x->topic, y->topic)) return false;
    }
    return true;
}

static int by_order(const void *x, const void *y)
{
    const struct part_of *a = x, *b = y;
    return parts_order(a->topic, a->number, b->topic, b->number);
}

void parts_sort(struct parts *s)
{
    uint32_t kept = 0;
    bool sorted = true;
    for (uint32_t i = 1; i < s->count && sorted; i++) sorted = by_order(&s->all[i - 1], &s->all[i]) < 0;
    if (sorted) return;
    qsort(s->all, s->count, sizeof s->all[0], by_order);
    for (uint32_t i = 0; i < s->count; i++)
        if (kept == 0 || by_order(&s->all[kept - 1], &s->all[i]) != 0) s->all[kept++] = s->all[i];
    s->count = kept;
}

bool parts_copy(struct mem *m, const struct parts *s, struct parts *ret_copy)
{
    *ret_copy = (struct parts){NULL, 0};
    if (s->count == 0) return true;
    size_t bytes = s->count * sizeof s->all[0];
    struct part_of *all = mem_alloc(m, MEM_CONTROL, bytes);
    if (all == NULL) return false;
    memcpy(all, s->all, bytes);
    *ret_copy = (struct parts){all, s->count};
    return true;
}

void parts_free(struct mem *m, struct parts *s)
{
    if (s->count > 0) mem_free(m, MEM_CONTROL, s->all, s->count * sizeof s->all[0]);
    *s = (struct parts){NULL, 0};
}

bool parts_alloc(struct arena *a, uint32_t max, struct parts *ret_empty)
{
    struct part_of *all = arena_alloc(a, max * sizeof *all);
    *ret_empty = (struct parts){all, 0};
    return all != NULL;
}

static int32_t count_runs(const struct parts *s)
{
    int32_t n = 0;
    for (uint32_t i = 0; i < s->count; i++) n += i == 0 || !uuid_equal(s->all[i].topic, s->all[i - 1].topic);
    return n;
}

bool parts_runs(struct arena *a, const struct parts *s, struct part_runs *ret_runs)
{
    int32_t runs = count_runs(s), at = -1;
    *ret_runs = (struct part_runs){arena_alloc(a, (size_t)runs * sizeof(struct part_run)), 0};
    int32_t *numbers = arena_alloc(a, s->count * sizeof *numbers);
    int32_t *epochs = arena_alloc(a, s->count * sizeof *epochs);
    if (ret_runs->all == NULL || numbers == NULL || epochs == NULL) return false;
    for (uint32_t i = 0; i < s->count; i++) {
        const struct part_of *p = &s->all[i];
        if (at < 0 || !uuid_equal(ret_runs->all[at].topic, p->topic))
            ret_runs->all[++at] = (struct part_run){p->topic, numbers + i, epochs + i, 0};
        numbers[i] = p->number;
        epochs[i] = p->epoch;
        ret_runs->all[at].count++;
    }
    CHECK(at + 1 == runs);
    ret_runs->count = runs;
    return true;
}

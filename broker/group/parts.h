// SPDX-License-Identifier: Apache-2.0
/* Sets of partitions: what a member of a consumer group has, gives up, shall have. A sorted array: by topic id (bytes),
 * then by number; no partition twice. Pure; memory is the caller's (MEM_CONTROL or an arena). */
#pragma once
#include "base/arena.h"
#include "protocol/uuid.h"
#include <stdbool.h>

struct part_of {
    struct uuid topic;
    int32_t number;
    int32_t epoch; /* of the assignment that gave it to the member; 0 in targets */
};

struct parts {
    struct part_of *all;
    uint32_t count;
};

int parts_order(struct uuid a_topic, int32_t a_number, struct uuid b_topic, int32_t b_number);
const struct part_of *parts_find(const struct parts *s, struct uuid topic, int32_t number); /* NULL: not in */
bool parts_equal(const struct parts *a, const struct parts *b);                             /* epochs as well */
/* Brings `count` partitions in any order into the order of a set; of doubles one stays. */
void parts_sort(struct parts *s);

/* Own copy; nothing to copy: all NULL. False: no room, *ret_copy is empty. */
bool parts_copy(struct mem *m, const struct parts *s, struct parts *ret_copy);
void parts_free(struct mem *m, struct parts *s); /* a copy; s is empty then */

/* Room for `max` partitions; NULL all: no room. */
bool parts_alloc(struct arena *a, uint32_t max, struct parts *ret_empty);

/* The set as messages have it: by topic, with the numbers of each in one array. */
struct part_run {
    struct uuid topic;
    int32_t *numbers, *epochs; /* count each */
    int32_t count;
};
struct part_runs {
    struct part_run *all;
    int32_t count;
};
bool parts_runs(struct arena *a, const struct parts *s, struct part_runs *ret_runs); /* false: no room */

// SPDX-License-Identifier: Apache-2.0
/* The range assignor (assign.h). Topics with the same members and as many partitions are divided alike, so that a
 * member that joins them finds both halves at itself. */
#include "broker/group/assign.h"
#include "base/bytes.h"

static void divide(const struct assign_topic *t, uint32_t *owner)
{
    uint32_t at = 0;
    if (t->member_count == 0) {
        for (uint32_t i = 0; i < t->count; i++) owner[t->first + i] = ASSIGN_NONE;
        return;
    }
    uint32_t each = t->count / t->member_count, more = t->count % t->member_count;
    for (uint32_t m = 0; m < t->member_count; m++) {
        uint32_t n = each + (m < more);
        for (uint32_t i = 0; i < n; i++) owner[t->first + at++] = t->members[m];
    }
}

void assign_range(struct assignment *x)
{
    for (uint32_t t = 0; t < x->topic_count; t++) divide(&x->topics[t], x->owner);
}

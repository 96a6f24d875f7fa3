// SPDX-License-Identifier: Apache-2.0
/* Who of a consumer group shall have which partition: Kafka's two assignors of the broker, as pure functions over
 * numbers. Topics and members are given by index; a partition is topics[t].first + its number.
 *
 * The caller fills all but owner, which says who has a partition now: a member, or ASSIGN_NONE. Afterwards it says who
 * shall have it; ASSIGN_NONE where no member subscribes to the topic. */
#pragma once
#include "base/arena.h"
#include "base/status.h"
#include "protocol/uuid.h"

#define ASSIGN_NONE UINT32_MAX

struct assign_topic {
    struct uuid id;
    uint32_t first, count;   /* partitions: [first, first + count) of owner */
    const uint32_t *members; /* those who subscribe to it, ascending */
    uint32_t member_count;
};

struct assignment {
    const struct assign_topic *topics;
    uint32_t topic_count, partition_count, member_count;
    uint32_t *owner; /* partition_count */
};

/* "uniform": loads differ as little as the subscriptions allow (no move of one partition would make them more even),
 * and partitions stay where they are as far as that allows. Where all subscribe to all, loads differ by one at most
 * and as few partitions move as can. Some milliseconds for 1,000 members and 10,000 partitions. NO_MEMORY: owner is
 * undefined. */
enum status assign_uniform(struct arena *a, struct assignment *x) MUST_CHECK;
/* "range": of each topic an equal run of partitions to each of its members in their order, the first ones one more. It
 * does not look at who has what. */
void assign_range(struct assignment *x);

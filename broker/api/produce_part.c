// SPDX-License-Identifier: Apache-2.0
/* Append on the owner shard (produce_part.h): to the partition's lane. Failure mode: the partition is not here any
 * more. */
#include "broker/api/produce_part.h"

void produce_part_run(struct part *part)
{
    struct produce_part *p = container_of(part, struct produce_part, part);
    struct lane *l = shard_lane(part->at, p->id, p->number);
    if (l != NULL) {
        lane_append(l, p);
        return;
    }
    p->status = STATUS_UNKNOWN_PARTITION;
    part_return(part);
}

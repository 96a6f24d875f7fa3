// SPDX-License-Identifier: Apache-2.0
/* Groups that change their kind (consumer.h): a classic group without members becomes a consumer group by the first
 * join of the new protocol, an empty consumer group a classic one by JoinGroup.
 *
 * Failure modes: no memory fails the machine. */
#include "base/check.h"
#include "broker/group/classic.h"
#include "broker/group/consumer_impl.h"

bool consumer_from_classic(struct groups *gs, struct group *g)
{
    CHECK(g->type == GROUP_CLASSIC);
    if (!classic_is_empty(g)) return false;
    classic_put_gone(gs, g);
    return gs->status == STATUS_OK && become_consumer(gs, g);
}

bool consumer_to_classic(struct groups *gs, struct group *g)
{
    CHECK(g->type == GROUP_CONSUMER && consumer_is_empty(g));
    consumer_put_gone(gs, g);
    return gs->status == STATUS_OK;
}

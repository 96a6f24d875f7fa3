// SPDX-License-Identifier: Apache-2.0
/* Members that speak the classic protocol in a consumer group: refused as with
 * group.consumer.migration.policy=disabled. Failure modes: none. */
#include "broker/group/consumer_impl.h"

void consumer_classic_join(struct groups *gs, struct group *g, struct group_call *c)
{
    (void)g;
    call_fail(gs, c, KAFKA_INCONSISTENT_GROUP_PROTOCOL);
}

void consumer_classic_sync(struct groups *gs, struct group *g, struct group_call *c)
{
    (void)g;
    call_fail(gs, c, KAFKA_UNKNOWN_MEMBER_ID);
}

void consumer_classic_heartbeat(struct groups *gs, struct group *g, struct group_call *c)
{
    (void)g;
    call_fail(gs, c, KAFKA_UNKNOWN_MEMBER_ID);
}

void consumer_classic_leave(struct groups *gs, struct group *g, struct group_call *c)
{
    (void)g;
    call_fail(gs, c, KAFKA_UNKNOWN_MEMBER_ID);
}

// SPDX-License-Identifier: Apache-2.0
/* Rules of classic groups (JoinGroup, SyncGroup: assignment by a client), as in Apache Kafka 4.4. Steps of groups.h; a
 * call is answered or held when a function returns. */
#pragma once
#include "broker/group/groups.h"

struct describe_groups_response_group;

/* Empty, generation 0, no protocol type. False: no memory, gs->status is set. */
bool classic_create(struct groups *gs, struct group *g);
void classic_destroy(struct groups *gs, struct group *g); /* no member has a call waiting */

void classic_join(struct groups *gs, struct group *g, struct group_call *c);
void classic_sync(struct groups *gs, struct group *g, struct group_call *c);
void classic_heartbeat(struct groups *gs, struct group *g, struct group_call *c);
void classic_leave(struct groups *gs, struct group *g, struct group_call *c); /* g NULL: no such group */
void classic_tick(struct groups *gs, struct group *g);
void classic_stop(struct groups *gs, struct group *g); /* ends its waiting calls with NOT_COORDINATOR */
void classic_loaded(struct groups *gs, struct group *g);
/* GroupMetadata; value NULL: the group is gone (its offsets stay). */
void classic_apply(struct groups *gs, struct group *g, const void *key, const void *value);

/* May this member commit offsets? A Kafka error code; a member's commit also proves that it is alive. Generation -1
 * without a member: allowed while the group is empty. */
int16_t classic_commit_check(struct groups *gs, struct group *g, struct str member_id, struct str instance_id,
                             int32_t generation);
bool classic_is_empty(const struct group *g);            /* no members */
bool classic_is_simple(const struct group *g);           /* never had a protocol: only offsets */
const char *classic_state(const struct group *g);        /* "PreparingRebalance", "Stable", "Empty", ... */
struct str classic_protocol_type(const struct group *g); /* "" without */
/* Does a member subscribe to it (consumer protocol; subscriptions that do not parse count as all)? */
bool classic_subscribes(const struct group *g, struct str topic);
/* When the group became empty, for the retention of its offsets; -1: it is not, or not known. */
int64_t classic_empty_since_ms(const struct group *g);
/* Fills members and state. False: no room in the arena. */
bool classic_describe(struct groups *gs, const struct group *g, struct group_call *c,
                      struct describe_groups_response_group *ret_group);
/* Puts the tombstone of its GroupMetadata record if one was written. */
void classic_put_gone(struct groups *gs, struct group *g);

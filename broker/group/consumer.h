// SPDX-License-Identifier: Apache-2.0
/* Rules of consumer groups (KIP-848: assignment by the broker), as in Apache Kafka 4.4. Steps of groups.h; a call is
 * answered or held when a function returns. */
#pragma once
#include "broker/group/groups.h"

struct consumer_group_describe_response_group;
struct consumer_member;

bool consumer_create(struct groups *gs, struct group *g); /* epoch 0, no members. False: gs->status is set */
void consumer_destroy(struct groups *gs, struct group *g);

/* Is the request sound by itself (Kafka's INVALID_REQUEST, UNSUPPORTED_ASSIGNOR)? False: it was answered. To be asked
 * before a group is looked for. */
bool consumer_check_request(struct groups *gs, struct group_call *c);
/* May turn the classic group g into a consumer group, if the call goes well; a call that is refused changes nothing. */
void consumer_heartbeat(struct groups *gs, struct group *g, struct group_call *c);
/* Members that speak the classic protocol in a consumer group (migration). */
void consumer_classic_join(struct groups *gs, struct group *g, struct group_call *c);
void consumer_classic_sync(struct groups *gs, struct group *g, struct group_call *c);
void consumer_classic_heartbeat(struct groups *gs, struct group *g, struct group_call *c);
void consumer_classic_leave(struct groups *gs, struct group *g, struct group_call *c);
void consumer_tick(struct groups *gs, struct group *g);
void consumer_stop(struct groups *gs, struct group *g);
void consumer_loaded(struct groups *gs, struct group *g);
/* Records of types 3 to 8 and the regular expressions (16); value NULL: tombstone. */
void consumer_apply(struct groups *gs, struct group *g, int16_t type, const void *key, const void *value);
void consumer_topics_changed(struct groups *gs, struct group *g, struct str topic);

/* May this member commit? The member epoch stands in place of the generation. With NONE and *ret_older not NULL its
 * epoch is an older one, and each partition must pass the second check: it may commit what it has had since that epoch.
 * Errors: UNKNOWN_MEMBER_ID, STALE_MEMBER_EPOCH (members of the classic protocol: ILLEGAL_GENERATION),
 * UNSUPPORTED_VERSION. */
int16_t consumer_commit_check(struct groups *gs, struct group *g, struct str member_id, int32_t epoch, int16_t version,
                              const struct consumer_member **ret_older);
int16_t consumer_commit_partition_check(const struct consumer_member *older, int32_t epoch, struct uuid topic,
                                        int32_t number);
/* OffsetFetch from version 9 on names a member: UNKNOWN_MEMBER_ID, STALE_MEMBER_EPOCH. */
int16_t consumer_fetch_check(const struct group *g, struct str member_id, int32_t epoch);
bool consumer_is_empty(const struct group *g);
const char *consumer_state(const struct group *g); /* "Stable", "Reconciling", "Assigning", "Empty" */
bool consumer_subscribes(const struct group *g, struct str topic);
bool consumer_describe(struct groups *gs, const struct group *g, struct group_call *c,
                       struct consumer_group_describe_response_group *ret_group);
void consumer_put_gone(struct groups *gs, struct group *g); /* tombstones of all its records */
/* A classic group without members becomes a consumer group (also one with members that may migrate). False: it may not,
 * or gs->status says why. */
bool consumer_from_classic(struct groups *gs, struct group *g);
bool consumer_to_classic(struct groups *gs, struct group *g); /* back: without members. False: gs->status says why */

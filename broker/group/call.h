// SPDX-License-Identifier: Apache-2.0
/* One request (or a part of one that names a single group) at its coordinator. The rules read `request`, fill
 * `response`, which was initialised by the API that sent it, and end the call with call_answer, in the same step or in
 * a later one. `request` and `response` are the generated structs of the API, or of one group in it:
 *
 *   api                        request, response
 *   JoinGroup, SyncGroup, Heartbeat, LeaveGroup, OffsetCommit, OffsetDelete, ConsumerGroupHeartbeat
 *                              the whole messages
 *   OffsetFetch                offset_fetch_request_group, offset_fetch_response_group (older versions are lifted)
 *   DescribeGroups             request: NULL, group_id says it; describe_groups_response_group
 *   ConsumerGroupDescribe      likewise; consumer_group_describe_response_group
 *   DeleteGroups               likewise; delete_groups_response_result
 *   ListGroups                 list_groups_request, list_groups_response (all groups of the partition)
 *
 * What the response points to is in `arena` (it lives until the response was sent) or in the request. */
#pragma once
#include "base/arena.h"
#include "base/list.h"
#include "broker/api/api.h"
#include "protocol/wire.h"

struct group_call {
    enum api_key api;
    int16_t version;
    struct str group_id; /* null: ListGroups */
    struct str client_id, client_host;
    const void *request;
    void *response;
    struct arena *arena;
    int16_t error;              /* of the coordinator itself (enum kafka_error): the response was not filled */
    struct group_call **holder; /* where the rules keep it while it waits; NULL: they do not */
    struct list_node in_answered;
    bool answered;
};

struct groups;

/* The response is complete. Takes the call from its holder. */
void call_answer(struct groups *gs, struct group_call *c);
/* No response: error, or no memory in the arena (COORDINATOR_NOT_AVAILABLE: the client tries again). */
void call_fail(struct groups *gs, struct group_call *c, int16_t error);
/* Keeps the call until a later step: *holder points to it from now on. */
void call_hold(struct group_call *c, struct group_call **holder);
/* Zeroed; NULL: no room, and the caller ends with call_fail. */
void *call_zalloc(struct group_call *c, size_t size);
/* Copies for the response; null stays null. False: no room. */
bool call_copy_str(struct group_call *c, struct str s, struct str *ret_copy);
bool call_copy_bytes(struct group_call *c, struct bytes b, struct bytes *ret_copy);
/* The same into any arena. */
bool keep_str(struct arena *a, struct str s, struct str *ret_copy);
bool keep_bytes(struct arena *a, struct bytes b, struct bytes *ret_copy);

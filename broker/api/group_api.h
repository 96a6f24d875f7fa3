// SPDX-License-Identifier: Apache-2.0
/* What the requests about groups have in common: calls to the coordinators of the groups (group/host.h), one for each
 * group that a request names, and the response when all are back. Stages of their flows: ask, answer. */
#pragma once
#include "broker/api/api.h"
#include "broker/group/host.h"

struct group_api {
    const void *query; /* the decoded request */
    void *response;    /* of the API, in the arena */
    struct group_part *parts;
    uint32_t count;
};

/* Decodes the body; a response of that size, not yet initialised; room for so many calls later. NULL: refused. */
struct group_api *group_api_begin(struct request *r, size_t query_size, size_t response_size);
/* Zeroed calls. False: no memory. */
bool group_api_calls(struct request *r, uint32_t count);
/* Fills in what the rules look at and sends the call of one group. */
void group_api_send(struct request *r, uint32_t i, struct str group_id, const void *request, void *response);
/* The same to a partition of the topic, for the groups that it has. */
void group_api_list(struct request *r, uint32_t i, const struct image_topic *t, void *response);
/* The stage to return from ask: waits for the calls, or not. */
int group_api_wait(struct request *r, int next);
/* Encodes, and lets the memory of the answers go. Returns STAGE_DONE. */
int group_api_answer(struct request *r);
void group_api_hurry(struct request *r);

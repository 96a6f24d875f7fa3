// SPDX-License-Identifier: Apache-2.0
/* An API request that asks shard 0 for a change of the metadata. The API's own struct begins with a struct admin; its
 * plan runs on shard 0, where it may read the request and write into answers that were allocated before (the arena
 * belongs to the home shard), nothing else. */
#pragma once
#include "broker/api/api.h"
#include "broker/metadata.h"

struct admin {
    struct metadata_call call;
    struct request *request;
};

/* A zeroed struct of that size in the arena, as r->admin; NULL: refused. */
void *admin_begin(struct request *r, size_t size);
/* Sends the call; the request's task is woken when it is back. Returns the stage to return: STAGE_WAIT(next). */
int admin_send(struct request *r, enum status (*plan)(struct metadata_call *c, struct metadata_plan *p), int next);
/* The call failed as a whole: Kafka's code (NOT_CONTROLLER, KAFKA_STORAGE_ERROR, ...); 0: it did not. */
int16_t admin_failed(const struct request *r);
/* Answers, or not if the connection is closing. */
int admin_answer(struct request *r, const void *response);

static inline struct admin *admin_of(struct metadata_call *c)
{
    return container_of(c, struct admin, call);
}
/* A text of the arena; null for an empty one. */
struct str admin_text(const char *text);

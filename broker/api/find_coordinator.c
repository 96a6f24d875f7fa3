// SPDX-License-Identifier: Apache-2.0
/* FindCoordinator: there are no groups and transactions yet; the retriable COORDINATOR_NOT_AVAILABLE for each key says
 * so without ending the client. One stage. */
#include "broker/api/api.h"
#include "protocol/msg_find_coordinator.h"

#define TEXT STR("groups and transactions are not available on this broker")

static bool fill(struct request *r, const struct find_coordinator_request *q, struct find_coordinator_response *a)
{
    int32_t n = q->coordinator_keys_count;
    a->error_code = KAFKA_COORDINATOR_NOT_AVAILABLE;
    a->error_message = TEXT;
    a->node_id = a->port = -1;
    if (r->header.api_version < 4 || n <= 0) return true;
    a->coordinators = request_zalloc(r, (size_t)n * sizeof *a->coordinators);
    if (a->coordinators == NULL) return false;
    a->coordinators_count = n;
    for (int32_t i = 0; i < n; i++) {
        struct find_coordinator_response_coordinator *c = &a->coordinators[i];
        find_coordinator_response_coordinator_init(c);
        c->key = q->coordinator_keys[i];
        c->node_id = c->port = -1;
        c->error_code = KAFKA_COORDINATOR_NOT_AVAILABLE;
        c->error_message = TEXT;
    }
    return true;
}

static int answer(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    const struct find_coordinator_request *q = api_decode(r, sizeof *q);
    struct find_coordinator_response a;
    if (q == NULL) return STAGE_DONE;
    find_coordinator_response_init(&a);
    if (fill(r, q, &a))
        request_answer(r, &a);
    else
        request_refuse(r, "no memory for its request");
    return STAGE_DONE;
}

static const struct stage stages[] = {{"answer", answer, 0}};
const struct flow find_coordinator_flow = {"find coordinator", stages, 1};

// SPDX-License-Identifier: Apache-2.0
/* InitProducerId: a producer id that no other producer has or had. One stage.
 *
 * Id = incarnation of this shard's journal (23 bits) | shard (8) | counter (32). The incarnation is durably noted at
 * each start before anything is served, so no id is given out twice, without a write here.
 *
 * Transactions are not available: a transactional id is refused with TRANSACTIONAL_ID_AUTHORIZATION_FAILED, which ends
 * the client at once; the retriable coordinator errors would let it try until its time-out. */
#include "broker/api/api.h"
#include "broker/shard.h"
#include "protocol/msg_init_producer_id.h"

static int64_t next_id(struct shard *s)
{
    uint64_t incarnation = store_incarnation(s->store);
    CHECK(incarnation < (1u << 23) && s->env->shard < 256);
    CHECK(s->producer_ids < UINT32_MAX);
    return (int64_t)(incarnation << 40 | (uint64_t)s->env->shard << 32 | s->producer_ids++);
}

static int answer(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    const struct init_producer_id_request *q = api_decode(r, sizeof *q);
    struct init_producer_id_response a;
    if (q == NULL) return STAGE_DONE;
    init_producer_id_response_init(&a);
    if (q->transactional_id.len >= 0) {
        a.error_code = KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
        a.producer_epoch = -1;
    } else {
        a.producer_id = next_id(r->shard);
    }
    request_answer(r, &a);
    return STAGE_DONE;
}

static const struct stage stages[] = {{"answer", answer, 0}};
const struct flow init_producer_id_flow = {"init producer id", stages, 1};

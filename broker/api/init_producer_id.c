// SPDX-License-Identifier: Apache-2.0
/* InitProducerId: a producer id that no other producer has or had.
 *
 *   begin   read the body; ask for an id (producer_ids.h)
 *   answer  it is there
 *
 * Transactions are not available: a transactional id is refused with TRANSACTIONAL_ID_AUTHORIZATION_FAILED, which ends
 * the client at once; the retriable coordinator errors would let it try until its time-out. */
#include "broker/api/api.h"
#include "broker/conn.h"
#include "broker/shard.h"
#include "protocol/msg_init_producer_id.h"

enum init_stage { INIT_BEGIN, INIT_ANSWER };

struct init_producer_id {
    struct producer_id_wish wish;
    struct request *request;
};

static void have_id(struct producer_id_wish *w)
{
    request_part_back(container_of(w, struct init_producer_id, wish)->request);
}

static int begin(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    const struct init_producer_id_request *q = api_decode(r, sizeof *q);
    if (q == NULL) return STAGE_DONE;
    struct init_producer_id *p = request_zalloc(r, sizeof *p);
    if (p == NULL) {
        request_refuse(r, "no memory for its request");
        return STAGE_DONE;
    }
    p->request = r;
    p->wish.done = have_id;
    r->init_producer_id = p;
    if (q->transactional_id.len >= 0) {
        p->wish.status = STATUS_UNSUPPORTED; /* answered as the head of this file says */
        return INIT_ANSWER;
    }
    r->parts_out++;
    producer_ids_take(&r->shard->producer_ids, &p->wish);
    return r->parts_out > 0 ? STAGE_WAIT(INIT_ANSWER) : INIT_ANSWER;
}

static int answer(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    const struct producer_id_wish *w = &r->init_producer_id->wish;
    struct init_producer_id_response a;
    init_producer_id_response_init(&a);
    if (w->status == STATUS_OK) {
        a.producer_id = w->id;
    } else {
        a.error_code = w->status == STATUS_UNSUPPORTED ? KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED
                                                       : KAFKA_COORDINATOR_NOT_AVAILABLE;
        a.producer_epoch = -1;
    }
    if (r->conn->closing)
        request_answer_nothing(r);
    else
        request_answer(r, &a);
    return STAGE_DONE;
}

static const struct stage stages[] = {
    [INIT_BEGIN] = {"begin", begin, STAGE_BIT(INIT_ANSWER)},
    [INIT_ANSWER] = {"answer", answer, 0},
};
const struct flow init_producer_id_flow = {"init producer id", stages, 2};

// SPDX-License-Identifier: Apache-2.0
/* Changes of the metadata on behalf of requests (admin.h). Failure modes: no memory refuses the request; a metadata log
 * that does not take changes is answered with its Kafka code. */
#include "broker/api/admin.h"
#include "broker/conn.h"
#include "broker/shard.h"

void *admin_begin(struct request *r, size_t size)
{
    CHECK(size >= sizeof(struct admin));
    struct admin *a = request_zalloc(r, size);
    if (a == NULL) {
        request_refuse(r, "no memory for its request");
        return NULL;
    }
    a->request = r;
    r->admin = a;
    return a;
}

static void back(struct metadata_call *c)
{
    request_part_back(admin_of(c)->request);
}

int admin_send(struct request *r, enum status (*plan)(struct metadata_call *c, struct metadata_plan *p), int next)
{
    struct metadata_call *c = &r->admin->call;
    c->plan = plan;
    c->done = back;
    r->parts_out++;
    metadata_call_send(c, r->shard);
    return STAGE_WAIT(next);
}

int16_t admin_failed(const struct request *r)
{
    enum status s = r->admin->call.status;
    return s == STATUS_NOT_LEADER ? KAFKA_NOT_CONTROLLER : status_kafka_code(s);
}

int admin_answer(struct request *r, const void *response)
{
    if (r->conn->closing)
        request_answer_nothing(r);
    else
        request_answer(r, response);
    return STAGE_DONE;
}

struct str admin_text(const char *text)
{
    return text[0] != '\0' ? (struct str){text, (int32_t)strlen(text)} : STR_NULL;
}

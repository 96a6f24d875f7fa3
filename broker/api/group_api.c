// SPDX-License-Identifier: Apache-2.0
/* Requests about groups (group_api.h). Failure modes: no memory refuses the request; a client that goes away takes its
 * waiting calls back from their coordinators (hurry). */
#include "broker/api/group_api.h"
#include "broker/conn.h"
#include "broker/shard.h"

struct group_api *group_api_begin(struct request *r, size_t query_size, size_t response_size)
{
    const void *q = api_decode(r, query_size);
    if (q == NULL) return NULL;
    struct group_api *g = request_zalloc(r, sizeof *g);
    void *response = request_zalloc(r, response_size);
    if (g == NULL || response == NULL) {
        request_refuse(r, "no memory for its request");
        return NULL;
    }
    g->query = q;
    g->response = response;
    r->group_api = g;
    return g;
}

bool group_api_calls(struct request *r, uint32_t count)
{
    struct group_api *g = r->group_api;
    g->parts = request_zalloc(r, count * sizeof *g->parts);
    if (g->parts == NULL) return false;
    g->count = count;
    return true;
}

static void fill_call(struct request *r, struct group_call *c, struct str group_id, const void *request, void *response)
{
    c->api = (enum api_key)r->header.api_key;
    c->version = r->header.api_version;
    c->group_id = group_id;
    c->client_id = r->header.client_id.len >= 0 ? r->header.client_id : STR_EMPTY;
    c->client_host = conn_host(r->conn);
    c->request = request;
    c->response = response;
}

void group_api_send(struct request *r, uint32_t i, struct str group_id, const void *request, void *response)
{
    struct group_part *p = &r->group_api->parts[i];
    CHECK(i < r->group_api->count && !p->sent);
    fill_call(r, &p->call, group_id, request, response);
    group_send(r, p);
}

void group_api_list(struct request *r, uint32_t i, const struct image_topic *t, void *response)
{
    struct group_part *p = &r->group_api->parts[i];
    CHECK(i < r->group_api->count && !p->sent);
    fill_call(r, &p->call, STR_NULL, r->group_api->query, response);
    group_send_to(r, p, t, (int32_t)i);
}

int group_api_wait(struct request *r, int next)
{
    return r->parts_out > 0 ? STAGE_WAIT(next) : next;
}

static void release(struct request *r)
{
    group_release(r, r->group_api->parts, r->group_api->count);
}

int group_api_answer(struct request *r)
{
    r->release = release;
    if (r->conn->closing)
        request_answer_nothing(r);
    else
        request_answer(r, r->group_api->response);
    return STAGE_DONE;
}

void group_api_hurry(struct request *r)
{
    if (r->group_api == NULL) return;
    for (uint32_t i = 0; i < r->group_api->count; i++) group_cancel(&r->group_api->parts[i]);
}

// SPDX-License-Identifier: Apache-2.0
/* Requests (request.h).
 *
 * Path: conn.c makes one from a complete frame -> request_run starts the task of its API -> request_answer encodes the
 * response: own bytes in one block, records as borrowed pieces -> the connection sends the pieces -> request_finish
 * gives everything back.
 *
 * Failure modes: no memory for a response, or one that cannot be encoded: one log line and the connection is closed,
 * since the client could not tell a missing response from a late one. */
#include "broker/request.h"
#include "broker/conn.h"
#include "broker/dispatch.h"
#include "broker/shard.h"

#define ARENA_CAP_BYTES ((size_t)32 << 20)

struct request *request_create(struct conn *c, uint8_t *frame, uint32_t size, uint32_t room)
{
    struct shard *s = c->shard;
    struct request *r = mem_zalloc(s->env->mem, MEM_PRODUCE, sizeof *r);
    if (r == NULL) return NULL;
    r->conn = c;
    r->shard = s;
    r->frame = frame;
    r->frame_size = size;
    r->frame_room = room;
    r->received = s->env->now;
    arena_init(&r->arena, s->env->mem, MEM_PRODUCE, ARENA_CAP_BYTES);
    cursor_init(&r->body, frame, size);
    c->request_count++;
    c->request_bytes += room;
    list_push_back(&c->requests, &r->in_conn);
    return r;
}

void request_run(struct request *r)
{
    CHECK(r->state == REQUEST_QUEUED && r->api != NULL);
    r->state = REQUEST_RUNNING;
    task_start(r->shard->env->runner, &r->task, r->api->flow, 0);
}

void request_hurry(struct request *r)
{
    r->hurry = true;
    if (r->state == REQUEST_RUNNING && r->api->hurry != NULL) r->api->hurry(r);
}

static void answered(struct request *r)
{
    CHECK(r->state == REQUEST_RUNNING && r->parts_out == 0);
    r->state = REQUEST_ANSWERED;
    conn_answered(r->conn);
}

void request_answer_nothing(struct request *r)
{
    r->piece_count = 0;
    answered(r);
}

void request_refuse(struct request *r, const char *why)
{
    conn_fault(r->conn, why, r->header.api_key, r->header.api_version);
    request_answer_nothing(r);
}

static enum status encode(struct request *r, int16_t version, const void *response)
{
    const struct message_type *type = r->header.api->response;
    struct mem *m = r->shard->env->mem;
    struct message_size body = type->size(version, response);
    struct message_size size = frame_response_size(r->header.api_key, version, body);
    struct piece *pieces = arena_alloc(&r->arena, size.pieces * sizeof *pieces);
    uint8_t *own = mem_alloc(m, MEM_FETCH, size.own);
    struct writer w;
    if (pieces == NULL || own == NULL) {
        mem_free(m, MEM_FETCH, own, size.own);
        return STATUS_NO_MEMORY;
    }
    r->own = own;
    r->own_size = size.own;
    r->pieces = pieces;
    writer_init(&w, own, size.own, pieces, size.pieces);
    frame_response(&w, r->header.api_key, version, r->header.correlation_id, body);
    type->encode(&w, version, response);
    enum status s = writer_finish(&w);
    if (s == STATUS_OK) r->piece_count = w.piece_count;
    shard_count_errors(r, w.error_codes);
    return s;
}

void request_answer_as(struct request *r, int16_t version, const void *response)
{
    enum status s = encode(r, version, response);
    if (s != STATUS_OK) conn_fault(r->conn, status_text(s), r->header.api_key, version);
    answered(r);
}

void request_answer(struct request *r, const void *response)
{
    request_answer_as(r, r->header.api_version, response);
}

void request_part_back(struct request *r)
{
    CHECK(r->parts_out > 0);
    if (--r->parts_out == 0 && r->task.waiting) task_wake(&r->task);
}

void request_finish(struct request *r)
{
    CHECK(r->state == REQUEST_ANSWERED || r->state == REQUEST_QUEUED);
    struct conn *c = r->conn;
    bool ran = r->state == REQUEST_ANSWERED;
    list_remove(&r->in_conn);
    c->request_count--;
    c->request_bytes -= r->frame_room;
    c->releasing++;
    r->state = REQUEST_RELEASING;
    if (ran && !c->closing) shard_count_request(r);
    if (ran && r->release != NULL)
        r->release(r);
    else
        request_released(r);
}

void request_released(struct request *r)
{
    CHECK(r->state == REQUEST_RELEASING && r->parts_out == 0);
    struct conn *c = r->conn;
    struct mem *m = r->shard->env->mem;
    arena_deinit(&r->arena);
    mem_free(m, MEM_FETCH, r->own, r->own_size);
    mem_free(m, MEM_PRODUCE, r->frame, r->frame_room);
    mem_free(m, MEM_PRODUCE, r, sizeof *r);
    c->releasing--;
    conn_released(c);
}

void *request_zalloc(struct request *r, size_t size)
{
    return arena_zalloc(&r->arena, size);
}

// SPDX-License-Identifier: Apache-2.0
/* One request of a connection, from its last byte received to its last response byte sent.
 *
 *   QUEUED     behind others (pipelining rule: conn.c)
 *   RUNNING    a task with the stages of its API (dispatch.c); may wait for parts on other shards
 *   ANSWERED   the response stands in pieces (none: no response); sent in request order
 *   RELEASING  no longer in the connection's order; gives back what the response borrowed, then it is freed
 *
 * The frame, the arena and the parts in it live until the end, whatever happens to the connection meanwhile. */
#pragma once
#include "base/arena.h"
#include "base/env.h"
#include "protocol/frame.h"

struct conn;
struct shard;
struct api;
struct produce;
struct fetch;
struct list_offsets;
struct init_producer_id;
struct admin;
struct epoch_ends;
struct delete_records;
struct describe_log_dirs;
struct group_api;
struct list_quarantine;

enum request_state { REQUEST_QUEUED, REQUEST_RUNNING, REQUEST_ANSWERED, REQUEST_RELEASING };

struct request {
    struct list_node in_conn;
    struct task task;
    struct conn *conn;
    struct shard *shard;
    const struct api *api;
    enum request_state state;
    uint8_t *frame;
    uint32_t frame_size, frame_room;
    struct request_header header;
    struct cursor body;
    struct arena arena;
    struct mono_ns received;
    uint32_t parts_out; /* under way to other shards or waiting there */
    bool hurry;         /* the connection ends: a long poll is over */
    /* of the API, in the arena; at most one is set */
    struct produce *produce;
    struct fetch *fetch;
    struct list_offsets *list_offsets;
    struct init_producer_id *init_producer_id;
    struct admin *admin;
    struct epoch_ends *epoch_ends;
    struct delete_records *delete_records;
    struct describe_log_dirs *describe_log_dirs;
    struct group_api *group_api;
    struct list_quarantine *list_quarantine;
    /* the response */
    uint8_t *own;
    size_t own_size;
    struct piece *pieces;
    uint32_t piece_count, piece_at;     /* next to send */
    size_t piece_pos;                   /* of it, bytes sent */
    void (*release)(struct request *r); /* NULL: nothing to give back; ends, then or later, with request_released */
};

/* Takes the frame (MEM_PRODUCE). NULL: no memory, the frame stays the caller's. */
struct request *request_create(struct conn *c, uint8_t *frame, uint32_t size, uint32_t room);
void request_run(struct request *r);
void request_hurry(struct request *r);
/* The response of the API in its request's version, or in another one. Failure closes the connection; the request
 * counts as answered either way. The message's borrowed bytes must stay until release. */
void request_answer(struct request *r, const void *response);
void request_answer_as(struct request *r, int16_t version, const void *response);
void request_answer_nothing(struct request *r);
/* The request cannot be answered: one log line, the connection is closed. */
void request_refuse(struct request *r, const char *why);

/* A part came back; wakes the task with the last one. */
void request_part_back(struct request *r);

/* Sent or not needed any more: leaves the connection's order. */
void request_finish(struct request *r);
void request_released(struct request *r);

void *request_zalloc(struct request *r, size_t size); /* of the arena; NULL: no room */

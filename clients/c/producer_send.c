// SPDX-License-Identifier: Apache-2.0
/* Sealed batches out, answers in (contract: producer.h).
 *
 * Happy path: ready lanes, grouped by leader -> one Produce request per broker -> its answer -> each lane is done.
 * Failure modes: a broker out of reach, a lost answer, a retriable refusal: the lane is ready again with the same
 * bytes, leaders are asked for anew, and nothing is sent for a growing pause. With a producer id the broker recognises
 * a batch that it has: DUPLICATE_SEQUENCE_NUMBER is success. A refusal for good, and a batch older than
 * delivery_timeout_ms, end the producer: to go on would change the order. */
#include "clients/c/producer.h"

#include "base/bytes.h"
#include "protocol/msg_produce.h"
#include <stdio.h>

#define PRODUCE_VERSION_CAP 12 /* from 13 on topics go by id */
#define REQUEST_BYTES_MAX   (16u << 20)
#define FLIGHTS_MAX         64u
#define PAUSE_FIRST_MS      20
#define PAUSE_LONGEST_MS    1000

static enum leat_code producer_end(struct leat_producer *p, const struct leat_error *why, struct leat_error *e)
{
    p->ended = true;
    p->error = *why;
    if (e != NULL) *e = *why;
    return why->code;
}

/* Nothing more for a while; then leaders are asked for anew. */
static void back_off(struct leat_producer *p, const struct leat_error *why)
{
    p->last = *why;
    p->view.stale = true;
    p->pause_ms = MIN(MAX(2 * p->pause_ms, (int64_t)PAUSE_FIRST_MS), (int64_t)PAUSE_LONGEST_MS);
    p->not_before = socket_now_ms() + p->pause_ms;
}

static void lane_done(struct leat_producer *p, struct lane *l, int64_t base_offset)
{
    uint32_t records = (uint32_t)l->sealed.count;
    p->buffered -= l->sealed.size - BATCH_HEADER_BYTES;
    p->counts.acked_records += records;
    p->counts.batches++;
    p->pause_ms = 0;
    p->last.code = LEAT_OK;
    l->state = LANE_EMPTY;
    if (p->options.delivered != NULL) p->options.delivered(p->options.arg, l->partition, base_offset, records);
}

/* ---- flights ---- */

static size_t flight_size(uint32_t lanes)
{
    return sizeof(struct flight) + lanes * sizeof(int32_t);
}

static void flight_free(struct leat_producer *p, struct flight *f)
{
    if (list_linked(&f->in_flights)) list_remove(&f->in_flights);
    mem_free(p->client->mem, MEM_CONTROL, f, flight_size(f->lane_count));
}

/* Its batches may or may not be stored: they are sent again. */
static void flight_lost(struct leat_producer *p, struct flight *f, const struct leat_error *why)
{
    for (uint32_t i = 0; i < f->lane_count; i++) p->lanes[f->lanes[i]].state = LANE_READY;
    if (f->conn != NULL && f->conn->socket != SOCKET_NONE) conn_break(f->conn);
    flight_free(p, f);
    back_off(p, why);
}

void producer_drop_flights(struct leat_producer *p)
{
    list_each (node, &p->flights) flight_free(p, container_of(node, struct flight, in_flights));
}

static struct flight *flight_of(const struct leat_producer *p, const struct address *node, uint32_t *ret_count)
{
    struct flight *found = NULL;
    *ret_count = 0;
    list_each (n, &p->flights) {
        struct flight *f = container_of(n, struct flight, in_flights);
        bool same_place = f->node.port == node->port && strcmp(f->node.host, node->host) == 0;
        if (f->node.node == node->node || same_place) found = f; /* one request per connection */
        ++*ret_count;
    }
    return found;
}

static bool lane_leader(const struct leat_producer *p, const struct lane *l, struct address *ret_leader)
{
    int32_t epoch;
    return l->partition < topic_view_partitions(&p->view) &&
           topic_view_leader(&p->view, l->partition, ret_leader, &epoch);
}

/* Ready lanes with this leader, from `first` on, as many as one request takes. ret_lanes NULL: only counted. */
static uint32_t gather(const struct leat_producer *p, int32_t first, const struct address *leader, int32_t *ret_lanes)
{
    uint32_t n = 0;
    uint64_t bytes = 0;
    for (int32_t i = first; i < p->lane_count; i++) {
        const struct lane *l = &p->lanes[i];
        struct address at;
        if (l->state != LANE_READY || !lane_leader(p, l, &at) || at.node != leader->node) continue;
        bytes += l->size;
        if (n > 0 && bytes > REQUEST_BYTES_MAX) break;
        if (ret_lanes != NULL) ret_lanes[n] = i;
        n++;
    }
    return n;
}

static enum leat_code encode_and_send(struct leat_producer *p, struct flight *f, int64_t deadline, struct leat_error *e)
{
    struct mem *mem = p->client->mem;
    struct produce_request q;
    struct produce_request_topic topic;
    size_t bytes = f->lane_count * sizeof *topic.partition_data;
    int16_t version;
    enum leat_code code = conn_version(f->conn, API_PRODUCE, PRODUCE_VERSION_CAP, &version, e);
    if (code != LEAT_OK) return code;
    produce_request_init(&q);
    produce_request_topic_init(&topic);
    q.acks = (int16_t)p->options.acks;
    q.timeout_ms = (int32_t)MIN(p->client->request_timeout_ms, (int64_t)INT32_MAX);
    q.topic_data = &topic;
    q.topic_data_count = 1;
    topic.name = str_of(p->view.name);
    topic.partition_data = mem_alloc(mem, MEM_CONTROL, bytes);
    topic.partition_data_count = (int32_t)f->lane_count;
    if (topic.partition_data == NULL) return fail(e, LEAT_NO_MEMORY, "no memory for a produce request");
    for (uint32_t i = 0; i < f->lane_count; i++) {
        struct lane *l = &p->lanes[f->lanes[i]];
        produce_request_partition_init(&topic.partition_data[i]);
        topic.partition_data[i].index = l->partition;
        topic.partition_data[i].records = (struct records){.data = l->bytes, .len = (int32_t)l->size};
        if (l->sent) p->counts.retries++;
        if (!l->tried) l->deadline = deadline_in(p->options.delivery_timeout_ms);
        l->tried = l->sent = true;
    }
    code = conn_send(f->conn, API_PRODUCE, version, &q, deadline, &f->pending, e);
    mem_free(mem, MEM_CONTROL, topic.partition_data, bytes);
    return code;
}

/* A flight for the broker that leads `first`. Transient failures are noted and are LEAT_OK. */
static enum leat_code flight_start(struct leat_producer *p, int32_t first, const struct address *leader,
                                   int64_t deadline, struct leat_error *e)
{
    uint32_t n = gather(p, first, leader, NULL);
    struct flight *f = mem_zalloc(p->client->mem, MEM_CONTROL, flight_size(n));
    if (f == NULL) return fail(e, LEAT_NO_MEMORY, "no memory for a produce request");
    f->node = *leader;
    f->lane_count = gather(p, first, leader, f->lanes);
    f->deadline = deadline_in(p->client->request_timeout_ms);
    int64_t until = MIN(f->deadline, deadline_min(deadline, p->client->request_timeout_ms));
    struct leat_error own;
    enum leat_code code = conns_get(&p->conns, p->client, leader, until, &f->conn, &own);
    if (code == LEAT_OK) code = encode_and_send(p, f, f->deadline, &own);
    if (code != LEAT_OK && passing(code)) {
        flight_lost(p, f, &own);
        return LEAT_OK;
    }
    if (code != LEAT_OK) {
        flight_free(p, f);
        return producer_end(p, &own, e);
    }
    for (uint32_t i = 0; i < f->lane_count; i++) {
        struct lane *l = &p->lanes[f->lanes[i]];
        l->state = LANE_SENT;
        if (p->options.acks == 0) lane_done(p, l, -1);
    }
    if (p->options.acks == 0)
        flight_free(p, f);
    else
        list_push_back(&p->flights, &f->in_flights);
    return LEAT_OK;
}

/* A lane that was sent before and is too old: its batch is lost to us. */
static enum leat_code check_age(struct leat_producer *p, const struct lane *l, int64_t now, struct leat_error *e)
{
    if (l->state != LANE_READY || !l->tried || now < l->deadline) return LEAT_OK;
    struct leat_error why;
    fail(&why, LEAT_TIMED_OUT, "%s-%d: a batch of %d records was not acknowledged within %lld ms, last: %.300s",
         p->view.name, l->partition, l->sealed.count, (long long)p->options.delivery_timeout_ms,
         p->last.code == LEAT_OK ? "no answer" : p->last.text);
    why.retriable = false;
    return producer_end(p, &why, e);
}

enum leat_code producer_send(struct leat_producer *p, int64_t deadline, struct leat_error *e)
{
    struct leat_error own;
    int64_t now = socket_now_ms();
    if (now < p->not_before) return LEAT_OK;
    for (int32_t i = 0; i < p->lane_count; i++) {
        struct lane *l = &p->lanes[i];
        struct address leader;
        uint32_t flights;
        enum leat_code code = check_age(p, l, now, e);
        if (code != LEAT_OK) return code;
        if (l->state != LANE_READY) continue;
        if (!l->tried) l->deadline = deadline_in(p->options.delivery_timeout_ms);
        l->tried = true;
        code = topic_view_refresh(&p->view, MIN(deadline, l->deadline), &own);
        if (code == LEAT_OK && !lane_leader(p, l, &leader))
            code = fail(&own, LEAT_UNREACHABLE, "%s-%d has no leader", p->view.name, l->partition);
        if (code != LEAT_OK && !own.retriable) return producer_end(p, &own, e);
        if (code != LEAT_OK) {
            back_off(p, &own);
            return LEAT_OK;
        }
        if (flight_of(p, &leader, &flights) != NULL || flights == FLIGHTS_MAX) continue;
        code = flight_start(p, i, &leader, deadline, e);
        if (code != LEAT_OK) return code;
    }
    return LEAT_OK;
}

/* ---- answers ---- */

static const struct produce_response_partition *answer_of(const struct produce_response *a, struct str topic,
                                                          int32_t partition)
{
    for (int32_t i = 0; i < a->responses_count; i++)
        for (int32_t k = 0; str_equal(a->responses[i].name, topic) && k < a->responses[i].partition_responses_count;
             k++)
            if (a->responses[i].partition_responses[k].index == partition)
                return &a->responses[i].partition_responses[k];
    return NULL;
}

static void refusal(const struct leat_producer *p, const struct lane *l, const struct produce_response_partition *a,
                    struct leat_error *ret_why)
{
    char message[200] = "", record[220] = "";
    if (a->error_message.len > 0) str_copy(message, sizeof message, a->error_message);
    if (a->record_errors_count > 0) {
        str_copy(record, sizeof record - 20, a->record_errors[0].batch_index_error_message);
        size_t len = strlen(record);
        snprintf(record + len, sizeof record - len, " [record %d]", a->record_errors[0].batch_index);
    }
    fail_kafka(ret_why, a->error_code, "%s-%d: a batch of %d records was refused%s%s%s%s", p->view.name, l->partition,
               l->sealed.count, message[0] ? ": " : "", message, record[0] ? ": " : "", record);
}

static enum leat_code lane_answer(struct leat_producer *p, struct lane *l, const struct produce_response_partition *a,
                                  struct leat_error *e)
{
    struct leat_error why;
    if (a == NULL) {
        fail(&why, LEAT_PROTOCOL, "%s-%d: the broker's answer says nothing about it", p->view.name, l->partition);
        return producer_end(p, &why, e);
    }
    if (a->error_code == KAFKA_NONE || a->error_code == KAFKA_DUPLICATE_SEQUENCE_NUMBER) {
        lane_done(p, l, a->error_code == KAFKA_NONE ? a->base_offset : -1);
        return LEAT_OK;
    }
    refusal(p, l, a, &why);
    if (!why.retriable) return producer_end(p, &why, e);
    l->state = LANE_READY;
    back_off(p, &why);
    return LEAT_OK;
}

static enum leat_code flight_answer(struct leat_producer *p, struct flight *f, const struct produce_response *a,
                                    struct leat_error *e)
{
    enum leat_code code = LEAT_OK;
    struct str topic = str_of(p->view.name);
    for (uint32_t i = 0; i < f->lane_count && code == LEAT_OK; i++) {
        struct lane *l = &p->lanes[f->lanes[i]];
        code = lane_answer(p, l, answer_of(a, topic, l->partition), e);
    }
    flight_free(p, f);
    return code;
}

static enum leat_code flight_receive(struct leat_producer *p, struct flight *f, int64_t deadline, struct leat_error *e)
{
    struct reply r;
    struct leat_error own;
    enum leat_code code = conn_receive(f->conn, &f->pending, MIN(f->deadline, deadline), &r, &own);
    if (code == LEAT_OK) {
        code = flight_answer(p, f, r.message, e);
        reply_free(&r);
        return code;
    }
    if (code == LEAT_TIMED_OUT && socket_now_ms() < f->deadline) return LEAT_OK; /* the answer is on its way */
    if (passing(code)) {
        flight_lost(p, f, &own);
        return LEAT_OK;
    }
    return producer_end(p, &own, e);
}

static enum leat_code collect(struct leat_producer *p, int64_t deadline, struct leat_error *e)
{
    int sockets[FLIGHTS_MAX] = {0};
    struct flight *flights[FLIGHTS_MAX] = {0};
    uint32_t n = 0, which = 0;
    int64_t until = deadline;
    list_each (node, &p->flights) {
        flights[n] = container_of(node, struct flight, in_flights);
        until = MIN(until, flights[n]->deadline);
        sockets[n] = flights[n]->conn->socket;
        n++;
    }
    if (socket_wait(sockets, n, until, &which)) return flight_receive(p, flights[which], deadline, e);
    for (uint32_t i = 0; i < n; i++) { /* whose time is over: flight_receive finds that out */
        if (socket_now_ms() < flights[i]->deadline) continue;
        enum leat_code code = flight_receive(p, flights[i], deadline, e);
        if (code != LEAT_OK) return code;
    }
    return LEAT_OK;
}

enum leat_code producer_step(struct leat_producer *p, int64_t deadline, struct leat_error *e)
{
    enum leat_code code = producer_send(p, deadline, e);
    if (code != LEAT_OK) return code;
    if (!list_empty(&p->flights)) return collect(p, deadline, e);
    int64_t now = socket_now_ms();
    if (now < p->not_before) socket_sleep_until(MIN(deadline, p->not_before));
    return LEAT_OK;
}

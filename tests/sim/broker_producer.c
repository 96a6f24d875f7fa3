// SPDX-License-Identifier: Apache-2.0
/* A producer: up to five requests in flight, each with batches for up to three partitions.
 *
 * Idempotent: what has no answer when the connection ends, or an answer that does not settle it, is sent again in the
 * old order with its old sequences when everything else in flight is back; a new producer id now and then, when nothing
 * is open. Plain: sent once; without an answer the outcome is unknown. acks=0: always unknown. */
#include "tests/sim/broker_clients.h"

#include "base/bytes.h"
#include "protocol/msg_init_producer_id.h"
#include "protocol/msg_produce.h"

#define TAG_INIT        UINT64_MAX
#define PRODUCE_VERSION 13
#define API_PRODUCE     0
#define API_INIT        22

static struct producer *producer_of(struct wire *w)
{
    return container_of(w, struct producer, wire);
}

static struct send *send_at(struct producer *p, uint64_t number)
{
    return &p->sends[number % SENDS_MAX];
}

static void batch_done(struct send_batch *b)
{
    free(b->bytes);
    b->bytes = NULL;
    b->open = false;
}

static bool send_open(const struct send *s)
{
    for (uint32_t i = 0; i < s->count; i++)
        if (s->batches[i].open) return true;
    return false;
}

static void drop_done(struct producer *p)
{
    while (p->first < p->end && !send_open(send_at(p, p->first)) && !send_at(p, p->first)->in_flight) p->first++;
}

bool producer_quiet(const struct producer *p)
{
    return p->first == p->end;
}

/* ---- sending ---- */

static bool transmit(struct producer *p, struct send *s)
{
    struct produce_request_partition parts[SEND_PARTS_MAX];
    struct produce_request_topic topics[SEND_PARTS_MAX];
    struct produce_request q;
    produce_request_init(&q);
    q.acks = p->acks;
    q.timeout_ms = 5000;
    q.topic_data = topics;
    for (uint32_t i = 0; i < s->count; i++) {
        const struct send_batch *b = &s->batches[i];
        if (!b->open) continue;
        int32_t k = q.topic_data_count++;
        produce_request_topic_init(&topics[k]);
        produce_request_partition_init(&parts[k]);
        topics[k].topic_id = b->partition->topic->id;
        topics[k].partition_data = &parts[k];
        topics[k].partition_data_count = 1;
        parts[k].index = b->partition->number;
        parts[k].records = (struct records){.data = b->bytes, .len = (int32_t)b->size};
    }
    if (!wire_call(&p->wire, API_PRODUCE, PRODUCE_VERSION, &q, s->number, p->acks != 0)) return false;
    s->in_flight = p->acks != 0;
    p->in_flight += s->in_flight;
    return true;
}

static uint32_t stream_for(struct producer *p, struct check_topic *t, int32_t part)
{
    struct broker_check *c = p->clients->check;
    uint32_t index = 0;
    while (c->topics[index] != t) index++;
    uint32_t *stream = &p->streams[index][part];
    if (*stream == 0) *stream = check_stream_new(c, &t->parts[part], p->idempotent);
    return *stream;
}

static bool in_send(const struct send *s, const struct check_partition *partition)
{
    for (uint32_t i = 0; i < s->count; i++)
        if (s->batches[i].partition == partition) return true;
    return false;
}

static void add_batch(struct producer *p, struct send *s)
{
    struct clients *c = p->clients;
    struct check_topic *t = check_topic_any(c->check, TOPIC_THERE);
    if (t == NULL || (t->returned && p->idempotent))
        return; /* what was given up meanwhile left a gap in the sequence */
    int32_t part = (int32_t)client_roll(c, (uint64_t)t->partitions);
    if (in_send(s, &t->parts[part])) return;
    struct send_batch *b = &s->batches[s->count++];
    uint32_t stream = stream_for(p, t, part), count = 1 + (uint32_t)client_roll(c, client_roll(c, 4) == 0 ? 20 : 4);
    *b = (struct send_batch){.partition = &t->parts[part],
                             .stream = stream,
                             .n = check_send(c->check, stream, count),
                             .count = count,
                             .sent_after = t->parts[part].high_watermark,
                             .open = true};
    struct batch_options o;
    const uint8_t *data;
    batch_options_init(&o);
    o.codec = p->codec;
    if (p->idempotent) {
        o.producer_id = p->id;
        o.producer_epoch = p->epoch;
        o.base_sequence = (int32_t)b->n;
    }
    batch_builder_reset(&p->builder, &o);
    check_batch(c->check, stream, b->n, count, &p->builder, &data, &b->size);
    b->bytes = malloc(b->size);
    CHECK(b->bytes != NULL);
    memcpy(b->bytes, data, b->size);
    c->world->count.batches++;
}

static bool ready(const struct producer *p)
{
    return wire_up(&p->wire) && (!p->idempotent || p->id >= 0) && !p->holding && !p->clients->draining;
}

static void send_new(struct producer *p)
{
    if (!ready(p) || p->end - p->first == SENDS_MAX) return;
    struct send *s = send_at(p, p->end);
    *s = (struct send){.number = p->end};
    uint64_t batches = 1 + client_roll(p->clients, SEND_PARTS_MAX);
    for (uint64_t i = 0; i < batches; i++) add_batch(p, s);
    if (s->count == 0) return;
    p->end++;
    if (!transmit(p, s)) p->holding = p->idempotent; /* as if it had failed */
    if (!p->idempotent && !s->in_flight)             /* acks=0, or never sent */
        for (uint32_t i = 0; i < s->count; i++) batch_done(&s->batches[i]);
    drop_done(p);
}

static void next_fire(struct timer *t)
{
    struct producer *p = container_of(t, struct producer, next);
    uint64_t burst = client_roll(p->clients, 8) == 0 ? SENDS_MAX : 1;
    for (uint64_t i = 0; i < burst; i++) send_new(p);
    env_timer_start(p->clients->env, t,
                    mono_add(p->clients->env->now, 1 + (int64_t)client_roll(p->clients, (uint64_t)p->pace_ns * 2)));
}

/* Everything that is open, in its order. */
static void send_again(struct producer *p)
{
    p->holding = false;
    for (uint64_t n = p->first; n < p->end; n++) {
        struct send *s = send_at(p, n);
        if (!send_open(s)) continue;
        p->clients->world->count.resent++;
        if (p->holding || !transmit(p, s)) p->holding = true;
    }
}

static void later(struct producer *p, int64_t at_most_ns)
{
    int64_t ns = 1 + (int64_t)client_roll(p->clients, (uint64_t)at_most_ns);
    env_timer_start(p->clients->env, &p->again, mono_add(p->clients->env->now, ns));
}

/* ---- answers ---- */

/* Is an earlier batch of the stream still open? Then a sequence error is its successor's due. */
static bool predecessor_open(struct producer *p, const struct send_batch *b)
{
    for (uint64_t n = p->first; n < p->end; n++) {
        const struct send *s = send_at(p, n);
        for (uint32_t i = 0; i < s->count; i++)
            if (s->batches[i].open && s->batches[i].stream == b->stream && s->batches[i].n < b->n) return true;
    }
    return false;
}

static void settle(struct producer *p, struct send_batch *b, const struct produce_response_partition *a)
{
    struct clients *c = p->clients;
    struct check_topic *t = b->partition->topic;
    bool gone = t->fate != TOPIC_THERE || t->returned;
    switch (a->error_code) {
    case ERROR_NONE:
        check_acked(c->check, b->stream, b->n, b->count, a->base_offset, b->sent_after);
        batch_done(b);
        return;
    case ERROR_UNKNOWN_TOPIC_ID: check_topic_missing(c->check, t, p->name); break;
    case ERROR_UNKNOWN_PARTITION: /* a partition whose files cannot be opened says so, too */
        if (!gone && !p->idempotent) check_refused(c->check, b->stream, b->n, b->count);
        break;
    case ERROR_SEQUENCE:
        BROKER_MUST(c->world, gone || (p->idempotent && predecessor_open(p, b)),
                    "%s: record %u of stream %u to %s-%d is out of order, and all before it are settled", p->name, b->n,
                    b->stream, t->name, b->partition->number);
        break;
    case ERROR_TIMED_OUT:
    case ERROR_STORAGE: break;
    default:
        BROKER_MUST(c->world, false, "%s: a produce to %s-%d is answered with %d", p->name, t->name,
                    b->partition->number, a->error_code);
    }
    if (p->idempotent && !gone) return; /* again */
    c->world->count.dropped++;
    batch_done(b);
}

static void take_produce(struct producer *p, struct send *s, const struct produce_response *a)
{
    int32_t at = 0;
    CHECK(s->in_flight);
    s->in_flight = false;
    p->in_flight--;
    for (uint32_t i = 0; i < s->count; i++) {
        struct send_batch *b = &s->batches[i];
        if (!b->open) continue;
        const struct produce_response_topic *topic = &a->responses[at];
        bool fits = at++ < a->responses_count && uuid_equal(topic->topic_id, b->partition->topic->id) &&
                    topic->partition_responses_count == 1 &&
                    topic->partition_responses[0].index == b->partition->number;
        BROKER_MUST(p->clients->world, fits, "%s: a produce is answered for other partitions", p->name);
        settle(p, b, &topic->partition_responses[0]);
    }
    if (send_open(s)) p->holding = true;
    drop_done(p);
    if (p->holding && p->in_flight == 0) later(p, 200 * NS_PER_MS);
}

static void answer(struct wire *w, const struct wire_call *call, const void *response)
{
    struct producer *p = producer_of(w);
    if (call->tag != TAG_INIT) {
        take_produce(p, send_at(p, call->tag), response);
        return;
    }
    const struct init_producer_id_response *a = response;
    BROKER_MUST(w->world,
                a->error_code == 0 || a->error_code == ERROR_STORAGE || a->error_code == ERROR_NOT_CONTROLLER ||
                    a->error_code == ERROR_TIMED_OUT,
                "%s: a producer id is refused with %d", p->name, a->error_code);
    if (a->error_code != 0) {
        wire_close(w);
        return;
    }
    p->id = a->producer_id;
    p->epoch = a->producer_epoch;
}

/* ---- the connection ---- */

static void up(struct wire *w)
{
    struct producer *p = producer_of(w);
    if (p->idempotent && producer_quiet(p) && client_roll(p->clients, 4) == 0) p->id = -1; /* a new life */
    if (!p->idempotent || p->id < 0) memset(p->streams, 0, sizeof p->streams);
    if (p->idempotent && p->id < 0) {
        struct init_producer_id_request q;
        init_producer_id_request_init(&q);
        q.transactional_id = STR_NULL;
        q.producer_id = q.producer_epoch = -1;
        CHECK(wire_call(w, API_INIT, 4, &q, TAG_INIT, true));
        return;
    }
    send_again(p);
}

static void down(struct wire *w)
{
    struct producer *p = producer_of(w);
    for (uint64_t n = p->first; n < p->end; n++) {
        struct send *s = send_at(p, n);
        s->in_flight = false;
        for (uint32_t i = 0; i < s->count && !p->idempotent; i++) batch_done(&s->batches[i]);
    }
    p->in_flight = 0;
    p->holding = p->idempotent && p->first < p->end;
    drop_done(p);
    later(p, 300 * NS_PER_MS);
}

static void again_fire(struct timer *t)
{
    struct producer *p = container_of(t, struct producer, again);
    for (uint64_t n = p->first; n < p->end; n++) { /* what its topic's deletion has settled */
        struct send *s = send_at(p, n);
        for (uint32_t i = 0; i < s->count; i++)
            if (s->batches[i].open && !s->in_flight && s->batches[i].partition->topic->fate == TOPIC_GONE)
                batch_done(&s->batches[i]);
    }
    drop_done(p);
    if (p->wire.state == WIRE_DOWN)
        wire_open(&p->wire);
    else if (wire_up(&p->wire) && p->in_flight == 0)
        send_again(p);
    if (p->holding) later(p, 200 * NS_PER_MS);
}

void producer_init(struct producer *p, struct clients *c, uint32_t number)
{
    static const enum codec codecs[] = {CODEC_NONE, CODEC_NONE, CODEC_LZ4, CODEC_ZSTD, CODEC_SNAPPY, CODEC_GZIP};
    struct batch_options o;
    *p = (struct producer){.clients = c, .id = -1, .pace_ns = (int64_t)(5 + client_roll(c, 150)) * NS_PER_MS};
    snprintf(p->name, sizeof p->name, "producer-%u", number);
    uint64_t kind = client_roll(c, 10);
    p->idempotent = number == 0 || kind < 6;
    p->acks = p->idempotent || kind < 8 ? -1 : kind == 8 ? 1 : 0;
    p->codec = codecs[client_roll(c, COUNT_OF(codecs))];
    wire_init(&p->wire, c->world, c->env, p->name);
    p->wire.up = up;
    p->wire.answer = answer;
    p->wire.down = down;
    p->next.fire = next_fire;
    p->again.fire = again_fire;
    batch_options_init(&o);
    batch_builder_init(&p->builder, c->env->mem, &o);
    wire_open(&p->wire);
    next_fire(&p->next);
}

void producer_deinit(struct producer *p)
{
    for (uint64_t n = p->first; n < p->end; n++)
        for (uint32_t i = 0; i < send_at(p, n)->count; i++) batch_done(&send_at(p, n)->batches[i]);
    wire_deinit(&p->wire);
}

// SPDX-License-Identifier: Apache-2.0
/* Producers: a connection, its streams, `outstanding` slots for requests.
 *
 * pump: while a slot is free and the next request is due -> fill its batches (one per stream, in turn) -> encode around
 * them without copying -> channel_send. answer: each partition's error is looked at, the latency of each record is
 * noted. over: the slot is free, pump again.
 *
 * A request is due when its last record is (schedule.h). In the closed loop it always is, until the time is over.
 * Failure modes: an error code ends the run; what the codec or memory refuses does too. */
#include "tools/bench/produce.h"

#include "base/bytes.h"
#include "protocol/msg_produce.h"
#include <stdio.h>
#include <stdlib.h>

static void *zeroed(size_t count, size_t size)
{
    void *p = calloc(MAX(count, 1), size);
    CHECK(p != NULL);
    return p;
}

/* ---- the loop ---- */

static bool over_by_time(const struct producer *p)
{
    return p->schedule.rate <= 0 && clock_ns() >= p->driver->run->to_ns;
}

static void pump(struct producer *p)
{
    struct driver *d = p->driver;
    while (d->phase == DRIVE_RUNNING && !p->channel.closing && p->next_record < p->quota && !over_by_time(p)) {
        uint64_t records = request_planned(p);
        if (p->schedule.rate > 0) {
            int64_t due = schedule_at_ns(&p->schedule, p->next_record + records - 1), now = clock_ns();
            if (due > now) {
                p->blocked = false;
                if (!env_timer_armed(&p->due)) env_timer_start(d->env, &p->due, (struct mono_ns){due});
                return;
            }
            if (!list_empty(&p->free) && !p->blocked && due >= d->run->from_ns)
                histogram_record(&d->results.lag, (uint64_t)(now - due));
        }
        if (list_empty(&p->free)) {
            p->blocked = true;
            return;
        }
        struct slot *s = container_of(list_pop_front(&p->free), struct slot, in_free);
        enum status st = request_make(p, s, records);
        if (st != STATUS_OK) {
            drive_fail(d, status_text(st));
            return;
        }
        p->in_flight++;
        channel_send(&p->channel, &s->call);
    }
}

static void due_fire(struct timer *t)
{
    pump(container_of(t, struct producer, due));
}

static void note_latency(struct slot *s, int64_t now)
{
    struct producer *p = s->producer;
    const struct run *r = p->driver->run;
    struct results *x = &p->driver->results;
    bool inside = now >= r->from_ns && now < r->to_ns;
    for (uint32_t i = 0; i < s->records; i++) {
        int64_t at = p->schedule.rate > 0 ? schedule_at_ns(&p->schedule, s->first_record + i) : s->begun_ns;
        bool measured = p->schedule.rate > 0 ? at >= r->from_ns && at < r->to_ns : inside;
        if (measured) histogram_record(&x->ack, (uint64_t)MAX(now - at, 0));
    }
    x->last_ack_ns = now;
    x->all_acked += s->records;
    if (inside) {
        x->acked += s->records;
        x->acked_bytes += (uint64_t)s->records * p->driver->patterns.size;
        x->requests++;
    }
    atomic_store_explicit(&p->driver->seen_acked, x->all_acked, memory_order_relaxed);
}

static void note_written(struct slot *s)
{
    struct producer *p = s->producer;
    for (uint32_t i = 0; i < s->batches; i++)
        p->driver->run->written[p->streams[s->first_stream + i].number] += s->batch_records[i];
}

static bool response_good(struct producer *p, const uint8_t *frame, uint32_t size)
{
    struct driver *d = p->driver;
    int16_t version = d->run->target->versions[PRODUCE];
    struct produce_response r;
    struct cursor c;
    int32_t id;
    char why[300];
    cursor_init(&c, frame, size);
    arena_reset(&d->arena);
    enum status st = response_header_decode(&c, PRODUCE, version, &id);
    if (st == STATUS_OK) st = produce_response_decode(&c, &d->arena, version, &r);
    if (st != STATUS_OK) {
        channel_fail(&p->channel, "an answer to Produce cannot be read");
        return false;
    }
    for (int32_t i = 0; i < r.responses_count; i++)
        for (int32_t k = 0; k < r.responses[i].partition_responses_count; k++) {
            const struct produce_response_partition *a = &r.responses[i].partition_responses[k];
            if (a->error_code == 0) continue;
            snprintf(why, sizeof why, "%s: Produce to %.*s-%d: %s%s%.*s", p->channel.address,
                     (int)MIN(r.responses[i].name.len, 100), r.responses[i].name.data, a->index,
                     kafka_error(a->error_code), a->error_message.len > 0 ? ": " : "",
                     MIN(MAX(a->error_message.len, 0), 100), a->error_message.len > 0 ? a->error_message.data : "");
            drive_fail(d, why);
            return false;
        }
    return true;
}

static void answer(struct call *call, const uint8_t *frame, uint32_t size)
{
    struct slot *s = container_of(call, struct slot, call);
    int64_t now = clock_ns();
    if (!response_good(s->producer, frame, size)) return;
    note_written(s);
    note_latency(s, now);
}

static void over(struct call *call)
{
    struct slot *s = container_of(call, struct slot, call);
    struct producer *p = s->producer;
    if (call->no_answer) note_latency(s, clock_ns());
    p->in_flight--;
    list_push_back(&p->free, &s->in_free);
    pump(p);
}

/* ---- life ---- */

static void opened(struct channel *c)
{
    drive_opened(c, container_of(c, struct producer, channel)->driver);
}

static void failed(struct channel *c)
{
    drive_fail(container_of(c, struct producer, channel)->driver, c->why);
}

static void closed(struct channel *c)
{
    drive_closed(container_of(c, struct producer, channel)->driver);
}

static void producer_create(struct driver *d, struct producer *p, uint32_t number)
{
    const struct client_options *o = d->run->options;
    const struct plan_connection *c = &d->run->plan->connections[number];
    *p = (struct producer){.driver = d, .due.fire = due_fire, .id = d->run->target->producers[number]};
    p->schedule =
        (struct schedule){.rate = o->rate, .connection = number, .connections = d->run->plan->connection_count};
    p->stream_count = c->stream_count;
    p->streams = zeroed(c->stream_count, sizeof *p->streams);
    for (uint32_t i = 0; i < c->stream_count; i++)
        p->streams[i] = (struct stream){.number = c->first_stream + i,
                                        .partition = d->run->plan->streams[c->first_stream + i].partition};
    list_init(&p->free);
    p->slots = zeroed(o->outstanding, sizeof *p->slots);
    for (uint32_t i = 0; i < o->outstanding; i++) {
        slot_create(p, &p->slots[i]);
        p->slots[i].call.answer = answer;
        p->slots[i].call.over = over;
        list_push_back(&p->free, &p->slots[i].in_free);
    }
    p->channel.opened = opened;
    p->channel.failed = failed;
    p->channel.closed = closed;
    memcpy(p->channel.address, d->run->target->brokers[c->broker].address, sizeof p->channel.address);
    d->opening++;
    d->live++;
    channel_open(&p->channel, &d->channels);
}

void producers_create(struct driver *d)
{
    const struct plan *plan = d->run->plan;
    if (!client_writes(d->run->options)) return;
    d->producers = zeroed(plan->connection_count, sizeof *d->producers);
    for (uint32_t i = 0; i < plan->connection_count; i++)
        if (plan->connections[i].thread == d->number) producer_create(d, &d->producers[d->producer_count++], i);
}

void producers_begin(struct driver *d)
{
    const struct run *r = d->run;
    for (uint32_t i = 0; i < d->producer_count; i++) {
        struct producer *p = &d->producers[i];
        uint32_t number = p->schedule.connection, of = p->schedule.connections;
        p->schedule.begin_ns = r->begin_ns;
        p->quota = UINT64_MAX;
        if (r->options->count > 0)
            p->quota = r->options->count / of + (number < r->options->count % of);
        else if (p->schedule.rate > 0)
            p->quota = schedule_before(&p->schedule, r->to_ns);
        env_timer_start(d->env, &p->due, (struct mono_ns){r->begin_ns});
    }
}

bool producers_finished(const struct driver *d)
{
    for (uint32_t i = 0; i < d->producer_count; i++) {
        const struct producer *p = &d->producers[i];
        if (p->in_flight > 0 || (p->next_record < p->quota && !over_by_time(p))) return false;
    }
    return true;
}

/* Open loop: what was due and is not acknowledged has waited at least until now. */
void producers_give_up(struct driver *d)
{
    int64_t now = clock_ns();
    for (uint32_t i = 0; i < d->producer_count; i++) {
        struct producer *p = &d->producers[i];
        uint64_t n = p->next_record;
        for (; p->schedule.rate > 0 && n < p->quota; n++) {
            int64_t at = schedule_at_ns(&p->schedule, n);
            if (at >= now) break;
            if (at >= d->run->from_ns) histogram_record(&d->results.ack, (uint64_t)(now - at));
        }
        d->results.unanswered += n - p->next_record;
        p->quota = p->next_record;
    }
}

void producers_close(struct driver *d)
{
    for (uint32_t i = 0; i < d->producer_count; i++) {
        env_timer_stop(d->env, &d->producers[i].due);
        channel_close(&d->producers[i].channel);
    }
}

void producers_free(struct driver *d)
{
    uint32_t outstanding = d->run->options->outstanding;
    for (uint32_t i = 0; i < d->producer_count; i++) {
        struct producer *p = &d->producers[i];
        for (uint32_t k = 0; k < outstanding; k++) slot_free(p, &p->slots[k]);
        free(p->slots);
        free(p->streams);
    }
    free(d->producers);
    d->producers = NULL;
    d->producer_count = 0;
}

int64_t producers_wait_since_ns(const struct driver *d, const char **ret_address)
{
    int64_t since = INT64_MAX;
    for (uint32_t i = 0; i < d->producer_count; i++) {
        int64_t one = channel_waits_since_ns(&d->producers[i].channel);
        if (one >= since) continue;
        since = one;
        *ret_address = d->producers[i].channel.address;
    }
    return since;
}

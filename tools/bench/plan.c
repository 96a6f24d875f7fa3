// SPDX-License-Identifier: Apache-2.0
/* The plan (plan.h). First pass: how many partitions and connections each broker has. Then per broker its groups, and
 * per group connections, streams, partitions. At last readers, from the threads that the groups got. */
#include "tools/bench/plan.h"

#include "base/bytes.h"
#include "base/check.h"
#include <stdlib.h>

static void *zeroed(size_t count, size_t size)
{
    void *p = calloc(MAX(count, 1), size);
    CHECK(p != NULL);
    return p;
}

static void append_reader(struct plan *p, uint32_t broker, uint32_t thread, uint32_t first, uint32_t count)
{
    p->readers[p->reader_count++] =
        (struct plan_reader){.broker = broker, .thread = thread, .first = first, .count = count};
}

/* The partitions of one broker, ascending. */
static uint32_t led_by(const struct plan_input *in, uint32_t broker, uint32_t *ret_partitions)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < in->partitions; i++)
        if (in->leaders[i] == broker) ret_partitions[n++] = i;
    return n;
}

/* Connection c of a broker that has `mine` of them: its group's partitions. */
static void deal_connection(struct plan *p, const struct plan_connection *base, uint32_t group, uint32_t groups,
                            const uint32_t *led, uint32_t count)
{
    struct plan_connection *c = &p->connections[p->connection_count];
    *c = *base;
    c->first_stream = p->stream_count;
    for (uint32_t i = group; i < count; i += groups) {
        p->streams[p->stream_count++] = (struct plan_stream){.connection = p->connection_count, .partition = led[i]};
        p->thread_of[led[i]] = c->thread;
    }
    c->stream_count = p->stream_count - c->first_stream;
    p->connection_count++;
}

static void deal_broker(struct plan *p, const struct plan_input *in, uint32_t broker, uint32_t mine,
                        uint32_t *first_group, uint32_t *room)
{
    uint32_t count = led_by(in, broker, room);
    uint32_t groups = MIN(count, mine);
    for (uint32_t i = 0; i < mine; i++) {
        uint32_t group = i % groups;
        struct plan_connection base = {.broker = broker, .thread = (*first_group + group) % in->threads};
        deal_connection(p, &base, group, groups, room, count);
    }
    *first_group += groups;
}

/* Partitions of one broker and thread, over up to `most` readers. */
static void deal_readers(struct plan *p, const struct plan_input *in, uint32_t broker, uint32_t thread, uint32_t most,
                         uint32_t *used)
{
    uint32_t count = 0, *order = p->read_order + *used;
    for (uint32_t i = 0; i < in->partitions; i++)
        if (in->leaders[i] == broker && p->thread_of[i] == thread) order[count++] = i;
    uint32_t readers = MIN(MAX(most, 1u), count), at = 0;
    for (uint32_t i = 0; i < readers; i++) {
        uint32_t n = count / readers + (i < count % readers);
        append_reader(p, broker, thread, *used + at, n);
        at += n;
    }
    *used += count;
}

void plan_make(struct plan *p, const struct plan_input *in)
{
    CHECK(in->partitions > 0 && in->connections > 0 && in->threads > 0 && in->brokers > 0);
    *p = (struct plan){.partition_count = in->partitions};
    uint32_t *led = zeroed(in->brokers, sizeof *led), *room = zeroed(in->partitions, sizeof *room);
    uint32_t leading = 0, group = 0, nth = 0, used = 0;
    for (uint32_t i = 0; i < in->partitions; i++) {
        CHECK(in->leaders[i] < in->brokers);
        leading += led[in->leaders[i]]++ == 0;
    }
    uint32_t connections = MAX(in->connections, leading), readers = MAX(in->readers, leading * in->threads);
    p->connections = zeroed(connections, sizeof *p->connections);
    p->streams = zeroed((size_t)in->partitions + connections, sizeof *p->streams);
    p->readers = zeroed(readers, sizeof *p->readers);
    p->read_order = zeroed(in->partitions, sizeof *p->read_order);
    p->thread_of = zeroed(in->partitions, sizeof *p->thread_of);
    for (uint32_t b = 0; b < in->brokers; b++) {
        if (led[b] == 0) continue;
        uint32_t mine = connections / leading + (nth++ < connections % leading);
        deal_broker(p, in, b, mine, &group, room);
    }
    for (uint32_t b = 0; b < in->brokers; b++)
        for (uint32_t t = 0; led[b] > 0 && t < in->threads; t++)
            deal_readers(p, in, b, t, readers / (leading * in->threads), &used);
    CHECK(used == in->partitions && p->stream_count >= in->partitions);
    free(led);
    free(room);
}

void plan_free(struct plan *p)
{
    free(p->connections);
    free(p->streams);
    free(p->readers);
    free(p->read_order);
    free(p->thread_of);
    *p = (struct plan){0};
}

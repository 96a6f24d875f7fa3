// SPDX-License-Identifier: Apache-2.0
/* What a Produce request holds: batches of the next streams in turn, each record with its head; the frame is encoded
 * around the batches, which are not copied. Failure modes: those of the batch builder. */
#include "tools/bench/produce.h"

#include "base/bytes.h"
#include "protocol/msg_produce.h"
#include <stdio.h>
#include <stdlib.h>

#define KEY_BYTES       16
#define REQUEST_TIME_MS 30000
#define CLIENT_ID       STR("leat-bench")

static void *zeroed(size_t count, size_t size)
{
    void *p = calloc(MAX(count, 1), size);
    CHECK(p != NULL);
    return p;
}

void slot_create(struct producer *p, struct slot *s)
{
    const struct client_options *o = producer_options(p);
    struct batch_options none;
    batch_options_init(&none);
    *s = (struct slot){.producer = p, .call.no_answer = o->acks == 0};
    s->builders = zeroed(o->request_batches, sizeof *s->builders);
    s->batch_records = zeroed(o->request_batches, sizeof *s->batch_records);
    s->pieces = zeroed(2 * (size_t)o->request_batches + 4, sizeof *s->pieces);
    s->iov = zeroed(2 * (size_t)o->request_batches + 4, sizeof *s->iov);
    for (uint32_t i = 0; i < o->request_batches; i++) batch_builder_init(&s->builders[i], p->driver->env->mem, &none);
}

void slot_free(struct producer *p, struct slot *s)
{
    for (uint32_t i = 0; i < producer_options(p)->request_batches; i++) batch_builder_deinit(&s->builders[i]);
    free(s->builders);
    free(s->batch_records);
    free(s->pieces);
    free(s->iov);
    free(s->own);
}

static int32_t key_make(const struct producer *p, const struct stream *s, char key[KEY_BYTES + 1])
{
    const struct client_options *o = producer_options(p);
    if (o->keys == 0) return -1;
    return snprintf(key, KEY_BYTES + 1, "%06x-%08x", s->partition & 0xffffffu, (uint32_t)(s->next % o->keys));
}

static enum status batch_fill(struct producer *p, struct slot *s, uint32_t nth, uint32_t records,
                              const uint8_t **ret_data, size_t *ret_bytes)
{
    struct driver *d = p->driver;
    struct stream *to = &p->streams[s->first_stream + nth];
    struct batch_builder *b = &s->builders[nth];
    struct batch_options options;
    char key[KEY_BYTES + 1];
    batch_options_init(&options);
    options.codec = producer_options(p)->codec;
    options.producer_id = p->id.id;
    options.producer_epoch = p->id.epoch;
    if (p->id.id >= 0) options.base_sequence = (int32_t)(to->next & INT32_MAX);
    batch_builder_reset(b, &options);
    for (uint32_t i = 0; i < records; i++) {
        uint64_t number = s->first_record + s->records + i;
        struct record_head head = {
            .run = d->run->id, .stream = to->number, .partition = to->partition, .sequence = to->next};
        head.intended_ns = p->schedule.rate > 0 ? schedule_at_ns(&p->schedule, number) : s->begun_ns;
        int32_t key_bytes = key_make(p, to, key);
        const uint8_t *value = patterns_value(&d->patterns, number, &head);
        enum status st =
            batch_builder_append(b, d->env->now_wall.v, key, key_bytes, value, (int32_t)d->patterns.size, NULL, 0);
        if (st != STATUS_OK) return st;
        to->next++;
    }
    s->batch_records[nth] = records;
    return batch_builder_finish(b, ret_data, ret_bytes);
}

/* Topics of a request: neighbours of the same topic share an entry. */
struct body {
    struct produce_request request;
    struct produce_request_topic topics[256];
    struct produce_request_partition partitions[256];
};

static void body_add(const struct producer *p, struct body *b, uint32_t nth, uint32_t partition, const uint8_t *data,
                     size_t bytes)
{
    const struct target *t = p->driver->run->target;
    struct str name = {t->topics[partition / t->partitions_each], 0};
    name.len = (int32_t)strlen(name.data);
    struct produce_request_topic *last =
        b->request.topic_data_count == 0 ? NULL : &b->topics[b->request.topic_data_count - 1];
    if (last == NULL || last->name.data != name.data) {
        last = &b->topics[b->request.topic_data_count++];
        produce_request_topic_init(last);
        last->name = name;
        last->partition_data = &b->partitions[nth];
    }
    produce_request_partition_init(&b->partitions[nth]);
    b->partitions[nth].index = (int32_t)(partition % t->partitions_each);
    b->partitions[nth].records = (struct records){.data = data, .len = (int32_t)bytes};
    last->partition_data_count++;
}

static enum status encode(struct producer *p, struct slot *s, const struct body *b)
{
    int16_t version = p->driver->run->target->versions[PRODUCE];
    struct request_header h = {.api_key = PRODUCE,
                               .api_version = version,
                               .correlation_id = ++p->correlation,
                               .client_id = CLIENT_ID,
                               .api = api_find(PRODUCE),
                               .supported = true};
    struct message_size body = produce_request_size(version, &b->request), size = frame_request_size(&h, body);
    struct writer w;
    if (size.own > s->own_room) {
        s->own = realloc(s->own, size.own);
        CHECK(s->own != NULL);
        s->own_room = size.own;
    }
    uint32_t room = 2 * producer_options(p)->request_batches + 4;
    CHECK(size.pieces <= room);
    writer_init(&w, s->own, s->own_room, s->pieces, room);
    frame_request(&w, &h, body);
    produce_request_encode(&w, version, &b->request);
    enum status st = writer_finish(&w);
    uint32_t n = 0;
    for (uint32_t i = 0; st == STATUS_OK && i < w.piece_count; i++)
        if (s->pieces[i].len > 0) s->iov[n++] = (struct iovec){(void *)(uintptr_t)s->pieces[i].data, s->pieces[i].len};
    s->call.iov = s->iov;
    s->call.iov_count = n;
    s->call.correlation_id = h.correlation_id;
    return st;
}

uint64_t request_planned(const struct producer *p)
{
    const struct client_options *o = producer_options(p);
    uint32_t batches = MIN(o->request_batches, p->stream_count - p->next_stream);
    return MIN((uint64_t)batches * o->batch_records, p->quota - p->next_record);
}

enum status request_make(struct producer *p, struct slot *s, uint64_t records)
{
    const struct client_options *o = producer_options(p);
    static _Thread_local struct body b;
    enum status st = STATUS_OK;
    s->first_stream = p->next_stream;
    s->first_record = p->next_record;
    s->records = s->batches = 0;
    s->begun_ns = clock_ns();
    produce_request_init(&b.request);
    b.request.acks = o->acks;
    b.request.timeout_ms = REQUEST_TIME_MS;
    b.request.topic_data = b.topics;
    while (st == STATUS_OK && s->records < records) {
        const uint8_t *data = NULL;
        size_t bytes = 0;
        uint32_t n = (uint32_t)MIN((uint64_t)o->batch_records, records - s->records), nth = s->batches;
        st = batch_fill(p, s, nth, n, &data, &bytes);
        body_add(p, &b, nth, p->streams[s->first_stream + nth].partition, data, bytes);
        s->records += n;
        s->batches++;
    }
    p->next_stream = s->first_stream + s->batches == p->stream_count ? 0 : s->first_stream + s->batches;
    p->next_record += s->records;
    return st == STATUS_OK ? encode(p, s, &b) : st;
}

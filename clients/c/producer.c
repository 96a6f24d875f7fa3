// SPDX-License-Identifier: Apache-2.0
/* The producer, user's side (contract: leat.h; inside: producer.h).
 *
 * Happy path of a record: lane of its partition -> copied into the open batch -> batch full: sealed (producer id and
 * sequence fixed, compressed) -> producer_send.c sends it and takes the answer.
 * Failure modes: no room (the sealed batch is still out, memory or buffer_bytes used up): steps until there is, or
 * until the deadline: then the record was not taken. A refused batch ends the producer. */
#include "clients/c/producer.h"

#include "base/bytes.h"
#include "clients/c/partitioner.h"
#include "protocol/msg_init_producer_id.h"

#define INIT_PRODUCER_ID_VERSION_CAP 4
#define BATCH_BYTES_DEFAULT          (512u << 10)
#define BUFFER_BYTES_DEFAULT         (64ull << 20)
#define SEQUENCE_MASK                0x7fffffffu
#define HEADERS_MAX                  10000u /* of one record: beyond it is a mistake */

void leat_record_init(struct leat_record *r)
{
    *r = (struct leat_record){.key_len = -1, .value_len = -1, .timestamp_ms = -1, .partition = -1, .offset = -1};
}

void leat_producer_options_init(struct leat_producer_options *o)
{
    *o = (struct leat_producer_options){
        .codec = LEAT_NONE,
        .acks = -1,
        .idempotent = true,
        .batch_bytes = BATCH_BYTES_DEFAULT,
        .buffer_bytes = BUFFER_BYTES_DEFAULT,
        .delivery_timeout_ms = 120000,
    };
}

bool leat_codec_parse(const char *name, enum leat_codec *ret_codec)
{
    static_assert((int)LEAT_ZSTD == CODEC_ZSTD && (int)LEAT_NONE == CODEC_NONE, "one numbering");
    for (int c = CODEC_NONE; c < CODEC_COUNT; c++) {
        if (strcmp(codec_name((enum codec)c), name) != 0) continue;
        *ret_codec = (enum leat_codec)c;
        return true;
    }
    return false;
}

/* ---- life ---- */

static enum leat_code options_check(const struct leat_producer_options *o, struct leat_error *e)
{
    if (!topic_valid(o->topic))
        return fail(e, LEAT_INVALID, "'%.300s' is no topic name: 1 to 249 of letters, digits, '.', '_', '-'",
                    o->topic == NULL ? "" : o->topic);
    if (o->acks < -1 || o->acks > 1) return fail(e, LEAT_INVALID, "acks must be -1 (all), 1 or 0");
    if (o->idempotent && o->acks != -1)
        return fail(e, LEAT_INVALID, "idempotent needs acks -1 (all): set idempotent to false");
    if ((unsigned)o->codec > LEAT_ZSTD) return fail(e, LEAT_INVALID, "unknown codec %d", (int)o->codec);
    if (o->batch_bytes == 0 || o->batch_bytes > BATCH_BYTES_MAX || o->buffer_bytes < o->batch_bytes)
        return fail(e, LEAT_INVALID, "batch_bytes must be above 0 and at most buffer_bytes");
    if (o->delivery_timeout_ms <= 0) return fail(e, LEAT_INVALID, "delivery_timeout_ms must be above 0");
    return LEAT_OK;
}

enum leat_code leat_producer_create(struct leat_client *client, const struct leat_producer_options *options,
                                    struct leat_producer **ret_producer, struct leat_error *ret_error)
{
    enum leat_code code = options_check(options, ret_error);
    if (code != LEAT_OK) return code;
    struct leat_producer *p = mem_zalloc(client->mem, MEM_CONTROL, sizeof *p);
    if (p == NULL) return fail(ret_error, LEAT_NO_MEMORY, "no memory for a producer");
    p->client = client;
    p->options = *options;
    p->producer_id = BATCH_NO_PRODUCER;
    p->producer_epoch = -1;
    topic_view_init(&p->view, client, options->topic);
    p->options.topic = p->view.name;
    conns_init(&p->conns);
    list_init(&p->flights);
    *ret_producer = p;
    return LEAT_OK;
}

void leat_producer_destroy(struct leat_producer *p)
{
    if (p == NULL) return;
    struct mem *mem = p->client->mem;
    producer_drop_flights(p);
    conns_close(&p->conns, p->client);
    for (int32_t i = 0; i < p->lane_count; i++) {
        batch_builder_deinit(&p->lanes[i].open);
        batch_builder_deinit(&p->lanes[i].sealed);
    }
    mem_free(mem, MEM_CONTROL, p->lanes, (size_t)p->lane_count * sizeof *p->lanes);
    topic_view_deinit(&p->view);
    mem_free(mem, MEM_CONTROL, p, sizeof *p);
}

void leat_producer_counts(const struct leat_producer *p, struct leat_producer_counts *ret_counts)
{
    *ret_counts = p->counts;
}

/* ---- lanes ---- */

static struct batch_options batch_options_of(const struct leat_producer *p)
{
    struct batch_options o;
    batch_options_init(&o);
    o.codec = (enum codec)p->options.codec;
    return o;
}

/* As many lanes as the topic has partitions; partitions are only ever added. */
static enum leat_code lanes_make(struct leat_producer *p, struct leat_error *e)
{
    int32_t count = topic_view_partitions(&p->view);
    struct batch_options o = batch_options_of(p);
    if (count <= p->lane_count) return LEAT_OK;
    struct lane *lanes = mem_realloc(p->client->mem, MEM_CONTROL, p->lanes, (size_t)p->lane_count * sizeof *lanes,
                                     (size_t)count * sizeof *lanes);
    if (lanes == NULL) return fail(e, LEAT_NO_MEMORY, "no memory for %d partitions", count);
    for (int32_t i = p->lane_count; i < count; i++) {
        lanes[i] = (struct lane){.partition = i};
        batch_builder_init(&lanes[i].open, p->client->mem, &o);
        batch_builder_init(&lanes[i].sealed, p->client->mem, &o);
    }
    p->lanes = lanes;
    p->lane_count = count;
    return LEAT_OK;
}

static enum leat_code producer_id_get(struct leat_producer *p, int64_t deadline, struct leat_error *e)
{
    struct init_producer_id_request q;
    struct attempt again;
    if (!p->options.idempotent || p->producer_id != BATCH_NO_PRODUCER) return LEAT_OK;
    init_producer_id_request_init(&q);
    q.transactional_id = STR_NULL;
    q.transaction_timeout_ms = 60000;
    const struct call what = {
        .key = API_INIT_PRODUCER_ID, .version_cap = INIT_PRODUCER_ID_VERSION_CAP, .message = &q, .target = CALL_ANY};
    attempt_init(&again, deadline);
    for (;;) {
        struct reply r;
        enum leat_code code = call(p->client, &what, deadline, &r, e);
        if (code != LEAT_OK) return code;
        const struct init_producer_id_response *a = r.message;
        int16_t error = a->error_code;
        p->producer_epoch = a->producer_epoch;
        if (error == KAFKA_NONE) p->producer_id = a->producer_id;
        reply_free(&r);
        if (error == KAFKA_NONE && p->producer_id > BATCH_NO_PRODUCER) return LEAT_OK;
        if (!leat_kafka_error_retriable(error) || !attempt_again(&again))
            return fail_kafka(e, error, "no producer id for an idempotent producer");
    }
}

/* The open batch becomes the sealed one. Needs the lane empty. */
static enum leat_code lane_seal(struct leat_producer *p, struct lane *l, int64_t deadline, struct leat_error *e)
{
    CHECK(l->state == LANE_EMPTY && l->open.count > 0);
    enum leat_code code = producer_id_get(p, deadline, e);
    if (code != LEAT_OK) return code;
    if (p->options.idempotent) {
        l->open.options.producer_id = p->producer_id;
        l->open.options.producer_epoch = p->producer_epoch;
        l->open.options.base_sequence = l->next_sequence;
    }
    enum status s = batch_builder_finish(&l->open, &l->bytes, &l->size);
    if (s != STATUS_OK) return fail_status(e, s, "a batch of %d records", l->open.count);
    struct batch_builder empty = l->sealed;
    struct batch_options o = batch_options_of(p);
    l->sealed = l->open;
    l->open = empty;
    batch_builder_reset(&l->open, &o);
    l->next_sequence = (int32_t)(((uint32_t)l->next_sequence + (uint32_t)l->sealed.count) & SEQUENCE_MASK);
    l->state = LANE_READY;
    l->tried = l->sent = false;
    if (p->sticky == l->partition) p->sticky = (p->sticky + 1) % p->lane_count;
    return LEAT_OK;
}

/* Memory of batches without records goes back. */
static void lanes_trim(struct leat_producer *p)
{
    struct batch_options o = batch_options_of(p);
    for (int32_t i = 0; i < p->lane_count; i++) {
        struct lane *l = &p->lanes[i];
        if (l->state == LANE_EMPTY) batch_builder_deinit(&l->sealed);
        if (l->state == LANE_EMPTY) batch_builder_init(&l->sealed, p->client->mem, &o);
        if (l->open.count > 0) continue;
        batch_builder_deinit(&l->open);
        batch_builder_init(&l->open, p->client->mem, &o);
    }
}

/* ---- taking records ---- */

static enum leat_code record_check(const struct leat_record *r, struct leat_error *e)
{
    if (r->key_len < -1 || r->value_len < -1) return fail(e, LEAT_INVALID, "a length below -1");
    if (r->header_count > HEADERS_MAX) return fail(e, LEAT_INVALID, "more than %u headers", HEADERS_MAX);
    for (size_t i = 0; i < r->header_count; i++)
        if (r->headers[i].name_len < 0 || r->headers[i].value_len < -1)
            return fail(e, LEAT_INVALID, "header %zu has no name or a length below -1", i);
    return LEAT_OK;
}

static enum leat_code lane_choose(struct leat_producer *p, const struct leat_record *r, struct lane **ret_lane,
                                  struct leat_error *e)
{
    int32_t n = p->lane_count, number = r->partition;
    if (number < -1 || number >= n)
        return fail(e, LEAT_INVALID, "topic '%s' has partitions 0 to %d, no %d", p->view.name, n - 1, number);
    if (number < 0 && r->key_len >= 0) number = partition_of_key(r->key, (size_t)r->key_len, n);
    *ret_lane = &p->lanes[number < 0 ? p->sticky : number];
    return LEAT_OK;
}

static enum status lane_append(struct leat_producer *p, struct lane *l, const struct leat_record *r)
{
    struct batch_header few[16], *headers = few;
    size_t n = r->header_count, bytes = n * sizeof *headers, before = l->open.size;
    if (n > COUNT_OF(few)) headers = mem_alloc(p->client->mem, MEM_CONTROL, bytes);
    if (headers == NULL) return STATUS_NO_MEMORY;
    for (size_t i = 0; i < n; i++)
        headers[i] = (struct batch_header){(const uint8_t *)r->headers[i].name, r->headers[i].value,
                                           r->headers[i].name_len, r->headers[i].value_len};
    int64_t time_ms = r->timestamp_ms < 0 ? socket_wall_ms() : r->timestamp_ms;
    enum status s =
        batch_builder_append(&l->open, time_ms, r->key, r->key_len, r->value, r->value_len, headers, (int32_t)n);
    if (headers != few) mem_free(p->client->mem, MEM_CONTROL, headers, bytes);
    if (s != STATUS_OK) return s;
    p->buffered += l->open.size - before;
    p->counts.records++;
    p->counts.bytes += (uint64_t)MAX(r->key_len, 0) + (uint64_t)MAX(r->value_len, 0);
    return STATUS_OK;
}

static size_t record_bytes(const struct leat_record *r)
{
    size_t n = (size_t)MAX(r->key_len, 0) + (size_t)MAX(r->value_len, 0);
    for (size_t i = 0; i < r->header_count; i++)
        n += (size_t)r->headers[i].name_len + (size_t)MAX(r->headers[i].value_len, 0);
    return n;
}

static enum leat_code late(struct leat_producer *p, const char *what, struct leat_error *e)
{
    const struct leat_error *last = &p->last;
    if (last->code == LEAT_OK) return fail(e, LEAT_TIMED_OUT, "%s: no acknowledgement in time", what);
    return fail(e, passing(last->code) ? last->code : LEAT_TIMED_OUT, "%s: %.400s", what, last->text);
}

static enum leat_code step_or_late(struct leat_producer *p, const char *what, int64_t deadline, struct leat_error *e)
{
    if (socket_now_ms() >= deadline) return late(p, what, e);
    return producer_step(p, deadline, e);
}

/* Steps until the lane's open batch can be sealed, and seals it. */
static enum leat_code lane_turn(struct leat_producer *p, struct lane *l, int64_t deadline, struct leat_error *e)
{
    while (l->state != LANE_EMPTY) {
        enum leat_code code = step_or_late(p, "the record waits for room", deadline, e);
        if (code != LEAT_OK) return code;
    }
    return lane_seal(p, l, deadline, e);
}

/* Everything that can be sealed is on its way, so that room comes back. */
static enum leat_code seal_all(struct leat_producer *p, int64_t deadline, struct leat_error *e)
{
    for (int32_t i = 0; i < p->lane_count; i++) {
        struct lane *l = &p->lanes[i];
        enum leat_code code = LEAT_OK;
        if (l->state == LANE_EMPTY && l->open.count > 0) code = lane_seal(p, l, deadline, e);
        if (code != LEAT_OK) return code;
    }
    return LEAT_OK;
}

static bool anything_sealed(const struct leat_producer *p)
{
    for (int32_t i = 0; i < p->lane_count; i++)
        if (p->lanes[i].state != LANE_EMPTY) return true;
    return false;
}

static enum leat_code put(struct leat_producer *p, const struct leat_record *r, int64_t deadline,
                          struct lane **ret_lane, struct leat_error *e)
{
    struct lane *l = NULL;
    enum leat_code code = lane_choose(p, r, &l, e);
    if (code == LEAT_OK && l->open.count > 0 && l->open.size + record_bytes(r) > p->options.batch_bytes)
        code = lane_turn(p, l, deadline, e);
    while (code == LEAT_OK && p->buffered + record_bytes(r) > p->options.buffer_bytes && p->buffered > 0) {
        code = seal_all(p, deadline, e);
        if (code == LEAT_OK) code = step_or_late(p, "the record waits for room", deadline, e);
    }
    while (code == LEAT_OK) {
        enum status s = lane_append(p, l, r);
        if (s == STATUS_OK) break;
        bool full = s == STATUS_NO_MEMORY, hope = l->open.count > 0 || anything_sealed(p);
        if (s == STATUS_BATCH_TOO_LARGE || (full && !hope))
            return fail_status(e, s, "a record of %zu bytes", record_bytes(r));
        lanes_trim(p);
        if (l->open.count > 0) /* also: its time is too far from the batch's others */
            code = lane_turn(p, l, deadline, e);
        else
            code = step_or_late(p, "the record waits for memory", deadline, e);
    }
    *ret_lane = l;
    return code;
}

enum leat_code leat_produce(struct leat_producer *p, const struct leat_record *record, int64_t timeout_ms,
                            struct leat_error *ret_error)
{
    int64_t deadline = deadline_in(timeout_ms);
    struct lane *l = NULL;
    if (p->ended) {
        if (ret_error != NULL) *ret_error = p->error;
        return p->error.code;
    }
    enum leat_code code = record_check(record, ret_error);
    if (code == LEAT_OK && p->lane_count == 0) code = topic_view_refresh(&p->view, deadline, ret_error);
    if (code == LEAT_OK) code = lanes_make(p, ret_error);
    if (code == LEAT_OK) code = put(p, record, deadline, &l, ret_error);
    if (code != LEAT_OK) return code;
    /* A full batch leaves at once if its lane is free, else with the next record. The record was taken: trouble with
     * sealing is met again, and told, by the next call. */
    if (l->state != LANE_EMPTY || l->open.size < p->options.batch_bytes) return LEAT_OK;
    if (lane_seal(p, l, deadline, NULL) != LEAT_OK) return LEAT_OK;
    return producer_send(p, deadline, ret_error);
}

enum leat_code leat_producer_flush(struct leat_producer *p, int64_t timeout_ms, struct leat_error *ret_error)
{
    int64_t deadline = deadline_in(timeout_ms);
    while (!p->ended) {
        enum leat_code code = seal_all(p, deadline, ret_error);
        if (code == LEAT_NO_MEMORY && anything_sealed(p)) code = LEAT_OK;
        if (code != LEAT_OK) return code;
        if (!anything_sealed(p)) return LEAT_OK;
        code = step_or_late(p, "flush", deadline, ret_error);
        if (code != LEAT_OK) return code;
    }
    if (ret_error != NULL) *ret_error = p->error;
    return p->error.code;
}

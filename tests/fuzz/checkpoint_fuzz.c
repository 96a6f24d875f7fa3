// SPDX-License-Identifier: Apache-2.0
/* A checkpoint chunk of any bytes: its header, and its payload walked record by record, as it is and with the CRCs of
 * the first records made right. What a record decodes to lies inside the payload; what loads is a partition that holds
 * together, and its record decodes and loads again. Records of changes are put onto the state of the record before. */
#include "base/bytes.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "storage/partition_map.h"
#include "storage/store_impl.h"
#include "storage/table.h"
#include <stdlib.h>

#define RECORDS_SEALED 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct env env;
static struct store store;

static void begin(void)
{
    store = (struct store){.env = &env};
    env.mem = mem_create(256u << 20);
    list_init(&store.touched);
    list_init(&store.unmoved);
    list_init(&store.rounds);
}

static void end(void)
{
    mem_destroy(env.mem);
}

static struct partition *load(const struct record *r, struct producer_state *producers)
{
    struct resume resume;
    struct partition *p = partition_new(&store, r->topic, r->id, r->number);
    CHECK(p != NULL);
    p->producers = *producers;
    producer_state_init(producers, env.mem);
    if (table_record_load(r, p, &resume) == STATUS_OK) {
        CHECK(p->segment_count >= 1 && partition_active(p)->length == UINT64_MAX);
        CHECK(p->segments[0].start <= p->moved_pos && p->moved_pos <= p->carried_pos);
        CHECK(p->log_start <= p->high_watermark && p->high_watermark <= p->log_end);
        producer_state_check_invariants(&p->producers);
        return p;
    }
    partition_free(p);
    return NULL;
}

/* Encoded again and loaded again. */
static void round_trip(const struct partition *p)
{
    struct out out;
    struct record record;
    struct producer_state none;
    size_t pos = 0;
    if (p->carried_pos > p->moved_pos && p->ref_count == 0) return; /* such a record has nothing to carry from */
    out_init(&out, env.mem);
    producer_state_init(&none, env.mem);
    table_record(&out, p, PRODUCERS_WHOLE);
    CHECK_OK(table_record_decode(out.data, out.len, &pos, &record));
    CHECK(pos == out.len && record.number == p->number && !record.drop);
    struct partition *again = load(&record, &none);
    CHECK(again != NULL && again->log_end == p->log_end && again->segment_count == p->segment_count);
    partition_free(again);
    out_free(&out);
}

static void walk(const uint8_t *payload, size_t bytes)
{
    struct record r;
    struct producer_state producers;
    begin();
    producer_state_init(&producers, env.mem);
    for (size_t pos = 0; pos < bytes;) {
        size_t before = pos;
        enum status s = table_record_decode(payload, bytes, &pos, &r);
        if (s == STATUS_FORMAT) break;
        CHECK(pos > before && pos <= bytes);
        if (s != STATUS_OK) continue;
        CHECK(r.body >= payload && r.body + r.body_bytes <= payload + bytes);
        if (r.drop) continue;
        CHECK(r.number >= 0 && r.topic[0] != '\0' && strlen(r.topic) <= TOPIC_NAME_MAX);
        if (!r.changes) producer_state_deinit(&producers);
        struct partition *p = load(&r, &producers);
        if (p == NULL) continue;
        round_trip(p);
        producers = p->producers; /* what a next record of changes finds */
        producer_state_init(&p->producers, env.mem);
        partition_free(p);
    }
    producer_state_deinit(&producers);
    end();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct chunk_header h;
    if (size < CHUNK_HEADER_BYTES) return 0;
    if (chunk_header_decode(data, &h) == STATUS_OK) CHECK(h.replay_from <= h.sequence + 1);
    CHECK(chunk_other_version(data) != TABLE_VERSION);
    size_t bytes = size - CHUNK_HEADER_BYTES, at = 0;
    uint8_t *payload = malloc(bytes + (bytes == 0)); /* exact, so that a read beyond it is seen */
    CHECK(payload != NULL);
    memcpy(payload, data + CHUNK_HEADER_BYTES, bytes);
    walk(payload, bytes);
    for (int i = 0; i < RECORDS_SEALED && bytes - at > RECORD_HEAD_BYTES; i++) {
        uint32_t body = load_le32(payload + at);
        if (body > bytes - at - RECORD_HEAD_BYTES) break;
        store_le32(payload + at + 4, crc32c(0, payload + at + RECORD_HEAD_BYTES, body));
        at += RECORD_HEAD_BYTES + body;
    }
    if (at > 0) walk(payload, bytes);
    free(payload);
    return 0;
}

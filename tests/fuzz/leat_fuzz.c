// SPDX-License-Identifier: Apache-2.0
/* A hostile broker: libleat's calls over answers made of any bytes. Whatever comes, a call ends, within its deadline,
 * with a result or an error that has a text, and all memory comes back.
 *
 * Input: a byte that chooses the call, then answers: flags, u16 length, that many bytes of a body (the frame's header
 * is right unless a flag says otherwise). Flags: 1 also for the greeting and for Metadata, which else get a sound
 * answer; 2 another correlation id; 4 the connection ends behind it; 8 cut in half; 16 no answer; 32 two answers at
 * once. */
#include "base/bytes.h"
#include "base/check.h"
#include "clients/c/client.h"
#include "protocol/msg_api_versions.h"
#include "protocol/msg_metadata.h"
#include "tests/unit/fake_socket.h"
#include <stdlib.h>

#define CALLS       16
#define TIMEOUT_MS  20000
#define RECORDS_MAX 1000

enum { EVERYTHING = 1, OTHER_ID = 2, CLOSE = 4, CUT = 8, SILENT = 16, TWICE = 32 };

struct input {
    const uint8_t *at, *end;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct fake_answer sound(int16_t key, int16_t v, int32_t correlation)
{
    static struct api_versions_response_api rows[API_KEYS + API_OWN];
    static struct metadata_response_broker node;
    static struct metadata_response_partition partitions[2];
    static struct metadata_response_topic topic;
    struct api_versions_response versions;
    struct metadata_response metadata;
    api_versions_response_init(&versions);
    metadata_response_init(&metadata);
    for (uint32_t i = 0; i < api_count && i < COUNT_OF(rows); i++) {
        api_versions_response_api_init(&rows[i]);
        rows[i].api_key = api_table[i].key;
        rows[i].min_version = api_table[i].min_version;
        rows[i].max_version = api_table[i].max_version;
        versions.api_keys_count = (int32_t)i + 1;
    }
    versions.api_keys = rows;
    metadata_response_broker_init(&node);
    node.host = STR("fake");
    node.port = 9092;
    metadata_response_topic_init(&topic);
    topic.name = STR("t");
    for (int i = 0; i < 2; i++) {
        metadata_response_partition_init(&partitions[i]);
        partitions[i].partition_index = i;
    }
    topic.partitions = partitions;
    topic.partitions_count = 2;
    metadata.brokers = &node;
    metadata.brokers_count = 1;
    metadata.controller_id = 0;
    metadata.topics = &topic;
    metadata.topics_count = 1;
    const struct message_type *t = api_find(key)->response;
    const void *a = key == API_METADATA ? (const void *)&metadata : &versions;
    struct message_size body = t->size(v, a), whole = frame_response_size(key, v, body);
    struct fake_answer answer = {.bytes = malloc(whole.total), .size = whole.total};
    struct writer w;
    CHECK(answer.bytes != NULL);
    writer_init(&w, answer.bytes, whole.total, NULL, 0);
    frame_response(&w, key, v, correlation, body);
    t->encode(&w, v, a);
    CHECK_OK(writer_finish(&w));
    return answer;
}

static struct fake_answer framed(const struct request_header *h, int32_t correlation, const uint8_t *body, size_t len)
{
    struct message_size size = {.total = len}, whole = frame_response_size(h->api_key, h->api_version, size);
    struct fake_answer answer = {.bytes = malloc(whole.total), .size = whole.total};
    struct writer w;
    CHECK(answer.bytes != NULL);
    writer_init(&w, answer.bytes, whole.total, NULL, 0);
    frame_response(&w, h->api_key, h->api_version, correlation, size);
    writer_raw(&w, body, len);
    CHECK_OK(writer_finish(&w));
    return answer;
}

static struct fake_answer answer(void *arg, uint16_t port, const uint8_t *frame, size_t size)
{
    struct input *in = arg;
    struct fake_answer a = {.close = true};
    struct request_header h;
    struct cursor c;
    cursor_init(&c, frame + 4, size - 4);
    CHECK_OK(request_header_decode(&c, &h)); /* what we send is sound, whatever came before */
    CHECK(h.supported);
    uint8_t flags = in->at < in->end ? *in->at : 0;
    bool basic = h.api_key == API_METADATA || h.api_key == API_API_VERSIONS;
    if (basic && !(flags & EVERYTHING)) return sound(h.api_key, h.api_version, h.correlation_id);
    if (in->end - in->at < 3) return a;
    size_t len = MIN((size_t)load_le16(in->at + 1), (size_t)(in->end - in->at - 3));
    const uint8_t *body = in->at + 3;
    in->at = body + len;
    if (flags & SILENT) return (struct fake_answer){.close = false};
    a = framed(&h, h.correlation_id + ((flags & OTHER_ID) ? 1 : 0), body, len);
    if (flags & TWICE) {
        a.bytes = realloc(a.bytes, 2 * a.size);
        CHECK(a.bytes != NULL);
        memcpy(a.bytes + a.size, a.bytes, a.size);
        a.size *= 2;
    }
    if (flags & CUT) a.size /= 2;
    a.close = (flags & (CLOSE | CUT)) != 0;
    return a;
}

static void check(enum leat_code code, struct leat_error *e)
{
    if (code == LEAT_OK) return;
    CHECK(e->code == code);
    CHECK(e->text[0] != '\0' && strnlen(e->text, sizeof e->text) < sizeof e->text);
    e->text[0] = '\0';
}

static void read_topic(struct leat_client *c, uint8_t how)
{
    struct leat_reader_options o;
    struct leat_reader *r;
    struct leat_record record;
    struct leat_error e = {0};
    leat_reader_options_init(&o);
    o.topic = "t";
    o.from = (struct leat_position){how & 1 ? LEAT_AT_OFFSET : LEAT_BEGINNING, 0};
    CHECK(leat_reader_create(c, &o, &r, &e) == LEAT_OK);
    for (int i = 0; i < RECORDS_MAX; i++) {
        enum leat_code code = leat_reader_next(r, TIMEOUT_MS / 10, &record, &e);
        check(code, &e);
        for (size_t k = 0; code == LEAT_OK && k < record.header_count; k++) CHECK(record.headers[k].name_len >= 0);
        if (code != LEAT_OK && code != LEAT_DAMAGED && code != LEAT_BROKER) break;
    }
    leat_reader_destroy(r);
}

static void write_topic(struct leat_client *c, uint8_t how)
{
    struct leat_producer_options o;
    struct leat_producer *p;
    struct leat_record record;
    struct leat_error e = {0};
    leat_producer_options_init(&o);
    o.topic = "t";
    o.idempotent = (how & 1) != 0;
    o.batch_bytes = 100;
    o.delivery_timeout_ms = TIMEOUT_MS;
    CHECK(leat_producer_create(c, &o, &p, &e) == LEAT_OK);
    leat_record_init(&record);
    record.value = "value";
    record.value_len = 5;
    for (int i = 0; i < 8; i++) check(leat_produce(p, &record, TIMEOUT_MS, &e), &e);
    check(leat_producer_flush(p, TIMEOUT_MS, &e), &e);
    leat_producer_destroy(p);
}

static void ask_groups(struct leat_client *c, uint8_t which)
{
    struct leat_error e = {0};
    struct leat_groups *groups;
    struct leat_group_state *state;
    struct leat_committeds *committed;
    struct leat_deleted_topics *deleted;
    const struct leat_committed offsets[] = {{"t", 0, 1, NULL}, {"u", 1, 2, "m"}};
    enum leat_code code = LEAT_OK;
    switch (which) {
    case 9:
        code = leat_groups_get(c, TIMEOUT_MS, &groups, &e);
        if (code == LEAT_OK) leat_groups_free(groups);
        break;
    case 10:
        code = leat_group_get(c, "g", TIMEOUT_MS, &state, &e);
        if (code == LEAT_OK) leat_group_state_free(state);
        break;
    case 11:
        code = leat_committed_get(c, "g", TIMEOUT_MS, &committed, &e);
        if (code == LEAT_OK) leat_committed_free(committed);
        break;
    case 14:
        code = leat_deleted_topics_get(c, TIMEOUT_MS, &deleted, &e);
        if (code == LEAT_OK) leat_deleted_topics_free(deleted);
        break;
    case 15: code = leat_topic_undelete(c, "gone", NULL, TIMEOUT_MS, &e); break;
    case 12: code = leat_committed_set(c, "g", offsets, 2, TIMEOUT_MS, &e); break;
    default: code = leat_group_delete(c, "g", TIMEOUT_MS, &e); break;
    }
    check(code, &e);
}

static void ask(struct leat_client *c, uint8_t which)
{
    struct leat_error e = {0};
    struct leat_cluster *cluster;
    struct leat_settings *settings;
    struct leat_log_dirs *dirs;
    struct leat_setting change = {"retention.ms", "1"};
    const struct leat_new_topic topic = {"t", 2, 1, &change, 1};
    const struct leat_node node = {.id = 0, .port = 9092, .host = "fake"};
    enum leat_code code = LEAT_OK;
    switch (which) {
    case 0:
        code = leat_cluster_get(c, NULL, 0, TIMEOUT_MS, &cluster, &e);
        if (code == LEAT_OK) leat_cluster_free(cluster);
        break;
    case 1: code = leat_topic_create(c, &topic, TIMEOUT_MS, &e); break;
    case 2: code = leat_topic_delete(c, "t", TIMEOUT_MS, &e); break;
    case 3: code = leat_topic_grow(c, "t", 3, TIMEOUT_MS, &e); break;
    case 4:
        code = leat_settings_get(c, LEAT_TOPIC, "t", TIMEOUT_MS, &settings, &e);
        if (code == LEAT_OK) leat_settings_free(settings);
        break;
    case 5: code = leat_settings_alter(c, LEAT_NODE, "0", &change, 1, TIMEOUT_MS, &e); break;
    case 6:
        code = leat_log_dirs_get(c, &node, TIMEOUT_MS, &dirs, &e);
        if (code == LEAT_OK) leat_log_dirs_free(dirs);
        break;
    default: ask_groups(c, which); return;
    }
    check(code, &e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct leat_options o;
    struct leat_client *c;
    struct input in = {data + 1, data + size};
    if (size == 0) return 0;
    fake_net_reset();
    fake_net.request = answer;
    fake_net.arg = &in;
    leat_options_init(&o);
    o.brokers = "fake:9092";
    o.request_timeout_ms = 1000;
    o.memory_bytes = 64u << 20;
    CHECK(leat_client_create(&o, &c, NULL) == LEAT_OK);
    int64_t begun = fake_net.now_ms;
    if (data[0] % CALLS == 7)
        read_topic(c, data[0] / CALLS);
    else if (data[0] % CALLS == 8)
        write_topic(c, data[0] / CALLS);
    else
        ask(c, data[0] % CALLS);
    CHECK(fake_net.now_ms - begun < (int64_t)RECORDS_MAX * TIMEOUT_MS);
    leat_client_destroy(c); /* CHECKs that all memory came back */
    CHECK(fake_net.open == 0);
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
/* The brokers behind a client's test (contract: fake_broker.h): decode the request with the protocol's own decoders,
 * act on the log in memory, encode the answer. Everything is CHECKed that a client must never send. */
#include "tests/unit/fake_broker.h"

#include "base/bytes.h"
#include "protocol/batch.h"
#include "protocol/msg_api_versions.h"
#include "protocol/msg_fetch.h"
#include "protocol/msg_init_producer_id.h"
#include "protocol/msg_list_offsets.h"
#include "protocol/msg_metadata.h"
#include "protocol/msg_produce.h"
#include "tests/unit/fake_exchange.h"
#include <stdio.h>
#include <stdlib.h>

static struct mem *mem; /* for the arena of one exchange at a time */

void *exchange_take(struct exchange *x, size_t count, size_t size)
{
    void *p = arena_zalloc(&x->arena, count * size);
    CHECK(p != NULL);
    return p;
}

static const int16_t served[] = {API_PRODUCE,
                                 API_FETCH,
                                 API_LIST_OFFSETS,
                                 API_METADATA,
                                 API_OFFSET_COMMIT,
                                 API_OFFSET_FETCH,
                                 API_FIND_COORDINATOR,
                                 API_DESCRIBE_GROUPS,
                                 API_LIST_GROUPS,
                                 API_API_VERSIONS,
                                 API_INIT_PRODUCER_ID,
                                 API_DELETE_GROUPS,
                                 API_CONSUMER_GROUP_DESCRIBE,
                                 API_LEAT_UNDELETE_TOPICS,
                                 API_LEAT_LIST_DELETED_TOPICS};

static void answer_api_versions(struct exchange *x)
{
    struct api_versions_response *a = x->a;
    size_t n = COUNT_OF(served);
    api_versions_response_init(a);
    if (x->b->old && x->h.api_version > 0) {
        a->error_code = KAFKA_UNSUPPORTED_VERSION;
        return;
    }
    a->api_keys = exchange_take(x, n, sizeof *a->api_keys);
    for (size_t i = 0; i < n; i++) {
        const struct api_info *info = api_find(served[i]);
        int16_t cap = x->b->version_cap[fake_slot(served[i])];
        if (cap < 0) continue;
        struct api_versions_response_api *out = &a->api_keys[a->api_keys_count++];
        api_versions_response_api_init(out);
        out->api_key = served[i];
        out->min_version = info->min_version;
        out->max_version = cap != 0 ? cap : info->max_version;
    }
}

static void partition_row(const struct fake_broker *b, int32_t i, struct exchange *x,
                          struct metadata_response_partition *p)
{
    metadata_response_partition_init(p);
    p->partition_index = i;
    p->leader_id = b->partitions[i].leader;
    p->leader_epoch = b->partitions[i].epoch;
    p->error_code = p->leader_id < 0 ? KAFKA_LEADER_NOT_AVAILABLE : KAFKA_NONE;
    p->replica_nodes = exchange_take(x, FAKE_NODES, sizeof(int32_t));
    p->replica_nodes_count = p->isr_nodes_count = FAKE_NODES;
    for (int32_t n = 0; n < FAKE_NODES; n++) p->replica_nodes[n] = n;
    p->isr_nodes = p->replica_nodes;
}

static void answer_metadata(struct exchange *x)
{
    const struct metadata_request *q = x->q;
    struct metadata_response *a = x->a;
    metadata_response_init(a);
    a->cluster_id = STR("fake");
    a->controller_id = 0;
    a->brokers = exchange_take(x, FAKE_NODES, sizeof *a->brokers);
    a->brokers_count = FAKE_NODES;
    for (int32_t i = 0; i < FAKE_NODES; i++) {
        metadata_response_broker_init(&a->brokers[i]);
        a->brokers[i].node_id = i;
        a->brokers[i].host = STR("fake");
        a->brokers[i].port = FAKE_PORT + i;
    }
    int32_t n = q->topics_count < 0 ? 1 : q->topics_count;
    a->topics = exchange_take(x, (size_t)n, sizeof *a->topics);
    a->topics_count = n;
    for (int32_t i = 0; i < n; i++) {
        struct metadata_response_topic *t = &a->topics[i];
        metadata_response_topic_init(t);
        t->name = q->topics_count < 0 ? STR("t") : q->topics[i].name;
        if (!str_equal(t->name, STR("t"))) {
            t->error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
            continue;
        }
        t->partitions = exchange_take(x, FAKE_PARTITIONS, sizeof *t->partitions);
        t->partitions_count = FAKE_PARTITIONS;
        for (int32_t k = 0; k < FAKE_PARTITIONS; k++) partition_row(x->b, k, x, &t->partitions[k]);
    }
}

/* ---- produce ---- */

void fake_broker_put(struct fake_broker *b, int32_t partition, const void *bytes, size_t size)
{
    struct fake_partition *p = &b->partitions[partition];
    struct fake_batch *f = &p->batches[p->batch_count++];
    struct batch_info info;
    CHECK(p->batch_count <= FAKE_BATCHES);
    f->bytes = malloc(size);
    CHECK(f->bytes != NULL);
    memcpy(f->bytes, bytes, size);
    batch_assign(f->bytes, p->end, p->epoch);
    CHECK_OK(batch_parse(f->bytes, size, &info));
    f->size = (uint32_t)size;
    f->base = p->end;
    f->next = p->end = batch_next_offset(&info);
    f->producer_id = info.producer_id;
    f->first_sequence = info.base_sequence;
    f->last_sequence = batch_last_sequence(&info);
}

static const struct fake_batch *newest_of(const struct fake_partition *p, int64_t producer_id)
{
    for (uint32_t i = p->batch_count; i > 0; i--)
        if (p->batches[i - 1].producer_id == producer_id) return &p->batches[i - 1];
    return NULL;
}

static int16_t append(struct fake_broker *b, int32_t partition, const struct records *records, int64_t *ret_base)
{
    struct fake_partition *p = &b->partitions[partition];
    struct batch_limits limits;
    struct batch_info info;
    struct batch_fault fault;
    batch_limits_init(&limits, socket_wall_ms());
    limits.batch_bytes_max = UINT32_MAX;
    CHECK(records->len > 0);
    CHECK_OK(batch_validate(records->data, (size_t)records->len, &limits, mem, &info, &fault));
    *ret_base = p->end;
    if (b->idempotent_needed) CHECK(info.producer_id >= 0);
    if (info.producer_id >= 0) {
        const struct fake_batch *last = newest_of(p, info.producer_id);
        if (last != NULL && last->first_sequence == info.base_sequence) {
            b->duplicates++;
            *ret_base = -1;
            return KAFKA_DUPLICATE_SEQUENCE_NUMBER;
        }
        int32_t expected = last == NULL ? 0 : (int32_t)(((uint32_t)last->last_sequence + 1) & 0x7fffffffu);
        if (info.base_sequence != expected) return KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER;
    }
    fake_broker_put(b, partition, records->data, (size_t)records->len);
    return KAFKA_NONE;
}

static int16_t led(const struct exchange *x, int32_t partition)
{
    if (partition < 0 || partition >= FAKE_PARTITIONS) return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    return x->b->partitions[partition].leader == x->node ? KAFKA_NONE : KAFKA_NOT_LEADER_OR_FOLLOWER;
}

static void answer_produce(struct exchange *x)
{
    const struct produce_request *q = x->q;
    struct produce_response *a = x->a;
    produce_response_init(a);
    CHECK(q->topic_data_count == 1 && str_equal(q->topic_data[0].name, STR("t")));
    int32_t n = q->topic_data[0].partition_data_count;
    a->responses = exchange_take(x, 1, sizeof *a->responses);
    a->responses_count = 1;
    produce_response_topic_init(a->responses);
    a->responses->name = STR("t");
    a->responses->partition_responses = exchange_take(x, (size_t)n, sizeof *a->responses->partition_responses);
    a->responses->partition_responses_count = n;
    for (int32_t i = 0; i < n; i++) {
        const struct produce_request_partition *in = &q->topic_data[0].partition_data[i];
        struct produce_response_partition *out = &a->responses->partition_responses[i];
        produce_response_partition_init(out);
        out->index = in->index;
        out->error_code = x->fault_code != 0 ? x->fault_code : led(x, in->index);
        if (out->error_code == KAFKA_NONE) out->error_code = append(x->b, in->index, &in->records, &out->base_offset);
    }
}

static void answer_init_producer_id(struct exchange *x)
{
    struct init_producer_id_response *a = x->a;
    init_producer_id_response_init(a);
    a->error_code = x->fault_code;
    a->producer_id = a->error_code == KAFKA_NONE ? x->b->next_producer_id++ : -1;
}

/* ---- fetch ---- */

static struct records read_log(struct exchange *x, const struct fake_partition *p, int64_t offset, int32_t max)
{
    size_t len = 0, first = 0;
    for (uint32_t i = 0; i < p->batch_count && first == 0; i++)
        if (p->batches[i].next > offset) first = p->batches[i].size;
    uint8_t *out = arena_alloc(&x->arena, (size_t)max + first);
    CHECK(out != NULL);
    for (uint32_t i = 0; i < p->batch_count; i++) {
        const struct fake_batch *f = &p->batches[i];
        if (f->next <= offset) continue;
        if (len > 0 && len + f->size > (size_t)max) {
            if (len < (size_t)max) memcpy(out + len, f->bytes, (size_t)max - len); /* brokers may cut the last batch */
            len = MAX(len, (size_t)max);
            break;
        }
        memcpy(out + len, f->bytes, f->size);
        len += f->size;
    }
    return (struct records){.data = out, .len = (int32_t)len};
}

static void answer_fetch(struct exchange *x)
{
    const struct fetch_request *q = x->q;
    struct fetch_response *a = x->a;
    fetch_response_init(a);
    CHECK(q->topics_count == 1 && str_equal(q->topics[0].topic, STR("t")));
    CHECK(q->session_id == 0 && q->session_epoch == -1 && q->topics[0].partitions_count > 0);
    int32_t n = q->topics[0].partitions_count;
    a->responses = exchange_take(x, 1, sizeof *a->responses);
    a->responses_count = 1;
    fetch_response_topic_init(a->responses);
    a->responses->topic = STR("t");
    a->responses->partitions = exchange_take(x, (size_t)n, sizeof *a->responses->partitions);
    a->responses->partitions_count = n;
    bool news = false;
    for (int32_t i = 0; i < n; i++) {
        const struct fetch_request_partition *in = &q->topics[0].partitions[i];
        struct fetch_response_partition *out = &a->responses->partitions[i];
        fetch_response_partition_init(out);
        out->partition_index = in->partition;
        out->error_code = x->fault_code != 0 ? x->fault_code : led(x, in->partition);
        out->records = (struct records){.data = (const uint8_t *)"", .len = 0};
        news = news || out->error_code != KAFKA_NONE;
        if (out->error_code != KAFKA_NONE) continue;
        const struct fake_partition *p = &x->b->partitions[in->partition];
        if (in->fetch_offset < p->log_start || in->fetch_offset > p->end) out->error_code = KAFKA_OFFSET_OUT_OF_RANGE;
        out->high_watermark = p->end;
        if (out->error_code == KAFKA_NONE)
            out->records = read_log(x, p, in->fetch_offset, MIN(in->partition_max_bytes, 1 << 20));
        news = news || out->error_code != KAFKA_NONE || out->records.len > 0;
    }
    if (!news) fake_net.now_ms += q->max_wait_ms; /* the long poll */
}

static int64_t offset_at(const struct fake_partition *p, int64_t timestamp)
{
    if (timestamp == -1) return p->end;
    if (timestamp == -2) return p->log_start;
    for (uint32_t i = 0; i < p->batch_count; i++) {
        struct batch_info info;
        CHECK_OK(batch_parse(p->batches[i].bytes, p->batches[i].size, &info));
        if (info.max_timestamp_ms >= timestamp) return MAX(info.base_offset, p->log_start);
    }
    return -1;
}

static void answer_list_offsets(struct exchange *x)
{
    const struct list_offsets_request *q = x->q;
    struct list_offsets_response *a = x->a;
    list_offsets_response_init(a);
    CHECK(q->topics_count == 1 && str_equal(q->topics[0].name, STR("t")));
    int32_t n = q->topics[0].partitions_count;
    a->topics = exchange_take(x, 1, sizeof *a->topics);
    a->topics_count = 1;
    list_offsets_response_topic_init(a->topics);
    a->topics->name = STR("t");
    a->topics->partitions = exchange_take(x, (size_t)n, sizeof *a->topics->partitions);
    a->topics->partitions_count = n;
    for (int32_t i = 0; i < n; i++) {
        const struct list_offsets_request_partition *in = &q->topics[0].partitions[i];
        struct list_offsets_response_partition *out = &a->topics->partitions[i];
        list_offsets_response_partition_init(out);
        out->partition_index = in->partition_index;
        out->error_code = x->fault_code != 0 ? x->fault_code : led(x, in->partition_index);
        if (out->error_code == KAFKA_NONE)
            out->offset = offset_at(&x->b->partitions[in->partition_index], in->timestamp);
    }
}

/* ---- frames ---- */

static struct fake_answer encode(const struct exchange *x, int32_t correlation)
{
    int16_t v = x->h.api_version;
    struct writer w;
    if (x->h.api_key == API_API_VERSIONS && x->b->old) v = 0;
    const struct message_type *t = x->h.api->response;
    struct message_size body = t->size(v, x->a), size = frame_response_size(x->h.api_key, v, body);
    struct fake_answer answer = {.bytes = malloc(size.total), .size = size.total};
    CHECK(answer.bytes != NULL);
    writer_init(&w, answer.bytes, size.total, NULL, 0);
    frame_response(&w, x->h.api_key, v, correlation, body);
    t->encode(&w, v, x->a);
    CHECK_OK(writer_finish(&w));
    return answer;
}

int fake_slot(int16_t key)
{
    return key < API_KEY_LEAT ? key : API_KEYS + key - API_KEY_LEAT;
}

static const struct fake_rule *rule_of(struct fake_broker *b, int16_t key)
{
    static const struct fake_rule none = {.fault = FAULT_NONE};
    uint32_t nth = ++b->requests[fake_slot(key)];
    for (uint32_t i = 0; i < b->rule_count; i++)
        if (b->rules[i].key == key && (b->rules[i].nth == 0 || b->rules[i].nth == nth)) return &b->rules[i];
    return &none;
}

static void act(struct exchange *x)
{
    switch (x->h.api_key) {
    case API_API_VERSIONS: answer_api_versions(x); break;
    case API_METADATA: answer_metadata(x); break;
    case API_PRODUCE: answer_produce(x); break;
    case API_FETCH: answer_fetch(x); break;
    case API_LIST_OFFSETS: answer_list_offsets(x); break;
    case API_INIT_PRODUCER_ID: answer_init_producer_id(x); break;
    default: CHECK(groups_act(x) || deleted_act(x)); /* no broker here serves anything else */
    }
}

static void move_leaders(struct fake_broker *b)
{
    for (int i = 0; i < FAKE_PARTITIONS; i++) {
        b->partitions[i].leader = (b->partitions[i].leader + 1) % FAKE_NODES;
        b->partitions[i].epoch++;
    }
}

static struct fake_answer spoil(struct fake_answer a, enum fake_fault fault)
{
    if (fault == FAULT_CUT) a.size /= 2;
    a.close = fault == FAULT_CUT || fault == FAULT_LOSE;
    if (fault == FAULT_GARBAGE)
        for (size_t i = 8; i < a.size; i++) a.bytes[i] = (uint8_t)(0x80 | i);
    if (fault != FAULT_LOSE && fault != FAULT_SILENT) return a;
    free(a.bytes);
    a.bytes = NULL;
    return a;
}

static struct fake_answer request(void *arg, uint16_t port, const uint8_t *frame, size_t size)
{
    struct exchange x = {.b = arg, .node = port - FAKE_PORT};
    struct fake_answer answer = {.close = true};
    struct cursor c;
    cursor_init(&c, frame + 4, size - 4);
    CHECK_OK(request_header_decode(&c, &x.h));
    const struct fake_rule *rule = rule_of(x.b, x.h.api_key);
    if (rule->fault == FAULT_CLOSE) return answer;
    if (rule->fault == FAULT_MOVE) move_leaders(x.b);
    x.fault_code = rule->fault == FAULT_CODE ? rule->code : 0;
    CHECK(x.h.supported);
    arena_init(&x.arena, mem, MEM_LOG, (size_t)64 << 20);
    x.q = exchange_take(&x, 1, x.h.api->request->struct_size);
    x.a = exchange_take(&x, 1, x.h.api->response->struct_size);
    CHECK_OK(x.h.api->request->decode(&c, &x.arena, x.h.api_version, (void *)(uintptr_t)x.q));
    CHECK(cursor_left(&c) == 0);
    act(&x);
    bool silent = x.h.api_key == API_PRODUCE && ((const struct produce_request *)x.q)->acks == 0;
    answer = encode(&x, x.h.correlation_id + (rule->fault == FAULT_OTHER_ID));
    arena_deinit(&x.arena);
    return spoil(answer, silent ? FAULT_SILENT : rule->fault);
}

static enum status connecting(void *arg, uint16_t port)
{
    const struct fake_broker *b = arg;
    if (port < FAKE_PORT || port >= FAKE_PORT + FAKE_NODES || b->down[port - FAKE_PORT]) return STATUS_REFUSED;
    return STATUS_OK;
}

void fake_broker_init(struct fake_broker *b)
{
    memset(b, 0, sizeof *b);
    fake_net_reset();
    fake_net.connect = connecting;
    fake_net.request = request;
    fake_net.arg = b;
    b->next_producer_id = 7000;
    for (int i = 0; i < FAKE_PARTITIONS; i++) b->partitions[i].leader = i % FAKE_NODES;
    for (size_t g = 0; g < COUNT_OF(b->groups); g++)
        for (int i = 0; i < FAKE_PARTITIONS; i++) b->groups[g].committed[i] = -1;
    mem = mem_create(1u << 30);
}

void fake_broker_deinit(struct fake_broker *b)
{
    for (int i = 0; i < FAKE_PARTITIONS; i++)
        for (uint32_t k = 0; k < b->partitions[i].batch_count; k++) free(b->partitions[i].batches[k].bytes);
    mem_destroy(mem);
    fake_net_reset();
}

void fake_broker_rule(struct fake_broker *b, int16_t key, uint32_t nth, enum fake_fault fault, int16_t code)
{
    CHECK(b->rule_count < COUNT_OF(b->rules));
    b->rules[b->rule_count++] = (struct fake_rule){key, nth, fault, code};
}

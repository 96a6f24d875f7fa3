// SPDX-License-Identifier: Apache-2.0
/* Questions with their answers (ask.h). A question is encoded flat, sent, and the loop turned until the answer is there
 * or the time is over. Failure modes: no connection, no answer in time, an answer that cannot be decoded, an API or
 * version that the broker does not serve: a sentence with the address. */
#include "tools/bench/ask.h"

#include "base/bytes.h"
#include "base/env_uring.h"
#include "protocol/msg_api_versions.h"
#include "tools/bench/machine.h"
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define ASK_MEMORY   (4ull << 30) /* a bound, touched when used */
#define ASK_ARENA    (256u << 20)
#define NAMES_UPTO   12 /* Produce and Fetch name topics up to this version, later ones use ids */
#define API_VERSIONS 18
#define PRODUCE      0
#define FETCH        1

int16_t ask_version(int16_t key, int16_t broker_min, int16_t broker_max)
{
    const struct api_info *api = api_find(key);
    if (api == NULL) return -1;
    int16_t most = MIN(api->max_version, broker_max);
    if (key == PRODUCE || key == FETCH) most = (int16_t)MIN(most, NAMES_UPTO);
    return most >= MAX(api->min_version, broker_min) ? most : -1;
}

static void opened(struct channel *c)
{
    container_of(c, struct asker, channel)->opened = true;
}

static void failed(struct channel *c)
{
    struct asker *a = container_of(c, struct asker, channel);
    a->failed = true;
    snprintf(a->error, sizeof a->error, "%s", c->why);
}

static void closed(struct channel *c)
{
    container_of(c, struct asker, channel)->closed = true;
}

static void answer(struct call *call, const uint8_t *frame, uint32_t size)
{
    struct asker *a = container_of(call, struct asker, call);
    a->frame_size = size;
    channel_keep(&a->channel, a->frame, a->frame_room, &a->frame, &a->frame_room);
}

static void over(struct call *call)
{
    container_of(call, struct asker, call)->answered = true;
}

bool asker_create(struct asker *a, double timeout_s)
{
    struct env_uring_config config = {.memory_bytes = ASK_MEMORY};
    char why[256];
    *a = (struct asker){.timeout_s = timeout_s};
    if (env_uring_create(&config, &a->env, why) != STATUS_OK) {
        a->env = NULL;
        snprintf(a->error, sizeof a->error, "%s", why);
        return false;
    }
    channels_init(&a->channels, a->env);
    arena_init(&a->arena, a->env->mem, MEM_FETCH, ASK_ARENA);
    return true;
}

/* Turns until *what; false: the connection failed or the time is over. */
static bool await(struct asker *a, const bool *what, double seconds)
{
    int64_t limit = clock_ns() + (int64_t)(seconds * 1e9);
    while (!*what && !a->failed && clock_ns() < limit) env_turn(a->env, mono_add(a->env->now, NS_PER_MS));
    return *what && !a->failed;
}

static void disconnect(struct asker *a)
{
    if (a->channel.set == NULL) return;
    channel_close(&a->channel);
    while (!a->closed) env_turn(a->env, mono_add(a->env->now, NS_PER_MS));
    a->channel.set = NULL;
}

void asker_destroy(struct asker *a)
{
    if (a->env == NULL) return;
    disconnect(a);
    free(a->frame);
    arena_deinit(&a->arena);
    channels_deinit(&a->channels);
    env_uring_destroy(a->env);
    a->env = NULL;
}

static bool encode(struct asker *a, int16_t key, int16_t version, const void *request, uint8_t **ret_bytes)
{
    struct request_header h = {.api_key = key,
                               .api_version = version,
                               .correlation_id = ++a->correlation,
                               .client_id = STR("leat-bench"),
                               .api = api_find(key),
                               .supported = true};
    struct message_size body = h.api->request->size(version, request);
    size_t total = frame_request_size(&h, body).total;
    uint8_t *bytes = malloc(total);
    struct writer w;
    CHECK(bytes != NULL);
    writer_init(&w, bytes, total, NULL, 0);
    frame_request(&w, &h, body);
    h.api->request->encode(&w, version, request);
    if (writer_finish(&w) != STATUS_OK) {
        snprintf(a->error, sizeof a->error, "%s: cannot be written in version %d", h.api->name, version);
        free(bytes);
        return false;
    }
    a->call = (struct call){.iov = &a->iov, .iov_count = 1, .answer = answer, .over = over};
    a->call.correlation_id = a->correlation;
    a->iov = (struct iovec){bytes, total};
    *ret_bytes = bytes;
    return true;
}

static bool decode(struct asker *a, int16_t key, int16_t version, void *ret_response)
{
    const struct api_info *api = api_find(key);
    struct cursor c;
    int32_t id;
    cursor_init(&c, a->frame, a->frame_size);
    arena_reset(&a->arena);
    enum status s = response_header_decode(&c, key, version, &id);
    if (s == STATUS_OK) s = api->response->decode(&c, &a->arena, version, ret_response);
    if (s == STATUS_OK) return true;
    snprintf(a->error, sizeof a->error, "%s: the answer to %s (version %d) cannot be read: %s at %s",
             a->channel.address, api->name, version, c.what != NULL ? c.what : status_text(s),
             c.failed != NULL ? c.failed : "its end");
    return false;
}

static bool ask_at(struct asker *a, int16_t key, int16_t version, const void *request, void *ret_response)
{
    uint8_t *bytes;
    if (!encode(a, key, version, request, &bytes)) return false;
    a->answered = false;
    channel_send(&a->channel, &a->call);
    bool good = await(a, &a->answered, a->timeout_s);
    if (!good && !a->failed) {
        snprintf(a->error, sizeof a->error, "%s: no answer to %s in %.0f s", a->channel.address, api_find(key)->name,
                 a->timeout_s);
        a->failed = true;
    }
    if (!good) disconnect(a); /* the request's bytes are the channel's until then */
    free(bytes);
    return good && decode(a, key, version, ret_response);
}

bool ask(struct asker *a, int16_t key, const void *request, void *ret_response)
{
    const struct api_info *api = api_find(key);
    CHECK(api != NULL && key < ASK_API_KEYS);
    if (a->versions[key] >= 0) return ask_at(a, key, a->versions[key], request, ret_response);
    snprintf(a->error, sizeof a->error, "%s: the broker does not serve %s in a version that leat-bench speaks",
             a->channel.address, api->name);
    return false;
}

/* Version 0, which every broker answers. */
static bool ask_versions(struct asker *a)
{
    struct api_versions_request q;
    struct api_versions_response r;
    for (int i = 0; i < ASK_API_KEYS; i++) a->versions[i] = -1;
    api_versions_request_init(&q);
    if (!ask_at(a, API_VERSIONS, 0, &q, &r)) return false;
    if (r.error_code != 0) {
        snprintf(a->error, sizeof a->error, "%s: ApiVersions: %s", a->channel.address, kafka_error(r.error_code));
        return false;
    }
    for (int32_t i = 0; i < r.api_keys_count; i++) {
        const struct api_versions_response_api *k = &r.api_keys[i];
        if (k->api_key < 0 || k->api_key >= ASK_API_KEYS) continue;
        a->versions[k->api_key] = ask_version(k->api_key, k->min_version, k->max_version);
    }
    return true;
}

bool ask_connect(struct asker *a, const char *address)
{
    disconnect(a);
    a->opened = a->failed = a->closed = false;
    a->channel = (struct channel){.opened = opened, .failed = failed, .closed = closed};
    snprintf(a->channel.address, sizeof a->channel.address, "%s", address);
    channel_open(&a->channel, &a->channels);
    if (await(a, &a->opened, a->timeout_s)) return ask_versions(a);
    if (!a->failed)
        snprintf(a->error, sizeof a->error, "%s: no connection in %.0f s", a->channel.address, a->timeout_s);
    return false;
}

bool resolve(const char *text, char ret_address[80], char error[ASK_ERROR])
{
    char host[256], number[64];
    const char *colon = strrchr(text, ':');
    size_t len = colon == NULL ? 0 : (size_t)(colon - text);
    bool bracket = len >= 2 && text[0] == '[' && text[len - 1] == ']';
    char *end = NULL;
    long port = colon == NULL ? 0 : strtol(colon + 1, &end, 10);
    if (len == 0 || len >= sizeof host || port < 1 || port > 65535 || *end != '\0') {
        snprintf(error, ASK_ERROR, "%.200s: give HOST:PORT", text);
        return false;
    }
    snprintf(host, sizeof host, "%.*s", (int)(bracket ? len - 2 : len), bracket ? text + 1 : text);
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *found;
    int code = getaddrinfo(host, NULL, &hints, &found);
    if (code == 0) {
        code = getnameinfo(found->ai_addr, found->ai_addrlen, number, sizeof number, NULL, 0, NI_NUMERICHOST);
        bool six = found->ai_family == AF_INET6;
        snprintf(ret_address, 80, six ? "[%s]:%ld" : "%s:%ld", number, port);
        freeaddrinfo(found);
    }
    if (code != 0) snprintf(error, ASK_ERROR, "%.200s: %s", text, gai_strerror(code));
    return code == 0;
}

/* Kafka's protocol guide, table of error codes; those that a load can meet. */
const char *kafka_error(int16_t code)
{
    static const struct {
        int16_t code;
        const char *name;
    } names[] = {{-1, "UNKNOWN_SERVER_ERROR"},
                 {1, "OFFSET_OUT_OF_RANGE"},
                 {2, "CORRUPT_MESSAGE"},
                 {3, "UNKNOWN_TOPIC_OR_PARTITION"},
                 {5, "LEADER_NOT_AVAILABLE"},
                 {6, "NOT_LEADER_OR_FOLLOWER"},
                 {7, "REQUEST_TIMED_OUT"},
                 {9, "REPLICA_NOT_AVAILABLE"},
                 {10, "MESSAGE_TOO_LARGE"},
                 {14, "COORDINATOR_LOAD_IN_PROGRESS"},
                 {15, "COORDINATOR_NOT_AVAILABLE"},
                 {17, "INVALID_TOPIC_EXCEPTION"},
                 {18, "RECORD_LIST_TOO_LARGE"},
                 {19, "NOT_ENOUGH_REPLICAS"},
                 {20, "NOT_ENOUGH_REPLICAS_AFTER_APPEND"},
                 {21, "INVALID_REQUIRED_ACKS"},
                 {29, "TOPIC_AUTHORIZATION_FAILED"},
                 {31, "CLUSTER_AUTHORIZATION_FAILED"},
                 {32, "INVALID_TIMESTAMP"},
                 {35, "UNSUPPORTED_VERSION"},
                 {36, "TOPIC_ALREADY_EXISTS"},
                 {37, "INVALID_PARTITIONS"},
                 {38, "INVALID_REPLICATION_FACTOR"},
                 {40, "INVALID_CONFIG"},
                 {41, "NOT_CONTROLLER"},
                 {42, "INVALID_REQUEST"},
                 {44, "POLICY_VIOLATION"},
                 {45, "OUT_OF_ORDER_SEQUENCE_NUMBER"},
                 {46, "DUPLICATE_SEQUENCE_NUMBER"},
                 {47, "INVALID_PRODUCER_EPOCH"},
                 {56, "KAFKA_STORAGE_ERROR"},
                 {59, "UNKNOWN_PRODUCER_ID"},
                 {74, "FENCED_LEADER_EPOCH"},
                 {75, "UNKNOWN_LEADER_EPOCH"},
                 {76, "UNSUPPORTED_COMPRESSION_TYPE"},
                 {87, "INVALID_RECORD"},
                 {89, "THROTTLING_QUOTA_EXCEEDED"}};
    static _Thread_local char other[24];
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (names[i].code == code) return names[i].name;
    snprintf(other, sizeof other, "error %d", code);
    return other;
}

bool kafka_error_passes(int16_t code)
{
    return code == 3 || code == 5 || code == 14 || code == 15 || code == 6 || code == 9 || code == 74 || code == 75;
}

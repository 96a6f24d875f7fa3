// SPDX-License-Identifier: Apache-2.0
/* One connection to one broker (contract: client.h).
 *
 * Happy path: connect -> ApiVersions -> requests, one at a time, each with its answer.
 * Failure modes: whatever goes wrong breaks the connection, and its owner begins anew; only an answer that is not there
 * in time leaves it standing: its bytes are kept and the wait may go on. A peer's sizes are believed as far as memory
 * allows; an answer to another question than ours, or one that does not decode, says that the peer is no Kafka broker.
 */
#include "clients/c/client.h"

#include "base/bytes.h"
#include "protocol/msg_api_versions.h"

#define GREETING_VERSION  3          /* brokers since Kafka 2.4 know it; older ones answer in version 0 */
#define ANSWER_MAX        (1u << 30) /* more is no answer: four letters of another protocol */
#define DECODED_BYTES_MAX ((size_t)256 << 20)
#define PLACE             "%s:%u"
#define PLACE_OF(n)       (n)->address.host, (unsigned)(n)->address.port

void reply_free(struct reply *r)
{
    if (r->mem == NULL) return;
    mem_free(r->mem, MEM_FETCH, r->frame, r->frame_size);
    arena_deinit(&r->arena);
    *r = (struct reply){0};
}

void conns_init(struct conns *all)
{
    list_init(&all->all);
}

static void drop_frame(struct conn *n)
{
    mem_free(n->client->mem, MEM_FETCH, n->frame, n->frame_size);
    n->frame = NULL;
    n->frame_bytes = n->frame_size = n->prefix_bytes = 0;
}

void conn_break(struct conn *n)
{
    socket_close(n->socket);
    n->socket = SOCKET_NONE;
    drop_frame(n);
}

void conns_close(struct conns *all, struct leat_client *client)
{
    struct list_node *node;
    while ((node = list_pop_front(&all->all)) != NULL) {
        struct conn *n = container_of(node, struct conn, in_conns);
        conn_break(n);
        mem_free(client->mem, MEM_CONTROL, n, sizeof *n);
    }
}

/* ---- sending ---- */

/* Where a key's versions are remembered; -1: nowhere. */
static int slot_of(int16_t key)
{
    if (key >= 0 && key < API_KEYS) return key;
    bool own = key >= API_KEY_LEAT && key < API_KEY_LEAT + API_OWN;
    return own ? API_KEYS + key - API_KEY_LEAT : -1;
}

enum leat_code conn_version(const struct conn *n, int16_t key, int16_t cap, int16_t *ret_version, struct leat_error *e)
{
    const struct api_info *api = api_find(key);
    int at = slot_of(key);
    CHECK(api != NULL && at >= 0);
    int16_t high = MIN(MIN(cap, api->max_version), n->version_max[at]);
    if (n->version_max[at] < n->version_min[at])
        return fail(e, LEAT_UNSUPPORTED, PLACE " does not serve %s requests", PLACE_OF(n), api->name);
    if (high < api->min_version || high < n->version_min[at])
        return fail(e, LEAT_UNSUPPORTED, PLACE " serves %s in versions %d to %d, we speak %d to %d", PLACE_OF(n),
                    api->name, n->version_min[at], n->version_max[at], api->min_version, MIN(cap, api->max_version));
    *ret_version = high;
    return LEAT_OK;
}

/* Header and body into one memory, records borrowed, then out. */
static enum status encode_and_send(struct conn *n, const struct request_header *h, const void *message,
                                   int64_t deadline)
{
    struct mem *mem = n->client->mem;
    struct message_size body = h->api->request->size(h->api_version, message);
    struct message_size size = frame_request_size(h, body);
    size_t piece_bytes = size.pieces * sizeof(struct piece);
    uint8_t *own = mem_alloc(mem, MEM_CONTROL, size.own);
    struct piece *pieces = mem_alloc(mem, MEM_CONTROL, piece_bytes);
    enum status s = STATUS_NO_MEMORY;
    if (own != NULL && pieces != NULL) {
        struct writer w;
        writer_init(&w, own, size.own, pieces, size.pieces);
        frame_request(&w, h, body);
        h->api->request->encode(&w, h->api_version, message);
        s = writer_finish(&w);
        if (s == STATUS_OK) s = socket_send(n->socket, w.pieces, w.piece_count, deadline);
    }
    mem_free(mem, MEM_CONTROL, own, size.own);
    mem_free(mem, MEM_CONTROL, pieces, piece_bytes);
    return s;
}

enum leat_code conn_send(struct conn *n, int16_t key, int16_t version, const void *message, int64_t deadline,
                         struct pending *ret_pending, struct leat_error *e)
{
    CHECK(n->socket != SOCKET_NONE);
    struct request_header h = {
        .api_key = key,
        .api_version = version,
        .correlation_id = n->next_correlation,
        .client_id = str_of(n->client->client_id),
        .api = api_find(key),
        .supported = true,
    };
    enum status s = encode_and_send(n, &h, message, deadline);
    if (s != STATUS_OK) {
        conn_break(n);
        return fail_status(e, s, "%s request to " PLACE, h.api->name, PLACE_OF(n));
    }
    n->next_correlation = n->next_correlation == INT32_MAX ? 0 : n->next_correlation + 1;
    *ret_pending = (struct pending){.key = key, .version = version, .correlation = h.correlation_id};
    return LEAT_OK;
}

/* ---- receiving ---- */

static enum leat_code protocol_fault(struct conn *n, const char *what, struct leat_error *e)
{
    return fail(e, LEAT_PROTOCOL, PLACE ": %s", PLACE_OF(n), what);
}

static enum leat_code frame_begin(struct conn *n, struct leat_error *e)
{
    uint32_t size;
    if (n->prefix[0] >= 0x14 && n->prefix[0] <= 0x17 && n->prefix[1] == 3)
        return protocol_fault(n, "this port speaks TLS, which libleat does not yet", e);
    if (frame_size_of_response(n->prefix, ANSWER_MAX, &size) != STATUS_OK)
        return protocol_fault(n, "this is no Kafka broker", e);
    n->frame = mem_alloc(n->client->mem, MEM_FETCH, size);
    if (n->frame == NULL)
        return fail(e, LEAT_NO_MEMORY, PLACE ": no memory for an answer of %u bytes", PLACE_OF(n), (unsigned)size);
    n->frame_size = size;
    return LEAT_OK;
}

/* Prefix, then frame, from wherever the last call stopped. */
static enum leat_code frame_receive(struct conn *n, int64_t deadline, struct leat_error *e)
{
    while (n->frame == NULL || n->frame_bytes < n->frame_size) {
        size_t got;
        bool in_prefix = n->frame == NULL;
        void *at = in_prefix ? n->prefix + n->prefix_bytes : n->frame + n->frame_bytes;
        size_t left = in_prefix ? FRAME_PREFIX_BYTES - n->prefix_bytes : n->frame_size - n->frame_bytes;
        enum status s = socket_receive(n->socket, at, left, deadline, &got);
        if (s != STATUS_OK) return fail_status(e, s, "answer of " PLACE, PLACE_OF(n));
        if (in_prefix)
            n->prefix_bytes += (uint32_t)got;
        else
            n->frame_bytes += (uint32_t)got;
        if (!in_prefix || n->prefix_bytes < FRAME_PREFIX_BYTES) continue;
        enum leat_code code = frame_begin(n, e);
        if (code != LEAT_OK) return code;
    }
    return LEAT_OK;
}

/* An old broker answers our ApiVersions with the error in version 0, whatever was asked (KIP-511). */
static int16_t answer_version(const struct pending *p, const struct cursor *c)
{
    bool refused = p->key == API_API_VERSIONS && cursor_left(c) >= 2 && load_be16(c->at) == KAFKA_UNSUPPORTED_VERSION;
    return refused ? 0 : p->version;
}

static enum leat_code decode(struct conn *n, const struct pending *p, struct reply *r, struct leat_error *e)
{
    const struct api_info *api = api_find(p->key);
    struct cursor c;
    int32_t correlation;
    cursor_init(&c, r->frame, r->frame_size);
    enum status s = response_header_decode(&c, p->key, p->version, &correlation);
    if (s != STATUS_OK || correlation != p->correlation)
        return protocol_fault(n, "an answer to another request than ours: this is no Kafka broker", e);
    r->message = arena_zalloc(&r->arena, api->response->struct_size);
    s = r->message == NULL ? STATUS_NO_MEMORY : api->response->decode(&c, &r->arena, answer_version(p, &c), r->message);
    if (s == STATUS_NO_MEMORY) return fail(e, LEAT_NO_MEMORY, PLACE ": no memory for its answer", PLACE_OF(n));
    if (s != STATUS_OK)
        return fail(e, LEAT_PROTOCOL, PLACE ": its %s answer (version %d) does not decode at byte %zu, %s: %s",
                    PLACE_OF(n), api->name, p->version, cursor_pos(&c), c.failed, c.what);
    return LEAT_OK;
}

enum leat_code conn_receive(struct conn *n, const struct pending *p, int64_t deadline, struct reply *ret_reply,
                            struct leat_error *e)
{
    CHECK(n->socket != SOCKET_NONE);
    enum leat_code code = frame_receive(n, deadline, e);
    if (code == LEAT_TIMED_OUT) return code;
    if (code != LEAT_OK) {
        conn_break(n);
        return code;
    }
    struct reply r = {.mem = n->client->mem, .frame = n->frame, .frame_size = n->frame_size};
    n->frame = NULL;
    drop_frame(n);
    arena_init(&r.arena, r.mem, MEM_FETCH, DECODED_BYTES_MAX);
    code = decode(n, p, &r, e);
    if (code != LEAT_OK) {
        reply_free(&r);
        conn_break(n);
        return code;
    }
    *ret_reply = r;
    return LEAT_OK;
}

/* ---- connecting ---- */

static void versions_take(struct conn *n, const struct api_versions_response *a)
{
    for (int i = 0; i < API_KEYS + API_OWN; i++) {
        n->version_min[i] = 0;
        n->version_max[i] = -1;
    }
    for (int32_t i = 0; i < a->api_keys_count; i++) {
        const struct api_versions_response_api *k = &a->api_keys[i];
        int at = slot_of(k->api_key);
        if (at < 0) continue;
        n->version_min[at] = k->min_version;
        n->version_max[at] = k->max_version;
    }
}

/* ret_error: Kafka's code in the answer. */
static enum leat_code greet(struct conn *n, int16_t version, int64_t deadline, int16_t *ret_error, struct leat_error *e)
{
    struct api_versions_request q;
    struct pending p;
    struct reply r;
    api_versions_request_init(&q);
    q.client_software_name = STR("libleat");
    q.client_software_version = STR(LEAT_VERSION);
    enum leat_code code = conn_send(n, API_API_VERSIONS, version, &q, deadline, &p, e);
    if (code == LEAT_OK) code = conn_receive(n, &p, deadline, &r, e);
    if (code != LEAT_OK) return code;
    const struct api_versions_response *a = r.message;
    *ret_error = a->error_code;
    versions_take(n, a);
    reply_free(&r);
    return LEAT_OK;
}

static enum leat_code conn_open(struct conn *n, int64_t deadline, struct leat_error *e)
{
    int64_t until = deadline_min(deadline, n->client->connect_timeout_ms);
    enum status s = socket_connect(n->address.host, n->address.port, until, &n->socket);
    if (s != STATUS_OK) {
        n->socket = SOCKET_NONE;
        return fail_status(e, s, PLACE, PLACE_OF(n));
    }
    int16_t error = 0;
    until = deadline_min(deadline, n->client->request_timeout_ms);
    enum leat_code code = greet(n, GREETING_VERSION, until, &error, e);
    if (code == LEAT_OK && error == KAFKA_UNSUPPORTED_VERSION) code = greet(n, 0, until, &error, e);
    if (code == LEAT_OK && error != KAFKA_NONE) code = fail_kafka(e, error, PLACE ": ApiVersions refused", PLACE_OF(n));
    if (code != LEAT_OK) conn_break(n);
    return code;
}

/* The peer may have closed it while it was idle: then something can be read although nothing was asked. */
static bool alive(const struct conn *n)
{
    uint32_t which;
    return n->socket != SOCKET_NONE && !socket_wait(&n->socket, 1, socket_now_ms(), &which);
}

static struct conn *conn_find(const struct conns *all, const struct address *a)
{
    list_each (node, &all->all) {
        struct conn *n = container_of(node, struct conn, in_conns);
        if (n->address.port == a->port && strcmp(n->address.host, a->host) == 0) return n;
    }
    return NULL;
}

enum leat_code conns_get(struct conns *all, struct leat_client *client, const struct address *address, int64_t deadline,
                         struct conn **ret_conn, struct leat_error *e)
{
    struct conn *n = conn_find(all, address);
    if (n == NULL) {
        n = mem_zalloc(client->mem, MEM_CONTROL, sizeof *n);
        if (n == NULL) return fail(e, LEAT_NO_MEMORY, "no memory for a connection");
        n->client = client;
        n->address = *address;
        n->socket = SOCKET_NONE;
        list_push_back(&all->all, &n->in_conns);
    }
    if (!alive(n)) {
        conn_break(n);
        enum leat_code code = conn_open(n, deadline, e);
        if (code != LEAT_OK) return code;
    }
    *ret_conn = n;
    return LEAT_OK;
}

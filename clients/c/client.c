// SPDX-License-Identifier: Apache-2.0
/* Making and ending a client; the address list; deadlines (contracts: leat.h, client.h).
 * Failure modes: a wrong option is a sentence that names it; nothing is left behind then. */
#include "clients/c/client.h"

#include "base/bytes.h"
#include <stdio.h>

#define DEFAULT_PORT     9092u
#define BOOTSTRAP_MAX    256u
#define MEMORY_MIN       (32ull << 20)
#define MEMORY_DEFAULT   (1ull << 30)
#define PAUSE_FIRST_MS   20
#define PAUSE_LONGEST_MS 1000

void leat_options_init(struct leat_options *o)
{
    *o = (struct leat_options){
        .client_id = "libleat",
        .connect_timeout_ms = 5000,
        .request_timeout_ms = 30000,
        .memory_bytes = MEMORY_DEFAULT,
    };
}

/* ---- time ---- */

int64_t deadline_in(int64_t timeout_ms)
{
    int64_t at;
    if (timeout_ms < 0 || __builtin_add_overflow(socket_now_ms(), timeout_ms, &at)) return SOCKET_FOREVER;
    return at;
}

int64_t deadline_min(int64_t deadline, int64_t timeout_ms)
{
    return MIN(deadline, deadline_in(timeout_ms));
}

void attempt_init(struct attempt *a, int64_t deadline)
{
    *a = (struct attempt){.deadline = deadline, .pause_ms = PAUSE_FIRST_MS};
}

bool attempt_again(struct attempt *a)
{
    int64_t next = socket_now_ms() + a->pause_ms;
    if (next >= a->deadline) return false;
    socket_sleep_until(next);
    a->pause_ms = MIN(2 * a->pause_ms, (int64_t)PAUSE_LONGEST_MS);
    return true;
}

/* ---- strings ---- */

void str_copy(char *out, size_t size, struct str s)
{
    size_t len = s.len > 0 ? MIN((size_t)s.len, size - 1) : 0;
    if (len > 0) memcpy(out, s.data, len);
    out[len] = '\0';
}

struct str str_of(const char *text)
{
    return text == NULL ? STR_NULL : (struct str){text, (int32_t)strlen(text)};
}

bool topic_valid(const char *name)
{
    size_t len = name == NULL ? 0 : strnlen(name, TOPIC_BYTES);
    if (len == 0 || len >= TOPIC_BYTES || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) return false;
    for (size_t i = 0; i < len; i++) {
        char c = name[i];
        bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
                    c == '_' || c == '-';
        if (!good) return false;
    }
    return true;
}

/* ---- the address list ---- */

static bool port_parse(const char *text, size_t len, uint16_t *ret_port)
{
    uint32_t value = 0;
    if (len == 0 || len > 5) return false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') return false;
        value = value * 10 + (uint32_t)(text[i] - '0');
    }
    if (value == 0 || value > UINT16_MAX) return false;
    *ret_port = (uint16_t)value;
    return true;
}

/* host, host:port, [address], [address]:port; a bare IPv6 address has more than one colon and no port */
static bool address_parse(const char *text, size_t len, struct address *ret_address)
{
    const char *end = text + len, *host = text, *host_end = end;
    uint16_t port = DEFAULT_PORT;
    if (len > 0 && text[0] == '[') {
        host++;
        host_end = memchr(host, ']', (size_t)(end - host));
        if (host_end == NULL) return false;
        const char *rest = host_end + 1;
        if (rest < end && (*rest != ':' || !port_parse(rest + 1, (size_t)(end - rest - 1), &port))) return false;
    } else {
        const char *colon = memchr(text, ':', len);
        bool bare = colon != NULL && memchr(colon + 1, ':', (size_t)(end - colon - 1)) != NULL;
        if (colon != NULL && !bare) {
            host_end = colon;
            if (!port_parse(colon + 1, (size_t)(end - colon - 1), &port)) return false;
        }
    }
    size_t host_len = (size_t)(host_end - host);
    if (host_len == 0 || host_len > HOST_MAX) return false;
    *ret_address = (struct address){.node = NODE_NONE, .port = port};
    memcpy(ret_address->host, host, host_len);
    return true;
}

static size_t item_end(const char *text)
{
    return strcspn(text, ",");
}

static enum leat_code bootstrap_parse(struct leat_client *c, const char *brokers, struct leat_error *e)
{
    if (brokers == NULL || brokers[0] == '\0')
        return fail(e, LEAT_INVALID, "no broker given: name at least one as HOST:PORT");
    for (const char *at = brokers;; at++) {
        size_t len = item_end(at);
        const char *first = at, *last = at + len;
        while (first < last && *first == ' ') first++;
        while (last > first && last[-1] == ' ') last--;
        if (c->bootstrap_count == BOOTSTRAP_MAX) return fail(e, LEAT_INVALID, "more than %u brokers", BOOTSTRAP_MAX);
        if (!address_parse(first, (size_t)(last - first), &c->bootstrap[c->bootstrap_count]))
            return fail(e, LEAT_INVALID, "'%.*s' is no broker address: give HOST:PORT", (int)MIN(len, (size_t)300), at);
        c->bootstrap_count++;
        at += len;
        if (*at == '\0') return LEAT_OK;
    }
}

/* ---- life ---- */

static enum leat_code options_take(struct leat_client *c, const struct leat_options *o, struct leat_error *e)
{
    const char *id = o->client_id == NULL ? "" : o->client_id;
    if (strlen(id) >= sizeof c->client_id)
        return fail(e, LEAT_INVALID, "client_id is longer than %zu bytes", sizeof c->client_id - 1);
    if (o->connect_timeout_ms <= 0 || o->request_timeout_ms <= 0)
        return fail(e, LEAT_INVALID, "connect_timeout_ms and request_timeout_ms must be above 0");
    memcpy(c->client_id, id, strlen(id) + 1);
    c->connect_timeout_ms = o->connect_timeout_ms;
    c->request_timeout_ms = o->request_timeout_ms;
    c->bootstrap = mem_zalloc(c->mem, MEM_CONTROL, BOOTSTRAP_MAX * sizeof *c->bootstrap);
    if (c->bootstrap == NULL) return fail(e, LEAT_NO_MEMORY, "no memory for a client");
    return bootstrap_parse(c, o->brokers, e);
}

enum leat_code leat_client_create(const struct leat_options *options, struct leat_client **ret_client,
                                  struct leat_error *ret_error)
{
    if (options->memory_bytes < MEMORY_MIN)
        return fail(ret_error, LEAT_INVALID, "memory_bytes must be at least %llu", MEMORY_MIN);
    struct mem *mem = mem_create(options->memory_bytes);
    struct leat_client *c = mem == NULL ? NULL : mem_zalloc(mem, MEM_CONTROL, sizeof *c);
    if (c == NULL) {
        mem_destroy(mem);
        return fail(ret_error, LEAT_NO_MEMORY, "no memory for a client");
    }
    c->mem = mem;
    conns_init(&c->conns);
    enum leat_code code = options_take(c, options, ret_error);
    if (code != LEAT_OK) {
        leat_client_destroy(c);
        return code;
    }
    *ret_client = c;
    return LEAT_OK;
}

void leat_client_destroy(struct leat_client *c)
{
    if (c == NULL) return;
    struct mem *mem = c->mem;
    conns_close(&c->conns, c);
    mem_free(mem, MEM_CONTROL, c->bootstrap, BOOTSTRAP_MAX * sizeof *c->bootstrap);
    mem_free(mem, MEM_CONTROL, c, sizeof *c);
    mem_destroy(mem);
}

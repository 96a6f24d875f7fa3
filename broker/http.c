// SPDX-License-Identifier: Apache-2.0
/* HTTP on shard 0 by libmicrohttpd (http.h), which has no thread here: it works inside MHD_run only.
 *
 * Path: the library's epoll set is readable (IO_POLL) -> look: MHD_run accepts, reads, calls handle() with a whole
 * request head -> the answer is known: queued at once; or it needs a round over the shards (scrape.h): the connection
 * is suspended, the next round begins, and when it has ended all who waited for it are answered and resumed -> MHD_run
 * sends. One request per connection: every answer closes it.
 *
 * Nothing but look() calls MHD_run, at most once in HTTP_GAP_NS, so peers who send much, or a listening socket that
 * stays readable because descriptors have run out, cost little.
 *
 * Failure modes. A slow peer: the library closes it after HTTP_SILENCE_S without a byte; one that trickles is shut down
 * by us when it is HTTP_LIFE_NS old. The library has no call for that, so its socket is shut down through env, and no
 * MHD_run comes in between: the descriptor cannot be closed and be another one's by then. No room for one more: peers
 * wait in the listening socket's queue. A head above HTTP_MEMORY, a malformed one: the library answers 4xx and closes.
 * A shard that hangs: a 503 that names it. */
#include "broker/http.h"
#include "base/bytes.h"
#include "broker/http_pages.h"
#include <microhttpd.h>
#include <stdio.h>

enum peer_state { PEER_FREE, PEER_READING, PEER_WAITING, PEER_ANSWERED, PEER_SENDING };

struct peer { /* one connection */
    struct list_node in_waiting;
    struct MHD_Connection *connection;
    struct mono_ns since;
    enum peer_state state;
    enum page page;
    struct answer answer; /* PEER_ANSWERED */
    bool cut;
};

struct http {
    struct shard *zero;
    struct MHD_Daemon *daemon;
    struct io_op poll, cut;
    struct timer wake;
    struct mono_ns looked;
    struct scrape scrape;
    struct pages pages;
    struct list next, current; /* peers that wait for the next round, for the running one */
    struct peer peers[HTTP_CONNECTIONS];
    struct metric_gauge *connections;
    struct metric_counter *answers[4];
    void (*stopped)(struct shard *zero);
};

static const unsigned codes[4] = {200, 404, 405, 503};

static void look(struct http *h);

static struct env *env_of(const struct http *h)
{
    return h->zero->env;
}

/* ---- answers ---- */

static void text_given_back(void *text)
{
    text_unref(text);
}

static struct MHD_Response *make_response(struct answer *a)
{
    struct text *t = a->text;
    if (t == NULL) return MHD_create_response_from_buffer(strlen(a->body), a->body, MHD_RESPMEM_MUST_COPY);
    struct MHD_Response *r =
        MHD_create_response_from_buffer_with_free_callback_cls(t->size, t->data, text_given_back, t);
    if (r == NULL) text_unref(t);
    a->text = NULL; /* the response has the ref */
    return r;
}

static void count(struct http *h, unsigned code)
{
    for (size_t i = 0; i < COUNT_OF(codes); i++)
        if (codes[i] == code) h->answers[i]->value++;
}

/* Hands the answer to the library; NO: it closes the connection. */
static enum MHD_Result queue(struct http *h, struct peer *p)
{
    struct answer *a = &p->answer;
    unsigned code = a->code;
    const char *type = a->type;
    struct MHD_Response *r = make_response(a);
    if (r == NULL) return MHD_NO;
    bool ok = MHD_add_response_header(r, "Content-Type", type) == MHD_YES &&
              MHD_add_response_header(r, "Cache-Control", "no-store") == MHD_YES &&
              MHD_add_response_header(r, "Connection", "close") == MHD_YES;
    if (code == 405) ok = ok && MHD_add_response_header(r, "Allow", "GET, HEAD") == MHD_YES;
    ok = ok && MHD_queue_response(p->connection, code, r) == MHD_YES;
    MHD_destroy_response(r); /* our ref */
    if (!ok) return MHD_NO;
    p->state = PEER_SENDING;
    count(h, code);
    return MHD_YES;
}

static bool round_is_late(const struct http *h)
{
    return scrape_running(&h->scrape) && env_of(h)->now.v - h->scrape.begun.v >= HTTP_ROUND_MAX_NS;
}

static enum MHD_Result handle(void *http, struct MHD_Connection *connection, const char *url, const char *method,
                              const char *version, const char *upload, size_t *upload_size, void **request)
{
    struct http *h = http;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct peer *p = info != NULL ? info->socket_context : NULL;
    if (p == NULL || p->state == PEER_SENDING || p->state == PEER_WAITING) return MHD_NO;
    if (p->state == PEER_ANSWERED) return queue(h, p); /* resumed */
    p->page = page_of(url);
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
        page_answer_method(&p->answer);
    } else if (!page_needs_round(&h->pages, p->page)) {
        page_answer(&h->pages, p->page, NULL, &p->answer);
    } else if (round_is_late(h)) {
        page_answer_late(&h->pages, &p->answer);
    } else {
        MHD_suspend_connection(connection);
        p->state = PEER_WAITING;
        list_push_back(&h->next, &p->in_waiting);
        return MHD_YES;
    }
    return queue(h, p);
}

/* ---- those who wait for a round ---- */

static void answered(struct peer *p)
{
    p->state = PEER_ANSWERED;
    MHD_resume_connection(p->connection); /* handle() is called again in the next MHD_run */
}

static void answer_late(struct http *h, struct list *peers)
{
    for (struct list_node *n; (n = list_pop_front(peers)) != NULL;) {
        struct peer *p = container_of(n, struct peer, in_waiting);
        page_answer_late(&h->pages, &p->answer);
        answered(p);
    }
}

static void round_begin(struct http *h)
{
    if (list_empty(&h->next) || scrape_running(&h->scrape) || h->stopped != NULL) return;
    if (env_of(h)->now.v - h->scrape.begun.v < HTTP_ROUND_GAP_NS) return;
    bool values = false;
    for (struct list_node *n; (n = list_pop_front(&h->next)) != NULL;) {
        values |= container_of(n, struct peer, in_waiting)->page == PAGE_METRICS;
        list_push_back(&h->current, n);
    }
    scrape_start(&h->scrape, values);
}

static void round_ended(struct scrape *c)
{
    struct http *h = container_of(c, struct http, scrape);
    struct text *print = NULL;
    for (struct list_node *n; (n = list_pop_front(&h->current)) != NULL;) {
        struct peer *p = container_of(n, struct peer, in_waiting);
        page_answer(&h->pages, p->page, &print, &p->answer);
        answered(p);
    }
    look(h);
}

/* ---- connections ---- */

static void connection_changed(void *http, struct MHD_Connection *connection, void **context,
                               enum MHD_ConnectionNotificationCode what)
{
    struct http *h = http;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        struct peer *p = h->peers;
        while (p->state != PEER_FREE) p++;
        CHECK(p < h->peers + HTTP_CONNECTIONS); /* the library keeps the limit */
        *p = (struct peer){.connection = connection, .since = env_of(h)->now, .state = PEER_READING};
        *context = p;
        h->connections->value++;
        return;
    }
    struct peer *p = *context;
    CHECK(!list_linked(&p->in_waiting)); /* a suspended connection is not closed */
    if (p->state == PEER_ANSWERED && p->answer.text != NULL) text_unref(p->answer.text);
    p->state = PEER_FREE;
    h->connections->value--;
}

/* Connections that may be cut: those that wait for a round are ours to answer. */
static bool peer_may_be_cut(const struct peer *p)
{
    return p->state != PEER_FREE && p->state != PEER_WAITING && !p->cut;
}

static void cut_done(struct io_op *op)
{
    look(container_of(op, struct http, cut));
}

/* One connection that is too old; true: its shutdown is under way. */
static bool cut_one(struct http *h)
{
    struct env *e = env_of(h);
    for (struct peer *p = h->peers; p < h->peers + HTTP_CONNECTIONS; p++) {
        if (!peer_may_be_cut(p) || e->now.v - p->since.v < HTTP_LIFE_NS) continue;
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(p->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        p->cut = true;
        h->cut = (struct io_op){.kind = IO_SHUTDOWN, .sock = info->connect_fd, .done = cut_done};
        env_submit(e, &h->cut);
        return true;
    }
    return false;
}

/* ---- the loop's side ---- */

static void stop_step(struct http *h);

static void poll_done(struct io_op *op)
{
    look(container_of(op, struct http, poll));
}

static void earlier(struct mono_ns *until, struct mono_ns when)
{
    until->v = MIN(until->v, when.v);
}

/* When to look next if the poll says nothing. */
static struct mono_ns next_look(const struct http *h)
{
    struct mono_ns until = {INT64_MAX}, now = env_of(h)->now;
    MHD_UNSIGNED_LONG_LONG ms;
    if (MHD_get_timeout(h->daemon, &ms) == MHD_YES)
        earlier(&until, mono_add(now, (int64_t)MIN(ms, 60000u) * NS_PER_MS));
    for (const struct peer *p = h->peers; p < h->peers + HTTP_CONNECTIONS; p++)
        if (peer_may_be_cut(p)) earlier(&until, mono_add(p->since, HTTP_LIFE_NS));
    if (scrape_running(&h->scrape))
        earlier(&until, mono_add(h->scrape.begun, HTTP_ROUND_MAX_NS));
    else if (!list_empty(&h->next))
        earlier(&until, mono_add(h->scrape.begun, HTTP_ROUND_GAP_NS));
    return until;
}

static void look(struct http *h)
{
    struct env *e = env_of(h);
    struct mono_ns soonest = mono_add(h->looked, HTTP_GAP_NS);
    if (h->stopped != NULL) {
        stop_step(h);
        return;
    }
    if (h->cut.in_flight) return; /* looks when it is done */
    if (e->now.v < soonest.v) {
        env_timer_start(e, &h->wake, soonest);
        return;
    }
    if (round_is_late(h)) {
        answer_late(h, &h->current);
        answer_late(h, &h->next);
    }
    if (cut_one(h)) return;
    h->looked = e->now;
    bool full = h->connections->value >= HTTP_CONNECTIONS;
    CHECK(MHD_run(h->daemon) == MHD_YES);
    round_begin(h);
    if (!h->poll.in_flight) env_submit(e, &h->poll);
    struct mono_ns until = next_look(h);
    /* A full library does not watch the listener, and begins to again at the start of a run only. */
    if (full && h->connections->value < HTTP_CONNECTIONS) until = e->now;
    if (until.v == INT64_MAX)
        env_timer_stop(e, &h->wake);
    else
        env_timer_start(e, &h->wake, (struct mono_ns){MAX(until.v, e->now.v + HTTP_GAP_NS)});
}

static void wake_fire(struct timer *t)
{
    look(container_of(t, struct http, wake));
}

/* ---- life ---- */

static bool register_metrics(struct http *h)
{
    struct metrics *m = h->zero->metrics;
    h->connections = metrics_gauge(m, "leat_http_connections", "Open HTTP connections.", NULL, 0);
    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        char code[8];
        snprintf(code, sizeof code, "%u", codes[i]);
        const struct metric_label l = {"code", code};
        h->answers[i] = metrics_counter(m, "leat_http_requests_total", "HTTP requests answered.", &l, 1);
        if (h->answers[i] == NULL) return false;
    }
    return h->connections != NULL;
}

static bool start_library(struct http *h, int32_t sock)
{
    h->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, handle, h,
                                 MHD_OPTION_LISTEN_SOCKET, (MHD_socket)sock, MHD_OPTION_CONNECTION_LIMIT,
                                 (unsigned)HTTP_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT, HTTP_SILENCE_S,
                                 MHD_OPTION_CONNECTION_MEMORY_LIMIT, HTTP_MEMORY, MHD_OPTION_STRICT_FOR_CLIENT, 1,
                                 MHD_OPTION_NOTIFY_CONNECTION, connection_changed, h, MHD_OPTION_END);
    if (h->daemon == NULL) return false;
    h->poll = (struct io_op){
        .kind = IO_POLL, .sock = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd, .done = poll_done};
    return true;
}

static enum status open_at(struct http *h, const char *host, uint16_t port, uint16_t *ret_port)
{
    int32_t sock;
    enum status s = env_listen(env_of(h), host, port, false, &sock, ret_port);
    if (s != STATUS_OK) return s;
    /* If the library cannot begin, the socket is left: the process ends with this error. */
    return start_library(h, sock) ? STATUS_OK : STATUS_NO_MEMORY;
}

static void http_free(struct http *h)
{
    pages_deinit(&h->pages);
    scrape_deinit(&h->scrape);
    mem_free(env_of(h)->mem, MEM_CONTROL, h, sizeof *h);
}

enum status http_open(struct shard *zero, struct http **ret_http, char ret_error[512])
{
    const struct broker_config *c = zero->broker->config;
    uint16_t port = 0;
    *ret_http = NULL;
    if (c->http_host[0] == '\0') return STATUS_OK;
    struct http *h = mem_zalloc(zero->env->mem, MEM_CONTROL, sizeof *h);
    enum status s = STATUS_NO_MEMORY;
    if (h != NULL) {
        h->zero = zero;
        h->wake.fire = wake_fire;
        list_init(&h->next);
        list_init(&h->current);
        pages_init(&h->pages, zero, &h->scrape);
        bool ok = scrape_init(&h->scrape, zero, round_ended) && register_metrics(h);
        if (ok) s = open_at(h, c->http_host, c->http_port, &port);
    }
    if (s != STATUS_OK) {
        snprintf(ret_error, 512,
                 "leat.http.listener: %s:%u: %s; choose another address or port (0: any free one), none, or stop what "
                 "listens there",
                 c->http_host, c->http_port, status_text(s));
        if (h != NULL) http_free(h);
        return s;
    }
    SHARD_LOG(zero, LOG_INFO, "http.ready", LOG_STR("host", c->http_host), LOG_INT("port", port));
    h->looked = mono_add(zero->env->now, -HTTP_GAP_NS);
    look(h);
    *ret_http = h;
    return STATUS_OK;
}

static void answer_stopping(struct list *peers)
{
    for (struct list_node *n; (n = list_pop_front(peers)) != NULL;) {
        struct peer *p = container_of(n, struct peer, in_waiting);
        page_answer_stopping(&p->answer);
        answered(p);
    }
}

/* Goes on when an op or the round has ended; a usage op that stands behind a slow disk is asked for again. */
static void stop_step(struct http *h)
{
    struct env *e = env_of(h);
    if (h->poll.in_flight || h->cut.in_flight || scrape_running(&h->scrape)) return;
    if (!scrape_quiet(&h->scrape)) {
        env_timer_start(e, &h->wake, mono_add(e->now, 10 * NS_PER_MS));
        return;
    }
    answer_stopping(&h->next);
    CHECK(list_empty(&h->current));
    CHECK(MHD_run(h->daemon) == MHD_YES); /* what was resumed is answered, as far as the sockets take it */
    MHD_stop_daemon(h->daemon);           /* and the listening socket is closed */
    void (*stopped)(struct shard * zero) = h->stopped;
    struct shard *zero = h->zero;
    env_timer_stop(e, &h->wake);
    http_free(h);
    stopped(zero);
}

void http_stop(struct http *h, void (*stopped)(struct shard *zero))
{
    CHECK(h->stopped == NULL && stopped != NULL);
    h->stopped = stopped;
    env_timer_stop(env_of(h), &h->wake);
    if (h->poll.in_flight) env_cancel(env_of(h), &h->poll);
    stop_step(h);
}

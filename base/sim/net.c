// SPDX-License-Identifier: Apache-2.0
/* The simulated network: streams of bytes between sockets, cut and delayed by chance.
 *
 * Happy path: connect finds the machine by host and a listener by port (one by chance where several shards listen),
 * makes a pair of sockets; accept hands one out, the connect op the other. A send copies what the window has room for
 * into one parcel with an arrival time, in order per direction; at arrival its bytes wait at the receiver; the
 * multishot recv gets all of them or a fragment, one event at a time (the next when done() has run); taken bytes open
 * the window. Failure modes: REFUSED (no listener), TIMED_OUT (no answer), CLOSED (reset; sending after shutdown),
 * result 0 (the peer closed). A cut link holds parcels, FIN and RST included, until it is healed. A machine without
 * power answers nothing; after its next boot, whoever still talks to an old socket is reset. */
#include "base/sim/sim_impl.h"
#include <stdio.h>

#define RECV_MAX        65536u
#define BACKLOG_MAX     1024u
#define FIRST_FREE_PORT 32768u

enum parcel_kind { PARCEL_DATA, PARCEL_FIN, PARCEL_RST };

struct parcel { /* on the wire to a socket */
    struct list_node in_wire;
    enum parcel_kind kind;
    int64_t arrival;
    uint32_t len;
    uint8_t data[];
};

struct net_op {
    struct sim_event event; /* a completion to come, or the next try of a connect */
    struct list_node in_shard, in_sends;
    struct sim_shard *shard;
    struct io_op *op;
    struct sim_sock *sock; /* NULL: connect */
    enum status status;
    int64_t result;
    uint32_t tries;
    bool cancel;
};

struct sim_sock {
    struct list_node in_world, in_backlog, in_ready;
    int32_t id;
    struct sim *sim;
    struct sim_machine *machine;
    struct sim_shard *shard; /* NULL: not accepted yet, or its process is gone */
    struct sim_sock *peer;   /* NULL: listener, or the other end was freed */
    /* listener */
    bool listening, alone; /* alone: nobody else may listen on its port */
    uint16_t port;
    struct list backlog;
    uint32_t backlog_count;
    struct net_op *accept;
    /* stream: what comes to this end */
    struct list wire;
    struct sim_event arrive; /* of the first parcel */
    int64_t last_arrival;
    uint32_t wire_bytes;
    uint8_t *got; /* arrived, not taken */
    uint32_t got_at, got_len, got_capacity;
    uint8_t *lent; /* what recv shows until done() returns */
    struct net_op *recv;
    struct list sends; /* this end's, waiting for room */
    bool fin_got, reset, shut, closed, silent;
};

/* ---- the wire ---- */
static void wire_start(struct sim_sock *k)
{
    struct list_node *n = list_first(&k->wire);
    if (n == NULL || k->arrive.heap_index != 0) return;
    if (k->peer != NULL && sim_link_of(k->peer->machine, k->machine)->cut) return; /* resumes when healed */
    sim_schedule(k->sim, &k->arrive, container_of(n, struct parcel, in_wire)->arrival);
}

void sim_net_link_changed(struct sim_machine *from, struct sim_machine *to)
{
    list_each (n, &from->sim->socks) {
        struct sim_sock *k = container_of(n, struct sim_sock, in_world);
        if (k->peer != NULL && k->machine == to && k->peer->machine == from) wire_start(k);
    }
}

/* ---- ops ---- */
static void op_end(struct net_op *no, enum status st, int64_t result)
{
    struct sim_shard *sh = no->shard;
    struct io_op *op = no->op;
    sim_unschedule(sh->machine->sim, &no->event);
    list_remove(&no->in_shard);
    if (list_linked(&no->in_sends)) list_remove(&no->in_sends);
    sim_mix(sh->machine->sim, (uint64_t)st << 48 ^ (uint64_t)op->kind << 40 ^ (uint64_t)result);
    free(no);
    sim_complete(sh, op, st, result, false);
}

static void op_end_event(struct sim *s, struct sim_event *ev)
{
    (void)s;
    struct net_op *no = container_of(ev, struct net_op, event);
    op_end(no, no->status, no->result);
}

/* Completes after the time of a system call: never inside env_submit. */
static void op_end_soon(struct net_op *no, enum status st, int64_t result)
{
    struct sim *s = no->shard->machine->sim;
    no->event.run = op_end_event;
    no->status = st;
    no->result = result;
    sim_schedule(s, &no->event, s->now + 1000 + sim_exp(&s->net, 2000));
}

/* ---- sockets ---- */
static void arrive_run(struct sim *s, struct sim_event *ev);

static int32_t table_add(struct sim *s, struct sim_sock *k)
{
    if ((s->sock_count & (s->sock_count - 1)) == 0) { /* at each power of two, doubled */
        s->sock_table = realloc(s->sock_table, MAX(2u, s->sock_count * 2) * sizeof(struct sim_sock *));
        CHECK(s->sock_table != NULL);
        if (s->sock_count == 0) s->sock_table[s->sock_count++] = NULL; /* 0 is no socket */
    }
    s->sock_table[s->sock_count] = k;
    return (int32_t)s->sock_count++;
}

static struct sim_sock *sock_create(struct sim_machine *m, struct sim_shard *sh)
{
    struct sim_sock *k = sim_alloc(sizeof *k);
    k->sim = m->sim;
    k->id = table_add(m->sim, k);
    k->machine = m;
    k->shard = sh;
    k->arrive.run = arrive_run;
    list_init(&k->backlog);
    list_init(&k->wire);
    list_init(&k->sends);
    list_push_back(&m->sim->socks, &k->in_world);
    return k;
}

static void wire_drop(struct sim_sock *k)
{
    sim_unschedule(k->sim, &k->arrive);
    list_each (n, &k->wire) {
        list_remove(n);
        free(container_of(n, struct parcel, in_wire));
    }
    k->wire_bytes = 0;
}

static void sock_free(struct sim_sock *k)
{
    wire_drop(k);
    if (k->peer != NULL) k->peer->peer = NULL;
    if (list_linked(&k->in_backlog)) list_remove(&k->in_backlog);
    if (list_linked(&k->in_ready)) list_remove(&k->in_ready);
    list_remove(&k->in_world);
    k->sim->sock_table[k->id] = NULL;
    free(k->got);
    free(k->lent);
    free(k);
}

/* A closed end stays while its peer does not know and may still send to it. */
static void sock_free_if_over(struct sim_sock *k)
{
    if (!k->closed) return;
    struct sim_sock *peer = k->peer;
    if (peer == NULL) {
        sock_free(k);
    } else if (peer->closed) {
        sock_free(k);
        sock_free(peer);
    }
}

static struct sim_sock *sock_of(struct sim_shard *sh, int32_t id)
{
    const struct sim *s = sh->machine->sim;
    CHECK(id > 0 && (uint32_t)id < s->sock_count);
    struct sim_sock *k = s->sock_table[id];
    CHECK(k != NULL && k->shard == sh && !k->closed);
    return k;
}

static void parcel_send(struct sim_sock *from, enum parcel_kind kind, uint32_t len, struct parcel *p)
{
    struct sim_sock *to = from->peer;
    struct sim *s = from->sim;
    if (to == NULL) {
        free(p);
        return;
    }
    const struct sim_link *l = sim_link_of(from->machine, to->machine);
    if (p == NULL) p = sim_alloc(sizeof *p);
    p->kind = kind;
    p->len = len;
    int64_t travel = l->bytes_per_s == 0 ? 0 : (int64_t)((uint64_t)len * (uint64_t)NS_PER_S / l->bytes_per_s);
    p->arrival = to->last_arrival = MAX(to->last_arrival, s->now + sim_link_delay(s, l)) + travel;
    to->wire_bytes += len;
    list_push_back(&to->wire, &p->in_wire);
    wire_start(to);
}

/* ---- receiving ---- */
static void try_sends(struct sim_sock *k);
void sim_net_peer(struct env *e, int32_t sock, char out[ENV_HOST_SIZE])
{
    const struct sim_sock *k = sock_of(sim_shard_of(e), sock);
    if (k->peer != NULL) snprintf(out, ENV_HOST_SIZE, "%s", k->peer->machine->host);
}

static void accept_try(struct sim_sock *k);

static void recv_try(struct sim_sock *k)
{
    struct net_op *no = k->recv;
    if (no == NULL) return;
    if (list_linked(&no->op->in_env)) { /* its last event has not run: the buffer is lent */
        if (!list_linked(&k->in_ready)) list_push_back(&k->shard->recv_ready, &k->in_ready);
        return;
    }
    struct sim *s = k->sim;
    bool over = no->cancel || k->reset || k->shut || (k->got_len == 0 && k->fin_got);
    if (!over && k->got_len == 0) return;
    if (over) {
        k->recv = NULL;
        bool fine = !no->cancel && !k->reset;
        op_end(no, fine ? STATUS_OK : no->cancel ? STATUS_CANCELED : STATUS_CLOSED, 0);
        return;
    }
    uint32_t n = MIN(k->got_len, RECV_MAX);
    if (k->peer != NULL && sim_chance(&s->net, sim_link_of(k->peer->machine, k->machine)->fragment_ppm)) {
        n = 1 + (uint32_t)prng_below(&s->net, n);
        s->counters.fragments++;
    }
    free(k->lent);
    k->lent = malloc(n); /* exactly: ASan sees who reads on */
    CHECK(k->lent != NULL);
    memcpy(k->lent, k->got + k->got_at, n);
    k->got_at += n;
    k->got_len -= n;
    no->op->data = k->lent;
    sim_mix(s, (uint64_t)k->id);
    sim_mix_bytes(s, k->lent, n);
    if (prng_below(&s->net, 256) == 0) { /* the kernel may end a multishot at any time */
        k->recv = NULL;
        op_end(no, STATUS_OK, n);
    } else {
        sim_complete(k->shard, no->op, STATUS_OK, n, true);
        if (!list_linked(&k->in_ready)) list_push_back(&k->shard->recv_ready, &k->in_ready);
    }
    if (k->peer != NULL) try_sends(k->peer);
}

static void got_push(struct sim_sock *k, const void *data, uint32_t len)
{
    if (k->got_at + k->got_len + len > k->got_capacity) {
        if (k->got_len > 0) memmove(k->got, k->got + k->got_at, k->got_len);
        k->got_at = 0;
        if (k->got_len + len > k->got_capacity) {
            k->got_capacity = MAX(k->got_capacity * 2, k->got_len + len);
            k->got = realloc(k->got, k->got_capacity);
            CHECK(k->got != NULL);
        }
    }
    memcpy(k->got + k->got_at + k->got_len, data, len);
    k->got_len += len;
}

static void sock_reset(struct sim_sock *k)
{
    k->reset = true;
    k->got_len = 0;
    k->sim->counters.resets++;
    recv_try(k);
    try_sends(k);
}

static void arrive_run(struct sim *s, struct sim_event *ev)
{
    struct sim_sock *k = container_of(ev, struct sim_sock, arrive);
    if (k->peer != NULL && sim_link_of(k->peer->machine, k->machine)->cut) return;
    struct parcel *p = container_of(list_pop_front(&k->wire), struct parcel, in_wire);
    k->wire_bytes -= p->len;
    sim_mix(s, (uint64_t)k->id << 32 ^ (uint64_t)p->kind << 28 ^ p->len);
    bool dead = k->closed || k->shut || k->silent;
    if (dead && p->kind == PARCEL_DATA && (!k->silent || k->machine->powered))
        parcel_send(k, PARCEL_RST, 0, NULL); /* nobody is there: the sender learns it */
    if (!dead && p->kind == PARCEL_DATA) got_push(k, p->data, p->len);
    if (p->kind == PARCEL_FIN) k->fin_got = true;
    if (!dead && p->kind == PARCEL_RST)
        sock_reset(k);
    else if (!dead)
        recv_try(k);
    free(p);
    wire_start(k);
}

void sim_net_turn_done(struct sim_shard *sh)
{
    list_each (n, &sh->recv_ready) {
        struct sim_sock *k = container_of(n, struct sim_sock, in_ready);
        const struct net_op *no = k->listening ? k->accept : k->recv;
        if (no != NULL && list_linked(&no->op->in_env)) continue;
        list_remove(n);
        recv_try(k); /* may put it at the end again: linked then, so the loop ends */
        accept_try(k);
    }
}

/* ---- sending ---- */
static struct parcel *gather(const struct io_op *op, uint32_t len)
{
    struct parcel *p = malloc(sizeof *p + len);
    CHECK(p != NULL);
    p->in_wire = (struct list_node){0};
    uint32_t at = 0;
    for (uint32_t v = 0; v < op->iov_count && at < len; v++) {
        uint32_t part = (uint32_t)MIN(op->iov[v].iov_len, (size_t)(len - at));
        memcpy(p->data + at, op->iov[v].iov_base, part);
        at += part;
    }
    CHECK(at == len);
    return p;
}

/* False: there is no room; wait. */
static bool send_try(struct sim_sock *k, struct net_op *no)
{
    struct sim *s = k->sim;
    uint64_t total = 0;
    for (uint32_t v = 0; v < no->op->iov_count; v++) total += no->op->iov[v].iov_len;
    if (no->cancel || k->reset || k->shut || k->peer == NULL) {
        op_end_soon(no, no->cancel ? STATUS_CANCELED : STATUS_CLOSED, 0);
        return true;
    }
    const struct sim_link *l = sim_link_of(k->machine, k->peer->machine);
    uint32_t used = k->peer->wire_bytes + k->peer->got_len, room = used >= l->window_bytes ? 0 : l->window_bytes - used;
    if (room == 0) return false;
    uint32_t n = (uint32_t)MIN(total, (uint64_t)room);
    if (sim_chance(&s->net, l->short_ppm) && n > 1) {
        n = 1 + (uint32_t)prng_below(&s->net, n - 1);
        s->counters.cut_sends++;
    }
    if (sim_chance(&s->net, l->reset_ppm)) { /* the connection is lost with some of these bytes on the way */
        parcel_send(k, PARCEL_RST, 0, NULL);
        sock_reset(k);
        op_end_soon(no, STATUS_CLOSED, 0);
        return true;
    }
    if (n > 0) parcel_send(k, PARCEL_DATA, n, gather(no->op, n));
    op_end_soon(no, STATUS_OK, n);
    return true;
}

static void try_sends(struct sim_sock *k)
{
    list_each (n, &k->sends) {
        struct net_op *no = container_of(n, struct net_op, in_sends);
        list_remove(n);
        if (send_try(k, no)) continue;
        list_push_front(&k->sends, n);
        return;
    }
}

/* ---- listening, connecting ---- */
static uint16_t port_of(const char *address, size_t *ret_host_len)
{
    const char *colon = strrchr(address, ':');
    CHECK(colon != NULL);
    *ret_host_len = (size_t)(colon - address);
    return (uint16_t)strtoul(colon + 1, NULL, 10);
}

static struct sim_sock *listener_pick(struct sim_machine *m, uint16_t port)
{
    struct sim_sock *picked = NULL;
    uint64_t count = 0;
    list_each (n, &m->sim->socks) {
        struct sim_sock *k = container_of(n, struct sim_sock, in_world);
        if (!k->listening || k->closed || k->machine != m || k->port != port) continue;
        if (prng_below(&m->sim->net, ++count) == 0) picked = k;
    }
    return picked;
}

static bool port_taken(struct sim_machine *m, uint16_t port, bool shared)
{
    list_each (n, &m->sim->socks) {
        const struct sim_sock *k = container_of(n, struct sim_sock, in_world);
        if (k->listening && !k->closed && k->machine == m && k->port == port && (!shared || k->alone)) return true;
    }
    return false;
}

enum status sim_net_listen(struct sim_shard *sh, const char *host, uint16_t port, bool shared, int32_t *ret_sock,
                           uint16_t *ret_port)
{
    struct sim_machine *m = sh->machine;
    if (sim_machine_by_host(m, host, strlen(host)) != m) return STATUS_INVALID; /* not an address of this machine */
    if (port == 0)
        for (port = FIRST_FREE_PORT; listener_pick(m, port) != NULL;) port++;
    if (port_taken(m, port, shared)) return STATUS_ADDRESS_IN_USE;
    struct sim_sock *k = sock_create(m, sh);
    k->listening = true;
    k->alone = !shared;
    k->port = port;
    *ret_sock = k->id;
    *ret_port = port;
    return STATUS_OK;
}

static void accept_try(struct sim_sock *k)
{
    struct net_op *no = k->accept;
    if (no == NULL) return;
    if (list_linked(&no->op->in_env)) {
        if (!list_linked(&k->in_ready)) list_push_back(&k->shard->recv_ready, &k->in_ready);
        return;
    }
    if (no->cancel || k->shut) {
        k->accept = NULL;
        op_end(no, no->cancel ? STATUS_CANCELED : STATUS_CLOSED, 0);
        return;
    }
    struct list_node *n = list_pop_front(&k->backlog);
    if (n == NULL) return;
    struct sim_sock *stream = container_of(n, struct sim_sock, in_backlog);
    k->backlog_count--;
    stream->shard = k->shard;
    sim_mix(k->sim, (uint64_t)stream->id);
    sim_complete(k->shard, no->op, STATUS_OK, stream->id, true);
    if (!list_linked(&k->in_ready)) list_push_back(&k->shard->recv_ready, &k->in_ready);
}

static void connect_run(struct sim *s, struct sim_event *ev)
{
    struct net_op *no = container_of(ev, struct net_op, event);
    struct sim_machine *from = no->shard->machine;
    size_t host_len;
    uint16_t port = port_of(no->op->path, &host_len);
    struct sim_machine *to = sim_machine_by_host(from, no->op->path, host_len);
    if (to == NULL || !to->powered || sim_link_of(from, to)->cut || sim_link_of(to, from)->cut) {
        no->tries++; /* as the kernel does it: tries after 1, 2, 4 s, then it gives up */
        if (no->tries > 3)
            op_end(no, STATUS_TIMED_OUT, 0);
        else
            sim_schedule(s, &no->event, s->now + (NS_PER_S << (no->tries - 1)));
        return;
    }
    int64_t back = sim_link_delay(s, sim_link_of(to, from));
    struct sim_sock *l = listener_pick(to, port);
    no->event.run = op_end_event;
    no->status = STATUS_REFUSED;
    if (l != NULL && l->backlog_count < BACKLOG_MAX) {
        struct sim_sock *client = sock_create(from, no->shard), *server = sock_create(to, NULL);
        client->peer = server;
        server->peer = client;
        list_push_back(&l->backlog, &server->in_backlog);
        l->backlog_count++;
        s->counters.connections++;
        accept_try(l);
        no->status = STATUS_OK;
        no->result = client->id;
    }
    sim_schedule(s, &no->event, s->now + back);
}

/* ---- closing ---- */
static void sock_shut(struct sim_sock *k)
{
    if (k->shut) return;
    k->shut = true;
    if (!k->reset && !k->listening) parcel_send(k, k->got_len > 0 ? PARCEL_RST : PARCEL_FIN, 0, NULL);
    k->got_len = 0;
}

static void sock_close(struct sim_sock *k)
{
    sock_shut(k);
    k->closed = true;
    k->shard = NULL;
    list_each (n, &k->backlog) {
        struct sim_sock *waiting = container_of(n, struct sim_sock, in_backlog);
        list_remove(n);
        waiting->reset = true;
        parcel_send(waiting, PARCEL_RST, 0, NULL);
        sock_close(waiting);
    }
    if (list_linked(&k->in_ready)) list_remove(&k->in_ready);
    sock_free_if_over(k);
}

unsigned sim_net_reset(struct sim_machine *a, struct sim_machine *b)
{
    unsigned count = 0;
    list_each (n, &a->sim->socks) {
        struct sim_sock *k = container_of(n, struct sim_sock, in_world), *peer = k->peer;
        bool between = peer != NULL && k->machine == a && peer->machine == b;
        if (!between || k->reset || k->closed || peer->reset || peer->closed) continue;
        wire_drop(k);
        wire_drop(peer);
        sock_reset(k);
        sock_reset(peer);
        count++;
    }
    return count;
}

void sim_net_kill(struct sim_machine *m, enum sim_kill how)
{
    for (uint32_t n = 0; n < m->shard_count; n++) {
        list_each (o, &m->shards[n].nets) {
            struct net_op *no = container_of(o, struct net_op, in_shard);
            sim_unschedule(m->sim, &no->event);
            list_remove(o);
            if (list_linked(&no->in_sends)) list_remove(&no->in_sends);
            free(no);
        }
    }
    for (bool again = true; again;) { /* closing one may free others: begin anew after each */
        again = false;
        list_each (n, &m->sim->socks) {
            struct sim_sock *k = container_of(n, struct sim_sock, in_world);
            if (k->machine != m || k->closed) continue;
            k->recv = k->accept = NULL;
            k->silent = how == SIM_POWER;
            if (k->silent) k->shut = true; /* no FIN, no RST: nobody is left to send it */
            sock_close(k);
            again = true;
            break;
        }
    }
}

/* ---- the ops ---- */
void sim_net_submit(struct sim_shard *sh, struct io_op *op)
{
    struct sim *s = sh->machine->sim;
    struct net_op *no = sim_alloc(sizeof *no);
    *no = (struct net_op){.shard = sh, .op = op};
    op->impl[0] = (uint64_t)(uintptr_t)no;
    list_push_back(&sh->nets, &no->in_shard);
    sim_mix(s, (uint64_t)op->kind << 32 | (uint32_t)op->sock);
    if (op->kind == IO_CONNECT) {
        no->event.run = connect_run;
        sim_schedule(s, &no->event, s->now + 5 * NS_PER_US + sim_exp(&s->net, 50 * NS_PER_US));
        return;
    }
    struct sim_sock *k = no->sock = sock_of(sh, op->sock);
    switch ((int)op->kind) {
    case IO_ACCEPT:
        CHECK(k->listening && k->accept == NULL);
        k->accept = no;
        accept_try(k);
        break;
    case IO_RECV:
        CHECK(!k->listening && k->recv == NULL);
        k->recv = no;
        recv_try(k);
        break;
    case IO_SEND:
        list_push_back(&k->sends, &no->in_sends);
        if (list_first(&k->sends) == &no->in_sends) try_sends(k);
        break;
    case IO_SHUTDOWN:
        sock_shut(k);
        recv_try(k);
        accept_try(k);
        try_sends(k);
        op_end_soon(no, STATUS_OK, 0);
        break;
    case IO_CLOSE_SOCKET:
        CHECK(k->recv == NULL && k->accept == NULL && list_empty(&k->sends));
        no->sock = NULL;
        sock_close(k);
        op_end_soon(no, STATUS_OK, 0);
        break;
    default: CHECK(!"a socket op");
    }
}

void sim_net_cancel(struct sim_shard *sh, struct io_op *op)
{
    (void)sh;
    struct net_op *no = (struct net_op *)(uintptr_t)op->impl[0];
    no->cancel = true;
    if (op->kind == IO_RECV) recv_try(no->sock);
    if (op->kind == IO_ACCEPT) accept_try(no->sock);
    if (op->kind == IO_SEND && list_linked(&no->in_sends)) {
        list_remove(&no->in_sends);
        op_end_soon(no, STATUS_CANCELED, 0);
    }
    if (op->kind == IO_CONNECT && no->event.run == connect_run) {
        sim_unschedule(no->shard->machine->sim, &no->event);
        op_end_soon(no, STATUS_CANCELED, 0);
    }
}

void sim_net_deinit(struct sim *s)
{
    list_each (n, &s->socks) sock_free(container_of(n, struct sim_sock, in_world));
    free(s->sock_table);
}

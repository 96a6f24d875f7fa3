// SPDX-License-Identifier: Apache-2.0
/* Single requests to any broker, to the controller, or to a named one (contract: client.h).
 *
 * Happy path: choose an address -> its connection -> send -> receive. Any broker: one we have a connection to, else the
 * known ones and the user's list, one after another.
 * Failure modes: a broker that is out of reach costs one attempt, the next address is tried, with growing pauses, until
 * the deadline; then the error of the last attempt is the answer. Answers that make no sense end the call at once. */
#include "clients/c/metadata.h"

#include "base/bytes.h"

static enum leat_code exchange(struct conn *n, const struct call *q, int64_t deadline, struct reply *ret_reply,
                               bool *ret_sent, struct leat_error *e)
{
    int16_t version;
    struct pending p;
    enum leat_code code = conn_version(n, q->key, q->version_cap, &version, e);
    if (code != LEAT_OK) return code;
    *ret_sent = true;
    code = conn_send(n, q->key, version, q->message, deadline, &p, e);
    if (code == LEAT_OK) code = conn_receive(n, &p, deadline, ret_reply, e);
    if (code == LEAT_TIMED_OUT) conn_break(n); /* the late answer would be taken for the next one's */
    return code;
}

static const struct address *connected(const struct leat_client *c)
{
    list_each (node, &c->conns.all) {
        const struct conn *n = container_of(node, struct conn, in_conns);
        if (n->socket != SOCKET_NONE) return &n->address;
    }
    return NULL;
}

/* Turns through the known brokers, then the user's list. */
static const struct address *next_address(struct leat_client *c)
{
    uint32_t i = c->next_bootstrap++ % (c->known_count + c->bootstrap_count);
    return i < c->known_count ? &c->known[i] : &c->bootstrap[i - c->known_count];
}

static enum leat_code one_try(struct leat_client *c, const struct call *q, int64_t deadline, struct reply *ret_reply,
                              bool *ret_sent, struct leat_error *e)
{
    struct address controller, at;
    struct conn *n;
    enum leat_code code = LEAT_OK;
    if (q->target == CALL_CONTROLLER) {
        code = metadata_controller(c, deadline, &controller, e);
        at = controller;
    } else if (q->target == CALL_NODE) {
        at = *q->node;
    } else {
        const struct address *any = connected(c);
        at = any != NULL ? *any : *next_address(c);
    }
    if (code == LEAT_OK) code = conns_get(&c->conns, c, &at, deadline, &n, e);
    if (code != LEAT_OK) return code;
    return exchange(n, q, deadline_min(deadline, c->request_timeout_ms), ret_reply, ret_sent, e);
}

enum leat_code call(struct leat_client *c, const struct call *q, int64_t deadline, struct reply *ret_reply,
                    struct leat_error *e)
{
    struct attempt again;
    struct leat_error own;
    if (e == NULL) e = &own;
    uint32_t quick = q->target == CALL_ANY ? c->known_count + c->bootstrap_count : 1;
    attempt_init(&again, deadline);
    for (uint32_t tries = 1;; tries++) {
        bool sent = false;
        enum leat_code code = one_try(c, q, deadline, ret_reply, &sent, e);
        if (q->ret_sent != NULL) *q->ret_sent = sent;
        if (code == LEAT_OK || !passing(code) || q->one_try) return code;
        if (sent && q->once)
            return fail(e, LEAT_TIMED_OUT, "the answer was lost, so it may be done or not; look before you repeat it");
        if (socket_now_ms() >= deadline) return code;
        if (tries >= quick && !attempt_again(&again)) return code;
    }
}

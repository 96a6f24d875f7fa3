// SPDX-License-Identifier: Apache-2.0
/* Fetch requests out, answers in (contract: reader.h).
 *
 * Happy path: slots that are neither asked nor queued, grouped by leader -> one Fetch per broker -> its answer -> each
 * partition's batches are measured (where to ask next) -> into the queue.
 * Failure modes: a broker out of reach, a leader that moved: its slots pause, the view is stale. An offset that is not
 * in the log is the user's to decide: an error that says what there is. An answer that brings no progress is a broken
 * broker, never an endless loop. */
#include "clients/c/reader.h"

#include "base/bytes.h"
#include "clients/c/offsets.h"

#define FETCH_VERSION_CAP   12 /* from 13 on topics go by id */
#define FETCHES_MAX         64u
#define PARTITION_BYTES_MIN (64 << 10)
#define PAUSE_FIRST_MS      20
#define PAUSE_LONGEST_MS    1000

static void pause_slot(struct slot *s)
{
    s->pause_ms = MIN(MAX(2 * s->pause_ms, (int64_t)PAUSE_FIRST_MS), (int64_t)PAUSE_LONGEST_MS);
    s->not_before = socket_now_ms() + s->pause_ms;
}

static bool slot_leader(const struct leat_reader *r, const struct slot *s, struct address *ret_leader)
{
    int32_t epoch;
    return s->partition < topic_view_partitions(&r->view) &&
           topic_view_leader(&r->view, s->partition, ret_leader, &epoch);
}

static bool wants(const struct slot *s, int64_t now)
{
    return s->asked == NULL && s->fetch_at < s->end && now >= s->not_before;
}

/* ---- fetches on their way ---- */

static void fetch_free(struct leat_reader *r, struct fetch *f)
{
    for (int32_t i = 0; i < r->slot_count; i++)
        if (r->slots[i].asked == f) r->slots[i].asked = NULL;
    if (list_linked(&f->in_fetches)) list_remove(&f->in_fetches);
    mem_free(r->client->mem, MEM_CONTROL, f, sizeof *f);
}

/* The broker is away, or its answer of no use: what it was asked for pauses. */
static void fetch_lost(struct leat_reader *r, struct fetch *f, const struct leat_error *why)
{
    for (int32_t i = 0; i < r->slot_count; i++)
        if (r->slots[i].asked == f) pause_slot(&r->slots[i]);
    if (f->conn != NULL && f->conn->socket != SOCKET_NONE) conn_break(f->conn);
    fetch_free(r, f);
    r->view.stale = true;
    r->last = *why;
}

static struct fetch *fetch_of(const struct leat_reader *r, const struct address *node, uint32_t *ret_count)
{
    struct fetch *found = NULL;
    *ret_count = 0;
    list_each (n, &r->fetches) {
        struct fetch *f = container_of(n, struct fetch, in_fetches);
        bool same_place = f->node.port == node->port && strcmp(f->node.host, node->host) == 0;
        if (f->node.node == node->node || same_place) found = f; /* one request per connection */
        ++*ret_count;
    }
    return found;
}

void reader_drop(struct leat_reader *r)
{
    reader_deliver_stop(r);
    list_each (n, &r->fetches) fetch_free(r, container_of(n, struct fetch, in_fetches));
    list_each (n, &r->answers) {
        struct answer *a = container_of(n, struct answer, in_answers);
        reply_free(&a->reply);
        mem_free(r->client->mem, MEM_CONTROL, a, sizeof *a);
    }
    list_init(&r->answers);
}

/* ---- sending ---- */

/* The partitions that this leader is asked for, marked as such; the one that stands first changes from request to
 * request, so that none waits for the others. */
static int32_t gather(struct leat_reader *r, const struct fetch *f, int64_t now, struct fetch_request_partition *out)
{
    int32_t n = 0;
    for (int32_t i = 0; i < r->slot_count; i++) {
        struct address leader;
        struct slot *s = &r->slots[(r->first + i) % r->slot_count];
        if (!wants(s, now) || !slot_leader(r, s, &leader) || leader.node != f->node.node) continue;
        s->asked = f;
        fetch_request_partition_init(&out[n]);
        out[n].partition = s->partition;
        out[n++].fetch_offset = s->fetch_at;
    }
    int32_t bytes = r->options.fetch_bytes;
    for (int32_t i = 0; i < n; i++) out[i].partition_max_bytes = MAX(bytes / n, MIN(bytes, PARTITION_BYTES_MIN));
    r->first = (r->first + 1) % r->slot_count;
    return n;
}

static enum leat_code encode_and_send(struct leat_reader *r, struct fetch *f, int64_t now, struct leat_error *e)
{
    struct fetch_request q;
    struct fetch_request_topic topic;
    int16_t version;
    size_t bytes = (size_t)r->slot_count * sizeof *topic.partitions;
    enum leat_code code = conn_version(f->conn, API_FETCH, FETCH_VERSION_CAP, &version, e);
    if (code != LEAT_OK) return code;
    fetch_request_init(&q);
    fetch_request_topic_init(&topic);
    q.max_wait_ms = r->options.wait_ms;
    q.min_bytes = 1;
    q.max_bytes = r->options.fetch_bytes;
    q.topics = &topic;
    q.topics_count = 1;
    q.rack_id = STR_EMPTY;
    topic.topic = str_of(r->view.name);
    topic.partitions = mem_alloc(r->client->mem, MEM_CONTROL, bytes);
    if (topic.partitions == NULL) return fail(e, LEAT_NO_MEMORY, "no memory for a fetch request");
    topic.partitions_count = gather(r, f, now, topic.partitions);
    code = conn_send(f->conn, API_FETCH, version, &q, f->deadline, &f->pending, e);
    mem_free(r->client->mem, MEM_CONTROL, topic.partitions, bytes);
    return code;
}

static enum leat_code fetch_start(struct leat_reader *r, const struct address *leader, int64_t now, int64_t deadline,
                                  struct leat_error *e)
{
    struct leat_error own;
    struct fetch *f = mem_zalloc(r->client->mem, MEM_CONTROL, sizeof *f);
    if (f == NULL) return fail(e, LEAT_NO_MEMORY, "no memory for a fetch request");
    f->node = *leader;
    f->deadline = deadline_in(r->client->request_timeout_ms + r->options.wait_ms);
    enum leat_code code = conns_get(&r->conns, r->client, leader, MIN(f->deadline, deadline), &f->conn, &own);
    if (code == LEAT_OK) code = encode_and_send(r, f, now, &own);
    if (code == LEAT_OK) {
        list_push_back(&r->fetches, &f->in_fetches);
        return LEAT_OK;
    }
    if (passing(code)) {
        fetch_lost(r, f, &own);
        return LEAT_OK;
    }
    fetch_free(r, f);
    if (e != NULL) *e = own;
    return code;
}

enum leat_code reader_send(struct leat_reader *r, int64_t deadline, struct leat_error *e)
{
    struct leat_error own;
    int64_t now = socket_now_ms();
    for (int32_t i = 0; i < r->slot_count; i++) {
        struct slot *s = &r->slots[i];
        struct address leader;
        uint32_t fetches;
        if (!wants(s, now)) continue;
        enum leat_code code = topic_view_refresh(&r->view, deadline, &own);
        if (code == LEAT_OK && !slot_leader(r, s, &leader)) {
            code = fail(&own, LEAT_UNREACHABLE, "%s-%d has no leader", r->view.name, s->partition);
            r->view.stale = true;
        }
        if (code != LEAT_OK && !own.retriable) {
            if (e != NULL) *e = own;
            return code;
        }
        if (code != LEAT_OK) {
            r->last = own;
            pause_slot(s);
            continue;
        }
        if (fetch_of(r, &leader, &fetches) != NULL || fetches == FETCHES_MAX) continue;
        code = fetch_start(r, &leader, now, deadline, e);
        if (code != LEAT_OK) return code;
        if (wants(s, now)) pause_slot(s); /* the broker was away before the slot was in the request */
    }
    return LEAT_OK;
}

/* ---- receiving ---- */

/* Where to ask next: behind the whole batches that came. A cut batch at the end is left for the next answer. */
static enum leat_code measure(struct leat_reader *r, struct slot *s, const struct records *records,
                              struct leat_error *e)
{
    const uint8_t *at = records->data;
    size_t left = (size_t)MAX(records->len, 0);
    int64_t next = s->fetch_at;
    while (left > 0) {
        struct batch_info info;
        enum status status = batch_parse(at, left, &info);
        if (status == STATUS_TRUNCATED_INPUT && next > s->fetch_at) break;
        if (status != STATUS_OK)
            return fail(e, LEAT_DAMAGED, "%s-%d: what follows offset %lld is no record batch: %s", r->view.name,
                        s->partition, (long long)(next - 1), status_text(status));
        next = MAX(next, batch_next_offset(&info));
        at += info.size_bytes;
        left -= info.size_bytes;
    }
    if (records->len > 0 && next == s->fetch_at)
        return fail(e, LEAT_PROTOCOL, "%s-%d: asked for offset %lld, the broker sends older records only", r->view.name,
                    s->partition, (long long)s->fetch_at);
    s->fetch_at = next;
    return LEAT_OK;
}

static enum leat_code out_of_range(struct leat_reader *r, const struct slot *s, struct leat_error *e)
{
    int64_t first = -1, end = -1, deadline = deadline_in(1000);
    const struct leat_position beginning = {LEAT_BEGINNING, 0}, tail = {LEAT_TAIL, 0};
    struct leat_error own;
    if (offset_resolve(&r->view, s->partition, beginning, deadline, &first, &own) != LEAT_OK ||
        offset_resolve(&r->view, s->partition, tail, deadline, &end, &own) != LEAT_OK)
        return fail_kafka(e, KAFKA_OFFSET_OUT_OF_RANGE, "%s-%d: offset %lld is not in the log", r->view.name,
                          s->partition, (long long)s->fetch_at);
    return fail_kafka(e, KAFKA_OFFSET_OUT_OF_RANGE,
                      "%s-%d: offset %lld is not in the log, which begins at %lld and "
                      "ends at %lld",
                      r->view.name, s->partition, (long long)s->fetch_at, (long long)first, (long long)end);
}

static enum leat_code partition_take(struct leat_reader *r, struct fetch_response_partition *q, struct slot *s,
                                     struct leat_error *e)
{
    if (q->error_code == KAFKA_NONE) {
        enum leat_code code = measure(r, s, &q->records, e);
        if (code != LEAT_OK) return code;
        s->pause_ms = 0;
        r->last.code = LEAT_OK;
        return LEAT_OK;
    }
    if (q->error_code == KAFKA_OFFSET_OUT_OF_RANGE) return out_of_range(r, s, e);
    if (!leat_kafka_error_retriable(q->error_code))
        return fail_kafka(e, q->error_code, "%s-%d: reading at offset %lld", r->view.name, s->partition,
                          (long long)s->fetch_at);
    fail_kafka(&r->last, q->error_code, "%s-%d: reading at offset %lld", r->view.name, s->partition,
               (long long)s->fetch_at);
    r->view.stale = true;
    pause_slot(s);
    return LEAT_OK;
}

/* Measures every partition; what is not ours, or refused, has no bytes afterwards. The first error is the answer's. */
static enum leat_code answer_take(struct leat_reader *r, const struct fetch *f, const struct fetch_response *a,
                                  struct leat_error *e)
{
    enum leat_code first = LEAT_OK;
    for (int32_t i = 0; i < a->responses_count; i++) {
        bool ours = str_equal(a->responses[i].topic, str_of(r->view.name));
        for (int32_t k = 0; k < a->responses[i].partitions_count; k++) {
            struct fetch_response_partition *q = &a->responses[i].partitions[k];
            struct slot *s = ours ? reader_slot(r, q->partition_index) : NULL;
            enum leat_code code = LEAT_OK;
            bool asked = s != NULL && s->asked == f;
            if (asked) {
                code = partition_take(r, q, s, first == LEAT_OK ? e : NULL);
                s->asked = NULL; /* said twice: the second counts for nothing */
            }
            if (!asked || q->error_code != KAFKA_NONE || code != LEAT_OK) q->records.len = 0;
            if (first == LEAT_OK) first = code;
        }
    }
    return first;
}

static enum leat_code fetch_receive(struct leat_reader *r, struct fetch *f, int64_t deadline, struct leat_error *e)
{
    struct leat_error own;
    struct reply reply;
    enum leat_code code = conn_receive(f->conn, &f->pending, MIN(f->deadline, deadline), &reply, &own);
    if (code == LEAT_TIMED_OUT && socket_now_ms() < f->deadline) return LEAT_OK; /* it is on its way */
    const struct fetch_response *a = code == LEAT_OK ? reply.message : NULL;
    if (a != NULL && a->error_code != KAFKA_NONE)
        code = fail_kafka(&own, a->error_code, "reading topic '%s'", r->view.name);
    if (code != LEAT_OK) {
        if (a != NULL) reply_free(&reply);
        fetch_lost(r, f, &own);
        if (own.retriable) return LEAT_OK;
        if (e != NULL) *e = own;
        return code;
    }
    code = answer_take(r, f, a, e);
    fetch_free(r, f);
    struct answer *answer = mem_zalloc(r->client->mem, MEM_CONTROL, sizeof *answer);
    if (answer == NULL) {
        reply_free(&reply);
        return fail(e, LEAT_NO_MEMORY, "no memory for an answer");
    }
    answer->reply = reply;
    list_push_back(&r->answers, &answer->in_answers);
    return code;
}

static void wait_for_pauses(const struct leat_reader *r, int64_t deadline)
{
    int64_t until = deadline;
    for (int32_t i = 0; i < r->slot_count; i++)
        if (r->slots[i].fetch_at < r->slots[i].end) until = MIN(until, r->slots[i].not_before);
    if (until != SOCKET_FOREVER) socket_sleep_until(until);
}

enum leat_code reader_receive(struct leat_reader *r, int64_t deadline, struct leat_error *e)
{
    int sockets[FETCHES_MAX] = {0};
    struct fetch *fetches[FETCHES_MAX] = {0};
    uint32_t n = 0, which = 0;
    int64_t until = deadline, now = socket_now_ms();
    list_each (node, &r->fetches) {
        fetches[n] = container_of(node, struct fetch, in_fetches);
        until = MIN(until, fetches[n]->deadline);
        sockets[n] = fetches[n]->conn->socket;
        n++;
    }
    for (int32_t i = 0; i < r->slot_count; i++) /* a slot that pauses is asked again before others have answered */
        if (r->slots[i].asked == NULL && r->slots[i].fetch_at < r->slots[i].end && r->slots[i].not_before > now)
            until = MIN(until, r->slots[i].not_before);
    if (n == 0) {
        wait_for_pauses(r, deadline);
        return LEAT_OK;
    }
    if (socket_wait(sockets, n, until, &which)) return fetch_receive(r, fetches[which], deadline, e);
    for (uint32_t i = 0; i < n; i++)
        if (socket_now_ms() >= fetches[i]->deadline) return fetch_receive(r, fetches[i], deadline, e);
    return LEAT_OK;
}

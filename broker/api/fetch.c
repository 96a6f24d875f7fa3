// SPDX-License-Identifier: Apache-2.0
/* Fetch.
 *
 *   begin    read the body, find the partitions
 *   read     a round: reads of the next partitions, as many as the byte limit allows, in parallel
 *   collect  take what came, in the order of the request; more partitions: read; enough, an error or late: answer
 *   drop     not enough: give the bytes back
 *   wait     long poll: until one of the partitions has more, or max_wait_ms are over; then read, from the start
 *   answer   encode; the records are the store's own bytes, given back after the send (release)
 *
 * Limits (KIP-74): the first batch of the response always goes, whatever its size; after it the response stays below
 * max_bytes. With a session (fetch_session.h) what to read is the session's, the first partition is another one each
 * time, and the answer has only partitions with news. There are no transactions: the last stable offset is the high
 * watermark. Failure modes: a partition's error is its own and ends the wait; no memory for a read counts as "nothing
 * yet". */
#include "broker/api/api.h"
#include "broker/api/fetch_part.h"
#include "broker/conn.h"
#include "broker/shard.h"
#include "protocol/msg_fetch.h"

#define ROUND_READS 32
#define BUSY_NS     (10 * NS_PER_MS)

enum fetch_stage { FETCH_BEGIN, FETCH_READ, FETCH_COLLECT, FETCH_DROP, FETCH_WAIT, FETCH_ANSWER };

struct fetch_slot { /* one partition that is wanted */
    struct fetch_want *want;
    struct fetch_response_partition a;
    struct fetch_read *read; /* with bytes, or on its way */
    struct topic_id id;
    uint32_t owner;
    int64_t high_watermark;
    bool refused; /* by the first check: never read */
};

struct fetch {
    struct request *request;
    const struct fetch_request *q;
    struct fetch_response a;
    struct fetch_session *session; /* NULL: without one */
    enum fetch_session_use use;
    struct fetch_want *wants; /* the session's, or of the arena */
    struct fetch_slot *slots;
    uint32_t count, round, next; /* the round is [round, next) */
    uint64_t total, bytes_max;
    struct mono_ns deadline;
    bool error;   /* of a partition: answer at once */
    bool busy;    /* some read found no memory */
    bool waiting; /* in the long poll */
    bool over;    /* it is to end */
    struct timer timer;
    struct list waits;
};

static void timer_fire(struct timer *t);

/* ---- begin ---- */

static void leave_session(struct fetch *f)
{
    if (f->session != NULL) fetch_session_done(&f->request->shard->fetch_sessions, f->session);
    f->session = NULL;
}

static void check_slot(struct fetch *f, struct fetch_slot *slot)
{
    const struct shard *s = f->request->shard;
    const struct fetch_want *w = slot->want;
    const struct image_topic *t = NULL;
    bool by_id = f->request->header.api_version >= 13;
    struct uuid id;
    memcpy(id.b, w->id.b, sizeof id.b);
    enum status status = api_partition(s, by_id, w->name, id, w->number, &t);
    if (status == STATUS_OK) {
        slot->id = image_topic_id(t);
        slot->owner = shard_of(s, t, w->number);
        status = api_epoch_check(t, w->number, w->epoch);
    }
    slot->a.error_code = status_kafka_code(status);
    slot->refused = status != STATUS_OK;
    f->error = f->error || slot->refused;
}

static bool make_slots(struct fetch *f)
{
    f->slots = request_zalloc(f->request, f->count * sizeof *f->slots);
    if (f->slots == NULL) return false;
    uint32_t first = f->session != NULL && f->count > 0 ? f->session->first % f->count : 0;
    for (uint32_t i = 0; i < f->count; i++) {
        struct fetch_slot *slot = &f->slots[i];
        slot->want = &f->wants[(first + i) % f->count];
        fetch_response_partition_init(&slot->a);
        slot->a.partition_index = slot->want->number;
        slot->a.high_watermark = slot->a.last_stable_offset = -1;
        slot->a.aborted_transactions_count = f->q->isolation_level == 0 ? -1 : 0;
        slot->a.records = (struct records){.data = (const uint8_t *)"", .len = 0};
        check_slot(f, slot);
    }
    return true;
}

/* Without a session: every partition of the request, in its order. */
static bool make_wants(struct fetch *f)
{
    const struct fetch_request *q = f->q;
    uint32_t room = 0;
    for (int32_t i = 0; i < q->topics_count; i++) room += (uint32_t)q->topics[i].partitions_count;
    f->wants = request_zalloc(f->request, room * sizeof *f->wants);
    if (f->wants == NULL) return false;
    for (int32_t i = 0; i < q->topics_count; i++)
        for (int32_t k = 0; k < q->topics[i].partitions_count; k++)
            fetch_want_set(&f->wants[f->count++], &q->topics[i], &q->topics[i].partitions[k]);
    return true;
}

static enum status join_session(struct fetch *f)
{
    struct shard *s = f->request->shard;
    bool by_id = f->request->header.api_version >= 13;
    enum status status = fetch_session_begin(&s->fetch_sessions, f->q, by_id, s->env->now, &f->session, &f->use);
    if (f->session == NULL) return status;
    f->a.session_id = f->session->id;
    f->wants = f->session->wants;
    f->count = f->session->count;
    return status;
}

static int fetch_begin(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    struct fetch *f = request_zalloc(r, sizeof *f);
    const struct fetch_request *q = f != NULL ? api_decode(r, sizeof *q) : NULL;
    if (f == NULL) request_refuse(r, "no memory for its request");
    if (q == NULL) return STAGE_DONE;
    f->request = r;
    f->q = q;
    f->timer.fire = timer_fire;
    f->deadline = mono_add(r->received, (int64_t)q->max_wait_ms * NS_PER_MS);
    f->bytes_max = MIN((uint64_t)MAX(q->max_bytes, 1), r->shard->broker->config->fetch_max_bytes);
    list_init(&f->waits);
    fetch_response_init(&f->a);
    r->fetch = f;
    enum status status = join_session(f);
    if (status != STATUS_OK) {
        f->a.error_code = status_kafka_code(status);
        return FETCH_ANSWER;
    }
    if ((f->session != NULL || make_wants(f)) && make_slots(f)) return FETCH_READ;
    leave_session(f);
    request_refuse(r, "no memory for its request");
    return STAGE_DONE;
}

/* ---- read and collect ---- */

static void read_back(struct part *p)
{
    request_part_back(container_of(p, struct fetch_read, part)->request);
}

static void free_read(struct fetch_read *f)
{
    f->slot->read = NULL;
    mem_free(f->request->shard->env->mem, MEM_FETCH, f, sizeof *f);
}

static void send_read(struct fetch *f, struct fetch_slot *slot, uint64_t bytes)
{
    struct request *r = f->request;
    struct fetch_read *read = mem_zalloc(r->shard->env->mem, MEM_FETCH, sizeof *read);
    if (read == NULL) {
        f->busy = true;
        return;
    }
    slot->read = read;
    read->request = r;
    read->slot = slot;
    read->id = slot->id;
    read->number = slot->want->number;
    read->offset = slot->want->offset;
    read->last_epoch = slot->want->last_epoch;
    read->bytes_max = (uint32_t)bytes;
    r->parts_out++;
    fetch_read_send(read, r->shard, slot->owner, read_back);
}

static uint64_t bytes_left(const struct fetch *f)
{
    return f->bytes_max > f->total ? f->bytes_max - f->total : 0;
}

/* Every partition is in the answer, with its watermarks also where no bytes are left for it: clients take one without
 * records below the watermark for read to its end. Otherwise it is left out. */
static bool whole_answer(const struct fetch *f)
{
    return f->use != FETCH_SESSION_GO_ON;
}

static int fetch_read(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    struct fetch *f = r->fetch;
    uint64_t left = bytes_left(f);
    f->waiting = false;
    f->round = f->next;
    for (uint32_t n = 0; f->next < f->count && n < ROUND_READS && (left > 0 || whole_answer(f)); f->next++) {
        struct fetch_slot *slot = &f->slots[f->next];
        if (slot->refused) continue;
        uint64_t bytes = MIN((uint64_t)MAX(slot->want->bytes_max, 1), left); /* 0: offsets only */
        send_read(f, slot, bytes);
        left -= bytes;
        n++;
    }
    return r->parts_out > 0 ? STAGE_WAIT(FETCH_COLLECT) : FETCH_COLLECT;
}

static void collect(struct fetch *f, struct fetch_slot *slot)
{
    struct fetch_read *read = slot->read;
    struct fetch_response_partition *a = &slot->a;
    enum status s = read->op.status;
    bool busy = s == STATUS_BUSY || s == STATUS_NO_MEMORY;
    f->busy = f->busy || busy;
    if (busy) {
        a->high_watermark = a->last_stable_offset = read->op.high_watermark;
        a->log_start_offset = read->op.log_start;
    }
    if (s != STATUS_OK) {
        f->error = f->error || !busy;
        a->error_code = busy ? 0 : status_kafka_code(s);
        free_read(read);
        return;
    }
    slot->high_watermark = read->op.high_watermark;
    a->high_watermark = a->last_stable_offset = read->op.high_watermark;
    a->log_start_offset = read->op.log_start;
    if (read->diverging_epoch >= 0) {
        a->diverging_epoch.epoch = read->diverging_epoch;
        a->diverging_epoch.end_offset = read->diverging_end;
        f->error = true; /* the reader must hear of it now */
    }
    if (read->op.slice_count == 0) {
        free_read(read);
        return;
    }
    if (f->total > 0 && f->total + read->op.bytes > f->bytes_max) return; /* next time; given back with the others */
    f->total += read->op.bytes;
    f->request->shard->count.fetch_bytes->value += read->op.bytes;
    a->records =
        (struct records){.len = (int32_t)read->op.bytes, .piece_count = read->op.slice_count, .pieces = read->pieces};
}

static int fetch_collect(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    struct fetch *f = r->fetch;
    for (uint32_t i = f->round; i < f->next; i++)
        if (f->slots[i].read != NULL) collect(f, &f->slots[i]);
    bool late = r->hurry || r->shard->env->now.v >= f->deadline.v;
    if (r->conn->closing) return FETCH_ANSWER;
    if (f->next < f->count && (bytes_left(f) > 0 || whole_answer(f))) return FETCH_READ;
    /* More than an answer may hold is not waited for: partitions left unread would wake it at once, for ever. */
    bool enough = f->total > 0 && f->total >= MIN((uint64_t)MAX(f->q->min_bytes, 0), f->bytes_max);
    return enough || f->q->min_bytes <= 0 || f->error || late ? FETCH_ANSWER : FETCH_DROP;
}

/* ---- give back ---- */

static void drop_back(struct part *p)
{
    struct fetch_read *read = container_of(p, struct fetch_read, part);
    struct request *r = read->request;
    free_read(read);
    request_part_back(r);
}

static void give_back(struct fetch *f, void (*back)(struct part *p))
{
    struct request *r = f->request;
    for (uint32_t i = 0; i < f->count; i++) {
        if (f->slots[i].read == NULL) continue;
        f->slots[i].a.records = (struct records){.data = (const uint8_t *)"", .len = 0};
        r->parts_out++;
        fetch_read_release(f->slots[i].read, r->shard, back);
    }
}

static int fetch_drop(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    give_back(r->fetch, drop_back);
    return r->parts_out > 0 ? STAGE_WAIT(FETCH_WAIT) : FETCH_WAIT;
}

static void release_end(struct request *r)
{
    if (--r->parts_out == 0) request_released(r);
}

static void release_back(struct part *p)
{
    struct fetch_read *read = container_of(p, struct fetch_read, part);
    struct request *r = read->request;
    free_read(read);
    release_end(r);
}

static void fetch_release(struct request *r)
{
    r->parts_out++; /* until all are on their way */
    give_back(r->fetch, release_back);
    release_end(r);
}

/* ---- wait ---- */

static void stop_waiting(struct fetch *f)
{
    struct request *r = f->request;
    list_each (n, &f->waits) fetch_wait_cancel(container_of(n, struct fetch_wait, in_fetch), r->shard);
    if (!env_timer_armed(&f->timer)) return;
    env_timer_stop(r->shard->env, &f->timer);
    request_part_back(r);
}

void fetch_wait_ended(struct fetch_wait *w)
{
    struct request *r = w->request;
    r->fetch->over = true;
    stop_waiting(r->fetch);
    request_part_back(r);
}

static void timer_fire(struct timer *t)
{
    struct fetch *f = container_of(t, struct fetch, timer);
    stop_waiting(f); /* no longer armed */
    request_part_back(f->request);
}

void fetch_hurry(struct request *r)
{
    if (r->fetch != NULL && r->fetch->waiting) stop_waiting(r->fetch);
}

static struct fetch_wait *wait_for(struct fetch *f, uint32_t owner)
{
    struct request *r = f->request;
    list_each (n, &f->waits) {
        struct fetch_wait *w = container_of(n, struct fetch_wait, in_fetch);
        if (w->owner == owner) return w;
    }
    struct fetch_wait *w = request_zalloc(r, sizeof *w);
    if (w == NULL) return NULL;
    w->watches = request_zalloc(r, f->count * sizeof *w->watches);
    if (w->watches == NULL) return NULL;
    w->request = r;
    w->owner = owner;
    list_push_back(&f->waits, &w->in_fetch);
    return w;
}

/* One wait per shard, made once; without memory for one the timer alone has to do. */
static void make_waits(struct fetch *f)
{
    list_each (n, &f->waits) container_of(n, struct fetch_wait, in_fetch)->count = 0;
    for (uint32_t i = 0; i < f->count; i++) {
        struct fetch_wait *w = wait_for(f, f->slots[i].owner);
        if (w == NULL) return;
        const struct fetch_slot *slot = &f->slots[i];
        w->watches[w->count++] = (struct fetch_watch){
            .wait = w, .id = slot->id, .number = slot->want->number, .offset = slot->high_watermark};
    }
}

static int fetch_wait(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    struct fetch *f = r->fetch;
    struct env *e = r->shard->env;
    struct mono_ns until = f->deadline;
    if (f->busy) until.v = MIN(until.v, e->now.v + BUSY_NS);
    bool watch = !f->busy;
    if (watch) make_waits(f);
    f->busy = f->over = false;
    f->next = 0;
    f->total = 0;
    f->waiting = true;
    r->parts_out++;
    env_timer_start(e, &f->timer, until);
    list_each (n, &f->waits)
        if (watch) fetch_wait_send(container_of(n, struct fetch_wait, in_fetch), r->shard);
    if (r->hurry || f->over) stop_waiting(f); /* also the ones sent after the first had come back */
    return r->parts_out > 0 ? STAGE_WAIT(FETCH_READ) : FETCH_READ;
}

/* ---- answer ---- */

/* In a session: does the client learn something from it? */
static bool news(const struct fetch *f, const struct fetch_slot *slot)
{
    const struct fetch_response_partition *a = &slot->a;
    if (whole_answer(f) || a->records.len > 0 || a->error_code != 0) return true;
    if (a->high_watermark < 0) return false; /* its turn has not come */
    return a->high_watermark != slot->want->told_high_watermark || a->log_start_offset != slot->want->told_log_start ||
           a->diverging_epoch.epoch >= 0;
}

static bool same_topic(const struct fetch_want *a, const struct fetch_want *b)
{
    return a->name.len >= 0 ? str_equal(a->name, b->name) : memcmp(a->id.b, b->id.b, sizeof a->id.b) == 0;
}

/* The next partition of the answer: behind the last one of its topic, or with a topic of its own. */
static void add_answer(struct fetch *f, struct fetch_slot *slot, const struct fetch_want *last,
                       struct fetch_response_partition *list)
{
    struct fetch_want *w = slot->want;
    struct fetch_response_topic *t = &f->a.responses[MAX(f->a.responses_count - 1, 0)];
    if (last == NULL || !same_topic(last, w)) {
        t = &f->a.responses[f->a.responses_count++];
        fetch_response_topic_init(t);
        t->topic = w->name;
        memcpy(t->topic_id.b, w->id.b, sizeof t->topic_id.b);
        t->partitions = list;
    }
    t->partitions[t->partitions_count++] = slot->a;
    w->told_high_watermark = slot->a.high_watermark;
    w->told_log_start = slot->a.log_start_offset;
}

static bool fill(struct fetch *f)
{
    struct request *r = f->request;
    uint32_t used = 0, last_bytes = 0;
    const struct fetch_want *last = NULL;
    struct fetch_response_partition *list = request_zalloc(r, f->count * sizeof *list);
    f->a.responses = request_zalloc(r, f->count * sizeof *f->a.responses);
    if (list == NULL || f->a.responses == NULL) return false;
    for (uint32_t i = 0; i < f->count; i++) {
        struct fetch_slot *slot = &f->slots[i];
        if (slot->a.records.len > 0) last_bytes = i + 1;
        bool unread = slot->a.high_watermark < 0 && slot->a.error_code == 0; /* no memory to ask for its watermarks */
        if (unread && whole_answer(f)) slot->a.error_code = status_kafka_code(STATUS_NO_MEMORY);
        if (!news(f, slot)) continue;
        add_answer(f, slot, last, list + used);
        last = slot->want;
        used++;
    }
    if (f->session != NULL) f->session->first = (f->session->first + last_bytes) % MAX(f->count, 1u);
    return true;
}

static int fetch_answer(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    struct fetch *f = r->fetch;
    r->release = fetch_release;
    if (r->conn->closing)
        request_answer_nothing(r);
    else if (fill(f))
        request_answer(r, &f->a);
    else
        request_refuse(r, "no memory for its answer");
    leave_session(f);
    return STAGE_DONE;
}

static const struct stage stages[] = {
    [FETCH_BEGIN] = {"begin", fetch_begin, STAGE_BIT(FETCH_READ) | STAGE_BIT(FETCH_ANSWER)},
    [FETCH_READ] = {"read", fetch_read, STAGE_BIT(FETCH_COLLECT)},
    [FETCH_COLLECT] = {"collect", fetch_collect,
                       STAGE_BIT(FETCH_READ) | STAGE_BIT(FETCH_DROP) | STAGE_BIT(FETCH_ANSWER)},
    [FETCH_DROP] = {"drop", fetch_drop, STAGE_BIT(FETCH_WAIT)},
    [FETCH_WAIT] = {"wait", fetch_wait, STAGE_BIT(FETCH_READ)},
    [FETCH_ANSWER] = {"answer", fetch_answer, 0},
};
const struct flow fetch_flow = {"fetch", stages, 6};

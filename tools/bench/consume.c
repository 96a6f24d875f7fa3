// SPDX-License-Identifier: Apache-2.0
/* Readers: a connection that fetches its partitions, one request in flight.
 *
 * fetch -> answer: the frame is kept, the headers of its batches say what to fetch next -> over: the next fetch is
 * queued, and a timer of the past runs `work` in the next turn, when that fetch is on its way -> work: every record of
 * the kept frame goes through the checker. So the broker and the checker work at the same time.
 *
 * No fetch sessions: each request names all partitions that are still wanted.
 * Failure modes: an error code of a partition, a batch larger than --fetch-bytes, or bytes that are no batch end the
 * run; what the checker finds is counted. */
#include "tools/bench/drive.h"

#include "base/bytes.h"
#include "protocol/msg_fetch.h"
#include "tools/bench/fetched.h"
#include <stdio.h>
#include <stdlib.h>

#define FETCH         1 /* its API key */
#define RESPONSE_MAX  (64 << 20)
#define PARTITIONS_OF 256 /* partitions whose --fetch-bytes may fill one response */

struct reader {
    struct driver *driver;
    struct channel channel;
    struct call call;
    struct iovec iov;
    const uint32_t *partitions;
    uint32_t partition_count;
    struct fetch_request_topic *topics;
    struct fetch_request_partition *parts;
    uint8_t *own;
    size_t own_room;
    int32_t correlation;
    int64_t sent_ns, arrived_ns;
    /* the kept frame and what stands in it */
    uint8_t *frame, *spare;
    uint32_t frame_room, spare_room;
    struct fetch_response response;
    struct arena arena;
    bool kept;
    struct timer work;
};

static const struct client_options *options_of(const struct reader *r)
{
    return r->driver->run->options;
}

static void *zeroed(size_t count, size_t size)
{
    void *p = calloc(MAX(count, 1), size);
    CHECK(p != NULL);
    return p;
}

/* Consume without --follow: up to where the log ended when the run began. */
static bool bounded(const struct driver *d)
{
    return d->run->options->mode == BENCH_CONSUME && !d->run->options->follow;
}

static bool wanted(const struct driver *d, uint32_t partition)
{
    return !bounded(d) || d->run->offsets[partition] < d->run->target->ends[partition];
}

/* ---- out ---- */

/* False: nothing is wanted any more. */
static bool request_fill(struct reader *r, struct fetch_request *ret_q)
{
    const struct run *run = r->driver->run;
    const struct target *t = run->target;
    uint32_t n = 0;
    const char *name = NULL;
    fetch_request_init(ret_q);
    ret_q->replica_id = -1;
    ret_q->max_wait_ms = options_of(r)->fetch_wait_ms;
    ret_q->min_bytes = 1;
    ret_q->max_bytes = (int32_t)MIN((uint64_t)RESPONSE_MAX, (uint64_t)options_of(r)->fetch_bytes * PARTITIONS_OF);
    ret_q->session_epoch = -1;
    ret_q->rack_id = STR_EMPTY;
    ret_q->topics = r->topics;
    for (uint32_t i = 0; i < r->partition_count; i++) {
        uint32_t partition = r->partitions[i];
        if (!wanted(r->driver, partition)) continue;
        if (name != t->topics[partition / t->partitions_each]) {
            name = t->topics[partition / t->partitions_each];
            struct fetch_request_topic *topic = &r->topics[ret_q->topics_count++];
            fetch_request_topic_init(topic);
            topic->topic = (struct str){name, (int32_t)strlen(name)};
            topic->partitions = &r->parts[n];
        }
        struct fetch_request_partition *p = &r->parts[n++];
        fetch_request_partition_init(p);
        p->partition = (int32_t)(partition % t->partitions_each);
        p->fetch_offset = run->froms[partition] = run->offsets[partition];
        p->partition_max_bytes = (int32_t)options_of(r)->fetch_bytes;
        ret_q->topics[ret_q->topics_count - 1].partitions_count++;
    }
    return n > 0;
}

static void fetch(struct reader *r)
{
    struct fetch_request q;
    int16_t version = r->driver->run->target->versions[FETCH];
    if (r->channel.closing || r->driver->phase != DRIVE_RUNNING || !request_fill(r, &q)) return;
    struct request_header h = {.api_key = FETCH,
                               .api_version = version,
                               .correlation_id = ++r->correlation,
                               .client_id = STR("leat-bench"),
                               .api = api_find(FETCH),
                               .supported = true};
    struct message_size body = fetch_request_size(version, &q);
    size_t total = frame_request_size(&h, body).total;
    struct writer w;
    if (total > r->own_room) {
        free(r->own);
        r->own = malloc(total);
        CHECK(r->own != NULL);
        r->own_room = total;
    }
    writer_init(&w, r->own, r->own_room, NULL, 0);
    frame_request(&w, &h, body);
    fetch_request_encode(&w, version, &q);
    if (writer_finish(&w) != STATUS_OK) {
        channel_fail(&r->channel, "a Fetch cannot be written in the version that the broker serves");
        return;
    }
    r->iov = (struct iovec){r->own, total};
    r->call.iov = &r->iov;
    r->call.iov_count = 1;
    r->call.correlation_id = h.correlation_id;
    r->sent_ns = clock_ns();
    channel_send(&r->channel, &r->call);
}

/* ---- in: the headers ---- */

/* The partition counted over all topics; false: not one that this reader asks for. */
static bool partition_of(const struct reader *r, const struct fetch_response_topic *t, int32_t index,
                         uint32_t *ret_partition)
{
    const struct target *target = r->driver->run->target;
    uint32_t topic = 0;
    while (topic < target->topic_count &&
           !str_equal(t->topic, (struct str){target->topics[topic], (int32_t)strlen(target->topics[topic])}))
        topic++;
    if (topic == target->topic_count || index < 0 || (uint32_t)index >= target->partitions_each) return false;
    *ret_partition = topic * target->partitions_each + (uint32_t)index;
    for (uint32_t low = 0, high = r->partition_count; low < high;) { /* ascending */
        uint32_t middle = low + (high - low) / 2;
        if (r->partitions[middle] == *ret_partition) return true;
        if (r->partitions[middle] < *ret_partition)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

static void refuse(struct reader *r, const struct fetch_response_topic *t, int32_t index, const char *why)
{
    char text[300];
    snprintf(text, sizeof text, "%s: Fetch of %.*s-%d: %s", r->channel.address, (int)MIN(MAX(t->topic.len, 0), 100),
             t->topic.data, index, why);
    drive_fail(r->driver, text);
}

static bool scan_partition(struct reader *r, const struct fetch_response_topic *t,
                           const struct fetch_response_partition *p)
{
    struct driver *d = r->driver;
    struct run *run = d->run;
    struct results *x = &d->results;
    uint32_t partition;
    uint64_t records = 0;
    if (!partition_of(r, t, p->partition_index, &partition)) {
        refuse(r, t, p->partition_index, "it was not asked for");
        return false;
    }
    if (p->error_code != 0) {
        refuse(r, t, p->partition_index, kafka_error(p->error_code));
        return false;
    }
    if (p->records.len <= 0) return true;
    size_t size = (size_t)p->records.len;
    bool had_been = wanted(d, partition);
    enum status s = fetched_scan(p->records.data, size, &run->offsets[partition], &records);
    if (s != STATUS_OK || run->offsets[partition] == run->froms[partition]) {
        refuse(r, t, p->partition_index, s != STATUS_OK ? status_text(s) : "a batch larger than --fetch-bytes");
        return false;
    }
    if (had_been && !wanted(d, partition)) d->unread--;
    d->progressed_ns = r->arrived_ns;
    x->all_read += records;
    x->last_read_ns = r->arrived_ns;
    if (r->arrived_ns >= run->from_ns && r->arrived_ns < run->to_ns) {
        x->read += records;
        x->read_bytes += size;
    }
    atomic_store_explicit(&d->seen_read, x->all_read, memory_order_relaxed);
    return true;
}

/* ---- in: the records ---- */

static void seen(void *arg, const struct record_head *h)
{
    struct reader *r = arg;
    const struct run *run = r->driver->run;
    if (h->intended_ns >= run->from_ns && h->intended_ns < run->to_ns)
        histogram_record(&r->driver->results.e2e, (uint64_t)MAX(r->arrived_ns - h->intended_ns, 0));
}

static void check_kept(struct reader *r)
{
    struct driver *d = r->driver;
    struct fetched f = {.mem = d->env->mem, .arg = r};
    if (d->run->options->mode == BENCH_E2E) f.seen = seen;
    for (int32_t i = 0; i < r->response.responses_count; i++)
        for (int32_t k = 0; k < r->response.responses[i].partitions_count; k++) {
            const struct fetch_response_partition *p = &r->response.responses[i].partitions[k];
            if (p->records.len <= 0 || !partition_of(r, &r->response.responses[i], p->partition_index, &f.partition))
                continue;
            f.from = p->log_start_offset; /* put there by keep */
            f.from_middle = d->run->options->mode == BENCH_CONSUME && d->run->target->begins[f.partition] > 0;
            fetched_check(&d->checker, &f, p->records.data, (size_t)p->records.len);
        }
}

static void work(struct reader *r)
{
    if (!r->kept) return;
    r->kept = false;
    env_timer_stop(r->driver->env, &r->work);
    if (r->driver->run->options->verify) check_kept(r);
    free(r->spare);
    r->spare = r->frame;
    r->spare_room = r->frame_room;
    r->frame = NULL;
}

static void work_fire(struct timer *t)
{
    work(container_of(t, struct reader, work));
}

/* ---- in: both ---- */

static bool keep(struct reader *r, uint32_t size)
{
    int16_t version = r->driver->run->target->versions[FETCH];
    struct fetch_response *a = &r->response;
    struct cursor c;
    int32_t id;
    cursor_init(&c, r->frame, size);
    arena_reset(&r->arena);
    enum status s = response_header_decode(&c, FETCH, version, &id);
    if (s == STATUS_OK) s = fetch_response_decode(&c, &r->arena, version, a);
    if (s != STATUS_OK || a->error_code != 0) {
        channel_fail(&r->channel, s != STATUS_OK ? "an answer to Fetch cannot be read" : kafka_error(a->error_code));
        return false;
    }
    for (int32_t i = 0; i < a->responses_count; i++)
        for (int32_t k = 0; k < a->responses[i].partitions_count; k++) {
            struct fetch_response_partition *p = &a->responses[i].partitions[k];
            uint32_t partition;
            if (!scan_partition(r, &a->responses[i], p)) return false;
            if (partition_of(r, &a->responses[i], p->partition_index, &partition))
                p->log_start_offset = r->driver->run->froms[partition]; /* the next fetch overwrites it there */
        }
    return true;
}

static void answer(struct call *call, const uint8_t *frame, uint32_t size)
{
    struct reader *r = container_of(call, struct reader, call);
    const struct run *run = r->driver->run;
    work(r); /* the answer before this one, if it was so fast */
    r->arrived_ns = clock_ns();
    channel_keep(&r->channel, r->spare, r->spare_room, &r->frame, &r->frame_room);
    r->spare = NULL;
    r->spare_room = 0;
    if (r->arrived_ns >= run->from_ns && r->arrived_ns < run->to_ns) {
        r->driver->results.fetches++;
        histogram_record(&r->driver->results.fetch, (uint64_t)(r->arrived_ns - r->sent_ns));
    }
    r->kept = keep(r, size);
}

static void over(struct call *call)
{
    struct reader *r = container_of(call, struct reader, call);
    fetch(r);
    if (r->kept) env_timer_start(r->driver->env, &r->work, r->driver->env->now);
}

/* ---- life ---- */

static void opened(struct channel *c)
{
    drive_opened(c, container_of(c, struct reader, channel)->driver);
}

static void failed(struct channel *c)
{
    drive_fail(container_of(c, struct reader, channel)->driver, c->why);
}

static void closed(struct channel *c)
{
    drive_closed(container_of(c, struct reader, channel)->driver);
}

static void reader_create(struct driver *d, struct reader *r, const struct plan_reader *plan)
{
    *r = (struct reader){.driver = d, .work.fire = work_fire, .call = {.answer = answer, .over = over}};
    r->partitions = d->run->plan->read_order + plan->first;
    r->partition_count = plan->count;
    r->topics = zeroed(MIN(d->run->target->topic_count, plan->count), sizeof *r->topics);
    r->parts = zeroed(plan->count, sizeof *r->parts);
    arena_init(&r->arena, d->env->mem, MEM_FETCH, 256u << 20);
    for (uint32_t i = 0; bounded(d) && i < plan->count; i++) d->unread += wanted(d, r->partitions[i]);
    r->channel.opened = opened;
    r->channel.failed = failed;
    r->channel.closed = closed;
    memcpy(r->channel.address, d->run->target->brokers[plan->broker].address, sizeof r->channel.address);
    d->opening++;
    d->live++;
    channel_open(&r->channel, &d->channels);
}

void readers_create(struct driver *d)
{
    const struct plan *plan = d->run->plan;
    if (!client_reads(d->run->options)) return;
    d->readers = zeroed(plan->reader_count, sizeof *d->readers);
    for (uint32_t i = 0; i < plan->reader_count; i++)
        if (plan->readers[i].thread == d->number) reader_create(d, &d->readers[d->reader_count++], &plan->readers[i]);
}

void readers_begin(struct driver *d)
{
    d->progressed_ns = clock_ns();
    for (uint32_t i = 0; i < d->reader_count; i++) fetch(&d->readers[i]);
}

/* e2e: each stream has come as far as it was acknowledged. */
static bool caught_up(const struct driver *d)
{
    const struct plan *plan = d->run->plan;
    if (!d->run->options->verify) return true;
    for (uint32_t i = 0; i < plan->stream_count; i++) {
        if (plan->connections[plan->streams[i].connection].thread != d->number) continue;
        uint64_t next = i < d->checker.stream_count ? d->checker.streams[i].next : 0;
        if (next < d->run->written[i]) return false;
    }
    return true;
}

bool readers_finished(struct driver *d)
{
    if (d->reader_count == 0) return true;
    if (d->run->options->mode == BENCH_E2E) return caught_up(d);
    for (uint32_t i = 0; i < d->reader_count; i++)
        if (d->readers[i].kept) return false;
    return bounded(d) && d->unread == 0;
}

void readers_close(struct driver *d)
{
    for (uint32_t i = 0; i < d->reader_count; i++) {
        work(&d->readers[i]);
        channel_close(&d->readers[i].channel);
    }
}

void readers_free(struct driver *d)
{
    for (uint32_t i = 0; i < d->reader_count; i++) {
        struct reader *r = &d->readers[i];
        arena_deinit(&r->arena);
        free(r->topics);
        free(r->parts);
        free(r->own);
        free(r->frame);
        free(r->spare);
    }
    free(d->readers);
    d->readers = NULL;
    d->reader_count = 0;
}

/* The broker may keep a fetch for --fetch-wait. */
int64_t readers_wait_since_ns(const struct driver *d, const char **ret_address)
{
    int64_t since = INT64_MAX;
    for (uint32_t i = 0; i < d->reader_count; i++) {
        int64_t one = channel_waits_since_ns(&d->readers[i].channel);
        if (one >= since) continue;
        since = one;
        *ret_address = d->readers[i].channel.address;
    }
    return since == INT64_MAX ? since : since + d->run->options->fetch_wait_ms * NS_PER_MS;
}

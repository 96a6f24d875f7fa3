// SPDX-License-Identifier: Apache-2.0
/* A consumer without a group: some partitions, each read from its log start or from somewhere inside, in order and
 * without a gap, by long polls, in fetch sessions (KIP-227) or without. Now and then it seeks, changes its partitions,
 * reads slowly, goes away in the middle of what it has asked for.
 *
 * One request at a time: ListOffsets for a partition without a place, else Fetch. */
#include "tests/sim/broker_clients.h"

#include "base/bytes.h"
#include "protocol/msg_fetch.h"
#include "protocol/msg_list_offsets.h"

#define API_FETCH        1
#define API_LIST_OFFSETS 2
#define OUTPUT_CAP       ((uint64_t)16 << 20)

static void next_now(struct consumer *r, int64_t ns)
{
    env_timer_start(r->clients->env, &r->next, mono_add(r->clients->env->now, ns));
}

/* ---- partitions ---- */

static struct read_part *part_of(struct consumer *r, const struct check_partition *p)
{
    for (uint32_t i = 0; i < r->count; i++)
        if (r->parts[i].partition == p) return &r->parts[i];
    return NULL;
}

static void part_add(struct consumer *r)
{
    struct clients *c = r->clients;
    struct check_topic *t = check_topic_any(c->check, TOPIC_THERE);
    if (t == NULL || r->count == READ_PARTS_MAX) return;
    struct check_partition *p = &t->parts[client_roll(c, (uint64_t)t->partitions)];
    if (part_of(r, p) != NULL || r->forgotten == p) return;
    int64_t span = p->high_watermark - p->log_start;
    bool middle = span > 0 && client_roll(c, 3) == 0;
    r->parts[r->count++] = (struct read_part){
        .partition = p, .at = middle ? p->log_start + (int64_t)client_roll(c, (uint64_t)span) : -1, .told = -1};
}

static void part_remove(struct consumer *r, struct read_part *part)
{
    if (part->told >= 0 && r->forgotten != NULL) r->session_epoch = 0; /* one at a time: a new session instead */
    if (part->told >= 0) r->forgotten = part->partition;
    *part = r->parts[--r->count];
}

static void wander(struct consumer *r)
{
    struct clients *c = r->clients;
    if (r->whole) return;
    if (r->count < 3 || client_roll(c, 20) == 0) part_add(r);
    if (r->count > 1 && r->forgotten == NULL && client_roll(c, 40) == 0)
        part_remove(r, &r->parts[client_roll(c, r->count)]);
    if (r->count > 0 && client_roll(c, 40) == 0) r->parts[client_roll(c, r->count)].at = -1; /* from the beginning */
    if (client_roll(c, 60) == 0) wire_pause(&r->wire, (int64_t)client_roll(c, 3000) * NS_PER_MS);
    if (client_roll(c, 80) == 0) wire_close(&r->wire);
}

/* ---- asking ---- */

static void ask_offset(struct consumer *r, struct read_part *part)
{
    struct list_offsets_request q;
    struct list_offsets_request_topic topic;
    struct list_offsets_request_partition p;
    list_offsets_request_init(&q);
    list_offsets_request_topic_init(&topic);
    list_offsets_request_partition_init(&p);
    q.replica_id = -1;
    q.topics = &topic;
    q.topics_count = 1;
    topic.name = (struct str){part->partition->topic->name, (int32_t)strlen(part->partition->topic->name)};
    topic.partitions = &p;
    topic.partitions_count = 1;
    p.partition_index = part->partition->number;
    p.current_leader_epoch = -1;
    p.timestamp = -2; /* earliest */
    part->asked_start = part->partition->log_start;
    r->busy = wire_call(&r->wire, API_LIST_OFFSETS, 7, &q, (uint64_t)(part - r->parts), true);
}

static void ask_fetch(struct consumer *r)
{
    struct fetch_request q;
    struct fetch_request_topic topics[READ_PARTS_MAX];
    struct fetch_request_partition parts[READ_PARTS_MAX];
    struct fetch_request_forgotten_topic forgotten;
    bool whole = r->session_epoch <= 0;
    fetch_request_init(&q);
    q.replica_id = -1;
    q.max_wait_ms = r->whole ? 0 : (int32_t)client_roll(r->clients, 1500);
    q.min_bytes = client_roll(r->clients, 4) == 0 ? 5000 : r->rude ? 1 << 20 : 1;
    q.max_bytes = client_roll(r->clients, 3) == 0 ? 3000 : 1 << 20;
    q.session_id = whole ? 0 : r->session;
    q.session_epoch = r->sessions ? MAX(r->session_epoch, 0) : -1;
    q.topics = topics;
    for (uint32_t i = 0; i < r->count; i++) {
        struct read_part *part = &r->parts[i];
        part->asked_hw = part->partition->high_watermark;
        part->asked_start = part->partition->log_start;
        if (!whole && part->told == part->at) continue;
        int32_t k = q.topics_count++;
        fetch_request_topic_init(&topics[k]);
        fetch_request_partition_init(&parts[k]);
        topics[k].topic_id = part->partition->topic->id;
        topics[k].partitions = &parts[k];
        topics[k].partitions_count = 1;
        parts[k].partition = part->partition->number;
        parts[k].current_leader_epoch = -1;
        parts[k].fetch_offset = part->told = part->at;
        parts[k].partition_max_bytes = 1 << 18;
    }
    if (r->forgotten != NULL && !whole) {
        fetch_request_forgotten_topic_init(&forgotten);
        forgotten.topic_id = r->forgotten->topic->id;
        forgotten.partitions = &r->forgotten->number;
        forgotten.partitions_count = 1;
        q.forgotten_topics_data = &forgotten;
        q.forgotten_topics_data_count = 1;
    }
    r->forgotten = NULL;
    r->clients->world->count.fetches++;
    r->busy = wire_call(&r->wire, API_FETCH, r->version, &q, 0, true);
}

/* Asks many times, takes no answer and goes away in the middle. */
static void be_rude(struct consumer *r)
{
    uint64_t requests = 2 + client_roll(r->clients, 4);
    wire_pause(&r->wire, 60 * NS_PER_S);
    r->rude = true;
    for (uint64_t i = 0; i < requests; i++) {
        bool much = i == 0 || client_roll(r->clients, 2) == 0; /* else not enough: it waits, others behind it */
        for (uint32_t k = 0; k < r->count; k++) {
            const struct check_partition *p = r->parts[k].partition;
            r->parts[k].at = much ? p->log_start : MAX(p->high_watermark - 1, p->log_start);
        }
        r->session_epoch = r->session = 0;
        ask_fetch(r);
    }
    r->busy = true;
    static const uint64_t at_most_us[] = {300, 3000, 2000000};
    next_now(r, (int64_t)client_roll(r->clients, at_most_us[client_roll(r->clients, 3)]) * NS_PER_US);
}

static void next_fire(struct timer *t)
{
    struct consumer *r = container_of(t, struct consumer, next);
    if (r->rude) {
        r->rude = false;
        wire_close(&r->wire);
        return;
    }
    if (r->wire.state == WIRE_DOWN) {
        wire_open(&r->wire);
        return;
    }
    if (r->busy || r->finished || !wire_up(&r->wire)) return;
    wander(r);
    if (!wire_up(&r->wire)) return;
    for (uint32_t i = 0; i < r->count; i++) {
        if (r->parts[i].at >= 0) continue;
        ask_offset(r, &r->parts[i]);
        return;
    }
    if (r->count > 0 && !r->whole && client_roll(r->clients, 12) == 0)
        be_rude(r);
    else if (r->count > 0)
        ask_fetch(r);
    else
        next_now(r, 100 * NS_PER_MS);
}

/* ---- answers ---- */

static void take_batch(struct consumer *r, struct read_part *part, const uint8_t *data, const struct batch_info *info)
{
    struct broker_world *w = r->wire.world;
    const char *name = part->partition->topic->name;
    struct batch_iter it;
    struct batch_record record;
    BROKER_MUST(w, batch_crc_valid(data, info), "%s: %s-%d: the batch at %lld fails its checksum", r->name, name,
                part->partition->number, (long long)info->base_offset);
    enum status s = batch_iter_open(&it, data, info, r->clients->env->mem, OUTPUT_CAP);
    BROKER_MUST(w, s == STATUS_OK, "%s: %s-%d: the batch at %lld: %s", r->name, name, part->partition->number,
                (long long)info->base_offset, status_text(s));
    while (batch_iter_next(&it, &record)) {
        if (record.offset < part->at) continue; /* a batch comes whole */
        BROKER_MUST(w, record.offset == part->at, "%s: %s-%d: a record at %lld, asked for %lld", r->name, name,
                    part->partition->number, (long long)record.offset, (long long)part->at);
        check_read(r->clients->check, part->partition, &record);
        part->at++;
    }
    CHECK_OK(batch_iter_close(&it));
}

static void take_records(struct consumer *r, struct read_part *part, const struct fetch_response_partition *a)
{
    const uint8_t *data = a->records.data;
    size_t left = a->records.len > 0 ? (size_t)a->records.len : 0;
    while (left > 0) {
        struct batch_info info;
        enum status s = batch_parse(data, left, &info);
        if (s == STATUS_TRUNCATED_INPUT) break; /* cut at the size asked for */
        BROKER_MUST(r->wire.world, s == STATUS_OK, "%s: %s-%d after %lld: %s", r->name, part->partition->topic->name,
                    part->partition->number, (long long)part->at, status_text(s));
        take_batch(r, part, data, &info);
        data += info.size_bytes;
        left -= info.size_bytes;
    }
    BROKER_MUST(r->wire.world, part->at <= a->high_watermark, "%s: %s-%d: a record at %lld, high watermark %lld",
                r->name, part->partition->topic->name, part->partition->number, (long long)part->at - 1,
                (long long)a->high_watermark);
}

static void take_partition(struct consumer *r, struct read_part *part, const struct fetch_response_partition *a)
{
    struct check_topic *t = part->partition->topic;
    switch (a->error_code) {
    case ERROR_NONE:
        check_offsets(r->clients->check, part->partition, a->high_watermark, a->log_start_offset, part->asked_hw,
                      part->asked_start);
        take_records(r, part, a);
        r->finished = r->whole && part->at == a->high_watermark;
        return;
    case ERROR_OFFSET_OUT_OF_RANGE: /* deleted meanwhile, or somebody lies: the log start will tell */
        BROKER_MUST(r->wire.world, part->at < part->partition->deletable, "%s: %s-%d: %lld is out of range", r->name,
                    t->name, part->partition->number, (long long)part->at);
        part->at = -1;
        return;
    case ERROR_UNKNOWN_TOPIC_ID: check_topic_missing(r->clients->check, t, r->name); break;
    case ERROR_UNKNOWN_PARTITION:
    case ERROR_STORAGE: break;
    default:
        BROKER_MUST(r->wire.world, false, "%s: a fetch of %s-%d is answered with %d", r->name, t->name,
                    part->partition->number, a->error_code);
    }
    r->failed = true;
    if (t->fate != TOPIC_THERE) part_remove(r, part);
}

static void take_fetch(struct consumer *r, const struct fetch_response *a)
{
    bool lost = a->error_code == ERROR_SESSION_NOT_FOUND || a->error_code == ERROR_SESSION_EPOCH;
    BROKER_MUST(r->wire.world, lost || a->error_code == 0, "%s: a fetch is answered with %d", r->name, a->error_code);
    BROKER_MUST(r->wire.world, a->error_code != ERROR_SESSION_EPOCH, "%s: epoch %d of session %d is out of order",
                r->name, r->session_epoch, r->session);
    if (lost) {
        r->clients->world->count.sessions_lost++;
        r->session = r->session_epoch = 0;
        return;
    }
    if (r->sessions && a->session_id != 0) {
        r->session = a->session_id;
        r->session_epoch = MAX(r->session_epoch, 0) + 1;
    } else {
        r->session = r->session_epoch = 0;
    }
    for (int32_t i = 0; i < a->responses_count; i++)
        for (int32_t k = 0; k < a->responses[i].partitions_count; k++) {
            const struct check_topic *t = check_topic_by_id(r->clients->check, a->responses[i].topic_id);
            int32_t number = a->responses[i].partitions[k].partition_index;
            bool known = t != NULL && number >= 0 && number < CHECK_PARTS_MAX;
            struct read_part *part = known ? part_of(r, &t->parts[number]) : NULL;
            BROKER_MUST(r->wire.world, part != NULL, "%s: a partition that was not asked for", r->name);
            take_partition(r, part, &a->responses[i].partitions[k]);
        }
}

static void take_offset(struct consumer *r, struct read_part *part, const struct list_offsets_response *a)
{
    struct check_topic *t = part->partition->topic;
    BROKER_MUST(r->wire.world, a->topics_count == 1 && a->topics[0].partitions_count == 1, "%s: %d topics listed",
                r->name, a->topics_count);
    const struct list_offsets_response_partition *p = &a->topics[0].partitions[0];
    if (t->fate != TOPIC_THERE) { /* by its name: perhaps of another one already */
        part_remove(r, part);
        return;
    }
    BROKER_MUST(r->wire.world,
                p->error_code == 0 || p->error_code == ERROR_UNKNOWN_PARTITION || p->error_code == ERROR_STORAGE,
                "%s: offsets of %s-%d are answered with %d", r->name, t->name, part->partition->number, p->error_code);
    r->failed = p->error_code != 0;
    if (r->failed) return;
    check_log_start(r->clients->check, part->partition, p->offset, part->asked_start);
    part->at = r->start = p->offset;
}

static void answer(struct wire *w, const struct wire_call *call, const void *response)
{
    struct consumer *r = container_of(w, struct consumer, wire);
    r->busy = r->failed = false;
    if (r->finished) return;
    if (call->key == API_FETCH)
        take_fetch(r, response);
    else
        take_offset(r, &r->parts[call->tag], response);
    bool wait = client_roll(r->clients, 5) == 0;
    next_now(r, wait ? (int64_t)client_roll(r->clients, 500) * NS_PER_MS : r->failed ? 50 * NS_PER_MS : 0);
}

static void up(struct wire *w)
{
    struct consumer *r = container_of(w, struct consumer, wire);
    r->session = r->session_epoch = 0;
    next_now(r, 0);
}

static void down(struct wire *w)
{
    struct consumer *r = container_of(w, struct consumer, wire);
    r->busy = r->rude = false;
    r->forgotten = NULL;
    for (uint32_t i = 0; i < r->count; i++) r->parts[i].told = -1;
    next_now(r, (int64_t)client_roll(r->clients, 400) * NS_PER_MS);
}

void consumer_init(struct consumer *r, struct clients *c, uint32_t number)
{
    *r = (struct consumer){
        .clients = c, .version = (int16_t)(13 + client_roll(c, 5)), .sessions = client_roll(c, 4) != 0};
    snprintf(r->name, sizeof r->name, "consumer-%u", number);
    wire_init(&r->wire, c->world, c->env, r->name);
    r->wire.up = up;
    r->wire.answer = answer;
    r->wire.down = down;
    r->next.fire = next_fire;
    wire_open(&r->wire);
}

void consumer_deinit(struct consumer *r)
{
    wire_deinit(&r->wire);
}

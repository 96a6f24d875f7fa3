// SPDX-License-Identifier: Apache-2.0
/* Offsets at positions (contracts: offsets.h, leat.h).
 *
 * Happy path: partitions without an answer, grouped by leader -> one ListOffsets to each -> answers by partition.
 * Failure modes: no leader, or one that has moved: asked again after a pause with a fresh view, until the deadline. */
#include "clients/c/offsets.h"

#include "base/bytes.h"
#include "protocol/msg_list_offsets.h"

#define LIST_OFFSETS_VERSION_CAP 10
#define UNANSWERED               INT16_MIN /* no code of Kafka's */

static struct leat_offset *offset_find(struct leat_offset *offsets, size_t count, int32_t partition)
{
    if (partition >= 0 && (size_t)partition < count && offsets[partition].partition == partition)
        return &offsets[partition]; /* all of a topic, as usual */
    for (size_t i = 0; i < count; i++)
        if (offsets[i].partition == partition) return &offsets[i];
    return NULL;
}

static bool wanted(const struct leat_offset *o)
{
    return o->kafka_code == UNANSWERED || leat_kafka_error_retriable(o->kafka_code);
}

static void answers_take(const struct list_offsets_response *a, struct str topic, struct leat_offset *offsets,
                         size_t count)
{
    for (int32_t i = 0; i < a->topics_count; i++) {
        if (!str_equal(a->topics[i].name, topic)) continue;
        for (int32_t k = 0; k < a->topics[i].partitions_count; k++) {
            const struct list_offsets_response_partition *q = &a->topics[i].partitions[k];
            struct leat_offset *o = offset_find(offsets, count, q->partition_index);
            if (o == NULL || !wanted(o)) continue;
            o->kafka_code = q->error_code;
            o->offset = q->offset;
            o->timestamp_ms = q->timestamp;
        }
    }
}

static enum leat_code ask(struct topic_view *v, const struct address *leader,
                          struct list_offsets_request_partition *partitions, int32_t n, struct leat_offset *offsets,
                          size_t count, int64_t deadline, struct leat_error *e)
{
    struct list_offsets_request q;
    struct list_offsets_request_topic topic;
    struct reply r;
    list_offsets_request_init(&q);
    list_offsets_request_topic_init(&topic);
    q.replica_id = -1;
    q.topics = &topic;
    q.topics_count = 1;
    q.timeout_ms = (int32_t)MIN(v->client->request_timeout_ms, (int64_t)INT32_MAX);
    topic.name = str_of(v->name);
    topic.partitions = partitions;
    topic.partitions_count = n;
    const struct call what = {.key = API_LIST_OFFSETS,
                              .version_cap = LIST_OFFSETS_VERSION_CAP,
                              .message = &q,
                              .target = CALL_NODE,
                              .node = leader,
                              .one_try = true}; /* by the next one the leader may be another */
    enum leat_code code = call(v->client, &what, deadline, &r, e);
    if (code != LEAT_OK) return code;
    answers_take(r.message, topic.name, offsets, count);
    reply_free(&r);
    return LEAT_OK;
}

/* One request to each leader of what is still wanted. passing: some are not answered, `e` says why. */
static enum leat_code round_of(struct topic_view *v, int64_t timestamp_ms, struct leat_offset *offsets, size_t count,
                               struct list_offsets_request_partition *room, bool *asked, int64_t deadline,
                               struct leat_error *e)
{
    enum leat_code result = LEAT_OK;
    memset(asked, 0, count);
    for (size_t i = 0; i < count; i++) {
        struct address leader, other;
        int32_t epoch, n = 0;
        if (asked[i] || !wanted(&offsets[i])) continue;
        if (!topic_view_leader(v, offsets[i].partition, &leader, &epoch)) {
            v->stale = true;
            result = fail(e, LEAT_UNREACHABLE, "%s-%d has no leader", v->name, offsets[i].partition);
            continue;
        }
        for (size_t k = i; k < count; k++) {
            if (asked[k] || !wanted(&offsets[k]) || !topic_view_leader(v, offsets[k].partition, &other, &epoch) ||
                other.node != leader.node)
                continue;
            asked[k] = true;
            list_offsets_request_partition_init(&room[n]);
            room[n].partition_index = offsets[k].partition;
            room[n].current_leader_epoch = epoch;
            room[n++].timestamp = timestamp_ms;
        }
        enum leat_code code = ask(v, &leader, room, n, offsets, count, deadline, e);
        if (code != LEAT_OK && !passing(code)) return code;
        if (code != LEAT_OK) result = code;
    }
    return result;
}

static bool all_answered(const struct leat_offset *offsets, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (wanted(&offsets[i])) return false;
    return true;
}

static enum leat_code rounds(struct topic_view *v, int64_t timestamp_ms, struct leat_offset *offsets, size_t count,
                             struct list_offsets_request_partition *room, bool *asked, int64_t deadline,
                             struct leat_error *e)
{
    struct attempt again;
    attempt_init(&again, deadline);
    for (;;) {
        enum leat_code code = topic_view_refresh(v, deadline, e);
        if (code == LEAT_OK) code = round_of(v, timestamp_ms, offsets, count, room, asked, deadline, e);
        if (code != LEAT_OK && !passing(code)) return code;
        if (all_answered(offsets, count)) return LEAT_OK;
        v->stale = true;
        if (attempt_again(&again)) continue;
        for (size_t i = 0; i < count && code == LEAT_OK; i++) /* the broker's own word is an answer, too */
            if (offsets[i].kafka_code == UNANSWERED) code = fail(e, LEAT_TIMED_OUT, "offsets of topic '%s'", v->name);
        return code;
    }
}

enum leat_code offsets_fetch(struct topic_view *v, const int32_t *partitions, size_t count, int64_t timestamp_ms,
                             int64_t deadline, struct leat_offset *ret_offsets, struct leat_error *e)
{
    struct list_offsets_request_partition *room;
    struct leat_error own;
    struct mem *mem = v->client->mem;
    size_t bytes = count * (sizeof *room + sizeof(bool));
    if (count == 0) return LEAT_OK;
    for (size_t i = 0; i < count; i++)
        ret_offsets[i] = (struct leat_offset){.partition = partitions[i], .kafka_code = UNANSWERED, .offset = -1};
    room = count > INT32_MAX / sizeof *room ? NULL : mem_alloc(mem, MEM_CONTROL, bytes);
    if (room == NULL) return fail(e, LEAT_NO_MEMORY, "no memory to ask for %zu offsets", count);
    bool *asked = (bool *)(room + count);
    enum leat_code code = rounds(v, timestamp_ms, ret_offsets, count, room, asked, deadline, e != NULL ? e : &own);
    mem_free(mem, MEM_CONTROL, room, bytes);
    return code;
}

/* One timestamp for all, into room (one entry for each); a refusal is an error. */
static enum leat_code fetch_all(struct topic_view *v, const int32_t *partitions, size_t count, int64_t timestamp_ms,
                                int64_t deadline, struct leat_offset *room, struct leat_error *e)
{
    enum leat_code code = offsets_fetch(v, partitions, count, timestamp_ms, deadline, room, e);
    for (size_t i = 0; i < count && code == LEAT_OK; i++)
        if (room[i].kafka_code != KAFKA_NONE)
            code = fail_kafka(e, room[i].kafka_code, "%s-%d: its offsets", v->name, partitions[i]);
    return code;
}

/* A time, or the beginning; where no record is that young (-1), the end. */
static enum leat_code times_find(struct topic_view *v, const int32_t *partitions, size_t count, int64_t timestamp_ms,
                                 int64_t deadline, struct leat_offset *room, int64_t *ret_offsets, struct leat_error *e)
{
    bool young = true;
    enum leat_code code = fetch_all(v, partitions, count, timestamp_ms, deadline, room, e);
    for (size_t i = 0; i < count && code == LEAT_OK; i++) {
        ret_offsets[i] = room[i].offset;
        young = young && room[i].offset >= 0;
    }
    if (code == LEAT_OK && !young) code = fetch_all(v, partitions, count, OFFSET_LATEST, deadline, room, e);
    for (size_t i = 0; i < count && code == LEAT_OK; i++)
        if (ret_offsets[i] < 0) ret_offsets[i] = room[i].offset;
    return code;
}

static enum leat_code tails_find(struct topic_view *v, const int32_t *partitions, size_t count, int64_t before,
                                 int64_t deadline, struct leat_offset *room, int64_t *ret_offsets, struct leat_error *e)
{
    enum leat_code code = fetch_all(v, partitions, count, OFFSET_LATEST, deadline, room, e);
    for (size_t i = 0; i < count && code == LEAT_OK; i++) ret_offsets[i] = room[i].offset;
    if (code == LEAT_OK && before > 0) code = fetch_all(v, partitions, count, OFFSET_EARLIEST, deadline, room, e);
    for (size_t i = 0; before > 0 && i < count && code == LEAT_OK; i++)
        ret_offsets[i] = before < ret_offsets[i] - room[i].offset ? ret_offsets[i] - before : room[i].offset;
    return code;
}

enum leat_code offsets_resolve(struct topic_view *v, const int32_t *partitions, size_t count,
                               struct leat_position position, int64_t deadline, int64_t *ret_offsets,
                               struct leat_error *e)
{
    struct mem *mem = v->client->mem;
    size_t bytes = count * sizeof(struct leat_offset);
    enum leat_code code = LEAT_OK;
    if (position.place == LEAT_AT_OFFSET || position.place == LEAT_NO_END || count == 0) {
        for (size_t i = 0; i < count; i++)
            ret_offsets[i] = position.place == LEAT_AT_OFFSET ? position.value : INT64_MAX;
        return LEAT_OK;
    }
    struct leat_offset *room = mem_alloc(mem, MEM_CONTROL, bytes);
    if (room == NULL) return fail(e, LEAT_NO_MEMORY, "no memory to ask for %zu offsets", count);
    if (position.place == LEAT_TAIL)
        code = tails_find(v, partitions, count, position.value, deadline, room, ret_offsets, e);
    else
        code = times_find(v, partitions, count, position.place == LEAT_AT_TIME ? position.value : OFFSET_EARLIEST,
                          deadline, room, ret_offsets, e);
    mem_free(mem, MEM_CONTROL, room, bytes);
    return code;
}

enum leat_code offset_resolve(struct topic_view *v, int32_t partition, struct leat_position position, int64_t deadline,
                              int64_t *ret_offset, struct leat_error *e)
{
    int64_t at = 0;
    enum leat_code code = offsets_resolve(v, &partition, 1, position, deadline, &at, e);
    if (code == LEAT_OK) *ret_offset = at;
    return code;
}

enum leat_code leat_offsets_get(struct leat_client *client, const char *topic, const int32_t *partitions, size_t count,
                                struct leat_position position, int64_t timeout_ms, struct leat_offset *ret_offsets,
                                struct leat_error *ret_error)
{
    struct topic_view v;
    int64_t deadline = deadline_in(timeout_ms), timestamp = OFFSET_LATEST;
    if (!topic_valid(topic)) return fail(ret_error, LEAT_INVALID, "'%.300s' is no topic name", topic);
    if (position.place == LEAT_BEGINNING)
        timestamp = OFFSET_EARLIEST;
    else if (position.place == LEAT_AT_TIME && position.value >= 0)
        timestamp = position.value;
    else if (position.place != LEAT_TAIL || position.value != 0)
        return fail(ret_error, LEAT_INVALID, "only the beginning, the end and a time can be asked for");
    topic_view_init(&v, client, topic);
    enum leat_code code = topic_view_refresh(&v, deadline, ret_error);
    int32_t n = topic_view_partitions(&v);
    for (size_t i = 0; i < count && code == LEAT_OK; i++)
        if (partitions[i] < 0 || partitions[i] >= n)
            code = fail(ret_error, LEAT_NOT_FOUND, "topic '%s' has partitions 0 to %d, no %d", topic, n - 1,
                        partitions[i]);
    if (code == LEAT_OK) code = offsets_fetch(&v, partitions, count, timestamp, deadline, ret_offsets, ret_error);
    topic_view_deinit(&v);
    return code;
}

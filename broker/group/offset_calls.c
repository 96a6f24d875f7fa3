// SPDX-License-Identifier: Apache-2.0
/* OffsetCommit, OffsetFetch and OffsetDelete at the coordinator (offsets.h).
 *
 * Failure modes: an error of a partition does not hinder the others; one of the group or member stands in each
 * partition (OffsetCommit) or is the call's error. */
#include "base/check.h"
#include "broker/group/classic.h"
#include "broker/group/consumer.h"
#include "broker/group/offsets.h"
#include "protocol/msg_offset_commit.h"
#include "protocol/msg_offset_delete.h"
#include "protocol/msg_offset_fetch.h"
#include "protocol/msg_record_offset_commit.h"
#include "replication/image.h"
#include <stdlib.h>

#define BY_ID_FROM     10 /* OffsetCommit, OffsetFetch: topics by id from this version on */
#define EPOCH_FROM     9  /* members of consumer groups commit from this version on */
#define NO_OFFSET_HERE (-1)

/* By name, or by id. NULL: ret_error says it. */
static const struct image_topic *topic_of(const struct groups *gs, bool by_id, struct str name, struct uuid id,
                                          int16_t *ret_error)
{
    const struct image_topic *t = by_id ? topic_index_by_id(gs->topics, id) : topic_index_by_name(gs->topics, name);
    *ret_error = KAFKA_NONE;
    if (t == NULL) *ret_error = by_id ? KAFKA_UNKNOWN_TOPIC_ID : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    return t;
}

/* ---- commit ---- */

/* The group, made where anybody may commit; NULL: ret_error, or the machine has failed. *ret_older: not NULL, and each
 * partition must pass consumer_commit_partition_check. */
static struct group *commit_group(struct groups *gs, const struct group_call *c,
                                  const struct consumer_member **ret_older, int16_t *ret_error)
{
    const struct offset_commit_request *q = c->request;
    int32_t epoch = q->generation_id_or_member_epoch;
    struct group *g = groups_find(gs, c->group_id);
    *ret_error = KAFKA_NONE;
    *ret_older = NULL;
    if (g == NULL && epoch >= 0) {
        *ret_error = c->version >= EPOCH_FROM ? KAFKA_GROUP_ID_NOT_FOUND : KAFKA_ILLEGAL_GENERATION;
        return NULL;
    }
    if (g == NULL && !groups_have_room(gs)) {
        *ret_error = KAFKA_COORDINATOR_NOT_AVAILABLE;
        return NULL;
    }
    if (g == NULL) g = groups_make(gs, c->group_id);
    if (g == NULL) return NULL;
    *ret_error = g->type == GROUP_CLASSIC ? classic_commit_check(gs, g, q->member_id, q->group_instance_id, epoch)
                                          : consumer_commit_check(gs, g, q->member_id, epoch, c->version, ret_older);
    return *ret_error == KAFKA_NONE ? g : NULL;
}

static int16_t commit_one(struct groups *gs, struct group *g, const struct consumer_member *older,
                          const struct group_call *c, const struct image_topic *t,
                          const struct offset_commit_request_partition *p)
{
    const struct offset_commit_request *q = c->request;
    struct offset_commit_value v;
    if (older != NULL) {
        int16_t error =
            consumer_commit_partition_check(older, q->generation_id_or_member_epoch, t->id, p->partition_index);
        if (error != KAFKA_NONE) return error;
    }
    if (p->committed_metadata.len > gs->settings->metadata_max_bytes) return KAFKA_OFFSET_METADATA_TOO_LARGE;
    if (!groups_have_room(gs) && offsets_find(g, t->name, p->partition_index) == NULL)
        return KAFKA_COORDINATOR_NOT_AVAILABLE;
    struct offset_commit_key k = {.group = g->id, .topic = t->name, .partition = p->partition_index};
    offset_commit_value_init(&v);
    v.offset = p->committed_offset;
    v.leader_epoch = p->committed_leader_epoch;
    v.metadata = p->committed_metadata.len >= 0 ? p->committed_metadata : STR_EMPTY;
    v.commit_timestamp = gs->wall.v;
    v.expire_timestamp = q->retention_time_ms >= 0 ? gs->wall.v + q->retention_time_ms : -1;
    v.topic_id = t->id;
    group_put(gs, OFFSET_COMMIT_RECORD, &k, &v);
    return KAFKA_NONE;
}

static bool commit_topic(struct groups *gs, struct group *g, const struct consumer_member *older, int16_t error,
                         struct group_call *c, const struct offset_commit_request_topic *q,
                         struct offset_commit_response_topic *a)
{
    int16_t topic_error;
    const struct image_topic *t = topic_of(gs, c->version >= BY_ID_FROM, q->name, q->topic_id, &topic_error);
    offset_commit_response_topic_init(a);
    a->name = q->name;
    a->topic_id = q->topic_id;
    a->partitions_count = q->partitions_count;
    a->partitions = call_zalloc(c, (size_t)q->partitions_count * sizeof *a->partitions);
    if (a->partitions == NULL) return false;
    for (int32_t i = 0; i < q->partitions_count; i++) {
        a->partitions[i].partition_index = q->partitions[i].partition_index;
        a->partitions[i].error_code = error != KAFKA_NONE ? error : topic_error;
        if (g != NULL && t != NULL) a->partitions[i].error_code = commit_one(gs, g, older, c, t, &q->partitions[i]);
    }
    return true;
}

void offsets_commit(struct groups *gs, struct group_call *c)
{
    const struct offset_commit_request *q = c->request;
    struct offset_commit_response *a = c->response;
    int16_t error;
    const struct consumer_member *older;
    struct group *g = commit_group(gs, c, &older, &error);
    a->topics_count = q->topics_count;
    a->topics = call_zalloc(c, (size_t)q->topics_count * sizeof *a->topics);
    bool room = a->topics != NULL;
    for (int32_t i = 0; room && i < q->topics_count; i++)
        room = commit_topic(gs, g, older, error, c, &q->topics[i], &a->topics[i]);
    if (room)
        call_answer(gs, c);
    else
        call_fail(gs, c, KAFKA_COORDINATOR_NOT_AVAILABLE);
}

/* ---- fetch ---- */

static bool fill_partition(struct group_call *c, const struct offset *o, int32_t partition, int16_t error,
                           struct offset_fetch_response_group_partition *a)
{
    offset_fetch_response_group_partition_init(a);
    a->partition_index = partition;
    a->committed_offset = o != NULL ? o->offset : NO_OFFSET_HERE;
    a->committed_leader_epoch = o != NULL ? o->leader_epoch : -1;
    a->error_code = error;
    return call_copy_str(c, o != NULL ? o->metadata : STR_EMPTY, &a->metadata);
}

/* g NULL: no such group, which has no offsets. */
static bool fetch_topic(struct groups *gs, const struct group *g, struct group_call *c,
                        const struct offset_fetch_request_group_topic *q, struct offset_fetch_response_group_topic *a)
{
    int16_t error = KAFKA_NONE;
    struct str name = q->name;
    offset_fetch_response_group_topic_init(a);
    a->name = q->name;
    a->topic_id = q->topic_id;
    if (c->version >= BY_ID_FROM) {
        const struct image_topic *t = topic_of(gs, true, name, q->topic_id, &error);
        if (t != NULL) name = t->name;
    }
    a->partitions_count = q->partition_indexes_count;
    a->partitions = call_zalloc(c, (size_t)q->partition_indexes_count * sizeof *a->partitions);
    if (a->partitions == NULL) return false;
    for (int32_t i = 0; i < q->partition_indexes_count; i++) {
        int32_t partition = q->partition_indexes[i];
        const struct offset *o = g != NULL && error == KAFKA_NONE ? offsets_find(g, name, partition) : NULL;
        if (!fill_partition(c, o, partition, error, &a->partitions[i])) return false;
    }
    return true;
}

static int by_topic_and_partition(const void *x, const void *y)
{
    const struct offset *a = *(const struct offset *const *)x, *b = *(const struct offset *const *)y;
    int order = memcmp(a->topic.data, b->topic.data, (size_t)MIN(a->topic.len, b->topic.len));
    if (order == 0) order = (a->topic.len > b->topic.len) - (a->topic.len < b->topic.len);
    if (order == 0) order = (a->partition > b->partition) - (a->partition < b->partition);
    return order;
}

static bool fill_run(struct group_call *c, const struct offset *const *run, uint32_t n, struct uuid id,
                     struct offset_fetch_response_group_topic *a)
{
    offset_fetch_response_group_topic_init(a);
    a->topic_id = id;
    a->partitions = call_zalloc(c, n * sizeof *a->partitions);
    if (a->partitions == NULL || !call_copy_str(c, run[0]->topic, &a->name)) return false;
    a->partitions_count = (int32_t)n;
    for (uint32_t i = 0; i < n; i++)
        if (!fill_partition(c, run[i], run[i]->partition, KAFKA_NONE, &a->partitions[i])) return false;
    return true;
}

/* All offsets of the group, by topic. By id, those of topics that are gone have no name to be told by. */
static bool fetch_all(struct groups *gs, const struct group *g, struct group_call *c,
                      struct offset_fetch_response_group *a)
{
    uint32_t n = 0, count = offsets_count(g);
    const struct offset **all = call_zalloc(c, count * sizeof *all);
    a->topics = call_zalloc(c, count * sizeof *a->topics);
    if (all == NULL || a->topics == NULL) return false;
    list_each (node, &g->offsets.all) all[n++] = container_of(node, struct offset, in_all);
    CHECK(n == count);
    qsort(all, n, sizeof all[0], by_topic_and_partition);
    for (uint32_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && str_equal(all[end]->topic, all[i]->topic);) end++;
        const struct image_topic *t = topic_index_by_name(gs->topics, all[i]->topic);
        if (c->version >= BY_ID_FROM && t == NULL) continue;
        struct uuid id = t != NULL ? t->id : (struct uuid){0};
        if (!fill_run(c, all + i, end - i, id, &a->topics[a->topics_count++])) return false;
    }
    return true;
}

void offsets_fetch(struct groups *gs, struct group_call *c)
{
    const struct offset_fetch_request_group *q = c->request;
    struct offset_fetch_response_group *a = c->response;
    const struct group *g = groups_find(gs, c->group_id);
    if (g != NULL && g->type == GROUP_CONSUMER) {
        int16_t error = consumer_fetch_check(g, q->member_id, q->member_epoch);
        if (error != KAFKA_NONE) {
            call_fail(gs, c, error);
            return;
        }
    }
    bool room = true;
    if (q->topics_count >= 0) {
        a->topics_count = q->topics_count;
        a->topics = call_zalloc(c, (size_t)q->topics_count * sizeof *a->topics);
        room = a->topics != NULL;
        for (int32_t i = 0; room && i < q->topics_count; i++)
            room = fetch_topic(gs, g, c, &q->topics[i], &a->topics[i]);
    } else if (g != NULL) {
        room = fetch_all(gs, g, c, a);
    }
    if (room)
        call_answer(gs, c);
    else
        call_fail(gs, c, KAFKA_COORDINATOR_NOT_AVAILABLE);
}

/* ---- delete ---- */

static int16_t delete_check(const struct group *g)
{
    if (g == NULL) return KAFKA_GROUP_ID_NOT_FOUND;
    if (g->type == GROUP_CONSUMER || classic_is_empty(g)) return KAFKA_NONE;
    return str_equal(classic_protocol_type(g), STR("consumer")) ? KAFKA_NONE : KAFKA_NON_EMPTY_GROUP;
}

static int16_t delete_one(struct groups *gs, struct group *g, bool subscribed, struct str topic, int32_t partition)
{
    if (subscribed) return KAFKA_GROUP_SUBSCRIBED_TO_TOPIC;
    if (topic_index_by_name(gs->topics, topic) == NULL) return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    if (offsets_find(g, topic, partition) == NULL) return KAFKA_NONE;
    struct offset_commit_key k = {.group = g->id, .topic = topic, .partition = partition};
    group_put(gs, OFFSET_COMMIT_RECORD, &k, NULL);
    return KAFKA_NONE;
}

static bool delete_topic(struct groups *gs, struct group *g, struct group_call *c,
                         const struct offset_delete_request_topic *q, struct offset_delete_response_topic *a)
{
    bool empty = g->type == GROUP_CLASSIC && classic_is_empty(g);
    bool subscribed =
        !empty && (g->type == GROUP_CLASSIC ? classic_subscribes(g, q->name) : consumer_subscribes(g, q->name));
    a->name = q->name;
    a->partitions_count = q->partitions_count;
    a->partitions = call_zalloc(c, (size_t)q->partitions_count * sizeof *a->partitions);
    if (a->partitions == NULL) return false;
    for (int32_t i = 0; i < q->partitions_count; i++) {
        int32_t partition = q->partitions[i].partition_index;
        a->partitions[i].partition_index = partition;
        a->partitions[i].error_code = delete_one(gs, g, subscribed, q->name, partition);
    }
    return true;
}

void offsets_delete(struct groups *gs, struct group_call *c)
{
    const struct offset_delete_request *q = c->request;
    struct offset_delete_response *a = c->response;
    struct group *g = groups_find(gs, c->group_id);
    int16_t error = delete_check(g);
    if (error != KAFKA_NONE) {
        call_fail(gs, c, error);
        return;
    }
    a->topics_count = q->topics_count;
    a->topics = call_zalloc(c, (size_t)q->topics_count * sizeof *a->topics);
    bool room = a->topics != NULL;
    for (int32_t i = 0; room && i < q->topics_count; i++) room = delete_topic(gs, g, c, &q->topics[i], &a->topics[i]);
    if (room)
        call_answer(gs, c);
    else
        call_fail(gs, c, KAFKA_COORDINATOR_NOT_AVAILABLE);
}

// SPDX-License-Identifier: Apache-2.0
/* How far a group has read (contract: leat.h): OffsetFetch of everything, OffsetCommit as somebody who is no member
 * (generation -1, no member id), which a coordinator takes only while the group has none.
 *
 * Failure modes: a partition that is refused is the call's error, by name; the others may be done. */
#include "clients/c/coordinator.h"
#include "clients/c/result.h"

#include "base/bytes.h"
#include "protocol/msg_offset_commit.h"
#include "protocol/msg_offset_fetch.h"
#include <stdlib.h>

#define OFFSET_FETCH_VERSION_CAP  9 /* from 10 on topics go by id */
#define OFFSET_COMMIT_VERSION_CAP 9
#define NOT_COMMITTED             (-1)

/* ---- asking ---- */

static int16_t fetch_error(const void *answer)
{
    const struct offset_fetch_response *a = answer;
    return a->groups_count == 1 ? a->groups[0].error_code : a->error_code;
}

struct row { /* one partition, whatever the version */
    struct str topic, metadata;
    int32_t partition;
    int64_t offset;
    int16_t error;
};

/* The n-th partition of the answer; false: no more. Old versions answer about one group, newer ones about a list. */
static bool row_next(const struct offset_fetch_response *a, int32_t *topic, int32_t *partition, struct row *ret_row)
{
    const struct offset_fetch_response_group *g = a->groups_count == 1 ? &a->groups[0] : NULL;
    int32_t topics = g != NULL ? g->topics_count : a->topics_count;
    for (; *topic < topics; ++*topic, *partition = 0) {
        int32_t i = (*partition)++;
        if (g != NULL && i < g->topics[*topic].partitions_count) {
            const struct offset_fetch_response_group_partition *p = &g->topics[*topic].partitions[i];
            *ret_row = (struct row){g->topics[*topic].name, p->metadata, p->partition_index, p->committed_offset,
                                    p->error_code};
            return true;
        }
        if (g == NULL && i < a->topics[*topic].partitions_count) {
            const struct offset_fetch_response_partition *p = &a->topics[*topic].partitions[i];
            *ret_row = (struct row){a->topics[*topic].name, p->metadata, p->partition_index, p->committed_offset,
                                    p->error_code};
            return true;
        }
    }
    return false;
}

static int committed_order(const void *a, const void *b)
{
    const struct leat_committed *x = a, *y = b;
    int order = strcmp(x->topic, y->topic);
    return order != 0 ? order : (x->partition > y->partition) - (x->partition < y->partition);
}

static void committed_take(struct result *r, const struct offset_fetch_response *a, struct leat_committeds *ret)
{
    struct row row;
    size_t n = 0, at = 0;
    int32_t topic = 0, partition = 0;
    while (row_next(a, &topic, &partition, &row)) n += row.offset > NOT_COMMITTED && row.error == KAFKA_NONE;
    struct leat_committed *all = result_array(r, n, sizeof *all);
    topic = partition = 0;
    while (!r->failed && row_next(a, &topic, &partition, &row)) {
        if (row.offset <= NOT_COMMITTED || row.error != KAFKA_NONE) continue;
        all[at].topic = result_text(r, row.topic);
        all[at].partition = row.partition;
        all[at].offset = row.offset;
        if (!r->failed && row.metadata.len > 0) all[at].metadata = result_str(r, row.metadata);
        at++;
    }
    if (r->failed) return;
    qsort(all, n, sizeof *all, committed_order);
    *ret = (struct leat_committeds){all, n};
}

static enum leat_code answer_check(const struct offset_fetch_response *a, const char *group, struct leat_error *e)
{
    struct row row;
    int32_t topic = 0, partition = 0;
    if (a->groups_count > 1 || (a->groups_count == 1 && !str_equal(a->groups[0].group_id, str_of(group))))
        return fail(e, LEAT_PROTOCOL, "offsets of group '%.100s': the answer is about something else", group);
    if (fetch_error(a) != KAFKA_NONE) return fail_kafka(e, fetch_error(a), "offsets of group '%.100s'", group);
    while (row_next(a, &topic, &partition, &row))
        if (row.error != KAFKA_NONE)
            return fail_kafka(e, row.error, "offsets of group '%.100s': %.*s-%d", group, MAX(row.topic.len, 0),
                              row.topic.data, row.partition);
    return LEAT_OK;
}

enum leat_code leat_committed_get(struct leat_client *client, const char *group, int64_t timeout_ms,
                                  struct leat_committeds **ret_committeds, struct leat_error *ret_error)
{
    struct offset_fetch_request q;
    struct offset_fetch_request_group g;
    struct reply reply;
    struct result *r;
    int32_t node;
    enum leat_code code = group_check(group, ret_error);
    if (code != LEAT_OK) return code;
    offset_fetch_request_init(&q);
    offset_fetch_request_group_init(&g);
    q.group_id = g.group_id = str_of(group);
    q.topics_count = g.topics_count = -1;
    q.groups = &g;
    q.groups_count = 1;
    const struct group_call what = {.group = group,
                                    .key = API_OFFSET_FETCH,
                                    .version_cap = OFFSET_FETCH_VERSION_CAP,
                                    .message = &q,
                                    .error = fetch_error};
    code = coordinator_call(client, &what, deadline_in(timeout_ms), &node, &reply, ret_error);
    if (code != LEAT_OK) return code;
    code = answer_check(reply.message, group, ret_error);
    struct leat_committeds *all = code == LEAT_OK ? result_create(client->mem, sizeof *all, &r) : NULL;
    if (all != NULL) committed_take(r, reply.message, all);
    reply_free(&reply);
    if (code == LEAT_OK && (all == NULL || r->failed)) {
        result_free(all);
        code = fail(ret_error, LEAT_NO_MEMORY, "no memory for the offsets of group '%.100s'", group);
    }
    if (code == LEAT_OK) *ret_committeds = all;
    return code;
}

void leat_committed_free(struct leat_committeds *committeds)
{
    result_free(committeds);
}

/* ---- setting ---- */

/* The first refusal, whichever partition it is. */
static int16_t commit_error(const void *answer)
{
    const struct offset_commit_response *a = answer;
    for (int32_t i = 0; i < a->topics_count; i++)
        for (int32_t k = 0; k < a->topics[i].partitions_count; k++)
            if (a->topics[i].partitions[k].error_code != KAFKA_NONE) return a->topics[i].partitions[k].error_code;
    return KAFKA_NONE;
}

static enum leat_code commit_verdict(const struct offset_commit_response *a, const char *group, size_t count,
                                     struct leat_error *e)
{
    size_t told = 0;
    for (int32_t i = 0; i < a->topics_count; i++) {
        struct str topic = a->topics[i].name;
        for (int32_t k = 0; k < a->topics[i].partitions_count; k++, told++) {
            const struct offset_commit_response_partition *p = &a->topics[i].partitions[k];
            if (p->error_code != KAFKA_NONE)
                return fail_kafka(e, p->error_code, "offset of group '%.100s' for %.*s-%d", group, MAX(topic.len, 0),
                                  topic.data, p->partition_index);
        }
    }
    if (told == count) return LEAT_OK;
    return fail(e, LEAT_PROTOCOL, "offsets of group '%.100s': %zu were sent, the answer is about %zu", group, count,
                told);
}

static enum leat_code offsets_check(const struct leat_committed *offsets, size_t count, struct leat_error *e)
{
    if (count > INT32_MAX / sizeof(struct offset_commit_request_partition))
        return fail(e, LEAT_INVALID, "too many offsets: %zu", count);
    for (size_t i = 0; i < count; i++)
        if (!topic_valid(offsets[i].topic) || offsets[i].partition < 0 || offsets[i].offset < 0)
            return fail(e, LEAT_INVALID, "offset %lld of partition %d of topic '%.250s' cannot be set",
                        (long long)offsets[i].offset, offsets[i].partition,
                        offsets[i].topic == NULL ? "" : offsets[i].topic);
    return LEAT_OK;
}

/* topics: room for one per offset; partitions of one topic are a run of `partitions`. */
static int32_t fill(const struct leat_committed *offsets, size_t count, struct offset_commit_request_topic *topics,
                    struct offset_commit_request_partition *partitions)
{
    int32_t n = 0;
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || strcmp(offsets[i].topic, offsets[i - 1].topic) != 0) {
            offset_commit_request_topic_init(&topics[n]);
            topics[n].name = str_of(offsets[i].topic);
            topics[n++].partitions = &partitions[i];
        }
        offset_commit_request_partition_init(&partitions[i]);
        partitions[i].partition_index = offsets[i].partition;
        partitions[i].committed_offset = offsets[i].offset;
        partitions[i].committed_metadata = offsets[i].metadata == NULL ? STR_EMPTY : str_of(offsets[i].metadata);
        topics[n - 1].partitions_count++;
    }
    return n;
}

enum leat_code leat_committed_set(struct leat_client *client, const char *group, const struct leat_committed *offsets,
                                  size_t count, int64_t timeout_ms, struct leat_error *ret_error)
{
    struct offset_commit_request q;
    struct offset_commit_request_topic *topics;
    struct offset_commit_request_partition *partitions;
    struct reply r;
    int32_t node;
    enum leat_code code = group_check(group, ret_error);
    if (code == LEAT_OK) code = offsets_check(offsets, count, ret_error);
    if (code != LEAT_OK || count == 0) return code;
    size_t topic_bytes = count * sizeof *topics, partition_bytes = count * sizeof *partitions;
    topics = mem_alloc(client->mem, MEM_CONTROL, topic_bytes);
    partitions = mem_alloc(client->mem, MEM_CONTROL, partition_bytes);
    if (topics != NULL && partitions != NULL) {
        offset_commit_request_init(&q);
        q.group_id = str_of(group);
        q.member_id = STR_EMPTY;
        q.topics_count = fill(offsets, count, topics, partitions);
        q.topics = topics;
        const struct group_call what = {.group = group,
                                        .key = API_OFFSET_COMMIT,
                                        .version_cap = OFFSET_COMMIT_VERSION_CAP,
                                        .message = &q,
                                        .error = commit_error,
                                        .once = true};
        code = coordinator_call(client, &what, deadline_in(timeout_ms), &node, &r, ret_error);
        if (code == LEAT_OK) {
            code = commit_verdict(r.message, group, count, ret_error);
            reply_free(&r);
        }
    } else {
        code = fail(ret_error, LEAT_NO_MEMORY, "no memory for %zu offsets", count);
    }
    mem_free(client->mem, MEM_CONTROL, topics, topic_bytes);
    mem_free(client->mem, MEM_CONTROL, partitions, partition_bytes);
    return code;
}

// SPDX-License-Identifier: Apache-2.0
/* What others may know of a consumer group: ConsumerGroupDescribe, ListGroups, and whether a member may commit or fetch
 * offsets. Failure modes: no room in the call's arena is the caller's error. */
#include "base/bytes.h"
#include "base/check.h"
#include "broker/group/consumer_impl.h"
#include "protocol/msg_consumer_group_describe.h"
#include "replication/image.h"

#define EPOCH_COMMIT_FROM 9 /* OffsetCommit: members of the consumer protocol commit from this version on */
#define MEMBER_CLASSIC    0
#define MEMBER_CONSUMER   1

bool consumer_is_empty(const struct group *g)
{
    return g->consumer->member_count == 0;
}

const char *consumer_state(const struct group *g)
{
    const struct consumer_group *k = g->consumer;
    if (k->member_count == 0) return "Empty";
    if (k->epoch > k->assignment_epoch) return "Assigning";
    list_each (n, &k->all) {
        const struct consumer_member *m = container_of(n, struct consumer_member, in_all);
        if (m->state != MEMBER_STABLE || m->epoch != k->assignment_epoch) return "Reconciling";
    }
    return "Stable";
}

/* ---- offsets ---- */

static int16_t old_epoch(const struct consumer_member *m)
{
    return m->classic != NULL ? KAFKA_ILLEGAL_GENERATION : KAFKA_STALE_MEMBER_EPOCH;
}

int16_t consumer_commit_check(struct groups *gs, struct group *g, struct str member_id, int32_t epoch, int16_t version,
                              const struct consumer_member **ret_older)
{
    const struct consumer_group *k = g->consumer;
    (void)gs;
    *ret_older = NULL;
    if (epoch < 0 && k->member_count == 0) return KAFKA_NONE; /* an administrator, or a consumer without a group */
    const struct consumer_member *m = consumer_find(k, member_id);
    if (m == NULL) return KAFKA_UNKNOWN_MEMBER_ID;
    if (m->classic == NULL && version < EPOCH_COMMIT_FROM) return KAFKA_UNSUPPORTED_VERSION;
    if (epoch > m->epoch) return old_epoch(m);
    if (epoch < m->epoch) *ret_older = m;
    return KAFKA_NONE;
}

int16_t consumer_commit_partition_check(const struct consumer_member *older, int32_t epoch, struct uuid topic,
                                        int32_t number)
{
    const struct part_of *p = parts_find(&older->assigned, topic, number);
    if (p == NULL) p = parts_find(&older->revoking, topic, number);
    return p != NULL && epoch >= p->epoch ? KAFKA_NONE : old_epoch(older);
}

int16_t consumer_fetch_check(const struct group *g, struct str member_id, int32_t epoch)
{
    if (member_id.len < 0 && epoch < 0) return KAFKA_NONE;
    const struct consumer_member *m = consumer_find(g->consumer, member_id);
    if (m == NULL) return KAFKA_UNKNOWN_MEMBER_ID;
    return epoch == m->epoch ? KAFKA_NONE : old_epoch(m);
}

/* ---- ConsumerGroupDescribe ---- */

static bool describe_parts(struct groups *gs, struct group_call *c, const struct parts *s,
                           struct consumer_group_describe_response_assignment *a)
{
    struct part_runs runs;
    if (!parts_runs(c->arena, s, &runs)) return false;
    a->topic_partitions = call_zalloc(c, (size_t)runs.count * sizeof a->topic_partitions[0]);
    if (a->topic_partitions == NULL) return false;
    for (int32_t i = 0; i < runs.count; i++) {
        const struct image_topic *t = topic_index_by_id(gs->topics, runs.all[i].topic);
        if (t == NULL) continue; /* it is gone */
        a->topic_partitions[a->topic_partitions_count].topic_id = t->id;
        a->topic_partitions[a->topic_partitions_count].partitions = runs.all[i].numbers;
        a->topic_partitions[a->topic_partitions_count].partitions_count = runs.all[i].count;
        if (!call_copy_str(c, t->name, &a->topic_partitions[a->topic_partitions_count].topic_name)) return false;
        a->topic_partitions_count++;
    }
    return true;
}

/* What it has: as assigned and as still to be given up. */
static bool describe_assigned(struct groups *gs, struct group_call *c, const struct consumer_member *m,
                              struct consumer_group_describe_response_assignment *a)
{
    struct parts both;
    if (!parts_alloc(c->arena, m->assigned.count + m->revoking.count, &both)) return false;
    for (uint32_t i = 0; i < m->assigned.count; i++) both.all[both.count++] = m->assigned.all[i];
    for (uint32_t i = 0; i < m->revoking.count; i++) both.all[both.count++] = m->revoking.all[i];
    parts_sort(&both);
    return describe_parts(gs, c, &both, a);
}

static bool describe_member(struct groups *gs, struct group_call *c, const struct consumer_member *m,
                            struct consumer_group_describe_response_member *a)
{
    consumer_group_describe_response_member_init(a);
    a->member_epoch = m->epoch;
    a->member_type = m->classic != NULL ? MEMBER_CLASSIC : MEMBER_CONSUMER;
    if (!call_copy_str(c, m->id, &a->member_id) || !call_copy_str(c, m->instance, &a->instance_id) ||
        !call_copy_str(c, m->rack, &a->rack_id) || !call_copy_str(c, m->client_id, &a->client_id) ||
        !call_copy_str(c, m->client_host, &a->client_host) ||
        !call_copy_str(c, member_regex(m), &a->subscribed_topic_regex))
        return false;
    a->subscribed_topic_names = call_zalloc(c, m->names->count * sizeof a->subscribed_topic_names[0]);
    if (a->subscribed_topic_names == NULL) return false;
    for (uint32_t i = 0; i < m->names->count; i++)
        if (!call_copy_str(c, m->names->names[i], &a->subscribed_topic_names[i])) return false;
    a->subscribed_topic_names_count = (int32_t)m->names->count;
    return describe_assigned(gs, c, m, &a->assignment) && describe_parts(gs, c, &m->target, &a->target_assignment);
}

bool consumer_describe(struct groups *gs, const struct group *g, struct group_call *c,
                       struct consumer_group_describe_response_group *ret_group)
{
    const struct consumer_group *k = g->consumer;
    const char *state = consumer_state(g), *assignor = assignor_name(consumer_assignor(k));
    ret_group->group_state = (struct str){state, (int32_t)strlen(state)};
    ret_group->assignor_name = (struct str){assignor, (int32_t)strlen(assignor)};
    ret_group->group_epoch = k->epoch;
    ret_group->assignment_epoch = k->assignment_epoch;
    ret_group->members = call_zalloc(c, k->member_count * sizeof ret_group->members[0]);
    if (ret_group->members == NULL) return false;
    list_each (n, &k->all)
        if (!describe_member(gs, c, container_of(n, struct consumer_member, in_all),
                             &ret_group->members[ret_group->members_count++]))
            return false;
    return true;
}

// SPDX-License-Identifier: Apache-2.0
/* AlterPartitionReassignments, ListPartitionReassignments, ElectLeaders: where replicas are and who leads. With one
 * broker there is one right answer for each; moving replicas comes with the cluster. One stage each.
 *
 * Failure modes: per partition: unknown; replicas that are not brokers of this cluster, doubled or none; nothing to
 * cancel; no election needed. */
#include "broker/api/api.h"
#include "broker/shard.h"
#include "protocol/msg_alter_partition_reassignments.h"
#include "protocol/msg_elect_leaders.h"
#include "protocol/msg_list_partition_reassignments.h"

#define KAFKA_INVALID_REPLICA_ASSIGNMENT     39
#define KAFKA_ELECTION_NOT_NEEDED            84
#define KAFKA_NO_REASSIGNMENT_IN_PROGRESS    85
#define KAFKA_PREFERRED_LEADER_NOT_AVAILABLE 80

static const struct image_partition *find(const struct request *r, struct str topic, int32_t number)
{
    const struct image_topic *t = topic_index_by_name(r->shard->topics, topic);
    return t != NULL ? image_topic_partition(t, number) : NULL;
}

struct verdict {
    int16_t error;
    struct str text; /* null: none */
};

/* ---- AlterPartitionReassignments ---- */

static struct verdict judge(const struct request *r, struct str topic,
                            const struct alter_partition_reassignments_request_partition *q)
{
    const struct image_partition *p = find(r, topic, q->partition_index);
    if (p == NULL) return (struct verdict){KAFKA_UNKNOWN_TOPIC_OR_PARTITION, STR("no such topic or partition")};
    if (q->replicas_count < 0)
        return (struct verdict){KAFKA_NO_REASSIGNMENT_IN_PROGRESS, STR("no move of this partition goes on")};
    if (q->replicas_count == 0) return (struct verdict){KAFKA_INVALID_REPLICA_ASSIGNMENT, STR("no replica is named")};
    for (int32_t i = 0; i < q->replicas_count; i++) {
        if (image_brokers_find(r->shard->brokers, q->replicas[i]) == NULL)
            return (struct verdict){KAFKA_INVALID_REPLICA_ASSIGNMENT,
                                    STR("a replica is on a broker that is not known")};
        for (int32_t k = 0; k < i; k++)
            if (q->replicas[k] == q->replicas[i])
                return (struct verdict){KAFKA_INVALID_REPLICA_ASSIGNMENT, STR("a broker is named twice")};
    }
    bool same = (uint32_t)q->replicas_count == p->replicas.count;
    for (uint32_t i = 0; same && i < p->replicas.count; i++) same = q->replicas[i] == p->replicas.v[i];
    if (same) return (struct verdict){KAFKA_NONE, STR_NULL};
    return (struct verdict){KAFKA_INVALID_REPLICA_ASSIGNMENT, STR("replicas cannot be moved by this version")};
}

static bool fill_alter(struct request *r, const struct alter_partition_reassignments_request *q,
                       struct alter_partition_reassignments_response *a)
{
    a->allow_replication_factor_change = q->allow_replication_factor_change;
    a->responses = request_zalloc(r, (size_t)q->topics_count * sizeof *a->responses);
    if (a->responses == NULL) return false;
    a->responses_count = q->topics_count;
    for (int32_t i = 0; i < q->topics_count; i++) {
        const struct alter_partition_reassignments_request_topic *t = &q->topics[i];
        struct alter_partition_reassignments_response_topic *b = &a->responses[i];
        alter_partition_reassignments_response_topic_init(b);
        b->name = t->name;
        b->partitions = request_zalloc(r, (size_t)t->partitions_count * sizeof *b->partitions);
        if (b->partitions == NULL) return false;
        b->partitions_count = t->partitions_count;
        for (int32_t k = 0; k < t->partitions_count; k++) {
            struct verdict v = judge(r, t->name, &t->partitions[k]);
            alter_partition_reassignments_response_partition_init(&b->partitions[k]);
            b->partitions[k].partition_index = t->partitions[k].partition_index;
            b->partitions[k].error_code = v.error;
            b->partitions[k].error_message = v.text;
        }
    }
    return true;
}

static int alter(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    const struct alter_partition_reassignments_request *q = api_decode(r, sizeof *q);
    struct alter_partition_reassignments_response a;
    if (q == NULL) return STAGE_DONE;
    alter_partition_reassignments_response_init(&a);
    a.error_message = STR_NULL;
    if (!fill_alter(r, q, &a)) return api_no_memory(r);
    request_answer(r, &a);
    return STAGE_DONE;
}

/* ---- ListPartitionReassignments ---- */

static int list(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    const struct list_partition_reassignments_request *q = api_decode(r, sizeof *q);
    struct list_partition_reassignments_response a;
    if (q == NULL) return STAGE_DONE;
    list_partition_reassignments_response_init(&a); /* none goes on */
    a.error_message = STR_NULL;
    request_answer(r, &a);
    return STAGE_DONE;
}

/* ---- ElectLeaders ---- */

static struct verdict elect_one(const struct request *r, struct str topic, int32_t number)
{
    const struct image_partition *p = find(r, topic, number);
    if (p == NULL) return (struct verdict){KAFKA_UNKNOWN_TOPIC_OR_PARTITION, STR("no such topic or partition")};
    if (p->leader == NO_LEADER)
        return (struct verdict){KAFKA_PREFERRED_LEADER_NOT_AVAILABLE, STR("no replica of it can lead now")};
    return (struct verdict){KAFKA_ELECTION_NOT_NEEDED, STR("the partition has its leader")};
}

/* Without a list all partitions are meant, and only those that needed an election are told: none here. */
static bool fill_elect(struct request *r, const struct elect_leaders_request *q, struct elect_leaders_response *a)
{
    if (q->topic_partitions_count < 0) return true;
    a->replica_election_results =
        request_zalloc(r, (size_t)q->topic_partitions_count * sizeof *a->replica_election_results);
    if (a->replica_election_results == NULL) return false;
    a->replica_election_results_count = q->topic_partitions_count;
    for (int32_t i = 0; i < q->topic_partitions_count; i++) {
        const struct elect_leaders_request_topic_partition *t = &q->topic_partitions[i];
        struct elect_leaders_response_replica_election *b = &a->replica_election_results[i];
        elect_leaders_response_replica_election_init(b);
        b->topic = t->topic;
        b->partition_result = request_zalloc(r, (size_t)t->partitions_count * sizeof *b->partition_result);
        if (b->partition_result == NULL) return false;
        b->partition_result_count = t->partitions_count;
        for (int32_t k = 0; k < t->partitions_count; k++) {
            struct verdict v = elect_one(r, t->topic, t->partitions[k]);
            elect_leaders_response_partition_init(&b->partition_result[k]);
            b->partition_result[k].partition_id = t->partitions[k];
            b->partition_result[k].error_code = v.error;
            b->partition_result[k].error_message = v.text;
        }
    }
    return true;
}

static int elect(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    const struct elect_leaders_request *q = api_decode(r, sizeof *q);
    struct elect_leaders_response a;
    if (q == NULL) return STAGE_DONE;
    elect_leaders_response_init(&a);
    if (!fill_elect(r, q, &a)) return api_no_memory(r);
    request_answer(r, &a);
    return STAGE_DONE;
}

static const struct stage alter_stages[] = {{"answer", alter, 0}};
static const struct stage list_stages[] = {{"answer", list, 0}};
static const struct stage elect_stages[] = {{"answer", elect, 0}};
const struct flow alter_partition_reassignments_flow = {"alter partition reassignments", alter_stages, 1};
const struct flow list_partition_reassignments_flow = {"list partition reassignments", list_stages, 1};
const struct flow elect_leaders_flow = {"elect leaders", elect_stages, 1};

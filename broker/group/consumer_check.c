// SPDX-License-Identifier: Apache-2.0
/* What a ConsumerGroupHeartbeat must pass before anything changes: the request itself, room, who the member is and
 * which epoch it may name, its expression. Errors and their order are Apache Kafka's; the texts are in the response.
 *
 * Failure modes: the call is answered with the error; no memory is COORDINATOR_NOT_AVAILABLE. */
#include "base/bytes.h"
#include "base/check.h"
#include "broker/group/consumer_impl.h"
#include "protocol/msg_consumer_group_heartbeat.h"
#include <stdio.h>

void consumer_refuse(struct groups *gs, struct group_call *c, int16_t error, const char *text)
{
    struct consumer_group_heartbeat_response *a = c->response;
    a->error_code = error;
    if (!call_copy_str(c, (struct str){text, (int32_t)strlen(text)}, &a->error_message)) a->error_message = STR_NULL;
    call_answer(gs, c);
}

static bool refuse_epoch(struct groups *gs, struct group_call *c, const char *how, int32_t known)
{
    const struct consumer_group_heartbeat_request *q = c->request;
    char text[200];
    (void)snprintf(
        text, sizeof text,
        "The member epoch %d is %s than the one known by the group coordinator (%d). The member must abandon "
        "all its partitions and rejoin.",
        q->member_epoch, how, known);
    consumer_refuse(gs, c, KAFKA_FENCED_MEMBER_EPOCH, text);
    return false;
}

/* ---- the request itself ---- */

static bool blank(struct str s) /* given, but nothing in it that Java's trim would leave */
{
    for (int32_t i = 0; i < s.len; i++)
        if ((unsigned char)s.data[i] > ' ') return false;
    return s.len >= 0;
}

static const char *text_fault(const struct consumer_group_heartbeat_request *q, int16_t version)
{
    bool needs_id = version >= 1 || q->member_epoch > 0 || q->member_epoch == EPOCH_LEAVE;
    if (needs_id && blank(q->member_id)) return "MemberId can't be empty.";
    if (blank(q->group_id)) return "GroupId can't be empty.";
    if (blank(q->instance_id)) return "InstanceId can't be empty.";
    if (blank(q->rack_id)) return "RackId can't be empty.";
    if (q->member_id.len > MEMBER_TEXT_MAX) return "MemberId is longer than 1024 bytes.";
    if (q->instance_id.len > MEMBER_TEXT_MAX) return "InstanceId is longer than 1024 bytes.";
    if (q->rack_id.len > MEMBER_TEXT_MAX) return "RackId is longer than 1024 bytes.";
    return NULL;
}

static const char *join_fault(const struct consumer_group_heartbeat_request *q)
{
    if (q->rebalance_timeout_ms == -1) return "RebalanceTimeoutMs must be provided in first request.";
    if (q->topic_partitions_count != 0) return "TopicPartitions must be empty when (re-)joining.";
    if (q->subscribed_topic_names_count < 0 && q->subscribed_topic_regex.len < 0)
        return "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.";
    return NULL;
}

static const char *request_fault(const struct consumer_group_heartbeat_request *q, int16_t version)
{
    const char *fault = text_fault(q, version);
    if (fault == NULL && q->member_epoch == EPOCH_JOIN) fault = join_fault(q);
    if (fault == NULL && q->member_epoch == EPOCH_LEAVE_STATIC && q->instance_id.len < 0)
        fault = "InstanceId can't be null.";
    if (fault == NULL && q->member_epoch < EPOCH_LEAVE_STATIC) fault = "MemberEpoch is invalid.";
    if (fault == NULL && q->subscribed_topic_names_count > SUBSCRIBED_TOPICS_MAX)
        fault = "more than 10000 subscribed topics";
    for (int32_t i = 0; fault == NULL && i < q->subscribed_topic_names_count; i++)
        if (q->subscribed_topic_names[i].len > TOPIC_NAME_MAX) fault = "a topic name is longer than 249 bytes";
    return fault;
}

bool consumer_check_request(struct groups *gs, struct group_call *c)
{
    const struct consumer_group_heartbeat_request *q = c->request;
    const char *fault = request_fault(q, c->version);
    if (fault != NULL) {
        consumer_refuse(gs, c, KAFKA_INVALID_REQUEST, fault);
        return false;
    }
    if (q->server_assignor.len < 0 || assignor_find(q->server_assignor) != ASSIGNORS) return true;
    consumer_refuse(gs, c, KAFKA_UNSUPPORTED_ASSIGNOR,
                    "ServerAssignor is not supported. Supported assignors: uniform, range.");
    return false;
}

/* ---- who it is ---- */

static bool check_room(struct groups *gs, const struct consumer_group *k, struct group_call *c)
{
    const struct consumer_group_heartbeat_request *q = c->request;
    bool known = k != NULL && ((q->member_id.len > 0 && consumer_find(k, q->member_id) != NULL) ||
                               consumer_find_instance(k, q->instance_id) != NULL);
    uint32_t count = k != NULL ? k->member_count : 0;
    if (!known && (int64_t)count >= MIN(gs->settings->consumer_size_max, MEMBERS_MAX)) {
        consumer_refuse(gs, c, KAFKA_GROUP_MAX_SIZE_REACHED, "The consumer group has reached its maximum capacity.");
        return false;
    }
    if (q->member_epoch == EPOCH_JOIN && !groups_have_room(gs)) {
        consumer_refuse(gs, c, KAFKA_COORDINATOR_NOT_AVAILABLE, "The coordinator is short of memory.");
        return false;
    }
    return true;
}

static bool check_epoch(struct groups *gs, const struct consumer_member *m, struct group_call *c)
{
    const struct consumer_group_heartbeat_request *q = c->request;
    struct owned_topics owned = {q->topic_partitions, q->topic_partitions_count};
    if (m->state == MEMBER_UNKNOWN && owned.count != 0) {
        consumer_refuse(gs, c, KAFKA_FENCED_MEMBER_EPOCH,
                        "The member is in an unknown state. The member must abandon all its partitions and rejoin.");
        return false;
    }
    if (q->member_epoch == EPOCH_JOIN) return true;
    if (q->member_epoch > m->epoch) return refuse_epoch(gs, c, "greater", m->epoch);
    /* The response with the new epoch was lost: fine if the member does not claim what it no longer has. */
    if (q->member_epoch < m->epoch && (q->member_epoch != m->previous_epoch || !owned_all_in(owned, &m->assigned)))
        return refuse_epoch(gs, c, "smaller", m->epoch);
    return true;
}

/* *ret_member NULL with true: a new one. k NULL: the group is new. */
static bool identify(struct groups *gs, const struct consumer_group *k, struct group_call *c,
                     struct consumer_member **ret_member)
{
    const struct consumer_group_heartbeat_request *q = c->request;
    bool is_static = q->instance_id.len >= 0;
    struct consumer_member *m = NULL;
    if (k != NULL) m = is_static ? consumer_find_instance(k, q->instance_id) : consumer_find(k, q->member_id);
    *ret_member = m;
    if (m == NULL && q->member_epoch != EPOCH_JOIN) {
        consumer_refuse(gs, c, KAFKA_UNKNOWN_MEMBER_ID, "The member is not a member of the group.");
        return false;
    }
    if (m == NULL) return true;
    if (is_static && q->member_epoch == EPOCH_JOIN) {
        if (m->epoch == EPOCH_LEAVE_STATIC || m->classic != NULL) return true;
        consumer_refuse(gs, c, KAFKA_UNRELEASED_INSTANCE_ID, "The instance id is owned by another member.");
        return false;
    }
    if (is_static && !str_equal(m->id, q->member_id)) {
        consumer_refuse(gs, c, KAFKA_FENCED_INSTANCE_ID, "The member was fenced by another one with its instance id.");
        return false;
    }
    return check_epoch(gs, m, c);
}

static bool check_regex(struct groups *gs, const struct consumer_group *k, struct group_call *c)
{
    const struct consumer_group_heartbeat_request *q = c->request;
    struct str text = q->subscribed_topic_regex;
    char fault[TOPIC_NAME_MAX + 100];
    struct arena a;
    if (text.len <= 0) return true;
    const struct regex_use *known = k != NULL ? regex_find(k, text) : NULL;
    if (known != NULL && known->members > 0) return true;
    arena_init(&a, gs->mem, MEM_CONTROL, STEP_ARENA_CAP);
    const char *why = k != NULL && k->regexes.count >= REGEXES_MAX ? "the group has 64 different ones already"
                                                                   : regex_fault(gs, &a, text);
    if (why != NULL)
        (void)snprintf(fault, sizeof fault, "SubscribedTopicRegex `%.*s` is not a valid regular expression: %s.",
                       MIN(text.len, 100), text.data, why);
    arena_deinit(&a);
    if (why != NULL) consumer_refuse(gs, c, KAFKA_INVALID_REGULAR_EXPRESSION, fault);
    return why == NULL;
}

/* ---- all of it ---- */

bool consumer_admit(struct groups *gs, struct group *g, struct group_call *c, struct consumer_member **ret_member)
{
    const struct consumer_group_heartbeat_request *q = c->request;
    struct consumer_group *k = g->type == GROUP_CONSUMER ? g->consumer : NULL;
    if (k == NULL && q->member_epoch != EPOCH_JOIN) {
        consumer_refuse(gs, c, KAFKA_GROUP_ID_NOT_FOUND, "The group is not a consumer group.");
        return false;
    }
    if (!check_room(gs, k, c)) return false;
    if (k != NULL) return identify(gs, k, c, ret_member) && check_regex(gs, k, c);
    if (!check_regex(gs, NULL, c)) return false;
    if (consumer_from_classic(gs, g)) return identify(gs, g->consumer, c, ret_member);
    if (gs->status == STATUS_OK)
        consumer_refuse(gs, c, KAFKA_GROUP_ID_NOT_FOUND,
                        "The group is a classic group with members that cannot be upgraded.");
    return false;
}

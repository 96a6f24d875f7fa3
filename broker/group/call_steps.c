// SPDX-License-Identifier: Apache-2.0
/* Calls and the other steps of the machine (groups.h): to which rules each goes, and what concerns whole groups.
 *
 * Failure modes: a group that is not there is the call's error, as the API says it. */
#include "base/check.h"
#include "broker/group/classic.h"
#include "broker/group/consumer.h"
#include "broker/group/groups.h"
#include "broker/group/offsets.h"
#include "protocol/msg_consumer_group_describe.h"
#include "protocol/msg_consumer_group_heartbeat.h"
#include "protocol/msg_delete_groups.h"
#include "protocol/msg_describe_groups.h"
#include "protocol/msg_join_group.h"
#include "protocol/msg_list_groups.h"
#include <strings.h>

#define GROUP_NOT_FOUND_FROM 6 /* DescribeGroups: a group that is not there is an error from this version on */

static bool is_empty(const struct group *g)
{
    return g->type == GROUP_CLASSIC ? classic_is_empty(g) : consumer_is_empty(g);
}

static const char *state_of(const struct group *g)
{
    return g->type == GROUP_CLASSIC ? classic_state(g) : consumer_state(g);
}

/* A group that holds nothing and that the log does not know. */
static void drop_unused(struct groups *gs, struct group *g)
{
    if (g->type == GROUP_CLASSIC && classic_is_simple(g) && offsets_count(g) == 0) groups_drop(gs, g);
}

/* ---- members ---- */

static void join(struct groups *gs, struct group_call *c)
{
    const struct join_group_request *q = c->request;
    struct group *g = groups_find(gs, c->group_id);
    bool fresh = g == NULL;
    if (g == NULL && q->member_id.len > 0) {
        call_fail(gs, c, KAFKA_UNKNOWN_MEMBER_ID);
        return;
    }
    if (g == NULL) g = groups_make(gs, c->group_id);
    if (g != NULL && g->type == GROUP_CONSUMER && consumer_is_empty(g) && !consumer_to_classic(gs, g)) g = NULL;
    if (g == NULL)
        call_fail(gs, c, KAFKA_COORDINATOR_NOT_AVAILABLE);
    else if (g->type == GROUP_CLASSIC)
        classic_join(gs, g, c);
    else
        consumer_classic_join(gs, g, c);
    if (fresh && g != NULL) drop_unused(gs, g); /* the join was refused */
}

struct member_steps { /* of an API of classic members, by the kind of group */
    void (*classic)(struct groups *gs, struct group *g, struct group_call *c);
    void (*consumer)(struct groups *gs, struct group *g, struct group_call *c);
};

static void member_call(struct groups *gs, struct group_call *c, struct member_steps steps)
{
    struct group *g = groups_find(gs, c->group_id);
    if (g == NULL)
        call_fail(gs, c, KAFKA_UNKNOWN_MEMBER_ID);
    else if (g->type == GROUP_CLASSIC)
        steps.classic(gs, g, c);
    else
        steps.consumer(gs, g, c);
}

static void heartbeat(struct groups *gs, struct group_call *c)
{
    const struct consumer_group_heartbeat_request *q = c->request;
    if (!consumer_check_request(gs, c)) return;
    struct group *g = groups_find(gs, c->group_id);
    bool made = g == NULL;
    if (g == NULL && q->member_epoch != 0) {
        call_fail(gs, c, KAFKA_GROUP_ID_NOT_FOUND);
        return;
    }
    if (g == NULL) g = groups_make(gs, c->group_id);
    if (g == NULL) {
        call_fail(gs, c, KAFKA_COORDINATOR_NOT_AVAILABLE);
        return;
    }
    consumer_heartbeat(gs, g, c);
    if (made && g->type == GROUP_CLASSIC) groups_drop(gs, g); /* refused: nothing has come of it */
}

/* ---- groups as a whole ---- */

static void describe(struct groups *gs, struct group_call *c)
{
    struct describe_groups_response_group *a = c->response;
    const struct group *g = groups_find(gs, c->group_id);
    a->group_id = c->group_id;
    if (g == NULL || g->type != GROUP_CLASSIC) {
        a->group_state = STR("Dead");
        if (c->version >= GROUP_NOT_FOUND_FROM) {
            a->error_code = KAFKA_GROUP_ID_NOT_FOUND;
            a->error_message = g == NULL ? STR("no such group") : STR("the group is not a classic group");
        }
        call_answer(gs, c);
    } else if (classic_describe(gs, g, c, a)) {
        call_answer(gs, c);
    } else {
        call_fail(gs, c, KAFKA_COORDINATOR_NOT_AVAILABLE);
    }
}

static void consumer_group_describe(struct groups *gs, struct group_call *c)
{
    struct consumer_group_describe_response_group *a = c->response;
    const struct group *g = groups_find(gs, c->group_id);
    a->group_id = c->group_id;
    if (g == NULL || g->type != GROUP_CONSUMER) {
        a->error_code = KAFKA_GROUP_ID_NOT_FOUND;
        a->error_message = g == NULL ? STR("no such group") : STR("the group is not a consumer group");
        call_answer(gs, c);
    } else if (consumer_describe(gs, g, c, a)) {
        call_answer(gs, c);
    } else {
        call_fail(gs, c, KAFKA_COORDINATOR_NOT_AVAILABLE);
    }
}

/* Members are gone already: tombstones for everything that the log says of it. */
static void put_gone(struct groups *gs, struct group *g)
{
    offsets_put_gone(gs, g);
    if (g->type == GROUP_CLASSIC)
        classic_put_gone(gs, g);
    else
        consumer_put_gone(gs, g);
}

static void delete_group(struct groups *gs, struct group_call *c)
{
    struct delete_groups_response_group *a = c->response;
    struct group *g = groups_find(gs, c->group_id);
    a->group_id = c->group_id;
    if (g == NULL) {
        a->error_code = KAFKA_GROUP_ID_NOT_FOUND;
        a->error_message = STR("no such group");
    } else if (!is_empty(g)) {
        a->error_code = KAFKA_NON_EMPTY_GROUP;
        a->error_message = STR("the group has members");
    } else {
        put_gone(gs, g);
        if (gs->status == STATUS_OK) groups_drop(gs, g);
    }
    call_answer(gs, c);
}

/* Upper and lower case are the same here, as in Apache Kafka. Without a filter everything is in. */
static bool filtered_in(const struct str *filter, int32_t count, const char *text)
{
    for (int32_t i = 0; i < count; i++)
        if ((size_t)filter[i].len == strlen(text) && strncasecmp(filter[i].data, text, strlen(text)) == 0) return true;
    return count <= 0;
}

static void list(struct groups *gs, struct group_call *c)
{
    const struct list_groups_request *q = c->request;
    struct list_groups_response *a = c->response;
    a->groups = call_zalloc(c, gs->count * sizeof *a->groups);
    if (a->groups == NULL) {
        call_fail(gs, c, KAFKA_COORDINATOR_NOT_AVAILABLE);
        return;
    }
    list_each (n, &gs->all) {
        const struct group *g = container_of(n, struct group, in_all);
        const char *type = g->type == GROUP_CLASSIC ? "classic" : "consumer", *state = state_of(g);
        if (!filtered_in(q->states_filter, q->states_filter_count, state)) continue;
        if (!filtered_in(q->types_filter, q->types_filter_count, type)) continue;
        struct list_groups_response_group *r = &a->groups[a->groups_count];
        list_groups_response_group_init(r);
        struct str protocol = g->type == GROUP_CLASSIC ? classic_protocol_type(g) : STR("consumer");
        if (!call_copy_str(c, g->id, &r->group_id) || !call_copy_str(c, protocol, &r->protocol_type)) {
            call_fail(gs, c, KAFKA_COORDINATOR_NOT_AVAILABLE);
            return;
        }
        r->group_state = (struct str){state, (int32_t)strlen(state)};
        r->group_type = (struct str){type, (int32_t)strlen(type)};
        a->groups_count++;
    }
    call_answer(gs, c);
}

static void member_sync(struct groups *gs, struct group_call *c)
{
    member_call(gs, c, (struct member_steps){classic_sync, consumer_classic_sync});
}

static void classic_member_heartbeat(struct groups *gs, struct group_call *c)
{
    member_call(gs, c, (struct member_steps){classic_heartbeat, consumer_classic_heartbeat});
}

static void leave(struct groups *gs, struct group_call *c)
{
    if (groups_find(gs, c->group_id) == NULL)
        classic_leave(gs, NULL, c); /* each member is told */
    else
        member_call(gs, c, (struct member_steps){classic_leave, consumer_classic_leave});
}

static const struct call_step {
    enum api_key api;
    void (*run)(struct groups *gs, struct group_call *c);
} call_steps[] = {
    {API_OFFSET_COMMIT, offsets_commit},
    {API_OFFSET_FETCH, offsets_fetch},
    {API_JOIN_GROUP, join},
    {API_HEARTBEAT, classic_member_heartbeat},
    {API_LEAVE_GROUP, leave},
    {API_SYNC_GROUP, member_sync},
    {API_DESCRIBE_GROUPS, describe},
    {API_LIST_GROUPS, list},
    {API_DELETE_GROUPS, delete_group},
    {API_OFFSET_DELETE, offsets_delete},
    {API_CONSUMER_GROUP_HEARTBEAT, heartbeat},
    {API_CONSUMER_GROUP_DESCRIBE, consumer_group_describe},
};

void groups_call(struct groups *gs, struct group_call *c)
{
    CHECK(!gs->loading && gs->status == STATUS_OK && !c->answered);
    size_t i = 0;
    while (call_steps[i].api != c->api) CHECK(++i < sizeof call_steps / sizeof call_steps[0]);
    call_steps[i].run(gs, c);
    CHECK(c->answered || c->holder != NULL);
}

bool groups_cancel(struct groups *gs, struct group_call *c)
{
    (void)gs;
    if (c->answered) return false;
    CHECK(c->holder != NULL && *c->holder == c);
    *c->holder = NULL;
    c->holder = NULL;
    return true;
}

/* ---- the other steps ---- */

void groups_tick(struct groups *gs, struct group *g)
{
    g->deadline = NEVER;
    if (g->type == GROUP_CLASSIC)
        classic_tick(gs, g);
    else
        consumer_tick(gs, g);
    drop_unused(gs, g); /* member ids were given out, nobody came with one */
}

/* Kafka deletes a group whose last offset goes while it has no members; one that has neither is of no use. */
void groups_expire(struct groups *gs)
{
    list_each (n, &gs->all) {
        struct group *g = container_of(n, struct group, in_all);
        offsets_expire(gs, g);
        if (!is_empty(g) || offsets_count(g) > 0) continue;
        put_gone(gs, g);
        if (gs->status == STATUS_OK) groups_drop(gs, g);
    }
}

void groups_topic_gone(struct groups *gs, struct str topic)
{
    list_each (n, &gs->all) offsets_topic_gone(gs, container_of(n, struct group, in_all), topic);
}

void groups_topics_changed(struct groups *gs, struct str topic)
{
    list_each (n, &gs->all) {
        struct group *g = container_of(n, struct group, in_all);
        if (g->type == GROUP_CONSUMER) consumer_topics_changed(gs, g, topic);
    }
}

void groups_loaded(struct groups *gs)
{
    gs->loading = false;
    list_each (n, &gs->all) {
        struct group *g = container_of(n, struct group, in_all);
        if (g->type == GROUP_CONSUMER)
            consumer_loaded(gs, g);
        else if (classic_is_simple(g) && offsets_count(g) == 0)
            groups_drop(gs, g); /* its records were followed by their tombstones */
        else
            classic_loaded(gs, g);
    }
}

void groups_stop(struct groups *gs)
{
    list_each (n, &gs->all) {
        struct group *g = container_of(n, struct group, in_all);
        if (g->type == GROUP_CLASSIC)
            classic_stop(gs, g);
        else
            consumer_stop(gs, g);
    }
}

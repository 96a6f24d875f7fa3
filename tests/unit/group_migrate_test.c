// SPDX-License-Identifier: Apache-2.0
/* Groups between the classic and the consumer protocol: members of both kinds in one group, and groups that change
 * their kind while they live. */
#include "broker/group/consumer_embedded.h"
#include "protocol/cursor.h"
#include "protocol/msg_consumer_group_describe.h"
#include "protocol/msg_consumer_protocol_assignment.h"
#include "protocol/msg_heartbeat.h"
#include "protocol/msg_join_group.h"
#include "protocol/msg_leave_group.h"
#include "protocol/msg_record_group_metadata.h"
#include "protocol/msg_sync_group.h"
#include "tests/unit/consumer_world.h"
#include <stdio.h>

#define SAYS(request, expected) ASSERT_STREQ(beat(request), expected)
#define WROTE(expected)         ASSERT_STREQ(wrote(), expected)

static char text[4096], given_id[64];
static int32_t generation; /* of the last join */

static struct str str_of(const char *s)
{
    return s != NULL ? (struct str){s, (int32_t)strlen(s)} : STR_NULL;
}

static void begin(void)
{
    world_begin();
    world_settings.first_delay_ms = 0;
    world_topic("a", 4);
    world_topic("b", 2);
}

/* A subscription of version 1 to one topic; has: numbers of it that the member has, e.g. "013". */
static struct bytes subscription(const char *topic, const char *has)
{
    static uint8_t out[256];
    static int32_t numbers[16];
    struct consumer_protocol_subscription_topic_partition t;
    struct consumer_protocol_subscription s;
    struct str name = str_of(topic);
    struct writer w;
    consumer_protocol_subscription_init(&s);
    memset(&t, 0, sizeof t);
    t.topic = name;
    t.partitions = numbers;
    for (; has[t.partitions_count] != '\0'; t.partitions_count++)
        numbers[t.partitions_count] = has[t.partitions_count] - '0';
    s.topics = &name;
    s.owned_partitions = &t;
    s.topics_count = s.owned_partitions_count = 1;
    store_be16(out, 1);
    size_t n = consumer_protocol_subscription_size(1, &s).own;
    writer_init(&w, out + 2, n, NULL, 0);
    consumer_protocol_subscription_encode(&w, 1, &s);
    CHECK_OK(writer_finish(&w));
    return (struct bytes){out, (int32_t)n + 2};
}

static const char *join(const char *id, const char *instance, const char *topic, const char *has)
{
    struct join_group_request_protocol p[2];
    struct join_group_request q;
    struct join_group_response a;
    join_group_request_init(&q);
    join_group_response_init(&a);
    for (int i = 0; i < 2; i++) join_group_request_protocol_init(&p[i]);
    p[0].name = STR("cooperative-sticky");
    p[1].name = STR("range");
    p[0].metadata = p[1].metadata = subscription(topic, has);
    q.group_id = STR(WORLD_GROUP);
    q.member_id = str_of(id);
    q.group_instance_id = str_of(instance);
    q.protocol_type = STR("consumer");
    q.protocols = p;
    q.protocols_count = 2;
    q.session_timeout_ms = 10000;
    q.rebalance_timeout_ms = 20000;
    int16_t error = world_call(API_JOIN_GROUP, 9, &q, &a);
    if (error == KAFKA_NONE) error = a.error_code;
    snprintf(given_id, sizeof given_id, "%.*s", a.member_id.len, a.member_id.data);
    generation = a.generation_id;
    if (error == KAFKA_NONE) {
        ASSERT(str_equal(a.protocol_name, STR("cooperative-sticky")) && str_equal(a.protocol_type, STR("consumer")));
        snprintf(text, sizeof text, "%d", a.generation_id);
    } else {
        snprintf(text, sizeof text, "%s", error_name(error));
    }
    return text;
}

/* A dynamic member: two calls, as clients of version 4 and later do. */
static const char *join_new(const char *topic)
{
    ASSERT_STREQ(join("", NULL, topic, ""), "MEMBER_ID_REQUIRED");
    char id[sizeof given_id];
    memcpy(id, given_id, sizeof id);
    return join(id, NULL, topic, "");
}

static const char *sync(const char *id, int32_t at)
{
    struct sync_group_request q;
    struct sync_group_response a;
    struct consumer_protocol_assignment v;
    struct cursor c;
    sync_group_request_init(&q);
    sync_group_response_init(&a);
    q.group_id = STR(WORLD_GROUP);
    q.member_id = str_of(id);
    q.generation_id = at;
    q.protocol_type = STR("consumer");
    q.protocol_name = STR("cooperative-sticky");
    int16_t error = world_call(API_SYNC_GROUP, 5, &q, &a);
    if (error == KAFKA_NONE) error = a.error_code;
    if (error != KAFKA_NONE) return error_name(error);
    ASSERT(a.assignment.len >= 2 && load_be16(a.assignment.data) == 1);
    cursor_init(&c, a.assignment.data + 2, (size_t)a.assignment.len - 2);
    ASSERT_EQ(consumer_protocol_assignment_decode(&c, world_arena(), 1, &v), STATUS_OK);
    size_t n = 0;
    text[0] = '\0';
    for (int32_t i = 0; i < v.assigned_partitions_count; i++) {
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%.*s:", i > 0 ? " " : "",
                              v.assigned_partitions[i].topic.len, v.assigned_partitions[i].topic.data);
        for (int32_t j = 0; j < v.assigned_partitions[i].partitions_count; j++)
            n += (size_t)snprintf(text + n, sizeof text - n, "%d", v.assigned_partitions[i].partitions[j]);
    }
    return text;
}

static const char *heartbeat(const char *id, int32_t at)
{
    struct heartbeat_request q;
    struct heartbeat_response a;
    heartbeat_request_init(&q);
    heartbeat_response_init(&a);
    q.group_id = STR(WORLD_GROUP);
    q.member_id = str_of(id);
    q.generation_id = at;
    int16_t error = world_call(API_HEARTBEAT, 4, &q, &a);
    return error_name(error != KAFKA_NONE ? error : a.error_code);
}

static const char *leave(const char *id, const char *instance)
{
    struct leave_group_request_member m;
    struct leave_group_request q;
    struct leave_group_response a;
    leave_group_request_member_init(&m);
    leave_group_request_init(&q);
    leave_group_response_init(&a);
    q.group_id = STR(WORLD_GROUP);
    m.member_id = str_of(id);
    m.group_instance_id = str_of(instance);
    q.members = &m;
    q.members_count = 1;
    int16_t error = world_call(API_LEAVE_GROUP, 5, &q, &a);
    return error_name(error != KAFKA_NONE ? error : a.members[0].error_code);
}

/* ---- classic members in a consumer group ---- */

static void a_classic_member_joins(void)
{
    begin();
    SAYS("m1 join topics=a", "2 a:0,1,2,3");
    ASSERT_STREQ(join_new("a"), "3");
    char id[sizeof given_id];
    memcpy(id, given_id, sizeof id);
    ASSERT_EQ(strlen(id), 22);
    ASSERT_STREQ(sync(id, 3), ""); /* all are still with m1 */
    ASSERT_STREQ(heartbeat(id, 3), "NONE");
    SAYS("m1 epoch=2", "2 a:0,1");
    ASSERT_STREQ(heartbeat(id, 3), "NONE"); /* to join again would not help yet */
    SAYS("m1 epoch=2 has=a:0,1", "3");
    ASSERT_STREQ(heartbeat(id, 3), "REBALANCE_IN_PROGRESS");
    ASSERT_STREQ(join(id, NULL, "a", ""), "3");
    ASSERT_STREQ(sync(id, 3), "a:23");
    ASSERT_STREQ(heartbeat(id, 3), "NONE");
    ASSERT_STREQ(heartbeat(id, 2), "ILLEGAL_GENERATION");
    ASSERT_STREQ(heartbeat("m1", 3), "UNKNOWN_MEMBER_ID"); /* it speaks the other protocol */
    ASSERT_STREQ(sync("m1", 3), "UNKNOWN_MEMBER_ID");
    ASSERT_STREQ(sync(id, 2), "ILLEGAL_GENERATION");
    world_end();
}

static void a_classic_member_gives_up(void)
{
    begin();
    SAYS("m1 join topics=b", "2 b:0,1");
    ASSERT_STREQ(join_new("a"), "3");
    char id[sizeof given_id];
    memcpy(id, given_id, sizeof id);
    ASSERT_STREQ(sync(id, 3), "a:0123");
    SAYS("m2 join topics=a", "4 nothing");
    ASSERT_STREQ(heartbeat(id, 3), "REBALANCE_IN_PROGRESS");
    ASSERT_STREQ(sync(id, 3), "REBALANCE_IN_PROGRESS");
    ASSERT_STREQ(join(id, NULL, "a", "0123"), "3"); /* told to give up two of them: still its old epoch */
    ASSERT_STREQ(sync(id, 3), "a:01");
    ASSERT_STREQ(heartbeat(id, 3), "REBALANCE_IN_PROGRESS");
    SAYS("m2 epoch=4", "4");
    ASSERT_STREQ(join(id, NULL, "a", "01"), "4");
    ASSERT_STREQ(sync(id, 4), "a:01");
    ASSERT_STREQ(heartbeat(id, 4), "NONE");
    SAYS("m2 epoch=4", "4 a:2,3");
    world_end();
}

static void classic_members_have_time_limits(void)
{
    begin();
    SAYS("m1 join topics=b", "2 b:0,1");
    ASSERT_STREQ(join_new("a"), "3");
    world_later(10000); /* its session */
    ASSERT_EQ(world_group()->consumer->member_count, 1);
    ASSERT_STREQ(join_new("a"), "5");
    char id[sizeof given_id];
    memcpy(id, given_id, sizeof id);
    for (int i = 0; i < 4; i++) { /* alive, but it never syncs */
        world_later(4999);
        ASSERT_STREQ(heartbeat(id, 5), "NONE");
        SAYS("m1 join topics=b", "5 b:0,1");
    }
    world_later(5);
    ASSERT_STREQ(heartbeat(id, 5), "UNKNOWN_MEMBER_ID");
    ASSERT_STREQ(join_new("a"), "7");
    memcpy(id, given_id, sizeof id);
    ASSERT_STREQ(sync(id, 7), "a:0123");
    SAYS("m2 join topics=a", "8 nothing");
    for (int i = 0; i < 4; i++) { /* told to join again, it does not */
        ASSERT_STREQ(heartbeat(id, 7), "REBALANCE_IN_PROGRESS");
        world_later(4999);
    }
    world_later(5);
    ASSERT_STREQ(heartbeat(id, 7), "UNKNOWN_MEMBER_ID");
    world_end();
}

static void policy_and_protocols(void)
{
    begin();
    SAYS("m1 join topics=a", "2 a:0,1,2,3");
    world_settings.migration = MIGRATION_DISABLED;
    ASSERT_STREQ(join("", NULL, "a", ""), "INCONSISTENT_GROUP_PROTOCOL");
    world_settings.migration = MIGRATION_BIDIRECTIONAL;
    world_settings.consumer_size_max = 1;
    ASSERT_STREQ(join("", NULL, "a", ""), "GROUP_MAX_SIZE_REACHED");
    ASSERT_STREQ(leave("nobody", NULL), "UNKNOWN_MEMBER_ID");
    ASSERT_STREQ(join("x", "i", "a", ""), "GROUP_MAX_SIZE_REACHED");
    world_settings.consumer_size_max = 10;
    ASSERT_STREQ(join("x", "i", "a", ""), "UNKNOWN_MEMBER_ID"); /* a static member without an id comes first */
    ASSERT_EQ(world_group()->consumer->member_count, 1);
    world_end();
}

static void members_change_their_protocol(void)
{
    begin();
    SAYS("m1 join topics=a", "2 a:0,1,2,3");
    SAYS("m2 join topics=b", "3 b:0,1");
    ASSERT_STREQ(join("", "i", "a", ""), "4");
    char id[sizeof given_id];
    memcpy(id, given_id, sizeof id);
    ASSERT_STREQ(sync(id, 4), ""); /* all are still with m1 */
    ASSERT_EQ(world_group()->consumer->classic_count, 1);
    ASSERT_STREQ(join("other", "i", "a", ""), "FENCED_INSTANCE_ID");
    ASSERT_STREQ(join("", "i", "a", ""), "4"); /* another process with this instance */
    ASSERT(strcmp(given_id, id) != 0);
    SAYS("n1 join topics=a instance=i", "4 nothing"); /* and now by the consumer protocol */
    ASSERT_EQ(world_group()->consumer->classic_count, 0);
    ASSERT_EQ(world_group()->consumer->member_count, 3);
    SAYS("m1 epoch=2 has=a:0,1,2,3", "2 a:0,1");
    SAYS("m1 epoch=2 has=a:0,1", "4");
    SAYS("n1 epoch=4 instance=i", "4 a:2,3");
    world_end();
}

/* ---- a group that becomes another one ---- */

static void empty_groups_change_at_once(void)
{
    begin();
    ASSERT_STREQ(join_new("a"), "1");
    char id[sizeof given_id];
    memcpy(id, given_id, sizeof id);
    ASSERT_STREQ(leave(id, NULL), "NONE");
    (void)wrote();
    SAYS("m1 join topics=a", "2 a:0,1,2,3");
    WROTE("2- 5 3 7 6 8");
    SAYS("m1 leave", "-1");
    (void)wrote();
    ASSERT_STREQ(join_new("a"), "1");
    WROTE("6- 4- 3-");
    ASSERT_EQ(world_group()->type, GROUP_CLASSIC);
    world_end();
}

/* A stable classic group of one member with all of topic a; its id in `id`. */
static void live_classic_group(char id[sizeof given_id])
{
    struct sync_group_request_assignment of;
    struct sync_group_request q;
    struct sync_group_response a;
    struct parts all;
    ASSERT_STREQ(join_new("a"), "1");
    memcpy(id, given_id, sizeof given_id);
    sync_group_request_init(&q);
    sync_group_response_init(&a);
    sync_group_request_assignment_init(&of);
    struct arena arena;
    arena_init(&arena, world.mem, MEM_CONTROL, 1 << 20);
    CHECK(parts_alloc(&arena, 4, &all));
    for (int32_t i = 0; i < 4; i++) all.all[all.count++] = (struct part_of){world_topic_id("a"), i, 0};
    of.member_id = str_of(id);
    CHECK(assignment_write(&world, &arena, &all, subscription("a", ""), &of.assignment));
    q.group_id = STR(WORLD_GROUP);
    q.member_id = of.member_id;
    q.generation_id = 1;
    q.assignments = &of;
    q.assignments_count = 1;
    q.protocol_type = STR("consumer");
    q.protocol_name = STR("cooperative-sticky");
    ASSERT_EQ(world_call(API_SYNC_GROUP, 5, &q, &a), KAFKA_NONE);
    ASSERT_EQ(a.error_code, KAFKA_NONE);
    arena_deinit(&arena);
}

static void a_live_classic_group_is_upgraded_and_comes_back(void)
{
    char id[sizeof given_id];
    begin();
    live_classic_group(id);
    (void)wrote();
    SAYS("m1 join topics=a", "2 nothing");
    WROTE("2- 5 3 7 6 8 5 3 7 7 6 8");
    ASSERT_EQ(world_group()->type, GROUP_CONSUMER);
    ASSERT_STREQ(heartbeat(id, 1), "REBALANCE_IN_PROGRESS");
    ASSERT_STREQ(join(id, NULL, "a", "0123"), "1");
    ASSERT_STREQ(sync(id, 1), "a:01");
    ASSERT_STREQ(join(id, NULL, "a", "01"), "2");
    ASSERT_STREQ(sync(id, 2), "a:01");
    SAYS("m1 epoch=2", "2 a:2,3");
    (void)wrote();
    SAYS("m1 leave", "-1"); /* the last one of the consumer protocol */
    WROTE("8- 8- 7- 7- 6- 5- 5- 4- 3- 2");
    ASSERT_EQ(world_group()->type, GROUP_CLASSIC);
    ASSERT_STREQ(heartbeat(id, 2), "REBALANCE_IN_PROGRESS");
    ASSERT_STREQ(join(id, NULL, "a", "01"), "3");
    world_end();
}

static void a_static_consumer_becomes_the_last_classic_one(void)
{
    begin();
    SAYS("m1 join topics=a instance=i", "2 a:0,1,2,3");
    SAYS("m1 leave-static instance=i", "-2");
    ASSERT_STREQ(join("", "i", "a", ""), "2"); /* it comes back by the classic protocol: no other is here */
    ASSERT_EQ(world_group()->type, GROUP_CLASSIC);
    char id[sizeof given_id];
    memcpy(id, given_id, sizeof id);
    ASSERT_STREQ(sync(id, 2), "a:0123");
    world_end();
}

static void groups_that_may_not_change(void)
{
    char id[sizeof given_id];
    begin();
    live_classic_group(id);
    (void)wrote();
    world_settings.migration = MIGRATION_DOWNGRADE;
    SAYS("m1 join topics=a", "GROUP_ID_NOT_FOUND");
    world_settings.migration = MIGRATION_UPGRADE;
    SAYS("m1 epoch=1", "GROUP_ID_NOT_FOUND");
    SAYS("m1 join regex=(", "INVALID_REGULAR_EXPRESSION");
    WROTE("");
    ASSERT_STREQ(heartbeat(id, 1), "NONE");
    SAYS("m1 join topics=a", "2 nothing");
    SAYS("m1 leave", "-1"); /* no downgrade: a consumer group of classic members */
    ASSERT_EQ(world_group()->type, GROUP_CONSUMER);
    ASSERT_EQ(world_group()->consumer->classic_count, 1);
    ASSERT_STREQ(heartbeat(id, 1), "REBALANCE_IN_PROGRESS");
    ASSERT_STREQ(join(id, NULL, "a", "0123"), "3");
    ASSERT_STREQ(sync(id, 3), "a:0123");
    ASSERT_STREQ(leave(id, NULL), "NONE");
    ASSERT_STREQ(consumer_state(world_group()), "Empty");
    world_end();
}

static void replays_with_classic_members(void)
{
    char id[sizeof given_id];
    begin();
    live_classic_group(id);
    SAYS("m1 join topics=a", "2 nothing");
    world_restart();
    ASSERT_STREQ(join(id, NULL, "a", "0123"), "1");
    world_restart();
    ASSERT_STREQ(join(id, NULL, "a", "01"), "2");
    SAYS("m1 leave", "-1");
    world_restart();
    ASSERT_EQ(world_group()->type, GROUP_CLASSIC);
    world_end();
}

TEST_MAIN("group migrate", {"a classic member joins", a_classic_member_joins},
          {"a classic member gives up", a_classic_member_gives_up},
          {"classic members have time limits", classic_members_have_time_limits},
          {"policy and protocols", policy_and_protocols},
          {"members change their protocol", members_change_their_protocol},
          {"empty groups change at once", empty_groups_change_at_once},
          {"a live classic group is upgraded and comes back", a_live_classic_group_is_upgraded_and_comes_back},
          {"a static consumer becomes the last classic one", a_static_consumer_becomes_the_last_classic_one},
          {"groups that may not change", groups_that_may_not_change},
          {"replays with classic members", replays_with_classic_members})

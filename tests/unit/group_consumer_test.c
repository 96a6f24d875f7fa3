// SPDX-License-Identifier: Apache-2.0
/* Consumer groups (KIP-848), one rule a case: what a member asks, what it is told, what the log says of it. */
#include "protocol/msg_consumer_group_describe.h"
#include "protocol/msg_offset_commit.h"
#include "protocol/msg_offset_fetch.h"
#include "tests/unit/consumer_world.h"
#include <stdio.h>

#define SAYS(request, expected) ASSERT_STREQ(beat(request), expected)
#define WROTE(expected)         ASSERT_STREQ(wrote(), expected)

static void begin(void)
{
    world_begin();
    world_topic("a", 4);
    world_topic("b", 2);
}

/* ---- join, stay, leave ---- */

static void one_member_gets_all(void)
{
    begin();
    SAYS("m1 join topics=a", "2 a:0,1,2,3");
    WROTE("5 3 7 6 8");
    SAYS("m1 epoch=2", "2"); /* nothing is new */
    SAYS("m1 epoch=2 has=a:0,1,2,3", "2");
    SAYS("m1 epoch=2 timeout=60000 topics=a has=a:0,1,2,3", "2 a:0,1,2,3"); /* a full request is told all */
    WROTE("");
    SAYS("m1 leave", "-1");
    WROTE("8- 7- 5- 3 6");
    ASSERT_STREQ(consumer_state(world_group()), "Empty");
    world_end();
}

static void second_member_waits_for_the_first(void)
{
    begin();
    SAYS("m1 join topics=a", "2 a:0,1,2,3");
    SAYS("m2 join topics=a", "3 nothing"); /* all are still with m1 */
    SAYS("m2 epoch=3", "3");
    SAYS("m1 epoch=2", "2 a:0,1"); /* told to give up 2 and 3, stays at its epoch */
    SAYS("m1 epoch=2 has=a:0,1,2,3", "2");
    SAYS("m2 epoch=3", "3");
    SAYS("m1 epoch=2 has=a:0,1", "3"); /* it has: the new epoch is its own */
    SAYS("m2 epoch=3", "3 a:2,3");
    ASSERT_STREQ(consumer_state(world_group()), "Stable");
    world_end();
}

static void partitions_of_a_member_that_left_are_free(void)
{
    begin();
    SAYS("m1 join topics=a", "2 a:0,1,2,3");
    SAYS("m2 join topics=a", "3 nothing");
    SAYS("m1 leave", "-1");
    SAYS("m2 epoch=3", "4 a:0,1,2,3");
    world_end();
}

static void unknown_members_and_epochs(void)
{
    begin();
    SAYS("m1 epoch=1", "GROUP_ID_NOT_FOUND");
    SAYS("m1 leave", "GROUP_ID_NOT_FOUND");
    ASSERT(world_group() == NULL);
    SAYS("m1 join topics=a", "2 a:0,1,2,3");
    SAYS("m2 epoch=2", "UNKNOWN_MEMBER_ID");
    SAYS("m2 leave", "UNKNOWN_MEMBER_ID");
    SAYS("m1 epoch=3", "FENCED_MEMBER_EPOCH");
    SAYS("m1 epoch=1", "FENCED_MEMBER_EPOCH");
    world_end();
}

/* The response with the new epoch was lost. */
static void previous_epoch_is_fine_if_it_claims_no_more(void)
{
    begin();
    SAYS("m1 join topics=a", "2 a:0,1,2,3");
    SAYS("m2 join topics=a", "3 nothing");
    SAYS("m1 epoch=2", "2 a:0,1");
    SAYS("m1 epoch=2 has=a:0,1", "3");
    SAYS("m1 epoch=2", "FENCED_MEMBER_EPOCH"); /* it does not say what it has */
    SAYS("m1 epoch=2 has=a:0,1,2", "FENCED_MEMBER_EPOCH");
    SAYS("m1 epoch=2 has=a:0,1", "3");
    world_end();
}

static void joining_again_gives_up_nothing(void)
{
    begin();
    SAYS("m1 join topics=a", "2 a:0,1,2,3");
    SAYS("m1 join topics=a", "2 a:0,1,2,3");
    SAYS("m2 join topics=a", "3 nothing");
    SAYS("m1 join topics=a", "3 a:0,1"); /* it has none, it says: 2 and 3 are free at once */
    SAYS("m2 epoch=3", "3 a:2,3");
    world_end();
}

static void version_0_gets_an_id(void)
{
    begin();
    SAYS("- join topics=a v0", "2 a:0,1,2,3");
    ASSERT_EQ(strlen(world_member_id()), 22); /* a uuid in base 64 */
    SAYS("- join topics=a", "INVALID_REQUEST");
    world_end();
}

static void requests_that_cannot_be(void)
{
    static const char *const cases[] = {
        "- epoch=1 v0",
        "  epoch=1",
        "m1 join",
        "m1 epoch=0 topics=a has=",
        "m1 epoch=0 timeout=1 topics=a",
        "m1 epoch=0 timeout=1 topics=a has=a:0",
        "m1 leave-static",
        "m1 epoch=-3",
        "m1 join topics=a instance=",
        "m1 join topics=a rack=",
        "m1 join "
        "topics=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaa"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    };
    begin();
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        if (i == 1) continue; /* an id of blanks cannot be written here */
        SAYS(cases[i], "INVALID_REQUEST");
    }
    SAYS("m1 join topics=a assignor=sticky", "UNSUPPORTED_ASSIGNOR");
    ASSERT(world_group() == NULL);
    WROTE("");
    world_end();
}

static void a_full_group(void)
{
    begin();
    world_settings.consumer_size_max = 1;
    SAYS("m1 join topics=a instance=i", "2 a:0,1,2,3");
    SAYS("m2 join topics=a", "GROUP_MAX_SIZE_REACHED");
    SAYS("m1 epoch=2 instance=i", "2");
    SAYS("m1 leave-static instance=i", "-2");
    SAYS("m2 join topics=a instance=i", "2 a:0,1,2,3"); /* takes the place of m1 */
    world_end();
}

/* ---- subscriptions, topics, assignors ---- */

static void subscription_changes_make_an_epoch(void)
{
    begin();
    SAYS("m1 join topics=a", "2 a:0,1,2,3");
    WROTE("5 3 7 6 8");
    SAYS("m1 epoch=2 topics=a", "2");
    WROTE("");
    SAYS("m1 epoch=2 topics=b,a", "3 a:0,1,2,3 b:0,1");
    WROTE("5 3 7 6 8");
    SAYS("m1 epoch=3 topics=b", "3 b:0,1"); /* what it no longer wants is taken at once */
    SAYS("m1 epoch=3 has=b:0,1", "4");
    SAYS("m1 epoch=4 rack=r timeout=5000", "4"); /* no other partitions by that */
    world_end();
}

static void topics_that_come_and_go(void)
{
    begin();
    SAYS("m1 join topics=a,c", "2 a:0,1,2,3");
    world_topic("c", 2);
    SAYS("m1 epoch=2", "3 a:0,1,2,3 c:0,1");
    WROTE("5 3 7 6 8 3 7 6 8");
    world_topic("c", 3);
    SAYS("m1 epoch=3", "4 a:0,1,2,3 c:0,1,2");
    world_topic("d", 1); /* nobody subscribes to it */
    SAYS("m1 epoch=4", "4");
    world_topic_gone("a");
    SAYS("m1 epoch=4", "4 c:0,1,2");
    SAYS("m1 epoch=4 has=c:0,1,2", "5");
    world_end();
}

static void assignments_have_an_interval(void)
{
    begin();
    world_settings.consumer_assignment_ms = 1000;
    SAYS("m1 join topics=a", "2 a:0,1,2,3"); /* the first one comes at once */
    SAYS("m2 join topics=a", "2 nothing");   /* group epoch 3; its assignment is not due */
    ASSERT_STREQ(consumer_state(world_group()), "Assigning");
    world_later(999);
    SAYS("m1 epoch=2", "2");
    world_later(1);
    SAYS("m1 epoch=2", "2 a:0,1");
    SAYS("m2 epoch=2", "3");
    world_end();
}

static void most_members_choose_the_assignor(void)
{
    begin();
    SAYS("m1 join topics=a,b assignor=range", "2 a:0,1,2,3 b:0,1");
    SAYS("m2 join topics=a,b", "3 nothing");
    SAYS("m1 epoch=2", "2 a:0,1 b:0"); /* range: half of each */
    SAYS("m1 epoch=2 has=a:0,1;b:0", "3");
    SAYS("m2 epoch=3", "3 a:2,3 b:1");
    SAYS("m2 epoch=3 assignor=uniform", "4"); /* a draw: uniform; a new epoch, the same partitions */
    world_end();
}

/* ---- time ---- */

static void sessions_end(void)
{
    begin();
    SAYS("m1 join topics=a", "2 a:0,1,2,3");
    SAYS("m2 join topics=a", "3 nothing");
    world_later(44000);
    SAYS("m2 epoch=3", "3");
    world_later(1000);
    SAYS("m1 epoch=2", "UNKNOWN_MEMBER_ID");
    SAYS("m2 epoch=3", "4 a:0,1,2,3");
    world_later(45000);
    ASSERT_STREQ(consumer_state(world_group()), "Empty");
    ASSERT(world_group()->deadline.v == NEVER.v);
    world_end();
}

static void who_does_not_give_up_in_time_is_fenced(void)
{
    begin();
    SAYS("m1 join topics=a timeout=8000", "2 a:0,1,2,3");
    SAYS("m2 join topics=a", "3 nothing");
    SAYS("m1 epoch=2", "2 a:0,1");
    world_later(7999);
    SAYS("m1 epoch=2 has=a:0,1,2,3", "2"); /* alive, but it holds on */
    world_later(1);
    SAYS("m1 epoch=2 has=a:0,1,2,3", "UNKNOWN_MEMBER_ID");
    SAYS("m2 epoch=3", "4 a:0,1,2,3");
    world_end();
}

static void who_gives_up_in_time_is_not(void)
{
    begin();
    SAYS("m1 join topics=a timeout=8000", "2 a:0,1,2,3");
    SAYS("m2 join topics=a", "3 nothing");
    SAYS("m1 epoch=2", "2 a:0,1");
    world_later(7999);
    SAYS("m1 epoch=2 has=a:0,1", "3");
    world_later(8000);
    SAYS("m1 epoch=3", "3");
    world_end();
}

static void sessions_begin_anew_after_a_load(void)
{
    begin();
    SAYS("m1 join topics=a timeout=20000", "2 a:0,1,2,3");
    SAYS("m2 join topics=a", "3 nothing");
    SAYS("m1 epoch=2", "2 a:0,1");
    world_later(19000);
    world_restart();
    world_later(19000); /* the rebalance timeout as well */
    SAYS("m2 epoch=3", "3");
    SAYS("m1 epoch=2", "2");
    world_later(1000);
    SAYS("m1 epoch=2", "UNKNOWN_MEMBER_ID");
    world_end();
}

/* ---- static members ---- */

static void static_member_comes_back(void)
{
    begin();
    SAYS("m1 join topics=a instance=i", "2 a:0,1,2,3");
    SAYS("m2 join topics=a instance=i", "UNRELEASED_INSTANCE_ID");
    SAYS("m2 epoch=2 instance=i", "FENCED_INSTANCE_ID");
    SAYS("m2 leave instance=i", "FENCED_INSTANCE_ID");
    SAYS("m2 epoch=2 instance=j", "UNKNOWN_MEMBER_ID");
    (void)wrote();
    SAYS("m1 leave-static instance=i", "-2");
    WROTE("8");
    SAYS("m3 join topics=a", "3 nothing"); /* they stay reserved */
    (void)wrote();
    SAYS("m2 join topics=a instance=i", "3 a:0,1"); /* another process with the same instance */
    WROTE("8- 7- 5- 5 7 8 8");
    SAYS("m1 epoch=2 instance=i", "FENCED_INSTANCE_ID");
    SAYS("m3 epoch=3", "3 a:2,3");
    SAYS("m2 leave instance=i", "-1");
    SAYS("m3 epoch=3", "4 a:0,1,2,3");
    world_end();
}

static void static_member_does_not_come_back(void)
{
    begin();
    SAYS("m1 join topics=a instance=i", "2 a:0,1,2,3");
    SAYS("m1 leave-static instance=i", "-2");
    world_later(44999);
    ASSERT_EQ(world_group()->consumer->member_count, 1);
    world_later(1);
    ASSERT_EQ(world_group()->consumer->member_count, 0);
    world_end();
}

static void static_member_with_partitions_to_give_up_leaves(void)
{
    begin();
    SAYS("m1 join topics=a instance=i timeout=5000", "2 a:0,1,2,3");
    SAYS("m2 join topics=a", "3 nothing");
    SAYS("m1 epoch=2 instance=i", "2 a:0,1");
    SAYS("m1 leave-static instance=i", "-2");
    SAYS("m2 epoch=3", "3 a:2,3"); /* what it was to give up is free */
    world_later(5000);             /* the rebalance timeout was of an epoch that it left */
    ASSERT_EQ(world_group()->consumer->member_count, 2);
    SAYS("m3 join topics=a instance=i", "3 a:0,1");
    world_end();
}

/* ---- regular expressions ---- */

static void an_expression_is_looked_up_at_once(void)
{
    begin();
    world_topic("orders.v1", 1);
    world_topic("orders.v2", 1);
    world_topic("__consumer_offsets", 1);
    SAYS("m1 join topics= regex=orders\\..*", "2 orders.v1:0 orders.v2:0");
    WROTE("5 16 3 7 6 8");
    SAYS("m1 epoch=2", "2");
    SAYS("m1 epoch=2 regex=orders\\..*", "2");
    WROTE("");
    SAYS("m1 epoch=2 topics=b", "3 b:0,1 orders.v1:0 orders.v2:0");
    SAYS("m1 epoch=3 regex=orders\\.v1", "3 b:0,1 orders.v1:0");
    SAYS("m1 epoch=3 regex= has=b:0,1;orders.v1:0", "3 b:0,1");
    SAYS("m1 epoch=3 has=b:0,1", "5");
    SAYS("m1 epoch=5 topics= regex=.*offsets", "5 nothing");
    SAYS("m1 epoch=5 has=", "6 __consumer_offsets:0"); /* as Apache Kafka: internal topics are topics */
    SAYS("m1 leave", "-1");
    ASSERT(list_empty(&world_group()->consumer->all_regexes));
    world_end();
}

static void members_share_an_expression(void)
{
    begin();
    SAYS("m1 join regex=a|b", "2 a:0,1,2,3 b:0,1");
    (void)wrote();
    SAYS("m2 join regex=a|b", "3 nothing");
    WROTE("5 3 7 7 6 8");
    SAYS("m1 leave", "-1");
    WROTE("8- 7- 5- 3");
    SAYS("m2 leave", "-1");
    WROTE("8- 7- 5- 16- 3 6");
    world_end();
}

static void expressions_that_are_none(void)
{
    char request[64];
    begin();
    SAYS("m1 join regex=(", "INVALID_REGULAR_EXPRESSION");
    SAYS("m1 join regex=(?=a)", "INVALID_REGULAR_EXPRESSION");
    ASSERT(world_group() == NULL);
    for (int i = 0; i <= REGEXES_MAX; i++) {
        snprintf(request, sizeof request, "m%d join regex=x%d", i, i);
        (void)beat(request);
    }
    ASSERT_EQ(world_group()->consumer->member_count, REGEXES_MAX);
    SAYS("m1 epoch=1 regex=(", "INVALID_REGULAR_EXPRESSION");
    SAYS("m1 epoch=1", "1"); /* no topic matches: no epoch but the first, and nothing was changed */
    world_end();
}

static void topics_that_come_match_a_little_later(void)
{
    begin();
    SAYS("m1 join regex=t.*", "1 nothing");
    world_topic("t1", 1);
    SAYS("m1 epoch=1", "1"); /* the last look at all topics is not 10 s ago */
    world_later(10001);
    SAYS("m1 epoch=1", "2 t1:0");
    world_topic("t1", 2); /* known already: no look at all topics, but more partitions */
    SAYS("m1 epoch=2", "3 t1:0,1");
    world_topic("c", 1);
    world_later(10001);
    (void)wrote();
    SAYS("m1 epoch=3", "3"); /* looked; nothing is new */
    WROTE("16");
    world_later(10001);
    SAYS("m1 epoch=3", "3");
    WROTE("");
    world_end();
}

static void a_load_looks_again(void)
{
    begin();
    SAYS("m1 join regex=t.*", "1 nothing");
    world_topic("t1", 1);
    world_restart();
    world_later(10001);
    SAYS("m1 epoch=1", "2 t1:0");
    world_end();
}

/* ---- what others may ask ---- */

static struct consumer_group_describe_response_group described;

static const struct consumer_group_describe_response_group *describe(void)
{
    consumer_group_describe_response_group_init(&described);
    ASSERT_EQ(world_call(API_CONSUMER_GROUP_DESCRIBE, 1, NULL, &described), KAFKA_NONE);
    return &described;
}

static void a_group_is_described(void)
{
    begin();
    ASSERT_EQ(describe()->error_code, KAFKA_GROUP_ID_NOT_FOUND);
    SAYS("m1 join topics=b,a regex=b rack=r instance=i", "2 a:0,1,2,3 b:0,1");
    SAYS("m2 join topics=b,a assignor=range", "3 nothing");
    SAYS("m1 epoch=2 instance=i", "2 a:0,1 b:0");
    const struct consumer_group_describe_response_group *d = describe();
    ASSERT(d->error_code == KAFKA_NONE && d->group_epoch == 3 && d->assignment_epoch == 3 && d->members_count == 2);
    ASSERT(str_equal(d->group_state, STR("Reconciling")) && str_equal(d->assignor_name, STR("range")));
    const struct consumer_group_describe_response_member *m = &d->members[0];
    ASSERT(str_equal(m->member_id, STR("m1")) && str_equal(m->rack_id, STR("r")) &&
           str_equal(m->instance_id, STR("i")));
    ASSERT(m->member_epoch == 2 && m->member_type == 1 && str_equal(m->client_id, STR("client")));
    ASSERT(m->subscribed_topic_names_count == 2 && str_equal(m->subscribed_topic_names[0], STR("a")));
    ASSERT(str_equal(m->subscribed_topic_regex, STR("b")));
    ASSERT_EQ(m->assignment.topic_partitions_count, 2); /* what it has to give up counts as well */
    ASSERT(m->assignment.topic_partitions[0].partitions_count + m->assignment.topic_partitions[1].partitions_count ==
           6);
    ASSERT_EQ(m->target_assignment.topic_partitions_count, 2);
    ASSERT(m->target_assignment.topic_partitions[0].topic_name.len == 1);
    SAYS("m1 leave instance=i", "-1");
    SAYS("m2 leave", "-1");
    ASSERT(str_equal(describe()->group_state, STR("Empty")));
    world_end();
}

static const char *commit(const char *member, int32_t epoch, int32_t partition, int16_t version)
{
    struct offset_commit_request_partition p;
    struct offset_commit_request_topic t;
    struct offset_commit_request q;
    struct offset_commit_response a;
    offset_commit_request_partition_init(&p);
    offset_commit_request_topic_init(&t);
    offset_commit_request_init(&q);
    offset_commit_response_init(&a);
    p.partition_index = partition;
    t.name = STR("a");
    t.topic_id = world_topic_id("a");
    t.partitions = &p;
    q.topics = &t;
    t.partitions_count = q.topics_count = 1;
    q.group_id = STR(WORLD_GROUP);
    q.member_id = (struct str){member, (int32_t)strlen(member)};
    q.generation_id_or_member_epoch = epoch;
    int16_t error = world_call(API_OFFSET_COMMIT, version, &q, &a);
    return error_name(error != KAFKA_NONE ? error : a.topics[0].partitions[0].error_code);
}

static void who_may_commit(void)
{
    begin();
    ASSERT_STREQ(commit("m1", 1, 0, 9), "GROUP_ID_NOT_FOUND");
    ASSERT_STREQ(commit("", -1, 0, 9), "NONE"); /* a group for its offsets */
    SAYS("m1 join topics=a", "2 a:0,1,2,3");    /* which becomes a consumer group */
    ASSERT_STREQ(commit("m1", 2, 0, 9), "NONE");
    ASSERT_STREQ(commit("m1", 2, 0, 8), "UNSUPPORTED_VERSION");
    ASSERT_STREQ(commit("m1", 3, 0, 9), "STALE_MEMBER_EPOCH");
    ASSERT_STREQ(commit("m2", 2, 0, 9), "UNKNOWN_MEMBER_ID");
    ASSERT_STREQ(commit("", -1, 0, 9), "UNKNOWN_MEMBER_ID");
    SAYS("m2 join topics=a", "3 nothing");
    SAYS("m1 epoch=2", "2 a:0,1");
    ASSERT_STREQ(commit("m1", 2, 3, 9), "NONE"); /* before it gives it up */
    SAYS("m1 epoch=2 has=a:0,1", "3");
    ASSERT_STREQ(commit("m1", 2, 1, 9), "NONE"); /* it has had this one since epoch 2 */
    ASSERT_STREQ(commit("m1", 2, 3, 9), "STALE_MEMBER_EPOCH");
    ASSERT_STREQ(commit("m1", 1, 1, 9), "STALE_MEMBER_EPOCH");
    SAYS("m1 leave", "-1");
    SAYS("m2 leave", "-1");
    ASSERT_STREQ(commit("", -1, 0, 9), "NONE");
    world_end();
}

static const char *fetch(struct str member, int32_t epoch)
{
    struct offset_fetch_request_group q;
    struct offset_fetch_response_group a;
    offset_fetch_request_group_init(&q);
    offset_fetch_response_group_init(&a);
    q.group_id = STR(WORLD_GROUP);
    q.member_id = member;
    q.member_epoch = epoch;
    q.topics_count = -1;
    return error_name(world_call(API_OFFSET_FETCH, 9, &q, &a));
}

static void who_may_fetch_offsets(void)
{
    begin();
    SAYS("m1 join topics=a", "2 a:0,1,2,3");
    ASSERT_STREQ(fetch(STR_NULL, -1), "NONE");
    ASSERT_STREQ(fetch(STR("m1"), 2), "NONE");
    ASSERT_STREQ(fetch(STR("m1"), 1), "STALE_MEMBER_EPOCH");
    ASSERT_STREQ(fetch(STR("m2"), 2), "UNKNOWN_MEMBER_ID");
    world_end();
}

TEST_MAIN("group consumer", {"one member gets all", one_member_gets_all},
          {"a second member waits for the first", second_member_waits_for_the_first},
          {"partitions of a member that left are free", partitions_of_a_member_that_left_are_free},
          {"unknown members and epochs", unknown_members_and_epochs},
          {"the previous epoch is fine if it claims no more", previous_epoch_is_fine_if_it_claims_no_more},
          {"joining again gives up nothing", joining_again_gives_up_nothing},
          {"version 0 gets an id", version_0_gets_an_id}, {"requests that cannot be", requests_that_cannot_be},
          {"a full group", a_full_group}, {"subscription changes make an epoch", subscription_changes_make_an_epoch},
          {"topics that come and go", topics_that_come_and_go},
          {"assignments have an interval", assignments_have_an_interval},
          {"most members choose the assignor", most_members_choose_the_assignor}, {"sessions end", sessions_end},
          {"who does not give up in time is fenced", who_does_not_give_up_in_time_is_fenced},
          {"who gives up in time is not", who_gives_up_in_time_is_not},
          {"sessions begin anew after a load", sessions_begin_anew_after_a_load},
          {"a static member comes back", static_member_comes_back},
          {"a static member does not come back", static_member_does_not_come_back},
          {"a static member with partitions to give up leaves", static_member_with_partitions_to_give_up_leaves},
          {"an expression is looked up at once", an_expression_is_looked_up_at_once},
          {"members share an expression", members_share_an_expression},
          {"expressions that are none", expressions_that_are_none},
          {"topics that come match a little later", topics_that_come_match_a_little_later},
          {"a load looks again", a_load_looks_again}, {"a group is described", a_group_is_described},
          {"who may commit", who_may_commit}, {"who may fetch offsets", who_may_fetch_offsets})

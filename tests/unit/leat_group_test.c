// SPDX-License-Identifier: Apache-2.0
/* libleat's consumer groups: the list over all brokers, both kinds of groups, offsets asked and set, a coordinator that
 * moves, loads, is away or loses answers. */
#include "clients/c/leat.h"
#include "tests/unit/check_main.h"
#include "tests/unit/fake_broker.h"

static struct fake_broker broker;
static struct leat_client *client;
static struct leat_error e;

/* "classic" at node 1 without members, "moved" at node 2, "new" (assigned by the broker, two members) at node 0. */
static void begin(void)
{
    struct leat_options o;
    fake_broker_init(&broker);
    broker.groups[0].name = "moved";
    broker.groups[0].node = 2;
    broker.groups[1].name = "classic";
    broker.groups[1].node = 1;
    broker.groups[2].name = "new";
    broker.groups[2].members = 2;
    broker.groups[2].assigned_by_broker = true;
    leat_options_init(&o);
    o.brokers = "fake:9092";
    ASSERT_EQ(leat_client_create(&o, &client, &e), LEAT_OK);
}

static void end(void)
{
    leat_client_destroy(client);
    fake_broker_deinit(&broker);
}

static void every_brokers_groups_are_listed(void)
{
    struct leat_groups *g = NULL;
    begin();
    broker.loading = 2; /* one that loads is asked again */
    ASSERT_EQ(leat_groups_get(client, 5000, &g, &e), LEAT_OK);
    ASSERT_EQ(g->count, 3);
    ASSERT_EQ(g->silent_count, 0);
    ASSERT_STREQ(g->groups[0].name, "classic"); /* sorted */
    ASSERT_STREQ(g->groups[0].state, "Empty");
    ASSERT_EQ(g->groups[0].coordinator, 1);
    ASSERT_STREQ(g->groups[2].name, "new");
    ASSERT_STREQ(g->groups[2].type, "consumer");
    ASSERT_EQ(broker.requests[API_LIST_GROUPS], FAKE_NODES + 2);
    leat_groups_free(g);
    end();
}

static void a_group_told_by_two_brokers_is_listed_once(void)
{
    struct leat_groups *g = NULL;
    begin();
    broker.groups[3].name = "moved"; /* it has moved while we asked */
    broker.groups[3].node = 0;
    ASSERT_EQ(leat_groups_get(client, 5000, &g, &e), LEAT_OK);
    ASSERT_EQ(g->count, 3);
    leat_groups_free(g);
    end();
}

static void a_broker_that_is_away_is_named(void)
{
    struct leat_groups *g = NULL;
    begin();
    broker.down[1] = true;
    int64_t begun = fake_net.now_ms;
    ASSERT_EQ(leat_groups_get(client, 60000, &g, &e), LEAT_OK);
    ASSERT(fake_net.now_ms - begun < 10000); /* the others are not kept waiting */
    ASSERT_EQ(g->count, 2);
    ASSERT_EQ(g->silent_count, 1);
    ASSERT_EQ(g->silent[0], 1);
    leat_groups_free(g);
    fake_broker_rule(&broker, API_LIST_GROUPS, 0, FAULT_CLOSE, 0);
    ASSERT_EQ(leat_groups_get(client, 2000, &g, &e), LEAT_UNREACHABLE); /* nobody says anything */
    end();
}

static void a_list_is_refused(void)
{
    struct leat_groups *g = NULL;
    begin();
    fake_broker_rule(&broker, API_LIST_GROUPS, 2, FAULT_CODE, KAFKA_CLUSTER_AUTHORIZATION_FAILED);
    ASSERT_EQ(leat_groups_get(client, 2000, &g, &e), LEAT_BROKER);
    ASSERT_EQ(e.kafka_code, KAFKA_CLUSTER_AUTHORIZATION_FAILED);
    end();
}

static void a_group_that_the_broker_assigns(void)
{
    struct leat_group_state *g = NULL;
    begin();
    ASSERT_EQ(leat_group_get(client, "new", 2000, &g, &e), LEAT_OK);
    ASSERT_STREQ(g->group.type, "consumer");
    ASSERT_STREQ(g->group.state, "Stable");
    ASSERT_STREQ(g->assignor, "uniform");
    ASSERT_EQ(g->epoch, 7);
    ASSERT_EQ(g->member_count, 2);
    ASSERT_STREQ(g->members[1].id, "m1");
    ASSERT_EQ(g->members[1].assigned_count, 1);
    ASSERT_STREQ(g->members[1].assigned[0].topic, "t");
    ASSERT_EQ(g->members[1].assigned[0].partition, 1);
    ASSERT_EQ(broker.requests[API_DESCRIBE_GROUPS], 0);
    leat_group_state_free(g);
    end();
}

/* One member's assignment is sound, the other's is noise: it is shown without one. */
static void a_group_that_a_member_assigns(void)
{
    static const int16_t caps[] = {0, -1}; /* and at a broker that knows no others */
    for (size_t i = 0; i < COUNT_OF(caps); i++) {
        struct leat_group_state *g = NULL;
        begin();
        broker.groups[1].members = 2;
        broker.version_cap[API_CONSUMER_GROUP_DESCRIBE] = caps[i];
        ASSERT_EQ(leat_group_get(client, "classic", 2000, &g, &e), LEAT_OK);
        ASSERT_STREQ(g->group.type, "classic");
        ASSERT_STREQ(g->assignor, "range");
        ASSERT(g->epoch == -1 && g->group.coordinator == 1);
        ASSERT_EQ(g->member_count, 2);
        ASSERT_STREQ(g->members[0].id, "a");
        ASSERT_EQ(g->members[0].assigned_count, 0);
        ASSERT(g->members[0].instance_id == NULL);
        ASSERT_STREQ(g->members[1].instance_id, "static");
        ASSERT_EQ(g->members[1].assigned_count, 2);
        ASSERT_EQ(g->members[1].assigned[0].partition, 0); /* sorted */
        ASSERT_EQ(g->members[1].assigned[1].partition, 2);
        leat_group_state_free(g);
        end();
    }
}

static void no_such_group(void)
{
    static const int16_t caps[] = {0, 5}; /* old brokers say "Dead" */
    for (size_t i = 0; i < COUNT_OF(caps); i++) {
        struct leat_group_state *g = NULL;
        begin();
        broker.version_cap[API_DESCRIBE_GROUPS] = caps[i];
        ASSERT_EQ(leat_group_get(client, "nobody", 2000, &g, &e), LEAT_NOT_FOUND);
        ASSERT_EQ(e.kafka_code, KAFKA_GROUP_ID_NOT_FOUND);
        ASSERT(strstr(e.text, "'nobody'") != NULL);
        end();
    }
}

static void names_are_checked(void)
{
    static char long_name[3000];
    struct leat_committeds *all = NULL;
    begin();
    memset(long_name, 'x', sizeof long_name - 1);
    ASSERT_EQ(leat_committed_get(client, "", 2000, &all, &e), LEAT_INVALID);
    ASSERT_EQ(leat_committed_get(client, NULL, 2000, &all, &e), LEAT_INVALID);
    ASSERT_EQ(leat_group_delete(client, long_name, 2000, &e), LEAT_INVALID);
    ASSERT_EQ(fake_net.connects, 0);
    end();
}

static void offsets_are_told_in_every_version(void)
{
    for (int16_t cap = 2; cap <= 10; cap++) {
        struct leat_committeds *all = NULL;
        begin();
        broker.version_cap[API_OFFSET_FETCH] = cap;
        broker.version_cap[API_FIND_COORDINATOR] = (int16_t)(cap - 2) > 6 ? 6 : (int16_t)(cap - 2);
        if (broker.version_cap[API_FIND_COORDINATOR] == 0) broker.version_cap[API_FIND_COORDINATOR] = 1;
        broker.groups[1].committed[3] = 30;
        broker.groups[1].committed[0] = 0;
        ASSERT_EQ(leat_committed_get(client, "classic", 2000, &all, &e), LEAT_OK);
        ASSERT_EQ(all->count, 2); /* not those that nothing is committed for */
        ASSERT_EQ(all->all[0].partition, 0);
        ASSERT_EQ(all->all[0].offset, 0);
        ASSERT_STREQ(all->all[0].metadata, "note");
        ASSERT(all->all[1].partition == 3 && all->all[1].offset == 30 && all->all[1].metadata == NULL);
        leat_committed_free(all);
        ASSERT_EQ(leat_committed_get(client, "nobody", 2000, &all, &e), LEAT_OK);
        ASSERT_EQ(all->count, 0);
        leat_committed_free(all);
        broker.partition_error = KAFKA_UNSTABLE_OFFSET_COMMIT;
        ASSERT_EQ(leat_committed_get(client, "classic", 2000, &all, &e), LEAT_BROKER);
        ASSERT(strstr(e.text, "t-3") != NULL);
        end();
    }
}

static void offsets_are_set(void)
{
    const struct leat_committed some[] = {{"t", 0, 5, NULL}, {"t", 3, 0, "why"}};
    const struct leat_committed other[] = {{"t", 1, 5, NULL}, {"u", 0, 5, NULL}};
    const struct leat_committed wrong[] = {{"t", 1, -1, NULL}};
    begin();
    ASSERT_EQ(leat_committed_set(client, "classic", some, 2, 2000, &e), LEAT_OK);
    ASSERT(broker.groups[1].committed[0] == 5 && broker.groups[1].committed[3] == 0);
    ASSERT_EQ(broker.groups[1].committed[1], -1);
    ASSERT_EQ(leat_committed_set(client, "classic", some, 0, 2000, &e), LEAT_OK); /* nothing to do */
    ASSERT_EQ(broker.requests[API_OFFSET_COMMIT], 1);
    ASSERT_EQ(leat_committed_set(client, "classic", wrong, 1, 2000, &e), LEAT_INVALID);
    ASSERT_EQ(leat_committed_set(client, "classic", other, 2, 2000, &e), LEAT_NOT_FOUND);
    ASSERT(strstr(e.text, "u-0") != NULL);
    ASSERT_EQ(leat_committed_set(client, "new", some, 2, 2000, &e), LEAT_BROKER); /* it has members */
    ASSERT_EQ(e.kafka_code, KAFKA_UNKNOWN_MEMBER_ID);
    end();
}

static void groups_are_deleted(void)
{
    begin();
    ASSERT_EQ(leat_group_delete(client, "new", 2000, &e), LEAT_BROKER);
    ASSERT_EQ(e.kafka_code, KAFKA_NON_EMPTY_GROUP);
    ASSERT_EQ(leat_group_delete(client, "classic", 2000, &e), LEAT_OK);
    ASSERT_EQ(leat_group_delete(client, "classic", 2000, &e), LEAT_NOT_FOUND);
    end();
}

/* FindCoordinator still names the old node once: the answer there is NOT_COORDINATOR. */
static void a_coordinator_that_moves_is_found_again(void)
{
    struct leat_committeds *all = NULL;
    begin();
    broker.groups[1].committed[0] = 1;
    fake_broker_rule(&broker, API_OFFSET_FETCH, 1, FAULT_CODE, KAFKA_NOT_COORDINATOR);
    ASSERT_EQ(leat_committed_get(client, "classic", 5000, &all, &e), LEAT_OK);
    ASSERT_EQ(all->count, 1);
    ASSERT_EQ(broker.requests[API_FIND_COORDINATOR], 2);
    leat_committed_free(all);
    end();
}

static void a_coordinator_that_loads_is_waited_for(void)
{
    struct leat_committeds *all = NULL;
    const struct leat_committed some[] = {{"t", 0, 5, NULL}};
    begin();
    broker.loading = 3;
    ASSERT_EQ(leat_committed_set(client, "classic", some, 1, 5000, &e), LEAT_OK); /* refused, so it may be sent again */
    ASSERT_EQ(broker.requests[API_OFFSET_COMMIT], 4);
    broker.loading = UINT32_MAX;
    int64_t begun = fake_net.now_ms;
    ASSERT_EQ(leat_committed_get(client, "classic", 3000, &all, &e), LEAT_BROKER);
    ASSERT(e.kafka_code == KAFKA_COORDINATOR_LOAD_IN_PROGRESS && e.retriable);
    ASSERT(fake_net.now_ms - begun <= 3000);
    fake_broker_rule(&broker, API_FIND_COORDINATOR, 0, FAULT_CODE, KAFKA_COORDINATOR_NOT_AVAILABLE);
    ASSERT_EQ(leat_committed_get(client, "classic", 3000, &all, &e), LEAT_BROKER);
    ASSERT_EQ(e.kafka_code, KAFKA_COORDINATOR_NOT_AVAILABLE);
    end();
}

static void a_coordinator_that_is_away_costs_the_deadline(void)
{
    struct leat_committeds *all = NULL;
    begin();
    broker.down[1] = true;
    int64_t begun = fake_net.now_ms;
    ASSERT_EQ(leat_committed_get(client, "classic", 3000, &all, &e), LEAT_UNREACHABLE);
    ASSERT(fake_net.now_ms - begun <= 3000);
    ASSERT(broker.requests[API_FIND_COORDINATOR] > 2); /* it may have moved */
    end();
}

/* A question may be asked again, a change may not. */
static void a_lost_answer(void)
{
    struct leat_committeds *all = NULL;
    const struct leat_committed some[] = {{"t", 0, 5, NULL}};
    begin();
    fake_broker_rule(&broker, API_OFFSET_FETCH, 1, FAULT_LOSE, 0);
    ASSERT_EQ(leat_committed_get(client, "classic", 5000, &all, &e), LEAT_OK);
    ASSERT_EQ(broker.requests[API_OFFSET_FETCH], 2);
    leat_committed_free(all);
    fake_broker_rule(&broker, API_OFFSET_COMMIT, 1, FAULT_LOSE, 0);
    ASSERT_EQ(leat_committed_set(client, "classic", some, 1, 5000, &e), LEAT_TIMED_OUT);
    ASSERT_EQ(broker.requests[API_OFFSET_COMMIT], 1);
    ASSERT_EQ(broker.groups[1].committed[0], 5);
    fake_broker_rule(&broker, API_DELETE_GROUPS, 1, FAULT_LOSE, 0);
    ASSERT_EQ(leat_group_delete(client, "classic", 5000, &e), LEAT_TIMED_OUT);
    ASSERT_EQ(broker.requests[API_DELETE_GROUPS], 1);
    end();
}

TEST_MAIN("leat_group", {"every broker's groups are listed", every_brokers_groups_are_listed},
          {"a group told by two brokers is listed once", a_group_told_by_two_brokers_is_listed_once},
          {"a broker that is away is named", a_broker_that_is_away_is_named}, {"a list is refused", a_list_is_refused},
          {"a group that the broker assigns", a_group_that_the_broker_assigns},
          {"a group that a member assigns", a_group_that_a_member_assigns}, {"no such group", no_such_group},
          {"names are checked", names_are_checked},
          {"offsets are told in every version", offsets_are_told_in_every_version},
          {"offsets are set", offsets_are_set}, {"groups are deleted", groups_are_deleted},
          {"a coordinator that moves is found again", a_coordinator_that_moves_is_found_again},
          {"a coordinator that loads is waited for", a_coordinator_that_loads_is_waited_for},
          {"a coordinator that is away costs the deadline", a_coordinator_that_is_away_costs_the_deadline},
          {"a lost answer", a_lost_answer})

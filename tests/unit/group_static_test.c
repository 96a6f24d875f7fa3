// SPDX-License-Identifier: Apache-2.0
/* Classic groups as stories: restarts, static members, leaving, what others ask, and bounds. */
#include "tests/unit/group_stories.h"

/* ---- restarts ---- */

static void a_restart_disturbs_nobody(void)
{
    tell((const struct step[]){{COME, "a"},
                               {COME, "b"},
                               {PASS, .ms = 6000},
                               {JOINED, "a"},
                               {JOINED, "b"},
                               {SYNC, "a"},
                               {SYNC, "b"},
                               {PASS, .ms = 9000},
                               {HEARTBEAT, "a"},
                               {RESTART},
                               {STATE, .text = "Stable", .members = 2},
                               {PASS, .ms = 9000}, /* sessions began anew */
                               {HEARTBEAT, "b"},
                               {COMMIT, "a"},
                               {SYNC, "b"},
                               {SYNCED, "b"},
                               {JOIN, "b"},
                               {JOINED, "b", .generation = 1},
                               {PASS, .ms = 9999},
                               {STATE, .text = "Stable", .members = 2},
                               {PASS, .ms = 1},
                               {STATE, .text = "Empty"},
                               {END}});
}

static void a_restart_ends_waiting_calls(void)
{
    tell((const struct step[]){{COME, "a"},
                               {COME, "b"},
                               {RESTART},
                               {JOINED, "a", KAFKA_NOT_COORDINATOR},
                               {JOINED, "b", KAFKA_NOT_COORDINATOR},
                               {STATE, .text = "Dead"},
                               {JOIN, "a", KAFKA_UNKNOWN_MEMBER_ID},
                               {END}});
}

static void a_restart_during_a_rebalance(void)
{
    tell((const struct step[]){{COME, "a"},
                               {PASS, .ms = 3000},
                               {JOINED, "a"},
                               {SYNC, "a"},
                               {COME, "b"},
                               {JOIN, "a"},
                               {JOINED, "a", .generation = 2},
                               {RESTART}, /* generation 2 was never stored: a is where it was in 1 */
                               {STATE, .text = "Stable", .members = 1},
                               {HEARTBEAT, "a", KAFKA_ILLEGAL_GENERATION},
                               {COMMIT, "a", KAFKA_ILLEGAL_GENERATION},
                               {SYNC, "a", KAFKA_ILLEGAL_GENERATION},
                               {JOIN, "b", KAFKA_UNKNOWN_MEMBER_ID},
                               {FORGET, "b"},
                               {COME, "b"},
                               {JOIN, "a"},
                               {JOINED, "a", .generation = 2, .members = 2},
                               {JOINED, "b", .generation = 2},
                               {SYNC, "a"},
                               {SYNC, "b"},
                               {SYNCED, "b"},
                               {END}});
}

static void an_empty_group_after_a_restart(void)
{
    tell((const struct step[]){{COME, "a"},
                               {PASS, .ms = 3000},
                               {JOINED, "a"},
                               {SYNC, "a"},
                               {LEAVE, "a"},
                               {RESTART},
                               {STATE, .text = "Empty"},
                               {JOIN, "a", KAFKA_UNKNOWN_MEMBER_ID},
                               {FORGET, "a"},
                               {COME, "a"},
                               {PASS, .ms = 3000},
                               {JOINED, "a", .generation = 3},
                               {END}});
}

/* ---- static members ---- */

static void a_static_member_comes_again(void)
{
    tell((const struct step[]){{CLIENT, "a", .instance = "one"},
                               {CLIENT, "b", .instance = "two"},
                               {JOIN, "a", HELD}, /* no id first */
                               {JOIN, "b", HELD},
                               {PASS, .ms = 6000},
                               {JOINED, "a", .generation = 1, .text = "a", .members = 2},
                               {JOINED, "b", .generation = 1},
                               {SYNC, "a"},
                               {SYNC, "b"},
                               {PUTS, .members = 1},
                               {CLIENT, "b2", .instance = "two"},
                               {JOIN, "b2"}, /* a new process: same place, nobody else notices */
                               {PUTS, .members = 2},
                               {JOINED, "b2", .generation = 1, .text = "a"},
                               {SYNC, "b2"},
                               {SYNCED, "b2", .text = "1/two-"}, /* what b had */
                               {HEARTBEAT, "b2"},
                               {COMMIT, "b2"},
                               {HEARTBEAT, "a"},
                               {HEARTBEAT, "b", KAFKA_FENCED_INSTANCE_ID},
                               {COMMIT, "b", KAFKA_FENCED_INSTANCE_ID},
                               {SYNC, "b", KAFKA_FENCED_INSTANCE_ID},
                               {JOIN, "b", KAFKA_FENCED_INSTANCE_ID},
                               {LEAVE, "b", KAFKA_FENCED_INSTANCE_ID},
                               {RESTART},
                               {HEARTBEAT, "b2"},
                               {HEARTBEAT, "b", KAFKA_FENCED_INSTANCE_ID},
                               {STATE, .text = "Stable", .members = 2},
                               {FORGET, "b2"},
                               {LEAVE, "b2"}, /* an administrator takes the instance out */
                               {STATE, .text = "PreparingRebalance", .members = 1},
                               {END}});
}

static void a_static_leader_comes_again(void)
{
    tell((const struct step[]){
        {CLIENT, "a", .instance = "one"},
        {COME, "a"},
        {PASS, .ms = 3000},
        {JOINED, "a", .text = "a"},
        {SYNC, "a"},
        {CLIENT, "a2", .instance = "one"},
        {JOIN, "a2"},
        {SKIPS, "a2"},
        {JOINED, "a2", .generation = 1, .text = "a2", .members = 1},
        {SYNC, "a2"},
        {SYNCED, "a2", .text = "1/one-"},
        {CLIENT, "a3", .instance = "one", .version = 5}, /* cannot be told to skip: is told that another leads */
        {JOIN, "a3"},
        {JOINED, "a3", .generation = 1, .text = "a2"},
        {SYNC, "a3"},
        {SYNCED, "a3", .text = "1/one-"},
        {JOIN, "a3"}, /* it is the leader all the same */
        {END}});
}

static void a_static_member_with_another_protocol(void)
{
    tell((const struct step[]){{CLIENT, "a", .instance = "one", .text = "range=A,sticky=A"},
                               {COME, "a"},
                               {PASS, .ms = 3000},
                               {JOINED, "a"},
                               {SYNC, "a"},
                               {CLIENT, "a2", .instance = "one", .text = "sticky=A,range=A"},
                               {JOIN, "a2"}, /* the choice would be another: a rebalance, done at once */
                               {JOINED, "a2", .generation = 2, .text = "a2", .members = 1},
                               {END}});
}

static void a_static_member_is_fenced_while_it_waits(void)
{
    tell((const struct step[]){{CLIENT, "a", .instance = "one"},
                               {CLIENT, "b", .instance = "two"},
                               {COME, "a"},
                               {COME, "b"},
                               {CLIENT, "a2", .instance = "one"},
                               {COME, "a2"},
                               {JOINED, "a", KAFKA_FENCED_INSTANCE_ID},
                               {PASS, .ms = 6000},
                               {JOINED, "a2", .generation = 1, .text = "a2", .members = 2},
                               {JOINED, "b"},
                               {SYNC, "b", HELD},
                               {CLIENT, "b2", .instance = "two"},
                               {COME, "b2"}, /* the leader may have b's id already: all begin anew */
                               {SYNCED, "b", KAFKA_FENCED_INSTANCE_ID},
                               {HEARTBEAT, "a2", KAFKA_REBALANCE_IN_PROGRESS},
                               {JOIN, "a2"},
                               {JOINED, "a2", .generation = 2},
                               {JOINED, "b2", .generation = 2},
                               {END}});
}

static void static_members_stay_until_their_session_ends(void)
{
    tell((const struct step[]){{CLIENT, "a", .instance = "one", .session_ms = 200000},
                               {CLIENT, "b", .instance = "two", .session_ms = 100000},
                               {COME, "a"},
                               {COME, "b"},
                               {PASS, .ms = 6000},
                               {JOINED, "a", .text = "a"},
                               {JOINED, "b"},
                               {SYNC, "a"},
                               {SYNC, "b"},
                               {JOIN, "a", HELD}, /* a rebalance, and b sleeps */
                               {PASS, .ms = 60000},
                               {JOINED, "a", .generation = 2, .text = "a", .members = 2},
                               {SYNC, "a"},
                               {PASS, .ms = 10000},
                               {HEARTBEAT, "b", KAFKA_ILLEGAL_GENERATION},
                               {PASS, .ms = 50000}, /* it did not sync either */
                               {STATE, .text = "PreparingRebalance", .members = 1},
                               {HEARTBEAT, "b", KAFKA_UNKNOWN_MEMBER_ID},
                               {END}});
}

static void nobody_rejoins_but_static_members_are_there(void)
{
    tell((const struct step[]){{CLIENT, "a", .instance = "one", .session_ms = 100000},
                               {CLIENT, "b", .session_ms = 100000},
                               {COME, "a"},
                               {COME, "b"},
                               {PASS, .ms = 6000},
                               {JOINED, "a"},
                               {JOINED, "b"},
                               {SYNC, "a"},
                               {SYNC, "b"},
                               {COME, "c"},
                               {LEAVE, "c"},
                               {PASS, .ms = 60000}, /* b is out; a is the only one, and did not come */
                               {STATE, .text = "PreparingRebalance", .members = 1},
                               {PASS, .ms = 39999},
                               {STATE, .text = "PreparingRebalance", .members = 1},
                               {PASS, .ms = 1},
                               {STATE, .text = "Empty"},
                               {END}});
}

/* ---- leaving ---- */

static void leaving_ends_waiting_calls(void)
{
    tell((const struct step[]){{COME, "a"},
                               {COME, "b"},
                               {LEAVE, "b"},
                               {JOINED, "b", KAFKA_UNKNOWN_MEMBER_ID},
                               {FORGET, "b"},
                               {COME, "b"},
                               {PASS, .ms = 6000},
                               {JOINED, "a", .generation = 1, .members = 2},
                               {JOINED, "b"},
                               {SYNC, "b", HELD},
                               {LEAVE, "b"},
                               {SYNCED, "b", KAFKA_UNKNOWN_MEMBER_ID},
                               {JOIN, "a"},
                               {JOINED, "a", .generation = 2, .members = 1},
                               {END}});
}

static void many_leave_in_one_request(void)
{
    begin_story();
    struct client *a = client("a"), *b = client("b");
    b->instance = "two";
    ASSERT_EQ(come(a), HELD);
    ASSERT_EQ(come(b), HELD);
    world_pass(6000);
    take_join(a, a->join);
    take_join(b, b->join);
    ASSERT_EQ(sync(a->leads ? a : b), KAFKA_NONE);
    struct leave_group_request_member m[4];
    for (int i = 0; i < 4; i++) leave_group_request_member_init(&m[i]);
    m[0].member_id = str_of(a->member_id);
    m[1].member_id = STR("nobody");
    m[2].group_instance_id = STR("two");
    m[3].group_instance_id = STR("three");
    struct world_call *w = world_call(API_LEAVE_GROUP, 5, STR("g"));
    w->leave_request.members = m;
    w->leave_request.members_count = 4;
    world_send(w);
    ASSERT_EQ(w->leave.members_count, 4);
    ASSERT_EQ(w->leave.members[0].error_code, KAFKA_NONE);
    ASSERT_EQ(w->leave.members[1].error_code, KAFKA_UNKNOWN_MEMBER_ID);
    ASSERT_EQ(w->leave.members[2].error_code, KAFKA_NONE);
    ASSERT_EQ(w->leave.members[3].error_code, KAFKA_UNKNOWN_MEMBER_ID);
    ASSERT(classic_is_empty(groups_find(&gw.gs, STR("g"))));
    struct world_call *other = world_call(API_LEAVE_GROUP, 5, STR("no such group"));
    other->leave_request = w->leave_request;
    world_send(other);
    ASSERT_EQ(other->leave.members_count, 4);
    ASSERT_EQ(other->leave.members[0].error_code, KAFKA_UNKNOWN_MEMBER_ID);
    world_end();
}

/* ---- what others ask ---- */

static void what_members_subscribe_to(void)
{
    begin_story();
    static const uint8_t subscription[] = {0, 3, 0, 0, 0, 2, 0, 1, 'a', 0, 1, 'b', 0xff, 0xff, 0xff, 0xff, 9, 9};
    struct world_call *w = world_call(API_JOIN_GROUP, 3, STR("g"));
    struct join_group_request_protocol p = {.name = STR("range"), .metadata = {subscription, sizeof subscription}};
    w->join_request.session_timeout_ms = 10000;
    w->join_request.member_id = STR_EMPTY;
    w->join_request.protocol_type = STR("consumer");
    w->join_request.protocols = &p;
    w->join_request.protocols_count = 1;
    world_send(w);
    const struct group *g = groups_find(&gw.gs, STR("g"));
    ASSERT(classic_subscribes(g, STR("z"))); /* not known yet: all */
    world_pass(3000);
    ASSERT_EQ(w->join.generation_id, 1);
    ASSERT(classic_subscribes(g, STR("a")) && classic_subscribes(g, STR("b")));
    ASSERT(!classic_subscribes(g, STR("z")) && !classic_subscribes(g, STR("")));
    struct client *b = client("b"); /* "A" is no subscription */
    ASSERT_EQ(come(b), HELD);
    struct world_call *again = world_call(API_JOIN_GROUP, 3, STR("g"));
    again->join_request = w->join_request;
    again->join_request.member_id = w->join.member_id;
    world_send(again);
    ASSERT_EQ(b->join->ends, 1);
    ASSERT(classic_subscribes(g, STR("z")));
    world_end();
}

static void groups_that_are_of_no_use_go(void)
{
    begin_story();
    struct client *a = client("a");
    set_protocols(a, "");
    ASSERT_EQ(join(a), KAFKA_INCONSISTENT_GROUP_PROTOCOL);
    ASSERT_EQ(gw.gs.count, 0u);
    set_protocols(a, "range=A");
    ASSERT_EQ(join(a), KAFKA_MEMBER_ID_REQUIRED);
    ASSERT_EQ(gw.gs.count, 1u);
    world_pass(10000); /* nobody came with the id */
    ASSERT_EQ(gw.gs.count, 0u);
    world_end();
}

/* ---- bounds ---- */

static struct world_call *big_join(uint32_t protocols, size_t metadata_bytes)
{
    struct world_call *w = world_call(API_JOIN_GROUP, 3, STR("g"));
    struct join_group_request_protocol *list = arena_zalloc(&w->arena, protocols * sizeof *list);
    uint8_t *metadata = arena_zalloc(&w->arena, metadata_bytes);
    for (uint32_t i = 0; i < protocols; i++) {
        char *name = arena_zalloc(&w->arena, 16);
        int n = snprintf(name, 16, "p%u", i);
        list[i] = (struct join_group_request_protocol){{name, n}, {metadata, (int32_t)metadata_bytes}};
    }
    w->join_request.session_timeout_ms = 10000;
    w->join_request.member_id = STR_EMPTY;
    w->join_request.protocol_type = STR("consumer");
    w->join_request.protocols = list;
    w->join_request.protocols_count = (int32_t)protocols;
    world_send(w);
    return w;
}

static void what_a_group_may_hold(void)
{
    world_begin();
    ASSERT_EQ(big_join(65, 10)->join.error_code, KAFKA_INCONSISTENT_GROUP_PROTOCOL);
    ASSERT_EQ(big_join(1, (4u << 20) - 200)->join.error_code, KAFKA_GROUP_MAX_SIZE_REACHED);
    struct world_call *a = big_join(64, 40000), *b = big_join(64, 20000);
    ASSERT_EQ(a->ends, 0);
    ASSERT_EQ(b->ends, 0);
    ASSERT_EQ(big_join(64, 20000)->join.error_code, KAFKA_GROUP_MAX_SIZE_REACHED);
    world_pass(6000);
    ASSERT_EQ(a->join.members_count, 2);
    struct sync_group_request_assignment big = {a->join.member_id, {calloc(1, (4u << 20) + 1), (4 << 20) + 1}};
    struct world_call *s = world_call(API_SYNC_GROUP, 3, STR("g"));
    s->sync_request.member_id = a->join.member_id;
    s->sync_request.generation_id = 1;
    s->sync_request.assignments = &big;
    s->sync_request.assignments_count = 1;
    world_send(s);
    ASSERT_EQ(sync_error(s), KAFKA_UNKNOWN_SERVER_ERROR);
    ASSERT_EQ(gw.puts, 0u);
    ASSERT_STREQ(classic_state(groups_find(&gw.gs, STR("g"))), "PreparingRebalance");
    free((void *)(uintptr_t)big.assignment.data);
    world_end();
}

static void ids_that_are_given_out_are_few(void)
{
    begin_story();
    struct client *a = client("a");
    for (int i = 0; i < 10000; i++) {
        a->member_id[0] = '\0';
        ASSERT_EQ(join(a), KAFKA_MEMBER_ID_REQUIRED);
    }
    a->member_id[0] = '\0';
    ASSERT_EQ(join(a), KAFKA_COORDINATOR_NOT_AVAILABLE);
    world_pass(10000);
    ASSERT_EQ(join(a), KAFKA_MEMBER_ID_REQUIRED);
    world_end();
}

static void memory_is_left_for_others(void)
{
    begin_story();
    struct client *a = client("a");
    size_t rest = 0;
    size_t spare = mem_budget(gw.mem, MEM_CONTROL) / 8; /* groups_have_room */
    while (mem_has_room(gw.mem, MEM_CONTROL, rest + spare + ((size_t)2 << 20))) rest += (size_t)1 << 20;
    void *taken = mem_alloc(gw.mem, MEM_CONTROL, rest);
    a->version = 3;
    ASSERT_EQ(join(a), HELD);
    struct client *b = client("b");
    b->version = 3;
    void *more = mem_alloc(gw.mem, MEM_CONTROL, (size_t)2 << 20);
    ASSERT_EQ(join(b), KAFKA_COORDINATOR_NOT_AVAILABLE);
    ASSERT_EQ(gw.gs.status, STATUS_OK);
    mem_free(gw.mem, MEM_CONTROL, more, (size_t)2 << 20);
    mem_free(gw.mem, MEM_CONTROL, taken, rest);
    world_end();
}

static void long_client_ids_make_short_member_ids(void)
{
    world_begin();
    static char id[32767];
    memset(id, 'x', sizeof id);
    memcpy(id + 254, "\xc3\xa9", 2); /* a character across the cut */
    struct world_call *w = world_call(API_JOIN_GROUP, 4, STR("g"));
    struct join_group_request_protocol p = {STR("range"), BYTES_EMPTY};
    w->call.client_id = (struct str){id, sizeof id};
    w->join_request.session_timeout_ms = 10000;
    w->join_request.member_id = STR_EMPTY;
    w->join_request.protocol_type = STR("consumer");
    w->join_request.protocols = &p;
    w->join_request.protocols_count = 1;
    world_send(w);
    ASSERT_EQ(w->join.error_code, KAFKA_MEMBER_ID_REQUIRED);
    ASSERT_EQ(w->join.member_id.len, 254 + 1 + 36);
    ASSERT_EQ(w->join.member_id.data[253], 'x');
    ASSERT_EQ(w->join.member_id.data[254], '-');
    world_end();
}

TEST_MAIN("group_static", {"a restart disturbs nobody", a_restart_disturbs_nobody},
          {"a restart ends waiting calls", a_restart_ends_waiting_calls},
          {"a restart during a rebalance", a_restart_during_a_rebalance},
          {"an empty group after a restart", an_empty_group_after_a_restart},
          {"static: a member comes again and keeps its place", a_static_member_comes_again},
          {"static: a leader comes again", a_static_leader_comes_again},
          {"static: with another protocol", a_static_member_with_another_protocol},
          {"static: fenced while it waits", a_static_member_is_fenced_while_it_waits},
          {"static: members stay until their session ends", static_members_stay_until_their_session_ends},
          {"static: nobody else is left", nobody_rejoins_but_static_members_are_there},
          {"leaving ends waiting calls", leaving_ends_waiting_calls},
          {"many leave in one request", many_leave_in_one_request},
          {"what members subscribe to", what_members_subscribe_to},
          {"groups that are of no use go", groups_that_are_of_no_use_go},
          {"what a group may hold", what_a_group_may_hold},
          {"ids that are given out are few", ids_that_are_given_out_are_few},
          {"memory is left for others", memory_is_left_for_others},
          {"long client ids make short member ids", long_client_ids_make_short_member_ids})

// SPDX-License-Identifier: Apache-2.0
/* Classic groups as stories: the everyday path, times, and members that come again. Static members, restarts, leaving
 * and bounds are group_static_test.c; random lives are group_lives_test.c. */
#include "tests/unit/group_stories.h"

/* ---- the everyday path ---- */

static void one_member(void)
{
    tell((const struct step[]){
        {JOIN, "a", KAFKA_MEMBER_ID_REQUIRED},
        {STATE, .text = "Empty"},
        {JOIN, "a", HELD},
        {STATE, .text = "PreparingRebalance", .members = 1},
        {PASS, .ms = 2999},
        {WAITS, "a"},
        {PASS, .ms = 1},
        {JOINED, "a", .generation = 1, .text = "a", .members = 1},
        {STATE, .text = "CompletingRebalance", .members = 1},
        {COMMIT, "a", KAFKA_REBALANCE_IN_PROGRESS},
        {HEARTBEAT, "a"},
        {PUTS, .members = 0},
        {SYNC, "a"},
        {SYNCED, "a"},
        {PUTS, .members = 1},
        {STATE, .text = "Stable", .members = 1},
        {HEARTBEAT, "a"},
        {COMMIT, "a"},
        {SYNC, "a"},
        {SYNCED, "a"},
        {LEAVE, "a"},
        {STATE, .text = "Empty"},
        {PUTS, .members = 2},
        {HEARTBEAT, "a", KAFKA_UNKNOWN_MEMBER_ID},
        {COMMIT, "a", KAFKA_UNKNOWN_MEMBER_ID},
        {LEAVE, "a", KAFKA_UNKNOWN_MEMBER_ID},
        {FORGET, "a"},
        {COME, "a"},
        {PASS, .ms = 3000},
        {JOINED, "a", .generation = 3, .text = "a", .members = 1}, /* the empty one was the second */
        {END}});
}

static void two_members(void)
{
    tell((const struct step[]){{COME, "a"},
                               {COME, "b"},
                               {PASS, .ms = 6000}, /* b's coming has put it off */
                               {JOINED, "a", .generation = 1, .text = "a", .members = 2},
                               {JOINED, "b", .generation = 1, .text = "a"},
                               {SYNC, "b", HELD},
                               {SYNC, "a"},
                               {SYNCED, "a"},
                               {SYNCED, "b"},
                               {STATE, .text = "Stable", .members = 2},
                               {COME, "c"},
                               {STATE, .text = "PreparingRebalance", .members = 3},
                               {HEARTBEAT, "a", KAFKA_REBALANCE_IN_PROGRESS},
                               {HEARTBEAT, "b", KAFKA_REBALANCE_IN_PROGRESS},
                               {COMMIT, "a"}, /* before it joins again */
                               {SYNC, "b", KAFKA_REBALANCE_IN_PROGRESS},
                               {JOIN, "b", HELD},
                               {JOIN, "a"},
                               {JOINED, "a", .generation = 2, .text = "a", .members = 3},
                               {JOINED, "b", .generation = 2},
                               {JOINED, "c", .generation = 2},
                               {SYNC, "a"},
                               {SYNC, "b"}, /* it is there already */
                               {SYNCED, "b"},
                               {SYNC, "c"},
                               {SYNCED, "c"},
                               {END}});
}

static void old_versions(void)
{
    tell((const struct step[]){
        {CLIENT, "a", .version = -1}, /* version 0: no id first, the session is the rebalance timeout */
        {CLIENT, "b", .version = 3},
        {JOIN, "a", HELD},
        {JOIN, "b", HELD},
        {PASS, .ms = 6000},
        {JOINED, "a", .generation = 1, .members = 2},
        {JOINED, "b", .generation = 1},
        {SYNC, "a"},
        {SYNC, "b"},
        {LEAVE, "b"},
        {LEAVE, "b", KAFKA_UNKNOWN_MEMBER_ID},
        {HEARTBEAT, "a", KAFKA_REBALANCE_IN_PROGRESS},
        {PASS, .ms = 9999},
        {HEARTBEAT, "a", KAFKA_REBALANCE_IN_PROGRESS},
        {PASS, .ms = 1},
        {STATE, .text = "Empty"},
        {END}});
}

/* ---- times ---- */

static void first_rebalance_waits_for_more(void)
{
    tell((const struct step[]){{CLIENT, "a", .rebalance_ms = 8000},
                               {COME, "a"},
                               {PASS, .ms = 2000},
                               {COME, "b"}, /* put off to 6000 */
                               {PASS, .ms = 3000},
                               {COME, "c"}, /* to 8000: a's rebalance timeout when it began */
                               {PASS, .ms = 2999},
                               {COME, "d"},
                               {WAITS, "a"},
                               {PASS, .ms = 1},
                               {JOINED, "a", .generation = 1, .members = 4},
                               {END}});
}

static void first_rebalance_without_delay(void)
{
    tell((const struct step[]){
        {DELAY_IS, .ms = 0}, {COME, "a"}, {PASS, .ms = 0}, {JOINED, "a", .generation = 1, .members = 1}, {END}});
}

static void a_session_ends(void)
{
    tell((const struct step[]){{COME, "a"},
                               {COME, "b"},
                               {PASS, .ms = 6000},
                               {JOINED, "a"},
                               {JOINED, "b"},
                               {SYNC, "a"},
                               {SYNC, "b"},
                               {PASS, .ms = 6000},
                               {HEARTBEAT, "a"},
                               {PASS, .ms = 3999},
                               {STATE, .text = "Stable", .members = 2},
                               {PASS, .ms = 1},
                               {STATE, .text = "PreparingRebalance", .members = 1},
                               {HEARTBEAT, "b", KAFKA_UNKNOWN_MEMBER_ID},
                               {HEARTBEAT, "a", KAFKA_REBALANCE_IN_PROGRESS},
                               {JOIN, "a"},
                               {JOINED, "a", .generation = 2, .members = 1},
                               {SYNC, "a"},
                               {PASS, .ms = 9000},
                               {COMMIT, "a"}, /* it lives */
                               {PASS, .ms = 9999},
                               {STATE, .text = "Stable", .members = 1},
                               {PASS, .ms = 1},
                               {STATE, .text = "Empty"},
                               {END}});
}

static void who_does_not_rejoin_is_out(void)
{
    tell((const struct step[]){{COME, "a"},
                               {COME, "b"},
                               {PASS, .ms = 6000},
                               {JOINED, "a"},
                               {JOINED, "b"},
                               {SYNC, "a"},
                               {SYNC, "b"},
                               {COME, "c"},
                               {PASS, .ms = 8000},
                               {HEARTBEAT, "a", KAFKA_REBALANCE_IN_PROGRESS},
                               {HEARTBEAT, "b", KAFKA_REBALANCE_IN_PROGRESS},
                               {JOIN, "b", HELD},
                               {PASS, .ms = 9000},
                               {HEARTBEAT, "a", KAFKA_REBALANCE_IN_PROGRESS},
                               {PASS, .ms = 9000}, /* b waits and needs no heartbeat */
                               {HEARTBEAT, "a", KAFKA_REBALANCE_IN_PROGRESS},
                               {PASS, .ms = 9000},
                               {HEARTBEAT, "a", KAFKA_REBALANCE_IN_PROGRESS},
                               {PASS, .ms = 9000},
                               {HEARTBEAT, "a", KAFKA_REBALANCE_IN_PROGRESS},
                               {PASS, .ms = 9000},
                               {HEARTBEAT, "a", KAFKA_REBALANCE_IN_PROGRESS},
                               {PASS, .ms = 7000}, /* 60 s */
                               {JOINED, "b", .generation = 2, .text = "b", .members = 2},
                               {JOINED, "c", .generation = 2, .text = "b"},
                               {HEARTBEAT, "a", KAFKA_UNKNOWN_MEMBER_ID},
                               {END}});
}

static void who_does_not_sync_is_out(void)
{
    tell((const struct step[]){{CLIENT, "a", .session_ms = 100000},
                               {CLIENT, "b", .session_ms = 100000},
                               {COME, "a"},
                               {COME, "b"},
                               {PASS, .ms = 6000},
                               {JOINED, "a"},
                               {JOINED, "b"},
                               {SYNC, "b", HELD},
                               {PASS, .ms = 59999},
                               {STATE, .text = "CompletingRebalance", .members = 2},
                               {PASS, .ms = 1}, /* the leader never sends the assignment */
                               {SYNCED, "b", KAFKA_REBALANCE_IN_PROGRESS},
                               {STATE, .text = "PreparingRebalance", .members = 1},
                               {JOIN, "b"},
                               {JOINED, "b", .generation = 2, .text = "b", .members = 1},
                               {SYNC, "b"},
                               {SYNCED, "b"},
                               {JOIN, "a", KAFKA_UNKNOWN_MEMBER_ID},
                               {END}});
}

static void who_does_not_sync_when_stable_is_out(void)
{
    tell((const struct step[]){{CLIENT, "a", .session_ms = 100000},
                               {CLIENT, "b", .session_ms = 100000},
                               {COME, "a"},
                               {COME, "b"},
                               {PASS, .ms = 6000},
                               {JOINED, "a"},
                               {JOINED, "b"},
                               {SYNC, "a"},
                               {STATE, .text = "Stable", .members = 2},
                               {PASS, .ms = 60000},
                               {STATE, .text = "PreparingRebalance", .members = 1},
                               {HEARTBEAT, "b", KAFKA_UNKNOWN_MEMBER_ID},
                               {END}});
}

static void a_new_member_waits_five_minutes_at_most(void)
{
    tell((const struct step[]){{CLIENT, "a", .session_ms = 1800000, .rebalance_ms = 1800000},
                               {COME, "a"},
                               {PASS, .ms = 3000},
                               {JOINED, "a"},
                               {SYNC, "a"},
                               {COME, "b"},
                               {PASS, .ms = 299999},
                               {WAITS, "b"},
                               {PASS, .ms = 1},
                               {JOINED, "b", KAFKA_UNKNOWN_MEMBER_ID},
                               {STATE, .text = "PreparingRebalance", .members = 1},
                               {END}});
}

static void an_id_nobody_uses_goes(void)
{
    tell((const struct step[]){{JOIN, "a", KAFKA_MEMBER_ID_REQUIRED},
                               {PASS, .ms = 9999},
                               {COME, "a"},
                               {PASS, .ms = 3000},
                               {JOINED, "a", .generation = 1},
                               {SYNC, "a"},
                               {JOIN, "b", KAFKA_MEMBER_ID_REQUIRED},
                               {JOIN, "a", HELD}, /* the rebalance waits for b */
                               {PASS, .ms = 9999},
                               {WAITS, "a"},
                               {PASS, .ms = 1},
                               {JOINED, "a", .generation = 2, .members = 1},
                               {JOIN, "b", KAFKA_UNKNOWN_MEMBER_ID},
                               {FORGET, "b"},
                               {SYNC, "a"},
                               {JOIN, "b", KAFKA_MEMBER_ID_REQUIRED},
                               {LEAVE, "b"},
                               {STATE, .text = "Stable", .members = 1},
                               {END}});
}

/* ---- joins of members that are known ---- */

static void rejoins_in_each_state(void)
{
    tell((const struct step[]){{COME, "a"},
                               {JOIN, "a", HELD}, /* again: the newer call counts */
                               {COME, "b"},
                               {PASS, .ms = 6000},
                               {JOINED, "a", .generation = 1, .members = 2},
                               {JOINED, "b", .generation = 1},
                               {JOIN, "b"}, /* Completing, nothing new: the generation that stands */
                               {JOINED, "b", .generation = 1},
                               {JOIN, "a"},
                               {JOINED, "a", .generation = 1, .members = 2},
                               {SYNC, "b", HELD},
                               {CLIENT, "b", .text = "range=B"},
                               {JOIN, "b", HELD}, /* something new */
                               {SYNCED, "b", KAFKA_REBALANCE_IN_PROGRESS},
                               {JOIN, "a"},
                               {JOINED, "a", .generation = 2, .members = 2},
                               {JOINED, "b", .generation = 2},
                               {SYNC, "a"},
                               {SYNC, "b"},
                               {JOIN, "b"}, /* Stable, nothing new */
                               {JOINED, "b", .generation = 2},
                               {CLIENT, "b", .text = "range=C"},
                               {JOIN, "b", HELD},
                               {JOIN, "a"},
                               {JOINED, "b", .generation = 3},
                               {SYNC, "a"},
                               {SYNC, "b"},
                               {JOIN, "a", HELD}, /* a leader comes to assign anew */
                               {JOIN, "b"},
                               {JOINED, "a", .generation = 4, .members = 2},
                               {END}});
}

static void a_newer_call_ends_the_older(void)
{
    begin_story();
    struct client *a = client("a"), *b = client("b");
    ASSERT_EQ(come(a), HELD);
    struct world_call *older = a->join;
    ASSERT_EQ(join(a), HELD);
    ASSERT_EQ(older->ends, 1);
    ASSERT_EQ(older->join.error_code, KAFKA_REBALANCE_IN_PROGRESS);
    ASSERT_EQ(come(b), HELD);
    world_pass(6000);
    take_join(a, a->join);
    take_join(b, b->join);
    struct client *follower = a->leads ? b : a;
    ASSERT_EQ(sync(follower), HELD);
    older = follower->sync;
    ASSERT_EQ(sync(follower), HELD);
    ASSERT_EQ(sync_error(older), KAFKA_REBALANCE_IN_PROGRESS);
    world_end();
}

static void calls_whose_clients_go(void)
{
    tell((const struct step[]){{COME, "a"},
                               {COME, "b"},
                               {CANCEL, "b"},
                               {STATE, .text = "PreparingRebalance", .members = 2},
                               {PASS, .ms = 6000},
                               {JOINED, "a", .generation = 1, .members = 2}, /* b counts: it may come again */
                               {JOIN, "b"},
                               {JOINED, "b", .generation = 1},
                               {SYNC, "b", HELD},
                               {CANCEL, "b"},
                               {SYNC, "a"},
                               {SYNCED, "a"},
                               {SYNC, "b"},
                               {SYNCED, "b"},
                               {COME, "c"},
                               {CANCEL, "c"},
                               {JOIN, "a", HELD},
                               {JOIN, "b"},
                               {JOINED, "a", .generation = 2, .members = 3},
                               {SYNC, "a"},
                               {SYNC, "b"},
                               {PASS, .ms = 9000},
                               {HEARTBEAT, "a"},
                               {HEARTBEAT, "b"},
                               {PASS, .ms = 1000}, /* c never came */
                               {STATE, .text = "PreparingRebalance", .members = 2},
                               {END}});
}

static void what_a_member_says_is_checked(void)
{
    tell((const struct step[]){{CLIENT, "a", .session_ms = 5999},
                               {JOIN, "a", KAFKA_INVALID_SESSION_TIMEOUT},
                               {CLIENT, "a", .session_ms = 1800001},
                               {JOIN, "a", KAFKA_INVALID_SESSION_TIMEOUT},
                               {CLIENT, "a", .session_ms = 10000, .text = ""},
                               {JOIN, "a", KAFKA_INCONSISTENT_GROUP_PROTOCOL},
                               {CLIENT, "a", .text = "range=A"},
                               {COME, "a"},
                               {PASS, .ms = 3000},
                               {JOINED, "a", .generation = 1},
                               {CLIENT, "b", .text = "sticky=B"},
                               {JOIN, "b", KAFKA_INCONSISTENT_GROUP_PROTOCOL},
                               {HEARTBEAT, "b", KAFKA_UNKNOWN_MEMBER_ID},
                               {SYNC, "b", KAFKA_UNKNOWN_MEMBER_ID},
                               {LEAVE, "b", KAFKA_UNKNOWN_MEMBER_ID},
                               {CLIENT, "b", .text = "range=B"},
                               {COME, "b"},
                               {JOIN, "a"},
                               {JOINED, "b", .generation = 2},
                               {SYNC, "a"},
                               {CLIENT, "a", .text = "sticky=B"},
                               {JOIN, "a", KAFKA_INCONSISTENT_GROUP_PROTOCOL},
                               {END}});
}

static void refuse_by(void (*change)(struct client *c), int heartbeat_error, int sync_error_wanted, int commit_error)
{
    begin_story();
    struct client *a = client("a");
    ASSERT_EQ(come(a), HELD);
    world_pass(3000);
    take_join(a, a->join);
    ASSERT_EQ(sync(a), KAFKA_NONE);
    change(a);
    ASSERT_EQ(heartbeat(a), heartbeat_error);
    ASSERT_EQ(sync(a), sync_error_wanted);
    ASSERT_EQ(commit(a), commit_error);
    world_end();
}

static void older_generation(struct client *c)
{
    c->generation--;
}

static void newer_generation(struct client *c)
{
    c->generation++;
}

static void other_id(struct client *c)
{
    c->member_id[0] ^= 1;
}

static void unknown_instance(struct client *c)
{
    c->instance = "i";
}

static void no_generation_no_member(struct client *c)
{
    c->generation = -1;
    c->member_id[0] = '\0';
}

static void stale_members_are_refused(void)
{
    refuse_by(older_generation, KAFKA_ILLEGAL_GENERATION, KAFKA_ILLEGAL_GENERATION, KAFKA_ILLEGAL_GENERATION);
    refuse_by(newer_generation, KAFKA_ILLEGAL_GENERATION, KAFKA_ILLEGAL_GENERATION, KAFKA_ILLEGAL_GENERATION);
    refuse_by(other_id, KAFKA_UNKNOWN_MEMBER_ID, KAFKA_UNKNOWN_MEMBER_ID, KAFKA_UNKNOWN_MEMBER_ID);
    refuse_by(unknown_instance, KAFKA_UNKNOWN_MEMBER_ID, KAFKA_UNKNOWN_MEMBER_ID, KAFKA_UNKNOWN_MEMBER_ID);
    refuse_by(no_generation_no_member, KAFKA_UNKNOWN_MEMBER_ID, KAFKA_UNKNOWN_MEMBER_ID, KAFKA_UNKNOWN_MEMBER_ID);
}

static void the_protocol_that_most_prefer(void)
{
    tell((const struct step[]){
        {CLIENT, "a", .text = "range=A,sticky=A"},
        {CLIENT, "b", .text = "own=B,sticky=B,range=B"},
        {CLIENT, "c", .text = "sticky=C,range=C"},
        {COME, "a"},
        {COME, "b"},
        {COME, "c"},
        {PASS, .ms = 6000},
        {JOINED, "a", .generation = 1, .members = 3, .protocol = "sticky"},
        {SYNC, "a"},
        {STATE, .text = "Stable", .members = 3},
        {LEAVE, "c"},
        {JOIN, "b", HELD},
        {JOIN, "a"},
        {JOINED, "a", .generation = 2, .members = 2, .protocol = "range"}, /* one vote each: the older member's */

        {END}});
}

static void the_group_may_be_full(void)
{
    tell((const struct step[]){{SIZE_MAX_IS, .members = 2},
                               {COME, "a"},
                               {COME, "b"},
                               {JOIN, "c", KAFKA_GROUP_MAX_SIZE_REACHED},
                               {PASS, .ms = 6000},
                               {JOINED, "a", .generation = 1, .members = 2},
                               {JOINED, "b"},
                               {JOIN, "c", KAFKA_GROUP_MAX_SIZE_REACHED},
                               {SYNC, "a"},
                               {SYNC, "b"},
                               {JOIN, "c", KAFKA_GROUP_MAX_SIZE_REACHED},
                               {JOIN, "b"}, /* a member may */
                               {SIZE_MAX_IS, .members = 1},
                               {RESTART}, /* too many now */
                               {STATE, .text = "PreparingRebalance", .members = 2},
                               {JOIN, "b", HELD},
                               {JOIN, "a", KAFKA_GROUP_MAX_SIZE_REACHED},
                               {HEARTBEAT, "b", KAFKA_REBALANCE_IN_PROGRESS},
                               {PASS, .ms = 60000},
                               {JOINED, "b", .generation = 2, .text = "b", .members = 1},
                               {END}});
}

TEST_MAIN("group_classic", {"one member joins, syncs, lives, leaves", one_member},
          {"two members share, a third makes all join again", two_members},
          {"members of old versions need no id first", old_versions},
          {"the first rebalance waits while more come, up to the timeout", first_rebalance_waits_for_more},
          {"a delay of 0 waits for nobody", first_rebalance_without_delay},
          {"a session ends without heartbeats; a commit is as good as one", a_session_ends},
          {"who does not rejoin in time is out", who_does_not_rejoin_is_out},
          {"who does not sync in time is out", who_does_not_sync_is_out},
          {"also when the others have their assignment", who_does_not_sync_when_stable_is_out},
          {"a new member waits five minutes at most", a_new_member_waits_five_minutes_at_most},
          {"an id that nobody uses goes", an_id_nobody_uses_goes},
          {"a known member joins again in each state", rejoins_in_each_state},
          {"a newer call ends the older", a_newer_call_ends_the_older},
          {"calls whose clients go", calls_whose_clients_go},
          {"what a member says is checked", what_a_member_says_is_checked},
          {"stale members are refused", stale_members_are_refused},
          {"the protocol that most prefer", the_protocol_that_most_prefer},
          {"a group may be full", the_group_may_be_full})

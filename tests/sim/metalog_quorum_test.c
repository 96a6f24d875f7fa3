// SPDX-License-Identifier: Apache-2.0
/* Three metalogs, told as stories. The world checks each step: one leader in a term, the same entries everywhere. */
#include "base/bytes.h"
#include "tests/sim/metalog_world.h"
#include "tests/unit/check_main.h"
#include <stdio.h>
#include <stdlib.h>

static struct metalog_world w;

static void begin(uint64_t seed)
{
    mworld_init(&w, seed, 3, NULL);
    for (uint32_t i = 0; i < 3; i++) w.nodes[i].config.election_ms = i == 0 ? 300 : 3000; /* node 0 leads first */
}

static void boot_all(void)
{
    for (uint32_t i = 0; i < 3; i++) ASSERT_EQ(mworld_boot(&w, i), STATUS_OK);
}

static void cut(uint32_t a, uint32_t b, bool yes)
{
    w.cut[a][b] = w.cut[b][a] = yes;
    w.connection[a][b]++;
    w.connection[b][a]++;
}

static void alone(uint32_t node, bool yes)
{
    for (uint32_t i = 0; i < 3; i++)
        if (i != node) cut(node, i, yes);
}

static uint32_t led_by(uint32_t node)
{
    uint32_t leader = 99;
    ASSERT(mworld_wait_leader(&w, &leader));
    ASSERT_EQ(leader, node);
    return leader;
}

static void append(uint32_t node, uint64_t from, uint64_t count, uint32_t size)
{
    for (uint64_t i = from; i < from + count; i++) ASSERT_EQ(mworld_append(&w, node, i, size), STATUS_OK);
}

static bool same(void)
{
    for (uint32_t i = 0; i < 3; i++)
        if (w.nodes[i].index != w.truth_count || w.nodes[i].hash != w.nodes[0].hash) return false;
    return true;
}

/* Some election times of the stories are long: a candidate of a later term makes everybody wait for one more election.
 */
static void expect_same(void)
{
    for (int i = 0; i < 30 && !same(); i++) mworld_pass(&w, NS_PER_S);
    ASSERT(same());
}

static void entries_reach_everybody(void)
{
    begin(1);
    boot_all();
    led_by(0);
    append(0, 0, 50, 200);
    ASSERT_EQ(mworld_append(&w, 1, 1, 10), STATUS_NOT_LEADER);
    expect_same();
    ASSERT_EQ(metalog_leader(w.nodes[2].log), w.nodes[0].id);
    mworld_deinit(&w);
}

/* Node 2 votes, and its disk hangs before the vote is on it. If the answer left, node 0 would lead in this term; node 2
 * loses power, forgets, and votes for node 1 in the same term. */
static void a_vote_leaves_when_it_is_durable(void)
{
    begin(2);
    cut(0, 1, true);
    w.nodes[1].config.election_ms = 2000;
    w.nodes[2].config.election_ms = 9000;
    boot_all();
    sim_fault_add(
        w.nodes[2].machine,
        &(struct sim_fault_rule){
            .fault = SIM_FAULT_STALL, .path = "*control", .nth = 1, .count = UINT64_MAX, .delay_ns = 20 * NS_PER_S});
    mworld_pass(&w, 900 * NS_PER_MS); /* node 0 asks for votes */
    ASSERT(w.nodes[0].role != METALOG_LEADER);
    mworld_kill(&w, 2, SIM_POWER);
    sim_fault_clear(w.nodes[2].machine);
    ASSERT_EQ(mworld_boot(&w, 2), STATUS_OK);
    cut(0, 2, true);
    led_by(1);
    for (uint32_t i = 0; i < 3; i++) alone(i, false);
    append(1, 0, 5, 10);
    expect_same();
    mworld_deinit(&w);
}

/* What a leader takes while it is cut off is overwritten; whoever asked learns it. */
static void a_lost_leader_learns_what_became_of_its_entries(void)
{
    begin(3);
    uint32_t leader = 0;
    boot_all();
    led_by(0);
    append(0, 0, 5, 100);
    alone(0, true);
    for (uint64_t i = 0; i < 4; i++) mworld_submit(&w, 0, 100 + i, 50);
    mworld_pass(&w, 50 * NS_PER_MS);
    ASSERT_EQ(w.refused, 0);
    mworld_pass(&w, 2 * NS_PER_S);
    ASSERT(w.nodes[0].role != METALOG_LEADER); /* it stepped down by itself */
    ASSERT(mworld_wait_leader(&w, &leader) && leader != 0);
    append(leader, 200, 5, 50);
    ASSERT_EQ(w.refused, 0); /* nobody knows yet */
    alone(0, false);
    expect_same();
    ASSERT_EQ(w.refused, 4); /* NOT_LEADER: they are not in the log */
    ASSERT(metalog_counters(w.nodes[0].log)->truncations > 0);
    mworld_deinit(&w);
}

static void who_is_far_behind_gets_a_snapshot(void)
{
    begin(4);
    boot_all();
    led_by(0);
    alone(2, true);
    append(0, 0, 400, 900);
    mworld_pass(&w, NS_PER_S);
    ASSERT(metalog_counters(w.nodes[0].log)->snapshots >= 2);
    alone(2, false);
    mworld_pass(&w, 10 * NS_PER_S);
    expect_same();
    ASSERT(metalog_counters(w.nodes[2].log)->installs == 1 && w.nodes[2].restores == 1);
    append(0, 500, 5, 100);
    expect_same();
    mworld_kill(&w, 2, SIM_POWER); /* and it has it for good */
    ASSERT_EQ(mworld_boot(&w, 2), STATUS_OK);
    ASSERT(w.nodes[2].restores == 2);
    mworld_pass(&w, 5 * NS_PER_S);
    expect_same();
    mworld_deinit(&w);
}

static void leadership_is_handed_over(void)
{
    begin(5);
    boot_all();
    led_by(0);
    append(0, 0, 5, 100);
    ASSERT_EQ(metalog_transfer(w.nodes[1].log, -1), STATUS_NOT_LEADER);
    ASSERT_EQ(metalog_transfer(w.nodes[0].log, 77), STATUS_INVALID);
    ASSERT_EQ(metalog_transfer(w.nodes[0].log, w.nodes[2].id), STATUS_OK);
    ASSERT_EQ(metalog_transfer(w.nodes[0].log, w.nodes[1].id), STATUS_BUSY);
    int64_t before = sim_now(w.sim);
    while (w.nodes[2].role != METALOG_LEADER && sim_now(w.sim) < before + NS_PER_S) mworld_pass(&w, NS_PER_MS);
    ASSERT(sim_now(w.sim) < before + 200 * NS_PER_MS); /* not by a time-out */
    append(2, 10, 5, 100);
    expect_same();
    mworld_deinit(&w);
}

/* A majority is enough; without one nothing is answered, and nothing is lost. */
static void a_minority_waits(void)
{
    begin(6);
    boot_all();
    led_by(0);
    append(0, 0, 3, 10);
    mworld_kill(&w, 1, SIM_POWER);
    append(0, 10, 3, 10);
    mworld_kill(&w, 2, SIM_POWER);
    uint64_t acked = w.acked;
    mworld_submit(&w, 0, 99, 10);
    mworld_pass(&w, 20 * NS_PER_S);
    ASSERT_EQ(w.acked, acked);
    ASSERT_EQ(mworld_boot(&w, 1), STATUS_OK);
    ASSERT_EQ(mworld_boot(&w, 2), STATUS_OK);
    uint32_t leader;
    ASSERT(mworld_wait_leader(&w, &leader));
    append(leader, 20, 3, 10);
    expect_same();
    ASSERT_EQ(w.nodes[0].commands, 10); /* the waiting one too: its log had it, and was the longest */
    ASSERT_EQ(w.acked, acked + 4);
    mworld_deinit(&w);
}

TEST_MAIN("metalog quorum", {"entries reach everybody", entries_reach_everybody},
          {"a vote leaves when it is durable", a_vote_leaves_when_it_is_durable},
          {"a lost leader learns what became of its entries", a_lost_leader_learns_what_became_of_its_entries},
          {"who is far behind gets a snapshot", who_is_far_behind_gets_a_snapshot},
          {"leadership is handed over", leadership_is_handed_over}, {"a minority waits", a_minority_waits})

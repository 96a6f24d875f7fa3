// SPDX-License-Identifier: Apache-2.0
/* The timers of env: a pairing heap that nobody sees. */
#include "base/prng.h"
#include "tests/unit/env_fake.h"

static void timers_fire_by_deadline_then_arming(void)
{
    struct alarm a[6] = {0};
    world_open();
    ASSERT_EQ(env_next_deadline(&w.env).v, INT64_MAX);
    static const int64_t deadlines[6] = {1050, 1030, 1030, 1090, 1030, 1050};
    for (int i = 0; i < 6; i++) arm(&a[i], 'a' + i, deadlines[i]);
    arm(&a[1], 'b', 1030); /* re-armed for the same time: now behind c and e */
    ASSERT_EQ(env_next_deadline(&w.env).v, 1030);
    turn_at(1029);
    expect_log("");
    ASSERT_EQ(w.waited_until, 1030);
    turn_at(1030); /* on the nanosecond */
    expect_log("ceb");
    ASSERT_EQ(w.waited_until, 1050);
    arm(&a[3], 'd', 1040); /* earlier than it was */
    env_timer_stop(&w.env, &a[5].timer);
    env_timer_stop(&w.env, &a[5].timer); /* fine */
    ASSERT(!env_timer_armed(&a[5].timer) && env_timer_armed(&a[0].timer));
    turn_at(2000);
    expect_log("da");
    ASSERT_EQ(w.waited_until, INT64_MAX);
    world_close();
}

static void a_firing_timer_may_stop_and_arm(void)
{
    struct alarm a[4] = {0};
    world_open();
    for (int i = 0; i < 4; i++) arm(&a[i], 'a' + i, 1001 + i);
    a[0].stops = &a[1];                     /* due in the same turn: does not fire */
    a[0].arms = &a[0], a[0].arms_at = 1000; /* itself, for the past: next turn, or the turn would never end */
    a[2].arms = &a[3], a[2].arms_at = 5000; /* due in the same turn: put off */
    turn_at(1010);
    expect_log("a");
    ASSERT_EQ(w.waited_until, 1010); /* no sleep: one is due */
    a[0].arms = NULL;
    turn_at(1011);
    expect_log("ac");
    ASSERT(!env_timer_armed(&a[1].timer) && env_timer_armed(&a[3].timer));
    ASSERT_EQ(w.waited_until, 5000);
    turn_at(5000);
    expect_log("d");
    world_close();
}

#define ALARMS 48
static struct {
    struct prng prng;
    struct alarm alarms[ALARMS];
    int64_t deadline[ALARMS]; /* -1: not armed */
    uint64_t seq[ALARMS], next_seq, limit;
    unsigned fired;
} model;

/* The armed one that is first; -1: none. */
static int model_first(void)
{
    int first = -1;
    for (int i = 0; i < ALARMS; i++) {
        if (model.deadline[i] < 0) continue;
        if (first < 0 || model.deadline[i] < model.deadline[first] ||
            (model.deadline[i] == model.deadline[first] && model.seq[i] < model.seq[first]))
            first = i;
    }
    return first;
}

static void model_change(void)
{
    int i = (int)prng_below(&model.prng, ALARMS);
    ASSERT_EQ(env_timer_armed(&model.alarms[i].timer), model.deadline[i] >= 0);
    if (prng_chance(&model.prng, 1, 3)) {
        env_timer_stop(&w.env, &model.alarms[i].timer);
        model.deadline[i] = -1;
    } else {
        model.deadline[i] = w.clock - 3 + (int64_t)prng_below(&model.prng, 20); /* often equal, sometimes past */
        model.seq[i] = model.next_seq++;
        env_timer_start(&w.env, &model.alarms[i].timer, (struct mono_ns){model.deadline[i]});
    }
}

static void model_fire(struct timer *t)
{
    int i = (int)(container_of(t, struct alarm, timer) - model.alarms);
    ASSERT_EQ(model_first(), i);
    ASSERT(model.deadline[i] <= w.clock && model.seq[i] < model.limit);
    model.deadline[i] = -1;
    model.fired++;
    if (prng_chance(&model.prng, 1, 2)) model_change();
}

static void timers_agree_with_a_sorted_model(void)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        world_open();
        memset(&model, 0, sizeof model);
        prng_seed(&model.prng, seed, 0);
        for (int i = 0; i < ALARMS; i++) model.deadline[i] = -1, model.alarms[i].timer.fire = model_fire;
        for (int step = 0; step < 2000; step++) {
            model_change();
            int first = model_first();
            ASSERT_EQ(env_next_deadline(&w.env).v, first < 0 ? INT64_MAX : model.deadline[first]);
            if (!prng_chance(&model.prng, 1, 4)) continue;
            model.limit = model.next_seq;
            turn_at(w.clock + (int64_t)prng_below(&model.prng, 4));
            first = model_first(); /* what is left is not due, or was armed for the past in this very turn */
            ASSERT(first < 0 || model.deadline[first] > w.clock || model.seq[first] >= model.limit);
        }
        ASSERT(model.fired > 300);
        for (int i = 0; i < ALARMS; i++) env_timer_stop(&w.env, &model.alarms[i].timer);
        ASSERT_EQ(env_next_deadline(&w.env).v, INT64_MAX);
        world_close();
    }
}

TEST_MAIN("env timer", {"timers fire by deadline, then by order of arming", timers_fire_by_deadline_then_arming},
          {"a firing timer may stop and arm others and itself", a_firing_timer_may_stop_and_arm},
          {"timers agree with a sorted model", timers_agree_with_a_sorted_model})

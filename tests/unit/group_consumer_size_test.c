// SPDX-License-Identifier: Apache-2.0
/* Consumer groups when memory fails, and when they are large. */
#include "tests/unit/consumer_world.h"
#include <stdio.h>
#include <time.h>

#define SAYS(request, expected) ASSERT_STREQ(beat(request), expected)

static void begin(void)
{
    world_begin();
    world_topic("a", 4);
    world_topic("b", 2);
}

/* ---- no memory ---- */

/* The call after `before` others, its n-th allocation fails. False: it does without (or has not so many). */
static bool fails(const char *const *story, size_t before, uint64_t n)
{
    static const char no[] = "COORDINATOR_NOT_AVAILABLE";
    begin();
    for (size_t i = 0; i < before; i++) (void)beat(story[i]);
    world_fail_nth(n);
    bool failed = strcmp(beat(story[before]), no) == 0;
    world_fail_nth(0);
    if (failed) ASSERT(strcmp(beat(story[before]), no) != 0); /* the client tries again */
    world_end();
    return failed;
}

/* Whatever allocation fails, the call is answered so, the log can be loaded, and the story goes on. */
static void any_allocation_may_fail(void)
{
    static const char *const story[] = {
        "m1 join topics=a,b instance=i timeout=30000",
        "m2 join topics=a regex=b|c assignor=range",
        "m1 epoch=2 instance=i",
        "m1 epoch=2 instance=i has=a:0,1;b:0",
        "m2 epoch=3",
        "m1 leave-static instance=i",
        "m3 join topics=a,b instance=i",
        "m2 epoch=3 regex=a",
        "m2 leave",
        "m3 epoch=4 instance=i has=a:0,1;b:0",
        "m3 leave instance=i",
    };
    uint64_t failures = 0;
    for (size_t i = 0; i < COUNT_OF(story); i++)
        for (uint64_t n = 1; n <= 100; n++) failures += fails(story, i, n);
    ASSERT(failures > 80);
}

/* ---- size ---- */

static double cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* 1,000 members, 10,000 partitions: one step assigns them all; a heartbeat without news costs the same as in a group of
 * two. Times are printed, only their order of size is checked: this build may have sanitizers. */
static void a_large_group(void)
{
    enum { MEMBERS = 1000, BEATS = 2000 };
    char request[64];
    begin();
    world_topic("large", 10000);
    world_settings.consumer_assignment_ms = 15000;
    for (int i = 0; i < MEMBERS; i++) {
        snprintf(request, sizeof request, "m%d join topics=large timeout=90000", i);
        (void)beat(request);
    }
    ASSERT_EQ(world_group()->consumer->member_count, MEMBERS);
    world_later(15000);
    double from = cpu_ms();
    SAYS("m1 epoch=2", "1001"); /* it had nothing yet, and all is still with m0 */
    double assigned = cpu_ms() - from;
    ASSERT_EQ(world_group()->consumer->assignment_epoch, MEMBERS + 1);
    list_each (n, &world_group()->consumer->all)
        ASSERT_EQ(container_of(n, struct consumer_member, in_all)->target.count, 10);
    world_check_tables(false);
    from = cpu_ms();
    for (int i = 0; i < BEATS; i++) SAYS("m1 epoch=1001", "1001");
    printf("\n    1,000 members, 10,000 partitions: assigned in %.1f ms, a heartbeat %.1f us\n", assigned,
           (cpu_ms() - from) * 1e3 / BEATS);
    ASSERT(assigned < 2000);
    world_end();
}

TEST_MAIN("group consumer size", {"any allocation may fail", any_allocation_may_fail}, {"a large group", a_large_group})

// SPDX-License-Identifier: Apache-2.0
/* The assignors of consumer groups: what is promised in assign.h, on examples and on random groups. */
#include "base/bytes.h"
#include "base/clock.h"
#include "base/prng.h"
#include "broker/group/assign.h"
#include "tests/unit/check_main.h"
#include <stdio.h>
#include <time.h>

#define MEMBERS_MOST 1000
#define TOPICS_MOST  1000

static struct mem *m;
static struct arena a;
static struct assign_topic topics[TOPICS_MOST];
static struct assignment x;

static void begin_test(uint32_t members)
{
    m = mem_create(512u << 20);
    arena_init(&a, m, MEM_CONTROL, (size_t)256 << 20);
    x = (struct assignment){.topics = topics, .member_count = members};
}

static void end_test(void)
{
    arena_deinit(&a);
    mem_destroy(m);
}

/* subscribed: a character per member, '1': it subscribes. NULL: all do. */
static void add_topic(uint32_t partitions, const char *subscribed)
{
    struct assign_topic *t = &topics[x.topic_count];
    uint32_t *members = arena_alloc(&a, x.member_count * sizeof *members);
    *t = (struct assign_topic){.first = x.partition_count, .count = partitions, .members = members};
    store_be32(t->id.b, x.topic_count++);
    x.partition_count += partitions;
    for (uint32_t i = 0; i < x.member_count; i++)
        if (subscribed == NULL || subscribed[i] == '1') members[t->member_count++] = i;
}

static void begin_owners(void)
{
    x.owner = arena_alloc(&a, x.partition_count * sizeof x.owner[0]);
    memset(x.owner, 0xff, x.partition_count * sizeof x.owner[0]);
}

static uint32_t load_of(uint32_t member)
{
    uint32_t n = 0;
    for (uint32_t p = 0; p < x.partition_count; p++) n += x.owner[p] == member;
    return n;
}

static bool is_member(const struct assign_topic *t, uint32_t member)
{
    for (uint32_t i = 0; i < t->member_count; i++)
        if (t->members[i] == member) return true;
    return false;
}

/* Each partition is with one of its topic's members; with none only where there is none. */
static void check_sound(void)
{
    for (uint32_t i = 0; i < x.topic_count; i++)
        for (uint32_t p = topics[i].first; p < topics[i].first + topics[i].count; p++)
            ASSERT(topics[i].member_count == 0 ? x.owner[p] == ASSIGN_NONE : is_member(&topics[i], x.owner[p]));
}

/* No move of one partition makes two loads more even. */
static void check_even(void)
{
    uint32_t *load = arena_zalloc(&a, x.member_count * sizeof *load);
    for (uint32_t p = 0; p < x.partition_count; p++)
        if (x.owner[p] != ASSIGN_NONE) load[x.owner[p]]++;
    for (uint32_t i = 0; i < x.topic_count; i++)
        for (uint32_t p = topics[i].first; p < topics[i].first + topics[i].count; p++)
            for (uint32_t j = 0; j < topics[i].member_count; j++)
                ASSERT(load[x.owner[p]] <= load[topics[i].members[j]] + 1);
}

static void divides_evenly(void)
{
    begin_test(3);
    add_topic(4, NULL);
    add_topic(3, NULL);
    begin_owners();
    ASSERT_EQ(assign_uniform(&a, &x), STATUS_OK);
    check_sound();
    ASSERT(load_of(0) == 3 && load_of(1) == 2 && load_of(2) == 2);
    end_test();
}

static void moves_no_more_than_it_must(void)
{
    begin_test(4);
    add_topic(12, NULL);
    begin_owners();
    for (uint32_t p = 0; p < 12; p++) x.owner[p] = p % 3; /* members 0 to 2 have four each; 3 is new */
    uint32_t before[12], moved = 0;
    memcpy(before, x.owner, sizeof before);
    ASSERT_EQ(assign_uniform(&a, &x), STATUS_OK);
    check_sound();
    for (uint32_t i = 0; i < 4; i++) ASSERT_EQ(load_of(i), 3);
    for (uint32_t p = 0; p < 12; p++) moved += before[p] != x.owner[p];
    ASSERT_EQ(moved, 3);
    end_test();
}

/* Who has one more keeps it: nobody else is asked to give anything up. */
static void remainder_stays_where_it_is(void)
{
    begin_test(3);
    add_topic(5, NULL);
    begin_owners();
    for (uint32_t p = 0; p < 5; p++) x.owner[p] = p < 1 ? 0 : p < 3 ? 1 : 2;
    ASSERT_EQ(assign_uniform(&a, &x), STATUS_OK);
    ASSERT(load_of(0) == 1 && load_of(1) == 2 && load_of(2) == 2);
    end_test();
}

static void respects_subscriptions(void)
{
    begin_test(3);
    add_topic(6, "100");
    add_topic(6, "011");
    add_topic(2, "000");
    add_topic(3, "111");
    begin_owners();
    x.owner[0] = 2; /* it does not subscribe to that topic (any more) */
    ASSERT_EQ(assign_uniform(&a, &x), STATUS_OK);
    check_sound();
    check_even();
    ASSERT_EQ(load_of(0), 6);
    end_test();
}

/* A chain: what 0 gives up can only reach 3 through 1 and 2. */
static void evens_out_along_a_chain(void)
{
    begin_test(4);
    add_topic(20, "1100");
    add_topic(20, "0110");
    add_topic(20, "0011");
    begin_owners();
    memset(x.owner, 0, x.partition_count * sizeof x.owner[0]);
    for (uint32_t p = 20; p < 40; p++) x.owner[p] = 1;
    for (uint32_t p = 40; p < 60; p++) x.owner[p] = 2;
    ASSERT_EQ(assign_uniform(&a, &x), STATUS_OK);
    check_sound();
    check_even();
    end_test();
}

static void range_gives_runs(void)
{
    begin_test(3);
    add_topic(7, NULL);
    add_topic(2, NULL);
    add_topic(3, "101");
    begin_owners();
    x.owner[0] = 2; /* it does not matter who has what */
    assign_range(&x);
    const uint32_t expected[] = {0, 0, 0, 1, 1, 2, 2, 0, 1, 0, 0, 2};
    ASSERT(memcmp(x.owner, expected, sizeof expected) == 0);
    end_test();
}

static void nobody_is_there(void)
{
    begin_test(0);
    add_topic(3, "");
    begin_owners();
    x.owner[1] = 7;
    ASSERT_EQ(assign_uniform(&a, &x), STATUS_OK);
    check_sound();
    x.owner[1] = 7;
    assign_range(&x);
    check_sound();
    end_test();
}

static void random_group(struct prng *r, bool alike)
{
    char subscribed[MEMBERS_MOST];
    begin_test((uint32_t)prng_below(r, 20) + 1);
    uint64_t density = prng_below(r, 10) + 1;
    for (uint64_t n = prng_below(r, 15) + 1; n > 0; n--) {
        for (uint32_t i = 0; i < x.member_count; i++) subscribed[i] = prng_below(r, 10) < density ? '1' : '0';
        add_topic((uint32_t)prng_below(r, 30), alike ? NULL : subscribed);
    }
    begin_owners();
    for (uint32_t p = 0; p < x.partition_count; p++)
        if (prng_chance(r, 2, 3)) x.owner[p] = (uint32_t)prng_below(r, x.member_count);
}

/* The least number of moves by which loads can differ by one at most: what each has above its share, if the members
 * with the most have the larger shares. */
static uint32_t least_moves(void)
{
    uint32_t each = x.partition_count / x.member_count, more = x.partition_count % x.member_count, moves = 0;
    for (uint32_t i = 0; i < x.member_count; i++) {
        uint32_t has = load_of(i), share = each;
        if (has > each && more > 0) {
            share++;
            more--;
        }
        moves += has > share ? has - share : 0;
    }
    for (uint32_t p = 0; p < x.partition_count; p++) moves += x.owner[p] == ASSIGN_NONE;
    return moves;
}

static void random_groups_alike(void)
{
    struct prng r;
    prng_seed(&r, 848, 1);
    for (int round = 0; round < 3000; round++) {
        random_group(&r, true);
        uint32_t least = least_moves(), moves = 0;
        uint32_t *before = arena_alloc(&a, x.partition_count * sizeof *before);
        memcpy(before, x.owner, x.partition_count * sizeof *before);
        ASSERT_EQ(assign_uniform(&a, &x), STATUS_OK);
        check_sound();
        check_even();
        for (uint32_t p = 0; p < x.partition_count; p++) moves += before[p] != x.owner[p];
        ASSERT_EQ(moves, least);
        memcpy(before, x.owner, x.partition_count * sizeof *before);
        ASSERT_EQ(assign_uniform(&a, &x), STATUS_OK);
        ASSERT(memcmp(before, x.owner, x.partition_count * sizeof *before) == 0); /* nothing left to do */
        end_test();
    }
}

static void random_groups_unlike(void)
{
    struct prng r;
    prng_seed(&r, 848, 2);
    for (int round = 0; round < 3000; round++) {
        random_group(&r, false);
        ASSERT_EQ(assign_uniform(&a, &x), STATUS_OK);
        check_sound();
        check_even();
        uint32_t *before = arena_alloc(&a, x.partition_count * sizeof *before);
        memcpy(before, x.owner, x.partition_count * sizeof *before);
        ASSERT_EQ(assign_uniform(&a, &x), STATUS_OK);
        ASSERT(memcmp(before, x.owner, x.partition_count * sizeof *before) == 0);
        assign_range(&x);
        check_sound();
        end_test();
    }
}

/* A member leaves and comes: partitions of the others stay. */
static void stays_put_when_one_leaves(void)
{
    begin_test(10);
    char subscribed[10];
    memset(subscribed, '1', sizeof subscribed);
    subscribed[3] = '0'; /* it has left: as if it subscribed to nothing */
    add_topic(90, subscribed);
    begin_owners();
    uint32_t kept = 0;
    for (uint32_t p = 0; p < 90; p++) x.owner[p] = p % 10;
    ASSERT_EQ(assign_uniform(&a, &x), STATUS_OK);
    check_sound();
    check_even();
    for (uint32_t p = 0; p < 90; p++) kept += x.owner[p] == p % 10;
    ASSERT_EQ(kept, 81);
    end_test();
}

static void many(bool alike)
{
    char subscribed[MEMBERS_MOST];
    begin_test(MEMBERS_MOST);
    for (uint32_t t = 0; t < TOPICS_MOST; t++) {
        for (uint32_t i = 0; i < MEMBERS_MOST; i++) subscribed[i] = (i * 7 + t) % 5 != 0 ? '1' : '0';
        add_topic(10, alike ? NULL : subscribed);
    }
    begin_owners();
    struct timespec from, to;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
    ASSERT_EQ(assign_uniform(&a, &x), STATUS_OK);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
    printf("\n    %s: 1,000 members, 10,000 partitions of 1,000 topics: %.1f ms of CPU\n", alike ? "alike" : "unlike",
           (double)(to.tv_sec - from.tv_sec) * 1e3 + (double)(to.tv_nsec - from.tv_nsec) / 1e6);
    check_sound();
    check_even();
    end_test();
}

static void many_members(void)
{
    many(true);
    many(false);
}

static void no_memory(void)
{
    static uint32_t owner[8];
    for (int alike = 0; alike < 2; alike++) {
        begin_test(50);
        add_topic(8, alike ? NULL : "01010000000000000000000000000000000000000000000000");
        x.owner = owner;
        arena_deinit(&a);
        arena_init(&a, m, MEM_CONTROL, 0);
        static const uint32_t members[] = {0, 1};
        topics[0].members = members;
        topics[0].member_count = alike ? x.member_count : 2;
        ASSERT_EQ(assign_uniform(&a, &x), STATUS_NO_MEMORY);
        end_test();
    }
}

TEST_MAIN("group assign", {"divides evenly", divides_evenly},
          {"moves no more than it must", moves_no_more_than_it_must},
          {"the remainder stays where it is", remainder_stays_where_it_is},
          {"respects subscriptions", respects_subscriptions}, {"evens out along a chain", evens_out_along_a_chain},
          {"range gives runs", range_gives_runs}, {"nobody is there", nobody_is_there},
          {"random groups, alike", random_groups_alike}, {"random groups, unlike", random_groups_unlike},
          {"stays put when one leaves", stays_put_when_one_leaves}, {"many members", many_members},
          {"no memory", no_memory})

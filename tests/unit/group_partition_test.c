// SPDX-License-Identifier: Apache-2.0
/* Where a group lives: the partitions that Apache Kafka's own code computes (Java's String.hashCode), by a script that
 * shares no code with ours. */
#include "broker/group/host.h"
#include "tests/unit/check_main.h"

static const struct {
    const char *id;
    int32_t partitions, expected;
} groups[] = {
    {"", 50, 0},
    {"a", 50, 47},
    {"group", 50, 47},
    {"my-consumer-group", 50, 13},
    {"polygenelubricants", 50, 0},
    {"polygenelubricants", 7, 0},
    {"gr\xc3"
     "\xbc"
     "\xc3"
     "\x9f"
     "e",
     50, 23},
    {"\xe7"
     "\xb5"
     "\x84"
     "",
     50, 18},
    {"queue-\xf0"
     "\x9f"
     "\x98"
     "\x80"
     "",
     50, 41},
    {"GydZG_", 50, 0},
    {"console-consumer-12345", 13, 1},
};

static void as_kafka(void)
{
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        struct str id = {groups[i].id, (int32_t)strlen(groups[i].id)};
        ASSERT_EQ(group_partition(id, groups[i].partitions), groups[i].expected);
    }
}

/* Not UTF-8: any rule, but always in range and the same. */
static void any_bytes(void)
{
    static const char *const bytes[] = {"\xff", "\xe0", "\xf0\x9f", "\xc3", "\x80\x80\x80\x80"};
    for (size_t i = 0; i < sizeof bytes / sizeof bytes[0]; i++) {
        struct str id = {bytes[i], (int32_t)strlen(bytes[i])};
        int32_t p = group_partition(id, 50);
        ASSERT(p >= 0 && p < 50);
        ASSERT_EQ(group_partition(id, 50), p);
    }
}

TEST_MAIN("group partition", {"as Kafka", as_kafka}, {"any bytes", any_bytes})

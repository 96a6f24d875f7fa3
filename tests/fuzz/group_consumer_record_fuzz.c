// SPDX-License-Identifier: Apache-2.0
/* Records of consumer groups from any bytes, as a coordinator loads them. What was taken is a machine that lives: its
 * group is described and joined, by both protocols' members, time passes, and what it puts loads again to the same. */
#include "protocol/msg_consumer_group_describe.h"
#include "protocol/msg_leave_group.h"
#include "tests/unit/consumer_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void describe(void)
{
    struct consumer_group_describe_response_group a;
    consumer_group_describe_response_group_init(&a);
    CHECK(world_call(API_CONSUMER_GROUP_DESCRIBE, 1, NULL, &a) == KAFKA_NONE);
}

/* Of a member whose id is in the records. */
static void leave(const char *id)
{
    struct leave_group_request_member m;
    struct leave_group_request q;
    struct leave_group_response a;
    leave_group_request_member_init(&m);
    leave_group_request_init(&q);
    leave_group_response_init(&a);
    q.group_id = STR(WORLD_GROUP);
    m.member_id = (struct str){id, (int32_t)strlen(id)};
    q.members = &m;
    q.members_count = 1;
    (void)world_call(API_LEAVE_GROUP, 5, &q, &a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 1 << 16) return 0;
    world_begin();
    world_topic("a", 4);
    world_topic("b", 2);
    world_load_bytes(data, size);
    describe();
    (void)beat("m1 epoch=2 has=a:0");
    (void)beat("m2 join topics=a,b");
    (void)beat("n1 join topics=a instance=i");
    leave("m1");
    (void)beat("m2 epoch=3 regex=a|c");
    world_later(20000);
    describe();
    world_topic("c", 1);
    (void)beat("m2 join topics=b");
    world_restart();
    world_later(100000);
    const struct group *g = world_group();
    CHECK(g == NULL || g->type == GROUP_CLASSIC || g->consumer->member_count == 0);
    world_end();
    return 0;
}

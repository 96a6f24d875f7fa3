// SPDX-License-Identifier: Apache-2.0
/* Records of __consumer_offsets from any bytes, as a coordinator loads them: {what is done then (bits)}, and for each
 * {key length, value length (0xffff: none), key, value}. What was taken is a machine that lives: groups are described,
 * joined by members of both protocols, their deadlines pass, and what it puts then loads again. */
#include "base/bytes.h"
#include "base/check.h"
#include "broker/group/classic.h"
#include "broker/group/consumer.h"
#include "tests/unit/group_world.h"

#define LENGTHS  4u
#define NO_VALUE 0xffffu

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void load(const uint8_t *data, size_t size)
{
    groups_deinit(&gw.gs);
    world_machine(&gw.gs, 1);
    for (size_t at = 0; at + LENGTHS <= size;) {
        uint32_t key_len = load_be16(data + at), value_len = load_be16(data + at + 2);
        bool none = value_len == NO_VALUE;
        at += LENGTHS;
        if (none) value_len = 0;
        if (size - at < key_len + value_len) break;
        struct bytes key = {data + at, (int32_t)key_len}, value = {data + at + key_len, (int32_t)value_len};
        if (none) value = BYTES_NULL;
        at += key_len + value_len;
        enum status s = groups_apply(&gw.gs, key, value);
        CHECK(s == STATUS_OK || s == STATUS_INVALID_RECORD);
        if (s == STATUS_OK) world_keep(key, value);
    }
    groups_loaded(&gw.gs);
    world_settle();
}

static void join(const struct group *g)
{
    struct world_call *w = world_call(API_JOIN_GROUP, 3, g->id);
    static const uint8_t subscription[] = {0, 1, 0, 0, 0, 1, 0, 1, 't', 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0};
    struct join_group_request_protocol *p = arena_zalloc(&w->arena, sizeof *p);
    *p = (struct join_group_request_protocol){STR("range"), {subscription, sizeof subscription}};
    w->join_request.session_timeout_ms = 10000;
    w->join_request.rebalance_timeout_ms = 20000;
    w->join_request.member_id = STR_EMPTY;
    w->join_request.protocol_type = STR("consumer");
    w->join_request.protocols = p;
    w->join_request.protocols_count = 1;
    world_send(w);
}

static void heartbeat(const struct group *g)
{
    static struct str topics[] = {{"t", 1}};
    struct world_call *w = world_call(API_CONSUMER_GROUP_HEARTBEAT, 1, g->id);
    w->consumer_request.group_id = g->id;
    w->consumer_request.member_id = STR("a new member");
    w->consumer_request.rebalance_timeout_ms = 20000;
    w->consumer_request.subscribed_topic_names = topics;
    w->consumer_request.subscribed_topic_names_count = 1;
    w->consumer_request.topic_partitions_count = 0;
    world_send(w);
    CHECK(w->ends == 1);
}

static void ask(const struct group *g)
{
    struct world_call *d = world_call(API_DESCRIBE_GROUPS, 6, g->id);
    struct world_call *k = world_call(API_CONSUMER_GROUP_DESCRIBE, 1, g->id);
    world_send(d);
    world_send(k);
    CHECK(d->ends == 1 && k->ends == 1);
    (void)(g->type == GROUP_CLASSIC ? classic_subscribes(g, STR("a")) : consumer_subscribes(g, STR("a")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 1 << 16) return 0;
    world_begin();
    load(data + 1, size - 1);
    list_each (n, &gw.gs.all) {
        const struct group *g = container_of(n, struct group, in_all);
        ask(g);
        if ((data[0] & 1) != 0) join(g);
        if ((data[0] & 2) != 0) heartbeat(g);
        if ((data[0] & 4) != 0) join(g);
    }
    groups_topics_changed(&gw.gs, STR("t"));
    world_settle();
    world_pass(100000);
    list_each (n, &gw.gs.all) ask(container_of(n, struct group, in_all));
    if ((data[0] & 8) != 0) groups_expire(&gw.gs);
    world_settle();
    CHECK(gw.gs.status == STATUS_OK);
    world_restart();
    world_pass(1000);
    world_end();
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
/* Records of __consumer_offsets from any bytes, as a coordinator loads them: {key length, value length (0xffff: none),
 * key, value}... What was taken is a machine that lives: groups are described and joined, their deadlines pass, and
 * what it puts then loads again. */
#include "base/bytes.h"
#include "base/check.h"
#include "broker/group/classic.h"
#include "tests/unit/group_world.h"

#define LENGTHS  4u
#define NO_VALUE 0xffffu

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Only of classic groups and offsets: the rules of consumer groups are not written yet. */
static bool has_rules(struct bytes key)
{
    return key.len >= 2 && load_be16(key.data) <= 2;
}

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
        if (!has_rules(key)) continue;
        enum status s = groups_apply(&gw.gs, key, value);
        CHECK(s == STATUS_OK || s == STATUS_INVALID_RECORD);
        if (s == STATUS_OK) world_keep(key, value);
    }
    groups_loaded(&gw.gs);
    world_settle();
}

static void ask(struct group *g)
{
    struct world_call *d = world_call(API_DESCRIBE_GROUPS, 6, g->id), *j = world_call(API_JOIN_GROUP, 3, g->id);
    struct join_group_request_protocol p = {STR("range"), BYTES_EMPTY};
    world_send(d);
    CHECK(d->ends == 1);
    (void)classic_subscribes(g, STR("a"));
    j->join_request.session_timeout_ms = 10000;
    j->join_request.member_id = STR_EMPTY;
    j->join_request.protocol_type = classic_protocol_type(g).len > 0 ? classic_protocol_type(g) : STR("consumer");
    j->join_request.protocols = &p;
    j->join_request.protocols_count = 1;
    world_send(j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 1 << 16) return 0;
    world_begin();
    load(data, size);
    list_each (n, &gw.gs.all) ask(container_of(n, struct group, in_all));
    world_pass(100000);
    uint32_t groups = 0;
    list_each (n, &gw.gs.all) groups += container_of(n, struct group, in_all)->type == GROUP_CLASSIC;
    CHECK(groups == gw.gs.count && gw.gs.status == STATUS_OK);
    world_restart();
    world_pass(1000);
    world_end();
    return 0;
}

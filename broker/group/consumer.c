// SPDX-License-Identifier: Apache-2.0
/* Not written yet: the rules come with the next commits; nothing calls them before. */
#include "broker/group/consumer.h"
#include "base/check.h"

bool consumer_create(struct groups *gs, struct group *g)
{
    (void)gs;
    (void)g;
    CHECK(false);
    return 0;
}

void consumer_destroy(struct groups *gs, struct group *g)
{
    (void)gs;
    (void)g;
    CHECK(false);
}

void consumer_heartbeat(struct groups *gs, struct group *g, struct group_call *c)
{
    (void)gs;
    (void)g;
    (void)c;
    CHECK(false);
}

void consumer_classic_join(struct groups *gs, struct group *g, struct group_call *c)
{
    (void)gs;
    (void)g;
    (void)c;
    CHECK(false);
}

void consumer_classic_sync(struct groups *gs, struct group *g, struct group_call *c)
{
    (void)gs;
    (void)g;
    (void)c;
    CHECK(false);
}

void consumer_classic_heartbeat(struct groups *gs, struct group *g, struct group_call *c)
{
    (void)gs;
    (void)g;
    (void)c;
    CHECK(false);
}

void consumer_classic_leave(struct groups *gs, struct group *g, struct group_call *c)
{
    (void)gs;
    (void)g;
    (void)c;
    CHECK(false);
}

void consumer_tick(struct groups *gs, struct group *g)
{
    (void)gs;
    (void)g;
    CHECK(false);
}

void consumer_stop(struct groups *gs, struct group *g)
{
    (void)gs;
    (void)g;
    CHECK(false);
}

void consumer_loaded(struct groups *gs, struct group *g)
{
    (void)gs;
    (void)g;
    CHECK(false);
}

void consumer_apply(struct groups *gs, struct group *g, int16_t type, const void *key, const void *value)
{
    (void)gs;
    (void)g;
    (void)type;
    (void)key;
    (void)value;
    CHECK(false);
}

void consumer_topics_changed(struct groups *gs, struct group *g, struct str topic)
{
    (void)gs;
    (void)g;
    (void)topic;
    CHECK(false);
}

int16_t consumer_commit_check(struct groups *gs, struct group *g, struct str member_id, struct str instance_id,
                              int32_t epoch, int16_t version)
{
    (void)gs;
    (void)g;
    (void)member_id;
    (void)instance_id;
    (void)epoch;
    (void)version;
    CHECK(false);
    return 0;
}

int16_t consumer_fetch_check(const struct group *g, struct str member_id, int32_t epoch)
{
    (void)g;
    (void)member_id;
    (void)epoch;
    CHECK(false);
    return 0;
}

bool consumer_is_empty(const struct group *g)
{
    (void)g;
    CHECK(false);
    return 0;
}

const char *consumer_state(const struct group *g)
{
    (void)g;
    CHECK(false);
    return 0;
}

bool consumer_subscribes(const struct group *g, struct str topic)
{
    (void)g;
    (void)topic;
    CHECK(false);
    return 0;
}

int64_t consumer_empty_since_ms(const struct group *g)
{
    (void)g;
    CHECK(false);
    return 0;
}

bool consumer_describe(struct groups *gs, const struct group *g, struct group_call *c,
                       struct consumer_group_describe_response_group *ret_group)
{
    (void)gs;
    (void)g;
    (void)c;
    (void)ret_group;
    CHECK(false);
    return 0;
}

void consumer_put_gone(struct groups *gs, struct group *g)
{
    (void)gs;
    (void)g;
    CHECK(false);
}

bool consumer_from_classic(struct groups *gs, struct group *g)
{
    (void)gs;
    (void)g;
    CHECK(false);
    return 0;
}

bool consumer_to_classic(struct groups *gs, struct group *g)
{
    (void)gs;
    (void)g;
    CHECK(false);
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
/* What the members of a classic group of consumers subscribe to (classic_impl.h), so that offsets of these topics are
 * kept. Learned anew with each generation.
 *
 * A subscription is opaque to everybody but clients; the consumer's has Kafka's ConsumerProtocolSubscription at the
 * front: an int16 version and, in all versions, the topics first. What does not parse, or is more than
 * CLASSIC_TOPICS_MAX, leaves the topics unknown, and then the group counts as subscribed to all. So does no memory. */
#include "base/arena.h"
#include "broker/group/classic_impl.h"
#include "protocol/cursor.h"
#include "protocol/msg_consumer_protocol_subscription.h"
#include <xxhash.h>

#define VERSION_BYTES 2
#define PARSE_CAP     ((size_t)4 << 20) /* of one member's subscription, decoded */

struct topic {
    struct hash_node by_name;
    struct list_node in_all;
    int32_t len;
    char name[];
};

static uint64_t hash_of(struct str s)
{
    return XXH3_64bits(s.data, (size_t)s.len);
}

void classic_forget_topics(struct groups *gs, struct classic_group *cg)
{
    struct list_node *n;
    while ((n = list_pop_front(&cg->all_topics)) != NULL) {
        struct topic *t = container_of(n, struct topic, in_all);
        hash_table_remove(&cg->topics, &t->by_name);
        mem_free(gs->mem, MEM_CONTROL, t, sizeof *t + (size_t)t->len);
    }
    cg->topics_known = false;
}

static bool knows(const struct classic_group *cg, struct str name)
{
    for (struct hash_node *n = hash_table_find(&cg->topics, hash_of(name)); n != NULL; n = hash_node_next(n)) {
        const struct topic *t = container_of(n, struct topic, by_name);
        if (str_equal((struct str){t->name, t->len}, name)) return true;
    }
    return false;
}

static bool learn(struct groups *gs, struct classic_group *cg, struct str name)
{
    if (knows(cg, name)) return true;
    if (cg->topics.count >= CLASSIC_TOPICS_MAX) return false;
    size_t bytes = sizeof(struct topic) + (size_t)name.len;
    struct topic *t = mem_zalloc(gs->mem, MEM_CONTROL, bytes);
    if (t == NULL) return false;
    t->len = name.len;
    memcpy(t->name, name.data, (size_t)name.len);
    if (hash_table_insert(&cg->topics, &t->by_name, hash_of(name)) != STATUS_OK) {
        mem_free(gs->mem, MEM_CONTROL, t, bytes);
        return false;
    }
    list_push_back(&cg->all_topics, &t->in_all);
    return true;
}

static bool learn_from(struct groups *gs, struct classic_group *cg, struct arena *a, struct bytes subscription)
{
    struct consumer_protocol_subscription s;
    struct cursor c;
    if (subscription.len < VERSION_BYTES || (int16_t)load_be16(subscription.data) < 0) return false;
    cursor_init(&c, subscription.data + VERSION_BYTES, (size_t)subscription.len - VERSION_BYTES);
    if (consumer_protocol_subscription_decode(&c, a, 0, &s) != STATUS_OK) return false;
    for (int32_t i = 0; i < s.topics_count; i++)
        if (!learn(gs, cg, s.topics[i])) return false;
    return true;
}

static bool is_of_consumers(const struct classic_group *cg)
{
    return str_equal(cg->protocol_type, STR("consumer"));
}

void classic_learn_topics(struct groups *gs, struct classic_group *cg)
{
    struct arena a;
    classic_forget_topics(gs, cg);
    if (!is_of_consumers(cg)) return;
    bool known = true;
    list_each (n, &cg->members) {
        arena_init(&a, gs->mem, MEM_CONTROL, PARSE_CAP);
        const struct classic_member *m = container_of(n, struct classic_member, in_list);
        known = known && learn_from(gs, cg, &a, classic_metadata(m, cg->protocol));
        arena_deinit(&a);
    }
    if (!known) classic_forget_topics(gs, cg);
    cg->topics_known = known;
}

bool classic_subscribes(const struct group *g, struct str topic)
{
    const struct classic_group *cg = g->classic;
    return cg->topics_known ? knows(cg, topic) : is_of_consumers(cg);
}

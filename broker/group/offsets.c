// SPDX-License-Identifier: Apache-2.0
/* Committed offsets (offsets.h): the table, what records do to it, and expiry. The requests are offset_calls.c.
 *
 * Failure modes: no memory fails the machine. */
#include "broker/group/offsets.h"
#include "base/check.h"
#include "broker/group/classic.h"
#include "broker/group/consumer.h"
#include "protocol/msg_record_offset_commit.h"
#include <xxhash.h>

static uint64_t hash_of(struct str topic, int32_t partition)
{
    return XXH3_64bits_withSeed(topic.data, (size_t)topic.len, (uint64_t)partition);
}

void offsets_init(struct groups *gs, struct group *g)
{
    hash_table_init(&g->offsets.by_partition, gs->mem, MEM_CONTROL);
    list_init(&g->offsets.all);
}

static void drop(struct groups *gs, struct group *g, struct offset *o)
{
    hash_table_remove(&g->offsets.by_partition, &o->by_partition);
    list_remove(&o->in_all);
    groups_free_str(gs, o->topic);
    groups_free_str(gs, o->metadata);
    mem_free(gs->mem, MEM_CONTROL, o, sizeof *o);
}

void offsets_deinit(struct groups *gs, struct group *g)
{
    while (!list_empty(&g->offsets.all)) drop(gs, g, container_of(list_first(&g->offsets.all), struct offset, in_all));
    hash_table_deinit(&g->offsets.by_partition);
}

uint32_t offsets_count(const struct group *g)
{
    return g->offsets.by_partition.count;
}

static struct offset *find(const struct group *g, struct str topic, int32_t partition)
{
    struct hash_node *n = hash_table_find(&g->offsets.by_partition, hash_of(topic, partition));
    for (; n != NULL; n = hash_node_next(n)) {
        struct offset *o = container_of(n, struct offset, by_partition);
        if (o->partition == partition && str_equal(o->topic, topic)) return o;
    }
    return NULL;
}

const struct offset *offsets_find(const struct group *g, struct str topic, int32_t partition)
{
    return find(g, topic, partition);
}

/* ---- records ---- */

static struct offset *make(struct groups *gs, struct group *g, struct str topic, int32_t partition)
{
    struct offset *o = mem_zalloc(gs->mem, MEM_CONTROL, sizeof *o);
    if (o == NULL) {
        groups_fail(gs, STATUS_NO_MEMORY);
        return NULL;
    }
    o->partition = partition;
    o->metadata = STR_EMPTY;
    bool copied = groups_copy_str(gs, topic, &o->topic);
    if (!copied ||
        hash_table_insert(&g->offsets.by_partition, &o->by_partition, hash_of(topic, partition)) != STATUS_OK) {
        groups_fail(gs, STATUS_NO_MEMORY);
        groups_free_str(gs, o->topic);
        mem_free(gs->mem, MEM_CONTROL, o, sizeof *o);
        return NULL;
    }
    list_push_back(&g->offsets.all, &o->in_all);
    return o;
}

void offsets_apply(struct groups *gs, struct group *g, const void *key, const void *value)
{
    const struct offset_commit_key *k = key;
    const struct offset_commit_value *v = value;
    struct offset *o = find(g, k->topic, k->partition);
    if (v == NULL) {
        if (o != NULL) drop(gs, g, o);
        return;
    }
    if (o == NULL) o = make(gs, g, k->topic, k->partition);
    if (o == NULL) return;
    if (!str_equal(o->metadata, v->metadata)) {
        struct str copy;
        if (!groups_copy_str(gs, v->metadata, &copy)) return;
        groups_free_str(gs, o->metadata);
        o->metadata = copy;
    }
    o->topic_id = v->topic_id;
    o->leader_epoch = v->leader_epoch;
    o->offset = v->offset;
    o->commit_ms = v->commit_timestamp;
    o->expire_ms = v->expire_timestamp;
}

/* ---- what goes ---- */

static void put_gone(struct groups *gs, struct group *g, const struct offset *o)
{
    struct offset_commit_key k = {.group = g->id, .topic = o->topic, .partition = o->partition};
    group_put(gs, OFFSET_COMMIT_RECORD, &k, NULL);
}

void offsets_put_gone(struct groups *gs, struct group *g)
{
    list_each (n, &g->offsets.all) put_gone(gs, g, container_of(n, struct offset, in_all));
}

void offsets_topic_gone(struct groups *gs, struct group *g, struct str topic)
{
    list_each (n, &g->offsets.all) {
        const struct offset *o = container_of(n, struct offset, in_all);
        if (str_equal(o->topic, topic)) put_gone(gs, g, o);
    }
}

static bool subscribes(const struct group *g, struct str topic)
{
    return g->type == GROUP_CLASSIC ? classic_subscribes(g, topic) : consumer_subscribes(g, topic);
}

/* From when the retention of an offset counts (KIP-211): while a group has members, what they subscribe to stays; a
 * group that lost its last member begins to count then; one without members ever counts from the commit. */
static bool expired(const struct groups *gs, const struct group *g, const struct offset *o)
{
    bool empty = g->type == GROUP_CLASSIC ? classic_is_empty(g) : consumer_is_empty(g);
    if (!empty && subscribes(g, o->topic)) return false;
    if (o->expire_ms >= 0) return gs->wall.v >= o->expire_ms;
    int64_t since = o->commit_ms;
    if (empty && g->type == GROUP_CLASSIC && !classic_is_simple(g)) since = MAX(since, classic_empty_since_ms(g));
    return gs->wall.v - since >= gs->settings->retention_ms;
}

void offsets_expire(struct groups *gs, struct group *g)
{
    list_each (n, &g->offsets.all) {
        const struct offset *o = container_of(n, struct offset, in_all);
        if (expired(gs, g, o)) put_gone(gs, g, o);
    }
}

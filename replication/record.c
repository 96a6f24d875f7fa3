// SPDX-License-Identifier: Apache-2.0
/* Records: the list under construction and the bounds of every field (record.h). The bounds are one function, run
 * before an encode and after a decode, so what one broker writes every other can read.
 * Failure modes: none of its own; record_valid says no. */
#include "replication/record.h"

#include "base/bytes.h"
#include "base/check.h"
#include "replication/record_impl.h"
#include "storage/path.h"

#define LIST_FIRST_ROOM  16u
#define FEATURE_NAME_MAX 128

static_assert(CONFIG_VALUE_BYTES_MAX == WIRE_STRING_MAX, "a config value travels as a Kafka string");
static_assert(RECORD_NEXT == RECORD_FORGET_TOPIC + 1, "one name and one rule for each type");

void record_list_init(struct record_list *l, struct arena *a)
{
    *l = (struct record_list){.arena = a};
}

struct record *record_list_add(struct record_list *l, enum record_type type)
{
    CHECK(l->count <= l->room && l->room <= RECORDS_MAX);
    if (l->count == l->room) {
        uint32_t room = l->room == 0 ? LIST_FIRST_ROOM : MIN(l->room * 2, RECORDS_MAX);
        if (room == l->room) return NULL;
        struct record *records = arena_alloc(l->arena, room * sizeof *records);
        if (records == NULL) return NULL;
        if (l->count > 0) memcpy(records, l->records, l->count * sizeof *records);
        l->records = records;
        l->room = room;
    }
    struct record *r = &l->records[l->count++];
    memset(r, 0, sizeof *r);
    r->type = type;
    return r;
}

const char *record_type_name(enum record_type t)
{
    static const char *const names[RECORD_NEXT] = {
        [RECORD_REGISTER_BROKER] = "register broker",
        [RECORD_UNREGISTER_BROKER] = "unregister broker",
        [RECORD_CHANGE_BROKER] = "change broker",
        [RECORD_BROKER_STARTED] = "broker started",
        [RECORD_BROKER_EPOCHS] = "broker epochs",
        [RECORD_TOPIC] = "topic",
        [RECORD_REMOVE_TOPIC] = "remove topic",
        [RECORD_PARTITION] = "partition",
        [RECORD_CHANGE_PARTITION] = "change partition",
        [RECORD_CONFIG] = "config",
        [RECORD_QUOTA] = "quota",
        [RECORD_PRODUCER_IDS] = "producer ids",
        [RECORD_FEATURE] = "feature",
        [RECORD_RESTORE_TOPIC] = "restore topic",
        [RECORD_FORGET_TOPIC] = "forget topic",
    };
    CHECK(t > 0 && (unsigned)t < RECORD_NEXT);
    return names[t];
}

/* --- bounds --- */

/* No NUL inside: objects keep strings NUL-terminated. */
static bool text_valid(struct str s, int32_t min, int32_t max)
{
    return s.len >= min && s.len <= max && (s.len <= 0 || memchr(s.data, '\0', (size_t)s.len) == NULL);
}

static bool topic_valid(struct str name)
{
    char text[TOPIC_NAME_MAX + 1];
    if (!text_valid(name, 1, TOPIC_NAME_MAX)) return false;
    memcpy(text, name.data, (size_t)name.len);
    text[name.len] = '\0';
    return topic_name_valid(text);
}

/* Broker ids, none twice. */
static bool brokers_valid(struct ids l)
{
    if (l.count > REPLICAS_MAX) return false;
    for (uint32_t i = 0; i < l.count; i++) {
        if (l.v[i] < 0) return false;
        for (uint32_t j = 0; j < i; j++)
            if (l.v[i] == l.v[j]) return false;
    }
    return true;
}

static bool subset(struct ids part, struct ids all)
{
    for (uint32_t i = 0; i < part.count; i++) {
        uint32_t j = 0;
        while (j < all.count && all.v[j] != part.v[i]) j++;
        if (j == all.count) return false;
    }
    return true;
}

static bool register_valid(const struct record_register_broker *b)
{
    if (b->id < 0 || b->epoch < 1 || b->listener_count > BROKER_ITEMS_MAX || b->feature_count > BROKER_ITEMS_MAX ||
        b->directories.count > BROKER_ITEMS_MAX || !text_valid(b->rack, -1, SHORT_TEXT_MAX))
        return false;
    for (uint32_t i = 0; i < b->listener_count; i++)
        if (!text_valid(b->listeners[i].name, 1, SHORT_TEXT_MAX) ||
            !text_valid(b->listeners[i].host, 0, SHORT_TEXT_MAX) || b->listeners[i].security > 3)
            return false;
    for (uint32_t i = 0; i < b->feature_count; i++)
        if (!text_valid(b->features[i].name, 1, FEATURE_NAME_MAX) || b->features[i].min < 0 ||
            b->features[i].max < b->features[i].min)
            return false;
    return true;
}

static bool partition_valid(const struct record_partition *p)
{
    return p->number >= 0 && p->number < PARTITIONS_MAX && p->leader >= NO_LEADER && p->leader_epoch >= 0 &&
           p->partition_epoch >= 0 && p->replicas.count > 0 && brokers_valid(p->replicas) && brokers_valid(p->isr) &&
           brokers_valid(p->elr) && brokers_valid(p->last_known_elr) && subset(p->isr, p->replicas) &&
           subset(p->elr, p->replicas) && (p->directories.count == 0 || p->directories.count == p->replicas.count);
}

static bool change_partition_valid(const struct record_change_partition *p)
{
    return p->number >= 0 && p->number < PARTITIONS_MAX && (!p->has_leader || p->leader >= NO_LEADER) &&
           (!p->has_isr || brokers_valid(p->isr)) && (!p->has_elr || brokers_valid(p->elr)) &&
           (!p->has_last_known_elr || brokers_valid(p->last_known_elr)) &&
           (!p->has_replicas || (p->replicas.count > 0 && brokers_valid(p->replicas))) &&
           (!p->has_directories || p->directories.count <= REPLICAS_MAX);
}

static bool config_valid(const struct record_config *c)
{
    int32_t most = SHORT_TEXT_MAX, least = 1;
    switch (c->type) {
    case RESOURCE_TOPIC:
        if (!topic_valid(c->name)) return false;
        break;
    case RESOURCE_BROKER:
        least = 0;
        most = 10; /* digits of an int32_t */
        break;
    case RESOURCE_CLIENT_METRICS:
    case RESOURCE_GROUP: break;
    default: return false;
    }
    return text_valid(c->name, least, most) && text_valid(c->key, 1, CONFIG_KEY_BYTES_MAX) &&
           text_valid(c->value, -1, CONFIG_VALUE_BYTES_MAX);
}

static bool quota_valid(const struct record_quota *q)
{
    if (q->entity_count < 1 || q->entity_count > COUNT_OF(q->entity) || !text_valid(q->key, 1, CONFIG_KEY_BYTES_MAX))
        return false;
    for (uint32_t i = 0; i < q->entity_count; i++)
        if (!text_valid(q->entity[i].type, 1, SHORT_TEXT_MAX) || !text_valid(q->entity[i].name, -1, SHORT_TEXT_MAX))
            return false;
    return q->entity_count == 1 || str_order(q->entity[0].type, q->entity[1].type) < 0;
}

bool record_valid(const struct record *r)
{
    switch (r->type) {
    case RECORD_REGISTER_BROKER: return register_valid(&r->register_broker);
    case RECORD_UNREGISTER_BROKER:
    case RECORD_BROKER_STARTED: return r->broker.id >= 0 && r->broker.epoch >= 1;
    case RECORD_CHANGE_BROKER:
        return r->change_broker.id >= 0 && r->change_broker.epoch >= 1 &&
               r->change_broker.directories.count <= BROKER_ITEMS_MAX;
    case RECORD_BROKER_EPOCHS: return r->broker.epoch >= 0;
    case RECORD_TOPIC:
        return topic_valid(r->topic.name) && !uuid_is_zero(r->topic.id) && r->topic.revived <= (uint32_t)PARTITIONS_MAX;
    case RECORD_REMOVE_TOPIC: return !uuid_is_zero(r->topic.id) && r->topic.deleted_ms >= 0;
    case RECORD_RESTORE_TOPIC:
    case RECORD_FORGET_TOPIC: return !uuid_is_zero(r->topic.id);
    case RECORD_PARTITION: return partition_valid(&r->partition);
    case RECORD_CHANGE_PARTITION: return change_partition_valid(&r->change_partition);
    case RECORD_CONFIG: return config_valid(&r->config);
    case RECORD_QUOTA: return quota_valid(&r->quota);
    case RECORD_PRODUCER_IDS:
        return r->producer_ids.broker >= 0 && r->producer_ids.broker_epoch >= 0 && r->producer_ids.next >= 0;
    case RECORD_FEATURE: return text_valid(r->feature.name, 1, FEATURE_NAME_MAX) && r->feature.level >= 0;
    default: return false;
    }
}

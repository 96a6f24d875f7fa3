// SPDX-License-Identifier: Apache-2.0
/* Bytes to records: protobuf-c unpacks into the arena (its allocator is the arena, its free does nothing), each message
 * is read into a plain struct that borrows from there, and every bound is checked.
 * Failure modes: DAMAGED for bytes that are no batch or break a bound; UNSUPPORTED_VERSION for a batch, record or field
 * of a later version (a reader that skips what it does not know would have another state than the rest). */
#include "replication/record_impl.h"

#include "base/bytes.h"
#include "base/check.h"
#include "replication/metadata.pb-c.h"

struct unpacking {
    struct arena *arena;
    bool no_memory, unknown;
};

static void *pb_alloc(void *data, size_t size)
{
    struct unpacking *u = data;
    void *p = arena_alloc(u->arena, size);
    if (p == NULL) u->no_memory = true;
    return p;
}

static void pb_free(void *data, void *p)
{
    (void)data;
    (void)p;
}

static void *take(struct unpacking *u, size_t size)
{
    return pb_alloc(u, size);
}

/* Fields of a later version stand in the message's list of unknown ones. */
static void known(struct unpacking *u, const ProtobufCMessage *m)
{
    if (m->n_unknown_fields > 0) u->unknown = true;
}

static struct str text(ProtobufCBinaryData d)
{
    if (d.len > INT32_MAX) return STR_NULL; /* longer than any bound: refused there */
    return (struct str){d.len > 0 ? (const char *)d.data : "", (int32_t)d.len};
}

static struct str optional_text(protobuf_c_boolean has, ProtobufCBinaryData d)
{
    return has ? text(d) : STR_NULL;
}

static bool get_uuid(ProtobufCBinaryData d, struct uuid *ret_id)
{
    if (d.len != sizeof ret_id->b) return false;
    memcpy(ret_id->b, d.data, sizeof ret_id->b);
    return true;
}

static bool get_uuids(struct unpacking *u, const ProtobufCBinaryData *d, size_t count, struct uuids *ret_list)
{
    *ret_list = (struct uuids){0};
    if (count == 0) return true;
    if (count > REPLICAS_MAX) return false;
    struct uuid *v = take(u, count * sizeof *v);
    if (v == NULL) return false;
    for (size_t i = 0; i < count; i++)
        if (!get_uuid(d[i], &v[i])) return false;
    *ret_list = (struct uuids){v, (uint32_t)count};
    return true;
}

static struct ids get_ids(const int32_t *v, size_t count)
{
    return (struct ids){v, (uint32_t)MIN(count, REPLICAS_MAX + 1)}; /* more than the bound: refused there */
}

static bool get_register(struct unpacking *u, const Leat__Metadata__RegisterBroker *m, struct record_register_broker *b)
{
    known(u, &m->base);
    if (m->n_listeners > BROKER_ITEMS_MAX || m->n_features > BROKER_ITEMS_MAX) return false;
    struct listener_record *listeners = take(u, (m->n_listeners + 1) * sizeof *listeners);
    struct feature_range *features = take(u, (m->n_features + 1) * sizeof *features);
    if (listeners == NULL || features == NULL) return false;
    for (size_t i = 0; i < m->n_listeners; i++) {
        const Leat__Metadata__Listener *l = m->listeners[i];
        known(u, &l->base);
        if (l->port > UINT16_MAX || l->security > UINT16_MAX) return false;
        listeners[i] = (struct listener_record){text(l->name), text(l->host), (uint16_t)l->port, (uint16_t)l->security};
    }
    for (size_t i = 0; i < m->n_features; i++) {
        const Leat__Metadata__FeatureRange *f = m->features[i];
        known(u, &f->base);
        if (f->min < 0 || f->max > INT16_MAX || f->max < f->min) return false;
        features[i] = (struct feature_range){text(f->name), (int16_t)f->min, (int16_t)f->max};
    }
    *b = (struct record_register_broker){.id = m->id,
                                         .epoch = m->epoch,
                                         .rack = optional_text(m->has_rack, m->rack),
                                         .listeners = listeners,
                                         .listener_count = (uint32_t)m->n_listeners,
                                         .features = features,
                                         .feature_count = (uint32_t)m->n_features,
                                         .fenced = m->fenced,
                                         .shutting_down = m->has_shutting_down && m->shutting_down};
    return get_uuid(m->incarnation, &b->incarnation) && get_uuids(u, m->directories, m->n_directories, &b->directories);
}

static bool get_change_broker(struct unpacking *u, const Leat__Metadata__ChangeBroker *m,
                              struct record_change_broker *b)
{
    known(u, &m->base);
    *b = (struct record_change_broker){.id = m->id,
                                       .epoch = m->epoch,
                                       .has_fenced = m->has_fenced,
                                       .fenced = m->has_fenced && m->fenced,
                                       .has_shutting_down = m->has_shutting_down,
                                       .shutting_down = m->has_shutting_down && m->shutting_down};
    return get_uuids(u, m->directories, m->n_directories, &b->directories);
}

static bool get_partition(struct unpacking *u, const Leat__Metadata__Partition *m, struct record_partition *p)
{
    known(u, &m->base);
    *p = (struct record_partition){.number = m->number,
                                   .leader = m->leader,
                                   .leader_epoch = m->leader_epoch,
                                   .partition_epoch = m->partition_epoch,
                                   .replicas = get_ids(m->replicas, m->n_replicas),
                                   .isr = get_ids(m->isr, m->n_isr),
                                   .elr = get_ids(m->elr, m->n_elr),
                                   .last_known_elr = get_ids(m->last_known_elr, m->n_last_known_elr)};
    return get_uuid(m->topic, &p->topic) && get_uuids(u, m->directories, m->n_directories, &p->directories);
}

static void get_optional_ids(struct unpacking *u, const Leat__Metadata__Ids *m, bool *ret_has, struct ids *ret_ids)
{
    *ret_has = m != NULL;
    if (m == NULL) return;
    known(u, &m->base);
    *ret_ids = get_ids(m->id, m->n_id);
}

static bool get_change_partition(struct unpacking *u, const Leat__Metadata__ChangePartition *m,
                                 struct record_change_partition *p)
{
    known(u, &m->base);
    *p = (struct record_change_partition){
        .number = m->number, .has_leader = m->has_leader, .leader = m->has_leader ? m->leader : NO_LEADER};
    get_optional_ids(u, m->isr, &p->has_isr, &p->isr);
    get_optional_ids(u, m->elr, &p->has_elr, &p->elr);
    get_optional_ids(u, m->last_known_elr, &p->has_last_known_elr, &p->last_known_elr);
    get_optional_ids(u, m->replicas, &p->has_replicas, &p->replicas);
    if (m->directories != NULL) {
        p->has_directories = true;
        known(u, &m->directories->base);
        if (!get_uuids(u, m->directories->id, m->directories->n_id, &p->directories)) return false;
    }
    return get_uuid(m->topic, &p->topic);
}

static bool get_config(struct unpacking *u, const Leat__Metadata__Config *m, struct record_config *c)
{
    known(u, &m->base);
    *c = (struct record_config){.type = (enum config_resource)MIN(m->resource_type, UINT16_MAX),
                                .name = text(m->resource_name),
                                .key = text(m->key),
                                .value = optional_text(m->has_value, m->value)};
    return true;
}

static bool get_quota(struct unpacking *u, const Leat__Metadata__Quota *m, struct record_quota *q)
{
    known(u, &m->base);
    *q = (struct record_quota){.key = text(m->key), .has_value = m->has_value, .value = m->has_value ? m->value : 0};
    if (m->n_entity > COUNT_OF(q->entity)) return false;
    q->entity_count = (uint32_t)m->n_entity;
    for (size_t i = 0; i < m->n_entity; i++) {
        known(u, &m->entity[i]->base);
        q->entity[i] =
            (struct quota_entity){text(m->entity[i]->type), optional_text(m->entity[i]->has_name, m->entity[i]->name)};
    }
    return true;
}

static bool get_small(struct unpacking *u, const Leat__Metadata__Record *m, struct record *r)
{
    switch (r->type) {
    case RECORD_UNREGISTER_BROKER:
        known(u, &m->unregister_broker->base);
        r->broker.id = m->unregister_broker->id;
        r->broker.epoch = m->unregister_broker->epoch;
        return true;
    case RECORD_BROKER_STARTED:
        known(u, &m->broker_started->base);
        r->broker.id = m->broker_started->id;
        r->broker.epoch = m->broker_started->epoch;
        return true;
    case RECORD_BROKER_EPOCHS:
        known(u, &m->broker_epochs->base);
        r->broker.epoch = m->broker_epochs->last;
        return true;
    case RECORD_TOPIC:
        known(u, &m->topic->base);
        r->topic.name = text(m->topic->name);
        r->topic.revived = m->topic->has_revived ? m->topic->revived : 0;
        return get_uuid(m->topic->id, &r->topic.id);
    case RECORD_REMOVE_TOPIC:
        known(u, &m->remove_topic->base);
        r->topic.deleted_ms = m->remove_topic->has_deleted_ms ? m->remove_topic->deleted_ms : 0;
        return get_uuid(m->remove_topic->id, &r->topic.id);
    case RECORD_RESTORE_TOPIC: known(u, &m->restore_topic->base); return get_uuid(m->restore_topic->id, &r->topic.id);
    case RECORD_FORGET_TOPIC: known(u, &m->forget_topic->base); return get_uuid(m->forget_topic->id, &r->topic.id);
    case RECORD_PRODUCER_IDS:
        known(u, &m->producer_ids->base);
        r->producer_ids.broker = m->producer_ids->broker;
        r->producer_ids.broker_epoch = m->producer_ids->broker_epoch;
        r->producer_ids.next = m->producer_ids->next;
        return true;
    case RECORD_FEATURE:
        known(u, &m->feature->base);
        r->feature.name = text(m->feature->name);
        if (m->feature->level < 0 || m->feature->level > INT16_MAX) return false;
        r->feature.level = (int16_t)m->feature->level;
        return true;
    case RECORD_REGISTER_BROKER:
    case RECORD_CHANGE_BROKER:
    case RECORD_PARTITION:
    case RECORD_CHANGE_PARTITION:
    case RECORD_CONFIG:
    case RECORD_QUOTA:
    default: CHECK(false);
    }
}

static bool get(struct unpacking *u, const Leat__Metadata__Record *m, struct record *r)
{
    static_assert((int)LEAT__METADATA__RECORD__KIND_FEATURE == (int)RECORD_FEATURE, "the kinds have the same numbers");
    known(u, &m->base);
    if (m->kind_case == LEAT__METADATA__RECORD__KIND__NOT_SET) {
        u->unknown = true;
        return false;
    }
    memset(r, 0, sizeof *r);
    r->type = (enum record_type)m->kind_case;
    switch (r->type) {
    case RECORD_REGISTER_BROKER: return get_register(u, m->register_broker, &r->register_broker);
    case RECORD_CHANGE_BROKER: return get_change_broker(u, m->change_broker, &r->change_broker);
    case RECORD_PARTITION: return get_partition(u, m->partition, &r->partition);
    case RECORD_CHANGE_PARTITION: return get_change_partition(u, m->change_partition, &r->change_partition);
    case RECORD_CONFIG: return get_config(u, m->config, &r->config);
    case RECORD_QUOTA: return get_quota(u, m->quota, &r->quota);
    case RECORD_UNREGISTER_BROKER:
    case RECORD_BROKER_STARTED:
    case RECORD_BROKER_EPOCHS:
    case RECORD_TOPIC:
    case RECORD_REMOVE_TOPIC:
    case RECORD_PRODUCER_IDS:
    case RECORD_FEATURE:
    case RECORD_RESTORE_TOPIC:
    case RECORD_FORGET_TOPIC: return get_small(u, m, r);
    default: u->unknown = true; return false;
    }
}

enum status record_batch_decode(const void *data, size_t size, struct arena *a, struct record_batch *ret_batch)
{
    struct unpacking u = {.arena = a};
    ProtobufCAllocator allocator = {.alloc = pb_alloc, .free = pb_free, .allocator_data = &u};
    if (size > RECORD_BATCH_BYTES_MAX) return STATUS_DAMAGED;
    Leat__Metadata__Batch *m = leat__metadata__batch__unpack(&allocator, size, data);
    if (m == NULL) return u.no_memory ? STATUS_NO_MEMORY : STATUS_DAMAGED;
    if (m->version != RECORD_BATCH_VERSION || m->base.n_unknown_fields > 0)
        return m->version == 0 ? STATUS_DAMAGED : STATUS_UNSUPPORTED_VERSION;
    if (m->n_records > RECORDS_MAX) return STATUS_DAMAGED;
    struct record *records = take(&u, (m->n_records + 1) * sizeof *records);
    if (records == NULL) return STATUS_NO_MEMORY;
    for (size_t i = 0; i < m->n_records; i++) {
        bool good = get(&u, m->records[i], &records[i]);
        if (u.no_memory) return STATUS_NO_MEMORY;
        if (u.unknown) return STATUS_UNSUPPORTED_VERSION;
        if (!good || !record_valid(&records[i])) return STATUS_DAMAGED;
    }
    *ret_batch = (struct record_batch){records, (uint32_t)m->n_records};
    return STATUS_OK;
}

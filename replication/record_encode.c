// SPDX-License-Identifier: Apache-2.0
/* Records to bytes: each struct is laid out as a protobuf-c message in the arena (borrowing every string), then the
 * whole batch is packed into the arena.
 * Failure modes: NO_MEMORY when the arena ends; INVALID for a record out of bounds; BATCH_TOO_LARGE. */
#include "replication/record_impl.h"

#include "base/bytes.h"
#include "base/check.h"
#include "replication/metadata.pb-c.h"

struct packing {
    struct arena *arena;
    bool no_memory;
};

static void *take(struct packing *p, size_t size)
{
    void *v = arena_alloc(p->arena, size);
    if (v == NULL) p->no_memory = true;
    return v;
}

#define NEW(p, var, type, lower)                                                                                       \
    type *var = take(p, sizeof *var);                                                                                  \
    if (var == NULL) return NULL;                                                                                      \
    lower##__init(var)

static ProtobufCBinaryData text(struct str s)
{
    return (ProtobufCBinaryData){.len = (size_t)MAX(s.len, 0), .data = (uint8_t *)(uintptr_t)s.data};
}

static ProtobufCBinaryData id_bytes(const struct uuid *u)
{
    return (ProtobufCBinaryData){.len = sizeof u->b, .data = (uint8_t *)(uintptr_t)u->b};
}

static ProtobufCBinaryData *id_list(struct packing *p, struct uuids l)
{
    if (l.count == 0) return NULL;
    ProtobufCBinaryData *out = take(p, l.count * sizeof *out);
    for (uint32_t i = 0; out != NULL && i < l.count; i++) out[i] = id_bytes(&l.v[i]);
    return out;
}

static int32_t *numbers(struct ids l)
{
    return (int32_t *)(uintptr_t)l.v;
}

static Leat__Metadata__Listener **listeners(struct packing *p, const struct record_register_broker *b)
{
    Leat__Metadata__Listener **out = take(p, (b->listener_count + 1) * sizeof(void *));
    for (uint32_t i = 0; out != NULL && i < b->listener_count; i++) {
        NEW(p, l, Leat__Metadata__Listener, leat__metadata__listener);
        l->name = text(b->listeners[i].name);
        l->host = text(b->listeners[i].host);
        l->port = b->listeners[i].port;
        l->security = b->listeners[i].security;
        out[i] = l;
    }
    return out;
}

static Leat__Metadata__FeatureRange **features(struct packing *p, const struct record_register_broker *b)
{
    Leat__Metadata__FeatureRange **out = take(p, (b->feature_count + 1) * sizeof(void *));
    for (uint32_t i = 0; out != NULL && i < b->feature_count; i++) {
        NEW(p, f, Leat__Metadata__FeatureRange, leat__metadata__feature_range);
        f->name = text(b->features[i].name);
        f->min = b->features[i].min;
        f->max = b->features[i].max;
        out[i] = f;
    }
    return out;
}

static Leat__Metadata__RegisterBroker *pack_register(struct packing *p, const struct record_register_broker *b)
{
    NEW(p, m, Leat__Metadata__RegisterBroker, leat__metadata__register_broker);
    m->id = b->id;
    m->epoch = b->epoch;
    m->incarnation = id_bytes(&b->incarnation);
    m->n_listeners = b->listener_count;
    m->listeners = listeners(p, b);
    m->has_rack = b->rack.len >= 0;
    m->rack = text(b->rack);
    m->n_features = b->feature_count;
    m->features = features(p, b);
    m->n_directories = b->directories.count;
    m->directories = id_list(p, b->directories);
    m->fenced = b->fenced;
    m->has_shutting_down = b->shutting_down;
    m->shutting_down = b->shutting_down;
    return m;
}

static Leat__Metadata__ChangeBroker *pack_change_broker(struct packing *p, const struct record_change_broker *b)
{
    NEW(p, m, Leat__Metadata__ChangeBroker, leat__metadata__change_broker);
    m->id = b->id;
    m->epoch = b->epoch;
    m->has_fenced = b->has_fenced;
    m->fenced = b->fenced;
    m->has_shutting_down = b->has_shutting_down;
    m->shutting_down = b->shutting_down;
    m->n_directories = b->directories.count;
    m->directories = id_list(p, b->directories);
    return m;
}

static Leat__Metadata__Partition *pack_partition(struct packing *p, const struct record_partition *r)
{
    NEW(p, m, Leat__Metadata__Partition, leat__metadata__partition);
    m->topic = id_bytes(&r->topic);
    m->number = r->number;
    m->n_replicas = r->replicas.count;
    m->replicas = numbers(r->replicas);
    m->n_directories = r->directories.count;
    m->directories = id_list(p, r->directories);
    m->n_isr = r->isr.count;
    m->isr = numbers(r->isr);
    m->n_elr = r->elr.count;
    m->elr = numbers(r->elr);
    m->n_last_known_elr = r->last_known_elr.count;
    m->last_known_elr = numbers(r->last_known_elr);
    m->leader = r->leader;
    m->leader_epoch = r->leader_epoch;
    m->partition_epoch = r->partition_epoch;
    return m;
}

static Leat__Metadata__Ids *pack_ids(struct packing *p, bool there, struct ids l)
{
    if (!there) return NULL;
    NEW(p, m, Leat__Metadata__Ids, leat__metadata__ids);
    m->n_id = l.count;
    m->id = numbers(l);
    return m;
}

static Leat__Metadata__Directories *pack_directories(struct packing *p, struct uuids l)
{
    NEW(p, m, Leat__Metadata__Directories, leat__metadata__directories);
    m->n_id = l.count;
    m->id = id_list(p, l);
    return m;
}

static Leat__Metadata__ChangePartition *pack_change_partition(struct packing *p,
                                                              const struct record_change_partition *r)
{
    NEW(p, m, Leat__Metadata__ChangePartition, leat__metadata__change_partition);
    m->topic = id_bytes(&r->topic);
    m->number = r->number;
    m->has_leader = r->has_leader;
    m->leader = r->leader;
    m->isr = pack_ids(p, r->has_isr, r->isr);
    m->elr = pack_ids(p, r->has_elr, r->elr);
    m->last_known_elr = pack_ids(p, r->has_last_known_elr, r->last_known_elr);
    m->replicas = pack_ids(p, r->has_replicas, r->replicas);
    if (r->has_directories) m->directories = pack_directories(p, r->directories);
    return m;
}

static Leat__Metadata__Config *pack_config(struct packing *p, const struct record_config *c)
{
    NEW(p, m, Leat__Metadata__Config, leat__metadata__config);
    m->resource_type = (uint32_t)c->type;
    m->resource_name = text(c->name);
    m->key = text(c->key);
    m->has_value = c->value.len >= 0;
    m->value = text(c->value);
    return m;
}

static Leat__Metadata__QuotaEntity *pack_entity(struct packing *p, const struct quota_entity *e)
{
    NEW(p, m, Leat__Metadata__QuotaEntity, leat__metadata__quota_entity);
    m->type = text(e->type);
    m->has_name = e->name.len >= 0;
    m->name = text(e->name);
    return m;
}

static Leat__Metadata__Quota *pack_quota(struct packing *p, const struct record_quota *q)
{
    NEW(p, m, Leat__Metadata__Quota, leat__metadata__quota);
    m->entity = take(p, COUNT_OF(q->entity) * sizeof(void *));
    if (m->entity == NULL) return NULL;
    m->n_entity = q->entity_count;
    for (uint32_t i = 0; i < q->entity_count; i++) m->entity[i] = pack_entity(p, &q->entity[i]);
    m->key = text(q->key);
    m->has_value = q->has_value;
    m->value = q->value;
    return m;
}

/* The small ones. */
static Leat__Metadata__Topic *pack_topic(struct packing *p, const struct record *r)
{
    NEW(p, m, Leat__Metadata__Topic, leat__metadata__topic);
    m->name = text(r->topic.name);
    m->id = id_bytes(&r->topic.id);
    m->has_revived = r->topic.revived > 0;
    m->revived = r->topic.revived;
    return m;
}

static Leat__Metadata__RemoveTopic *pack_remove_topic(struct packing *p, const struct record *r)
{
    NEW(p, m, Leat__Metadata__RemoveTopic, leat__metadata__remove_topic);
    m->id = id_bytes(&r->topic.id);
    m->has_deleted_ms = r->topic.deleted_ms > 0;
    m->deleted_ms = r->topic.deleted_ms;
    return m;
}

static Leat__Metadata__RestoreTopic *pack_restore_topic(struct packing *p, const struct record *r)
{
    NEW(p, m, Leat__Metadata__RestoreTopic, leat__metadata__restore_topic);
    m->id = id_bytes(&r->topic.id);
    return m;
}

static Leat__Metadata__ForgetTopic *pack_forget_topic(struct packing *p, const struct record *r)
{
    NEW(p, m, Leat__Metadata__ForgetTopic, leat__metadata__forget_topic);
    m->id = id_bytes(&r->topic.id);
    return m;
}

static Leat__Metadata__UnregisterBroker *pack_unregister(struct packing *p, const struct record *r)
{
    NEW(p, m, Leat__Metadata__UnregisterBroker, leat__metadata__unregister_broker);
    m->id = r->broker.id;
    m->epoch = r->broker.epoch;
    return m;
}

static Leat__Metadata__BrokerStarted *pack_started(struct packing *p, const struct record *r)
{
    NEW(p, m, Leat__Metadata__BrokerStarted, leat__metadata__broker_started);
    m->id = r->broker.id;
    m->epoch = r->broker.epoch;
    return m;
}

static Leat__Metadata__BrokerEpochs *pack_epochs(struct packing *p, const struct record *r)
{
    NEW(p, m, Leat__Metadata__BrokerEpochs, leat__metadata__broker_epochs);
    m->last = r->broker.epoch;
    return m;
}

static Leat__Metadata__ProducerIds *pack_producer_ids(struct packing *p, const struct record *r)
{
    NEW(p, m, Leat__Metadata__ProducerIds, leat__metadata__producer_ids);
    m->broker = r->producer_ids.broker;
    m->broker_epoch = r->producer_ids.broker_epoch;
    m->next = r->producer_ids.next;
    return m;
}

static Leat__Metadata__Feature *pack_feature(struct packing *p, const struct record *r)
{
    NEW(p, m, Leat__Metadata__Feature, leat__metadata__feature);
    m->name = text(r->feature.name);
    m->level = r->feature.level;
    return m;
}

#define KIND(p, m, KIND_NAME, member, value)                                                                           \
    (m)->kind_case = LEAT__METADATA__RECORD__KIND_##KIND_NAME;                                                         \
    (m)->member = (value);                                                                                             \
    break

static Leat__Metadata__Record *pack(struct packing *p, const struct record *r)
{
    NEW(p, m, Leat__Metadata__Record, leat__metadata__record);
    switch (r->type) {
    case RECORD_REGISTER_BROKER: KIND(p, m, REGISTER_BROKER, register_broker, pack_register(p, &r->register_broker));
    case RECORD_UNREGISTER_BROKER: KIND(p, m, UNREGISTER_BROKER, unregister_broker, pack_unregister(p, r));
    case RECORD_CHANGE_BROKER: KIND(p, m, CHANGE_BROKER, change_broker, pack_change_broker(p, &r->change_broker));
    case RECORD_BROKER_STARTED: KIND(p, m, BROKER_STARTED, broker_started, pack_started(p, r));
    case RECORD_BROKER_EPOCHS: KIND(p, m, BROKER_EPOCHS, broker_epochs, pack_epochs(p, r));
    case RECORD_TOPIC: KIND(p, m, TOPIC, topic, pack_topic(p, r));
    case RECORD_REMOVE_TOPIC: KIND(p, m, REMOVE_TOPIC, remove_topic, pack_remove_topic(p, r));
    case RECORD_PARTITION: KIND(p, m, PARTITION, partition, pack_partition(p, &r->partition));
    case RECORD_CHANGE_PARTITION:
        KIND(p, m, CHANGE_PARTITION, change_partition, pack_change_partition(p, &r->change_partition));
    case RECORD_CONFIG: KIND(p, m, CONFIG, config, pack_config(p, &r->config));
    case RECORD_QUOTA: KIND(p, m, QUOTA, quota, pack_quota(p, &r->quota));
    case RECORD_PRODUCER_IDS: KIND(p, m, PRODUCER_IDS, producer_ids, pack_producer_ids(p, r));
    case RECORD_FEATURE: KIND(p, m, FEATURE, feature, pack_feature(p, r));
    case RECORD_RESTORE_TOPIC: KIND(p, m, RESTORE_TOPIC, restore_topic, pack_restore_topic(p, r));
    case RECORD_FORGET_TOPIC: KIND(p, m, FORGET_TOPIC, forget_topic, pack_forget_topic(p, r));
    default: CHECK(false);
    }
    return m;
}

enum status record_batch_encode(struct record_batch b, struct arena *a, const void **ret_data, size_t *ret_size)
{
    struct packing p = {.arena = a};
    Leat__Metadata__Batch batch = LEAT__METADATA__BATCH__INIT;
    if (b.count > RECORDS_MAX) return STATUS_INVALID;
    Leat__Metadata__Record **records = take(&p, (b.count + 1) * sizeof(void *));
    for (uint32_t i = 0; !p.no_memory && i < b.count; i++) {
        if (!record_valid(&b.records[i])) return STATUS_INVALID;
        records[i] = pack(&p, &b.records[i]);
    }
    if (p.no_memory) return STATUS_NO_MEMORY;
    batch.version = RECORD_BATCH_VERSION;
    batch.n_records = b.count;
    batch.records = records;
    size_t size = leat__metadata__batch__get_packed_size(&batch);
    if (size > RECORD_BATCH_BYTES_MAX) return STATUS_BATCH_TOO_LARGE;
    uint8_t *data = take(&p, size);
    if (data == NULL) return STATUS_NO_MEMORY;
    CHECK(leat__metadata__batch__pack(&batch, data) == size);
    *ret_data = data;
    *ret_size = size;
    return STATUS_OK;
}

// SPDX-License-Identifier: Apache-2.0
/* The image's objects: made, copied, counted, freed. Each is one block of MEM_CONTROL: the struct, then arrays in order
 * of falling alignment, then strings with their NUL. Only lists that a batch may grow have an array apart.
 * Failure modes: NULL when there is no memory; nothing is changed then. */
#include "replication/image_impl.h"

#include "base/bytes.h"
#include "replication/record_impl.h"

#define LIST_FIRST_ROOM 8u

/* The private half of an object that a reader sees as const. */
#define OBJECT(ptr, type, member) ((type *)((uintptr_t)(ptr)-offsetof(type, member)))

struct topic_object *topic_of(const struct image_topic *t)
{
    return OBJECT(t, struct topic_object, t);
}

struct held *partition_held(const struct image_partition *p)
{
    return &OBJECT(p, struct partition_object, p)->held;
}

struct held *configs_held(const struct image_configs *c)
{
    return &OBJECT(c, struct configs_object, c)->held;
}

struct held *broker_held(const struct image_broker *b)
{
    return &OBJECT(b, struct broker_object, b)->held;
}

struct held *quota_held(const struct image_quota *q)
{
    return &OBJECT(q, struct quota_object, q)->held;
}

struct held *topic_held(const struct image_topic *t)
{
    return &topic_of(t)->held;
}

struct held *brokers_held(const struct image_brokers *l)
{
    return &OBJECT(l, struct brokers_object, l)->held;
}

struct held *settings_held(const struct image_settings *s)
{
    return &OBJECT(s, struct settings_object, s)->held;
}

struct held *features_held(const struct image_features *f)
{
    return &OBJECT(f, struct features_object, f)->held;
}

void held_ref(struct held *h)
{
    CHECK(h->refs > 0 && h->refs < UINT32_MAX);
    h->refs++;
}

bool held_unref(struct held *h)
{
    CHECK(h->refs > 0);
    return --h->refs == 0;
}

/* --- one block --- */

static size_t text_bytes(struct str s)
{
    return (size_t)MAX(s.len, 0) + 1;
}

static struct str put_text(uint8_t **at, struct str s)
{
    if (s.len < 0) return s;
    char *copy = (char *)*at;
    if (s.len > 0) memcpy(copy, s.data, (size_t)s.len);
    copy[s.len] = '\0';
    *at += s.len + 1;
    return (struct str){copy, s.len};
}

static void *put_bytes(uint8_t **at, const void *data, size_t size)
{
    void *copy = *at;
    if (size > 0) memcpy(copy, data, size);
    *at += size;
    return copy;
}

static struct ids put_ids(uint8_t **at, struct ids l)
{
    return (struct ids){put_bytes(at, l.v, l.count * sizeof *l.v), l.count};
}

static struct uuids put_uuids(uint8_t **at, struct uuids l)
{
    return (struct uuids){put_bytes(at, l.v, l.count * sizeof *l.v), l.count};
}

static void *block_create(struct mem *m, size_t head, size_t rest, struct held *ret_held, uint8_t **ret_at)
{
    uint8_t *b = mem_zalloc(m, MEM_CONTROL, head + rest);
    *ret_held = (struct held){.refs = 1, .bytes = head + rest};
    *ret_at = b + head;
    return b;
}

struct partition_object *partition_object_create(struct mem *m, const struct record_partition *r)
{
    struct held held;
    uint8_t *at;
    size_t ids = r->replicas.count + r->isr.count + r->elr.count + r->last_known_elr.count;
    size_t rest = ids * sizeof(int32_t) + r->directories.count * sizeof(struct uuid);
    struct partition_object *o = block_create(m, sizeof *o, rest, &held, &at);
    if (o == NULL) return NULL;
    o->held = held;
    o->p = (struct image_partition){.number = r->number,
                                    .leader = r->leader,
                                    .leader_epoch = r->leader_epoch,
                                    .partition_epoch = r->partition_epoch,
                                    .replicas = put_ids(&at, r->replicas),
                                    .isr = put_ids(&at, r->isr),
                                    .elr = put_ids(&at, r->elr),
                                    .last_known_elr = put_ids(&at, r->last_known_elr),
                                    .directories = put_uuids(&at, r->directories)};
    CHECK(at == (uint8_t *)o + held.bytes);
    return o;
}

static size_t entries_bytes(const struct image_configs *old, uint32_t skip, const struct record_config *r)
{
    size_t bytes = text_bytes(r->name) + text_bytes(r->key) + text_bytes(r->value);
    for (uint32_t i = 0; old != NULL && i < old->count; i++)
        if (i != skip)
            bytes += sizeof *old->entries + text_bytes(old->entries[i].key) + text_bytes(old->entries[i].value);
    return bytes + sizeof *old->entries;
}

/* A copy of the list with one key set or deleted. */
struct configs_object *configs_object_change(struct mem *m, const struct image_configs *old,
                                             const struct record_config *r)
{
    struct held held;
    uint8_t *at;
    bool found = false;
    uint32_t place = old == NULL ? 0 : configs_place(old, r->key, &found), count = old == NULL ? 0 : old->count;
    uint32_t total = count - found + (r->value.len >= 0);
    struct configs_object *o =
        block_create(m, sizeof *o, entries_bytes(old, found ? place : UINT32_MAX, r), &held, &at);
    if (o == NULL) return NULL;
    o->held = held;
    struct image_config *entries = (struct image_config *)(void *)at;
    at += total * sizeof *entries;
    o->c = (struct image_configs){.type = r->type, .name = put_text(&at, r->name), .count = total, .entries = entries};
    for (uint32_t i = 0, n = 0; i <= count; i++) {
        if (i == place && r->value.len >= 0)
            entries[n++] = (struct image_config){put_text(&at, r->key), put_text(&at, r->value)};
        if (i < count && !(found && i == place))
            entries[n++] =
                (struct image_config){put_text(&at, old->entries[i].key), put_text(&at, old->entries[i].value)};
    }
    CHECK(at <= (uint8_t *)o + held.bytes);
    return o;
}

struct broker_object *broker_object_create(struct mem *m, const struct record_register_broker *r)
{
    struct held held;
    uint8_t *at;
    size_t rest = text_bytes(r->rack) + r->directories.count * sizeof(struct uuid) +
                  r->listener_count * sizeof(struct listener_record) + r->feature_count * sizeof(struct feature_range);
    for (uint32_t i = 0; i < r->listener_count; i++)
        rest += text_bytes(r->listeners[i].name) + text_bytes(r->listeners[i].host);
    for (uint32_t i = 0; i < r->feature_count; i++) rest += text_bytes(r->features[i].name);
    struct broker_object *o = block_create(m, sizeof *o, rest, &held, &at);
    if (o == NULL) return NULL;
    o->held = held;
    struct listener_record *listeners = put_bytes(&at, r->listeners, r->listener_count * sizeof *listeners);
    struct feature_range *features = put_bytes(&at, r->features, r->feature_count * sizeof *features);
    o->b = (struct image_broker){.id = r->id,
                                 .epoch = r->epoch,
                                 .incarnation = r->incarnation,
                                 .listeners = listeners,
                                 .listener_count = r->listener_count,
                                 .features = features,
                                 .feature_count = r->feature_count,
                                 .directories = put_uuids(&at, r->directories),
                                 .rack = put_text(&at, r->rack),
                                 .fenced = r->fenced,
                                 .shutting_down = r->shutting_down};
    for (uint32_t i = 0; i < r->listener_count; i++) {
        listeners[i].name = put_text(&at, listeners[i].name);
        listeners[i].host = put_text(&at, listeners[i].host);
    }
    for (uint32_t i = 0; i < r->feature_count; i++) features[i].name = put_text(&at, features[i].name);
    CHECK(at <= (uint8_t *)o + held.bytes);
    return o;
}

struct quota_object *quota_object_create(struct mem *m, const struct record_quota *r)
{
    struct held held;
    uint8_t *at;
    size_t rest = text_bytes(r->key);
    for (uint32_t i = 0; i < r->entity_count; i++)
        rest += text_bytes(r->entity[i].type) + text_bytes(r->entity[i].name);
    struct quota_object *o = block_create(m, sizeof *o, rest, &held, &at);
    if (o == NULL) return NULL;
    o->held = held;
    o->q = (struct image_quota){.entity_count = r->entity_count, .value = r->value, .key = put_text(&at, r->key)};
    for (uint32_t i = 0; i < r->entity_count; i++)
        o->q.entity[i] = (struct quota_entity){put_text(&at, r->entity[i].type), put_text(&at, r->entity[i].name)};
    CHECK(at <= (uint8_t *)o + held.bytes);
    return o;
}

/* --- topics --- */

struct topic_object *topic_object_create(struct mem *m, struct str name, struct uuid id)
{
    struct held held;
    uint8_t *at;
    struct topic_object *o = block_create(m, sizeof *o, text_bytes(name), &held, &at);
    if (o == NULL) return NULL;
    o->held = held;
    o->t = (struct image_topic){.name = put_text(&at, name), .id = id};
    o->draft = true;
    return o;
}

bool topic_object_room(struct mem *m, struct topic_object *t, uint32_t count)
{
    CHECK(t->draft);
    if (count <= t->room) return true;
    uint32_t room = MAX(count, t->room * 2);
    size_t size = sizeof *t->partitions;
    const struct image_partition **grown = mem_realloc(m, MEM_CONTROL, t->partitions, t->room * size, room * size);
    if (grown == NULL) return false;
    t->partitions = grown;
    t->t.partitions = grown;
    t->room = room;
    return true;
}

struct topic_object *topic_object_clone(struct mem *m, const struct image_topic *t)
{
    struct topic_object *o = topic_object_create(m, t->name, t->id);
    if (o == NULL) return NULL;
    if (!topic_object_room(m, o, t->partition_count)) {
        topic_release(m, &o->t);
        return NULL;
    }
    o->t.partition_count = t->partition_count;
    o->t.configs = t->configs;
    o->t.revived = t->revived;
    if (t->configs != NULL) held_ref(configs_held(t->configs));
    for (uint32_t i = 0; i < t->partition_count; i++) {
        o->partitions[i] = t->partitions[i];
        held_ref(partition_held(t->partitions[i]));
    }
    return o;
}

/* --- lists --- */

struct brokers_object *brokers_object_clone(struct mem *m, const struct image_brokers *l)
{
    uint32_t count = l == NULL ? 0 : l->count;
    struct brokers_object *o = mem_zalloc(m, MEM_CONTROL, sizeof *o);
    if (o == NULL) return NULL;
    o->held = (struct held){.refs = 1, .bytes = sizeof *o};
    o->room = count + 1; /* the change that is to come may add one */
    o->brokers = mem_alloc(m, MEM_CONTROL, o->room * sizeof *o->brokers);
    if (o->brokers == NULL) {
        mem_free(m, MEM_CONTROL, o, sizeof *o);
        return NULL;
    }
    for (uint32_t i = 0; i < count; i++) {
        o->brokers[i] = l->brokers[i];
        held_ref(broker_held(o->brokers[i]));
    }
    o->l = (struct image_brokers){count, o->brokers};
    return o;
}

bool brokers_object_room(struct mem *m, struct brokers_object *l)
{
    if (l->l.count < l->room) return true;
    size_t size = sizeof *l->brokers;
    const struct image_broker **grown =
        mem_realloc(m, MEM_CONTROL, l->brokers, l->room * size, (l->room + LIST_FIRST_ROOM) * size);
    if (grown == NULL) return false;
    l->brokers = grown;
    l->l.brokers = grown;
    l->room += LIST_FIRST_ROOM;
    return true;
}

struct settings_object *settings_object_clone(struct mem *m, const struct image_settings *s)
{
    struct settings_object *o = mem_zalloc(m, MEM_CONTROL, sizeof *o);
    if (o == NULL) return NULL;
    o->held = (struct held){.refs = 1, .bytes = sizeof *o};
    o->room = (s == NULL ? 0 : s->count) + 1;
    o->quota_room = (s == NULL ? 0 : s->quota_count) + 1;
    o->configs = mem_alloc(m, MEM_CONTROL, o->room * sizeof *o->configs);
    o->quotas = mem_alloc(m, MEM_CONTROL, o->quota_room * sizeof *o->quotas);
    if (o->configs == NULL || o->quotas == NULL) {
        mem_free(m, MEM_CONTROL, o->configs, o->room * sizeof *o->configs);
        mem_free(m, MEM_CONTROL, o->quotas, o->quota_room * sizeof *o->quotas);
        mem_free(m, MEM_CONTROL, o, sizeof *o);
        return NULL;
    }
    o->s = (struct image_settings){.configs = o->configs, .quotas = o->quotas};
    for (; s != NULL && o->s.count < s->count; o->s.count++) {
        o->configs[o->s.count] = s->configs[o->s.count];
        held_ref(configs_held(o->configs[o->s.count]));
    }
    for (; s != NULL && o->s.quota_count < s->quota_count; o->s.quota_count++) {
        o->quotas[o->s.quota_count] = s->quotas[o->s.quota_count];
        held_ref(quota_held(o->quotas[o->s.quota_count]));
    }
    return o;
}

/* Room for one more of either kind. */
bool settings_object_room(struct mem *m, struct settings_object *s)
{
    if (s->s.count == s->room) {
        size_t size = sizeof *s->configs;
        uint32_t room = s->room * 2;
        const struct image_configs **grown = mem_realloc(m, MEM_CONTROL, s->configs, s->room * size, room * size);
        if (grown == NULL) return false;
        s->configs = grown;
        s->s.configs = grown;
        s->room = room;
    }
    if (s->s.quota_count == s->quota_room) {
        size_t size = sizeof *s->quotas;
        uint32_t room = s->quota_room * 2;
        const struct image_quota **grown = mem_realloc(m, MEM_CONTROL, s->quotas, s->quota_room * size, room * size);
        if (grown == NULL) return false;
        s->quotas = grown;
        s->s.quotas = grown;
        s->quota_room = room;
    }
    return true;
}

static struct features_object *features_create(struct mem *m, const struct image_feature *list, uint32_t count,
                                               uint64_t epoch)
{
    struct held held;
    uint8_t *at;
    size_t rest = count * sizeof *list;
    for (uint32_t i = 0; i < count; i++) rest += text_bytes(list[i].name);
    struct features_object *o = block_create(m, sizeof *o, rest, &held, &at);
    if (o == NULL) return NULL;
    struct image_feature *features = put_bytes(&at, list, count * sizeof *list);
    for (uint32_t i = 0; i < count; i++) features[i].name = put_text(&at, features[i].name);
    o->held = held;
    o->f = (struct image_features){.count = count, .features = features, .epoch = epoch};
    return o;
}

/* A copy with one feature set (level 0: deleted); name null: just a copy. */
struct features_object *features_object_change(struct mem *m, const struct image_features *f, struct str name,
                                               int16_t level, uint64_t epoch)
{
    uint32_t count = f == NULL ? 0 : f->count, n = 0;
    struct image_feature *list = mem_alloc(m, MEM_CONTROL, (count + 1) * sizeof *list);
    if (list == NULL) return NULL;
    bool done = name.len < 0;
    for (uint32_t i = 0; i < count; i++) {
        int order = done ? 1 : str_order(f->features[i].name, name);
        if (!done && order >= 0) {
            if (level > 0) list[n++] = (struct image_feature){name, level};
            done = true;
        }
        if (order != 0) list[n++] = f->features[i];
    }
    if (!done && level > 0) list[n++] = (struct image_feature){name, level};
    struct features_object *o = features_create(m, list, n, epoch);
    mem_free(m, MEM_CONTROL, list, (count + 1) * sizeof *list);
    return o;
}

/* --- releases --- */

void partition_release(struct mem *m, const struct image_partition *p)
{
    if (p == NULL || !held_unref(partition_held(p))) return;
    mem_free(m, MEM_CONTROL, OBJECT(p, struct partition_object, p), partition_held(p)->bytes);
}

void configs_release(struct mem *m, const struct image_configs *c)
{
    if (c == NULL || !held_unref(configs_held(c))) return;
    mem_free(m, MEM_CONTROL, OBJECT(c, struct configs_object, c), configs_held(c)->bytes);
}

void broker_release(struct mem *m, const struct image_broker *b)
{
    if (b == NULL || !held_unref(broker_held(b))) return;
    mem_free(m, MEM_CONTROL, OBJECT(b, struct broker_object, b), broker_held(b)->bytes);
}

void quota_release(struct mem *m, const struct image_quota *q)
{
    if (q == NULL || !held_unref(quota_held(q))) return;
    mem_free(m, MEM_CONTROL, OBJECT(q, struct quota_object, q), quota_held(q)->bytes);
}

void topic_release(struct mem *m, const struct image_topic *t)
{
    struct topic_object *o = t == NULL ? NULL : topic_of(t);
    if (o == NULL || !held_unref(&o->held)) return;
    for (uint32_t i = 0; i < t->partition_count; i++) partition_release(m, t->partitions[i]);
    configs_release(m, t->configs);
    mem_free(m, MEM_CONTROL, o->partitions, o->room * sizeof *o->partitions);
    mem_free(m, MEM_CONTROL, o, o->held.bytes);
}

void brokers_release(struct mem *m, const struct image_brokers *l)
{
    struct brokers_object *o = l == NULL ? NULL : OBJECT(l, struct brokers_object, l);
    if (o == NULL || !held_unref(&o->held)) return;
    for (uint32_t i = 0; i < l->count; i++) broker_release(m, l->brokers[i]);
    mem_free(m, MEM_CONTROL, o->brokers, o->room * sizeof *o->brokers);
    mem_free(m, MEM_CONTROL, o, o->held.bytes);
}

void settings_release(struct mem *m, const struct image_settings *s)
{
    struct settings_object *o = s == NULL ? NULL : OBJECT(s, struct settings_object, s);
    if (o == NULL || !held_unref(&o->held)) return;
    for (uint32_t i = 0; i < s->count; i++) configs_release(m, s->configs[i]);
    for (uint32_t i = 0; i < s->quota_count; i++) quota_release(m, s->quotas[i]);
    mem_free(m, MEM_CONTROL, o->configs, o->room * sizeof *o->configs);
    mem_free(m, MEM_CONTROL, o->quotas, o->quota_room * sizeof *o->quotas);
    mem_free(m, MEM_CONTROL, o, o->held.bytes);
}

void features_release(struct mem *m, const struct image_features *f)
{
    struct features_object *o = f == NULL ? NULL : OBJECT(f, struct features_object, f);
    if (o == NULL || !held_unref(&o->held)) return;
    mem_free(m, MEM_CONTROL, o, o->held.bytes);
}

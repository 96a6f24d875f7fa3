// SPDX-License-Identifier: Apache-2.0
/* See record_gen.h. */
#include "tests/unit/record_gen.h"

#include "base/bytes.h"
#include "base/check.h"
#include <stdio.h>
#include <stdlib.h>

static struct str text(struct arena *a, const char *format, unsigned n)
{
    char *s = arena_alloc(a, 64);
    CHECK(s != NULL);
    return (struct str){s, snprintf(s, 64, format, n)};
}

struct str gen_topic_name(struct arena *a, uint32_t n)
{
    return text(a, n % 3 == 0 ? "orders-%u" : n % 3 == 1 ? "a.%u" : "__internal_%u", n);
}

struct uuid gen_uuid(struct prng *p)
{
    struct uuid u;
    for (int i = 0; i < 16; i += 8) store_le64(u.b + i, prng_next(p) | 1);
    return u;
}

static struct ids some_ids(struct prng *p, struct arena *a, struct ids of, bool all)
{
    int32_t *v = arena_alloc(a, (GEN_BROKERS + 1) * sizeof *v);
    uint32_t n = 0;
    for (uint32_t i = 0; i < of.count; i++)
        if (all || prng_chance(p, 2, 3)) v[n++] = of.v[i];
    return (struct ids){v, n};
}

static struct ids replicas(struct prng *p, struct arena *a)
{
    int32_t *v = arena_alloc(a, GEN_BROKERS * sizeof *v);
    uint32_t n = 1 + (uint32_t)prng_below(p, 3);
    for (uint32_t i = 0; i < n; i++) v[i] = (int32_t)((i + prng_below(p, 2) * 2) % GEN_BROKERS);
    for (uint32_t i = 1; i < n; i++)
        if (v[i] == v[0] || (i == 2 && v[2] == v[1])) return (struct ids){v, i};
    return (struct ids){v, n};
}

static struct uuids directories(struct prng *p, struct arena *a, uint32_t count)
{
    struct uuid *v = arena_alloc(a, count * sizeof *v);
    for (uint32_t i = 0; i < count; i++) v[i] = gen_uuid(p);
    return (struct uuids){v, count};
}

static void gen_partition(struct prng *p, struct record_list *l, struct uuid topic, int32_t number)
{
    struct record *r = record_list_add(l, RECORD_PARTITION);
    struct ids all = replicas(p, l->arena);
    r->partition = (struct record_partition){.topic = topic,
                                             .number = number,
                                             .leader = prng_chance(p, 1, 8) ? NO_LEADER : all.v[0],
                                             .leader_epoch = (int32_t)prng_below(p, 9),
                                             .partition_epoch = (int32_t)prng_below(p, 9),
                                             .replicas = all,
                                             .isr = some_ids(p, l->arena, all, false),
                                             .elr = some_ids(p, l->arena, all, false)};
    if (prng_chance(p, 1, 2)) r->partition.directories = directories(p, l->arena, all.count);
}

static void gen_new_topic(struct prng *p, struct record_list *l, struct str name)
{
    struct uuid id = gen_uuid(p);
    struct record *r = record_list_add(l, RECORD_TOPIC);
    r->topic.name = name;
    r->topic.id = id;
    int32_t count = 1 + (int32_t)prng_below(p, 5);
    for (int32_t n = 0; n < count; n++) gen_partition(p, l, id, n);
}

static void gen_change(struct prng *p, struct record_list *l, const struct image_topic *t)
{
    if (t->partition_count == 0) return;
    uint32_t n = (uint32_t)prng_below(p, t->partition_count);
    const struct image_partition *old = t->partitions[n];
    struct record *r = record_list_add(l, RECORD_CHANGE_PARTITION);
    struct record_change_partition *c = &r->change_partition;
    *c = (struct record_change_partition){.topic = t->id, .number = (int32_t)n};
    c->has_isr = prng_chance(p, 1, 2);
    c->isr = some_ids(p, l->arena, old->replicas, false);
    c->has_leader = prng_chance(p, 1, 2);
    c->leader = prng_chance(p, 1, 5) ? NO_LEADER : old->replicas.v[prng_below(p, old->replicas.count)];
    if (prng_chance(p, 1, 4)) {
        c->has_replicas = c->has_isr = c->has_elr = c->has_last_known_elr = c->has_directories = c->has_leader = true;
        c->replicas = replicas(p, l->arena);
        c->isr = some_ids(p, l->arena, c->replicas, true);
        c->last_known_elr = some_ids(p, l->arena, c->replicas, false);
        c->leader = c->replicas.v[0];
    }
}

static void gen_broker(struct prng *p, const struct image *i, struct record_list *l)
{
    int32_t id = (int32_t)prng_below(p, GEN_BROKERS);
    const struct image_broker *b = image_brokers_find(image_brokers(i), id);
    uint64_t what = prng_below(p, 6);
    if (b == NULL || what == 0) {
        struct listener_record *listeners = arena_zalloc(l->arena, 2 * sizeof *listeners);
        struct feature_range *f = arena_zalloc(l->arena, sizeof *f);
        listeners[0] = (struct listener_record){STR("PLAINTEXT"), STR("broker.example"), 9092, 0};
        listeners[1] = (struct listener_record){STR("INTERNAL"), text(l->arena, "10.0.0.%u", (unsigned)id), 9093, 1};
        *f = (struct feature_range){STR("metadata.version"), 1, 30};
        struct record *r = record_list_add(l, RECORD_REGISTER_BROKER);
        r->register_broker = (struct record_register_broker){
            .id = id,
            .epoch = image_broker_epoch(i) + (prng_chance(p, 1, 12) ? 0 : 1) + (int64_t)l->count,
            .incarnation = gen_uuid(p),
            .rack = id % 2 == 0 ? STR_NULL : STR("rack-1"),
            .listeners = listeners,
            .listener_count = 1 + (uint32_t)prng_below(p, 2),
            .features = f,
            .feature_count = 1,
            .directories = directories(p, l->arena, 1 + (uint32_t)prng_below(p, 2)),
            .fenced = prng_chance(p, 1, 2)};
        return;
    }
    int64_t epoch = prng_chance(p, 1, 20) ? b->epoch + 1 : b->epoch;
    if (what == 1 || what == 2) {
        struct record *r =
            record_list_add(l, what == 1 && prng_chance(p, 1, 3) ? RECORD_UNREGISTER_BROKER : RECORD_BROKER_STARTED);
        r->broker.id = id;
        r->broker.epoch = epoch;
        return;
    }
    struct record *r = record_list_add(l, RECORD_CHANGE_BROKER);
    r->change_broker = (struct record_change_broker){
        .id = id, .epoch = epoch, .has_fenced = what != 3, .fenced = what == 4, .has_shutting_down = what == 5};
}

static void gen_setting(struct prng *p, const struct image_topic *t, struct record_list *l)
{
    struct record *r;
    uint64_t what = prng_below(p, 8);
    struct str value = prng_chance(p, 1, 3) ? STR_NULL : text(l->arena, "%u", (unsigned)prng_below(p, 1000));
    struct str key = text(l->arena, "key.%u", (unsigned)prng_below(p, 4));
    if (what < 3 && t != NULL) {
        r = record_list_add(l, RECORD_CONFIG);
        r->config = (struct record_config){RESOURCE_TOPIC, t->name, key, value};
    } else if (what < 5) {
        r = record_list_add(l, RECORD_CONFIG);
        r->config = (struct record_config){
            what == 3 ? RESOURCE_BROKER : RESOURCE_GROUP,
            what == 3 && prng_chance(p, 1, 2) ? STR_EMPTY : text(l->arena, "%u", 1 + (unsigned)what), key, value};
    } else if (what == 5) {
        r = record_list_add(l, RECORD_QUOTA);
        r->quota = (struct record_quota){
            .entity_count = 1 + (uint32_t)prng_below(p, 2),
            .entity = {{STR("client-id"), prng_chance(p, 1, 2) ? STR_NULL : STR("app")}, {STR("user"), STR("alice")}},
            .key = key,
            .has_value = value.len >= 0,
            .value = 1.5};
    } else {
        r = record_list_add(l, RECORD_FEATURE);
        r->feature.name = text(l->arena, "feature.%u", (unsigned)prng_below(p, 3));
        r->feature.level = (int16_t)prng_below(p, 4);
    }
}

/* The names of deleted topics may be taken by now. */
static void gen_undelete(struct prng *p, const struct image *i, struct record_list *l)
{
    const struct image_deleted *d = image_deleted(i);
    if (d->count == 0 && prng_chance(p, 9, 10)) return;
    struct record *r = record_list_add(l, prng_chance(p, 2, 3) ? RECORD_RESTORE_TOPIC : RECORD_FORGET_TOPIC);
    r->topic.id = d->count > 0 && prng_chance(p, 19, 20) ? d->topics[prng_below(p, d->count)].topic->id : gen_uuid(p);
}

void record_gen(struct prng *p, const struct image *i, struct record_list *l, uint32_t most)
{
    for (uint64_t n = 1 + prng_below(p, most); n > 0; n--) {
        struct str name = gen_topic_name(l->arena, (uint32_t)prng_below(p, GEN_TOPICS));
        const struct image_topic *t = image_topic_by_name(i, name);
        uint64_t what = prng_below(p, 13);
        struct record *r;
        if (what < 3 && (t == NULL || prng_chance(p, 1, 20))) {
            gen_new_topic(p, l, name);
        } else if (what == 3 && (t != NULL || prng_chance(p, 1, 20))) {
            r = record_list_add(l, RECORD_REMOVE_TOPIC);
            r->topic.id = t != NULL ? t->id : gen_uuid(p);
            r->topic.deleted_ms = prng_chance(p, 2, 3) ? 1 + (int64_t)prng_below(p, 1000) : 0;
            if (prng_chance(p, 1, 3)) gen_new_topic(p, l, name); /* the name taken anew */
        } else if (what < 7 && t != NULL) {
            if (what == 4)
                gen_partition(p, l, t->id, (int32_t)t->partition_count);
            else
                gen_change(p, l, t);
        } else if (what < 9) {
            gen_broker(p, i, l);
        } else if (what < 11) {
            gen_setting(p, t, l);
        } else if (what == 12) {
            gen_undelete(p, i, l);
        } else {
            r = record_list_add(l, RECORD_PRODUCER_IDS);
            r->producer_ids.broker = 1;
            r->producer_ids.broker_epoch = 2;
            r->producer_ids.next = image_producer_id_next(i) + (prng_chance(p, 1, 10) ? 0 : 1000);
        }
    }
    if (l->count == 0) {
        struct record *r = record_list_add(l, RECORD_FEATURE);
        r->feature.name = STR("filler");
        r->feature.level = (int16_t)prng_below(p, 3);
    }
}

uint8_t *image_bytes(struct image *i, size_t *ret_size)
{
    struct image_writer *w = image_writer_create(i);
    size_t room = 1 << 20, size = 0, n;
    uint8_t *bytes = malloc(room);
    CHECK(w != NULL && bytes != NULL);
    for (;;) {
        if (room - size < 64 << 10) bytes = realloc(bytes, room *= 2);
        CHECK(bytes != NULL);
        CHECK_OK(image_writer_next(w, bytes + size, room - size, &n));
        if (n == 0) break;
        size += n;
    }
    image_writer_destroy(w);
    *ret_size = size;
    return bytes;
}

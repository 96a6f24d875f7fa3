// SPDX-License-Identifier: Apache-2.0
/* What image*.c share: the private halves of the objects, and the batch being applied.
 *
 * An object is one block of memory: struct, arrays, strings. `held` counts who holds it: the image, other objects, a
 * delta (its old ones), a snapshot writer. A draft is an object of the batch being applied, still changeable. */
#pragma once
#include "base/list.h"
#include "replication/image.h"

struct held {
    uint32_t refs;
    size_t bytes;
};

struct partition_object {
    struct image_partition p;
    struct held held;
};
struct configs_object {
    struct image_configs c;
    struct held held;
};
struct broker_object {
    struct image_broker b;
    struct held held;
};
struct quota_object {
    struct image_quota q;
    struct held held;
};
struct topic_object {
    struct image_topic t;
    struct held held;                          /* without the array */
    const struct image_partition **partitions; /* t.partitions, changeable while a draft */
    uint32_t room, change;                     /* change: its place in the delta, while a draft */
    bool draft;
};
struct brokers_object { /* the three lists: struct and array apart */
    struct image_brokers l;
    struct held held;
    const struct image_broker **brokers;
    uint32_t room;
};
struct settings_object {
    struct image_settings s;
    struct held held;
    const struct image_configs **configs;
    const struct image_quota **quotas;
    uint32_t room, quota_room;
};
struct features_object {
    struct image_features f;
    struct held held;
};
struct deleted_object { /* struct and array apart */
    struct image_deleted d;
    struct held held;
    struct image_deleted_topic *topics;
    uint32_t room;
};

struct image {
    struct mem *mem;
    struct topic_index *topics;
    struct brokers_object *brokers;
    struct settings_object *settings;
    struct features_object *features;
    struct deleted_object *deleted;
    uint64_t index, partition_count;
    int64_t broker_epoch, producer_id_next;
    int64_t producer_broker_epoch; /* of the last block */
    int32_t producer_broker;
    uint32_t deltas; /* not yet given back */
    bool loading;    /* a snapshot is being read: records stand for a state, not for a step */
};

/* The batch being applied: changes made so far, to be kept or undone as a whole. */
struct batch_change {
    struct image *image;
    struct delta_object *delta;
    struct brokers_object *brokers; /* drafts; NULL: not touched */
    struct settings_object *settings;
    struct features_object *features;
    struct deleted_object *deleted;
    uint64_t partition_count;
    int64_t broker_epoch, producer_id_next, producer_broker_epoch;
    int32_t producer_broker;
    char *error; /* [256] */
};

struct delta_object {
    struct image_delta d;
    struct image_change *changes;
    uint32_t room, removed; /* removed: topics taken out of the index */
};

/* --- image_object.c: all answer NULL for no memory and take a reference for the caller --- */
struct partition_object *partition_object_create(struct mem *m, const struct record_partition *r);
struct configs_object *configs_object_change(struct mem *m, const struct image_configs *old,
                                             const struct record_config *r); /* old NULL: none */
struct broker_object *broker_object_create(struct mem *m, const struct record_register_broker *r);
struct quota_object *quota_object_create(struct mem *m, const struct record_quota *r);
struct topic_object *topic_object_create(struct mem *m, struct str name, struct uuid id);
struct topic_object *topic_object_clone(struct mem *m, const struct image_topic *t);
bool topic_object_room(struct mem *m, struct topic_object *t, uint32_t count);
struct brokers_object *brokers_object_clone(struct mem *m, const struct image_brokers *l);    /* NULL: empty */
struct settings_object *settings_object_clone(struct mem *m, const struct image_settings *s); /* NULL: empty */
struct features_object *features_object_change(struct mem *m, const struct image_features *f, struct str name,
                                               int16_t level, uint64_t epoch); /* NULL: empty */
bool brokers_object_room(struct mem *m, struct brokers_object *l);
bool settings_object_room(struct mem *m, struct settings_object *s);
/* One reference less; NULL is fine. */
void partition_release(struct mem *m, const struct image_partition *p);
void configs_release(struct mem *m, const struct image_configs *c);
void broker_release(struct mem *m, const struct image_broker *b);
void quota_release(struct mem *m, const struct image_quota *q);
void topic_release(struct mem *m, const struct image_topic *t);
void brokers_release(struct mem *m, const struct image_brokers *l);
void settings_release(struct mem *m, const struct image_settings *s);
void features_release(struct mem *m, const struct image_features *f);
void deleted_release(struct mem *m, const struct image_deleted *d);
/* The private halves; objects are const for readers only. */
struct topic_object *topic_of(const struct image_topic *t);
struct held *partition_held(const struct image_partition *p);
struct held *configs_held(const struct image_configs *c);
struct held *broker_held(const struct image_broker *b);
struct held *quota_held(const struct image_quota *q);

struct held *topic_held(const struct image_topic *t);
struct held *brokers_held(const struct image_brokers *l);
struct held *settings_held(const struct image_settings *s);
struct held *features_held(const struct image_features *f);
struct held *deleted_held(const struct image_deleted *d);
void held_ref(struct held *h);
bool held_unref(struct held *h); /* true: that was the last reference */

/* --- image_order.c: places in the sorted lists; *ret_found tells whether it is there --- */
uint32_t brokers_place(const struct image_brokers *l, int32_t id, bool *ret_found);
uint32_t configs_place(const struct image_configs *c, struct str key, bool *ret_found);
uint32_t settings_place(const struct image_settings *s, enum config_resource type, struct str name, bool *ret_found);
uint32_t quotas_place(const struct image_settings *s, const struct record_quota *q, bool *ret_found);

/* --- image.c, image_records.c --- */
/* image_apply without the check of the index: for image_snapshot.c too. */
enum status image_apply_batch(struct image *i, uint64_t index, struct record_batch b, struct image_delta **ret_delta,
                              char ret_error[256]) MUST_CHECK;
struct delta_object *delta_create(struct mem *m);
void delta_free(struct mem *m, struct delta_object *d);
/* Notes a change; NULL: no memory. */
struct image_change *delta_add(struct mem *m, struct delta_object *d, const struct image_topic *old,
                               const struct image_topic *new);
/* STATUS_OK, INVALID (c->error is set), NO_MEMORY. */
enum status record_apply(struct batch_change *c, const struct record *r) MUST_CHECK;
enum status record_refuse(struct batch_change *c, const struct record *r, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The topic as a draft of this batch; NULL: no memory. */
struct topic_object *batch_topic_draft(struct batch_change *c, const struct image_topic *t);
/* A new topic takes its place: index, delta. False: no memory; t is released then. */
bool batch_topic_add(struct batch_change *c, struct topic_object *t);
/* The same partition with other epochs and leader; NULL: no memory. */
struct partition_object *partition_next(struct mem *m, const struct image_topic *t, const struct image_partition *p,
                                        const struct record_change_partition *n);

/* --- image_deleted.c --- */
struct deleted_object *deleted_object_clone(struct mem *m, const struct image_deleted *d); /* NULL: empty */
/* Takes a reference to the topic. False: no memory. */
bool batch_keep_deleted(struct batch_change *c, const struct image_topic *t, int64_t deleted_ms) MUST_CHECK;
enum status apply_restore_topic(struct batch_change *c, const struct record *r) MUST_CHECK;
enum status apply_forget_topic(struct batch_change *c, const struct record *r) MUST_CHECK;

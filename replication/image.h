// SPDX-License-Identifier: Apache-2.0
/* The metadata image: what the records of the metadata log add up to. A state machine without I/O: batches in, deltas
 * out.
 *
 * Sharing without locks. The image belongs to shard 0, which alone applies batches. What other shards read are objects
 * that never change: a topic, a partition, the list of brokers, the settings, the features. A change makes a new object
 * and reports (old, new) in a delta. The owner sends the delta to every shard; each shard swaps its pointers (topics:
 * in a topic_index of its own) and answers; after the last answer the owner gives the delta back with
 * image_delta_release, and only then the old objects are freed. Deltas are given back in the order in which they came.
 * Objects may share parts (an unchanged partition of a changed topic): reading them needs no care, counting is the
 * image's.
 *
 *   shard 0   image_apply(i, index, batch, &delta) -> message {delta} to every shard
 *   shard n   for each change: topic_index_change(mine, old, new); mine.brokers = delta->new_brokers if there; answer
 *   shard 0   all have answered: image_delta_release(i, delta)
 *
 * Arrays and strings inside objects live as long as the object. Strings are NUL-terminated as well, len says the bytes.
 */
#pragma once
#include "base/mem.h"
#include "replication/record.h"
#include "replication/topic_index.h"

struct image;

/* --- objects; immutable --- */

struct image_partition {
    int32_t number, leader; /* NO_LEADER */
    int32_t leader_epoch, partition_epoch;
    struct ids replicas, isr, elr, last_known_elr;
    struct uuids directories; /* count 0, or one for each replica */
};

struct image_config {
    struct str key, value;
};

struct image_configs { /* of one resource, sorted by key (bytes) */
    enum config_resource type;
    struct str name; /* of the resource */
    uint32_t count;
    const struct image_config *entries;
};
/* NULL: not set there. c may be NULL. */
const struct image_config *image_configs_find(const struct image_configs *c, struct str key);

struct image_topic {
    struct str name;
    struct uuid id;
    uint32_t partition_count;
    const struct image_partition *const *partitions; /* by number; none is NULL */
    const struct image_configs *configs;             /* overrides; NULL: none */
    uint64_t index;                                  /* of the entry that made this object */
    uint32_t revived; /* it was deleted and restored: partitions below this number come out of the trash */
};
static inline struct topic_id image_topic_id(const struct image_topic *t)
{
    struct topic_id id;
    memcpy(id.b, t->id.b, sizeof id.b);
    return id;
}
/* NULL: no such partition. */
static inline const struct image_partition *image_topic_partition(const struct image_topic *t, int32_t number)
{
    return number >= 0 && (uint32_t)number < t->partition_count ? t->partitions[number] : NULL;
}

struct image_broker {
    int32_t id;
    int64_t epoch;
    struct uuid incarnation;
    struct str rack; /* null: none */
    const struct listener_record *listeners;
    const struct feature_range *features;
    struct uuids directories;
    uint32_t listener_count, feature_count;
    bool fenced, shutting_down;
};

struct image_brokers { /* all registered ones, by id */
    uint32_t count;
    const struct image_broker *const *brokers;
};
const struct image_broker *image_brokers_find(const struct image_brokers *b, int32_t id); /* NULL: none */

struct image_quota {
    struct quota_entity entity[2];
    uint32_t entity_count;
    struct str key;
    double value;
};

struct image_settings { /* of everything but topics: brokers, groups, ... and quotas */
    uint32_t count;
    const struct image_configs *const *configs; /* sorted by (type, name) */
    uint32_t quota_count;
    const struct image_quota *const *quotas; /* sorted by (entities, key) */
};
/* NULL: nothing is set. RESOURCE_BROKER with name "": the default of all brokers. */
const struct image_configs *image_settings_find(const struct image_settings *s, enum config_resource type,
                                                struct str name);

struct image_feature {
    struct str name;
    int16_t level;
};

struct image_features { /* finalized, by name */
    uint32_t count;
    const struct image_feature *features;
    uint64_t epoch; /* index of the entry that changed them last: Kafka's finalized features epoch */
};

struct image_deleted_topic {
    const struct image_topic *topic; /* as it was */
    int64_t deleted_ms;              /* wall clock */
};

struct image_deleted { /* topics that may be restored, in the order of their deletion */
    uint32_t count;
    const struct image_deleted_topic *topics;
    uint64_t partition_count; /* of all of them */
};
/* The newest of that name, or, with a null name, the one of that id; NULL: none. */
const struct image_deleted_topic *image_deleted_find(const struct image_deleted *d, struct str name, struct uuid id);

/* --- the image --- */

/* Empty, index 0. Everything on MEM_CONTROL. NULL: no room. */
struct image *image_create(struct mem *m);
/* CHECKs that every delta was given back. */
void image_destroy(struct image *i);

struct image_change {
    const struct image_topic *old, *new; /* same id; old NULL: made; new NULL: removed */
};

struct image_delta {
    uint64_t index; /* of the image after it */
    const struct image_change *changes;
    uint32_t change_count; /* removals first, else in the order in which the batch touched them */
    /* new NULL: not changed; old is never NULL where new is not */
    const struct image_brokers *old_brokers, *new_brokers;
    const struct image_settings *old_settings, *new_settings;
    const struct image_features *old_features, *new_features;
    const struct image_deleted *old_deleted; /* the image's own; may still be read until the release */
};

/* The batch of entry `index` (above the image's index). Whole or not at all:
 * OK          *ret_delta (never NULL; it may hold no change) is the caller's until image_delta_release
 * INVALID     a record that does not fit the state (ret_error says which and why): the entry is not from a sound
 *             controller. The image is unchanged; the owner must stop serving
 * NO_MEMORY   unchanged; may be tried again */
enum status image_apply(struct image *i, uint64_t index, struct record_batch b, struct image_delta **ret_delta,
                        char ret_error[256]) MUST_CHECK;
/* An entry without records (a barrier, a new term): only the index moves. */
void image_pass(struct image *i, uint64_t index);
void image_delta_release(struct image *i, struct image_delta *d);

uint64_t image_index(const struct image *i); /* of the last entry applied; 0: none */
const struct topic_index *image_topics(const struct image *i);
const struct image_topic *image_topic_by_name(const struct image *i, struct str name);
const struct image_topic *image_topic_by_id(const struct image *i, struct uuid id);
const struct image_brokers *image_brokers(const struct image *i);   /* never NULL */
const struct image_settings *image_settings(const struct image *i); /* never NULL */
const struct image_features *image_features(const struct image *i); /* never NULL */
const struct image_deleted *image_deleted(const struct image *i);   /* never NULL */
int64_t image_broker_epoch(const struct image *i);                  /* the largest ever given out; 0: none */
int64_t image_producer_id_next(const struct image *i);              /* first id that no block holds */
uint64_t image_partition_count(const struct image *i);              /* of all topics */
/* CHECKs the whole structure; tests and debug builds. */
void image_check(const struct image *i);

/* --- snapshots: image_snapshot.c, docs/formats/metalog.md --- */

/* The bytes of the image as it is now, in pieces; the image may change meanwhile. Same state, same bytes. */
struct image_writer;
struct image_writer *image_writer_create(struct image *i); /* NULL: no room */
/* Up to capacity bytes (at least 64 KiB); 0: that was all. NO_MEMORY: may be tried again. */
enum status image_writer_next(struct image_writer *w, void *out, size_t capacity, size_t *ret_size) MUST_CHECK;
void image_writer_destroy(struct image_writer *w); /* also before the end */

/* Reads such bytes, cut anywhere, into a state apart; image_reader_finish puts it in the image's place. */
struct image_reader;
struct image_reader *image_reader_create(struct image *i); /* NULL: no room */
/* DAMAGED, FORMAT (foreign), UNSUPPORTED_VERSION (newer), NO_MEMORY: the reader is then good for destroy only. */
enum status image_reader_feed(struct image_reader *r, const void *data, size_t size, char ret_error[256]) MUST_CHECK;
/* OK: the image is what the bytes said; the delta holds every difference, and the reader is gone. DAMAGED: the bytes
 * end too early; NO_MEMORY; INVALID: older than the image. Then the image is unchanged and the reader is still there.
 */
enum status image_reader_finish(struct image_reader *r, struct image_delta **ret_delta, char ret_error[256]) MUST_CHECK;
void image_reader_destroy(struct image_reader *r); /* NULL is fine */

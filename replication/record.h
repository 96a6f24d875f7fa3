// SPDX-License-Identifier: Apache-2.0
/* Records of the metadata log as plain structs, and their bytes (metadata.proto). A batch is what one entry of the log
 * carries: it is applied whole or not at all.
 *
 * All values borrow: after a decode they point into the arena, before an encode into the caller's memory. Every length
 * is checked both ways, so a decoded batch needs no further bounds:
 *   names of topics        TOPIC_NAME_MAX, Kafka's alphabet      hosts, listener names, racks   255 bytes
 *   config keys            256 bytes     config values           32,767 bytes (a Kafka string)
 *   feature names          128 bytes     quota entities          at most 2, names 255 bytes
 *   replicas, ISR, ELR     REPLICAS_MAX  listeners, directories, features: 64 each
 *   records in a batch     RECORDS_MAX   bytes of a batch        RECORD_BATCH_BYTES_MAX */
#pragma once
#include "base/arena.h"
#include "protocol/uuid.h"
#include "protocol/wire.h"
#include "storage/types.h"

#define RECORD_BATCH_VERSION   1u
#define RECORDS_MAX            16384u
#define RECORD_BATCH_BYTES_MAX (8u << 20)
#define REPLICAS_MAX           64u
#define BROKER_ITEMS_MAX       64u /* listeners, directories, features of a broker */
#define SHORT_TEXT_MAX         255
#define CONFIG_KEY_BYTES_MAX   256
#define CONFIG_VALUE_BYTES_MAX 32767
#define PARTITIONS_MAX         100000 /* of one topic */
#define NO_LEADER              (-1)

enum record_type {
    RECORD_REGISTER_BROKER = 1,
    RECORD_UNREGISTER_BROKER = 2,
    RECORD_CHANGE_BROKER = 3,
    RECORD_BROKER_STARTED = 4, /* raises the leader epoch of all that this broker leads, in one record (rule D6) */
    RECORD_BROKER_EPOCHS = 5,  /* snapshots only */
    RECORD_TOPIC = 6,
    RECORD_REMOVE_TOPIC = 7, /* its partitions and settings too */
    RECORD_PARTITION = 8,
    RECORD_CHANGE_PARTITION = 9,
    RECORD_CONFIG = 10,
    RECORD_QUOTA = 11,
    RECORD_PRODUCER_IDS = 12,
    RECORD_FEATURE = 13,
    RECORD_RESTORE_TOPIC = 14, /* a deleted topic; raises its leader epochs */
    RECORD_FORGET_TOPIC = 15,  /* a deleted topic */
    /* 20-27 are taken (metadata.proto) */
};

enum config_resource { /* Kafka's ConfigResource types */
                       RESOURCE_TOPIC = 2,
                       RESOURCE_BROKER = 4, /* name: the id in decimal; empty: default of all brokers */
                       RESOURCE_CLIENT_METRICS = 16,
                       RESOURCE_GROUP = 32,
};

struct ids {
    const int32_t *v;
    uint32_t count;
};

struct uuids {
    const struct uuid *v;
    uint32_t count;
};

struct listener_record {
    struct str name, host;
    uint16_t port, security; /* Kafka's security protocol: 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL */
};

struct feature_range {
    struct str name;
    int16_t min, max;
};

struct record_register_broker {
    int32_t id;
    int64_t epoch; /* above every one given out before */
    struct uuid incarnation;
    struct str rack; /* null: none */
    const struct listener_record *listeners;
    const struct feature_range *features;
    struct uuids directories;
    uint32_t listener_count, feature_count;
    bool fenced, shutting_down;
};

struct record_change_broker {
    int32_t id;
    int64_t epoch;
    bool has_fenced, fenced, has_shutting_down, shutting_down;
    struct uuids directories; /* count 0: unchanged */
};

struct record_partition {
    struct uuid topic;
    int32_t number, leader, leader_epoch, partition_epoch;
    struct ids replicas, isr, elr, last_known_elr;
    struct uuids directories; /* count 0, or one for each replica */
};

struct record_change_partition {
    struct uuid topic;
    int32_t number, leader;
    bool has_leader, has_isr, has_elr, has_last_known_elr, has_replicas, has_directories;
    struct ids isr, elr, last_known_elr, replicas;
    struct uuids directories;
};

struct record_config {
    enum config_resource type;
    struct str name, key, value; /* value null: delete */
};

struct quota_entity {
    struct str type, name; /* name null: the default entity */
};

struct record_quota {
    struct quota_entity entity[2]; /* in order of type, none twice */
    uint32_t entity_count;
    struct str key;
    bool has_value; /* else delete */
    double value;
};

struct record {
    enum record_type type;
    union {
        struct record_register_broker register_broker;
        struct record_change_broker change_broker;
        struct {
            int32_t id;
            int64_t epoch;
        } broker; /* UNREGISTER_BROKER, BROKER_STARTED; BROKER_EPOCHS: epoch only */
        struct {
            struct str name; /* TOPIC only */
            struct uuid id;
            uint32_t revived;   /* TOPIC only, in snapshots: image_topic.revived */
            int64_t deleted_ms; /* REMOVE_TOPIC only: kept as deleted at that time; 0: gone for good */
        } topic;                /* TOPIC, REMOVE_TOPIC, RESTORE_TOPIC, FORGET_TOPIC */
        struct record_partition partition;
        struct record_change_partition change_partition;
        struct record_config config;
        struct record_quota quota;
        struct {
            int32_t broker;
            int64_t broker_epoch, next;
        } producer_ids;
        struct {
            struct str name;
            int16_t level; /* 0: delete */
        } feature;
    };
};

struct record_batch {
    const struct record *records;
    uint32_t count;
};

/* Appends to a batch under construction; everything lives in the arena. */
struct record_list {
    struct arena *arena;
    struct record *records;
    uint32_t count, room;
};
void record_list_init(struct record_list *l, struct arena *a);
/* A zeroed record of that type to fill in; NULL: no memory, or RECORDS_MAX reached. */
struct record *record_list_add(struct record_list *l, enum record_type type);
static inline struct record_batch record_list_batch(const struct record_list *l)
{
    return (struct record_batch){l->records, l->count};
}

/* The bytes lie in the arena. NO_MEMORY; INVALID: a field breaks the bounds above (our caller's rule let it pass);
 * BATCH_TOO_LARGE. */
enum status record_batch_encode(struct record_batch b, struct arena *a, const void **ret_data,
                                size_t *ret_size) MUST_CHECK;
/* DAMAGED: not a batch, or a field breaks its bounds. UNSUPPORTED_VERSION: of a newer version, or with a record that
 * this one does not know. NO_MEMORY. */
enum status record_batch_decode(const void *data, size_t size, struct arena *a,
                                struct record_batch *ret_batch) MUST_CHECK;

const char *record_type_name(enum record_type t); /* "register broker" */

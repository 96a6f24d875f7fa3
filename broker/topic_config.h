// SPDX-License-Identifier: Apache-2.0
/* A topic's settings: the table of Kafka's topic configs, their validation, and the struct that the rest of the broker
 * reads. Pure: no I/O, no allocation.
 *
 * A value comes from, the first that has one: the topic's own override, the broker's setting that Kafka calls its
 * synonym (log.retention.ms for retention.ms; dynamic before static), the default of the table. */
#pragma once
#include "base/config.h"
#include "protocol/wire.h"

enum cleanup_policy { CLEANUP_DELETE = 1 << 0, CLEANUP_COMPACT = 1 << 1 }; /* none of both: keep all */
enum timestamp_type { TIMESTAMP_CREATE, TIMESTAMP_APPEND };
enum topic_compression {
    COMPRESSION_PRODUCER, /* as it came */
    COMPRESSION_NONE,
    COMPRESSION_GZIP,
    COMPRESSION_SNAPPY,
    COMPRESSION_LZ4,
    COMPRESSION_ZSTD
};

struct topic_settings {
    int64_t retention_ms, retention_bytes; /* -1: no limit */
    int64_t segment_ms, segment_bytes;
    int64_t delete_retention_ms, min_compaction_lag_ms, max_compaction_lag_ms;
    int64_t timestamp_before_max_ms, timestamp_after_max_ms;
    double min_cleanable_ratio;
    int64_t max_message_bytes; /* of one record batch */
    int64_t min_insync_replicas;
    int64_t cleanup;        /* enum cleanup_policy bits */
    int64_t timestamp_type; /* enum timestamp_type */
    int64_t compression;    /* enum topic_compression */
    int64_t unclean_election;
};

struct topic_config_key {
    struct config_key key;
    const char *server_key; /* the synonym among the broker's settings; NULL: none */
    int16_t kafka_type;     /* enum kafka_config_type, of DescribeConfigs */
    int16_t offset;         /* of its field in struct topic_settings; -1: accepted, checked, without meaning */
};

/* Types of DescribeConfigs (KIP-569). */
enum kafka_config_type {
    KAFKA_CONFIG_UNKNOWN,
    KAFKA_CONFIG_BOOLEAN,
    KAFKA_CONFIG_STRING,
    KAFKA_CONFIG_INT,
    KAFKA_CONFIG_SHORT,
    KAFKA_CONFIG_LONG,
    KAFKA_CONFIG_DOUBLE,
    KAFKA_CONFIG_LIST,
    KAFKA_CONFIG_CLASS,
    KAFKA_CONFIG_PASSWORD
};

extern const struct topic_config_key topic_config_keys[]; /* sorted by name */
extern const size_t topic_config_count;
#define TOPIC_CONFIG_MAX 48 /* room for topic_config_count values */

const struct topic_config_key *topic_config_find(struct str name); /* NULL: no topic config of that name */

/* One value. INVALID: the error says what would be right. */
MUST_CHECK enum status topic_config_check(const struct topic_config_key *k, struct str value,
                                          struct config_error *ret_error);

/* Values by index of topic_config_keys; .data NULL: the table's default. All were checked. */
struct topic_config_values {
    struct str text[TOPIC_CONFIG_MAX];
};
void topic_settings_resolve(const struct topic_config_values *v, struct topic_settings *ret_settings);
/* What no single value shows: INVALID with a sentence. */
MUST_CHECK enum status topic_settings_check(const struct topic_settings *t, struct config_error *ret_error);

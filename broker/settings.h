// SPDX-License-Identifier: Apache-2.0
/* The effective settings of topics on one shard: overrides of the topic, dynamic settings of the brokers, the
 * configuration file, defaults (topic_config.h). A cache of fixed size: a topic without overrides costs nothing, one
 * with overrides is resolved when it is first asked for and again when it has been displaced. */
#pragma once
#include "broker/topic_config.h"
#include "replication/image.h"

#define SETTINGS_SLOTS 1024u /* a power of two; 160 KiB per shard */

struct settings_slot {
    const struct image_configs *overrides; /* NULL: free */
    struct topic_settings settings;
};

struct settings {
    const struct topic_config_values *fixed; /* of the configuration file; outlives this */
    const struct image_settings *dynamic;    /* NULL: none published yet */
    int32_t node_id;
    struct topic_config_values defaults; /* borrows from fixed and dynamic */
    struct topic_settings base;          /* of a topic without overrides */
    struct settings_slot *slots;
};

/* NO_MEMORY. */
MUST_CHECK enum status settings_init(struct settings *s, struct mem *m, const struct topic_config_values *fixed,
                                     int32_t node_id);
void settings_deinit(struct settings *s, struct mem *m);

/* New dynamic settings; the old ones are not looked at any more when this returns. */
void settings_publish(struct settings *s, const struct image_settings *dynamic);
/* The topic's overrides are about to be freed, or replaced. NULL is fine. */
void settings_forget(struct settings *s, const struct image_configs *overrides);

/* Valid until the next call of any function here. overrides may be NULL. */
const struct topic_settings *settings_of(struct settings *s, const struct image_configs *overrides);

/* Where a value comes from, for DescribeConfigs, in Kafka's numbers (KIP-226). */
enum config_source {
    CONFIG_SOURCE_TOPIC = 1,
    CONFIG_SOURCE_DYNAMIC_BROKER = 2,
    CONFIG_SOURCE_DYNAMIC_DEFAULT = 3,
    CONFIG_SOURCE_STATIC = 4,
    CONFIG_SOURCE_DEFAULT = 5,
    CONFIG_SOURCE_GROUP = 8
};
/* The value of key i of topic_config_keys; value null: the table's default. */
enum config_source settings_source(const struct settings *s, const struct image_configs *overrides, size_t i,
                                   struct str *ret_value);
/* A dynamic setting of this broker or of all; NULL: none. */
const struct image_config *settings_dynamic(const struct settings *s, struct str key, enum config_source *ret_source);

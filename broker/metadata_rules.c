// SPDX-License-Identifier: Apache-2.0
/* Settings as the controller's rules see them (metadata_rules.h). Topics: the table of topic_config.c. Brokers: the
 * keys that are the synonym of a topic setting, and those of config.c that may change while the broker runs.
 * Failure mode: a sentence for the client. */
#include "broker/metadata_rules.h"
#include "base/bytes.h"
#include "broker/group/group_config.h"
#include "broker/shard.h"
#include <stdio.h>

static struct shard *zero_of(const struct config_rules *r)
{
    return container_of((struct config_rules *)(uintptr_t)r, struct metadata_rules, rules)->zero;
}

/* A batch must fit the journal (rule A9). */
static bool fits_journal(const struct shard *zero, const struct topic_config_key *k, struct str value, char text[256])
{
    struct config_value v;
    struct config_error error;
    uint32_t most = zero->broker->config->batch_max_bytes;
    if (strcmp(k->key.name, "max.message.bytes") != 0) return true;
    if (config_check(&k->key, value.data, (size_t)value.len, &v, &error) != STATUS_OK || v.number <= most) return true;
    snprintf(text, 256,
             "max.message.bytes: %lld is above %u, the largest batch that this broker's journal takes; raise "
             "leat.batch.max.bytes in its configuration and start it again",
             (long long)v.number, most);
    return false;
}

static bool check_topic(const struct shard *zero, const struct topic_config_key *k, struct str value, char text[256])
{
    struct config_error error;
    if (topic_config_check(k, value, &error) != STATUS_OK) {
        snprintf(text, 256, "%.255s", error.text);
        return false;
    }
    return fits_journal(zero, k, value, text);
}

static const struct topic_config_key *by_server_key(struct str key)
{
    for (size_t i = 0; i < topic_config_count; i++) {
        const char *name = topic_config_keys[i].server_key;
        if (name != NULL && str_equal(key, (struct str){name, (int32_t)strlen(name)})) return &topic_config_keys[i];
    }
    return NULL;
}

static bool check_broker(const struct shard *zero, struct str key, struct str value, char text[256])
{
    struct config_value v;
    struct config_error error;
    const struct topic_config_key *k = by_server_key(key);
    if (k != NULL) return check_topic(zero, k, value, text);
    const struct config_key *b = broker_key_find(key);
    if (b == NULL || (b->flags & CONFIG_DYNAMIC) == 0) {
        snprintf(text, 256, "%.*s cannot be changed while the broker runs", MIN(key.len, 100), key.data);
        return false;
    }
    if (config_check(b, value.data, (size_t)value.len, &v, &error) == STATUS_OK) return true;
    snprintf(text, 256, "%.255s", error.text);
    return false;
}

static bool check(const struct config_rules *r, enum config_resource type, struct str key, struct str value,
                  char text[256])
{
    const struct shard *zero = zero_of(r);
    if (type == RESOURCE_BROKER) return check_broker(zero, key, value, text);
    if (type == RESOURCE_GROUP) {
        struct config_error error;
        if (group_config_check(&zero->broker->config->groups, key, value, &error) == STATUS_OK) return true;
        snprintf(text, 256, "%.255s", error.text);
        return false;
    }
    const struct topic_config_key *k = type == RESOURCE_TOPIC ? topic_config_find(key) : NULL;
    if (k != NULL) return check_topic(zero, k, value, text);
    snprintf(text, 256, "Unknown %s config name: %.*s", type == RESOURCE_TOPIC ? "topic" : "resource",
             MIN(key.len, 100), key.data);
    return false;
}

static bool is_list(const struct config_rules *r, enum config_resource type, struct str key)
{
    (void)r;
    const struct topic_config_key *k = type == RESOURCE_TOPIC ? topic_config_find(key) : by_server_key(key);
    return k != NULL && k->key.type == CONFIG_LIST;
}

static struct str default_value(const struct config_rules *r, enum config_resource type, struct str key)
{
    const struct shard *zero = zero_of(r);
    const struct topic_config_key *k = type == RESOURCE_TOPIC ? topic_config_find(key) : by_server_key(key);
    struct str value;
    if (k == NULL) return STR_NULL;
    (void)settings_source(&zero->settings, NULL, (size_t)(k - topic_config_keys), &value);
    if (value.data == NULL) value = (struct str){k->key.default_text, (int32_t)strlen(k->key.default_text)};
    return value;
}

void metadata_rules_begin(struct metadata_rules *r, struct shard *zero, const struct image *image, struct prng *random,
                          struct controller *ret_controller)
{
    r->zero = zero;
    r->rules = (struct config_rules){.check = check, .is_list = is_list, .default_value = default_value};
    *ret_controller = (struct controller){
        .image = image,
        .rules = &r->rules,
        .random = random,
        .default_partitions = zero->broker->config->default_partitions,
        .default_replication_factor = zero->broker->config->default_replication_factor,
        .now_ms = zero->env->now_wall.v,
        .undelete_ms = zero->broker->config->undelete_ms,
    };
}

// SPDX-License-Identifier: Apache-2.0
/* Settings of groups (group_config.h). Failure mode: a sentence for whoever sets them. */
#include "broker/group/group_config.h"
#include "base/bytes.h"
#include "base/check.h"
#include "broker/group/groups.h"
#include <stdio.h>

#define OF_BROKER(name, server, field)                                                                                 \
    {                                                                                                                  \
        {name, CONFIG_INT, NULL, 1, INT32_MAX, NULL, "of the members of this group", CONFIG_DYNAMIC}, server,          \
            offsetof(struct group_settings, consumer_##field##_ms),                                                    \
            offsetof(struct group_settings, consumer_##field##_min_ms),                                                \
            offsetof(struct group_settings, consumer_##field##_max_ms)                                                 \
    }
const struct group_config_key group_config_keys[] = {
    OF_BROKER("consumer.heartbeat.interval.ms", "group.consumer.heartbeat.interval.ms", heartbeat),
    OF_BROKER("consumer.session.timeout.ms", "group.consumer.session.timeout.ms", session),
};
const size_t group_config_count = sizeof group_config_keys / sizeof group_config_keys[0];

static int32_t number_at(const struct group_settings *s, size_t offset)
{
    int32_t n;
    memcpy(&n, (const char *)s + offset, sizeof n);
    return n;
}

static struct str name_of(const struct group_config_key *k)
{
    return (struct str){k->key.name, (int32_t)strlen(k->key.name)};
}

enum status group_config_check(const struct group_settings *s, struct str key, struct str value,
                               struct config_error *ret_error)
{
    size_t i = 0;
    struct config_value v;
    while (i < group_config_count && !str_equal(name_of(&group_config_keys[i]), key)) i++;
    if (i == group_config_count) {
        snprintf(ret_error->text, sizeof ret_error->text, "Unknown group config name: %.*s", MIN(key.len, 100),
                 key.data);
        return STATUS_INVALID;
    }
    const struct group_config_key *k = &group_config_keys[i];
    enum status status = config_check(&k->key, value.data, (size_t)value.len, &v, ret_error);
    if (status != STATUS_OK) return status;
    int32_t min = number_at(s, k->min), max = number_at(s, k->max);
    if (v.number >= min && v.number <= max) return STATUS_OK;
    snprintf(ret_error->text, sizeof ret_error->text, "%s must be between %d and %d, as this broker is set",
             k->key.name, min, max);
    return STATUS_INVALID;
}

int32_t group_config_ms(const struct group_settings *s, const struct image_settings *dynamic, struct str group,
                        const struct group_config_key *k)
{
    int32_t standard = number_at(s, k->value);
    if (dynamic == NULL || dynamic->count == 0) return standard;
    const struct image_config *c = image_configs_find(image_settings_find(dynamic, RESOURCE_GROUP, group), name_of(k));
    struct config_value v;
    struct config_error error;
    if (c == NULL || config_check(&k->key, c->value.data, (size_t)c->value.len, &v, &error) != STATUS_OK)
        return standard;
    return (int32_t)MAX(number_at(s, k->min), MIN(v.number, number_at(s, k->max)));
}

int32_t group_heartbeat_ms(const struct groups *gs, struct str group)
{
    return group_config_ms(gs->settings, gs->dynamic, group, &group_config_keys[0]);
}

int32_t group_session_ms(const struct groups *gs, struct str group)
{
    return group_config_ms(gs->settings, gs->dynamic, group, &group_config_keys[1]);
}

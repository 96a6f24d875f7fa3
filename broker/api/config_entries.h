// SPDX-License-Identifier: Apache-2.0
/* Settings as DescribeConfigs and CreateTopics answer them: names, effective values, where they come from. */
#pragma once
#include "broker/api/api.h"
#include "broker/settings.h"

struct describe_configs_request_resource;
struct describe_configs_response_config;

struct config_ask {
    struct request *request;
    bool synonyms, documentation;
    const struct str *keys; /* NULL with key_count -1: all */
    int32_t key_count;
};

/* Entries in the order of the table. False: no memory. */
bool config_entries_topic(const struct config_ask *ask, const struct image_configs *overrides,
                          struct describe_configs_response_config **ret_entries, int32_t *ret_count);
/* Of a group, whether it exists or not. */
bool config_entries_group(const struct config_ask *ask, struct str group,
                          struct describe_configs_response_config **ret_entries, int32_t *ret_count);
/* own: of this broker; else only what is set for all brokers dynamically (the default resource, name ""). */
bool config_entries_broker(const struct config_ask *ask, bool own,
                           struct describe_configs_response_config **ret_entries, int32_t *ret_count);

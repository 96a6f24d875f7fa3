// SPDX-License-Identifier: Apache-2.0
/* DescribeConfigs: topics, this broker, the default of all brokers. One stage. Failure modes: per resource, the others
 * go on; a kind of resource that is not there is INVALID_REQUEST, as in Apache Kafka. */
#include "broker/api/config_entries.h"
#include "broker/shard.h"
#include "protocol/msg_describe_configs.h"
#include <stdio.h>

static void refuse(struct describe_configs_response_result *a, int16_t code, const char *why)
{
    a->error_code = code;
    a->error_message = (struct str){why, (int32_t)strlen(why)};
}

static bool topic(const struct config_ask *ask, struct str name, struct describe_configs_response_result *a)
{
    char why[256];
    const struct image_topic *t = NULL;
    if (!topic_name_check(name, why))
        refuse(a, status_kafka_code(STATUS_INVALID_TOPIC), "the topic name is invalid");
    else if ((t = topic_index_by_name(ask->request->shard->topics, name)) == NULL)
        refuse(a, status_kafka_code(STATUS_UNKNOWN_PARTITION), status_text(STATUS_UNKNOWN_PARTITION));
    return t == NULL || config_entries_topic(ask, t->configs, &a->configs, &a->configs_count);
}

static bool broker(const struct config_ask *ask, struct str name, struct describe_configs_response_result *a)
{
    char id[16];
    int n = snprintf(id, sizeof id, "%d", ask->request->shard->broker->config->node_id);
    bool own = str_equal(name, (struct str){id, n});
    if (own || name.len == 0) return config_entries_broker(ask, own, &a->configs, &a->configs_count);
    refuse(a, KAFKA_INVALID_REQUEST, "the resource name is neither this broker's id nor empty");
    return true;
}

static bool describe(struct request *r, const struct describe_configs_request *q,
                     const struct describe_configs_request_resource *asked, struct describe_configs_response_result *a)
{
    struct config_ask ask = {
        .request = r,
        .synonyms = q->include_synonyms,
        .documentation = q->include_documentation,
        .keys = asked->configuration_keys,
        .key_count = asked->configuration_keys_count,
    };
    describe_configs_response_result_init(a);
    a->resource_type = asked->resource_type;
    a->resource_name = asked->resource_name;
    switch (asked->resource_type) {
    case RESOURCE_TOPIC: return topic(&ask, asked->resource_name, a);
    case RESOURCE_BROKER: return broker(&ask, asked->resource_name, a);
    case RESOURCE_GROUP:
        if (asked->resource_name.len > 0)
            return config_entries_group(&ask, asked->resource_name, &a->configs, &a->configs_count);
        refuse(a, KAFKA_INVALID_REQUEST, "Group name must not be empty");
        return true;
    case RESOURCE_CLIENT_METRICS: return true; /* nothing can be set there yet */
    default: refuse(a, KAFKA_INVALID_REQUEST, "no such kind of resource"); return true;
    }
}

static int answer(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    struct describe_configs_response a;
    const struct describe_configs_request *q = api_decode(r, sizeof *q);
    if (q == NULL) return STAGE_DONE;
    describe_configs_response_init(&a);
    a.results = request_zalloc(r, (size_t)q->resources_count * sizeof *a.results);
    a.results_count = q->resources_count;
    bool ok = a.results != NULL;
    for (int32_t i = 0; ok && i < q->resources_count; i++) ok = describe(r, q, &q->resources[i], &a.results[i]);
    if (ok)
        request_answer(r, &a);
    else
        request_refuse(r, "no memory for its answer");
    return STAGE_DONE;
}

static const struct stage stages[] = {{"answer", answer, 0}};
const struct flow describe_configs_flow = {"describe configs", stages, 1};

// SPDX-License-Identifier: Apache-2.0
/* ListConfigResources (KIP-1142): names of what has settings: all topics, all brokers with their loggers, groups and
 * client metrics that have settings of their own. One stage. Version 0 asks for client metrics alone (KIP-1000). */
#include "broker/api/api.h"
#include "broker/shard.h"
#include "protocol/msg_list_config_resources.h"
#include <stdio.h>

#define RESOURCE_BROKER_LOGGER 8

struct types {
    bool topics, brokers, loggers, metrics, groups;
};

/* False: a type that is not there. */
static bool read_types(const struct request *r, const struct list_config_resources_request *q, struct types *ret_types)
{
    struct types t = {0};
    bool all = r->header.api_version > 0 && q->resource_types_count <= 0;
    if (r->header.api_version == 0) t.metrics = true;
    if (all) t = (struct types){true, true, true, true, true};
    for (int32_t i = 0; i < q->resource_types_count; i++) {
        switch (q->resource_types[i]) {
        case RESOURCE_TOPIC: t.topics = true; break;
        case RESOURCE_BROKER: t.brokers = true; break;
        case RESOURCE_BROKER_LOGGER: t.loggers = true; break;
        case RESOURCE_CLIENT_METRICS: t.metrics = true; break;
        case RESOURCE_GROUP: t.groups = true; break;
        default: return false;
        }
    }
    *ret_types = t;
    return true;
}

static void add(struct list_config_resources_response *a, struct str name, int8_t type)
{
    struct list_config_resources_response_config_resource *row = &a->config_resources[a->config_resources_count++];
    list_config_resources_response_config_resource_init(row);
    row->resource_name = name;
    row->resource_type = type;
}

static bool add_brokers(struct request *r, struct types t, struct list_config_resources_response *a)
{
    const struct image_brokers *all = r->shard->brokers;
    for (uint32_t i = 0; i < all->count; i++) {
        char *id = request_zalloc(r, 12);
        if (id == NULL) return false;
        struct str name = {id, (int32_t)snprintf(id, 12, "%d", all->brokers[i]->id)};
        if (t.brokers) add(a, name, RESOURCE_BROKER);
        if (t.loggers) add(a, name, RESOURCE_BROKER_LOGGER);
    }
    return true;
}

static bool fill(struct request *r, struct types t, struct list_config_resources_response *a)
{
    const struct shard *s = r->shard;
    const struct image_settings *settings = s->settings.dynamic;
    uint32_t others = settings != NULL ? settings->count : 0;
    size_t most = topic_index_count(s->topics) + 2u * s->brokers->count + others;
    a->config_resources = request_zalloc(r, most * sizeof *a->config_resources);
    if (a->config_resources == NULL || !add_brokers(r, t, a)) return false;
    struct topic_cursor c = topic_index_first(s->topics);
    for (const struct image_topic *x; t.topics && (x = topic_cursor_next(&c)) != NULL;) add(a, x->name, RESOURCE_TOPIC);
    for (uint32_t i = 0; i < others; i++) {
        const struct image_configs *x = settings->configs[i];
        if ((x->type == RESOURCE_CLIENT_METRICS && t.metrics) || (x->type == RESOURCE_GROUP && t.groups))
            add(a, x->name, (int8_t)x->type);
    }
    return true;
}

static int answer(struct task *task)
{
    struct request *r = container_of(task, struct request, task);
    const struct list_config_resources_request *q = api_decode(r, sizeof *q);
    struct list_config_resources_response a;
    struct types t;
    if (q == NULL) return STAGE_DONE;
    list_config_resources_response_init(&a);
    if (!read_types(r, q, &t))
        a.error_code = KAFKA_UNSUPPORTED_VERSION;
    else if (!fill(r, t, &a))
        return api_no_memory(r);
    request_answer(r, &a);
    return STAGE_DONE;
}

static const struct stage stages[] = {{"answer", answer, 0}};
const struct flow list_config_resources_flow = {"list config resources", stages, 1};

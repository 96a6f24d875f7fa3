// SPDX-License-Identifier: Apache-2.0
/* The requests of the admin client's operations (broker_admin.c). */
#include "tests/sim/broker_clients.h"

#include "protocol/msg_create_partitions.h"
#include "protocol/msg_create_topics.h"
#include "protocol/msg_delete_records.h"
#include "protocol/msg_delete_topics.h"
#include "protocol/msg_describe_configs.h"
#include "protocol/msg_incremental_alter_configs.h"
#include "protocol/msg_leat_undelete_topics.h"
#include "protocol/msg_list_offsets.h"
#include "protocol/msg_metadata.h"

enum {
    API_LIST_OFFSETS = 2,
    API_METADATA = 3,
    API_CREATE = 19,
    API_DELETE = 20,
    API_TRIM = 21,
    API_DESCRIBE = 32,
    API_GROW = 37,
    API_ALTER = 44,
    API_UNDELETE = 10000
};

#define RESOURCE_TOPIC 2
#define TIMEOUT_MS     5000

static struct str text(const char *t)
{
    return (struct str){t, (int32_t)strlen(t)};
}

static bool ask_create(struct client_admin *a)
{
    struct create_topics_request q;
    struct create_topics_request_topic t;
    struct create_topics_request_config configs[CHECK_CONFIGS];
    char values[CHECK_CONFIGS][24];
    create_topics_request_init(&q);
    create_topics_request_topic_init(&t);
    t.name = text(a->topic->name);
    t.num_partitions = a->topic->partitions;
    t.replication_factor = 1;
    t.configs = configs;
    for (int i = 0; i < CHECK_CONFIGS; i++) {
        if (a->topic->configs[i] < 0) continue;
        snprintf(values[i], sizeof values[i], "%lld", (long long)a->topic->configs[i]);
        create_topics_request_config_init(&configs[t.configs_count]);
        configs[t.configs_count].name = text(check_config_names[i]);
        configs[t.configs_count++].value = text(values[i]);
    }
    q.topics = &t;
    q.topics_count = 1;
    q.timeout_ms = TIMEOUT_MS;
    return wire_call(&a->wire, API_CREATE, 7, &q, 0, true);
}

static bool ask_metadata(struct client_admin *a)
{
    struct metadata_request q;
    metadata_request_init(&q);
    q.topics_count = -1;
    q.allow_auto_topic_creation = false;
    return wire_call(&a->wire, API_METADATA, 12, &q, 0, true);
}

static bool ask_delete(struct client_admin *a)
{
    struct delete_topics_request q;
    struct delete_topics_request_topic t;
    delete_topics_request_init(&q);
    delete_topics_request_topic_init(&t);
    t.name = STR_NULL;
    t.topic_id = a->topic->id;
    q.topics = &t;
    q.topics_count = 1;
    q.timeout_ms = TIMEOUT_MS;
    return wire_call(&a->wire, API_DELETE, 6, &q, 0, true);
}

static bool ask_undelete(struct client_admin *a)
{
    struct leat_undelete_topics_request q;
    struct leat_undelete_topics_request_topic t;
    leat_undelete_topics_request_init(&q);
    leat_undelete_topics_request_topic_init(&t);
    t.topic_id = a->topic->id;
    q.topics = &t;
    q.topics_count = 1;
    return wire_call(&a->wire, API_UNDELETE, 0, &q, 0, true);
}

static bool ask_grow(struct client_admin *a)
{
    struct create_partitions_request q;
    struct create_partitions_request_topic t;
    create_partitions_request_init(&q);
    create_partitions_request_topic_init(&t);
    t.name = text(a->topic->name);
    t.count = a->topic->partitions_asked;
    t.assignments_count = -1;
    q.topics = &t;
    q.topics_count = 1;
    q.timeout_ms = TIMEOUT_MS;
    return wire_call(&a->wire, API_GROW, 3, &q, 0, true);
}

static bool ask_trim(struct client_admin *a)
{
    struct delete_records_request q;
    struct delete_records_request_topic t;
    struct delete_records_request_partition p;
    delete_records_request_init(&q);
    delete_records_request_topic_init(&t);
    delete_records_request_partition_init(&p);
    p.partition_index = a->part;
    p.offset = a->offset;
    t.name = text(a->topic->name);
    t.partitions = &p;
    t.partitions_count = 1;
    q.topics = &t;
    q.topics_count = 1;
    q.timeout_ms = TIMEOUT_MS;
    return wire_call(&a->wire, API_TRIM, 2, &q, 0, true);
}

static bool ask_alter(struct client_admin *a)
{
    struct incremental_alter_configs_request q;
    struct incremental_alter_configs_request_resource r;
    struct incremental_alter_configs_request_config c;
    char value[24];
    int64_t v = a->topic->configs_asked[a->config];
    snprintf(value, sizeof value, "%lld", (long long)v);
    incremental_alter_configs_request_init(&q);
    incremental_alter_configs_request_resource_init(&r);
    incremental_alter_configs_request_config_init(&c);
    c.name = text(check_config_names[a->config]);
    c.config_operation = v < 0; /* 0: set, 1: delete */
    c.value = v < 0 ? STR_NULL : text(value);
    r.resource_type = RESOURCE_TOPIC;
    r.resource_name = text(a->topic->name);
    r.configs = &c;
    r.configs_count = 1;
    q.resources = &r;
    q.resources_count = 1;
    return wire_call(&a->wire, API_ALTER, 1, &q, 0, true);
}

static bool ask_describe(struct client_admin *a)
{
    struct describe_configs_request q;
    struct describe_configs_request_resource r;
    describe_configs_request_init(&q);
    describe_configs_request_resource_init(&r);
    r.resource_type = RESOURCE_TOPIC;
    r.resource_name = text(a->topic->name);
    r.configuration_keys_count = -1;
    q.resources = &r;
    q.resources_count = 1;
    return wire_call(&a->wire, API_DESCRIBE, 4, &q, 0, true);
}

static bool ask_offsets(struct client_admin *a)
{
    struct list_offsets_request q;
    struct list_offsets_request_topic t;
    struct list_offsets_request_partition p[2];
    list_offsets_request_init(&q);
    list_offsets_request_topic_init(&t);
    for (int i = 0; i < 2; i++) {
        list_offsets_request_partition_init(&p[i]);
        p[i].partition_index = a->part;
        p[i].current_leader_epoch = -1;
        p[i].timestamp = i == 0 ? -1 : -2; /* latest, earliest */
    }
    t.name = text(a->topic->name);
    t.partitions = &p[client_roll(a->clients, 2)];
    t.partitions_count = 1;
    q.replica_id = -1;
    q.topics = &t;
    q.topics_count = 1;
    a->offset = t.partitions->timestamp;
    a->asked_hw = a->topic->parts[a->part].high_watermark;
    a->asked_start = a->topic->parts[a->part].log_start;
    return wire_call(&a->wire, API_LIST_OFFSETS, 7, &q, 0, true);
}

bool client_admin_ask(struct client_admin *a)
{
    switch (a->kind) {
    case ADMIN_CREATE: return ask_create(a);
    case ADMIN_FIND:
    case ADMIN_LOOK:
    case ADMIN_LIST: return ask_metadata(a);
    case ADMIN_UNDELETE: return ask_undelete(a);
    case ADMIN_DELETE: return ask_delete(a);
    case ADMIN_GROW: return ask_grow(a);
    case ADMIN_TRIM: return ask_trim(a);
    case ADMIN_ALTER: return ask_alter(a);
    case ADMIN_DESCRIBE: return ask_describe(a);
    case ADMIN_OFFSETS: return ask_offsets(a);
    case ADMIN_NONE: break;
    }
    return false;
}

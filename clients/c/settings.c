// SPDX-License-Identifier: Apache-2.0
/* Settings of topics and brokers (contract: leat.h). A topic's go by any broker (Kafka's brokers hand changes on to
 * their controller); a broker's own settings are asked of that broker, which alone knows its file.
 * Failure modes: the answer speaks of another resource than asked: a broken broker; else the broker's refusal. */
#include "clients/c/metadata.h"
#include "clients/c/result.h"

#include "base/bytes.h"
#include "protocol/msg_describe_configs.h"
#include "protocol/msg_incremental_alter_configs.h"
#include <stdlib.h>

#define DESCRIBE_CONFIGS_VERSION_CAP          4
#define INCREMENTAL_ALTER_CONFIGS_VERSION_CAP 1
#define OPERATION_SET                         0
#define OPERATION_DELETE                      1

/* Brokers are asked themselves; their address comes from Metadata. */
static enum leat_code target_find(struct leat_client *c, enum leat_resource resource, const char *name,
                                  int64_t deadline, struct address *ret_node, struct call *q, struct leat_error *e)
{
    char *end;
    q->target = CALL_ANY;
    if (resource == LEAT_TOPIC || resource == LEAT_GROUP) return LEAT_OK;
    long id = name == NULL ? -1 : strtol(name, &end, 10);
    if (name == NULL || end == name || *end != '\0' || id < 0 || id > INT32_MAX)
        return fail(e, LEAT_INVALID, "'%.100s' is no broker id", name == NULL ? "" : name);
    enum leat_code code = metadata_node(c, (int32_t)id, deadline, ret_node, e);
    q->target = CALL_NODE;
    q->node = ret_node;
    return code;
}

static enum leat_code refusal(int16_t error, struct str message, const char *name, struct leat_error *e)
{
    char text[300];
    str_copy(text, sizeof text, message);
    return fail_kafka(e, error, "settings of '%s'%s%s", name, text[0] ? ": " : "", text);
}

static int value_order(const void *a, const void *b)
{
    const struct leat_value *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static enum leat_source source_of(int8_t source)
{
    bool known = (source >= LEAT_SOURCE_TOPIC && source <= LEAT_SOURCE_DEFAULT) || source == LEAT_SOURCE_GROUP;
    return known ? (enum leat_source)source : LEAT_SOURCE_UNKNOWN;
}

static void settings_take(struct result *r, const struct describe_configs_response_result *q, struct leat_settings *s)
{
    size_t n = (size_t)MAX(q->configs_count, 0);
    struct leat_value *values = result_array(r, n, sizeof *values);
    for (size_t i = 0; i < n && !r->failed; i++) {
        const struct describe_configs_response_config *c = &q->configs[i];
        values[i] = (struct leat_value){.name = result_str(r, c->name),
                                        .source = source_of(c->config_source),
                                        .read_only = c->read_only,
                                        .sensitive = c->is_sensitive};
        if (!r->failed && c->value.len >= 0) values[i].value = result_str(r, c->value);
    }
    if (r->failed) return;
    qsort(values, n, sizeof *values, value_order);
    s->values = values;
    s->count = n;
}

static enum leat_code settings_result(struct leat_client *client, const struct describe_configs_response *a,
                                      const char *name, struct leat_settings **ret_settings, struct leat_error *e)
{
    struct result *r;
    if (a->results_count != 1 || !str_equal(a->results[0].resource_name, str_of(name)))
        return fail(e, LEAT_PROTOCOL, "settings of '%s': the answer is about something else", name);
    if (a->results[0].error_code != KAFKA_NONE)
        return refusal(a->results[0].error_code, a->results[0].error_message, name, e);
    struct leat_settings *s = result_create(client->mem, sizeof *s, &r);
    if (s != NULL) settings_take(r, &a->results[0], s);
    if (s == NULL || r->failed) {
        result_free(s);
        return fail(e, LEAT_NO_MEMORY, "no memory for the settings of '%s'", name);
    }
    *ret_settings = s;
    return LEAT_OK;
}

enum leat_code leat_settings_get(struct leat_client *client, enum leat_resource resource, const char *name,
                                 int64_t timeout_ms, struct leat_settings **ret_settings, struct leat_error *ret_error)
{
    struct describe_configs_request q;
    struct describe_configs_request_resource about;
    struct address node;
    struct reply r;
    int64_t deadline = deadline_in(timeout_ms);
    struct call what = {.key = API_DESCRIBE_CONFIGS, .version_cap = DESCRIBE_CONFIGS_VERSION_CAP, .message = &q};
    enum leat_code code = target_find(client, resource, name, deadline, &node, &what, ret_error);
    if (code != LEAT_OK) return code;
    describe_configs_request_init(&q);
    describe_configs_request_resource_init(&about);
    q.resources = &about;
    q.resources_count = 1;
    about.resource_type = (int8_t)resource;
    about.resource_name = str_of(name);
    about.configuration_keys_count = -1;
    code = call(client, &what, deadline, &r, ret_error);
    if (code != LEAT_OK) return code;
    code = settings_result(client, r.message, name, ret_settings, ret_error);
    reply_free(&r);
    return code;
}

void leat_settings_free(struct leat_settings *settings)
{
    result_free(settings);
}

enum leat_code leat_settings_alter(struct leat_client *client, enum leat_resource resource, const char *name,
                                   const struct leat_setting *changes, size_t count, int64_t timeout_ms,
                                   struct leat_error *ret_error)
{
    struct incremental_alter_configs_request q;
    struct incremental_alter_configs_request_resource about;
    struct address node;
    struct reply r;
    int64_t deadline = deadline_in(timeout_ms);
    size_t bytes = MAX(count, (size_t)1) * sizeof *about.configs;
    struct call what = {.key = API_INCREMENTAL_ALTER_CONFIGS,
                        .version_cap = INCREMENTAL_ALTER_CONFIGS_VERSION_CAP,
                        .message = &q}; /* the same change twice is the same: it may be repeated */
    if (count > INT16_MAX) return fail(ret_error, LEAT_INVALID, "too many settings: %zu", count);
    enum leat_code code = target_find(client, resource, name, deadline, &node, &what, ret_error);
    if (code != LEAT_OK) return code;
    incremental_alter_configs_request_init(&q);
    incremental_alter_configs_request_resource_init(&about);
    q.resources = &about;
    q.resources_count = 1;
    about.resource_type = (int8_t)resource;
    about.resource_name = str_of(name);
    about.configs = mem_alloc(client->mem, MEM_CONTROL, bytes);
    if (about.configs == NULL) return fail(ret_error, LEAT_NO_MEMORY, "no memory for %zu settings", count);
    about.configs_count = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        incremental_alter_configs_request_config_init(&about.configs[i]);
        about.configs[i].name = str_of(changes[i].name);
        about.configs[i].config_operation = changes[i].value == NULL ? OPERATION_DELETE : OPERATION_SET;
        about.configs[i].value = str_of(changes[i].value);
    }
    code = call(client, &what, deadline, &r, ret_error);
    mem_free(client->mem, MEM_CONTROL, about.configs, bytes);
    if (code != LEAT_OK) return code;
    const struct incremental_alter_configs_response *a = r.message;
    if (a->responses_count != 1 || !str_equal(a->responses[0].resource_name, str_of(name)))
        code = fail(ret_error, LEAT_PROTOCOL, "settings of '%s': the answer is about something else", name);
    else if (a->responses[0].error_code != KAFKA_NONE)
        code = refusal(a->responses[0].error_code, a->responses[0].error_message, name, ret_error);
    reply_free(&r);
    return code;
}

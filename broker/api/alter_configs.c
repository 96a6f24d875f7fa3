// SPDX-License-Identifier: Apache-2.0
/* IncrementalAlterConfigs and AlterConfigs: changes of topics' and brokers' settings.
 *
 *   begin   read the body, refuse what needs no metadata (resources that stand twice, foreign broker ids)
 *   answer  shard 0 has judged each resource, and what it accepted is in force on every shard
 *
 * The two requests differ in the rule alone: the older one puts back to their defaults the keys that it does not name.
 * Failure modes: per resource, the others go on. */
#include "broker/api/admin.h"
#include "broker/shard.h"
#include "protocol/msg_alter_configs.h"
#include "protocol/msg_incremental_alter_configs.h"
#include <stdio.h>

enum alter_stage { ALTER_BEGIN, ALTER_ANSWER };

struct alter_resource { /* of either request */
    enum config_resource type;
    struct str name;
    struct config_change *changes; /* incremental */
    struct config_entry *entries;  /* the older one */
    uint32_t count;
    struct rule_error error;
};

struct alter {
    struct admin admin;
    bool validate_only;
    struct alter_resource *resources;
    uint32_t count;
};

static enum status plan(struct metadata_call *c, struct metadata_plan *p)
{
    struct alter *a = container_of(admin_of(c), struct alter, admin);
    for (uint32_t i = 0; i < a->count; i++) {
        struct alter_resource *x = &a->resources[i];
        if (x->error.code != RULE_OK) continue;
        enum status s = x->changes != NULL
                            ? controller_alter_configs(&p->controller, x->type, x->name, x->changes, x->count,
                                                       a->validate_only, &p->records, &x->error)
                            : controller_replace_configs(&p->controller, x->type, x->name, x->entries, x->count,
                                                         a->validate_only, &p->records, &x->error);
        if (s != STATUS_OK) return s;
    }
    return STATUS_OK;
}

static void refuse(struct alter_resource *x, const char *why)
{
    x->error.code = KAFKA_INVALID_REQUEST;
    snprintf(x->error.text, sizeof x->error.text, "%s", why);
}

static void check(const struct request *r, struct alter_resource *x, bool twice)
{
    char id[16], why[128];
    int n = snprintf(id, sizeof id, "%d", r->shard->broker->config->node_id);
    bool own = x->name.len == 0 || str_equal(x->name, (struct str){id, n});
    if (twice) refuse(x, "Each resource must appear at most once.");
    if (x->type == RESOURCE_BROKER && !own) {
        snprintf(why, sizeof why, "Unexpected broker id, expected %s or empty string, but received %.*s", id,
                 (int)(x->name.len < 32 ? x->name.len : 32), x->name.data);
        refuse(x, why);
    }
    if (x->type == RESOURCE_GROUP && x->name.len == 0) refuse(x, "Default group resources are not allowed.");
    if (x->type != RESOURCE_BROKER && x->type != RESOURCE_TOPIC && x->type != RESOURCE_GROUP)
        refuse(x, "settings of that kind of resource cannot be changed on this broker");
}

/* False: no memory. */
static bool check_all(struct request *r, struct alter *a)
{
    struct str *names = request_zalloc(r, a->count * sizeof *names);
    if (names == NULL) return false;
    for (uint32_t i = 0; i < a->count; i++) { /* type and name as one */
        const struct alter_resource *x = &a->resources[i];
        char *text = request_zalloc(r, (size_t)x->name.len + 1);
        if (text == NULL) return false;
        text[0] = (char)x->type;
        memcpy(text + 1, x->name.data, (size_t)x->name.len);
        names[i] = (struct str){text, x->name.len + 1};
    }
    const bool *twice = api_duplicates(r, names, a->count);
    for (uint32_t i = 0; twice != NULL && i < a->count; i++) check(r, &a->resources[i], twice[i]);
    return twice != NULL;
}

static int go(struct request *r, struct alter *a, bool filled)
{
    if (filled && check_all(r, a)) return admin_send(r, plan, ALTER_ANSWER);
    request_refuse(r, "no memory for its request");
    return STAGE_DONE;
}

static bool take_incremental(struct request *r, struct alter *a, const struct incremental_alter_configs_request *q)
{
    a->validate_only = q->validate_only;
    a->count = (uint32_t)q->resources_count;
    a->resources = request_zalloc(r, a->count * sizeof *a->resources);
    for (uint32_t i = 0; a->resources != NULL && i < a->count; i++) {
        const struct incremental_alter_configs_request_resource *from = &q->resources[i];
        struct alter_resource *x = &a->resources[i];
        x->type = (enum config_resource)from->resource_type;
        x->name = from->resource_name;
        x->count = (uint32_t)from->configs_count;
        x->changes = request_zalloc(r, x->count * sizeof *x->changes);
        if (x->changes == NULL) return false;
        for (uint32_t k = 0; k < x->count; k++)
            x->changes[k] = (struct config_change){
                .key = from->configs[k].name, .value = from->configs[k].value, .op = from->configs[k].config_operation};
    }
    return a->resources != NULL;
}

static bool take_older(struct request *r, struct alter *a, const struct alter_configs_request *q)
{
    a->validate_only = q->validate_only;
    a->count = (uint32_t)q->resources_count;
    a->resources = request_zalloc(r, a->count * sizeof *a->resources);
    for (uint32_t i = 0; a->resources != NULL && i < a->count; i++) {
        const struct alter_configs_request_resource *from = &q->resources[i];
        struct alter_resource *x = &a->resources[i];
        x->type = (enum config_resource)from->resource_type;
        x->name = from->resource_name;
        x->count = (uint32_t)from->configs_count;
        x->entries = request_zalloc(r, x->count * sizeof *x->entries);
        if (x->entries == NULL) return false;
        for (uint32_t k = 0; k < x->count; k++)
            x->entries[k] = (struct config_entry){.key = from->configs[k].name, .value = from->configs[k].value};
    }
    return a->resources != NULL;
}

static int begin_incremental(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    const struct incremental_alter_configs_request *q = api_decode(r, sizeof *q);
    struct alter *a = q != NULL ? admin_begin(r, sizeof *a) : NULL;
    return a != NULL ? go(r, a, take_incremental(r, a, q)) : STAGE_DONE;
}

static int begin_older(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    const struct alter_configs_request *q = api_decode(r, sizeof *q);
    struct alter *a = q != NULL ? admin_begin(r, sizeof *a) : NULL;
    return a != NULL ? go(r, a, take_older(r, a, q)) : STAGE_DONE;
}

static int16_t code_of(const struct request *r, const struct alter_resource *x)
{
    int16_t failed = admin_failed(r);
    return failed != 0 ? failed : x->error.code;
}

static int answer_incremental(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    const struct alter *a = container_of(r->admin, struct alter, admin);
    struct incremental_alter_configs_response answer;
    incremental_alter_configs_response_init(&answer);
    answer.responses = request_zalloc(r, a->count * sizeof *answer.responses);
    if (answer.responses == NULL) return api_no_memory(r);
    answer.responses_count = (int32_t)a->count;
    for (uint32_t i = 0; i < a->count; i++)
        answer.responses[i] = (struct incremental_alter_configs_response_resource){
            .error_code = code_of(r, &a->resources[i]),
            .error_message = admin_text(a->resources[i].error.text),
            .resource_type = (int8_t)a->resources[i].type,
            .resource_name = a->resources[i].name,
        };
    return admin_answer(r, &answer);
}

static int answer_older(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    const struct alter *a = container_of(r->admin, struct alter, admin);
    struct alter_configs_response answer;
    alter_configs_response_init(&answer);
    answer.responses = request_zalloc(r, a->count * sizeof *answer.responses);
    if (answer.responses == NULL) return api_no_memory(r);
    answer.responses_count = (int32_t)a->count;
    for (uint32_t i = 0; i < a->count; i++)
        answer.responses[i] = (struct alter_configs_response_resource){
            .error_code = code_of(r, &a->resources[i]),
            .error_message = admin_text(a->resources[i].error.text),
            .resource_type = (int8_t)a->resources[i].type,
            .resource_name = a->resources[i].name,
        };
    return admin_answer(r, &answer);
}

static const struct stage incremental_stages[] = {
    [ALTER_BEGIN] = {"begin", begin_incremental, STAGE_BIT(ALTER_ANSWER)},
    [ALTER_ANSWER] = {"answer", answer_incremental, 0},
};
static const struct stage older_stages[] = {
    [ALTER_BEGIN] = {"begin", begin_older, STAGE_BIT(ALTER_ANSWER)},
    [ALTER_ANSWER] = {"answer", answer_older, 0},
};
const struct flow incremental_alter_configs_flow = {"incremental alter configs", incremental_stages, 2};
const struct flow alter_configs_flow = {"alter configs", older_stages, 2};

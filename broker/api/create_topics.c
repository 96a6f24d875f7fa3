// SPDX-License-Identifier: Apache-2.0
/* CreateTopics.
 *
 *   begin   read the body into wishes
 *   answer  shard 0 has judged each, and those that it made are there on every shard
 *
 * Failure modes: per topic, the others go on; a name that stands twice is refused each time. Near the end of the
 * memory for metadata no topic is made any more (a shard could not take it in). */
#include "broker/api/admin.h"
#include "broker/api/config_entries.h"
#include "broker/shard.h"
#include "protocol/msg_create_topics.h"
#include "protocol/msg_describe_configs.h"

enum create_stage { CREATE_BEGIN, CREATE_ANSWER };

struct create_topics {
    struct admin admin;
    const struct create_topics_request *q;
    struct topic_wish *wishes;
    struct topic_answer *answers;
};

static bool room_for_topics(const struct shard *zero)
{
    const struct mem *m = zero->env->mem;
    return mem_used(m, MEM_CONTROL) < mem_budget(m, MEM_CONTROL) / 4 * 3;
}

static enum status plan(struct metadata_call *c, struct metadata_plan *p)
{
    struct create_topics *x = container_of(admin_of(c), struct create_topics, admin);
    if (!room_for_topics(p->zero)) return STATUS_BUSY;
    return controller_create_topics(&p->controller, x->wishes, (uint32_t)x->q->topics_count, x->q->validate_only,
                                    &p->records, x->answers);
}

static bool take_assignments(struct request *r, const struct create_topics_request_topic *q, struct topic_wish *w)
{
    struct replica_assignment *list = request_zalloc(r, (size_t)q->assignments_count * sizeof *list);
    if (list == NULL) return false;
    for (int32_t i = 0; i < q->assignments_count; i++)
        list[i] = (struct replica_assignment){
            .partition = q->assignments[i].partition_index,
            .brokers = {q->assignments[i].broker_ids, (uint32_t)q->assignments[i].broker_ids_count}};
    w->assignments = list;
    w->assignment_count = (uint32_t)q->assignments_count;
    return true;
}

static bool take_configs(struct request *r, const struct create_topics_request_topic *q, struct topic_wish *w)
{
    struct config_entry *list = request_zalloc(r, (size_t)q->configs_count * sizeof *list);
    if (list == NULL) return false;
    for (int32_t i = 0; i < q->configs_count; i++)
        list[i] = (struct config_entry){.key = q->configs[i].name, .value = q->configs[i].value};
    w->configs = list;
    w->config_count = (uint32_t)q->configs_count;
    return true;
}

static bool take_wishes(struct request *r, struct create_topics *x)
{
    size_t n = (size_t)x->q->topics_count;
    x->wishes = request_zalloc(r, n * sizeof *x->wishes);
    x->answers = request_zalloc(r, n * sizeof *x->answers);
    if (x->wishes == NULL || x->answers == NULL) return false;
    for (size_t i = 0; i < n; i++) {
        const struct create_topics_request_topic *q = &x->q->topics[i];
        struct topic_wish *w = &x->wishes[i];
        *w = (struct topic_wish){
            .name = q->name, .partitions = q->num_partitions, .replication_factor = q->replication_factor};
        if (!take_assignments(r, q, w) || !take_configs(r, q, w)) return false;
    }
    return true;
}

static int begin(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    const struct create_topics_request *q = api_decode(r, sizeof *q);
    struct create_topics *x = q != NULL ? admin_begin(r, sizeof *x) : NULL;
    if (x == NULL) return STAGE_DONE;
    x->q = q;
    return take_wishes(r, x) ? admin_send(r, plan, CREATE_ANSWER) : api_no_memory(r);
}

/* The settings that a topic of this wish has, whether it was made or only checked. False: no memory. */
static bool fill_configs(struct request *r, const struct topic_wish *w, struct create_topics_response_topic *a)
{
    struct config_ask ask = {.request = r, .key_count = -1};
    struct describe_configs_response_config *entries;
    int32_t count;
    if (!config_entries_topic(&ask, NULL, &entries, &count)) return false;
    a->configs = request_zalloc(r, (size_t)count * sizeof *a->configs);
    if (a->configs == NULL) return false;
    a->configs_count = count;
    for (int32_t i = 0; i < count; i++) {
        struct create_topics_response_config *c = &a->configs[i];
        create_topics_response_config_init(c);
        c->name = entries[i].name;
        c->value = entries[i].value;
        c->config_source = entries[i].config_source;
        for (uint32_t k = 0; k < w->config_count; k++) {
            if (!str_equal(w->configs[k].key, c->name)) continue;
            c->value = w->configs[k].value;
            c->config_source = CONFIG_SOURCE_TOPIC;
        }
    }
    return true;
}

static bool fill(struct request *r, const struct create_topics *x, size_t i, struct create_topics_response_topic *a)
{
    const struct topic_answer *made = &x->answers[i];
    int16_t failed = admin_failed(r);
    create_topics_response_topic_init(a);
    a->name = x->wishes[i].name;
    a->error_code = failed != 0 ? failed : made->error.code;
    a->error_message = admin_text(failed != 0 ? status_text(r->admin->call.status) : made->error.text);
    if (a->error_code != 0) {
        a->configs_count = -1;
        return true;
    }
    a->topic_id = made->id;
    a->num_partitions = made->partitions;
    a->replication_factor = made->replication_factor;
    return r->header.api_version < 5 || fill_configs(r, &x->wishes[i], a);
}

static int answer(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    const struct create_topics *x = container_of(r->admin, struct create_topics, admin);
    size_t n = (size_t)x->q->topics_count;
    struct create_topics_response a;
    create_topics_response_init(&a);
    a.topics = request_zalloc(r, n * sizeof *a.topics);
    a.topics_count = x->q->topics_count;
    bool ok = a.topics != NULL;
    for (size_t i = 0; ok && i < n; i++) ok = fill(r, x, i, &a.topics[i]);
    return ok ? admin_answer(r, &a) : api_no_memory(r);
}

static const struct stage stages[] = {
    [CREATE_BEGIN] = {"begin", begin, STAGE_BIT(CREATE_ANSWER)},
    [CREATE_ANSWER] = {"answer", answer, 0},
};
const struct flow create_topics_flow = {"create topics", stages, 2};

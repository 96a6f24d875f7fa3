// SPDX-License-Identifier: Apache-2.0
/* CreatePartitions: more partitions for topics that are there.
 *
 *   begin   read the body, refuse topics that stand twice
 *   answer  shard 0 has judged each, and the new partitions are there on every shard
 *
 * Failure modes: per topic, the others go on. */
#include "broker/api/admin.h"
#include "broker/shard.h"
#include "protocol/msg_create_partitions.h"
#include <stdio.h>

enum grow_stage { GROW_BEGIN, GROW_ANSWER };

struct create_partitions {
    struct admin admin;
    const struct create_partitions_request *q;
    struct partitions_wish *wishes;
    struct rule_error *errors;
};

static enum status plan(struct metadata_call *c, struct metadata_plan *p)
{
    struct create_partitions *x = container_of(admin_of(c), struct create_partitions, admin);
    enum status s = STATUS_OK;
    for (int32_t i = 0; s == STATUS_OK && i < x->q->topics_count; i++)
        if (x->errors[i].code == RULE_OK)
            s = controller_create_partitions(&p->controller, &x->wishes[i], x->q->validate_only, &p->records,
                                             &x->errors[i]);
    return s;
}

static bool take(struct request *r, const struct create_partitions_request_topic *q, struct partitions_wish *w)
{
    *w = (struct partitions_wish){.topic = q->name, .count = q->count};
    if (q->assignments_count <= 0) return true;
    struct ids *list = request_zalloc(r, (size_t)q->assignments_count * sizeof *list);
    if (list == NULL) return false;
    for (int32_t i = 0; i < q->assignments_count; i++)
        list[i] = (struct ids){q->assignments[i].broker_ids, (uint32_t)q->assignments[i].broker_ids_count};
    w->assignments = list;
    w->assignment_count = (uint32_t)q->assignments_count;
    return true;
}

static bool take_all(struct request *r, struct create_partitions *x)
{
    size_t n = (size_t)x->q->topics_count;
    struct str *names = request_zalloc(r, n * sizeof *names);
    x->wishes = request_zalloc(r, n * sizeof *x->wishes);
    x->errors = request_zalloc(r, n * sizeof *x->errors);
    if (names == NULL || x->wishes == NULL || x->errors == NULL) return false;
    for (size_t i = 0; i < n; i++) {
        names[i] = x->q->topics[i].name;
        if (!take(r, &x->q->topics[i], &x->wishes[i])) return false;
    }
    const bool *twice = api_duplicates(r, names, (uint32_t)n);
    if (twice == NULL) return false;
    for (size_t i = 0; i < n; i++) {
        if (!twice[i]) continue;
        x->errors[i].code = KAFKA_INVALID_REQUEST;
        snprintf(x->errors[i].text, sizeof x->errors[i].text, "Duplicate topic in request.");
    }
    return true;
}

static int begin(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    const struct create_partitions_request *q = api_decode(r, sizeof *q);
    struct create_partitions *x = q != NULL ? admin_begin(r, sizeof *x) : NULL;
    if (x == NULL) return STAGE_DONE;
    x->q = q;
    return take_all(r, x) ? admin_send(r, plan, GROW_ANSWER) : api_no_memory(r);
}

static int answer(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    const struct create_partitions *x = container_of(r->admin, struct create_partitions, admin);
    struct create_partitions_response a;
    int16_t failed = admin_failed(r);
    create_partitions_response_init(&a);
    a.results = request_zalloc(r, (size_t)x->q->topics_count * sizeof *a.results);
    if (a.results == NULL) return api_no_memory(r);
    a.results_count = x->q->topics_count;
    for (int32_t i = 0; i < a.results_count; i++)
        a.results[i] = (struct create_partitions_response_topic){
            .name = x->q->topics[i].name,
            .error_code = failed != 0 ? failed : x->errors[i].code,
            .error_message = admin_text(x->errors[i].text),
        };
    return admin_answer(r, &a);
}

static const struct stage stages[] = {
    [GROW_BEGIN] = {"begin", begin, STAGE_BIT(GROW_ANSWER)},
    [GROW_ANSWER] = {"answer", answer, 0},
};
const struct flow create_partitions_flow = {"create partitions", stages, 2};

// SPDX-License-Identifier: Apache-2.0
/* DeleteTopics: by name, from version 6 on also by id.
 *
 *   begin   read the body, refuse topics that stand twice
 *   answer  the topics are gone from every shard; their partitions go to the trash behind this answer, and the metadata
 *           remembers them as long as leat.undelete.ms says
 *
 * Failure modes: per topic, the others go on. */
#include "broker/api/admin.h"
#include "broker/shard.h"
#include "protocol/msg_delete_topics.h"
#include <stdio.h>

#define TOPICS_MAX 10000

enum delete_stage { DELETE_BEGIN, DELETE_ANSWER };

struct delete_item {
    struct topic_ref ref;
    struct rule_error error;
    struct uuid id; /* on success */
    char name[TOPIC_NAME_MAX + 1];
};

struct delete_topics {
    struct admin admin;
    struct delete_item *items;
    const struct image_topic **gone; /* shard 0's, while it plans */
    uint32_t count;
};

/* By its name and by its id: the same one. */
static bool goes_already(const struct delete_topics *x, uint32_t before, const struct image_topic *t)
{
    for (uint32_t i = 0; i < before; i++)
        if (x->gone[i] == t) return true;
    return false;
}

static enum status plan_one(struct delete_topics *x, uint32_t i, struct metadata_plan *p)
{
    struct delete_item *item = &x->items[i];
    const struct image_topic *t = item->ref.name.len >= 0 ? image_topic_by_name(p->image, item->ref.name)
                                                          : image_topic_by_id(p->image, item->ref.id);
    if (t != NULL && goes_already(x, i, t)) {
        item->error.code = KAFKA_INVALID_REQUEST;
        snprintf(item->error.text, sizeof item->error.text, "Duplicate topic name.");
        return STATUS_OK;
    }
    enum status s = controller_delete_topic(&p->controller, &item->ref, &p->records, &item->error, &t);
    if (s != STATUS_OK || item->error.code != RULE_OK) return s;
    x->gone[i] = t;
    item->id = t->id;
    memcpy(item->name, t->name.data, (size_t)t->name.len);
    return STATUS_OK;
}

static enum status plan(struct metadata_call *c, struct metadata_plan *p)
{
    struct delete_topics *x = container_of(admin_of(c), struct delete_topics, admin);
    enum status s = controller_forget_topics(&p->controller, &p->records);
    for (uint32_t i = 0; s == STATUS_OK && i < x->count; i++)
        if (x->items[i].error.code == RULE_OK) s = plan_one(x, i, p);
    return s;
}

static void refuse(struct delete_item *item, const char *why)
{
    item->error.code = KAFKA_INVALID_REQUEST;
    snprintf(item->error.text, sizeof item->error.text, "%s", why);
}

static void take(const struct request *r, const struct delete_topics_request *q, uint32_t i, struct delete_item *item)
{
    if (r->header.api_version < 6) {
        item->ref.name = q->topic_names[i];
        return;
    }
    item->ref = (struct topic_ref){.name = q->topics[i].name, .id = q->topics[i].topic_id};
    if (item->ref.name.len >= 0 && !uuid_is_zero(item->ref.id))
        refuse(item, "Topic name and topic id can not both be specified.");
    else if (item->ref.name.len < 0 && uuid_is_zero(item->ref.id))
        refuse(item, "Neither topic name nor id were specified.");
}

static int begin(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    const struct delete_topics_request *q = api_decode(r, sizeof *q);
    struct delete_topics *x = q != NULL ? admin_begin(r, sizeof *x) : NULL;
    if (x == NULL) return STAGE_DONE;
    x->count = (uint32_t)(r->header.api_version < 6 ? q->topic_names_count : q->topics_count);
    x->items = request_zalloc(r, x->count * sizeof *x->items);
    x->gone = request_zalloc(r, x->count * sizeof *x->gone);
    if (x->items == NULL || x->gone == NULL) return api_no_memory(r);
    for (uint32_t i = 0; i < x->count; i++) {
        take(r, q, i, &x->items[i]);
        if (x->count > TOPICS_MAX) refuse(&x->items[i], "more than 10000 topics in one request");
    }
    return admin_send(r, plan, DELETE_ANSWER);
}

static int answer(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    const struct delete_topics *x = container_of(r->admin, struct delete_topics, admin);
    struct delete_topics_response a;
    int16_t failed = admin_failed(r);
    delete_topics_response_init(&a);
    a.responses = request_zalloc(r, x->count * sizeof *a.responses);
    if (a.responses == NULL) return api_no_memory(r);
    a.responses_count = (int32_t)x->count;
    for (uint32_t i = 0; i < x->count; i++) {
        const struct delete_item *item = &x->items[i];
        struct delete_topics_response_topic *row = &a.responses[i];
        delete_topics_response_topic_init(row);
        row->error_code = failed != 0 ? failed : item->error.code;
        row->error_message = admin_text(item->error.text);
        row->name = item->name[0] != '\0' ? (struct str){item->name, (int32_t)strlen(item->name)} : item->ref.name;
        row->topic_id = row->error_code == 0 ? item->id : item->ref.id;
    }
    return admin_answer(r, &a);
}

static const struct stage stages[] = {
    [DELETE_BEGIN] = {"begin", begin, STAGE_BIT(DELETE_ANSWER)},
    [DELETE_ANSWER] = {"answer", answer, 0},
};
const struct flow delete_topics_flow = {"delete topics", stages, 2};

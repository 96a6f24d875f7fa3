// SPDX-License-Identifier: Apache-2.0
/* ListDeletedTopics (Leat's own): topics that UndeleteTopics can take back, the newest first.
 *
 *   begin   read the body; shard 0 says how many there are
 *   copy    shard 0 copies so many
 *   answer
 *
 * Failure modes: the metadata log's, as one code. */
#include "base/bytes.h"
#include "broker/api/admin.h"
#include "broker/shard.h"
#include "protocol/msg_leat_list_deleted_topics.h"

#define ROWS_MAX 5000

enum list_stage { LIST_BEGIN, LIST_COPY, LIST_ANSWER };

struct list_row {
    struct leat_list_deleted_topics_response_topic answer;
    char name[TOPIC_NAME_MAX + 1];
};

struct list_deleted {
    struct admin admin;
    struct list_row *rows;
    uint32_t limit, count;
    int32_t total;
};

static enum status plan_count(struct metadata_call *c, struct metadata_plan *p)
{
    struct list_deleted *x = container_of(admin_of(c), struct list_deleted, admin);
    x->total = (int32_t)image_deleted(p->image)->count;
    return STATUS_OK;
}

static enum status plan_copy(struct metadata_call *c, struct metadata_plan *p)
{
    struct list_deleted *x = container_of(admin_of(c), struct list_deleted, admin);
    const struct image_deleted *d = image_deleted(p->image);
    uint32_t room = x->count;
    x->count = 0;
    x->total = 0;
    for (uint32_t i = d->count; i-- > 0;) {
        int64_t until_ms = d->topics[i].deleted_ms + p->controller.undelete_ms;
        const struct image_topic *t = d->topics[i].topic;
        if (until_ms <= p->now_ms) continue;
        x->total++;
        if (x->count == room) continue;
        struct list_row *row = &x->rows[x->count++];
        leat_list_deleted_topics_response_topic_init(&row->answer);
        memcpy(row->name, t->name.data, (size_t)t->name.len);
        row->answer.name = (struct str){row->name, t->name.len};
        row->answer.topic_id = t->id;
        row->answer.partitions = (int32_t)t->partition_count;
        row->answer.deleted_ms = d->topics[i].deleted_ms;
        row->answer.kept_until_ms = until_ms;
    }
    return STATUS_OK;
}

static int begin(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    const struct leat_list_deleted_topics_request *q = api_decode(r, sizeof *q);
    struct list_deleted *x = q != NULL ? admin_begin(r, sizeof *x) : NULL;
    if (x == NULL) return STAGE_DONE;
    x->limit = (uint32_t)MIN(MAX(q->limit, 0), ROWS_MAX);
    return admin_send(r, plan_count, LIST_COPY);
}

static int copy(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    struct list_deleted *x = container_of(r->admin, struct list_deleted, admin);
    if (admin_failed(r) != 0) return LIST_ANSWER;
    x->count = MIN((uint32_t)x->total, x->limit);
    x->rows = request_zalloc(r, x->count * sizeof *x->rows + 1);
    if (x->rows == NULL) return api_no_memory(r);
    return admin_send(r, plan_copy, LIST_ANSWER);
}

static int answer(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    const struct list_deleted *x = container_of(r->admin, struct list_deleted, admin);
    struct leat_list_deleted_topics_response a;
    leat_list_deleted_topics_response_init(&a);
    a.error_code = admin_failed(r);
    a.topics = request_zalloc(r, x->count * sizeof *a.topics + 1);
    if (a.topics == NULL) return api_no_memory(r);
    for (uint32_t i = 0; a.error_code == 0 && i < x->count; i++) a.topics[a.topics_count++] = x->rows[i].answer;
    a.total = a.error_code == 0 ? x->total : 0;
    return admin_answer(r, &a);
}

static const struct stage stages[] = {
    [LIST_BEGIN] = {"begin", begin, STAGE_BIT(LIST_COPY)},
    [LIST_COPY] = {"copy", copy, STAGE_BIT(LIST_ANSWER)},
    [LIST_ANSWER] = {"answer", answer, 0},
};
const struct flow list_deleted_topics_flow = {"list deleted topics", stages, 3};

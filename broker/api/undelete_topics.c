// SPDX-License-Identifier: Apache-2.0
/* UndeleteTopics (Leat's own, docs/adr/0004): deleted topics come back, by name or by id.
 *
 *   begin    read the body; ask shard 0 which deleted topics are meant
 *   find     a part to every shard: which of their partitions are still on their way into the trash?
 *   list     a part to shard 0: the trash is held and listed; which of them lie in it?
 *   restore  topics that are whole: the change of the metadata; every shard takes its partitions back (intake.c)
 *   look     a part to every shard: are they open?
 *   release  a part to shard 0: the trash may be emptied again
 *   answer
 *
 * Failure modes: per topic, with a sentence; a topic that is not whole any more (its trash was emptied because the disk
 * was full) is left as it is. */
#include "broker/api/admin.h"
#include "broker/lane.h"
#include "broker/part.h"
#include "broker/shard.h"
#include "protocol/msg_leat_undelete_topics.h"
#include <stdio.h>

#define TOPICS_MAX 100

enum undelete_stage {
    UNDELETE_BEGIN,
    UNDELETE_FIND,
    UNDELETE_LIST,
    UNDELETE_RESTORE,
    UNDELETE_LOOK,
    UNDELETE_RELEASE,
    UNDELETE_ANSWER
};

struct undelete_item {
    struct topic_ref ref;
    struct rule_error error;
    struct topic_id id;
    uint32_t partitions;
    bool *there; /* of each partition, what was asked for last */
    char name[TOPIC_NAME_MAX + 1];
};

struct undelete_part {
    struct part part;
    struct request *request;
    struct store_list list;
};

struct undelete_topics {
    struct admin admin;
    struct undelete_item *items;
    uint32_t count;
    struct undelete_part *parts; /* one for each shard */
    enum status list_status;
};

static struct undelete_topics *undelete_of(const struct request *r)
{
    return container_of(r->admin, struct undelete_topics, admin);
}

static bool good(const struct undelete_item *item)
{
    return item->error.code == RULE_OK;
}

static bool any_good(const struct undelete_topics *x)
{
    for (uint32_t i = 0; i < x->count; i++)
        if (good(&x->items[i])) return true;
    return false;
}

static void refuse(struct undelete_item *item, int16_t code, const char *why)
{
    item->error.code = code;
    snprintf(item->error.text, sizeof item->error.text, "%s", why);
}

/* --- parts --- */

static void back(struct part *part)
{
    request_part_back(container_of(part, struct undelete_part, part)->request);
}

static int ask_shards(struct request *r, uint32_t shards, void (*run)(struct part *), int next)
{
    struct undelete_topics *x = undelete_of(r);
    r->parts_out = shards;
    for (uint32_t i = 0; i < shards; i++) {
        struct undelete_part *p = &x->parts[i];
        p->request = r;
        p->part = (struct part){.run = run, .back = back};
        part_send(&p->part, r->shard, i);
    }
    return r->parts_out > 0 ? STAGE_WAIT(next) : next;
}

/* What a shard has to say about its partitions. */
static void each_of_ours(struct part *part, bool (*is)(const struct shard *s, struct topic_id id, int32_t number))
{
    struct undelete_topics *x = undelete_of(container_of(part, struct undelete_part, part)->request);
    const struct shard *s = part->at;
    for (uint32_t i = 0; i < x->count; i++) {
        struct undelete_item *item = &x->items[i];
        for (uint32_t n = 0; good(item) && n < item->partitions; n++)
            if (partition_shard(item->id, (int32_t)n, s->env->shard_count) == s->env->shard)
                item->there[n] = is(s, item->id, (int32_t)n);
    }
    part_return(part);
}

static bool in_store(const struct shard *s, struct topic_id id, int32_t number)
{
    return store_find(s->store, id, number) != NULL;
}

static void run_find(struct part *part)
{
    each_of_ours(part, in_store);
}

static bool is_open(const struct shard *s, struct topic_id id, int32_t number)
{
    return shard_lane(s, id, number) != NULL;
}

static void run_look(struct part *part)
{
    each_of_ours(part, is_open);
}

static void note_kept(struct undelete_topics *x, const struct kept *k)
{
    for (uint32_t i = 0; i < x->count; i++) {
        struct undelete_item *item = &x->items[i];
        bool his = good(item) && topic_id_compare(item->id, k->id) == 0 && k->number >= 0;
        if (his && (uint32_t)k->number < item->partitions) item->there[k->number] = true;
    }
}

static void listed(struct store_list *op)
{
    struct undelete_part *p = container_of(op, struct undelete_part, list);
    struct undelete_topics *x = undelete_of(p->request);
    const char *name;
    struct kept k;
    uint32_t pos = 0;
    x->list_status = op->status;
    while (op->status == STATUS_OK && store_list_next(op, &pos, &name, &k)) note_kept(x, &k);
    if (op->status == STATUS_OK) store_list_free(p->part.at->store, op);
    part_return(&p->part);
}

static void run_list(struct part *part)
{
    struct undelete_part *p = container_of(part, struct undelete_part, part);
    store_trash_hold(part->at->store);
    p->list = (struct store_list){.done = listed};
    store_list(part->at->store, STORE_TRASH, &p->list);
}

static void run_release(struct part *part)
{
    store_trash_release(part->at->store);
    part_return(part);
}

/* Items of which something is not there are refused. */
static void judge(struct undelete_topics *x, const char *what)
{
    for (uint32_t i = 0; i < x->count; i++) {
        struct undelete_item *item = &x->items[i];
        uint32_t missing = 0;
        for (uint32_t n = 0; good(item) && n < item->partitions; n++) missing += !item->there[n];
        if (missing == 0) continue;
        item->error.code = status_kafka_code(STATUS_NOT_FOUND);
        snprintf(item->error.text, sizeof item->error.text, "Topic '%s': %u of %u partitions %s", item->name, missing,
                 item->partitions, what);
    }
}

/* --- on shard 0 --- */

static enum status plan_each(struct metadata_call *c, struct metadata_plan *p)
{
    struct undelete_topics *x = container_of(admin_of(c), struct undelete_topics, admin);
    const struct image_topic *t;
    enum status s = STATUS_OK;
    for (uint32_t i = 0; s == STATUS_OK && i < x->count; i++) {
        struct undelete_item *item = &x->items[i];
        if (!good(item)) continue;
        s = controller_restore_topic(&p->controller, &item->ref, &p->records, &item->error, &t);
        if (s != STATUS_OK || !good(item)) continue;
        item->id = image_topic_id(t);
        item->partitions = t->partition_count;
        memcpy(item->name, t->name.data, (size_t)t->name.len);
    }
    return s;
}

static enum status plan_find(struct metadata_call *c, struct metadata_plan *p)
{
    enum status s = plan_each(c, p);
    p->records.count = 0; /* only asked */
    return s;
}

static void fail_all(struct undelete_topics *x, int16_t code)
{
    for (uint32_t i = 0; i < x->count; i++)
        if (good(&x->items[i])) refuse(&x->items[i], code, "The metadata cannot be changed now.");
}

/* --- stages --- */

static void take(const struct leat_undelete_topics_request *q, uint32_t i, struct undelete_item *item)
{
    item->ref = (struct topic_ref){.name = q->topics[i].name, .id = q->topics[i].topic_id};
    if (item->ref.name.len >= 0 && !uuid_is_zero(item->ref.id))
        refuse(item, KAFKA_INVALID_REQUEST, "Topic name and topic id can not both be specified.");
    else if (item->ref.name.len < 0 && uuid_is_zero(item->ref.id))
        refuse(item, KAFKA_INVALID_REQUEST, "Neither topic name nor id were specified.");
}

static int begin(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    const struct leat_undelete_topics_request *q = api_decode(r, sizeof *q);
    struct undelete_topics *x = q != NULL ? admin_begin(r, sizeof *x) : NULL;
    if (x == NULL) return STAGE_DONE;
    x->count = (uint32_t)q->topics_count;
    x->items = request_zalloc(r, x->count * sizeof *x->items);
    x->parts = request_zalloc(r, r->shard->env->shard_count * sizeof *x->parts);
    if (x->items == NULL || x->parts == NULL) return api_no_memory(r);
    for (uint32_t i = 0; i < x->count; i++) {
        take(q, i, &x->items[i]);
        if (x->count > TOPICS_MAX) refuse(&x->items[i], KAFKA_INVALID_REQUEST, "more than 100 topics in one request");
    }
    return any_good(x) ? admin_send(r, plan_find, UNDELETE_FIND) : UNDELETE_ANSWER;
}

static int find(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    struct undelete_topics *x = undelete_of(r);
    if (admin_failed(r) != 0) fail_all(x, admin_failed(r));
    if (!any_good(x)) return UNDELETE_ANSWER;
    for (uint32_t i = 0; i < x->count; i++) {
        struct undelete_item *item = &x->items[i];
        if (good(item)) item->there = request_zalloc(r, item->partitions * sizeof *item->there + 1);
        if (good(item) && item->there == NULL) return api_no_memory(r);
    }
    return ask_shards(r, r->shard->env->shard_count, run_find, UNDELETE_LIST);
}

/* After the stores were asked: a partition goes from there into the trash, never back. */
static int list(struct task *t)
{
    return ask_shards(container_of(t, struct request, task), 1, run_list, UNDELETE_RESTORE);
}

static int restore(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    struct undelete_topics *x = undelete_of(r);
    if (x->list_status != STATUS_OK)
        for (uint32_t i = 0; i < x->count; i++)
            if (good(&x->items[i]))
                refuse(&x->items[i], status_kafka_code(x->list_status), "The trash cannot be read.");
    judge(x, "are not in the trash any more: it was emptied to make room on the disk.");
    return any_good(x) ? admin_send(r, plan_each, UNDELETE_LOOK) : UNDELETE_RELEASE;
}

static int look(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    struct undelete_topics *x = undelete_of(r);
    if (admin_failed(r) != 0) fail_all(x, admin_failed(r));
    return any_good(x) ? ask_shards(r, r->shard->env->shard_count, run_look, UNDELETE_RELEASE) : UNDELETE_RELEASE;
}

static int release(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    judge(undelete_of(r), "are back but cannot be opened; the broker's log says why.");
    return ask_shards(r, 1, run_release, UNDELETE_ANSWER);
}

static int answer(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    const struct undelete_topics *x = undelete_of(r);
    struct leat_undelete_topics_response a;
    leat_undelete_topics_response_init(&a);
    a.responses = request_zalloc(r, x->count * sizeof *a.responses);
    if (a.responses == NULL) return api_no_memory(r);
    a.responses_count = (int32_t)x->count;
    for (uint32_t i = 0; i < x->count; i++) {
        const struct undelete_item *item = &x->items[i];
        struct leat_undelete_topics_response_topic *row = &a.responses[i];
        leat_undelete_topics_response_topic_init(row);
        row->error_code = item->error.code;
        row->error_message = admin_text(item->error.text);
        row->name = item->name[0] != '\0' ? (struct str){item->name, (int32_t)strlen(item->name)} : item->ref.name;
        row->topic_id = item->ref.id;
        if (good(item)) memcpy(row->topic_id.b, item->id.b, sizeof item->id.b);
    }
    return admin_answer(r, &a);
}

static const struct stage stages[] = {
    [UNDELETE_BEGIN] = {"begin", begin, STAGE_BIT(UNDELETE_FIND) | STAGE_BIT(UNDELETE_ANSWER)},
    [UNDELETE_FIND] = {"find", find, STAGE_BIT(UNDELETE_LIST) | STAGE_BIT(UNDELETE_ANSWER)},
    [UNDELETE_LIST] = {"list", list, STAGE_BIT(UNDELETE_RESTORE)},
    [UNDELETE_RESTORE] = {"restore", restore, STAGE_BIT(UNDELETE_LOOK) | STAGE_BIT(UNDELETE_RELEASE)},
    [UNDELETE_LOOK] = {"look", look, STAGE_BIT(UNDELETE_RELEASE)},
    [UNDELETE_RELEASE] = {"release", release, STAGE_BIT(UNDELETE_ANSWER)},
    [UNDELETE_ANSWER] = {"answer", answer, 0},
};
const struct flow undelete_topics_flow = {"undelete topics", stages, 7};

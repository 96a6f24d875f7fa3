// SPDX-License-Identifier: Apache-2.0
/* Producer ids (producer_ids.h). Path: take -> the block has one -> done; else one call for a block, then all that
 * wait. Failure modes: the metadata log has failed: those who wait are told, the next one asks again. */
#include "broker/producer_ids.h"
#include "broker/shard.h"

void producer_ids_init(struct producer_ids *p, struct shard *s)
{
    *p = (struct producer_ids){.shard = s};
    list_init(&p->waiting);
}

static enum status plan(struct metadata_call *c, struct metadata_plan *plan)
{
    struct producer_ids *p = container_of(c, struct producer_ids, call);
    int32_t node = plan->zero->broker->config->node_id;
    const struct image_broker *self = image_brokers_find(image_brokers(plan->image), node);
    struct rule_error error;
    CHECK(self != NULL);
    enum status s = controller_producer_ids(&plan->controller, node, self->epoch, &plan->records, &error, &p->first);
    return s == STATUS_OK && error.code != RULE_OK ? STATUS_NOT_LEADER : s;
}

static void serve(struct producer_ids *p, enum status status)
{
    while (!list_empty(&p->waiting) && (status != STATUS_OK || p->next < p->end)) {
        struct producer_id_wish *w = container_of(list_pop_front(&p->waiting), struct producer_id_wish, in_waiting);
        w->status = status;
        if (status == STATUS_OK) w->id = p->next++;
        w->done(w);
    }
}

static void ask(struct producer_ids *p);

static void block_there(struct metadata_call *c)
{
    struct producer_ids *p = container_of(c, struct producer_ids, call);
    p->asking = false;
    if (c->status == STATUS_OK) {
        p->next = p->first;
        p->end = p->first + PRODUCER_ID_BLOCK;
    }
    serve(p, c->status);
    if (!list_empty(&p->waiting)) ask(p);
}

static void ask(struct producer_ids *p)
{
    if (p->asking) return;
    p->asking = true;
    p->call.plan = plan;
    p->call.done = block_there;
    metadata_call_send(&p->call, p->shard);
}

void producer_ids_take(struct producer_ids *p, struct producer_id_wish *w)
{
    list_push_back(&p->waiting, &w->in_waiting);
    if (p->next < p->end)
        serve(p, STATUS_OK);
    else
        ask(p);
}

// SPDX-License-Identifier: Apache-2.0
/* FindCoordinator: the broker that leads the partition of __consumer_offsets to which a group falls.
 *
 *   begin   read the body; make __consumer_offsets if it is not there yet (the first group of all)
 *   answer  a broker for each key
 *
 * Unlike Apache Kafka, which answers COORDINATOR_NOT_AVAILABLE until the topic is there, the first client waits for it.
 * There are no transactions and share groups yet: COORDINATOR_NOT_AVAILABLE, with a sentence. */
#include "broker/api/admin.h"
#include "broker/group/host.h"
#include "broker/shard.h"
#include "protocol/msg_find_coordinator.h"
#include <stdio.h>

#define KEY_GROUP    0
#define BATCHED_FROM 4

enum find_stage { FIND_BEGIN, FIND_ANSWER };

struct find {
    struct admin admin;
    const struct find_coordinator_request *q;
    struct topic_answer made;
};

static int16_t replication(const struct metadata_plan *p)
{
    const struct image_brokers *b = image_brokers(p->image);
    int16_t alive = 0, wanted = p->zero->broker->config->groups.replication_factor;
    for (uint32_t i = 0; i < b->count; i++) alive = (int16_t)(alive + !b->brokers[i]->fenced);
    return MIN(alive, wanted);
}

struct topic_texts { /* the records of the plan borrow them */
    char segment[24], batch[24];
    struct config_entry configs[4];
};

static struct str number_text(char out[24], long long v)
{
    return (struct str){out, (int32_t)snprintf(out, 24, "%lld", v)};
}

/* Settings as Apache Kafka gives the topic; batches as large as the journal takes, since a group with many members is
 * one record. */
static enum status plan(struct metadata_call *c, struct metadata_plan *p)
{
    struct find *f = container_of(admin_of(c), struct find, admin);
    const struct broker_config *b = p->zero->broker->config;
    if (image_topic_by_name(p->image, STR(GROUP_TOPIC)) != NULL) return STATUS_OK; /* another client was faster */
    struct topic_texts *t = arena_alloc(p->arena, sizeof *t);
    if (t == NULL) return STATUS_NO_MEMORY;
    t->configs[0] = (struct config_entry){STR("cleanup.policy"), STR("compact")};
    t->configs[1] = (struct config_entry){STR("compression.type"), STR("producer")};
    t->configs[2] = (struct config_entry){STR("segment.bytes"), number_text(t->segment, b->groups.segment_bytes)};
    t->configs[3] = (struct config_entry){STR("max.message.bytes"), number_text(t->batch, b->batch_max_bytes)};
    struct topic_wish w = {.name = STR(GROUP_TOPIC),
                           .partitions = b->groups.partitions,
                           .replication_factor = replication(p),
                           .configs = t->configs,
                           .config_count = sizeof t->configs / sizeof t->configs[0]};
    return controller_create_topics(&p->controller, &w, 1, false, &p->records, &f->made);
}

static int begin(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    const struct find_coordinator_request *q = api_decode(r, sizeof *q);
    struct find *f = q != NULL ? admin_begin(r, sizeof *f) : NULL;
    if (f == NULL) return STAGE_DONE;
    f->q = q;
    bool there = topic_index_by_name(r->shard->topics, STR(GROUP_TOPIC)) != NULL;
    return q->key_type != KEY_GROUP || there ? FIND_ANSWER : admin_send(r, plan, FIND_ANSWER);
}

struct found {
    const struct image_broker *broker; /* NULL: none; error and text say why */
    int16_t error;
    struct str text;
};

static struct found find_group(const struct request *r, struct str group)
{
    const struct shard *s = r->shard;
    const struct find *f = container_of(r->admin, struct find, admin);
    struct found none = {NULL, KAFKA_COORDINATOR_NOT_AVAILABLE, STR("the topic " GROUP_TOPIC " is not there")};
    if (r->admin->call.status != STATUS_OK) none.text = admin_text(status_text(r->admin->call.status));
    if (f->made.error.text[0] != '\0') none.text = admin_text(f->made.error.text);
    const struct image_topic *t = topic_index_by_name(s->topics, STR(GROUP_TOPIC));
    if (t == NULL) return none;
    const struct image_partition *p = t->partitions[group_partition(group, (int32_t)t->partition_count)];
    const struct image_broker *b = image_brokers_find(s->brokers, p->leader);
    none.text = STR("the group's partition has no leader");
    return b != NULL && b->listener_count > 0 ? (struct found){b, KAFKA_NONE, STR_NULL} : none;
}

static struct found find_key(const struct request *r, int8_t type, struct str key)
{
    if (type == KEY_GROUP) return find_group(r, key);
    return (struct found){NULL, KAFKA_COORDINATOR_NOT_AVAILABLE,
                          STR("transactions and share groups are not available on this broker")};
}

static bool fill(struct request *r, const struct find_coordinator_request *q, struct find_coordinator_response *a)
{
    if (r->header.api_version < BATCHED_FROM) {
        struct found f = find_key(r, q->key_type, q->key);
        a->error_code = f.error;
        a->error_message = f.text;
        a->node_id = f.broker != NULL ? f.broker->id : -1;
        a->host = f.broker != NULL ? f.broker->listeners[0].host : STR_EMPTY;
        a->port = f.broker != NULL ? f.broker->listeners[0].port : -1;
        return true;
    }
    int32_t n = q->coordinator_keys_count;
    a->coordinators = request_zalloc(r, (size_t)n * sizeof *a->coordinators);
    if (a->coordinators == NULL) return false;
    a->coordinators_count = n;
    for (int32_t i = 0; i < n; i++) {
        struct find_coordinator_response_coordinator *c = &a->coordinators[i];
        struct found f = find_key(r, q->key_type, q->coordinator_keys[i]);
        find_coordinator_response_coordinator_init(c);
        c->key = q->coordinator_keys[i];
        c->error_code = f.error;
        c->error_message = f.text;
        c->node_id = f.broker != NULL ? f.broker->id : -1;
        c->host = f.broker != NULL ? f.broker->listeners[0].host : STR_EMPTY;
        c->port = f.broker != NULL ? f.broker->listeners[0].port : -1;
    }
    return true;
}

static int answer(struct task *t)
{
    struct request *r = container_of(t, struct request, task);
    const struct find *f = container_of(r->admin, struct find, admin);
    struct find_coordinator_response a;
    find_coordinator_response_init(&a);
    return fill(r, f->q, &a) ? admin_answer(r, &a) : api_no_memory(r);
}

static const struct stage stages[] = {
    [FIND_BEGIN] = {"begin", begin, STAGE_BIT(FIND_ANSWER)},
    [FIND_ANSWER] = {"answer", answer, 0},
};
const struct flow find_coordinator_flow = {"find coordinator", stages, 2};

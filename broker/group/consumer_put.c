// SPDX-License-Identifier: Apache-2.0
/* Records of consumer groups, put in the order in which Apache Kafka writes them (groups.h: put is applied at once).
 *
 * Failure modes: no memory fails the machine, as group_put says. */
#include "base/check.h"
#include "broker/group/consumer_impl.h"
#include "protocol/msg_record_consumer_group_current_member_assignment.h"
#include "protocol/msg_record_consumer_group_member_metadata.h"
#include "protocol/msg_record_consumer_group_metadata.h"
#include "protocol/msg_record_consumer_group_partition_metadata.h"
#include "protocol/msg_record_consumer_group_regular_expression.h"
#include "protocol/msg_record_consumer_group_target_assignment_member.h"
#include "protocol/msg_record_consumer_group_target_assignment_metadata.h"

/* ---- 5 ---- */

static bool classic_value(struct arena *a, const struct classic_side *c,
                          struct consumer_group_member_metadata_value_classic_member *ret_value)
{
    ret_value->session_timeout_ms = c->session_ms;
    ret_value->supported_protocols_count = (int32_t)c->count;
    ret_value->supported_protocols = arena_zalloc(a, c->count * sizeof ret_value->supported_protocols[0]);
    if (ret_value->supported_protocols == NULL) return false;
    for (uint32_t i = 0; i < c->count; i++) {
        ret_value->supported_protocols[i].name = c->protocols[i].name;
        ret_value->supported_protocols[i].metadata = c->protocols[i].metadata;
    }
    return true;
}

void put_member(struct groups *gs, struct group *g, struct arena *a, const struct member_text *t)
{
    struct consumer_group_member_metadata_key key = {.group_id = g->id, .member_id = t->member_id};
    struct consumer_group_member_metadata_value v;
    struct str *names = arena_alloc(a, (size_t)t->name_count * sizeof *names);
    consumer_group_member_metadata_value_init(&v);
    if (names == NULL || (t->classic != NULL && !classic_value(a, t->classic, &v.classic_member_metadata))) {
        groups_fail(gs, STATUS_NO_MEMORY);
        return;
    }
    for (int32_t i = 0; i < t->name_count; i++) names[i] = t->names[i];
    v.instance_id = t->instance;
    v.rack_id = t->rack;
    v.client_id = t->client_id;
    v.client_host = t->client_host;
    v.subscribed_topic_names = names;
    v.subscribed_topic_names_count = t->name_count;
    v.subscribed_topic_regex = t->regex;
    v.rebalance_timeout_ms = t->rebalance_ms;
    v.server_assignor = t->assignor;
    v.classic_member_metadata_present = t->classic != NULL;
    group_put(gs, CONSUMER_GROUP_MEMBER_METADATA_RECORD, &key, &v);
}

/* ---- 8 ---- */

static bool current_value(struct arena *a, const struct parts *s,
                          struct consumer_group_current_member_assignment_value_topic_partition **ret_topics,
                          int32_t *ret_count)
{
    struct part_runs runs;
    if (!parts_runs(a, s, &runs)) return false;
    struct consumer_group_current_member_assignment_value_topic_partition *t =
        arena_zalloc(a, (size_t)runs.count * sizeof *t);
    if (t == NULL) return false;
    for (int32_t i = 0; i < runs.count; i++) {
        t[i].topic_id = runs.all[i].topic;
        t[i].partitions = runs.all[i].numbers;
        t[i].assignment_epochs = runs.all[i].epochs;
        t[i].partitions_count = t[i].assignment_epochs_count = runs.all[i].count;
    }
    *ret_topics = t;
    *ret_count = runs.count;
    return true;
}

void put_current(struct groups *gs, struct group *g, struct arena *a, struct str member_id, const struct member_now *n)
{
    struct consumer_group_current_member_assignment_key key = {.group_id = g->id, .member_id = member_id};
    struct consumer_group_current_member_assignment_value v;
    consumer_group_current_member_assignment_value_init(&v);
    v.member_epoch = n->epoch;
    v.previous_member_epoch = n->previous_epoch;
    v.state = (int8_t)n->state;
    if (!current_value(a, &n->assigned, &v.assigned_partitions, &v.assigned_partitions_count) ||
        !current_value(a, &n->revoking, &v.partitions_pending_revocation, &v.partitions_pending_revocation_count)) {
        groups_fail(gs, STATUS_NO_MEMORY);
        return;
    }
    group_put(gs, CONSUMER_GROUP_CURRENT_MEMBER_ASSIGNMENT_RECORD, &key, &v);
}

/* ---- 7, 6, 3 ---- */

void put_target(struct groups *gs, struct group *g, struct arena *a, struct str member_id, const struct parts *target)
{
    struct consumer_group_target_assignment_member_key key = {.group_id = g->id, .member_id = member_id};
    struct consumer_group_target_assignment_member_value v;
    struct part_runs runs;
    consumer_group_target_assignment_member_value_init(&v);
    if (parts_runs(a, target, &runs))
        v.topic_partitions = arena_zalloc(a, (size_t)runs.count * sizeof v.topic_partitions[0]);
    if (v.topic_partitions == NULL) {
        groups_fail(gs, STATUS_NO_MEMORY);
        return;
    }
    v.topic_partitions_count = runs.count;
    for (int32_t i = 0; i < runs.count; i++) {
        v.topic_partitions[i].topic_id = runs.all[i].topic;
        v.topic_partitions[i].partitions = runs.all[i].numbers;
        v.topic_partitions[i].partitions_count = runs.all[i].count;
    }
    group_put(gs, CONSUMER_GROUP_TARGET_ASSIGNMENT_MEMBER_RECORD, &key, &v);
}

void put_epoch(struct groups *gs, struct group *g, int32_t epoch, int64_t metadata_hash)
{
    struct consumer_group_metadata_key key = {.group_id = g->id};
    struct consumer_group_metadata_value v = {.epoch = epoch, .metadata_hash = metadata_hash};
    group_put(gs, CONSUMER_GROUP_METADATA_RECORD, &key, &v);
}

void put_assignment_epoch(struct groups *gs, struct group *g, int32_t epoch, int64_t ms)
{
    struct consumer_group_target_assignment_metadata_key key = {.group_id = g->id};
    struct consumer_group_target_assignment_metadata_value v = {.assignment_epoch = epoch, .assignment_timestamp = ms};
    group_put(gs, CONSUMER_GROUP_TARGET_ASSIGNMENT_METADATA_RECORD, &key, &v);
}

/* ---- 16, 4 ---- */

void put_regex(struct groups *gs, struct group *g, struct str text, struct str *topics, int32_t count)
{
    struct consumer_group_regular_expression_key key = {.group_id = g->id, .regular_expression = text};
    /* version: of Kafka's metadata image; ours has none that a Kafka broker could compare. 0: it looks again. */
    struct consumer_group_regular_expression_value v = {
        .topics = topics, .topics_count = count, .version = 0, .timestamp = gs->wall.v};
    group_put(gs, CONSUMER_GROUP_REGULAR_EXPRESSION_RECORD, &key, &v);
}

void put_regex_gone(struct groups *gs, struct group *g, struct str text)
{
    struct consumer_group_regular_expression_key key = {.group_id = g->id, .regular_expression = text};
    group_put(gs, CONSUMER_GROUP_REGULAR_EXPRESSION_RECORD, &key, NULL);
}

void put_partition_metadata_gone(struct groups *gs, struct group *g)
{
    struct consumer_group_partition_metadata_key key = {.group_id = g->id};
    group_put(gs, CONSUMER_GROUP_PARTITION_METADATA_RECORD, &key, NULL);
}

/* ---- a member goes ---- */

static void put_current_gone(struct groups *gs, struct group *g, struct str member_id)
{
    struct consumer_group_current_member_assignment_key key = {.group_id = g->id, .member_id = member_id};
    group_put(gs, CONSUMER_GROUP_CURRENT_MEMBER_ASSIGNMENT_RECORD, &key, NULL);
}

static void put_target_gone(struct groups *gs, struct group *g, struct str member_id)
{
    struct consumer_group_target_assignment_member_key key = {.group_id = g->id, .member_id = member_id};
    group_put(gs, CONSUMER_GROUP_TARGET_ASSIGNMENT_MEMBER_RECORD, &key, NULL);
}

static void put_metadata_gone(struct groups *gs, struct group *g, struct str member_id)
{
    struct consumer_group_member_metadata_key key = {.group_id = g->id, .member_id = member_id};
    group_put(gs, CONSUMER_GROUP_MEMBER_METADATA_RECORD, &key, NULL);
}

void put_member_gone(struct groups *gs, struct group *g, const struct consumer_member *m)
{
    put_current_gone(gs, g, m->id);
    put_target_gone(gs, g, m->id);
    put_metadata_gone(gs, g, m->id);
}

static bool keep_parts(struct arena *a, const struct parts *s, struct parts *ret_copy)
{
    if (!parts_alloc(a, s->count, ret_copy)) return false;
    if (s->count > 0) memcpy(ret_copy->all, s->all, s->count * sizeof s->all[0]);
    ret_copy->count = s->count;
    return true;
}

/* The list of names and the expression live on: a reference is held, or another member may be their last one. */
struct consumer_member *put_replaced(struct groups *gs, struct group *g, struct arena *a, struct consumer_member *m,
                                     struct str new_id)
{
    struct consumer_group *k = g->consumer;
    struct member_text t = {.member_id = new_id,
                            .names = m->names->names,
                            .name_count = (int32_t)m->names->count,
                            .rebalance_ms = m->rebalance_ms};
    struct member_now now = {.epoch = 0, .previous_epoch = 0, .state = m->state};
    struct classic_side *classic = NULL;
    struct name_list *names = m->names;
    struct parts target;
    bool room = keep_str(a, m->instance, &t.instance) && keep_str(a, m->rack, &t.rack) &&
                keep_str(a, m->client_id, &t.client_id) && keep_str(a, m->client_host, &t.client_host) &&
                keep_str(a, member_regex(m), &t.regex) && keep_str(a, m->assignor, &t.assignor) &&
                keep_parts(a, &m->assigned, &now.assigned) && keep_parts(a, &m->revoking, &now.revoking) &&
                keep_parts(a, &m->target, &target);
    if (room && m->classic != NULL) {
        /* Its texts stand in the block itself, so the block stays until the new member has its own. */
        classic = m->classic;
        k->classic_count--;
        m->classic = NULL;
        t.classic = classic;
    }
    if (room) {
        names->refs++;
        put_member_gone(gs, g, m);
        put_member(gs, g, a, &t);
        put_target(gs, g, a, new_id, &target);
        put_current(gs, g, a, new_id, &now);
        name_list_unref(gs, k, names);
    } else {
        groups_fail(gs, STATUS_NO_MEMORY);
    }
    if (classic != NULL) mem_free(gs->mem, MEM_CONTROL, classic, classic->bytes);
    return gs->status == STATUS_OK ? consumer_find(k, new_id) : NULL;
}

/* ---- the group goes ---- */

void consumer_put_gone(struct groups *gs, struct group *g)
{
    struct consumer_group *k = g->consumer;
    struct consumer_group_target_assignment_metadata_key assignment = {.group_id = g->id};
    struct consumer_group_metadata_key epoch = {.group_id = g->id};
    list_each (n, &k->all) put_current_gone(gs, g, container_of(n, struct consumer_member, in_all)->id);
    list_each (n, &k->all) put_target_gone(gs, g, container_of(n, struct consumer_member, in_all)->id);
    group_put(gs, CONSUMER_GROUP_TARGET_ASSIGNMENT_METADATA_RECORD, &assignment, NULL);
    list_each (n, &k->all) put_metadata_gone(gs, g, container_of(n, struct consumer_member, in_all)->id);
    list_each (n, &k->all_regexes) put_regex_gone(gs, g, container_of(n, struct regex_use, in_all_regexes)->text);
    put_partition_metadata_gone(gs, g);
    group_put(gs, CONSUMER_GROUP_METADATA_RECORD, &epoch, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* What a record does to a consumer group: the same at load and in life (groups.h).
 *
 *   3  the group's epoch; its tombstone ends the group, what is left is a classic group that holds offsets
 *   4  (older brokers) partition metadata: only that it is there, so that it can be taken away
 *   5  a member and its subscription; its tombstone ends the member
 *   6  the assignment's epoch and time; 7 what a member shall have; 8 what it has, and its epoch
 *   16 the topics of a regular expression
 *
 * Failure modes: no memory fails the machine. A partition number that no topic can have is passed over. */
#include "base/bytes.h"
#include "base/check.h"
#include "broker/group/classic.h"
#include "broker/group/consumer_impl.h"
#include "protocol/msg_record_consumer_group_current_member_assignment.h"
#include "protocol/msg_record_consumer_group_member_metadata.h"
#include "protocol/msg_record_consumer_group_metadata.h"
#include "protocol/msg_record_consumer_group_partition_metadata.h"
#include "protocol/msg_record_consumer_group_regular_expression.h"
#include "protocol/msg_record_consumer_group_target_assignment_member.h"
#include "protocol/msg_record_consumer_group_target_assignment_metadata.h"
#include "replication/record.h"

/* ---- 3, 6: the group ---- */

/* Epoch and assignment are gone: what is left of the group is its offsets. */
static void end_group(struct groups *gs, struct group *g)
{
    if (!classic_create(gs, g)) return;
    consumer_destroy(gs, g);
    g->type = GROUP_CLASSIC;
}

static void apply_epoch(struct groups *gs, struct group *g, const struct consumer_group_metadata_value *v)
{
    if (v == NULL) {
        end_group(gs, g);
        return;
    }
    g->consumer->epoch = v->epoch;
    g->consumer->metadata_hash = v->metadata_hash;
}

static void apply_assignment_epoch(struct group *g, const struct consumer_group_target_assignment_metadata_value *v)
{
    g->consumer->assignment_epoch = v != NULL ? v->assignment_epoch : -1;
    g->consumer->assignment_ms = v != NULL ? v->assignment_timestamp : 0;
}

/* ---- 5: a member ---- */

static bool replace_str(struct groups *gs, struct str *old, struct str new)
{
    struct str copy;
    if (str_equal(*old, new)) return true;
    if (!groups_copy_str(gs, new, &copy)) return false;
    groups_free_str(gs, *old);
    *old = copy;
    return true;
}

static bool set_instance(struct groups *gs, struct consumer_group *k, struct consumer_member *m, struct str instance)
{
    struct str copy;
    if (str_equal(m->instance, instance)) return true;
    if (!groups_copy_str(gs, instance, &copy)) return false;
    if (m->instance.len >= 0) hash_table_remove(&k->instances, &m->in_instances);
    groups_free_str(gs, m->instance);
    m->instance = STR_NULL;
    if (copy.len >= 0 && hash_table_insert(&k->instances, &m->in_instances, consumer_hash(copy)) != STATUS_OK) {
        groups_free_str(gs, copy);
        groups_fail(gs, STATUS_NO_MEMORY);
        return false;
    }
    m->instance = copy;
    return true;
}

static bool set_assignor(struct groups *gs, struct consumer_group *k, struct consumer_member *m, struct str assignor)
{
    enum assignor old = assignor_find(m->assignor), new = assignor_find(assignor);
    if (!replace_str(gs, &m->assignor, assignor)) return false;
    if (old != ASSIGNORS) k->assignors[old]--;
    if (new != ASSIGNORS) k->assignors[new]++;
    return true;
}

/* One block: the array, then the texts. */
static bool set_classic(struct groups *gs, struct consumer_group *k, struct consumer_member *m,
                        const struct consumer_group_member_metadata_value_classic_member *v)
{
    struct classic_side *new = NULL;
    if (v != NULL) {
        uint32_t count = (uint32_t)v->supported_protocols_count;
        size_t at = sizeof *new + count * sizeof new->protocols[0], bytes = at;
        for (uint32_t i = 0; i < count; i++)
            bytes += (size_t)v->supported_protocols[i].name.len + (size_t)v->supported_protocols[i].metadata.len;
        new = mem_zalloc(gs->mem, MEM_CONTROL, bytes);
        if (new == NULL) {
            groups_fail(gs, STATUS_NO_MEMORY);
            return false;
        }
        new->session_ms = v->session_timeout_ms;
        new->count = count;
        new->bytes = bytes;
        for (uint32_t i = 0; i < count; i++) {
            struct str name = v->supported_protocols[i].name;
            struct bytes metadata = v->supported_protocols[i].metadata;
            uint8_t *text = (uint8_t *)new + at;
            memcpy(text, name.data, (size_t)name.len);
            memcpy(text + name.len, metadata.data, (size_t)metadata.len);
            new->protocols[i].name = (struct str){(const char *)text, name.len};
            new->protocols[i].metadata = (struct bytes){text + name.len, metadata.len};
            at += (size_t)name.len + (size_t)metadata.len;
        }
    }
    if (m->classic != NULL) mem_free(gs->mem, MEM_CONTROL, m->classic, m->classic->bytes);
    if (m->classic != NULL) k->classic_count--;
    if (new != NULL) k->classic_count++;
    m->classic = new;
    return true;
}

static struct consumer_member *find_or_make(struct groups *gs, struct consumer_group *k, struct str member_id)
{
    struct consumer_member *m = consumer_find(k, member_id);
    return m != NULL ? m : consumer_make(gs, k, member_id);
}

static void apply_member(struct groups *gs, struct consumer_group *k,
                         const struct consumer_group_member_metadata_key *key,
                         const struct consumer_group_member_metadata_value *v)
{
    struct consumer_member *m = v != NULL ? find_or_make(gs, k, key->member_id) : consumer_find(k, key->member_id);
    if (m == NULL) return;
    if (v == NULL) {
        const struct parts none = {NULL, 0};
        member_set_parts(gs, k, m, &none, &none);
        consumer_remove(gs, k, m);
        return;
    }
    struct name_list *names = name_list_ref(gs, k, v->subscribed_topic_names, v->subscribed_topic_names_count);
    if (names == NULL) return;
    name_list_unref(gs, k, m->names);
    m->names = names;
    m->rebalance_ms = v->rebalance_timeout_ms;
    member_set_regex(gs, k, m, v->subscribed_topic_regex);
    if (!replace_str(gs, &m->rack, v->rack_id) || !replace_str(gs, &m->client_id, v->client_id) ||
        !replace_str(gs, &m->client_host, v->client_host))
        return;
    if (!set_instance(gs, k, m, v->instance_id) || !set_assignor(gs, k, m, v->server_assignor)) return;
    (void)set_classic(gs, k, m, v->classic_member_metadata_present ? &v->classic_member_metadata : NULL);
}

/* ---- 7: what a member shall have ---- */

static void apply_target(struct groups *gs, struct consumer_group *k,
                         const struct consumer_group_target_assignment_member_key *key,
                         const struct consumer_group_target_assignment_member_value *v)
{
    struct consumer_member *m = v != NULL ? find_or_make(gs, k, key->member_id) : consumer_find(k, key->member_id);
    size_t count = 0;
    if (m == NULL) return;
    parts_free(gs->mem, &m->target);
    m->has_target = v != NULL;
    if (v == NULL) return;
    for (int32_t t = 0; t < v->topic_partitions_count; t++) count += (size_t)v->topic_partitions[t].partitions_count;
    if (count == 0) return;
    struct part_of *all = mem_alloc(gs->mem, MEM_CONTROL, count * sizeof *all);
    struct parts s = {all, 0};
    if (all == NULL) {
        groups_fail(gs, STATUS_NO_MEMORY);
        return;
    }
    for (int32_t t = 0; t < v->topic_partitions_count; t++) {
        const struct consumer_group_target_assignment_member_value_topic_partition *p = &v->topic_partitions[t];
        for (int32_t i = 0; i < p->partitions_count; i++)
            if (p->partitions[i] >= 0 && p->partitions[i] < PARTITIONS_MAX)
                all[s.count++] = (struct part_of){p->topic_id, p->partitions[i], 0};
    }
    parts_sort(&s);
    if (!parts_copy(gs->mem, &s, &m->target)) groups_fail(gs, STATUS_NO_MEMORY);
    mem_free(gs->mem, MEM_CONTROL, all, count * sizeof *all);
}

/* ---- 8: what a member has ---- */

static bool read_parts(struct arena *a, const struct consumer_group_current_member_assignment_value_topic_partition *t,
                       int32_t count, int32_t epoch, struct parts *ret_parts)
{
    size_t max = 0;
    for (int32_t i = 0; i < count; i++) max += (size_t)t[i].partitions_count;
    if (!parts_alloc(a, (uint32_t)max, ret_parts)) return false;
    for (int32_t i = 0; i < count; i++) {
        bool each = t[i].assignment_epochs_count == t[i].partitions_count;
        for (int32_t j = 0; j < t[i].partitions_count; j++) {
            int32_t number = t[i].partitions[j];
            if (number < 0 || number >= PARTITIONS_MAX) continue;
            int32_t own_epoch = each ? t[i].assignment_epochs[j] : MAX(epoch, 0); /* records before epochs of each */
            ret_parts->all[ret_parts->count++] = (struct part_of){t[i].topic_id, number, own_epoch};
        }
    }
    parts_sort(ret_parts);
    return true;
}

static enum member_state state_of(int8_t state)
{
    return state == MEMBER_STABLE || state == MEMBER_UNREVOKED || state == MEMBER_UNRELEASED ? (enum member_state)state
                                                                                             : MEMBER_UNKNOWN;
}

static void apply_current(struct groups *gs, struct consumer_group *k,
                          const struct consumer_group_current_member_assignment_key *key,
                          const struct consumer_group_current_member_assignment_value *v)
{
    struct consumer_member *m = v != NULL ? find_or_make(gs, k, key->member_id) : consumer_find(k, key->member_id);
    struct parts assigned = {NULL, 0}, revoking = {NULL, 0};
    struct arena a;
    if (m == NULL) return;
    m->epoch = v != NULL ? v->member_epoch : EPOCH_LEAVE;
    m->previous_epoch = v != NULL ? v->previous_member_epoch : EPOCH_LEAVE;
    arena_init(&a, gs->mem, MEM_CONTROL, STEP_ARENA_CAP);
    bool room = true;
    if (v != NULL) {
        m->state = state_of(v->state);
        room = read_parts(&a, v->assigned_partitions, v->assigned_partitions_count, v->member_epoch, &assigned) &&
               read_parts(&a, v->partitions_pending_revocation, v->partitions_pending_revocation_count, v->member_epoch,
                          &revoking);
    }
    if (room)
        member_set_parts(gs, k, m, &assigned, &revoking);
    else
        groups_fail(gs, STATUS_NO_MEMORY);
    arena_deinit(&a);
}

/* ---- 16: a regular expression ---- */

static void apply_regex(struct groups *gs, struct consumer_group *k,
                        const struct consumer_group_regular_expression_key *key,
                        const struct consumer_group_regular_expression_value *v)
{
    struct regex_use *r =
        v != NULL ? regex_make(gs, k, key->regular_expression) : regex_find(k, key->regular_expression);
    if (r == NULL) return;
    struct name_list *topics = v != NULL ? name_list_ref(gs, k, v->topics, v->topics_count) : NULL;
    name_list_unref(gs, k, r->topics);
    r->topics = topics;
    r->stale = gs->loading; /* topics may have come while nobody looked */
    if (v != NULL) {
        r->version = v->version;
        r->looked_ms = v->timestamp;
    }
    regex_drop_unused(gs, k, r);
}

bool become_consumer(struct groups *gs, struct group *g)
{
    if (g->type == GROUP_CONSUMER) return true;
    if (!consumer_create(gs, g)) return false;
    classic_destroy(gs, g);
    g->type = GROUP_CONSUMER;
    return true;
}

void consumer_apply(struct groups *gs, struct group *g, int16_t type, const void *key, const void *value)
{
    if (value == NULL && g->type != GROUP_CONSUMER) return; /* a tombstone of what is not there */
    if (!become_consumer(gs, g)) return;
    if (type == CONSUMER_GROUP_METADATA_RECORD)
        apply_epoch(gs, g, value);
    else if (type == CONSUMER_GROUP_PARTITION_METADATA_RECORD)
        g->consumer->partition_metadata = value != NULL;
    else if (type == CONSUMER_GROUP_MEMBER_METADATA_RECORD)
        apply_member(gs, g->consumer, key, value);
    else if (type == CONSUMER_GROUP_TARGET_ASSIGNMENT_METADATA_RECORD)
        apply_assignment_epoch(g, value);
    else if (type == CONSUMER_GROUP_TARGET_ASSIGNMENT_MEMBER_RECORD)
        apply_target(gs, g->consumer, key, value);
    else if (type == CONSUMER_GROUP_CURRENT_MEMBER_ASSIGNMENT_RECORD)
        apply_current(gs, g->consumer, key, value);
    else if (type == CONSUMER_GROUP_REGULAR_EXPRESSION_RECORD)
        apply_regex(gs, g->consumer, key, value);
    else
        CHECK(false);
}

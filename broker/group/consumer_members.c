// SPDX-License-Identifier: Apache-2.0
/* Members of a consumer group (consumer_impl.h): found, made, removed; and what must hold between the tables. */
#include "base/check.h"
#include "broker/group/consumer_impl.h"
#include "replication/image.h"

struct consumer_member *consumer_find(const struct consumer_group *k, struct str member_id)
{
    if (member_id.len < 0) return NULL;
    for (struct hash_node *n = hash_table_find(&k->members, consumer_hash(member_id)); n != NULL;
         n = hash_node_next(n)) {
        struct consumer_member *m = container_of(n, struct consumer_member, in_members);
        if (str_equal(m->id, member_id)) return m;
    }
    return NULL;
}

struct consumer_member *consumer_find_instance(const struct consumer_group *k, struct str instance_id)
{
    if (instance_id.len < 0) return NULL;
    struct hash_node *n = hash_table_find(&k->instances, consumer_hash(instance_id));
    for (; n != NULL; n = hash_node_next(n)) {
        struct consumer_member *m = container_of(n, struct consumer_member, in_instances);
        if (str_equal(m->instance, instance_id)) return m;
    }
    return NULL;
}

static void free_member(struct groups *gs, struct consumer_group *k, struct consumer_member *m)
{
    name_list_unref(gs, k, m->names);
    groups_free_str(gs, m->id);
    mem_free(gs->mem, MEM_CONTROL, m, sizeof *m);
}

struct consumer_member *consumer_make(struct groups *gs, struct consumer_group *k, struct str member_id)
{
    struct consumer_member *m = mem_zalloc(gs->mem, MEM_CONTROL, sizeof *m);
    if (m == NULL) {
        groups_fail(gs, STATUS_NO_MEMORY);
        return NULL;
    }
    m->id = m->instance = m->rack = m->assignor = STR_NULL;
    m->client_id = m->client_host = STR_EMPTY;
    m->rebalance_ms = m->previous_epoch = -1;
    m->session = m->rebalance = m->join = m->sync = NEVER;
    m->names = name_list_ref(gs, k, NULL, 0);
    if (m->names == NULL || !groups_copy_str(gs, member_id, &m->id)) {
        free_member(gs, k, m);
        return NULL;
    }
    if (hash_table_insert(&k->members, &m->in_members, consumer_hash(m->id)) != STATUS_OK) {
        groups_fail(gs, STATUS_NO_MEMORY);
        free_member(gs, k, m);
        return NULL;
    }
    list_push_back(&k->all, &m->in_all);
    k->member_count++;
    return m;
}

void consumer_remove(struct groups *gs, struct consumer_group *k, struct consumer_member *m)
{
    CHECK(m->assigned.count == 0 && m->revoking.count == 0);
    enum assignor a = assignor_find(m->assignor);
    if (a != ASSIGNORS) k->assignors[a]--;
    member_set_regex(gs, k, m, STR_EMPTY);
    if (m->instance.len >= 0) hash_table_remove(&k->instances, &m->in_instances);
    hash_table_remove(&k->members, &m->in_members);
    list_remove(&m->in_all);
    k->member_count--;
    if (m->classic != NULL) {
        k->classic_count--;
        mem_free(gs->mem, MEM_CONTROL, m->classic, m->classic->bytes);
    }
    parts_free(gs->mem, &m->target);
    groups_free_str(gs, m->instance);
    groups_free_str(gs, m->rack);
    groups_free_str(gs, m->client_id);
    groups_free_str(gs, m->client_host);
    groups_free_str(gs, m->assignor);
    free_member(gs, k, m);
}

bool member_subscribes(const struct groups *gs, const struct consumer_member *m, struct uuid topic)
{
    const struct image_topic *t = topic_index_by_id(gs->topics, topic);
    if (t == NULL) return false;
    return name_list_has(m->names, t->name) || (m->regex != NULL && name_list_has(m->regex->topics, t->name));
}

static uint32_t check_owned(const struct consumer_group *k, const struct consumer_member *m, const struct parts *s)
{
    for (uint32_t i = 0; i < s->count; i++) {
        CHECK(consumer_owner(k, s->all[i].topic, s->all[i].number) == m);
        CHECK(i == 0 || parts_order(s->all[i - 1].topic, s->all[i - 1].number, s->all[i].topic, s->all[i].number) < 0);
    }
    return s->count;
}

void consumer_check_state(const struct group *g)
{
    const struct consumer_group *k = g->consumer;
    uint32_t members = 0, classic = 0, by_regex = 0, refs = 0, asked[ASSIGNORS] = {0};
    CHECK(g->type == GROUP_CONSUMER && k != NULL);
    list_each (n, &k->all) {
        const struct consumer_member *m = container_of(n, struct consumer_member, in_all);
        enum assignor a = assignor_find(m->assignor);
        CHECK(consumer_find(k, m->id) == m);
        CHECK(m->instance.len < 0 || consumer_find_instance(k, m->instance) == m);
        check_owned(k, m, &m->assigned);
        check_owned(k, m, &m->revoking);
        CHECK(m->revoking.count == 0 || m->state == MEMBER_UNREVOKED);
        if (a != ASSIGNORS) asked[a]++;
        members++;
        classic += m->classic != NULL;
        by_regex += m->regex != NULL;
    }
    CHECK(members == k->member_count && members == k->members.count && classic == k->classic_count);
    CHECK(memcmp(asked, k->assignors, sizeof asked) == 0);
    list_each (n, &k->all_regexes) {
        const struct regex_use *r = container_of(n, struct regex_use, in_all_regexes);
        CHECK(r->members > 0 || r->topics != NULL);
        by_regex -= r->members;
        members += r->topics != NULL;
    }
    CHECK(by_regex == 0);
    list_each (n, &k->all_lists) refs += container_of(n, struct name_list, in_all_lists)->refs;
    CHECK(refs == members);
}

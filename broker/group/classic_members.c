// SPDX-License-Identifier: Apache-2.0
/* Members of a classic group (classic_impl.h): finding, adding, renaming, removing, and the sums over them. Nothing is
 * answered and no rebalance begins here.
 *
 * Failure modes: no memory sets gs->status; the group stays one that can be destroyed. */
#include "base/check.h"
#include "broker/group/classic_impl.h"
#include <xxhash.h>

static uint64_t hash_of(struct str s)
{
    return XXH3_64bits(s.data, (size_t)s.len);
}

struct classic_member *classic_find(const struct classic_group *cg, struct str id)
{
    if (id.len < 0) return NULL;
    for (struct hash_node *n = hash_table_find(&cg->by_id, hash_of(id)); n != NULL; n = hash_node_next(n)) {
        struct classic_member *m = container_of(n, struct classic_member, by_id);
        if (str_equal(m->id, id)) return m;
    }
    return NULL;
}

struct classic_member *classic_find_static(const struct classic_group *cg, struct str instance)
{
    if (instance.len < 0) return NULL;
    struct hash_node *n = hash_table_find(&cg->by_instance, hash_of(instance));
    for (; n != NULL; n = hash_node_next(n)) {
        struct classic_member *m = container_of(n, struct classic_member, by_instance);
        if (str_equal(m->instance, instance)) return m;
    }
    return NULL;
}

int16_t classic_check_member(const struct classic_group *cg, struct str id, struct str instance,
                             struct classic_member **ret_member)
{
    struct classic_member *m = classic_find(cg, id);
    if (instance.len >= 0) {
        const struct classic_member *known = classic_find_static(cg, instance);
        if (known == NULL) return KAFKA_UNKNOWN_MEMBER_ID;
        if (known != m) return KAFKA_FENCED_INSTANCE_ID;
    }
    if (m == NULL || m->pending) return KAFKA_UNKNOWN_MEMBER_ID;
    *ret_member = m;
    return KAFKA_NONE;
}

/* ---- sums ---- */

static size_t text_bytes(struct str s)
{
    return s.len > 0 ? (size_t)s.len : 0;
}

size_t classic_spec_bytes(struct str id, const struct member_spec *spec)
{
    size_t bytes = sizeof(struct classic_member) + text_bytes(id) + text_bytes(spec->instance) +
                   text_bytes(spec->client_id) + text_bytes(spec->client_host);
    for (uint32_t i = 0; i < spec->protocol_count; i++)
        bytes += sizeof(struct member_protocol) + sizeof(struct protocol_name) + text_bytes(spec->protocols[i].name) +
                 (size_t)MAX(spec->protocols[i].metadata.len, 0);
    return bytes;
}

static void count_bytes(struct classic_group *cg, struct classic_member *m, size_t bytes)
{
    CHECK(cg->metadata_bytes >= m->metadata_bytes);
    cg->metadata_bytes += bytes - m->metadata_bytes;
    m->metadata_bytes = bytes;
}

void classic_set_joining(struct classic_group *cg, struct classic_member *m, bool joining)
{
    CHECK(!m->pending && (joining || m->join_call == NULL));
    if (m->joining == joining) return;
    m->joining = joining;
    cg->joining_count += joining ? 1 : UINT32_MAX; /* -1 */
}

void classic_set_unsynced(struct classic_group *cg, struct classic_member *m, bool unsynced)
{
    if (m->unsynced == unsynced) return;
    m->unsynced = unsynced;
    cg->unsynced_count += unsynced ? 1 : UINT32_MAX;
}

/* ---- in and out ---- */

struct classic_member *classic_add(struct groups *gs, struct classic_group *cg, struct str id)
{
    struct classic_member *m = mem_zalloc(gs->mem, MEM_CONTROL, sizeof *m);
    if (m == NULL || hash_table_insert(&cg->by_id, &m->by_id, hash_of(id)) != STATUS_OK) {
        mem_free(gs->mem, MEM_CONTROL, m, sizeof *m);
        groups_free_str(gs, id);
        groups_fail(gs, STATUS_NO_MEMORY);
        return NULL;
    }
    m->id = id;
    m->instance = STR_NULL;
    m->client_id = m->client_host = STR_EMPTY;
    m->assignment = BYTES_EMPTY;
    m->session_ends = NEVER;
    m->pending = true;
    list_push_back(&cg->pending, &m->in_list);
    cg->pending_count++;
    return m;
}

static void unlist(struct classic_group *cg, struct classic_member *m)
{
    list_remove(&m->in_list);
    if (m->pending)
        cg->pending_count--;
    else
        cg->member_count--;
}

static bool become_static(struct groups *gs, struct classic_group *cg, struct classic_member *m, struct str instance)
{
    CHECK(classic_find_static(cg, instance) == NULL);
    if (!groups_copy_str(gs, instance, &m->instance)) return false;
    if (hash_table_insert(&cg->by_instance, &m->by_instance, hash_of(instance)) == STATUS_OK) return true;
    groups_fail(gs, STATUS_NO_MEMORY);
    groups_free_str(gs, m->instance);
    m->instance = STR_NULL;
    return false;
}

bool classic_admit(struct groups *gs, struct classic_group *cg, struct classic_member *m,
                   const struct member_spec *spec)
{
    CHECK(m->pending);
    if (spec->instance.len >= 0 && !become_static(gs, cg, m, spec->instance)) return false;
    if (!groups_copy_str(gs, spec->client_id, &m->client_id)) return false;
    if (!groups_copy_str(gs, spec->client_host, &m->client_host)) return false;
    unlist(cg, m);
    m->pending = false;
    list_push_back(&cg->members, &m->in_list);
    cg->member_count++;
    if (cg->leader == NULL) cg->leader = m;
    return classic_update(gs, cg, m, spec);
}

bool classic_update(struct groups *gs, struct classic_group *cg, struct classic_member *m,
                    const struct member_spec *spec)
{
    m->session_ms = spec->session_ms;
    m->rebalance_ms = spec->rebalance_ms;
    if (!classic_set_protocols(gs, cg, m, spec)) return false;
    struct member_spec now = *spec;
    now.instance = m->instance;
    now.client_id = m->client_id;
    now.client_host = m->client_host;
    count_bytes(cg, m, classic_spec_bytes(m->id, &now));
    return true;
}

void classic_remove(struct groups *gs, struct classic_group *cg, struct classic_member *m)
{
    CHECK(m->join_call == NULL && m->sync_call == NULL);
    if (!m->pending) {
        classic_set_joining(cg, m, false);
        classic_set_unsynced(cg, m, false);
    }
    count_bytes(cg, m, 0);
    unlist(cg, m);
    hash_table_remove(&cg->by_id, &m->by_id);
    if (m->instance.len >= 0) hash_table_remove(&cg->by_instance, &m->by_instance);
    classic_drop_protocols(gs, cg, m);
    if (cg->leader == m)
        cg->leader =
            list_empty(&cg->members) ? NULL : container_of(list_first(&cg->members), struct classic_member, in_list);
    groups_free_str(gs, m->id);
    groups_free_str(gs, m->instance);
    groups_free_str(gs, m->client_id);
    groups_free_str(gs, m->client_host);
    groups_free_bytes(gs, m->assignment);
    mem_free(gs->mem, MEM_CONTROL, m, sizeof *m);
}

void classic_rename(struct groups *gs, struct classic_group *cg, struct classic_member *m, struct str id)
{
    hash_table_remove(&cg->by_id, &m->by_id);
    groups_free_str(gs, m->id);
    m->id = id;
    CHECK_OK(hash_table_insert(&cg->by_id, &m->by_id, hash_of(id))); /* it has buckets: m was in */
}

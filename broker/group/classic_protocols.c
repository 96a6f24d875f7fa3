// SPDX-License-Identifier: Apache-2.0
/* Protocols ("range", "cooperative-sticky", ...) that members of a classic group support: names are kept once for the
 * group with the number of supporters, so "supported by all" is one comparison.
 *
 * An election (classic_elect_protocol): every member votes for the first protocol on its list that all support; most
 * votes win, of equals the one that was voted for first.
 *
 * Failure modes: no memory sets gs->status. */
#include "base/check.h"
#include "broker/group/classic_impl.h"
#include <xxhash.h>

static uint64_t hash_of(struct str s)
{
    return XXH3_64bits(s.data, (size_t)s.len);
}

static struct protocol_name *find(const struct classic_group *cg, struct str name)
{
    if (name.len < 0) return NULL;
    for (struct hash_node *n = hash_table_find(&cg->protocol_names, hash_of(name)); n != NULL; n = hash_node_next(n)) {
        struct protocol_name *p = container_of(n, struct protocol_name, by_name);
        if (str_equal(p->name, name)) return p;
    }
    return NULL;
}

/* One more supporter. NULL: no memory. */
static struct protocol_name *take(struct groups *gs, struct classic_group *cg, struct str name)
{
    struct protocol_name *p = find(cg, name);
    if (p == NULL) {
        p = mem_zalloc(gs->mem, MEM_CONTROL, sizeof *p);
        if (p == NULL) return NULL;
        if (!groups_copy_str(gs, name, &p->name) ||
            hash_table_insert(&cg->protocol_names, &p->by_name, hash_of(name)) != STATUS_OK) {
            groups_free_str(gs, p->name);
            mem_free(gs->mem, MEM_CONTROL, p, sizeof *p);
            return NULL;
        }
    }
    p->members++;
    return p;
}

static void give_back(struct groups *gs, struct classic_group *cg, struct protocol_name *p)
{
    CHECK(p->members > 0);
    if (--p->members > 0) return;
    hash_table_remove(&cg->protocol_names, &p->by_name);
    groups_free_str(gs, p->name);
    mem_free(gs->mem, MEM_CONTROL, p, sizeof *p);
}

static void drop(struct groups *gs, struct classic_group *cg, struct member_protocol *list, uint32_t used,
                 uint32_t room)
{
    for (uint32_t i = 0; i < used; i++) {
        give_back(gs, cg, list[i].name);
        groups_free_bytes(gs, list[i].metadata);
    }
    mem_free(gs->mem, MEM_CONTROL, list, room * sizeof *list);
}

void classic_drop_protocols(struct groups *gs, struct classic_group *cg, struct classic_member *m)
{
    drop(gs, cg, m->protocols, m->protocol_count, m->protocol_count);
    m->protocols = NULL;
    m->protocol_count = 0;
}

/* No name comes twice in spec. */
bool classic_set_protocols(struct groups *gs, struct classic_group *cg, struct classic_member *m,
                           const struct member_spec *spec)
{
    uint32_t used = 0, count = spec->protocol_count;
    struct member_protocol *list = count > 0 ? mem_alloc(gs->mem, MEM_CONTROL, count * sizeof *list) : NULL;
    bool room = count == 0 || list != NULL;
    while (room && used < count) {
        struct bytes metadata = spec->protocols[used].metadata;
        struct protocol_name *name = take(gs, cg, spec->protocols[used].name);
        if (name != NULL) {
            list[used] = (struct member_protocol){name, BYTES_EMPTY};
            room = groups_copy_bytes(gs, metadata.len >= 0 ? metadata : BYTES_EMPTY, &list[used].metadata);
            used++;
        } else {
            room = false;
        }
    }
    if (!room) {
        groups_fail(gs, STATUS_NO_MEMORY);
        drop(gs, cg, list, used, count);
        return false;
    }
    classic_drop_protocols(gs, cg, m); /* after: names of both lists stay */
    m->protocols = list;
    m->protocol_count = count;
    return true;
}

static bool bytes_equal(struct bytes a, struct bytes b)
{
    int32_t len = MAX(a.len, 0);
    return len == MAX(b.len, 0) && (len == 0 || memcmp(a.data, b.data, (size_t)len) == 0);
}

bool classic_same_protocols(const struct classic_member *m, const struct member_spec *spec)
{
    if (m->protocol_count != spec->protocol_count) return false;
    for (uint32_t i = 0; i < spec->protocol_count; i++) {
        const struct protocol_spec *p = &spec->protocols[i];
        if (!str_equal(m->protocols[i].name->name, p->name)) return false;
        if (!bytes_equal(m->protocols[i].metadata, p->metadata)) return false;
    }
    return true;
}

bool classic_fits(const struct classic_group *cg, struct str protocol_type, const struct member_spec *spec)
{
    if (spec->protocol_count > CLASSIC_PROTOCOLS_MAX) return false;
    if (cg->state == CLASSIC_EMPTY ? protocol_type.len <= 0 : !str_equal(cg->protocol_type, protocol_type))
        return false;
    if (cg->member_count == 0) return spec->protocol_count > 0;
    for (uint32_t i = 0; i < spec->protocol_count; i++) {
        const struct protocol_name *p = find(cg, spec->protocols[i].name);
        if (p != NULL && p->members == cg->member_count) return true;
    }
    return false;
}

struct bytes classic_metadata(const struct classic_member *m, struct str protocol)
{
    for (uint32_t i = 0; i < m->protocol_count; i++)
        if (str_equal(m->protocols[i].name->name, protocol)) return m->protocols[i].metadata;
    return BYTES_EMPTY;
}

static struct protocol_name *vote(const struct classic_group *cg, const struct classic_member *m)
{
    for (uint32_t i = 0; i < m->protocol_count; i++)
        if (m->protocols[i].name->members == cg->member_count) return m->protocols[i].name;
    return NULL;
}

struct str classic_elect_protocol(const struct classic_group *cg)
{
    struct protocol_name *best = NULL;
    list_each (n, &cg->members) {
        struct protocol_name *p = vote(cg, container_of(n, struct classic_member, in_list));
        if (p != NULL) p->votes = 0;
    }
    list_each (n, &cg->members) {
        struct protocol_name *p = vote(cg, container_of(n, struct classic_member, in_list));
        if (p != NULL) p->votes++;
    }
    list_each (n, &cg->members) {
        struct protocol_name *p = vote(cg, container_of(n, struct classic_member, in_list));
        if (p != NULL && (best == NULL || p->votes > best->votes)) best = p;
    }
    CHECK(best != NULL); /* nobody was let in who would have left the others without one */
    return best->name;
}

// SPDX-License-Identifier: Apache-2.0
/* The machine of groups (groups.h): finding, making and dropping groups, and the parts that all rules use. What a
 * request does is call_steps.c, what a record does records.c, offsets are offsets.c, the two kinds of groups classic*.c
 * and consumer*.c.
 *
 * Failure modes: no memory sets gs->status; the owner throws the machine away, tells the clients to try again, and
 * loads it anew. So no rule has to undo anything. */
#include "broker/group/groups.h"
#include "base/check.h"
#include "broker/group/classic.h"
#include "broker/group/consumer.h"
#include "broker/group/offsets.h"
#include "protocol/uuid.h"
#include <string.h>
#include <xxhash.h>

static uint64_t id_hash(struct str id)
{
    return XXH3_64bits(id.data, (size_t)id.len);
}

void groups_init(struct groups *gs, struct mem *m, const struct group_settings *settings,
                 const struct topic_index *topics, struct group_sink *sink, uint64_t seed)
{
    *gs = (struct groups){.mem = m, .settings = settings, .topics = topics, .sink = sink, .loading = true};
    prng_seed(&gs->random, seed, 1);
    hash_table_init(&gs->by_id, m, MEM_CONTROL);
    list_init(&gs->all);
    list_init(&gs->answered);
    list_init(&gs->rearm);
}

void groups_deinit(struct groups *gs)
{
    CHECK(list_empty(&gs->answered));
    while (!list_empty(&gs->all)) groups_drop(gs, container_of(list_first(&gs->all), struct group, in_all));
    hash_table_deinit(&gs->by_id);
    mem_free(gs->mem, MEM_CONTROL, gs->scratch, gs->scratch_bytes);
    gs->scratch = NULL;
    gs->scratch_bytes = 0;
}

struct group *groups_find(const struct groups *gs, struct str id)
{
    if (id.len < 0) return NULL;
    for (struct hash_node *n = hash_table_find(&gs->by_id, id_hash(id)); n != NULL; n = hash_node_next(n)) {
        struct group *g = container_of(n, struct group, in_groups);
        if (str_equal(g->id, id)) return g;
    }
    return NULL;
}

static void free_group(struct groups *gs, struct group *g)
{
    groups_free_str(gs, g->id);
    mem_free(gs->mem, MEM_CONTROL, g, sizeof *g);
}

struct group *groups_make(struct groups *gs, struct str id)
{
    struct group *g = groups_find(gs, id);
    if (g != NULL) return g;
    CHECK(id.len >= 0);
    g = mem_zalloc(gs->mem, MEM_CONTROL, sizeof *g);
    if (g == NULL) {
        groups_fail(gs, STATUS_NO_MEMORY);
        return NULL;
    }
    g->groups = gs;
    g->deadline = NEVER;
    g->type = GROUP_CLASSIC;
    offsets_init(gs, g);
    if (!groups_copy_str(gs, id, &g->id) || !classic_create(gs, g)) {
        free_group(gs, g);
        return NULL;
    }
    if (hash_table_insert(&gs->by_id, &g->in_groups, id_hash(g->id)) != STATUS_OK) {
        classic_destroy(gs, g);
        free_group(gs, g);
        groups_fail(gs, STATUS_NO_MEMORY);
        return NULL;
    }
    list_push_back(&gs->all, &g->in_all);
    gs->count++;
    return g;
}

void groups_drop(struct groups *gs, struct group *g)
{
    if (gs->sink->dropped != NULL) gs->sink->dropped(gs->sink, g);
    CHECK(!g->timer.armed);
    if (list_linked(&g->in_rearm)) list_remove(&g->in_rearm);
    if (g->type == GROUP_CLASSIC)
        classic_destroy(gs, g);
    else
        consumer_destroy(gs, g);
    offsets_deinit(gs, g);
    hash_table_remove(&gs->by_id, &g->in_groups);
    list_remove(&g->in_all);
    gs->count--;
    free_group(gs, g);
}

/* ---- what all rules use ---- */

void group_wake_by(struct group *g, struct mono_ns at)
{
    if (at.v >= g->deadline.v) return;
    g->deadline = at;
    if (!list_linked(&g->in_rearm)) list_push_back(&g->groups->rearm, &g->in_rearm);
}

void groups_fail(struct groups *gs, enum status s)
{
    CHECK(s != STATUS_OK);
    if (gs->status == STATUS_OK) gs->status = s;
}

bool groups_have_room(const struct groups *gs)
{
    return mem_has_room(gs->mem, MEM_CONTROL, mem_budget(gs->mem, MEM_CONTROL) / 8);
}

static bool copy(struct groups *gs, const void *data, int32_t len, const void **ret_copy)
{
    *ret_copy = "";
    if (len <= 0) return true;
    void *p = mem_alloc(gs->mem, MEM_CONTROL, (size_t)len);
    if (p == NULL) {
        groups_fail(gs, STATUS_NO_MEMORY);
        return false;
    }
    memcpy(p, data, (size_t)len);
    *ret_copy = p;
    return true;
}

bool groups_copy_str(struct groups *gs, struct str s, struct str *ret_copy)
{
    const void *p;
    *ret_copy = STR_NULL;
    if (s.len < 0) return true;
    if (!copy(gs, s.data, s.len, &p)) return false;
    *ret_copy = (struct str){p, s.len};
    return true;
}

bool groups_copy_bytes(struct groups *gs, struct bytes b, struct bytes *ret_copy)
{
    const void *p;
    *ret_copy = BYTES_NULL;
    if (b.len < 0) return true;
    if (!copy(gs, b.data, b.len, &p)) return false;
    *ret_copy = (struct bytes){p, b.len};
    return true;
}

static void free_copy(struct groups *gs, const void *data, int32_t len)
{
    if (len <= 0) return;
    mem_free(gs->mem, MEM_CONTROL, (void *)(uintptr_t)data, (size_t)len);
}

void groups_free_str(struct groups *gs, struct str s)
{
    free_copy(gs, s.data, s.len);
}

void groups_free_bytes(struct groups *gs, struct bytes b)
{
    free_copy(gs, b.data, b.len);
}

/* A version 4 uuid as Kafka prints it in member ids (RFC 9562): 8-4-4-4-12 hexadecimal digits. */
static void uuid_rfc_text(struct prng *random, char out[36])
{
    static const char hex[] = "0123456789abcdef";
    uint8_t b[16];
    for (uint32_t i = 0; i < 2; i++) {
        uint64_t v = prng_next(random);
        memcpy(b + 8 * i, &v, sizeof v);
    }
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    for (uint32_t i = 0, at = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) out[at++] = '-';
        out[at++] = hex[b[i] >> 4];
        out[at++] = hex[b[i] & 0x0f];
    }
}

struct str groups_new_member_id(struct groups *gs, struct str prefix)
{
    enum { UUID_CHARS = 36 };
    int32_t prefix_len = MAX(prefix.len, 0);
    int32_t len = prefix_len + (prefix_len > 0) + UUID_CHARS;
    char *id = mem_alloc(gs->mem, MEM_CONTROL, (size_t)len);
    if (id == NULL) {
        groups_fail(gs, STATUS_NO_MEMORY);
        return STR_NULL;
    }
    if (prefix_len > 0) {
        memcpy(id, prefix.data, (size_t)prefix_len);
        id[prefix_len] = '-';
    }
    uuid_rfc_text(&gs->random, id + len - UUID_CHARS);
    return (struct str){id, len};
}

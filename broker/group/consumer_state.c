// SPDX-License-Identifier: Apache-2.0
/* Tables of a consumer group (consumer_impl.h): members by id and instance, lists of names that members share, regular
 * expressions, who has which partition. Only what a record says changes them (consumer_apply.c).
 *
 * Rule G2 stands on `owned`: a partition is free when no member has it, be it assigned or still to be given up; only a
 * free one is given to another (consumer_reconcile.c).
 *
 * Failure modes: no memory fails the machine; what is half made can be destroyed. */
#include "base/bytes.h"
#include "base/check.h"
#include "broker/group/consumer_impl.h"
#include "replication/image.h"
#include <stdlib.h>
#include <xxhash.h>

#define OWNED_FIRST 8

bool consumer_create(struct groups *gs, struct group *g)
{
    struct consumer_group *k = mem_zalloc(gs->mem, MEM_CONTROL, sizeof *k);
    if (k == NULL) {
        groups_fail(gs, STATUS_NO_MEMORY);
        return false;
    }
    k->epoch = k->assignment_epoch = FIRST_EPOCH;
    k->refresh = true;
    hash_table_init(&k->members, gs->mem, MEM_CONTROL);
    hash_table_init(&k->instances, gs->mem, MEM_CONTROL);
    hash_table_init(&k->lists, gs->mem, MEM_CONTROL);
    hash_table_init(&k->regexes, gs->mem, MEM_CONTROL);
    hash_table_init(&k->owned, gs->mem, MEM_CONTROL);
    list_init(&k->all);
    list_init(&k->all_lists);
    list_init(&k->all_regexes);
    g->consumer = k;
    return true;
}

void consumer_destroy(struct groups *gs, struct group *g)
{
    struct consumer_group *k = g->consumer;
    const struct parts none = {NULL, 0};
    while (!list_empty(&k->all)) {
        struct consumer_member *m = container_of(list_first(&k->all), struct consumer_member, in_all);
        member_set_parts(gs, k, m, &none, &none);
        consumer_remove(gs, k, m);
    }
    while (!list_empty(&k->all_regexes)) {
        struct regex_use *r = container_of(list_first(&k->all_regexes), struct regex_use, in_all_regexes);
        name_list_unref(gs, k, r->topics);
        r->topics = NULL;
        regex_drop_unused(gs, k, r);
    }
    hash_table_deinit(&k->members);
    hash_table_deinit(&k->instances);
    hash_table_deinit(&k->lists);
    hash_table_deinit(&k->regexes);
    hash_table_deinit(&k->owned);
    mem_free(gs->mem, MEM_CONTROL, k, sizeof *k);
    g->consumer = NULL;
}

/* ---- lists of names ---- */

static int by_name(const void *x, const void *y)
{
    const struct str *a = x, *b = y;
    int order = memcmp(a->data, b->data, (size_t)MIN(a->len, b->len));
    return order != 0 ? order : (a->len > b->len) - (a->len < b->len);
}

static bool same_names(const struct name_list *l, const struct str *names, uint32_t count)
{
    if (l->count != count) return false;
    for (uint32_t i = 0; i < count; i++)
        if (!str_equal(l->names[i], names[i])) return false;
    return true;
}

static uint64_t names_hash(const struct str *names, uint32_t count)
{
    uint64_t hash = count;
    for (uint32_t i = 0; i < count; i++) hash = XXH3_64bits_withSeed(names[i].data, (size_t)names[i].len, hash);
    return hash;
}

/* names: sorted, no doubles. */
static struct name_list *find_list(const struct consumer_group *k, const struct str *names, uint32_t count)
{
    struct hash_node *n = hash_table_find(&k->lists, names_hash(names, count));
    for (; n != NULL; n = hash_node_next(n)) {
        struct name_list *l = container_of(n, struct name_list, in_lists);
        if (same_names(l, names, count)) return l;
    }
    return NULL;
}

static struct name_list *make_list(struct groups *gs, struct consumer_group *k, const struct str *names, uint32_t count)
{
    size_t bytes = sizeof(struct name_list) + count * sizeof names[0];
    size_t at = bytes;
    for (uint32_t i = 0; i < count; i++) bytes += (size_t)names[i].len;
    struct name_list *l = mem_zalloc(gs->mem, MEM_CONTROL, bytes);
    if (l == NULL) return NULL;
    l->bytes = bytes;
    l->count = count;
    for (uint32_t i = 0; i < count; i++) {
        char *text = (char *)l + at;
        memcpy(text, names[i].data, (size_t)names[i].len);
        l->names[i] = (struct str){text, names[i].len};
        at += (size_t)names[i].len;
    }
    if (hash_table_insert(&k->lists, &l->in_lists, names_hash(l->names, count)) != STATUS_OK) {
        mem_free(gs->mem, MEM_CONTROL, l, bytes);
        return NULL;
    }
    list_push_back(&k->all_lists, &l->in_all_lists);
    return l;
}

struct name_list *name_list_ref(struct groups *gs, struct consumer_group *k, const struct str *names, int32_t count)
{
    uint32_t n = 0, given = (uint32_t)MAX(count, 0);
    struct name_list *l = NULL;
    struct str *sorted = mem_alloc(gs->mem, MEM_CONTROL, MAX(given, 1u) * sizeof *sorted);
    if (sorted != NULL) {
        for (uint32_t i = 0; i < given; i++) sorted[i] = names[i].len > 0 ? names[i] : STR_EMPTY;
        qsort(sorted, given, sizeof sorted[0], by_name);
        for (uint32_t i = 0; i < given; i++)
            if (n == 0 || !str_equal(sorted[n - 1], sorted[i])) sorted[n++] = sorted[i];
        l = find_list(k, sorted, n);
        if (l == NULL) l = make_list(gs, k, sorted, n);
        mem_free(gs->mem, MEM_CONTROL, sorted, MAX(given, 1u) * sizeof *sorted);
    }
    if (l == NULL)
        groups_fail(gs, STATUS_NO_MEMORY);
    else
        l->refs++;
    return l;
}

void name_list_unref(struct groups *gs, struct consumer_group *k, struct name_list *l)
{
    if (l == NULL || --l->refs > 0) return;
    hash_table_remove(&k->lists, &l->in_lists);
    list_remove(&l->in_all_lists);
    mem_free(gs->mem, MEM_CONTROL, l, l->bytes);
}

bool name_list_has(const struct name_list *l, struct str name)
{
    return l != NULL && bsearch(&name, l->names, l->count, sizeof l->names[0], by_name) != NULL;
}

/* ---- regular expressions ---- */

struct regex_use *regex_find(const struct consumer_group *k, struct str text)
{
    for (struct hash_node *n = hash_table_find(&k->regexes, consumer_hash(text)); n != NULL; n = hash_node_next(n)) {
        struct regex_use *r = container_of(n, struct regex_use, in_regexes);
        if (str_equal(r->text, text)) return r;
    }
    return NULL;
}

struct regex_use *regex_make(struct groups *gs, struct consumer_group *k, struct str text)
{
    struct regex_use *r = regex_find(k, text);
    if (r != NULL) return r;
    r = mem_zalloc(gs->mem, MEM_CONTROL, sizeof *r);
    if (r != NULL && groups_copy_str(gs, text, &r->text)) {
        if (hash_table_insert(&k->regexes, &r->in_regexes, consumer_hash(r->text)) == STATUS_OK) {
            list_push_back(&k->all_regexes, &r->in_all_regexes);
            return r;
        }
        groups_free_str(gs, r->text);
    }
    if (r != NULL) mem_free(gs->mem, MEM_CONTROL, r, sizeof *r);
    groups_fail(gs, STATUS_NO_MEMORY);
    return NULL;
}

void regex_drop_unused(struct groups *gs, struct consumer_group *k, struct regex_use *r)
{
    if (r->members > 0 || r->topics != NULL) return;
    hash_table_remove(&k->regexes, &r->in_regexes);
    list_remove(&r->in_all_regexes);
    groups_free_str(gs, r->text);
    mem_free(gs->mem, MEM_CONTROL, r, sizeof *r);
}

void member_set_regex(struct groups *gs, struct consumer_group *k, struct consumer_member *m, struct str text)
{
    struct regex_use *old = m->regex, *new = text.len > 0 ? regex_make(gs, k, text) : NULL;
    if (new != NULL) new->members++;
    m->regex = new;
    if (old == NULL) return;
    old->members--;
    regex_drop_unused(gs, k, old);
}

/* ---- who has which partition ---- */

static uint64_t topic_hash(struct uuid id)
{
    return XXH3_64bits(id.b, sizeof id.b);
}

static struct owned_topic *find_owned(const struct consumer_group *k, struct uuid id)
{
    for (struct hash_node *n = hash_table_find(&k->owned, topic_hash(id)); n != NULL; n = hash_node_next(n)) {
        struct owned_topic *t = container_of(n, struct owned_topic, in_owned);
        if (uuid_equal(t->id, id)) return t;
    }
    return NULL;
}

struct consumer_member *consumer_owner(const struct consumer_group *k, struct uuid topic, int32_t number)
{
    const struct owned_topic *t = find_owned(k, topic);
    return t != NULL && number >= 0 && (uint32_t)number < t->size ? t->owner[number] : NULL;
}

static struct owned_topic *make_owned(struct groups *gs, struct consumer_group *k, struct uuid id)
{
    struct owned_topic *t = find_owned(k, id);
    if (t != NULL) return t;
    t = mem_zalloc(gs->mem, MEM_CONTROL, sizeof *t);
    if (t == NULL) return NULL;
    t->id = id;
    if (hash_table_insert(&k->owned, &t->in_owned, topic_hash(id)) == STATUS_OK) return t;
    mem_free(gs->mem, MEM_CONTROL, t, sizeof *t);
    return NULL;
}

static void drop_owned(struct groups *gs, struct consumer_group *k, struct owned_topic *t)
{
    hash_table_remove(&k->owned, &t->in_owned);
    mem_free(gs->mem, MEM_CONTROL, t->owner, t->size * sizeof t->owner[0]);
    mem_free(gs->mem, MEM_CONTROL, t, sizeof *t);
}

static bool grow_owned(struct groups *gs, struct owned_topic *t, uint32_t number)
{
    if (number < t->size) return true;
    uint32_t size = MAX(t->size, (uint32_t)OWNED_FIRST);
    while (size <= number) size *= 2;
    struct consumer_member **owner =
        mem_realloc(gs->mem, MEM_CONTROL, t->owner, t->size * sizeof owner[0], size * sizeof owner[0]);
    if (owner == NULL) return false;
    memset(owner + t->size, 0, (size - t->size) * sizeof owner[0]);
    t->owner = owner;
    t->size = size;
    return true;
}

/* The last record that says so has it, whatever order a compacted log has left. */
static void own(struct groups *gs, struct consumer_group *k, struct consumer_member *m, const struct parts *s)
{
    struct owned_topic *t = NULL;
    for (uint32_t i = 0; i < s->count; i++) {
        const struct part_of *p = &s->all[i];
        if (t == NULL || !uuid_equal(t->id, p->topic)) t = make_owned(gs, k, p->topic);
        if (t == NULL || !grow_owned(gs, t, (uint32_t)p->number)) {
            groups_fail(gs, STATUS_NO_MEMORY);
            return;
        }
        t->used += t->owner[p->number] == NULL;
        t->owner[p->number] = m;
    }
}

static void disown(struct groups *gs, struct consumer_group *k, struct consumer_member *m, const struct parts *s)
{
    for (uint32_t i = 0, end; i < s->count; i = end) {
        struct owned_topic *t = find_owned(k, s->all[i].topic);
        for (end = i; end < s->count && uuid_equal(s->all[end].topic, s->all[i].topic); end++) {
            int32_t number = s->all[end].number;
            if (t == NULL || (uint32_t)number >= t->size || t->owner[number] != m) continue;
            t->owner[number] = NULL;
            t->used--;
        }
        if (t != NULL && t->used == 0) drop_owned(gs, k, t);
    }
}

void member_set_parts(struct groups *gs, struct consumer_group *k, struct consumer_member *m,
                      const struct parts *assigned, const struct parts *revoking)
{
    struct parts new_assigned, new_revoking;
    if (!parts_copy(gs->mem, assigned, &new_assigned)) {
        groups_fail(gs, STATUS_NO_MEMORY);
        return;
    }
    if (!parts_copy(gs->mem, revoking, &new_revoking)) {
        parts_free(gs->mem, &new_assigned);
        groups_fail(gs, STATUS_NO_MEMORY);
        return;
    }
    disown(gs, k, m, &m->assigned);
    disown(gs, k, m, &m->revoking);
    parts_free(gs->mem, &m->assigned);
    parts_free(gs->mem, &m->revoking);
    m->assigned = new_assigned;
    m->revoking = new_revoking;
    own(gs, k, m, &m->assigned);
    own(gs, k, m, &m->revoking);
}

// SPDX-License-Identifier: Apache-2.0
/* Burials (burials.h). Failure modes: none; a deletion that fails counts as one, since its disk is fenced then. */
#include "broker/burials.h"
#include "broker/metadata_impl.h"
#include "broker/shard.h"

static void drop(struct burials *b, struct burial *x)
{
    list_remove(&x->in_burials);
    mem_free(b->mem, MEM_CONTROL, (char *)(uintptr_t)x->name.data, (size_t)x->name.len);
    mem_free(b->mem, MEM_CONTROL, x, sizeof *x);
}

/* ---- on each shard ---- */

struct burial_note *burial_note_create(struct shard *s, struct uuid topic)
{
    struct burial_note *n = mem_zalloc(s->env->mem, MEM_CONTROL, sizeof *n);
    CHECK(n != NULL);
    n->topic = topic;
    n->holders = 1;
    n->mem = s->env->mem;
    return n;
}

static void come_back(struct env *e, struct msg *m)
{
    struct burial_note *n = container_of(m, struct burial_note, msg);
    CHECK(n->mem == e->mem);
    mem_free(n->mem, MEM_CONTROL, n, sizeof *n);
}

static void arrive(struct env *e, struct msg *m)
{
    const struct burial_note *n = container_of(m, struct burial_note, msg);
    struct shard *zero = e->user;
    struct metadata *metadata = zero->metadata;
    if (metadata != NULL) {
        list_each (node, &metadata->burials.all) {
            struct burial *b = container_of(node, struct burial, in_burials);
            if (!uuid_equal(b->topic, n->topic) || --b->waiting > 0) continue;
            drop(&metadata->burials, b);
            metadata_name_free(zero);
        }
    }
    m->run = come_back;
    env_post(e, m->from, m);
}

void burial_note_drop(struct shard *s, struct burial_note *n)
{
    CHECK(n->holders > 0);
    if (--n->holders > 0) return;
    n->msg = (struct msg){.run = arrive};
    env_post(s->env, 0, &n->msg);
}

/* ---- on shard 0 ---- */

void burials_init(struct burials *b, struct mem *m)
{
    b->mem = m;
    list_init(&b->all);
}

void burials_deinit(struct burials *b)
{
    while (!list_empty(&b->all)) drop(b, container_of(list_first(&b->all), struct burial, in_burials));
}

void burials_begin(struct burials *b, struct uuid topic, struct str name, uint32_t shards)
{
    struct burial *x = mem_zalloc(b->mem, MEM_CONTROL, sizeof *x);
    char *copy = mem_alloc(b->mem, MEM_CONTROL, (size_t)name.len);
    CHECK(x != NULL && copy != NULL); /* the removal is committed: the name must be remembered */
    memcpy(copy, name.data, (size_t)name.len);
    *x = (struct burial){.topic = topic, .name = {copy, name.len}, .waiting = shards};
    list_push_back(&b->all, &x->in_burials);
}

bool burials_hold(const struct burials *b, struct str name)
{
    list_each (n, &b->all)
        if (str_equal(container_of(n, struct burial, in_burials)->name, name)) return true;
    return false;
}

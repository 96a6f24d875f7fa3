// SPDX-License-Identifier: Apache-2.0
/* Publications (metadata.h): what was applied goes to every shard, in order, one at a time; the objects that it
 * replaces are freed when the last shard has answered. Before the first publication nobody has seen anything, and
 * deltas are given back at once.
 * Failure modes: no memory for a publication: changes stop (metadata_fail); the shards keep what they have. */
#include "broker/metadata_impl.h"

static void send_first(struct metadata *m);

static void release(struct metadata *m, struct news *n)
{
    struct mem *mem = m->zero->env->mem;
    if (n->delta != NULL) image_delta_release(m->image, n->delta);
    if (n->changes != NULL) mem_free(mem, MEM_CONTROL, n->changes, n->p.change_count * sizeof *n->changes);
    mem_free(mem, MEM_CONTROL, n, sizeof *n);
}

static void answered(struct env *e, struct msg *msg)
{
    const struct intake_answer *a = container_of(msg, struct intake_answer, msg);
    struct metadata *m = ((struct shard *)e->user)->metadata;
    struct news *n = container_of(list_first(&m->news), struct news, in_metadata);
    CHECK(a->index == n->p.index && n->waiting > 0);
    if (--n->waiting > 0) return;
    bool first = n->p.first;
    list_remove(&n->in_metadata);
    m->published = n->p.index;
    release(m, n);
    if (first) store_trash_release(m->zero->store);
    if (first) shard_phase_done(m->zero);
    metadata_published(m);
    send_first(m);
}

static void arrive(struct env *e, struct msg *msg)
{
    struct shard *s = e->user;
    shard_take_in(s, container_of(msg, struct intake_order, msg)->publication);
}

void shard_taken_in(struct shard *s, uint64_t index)
{
    s->answer = (struct intake_answer){.msg = {.run = answered}, .index = index};
    env_post(s->env, 0, &s->answer.msg);
}

/* The one at the front, if there is one: to every shard. */
static void send_first(struct metadata *m)
{
    struct env *e = m->zero->env;
    if (list_empty(&m->news)) return;
    struct news *n = container_of(list_first(&m->news), struct news, in_metadata);
    n->waiting = e->shard_count;
    for (uint32_t i = 0; i < e->shard_count; i++) {
        m->zero->orders[i] = (struct intake_order){.msg = {.run = arrive}, .publication = &n->p};
        env_post(e, i, &m->zero->orders[i].msg);
    }
}

static void push(struct metadata *m, struct news *n)
{
    bool alone = list_empty(&m->news);
    list_push_back(&m->news, &n->in_metadata);
    if (alone) send_first(m);
}

void news_add(struct metadata *m, struct image_delta *d)
{
    if (!m->live) {
        m->published = d->index;
        image_delta_release(m->image, d);
        metadata_published(m);
        return;
    }
    struct news *n = mem_zalloc(m->zero->env->mem, MEM_CONTROL, sizeof *n);
    if (n == NULL) {
        image_delta_release(m->image, d);
        metadata_fail(m, STATUS_NO_MEMORY, "no memory to publish a change");
        return;
    }
    n->delta = d;
    for (uint32_t i = 0; i < d->change_count; i++)
        if (d->changes[i].new == NULL)
            burials_begin(&m->burials, d->changes[i].old->id, d->changes[i].old->name, m->zero->env->shard_count);
    n->p = (struct publication){.changes = d->changes,
                                .change_count = d->change_count,
                                .brokers = d->new_brokers,
                                .settings = d->new_settings,
                                .features = d->new_features,
                                .index = d->index};
    push(m, n);
}

static void fill(struct metadata *m, struct news *n)
{
    const struct image_topic *t;
    struct topic_cursor c = topic_index_first(image_topics(m->image));
    uint32_t count = 0;
    while ((t = topic_cursor_next(&c)) != NULL) n->changes[count++] = (struct image_change){.new = t};
    n->p = (struct publication){.changes = n->changes,
                                .change_count = count,
                                .brokers = image_brokers(m->image),
                                .settings = image_settings(m->image),
                                .features = image_features(m->image),
                                .deleted = image_deleted(m->image),
                                .index = image_index(m->image),
                                .first = true};
}

void news_first(struct metadata *m)
{
    struct mem *mem = m->zero->env->mem;
    uint32_t count = topic_index_count(image_topics(m->image));
    struct news *n = mem_zalloc(mem, MEM_CONTROL, sizeof *n);
    CHECK(n != NULL && !m->live); /* the start: the class has room for its first few */
    if (count > 0) n->changes = mem_alloc(mem, MEM_CONTROL, count * sizeof *n->changes);
    CHECK(count == 0 || n->changes != NULL);
    fill(m, n);
    m->live = true;
    push(m, n);
}

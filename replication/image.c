// SPDX-License-Identifier: Apache-2.0
/* The image (image.h): its life, and the batch as a whole.
 *
 * A batch changes drafts: a topic that it touches for the first time is copied, the copy takes the topic's place in the
 * index, and the pair is noted in the delta; lists are copied once. At the end drafts become objects and the old ones
 * pass to the delta. Any failure undoes the noted pairs backwards, so the image is what it was.
 * Failure modes: INVALID (image_records.c says why), NO_MEMORY. */
#include "replication/image.h"

#include "replication/image_impl.h"

#include "base/bytes.h"

#define DELTA_FIRST_ROOM 4u

/* --- deltas --- */

struct delta_object *delta_create(struct mem *m)
{
    return mem_zalloc(m, MEM_CONTROL, sizeof(struct delta_object));
}

void delta_free(struct mem *m, struct delta_object *d)
{
    mem_free(m, MEM_CONTROL, d->changes, d->room * sizeof *d->changes);
    mem_free(m, MEM_CONTROL, d, sizeof *d);
}

struct image_change *delta_add(struct mem *m, struct delta_object *d, const struct image_topic *old,
                               const struct image_topic *new)
{
    if (d->d.change_count == d->room) {
        uint32_t room = MAX(d->room * 2, DELTA_FIRST_ROOM);
        struct image_change *grown =
            mem_realloc(m, MEM_CONTROL, d->changes, d->room * sizeof *d->changes, room * sizeof *d->changes);
        if (grown == NULL) return NULL;
        d->changes = grown;
        d->d.changes = grown;
        d->room = room;
    }
    d->changes[d->d.change_count] = (struct image_change){old, new};
    return &d->changes[d->d.change_count++];
}

void image_delta_release(struct image *i, struct image_delta *d)
{
    CHECK(i->deltas > 0);
    i->deltas--;
    for (uint32_t n = 0; n < d->change_count; n++) topic_release(i->mem, d->changes[n].old);
    brokers_release(i->mem, d->old_brokers);
    settings_release(i->mem, d->old_settings);
    features_release(i->mem, d->old_features);
    deleted_release(i->mem, d->old_deleted);
    delta_free(i->mem, container_of(d, struct delta_object, d));
}

/* --- a batch --- */

struct topic_object *batch_topic_draft(struct batch_change *c, const struct image_topic *t)
{
    struct mem *m = c->image->mem;
    if (topic_of(t)->draft) return topic_of(t);
    struct topic_object *draft = topic_object_clone(m, t);
    if (draft == NULL) return NULL;
    if (delta_add(m, c->delta, t, &draft->t) == NULL) {
        topic_release(m, &draft->t);
        return NULL;
    }
    draft->change = c->delta->d.change_count - 1;
    CHECK_OK(topic_index_change(c->image->topics, t, &draft->t));
    return draft;
}

bool batch_topic_add(struct batch_change *c, struct topic_object *t)
{
    struct image *i = c->image;
    if (topic_index_reserve(i->topics, 1 + c->delta->removed) != STATUS_OK ||
        delta_add(i->mem, c->delta, NULL, &t->t) == NULL) {
        topic_release(i->mem, &t->t);
        return false;
    }
    t->change = c->delta->d.change_count - 1;
    CHECK_OK(topic_index_change(i->topics, NULL, &t->t));
    c->partition_count += t->t.partition_count;
    return true;
}

static void undo(struct batch_change *c)
{
    struct image *i = c->image;
    struct delta_object *d = c->delta;
    for (uint32_t n = d->d.change_count; n-- > 0;) {
        const struct image_topic *old = d->changes[n].old, *new = d->changes[n].new;
        if (old != NULL || new != NULL) CHECK_OK(topic_index_change(i->topics, new, old));
        topic_release(i->mem, new);
    }
    if (c->brokers != NULL) brokers_release(i->mem, &c->brokers->l);
    if (c->settings != NULL) settings_release(i->mem, &c->settings->s);
    if (c->features != NULL) features_release(i->mem, &c->features->f);
    if (c->deleted != NULL) deleted_release(i->mem, &c->deleted->d);
    delta_free(i->mem, d);
}

/* Removals first: a name may be taken anew by the same batch. Pairs of nothing (made and removed) go. */
static void order_changes(struct delta_object *d)
{
    struct image_change *all = d->changes;
    uint32_t count = 0;
    for (uint32_t n = 0; n < d->d.change_count; n++)
        if (all[n].old != NULL || all[n].new != NULL) all[count++] = all[n];
    d->d.change_count = count;
    for (uint32_t n = 0, removals = 0; d->removed > 0 && n < count; n++) {
        if (all[n].new != NULL) continue;
        struct image_change removal = all[n]; /* order among removals does not matter, nor do others' places */
        all[n] = all[removals];
        all[removals++] = removal;
    }
}

static void keep(struct batch_change *c)
{
    struct image *i = c->image;
    struct delta_object *d = c->delta;
    for (uint32_t n = 0; n < d->d.change_count; n++) {
        if (d->changes[n].new == NULL) continue;
        struct topic_object *t = topic_of(d->changes[n].new);
        CHECK(t->draft);
        t->draft = false;
        t->t.index = d->d.index;
    }
    order_changes(d);
    if (c->brokers != NULL) {
        d->d.old_brokers = &i->brokers->l;
        d->d.new_brokers = &c->brokers->l;
        i->brokers = c->brokers;
    }
    if (c->settings != NULL) {
        d->d.old_settings = &i->settings->s;
        d->d.new_settings = &c->settings->s;
        i->settings = c->settings;
    }
    if (c->features != NULL) {
        d->d.old_features = &i->features->f;
        d->d.new_features = &c->features->f;
        i->features = c->features;
    }
    if (c->deleted != NULL) {
        d->d.old_deleted = &i->deleted->d;
        i->deleted = c->deleted;
    }
    i->partition_count = c->partition_count;
    i->broker_epoch = c->broker_epoch;
    i->producer_id_next = c->producer_id_next;
    i->producer_broker = c->producer_broker;
    i->producer_broker_epoch = c->producer_broker_epoch;
    i->index = d->d.index;
    i->deltas++;
}

enum status image_apply_batch(struct image *i, uint64_t index, struct record_batch b, struct image_delta **ret_delta,
                              char ret_error[256])
{
    struct batch_change c = {.image = i,
                             .delta = delta_create(i->mem),
                             .partition_count = i->partition_count,
                             .broker_epoch = i->broker_epoch,
                             .producer_id_next = i->producer_id_next,
                             .producer_broker = i->producer_broker,
                             .producer_broker_epoch = i->producer_broker_epoch,
                             .error = ret_error};
    if (c.delta == NULL) return STATUS_NO_MEMORY;
    c.delta->d.index = index;
    for (uint32_t n = 0; n < b.count; n++) {
        enum status status = record_apply(&c, &b.records[n]);
        if (status == STATUS_OK) continue;
        undo(&c);
        return status;
    }
    keep(&c);
    *ret_delta = &c.delta->d;
    return STATUS_OK;
}

enum status image_apply(struct image *i, uint64_t index, struct record_batch b, struct image_delta **ret_delta,
                        char ret_error[256])
{
    CHECK(index > i->index && !i->loading);
    return image_apply_batch(i, index, b, ret_delta, ret_error);
}

void image_pass(struct image *i, uint64_t index)
{
    CHECK(index > i->index && !i->loading);
    i->index = index;
}

/* --- life --- */

struct image *image_create(struct mem *m)
{
    struct image *i = mem_zalloc(m, MEM_CONTROL, sizeof *i);
    if (i == NULL) return NULL;
    i->mem = m;
    i->topics = topic_index_create(m);
    i->brokers = brokers_object_clone(m, NULL);
    i->settings = settings_object_clone(m, NULL);
    i->features = features_object_change(m, NULL, STR_NULL, 0, 0);
    i->deleted = deleted_object_clone(m, NULL);
    if (i->deleted != NULL && i->topics != NULL && i->brokers != NULL && i->settings != NULL && i->features != NULL)
        return i;
    image_destroy(i);
    return NULL;
}

void image_destroy(struct image *i)
{
    struct mem *m = i->mem;
    CHECK(i->deltas == 0);
    if (i->topics != NULL) {
        const struct image_topic *t;
        for (struct topic_cursor c = topic_index_first(i->topics); (t = topic_cursor_next(&c)) != NULL;)
            topic_release(m, t);
    }
    topic_index_destroy(i->topics);
    if (i->brokers != NULL) brokers_release(m, &i->brokers->l);
    if (i->settings != NULL) settings_release(m, &i->settings->s);
    if (i->features != NULL) features_release(m, &i->features->f);
    if (i->deleted != NULL) deleted_release(m, &i->deleted->d);
    mem_free(m, MEM_CONTROL, i, sizeof *i);
}

uint64_t image_index(const struct image *i)
{
    return i->index;
}

const struct topic_index *image_topics(const struct image *i)
{
    return i->topics;
}

const struct image_topic *image_topic_by_name(const struct image *i, struct str name)
{
    return topic_index_by_name(i->topics, name);
}

const struct image_topic *image_topic_by_id(const struct image *i, struct uuid id)
{
    return topic_index_by_id(i->topics, id);
}

const struct image_brokers *image_brokers(const struct image *i)
{
    return &i->brokers->l;
}

const struct image_settings *image_settings(const struct image *i)
{
    return &i->settings->s;
}

const struct image_features *image_features(const struct image *i)
{
    return &i->features->f;
}

const struct image_deleted *image_deleted(const struct image *i)
{
    return &i->deleted->d;
}

int64_t image_broker_epoch(const struct image *i)
{
    return i->broker_epoch;
}

int64_t image_producer_id_next(const struct image *i)
{
    return i->producer_id_next;
}

uint64_t image_partition_count(const struct image *i)
{
    return i->partition_count;
}

void image_check(const struct image *i)
{
    uint64_t partitions = 0;
    const struct image_topic *t;
    topic_index_check(i->topics);
    for (struct topic_cursor c = topic_index_first(i->topics); (t = topic_cursor_next(&c)) != NULL;) {
        CHECK(!topic_of(t)->draft && topic_of(t)->held.refs > 0 && t->index <= i->index);
        CHECK(t->configs == NULL || (t->configs->count > 0 && configs_held(t->configs)->refs > 0));
        for (uint32_t n = 0; n < t->partition_count; n++) {
            CHECK(t->partitions[n] != NULL && t->partitions[n]->number == (int32_t)n);
            CHECK(partition_held(t->partitions[n])->refs > 0 && t->partitions[n]->replicas.count > 0);
        }
        partitions += t->partition_count;
    }
    CHECK(partitions == i->partition_count);
    const struct image_brokers *b = &i->brokers->l;
    for (uint32_t n = 0; n < b->count; n++) {
        CHECK(n == 0 || b->brokers[n - 1]->id < b->brokers[n]->id);
        CHECK(b->brokers[n]->epoch <= i->broker_epoch);
    }
    const struct image_deleted *d = &i->deleted->d;
    partitions = 0;
    for (uint32_t n = 0; n < d->count; n++) {
        CHECK(!topic_of(d->topics[n].topic)->draft && topic_held(d->topics[n].topic)->refs > 0);
        partitions += d->topics[n].topic->partition_count;
    }
    CHECK(partitions == d->partition_count);
    for (uint32_t n = 0; n < i->settings->s.count; n++) CHECK(i->settings->s.configs[n]->count > 0);
}

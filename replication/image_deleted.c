// SPDX-License-Identifier: Apache-2.0
/* Deleted topics of the image: kept whole, in the order of deletion, until they are restored or forgotten. The list is
 * an object like the others: a batch changes a copy. How many there may be is the controller's to bound
 * (controller_topics.c).
 * Failure modes: NO_MEMORY; a restored topic whose name is taken, or that is not there, is refused. */
#include "replication/image_impl.h"

#include "base/bytes.h"

#define FIRST_ROOM 4u

struct held *deleted_held(const struct image_deleted *d)
{
    return &((struct deleted_object *)((uintptr_t)d - offsetof(struct deleted_object, d)))->held;
}

static struct deleted_object *object_of(const struct image_deleted *d)
{
    return container_of(deleted_held(d), struct deleted_object, held);
}

struct deleted_object *deleted_object_clone(struct mem *m, const struct image_deleted *d)
{
    uint32_t count = d == NULL ? 0 : d->count;
    struct deleted_object *o = mem_zalloc(m, MEM_CONTROL, sizeof *o);
    if (o == NULL) return NULL;
    o->held = (struct held){.refs = 1, .bytes = sizeof *o};
    o->room = count + FIRST_ROOM;
    o->topics = mem_alloc(m, MEM_CONTROL, o->room * sizeof *o->topics);
    if (o->topics == NULL) {
        mem_free(m, MEM_CONTROL, o, sizeof *o);
        return NULL;
    }
    for (uint32_t i = 0; i < count; i++) {
        o->topics[i] = d->topics[i];
        held_ref(topic_held(d->topics[i].topic));
    }
    o->d = (struct image_deleted){
        .count = count, .topics = o->topics, .partition_count = d == NULL ? 0 : d->partition_count};
    return o;
}

void deleted_release(struct mem *m, const struct image_deleted *d)
{
    if (d == NULL || !held_unref(deleted_held(d))) return;
    struct deleted_object *o = object_of(d);
    for (uint32_t i = 0; i < o->d.count; i++) topic_release(m, o->topics[i].topic);
    mem_free(m, MEM_CONTROL, o->topics, o->room * sizeof *o->topics);
    mem_free(m, MEM_CONTROL, o, sizeof *o);
}

static bool is(const struct image_topic *t, struct str name, struct uuid id)
{
    return name.len >= 0 ? str_equal(t->name, name) : uuid_equal(t->id, id);
}

const struct image_deleted_topic *image_deleted_find(const struct image_deleted *d, struct str name, struct uuid id)
{
    for (uint32_t i = d->count; i-- > 0;)
        if (is(d->topics[i].topic, name, id)) return &d->topics[i];
    return NULL;
}

static struct deleted_object *draft_of(struct batch_change *c)
{
    if (c->deleted == NULL) c->deleted = deleted_object_clone(c->image->mem, &c->image->deleted->d);
    return c->deleted;
}

bool batch_keep_deleted(struct batch_change *c, const struct image_topic *t, int64_t deleted_ms)
{
    struct mem *m = c->image->mem;
    struct deleted_object *o = draft_of(c);
    if (o == NULL) return false;
    if (o->d.count == o->room) {
        uint32_t room = 2 * o->room;
        struct image_deleted_topic *grown =
            mem_realloc(m, MEM_CONTROL, o->topics, o->room * sizeof *grown, room * sizeof *grown);
        if (grown == NULL) return false;
        o->topics = grown;
        o->d.topics = grown;
        o->room = room;
    }
    held_ref(topic_held(t));
    o->topics[o->d.count++] = (struct image_deleted_topic){t, deleted_ms};
    o->d.partition_count += t->partition_count;
    return true;
}

/* Takes the topic of that id out of the draft's list; its reference is the caller's. NULL: none, *ret_status says why.
 */
static const struct image_topic *take(struct batch_change *c, const struct record *r, enum status *ret_status)
{
    const struct image_deleted_topic *found = NULL;
    struct deleted_object *o = draft_of(c);
    *ret_status = STATUS_NO_MEMORY;
    if (o != NULL) found = image_deleted_find(&o->d, STR_NULL, r->topic.id);
    if (o != NULL && found == NULL) *ret_status = record_refuse(c, r, "no deleted topic has that id");
    if (found == NULL) return NULL;
    const struct image_topic *t = found->topic;
    uint32_t at = (uint32_t)(found - o->topics);
    o->d.count--;
    o->d.partition_count -= t->partition_count;
    memmove(&o->topics[at], &o->topics[at + 1], (o->d.count - at) * sizeof *o->topics);
    return t;
}

/* The topic with every leader epoch up by one. */
static enum status revived(struct batch_change *c, const struct record *r, const struct image_topic *t,
                           struct topic_object **ret_topic)
{
    struct mem *m = c->image->mem;
    struct topic_object *o = topic_object_clone(m, t);
    if (o == NULL) return STATUS_NO_MEMORY;
    o->t.revived = t->partition_count;
    for (uint32_t n = 0; n < t->partition_count; n++) {
        const struct image_partition *p = t->partitions[n];
        struct record_change_partition lead = {.has_leader = true, .leader = p->leader};
        bool used_up = p->leader_epoch == INT32_MAX || p->partition_epoch == INT32_MAX;
        struct partition_object *next = used_up ? NULL : partition_next(m, t, p, &lead);
        if (next == NULL) {
            topic_release(m, &o->t);
            return used_up ? record_refuse(c, r, "epochs of %.100s-%u are used up", t->name.data, n) : STATUS_NO_MEMORY;
        }
        partition_release(m, o->partitions[n]);
        o->partitions[n] = &next->p;
    }
    *ret_topic = o;
    return STATUS_OK;
}

enum status apply_restore_topic(struct batch_change *c, const struct record *r)
{
    struct topic_object *o = NULL;
    enum status status;
    const struct image_topic *t = take(c, r, &status);
    if (t == NULL) return status;
    if (topic_index_by_name(c->image->topics, t->name) != NULL)
        status = record_refuse(c, r, "%.100s exists", t->name.data);
    else
        status = revived(c, r, t, &o);
    topic_release(c->image->mem, t);
    if (status != STATUS_OK) return status;
    return batch_topic_add(c, o) ? STATUS_OK : STATUS_NO_MEMORY;
}

enum status apply_forget_topic(struct batch_change *c, const struct record *r)
{
    enum status status;
    const struct image_topic *t = take(c, r, &status);
    if (t == NULL) return status;
    topic_release(c->image->mem, t);
    return STATUS_OK;
}

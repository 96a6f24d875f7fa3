// SPDX-License-Identifier: Apache-2.0
/* What each record does to the image: checks that it fits the state, then changes drafts only (image_apply.c keeps or
 * undoes them). A record that does not fit is refused with a sentence; nothing else of the image changes by it. */
#include "replication/image_impl.h"

#include "base/bytes.h"
#include "replication/record_impl.h"
#include <stdarg.h>
#include <stdio.h>

#define ERROR_BYTES 256

#define refuse record_refuse

enum status record_refuse(struct batch_change *c, const struct record *r, const char *format, ...)
{
    char what[ERROR_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    snprintf(c->error, ERROR_BYTES, "%s: %.200s", record_type_name(r->type), what);
    return STATUS_INVALID;
}

/* --- brokers --- */

static struct brokers_object *brokers_draft(struct batch_change *c)
{
    if (c->brokers == NULL) c->brokers = brokers_object_clone(c->image->mem, &c->image->brokers->l);
    return c->brokers;
}

static void brokers_put(struct batch_change *c, uint32_t place, bool found, const struct image_broker *b)
{
    struct brokers_object *l = c->brokers;
    if (found)
        broker_release(c->image->mem, l->brokers[place]);
    else
        memmove(&l->brokers[place + 1], &l->brokers[place], (l->l.count++ - place) * sizeof *l->brokers);
    l->brokers[place] = b;
}

static enum status apply_register(struct batch_change *c, const struct record *r)
{
    const struct record_register_broker *b = &r->register_broker;
    struct mem *m = c->image->mem;
    bool found;
    if (!c->image->loading && b->epoch <= c->broker_epoch)
        return refuse(c, r, "epoch %lld of broker %d is not above %lld", (long long)b->epoch, b->id,
                      (long long)c->broker_epoch);
    struct brokers_object *l = brokers_draft(c);
    if (l == NULL || !brokers_object_room(m, l)) return STATUS_NO_MEMORY;
    struct broker_object *o = broker_object_create(m, b);
    if (o == NULL) return STATUS_NO_MEMORY;
    uint32_t place = brokers_place(&l->l, b->id, &found);
    brokers_put(c, place, found, &o->b);
    c->broker_epoch = MAX(c->broker_epoch, b->epoch);
    return STATUS_OK;
}

/* The broker that a record speaks of, in the draft; checks its epoch. */
static enum status find_broker(struct batch_change *c, const struct record *r, int32_t id, int64_t epoch,
                               uint32_t *ret_place)
{
    bool found;
    struct brokers_object *l = brokers_draft(c);
    if (l == NULL) return STATUS_NO_MEMORY;
    uint32_t place = brokers_place(&l->l, id, &found);
    if (!found) return refuse(c, r, "broker %d is not registered", id);
    if (l->brokers[place]->epoch != epoch)
        return refuse(c, r, "broker %d has epoch %lld, not %lld", id, (long long)l->brokers[place]->epoch,
                      (long long)epoch);
    *ret_place = place;
    return STATUS_OK;
}

static enum status apply_unregister(struct batch_change *c, const struct record *r)
{
    uint32_t place;
    enum status status = find_broker(c, r, r->broker.id, r->broker.epoch, &place);
    if (status != STATUS_OK) return status;
    struct brokers_object *l = c->brokers;
    broker_release(c->image->mem, l->brokers[place]);
    l->l.count--;
    memmove(&l->brokers[place], &l->brokers[place + 1], (l->l.count - place) * sizeof *l->brokers);
    return STATUS_OK;
}

static enum status apply_change_broker(struct batch_change *c, const struct record *r)
{
    const struct record_change_broker *n = &r->change_broker;
    uint32_t place;
    enum status status = find_broker(c, r, n->id, n->epoch, &place);
    if (status != STATUS_OK) return status;
    const struct image_broker *b = c->brokers->brokers[place];
    struct record_register_broker now = {.id = b->id,
                                         .epoch = b->epoch,
                                         .incarnation = b->incarnation,
                                         .rack = b->rack,
                                         .listeners = b->listeners,
                                         .listener_count = b->listener_count,
                                         .features = b->features,
                                         .feature_count = b->feature_count,
                                         .directories = n->directories.count > 0 ? n->directories : b->directories,
                                         .fenced = n->has_fenced ? n->fenced : b->fenced,
                                         .shutting_down = n->has_shutting_down ? n->shutting_down : b->shutting_down};
    struct broker_object *o = broker_object_create(c->image->mem, &now);
    if (o == NULL) return STATUS_NO_MEMORY;
    brokers_put(c, place, true, &o->b);
    return STATUS_OK;
}

/* --- topics --- */

static void topic_set(struct batch_change *c, struct topic_object *t, uint32_t number, struct partition_object *p)
{
    partition_release(c->image->mem, t->partitions[number]);
    t->partitions[number] = &p->p;
}

struct partition_object *partition_next(struct mem *m, const struct image_topic *t, const struct image_partition *p,
                                        const struct record_change_partition *n)
{
    bool lead = n->has_leader;
    return partition_object_create(
        m, &(struct record_partition){.topic = t->id,
                                      .number = p->number,
                                      .leader = lead ? n->leader : p->leader,
                                      .leader_epoch = p->leader_epoch + lead,
                                      .partition_epoch = p->partition_epoch + 1,
                                      .replicas = n->has_replicas ? n->replicas : p->replicas,
                                      .isr = n->has_isr ? n->isr : p->isr,
                                      .elr = n->has_elr ? n->elr : p->elr,
                                      .last_known_elr = n->has_last_known_elr ? n->last_known_elr : p->last_known_elr,
                                      .directories = n->has_directories ? n->directories : p->directories});
}

static bool in_list(int32_t id, struct ids l)
{
    for (uint32_t i = 0; i < l.count; i++)
        if (l.v[i] == id) return true;
    return false;
}

static bool all_in_list(struct ids part, struct ids l)
{
    for (uint32_t i = 0; i < part.count; i++)
        if (!in_list(part.v[i], l)) return false;
    return true;
}

static bool leads_any(const struct image_topic *t, int32_t broker)
{
    for (uint32_t i = 0; i < t->partition_count; i++)
        if (t->partitions[i]->leader == broker) return true;
    return false;
}

static enum status apply_started(struct batch_change *c, const struct record *r)
{
    struct mem *m = c->image->mem;
    uint32_t place;
    enum status status = find_broker(c, r, r->broker.id, r->broker.epoch, &place);
    if (status != STATUS_OK) return status;
    const struct image_topic *t;
    for (struct topic_cursor cursor = topic_index_first(c->image->topics); (t = topic_cursor_next(&cursor)) != NULL;) {
        if (!leads_any(t, r->broker.id)) continue;
        struct topic_object *draft = batch_topic_draft(c, t);
        if (draft == NULL) return STATUS_NO_MEMORY;
        for (uint32_t i = 0; i < draft->t.partition_count; i++) {
            const struct image_partition *p = draft->partitions[i];
            if (p->leader != r->broker.id) continue;
            if (p->leader_epoch == INT32_MAX || p->partition_epoch == INT32_MAX)
                return refuse(c, r, "epochs of %.100s-%u are used up", t->name.data, i);
            struct partition_object *next =
                partition_next(m, t, p, &(struct record_change_partition){.has_leader = true, .leader = p->leader});
            if (next == NULL) return STATUS_NO_MEMORY;
            topic_set(c, draft, i, next);
        }
    }
    return STATUS_OK;
}

static enum status apply_topic(struct batch_change *c, const struct record *r)
{
    struct image *i = c->image;
    if (topic_index_by_name(i->topics, r->topic.name) != NULL)
        return refuse(c, r, "%.*s exists", (int)r->topic.name.len, r->topic.name.data);
    if (topic_index_by_id(i->topics, r->topic.id) != NULL)
        return refuse(c, r, "the id of %.*s is taken", (int)r->topic.name.len, r->topic.name.data);
    struct topic_object *t = topic_object_create(i->mem, r->topic.name, r->topic.id);
    if (t == NULL) return STATUS_NO_MEMORY;
    t->t.revived = r->topic.revived;
    return batch_topic_add(c, t) ? STATUS_OK : STATUS_NO_MEMORY;
}

static enum status apply_remove_topic(struct batch_change *c, const struct record *r)
{
    struct image *i = c->image;
    const struct image_topic *t = topic_index_by_id(i->topics, r->topic.id);
    if (t == NULL) return refuse(c, r, "no topic has that id");
    /* undone, it is inserted again, and that must not fail */
    if (topic_index_reserve(i->topics, 1 + c->delta->removed) != STATUS_OK) return STATUS_NO_MEMORY;
    struct topic_object *o = topic_of(t);
    if (r->topic.deleted_ms > 0 && !batch_keep_deleted(c, t, r->topic.deleted_ms)) return STATUS_NO_MEMORY;
    if (!o->draft) {
        if (delta_add(i->mem, c->delta, t, NULL) == NULL) return STATUS_NO_MEMORY;
    }
    c->partition_count -= t->partition_count;
    c->delta->removed++;
    CHECK_OK(topic_index_change(i->topics, t, NULL));
    if (o->draft) {
        c->delta->changes[o->change].new =
            NULL; /* made and removed by this batch: old is NULL too, dropped at the end */
        if (r->topic.deleted_ms > 0) o->t.index = c->delta->d.index;
        o->draft = false;
        topic_release(i->mem, t);
    }
    return STATUS_OK;
}

static enum status apply_partition(struct batch_change *c, const struct record *r)
{
    const struct record_partition *p = &r->partition;
    struct mem *m = c->image->mem;
    const struct image_topic *t = topic_index_by_id(c->image->topics, p->topic);
    if (t == NULL) return refuse(c, r, "no topic has that id");
    if ((uint32_t)p->number != t->partition_count)
        return refuse(c, r, "%.100s has %u partitions, number %d is not the next", t->name.data, t->partition_count,
                      p->number);
    if (p->leader != NO_LEADER && !in_list(p->leader, p->replicas))
        return refuse(c, r, "leader %d of %.100s-%d is none of its replicas", p->leader, t->name.data, p->number);
    struct topic_object *draft = batch_topic_draft(c, t);
    if (draft == NULL || !topic_object_room(m, draft, draft->t.partition_count + 1)) return STATUS_NO_MEMORY;
    struct partition_object *o = partition_object_create(m, p);
    if (o == NULL) return STATUS_NO_MEMORY;
    draft->partitions[draft->t.partition_count++] = &o->p;
    c->partition_count++;
    return STATUS_OK;
}

static enum status apply_change_partition(struct batch_change *c, const struct record *r)
{
    const struct record_change_partition *n = &r->change_partition;
    const struct image_topic *t = topic_index_by_id(c->image->topics, n->topic);
    const struct image_partition *p = t == NULL ? NULL : image_topic_partition(t, n->number);
    if (p == NULL) return refuse(c, r, "no such partition: %d of %.100s", n->number, t == NULL ? "?" : t->name.data);
    struct ids replicas = n->has_replicas ? n->replicas : p->replicas;
    struct uuids directories = n->has_directories ? n->directories : p->directories;
    if (!all_in_list(n->has_isr ? n->isr : p->isr, replicas) || !all_in_list(n->has_elr ? n->elr : p->elr, replicas))
        return refuse(c, r, "ISR or ELR of %.100s-%d is not part of its replicas", t->name.data, n->number);
    int32_t leader = n->has_leader ? n->leader : p->leader;
    if (leader != NO_LEADER && !in_list(leader, replicas))
        return refuse(c, r, "leader %d of %.100s-%d is none of its replicas", leader, t->name.data, n->number);
    if (directories.count != 0 && directories.count != replicas.count)
        return refuse(c, r, "%.100s-%d: %u directories for %u replicas", t->name.data, n->number, directories.count,
                      replicas.count);
    if (p->leader_epoch == INT32_MAX || p->partition_epoch == INT32_MAX)
        return refuse(c, r, "epochs of %.100s-%d are used up", t->name.data, n->number);
    struct topic_object *draft = batch_topic_draft(c, t);
    if (draft == NULL) return STATUS_NO_MEMORY;
    struct partition_object *o = partition_next(c->image->mem, t, p, n);
    if (o == NULL) return STATUS_NO_MEMORY;
    topic_set(c, draft, (uint32_t)n->number, o);
    return STATUS_OK;
}

/* --- settings --- */

static struct settings_object *settings_draft(struct batch_change *c)
{
    if (c->settings == NULL) c->settings = settings_object_clone(c->image->mem, &c->image->settings->s);
    return c->settings;
}

static enum status apply_topic_config(struct batch_change *c, const struct record *r)
{
    const struct image_topic *t = topic_index_by_name(c->image->topics, r->config.name);
    if (t == NULL) return refuse(c, r, "no topic %.*s", (int)r->config.name.len, r->config.name.data);
    if (r->config.value.len < 0 && image_configs_find(t->configs, r->config.key) == NULL) return STATUS_OK;
    struct topic_object *draft = batch_topic_draft(c, t);
    if (draft == NULL) return STATUS_NO_MEMORY;
    struct configs_object *o = configs_object_change(c->image->mem, draft->t.configs, &r->config);
    if (o == NULL) return STATUS_NO_MEMORY;
    configs_release(c->image->mem, draft->t.configs);
    draft->t.configs = &o->c;
    if (o->c.count == 0) {
        configs_release(c->image->mem, &o->c);
        draft->t.configs = NULL;
    }
    return STATUS_OK;
}

static enum status apply_config(struct batch_change *c, const struct record *r)
{
    struct mem *m = c->image->mem;
    bool found;
    if (r->config.type == RESOURCE_TOPIC) return apply_topic_config(c, r);
    struct settings_object *s = settings_draft(c);
    if (s == NULL || !settings_object_room(m, s)) return STATUS_NO_MEMORY;
    uint32_t place = settings_place(&s->s, r->config.type, r->config.name, &found);
    if (!found && r->config.value.len < 0) return STATUS_OK;
    struct configs_object *o = configs_object_change(m, found ? s->configs[place] : NULL, &r->config);
    if (o == NULL) return STATUS_NO_MEMORY;
    if (found)
        configs_release(m, s->configs[place]);
    else
        memmove(&s->configs[place + 1], &s->configs[place], (s->s.count++ - place) * sizeof *s->configs);
    s->configs[place] = &o->c;
    if (o->c.count > 0) return STATUS_OK;
    configs_release(m, &o->c);
    s->s.count--;
    memmove(&s->configs[place], &s->configs[place + 1], (s->s.count - place) * sizeof *s->configs);
    return STATUS_OK;
}

static enum status apply_quota(struct batch_change *c, const struct record *r)
{
    struct mem *m = c->image->mem;
    bool found;
    struct settings_object *s = settings_draft(c);
    if (s == NULL || !settings_object_room(m, s)) return STATUS_NO_MEMORY;
    uint32_t place = quotas_place(&s->s, &r->quota, &found);
    struct quota_object *o = NULL;
    if (r->quota.has_value && (o = quota_object_create(m, &r->quota)) == NULL) return STATUS_NO_MEMORY;
    if (found) {
        quota_release(m, s->quotas[place]);
        s->s.quota_count--;
        memmove(&s->quotas[place], &s->quotas[place + 1], (s->s.quota_count - place) * sizeof *s->quotas);
    }
    if (o == NULL) return STATUS_OK;
    memmove(&s->quotas[place + 1], &s->quotas[place], (s->s.quota_count - place) * sizeof *s->quotas);
    s->quotas[place] = &o->q;
    s->s.quota_count++;
    return STATUS_OK;
}

static enum status apply_feature(struct batch_change *c, const struct record *r)
{
    const struct image_features *now = c->features != NULL ? &c->features->f : &c->image->features->f;
    struct features_object *o =
        features_object_change(c->image->mem, now, r->feature.name, r->feature.level, c->delta->d.index);
    if (o == NULL) return STATUS_NO_MEMORY;
    if (c->features != NULL) features_release(c->image->mem, &c->features->f);
    c->features = o;
    return STATUS_OK;
}

static enum status apply_producer_ids(struct batch_change *c, const struct record *r)
{
    if (r->producer_ids.next <= c->producer_id_next)
        return refuse(c, r, "next id %lld is not above %lld", (long long)r->producer_ids.next,
                      (long long)c->producer_id_next);
    c->producer_id_next = r->producer_ids.next;
    c->producer_broker = r->producer_ids.broker;
    c->producer_broker_epoch = r->producer_ids.broker_epoch;
    return STATUS_OK;
}

static enum status apply_epochs(struct batch_change *c, const struct record *r)
{
    if (!c->image->loading) return refuse(c, r, "outside a snapshot");
    if (r->broker.epoch < c->broker_epoch)
        return refuse(c, r, "%lld is below the epoch of a registered broker", (long long)r->broker.epoch);
    c->broker_epoch = r->broker.epoch;
    return STATUS_OK;
}

enum status record_apply(struct batch_change *c, const struct record *r)
{
    CHECK_SLOW(record_valid(r));
    switch (r->type) {
    case RECORD_REGISTER_BROKER: return apply_register(c, r);
    case RECORD_UNREGISTER_BROKER: return apply_unregister(c, r);
    case RECORD_CHANGE_BROKER: return apply_change_broker(c, r);
    case RECORD_BROKER_STARTED: return apply_started(c, r);
    case RECORD_BROKER_EPOCHS: return apply_epochs(c, r);
    case RECORD_TOPIC: return apply_topic(c, r);
    case RECORD_REMOVE_TOPIC: return apply_remove_topic(c, r);
    case RECORD_PARTITION: return apply_partition(c, r);
    case RECORD_CHANGE_PARTITION: return apply_change_partition(c, r);
    case RECORD_CONFIG: return apply_config(c, r);
    case RECORD_QUOTA: return apply_quota(c, r);
    case RECORD_PRODUCER_IDS: return apply_producer_ids(c, r);
    case RECORD_FEATURE: return apply_feature(c, r);
    case RECORD_RESTORE_TOPIC: return apply_restore_topic(c, r);
    case RECORD_FORGET_TOPIC: return apply_forget_topic(c, r);
    default: CHECK(false);
    }
}

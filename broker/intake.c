// SPDX-License-Identifier: Apache-2.0
/* Publications on a shard (intake.h).
 *
 * Path: pointers first (index, settings, brokers, features), in one step, so a request never sees half of a
 * publication; then each changed partition of ours, INTAKE_WORKS at a time:
 *   new here       find it in the store, or take it out of the trash, or make it -> settings -> leader epoch -> lane
 *   still here     settings; leader epoch where it went up
 *   gone from here lane closed -> deletion
 *
 * Failure modes: a partition that cannot be made or get its epoch has no lane, one log line says why, clients are told
 * to try again, and the next start tries anew; one of a restored topic is never made in place of what cannot be taken
 * back. A partition of the store that the first publication does not know goes to the quarantine, with one log line
 * (rule D13: only now is it sure that nobody mentions it); one of a deleted topic to the trash, as its deletion was cut
 * off. */
#include "broker/intake.h"
#include "base/bytes.h"
#include "broker/burials.h"
#include "broker/group/host.h"
#include "broker/shard.h"

#define AGAIN_NS    (5 * NS_PER_MS)
#define PATIENCE_NS (10 * NS_PER_S)

static void work_next(struct partition_work *w);

struct intake *intake_create(struct shard *s)
{
    struct intake *i = mem_zalloc(s->env->mem, MEM_CONTROL, sizeof *i);
    if (i == NULL) return NULL;
    i->shard = s;
    list_init(&i->graves);
    list_init(&i->notes);
    return i;
}

/* ---- which partitions are ours ---- */

static bool hosts(const struct shard *s, const struct image_topic *t, int32_t number)
{
    const struct image_partition *p = t != NULL ? image_topic_partition(t, number) : NULL;
    if (p == NULL || shard_of(s, t, number) != s->env->shard) return false;
    for (uint32_t i = 0; i < p->replicas.count; i++)
        if (p->replicas.v[i] == s->broker->config->node_id) return true;
    return false;
}

static int32_t partitions(const struct image_topic *t)
{
    return t != NULL ? (int32_t)t->partition_count : 0;
}

/* ---- deletions ---- */

static void bury_next(struct intake *i);
static void end_if_done(struct intake *i);

static void grave_free(struct intake *i, struct grave *g)
{
    if (g->note != NULL && i->stopping && --g->note->holders == 0)
        mem_free(i->shard->env->mem, MEM_CONTROL, g->note, sizeof *g->note);
    else if (g->note != NULL && !i->stopping)
        burial_note_drop(i->shard, g->note);
    g->note = NULL;
    if (g->lane != NULL)
        lane_free(g->lane);
    else
        mem_free(i->shard->env->mem, MEM_CONTROL, g, sizeof *g);
}

static void deleted(struct partition_delete *op)
{
    struct deletion_work *d = container_of(op, struct deletion_work, op);
    struct intake *i = d->intake;
    struct grave *g = d->grave;
    if (op->status != STATUS_OK && !i->stopping)
        SHARD_LOG(i->shard, LOG_ERROR, "partition.not.deleted", LOG_STATUS("status", op->status));
    if (op->status != STATUS_OK) partition_set_user(g->partition, NULL); /* it stays, its lane goes */
    d->grave = NULL;
    grave_free(i, g);
    bury_next(i);
    end_if_done(i);
}

static void bury_next(struct intake *i)
{
    for (uint32_t k = 0; k < INTAKE_DELETIONS && !i->stopping && !list_empty(&i->graves); k++) {
        struct deletion_work *d = &i->deletions[k];
        if (d->grave != NULL) continue;
        d->intake = i;
        d->grave = container_of(list_pop_front(&i->graves), struct grave, in_graves);
        d->op.done = deleted;
        d->op.to = d->grave->to;
        partition_delete(d->grave->partition, &d->op);
    }
}

static bool same_directory(const struct grave *g, const struct image_topic *t, int32_t number)
{
    return partition_number(g->partition) == number && strcmp(partition_topic(g->partition), t->name.data) == 0;
}

/* A partition that has the directory of this one is still being deleted. */
static bool haunted(const struct intake *i, const struct image_topic *t, int32_t number)
{
    for (uint32_t k = 0; k < INTAKE_DELETIONS; k++)
        if (i->deletions[k].grave != NULL && same_directory(i->deletions[k].grave, t, number)) return true;
    list_each (n, &i->graves)
        if (same_directory(container_of(n, struct grave, in_graves), t, number)) return true;
    return false;
}

static struct burial_note *note_of(const struct intake *i, struct uuid topic)
{
    list_each (n, &i->notes) {
        struct burial_note *note = container_of(n, struct burial_note, in_intake);
        if (uuid_equal(note->topic, topic)) return note;
    }
    return NULL;
}

static void bury(struct intake *i, struct lane *l, struct uuid topic)
{
    lane_close(l);
    l->grave = (struct grave){.partition = l->partition, .lane = l, .note = note_of(i, topic), .to = STORE_TRASH};
    if (l->grave.note != NULL) l->grave.note->holders++;
    list_push_back(&i->graves, &l->grave.in_graves);
    bury_next(i);
}

/* ---- one partition ---- */

static void tell(const struct partition_work *w, const char *what, enum status status)
{
    SHARD_LOG(w->intake->shard, LOG_ERROR, "partition.offline", LOG_STR("topic", w->topic->name.data),
              LOG_INT("partition", w->number), LOG_STR("what", what), LOG_STATUS("status", status));
}

static void epoch_started(struct partition_change *op)
{
    struct partition_work *w = container_of(op, struct partition_work, epoch);
    struct shard *s = w->intake->shard;
    struct partition *p = store_find(s->store, image_topic_id(w->topic), w->number);
    enum status status = op->status;
    if (status == STATUS_OK && partition_user(p) == NULL) status = lane_open(s, p);
    if (status != STATUS_OK) tell(w, "no new leader epoch", status);
    work_next(w);
}

/* Settings at once; the leader epoch if the metadata has a higher one. True: nothing to wait for. */
static bool update(struct partition_work *w, struct partition *p)
{
    struct shard *s = w->intake->shard;
    int32_t epoch = w->topic->partitions[w->number]->leader_epoch;
    partition_settings_apply(s, w->topic, p);
    if (epoch > partition_epoch(p)) {
        w->epoch.done = epoch_started;
        partition_epoch_start(p, epoch, &w->epoch);
        return false;
    }
    enum status status = partition_user(p) == NULL ? lane_open(s, p) : STATUS_OK;
    if (status != STATUS_OK) tell(w, "no memory", status);
    return true;
}

static void created(struct partition_create *op)
{
    struct partition_work *w = container_of(op, struct partition_work, create);
    if (op->status == STATUS_OK && !update(w, op->partition)) return;
    if (op->status != STATUS_OK) tell(w, "cannot be made", op->status);
    work_next(w);
}

static void revived(struct partition_revive *op)
{
    struct partition_work *w = container_of(op, struct partition_work, revive);
    if (op->status == STATUS_OK && !update(w, op->partition)) return;
    if (op->status != STATUS_OK) tell(w, "cannot be taken back out of the trash", op->status);
    work_next(w);
}

/* True: nothing to wait for. */
static bool open_partition(struct partition_work *w)
{
    struct shard *s = w->intake->shard;
    if (haunted(w->intake, w->topic, w->number)) {
        env_timer_start(s->env, &w->again, mono_add(s->env->now, AGAIN_NS));
        return false;
    }
    struct partition *p = store_find(s->store, image_topic_id(w->topic), w->number);
    if (p != NULL) return update(w, p);
    if ((uint32_t)w->number < w->topic->revived) {
        w->revive.done = revived;
        partition_revive(s->store, w->topic->name.data, image_topic_id(w->topic), w->number, &w->revive);
        return false;
    }
    w->create.done = created;
    partition_create(s->store, w->topic->name.data, image_topic_id(w->topic), w->number, &w->create);
    return false;
}

static void again(struct timer *t)
{
    struct partition_work *w = container_of(t, struct partition_work, again);
    if (open_partition(w)) work_next(w);
}

/* ---- the walk ---- */

static bool burying(const struct intake *i)
{
    bool any = !list_empty(&i->graves);
    for (uint32_t k = 0; k < INTAKE_DELETIONS; k++) any |= i->deletions[k].grave != NULL;
    return any;
}

/* The first publication waits for its strangers: their names are nobody's until they are gone (rule A6). Not for ever:
 * on a full disk they cannot go before the trash is emptied, and that waits for this end. */
static void end_if_done(struct intake *i)
{
    if (i->p == NULL || i->running > 0 || (i->p->first && !i->impatient && burying(i))) return;
    env_timer_stop(i->shard->env, &i->patience);
    uint64_t index = i->p->index;
    i->p = NULL;
    for (struct list_node *n; (n = list_pop_front(&i->notes)) != NULL;)
        burial_note_drop(i->shard, container_of(n, struct burial_note, in_intake));
    shard_taken_in(i->shard, index);
}

/* One partition of one change. True: nothing to wait for. */
static bool change_partition(struct partition_work *w, const struct image_change *c, int32_t number)
{
    struct intake *i = w->intake;
    struct shard *s = i->shard;
    bool is = hosts(s, c->new, number);
    if (!is && hosts(s, c->old, number)) {
        struct lane *l = shard_lane(s, image_topic_id(c->old), number);
        if (l != NULL) bury(i, l, c->old->id);
    }
    if (!is) return true;
    w->topic = c->new;
    w->number = number;
    return open_partition(w);
}

static void work_next(struct partition_work *w)
{
    struct intake *i = w->intake;
    while (i->change < i->p->change_count) {
        const struct image_change *c = &i->p->changes[i->change];
        int32_t number = i->number++;
        if (number >= MAX(partitions(c->old), partitions(c->new))) {
            i->change++;
            i->number = 0;
        } else if (!change_partition(w, c, number)) {
            return;
        }
    }
    i->running--;
    end_if_done(i);
}

static void take_pointers(struct shard *s, const struct publication *p)
{
    /* The record is committed: a shard that cannot keep it must not go on. The controller refuses new topics long
     * before MEM_CONTROL ends (metadata_rules.c). */
    CHECK_OK(topic_index_reserve(s->topics, p->change_count));
    for (uint32_t k = 0; k < p->change_count; k++) {
        const struct image_change *c = &p->changes[k];
        if (c->old != NULL) settings_forget(&s->settings, c->old->configs);
        CHECK_OK(topic_index_change(s->topics, c->old, c->new));
        group_hosts_topic(s, c->old, c->new);
    }
    if (p->brokers != NULL) s->brokers = p->brokers;
    if (p->features != NULL) s->features = p->features;
    if (p->settings != NULL) settings_publish(&s->settings, p->settings);
}

static void note_removals(struct intake *i)
{
    for (uint32_t k = 0; k < i->p->change_count; k++) {
        const struct image_change *c = &i->p->changes[k];
        if (c->new == NULL) list_push_back(&i->notes, &burial_note_create(i->shard, c->old->id)->in_intake);
    }
}

static bool was_deleted(const struct image_deleted *deleted, struct uuid id)
{
    return deleted != NULL && image_deleted_find(deleted, STR_NULL, id) != NULL;
}

/* Rule D13: only now, when the metadata has caught up. */
static void set_aside(struct intake *i, struct partition *p, bool was_deleted)
{
    struct shard *s = i->shard;
    struct grave *g = mem_zalloc(s->env->mem, MEM_CONTROL, sizeof *g);
    SHARD_LOG(s, LOG_WARN, was_deleted ? "partition.deleted" : "partition.unknown",
              LOG_STR("topic", partition_topic(p)), LOG_INT("partition", partition_number(p)),
              LOG_STR("effect", g == NULL     ? "no memory to move it away: kept, not served"
                                : was_deleted ? "its topic was deleted: it goes to the trash"
                                              : "the metadata does not know it: it goes to the quarantine"));
    if (g == NULL) return;
    *g = (struct grave){.partition = p, .to = was_deleted ? STORE_TRASH : STORE_QUARANTINE};
    list_push_back(&i->graves, &g->in_graves);
}

static void set_strangers_aside(struct shard *s, const struct image_deleted *deleted)
{
    struct uuid last = {{0}};
    bool last_deleted = false;
    for (struct partition *p = NULL; (p = store_next(s->store, p)) != NULL;) {
        struct topic_id id = partition_topic_id(p);
        struct uuid u;
        memcpy(u.b, id.b, sizeof u.b);
        if (hosts(s, topic_index_by_id(s->topics, u), partition_number(p))) continue;
        if (!uuid_equal(u, last)) last_deleted = was_deleted(deleted, u); /* those of one topic stand together */
        last = u;
        set_aside(s->intake, p, last_deleted);
    }
    bury_next(s->intake);
}

/* New defaults of the brokers reach every partition. */
static void settings_changed(struct shard *s)
{
    list_each (n, &s->lanes) {
        struct lane *l = container_of(n, struct lane, in_shard);
        struct topic_id id = partition_topic_id(l->partition);
        struct uuid u;
        memcpy(u.b, id.b, sizeof u.b);
        const struct image_topic *t = topic_index_by_id(s->topics, u);
        if (t != NULL) partition_settings_apply(s, t, l->partition);
    }
}

static void patience_over(struct timer *t)
{
    struct intake *i = container_of(t, struct intake, patience);
    i->impatient = true;
    end_if_done(i);
}

void shard_take_in(struct shard *s, const struct publication *p)
{
    struct intake *i = s->intake;
    CHECK(i->p == NULL && i->running == 0);
    i->p = p;
    i->change = 0;
    i->number = 0;
    note_removals(i);
    take_pointers(s, p);
    if (p->first) set_strangers_aside(s, p->deleted);
    i->patience.fire = patience_over;
    if (p->first) env_timer_start(s->env, &i->patience, mono_add(s->env->now, PATIENCE_NS));
    if (p->settings != NULL && !p->first) settings_changed(s);
    i->running = INTAKE_WORKS; /* the last one that finds nothing more to do ends it */
    for (uint32_t k = 0; k < INTAKE_WORKS; k++) {
        i->works[k].intake = i;
        i->works[k].again.fire = again;
        work_next(&i->works[k]);
    }
}

/* ---- stop ---- */

void intake_stop(struct intake *i)
{
    CHECK(i->p == NULL);
    i->stopping = true;
}

void intake_destroy(struct intake *i)
{
    struct mem *m = i->shard->env->mem;
    for (struct list_node *n; (n = list_pop_front(&i->graves)) != NULL;)
        grave_free(i, container_of(n, struct grave, in_graves));
    for (uint32_t k = 0; k < INTAKE_DELETIONS; k++) CHECK(i->deletions[k].grave == NULL);
    mem_free(m, MEM_CONTROL, i, sizeof *i);
}

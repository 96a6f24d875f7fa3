// SPDX-License-Identifier: Apache-2.0
/* Metadata on shard 0 (metadata.h): calls, and the start.
 *
 * Start:    metadata log opened -> leader -> start calls, one after the other: register this broker (which raises the
 *           leader epochs of all it leads), then each topic of leat.topics -> the whole state as the first publication
 *           -> every shard has its partitions -> the phase ends.
 * Change:   next (plan) -> submitted -> end: a task; one call at a time, so each plans on what the one before did.
 *
 * Failure modes: the metadata log fails (its disk), or holds an entry that does not fit: one log line, calls end with
 * FENCED, and the broker goes on serving with the metadata it has; it takes a new start to change any again. */
#include "broker/metadata.h"
#include "broker/metadata_impl.h"
#include "base/bytes.h"
#include "broker/feature_levels.h"
#include "broker/wanted_topics.h"
#include "storage/disk.h"
#include <stdio.h>

#define PLAN_BYTES_MAX ((size_t)64 << 20) /* records of one call and their encoding */

enum change_stage { CHANGE_NEXT, CHANGE_SUBMITTED, CHANGE_END };

static const struct flow change_flow;
static void unpark(struct metadata *m);

static struct metadata *metadata_of(struct shard *zero)
{
    CHECK(zero->env->shard == 0 && zero->metadata != NULL);
    return zero->metadata;
}

void metadata_fail(struct metadata *m, enum status status, const char *why)
{
    if (m->failed) return;
    m->failed = true;
    SHARD_LOG(m->zero, LOG_ERROR, "metadata.failed", LOG_STATUS("status", status), LOG_STR("why", why),
              LOG_STR("effect", "no topic or setting can be changed until the broker is started again"));
    metadata_published(m); /* nobody waits for what will not come */
    unpark(m);             /* to be told */
}

/* ---- calls ---- */

static void call_home(struct env *e, struct msg *m)
{
    struct metadata_call *c = container_of(m, struct metadata_call, msg);
    CHECK(e->shard == c->home);
    c->done(c);
}

static void call_end(struct metadata *m, struct metadata_call *c, enum status status)
{
    c->status = status;
    c->msg = (struct msg){.run = call_home};
    env_post(m->zero->env, c->home, &c->msg);
}

static void call_queue(struct metadata *m, struct metadata_call *c)
{
    list_push_back(&m->calls, &c->in_metadata);
    if (!task_active(&m->change)) task_start(m->zero->env->runner, &m->change, &change_flow, CHANGE_NEXT);
}

static void call_arrive(struct env *e, struct msg *msg)
{
    struct metadata_call *c = container_of(msg, struct metadata_call, msg);
    struct metadata *m = metadata_of(e->user);
    if (m->metalog == NULL || m->closing)
        call_end(m, c, STATUS_NOT_LEADER);
    else
        call_queue(m, c);
}

void metadata_call_send(struct metadata_call *c, struct shard *home)
{
    c->home = home->env->shard;
    c->msg = (struct msg){.run = call_arrive};
    env_post(home->env, 0, &c->msg);
}

/* ---- changes ---- */

static bool name_taken(const struct metadata *m, const struct record_list *l)
{
    for (uint32_t i = 0; i < l->count; i++) {
        const struct record *r = &l->records[i];
        const struct image_deleted_topic *d =
            r->type == RECORD_RESTORE_TOPIC ? image_deleted_find(image_deleted(m->image), STR_NULL, r->topic.id) : NULL;
        struct str name = d != NULL ? d->topic->name : r->topic.name;
        if ((r->type == RECORD_TOPIC || d != NULL) && burials_hold(&m->burials, name)) return true;
    }
    return false;
}

static void unpark(struct metadata *m)
{
    for (struct list_node *n; (n = list_pop_front(&m->parked)) != NULL;)
        call_queue(m, container_of(n, struct metadata_call, in_metadata));
}

void metadata_name_free(struct shard *zero)
{
    unpark(zero->metadata);
}

void metadata_drain(struct shard *zero)
{
    struct metadata *m = zero->metadata;
    if (m == NULL) return;
    for (struct list_node *n; (n = list_pop_front(&m->parked)) != NULL;)
        call_end(m, container_of(n, struct metadata_call, in_metadata), STATUS_NOT_LEADER);
}

static enum status plan(struct metadata *m, struct metadata_call *c, const void **ret_data, size_t *ret_size,
                        bool *ret_parked)
{
    struct env *e = m->zero->env;
    struct metadata_plan p = {.image = m->image, .zero = m->zero, .arena = &m->arena, .now_ms = e->now_wall.v};
    if (m->failed) return STATUS_FENCED;
    if (metalog_role(m->metalog) != METALOG_LEADER) return STATUS_NOT_LEADER;
    arena_reset(&m->arena);
    metadata_rules_begin(&m->rules, m->zero, m->image, &m->random, &p.controller);
    record_list_init(&p.records, &m->arena);
    *ret_size = 0;
    enum status s = c->plan(c, &p);
    if (s != STATUS_OK || p.records.count == 0) return s;
    if (name_taken(m, &p.records)) {
        *ret_parked = true;
        return STATUS_OK;
    }
    return record_batch_encode(record_list_batch(&p.records), &m->arena, ret_data, ret_size);
}

static void submitted(struct metalog_submit *op)
{
    struct metadata *m = container_of(op, struct metadata, submit);
    task_wake(&m->change);
}

static int change_next(struct task *t)
{
    struct metadata *m = container_of(t, struct metadata, change);
    const void *data = NULL;
    size_t size = 0;
    struct list_node *n = list_pop_front(&m->calls);
    if (n == NULL) return STAGE_DONE;
    struct metadata_call *c = container_of(n, struct metadata_call, in_metadata);
    bool parked = false;
    enum status s = plan(m, c, &data, &size, &parked);
    if (parked) {
        list_push_back(&m->parked, &c->in_metadata);
        return CHANGE_NEXT;
    }
    if (s != STATUS_OK || size == 0) {
        call_end(m, c, s);
        return CHANGE_NEXT;
    }
    m->running = c;
    m->submit.done = submitted;
    metalog_submit(m->metalog, data, (uint32_t)size, &m->submit);
    return STAGE_WAIT(CHANGE_SUBMITTED);
}

static int change_submitted(struct task *t)
{
    struct metadata *m = container_of(t, struct metadata, change);
    bool wait = m->submit.status == STATUS_OK && m->published < m->submit.index && !m->failed;
    return wait ? STAGE_WAIT(CHANGE_END) : CHANGE_END;
}

static int change_end(struct task *t)
{
    struct metadata *m = container_of(t, struct metadata, change);
    struct metadata_call *c = m->running;
    m->running = NULL;
    call_end(m, c, m->failed ? STATUS_FENCED : m->submit.status);
    return CHANGE_NEXT;
}

static const struct stage change_stages[] = {
    [CHANGE_NEXT] = {"next", change_next, STAGE_BIT(CHANGE_NEXT) | STAGE_BIT(CHANGE_SUBMITTED)},
    [CHANGE_SUBMITTED] = {"submitted", change_submitted, STAGE_BIT(CHANGE_END)},
    [CHANGE_END] = {"end", change_end, STAGE_BIT(CHANGE_NEXT)},
};
static const struct flow change_flow = {"metadata change", change_stages, 3};

void metadata_published(struct metadata *m)
{
    struct task *t = &m->change;
    bool there = m->published >= m->submit.index || m->failed;
    if (task_active(t) && t->waiting && t->next == CHANGE_END && there) task_wake(t);
}

/* ---- start ---- */

static void end_phase(struct metadata *m, enum status status, const char *error)
{
    struct shard *s = m->zero;
    s->status = status;
    if (status != STATUS_OK) snprintf(s->error, sizeof s->error, "%s", error);
    shard_phase_done(s);
}

/* The highest levels of what this program can do; with one broker nobody else has a say. False: no memory. */
static bool finalize_features(const struct metadata *m, struct record_list *l)
{
    const struct image_features *now = image_features(m->image);
    for (uint32_t i = 0; i < broker_feature_count; i++) {
        const struct feature_range *f = &broker_features[i];
        int16_t level = 0;
        for (uint32_t k = 0; k < now->count; k++)
            if (str_equal(now->features[k].name, f->name)) level = now->features[k].level;
        if (level == f->max) continue;
        struct record *r = record_list_add(l, RECORD_FEATURE);
        if (r == NULL) return false;
        r->feature.name = f->name;
        r->feature.level = f->max;
    }
    return true;
}

static enum status plan_register(struct metadata *m, struct metadata_plan *p)
{
    const struct broker *b = m->zero->broker;
    const struct broker_config *config = b->config;
    struct uuid incarnation;
    struct rule_error error;
    int64_t epoch;
    /* What the record points to is encoded after this function has returned. */
    struct uuid *directory = arena_zalloc(p->arena, sizeof *directory);
    struct listener_record *listener = arena_zalloc(p->arena, sizeof *listener);
    if (directory == NULL || listener == NULL) return STATUS_NO_MEMORY;
    CHECK(disk_directory_get(&b->disk, directory->b) == DISK_DIRECTORY_READY);
    for (size_t i = 0; i < sizeof incarnation.b; i += 8) {
        uint64_t r = prng_next(&m->random);
        memcpy(incarnation.b + i, &r, 8);
    }
    *listener = (struct listener_record){
        .name = STR("PLAINTEXT"),
        .host = {config->advertised_host, (int32_t)strlen(config->advertised_host)},
        .port = config->advertised_port != 0 ? config->advertised_port : b->port,
    };
    struct record_register_broker r = {
        .id = config->node_id,
        .incarnation = incarnation,
        .rack = config->rack[0] != '\0' ? (struct str){config->rack, (int32_t)strlen(config->rack)} : STR_NULL,
        .listeners = listener,
        .listener_count = 1,
        .directories = {directory, 1},
        .features = broker_features,
        .feature_count = broker_feature_count,
    };
    if (!finalize_features(m, &p->records)) return STATUS_NO_MEMORY;
    enum status s = controller_forget_topics(&p->controller, &p->records);
    if (s != STATUS_OK) return s;
    s = controller_register_broker(&p->controller, &r, true, &p->records, &error, &epoch);
    if (s == STATUS_OK && error.code != RULE_OK) {
        metadata_fail(m, STATUS_INVALID, error.text);
        return STATUS_INVALID;
    }
    return s;
}

/* The next topic of leat.topics that is missing or has fewer partitions than it says; no record: none is left. */
static enum status plan_topic(struct metadata *m, struct metadata_plan *p)
{
    struct wanted_topic w;
    struct rule_error error = {0};
    struct topic_answer answer;
    size_t pos = m->topic_pos;
    enum status s = STATUS_OK;
    for (; wanted_topic_next(m->zero->broker->source, &pos, &w); m->topic_pos = pos) {
        const struct image_topic *t = image_topic_by_name(m->image, w.name);
        int32_t have = t != NULL ? (int32_t)t->partition_count : 0;
        int32_t count = MIN(w.partitions, have + (int32_t)TOPIC_PARTITIONS_PER_CALL);
        if (have >= w.partitions) continue;
        struct topic_wish wish = {.name = w.name, .partitions = count, .replication_factor = -1};
        struct partitions_wish more = {.topic = w.name, .count = count};
        if (t == NULL) {
            s = controller_create_topics(&p->controller, &wish, 1, false, &p->records, &answer);
            error = answer.error;
        } else {
            s = controller_create_partitions(&p->controller, &more, false, &p->records, &error);
        }
        if (s == STATUS_OK && error.code != RULE_OK) {
            char name[TOPIC_NAME_MAX + 1] = "";
            memcpy(name, w.name.data, MIN((size_t)w.name.len, sizeof name - 1));
            SHARD_LOG(m->zero, LOG_ERROR, "topic.not.made", LOG_STR("topic", name), LOG_STR("why", error.text));
            continue;
        }
        return s;
    }
    return STATUS_OK;
}

static enum status plan_start(struct metadata_call *c, struct metadata_plan *p)
{
    struct metadata *m = container_of(c, struct metadata, start);
    return m->registered ? plan_topic(m, p) : plan_register(m, p);
}

static void start_done(struct metadata_call *c)
{
    struct metadata *m = container_of(c, struct metadata, start);
    struct wanted_topic w;
    size_t pos = m->topic_pos;
    if (c->status != STATUS_OK) {
        end_phase(m, c->status, "the broker cannot be registered or a topic of leat.topics be made; see the log");
        return;
    }
    m->registered = true;
    if (wanted_topic_next(m->zero->broker->source, &pos, &w))
        call_queue(m, &m->start);
    else
        news_first(m); /* its end is the phase's */
}

void metadata_leading(struct metadata *m)
{
    if (m->start.plan != NULL) return; /* a later term */
    m->start = (struct metadata_call){.home = 0, .plan = plan_start, .done = start_done};
    call_queue(m, &m->start);
}

static void opened(struct metalog_open *op)
{
    struct metadata *m = container_of(op, struct metadata, open);
    if (op->status != STATUS_OK) {
        end_phase(m, op->status, op->error);
        return;
    }
    m->metalog = op->metalog;
    struct uuid cluster = metalog_cluster(m->metalog);
    uuid_text(cluster, m->zero->broker->cluster_id);
}

void metadata_open(struct shard *zero)
{
    struct env *e = zero->env;
    struct metadata *m = mem_zalloc(e->mem, MEM_CONTROL, sizeof *m);
    struct image *image = m != NULL ? image_create(e->mem) : NULL;
    if (image == NULL) {
        mem_free(e->mem, MEM_CONTROL, m, sizeof *m);
        zero->status = STATUS_NO_MEMORY;
        snprintf(zero->error, sizeof zero->error, "leat.memory.bytes is too small for the metadata");
        shard_phase_done(zero);
        return;
    }
    zero->metadata = m;
    m->zero = zero;
    m->image = image;
    m->owner.ops = &metadata_owner_ops;
    list_init(&m->calls);
    list_init(&m->parked);
    burials_init(&m->burials, e->mem);
    list_init(&m->news);
    arena_init(&m->arena, e->mem, MEM_CONTROL, PLAN_BYTES_MAX);
    prng_seed(&m->random, env_random(e), env_random(e));
    struct metalog_config c;
    metalog_config_init(&c);
    snprintf(m->dir, sizeof m->dir, "%s/%s", zero->broker->config->log_dir, METALOG_NAME);
    c.dir = m->dir;
    c.self = c.voters[0] = zero->broker->config->node_id;
    c.owner = &m->owner;
    c.log = &zero->log;
    m->open.done = opened;
    metalog_open(e, &c, &m->open);
}

struct metadata_quorum metadata_quorum(const struct shard *zero)
{
    const struct metadata *m = zero->metadata;
    return (struct metadata_quorum){.leader = metalog_leader(m->metalog),
                                    .term = metalog_term(m->metalog),
                                    .end = (int64_t)image_index(m->image) + 1,
                                    .voters = {zero->broker->config->node_id},
                                    .voter_count = 1};
}

/* ---- stop ---- */

static void destroy(struct metadata *m)
{
    struct shard *zero = m->zero;
    void (*closed)(struct shard *) = m->closed;
    CHECK(!task_active(&m->change) && list_empty(&m->news));
    metadata_drain(zero);
    burials_deinit(&m->burials);
    image_destroy(m->image);
    arena_deinit(&m->arena);
    mem_free(zero->env->mem, MEM_CONTROL, m, sizeof *m);
    zero->metadata = NULL;
    closed(zero);
}

static void log_closed(struct metalog_close *op)
{
    struct metadata *m = container_of(op, struct metadata, close);
    m->metalog = NULL;
    destroy(m);
}

void metadata_close(struct shard *zero, void (*done)(struct shard *zero))
{
    struct metadata *m = zero->metadata;
    if (m == NULL) {
        done(zero);
        return;
    }
    m->closed = done;
    m->closing = true;
    if (m->metalog == NULL) {
        destroy(m);
        return;
    }
    m->close.done = log_closed;
    metalog_close(m->metalog, &m->close);
}

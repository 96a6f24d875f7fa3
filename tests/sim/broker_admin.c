// SPDX-License-Identifier: Apache-2.0
/* The admin client: one operation at a time, repeated until an answer settles it. What was given up on the way (the
 * connection ended) may still be done later, so an answer to the second attempt may also say that it was done already,
 * and a name that was given up once is not used for another topic. */
#include "tests/sim/broker_clients.h"

#include "base/bytes.h"
#include "protocol/msg_create_partitions.h"
#include "protocol/msg_create_topics.h"
#include "protocol/msg_delete_records.h"
#include "protocol/msg_delete_topics.h"
#include "protocol/msg_describe_configs.h"
#include "protocol/msg_incremental_alter_configs.h"
#include "protocol/msg_leat_undelete_topics.h"
#include "protocol/msg_list_offsets.h"
#include "protocol/msg_metadata.h"

#define SOURCE_TOPIC 1 /* a setting that the topic has itself */

static const char *const kind_names[] = {"nothing", "create", "find",  "delete",   "undelete", "look",
                                         "grow",    "trim",   "alter", "describe", "list",     "offsets"};

static void next_in(struct client_admin *a, int64_t ns)
{
    env_timer_start(a->clients->env, &a->next, mono_add(a->clients->env->now, ns));
}

/* Settled. */
static void done(struct client_admin *a)
{
    broker_world_say(a->clients->world, "admin: %s %s: done", kind_names[a->kind],
                     a->topic != NULL ? a->topic->name : "");
    a->clients->world->count.admin_done++;
    a->kind = ADMIN_NONE;
    a->attempts = 0;
}

/* ---- what to do ---- */

static int64_t setting(const struct clients *c, int config)
{
    switch (config) {
    case 0: return 131072 + (int64_t)client_roll(c, 100000);
    case 1: return 500 + (int64_t)client_roll(c, 20000);
    default: return (int64_t)client_roll(c, 1000000);
    }
}

/* A name that was free for sure, if there is one and the dice say so; else a new one. */
static void choose_name(struct client_admin *a, char name[24])
{
    const struct broker_check *c = a->clients->check;
    const struct check_topic *old = check_topic_any(a->clients->check, TOPIC_GONE);
    bool used = old == NULL || !a->clients->reuse || client_roll(a->clients, 3) == 0;
    for (uint32_t i = 0; i < c->topic_count && !used; i++)
        used = strcmp(c->topics[i]->name, old->name) == 0 && (c->topics[i]->fate != TOPIC_GONE || c->topics[i]->unsure);
    if (used)
        snprintf(name, 24, "topic-%u", a->names++);
    else
        snprintf(name, 24, "%s", old->name);
}

static void begin_create(struct client_admin *a)
{
    struct clients *c = a->clients;
    char name[24];
    choose_name(a, name);
    a->topic = check_topic_new(c->check, name, 1 + (int32_t)client_roll(c, 4));
    if (a->topic == NULL) return;
    for (int i = 0; i < CHECK_CONFIGS; i++)
        if (client_roll(c, 3) == 0) a->topic->configs[i] = a->topic->configs_asked[i] = setting(c, i);
    a->kind = ADMIN_CREATE;
}

static void begin_trim(struct client_admin *a)
{
    struct check_partition *p = &a->topic->parts[client_roll(a->clients, (uint64_t)a->topic->partitions)];
    int64_t span = p->high_watermark - p->log_start;
    if (span == 0) return;
    a->part = p->number;
    a->offset = p->log_start + (int64_t)client_roll(a->clients, (uint64_t)span + 1);
    p->deletable = MAX(p->deletable, a->offset);
    a->kind = ADMIN_TRIM;
}

/* One that is gone for sure; its name may be taken again. */
static bool begin_undelete(struct client_admin *a)
{
    a->topic = check_topic_any(a->clients->check, TOPIC_GONE);
    if (a->topic == NULL || a->topic->unsure || uuid_is_zero(a->topic->id)) return false;
    a->kind = ADMIN_UNDELETE;
    return true;
}

static uint32_t topics_there(const struct broker_check *c)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->topic_count; i++) n += c->topics[i]->fate == TOPIC_THERE;
    return n;
}

static void begin(struct client_admin *a)
{
    struct clients *c = a->clients;
    uint64_t dice = client_roll(c, 100);
    uint32_t there = topics_there(c->check);
    a->topic = NULL;
    if (client_roll(c, 7) == 0 && begin_undelete(a)) return;
    if (there < c->topics_wanted && (there == 0 || dice < 60)) {
        begin_create(a);
        return;
    }
    a->topic = check_topic_any(c->check, TOPIC_THERE);
    if (a->topic == NULL) return;
    if (dice < 12 && there > 1 && !(a->topic->returned && a->topic->unsure)) { /* a late undelete would take it back */
        a->kind = ADMIN_DELETE;
        a->topic->fate = TOPIC_LEAVING;
    } else if (dice < 22 && a->topic->partitions < CHECK_PARTS_MAX) {
        a->kind = ADMIN_GROW;
        a->topic->partitions_asked = a->topic->partitions + 1;
    } else if (dice < 45) {
        begin_trim(a);
    } else if (dice < 58 && !a->topic->unsure) {
        a->kind = ADMIN_ALTER;
        a->config = (int32_t)client_roll(c, CHECK_CONFIGS);
        a->topic->configs_asked[a->config] = client_roll(c, 4) == 0 ? -1 : setting(c, a->config);
    } else if (dice < 70) {
        a->kind = ADMIN_DESCRIBE;
    } else if (dice < 85) {
        a->kind = ADMIN_OFFSETS;
        a->part = (int32_t)client_roll(c, (uint64_t)a->topic->partitions);
    } else {
        a->kind = ADMIN_LIST;
        a->topic = NULL;
    }
}

static void next_fire(struct timer *t)
{
    struct client_admin *a = container_of(t, struct client_admin, next);
    if (a->wire.state == WIRE_DOWN) {
        wire_open(&a->wire);
        return;
    }
    if (!wire_up(&a->wire) || a->sent) return;
    if (a->kind == ADMIN_NONE && !a->clients->draining) begin(a);
    if (a->kind == ADMIN_NONE) {
        next_in(a, 100 * NS_PER_MS);
        return;
    }
    a->attempts++;
    a->sent = client_admin_ask(a);
    CHECK(a->sent);
}

/* ---- answers ---- */

/* Not settled: the broker could not, or could not say. */
static bool passing(int16_t code)
{
    return code == ERROR_TIMED_OUT || code == ERROR_STORAGE || code == ERROR_NOT_CONTROLLER;
}

static void unexpected(struct client_admin *a, int16_t code)
{
    BROKER_MUST(a->clients->world, passing(code), "%s %s, attempt %u: answered with %d", kind_names[a->kind],
                a->topic != NULL ? a->topic->name : "", a->attempts, code);
}

static void made(struct client_admin *a, struct uuid id, int32_t partitions)
{
    struct check_topic *t = a->topic;
    BROKER_MUST(a->clients->world, !uuid_is_zero(id) && check_topic_by_id(a->clients->check, id) == NULL,
                "topic %s is made with an id that is not new", t->name);
    BROKER_MUST(a->clients->world, partitions == t->partitions, "topic %s is made with %d partitions instead of %d",
                t->name, partitions, t->partitions);
    t->id = id;
    t->fate = TOPIC_THERE;
    done(a);
}

static void take_create(struct client_admin *a, const struct create_topics_response *r)
{
    const struct create_topics_response_topic *t = &r->topics[0];
    if (t->error_code == 0)
        made(a, t->topic_id, t->num_partitions);
    else if (t->error_code == ERROR_TOPIC_EXISTS && a->attempts > 1)
        a->kind = ADMIN_FIND;
    else
        unexpected(a, t->error_code);
}

static void take_find(struct client_admin *a, const struct metadata_response *r)
{
    for (int32_t i = 0; i < r->topics_count; i++) {
        if (!str_equal(r->topics[i].name, (struct str){a->topic->name, (int32_t)strlen(a->topic->name)})) continue;
        made(a, r->topics[i].topic_id, r->topics[i].partitions_count);
        return;
    }
    BROKER_MUST(a->clients->world, false, "topic %s exists, but not in the metadata", a->topic->name);
}

static void take_delete(struct client_admin *a, const struct delete_topics_response *r)
{
    int16_t code = r->responses[0].error_code;
    if (code == 0 || (code == ERROR_UNKNOWN_TOPIC_ID && a->attempts > 1)) {
        a->topic->fate = TOPIC_GONE;
        done(a);
    } else {
        unexpected(a, code);
    }
}

static void settle_undelete(struct client_admin *a, bool is_back)
{
    a->topic->fate = is_back ? TOPIC_THERE : TOPIC_GONE;
    a->topic->returned |= is_back;
    a->clients->world->count.undeleted += is_back;
    done(a);
}

/* By the clock, which may have jumped, its time is over; or the name is taken; or room had to be made on the disk. */
static void take_undelete(struct client_admin *a, const struct leat_undelete_topics_response *r)
{
    int16_t code = r->responses[0].error_code;
    if (code == 0)
        settle_undelete(a, true);
    else if (code == ERROR_TOPIC_EXISTS || (code == ERROR_UNKNOWN_PARTITION && a->attempts == 1))
        settle_undelete(a, false);
    else if (code == ERROR_STORAGE || code == ERROR_UNKNOWN_PARTITION || code == ERROR_UNKNOWN_TOPIC_ID)
        a->kind = ADMIN_LOOK;
    else
        unexpected(a, code);
}

static void take_look(struct client_admin *a, const struct metadata_response *r)
{
    bool is_back = false;
    for (int32_t i = 0; i < r->topics_count; i++) is_back |= uuid_equal(r->topics[i].topic_id, a->topic->id);
    if (!is_back && a->attempts > 1 && a->attempts < 8) /* an attempt that was given up may still be under way */
        a->kind = ADMIN_UNDELETE;
    else
        settle_undelete(a, is_back);
}

static void take_grow(struct client_admin *a, int16_t code)
{
    if (code == 0 || (code == ERROR_INVALID_PARTITIONS && a->attempts > 1)) {
        a->topic->partitions = a->topic->partitions_asked;
        done(a);
    } else {
        unexpected(a, code);
    }
}

static void take_trim(struct client_admin *a, const struct delete_records_response_partition *p)
{
    if (p->error_code == 0) {
        BROKER_MUST(a->clients->world, p->low_watermark >= a->offset, "%s-%d: deleted up to %lld, log start %lld",
                    a->topic->name, a->part, (long long)a->offset, (long long)p->low_watermark);
        check_log_start(a->clients->check, &a->topic->parts[a->part], p->low_watermark, a->offset);
        done(a);
    } else if (p->error_code != ERROR_UNKNOWN_PARTITION) { /* that: its files cannot be opened */
        unexpected(a, p->error_code);
    }
}

static void take_alter(struct client_admin *a, int16_t code)
{
    if (code != 0) {
        unexpected(a, code);
        return;
    }
    a->topic->configs[a->config] = a->topic->configs_asked[a->config];
    done(a);
}

static void check_setting(struct client_admin *a, const struct describe_configs_response_config *c)
{
    for (int i = 0; i < CHECK_CONFIGS; i++) {
        char value[24];
        const char *name = check_config_names[i];
        if (!str_equal(c->name, (struct str){name, (int32_t)strlen(name)})) continue;
        int64_t want = a->topic->configs[i];
        snprintf(value, sizeof value, "%lld", (long long)want);
        bool own = c->config_source == SOURCE_TOPIC;
        BROKER_MUST(a->clients->world,
                    own == (want >= 0) && (!own || str_equal(c->value, (struct str){value, (int32_t)strlen(value)})),
                    "topic %s: %s is %.*s (source %d), it was set to %lld", a->topic->name, name, c->value.len,
                    c->value.data, c->config_source, (long long)want);
    }
}

static void take_describe(struct client_admin *a, const struct describe_configs_response_result *r)
{
    if (r->error_code != 0) {
        unexpected(a, r->error_code);
        return;
    }
    for (int32_t i = 0; i < r->configs_count; i++) check_setting(a, &r->configs[i]);
    done(a);
}

/* Every topic that is there, with its id and partitions; none that is gone. */
static void take_list(struct client_admin *a, const struct metadata_response *r)
{
    struct broker_check *c = a->clients->check;
    uint32_t found = 0;
    for (int32_t i = 0; i < r->topics_count; i++) {
        const struct metadata_response_topic *m = &r->topics[i];
        const struct check_topic *t = check_topic_by_id(c, m->topic_id);
        bool unsure = false; /* a creation that was given up may have come through late */
        for (uint32_t k = 0; k < c->topic_count; k++)
            unsure |= c->topics[k]->unsure &&
                      str_equal(m->name, (struct str){c->topics[k]->name, (int32_t)strlen(c->topics[k]->name)});
        BROKER_MUST(c->world, t != NULL || unsure, "topic %.*s, which nobody made", m->name.len, m->name.data);
        if (t == NULL) continue;
        found += t->fate == TOPIC_THERE;
        BROKER_MUST(c->world, t->fate == TOPIC_THERE && m->partitions_count == t->partitions,
                    "topic %s: %d partitions instead of %d, fate %d", t->name, m->partitions_count, t->partitions,
                    t->fate);
    }
    BROKER_MUST(c->world, found == topics_there(c), "the metadata have %u topics instead of %u", found,
                topics_there(c));
    done(a);
}

static void take_offsets(struct client_admin *a, const struct list_offsets_response_partition *p)
{
    struct check_partition *part = &a->topic->parts[a->part];
    if (p->error_code == ERROR_UNKNOWN_PARTITION) return;
    if (p->error_code != 0) {
        unexpected(a, p->error_code);
        return;
    }
    if (a->offset == -1)
        check_offsets(a->clients->check, part, p->offset, part->log_start, a->asked_hw, a->asked_start);
    else
        check_log_start(a->clients->check, part, p->offset, a->asked_start);
    done(a);
}

static void answer(struct wire *w, const struct wire_call *call, const void *response)
{
    struct client_admin *a = container_of(w, struct client_admin, wire);
    (void)call;
    a->sent = false;
    switch (a->kind) {
    case ADMIN_CREATE: take_create(a, response); break;
    case ADMIN_FIND: take_find(a, response); break;
    case ADMIN_DELETE: take_delete(a, response); break;
    case ADMIN_UNDELETE: take_undelete(a, response); break;
    case ADMIN_LOOK: take_look(a, response); break;
    case ADMIN_GROW: take_grow(a, ((const struct create_partitions_response *)response)->results[0].error_code); break;
    case ADMIN_TRIM: take_trim(a, &((const struct delete_records_response *)response)->topics[0].partitions[0]); break;
    case ADMIN_ALTER:
        take_alter(a, ((const struct incremental_alter_configs_response *)response)->responses[0].error_code);
        break;
    case ADMIN_DESCRIBE: take_describe(a, &((const struct describe_configs_response *)response)->results[0]); break;
    case ADMIN_LIST: take_list(a, response); break;
    case ADMIN_OFFSETS:
        take_offsets(a, &((const struct list_offsets_response *)response)->topics[0].partitions[0]);
        break;
    case ADMIN_NONE: CHECK(false);
    }
    next_in(a, (int64_t)client_roll(a->clients, 300) * NS_PER_MS);
}

/* ---- the connection ---- */

static void up(struct wire *w)
{
    next_in(container_of(w, struct client_admin, wire), 0);
}

static void down(struct wire *w)
{
    struct client_admin *a = container_of(w, struct client_admin, wire);
    if (a->sent) {
        a->clients->world->count.admin_unknown++;
        if (a->topic != NULL) a->topic->unsure = true;
    }
    a->sent = false;
    next_in(a, (int64_t)client_roll(a->clients, 400) * NS_PER_MS);
}

void client_admin_init(struct client_admin *a, struct clients *c)
{
    *a = (struct client_admin){.clients = c};
    wire_init(&a->wire, c->world, c->env, "admin");
    a->wire.up = up;
    a->wire.answer = answer;
    a->wire.down = down;
    a->next.fire = next_fire;
    wire_open(&a->wire);
}

void client_admin_deinit(struct client_admin *a)
{
    wire_deinit(&a->wire);
}

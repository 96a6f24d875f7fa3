// SPDX-License-Identifier: Apache-2.0
/* Rules for topics (controller.h). Path of a creation: name -> settings -> replicas (placed, or as the wish says) ->
 * records: topic, partitions in order, settings. A new partition's first live replica leads, in epoch 0.
 * The first fault of a wish ends it; nothing of it stays in the list. */
#include "replication/controller_impl.h"
#include "base/bytes.h"
#include "base/check.h"
#include <stdio.h>
#include <stdlib.h>

#define PRINTABLE(s) (int)((s).len > 0 ? MIN((s).len, 249) : 0), (s).data

/* --- names --- */

bool topic_name_check(struct str name, char ret_text[256])
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    const char *why = NULL;
    if (name.len <= 0)
        why = "the empty string is not allowed";
    else if (str_equal(name, STR(".")) || str_equal(name, STR("..")))
        why = "it cannot be \".\" or \"..\"";
    else if (name.len > TOPIC_NAME_MAX)
        why = "it is longer than the max allowed length 249";
    for (int32_t i = 0; why == NULL && i < name.len; i++)
        if (name.data[i] == '\0' || strchr(allowed, name.data[i]) == NULL)
            why = "it contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'";
    if (why != NULL) snprintf(ret_text, 256, "Topic name is invalid: %s", why);
    return why == NULL;
}

static char folded(char c)
{
    return c == '.' ? '_' : c;
}

/* Equal once '.' and '_' are the same, as in metric names. */
static bool collide(struct str a, struct str b)
{
    if (a.len != b.len) return false;
    for (int32_t i = 0; i < a.len; i++)
        if (folded(a.data[i]) != folded(b.data[i])) return false;
    return true;
}

static const struct image_topic *colliding(const struct controller *c, struct str name)
{
    const struct image_topic *t;
    bool possible =
        memchr(name.data, '.', (size_t)name.len) != NULL || memchr(name.data, '_', (size_t)name.len) != NULL;
    if (!possible) return NULL;
    for (struct topic_cursor all = topic_index_first(image_topics(c->image)); (t = topic_cursor_next(&all)) != NULL;)
        if (collide(t->name, name)) return t;
    return NULL;
}

static bool name_free(const struct controller *c, struct str name, struct rule_error *e)
{
    char why[256];
    if (!topic_name_check(name, why)) return rule_fail(e, RULE_INVALID_TOPIC, "%s", why);
    if (image_topic_by_name(c->image, name) != NULL)
        return rule_fail(e, RULE_TOPIC_ALREADY_EXISTS, "Topic '%.*s' already exists.", PRINTABLE(name));
    const struct image_topic *t = colliding(c, name);
    if (t != NULL)
        return rule_fail(e, RULE_INVALID_TOPIC, "Topic '%.*s' collides with existing topic: %s", PRINTABLE(name),
                         t->name.data);
    return true;
}

struct named_wish {
    struct str name;
    uint32_t at;
};

static int by_name(const void *a, const void *b)
{
    struct str x = ((const struct named_wish *)a)->name, y = ((const struct named_wish *)b)->name;
    for (int32_t i = 0; i < x.len && i < y.len; i++)
        if (folded(x.data[i]) != folded(y.data[i]))
            return (uint8_t)folded(x.data[i]) < (uint8_t)folded(y.data[i]) ? -1 : 1;
    return (x.len > y.len) - (x.len < y.len);
}

/* Names that stand twice in a call, or collide there, are refused each time. */
static enum status refuse_twins(const struct topic_wish *wishes, uint32_t count, struct arena *arena,
                                struct topic_answer *answers)
{
    struct named_wish *sorted = arena_alloc(arena, count * sizeof *sorted);
    if (sorted == NULL) return STATUS_NO_MEMORY;
    for (uint32_t i = 0; i < count; i++)
        sorted[i] = (struct named_wish){wishes[i].name.len >= 0 ? wishes[i].name : STR_EMPTY, i};
    if (count > 0) qsort(sorted, count, sizeof *sorted, by_name);
    for (uint32_t i = 1; i < count; i++) {
        if (by_name(&sorted[i - 1], &sorted[i]) != 0) continue;
        (void)rule_fail(&answers[sorted[i - 1].at].error, RULE_INVALID_REQUEST, "Duplicate topic name.");
        (void)rule_fail(&answers[sorted[i].at].error, RULE_INVALID_REQUEST, "Duplicate topic name.");
    }
    return STATUS_OK;
}

/* --- replicas --- */

static bool live(const struct controller *c, int32_t id)
{
    const struct image_broker *b = image_brokers_find(image_brokers(c->image), id);
    return b != NULL && !b->fenced && !b->shutting_down;
}

/* One partition's list as an operator wrote it. */
static bool assignment_sound(const struct controller *c, struct ids l, struct rule_error *e)
{
    if (l.count == 0)
        return rule_fail(e, RULE_INVALID_REPLICA_ASSIGNMENT,
                         "The manual partition assignment includes an empty replica list.");
    if (l.count > REPLICAS_MAX)
        return rule_fail(e, RULE_INVALID_REPLICA_ASSIGNMENT, "at most %u replicas for a partition", REPLICAS_MAX);
    for (uint32_t i = 0; i < l.count; i++) {
        for (uint32_t k = 0; k < i; k++)
            if (l.v[i] == l.v[k])
                return rule_fail(e, RULE_INVALID_REPLICA_ASSIGNMENT,
                                 "The manual partition assignment includes the broker %d more than once.", l.v[i]);
        if (image_brokers_find(image_brokers(c->image), l.v[i]) == NULL)
            return rule_fail(e, RULE_INVALID_REPLICA_ASSIGNMENT,
                             "The manual partition assignment includes broker %d, but no such broker is registered.",
                             l.v[i]);
    }
    for (uint32_t i = 0; i < l.count; i++)
        if (live(c, l.v[i])) return true;
    return rule_fail(e, RULE_INVALID_REPLICA_ASSIGNMENT,
                     "All brokers specified in the manual partition assignment are fenced or in controlled shutdown.");
}

static enum status add_partition(const struct controller *c, struct record_list *l, struct uuid topic, int32_t number,
                                 struct ids replicas)
{
    struct record *r = record_list_add(l, RECORD_PARTITION);
    int32_t *isr = arena_alloc(l->arena, replicas.count * sizeof *isr);
    uint32_t n = 0;
    if (r == NULL || isr == NULL) return STATUS_NO_MEMORY;
    for (uint32_t i = 0; i < replicas.count; i++)
        if (live(c, replicas.v[i])) isr[n++] = replicas.v[i];
    CHECK(n > 0);
    r->partition = (struct record_partition){
        .topic = topic, .number = number, .leader = isr[0], .replicas = replicas, .isr = {isr, n}};
    return STATUS_OK;
}

/* Places `count` partitions from `first` on. */
static enum status place(const struct controller *c, struct record_list *l, struct uuid topic, int32_t first,
                         int32_t count, int16_t factor, struct rule_error *e)
{
    char why[256];
    int32_t *ids = arena_alloc(l->arena, (size_t)count * (size_t)factor * sizeof *ids);
    if (ids == NULL) return STATUS_NO_MEMORY;
    if (!placement_choose(image_brokers(c->image), c->random, (uint32_t)count, (uint32_t)factor, ids, why)) {
        (void)rule_fail(e, RULE_INVALID_REPLICATION_FACTOR, "%s", why);
        return STATUS_OK;
    }
    for (int32_t i = 0; i < count; i++) {
        struct ids replicas = {ids + (size_t)i * (size_t)factor, (uint32_t)factor};
        enum status s = add_partition(c, l, topic, first + i, replicas);
        if (s != STATUS_OK) return s;
    }
    return STATUS_OK;
}

/* --- create --- */

static bool sizes_sound(const struct controller *c, const struct topic_wish *w, struct topic_answer *a)
{
    if (w->assignment_count > 0) {
        if (w->partitions != -1)
            return rule_fail(&a->error, RULE_INVALID_REQUEST,
                             "A manual partition assignment was specified, but numPartitions was not set to -1.");
        if (w->replication_factor != -1)
            return rule_fail(&a->error, RULE_INVALID_REQUEST,
                             "A manual partition assignment was specified, but replicationFactor was not set to -1.");
        a->partitions = (int32_t)w->assignment_count;
        a->replication_factor = (int16_t)MIN(w->assignments[0].brokers.count, REPLICAS_MAX);
        return true;
    }
    if (w->partitions < -1 || w->partitions == 0)
        return rule_fail(&a->error, RULE_INVALID_PARTITIONS,
                         "Number of partitions was set to an invalid non-positive value.");
    if (w->replication_factor < -1 || w->replication_factor == 0)
        return rule_fail(&a->error, RULE_INVALID_REPLICATION_FACTOR,
                         "Replication factor was set to an invalid non-positive value.");
    a->partitions = w->partitions == -1 ? c->default_partitions : w->partitions;
    a->replication_factor = w->replication_factor == -1 ? c->default_replication_factor : w->replication_factor;
    if (a->replication_factor > (int16_t)REPLICAS_MAX)
        return rule_fail(&a->error, RULE_INVALID_REPLICATION_FACTOR, "at most %u replicas for a partition",
                         REPLICAS_MAX);
    return true;
}

static bool configs_sound(const struct controller *c, const struct topic_wish *w, struct rule_error *e)
{
    for (uint32_t i = 0; i < w->config_count; i++) {
        for (uint32_t k = 0; k < i && w->config_count <= 256; k++)
            if (str_equal(w->configs[i].key, w->configs[k].key))
                return rule_fail(e, RULE_INVALID_REQUEST, "%.*s stands twice", PRINTABLE(w->configs[i].key));
        if (!rule_config_value(c, RESOURCE_TOPIC, w->configs[i].key, w->configs[i].value, e)) return false;
    }
    if (w->config_count > 256) return rule_fail(e, RULE_INVALID_REQUEST, "more than 256 settings");
    return true;
}

/* Assignments in the order of their partitions; each partition once, from 0 on, all with as many replicas. */
static enum status assign(const struct controller *c, const struct topic_wish *w, struct uuid id, struct record_list *l,
                          struct rule_error *e)
{
    uint32_t n = w->assignment_count;
    const struct ids **by_number = arena_zalloc(l->arena, n * sizeof *by_number);
    if (by_number == NULL) return STATUS_NO_MEMORY;
    for (uint32_t i = 0; i < n; i++) {
        const struct replica_assignment *x = &w->assignments[i];
        bool ok = assignment_sound(c, x->brokers, e);
        if (ok && (x->partition < 0 || (uint32_t)x->partition >= n))
            ok = rule_fail(e, RULE_INVALID_REPLICA_ASSIGNMENT,
                           "partitions should be a consecutive 0-based integer sequence");
        if (ok && by_number[x->partition] != NULL)
            ok = rule_fail(e, RULE_INVALID_REPLICA_ASSIGNMENT,
                           "Found multiple manual partition assignments for partition %d", x->partition);
        if (ok && x->brokers.count != w->assignments[0].brokers.count)
            ok = rule_fail(e, RULE_INVALID_REPLICA_ASSIGNMENT,
                           "The manual partition assignment includes a partition with %u replica(s), but this is not "
                           "consistent with previous partitions, which have %u replica(s).",
                           x->brokers.count, w->assignments[0].brokers.count);
        if (!ok) return STATUS_OK;
        by_number[x->partition] = &x->brokers;
    }
    enum status s = STATUS_OK;
    for (uint32_t i = 0; s == STATUS_OK && i < n; i++) s = add_partition(c, l, id, (int32_t)i, *by_number[i]);
    return s;
}

static struct uuid new_id(const struct controller *c)
{
    struct uuid id;
    do {
        for (size_t i = 0; i < sizeof id.b; i += 8) {
            uint64_t r = prng_next(c->random);
            memcpy(id.b + i, &r, 8);
        }
        id.b[6] = (uint8_t)((id.b[6] & 0x0fu) | 0x40u); /* version 4 (RFC 9562) */
        id.b[8] = (uint8_t)((id.b[8] & 0x3fu) | 0x80u);
    } while (id.b[0] == 0 || image_topic_by_id(c->image, id) != NULL); /* Kafka's reserved ids begin with zeros */
    return id;
}

static enum status create_one(const struct controller *c, const struct topic_wish *w, struct record_list *l,
                              struct topic_answer *a)
{
    if (!name_free(c, w->name, &a->error) || !sizes_sound(c, w, a) || !configs_sound(c, w, &a->error)) return STATUS_OK;
    struct record *r = record_list_add(l, RECORD_TOPIC);
    if (r == NULL) return STATUS_NO_MEMORY;
    a->id = new_id(c);
    r->topic.name = w->name;
    r->topic.id = a->id;
    enum status s = w->assignment_count > 0 ? assign(c, w, a->id, l, &a->error)
                                            : place(c, l, a->id, 0, a->partitions, a->replication_factor, &a->error);
    for (uint32_t i = 0; s == STATUS_OK && a->error.code == RULE_OK && i < w->config_count; i++)
        s = rule_config_record(l, RESOURCE_TOPIC, w->name, w->configs[i].key, w->configs[i].value);
    return s;
}

/* More partitions than Kafka takes at once, or more records than a batch holds; NULL: neither. */
static const char *too_many(const struct controller *c, const struct topic_wish *wishes, uint32_t count,
                            const struct record_list *records)
{
    uint64_t n = 0, all = (uint64_t)records->count + count;
    for (uint32_t i = 0; i < count; i++) {
        int32_t partitions = wishes[i].partitions == -1 ? c->default_partitions : MAX(wishes[i].partitions, 0);
        n += wishes[i].assignment_count > 0 ? wishes[i].assignment_count : (uint32_t)partitions;
        all += wishes[i].config_count;
    }
    if (n > TOPIC_PARTITIONS_PER_CALL) return "Excessively large number of partitions per request.";
    return n + all > RECORDS_MAX ? "Unable to perform excessively large batch operation." : NULL;
}

enum status controller_create_topics(const struct controller *c, const struct topic_wish *wishes, uint32_t count,
                                     bool validate_only, struct record_list *records, struct topic_answer *ret_answers)
{
    uint32_t before = records->count;
    const char *refused = too_many(c, wishes, count, records);
    for (uint32_t i = 0; i < count; i++) {
        ret_answers[i] = (struct topic_answer){.partitions = -1, .replication_factor = -1};
        if (refused != NULL) (void)rule_fail(&ret_answers[i].error, RULE_POLICY_VIOLATION, "%s", refused);
    }
    enum status s = refused != NULL ? STATUS_OK : refuse_twins(wishes, count, records->arena, ret_answers);
    for (uint32_t i = 0; s == STATUS_OK && i < count; i++) {
        uint32_t mark = records->count;
        if (ret_answers[i].error.code != RULE_OK) continue;
        s = create_one(c, &wishes[i], records, &ret_answers[i]);
        if (ret_answers[i].error.code != RULE_OK) records_cut(records, mark);
    }
    if (s != STATUS_OK || validate_only) records_cut(records, before);
    return s;
}

/* --- delete --- */

enum status controller_delete_topic(const struct controller *c, const struct topic_ref *t, struct record_list *records,
                                    struct rule_error *ret_error, const struct image_topic **ret_topic)
{
    const struct image_topic *found = NULL;
    rule_ok(ret_error);
    if (t->name.len > 0)
        found = image_topic_by_name(c->image, t->name);
    else if (t->name.len < 0)
        found = image_topic_by_id(c->image, t->id);
    for (uint32_t i = 0; found != NULL && i < records->count; i++) /* another wish of this batch has it already */
        if (records->records[i].type == RECORD_REMOVE_TOPIC && uuid_equal(records->records[i].topic.id, found->id))
            found = NULL;
    if (found == NULL) {
        if (t->name.len >= 0)
            (void)rule_fail(ret_error, RULE_UNKNOWN_TOPIC_OR_PARTITION,
                            "This server does not host this topic-partition.");
        else
            (void)rule_fail(ret_error, RULE_UNKNOWN_TOPIC_ID, "This server does not host this topic ID.");
        return STATUS_OK;
    }
    struct record *r = record_list_add(records, RECORD_REMOVE_TOPIC);
    if (r == NULL) return STATUS_NO_MEMORY;
    r->topic.id = found->id;
    r->topic.deleted_ms = c->undelete_ms > 0 ? c->now_ms : 0;
    *ret_topic = found;
    return STATUS_OK;
}

/* --- undelete --- */

static bool expired(const struct controller *c, const struct image_deleted_topic *d)
{
    return c->now_ms - d->deleted_ms >= c->undelete_ms;
}

/* By another wish of the same batch. */
static bool restored_already(const struct record_list *records, const struct image_topic *t, struct rule_error *e)
{
    for (uint32_t i = 0; i < records->count; i++)
        if (records->records[i].type == RECORD_RESTORE_TOPIC && uuid_equal(records->records[i].topic.id, t->id))
            return !rule_fail(e, RULE_INVALID_REQUEST, "Duplicate topic name.");
    return false;
}

enum status controller_restore_topic(const struct controller *c, const struct topic_ref *t, struct record_list *records,
                                     struct rule_error *ret_error, const struct image_topic **ret_topic)
{
    const struct image_deleted_topic *d = image_deleted_find(image_deleted(c->image), t->name, t->id);
    rule_ok(ret_error);
    if (d == NULL) {
        if (t->name.len < 0)
            (void)rule_fail(ret_error, RULE_UNKNOWN_TOPIC_ID, "No deleted topic has this topic ID.");
        else if (image_topic_by_name(c->image, t->name) != NULL)
            (void)rule_fail(ret_error, RULE_TOPIC_ALREADY_EXISTS, "Topic '%.*s' is there.", PRINTABLE(t->name));
        else
            (void)rule_fail(ret_error, RULE_UNKNOWN_TOPIC_OR_PARTITION,
                            "Topic '%.*s' is not among the deleted ones: it never was there, or was deleted longer ago "
                            "than leat.undelete.ms.",
                            PRINTABLE(t->name));
        return STATUS_OK;
    }
    if (expired(c, d)) {
        (void)rule_fail(ret_error, RULE_UNKNOWN_TOPIC_OR_PARTITION,
                        "Topic '%.*s' was deleted %lld s ago; leat.undelete.ms keeps it for %lld s.",
                        PRINTABLE(d->topic->name), (long long)((c->now_ms - d->deleted_ms) / 1000),
                        (long long)(c->undelete_ms / 1000));
        return STATUS_OK;
    }
    if (!name_free(c, d->topic->name, ret_error) || restored_already(records, d->topic, ret_error)) return STATUS_OK;
    struct record *r = record_list_add(records, RECORD_RESTORE_TOPIC);
    if (r == NULL) return STATUS_NO_MEMORY;
    r->topic.id = d->topic->id;
    *ret_topic = d->topic;
    return STATUS_OK;
}

enum status controller_forget_topics(const struct controller *c, struct record_list *records)
{
    const struct image_deleted *d = image_deleted(c->image);
    uint64_t partitions = d->partition_count;
    for (uint32_t i = 0; i < d->count; i++) {
        bool many = d->count - i > DELETED_TOPICS_MAX || (partitions > DELETED_PARTITIONS_MAX && i + 1 < d->count);
        if (!many && !expired(c, &d->topics[i])) break;
        if (records->count >= RECORDS_MAX / 2) break; /* the others with the next call */
        struct record *r = record_list_add(records, RECORD_FORGET_TOPIC);
        if (r == NULL) return STATUS_NO_MEMORY;
        r->topic.id = d->topics[i].topic->id;
        partitions -= d->topics[i].topic->partition_count;
    }
    return STATUS_OK;
}

/* --- more partitions --- */

static bool growth_sound(const struct image_topic *t, const struct partitions_wish *w, struct rule_error *e)
{
    int32_t have = (int32_t)t->partition_count;
    if (w->count == have) return rule_fail(e, RULE_INVALID_PARTITIONS, "Topic already has %d partition(s).", have);
    if (w->count < have)
        return rule_fail(e, RULE_INVALID_PARTITIONS,
                         "The topic %s currently has %d partition(s); %d would not be an increase.", t->name.data, have,
                         w->count);
    if (w->count > (int32_t)PARTITIONS_MAX || w->count - have > (int32_t)TOPIC_PARTITIONS_PER_CALL)
        return rule_fail(e, RULE_INVALID_PARTITIONS, "at most %u partitions at a time, and %u in all",
                         TOPIC_PARTITIONS_PER_CALL, PARTITIONS_MAX);
    if (w->assignment_count > 0 && w->assignment_count != (uint32_t)(w->count - have))
        return rule_fail(e, RULE_INVALID_REPLICA_ASSIGNMENT,
                         "Attempted to add %d additional partition(s), but only %u assignment(s) were specified.",
                         w->count - have, w->assignment_count);
    return true;
}

static enum status grow(const struct controller *c, const struct image_topic *t, const struct partitions_wish *w,
                        struct record_list *l, struct rule_error *e)
{
    int32_t have = (int32_t)t->partition_count;
    uint32_t factor = have > 0 ? t->partitions[0]->replicas.count : 1;
    enum status s = STATUS_OK;
    if (w->assignment_count == 0) return place(c, l, t->id, have, w->count - have, (int16_t)factor, e);
    for (uint32_t i = 0; s == STATUS_OK && i < w->assignment_count; i++) {
        if (!assignment_sound(c, w->assignments[i], e)) return STATUS_OK;
        if (w->assignments[i].count != factor) {
            (void)rule_fail(e, RULE_INVALID_REPLICA_ASSIGNMENT,
                            "The manual partition assignment includes a partition with %u replica(s), but this is not "
                            "consistent with previous partitions, which have %u replica(s).",
                            w->assignments[i].count, factor);
            return STATUS_OK;
        }
        s = add_partition(c, l, t->id, have + (int32_t)i, w->assignments[i]);
    }
    return s;
}

enum status controller_create_partitions(const struct controller *c, const struct partitions_wish *w,
                                         bool validate_only, struct record_list *records, struct rule_error *ret_error)
{
    uint32_t before = records->count;
    const struct image_topic *t = w->topic.len > 0 ? image_topic_by_name(c->image, w->topic) : NULL;
    rule_ok(ret_error);
    if (t == NULL) {
        (void)rule_fail(ret_error, RULE_UNKNOWN_TOPIC_OR_PARTITION, "This server does not host this topic-partition.");
        return STATUS_OK;
    }
    if (!growth_sound(t, w, ret_error)) return STATUS_OK;
    enum status s = grow(c, t, w, records, ret_error);
    if (s != STATUS_OK || ret_error->code != RULE_OK || validate_only) records_cut(records, before);
    return s;
}

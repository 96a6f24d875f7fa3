// SPDX-License-Identifier: Apache-2.0
/* leat topic describe: partitions with leader, replicas, in-sync replicas, first offset and end; settings.
 *
 * Failure modes: a partition without leader has no offsets, the others are shown; a broker that does not serve settings
 * is told so on standard error, the rest is shown. */
#include "tools/leat/commands.h"
#include "tools/leat/offsets.h"
#include "tools/leat/settings.h"

#include <stdlib.h>
#include <string.h>

static const struct option_spec options[] = {
    {'a', "all", NULL, "settings at their default, too", NULL},
    {'\0', NULL, NULL, NULL, NULL},
};

struct description {
    const struct leat_topic *topic;
    struct leat_offset *first, *end; /* per partition */
    struct leat_settings *settings;  /* NULL: not known */
};

static const char *ids(char out[200], const int32_t *list, size_t count)
{
    size_t len = 0;
    snprintf(out, 200, "-");
    for (size_t i = 0; i < count && len < 180; i++)
        len += (size_t)snprintf(out + len, 200 - len, "%s%d", i > 0 ? "," : "", list[i]);
    return out;
}

static void cell_offset(struct table *table, const struct leat_offset *o)
{
    if (o->kafka_code == 0)
        table_cell(table, "%lld", (long long)o->offset);
    else
        table_cell(table, "-");
}

static bool shown(const struct leat_value *v, bool all)
{
    return all || v->source == LEAT_SOURCE_TOPIC;
}

static void print_text(const struct session *s, const struct description *d, bool all)
{
    static const char *const heads[] = {"PARTITION", "LEADER", "EPOCH", "FIRST", "END", "REPLICAS", "IN SYNC"};
    const struct leat_topic *t = d->topic;
    struct table table;
    char list[200];
    print_heading(s, t->name);
    printf(": %zu partitions\n", t->partition_count);
    table_init(&table, 7);
    for (size_t i = 0; i < 7; i++) table_cell(&table, "%s", heads[i]);
    for (size_t i = 0; i < t->partition_count; i++) {
        const struct leat_partition *p = &t->partitions[i];
        table_cell(&table, "%d", p->number);
        if (p->leader < 0)
            table_cell(&table, "-");
        else
            table_cell(&table, "%d", p->leader);
        table_cell(&table, "%d", p->leader_epoch);
        cell_offset(&table, &d->first[i]);
        cell_offset(&table, &d->end[i]);
        table_cell(&table, "%s", ids(list, p->replicas, p->replica_count));
        table_cell(&table, "%s", ids(list, p->isr, p->isr_count));
    }
    table_print(s, &table);
    table_free(&table);
    for (size_t i = 0; d->settings != NULL && i < d->settings->count; i++) {
        const struct leat_value *v = &d->settings->values[i];
        if (shown(v, all))
            print_plain("%s=%s%s%s%s\n", v->name,
                        v->sensitive ? "(hidden)"
                        : v->value   ? v->value
                                     : "",
                        all ? "   # " : "", all ? source_name(v->source) : "", all && v->read_only ? ", fixed" : "");
    }
}

static json_t *json_ids(const int32_t *list, size_t count)
{
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++) json_array_append_new(array, json_integer(list[i]));
    return array;
}

static json_t *json_offset(const struct leat_offset *o)
{
    return o->kafka_code == 0 ? json_integer(o->offset) : json_null();
}

static json_t *topic_json(const struct description *d, bool all)
{
    const struct leat_topic *t = d->topic;
    json_t *partitions = json_array(), *settings = d->settings == NULL ? json_null() : json_object();
    char id[33] = "";
    for (size_t i = 0; i < sizeof t->id; i++) snprintf(id + 2 * i, 3, "%02x", t->id[i]);
    for (size_t i = 0; i < t->partition_count; i++) {
        const struct leat_partition *p = &t->partitions[i];
        json_array_append_new(
            partitions, json_pack("{s:i, s:o, s:i, s:o, s:o, s:o, s:o, s:o}", "partition", p->number, "leader",
                                  p->leader < 0 ? json_null() : json_integer(p->leader), "leader_epoch",
                                  p->leader_epoch, "first_offset", json_offset(&d->first[i]), "end_offset",
                                  json_offset(&d->end[i]), "replicas", json_ids(p->replicas, p->replica_count), "isr",
                                  json_ids(p->isr, p->isr_count), "offline", json_ids(p->offline, p->offline_count)));
    }
    for (size_t i = 0; d->settings != NULL && i < d->settings->count; i++) {
        const struct leat_value *v = &d->settings->values[i];
        if (shown(v, all)) json_object_set_new(settings, v->name, json_name(v->value));
    }
    return json_pack("{s:o, s:s, s:b, s:o, s:o}", "name", json_name(t->name), "id", id, "internal", t->internal,
                     "partitions", partitions, "settings", settings);
}

static bool describe(struct session *s, const struct leat_topic *t, bool all, json_t *array, int *ret_code)
{
    struct description d = {.topic = t};
    struct leat_error e;
    d.first = calloc(t->partition_count + 1, sizeof *d.first);
    d.end = calloc(t->partition_count + 1, sizeof *d.end);
    if (d.first == NULL || d.end == NULL) abort();
    bool good = topic_offsets(s, t, d.first, d.end, ret_code);
    enum leat_code code =
        good ? leat_settings_get(s->client, LEAT_TOPIC, t->name, s->timeout_ms, &d.settings, &e) : LEAT_OK;
    if (good && code == LEAT_UNSUPPORTED) complain(s, "no settings: %s", e.text);
    if (good && code != LEAT_OK && code != LEAT_UNSUPPORTED) {
        *ret_code = complain_leat(s, &e);
        good = false;
    }
    if (good && s->json)
        json_array_append_new(array, topic_json(&d, all));
    else if (good)
        print_text(s, &d, all);
    free(d.first);
    free(d.end);
    leat_settings_free(d.settings);
    return good;
}

static int run(struct session *s, const struct args *a)
{
    struct leat_cluster *cluster;
    struct leat_error e;
    int code = EXIT_DONE;
    if (!session_client(s, &code)) return code;
    if (leat_cluster_get(s->client, (const char *const *)a->words, (size_t)a->word_count, s->timeout_ms, &cluster,
                         &e) != LEAT_OK)
        return complain_leat(s, &e);
    json_t *array = json_array();
    for (size_t i = 0; i < cluster->topic_count; i++) {
        const struct leat_topic *t = &cluster->topics[i];
        if (t->kafka_code == 0) {
            if (!s->json && i > 0) putchar('\n');
            if (!describe(s, t, args_value(a, "all") != NULL, array, &code)) break;
            continue;
        }
        code = EXIT_FAILED;
        complain(s, "there is no topic '%s' (%s); `leat topic list` shows what there is", t->name,
                 leat_kafka_error_name(t->kafka_code));
    }
    if (s->json) print_json(s, json_incref(array));
    json_decref(array);
    leat_cluster_free(cluster);
    return code;
}

const struct command command_topic_describe = {
    .group = "topic",
    .name = "describe",
    .words = "TOPIC...",
    .summary = "partitions, leaders, offsets, settings",
    .options = options,
    .words_min = 1,
    .words_max = -1,
    .complete = COMPLETE_TOPICS,
    .run = run,
};

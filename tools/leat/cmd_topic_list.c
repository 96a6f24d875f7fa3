// SPDX-License-Identifier: Apache-2.0
/* leat topic list: name, partitions, replicas of every topic, as any broker knows them; or what was deleted and can be
 * taken back. */
#include "tools/leat/commands.h"
#include "tools/leat/session.h"
#include "tools/leat/when.h"

static const struct option_spec options[] = {
    {'a', "all", NULL, "internal topics, too", NULL},
    {'\0', "deleted", NULL, "topics that `leat topic undelete` can take back", NULL},
    {'\0', "names", NULL, "names only, one a line", NULL},
    {'\0', NULL, NULL, NULL, NULL},
};

static size_t replicas(const struct leat_topic *t)
{
    return t->partition_count > 0 ? t->partitions[0].replica_count : 0;
}

static void list(const struct session *s, const struct leat_cluster *c, bool all, bool names)
{
    struct table table;
    json_t *array = json_array();
    table_init(&table, 3);
    table_cell(&table, "TOPIC");
    table_cell(&table, "PARTITIONS");
    table_cell(&table, "REPLICAS");
    for (size_t i = 0; i < c->topic_count; i++) {
        const struct leat_topic *t = &c->topics[i];
        if (t->internal && !all) continue;
        if (s->json)
            json_array_append_new(array, json_pack("{s:o, s:I, s:I, s:b}", "name", json_name(t->name), "partitions",
                                                   (json_int_t)t->partition_count, "replicas", (json_int_t)replicas(t),
                                                   "internal", t->internal));
        else if (names)
            print_plain("%s\n", t->name);
        table_cell(&table, "%s", t->name);
        table_cell(&table, "%zu", t->partition_count);
        table_cell(&table, "%zu", replicas(t));
    }
    if (s->json)
        print_json(s, json_incref(array));
    else if (!names)
        table_print(s, &table);
    json_decref(array);
    table_free(&table);
}

static void list_deleted(const struct session *s, const struct leat_deleted_topics *d, bool names)
{
    static const char *const heads[] = {"TOPIC", "PARTITIONS", "DELETED", "KEPT UNTIL", "ID"};
    struct table table;
    json_t *array = json_array();
    table_init(&table, 5);
    for (size_t i = 0; i < 5; i++) table_cell(&table, "%s", heads[i]);
    for (size_t i = 0; i < d->count; i++) {
        const struct leat_deleted_topic *t = &d->topics[i];
        char when[TIME_TEXT_BYTES], id[33] = "";
        for (size_t k = 0; k < sizeof t->id; k++) snprintf(id + 2 * k, 3, "%02x", t->id[k]);
        if (s->json)
            json_array_append_new(array, json_pack("{s:o, s:s, s:i, s:I, s:I}", "name", json_name(t->name), "id", id,
                                                   "partitions", t->partitions, "deleted_ms", (json_int_t)t->deleted_ms,
                                                   "kept_until_ms", (json_int_t)t->kept_until_ms));
        else if (names)
            print_plain("%s\n", t->name);
        table_cell(&table, "%s", t->name);
        table_cell(&table, "%d", t->partitions);
        table_cell(&table, "%s", time_text(when, t->deleted_ms));
        table_cell(&table, "%s", time_text(when, t->kept_until_ms));
        table_cell(&table, "%s", id);
    }
    if (s->json)
        print_json(s, json_incref(array));
    else if (!names)
        table_print(s, &table);
    if (d->total > d->count) complain(s, "the newest %zu of %zu", d->count, d->total);
    json_decref(array);
    table_free(&table);
}

static int run_deleted(struct session *s, bool names)
{
    struct leat_deleted_topics *deleted;
    struct leat_error e;
    if (leat_deleted_topics_get(s->client, s->timeout_ms, &deleted, &e) != LEAT_OK) return complain_leat(s, &e);
    list_deleted(s, deleted, names);
    leat_deleted_topics_free(deleted);
    return EXIT_DONE;
}

static int run(struct session *s, const struct args *a)
{
    struct leat_cluster *cluster;
    struct leat_error e;
    int code = EXIT_DONE;
    if (!session_client(s, &code)) return code;
    if (args_value(a, "deleted") != NULL) return run_deleted(s, args_value(a, "names") != NULL);
    if (leat_cluster_get(s->client, NULL, 0, s->timeout_ms, &cluster, &e) != LEAT_OK) return complain_leat(s, &e);
    list(s, cluster, args_value(a, "all") != NULL, args_value(a, "names") != NULL);
    leat_cluster_free(cluster);
    return EXIT_DONE;
}

const struct command command_topic_list = {
    .group = "topic",
    .name = "list",
    .words = "",
    .summary = "every topic",
    .options = options,
    .run = run,
};

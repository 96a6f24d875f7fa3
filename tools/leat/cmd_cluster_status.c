// SPDX-License-Identifier: Apache-2.0
/* leat cluster status: brokers, what they lead and hold, and which partitions are in trouble.
 *
 * Failure modes: a broker that does not tell what is on its disks has "-" there and a line on standard error. Exit code
 * 4 when a partition has no leader or fewer in-sync replicas than replicas: a script can watch it. */
#include "tools/leat/commands.h"
#include "tools/leat/session.h"

#include <stdlib.h>

static const struct option_spec options[] = {{'\0', NULL, NULL, NULL, NULL}};

struct broker {
    const struct leat_node *node;
    uint32_t leads, holds;
    bool known; /* its disks */
    uint64_t bytes;
    uint32_t dirs, dirs_offline;
};

struct totals {
    uint32_t topics, partitions, offline, under_replicated;
    json_t *offline_list, *under_list;
};

static struct broker *broker_of(struct broker *all, size_t n, int32_t id)
{
    for (size_t i = 0; i < n; i++)
        if (all[i].node->id == id) return &all[i];
    return NULL;
}

static void ask_disks(struct session *s, struct broker *b)
{
    struct leat_log_dirs *dirs;
    struct leat_error e;
    if (leat_log_dirs_get(s->client, b->node, s->timeout_ms, &dirs, &e) != LEAT_OK) {
        complain(s, "disks of broker %d: %s", b->node->id, e.text);
        return;
    }
    b->known = true;
    b->dirs = (uint32_t)dirs->count;
    for (size_t i = 0; i < dirs->count; i++) {
        b->dirs_offline += dirs->dirs[i].kafka_code != 0;
        for (size_t k = 0; k < dirs->dirs[i].replica_count; k++)
            b->bytes += (uint64_t)(dirs->dirs[i].replicas[k].bytes > 0 ? dirs->dirs[i].replicas[k].bytes : 0);
    }
    leat_log_dirs_free(dirs);
}

static void trouble(json_t *list, const struct leat_topic *t, const struct leat_partition *p)
{
    json_array_append_new(list, json_pack("{s:o, s:i}", "topic", json_name(t->name), "partition", p->number));
}

static void count(const struct leat_cluster *c, struct broker *brokers, struct totals *ret)
{
    *ret =
        (struct totals){.topics = (uint32_t)c->topic_count, .offline_list = json_array(), .under_list = json_array()};
    for (size_t i = 0; i < c->topic_count; i++) {
        const struct leat_topic *t = &c->topics[i];
        for (size_t k = 0; k < t->partition_count; k++) {
            const struct leat_partition *p = &t->partitions[k];
            struct broker *leader = broker_of(brokers, c->node_count, p->leader);
            ret->partitions++;
            if (leader != NULL) leader->leads++;
            for (size_t r = 0; r < p->replica_count; r++) {
                struct broker *b = broker_of(brokers, c->node_count, p->replicas[r]);
                if (b != NULL) b->holds++;
            }
            if (p->leader < 0) {
                ret->offline++;
                trouble(ret->offline_list, t, p);
            } else if (p->isr_count < p->replica_count) {
                ret->under_replicated++;
                trouble(ret->under_list, t, p);
            }
        }
    }
}

static void print_list(const char *what, json_t *list)
{
    size_t i;
    json_t *value;
    if (json_array_size(list) == 0) return;
    printf("%s:", what);
    json_array_foreach(list, i, value)
    {
        const char *topic = json_string_value(json_object_get(value, "topic"));
        print_plain(" %s-%lld", topic ? topic : "?",
                    (long long)json_integer_value(json_object_get(value, "partition")));
    }
    putchar('\n');
}

static void print_text(const struct session *s, const struct leat_cluster *c, const struct broker *brokers,
                       const struct totals *t)
{
    static const char *const heads[] = {"BROKER", "ADDRESS", "RACK", "LEADS", "HOLDS", "ON DISK", "DIRECTORIES"};
    struct table table;
    char bytes[32];
    bool bad = t->offline + t->under_replicated > 0;
    table_init(&table, 7);
    for (size_t i = 0; i < 7; i++) table_cell(&table, "%s", heads[i]);
    for (size_t i = 0; i < c->node_count; i++) {
        const struct broker *b = &brokers[i];
        table_cell(&table, "%d%s", b->node->id, b->node->id == c->controller ? "*" : "");
        table_cell(&table, "%s:%d", b->node->host, b->node->port);
        table_cell(&table, "%s", b->node->rack ? b->node->rack : "-");
        table_cell(&table, "%u", b->leads);
        table_cell(&table, "%u", b->holds);
        table_cell(&table, "%s", b->known ? human_bytes(bytes, b->bytes) : "-");
        if (b->known && b->dirs_offline > 0)
            table_cell(&table, "%u, %u offline", b->dirs, b->dirs_offline);
        else
            table_cell(&table, b->known ? "%u" : "-", b->dirs);
    }
    print_plain("cluster %s, %zu brokers (* controller), %u topics, %u partitions\n", c->id ? c->id : "without id",
                c->node_count, t->topics, t->partitions);
    table_print(s, &table);
    printf("%s%u partitions offline, %u under-replicated%s\n", color_begin(s->color_out, bad ? COLOR_BAD : COLOR_GOOD),
           t->offline, t->under_replicated, color_end(s->color_out));
    print_list("offline", t->offline_list);
    print_list("under-replicated", t->under_list);
    table_free(&table);
}

static json_t *status_json(const struct leat_cluster *c, const struct broker *brokers, const struct totals *t)
{
    json_t *array = json_array();
    for (size_t i = 0; i < c->node_count; i++) {
        const struct broker *b = &brokers[i];
        json_array_append_new(array, json_pack("{s:i, s:o, s:i, s:o, s:b, s:i, s:i, s:o, s:o, s:o}", "id", b->node->id,
                                               "host", json_name(b->node->host), "port", b->node->port, "rack",
                                               json_name(b->node->rack), "controller", b->node->id == c->controller,
                                               "leads", (int)b->leads, "holds", (int)b->holds, "disk_bytes",
                                               b->known ? json_integer((json_int_t)b->bytes) : json_null(), "log_dirs",
                                               b->known ? json_integer(b->dirs) : json_null(), "log_dirs_offline",
                                               b->known ? json_integer(b->dirs_offline) : json_null()));
    }
    return json_pack("{s:o, s:i, s:o, s:i, s:i, s:O, s:O}", "cluster_id", json_name(c->id), "controller", c->controller,
                     "brokers", array, "topics", (int)t->topics, "partitions", (int)t->partitions, "offline",
                     t->offline_list, "under_replicated", t->under_list);
}

static int run(struct session *s, const struct args *a)
{
    struct leat_cluster *c;
    struct leat_error e;
    struct totals totals;
    int code = EXIT_DONE;
    if (!session_client(s, &code)) return code;
    if (leat_cluster_get(s->client, NULL, 0, s->timeout_ms, &c, &e) != LEAT_OK) return complain_leat(s, &e);
    struct broker *brokers = calloc(c->node_count + 1, sizeof *brokers);
    if (brokers == NULL) abort();
    for (size_t i = 0; i < c->node_count; i++) {
        brokers[i].node = &c->nodes[i];
        ask_disks(s, &brokers[i]);
    }
    count(c, brokers, &totals);
    if (s->json)
        print_json(s, status_json(c, brokers, &totals));
    else
        print_text(s, c, brokers, &totals);
    json_decref(totals.offline_list);
    json_decref(totals.under_list);
    free(brokers);
    leat_cluster_free(c);
    return totals.offline + totals.under_replicated > 0 ? EXIT_BAD_NEWS : EXIT_DONE;
}

const struct command command_cluster_status = {
    .group = "cluster",
    .name = "status",
    .words = "",
    .summary = "brokers, partitions in trouble, disks",
    .options = options,
    .run = run,
};

// SPDX-License-Identifier: Apache-2.0
/* leat group describe: state, members, and which partitions each of them reads. `leat group lag` says how far. */
#include "tools/leat/commands.h"
#include "tools/leat/session.h"

#include <stdlib.h>
#include <string.h>

static const struct option_spec options[] = {{'\0', NULL, NULL, NULL, NULL}};

/* "orders:0,1 sales:4", one topic after another; the caller frees it */
static char *assigned_text(const struct leat_member *m)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL) abort();
    if (m->assigned_count == 0) fputc('-', out);
    for (size_t i = 0; i < m->assigned_count; i++) {
        bool same = i > 0 && strcmp(m->assigned[i].topic, m->assigned[i - 1].topic) == 0;
        if (same)
            fprintf(out, ",%d", m->assigned[i].partition);
        else
            fprintf(out, "%s%s:%d", i > 0 ? " " : "", m->assigned[i].topic, m->assigned[i].partition);
    }
    if (fclose(out) != 0) abort();
    return text;
}

static void print_text(const struct session *s, const struct leat_group_state *g)
{
    static const char *const heads[] = {"MEMBER", "CLIENT", "HOST", "STATIC", "READS"};
    struct table table;
    print_heading(s, g->group.name);
    print_plain(": %s, %s group, assignor %s, coordinator %d, %zu members\n", g->group.state, g->group.type,
                g->assignor[0] ? g->assignor : "-", g->group.coordinator, g->member_count);
    if (g->member_count == 0) return;
    table_init(&table, 5);
    for (size_t i = 0; i < 5; i++) table_cell(&table, "%s", heads[i]);
    for (size_t i = 0; i < g->member_count; i++) {
        const struct leat_member *m = &g->members[i];
        char *assigned = assigned_text(m);
        table_cell(&table, "%s", m->id);
        table_cell(&table, "%s", m->client_id);
        table_cell(&table, "%s", m->host);
        table_cell(&table, "%s", m->instance_id ? m->instance_id : "-");
        table_cell(&table, "%s", assigned);
        free(assigned);
    }
    table_print(s, &table);
    table_free(&table);
}

static json_t *member_json(const struct leat_member *m)
{
    json_t *assigned = json_array();
    for (size_t i = 0; i < m->assigned_count; i++)
        json_array_append_new(assigned, json_pack("{s:o, s:i}", "topic", json_name(m->assigned[i].topic), "partition",
                                                  m->assigned[i].partition));
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "id", json_name(m->id), "instance_id", json_name(m->instance_id),
                     "client_id", json_name(m->client_id), "host", json_name(m->host), "assigned", assigned);
}

static json_t *group_json(const struct leat_group_state *g)
{
    json_t *members = json_array();
    for (size_t i = 0; i < g->member_count; i++) json_array_append_new(members, member_json(&g->members[i]));
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:i, s:o, s:o}", "name", json_name(g->group.name), "type",
                     json_name(g->group.type), "protocol", json_name(g->group.protocol), "state",
                     json_name(g->group.state), "assignor", json_name(g->assignor), "coordinator", g->group.coordinator,
                     "epoch", g->epoch < 0 ? json_null() : json_integer(g->epoch), "members", members);
}

static int run(struct session *s, const struct args *a)
{
    int code = EXIT_DONE;
    if (!session_client(s, &code)) return code;
    json_t *array = json_array();
    for (int i = 0; i < a->word_count; i++) {
        struct leat_group_state *g;
        struct leat_error e;
        if (leat_group_get(s->client, a->words[i], s->timeout_ms, &g, &e) != LEAT_OK) {
            code = complain_leat(s, &e);
            if (code == EXIT_UNREACHABLE) break;
            continue;
        }
        if (s->json)
            json_array_append_new(array, group_json(g));
        else
            print_text(s, g);
        leat_group_state_free(g);
    }
    if (s->json) print_json(s, json_incref(array));
    json_decref(array);
    return code;
}

const struct command command_group_describe = {
    .group = "group",
    .name = "describe",
    .words = "GROUP...",
    .summary = "state, members, who reads what",
    .options = options,
    .words_min = 1,
    .words_max = -1,
    .complete = COMPLETE_GROUPS,
    .run = run,
};

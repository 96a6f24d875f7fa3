// SPDX-License-Identifier: Apache-2.0
/* leat group list: every group that a broker coordinates. A broker that does not answer is told on standard error, and
 * the exit code is 1: its groups are missing. */
#include "tools/leat/commands.h"
#include "tools/leat/session.h"

static const struct option_spec options[] = {
    {'\0', "names", NULL, "names only, one a line", NULL},
    {'\0', NULL, NULL, NULL, NULL},
};

static void list(const struct session *s, const struct leat_groups *g, bool names)
{
    static const char *const heads[] = {"GROUP", "TYPE", "PROTOCOL", "STATE", "COORDINATOR"};
    struct table table;
    json_t *array = json_array();
    table_init(&table, 5);
    for (size_t i = 0; i < 5; i++) table_cell(&table, "%s", heads[i]);
    for (size_t i = 0; i < g->count; i++) {
        const struct leat_group *one = &g->groups[i];
        if (s->json)
            json_array_append_new(array, json_pack("{s:o, s:o, s:o, s:o, s:i}", "name", json_name(one->name), "type",
                                                   json_name(one->type), "protocol", json_name(one->protocol), "state",
                                                   json_name(one->state), "coordinator", one->coordinator));
        else if (names)
            print_plain("%s\n", one->name);
        table_cell(&table, "%s", one->name);
        table_cell(&table, "%s", one->type[0] ? one->type : "-");
        table_cell(&table, "%s", one->protocol[0] ? one->protocol : "-");
        table_cell(&table, "%s", one->state[0] ? one->state : "-");
        table_cell(&table, "%d", one->coordinator);
    }
    if (s->json)
        print_json(s, json_incref(array));
    else if (!names)
        table_print(s, &table);
    json_decref(array);
    table_free(&table);
}

static int run(struct session *s, const struct args *a)
{
    struct leat_groups *groups;
    struct leat_error e;
    int code = EXIT_DONE;
    if (!session_client(s, &code)) return code;
    if (leat_groups_get(s->client, s->timeout_ms, &groups, &e) != LEAT_OK) return complain_leat(s, &e);
    list(s, groups, args_value(a, "names") != NULL);
    for (size_t i = 0; i < groups->silent_count; i++)
        complain(s, "broker %d does not answer: the groups that it coordinates are missing", groups->silent[i]);
    code = groups->silent_count > 0 ? EXIT_FAILED : EXIT_DONE;
    leat_groups_free(groups);
    return code;
}

const struct command command_group_list = {
    .group = "group",
    .name = "list",
    .words = "",
    .summary = "every consumer group",
    .options = options,
    .run = run,
};

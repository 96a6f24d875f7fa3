// SPDX-License-Identifier: Apache-2.0
/* leat group lag: how far groups are behind, per partition. With limits it is a check that a monitor can run: exit code
 * 4 says that a group is over one, or that records were deleted before it has read them. */
#include "tools/leat/commands.h"
#include "tools/leat/lag.h"

#include <string.h>

static const struct option_spec options[] = {
    {'\0', "bytes", NULL, "an estimate in bytes, too: the share of what is on disk", NULL},
    {'\0', "max-records", "N", "exit code 4 when a group is more records behind", NULL},
    {'\0', "max-age", "SECONDS", "exit code 4 when a record waits longer", NULL},
    {'\0', NULL, NULL, NULL, NULL},
};

static const char text[] =
    "Without GROUP: all of them. AGE is how long the oldest record that is not read lies there, by its\n"
    "timestamp. \"-\": not known, for nothing is committed, or the partition has no leader, or is gone.\n"
    "Exit code 4 also when records were deleted before the group has read them.\n";

struct limits {
    int64_t records, age_ms; /* INT64_MAX: none */
};

static void cell_number(struct table *t, int64_t value)
{
    if (value < 0)
        table_cell(t, "-");
    else
        table_cell(t, "%lld", (long long)value);
}

static void print_rows(const struct session *s, const struct lag *l, bool bytes)
{
    static const char *const heads[] = {"TOPIC", "PARTITION", "COMMITTED", "END", "BEHIND", "AGE", "BYTES", "MEMBER"};
    char human[32];
    struct table table;
    table_init(&table, bytes ? 8 : 7);
    for (size_t i = 0; i < 8; i++)
        if (bytes || i != 6) table_cell(&table, "%s", heads[i]);
    for (size_t i = 0; i < l->count; i++) {
        const struct lag_row *r = &l->rows[i];
        table_cell(&table, "%s", r->topic);
        table_cell(&table, "%d", r->partition);
        cell_number(&table, r->committed);
        cell_number(&table, r->end);
        cell_number(&table, r->records);
        table_cell(&table, "%s", r->age_ms < 0 ? "-" : r->records == 0 ? "0" : human_age(human, r->age_ms));
        if (bytes) table_cell(&table, "%s", r->bytes < 0 ? "-" : human_bytes(human, (uint64_t)r->bytes));
        if (r->member != NULL)
            table_cell(&table, "%s %s", r->member->client_id, r->member->host);
        else
            table_cell(&table, "-");
    }
    table_print(s, &table);
    table_free(&table);
}

static void print_text(const struct session *s, const struct lag *l, bool bytes, bool bad)
{
    char human[32];
    const struct leat_group *g = &l->state->group;
    print_heading(s, g->name);
    print_plain(": %s, %zu members, ", g->state, l->state->member_count);
    printf("%s%lld records behind", color_begin(s->color_out, bad ? COLOR_BAD : COLOR_GOOD), (long long)l->records);
    if (l->records > 0) printf(", the oldest %s", human_age(human, l->age_ms));
    if (bytes) printf(", about %s", human_bytes(human, (uint64_t)l->bytes));
    printf("%s\n", color_end(s->color_out));
    if (l->count > 0) print_rows(s, l, bytes);
    for (size_t i = 0; i < l->count; i++)
        if (l->rows[i].gone > 0)
            print_plain("%s-%d: %lld records were deleted before they were read\n", l->rows[i].topic,
                        l->rows[i].partition, (long long)l->rows[i].gone);
}

static json_t *number(int64_t value)
{
    return value < 0 ? json_null() : json_integer(value);
}

static json_t *lag_json(const struct lag *l, bool bytes)
{
    json_t *rows = json_array();
    const struct leat_group *g = &l->state->group;
    for (size_t i = 0; i < l->count; i++) {
        const struct lag_row *r = &l->rows[i];
        json_t *row =
            json_pack("{s:o, s:i, s:o, s:o, s:o, s:o, s:o, s:I, s:o}", "topic", json_name(r->topic), "partition",
                      r->partition, "committed", number(r->committed), "first_offset", number(r->first), "end_offset",
                      number(r->end), "records", number(r->records), "age_ms", number(r->age_ms), "deleted_unread",
                      (json_int_t)r->gone, "member", r->member ? json_name(r->member->id) : json_null());
        if (bytes) json_object_set_new(row, "bytes_estimate", number(r->bytes));
        json_array_append_new(rows, row);
    }
    json_t *all =
        json_pack("{s:o, s:o, s:i, s:I, s:I, s:I, s:o}", "group", json_name(g->name), "state", json_name(g->state),
                  "members", (int)l->state->member_count, "records", (json_int_t)l->records, "age_ms",
                  (json_int_t)l->age_ms, "deleted_unread", (json_int_t)l->gone, "partitions", rows);
    if (bytes) json_object_set_new(all, "bytes_estimate", json_integer(l->bytes));
    return all;
}

/* The worse of two exit codes: an error is more than bad news. */
static int worse(int a, int b)
{
    if (a == EXIT_DONE || (a == EXIT_BAD_NEWS && b != EXIT_DONE)) return b;
    return a;
}

static int one_group(struct session *s, const char *name, const struct lag_disks *disks, const struct limits *limits,
                     json_t *array)
{
    struct lag l;
    int code = EXIT_DONE;
    if (!lag_find(s, name, disks, &l, &code)) return code;
    bool bad = l.records > limits->records || l.age_ms > limits->age_ms || l.gone > 0;
    if (s->json)
        json_array_append_new(array, lag_json(&l, disks != NULL));
    else
        print_text(s, &l, disks != NULL, bad);
    lag_free(&l);
    return bad ? EXIT_BAD_NEWS : EXIT_DONE;
}

/* Groups of consumers only: others have no offsets. */
static int every_group(struct session *s, const struct lag_disks *disks, const struct limits *limits, json_t *array)
{
    struct leat_groups *groups;
    struct leat_error e;
    int code = EXIT_DONE;
    if (leat_groups_get(s->client, s->timeout_ms, &groups, &e) != LEAT_OK) return complain_leat(s, &e);
    for (size_t i = 0; i < groups->count; i++) {
        const struct leat_group *g = &groups->groups[i];
        bool consumers = strcmp(g->protocol, "consumer") == 0 || g->protocol[0] == '\0';
        if (!consumers || strcmp(g->type, "share") == 0 || strcmp(g->type, "streams") == 0) continue;
        if (!s->json && i > 0) putchar('\n');
        code = worse(code, one_group(s, g->name, disks, limits, array));
    }
    for (size_t i = 0; i < groups->silent_count; i++) {
        complain(s, "broker %d does not answer: the groups that it coordinates are missing", groups->silent[i]);
        code = EXIT_FAILED;
    }
    leat_groups_free(groups);
    return code;
}

static int run(struct session *s, const struct args *a)
{
    struct limits limits = {INT64_MAX, INT64_MAX};
    struct lag_disks disks;
    int64_t seconds = INT64_MAX / 1000;
    bool bytes = args_value(a, "bytes") != NULL;
    int code = EXIT_USAGE;
    if (!args_number(a, "max-records", 0, INT64_MAX, &limits.records) ||
        !args_number(a, "max-age", 0, INT64_MAX / 1000, &seconds) || !session_client(s, &code))
        return code;
    limits.age_ms = 1000 * seconds;
    if (bytes && !lag_disks_find(s, &disks, &code)) return code;
    json_t *array = json_array();
    code = EXIT_DONE;
    if (a->word_count == 0) code = every_group(s, bytes ? &disks : NULL, &limits, array);
    for (int i = 0; i < a->word_count; i++) {
        if (!s->json && i > 0) putchar('\n');
        code = worse(code, one_group(s, a->words[i], bytes ? &disks : NULL, &limits, array));
    }
    if (s->json) print_json(s, json_incref(array));
    json_decref(array);
    if (bytes) lag_disks_free(&disks);
    return code;
}

const struct command command_group_lag = {
    .group = "group",
    .name = "lag",
    .words = "[GROUP...]",
    .summary = "how far they are behind: records, time, bytes",
    .text = text,
    .options = options,
    .words_max = -1,
    .complete = COMPLETE_GROUPS,
    .run = run,
};

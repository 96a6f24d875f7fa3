// SPDX-License-Identifier: Apache-2.0
/* leat group reset: where a group without members goes on reading.
 *
 * Happy path: no members -> the partitions: what is committed, or --topic -> first offsets, ends, the wanted place ->
 * the plan is shown -> asked on a terminal -> one commit.
 * Failure modes: a group with members is refused, by us and, if one joins meanwhile, by the broker. A partition without
 * leader: nothing is changed. Places outside the log become its first offset or its end. */
#include "tools/leat/commands.h"
#include "tools/leat/offsets.h"
#include "tools/leat/when.h"

#include "base/bytes.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct option_spec options[] = {
    {'\0', "to", "WHERE", "beginning, end, an offset, -N (N before the end), a time", NULL},
    {'\0', "shift", "N", "N records on from where it is; -N back", NULL},
    {'t', "topic", "TOPIC[:LIST]", "only this one, or its partitions 0,2,5-7 (may be repeated)", NULL},
    {'n', "dry-run", NULL, "show what would be done, change nothing", NULL},
    {'y', "yes", NULL, "do not ask", NULL},
    {'\0', NULL, NULL, NULL, NULL},
};

static const char text[] =
    "Works on a group without members only: stop its consumers first. Without --topic: every partition\n"
    "that it has read of. With --topic the group may be one that does not exist yet.\n"
    "Times are ISO 8601 (2026-11-25, 2026-11-25T13:05:06Z; local without a zone) or @MS since 1970.\n";

struct change { /* of one partition */
    char *topic;
    int32_t partition; /* -1 before the topic is looked at: all of them */
    int64_t was, now;  /* offsets; was -1: nothing committed */
};

struct reset {
    struct session *session;
    const struct args *args;
    struct leat_position to;
    bool by_shift;
    int64_t shift;
    struct leat_committeds *committed;
    struct change *changes;
    size_t count;
};

static void change_add(struct reset *r, const char *topic, size_t topic_len, int32_t partition)
{
    r->changes = realloc(r->changes, (r->count + 1) * sizeof *r->changes);
    char *copy = strndup(topic, topic_len);
    if (r->changes == NULL || copy == NULL) abort();
    r->changes[r->count++] = (struct change){copy, partition, -1, -1};
}

static int change_order(const void *a, const void *b)
{
    const struct change *x = a, *y = b;
    int order = strcmp(x->topic, y->topic);
    return order != 0 ? order : (x->partition > y->partition) - (x->partition < y->partition);
}

/* ---- which partitions ---- */

static bool take_topics(struct reset *r)
{
    const char *given;
    for (size_t i = 0; (given = args_each(r->args, "topic", &i)) != NULL;) {
        const char *cut = strchr(given, ':');
        size_t n = 0, len = cut == NULL ? strlen(given) : (size_t)(cut - given);
        int32_t *list = cut == NULL ? NULL : partitions_parse(cut + 1, &n);
        if (len == 0 || (cut != NULL && list == NULL))
            return usage_error(r->args->command, "--topic %s: give a name, or one with partitions as jobs:0,2,5-7",
                               given) == EXIT_DONE;
        for (size_t k = 0; k < n; k++) change_add(r, given, len, list[k]);
        if (cut == NULL) change_add(r, given, len, -1);
        free(list);
    }
    return true;
}

/* "jobs" becomes each of its partitions. */
static bool topics_open(struct reset *r, const struct leat_cluster *c, int *ret_code)
{
    size_t given = r->count;
    for (size_t i = 0; i < c->topic_count; i++) {
        const struct leat_topic *t = &c->topics[i];
        if (t->kafka_code != 0) {
            complain(r->session, "there is no topic '%s' (%s); `leat topic list` shows what there is", t->name,
                     leat_kafka_error_name(t->kafka_code));
            *ret_code = EXIT_FAILED;
            return false;
        }
        for (size_t k = 0; k < given; k++) {
            if (strcmp(r->changes[k].topic, t->name) != 0) continue;
            if (r->changes[k].partition >= (int32_t)t->partition_count) {
                complain(r->session, "topic '%s' has partitions 0 to %d, no %d", t->name, (int)t->partition_count - 1,
                         r->changes[k].partition);
                *ret_code = EXIT_FAILED;
                return false;
            }
            for (size_t p = 0; r->changes[k].partition < 0 && p < t->partition_count; p++)
                change_add(r, t->name, strlen(t->name), (int32_t)p);
        }
    }
    return true;
}

/* Sorted, each once, without the entries that stood for whole topics. */
static void changes_settle(struct reset *r)
{
    size_t kept = 0;
    qsort(r->changes, r->count, sizeof *r->changes, change_order);
    for (size_t i = 0; i < r->count; i++) {
        bool again = kept > 0 && change_order(&r->changes[kept - 1], &r->changes[i]) == 0;
        if (again || r->changes[i].partition < 0)
            free(r->changes[i].topic);
        else
            r->changes[kept++] = r->changes[i];
    }
    r->count = kept;
    for (size_t i = 0; i < r->committed->count; i++)
        for (size_t k = 0; k < kept; k++)
            if (strcmp(r->committed->all[i].topic, r->changes[k].topic) == 0 &&
                r->committed->all[i].partition == r->changes[k].partition)
                r->changes[k].was = r->committed->all[i].offset;
}

/* ---- where to ---- */

static bool place(struct reset *r, struct change *c, const struct leat_offset *first, const struct leat_offset *end,
                  const struct leat_offset *at)
{
    int64_t now = 0;
    if (first->kafka_code != 0 || end->kafka_code != 0 || (at != NULL && at->kafka_code != 0)) {
        complain(r->session, "%s-%d has no leader, so nothing is changed; try again later", c->topic, c->partition);
        return false;
    }
    if (r->by_shift && c->was < 0) {
        complain(r->session, "%s-%d: nothing is committed that --shift could begin from; use --to", c->topic,
                 c->partition);
        return false;
    }
    if (r->by_shift)
        now = __builtin_add_overflow(c->was, r->shift, &now) ? end->offset : now;
    else if (r->to.place == LEAT_AT_OFFSET)
        now = r->to.value;
    else if (r->to.place == LEAT_AT_TIME)
        now = at->offset < 0 ? end->offset : at->offset;
    else if (r->to.place == LEAT_TAIL)
        now = end->offset - MIN(r->to.value, end->offset);
    c->now = MIN(MAX(now, first->offset), end->offset);
    return true;
}

static bool topic_places(struct reset *r, const struct leat_topic *t, struct change *changes, size_t n, int *ret_code)
{
    size_t count = t->partition_count + 1;
    struct leat_offset *first = calloc(count, sizeof *first), *end = calloc(count, sizeof *end);
    struct leat_offset *at = calloc(count, sizeof *at);
    bool by_time = !r->by_shift && r->to.place == LEAT_AT_TIME;
    if (first == NULL || end == NULL || at == NULL) abort();
    bool good = topic_offsets(r->session, t, first, end, ret_code);
    if (good && by_time) good = topic_offsets_at(r->session, t, r->to, at, ret_code);
    for (size_t i = 0; i < n && good; i++) {
        int32_t p = changes[i].partition;
        good = place(r, &changes[i], &first[p], &end[p], by_time ? &at[p] : NULL);
        if (!good) *ret_code = EXIT_FAILED;
    }
    free(first);
    free(end);
    free(at);
    return good;
}

static bool places_find(struct reset *r, const struct leat_cluster *c, int *ret_code)
{
    bool good = true;
    for (size_t i = 0; i < c->topic_count && good; i++) {
        size_t from = 0, n = 0;
        for (size_t k = 0; k < r->count; k++) {
            if (strcmp(r->changes[k].topic, c->topics[i].name) != 0) continue;
            if (n++ == 0) from = k;
        }
        if (n > 0) good = topic_places(r, &c->topics[i], &r->changes[from], n, ret_code);
    }
    return good;
}

/* Everything that the plan needs to know; what there is to change is in r->changes afterwards. */
static bool plan(struct reset *r, int *ret_code)
{
    struct leat_cluster *c;
    struct leat_error e;
    bool own = r->count == 0;
    for (size_t i = 0; own && i < r->committed->count; i++)
        change_add(r, r->committed->all[i].topic, strlen(r->committed->all[i].topic), r->committed->all[i].partition);
    if (r->count == 0) {
        complain(r->session, "group '%s' has read nothing yet; say with --topic what it shall read", r->args->words[0]);
        *ret_code = EXIT_FAILED;
        return false;
    }
    qsort(r->changes, r->count, sizeof *r->changes, change_order);
    const char **names = calloc(r->count, sizeof *names);
    size_t n = 0;
    if (names == NULL) abort();
    for (size_t i = 0; i < r->count; i++)
        if (i == 0 || strcmp(r->changes[i].topic, r->changes[i - 1].topic) != 0) names[n++] = r->changes[i].topic;
    enum leat_code code = leat_cluster_get(r->session->client, names, n, r->session->timeout_ms, &c, &e);
    free(names);
    if (code != LEAT_OK) {
        *ret_code = complain_leat(r->session, &e);
        return false;
    }
    bool good = topics_open(r, c, ret_code);
    if (good) changes_settle(r);
    good = good && places_find(r, c, ret_code);
    leat_cluster_free(c);
    return good;
}

/* ---- doing it ---- */

static void show(const struct reset *r, bool done)
{
    const struct session *s = r->session;
    struct table table;
    json_t *array = json_array();
    table_init(&table, 4);
    table_cell(&table, "TOPIC");
    table_cell(&table, "PARTITION");
    table_cell(&table, "WAS");
    table_cell(&table, done ? "NOW" : "NEW");
    for (size_t i = 0; i < r->count; i++) {
        const struct change *c = &r->changes[i];
        table_cell(&table, "%s", c->topic);
        table_cell(&table, "%d", c->partition);
        if (c->was < 0)
            table_cell(&table, "-");
        else
            table_cell(&table, "%lld", (long long)c->was);
        table_cell(&table, "%lld", (long long)c->now);
        json_array_append_new(array, json_pack("{s:s, s:i, s:o, s:I}", "topic", c->topic, "partition", c->partition,
                                               "was", c->was < 0 ? json_null() : json_integer((json_int_t)c->was),
                                               "now", (json_int_t)c->now));
    }
    if (s->json)
        print_json(s, json_incref(array));
    else
        table_print(s, &table);
    json_decref(array);
    table_free(&table);
}

static int commit(struct reset *r)
{
    struct leat_error e;
    struct leat_committed *all = calloc(r->count + 1, sizeof *all);
    if (all == NULL) abort();
    for (size_t i = 0; i < r->count; i++)
        all[i] = (struct leat_committed){r->changes[i].topic, r->changes[i].partition, r->changes[i].now, NULL};
    enum leat_code code =
        leat_committed_set(r->session->client, r->args->words[0], all, r->count, r->session->timeout_ms, &e);
    free(all);
    return code == LEAT_OK ? EXIT_DONE : complain_leat(r->session, &e);
}

/* No such group is fine where --topic says what it shall read. */
static bool without_members(struct reset *r, int *ret_code)
{
    struct leat_group_state *g;
    struct leat_error e;
    enum leat_code code = leat_group_get(r->session->client, r->args->words[0], r->session->timeout_ms, &g, &e);
    if (code == LEAT_NOT_FOUND && r->count > 0) return true;
    if (code != LEAT_OK) {
        *ret_code = complain_leat(r->session, &e);
        return false;
    }
    size_t members = g->member_count;
    if (members > 0) complain(r->session, "group '%s' has %zu members; stop them first", g->group.name, members);
    leat_group_state_free(g);
    *ret_code = members > 0 ? EXIT_FAILED : EXIT_DONE;
    return members == 0;
}

static int reset(struct reset *r)
{
    struct leat_error e;
    int code = EXIT_DONE;
    bool dry = args_value(r->args, "dry-run") != NULL;
    if (!without_members(r, &code)) return code;
    if (leat_committed_get(r->session->client, r->args->words[0], r->session->timeout_ms, &r->committed, &e) != LEAT_OK)
        return complain_leat(r->session, &e);
    if (!plan(r, &code)) return code;
    if (dry || !r->session->json) show(r, false);
    if (dry) return EXIT_DONE;
    if (!confirmed(r->session, r->args, "Let group %s go on there?", r->args->words[0])) return EXIT_FAILED;
    code = commit(r);
    if (code == EXIT_DONE && r->session->json) show(r, true);
    return code;
}

static bool take_options(struct reset *r)
{
    const char *to = args_value(r->args, "to"), *shift = args_value(r->args, "shift");
    if ((to == NULL) == (shift == NULL)) return usage_error(r->args->command, "give --to or --shift") == EXIT_DONE;
    r->by_shift = shift != NULL;
    if (!args_number(r->args, "shift", -INT64_MAX, INT64_MAX, &r->shift)) return false;
    if (to != NULL && !position_parse(to, &r->to))
        return usage_error(r->args->command,
                           "--to %s: give beginning, end, an offset, -N, @MS or a time as 2026-11-25T13:05",
                           to) == EXIT_DONE;
    return take_topics(r);
}

static int run(struct session *s, const struct args *a)
{
    struct reset r = {.session = s, .args = a};
    int code = EXIT_USAGE;
    if (take_options(&r) && session_client(s, &code)) code = reset(&r);
    for (size_t i = 0; i < r.count; i++) free(r.changes[i].topic);
    free(r.changes);
    leat_committed_free(r.committed);
    return code;
}

const struct command command_group_reset = {
    .group = "group",
    .name = "reset",
    .words = "GROUP",
    .summary = "where it goes on reading",
    .text = text,
    .options = options,
    .words_min = 1,
    .words_max = 1,
    .complete = COMPLETE_GROUPS,
    .run = run,
};

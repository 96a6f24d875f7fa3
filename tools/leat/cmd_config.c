// SPDX-License-Identifier: Apache-2.0
/* leat config describe, alter: settings of topics, brokers and groups. Settings that nobody has changed are shown with
 * --all only; a value that is secret is never told by a broker. */
#include "tools/leat/commands.h"
#include "tools/leat/session.h"
#include "tools/leat/settings.h"

#include <string.h>

static const struct option_spec describe_options[] = {
    {'a', "all", NULL, "settings at their default, too", NULL},
    {'\0', NULL, NULL, NULL, NULL},
};

static const struct option_spec alter_options[] = {
    {'c', "config", "NAME=VALUE", "set it (may be repeated)", NULL},
    {'d', "delete-config", "NAME", "back to the default (may be repeated)", NULL},
    {'\0', NULL, NULL, NULL, NULL},
};

static const char text[] =
    "KIND is topic, broker or group; the NAME of a broker is its id (see leat cluster status).\n";

static bool take_kind(const struct args *a, enum leat_resource *ret_kind)
{
    static const struct {
        const char *word;
        enum leat_resource kind;
    } kinds[] = {{"topic", LEAT_TOPIC}, {"broker", LEAT_NODE}, {"group", LEAT_GROUP}};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(a->words[0], kinds[i].word) != 0) continue;
        *ret_kind = kinds[i].kind;
        return true;
    }
    return usage_error(a->command, "'%s': give topic, broker or group", a->words[0]) == EXIT_DONE;
}

static json_t *settings_json(const struct leat_settings *all, bool defaults)
{
    json_t *array = json_array();
    for (size_t i = 0; i < all->count; i++) {
        const struct leat_value *v = &all->values[i];
        if (!defaults && v->source == LEAT_SOURCE_DEFAULT) continue;
        json_array_append_new(array,
                              json_pack("{s:o, s:o, s:s, s:b, s:b}", "name", json_name(v->name), "value",
                                        v->value ? json_name(v->value) : json_null(), "source", source_name(v->source),
                                        "read_only", v->read_only, "sensitive", v->sensitive));
    }
    return array;
}

/* As the configuration file has them */
static void print_text(const struct leat_settings *all, bool defaults)
{
    for (size_t i = 0; i < all->count; i++) {
        const struct leat_value *v = &all->values[i];
        if (!defaults && v->source == LEAT_SOURCE_DEFAULT) continue;
        print_plain("%s=%s   # %s%s\n", v->name,
                    v->sensitive ? "(hidden)"
                    : v->value   ? v->value
                                 : "",
                    source_name(v->source), v->read_only ? ", fixed" : "");
    }
}

static int run_describe(struct session *s, const struct args *a)
{
    enum leat_resource kind = LEAT_TOPIC;
    struct leat_settings *all;
    struct leat_error e;
    int code = EXIT_USAGE;
    bool defaults = args_value(a, "all") != NULL;
    if (!take_kind(a, &kind) || !session_client(s, &code)) return code;
    if (leat_settings_get(s->client, kind, a->words[1], s->timeout_ms, &all, &e) != LEAT_OK)
        return complain_leat(s, &e);
    if (s->json)
        print_json(s, settings_json(all, defaults));
    else
        print_text(all, defaults);
    leat_settings_free(all);
    return EXIT_DONE;
}

static int run_alter(struct session *s, const struct args *a)
{
    enum leat_resource kind = LEAT_TOPIC;
    struct changes changes;
    struct leat_error e;
    int code = EXIT_USAGE;
    if (!take_kind(a, &kind) || !changes_take(a, &changes)) return code;
    if (changes.count == 0)
        usage_error(a->command, "nothing to change: give --config or --delete-config");
    else if (session_client(s, &code))
        code =
            leat_settings_alter(s->client, kind, a->words[1], changes.all, changes.count, s->timeout_ms, &e) == LEAT_OK
                ? EXIT_DONE
                : complain_leat(s, &e);
    changes_free(&changes);
    return code;
}

const struct command command_config_describe = {
    .group = "config",
    .name = "describe",
    .words = "KIND NAME",
    .summary = "settings of a topic, broker or group",
    .text = text,
    .options = describe_options,
    .words_min = 2,
    .words_max = 2,
    .complete = COMPLETE_KINDS,
    .run = run_describe,
};

const struct command command_config_alter = {
    .group = "config",
    .name = "alter",
    .words = "KIND NAME",
    .summary = "change them while it runs",
    .text = text,
    .options = alter_options,
    .words_min = 2,
    .words_max = 2,
    .complete = COMPLETE_KINDS,
    .run = run_alter,
};

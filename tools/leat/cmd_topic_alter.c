// SPDX-License-Identifier: Apache-2.0
/* leat topic alter: settings and the number of partitions. Settings first: they can be taken back, partitions cannot.
 */
#include "tools/leat/commands.h"
#include "tools/leat/session.h"
#include "tools/leat/settings.h"

static const struct option_spec options[] = {
    {'c', "config", "NAME=VALUE", "a setting of the topic (may be repeated)", NULL},
    {'d', "delete-config", "NAME", "back to the default (may be repeated)", NULL},
    {'p', "partitions", "N", "more partitions: N in all", NULL},
    {'\0', NULL, NULL, NULL, NULL},
};

static const char text[] =
    "Other settings stay as they are. Partitions cannot become fewer, and with more of them keys may go\n"
    "to others than before.\n";

static int alter(struct session *s, const char *topic, const struct changes *settings, int64_t partitions)
{
    struct leat_error e;
    enum leat_code code = LEAT_OK;
    if (settings->count > 0)
        code = leat_settings_alter(s->client, LEAT_TOPIC, topic, settings->all, settings->count, s->timeout_ms, &e);
    if (code == LEAT_OK && partitions > 0) {
        code = leat_topic_grow(s->client, topic, (int32_t)partitions, s->timeout_ms, &e);
        if (code == LEAT_OK) code = leat_topic_wait(s->client, topic, (int32_t)partitions, s->timeout_ms, &e);
    }
    return code == LEAT_OK ? EXIT_DONE : complain_leat(s, &e);
}

static int run(struct session *s, const struct args *a)
{
    int64_t partitions = 0;
    struct changes settings;
    int code = EXIT_USAGE;
    if (!args_number(a, "partitions", 1, 1000000, &partitions) || !changes_take(a, &settings)) return code;
    if (settings.count == 0 && partitions == 0)
        usage_error(a->command, "nothing to change: give --config, --delete-config or --partitions");
    else if (session_client(s, &code))
        code = alter(s, a->words[0], &settings, partitions);
    changes_free(&settings);
    return code;
}

const struct command command_topic_alter = {
    .group = "topic",
    .name = "alter",
    .words = "TOPIC",
    .summary = "change settings, add partitions",
    .text = text,
    .options = options,
    .words_min = 1,
    .words_max = 1,
    .complete = COMPLETE_TOPICS,
    .run = run,
};

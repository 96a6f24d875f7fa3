// SPDX-License-Identifier: Apache-2.0
/* leat topic create: topics of one shape; each is there, with leaders, when the command ends. */
#include "tools/leat/commands.h"
#include "tools/leat/session.h"
#include "tools/leat/settings.h"

#define TOPIC_ALREADY_EXISTS 36

static const struct option_spec options[] = {
    {'p', "partitions", "N", "as the broker's num.partitions says", NULL},
    {'r', "replication-factor", "N", "as its default.replication.factor says", NULL},
    {'c', "config", "NAME=VALUE", "a setting of the topic (may be repeated)", NULL},
    {'\0', "if-not-exists", NULL, "no error if there is one already", NULL},
    {'\0', NULL, NULL, NULL, NULL},
};

static int create_one(struct session *s, const struct leat_new_topic *t, bool if_not_exists)
{
    struct leat_error e;
    enum leat_code code = leat_topic_create(s->client, t, s->timeout_ms, &e);
    bool exists = code == LEAT_BROKER && e.kafka_code == TOPIC_ALREADY_EXISTS;
    if (exists && if_not_exists) {
        if (!s->json) printf("%s exists\n", t->name);
        return EXIT_DONE;
    }
    if (code == LEAT_OK)
        code = leat_topic_wait(s->client, t->name, t->partitions < 1 ? 1 : t->partitions, s->timeout_ms, &e);
    if (code != LEAT_OK) return complain_leat(s, &e);
    if (!s->json) printf("%s created\n", t->name);
    return EXIT_DONE;
}

static int run(struct session *s, const struct args *a)
{
    int64_t partitions = -1, replicas = -1;
    struct changes settings;
    int code = EXIT_USAGE;
    if (!args_number(a, "partitions", 1, 1000000, &partitions) ||
        !args_number(a, "replication-factor", 1, INT16_MAX, &replicas) || !changes_take(a, &settings))
        return code;
    bool good = session_client(s, &code);
    if (good) code = EXIT_DONE;
    for (int i = 0; i < a->word_count && good && code == EXIT_DONE; i++) {
        const struct leat_new_topic t = {a->words[i], (int32_t)partitions, (int16_t)replicas, settings.all,
                                         settings.count};
        code = create_one(s, &t, args_value(a, "if-not-exists") != NULL);
    }
    changes_free(&settings);
    return code;
}

const struct command command_topic_create = {
    .group = "topic",
    .name = "create",
    .words = "TOPIC...",
    .summary = "new topics",
    .options = options,
    .words_min = 1,
    .words_max = -1,
    .run = run,
};

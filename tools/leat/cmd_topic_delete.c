// SPDX-License-Identifier: Apache-2.0
/* leat topic delete: asks on a terminal, then deletes. A topic that does not exist is an error; those before it in the
 * list are gone then. */
#include "tools/leat/commands.h"
#include "tools/leat/session.h"

static const struct option_spec options[] = {
    {'y', "yes", NULL, "do not ask", NULL},
    {'\0', NULL, NULL, NULL, NULL},
};

static int run(struct session *s, const struct args *a)
{
    return delete_words(s, a, "all their records", leat_topic_delete);
}

const struct command command_topic_delete = {
    .group = "topic",
    .name = "delete",
    .words = "TOPIC...",
    .summary = "delete topics with their records",
    .options = options,
    .words_min = 1,
    .words_max = -1,
    .complete = COMPLETE_TOPICS,
    .run = run,
};

// SPDX-License-Identifier: Apache-2.0
/* leat topic delete: asks on a terminal, then deletes. A topic that does not exist is an error; those before it in the
 * list are gone then. */
#include "tools/leat/commands.h"
#include "tools/leat/session.h"

#include <stdlib.h>

static const struct option_spec options[] = {
    {'y', "yes", NULL, "do not ask", NULL},
    {'\0', NULL, NULL, NULL, NULL},
};

static int run(struct session *s, const struct args *a)
{
    int code = EXIT_DONE;
    char *names = words_listed(a);
    bool yes = confirmed(s, a, "Delete %s and all their records?", names);
    free(names);
    if (!yes) return EXIT_FAILED;
    if (!session_client(s, &code)) return code;
    for (int i = 0; i < a->word_count; i++) {
        struct leat_error e;
        if (leat_topic_delete(s->client, a->words[i], s->timeout_ms, &e) != LEAT_OK) return complain_leat(s, &e);
        if (!s->json) printf("%s deleted\n", a->words[i]);
    }
    return EXIT_DONE;
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

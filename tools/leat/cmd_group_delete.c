// SPDX-License-Identifier: Apache-2.0
/* leat group delete: asks on a terminal, then deletes. The broker refuses a group that has members. Those before a
 * refused one in the list are gone then. */
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
    bool yes = confirmed(s, a, "Delete %s and how far they have read?", names);
    free(names);
    if (!yes) return EXIT_FAILED;
    if (!session_client(s, &code)) return code;
    for (int i = 0; i < a->word_count; i++) {
        struct leat_error e;
        if (leat_group_delete(s->client, a->words[i], s->timeout_ms, &e) != LEAT_OK) return complain_leat(s, &e);
        if (!s->json) printf("%s deleted\n", a->words[i]);
    }
    return EXIT_DONE;
}

const struct command command_group_delete = {
    .group = "group",
    .name = "delete",
    .words = "GROUP...",
    .summary = "delete groups without members",
    .options = options,
    .words_min = 1,
    .words_max = -1,
    .complete = COMPLETE_GROUPS,
    .run = run,
};

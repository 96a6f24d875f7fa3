// SPDX-License-Identifier: Apache-2.0
/* leat group delete: asks on a terminal, then deletes. The broker refuses a group that has members. Those before a
 * refused one in the list are gone then. */
#include "tools/leat/commands.h"
#include "tools/leat/session.h"

static const struct option_spec options[] = {
    {'y', "yes", NULL, "do not ask", NULL},
    {'\0', NULL, NULL, NULL, NULL},
};

static int run(struct session *s, const struct args *a)
{
    return delete_words(s, a, "how far they have read", leat_group_delete);
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

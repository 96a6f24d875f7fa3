// SPDX-License-Identifier: Apache-2.0
/* --config K=V and --delete-config K, as `topic create`, `topic alter` and `config alter` take them. */
#pragma once
#include "tools/leat/command.h"

struct changes {
    struct leat_setting *all; /* value NULL: to the default */
    size_t count;
};

/* False: a usage error was written. */
bool changes_take(const struct args *a, struct changes *ret_changes);
void changes_free(struct changes *c);

/* "default", "topic", ... in one word */
const char *source_name(enum leat_source source);

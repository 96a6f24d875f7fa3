// SPDX-License-Identifier: Apache-2.0
/* Settings on the command line (settings.h). */
#include "tools/leat/settings.h"

#include <stdlib.h>
#include <string.h>

static void add(struct changes *c, char *name, const char *value)
{
    c->all = realloc(c->all, (c->count + 1) * sizeof *c->all);
    if (c->all == NULL || name == NULL) abort();
    c->all[c->count++] = (struct leat_setting){name, value};
}

bool changes_take(const struct args *a, struct changes *c)
{
    const char *given;
    *c = (struct changes){0};
    for (size_t i = 0; (given = args_each(a, "config", &i)) != NULL;) {
        const char *cut = strchr(given, '=');
        if (cut == NULL || cut == given) {
            usage_error(a->command, "--config %s: give NAME=VALUE", given);
            return false;
        }
        add(c, strndup(given, (size_t)(cut - given)), cut + 1);
    }
    for (size_t i = 0; (given = args_each(a, "delete-config", &i)) != NULL;) add(c, strdup(given), NULL);
    return true;
}

void changes_free(struct changes *c)
{
    for (size_t i = 0; i < c->count; i++) free((char *)(uintptr_t)c->all[i].name);
    free(c->all);
}

const char *source_name(enum leat_source source)
{
    switch (source) {
    case LEAT_SOURCE_TOPIC: return "topic";
    case LEAT_SOURCE_NODE_DYNAMIC: return "broker";
    case LEAT_SOURCE_CLUSTER_DYNAMIC: return "cluster";
    case LEAT_SOURCE_NODE_FILE: return "file";
    case LEAT_SOURCE_DEFAULT: return "default";
    case LEAT_SOURCE_GROUP: return "group";
    case LEAT_SOURCE_UNKNOWN: return "?";
    }
    return "?";
}

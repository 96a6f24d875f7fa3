// SPDX-License-Identifier: Apache-2.0
/* leat topic undelete: deleted topics are back, with records, offsets and settings, and with leaders when the command
 * ends. Those before a refused one in the list are back then. */
#include "tools/leat/commands.h"
#include "tools/leat/session.h"

#include <stdlib.h>
#include <string.h>

#define ID_BYTES 16

static const struct option_spec options[] = {
    {'\0', "id", "ID", "that one of several with the same name: see leat topic list --deleted", NULL},
    {'\0', NULL, NULL, NULL, NULL},
};

static const char text[] =
    "The newest topic of that name, as long as leat.undelete.ms says after its deletion and as long as the\n"
    "disk has room for it. `leat topic list --deleted` shows what there is. Brokers other than Leat keep\n"
    "nothing of what was deleted.\n";

static int hex(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *found = c == '\0' ? NULL : strchr(digits, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c);
    return found == NULL ? -1 : (int)(found - digits);
}

/* 32 hexadecimal digits, as list writes them. */
static bool id_parse(const char *id, uint8_t ret_id[ID_BYTES])
{
    if (strlen(id) != 2 * ID_BYTES) return false;
    for (size_t i = 0; i < ID_BYTES; i++) {
        int high = hex(id[2 * i]), low = hex(id[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        ret_id[i] = (uint8_t)(16 * high + low);
    }
    return true;
}

static int undelete(struct session *s, const char *name, const uint8_t *id)
{
    struct leat_error e;
    enum leat_code code = leat_topic_undelete(s->client, id == NULL ? name : NULL, id, s->timeout_ms, &e);
    if (code == LEAT_NOT_FOUND) {
        complain(s, "%s; `leat topic list --deleted` shows what there is", e.text);
        return EXIT_FAILED;
    }
    if (code == LEAT_OK) code = leat_topic_wait(s->client, name, 1, s->timeout_ms, &e);
    if (code != LEAT_OK) return complain_leat(s, &e);
    if (!s->json) print_plain("%s is back\n", name);
    return EXIT_DONE;
}

/* Its name is needed, to wait for it. */
static int undelete_by_id(struct session *s, const char *given, const uint8_t id[ID_BYTES])
{
    struct leat_deleted_topics *all;
    struct leat_error e;
    int code = EXIT_FAILED;
    bool found = false;
    if (leat_deleted_topics_get(s->client, s->timeout_ms, &all, &e) != LEAT_OK) return complain_leat(s, &e);
    for (size_t i = 0; i < all->count && !found; i++) {
        found = memcmp(all->topics[i].id, id, ID_BYTES) == 0;
        if (found) code = undelete(s, all->topics[i].name, id);
    }
    if (!found) complain(s, "no deleted topic has id %s; `leat topic list --deleted` shows what there is", given);
    leat_deleted_topics_free(all);
    return code;
}

static int run(struct session *s, const struct args *a)
{
    const char *given = args_value(a, "id");
    uint8_t id[ID_BYTES];
    int code = EXIT_DONE;
    if ((given == NULL) == (a->word_count == 0)) return usage_error(a->command, "give TOPIC, or --id");
    if (given != NULL && !id_parse(given, id))
        return usage_error(a->command, "--id %s: give 32 hexadecimal digits as leat topic list --deleted", given);
    if (!session_client(s, &code)) return code;
    if (given != NULL) return undelete_by_id(s, given, id);
    for (int i = 0; i < a->word_count && code == EXIT_DONE; i++) code = undelete(s, a->words[i], NULL);
    return code;
}

const struct command command_topic_undelete = {
    .group = "topic",
    .name = "undelete",
    .words = "[TOPIC...]",
    .summary = "deleted topics with their records are back",
    .text = text,
    .options = options,
    .words_max = -1,
    .complete = COMPLETE_DELETED,
    .run = run,
};

// SPDX-License-Identifier: Apache-2.0
/* The command table, its parsing and its help (command.h). Parsing is getopt_long over the command's own options and
 * the global ones, so both may stand anywhere behind the command. Failure: a sentence that names the option and what
 * would be right, exit code 2. */
#include "tools/leat/command.h"

#include "base/bytes.h"
#include "tools/leat/commands.h"
#include "tools/nearest.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPTIONS_MAX 40
#define COLUMN      28

const struct command *const commands[] = {
    &command_topic_create,
    &command_topic_list,
    &command_topic_describe,
    &command_topic_alter,
    &command_topic_delete,
    &command_topic_undelete,
    &command_produce,
    &command_consume,
    &command_group_list,
    &command_group_describe,
    &command_group_lag,
    &command_group_reset,
    &command_group_delete,
    &command_config_describe,
    &command_config_alter,
    &command_cluster_status,
    &command_dump,
    &command_bench_produce,
    &command_bench_consume,
    &command_bench_e2e,
    &command_bench_storage,
    &command_completion,
    NULL,
};

const struct option_spec global_options[] = {
    {'b', "broker", "HOST:PORT,...", "where to begin (LEAT_BROKER, else localhost:9092)", NULL},
    {'\0', "json", NULL, "results as JSON", NULL},
    {'\0', "timeout", "SECONDS", "give up after that long (30)", NULL},
    {'q', "quiet", NULL, "no progress", NULL},
    {'h', "help", NULL, "this text", NULL},
    {'V', "version", NULL, "the version", NULL},
    {'\0', NULL, NULL, NULL, NULL},
};

static const char help_exit_codes[] =
    "Exit codes: 0 done; 1 failed; 2 wrong usage; 3 no broker answered in time; 4 done, and what it found\n"
    "is bad (damage, partitions without leader or short of replicas, groups over their limit).\n";

/* ---- what was given ---- */

const char *args_value(const struct args *a, const char *name)
{
    for (size_t i = a->given_count; i > 0; i--)
        if (strcmp(a->given[i - 1].option->name, name) == 0) return a->given[i - 1].value;
    return NULL;
}

const char *args_each(const struct args *a, const char *name, size_t *i)
{
    while (*i < a->given_count) {
        const struct given *g = &a->given[(*i)++];
        if (strcmp(g->option->name, name) == 0) return g->value;
    }
    return NULL;
}

bool args_number(const struct args *a, const char *name, int64_t min, int64_t max, int64_t *ret_value)
{
    const char *text = args_value(a, name);
    char *end;
    if (text == NULL) return true;
    long long value = strtoll(text, &end, 10);
    bool good = end != text && *end == '\0' && value >= min && value <= max;
    if (good) *ret_value = value;
    if (!good)
        usage_error(a->command, "--%s %s: give a number from %lld to %lld", name, text, (long long)min, (long long)max);
    return good;
}

static const char *title(const struct command *c, char out[64])
{
    snprintf(out, 64, "leat%s%s%s%s", c->group ? " " : "", c->group ? c->group : "", c->name[0] ? " " : "", c->name);
    return out;
}

int usage_error(const struct command *c, const char *format, ...)
{
    char name[64];
    va_list args;
    fprintf(stderr, "%s: ", title(c, name));
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, " (see %s --help)\n", name);
    return EXIT_USAGE;
}

/* ---- finding commands ---- */

static bool same(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

bool group_exists(const char *word)
{
    for (size_t i = 0; commands[i] != NULL; i++)
        if (commands[i]->group != NULL && strcmp(commands[i]->group, word) == 0) return true;
    return false;
}

const struct command *command_find(const char *group, const char *name)
{
    for (size_t i = 0; commands[i] != NULL; i++)
        if (same(commands[i]->group, group) && strcmp(commands[i]->name, name) == 0) return commands[i];
    return NULL;
}

const char *command_nearest(const char *group, const char *word)
{
    struct nearest near = {0};
    for (size_t i = 0; commands[i] != NULL; i++) {
        const struct command *c = commands[i];
        if (group != NULL && !same(c->group, group)) continue;
        nearest_try(&near, word, group == NULL && c->group != NULL ? c->group : c->name);
    }
    return near.best;
}

/* ---- help ---- */

static void help_line(const char *left, const char *right)
{
    if (strlen(left) < COLUMN)
        printf("%-*s%s\n", COLUMN, left, right);
    else
        printf("%s\n%*s%s\n", left, COLUMN, "", right);
}

static void help_options(const struct option_spec *o)
{
    for (; o->name != NULL; o++) {
        char left[96];
        snprintf(left, sizeof left, "  %c%c%s--%s%s%s", o->letter ? '-' : ' ', o->letter ? o->letter : ' ',
                 o->letter ? ", " : "  ", o->name, o->arg ? " " : "", o->arg ? o->arg : "");
        help_line(left, o->help);
    }
}

static void help_list(const char *group)
{
    for (size_t i = 0; commands[i] != NULL; i++) {
        const struct command *c = commands[i];
        char left[96];
        if (group != NULL && !same(c->group, group)) continue;
        snprintf(left, sizeof left, "  %s%s%s %s", c->group ? c->group : "", c->group ? " " : "", c->name, c->words);
        help_line(left, c->summary);
    }
}

void help_general(void)
{
    printf("Usage: leat [-b HOST:PORT] [--json] COMMAND ...\n"
           "Topics, records, groups and files of Leat; or of any broker that speaks Kafka's protocol.\n\n");
    help_list(NULL);
    printf("\nOptions of every command, before or behind it:\n");
    help_options(global_options);
    printf("\nleat COMMAND --help says more.\n%s", help_exit_codes);
}

void help_group(const char *group)
{
    printf("Usage: leat %s COMMAND ...\n\n", group);
    help_list(group);
    printf("\nleat %s COMMAND --help says more.\n", group);
}

void help_command(const struct command *c)
{
    char name[64];
    printf("Usage: %s [OPTIONS] %s\n%s\n", title(c, name), c->words, c->summary);
    if (c->text != NULL) printf("\n%s", c->text);
    printf("\n");
    help_options(c->options);
    help_options(global_options);
    printf("\n%s", help_exit_codes);
}

/* ---- parsing ---- */

struct spelling { /* the tables as getopt_long wants them */
    struct option options[OPTIONS_MAX + 1];
    const struct option_spec *specs[OPTIONS_MAX];
    char letters[3 * OPTIONS_MAX];
    int count;
};

static void spell(struct spelling *s, const struct option_spec *o)
{
    for (; o->name != NULL && s->count < OPTIONS_MAX; o++, s->count++) {
        s->options[s->count] = (struct option){o->name, o->arg ? required_argument : no_argument, NULL, 256 + s->count};
        s->specs[s->count] = o;
        if (o->letter == '\0') continue;
        size_t n = strlen(s->letters);
        snprintf(s->letters + n, sizeof s->letters - n, "%c%s", o->letter, o->arg ? ":" : "");
    }
}

static const struct option_spec *spec_of(const struct spelling *s, int found)
{
    if (found >= 256) return s->specs[found - 256];
    for (int i = 0; i < s->count; i++)
        if (s->specs[i]->letter == found) return s->specs[i];
    return NULL;
}

/* `text` as it was written, "--fromat=x" or "-x". */
static int unknown_option(const struct command *c, const struct spelling *s, const char *text)
{
    struct nearest near = {0};
    if (strncmp(text, "--", 2) == 0)
        for (int i = 0; i < s->count; i++) nearest_try(&near, text + 2, s->specs[i]->name);
    int len = (int)strcspn(text, "=");
    if (near.best == NULL) return usage_error(c, "there is no option %.*s", len, text);
    return usage_error(c, "there is no option %.*s; did you mean --%s?", len, text, near.best);
}

int command_run(const struct command *c, int argc, char **argv, struct args *a)
{
    struct spelling s = {.letters = ":"};
    int found;
    spell(&s, c->options);
    spell(&s, global_options);
    a->command = c;
    optind = 0; /* glibc: begin anew */
    opterr = 0;
    while ((found = getopt_long(argc, argv, s.letters, s.options, NULL)) != -1) {
        const char *text = optind > 0 && optind <= argc ? argv[optind - 1] : "";
        if (found == ':') return usage_error(c, "%s needs a value", text);
        const struct option_spec *o = found == '?' ? NULL : spec_of(&s, found);
        if (o == NULL) return unknown_option(c, &s, text);
        if (strcmp(o->name, "help") == 0) {
            help_command(c);
            return EXIT_DONE;
        }
        if (strcmp(o->name, "version") == 0) {
            printf("leat %s\n", leat_version());
            return EXIT_DONE;
        }
        a->given = realloc(a->given, (a->given_count + 1) * sizeof *a->given);
        if (a->given == NULL) abort();
        a->given[a->given_count++] = (struct given){o, o->arg ? optarg : ""};
    }
    a->words = argv + optind;
    a->word_count = argc - optind;
    if (a->word_count < c->words_min) return usage_error(c, "%s missing", c->words);
    if (c->words_max >= 0 && a->word_count > c->words_max)
        return usage_error(c, "'%s' is one word too many", a->words[c->words_max]);
    return -1;
}

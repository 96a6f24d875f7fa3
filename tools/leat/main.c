// SPDX-License-Identifier: Apache-2.0
/* leat: topics and records from the command line.
 *
 * Happy path: global options in front -> command word(s) -> its options and words -> session -> the command.
 * Failure modes: a sentence on standard error and an exit code (command.h). Standard output that cannot be written is a
 * failure too; a reader that has gone (a closed pipe) ends us quietly, by SIGPIPE as for every tool. */
#include "tools/leat/session.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

static const struct option_spec no_options[] = {{'\0', NULL, NULL, NULL, NULL}};
static const struct command nothing = {.name = "", .words = "COMMAND ...", .options = no_options, .words_max = -1};

/* Index of the first word that is no global option, or argc. */
static int first_word(int argc, char **argv)
{
    int i = 1;
    for (; i < argc && argv[i][0] == '-' && argv[i][1] != '\0'; i++) {
        const struct option_spec *o = global_options;
        if (strcmp(argv[i], "--") == 0) return i + 1;
        bool is_long = argv[i][1] == '-';
        for (; o->name != NULL; o++)
            if (is_long ? strcmp(argv[i] + 2, o->name) == 0 : argv[i][1] == o->letter && argv[i][2] == '\0') break;
        if (o->name != NULL && o->arg != NULL) i++; /* its value is the next word */
    }
    return i < argc ? i : argc;
}

static int unknown(const char *group, const char *word)
{
    const char *near = command_nearest(group, word);
    fprintf(stderr, "leat: no command '%s%s%s'", group ? group : "", group ? " " : "", word);
    if (near != NULL) fprintf(stderr, "; did you mean '%s%s%s'?", group ? group : "", group ? " " : "", near);
    fprintf(stderr, " (see leat --help)\n");
    return EXIT_USAGE;
}

/* No command: --help and --version, or an error. */
static int without_command(int argc, char **argv)
{
    struct args a = {0};
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            help_general();
            return EXIT_DONE;
        }
    int code = command_run(&nothing, argc, argv, &a);
    free(a.given);
    if (code >= 0) return code;
    fprintf(stderr, "leat: which command? (see leat --help)\n");
    return EXIT_USAGE;
}

/* The command's words leave argv; what stands before and behind them is parsed together. */
static const struct command *take_command(int *argc, char **argv, int at, int *ret_code)
{
    const char *word = argv[at], *group = group_exists(word) ? word : NULL, *name = word;
    int words = 1;
    if (group != NULL) {
        bool more = at + 1 < *argc && argv[at + 1][0] != '-';
        if (!more) {
            bool help = at + 1 < *argc && (strcmp(argv[at + 1], "--help") == 0 || strcmp(argv[at + 1], "-h") == 0);
            help_group(group);
            *ret_code = help ? EXIT_DONE : EXIT_USAGE;
            return NULL;
        }
        name = argv[at + 1];
        words = 2;
    }
    const struct command *c = command_find(group, name);
    if (c == NULL) {
        *ret_code = unknown(group, name);
        return NULL;
    }
    memmove(argv + at, argv + at + words, (size_t)(*argc - at - words + 1) * sizeof *argv);
    *argc -= words;
    return c;
}

/* Only the options in front of the command are ours. */
static int run_own(const struct command *c, int argc, char **argv, int at)
{
    struct args a = {0};
    struct session s;
    int code = command_run(c, at, argv, &a);
    if (code < 0) code = session_init(&s, &a);
    if (code < 0) {
        code = c->run_own(&s, argc - at, argv + at);
        session_deinit(&s);
    }
    free(a.given);
    return code;
}

static int run(int argc, char **argv)
{
    struct args a = {0};
    struct session s;
    int code = EXIT_USAGE, at = first_word(argc, argv);
    if (at == argc) return without_command(argc, argv);
    const struct command *c = take_command(&argc, argv, at, &code);
    if (c == NULL) return code;
    if (c->run_own != NULL) return run_own(c, argc, argv, at);
    code = command_run(c, argc, argv, &a);
    if (code < 0) code = session_init(&s, &a);
    if (code < 0) {
        code = c->run(&s, &a);
        session_deinit(&s);
    }
    free(a.given);
    return code;
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_DFL);
    int code = run(argc, argv);
    bool written = fflush(stdout) == 0 && ferror(stdout) == 0;
    if (!written) fprintf(stderr, "leat: standard output cannot be written\n");
    return written || code != EXIT_DONE ? code : EXIT_FAILED;
}

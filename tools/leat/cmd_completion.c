// SPDX-License-Identifier: Apache-2.0
/* leat completion: the script that makes bash complete commands, options and topics; written from the command table. */
#include "tools/leat/commands.h"
#include "tools/leat/session.h"

#include <string.h>

static const struct option_spec options[] = {{'\0', NULL, NULL, NULL, NULL}};

static const char text[] =
    "For this shell: eval \"$(leat completion bash)\". Packages install it where bash finds it.\n";

static void words_of_group(const char *group)
{
    for (size_t i = 0; commands[i] != NULL; i++)
        if (commands[i]->group != NULL && strcmp(commands[i]->group, group) == 0) printf(" %s", commands[i]->name);
}

/* The command table has the commands of a group side by side. */
static bool begins_group(size_t i)
{
    const char *group = commands[i]->group, *before = i == 0 ? NULL : commands[i - 1]->group;
    return group != NULL && (before == NULL || strcmp(before, group) != 0);
}

static void first_words(void)
{
    const char *before = "";
    for (size_t i = 0; commands[i] != NULL; i++) {
        const char *word = commands[i]->group != NULL ? commands[i]->group : commands[i]->name;
        if (strcmp(word, before) != 0) printf(" %s", word);
        before = word;
    }
}

static void option_names(const struct option_spec *o)
{
    for (; o->name != NULL; o++) {
        printf(" --%s", o->name);
        if (o->letter != '\0') printf(" -%c", o->letter);
    }
}

/* "-b|--broker" patterns of the options that take a value */
static void with_value(const struct option_spec *o)
{
    for (; o->name != NULL; o++) {
        if (o->arg == NULL) continue;
        printf("|--%s", o->name);
        if (o->letter != '\0') printf("|-%c", o->letter);
    }
}

/* The same of a command that parses its options itself: letters are not known. */
static void own_option_names(const struct option *o)
{
    for (; o != NULL && o->name != NULL; o++) printf(" --%s", o->name);
}

static void own_with_value(const struct option *o)
{
    for (; o != NULL && o->name != NULL; o++)
        if (o->has_arg != no_argument) printf("|--%s", o->name);
}

static void values(const struct option_spec *o)
{
    for (; o->name != NULL; o++) {
        if (o->words == NULL) continue;
        printf("        --%s", o->name);
        if (o->letter != '\0') printf("|-%c", o->letter);
        printf(") COMPREPLY=($(compgen -W '%s' -- \"$cur\")); return ;;\n", o->words);
    }
}

static void command_case(const struct command *c)
{
    printf("    '%s%s%s')\n", c->group ? c->group : "", c->group ? " " : "", c->name);
    printf("        opts='");
    option_names(c->options);
    own_option_names(c->own_options);
    if (c->own_options == NULL) option_names(global_options);
    printf("'\n        case $prev in\n");
    values(c->options);
    printf("        _none_");
    with_value(c->options);
    own_with_value(c->own_options);
    if (c->own_options == NULL) with_value(global_options);
    printf(") return ;;\n        esac\n");
    static const char *const words[] = {
        [COMPLETE_NOTHING] = "none",    [COMPLETE_FILES] = "files",   [COMPLETE_TOPICS] = "topics",
        [COMPLETE_DELETED] = "deleted", [COMPLETE_GROUPS] = "groups", [COMPLETE_KINDS] = "'topic broker group'"};
    printf("        words=%s ;;\n", words[c->complete]);
}

static void script(void)
{
    printf("# bash completion for leat %s, written by `leat completion bash`\n", leat_version());
    printf("_leat() {\n"
           "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} i cmd= opts= words=\n"
           "    local -a global=()\n"
           "    COMPREPLY=()\n"
           "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
           "        case ${COMP_WORDS[i]} in\n"
           "        -b|--broker) global+=(-b \"${COMP_WORDS[i+1]}\"); ((i++)) ;;\n"
           "        _none_");
    with_value(global_options);
    printf(") ((i++)) ;;\n        -*) ;;\n        *) case $cmd in\n           '') cmd=${COMP_WORDS[i]} ;;\n");
    for (size_t i = 0; commands[i] != NULL; i++)
        if (begins_group(i)) printf("           %s) cmd=\"$cmd ${COMP_WORDS[i]}\" ;;\n", commands[i]->group);
    printf("           esac ;;\n        esac\n    done\n    case $cmd in\n    '') opts='");
    option_names(global_options);
    printf("'\n        case $prev in _none_");
    with_value(global_options);
    printf(") return ;; esac\n        words='");
    first_words();
    printf("' ;;\n");
    for (size_t i = 0; commands[i] != NULL; i++) {
        const struct command *c = commands[i];
        if (begins_group(i)) {
            printf("    %s) words='", c->group);
            words_of_group(c->group);
            printf("' ;;\n");
        }
        command_case(c);
    }
    printf("    esac\n"
           "    case $cur in\n"
           "    -*) COMPREPLY=($(compgen -W \"$opts\" -- \"$cur\")); return ;;\n"
           "    esac\n"
           "    case $words in\n"
           "    topics) words=$(_leat_names topic list) ;;\n"
           "    deleted) words=$(_leat_names topic list --deleted) ;;\n"
           "    groups) words=$(_leat_names group list) ;;\n"
           "    files) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n"
           "    none) return ;;\n"
           "    esac\n"
           "    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
           "}\n"
           "_leat_names() { leat \"${global[@]}\" --timeout 1 \"$@\" --names 2>/dev/null; }\n"
           "complete -o filenames -F _leat leat\n");
}

static int run(struct session *s, const struct args *a)
{
    if (strcmp(a->words[0], "bash") != 0) return usage_error(a->command, "'%s': only bash is known", a->words[0]);
    script();
    return EXIT_DONE;
}

const struct command command_completion = {
    .name = "completion",
    .words = "bash",
    .summary = "a script that makes the shell complete",
    .text = text,
    .options = options,
    .words_min = 1,
    .words_max = 1,
    .run = run,
};

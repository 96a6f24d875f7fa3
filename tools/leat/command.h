// SPDX-License-Identifier: Apache-2.0
/* The commands of `leat` as one table: what they are called, which options they take, what --help says, what bash
 * completes. Parsing, help and completion all read it, so they cannot differ. */
#pragma once
#include "clients/c/leat.h"
#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Exit codes; help_exit_codes in command.c is what the user reads. */
enum {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_UNREACHABLE = 3, /* no broker, or not in time */
    EXIT_BAD_NEWS = 4,    /* the command did its work, and what it found is bad: damage, partitions offline */
};

enum complete { /* what an option's value or a command's words are, for completion */
                COMPLETE_NOTHING,
                COMPLETE_FILES,
                COMPLETE_TOPICS,
                COMPLETE_DELETED, /* topics */
                COMPLETE_GROUPS,
                COMPLETE_KINDS, /* topic, broker, group */
};

struct option_spec {
    char letter; /* '\0': none */
    const char *name;
    const char *arg; /* "N"; NULL: a switch */
    const char *help;
    const char *words; /* the values there are, with blanks between; NULL: anything */
};

struct session;
struct args;

struct command {
    const char *group; /* "topic"; NULL: none */
    const char *name;
    const char *words; /* "TOPIC [FILE...]" */
    const char *summary;
    const char *text;                  /* what --help says between usage and options; may be NULL */
    const struct option_spec *options; /* ends with name NULL */
    int words_min, words_max;          /* -1: any number */
    enum complete complete;
    int (*run)(struct session *s, const struct args *a); /* exit code */
    /* Instead of options, words and run: what stands behind the command's name is parsed by itself, help included */
    int (*run_own)(struct session *s, int argc, char **argv);
    const struct option *own_options; /* for completion */
};

extern const struct command *const commands[]; /* ends with NULL */
extern const struct option_spec global_options[];

struct given {
    const struct option_spec *option;
    const char *value;
};

struct args {
    const struct command *command;
    struct given *given; /* in order */
    size_t given_count;
    char **words;
    int word_count;
};

/* Last one counts; NULL: not given (a switch: ""). */
const char *args_value(const struct args *a, const char *name);
/* Each in turn: *i begins at 0; NULL: no more. */
const char *args_each(const struct args *a, const char *name, size_t *i);
/* False: a usage error was written. Not given: *ret_value is left alone. */
bool args_number(const struct args *a, const char *name, int64_t min, int64_t max, int64_t *ret_value);
/* Writes "leat COMMAND: what (see leat COMMAND --help)"; returns EXIT_USAGE. */
int usage_error(const struct command *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

void help_general(void);
void help_group(const char *group);
void help_command(const struct command *c);
bool group_exists(const char *word);
const struct command *command_find(const char *group, const char *name); /* NULL: none */
/* The nearest command or group name, NULL: nothing near. */
const char *command_nearest(const char *group, const char *word);
int command_run(const struct command *c, int argc, char **argv, struct args *a); /* parses; -1: go on, else exit code */

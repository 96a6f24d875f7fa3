// SPDX-License-Identifier: Apache-2.0
/* What one invocation of `leat` shares: the client, and how to speak: errors and progress on standard error, results on
 * standard output, as text or JSON. */
#pragma once
#include "tools/leat/command.h"
#include <jansson.h>
#include <stdio.h>

struct session {
    const char *brokers;
    int64_t timeout_ms;
    bool json, quiet;
    bool color_out, color_err; /* that stream is a terminal, and NO_COLOR is not set */
    bool progress;             /* standard error is a terminal and nobody said --quiet */
    struct leat_client *client;
};

/* From the global options and the environment. -1: fine, else the exit code of a usage error. */
int session_init(struct session *s, const struct args *a);
void session_deinit(struct session *s);
/* Makes the client at first use. LEAT_OK or an error that was written, with its exit code in *ret_code. */
bool session_client(struct session *s, int *ret_code);

/* Text for people: names and messages are a stranger's, so control characters (a terminal would obey them) become '?',
 * but for a newline at the end. */
void print_plain(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* "leat: " and the text, as print_plain, to standard error. */
void complain(const struct session *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Writes the error, with advice where we have some; returns the exit code. */
int complain_leat(const struct session *s, const struct leat_error *e);

/* Asks before something is destroyed, unless --yes or nobody is there to answer: a script has said what it wants.
 * False: "nothing was changed" was written. */
bool confirmed(const struct session *s, const struct args *a, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Deletes each of the words after one question, "Delete <words> and <what>?"; stops at the first that is refused. */
int delete_words(struct session *s, const struct args *a, const char *what,
                 enum leat_code (*one)(struct leat_client *client, const char *name, int64_t timeout_ms,
                                       struct leat_error *ret_error));

/* Prints and frees; one line unless standard output is a terminal. */
void print_json(const struct session *s, json_t *value);
/* A JSON string; bytes that are no UTF-8 become an object {"base64": "..."}; null for len < 0. */
json_t *json_bytes(const void *data, int64_t len);
json_t *json_name(const char *text); /* the same of a text; null for NULL */

enum color { COLOR_NONE, COLOR_GOOD, COLOR_BAD, COLOR_DIM, COLOR_HEAD };
const char *color_begin(bool on, enum color c); /* "" when off */
const char *color_end(bool on);

/* Columns as wide as their widest cell. Cells are copied, as print_plain; those that begin with a digit or '-' stand
 * right. */
void print_heading(const struct session *s, const char *name); /* print_plain, in its colour */

struct table {
    int columns, rows, capacity;
    char **cells;
};
void table_init(struct table *t, int columns);
void table_cell(struct table *t, const char *format, ...) __attribute__((format(printf, 2, 3))); /* row by row */
void table_print(const struct session *s, const struct table *t); /* the first row is the heading */
void table_free(struct table *t);

struct progress { /* on a terminal, a line that is written over, five times a second */
    const struct session *session;
    int64_t begun_ms, shown_ms;
    bool shown;
};
void progress_begin(struct progress *p, const struct session *s);
void progress_show(struct progress *p, const char *verb, uint64_t records, uint64_t bytes);
void progress_end(struct progress *p); /* the line goes away */

/* "12.3 MB"; `out` has 32 bytes. */
const char *human_bytes(char out[32], uint64_t bytes);
const char *human_age(char out[32], int64_t ms); /* "1.5 s", "3 min", "7.2 h", "12 days" */

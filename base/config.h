// SPDX-License-Identifier: Apache-2.0
/* Configuration: a table of keys, values from a properties file, the environment and -o options.
 *
 * Sources, each beating the one before whatever the order of the calls: default < file < environment < option. Within
 * one source the last value wins. Every value is checked against its key when it comes in; an unknown key is an error
 * that names the nearest known one. Texts come in as memory: opening files is the caller's.
 *
 * File: Java properties: `key=value`, `key: value` or `key value`; # and ! start comment lines; a backslash at the end
 * of a line joins the next one; escapes \t \n \r \f \uXXXX, other escaped characters stand for themselves. UTF-8.
 * Unlike Java, a \u that is not four hex digits, a \u0000 and invalid UTF-8 are errors.
 * Environment: LEAT_LOG_DIRS -> log.dirs; if there is no key of that name, LEAT_X_Y -> leat.x.y. A LEAT_ variable that
 * is neither is an error (LEAT_MEM_SEPARATE, for mem.c, is left alone); others are not looked at.
 *
 * Errors: STATUS_INVALID with one sentence in the error: where, key, what would be right; STATUS_NO_MEMORY. A source
 * that fails leaves the values that it set before the error: the caller stops. */
#pragma once
#include "base/mem.h"

enum config_type {
    CONFIG_INT,    /* decimal, sign allowed */
    CONFIG_BYTES,  /* as INT, or with a suffix: k, m, g, t, each also as KiB or kb: powers of 1024 */
    CONFIG_BOOL,   /* true or false, in any case */
    CONFIG_DOUBLE, /* decimal point, exponent; finite */
    CONFIG_STRING, /* min, max: its length in bytes */
    CONFIG_LIST,   /* comma separated, blanks around items dropped; min, max: number of items */
    CONFIG_ENUM,   /* one of choices */
};

enum config_flags {
    CONFIG_IGNORED = 1 << 0, /* accepted for compatibility and checked, but without meaning here */
    CONFIG_DYNAMIC = 1 << 1, /* may change while the process runs; for the layer above */
};

struct config_key {   /* static const, lives for ever */
    const char *name; /* lower case, dots */
    enum config_type type;
    const char *default_text; /* NULL: not set */
    int64_t min, max;         /* both 0: no limit */
    const char *choices;      /* ENUM: "a|b|c" */
    const char *doc;          /* one line */
    unsigned flags;
};

#define CONFIG_TEXT_MAX  ((size_t)1 << 20) /* bytes of a file */
#define CONFIG_KEY_MAX   ((size_t)128)
#define CONFIG_VALUE_MAX ((size_t)32 << 10)

struct config_error {
    char text[512];
};

struct config_value {
    int64_t number; /* INT, BYTES, BOOL (0 or 1); LIST: number of items */
    double real;    /* DOUBLE */
};

/* One value against its key, without a struct config: a setting that comes by a request. Blanks around the text are the
 * caller's. INVALID: the error names key, value and what would be right. */
enum status config_check(const struct config_key *k, const char *text, size_t size, struct config_value *ret_value,
                         struct config_error *ret_error) MUST_CHECK;
/* Walks the items of a list's text, blanks around them dropped; *pos starts at 0, false at the end. */
bool config_list_item(const char *text, size_t size, size_t *pos, const char **ret_item, size_t *ret_size);

struct config;

/* NULL when MEM_CONTROL has no room. CHECKs the table: defaults fit, no key twice, not both X and leat.X. */
struct config *config_create(struct mem *m, const struct config_key *keys, size_t count);
void config_destroy(struct config *c);

/* file_name: for errors; it must outlive the config. */
enum status config_load(struct config *c, const char *file_name, const char *text, size_t size,
                        struct config_error *ret_error) MUST_CHECK;
/* environ-like: "NAME=value" strings, NULL at the end. */
enum status config_load_env(struct config *c, const char *const *environment,
                            struct config_error *ret_error) MUST_CHECK;
/* "key=value", as after -o. No escapes. */
enum status config_option(struct config *c, const char *option, struct config_error *ret_error) MUST_CHECK;

/* CHECK that the key exists and has a fitting type and a value. */
int64_t config_int(const struct config *c, const char *name);        /* INT and BYTES */
bool config_bool(const struct config *c, const char *name);          /* BOOL */
double config_double(const struct config *c, const char *name);      /* DOUBLE */
const char *config_string(const struct config *c, const char *name); /* STRING, ENUM, LIST; NUL-terminated; borrowed */
const char *config_text(const struct config *c, const char *name);   /* any type, as it was written; NULL: not set */
/* Walks a list: *pos starts at 0; false at the end. The item is borrowed and not NUL-terminated. */
bool config_list_next(const struct config *c, const char *name, size_t *pos, const char **ret_item, size_t *ret_size);

bool config_is_set(const struct config *c, const char *name);   /* has a value, default included */
bool config_is_given(const struct config *c, const char *name); /* has a value from some source but the default */
/* "default", "server.properties:12", "environment", "option" */
void config_source(const struct config *c, const char *name, char *ret_text, size_t size);
/* Calls fn for each key with CONFIG_IGNORED that some source has set: for one warning each. */
void config_each_ignored(const struct config *c, void (*fn)(const struct config_key *k, void *arg), void *arg);

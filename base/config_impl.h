// SPDX-License-Identifier: Apache-2.0
/* Inside the configuration: what config.c, config_value.c and properties.c share. */
#pragma once
#include "base/config.h"

enum config_rank { CONFIG_FROM_DEFAULT, CONFIG_FROM_FILE, CONFIG_FROM_ENV, CONFIG_FROM_OPTION };

struct config_place {
    enum config_rank rank;
    const char *file; /* or the environment variable's name */
    uint32_t line;    /* from 1; files only */
};

struct config_scratch { /* both NUL-terminated; no NUL inside */
    char key[CONFIG_KEY_MAX + 1];
    char value[CONFIG_VALUE_MAX + 1];
    size_t value_size;
};

/* Writes "place: " and the formatted rest. */
void config_fail(const struct config_place *at, struct config_error *ret_error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* text: blanks around it are gone. STATUS_INVALID with an error that names key, value and what would be right. */
enum status config_value_parse(const struct config_key *k, const char *text, size_t size, const struct config_place *at,
                               struct config_value *ret_value, struct config_error *ret_error) MUST_CHECK;

struct properties { /* a walk through a properties text */
    const char *file, *at, *end;
    uint32_t line, key_line; /* of `at`; where the last pair began */
};

void properties_init(struct properties *p, const char *file, const char *text, size_t size);
/* The next pair into `out`; *ret_found false at the end. STATUS_INVALID: bad escape, NUL, bad UTF-8, too long. */
enum status properties_next(struct properties *p, struct config_scratch *out, bool *ret_found,
                            struct config_error *ret_error) MUST_CHECK;

// SPDX-License-Identifier: Apache-2.0
/* How `leat consume` writes a record: a format string, checked once, then run per record.
 *
 *   %t topic   %p partition   %o offset   %k key   %v value   %h headers as name=value,...   %T time in ms since 1970
 *   %I the same as ISO 8601 in UTC   %K %V lengths of key and value, -1: null   %% a percent sign
 *   \n \t \r \0 \\ \e (escape)  \xHH any byte
 * Null keys and values are written as nothing. */
#pragma once
#include "clients/c/leat.h"
#include <stdio.h>

struct format {
    const char *topic;
    char *text;          /* escapes resolved */
    unsigned char *kind; /* per byte of text: 0 literal, 1 a token's letter */
    size_t len;
};

/* False: ret_error says what is wrong and where. */
bool format_parse(struct format *f, const char *topic, const char *text, char ret_error[160]);
void format_write(const struct format *f, const struct leat_record *r, FILE *out);
void format_free(struct format *f);

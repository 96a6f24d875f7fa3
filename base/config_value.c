// SPDX-License-Identifier: Apache-2.0
/* Values of configuration keys: text to number, limits, lists (config.h). Failure mode: the text does not fit its key:
 * an error that says what would. Own number parser, as strtoll accepts blanks, a locale and half a text. */
#include "base/config_impl.h"
#include "base/bytes.h"
#include "base/check.h"
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

/* Digits with a sign to ret_number; how many bytes were taken, 0: no number, or it does not fit. */
static size_t take_int(const char *text, size_t size, int64_t *ret_number)
{
    bool negative = size > 0 && *text == '-';
    size_t at = size > 0 && (*text == '-' || *text == '+') ? 1 : 0, first = at;
    int64_t v = 0;
    for (; at < size && isdigit((unsigned char)text[at]); at++) {
        int digit = text[at] - '0';
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_sub_overflow(v, digit, &v)) return 0;
    }
    if (at == first || (!negative && v == INT64_MIN)) return 0;
    *ret_number = negative ? v : -v; /* counted downwards, so that INT64_MIN fits */
    return at;
}

/* "", "k", "kb", "KiB" ... to a shift; -1: none of them. */
static int suffix_shift(const char *s, size_t size)
{
    static const char units[] = "kmgt";
    if (size == 0 || (size == 1 && tolower((unsigned char)*s) == 'b')) return 0;
    const char *unit = strchr(units, tolower((unsigned char)*s));
    if (*s == '\0' || unit == NULL) return -1;
    bool rest =
        size == 1 || (size == 2 && strncasecmp(s + 1, "b", 1) == 0) || (size == 3 && strncasecmp(s + 1, "ib", 2) == 0);
    return rest ? 10 * (int)(unit - units + 1) : -1;
}

static bool parse_int(const struct config_key *k, const char *text, size_t size, int64_t *ret_number)
{
    int64_t v;
    size_t taken = take_int(text, size, &v);
    if (taken == 0) return false;
    int shift = k->type == CONFIG_BYTES ? suffix_shift(text + taken, size - taken) : (taken == size ? 0 : -1);
    if (shift < 0 || __builtin_mul_overflow(v, (int64_t)1 << shift, &v)) return false;
    *ret_number = v;
    return true;
}

static bool parse_bool(const char *text, size_t size, int64_t *ret_number)
{
    bool yes = size == 4 && strncasecmp(text, "true", 4) == 0, no = size == 5 && strncasecmp(text, "false", 5) == 0;
    if (yes || no) *ret_number = yes;
    return yes || no;
}

static bool parse_double(const char *text, size_t size, double *ret_real)
{
    char copy[64], *end;
    if (size == 0 || size >= sizeof copy) return false;
    memcpy(copy, text, size);
    copy[size] = '\0';
    if (strspn(copy, "0123456789+-.eE") != size) return false; /* no hex, nan, inf, blanks */
    *ret_real = strtod(copy, &end);
    return *end == '\0' && isfinite(*ret_real);
}

static bool parse_enum(const char *choices, const char *text, size_t size)
{
    for (const char *c = choices;;) {
        size_t n = strcspn(c, "|");
        if (n == size && memcmp(c, text, n) == 0) return true;
        if (c[n] == '\0') return false;
        c += n + 1;
    }
}

bool config_list_item(const char *text, size_t size, size_t *pos, const char **ret_item, size_t *ret_size)
{
    if (size == 0 || *pos > size) return false;
    const char *item = text + *pos, *comma = memchr(item, ',', size - *pos);
    size_t n = comma != NULL ? (size_t)(comma - item) : size - *pos;
    *pos += n + 1;
    for (; n > 0 && isspace((unsigned char)*item); item++) n--;
    while (n > 0 && isspace((unsigned char)item[n - 1])) n--;
    *ret_item = item;
    *ret_size = n;
    return true;
}

/* Counts the items; false if one is empty. */
static bool parse_list(const char *text, size_t size, int64_t *ret_number)
{
    const char *item;
    size_t pos = 0, n;
    int64_t count = 0;
    for (; config_list_item(text, size, &pos, &item, &n); count++)
        if (n == 0) return false;
    *ret_number = count;
    return true;
}

/* What the limits are on: the number, or how long the text is. False: not even of the type. */
static bool parse(const struct config_key *k, const char *text, size_t size, struct config_value *v, double *measure)
{
    switch (k->type) {
    case CONFIG_INT:
    case CONFIG_BYTES:
        if (!parse_int(k, text, size, &v->number)) return false;
        *measure = (double)v->number;
        return true;
    case CONFIG_BOOL: return parse_bool(text, size, &v->number);
    case CONFIG_DOUBLE:
        if (!parse_double(text, size, &v->real)) return false;
        *measure = v->real;
        return true;
    case CONFIG_STRING: *measure = (double)size; return true;
    case CONFIG_LIST:
        if (!parse_list(text, size, &v->number)) return false;
        *measure = (double)v->number;
        return true;
    case CONFIG_ENUM: return parse_enum(k->choices, text, size);
    }
    return false;
}

static bool in_limits(const struct config_key *k, const struct config_value *v, double measure)
{
    if (k->min == 0 && k->max == 0) return true;
    if (k->type == CONFIG_INT || k->type == CONFIG_BYTES) return v->number >= k->min && v->number <= k->max;
    if (k->type == CONFIG_BOOL || k->type == CONFIG_ENUM) return true;
    return measure >= (double)k->min && measure <= (double)k->max;
}

static const char *const wanted[] = {
    [CONFIG_INT] = "a whole number",
    [CONFIG_BYTES] = "a number of bytes such as 1048576 or 1MiB",
    [CONFIG_BOOL] = "true or false",
    [CONFIG_DOUBLE] = "a decimal number",
    [CONFIG_STRING] = "a text with length",
    [CONFIG_LIST] = "a comma separated list without empty items, their number",
    [CONFIG_ENUM] = "one of",
};

static bool fits(const struct config_key *k, const char *text, size_t size, struct config_value *ret_value)
{
    struct config_value v = {0};
    double measure = 0;
    if (size > CONFIG_VALUE_MAX || !parse(k, text, size, &v, &measure) || !in_limits(k, &v, measure)) return false;
    *ret_value = v;
    return true;
}

static void say_wanted(const struct config_key *k, const char *text, size_t size, char *out, size_t out_size)
{
    char limits[96] = "";
    if (k->type == CONFIG_ENUM)
        snprintf(limits, sizeof limits, " %s", k->choices);
    else if (k->min != 0 || k->max != 0)
        snprintf(limits, sizeof limits, " from %lld to %lld", (long long)k->min, (long long)k->max);
    snprintf(out, out_size, "%s: '%.*s' is not %s%s", k->name, (int)MIN(size, 64u), text, wanted[k->type], limits);
}

enum status config_check(const struct config_key *k, const char *text, size_t size, struct config_value *ret_value,
                         struct config_error *ret_error)
{
    if (fits(k, text, size, ret_value)) return STATUS_OK;
    say_wanted(k, text, size, ret_error->text, sizeof ret_error->text);
    return STATUS_INVALID;
}

enum status config_value_parse(const struct config_key *k, const char *text, size_t size, const struct config_place *at,
                               struct config_value *ret_value, struct config_error *ret_error)
{
    char text_out[512];
    if (fits(k, text, size, ret_value)) return STATUS_OK;
    say_wanted(k, text, size, text_out, sizeof text_out);
    config_fail(at, ret_error, "%s", text_out);
    return STATUS_INVALID;
}

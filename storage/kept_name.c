// SPDX-License-Identifier: Apache-2.0
/* Names in trash/ and quarantine/ (kept_name.h). They are read from the end, since a topic name may hold dots.
 * Failure modes: a name that is not exactly ours is none; numbers are bounded before they are believed. */
#include "storage/kept_name.h"

#include "base/check.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define DIR_NAME_MAX 150
#define ID_HEX_BYTES 32

static_assert(DIR_NAME_MAX + 1 + ID_HEX_BYTES + 1 + 10 + 1 + 20 + 1 + 19 < NAME_BYTES_MAX, "the longest one fits");

void kept_name(char ret_name[NAME_BYTES_MAX], const char *dir_name, const struct kept *k)
{
    char hex[ID_HEX_BYTES + 1];
    CHECK(k->number >= 0 && k->since_ms >= 0);
    for (size_t i = 0; i < sizeof k->id.b; i++) snprintf(hex + 2 * i, 3, "%02x", k->id.b[i]);
    int n = snprintf(ret_name, NAME_BYTES_MAX, "%.*s.%s-%d.%llu.%lld", DIR_NAME_MAX, dir_name, hex, k->number,
                     (unsigned long long)k->creation, (long long)k->since_ms);
    CHECK(n > 0 && n < (int)NAME_BYTES_MAX);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* All of the text: a decimal number up to `most`, as it is printed. */
static bool decimal(const char *text, size_t len, uint64_t most, uint64_t *ret_value)
{
    uint64_t value = 0;
    if (len == 0 || (len > 1 && text[0] == '0')) return false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') return false;
        uint64_t digit = (uint64_t)(text[i] - '0');
        if (value > (most - digit) / 10) return false;
        value = value * 10 + digit;
    }
    *ret_value = value;
    return true;
}

/* The last part of text[0, *len) behind a dot; *len becomes where that dot stands. NULL: no dot. */
static const char *last_part(const char *text, size_t *len, size_t *ret_part_len)
{
    for (size_t i = *len; i-- > 0;) {
        if (text[i] != '.') continue;
        *ret_part_len = *len - i - 1;
        *len = i;
        return text + i + 1;
    }
    return NULL;
}

bool kept_name_parse(const char *name, struct kept *ret_kept)
{
    size_t len = strnlen(name, NAME_BYTES_MAX), n;
    struct kept k = {.id = {{0}}};
    uint64_t since, number;
    if (len >= NAME_BYTES_MAX) return false;
    const char *part = last_part(name, &len, &n);
    if (part == NULL || !decimal(part, n, INT64_MAX, &since)) return false;
    part = last_part(name, &len, &n);
    if (part == NULL || !decimal(part, n, UINT64_MAX, &k.creation)) return false;
    part = last_part(name, &len, &n);
    if (part == NULL || len == 0 || n < ID_HEX_BYTES + 2 || part[ID_HEX_BYTES] != '-') return false;
    for (size_t i = 0; i < ID_HEX_BYTES; i++) {
        int digit = hex_digit(part[i]);
        if (digit < 0) return false;
        k.id.b[i / 2] = (uint8_t)(k.id.b[i / 2] << 4 | digit);
    }
    if (!decimal(part + ID_HEX_BYTES + 1, n - ID_HEX_BYTES - 1, INT32_MAX, &number)) return false;
    k.number = (int32_t)number;
    k.since_ms = (int64_t)since;
    *ret_kept = k;
    return true;
}

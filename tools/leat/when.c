// SPDX-License-Identifier: Apache-2.0
/* Times, positions, partition lists (when.h). Every digit is looked at and every field is bounded, so that a date that
 * does not exist (February 30th) is refused, not moved. */
#include "tools/leat/when.h"

#include "base/bytes.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PARTITIONS_MAX 1000000

static bool digits(const char **at, int count, int max, int *ret_value)
{
    int value = 0;
    for (int i = 0; i < count; i++, (*at)++) {
        if (**at < '0' || **at > '9') return false;
        value = 10 * value + (**at - '0');
    }
    *ret_value = value;
    return value <= max;
}

static bool literal(const char **at, char c)
{
    if (**at != c) return false;
    (*at)++;
    return true;
}

/* .5, .123, .123456: only milliseconds count */
static bool fraction(const char **at, int *ret_ms)
{
    int ms = 0, n = 0;
    for (; **at >= '0' && **at <= '9'; (*at)++, n++)
        if (n < 3) ms = 10 * ms + (**at - '0');
    for (int i = n; i < 3; i++) ms *= 10;
    *ret_ms = ms;
    return n > 0 && n <= 9;
}

/* hh:mm[:ss[.fff]] */
static bool clock_part(const char **at, struct tm *t, int *ret_ms)
{
    if (!digits(at, 2, 23, &t->tm_hour) || !literal(at, ':') || !digits(at, 2, 59, &t->tm_min)) return false;
    if (!literal(at, ':')) return true;
    if (!digits(at, 2, 59, &t->tm_sec)) return false;
    return !(literal(at, '.') || literal(at, ',')) || fraction(at, ret_ms);
}

/* Z, +hh:mm, +hhmm, +hh, or nothing: *ret_local */
static bool zone(const char **at, int *ret_minutes, bool *ret_local)
{
    int hours, minutes = 0, sign = **at == '-' ? -1 : 1;
    *ret_local = **at == '\0';
    *ret_minutes = 0;
    if (*ret_local || literal(at, 'Z') || literal(at, 'z')) return true;
    if (!literal(at, '+') && !literal(at, '-')) return false;
    if (!digits(at, 2, 23, &hours)) return false;
    if (**at != '\0') {
        (void)literal(at, ':');
        if (!digits(at, 2, 59, &minutes)) return false;
    }
    *ret_minutes = sign * (60 * hours + minutes);
    return true;
}

static bool iso_parse(const char *at, int64_t *ret_ms)
{
    struct tm t = {.tm_isdst = -1};
    int ms = 0, minutes = 0, day, month;
    bool local = true;
    if (!digits(&at, 4, 9999, &t.tm_year) || !literal(&at, '-') || !digits(&at, 2, 12, &month) || !literal(&at, '-') ||
        !digits(&at, 2, 31, &day) || t.tm_year < 1970 || month == 0 || day == 0)
        return false;
    t.tm_year -= 1900;
    t.tm_mon = month - 1;
    t.tm_mday = day;
    if ((literal(&at, 'T') || literal(&at, ' ')) && !clock_part(&at, &t, &ms)) return false;
    if (!zone(&at, &minutes, &local) || *at != '\0') return false;
    time_t seconds = local ? mktime(&t) : timegm(&t);
    if (t.tm_mday != day || t.tm_mon != month - 1) return false; /* moved: there is no such day */
    int64_t total = 1000 * ((int64_t)seconds - 60 * (int64_t)minutes) + ms;
    if (total >= 0) *ret_ms = total;
    return total >= 0;
}

static bool number(const char *text, int64_t *ret_value)
{
    int64_t value = 0;
    if (text[0] == '\0') return false;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9') return false;
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, *text - '0', &value))
            return false;
    }
    *ret_value = value;
    return true;
}

bool time_parse(const char *text, int64_t *ret_ms)
{
    return text[0] == '@' ? number(text + 1, ret_ms) : iso_parse(text, ret_ms);
}

bool position_parse(const char *text, struct leat_position *ret_position)
{
    int64_t value = 0;
    enum leat_place place = LEAT_AT_TIME;
    if (strcmp(text, "beginning") == 0)
        place = LEAT_BEGINNING;
    else if (strcmp(text, "end") == 0)
        place = LEAT_TAIL;
    else if (number(text, &value))
        place = LEAT_AT_OFFSET;
    else if (text[0] == '-' && number(text + 1, &value))
        place = LEAT_TAIL;
    else if (!time_parse(text, &value))
        return false;
    *ret_position = (struct leat_position){place, value};
    return true;
}

const char *time_text(char out[TIME_TEXT_BYTES], int64_t ms)
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm t;
    char text[24];
    snprintf(out, TIME_TEXT_BYTES, "-");
    if (ms < 0 || gmtime_r(&seconds, &t) == NULL || t.tm_year > 9999 - 1900) return out;
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &t);
    snprintf(out, TIME_TEXT_BYTES, "%s.%03dZ", text, (int)(ms % 1000));
    return out;
}

/* ---- partitions ---- */

static bool span(const char **at, int64_t *ret_first, int64_t *ret_last)
{
    char *end;
    if (**at < '0' || **at > '9') return false;
    *ret_first = *ret_last = strtoll(*at, &end, 10);
    if (*end == '-') {
        if (end[1] < '0' || end[1] > '9') return false;
        *ret_last = strtoll(end + 1, &end, 10);
    }
    if (*ret_first > *ret_last || *ret_last > INT32_MAX || (*end != ',' && *end != '\0')) return false;
    if (*end == ',' && end[1] == '\0') return false;
    *at = *end == ',' ? end + 1 : end;
    return true;
}

static int order(const void *a, const void *b)
{
    const int32_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

int32_t *partitions_parse(const char *text, size_t *ret_count)
{
    int32_t *all = NULL;
    size_t count = 0, kept = 0;
    int64_t first, last;
    bool good = *text != '\0';
    while (good && *text != '\0') {
        good = span(&text, &first, &last) && (size_t)(last - first) < PARTITIONS_MAX - count;
        int32_t *more = good ? realloc(all, (count + (size_t)(last - first) + 1) * sizeof *all) : NULL;
        good = more != NULL;
        if (!good) break;
        all = more;
        for (int64_t i = first; i <= last; i++) all[count++] = (int32_t)i;
    }
    if (!good) {
        free(all);
        return NULL;
    }
    qsort(all, count, sizeof *all, order);
    for (size_t i = 0; i < count; i++)
        if (i == 0 || all[i] != all[kept - 1]) all[kept++] = all[i];
    *ret_count = kept;
    return all;
}

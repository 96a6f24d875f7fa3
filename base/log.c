// SPDX-License-Identifier: Apache-2.0
/* Structured log (log.h): rate, format into a line on the stack, sink. The date is computed here, as libc's calendar
 * functions take locks and read the environment. Failure mode: a line too long is cut, never dropped. */
#include "base/log.h"
#include "base/bytes.h"
#include "base/check.h"
#include <stdarg.h>
#include <stdio.h>

struct line {
    char text[LOG_LINE_MAX];
    size_t size;
    bool cut;
};

enum { TAIL = 4 }; /* "...\n" */

void log_init(struct log *l, log_sink *sink, void *arg, enum log_level lowest, uint32_t shard)
{
    *l = (struct log){.sink = sink, .sink_arg = arg, .lowest = lowest, .shard = shard};
}

static void add_bytes(struct line *line, const char *text, size_t size)
{
    size_t room = LOG_LINE_MAX - TAIL - line->size;
    if (size > room) line->cut = true;
    if (line->cut) return; /* a value is shown whole or not at all */
    memcpy(line->text + line->size, text, size);
    line->size += size;
}

__attribute__((format(printf, 2, 3))) static void addf(struct line *line, const char *format, ...)
{
    char text[128];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    add_bytes(line, text, (size_t)MIN(n, (int)sizeof text - 1));
}

static bool is_plain(const char *s)
{
    if (*s == '\0') return false;
    for (; *s != '\0'; s++)
        if ((unsigned char)*s <= ' ' || *s == '"' || *s == '\\' || *s == '=' || *s == 0x7f) return false;
    return true;
}

static void add_text(struct line *line, const char *s)
{
    if (is_plain(s)) {
        add_bytes(line, s, strlen(s));
        return;
    }
    add_bytes(line, "\"", 1);
    for (; *s != '\0'; s++) {
        if (*s == '"' || *s == '\\')
            addf(line, "\\%c", *s);
        else if (*s == '\n')
            addf(line, "\\n");
        else if ((unsigned char)*s < ' ' || *s == 0x7f)
            addf(line, "\\x%02x", (unsigned)(unsigned char)*s);
        else
            add_bytes(line, s, 1);
    }
    add_bytes(line, "\"", 1);
}

/* Days since 1970 to a date of the Gregorian calendar: years counted from March, so that the leap day comes last. */
static void add_time(struct line *line, struct wall_ms wall)
{
    int64_t ms = MAX(wall.v, 0), days = ms / 86400000, rest = ms % 86400000;
    int64_t d = days + 719468; /* from 0000-03-01 */
    int64_t era = d / 146097, of_era = d % 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100), month = (5 * of_year + 2) / 153;
    int64_t day = of_year - (153 * month + 2) / 5 + 1;
    month = month < 10 ? month + 3 : month - 9;
    year += era * 400 + (month <= 2);
    addf(line, "%04lld-%02lld-%02lldT%02lld:%02lld:%02lld.%03lldZ", (long long)year, (long long)month, (long long)day,
         (long long)(rest / 3600000), (long long)(rest / 60000 % 60), (long long)(rest / 1000 % 60),
         (long long)(rest % 1000));
}

static struct log_rate *find_rate(struct log *l, const char *event)
{
    for (unsigned i = 0; i < LOG_EVENTS - 1; i++) {
        struct log_rate *r = &l->rates[i];
        if (r->event == NULL) r->event = event;
        if (r->event == event || strcmp(r->event, event) == 0) return r;
    }
    return &l->rates[LOG_EVENTS - 1];
}

static bool allowed(struct log_rate *r, struct mono_ns now)
{
    if (r->count == 0 || now.v - r->window.v >= NS_PER_S) {
        r->window = now;
        r->count = 0;
    }
    if (r->count >= LOG_BURST) {
        r->suppressed++;
        return false;
    }
    r->count++;
    return true;
}

static void add_field(struct line *line, const struct log_field *f)
{
    addf(line, " %s=", f->key);
    switch (f->kind) {
    case LOG_FIELD_TEXT: add_text(line, f->text != NULL ? f->text : "-"); break;
    case LOG_FIELD_INT: addf(line, "%lld", (long long)f->number); break;
    case LOG_FIELD_UINT: addf(line, "%llu", (unsigned long long)f->number); break;
    }
}

void log_write(struct log *l, struct mono_ns now, struct wall_ms wall, enum log_level level, const char *event,
               const struct log_field *fields, size_t count)
{
    static const char *const levels[] = {"DEBUG", "INFO", "WARN", "ERROR"};
    CHECK((unsigned)level < COUNT_OF(levels));
    if (l->sink == NULL || level < l->lowest) return;
    struct log_rate *rate = find_rate(l, event);
    if (!allowed(rate, now)) return;
    struct line line;
    line.size = 0;
    line.cut = false;
    add_time(&line, wall);
    addf(&line, " %s %s shard=%u", levels[level], event, l->shard);
    if (rate->suppressed > 0) addf(&line, " suppressed=%llu", (unsigned long long)rate->suppressed);
    rate->suppressed = 0;
    for (size_t i = 0; i < count; i++) add_field(&line, &fields[i]);
    memcpy(line.text + line.size, line.cut ? "...\n" : "\n", line.cut ? TAIL : 1);
    l->sink(l->sink_arg, level, line.text, line.size + (line.cut ? TAIL : 1));
}

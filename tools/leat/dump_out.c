// SPDX-License-Identifier: Apache-2.0
/* Items of leat dump as text or JSON (dump.h). */
#include "tools/leat/dump.h"

#include "base/bytes.h"
#include "base/check.h"
#include "tools/leat/when.h"
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN_BYTES 80 /* of a key or value as text */

static bool as_json(const struct dump *d)
{
    return d->session->json;
}

static void begin(struct dump *d, const char *type, bool hidden, enum color color)
{
    d->hidden = hidden;
    if (hidden) return;
    if (as_json(d))
        d->item = json_pack("{s:s, s:s}", "file", d->path, "type", type);
    else
        fprintf(d->out, "%s%s%s", color_begin(d->session->color_out, color), type, color_end(d->session->color_out));
    if (as_json(d) && d->item == NULL) abort(); /* a path that is no UTF-8 is refused before */
}

void dump_begin(struct dump *d, const char *type)
{
    d->things++;
    begin(d, type, d->summary, COLOR_HEAD);
}

void dump_sum(struct dump *d)
{
    begin(d, "sum", false, COLOR_HEAD);
}

static void set(struct dump *d, const char *name, json_t *value)
{
    if (json_object_set_new(d->item, name, value) != 0) abort();
}

void dump_int(struct dump *d, const char *name, int64_t value)
{
    if (d->hidden) return;
    if (as_json(d))
        set(d, name, json_integer(value));
    else
        fprintf(d->out, " %s=%lld", name, (long long)value);
}

void dump_uint(struct dump *d, const char *name, uint64_t value)
{
    if (d->hidden) return;
    if (as_json(d) && value <= INT64_MAX)
        set(d, name, json_integer((json_int_t)value));
    else if (as_json(d))
        set(d, name, json_sprintf("%llu", (unsigned long long)value));
    else
        fprintf(d->out, " %s=%llu", name, (unsigned long long)value);
}

void dump_word(struct dump *d, const char *name, const char *value)
{
    if (d->hidden) return;
    if (as_json(d))
        set(d, name, json_bytes(value, (int64_t)strlen(value)));
    else
        fprintf(d->out, " %s=%s", name, value);
}

void dump_hex(struct dump *d, const char *name, const uint8_t *bytes, size_t len)
{
    char text[65];
    if (d->hidden) return;
    CHECK(2 * len < sizeof text);
    text[0] = '\0';
    for (size_t i = 0; i < len; i++) snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    dump_word(d, name, text);
}

void dump_bytes(struct dump *d, const char *name, const void *bytes, int64_t len)
{
    const uint8_t *p = bytes;
    if (d->hidden) return;
    if (as_json(d)) {
        set(d, name, json_bytes(bytes, len));
        return;
    }
    if (len < 0) {
        fprintf(d->out, " %s=null", name);
        return;
    }
    fprintf(d->out, " %s=\"", name);
    for (int64_t i = 0; i < MIN(len, SHOWN_BYTES); i++) {
        if (p[i] == '"' || p[i] == '\\')
            fprintf(d->out, "\\%c", p[i]);
        else if (p[i] >= 0x20 && p[i] != 0x7f && p[i] < 0x80)
            fputc(p[i], d->out);
        else
            fprintf(d->out, "\\x%02x", p[i]);
    }
    fputs(len > SHOWN_BYTES ? "...\"" : "\"", d->out);
}

void dump_time(struct dump *d, const char *name, int64_t ms)
{
    char text[TIME_TEXT_BYTES];
    if (d->hidden) return;
    if (as_json(d))
        dump_int(d, name, ms);
    else
        dump_word(d, name, time_text(text, ms));
}

void dump_end(struct dump *d)
{
    if (d->hidden) return;
    if (as_json(d) && json_dumpf(d->item, d->out, JSON_COMPACT) != 0 && !ferror(d->out)) abort();
    json_decref(d->item);
    d->item = NULL;
    fputc('\n', d->out);
}

void dump_damage(struct dump *d, uint64_t pos, uint64_t len, const char *format, ...)
{
    char text[300];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    d->damages++;
    begin(d, "damage", false, COLOR_BAD);
    dump_uint(d, "position", pos);
    dump_uint(d, "bytes", len);
    dump_bytes(d, "what", text, (int64_t)strlen(text));
    dump_end(d);
}

void dump_note(struct dump *d, uint64_t pos, const char *format, ...)
{
    char text[300];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    begin(d, "note", false, COLOR_DIM);
    dump_uint(d, "position", pos);
    dump_bytes(d, "what", text, (int64_t)strlen(text));
    dump_end(d);
}

// SPDX-License-Identifier: Apache-2.0
/* One-line text of a message (contract: print.h). Path: each value is formatted into a small local text and appended
 * as far as it fits. No failure modes: a full line is cut. */
#include "protocol/print.h"
#include "base/check.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

void printer_init(struct printer *p, char *out, size_t size)
{
    CHECK(size > 0);
    *p = (struct printer){.out = out, .size = size};
    out[0] = '\0';
}

static void put(struct printer *p, char ch)
{
    if (p->used + 1 < p->size) {
        p->out[p->used] = ch;
        p->out[p->used + 1] = '\0';
    }
    p->used++;
}

void printer_text(struct printer *p, const char *text)
{
    while (*text) put(p, *text++);
}

__attribute__((format(printf, 2, 3))) static void put_format(struct printer *p, const char *format, ...)
{
    char text[64];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    printer_text(p, text);
}

void printer_name(struct printer *p, const char *name)
{
    bool first = p->used == 0 || (p->used < p->size && p->out[p->used - 1] == '{');
    if (!first) put(p, ' ');
    printer_text(p, name);
    put(p, '=');
}

void printer_int(struct printer *p, int64_t v)
{
    put_format(p, "%" PRId64, v);
}

void printer_float(struct printer *p, double v)
{
    put_format(p, "%.17g", v);
}

void printer_str(struct printer *p, struct str v)
{
    if (v.len < 0) {
        printer_text(p, "null");
        return;
    }
    put(p, '"');
    for (int32_t i = 0; i < v.len && !printer_full(p); i++) {
        unsigned char ch = (unsigned char)v.data[i];
        if (ch == '"' || ch == '\\')
            put_format(p, "\\%c", ch);
        else if (ch < 0x20 || ch >= 0x7f)
            put_format(p, "\\x%02x", ch);
        else
            put(p, (char)ch);
    }
    put(p, '"');
}

void printer_bytes(struct printer *p, struct bytes v)
{
    if (v.len < 0)
        printer_text(p, "null");
    else
        put_format(p, "<%" PRId32 " bytes>", v.len);
}

void printer_records(struct printer *p, const struct records *v)
{
    printer_bytes(p, (struct bytes){v->data, v->len});
}

void printer_uuid(struct printer *p, struct uuid v)
{
    for (size_t i = 0; i < sizeof v.b; i++) put_format(p, "%02x", v.b[i]);
}

bool printer_full(const struct printer *p)
{
    return p->used + 1 >= p->size;
}

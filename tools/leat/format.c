// SPDX-License-Identifier: Apache-2.0
/* Format strings (format.h): resolved into literals and tokens once, so that a record costs no parsing. */
#include "tools/leat/format.h"

#include "tools/leat/when.h"
#include <stdlib.h>
#include <string.h>

static int hex(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The byte that an escape at *at (behind the backslash) means; moves *at behind it. -1: no escape. */
static int escape(const char **at)
{
    static const char names[] = "ntr0\\e", means[] = "\n\t\r\0\\\033";
    char c = **at;
    if (c == 'x') {
        int high = hex((*at)[1]), low = high < 0 ? -1 : hex((*at)[2]);
        if (low < 0) return -1;
        *at += 3;
        return 16 * high + low;
    }
    const char *found = c == '\0' ? NULL : strchr(names, c);
    if (found == NULL) return -1;
    (*at)++;
    return (unsigned char)means[found - names];
}

static void add(struct format *f, int byte, bool token)
{
    f->kind[f->len] = token;
    f->text[f->len++] = (char)byte;
}

bool format_parse(struct format *f, const char *topic, const char *text, char ret_error[160])
{
    const char *at = text;
    *f = (struct format){.topic = topic, .text = malloc(strlen(text) + 1), .kind = malloc(strlen(text) + 1)};
    if (f->text == NULL || f->kind == NULL) abort();
    while (*at != '\0') {
        const char *begin = at++;
        if (*begin == '\\') {
            int byte = escape(&at);
            if (byte >= 0) add(f, byte, false);
            if (byte >= 0) continue;
            snprintf(ret_error, 160, "'%.4s' at %zu is no escape: use \\n \\t \\r \\0 \\\\ \\e or \\xHH", begin,
                     (size_t)(begin - text));
        } else if (*begin != '%') {
            add(f, *begin, false);
            continue;
        } else if (*at == '%') {
            add(f, *at++, false);
            continue;
        } else if (*at != '\0' && strchr("tpokvhTIKV", *at) != NULL) {
            add(f, *at++, true);
            continue;
        } else {
            snprintf(ret_error, 160, "'%.2s' at %zu is no token: use %%t %%p %%o %%k %%v %%h %%T %%I %%K %%V or %%%%",
                     begin, (size_t)(begin - text));
        }
        format_free(f);
        return false;
    }
    return true;
}

void format_free(struct format *f)
{
    free(f->text);
    free(f->kind);
    *f = (struct format){0};
}

static void bytes(const void *data, int32_t len, FILE *out)
{
    if (len > 0) fwrite_unlocked(data, 1, (size_t)len, out);
}

static void headers(const struct leat_record *r, FILE *out)
{
    for (size_t i = 0; i < r->header_count; i++) {
        if (i > 0) putc_unlocked(',', out);
        bytes(r->headers[i].name, r->headers[i].name_len, out);
        if (r->headers[i].value_len >= 0) putc_unlocked('=', out);
        bytes(r->headers[i].value, r->headers[i].value_len, out);
    }
}

static void token(const struct format *f, char letter, const struct leat_record *r, FILE *out)
{
    char text[TIME_TEXT_BYTES];
    switch (letter) {
    case 't': fputs(f->topic, out); break;
    case 'p': fprintf(out, "%d", r->partition); break;
    case 'o': fprintf(out, "%lld", (long long)r->offset); break;
    case 'k': bytes(r->key, r->key_len, out); break;
    case 'v': bytes(r->value, r->value_len, out); break;
    case 'h': headers(r, out); break;
    case 'T': fprintf(out, "%lld", (long long)r->timestamp_ms); break;
    case 'I': fputs(time_text(text, r->timestamp_ms), out); break;
    case 'K': fprintf(out, "%d", r->key_len); break;
    default: fprintf(out, "%d", r->value_len); break; /* 'V' */
    }
}

void format_write(const struct format *f, const struct leat_record *r, FILE *out)
{
    for (size_t i = 0; i < f->len; i++) {
        if (f->kind[i])
            token(f, f->text[i], r, out);
        else
            putc_unlocked(f->text[i], out);
    }
}

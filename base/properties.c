// SPDX-License-Identifier: Apache-2.0
/* Java properties syntax (config.h), one pair at a time from memory.
 *
 *   skip blank and comment lines -> key up to an unescaped = : or blank -> separator -> value up to the line's end
 *
 * where "line" is the logical one: read_unit() joins natural lines at a backslash. Failure modes: a bad escape, a NUL,
 * invalid UTF-8, a key or value over its limit: an error with file and line. */
#include "base/config_impl.h"
#include "base/check.h"
#include <ctype.h>
#include <string.h>

struct unit { /* one character of a logical line */
    char bytes[4];
    uint8_t size; /* 0: the line has ended */
    bool escaped;
};

void properties_init(struct properties *p, const char *file, const char *text, size_t size)
{
    *p = (struct properties){.file = file, .at = text, .end = text + size, .line = 1};
}

static enum status bad(const struct properties *p, const char *what, struct config_error *ret_error)
{
    config_fail(&(struct config_place){CONFIG_FROM_FILE, p->file, p->line}, ret_error, "%s", what);
    return STATUS_INVALID;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\f';
}

static void skip_blanks(struct properties *p)
{
    while (p->at < p->end && is_blank(*p->at)) p->at++;
}

/* Over \n, \r or \r\n; false if there is none here. */
static bool skip_newline(struct properties *p)
{
    if (p->at == p->end || (*p->at != '\n' && *p->at != '\r')) return false;
    if (*p->at == '\r' && p->at + 1 < p->end && p->at[1] == '\n') p->at++;
    p->at++;
    p->line++;
    return true;
}

static bool hex4(struct properties *p, uint32_t *ret_value)
{
    if (p->end - p->at < 4) return false;
    uint32_t v = 0;
    for (int i = 0; i < 4; i++) {
        unsigned char c = (unsigned char)p->at[i];
        if (!isxdigit(c)) return false;
        v = v << 4 | (uint32_t)(isdigit(c) ? c - '0' : tolower(c) - 'a' + 10);
    }
    p->at += 4;
    *ret_value = v;
    return true;
}

static void put_utf8(struct unit *u, uint32_t c)
{
    unsigned more = c < 0x80 ? 0 : c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const uint8_t lead[] = {0, 0xc0, 0xe0, 0xf0};
    u->size = (uint8_t)(more + 1);
    for (unsigned i = more; i > 0; i--, c >>= 6) u->bytes[i] = (char)(0x80 | (c & 0x3f));
    u->bytes[0] = (char)(lead[more] | c);
}

/* After "\u"; a high surrogate takes the low one that must follow. */
static enum status read_unicode(struct properties *p, struct unit *u, struct config_error *ret_error)
{
    uint32_t c, low;
    if (!hex4(p, &c)) return bad(p, "\\u needs four hex digits", ret_error);
    if (c >= 0xd800 && c < 0xdc00) {
        if (p->end - p->at < 2 || p->at[0] != '\\' || p->at[1] != 'u')
            return bad(p, "half a surrogate pair", ret_error);
        p->at += 2;
        if (!hex4(p, &low) || low < 0xdc00 || low > 0xdfff) return bad(p, "half a surrogate pair", ret_error);
        c = 0x10000 + ((c - 0xd800) << 10 | (low - 0xdc00));
    } else if (c >= 0xdc00 && c <= 0xdfff) {
        return bad(p, "half a surrogate pair", ret_error);
    }
    if (c == 0) return bad(p, "a NUL character is not allowed", ret_error);
    put_utf8(u, c);
    return STATUS_OK;
}

/* A plain character: one well-formed UTF-8 sequence (no overlong forms, no surrogates, up to U+10FFFF). */
static enum status read_plain(struct properties *p, struct unit *u, struct config_error *ret_error)
{
    uint8_t c = (uint8_t)*p->at;
    if (c == 0) return bad(p, "a NUL character is not allowed", ret_error);
    unsigned size = c < 0x80                ? 1
                    : c >= 0xc2 && c < 0xe0 ? 2
                    : c >= 0xe0 && c < 0xf0 ? 3
                    : c >= 0xf0 && c < 0xf5 ? 4
                                            : 0;
    if (size == 0 || p->end - p->at < (ptrdiff_t)size) return bad(p, "invalid UTF-8", ret_error);
    for (unsigned i = 1; i < size; i++)
        if (((uint8_t)p->at[i] & 0xc0) != 0x80) return bad(p, "invalid UTF-8", ret_error);
    uint8_t second = size > 1 ? (uint8_t)p->at[1] : 0;
    bool odd = (c == 0xe0 && second < 0xa0) || (c == 0xed && second > 0x9f) || (c == 0xf0 && second < 0x90) ||
               (c == 0xf4 && second > 0x8f);
    if (odd) return bad(p, "invalid UTF-8", ret_error);
    memcpy(u->bytes, p->at, size);
    u->size = (uint8_t)size;
    p->at += size;
    return STATUS_OK;
}

static enum status read_unit(struct properties *p, struct unit *u, struct config_error *ret_error)
{
    *u = (struct unit){0};
    while (p->at < p->end && *p->at == '\\') {
        p->at++;
        if (p->at == p->end) return STATUS_OK; /* a lone backslash at the very end: Java drops it too */
        if (skip_newline(p)) {                 /* a continuation */
            skip_blanks(p);
            continue;
        }
        u->escaped = true;
        char c = *p->at;
        if (c == 'u') {
            p->at++;
            return read_unicode(p, u, ret_error);
        }
        static const char letters[] = "tnrf", meanings[] = "\t\n\r\f";
        const char *letter = c != '\0' ? strchr(letters, c) : NULL;
        if (letter == NULL) return read_plain(p, u, ret_error);
        p->at++;
        u->bytes[0] = meanings[letter - letters];
        u->size = 1;
        return STATUS_OK;
    }
    if (p->at == p->end || *p->at == '\n' || *p->at == '\r') return STATUS_OK;
    return read_plain(p, u, ret_error);
}

/* To the first pair's first character; false at the end of the text. */
static bool skip_to_pair(struct properties *p)
{
    for (;;) {
        skip_blanks(p);
        if (p->at == p->end) return false;
        if (*p->at == '#' || *p->at == '!')
            while (p->at < p->end && *p->at != '\n' && *p->at != '\r') p->at++;
        else if (*p->at != '\n' && *p->at != '\r')
            return true;
        skip_newline(p);
    }
}

/* Over blanks, also across continuations, with at most one = or : among them. Leaves the first unit of the value in u.
 */
static enum status read_separator(struct properties *p, struct unit *u, struct config_error *ret_error)
{
    bool seen = false;
    while (u->size > 0 && !u->escaped) {
        char c = u->bytes[0];
        bool separator = (c == '=' || c == ':') && !seen;
        if (!separator && !is_blank(c)) break;
        seen = seen || separator;
        enum status s = read_unit(p, u, ret_error);
        if (s != STATUS_OK) return s;
    }
    return STATUS_OK;
}

static bool ends_key(const struct unit *u)
{
    return u->size == 0 || (!u->escaped && (u->bytes[0] == '=' || u->bytes[0] == ':' || is_blank(u->bytes[0])));
}

static bool put(const struct unit *u, char *out, size_t max, size_t *size)
{
    if (*size + u->size > max) return false;
    memcpy(out + *size, u->bytes, u->size);
    *size += u->size;
    return true;
}

enum status properties_next(struct properties *p, struct config_scratch *out, bool *ret_found,
                            struct config_error *ret_error)
{
    *ret_found = skip_to_pair(p);
    if (!*ret_found) return STATUS_OK;
    p->key_line = p->line;
    struct unit u;
    size_t key_size = 0, value_size = 0;
    enum status s;
    while ((s = read_unit(p, &u, ret_error)) == STATUS_OK && !ends_key(&u))
        if (!put(&u, out->key, CONFIG_KEY_MAX, &key_size)) return bad(p, "key longer than 128 bytes", ret_error);
    if (s == STATUS_OK) s = read_separator(p, &u, ret_error);
    for (; s == STATUS_OK && u.size > 0; s = read_unit(p, &u, ret_error))
        if (!put(&u, out->value, CONFIG_VALUE_MAX, &value_size)) return bad(p, "value longer than 32 KiB", ret_error);
    if (s != STATUS_OK) return s;
    skip_newline(p);
    out->key[key_size] = '\0';
    out->value[value_size] = '\0';
    out->value_size = value_size;
    CHECK(p->at <= p->end);
    return STATUS_OK;
}

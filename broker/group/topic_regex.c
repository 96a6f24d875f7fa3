// SPDX-License-Identifier: Apache-2.0
/* Regular expressions over topic names (topic_regex.h). Path: the text is walked once to refuse what is PCRE2's alone
 * -> compiled, anchored at the start -> matched name by name, up to its end.
 *
 * Differences to RE2/J that stay: names of Unicode classes are PCRE2's. Topic names are ASCII, so bytes are characters.
 *
 * Failure modes: no memory; a text that is refused. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "broker/group/topic_regex.h"
#include "base/bytes.h"
#include "base/check.h"
#include <ctype.h>
#include <pcre2.h>
#include <stdio.h>

#define COMPILED_MAX ((size_t)64 << 10)
#define NESTING_MAX  50
#define REPEAT_MAX   1000 /* RE2's own */
#define WORKSPACE    4000 /* ints: states that the matcher follows at once */
#define MATCH_MAX    20000
#define HEAP_MAX_KIB 256

struct topic_regex {
    struct mem *mem;
    pcre2_general_context *general;
    pcre2_compile_context *compile;
    pcre2_match_context *match;
    pcre2_match_data *data;
    pcre2_code *code;
    int workspace[WORKSPACE];
};

/* ---- PCRE2's memory is the shard's ---- */

union block {
    size_t bytes;
    max_align_t align;
};

static void *take(size_t bytes, void *mem)
{
    union block *b = mem_alloc(mem, MEM_CONTROL, sizeof *b + bytes);
    if (b == NULL) return NULL;
    b->bytes = sizeof *b + bytes;
    return b + 1;
}

static void give(void *p, void *mem)
{
    if (p == NULL) return;
    union block *b = (union block *)p - 1;
    mem_free(mem, MEM_CONTROL, b, b->bytes);
}

/* ---- what RE2/J does not take ---- */

struct walk {
    const char *at, *end;
    const char *fault; /* NULL: none so far */
};

/* After a backslash: what both know and mean alike. */
static bool escape_is_known(char c)
{
    return !isalnum((unsigned char)c) || strchr("dDsSwWbBAzafnrtvpPQx0", c) != NULL;
}

static void skip_past(struct walk *w, const char *text)
{
    size_t n = strlen(text);
    while ((size_t)(w->end - w->at) >= n && memcmp(w->at, text, n) != 0) w->at++;
    w->at = (size_t)(w->end - w->at) >= n ? w->at + n : w->end;
}

static void walk_escape(struct walk *w)
{
    char c = w->at < w->end ? *w->at : '\0';
    if (w->at == w->end)
        w->fault = "trailing backslash";
    else if (c >= '1' && c <= '9')
        w->fault = "back references are not supported";
    else if (!escape_is_known(c))
        w->fault = "invalid escape sequence";
    if (w->fault != NULL) return;
    w->at++;
    if (c == 'Q') skip_past(w, "\\E");
    if ((c == 'x' || c == 'p' || c == 'P') && w->at < w->end && *w->at == '{') skip_past(w, "}");
}

static void walk_class(struct walk *w)
{
    bool first = true;
    if (w->at < w->end && *w->at == '^') w->at++;
    for (; w->fault == NULL && w->at < w->end && (*w->at != ']' || first); first = false) {
        if (*w->at == '\\') {
            w->at++;
            walk_escape(w);
        } else if (w->end - w->at >= 2 && w->at[0] == '[' && w->at[1] == ':') {
            const char *close = memchr(w->at + 2, ']', (size_t)(w->end - w->at - 2));
            w->at = close != NULL && close[-1] == ':' ? close + 1 : w->at + 1;
        } else {
            w->at++;
        }
    }
    if (w->fault == NULL && w->at == w->end) w->fault = "missing closing ]";
    if (w->fault == NULL) w->at++;
}

/* After "(": a group, "(?:", "(?flags)", "(?flags:", "(?P<name>", "(?<name>". */
static void walk_group(struct walk *w)
{
    if (w->at < w->end && *w->at == '*') w->fault = "missing argument to repetition operator";
    if (w->at == w->end || *w->at != '?') return;
    w->at++;
    if (w->end - w->at >= 2 && w->at[0] == 'P' && w->at[1] == '<') w->at++;
    if (w->end - w->at >= 2 && w->at[0] == '<' && w->at[1] != '=' && w->at[1] != '!') return;
    while (w->at < w->end && *w->at != '\0' && strchr("imsU-", *w->at) != NULL) w->at++;
    if (w->at == w->end || (*w->at != ':' && *w->at != ')')) w->fault = "invalid or unsupported group syntax";
}

/* -1: no digit. Stops above REPEAT_MAX. */
static int digits(const char **at, const char *end)
{
    int n = -1;
    for (; *at < end && isdigit((unsigned char)**at); (*at)++)
        if (n <= REPEAT_MAX) n = MAX(n, 0) * 10 + (**at - '0');
    return n;
}

/* After "{": is it a repetition, and one that is allowed? Else it is a plain brace. */
static void walk_count(struct walk *w)
{
    const char *at = w->at;
    int least = digits(&at, w->end), most = least;
    if (least < 0) return;
    if (at < w->end && *at == ',') {
        at++;
        most = digits(&at, w->end);
    }
    if (at == w->end || *at != '}') return;
    if (least > REPEAT_MAX || most > REPEAT_MAX) w->fault = "invalid repeat count";
    w->at = at + 1;
}

/* After a repetition: "?" makes it lazy, "+" would make it possessive, another one is a fault in RE2/J as well. */
static void walk_after_repeat(struct walk *w)
{
    if (w->at < w->end && *w->at == '?') w->at++;
    if (w->at < w->end && *w->at != '\0' && strchr("*+?", *w->at) != NULL)
        w->fault = "invalid nested repetition operator";
}

static const char *find_fault(struct str text)
{
    struct walk w = {.at = text.data, .end = text.data + text.len};
    int open = 0;
    while (w.fault == NULL && w.at < w.end) {
        char c = *w.at++;
        const char *before = w.at;
        if (c == '\\') {
            walk_escape(&w);
        } else if (c == '[') {
            walk_class(&w);
        } else if (c == '(') {
            walk_group(&w);
            if (++open > NESTING_MAX) w.fault = "too many nested groups";
        } else if (c == ')') {
            open -= open > 0;
        } else if (c == '*' || c == '+' || c == '?') {
            walk_after_repeat(&w);
        } else if (c == '{') {
            walk_count(&w);
            if (w.at > before) walk_after_repeat(&w);
        } else if (c == '\0') {
            w.fault = "a NUL character";
        }
    }
    return w.fault;
}

/* ---- the library ---- */

static enum status compile(struct topic_regex *r, struct str text, char *ret_fault)
{
    int error = 0;
    PCRE2_SIZE at = 0;
    size_t size = 0;
    (void)pcre2_set_max_pattern_length(r->compile, TOPIC_REGEX_MAX);
    (void)pcre2_set_parens_nest_limit(r->compile, NESTING_MAX);
    r->code = pcre2_compile((PCRE2_SPTR)text.data, (PCRE2_SIZE)text.len,
                            PCRE2_ANCHORED | PCRE2_NEVER_BACKSLASH_C | PCRE2_NO_AUTO_CAPTURE | PCRE2_DOLLAR_ENDONLY,
                            &error, &at, r->compile);
    if (r->code == NULL) {
        PCRE2_UCHAR reason[TOPIC_REGEX_FAULT_SIZE - 32];
        if (error == PCRE2_ERROR_HEAP_FAILED) return STATUS_NO_MEMORY;
        if (pcre2_get_error_message(error, reason, sizeof reason) < 0) reason[0] = '\0';
        (void)snprintf(ret_fault, TOPIC_REGEX_FAULT_SIZE, "%s at %zu", (const char *)reason, (size_t)at);
        return STATUS_INVALID;
    }
    CHECK(pcre2_pattern_info(r->code, PCRE2_INFO_SIZE, &size) == 0);
    if (size <= COMPILED_MAX) return STATUS_OK;
    (void)snprintf(ret_fault, TOPIC_REGEX_FAULT_SIZE, "expression too large");
    return STATUS_INVALID;
}

static enum status prepare(struct topic_regex *r)
{
    r->general = pcre2_general_context_create(take, give, r->mem);
    if (r->general == NULL) return STATUS_NO_MEMORY;
    r->compile = pcre2_compile_context_create(r->general);
    r->match = pcre2_match_context_create(r->general);
    r->data = pcre2_match_data_create(1, r->general);
    if (r->compile == NULL || r->match == NULL || r->data == NULL) return STATUS_NO_MEMORY;
    (void)pcre2_set_match_limit(r->match, MATCH_MAX);
    (void)pcre2_set_heap_limit(r->match, HEAP_MAX_KIB);
    (void)pcre2_set_depth_limit(r->match, NESTING_MAX + 10);
    return STATUS_OK;
}

enum status topic_regex_create(struct mem *m, struct str text, struct topic_regex **ret_regex,
                               char ret_fault[TOPIC_REGEX_FAULT_SIZE])
{
    const char *fault = text.len <= TOPIC_REGEX_MAX ? find_fault(text) : "longer than 1024 bytes";
    if (fault != NULL) {
        (void)snprintf(ret_fault, TOPIC_REGEX_FAULT_SIZE, "%s", fault);
        return STATUS_INVALID;
    }
    struct topic_regex *r = mem_zalloc(m, MEM_CONTROL, sizeof *r);
    if (r == NULL) return STATUS_NO_MEMORY;
    r->mem = m;
    enum status s = prepare(r);
    if (s == STATUS_OK) s = compile(r, text, ret_fault);
    if (s != STATUS_OK) {
        topic_regex_destroy(r);
        return s;
    }
    *ret_regex = r;
    return STATUS_OK;
}

void topic_regex_destroy(struct topic_regex *r)
{
    if (r->code != NULL) pcre2_code_free(r->code);
    if (r->data != NULL) pcre2_match_data_free(r->data);
    if (r->match != NULL) pcre2_match_context_free(r->match);
    if (r->compile != NULL) pcre2_compile_context_free(r->compile);
    if (r->general != NULL) pcre2_general_context_free(r->general);
    mem_free(r->mem, MEM_CONTROL, r, sizeof *r);
}

/* The matcher lists the ends of all matches, the longest first; only one that takes the whole name counts. */
bool topic_regex_matches(struct topic_regex *r, struct str name)
{
    int n = pcre2_dfa_match(r->code, (PCRE2_SPTR)name.data, (PCRE2_SIZE)name.len, 0, 0, r->data, r->match, r->workspace,
                            WORKSPACE);
    return n >= 0 && pcre2_get_ovector_pointer(r->data)[1] == (PCRE2_SIZE)name.len;
}

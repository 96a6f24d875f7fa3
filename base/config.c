// SPDX-License-Identifier: Apache-2.0
/* Configuration (config.h): values, sources and look-ups. properties.c reads the file's syntax, config_value.c the
 * values'.
 *
 * Happy path: each source ends in set(): find the key, parse the value, keep it with its rank unless a higher source
 * has spoken. Failure modes: an unknown key or a bad value: an error with place, key and what would be right. */
#include "base/config.h"
#include "base/config_impl.h"
#include "base/bytes.h"
#include "base/check.h"
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>

struct entry {
    const struct config_key *key;
    char *text; /* NULL: not set */
    size_t size;
    struct config_value value;
    enum config_rank rank;
    uint32_t line;
    const char *file;
};

struct config {
    struct mem *mem;
    size_t count;
    struct config_scratch scratch; /* key and value being read */
    struct entry entries[];
};

static size_t config_bytes(size_t count)
{
    return sizeof(struct config) + count * sizeof(struct entry);
}

static struct entry *find(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->count; i++)
        if (strcmp(c->entries[i].key->name, name) == 0) return (struct entry *)&c->entries[i];
    return NULL;
}

static struct entry *need(const struct config *c, const char *name)
{
    struct entry *e = find(c, name);
    CHECK(e != NULL); /* the table misses a key that the code asks for */
    return e;
}

void config_fail(const struct config_place *at, struct config_error *ret_error, const char *format, ...)
{
    char where[320] = "";
    switch (at->rank) {
    case CONFIG_FROM_FILE: snprintf(where, sizeof where, "%.250s:%u", at->file, at->line); break;
    case CONFIG_FROM_ENV: snprintf(where, sizeof where, "environment variable %.250s", at->file); break;
    case CONFIG_FROM_OPTION: snprintf(where, sizeof where, "option -o"); break;
    case CONFIG_FROM_DEFAULT: snprintf(where, sizeof where, "default"); break;
    }
    int n = snprintf(ret_error->text, sizeof ret_error->text, "%s: ", where);
    va_list args;
    va_start(args, format);
    vsnprintf(ret_error->text + n, sizeof ret_error->text - (size_t)n, format, args);
    va_end(args);
}

/* Levenshtein distance of two keys, both at most CONFIG_KEY_MAX bytes. */
static size_t distance(const char *a, const char *b)
{
    size_t row[CONFIG_KEY_MAX + 1], la = strlen(a), lb = strlen(b);
    CHECK(la <= CONFIG_KEY_MAX && lb <= CONFIG_KEY_MAX);
    for (size_t j = 0; j <= lb; j++) row[j] = j;
    for (size_t i = 1; i <= la; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            size_t change = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = MIN(change, MIN(row[j], row[j - 1]) + 1);
        }
    }
    return row[lb];
}

static enum status unknown_key(const struct config *c, const char *name, const struct config_place *at,
                               struct config_error *ret_error)
{
    const char *best = NULL;
    size_t best_distance = MAX(strlen(name) / 3, 2u) + 1; /* further off is no help */
    for (size_t i = 0; i < c->count; i++) {
        size_t d = distance(name, c->entries[i].key->name);
        if (d < best_distance) best = c->entries[i].key->name, best_distance = d;
    }
    if (best != NULL)
        config_fail(at, ret_error, "unknown key %s; the nearest known one is %s", name, best);
    else
        config_fail(at, ret_error, "unknown key %s; no known one resembles it", name);
    return STATUS_INVALID;
}

static enum status set_entry(struct config *c, struct entry *e, const char *text, size_t size,
                             const struct config_place *at, struct config_error *ret_error)
{
    struct config_value value;
    while (size > 0 && isspace((unsigned char)text[size - 1])) size--;
    while (size > 0 && isspace((unsigned char)*text)) text++, size--;
    enum status s = config_value_parse(e->key, text, size, at, &value, ret_error);
    if (s != STATUS_OK) return s;
    if (e->text != NULL && e->rank > at->rank) return STATUS_OK; /* a stronger source has spoken; still checked */
    char *copy = mem_alloc(c->mem, MEM_CONTROL, size + 1);
    if (copy == NULL) {
        config_fail(at, ret_error, "%s: out of memory", e->key->name);
        return STATUS_NO_MEMORY;
    }
    memcpy(copy, text, size);
    copy[size] = '\0';
    mem_free(c->mem, MEM_CONTROL, e->text, e->size + 1);
    e->text = copy;
    e->size = size;
    e->value = value;
    e->rank = at->rank;
    e->line = at->line;
    e->file = at->file;
    return STATUS_OK;
}

static enum status set(struct config *c, const char *name, const char *text, size_t size, const struct config_place *at,
                       struct config_error *ret_error)
{
    struct entry *e = find(c, name);
    if (e == NULL) return unknown_key(c, name, at, ret_error);
    return set_entry(c, e, text, size, at, ret_error);
}

static void check_table(const struct config *c)
{
    char prefixed[CONFIG_KEY_MAX + 8];
    for (size_t i = 0; i < c->count; i++) {
        const struct config_key *k = c->entries[i].key;
        CHECK(strlen(k->name) < CONFIG_KEY_MAX && k->doc != NULL && k->min <= k->max);
        CHECK((k->type == CONFIG_ENUM) == (k->choices != NULL));
        CHECK(find(c, k->name) == &c->entries[i]); /* no key twice */
        snprintf(prefixed, sizeof prefixed, "leat.%s", k->name);
        CHECK(find(c, prefixed) == NULL); /* LEAT_X would mean two keys */
    }
}

struct config *config_create(struct mem *m, const struct config_key *keys, size_t count)
{
    struct config *c = mem_zalloc(m, MEM_CONTROL, config_bytes(count));
    if (c == NULL) return NULL;
    c->mem = m;
    c->count = count;
    for (size_t i = 0; i < count; i++) c->entries[i].key = &keys[i];
    check_table(c);
    struct config_place at = {.rank = CONFIG_FROM_DEFAULT};
    struct config_error error;
    for (size_t i = 0; i < count; i++) {
        const char *text = keys[i].default_text;
        if (text == NULL) continue;
        enum status s = set_entry(c, &c->entries[i], text, strlen(text), &at, &error);
        if (s == STATUS_NO_MEMORY) {
            config_destroy(c);
            return NULL;
        }
        CHECK_OK(s); /* a default that its own limits forbid */
    }
    return c;
}

void config_destroy(struct config *c)
{
    if (c == NULL) return;
    for (size_t i = 0; i < c->count; i++)
        if (c->entries[i].text != NULL) mem_free(c->mem, MEM_CONTROL, c->entries[i].text, c->entries[i].size + 1);
    mem_free(c->mem, MEM_CONTROL, c, config_bytes(c->count));
}

enum status config_load(struct config *c, const char *file_name, const char *text, size_t size,
                        struct config_error *ret_error)
{
    struct properties p;
    struct config_place at = {.rank = CONFIG_FROM_FILE, .file = file_name, .line = 1};
    if (size > CONFIG_TEXT_MAX) {
        config_fail(&at, ret_error, "the file has %zu bytes; at most %zu are read", size, CONFIG_TEXT_MAX);
        return STATUS_INVALID;
    }
    properties_init(&p, file_name, text, size);
    for (;;) {
        bool found = false;
        enum status s = properties_next(&p, &c->scratch, &found, ret_error);
        if (s != STATUS_OK || !found) return s;
        at.line = p.key_line;
        s = set(c, c->scratch.key, c->scratch.value, c->scratch.value_size, &at, ret_error);
        if (s != STATUS_OK) return s;
    }
}

/* LEAT_X_Y -> "leat.x.y" in ret_name, which has room; the key without "leat." begins 5 bytes later. */
static void env_key(const char *variable, size_t size, char *ret_name)
{
    for (size_t i = 0; i < size; i++) {
        char ch = variable[i];
        ret_name[i] = ch == '_' ? '.' : (char)tolower((unsigned char)ch);
    }
    ret_name[size] = '\0';
}

enum status config_load_env(struct config *c, const char *const *environment, struct config_error *ret_error)
{
    char name[CONFIG_KEY_MAX + 1], variable[CONFIG_KEY_MAX + 1];
    for (; *environment != NULL; environment++) {
        const char *text = *environment, *equals = strchr(text, '=');
        if (strncmp(text, "LEAT_", 5) != 0 || equals == NULL) continue;
        size_t size = (size_t)(equals - text);
        snprintf(variable, sizeof variable, "%.*s", (int)MIN(size, CONFIG_KEY_MAX), text);
        struct config_place at = {.rank = CONFIG_FROM_ENV, .file = variable};
        if (strcmp(variable, "LEAT_MEM_SEPARATE") == 0) continue;
        if (size > CONFIG_KEY_MAX || strlen(equals + 1) > CONFIG_VALUE_MAX) {
            config_fail(&at, ret_error, "name or value too long; at most %zu and %zu bytes", CONFIG_KEY_MAX,
                        CONFIG_VALUE_MAX);
            return STATUS_INVALID;
        }
        env_key(text, size, name);
        struct entry *e = find(c, name + 5);
        if (e == NULL) e = find(c, name);
        if (e == NULL) return unknown_key(c, name + 5, &at, ret_error);
        enum status s = set_entry(c, e, equals + 1, strlen(equals + 1), &at, ret_error);
        if (s != STATUS_OK) return s;
        e->file = NULL; /* `variable` ends here */
    }
    return STATUS_OK;
}

enum status config_option(struct config *c, const char *option, struct config_error *ret_error)
{
    struct config_place at = {.rank = CONFIG_FROM_OPTION};
    const char *equals = strchr(option, '=');
    size_t size = equals != NULL ? (size_t)(equals - option) : 0;
    if (size == 0 || size > CONFIG_KEY_MAX || strlen(equals + 1) > CONFIG_VALUE_MAX) {
        config_fail(&at, ret_error, "'%.64s' is not key=value (key up to %zu, value up to %zu bytes)", option,
                    CONFIG_KEY_MAX, CONFIG_VALUE_MAX);
        return STATUS_INVALID;
    }
    memcpy(c->scratch.key, option, size);
    c->scratch.key[size] = '\0';
    return set(c, c->scratch.key, equals + 1, strlen(equals + 1), &at, ret_error);
}

static const struct entry *need_value(const struct config *c, const char *name)
{
    const struct entry *e = need(c, name);
    CHECK(e->text != NULL); /* ask config_is_set first */
    return e;
}

int64_t config_int(const struct config *c, const char *name)
{
    const struct entry *e = need_value(c, name);
    CHECK(e->key->type == CONFIG_INT || e->key->type == CONFIG_BYTES);
    return e->value.number;
}

bool config_bool(const struct config *c, const char *name)
{
    const struct entry *e = need_value(c, name);
    CHECK(e->key->type == CONFIG_BOOL);
    return e->value.number != 0;
}

double config_double(const struct config *c, const char *name)
{
    const struct entry *e = need_value(c, name);
    CHECK(e->key->type == CONFIG_DOUBLE);
    return e->value.real;
}

const char *config_string(const struct config *c, const char *name)
{
    const struct entry *e = need_value(c, name);
    CHECK(e->key->type == CONFIG_STRING || e->key->type == CONFIG_ENUM || e->key->type == CONFIG_LIST);
    return e->text;
}

const char *config_text(const struct config *c, const char *name)
{
    return need(c, name)->text;
}

bool config_list_next(const struct config *c, const char *name, size_t *pos, const char **ret_item, size_t *ret_size)
{
    const struct entry *e = need_value(c, name);
    CHECK(e->key->type == CONFIG_LIST);
    return config_list_item(e->text, e->size, pos, ret_item, ret_size);
}

bool config_is_set(const struct config *c, const char *name)
{
    return need(c, name)->text != NULL;
}

bool config_is_given(const struct config *c, const char *name)
{
    const struct entry *e = need(c, name);
    return e->text != NULL && e->rank != CONFIG_FROM_DEFAULT;
}

void config_source(const struct config *c, const char *name, char *ret_text, size_t size)
{
    static const char *const ranks[] = {"default", "file", "environment", "option"};
    const struct entry *e = need(c, name);
    if (e->text != NULL && e->rank == CONFIG_FROM_FILE)
        snprintf(ret_text, size, "%s:%u", e->file, e->line);
    else
        snprintf(ret_text, size, "%s", ranks[e->rank]);
}

void config_each_ignored(const struct config *c, void (*fn)(const struct config_key *k, void *arg), void *arg)
{
    for (size_t i = 0; i < c->count; i++) {
        const struct entry *e = &c->entries[i];
        if ((e->key->flags & CONFIG_IGNORED) != 0 && e->text != NULL && e->rank > CONFIG_FROM_DEFAULT) fn(e->key, arg);
    }
}

// SPDX-License-Identifier: Apache-2.0
/* Rules for settings (controller.h). Path: the resource is there -> no key twice -> each change against its table and
 * what holds now -> one record for each. The first fault ends the resource, and nothing of it stays in the list. */
#include "replication/controller_impl.h"
#include "base/bytes.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define PRINTABLE(s) (int)((s).len > 0 ? MIN((s).len, 249) : 0), (s).data

bool rule_fail(struct rule_error *e, enum rule_code code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(e->text, sizeof e->text, format, args);
    va_end(args);
    e->code = (int16_t)code;
    return false;
}

bool rule_config_value(const struct controller *c, enum config_resource type, struct str key, struct str value,
                       struct rule_error *ret_error)
{
    char why[256] = "";
    if (key.len <= 0 || key.len > CONFIG_KEY_BYTES_MAX)
        return rule_fail(ret_error, RULE_INVALID_CONFIG, "a setting's name has 1 to %d bytes", CONFIG_KEY_BYTES_MAX);
    if (value.len < 0)
        return rule_fail(ret_error, RULE_INVALID_CONFIG, "Null value not supported for topic configs: %.*s",
                         PRINTABLE(key));
    if (value.len > CONFIG_VALUE_BYTES_MAX)
        return rule_fail(ret_error, RULE_INVALID_CONFIG, "%.*s: a value has at most %d bytes", PRINTABLE(key),
                         CONFIG_VALUE_BYTES_MAX);
    if (memchr(value.data, '\0', (size_t)value.len) != NULL || memchr(key.data, '\0', (size_t)key.len) != NULL)
        return rule_fail(ret_error, RULE_INVALID_CONFIG, "%.*s: a zero byte has no place in a setting", PRINTABLE(key));
    if (!c->rules->check(c->rules, type, key, value, why)) return rule_fail(ret_error, RULE_INVALID_CONFIG, "%s", why);
    return true;
}

enum status rule_config_record(struct record_list *l, enum config_resource type, struct str name, struct str key,
                               struct str value)
{
    struct record *r = record_list_add(l, RECORD_CONFIG);
    if (r == NULL) return STATUS_NO_MEMORY;
    r->config = (struct record_config){.type = type, .name = name, .key = key, .value = value};
    return STATUS_OK;
}

static const struct image_configs *configs_of(const struct controller *c, enum config_resource type, struct str name)
{
    if (type != RESOURCE_TOPIC) return image_settings_find(image_settings(c->image), type, name);
    const struct image_topic *t = image_topic_by_name(c->image, name);
    return t != NULL ? t->configs : NULL;
}

/* Empty: the default of all brokers. */
static bool broker_there(const struct controller *c, struct str name, struct rule_error *e)
{
    int64_t id = 0;
    for (int32_t i = 0; i < name.len; i++) {
        if (name.data[i] < '0' || name.data[i] > '9' || i == 10)
            return rule_fail(e, RULE_INVALID_REQUEST, "Invalid broker name %.*s", PRINTABLE(name));
        id = id * 10 + (name.data[i] - '0');
    }
    bool written_so = name.len <= 1 || name.data[0] != '0';
    if (id > INT32_MAX || !written_so)
        return rule_fail(e, RULE_INVALID_REQUEST, "Invalid broker name %.*s", PRINTABLE(name));
    if (name.len == 0 || image_brokers_find(image_brokers(c->image), (int32_t)id) != NULL) return true;
    return rule_fail(e, RULE_BROKER_ID_NOT_REGISTERED, "No node with id %lld found.", (long long)id);
}

static bool resource_there(const struct controller *c, enum config_resource type, struct str name, struct rule_error *e)
{
    char why[256];
    if (name.len < 0 || name.len > SHORT_TEXT_MAX ||
        (name.len > 0 && memchr(name.data, '\0', (size_t)name.len) != NULL))
        return rule_fail(e, RULE_INVALID_REQUEST, "a resource's name has at most %d bytes, none of them zero",
                         SHORT_TEXT_MAX);
    switch (type) {
    case RESOURCE_BROKER: return broker_there(c, name, e);
    case RESOURCE_TOPIC:
        if (!topic_name_check(name, why)) return rule_fail(e, RULE_INVALID_TOPIC, "%s", why);
        if (image_topic_by_name(c->image, name) != NULL) return true;
        return rule_fail(e, RULE_UNKNOWN_TOPIC_OR_PARTITION, "The topic '%.*s' does not exist.", PRINTABLE(name));
    case RESOURCE_CLIENT_METRICS:
        return name.len > 0 || rule_fail(e, RULE_INVALID_REQUEST, "Default client metrics resources are not allowed.");
    case RESOURCE_GROUP:
        return name.len > 0 || rule_fail(e, RULE_INVALID_REQUEST, "Default group resources are not allowed.");
    default: return rule_fail(e, RULE_INVALID_REQUEST, "Unsupported resource type %d", (int)type);
    }
}

static int by_text(const void *a, const void *b)
{
    struct str x = *(const struct str *)a, y = *(const struct str *)b;
    int order = memcmp(x.data, y.data, (size_t)MIN(x.len, y.len));
    return order != 0 ? order : (x.len > y.len) - (x.len < y.len);
}

static bool none_twice(struct str *keys, uint32_t count, struct rule_error *ret_error)
{
    for (uint32_t i = 0; i < count; i++)
        if (keys[i].len < 0) return rule_fail(ret_error, RULE_INVALID_REQUEST, "a setting without a name");
    if (count > 0) qsort(keys, count, sizeof *keys, by_text);
    for (uint32_t i = 1; i < count; i++)
        if (str_equal(keys[i - 1], keys[i]))
            return rule_fail(ret_error, RULE_INVALID_REQUEST, "Error due to duplicate config keys: %.*s",
                             PRINTABLE(keys[i]));
    return true;
}

/* --- lists --- */

static struct str trim(struct str s)
{
    while (s.len > 0 && s.data[0] == ' ') s.data++, s.len--;
    while (s.len > 0 && s.data[s.len - 1] == ' ') s.len--;
    return s;
}

/* The next item of a comma-separated list; false at its end. */
static bool next_item(struct str *rest, struct str *ret_item)
{
    if (rest->len <= 0) return false;
    const char *comma = memchr(rest->data, ',', (size_t)rest->len);
    int32_t n = comma != NULL ? (int32_t)(comma - rest->data) : rest->len;
    *ret_item = trim((struct str){rest->data, n});
    int32_t skip = MIN(n + 1, rest->len);
    rest->data += skip;
    rest->len -= skip;
    return true;
}

static bool list_has(struct str list, struct str item)
{
    struct str have;
    while (next_item(&list, &have))
        if (str_equal(have, item)) return true;
    return false;
}

/* The items of `a` that are not in `without`, then those of `more` that are not in `a`. */
static enum status combine(struct arena *arena, struct str a, struct str without, struct str more, struct str *ret_list)
{
    struct str rest = a, item;
    char *out = arena_alloc(arena, (size_t)MAX(a.len, 0) + (size_t)MAX(more.len, 0) + 2);
    int32_t n = 0;
    if (out == NULL) return STATUS_NO_MEMORY;
    for (int pass = 0; pass < 2; pass++, rest = more) {
        while (next_item(&rest, &item)) {
            if (pass == 0 ? list_has(without, item) : list_has(a, item)) continue;
            if (n > 0) out[n++] = ',';
            memcpy(out + n, item.data, (size_t)item.len);
            n += item.len;
        }
    }
    *ret_list = (struct str){out, n};
    return STATUS_OK;
}

/* --- incremental --- */

static enum status list_change(const struct controller *c, enum config_resource type,
                               const struct image_configs *configs, const struct config_change *x, struct arena *arena,
                               struct str *ret_value, struct rule_error *ret_error)
{
    const struct image_config *own = image_configs_find(configs, x->key);
    struct str now = own != NULL ? own->value : c->rules->default_value(c->rules, type, x->key);
    bool append = x->op == CONFIG_APPEND;
    if (!c->rules->is_list(c->rules, type, x->key)) {
        (void)rule_fail(ret_error, RULE_INVALID_CONFIG, "Can't %s to key %.*s because its type is not LIST.",
                        append ? "APPEND" : "SUBTRACT", PRINTABLE(x->key));
        return STATUS_OK;
    }
    if (now.len < 0) now = STR_EMPTY;
    return combine(arena, now, append ? STR_EMPTY : x->value, append ? x->value : STR_EMPTY, ret_value);
}

static enum status change_one(const struct controller *c, enum config_resource type, struct str name,
                              const struct config_change *x, struct record_list *l, struct rule_error *ret_error)
{
    const struct image_configs *configs = configs_of(c, type, name);
    struct str value = x->value;
    if (x->op == CONFIG_DELETE)
        return image_configs_find(configs, x->key) != NULL ? rule_config_record(l, type, name, x->key, STR_NULL)
                                                           : STATUS_OK;
    if (x->op != CONFIG_SET && x->op != CONFIG_APPEND && x->op != CONFIG_SUBTRACT) {
        (void)rule_fail(ret_error, RULE_INVALID_REQUEST, "Unknown operation %d of key %.*s", x->op, PRINTABLE(x->key));
        return STATUS_OK;
    }
    if (value.len < 0) {
        (void)rule_fail(ret_error, RULE_INVALID_REQUEST, "Null value not supported for key %.*s", PRINTABLE(x->key));
        return STATUS_OK;
    }
    if (x->op != CONFIG_SET) {
        enum status s = list_change(c, type, configs, x, l->arena, &value, ret_error);
        if (s != STATUS_OK || ret_error->code != RULE_OK) return s;
    }
    if (!rule_config_value(c, type, x->key, value, ret_error)) return STATUS_OK;
    return rule_config_record(l, type, name, x->key, value);
}

enum status controller_alter_configs(const struct controller *c, enum config_resource type, struct str name,
                                     const struct config_change *changes, uint32_t count, bool validate_only,
                                     struct record_list *records, struct rule_error *ret_error)
{
    uint32_t before = records->count;
    enum status s = STATUS_OK;
    struct str *keys = arena_alloc(records->arena, count * sizeof *keys);
    rule_ok(ret_error);
    if (keys == NULL) return STATUS_NO_MEMORY;
    for (uint32_t i = 0; i < count; i++) keys[i] = changes[i].key;
    if (!resource_there(c, type, name, ret_error) || !none_twice(keys, count, ret_error)) return STATUS_OK;
    for (uint32_t i = 0; s == STATUS_OK && ret_error->code == RULE_OK && i < count; i++)
        s = change_one(c, type, name, &changes[i], records, ret_error);
    if (s != STATUS_OK || ret_error->code != RULE_OK || validate_only) records_cut(records, before);
    return s;
}

/* --- replacement --- */

static bool named(const struct config_entry *entries, uint32_t count, struct str key)
{
    for (uint32_t i = 0; i < count; i++)
        if (str_equal(entries[i].key, key)) return true;
    return false;
}

static enum status replace(const struct controller *c, enum config_resource type, struct str name,
                           const struct config_entry *entries, uint32_t count, struct record_list *l,
                           struct rule_error *ret_error)
{
    const struct image_configs *now = configs_of(c, type, name);
    enum status s = STATUS_OK;
    for (uint32_t i = 0; s == STATUS_OK && i < count; i++) {
        if (!rule_config_value(c, type, entries[i].key, entries[i].value, ret_error)) return STATUS_OK;
        s = rule_config_record(l, type, name, entries[i].key, entries[i].value);
    }
    for (uint32_t i = 0; s == STATUS_OK && now != NULL && i < now->count; i++)
        if (!named(entries, count, now->entries[i].key))
            s = rule_config_record(l, type, name, now->entries[i].key, STR_NULL);
    return s;
}

enum status controller_replace_configs(const struct controller *c, enum config_resource type, struct str name,
                                       const struct config_entry *entries, uint32_t count, bool validate_only,
                                       struct record_list *records, struct rule_error *ret_error)
{
    uint32_t before = records->count;
    struct str *keys = arena_alloc(records->arena, count * sizeof *keys);
    rule_ok(ret_error);
    if (keys == NULL) return STATUS_NO_MEMORY;
    for (uint32_t i = 0; i < count; i++) keys[i] = entries[i].key;
    if (!resource_there(c, type, name, ret_error) || !none_twice(keys, count, ret_error)) return STATUS_OK;
    enum status s = replace(c, type, name, entries, count, records, ret_error);
    if (s != STATUS_OK || ret_error->code != RULE_OK || validate_only) records_cut(records, before);
    return s;
}

// SPDX-License-Identifier: Apache-2.0
/* Effective topic settings (settings.h). Path: settings_of -> no overrides: base; else the slot that the overrides'
 * address falls on; another topic's there: resolved anew. The address decides nothing but the slot, so replays agree.
 * Failure modes: none; every text was checked when it was set. */
#include "broker/settings.h"
#include "base/bytes.h"
#include "base/check.h"
#include <stdio.h>
#include <xxhash.h>

enum status settings_init(struct settings *s, struct mem *m, const struct topic_config_values *fixed, int32_t node_id)
{
    struct settings_slot *slots = mem_zalloc(m, MEM_CONTROL, SETTINGS_SLOTS * sizeof *slots);
    if (slots == NULL) return STATUS_NO_MEMORY;
    *s = (struct settings){.fixed = fixed, .node_id = node_id, .slots = slots};
    settings_publish(s, NULL);
    return STATUS_OK;
}

void settings_deinit(struct settings *s, struct mem *m)
{
    mem_free(m, MEM_CONTROL, s->slots, SETTINGS_SLOTS * sizeof *s->slots);
    s->slots = NULL;
}

static struct str literal(const char *text)
{
    return (struct str){text, (int32_t)strlen(text)};
}

const struct image_config *settings_dynamic(const struct settings *s, struct str key, enum config_source *ret_source)
{
    char id[16];
    if (s->dynamic == NULL) return NULL;
    snprintf(id, sizeof id, "%d", s->node_id);
    *ret_source = CONFIG_SOURCE_DYNAMIC_BROKER;
    const struct image_config *c =
        image_configs_find(image_settings_find(s->dynamic, RESOURCE_BROKER, literal(id)), key);
    if (c != NULL) return c;
    *ret_source = CONFIG_SOURCE_DYNAMIC_DEFAULT;
    return image_configs_find(image_settings_find(s->dynamic, RESOURCE_BROKER, STR_EMPTY), key);
}

enum config_source settings_source(const struct settings *s, const struct image_configs *overrides, size_t i,
                                   struct str *ret_value)
{
    const struct topic_config_key *k = &topic_config_keys[i];
    enum config_source source;
    const struct image_config *c = image_configs_find(overrides, literal(k->key.name));
    *ret_value = STR_NULL;
    if (c != NULL) {
        *ret_value = c->value;
        return CONFIG_SOURCE_TOPIC;
    }
    if (k->server_key != NULL && (c = settings_dynamic(s, literal(k->server_key), &source)) != NULL) {
        *ret_value = c->value;
        return source;
    }
    *ret_value = s->fixed->text[i];
    return s->fixed->text[i].data != NULL ? CONFIG_SOURCE_STATIC : CONFIG_SOURCE_DEFAULT;
}

void settings_publish(struct settings *s, const struct image_settings *dynamic)
{
    s->dynamic = dynamic;
    for (size_t i = 0; i < topic_config_count; i++) (void)settings_source(s, NULL, i, &s->defaults.text[i]);
    topic_settings_resolve(&s->defaults, &s->base);
    for (uint32_t i = 0; i < SETTINGS_SLOTS; i++) s->slots[i].overrides = NULL;
}

static struct settings_slot *slot_of(struct settings *s, const struct image_configs *overrides)
{
    return &s->slots[XXH3_64bits(&overrides, sizeof overrides) & (SETTINGS_SLOTS - 1)];
}

void settings_forget(struct settings *s, const struct image_configs *overrides)
{
    struct settings_slot *slot = slot_of(s, overrides);
    if (slot->overrides == overrides) slot->overrides = NULL;
}

const struct topic_settings *settings_of(struct settings *s, const struct image_configs *overrides)
{
    if (overrides == NULL) return &s->base;
    struct settings_slot *slot = slot_of(s, overrides);
    if (slot->overrides == overrides) return &slot->settings;
    struct topic_config_values v = s->defaults;
    for (uint32_t i = 0; i < overrides->count; i++) {
        const struct topic_config_key *k = topic_config_find(overrides->entries[i].key);
        if (k != NULL) v.text[k - topic_config_keys] = overrides->entries[i].value;
    }
    topic_settings_resolve(&v, &slot->settings);
    slot->overrides = overrides;
    return &slot->settings;
}

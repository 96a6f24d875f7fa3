// SPDX-License-Identifier: Apache-2.0
/* Effective settings as entries (config_entries.h). Values are borrowed from metadata and configuration: the answer
 * must be encoded in the same stage. Failure mode: no memory. */
#include "broker/api/config_entries.h"
#include "base/bytes.h"
#include "broker/group/group_config.h"
#include "broker/shard.h"
#include "protocol/msg_describe_configs.h"

#define SYNONYMS_MAX 5

static struct str literal(const char *text)
{
    return text != NULL ? (struct str){text, (int32_t)strlen(text)} : STR_NULL;
}

static bool wanted(const struct config_ask *ask, const char *name)
{
    for (int32_t i = 0; i < ask->key_count; i++)
        if (str_equal(ask->keys[i], literal(name))) return true;
    return ask->key_count < 0;
}

/* Where a key of the broker has its value from, strongest first; what it would have without the one before it follows.
 * Returns how many. */
static int32_t broker_sources(const struct shard *s, const struct config_key *k,
                              struct describe_configs_response_synonym *list)
{
    const struct settings *set = &s->settings;
    int32_t n = 0;
    enum config_source source;
    struct str name = literal(k->name);
    const struct image_config *c = settings_dynamic(set, name, &source);
    if (c != NULL) list[n++] = (struct describe_configs_response_synonym){name, c->value, (int8_t)source};
    if (config_is_given(s->broker->source, k->name))
        list[n++] = (struct describe_configs_response_synonym){name, literal(config_text(s->broker->source, k->name)),
                                                               CONFIG_SOURCE_STATIC};
    if (k->default_text != NULL)
        list[n++] = (struct describe_configs_response_synonym){name, literal(k->default_text), CONFIG_SOURCE_DEFAULT};
    return n;
}

static int32_t topic_sources(const struct shard *s, const struct image_configs *overrides, size_t i,
                             struct describe_configs_response_synonym *list)
{
    const struct topic_config_key *k = &topic_config_keys[i];
    const struct image_config *own = image_configs_find(overrides, literal(k->key.name));
    int32_t n = 0;
    struct str value;
    if (own != NULL)
        list[n++] = (struct describe_configs_response_synonym){literal(k->key.name), own->value, CONFIG_SOURCE_TOPIC};
    enum config_source source = settings_source(&s->settings, NULL, i, &value);
    if (source != CONFIG_SOURCE_DEFAULT && k->server_key != NULL)
        list[n++] = (struct describe_configs_response_synonym){literal(k->server_key), value, (int8_t)source};
    list[n++] = (struct describe_configs_response_synonym){literal(k->server_key != NULL ? k->server_key : k->key.name),
                                                           literal(k->key.default_text), CONFIG_SOURCE_DEFAULT};
    return n;
}

/* Takes the sources over into an entry: the first one is the value. */
static bool fill(const struct config_ask *ask, const char *name, const char *doc,
                 const struct describe_configs_response_synonym *list, int32_t n,
                 struct describe_configs_response_config *e)
{
    describe_configs_response_config_init(e);
    e->name = literal(name);
    e->value = n > 0 ? list[0].value : STR_NULL;
    e->config_source = n > 0 ? list[0].source : (int8_t)CONFIG_SOURCE_DEFAULT;
    e->documentation = ask->documentation ? literal(doc) : STR_NULL;
    if (!ask->synonyms || n == 0) return true;
    e->synonyms = request_zalloc(ask->request, (size_t)n * sizeof *list);
    if (e->synonyms == NULL) return false;
    memcpy(e->synonyms, list, (size_t)n * sizeof *list);
    e->synonyms_count = n;
    return true;
}

bool config_entries_topic(const struct config_ask *ask, const struct image_configs *overrides,
                          struct describe_configs_response_config **ret_entries, int32_t *ret_count)
{
    struct describe_configs_response_synonym list[SYNONYMS_MAX];
    struct describe_configs_response_config *entries =
        request_zalloc(ask->request, topic_config_count * sizeof *entries);
    int32_t count = 0;
    if (entries == NULL) return false;
    for (size_t i = 0; i < topic_config_count; i++) {
        const struct topic_config_key *k = &topic_config_keys[i];
        if (!wanted(ask, k->key.name)) continue;
        int32_t n = topic_sources(ask->request->shard, overrides, i, list);
        struct describe_configs_response_config *e = &entries[count++];
        if (!fill(ask, k->key.name, k->key.doc, list, n, e)) return false;
        e->config_type = (int8_t)k->kafka_type;
    }
    *ret_entries = entries;
    *ret_count = count;
    return true;
}

/* The group's own, then what the broker says. */
static int32_t group_sources(const struct shard *s, const struct image_configs *overrides,
                             const struct group_config_key *k, struct describe_configs_response_synonym *list)
{
    const struct image_config *own = image_configs_find(overrides, literal(k->key.name));
    const struct config_key *server = broker_key_find(literal(k->server_key));
    int32_t n = 0;
    if (own != NULL)
        list[n++] = (struct describe_configs_response_synonym){literal(k->key.name), own->value, CONFIG_SOURCE_GROUP};
    if (config_is_given(s->broker->source, k->server_key))
        list[n++] = (struct describe_configs_response_synonym){
            literal(k->server_key), literal(config_text(s->broker->source, k->server_key)), CONFIG_SOURCE_STATIC};
    list[n++] = (struct describe_configs_response_synonym){literal(k->server_key), literal(server->default_text),
                                                           CONFIG_SOURCE_DEFAULT};
    return n;
}

bool config_entries_group(const struct config_ask *ask, struct str group,
                          struct describe_configs_response_config **ret_entries, int32_t *ret_count)
{
    const struct shard *s = ask->request->shard;
    struct describe_configs_response_synonym list[SYNONYMS_MAX];
    struct describe_configs_response_config *entries =
        request_zalloc(ask->request, group_config_count * sizeof *entries);
    const struct image_configs *overrides =
        s->settings.dynamic != NULL ? image_settings_find(s->settings.dynamic, RESOURCE_GROUP, group) : NULL;
    int32_t count = 0;
    if (entries == NULL) return false;
    for (size_t i = 0; i < group_config_count; i++) {
        const struct group_config_key *k = &group_config_keys[i];
        if (!wanted(ask, k->key.name)) continue;
        int32_t n = group_sources(s, overrides, k, list);
        struct describe_configs_response_config *e = &entries[count++];
        if (!fill(ask, k->key.name, k->key.doc, list, n, e)) return false;
        e->config_type = KAFKA_CONFIG_INT;
    }
    *ret_entries = entries;
    *ret_count = count;
    return true;
}

static int8_t kafka_type(const struct config_key *k)
{
    static const int8_t types[] = {
        [CONFIG_INT] = KAFKA_CONFIG_LONG,      [CONFIG_BYTES] = KAFKA_CONFIG_LONG,
        [CONFIG_BOOL] = KAFKA_CONFIG_BOOLEAN,  [CONFIG_DOUBLE] = KAFKA_CONFIG_DOUBLE,
        [CONFIG_STRING] = KAFKA_CONFIG_STRING, [CONFIG_LIST] = KAFKA_CONFIG_LIST,
        [CONFIG_ENUM] = KAFKA_CONFIG_STRING,
    };
    return types[k->type];
}

/* A synonym of a topic setting that nobody has set still has that one's default. */
static const char *borrowed_default(const char *server_key)
{
    for (size_t i = 0; i < topic_config_count; i++)
        if (topic_config_keys[i].server_key != NULL && strcmp(topic_config_keys[i].server_key, server_key) == 0)
            return topic_config_keys[i].key.default_text;
    return NULL;
}

bool config_entries_broker(const struct config_ask *ask, bool own,
                           struct describe_configs_response_config **ret_entries, int32_t *ret_count)
{
    const struct shard *s = ask->request->shard;
    struct describe_configs_response_synonym list[SYNONYMS_MAX];
    struct describe_configs_response_config *entries = request_zalloc(ask->request, broker_key_count * sizeof *entries);
    int32_t count = 0;
    if (entries == NULL) return false;
    for (size_t i = 0; i < broker_key_count; i++) {
        const struct config_key *k = &broker_keys[i];
        if ((k->flags & CONFIG_IGNORED) != 0 || !wanted(ask, k->name)) continue;
        int32_t n = broker_sources(s, k, list);
        if (!own && (n == 0 || list[0].source != CONFIG_SOURCE_DYNAMIC_DEFAULT)) continue;
        struct describe_configs_response_config *e = &entries[count++];
        if (!fill(ask, k->name, k->doc, list, n, e)) return false;
        if (n == 0) e->value = literal(borrowed_default(k->name));
        e->config_type = kafka_type(k);
        e->read_only = (k->flags & CONFIG_DYNAMIC) == 0;
    }
    *ret_entries = entries;
    *ret_count = count;
    return true;
}

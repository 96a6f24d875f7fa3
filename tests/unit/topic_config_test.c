// SPDX-License-Identifier: Apache-2.0
/* Topic settings: every row has a default that it takes itself, values resolve into fields, bad ones are refused with a
 * sentence, and where a value comes from is told as Kafka tells it. */
#include "broker/settings.h"
#include "broker/topic_config.h"
#include "tests/unit/check_main.h"
#include <string.h>

static struct str s(const char *text)
{
    return (struct str){text, (int32_t)strlen(text)};
}

static size_t index_of(const char *name)
{
    const struct topic_config_key *k = topic_config_find(s(name));
    ASSERT(k != NULL);
    return (size_t)(k - topic_config_keys);
}

static void rows_are_sound(void)
{
    struct config_error error;
    for (size_t i = 0; i < topic_config_count; i++) {
        const struct topic_config_key *k = &topic_config_keys[i];
        ASSERT(i == 0 || strcmp(topic_config_keys[i - 1].key.name, k->key.name) < 0);
        ASSERT(k->key.default_text != NULL);
        ASSERT_EQ(topic_config_check(k, s(k->key.default_text), &error), STATUS_OK);
        ASSERT_EQ(topic_config_find(s(k->key.name)), k);
    }
    ASSERT(topic_config_find(s("retention.m")) == NULL);
    ASSERT(topic_config_find(s("retention.msx")) == NULL);
}

static void defaults_are_kafkas(void)
{
    struct topic_config_values none = {0};
    struct topic_settings t;
    topic_settings_resolve(&none, &t);
    ASSERT_EQ(t.retention_ms, 604800000);
    ASSERT_EQ(t.retention_bytes, -1);
    ASSERT_EQ(t.segment_bytes, 1073741824);
    ASSERT_EQ(t.segment_ms, 604800000);
    ASSERT_EQ(t.max_message_bytes, 1048588);
    ASSERT_EQ(t.cleanup, CLEANUP_DELETE);
    ASSERT_EQ(t.timestamp_type, TIMESTAMP_CREATE);
    ASSERT_EQ(t.compression, COMPRESSION_PRODUCER);
    ASSERT_EQ(t.timestamp_after_max_ms, 3600000);
    ASSERT_EQ(t.timestamp_before_max_ms, INT64_MAX);
    ASSERT_EQ(t.min_insync_replicas, 1);
    ASSERT_EQ(t.unclean_election, 0);
    ASSERT(t.min_cleanable_ratio == 0.5);
}

static void values_resolve(void)
{
    struct topic_config_values v = {0};
    struct topic_settings t;
    v.text[index_of("cleanup.policy")] = s("compact, delete");
    v.text[index_of("compression.type")] = s("zstd");
    v.text[index_of("message.timestamp.type")] = s("LogAppendTime");
    v.text[index_of("min.cleanable.dirty.ratio")] = s("0.25");
    v.text[index_of("retention.ms")] = s("-1");
    topic_settings_resolve(&v, &t);
    ASSERT_EQ(t.cleanup, CLEANUP_DELETE | CLEANUP_COMPACT);
    ASSERT_EQ(t.compression, COMPRESSION_ZSTD);
    ASSERT_EQ(t.timestamp_type, TIMESTAMP_APPEND);
    ASSERT(t.min_cleanable_ratio == 0.25);
    ASSERT_EQ(t.retention_ms, -1);
}

static void bad_values_are_refused(void)
{
    static const struct {
        const char *key, *value;
    } bad[] = {
        {"retention.ms", "x"},
        {"retention.ms", ""},
        {"retention.ms", "-2"},
        {"retention.ms", "9223372036854775808"},
        {"retention.bytes", "1k"},
        {"cleanup.policy", "shred"},
        {"cleanup.policy", "delete,delete"},
        {"cleanup.policy", "delete,,compact"},
        {"compression.type", "LZ4"},
        {"min.cleanable.dirty.ratio", "1.5"},
        {"min.cleanable.dirty.ratio", "nan"},
        {"segment.bytes", "1024"},
        {"remote.storage.enable", "true"},
        {"preallocate", "yes"},
        {"min.insync.replicas", "0"},
    };
    struct config_error error;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        error.text[0] = '\0';
        enum status status = topic_config_check(topic_config_find(s(bad[i].key)), s(bad[i].value), &error);
        ASSERT_EQ(status, STATUS_INVALID);
        ASSERT(strstr(error.text, bad[i].key) != NULL);
    }
}

static void lags_agree(void)
{
    struct config_error error;
    struct topic_settings t = {.min_compaction_lag_ms = 5, .max_compaction_lag_ms = 5};
    ASSERT_EQ(topic_settings_check(&t, &error), STATUS_OK);
    t.max_compaction_lag_ms = 4;
    ASSERT_EQ(topic_settings_check(&t, &error), STATUS_INVALID);
}

/* Topic before this broker's before all brokers' before the file's before the default. */
static void the_strongest_source_wins(void)
{
    struct mem *m = mem_create(64u << 20);
    struct settings set;
    struct topic_config_values fixed = {0};
    size_t i = index_of("retention.ms");
    struct image_config own = {s("retention.ms"), s("1")}, mine = {s("log.retention.ms"), s("2")},
                        all = {s("log.retention.ms"), s("3")};
    struct image_configs of_topic = {.type = RESOURCE_TOPIC, .name = s("t"), .count = 1, .entries = &own},
                         of_all = {.type = RESOURCE_BROKER, .name = STR_EMPTY, .count = 1, .entries = &all},
                         of_me = {.type = RESOURCE_BROKER, .name = s("7"), .count = 1, .entries = &mine};
    const struct image_configs *both[] = {&of_all, &of_me};
    struct image_settings two = {.count = 2, .configs = both}, one = {.count = 1, .configs = both};
    struct str value;
    ASSERT_EQ(settings_init(&set, m, &fixed, 7), STATUS_OK);
    ASSERT_EQ(settings_source(&set, NULL, i, &value), CONFIG_SOURCE_DEFAULT);
    ASSERT_EQ(settings_of(&set, NULL)->retention_ms, 604800000);
    fixed.text[i] = s("4");
    settings_publish(&set, NULL);
    ASSERT_EQ(settings_source(&set, NULL, i, &value), CONFIG_SOURCE_STATIC);
    ASSERT_EQ(settings_of(&set, NULL)->retention_ms, 4);
    settings_publish(&set, &one);
    ASSERT_EQ(settings_source(&set, NULL, i, &value), CONFIG_SOURCE_DYNAMIC_DEFAULT);
    ASSERT_EQ(settings_of(&set, NULL)->retention_ms, 3);
    settings_publish(&set, &two);
    ASSERT_EQ(settings_source(&set, NULL, i, &value), CONFIG_SOURCE_DYNAMIC_BROKER);
    ASSERT_EQ(settings_of(&set, NULL)->retention_ms, 2);
    ASSERT_EQ(settings_source(&set, &of_topic, i, &value), CONFIG_SOURCE_TOPIC);
    ASSERT_EQ(settings_of(&set, &of_topic)->retention_ms, 1);
    ASSERT_EQ(settings_of(&set, &of_topic)->segment_ms, 604800000);
    own.value = s("9"); /* the same memory with other contents, as after a free: only forgetting makes that seen */
    ASSERT_EQ(settings_of(&set, &of_topic)->retention_ms, 1);
    settings_forget(&set, &of_topic);
    ASSERT_EQ(settings_of(&set, &of_topic)->retention_ms, 9);
    settings_deinit(&set, m);
    mem_destroy(m);
}

TEST_MAIN("topic config", {"rows are sound", rows_are_sound}, {"defaults are Kafka's", defaults_are_kafkas},
          {"values resolve", values_resolve}, {"bad values are refused", bad_values_are_refused},
          {"lags agree", lags_agree}, {"the strongest source wins", the_strongest_source_wins})

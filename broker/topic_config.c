// SPDX-License-Identifier: Apache-2.0
/* Topic settings (topic_config.h). Names, defaults and limits are those of Apache Kafka 4.4's topic configs. Rows
 * without a field are accepted and checked, since tools set them, and docs/compatibility.md says that they do nothing.
 * Failure mode: a value that does not fit its row is a sentence that names the key. */
#include "broker/topic_config.h"
#include "base/bytes.h"
#include "base/check.h"
#include <stddef.h>
#include <stdio.h>

#define MIB         (1024LL * 1024)
#define NO_FIELD    (-1)
#define FIELD(name) ((int16_t)offsetof(struct topic_settings, name))
#define ROW(name_, config_type, default_, min_, max_, choices_, kafka_type_, server_, field_, doc_)                    \
    {                                                                                                                  \
        {name_, config_type, default_, min_, max_, choices_, doc_, 0}, server_, kafka_type_, field_                    \
    }
#define LONG(name_, default_, min_, max_, server_, field_, doc_)                                                       \
    ROW(name_, CONFIG_INT, default_, min_, max_, NULL, KAFKA_CONFIG_LONG, server_, field_, doc_)
#define INT(name_, default_, min_, max_, server_, field_, doc_)                                                        \
    ROW(name_, CONFIG_INT, default_, min_, max_, NULL, KAFKA_CONFIG_INT, server_, field_, doc_)
#define BOOL(name_, default_, server_, field_, doc_)                                                                   \
    ROW(name_, CONFIG_BOOL, default_, 0, 0, NULL, KAFKA_CONFIG_BOOLEAN, server_, field_, doc_)
#define CHOICE(name_, default_, choices_, server_, field_, doc_)                                                       \
    ROW(name_, CONFIG_ENUM, default_, 0, 0, choices_, KAFKA_CONFIG_STRING, server_, field_, doc_)
#define WORDS(name_, default_, server_, field_, doc_)                                                                  \
    ROW(name_, CONFIG_LIST, default_, 0, 0, NULL, KAFKA_CONFIG_LIST, server_, field_, doc_)

#define FOREVER "9223372036854775807"

/* clang-format off */
const struct topic_config_key topic_config_keys[] = {
    WORDS("cleanup.policy", "delete", "log.cleanup.policy", FIELD(cleanup), "delete, compact, or both"),
    INT("compression.gzip.level", "-1", -1, 9, "compression.gzip.level", NO_FIELD, "level where the broker compresses"),
    INT("compression.lz4.level", "9", 1, 17, "compression.lz4.level", NO_FIELD, "level where the broker compresses"),
    CHOICE("compression.type", "producer", "producer|uncompressed|gzip|snappy|lz4|zstd", "compression.type",
           FIELD(compression), "how the broker stores batches; producer: as they came"),
    INT("compression.zstd.level", "3", -131072, 22, "compression.zstd.level", NO_FIELD,
        "level where the broker compresses"),
    LONG("delete.retention.ms", "86400000", 0, INT64_MAX, "log.cleaner.delete.retention.ms",
         FIELD(delete_retention_ms), "how long compaction keeps a tombstone"),
    LONG("file.delete.delay.ms", "60000", 0, INT64_MAX, "log.segment.delete.delay.ms", NO_FIELD,
         "no meaning: readers hold what they read"),
    LONG("flush.messages", FOREVER, 1, INT64_MAX, "log.flush.interval.messages", NO_FIELD,
         "no meaning: every acknowledged record is flushed"),
    LONG("flush.ms", FOREVER, 0, INT64_MAX, "log.flush.interval.ms", NO_FIELD,
         "no meaning: every acknowledged record is flushed"),
    WORDS("follower.replication.throttled.replicas", "", NULL, NO_FIELD, "replicas whose catch-up is throttled"),
    INT("index.interval.bytes", "4096", 0, INT32_MAX, "log.index.interval.bytes", NO_FIELD,
        "no meaning: the index has its own density"),
    WORDS("leader.replication.throttled.replicas", "", NULL, NO_FIELD, "replicas whose catch-up is throttled"),
    LONG("local.retention.bytes", "-2", -2, INT64_MAX, "log.local.retention.bytes", NO_FIELD, "of tiered storage"),
    LONG("local.retention.ms", "-2", -2, INT64_MAX, "log.local.retention.ms", NO_FIELD, "of tiered storage"),
    LONG("max.compaction.lag.ms", FOREVER, 1, INT64_MAX, "log.cleaner.max.compaction.lag.ms",
         FIELD(max_compaction_lag_ms), "a record this old is compacted whatever the dirty ratio"),
    INT("max.message.bytes", "1048588", 0, INT32_MAX, "message.max.bytes", FIELD(max_message_bytes),
        "largest record batch"),
    LONG("message.timestamp.after.max.ms", "3600000", 0, INT64_MAX, "log.message.timestamp.after.max.ms",
         FIELD(timestamp_after_max_ms), "how far in the future a create time may lie"),
    LONG("message.timestamp.before.max.ms", FOREVER, 0, INT64_MAX, "log.message.timestamp.before.max.ms",
         FIELD(timestamp_before_max_ms), "how far in the past a create time may lie"),
    CHOICE("message.timestamp.type", "CreateTime", "CreateTime|LogAppendTime", "log.message.timestamp.type",
           FIELD(timestamp_type), "whose clock stamps records"),
    ROW("min.cleanable.dirty.ratio", CONFIG_DOUBLE, "0.5", 0, 1, NULL, KAFKA_CONFIG_DOUBLE,
        "log.cleaner.min.cleanable.ratio", FIELD(min_cleanable_ratio), "share of uncompacted bytes that starts one"),
    LONG("min.compaction.lag.ms", "0", 0, INT64_MAX, "log.cleaner.min.compaction.lag.ms",
         FIELD(min_compaction_lag_ms), "a record younger than this is not compacted"),
    INT("min.insync.replicas", "1", 1, INT32_MAX, "min.insync.replicas", FIELD(min_insync_replicas),
        "in-sync replicas that acks=all needs"),
    BOOL("preallocate", "false", "log.preallocate", NO_FIELD, "no meaning: segments grow with their data"),
    BOOL("remote.log.copy.disable", "false", NULL, NO_FIELD, "of tiered storage"),
    BOOL("remote.log.delete.on.disable", "false", NULL, NO_FIELD, "of tiered storage"),
    BOOL("remote.storage.enable", "false", NULL, NO_FIELD, "of tiered storage, which is not there: false"),
    LONG("retention.bytes", "-1", -1, INT64_MAX, "log.retention.bytes", FIELD(retention_bytes),
         "size of a partition above which old segments go; -1: no limit"),
    LONG("retention.ms", "604800000", -1, INT64_MAX, "log.retention.ms", FIELD(retention_ms),
         "age above which segments go; -1: no limit"),
    INT("segment.bytes", "1073741824", MIB, INT32_MAX, "log.segment.bytes", FIELD(segment_bytes),
        "size at which a segment rolls"),
    INT("segment.index.bytes", "10485760", 4, INT32_MAX, "log.index.size.max.bytes", NO_FIELD,
        "no meaning: the index has its own size"),
    LONG("segment.jitter.ms", "0", 0, INT64_MAX, "log.roll.jitter.ms", NO_FIELD, "no meaning: rolls cost no I/O peak"),
    LONG("segment.ms", "604800000", 1, INT64_MAX, "log.roll.ms", FIELD(segment_ms), "age at which a segment rolls"),
    BOOL("unclean.leader.election.enable", "false", "unclean.leader.election.enable", FIELD(unclean_election),
         "may a replica lead that lacks acknowledged records"),
};
/* clang-format on */
const size_t topic_config_count = sizeof topic_config_keys / sizeof topic_config_keys[0];
static_assert(sizeof topic_config_keys / sizeof topic_config_keys[0] <= TOPIC_CONFIG_MAX, "values have room");

static struct str literal(const char *text)
{
    return (struct str){text, (int32_t)strlen(text)};
}

static bool is(struct str s, const char *text)
{
    return s.len == (int32_t)strlen(text) && memcmp(s.data, text, (size_t)s.len) == 0;
}

const struct topic_config_key *topic_config_find(struct str name)
{
    for (size_t i = 0; i < topic_config_count; i++)
        if (is(name, topic_config_keys[i].key.name)) return &topic_config_keys[i];
    return NULL;
}

/* Words of cleanup.policy to bits; false: some other word, or one twice. */
static bool parse_cleanup(struct str value, int64_t *ret_bits)
{
    const char *item;
    size_t pos = 0, size;
    int64_t bits = 0;
    while (config_list_item(value.data, (size_t)value.len, &pos, &item, &size)) {
        struct str word = {item, (int32_t)size};
        int64_t bit = is(word, "delete") ? CLEANUP_DELETE : is(word, "compact") ? CLEANUP_COMPACT : 0;
        if (bit == 0 || (bits & bit) != 0) return false;
        bits |= bit;
    }
    *ret_bits = bits;
    return true;
}

static int64_t choice_index(const char *choices, struct str value)
{
    int64_t index = 0;
    for (const char *c = choices;; index++) {
        size_t n = strcspn(c, "|");
        if (n == (size_t)value.len && memcmp(c, value.data, n) == 0) return index;
        CHECK(c[n] == '|'); /* it was checked */
        c += n + 1;
    }
}

enum status topic_config_check(const struct topic_config_key *k, struct str value, struct config_error *ret_error)
{
    struct config_value v;
    int64_t bits;
    enum status s = config_check(&k->key, value.data, (size_t)value.len, &v, ret_error);
    if (s != STATUS_OK) return s;
    if (k->offset == FIELD(cleanup) && !parse_cleanup(value, &bits)) {
        snprintf(ret_error->text, sizeof ret_error->text, "cleanup.policy: '%.*s' is not delete, compact, or both",
                 MIN(value.len, 64), value.data);
        return STATUS_INVALID;
    }
    if (is(literal(k->key.name), "remote.storage.enable") && v.number != 0) {
        snprintf(ret_error->text, sizeof ret_error->text, "remote.storage.enable: tiered storage is not available");
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

static void resolve_one(const struct topic_config_key *k, struct str text, struct topic_settings *t)
{
    struct config_value v;
    struct config_error error;
    char *field = (char *)t + k->offset;
    CHECK_OK(config_check(&k->key, text.data, (size_t)text.len, &v, &error));
    if (k->key.type == CONFIG_DOUBLE) {
        memcpy(field, &v.real, sizeof v.real);
        return;
    }
    if (k->key.type == CONFIG_ENUM) v.number = choice_index(k->key.choices, text);
    if (k->offset == FIELD(cleanup)) CHECK(parse_cleanup(text, &v.number));
    memcpy(field, &v.number, sizeof v.number);
}

void topic_settings_resolve(const struct topic_config_values *v, struct topic_settings *ret_settings)
{
    struct topic_settings t = {0};
    for (size_t i = 0; i < topic_config_count; i++) {
        const struct topic_config_key *k = &topic_config_keys[i];
        if (k->offset == NO_FIELD) continue;
        resolve_one(k, v->text[i].data != NULL ? v->text[i] : literal(k->key.default_text), &t);
    }
    *ret_settings = t;
}

enum status topic_settings_check(const struct topic_settings *t, struct config_error *ret_error)
{
    if (t->min_compaction_lag_ms <= t->max_compaction_lag_ms) return STATUS_OK;
    snprintf(ret_error->text, sizeof ret_error->text,
             "min.compaction.lag.ms (%lld) is above max.compaction.lag.ms (%lld)", (long long)t->min_compaction_lag_ms,
             (long long)t->max_compaction_lag_ms);
    return STATUS_INVALID;
}

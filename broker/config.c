// SPDX-License-Identifier: Apache-2.0
/* Settings of the broker (config.h): one table of keys, then values into a struct. Path: main fills a struct config
 * from file, environment and options by the table; broker_config_read checks what a table cannot say (addresses,
 * topics) and copies. Failure modes: each wrong value is one sentence that names key and value. */
#include "broker/config.h"
#include "base/bytes.h"
#include "base/check.h"
#include "broker/wanted_topics.h"
#include <stdio.h>
#include <stdlib.h>

#define KIB (1024LL)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

/* With the header, proofs and one group of 4 MiB a batch of this size just fits the smallest ring file (storage). */
#define BATCH_MAX_BYTES (11 * MIB)

/* clang-format off */
#define IGNORED(name_) {.name = name_, .type = CONFIG_STRING, .doc = "no meaning here (yet)", .flags = CONFIG_IGNORED}
/* The synonym of a topic setting: checked by that one's row (topic_config.c), may change while the broker runs. */
#define OF_TOPICS(name_, type_, min_, max_, choices_) \
    {name_, type_, NULL, min_, max_, choices_, "default of the topic setting of that meaning", CONFIG_DYNAMIC}
const struct config_key broker_keys[] = {
    {"listeners", CONFIG_LIST, "PLAINTEXT://:9092", 1, 16, NULL, "PLAINTEXT://host:port; no host: all interfaces", 0},
    {"advertised.listeners", CONFIG_LIST, NULL, 1, 16, NULL, "what clients are told; default: listeners", 0},
    {"node.id", CONFIG_INT, "0", 0, INT32_MAX, NULL, "id of this broker", 0},
    {"broker.rack", CONFIG_STRING, NULL, 0, 255, NULL, "where this broker stands, for placing replicas", 0},
    {"log.dirs", CONFIG_LIST, "leat-data", 1, 16, NULL, "the log directory; made if missing", 0},
    {"socket.request.max.bytes", CONFIG_BYTES, "104857600", 1024, INT32_MAX, NULL, "largest request", 0},
    {"num.partitions", CONFIG_INT, "1", 1, 10000, NULL, "of a topic that does not say it", 0},
    {"default.replication.factor", CONFIG_INT, "1", 1, 64, NULL, "of a topic that does not say it", 0},
    {"auto.create.topics.enable", CONFIG_BOOL, "true", 0, 0, NULL, "make topics that clients ask for", 0},
    {"connections.max.idle.ms", CONFIG_INT, "600000", 1, INT64_MAX / 1000000, NULL, "silent ones are closed", 0},
    {"max.connections", CONFIG_INT, "20000", 1, INT32_MAX, NULL, "of this broker", 0},
    {"fetch.max.bytes", CONFIG_BYTES, "57671680", 1024, INT32_MAX, NULL, "largest answer to a fetch", 0},
    {"max.incremental.fetch.session.cache.slots", CONFIG_INT, "1000", 0, 1000000, NULL, "fetch sessions", 0},
    {"group.min.session.timeout.ms", CONFIG_INT, "6000", 1, INT32_MAX, NULL, "least that a classic member may ask", 0},
    {"group.max.session.timeout.ms", CONFIG_INT, "1800000", 1, INT32_MAX, NULL, "most that it may ask", 0},
    {"group.initial.rebalance.delay.ms", CONFIG_INT, "3000", 0, INT32_MAX, NULL, "an empty group waits for more", 0},
    {"group.max.size", CONFIG_INT, "2147483647", 1, INT32_MAX, NULL, "members of a classic group", 0},
    {"group.consumer.session.timeout.ms", CONFIG_INT, "45000", 1, INT32_MAX, NULL, "of consumer groups", 0},
    {"group.consumer.min.session.timeout.ms", CONFIG_INT, "45000", 1, INT32_MAX, NULL, "for a group's own", 0},
    {"group.consumer.max.session.timeout.ms", CONFIG_INT, "60000", 1, INT32_MAX, NULL, "for a group's own", 0},
    {"group.consumer.heartbeat.interval.ms", CONFIG_INT, "5000", 1, INT32_MAX, NULL, "of consumer groups", 0},
    {"group.consumer.min.heartbeat.interval.ms", CONFIG_INT, "5000", 1, INT32_MAX, NULL, "for a group's own", 0},
    {"group.consumer.max.heartbeat.interval.ms", CONFIG_INT, "15000", 1, INT32_MAX, NULL, "for a group's own", 0},
    {"group.consumer.assignment.interval.ms", CONFIG_INT, "1000", 0, 15000, NULL, "least time between assignments", 0},
    {"group.consumer.regex.refresh.interval.ms", CONFIG_INT, "600000", 10000, INT32_MAX, NULL,
     "after which expressions look at all topics again", 0},
    {"group.consumer.max.size", CONFIG_INT, "2147483647", 1, INT32_MAX, NULL, "members of a consumer group", 0},
    {"group.consumer.migration.policy", CONFIG_ENUM, "bidirectional", 0, 0, "disabled|upgrade|downgrade|bidirectional",
     "between the classic and the consumer protocol", 0},
    {"offset.metadata.max.bytes", CONFIG_INT, "4096", 0, 32767, NULL, "beside a committed offset", 0},
    {"offsets.retention.minutes", CONFIG_INT, "10080", 1, INT32_MAX, NULL, "of offsets that nobody uses", 0},
    {"offsets.retention.check.interval.ms", CONFIG_INT, "600000", 1, INT64_MAX / 1000000, NULL, "for that", 0},
    {"offsets.topic.num.partitions", CONFIG_INT, "50", 1, 10000, NULL, "of __consumer_offsets when it is made", 0},
    {"offsets.topic.replication.factor", CONFIG_INT, "3", 1, 64, NULL, "of it; fewer brokers: as many as there are", 0},
    {"offsets.topic.segment.bytes", CONFIG_INT, "104857600", MIB, INT32_MAX, NULL, "of it", 0},
    {"leat.shards", CONFIG_INT, "0", 0, 64, NULL, "threads; 0: one per core", 0},
    {"leat.topics", CONFIG_LIST, NULL, 0, 100000, NULL, "name:partitions, ... made at start", 0},
    {"leat.batch.max.bytes", CONFIG_BYTES, "0", 0, 256 * MIB, NULL,
     "largest max.message.bytes that a topic may have; 0: 11 MiB, or message.max.bytes", 0},
    {"leat.metrics.topics", CONFIG_BOOL, "false", 0, 0, NULL, "metrics per topic and partition too", 0},
    {"leat.http.listener", CONFIG_STRING, ":9644", 1, 255, NULL, "host:port of metrics and health; none: off", 0},
    {"leat.journal.bytes", CONFIG_BYTES, "1g", 16 * MIB, 1024 * GIB, NULL, "journals of all shards together", 0},
    {"leat.memory.bytes", CONFIG_BYTES, "0", 0, 1024 * GIB, NULL, "budget; 0: a quarter of the machine", 0},
    {"leat.cache.bytes", CONFIG_BYTES, "0", 0, 1024 * GIB, NULL, "unmoved bytes and tail cache; 0: by memory", 0},
    {"leat.disk.reserve.bytes", CONFIG_BYTES, "0", 0, 1024 * GIB, NULL, "kept free; 0: store's default", 0},
    {"leat.undelete.ms", CONFIG_INT, "3600000", 0, INT64_MAX / 1000000, NULL, "a deleted topic can come back; 0: never",
     0},
    {"log.cleaner.backoff.ms", CONFIG_INT, "15000", 0, INT64_MAX / 1000000, NULL,
     "each compacted partition is looked at once in this time", 0},
    {"log.cleaner.dedupe.buffer.size", CONFIG_BYTES, "134217728", 0, 1024 * GIB, NULL,
     "memory for the keys that compaction knows, all shards together", 0},
    {"log.cleaner.io.max.bytes.per.second", CONFIG_DOUBLE, "67108864", 1, INT64_MAX, NULL,
     "what compaction reads and writes at most, all shards together", 0},
    {"leat.disk.stall.ms", CONFIG_INT, "30000", 100, INT64_MAX / 1000000, NULL, "a write this old fences the disk", 0},
    OF_TOPICS("compression.gzip.level", CONFIG_INT, -1, 9, NULL),
    OF_TOPICS("compression.lz4.level", CONFIG_INT, 1, 17, NULL),
    OF_TOPICS("compression.type", CONFIG_ENUM, 0, 0, "producer|uncompressed|gzip|snappy|lz4|zstd"),
    OF_TOPICS("compression.zstd.level", CONFIG_INT, -131072, 22, NULL),
    OF_TOPICS("log.cleaner.delete.retention.ms", CONFIG_INT, 0, INT64_MAX, NULL),
    OF_TOPICS("log.cleaner.max.compaction.lag.ms", CONFIG_INT, 1, INT64_MAX, NULL),
    OF_TOPICS("log.cleaner.min.cleanable.ratio", CONFIG_DOUBLE, 0, 1, NULL),
    OF_TOPICS("log.cleaner.min.compaction.lag.ms", CONFIG_INT, 0, INT64_MAX, NULL),
    OF_TOPICS("log.cleanup.policy", CONFIG_LIST, 0, 2, NULL),
    OF_TOPICS("log.flush.interval.messages", CONFIG_INT, 1, INT64_MAX, NULL),
    OF_TOPICS("log.flush.interval.ms", CONFIG_INT, 0, INT64_MAX, NULL),
    OF_TOPICS("log.index.interval.bytes", CONFIG_INT, 0, INT32_MAX, NULL),
    OF_TOPICS("log.index.size.max.bytes", CONFIG_INT, 4, INT32_MAX, NULL),
    OF_TOPICS("log.local.retention.bytes", CONFIG_INT, -2, INT64_MAX, NULL),
    OF_TOPICS("log.local.retention.ms", CONFIG_INT, -2, INT64_MAX, NULL),
    OF_TOPICS("log.message.timestamp.after.max.ms", CONFIG_INT, 0, INT64_MAX, NULL),
    OF_TOPICS("log.message.timestamp.before.max.ms", CONFIG_INT, 0, INT64_MAX, NULL),
    OF_TOPICS("log.message.timestamp.type", CONFIG_ENUM, 0, 0, "CreateTime|LogAppendTime"),
    OF_TOPICS("log.preallocate", CONFIG_BOOL, 0, 0, NULL),
    OF_TOPICS("log.retention.bytes", CONFIG_INT, -1, INT64_MAX, NULL),
    OF_TOPICS("log.retention.ms", CONFIG_INT, -1, INT64_MAX, NULL),
    OF_TOPICS("log.roll.jitter.ms", CONFIG_INT, 0, INT64_MAX, NULL),
    OF_TOPICS("log.roll.ms", CONFIG_INT, 1, INT64_MAX, NULL),
    OF_TOPICS("log.segment.bytes", CONFIG_INT, MIB, INT32_MAX, NULL),
    OF_TOPICS("log.segment.delete.delay.ms", CONFIG_INT, 0, INT64_MAX, NULL),
    OF_TOPICS("message.max.bytes", CONFIG_INT, 0, 256 * MIB, NULL),
    OF_TOPICS("min.insync.replicas", CONFIG_INT, 1, INT32_MAX, NULL),
    OF_TOPICS("unclean.leader.election.enable", CONFIG_BOOL, 0, 0, NULL),
    {"log.retention.minutes", CONFIG_INT, NULL, -1, INT32_MAX, NULL, "where log.retention.ms is not set", 0},
    {"log.retention.hours", CONFIG_INT, "168", -1, INT32_MAX, NULL, "where log.retention.minutes is not set", 0},
    {"log.roll.hours", CONFIG_INT, "168", 1, INT32_MAX, NULL, "where log.roll.ms is not set", 0},
    IGNORED("advertised.host.name"), IGNORED("background.threads"), IGNORED("broker.id"),
    IGNORED("controller.listener.names"), IGNORED("controller.quorum.voters"),
    IGNORED("controller.quorum.bootstrap.servers"), IGNORED("delete.topic.enable"),
    IGNORED("inter.broker.listener.name"),
    IGNORED("listener.security.protocol.map"), IGNORED("log.cleaner.enable"),
    IGNORED("group.consumer.assignors"), IGNORED("group.coordinator.append.linger.ms"),
    IGNORED("group.coordinator.new.enable"), IGNORED("group.coordinator.rebalance.protocols"),
    IGNORED("group.coordinator.threads"), IGNORED("offsets.commit.timeout.ms"),
    IGNORED("offsets.load.buffer.size"), IGNORED("offsets.topic.compression.codec"),
    IGNORED("log.retention.check.interval.ms"), IGNORED("num.io.threads"), IGNORED("num.network.threads"),
    IGNORED("num.recovery.threads.per.data.dir"), IGNORED("num.replica.fetchers"),
    IGNORED("process.roles"),
    IGNORED("queued.max.requests"), IGNORED("share.coordinator.state.topic.min.isr"),
    IGNORED("share.coordinator.state.topic.replication.factor"), IGNORED("socket.receive.buffer.bytes"),
    IGNORED("socket.send.buffer.bytes"), IGNORED("socket.listen.backlog.size"),
    IGNORED("transaction.state.log.min.isr"), IGNORED("transaction.state.log.replication.factor"),
    IGNORED("zookeeper.connect"),
};
/* clang-format on */
const size_t broker_key_count = sizeof broker_keys / sizeof broker_keys[0];

const struct config_key *broker_key_find(struct str name)
{
    for (size_t i = 0; i < broker_key_count; i++)
        if (str_equal(name, (struct str){broker_keys[i].name, (int32_t)strlen(broker_keys[i].name)}))
            return &broker_keys[i];
    return NULL;
}

struct address {
    char host[256];
    uint16_t port;
};

/* False: too long. */
static bool copy_text(char *out, size_t size, const char *text)
{
    size_t n = strlen(text);
    if (n >= size) return false;
    memcpy(out, text, n + 1);
    return true;
}

/* "host:port", host may be empty or [v6]. */
static bool parse_host_port(const char *text, size_t size, struct address *ret_address)
{
    char copy[300], *end;
    if (size >= sizeof copy) return false;
    memcpy(copy, text, size);
    copy[size] = '\0';
    char *colon = strrchr(copy, ':'), *host = copy;
    if (colon == NULL || colon[1] < '0' || colon[1] > '9') return false;
    unsigned long port = strtoul(colon + 1, &end, 10);
    if (*end != '\0' || port > 65535) return false;
    *colon = '\0';
    if (host[0] == '[' && colon[-1] == ']') {
        colon[-1] = '\0';
        host++;
    }
    if (!copy_text(ret_address->host, sizeof ret_address->host, host)) return false;
    ret_address->port = (uint16_t)port;
    return true;
}

/* "PLAINTEXT://host:port" */
static bool parse_address(const char *text, size_t size, struct address *ret_address)
{
    static const char scheme[] = "PLAINTEXT://";
    size_t skip = sizeof scheme - 1;
    if (size <= skip || memcmp(text, scheme, skip) != 0) return false;
    return parse_host_port(text + skip, size - skip, ret_address);
}

/* The only item of a list. */
static bool single(const struct config *c, const char *key, const char **ret_item, size_t *ret_size)
{
    const char *second;
    size_t pos = 0, size;
    return config_list_next(c, key, &pos, ret_item, ret_size) && !config_list_next(c, key, &pos, &second, &size);
}

static enum status read_address(const struct config *c, const char *key, struct address *ret_address, char error[512])
{
    const char *item;
    size_t size;
    if (!single(c, key, &item, &size)) {
        snprintf(error, 512, "%s=%.200s: one listener for now", key, config_string(c, key));
        return STATUS_INVALID;
    }
    if (!parse_address(item, size, ret_address)) {
        snprintf(error, 512, "%s=%.*s: expected PLAINTEXT://host:port", key, (int)(size < 200 ? size : 200), item);
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

static bool numeric(const char *host) /* good enough for a clear sentence; env_listen has the last word */
{
    return strchr(host, ':') != NULL || strspn(host, "0123456789.") == strlen(host);
}

/* To listen at: no host is all interfaces. */
static const char *listen_host(const struct address *a)
{
    if (a->host[0] == '\0') return "0.0.0.0";
    return strcmp(a->host, "localhost") == 0 ? "127.0.0.1" : a->host;
}

static enum status read_http(const struct config *c, struct broker_config *b, char error[512])
{
    struct address a;
    const char *text = config_string(c, "leat.http.listener");
    if (strcmp(text, "none") == 0) return STATUS_OK;
    if (parse_host_port(text, strlen(text), &a) && numeric(listen_host(&a)) &&
        copy_text(b->http_host, sizeof b->http_host, listen_host(&a))) {
        b->http_port = a.port;
        return STATUS_OK;
    }
    snprintf(error, 512, "leat.http.listener=%.200s: expected host:port with the address in numbers, :port or none",
             text);
    return STATUS_INVALID;
}

static enum status read_listeners(const struct config *c, const char *host_name, struct broker_config *b,
                                  char error[512])
{
    struct address listen, told;
    enum status s = read_address(c, "listeners", &listen, error);
    if (s != STATUS_OK) return s;
    const char *host = listen_host(&listen);
    if (!numeric(host) || !copy_text(b->host, sizeof b->host, host)) {
        snprintf(error, 512, "listeners: %.200s: write the address in numbers, or no host for all interfaces", host);
        return STATUS_INVALID;
    }
    b->port = listen.port;
    bool all = strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
    snprintf(told.host, sizeof told.host, "%s", all ? host_name : host);
    told.port = listen.port;
    if (config_is_set(c, "advertised.listeners")) s = read_address(c, "advertised.listeners", &told, error);
    if (s != STATUS_OK) return s;
    if (told.host[0] == '\0') snprintf(told.host, sizeof told.host, "%s", host_name);
    snprintf(b->advertised_host, sizeof b->advertised_host, "%s", told.host);
    b->advertised_port = told.port;
    return STATUS_OK;
}

static enum status read_log_dir(const struct config *c, struct broker_config *b, char error[512])
{
    const char *item;
    size_t size;
    if (!single(c, "log.dirs", &item, &size)) {
        snprintf(error, 512, "log.dirs=%.200s: one log directory for now", config_string(c, "log.dirs"));
        return STATUS_INVALID;
    }
    if (size >= sizeof b->log_dir) {
        snprintf(error, 512, "log.dirs: a path of at most %zu bytes", sizeof b->log_dir - 1);
        return STATUS_INVALID;
    }
    memcpy(b->log_dir, item, size);
    b->log_dir[size] = '\0';
    return STATUS_OK;
}

/* The older keys in larger units, where log.retention.ms and log.roll.ms are not set. */
static void read_periods(const struct config *c, struct broker_config *b)
{
    bool minutes = config_is_set(c, "log.retention.minutes");
    int64_t n = config_int(c, minutes ? "log.retention.minutes" : "log.retention.hours");
    int64_t ms = n < 0 ? -1 : n * (minutes ? 60000 : 3600000);
    snprintf(b->retention_text, sizeof b->retention_text, "%lld", (long long)ms);
    snprintf(b->roll_text, sizeof b->roll_text, "%lld", (long long)config_int(c, "log.roll.hours") * 3600000);
}

static struct str value_of(const struct config *c, const struct broker_config *b, const char *server_key)
{
    const char *text = config_text(c, server_key);
    bool retention = strcmp(server_key, "log.retention.ms") == 0, roll = strcmp(server_key, "log.roll.ms") == 0;
    bool older = config_is_given(c, "log.retention.hours") || config_is_given(c, "log.retention.minutes");
    if (text == NULL && retention && older) text = b->retention_text;
    if (text == NULL && roll && config_is_given(c, "log.roll.hours")) text = b->roll_text;
    return text != NULL ? (struct str){text, (int32_t)strlen(text)} : (struct str){NULL, 0};
}

static enum status read_topic_values(const struct config *c, struct broker_config *b, char error[512])
{
    struct config_error why;
    struct topic_settings t;
    read_periods(c, b);
    for (size_t i = 0; i < topic_config_count; i++) {
        const struct topic_config_key *k = &topic_config_keys[i];
        if (k->server_key == NULL) continue;
        struct str value = value_of(c, b, k->server_key);
        b->topic_values.text[i] = value;
        if (value.data == NULL || topic_config_check(k, value, &why) == STATUS_OK) continue;
        snprintf(error, 512, "%s: %.400s", k->server_key, why.text);
        return STATUS_INVALID;
    }
    topic_settings_resolve(&b->topic_values, &t);
    if (topic_settings_check(&t, &why) != STATUS_OK) {
        snprintf(error, 512, "%.500s", why.text);
        return STATUS_INVALID;
    }
    uint32_t most = (uint32_t)config_int(c, "leat.batch.max.bytes");
    b->batch_max_bytes = most != 0 ? most : (uint32_t)MAX((int64_t)BATCH_MAX_BYTES, t.max_message_bytes);
    if (t.max_message_bytes > (int64_t)b->batch_max_bytes) {
        snprintf(error, 512, "message.max.bytes (%lld) is above leat.batch.max.bytes (%u)",
                 (long long)t.max_message_bytes, b->batch_max_bytes);
        return STATUS_INVALID;
    }
    b->segment_bytes = (uint64_t)t.segment_bytes;
    b->roll_ms = t.segment_ms;
    return STATUS_OK;
}

static int32_t ms_of(const struct config *c, const char *key)
{
    return (int32_t)config_int(c, key);
}

static enum group_migration migration_of(const char *text)
{
    static const char *const names[] = {"disabled", "upgrade", "downgrade", "bidirectional"};
    enum group_migration m = MIGRATION_DISABLED;
    while (strcmp(names[m], text) != 0) m++;
    return m;
}

static enum status read_groups(const struct config *c, struct broker_config *b, char error[512])
{
    b->groups = (struct group_settings){
        .session_min_ms = ms_of(c, "group.min.session.timeout.ms"),
        .session_max_ms = ms_of(c, "group.max.session.timeout.ms"),
        .first_delay_ms = ms_of(c, "group.initial.rebalance.delay.ms"),
        .size_max = (int32_t)config_int(c, "group.max.size"),
        .consumer_session_ms = ms_of(c, "group.consumer.session.timeout.ms"),
        .consumer_session_min_ms = ms_of(c, "group.consumer.min.session.timeout.ms"),
        .consumer_session_max_ms = ms_of(c, "group.consumer.max.session.timeout.ms"),
        .consumer_heartbeat_ms = ms_of(c, "group.consumer.heartbeat.interval.ms"),
        .consumer_heartbeat_min_ms = ms_of(c, "group.consumer.min.heartbeat.interval.ms"),
        .consumer_heartbeat_max_ms = ms_of(c, "group.consumer.max.heartbeat.interval.ms"),
        .consumer_assignment_ms = ms_of(c, "group.consumer.assignment.interval.ms"),
        .consumer_regex_refresh_ms = ms_of(c, "group.consumer.regex.refresh.interval.ms"),
        .consumer_size_max = (int32_t)config_int(c, "group.consumer.max.size"),
        .migration = migration_of(config_string(c, "group.consumer.migration.policy")),
        .metadata_max_bytes = (int32_t)config_int(c, "offset.metadata.max.bytes"),
        .retention_ms = config_int(c, "offsets.retention.minutes") * 60000,
        .check_ms = config_int(c, "offsets.retention.check.interval.ms"),
        .partitions = (int32_t)config_int(c, "offsets.topic.num.partitions"),
        .replication_factor = (int16_t)config_int(c, "offsets.topic.replication.factor"),
        .segment_bytes = (int32_t)config_int(c, "offsets.topic.segment.bytes"),
    };
    const struct group_settings *g = &b->groups;
    const char *wrong = NULL;
    if (g->session_min_ms > g->session_max_ms)
        wrong = "group.min.session.timeout.ms is above group.max.session.timeout.ms";
    if (g->consumer_session_ms < g->consumer_session_min_ms || g->consumer_session_ms > g->consumer_session_max_ms)
        wrong = "group.consumer.session.timeout.ms is not between its min and max";
    if (g->consumer_heartbeat_ms < g->consumer_heartbeat_min_ms ||
        g->consumer_heartbeat_ms > g->consumer_heartbeat_max_ms)
        wrong = "group.consumer.heartbeat.interval.ms is not between its min and max";
    if (g->consumer_heartbeat_ms >= g->consumer_session_ms)
        wrong = "group.consumer.heartbeat.interval.ms must be below group.consumer.session.timeout.ms";
    if (wrong == NULL) return STATUS_OK;
    snprintf(error, 512, "%s", wrong);
    return STATUS_INVALID;
}

static void read_numbers(const struct config *c, struct broker_config *b)
{
    b->node_id = (int32_t)config_int(c, "node.id");
    b->shards = (uint32_t)config_int(c, "leat.shards");
    b->request_max_bytes = (uint32_t)config_int(c, "socket.request.max.bytes");
    b->connections_max = (uint32_t)config_int(c, "max.connections");
    b->fetch_max_bytes = (uint32_t)config_int(c, "fetch.max.bytes");
    b->fetch_sessions_max = (uint32_t)config_int(c, "max.incremental.fetch.session.cache.slots");
    b->journal_bytes = (uint64_t)config_int(c, "leat.journal.bytes");
    b->clean_check_ms = MAX(config_int(c, "log.cleaner.backoff.ms"), 100);
    b->clean_map_bytes = (uint64_t)config_int(c, "log.cleaner.dedupe.buffer.size");
    b->clean_bytes_per_s = (uint64_t)MIN(config_double(c, "log.cleaner.io.max.bytes.per.second"), 1e15);
    b->memory_bytes = (uint64_t)config_int(c, "leat.memory.bytes");
    b->cache_bytes = (uint64_t)config_int(c, "leat.cache.bytes");
    b->reserve_bytes = (uint64_t)config_int(c, "leat.disk.reserve.bytes");
    b->stall_ms = config_int(c, "leat.disk.stall.ms");
    b->undelete_ms = config_int(c, "leat.undelete.ms");
    b->idle_ms = config_int(c, "connections.max.idle.ms");
    b->default_partitions = (int32_t)config_int(c, "num.partitions");
    b->default_replication_factor = (int16_t)config_int(c, "default.replication.factor");
    b->metrics_topics = config_bool(c, "leat.metrics.topics");
    b->auto_create_topics = config_bool(c, "auto.create.topics.enable");
    if (config_is_set(c, "broker.rack")) (void)copy_text(b->rack, sizeof b->rack, config_string(c, "broker.rack"));
}

enum status broker_config_read(const struct config *c, const char *host_name, struct broker_config *ret_config,
                               char ret_error[512])
{
    struct broker_config *b = ret_config;
    *b = (struct broker_config){0};
    read_numbers(c, b);
    enum status s = read_listeners(c, host_name, b, ret_error);
    if (s == STATUS_OK) s = read_http(c, b, ret_error);
    if (s == STATUS_OK) s = read_log_dir(c, b, ret_error);
    if (s == STATUS_OK) s = read_topic_values(c, b, ret_error);
    if (s == STATUS_OK) s = read_groups(c, b, ret_error);
    if (s == STATUS_OK) s = wanted_topics_check(c, ret_error);
    return s;
}

// SPDX-License-Identifier: Apache-2.0
/* Settings of the broker (config.h): one table of keys, then values into a struct. Path: main fills a struct config
 * from file, environment and options by the table; broker_config_read checks what a table cannot say (addresses,
 * topics) and copies. Failure modes: each wrong value is one sentence that names key and value. */
#include "broker/config.h"
#include "base/check.h"
#include <stdio.h>
#include <stdlib.h>

#define KIB (1024LL)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

/* clang-format off */
#define IGNORED(name_) {.name = name_, .type = CONFIG_STRING, .doc = "no meaning here (yet)", .flags = CONFIG_IGNORED}
const struct config_key broker_keys[] = {
    {"listeners", CONFIG_LIST, "PLAINTEXT://:9092", 1, 16, NULL, "PLAINTEXT://host:port; no host: all interfaces", 0},
    {"advertised.listeners", CONFIG_LIST, NULL, 1, 16, NULL, "what clients are told; default: listeners", 0},
    {"node.id", CONFIG_INT, "0", 0, INT32_MAX, NULL, "id of this broker", 0},
    {"log.dirs", CONFIG_LIST, "leat-data", 1, 16, NULL, "the log directory; made if missing", 0},
    {"message.max.bytes", CONFIG_BYTES, "1048588", 61, 256 * MIB, NULL, "largest record batch", 0},
    {"log.segment.bytes", CONFIG_BYTES, "1073741824", 14, INT32_MAX, NULL, "size at which a segment rolls", 0},
    {"log.roll.ms", CONFIG_INT, "604800000", 1, INT64_MAX / 1000000, NULL, "age at which a segment rolls", 0},
    {"log.message.timestamp.type", CONFIG_ENUM, "CreateTime", 0, 0, "CreateTime|LogAppendTime", "whose clock", 0},
    {"log.message.timestamp.before.max.ms", CONFIG_INT, "9223372036854775807", 0, INT64_MAX, NULL, "oldest time", 0},
    {"log.message.timestamp.after.max.ms", CONFIG_INT, "3600000", 0, INT64_MAX, NULL, "newest time", 0},
    {"socket.request.max.bytes", CONFIG_BYTES, "104857600", 1024, INT32_MAX, NULL, "largest request", 0},
    {"num.partitions", CONFIG_INT, "1", 1, TOPIC_PARTITIONS_MAX, NULL, "of a topic that does not say it", 0},
    {"connections.max.idle.ms", CONFIG_INT, "600000", 1, INT64_MAX / 1000000, NULL, "silent ones are closed", 0},
    {"max.connections", CONFIG_INT, "20000", 1, INT32_MAX, NULL, "of this broker", 0},
    {"fetch.max.bytes", CONFIG_BYTES, "57671680", 1024, INT32_MAX, NULL, "largest answer to a fetch", 0},
    {"leat.shards", CONFIG_INT, "0", 0, 64, NULL, "threads; 0: one per core", 0},
    {"leat.topics", CONFIG_LIST, NULL, 0, 100000, NULL, "name:partitions, ... made at start", 0},
    {"leat.journal.bytes", CONFIG_BYTES, "1g", 16 * MIB, 1024 * GIB, NULL, "journals of all shards together", 0},
    {"leat.memory.bytes", CONFIG_BYTES, "0", 0, 1024 * GIB, NULL, "budget; 0: a quarter of the machine", 0},
    {"leat.cache.bytes", CONFIG_BYTES, "0", 0, 1024 * GIB, NULL, "unmoved bytes and tail cache; 0: by memory", 0},
    {"leat.disk.reserve.bytes", CONFIG_BYTES, "0", 0, 1024 * GIB, NULL, "kept free; 0: store's default", 0},
    {"leat.disk.stall.ms", CONFIG_INT, "30000", 100, INT64_MAX / 1000000, NULL, "a write this old fences the disk", 0},
    IGNORED("advertised.host.name"), IGNORED("auto.create.topics.enable"), IGNORED("background.threads"),
    IGNORED("broker.id"), IGNORED("broker.rack"), IGNORED("compression.type"),
    IGNORED("controller.listener.names"), IGNORED("controller.quorum.voters"),
    IGNORED("controller.quorum.bootstrap.servers"), IGNORED("default.replication.factor"),
    IGNORED("delete.topic.enable"), IGNORED("group.initial.rebalance.delay.ms"),
    IGNORED("inter.broker.listener.name"), IGNORED("listener.security.protocol.map"),
    IGNORED("log.cleaner.enable"), IGNORED("log.cleanup.policy"), IGNORED("log.flush.interval.messages"),
    IGNORED("log.flush.interval.ms"), IGNORED("log.index.interval.bytes"), IGNORED("log.index.size.max.bytes"),
    IGNORED("log.preallocate"), IGNORED("log.retention.bytes"), IGNORED("log.retention.check.interval.ms"),
    IGNORED("log.retention.hours"), IGNORED("log.retention.minutes"), IGNORED("log.retention.ms"),
    IGNORED("log.roll.hours"), IGNORED("min.insync.replicas"), IGNORED("num.io.threads"),
    IGNORED("num.network.threads"), IGNORED("num.recovery.threads.per.data.dir"), IGNORED("num.replica.fetchers"),
    IGNORED("offsets.topic.num.partitions"), IGNORED("offsets.topic.replication.factor"), IGNORED("process.roles"),
    IGNORED("queued.max.requests"), IGNORED("share.coordinator.state.topic.min.isr"),
    IGNORED("share.coordinator.state.topic.replication.factor"), IGNORED("socket.receive.buffer.bytes"),
    IGNORED("socket.send.buffer.bytes"), IGNORED("socket.listen.backlog.size"),
    IGNORED("transaction.state.log.min.isr"), IGNORED("transaction.state.log.replication.factor"),
    IGNORED("unclean.leader.election.enable"), IGNORED("zookeeper.connect"),
};
/* clang-format on */
const size_t broker_key_count = sizeof broker_keys / sizeof broker_keys[0];

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

/* "PLAINTEXT://host:port", host may be empty or [v6]. */
static bool parse_address(const char *text, size_t size, struct address *ret_address)
{
    static const char scheme[] = "PLAINTEXT://";
    size_t skip = sizeof scheme - 1;
    char copy[300], *end;
    if (size <= skip || size >= sizeof copy || memcmp(text, scheme, skip) != 0) return false;
    memcpy(copy, text + skip, size - skip);
    copy[size - skip] = '\0';
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

static enum status read_listeners(const struct config *c, const char *host_name, struct broker_config *b,
                                  char error[512])
{
    struct address listen, told;
    enum status s = read_address(c, "listeners", &listen, error);
    if (s != STATUS_OK) return s;
    const char *host = listen.host[0] == '\0' ? "0.0.0.0" : listen.host;
    if (strcmp(host, "localhost") == 0) host = "127.0.0.1";
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

static enum status read_topics(const struct config *c, struct broker_config *b, char error[512])
{
    const char *item;
    size_t pos = 0, size;
    int32_t partitions = (int32_t)config_int(c, "num.partitions");
    if (!config_is_set(c, "leat.topics")) return STATUS_OK;
    while (config_list_next(c, "leat.topics", &pos, &item, &size)) {
        enum status s = topics_add(&b->topics, item, size, partitions, error);
        if (s != STATUS_OK) return s;
    }
    return topics_seal(&b->topics, error);
}

static void read_numbers(const struct config *c, struct broker_config *b)
{
    b->node_id = (int32_t)config_int(c, "node.id");
    b->shards = (uint32_t)config_int(c, "leat.shards");
    b->message_max_bytes = (uint32_t)config_int(c, "message.max.bytes");
    b->request_max_bytes = (uint32_t)config_int(c, "socket.request.max.bytes");
    b->connections_max = (uint32_t)config_int(c, "max.connections");
    b->fetch_max_bytes = (uint32_t)config_int(c, "fetch.max.bytes");
    b->segment_bytes = (uint64_t)config_int(c, "log.segment.bytes");
    b->journal_bytes = (uint64_t)config_int(c, "leat.journal.bytes");
    b->memory_bytes = (uint64_t)config_int(c, "leat.memory.bytes");
    b->cache_bytes = (uint64_t)config_int(c, "leat.cache.bytes");
    b->reserve_bytes = (uint64_t)config_int(c, "leat.disk.reserve.bytes");
    b->roll_ms = config_int(c, "log.roll.ms");
    b->stall_ms = config_int(c, "leat.disk.stall.ms");
    b->idle_ms = config_int(c, "connections.max.idle.ms");
    b->before_max_ms = config_int(c, "log.message.timestamp.before.max.ms");
    b->after_max_ms = config_int(c, "log.message.timestamp.after.max.ms");
    b->append_time = strcmp(config_string(c, "log.message.timestamp.type"), "LogAppendTime") == 0;
}

enum status broker_config_read(const struct config *c, const char *host_name, struct mem *m,
                               struct broker_config *ret_config, char ret_error[512])
{
    struct broker_config b = {0};
    topics_init(&b.topics, m);
    read_numbers(c, &b);
    enum status s = read_listeners(c, host_name, &b, ret_error);
    if (s == STATUS_OK) s = read_log_dir(c, &b, ret_error);
    if (s == STATUS_OK) s = read_topics(c, &b, ret_error);
    if (s == STATUS_NO_MEMORY) snprintf(ret_error, 512, "leat.topics: more topics than start-up memory holds");
    if (s != STATUS_OK)
        topics_deinit(&b.topics);
    else
        *ret_config = b;
    return s;
}

void broker_config_deinit(struct broker_config *b)
{
    topics_deinit(&b->topics);
}

// SPDX-License-Identifier: Apache-2.0
/* libleat: a Kafka client in C, for Leat and for every broker that speaks Kafka's protocol. Produces, reads, and
 * administers topics and consumer groups. It is no member of groups: use librdkafka for that.
 *
 * Threads. A client and everything made from it (producers, readers, results) belong to one thread at a time; two
 * clients share nothing, and the library has no global state, starts no thread and installs no signal handler. One
 * client per thread is the way to use it.
 *
 * Waiting. Every call that talks to a broker takes timeout_ms and comes back within it; only looking up a host name can
 * take longer. Within that time it connects, reconnects, finds the leader and repeats what may be repeated.
 * LEAT_FOREVER never gives up.
 *
 * Errors. A call that can fail returns enum leat_code; its outputs (named ret_...) are written on LEAT_OK only.
 * ret_error may be NULL; else it is filled in whenever the call does not return LEAT_OK. Wrong use that no input from
 * outside can cause (NULL where none is allowed, a freed handle) ends the process with a message.
 *
 * Memory. The library takes what it needs from the C allocator, per client at most memory_bytes. What a result points
 * to lives until that result is freed; free results, producers and readers before their client. Strings that go in are
 * copied where they are kept. Text is UTF-8 and NUL-terminated unless a length says otherwise. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define LEAT_MUST_CHECK __attribute__((warn_unused_result))
#else
#define LEAT_MUST_CHECK
#endif

#define LEAT_FOREVER (-1)

/* Names of the codes: leat_code_name. */
enum leat_code {
    LEAT_OK = 0,
    LEAT_INVALID,     /* an argument is wrong; nothing was sent */
    LEAT_NO_MEMORY,   /* memory_bytes is used up, or the system has no more */
    LEAT_UNREACHABLE, /* no broker could be reached in time: refused, closed, no such host */
    LEAT_TIMED_OUT,   /* the time was over; whether the broker did what it was asked is not known */
    LEAT_PROTOCOL,    /* an answer that makes no sense: not a Kafka broker, or a broken one */
    LEAT_UNSUPPORTED, /* the broker does not serve this request, or only in versions that we do not speak */
    LEAT_BROKER,      /* the broker refused: kafka_code says why */
    LEAT_DAMAGED,     /* records that fail their checksum or do not decode */
    LEAT_NOT_FOUND,   /* no such topic, partition or group */
    LEAT_END,         /* leat_reader_next: everything that was asked for was read. Not an error */
};

struct leat_error {
    enum leat_code code;
    int16_t kafka_code; /* Kafka's error code with LEAT_BROKER and LEAT_NOT_FOUND, else 0 */
    bool retriable;     /* the same call may work later */
    char text[480];     /* one sentence: what, where, and if we know it what would be right */
};

const char *leat_version(void);                  /* "0.1.0" */
const char *leat_code_name(enum leat_code code); /* "TIMED_OUT" */
const char *leat_kafka_error_name(int16_t code); /* "NOT_LEADER_OR_FOLLOWER"; "UNKNOWN" for codes we do not know */
bool leat_kafka_error_retriable(int16_t code);   /* as Apache Kafka's clients see it */

/* ---- client ---- */

struct leat_client;

struct leat_options {
    const char *brokers;   /* "host:port,host:port"; an IPv6 address as [::1]:9092; the port may be left out: 9092 */
    const char *client_id; /* what the broker's logs call us; default "libleat" */
    int64_t connect_timeout_ms; /* of one attempt to connect; default 5,000 */
    int64_t request_timeout_ms; /* of one request, then the connection is given up; default 30,000 */
    uint64_t memory_bytes;      /* default 1 GiB: 15 % for what is to be sent and for decompression, 15 % for answers */
};

/* Every option at its default; brokers is NULL and must be set. */
void leat_options_init(struct leat_options *ret_options);

/* Checks the options; connects to nobody yet. LEAT_INVALID, LEAT_NO_MEMORY. */
LEAT_MUST_CHECK enum leat_code leat_client_create(const struct leat_options *options, struct leat_client **ret_client,
                                                  struct leat_error *ret_error);
/* Closes the connections and frees everything. client may be NULL. */
void leat_client_destroy(struct leat_client *client);

/* ---- what the cluster looks like ---- */

struct leat_node {
    int32_t id, port;
    const char *host;
    const char *rack; /* NULL: none */
};

struct leat_partition {
    int32_t number;
    int32_t leader; /* node; -1: none, the partition is offline */
    int32_t leader_epoch;
    int16_t kafka_code; /* why it cannot be used, 0: it can */
    const int32_t *replicas, *isr, *offline;
    size_t replica_count, isr_count, offline_count;
};

struct leat_topic {
    const char *name;
    uint8_t id[16]; /* all zero: the broker gives none */
    bool internal;
    int16_t kafka_code; /* why it cannot be used (unknown, invalid name), 0: it can; then it has no partitions */
    const struct leat_partition *partitions; /* ascending by number */
    size_t partition_count;
};

struct leat_cluster {
    const char *id; /* NULL: the broker gives none */
    int32_t controller;
    const struct leat_node *nodes; /* ascending by id */
    size_t node_count;
    const struct leat_topic *topics; /* ascending by name */
    size_t topic_count;
};

/* Brokers and topics as any one broker sees them. topics NULL: all; topic_count 0: brokers only. A topic that does not
 * exist is in the result with its kafka_code. The result is the caller's: leat_cluster_free. */
LEAT_MUST_CHECK enum leat_code leat_cluster_get(struct leat_client *client, const char *const *topics,
                                                size_t topic_count, int64_t timeout_ms,
                                                struct leat_cluster **ret_cluster, struct leat_error *ret_error);
void leat_cluster_free(struct leat_cluster *cluster); /* may be NULL */

/* ---- records ---- */

struct leat_header {
    const char *name; /* name_len bytes, not NUL-terminated */
    const void *value;
    int32_t name_len;
    int32_t value_len; /* -1: null */
};

struct leat_record {
    const void *key, *value;
    int32_t key_len, value_len; /* -1: null */
    const struct leat_header *headers;
    size_t header_count;
    int64_t timestamp_ms; /* since 1970 UTC; to produce: -1 means now */
    int32_t partition;    /* to produce: -1 means by key, without a key any */
    /* read only */
    int64_t offset;
    int32_t leader_epoch;
    bool log_append_time; /* timestamp_ms is the broker's, not the producer's */
};

/* A record without key, value, headers, partition and time. */
void leat_record_init(struct leat_record *ret_record);

/* ---- producing ---- */

struct leat_producer;

enum leat_codec { LEAT_NONE, LEAT_GZIP, LEAT_SNAPPY, LEAT_LZ4, LEAT_ZSTD };
bool leat_codec_parse(const char *name, enum leat_codec *ret_codec); /* "none", "gzip", "snappy", "lz4", "zstd" */

struct leat_producer_options {
    const char *topic;
    enum leat_codec codec; /* default none */
    int acks;              /* -1: all in-sync replicas have it (default); 1: the leader; 0: nobody says */
    bool idempotent; /* default true, needs acks -1: a batch that is sent again is stored once. Without it a retry may
                      * store it twice */
    uint32_t batch_bytes;        /* a batch goes out when it is this long, uncompressed; default 512 KiB */
    uint64_t buffer_bytes;       /* what may wait in all batches together; default 64 MiB */
    int64_t delivery_timeout_ms; /* of a batch from its first sending, with all retries; default 120,000 */
    /* Called for each batch that was acknowledged, from within leat_produce or leat_producer_flush, in order per
     * partition. base_offset -1: not known (acks 0, or the broker had it already). May be NULL; must not call the
     * producer. */
    void (*delivered)(void *arg, int32_t partition, int64_t base_offset, uint32_t records);
    void *arg;
};

void leat_producer_options_init(struct leat_producer_options *ret_options);

/* Checks the options; sends nothing yet. LEAT_INVALID, LEAT_NO_MEMORY. */
LEAT_MUST_CHECK enum leat_code leat_producer_create(struct leat_client *client,
                                                    const struct leat_producer_options *options,
                                                    struct leat_producer **ret_producer, struct leat_error *ret_error);
/* Frees it. What was not acknowledged is lost: flush first. producer may be NULL. */
void leat_producer_destroy(struct leat_producer *producer);

/* Copies the record into the batch of its partition. Waits only when that batch is full and the one before it is not
 * acknowledged yet. LEAT_OK does not say that it was sent: leat_producer_flush does.
 *
 * LEAT_INVALID (this record: no such partition, lengths): nothing happened, go on with the next. LEAT_NOT_FOUND: there
 * is no such topic. LEAT_TIMED_OUT, LEAT_UNREACHABLE: this record was not taken, the same call may follow. Any other
 * code ends the producer: a batch was refused or is lost, everything behind it was not sent, and each later call gives
 * the same error; that keeps the order within a partition. leat_producer_counts says how far it came. */
LEAT_MUST_CHECK enum leat_code leat_produce(struct leat_producer *producer, const struct leat_record *record,
                                            int64_t timeout_ms, struct leat_error *ret_error);

/* Sends everything and waits until it is acknowledged. LEAT_TIMED_OUT, LEAT_UNREACHABLE: not all of it was; it goes on
 * with the next call. Other codes end the producer, as above. */
LEAT_MUST_CHECK enum leat_code leat_producer_flush(struct leat_producer *producer, int64_t timeout_ms,
                                                   struct leat_error *ret_error);

struct leat_producer_counts {
    uint64_t records, bytes;   /* taken by leat_produce: records, and bytes of their keys and values */
    uint64_t acked_records;    /* acknowledged by the broker (acks 0: sent) */
    uint64_t batches, retries; /* acknowledged; sent again */
};
void leat_producer_counts(const struct leat_producer *producer, struct leat_producer_counts *ret_counts);

/* ---- reading ---- */

struct leat_reader;

enum leat_place {
    LEAT_BEGINNING, /* the first record there is */
    LEAT_TAIL,      /* behind the last record there is now; `value` > 0: that many offsets before it */
    LEAT_AT_OFFSET, /* value: an offset */
    LEAT_AT_TIME,   /* value: ms since 1970; the first record with that time or a later one, else as LEAT_TAIL */
    LEAT_NO_END,    /* as an end only: never */
};

struct leat_position {
    enum leat_place place;
    int64_t value;
};

struct leat_reader_options {
    const char *topic;
    const int32_t *partitions; /* NULL: all that the topic has now */
    size_t partition_count;
    struct leat_position from; /* default LEAT_BEGINNING */
    struct leat_position to;   /* the end, this offset not included; default LEAT_NO_END. Fixed when reading begins */
    /* One offset for each of `partitions`, instead of `from` or `to`; NULL: those count */
    const int64_t *from_offsets, *to_offsets;
    int32_t fetch_bytes; /* asked for at once from a broker; default 8 MiB. A larger batch comes all the same */
    int32_t wait_ms;     /* how long a broker may wait for news; default 500 */
};

void leat_reader_options_init(struct leat_reader_options *ret_options);

/* Checks the options; asks nobody yet. LEAT_INVALID, LEAT_NO_MEMORY. */
LEAT_MUST_CHECK enum leat_code leat_reader_create(struct leat_client *client, const struct leat_reader_options *options,
                                                  struct leat_reader **ret_reader, struct leat_error *ret_error);
void leat_reader_destroy(struct leat_reader *reader); /* may be NULL */

/* The next record, in offset order within each partition, of transactions also those that were aborted. The first call
 * looks up where to begin. The record's bytes stand until the next call for this reader.
 *
 * timeout_ms 0 gives what is at hand without waiting: call so first where output should be flushed before a wait.
 *
 * LEAT_END: every partition was read up to its end. LEAT_TIMED_OUT: nothing came in time, call again. LEAT_UNREACHABLE:
 * a broker is away; nothing is lost, call again. LEAT_NOT_FOUND: no such topic or partition. LEAT_BROKER with code 1:
 * the offset is not in the log (any more); the text says what is. LEAT_DAMAGED: the text says which batch; the next
 * call goes on behind it. */
LEAT_MUST_CHECK enum leat_code leat_reader_next(struct leat_reader *reader, int64_t timeout_ms,
                                                struct leat_record *ret_record, struct leat_error *ret_error);

/* Offset of the next record of a partition that this reader has: where another reader would go on. -1: not known yet,
 * or not one of its partitions. */
int64_t leat_reader_position(const struct leat_reader *reader, int32_t partition);

/* Nothing more of this partition: it is at its end here. After leat_reader_next has given something. */
void leat_reader_finish(struct leat_reader *reader, int32_t partition);

/* ---- offsets ---- */

struct leat_offset {
    int32_t partition;
    int16_t kafka_code; /* why there is no answer, 0: there is one */
    int64_t offset;     /* LEAT_AT_TIME: -1 if no record is that young */
    int64_t timestamp_ms;
};

/* Where a position is now, for each of the partitions. LEAT_TAIL needs value 0; LEAT_AT_OFFSET and LEAT_NO_END are
 * LEAT_INVALID. ret_offsets has room for count, in the order of the partitions. */
LEAT_MUST_CHECK enum leat_code leat_offsets_get(struct leat_client *client, const char *topic,
                                                const int32_t *partitions, size_t count, struct leat_position position,
                                                int64_t timeout_ms, struct leat_offset *ret_offsets,
                                                struct leat_error *ret_error);

/* ---- topics ---- */

struct leat_setting {
    const char *name;
    const char *value; /* NULL: see where it is used */
};

struct leat_new_topic {
    const char *name;
    int32_t partitions;         /* -1: as the broker's num.partitions says */
    int16_t replication_factor; /* -1: as its default.replication.factor says */
    const struct leat_setting *settings;
    size_t setting_count;
};

/* The topic's calls below go to the controller. Their LEAT_TIMED_OUT means: done or not, nobody said; look before you
 * repeat. LEAT_BROKER carries the broker's own words. */

/* LEAT_OK: made; brokers hear of it a moment later (leat_topic_wait). Code 36: it exists. */
LEAT_MUST_CHECK enum leat_code leat_topic_create(struct leat_client *client, const struct leat_new_topic *topic,
                                                 int64_t timeout_ms, struct leat_error *ret_error);
/* Until any broker knows the topic with at least that many partitions, each with a leader. */
LEAT_MUST_CHECK enum leat_code leat_topic_wait(struct leat_client *client, const char *name, int32_t partitions,
                                               int64_t timeout_ms, struct leat_error *ret_error);
LEAT_MUST_CHECK enum leat_code leat_topic_delete(struct leat_client *client, const char *name, int64_t timeout_ms,
                                                 struct leat_error *ret_error);
/* Raises the number of partitions to `partitions`; it cannot fall. Keys may go to other partitions than before. */
LEAT_MUST_CHECK enum leat_code leat_topic_grow(struct leat_client *client, const char *name, int32_t partitions,
                                               int64_t timeout_ms, struct leat_error *ret_error);

/* ---- deleted topics: Leat only, LEAT_UNSUPPORTED elsewhere ---- */

struct leat_deleted_topic {
    const char *name;
    uint8_t id[16];
    int32_t partitions;
    int64_t deleted_ms, kept_until_ms; /* since 1970 UTC */
};

struct leat_deleted_topics {
    const struct leat_deleted_topic *topics; /* the newest first; one name may be there more than once */
    size_t count, total;                     /* total: there are so many; a broker tells 5,000 of them */
};

/* Topics that can be taken back. leat_deleted_topics_free. */
LEAT_MUST_CHECK enum leat_code leat_deleted_topics_get(struct leat_client *client, int64_t timeout_ms,
                                                       struct leat_deleted_topics **ret_topics,
                                                       struct leat_error *ret_error);
void leat_deleted_topics_free(struct leat_deleted_topics *topics); /* may be NULL */
/* A deleted topic is back with its records, id and settings: the newest one of that name, or (name NULL) the one with
 * that id. LEAT_NOT_FOUND: there is none, or not any more. Code 36: the name is taken. Never sent twice. */
LEAT_MUST_CHECK enum leat_code leat_topic_undelete(struct leat_client *client, const char *name, const uint8_t *id,
                                                   int64_t timeout_ms, struct leat_error *ret_error);

/* ---- settings of topics and brokers ---- */

enum leat_resource { LEAT_TOPIC = 2, LEAT_NODE = 4, LEAT_GROUP = 32 }; /* Kafka's numbers; a node's name: its id */

enum leat_source { /* where a value comes from; Kafka's numbers */
                   LEAT_SOURCE_UNKNOWN = 0,
                   LEAT_SOURCE_TOPIC = 1,        /* set for this topic */
                   LEAT_SOURCE_NODE_DYNAMIC = 2, /* set for this broker while it runs */
                   LEAT_SOURCE_CLUSTER_DYNAMIC = 3,
                   LEAT_SOURCE_NODE_FILE = 4, /* the broker's configuration */
                   LEAT_SOURCE_DEFAULT = 5,
                   LEAT_SOURCE_GROUP = 8, /* set for this group */
};

struct leat_value {
    const char *name;
    const char *value; /* NULL: none, or sensitive */
    enum leat_source source;
    bool read_only, sensitive;
};

struct leat_settings {
    const struct leat_value *values; /* ascending by name */
    size_t count;
};

/* All settings of one topic or broker. leat_settings_free. */
LEAT_MUST_CHECK enum leat_code leat_settings_get(struct leat_client *client, enum leat_resource resource,
                                                 const char *name, int64_t timeout_ms,
                                                 struct leat_settings **ret_settings, struct leat_error *ret_error);
void leat_settings_free(struct leat_settings *settings); /* may be NULL */
/* Sets those with a value, takes back to the default those with NULL; the others stay. All or nothing. */
LEAT_MUST_CHECK enum leat_code leat_settings_alter(struct leat_client *client, enum leat_resource resource,
                                                   const char *name, const struct leat_setting *changes, size_t count,
                                                   int64_t timeout_ms, struct leat_error *ret_error);

/* ---- log directories ---- */

struct leat_replica {
    const char *topic;
    int32_t partition;
    int64_t bytes; /* on disk */
    int64_t lag;   /* records behind the leader's end */
};

struct leat_log_dir {
    const char *path;
    int16_t kafka_code;                  /* 56: offline; 0: fine */
    int64_t total_bytes, usable_bytes;   /* of its file system; -1: the broker does not say */
    const struct leat_replica *replicas; /* ascending by topic, partition */
    size_t replica_count;
};

struct leat_log_dirs {
    const struct leat_log_dir *dirs;
    size_t count;
};

/* What one broker has on its disks. leat_log_dirs_free. */
LEAT_MUST_CHECK enum leat_code leat_log_dirs_get(struct leat_client *client, const struct leat_node *node,
                                                 int64_t timeout_ms, struct leat_log_dirs **ret_dirs,
                                                 struct leat_error *ret_error);
void leat_log_dirs_free(struct leat_log_dirs *dirs); /* may be NULL */

/* ---- consumer groups ---- */

struct leat_group {
    const char *name;
    const char *type;     /* "classic", "consumer", "share"; "" if the broker is too old to say */
    const char *protocol; /* "consumer"; "" for a group that only has offsets */
    const char *state;    /* "Stable", "Empty"; "" if the broker is too old to say */
    int32_t coordinator;  /* node */
};

struct leat_groups {
    const struct leat_group *groups; /* ascending by name */
    size_t count;
    const int32_t *silent; /* brokers that did not answer: the groups they coordinate are missing */
    size_t silent_count;
};

/* Every group that any broker of the cluster coordinates. Fails only if no broker answers. leat_groups_free. */
LEAT_MUST_CHECK enum leat_code leat_groups_get(struct leat_client *client, int64_t timeout_ms,
                                               struct leat_groups **ret_groups, struct leat_error *ret_error);
void leat_groups_free(struct leat_groups *groups); /* may be NULL */

struct leat_assigned {
    const char *topic;
    int32_t partition;
};

struct leat_member {
    const char *id;
    const char *instance_id; /* NULL: not static */
    const char *client_id, *host;
    const struct leat_assigned *assigned; /* ascending by topic, partition */
    size_t assigned_count;
};

struct leat_group_state {
    struct leat_group group; /* type "classic" or "consumer" */
    const char *assignor;    /* "range"; "" if there is none yet */
    int32_t epoch;           /* of a group that the broker assigns, -1: it does not */
    const struct leat_member *members;
    size_t member_count;
};

/* State and members of one group. LEAT_NOT_FOUND: there is no such group. leat_group_state_free. */
LEAT_MUST_CHECK enum leat_code leat_group_get(struct leat_client *client, const char *name, int64_t timeout_ms,
                                              struct leat_group_state **ret_state, struct leat_error *ret_error);
void leat_group_state_free(struct leat_group_state *state); /* may be NULL */

struct leat_committed {
    const char *topic;
    int32_t partition;
    int64_t offset;       /* of the record that the group reads next */
    const char *metadata; /* NULL: none */
};

struct leat_committeds {
    const struct leat_committed *all; /* ascending by topic, partition */
    size_t count;
};

/* How far a group has read: empty for one that nobody knows. leat_committed_free. */
LEAT_MUST_CHECK enum leat_code leat_committed_get(struct leat_client *client, const char *group, int64_t timeout_ms,
                                                  struct leat_committeds **ret_committeds,
                                                  struct leat_error *ret_error);
void leat_committed_free(struct leat_committeds *committeds); /* may be NULL */
/* Sets where a group goes on, for a group without members; the broker refuses others (code 25). Offsets of one topic
 * stand together. When some are refused the others may be set; the error names the first. Never sent twice. */
LEAT_MUST_CHECK enum leat_code leat_committed_set(struct leat_client *client, const char *group,
                                                  const struct leat_committed *offsets, size_t count,
                                                  int64_t timeout_ms, struct leat_error *ret_error);
/* Deletes a group with its offsets. Code 68: it has members. Never sent twice. */
LEAT_MUST_CHECK enum leat_code leat_group_delete(struct leat_client *client, const char *name, int64_t timeout_ms,
                                                 struct leat_error *ret_error);

#ifdef __cplusplus
}
#endif

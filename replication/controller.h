// SPDX-License-Identifier: Apache-2.0
/* The controller's rules as pure functions: an image and a wish in, records and an answer out. No I/O, no clock; random
 * numbers come from the caller's generator. Error codes and sentences are Apache Kafka's.
 *
 * How the broker uses them: queue the requests; take one; call the rule; submit the records as one batch; answer when
 * it has been applied; take the next (metalog.h says why one at a time; several wishes may share a batch by sharing the
 * record list, as long as no two touch the same topic). With validate_only the rules say the same and leave the list as
 * it is.
 *
 * Answers: rule_error.code 0 is success. A wish that fails leaves nothing in the list. `text` is empty on success.
 * Functions return NO_MEMORY when the arena ends (nothing of the call is in the list then), else OK. */
#pragma once
#include "base/prng.h"
#include "replication/image.h"

#define TOPIC_PARTITIONS_PER_CALL 10000u /* Kafka: MAX_PARTITIONS_PER_BATCH */
#define PRODUCER_ID_BLOCK         1000   /* Kafka's block size */

enum rule_code { /* Kafka's error codes that these rules answer */
                 RULE_OK = 0,
                 RULE_UNKNOWN_TOPIC_OR_PARTITION = 3,
                 RULE_INVALID_TOPIC = 17,
                 RULE_TOPIC_ALREADY_EXISTS = 36,
                 RULE_INVALID_PARTITIONS = 37,
                 RULE_INVALID_REPLICATION_FACTOR = 38,
                 RULE_INVALID_REPLICA_ASSIGNMENT = 39,
                 RULE_INVALID_CONFIG = 40,
                 RULE_INVALID_REQUEST = 42,
                 RULE_POLICY_VIOLATION = 44,
                 RULE_STALE_BROKER_EPOCH = 77,
                 RULE_UNKNOWN_TOPIC_ID = 100,
                 RULE_DUPLICATE_BROKER_REGISTRATION = 101,
                 RULE_BROKER_ID_NOT_REGISTERED = 102,
};

struct rule_error {
    int16_t code; /* enum rule_code */
    char text[512];
};

/* What settings mean is the broker's to know. */
struct config_rules {
    /* False with a sentence: no such setting of that resource, or the value does not fit. */
    bool (*check)(const struct config_rules *r, enum config_resource type, struct str key, struct str value,
                  char ret_text[256]);
    /* A comma-separated list: may be appended to and subtracted from. */
    bool (*is_list)(const struct config_rules *r, enum config_resource type, struct str key);
    /* The value that holds where a resource has none of its own (null: none); borrowed. */
    struct str (*default_value)(const struct config_rules *r, enum config_resource type, struct str key);
};

struct controller {
    const struct image *image;
    const struct config_rules *rules;
    struct prng *random;
    int32_t default_partitions;
    int16_t default_replication_factor;
    int64_t now_ms;      /* wall clock */
    int64_t undelete_ms; /* so long a deleted topic can be restored; 0: never */
};

/* --- topics: controller_topics.c --- */

/* As Kafka; NULL: valid, else the sentence "Topic name is invalid: ..." in ret_text. */
bool topic_name_check(struct str name, char ret_text[256]);

struct replica_assignment {
    int32_t partition;
    struct ids brokers;
};
struct config_entry {
    struct str key, value; /* value null: not supported in a creation */
};

struct topic_wish {
    struct str name;
    int32_t partitions;         /* -1: the default; with assignments -1 */
    int16_t replication_factor; /* -1: the default; with assignments -1 */
    const struct replica_assignment *assignments;
    const struct config_entry *configs;
    uint32_t assignment_count, config_count;
};
struct topic_answer {
    struct rule_error error;
    struct uuid id; /* and what was chosen, on success; with validate_only too, but then of no topic */
    int32_t partitions;
    int16_t replication_factor;
};
/* One answer for each wish. The whole call is refused (every answer POLICY_VIOLATION) above TOPIC_PARTITIONS_PER_CALL.
 */
enum status controller_create_topics(const struct controller *c, const struct topic_wish *wishes, uint32_t count,
                                     bool validate_only, struct record_list *records,
                                     struct topic_answer *ret_answers) MUST_CHECK;

struct topic_ref { /* by name, or, with a null name, by id */
    struct str name;
    struct uuid id;
};
/* With undelete_ms it is kept as deleted. On success *ret_topic is the topic that goes. One that goes by this list
 * already is unknown. */
enum status controller_delete_topic(const struct controller *c, const struct topic_ref *t, struct record_list *records,
                                    struct rule_error *ret_error, const struct image_topic **ret_topic) MUST_CHECK;

/* A deleted topic comes back: the newest of that name, or the one of that id. UNKNOWN_TOPIC_OR_PARTITION: none, or it
 * was deleted too long ago; TOPIC_ALREADY_EXISTS, INVALID_TOPIC: another has its name, or collides. *ret_topic is as it
 * was (until the records are applied). */
enum status controller_restore_topic(const struct controller *c, const struct topic_ref *t, struct record_list *records,
                                     struct rule_error *ret_error, const struct image_topic **ret_topic) MUST_CHECK;
/* Deleted topics that cannot be restored any more are forgotten: by time, and the oldest ones of more than
 * DELETED_TOPICS_MAX, or with more than DELETED_PARTITIONS_MAX partitions in all. */
#define DELETED_TOPICS_MAX     4096u
#define DELETED_PARTITIONS_MAX 20000u
enum status controller_forget_topics(const struct controller *c, struct record_list *records) MUST_CHECK;

struct partitions_wish {
    struct str topic;
    int32_t count;                 /* of partitions in all, afterwards */
    const struct ids *assignments; /* one for each new partition, or none */
    uint32_t assignment_count;
};
enum status controller_create_partitions(const struct controller *c, const struct partitions_wish *w,
                                         bool validate_only, struct record_list *records,
                                         struct rule_error *ret_error) MUST_CHECK;

/* --- settings: controller_configs.c --- */

enum config_op { CONFIG_SET = 0, CONFIG_DELETE = 1, CONFIG_APPEND = 2, CONFIG_SUBTRACT = 3 }; /* Kafka's numbers */

struct config_change {
    struct str key, value;
    int8_t op; /* enum config_op, as it came from the wire */
};
/* Incremental: the named keys only. */
enum status controller_alter_configs(const struct controller *c, enum config_resource type, struct str name,
                                     const struct config_change *changes, uint32_t count, bool validate_only,
                                     struct record_list *records, struct rule_error *ret_error) MUST_CHECK;
/* The older request: what is not named goes back to its default. */
enum status controller_replace_configs(const struct controller *c, enum config_resource type, struct str name,
                                       const struct config_entry *entries, uint32_t count, bool validate_only,
                                       struct record_list *records, struct rule_error *ret_error) MUST_CHECK;

/* --- brokers: controller_brokers.c --- */

/* A start of a broker: a new epoch, above every one given out, and in the same batch the leader epochs of all it leads
 * (rule D6). The epoch in `b` is not looked at. DUPLICATE_BROKER_REGISTRATION: another incarnation of that id is not
 * fenced and `replace` is false (the controller has heard of it lately). */
enum status controller_register_broker(const struct controller *c, const struct record_register_broker *b, bool replace,
                                       struct record_list *records, struct rule_error *ret_error,
                                       int64_t *ret_epoch) MUST_CHECK;
/* STALE_BROKER_EPOCH; BROKER_ID_NOT_REGISTERED. No record if it is so already. */
enum status controller_fence_broker(const struct controller *c, int32_t id, int64_t epoch, bool fenced,
                                    struct record_list *records, struct rule_error *ret_error) MUST_CHECK;
/* A block of PRODUCER_ID_BLOCK ids. */
enum status controller_producer_ids(const struct controller *c, int32_t broker, int64_t epoch,
                                    struct record_list *records, struct rule_error *ret_error,
                                    int64_t *ret_first) MUST_CHECK;

/* --- placement: placement.c --- */

/* Replicas of `partitions` partitions, `replicas` each, over the registered brokers, fenced ones last and never first:
 * round robin from a random start, racks in turn where every broker has one. ret_ids has partitions * replicas places.
 */
bool placement_choose(const struct image_brokers *b, struct prng *random, uint32_t partitions, uint32_t replicas,
                      int32_t *ret_ids, char ret_text[256]);

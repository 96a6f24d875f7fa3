// SPDX-License-Identifier: Apache-2.0
/* The APIs: one file each, each a flow whose task is request->task and which ends by request_answer (or _nothing,
 * request_refuse). The stage that reads the body is stage 0. */
#pragma once
#include "broker/request.h"
#include "replication/image.h"

enum api_key {
    API_PRODUCE = 0,
    API_FETCH = 1,
    API_LIST_OFFSETS = 2,
    API_METADATA = 3,
    API_OFFSET_COMMIT = 8,
    API_OFFSET_FETCH = 9,
    API_FIND_COORDINATOR = 10,
    API_JOIN_GROUP = 11,
    API_HEARTBEAT = 12,
    API_LEAVE_GROUP = 13,
    API_SYNC_GROUP = 14,
    API_DESCRIBE_GROUPS = 15,
    API_LIST_GROUPS = 16,
    API_SASL_HANDSHAKE = 17,
    API_API_VERSIONS = 18,
    API_CREATE_TOPICS = 19,
    API_DELETE_TOPICS = 20,
    API_DELETE_RECORDS = 21,
    API_INIT_PRODUCER_ID = 22,
    API_OFFSET_FOR_LEADER_EPOCH = 23,
    API_DESCRIBE_ACLS = 29,
    API_CREATE_ACLS = 30,
    API_DELETE_ACLS = 31,
    API_DESCRIBE_CONFIGS = 32,
    API_ALTER_CONFIGS = 33,
    API_DESCRIBE_LOG_DIRS = 35,
    API_SASL_AUTHENTICATE = 36,
    API_CREATE_PARTITIONS = 37,
    API_CREATE_DELEGATION_TOKEN = 38,
    API_RENEW_DELEGATION_TOKEN = 39,
    API_EXPIRE_DELEGATION_TOKEN = 40,
    API_DESCRIBE_DELEGATION_TOKEN = 41,
    API_DELETE_GROUPS = 42,
    API_ELECT_LEADERS = 43,
    API_INCREMENTAL_ALTER_CONFIGS = 44,
    API_ALTER_PARTITION_REASSIGNMENTS = 45,
    API_LIST_PARTITION_REASSIGNMENTS = 46,
    API_OFFSET_DELETE = 47,
    API_DESCRIBE_QUORUM = 55,
    API_DESCRIBE_CLUSTER = 60,
    API_DESCRIBE_TRANSACTIONS = 65,
    API_LIST_TRANSACTIONS = 66,
    API_CONSUMER_GROUP_HEARTBEAT = 68,
    API_CONSUMER_GROUP_DESCRIBE = 69,
    API_LIST_CONFIG_RESOURCES = 74,
    API_DESCRIBE_TOPIC_PARTITIONS = 75,
    /* Leat's own: API_KEY_LEAT and above */
    API_LEAT_UNDELETE_TOPICS = 10000,
    API_LEAT_LIST_DELETED_TOPICS = 10001,
    API_LEAT_LIST_QUARANTINE = 10002,
};

/* Kafka error codes that no status stands for. */
enum kafka_error {
    KAFKA_UNKNOWN_SERVER_ERROR = -1,
    KAFKA_NONE = 0,
    KAFKA_UNKNOWN_TOPIC_OR_PARTITION = 3,
    KAFKA_LEADER_NOT_AVAILABLE = 5,
    KAFKA_OFFSET_METADATA_TOO_LARGE = 12,
    KAFKA_COORDINATOR_LOAD_IN_PROGRESS = 14,
    KAFKA_COORDINATOR_NOT_AVAILABLE = 15,
    KAFKA_NOT_COORDINATOR = 16,
    KAFKA_ILLEGAL_GENERATION = 22,
    KAFKA_INCONSISTENT_GROUP_PROTOCOL = 23,
    KAFKA_INVALID_GROUP_ID = 24,
    KAFKA_UNKNOWN_MEMBER_ID = 25,
    KAFKA_INVALID_SESSION_TIMEOUT = 26,
    KAFKA_REBALANCE_IN_PROGRESS = 27,
    KAFKA_UNSUPPORTED_VERSION = 35,
    KAFKA_NOT_CONTROLLER = 41,
    KAFKA_INVALID_REQUEST = 42,
    KAFKA_POLICY_VIOLATION = 44,
    KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED = 53,
    KAFKA_NON_EMPTY_GROUP = 68,
    KAFKA_GROUP_ID_NOT_FOUND = 69,
    KAFKA_MEMBER_ID_REQUIRED = 79,
    KAFKA_GROUP_MAX_SIZE_REACHED = 81,
    KAFKA_FENCED_INSTANCE_ID = 82,
    KAFKA_GROUP_SUBSCRIBED_TO_TOPIC = 86,
    KAFKA_UNKNOWN_TOPIC_ID = 100,
    KAFKA_FENCED_MEMBER_EPOCH = 110,
    KAFKA_UNRELEASED_INSTANCE_ID = 111,
    KAFKA_UNSUPPORTED_ASSIGNOR = 112,
    KAFKA_STALE_MEMBER_EPOCH = 113,
    KAFKA_INVALID_REGULAR_EXPRESSION = 128,
    KAFKA_REBOOTSTRAP_REQUIRED = 129,
};

extern const struct flow produce_flow, fetch_flow, list_offsets_flow, metadata_flow, find_coordinator_flow,
    api_versions_flow, init_producer_id_flow, create_topics_flow, delete_topics_flow, delete_records_flow,
    offset_for_leader_epoch_flow, describe_configs_flow, alter_configs_flow, describe_log_dirs_flow,
    create_partitions_flow, incremental_alter_configs_flow, describe_cluster_flow, describe_topic_partitions_flow,
    group_single_flow, describe_groups_flow, consumer_group_describe_flow, delete_groups_flow, offset_fetch_flow,
    list_groups_flow, sasl_handshake_flow, describe_acls_flow, create_acls_flow, delete_acls_flow,
    sasl_authenticate_flow, create_delegation_token_flow, renew_delegation_token_flow, expire_delegation_token_flow,
    describe_delegation_token_flow, elect_leaders_flow, alter_partition_reassignments_flow,
    list_partition_reassignments_flow, describe_quorum_flow, describe_transactions_flow, list_transactions_flow,
    list_config_resources_flow, undelete_topics_flow, list_deleted_topics_flow, list_quarantine_flow;

void fetch_hurry(struct request *r);
void group_api_hurry(struct request *r);

/* By name, or by id where the version has ids. UNKNOWN_PARTITION, UNKNOWN_TOPIC_ID. The topic is valid until the stage
 * function returns: another publication may come between two of them. */
MUST_CHECK enum status api_partition(const struct shard *s, bool by_id, struct str name, struct uuid id, int32_t number,
                                     const struct image_topic **ret_topic);
/* The leader epoch that a client believes in (-1: none) against ours. */
enum status api_epoch_check(const struct image_topic *t, int32_t number, int32_t epoch);
/* __consumer_offsets, __transaction_state, __share_group_state: made by the broker alone. */
bool api_topic_is_internal(struct str name);
/* What a client may do where nobody forbids anything: bits of Kafka's AclOperation. */
#define API_TOPIC_OPERATIONS   3576 /* read write create delete alter describe describe_configs alter_configs */
#define API_CLUSTER_OPERATIONS 8096 /* create alter describe cluster_action both configs idempotent_write */
/* For each name: does it stand in the list more than once? NULL: no memory. */
const bool *api_duplicates(struct request *r, const struct str *names, uint32_t count);
/* Refuses the request for lack of memory; returns STAGE_DONE. */
int api_no_memory(struct request *r);
/* Decodes the body into a message of the arena. NULL: the request was refused. */
void *api_decode(struct request *r, size_t size);

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
    API_FIND_COORDINATOR = 10,
    API_API_VERSIONS = 18,
    API_CREATE_TOPICS = 19,
    API_DELETE_TOPICS = 20,
    API_DELETE_RECORDS = 21,
    API_INIT_PRODUCER_ID = 22,
    API_OFFSET_FOR_LEADER_EPOCH = 23,
    API_DESCRIBE_CONFIGS = 32,
    API_ALTER_CONFIGS = 33,
    API_DESCRIBE_LOG_DIRS = 35,
    API_CREATE_PARTITIONS = 37,
    API_INCREMENTAL_ALTER_CONFIGS = 44,
    API_DESCRIBE_CLUSTER = 60,
    API_DESCRIBE_TOPIC_PARTITIONS = 75,
};

/* Kafka error codes that no status stands for. */
enum kafka_error {
    KAFKA_NONE = 0,
    KAFKA_LEADER_NOT_AVAILABLE = 5,
    KAFKA_COORDINATOR_NOT_AVAILABLE = 15,
    KAFKA_UNSUPPORTED_VERSION = 35,
    KAFKA_NOT_CONTROLLER = 41,
    KAFKA_INVALID_REQUEST = 42,
    KAFKA_POLICY_VIOLATION = 44,
    KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED = 53,
    KAFKA_REBOOTSTRAP_REQUIRED = 129,
};

extern const struct flow produce_flow, fetch_flow, list_offsets_flow, metadata_flow, find_coordinator_flow,
    api_versions_flow, init_producer_id_flow, create_topics_flow, delete_topics_flow, delete_records_flow,
    offset_for_leader_epoch_flow, describe_configs_flow, alter_configs_flow, describe_log_dirs_flow,
    create_partitions_flow, incremental_alter_configs_flow, describe_cluster_flow, describe_topic_partitions_flow;

void fetch_hurry(struct request *r);

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

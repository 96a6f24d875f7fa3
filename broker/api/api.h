// SPDX-License-Identifier: Apache-2.0
/* The APIs: one file each, each a flow whose task is request->task and which ends by request_answer (or _nothing,
 * request_refuse). The stage that reads the body is stage 0. */
#pragma once
#include "broker/request.h"
#include "broker/topics.h"

enum api_key {
    API_PRODUCE = 0,
    API_FETCH = 1,
    API_LIST_OFFSETS = 2,
    API_METADATA = 3,
    API_FIND_COORDINATOR = 10,
    API_API_VERSIONS = 18,
    API_INIT_PRODUCER_ID = 22,
};

/* Kafka error codes that no status stands for. */
enum kafka_error {
    KAFKA_NONE = 0,
    KAFKA_COORDINATOR_NOT_AVAILABLE = 15,
    KAFKA_UNSUPPORTED_VERSION = 35,
    KAFKA_INVALID_REQUEST = 42,
    KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED = 53,
    KAFKA_FETCH_SESSION_ID_NOT_FOUND = 70,
    KAFKA_REBOOTSTRAP_REQUIRED = 129,
};

extern const struct flow produce_flow, fetch_flow, list_offsets_flow, metadata_flow, find_coordinator_flow,
    api_versions_flow, init_producer_id_flow;

void fetch_hurry(struct request *r);

/* By name, or by id where the version has ids. UNKNOWN_PARTITION, UNKNOWN_TOPIC_ID. */
MUST_CHECK enum status api_partition(const struct shard *s, bool by_id, struct str name, struct uuid id, int32_t number,
                                     const struct topic **ret_topic);
/* The leader epoch that a client believes in (-1: none) against ours. */
enum status api_epoch_check(const struct shard *s, uint32_t slot, int32_t epoch);
/* Decodes the body into a message of the arena. NULL: the request was refused. */
void *api_decode(struct request *r, size_t size);

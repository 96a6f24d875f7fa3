// SPDX-License-Identifier: Apache-2.0
/* Dispatch (dispatch.h): header -> row of the table. Failure modes, all as Apache Kafka: an unknown key or an
 * unsupported version closes the connection, but ApiVersions is answered in any version (rows B6): that is how a newer
 * client finds out. */
#include "broker/dispatch.h"
#include "broker/api/api.h"

const struct api served_apis[] = {
    {API_PRODUCE, true, &produce_flow, NULL},
    {API_FETCH, false, &fetch_flow, fetch_hurry},
    {API_LIST_OFFSETS, false, &list_offsets_flow, NULL},
    {API_METADATA, false, &metadata_flow, NULL},
    {API_OFFSET_COMMIT, false, &group_single_flow, group_api_hurry},
    {API_OFFSET_FETCH, false, &offset_fetch_flow, group_api_hurry},
    {API_FIND_COORDINATOR, false, &find_coordinator_flow, NULL},
    {API_JOIN_GROUP, false, &group_single_flow, group_api_hurry},
    {API_HEARTBEAT, false, &group_single_flow, group_api_hurry},
    {API_LEAVE_GROUP, false, &group_single_flow, group_api_hurry},
    {API_SYNC_GROUP, false, &group_single_flow, group_api_hurry},
    {API_DESCRIBE_GROUPS, false, &describe_groups_flow, group_api_hurry},
    {API_LIST_GROUPS, false, &list_groups_flow, group_api_hurry},
    {API_SASL_HANDSHAKE, false, &sasl_handshake_flow, NULL},
    {API_API_VERSIONS, false, &api_versions_flow, NULL},
    {API_CREATE_TOPICS, false, &create_topics_flow, NULL},
    {API_DELETE_TOPICS, false, &delete_topics_flow, NULL},
    {API_DELETE_RECORDS, false, &delete_records_flow, NULL},
    {API_INIT_PRODUCER_ID, false, &init_producer_id_flow, NULL},
    {API_OFFSET_FOR_LEADER_EPOCH, false, &offset_for_leader_epoch_flow, NULL},
    {API_DESCRIBE_ACLS, false, &describe_acls_flow, NULL},
    {API_CREATE_ACLS, false, &create_acls_flow, NULL},
    {API_DELETE_ACLS, false, &delete_acls_flow, NULL},
    {API_DESCRIBE_CONFIGS, false, &describe_configs_flow, NULL},
    {API_ALTER_CONFIGS, false, &alter_configs_flow, NULL},
    {API_DESCRIBE_LOG_DIRS, false, &describe_log_dirs_flow, NULL},
    {API_SASL_AUTHENTICATE, false, &sasl_authenticate_flow, NULL},
    {API_CREATE_PARTITIONS, false, &create_partitions_flow, NULL},
    {API_CREATE_DELEGATION_TOKEN, false, &create_delegation_token_flow, NULL},
    {API_RENEW_DELEGATION_TOKEN, false, &renew_delegation_token_flow, NULL},
    {API_EXPIRE_DELEGATION_TOKEN, false, &expire_delegation_token_flow, NULL},
    {API_DESCRIBE_DELEGATION_TOKEN, false, &describe_delegation_token_flow, NULL},
    {API_DELETE_GROUPS, false, &delete_groups_flow, group_api_hurry},
    {API_ELECT_LEADERS, false, &elect_leaders_flow, NULL},
    {API_INCREMENTAL_ALTER_CONFIGS, false, &incremental_alter_configs_flow, NULL},
    {API_ALTER_PARTITION_REASSIGNMENTS, false, &alter_partition_reassignments_flow, NULL},
    {API_LIST_PARTITION_REASSIGNMENTS, false, &list_partition_reassignments_flow, NULL},
    {API_OFFSET_DELETE, false, &group_single_flow, group_api_hurry},
    {API_DESCRIBE_QUORUM, false, &describe_quorum_flow, NULL},
    {API_DESCRIBE_CLUSTER, false, &describe_cluster_flow, NULL},
    {API_DESCRIBE_TRANSACTIONS, false, &describe_transactions_flow, NULL},
    {API_LIST_TRANSACTIONS, false, &list_transactions_flow, NULL},
    {API_CONSUMER_GROUP_HEARTBEAT, false, &group_single_flow, group_api_hurry},
    {API_CONSUMER_GROUP_DESCRIBE, false, &consumer_group_describe_flow, group_api_hurry},
    {API_LIST_CONFIG_RESOURCES, false, &list_config_resources_flow, NULL},
    {API_DESCRIBE_TOPIC_PARTITIONS, false, &describe_topic_partitions_flow, NULL},
    {API_LEAT_UNDELETE_TOPICS, false, &undelete_topics_flow, NULL},
    {API_LEAT_LIST_DELETED_TOPICS, false, &list_deleted_topics_flow, NULL},
    {API_LEAT_LIST_QUARANTINE, false, &list_quarantine_flow, NULL},
};
const uint32_t served_api_count = sizeof served_apis / sizeof served_apis[0];

static const struct api *find(int16_t key)
{
    for (uint32_t i = 0; i < served_api_count; i++)
        if (served_apis[i].key == key) return &served_apis[i];
    return NULL;
}

bool dispatch(struct request *r, const char **ret_why)
{
    *ret_why = "malformed request header";
    if (request_header_decode(&r->body, &r->header) != STATUS_OK) return false;
    *ret_why = "unknown api key";
    r->api = find(r->header.api_key);
    if (r->api == NULL || r->header.api == NULL) return false;
    *ret_why = "unsupported api version";
    return r->header.enabled || r->header.api_key == API_API_VERSIONS;
}

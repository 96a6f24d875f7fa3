// SPDX-License-Identifier: Apache-2.0
/* Settings of groups, of the whole broker (Kafka's names and defaults), filled by config.c. */
#pragma once
#include <stdint.h>

enum group_migration { MIGRATION_DISABLED, MIGRATION_UPGRADE, MIGRATION_DOWNGRADE, MIGRATION_BIDIRECTIONAL };

struct group_settings {
    /* classic */
    int32_t session_min_ms, session_max_ms; /* group.min.session.timeout.ms 6000, group.max... 1800000 */
    int32_t first_delay_ms;                 /* group.initial.rebalance.delay.ms 3000 */
    int32_t size_max;                       /* group.max.size 2147483647 */
    /* consumer (KIP-848) */
    int32_t consumer_session_ms, consumer_session_min_ms, consumer_session_max_ms;       /* 45000, 45000, 60000 */
    int32_t consumer_heartbeat_ms, consumer_heartbeat_min_ms, consumer_heartbeat_max_ms; /* 5000, 5000, 15000 */
    int32_t consumer_assignment_ms;    /* group.consumer.assignment.interval.ms 1000: least time between assignments */
    int32_t consumer_regex_refresh_ms; /* group.consumer.regex.refresh.interval.ms 600000 */
    int32_t consumer_size_max;         /* group.consumer.max.size 2147483647 */
    enum group_migration migration;    /* group.consumer.migration.policy bidirectional */
    /* offsets */
    int32_t metadata_max_bytes; /* offset.metadata.max.bytes 4096 */
    int64_t retention_ms;       /* offsets.retention.minutes 10080 */
    int64_t check_ms;           /* offsets.retention.check.interval.ms 600000 */
    int32_t partitions;         /* offsets.topic.num.partitions 50 */
    int32_t segment_bytes;      /* offsets.topic.segment.bytes 104857600 */
    int16_t replication_factor; /* offsets.topic.replication.factor 3; at most as many as there are brokers */
};

// SPDX-License-Identifier: Apache-2.0
/* The broker's settings: the table of keys and the struct that the rest of the broker reads. Filled once by main,
 * constant afterwards, read by all shards. */
#pragma once
#include "base/config.h"
#include "broker/group/settings.h"
#include "broker/topic_config.h"

#define LISTENERS_MAX 1

struct broker_config {
    int32_t node_id;
    char host[64];              /* numeric address to listen at */
    uint16_t port;              /* 0: any free one */
    char http_host[64];         /* numeric address of the HTTP listener; empty: none */
    uint16_t http_port;         /* 0: any free one */
    char advertised_host[256];  /* what Metadata says */
    uint16_t advertised_port;   /* 0: the one listened at */
    char rack[256];             /* "": none */
    char log_dir[256];          /* the one log directory */
    uint32_t shards;            /* 0: one per core */
    uint32_t batch_max_bytes;   /* the largest max.message.bytes that a topic may have: sizes the journal */
    uint32_t request_max_bytes; /* of one frame */
    uint32_t connections_max;   /* of the process */
    uint32_t fetch_max_bytes, fetch_sessions_max;
    int64_t clean_check_ms; /* compaction; the next two: of all shards */
    uint64_t clean_map_bytes, clean_bytes_per_s;
    uint64_t segment_bytes, journal_bytes, memory_bytes, cache_bytes, reserve_bytes; /* 0: chosen at start */
    int64_t roll_ms, stall_ms, idle_ms, undelete_ms;
    int32_t default_partitions;
    int16_t default_replication_factor;
    struct group_settings groups;
    bool metrics_topics; /* metrics per topic and partition */
    bool auto_create_topics;
    /* What the file says about topic settings; texts borrowed from the configuration and from the two buffers. */
    struct topic_config_values topic_values;
    char retention_text[24], roll_text[24];
};

/* The table for config_create. */
extern const struct config_key broker_keys[];
extern const size_t broker_key_count;
const struct config_key *broker_key_find(struct str name); /* NULL: none */

/* host_name: of the machine, advertised where no address is given. INVALID with a sentence. The result borrows from c
 * and points into itself: it must not be copied. */
MUST_CHECK enum status broker_config_read(const struct config *c, const char *host_name,
                                          struct broker_config *ret_config, char ret_error[512]);

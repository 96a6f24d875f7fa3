// SPDX-License-Identifier: Apache-2.0
/* The broker's settings: the table of keys and the struct that the rest of the broker reads. Filled once by main,
 * constant afterwards, read by all shards. */
#pragma once
#include "base/config.h"
#include "broker/topics.h"

#define LISTENERS_MAX 1

struct broker_config {
    int32_t node_id;
    char host[64];              /* numeric address to listen at */
    uint16_t port;              /* 0: any free one */
    char advertised_host[256];  /* what Metadata says */
    uint16_t advertised_port;   /* 0: the one listened at */
    char log_dir[256];          /* the one log directory */
    uint32_t shards;            /* 0: one per core */
    uint32_t message_max_bytes; /* of one record batch */
    uint32_t request_max_bytes; /* of one frame */
    uint32_t connections_max;   /* of the process */
    uint32_t fetch_max_bytes;
    uint64_t segment_bytes, journal_bytes, memory_bytes, cache_bytes, reserve_bytes; /* 0: chosen at start */
    int64_t roll_ms, stall_ms, idle_ms;
    int64_t before_max_ms, after_max_ms;
    bool append_time; /* LogAppendTime */
    struct topics topics;
};

/* The table for config_create. */
extern const struct config_key broker_keys[];
extern const size_t broker_key_count;

/* host_name: of the machine, advertised where no address is given. INVALID with a sentence; NO_MEMORY. */
MUST_CHECK enum status broker_config_read(const struct config *c, const char *host_name, struct mem *m,
                                          struct broker_config *ret_config, char ret_error[512]);
void broker_config_deinit(struct broker_config *b);

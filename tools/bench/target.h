// SPDX-License-Identifier: Apache-2.0
/* What the run talks to: brokers, topics, partitions with leaders and offsets, producer ids. Found before the run,
 * constant during it. Topics are made when they are missing and the broker serves CreateTopics. May wait. */
#pragma once
#include "tools/bench/ask.h"
#include "tools/bench/client_options.h"

struct target_broker {
    int32_t node;
    char address[80]; /* numeric */
};

struct target_producer {
    int64_t id; /* -1: not idempotent */
    int16_t epoch;
};

struct target {
    int16_t versions[ASK_API_KEYS];
    struct target_broker *brokers;
    uint32_t broker_count;
    char (*topics)[256];
    uint32_t topic_count, partitions_each;
    /* by partition, counted over all topics: topic * partitions_each + its number */
    uint32_t partition_count;
    uint32_t *leaders; /* index of brokers */
    int64_t *begins, *ends;
    struct target_producer *producers; /* by connection */
};

/* False: error says why in one sentence. target_free in any case. */
bool target_find(struct target *t, const struct client_options *o, char error[ASK_ERROR]);
/* For each of `count` connections a producer id, where the options want one. */
bool target_producers(struct target *t, const struct client_options *o, uint32_t count, char error[ASK_ERROR]);
/* Deletes the topics. */
bool target_delete(const struct target *t, const struct client_options *o, char error[ASK_ERROR]);
void target_free(struct target *t);

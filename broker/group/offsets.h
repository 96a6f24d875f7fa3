// SPDX-License-Identifier: Apache-2.0
/* Committed offsets of a group: commit, fetch, delete, expiry (Kafka's OffsetMetadataManager). Steps of groups.h. */
#pragma once
#include "broker/group/groups.h"

struct offset { /* of one partition */
    struct hash_node by_partition;
    struct list_node in_all;
    struct str topic, metadata; /* own copies */
    struct uuid topic_id;       /* zero: not known */
    int32_t partition, leader_epoch;
    int64_t offset, commit_ms, expire_ms; /* expire_ms: of commits before version 5 of the request; -1: none */
};

void offsets_init(struct groups *gs, struct group *g);
void offsets_deinit(struct groups *gs, struct group *g);
uint32_t offsets_count(const struct group *g);
const struct offset *offsets_find(const struct group *g, struct str topic, int32_t partition); /* NULL: none */

void offsets_commit(struct groups *gs, struct group_call *c); /* OffsetCommit */
void offsets_fetch(struct groups *gs, struct group_call *c);  /* OffsetFetch, one group */
void offsets_delete(struct groups *gs, struct group_call *c); /* OffsetDelete */
void offsets_apply(struct groups *gs, struct group *g, const void *key, const void *value);

/* Tombstones for all of them; of one topic; of those past their retention. */
void offsets_put_gone(struct groups *gs, struct group *g);
void offsets_topic_gone(struct groups *gs, struct group *g, struct str topic);
void offsets_expire(struct groups *gs, struct group *g);

// SPDX-License-Identifier: Apache-2.0
/* Groups on a shard: each partition of __consumer_offsets that falls to it has a host, which runs the machine of its
 * groups (groups.h) on a coordinator (coordinator.h). A request goes to the host of its group as a part (part.h):
 *
 *   home    group_send -> part to the shard of the group's partition
 *   owner   groups_call -> answered at once or later -> what it put is durable -> part home
 *   home    the API makes its response of it; the memory of the answer goes back to the owner with group_release
 *
 * Errors, in call.error: COORDINATOR_NOT_AVAILABLE (no __consumer_offsets yet, no memory, a failed append),
 * COORDINATOR_LOAD_IN_PROGRESS, NOT_COORDINATOR; all retriable. */
#pragma once
#include "broker/coordinator/coordinator.h"
#include "broker/group/groups.h"
#include "broker/part.h"
#include "broker/request.h"

#define GROUP_TOPIC "__consumer_offsets"

struct group_host {
    struct coordinator coordinator;
    struct group_sink sink;
    struct groups groups;
    struct shard *shard;
    struct list_node in_shard;
    struct timer expiry;
};

struct group_part { /* in the request's arena */
    struct part part;
    struct group_call call;
    struct coordinator_waiter waiter;
    struct msg cancel;
    struct arena arena; /* of the answer; the owner's memory */
    struct request *request;
    struct group_host *host; /* while the call is there */
    struct topic_id topic;
    int32_t number; /* of the partition */
    bool sent, canceling;
};

/* Life: with the lane of the partition. */
void group_host_open(struct shard *s, struct lane *l);  /* no memory: logged; the partition has no host */
void group_host_close(struct shard *s, struct lane *l); /* nothing if it has none */
/* The topics of this shard have changed (after it): consumer groups see to it; old, new: of one change. */
void group_hosts_topic(struct shard *s, const struct image_topic *old, const struct image_topic *new);

/* The partition that a group falls to, as Kafka's clients' tools compute it: Java's String.hashCode over UTF-16, its
 * absolute value modulo the number of partitions. */
int32_t group_partition(struct str group_id, int32_t partitions);

/* Fills part, topic, number and sends; call and request were set. request->parts_out goes up; request_part_back comes,
 * maybe before this returns. */
void group_send(struct request *r, struct group_part *p);
/* To one partition, whatever groups it has (ListGroups). */
void group_send_to(struct request *r, struct group_part *p, const struct image_topic *t, int32_t number);
/* The client goes, or the broker stops: a call that waits comes back with an error. */
void group_cancel(struct group_part *p);
/* After the response was encoded; instead of request_released, which comes when all have been. */
void group_release(struct request *r, struct group_part *parts, uint32_t count);

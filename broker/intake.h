// SPDX-License-Identifier: Apache-2.0
/* A shard takes in publications of metadata (metadata.h): its own index of topics, settings, brokers, features; and the
 * partitions that fall to it: made, given their settings and their new leader epoch, deleted. One publication at a
 * time; shard_taken_in answers when all of it but deletions is done.
 *
 * Deletions go on behind the answer, a few at a time. A topic of that name is not made again before the last of them
 * has ended, on whatever shard (burials.h). A topic that was deleted and restored takes its partitions back out of the
 * trash. */
#pragma once
#include "broker/lane.h"
#include "broker/metadata.h"

#define INTAKE_WORKS     64u /* partitions being made or changed at a time */
#define INTAKE_DELETIONS 8u

struct partition_work { /* one partition at a time */
    struct intake *intake;
    const struct image_topic *topic;
    int32_t number;
    bool fresh; /* settings and epoch are new to the partition */
    struct partition_create create;
    struct partition_revive revive;
    struct partition_change epoch;
    struct timer again;
};

struct deletion_work {
    struct intake *intake;
    struct grave *grave; /* NULL: free */
    struct partition_delete op;
};

struct intake {
    struct shard *shard;
    const struct publication *p; /* NULL: none under way */
    uint32_t change;             /* next to look at */
    int32_t number;
    uint32_t running;
    bool stopping, impatient;
    struct timer patience; /* of the first publication */
    struct list notes;     /* of the topics that the publication takes away (burials.h) */
    struct list graves;    /* partitions that are to go, oldest first */
    struct partition_work works[INTAKE_WORKS];
    struct deletion_work deletions[INTAKE_DELETIONS];
};

/* NULL: no memory. */
struct intake *intake_create(struct shard *s);
/* No publication comes any more; no deletion is begun. */
void intake_stop(struct intake *i);
/* After the store has closed, which ends the deletions under way. */
void intake_destroy(struct intake *i);

void shard_take_in(struct shard *s, const struct publication *p);

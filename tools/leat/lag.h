// SPDX-License-Identifier: Apache-2.0
/* How far a consumer group is behind: in records, in time, in bytes. */
#pragma once
#include "tools/leat/session.h"

struct lag_row { /* one partition; -1: not known */
    const char *topic;
    int32_t partition;
    int64_t committed, first, end;    /* offsets */
    int64_t records;                  /* that are there and not read */
    int64_t gone;                     /* records that were deleted before the group has read them */
    int64_t age_ms;                   /* of the oldest record that is not read; 0 if there is none */
    int64_t bytes;                    /* estimate: the share of the partition's bytes on disk */
    const struct leat_member *member; /* that reads it; NULL: nobody */
};

struct lag {
    struct leat_group_state *state; /* NULL: the broker knows only its offsets */
    struct leat_committeds *committed;
    struct lag_row *rows; /* ascending by topic, partition */
    size_t count;
    int64_t records, gone, age_ms, bytes; /* sums, the largest age, of what is known */
};

struct lag_disk { /* a partition's bytes on the disk of one broker */
    const char *topic;
    int32_t partition;
    int64_t bytes;
};

struct lag_disks { /* of the whole cluster, asked once */
    struct leat_log_dirs **dirs;
    size_t dir_count;
    struct lag_disk *all; /* ascending by topic, partition */
    size_t count;
};

/* Brokers that do not tell are told on standard error, and missing. False: an error was written. */
bool lag_disks_find(struct session *s, struct lag_disks *ret_disks, int *ret_code);
void lag_disks_free(struct lag_disks *d);
/* disks NULL: bytes are not asked for. False: an error was written. lag_free. */
bool lag_find(struct session *s, const char *group, const struct lag_disks *disks, struct lag *ret_lag, int *ret_code);
void lag_free(struct lag *l);

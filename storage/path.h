// SPDX-License-Identifier: Apache-2.0
/* Paths as fixed-size strings, so that an operation can own the path that its I/O borrows. */
#pragma once
#include "storage/types.h"

#define PATH_BYTES     768
#define LOG_DIR_MAX    400 /* longest log directory: leaves room for the names below it */
#define NAME_BYTES_MAX 256

struct path {
    char s[PATH_BYTES];
};

/* printf into a path; CHECKs that it fits (names are bounded where they come in). */
void path_set(struct path *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Kafka's rule for topic names: 1 to 249 of [a-zA-Z0-9._-], not "." or "..". */
bool topic_name_valid(const char *name);

/* Name of a partition's directory: topic-number, or, where that is longer than a file name may be, its first part and
 * the topic id in hex. */
void partition_dir_name(char out[NAME_BYTES_MAX], const char *topic, struct topic_id id, int32_t number);

// SPDX-License-Identifier: Apache-2.0
/* ListOffsets: positions of partitions as numbers. */
#pragma once
#include "clients/c/metadata.h"

/* Kafka's special timestamps */
#define OFFSET_LATEST   (-1)
#define OFFSET_EARLIEST (-2)

/* timestamp_ms for each partition (numbers below topic_view_partitions), asked at its leader; repeated until the
 * deadline where a leader is missing or has moved. What stays refused is in kafka_code of its ret_offsets. */
enum leat_code MUST_CHECK offsets_fetch(struct topic_view *v, const int32_t *partitions, size_t count,
                                        int64_t timestamp_ms, int64_t deadline, struct leat_offset *ret_offsets,
                                        struct leat_error *e);
/* A position of each partition as an offset; INT64_MAX for LEAT_NO_END. A refusal is an error here. After a failure
 * ret_offsets is of no use. */
enum leat_code MUST_CHECK offsets_resolve(struct topic_view *v, const int32_t *partitions, size_t count,
                                          struct leat_position position, int64_t deadline, int64_t *ret_offsets,
                                          struct leat_error *e);
/* The same of one. */
enum leat_code MUST_CHECK offset_resolve(struct topic_view *v, int32_t partition, struct leat_position position,
                                         int64_t deadline, int64_t *ret_offset, struct leat_error *e);

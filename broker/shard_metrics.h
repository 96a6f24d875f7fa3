// SPDX-License-Identifier: Apache-2.0
/* What a shard counts, and the copy of it that shard 0 prints (scrape.h). docs/operations/metrics.md lists the names.
 */
#pragma once
#include "base/metrics.h"

struct shard;
struct request;

struct api_counters {
    struct metric_counter *requests, *errors;
    struct histogram *seconds; /* from the last byte received to the last one sent */
};

struct shard_counters {
    struct metric_counter *accepted, *refused, *bytes_in, *bytes_out, *batches, *batch_bytes, *fetch_bytes,
        *protocol_errors, *append_retries;
    struct metric_gauge *connections;
    struct api_counters *apis; /* one per row of served_apis (dispatch.h) */
};

/* Registers everything. False: no memory. */
bool shard_metrics_init(struct shard *s);
void shard_metrics_deinit(struct shard *s);

/* A request was sent whole, or needed no response. */
void shard_count_request(const struct request *r);
void shard_count_errors(const struct request *r, uint32_t codes);

/* Fills and seals s->samples: this shard's values of now. NO_MEMORY. */
enum status shard_metrics_sample(struct shard *s) MUST_CHECK;

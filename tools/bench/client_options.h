// SPDX-License-Identifier: Apache-2.0
/* What the user asked `leat-bench produce`, `consume` or `e2e` for. */
#pragma once
#include "protocol/codec.h"
#include "tools/bench/record.h"

#define BENCH_PIDS_MAX        8
#define BENCH_CONFIGS_MAX     16
#define BENCH_CONNECTIONS_MAX 10000u
#define BENCH_FLIGHT_MAX      (2ull << 30) /* bytes in flight over all connections */

enum bench_mode { BENCH_PRODUCE, BENCH_CONSUME, BENCH_E2E };

struct client_options {
    enum bench_mode mode;
    const char *bootstrap; /* host:port[,host:port...] */
    const char *topic;
    uint32_t topics;     /* 1: topic; more: topic-0, topic-1 ... */
    uint32_t partitions; /* of each topic; 0: as many as it has */
    int32_t replication; /* of a topic that we make; -1: the broker's default */
    const char *configs[BENCH_CONFIGS_MAX];
    uint32_t config_count;
    bool delete_topics; /* afterwards */
    /* load */
    double rate; /* records per second; 0: closed loop */
    uint32_t connections, outstanding, readers, threads;
    uint32_t size_bytes, batch_records, request_batches, keys;
    enum codec codec;
    enum payload payload;
    int16_t acks; /* -1: all */
    bool idempotent;
    double seconds, warmup_seconds;
    uint64_t count; /* records; 0: by time */
    /* reading */
    bool follow, verify;
    uint64_t run;    /* id of the records to read; 0: of the first one that is ours; writing: drawn when 0 */
    uint64_t expect; /* records that must be read; 0: not said */
    uint32_t fetch_bytes;
    int32_t fetch_wait_ms;
    /* around */
    double timeout_seconds;
    int64_t pids[BENCH_PIDS_MAX];
    uint32_t pid_count;
    const char *probe_dir;
    bool probe;
    const char *json;
};

static inline bool client_writes(const struct client_options *o)
{
    return o->mode != BENCH_CONSUME;
}

static inline bool client_reads(const struct client_options *o)
{
    return o->mode != BENCH_PRODUCE;
}

const char *bench_mode_name(enum bench_mode m);
/* argv[0] is the mode. False: a sentence was written to standard error, or the help to standard output; exit with
 * *ret_code. */
bool client_options_parse(int argc, char **argv, struct client_options *ret_options, int *ret_code);

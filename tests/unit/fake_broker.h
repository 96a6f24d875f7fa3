// SPDX-License-Identifier: Apache-2.0
/* A cluster of three brokers in memory, behind fake_socket.h: enough of Kafka's rules to judge a client (leaders,
 * sequences of idempotent producers, offsets), and a list of faults that it plays. Ports 9092 to 9094 are nodes 0 to 2.
 */
#pragma once
#include "clients/c/client.h"
#include "tests/unit/fake_socket.h"

#define FAKE_NODES      3
#define FAKE_PARTITIONS 4
#define FAKE_PORT       9092
#define FAKE_BATCHES    4096

enum fake_fault {
    FAULT_NONE,
    FAULT_CLOSE,    /* the request is not done, the connection ends */
    FAULT_LOSE,     /* it is done, the connection ends before the answer */
    FAULT_SILENT,   /* it is done, no answer ever comes */
    FAULT_CUT,      /* it is done, half an answer comes, then the end */
    FAULT_CODE,     /* it is not done, `code` is the answer of each partition */
    FAULT_MOVE,     /* leaders move to the next node; then as usual */
    FAULT_OTHER_ID, /* the answer has another correlation id */
    FAULT_GARBAGE,  /* the answer's body is noise */
};

struct fake_rule { /* the n-th request of an API, counted from 1, meets a fault; n 0: each one */
    int16_t key;
    uint32_t nth;
    enum fake_fault fault;
    int16_t code;
};

struct fake_batch {
    uint8_t *bytes;
    uint32_t size;
    int64_t base, next, producer_id;
    int32_t first_sequence, last_sequence;
};

struct fake_partition {
    int32_t leader, epoch;
    int64_t log_start, end;
    struct fake_batch batches[FAKE_BATCHES];
    uint32_t batch_count;
};

struct fake_group { /* fake_groups.c */
    const char *name;
    int32_t node, members;
    bool assigned_by_broker;            /* a group of KIP-848 */
    int64_t committed[FAKE_PARTITIONS]; /* -1: nothing */
};

struct fake_broker {
    struct fake_partition partitions[FAKE_PARTITIONS];
    struct fake_rule rules[16];
    uint32_t rule_count;
    uint32_t requests[API_KEYS + API_OWN];   /* of each key so far, at fake_slot */
    bool down[FAKE_NODES];                   /* connections are refused */
    bool idempotent_needed;                  /* batches without a producer id are refused */
    bool old;                                /* knows ApiVersions 0 only */
    int16_t version_cap[API_KEYS + API_OWN]; /* at fake_slot: advertised at most; 0 left alone; -1 not served */
    struct fake_group groups[4];             /* free: name NULL */
    uint32_t loading;                        /* so many questions to a coordinator are answered with "still loading" */
    uint32_t undeleted;                      /* topics that were taken back */
    int16_t partition_error;                 /* of each partition that OffsetFetch tells */
    int64_t next_producer_id;
    uint32_t duplicates; /* batches that came again and were known */
    char last_error[200];
};

/* One topic, "t", partition i led by node i % 3. Resets the network and takes it over. */
void fake_broker_init(struct fake_broker *b);
void fake_broker_deinit(struct fake_broker *b);
void fake_broker_rule(struct fake_broker *b, int16_t key, uint32_t nth, enum fake_fault fault, int16_t code);
/* Kafka's key itself, or the place of one of Leat's own. */
int fake_slot(int16_t key);
/* As a producer would: a batch into the log. */
void fake_broker_put(struct fake_broker *b, int32_t partition, const void *bytes, size_t size);

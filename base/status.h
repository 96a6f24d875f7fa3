// SPDX-License-Identifier: Apache-2.0
/* What the outside world can answer: one table of name, text, Kafka error code and whether a client may retry.
 *
 * A function that can fail because of the world (disk, peer, quota, input) returns enum status, must be checked, and
 * leaves its outputs (last, named ret_x) untouched on failure. Our own bugs are CHECKs (check.h), never a status.
 * Kafka codes: Apache Kafka's protocol guide, table of error codes; -1 is UNKNOWN_SERVER_ERROR. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

/* X(name, text, kafka error code, retriable) */
#define STATUS_TABLE(X)                                                                                                \
    X(OK, "ok", 0, false)                                                                                              \
    /* the disk */                                                                                                     \
    X(IO_ERROR, "a disk operation failed", 56, true)                                                                   \
    X(NO_SPACE, "no space left on the disk", 56, true)                                                                 \
    X(READ_ONLY, "the file system is read-only", 56, true)                                                             \
    X(NOT_FOUND, "no such file or directory", 56, false)                                                               \
    X(EXISTS, "the file exists already", 56, false)                                                                    \
    X(PERMISSION, "permission denied", 56, false)                                                                      \
    X(LOCKED, "another process holds the lock", 56, true)                                                              \
    X(TOO_MANY_FILES, "too many open files", 56, true)                                                                 \
    X(NO_MEMORY, "out of memory", 56, true)                                                                            \
    X(FENCED, "the disk is fenced after an I/O error", 56, true)                                                       \
    X(DAMAGED, "stored bytes fail their checksum", 56, false)                                                          \
    X(FORMAT, "unknown or foreign on-disk format", 56, false)                                                          \
    X(UNSUPPORTED, "not supported here", 35, false)                                                                    \
    /* the network */                                                                                                  \
    X(CLOSED, "the connection is closed", 13, true)                                                                    \
    X(REFUSED, "the connection was refused", 13, true)                                                                 \
    X(ADDRESS_IN_USE, "the address is in use", -1, false)                                                              \
    X(CANCELED, "canceled", 7, true)                                                                                   \
    X(TIMED_OUT, "timed out", 7, true)                                                                                 \
    X(BUSY, "out of a reserved resource", 7, true)                                                                     \
    /* requests */                                                                                                     \
    X(INVALID, "invalid argument", 42, false)                                                                          \
    X(TRUNCATED_INPUT, "the input ends too early", 42, false)                                                          \
    X(OFFSET_OUT_OF_RANGE, "offset out of range", 1, false)                                                            \
    X(CORRUPT_BATCH, "corrupt record batch", 2, true)                                                                  \
    X(UNKNOWN_PARTITION, "unknown topic or partition", 3, true)                                                        \
    X(NOT_LEADER, "not the leader of this partition", 6, true)                                                         \
    X(BATCH_TOO_LARGE, "record batch too large", 10, false)                                                            \
    X(INVALID_TOPIC, "invalid topic name", 17, false)                                                                  \
    X(INVALID_ACKS, "invalid required acks", 21, false)                                                                \
    X(INVALID_TIMESTAMP, "timestamp out of range", 32, false)                                                          \
    X(UNSUPPORTED_VERSION, "unsupported version", 35, false)                                                           \
    X(UNSUPPORTED_FORMAT, "message format not supported", 43, false)                                                   \
    X(SEQUENCE_GAP, "out of order sequence number", 45, false)                                                         \
    X(SEQUENCE_DUPLICATE, "duplicate sequence number", 46, false)                                                      \
    X(PRODUCER_FENCED, "producer epoch is older than the current one", 47, false)                                      \
    X(UNKNOWN_PRODUCER, "unknown producer id", 59, false)                                                              \
    X(FETCH_SESSION_NOT_FOUND, "fetch session not found", 70, true)                                                    \
    X(FETCH_SESSION_EPOCH, "fetch session epoch out of order", 71, true)                                               \
    X(FETCH_SESSION_TOPIC_ID, "fetch session mixes topic names and ids", 106, true)                                    \
    X(EPOCH_FENCED, "leader epoch is older than the current one", 74, true)                                            \
    X(EPOCH_UNKNOWN, "leader epoch is newer than the current one", 75, true)                                           \
    X(UNSUPPORTED_CODEC, "unsupported compression type", 76, false)                                                    \
    X(INVALID_RECORD, "invalid record", 87, false)                                                                     \
    X(UNKNOWN_TOPIC_ID, "unknown topic id", 100, true)

enum status {
#define X(name, text, code, retriable) STATUS_##name,
    STATUS_TABLE(X)
#undef X
        STATUS_COUNT
};

#define MUST_CHECK __attribute__((warn_unused_result))

const char *status_name(enum status s); /* "NO_SPACE" */
const char *status_text(enum status s); /* "no space left on the disk" */
int16_t status_kafka_code(enum status s);
bool status_retriable(enum status s);

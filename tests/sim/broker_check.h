// SPDX-License-Identifier: Apache-2.0
/* What clients were promised, as arrays, and the checks of every answer against it:
 *   - an offset has one record for ever, and a record of a stream one offset; its bytes are those that were sent
 *   - an acknowledged record is where the answer said; a record that was refused for good is nowhere
 *   - in a partition the records of a stream stand in the order sent; under idempotence without a gap
 *   - a new record comes behind every high watermark that was seen before it was sent
 *   - high watermark and log start never go back; the log start passes only what somebody asked to delete
 *   - a topic whose creation was answered is there with its id, partitions and settings until its deletion is asked
 * for, and gone once that is answered, until it is undeleted: then all of it is there again
 *
 * A stream is what one producer sends to one partition in one of its lives; records say stream and number, and the
 * bytes follow from these two, so any record can be checked by whoever reads it. */
#pragma once
#include "protocol/batch_record.h"
#include "protocol/uuid.h"
#include "tests/sim/broker_world.h"

#define CHECK_TOPICS_MAX 96
#define CHECK_PARTS_MAX  6
#define RECORD_BYTES_MAX 6000u
#define RECORD_TIME_MS   1700000000000
#define CHECK_CONFIGS    3

enum topic_fate {
    TOPIC_ASKED, /* creation sent, not answered */
    TOPIC_THERE,
    TOPIC_LEAVING, /* deletion sent, not answered */
    TOPIC_GONE,
};

struct check_slot {
    uint32_t stream, n; /* stream 0: not seen yet */
};

struct check_partition {
    struct check_topic *topic;
    int32_t number;
    struct check_slot *slots;          /* by offset */
    int64_t count, room;               /* count: one above the highest offset seen */
    int64_t high_watermark, log_start; /* the highest that was answered */
    int64_t deletable;                 /* the highest offset that a DeleteRecords asked for */
};

struct check_topic {
    char name[24];
    struct uuid id;
    enum topic_fate fate;
    bool returned; /* was gone and is back: an answer from the time between may still come */
    bool unsure;   /* a request by its name was given up: it may still be on its way, so the name is not used again */
    int32_t partitions, partitions_asked;
    int64_t configs[CHECK_CONFIGS], configs_asked[CHECK_CONFIGS]; /* check_config_names; -1: not set */
    struct check_partition parts[CHECK_PARTS_MAX];
};

struct check_stream {
    struct check_partition *partition;
    bool idempotent;
    uint32_t sent, room;
    int64_t *offsets; /* by number; -1: not known */
    uint8_t *fates;   /* enum record_fate */
    int64_t walked;   /* of the last walk: its newest number, -1 */
};

struct broker_check {
    struct broker_world *world;
    struct check_topic *topics[CHECK_TOPICS_MAX];
    uint32_t topic_count;
    struct check_stream *streams; /* from 1 */
    uint32_t stream_count, stream_room;
    uint8_t *scratch;
};

extern const char *const check_config_names[CHECK_CONFIGS];

void check_init(struct broker_check *c, struct broker_world *w);
void check_deinit(struct broker_check *c);

/* ---- topics ---- */
struct check_topic *check_topic_new(struct broker_check *c, const char *name, int32_t partitions);
struct check_topic *check_topic_by_id(struct broker_check *c, struct uuid id);
/* A topic with that fate by chance; NULL: none. */
struct check_topic *check_topic_any(struct broker_check *c, enum topic_fate fate);
/* An answer says that the topic does not exist. May it? */
void check_topic_missing(struct broker_check *c, const struct check_topic *t, const char *who);

/* ---- records ---- */
uint32_t check_stream_new(struct broker_check *c, struct check_partition *p, bool idempotent);
uint32_t check_send(struct broker_check *c, uint32_t stream, uint32_t count); /* the first number */
/* The batch of these records; the builder owns the bytes. */
void check_batch(struct broker_check *c, uint32_t stream, uint32_t n, uint32_t count, struct batch_builder *b,
                 const uint8_t **ret_data, size_t *ret_size);
/* sent_after: the high watermark known before the batch was first sent. */
void check_acked(struct broker_check *c, uint32_t stream, uint32_t n, uint32_t count, int64_t base, int64_t sent_after);
void check_refused(struct broker_check *c, uint32_t stream, uint32_t n, uint32_t count);
void check_read(struct broker_check *c, struct check_partition *p, const struct batch_record *r);

/* ---- offsets: asked_hw, asked_start: what was known when the request was sent ---- */
void check_offsets(struct broker_check *c, struct check_partition *p, int64_t high_watermark, int64_t log_start,
                   int64_t asked_hw, int64_t asked_start);
void check_log_start(struct broker_check *c, struct check_partition *p, int64_t log_start, int64_t asked_start);
/* Everything from log_start to end has just been read. */
void check_whole(struct broker_check *c, struct check_partition *p, int64_t log_start, int64_t end);

// SPDX-License-Identifier: Apache-2.0
/* A simulated machine that runs stores, and blocking calls on them for stories: each call runs the world until its op
 * is answered. Records carry their own identity, so that a log can be compared with an array: value =
 * "partition:n:...". */
#pragma once
#include "base/sim/sim.h"
#include "protocol/codec.h"
#include "storage/disk.h"
#include "storage/store.h"

#define WORLD_SHARDS_MAX 8

struct store_world;
struct world_open {
    struct store_open op;
    struct store_world *world;
};

struct store_world {
    struct sim *sim;
    struct sim_machine *machine;
    struct store_config config;
    struct disk disk;
    uint32_t shards;
    struct world_open open[WORLD_SHARDS_MAX];
    struct store *stores[WORLD_SHARDS_MAX];
    uint32_t opened; /* shards that answered */
    struct log *log; /* of shard 0, when LEAT_SIM_LOG-like output is wanted */
};

void world_init(struct store_world *w, uint64_t seed, const struct sim_machine_config *machine);
void world_deinit(struct store_world *w);
/* Boots and opens; the first shard's status that is not OK, or OK. */
enum status world_boot(struct store_world *w, uint32_t shards);
/* The same in two steps, for starts that are cut off: begin, then events until world_opened. */
void world_boot_begin(struct store_world *w, uint32_t shards);
bool world_opened(void *world); /* every shard has answered; for sim_run_while_not */
enum status world_open_status(const struct store_world *w, const char **ret_error); /* of those that have answered */
enum status world_stop(struct store_world *w); /* clean stop of every store, then the process ends */
void world_crash(struct store_world *w, enum sim_kill how);

struct partition *world_create(struct store_world *w, const char *topic, int32_t number);
/* With an id of its own: a topic may come again under its name. */
struct partition *world_create_as(struct store_world *w, const char *topic, struct topic_id id, int32_t number);
struct partition *world_find(struct store_world *w, const char *topic, int32_t number); /* NULL: none */
struct store *world_store(struct store_world *w, const char *topic, int32_t number);    /* whose it is */
struct topic_id world_topic_id(const char *topic);

/* One batch of `records` records of value_bytes each, made from (topic number, first record number). Returns its bytes.
 */
struct world_batch {
    bool has_producer;
    int64_t producer_id;
    int32_t sequence, records;
    int16_t epoch;
    uint32_t value_bytes;
    uint64_t tag;      /* goes into the values */
    int64_t time_ms;   /* of the first record; 0: WORLD_TIME_MS */
    int64_t time_step; /* from record to record */
    enum codec codec;
    bool keyed; /* record i has the key "k<key + i>"; else none has one */
    uint64_t key;
    bool tombstones; /* null values */
};
#define WORLD_TIME_MS 1700000000000
uint32_t world_batch_make(const struct world_batch *b, uint8_t *out, uint32_t capacity);

/* Blocking. */
enum status world_append(struct store_world *w, struct partition *p, const struct world_batch *b, int64_t *ret_offset);
enum status world_read(struct store_world *w, struct partition *p, int64_t offset, uint32_t max_bytes,
                       struct partition_read *ret_read); /* release it */
enum status world_epoch(struct store_world *w, struct partition *p, int32_t epoch);
enum status world_truncate(struct store_world *w, struct partition *p, int64_t offset);
enum status world_log_start(struct store_world *w, struct partition *p, int64_t offset);
enum status world_lookup(struct store_world *w, struct partition *p, int64_t time_ms,
                         struct partition_lookup *ret_lookup);
/* A checkpoint of that shard, now. */
enum status world_checkpoint_of(struct store_world *w, uint32_t shard);
enum status world_checkpoint(struct store_world *w); /* of shard 0 */
enum status world_delete(struct store_world *w, struct partition *p);
/* Runs the world for so long. */
void world_pass(struct store_world *w, int64_t ns);

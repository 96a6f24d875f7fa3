// SPDX-License-Identifier: Apache-2.0
/* What a partition log must be, as an array of batches: the judge of the storage engine. It knows nothing of files and
 * flushes, only what was accepted, what was acknowledged, what was cut. All functions are pure; those that judge return
 * NULL or a sentence (static storage, until the next call) that says what is wrong. */
#pragma once
#include "protocol/batch.h"
#include "storage/store.h"

struct model_batch {
    uint64_t id; /* of the append, unique in a run */
    int64_t base, producer_id;
    uint32_t len, crc; /* of the bytes behind the leader epoch: what the log must not change */
    int32_t records, first_sequence, epoch;
    int64_t time_ms, time_step; /* of the first record; from record to record */
    int16_t producer_epoch;
    bool acked;
    uint64_t key; /* of the first record; the next one has the next */
    bool tombstones;
};

struct model_log {
    struct model_batch *batches; /* all that were accepted and not cut, those below the log start too */
    uint32_t count, capacity;
    int64_t log_end;
    int64_t high_watermark_seen, log_start_seen; /* what the engine showed: a crash may not take it back */
    int64_t log_start_accepted;
    int32_t epoch_accepted, epoch_acked;
    int64_t cut;     /* a truncation to here is on its way; NO_OFFSET: none */
    bool compacted;  /* records with keys may go: model_may_go */
    bool replicated; /* the watermark is held: what is above may be cut although it was acknowledged */
};

void model_init(struct model_log *l, bool replicated);
void model_deinit(struct model_log *l);

/* What the engine must answer to that batch now; *ret_base: the original's offset of a duplicate. */
enum status model_expect(const struct model_log *l, const struct batch_info *b, int64_t *ret_base);
void model_accept(struct model_log *l, uint64_t id, const struct batch_info *b, const uint8_t *bytes);
void model_times(struct model_log *l, int64_t time_ms, int64_t time_step); /* of the batch accepted last */
void model_keys(struct model_log *l, uint64_t key, bool tombstones);       /* likewise */
/* NULL, or the first acknowledgement came out of order, ... */
const char *model_ack(struct model_log *l, uint64_t id);
void model_cut(struct model_log *l, int64_t offset); /* to the batch boundary at or below */

/* A start after a crash: the log ends at log_end now. */
const char *model_restart(struct model_log *l, int64_t log_start, int64_t log_end, int32_t epoch);
/* One batch as it was read: the one that the model has there? *ret_next: the offset behind it. */
const char *model_compare(const struct model_log *l, const uint8_t *at, uint32_t left, int64_t *ret_next,
                          uint32_t *ret_len);
/* The same of a compacted log: the batch may have lost records that may go, below that watermark. */
const char *model_compare_thinned(const struct model_log *l, const uint8_t *at, uint32_t left, int64_t high_watermark,
                                  int64_t *ret_next, uint32_t *ret_len);
/* NULL if every record of [from, to) may be gone: a tombstone, or one that a later record of its key below the
 * watermark has replaced. */
const char *model_gap(const struct model_log *l, int64_t from, int64_t to, int64_t high_watermark);
/* seen: by key, the last offset that was found in the log, -1: none. NULL if of each key the last record from log_start
 * on was found, or it is a tombstone and nothing older was. */
#define MODEL_KEYS 24u
const char *model_newest(const struct model_log *l, int64_t log_start, const int64_t seen[MODEL_KEYS]);
/* NULL if `offset` (-1: none) with that time and epoch is an answer to a lookup in a compacted log. */
const char *model_looked(const struct model_log *l, int64_t ms, int64_t from, int64_t to, int64_t high_watermark,
                         int64_t offset, int64_t found_ms, int32_t epoch);
/* Where that epoch's records end; NO_OFFSET: it has none that are left. */
int64_t model_epoch_end(const struct model_log *l, int32_t epoch);
/* ListOffsets among the records of [from, to): the first with time >= ms, or, for ms -3, the first with the largest.
 * -1: none. */
int64_t model_lookup(const struct model_log *l, int64_t ms, int64_t from, int64_t to, int64_t *ret_ms,
                     int32_t *ret_epoch);
const char *model_wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));

// SPDX-License-Identifier: Apache-2.0
/* Store: the partition logs of one shard in one log directory, with their shared journal, mover and checkpoints.
 *
 * Promise: an append whose op completes with STATUS_OK is on disk (flushed) and readable, and stays so, byte for byte
 * and at its offset, whatever crashes. Appends of one partition complete in offset order. After a failed write or flush
 * the disk is fenced: nothing is acknowledged any more, every op ends with STATUS_FENCED.
 *
 * Everything waits by an op struct that the caller owns; op->done is called once, from the loop, never inside the call.
 * One store = one shard x one log directory; single-threaded like all of a shard. */
#pragma once
#include "base/env.h"
#include "base/buf.h"
#include "storage/types.h"
#include "storage/waiter.h"

struct log;
struct store;
struct partition;
/* What the layer above keeps with a partition: embedded in its own struct there, found by container_of. */
struct partition_user {
    char unused; /* a C struct has a member */
};
struct disk; /* what all shards share of one log directory: the fence word (disk.h) */

struct store_config {
    const char *dir;              /* the log directory */
    uint64_t journal_bytes;       /* of this shard's ring when fully grown; default 1 GiB / shards */
    uint64_t journal_first_bytes; /* size at first start; grows in the background; default 64 MiB */
    uint64_t cache_bytes;         /* unmoved bytes and tail cache together */
    uint32_t batch_bytes_max;     /* largest record batch accepted (Kafka's max.message.bytes), default 1 MiB + 12 */
    uint64_t reserve_bytes;       /* below this much free disk space appends are refused; default 1 GiB or 5 % */
    uint64_t segment_bytes;       /* of partitions that have no settings yet, default 1 GiB */
    int64_t segment_ms;           /* likewise, default 7 days */
    int64_t stall_ms;             /* a write or flush older than this fences the disk (leat.disk.stall.ms) */
    int64_t checkpoint_ms;        /* at least one checkpoint in this time while there are appends; default 30 s */
    struct log *log;              /* of the shard; NULL: silent */
    uint32_t group_bytes;         /* a journal group is closed at this length; default 4 MiB */
    uint32_t piece_bytes;         /* what the mover waits for while the ring allows it; default 128 KiB */
    uint32_t files_max;           /* open segment files kept (LRU); default 0: half of the shard's descriptors */
    int64_t undelete_ms;          /* how long a deleted partition lies in the trash; default 1 h (leat.undelete.ms) */
    int64_t producer_expire_ms; /* idle idempotent producers are forgotten; default 1 day (producer.id.expiration.ms) */
    int64_t clean_check_ms;     /* ... for compaction (log.cleaner.backoff.ms); default 15 s */
    uint64_t clean_map_bytes;   /* most memory of its key map (log.cleaner.dedupe.buffer.size); default 32 MiB */
    uint64_t clean_bytes_per_s; /* it reads and writes (log.cleaner.io.max.bytes.per.second); default 64 MiB */
    int64_t retention_check_ms; /* each partition is looked at once in this time (log.retention.check.interval.ms) */
};

void store_config_init(struct store_config *c); /* the defaults */
/* The least memory of a shard (mem_create) with which a store of these settings opens, reads its journal back and takes
 * its largest batch (rule A9: told when the setting is made, not when the batch comes). */
uint64_t store_memory_min(const struct store_config *c);

/* Opens or creates the directory's part of this shard, replays every journal that falls to this shard, agrees with the
 * other shards who owns what, re-homes. done(status): STATUS_OK, LOCKED (another process; after waiting), FORMAT (not a
 * Leat directory, or of a newer version), READ_ONLY, NO_SPACE, DAMAGED, ...; store_open_error says it in a sentence.
 * All shards of the process must open. */
struct store_open {
    void (*done)(struct store_open *op);
    enum status status;
    struct store *store; /* on STATUS_OK */
    char error[512];     /* what, where, what to do */
};
void store_open(struct env *e, struct disk *disk, const struct store_config *c, struct store_open *op);

/* The file system of the log directory, as last asked (each second); 0, 0: not yet. */
void store_space(const struct store *s, uint64_t *ret_total_bytes, uint64_t *ret_free_bytes);

/* Which shard owns a partition. */
uint32_t partition_shard(struct topic_id id, int32_t number, uint32_t shard_count);
/* Counts the starts of this journal; unique per start. */
uint64_t store_incarnation(const struct store *s);

/* For metrics, at any time between store_open's done and store_close's. */
struct histogram;
struct store_stats {
    /* since the start */
    uint64_t journal_groups, journal_written_bytes; /* each group is flushed once */
    uint64_t moves, moved_bytes;                    /* to segment files: pieces, bytes */
    uint64_t checkpoints, checkpoint_written_bytes;
    const struct histogram *commit_ns; /* of a group, write and flush; borrowed until store_close */
    /* now */
    uint64_t journal_bytes, journal_used_bytes;
    uint64_t unmoved_bytes; /* in journal and memory only */
    uint64_t cached_bytes;  /* record batches in memory, the unmoved ones among them */
    uint32_t partitions, partitions_damaged, segment_files_open;
    int64_t checkpoint_age_ns;
    bool fenced, low_space;
};
void store_stats(const struct store *s, struct store_stats *ret_stats);

/* Clean stop: appends are refused from now on; everything is moved and checkpointed, files cut to their length. */
struct store_close {
    void (*done)(struct store_close *op); /* the store is gone */
    enum status status;
};
void store_close(struct store *s, struct store_close *op);

/* Partitions. Names are topic names as Kafka allows them; identity is (topic id, partition number). */
struct partition *store_find(struct store *s, struct topic_id id, int32_t number);
/* In the order of (topic name, number), for start-up listings. cursor starts NULL. */
struct partition *store_next(struct store *s, const struct partition *cursor);

struct partition_create {
    void (*done)(struct partition_create *op);
    enum status status; /* OK: durable. EXISTS (same id and number), INVALID_TOPIC, NO_SPACE, FENCED */
    struct partition *partition;
    uint64_t impl[8];
};
void partition_create(struct store *s, const char *topic, struct topic_id id, int32_t number,
                      struct partition_create *op);
/* What is not a partition of the store any more lies in one of two folders of the log directory, complete: its files
 * cut to their length, the rest of its state beside them. */
enum store_folder {
    STORE_TRASH,      /* deleted; goes for good after undelete_ms, or when space is short (rule A10) */
    STORE_QUARANTINE, /* what nobody mentions; never goes by itself */
};
struct kept { /* what the name of a directory there says */
    struct topic_id id;
    int32_t number;
    uint64_t creation; /* of the partition in its journal */
    int64_t since_ms;  /* wall clock */
};

/* Moves all, renames the directory into a folder. Refuses appends, changes and reads from the call on. OK: durable, p
 * is gone. FENCED; NOT_LEADER: being deleted already, or the store is closing: p stays. */
struct partition_delete {
    void (*done)(struct partition_delete *op);
    enum status status;
    enum store_folder to;
    uint64_t impl[400];
};
void partition_delete(struct partition *p, struct partition_delete *op);

/* Takes a deleted partition back out of the trash, the newest of that id and number: records, offsets, leader epochs,
 * producers as they were. Its shard's store. OK: durable. NOT_FOUND: none is there; EXISTS; DAMAGED, FORMAT: its state
 * cannot be read (it stays where a later try finds it); NO_SPACE, NO_MEMORY, IO_ERROR, FENCED; NOT_LEADER: the store is
 * closing.
 * A revival that a crash cuts off is begun again by the same call; it may then be found in its own place already. */
struct partition_revive {
    void (*done)(struct partition_revive *op);
    enum status status;
    struct partition *partition; /* on STATUS_OK */
    struct commit_waiter waiter;
};
void partition_revive(struct store *s, const char *topic, struct topic_id id, int32_t number,
                      struct partition_revive *op);

/* What lies in a folder. Shard 0's store; of the trash: when nothing is being emptied out of it. */
struct store_list {
    void (*done)(struct store_list *op);
    enum status status; /* OK; NO_MEMORY, IO_ERROR, ... */
    char *names;        /* NUL-terminated one after another, sorted; until store_list_free */
    uint32_t names_bytes, names_len;
    uint64_t impl[160];
};
void store_list(struct store *s, enum store_folder folder, struct store_list *op);
/* The entries in turn; pos starts at 0. id zero: not the directory of a partition. False: no more. */
bool store_list_next(const struct store_list *op, uint32_t *pos, const char **ret_name, struct kept *ret_kept);
void store_list_free(struct store *s, struct store_list *op);
/* Shard 0's store: nothing more is emptied out of the trash until as many releases: revivals are under way. */
void store_trash_hold(struct store *s);
void store_trash_release(struct store *s);

/* Topic settings, as far as a partition log knows them; Kafka's names. Not stored: the layer above gives them after
 * each open or creation, and again whenever they change. Until the first time segments roll and batches are bounded as
 * store_config says, and retention leaves the partition alone: settings that nobody knows yet may say "keep". */
struct partition_settings {
    uint64_t segment_bytes;      /* segment.bytes */
    int64_t segment_ms;          /* segment.ms */
    int64_t retention_bytes;     /* retention.bytes; -1: no limit */
    int64_t retention_ms;        /* retention.ms; -1: no limit */
    uint32_t batch_bytes_max;    /* max.message.bytes: larger batches are refused; those that are there stay readable */
    bool deletes;                /* cleanup.policy: delete. Without it nothing goes by retention */
    bool compacts;               /* cleanup.policy: compact */
    int64_t delete_retention_ms; /* delete.retention.ms: how long a round of compaction keeps tombstones */
    int64_t min_lag_ms;          /* min.compaction.lag.ms */
    int64_t max_lag_ms;          /* max.compaction.lag.ms; where it compacts segments roll at that age, too */
    double min_dirty_ratio;      /* min.cleanable.dirty.ratio */
};
void partition_settings_init(const struct store *s, struct partition_settings *ret_settings); /* the store's defaults */
/* At any time. INVALID: segment_bytes or segment_ms below 1, a retention below -1, batch_bytes_max 0 or above what the
 * journal takes (store_config.batch_bytes_max); nothing changes then. */
enum status partition_configure(struct partition *p, const struct partition_settings *settings) MUST_CHECK;
const struct partition_settings *partition_settings(const struct partition *p);

const char *partition_topic(const struct partition *p);
int32_t partition_number(const struct partition *p);
struct topic_id partition_topic_id(const struct partition *p);
int64_t partition_log_start(const struct partition *p);
int64_t partition_high_watermark(const struct partition *p); /* exclusive; reads stop here */
int64_t partition_log_end(const struct partition *p);        /* exclusive; accepted so far */
int32_t partition_epoch(const struct partition *p);          /* current leader epoch */
uint64_t partition_size_bytes(const struct partition *p);    /* of the log, in files or still in the journal */
void partition_set_user(struct partition *p, struct partition_user *user); /* NULL when it goes */
struct partition_user *partition_user(const struct partition *p);          /* NULL: none */
/* STATUS_OK; FENCED; DAMAGED while a damaged range is not accepted (reads of other ranges go on). */
enum status partition_status(const struct partition *p);

/* Append one record batch v2, validated already (protocol/batch.h). Base offset and leader epoch are assigned here, at
 * once, in call order, in a copy: the caller's bytes are borrowed only during the call. Refusals complete too (from the
 * loop): SEQUENCE_GAP, PRODUCER_FENCED, BATCH_TOO_LARGE, NO_SPACE, BUSY (memory or journal full: try again), FENCED,
 * DAMAGED. A repeated idempotent batch completes with STATUS_OK, duplicate set and the first offset, once the original
 * is below the high watermark. */
struct partition_append {
    void (*done)(struct partition_append *op);
    enum status status;
    bool duplicate;
    int64_t base_offset, log_start;
    int64_t log_append_time_ms;  /* -1: create time stands */
    struct commit_waiter waiter; /* store's own */
    enum status refusal; /* valid when the call returns: not OK when the batch was refused (done comes all the same) */
};
void partition_append(struct partition *p, const void *batch, uint32_t len, struct partition_append *op);

/* Read whole batches from the one that contains `offset`, below the high watermark, up to max_bytes but at least one
 * batch (KIP-74). The batches come as slices in order; the first may begin before `offset`. The slices hold refs: give
 * them back with partition_read_release. OFFSET_OUT_OF_RANGE below log start or above the high watermark; DAMAGED for a
 * range that is; at the high watermark: OK with no slices. */
#define READ_SLICES_MAX 64
struct partition_read {
    void (*done)(struct partition_read *op);
    enum status status;
    int64_t high_watermark, log_start; /* of the same moment as the bytes */
    uint32_t slice_count;
    uint32_t bytes;
    struct slice slices[READ_SLICES_MAX];
    uint64_t impl[192];
};
void partition_read(struct partition *p, int64_t offset, uint32_t max_bytes, struct partition_read *op);
void partition_read_release(struct partition_read *op); /* on the partition's shard */

/* Called (once, then unlinked) when the high watermark passes `offset`, i.e. becomes > offset, or when the partition
 * goes away. wake must not wait or cancel for other waiters of the same partition: their list is being walked. */
struct partition_waiter {
    struct list_node in_partition;
    int64_t offset;
    void (*wake)(struct partition_waiter *w);
};
void partition_wait(struct partition *p, struct partition_waiter *w);
void partition_wait_cancel(struct partition_waiter *w);

/* Kafka's ListOffsets by time, among the records between log start and high watermark of this moment. From 0 on: the
 * first record, in offset order, with that time or a later one. -3: the first record with the largest time. Both tell
 * its offset, its time and the leader epoch of its batch; offset -1, timestamp -1, epoch -1: there is none. -1: the
 * high watermark and the current leader epoch; -2: the log start and its leader epoch; timestamp -1.
 * Fails as a read does (NOT_LEADER, DAMAGED, IO_ERROR, BUSY: try again); BATCH_TOO_LARGE, CORRUPT_BATCH,
 * INVALID_RECORD: a batch whose records cannot be read stands where the answer would be. UNSUPPORTED: another
 * negative time. */
struct partition_lookup {
    void (*done)(struct partition_lookup *op);
    enum status status;
    int64_t offset, timestamp_ms;
    int32_t epoch;
    struct commit_waiter waiter;
};
void partition_lookup_time(struct partition *p, int64_t time_ms, struct partition_lookup *op);

/* Replication and administration: a durable change, then done. */
struct partition_change {
    void (*done)(struct partition_change *op);
    enum status status;
    uint64_t impl[128];
};
/* New leader epoch, starts at the log end. INVALID if not above the current one. */
void partition_epoch_start(struct partition *p, int32_t epoch, struct partition_change *op);
/* Cut to `offset` (a batch boundary at or below is chosen). INVALID below the high watermark or the log start. */
void partition_truncate(struct partition *p, int64_t offset, struct partition_change *op);
/* Followers and tests: from the first call on the high watermark is min(offset, what is durable here); never lowered.
 */
void partition_replicated(struct partition *p, int64_t offset);
/* Records below `offset` are gone. INVALID above the high watermark; a lower one than now changes nothing. */
void partition_log_start_move(struct partition *p, int64_t offset, struct partition_change *op);
/* An operator accepts that the damaged range is lost: appends go on. INVALID if the partition is sound. */
void partition_accept_damage(struct partition *p, struct partition_change *op);
/* Where an epoch ends here (KIP-279): largest epoch <= the asked one and the end offset of it; -1, -1 if unknown. */
void partition_epoch_end(const struct partition *p, int32_t epoch, int32_t *ret_epoch, int64_t *ret_end);
/* The epoch whose record stands, or would stand, at `offset`. */
int32_t partition_epoch_of(const struct partition *p, int64_t offset);

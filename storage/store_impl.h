// SPDX-License-Identifier: Apache-2.0
/* The inside of a store, for storage only: what journal, mover, checkpoint and recovery of one shard and disk share. */
#pragma once
#include "base/log.h"
#include "storage/age_queue.h"
#include "storage/files.h"
#include "storage/partition.h"
#include "storage/stats.h"

struct table_writer;
struct opening;
struct closing;
struct mover;
struct unlinker;
struct grower;
struct trash;
struct upkeep;
struct cleaner;
struct repairer;
struct rehome;
struct recovery;

struct store {
    struct env *env;
    struct disk *disk;
    struct store_config config;
    struct path dir;
    struct journal *journal;
    struct files *files;
    struct mover *mover;
    struct unlinker *unlinker;
    struct grower *grower;
    struct trash *trash;
    struct upkeep *upkeep;
    struct cleaner *cleaner;
    struct repairer *repairer;
    struct table_writer *table;
    struct partition_map *map; /* partition_map.h */
    uint64_t creations;        /* last creation sequence given */
    struct list touched;       /* partitions that the next table delta must have */
    struct list unmoved;       /* partitions with bytes not moved */
    struct age_queue aged;     /* partitions with bytes that only the ring holds (mover.c) */
    struct list due, bare;     /* partitions that should move; that want a directory */
    struct list dirty_dirs;
    struct list rounds;    /* every partition: upkeep.c looks at them in turn */
    struct list compacted; /* partitions whose cleanup.policy has compact: the cleaner looks at them in turn */
    uint32_t compacted_count;
    struct list graves;  /* replayed deletions: their directories go to the trash (bury.c) */
    uint32_t deletions;  /* deletions, revivals, listings under way */
    uint32_t burials;    /* those between entry and synced rename: no checkpoint may begin (rule A6) */
    struct list refused; /* commit_waiters to tell FENCED.. in the next turn; status in the op */
    uint64_t evicted;    /* cache: groups up to here left it */
    struct store_counters count;
    struct timer tick;
    struct turn_hook hook;
    struct io_op space; /* asks for free space each second */
    struct mono_ns space_asked;
    uint64_t space_total, space_free; /* its last answer */
    bool low_space;                   /* below the reserve: appends are refused (rule A10) */
    bool hold_moves;                  /* the journal is being replayed */
    bool unmovable;                   /* clean stop on a full disk: the rest stays in the journal */
    bool closing;                     /* clean stop has begun */
    bool serving;                     /* recovery is over */
    bool growing;                     /* a ring file is being made */
    bool recovered;
    bool settled;            /* every shard has replayed and buried: directories of other partitions may be judged */
    struct opening *opening; /* while it is being opened */
    struct closing *closing_flow;
    struct journal_id directory; /* id of the log directory */
    uint32_t number;             /* of its journal: the shard, but for a journal without one */
    struct rehome *rehome;       /* that reads this journal without a shard */
};

#define STORE_LOG(s, level, event, ...)                                                                                \
    do {                                                                                                               \
        if ((s)->config.log != NULL) LOG((s)->config.log, (s)->env, level, event, __VA_ARGS__);                        \
    } while (0)

static inline bool store_fenced(const struct store *s)
{
    return disk_fenced(s->disk);
}

/* Completes w in the next turn: for answers that are known inside a call. */
void store_refuse(struct store *s, struct commit_waiter *w);

/* Moved bytes of groups up to `sequence` leave the tail cache. */
void store_evict(struct store *s, uint64_t sequence);
/* Recovery is over: the loop's work begins. */
void store_serve(struct store *s);
/* A store of that journal, not open yet; in the loop. */
struct store *store_new(struct env *e, struct disk *disk, const struct store_config *c, uint32_t number);
void opening_start(struct store *s, struct store_open *op);
/* A start that failed: everything it took is given back, then op->done. */
void store_discard(struct store *s, struct store_open *op);

// SPDX-License-Identifier: Apache-2.0
/* What all shards share of one log directory: the fence word, and the tickets by which an ack waits for every flush
 * that began before it (rule D9: a drive that fails one flush may drop another shard's data and answer its next flush
 * well). The only memory that two shards write; atomics only. */
#pragma once
#include "base/status.h"
#include <stdatomic.h>

#define DISK_SHARDS_MAX 256

struct rehome;
enum disk_directory { DISK_DIRECTORY_UNKNOWN, DISK_DIRECTORY_READY, DISK_DIRECTORY_FAILED };

struct disk {
    atomic_bool fenced;
    atomic_ulong flushes_begun;
    atomic_ulong in_flight[DISK_SHARDS_MAX]; /* ticket of each shard's oldest flush in flight; 0: none */
    atomic_uint shards_replayed;             /* start-up: shards that have replayed their journals */
    atomic_bool replay_failed;               /* start-up: one of them could not */
    atomic_int directory_state;              /* start-up: enum disk_directory; set by shard 0 after directory_id */
    uint8_t directory_id[16];
    atomic_uint journals;      /* start-up: how many the directory has, or will have; set before directory_state */
    atomic_uint made;          /* start-up: those below are there for sure; set before directory_state */
    atomic_bool rehome_needed; /* start-up: some partition is not where it belongs (rehome.c) */
    _Atomic(struct rehome *) rehomes[DISK_SHARDS_MAX]; /* start-up: each shard's, to be used on that shard only */
    _Atomic uint64_t free_bytes;                       /* of the file system, as last asked */
};

void disk_init(struct disk *d);
/* After a failed write or flush: nothing on this disk is acknowledged any more. Never undone while the process lives.
 */
void disk_fence(struct disk *d);
bool disk_fenced(const struct disk *d);
/* A ticket for a flush that begins now, greater than all before. */
unsigned long disk_flush_begin(struct disk *d);
/* Tells the others the oldest ticket that this shard has in flight; 0: none. */
void disk_flush_oldest(struct disk *d, uint32_t shard, unsigned long ticket);
/* True when every flush of another shard (UINT32_MAX: of any) that began before `ticket` has ended. */
bool disk_flush_clear(const struct disk *d, uint32_t shard, uint32_t shard_count, unsigned long ticket);

/* Start-up. Shard 0 says once which directory this is (id NULL and failed: it cannot be used). */
void disk_directory_set(struct disk *d, const uint8_t *id, bool failed);
enum disk_directory disk_directory_get(const struct disk *d, uint8_t ret_id[16]);
void disk_shard_replayed(struct disk *d, bool ok);
unsigned disk_shards_replayed(const struct disk *d);
bool disk_replay_failed(const struct disk *d);
void disk_journals_set(struct disk *d, unsigned journals, unsigned made);
unsigned disk_journals(const struct disk *d);
unsigned disk_journals_made(const struct disk *d);
/* Before the shards meet; `needed` of any shard counts. */
void disk_rehome_set(struct disk *d, uint32_t shard, struct rehome *h, bool needed);
struct rehome *disk_rehome_of(const struct disk *d, uint32_t shard);
bool disk_rehome_needed(const struct disk *d);

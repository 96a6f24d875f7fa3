// SPDX-License-Identifier: Apache-2.0
/* The words that shards share of one disk; see disk.h. Order: a shard publishes its ticket before it submits the flush
 * and takes it back after the completion, with sequentially consistent stores, so a later flush sees every earlier one.
 */
#include "storage/disk.h"

#include "base/check.h"
#include <string.h>

void disk_init(struct disk *d)
{
    atomic_init(&d->fenced, false);
    atomic_init(&d->flushes_begun, 0);
    for (int i = 0; i < DISK_SHARDS_MAX; i++) atomic_init(&d->in_flight[i], 0);
    atomic_init(&d->shards_replayed, 0);
    atomic_init(&d->replay_failed, false);
    atomic_init(&d->journals, 0);
    atomic_init(&d->made, 0);
    atomic_init(&d->rehome_needed, false);
    for (int i = 0; i < DISK_SHARDS_MAX; i++) atomic_init(&d->rehomes[i], NULL);
    atomic_init(&d->directory_state, DISK_DIRECTORY_UNKNOWN);
    atomic_init(&d->free_bytes, UINT64_MAX);
}

void disk_fence(struct disk *d)
{
    atomic_store(&d->fenced, true);
}

bool disk_fenced(const struct disk *d)
{
    return atomic_load(&d->fenced);
}

unsigned long disk_flush_begin(struct disk *d)
{
    return atomic_fetch_add(&d->flushes_begun, 1) + 1;
}

void disk_flush_oldest(struct disk *d, uint32_t shard, unsigned long ticket)
{
    CHECK(shard < DISK_SHARDS_MAX);
    atomic_store(&d->in_flight[shard], ticket);
}

bool disk_flush_clear(const struct disk *d, uint32_t shard, uint32_t shard_count, unsigned long ticket)
{
    CHECK(shard_count <= DISK_SHARDS_MAX);
    for (uint32_t i = 0; i < shard_count; i++) {
        unsigned long other = atomic_load(&d->in_flight[i]);
        if (i != shard && other != 0 && other < ticket) return false;
    }
    return true;
}

void disk_directory_set(struct disk *d, const uint8_t *id, bool failed)
{
    if (atomic_load(&d->directory_state) != DISK_DIRECTORY_UNKNOWN) return;
    if (id != NULL) memcpy(d->directory_id, id, sizeof d->directory_id);
    atomic_store(&d->directory_state, failed ? DISK_DIRECTORY_FAILED : DISK_DIRECTORY_READY);
}

enum disk_directory disk_directory_get(const struct disk *d, uint8_t ret_id[16])
{
    enum disk_directory state = (enum disk_directory)atomic_load(&d->directory_state);
    if (state == DISK_DIRECTORY_READY) memcpy(ret_id, d->directory_id, sizeof d->directory_id);
    return state;
}

void disk_shard_replayed(struct disk *d, bool ok)
{
    if (!ok) atomic_store(&d->replay_failed, true);
    atomic_fetch_add(&d->shards_replayed, 1);
}

unsigned disk_shards_replayed(const struct disk *d)
{
    return atomic_load(&d->shards_replayed);
}

bool disk_replay_failed(const struct disk *d)
{
    return atomic_load(&d->replay_failed);
}

void disk_journals_set(struct disk *d, unsigned journals, unsigned made)
{
    atomic_store(&d->journals, journals);
    atomic_store(&d->made, made);
}

unsigned disk_journals_made(const struct disk *d)
{
    return atomic_load(&d->made);
}

unsigned disk_journals(const struct disk *d)
{
    return atomic_load(&d->journals);
}

void disk_rehome_set(struct disk *d, uint32_t shard, struct rehome *h, bool needed)
{
    CHECK(shard < DISK_SHARDS_MAX);
    atomic_store(&d->rehomes[shard], h);
    if (needed) atomic_store(&d->rehome_needed, true);
}

struct rehome *disk_rehome_of(const struct disk *d, uint32_t shard)
{
    CHECK(shard < DISK_SHARDS_MAX);
    return atomic_load(&d->rehomes[shard]);
}

bool disk_rehome_needed(const struct disk *d)
{
    return atomic_load(&d->rehome_needed);
}

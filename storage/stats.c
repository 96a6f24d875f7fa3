// SPDX-License-Identifier: Apache-2.0
/* store_stats (store.h). Failure modes: none. Cost: one look at each partition that has bytes to move. */
#include "storage/stats.h"

#include "storage/checkpoint.h"
#include "storage/partition_map.h"

void store_stats(const struct store *s, struct store_stats *ret_stats)
{
    const struct journal *j = s->journal;
    const struct table_writer *w = s->table;
    struct store_stats t = {
        .journal_groups = j->commits,
        .journal_written_bytes = j->bytes_written,
        .commit_ns = j->commit_ns,
        .moves = s->count.moves,
        .moved_bytes = s->count.moved_bytes,
        .checkpoints = w->checkpoints,
        .checkpoint_written_bytes = w->bytes_written,
        .cached_bytes = s->count.cached_bytes,
        .partitions = partition_map_count(s->map),
        .partitions_damaged = s->serving ? s->count.damaged : 0,
        .segment_files_open = files_open_count(s->files),
        .checkpoint_age_ns = s->env->now.v - w->last.v,
        .fenced = store_fenced(s),
        .low_space = s->low_space,
    };
    if (j->slot_count > 0) { /* recovery has found the ring */
        t.journal_bytes = journal_bytes(j);
        t.journal_used_bytes = t.journal_bytes / 1000 * journal_fill(j);
    }
    list_each (n, &s->unmoved) {
        const struct partition *p = container_of(n, struct partition, in_unmoved);
        t.unmoved_bytes += p->end_pos - p->moved_pos;
    }
    *ret_stats = t;
}

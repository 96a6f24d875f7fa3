// SPDX-License-Identifier: Apache-2.0
/* PHASE_OPEN of a shard: what it needs before metadata comes, and its store, which replays the journal.
 * Failure modes: the first error is the shard's sentence, and the phase ends. */
#include "base/bytes.h"
#include "broker/shard.h"
#include <stdio.h>

static void store_opened(struct store_open *op)
{
    struct shard *s = container_of(op, struct shard, open);
    s->store = op->store;
    s->status = op->status;
    if (op->status != STATUS_OK) {
        s->store = NULL;
        snprintf(s->error, sizeof s->error, "%s", op->error);
    } else if (s->env->shard == 0) {
        store_trash_hold(s->store); /* until the first publication has told what is to be revived (metadata_news.c) */
    }
    shard_phase_done(s);
}

static void store_settings(struct shard *s, struct store_config *ret_config)
{
    const struct broker_config *c = s->broker->config;
    uint32_t shards = s->env->shard_count;
    store_config_init(ret_config);
    ret_config->dir = c->log_dir;
    ret_config->journal_bytes = c->journal_bytes / shards;
    ret_config->journal_first_bytes = MIN(ret_config->journal_first_bytes, ret_config->journal_bytes);
    ret_config->cache_bytes = c->cache_bytes != 0 ? c->cache_bytes / shards : mem_budget(s->env->mem, MEM_LOG) / 4 * 3;
    ret_config->batch_bytes_max = c->batch_max_bytes;
    if (c->reserve_bytes != 0) ret_config->reserve_bytes = c->reserve_bytes;
    ret_config->segment_bytes = c->segment_bytes;
    ret_config->segment_ms = c->roll_ms;
    ret_config->stall_ms = c->stall_ms;
    ret_config->undelete_ms = c->undelete_ms;
    ret_config->clean_check_ms = c->clean_check_ms;
    ret_config->clean_map_bytes = c->clean_map_bytes / shards;
    ret_config->clean_bytes_per_s = c->clean_bytes_per_s / shards;
    ret_config->log = &s->log;
}

static enum status prepare(struct shard *s)
{
    struct env *e = s->env;
    const struct broker_config *c = s->broker->config;
    uint32_t sessions = MIN(MAX(c->fetch_sessions_max / e->shard_count, 1u), FETCH_SESSIONS_MAX);
    s->topics = topic_index_create(e->mem);
    s->intake = intake_create(s);
    if (s->topics == NULL || s->intake == NULL) return STATUS_NO_MEMORY;
    enum status status = settings_init(&s->settings, e->mem, &c->topic_values, c->node_id);
    if (status != STATUS_OK) return status;
    producer_ids_init(&s->producer_ids, s);
    return fetch_sessions_init(&s->fetch_sessions, e->mem, sessions, env_random(e));
}

void shard_open(struct shard *s)
{
    struct store_config config;
    s->status = prepare(s);
    if (s->status != STATUS_OK) {
        snprintf(s->error, sizeof s->error, "leat.memory.bytes is too small for %u shards", s->env->shard_count);
        shard_phase_done(s);
        return;
    }
    store_settings(s, &config);
    s->open.done = store_opened;
    store_open(s->env, &s->broker->disk, &config, &s->open);
}

void partition_settings_apply(struct shard *s, const struct image_topic *t, struct partition *p)
{
    const struct topic_settings *from = settings_of(&s->settings, t->configs);
    struct partition_settings to;
    partition_settings_init(s->store, &to);
    to.segment_bytes = (uint64_t)from->segment_bytes;
    to.segment_ms = from->segment_ms;
    to.retention_bytes = from->retention_bytes;
    to.retention_ms = from->retention_ms;
    to.batch_bytes_max = (uint32_t)MIN(MAX(from->max_message_bytes, 1), s->broker->config->batch_max_bytes);
    to.deletes = (from->cleanup & CLEANUP_DELETE) != 0;
    to.compacts = (from->cleanup & CLEANUP_COMPACT) != 0;
    to.delete_retention_ms = from->delete_retention_ms;
    to.min_lag_ms = from->min_compaction_lag_ms;
    to.max_lag_ms = from->max_compaction_lag_ms;
    to.min_dirty_ratio = from->min_cleanable_ratio;
    CHECK_OK(partition_configure(p, &to)); /* each value was checked when it was set */
}

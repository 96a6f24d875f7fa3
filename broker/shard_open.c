// SPDX-License-Identifier: Apache-2.0
/* PHASE_OPEN of a shard.
 *
 *   store       open, which replays the journal
 *   partitions  those of leat.topics that fall to this shard: create what is missing, start a new leader epoch for each
 *               (a restart is a new leader: design, Fences), OPENS at a time
 *
 * Failure modes: the first error stops further opens, is kept as the shard's sentence, and the phase ends when those
 * under way have ended. */
#include "broker/api/produce_part.h"
#include "broker/shard.h"
#include <stdio.h>

#define OPENS 64

struct partition_open { /* one at a time of OPENS */
    struct starting *starting;
    const struct topic *topic;
    int32_t number;
    struct partition_create create;
    struct partition_change epoch;
};

struct starting {
    struct shard *shard;
    struct store_open store;
    uint32_t topic; /* next to look at */
    int32_t number;
    uint32_t running;
    struct partition_open opens[OPENS];
};

static void open_next(struct partition_open *o);

static void cluster_id_text(const uint8_t id[16], char ret_text[23])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for (unsigned i = 0, bit = 0; i < 22; i++, bit += 6) {
        unsigned pair = (unsigned)id[bit / 8] << 8 | (bit / 8 + 1 < 16 ? id[bit / 8 + 1] : 0u);
        ret_text[i] = digits[pair >> (10 - bit % 8) & 63];
    }
    ret_text[22] = '\0';
}

static void end(struct starting *g)
{
    struct shard *s = g->shard;
    s->starting = NULL;
    mem_free(s->env->mem, MEM_CONTROL, g, sizeof *g);
    shard_phase_done(s);
}

static void fail(struct partition_open *o, const char *what, enum status status)
{
    struct shard *s = o->starting->shard;
    if (s->status != STATUS_OK) return; /* the first one is told */
    s->status = status;
    snprintf(s->error, sizeof s->error, "%s-%d: %s: %s", o->topic->name, o->number, what, status_text(status));
}

static void epoch_started(struct partition_change *op)
{
    struct partition_open *o = container_of(op, struct partition_open, epoch);
    struct shard *s = o->starting->shard;
    uint32_t slot = o->topic->first_slot + (uint32_t)o->number;
    if (op->status == STATUS_OK)
        s->broker->epochs[slot] = partition_epoch(s->lanes[slot]->partition);
    else
        fail(o, "no new leader epoch", op->status);
    open_next(o);
}

static void have(struct partition_open *o, struct partition *p)
{
    struct shard *s = o->starting->shard;
    struct lane *l = mem_zalloc(s->env->mem, MEM_CONTROL, sizeof *l);
    if (l == NULL) {
        fail(o, "leat.memory.bytes is too small for the partitions", STATUS_NO_MEMORY);
        open_next(o);
        return;
    }
    l->partition = p;
    l->shard = s;
    l->retry.fire = lane_retry;
    list_init(&l->waiting);
    s->lanes[o->topic->first_slot + (uint32_t)o->number] = l;
    o->epoch.done = epoch_started;
    partition_epoch_start(p, partition_epoch(p) + 1, &o->epoch);
}

static void created(struct partition_create *op)
{
    struct partition_open *o = container_of(op, struct partition_open, create);
    if (op->status == STATUS_OK) {
        have(o, op->partition);
        return;
    }
    fail(o, "cannot be created", op->status);
    open_next(o);
}

/* The next partition of this shard; false: no more, or no sense in it. */
static bool choose(struct starting *g, struct partition_open *ret_open)
{
    struct shard *s = g->shard;
    const struct topics *all = &s->broker->config->topics;
    while (s->status == STATUS_OK && g->topic < all->count) {
        const struct topic *t = &all->list[g->topic];
        int32_t number = g->number++;
        if (number >= t->partition_count) {
            g->topic++;
            g->number = 0;
        } else if (shard_of(s, t, number) == s->env->shard) {
            ret_open->topic = t;
            ret_open->number = number;
            return true;
        }
    }
    return false;
}

static void open_next(struct partition_open *o)
{
    struct starting *g = o->starting;
    struct shard *s = g->shard;
    if (!choose(g, o)) {
        if (--g->running == 0) end(g);
        return;
    }
    struct partition *p = store_find(s->store, o->topic->id, o->number);
    if (p != NULL) {
        have(o, p);
        return;
    }
    o->create.done = created;
    partition_create(s->store, o->topic->name, o->topic->id, o->number, &o->create);
}

static void store_opened(struct store_open *op)
{
    struct starting *g = container_of(op, struct starting, store);
    struct shard *s = g->shard;
    uint8_t id[16];
    if (op->status != STATUS_OK) {
        s->status = op->status;
        snprintf(s->error, sizeof s->error, "%s", op->error);
        end(g);
        return;
    }
    s->store = op->store;
    if (s->env->shard == 0 && disk_directory_get(&s->broker->disk, id) == DISK_DIRECTORY_READY)
        cluster_id_text(id, s->broker->cluster_id);
    g->running = OPENS; /* the last one that finds nothing more to do frees g */
    for (uint32_t i = 0; i < OPENS; i++) {
        g->opens[i].starting = g;
        open_next(&g->opens[i]);
    }
}

static void store_settings(const struct shard *s, struct store_config *ret_config)
{
    const struct broker_config *c = s->broker->config;
    uint32_t shards = s->env->shard_count;
    store_config_init(ret_config);
    ret_config->dir = c->log_dir;
    ret_config->journal_bytes = c->journal_bytes / shards;
    ret_config->journal_first_bytes = MIN(ret_config->journal_first_bytes, ret_config->journal_bytes);
    ret_config->cache_bytes = c->cache_bytes != 0 ? c->cache_bytes / shards : mem_budget(s->env->mem, MEM_LOG) / 4 * 3;
    ret_config->batch_bytes_max = c->message_max_bytes;
    if (c->reserve_bytes != 0) ret_config->reserve_bytes = c->reserve_bytes;
    ret_config->segment_bytes = c->segment_bytes;
    ret_config->segment_ms = c->roll_ms;
    ret_config->stall_ms = c->stall_ms;
    ret_config->log = &((struct shard *)(uintptr_t)s)->log;
}

void shard_open(struct shard *s)
{
    struct mem *m = s->env->mem;
    struct store_config config;
    struct starting *g = mem_zalloc(m, MEM_CONTROL, sizeof *g);
    size_t slots = MAX(s->broker->config->topics.slot_count, 1);
    s->lanes = mem_zalloc(m, MEM_CONTROL, slots * sizeof(struct lane *));
    if (g == NULL || s->lanes == NULL) {
        mem_free(m, MEM_CONTROL, g, sizeof *g);
        s->status = STATUS_NO_MEMORY;
        snprintf(s->error, sizeof s->error, "leat.memory.bytes is too small for the partitions of leat.topics");
        shard_phase_done(s);
        return;
    }
    g->shard = s;
    s->starting = g;
    store_settings(s, &config);
    g->store.done = store_opened;
    store_open(s->env, &s->broker->disk, &config, &g->store);
}

void shard_lanes_free(struct shard *s)
{
    struct mem *m = s->env->mem;
    size_t slots = MAX(s->broker->config->topics.slot_count, 1);
    if (s->lanes == NULL) return;
    for (size_t i = 0; i < slots; i++) {
        struct lane *l = s->lanes[i];
        if (l == NULL) continue;
        CHECK(list_empty(&l->waiting) && l->busy == NULL);
        env_timer_stop(s->env, &l->retry);
        mem_free(m, MEM_CONTROL, l, sizeof *l);
    }
    mem_free(m, MEM_CONTROL, s->lanes, slots * sizeof(struct lane *));
    s->lanes = NULL;
}

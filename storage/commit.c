// SPDX-License-Identifier: Apache-2.0
/* The flow of one commit:
 *
 *   write   all chunks to the ring file; one chunk may carry its own flush (RWF_DSYNC) where that is cheaper
 *   sync    when every write is complete: one data sync
 *   clear   wait until every flush of this disk that began before ours has ended (rule D9)
 *   finish  durable; journal_settle tells the waiters in sequence
 *
 * Failure modes: any error in write or sync fences the disk in that step; nothing is retried.
 * Crash order: a flush is submitted only after the completions of all writes that it must cover. */
#include "storage/commit.h"

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/histogram.h"

#define RECHECK_NS (20 * NS_PER_US) /* another shard's earlier flush ends within one flush time */

enum commit_stage { COMMIT_WRITE, COMMIT_SYNC, COMMIT_CLEAR, COMMIT_FINISH };

static bool carries_sync(const struct commit *c)
{
    return c->chunk_count == 1 && c->journal->env->dsync_cheaper;
}

static void publish_oldest(struct journal *j)
{
    unsigned long oldest = 0;
    list_each (n, &j->queue) {
        const struct commit *c = container_of(n, struct commit, in_queue);
        if (c->ticket != 0 && !c->durable && (oldest == 0 || c->ticket < oldest)) oldest = c->ticket;
    }
    disk_flush_oldest(j->disk, j->env->shard, oldest);
}

static int commit_write(struct task *t)
{
    struct commit *c = container_of(t, struct commit, task);
    struct journal *j = c->journal;
    struct ring_slot *s = &j->slots[c->slot];
    uint64_t pos = c->pos;
    if (carries_sync(c)) {
        c->ticket = disk_flush_begin(j->disk);
        publish_oldest(j);
    }
    for (uint32_t i = 0; i < c->chunk_count; i++) {
        struct buf *b = c->chunks[i];
        CHECK(b->size % BLOCK_BYTES == 0 && pos + b->size <= s->bytes);
        transfer_start(j->env, &c->writes[i], t, IO_WRITE, s->file, b->data, (uint32_t)b->size, pos,
                       carries_sync(c) ? IO_DSYNC : 0);
        pos += b->size;
    }
    return STAGE_WAIT(COMMIT_SYNC);
}

static bool writes_ok(const struct commit *c)
{
    for (uint32_t i = 0; i < c->chunk_count; i++)
        if (c->writes[i].status != STATUS_OK) return false;
    return true;
}

static int commit_sync(struct task *t)
{
    struct commit *c = container_of(t, struct commit, task);
    struct journal *j = c->journal;
    if (!writes_ok(c)) {
        journal_fail(j);
        return COMMIT_FINISH;
    }
    if (carries_sync(c)) return COMMIT_CLEAR;
    c->ticket = disk_flush_begin(j->disk);
    publish_oldest(j);
    c->sync.kind = IO_DATASYNC;
    c->sync.file = j->slots[c->slot].file;
    c->sync.task = t;
    env_submit(j->env, &c->sync);
    return STAGE_WAIT(COMMIT_CLEAR);
}

static void recheck_fire(struct timer *timer)
{
    struct commit *c = container_of(timer, struct commit, recheck);
    task_wake(&c->task);
}

static int commit_clear(struct task *t)
{
    struct commit *c = container_of(t, struct commit, task);
    struct journal *j = c->journal;
    if (c->sync.status != STATUS_OK) {
        journal_fail(j);
        return COMMIT_FINISH;
    }
    if (!j->failed && !disk_flush_clear(j->disk, j->env->shard, j->env->shard_count, c->ticket)) {
        c->recheck.fire = recheck_fire;
        env_timer_start(j->env, &c->recheck, mono_add(j->env->now, RECHECK_NS));
        return STAGE_WAIT(COMMIT_CLEAR);
    }
    return COMMIT_FINISH;
}

static int commit_finish(struct task *t)
{
    struct commit *c = container_of(t, struct commit, task);
    struct journal *j = c->journal;
    CHECK(j->in_flight > 0);
    j->in_flight--;
    c->durable = true; /* or never will be: journal_settle knows */
    publish_oldest(j);
    histogram_record(j->commit_ns, (uint64_t)(j->env->now.v - c->begun.v));
    journal_settle(j);
    return STAGE_DONE;
}

static const struct stage commit_stages[] = {
    [COMMIT_WRITE] = {"write", commit_write, STAGE_BIT(COMMIT_SYNC)},
    [COMMIT_SYNC] = {"sync", commit_sync, STAGE_BIT(COMMIT_CLEAR) | STAGE_BIT(COMMIT_FINISH)},
    [COMMIT_CLEAR] = {"clear", commit_clear, STAGE_BIT(COMMIT_CLEAR) | STAGE_BIT(COMMIT_FINISH)},
    [COMMIT_FINISH] = {"finish", commit_finish, 0},
};

static const struct flow commit_flow = {"commit", commit_stages, COUNT_OF(commit_stages)};

static void header_write(struct commit *c)
{
    struct journal *j = c->journal;
    struct group_header h = {
        .journal = j->control.journal,
        .incarnation = j->control.incarnation,
        .sequence = c->sequence,
        .durable_upto = j->durable_sequence,
        .length = c->length,
        .proof_count = c->proof_count,
        .chain = j->chain,
        .entry_count = c->entry_count,
        .wall_ms = j->env->now_wall.v,
    };
    for (uint32_t i = 0; i < c->chunk_count; i++) {
        uint32_t skip = i == 0 ? GROUP_HEADER_BYTES : 0;
        h.body_crc = crc32c(h.body_crc, c->chunks[i]->data + skip, c->chunks[i]->size - skip);
    }
    group_header_encode(c->chunks[0]->data, &h);
    j->chain = h.header_crc;
}

void commit_submit(struct commit *c)
{
    struct journal *j = c->journal;
    CHECK(!c->open && !c->submitted && j->in_flight < COMMITS_IN_FLIGHT);
    header_write(c);
    c->submitted = true;
    c->begun = j->env->now;
    j->in_flight++;
    j->commits++;
    j->bytes_written += c->length;
    task_start(j->env->runner, &c->task, &commit_flow, COMMIT_WRITE);
}

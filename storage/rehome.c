// SPDX-License-Identifier: Apache-2.0
/* Re-homing (rule A4). First, before the shards meet:
 *
 *   stray, recover, bury   each journal without a shard is recovered into a store of its own
 *
 * Then, all shards in step (a barrier stands between the steps marked |):
 *
 *   claim     every partition found is claimed from its owner by (topic id, number, home)              |
 *   decide    the owner: the highest home number wins; the others are stale
 *   stale     stale ones leave memory and table
 *   move      everything moves to segment files; the file system is synced                             |
 *   send      a winner elsewhere: its table record goes to the owner, who takes it in with home + 1    |
 *   keep      the owner's checkpoint: durable there                                                    |
 *   drop      only now the old table drops it; a stray journal is closed and goes to the trash         |
 *
 * Failure modes: any error ends the start with a sentence on all shards. Crash order: a state is in two tables between
 * keep and drop, with equal content, because nobody serves before the last barrier: the next start decides again. */
#include "storage/rehome.h"

#include "base/bytes.h"
#include "storage/bury.h"
#include "storage/mover.h"
#include "storage/partition_map.h"
#include "storage/recovery.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define SOON_NS  (500 * NS_PER_US)
#define STUCK_NS (20 * NS_PER_S)

enum rehome_stage {
    RH_STRAY,
    RH_RECOVER,
    RH_BURY,
    RH_OPENED,
    RH_CLAIM,
    RH_CLAIMED,
    RH_DECIDE,
    RH_STALE,
    RH_MOVE,
    RH_SYNCED,
    RH_SEND,
    RH_SENT,
    RH_KEEP,
    RH_KEPT,
    RH_DROP,
    RH_DROPPED,
    RH_CLOSED,
    RH_NAMED,
    RH_END
};

enum verdict { STAYS, MOVES, STALE };

struct claim {
    struct msg msg;
    struct rehome *from;
    struct store *store; /* that has it */
    struct partition *p;
    struct topic_id id;
    int32_t number;
    uint32_t journal;
    uint64_t home;
    enum verdict verdict;
    struct out record; /* read by the owner while it is there */
    enum status status;
};

struct rehome {
    struct task task, *parent;
    struct store *store;
    uint32_t journals, next; /* next: stray journal to open */
    struct store **stores;   /* [0]: the shard's own; then strays */
    uint32_t store_count, closing;
    struct recovery *recovery;
    struct burial *burial;
    uint8_t *pages;
    struct claim *claims;          /* ours */
    uint32_t claim_count, waiting; /* waiting: messages that have not come back */
    struct claim **asked;          /* of us as owner */
    uint32_t asked_count, asked_capacity;
    uint32_t barrier; /* passed so far; the meeting after replay is the first */
    bool arrived;
    struct commit_waiter saved;
    enum status saved_status;
    struct store_close close;
    struct store_open discarded;
    struct io_op op, op2;
    struct path path, path2;
    struct timer again;
    uint64_t moved_bytes; /* as last seen to grow, at: */
    struct mono_ns moved_at;
    enum status status;
    char error[512];
};

static const struct flow rehome_flow;

static struct rehome *rehome_of(struct task *t)
{
    return container_of(t, struct rehome, task);
}

static int fail(struct rehome *h, enum status status, const char *format, ...) __attribute__((format(printf, 3, 4)));

static int fail(struct rehome *h, enum status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(h->error, sizeof h->error, format, args);
    va_end(args);
    h->status = status;
    return RH_END;
}

static void again_fire(struct timer *timer)
{
    task_wake(&container_of(timer, struct rehome, again)->task);
}

static int wait_a_little(struct rehome *h, int next)
{
    h->again.fire = again_fire;
    env_timer_start(h->store->env, &h->again, mono_add(h->store->env->now, SOON_NS));
    return STAGE_WAIT(next);
}

/* All shards meet here; *ret_next: where to go if not all have come, or one has failed. */
static bool met(struct rehome *h, int again, int *ret_next)
{
    struct disk *d = h->store->disk;
    if (!h->arrived) disk_shard_replayed(d, true);
    h->arrived = true;
    if (disk_replay_failed(d) || store_fenced(h->store)) {
        *ret_next = fail(h, STATUS_CANCELED, "another shard could not re-home its part of %.300s", h->store->dir.s);
        return false;
    }
    if (disk_shards_replayed(d) < (h->barrier + 1) * h->store->env->shard_count) {
        *ret_next = wait_a_little(h, again);
        return false;
    }
    h->barrier++;
    h->arrived = false;
    return true;
}

/* --- journals without a shard --- */

static int rh_stray(struct task *t)
{
    struct rehome *h = rehome_of(t);
    if (h->next >= h->journals) return RH_OPENED;
    path_set(&h->path, "%s/journal-%03u", h->store->dir.s, h->next);
    h->op = (struct io_op){.kind = IO_STAT, .task = t, .path = h->path.s};
    env_submit(h->store->env, &h->op);
    return STAGE_WAIT(RH_RECOVER);
}

static void stray_recovered(struct recovery *r)
{
    task_wake(&r->store->rehome->task);
}

static int rh_recover(struct task *t)
{
    struct rehome *h = rehome_of(t);
    struct mem *m = h->store->env->mem;
    uint32_t number = h->next;
    h->next += h->store->env->shard_count;
    if (h->op.status == STATUS_NOT_FOUND) /* emptied and removed by a start before, or it should be there */
        return number >= disk_journals_made(h->store->disk) ? RH_STRAY
                                                            : fail(h, STATUS_DAMAGED, "%s is missing", h->path.s);
    struct store *s = store_new(h->store->env, h->store->disk, &h->store->config, number);
    s->directory = h->store->directory;
    s->rehome = h;
    h->stores[h->store_count++] = s;
    h->recovery = mem_zalloc(m, MEM_CONTROL, sizeof *h->recovery);
    CHECK(h->recovery != NULL);
    h->recovery->pages = h->pages;
    h->recovery->paths = mem_alloc(m, MEM_CONTROL, (RING_FILES_MAX + 4) * sizeof(struct path));
    h->recovery->window = buf_create(m, MEM_LOG, SCAN_WINDOW_BYTES);
    CHECK(h->recovery->paths != NULL && h->recovery->window != NULL);
    h->recovery->done = stray_recovered;
    STORE_LOG(s, LOG_INFO, "journal.without_shard", LOG_STR("journal", h->path.s));
    recovery_start(h->recovery, s);
    return STAGE_WAIT(RH_BURY);
}

static int rh_bury(struct task *t)
{
    struct rehome *h = rehome_of(t);
    struct store *s = h->stores[h->store_count - 1];
    if (h->recovery != NULL) {
        struct recovery *r = h->recovery;
        struct mem *m = h->store->env->mem;
        if (r->status != STATUS_OK) fail(h, r->status, "%s", r->error);
        buf_unref(&r->window);
        mem_free(m, MEM_CONTROL, r->paths, (RING_FILES_MAX + 4) * sizeof(struct path));
        mem_free(m, MEM_CONTROL, r, sizeof *r);
        h->recovery = NULL;
        if (h->status != STATUS_OK) return RH_END;
        if (list_empty(&s->graves)) return RH_STRAY;
        h->burial = burial_start(s, t);
        return STAGE_WAIT(RH_BURY);
    }
    enum status status = burial_end(h->burial);
    if (status != STATUS_OK)
        return fail(h, status, "%s: a deleted partition cannot go to the trash: %s", s->dir.s, status_text(status));
    return RH_STRAY;
}

static int rh_opened(struct task *t)
{
    struct rehome *h = rehome_of(t);
    struct env *e = h->store->env;
    bool needed = h->store_count > 1;
    for (uint32_t i = 0; i < partition_map_count(h->store->map); i++) {
        const struct partition *p = partition_map_at(h->store->map, i);
        needed |= partition_shard(p->id, p->number, e->shard_count) != e->shard;
    }
    disk_rehome_set(h->store->disk, e->shard, h, needed);
    return RH_END;
}

bool rehome_needed(const struct store *s)
{
    return disk_rehome_needed(s->disk);
}

/* --- claims --- */

static void came_back(struct env *e, struct msg *m)
{
    (void)e;
    struct rehome *h = container_of(m, struct claim, msg)->from;
    if (--h->waiting == 0 && h->task.waiting) task_wake(&h->task);
}

static void send_back(struct env *e, struct claim *c)
{
    c->msg.run = came_back;
    env_post(e, c->from->store->env->shard, &c->msg);
}

static void claim_comes(struct env *e, struct msg *m)
{
    struct claim *c = container_of(m, struct claim, msg);
    struct rehome *h = disk_rehome_of(c->from->store->disk, e->shard);
    if (h->asked_count == h->asked_capacity) {
        uint32_t capacity = MAX(64u, 2 * h->asked_capacity);
        h->asked = mem_realloc(e->mem, MEM_CONTROL, h->asked, h->asked_capacity * sizeof(struct claim *),
                               capacity * sizeof(struct claim *));
        CHECK(h->asked != NULL);
        h->asked_capacity = capacity;
    }
    h->asked[h->asked_count++] = c;
    send_back(e, c);
}

static void post_claim(struct rehome *h, struct claim *c, void (*run)(struct env *, struct msg *))
{
    struct env *e = h->store->env;
    c->msg.run = run;
    h->waiting++;
    env_post(e, partition_shard(c->id, c->number, e->shard_count), &c->msg);
}

static int rh_claim(struct task *t)
{
    struct rehome *h = rehome_of(t);
    uint32_t n = 0, i = 0;
    for (uint32_t k = 0; k < h->store_count; k++) n += partition_map_count(h->stores[k]->map);
    for (uint32_t k = 0; k < h->store_count; k++) h->stores[k]->settled = true;
    h->claim_count = n;
    if (n == 0) return RH_CLAIMED;
    h->claims = mem_zalloc(h->store->env->mem, MEM_CONTROL, n * sizeof *h->claims);
    if (h->claims == NULL)
        return fail(h, STATUS_NO_MEMORY, "leat.memory.bytes is too small to re-home %u partitions", n);
    for (uint32_t k = 0; k < h->store_count; k++) {
        for (uint32_t at = 0; at < partition_map_count(h->stores[k]->map); at++) {
            struct partition *p = partition_map_at(h->stores[k]->map, at);
            p->held = false;
            h->claims[i] = (struct claim){.from = h,
                                          .store = h->stores[k],
                                          .p = p,
                                          .id = p->id,
                                          .number = p->number,
                                          .journal = h->stores[k]->number,
                                          .home = p->home};
            out_init(&h->claims[i++].record, h->store->env->mem);
        }
    }
    CHECK(i == n);
    for (i = 0; i < n; i++) post_claim(h, &h->claims[i], claim_comes);
    return STAGE_WAIT(RH_CLAIMED);
}

static int by_home(const void *a, const void *b)
{
    const struct claim *x = *(struct claim *const *)a, *y = *(struct claim *const *)b;
    int order = topic_id_compare(x->id, y->id);
    if (order == 0) order = (x->number > y->number) - (x->number < y->number);
    if (order == 0) order = (x->home < y->home) - (x->home > y->home); /* the highest first */
    return order != 0 ? order : (x->journal > y->journal) - (x->journal < y->journal);
}

/* The verdicts are written where the claims lie; their shards read them after the next barrier. */
static int rh_claimed(struct task *t)
{
    struct rehome *h = rehome_of(t);
    int next;
    if (!met(h, RH_CLAIMED, &next)) return next;
    if (h->asked_count > 0) qsort(h->asked, h->asked_count, sizeof(struct claim *), by_home);
    for (uint32_t i = 0; i < h->asked_count; i++) {
        struct claim *c = h->asked[i], *before = i > 0 ? h->asked[i - 1] : NULL;
        bool first = before == NULL || before->number != c->number || topic_id_compare(before->id, c->id) != 0;
        c->verdict = !first ? STALE : c->store == h->store ? STAYS : MOVES;
    }
    return RH_DECIDE;
}

static int rh_decide(struct task *t)
{
    struct rehome *h = rehome_of(t);
    int next;
    if (!met(h, RH_DECIDE, &next)) return next;
    for (uint32_t i = 0; i < h->claim_count; i++) h->claims[i].p->held = h->claims[i].verdict == STALE;
    for (uint32_t k = 0; k < h->store_count; k++) mover_force(h->stores[k]->mover, true);
    return RH_STALE;
}

static void leave(struct claim *c)
{
    struct partition *p = c->p;
    checkpoint_drop(c->store->table, p->id, p->number, p->home);
    partition_map_remove(c->store->map, p);
    partition_free(p);
    c->p = NULL;
}

static int rh_stale(struct task *t)
{
    struct rehome *h = rehome_of(t);
    for (uint32_t i = 0; i < h->claim_count; i++) {
        struct claim *c = &h->claims[i];
        if (c->verdict != STALE || c->p == NULL) continue;
        if (c->p->move != NULL) return wait_a_little(h, RH_STALE);
        leave(c);
    }
    return RH_MOVE;
}

/* Nothing has moved for a while: there is no space (A10), and the trash is not emptied before the store serves. */
static bool stuck(struct rehome *h)
{
    uint64_t bytes = 0;
    struct mono_ns now = h->store->env->now;
    for (uint32_t k = 0; k < h->store_count; k++) bytes += h->stores[k]->count.moved_bytes;
    if (h->moved_at.v == 0 || bytes != h->moved_bytes) h->moved_at = now;
    h->moved_bytes = bytes;
    return now.v - h->moved_at.v > STUCK_NS;
}

static int rh_move(struct task *t)
{
    struct rehome *h = rehome_of(t);
    bool moved = true;
    if (store_fenced(h->store))
        return fail(h, STATUS_IO_ERROR, "%s: a write failed while partitions were re-homed", h->store->dir.s);
    for (uint32_t k = 0; k < h->store_count; k++) moved &= mover_all_moved(h->stores[k]->mover);
    if (!moved && stuck(h))
        return fail(h, STATUS_NO_SPACE,
                    "%s: no space to move partitions to their new shards: make room, or start once "
                    "more with as many shards (leat.shards) as before",
                    h->store->dir.s);
    if (!moved) return wait_a_little(h, RH_MOVE);
    for (uint32_t k = 0; k < h->store_count; k++) mover_force(h->stores[k]->mover, false);
    h->op = (struct io_op){.kind = IO_SYNC_FS, .task = t, .file = h->store->journal->control_file};
    env_submit(h->store->env, &h->op);
    return STAGE_WAIT(RH_SYNCED);
}

static int rh_synced(struct task *t)
{
    struct rehome *h = rehome_of(t);
    int next;
    if (h->op.status != STATUS_OK)
        return fail(h, h->op.status, "%s: cannot be synced: %s", h->store->dir.s, status_text(h->op.status));
    return met(h, RH_SYNCED, &next) ? RH_SEND : next;
}

/* --- from the old home to the new one --- */

static enum status take_in(struct store *s, const struct claim *c)
{
    struct record record;
    size_t pos = 0;
    enum status status = table_record_decode(c->record.data, c->record.len, &pos, &record);
    if (status != STATUS_OK) return status;
    struct partition *p = partition_new(s, record.topic, record.id, record.number);
    status = p != NULL ? table_record_take(&record, p) : STATUS_NO_MEMORY;
    if (status == STATUS_OK) status = partition_map_add(s->map, p);
    if (status != STATUS_OK && p != NULL) partition_free(p);
    if (status != STATUS_OK) return status;
    p->home = c->home + 1;
    s->creations = MAX(s->creations, p->creation);
    partition_touch(p);
    partition_check(p);
    return STATUS_OK;
}

static void record_comes(struct env *e, struct msg *m)
{
    struct claim *c = container_of(m, struct claim, msg);
    c->status = take_in(disk_rehome_of(c->from->store->disk, e->shard)->store, c);
    send_back(e, c);
}

static int rh_send(struct task *t)
{
    struct rehome *h = rehome_of(t);
    for (uint32_t i = 0; i < h->claim_count; i++) {
        struct claim *c = &h->claims[i];
        if (c->verdict != MOVES) continue;
        table_record(&c->record, c->p, PRODUCERS_WHOLE);
        if (c->record.failed) return fail(h, STATUS_NO_MEMORY, "leat.memory.bytes is too small to re-home partitions");
    }
    for (uint32_t i = 0; i < h->claim_count; i++)
        if (h->claims[i].verdict == MOVES) post_claim(h, &h->claims[i], record_comes);
    return h->waiting > 0 ? STAGE_WAIT(RH_SENT) : RH_SENT;
}

static int rh_sent(struct task *t)
{
    struct rehome *h = rehome_of(t);
    int next;
    for (uint32_t i = 0; i < h->claim_count; i++) {
        struct claim *c = &h->claims[i];
        out_free(&c->record);
        if (c->verdict == MOVES && c->status != STATUS_OK)
            return fail(h, c->status, "%s-%d cannot be re-homed: %s", c->p->topic, c->number, status_text(c->status));
    }
    return met(h, RH_SENT, &next) ? RH_KEEP : next;
}

static void saved(struct commit_waiter *w, enum status status)
{
    struct rehome *h = container_of(w, struct rehome, saved);
    h->saved_status = status;
    task_wake(&h->task);
}

static int save(struct rehome *h, int next)
{
    h->saved.durable = saved;
    checkpoint_request(h->store->table, &h->saved);
    return STAGE_WAIT(next);
}

static int not_saved(struct rehome *h)
{
    return fail(h, h->saved_status, "%s: no checkpoint could be written while partitions were re-homed: %s",
                h->store->dir.s, status_text(h->saved_status));
}

static int rh_keep(struct task *t)
{
    return save(rehome_of(t), RH_KEPT);
}

static int rh_kept(struct task *t)
{
    struct rehome *h = rehome_of(t);
    int next;
    if (h->saved_status != STATUS_OK) return not_saved(h);
    return met(h, RH_KEPT, &next) ? RH_DROP : next;
}

static int rh_drop(struct task *t)
{
    struct rehome *h = rehome_of(t);
    for (uint32_t i = 0; i < h->claim_count; i++)
        if (h->claims[i].verdict == MOVES) leave(&h->claims[i]);
    h->closing = 1;
    return save(h, RH_DROPPED);
}

static void stray_closed(struct store_close *op)
{
    task_wake(&container_of(op, struct rehome, close)->task);
}

/* The strays are empty now: closed with a last checkpoint, and away. */
static int rh_dropped(struct task *t)
{
    struct rehome *h = rehome_of(t);
    int next;
    if (h->saved_status != STATUS_OK) return not_saved(h);
    if (h->closing >= h->store_count) return met(h, RH_DROPPED, &next) ? RH_END : next;
    struct store *s = h->stores[h->closing];
    char name[32];
    snprintf(name, sizeof name, "journal-%03u", s->number);
    path_set(&h->path, "%s/%s", s->dir.s, name);
    kept_path(s, STORE_TRASH, name, &(struct kept){.number = (int32_t)s->number}, &h->path2);
    h->close = (struct store_close){.done = stray_closed};
    store_close(s, &h->close);
    return STAGE_WAIT(RH_CLOSED);
}

static int rh_closed(struct task *t)
{
    struct rehome *h = rehome_of(t);
    h->closing++;
    if (h->close.status != STATUS_OK)
        return fail(h, h->close.status, "%s: cannot be emptied: %s", h->path.s, status_text(h->close.status));
    h->op = (struct io_op){.kind = IO_RENAME, .task = t, .path = h->path.s, .path2 = h->path2.s};
    env_submit(h->store->env, &h->op);
    return STAGE_WAIT(RH_NAMED);
}

static int rh_named(struct task *t)
{
    struct rehome *h = rehome_of(t);
    if (h->op.status != STATUS_OK)
        return fail(h, h->op.status, "%s: cannot go to the trash: %s", h->path.s, status_text(h->op.status));
    if (h->op.kind == IO_SYNC_DIR) return RH_DROPPED;
    h->op = (struct io_op){.kind = IO_SYNC_DIR, .task = t, .path = h->store->dir.s};
    env_submit(h->store->env, &h->op);
    return STAGE_WAIT(RH_NAMED);
}

static int rh_end(struct task *t)
{
    struct rehome *h = rehome_of(t);
    if (h->status != STATUS_OK && h->barrier > 0) disk_shard_replayed(h->store->disk, false);
    if (--h->parent->pending_ops == 0 && h->parent->waiting) task_wake(h->parent);
    return STAGE_DONE;
}

#define FAILS STAGE_BIT(RH_END)

static const struct stage rehome_stages[] = {
    [RH_STRAY] = {"stray", rh_stray, STAGE_BIT(RH_RECOVER) | STAGE_BIT(RH_OPENED)},
    [RH_RECOVER] = {"recover", rh_recover, STAGE_BIT(RH_STRAY) | STAGE_BIT(RH_BURY) | FAILS},
    [RH_BURY] = {"bury", rh_bury, STAGE_BIT(RH_BURY) | STAGE_BIT(RH_STRAY) | FAILS},
    [RH_OPENED] = {"opened", rh_opened, FAILS},
    [RH_CLAIM] = {"claim", rh_claim, STAGE_BIT(RH_CLAIMED) | FAILS},
    [RH_CLAIMED] = {"claimed", rh_claimed, STAGE_BIT(RH_CLAIMED) | STAGE_BIT(RH_DECIDE) | FAILS},
    [RH_DECIDE] = {"decide", rh_decide, STAGE_BIT(RH_DECIDE) | STAGE_BIT(RH_STALE) | FAILS},
    [RH_STALE] = {"stale", rh_stale, STAGE_BIT(RH_STALE) | STAGE_BIT(RH_MOVE)},
    [RH_MOVE] = {"move", rh_move, STAGE_BIT(RH_MOVE) | STAGE_BIT(RH_SYNCED) | FAILS},
    [RH_SYNCED] = {"synced", rh_synced, STAGE_BIT(RH_SYNCED) | STAGE_BIT(RH_SEND) | FAILS},
    [RH_SEND] = {"send", rh_send, STAGE_BIT(RH_SENT) | FAILS},
    [RH_SENT] = {"sent", rh_sent, STAGE_BIT(RH_SENT) | STAGE_BIT(RH_KEEP) | FAILS},
    [RH_KEEP] = {"keep", rh_keep, STAGE_BIT(RH_KEPT)},
    [RH_KEPT] = {"kept", rh_kept, STAGE_BIT(RH_KEPT) | STAGE_BIT(RH_DROP) | FAILS},
    [RH_DROP] = {"drop", rh_drop, STAGE_BIT(RH_DROPPED)},
    [RH_DROPPED] = {"dropped", rh_dropped, STAGE_BIT(RH_DROPPED) | STAGE_BIT(RH_CLOSED) | FAILS},
    [RH_CLOSED] = {"closed", rh_closed, STAGE_BIT(RH_NAMED) | FAILS},
    [RH_NAMED] = {"named", rh_named, STAGE_BIT(RH_NAMED) | STAGE_BIT(RH_DROPPED) | FAILS},
    [RH_END] = {"end", rh_end, 0},
};

static const struct flow rehome_flow = {"rehome", rehome_stages, COUNT_OF(rehome_stages)};

static uint32_t strays_max(uint32_t journals, const struct env *e)
{
    return journals / e->shard_count + 2;
}

struct rehome *rehome_open(struct store *s, uint32_t journals, struct task *parent)
{
    struct mem *m = s->env->mem;
    struct rehome *h = mem_zalloc(m, MEM_CONTROL, sizeof *h);
    CHECK(h != NULL);
    h->store = s;
    h->journals = journals;
    h->next = s->env->shard + s->env->shard_count;
    h->stores = mem_alloc(m, MEM_CONTROL, strays_max(journals, s->env) * sizeof(struct store *));
    h->pages = mem_alloc_aligned(m, MEM_CONTROL, 2 * BLOCK_BYTES);
    CHECK(h->stores != NULL && h->pages != NULL);
    h->stores[h->store_count++] = s;
    h->parent = parent;
    parent->pending_ops++;
    task_start(s->env->runner, &h->task, &rehome_flow, RH_STRAY);
    return h;
}

void rehome_start(struct rehome *h, struct task *parent)
{
    h->parent = parent;
    h->barrier = 1;
    parent->pending_ops++;
    task_start(h->store->env->runner, &h->task, &rehome_flow, RH_CLAIM);
}

enum status rehome_status(const struct rehome *h, const char **ret_error)
{
    *ret_error = h->error;
    return h->status;
}

static void stray_discarded(struct store_open *op)
{
    struct rehome *h = container_of(op, struct rehome, discarded);
    h->parent->pending_ops--;
    if (h->parent->waiting) task_wake(h->parent);
}

bool rehome_discard(struct rehome *h, struct task *parent)
{
    if (h->store_count == MAX(h->closing, 1u)) return false;
    struct store *s = h->stores[--h->store_count];
    h->parent = parent;
    parent->pending_ops++;
    h->discarded.done = stray_discarded;
    store_discard(s, &h->discarded);
    return true;
}

void rehome_free(struct rehome *h)
{
    struct mem *m = h->store->env->mem;
    for (uint32_t i = 0; i < h->claim_count && h->claims != NULL; i++) out_free(&h->claims[i].record);
    mem_free(m, MEM_CONTROL, h->claims, h->claim_count * sizeof *h->claims);
    mem_free(m, MEM_CONTROL, h->asked, h->asked_capacity * sizeof(struct claim *));
    mem_free(m, MEM_CONTROL, h->stores, strays_max(h->journals, h->store->env) * sizeof(struct store *));
    mem_free_aligned(m, MEM_CONTROL, h->pages, 2 * BLOCK_BYTES);
    mem_free(m, MEM_CONTROL, h, sizeof *h);
}

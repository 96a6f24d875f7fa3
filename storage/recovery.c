// SPDX-License-Identifier: Apache-2.0
/* Recovery of one journal:
 *
 *   open, lock, control   the control file, flock on its own open file (waits for a killed process' writes, rule A7)
 *   ring, ring lock       every ring file, locked likewise, and both table files
 *   table, load, loaded   the newest table that is whole: partitions as of sequence S
 *   window, scan ...      replay of the ring (ring_scan.c)
 *   flush, prove ...      what was read back may be in a cache only: written again where no flush is known to have
 *                         covered it, and flushed (prove.c)
 *   note, noted           the new incarnation and the accepted end, durably, before anything is served (rule A7)
 *   make ...              no directory: a new journal (ring_make.c)
 *
 * Running it twice gives the same: before the note bytes are only written where the same bytes were read, and the note
 * repeats what was found. */
#include "storage/recovery.h"

#include "base/bytes.h"
#include "storage/commit.h"
#include "storage/recut.h"
#include <stdarg.h>
#include <stdio.h>

#define LOCK_AGAIN_NS (5 * NS_PER_MS)

static const struct flow recovery_flow;

int recovery_fail(struct recovery *r, enum status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(r->error, sizeof r->error, format, args);
    va_end(args);
    r->status = status;
    return REC_DONE;
}

static int rec_stat(struct task *t)
{
    struct recovery *r = container_of(t, struct recovery, task);
    r->ops[0] = (struct io_op){.kind = IO_STAT, .task = t, .path = r->dir.s};
    env_submit(r->store->env, &r->ops[0]);
    return STAGE_WAIT(REC_OPEN);
}

static int rec_open(struct task *t)
{
    struct recovery *r = container_of(t, struct recovery, task);
    if (r->ops[0].status == STATUS_NOT_FOUND && r->store->number < disk_journals_made(r->store->disk))
        return recovery_fail(
            r, STATUS_DAMAGED,
            "%s is missing: acknowledged records are in it; restore this directory from a replica or a "
            "backup",
            r->dir.s);
    if (r->ops[0].status == STATUS_NOT_FOUND) return REC_MAKE;
    if (r->ops[0].status != STATUS_OK)
        return recovery_fail(r, r->ops[0].status, "%s: %s", r->dir.s, status_text(r->ops[0].status));
    path_set(&r->paths[0], "%s/control", r->dir.s);
    r->ops[0] = (struct io_op){.kind = IO_OPEN, .task = t, .path = r->paths[0].s, .flags = IO_DIRECT};
    r->lock_deadline = mono_add(r->store->env->now, RECOVERY_LOCK_WAIT_NS);
    env_submit(r->store->env, &r->ops[0]);
    return STAGE_WAIT(REC_LOCK);
}

static int rec_lock(struct task *t)
{
    struct recovery *r = container_of(t, struct recovery, task);
    if (r->ops[0].kind == IO_OPEN) {
        enum status status = r->ops[0].status;
        if (status != STATUS_OK)
            return recovery_fail(
                r, status == STATUS_NOT_FOUND ? STATUS_DAMAGED : status,
                "%s: cannot be opened: %s; without it the journal beside it cannot be read: restore it", r->paths[0].s,
                status_text(status));
        r->journal->control_file = (int32_t)r->ops[0].result;
    }
    r->ops[0] = (struct io_op){.kind = IO_LOCK, .task = t, .file = r->journal->control_file};
    env_submit(r->store->env, &r->ops[0]);
    return STAGE_WAIT(REC_LOCKED);
}

static void again_fire(struct timer *timer)
{
    struct recovery *r = container_of(timer, struct recovery, again);
    task_wake(&r->task);
}

/* A lock that is held: another process, or the writes of a killed one. Waits, then gives up with a sentence. */
int recovery_lock_again(struct recovery *r, enum status status, int stage)
{
    if (status != STATUS_LOCKED)
        return recovery_fail(r, status, "%s: cannot be locked: %s", r->dir.s, status_text(status));
    if (r->store->env->now.v > r->lock_deadline.v)
        return recovery_fail(r, status, "%s is in use by another process; stop that leatd, or choose another log.dirs",
                             r->store->dir.s);
    r->again.fire = again_fire;
    env_timer_start(r->store->env, &r->again, mono_add(r->store->env->now, LOCK_AGAIN_NS));
    return STAGE_WAIT(stage);
}

static int rec_locked(struct task *t)
{
    struct recovery *r = container_of(t, struct recovery, task);
    if (r->ops[0].status != STATUS_OK) return recovery_lock_again(r, r->ops[0].status, REC_LOCK);
    transfer_start(r->store->env, &r->read, t, IO_READ, r->journal->control_file, r->pages, 2 * BLOCK_BYTES, 0, 0);
    return STAGE_WAIT(REC_CONTROL);
}

static int pick_control(struct recovery *r)
{
    struct control *c = &r->journal->control, *page = mem_alloc(r->store->env->mem, MEM_CONTROL, sizeof *page);
    uint32_t version, other = 0, found = 0;
    if (page == NULL) return recovery_fail(r, STATUS_NO_MEMORY, "not enough memory");
    for (int i = 0; i < 2; i++) {
        enum status status = control_decode(r->pages + (size_t)i * BLOCK_BYTES, page, &version);
        if (status == STATUS_OK) {
            if (found == 0 || page->page > c->page) *c = *page;
            found++;
        } else if (status == STATUS_FORMAT && version != 0) {
            other = version; /* a sound page */
        }
    }
    mem_free(r->store->env->mem, MEM_CONTROL, page, sizeof *page);
    if (other > 0)
        return recovery_fail(r, STATUS_FORMAT,
                             "%s: written in format %u, this Leat reads format %u: use the version "
                             "that wrote it",
                             r->paths[0].s, other, CONTROL_VERSION);
    if (found == 0)
        return recovery_fail(r, STATUS_DAMAGED,
                             "%s: damaged: both pages fail their checksum; restore this directory from a "
                             "replica or a backup",
                             r->paths[0].s);
    return REC_RING;
}

static int rec_control(struct task *t)
{
    struct recovery *r = container_of(t, struct recovery, task);
    if (r->read.status != STATUS_OK)
        return recovery_fail(r, r->read.status, "%s: cannot be read: %s", r->paths[0].s, status_text(r->read.status));
    memset(r->pages + r->read.moved, 0, 2 * BLOCK_BYTES - r->read.moved);
    int next = pick_control(r);
    if (next != REC_RING) return next;
    struct control *c = &r->journal->control;
    if (memcmp(c->directory.b, r->store->directory.b, sizeof c->directory.b) != 0 || c->shard != r->store->number)
        return recovery_fail(r, STATUS_FORMAT,
                             "%s belongs to another log directory, or to another place in it: put the right one there",
                             r->dir.s);
    r->op_count = c->file_count + 2;
    for (uint32_t i = 0; i < r->op_count; i++) {
        if (i < c->file_count)
            path_set(&r->paths[i], "%s/ring-%06u", r->dir.s, c->files[i].number);
        else
            path_set(&r->paths[i], "%s/table-%u", r->dir.s, i - c->file_count);
        r->ops[i] = (struct io_op){.kind = IO_OPEN, .task = t, .path = r->paths[i].s, .flags = IO_DIRECT};
        env_submit(r->store->env, &r->ops[i]);
    }
    return STAGE_WAIT(REC_RING);
}

static int rec_ring(struct task *t)
{
    struct recovery *r = container_of(t, struct recovery, task);
    struct journal *j = r->journal;
    for (uint32_t i = 0; i < r->op_count; i++) {
        if (r->ops[i].status != STATUS_OK) {
            if (r->status == STATUS_OK)
                recovery_fail(r, r->ops[i].status == STATUS_NOT_FOUND ? STATUS_DAMAGED : r->ops[i].status,
                              "%s: cannot be opened: %s; it is part of the journal: restore it", r->paths[i].s,
                              status_text(r->ops[i].status));
            continue;
        }
        int32_t handle = (int32_t)r->ops[i].result;
        if (i >= j->control.file_count) {
            r->store->table->files[i - j->control.file_count] = handle;
            continue;
        }
        j->slots[j->slot_count] = (struct ring_slot){
            .number = j->control.files[i].number, .bytes = j->control.files[i].bytes, .file = handle};
        j->order[j->slot_count] = j->slot_count;
        j->slot_count++;
    }
    return r->status == STATUS_OK ? REC_RING_LOCK : REC_DONE;
}

static int rec_ring_lock(struct task *t)
{
    struct recovery *r = container_of(t, struct recovery, task);
    for (uint32_t i = 0; i < r->journal->slot_count; i++) {
        r->ops[i] = (struct io_op){.kind = IO_LOCK, .task = t, .file = r->journal->slots[i].file};
        env_submit(r->store->env, &r->ops[i]);
    }
    return STAGE_WAIT(REC_RING_LOCKED);
}

static int rec_ring_locked(struct task *t)
{
    struct recovery *r = container_of(t, struct recovery, task);
    for (uint32_t i = 0; i < r->journal->slot_count; i++)
        if (r->ops[i].status != STATUS_OK) return recovery_lock_again(r, r->ops[i].status, REC_RING_LOCK);
    for (uint32_t i = 0; i < 2; i++) {
        path_set(&r->paths[i], "%s/table-%u", r->dir.s, i);
        r->ops[i] = (struct io_op){.kind = IO_STAT, .task = t, .path = r->paths[i].s};
        env_submit(r->store->env, &r->ops[i]);
    }
    return STAGE_WAIT(REC_TABLE);
}

static int rec_table(struct task *t)
{
    struct recovery *r = container_of(t, struct recovery, task);
    struct transfer *reads[2] = {&r->read, &r->read2};
    bool reading = false;
    r->read.status = r->read2.status = STATUS_OK;
    for (int i = 0; i < 2; i++) {
        if (r->ops[i].status != STATUS_OK)
            return recovery_fail(r, r->ops[i].status, "%s: %s", r->paths[i].s, status_text(r->ops[i].status));
        r->table_bytes[i] = align_down((uint64_t)r->ops[i].result, BLOCK_BYTES);
    }
    for (int i = 0; i < 2; i++) {
        if (r->table_bytes[i] == 0) continue;
        r->tables[i] = buf_create(r->store->env->mem, MEM_LOG, r->table_bytes[i]);
        if (r->tables[i] == NULL) {
            recovery_fail(r, STATUS_NO_MEMORY, "%s: leat.memory.bytes is too small to read it", r->paths[i].s);
            break;
        }
        r->store->table->allocated[i] = r->table_bytes[i];
        transfer_start(r->store->env, reads[i], t, IO_READ, r->store->table->files[i], r->tables[i]->data,
                       (uint32_t)r->table_bytes[i], 0, 0);
        reading = true;
    }
    return reading ? STAGE_WAIT(REC_LOAD) : r->status != STATUS_OK ? REC_DONE : REC_LOAD;
}

/* Where replay begins: the place that the table names. */
static int find_start(struct recovery *r)
{
    struct journal *j = r->journal;
    for (uint32_t i = 0; i < j->slot_count; i++) {
        if (j->slots[j->order[i]].number != r->start_file) continue;
        r->at_file = i;
        return REC_WINDOW;
    }
    return recovery_fail(r, STATUS_DAMAGED, "%s: the table names ring file %u, which the control page does not",
                         r->dir.s, r->start_file);
}

static int rec_load(struct task *t)
{
    struct recovery *r = container_of(t, struct recovery, task);
    if (r->status != STATUS_OK) return REC_DONE;
    if (r->read.status != STATUS_OK || r->read2.status != STATUS_OK)
        return recovery_fail(r, STATUS_IO_ERROR, "%s: cannot read the checkpoint table", r->dir.s);
    if (recovery_load_table(r) != STATUS_OK) return REC_DONE;
    return recovery_prove_table(r, REC_LOADED);
}

static int rec_loaded(struct task *t)
{
    struct recovery *r = container_of(t, struct recovery, task);
    if (r->read2.status != STATUS_OK)
        return recovery_fail(r, r->read2.status, "%s/table-%u: cannot be written: %s", r->dir.s, r->last_file,
                             status_text(r->read2.status));
    for (int i = 0; i < 2; i++)
        if (r->tables[i] != NULL) buf_unref(&r->tables[i]);
    r->journal->next_sequence = r->journal->mark_sequence = r->next;
    r->replay.store = r->store;
    r->proven = r->journal->control.accepted_end; /* the start that noted it had flushed that much */
    r->ops[0].status = STATUS_OK;
    return find_start(r);
}

static int rec_flush(struct task *t)
{
    struct recovery *r = container_of(t, struct recovery, task);
    struct journal *j = r->journal;
    if (r->next <= r->replay.table_sequence)
        return recovery_fail(r, STATUS_DAMAGED,
                             "%s: the journal ends at group %llu, but the checkpoint table stands for %llu: "
                             "acknowledged records are missing; restore this directory from a replica or a backup",
                             r->dir.s, (unsigned long long)(r->next - 1), (unsigned long long)r->replay.table_sequence);
    if (r->next_tries > 0) {
        r->at_file = r->back_file;
        r->at_pos = r->back_pos;
    }
    j->head = r->at_file;
    j->head_pos = r->at_pos;
    j->chain = r->chain;
    j->next_sequence = r->next;
    enum status status = replay_finish(&r->replay);
    if (status == STATUS_BUSY && recut_start(&r->replay.cut, t, &r->recut)) return STAGE_WAIT(REC_RECUT);
    if (status == STATUS_BUSY) status = STATUS_NO_MEMORY;
    if (status != STATUS_OK)
        return recovery_fail(r, status, "%s: the replay of the journal cannot be ended: %s", r->dir.s,
                             status_text(status));
    r->proven_next = REC_NOTE;
    return REC_PROVE;
}

static int rec_note(struct task *t)
{
    struct recovery *r = container_of(t, struct recovery, task);
    struct control *c = &r->journal->control;
    if (r->ops[0].status != STATUS_OK)
        return recovery_fail(r, r->ops[0].status, "%s: cannot be flushed: %s", r->dir.s, status_text(r->ops[0].status));
    c->incarnation++;
    c->page++;
    c->accepted_end = r->next - 1;
    c->flags = 0;
    control_encode(r->pages, c);
    transfer_start(r->store->env, &r->read, t, IO_WRITE, r->journal->control_file, r->pages, BLOCK_BYTES,
                   c->page % 2 * BLOCK_BYTES, IO_DSYNC);
    return STAGE_WAIT(REC_NOTED);
}

static int rec_noted(struct task *t)
{
    struct recovery *r = container_of(t, struct recovery, task);
    if (r->read.status != STATUS_OK)
        return recovery_fail(r, r->read.status, "%s: cannot write the control page: %s", r->dir.s,
                             status_text(r->read.status));
    if (r->making) return REC_MAKE_RENAME;
    journal_start(r->journal);
    return REC_DONE;
}

static int rec_done(struct task *t)
{
    struct recovery *r = container_of(t, struct recovery, task);
    for (int i = 0; i < 2; i++)
        if (r->tables[i] != NULL) buf_unref(&r->tables[i]);
    if (r->copy != NULL) buf_unref(&r->copy);
    if (r->taken != NULL) buf_unref(&r->taken);
    if (r->replay.cut.payload != NULL) buf_unref(&r->replay.cut.payload);
    r->store->hold_moves = false;
    r->done(r);
    return STAGE_DONE;
}

#define FAILS STAGE_BIT(REC_DONE)

static const struct stage recovery_stages[REC_STAGES] = {
    [REC_STAT] = {"stat", rec_stat, STAGE_BIT(REC_OPEN)},
    [REC_OPEN] = {"open", rec_open, STAGE_BIT(REC_LOCK) | STAGE_BIT(REC_MAKE) | FAILS},
    [REC_LOCK] = {"lock", rec_lock, STAGE_BIT(REC_LOCKED) | FAILS},
    [REC_LOCKED] = {"locked", rec_locked, STAGE_BIT(REC_LOCK) | STAGE_BIT(REC_CONTROL) | FAILS},
    [REC_CONTROL] = {"control", rec_control, STAGE_BIT(REC_RING) | FAILS},
    [REC_RING] = {"ring", rec_ring, STAGE_BIT(REC_RING_LOCK) | FAILS},
    [REC_RING_LOCK] = {"ring lock", rec_ring_lock, STAGE_BIT(REC_RING_LOCKED)},
    [REC_RING_LOCKED] = {"ring locked", rec_ring_locked, STAGE_BIT(REC_RING_LOCK) | STAGE_BIT(REC_TABLE) | FAILS},
    [REC_TABLE] = {"table", rec_table, STAGE_BIT(REC_LOAD) | FAILS},
    [REC_LOAD] = {"load", rec_load, STAGE_BIT(REC_LOADED) | FAILS},
    [REC_LOADED] = {"loaded", rec_loaded, STAGE_BIT(REC_WINDOW) | FAILS},
    [REC_WINDOW] = {"window", rec_window, STAGE_BIT(REC_SCAN)},
    [REC_SCAN] = {"scan", rec_scan,
                  STAGE_BIT(REC_SCAN) | STAGE_BIT(REC_WINDOW) | STAGE_BIT(REC_QUIET) | STAGE_BIT(REC_RECUT) |
                      STAGE_BIT(REC_SEARCH) | STAGE_BIT(REC_FLUSH) | FAILS},
    [REC_QUIET] = {"quiet", rec_quiet,
                   STAGE_BIT(REC_QUIET) | STAGE_BIT(REC_SCAN) | STAGE_BIT(REC_RECUT) | STAGE_BIT(REC_PROVE) | FAILS},
    [REC_RECUT] = {"recut", rec_recut, STAGE_BIT(REC_RECUT) | STAGE_BIT(REC_SCAN) | STAGE_BIT(REC_FLUSH) | FAILS},
    [REC_SEARCH] = {"search", rec_search, STAGE_BIT(REC_SEARCHED) | STAGE_BIT(REC_WINDOW)},
    [REC_SEARCHED] = {"searched", rec_searched, STAGE_BIT(REC_SEARCH) | FAILS},
    [REC_FLUSH] = {"flush", rec_flush, STAGE_BIT(REC_PROVE) | STAGE_BIT(REC_RECUT) | FAILS},
    [REC_PROVE] = {"prove", rec_prove, STAGE_BIT(REC_PROVE_READ) | STAGE_BIT(REC_PROVED) | FAILS},
    [REC_PROVE_READ] = {"prove read", rec_prove_read, STAGE_BIT(REC_PROVE) | FAILS},
    [REC_PROVED] = {"proved", rec_proved, STAGE_BIT(REC_NOTE) | STAGE_BIT(REC_QUIET) | FAILS},
    [REC_NOTE] = {"note", rec_note, STAGE_BIT(REC_NOTED) | FAILS},
    [REC_NOTED] = {"noted", rec_noted, STAGE_BIT(REC_MAKE_RENAME) | FAILS},
    [REC_MAKE] = {"make", rec_make, STAGE_BIT(REC_MAKE_OPEN)},
    [REC_MAKE_OPEN] = {"make open", rec_make_open, STAGE_BIT(REC_MAKE_ZERO) | FAILS},
    [REC_MAKE_ZERO] = {"make zero", rec_make_zero,
                       STAGE_BIT(REC_MAKE_LOCK) | STAGE_BIT(REC_MAKE_ZERO) | STAGE_BIT(REC_MAKE_SYNC) | FAILS},
    [REC_MAKE_LOCK] = {"make lock", rec_make_lock, STAGE_BIT(REC_MAKE_ZERO) | FAILS},
    [REC_MAKE_SYNC] = {"make sync", rec_make_sync, STAGE_BIT(REC_MAKE_ZERO) | STAGE_BIT(REC_MAKE_DIR) | FAILS},
    [REC_MAKE_DIR] = {"make dir", rec_make_dir, STAGE_BIT(REC_NOTE) | FAILS},
    [REC_MAKE_RENAME] = {"make rename", rec_make_rename, STAGE_BIT(REC_MAKE_PARENT)},
    [REC_MAKE_PARENT] = {"make parent", rec_make_parent, STAGE_BIT(REC_MAKE_PARENT) | FAILS},
    [REC_DONE] = {"done", rec_done, 0},
};

static const struct flow recovery_flow = {"recovery", recovery_stages, REC_STAGES};

void recovery_start(struct recovery *r, struct store *s)
{
    r->store = s;
    r->journal = s->journal;
    path_set(&r->dir, "%s/journal-%03u", s->dir.s, s->number);
    s->journal->dir = r->dir;
    s->hold_moves = true;
    task_start(s->env->runner, &r->task, &recovery_flow, REC_STAT);
}

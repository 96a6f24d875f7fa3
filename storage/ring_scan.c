// SPDX-License-Identifier: Apache-2.0
/* Reads the ring from the table's replay point on, group by group, through a window; recovery_cases.c decides at each
 * place.
 *
 *   window  read the next part of the ring file
 *   scan    groups in the window: accept and replay, or ask the case table
 *   quiet   wait until moves have ended (a truncation is next) or memory is free again (rule D8)
 *   search  read the rest of the ring for headers that witness the missing group
 *
 * Failure modes: read errors end the start with a sentence (the disk failed; nothing was changed). */
#include "storage/recovery.h"

#include "base/bytes.h"
#include "base/crc32c.h"
#include "storage/commit.h"
#include "storage/mover.h"
#include "storage/recut.h"

/* How far behind a missing group witnesses are looked for. The writer goes forward without gaps, so a later group
 * begins within one group's length (4 MiB, or one batch) unless its header is destroyed, too: sixteen in a row, or 64
 * MiB of the ring in one piece, would have to be. Bounds the start: the free part of a 1 GiB ring is not read. */
#define SEARCH_BYTES (64u << 20)

static const struct ring_slot *slot_at(const struct recovery *r, uint32_t file)
{
    return &r->journal->slots[r->journal->order[file]];
}

int rec_window(struct task *t)
{
    struct recovery *r = container_of(t, struct recovery, task);
    const struct ring_slot *s = slot_at(r, r->at_file);
    uint64_t left = s->bytes - MIN(r->at_pos, s->bytes);
    r->window_pos = r->at_pos;
    r->window_len = 0;
    r->read.status = STATUS_OK;
    r->read.moved = 0;
    if (left == 0) return REC_SCAN;
    transfer_start(r->store->env, &r->read, t, IO_READ, s->file, r->window->data,
                   (uint32_t)MIN(left, r->window->capacity), r->at_pos, 0);
    return STAGE_WAIT(REC_SCAN);
}

static bool incarnation_fits(const struct recovery *r, const struct group_header *h)
{
    const struct control *c = &r->journal->control;
    if (h->incarnation < r->incarnation || h->incarnation > c->incarnation) return false;
    return h->incarnation == c->incarnation || h->sequence <= c->accepted_end;
}

static bool header_ours(const struct recovery *r, const uint8_t *bytes, struct group_header *ret_header)
{
    return group_header_decode(bytes, ret_header) == STATUS_OK &&
           memcmp(ret_header->journal.b, r->journal->control.journal.b, sizeof ret_header->journal.b) == 0;
}

/* What stands at the window's place; short: the group reaches beyond the window. */
static struct finding examine(const struct recovery *r, const uint8_t *at, uint32_t left, struct group_header *h,
                              bool *ret_short)
{
    struct finding f = {.file_left = r->next_tries == 0, .searched = r->search_left == UINT32_MAX};
    *ret_short = false;
    f.witness = f.searched && r->witness_upto >= r->next;
    if (left < BLOCK_BYTES || !header_ours(r, at, h)) return f;
    f.header = true;
    f.expected = h->sequence == r->next && incarnation_fits(r, h);
    f.chained = !r->chained || h->chain == r->chain;
    if (!f.expected || !f.chained) return f;
    if (h->length > left) {
        *ret_short = h->length <= slot_at(r, r->at_file)->bytes - r->at_pos;
        return f;
    }
    f.body = crc32c(0, at + GROUP_HEADER_BYTES, h->length - GROUP_HEADER_BYTES) == h->body_crc;
    return f;
}

static enum status mark_group(struct recovery *r, uint32_t file, uint64_t pos, uint32_t length)
{
    uint32_t slot = r->journal->order[file];
    enum status status = journal_mark_push(r->journal, slot, pos, length);
    if (status == STATUS_OK) r->journal->slots[slot].live++;
    return status;
}

/* The group in the window; or, when it was taken before and a cut had to be read back, the rest of it. */
static enum status replay_here(struct recovery *r, const uint8_t *at)
{
    const struct group_header *h = &r->group;
    enum status status = STATUS_OK;
    if (r->taken == NULL) {
        r->taken = buf_create(r->store->env->mem, MEM_LOG, h->length);
        if (r->taken == NULL) return STATUS_NO_MEMORY;
        memcpy(r->taken->data, at, h->length);
        r->taken->size = h->length;
        status = mark_group(r, r->at_file, r->at_pos, h->length);
        r->journal->next_sequence = h->sequence + 1;
    }
    if (status == STATUS_OK) status = replay_group(&r->replay, r->taken, 0, h, r->after_loss);
    if (status != STATUS_BUSY) buf_unref(&r->taken);
    return status;
}

static void step_over(struct recovery *r)
{
    r->at_pos += r->group.length;
    r->next = r->group.sequence + 1;
    r->chain = r->group.header_crc;
    r->chained = true;
    r->after_loss = false;
    r->incarnation = r->group.incarnation;
    r->proven = MAX(r->proven, r->group.durable_upto);
    r->next_tries = 0;
    r->search_left = 0;
    r->groups++;
    r->bytes += r->group.length;
}

static int grow_window(struct recovery *r, uint32_t bytes)
{
    if (r->window->capacity < bytes) {
        buf_unref(&r->window); /* first: both together would be more than the budget is made for */
        r->window = buf_create(r->store->env->mem, MEM_LOG, align_up(bytes, BLOCK_BYTES));
        if (r->window == NULL)
            return recovery_fail(r, STATUS_NO_MEMORY, "not enough memory to read a journal group of %u bytes", bytes);
    }
    return REC_WINDOW;
}

static bool memory_full(const struct recovery *r)
{
    const struct mem *m = r->store->env->mem;
    return mem_used(m, MEM_LOG) > mem_budget(m, MEM_LOG) / 2;
}

/* Behind the damage: the lowest later group that was found. */
static int over_damage(struct recovery *r)
{
    uint64_t lost = r->resume_sequence - r->next;
    STORE_LOG(r->store, LOG_ERROR, "journal.damaged", LOG_STR("journal", r->dir.s), LOG_UINT("from", r->next),
              LOG_UINT("groups", lost));
    r->lost_groups += lost;
    /* a lost group's victims are named by the next one, unless that is lost as well (also in a second step: its header
     * was there, its body is not) */
    bool unnamed = lost > 1 || r->after_loss;
    r->replay.lost_unknown |= unnamed;
    if (unnamed) replay_suspect(&r->replay);
    for (uint64_t i = 0; i < lost; i++)
        if (mark_group(r, r->resume_file, r->resume_pos, 0) != STATUS_OK)
            return recovery_fail(r, STATUS_NO_MEMORY, "not enough memory for the journal's groups");
    r->next = r->resume_sequence;
    r->journal->next_sequence = r->next;
    r->at_file = r->resume_file;
    r->at_pos = r->resume_pos;
    r->back_file = r->at_file;
    r->back_pos = r->at_pos;
    r->chained = false;
    r->after_loss = true;
    r->next_tries = 1;
    r->search_left = 0;
    return REC_WINDOW;
}

/* The place where the expected group would begin if it does not begin in the next file. */
static void go_back(struct recovery *r)
{
    if (r->next_tries == 0) return;
    r->at_file = r->back_file;
    r->at_pos = r->back_pos;
}

static int take_group(struct recovery *r, const uint8_t *at)
{
    enum status status = replay_here(r, at);
    if (status == STATUS_BUSY && recut_start(&r->replay.cut, &r->task, &r->recut)) return STAGE_WAIT(REC_RECUT);
    if (status == STATUS_NO_MEMORY || status == STATUS_BUSY)
        return recovery_fail(r, STATUS_NO_MEMORY, "%s: leat.memory.bytes is too small to replay the journal", r->dir.s);
    if (status != STATUS_OK)
        return recovery_fail(r, STATUS_DAMAGED,
                             "%s: group %llu is sound but contradicts the checkpoint table; restore this directory "
                             "from a replica or a backup",
                             r->dir.s, (unsigned long long)r->next);
    step_over(r);
    return REC_SCAN;
}

int rec_recut(struct task *t)
{
    struct recovery *r = container_of(t, struct recovery, task);
    const struct partition *p = r->replay.cut.p;
    if (r->recut != STATUS_OK && r->taken == NULL)
        return recovery_fail(r, r->recut,
                             "%s: a group of the journal is damaged, and what the file of %s-%d holds before the lost "
                             "batch cannot be read back: %s; restore this directory from a replica or a backup",
                             r->dir.s, p->topic, p->number, status_text(r->recut));
    if (r->recut != STATUS_OK)
        return recovery_fail(
            r, r->recut,
            "%s: group %llu cuts %s-%d where the replay has moved it to its file, and it cannot be read "
            "back from there: %s; start with more memory (leat.memory.bytes)",
            r->dir.s, (unsigned long long)r->next, p->topic, p->number, status_text(r->recut));
    return r->taken == NULL ? REC_FLUSH : take_group(r, r->taken->data);
}

static int act(struct recovery *r, enum recovery_action action, const uint8_t *at)
{
    switch (action) {
    case RECOVERY_ACCEPT:
        if (memory_full(r) || (replay_needs_quiet(at, &r->group) && !mover_idle(r->store->mover))) return REC_QUIET;
        return take_group(r, at);
    case RECOVERY_NEXT_FILE:
        r->next_tries++;
        r->back_file = r->at_file;
        r->back_pos = r->at_pos;
        r->at_file = (r->at_file + 1) % r->journal->slot_count;
        r->at_pos = 0;
        return REC_WINDOW;
    case RECOVERY_SEARCH:
        go_back(r);
        r->search_file = r->at_file;
        r->search_pos = r->at_pos;
        r->search_left = r->journal->slot_count + 1;
        r->search_bytes = SEARCH_BYTES;
        r->witness_upto = 0;
        r->resume_sequence = UINT64_MAX;
        return REC_SEARCH;
    case RECOVERY_DAMAGE: return over_damage(r);
    case RECOVERY_CUT: break;
    }
    return REC_FLUSH;
}

int rec_scan(struct task *t)
{
    struct recovery *r = container_of(t, struct recovery, task);
    if (r->read.status != STATUS_OK)
        return recovery_fail(r, r->read.status, "%s: cannot read the journal: %s", r->dir.s,
                             status_text(r->read.status));
    r->window_len = r->read.moved;
    CHECK(r->at_pos >= r->window_pos);
    uint32_t skip = (uint32_t)(r->at_pos - r->window_pos);
    uint32_t left = skip < r->window_len ? r->window_len - skip : 0;
    const uint8_t *at = r->window->data + skip;
    bool is_short;
    if (left < BLOCK_BYTES && skip > 0) return REC_WINDOW;
    struct finding f = examine(r, at, left, &r->group, &is_short);
    if (is_short && (skip > 0 || r->group.length > r->window->capacity)) return grow_window(r, r->group.length);
    return act(r, recovery_decide(&f)->action, at);
}

static void quiet_fire(struct timer *timer)
{
    struct recovery *r = container_of(timer, struct recovery, again);
    task_wake(&r->task);
}

/* Moves go on by the store's hook; they need to know what is durable: all that was read back. */
int rec_quiet(struct task *t)
{
    struct recovery *r = container_of(t, struct recovery, task);
    struct store *s = r->store;
    bool full = memory_full(r);
    if (r->ops[0].status != STATUS_OK)
        return recovery_fail(r, r->ops[0].status, "%s: cannot be flushed: %s", r->dir.s, status_text(r->ops[0].status));
    if (full && r->proven + 1 < r->next) {
        r->proven_next = REC_QUIET;
        return REC_PROVE;
    }
    s->hold_moves = !full; /* a move may pass a cut that comes later in the journal: only where memory demands it */
    mover_force(s->mover, full);
    if (full) {
        list_each (n, &s->unmoved) {
            struct partition *p = container_of(n, struct partition, in_unmoved);
            if (MAX(p->resume.end_pos, p->moved_pos) <= p->end_pos) p->durable_pos = p->end_pos;
        }
        store_evict(s, UINT64_MAX);
    }
    if (store_fenced(s))
        return recovery_fail(r, STATUS_IO_ERROR, "%s: a write failed while the journal was replayed", r->dir.s);
    if (mover_idle(s->mover) && (!full || !mover_has_work(s->mover))) {
        s->hold_moves = true;
        return take_group(r, r->window->data + (r->at_pos - r->window_pos));
    }
    r->again.fire = quiet_fire;
    env_timer_start(s->env, &r->again, mono_add(s->env->now, NS_PER_MS));
    return STAGE_WAIT(REC_QUIET);
}

/* --- search for witnesses --- */

int rec_search(struct task *t)
{
    struct recovery *r = container_of(t, struct recovery, task);
    const struct ring_slot *s = slot_at(r, r->search_file);
    if (r->search_pos >= s->bytes) {
        r->search_file = (r->search_file + 1) % r->journal->slot_count;
        r->search_pos = 0;
        r->search_left--;
        s = slot_at(r, r->search_file);
    }
    if (r->search_left == 0 || r->search_bytes == 0) {
        r->search_left = UINT32_MAX; /* searched */
        r->window_pos = r->at_pos;
        return REC_WINDOW;
    }
    uint32_t len = (uint32_t)MIN(MIN(s->bytes - r->search_pos, r->window->capacity), r->search_bytes);
    r->search_bytes -= len;
    transfer_start(r->store->env, &r->read, t, IO_READ, s->file, r->window->data, len, r->search_pos, 0);
    return STAGE_WAIT(REC_SEARCHED);
}

int rec_searched(struct task *t)
{
    struct recovery *r = container_of(t, struct recovery, task);
    if (r->read.status != STATUS_OK)
        return recovery_fail(r, r->read.status, "%s: cannot read the journal: %s", r->dir.s,
                             status_text(r->read.status));
    for (uint32_t i = 0; i + BLOCK_BYTES <= r->read.moved; i += BLOCK_BYTES) {
        struct group_header h;
        if (!header_ours(r, r->window->data + i, &h)) continue;
        if (h.incarnation > r->journal->control.incarnation) /* noted durably before its first group was written */
            return recovery_fail(r, STATUS_DAMAGED,
                                 "%s/control: its newer page is damaged (the journal has groups of start %llu): "
                                 "restore this directory from a replica or a backup",
                                 r->dir.s, (unsigned long long)h.incarnation);
        if (h.sequence <= r->next || !incarnation_fits(r, &h)) continue;
        r->witness_upto = MAX(r->witness_upto, h.durable_upto);
        if (h.sequence < r->resume_sequence) {
            r->resume_sequence = h.sequence;
            r->resume_file = r->search_file;
            r->resume_pos = r->search_pos + i;
        }
    }
    r->search_pos += MAX(r->read.moved, BLOCK_BYTES);
    return REC_SEARCH;
}

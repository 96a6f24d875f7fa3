// SPDX-License-Identifier: Apache-2.0
/* Journal: admission, gathering of entries into groups, ring space (journal_marks.c: who needs which group). commit.c
 * carries a closed group to disk.
 *
 *   append:  journal_admit -> journal_put (payload copied into the open group)
 *   turn:    close the open group if fewer than two are in flight -> submit -> (commit.c) -> durable, in sequence
 *   space:   checkpoint durable -> journal_free -> files without live groups are written again
 *
 * Failure modes: no ring space or memory: refused at admission, before anything changed. A failed commit: journal_fail.
 * Crash order: a group is durable before any waiter hears of it; a file is reused only when a durable checkpoint no
 * longer needs its groups. */
#include "storage/journal.h"

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/histogram.h"
#include "storage/commit.h"

#define CHUNK_MAX_BYTES   (1u << 20)
#define CHUNK_WHOLE_BYTES (64u << 10) /* a group up to here is one chunk: one write, which can carry its flush */
#define PROOF_SHARE       4           /* proofs may take 1/4 of a group: more partitions than that close it earlier */

static struct commit *open_commit(const struct journal *j);
static uint32_t commit_bytes(const struct commit *c);
static void journal_turn(struct turn_hook *h);
static void journal_idle(struct timer *t);

enum status journal_init(struct journal *j, struct env *e, struct disk *d, const struct journal_events *events,
                         const struct journal_config *c)
{
    CHECK(c->file_bytes % BLOCK_BYTES == 0 && c->files_first >= 2 && c->files_max <= RING_FILES_MAX);
    CHECK(c->file_bytes >= (uint64_t)c->group_bytes + c->entry_max + 4 * (uint64_t)BLOCK_BYTES);
    memset(j, 0, sizeof *j);
    j->env = e;
    j->disk = d;
    j->events = events;
    j->config = *c;
    j->control_file = -1;
    list_init(&j->queue);
    list_init(&j->waiting_now);
    j->hook.run = journal_turn;
    j->idle.fire = journal_idle;
    j->witnessed = true;
    j->commit_ns = histogram_create(e->mem);
    return j->commit_ns == NULL ? STATUS_NO_MEMORY : STATUS_OK;
}

void journal_deinit(struct journal *j)
{
    CHECK(list_empty(&j->queue) && j->in_flight == 0);
    if (list_linked(&j->hook.in_env)) env_hook_remove(j->env, &j->hook);
    env_timer_stop(j->env, &j->idle);
    mem_free(j->env->mem, MEM_LOG, j->marks, j->mark_capacity * sizeof *j->marks);
    mem_free(j->env->mem, MEM_LOG, j->proofs, j->proof_capacity * sizeof *j->proofs);
    histogram_destroy(j->commit_ns);
}

/* --- ring space --- */

static struct ring_slot *head_slot(struct journal *j)
{
    return &j->slots[j->order[j->head]];
}

/* Asked for each append, changed once per ring file: kept. */
void journal_look_ahead(struct journal *j)
{
    uint32_t n = 0;
    while (n + 1 < j->slot_count && j->slots[j->order[(j->head + 1 + n) % j->slot_count]].live == 0) n++;
    j->ahead = n;
}

static void count_bytes(struct journal *j)
{
    j->ring_bytes = 0;
    for (uint32_t i = 0; i < j->slot_count; i++) j->ring_bytes += j->slots[j->order[i]].bytes;
}

void journal_start(struct journal *j)
{
    CHECK(j->slot_count >= 2 && j->head < j->slot_count && j->next_sequence > 0);
    CHECK(j->mark_count == 0 || j->mark_sequence + j->mark_count == j->next_sequence);
    if (j->mark_count == 0) j->mark_sequence = j->next_sequence;
    j->durable_sequence = j->next_sequence - 1;
    journal_look_ahead(j);
    count_bytes(j);
    env_hook_add(j->env, &j->hook);
}

/* The most that the group which is open or about to be opened can take. */
static uint64_t group_most(const struct journal *j, uint32_t payload_bytes)
{
    uint64_t single = GROUP_HEADER_BYTES + (uint64_t)j->proof_count * PROOF_BYTES + ENTRY_HEADER_BYTES + payload_bytes;
    return align_up(MAX(single, j->config.group_bytes), BLOCK_BYTES) + COMMIT_CHUNKS_MAX * (uint64_t)BLOCK_BYTES;
}

/* Takes `length` bytes of the ring for a group; the space was promised at admission. */
static void ring_place(struct journal *j, struct commit *c)
{
    if (head_slot(j)->bytes - j->head_pos < c->length) {
        CHECK(!j->frozen);
        j->head = (j->head + 1) % j->slot_count;
        j->head_pos = 0;
        CHECK(head_slot(j)->live == 0);
        journal_look_ahead(j);
    }
    struct ring_slot *s = head_slot(j);
    c->slot = j->order[j->head];
    c->pos = j->head_pos;
    j->head_pos += c->length;
    j->placed += c->length;
    s->live++;
}

uint64_t journal_bytes(const struct journal *j)
{
    return j->ring_bytes;
}

uint32_t journal_fill(const struct journal *j)
{
    uint64_t free_bytes = j->slots[j->order[j->head]].bytes - j->head_pos;
    uint32_t ahead = j->ahead;
    for (uint32_t i = 1; i <= ahead; i++) free_bytes += j->slots[j->order[(j->head + i) % j->slot_count]].bytes;
    uint64_t total = journal_bytes(j);
    return (uint32_t)((total - free_bytes) * 1000 / total);
}

static uint32_t reserve_files(const struct journal *j)
{
    return MAX(1u, j->slot_count / 16);
}

bool journal_tight(const struct journal *j)
{
    return j->ahead <= reserve_files(j) + j->slot_count / 8 + 1;
}

bool journal_full(const struct journal *j)
{
    return j->ahead <= reserve_files(j);
}

bool journal_freeze(struct journal *j)
{
    const struct ring_slot *head = head_slot(j);
    uint64_t rest = head->bytes - j->head_pos;
    const struct commit *open = open_commit(j);
    uint64_t most = open == NULL ? 0 : MAX((uint64_t)commit_bytes(open) + BLOCK_BYTES, group_most(j, 0));
    if (rest < most || (rest < head->bytes / 2 && journal_short_file(j) == NULL)) return false;
    j->frozen = true;
    return true;
}

static const struct ring_slot *next_slot(const struct journal *j)
{
    return &j->slots[j->order[(j->head + 1) % j->slot_count]];
}

const struct ring_slot *journal_short_file(const struct journal *j)
{
    const struct ring_slot *next = next_slot(j);
    return next->live == 0 && next->bytes < j->config.least_bytes ? next : NULL;
}

struct ring_slot journal_replace(struct journal *j, const struct ring_slot *slot)
{
    struct ring_slot *next = &j->slots[j->order[(j->head + 1) % j->slot_count]], old = *next;
    CHECK(j->frozen && old.live == 0 && slot->live == 0 && slot->bytes >= j->config.least_bytes);
    *next = *slot;
    j->frozen = false;
    count_bytes(j);
    return old;
}

void journal_insert(struct journal *j, const struct ring_slot *slot)
{
    CHECK(j->frozen && j->slot_count < RING_FILES_MAX && slot->live == 0);
    uint32_t at = j->head + 1;
    memmove(j->order + at + 1, j->order + at, (j->slot_count - at) * sizeof j->order[0]);
    j->order[at] = j->slot_count;
    j->slots[j->slot_count++] = *slot;
    j->frozen = false;
    journal_look_ahead(j);
    count_bytes(j);
}

/* --- groups --- */

static struct commit *open_commit(const struct journal *j)
{
    if (list_empty(&j->queue)) return NULL;
    struct commit *c = container_of(j->queue.head.prev, struct commit, in_queue);
    return c->open ? c : NULL;
}

static uint32_t commit_bytes(const struct commit *c)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < c->chunk_count; i++) n += align_up(c->chunks[i]->size, BLOCK_BYTES);
    return (uint32_t)n;
}

/* A chunk that ends within a block is padded with zero bytes: pad entries to the reader. */
static void chunk_pad(struct buf *b)
{
    size_t end = align_up(b->size, BLOCK_BYTES);
    CHECK(end <= b->capacity);
    memset(b->data + b->size, 0, end - b->size);
    b->size = end;
}

/* Groups are much like the one before: few chunks, and little of the last one unused. One that is not doubles from its
 * fifth chunk on. */
static uint64_t chunk_bytes(const struct journal *j, const struct commit *c)
{
    uint64_t last = j->last_length;
    uint64_t size = last <= CHUNK_WHOLE_BYTES ? last + last / 2 : last / 4;
    size = MAX(size, BLOCK_BYTES) << (c->chunk_count > 3 ? MIN(c->chunk_count - 3, 8u) : 0);
    return MIN(size, CHUNK_MAX_BYTES);
}

static bool chunk_add(struct journal *j, struct commit *c, uint64_t need)
{
    CHECK(c->chunk_count < COMMIT_CHUNKS_MAX);
    need = align_up(need, BLOCK_BYTES);
    uint64_t wish = MAX(align_up(chunk_bytes(j, c), BLOCK_BYTES), need);
    struct buf *b = buf_create(j->env->mem, MEM_LOG, wish);
    if (b == NULL && wish > need) b = buf_create(j->env->mem, MEM_LOG, need);
    if (b == NULL) return false;
    if (c->chunk_count > 0) chunk_pad(c->chunks[c->chunk_count - 1]);
    memset(&c->writes[c->chunk_count], 0, sizeof c->writes[0]);
    c->chunks[c->chunk_count++] = b;
    return true;
}

void commit_free(struct commit *c)
{
    struct mem *m = c->journal->env->mem;
    for (uint32_t i = 0; i < c->chunk_count; i++) buf_unref(&c->chunks[i]);
    env_timer_stop(c->journal->env, &c->recheck);
    mem_free(m, MEM_LOG, c->parts, c->part_capacity * sizeof *c->parts);
    mem_free(m, MEM_LOG, c, sizeof *c);
}

static struct commit *commit_open(struct journal *j, uint64_t need)
{
    struct commit *c = mem_alloc(j->env->mem, MEM_LOG, sizeof *c);
    if (c == NULL) return NULL;
    memset(c, 0, offsetof(struct commit, writes));
    c->journal = j;
    c->open = true;
    list_init(&c->waiters);
    uint64_t head = GROUP_HEADER_BYTES + (uint64_t)j->proof_count * PROOF_BYTES;
    if (!chunk_add(j, c, head + need) || journal_mark_push(j, 0, 0, 0) != STATUS_OK) {
        commit_free(c);
        return NULL;
    }
    c->sequence = j->next_sequence++;
    c->proof_count = j->proof_count;
    for (uint32_t i = 0; i < j->proof_count; i++)
        proof_encode(c->chunks[0]->data + GROUP_HEADER_BYTES + i * PROOF_BYTES, &j->proofs[i]);
    c->chunks[0]->size = head;
    list_push_back(&j->queue, &c->in_queue);
    return c;
}

/* What this group did becomes the next group's proofs. */
static void remember_proofs(struct journal *j, const struct commit *c)
{
    if (c->part_count > j->proof_capacity) {
        struct proof *proofs = mem_realloc(j->env->mem, MEM_LOG, j->proofs, j->proof_capacity * sizeof *proofs,
                                           c->part_capacity * sizeof *proofs);
        if (proofs ==
            NULL) { /* proofs narrow the blame after damage; without them more is suspected, nothing is lost */
            j->proof_count = 0;
            return;
        }
        j->proofs = proofs;
        j->proof_capacity = c->part_capacity;
    }
    j->proof_count = c->part_count;
    for (uint32_t i = 0; i < c->part_count; i++) j->events->proof(&c->parts[i], &j->proofs[i]);
}

static void commit_close(struct journal *j, struct commit *c)
{
    CHECK(c->open);
    c->open = false;
    chunk_pad(c->chunks[c->chunk_count - 1]);
    c->length = commit_bytes(c);
    j->last_length = c->length;
    ring_place(j, c);
    struct mark *m = journal_mark_at(j, c->sequence);
    m->slot = c->slot;
    m->pos = c->pos;
    m->length = c->length;
    remember_proofs(j, c);
}

uint64_t journal_seal(struct journal *j)
{
    struct commit *c = open_commit(j);
    if (c != NULL) commit_close(j, c);
    return j->next_sequence - 1;
}

static bool commit_fits(const struct journal *j, const struct commit *c, uint32_t payload_bytes)
{
    uint64_t need = ENTRY_HEADER_BYTES + (uint64_t)payload_bytes;
    if (c->part_count >= j->config.group_bytes / PROOF_BYTES / PROOF_SHARE) return false;
    const struct buf *last = c->chunks[c->chunk_count - 1];
    if (last->capacity - last->size < need && c->chunk_count == COMMIT_CHUNKS_MAX) return false;
    return commit_bytes(c) + align_up(need, BLOCK_BYTES) + BLOCK_BYTES <= j->config.group_bytes;
}

enum status journal_admit(struct journal *j, uint32_t payload_bytes, bool control)
{
    if (j->failed || disk_fenced(j->disk)) return STATUS_FENCED;
    if (payload_bytes > j->config.entry_max) return STATUS_BATCH_TOO_LARGE;
    struct commit *c = open_commit(j);
    if (c != NULL && !commit_fits(j, c, payload_bytes)) {
        commit_close(j, c);
        c = NULL;
    }
    uint32_t ahead = j->ahead;
    if (!control && ahead <= reserve_files(j)) return STATUS_BUSY;
    if (c != NULL) return STATUS_OK; /* its place was promised when it was opened */
    if (head_slot(j)->bytes - j->head_pos >= group_most(j, payload_bytes)) return STATUS_OK;
    /* a short file is in the way until it is replaced (rule A9) */
    if (ahead == 0 || j->frozen || next_slot(j)->bytes < group_most(j, payload_bytes)) return STATUS_BUSY;
    return STATUS_OK;
}

static bool part_note(struct commit *c, const struct commit_part *part, struct part_cursor *cursor)
{
    if (cursor->sequence == c->sequence) {
        CHECK(cursor->index < c->part_count && c->parts[cursor->index].partition == part->partition);
        c->parts[cursor->index] = *part;
        return true;
    }
    if (c->part_count == c->part_capacity) {
        uint32_t capacity = MAX(8u, c->part_capacity * 2);
        struct commit_part *parts = mem_realloc(c->journal->env->mem, MEM_LOG, c->parts,
                                                c->part_capacity * sizeof *parts, capacity * sizeof *parts);
        if (parts == NULL) return false;
        c->parts = parts;
        c->part_capacity = capacity;
    }
    *cursor = (struct part_cursor){.sequence = c->sequence, .index = c->part_count};
    c->parts[c->part_count++] = *part;
    return true;
}

enum status journal_put(struct journal *j, const struct entry *e, const struct commit_part *part,
                        struct part_cursor *cursor, struct place *ret_place)
{
    uint64_t need = ENTRY_HEADER_BYTES + (uint64_t)e->payload_bytes;
    struct commit *c = open_commit(j);
    if (c == NULL) c = commit_open(j, need);
    if (c == NULL) return STATUS_NO_MEMORY;
    struct buf *b = c->chunks[c->chunk_count - 1];
    if (b->capacity - b->size < need) {
        if (!chunk_add(j, c, need)) return STATUS_NO_MEMORY;
        b = c->chunks[c->chunk_count - 1];
    }
    if (!part_note(c, part, cursor)) return STATUS_NO_MEMORY;
    entry_header_encode(b->data + b->size, e);
    *ret_place = (struct place){
        .buf = b, .pos = (uint32_t)b->size + ENTRY_HEADER_BYTES, .sequence = c->sequence, .entry = c->entry_count};
    b->size += need;
    c->entry_count++;
    j->witnessed = false;
    return STATUS_OK;
}

void journal_wait(struct journal *j, struct commit_waiter *w)
{
    struct commit *c = list_empty(&j->queue) ? NULL : container_of(j->queue.head.prev, struct commit, in_queue);
    list_push_back(c == NULL ? &j->waiting_now : &c->waiters, &w->in_commit);
}

/* --- the loop --- */

static void run_waiters(struct list *waiters, enum status status)
{
    struct list_node *n;
    while ((n = list_pop_front(waiters)) != NULL) {
        struct commit_waiter *w = container_of(n, struct commit_waiter, in_commit);
        w->durable(w, status);
    }
}

void journal_settle(struct journal *j)
{
    while (!list_empty(&j->queue)) {
        struct commit *c = container_of(list_first(&j->queue), struct commit, in_queue);
        if (j->failed) {
            run_waiters(&c->waiters, STATUS_FENCED);
            if (c->submitted && !c->durable) return; /* its writes are still in flight and borrow its chunks */
        } else {
            if (!c->durable) return;
            if (disk_fenced(j->disk)) { /* the shared word, read before every ack */
                journal_fail(j);
                return;
            }
            CHECK(c->sequence == j->durable_sequence + 1);
            j->durable_sequence = c->sequence;
            j->events->durable(j, c);
            run_waiters(&c->waiters, STATUS_OK);
        }
        list_remove(&c->in_queue);
        commit_free(c);
    }
    if (!j->witnessed && !j->failed) env_timer_start(j->env, &j->idle, mono_add(j->env->now, j->config.idle_ns));
}

void journal_fail(struct journal *j)
{
    disk_fence(j->disk);
    if (j->failed) return;
    j->failed = true;
    list_each (n, &j->queue) {
        struct commit *c = container_of(n, struct commit, in_queue);
        c->open = false;
        run_waiters(&c->waiters, STATUS_FENCED);
    }
    j->events->failed(j);
}

static void journal_turn(struct turn_hook *h)
{
    struct journal *j = container_of(h, struct journal, hook);
    if (!list_empty(&j->waiting_now)) run_waiters(&j->waiting_now, j->failed ? STATUS_FENCED : STATUS_OK);
    if (!j->failed && disk_fenced(j->disk)) journal_fail(j); /* another shard of this disk failed */
    if (j->failed) {
        journal_settle(j);
        return;
    }
    struct commit *open = open_commit(j);
    if (open != NULL && j->in_flight < COMMITS_IN_FLIGHT) commit_close(j, open);
    list_each (n, &j->queue) {
        struct commit *c = container_of(n, struct commit, in_queue);
        if (j->in_flight == COMMITS_IN_FLIGHT || c->open) break;
        if (!c->submitted) commit_submit(c);
    }
}

/* Quiet: one empty group says that the last one is durable, so that damage to it is told from a torn tail (F3). */
static void journal_idle(struct timer *t)
{
    struct journal *j = container_of(t, struct journal, idle);
    if (!list_empty(&j->queue) || j->failed || j->witnessed) return;
    if (journal_admit(j, 0, true) != STATUS_OK || commit_open(j, 0) == NULL) return;
    j->witnessed = true;
}

void journal_stalled(struct journal *j, int64_t stall_ns)
{
    list_each (n, &j->queue) {
        struct commit *c = container_of(n, struct commit, in_queue);
        if (c->submitted && !c->durable && j->env->now.v - c->begun.v > stall_ns) {
            journal_fail(j);
            return;
        }
    }
}

void journal_position(const struct journal *j, uint64_t sequence, uint32_t *ret_file, uint64_t *ret_pos)
{
    bool placed = sequence < j->next_sequence;
    const struct mark *m = placed ? journal_mark_at(j, sequence) : NULL;
    *ret_file = j->slots[placed ? m->slot : j->order[j->head]].number;
    *ret_pos = placed ? m->pos : j->head_pos;
}

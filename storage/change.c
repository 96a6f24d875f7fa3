// SPDX-License-Identifier: Apache-2.0
/* Create, leader epoch, log start: one control entry each, told when durable.
 *
 * Memory changes when the entry is put (a table snapshot is taken as of a sealed group and must show it); readers and
 * files change when it is durable: log_start_durable, then unlink (rule A2: entry durable, then unlink).
 * Failure modes: INVALID for what the rules forbid; BUSY when even the ring's control reserve is full. */
#include "storage/change.h"

#include "base/bytes.h"
#include "storage/checkpoint.h"
#include "storage/partition_map.h"
#include "storage/store_impl.h"
#include "storage/unlinker.h"

struct change {
    struct commit_waiter waiter;
    struct partition *p;
    struct partition_change *op;
    enum status refusal;
    int64_t offset;
};

static_assert(sizeof(struct change) <= sizeof(((struct partition_change *)0)->impl), "a change fits its op");

static struct change *change_begin(struct partition *p, struct partition_change *op,
                                   void (*durable)(struct commit_waiter *, enum status))
{
    struct change *c = (struct change *)op->impl;
    *c = (struct change){.waiter.durable = durable, .p = p, .op = op};
    return c;
}

static void change_end(struct change *c, enum status status)
{
    c->op->status = c->refusal != STATUS_OK ? c->refusal : status;
    c->op->done(c->op);
}

static void change_durable(struct commit_waiter *w, enum status status)
{
    change_end(container_of(w, struct change, waiter), status);
}

static void change_refuse(struct change *c, enum status status)
{
    c->refusal = status;
    store_refuse(c->p->store, &c->waiter);
}

enum status partition_put(struct partition *p, const struct entry *e, int64_t end, uint64_t end_pos,
                          struct place *ret_place)
{
    struct commit_part part = {.partition = p, .end = end, .end_pos = end_pos};
    enum status status = journal_admit(p->store->journal, e->payload_bytes, true);
    if (status == STATUS_OK) status = journal_put(p->store->journal, e, &part, &p->cursor, ret_place);
    return status == STATUS_NO_MEMORY ? STATUS_BUSY : status;
}

static enum status changeable(const struct partition *p)
{
    if (p->store->closing || p->deleting) return STATUS_NOT_LEADER;
    if (store_fenced(p->store)) return STATUS_FENCED;
    return p->truncating ? STATUS_BUSY : STATUS_OK;
}

/* --- leader epoch --- */

void partition_epoch_start(struct partition *p, int32_t epoch, struct partition_change *op)
{
    struct change *c = change_begin(p, op, change_durable);
    struct entry e = {
        .kind = ENTRY_EPOCH, .topic = p->id, .partition = p->number, .epoch = epoch, .offset = p->log_end};
    struct place place;
    enum status status = changeable(p);
    if (status == STATUS_OK && epoch <= p->epoch) status = STATUS_INVALID;
    if (status == STATUS_OK) status = epoch_map_reserve(&p->epochs);
    if (status == STATUS_OK) status = partition_put(p, &e, p->log_end, p->end_pos, &place);
    if (status != STATUS_OK) {
        change_refuse(c, status == STATUS_NO_MEMORY ? STATUS_BUSY : status);
        return;
    }
    p->epoch = epoch;
    CHECK_OK(epoch_map_add(&p->epochs, epoch, p->log_end));
    partition_touch(p);
    journal_wait(p->store->journal, &c->waiter);
}

/* --- log start --- */

uint32_t partition_segments_below(const struct partition *p, int64_t log_start)
{
    uint32_t n = 0;
    while (n + 1 < p->segment_count && p->segments[n + 1].base <= log_start) n++;
    return n;
}

/* Durable: what lies wholly below leaves; bytes below the log start need not be moved any more (rule A5).
 *
 * A move in flight keeps its own segment; partition_move_ended comes back for that. The closed ones before it go at
 * once: the move may be waiting for the very space that they take (rule A10). */
void partition_log_start_passed(struct partition *p)
{
    epoch_map_trim(&p->epochs, p->log_start_durable);
    uint32_t n = partition_segments_below(p, p->log_start_durable);
    if (p->move != NULL) n = MIN(n, (uint32_t)(partition_segment_of(p, p->index.segment_base) - p->segments));
    if (n == 0) return;
    uint64_t start = p->segments[n].start;
    for (uint32_t i = 0; i < n; i++) unlink_segment(p->store->unlinker, p, p->segments[i].base);
    partition_segments_drop_before(p, n);
    if (p->moved_pos < start) {
        p->moved_pos = p->carried_pos = start;
        index_reset(&p->index, p->segments[0].base);
        p->allocated = 0;
    } else if (p->index.segment_base < p->segments[0].base) {
        index_reset(&p->index, p->segments[0].base);
        p->allocated = 0;
    }
    refs_release_below(p, p->moved_pos);
    refs_evict(p, UINT64_MAX);
    partition_touch(p);
    bool done = p->segment_count == 1 && p->moved_pos == p->end_pos;
    if (done && list_linked(&p->in_unmoved)) list_remove(&p->in_unmoved);
}

static void log_start_durable(struct commit_waiter *w, enum status status)
{
    struct change *c = container_of(w, struct change, waiter);
    if (status == STATUS_OK && c->refusal == STATUS_OK) {
        c->p->log_start_durable =
            MAX(c->p->log_start_durable, c->offset); /* not a later one that is still on its way */
        partition_log_start_passed(c->p);
    }
    change_end(c, status);
}

void partition_log_start_move(struct partition *p, int64_t offset, struct partition_change *op)
{
    struct change *c = change_begin(p, op, log_start_durable);
    c->offset = offset;
    struct entry e = {
        .kind = ENTRY_LOG_START, .topic = p->id, .partition = p->number, .epoch = p->epoch, .offset = offset};
    struct place place;
    enum status status = changeable(p);
    if (status == STATUS_OK && offset > p->high_watermark) status = STATUS_INVALID;
    if (status == STATUS_OK && offset <= p->log_start) {
        journal_wait(p->store->journal, &c->waiter);
        return;
    }
    if (status == STATUS_OK) status = partition_put(p, &e, p->log_end, p->end_pos, &place);
    if (status != STATUS_OK) {
        change_refuse(c, status);
        return;
    }
    p->log_start = offset;
    partition_touch(p);
    journal_wait(p->store->journal, &c->waiter);
}

/* --- accept damage --- */

void partition_accept_damage(struct partition *p, struct partition_change *op)
{
    struct change *c = change_begin(p, op, change_durable);
    struct entry e = {.kind = ENTRY_ACCEPT,
                      .topic = p->id,
                      .partition = p->number,
                      .epoch = p->epoch,
                      .offset = p->damaged_from,
                      .aux = (uint64_t)p->damaged_to};
    struct place place;
    enum status status = changeable(p);
    if (status == STATUS_OK && p->damaged_from == NO_OFFSET) status = STATUS_INVALID;
    if (status == STATUS_OK) status = partition_put(p, &e, p->log_end, p->end_pos, &place);
    if (status != STATUS_OK) {
        change_refuse(c, status);
        return;
    }
    p->damaged_from = p->damaged_to = NO_OFFSET;
    p->store->count.damaged--;
    partition_touch(p);
    journal_wait(p->store->journal, &c->waiter);
}

/* --- create --- */

struct creation {
    struct commit_waiter waiter;
    struct partition_create *op;
    enum status refusal;
    struct partition *p;
};

static_assert(sizeof(struct creation) <= sizeof(((struct partition_create *)0)->impl), "a creation fits its op");

static void creation_durable(struct commit_waiter *w, enum status status)
{
    struct creation *c = container_of(w, struct creation, waiter);
    c->op->status = c->refusal != STATUS_OK ? c->refusal : status;
    c->op->partition = c->op->status == STATUS_OK ? c->p : NULL;
    c->op->done(c->op);
}

static enum status create(struct store *s, const char *topic, struct topic_id id, int32_t number,
                          struct partition **ret_p)
{
    uint8_t home[8];
    if (!topic_name_valid(topic) || number < 0) return STATUS_INVALID_TOPIC;
    if (s->closing) return STATUS_NOT_LEADER;
    if (store_fenced(s)) return STATUS_FENCED;
    if (s->low_space) return STATUS_NO_SPACE;
    if (partition_map_find(s->map, id, number) != NULL) return STATUS_EXISTS;
    struct partition *p = partition_new(s, topic, id, number);
    if (p == NULL) return STATUS_BUSY;
    p->creation = s->creations + 1;
    p->home = 1;
    struct entry e = {.kind = ENTRY_CREATE,
                      .topic = id,
                      .partition = number,
                      .aux = p->creation,
                      .payload_bytes = (uint32_t)(sizeof home + strlen(topic))};
    struct place place;
    enum status status = partition_map_add(s->map, p);
    if (status == STATUS_OK) {
        status = partition_put(p, &e, 0, p->end_pos, &place);
        if (status != STATUS_OK) partition_map_remove(s->map, p);
    }
    if (status != STATUS_OK) {
        partition_free(p);
        return status == STATUS_NO_MEMORY ? STATUS_BUSY : status;
    }
    store_le64(place.buf->data + place.pos, p->home);
    memcpy(place.buf->data + place.pos + sizeof home, topic, strlen(topic));
    s->creations = p->creation;
    partition_touch(p);
    *ret_p = p;
    return STATUS_OK;
}

void partition_create(struct store *s, const char *topic, struct topic_id id, int32_t number,
                      struct partition_create *op)
{
    struct creation *c = (struct creation *)op->impl;
    *c = (struct creation){.waiter.durable = creation_durable, .op = op};
    c->refusal = create(s, topic, id, number, &c->p);
    if (c->refusal != STATUS_OK)
        store_refuse(s, &c->waiter);
    else
        journal_wait(s->journal, &c->waiter);
}

/* --- delete --- */

enum status partition_deleted(struct partition *p)
{
    struct store *s = p->store;
    CHECK(p->move == NULL);
    partition_map_remove(s->map, p);
    checkpoint_drop(s->table, p->id, p->number, p->home);
    refs_clear(p);
    if (list_linked(&p->in_touched)) list_remove(&p->in_touched);
    partition_leave_mover(p);
    if (list_linked(&p->in_dirs)) list_remove(&p->in_dirs);
    list_push_back(&s->graves, &p->in_graves);
    return STATUS_OK;
}

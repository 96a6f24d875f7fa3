// SPDX-License-Identifier: Apache-2.0
/* Applies journal entries. Entries up to the table's sequence bring back only the bytes that the table does not carry
 * (from the partition's resume point on); later ones change state exactly as the original call did.
 *
 * Failure modes: an entry that contradicts the state means lost groups before it: the partition becomes damaged over
 * the named range and keeps what is sound (rules A8, 16); an entry of an unknown partition is counted as orphan. */
#include "storage/replay.h"

#include "base/bytes.h"
#include "protocol/batch.h"
#include "storage/change.h"
#include "storage/partition_map.h"
#include "storage/swap.h"

static bool before_resume(const struct partition *p, uint64_t sequence, uint32_t entry)
{
    return sequence < p->resume.sequence || (sequence == p->resume.sequence && entry < p->resume.entry);
}

static void damage(struct replay *r, struct partition *p, int64_t from, int64_t to)
{
    if (p->damaged_from == NO_OFFSET) {
        p->damaged_from = from;
        r->damaged++;
    }
    p->damaged_to = to == NO_OFFSET ? NO_OFFSET : MAX(p->damaged_to, to);
    partition_touch(p);
}

/* The log goes on at `base`: what lies between is lost. */
static void meet(struct replay *r, struct partition *p, int64_t base)
{
    if (base > p->log_end) {
        damage(r, p, p->log_end, base);
        p->log_end = base;
    }
    p->unproved = false;
}

/* Offset behind the last byte that was brought back. Of the batch that was moved last the end is not known here: it
 * counts as lost; where the moved end stands inside of it, it is. */
static int64_t bytes_end(struct partition *p)
{
    const struct ref *last = p->ref_count > 0 ? ref_at(p, p->ref_count - 1) : NULL;
    if (last != NULL && last->whole) return last->base_offset + last->last_delta + 1;
    const struct segment *s = partition_segment_at(p, p->end_pos);
    return MAX(p->log_start, s->start == p->end_pos ? s->base : p->index.last_offset);
}

/* Bytes that the table counts as there are lost: what follows cannot be placed, the positions are gone with them. The
 * partition ends here; everything from here on is the damaged range (rule A8: until an operator accepts it). */
static void break_off(struct replay *r, struct partition *p)
{
    uint32_t keep = p->segment_count;
    int64_t from = bytes_end(p);
    while (keep > 1 && p->segments[keep - 1].start > p->end_pos) keep--;
    if (keep < p->segment_count) partition_segments_drop_after(p, keep);
    p->broken = r->broke_off = true;
    p->resume.end_pos = 0;
    damage(r, p, from, NO_OFFSET);
}

/* The next batch in the bytes that the table counts: is it the one that follows? */
static bool follows(const struct partition *p, int64_t base)
{
    const struct ref *last = p->ref_count > 0 ? ref_at(p, p->ref_count - 1) : NULL;
    if (last == NULL || !last->whole) return true; /* the resume point is exact, and was met */
    return base == last->base_offset + last->last_delta + 1;
}

struct group_place { /* where the entry being replayed stands */
    struct buf *buf;
    uint64_t sequence;
    uint32_t entry;
};

/* What the table counts begins with the entry that it names: positions are of no use for any other. */
static bool meets_resume(struct partition *p, struct group_place at)
{
    p->resume.met |= at.sequence == p->resume.sequence && at.entry == p->resume.entry;
    return p->resume.met;
}

static enum status replay_append(struct replay *r, struct partition *p, const struct entry *e, struct group_place at)
{
    struct batch_info info;
    bool state = at.sequence > r->table_sequence;
    if (batch_parse(e->payload, e->payload_bytes, &info) != STATUS_OK || info.size_bytes != e->payload_bytes ||
        info.base_offset != e->offset)
        return STATUS_DAMAGED;
    if (!state && r->after_loss && !follows(p, e->offset)) {
        break_off(r, p);
        return STATUS_OK;
    }
    if (state && e->offset < p->log_end) return STATUS_DAMAGED;
    if (state) meet(r, p, e->offset);
    enum status status = refs_reserve(p);
    if (status == STATUS_OK && state && info.producer_id >= 0) status = producer_state_reserve(&p->producers);
    if (status != STATUS_OK) return status;
    struct ref ref = {.base_offset = e->offset,
                      .max_timestamp_ms = info.max_timestamp_ms,
                      .pos = p->end_pos,
                      .sequence = at.sequence,
                      .entry = at.entry,
                      .buf = at.buf,
                      .buf_pos = (uint32_t)(e->payload - at.buf->data),
                      .len = e->payload_bytes,
                      .last_delta = info.last_offset_delta,
                      .whole = true};
    refs_push(p, &ref);
    if (state) {
        partition_appended(p, &info);
    } else {
        p->end_pos += e->payload_bytes;
        partition_touch(p);
    }
    return STATUS_OK;
}

static enum status replay_create(struct replay *r, const struct entry *e)
{
    struct store *s = r->store;
    char topic[TOPIC_NAME_MAX + 1] = {0};
    if (e->payload_bytes < 9 || e->payload_bytes - 8 > TOPIC_NAME_MAX) return STATUS_DAMAGED;
    memcpy(topic, e->payload + 8, e->payload_bytes - 8);
    if (!topic_name_valid(topic) || e->partition < 0) return STATUS_DAMAGED;
    if (partition_map_find(s->map, e->topic, e->partition) != NULL) return STATUS_DAMAGED;
    struct partition *p = partition_new(s, topic, e->topic, e->partition);
    if (p == NULL) return STATUS_NO_MEMORY;
    p->creation = e->aux;
    p->home = load_le64(e->payload);
    s->creations = MAX(s->creations, e->aux);
    enum status status = partition_map_add(s->map, p);
    if (status != STATUS_OK) partition_free(p);
    if (status == STATUS_OK) partition_touch(p);
    return status;
}

/* The cut of a partition whose file holds more; what it leaves of the block is read back first (recut.c). */
static enum status cut_passed(struct replay *r, const struct passed_cut *cut, bool state)
{
    struct truncate_payload t;
    struct partition *p = cut->p;
    struct buf *b = r->cut.payload;
    if (b == NULL) {
        r->cut = *cut;
        return STATUS_BUSY;
    }
    CHECK(r->cut.p == p && r->cut.end_pos == cut->end_pos);
    CHECK_OK(truncate_payload_decode(b->data, (uint32_t)b->size, &t));
    enum status status = partition_cut(p, cut->offset, &t, b->data, b, 0, 0, 0, state);
    p->carried_pos = p->end_pos; /* no group brings these bytes back: the next table carries them */
    buf_unref(&r->cut.payload);
    return status;
}

static enum status replay_truncate(struct replay *r, struct partition *p, const struct entry *e, struct group_place at)
{
    struct truncate_payload t;
    enum status status = truncate_payload_decode(e->payload, e->payload_bytes, &t);
    if (status != STATUS_OK) return status;
    bool state = at.sequence > r->table_sequence;
    struct buf *b = at.buf;
    if (t.index_bytes > 0 || p->moved_pos <= t.end_pos || p->end_pos < t.end_pos)
        return partition_cut(p, e->offset, &t, e->payload, b, (uint32_t)(e->payload - b->data), at.sequence, at.entry,
                             state);
    return cut_passed(
        r, &(struct passed_cut){.p = p, .offset = e->offset, .end_pos = t.end_pos, .segment_base = t.segment_base},
        state);
}

/* The watermark had passed what was compacted, whatever the table remembers of it (D5). */
static enum status replay_swap(struct partition *p, const struct entry *e)
{
    struct swap_payload w;
    enum status status = swap_payload_decode(e->payload, e->payload_bytes, &w);
    if (status == STATUS_OK) status = partition_swap(p, e->offset, e->aux, &w);
    if (status != STATUS_OK) return status == STATUS_NO_MEMORY ? status : STATUS_DAMAGED;
    if (p->replicated != NO_OFFSET) p->replicated = MAX(p->replicated, w.end_base);
    return STATUS_OK;
}

static enum status replay_state(struct replay *r, struct partition *p, const struct entry *e)
{
    partition_touch(p);
    switch ((enum entry_kind)e->kind) {
    case ENTRY_LOG_START:
        if (e->offset > p->log_end) { /* it never passes the log's end: what led there is lost */
            damage(r, p, p->log_end, e->offset);
            p->log_end = e->offset;
        }
        p->log_start = MAX(p->log_start, e->offset);
        return STATUS_OK;
    case ENTRY_EPOCH:
        meet(r, p, e->offset);
        p->epoch = MAX(p->epoch, e->epoch);
        return epoch_map_add(&p->epochs, e->epoch, e->offset);
    case ENTRY_ROLL:
        meet(r, p, e->offset);
        p->segment_time_ms = -1;
        return partition_segment_push(p, e->offset, p->end_pos);
    case ENTRY_EXPIRE: /* at the same watermark as then: what was pending above it was kept */
        producer_state_commit(&p->producers, e->offset);
        producer_state_remove_expired(&p->producers, (int64_t)e->aux);
        return STATUS_OK;
    case ENTRY_SWAP: return replay_swap(p, e);
    case ENTRY_ACCEPT: p->damaged_from = p->damaged_to = NO_OFFSET; return STATUS_OK;
    case ENTRY_DELETE:
        p->grave = e->payload_bytes > 0 && e->payload[0] == STORE_QUARANTINE ? STORE_QUARANTINE : STORE_TRASH;
        return partition_deleted(p);
    case ENTRY_PAD:
    case ENTRY_CREATE:
    case ENTRY_APPEND:
    case ENTRY_TRUNCATE:
    case ENTRY_KIND_COUNT: break;
    }
    return STATUS_DAMAGED;
}

static int64_t append_end(const struct entry *e)
{
    struct batch_info info;
    return batch_parse(e->payload, e->payload_bytes, &info) == STATUS_OK ? batch_next_offset(&info) : e->offset;
}

static enum status replay_entry(struct replay *r, const struct entry *e, struct group_place at)
{
    struct partition *p = partition_map_find(r->store->map, e->topic, e->partition);
    bool state = at.sequence > r->table_sequence;
    r->entries++;
    if (e->kind == ENTRY_CREATE) return state ? replay_create(r, e) : STATUS_OK;
    if (p == NULL) {
        if (state) r->orphans++;
        return STATUS_OK;
    }
    if (!state && before_resume(p, at.sequence, at.entry)) return STATUS_OK;
    if (!state && r->after_loss && !p->broken && !meets_resume(p, at)) break_off(r, p);
    if (state && p->end_pos < p->resume.end_pos) break_off(r, p);
    if (state) p->resume.end_pos = 0; /* reached: what a truncation takes from here on is not lost */
    if (p->broken) {
        if (e->kind == ENTRY_APPEND) p->log_end = MAX(p->log_end, append_end(e));
        return STATUS_OK;
    }
    if (e->kind == ENTRY_APPEND) return replay_append(r, p, e, at);
    if (e->kind == ENTRY_TRUNCATE) return replay_truncate(r, p, e, at);
    return state ? replay_state(r, p, e) : STATUS_OK;
}

/* Where the watermarks of the group before stood when it was closed (rule D5: a lone restart below min.insync reads
 * what was committed, and a cut below it is refused). */
static void raise_watermarks(struct replay *r, const struct group_reader *g, uint32_t proofs)
{
    for (uint32_t i = 0; i < proofs; i++) {
        struct proof proof;
        group_reader_proof(g, i, &proof);
        struct partition *p = partition_map_find(r->store->map, proof.topic, proof.partition);
        if (p != NULL && p->replicated != NO_OFFSET) p->replicated = MAX(p->replicated, proof.high_watermark);
    }
}

/* The group before was lost; this one repeats where its partitions ended. */
static void name_victims(struct replay *r, const struct group_reader *g, uint32_t proofs)
{
    for (uint32_t i = 0; i < proofs; i++) {
        struct proof proof;
        group_reader_proof(g, i, &proof);
        struct partition *p = partition_map_find(r->store->map, proof.topic, proof.partition);
        if (p != NULL) meet(r, p, proof.end);
    }
}

enum status replay_group(struct replay *r, struct buf *b, uint32_t at, const struct group_header *h, bool after_loss)
{
    struct group_reader g;
    struct entry e;
    struct group_place place = {.buf = b, .sequence = h->sequence};
    group_reader_init(&g, b->data + at, h);
    if (after_loss && r->first_entry == 0) name_victims(r, &g, h->proof_count);
    raise_watermarks(r, &g, h->proof_count);
    r->after_loss |= after_loss;
    for (;; place.entry++) {
        enum status status = group_reader_next(&g, &e);
        if (status == STATUS_OK && place.entry < r->first_entry) continue;
        if (status == STATUS_OK) status = replay_entry(r, &e, place);
        if (status == STATUS_OK) continue;
        r->first_entry = status == STATUS_BUSY ? place.entry : 0;
        return status == STATUS_OFFSET_OUT_OF_RANGE ? STATUS_OK : status;
    }
}

bool replay_needs_quiet(const uint8_t *group, const struct group_header *h)
{
    struct group_reader g;
    struct entry e;
    group_reader_init(&g, group, h);
    while (group_reader_next(&g, &e) == STATUS_OK)
        if (e.kind == ENTRY_TRUNCATE || e.kind == ENTRY_DELETE) return true;
    return false;
}

void replay_suspect(struct replay *r)
{
    for (uint32_t i = 0; i < partition_map_count(r->store->map); i++)
        partition_map_at(r->store->map, i)->unproved = true;
}

/* Where the head of a lost batch is in its file, the moved end falls to the boundary of the block that it begins in, as
 * by a cut (rule A2). */
static enum status settle_ends(struct replay *r)
{
    struct store *s = r->store;
    for (uint32_t i = 0; i < partition_map_count(s->map); i++) {
        struct partition *p = partition_map_at(s->map, i);
        if (p->end_pos < p->resume.end_pos) break_off(r, p);
        if (p->end_pos >= p->moved_pos) continue;
        struct passed_cut cut = {
            .p = p, .offset = p->index.last_offset, .end_pos = p->end_pos, .segment_base = p->index.segment_base};
        enum status status = cut_passed(r, &cut, false);
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

enum status replay_finish(struct replay *r)
{
    struct store *s = r->store;
    enum status status = settle_ends(r);
    if (status != STATUS_OK) return status;
    for (uint32_t i = 0; i < partition_map_count(s->map); i++) {
        struct partition *p = partition_map_at(s->map, i);
        if (p->broken)
            p->damaged_to = p->log_end;
        else if (p->unproved && r->lost_unknown)
            damage(r, p, p->log_end, NO_OFFSET);
        p->broken = p->unproved = false;
        p->resume = (struct resume){0};
        p->durable_pos = p->end_pos;
        p->durable_end = p->log_end;
        p->log_start_durable = p->log_start;
        /* the watermark had passed the log start, whatever the table remembers of it (D5) */
        if (p->replicated != NO_OFFSET) p->replicated = MAX(p->replicated, p->log_start);
        partition_hw_advance(p);
        partition_check(p);
    }
    return STATUS_OK;
}

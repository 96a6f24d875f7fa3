// SPDX-License-Identifier: Apache-2.0
/* Reading the log: every segment that control names, group by group, through a window. What is not a good group goes to
 * metalog_cases.c with the facts: zeros or bytes, a witness behind it or none.
 *
 * The first group of the first segment says where the sequence stands (those before it were dropped); all others follow
 * by sequence and chain. Entries at or below the log's end replace it from there on, as they did when they were
 * written. Failure modes: a sentence that names file and position; nothing is changed on the disk. */
#include "replication/metalog_open.h"

#include "base/bytes.h"
#include "base/check.h"
#include "replication/metalog_cases.h"

static struct opening *of(struct task *t)
{
    return container_of(t, struct opening, task);
}

static int damaged(struct opening *o, const char *what)
{
    return open_fail(o, STATUS_DAMAGED, "%s: byte %llu: %s: it was durable once, so it is not cut; restore the file",
                     o->path.s, (unsigned long long)o->pos, what);
}

int scan_open(struct task *t)
{
    struct opening *o = of(t);
    if (o->segment == 0) o->segment = o->m->disk.control.first_segment;
    metalog_segment_path(o->m, &o->path, o->segment, "");
    o->pos = o->window_pos = 0;
    o->window_len = 0;
    o->lock_deadline = mono_add(o->m->env->now, LOCK_WAIT_NS);
    return open_submit(o, (struct io_op){.kind = IO_OPEN, .path = o->path.s, .flags = IO_DIRECT}, SCAN_LOCK);
}

/* open -> stat -> lock (again) */
int scan_lock(struct task *t)
{
    struct opening *o = of(t);
    struct metalog *m = o->m;
    if (o->io.kind == IO_OPEN && o->file < 0) {
        if (o->io.status == STATUS_NOT_FOUND)
            return open_fail(o, STATUS_DAMAGED, "%s: is missing: the control file names it; restore it", o->path.s);
        if (o->io.status != STATUS_OK)
            return open_fail(o, o->io.status, "%s: cannot be opened: %s", o->path.s, status_text(o->io.status));
        o->file = (int32_t)o->io.result;
        return open_submit(o, (struct io_op){.kind = IO_STAT, .path = o->path.s}, SCAN_LOCK);
    }
    if (o->io.kind == IO_STAT) {
        if (o->io.status != STATUS_OK)
            return open_fail(o, o->io.status, "%s: %s", o->path.s, status_text(o->io.status));
        o->file_bytes = (uint64_t)o->io.result;
        if (m->disk.segment_count == SEGMENTS_MAX)
            return open_fail(o, STATUS_FORMAT, "%s: more than %u log files", m->dir.s, SEGMENTS_MAX);
        m->disk.segments[m->disk.segment_count++] =
            (struct metalog_segment){.number = o->segment, .bytes = o->file_bytes};
        m->count.log_bytes += o->file_bytes;
        if (o->file_bytes == 0 || o->file_bytes % BLOCK_BYTES != 0) return damaged(o, "the file has a wrong length");
    }
    if (o->io.kind == IO_LOCK && o->io.status == STATUS_LOCKED) {
        o->io.kind = IO_OPEN; /* file is open: asks for the lock when woken */
        return open_lock_again(o, SCAN_LOCK);
    }
    if (o->io.kind != IO_LOCK) return open_submit(o, (struct io_op){.kind = IO_LOCK, .file = o->file}, SCAN_LOCK);
    if (o->io.status != STATUS_OK)
        return open_fail(o, o->io.status, "%s: cannot be locked: %s", o->path.s, status_text(o->io.status));
    o->transfer.status = STATUS_OK;
    return SCAN_PARSE;
}

/* True: bytes [at, at + bytes) of the file are at *ret_data. False: read (or fail) first, by *ret_stage. */
static bool have(struct opening *o, uint64_t at, uint32_t bytes, int again, const uint8_t **ret_data, int *ret_stage)
{
    struct metalog *m = o->m;
    if (at >= o->window_pos && at + bytes <= o->window_pos + o->window_len) {
        *ret_data = o->window + (at - o->window_pos);
        return true;
    }
    if (bytes > o->window_room) {
        uint8_t *window = mem_alloc_aligned(m->mem, MEM_REPLICATION, bytes);
        if (window == NULL) {
            *ret_stage = open_fail(o, STATUS_NO_MEMORY, "%s: no memory to read a group of %u bytes", o->path.s, bytes);
            return false;
        }
        mem_free_aligned(m->mem, MEM_REPLICATION, o->window, o->window_room);
        o->window = window;
        o->window_room = bytes;
    }
    o->window_pos = at;
    o->window_len = (uint32_t)MIN((uint64_t)o->window_room, o->file_bytes - at);
    CHECK(o->window_len >= bytes);
    *ret_stage = open_read(o, o->file, o->window, o->window_len, at, again);
    return false;
}

static bool read_failed(struct opening *o, int *ret_stage)
{
    if (o->transfer.status == STATUS_OK && (o->window_len == 0 || o->transfer.moved == o->window_len)) return false;
    enum status status = o->transfer.status != STATUS_OK ? o->transfer.status : STATUS_DAMAGED;
    *ret_stage = open_fail(o, status, "%s: cannot be read: %s", o->path.s, status_text(status));
    return true;
}

/* Is this head the next group's? Of the first group of all, the place in the sequence is believed. */
static bool follows(const struct opening *o, const struct metalog_group *g)
{
    const struct metalog_control *c = &o->m->disk.control;
    if (!metalog_ident_equal(&g->ident, &o->m->ident) || g->length > o->file_bytes - o->pos) return false;
    if (g->incarnation < o->last_incarnation || g->incarnation > c->incarnation) return false;
    if (!o->any_group) return c->first_segment > 1 || (g->sequence == 1 && g->chain == 0);
    return g->sequence == o->expected && g->chain == o->chain;
}

/* NULL, or what it contradicts. */
static const char *take_entries(struct opening *o, const uint8_t *group, const struct metalog_group *g,
                                enum status *ret_status)
{
    struct entry_log *l = &o->m->entries;
    uint32_t pos = MGROUP_HEAD_BYTES;
    *ret_status = STATUS_OK;
    if (!o->anchored) entry_log_reset(l, g->base); /* the first entries say where the log begins */
    o->anchored = true;
    if (g->base > entry_log_last(l) + 1) return "entries behind a gap in the log";
    if (g->base < l->first)
        entry_log_reset(l, g->base);
    else
        entry_log_truncate(l, g->base);
    for (uint32_t i = 0; i < g->count; i++) {
        struct entry_view e;
        metalog_group_entry(group, g, &pos, &e);
        const struct log_entry *before = entry_log_at(l, entry_log_last(l));
        if (e.term > o->m->disk.control.term) return "an entry of a term that the control file has not seen";
        if (before != NULL && e.term < before->term) return "an entry of an older term than the one before it";
        *ret_status = entry_log_append(l, &e);
        if (*ret_status != STATUS_OK) return "";
    }
    return NULL;
}

static int take(struct opening *o, const uint8_t *group, const struct metalog_group *g)
{
    struct metalog *m = o->m;
    struct metalog_segment *s = &m->disk.segments[m->disk.segment_count - 1];
    enum status status = STATUS_OK;
    const char *wrong = g->kind == MGROUP_ENTRIES ? take_entries(o, group, g, &status) : NULL;
    if (status != STATUS_OK) return open_fail(o, status, "%s: no memory for the log", o->path.s);
    if (wrong != NULL) return damaged(o, wrong);
    if (g->kind == MGROUP_RESET) {
        entry_log_reset(&m->entries, g->base + 1);
        o->reset_index = g->base;
        o->anchored = true;
    }
    if (g->kind != MGROUP_CLOSE) s->last_index = MAX(s->last_index, g->base + g->count - (g->count > 0));
    if (g->base > o->head.index) m->log_since_snapshot += g->length;
    o->any_group = true;
    o->last_pos = o->pos;
    o->last_length = g->length;
    o->last_segment = o->segment;
    o->expected = g->sequence + 1;
    o->chain = g->crc;
    o->last_incarnation = g->incarnation;
    o->pos += g->length;
    return SCAN_PARSE;
}

static bool all_zero(const uint8_t *block)
{
    return block[0] == 0 && memcmp(block, block + 1, BLOCK_BYTES - 1) == 0;
}

int scan_parse(struct task *t)
{
    struct opening *o = of(t);
    const uint8_t *data = NULL;
    struct metalog_group g;
    int stage = OPEN_END;
    if (read_failed(o, &stage)) return stage;
    o->zero = o->witness = false;
    if (o->pos == o->file_bytes) return SCAN_NEXT;
    if (!have(o, o->pos, BLOCK_BYTES, SCAN_PARSE, &data, &stage)) return stage;
    enum status status = metalog_group_head_decode(data, &g);
    if (status == STATUS_OK && follows(o, &g)) {
        if (!have(o, o->pos, g.length, SCAN_PARSE, &data, &stage)) return stage;
        if (metalog_group_check(data, &g) == STATUS_OK) return take(o, data, &g);
    }
    o->zero = all_zero(data);
    o->witness_at = o->pos;
    return SCAN_WITNESS;
}

/* A head of this log, further in the sequence, here or later in this segment: what is missing was durable. */
int scan_witness(struct task *t)
{
    struct opening *o = of(t);
    int stage = OPEN_END;
    if (read_failed(o, &stage)) return stage;
    while (o->witness_at < o->file_bytes && !o->witness) {
        const uint8_t *data;
        struct metalog_group g;
        if (!have(o, o->witness_at, BLOCK_BYTES, SCAN_WITNESS, &data, &stage)) return stage;
        if (metalog_group_head_decode(data, &g) == STATUS_OK && metalog_ident_equal(&g.ident, &o->m->ident) &&
            g.sequence > (o->any_group ? o->expected : 1))
            o->witness = true;
        o->witness_at += BLOCK_BYTES;
    }
    struct tail_facts f = {.zero = o->zero,
                           .witness = o->witness,
                           .last = o->segment == o->m->disk.control.last_segment,
                           .accepted = o->any_group && o->expected <= o->m->disk.control.accepted};
    switch (tail_decide(&f)) {
    case TAIL_GROUP: CHECK(false);
    case TAIL_NEXT:
    case TAIL_END: break;
    case TAIL_CUT:
        METALOG_LOG(o->m, LOG_WARN, "metalog.tail.cut", LOG_STR("file", o->path.s), LOG_UINT("byte", o->pos));
        break;
    case TAIL_DAMAGED: return damaged(o, o->zero ? "a group is missing" : "a group fails its checksum");
    }
    return SCAN_NEXT;
}

/* The last one stays open; the group that was found nowhere would have been in it. */
int scan_next(struct task *t)
{
    struct opening *o = of(t);
    struct metalog *m = o->m;
    if (o->segment == m->disk.control.last_segment) {
        if (!o->any_group) return damaged(o, "the log holds no group");
        if (o->expected <= m->disk.control.accepted) return damaged(o, "a group is missing");
        m->disk.segment_file = o->file;
        o->file = -1;
        m->disk.pos = o->pos;
        m->disk.sequence = o->expected - 1;
        m->disk.chain = o->chain;
        return OPEN_DECIDE;
    }
    if (!o->any_group) return damaged(o, "the first log file holds no group");
    int32_t file = o->file;
    o->file = -1;
    o->segment++;
    return open_submit(o, (struct io_op){.kind = IO_CLOSE, .file = file}, SCAN_OPEN);
}

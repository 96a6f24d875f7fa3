// SPDX-License-Identifier: Apache-2.0
/* Opening a metalog.
 *
 *   control     open, lock, both pages: the sound one with the higher number says term, vote, segments
 *               (no directory: metalog_make.c, then again)
 *   names       what the directory holds; left-overs of a crash are unlinked
 *   snapshot    the newest sound one (metalog_restore.c)
 *   scan        every segment that control names (metalog_recover.c)
 *   decide      snapshot against log (metalog_cases.c)
 *   note        the last segment flushed, a new incarnation with the accepted sequence in the control page, flushed:
 * from here on what was read is durable (rule A7), the vote too restore     the snapshot's bytes to the owner start the
 * engine
 *
 * Before `note` nothing is changed but left-overs removed. Failure modes: each ends with a sentence that names the
 * file. */
#include "replication/metalog_open.h"

#include "base/bytes.h"
#include "base/check.h"
#include "replication/metalog_cases.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static struct opening *of(struct task *t)
{
    return container_of(t, struct opening, task);
}

int open_fail(struct opening *o, enum status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(o->op->error, sizeof o->op->error, format, args);
    va_end(args);
    o->status = status;
    return OPEN_END;
}

int open_submit(struct opening *o, struct io_op io, int next)
{
    o->io = io;
    o->io.task = &o->task;
    env_submit(o->m->env, &o->io);
    return STAGE_WAIT(next);
}

int open_read(struct opening *o, int32_t file, void *data, uint32_t len, uint64_t pos, int next)
{
    transfer_start(o->m->env, &o->transfer, &o->task, IO_READ, file, data, len, pos, 0);
    return STAGE_WAIT(next);
}

static void again_fire(struct timer *t)
{
    task_wake(&container_of(t, struct opening, again)->task);
}

int open_lock_again(struct opening *o, int next)
{
    if (o->m->env->now.v >= o->lock_deadline.v)
        return open_fail(o, STATUS_LOCKED, "%s: another process holds it: stop that one first", o->path.s);
    o->again.fire = again_fire;
    env_timer_start(o->m->env, &o->again, mono_add(o->m->env->now, LOCK_AGAIN_NS));
    return STAGE_WAIT(next);
}

/* --- control --- */

static int open_control(struct task *t)
{
    struct opening *o = of(t);
    path_set(&o->path, "%s/control", o->m->dir.s);
    return open_submit(o, (struct io_op){.kind = IO_OPEN, .path = o->path.s, .flags = IO_DIRECT}, OPEN_CONTROL_OPENED);
}

static int open_control_opened(struct task *t)
{
    struct opening *o = of(t);
    if (o->io.status == STATUS_NOT_FOUND)
        return open_submit(o, (struct io_op){.kind = IO_STAT, .path = o->m->dir.s}, OPEN_DIR_STAT);
    if (o->io.status != STATUS_OK)
        return open_fail(o, o->io.status, "%s: cannot be opened: %s", o->path.s, status_text(o->io.status));
    o->m->disk.control_file = (int32_t)o->io.result;
    o->lock_deadline = mono_add(o->m->env->now, LOCK_WAIT_NS);
    return open_submit(o, (struct io_op){.kind = IO_LOCK, .file = o->m->disk.control_file}, OPEN_LOCKED);
}

static int open_dir_stat(struct task *t)
{
    struct opening *o = of(t);
    if (o->io.status == STATUS_NOT_FOUND) return MAKE_DIR;
    if (o->io.status != STATUS_OK) return open_fail(o, o->io.status, "%s: %s", o->m->dir.s, status_text(o->io.status));
    return open_fail(o, STATUS_DAMAGED,
                     "%s: the control file is missing: it holds which entries this broker has promised; restore it",
                     o->m->dir.s);
}

static int open_locked(struct task *t)
{
    struct opening *o = of(t);
    if (o->io.kind == IO_LOCK && o->io.status == STATUS_LOCKED) {
        o->io.kind = IO_OPEN; /* asked again when woken */
        return open_lock_again(o, OPEN_LOCKED);
    }
    if (o->io.kind != IO_LOCK)
        return open_submit(o, (struct io_op){.kind = IO_LOCK, .file = o->m->disk.control_file}, OPEN_LOCKED);
    if (o->io.status != STATUS_OK)
        return open_fail(o, o->io.status, "%s: cannot be locked: %s", o->path.s, status_text(o->io.status));
    return open_read(o, o->m->disk.control_file, o->pages, 2 * BLOCK_BYTES, 0, OPEN_PAGES);
}

static int check_config(struct opening *o, const struct metalog_control *c)
{
    const struct metalog_config *want = &o->m->config;
    if (c->ident.node != want->self)
        return open_fail(o, STATUS_FORMAT, "%s: belongs to node %d, this is node %d: is node.id right?", o->path.s,
                         c->ident.node, want->self);
    if (!uuid_is_zero(want->cluster) && !uuid_equal(want->cluster, c->cluster))
        return open_fail(o, STATUS_FORMAT, "%s: belongs to another cluster", o->path.s);
    if (c->voter_count != want->voter_count || memcmp(c->voters, want->voters, c->voter_count * sizeof *c->voters) != 0)
        return open_fail(o, STATUS_FORMAT,
                         "%s: was made for other voters (%u of them): changing the voters is not supported yet",
                         o->path.s, c->voter_count);
    return open_submit(
        o, (struct io_op){.kind = IO_LIST, .path = o->m->dir.s, .data = o->names, .len = OPEN_NAMES_BYTES}, OPEN_NAMES);
}

static int open_pages(struct task *t)
{
    struct opening *o = of(t);
    struct metalog_control pages[2];
    uint32_t newest = 0;
    int best = -1;
    bool foreign = true;
    if (o->transfer.status != STATUS_OK)
        return open_fail(o, o->transfer.status, "%s: cannot be read: %s", o->path.s, status_text(o->transfer.status));
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t version = 0;
        enum status status = o->transfer.moved < (i + 1) * BLOCK_BYTES
                                 ? STATUS_DAMAGED
                                 : metalog_control_decode(o->pages + i * BLOCK_BYTES, &pages[i], &version);
        newest = MAX(newest, version);
        if (status != STATUS_FORMAT) foreign = false;
        if (status != STATUS_OK || pages[i].page % 2 != i) continue;
        if (best < 0 || pages[i].page > pages[best].page) best = (int)i;
    }
    if (newest > METALOG_FORMAT_VERSION)
        return open_fail(o, STATUS_FORMAT, "%s: written by a newer Leat (format %u, this one reads up to %u)",
                         o->path.s, newest, METALOG_FORMAT_VERSION);
    if (best < 0 && foreign) return open_fail(o, STATUS_FORMAT, "%s: not a control file of Leat", o->path.s);
    if (best < 0) return open_fail(o, STATUS_DAMAGED, "%s: both pages fail their checksum", o->path.s);
    o->m->disk.control = pages[best];
    o->m->ident = pages[best].ident;
    o->m->cluster = pages[best].cluster;
    return check_config(o, &pages[best]);
}

/* --- names --- */

/* "<prefix><exactly this many digits>" as a number. */
static bool numbered(const char *name, const char *prefix, size_t digits, uint64_t *ret_number)
{
    size_t n = strlen(prefix);
    if (strncmp(name, prefix, n) != 0 || strlen(name + n) != digits || strspn(name + n, "0123456789") != digits)
        return false;
    *ret_number = strtoull(name + n, NULL, 10);
    return true;
}

static void note_snapshot(struct opening *o, uint64_t index)
{
    uint32_t at = o->snapshot_count < OPEN_SNAPSHOTS_MAX ? o->snapshot_count++ : OPEN_SNAPSHOTS_MAX - 1;
    while (at > 0 && o->snapshots[at - 1] < index) {
        o->snapshots[at] = o->snapshots[at - 1];
        at--;
    }
    o->snapshots[at] = index; /* falling; beyond the room the oldest is forgotten */
}

static int open_names(struct task *t)
{
    struct opening *o = of(t);
    uint64_t number;
    if (o->io.status != STATUS_OK)
        return open_fail(o, o->io.status, "%s: cannot be listed: %s", o->m->dir.s, status_text(o->io.status));
    o->names_len = (uint32_t)o->io.result;
    for (uint32_t i = 0; i < o->names_len; i += (uint32_t)strlen(o->names + i) + 1)
        if (numbered(o->names + i, "snapshot-", 20, &number)) note_snapshot(o, number);
    o->names_at = 0;
    return OPEN_CLEAN;
}

/* What a crash may have left: files under a temporary name, segments that control does not name (any more, or yet). */
static bool left_over(const struct opening *o, const char *name)
{
    const struct metalog_control *c = &o->m->disk.control;
    size_t n = strlen(name);
    uint64_t number;
    if (n > 4 && strcmp(name + n - 4, ".new") == 0) return true;
    return numbered(name, "log-", 6, &number) && (number < c->first_segment || number > c->last_segment);
}

static int open_clean(struct task *t)
{
    struct opening *o = of(t);
    while (o->names_at < o->names_len) {
        const char *name = o->names + o->names_at;
        o->names_at += (uint32_t)strlen(name) + 1;
        if (!left_over(o, name)) continue;
        path_set(&o->path, "%s/%.255s", o->m->dir.s, name);
        return open_submit(o, (struct io_op){.kind = IO_UNLINK, .path = o->path.s}, OPEN_CLEAN);
    }
    o->snapshot_at = 0;
    return FIND_SNAPSHOT;
}

/* --- decide, note --- */

static int open_decide(struct task *t)
{
    struct opening *o = of(t);
    struct metalog *m = o->m;
    const struct log_entry *at = entry_log_at(&m->entries, o->head.index);
    struct log_facts f = {.first = m->entries.first,
                          .last = entry_log_last(&m->entries),
                          .term_at_snapshot = at == NULL ? 0 : at->term,
                          .snapshot_index = o->head.index,
                          .snapshot_term = o->head.term,
                          .reset_index = o->reset_index};
    switch (log_decide(&f)) {
    case LOG_KEEP: break;
    case LOG_RESET:
        o->reset_needed = true;
        entry_log_reset(&m->entries, o->head.index + 1);
        break;
    case LOG_DAMAGED:
        return open_fail(o, STATUS_DAMAGED,
                         "%s: entries before %llu are missing (the newest sound snapshot ends at %llu): restore the "
                         "directory from a backup",
                         m->dir.s, (unsigned long long)f.first, (unsigned long long)f.snapshot_index);
    }
    m->snapshot_index = m->applied = m->commit = o->head.index;
    m->snapshot_term = o->head.term;
    m->older_snapshot = o->snapshot_at + 1 < o->snapshot_count ? o->snapshots[o->snapshot_at + 1] : 0;
    m->snap.drop_snapshot = m->older_snapshot;
    return OPEN_PROVE;
}

/* A new incarnation, with what it has accepted. */
static int open_note(struct task *t)
{
    struct opening *o = of(t);
    struct metalog_control *c = &o->m->disk.control;
    if (!o->noting) {
        o->noting = true;
        c->page++;
        c->incarnation++;
        c->accepted = o->m->disk.sequence;
        metalog_control_encode(o->pages, c);
        transfer_start(o->m->env, &o->transfer, t, IO_WRITE, o->m->disk.control_file, o->pages, BLOCK_BYTES,
                       c->page % 2 * BLOCK_BYTES, 0);
        return STAGE_WAIT(OPEN_NOTE);
    }
    if (o->transfer.status != STATUS_OK)
        return open_fail(o, o->transfer.status, "%s/control: cannot be written: %s", o->m->dir.s,
                         status_text(o->transfer.status));
    return open_submit(o, (struct io_op){.kind = IO_DATASYNC, .file = o->m->disk.control_file}, OPEN_NOTED);
}

static int open_noted(struct task *t)
{
    struct opening *o = of(t);
    if (o->io.status != STATUS_OK)
        return open_fail(o, o->io.status, "%s/control: cannot be flushed: %s", o->m->dir.s, status_text(o->io.status));
    return o->head.index > 0 ? RESTORE_OPEN : OPEN_START;
}

/* --- start, end --- */

static int open_start(struct task *t)
{
    struct opening *o = of(t);
    struct metalog *m = o->m;
    const struct metalog_control *c = &m->disk.control;
    struct quorum_config qc = {.self = m->config.self,
                               .voter_count = m->config.voter_count,
                               .election_ms = m->config.election_ms,
                               .heartbeat_ms = m->config.heartbeat_ms,
                               .seed = (unsigned)env_random(m->env),
                               .log = &m->entries,
                               .owner = &m->quorum_owner};
    struct quorum_start start = {
        .term = c->term, .vote = c->vote, .snapshot_index = o->head.index, .snapshot_term = o->head.term};
    memcpy(qc.voters, m->config.voters, sizeof qc.voters);
    m->quorum = quorum_create(m->mem, &qc);
    if (m->quorum == NULL) return open_fail(o, STATUS_NO_MEMORY, "no memory for the metadata quorum");
    if (quorum_solo(m->quorum)) entry_log_drop_before(&m->entries, o->head.index + 1);
    if (o->reset_needed) {
        struct disk_op *reset = disk_push(m, DISK_OP_RESET);
        if (reset == NULL) return open_fail(o, STATUS_NO_MEMORY, "no memory for the metadata log");
        reset->base = o->head.index;
        reset->term = o->head.term;
    }
    enum status status = quorum_start(m->quorum, metalog_now_ms(m), &start);
    if (status != STATUS_OK)
        return open_fail(o, status, "%s: the log does not fit these voters: %s", m->dir.s, status_text(status));
    m->disk.open_group = true; /* a witness for what was there is owed */
    METALOG_LOG(m, LOG_INFO, "metalog.open", LOG_STR("directory", m->dir.s), LOG_UINT("snapshot", o->head.index),
                LOG_UINT("first", m->entries.first), LOG_UINT("last", entry_log_last(&m->entries)),
                LOG_UINT("term", c->term), LOG_UINT("incarnation", c->incarnation));
    return OPEN_END;
}

static void opening_free(struct opening *o)
{
    struct mem *mem = o->m->mem;
    mem_free_aligned(mem, MEM_REPLICATION, o->pages, 2 * BLOCK_BYTES);
    mem_free(mem, MEM_REPLICATION, o->names, OPEN_NAMES_BYTES);
    mem_free_aligned(mem, MEM_REPLICATION, o->window, o->window_room);
    if (o->first != NULL) entry_unref(mem, o->first);
    mem_free(mem, MEM_REPLICATION, o, sizeof *o);
}

static int open_end(struct task *t)
{
    struct opening *o = of(t);
    struct metalog *m = o->m;
    struct metalog_open *op = o->op;
    int32_t *files[] = {&o->file, &m->disk.control_file, &m->disk.segment_file};
    if (o->restoring) { /* a failure in between */
        o->restoring = false;
        (void)m->config.owner->ops->restore_end(m->config.owner, false);
    }
    for (unsigned i = 0; o->status != STATUS_OK && i < COUNT_OF(files); i++) {
        if (*files[i] < 0) continue;
        int32_t file = *files[i];
        *files[i] = -1;
        return open_submit(o, (struct io_op){.kind = IO_CLOSE, .file = file}, OPEN_END);
    }
    op->status = o->status;
    op->metalog = o->status == STATUS_OK ? m : NULL;
    opening_free(o);
    if (op->status == STATUS_OK)
        metalog_start(m);
    else
        metalog_free(m);
    op->done(op);
    return STAGE_DONE;
}

#define OR_END STAGE_BIT(OPEN_END)

static const struct stage open_stages[] = {
    [OPEN_CONTROL] = {"control", open_control, STAGE_BIT(OPEN_CONTROL_OPENED)},
    [OPEN_CONTROL_OPENED] = {"control opened", open_control_opened,
                             STAGE_BIT(OPEN_DIR_STAT) | STAGE_BIT(OPEN_LOCKED) | OR_END},
    [OPEN_DIR_STAT] = {"directory", open_dir_stat, STAGE_BIT(MAKE_DIR) | OR_END},
    [OPEN_LOCKED] = {"locked", open_locked, STAGE_BIT(OPEN_LOCKED) | STAGE_BIT(OPEN_PAGES) | OR_END},
    [OPEN_PAGES] = {"pages", open_pages, STAGE_BIT(OPEN_NAMES) | OR_END},
    [OPEN_NAMES] = {"names", open_names, STAGE_BIT(OPEN_CLEAN) | OR_END},
    [OPEN_CLEAN] = {"clean", open_clean, STAGE_BIT(OPEN_CLEAN) | STAGE_BIT(FIND_SNAPSHOT)},
    [MAKE_DIR] = {"make directory", make_dir, STAGE_BIT(MAKE_CLEAN) | OR_END},
    [MAKE_CLEAN] = {"make clean", make_clean, STAGE_BIT(MAKE_CLEAN) | STAGE_BIT(MAKE_FILE) | OR_END},
    [MAKE_FILE] = {"make file", make_file, STAGE_BIT(MAKE_FILL) | OR_END},
    [MAKE_FILL] = {"make fill", make_fill, STAGE_BIT(MAKE_FILL) | STAGE_BIT(MAKE_SYNC) | OR_END},
    [MAKE_SYNC] = {"make sync", make_sync, STAGE_BIT(MAKE_CLOSED) | OR_END},
    [MAKE_CLOSED] = {"make closed", make_closed,
                     STAGE_BIT(MAKE_CLOSED) | STAGE_BIT(MAKE_FILE) | STAGE_BIT(MAKE_DIR_SYNC) | OR_END},
    [MAKE_DIR_SYNC] = {"make directory sync", make_dir_sync, STAGE_BIT(MAKE_NAME) | OR_END},
    [MAKE_NAME] = {"make name", make_name, STAGE_BIT(MAKE_DONE) | OR_END},
    [MAKE_DONE] = {"make done", make_done, STAGE_BIT(OPEN_CONTROL) | OR_END},
    [FIND_SNAPSHOT] = {"find snapshot", find_snapshot, STAGE_BIT(FIND_HEAD) | STAGE_BIT(SCAN_OPEN)},
    [FIND_HEAD] = {"find head", find_head,
                   STAGE_BIT(FIND_HEAD) | STAGE_BIT(FIND_DATA) | STAGE_BIT(FIND_SNAPSHOT) | OR_END},
    [FIND_DATA] = {"find data", find_data,
                   STAGE_BIT(FIND_DATA) | STAGE_BIT(FIND_SNAPSHOT) | STAGE_BIT(SCAN_OPEN) | OR_END},
    [SCAN_OPEN] = {"scan open", scan_open, STAGE_BIT(SCAN_LOCK) | OR_END},
    [SCAN_LOCK] = {"scan lock", scan_lock, STAGE_BIT(SCAN_LOCK) | STAGE_BIT(SCAN_PARSE) | OR_END},
    [SCAN_PARSE] = {"scan parse", scan_parse,
                    STAGE_BIT(SCAN_PARSE) | STAGE_BIT(SCAN_WITNESS) | STAGE_BIT(SCAN_NEXT) | OR_END},
    [SCAN_WITNESS] = {"scan witness", scan_witness, STAGE_BIT(SCAN_WITNESS) | STAGE_BIT(SCAN_NEXT) | OR_END},
    [SCAN_NEXT] = {"scan next", scan_next, STAGE_BIT(SCAN_OPEN) | STAGE_BIT(OPEN_DECIDE) | OR_END},
    [OPEN_DECIDE] = {"decide", open_decide, STAGE_BIT(OPEN_PROVE) | OR_END},
    [OPEN_PROVE] = {"prove", open_prove, STAGE_BIT(OPEN_PROVE) | STAGE_BIT(OPEN_NOTE) | OR_END},
    [OPEN_NOTE] = {"note", open_note, STAGE_BIT(OPEN_NOTE) | STAGE_BIT(OPEN_NOTED) | OR_END},
    [OPEN_NOTED] = {"noted", open_noted, STAGE_BIT(RESTORE_OPEN) | STAGE_BIT(OPEN_START) | OR_END},
    [RESTORE_OPEN] = {"restore open", restore_open, STAGE_BIT(RESTORE_READ)},
    [RESTORE_READ] = {"restore read", restore_read, STAGE_BIT(RESTORE_READ) | STAGE_BIT(OPEN_START) | OR_END},
    [OPEN_START] = {"start", open_start, OR_END},
    [OPEN_END] = {"end", open_end, OR_END},
};

static const struct flow open_flow = {"metalog open", open_stages, COUNT_OF(open_stages)};

static bool config_valid(const struct metalog_config *c, char error[512])
{
    bool self = false;
    if (c->voter_count < 1 || c->voter_count > METALOG_VOTERS_MAX || c->voter_count % 2 == 0) {
        snprintf(error, 512, "the metadata quorum has %u voters: 1, 3, 5 or 7 are right", c->voter_count);
        return false;
    }
    for (uint32_t i = 0; i < c->voter_count; i++) {
        self = self || c->voters[i] == c->self;
        if (c->voters[i] < 0 || (i > 0 && c->voters[i] <= c->voters[i - 1])) {
            snprintf(error, 512, "the voters' node ids must be 0 or above, in rising order, none twice");
            return false;
        }
    }
    if (!self) snprintf(error, 512, "node %d is none of the voters", c->self);
    if (self && c->voter_count > 1 && uuid_is_zero(c->cluster)) {
        snprintf(error, 512, "a quorum of %u voters needs a cluster id", c->voter_count);
        return false;
    }
    return self;
}

void metalog_open(struct env *e, const struct metalog_config *c, struct metalog_open *op)
{
    struct mem *mem = e->mem;
    struct metalog *m = mem_zalloc(mem, MEM_REPLICATION, sizeof *m);
    struct opening *o = mem_zalloc(mem, MEM_REPLICATION, sizeof *o);
    CHECK(m != NULL && o != NULL && strlen(c->dir) <= METALOG_DIR_MAX); /* the first allocations of a shard */
    m->env = e;
    m->mem = mem;
    m->config = *c;
    path_set(&m->dir, "%s", c->dir);
    m->config.dir = m->dir.s;
    m->quorum_owner.actions = &metalog_quorum_actions;
    m->leader = -1;
    entry_log_init(&m->entries, mem);
    struct list *lists[] = {&m->waiting, &m->pending, &m->held, &m->disk.queue};
    for (unsigned i = 0; i < COUNT_OF(lists); i++) list_init(lists[i]);
    m->disk.control_file = m->disk.segment_file = m->disk.new_file = m->snap.file = o->file = -1;
    m->disk.page = mem_alloc_aligned(mem, MEM_REPLICATION, BLOCK_BYTES);
    o->m = m;
    o->op = op;
    o->pages = mem_alloc_aligned(mem, MEM_REPLICATION, 2 * BLOCK_BYTES);
    o->names = mem_alloc(mem, MEM_REPLICATION, OPEN_NAMES_BYTES);
    o->window_room = OPEN_WINDOW_BYTES;
    o->window = mem_alloc_aligned(mem, MEM_REPLICATION, OPEN_WINDOW_BYTES);
    CHECK(m->disk.page != NULL && o->pages != NULL && o->names != NULL && o->window != NULL);
    op->error[0] = '\0';
    op->metalog = NULL;
    bool valid = config_valid(c, op->error);
    if (!valid) o->status = STATUS_INVALID;
    task_start(e->runner, &o->task, &open_flow, valid ? OPEN_CONTROL : OPEN_END);
}

// SPDX-License-Identifier: Apache-2.0
/* A metalog that is not there yet, made in a directory of another name: the first segment (zeros, then a group with
 * entry 1, the voters), the control file with its first page. All is synced, then the directory gets its name: one that
 * exists was once complete, so what misses in it is damage, never a reason to begin anew. Then the opening begins
 * again.
 *
 * Voters of a quorum make the same entry 1 in term 1, each for itself; only a quorum of one may choose its cluster id.
 * Failure modes: an error ends the start; what was made so far is removed by the next one. */
#include "replication/metalog_open.h"

#include "base/bytes.h"
#include "base/check.h"

#define FILES 2u /* log-000001, control */

static struct opening *of(struct task *t)
{
    return container_of(t, struct opening, task);
}

static void random_uuid(struct env *e, struct uuid *ret_id)
{
    for (int i = 0; i < 16; i += 8) store_le64(ret_id->b + i, env_random(e));
    ret_id->b[6] = (uint8_t)((ret_id->b[6] & 0x0fu) | 0x40u); /* a UUID of version 4 */
    ret_id->b[8] = (uint8_t)((ret_id->b[8] & 0x3fu) | 0x80u);
}

static int fail(struct opening *o, enum status status, const char *what)
{
    return open_fail(o, status, "%s: %s: %s", o->path.s, what, status_text(status));
}

void metalog_parent_path(const struct metalog *m, struct path *p)
{
    const char *dir = m->dir.s, *slash = strrchr(dir, '/');
    int bytes = slash == NULL ? 0 : slash == dir ? 1 : (int)(slash - dir);
    path_set(p, "%.*s", bytes == 0 ? 1 : bytes, bytes == 0 ? "." : dir);
}

int make_dir(struct task *t)
{
    struct opening *o = of(t);
    path_set(&o->path, "%s.new", o->m->dir.s);
    return open_submit(o, (struct io_op){.kind = IO_MKDIR, .path = o->path.s}, MAKE_CLEAN);
}

/* mkdir -> list -> unlink each */
int make_clean(struct task *t)
{
    struct opening *o = of(t);
    if (o->io.kind == IO_MKDIR) {
        if (o->io.status != STATUS_OK && o->io.status != STATUS_EXISTS) return fail(o, o->io.status, "cannot be made");
        return open_submit(
            o, (struct io_op){.kind = IO_LIST, .path = o->path.s, .data = o->names, .len = OPEN_NAMES_BYTES},
            MAKE_CLEAN);
    }
    if (o->io.status != STATUS_OK) return fail(o, o->io.status, "cannot be cleared");
    if (o->io.kind == IO_LIST) {
        o->names_len = (uint32_t)o->io.result;
        o->names_at = 0;
    }
    if (o->names_at < o->names_len) {
        const char *name = o->names + o->names_at;
        o->names_at += (uint32_t)strlen(name) + 1;
        path_set(&o->path, "%s.new/%.255s", o->m->dir.s, name);
        return open_submit(o, (struct io_op){.kind = IO_UNLINK, .path = o->path.s}, MAKE_CLEAN);
    }
    o->made = 0;
    return MAKE_FILE;
}

/* The state that the first pages describe. */
static enum status prepare(struct opening *o)
{
    struct metalog *m = o->m;
    struct metalog_control *c = &m->disk.control;
    uint8_t change[QUORUM_CHANGE_MAX];
    uint32_t size;
    *c = (struct metalog_control){.ident = {.node = m->config.self},
                                  .cluster = m->config.cluster,
                                  .page = 0,
                                  .incarnation = 1,
                                  .term = 1,
                                  .vote = -1,
                                  .first_segment = 1,
                                  .last_segment = 1,
                                  .voter_count = m->config.voter_count};
    memcpy(c->voters, m->config.voters, sizeof c->voters);
    random_uuid(m->env, &c->ident.id);
    if (uuid_is_zero(c->cluster)) random_uuid(m->env, &c->cluster);
    enum status status = quorum_voters_encode(m->mem, c->voters, c->voter_count, change, &size);
    if (status != STATUS_OK) return status;
    if (o->first != NULL) entry_unref(m->mem, o->first);
    o->first = mem_alloc(m->mem, MEM_REPLICATION, sizeof *o->first + size);
    if (o->first == NULL) return STATUS_NO_MEMORY;
    *o->first = (struct log_entry){.index = 1, .term = 1, .type = ENTRY_CHANGE, .size = size, .refs = 1};
    memcpy(o->first->data, change, size);
    return STATUS_OK;
}

static uint64_t file_bytes(const struct opening *o)
{
    return o->made == 0 ? MAX(align_up(o->m->config.segment_bytes, BLOCK_BYTES), 2 * BLOCK_BYTES) : 2 * BLOCK_BYTES;
}

int make_file(struct task *t)
{
    struct opening *o = of(t);
    if (o->made == 0) {
        enum status status = prepare(o);
        if (status != STATUS_OK) return fail(o, status, "cannot be filled");
    }
    path_set(&o->path, "%s.new/%s", o->m->dir.s, o->made == 0 ? "log-000001" : "control");
    o->filled = 0;
    o->transfer.status = STATUS_OK;
    return open_submit(o, (struct io_op){.kind = IO_OPEN, .path = o->path.s, .flags = IO_CREATE | IO_EXCL | IO_DIRECT},
                       MAKE_FILL);
}

/* Zeros to the end, then the first group or page over them. */
int make_fill(struct task *t)
{
    struct opening *o = of(t);
    struct metalog *m = o->m;
    if (o->filled == 0) {
        if (o->io.status != STATUS_OK) return fail(o, o->io.status, "cannot be made");
        o->file = (int32_t)o->io.result;
    }
    if (o->transfer.status != STATUS_OK) return fail(o, o->transfer.status, "cannot be filled");
    uint64_t bytes = file_bytes(o);
    memset(o->window, 0, OPEN_WINDOW_BYTES);
    if (o->filled < bytes) {
        uint32_t len = (uint32_t)MIN(bytes - o->filled, OPEN_WINDOW_BYTES);
        transfer_start(m->env, &o->transfer, t, IO_WRITE, o->file, o->window, len, o->filled, 0);
        o->filled += len;
        return STAGE_WAIT(MAKE_FILL);
    }
    if (o->made == 0) {
        struct metalog_group g = {
            .ident = m->disk.control.ident, .kind = MGROUP_ENTRIES, .incarnation = 1, .sequence = 1, .base = 1};
        const struct log_entry *first = o->first;
        metalog_group_encode(o->window, &g, &first, 1);
        CHECK(g.length == BLOCK_BYTES);
    } else {
        metalog_control_encode(o->window, &m->disk.control);
    }
    transfer_start(m->env, &o->transfer, t, IO_WRITE, o->file, o->window, BLOCK_BYTES, 0, 0);
    return STAGE_WAIT(MAKE_SYNC);
}

int make_sync(struct task *t)
{
    struct opening *o = of(t);
    if (o->transfer.status != STATUS_OK) return fail(o, o->transfer.status, "cannot be filled");
    return open_submit(o, (struct io_op){.kind = IO_SYNC, .file = o->file}, MAKE_CLOSED);
}

int make_closed(struct task *t)
{
    struct opening *o = of(t);
    if (o->io.kind == IO_SYNC) {
        if (o->io.status != STATUS_OK) return fail(o, o->io.status, "cannot be synced");
        int32_t file = o->file;
        o->file = -1;
        return open_submit(o, (struct io_op){.kind = IO_CLOSE, .file = file}, MAKE_CLOSED);
    }
    if (++o->made < FILES) return MAKE_FILE;
    path_set(&o->path, "%s.new", o->m->dir.s);
    return open_submit(o, (struct io_op){.kind = IO_SYNC_DIR, .path = o->path.s}, MAKE_DIR_SYNC);
}

int make_dir_sync(struct task *t)
{
    struct opening *o = of(t);
    if (o->io.status != STATUS_OK) return fail(o, o->io.status, "cannot be synced");
    return open_submit(o, (struct io_op){.kind = IO_RENAME, .path = o->path.s, .path2 = o->m->dir.s}, MAKE_NAME);
}

int make_name(struct task *t)
{
    struct opening *o = of(t);
    if (o->io.status != STATUS_OK) return fail(o, o->io.status, "cannot be named");
    metalog_parent_path(o->m, &o->path2);
    return open_submit(o, (struct io_op){.kind = IO_SYNC_DIR, .path = o->path2.s}, MAKE_DONE);
}

int make_done(struct task *t)
{
    struct opening *o = of(t);
    if (o->io.status != STATUS_OK) return fail(o, o->io.status, "its name cannot be synced");
    METALOG_LOG(o->m, LOG_INFO, "metalog.made", LOG_STR("directory", o->m->dir.s),
                LOG_UINT("voters", o->m->config.voter_count));
    return OPEN_CONTROL;
}

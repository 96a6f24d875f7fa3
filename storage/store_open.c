// SPDX-License-Identifier: Apache-2.0
/* Opening a store:
 *
 *   directory  shard 0: make the log directory or check that it is one of ours; the others wait for it
 *   recover    each shard its journal (recovery.c)
 *   meet       all shards have replayed: from here on every partition has one owner
 *   saved      a partition ends below what the table said: a checkpoint says so
 *   serve
 *
 * Failure modes: each ends with a sentence in store_open.error and leaves the directory as it was. */
#include "storage/bury.h"
#include "storage/directory_file.h"
#include "storage/mover.h"
#include "storage/partition_map.h"
#include "storage/recovery.h"
#include "storage/rehome.h"
#include "storage/swap.h"
#include "storage/unlinker.h"

#include "base/bytes.h"
#include <stdarg.h>
#include <stdio.h>
#include <xxhash.h>

#define NAMES_BYTES (1u << 20)
#define MEET_NS     (500 * NS_PER_US)

enum open_stage {
    OPEN_MAKE,
    OPEN_MADE,
    OPEN_CHECK,
    OPEN_LIST,
    OPEN_WRITE,
    OPEN_SUBDIRS,
    OPEN_READY,
    OPEN_RECOVER,
    OPEN_BURY,
    OPEN_STRAYS,
    OPEN_MEET,
    OPEN_SAVED,
    OPEN_REHOME,
    OPEN_REHOMED,
    OPEN_SERVE,
    OPEN_END
};

struct opening {
    struct task task;
    struct store *store;
    struct store_open *op;
    struct io_op ops[3];
    struct smallfile file;
    struct path paths[3];
    uint8_t *page;
    char *names;
    struct timer again;
    struct recovery *recovery;
    struct burial *burial;
    struct rehome *rehome;
    struct commit_waiter saved;
    enum status saved_status;
    int written_next; /* stage after leat.directory was written */
    enum status status;
};

static const struct flow open_flow;

uint32_t partition_shard(struct topic_id id, int32_t number, uint32_t shard_count)
{
    return (uint32_t)(XXH3_64bits_withSeed(id.b, sizeof id.b, (uint64_t)number) % shard_count);
}

static int fail(struct opening *o, enum status status, const char *format, ...) __attribute__((format(printf, 3, 4)));

static int fail(struct opening *o, enum status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(o->op->error, sizeof o->op->error, format, args);
    va_end(args);
    o->status = status;
    if (o->store->env->shard == 0) disk_directory_set(o->store->disk, NULL, true);
    return OPEN_END;
}

static int submit(struct opening *o, int i, struct io_op op, int next)
{
    o->ops[i] = op;
    o->ops[i].task = &o->task;
    env_submit(o->store->env, &o->ops[i]);
    return STAGE_WAIT(next);
}

static void again_fire(struct timer *timer)
{
    struct opening *o = container_of(timer, struct opening, again);
    task_wake(&o->task);
}

static int wait_a_little(struct opening *o, int next)
{
    o->again.fire = again_fire;
    env_timer_start(o->store->env, &o->again, mono_add(o->store->env->now, MEET_NS));
    return STAGE_WAIT(next);
}

/* --- the directory (shard 0) --- */

static int open_make(struct task *t)
{
    struct opening *o = container_of(t, struct opening, task);
    if (o->store->env->shard != 0) return OPEN_READY;
    const char *dir = o->store->dir.s, *slash = strrchr(dir, '/');
    int parent_bytes = slash == NULL ? 0 : slash == dir ? 1 : (int)(slash - dir);
    path_set(&o->paths[1], "%.*s", parent_bytes == 0 ? 1 : parent_bytes, parent_bytes == 0 ? "." : dir);
    return submit(o, 0, (struct io_op){.kind = IO_MKDIR, .path = dir}, OPEN_MADE);
}

static int open_made(struct task *t)
{
    struct opening *o = container_of(t, struct opening, task);
    enum status status = o->ops[0].status;
    if (status != STATUS_OK && status != STATUS_EXISTS)
        return fail(o, status, "log.dirs=%s: cannot be made: %s; make it, or choose another directory", o->store->dir.s,
                    status_text(status));
    /* its own name must be durable too, also when a start before this one made it and was cut off */
    if (o->ops[1].path == NULL)
        return submit(o, 1, (struct io_op){.kind = IO_SYNC_DIR, .path = o->paths[1].s}, OPEN_MADE);
    if (status == STATUS_OK && o->ops[1].status != STATUS_OK) /* of a given one, the parent may be closed to us */
        return fail(o, o->ops[1].status, "%s: cannot be synced: %s", o->paths[1].s, status_text(o->ops[1].status));
    path_set(&o->paths[0], "%s/leat.directory", o->store->dir.s);
    smallfile_read(o->store->env, &o->file, t, o->paths[0].s, o->page);
    return STAGE_WAIT(OPEN_CHECK);
}

/* The directory file with other numbers of journals; complete under its name or not at all. */
static int write_journals(struct opening *o, struct journal_id id, uint32_t journals, uint32_t made, int next)
{
    directory_file_encode(o->page, &(struct directory_file){.id = id, .journals = journals, .made = made});
    disk_journals_set(o->store->disk, journals, made);
    o->written_next = next;
    path_set(&o->paths[0], "%s/leat.directory", o->store->dir.s);
    path_set(&o->paths[1], "%s/leat.directory.new", o->store->dir.s);
    o->ops[0] = (struct io_op){.kind = IO_MKDIR};
    smallfile_write(o->store->env, &o->file, &o->task, o->paths[1].s, o->page, true);
    return STAGE_WAIT(OPEN_SUBDIRS);
}

static int open_check(struct task *t)
{
    struct opening *o = container_of(t, struct opening, task);
    struct directory_file d;
    uint32_t version, shards = o->store->env->shard_count;
    if (o->file.status == STATUS_NOT_FOUND)
        return submit(o, 0,
                      (struct io_op){.kind = IO_LIST, .path = o->store->dir.s, .data = o->names, .len = NAMES_BYTES},
                      OPEN_LIST);
    if (o->file.status != STATUS_OK && o->file.status != STATUS_DAMAGED)
        return fail(o, o->file.status, "%s: %s", o->paths[0].s, status_text(o->file.status));
    enum status status = o->file.status == STATUS_OK ? directory_file_decode(o->page, &d, &version) : STATUS_DAMAGED;
    if (status == STATUS_FORMAT && version > DIRECTORY_VERSION)
        return fail(o, status, "%s: written by a newer Leat (format %u, this one reads up to %u): use that version",
                    o->paths[0].s, version, DIRECTORY_VERSION);
    if (status != STATUS_OK)
        return fail(o, status, "%s: %s; if the rest of the directory is sound, restore this file from a backup",
                    o->paths[0].s, status_text(status));
    o->written_next = OPEN_READY;
    if (d.journals < shards) /* noted before a journal beyond them is made */
        return write_journals(o, d.id, shards, d.made, OPEN_READY);
    disk_journals_set(o->store->disk, d.journals, d.made);
    /* a start before this one may have been killed between a rename and its sync: these names, too, must be durable */
    return submit(o, 0, (struct io_op){.kind = IO_SYNC_DIR, .path = o->store->dir.s}, OPEN_SUBDIRS);
}

static int open_list(struct task *t)
{
    struct opening *o = container_of(t, struct opening, task);
    if (o->ops[0].status != STATUS_OK)
        return fail(o, o->ops[0].status, "%s: cannot be listed: %s", o->store->dir.s, status_text(o->ops[0].status));
    for (int64_t i = 0; i < o->ops[0].result; i += (int64_t)strlen(o->names + i) + 1) {
        const char *name = o->names + i;
        bool ours = strcmp(name, "leat.directory.new") == 0 || /* a first start that was cut off */
                    strcmp(name, "lost+found") == 0 || strcmp(name, "quarantine") == 0 || strcmp(name, "trash") == 0;
        if (!ours)
            return fail(o, STATUS_FORMAT,
                        "%s is not empty and not a log directory of Leat (it holds \"%.100s\", and no "
                        "leat.directory): choose an empty directory",
                        o->store->dir.s, name);
    }
    path_set(&o->paths[1], "%s/quarantine", o->store->dir.s);
    path_set(&o->paths[2], "%s/trash", o->store->dir.s);
    submit(o, 0, (struct io_op){.kind = IO_MKDIR, .path = o->paths[1].s}, OPEN_WRITE);
    return submit(o, 1, (struct io_op){.kind = IO_MKDIR, .path = o->paths[2].s}, OPEN_WRITE);
}

static int open_write(struct task *t)
{
    struct opening *o = container_of(t, struct opening, task);
    struct directory_file d = {.journals = o->store->env->shard_count};
    for (int i = 0; i < 2; i++)
        if (o->ops[i].status != STATUS_OK && o->ops[i].status != STATUS_EXISTS)
            return fail(o, o->ops[i].status, "%s: cannot be written: %s", o->store->dir.s,
                        status_text(o->ops[i].status));
    for (int i = 0; i < 16; i += 8) store_le64(d.id.b + i, env_random(o->store->env));
    disk_journals_set(o->store->disk, d.journals, 0);
    o->written_next = OPEN_READY;
    directory_file_encode(o->page, &d);
    path_set(&o->paths[1], "%s/leat.directory.new", o->store->dir.s);
    smallfile_write(o->store->env, &o->file, t, o->paths[1].s, o->page, true);
    return STAGE_WAIT(OPEN_SUBDIRS);
}

/* Complete under its name or not there at all. */
static int open_subdirs(struct task *t)
{
    struct opening *o = container_of(t, struct opening, task);
    if (o->file.status != STATUS_OK)
        return fail(o, o->file.status, "%s: cannot be written: %s", o->paths[1].s, status_text(o->file.status));
    if (o->ops[0].kind == IO_MKDIR)
        return submit(o, 0, (struct io_op){.kind = IO_RENAME, .path = o->paths[1].s, .path2 = o->paths[0].s},
                      OPEN_SUBDIRS);
    if (o->ops[0].status != STATUS_OK)
        return fail(o, o->ops[0].status, "%s: cannot be written: %s", o->paths[0].s, status_text(o->ops[0].status));
    if (o->ops[0].kind == IO_RENAME) /* env promises no order between the two while both are in flight */
        return submit(o, 0, (struct io_op){.kind = IO_SYNC_DIR, .path = o->store->dir.s}, OPEN_SUBDIRS);
    if (o->written_next != OPEN_READY) return o->written_next;
    struct directory_file d;
    uint32_t version;
    CHECK_OK(directory_file_decode(o->page, &d, &version));
    disk_directory_set(o->store->disk, d.id.b, false);
    return OPEN_READY;
}

/* --- every shard --- */

static int open_ready(struct task *t)
{
    struct opening *o = container_of(t, struct opening, task);
    switch (disk_directory_get(o->store->disk, o->store->directory.b)) {
    case DISK_DIRECTORY_UNKNOWN: return wait_a_little(o, OPEN_READY);
    case DISK_DIRECTORY_FAILED:
        snprintf(o->op->error, sizeof o->op->error, "shard 0 could not open %.400s", o->store->dir.s);
        o->status = STATUS_CANCELED;
        return OPEN_END;
    case DISK_DIRECTORY_READY: break;
    }
    return OPEN_RECOVER;
}

static void recovered(struct recovery *r)
{
    struct opening *o = r->store->opening;
    task_wake(&o->task);
}

static int open_recover(struct task *t)
{
    struct opening *o = container_of(t, struct opening, task);
    o->recovery->done = recovered;
    recovery_start(o->recovery, o->store);
    return STAGE_WAIT(OPEN_BURY);
}

static int open_bury(struct task *t)
{
    struct opening *o = container_of(t, struct opening, task);
    if (o->recovery->status != STATUS_OK) return OPEN_STRAYS;
    if (o->burial != NULL) {
        enum status status = burial_end(o->burial);
        if (status != STATUS_OK)
            recovery_fail(o->recovery, status, "%s: a deleted partition's directory cannot be renamed: %s",
                          o->store->dir.s, status_text(status));
        return OPEN_STRAYS;
    }
    if (list_empty(&o->store->graves)) return OPEN_STRAYS;
    o->burial = burial_start(o->store, t);
    return STAGE_WAIT(OPEN_BURY);
}

static int open_strays(struct task *t)
{
    struct opening *o = container_of(t, struct opening, task);
    if (o->recovery->status != STATUS_OK) return OPEN_MEET;
    o->rehome = rehome_open(o->store, disk_journals(o->store->disk), t);
    return STAGE_WAIT(OPEN_MEET);
}

static void saved(struct commit_waiter *w, enum status status)
{
    struct opening *o = container_of(w, struct opening, saved);
    o->saved_status = status;
    task_wake(&o->task);
}

/* A replay that broke off a partition would do so again, and drop what came later; and the table may call more moved
 * than there is now. So a table that knows the new ends is durable before anybody appends or cuts a file. */
static int open_meet(struct task *t)
{
    struct opening *o = container_of(t, struct opening, task);
    struct store *s = o->store;
    if (!s->recovered) {
        const char *error;
        s->recovered = true;
        if (o->rehome != NULL && rehome_status(o->rehome, &error) != STATUS_OK)
            recovery_fail(o->recovery, rehome_status(o->rehome, &error), "%s", error);
        o->status = o->recovery->status;
        if (o->status != STATUS_OK) memcpy(o->op->error, o->recovery->error, sizeof o->op->error);
        disk_shard_replayed(s->disk, o->status == STATUS_OK);
    }
    if (o->status != STATUS_OK) return OPEN_END;
    if (disk_replay_failed(s->disk)) {
        snprintf(o->op->error, sizeof o->op->error, "another shard could not open %.400s", s->dir.s);
        o->status = STATUS_CANCELED;
        return OPEN_END;
    }
    if (disk_shards_replayed(s->disk) < s->env->shard_count) return wait_a_little(o, OPEN_MEET);
    s->settled = true;
    if (!o->recovery->replay.broke_off) return OPEN_SAVED;
    o->saved.durable = saved;
    checkpoint_request(s->table, &o->saved);
    return STAGE_WAIT(OPEN_SAVED);
}

static int open_saved(struct task *t)
{
    struct opening *o = container_of(t, struct opening, task);
    struct store *s = o->store;
    if (o->saved_status != STATUS_OK) {
        disk_shard_replayed(s->disk, false); /* others may wait for us to re-home */
        return fail(o, o->saved_status, "%s: no checkpoint could be written after damage was found: %s", s->dir.s,
                    status_text(o->saved_status));
    }
    if (!rehome_needed(s)) return OPEN_REHOMED;
    /* journals beyond our shards go at its end: before that they are no longer expected; the others wait in it for us
     */
    uint32_t made = MIN(disk_journals_made(s->disk), s->env->shard_count);
    if (s->env->shard != 0 || made == disk_journals_made(s->disk)) return OPEN_REHOME;
    return write_journals(o, s->directory, disk_journals(s->disk), made, OPEN_REHOME);
}

static int open_rehome(struct task *t)
{
    struct opening *o = container_of(t, struct opening, task);
    rehome_start(o->rehome, t);
    return STAGE_WAIT(OPEN_REHOMED);
}

static int open_rehomed(struct task *t)
{
    struct opening *o = container_of(t, struct opening, task);
    struct store *s = o->store;
    const char *error;
    enum status status = rehome_status(o->rehome, &error);
    if (status != STATUS_OK) return fail(o, status, "%s", error);
    uint32_t shards = s->env->shard_count;
    if (s->env->shard != 0) return OPEN_SERVE;
    if (disk_journals(s->disk) == shards && disk_journals_made(s->disk) == shards) return OPEN_SERVE;
    return write_journals(o, s->directory, shards, shards, OPEN_SERVE); /* all are there now, and no others */
}

static int open_serve(struct task *t)
{
    struct opening *o = container_of(t, struct opening, task);
    struct store *s = o->store;
    struct recovery *r = o->recovery;
    for (uint32_t i = 0; i < partition_map_count(s->map); i++) {
        struct partition *p = partition_map_at(s->map, i);
        p->held = false;
        p->untrimmed = r->groups > 0 && p->moved_pos > partition_active(p)->start; /* not a clean stop */
        partition_stale_unlink(p);                                                 /* of replayed swaps */
        partition_log_start_passed(p);
        mover_look(p);
    }
    STORE_LOG(s, LOG_INFO, "store.open", LOG_STR("directory", s->dir.s),
              LOG_UINT("partitions", partition_map_count(s->map)), LOG_UINT("groups", r->groups),
              LOG_UINT("bytes", r->bytes), LOG_UINT("lost_groups", r->lost_groups),
              LOG_UINT("damaged", r->replay.damaged), LOG_UINT("incarnation", s->journal->control.incarnation));
    store_serve(s);
    return OPEN_END;
}

static int open_end(struct task *t)
{
    struct opening *o = container_of(t, struct opening, task);
    struct store *s = o->store;
    struct mem *m = s->env->mem;
    struct store_open *op = o->op;
    if (o->status != STATUS_OK && o->rehome != NULL && rehome_discard(o->rehome, t)) return STAGE_WAIT(OPEN_END);
    op->status = o->status;
    op->store = o->status == STATUS_OK ? s : NULL;
    s->opening = NULL;
    if (o->rehome != NULL) rehome_free(o->rehome);
    buf_unref(&o->recovery->window);
    mem_free(m, MEM_CONTROL, o->recovery->paths, (RING_FILES_MAX + 4) * sizeof(struct path));
    mem_free(m, MEM_CONTROL, o->recovery, sizeof *o->recovery);
    mem_free_aligned(m, MEM_CONTROL, o->page, 3 * BLOCK_BYTES);
    mem_free(m, MEM_CONTROL, o->names, NAMES_BYTES);
    mem_free(m, MEM_CONTROL, o, sizeof *o);
    if (op->store == NULL)
        store_discard(s, op);
    else
        op->done(op);
    return STAGE_DONE;
}

static const struct stage open_stages[] = {
    [OPEN_MAKE] = {"make", open_make, STAGE_BIT(OPEN_MADE) | STAGE_BIT(OPEN_READY)},
    [OPEN_MADE] = {"made", open_made, STAGE_BIT(OPEN_MADE) | STAGE_BIT(OPEN_CHECK) | STAGE_BIT(OPEN_END)},
    [OPEN_CHECK] = {"check", open_check,
                    STAGE_BIT(OPEN_LIST) | STAGE_BIT(OPEN_SUBDIRS) | STAGE_BIT(OPEN_READY) | STAGE_BIT(OPEN_END)},
    [OPEN_LIST] = {"list", open_list, STAGE_BIT(OPEN_WRITE) | STAGE_BIT(OPEN_END)},
    [OPEN_WRITE] = {"write", open_write, STAGE_BIT(OPEN_SUBDIRS) | STAGE_BIT(OPEN_END)},
    [OPEN_SUBDIRS] = {"subdirs", open_subdirs,
                      STAGE_BIT(OPEN_SUBDIRS) | STAGE_BIT(OPEN_SERVE) | STAGE_BIT(OPEN_READY) | STAGE_BIT(OPEN_REHOME) |
                          STAGE_BIT(OPEN_END)},
    [OPEN_READY] = {"ready", open_ready, STAGE_BIT(OPEN_READY) | STAGE_BIT(OPEN_RECOVER) | STAGE_BIT(OPEN_END)},
    [OPEN_RECOVER] = {"recover", open_recover, STAGE_BIT(OPEN_BURY)},
    [OPEN_BURY] = {"bury", open_bury, STAGE_BIT(OPEN_BURY) | STAGE_BIT(OPEN_STRAYS)},
    [OPEN_STRAYS] = {"strays", open_strays, STAGE_BIT(OPEN_MEET)},
    [OPEN_MEET] = {"meet", open_meet, STAGE_BIT(OPEN_MEET) | STAGE_BIT(OPEN_SAVED) | STAGE_BIT(OPEN_END)},
    [OPEN_SAVED] = {"saved", open_saved,
                    STAGE_BIT(OPEN_SUBDIRS) | STAGE_BIT(OPEN_REHOME) | STAGE_BIT(OPEN_REHOMED) | STAGE_BIT(OPEN_END)},
    [OPEN_REHOME] = {"rehome", open_rehome, STAGE_BIT(OPEN_REHOMED)},
    [OPEN_REHOMED] = {"rehomed", open_rehomed, STAGE_BIT(OPEN_SERVE) | STAGE_BIT(OPEN_SUBDIRS) | STAGE_BIT(OPEN_END)},
    [OPEN_SERVE] = {"serve", open_serve, STAGE_BIT(OPEN_END)},
    [OPEN_END] = {"end", open_end, STAGE_BIT(OPEN_END)},
};

static const struct flow open_flow = {"store open", open_stages, COUNT_OF(open_stages)};

void opening_start(struct store *s, struct store_open *op)
{
    struct mem *m = s->env->mem;
    struct opening *o = mem_zalloc(m, MEM_CONTROL, sizeof *o);
    CHECK(o != NULL); /* the first allocations of a shard: leat.memory.bytes has a lower bound */
    o->store = s;
    o->op = op;
    o->page = mem_alloc_aligned(m, MEM_CONTROL, 3 * BLOCK_BYTES);
    o->names = mem_alloc(m, MEM_CONTROL, NAMES_BYTES);
    o->recovery = mem_zalloc(m, MEM_CONTROL, sizeof *o->recovery);
    CHECK(o->page != NULL && o->names != NULL && o->recovery != NULL);
    o->recovery->pages = o->page + BLOCK_BYTES;
    o->recovery->paths = mem_alloc(m, MEM_CONTROL, (RING_FILES_MAX + 4) * sizeof(struct path));
    o->recovery->window = buf_create(m, MEM_LOG, SCAN_WINDOW_BYTES);
    CHECK(o->recovery->paths != NULL && o->recovery->window != NULL);
    s->opening = o;
    task_start(s->env->runner, &o->task, &open_flow, OPEN_MAKE);
}

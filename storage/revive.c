// SPDX-License-Identifier: Apache-2.0
/* The flow of a revival: a deleted partition comes back out of the trash, as delete.c left it there.
 *
 *   look     partition.metadata in its own place: is it back already (a revival that a crash cut off)?
 *   list     else the newest directory of that id and number in the trash that holds a partition.state: one without is
 *            a ghost, made when a replay moved bytes of a partition whose deletion it met later
 *   aside    what stands in its place without being its own goes to the quarantine
 *   take     rename into its place; both parents are synced; then look again
 *   state    partition.state: the table record, with all that lived in table or journal only
 *   load     into memory, refusing everything yet; a creation sequence above the old one
 *   rename   partition.metadata with that sequence, written beside it, synced, renamed over it
 *   keep     a checkpoint: its record is durable in the table of this journal
 *   end      partition.state goes, the caller is told
 *
 * Why a new creation sequence: another journal may still hold the deletion (re-homing, rule A4), and its replay takes
 * any directory that bears the old one (rule A6).
 * Failure modes: what can be tried again, by this call after a start too, leaves everything where it is found; a failed
 * sync of names fences the disk. No space for the checkpoint: tried again for ten seconds, then NO_SPACE; the partition
 * is in the store then, with the next checkpoint it stays.
 * Crash order: names, then state into the table, then partition.state may go. The layer above knows that the partition
 * is wanted before it calls; until the table has it the next start does not, and it calls again. */
#include "storage/bury.h"

#include "base/bytes.h"
#include "storage/checkpoint.h"
#include "storage/partition_map.h"
#include "storage/smallfile.h"

#define AGAIN_NS        (200 * NS_PER_MS)
#define KEEP_TRIES      50u
#define NAMES_BYTES     (64u << 10)
#define NAMES_BYTES_MAX (64u << 20)
#define STATE_BYTES_MAX (256u << 20) /* a million producers take 100 MiB */

enum revive_stage {
    REVIVE_LOOK,
    REVIVE_LOOKED,
    REVIVE_LIST,
    REVIVE_LISTED,
    REVIVE_CHOSEN,
    REVIVE_ASIDE,
    REVIVE_TAKE,
    REVIVE_TAKEN,
    REVIVE_NAMED,
    REVIVE_STATE,
    REVIVE_SIZED,
    REVIVE_OPENED,
    REVIVE_READ,
    REVIVE_LOAD,
    REVIVE_WRITTEN,
    REVIVE_RENAMED,
    REVIVE_SYNCED,
    REVIVE_KEEP,
    REVIVE_KEPT,
    REVIVE_END
};

struct revival {
    struct task task;
    struct store *store;
    struct partition_revive *op;
    struct partition *p; /* from REVIVE_LOAD on */
    struct topic_id id;
    int32_t number;
    char topic[TOPIC_NAME_MAX + 1];
    struct path dir, path, path2;
    struct smallfile small;
    struct io_op io, io2;
    struct transfer read;
    struct timer again;
    struct commit_waiter kept;
    enum status status, kept_status;
    uint8_t *page;
    char *names, *chosen; /* chosen: one of them */
    uint32_t names_bytes, keep_tries;
    int64_t names_len;
    uint8_t *state;
    uint64_t state_bytes, creation;   /* creation: in partition.metadata */
    bool taken, aside, ghost, mapped; /* ghost: in its place; mapped: p is the store's */
};

static struct revival *revival_of(struct task *t)
{
    return container_of(t, struct revival, task);
}

static int submit(struct revival *v, struct io_op op, int next)
{
    v->io = op;
    v->io.task = &v->task;
    env_submit(v->store->env, &v->io);
    return STAGE_WAIT(next);
}

static int finish(struct revival *v, enum status status)
{
    v->status = status;
    return REVIVE_END;
}

static int failed(struct revival *v, enum status status, const char *what)
{
    STORE_LOG(v->store, LOG_ERROR, "revive.failed", LOG_STR("directory", v->dir.s), LOG_STR("what", what),
              LOG_STATUS("status", status));
    return finish(v, status);
}

static enum status over(const struct revival *v)
{
    if (store_fenced(v->store)) return STATUS_FENCED;
    return v->store->closing ? STATUS_NOT_LEADER : STATUS_OK;
}

/* --- where is it? --- */

static int revive_look(struct task *t)
{
    struct revival *v = revival_of(t);
    enum status status = over(v);
    if (status != STATUS_OK) return finish(v, status);
    path_set(&v->path, "%s/partition.metadata", v->dir.s);
    smallfile_read(v->store->env, &v->small, t, v->path.s, v->page);
    return STAGE_WAIT(REVIVE_LOOKED);
}

static int revive_looked(struct task *t)
{
    struct revival *v = revival_of(t);
    enum status status = v->small.status;
    if (status != STATUS_OK && status != STATUS_NOT_FOUND && status != STATUS_DAMAGED)
        return failed(v, status, "read partition.metadata");
    bool ours = status == STATUS_OK && partition_metadata_read(v->page, v->topic, v->id, v->number, &v->creation);
    if (ours) return REVIVE_STATE;
    if (v->taken) return failed(v, STATUS_DAMAGED, "partition.metadata out of the trash");
    v->aside = status != STATUS_NOT_FOUND;
    return REVIVE_LIST;
}

static int revive_list(struct task *t)
{
    struct revival *v = revival_of(t);
    struct mem *m = v->store->env->mem;
    uint32_t bytes = v->names == NULL ? NAMES_BYTES : 2 * v->names_bytes;
    char *names = bytes <= NAMES_BYTES_MAX ? mem_realloc(m, MEM_CONTROL, v->names, v->names_bytes, bytes) : NULL;
    if (names == NULL) return finish(v, STATUS_NO_MEMORY);
    v->names = names;
    v->names_bytes = bytes;
    folder_path(v->store, STORE_TRASH, &v->path);
    return submit(v, (struct io_op){.kind = IO_LIST, .path = v->path.s, .data = names, .len = bytes}, REVIVE_LISTED);
}

/* Sequences of one id ascend; a clock may jump. */
static bool newer(const struct kept *a, const struct kept *b)
{
    return a->creation != b->creation ? a->creation > b->creation : a->since_ms > b->since_ms;
}

static int choose(struct revival *v)
{
    const char *best_name = NULL;
    struct kept best = {.since_ms = -1};
    for (int64_t i = 0; i < v->names_len; i += (int64_t)strlen(v->names + i) + 1) {
        struct kept k;
        if (!kept_name_parse(v->names + i, &k)) continue;
        if (topic_id_compare(k.id, v->id) != 0 || k.number != v->number || !newer(&k, &best)) continue;
        best = k;
        best_name = v->names + i;
    }
    if (best_name == NULL) return finish(v, v->ghost ? STATUS_DAMAGED : STATUS_NOT_FOUND);
    v->chosen = v->names + (best_name - v->names);
    folder_path(v->store, STORE_TRASH, &v->path2);
    path_set(&v->path, "%.400s/%.255s/partition.state", v->path2.s, best_name);
    return submit(v, (struct io_op){.kind = IO_STAT, .path = v->path.s}, REVIVE_CHOSEN);
}

static int revive_listed(struct task *t)
{
    struct revival *v = revival_of(t);
    (void)t;
    if (v->io.status == STATUS_BUSY) return REVIVE_LIST; /* more names than there is room for */
    if (v->io.status != STATUS_OK) return failed(v, v->io.status, "list the trash");
    v->names_len = v->io.result;
    return choose(v);
}

static int revive_chosen(struct task *t)
{
    struct revival *v = revival_of(t);
    (void)t;
    if (v->io.status == STATUS_NOT_FOUND) {
        v->chosen[strlen(v->chosen) - 1] = 'x'; /* no name of ours: not chosen again */
        return choose(v);
    }
    if (v->io.status != STATUS_OK) return failed(v, v->io.status, "stat partition.state in the trash");
    path_set(&v->path, "%.400s/%.255s", v->path2.s, v->chosen);
    return v->aside ? REVIVE_ASIDE : REVIVE_TAKE;
}

/* --- into its place --- */

static int revive_aside(struct task *t)
{
    struct revival *v = revival_of(t);
    const char *name = strrchr(v->dir.s, '/') + 1;
    v->aside = true;
    path_set(&v->path2, "%s/quarantine/%.200s.%llx", v->store->dir.s, name,
             (unsigned long long)env_random(v->store->env));
    STORE_LOG(v->store, LOG_WARN, "directory.quarantined", LOG_STR("directory", v->dir.s), LOG_STR("to", v->path2.s));
    (void)t;
    return submit(v, (struct io_op){.kind = IO_RENAME, .path = v->dir.s, .path2 = v->path2.s}, REVIVE_TAKE);
}

static int revive_take(struct task *t)
{
    struct revival *v = revival_of(t);
    if (v->aside && v->io.status != STATUS_OK) return failed(v, v->io.status, "quarantine a directory");
    (void)t;
    return submit(v, (struct io_op){.kind = IO_RENAME, .path = v->path.s, .path2 = v->dir.s}, REVIVE_TAKEN);
}

static int revive_taken(struct task *t)
{
    struct revival *v = revival_of(t);
    if (v->io.status == STATUS_EXISTS && !v->aside) return REVIVE_ASIDE; /* a directory without metadata */
    if (v->io.status == STATUS_NOT_FOUND) return finish(v, STATUS_NOT_FOUND);
    if (v->io.status != STATUS_OK) return failed(v, v->io.status, "rename out of the trash");
    folder_path(v->store, STORE_TRASH, &v->path);
    v->io2 = (struct io_op){.kind = IO_SYNC_DIR, .task = t, .path = v->path.s};
    env_submit(v->store->env, &v->io2);
    return submit(v, (struct io_op){.kind = IO_SYNC_DIR, .path = v->store->dir.s}, REVIVE_NAMED);
}

static int sync_failed(struct revival *v, enum status status)
{
    journal_fail(v->store->journal); /* never retried */
    (void)failed(v, status, "sync of the names");
    return finish(v, STATUS_FENCED);
}

static int revive_named(struct task *t)
{
    struct revival *v = revival_of(t);
    if (v->io.status != STATUS_OK || v->io2.status != STATUS_OK)
        return sync_failed(v, v->io.status != STATUS_OK ? v->io.status : v->io2.status);
    v->taken = true;
    return REVIVE_LOOK;
}

/* --- its state --- */

static int revive_state(struct task *t)
{
    struct revival *v = revival_of(t);
    path_set(&v->path, "%s/partition.state", v->dir.s);
    (void)t;
    return submit(v, (struct io_op){.kind = IO_STAT, .path = v->path.s}, REVIVE_SIZED);
}

static int revive_sized(struct task *t)
{
    struct revival *v = revival_of(t);
    if (v->io.status == STATUS_NOT_FOUND && !v->taken) {
        v->aside = v->ghost = true; /* only if there is a better one */
        return REVIVE_LIST;
    }
    if (v->io.status != STATUS_OK)
        return failed(v, v->io.status == STATUS_NOT_FOUND ? STATUS_DAMAGED : v->io.status, "stat partition.state");
    if (v->io.result <= 0 || v->io.result > STATE_BYTES_MAX || v->io.result % BLOCK_BYTES != 0)
        return failed(v, STATUS_DAMAGED, "the length of partition.state");
    v->state_bytes = (uint64_t)v->io.result;
    v->state = mem_alloc_aligned(v->store->env->mem, MEM_CONTROL, v->state_bytes);
    if (v->state == NULL) return finish(v, STATUS_NO_MEMORY);
    (void)t;
    return submit(v, (struct io_op){.kind = IO_OPEN, .path = v->path.s, .flags = IO_DIRECT}, REVIVE_OPENED);
}

static int revive_opened(struct task *t)
{
    struct revival *v = revival_of(t);
    if (v->io.status != STATUS_OK) return failed(v, v->io.status, "open partition.state");
    transfer_start(v->store->env, &v->read, t, IO_READ, (int32_t)v->io.result, v->state, (uint32_t)v->state_bytes, 0,
                   0);
    return STAGE_WAIT(REVIVE_READ);
}

static int revive_read(struct task *t)
{
    struct revival *v = revival_of(t);
    (void)t;
    return submit(v, (struct io_op){.kind = IO_CLOSE, .file = (int32_t)v->io.result}, REVIVE_LOAD);
}

static enum status load(struct revival *v)
{
    struct store *s = v->store;
    struct record record;
    enum status status = partition_state_decode(v->state, v->state_bytes, &record);
    if (status != STATUS_OK) return status;
    bool his = topic_id_compare(record.id, v->id) == 0 && record.number == v->number &&
               strcmp(record.topic, v->topic) == 0 && !record.drop && !record.changes;
    if (!his) return STATUS_DAMAGED;
    struct partition *p = partition_new(s, v->topic, v->id, v->number);
    if (p == NULL) return STATUS_NO_MEMORY;
    p->deleting = true;
    v->p = p;
    status = table_record_take(&record, p);
    s->count.damaged += p->damaged_from != NO_OFFSET; /* partition_free takes it back */
    if (status != STATUS_OK) return status;
    p->home++;
    p->creation = MAX(MAX(p->creation, v->creation), s->creations) + 1;
    s->creations = p->creation;
    return STATUS_OK;
}

static int revive_load(struct task *t)
{
    struct revival *v = revival_of(t);
    if (v->read.status != STATUS_OK) return failed(v, v->read.status, "read partition.state");
    if (v->read.moved < v->state_bytes) return failed(v, STATUS_DAMAGED, "partition.state is cut short");
    enum status status = over(v);
    if (status == STATUS_OK) status = load(v);
    if (status != STATUS_OK) return failed(v, status, "load partition.state");
    partition_metadata_encode(v->p, v->page);
    path_set(&v->path, "%s/partition.metadata.new", v->dir.s);
    path_set(&v->path2, "%s/partition.metadata", v->dir.s);
    smallfile_write(v->store->env, &v->small, t, v->path.s, v->page, true);
    return STAGE_WAIT(REVIVE_WRITTEN);
}

static int revive_written(struct task *t)
{
    struct revival *v = revival_of(t);
    (void)t;
    enum status status = v->small.status;
    bool passes = status == STATUS_NO_SPACE || status == STATUS_TOO_MANY_FILES;
    if (status != STATUS_OK && !passes) journal_fail(v->store->journal);
    if (status != STATUS_OK) return failed(v, status, "write partition.metadata");
    return submit(v, (struct io_op){.kind = IO_RENAME, .path = v->path.s, .path2 = v->path2.s}, REVIVE_RENAMED);
}

static int revive_renamed(struct task *t)
{
    struct revival *v = revival_of(t);
    (void)t;
    if (v->io.status != STATUS_OK) return failed(v, v->io.status, "rename partition.metadata");
    return submit(v, (struct io_op){.kind = IO_SYNC_DIR, .path = v->dir.s}, REVIVE_SYNCED);
}

static int revive_synced(struct task *t)
{
    struct revival *v = revival_of(t);
    struct store *s = v->store;
    (void)t;
    if (v->io.status != STATUS_OK) return sync_failed(v, v->io.status);
    enum status status = over(v);
    if (status == STATUS_OK && partition_map_find(s->map, v->id, v->number) != NULL) status = STATUS_EXISTS;
    if (status == STATUS_OK) status = partition_map_add(s->map, v->p);
    if (status != STATUS_OK) return finish(v, status);
    v->mapped = true;
    partition_touch(v->p);
    partition_check(v->p);
    return REVIVE_KEEP;
}

/* --- into the table --- */

static void again_fire(struct timer *timer)
{
    task_wake(&container_of(timer, struct revival, again)->task);
}

static void kept(struct commit_waiter *w, enum status status)
{
    struct revival *v = container_of(w, struct revival, kept);
    v->kept_status = status;
    task_wake(&v->task);
}

static int revive_keep(struct task *t)
{
    struct revival *v = revival_of(t);
    enum status status = over(v);
    (void)t;
    if (status != STATUS_OK) return finish(v, status); /* a clean stop writes the table, too */
    v->kept.durable = kept;
    checkpoint_request(v->store->table, &v->kept);
    return STAGE_WAIT(REVIVE_KEPT);
}

static int revive_kept(struct task *t)
{
    struct revival *v = revival_of(t);
    struct env *e = v->store->env;
    (void)t;
    if (v->kept_status == STATUS_FENCED) return finish(v, STATUS_FENCED);
    if (v->kept_status != STATUS_OK && ++v->keep_tries == KEEP_TRIES) return failed(v, v->kept_status, "checkpoint");
    if (v->kept_status != STATUS_OK) {
        v->again.fire = again_fire;
        env_timer_start(e, &v->again, mono_add(e->now, AGAIN_NS));
        return STAGE_WAIT(REVIVE_KEEP);
    }
    STORE_LOG(v->store, LOG_INFO, "partition.revived", LOG_STR("topic", v->topic), LOG_INT("partition", v->number),
              LOG_INT("log_end", v->p->log_end));
    path_set(&v->path, "%s/partition.state", v->dir.s);
    return submit(v, (struct io_op){.kind = IO_UNLINK, .path = v->path.s}, REVIVE_END);
}

static void free_revival(struct revival *v)
{
    struct mem *m = v->store->env->mem;
    if (v->p != NULL && !v->mapped) partition_free(v->p);
    if (v->state != NULL) mem_free_aligned(m, MEM_CONTROL, v->state, v->state_bytes);
    mem_free(m, MEM_CONTROL, v->names, v->names_bytes);
    mem_free_aligned(m, MEM_CONTROL, v->page, BLOCK_BYTES);
    mem_free(m, MEM_CONTROL, v, sizeof *v);
}

static int revive_end(struct task *t)
{
    struct revival *v = revival_of(t);
    struct partition_revive *op = v->op;
    if (v->mapped) v->p->deleting = false;
    op->status = v->status;
    op->partition = v->status == STATUS_OK ? v->p : NULL;
    v->store->deletions--;
    free_revival(v);
    op->done(op);
    return STAGE_DONE;
}

#define ENDS STAGE_BIT(REVIVE_END)

static const struct stage revive_stages[] = {
    [REVIVE_LOOK] = {"look", revive_look, STAGE_BIT(REVIVE_LOOKED) | ENDS},
    [REVIVE_LOOKED] = {"looked", revive_looked, STAGE_BIT(REVIVE_LIST) | STAGE_BIT(REVIVE_STATE) | ENDS},
    [REVIVE_LIST] = {"list", revive_list, STAGE_BIT(REVIVE_LISTED) | ENDS},
    [REVIVE_LISTED] = {"listed", revive_listed, STAGE_BIT(REVIVE_LIST) | STAGE_BIT(REVIVE_CHOSEN) | ENDS},
    [REVIVE_CHOSEN] = {"chosen", revive_chosen,
                       STAGE_BIT(REVIVE_CHOSEN) | STAGE_BIT(REVIVE_ASIDE) | STAGE_BIT(REVIVE_TAKE) | ENDS},
    [REVIVE_ASIDE] = {"aside", revive_aside, STAGE_BIT(REVIVE_TAKE)},
    [REVIVE_TAKE] = {"take", revive_take, STAGE_BIT(REVIVE_TAKEN) | ENDS},
    [REVIVE_TAKEN] = {"taken", revive_taken, STAGE_BIT(REVIVE_ASIDE) | STAGE_BIT(REVIVE_NAMED) | ENDS},
    [REVIVE_NAMED] = {"named", revive_named, STAGE_BIT(REVIVE_LOOK) | ENDS},
    [REVIVE_STATE] = {"state", revive_state, STAGE_BIT(REVIVE_SIZED)},
    [REVIVE_SIZED] = {"sized", revive_sized, STAGE_BIT(REVIVE_LIST) | STAGE_BIT(REVIVE_OPENED) | ENDS},
    [REVIVE_OPENED] = {"opened", revive_opened, STAGE_BIT(REVIVE_READ) | ENDS},
    [REVIVE_READ] = {"read", revive_read, STAGE_BIT(REVIVE_LOAD)},
    [REVIVE_LOAD] = {"load", revive_load, STAGE_BIT(REVIVE_WRITTEN) | ENDS},
    [REVIVE_WRITTEN] = {"written", revive_written, STAGE_BIT(REVIVE_RENAMED) | ENDS},
    [REVIVE_RENAMED] = {"renamed", revive_renamed, STAGE_BIT(REVIVE_SYNCED) | ENDS},
    [REVIVE_SYNCED] = {"synced", revive_synced, STAGE_BIT(REVIVE_KEEP) | ENDS},
    [REVIVE_KEEP] = {"keep", revive_keep, STAGE_BIT(REVIVE_KEPT) | ENDS},
    [REVIVE_KEPT] = {"kept", revive_kept, STAGE_BIT(REVIVE_KEEP) | ENDS},
    [REVIVE_END] = {"end", revive_end, 0},
};

static const struct flow revive_flow = {"revive", revive_stages, COUNT_OF(revive_stages)};

static void refused(struct commit_waiter *w, enum status status)
{
    struct partition_revive *op = container_of(w, struct partition_revive, waiter);
    (void)status;
    op->done(op);
}

void partition_revive(struct store *s, const char *topic, struct topic_id id, int32_t number,
                      struct partition_revive *op)
{
    struct mem *m = s->env->mem;
    struct revival *v = mem_zalloc(m, MEM_CONTROL, sizeof *v);
    uint8_t *page = mem_alloc_aligned(m, MEM_CONTROL, BLOCK_BYTES);
    op->partition = NULL;
    op->status = v == NULL || page == NULL ? STATUS_NO_MEMORY : STATUS_OK;
    if (partition_map_find(s->map, id, number) != NULL) op->status = STATUS_EXISTS;
    if (!topic_name_valid(topic) || number < 0) op->status = STATUS_INVALID_TOPIC;
    if (op->status != STATUS_OK) {
        if (page != NULL) mem_free_aligned(m, MEM_CONTROL, page, BLOCK_BYTES);
        mem_free(m, MEM_CONTROL, v, sizeof *v);
        op->waiter.durable = refused;
        store_refuse(s, &op->waiter);
        return;
    }
    *v = (struct revival){.store = s, .op = op, .id = id, .number = number, .page = page};
    memcpy(v->topic, topic, strlen(topic) + 1);
    char name[NAME_BYTES_MAX];
    partition_dir_name(name, topic, id, number);
    path_set(&v->dir, "%s/%s", s->dir.s, name);
    s->deletions++;
    task_start(s->env->runner, &v->task, &revive_flow, REVIVE_LOOK);
}

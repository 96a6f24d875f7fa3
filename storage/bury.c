// SPDX-License-Identifier: Apache-2.0
/* After a replay: the directory of each partition whose deletion was replayed goes to the trash or the quarantine, if
 * it still is there (rule A6: partition.metadata is read first; a topic that was created again under the same name, and
 * a partition that was revived, keep their own).
 *
 *   read    partition.metadata of the next grave's directory
 *   check   equal to the deleted one's: rename; else leave it alone
 *   named   renamed
 *   sync    the parents, once, when all are done
 *
 * Failure modes: any error but "not there" ends the start: nothing is served on a disk that cannot rename. */
#include "storage/bury.h"

#include "base/bytes.h"
#include "storage/mover.h"
#include "storage/partition_map.h"
#include "storage/smallfile.h"
#include <stdio.h>
#include <stdlib.h>

enum bury_stage { BURY_READ, BURY_CHECK, BURY_NAMED, BURY_SYNC, BURY_END };

struct burial {
    struct task task, *parent;
    struct store *store;
    struct partition *p;
    struct smallfile small;
    struct io_op op, op2, op3;
    struct path dir, path, path2;
    uint8_t *page;
    enum status status;
};

void folder_path(const struct store *s, enum store_folder folder, struct path *ret_path)
{
    path_set(ret_path, "%s/%s", s->dir.s, folder == STORE_TRASH ? "trash" : "quarantine");
}

void kept_path(const struct store *s, enum store_folder folder, const char *dir_name, const struct kept *k,
               struct path *ret_path)
{
    struct path in;
    char name[NAME_BYTES_MAX];
    struct kept now = *k;
    now.since_ms = MAX(s->env->now_wall.v, 0);
    folder_path(s, folder, &in);
    kept_name(name, dir_name, &now);
    path_set(ret_path, "%s/%s", in.s, name);
}

static struct burial *burial_of(struct task *t)
{
    return container_of(t, struct burial, task);
}

static int submit(struct burial *b, struct io_op op, int next)
{
    b->op = op;
    b->op.task = &b->task;
    env_submit(b->store->env, &b->op);
    return STAGE_WAIT(next);
}

static int bury_read(struct task *t)
{
    struct burial *b = burial_of(t);
    struct list_node *n = list_pop_front(&b->store->graves);
    if (n == NULL) return BURY_SYNC;
    b->p = container_of(n, struct partition, in_graves);
    partition_dir(b->p, &b->dir);
    path_set(&b->path, "%s/partition.metadata", b->dir.s);
    smallfile_read(b->store->env, &b->small, t, b->path.s, b->page);
    return STAGE_WAIT(BURY_CHECK);
}

static int bury_check(struct task *t)
{
    struct burial *b = burial_of(t);
    struct partition *p = b->p;
    enum status status = b->small.status;
    if (status != STATUS_OK && status != STATUS_NOT_FOUND && status != STATUS_DAMAGED) {
        b->status = status;
        partition_free(p);
        return BURY_END;
    }
    char name[NAME_BYTES_MAX];
    bool ours = status == STATUS_OK && partition_metadata_ours(p, b->page);
    partition_dir_name(name, p->topic, p->id, p->number);
    struct kept k = {.id = p->id, .number = p->number, .creation = p->creation};
    kept_path(b->store, p->grave, name, &k, &b->path);
    files_forget_partition(b->store->files, p->id, p->number);
    partition_free(p);
    if (!ours) return BURY_READ;
    return submit(b, (struct io_op){.kind = IO_RENAME, .path = b->dir.s, .path2 = b->path.s}, BURY_NAMED);
}

static int bury_named(struct task *t)
{
    struct burial *b = burial_of(t);
    b->status = b->op.status;
    return b->status == STATUS_OK ? BURY_READ : BURY_END;
}

static int bury_sync(struct task *t)
{
    struct burial *b = burial_of(t);
    folder_path(b->store, STORE_TRASH, &b->path);
    folder_path(b->store, STORE_QUARANTINE, &b->path2);
    b->op2 = (struct io_op){.kind = IO_SYNC_DIR, .task = t, .path = b->path.s};
    b->op3 = (struct io_op){.kind = IO_SYNC_DIR, .task = t, .path = b->path2.s};
    env_submit(b->store->env, &b->op2);
    env_submit(b->store->env, &b->op3);
    return submit(b, (struct io_op){.kind = IO_SYNC_DIR, .path = b->store->dir.s}, BURY_END);
}

static int bury_end(struct task *t)
{
    struct burial *b = burial_of(t);
    const struct io_op *const syncs[] = {&b->op, &b->op2, &b->op3};
    for (size_t i = 0; i < COUNT_OF(syncs) && b->status == STATUS_OK; i++) b->status = syncs[i]->status;
    if (--b->parent->pending_ops == 0 && b->parent->waiting) task_wake(b->parent);
    return STAGE_DONE;
}

static const struct stage bury_stages[] = {
    [BURY_READ] = {"read", bury_read, STAGE_BIT(BURY_CHECK) | STAGE_BIT(BURY_SYNC)},
    [BURY_CHECK] = {"check", bury_check, STAGE_BIT(BURY_READ) | STAGE_BIT(BURY_NAMED) | STAGE_BIT(BURY_END)},
    [BURY_NAMED] = {"named", bury_named, STAGE_BIT(BURY_READ) | STAGE_BIT(BURY_END)},
    [BURY_SYNC] = {"sync", bury_sync, STAGE_BIT(BURY_END)},
    [BURY_END] = {"end", bury_end, 0},
};

static const struct flow bury_flow = {"bury", bury_stages, COUNT_OF(bury_stages)};

struct burial *burial_start(struct store *s, struct task *parent)
{
    struct mem *m = s->env->mem;
    struct burial *b = mem_zalloc(m, MEM_CONTROL, sizeof *b);
    CHECK(b != NULL);
    b->page = mem_alloc_aligned(m, MEM_CONTROL, BLOCK_BYTES);
    CHECK(b->page != NULL);
    b->store = s;
    b->parent = parent;
    parent->pending_ops++;
    task_start(s->env->runner, &b->task, &bury_flow, BURY_READ);
    return b;
}

enum status burial_end(struct burial *b)
{
    enum status status = b->status;
    struct mem *m = b->store->env->mem;
    mem_free_aligned(m, MEM_CONTROL, b->page, BLOCK_BYTES);
    mem_free(m, MEM_CONTROL, b, sizeof *b);
    return status;
}

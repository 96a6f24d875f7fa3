// SPDX-License-Identifier: Apache-2.0
/* Queue of unlinks. The paths are copied, so the partition may go away meanwhile. */
#include "storage/unlinker.h"

#include "storage/mover.h"

struct doomed {
    struct list_node in_queue;
    struct unlinker *unlinker;
    struct path path;
    struct io_op op;
};

struct unlinker {
    struct store *store;
    uint32_t in_flight;
};

struct unlinker *unlinker_create(struct store *s)
{
    struct unlinker *u = mem_zalloc(s->env->mem, MEM_LOG, sizeof *u);
    if (u != NULL) u->store = s;
    return u;
}

void unlinker_destroy(struct unlinker *u)
{
    CHECK(u->in_flight == 0);
    mem_free(u->store->env->mem, MEM_LOG, u, sizeof *u);
}

bool unlinker_idle(const struct unlinker *u)
{
    return u->in_flight == 0;
}

static void unlinked(struct io_op *op)
{
    struct doomed *d = container_of(op, struct doomed, op);
    struct unlinker *u = d->unlinker;
    if (op->status != STATUS_OK && op->status != STATUS_NOT_FOUND)
        STORE_LOG(u->store, LOG_WARN, "unlink.failed", LOG_STR("file", d->path.s), LOG_STATUS("status", op->status));
    u->in_flight--;
    mem_free(u->store->env->mem, MEM_LOG, d, sizeof *d);
}

static void unlink_one(struct unlinker *u, const struct path *dir, int64_t base, const char *suffix)
{
    struct doomed *d = mem_zalloc(u->store->env->mem, MEM_LOG, sizeof *d);
    if (d == NULL) return; /* left for the next start's quarantine */
    d->unlinker = u;
    path_set(&d->path, "%s/%020lld.%s", dir->s, (long long)base, suffix);
    d->op = (struct io_op){.kind = IO_UNLINK, .path = d->path.s, .done = unlinked};
    u->in_flight++;
    env_submit(u->store->env, &d->op);
}

void unlink_segment(struct unlinker *u, struct partition *p, int64_t base)
{
    struct path dir;
    struct file_key log = partition_file_key(p, base, FILE_LOG), index = partition_file_key(p, base, FILE_INDEX);
    partition_dir(p, &dir);
    files_forget(u->store->files, &log);
    files_forget(u->store->files, &index);
    unlink_one(u, &dir, base, "log");
    unlink_one(u, &dir, base, "lidx");
}

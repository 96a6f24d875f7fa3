// SPDX-License-Identifier: Apache-2.0
/* Queue of unlinks. The paths are copied, so the partition may go away meanwhile. */
#include "storage/unlinker.h"

#include "storage/mover.h"

struct doomed {
    struct list_node in_flight;
    struct unlinker *unlinker;
    struct topic_id topic;
    int32_t partition;
    struct path path;
    struct io_op op;
};

struct unlinker {
    struct store *store;
    struct list in_flight;
};

struct unlinker *unlinker_create(struct store *s)
{
    struct unlinker *u = mem_zalloc(s->env->mem, MEM_LOG, sizeof *u);
    if (u == NULL) return NULL;
    u->store = s;
    list_init(&u->in_flight);
    return u;
}

void unlinker_destroy(struct unlinker *u)
{
    CHECK(unlinker_idle(u));
    mem_free(u->store->env->mem, MEM_LOG, u, sizeof *u);
}

bool unlinker_idle(const struct unlinker *u)
{
    return list_empty(&u->in_flight);
}

bool unlinker_holds(const struct unlinker *u, const struct partition *p)
{
    list_each (n, &u->in_flight) {
        const struct doomed *d = container_of(n, struct doomed, in_flight);
        if (d->partition == p->number && topic_id_compare(d->topic, p->id) == 0) return true;
    }
    return false;
}

static void unlinked(struct io_op *op)
{
    struct doomed *d = container_of(op, struct doomed, op);
    struct unlinker *u = d->unlinker;
    if (op->status != STATUS_OK && op->status != STATUS_NOT_FOUND)
        STORE_LOG(u->store, LOG_WARN, "unlink.failed", LOG_STR("file", d->path.s), LOG_STATUS("status", op->status));
    list_remove(&d->in_flight);
    mem_free(u->store->env->mem, MEM_LOG, d, sizeof *d);
}

static void unlink_one(struct unlinker *u, const char *dir, const struct file_key *key)
{
    files_forget(u->store->files, key);
    struct doomed *d = mem_zalloc(u->store->env->mem, MEM_LOG, sizeof *d);
    if (d == NULL) return; /* left for the next start's quarantine */
    d->unlinker = u;
    d->topic = key->topic;
    d->partition = key->partition;
    segment_path(&d->path, dir, key);
    d->op = (struct io_op){.kind = IO_UNLINK, .path = d->path.s, .done = unlinked};
    list_push_back(&u->in_flight, &d->in_flight);
    env_submit(u->store->env, &d->op);
}

void unlink_generation(struct unlinker *u, struct partition *p, int64_t base, uint32_t generation)
{
    struct path dir;
    struct file_key log = partition_generation_key(p, base, generation, FILE_LOG),
                    index = partition_generation_key(p, base, generation, FILE_INDEX);
    partition_dir(p, &dir);
    unlink_one(u, dir.s, &log);
    unlink_one(u, dir.s, &index);
}

void unlink_segment(struct unlinker *u, struct partition *p, int64_t base)
{
    unlink_generation(u, p, base, partition_file_key(p, base, FILE_LOG).generation);
}

// SPDX-License-Identifier: Apache-2.0
/* LRU of open segment files; see files.h.
 *
 * Failure modes: an open that fails wakes its users with the status and forgets the file, so the next use tries anew.
 * Over the limit the least recently used idle file is closed; a dirty one only when no clean one is idle, and then the
 * next checkpoint must sync the whole file system. */
#include "storage/files.h"

#include "base/bytes.h"
#include <xxhash.h>

#define BUCKETS 4096u

struct files {
    struct env *env;
    struct list buckets[BUCKETS];
    struct list clean;  /* open files without a use that a close costs nothing; least recently used first */
    struct list soiled; /* ... that are dirty */
    struct list dirty;
    uint32_t open_count, dirty_count, files_max;
    bool lost_dirty;
    struct task *closing;
};

static_assert(sizeof(struct file_key) == 16 + 8 + 8 + 4 + 4 + 4 + 4, "no padding: the key is compared as bytes");

static void file_opened(struct io_op *op);

struct files *files_create(struct env *e, uint32_t files_max)
{
    struct files *f = mem_zalloc(e->mem, MEM_LOG, sizeof *f);
    if (f == NULL) return NULL;
    f->env = e;
    f->files_max = files_max;
    for (uint32_t i = 0; i < BUCKETS; i++) list_init(&f->buckets[i]);
    list_init(&f->clean);
    list_init(&f->soiled);
    list_init(&f->dirty);
    return f;
}

void files_destroy(struct files *f)
{
    CHECK(f->open_count == 0);
    mem_free(f->env->mem, MEM_LOG, f, sizeof *f);
}

static struct list *bucket_of(struct files *f, const struct file_key *key)
{
    return &f->buckets[XXH3_64bits(key, sizeof *key) % BUCKETS];
}

static struct file *find(struct files *f, const struct file_key *key)
{
    list_each (n, bucket_of(f, key)) {
        struct file *file = container_of(n, struct file, in_bucket);
        if (memcmp(&file->key, key, sizeof *key) == 0) return file;
    }
    return NULL;
}

static void file_free(struct file *file)
{
    mem_free(file->files->env->mem, MEM_LOG, file, sizeof *file);
}

static void file_closed(struct io_op *op)
{
    struct file *file = container_of(op, struct file, open);
    struct files *f = file->files;
    f->open_count--;
    file_free(file);
    if (f->closing == NULL) return;
    struct task *t = f->closing;
    if (--t->pending_ops == 0) {
        f->closing = NULL;
        if (t->waiting) task_wake(t);
    }
}

/* Out of every list and closed; the struct lives until the close completes. */
static void file_close(struct file *file)
{
    struct files *f = file->files;
    CHECK(file->uses == 0 && file->handle >= 0);
    if (list_linked(&file->in_bucket)) list_remove(&file->in_bucket);
    if (list_linked(&file->in_idle)) list_remove(&file->in_idle);
    if (list_linked(&file->in_dirty)) {
        list_remove(&file->in_dirty);
        f->dirty_count--;
        if (!file->stale) f->lost_dirty = true;
    }
    file->open = (struct io_op){.kind = IO_CLOSE, .file = file->handle, .done = file_closed};
    if (f->closing != NULL) f->closing->pending_ops++;
    env_submit(f->env, &file->open);
}

static void make_room(struct files *f)
{
    if (f->open_count < f->files_max) return;
    struct list *from = list_empty(&f->clean) ? &f->soiled : &f->clean;
    if (!list_empty(from)) file_close(container_of(list_first(from), struct file, in_idle));
}

static void use_ready(struct file_use *u, enum status status)
{
    u->status = status;
    CHECK(u->task->pending_ops > 0);
    if (--u->task->pending_ops == 0 && u->task->waiting) task_wake(u->task);
}

static void file_opened(struct io_op *op)
{
    struct file *file = container_of(op, struct file, open);
    struct files *f = file->files;
    if (op->status == STATUS_OK) {
        file->handle = (int32_t)op->result;
    } else {
        f->open_count--;
        if (list_linked(&file->in_bucket)) list_remove(&file->in_bucket);
    }
    struct list_node *n;
    while ((n = list_pop_front(&file->waiting)) != NULL) {
        struct file_use *u = container_of(n, struct file_use, in_waiting);
        if (op->status != STATUS_OK) u->file = NULL;
        use_ready(u, op->status);
    }
    if (op->status != STATUS_OK) file_free(file);
}

void segment_path(struct path *ret_path, const char *dir, const struct file_key *key)
{
    const char *suffix = key->kind == FILE_LOG ? "log" : "lidx";
    if (key->generation == 0)
        path_set(ret_path, "%s/%020lld.%s", dir, (long long)key->base, suffix);
    else
        path_set(ret_path, "%s/%020lld.%u.%s", dir, (long long)key->base, key->generation, suffix);
}

static struct file *file_new(struct files *f, const char *dir, const struct file_key *key, bool create)
{
    make_room(f);
    struct file *file = mem_zalloc(f->env->mem, MEM_LOG, sizeof *file);
    if (file == NULL) return NULL;
    file->files = f;
    file->key = *key;
    file->handle = -1;
    list_init(&file->waiting);
    segment_path(&file->path, dir, key);
    list_push_back(bucket_of(f, key), &file->in_bucket);
    f->open_count++;
    file->open = (struct io_op){
        .kind = IO_OPEN, .path = file->path.s, .done = file_opened, .flags = IO_DIRECT | (create ? IO_CREATE : 0u)};
    env_submit(f->env, &file->open);
    return file;
}

enum status file_use_begin(struct files *f, struct file_use *u, struct task *t, const char *dir,
                           const struct file_key *key, bool create)
{
    struct file *file = find(f, key);
    if (file == NULL) file = file_new(f, dir, key, create);
    if (file == NULL) return STATUS_NO_MEMORY;
    if (list_linked(&file->in_idle)) list_remove(&file->in_idle);
    file->uses++;
    *u = (struct file_use){.task = t, .file = file};
    t->pending_ops++;
    if (file->handle >= 0)
        use_ready(u, STATUS_OK);
    else
        list_push_back(&file->waiting, &u->in_waiting);
    return STATUS_OK;
}

static void unuse(struct file *file)
{
    CHECK(file->uses > 0 && file->handle >= 0);
    if (--file->uses > 0) return;
    if (file->stale)
        file_close(file);
    else
        list_push_back(list_linked(&file->in_dirty) ? &file->files->soiled : &file->files->clean, &file->in_idle);
}

void file_use_end(struct file_use *u)
{
    struct file *file = u->file;
    u->file = NULL;
    if (file != NULL) unuse(file);
}

void file_dirty(struct file *file)
{
    CHECK(file->uses > 0); /* an idle one stands in the list of the clean */
    if (list_linked(&file->in_dirty)) return;
    list_push_back(&file->files->dirty, &file->in_dirty);
    file->files->dirty_count++;
}

static void forget(struct file *file)
{
    file->stale = true;
    list_remove(&file->in_bucket);
    if (file->uses == 0 && file->handle >= 0) file_close(file);
}

void files_forget(struct files *f, const struct file_key *key)
{
    struct file *file = find(f, key);
    if (file != NULL) forget(file);
}

void files_forget_partition(struct files *f, struct topic_id topic, int32_t partition)
{
    for (uint32_t i = 0; i < BUCKETS; i++) {
        list_each (n, &f->buckets[i]) {
            struct file *file = container_of(n, struct file, in_bucket);
            if (file->key.partition == partition && topic_id_compare(file->key.topic, topic) == 0) forget(file);
        }
    }
}

uint32_t files_open_count(const struct files *f)
{
    return f->open_count;
}

uint32_t files_dirty_count(const struct files *f)
{
    return f->dirty_count;
}

struct file *files_take_dirty(struct files *f)
{
    struct list_node *n = list_pop_front(&f->dirty);
    if (n == NULL) return NULL;
    struct file *file = container_of(n, struct file, in_dirty);
    f->dirty_count--;
    if (list_linked(&file->in_idle)) list_remove(&file->in_idle);
    file->uses++;
    return file;
}

void files_synced(struct file *file)
{
    unuse(file);
}

void files_close_all(struct files *f, struct task *t)
{
    CHECK(f->closing == NULL);
    f->closing = t;
    t->pending_ops++; /* held until every close has been submitted */
    while (!list_empty(&f->clean)) file_close(container_of(list_first(&f->clean), struct file, in_idle));
    while (!list_empty(&f->soiled)) file_close(container_of(list_first(&f->soiled), struct file, in_idle));
    t->pending_ops--;
    if (t->pending_ops == 0) f->closing = NULL;
}

void files_sync_all(struct files *f)
{
    f->lost_dirty = true;
}

bool files_lost_dirty(const struct files *f)
{
    return f->lost_dirty;
}

void files_lost_dirty_clear(struct files *f)
{
    f->lost_dirty = false;
}

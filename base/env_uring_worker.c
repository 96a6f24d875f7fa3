// SPDX-License-Identifier: Apache-2.0
/* The workers of a shard: threads that run file calls which block; they take them in submission order.
 *
 * Happy path: worker_submit keeps the op until worker_flush, once per turn, queues all under the lock; a thread runs
 * it, leaves status and result in op->impl, moves it to the finished list and wakes the shard's ring through its
 * eventfd, unless that list was not empty; the shard takes the list and completes the ops. Only the thread that holds
 * an op touches it.
 *
 * Failure modes: errno through status_from_errno. A sync that failed is not repeated, not even for EINTR; a close is
 * not repeated either (the descriptor is gone in any case). Stop runs what is queued first. */
#include "base/env_uring_impl.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

struct io_op *op_next(const struct io_op *op)
{
    return (struct io_op *)(uintptr_t)op->impl[OP_NEXT];
}

static void queue_push(struct op_queue *q, struct io_op *op)
{
    op->impl[OP_NEXT] = 0;
    if (q->tail != NULL)
        q->tail->impl[OP_NEXT] = (uintptr_t)op;
    else
        q->head = op;
    q->tail = op;
}

static struct io_op *queue_pop(struct op_queue *q)
{
    struct io_op *op = q->head;
    if (op == NULL) return NULL;
    q->head = op_next(op);
    if (q->head == NULL) q->tail = NULL;
    return op;
}

/* ---- the calls: result >= 0, or -errno ---- */

static int64_t result_of(int64_t r)
{
    return r < 0 ? -errno : r;
}

static int64_t call_open(struct worker *w, const struct io_op *op)
{
    int flags = (op->flags & IO_READONLY ? O_RDONLY : O_RDWR) | O_CLOEXEC;
    if (op->flags & IO_CREATE) flags |= O_CREAT;
    if (op->flags & IO_EXCL) flags |= O_EXCL;
    if (op->flags & IO_DIRECT) flags |= O_DIRECT;
    int file = open(op->path, flags, 0640);
    if (file < 0 && errno == EINVAL && (op->flags & IO_DIRECT)) {
        /* The file may exist by now: the file system refused O_DIRECT after it had created it. */
        atomic_fetch_add(&w->direct_refused, 1);
        file = open(op->path, flags & ~(O_DIRECT | O_EXCL), 0640);
    }
    return result_of(file);
}

static int64_t call_sync_dir(const char *path)
{
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0) return -errno;
    int64_t r = result_of(fsync(dir));
    close(dir);
    return r;
}

static int64_t call_stat(struct io_op *op)
{
    struct stat st;
    if (stat(op->path, &st) != 0) return -errno;
    op->is_dir = S_ISDIR(st.st_mode);
    return st.st_size;
}

static int64_t call_space(struct io_op *op)
{
    struct statvfs fs;
    if (statvfs(op->path, &fs) != 0) return -errno;
    op->total_bytes = (uint64_t)fs.f_blocks * fs.f_frsize;
    return (int64_t)((uint64_t)fs.f_bavail * fs.f_frsize);
}

static int64_t call_lock(int file)
{
    if (flock(file, LOCK_EX | LOCK_NB) == 0) return 0;
    return -errno;
}

static int by_bytes(const void *a, const void *b, void *names)
{
    uint32_t x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return strcmp((const char *)names + x, (const char *)names + y);
}

/* Names into `names`, their starts into `starts`; both have room for `cap` bytes of names. */
static int64_t collect_names(DIR *dir, char *names, uint32_t *starts, uint32_t cap, uint32_t *ret_count)
{
    uint32_t used = 0, count = 0;
    for (;;) {
        errno = 0;
        const struct dirent *d = readdir(dir);
        if (d == NULL && errno != 0) return -errno;
        if (d == NULL) break;
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0) continue;
        size_t n = strlen(d->d_name) + 1;
        if (n > cap - used) return -EBUSY;
        memcpy(names + used, d->d_name, n);
        starts[count++] = used;
        used += (uint32_t)n;
    }
    *ret_count = count;
    return used;
}

static int64_t call_list(const struct io_op *op)
{
    DIR *dir = opendir(op->path);
    if (dir == NULL) return -errno;
    /* A name takes at least 2 bytes, so len / 2 starts of 4 bytes are enough. +4: len 0 is a fair question too. */
    size_t size = 3 * (size_t)op->len + 4;
    size_t starts_at = ((size_t)op->len + 3) & ~(size_t)3;
    char *scratch = mmap(NULL, size + 4, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int64_t used = -ENOMEM;
    if (scratch != MAP_FAILED) {
        uint32_t count = 0;
        uint32_t *starts = (uint32_t *)(void *)(scratch + starts_at);
        used = collect_names(dir, scratch, starts, op->len, &count);
        if (used > 0) qsort_r(starts, count, sizeof *starts, by_bytes, scratch);
        char *out = op->data;
        for (uint32_t i = 0; used > 0 && i < count; i++) out = stpcpy(out, scratch + starts[i]) + 1;
        munmap(scratch, size + 4);
    }
    closedir(dir);
    return used;
}

static int64_t run_call(struct worker *w, struct io_op *op)
{
    switch (op->kind) {
    case IO_OPEN: return call_open(w, op);
    case IO_CLOSE: return result_of(close(op->file));
    case IO_SYNC: return result_of(fsync(op->file));
    case IO_SYNC_DIR: return call_sync_dir(op->path);
    case IO_SYNC_FS: return result_of(syncfs(op->file));
    case IO_TRUNCATE: return result_of(ftruncate(op->file, (off_t)op->pos));
    case IO_ALLOCATE: return result_of(fallocate(op->file, 0, (off_t)op->pos, (off_t)op->len));
    case IO_LOCK: return call_lock(op->file);
    case IO_RENAME: return result_of(rename(op->path, op->path2));
    case IO_UNLINK: return result_of(unlink(op->path));
    case IO_MKDIR: return result_of(mkdir(op->path, 0750));
    case IO_RMDIR: return result_of(rmdir(op->path));
    case IO_LIST: return call_list(op);
    case IO_STAT: return call_stat(op);
    case IO_SPACE: return call_space(op);
    case IO_PROCESS: return uring_process(op->data);
    case IO_READ:
    case IO_WRITE:
    case IO_DATASYNC:
    case IO_ACCEPT:
    case IO_CONNECT:
    case IO_RECV:
    case IO_SEND:
    case IO_SHUTDOWN:
    case IO_CLOSE_SOCKET:
    case IO_POLL: break;
    }
    CHECK(op->kind >= IO_OPEN);
    return -ENOSYS;
}

static void run_op(struct worker *w, struct io_op *op)
{
    int64_t r = run_call(w, op);
    enum status s = r >= 0 ? STATUS_OK : status_from_errno((int)-r);
    if (op->kind == IO_LOCK && r == -EWOULDBLOCK) s = STATUS_LOCKED;
    op->impl[OP_STATUS] = s;
    op->impl[OP_RESULT] = (uint64_t)(r >= 0 ? r : 0);
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    pthread_mutex_lock(&w->lock);
    for (;;) {
        struct io_op *op = queue_pop(&w->todo);
        if (op == NULL && w->stop) break;
        if (op == NULL) {
            w->idle++;
            pthread_cond_wait(&w->more, &w->lock);
            w->idle--;
            continue;
        }
        pthread_mutex_unlock(&w->lock);
        run_op(w, op);
        pthread_mutex_lock(&w->lock);
        queue_push(&w->finished, op);
        if (!atomic_exchange(&w->any_finished, true)) {
            uint64_t one = 1;
            CHECK(write(w->wake_fd, &one, sizeof one) == sizeof one);
        }
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

enum status worker_start(struct worker *w, int wake_fd)
{
    w->wake_fd = wake_fd;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->more, NULL);
    int err = 0;
    while (err == 0 && w->thread_count < ENV_WORKERS) {
        err = pthread_create(&w->threads[w->thread_count], NULL, worker_main, w);
        w->thread_count += err == 0;
    }
    if (w->thread_count > 0) return STATUS_OK; /* fewer threads: slower, no less right */
    pthread_cond_destroy(&w->more);
    pthread_mutex_destroy(&w->lock);
    return status_from_errno(err);
}

void worker_stop(struct worker *w)
{
    worker_flush(w);
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_cond_broadcast(&w->more);
    pthread_mutex_unlock(&w->lock);
    for (uint32_t i = 0; i < w->thread_count; i++) pthread_join(w->threads[i], NULL);
    pthread_cond_destroy(&w->more);
    pthread_mutex_destroy(&w->lock);
}

void worker_submit(struct worker *w, struct io_op *op)
{
    queue_push(&w->fresh, op);
    w->fresh_count++;
}

void worker_flush(struct worker *w)
{
    if (w->fresh_count == 0) return;
    pthread_mutex_lock(&w->lock);
    if (w->todo.tail != NULL)
        w->todo.tail->impl[OP_NEXT] = (uintptr_t)w->fresh.head;
    else
        w->todo.head = w->fresh.head;
    w->todo.tail = w->fresh.tail;
    for (uint32_t i = 0; i < w->fresh_count && i < w->idle; i++) pthread_cond_signal(&w->more);
    pthread_mutex_unlock(&w->lock);
    w->fresh = (struct op_queue){NULL, NULL};
    w->fresh_count = 0;
}

struct io_op *worker_take_finished(struct worker *w)
{
    if (!atomic_load(&w->any_finished)) return NULL;
    pthread_mutex_lock(&w->lock);
    struct io_op *first = w->finished.head;
    w->finished.head = w->finished.tail = NULL;
    atomic_store(&w->any_finished, false);
    pthread_mutex_unlock(&w->lock);
    return first;
}

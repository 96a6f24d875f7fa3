// SPDX-License-Identifier: Apache-2.0
/* The FUSE server under the loop device, spoken raw on /dev/fuse.
 *
 * Happy path of a turn: wait -> read all requests that are there -> read all marks that are there -> log and answer the
 * flushes, then the rest.
 *
 * Why this order is right. A mark read after a request R may have been written before or after R was submitted, but
 * never because R completed: R is not answered yet. And what the workload completed before the mark was answered, hence
 * logged, in an earlier turn. So a mark goes before the turn's requests. A flush promises only the writes that had
 * completed when it was issued; a write that is in the same turn had not, so the flush goes before it. While logging,
 * a write is held for HOLD_US so that a flush which does not wait for it gets the chance to overtake it.
 *
 * Failure: when the parent or this process dies, the kernel ends all requests with an error. */
#include "fuse_disk.h"
#include "util.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    ROOT_NODE = 1,
    FILE_NODE = 2,
    WRITE_MAX = 1 << 20,
    REQUEST_MAX = WRITE_MAX + 65536, /* the kernel wants room for its headers above max_write */
    TURN_MAX = 16,                   /* requests per turn */
    MARK_MAX = 4096,                 /* PIPE_BUF: a longer line may come in pieces anyway */
    CACHE_S = 3600,
    HOLD_US = 100
};

struct server {
    struct fuse_disk *shared;
    int fd;
    uint8_t *request[TURN_MAX];
    char mark[MARK_MAX];
    uint32_t mark_used;
    bool marks_open;
};

static void reply(struct server *s, uint64_t unique, int error, const void *body, size_t size)
{
    struct fuse_out_header head = {.len = (uint32_t)(sizeof(head) + size), .error = error, .unique = unique};
    struct iovec v[2] = {{&head, sizeof(head)}, {(void *)(uintptr_t)body, size}};
    /* ENOENT: the request was interrupted meanwhile; nothing to do about it. */
    if (writev(s->fd, v, size ? 2 : 1) < 0 && errno != ENOENT) die_errno("answering a FUSE request");
}

static void reply_init(struct server *s, uint64_t unique, const struct fuse_init_in *in)
{
    struct fuse_init_out out = {
        .major = FUSE_KERNEL_VERSION,
        .minor = 31,
        .max_readahead = in->max_readahead,
        .flags = FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_MAX_PAGES | FUSE_ASYNC_DIO,
        .max_background = 64,
        .congestion_threshold = 48,
        .max_write = WRITE_MAX,
        .time_gran = 1,
        .max_pages = WRITE_MAX / VDISK_PAGE,
    };
    reply(s, unique, 0, &out, sizeof(out));
}

static struct fuse_attr node_attr(const struct server *s, uint64_t node)
{
    struct fuse_attr a = {.ino = node, .nlink = 1, .blksize = VDISK_PAGE, .mode = S_IFDIR | 0700};
    if (node == FILE_NODE) {
        a.mode = S_IFREG | 0600;
        a.size = s->shared->disk->size_bytes;
        a.blocks = a.size / VDISK_SECTOR;
    }
    return a;
}

static void reply_lookup(struct server *s, uint64_t unique, const char *name)
{
    struct fuse_entry_out out = {.nodeid = FILE_NODE, .entry_valid = CACHE_S, .attr_valid = CACHE_S};
    out.attr = node_attr(s, FILE_NODE);
    if (strcmp(name, "disk.img") == 0)
        reply(s, unique, 0, &out, sizeof(out));
    else
        reply(s, unique, -ENOENT, NULL, 0);
}

static void reply_read(struct server *s, uint64_t unique, const struct fuse_read_in *in)
{
    static struct iovec v[WRITE_MAX / VDISK_PAGE + 2];
    const struct vdisk *d = s->shared->disk;
    uint64_t at = in->offset, left = in->size;
    if (at >= d->size_bytes) left = 0;
    if (left > d->size_bytes - at) left = d->size_bytes - at;
    if (left > WRITE_MAX) left = WRITE_MAX;
    struct fuse_out_header head = {.len = (uint32_t)(sizeof(head) + left), .unique = unique};
    int parts = 0;
    v[parts++] = (struct iovec){&head, sizeof(head)};
    while (left > 0) {
        const uint8_t *page;
        vdisk_read_page(d, at / VDISK_PAGE, &page);
        uint64_t skip = at % VDISK_PAGE;
        uint64_t n = VDISK_PAGE - skip < left ? VDISK_PAGE - skip : left;
        v[parts++] = (struct iovec){(void *)(uintptr_t)(page + skip), n};
        at += n;
        left -= n;
    }
    if (writev(s->fd, v, parts) < 0 && errno != ENOENT) die_errno("answering a FUSE read");
}

static bool range_fits(const struct server *s, uint64_t offset, uint64_t size)
{
    return offset % VDISK_SECTOR == 0 && size % VDISK_SECTOR == 0 && offset <= s->shared->disk->size_bytes &&
           size <= s->shared->disk->size_bytes - offset;
}

static void serve_write(struct server *s, uint64_t unique, const struct fuse_write_in *in)
{
    const uint8_t *data = (const uint8_t *)(in + 1);
    if (!range_fits(s, in->offset, in->size)) {
        reply(s, unique, -EINVAL, NULL, 0);
        return;
    }
    if (s->shared->logging) blklog_append(s->shared->log, BLKLOG_WRITE, in->offset, data, in->size);
    vdisk_write(s->shared->disk, in->offset, data, in->size);
    struct fuse_write_out out = {.size = in->size};
    reply(s, unique, 0, &out, sizeof(out));
}

/* Discard (punch hole) and write-zeroes (zero range) both leave zeros here; other modes are not a disk's business. */
static void serve_fallocate(struct server *s, uint64_t unique, const struct fuse_fallocate_in *in)
{
    if (!(in->mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) || !range_fits(s, in->offset, in->length)) {
        reply(s, unique, -EOPNOTSUPP, NULL, 0);
        return;
    }
    for (uint64_t done = 0; done < in->length;) { /* an entry's size has 32 bits */
        uint64_t n = in->length - done < (1u << 30) ? in->length - done : 1u << 30;
        if (s->shared->logging) blklog_append(s->shared->log, BLKLOG_ZERO, in->offset + done, NULL, (uint32_t)n);
        done += n;
    }
    vdisk_write(s->shared->disk, in->offset, NULL, in->length);
    reply(s, unique, 0, NULL, 0);
}

static void serve_flush(struct server *s, uint64_t unique)
{
    if (s->shared->logging) blklog_append(s->shared->log, BLKLOG_FLUSH, 0, NULL, 0);
    reply(s, unique, 0, NULL, 0);
}

static void reply_attr(struct server *s, uint64_t unique, uint64_t node)
{
    struct fuse_attr_out out = {.attr_valid = CACHE_S, .attr = node_attr(s, node)};
    reply(s, unique, 0, &out, sizeof(out));
}

static void reply_open(struct server *s, uint64_t unique, bool direct)
{
    struct fuse_open_out out = {.open_flags = direct ? FOPEN_DIRECT_IO : 0};
    reply(s, unique, 0, &out, sizeof(out));
}

static void reply_statfs(struct server *s, uint64_t unique)
{
    struct fuse_statfs_out out = {.st = {.bsize = VDISK_PAGE, .namelen = 255}};
    reply(s, unique, 0, &out, sizeof(out));
}

static void serve(struct server *s, const uint8_t *request)
{
    const struct fuse_in_header *h = (const struct fuse_in_header *)request;
    const void *body = h + 1;
    uint64_t u = h->unique;
    switch (h->opcode) {
    case FUSE_INIT: reply_init(s, u, body); break;
    case FUSE_LOOKUP: reply_lookup(s, u, body); break;
    case FUSE_GETATTR:
    case FUSE_SETATTR: reply_attr(s, u, h->nodeid); break;
    case FUSE_OPEN: reply_open(s, u, true); break;
    case FUSE_OPENDIR: reply_open(s, u, false); break;
    case FUSE_READ: reply_read(s, u, body); break;
    case FUSE_WRITE: serve_write(s, u, body); break;
    case FUSE_FALLOCATE: serve_fallocate(s, u, body); break;
    case FUSE_FSYNC: serve_flush(s, u); break;
    case FUSE_STATFS: reply_statfs(s, u); break;
    case FUSE_FLUSH:
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR:
    case FUSE_DESTROY: reply(s, u, 0, NULL, 0); break;
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT: break; /* these want no answer */
    default: reply(s, u, -ENOSYS, NULL, 0);
    }
}

/* Takes what the workload has printed so far; a line becomes a mark when its newline is there. */
static void take_marks(struct server *s)
{
    while (s->marks_open) {
        ssize_t n = read(s->shared->mark_fd, s->mark + s->mark_used, MARK_MAX - s->mark_used);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return; /* EAGAIN: no more for now */
        if (n == 0) {
            s->marks_open = false;
            s->shared->marks_done = true;
            return;
        }
        s->mark_used += (uint32_t)n;
        char *from = s->mark, *end = s->mark + s->mark_used, *newline;
        while ((newline = memchr(from, '\n', (size_t)(end - from)))) {
            if (s->shared->logging) blklog_append(s->shared->log, BLKLOG_MARK, 0, from, (uint32_t)(newline - from));
            from = newline + 1;
        }
        if (from == s->mark && s->mark_used == MARK_MAX) die("a mark is longer than %d bytes", MARK_MAX);
        memmove(s->mark, from, (size_t)(end - from));
        s->mark_used = (uint32_t)(end - from);
    }
}

/* -1: the file system was unmounted. */
static int read_turn(struct server *s)
{
    int count = 0;
    bool held = false;
    while (count < TURN_MAX) {
        ssize_t n = read(s->fd, s->request[count], REQUEST_MAX);
        if (n > 0) {
            count++;
        } else if (errno == EINTR || errno == ENOENT) {
            continue;
        } else if (errno == ENODEV) {
            return -1;
        } else if (errno != EAGAIN) {
            die_errno("reading FUSE requests");
        } else if (held || count == 0 || !s->shared->logging) {
            break;
        } else {
            held = true;
            struct pollfd p = {.fd = s->fd, .events = POLLIN};
            ppoll(&p, 1, &(struct timespec){.tv_nsec = HOLD_US * 1000}, NULL);
        }
    }
    return count;
}

static bool is_flush(const uint8_t *request)
{
    return ((const struct fuse_in_header *)request)->opcode == FUSE_FSYNC;
}

static void server_loop(struct server *s)
{
    for (;;) {
        struct pollfd p[2] = {{.fd = s->fd, .events = POLLIN}, {.fd = s->shared->mark_fd, .events = POLLIN}};
        if (poll(p, s->marks_open ? 2 : 1, -1) < 0 && errno != EINTR) die_errno("poll");
        int count = read_turn(s);
        if (count < 0) return;
        take_marks(s);
        for (int i = 0; i < count; i++)
            if (is_flush(s->request[i])) serve(s, s->request[i]);
        for (int i = 0; i < count; i++)
            if (!is_flush(s->request[i])) serve(s, s->request[i]);
    }
}

static _Noreturn void server_run(struct fuse_disk *f, const char *dir, int outer_namespace, int ready_fd)
{
    die_set_cleanup(NULL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGINT, SIG_IGN); /* Ctrl-C goes to all: the disk must outlive the clean-up */
    signal(SIGTERM, SIG_IGN);
    struct server s = {.shared = f, .marks_open = f->mark_fd >= 0};
    for (int i = 0; i < TURN_MAX; i++) s.request[i] = reserve(REQUEST_MAX);
    s.fd = open("/dev/fuse", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (s.fd < 0) die_errno("opening /dev/fuse");
    char options[128];
    snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", s.fd);
    if (mount("leat-crash", dir, "fuse.leat-crash", MS_NODEV | MS_NOSUID, options) < 0) die_errno("mounting FUSE");
    if (setns(outer_namespace, CLONE_NEWNS) < 0) die_errno("leaving the mount namespace");
    if (write(ready_fd, "r", 1) != 1) die_errno("telling the driver");
    close(ready_fd);
    server_loop(&s);
    _exit(0);
}

struct fuse_disk *fuse_disk_start(struct vdisk *disk, struct blklog *log, const char *dir, int outer_namespace,
                                  int mark_fd, int close_fd)
{
    struct fuse_disk *f = reserve(sizeof(*f));
    f->disk = disk;
    f->log = log;
    f->mark_fd = mark_fd;
    int ready[2];
    if (pipe2(ready, O_CLOEXEC) < 0) die_errno("pipe");
    if (mark_fd >= 0 && fcntl(mark_fd, F_SETFL, O_NONBLOCK) < 0) die_errno("fcntl");
    fflush(NULL);
    pid_t pid = fork(); /* not into *f: the child shares it and would write its zero there */
    if (pid < 0) die_errno("fork");
    if (pid == 0) {
        close(ready[0]);
        if (close_fd >= 0) close(close_fd);
        server_run(f, dir, outer_namespace, ready[1]);
    }
    f->pid = pid;
    close(ready[1]);
    char byte;
    if (read(ready[0], &byte, 1) != 1) die("the FUSE server did not start");
    close(ready[0]);
    return f;
}

void fuse_disk_stop(struct fuse_disk *f)
{
    for (int i = 0; f->pid > 0 && i < 1000; i++) {
        if (waitpid(f->pid, NULL, WNOHANG) != 0) f->pid = 0;
        if (f->pid > 0) usleep(1000);
    }
    if (f->pid > 0) {
        kill(f->pid, SIGKILL);
        waitpid(f->pid, NULL, 0);
        f->pid = 0;
    }
}

// SPDX-License-Identifier: Apache-2.0
/* Shards of one process: threads, mailboxes between them, signals.
 *
 * Happy path of a message: group_post puts it into the ring of the pair (sender, receiver), or behind the sender's
 * overflow list when the ring is full; at the end of its turn the sender wakes those receivers that sleep. A receiver
 * drains all its rings before and after it waits.
 *
 * No wake-up is lost: the receiver exchanges `asleep` to true and then looks into its rings once more; the sender fills
 * the ring and then exchanges `asleep` to false. Both exchanges hit the same word, so one comes first: either the
 * sender sees true and writes the eventfd, or the receiver sees the message. A sender with an overflow list does not
 * sleep long (OVERFLOW_RETRY_NS in env_uring.c), since nobody tells it that there is room again.
 *
 * Why an eventfd and not IORING_OP_MSG_RING: a wake takes as long (p50 2.9 to 3.9 us either way), a sender spends less
 * in it (2.5 to 3.1 us against 2.9 to 3.8), and the worker, which has no ring, can write it too.
 * tests/bench/wake_bench, six runs of 20,000 in turn, Linux 6.18, 2 cores that were not quite idle.
 *
 * The rings use C11 atomics instead of ck_ring: its assembly is invisible to the thread sanitizer.
 *
 * Failure modes: a ring or thread that cannot be made stops all shards before any start function ran. */
#include "base/env_uring_impl.h"
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

const int handled_signals[SIGNALS] = {SIGTERM, SIGINT, SIGHUP};

#define SHARDS_MAX 64 /* bits of the sender's dirty set */

enum status group_init(struct shard_group *g, const struct env_uring_config *config, uint32_t count)
{
    CHECK(count > 0);
    if (count > SHARDS_MAX) return STATUS_INVALID;
    *g = (struct shard_group){.count = count, .config = config};
    g->boxes = uring_map((size_t)count * count * sizeof *g->boxes);
    g->ports = uring_map(count * sizeof *g->ports);
    if (g->boxes == NULL || g->ports == NULL) {
        group_deinit(g);
        return STATUS_NO_MEMORY;
    }
    for (uint32_t i = 0; i < count; i++) g->ports[i].wake_fd = -1;
    for (uint32_t i = 0; i < count; i++) {
        g->ports[i].wake_fd = eventfd(0, EFD_CLOEXEC); /* blocking: else the ring's read answers EAGAIN at once */
        if (g->ports[i].wake_fd < 0) {
            group_deinit(g);
            return STATUS_TOO_MANY_FILES;
        }
    }
    return STATUS_OK;
}

void group_deinit(struct shard_group *g)
{
    for (uint32_t i = 0; g->ports != NULL && i < g->count; i++)
        if (g->ports[i].wake_fd >= 0) close(g->ports[i].wake_fd);
    uring_unmap(g->boxes, (size_t)g->count * g->count * sizeof *g->boxes);
    uring_unmap(g->ports, g->count * sizeof *g->ports);
    g->boxes = NULL;
    g->ports = NULL;
}

/* ---- mailboxes ---- */

static bool mailbox_put(struct mailbox *b, struct msg *m)
{
    unsigned tail = atomic_load_explicit(&b->tail, memory_order_relaxed);
    if (tail - atomic_load_explicit(&b->head, memory_order_acquire) == MAILBOX_SLOTS) return false;
    b->slots[tail % MAILBOX_SLOTS] = m;
    atomic_store_explicit(&b->tail, tail + 1, memory_order_release);
    return true;
}

void group_post(struct shard_group *g, uint32_t from, uint32_t to, struct msg *m)
{
    struct mailbox *b = &g->boxes[from * g->count + to];
    if (b->over_head == NULL && mailbox_put(b, m)) return;
    if (b->over_tail != NULL)
        b->over_tail->next = m;
    else
        b->over_head = m;
    b->over_tail = m;
}

static bool mailbox_flush(struct mailbox *b)
{
    while (b->over_head != NULL) {
        struct msg *m = b->over_head, *next = m->next; /* read first: once put, m is the receiver's */
        if (!mailbox_put(b, m)) return true;
        b->over_head = next;
    }
    b->over_tail = NULL;
    return false;
}

bool group_flush(struct shard_group *g, uint32_t from)
{
    bool left = false;
    for (uint32_t to = 0; to < g->count; to++) left |= mailbox_flush(&g->boxes[from * g->count + to]);
    return left;
}

static void wake(int fd)
{
    uint64_t one = 1;
    ssize_t n = write(fd, &one, sizeof one);
    CHECK(n == sizeof one);
}

void group_wake(struct shard_group *g, uint32_t from, uint64_t *dirty)
{
    uint64_t left = *dirty;
    *dirty = 0;
    for (uint32_t to = 0; left != 0; to++, left >>= 1) {
        if ((left & 1) == 0) continue;
        if (g->boxes[from * g->count + to].over_head != NULL) *dirty |= 1ull << to; /* more to come */
        if (atomic_exchange(&g->ports[to].asleep, false)) wake(g->ports[to].wake_fd);
    }
}

bool group_drain(struct shard_group *g, struct env *to)
{
    bool any = false;
    for (uint32_t from = 0; from < g->count; from++) {
        struct mailbox *b = &g->boxes[from * g->count + to->shard];
        unsigned head = atomic_load_explicit(&b->head, memory_order_relaxed);
        unsigned tail = atomic_load_explicit(&b->tail, memory_order_acquire);
        if (head == tail) continue;
        for (; head != tail; head++) env_deliver(to, b->slots[head % MAILBOX_SLOTS]);
        atomic_store_explicit(&b->head, head, memory_order_release);
        any = true;
    }
    return any;
}

bool group_pending(const struct shard_group *g, uint32_t to)
{
    for (uint32_t from = 0; from < g->count; from++) {
        const struct mailbox *b = &g->boxes[from * g->count + to];
        if (atomic_load(&b->tail) != atomic_load_explicit(&b->head, memory_order_relaxed)) return true;
    }
    return atomic_load(&g->ports[to].signals) != 0;
}

/* ---- signals, on the shard ---- */

static void run_signal(struct env *e, struct msg *m)
{
    struct signal_msg *s = container_of(m, struct signal_msg, msg);
    s->queued = false;
    if (s->inbox->on_signal != NULL)
        s->inbox->on_signal(e, s->signo);
    else if (s->signo != SIGHUP)
        env_stop(e);
}

bool signals_take(struct signal_inbox *in, struct shard_port *port, struct env *to)
{
    unsigned bits = atomic_exchange(&port->signals, 0);
    for (unsigned i = 0; i < SIGNALS; i++) {
        struct signal_msg *s = &in->msgs[i];
        if ((bits >> i & 1) == 0 || s->queued) continue;
        *s = (struct signal_msg){.msg.run = run_signal, .inbox = in, .signo = handled_signals[i], .queued = true};
        env_deliver(to, &s->msg);
    }
    return bits != 0;
}

/* ---- threads ---- */

struct shard_run {
    struct process_run *process;
    pthread_t thread;
    uint32_t shard;
    enum status status;
    char error[256];
};

struct process_run {
    struct shard_group group;
    void (*start)(struct env *e, void *arg);
    void *arg;
    pthread_barrier_t made;
    atomic_bool failed;
    atomic_uint running;
    int done_fd; /* written by the last shard */
    struct shard_run shards[SHARDS_MAX];
};

static void pin(uint32_t shard)
{
    cpu_set_t may, one;
    if (sched_getaffinity(0, sizeof may, &may) != 0 || CPU_COUNT(&may) == 0) return;
    uint32_t nth = shard % (uint32_t)CPU_COUNT(&may);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET((size_t)cpu, &may) || nth-- > 0) continue;
        CPU_ZERO(&one);
        CPU_SET((size_t)cpu, &one);
        (void)pthread_setaffinity_np(pthread_self(), sizeof one, &one); /* only a hint: slower without */
        return;
    }
}

static void *shard_main(void *arg)
{
    struct shard_run *r = arg;
    struct process_run *p = r->process;
    struct env *e = NULL;
    if (p->group.config->pin_cpus) pin(r->shard);
    r->status = uring_create(&p->group, r->shard, &e, r->error);
    if (r->status != STATUS_OK) atomic_store(&p->failed, true);
    pthread_barrier_wait(&p->made);
    if (!atomic_load(&p->failed)) {
        p->start(e, p->arg);
        env_run(e);
    }
    if (e != NULL) uring_destroy(e);
    if (atomic_fetch_sub(&p->running, 1) == 1) wake(p->done_fd);
    return NULL;
}

static void raise_on_shards(struct shard_group *g, int signo)
{
    for (uint32_t i = 0; i < g->count; i++) {
        for (unsigned s = 0; s < SIGNALS; s++)
            if (handled_signals[s] == signo) atomic_fetch_or(&g->ports[i].signals, 1u << s);
        wake(g->ports[i].wake_fd);
    }
}

static void take_signals(struct process_run *p, int signal_fd)
{
    struct pollfd fds[2] = {{.fd = p->done_fd, .events = POLLIN}, {.fd = signal_fd, .events = POLLIN}};
    for (;;) {
        int n = poll(fds, 2, -1);
        CHECK(n > 0 || errno == EINTR);
        if (n <= 0) continue;
        struct signalfd_siginfo info;
        if ((fds[1].revents & POLLIN) && read(signal_fd, &info, sizeof info) == sizeof info)
            raise_on_shards(&p->group, (int)info.ssi_signo);
        if (fds[0].revents & POLLIN) return;
    }
}

static void run_threads(struct process_run *p, int signal_fd)
{
    uint32_t count = p->group.count;
    pthread_barrier_init(&p->made, NULL, count);
    atomic_store(&p->running, count);
    for (uint32_t i = 0; i < count; i++) {
        p->shards[i] = (struct shard_run){.process = p, .shard = i};
        CHECK(pthread_create(&p->shards[i].thread, NULL, shard_main, &p->shards[i]) == 0);
    }
    take_signals(p, signal_fd);
    for (uint32_t i = 0; i < count; i++) pthread_join(p->shards[i].thread, NULL);
    pthread_barrier_destroy(&p->made);
}

enum status env_uring_run_shards(const struct env_uring_config *config, uint32_t count,
                                 void (*start)(struct env *e, void *arg), void *arg, char ret_error[256])
{
    struct process_run p = {.start = start, .arg = arg};
    snprintf(ret_error, 256, "%u shards: too many, or too few descriptors or memory for their mailboxes", count);
    enum status s = group_init(&p.group, config, count);
    if (s != STATUS_OK) return s;
    sigset_t set, old;
    sigemptyset(&set);
    for (int i = 0; i < SIGNALS; i++) sigaddset(&set, handled_signals[i]);
    pthread_sigmask(SIG_BLOCK, &set, &old);
    int signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    p.done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (signal_fd < 0 || p.done_fd < 0) {
        s = status_from_errno(errno);
    } else {
        run_threads(&p, signal_fd);
        for (uint32_t i = count; i-- > 0;)
            if (p.shards[i].status != STATUS_OK) {
                s = p.shards[i].status;
                snprintf(ret_error, 256, "%s", p.shards[i].error);
            }
    }
    if (signal_fd >= 0) close(signal_fd);
    if (p.done_fd >= 0) close(p.done_fd);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    group_deinit(&p.group);
    return s;
}

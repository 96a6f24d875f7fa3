// SPDX-License-Identifier: Apache-2.0
/* The ring of a shard: the only file that includes liburing.h.
 *
 * Happy path: submit turns an op into a submission entry whose user_data is the op; wait() returns the receive buffers
 * of the last turn, exchanges messages, enters the kernel once (submit and wait), and hands completion entries to
 * env_complete. Blocking calls go to the workers and come back through the eventfd that also carries wake-ups; one read
 * of that eventfd is always armed.
 *
 * A multishot op has one result field, so its next event is not taken from the completion queue before the last one has
 * run: reaping stops there and the next turn goes on. Receive buffers are lent until the next wait(), which is after
 * done().
 *
 * Failure modes. Submission queue full: submit and go on. Completion queue overflow: the kernel keeps the entries
 * (NODROP) and peeking fetches them. EINTR/EAGAIN: submitted again, except a data sync, which is never repeated.
 * Multishot ended by the kernel (ENOBUFS, overflow): armed again here, unless it was canceled. O_DIRECT or registered
 * files refused: goes without, counted. Anything else is the owner's, as a status. */
#include "base/env_uring.h"
#include "base/env_uring_impl.h"
#include "base/prng.h"
#include "base/probe.h"
#include "base/trace.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECV_BUFFER       (64u << 10)
#define RECV_GROUP        1
#define FILES_MAX         (32u << 10) /* registered; descriptors above it are used plainly */
#define OVERFLOW_RETRY_NS (50 * NS_PER_US)

/* user_data that is no op */
#define TAG_IGNORE 0u
#define TAG_WAKE   1u

/* op->impl[OP_FLAGS] */
#define OP_CANCELED (1u << 0)
/* op->impl[OP_SOCKET], [OP_ADDRESS..]: IO_CONNECT */
#define OP_SOCKET  1
#define OP_ADDRESS 2
static_assert(sizeof(struct sockaddr_in6) <= 4 * sizeof(uint64_t), "the address fits into impl[2..5]");

struct uring {
    struct env env;
    struct io_uring ring;
    struct worker worker;
    struct shard_group *group;
    struct shard_group own_group; /* env_uring_create: a group of one */
    struct env_uring_config config;
    struct prng prng;
    uint64_t wake_count;    /* target of the eventfd read */
    uint64_t dirty;         /* shards that got messages this turn */
    struct msghdr *headers; /* one per submission slot: read by the kernel at submit, too large for op->impl */
    struct io_uring_buf_ring *buf_ring;
    uint8_t *buffers;
    uint16_t *lent; /* buffer ids to give back */
    uint32_t lent_count;
    uint64_t *registered; /* bit set of descriptors in the table */
    uint32_t file_slots;
    struct signal_inbox signals;
    struct env_uring_counters counters;
    bool wake_armed;
};

static struct uring *uring_of(struct env *e)
{
    return container_of(e, struct uring, env);
}

/* ---- submission ---- */

static struct io_uring_sqe *get_sqe(struct uring *u)
{
    for (int tries = 0;; tries++) {
        struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
        if (sqe != NULL) return sqe;
        u->counters.sq_full += tries == 0;
        int r = io_uring_submit(&u->ring);
        CHECK(r >= 0 || r == -EINTR || r == -EAGAIN || r == -EBUSY);
        /* The kernel is out of memory or wants completions fetched: let it move on, then try again; after 10 s it is
         * not going to. */
        CHECK(tries < 10000);
        if (r < 0 && r != -EINTR) {
            (void)io_uring_get_events(&u->ring);
            uring_pause(NS_PER_MS);
        }
    }
}

static bool file_registered(const struct uring *u, int32_t file)
{
    return (uint32_t)file < u->file_slots && (u->registered[file / 64] >> (file % 64) & 1) != 0;
}

static void register_file(struct uring *u, int32_t file, bool on)
{
    if ((uint32_t)file < u->file_slots && file_registered(u, file) == on) return;
    if ((uint32_t)file >= u->file_slots) {
        u->counters.plain_files += on;
        return;
    }
    int fd = on ? file : -1;
    int r = io_uring_register_files_update(&u->ring, (unsigned)file, &fd, 1);
    CHECK(r == 1 || on); /* a slot that cannot be emptied would keep the file and its lock */
    u->counters.plain_files += r != 1;
    if (r == 1) u->registered[file / 64] ^= 1ull << (file % 64);
}

static void set_file(struct uring *u, struct io_uring_sqe *sqe, int32_t file)
{
    if (file_registered(u, file)) sqe->flags |= IOSQE_FIXED_FILE;
}

static void prep_send(struct uring *u, struct io_uring_sqe *sqe, struct io_op *op)
{
    struct msghdr *h = &u->headers[sqe - u->ring.sq.sqes];
    *h = (struct msghdr){.msg_iov = (struct iovec *)(uintptr_t)op->iov, .msg_iovlen = op->iov_count};
    io_uring_prep_sendmsg(sqe, op->sock, h, MSG_NOSIGNAL);
}

static void prep_recv(struct io_uring_sqe *sqe, const struct io_op *op)
{
    io_uring_prep_recv_multishot(sqe, op->sock, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = RECV_GROUP;
}

static void prep_connect(struct io_uring_sqe *sqe, struct io_op *op)
{
    const struct sockaddr *a = (const struct sockaddr *)(const void *)&op->impl[OP_ADDRESS];
    socklen_t len = a->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    io_uring_prep_connect(sqe, (int)op->impl[OP_SOCKET], a, len);
}

static void prep_file(struct uring *u, struct io_uring_sqe *sqe, struct io_op *op)
{
    if (op->kind == IO_READ) {
        io_uring_prep_read(sqe, op->file, op->data, op->len, op->pos);
    } else if (op->kind == IO_WRITE) {
        io_uring_prep_write(sqe, op->file, op->data, op->len, op->pos);
        sqe->rw_flags = op->flags & IO_DSYNC ? RWF_DSYNC : 0;
    } else {
        io_uring_prep_fsync(sqe, op->file, IORING_FSYNC_DATASYNC);
    }
    set_file(u, sqe, op->file);
}

static void push_sqe(struct uring *u, struct io_op *op)
{
    struct io_uring_sqe *sqe = get_sqe(u);
    switch ((int)op->kind) {
    case IO_ACCEPT: io_uring_prep_multishot_accept(sqe, op->sock, NULL, NULL, SOCK_CLOEXEC); break;
    case IO_CONNECT: prep_connect(sqe, op); break;
    case IO_RECV: prep_recv(sqe, op); break;
    case IO_SEND: prep_send(u, sqe, op); break;
    case IO_SHUTDOWN: io_uring_prep_shutdown(sqe, op->sock, SHUT_RDWR); break;
    case IO_CLOSE_SOCKET: io_uring_prep_close(sqe, op->sock); break;
    /* One shot: it looks at the state when it is armed. Multishot reports wake-ups only, so what a library leaves
     * undone in one run would wait for the next arrival. */
    case IO_POLL: io_uring_prep_poll_add(sqe, op->sock, POLLIN); break;
    default: prep_file(u, sqe, op); break;
    }
    io_uring_sqe_set_data(sqe, op);
}

/* False: the op is complete already, as a failure. */
static bool open_socket(struct env *e, struct io_op *op)
{
    struct sockaddr_in6 address;
    int sock = -1;
    enum status s = net_socket(op->path, &sock, &address);
    if (s != STATUS_OK) {
        env_complete(e, op, s, 0, false);
        return false;
    }
    memcpy(&op->impl[OP_ADDRESS], &address, sizeof address);
    op->impl[OP_SOCKET] = (uint64_t)sock;
    return true;
}

static void uring_submit(struct env *e, struct io_op *op)
{
    struct uring *u = uring_of(e);
    op->impl[OP_FLAGS] = 0;
    if (op->kind >= IO_OPEN) {
        if (op->kind == IO_CLOSE && file_registered(u, op->file)) register_file(u, op->file, false);
        worker_submit(&u->worker, op);
        return;
    }
    if (op->kind == IO_CONNECT && !open_socket(e, op)) return;
    push_sqe(u, op);
}

static void uring_cancel(struct env *e, struct io_op *op)
{
    struct uring *u = uring_of(e);
    if (op->kind >= IO_OPEN) return; /* a blocking call finishes as it is */
    op->impl[OP_FLAGS] |= OP_CANCELED;
    struct io_uring_sqe *sqe = get_sqe(u);
    io_uring_prep_cancel(sqe, op, 0);
    io_uring_sqe_set_data64(sqe, TAG_IGNORE);
}

/* ---- completion ---- */

static uint32_t buffer_mask(const struct uring *u)
{
    return u->config.recv_buffers - 1;
}

static void add_buffer(struct uring *u, uint16_t id, uint32_t offset)
{
    io_uring_buf_ring_add(u->buf_ring, u->buffers + (size_t)id * RECV_BUFFER, RECV_BUFFER, id, (int)buffer_mask(u),
                          (int)offset);
}

static void return_buffers(struct uring *u)
{
    for (uint32_t i = 0; i < u->lent_count; i++) add_buffer(u, u->lent[i], i);
    io_uring_buf_ring_advance(u->buf_ring, (int)u->lent_count);
    u->lent_count = 0;
}

static void arm_wake(struct uring *u)
{
    struct io_uring_sqe *sqe = get_sqe(u);
    io_uring_prep_read(sqe, u->group->ports[u->env.shard].wake_fd, &u->wake_count, sizeof u->wake_count, 0);
    io_uring_sqe_set_data64(sqe, TAG_WAKE);
    u->wake_armed = true;
}

static bool transient(const struct io_op *op, int res)
{
    if (op->kind == IO_DATASYNC) return false;
    return res == -EINTR || res == -EAGAIN || (op->kind == IO_ACCEPT && res == -ECONNABORTED) ||
           (op->kind == IO_RECV && res == -ENOBUFS);
}

static void complete_recv(struct uring *u, struct io_op *op, int res, uint32_t cqe_flags, bool more)
{
    op->data = NULL;
    if (cqe_flags & IORING_CQE_F_BUFFER) {
        uint16_t id = (uint16_t)(cqe_flags >> IORING_CQE_BUFFER_SHIFT);
        op->data = u->buffers + (size_t)id * RECV_BUFFER;
        u->lent[u->lent_count++] = id;
    }
    env_complete(&u->env, op, STATUS_OK, res, more);
}

static void complete_connect(struct env *e, struct io_op *op, int res)
{
    int sock = (int)op->impl[OP_SOCKET];
    if (res < 0) close(sock);
    enum status s = res < 0 ? status_from_errno(-res) : STATUS_OK;
    env_complete(e, op, s, res < 0 ? 0 : sock, false);
}

/* One completion entry of an op. */
static void complete(struct uring *u, struct io_op *op, int res, uint32_t cqe_flags)
{
    bool more = (cqe_flags & IORING_CQE_F_MORE) != 0;
    bool canceled = (op->impl[OP_FLAGS] & OP_CANCELED) != 0;
    bool multi = op->kind == IO_ACCEPT || (op->kind == IO_RECV && res != 0);
    if (res < 0 && more) return; /* the last entry says how it ended */
    bool again = !more && (transient(op, res) || (multi && res >= 0));
    if (again && res < 0) {
        u->counters.recv_starved += res == -ENOBUFS;
        if (canceled)
            env_complete(&u->env, op, STATUS_CANCELED, 0, false);
        else
            push_sqe(u, op);
        return;
    }
    /* Ended by the kernel after an event: armed again; if canceled, the cancel finds the new one. */
    if (again) push_sqe(u, op);
    if (again && canceled) uring_cancel(&u->env, op);
    if (op->kind == IO_ACCEPT && res >= 0) net_nodelay(res);
    if (op->kind == IO_CONNECT)
        complete_connect(&u->env, op, res);
    else if (res < 0)
        env_complete(&u->env, op, status_from_errno(-res), 0, false);
    else if (op->kind == IO_RECV)
        complete_recv(u, op, res, cqe_flags, more || again);
    else
        env_complete(&u->env, op, STATUS_OK, res, more || again);
}

static bool reap(struct uring *u)
{
    struct io_uring_cqe *cqe;
    bool any = false;
    while (io_uring_peek_cqe(&u->ring, &cqe) == 0) {
        uint64_t tag = cqe->user_data;
        int res = cqe->res;
        uint32_t flags = cqe->flags;
        struct io_op *op = (struct io_op *)(uintptr_t)tag;
        if (tag > TAG_WAKE && list_linked(&op->in_env)) return true; /* its last event has not run yet */
        io_uring_cqe_seen(&u->ring, cqe);
        if (tag == TAG_WAKE) u->wake_armed = false;
        if (tag <= TAG_WAKE) continue;
        complete(u, op, res, flags);
        any = true;
    }
    return any;
}

static bool reap_worker(struct uring *u)
{
    struct io_op *op = worker_take_finished(&u->worker);
    bool any = op != NULL;
    while (op != NULL) {
        struct io_op *next = op_next(op);
        enum status s = (enum status)op->impl[OP_STATUS];
        if (op->kind == IO_OPEN && s == STATUS_OK) register_file(u, (int32_t)op->impl[OP_RESULT], true);
        env_complete(&u->env, op, s, (int64_t)op->impl[OP_RESULT], false);
        op = next;
    }
    return any;
}

/* Everything that needs no entry into the kernel. */
static bool collect(struct uring *u)
{
    bool any = group_drain(u->group, &u->env);
    any |= signals_take(&u->signals, &u->group->ports[u->env.shard], &u->env);
    any |= reap_worker(u);
    return any;
}

/* ---- random, messages ---- */

static uint64_t uring_random(struct env *e)
{
    return prng_next(&uring_of(e)->prng);
}

static void uring_post(struct env *e, uint32_t shard, struct msg *m)
{
    struct uring *u = uring_of(e);
    group_post(u->group, e->shard, shard, m);
    u->dirty |= 1ull << shard;
}

static enum status uring_listen(struct env *e, const char *host, uint16_t port, bool shared, int32_t *ret_sock,
                                uint16_t *ret_port)
{
    return net_listen(host, port, shared, ret_sock, ret_port);
}

/* ---- waiting ---- */

static void enter(struct uring *u, int64_t wait_ns)
{
    int r;
    if (wait_ns <= 0) {
        r = io_uring_submit_and_get_events(&u->ring);
    } else {
        struct __kernel_timespec ts = {.tv_sec = wait_ns / NS_PER_S, .tv_nsec = wait_ns % NS_PER_S};
        struct io_uring_cqe *cqe;
        r = io_uring_submit_and_wait_timeout(&u->ring, &cqe, 1, wait_ns == INT64_MAX ? NULL : &ts, NULL);
    }
    /* EAGAIN, EBUSY: unsubmitted entries stay queued, the next turn tries again. */
    CHECK(r >= 0 || r == -ETIME || r == -EINTR || r == -EAGAIN || r == -EBUSY);
}

static int64_t time_to(struct uring *u, struct mono_ns deadline)
{
    if (deadline.v == INT64_MAX) return INT64_MAX;
    if (deadline.v <= u->env.now.v) return 0;
    return deadline.v - uring_mono(&u->env).v;
}

static void uring_wait(struct env *e, struct mono_ns deadline)
{
    struct uring *u = uring_of(e);
    struct shard_port *port = &u->group->ports[e->shard];
    worker_flush(&u->worker);
    bool overflow = group_flush(u->group, e->shard);
    if (u->dirty != 0) group_wake(u->group, e->shard, &u->dirty);
    if (!list_empty(&e->completed)) { /* events not run yet: their buffers are lent, their ops have no room for more */
        enter(u, 0);
        return;
    }
    return_buffers(u);
    if (!u->wake_armed) arm_wake(u);

    int64_t wait_ns = time_to(u, deadline);
    if (overflow && wait_ns > OVERFLOW_RETRY_NS) wait_ns = OVERFLOW_RETRY_NS;
    if (collect(u) || io_uring_cq_ready(&u->ring) > 0) wait_ns = 0;
    bool sleeps = wait_ns > 0;
    if (sleeps) {
        atomic_exchange(&port->asleep, true);
        if (group_pending(u->group, e->shard)) wait_ns = 0;
    }
    enter(u, wait_ns);
    if (sleeps) atomic_exchange(&port->asleep, false); /* not a plain store: it would hide a sender's exchange */
    (void)collect(u);
    (void)reap(u);
}

static void uring_peer(struct env *e, int32_t sock, char out[ENV_HOST_SIZE])
{
    (void)e;
    net_peer(sock, out);
}

static const struct env_ops uring_ops = {
    .submit = uring_submit,
    .cancel = uring_cancel,
    .mono = uring_mono,
    .wall = uring_wall,
    .random = uring_random,
    .post = uring_post,
    .listen = uring_listen,
    .peer = uring_peer,
    .wait = uring_wait,
};

/* ---- life ---- */

static enum status make_ring(struct uring *u, char ret_error[256])
{
    struct io_uring_params p = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                                         IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE,
                                .cq_entries = u->config.cq_entries};
    int r = io_uring_queue_init_params(u->config.sq_entries, &u->ring, &p);
    for (int tries = 0; r == -ENOMEM && tries < URING_SETUP_TRIES; tries++) {
        uring_pause(URING_SETUP_PAUSE_NS);
        r = io_uring_queue_init_params(u->config.sq_entries, &u->ring, &p);
    }
    if (r < 0) return probe_ring_refused(-r, probe_ring_disabled(), ret_error);
    if ((p.features & IORING_FEAT_NODROP) == 0) return uring_fail(ENOSYS, "io_uring drops completions", ret_error);
    return STATUS_OK;
}

static enum status make_buffers(struct uring *u, char ret_error[256])
{
    uint32_t n = u->config.recv_buffers;
    CHECK(n != 0 && (n & (n - 1)) == 0 && n <= 32768);
    u->buf_ring = uring_map(n * sizeof(struct io_uring_buf));
    u->buffers = uring_map((size_t)n * RECV_BUFFER);
    if (u->buf_ring == NULL || u->buffers == NULL)
        return uring_fail(ENOMEM, "no memory for receive buffers", ret_error);
    struct io_uring_buf_reg reg = {.ring_addr = (uintptr_t)u->buf_ring, .ring_entries = n, .bgid = RECV_GROUP};
    int r = io_uring_register_buf_ring(&u->ring, &reg, 0);
    if (r < 0) return uring_fail(-r, "the ring of receive buffers was refused", ret_error);
    io_uring_buf_ring_init(u->buf_ring);
    for (uint32_t i = 0; i < n; i++) add_buffer(u, (uint16_t)i, i);
    io_uring_buf_ring_advance(u->buf_ring, (int)n);
    return STATUS_OK;
}

static void make_file_table(struct uring *u)
{
    struct rlimit limit;
    uint32_t n = FILES_MAX;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < n) n = (uint32_t)limit.rlim_cur;
    if (io_uring_register_files_sparse(&u->ring, n) == 0) u->file_slots = n; /* refused: plain descriptors */
    u->env.descriptors = n / u->group->count; /* also of those the kernel would give beyond the table: they cost more */
}

static bool make_tables(struct uring *u)
{
    struct mem *m = u->env.mem;
    u->headers = mem_zalloc(m, MEM_CONTROL, u->ring.sq.ring_entries * sizeof *u->headers);
    u->lent = mem_zalloc(m, MEM_CONTROL, u->config.recv_buffers * sizeof *u->lent);
    u->registered = mem_zalloc(m, MEM_CONTROL, FILES_MAX / 8);
    u->env.trace = trace_create(m, u->config.trace_records);
    if (u->env.trace != NULL) u->env.runner = runner_create(m, u->env.trace);
    return u->headers != NULL && u->lent != NULL && u->registered != NULL && u->env.runner != NULL;
}

static void free_tables(struct uring *u)
{
    struct mem *m = u->env.mem;
    if (u->env.runner != NULL) runner_destroy(u->env.runner);
    trace_destroy(u->env.trace);
    mem_free(m, MEM_CONTROL, u->registered, FILES_MAX / 8);
    mem_free(m, MEM_CONTROL, u->lent, u->config.recv_buffers * sizeof *u->lent);
    mem_free(m, MEM_CONTROL, u->headers, u->ring.sq.ring_entries * sizeof *u->headers);
}

static void unmake(struct uring *u)
{
    struct mem *m = u->env.mem;
    free_tables(u);
    io_uring_queue_exit(&u->ring);
    uring_unmap(u->buffers, (size_t)u->config.recv_buffers * RECV_BUFFER);
    uring_unmap(u->buf_ring, u->config.recv_buffers * sizeof(struct io_uring_buf));
    mem_free(m, MEM_CONTROL, u, sizeof *u);
    mem_destroy(m);
}

static void fill_env(struct uring *u, uint32_t shard)
{
    struct env *e = &u->env;
    e->shard = shard;
    e->shard_count = u->group->count;
    e->dio_align = u->config.dio_align;
    e->dsync_cheaper = u->config.dsync_cheaper;
    prng_seed(&u->prng, uring_seed(), shard);
    u->signals.on_signal = u->config.on_signal;
}

enum status uring_create(struct shard_group *g, uint32_t shard, struct env **ret_env, char ret_error[256])
{
    struct env_uring_config config = uring_defaults(*g->config);
    struct mem *m = mem_create(config.memory_bytes);
    struct uring *u = m != NULL ? mem_zalloc(m, MEM_CONTROL, sizeof *u) : NULL;
    if (u == NULL) {
        if (m != NULL) mem_destroy(m);
        return uring_fail(ENOMEM, "no memory for a shard", ret_error);
    }
    u->config = config;
    u->group = g;
    u->env.mem = m;
    enum status s = make_ring(u, ret_error);
    if (s != STATUS_OK) {
        mem_free(m, MEM_CONTROL, u, sizeof *u);
        mem_destroy(m);
        return s;
    }
    s = make_buffers(u, ret_error);
    if (s == STATUS_OK && !make_tables(u))
        s = uring_fail(ENOMEM, "the memory budget of a shard is too small", ret_error);
    if (s == STATUS_OK) s = worker_start(&u->worker, g->ports[shard].wake_fd);
    if (s != STATUS_OK) {
        unmake(u);
        return s;
    }
    make_file_table(u);
    env_init(&u->env, &uring_ops, m, u->env.trace);
    fill_env(u, shard);
    u->env.now = uring_mono(&u->env);
    u->env.now_wall = uring_wall(&u->env);
    *ret_env = &u->env;
    return STATUS_OK;
}

void uring_destroy(struct env *e)
{
    struct uring *u = uring_of(e);
    e->inbox_head = e->inbox_tail = NULL; /* messages that came after the stop */
    /* What was posted in the last turn may have found its ring full: the receiver would wait for it. */
    (void)group_flush(u->group, e->shard);
    group_wake(u->group, e->shard, &u->dirty);
    worker_stop(&u->worker);
    env_deinit(e);
    unmake(u);
}

enum status env_uring_create(const struct env_uring_config *config, struct env **ret_env, char ret_error[256])
{
    struct shard_group g;
    enum status s = group_init(&g, config, 1);
    if (s != STATUS_OK) return uring_fail(EMFILE, "no descriptor or memory for a shard's mailbox", ret_error);
    s = uring_create(&g, 0, ret_env, ret_error);
    if (s != STATUS_OK) {
        group_deinit(&g);
        return s;
    }
    struct uring *u = uring_of(*ret_env);
    u->own_group = g;
    u->own_group.config = NULL; /* the caller's may go */
    u->group = &u->own_group;
    return STATUS_OK;
}

void env_uring_destroy(struct env *e)
{
    struct shard_group g = uring_of(e)->own_group;
    uring_destroy(e);
    group_deinit(&g);
}

struct env_uring_counters env_uring_counters(const struct env *e)
{
    const struct uring *u = container_of(e, const struct uring, env);
    struct env_uring_counters c = u->counters;
    c.direct_refused = atomic_load(&((struct uring *)(uintptr_t)u)->worker.direct_refused);
    return c;
}
